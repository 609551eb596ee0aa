//! The command line: streams, exit codes, and what it says to whoever got it wrong.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use common::stream::Listener;
use serde_json::json;

use crate::Stage;
use crate::peer::Peer;
use crate::process::KEY_LOG;
use crate::process::Program;
use crate::process::ServerProgram;
use crate::session;
#[cfg(unix)]
use crate::terminal::Terminal;

/// Help is on stdout and no failure; it has the address of this stage.
pub fn help<S: Stage>() {
    let package = S::binary().file_stem().and_then(OsStr::to_str).expect("a name");
    let number = package.strip_prefix("stage").and_then(|rest| rest.get(..1)).expect("a number");
    let address = &format!("127.0.0.1:700{number}")[..];
    for (args, words) in [
        (&["-h"][..], &["Stage ", address, "server", "client", "tour"][..]),
        (&["--help"], &["Stage ", address, "server", "client", "guided tour"]),
        (&["server", "--help"], &[address, "--listen", "--max-clients", "ulimit -n", "--pcap"]),
        (&["client", "--help"], &[address, "--name", "--pcap", "-v", "Exit codes", "@help"]),
    ] {
        let (code, lines, stderr) = Program::start::<S>(args).end();
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{args:?}");
        let help = lines.join("\n");
        for word in words {
            assert!(help.contains(word), "{args:?} does not mention {word}:\n{help}");
        }
    }
}

/// Wrong usage is exit code 2, and said on stderr.
pub fn wrong_usage<S: Stage>() {
    for (args, words) in [
        (&["client"][..], "--name"),
        (&["client", "--name", "a b"], "1 to 20 characters"),
        (&["client", "--name", "alice", "--nosuch"], "--nosuch"),
        (&["server", "--max-clients", "0"], "1..=2000"),
        (&["server", "--max-clients", "many"], "many"),
        (&["nosuch"], "nosuch"),
    ] {
        let (code, lines, stderr) = Program::start::<S>(args).end();
        assert_eq!((code, lines.len()), (Some(2), 0), "{args:?}: {stderr}");
        assert!(stderr.contains(words), "{args:?} does not mention {words}: {stderr}");
    }
}

/// What cannot be listened on or connected to is one sentence that says what to do; exit code 1.
pub fn no_such_address<S: Stage>() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let in_use = taken.local_addr().expect("it is bound").to_string();
    let refused = {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        free.local_addr().expect("it is bound").to_string()
    };
    for (args, words) in [
        (&["server", "--listen", &in_use][..], "is in use"),
        (&["server", "--listen", "192.0.2.1:0"], "no such address"),
        (&["server", "--listen", "127.0.0.1:70000"], "a number from 0 to 65535"),
        (&["client", &refused, "--name", "alice"], "start the server first"),
        (&["client", "127.0.0.1:x", "--name", "alice"], "a number from 0 to 65535"),
        (&["server", "--pcap", "/nonexistent/x.pcapng", "--listen", "127.0.0.1:0"], "--pcap"),
    ] {
        let (code, lines, stderr) = Program::start::<S>(args).end();
        assert_eq!((code, lines.len()), (Some(1), 0), "{args:?}: {stderr}");
        assert!(stderr.starts_with("error: ") && stderr.contains(words), "{args:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

/// A reserved or taken name is refused by the server; exit code 1.
pub fn a_reserved_name<S: Stage>() {
    let server = ServerProgram::start::<S>(&[]);
    let address = server.address.to_string();
    for name in ["server", "Quit"] {
        let client = Program::start::<S>(&["client", &address, "--name", name]);
        let (code, lines, _) = client.end();
        assert_eq!(code, Some(1));
        assert_eq!(lines, [format!("! {name} is a reserved name, choose another")]);
    }
}

/// At the end of its input a client leaves when the server has taken everything.
pub fn the_end_of_input<S: Stage>() {
    const LINES: usize = 20_000;
    let server = ServerProgram::start::<S>(&[]);
    let mut bob = server.client::<S>("bob");
    let mut alice = server.client::<S>("alice");
    bob.expect(&["* alice joined"]);
    for number in 0..LINES {
        alice.type_line(&number.to_string());
    }
    alice.type_line("@names");
    let (code, lines, stderr) = alice.end();
    assert_eq!((code, session::behind::<S>(&stderr)), (Some(0), ""));
    assert_eq!(lines, ["* here: bob, alice"], "what was asked is answered before it leaves");
    for number in 0..LINES {
        assert_eq!(bob.line(), Some(format!("alice: {number}")));
    }
    bob.expect(&["* alice left"]);
}

/// However long the server takes for it: here it waits for somebody who does not read, while
/// others go on writing to who has ended their input.
pub fn the_end_of_input_at_a_slow_server<S: Stage>() {
    const LINES: usize = 1_500;
    let server = ServerProgram::start::<S>(&[]);
    let mut bob = server.client::<S>("bob");
    let carol = Peer::join::<S>(server.address, "carol");
    let mut dave = server.client::<S>("dave");
    let mut alice = server.client::<S>("alice");
    dave.expect(&["* alice joined"]);
    let long = "x".repeat(4000);
    for number in 0..LINES {
        alice.type_line(&format!("{number} {long}"));
    }
    alice.end_input();
    let (ended, has_ended) = mpsc::channel::<()>();
    let chatter = thread::spawn(move || {
        let pause = Duration::from_millis(20);
        while has_ended.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
            dave.type_line("@alice are you still there?");
        }
    });
    let mut next = 0;
    while next < LINES {
        let line = bob.line().expect("all that alice said");
        if let Some(said) = line.strip_prefix("alice: ") {
            assert!(said.starts_with(&format!("{next} ")), "{next} was due");
            next += 1;
        }
    }
    assert_eq!(alice.end().0, Some(0));
    drop((ended, carol));
    chatter.join().expect("dave can say what he wants");
}

/// A client that has not been let in when the server goes away has not left cleanly.
pub fn a_server_that_never_answers<S: Stage>() {
    let any = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
    let listener = Listener::bind(any, None).expect("a free port");
    let address = listener.address().to_string();
    let mut alice = Program::start::<S>(&["client", &address, "--name", "alice"]);
    alice.type_line("important");
    alice.end_input();
    let mut server = Peer::serving::<S>(listener.accept().expect("she connects"));
    // Everything that she sends, to its end; and then our end, without an answer.
    server.expect(&json!({"type": "hello", "chat5": 1, "name": "alice"}));
    server.expect(&json!({"type": "say", "text": "important"}));
    assert_eq!(server.next_event(), None);
    drop(server);
    let (code, lines, _) = alice.end();
    assert_eq!((code, lines), (Some(1), vec!["! the server is gone".to_owned()]));
}

/// A line that is not UTF-8 is refused where it was typed, and the next one goes through.
pub fn input_that_is_no_text<S: Stage>() {
    let server = ServerProgram::start::<S>(&[]);
    let mut bob = server.client::<S>("bob");
    let address = server.address.to_string();
    let mut alice = Command::new(S::binary())
        .args(["client", &address, "--name", "alice"])
        .args(S::options())
        .env_remove(KEY_LOG)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = alice.stdin.take().expect("piped");
    stdin.write_all(b"a\xffb\r\nwindows\r\nlast").expect("it reads");
    drop(stdin);
    let output = alice.wait_with_output().expect("it ends");
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(stdout.contains("! not sent, this line is not UTF-8: a\\xffb\n"), "{stdout}");
    assert_eq!(output.status.code(), Some(0));
    bob.expect(&["* alice joined", "alice: windows", "alice: last", "* alice left"]);
}

/// `-v` shows each frame on stderr, `-vv` also its bytes; stdout is what it always is.
pub fn views_of_frames<S: Stage>() {
    let server = ServerProgram::start::<S>(&[]);
    let address = server.address.to_string();
    for (option, hex) in [("-v", false), ("-vv", true)] {
        let mut alice = Program::start::<S>(&["client", &address, "--name", "alice", option]);
        alice.expect(&["* alice joined"]);
        let (code, _, stderr) = alice.end();
        assert_eq!(code, Some(0));
        let sent = format!("{address} -> ");
        assert!(stderr.contains(&sent) && stderr.contains(&format!("{address} <- ")), "{stderr}");
        // Each line of a dump begins with an offset.
        assert_eq!(stderr.contains("\n0000:"), hex, "{stderr}");
    }
}

/// A server that other machines can reach says so.
pub fn reachable_from_outside<S: Stage>() {
    let program = Program::start::<S>(&["server", "--listen", "0.0.0.0:0"]);
    let server = ServerProgram::from(program);
    assert!(server.address.ip().is_unspecified());
    // The log is written before the line on stdout, but read by another thread.
    let deadline = std::time::Instant::now() + crate::PATIENCE;
    while !server.program.stderr().contains("other machines") {
        assert!(std::time::Instant::now() < deadline, "no warning");
        std::thread::yield_now();
    }
}

/// Lines of a terminal, of which two are for the prompt of `--step`.
const SCREEN: usize = 24 - 2;

/// What it says while it waits.
const PROMPT: &str = "Enter goes on, q ends:";

/// The stage's tour, with what it writes among the temporary files in `folder`.
fn tour<S: Stage>(args: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(S::binary());
    command.args(args).env("TMPDIR", folder).env("TMP", folder).env_remove(KEY_LOG);
    command
}

/// The guided tour needs nobody and ends by itself, and every screen can show it.
pub fn the_tour<S: Stage>() {
    let folder = tempfile::tempdir().expect("a place for temporary files");
    let mut command = tour::<S>(&[], folder.path());
    let (code, lines, stderr) = Program::start_command(&mut command).end();
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let tour = lines.join("\n");
    let package = S::binary().file_stem().and_then(OsStr::to_str).expect("a name");
    for words in ["server", "client --name alice", "client --name bob"] {
        let command = format!("cargo run -p {package} -- {words}");
        assert!(lines.iter().any(|line| line.trim() == command), "{command} is missing:\n{tour}");
    }
    for words in ["alice", "bob", "length: ", "kind: ", "synthesised"] {
        assert!(tour.contains(words), "the tour does not mention {words}:\n{tour}");
    }

    // What somebody is to copy is not wrapped.
    let (copied, text): (Vec<_>, Vec<_>) = lines.iter().partition(|line| line.ends_with(".pcapng"));
    for line in text {
        assert!(line.chars().count() <= 80, "too wide: {line}");
        assert!(!line.contains(char::is_control), "no colour in a pipe: {line:?}");
    }
    let is_heading = |line: &String| line.starts_with(|c: char| c.is_ascii_digit());
    for page in lines.split(is_heading) {
        assert!(page.len() < SCREEN, "too long with its heading: {page:#?}");
    }

    let paths = copied.iter().filter(|line| !line.contains("wireshark ")).collect::<Vec<_>>();
    let [path] = paths[..] else { panic!("one path, on a line of its own: {copied:?}") };
    let capture = fs::read(path.trim()).expect("the capture is there");
    assert!(Path::new(path.trim()).starts_with(folder.path()), "{path}");
    assert_eq!(capture[..4], [0x0a, 0x0d, 0x0d, 0x0a], "the first block of a pcapng");
}

/// With `--step` it waits before each step, as long as there is somebody who can press Enter.
pub fn the_tour_step_by_step<S: Stage>() {
    let folder = tempfile::tempdir().expect("a place for temporary files");
    let start = || Program::start_command(&mut tour::<S>(&["--step"], folder.path()));
    let steps = |lines: &[String]| {
        let is_heading = |line: &&String| line.starts_with(|c: char| c.is_ascii_digit());
        lines.iter().filter(is_heading).count()
    };

    // Nobody there: one prompt, and then all of it.
    let (code, lines, stderr) = start().end();
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let all = steps(&lines);
    assert!(all > 3, "{lines:#?}");
    assert_eq!(lines.iter().filter(|line| line.contains(PROMPT)).count(), 1);

    // Two steps, each after an Enter; then somebody has seen enough, and nothing is left behind.
    let seen = fs::read_dir(folder.path()).expect("it can be read").count();
    let mut program = start();
    for step in 1..=2 {
        program.type_line("");
        let heading = format!("{step}. ");
        while !program.line().expect("the tour goes on").starts_with(&heading) {}
    }
    program.type_line("q");
    let (code, lines, stderr) = program.end();
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert_eq!(steps(&lines), 0, "nothing after the q: {lines:#?}");
    assert!(lines.last().is_some_and(|line| line.contains(PROMPT)), "{lines:#?}");
    assert_eq!(fs::read_dir(folder.path()).expect("it can be read").count(), seen);

    // An Enter for each.
    let mut program = start();
    for _ in 0..all {
        program.type_line("");
    }
    let (code, lines, _) = program.end();
    assert_eq!((code, steps(&lines)), (Some(0), all));
    assert_eq!(lines.iter().filter(|line| line.contains(PROMPT)).count(), all);
}

/// Who has seen enough closes the pipe, as `head` does.
pub fn the_tour_in_a_pipe_that_closes<S: Stage>() {
    let folder = tempfile::tempdir().expect("a place for temporary files");
    let mut command = tour::<S>(&["--step"], folder.path());
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut program = command.spawn().expect("the program starts");
    drop(program.stdout.take());
    // At the latest after this it writes.
    program.stdin.take().expect("piped").write_all(b"\n").ok();
    let output = program.wait_with_output().expect("it ends");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), stderr.as_ref()), (Some(0), ""));
    assert_eq!(fs::read_dir(folder.path()).expect("it can be read").count(), 0);
}

/// A step and the prompt below it are on the screen at once, in colour where that is wanted.
#[cfg(unix)]
pub fn the_tour_on_a_projector<S: Stage>() {
    let folder = tempfile::tempdir().expect("a place for temporary files");
    let mut command = tour::<S>(&[], folder.path());
    let (_, lines, _) = Program::start_command(&mut command).end();
    let headings = lines.iter().filter(|line| line.starts_with(|c: char| c.is_ascii_digit()));
    let headings = headings.collect::<Vec<_>>();
    for no_color in ["", "1"] {
        let mut command = Terminal::tour::<S>(&["--step"]);
        command.env("TMPDIR", folder.path());
        command.env("NO_COLOR", no_color);
        let mut terminal = Terminal::start_command(command, 24, 80);
        let mut step = "Stage ";
        for next in &headings {
            terminal.wait_for(format!("{step:?} and a prompt"), |screen| {
                let shown = screen.contents();
                let after = shown.split(&format!("\n{step}")).nth(1);
                after.is_some_and(|after| after.contains(PROMPT))
            });
            terminal.enter();
            step = next;
        }
        assert_eq!(terminal.end(), Some(0));
        let coloured = terminal.raw().windows(5).any(|window| window == b"[38;5");
        assert_eq!(coloured, no_color.is_empty());
    }
}
