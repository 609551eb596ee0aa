//! Secrets: `@secret` and `@open`, between people who know a key that the server does not.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::net::SocketAddr;

use common::stream::Listener;
use serde_json::Value;
use serde_json::json;

use crate::Limits;
use crate::Stage;
use crate::hostile::hostile_server;
use crate::peer::Peer;
use crate::process::Program;
use crate::process::ServerProgram;
use crate::server::Server;
#[cfg(unix)]
use crate::terminal::Key;
#[cfg(unix)]
use crate::terminal::Terminal;
#[cfg(unix)]
use crate::terminal::rows;

/// What two people know, and what one of them has to say to the other.
const KEY: &str = "correct-horse-battery";
const TEXT: &str = "meet me at noon, Grüße 👩";

/// Bytes of a secret that are not its text: salt, nonce and tag.
const SEAL: usize = 16 + 12 + 16;

/// What could be a secret of a text of so many bytes, and nobody can open.
fn made_up(text: usize) -> String {
    "5e".repeat(SEAL + text)
}

fn secret(to: &str, sealed: &str) -> Value {
    json!({"type": "secret", "to": to, "sealed": sealed})
}

/// From one to another, opened with the key and with no other; a third sees nothing.
pub fn told_and_opened<S: Stage>() {
    let server = ServerProgram::start::<S>(&[]);
    let [mut alice, mut bob, mut carol] =
        ["alice", "bob", "carol"].map(|name| server.client::<S>(name));
    alice.expect(&["* bob joined", "* carol joined"]);
    bob.expect(&["* carol joined"]);

    // A name is a name in any case.
    for (number, name) in (1..).zip(["bob", "BOB"]) {
        alice.type_line(&format!("@secret {name} {KEY} {TEXT}"));
        alice.expect(&["* your secret is on its way to bob"]);
        bob.expect(&[&format!("* secret {number} from alice: @open {number} KEY")]);
        for wrong in ["wrong", &KEY.to_uppercase(), &format!("{KEY}.")] {
            bob.type_line(&format!("@open {number} {wrong}"));
            bob.expect_prefix(&format!("! secret {number} is not opened: "));
        }
        // It stays, however often it was tried.
        for _ in 0..2 {
            bob.type_line(&format!("@open {number} {KEY}"));
            bob.expect(&[&format!("alice -> bob (secret {number}): {TEXT}")]);
        }
    }
    // Each counts what has come to them.
    bob.type_line("@secret alice k back to you");
    bob.expect(&["* your secret is on its way to alice"]);
    alice.expect(&["* secret 1 from bob: @open 1 KEY"]);
    alice.type_line("@open 1 k");
    alice.expect(&["bob -> alice (secret 1): back to you"]);

    carol.type_line("@open 1 k");
    carol.expect(&["! there is no secret 1"]);
    carol.type_line("@names");
    carol.expect(&["* here: alice, bob, carol"]);
}

/// What is wrong is answered with what is right, and nothing is sent.
pub fn misuse<S: Stage>() {
    let server = ServerProgram::start::<S>(&[]);
    let mut alice = server.client::<S>("alice");
    let mut bob = server.client::<S>("bob");
    alice.expect(&["* bob joined"]);
    for (typed, answer) in [
        ("@secret", "! the right form is: @secret NAME KEY text"),
        ("@secret bob", "! the right form is: @secret NAME KEY text"),
        ("@secret bob key", "! the right form is: @secret NAME KEY text"),
        ("@secret b*b key text", "! not sent, b*b: a name has 1 to 20 characters"),
        ("@secret erin key text", "! nobody here is called erin"),
        ("@secret ALICE key text", "! that is you"),
        (&format!("@secret bob key {}", "x".repeat(4097)), "! not sent: the text has 4097 bytes"),
        ("@open", "! the right form is: @open N KEY"),
        ("@open 1", "! the right form is: @open N KEY"),
        ("@open one key", "! the right form is: @open N KEY"),
        ("@open -1 key", "! the right form is: @open N KEY"),
        ("@open 1 two words", "! the right form is: @open N KEY"),
        ("@open 99999999999999999999999 key", "! the right form is: @open N KEY"),
        ("@open 0 key", "! there is no secret 0"),
        ("@open 1 key", "! there is no secret 1"),
    ] {
        alice.type_line(typed);
        alice.expect_prefix(answer);
    }
    // The longest text is as long as any other, and who is away may answer later.
    let longest = "x".repeat(4096);
    bob.type_line("@status away");
    bob.expect(&["* bob is away"]);
    alice.expect(&["* bob is away"]);
    alice.type_line(&format!("@secret bob key {longest}"));
    alice.expect(&["* your secret is on its way to bob", "* bob is away and may answer later"]);
    bob.expect(&["* secret 1 from alice: @open 1 KEY"]);
    bob.type_line("@open 1 key");
    bob.expect(&[&format!("alice -> bob (secret 1): {longest}")]);
    // Who is not to be disturbed is not.
    bob.type_line("@status dnd");
    bob.expect(&["* bob is dnd"]);
    alice.expect(&["* bob is dnd"]);
    alice.type_line("@secret bob key text");
    alice.expect_prefix("! bob is dnd ");
    bob.type_line("@names");
    bob.expect(&["* here: alice, bob (dnd)"]);
}

/// The last hundred are kept.
pub fn the_last_hundred<S: Stage>() {
    let server = ServerProgram::start::<S>(&[]);
    let mut bob = server.client::<S>("bob");
    let mut alice = Peer::connect::<S>(server.address);
    alice.hello("alice");
    alice.wait_for("joined");
    bob.expect(&["* alice joined"]);
    for number in 1..=101 {
        alice.send(&secret("bob", &made_up(1)));
        alice.wait_for("secret");
        bob.expect(&[&format!("* secret {number} from alice: @open {number} KEY")]);
    }
    for (number, answer) in [
        (1, "! secret 1 is not kept any more: only the last 100 are"),
        (2, "! secret 2 is not opened: "),
        (101, "! secret 101 is not opened: "),
        (102, "! there is no secret 102"),
    ] {
        bob.type_line(&format!("@open {number} {KEY}"));
        bob.expect_prefix(answer);
    }
}

/// The server cannot open a secret; what cannot be one it refuses.
pub fn what_the_server_refuses<S: Stage>() {
    let server = Server::start::<S>(&Limits::default());
    let [mut alice, mut bob, mut carol] = server.join_all::<S, 3>(["alice", "bob", "carol"]);
    for (sealed, words) in [
        (made_up(1) + "5", "two digits a byte"),
        ("5g".repeat(SEAL + 1), "has to be hexadecimal"),
        ("é".repeat(SEAL + 1), "has to be hexadecimal"),
        (format!("+{}", &made_up(1)[1..]), "has to be hexadecimal"),
        (format!("0x{}", made_up(1)), "has to be hexadecimal"),
        (format!(" {} ", made_up(1)), "has to be hexadecimal"),
        (String::new(), "a secret of 0 bytes"),
        ("5e".repeat(SEAL - 1), "a secret of 43 bytes"),
        (made_up(0), "a secret of 44 bytes"),
        (made_up(4097), "the secret's text has 4097 bytes, at most 4096 are allowed"),
        (made_up(60_000), "the secret's text has 60000 bytes"),
    ] {
        alice.send(&secret("bob", &sealed));
        alice.expect_refusal(words);
    }
    alice.send(&secret("erin", &made_up(1)));
    alice.expect_refusal("nobody here is called erin");
    alice.send(&secret("Alice", &made_up(1)));
    alice.expect_refusal("that is you");
    for sealed in [made_up(1), made_up(4096), made_up(7).to_uppercase()] {
        alice.send(&secret("BoB", &sealed));
        let sent = json!({"type": "secret", "from": "alice", "to": "bob", "sealed": sealed});
        alice.expect(&sent);
        bob.expect(&sent);
    }
    bob.send(&json!({"type": "status", "status": "dnd"}));
    for peer in [&mut alice, &mut bob, &mut carol] {
        peer.wait_for("status");
    }
    alice.send(&secret("bob", &made_up(1)));
    alice.expect_refusal("bob is dnd");
    for peer in [&mut alice, &mut bob, &mut carol] {
        peer.expect_nothing_more();
    }
}

/// A server can show a secret again, but not as somebody else's; what is none it cannot pass off
/// as one, nor fill a client with it.
pub fn what_a_server_can_do<S: Stage>() {
    let real = ServerProgram::start::<S>(&[]);
    let mut alice = real.client::<S>("alice");
    let mut bob = Peer::connect::<S>(real.address);
    bob.hello("bob");
    bob.wait_for("joined");
    alice.type_line(&format!("@secret bob {KEY} {TEXT}"));
    let sealed = bob.wait_for("secret")["sealed"].as_str().expect("digits").to_owned();

    let (mut bob, mut server) = hostile_server::<S>();
    let mut show = |from: &str, to: &str, sealed: &str| {
        server.send(&json!({"type": "secret", "from": from, "to": to, "sealed": sealed}));
    };
    let capital = sealed.to_uppercase();
    for (from, to, sealed) in [
        ("alice", "bob", &sealed),
        ("alice", "bob", &sealed),
        ("ALICE", "Bob", &capital),
        ("carol", "bob", &sealed),
        ("alice", "bob", &sealed[2..].to_owned()),
    ] {
        show(from, to, sealed);
        bob.expect_prefix("* secret ");
    }
    show("alice", "carol", &sealed);
    bob.expect(&["! alice sent you a secret for carol"]);
    for none in ["5", "zz", &made_up(4097), &"5e".repeat(60_000)] {
        show("alice", "bob", none);
        bob.expect(&["! alice sent a secret that is none"]);
    }
    for (number, answer) in [
        (1, format!("alice -> bob (secret 1): {TEXT}")),
        (2, format!("alice -> bob (secret 2): {TEXT}")),
        (3, format!("ALICE -> Bob (secret 3): {TEXT}")),
        (4, "! secret 4 is not opened: ".to_owned()),
        (5, "! secret 5 is not opened: ".to_owned()),
        (6, "! there is no secret 6".to_owned()),
    ] {
        bob.type_line(&format!("@open {number} {KEY}"));
        bob.expect_prefix(&answer);
    }
}

/// Neither the key nor the text gets to the server, and to no log; what does is new each time.
#[cfg(unix)]
pub fn what_the_server_sees<S: Stage>() {
    let any = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
    let listener = Listener::bind(any, None).expect("a free port");
    let address = listener.address().to_string();
    let mut alice = Program::start::<S>(&["client", &address, "--name", "alice", "-vv"]);
    let mut server = Peer::serving::<S>(listener.accept().expect("alice comes"));
    server.wait_for("hello");
    let people = json!([{"name": "alice", "status": "normal"}]);
    server.send(&json!({"type": "welcome", "name": "alice", "people": people}));
    let hex = |text: &str| text.bytes().map(|b| format!("{b:02x}")).collect::<String>();
    let mut sealed = BTreeSet::new();
    for _ in 0..3 {
        alice.type_line(&format!("@secret bob {KEY} {TEXT}"));
        let mut request = server.event();
        let bytes = request["sealed"].as_str().expect("digits").to_owned();
        assert_eq!(bytes.len(), 2 * (SEAL + TEXT.len()));
        assert!(!bytes.contains(&hex(KEY)) && !bytes.contains(&hex(TEXT)), "{bytes}");
        assert!(sealed.insert(bytes[..32].to_owned()), "a new salt");
        assert!(sealed.insert(bytes[32..56].to_owned()), "a new nonce");
        assert!(sealed.insert(bytes[56..].to_owned()), "another ciphertext");
        // That is all there is in it.
        request["sealed"].take();
        assert_eq!(request, json!({"type": "secret", "to": "bob", "sealed": null}));
    }
    // Nor does what opens one leave the client.
    let fake = json!({"type": "secret", "from": "bob", "to": "alice", "sealed": made_up(1)});
    server.send(&fake);
    alice.expect(&["* secret 1 from bob: @open 1 KEY"]);
    alice.type_line(&format!("@open 1 {KEY}"));
    alice.expect_prefix("! secret 1 is not opened: ");
    alice.end_input();
    assert_eq!(server.next_event(), None);
    drop(server);
    let (_, _, log) = alice.end();
    assert!(log.contains("\"sealed\""), "frames are in it: {log}");
    for words in ["correct-horse", "noon", &hex(KEY)[..16], &hex(TEXT)[..16]] {
        assert!(!log.contains(words), "{words}: {log}");
    }

    // A real server's log, in which all that it decrypts is shown.
    let server = ServerProgram::start::<S>(&["-vv"]);
    let mut alice = server.client::<S>("alice");
    let mut bob = server.client::<S>("bob");
    alice.expect(&["* bob joined"]);
    alice.type_line(&format!("@secret bob {KEY} {TEXT}"));
    bob.expect(&["* secret 1 from alice: @open 1 KEY"]);
    bob.type_line(&format!("@open 1 {KEY}"));
    bob.expect(&[&format!("alice -> bob (secret 1): {TEXT}")]);
    bob.type_line("and this is in it");
    alice.expect(&["* your secret is on its way to bob", "bob: and this is in it"]);
    assert_eq!((alice.end().0, bob.end().0), (Some(0), Some(0)));
    server.program.ctrl_c();
    let (_, _, log) = server.program.end();
    assert!(log.contains("\"sealed\"") && log.contains("and this is in it"), "{log}");
    for words in ["correct-horse", "noon"] {
        assert!(!log.contains(words), "{words}: {log}");
    }
}

/// A line with a key in it is gone from the screen once it is entered, and from the history.
#[cfg(unix)]
pub fn no_key_stays_on_the_screen<S: Stage>() {
    let server = ServerProgram::start::<S>(&[]);
    let address = server.address.to_string();
    let start = |name: &str| {
        let terminal = Terminal::start::<S>(&["client", &address, "--name", name], 24, 80);
        terminal.wait_for_row(&format!("{name}>"));
        terminal
    };
    let (alice, bob) = (start("alice"), start("bob"));
    alice.wait_for_row("* bob joined");
    let enter = |terminal: &Terminal, line: &str| {
        terminal.type_text(line);
        terminal.enter();
    };
    let last_row_is = |terminal: &Terminal, row: &str| {
        terminal.wait_for(format!("{row:?} at the end"), |screen| {
            rows(screen).last().is_some_and(|last| last == row)
        });
    };
    enter(&alice, "first");
    bob.wait_for_row("alice: first");

    enter(&alice, &format!("@secret bob {KEY} {TEXT}"));
    alice.wait_for_row("alice> @secret bob …");
    alice.wait_for_row("* your secret is on its way to bob");
    alice.key(Key::Up);
    last_row_is(&alice, "alice> first");
    alice.key(Key::Ctrl('u'));
    last_row_is(&alice, "alice>");

    bob.wait_for_row("* secret 1 from alice: @open 1 KEY");
    enter(&bob, &format!("@open 1 {KEY}?"));
    bob.wait_for("a refusal", |screen| {
        rows(screen).iter().any(|row| row.starts_with("! secret 1 is not opened: "))
    });
    enter(&bob, &format!("@OPEN 1 {KEY}"));
    bob.wait_for_row(&format!("alice -> bob (secret 1): {TEXT}"));
    bob.wait_for_row("bob> @open 1 …");
    bob.wait_for_row("bob> @OPEN 1 …");
    bob.key(Key::Up);
    last_row_is(&bob, "bob>");

    // Of the wrong form, in other letters, and not to the end.
    enter(&alice, &format!("  @Secret bob {KEY}"));
    alice.wait_for("the right form", |screen| {
        rows(screen).iter().any(|row| row.starts_with("! the right form is: @secret"))
    });
    alice.type_text(&format!("@secret bob {KEY} {TEXT}"));
    alice.wait_for("the line", |screen| rows(screen).iter().any(|row| row.contains("noon")));
    alice.key(Key::Ctrl('c'));
    last_row_is(&alice, "alice>");
    alice.key(Key::Up);
    last_row_is(&alice, "alice> first");
    alice.key(Key::Ctrl('u'));

    // Mistyped, as if it were a name.
    enter(&alice, &format!("@sceret bob {KEY} {TEXT}"));
    alice.wait_for_row("alice> @sceret …");
    alice.wait_for("no private message", |screen| {
        rows(screen).iter().any(|row| row.starts_with("! @sceret is no command, and nothing was"))
    });
    enter(&bob, &format!("@opne 1 {KEY}"));
    bob.wait_for_row("bob> @opne …");
    bob.wait_for("no private message", |screen| {
        rows(screen).iter().any(|row| row.starts_with("! @opne is no command, and nothing was"))
    });
    for (terminal, row) in [(&alice, "alice> first"), (&bob, "bob>")] {
        terminal.key(Key::Up);
        last_row_is(terminal, row);
    }

    for shown in [alice.scrollback_and_screen(), bob.scrollback_and_screen()] {
        let key = shown.iter().find(|row| row.contains("correct") || row.contains("battery"));
        assert_eq!(key, None, "{shown:#?}");
    }
    let shown = alice.scrollback_and_screen();
    assert!(!shown.iter().any(|row| row.contains("noon")), "{shown:#?}");
}
