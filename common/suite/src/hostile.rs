//! Bad input: whatever a peer sends, it hurts nobody but the peer.

use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::ops::RangeInclusive;
use std::time::Duration;
use std::time::Instant;

use common::frame::MESSAGE;
use common::name::RESERVED;
use common::stream::Listener;
use serde_json::Value;
use serde_json::json;
use socket2::SockRef;

use crate::Limits;
use crate::PATIENCE;
use crate::Stage;
use crate::peer::Peer;
use crate::process::Program;
use crate::process::ServerProgram;
use crate::server::Server;
use crate::tap::Tap;

/// Most bytes that a server says about what it refuses, however long that was.
const SHORT: usize = 400;

/// What a reader of a chat cannot see, or what makes them see something else. From the Unicode
/// Character Database (`UnicodeData.txt`, `PropList.txt`), on purpose not from `common::escape`.
const INVISIBLE: &[RangeInclusive<char>] = &[
    // General category Cc.
    '\u{0}'..='\u{1F}',
    '\u{7F}'..='\u{9F}',
    // Bidi_Control.
    '\u{61C}'..='\u{61C}',
    '\u{200E}'..='\u{200F}',
    '\u{202A}'..='\u{202E}',
    '\u{2066}'..='\u{2069}',
    // Of no width: soft hyphen, grapheme joiner, fillers, zero width space, word joiner, invisible
    // operators, deprecated formatting, byte order mark, annotations, tags.
    '\u{AD}'..='\u{AD}',
    '\u{34F}'..='\u{34F}',
    '\u{115F}'..='\u{1160}',
    '\u{180E}'..='\u{180E}',
    '\u{200B}'..='\u{200B}',
    '\u{2060}'..='\u{2064}',
    '\u{206A}'..='\u{206F}',
    '\u{3164}'..='\u{3164}',
    '\u{FEFF}'..='\u{FEFF}',
    '\u{FFA0}'..='\u{FFA0}',
    '\u{FFF9}'..='\u{FFFB}',
    '\u{E0001}'..='\u{E0001}',
    '\u{E0020}'..='\u{E007F}',
    // Zl and Zp: line breaks to some.
    '\u{2028}'..='\u{2029}',
];
/// Invisible too, but needed in emoji and several scripts.
const NEEDED: [char; 3] = ['\u{200C}', '\u{200D}', '\u{FE0F}'];

pub(crate) fn invisible() -> impl Iterator<Item = char> {
    INVISIBLE.iter().cloned().flatten()
}

#[track_caller]
fn assert_visible(text: &str) {
    let hidden = text.chars().find(|c| INVISIBLE.iter().any(|range| range.contains(c)));
    assert_eq!(hidden, None, "in {text:?}");
}

#[track_caller]
fn assert_short_and_visible(text: &str) {
    assert_visible(text);
    assert!(text.len() < SHORT, "{} bytes: {text}", text.len());
}

fn say(text: &str) -> Value {
    json!({"type": "say", "text": text})
}

/// The honest ones chat, and have seen nothing that they have not been shown here.
#[track_caller]
fn assert_they_chat(alice: &mut Peer, bob: &mut Peer) {
    alice.send(&say("are you there?"));
    bob.expect(&json!({"type": "said", "from": "alice", "text": "are you there?"}));
    bob.send(&say("yes"));
    alice.expect(&json!({"type": "said", "from": "bob", "text": "yes"}));
}

/// The other side ends the connection, with or without last words, or resets it.
#[track_caller]
pub(crate) fn assert_ended(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut last_words = [0; 4096];
    loop {
        match stream.read(&mut last_words) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if is_timeout(&error) => panic!("still open after {PATIENCE:?}"),
            Err(_) => return,
        }
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// What cannot be read, by any stage, as a message from either side.
fn unreadable() -> Vec<(u8, Vec<u8>)> {
    let kinds = [0x00, 0x0f, 0x13, 0x7f, 0xff].map(|kind| (kind, b"{\"type\":\"ping\"}".to_vec()));
    let bytes: [&[u8]; 5] = [
        b"{\"type\":\"say\",\"text\":\"\xff\"}",
        b"{\"type\":\"say\",\"text\":\"\xc0\x80\"}",
        b"{\"type\":\"say\",\"text\":\"\xed\xa0\x80\"}",
        b"{\"type\":\"say\",\"text\":\"\xe2\x82\"}",
        b"\xff\xfe{\0}\0",
    ];
    let texts = [
        // No JSON.
        "",
        " ",
        "\0",
        "hi",
        "{",
        "}",
        r#"{"type":"say","text":"hi"#,
        r#"{"type":"say","text":"hi"} x"#,
        r#"{"type":"ping"}{"type":"ping"}"#,
        r#"{"type":"ping",}"#,
        r#"{'type':'ping'}"#,
        r#"{"type":"ping"/**/}"#,
        "\u{feff}{\"type\":\"ping\"}",
        "{\"type\":\"say\",\"text\":\"a\nb\"}",
        r#"{"type":"say","text":"\ud800"}"#,
        r#"{"type":"say","text":"\x41"}"#,
        // JSON, and no object.
        "[]",
        "1",
        "null",
        "true",
        r#""ping""#,
        r#"["ping"]"#,
        r#"["say","hi"]"#,
        r#"["notice","hi"]"#,
        r#"[{"type":"ping"}]"#,
        // An object, and no message.
        "{}",
        r#"{"text":"hi"}"#,
        r#"{"type":"nosuch"}"#,
        r#"{"type":"Ping"}"#,
        r#"{"type":""}"#,
        r#"{"type":1}"#,
        r#"{"type":null}"#,
        r#"{"type":["ping"]}"#,
        r#"{"type":{"ping":null}}"#,
        // A message with fields that are missing, too many, doubled or of the wrong form.
        r#"{"type":"say"}"#,
        r#"{"type":"private","text":"hi"}"#,
        r#"{"type":"say","text":"hi","from":"bob"}"#,
        r#"{"type":"ping","x":1}"#,
        r#"{"type":"say","text":1}"#,
        r#"{"type":"say","text":null}"#,
        r#"{"type":"say","text":["hi"]}"#,
        r#"{"type":"group-set","group":"team","members":"bob"}"#,
        r#"{"type":"group-set","group":"team","members":[1]}"#,
        r#"{"type":"status","status":"asleep"}"#,
        r#"{"type":"status","status":1}"#,
        r#"{"type":"ping","type":"ping"}"#,
        r#"{"type":"say","text":"hi","type":"ping"}"#,
        r#"{"type":"say","text":"hi","text":"ho"}"#,
        r#"{"type":"hello","chat5":1,"chat5":1,"name":"eve"}"#,
        // Numbers.
        r#"{"type":"hello","name":"eve"}"#,
        r#"{"type":"hello","chat5":"1","name":"eve"}"#,
        r#"{"type":"hello","chat5":1.5,"name":"eve"}"#,
        r#"{"type":"hello","chat5":-1,"name":"eve"}"#,
        r#"{"type":"hello","chat5":4294967296,"name":"eve"}"#,
        r#"{"type":"hello","chat5":18446744073709551617,"name":"eve"}"#,
        r#"{"type":"hello","chat5":1e999,"name":"eve"}"#,
        r#"{"type":"hello","chat5":01,"name":"eve"}"#,
        r#"{"type":"hello","chat5":NaN,"name":"eve"}"#,
        // What an answer might repeat.
        r#"{"type":"\u001b[2J\u0007\u202e"}"#,
        r#"{"type":"ping","\u001b[2J\r\n":1}"#,
        r#"{"type":"status","status":"\u001b[2J\u200b"}"#,
    ];
    let digits = "9".repeat(400);
    let deep = "[".repeat(100_000);
    // As deep as serde goes: more than the small stack of a server's thread has room for.
    let nested = format!("{}{}", "[".repeat(120), "]".repeat(120));
    let objects = format!("{}1{}", r#"{"a":"#.repeat(120), "}".repeat(120));
    let long = "x".repeat(130_000);
    let hidden = "\u{200b}".repeat(43_000);
    let escapes = r"\u001b".repeat(21_000);
    let built = [
        format!(r#"{{"type":"hello","chat5":{digits},"name":"eve"}}"#),
        deep.clone(),
        r#"{"a":"#.repeat(20_000),
        nested.clone(),
        format!(r#"{{"type":"say","text":{deep}}}"#),
        format!(r#"{{"type":"say","text":{nested}}}"#),
        format!(r#"{{"text":{nested},"type":"say"}}"#),
        format!(r#"{{"type":"say","text":{objects}}}"#),
        format!(r#"{{"type":"{long}"}}"#),
        format!(r#"{{"type":"{hidden}"}}"#),
        format!(r#"{{"type":"{escapes}"}}"#),
        format!(r#"{{"type":"ping","{long}":1}}"#),
        format!(r#"{{"type":"group-set","group":"team","members":"{hidden}"}}"#),
        format!(r#"{{"type":"status","status":"{hidden}"}}"#),
    ];
    let bytes = bytes.map(|body| (MESSAGE, body.to_vec())).into_iter();
    let texts = texts.map(|body| (MESSAGE, body.as_bytes().to_vec()));
    let built = built.map(|body| (MESSAGE, body.into_bytes()));
    kinds.into_iter().chain(bytes).chain(texts).chain(built).collect()
}

fn preview(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(100)]).into_owned()
}

/// A frame longer than any may be, one of no bytes, and one that is not completed.
pub fn lengths_outside_the_limits<S: Stage>() {
    let hello_within = Duration::from_millis(500);
    let server = Server::start::<S>(&Limits { hello_within, ..Limits::default() });
    let [mut alice, mut bob] = server.join_all::<S, 2>(["alice", "bob"]);
    for length in [131_073, u32::MAX, 0, 131_072, 10] {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.write_all(&length.to_be_bytes()).unwrap();
        // Where the length is too long nothing more is read: then this may fail.
        let _ = stream.write_all(b"\x10{\"typ");
        let sent = Instant::now();
        assert_ended(&mut stream);
        let by_deadline = sent.elapsed() > hello_within / 2;
        assert_eq!(by_deadline, (1..=131_072).contains(&length), "length {length}");
    }
    // In the room there is no deadline, and the limits are the same.
    for length in [131_073, u32::MAX, 0] {
        let mut carol = server.join::<S>("carol");
        carol.stream.write_all(&length.to_be_bytes()).unwrap();
        carol.expect_bye("protocol");
        for peer in [&mut alice, &mut bob] {
            peer.expect(&json!({"type": "joined", "name": "carol"}));
            peer.expect(&json!({"type": "left", "name": "carol"}));
        }
    }
    assert_they_chat(&mut alice, &mut bob);
}

/// Bytes that keep coming move no deadline.
pub fn a_drip_of_bytes_meets_the_deadline<S: Stage>() {
    let hello_within = Duration::from_millis(500);
    let server = Server::start::<S>(&Limits { hello_within, ..Limits::default() });
    let [mut alice, mut bob] = server.join_all::<S, 2>(["alice", "bob"]);
    let mut stream = TcpStream::connect(server.address).unwrap();
    let started = Instant::now();
    // A frame that would take for ever, in both senses.
    let mut drip = [0, 0, 0xff, 0].into_iter().chain(std::iter::repeat(0x10));
    stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let ended = loop {
        if stream.write_all(&[drip.next().unwrap()]).is_err() {
            break started.elapsed();
        }
        match stream.read(&mut [0; 1024]) {
            Err(error) if is_timeout(&error) => {}
            Err(_) | Ok(0) => break started.elapsed(),
            Ok(_) => {}
        }
        assert!(started.elapsed() < PATIENCE, "still open");
    };
    assert!(ended > hello_within * 9 / 10, "ended after {ended:?} already");
    assert!(ended < hello_within * 4, "ended after {ended:?} only");
    assert_they_chat(&mut alice, &mut bob);
}

/// Whoever begins with something else than a message is told so and has to go.
pub fn an_unreadable_first_message<S: Stage>() {
    let server = Server::start::<S>(&Limits::default());
    let [mut alice, mut bob] = server.join_all::<S, 2>(["alice", "bob"]);
    for (kind, body) in unreadable() {
        let mut eve = Peer::connect::<S>(server.address);
        eve.send_frame(kind, &body);
        let event = eve.next_event().unwrap_or_else(|| panic!("no bye for {}", preview(&body)));
        let reason = (&event["type"], &event["reason"]);
        assert_eq!(reason, (&json!("bye"), &json!("protocol")), "{}", preview(&body));
        let text = event["text"].as_str().unwrap();
        assert!(text.starts_with("unreadable message: "), "{text}");
        assert_short_and_visible(text);
        assert_eq!(eve.next_event(), None);
    }
    assert_they_chat(&mut alice, &mut bob);
}

/// In the room it is refused, with the reason, and the connection lives on.
pub fn unreadable_messages_are_refused<S: Stage>() {
    let server = Server::start::<S>(&Limits::default());
    let [mut alice, mut bob] = server.join_all::<S, 2>(["alice", "bob"]);
    for some in unreadable().chunks(15) {
        let mut carol = server.join::<S>("carol");
        for (kind, body) in some {
            carol.send_frame(*kind, body);
            let event =
                carol.next_event().unwrap_or_else(|| panic!("no answer to {}", preview(body)));
            assert_eq!(event["type"], "refused", "{event} for {}", preview(body));
            let text = event["text"].as_str().unwrap();
            assert!(text.starts_with("unreadable message: "), "{text}");
            assert_short_and_visible(text);
        }
        carol.send(&say("I can still talk"));
        carol.expect_nothing_more();
        carol.finish();
        for peer in [&mut alice, &mut bob] {
            peer.expect(&json!({"type": "joined", "name": "carol"}));
            peer.expect(&json!({"type": "said", "from": "carol", "text": "I can still talk"}));
            peer.expect(&json!({"type": "left", "name": "carol"}));
        }
    }
    assert_they_chat(&mut alice, &mut bob);
}

/// Fifteen are forgiven, also with messages between them; the sixteenth is one too many.
pub fn the_sixteenth_unreadable_message_ends_it<S: Stage>() {
    let server = Server::start::<S>(&Limits::default());
    let [mut alice, mut bob, mut carol] = server.join_all::<S, 3>(["alice", "bob", "carol"]);
    for _ in 0..15 {
        carol.send_frame(MESSAGE, b"garbage");
        carol.expect_refusal("unreadable message: ");
        carol.expect_nothing_more();
    }
    carol.send_frame(MESSAGE, b"garbage");
    carol.expect_refusal("unreadable message: ");
    carol.expect_bye("protocol");
    for peer in [&mut alice, &mut bob] {
        peer.expect(&json!({"type": "left", "name": "carol"}));
    }
    // All at once it is the same, and what was said before is not lost.
    let mut carol = server.join::<S>("carol");
    carol.send(&say("now look"));
    for _ in 0..20 {
        carol.send_frame(MESSAGE, b"garbage");
    }
    for _ in 0..16 {
        carol.expect_refusal("unreadable message: ");
    }
    carol.expect_bye("protocol");
    for peer in [&mut alice, &mut bob] {
        peer.expect(&json!({"type": "joined", "name": "carol"}));
        peer.expect(&json!({"type": "said", "from": "carol", "text": "now look"}));
        peer.expect(&json!({"type": "left", "name": "carol"}));
    }
    assert_they_chat(&mut alice, &mut bob);
}

/// A message before the hello ends the connection; a second hello is refused.
pub fn before_and_after_the_hello<S: Stage>() {
    let server = Server::start::<S>(&Limits::default());
    let [mut alice, mut bob] = server.join_all::<S, 2>(["alice", "bob"]);
    for early in [say("hi"), json!({"type": "ping"}), json!({"type": "names"})] {
        let mut eve = Peer::connect::<S>(server.address);
        eve.send(&early);
        eve.hello("eve");
        let text = eve.expect_bye("protocol");
        assert!(text.contains(r#""hello""#), "{text}");
    }
    for name in ["alice", "bob", "carol", "\u{1b}"] {
        alice.hello(name);
        alice.expect_refusal("you have said hello already");
    }
    alice.send(&json!({"type": "names"}));
    let names = alice.wait_for("names");
    let people = names["people"].as_array().unwrap().iter().map(|person| &person["name"]);
    assert_eq!(people.collect::<Vec<_>>(), ["alice", "bob"]);
    assert_they_chat(&mut alice, &mut bob);
}

/// A client of another version is told which one is spoken here.
pub fn another_version<S: Stage>() {
    let server = Server::start::<S>(&Limits::default());
    let [mut alice, mut bob] = server.join_all::<S, 2>(["alice", "bob"]);
    for version in [0, 2, u32::MAX] {
        let mut eve = Peer::connect::<S>(server.address);
        eve.send(&json!({"type": "hello", "chat5": version, "name": "eve"}));
        let text = eve.expect_bye("protocol");
        assert_eq!(text, format!("this server speaks version 1, not {version}"));
    }
    assert_they_chat(&mut alice, &mut bob);
}

/// Names of the wrong form, reserved ones in any case, and those of others.
pub fn names_that_nobody_may_have<S: Stage>() {
    let server = Server::start::<S>(&Limits::default());
    let [mut alice, mut bob] = server.join_all::<S, 2>(["alice", "bob"]);
    let refused = |name: &str, reason: &str| {
        let mut eve = Peer::connect::<S>(server.address);
        eve.hello(name);
        let text = eve.expect_bye(reason);
        assert_short_and_visible(&text);
        text
    };
    for length in [21, 130_000] {
        let text = refused(&"x".repeat(length), "bad-name");
        assert!(text.contains("1 to 20 characters"), "{text}");
    }
    refused("", "bad-name");
    for c in " !\"#$%&'()*+,./:;<=>?@[\\]^`{|}~éж你\u{301}👩Ａ١".chars() {
        refused(&format!("a{c}b"), "bad-name");
    }
    for c in invisible().chain(NEEDED) {
        refused(&format!("a{c}b"), "bad-name");
    }
    for c in ['\u{1b}', '\u{200b}', '\u{e0041}', '\u{9b}', '"', '\\'] {
        refused(&c.to_string().repeat(20), "bad-name");
        refused(&c.to_string().repeat(20_000), "bad-name");
    }
    for word in RESERVED {
        let mut capital = word.to_owned();
        capital[..1].make_ascii_uppercase();
        for name in [word, &word.to_uppercase(), &capital] {
            let text = refused(name, "bad-name");
            assert_eq!(text, format!("{name} is a reserved name, choose another"));
        }
    }
    for name in ["alice", "ALICE", "aLiCe", "Bob"] {
        let text = refused(name, "name-taken");
        assert!(text.contains("is taken, choose another"), "{text}");
    }
    // The longest that is allowed.
    let longest = "-_0123456789aZ-_Az09";
    server.join::<S>(longest).finish();
    for peer in [&mut alice, &mut bob] {
        peer.expect(&json!({"type": "joined", "name": longest}));
        peer.expect(&json!({"type": "left", "name": longest}));
    }
    assert_they_chat(&mut alice, &mut bob);
}

/// Exactly 4,096 bytes pass, whatever they are; none and one more do not.
pub fn lengths_of_text<S: Stage>() {
    let server = Server::start::<S>(&Limits::default());
    let [mut alice, mut bob] = server.join_all::<S, 2>(["alice", "bob"]);
    alice.send(&json!({"type": "group-set", "group": "team", "members": ["bob"]}));
    alice.wait_for("group-set");
    bob.wait_for("group-set");
    let messages = |text: &str| {
        [
            (say(text), json!({"type": "said", "from": "alice", "text": text})),
            (
                json!({"type": "private", "to": "bob", "text": text}),
                json!({"type": "private", "from": "alice", "to": "bob", "text": text}),
            ),
            (
                json!({"type": "group-send", "group": "team", "text": text}),
                json!({"type": "group", "from": "alice", "group": "team", "text": text}),
            ),
        ]
    };
    let (unit, quoted) = ("x".repeat(4096), r#"\"[{"#.repeat(1024));
    for text in [unit, "é".repeat(2048), "👩".repeat(1024), "\0".repeat(4096), quoted] {
        for (request, event) in messages(&text) {
            alice.send(&request);
            bob.expect(&event);
            if event["type"] != "said" {
                alice.expect(&event);
            }
        }
        for (request, _) in messages(&format!("{text}x")) {
            alice.send(&request);
            alice.expect_refusal("the text has 4097 bytes, at most 4096 are allowed");
        }
    }
    for (request, _) in messages("") {
        alice.send(&request);
        alice.expect_refusal("there is no text");
    }
    for (request, _) in messages(&"x".repeat(130_000)) {
        alice.send(&request);
        alice.expect_refusal("the text has 130000 bytes");
    }
    assert_they_chat(&mut alice, &mut bob);
}

/// What a sender hides in a text, a reader sees; and so does who reads the server's log.
pub fn invisible_characters_are_shown<S: Stage>() {
    let mut server = ServerProgram::start::<S>(&["-vv"]);
    let mut bob = server.client::<S>("bob");
    let mut alice = Peer::connect::<S>(server.address);
    alice.hello("alice");
    alice.wait_for("joined");
    bob.expect(&["* alice joined"]);
    alice.send(&json!({"type": "group-set", "group": "team", "members": ["bob"]}));
    bob.expect(&["* alice made the group #team: bob, alice"]);
    let mut check = |sent: &str, shown: &str| {
        alice.send(&say(sent));
        alice.send(&json!({"type": "private", "to": "bob", "text": sent}));
        alice.send(&json!({"type": "group-send", "group": "team", "text": sent}));
        bob.expect(&[
            &format!("alice: {shown}"),
            &format!("alice -> bob: {shown}"),
            &format!("alice -> #team: {shown}"),
        ]);
    };
    for c in invisible() {
        check(&format!("a{c}b"), &format!("a\\u{{{:x}}}b", u32::from(c)));
    }
    for c in NEEDED {
        check(&format!("a{c}b"), &format!("a{c}b"));
    }
    check("\r* carol joined", "\\u{d}* carol joined");
    check("hi\n* carol joined", "hi\\u{a}* carol joined");
    check("\u{1b}[2J\u{1b}]0;x\u{7}", "\\u{1b}[2J\\u{1b}]0;x\\u{7}");
    bob.type_line("and I can answer");
    let answer = alice.wait_for("said");
    assert_eq!(answer["text"], "and I can answer");
    alice.send_frame(MESSAGE, b"\x1b[2J\r\xff");
    alice.send_frame(MESSAGE, br#"{"type":"\u001b[2J\u202e"}"#);
    alice.send(&json!({"type": "private", "to": "\u{1b}[2J", "text": "hi"}));
    alice.expect_refusal("unreadable message: ");
    alice.expect_refusal("unreadable message: ");
    alice.expect_refusal("nobody here is called \\u{1b}[2J");
    let mut eve = Peer::connect::<S>(server.address);
    eve.hello("\u{1b}[2J\n\u{202e}");
    eve.expect_bye("bad-name");
    server.program.kill();
    let (_, _, log) = server.program.end();
    assert!(log.contains("unreadable message"), "{log}");
    assert_visible(&log.replace('\n', ""));
}

/// A server made of the stage's own connection, with a client process in it that believes it.
pub(crate) fn hostile_server<S: Stage>() -> (Program, Peer) {
    hostile_server_with::<S>(&[])
}

/// The same with more options for the client.
pub(crate) fn hostile_server_with<S: Stage>(options: &[&str]) -> (Program, Peer) {
    let any = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
    let listener = Listener::bind(any, None).expect("a free port");
    let address = listener.address().to_string();
    let args = [&["client", &address, "--name", "bob"], options].concat();
    let mut bob = Program::start::<S>(&args);
    let mut server = Peer::serving::<S>(listener.accept().expect("bob comes"));
    server.expect(&json!({"type": "hello", "chat5": 1, "name": "bob"}));
    let people = json!([{"name": "bob", "status": "normal"}]);
    server.send(&json!({"type": "welcome", "name": "bob", "people": people}));
    server.send(&json!({"type": "joined", "name": "bob"}));
    bob.expect(&["* bob joined"]);
    (bob, server)
}

/// A client trusts its server no more than its peers: all that it says is escaped.
pub fn a_server_that_sends_invisible_characters<S: Stage>() {
    let (mut bob, mut server) = hostile_server::<S>();
    for c in invisible() {
        let (sent, shown) = (format!("a{c}b"), format!("a\\u{{{:x}}}b", u32::from(c)));
        server.send(&json!({"type": "refused", "text": sent}));
        server.send(&json!({"type": "notice", "text": sent}));
        server.send(&json!({"type": "said", "from": "alice", "text": sent}));
        bob.expect(&[&format!("! {shown}"), &format!("* {shown}"), &format!("alice: {shown}")]);
    }
    for c in NEEDED {
        server.send(&json!({"type": "refused", "text": format!("a{c}b")}));
        bob.expect(&[&format!("! a{c}b")]);
    }
    server.send(&json!({"type": "bye", "reason": "full", "text": "\u{1b}[2J\r* all is well"}));
    bob.expect(&["! \\u{1b}[2J\\u{d}* all is well"]);
    let (code, lines, stderr) = bob.end();
    assert_eq!((code, lines), (Some(1), vec![]));
    assert_visible(&stderr.replace('\n', ""));
}

/// A client shows what it cannot read, escaped, and gives up at the sixteenth.
pub fn a_server_that_sends_garbage<S: Stage>() {
    let names = ["a\u{1b}b", "", "a\u{200b}b", "alice\n* bob", "x\u{202e}y", "\u{200d}"];
    let names = names.iter().flat_map(|name| {
        [
            json!({"type": "joined", "name": name}),
            json!({"type": "said", "from": name, "text": "hi"}),
            json!({"type": "names", "people": [{"name": name, "status": "normal"}]}),
            json!({"type": "group-set", "group": name, "owner": "bob", "members": ["bob"]}),
            json!({"type": "private", "from": "bob", "to": name, "text": "hi"}),
            json!({"type": "bye", "reason": name, "text": "hi"}),
        ]
    });
    let names = names.map(|event| (MESSAGE, event.to_string().into_bytes()));
    let all = unreadable().into_iter().chain(names).collect::<Vec<_>>();
    for some in all.chunks(15) {
        let (mut bob, mut server) = hostile_server::<S>();
        for (kind, body) in some {
            server.send_frame(*kind, body);
            let line = bob.expect_prefix("! unreadable message: ");
            assert_visible(&line);
            assert!(line.len() < 8 * 512, "{} bytes", line.len());
        }
        server.send(&json!({"type": "said", "from": "alice", "text": "still here?"}));
        bob.expect(&["alice: still here?"]);
        for _ in some.len()..15 {
            server.send_frame(MESSAGE, b"\x1b");
            bob.expect(&["! unreadable message: \\u{1b}"]);
        }
        server.send_frame(MESSAGE, b"\x1b\xff");
        bob.expect(&["! unreadable message: \\u{1b}\\xff"]);
        bob.expect(&["! too many messages could not be read, that is enough"]);
        let (code, lines, _) = bob.end();
        assert_eq!((code, lines), (Some(1), vec![]));
    }
}

/// A client whose server breaks off says so and fails.
pub fn a_server_that_ends_inside_a_frame<S: Stage>() {
    for part in [&b"\0"[..], b"\0\0\0\x10", b"\0\0\0\x10\x10{\"type\""] {
        let (bob, mut server) = hostile_server::<S>();
        server.stream.write_all(part).unwrap();
        server.stream.close();
        let (code, lines, _) = bob.end();
        assert_eq!(code, Some(1));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("! "), "{lines:?}");
    }
    for length in [0_u32, 131_073, u32::MAX] {
        let (mut bob, mut server) = hostile_server::<S>();
        server.stream.write_all(&length.to_be_bytes()).unwrap();
        bob.expect_prefix("! ");
        let (code, lines, _) = bob.end();
        assert_eq!((code, lines), (Some(1), vec![]));
    }
}

/// What a client sends until it is in the room, and then to leave it, byte by byte.
fn first_exchange<S: Stage>(server: SocketAddr, name: &str) -> Vec<u8> {
    let tap = Tap::before(server);
    Peer::join::<S>(tap.address, name).finish();
    tap.end().sent
}

/// A client that goes at any moment of its coming, politely or not, leaves nothing behind.
pub fn ended_at_every_byte<S: Stage>() {
    let server = Server::start::<S>(&Limits::default());
    let [mut alice, mut bob] = server.join_all::<S, 2>(["alice", "bob"]);
    let sent = first_exchange::<S>(server.address, "dave");
    for peer in [&mut alice, &mut bob] {
        peer.expect(&json!({"type": "joined", "name": "dave"}));
        peer.expect(&json!({"type": "left", "name": "dave"}));
    }
    for end in 0..sent.len() {
        let mut half_closed = TcpStream::connect(server.address).unwrap();
        half_closed.write_all(&sent[..end]).unwrap();
        half_closed.shutdown(Shutdown::Write).unwrap();
        let ended = Instant::now();
        assert_ended(&mut half_closed);
        assert!(ended.elapsed() < Duration::from_secs(5), "byte {end}: {:?}", ended.elapsed());

        let mut reset = TcpStream::connect(server.address).unwrap();
        reset.write_all(&sent[..end]).unwrap();
        SockRef::from(&reset).set_linger(Some(Duration::ZERO)).unwrap();
    }
    // None of them was complete, so nobody has seen anything, and the name is free.
    assert_they_chat(&mut alice, &mut bob);
    // Whole ones, reset while they come in: whether the server saw them or not, the name is free.
    for _ in 0..20 {
        let tap = Tap::cut(server.address, sent.len());
        let mut dave = Peer::connect::<S>(tap.address);
        dave.hello("dave");
        dave.finish();
        tap.end();
    }
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut dave = Peer::connect::<S>(server.address);
        dave.hello("dave");
        match dave.event() {
            taken if taken["reason"] == "name-taken" => assert!(Instant::now() < deadline),
            welcome => {
                assert_eq!(welcome["people"].as_array().unwrap().len(), 3, "{welcome}");
                break;
            }
        }
    }
    alice.send(&say("are you there?"));
    bob.wait_for("said");
}
