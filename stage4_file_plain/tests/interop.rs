//! A client in another language, written from `docs/protocol.md` alone, talks with this stage's and
//! exchanges files with it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;

use suite::PATIENCE;
use suite::interop;
use suite::interop::Setting;
use suite::process::Program;

fn setting() -> Setting<'static> {
    let binary = Path::new(env!("CARGO_BIN_EXE_stage4_file_plain"));
    Setting { binary, server: &[], rust: &[], python: &[] }
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
    interop::commands_of_the_page(&setting(), "127.0.0.1:7004", &[]);
}

#[test]
fn files_go_from_each_client_to_each_other() {
    if interop::is_left_out(false) {
        return;
    }
    interop::they_send_files(&setting());
}

#[test]
fn files_that_do_not_arrive() {
    if interop::is_left_out(false) {
        return;
    }
    interop::files_that_do_not_arrive(&setting());
}

#[test]
fn an_offer_that_is_not_answered_and_files_that_are_cancelled() {
    if interop::is_left_out(false) {
        return;
    }
    interop::an_offer_that_is_not_answered(&setting());
    interop::files_that_are_cancelled(&setting());
}

#[test]
fn a_client_that_sends_beyond_the_window_is_stopped_and_told_why() {
    if interop::is_left_out(false) {
        return;
    }
    interop::beyond_the_window(&setting());
}

#[test]
fn it_refuses_the_same_names_of_files() {
    if interop::is_left_out(false) {
        return;
    }
    interop::it_refuses_the_same_names();
}

/// A frame of a kind.
fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(1 + body.len()).unwrap();
    [&length.to_be_bytes(), &[kind][..], body].concat()
}

fn message(json: &str) -> Vec<u8> {
    frame(0x10, json.as_bytes())
}

/// A chunk of file 1.
fn chunk(offset: u8, bytes: &[u8]) -> Vec<u8> {
    frame(0x11, &[&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, offset], bytes].concat())
}

fn end(size: u64, sha256: &str) -> Vec<u8> {
    message(&format!(r#"{{"type":"end","id":1,"size":{size},"sha256":"{sha256}"}}"#))
}

fn expect(stream: &mut TcpStream, json: &str) {
    expect_frame(stream, &message(json));
}

fn expect_frame(stream: &mut TcpStream, expected: &[u8]) {
    let mut sent = vec![0; expected.len()];
    stream.read_exact(&mut sent).unwrap();
    let lossy = String::from_utf8_lossy;
    assert_eq!(sent, expected, "{} for {}", lossy(&sent), lossy(expected));
}

/// The SHA-256 of `abc`, from FIPS 180-4's examples.
const OF_ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// The client in Python, called alice, with this folder for what she gets; and its connection to a
/// server that says what it likes.
fn alice(downloads: &Path) -> (Program, TcpStream) {
    let python = ["--downloads", downloads.to_str().unwrap()];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let setting = Setting { python: &python, ..setting() };
    let alice = setting.python(listener.local_addr().unwrap(), "alice");
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    expect(&mut stream, r#"{"type":"hello","chat5":1,"name":"alice"}"#);
    let welcome = r#"{"type":"welcome","name":"alice","people":[]}"#;
    stream.write_all(&message(welcome)).unwrap();
    (alice, stream)
}

/// Answers come in another order, twice, and of offers that never were.
#[test]
fn an_answer_belongs_to_the_offer_with_its_tag() {
    if interop::is_left_out(false) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut alice, mut stream) = alice(&folder.path().join("downloads"));
    let offer = |alice: &mut Program, stream: &mut TcpStream, tag: u32, name: &str| {
        let path = folder.path().join(name);
        fs::write(&path, "abc").unwrap();
        alice.type_line(&format!("@send {} bob", path.display()));
        let offer = format!(r#""tag":{tag},"to":"bob","name":"{name}","size":3"#);
        expect(stream, &format!(r#"{{"type":"offer",{offer}}}"#));
    };
    let offered =
        |tag: u32, id: u32| message(&format!(r#"{{"type":"offered","tag":{tag},"id":{id}}}"#));
    let not_offered = |tag: u32, text: &str| {
        message(&format!(r#"{{"type":"not-offered","tag":{tag},"text":"{text}"}}"#))
    };
    let aborted =
        |id: u32| format!(r#"{{"type":"abort","id":{id},"text":"this was not offered"}}"#);

    offer(&mut alice, &mut stream, 1, "first");
    offer(&mut alice, &mut stream, 2, "second");
    stream.write_all(&offered(2, 1)).unwrap();
    alice.expect(&["* offered second to bob (3 bytes); @cancel 1 takes it back"]);
    // There is no such offer, and the other one has got its answer.
    for (tag, id) in [(8, 5), (2, 6)] {
        stream.write_all(&offered(tag, id)).unwrap();
        expect(&mut stream, &aborted(id));
    }
    stream.write_all(&not_offered(9, "who?")).unwrap();
    stream.write_all(&not_offered(1, "no")).unwrap();
    alice.expect(&["! first to bob: no"]);
    stream.write_all(&message(r#"{"type":"go","id":1}"#)).unwrap();
    expect_frame(&mut stream, &chunk(0, b"abc"));
    expect_frame(&mut stream, &end(3, OF_ABC));
    stream.write_all(&message(r#"{"type":"done","id":1}"#)).unwrap();
    alice.expect(&["* sending second (3 bytes)", "* sent second to bob"]);

    // One number cannot be that of two files.
    offer(&mut alice, &mut stream, 3, "third");
    stream.write_all(&offered(3, 7)).unwrap();
    alice.expect(&["* offered third to bob (3 bytes); @cancel 7 takes it back"]);
    offer(&mut alice, &mut stream, 4, "fourth");
    stream.write_all(&offered(4, 7)).unwrap();
    expect(&mut stream, &aborted(7));
    let mut lines = [alice.line().unwrap(), alice.line().unwrap()];
    lines.sort();
    let why = "the answer to an offer was changed on its way";
    assert_eq!(lines, ["fourth", "third"].map(|name| format!("! {name} to bob: {why}")));

    // Nothing is left that she would wait for.
    alice.end_input();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    drop(stream);
    let (code, lines, stderr) = alice.end();
    assert_eq!((code, lines), (Some(0), vec![]), "{stderr}");
}

/// A server that says of a file of three bytes what it likes, to a client that takes it.
#[test]
fn it_believes_nothing_of_a_file() {
    if interop::is_left_out(false) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let downloads = folder.path().join("downloads");
    let (mut alice, mut stream) = alice(&downloads);

    let name = |name: &str| {
        message(&format!(r#"{{"type":"offer","id":1,"from":"bob","name":"{name}","size":3}}"#))
    };
    let ack = |offset: u8| format!(r#"{{"type":"ack","id":1,"offset":{offset}}}"#);
    let receiving = "* receiving abc (3 bytes) from bob; @cancel 1 stops it";
    let not_due = "bytes came that were not due";
    let not_sent = "what came is not what was sent";
    let wrong = [
        (vec![chunk(1, b"bc")], vec![], not_due),
        (vec![chunk(0, b"abcd")], vec![], not_due),
        (vec![chunk(0, b"a"), chunk(0, b"a")], vec![ack(1)], not_due),
        (vec![chunk(0, b"ab"), end(2, OF_ABC)], vec![ack(2)], not_sent),
        (vec![chunk(0, b"abc"), end(4, OF_ABC)], vec![ack(3)], not_sent),
        (vec![chunk(0, b"abd"), end(3, OF_ABC)], vec![ack(3)], not_sent),
        (vec![end(3, OF_ABC)], vec![], not_sent),
    ];
    for (frames, acks, why) in wrong {
        stream.write_all(&name("abc")).unwrap();
        expect(&mut stream, r#"{"type":"accept","id":1}"#);
        let mut acks = acks.iter();
        for frame in &frames {
            stream.write_all(frame).unwrap();
            acks.next().inspect(|ack| expect(&mut stream, ack));
        }
        expect(&mut stream, r#"{"type":"abort","id":1,"text":"it failed there"}"#);
        alice.expect(&[receiving, &format!("! abc from bob: {why}")]);
        // It is over, and what still comes of it is not looked at.
        stream.write_all(&[chunk(0, b"x"), end(0, OF_ABC)].concat()).unwrap();
    }
    stream.write_all(&name("../abc")).unwrap();
    let text = "its name has a character in it that no file name may have";
    expect(&mut stream, &format!(r#"{{"type":"refuse","id":1,"text":"{text}"}}"#));
    alice.expect(&[&format!("! bob offers a file, but {text}")]);
    assert_eq!(fs::read_dir(&downloads).unwrap().count(), 0);

    // A link to nowhere has the name, too.
    fs::write(downloads.join("abc"), "mine").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("nowhere", downloads.join("abc (1)")).unwrap();
    #[cfg(not(unix))]
    fs::write(downloads.join("abc (1)"), "mine, too").unwrap();
    stream.write_all(&name("abc")).unwrap();
    expect(&mut stream, r#"{"type":"accept","id":1}"#);
    // The end is there before the bytes have been looked at, and they are acknowledged nevertheless.
    let all = [chunk(0, b"abc"), end(3, &OF_ABC.to_uppercase())].concat();
    stream.write_all(&all).unwrap();
    expect(&mut stream, &ack(3));
    expect(&mut stream, r#"{"type":"received","id":1}"#);
    let place = downloads.join("abc (2)");
    let received = format!("* received abc (3 bytes) from bob -> {}", place.display());
    alice.expect(&[receiving, &received]);
    assert_eq!(fs::read_to_string(place).unwrap(), "abc");
    assert_eq!(fs::read_to_string(downloads.join("abc")).unwrap(), "mine");
    assert!(!downloads.join("nowhere").exists());

    // What is not complete when the connection ends is removed.
    stream.write_all(&name("abc")).unwrap();
    expect(&mut stream, r#"{"type":"accept","id":1}"#);
    alice.expect(&[receiving]);
    drop(stream);
    // Its input is still open, so it has not left.
    assert_eq!(alice.line(), None);
    let (code, _, stderr) = alice.end();
    assert_eq!(code, Some(1), "{stderr}");
    assert_eq!(fs::read_dir(&downloads).unwrap().count(), 3);
}
