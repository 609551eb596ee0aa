//! Logging in, with the programs as people start them: what succeeds, what does not, and what is said.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what is around the tests is tests too"
)]

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use suite::process::Program;
use suite::process::ServerProgram;
use tempfile::TempDir;
use tempfile::tempdir;

const BINARY: &str = env!("CARGO_BIN_EXE_stage5_file_secure");
const VARIABLE: &str = "CHAT_PASSWORD";
const NOBODY: &str = "! wrong name or password";
const NOBODY_NEW: &str = "! wrong password, or not your server";

/// A folder for the state of everybody, and for passwords. It vanishes with the test.
struct Place(TempDir);

impl Place {
    fn new() -> Place {
        Place(tempdir().unwrap())
    }

    /// With accounts, whose passwords are `NAME's password`.
    fn with_accounts(names: &[&str]) -> Place {
        let place = Place::new();
        for name in names {
            let made = place.account(&["adduser", name], &format!("{name}'s password"));
            assert_eq!(made.0, Some(0), "{}", made.2);
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A private file with a password; the line behind it is not one.
    fn password(&self, password: &str) -> String {
        let path = self.path(&format!("{}.password", common::hex::hex(password.as_bytes())));
        // A client may be reading it.
        if !path.exists() {
            write(&path, &format!("{password}\nanother line\n"));
        }
        path.to_str().unwrap().to_owned()
    }

    /// The program with these words, and a folder for its state if it keeps one.
    fn command(&self, words: &[&str], state: Option<&str>) -> Command {
        let mut command = Command::new(BINARY);
        command.args(words).env_remove(VARIABLE);
        if let Some(state) = state {
            command.arg("--state").arg(self.path(state));
        }
        command
    }

    /// A command of the operator, to its end.
    fn account(&self, words: &[&str], password: &str) -> (Option<i32>, Vec<String>, String) {
        let file = self.password(password);
        let mut command = self.command(words, None);
        command.arg("--users").arg(self.path("users")).args(["--password-file", &file]);
        Program::start_command(&mut command).end()
    }

    fn server(&self, words: &[&str]) -> ServerProgram {
        let words = [&["server", "--listen", "127.0.0.1:0"], words].concat();
        Program::start_command(&mut self.command(&words, Some("server"))).into()
    }

    /// For those who have accounts.
    fn server_of_accounts(&self) -> ServerProgram {
        self.server(&["--users", self.path("users").to_str().unwrap()])
    }

    /// Somebody's client, with state of their own.
    fn client(&self, server: &ServerProgram, state: &str, words: &[&str]) -> Program {
        let address = server.address.to_string();
        let words = [&["client", &address], words].concat();
        Program::start_command(&mut self.command(&words, Some(state)))
    }

    /// Somebody logs in, or tries to.
    fn login(&self, server: &ServerProgram, name: &str, password: &str) -> Program {
        let file = self.password(password);
        self.client(server, name, &["--login", name, "--password-file", &file])
    }

    fn known_servers(&self, state: &str) -> PathBuf {
        self.path(state).join("known_servers")
    }
}

/// A file that is nobody else's.
fn write(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    mode(path, 0o600);
}

fn mode(path: &Path, mode: u32) {
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    #[cfg(not(unix))]
    let _ = (path, mode);
}

/// A client comes in and leaves; what it said on stderr.
#[track_caller]
fn comes_in(mut client: Program, name: &str) -> String {
    client.expect(&[&format!("* {name} joined")]);
    let (code, _, stderr) = client.end();
    assert_eq!(code, Some(0), "{stderr}");
    stderr
}

/// A client does not come in; what it showed.
#[track_caller]
fn stays_out(client: Program) -> String {
    let (code, lines, stderr) = client.end();
    assert_eq!(code, Some(1), "{stderr}");
    let shown = lines.join("\n");
    assert!(shown.starts_with("! ") && !shown.contains("joined"), "{shown}");
    shown
}

/// The whole log of a server, which ends.
fn log(server: ServerProgram) -> String {
    let mut program = server.program;
    #[cfg(unix)]
    program.ctrl_c();
    #[cfg(not(unix))]
    program.kill();
    program.end_input();
    program.end().2
}

#[test]
fn a_right_password_a_wrong_one_and_an_unknown_name() {
    let place = Place::with_accounts(&["alice"]);
    let server = place.server_of_accounts();
    // At the first contact it is not certain that it is the right server; from the second on it is.
    let shown = stays_out(place.login(&server, "alice", "alice's passwort"));
    assert_eq!(shown, NOBODY_NEW);
    assert!(!place.known_servers("alice").exists());
    let stderr = comes_in(place.login(&server, "alice", "alice's password"), "alice");
    assert!(stderr.contains("new here, remembered if it knows your password"), "{stderr}");
    let known = fs::read_to_string(place.known_servers("alice")).unwrap();
    assert!(known.starts_with(&format!("{} ", server.address)), "{known}");
    let stderr = comes_in(place.login(&server, "alice", "alice's password"), "alice");
    assert!(stderr.contains("server key: known"), "{stderr}");
    let shown = stays_out(place.login(&server, "alice", "alice's passwort"));
    assert_eq!(shown, NOBODY);

    // Who has no account is told the same.
    assert_eq!(stays_out(place.login(&server, "nobody", "alice's password")), NOBODY_NEW);
    fs::create_dir(place.path("nobody")).unwrap();
    write(&place.known_servers("nobody"), &known);
    assert_eq!(stays_out(place.login(&server, "nobody", "alice's password")), NOBODY);
    // The operator is told who it was.
    let log = log(server);
    for name in ["alice", "nobody"] {
        assert_eq!(log.matches(&format!("{name} did not log in")).count(), 2, "{log}");
    }
    assert!(!log.contains("alice's pass"), "{log}");
}

#[test]
fn who_says_nothing_of_a_password_is_told_what_to_say() {
    let place = Place::with_accounts(&["alice"]);
    let server = place.server_of_accounts();
    let shown = stays_out(place.client(&server, "alice", &["--name", "alice"]));
    assert_eq!(shown, "! this server asks for a password: add --login NAME");
    assert!(!place.known_servers("alice").exists());
    // Nobody can be asked.
    let (code, _, stderr) = place.client(&server, "alice", &["--login", "alice"]).end();
    assert_eq!(code, Some(1));
    assert!(stderr.contains("--password-file"), "{stderr}");
    assert!(!log(server).contains("joined"));
}

#[test]
fn one_password_for_a_room() {
    let place = Place::new();
    let (right, wrong) = (place.password("correct horse"), place.password("correct donkey"));
    let server = place.server(&["--password-file", &right]);
    for (name, how) in [("alice", "--login"), ("bob", "--name")] {
        let client = place.client(&server, name, &[how, name, "--password-file", &right]);
        comes_in(client, name);
        assert!(place.known_servers(name).exists());
    }
    let client = place.client(&server, "carol", &["--name", "carol", "--password-file", &wrong]);
    assert_eq!(stays_out(client), NOBODY_NEW);
    let client = place.client(&server, "carol", &["--name", "carol"]);
    assert!(stays_out(client).starts_with("! this server asks for a password"));

    // The same from the environment, on both sides.
    let mut command = place.command(&["server", "--listen", "127.0.0.1:0"], Some("server"));
    let server = ServerProgram::from(Program::start_command(command.env(VARIABLE, "from outside")));
    let address = server.address.to_string();
    let client = |password| {
        let mut command = place.command(&["client", &address, "--name", "dave"], Some("dave"));
        Program::start_command(command.env(VARIABLE, password))
    };
    comes_in(client("from outside"), "dave");
    assert_eq!(stays_out(client("from inside")), NOBODY);
}

#[test]
fn a_server_that_asks_for_nothing_is_not_the_one_that_a_password_is_for() {
    let place = Place::new();
    let server = place.server(&[]);
    let file = place.password("correct horse");
    for how in ["--login", "--name"] {
        let client = place.client(&server, "alice", &[how, "alice", "--password-file", &file]);
        let shown = stays_out(client);
        assert!(shown.starts_with("! this server asks for no password"), "{shown}");
        assert!(!place.known_servers("alice").exists());
    }
    let stderr = comes_in(place.client(&server, "alice", &["--name", "alice"]), "alice");
    assert!(stderr.contains("TAKEN ON TRUST"), "{stderr}");
    assert!(place.known_servers("alice").exists());
}

#[test]
fn an_account_has_a_name() {
    let place = Place::with_accounts(&["alice"]);
    let server = place.server_of_accounts();
    let file = place.password("alice's password");
    let words = ["--login", "alice", "--password-file", &file, "--name"];
    let (code, _, stderr) = place.client(&server, "alice", &[&words[..], &["bob"]].concat()).end();
    assert_eq!(code, Some(2), "{stderr}");
    assert!(stderr.contains("who logs in as alice is not called bob"), "{stderr}");
    comes_in(place.client(&server, "alice", &[&words[..], &["alice"]].concat()), "alice");
}

#[test]
fn what_proves_nothing_does_not_go_with_a_login() {
    let place = Place::with_accounts(&["alice"]);
    let file = place.password("alice's password");
    let users = place.path("users").to_str().unwrap().to_owned();
    let key = "1".repeat(64);
    let (server, client) = (["server", "--listen", "127.0.0.1:0"], ["client", "127.0.0.1:1"]);
    let alice = ["--name", "alice"];
    for suite in [["--kex", "x25519"], ["--cipher", "aes-256-gcm"]] {
        for words in [
            [&server[..], &["--users", &users], &suite].concat(),
            [&server[..], &["--password-file", &file], &suite].concat(),
            [&client[..], &["--login", "alice"], &suite].concat(),
            [&client[..], &alice, &["--password-file", &file], &suite].concat(),
            [&client[..], &alice, &["--server-key", &key], &suite].concat(),
        ] {
            let mut command = place.command(&words, Some("alice"));
            let (code, lines, stderr) = Program::start_command(&mut command).end();
            assert_eq!(code, Some(2), "{words:?}: {lines:?} {stderr}");
            assert!(stderr.contains("with --kex or --cipher nobody is authenticated"), "{stderr}");
        }
        for words in [[&server[..], &suite].concat(), [&client[..], &alice, &suite].concat()] {
            let mut command = place.command(&words, Some("alice"));
            let (code, ..) = Program::start_command(command.env(VARIABLE, "correct horse")).end();
            assert_eq!(code, Some(2), "{words:?}");
        }
    }
    assert!(!place.path("alice").exists());
}

#[test]
fn accounts_change_while_the_server_runs() {
    let place = Place::with_accounts(&["alice"]);
    let server = place.server_of_accounts();
    assert_eq!(stays_out(place.login(&server, "bob", "bob's password")), NOBODY_NEW);
    let (code, lines, _) = place.account(&["adduser", "bob"], "bob's password");
    assert_eq!((code, lines.len()), (Some(0), 1));
    comes_in(place.login(&server, "bob", "bob's password"), "bob");
    let (code, _, stderr) = place.account(&["adduser", "BOB"], "another");
    assert_eq!(code, Some(1), "{stderr}");

    let (code, ..) = place.account(&["passwd", "alice"], "a new one");
    assert_eq!(code, Some(0));
    assert_eq!(stays_out(place.login(&server, "alice", "alice's password")), NOBODY_NEW);
    comes_in(place.login(&server, "alice", "a new one"), "alice");

    let operator = |words: &[&str]| {
        let mut command = place.command(words, None);
        Program::start_command(command.arg("--users").arg(place.path("users"))).end()
    };
    assert_eq!(operator(&["users"]).1, ["alice", "bob"]);
    assert_eq!(operator(&["deluser", "bob"]).0, Some(0));
    assert_eq!(operator(&["users"]).1, ["alice"]);
    assert_eq!(operator(&["deluser", "bob"]).0, Some(1));
    assert_eq!(stays_out(place.login(&server, "bob", "bob's password")), NOBODY);

    // While it is broken nobody logs in, and the server is still there when it is not.
    let text = fs::read_to_string(place.path("users")).unwrap();
    write(&place.path("users"), &text.replace("alice ", "alice  "));
    stays_out(place.login(&server, "alice", "a new one"));
    write(&place.path("users"), &text);
    comes_in(place.login(&server, "alice", "a new one"), "alice");
    let log = log(server);
    assert!(log.contains(&format!("{}, line 2: ", place.path("users").display())), "{log}");
}

#[test]
fn known_servers_missing_and_empty() {
    let place = Place::with_accounts(&["alice"]);
    let server = place.server_of_accounts();
    let path = place.known_servers("alice");
    comes_in(place.login(&server, "alice", "alice's password"), "alice");
    let known = fs::read_to_string(&path).unwrap();
    write(&path, "");
    comes_in(place.login(&server, "alice", "alice's password"), "alice");
    assert_eq!(fs::read_to_string(&path).unwrap(), known);
    // Without an end of the last line, and with something that a person wrote.
    let elsewhere = "2".repeat(64);
    write(&path, &format!("# mine\n\nelsewhere.example:7005 {elsewhere}"));
    comes_in(place.login(&server, "alice", "alice's password"), "alice");
    let expected = format!("# mine\n\nelsewhere.example:7005 {elsewhere}\n{known}");
    assert_eq!(fs::read_to_string(&path).unwrap(), expected);
}

#[test]
fn known_servers_that_cannot_be_used_are_an_error_before_the_name_is_said() {
    let place = Place::with_accounts(&["alice"]);
    let server = place.server_of_accounts();
    let path = place.known_servers("alice");
    let fails = |words: &str| {
        let shown = stays_out(place.login(&server, "alice", "alice's password"));
        assert!(shown.contains(words), "{shown} does not say: {words}");
        assert!(shown.contains(&path.display().to_string()), "{shown}");
    };
    fs::create_dir_all(&path).unwrap();
    fails("is not a file");
    fs::remove_dir(&path).unwrap();
    fs::write(&path, [0xff, b'\n']).unwrap();
    mode(&path, 0o600);
    fails("cannot read ");
    write(&path, "# mine\n127.0.0.1:7005 123\n");
    fails("line 2: HOST:PORT, a space and 64 hexadecimal digits belong there");
    assert_eq!(fs::read_to_string(&path).unwrap(), "# mine\n127.0.0.1:7005 123\n");
    #[cfg(unix)]
    {
        write(&path, "");
        mode(&path, 0o666);
        fails("chmod 600");
        fails("--state DIR");
        // Who may only read it does no harm.
        mode(&path, 0o644);
        comes_in(place.login(&server, "alice", "alice's password"), "alice");
        // A link is not followed.
        fs::rename(&path, place.path("elsewhere")).unwrap();
        std::os::unix::fs::symlink(place.path("elsewhere"), &path).unwrap();
        fails("only a link");
    }
    let log = log(server);
    let comings = if cfg!(unix) { 1 } else { 0 };
    assert_eq!(log.matches("alice").count(), 2 * comings, "only who came and left: {log}");
}

#[test]
fn a_key_that_has_changed_is_said_so_that_nobody_misses_it() {
    let place = Place::with_accounts(&["alice"]);
    let server = place.server_of_accounts();
    let path = place.known_servers("alice");
    comes_in(place.login(&server, "alice", "alice's password"), "alice");
    let known = fs::read_to_string(&path).unwrap();
    let (_, key) = known.trim_end().split_once(' ').unwrap();
    let other = "3".repeat(64);
    let changed = format!("# the second line\n{}", known.replace(key, &other));
    write(&path, &changed);

    let shown = stays_out(place.login(&server, "alice", "alice's password"));
    let fingerprint = |digits: &str| state::key::fingerprint(&state::key::parse(digits).unwrap());
    for words in [
        &format!("THE SERVER AT {} HAS ANOTHER KEY", server.address),
        "It was told nothing, neither your name nor your password",
        &format!("it was {} ({}, line 2)", fingerprint(&other), path.display()),
        &format!("and is {} now", fingerprint(key)),
    ] {
        assert!(shown.contains(words), "{shown} does not say: {words}");
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), changed);

    // Who was given the key relies on nothing else.
    let file = place.password("alice's password");
    let login = ["--login", "alice", "--password-file", &file];
    let pinned =
        |key| place.client(&server, "alice", &[&login[..], &["--server-key", key]].concat());
    comes_in(pinned(key), "alice");
    let shown = stays_out(pinned(&other));
    let was = format!("HAS ANOTHER KEY: it was {} (--server-key)", fingerprint(&other));
    assert!(shown.contains(&was) && shown.contains(&fingerprint(key)), "{shown}");
    let (code, ..) = pinned("123").end();
    assert_eq!(code, Some(2));

    // What the operator reads at the server is what its clients see.
    let log = log(server);
    assert!(log.contains(&fingerprint(key)), "{log}");
    assert!(log.contains(&format!("--server-key\n  {key}\n")), "{log}");
    assert_eq!(log.matches("alice: joined").count(), 2, "{log}");
    // It is the same at the next start.
    let server = place.server_of_accounts();
    let log = self::log(server);
    assert!(log.contains(key), "{log}");
}

#[cfg(unix)]
#[test]
fn a_servers_key_that_others_may_read_is_none() {
    let place = Place::new();
    let server = place.server(&[]);
    drop(log(server));
    let path = place.path("server/server_key");
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777, 0o600);
    mode(&path, 0o640);
    let mut command = place.command(&["server", "--listen", "127.0.0.1:0"], Some("server"));
    let (code, _, stderr) = Program::start_command(&mut command).end();
    assert_eq!(code, Some(1), "{stderr}");
    assert!(stderr.contains("chmod 600") && stderr.contains("--state DIR"), "{stderr}");
}

#[test]
fn clients_that_share_a_file_of_known_servers_lose_nothing() {
    let names = ["alice", "bob", "carol", "dave"];
    let place = Place::with_accounts(&names);
    let servers = [place.server_of_accounts(), place.server_of_accounts()];
    // All of them meet both servers for the first time, at once.
    let logins = names.iter().flat_map(|name| servers.iter().map(move |server| (server, name)));
    let clients = logins.map(|(server, name)| {
        let file = place.password(&format!("{name}'s password"));
        (place.client(server, "shared", &["--login", name, "--password-file", &file]), name)
    });
    for (client, name) in clients.collect::<Vec<_>>() {
        let mut client = client;
        while client.line().unwrap() != format!("* {name} joined") {}
        assert_eq!(client.end().0, Some(0));
    }
    let known = fs::read_to_string(place.known_servers("shared")).unwrap();
    let mut known = known.lines().map(|line| line.split_once(' ').unwrap().0).collect::<Vec<_>>();
    known.sort_unstable();
    let mut addresses = servers.each_ref().map(|server| server.address.to_string());
    addresses.sort_unstable();
    assert_eq!(known, addresses);
}

#[cfg(unix)]
mod unix {
    use std::thread;
    use std::time::Duration;
    use std::time::Instant;

    use suite::PATIENCE;
    use suite::terminal::CommandBuilder;
    use suite::terminal::Key;
    use suite::terminal::Terminal;
    use suite::terminal::prepare;
    use suite::terminal::rows;

    use super::*;

    /// What is asked.
    const PASSWORD: &str = "password:";
    /// How long a program may take to end.
    const SOON: Duration = Duration::from_secs(2);

    /// The program with these words, in a terminal.
    fn terminal(words: &[&str]) -> Terminal {
        let mut command = CommandBuilder::new(BINARY);
        command.args(words);
        prepare(&mut command);
        command.env_remove(VARIABLE);
        Terminal::start_command(command, 24, 80)
    }

    fn text(path: &Path) -> String {
        path.to_str().unwrap().to_owned()
    }

    fn client(place: &Place, address: SocketAddr, name: &str) -> Terminal {
        let (address, state) = (address.to_string(), text(&place.path(name)));
        terminal(&["client", &address, "--login", name, "--state", &state])
    }

    /// Waits until this is what is asked now, and answers it.
    #[track_caller]
    fn answer(terminal: &Terminal, question: &str, text: &str) {
        is_asked(terminal, question);
        terminal.type_text(text);
        terminal.enter();
    }

    #[track_caller]
    fn is_asked(terminal: &Terminal, question: &str) {
        terminal.wait_for(format!("at the end {question:?}"), |screen| {
            rows(screen).last().is_some_and(|last| last == question)
        });
    }

    /// Nothing that was typed as a password was ever written to the terminal.
    #[track_caller]
    fn never_showed(terminal: &Terminal, passwords: &[&str]) {
        let raw = String::from_utf8_lossy(&terminal.raw()).into_owned();
        assert!(!passwords.iter().any(|password| raw.contains(password)), "{raw}");
    }

    #[test]
    fn a_password_is_asked_for_and_not_shown() {
        let place = Place::with_accounts(&["alice"]);
        let server = place.server_of_accounts();
        let mut alice = client(&place, server.address, "alice");
        answer(&alice, PASSWORD, "quatsch");
        // A wrong one is asked for again.
        alice.wait_for_row(NOBODY_NEW);
        answer(&alice, PASSWORD, "alice's password");
        alice.wait_for_row("* alice joined");
        alice.wait_for_row("alice>");
        alice.type_text("hello");
        alice.wait_for_row("alice> hello");
        alice.enter();
        // No password is a line that was said.
        alice.key(Key::Up);
        alice.wait_for_row("alice> hello");
        alice.key(Key::Up);
        alice.wait_for_row("alice> hello");
        alice.key(Key::Ctrl('c'));
        alice.key(Key::Ctrl('d'));
        alice.end();
        never_showed(&alice, &["quatsch", "alice's password"]);
        assert!(place.known_servers("alice").exists());
    }

    #[test]
    fn who_does_not_want_to_say_a_password_leaves() {
        let place = Place::with_accounts(&["alice"]);
        let server = place.server_of_accounts();
        let mut alice = client(&place, server.address, "alice");
        is_asked(&alice, PASSWORD);
        alice.key(Key::Ctrl('d'));
        assert_eq!(alice.end(), Some(0), "nothing has failed");
        let mut alice = client(&place, server.address, "alice");
        answer(&alice, PASSWORD, "quatsch");
        alice.wait_for_row(NOBODY_NEW);
        is_asked(&alice, PASSWORD);
        alice.key(Key::Ctrl('d'));
        assert_eq!(alice.end(), Some(1), "a login has");
        never_showed(&alice, &["quatsch"]);
        assert!(!log(server).contains("joined"));
    }

    #[test]
    fn a_new_password_is_asked_for_twice() {
        let place = Place::new();
        let users = text(&place.path("users"));
        let adduser = |first: &str, second: &str| {
            let mut terminal = terminal(&["adduser", "alice", "--users", &users]);
            answer(&terminal, PASSWORD, first);
            answer(&terminal, "the same again:", second);
            let code = terminal.end();
            never_showed(&terminal, &[first, second]);
            (code, terminal.screen())
        };
        let (code, shown) = adduser("first secret", "second secret");
        assert_eq!(code, Some(1), "{shown}");
        assert!(shown.contains("two different passwords; nothing was changed"), "{shown}");
        assert!(!place.path("users").exists());
        let (code, shown) = adduser("my own secret", "my own secret");
        assert_eq!(code, Some(0), "{shown}");
        assert!(shown.contains("alice has an account in"), "{shown}");
        let server = place.server_of_accounts();
        comes_in(place.login(&server, "alice", "my own secret"), "alice");

        // Where nobody can be asked, it says so.
        let command = &mut place.command(&["adduser", "bob", "--users", &users], None);
        let (code, _, stderr) = Program::start_command(command).end();
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains("--password-file"), "{stderr}");
    }

    #[test]
    fn a_server_that_stops_does_not_wait_for_a_login_that_is_delayed() {
        let place = Place::with_accounts(&["alice"]);
        let server = place.server_of_accounts();
        // So many at once that the last ones have to wait for seconds.
        let attempt = |number: usize| {
            let file = place.password("quatsch");
            let login = ["--login", "alice", "--password-file", &file];
            place.client(&server, &format!("alice{number}"), &login)
        };
        let attempts = (0..6).map(attempt).collect::<Vec<_>>();
        for attempt in &attempts {
            // It has met the server, and waits; the last of them for 3.1 s in all.
            let deadline = Instant::now() + PATIENCE;
            while !attempt.stderr().contains("server key: ") {
                assert!(Instant::now() < deadline, "{}", attempt.stderr());
                // Nothing tells when a program has written something.
                thread::park_timeout(Duration::from_millis(5));
            }
        }
        let start = Instant::now();
        assert!(!log(server).contains("joined"));
        assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
        for attempt in attempts {
            assert_eq!(attempt.end().0, Some(1));
        }
        assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    }
}
