//! A client in another language, written from `docs/protocol.md` alone, talks with this stage's, in
//! each suite.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

#[expect(dead_code, reason = "the client's side is the one in Python")]
#[path = "../src/connection.rs"]
mod connection;

use std::path::Path;
use std::thread;

use common::frame::Outgoing;
use common::limits::Limits;
use common::outbox::Outbox;
use common::stream::Listener;
use suite::interop;
use suite::interop::Setting;

use crate::connection::Settings;

const KEXES: [&str; 2] = ["p256", "x25519"];
const CIPHERS: [&str; 2] = ["aes-256-cfb", "aes-256-gcm"];

fn setting<'a>(server: &'a [&'a str], rust: &'a [&'a str], python: &'a [&'a str]) -> Setting<'a> {
    let binary = Path::new(env!("CARGO_BIN_EXE_stage3_secure_multi"));
    Setting { binary, server, rust, python }
}

/// Both clients chat, and each has the fingerprint that the server has logged for it.
fn they_chat(setting: &Setting<'_>, kex: &str, cipher: &str) {
    let [rust, python, log] = interop::they_chat(setting);
    let session = format!("session: kex={kex} cipher={cipher} fingerprint=");
    let logged = log.lines().filter(|line| line.contains(&session)).count();
    assert_eq!(logged, 3, "alice, bob and carol: {log}");
    for stderr in [rust, python] {
        assert!(stderr.starts_with(&session), "{stderr}");
        let session = stderr.lines().next().unwrap_or_default();
        let logged = log.lines().filter(|line| line.ends_with(session)).count();
        assert_eq!(logged, 1, "{session}, but the server has {log}");
    }
}

#[test]
fn the_client_in_python_chats_with_this_stages_in_what_the_server_chooses() {
    if interop::is_left_out(true) {
        return;
    }
    for kex in KEXES {
        for cipher in CIPHERS {
            let server = ["--kex", kex, "--cipher", cipher];
            they_chat(&setting(&server, &[], &["--secure"]), kex, cipher);
        }
    }
}

#[test]
fn the_client_in_python_chats_with_this_stages_in_what_the_clients_choose() {
    if interop::is_left_out(true) {
        return;
    }
    for kex in KEXES {
        for cipher in CIPHERS {
            let rust = ["--kex", kex, "--cipher", cipher];
            let python = ["--secure", "--kex", kex, "--cipher", cipher];
            they_chat(&setting(&[], &rust, &python), kex, cipher);
        }
    }
}

#[test]
fn it_says_why_it_ends() {
    if interop::is_left_out(true) {
        return;
    }
    for cipher in CIPHERS {
        interop::it_says_why_it_ends(&setting(&["--cipher", cipher], &[], &["--secure"]));
    }
}

#[test]
fn the_commands_of_its_page_work() {
    if interop::is_left_out(true) {
        return;
    }
    interop::commands_of_the_page(&setting(&[], &[], &[]), "127.0.0.1:7003", &[]);
}

#[test]
fn it_shows_why_the_server_refuses_the_handshake() {
    if interop::is_left_out(true) {
        return;
    }
    let refused = "! the server refused the handshake\n";
    let cases: [(&[&str], &str, &str); 2] = [
        (&["--secure", "--kex", "x25519"], "! the client wants --kex x25519 ", refused),
        (&[], "! a handshake was due", "! the server closed the connection\n"),
    ];
    for (python, shown, why) in cases {
        let setting = setting(&["--kex", "p256"], &[], python);
        let (code, lines, stderr) = interop::through(&setting, |_, frame| Some(frame));
        assert_eq!((code, lines.len()), (Some(1), 1), "{lines:?} {stderr}");
        assert!(lines[0].starts_with(shown), "{lines:?}");
        assert_eq!(stderr.replace('\r', ""), why);
    }
}

/// Where the numbers and the share are in the server's answer, with its length and its kind.
const KEX: usize = 5 + 37;
const CIPHER: usize = 5 + 38;
const SHARE: usize = 5 + 39;

/// The client ends with this sentence when the server's answer has been changed so.
#[track_caller]
fn refuses_answer(kex: &str, expected: &str, change: fn(&mut Vec<u8>)) {
    let python = ["--secure", "--kex", kex, "--cipher", "aes-256-gcm"];
    let (code, lines, stderr) =
        interop::through(&setting(&[], &[], &python), move |number, mut answer| {
            assert_eq!(number, 0, "the client said more");
            change(&mut answer);
            let length = u32::try_from(answer.len() - 4).unwrap();
            answer[..4].copy_from_slice(&length.to_be_bytes());
            Some(answer)
        });
    assert_eq!((code, lines), (Some(1), Vec::new()), "{stderr}");
    assert_eq!(stderr.replace('\r', ""), format!("! {expected}\n"));
}

#[test]
fn it_checks_what_the_server_answers() {
    if interop::is_left_out(true) {
        return;
    }
    let version = "what the server answered is no handshake of this version";
    refuses_answer("p256", version, |answer| answer[4] = 0x21);
    refuses_answer("p256", version, |answer| answer[5] = b'c');
    refuses_answer("p256", version, |answer| answer[9] = 2);
    refuses_answer("p256", version, |answer| answer.truncate(CIPHER));

    let suite = "the server chose a kex or a cipher that was not allowed";
    refuses_answer("p256", suite, |answer| answer[KEX] = 2);
    refuses_answer("p256", suite, |answer| answer[CIPHER] = 1);
    refuses_answer("p256", suite, |answer| answer[CIPHER] = 0);

    let p256 = "the server's share is not one of p256";
    refuses_answer("p256", p256, |answer| answer[SHARE + 64] ^= 1);
    refuses_answer("p256", p256, |answer| answer.push(0));
    refuses_answer("p256", p256, |answer| answer.truncate(SHARE));
    refuses_answer("p256", p256, |answer| {
        // The same point, compressed.
        answer[SHARE] = 2 + (answer[SHARE + 64] & 1);
        answer.truncate(SHARE + 33);
    });

    let x25519 = "the server's share is not one of x25519";
    refuses_answer("x25519", x25519, |answer| answer[SHARE..].fill(0));
    refuses_answer("x25519", x25519, |answer| answer.push(0));
    refuses_answer("x25519", x25519, |answer| answer.truncate(SHARE));
}

/// Under `aes-256-gcm` the server's frames are its answer, a record with the welcome, one that says
/// that alice joined, and its close.
#[test]
fn it_finds_what_was_changed_repeated_left_out_or_cut_off() {
    if interop::is_left_out(true) {
        return;
    }
    let bad = "! a bad record: changed, repeated, left out or moved\n";
    let behind = "! a bad record: of another kind, empty, or after the close\n";
    let cut = "! the connection was cut off: the server's close is missing\n";
    type Change = fn(usize, Vec<u8>) -> Option<Vec<u8>>;
    let cases: [(&str, Change); 7] = [
        (bad, |number, mut frame| {
            if number == 2 {
                frame[9] ^= 1;
            }
            Some(frame)
        }),
        (bad, |number, frame| Some(if number == 2 { frame.repeat(2) } else { frame })),
        (bad, |number, frame| Some(if number == 2 { Vec::new() } else { frame })),
        (behind, |number, frame| Some(if number == 3 { frame.repeat(2) } else { frame })),
        (behind, |number, mut frame| {
            if number == 2 {
                frame[4] = 0x10;
            }
            Some(frame)
        }),
        (cut, |number, frame| (number < 3).then_some(frame)),
        (cut, |number, frame| (number < 2).then_some(frame)),
    ];
    for (index, (expected, change)) in cases.into_iter().enumerate() {
        let setting = setting(&["--cipher", "aes-256-gcm"], &[], &["--secure"]);
        let (code, _, stderr) = interop::through(&setting, change);
        assert_eq!(code, Some(1), "{index}: {stderr}");
        let why = stderr.lines().last().unwrap();
        assert_eq!(format!("{why}\n"), expected, "{index}");
    }
}

/// There, nothing but a parser stands between the bytes and the screen.
#[test]
fn it_does_not_find_it_under_cfb() {
    if interop::is_left_out(true) {
        return;
    }
    let setting = setting(&["--cipher", "aes-256-cfb"], &[], &["--secure"]);
    let (code, lines, stderr) = interop::through(&setting, |number, frame| {
        Some(if number == 2 { frame.repeat(2) } else { frame })
    });
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(lines, ["* alice joined", "* alice joined"]);

    // What is changed is the last letter of the name, and noise the brace behind it, which is alone in
    // the next block: once in 256 times it is a brace again.
    let (code, lines, stderr) = interop::through(&setting, |number, mut frame| {
        if number == 2 {
            let letter = frame.len() - 3;
            frame[letter] ^= b'e' ^ b'a';
        }
        Some(frame)
    });
    assert_eq!((code, lines.len()), (Some(0), 1), "{stderr}");
    let unreadable = r#"! unreadable message: {"type":"joined","name":"alica""#;
    assert!(lines[0].starts_with(unreadable) || lines[0] == "* alica joined", "{lines:?}");

    // An IV and nothing behind it is no record.
    let (code, _, stderr) = interop::through(&setting, |number, mut frame| {
        if number == 2 {
            frame.truncate(5 + 16);
            frame[3] = 1 + 16;
        }
        Some(frame)
    });
    let bad = "! a bad record: of another kind, empty, or after the close";
    assert_eq!((code, stderr.lines().last()), (Some(1), Some(bad)));
}

/// A server that speaks in records and puts into them what belongs nowhere: a piece of a file, and a
/// frame of the close's kind that is no close.
#[test]
fn it_cannot_read_other_kinds_in_records() {
    if interop::is_left_out(true) {
        return;
    }
    for (cipher, close) in [("aes-256-cfb", &[0x12][..]), ("aes-256-gcm", &[0x12, b'x'])] {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), None).unwrap();
        let python = ["--secure", "--cipher", cipher];
        let mut alice = setting(&[], &[], &python).python(listener.address(), "alice");
        let stream = listener.accept().unwrap();
        let (mut sender, mut receiver, _) =
            connection::accept(&stream, &Settings::default()).unwrap();
        let outbox = Outbox::new(&Limits::for_client());
        let push = |frame: &[u8]| outbox.push(Outgoing::from(frame.to_vec()).into());
        thread::scope(|scope| {
            scope.spawn(|| sender.send_queued(&outbox).unwrap());
            push(b"\x10{\"type\":\"welcome\",\"name\":\"alice\",\"people\":[]}");
            alice.end_input();
            while receiver.receive().unwrap().is_some() {}
            for frame in [&b"\x11x"[..], close, b"\x10{\"type\":\"left\",\"name\":\"bob\"}"] {
                push(frame);
            }
            outbox.finish();
        });
        stream.finish();
        let unreadable = |of: &[u8]| format!("! unreadable message: {}", of.escape_ascii());
        alice.expect(&[&unreadable(b"x"), &unreadable(&close[1..]), "* bob left"]);
        let (code, lines, stderr) = alice.end();
        assert_eq!((code, lines), (Some(0), Vec::new()), "{stderr}");
    }
}
