//! The client in a terminal, as a person sees it.

use std::time::Duration;
use std::time::Instant;

use crate::Stage;
use crate::process::KEY_LOG;
use crate::process::Program;
use crate::process::ServerProgram;
use crate::session;
use crate::terminal::Key;
use crate::terminal::Terminal;
use crate::terminal::rows;

/// Rows and columns of a terminal as it has always been.
const SIZE: (u16, u16) = (24, 80);

/// How long a client may take to end.
const STOPS: Duration = Duration::from_secs(5);

/// What a client shows first.
const WELCOME: &str = "* type to talk to everyone; @help shows what else there is, Ctrl-D leaves";

/// A client in a terminal, in the room.
fn client<S: Stage>(server: &ServerProgram, name: &str) -> Terminal {
    let address = server.address.to_string();
    let terminal = Terminal::start::<S>(&["client", &address, "--name", name], SIZE.0, SIZE.1);
    terminal.wait_for_row(&format!("* {name} joined"));
    terminal.wait_for_row(&format!("{name}>"));
    terminal
}

/// A server, alice in a terminal, and bob in a pipe.
fn alice_and_bob<S: Stage>() -> (ServerProgram, Terminal, Program) {
    let server = ServerProgram::start::<S>(&[]);
    let alice = client::<S>(&server, "alice");
    let bob = server.client::<S>("bob");
    alice.wait_for_row("* bob joined");
    (server, alice, bob)
}

fn say(terminal: &Terminal, text: &str) {
    terminal.type_text(text);
    terminal.enter();
}

/// What comes while a line is typed is shown above it, and the line goes on where it was.
pub fn lines_that_come_never_tear_the_line_being_typed<S: Stage>() {
    let (_server, alice, mut bob) = alice_and_bob::<S>();
    alice.type_text("half a ");
    alice.wait_for_row("alice> half a");
    for line in ["one", "two", "three"] {
        bob.type_line(line);
    }
    alice.wait_for_row("bob: three");
    alice.wait_for_row("alice> half a");
    let expected =
        [WELCOME, "* here: alice", "* alice joined", "* bob joined", "bob: one", "bob: two"];
    let shown = session::shown::<S>(&alice);
    assert_eq!(shown[..6], expected);
    assert_eq!(shown[6..], ["bob: three", "alice> half a"]);
    assert_eq!(alice.cursor(), (session::rows::<S>() + 7, 14), "behind the blank");
    say(&alice, "line");
    bob.expect(&["alice: half a line"]);
    alice.wait_for_row("alice>");
    assert_eq!(session::shown::<S>(&alice)[7..], ["alice> half a line", "alice>"]);
}

/// The same while the cursor is inside the line, and with thousands of lines in between.
pub fn a_flood_while_somebody_types<S: Stage>() {
    const LINES: usize = 2_000;
    let (_server, alice, mut bob) = alice_and_bob::<S>();
    alice.type_text("ac");
    alice.key(Key::Left);
    for number in 0..LINES {
        bob.type_line(&number.to_string());
        if number == LINES / 2 {
            alice.type_text("b");
        }
    }
    alice.wait_for_row(&format!("bob: {}", LINES - 1));
    alice.wait_for_row("alice> abc");
    let shown = session::shown::<S>(&alice);
    let said = (0..LINES).map(|number| format!("bob: {number}"));
    let expected = said.chain(["alice> abc".to_owned()]).collect::<Vec<_>>();
    assert_eq!(shown[4..].len(), expected.len());
    for (shown, expected) in shown[4..].iter().zip(&expected) {
        assert_eq!(shown, expected);
    }
    alice.wait_for("the cursor between b and c", |screen| screen.cursor_position().1 == 9);
}

/// The cursor moves over what looks like one character, in whatever script.
pub fn editing_and_history<S: Stage>() {
    let (_server, alice, mut bob) = alice_and_bob::<S>();
    alice.type_text("ne\u{301}漢!");
    alice.wait_for_row("alice> ne\u{301}漢!");
    assert_eq!(alice.cursor().1, 7 + 5, "n, é, two for the ideograph, and the mark");
    alice.key(Key::Left);
    alice.key(Key::Backspace);
    alice.type_text("字");
    alice.key(Key::Left);
    alice.key(Key::Left);
    alice.key(Key::Delete);
    alice.key(Key::Home);
    alice.type_text("<");
    alice.key(Key::End);
    say(&alice, ">");
    bob.expect(&["alice: <n字!>"]);

    say(&alice, "second");
    bob.expect(&["alice: second"]);
    alice.type_text("third");
    for (key, row) in [
        (Key::Up, "alice> second"),
        (Key::Up, "alice> <n字!>"),
        (Key::Down, "alice> second"),
        (Key::Down, "alice> third"),
        (Key::Ctrl('a'), "alice> third"),
        (Key::Ctrl('k'), "alice>"),
        (Key::Ctrl('y'), "alice> third"),
        (Key::Ctrl('w'), "alice>"),
        (Key::Up, "alice> second"),
    ] {
        alice.key(key);
        alice.wait_for(format!("{row:?} after {key:?}"), |screen| {
            rows(screen).last().is_some_and(|last| last == row)
        });
    }
    alice.enter();
    bob.expect(&["alice: second"]);
}

/// Tab completes commands, names and groups; emoji have names.
pub fn completion<S: Stage>() {
    let (server, alice, mut bob) = alice_and_bob::<S>();
    let _bonnie = server.client::<S>("bonnie");
    alice.wait_for_row("* bonnie joined");
    alice.type_text("@gr");
    alice.key(Key::Tab);
    alice.wait_for_row("alice> @group");
    alice.type_text("set team b");
    alice.key(Key::Tab);
    alice.wait_for_row("alice> @group set team bo");
    alice.key(Key::Tab);
    alice.wait_for_row("bob  bonnie");
    alice.type_text("b");
    alice.key(Key::Tab);
    alice.wait_for_row("alice> @group set team bob");
    alice.enter();
    alice.wait_for_row("* alice made the group #team: alice, bob");
    bob.expect(&["* bonnie joined", "* alice made the group #team: alice, bob"]);
    alice.type_text("@group send t");
    alice.key(Key::Tab);
    alice.type_text("well :smi");
    alice.key(Key::Tab);
    alice.type_text("le:");
    alice.wait_for_row("alice> @group send team well 😄");
    say(&alice, " at 10:30:45");
    bob.expect(&["alice -> #team: well 😄 at 10:30:45"]);
}

/// The prompt shows name and status; who is typing is shown beside the line.
pub fn status_and_typing<S: Stage>() {
    let (server, alice, _bob) = alice_and_bob::<S>();
    say(&alice, "@status dnd");
    alice.wait_for_row("alice (dnd)>");
    let carol = client::<S>(&server, "carol");
    carol.wait_for_row("* here: alice (dnd), bob, carol");
    carol.type_text("h");
    let note = |screen: &str| screen.ends_with("carol is typing…");
    alice.wait_for("the note", |screen| rows(screen).last().is_some_and(|row| note(row)));
    say(&carol, "i");
    alice.wait_for_row("carol: hi");
    alice.wait_for_row("alice (dnd)>");
    say(&alice, "@status normal");
    alice.wait_for_row("alice>");
    assert!(!alice.scrollback_and_screen().iter().any(|row| row.contains("typing")));
}

/// Without a name, or with one that is taken, it asks, as often as needed.
pub fn a_name_is_asked_for<S: Stage>() {
    let (server, _alice, _bob) = alice_and_bob::<S>();
    let address = server.address.to_string();
    let mut carol = Terminal::start::<S>(&["client", &address], SIZE.0, SIZE.1);
    carol.wait_for_row("your name:");
    for (answer, complaint) in [
        ("a b", "! a name has 1 to 20 characters, each a letter A-Z or a-z, a digit, _ or -"),
        ("quit", "! quit is a reserved name, choose another"),
        ("ALICE", "! the name alice is taken, choose another"),
    ] {
        say(&carol, answer);
        carol.wait_for_row(complaint);
        carol.wait_for_row("your name:");
    }
    say(&carol, "carol");
    carol.wait_for_row("* here: alice, bob, carol");
    carol.wait_for_row("carol>");
    carol.key(Key::Up);
    carol.key(Key::Ctrl('d'));
    assert_eq!(carol.end(), Some(0), "a name is no line that was said: {}", carol.screen());

    // Lines that were typed for the chat are no names.
    let folder = tempfile::tempdir().expect("a folder");
    let gate = folder.path().join("gate");
    let made = std::process::Command::new("mkfifo").arg(&gate).status();
    assert!(made.expect("the system has mkfifo").success());
    let (binary, gate_name) = (S::binary().display(), gate.display());
    let options = S::options().join(" ");
    let mut shell = portable_shell();
    shell.arg(format!("cat '{gate_name}'; exec '{binary}' client {address} --name bob {options}"));
    let ahead = Terminal::start_command(shell, SIZE.0, SIZE.1);
    // So many that the question comes while they are still being read.
    ahead.type_text(&format!("{}second\r", "hello\r".repeat(200)));
    // The terminal itself shows what it has; only then does the client begin.
    ahead.wait_for_row("second");
    std::fs::write(&gate, "").expect("somebody reads it");
    ahead.wait_for_row("! the name bob is taken, choose another");
    ahead.wait_for_row("your name:");
    say(&ahead, "dave");
    ahead.wait_for_row("* dave joined");

    let mut taken = Terminal::start::<S>(&["client", &address, "--name", "bob"], SIZE.0, SIZE.1);
    taken.wait_for_row("! the name bob is taken, choose another");
    taken.wait_for_row("your name:");
    taken.key(Key::Ctrl('d'));
    assert_eq!(taken.end(), Some(1), "no name, no chat");
}

/// Ctrl-C takes back what was typed, and then leaves, like Ctrl-D and `@quit`.
pub fn leaving<S: Stage>() {
    let (_server, mut alice, mut bob) = alice_and_bob::<S>();
    alice.type_text("no");
    alice.key(Key::Ctrl('c'));
    alice.wait_for_row("alice>");
    say(&alice, "yes");
    bob.expect(&["alice: yes"]);
    alice.key(Key::Ctrl('c'));
    assert_eq!(alice.end(), Some(0));
    bob.expect(&["* alice left"]);
    assert_eq!(session::shown::<S>(&alice)[4..], ["alice> no", "alice> yes"]);
}

/// A lost server is one clear line; what was being typed stays, the terminal is as it was.
pub fn a_lost_server<S: Stage>() {
    let mut server = ServerProgram::start::<S>(&[]);
    let address = server.address.to_string();
    let mut shell = portable_shell();
    let (binary, options) = (S::binary().display(), S::options().join(" "));
    let alice = format!("'{binary}' client {address} --name alice {options}");
    shell.arg(format!("{alice}; echo code $?; stty -a"));
    let mut alice = Terminal::start_command(shell, SIZE.0, SIZE.1);
    alice.wait_for_row("alice>");
    alice.type_text("half a li");
    alice.wait_for_row("alice> half a li");
    server.program.kill();
    assert_eq!(alice.end(), Some(0));
    let shown = alice.scrollback_and_screen();
    let at = |row: &str| shown.iter().position(|shown| shown == row).expect(row);
    let lost = shown.iter().filter(|row| row.starts_with("! the server is ")).count();
    assert_eq!(lost, 1, "{shown:?}");
    assert_eq!(at("code 1"), at("alice> half a li") + 1);
    let modes = shown[at("code 1")..].join(" ");
    for mode in [" icanon", " echo ", " isig", " icrnl", " opost"] {
        assert!(modes.contains(mode), "{mode} is not set: {modes}");
    }
}

fn portable_shell() -> crate::terminal::CommandBuilder {
    let mut shell = crate::terminal::CommandBuilder::new("sh");
    shell.arg("-c");
    shell.env("TERM", "xterm-256color");
    shell.env_remove(KEY_LOG);
    shell
}

/// A client that is told to end gives the terminal back first.
pub fn a_client_that_is_told_to_end<S: Stage>() {
    let server = ServerProgram::start::<S>(&[]);
    let mut shell = portable_shell();
    let (binary, address) = (S::binary().display(), server.address);
    let client = format!("echo $$ is it; exec \"{binary}\" client {address} --name alice");
    shell.arg(format!("sh -c '{client}'; stty -a"));
    let mut alice = Terminal::start_command(shell, SIZE.0, SIZE.1);
    alice.wait_for_row("alice>");
    let shown = alice.scrollback_and_screen();
    let pid = shown.iter().find_map(|row| row.strip_suffix(" is it")).expect("its number");
    signal(pid.parse().expect("a number"), rustix::process::Signal::TERM);
    assert_eq!(alice.end(), Some(0));
    let modes = alice.scrollback_and_screen().join(" ");
    assert!(modes.contains(" icanon") && modes.contains(" echo "), "{modes}");
}

/// Also where its terminal takes nothing.
pub fn a_client_whose_terminal_takes_nothing<S: Stage>() {
    let (_server, mut alice, mut bob) = alice_and_bob::<S>();
    alice.ignore();
    // Much more than a terminal keeps.
    for number in 0..100 {
        let line = format!("{number:04000}");
        bob.type_line(&line);
    }
    bob.type_line("@names");
    bob.expect(&["* here: alice, bob"]);
    let began = Instant::now();
    signal(i32::try_from(alice.pid()).expect("a number"), rustix::process::Signal::TERM);
    assert_eq!(alice.end(), Some(1));
    assert!(began.elapsed() < STOPS, "{:?}", began.elapsed());
}

/// Who leaves a server that does nothing more can still leave.
pub fn leaving_a_server_that_sleeps<S: Stage>() {
    let (server, mut alice, _bob) = alice_and_bob::<S>();
    let pid = i32::try_from(server.program.pid()).expect("a number");
    signal(pid, rustix::process::Signal::STOP);
    // It is another process, and stops when it does.
    let stopped = rustix::process::WaitOptions::UNTRACED;
    rustix::process::waitpid(rustix::process::Pid::from_raw(pid), stopped).expect("it stops");
    alice.key(Key::Ctrl('d'));
    alice.wait_for("the end of the prompt", |screen| {
        !rows(screen).last().is_some_and(|row| row.starts_with("alice>"))
    });
    alice.wait_until_given_back();
    alice.key(Key::Ctrl('c'));
    assert_eq!(alice.end(), Some(1));
}

fn signal(pid: i32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid).expect("a process");
    rustix::process::kill_process(pid, signal).expect("it runs");
}

/// A paste comes through whole, without another key: a long text, and many lines.
pub fn a_paste<S: Stage>() {
    let (_server, alice, mut bob) = alice_and_bob::<S>();
    let text = "0123456789".repeat(400);
    alice.paste(&text);
    alice.enter();
    bob.expect(&[&format!("alice: {text}")]);
    let lines = (0..200).map(|number| format!("line {number}\n")).collect::<String>();
    alice.paste(&lines.replace('\n', "\r"));
    for number in 0..200 {
        bob.expect(&[&format!("alice: line {number}")]);
    }
}

/// A server that ends politely says so, and that is all.
pub fn a_server_that_stops<S: Stage>() {
    let (server, mut alice, _bob) = alice_and_bob::<S>();
    server.program.ctrl_c();
    assert_eq!(alice.end(), Some(1));
    assert_eq!(session::shown::<S>(&alice)[4..], ["! the server stops"]);
}

/// Ctrl-Z and back: the terminal is the shell's meanwhile.
pub fn to_the_background_and_back<S: Stage>() {
    let server = ServerProgram::start::<S>(&[]);
    let mut bob = server.client::<S>("bob");
    let mut shell = crate::terminal::CommandBuilder::new("sh");
    shell.env_remove(KEY_LOG);
    shell.arg("-i");
    shell.env("TERM", "xterm-256color");
    shell.env("PS1", "$ ");
    shell.env_remove("ENV");
    let shell = Terminal::start_command(shell, SIZE.0, SIZE.1);
    shell.wait_for_row("$");
    let address = server.address;
    let (binary, options) = (S::binary().display(), S::options().join(" "));
    say(&shell, &format!("clear; '{binary}' client {address} --name alice {options}"));
    shell.wait_for_row("alice>");
    shell.type_text("half");
    shell.key(Key::Ctrl('z'));
    shell.wait_for_row("$");
    bob.type_line("are you there?");
    say(&shell, "echo meanwhile");
    shell.wait_for_row("meanwhile");
    say(&shell, "fg");
    shell.wait_for_row("bob: are you there?");
    shell.wait_for_row("alice> half");
    say(&shell, " and half");
    bob.expect(&["* alice joined", "alice: half and half"]);
    shell.key(Key::Ctrl('d'));
    bob.expect(&["* alice left"]);
}

/// Colours are for those who want them.
pub fn colours<S: Stage>() {
    let server = ServerProgram::start::<S>(&[]);
    let address = server.address.to_string();
    let start = |name: &str, variable: (&str, &str)| {
        let mut command = Terminal::command::<S>(&["client", &address, "--name", name]);
        command.env(variable.0, variable.1);
        let terminal = Terminal::start_command(command, SIZE.0, SIZE.1);
        terminal.wait_for_row(&format!("* {name} joined"));
        terminal
    };
    let (alice, bob) = (start("alice", ("NO_COLOR", "1")), start("bob", ("NO_COLOR", "")));
    let dumb = start("carol", ("TERM", "dumb"));
    alice.wait_for_row("* carol joined");
    bob.wait_for_row("* carol joined");
    say(&dumb, "hi");
    say(&alice, "@nosuch");
    alice.wait_for_row("carol: hi");
    bob.wait_for_row("carol: hi");
    alice.wait_for("an error", |screen| rows(screen).iter().any(|row| row.starts_with("! ")));
    let is_coloured = |terminal: &Terminal| {
        let raw = terminal.raw();
        raw.windows(5).any(|window| window == b"[38;5")
    };
    assert!(!is_coloured(&alice) && is_coloured(&bob));
    // What a terminal without any abilities gets is plain lines.
    assert!(!dumb.raw().contains(&0x1b));
    dumb.wait_for_row("hi");
}

/// The row that is typed keeps its cursor in sight at any width.
pub fn other_sizes<S: Stage>() {
    let (_server, alice, mut bob) = alice_and_bob::<S>();
    let long = "0123456789".repeat(9);
    alice.type_text(&long);
    // As it is on the screen: rows that were too long for a moment count as wrapped.
    let last = |screen: &vt100::Screen| {
        let rows = screen.rows(0, screen.size().1.get()).filter(|row| !row.trim().is_empty());
        rows.last().unwrap_or_default().trim_end().to_owned()
    };
    alice.wait_for("the end of a long line", |screen| {
        let row = last(screen);
        row.starts_with("alice> …") && row.ends_with("89") && row.chars().count() < 80
    });
    for cols in [50, 20, 4, 1, 120] {
        alice.resize(24, cols);
        alice.wait_for(format!("the cursor in {cols} columns"), |screen| {
            let (_, col) = screen.cursor_position();
            let row = last(screen);
            match cols {
                120 => row == format!("alice> {long}") && usize::from(col) == 7 + long.len(),
                50 => row.ends_with("89") && row.starts_with("alice> …"),
                20 => row.ends_with("89") && row.starts_with("> …"),
                _ => true,
            }
        });
        bob.type_line(&format!("in {cols} columns"));
    }
    alice.wait_for_row("bob: in 120 columns");
    alice.enter();
    bob.expect(&[&format!("alice: {long}")]);
}

/// A terminal that does not know its size is taken for one of 80 columns.
pub fn no_size<S: Stage>() {
    let server = ServerProgram::start::<S>(&[]);
    let mut shell = portable_shell();
    let (binary, address) = (S::binary().display(), server.address);
    let options = S::options().join(" ");
    shell.arg(format!(
        "stty rows 0 cols 0; exec '{binary}' client {address} --name alice {options}"
    ));
    let alice = Terminal::start_command(shell, SIZE.0, SIZE.1);
    alice.wait_for_row("* alice joined");
    alice.wait_for_row("alice>");
}

/// What is longer than a row is broken between words, and `@help` is not longer.
pub fn long_texts<S: Stage>() {
    let (_server, alice, mut bob) = alice_and_bob::<S>();
    let words = "word ".repeat(40);
    bob.type_line(&words);
    alice.wait_for_row(&format!("bob: {}", "word ".repeat(15).trim_end()));
    alice.wait_for_row(&format!("  {}", "word ".repeat(15).trim_end()));
    alice.wait_for_row(&format!("  {}", "word ".repeat(10).trim_end()));
    say(&alice, "@help");
    alice.wait_for_row("*   @quit                        leaves the chat; so does Ctrl-D");
    let screen = alice.screen();
    for row in screen.lines().filter(|row| row.contains("   @") || row.contains("> @")) {
        assert!(row.starts_with("*   @") || row.starts_with("alice> @"), "{row:?} is broken");
    }
}

/// What `-v` shows goes above the line, too.
pub fn frames_above_the_line<S: Stage>() {
    let server = ServerProgram::start::<S>(&[]);
    let address = server.address.to_string();
    let alice = Terminal::start::<S>(&["client", &address, "--name", "alice", "-v"], SIZE.0, 120);
    alice.wait_for_row("alice>");
    let mut bob = server.client::<S>("bob");
    alice.type_text("half");
    bob.type_line("hi");
    alice.wait_for_row("bob: hi");
    alice.wait_for_row("alice> half");
    let shown = alice.scrollback_and_screen();
    let frames = shown.iter().filter(|row| row.starts_with(&address)).count();
    assert!(frames >= 4, "{shown:?}");
    let (sessions, shown) = shown.into_iter().partition::<Vec<_>, _>(|row| {
        let mut said = S::says().iter().filter(|beginning| !beginning.starts_with(' '));
        let is_session = row.starts_with("session: ") || row.starts_with("warning: ");
        S::session().is_some() && (is_session || said.any(|beginning| row.starts_with(beginning)))
    });
    let more = S::says().iter().filter(|beginning| beginning.starts_with(' ')).count();
    assert_eq!(sessions.len() + more, usize::from(session::rows::<S>()), "{sessions:?}");
    for row in &shown {
        // Frames of more than a row go on below, by two columns to the right.
        let starts = ["* ", "bob: hi", "alice> half", "  ", &address];
        assert!(starts.iter().any(|start| row.starts_with(start)), "{row:?} in {shown:?}");
    }
}
