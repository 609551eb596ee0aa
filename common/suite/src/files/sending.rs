//! What has to work: files that people send each other, from process to process.

use std::fs;

use serde_json::json;

use super::Place;
use super::abort;
use super::ack;
use super::client;
use super::client_with;
use super::clients;
use super::dropped;
use super::end;
use super::of;
use super::offer;
use super::offered;
use super::pattern;
use super::wait_for;
use super::wait_until;
use crate::Limits;
use crate::Stage;
use crate::process::Program;
use crate::process::ServerProgram;
use crate::server::Server;
#[cfg(unix)]
use crate::terminal::Terminal;

/// To all, while they chat; every line of it.
pub fn to_the_room<S: Stage>() {
    let (server, place) = (ServerProgram::start::<S>(&[]), Place::default());
    let [mut alice, mut bob, mut carol] =
        clients::<S, 3>(server.address, &place, ["alice", "bob", "carol"]);
    let path = place.file("report.pdf", 123_456);
    alice.type_line(&format!("@send {path}"));
    alice.expect(&[
        "* offered report.pdf to all (123456 bytes); @cancel 1 takes it back",
        "* sending report.pdf (123456 bytes)",
    ]);
    let mut have = [alice.line().unwrap(), alice.line().unwrap()];
    have.sort_unstable();
    assert_eq!(have, ["* bob has report.pdf", "* carol has report.pdf"]);
    alice.expect(&["* sent report.pdf to all"]);
    alice.type_line("got it?");
    for (client, name) in [(&mut bob, "bob"), (&mut carol, "carol")] {
        let folder = place.path(name).join("report.pdf");
        client.expect(&["* receiving report.pdf (123456 bytes) from alice; @cancel 1 stops it"]);
        // The others are told before the person is.
        let mut lines = [client.line().unwrap(), client.line().unwrap()];
        lines.sort_unstable();
        let received = "* received report.pdf (123456 bytes) from alice ->";
        assert_eq!(lines, [&format!("{received} {}", folder.display()), "alice: got it?"]);
        place.expect(name, &[("report.pdf", 123_456)]);
    }
    place.expect("alice", &[]);
    for client in [alice, bob, carol] {
        let (code, lines, _) = client.end();
        assert_eq!(code, Some(0));
        assert!(lines.iter().all(|line| line.ends_with(" left")), "{lines:?}");
    }
}

/// To one person, by paths with spaces in and without quotes; nobody else hears of it.
pub fn to_one_person<S: Stage>() {
    let (server, place) = (ServerProgram::start::<S>(&[]), Place::default());
    let [mut alice, mut bob, mut carol] =
        clients::<S, 3>(server.address, &place, ["alice", "bob", "carol"]);
    place.file("my files/a b.txt", 10);
    place.file("my files/for bob", 20);
    place.file("plain", 30);
    for (typed, name, size) in [
        (format!("@send \"{}\" bob", place.text("my files/a b.txt")), "a b.txt", 10),
        (format!("@send {} @bob", place.text("my files/a b.txt")), "a b.txt", 10),
        (format!("@send {} BOB", place.text("plain")), "plain", 30),
        (format!("@send \"{}\" bob", place.text("my files/for bob")), "for bob", 20),
    ] {
        alice.type_line(&typed);
        alice.expect_prefix(&format!("* offered {name} to "));
        alice.expect(&[&format!("* sending {name} ({size} bytes)"), &format!("* bob has {name}")]);
        alice.expect_prefix(&format!("* sent {name} to "));
        bob.expect_prefix(&format!("* receiving {name} ({size} bytes) from alice; @cancel "));
        bob.expect_prefix(&format!("* received {name} ({size} bytes) from alice -> "));
    }
    let files = [("a b.txt", 10), ("a b (1).txt", 10), ("plain", 30), ("for bob", 20)];
    place.expect("bob", &files);
    // Without quotes the whole rest of the line is the path, if there is such a file.
    alice.type_line(&format!("@send {}", place.text("my files/for bob")));
    alice.expect_prefix("* offered for bob to all (20 bytes)");
    wait_for(&mut alice, "* sent for bob to all");
    carol.expect_prefix("* receiving for bob (20 bytes)");
    carol.expect_prefix("* received for bob (20 bytes)");
    alice.type_line("done");
    carol.expect(&["alice: done"]);
    place.expect("carol", &[("for bob", 20)]);
}

/// What cannot be sent, or to nobody, is said at once.
pub fn what_cannot_be_sent<S: Stage>() {
    let (server, place) = (ServerProgram::start::<S>(&[]), Place::default());
    let mut alice = client::<S>(server.address, &place, "alice");
    let path = place.file("x", 5);
    alice.type_line(&format!("@send {path}"));
    alice.expect(&["! x to all: nobody is here to take it"]);
    let mut bob = client::<S>(server.address, &place, "bob");
    alice.expect(&["* bob joined"]);
    fs::create_dir(place.path("folder")).unwrap();
    let hidden = place.file(".hidden", 5);
    for (typed, answer) in [
        (format!("@send {path} dave"), "! x to dave: nobody here is called dave".to_owned()),
        (
            format!("@send {path} alice"),
            "! x to alice: that is you, and not somebody else".to_owned(),
        ),
        ("@send".to_owned(), "! the right form is: @send PATH | @send PATH NAME".to_owned()),
        (
            "@send \"unclosed".to_owned(),
            "! the right form is: @send PATH | @send PATH NAME".to_owned(),
        ),
        (
            format!("@send {}", place.text("folder")),
            format!("! {} is a folder", place.text("folder")),
        ),
        (format!("@send {}", place.text("none")), format!("! cannot open {}", place.text("none"))),
        (format!("@send {hidden}"), format!("! {hidden}: the file name begins with a dot")),
        ("@accept 1".to_owned(), "! no file 1 waits for an answer".to_owned()),
        ("@refuse 1".to_owned(), "! no file 1 waits for an answer".to_owned()),
        ("@cancel 1".to_owned(), "! there is no file 1 on its way".to_owned()),
        ("@cancel x".to_owned(), "! the right form is: @cancel N".to_owned()),
    ] {
        alice.type_line(&typed);
        let line = alice.line().expect("an answer");
        assert!(line.starts_with(&answer), "{typed:?} was answered with {line:?}");
    }
    bob.type_line("@status dnd");
    alice.expect(&["* bob is dnd"]);
    alice.type_line(&format!("@send {path} bob"));
    alice.expect_prefix("! x to bob: bob is dnd (do not disturb) and gets nothing private");
    // To all is no private message.
    alice.type_line(&format!("@send {path}"));
    wait_for(&mut alice, "* sent x to all");
    place.expect("bob", &[("x", 5)]);
}

/// `--accept never` and `--max-file` refuse, and the sender learns why.
pub fn who_does_not_want_it<S: Stage>() {
    let (server, place) = (ServerProgram::start::<S>(&[]), Place::default());
    let mut alice = client::<S>(server.address, &place, "alice");
    let address = server.address;
    let mut bob = client_with::<S>(address, &place, "bob", &["--accept", "never"]);
    let mut carol = client_with::<S>(address, &place, "carol", &["--max-file", "1K"]);
    alice.expect(&["* bob joined", "* carol joined"]);
    alice.type_line(&format!("@send {}", place.file("large", 1025)));
    alice.expect_prefix("* offered large");
    let mut why = [alice.line().unwrap(), alice.line().unwrap()];
    why.sort_unstable();
    assert_eq!(why[0], "! bob does not get large: takes no files");
    assert!(why[1].starts_with("! carol does not get large: "), "{why:?}");
    alice.expect(&["! large to all: nobody takes it"]);
    bob.expect(&["* carol joined"]);
    bob.expect(&["* alice offers large (1025 bytes): refused (--accept never)"]);
    carol.expect(&["! large from alice: 1025 bytes are too many: no more than 1024 are taken"]);
    alice.type_line(&format!("@send {}", place.file("small", 1024)));
    wait_for(&mut alice, "* sending small (1024 bytes)");
    alice.expect(&["* carol has small", "* sent small to all"]);
    place.expect("bob", &[]);
    place.expect("carol", &[("small", 1024)]);
    // There is nobody to ask in a pipe.
    let args = ["client", &address.to_string(), "--name", "dave", "--accept", "ask"];
    let (code, ..) = Program::start::<S>(&args).end();
    assert_eq!(code, Some(2));
}

/// In a terminal a person is asked, and takes it, does not, or changes their mind.
#[cfg(unix)]
pub fn a_person_is_asked<S: Stage>() {
    let (server, place) = (ServerProgram::start::<S>(&[]), Place::default());
    let mut alice = client::<S>(server.address, &place, "alice");
    let (address, downloads) = (server.address.to_string(), place.text("bob"));
    let args = ["client", &address, "--name", "bob", "--downloads", &downloads];
    let bob = Terminal::start::<S>(&args, 30, 150);
    bob.wait_for_row("* bob joined");
    alice.expect(&["* bob joined"]);
    let say = |line: &str| {
        bob.type_text(line);
        bob.enter();
    };
    let path = place.file("x", 70_000);
    for (id, answer, told) in [
        (1, "@accept 1", &["* sending x (70000 bytes)", "* bob has x", "* sent x to all"][..]),
        (2, "@refuse 2", &["! bob does not get x: refused", "! x to all: nobody takes it"]),
        (3, "@cancel 3", &["! bob does not get x: cancelled", "! x to all: nobody takes it"]),
    ] {
        alice.type_line(&format!("@send {path}"));
        alice.expect_prefix("* offered x to all");
        bob.wait_for_row(&format!("* alice offers x (70000 bytes): @accept {id} or @refuse {id}"));
        place.expect("bob", if id == 1 { &[] } else { &[("x", 70_000)] });
        say(answer);
        alice.expect(told);
    }
    place.expect("bob", &[("x", 70_000)]);
    // What its sender takes back is no question any more.
    alice.type_line(&format!("@send {path}"));
    bob.wait_for_row("* alice offers x (70000 bytes): @accept 4 or @refuse 4");
    alice.type_line("@cancel 4");
    bob.wait_for_row("! x from alice: cancelled");
    say("@accept 4");
    bob.wait_for_row("! no file 4 waits for an answer");
}

/// Whoever asked for it, and whenever: nobody gets more of it, and nothing of it stays.
pub fn cancelling<S: Stage>() {
    let (server, place) = (Server::start::<S>(&Limits::default()), Place::default());
    let mut alice = client::<S>(server.address, &place, "alice");
    let mut bob = server.join::<S>("bob");
    alice.expect(&["* bob joined"]);
    let path = place.file("big", 3_000_000);

    // Its sender, before anybody has answered; the answer comes too late.
    alice.type_line(&format!("@send {path} bob"));
    alice.expect_prefix("* offered big to bob");
    bob.wait_for("offer");
    alice.type_line("@cancel 1");
    alice.expect(&["* big to bob: cancelled"]);
    bob.expect(&abort(1, "cancelled"));
    bob.send(&of("accept", 1));
    bob.send(&ack(1, 65_536));
    bob.expect_nothing_more();

    // Its sender, under way.
    alice.type_line(&format!("@send {path} bob"));
    alice.expect_prefix("* offered big to bob");
    bob.wait_for("offer");
    bob.send(&of("accept", 2));
    let (id, offset, bytes) = bob.chunk();
    assert_eq!((id, offset), (2, 0));
    assert!(bytes == pattern(bytes.len()));
    alice.expect(&["* sending big (3000000 bytes)"]);
    alice.type_line("@cancel 2");
    alice.expect(&["* big to bob: cancelled"]);
    assert_eq!(bob.pass_to("abort"), abort(2, "cancelled"));
    bob.expect_nothing_more();

    // Who takes it, under way.
    alice.type_line(&format!("@send {path} bob"));
    alice.expect_prefix("* offered big to bob");
    bob.wait_for("offer");
    bob.send(&of("accept", 3));
    bob.chunk();
    bob.send(&abort(3, "changed my mind"));
    alice.expect(&[
        "* sending big (3000000 bytes)",
        "! bob does not get big: changed my mind",
        "! big to bob: nobody takes it",
    ]);

    // A client that takes one: what it had is gone.
    bob.send(&offer(7, Some("alice"), "other", 3_000_000));
    assert_eq!(bob.pass_to("offered"), offered(7, 4));
    assert_eq!(bob.pass_to("go")["id"], 4);
    bob.send_pattern(4, 0, 200_000);
    alice.expect_prefix("* receiving other (3000000 bytes) from bob; @cancel 4");
    wait_until("a part file", || place.listing("alice").len() == 1);
    alice.type_line("@cancel 4");
    alice.expect(&["* other from bob: cancelled"]);
    assert_eq!(bob.pass_to("dropped"), dropped(4, "alice", "cancelled"));
    bob.expect(&abort(4, "nobody takes it"));
    wait_until("the part file is gone", || place.listing("alice").is_empty());

    // All of that is over, and they go on.
    alice.type_line("@cancel 4");
    alice.expect(&["! there is no file 4 on its way"]);
    let small = place.file("small", 5);
    alice.type_line(&format!("@send {small}"));
    bob.wait_for("offer");
    bob.send(&of("accept", 5));
    assert_eq!(bob.take(5), pattern(5));
    wait_for(&mut alice, "* sent small to all");
}

/// Many at once, in both directions, while both chat; more than may be under way; of all sizes.
pub fn many_at_once_in_both_directions<S: Stage>() {
    const SIZES: [usize; 9] = [0, 1, 1023, 65_535, 65_536, 65_537, 1_048_576, 1_048_577, 1_500_000];
    let (server, place) = (ServerProgram::start::<S>(&[]), Place::default());
    let [mut alice, mut bob] = clients::<S, 2>(server.address, &place, ["alice", "bob"]);
    let names = SIZES.map(|size| format!("{size} bytes"));
    for (name, size) in names.iter().zip(SIZES) {
        alice.type_line(&format!("@send {}", place.file(&format!("a/{name}"), size)));
        bob.type_line(&format!("@send {}", place.file(&format!("b/{name}"), size)));
        alice.type_line(&format!("and {size}"));
        bob.type_line(&format!("and {size}"));
    }
    for (client, other) in [(&mut alice, "bob"), (&mut bob, "alice")] {
        let (mut sent, mut received, mut said) = (0, 0, 0);
        while sent < SIZES.len() || received < SIZES.len() || said < SIZES.len() {
            let line = client.line().expect("there is more");
            assert!(!line.starts_with('!'), "{line}");
            sent += usize::from(line.starts_with("* sent "));
            received += usize::from(line.starts_with("* received "));
            if line.starts_with(other) {
                assert_eq!(line, format!("{other}: and {}", SIZES[said]));
                said += 1;
            }
        }
    }
    let due = names.iter().map(String::as_str).zip(SIZES).collect::<Vec<_>>();
    place.expect("alice", &due);
    place.expect("bob", &due);
}

/// A file keeps its name, in whatever script.
pub fn names_in_any_script<S: Stage>() {
    const NAMES: [&str; 12] = [
        "Überraschung.txt",
        "報告書 2024.pdf",
        "отчёт.doc",
        "تقرير.txt",
        "דו״ח.txt",
        "रिपोर्ट.txt",
        "รายงาน",
        "ne\u{301}e",
        "née",
        "👋🏽🎉.png",
        "a, b; c & d (e) [f] {g} $h 'i' %j ^k ~l`.txt",
        "=1+1.csv",
    ];
    let (server, place) = (ServerProgram::start::<S>(&[]), Place::default());
    let [mut alice, mut bob] = clients::<S, 2>(server.address, &place, ["alice", "bob"]);
    for (size, name) in NAMES.iter().enumerate() {
        alice.type_line(&format!("@send \"{}\"", place.file(&format!("own/{name}"), size)));
        wait_for(&mut alice, &format!("* sent {name} to all"));
        bob.expect_prefix(&format!("* receiving {name} ({size} bytes) from alice"));
        let path = place.path("bob").join(name);
        bob.expect(&[&format!(
            "* received {name} ({size} bytes) from alice -> {}",
            path.display()
        )]);
    }
    let due = NAMES.iter().enumerate().map(|(size, name)| (*name, size)).collect::<Vec<_>>();
    place.expect("bob", &due);
}

/// The same name twice is two files.
pub fn nothing_is_overwritten<S: Stage>() {
    let (server, place) = (ServerProgram::start::<S>(&[]), Place::default());
    let [mut alice, mut bob] = clients::<S, 2>(server.address, &place, ["alice", "bob"]);
    place.file("bob/x.tar.gz", 3);
    for (copy, size) in [(1, 5), (2, 7)] {
        alice.type_line(&format!("@send {}", place.file("x.tar.gz", size)));
        wait_for(&mut alice, "* sent x.tar.gz to all");
        bob.expect_prefix("* receiving x.tar.gz");
        let path = place.path("bob").join(format!("x.tar ({copy}).gz"));
        let line = format!("* received x.tar.gz ({size} bytes) from alice -> {}", path.display());
        bob.expect(&[&line]);
    }
    place.expect("bob", &[("x.tar.gz", 3), ("x.tar (1).gz", 5), ("x.tar (2).gz", 7)]);
}

/// Who comes after an offer has no part in it.
pub fn who_joins_later<S: Stage>() {
    let (server, place) = (Server::start::<S>(&Limits::default()), Place::default());
    let mut alice = client::<S>(server.address, &place, "alice");
    let mut bob = server.join::<S>("bob");
    alice.type_line(&format!("@send {}", place.file("x", 100_000)));
    let due = json!({"type": "offer", "id": 1, "from": "alice", "name": "x", "size": 100_000});
    bob.expect(&due);
    let mut carol = server.join::<S>("carol");
    carol.send(&of("accept", 1));
    bob.wait_for("joined");
    bob.send(&of("accept", 1));
    assert_eq!(bob.take(1), pattern(100_000));
    wait_for(&mut alice, "* sent x to all");
    carol.expect_nothing_more();
    bob.expect_nothing_more();
}

/// A script's own files are sent before it leaves; `@quit` does not wait for them.
pub fn the_end_of_input_waits<S: Stage>() {
    let (server, place) = (Server::start::<S>(&Limits::default()), Place::default());
    let path = place.file("x", 2_000_000);
    let mut bob = server.join::<S>("bob");
    let mut alice = client::<S>(server.address, &place, "alice");
    alice.type_line(&format!("@send {path}"));
    alice.end_input();
    bob.wait_for("offer");
    bob.send(&of("accept", 1));
    assert_eq!(bob.take(1), pattern(2_000_000));
    bob.expect(&json!({"type": "left", "name": "alice"}));
    let (code, lines, _) = alice.end();
    assert_eq!(code, Some(0));
    assert_eq!(lines.last().map(String::as_str), Some("* sent x to all"));

    // Also when nothing comes of it.
    let mut alice = client::<S>(server.address, &place, "alice");
    alice.type_line(&format!("@send {path}"));
    alice.end_input();
    bob.wait_for("offer");
    bob.send(&json!({"type": "refuse", "id": 2, "text": "no"}));
    let (code, lines, _) = alice.end();
    assert_eq!((code, &*lines[1]), (Some(0), "! bob does not get x: no"));

    let mut alice = client::<S>(server.address, &place, "alice");
    alice.type_line(&format!("@send {path}"));
    bob.wait_for("offer");
    bob.send(&of("accept", 3));
    bob.chunk();
    alice.type_line("@quit");
    assert_eq!(bob.pass_to("abort"), abort(3, "has left"));
    bob.expect(&json!({"type": "left", "name": "alice"}));
    assert_eq!(alice.end().0, Some(0));
}

/// A checksum that is wrong at the end: nothing is in place, and both sides know why.
pub fn damage_is_noticed<S: Stage>() {
    let (server, place) = (Server::start::<S>(&Limits::default()), Place::default());
    let mut alice = server.join::<S>("alice");
    let mut bob = client::<S>(server.address, &place, "bob");
    let id = alice.offer(None, "x", 2);
    alice.wait_for("go");
    alice.send_chunk(1, 0, b"ho");
    alice.send(&end(id, 2, super::OF_HI));
    bob.expect_prefix("* receiving x (2 bytes) from alice");
    bob.expect(&["! x from alice: what came is not what was sent: the checksum differs"]);
    assert_eq!(alice.wait_for("dropped")["name"], "bob");
    alice.expect(&abort(id, "nobody takes it"));
    place.expect("bob", &[]);
    // And the right one is right.
    let id = alice.offer(None, "x", 2);
    alice.wait_for("go");
    alice.send_chunk(2, 0, b"hi");
    alice.send(&end(id, 2, super::OF_HI));
    alice.wait_for("done");
    assert_eq!(place.listing("bob")["x"], b"hi");
}
