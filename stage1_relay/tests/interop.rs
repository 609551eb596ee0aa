//! A client in another language, written from `docs/protocol.md` alone, talks with this stage's.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;

use suite::PATIENCE;
use suite::interop;
use suite::interop::Setting;

fn setting() -> Setting<'static> {
    let binary = Path::new(env!("CARGO_BIN_EXE_stage1_relay"));
    Setting { binary, server: &[], rust: &[], python: &[] }
}

/// A frame of a kind.
fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(1 + body.len()).unwrap();
    [&length.to_be_bytes(), &[kind][..], body].concat()
}

#[test]
fn the_client_in_python_chats_with_this_stages() {
    if interop::is_left_out(false) {
        return;
    }
    let [rust, python, _] = interop::they_chat(&setting());
    assert_eq!((rust.as_str(), python.as_str()), ("", ""));
}

#[test]
fn it_says_why_it_ends() {
    if interop::is_left_out(false) {
        return;
    }
    interop::it_says_why_it_ends(&setting());
}

#[test]
fn the_commands_of_its_page_work() {
    if interop::is_left_out(false) {
        return;
    }
    interop::commands_of_the_page(&setting(), "127.0.0.1:7001", &[]);
}

/// The first frame is the welcome, the second says that alice joined.
#[test]
fn it_shows_what_it_cannot_read_and_gives_up_at_the_sixteenth() {
    if interop::is_left_out(false) {
        return;
    }
    let unreadable = [
        frame(0x11, b"no chunk"),
        frame(0x12, b""),
        frame(0x10, b""),
        frame(0x10, b"\xff"),
        frame(0x10, b"\xef\xbb\xbf{\"type\":\"ping\"}"),
        frame(0x10, b"[]"),
        frame(0x10, &b"[".repeat(100_000)),
        frame(0x10, br#"{"type":"joined"}"#),
        frame(0x10, br#"{"type":"shout","text":"hi"}"#),
        frame(0x10, br#"{"type":"notice","text":"a","text":"b"}"#),
        frame(0x10, br#"{"type":"ping","name":"bob"}"#),
        frame(0x10, br#"{"type":"notice","text":1}"#),
        frame(0x10, br#"{"type":"notice","text":"\ud800"}"#),
        frame(0x10, br#"{"type":"joined","name":"a b"}"#),
        frame(0x10, br#"{"type":"said","from":"bob","text":""}"#),
    ];
    for (more, expected) in [(0, 0), (1, 1)] {
        let all = unreadable.iter().chain(&unreadable[..more]).flatten().copied();
        let all = all.collect::<Vec<_>>();
        let count = unreadable.len() + more;
        let (code, lines, stderr) = interop::through(&setting(), move |number, frame| {
            Some(if number == 1 { [&all[..], &frame].concat() } else { frame })
        });
        assert_eq!(code, Some(expected), "{lines:?} {stderr}");
        let shown = lines.iter().filter(|line| line.starts_with("! unreadable message: "));
        assert_eq!(shown.count(), count, "{lines:?}");
        assert_eq!(lines.len() - count, 1 - more, "{lines:?}");
    }
}

#[test]
fn it_gives_up_what_is_no_stream_of_frames() {
    if interop::is_left_out(false) {
        return;
    }
    let wrong: [(&[u8], &str); 4] = [
        (&[0, 0, 0, 0], "! the server sent a frame of a wrong length, 0\n"),
        (&[0, 2, 0, 1], "! the server sent a frame of a wrong length, 131073\n"),
        (&[0, 0, 0], "! the connection was cut off inside a frame\n"),
        (&[0, 0, 0, 9, 0x10], "! the connection was cut off inside a frame\n"),
    ];
    for (bytes, expected) in wrong {
        let (code, _, stderr) = interop::through(&setting(), move |number, frame| match number {
            0 => Some([&frame, bytes].concat()),
            _ => None,
        });
        assert_eq!((code, stderr.replace('\r', "").as_str()), (Some(1), expected));
    }
}

/// What it writes, byte by byte, at a server that writes what it may: JSON in another form.
#[test]
fn it_answers_a_ping_and_ends_its_half_alone() {
    if interop::is_left_out(false) {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut alice = setting().python(listener.local_addr().unwrap(), "alice");
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();

    expect(&mut stream, r#"{"type":"hello","chat5":1,"name":"alice"}"#);
    let people = r#"[{"status":"away","name":"bob"},{"name":"alice","status":"normal"}]"#;
    let welcome = format!(r#"{{"people":{people},"name":"alice","type":"welcome"}}"#);
    stream.write_all(&frame(0x10, welcome.as_bytes())).unwrap();
    alice.type_line("né!");
    expect(&mut stream, r#"{"type":"say","text":"né!"}"#);
    stream.write_all(&frame(0x10, br#" { "type" : "p\u0069ng" } "#)).unwrap();
    expect(&mut stream, r#"{"type":"pong"}"#);

    alice.end_input();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    stream.write_all(&frame(0x10, br#"{"text":"late","from":"bob","type":"said"}"#)).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let (code, lines, stderr) = alice.end();
    assert_eq!((code, lines), (Some(0), vec!["bob: late".to_owned()]), "{stderr}");
}

#[track_caller]
fn expect(stream: &mut TcpStream, message: &str) {
    let mut sent = vec![0; 5 + message.len()];
    stream.read_exact(&mut sent).unwrap();
    let expected = frame(0x10, message.as_bytes());
    assert_eq!(String::from_utf8_lossy(&sent), String::from_utf8_lossy(&expected));
}

#[test]
fn it_wants_a_welcome_first() {
    if interop::is_left_out(false) {
        return;
    }
    let wrong: [(&[u8], &str); 2] = [
        (br#"{"type":"ping"}"#, "! the server does not begin with a welcome\n"),
        (b"noise", "! the server cannot be understood\n"),
    ];
    for (body, expected) in wrong {
        let (code, _, stderr) = interop::through(&setting(), move |_, _| Some(frame(0x10, body)));
        assert_eq!((code, stderr.replace('\r', "").as_str()), (Some(1), expected));
    }
}
