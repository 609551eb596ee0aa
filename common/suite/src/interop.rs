//! Another client, in another language and written from `docs/protocol.md` alone, in one room with
//! the stage's own: `docs/interop/chat_client.py`.

mod files;

use std::env;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::thread;

use common::frame::MAX_LENGTH;

use crate::pages::Project;
use crate::process::Program;
use crate::process::ServerProgram;

pub use files::an_offer_that_is_not_answered;
pub use files::beyond_the_window;
pub use files::files_that_are_cancelled;
pub use files::files_that_do_not_arrive;
pub use files::it_refuses_the_same_names;
pub use files::they_send_files;

/// The client in Python, from the root of the project.
const CLIENT: &str = "docs/interop/chat_client.py";

/// What both clients have to bring through unharmed.
const TEXT: &str = "grüße, 世界 🦀 \"\\\" {name} %s e\u{301}";

/// A stage's binary, and the options of the three programs.
pub struct Setting<'a> {
    /// The stage's binary.
    pub binary: &'a Path,
    /// What the server gets.
    pub server: &'a [&'a str],
    /// What the stage's client gets.
    pub rust: &'a [&'a str],
    /// What the client in Python gets.
    pub python: &'a [&'a str],
}

impl Setting<'_> {
    /// The stage's server, on a free port.
    pub fn serve(&self) -> ServerProgram {
        let mut command = Command::new(self.binary);
        command.args(["server", "--listen", "127.0.0.1:0"]).args(self.server);
        ServerProgram::from(Program::start_command(&mut command))
    }

    /// The stage's client, in the room.
    fn rust(&self, server: SocketAddr, name: &str) -> Program {
        let mut command = Command::new(self.binary);
        command.args(["client", &server.to_string(), "--name", name]).args(self.rust);
        let mut client = Program::start_command(&mut command);
        client.expect(&[&format!("* {name} joined")]);
        client
    }

    /// The client in Python, which has just started.
    pub fn python(&self, server: SocketAddr, name: &str) -> Program {
        python_with(&[&[&*server.to_string(), name], self.python].concat())
    }
}

/// Whether a test has to do without Python, or without its package `cryptography` where that is
/// needed; then it says so, and in CI (`CI` is set) it fails.
pub fn is_left_out(needs_cryptography: bool) -> bool {
    match needs_cryptography {
        true => {
            is_missing(&["-c", "import cryptography"], "Python 3 with its package `cryptography`")
        }
        false => is_missing(&["-c", ""], "Python 3"),
    }
}

/// The same of what a login needs.
pub fn login_is_left_out() -> bool {
    is_missing(
        &["docs/interop/check_protocol_page.py", "--needs"],
        "Python 3 with its package `cryptography`, in version 44 or with `argon2-cffi`",
    )
}

/// Whether this fails, because Python lacks what is named.
fn is_missing(check: &[&str], what: &str) -> bool {
    if python().args(check).output().is_ok_and(|output| output.status.success()) {
        return false;
    }
    assert!(env::var_os("CI").is_none(), "CI needs {what}");
    println!("left out: {what} is not installed");
    true
}

/// The client in Python, with these words behind it on the command line.
pub fn python_with(args: &[&str]) -> Program {
    Program::start_command(python().arg(CLIENT).args(args))
}

/// Python, as the pages call it, from where they call it.
fn python() -> Command {
    let mut command = Command::new(if cfg!(windows) { "python" } else { "python3" });
    command.current_dir(Project::this().root).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// alice with the stage's client and bob with the one in Python do all that both can.
///
/// Returns what alice, bob and the server wrote to stderr.
pub fn they_chat(setting: &Setting<'_>) -> [String; 3] {
    let server = setting.serve();
    let mut alice = setting.rust(server.address, "alice");
    let mut bob = setting.python(server.address, "bob");
    bob.expect(&["* bob joined"]);
    alice.expect(&["* bob joined"]);

    let longest = "é".repeat(2048);
    for text in [TEXT, "\u{202e}\u{1b}[2J\u{200b}", &longest] {
        alice.type_line(text);
        let heard = bob.expect_prefix("alice: ");
        bob.type_line(text);
        // What may be shown of a text is the same for both.
        let same = alice.expect_prefix("bob: ");
        assert_eq!(same["bob: ".len()..], heard["alice: ".len()..]);
        assert_eq!(heard["alice: ".len()..] == *text, !text.starts_with('\u{202e}'), "{heard}");
    }
    for too_long in [format!("{longest}!"), format!("@alice {longest}!")] {
        bob.type_line(&too_long);
        bob.expect(&["! a text has at most 4096 bytes"]);
    }

    for (sender, whom) in [("alice", "bob"), ("bob", "alice")] {
        let typed = format!("@{whom} {TEXT}");
        if sender == "alice" {
            alice.type_line(&typed)
        } else {
            bob.type_line(&typed)
        }
        let shown = format!("{sender} -> {whom}: {TEXT}");
        alice.expect(&[&shown]);
        bob.expect(&[&shown]);
    }
    alice.type_line("@group set team bob");
    bob.expect_prefix("* alice made the group team: alice, bob");
    alice.expect_prefix("* ");
    alice.type_line("@group send team we start at ten");
    alice.expect(&["alice -> #team: we start at ten"]);
    bob.expect(&["alice -> #team: we start at ten"]);
    alice.type_line("@status dnd");
    alice.expect(&["* alice is dnd"]);
    bob.expect(&["* alice is dnd"]);
    bob.type_line("@alice really?");
    bob.expect_prefix("! alice is dnd");
    for client in [&mut alice, &mut bob] {
        client.type_line("@names");
        client.expect(&["* here: alice (dnd), bob"]);
    }

    // Whoever leaves, leaves nothing behind.
    let last_words = (0..300).map(|number| format!("last words {number}")).collect::<Vec<_>>();
    for line in &last_words {
        bob.type_line(line);
    }
    let (code, lines, bob_stderr) = bob.end();
    assert_eq!((code, lines), (Some(0), Vec::new()), "{bob_stderr}");
    for line in &last_words {
        alice.expect(&[&format!("bob: {line}")]);
    }
    alice.expect_prefix("* bob left");
    alice.expect(&["* bob left"]);

    let mut carol = setting.python(server.address, "carol");
    carol.expect(&["* carol joined"]);
    alice.expect(&["* carol joined"]);
    let (code, _, alice_stderr) = alice.end();
    assert_eq!(code, Some(0), "{alice_stderr}");
    carol.expect(&["* alice left"]);
    carol.type_line("@quit");
    assert_eq!(carol.end().0, Some(0));

    let log = server.program.stderr();
    [alice_stderr, bob_stderr, log]
}

/// The client in Python finds the server's end, and that its name is taken, and says so.
pub fn it_says_why_it_ends(setting: &Setting<'_>) {
    let server = setting.serve();
    let mut alice = setting.python(server.address, "alice");
    alice.expect(&["* alice joined"]);
    let (code, lines, stderr) = setting.python(server.address, "Alice").end();
    assert_eq!((code, lines.len()), (Some(1), 1), "{stderr}");
    assert!(lines[0].starts_with("! the name "), "{lines:?}");
    drop(server);
    // Its input is still open.
    assert_eq!(alice.line(), None);
    let (code, _, stderr) = alice.end();
    assert_eq!(code, Some(1));
    assert!(stderr.lines().any(|line| line.starts_with("! ")), "{stderr}");
}

/// What the client in Python computes is what is known.
pub fn the_client_checks_itself() {
    let output = python().arg("docs/interop/check_chat_client.py").output().expect("Python runs");
    let [stdout, stderr] = [output.stdout, output.stderr].map(String::from_utf8);
    assert!(output.status.success(), "{stdout:?} {}", stderr.expect("text"));
    assert_eq!(stdout.expect("text").lines().last(), Some("the login"));
}

/// Runs each command of the page about this client that names this address, at a server that listens
/// elsewhere. Some words of it stand for others.
pub fn commands_of_the_page(setting: &Setting<'_>, address: &str, words: &[(&str, String)]) {
    let project = Project::this();
    let page = project.page("docs/interop/README.md");
    let lines = page.blocks.iter().filter(|block| block.language == "sh");
    let lines = lines.flat_map(|block| block.text.lines());
    let start = format!("python3 {CLIENT} {address} ");
    let commands = lines.filter_map(|line| line.strip_prefix(&start)).collect::<Vec<_>>();
    assert!(!commands.is_empty(), "{}: a line in a block of `sh` begins with {start}", page.path);
    let server = setting.serve();
    for command in commands {
        let meant = |word| words.iter().find(|(from, _)| *from == word).map(|(_, to)| to.as_str());
        let command_words = command.split_whitespace().map(|word| meant(word).unwrap_or(word));
        let command_words = command_words.collect::<Vec<_>>();
        let (name, python) = command_words.split_first().expect("who it is");
        let mut client = Setting { python, ..*setting }.python(server.address, name);
        client.expect(&[&format!("* {name} joined")]);
        let (code, _, stderr) = client.end();
        assert_eq!(code, Some(0), "{start}{command}: {stderr}");
    }
}

/// What the client in Python does at a server whose frames somebody in the middle changes.
///
/// `change` gets the number of each frame, from 0, and its bytes, and says what goes on in its place;
/// `None` ends the connection. The client leaves as soon as it is in the room. Returns its exit code,
/// what it wrote to stdout, and to stderr.
pub fn through(
    setting: &Setting<'_>,
    mut change: impl FnMut(usize, Vec<u8>) -> Option<Vec<u8>> + Send + 'static,
) -> (Option<i32>, Vec<String>, String) {
    let server = setting.serve();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let middle = listener.local_addr().expect("a bound socket");
    let address = server.address;
    let passing = thread::spawn(move || {
        let (mut client, _) = listener.accept().expect("the client comes");
        let mut server = TcpStream::connect(address).expect("the server listens");
        let mut said = client.try_clone().expect("a handle");
        let mut into = server.try_clone().expect("a handle");
        let forth = thread::spawn(move || {
            // Either side may be gone already.
            let _ = io::copy(&mut said, &mut into);
            let _ = into.shutdown(Shutdown::Write);
        });
        for number in 0.. {
            let frame = read_frame(&mut server);
            let Some(bytes) = frame.and_then(|frame| change(number, frame)) else { break };
            if client.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = client.shutdown(Shutdown::Write);
        forth.join().expect("it only passes on");
    });
    let ended = setting.python(middle, "alice").end();
    passing.join().expect("it changes and passes on");
    ended
}

/// A frame with its length, or `None` at the end.
fn read_frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut frame = vec![0; 4];
    stream.read_exact(&mut frame).ok()?;
    let length = u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]) as usize;
    assert!((1..=MAX_LENGTH).contains(&length), "the server sends such a frame");
    frame.resize(4 + length, 0);
    stream.read_exact(&mut frame[4..]).ok()?;
    Some(frame)
}
