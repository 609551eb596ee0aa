//! What only an encrypted stage has: suites, fingerprints, key logs, and a wire on which nothing
//! that is said can be read.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use common::frame::HANDSHAKE;
use common::frame::MESSAGE;
use common::frame::RECORD;
use common::stream::Listener;
use common::stream::Stream;
use serde_json::Value;
use serde_json::json;

use crate::Limits;
use crate::PATIENCE;
use crate::Stage;
use crate::capture::frames;
use crate::hostile::assert_ended;
use crate::peer::Peer;
use crate::process::Program;
use crate::process::ServerProgram;
use crate::server::Server;
use crate::session::fingerprint;
use crate::session::said_by;
use crate::tap::Tap;

/// The options of each suite.
const SUITES: [[&str; 4]; 4] = [
    ["--kex", "p256", "--cipher", "aes-256-cfb"],
    ["--kex", "p256", "--cipher", "aes-256-gcm"],
    ["--kex", "x25519", "--cipher", "aes-256-cfb"],
    ["--kex", "x25519", "--cipher", "aes-256-gcm"],
];

/// The default, in which a stage's driver without options talks.
const DEFAULT: &str = "kex=p256 cipher=aes-256-cfb";

/// As the line about a session names a suite.
fn named([_, kex, _, cipher]: [&str; 4]) -> String {
    format!("kex={kex} cipher={cipher}")
}

/// Starts a client with options of its own.
fn client<S: Stage>(server: SocketAddr, name: &str, options: &[&str]) -> Program {
    let address = server.to_string();
    Program::start::<S>(&[&["client", &address, "--name", name], options].concat())
}

/// Waits for the server's log to say something; all of it.
#[track_caller]
fn log_with(server: &ServerProgram, is_there: impl Fn(&str) -> bool) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let log = server.program.stderr();
        if is_there(&log) {
            return log;
        }
        assert!(Instant::now() < deadline, "{log}");
        // The log is read by another thread.
        thread::park_timeout(Duration::from_millis(5));
    }
}

/// A client joins and leaves; its fingerprint, after a look at everything that it wrote to stderr.
#[track_caller]
fn visit<S: Stage>(server: &ServerProgram, name: &str, options: &[&str], suite: &str) -> String {
    let mut client = client::<S>(server.address, name, options);
    client.expect(&[&format!("* {name} joined")]);
    let (code, lines, stderr) = client.end();
    assert_eq!((code, lines), (Some(0), vec![]), "{stderr}");
    let (line, rest) = said_by::<S>(&stderr, suite);
    assert_eq!(rest, "");
    let fingerprint = fingerprint(line, suite).to_owned();
    // The server's log says the same of this very session.
    log_with(server, |log| log.lines().any(|logged| logged.ends_with(line)));
    fingerprint
}

/// Both sides say the same of a session, and of each session something else; each suite can be
/// chosen by the client, by the server, and by both.
pub fn suites_and_fingerprints<S: Stage>() {
    let mut seen = BTreeSet::new();
    let anything = ServerProgram::start::<S>(&[]);
    for name in ["alice", "bob", "carol"] {
        assert!(seen.insert(visit::<S>(&anything, name, &[], DEFAULT)), "{seen:?}");
    }
    for suite in SUITES {
        let pinned = ServerProgram::start::<S>(&suite);
        for (server, options) in [(&anything, &suite[..]), (&pinned, &[]), (&pinned, &suite)] {
            let fingerprint = visit::<S>(server, "alice", options, &named(suite));
            assert!(seen.insert(fingerprint), "{seen:?}");
        }
        // Each chooses what the other leaves open.
        let [kex, which, cipher, what] = suite;
        let half = ServerProgram::start::<S>(&[kex, which]);
        let fingerprint = visit::<S>(&half, "alice", &[cipher, what], &named(suite));
        assert!(seen.insert(fingerprint), "{seen:?}");
    }
}

/// Two sides that insist on different things do not talk, and the client is told about both.
pub fn no_suite_in_common<S: Stage>() {
    let word = |option: &str| match option {
        "--kex" => ["p256", "x25519"],
        _ => ["aes-256-cfb", "aes-256-gcm"],
    };
    for option in ["--kex", "--cipher"] {
        let [one, other] = word(option);
        for (servers, clients) in [(one, other), (other, one)] {
            let server = ServerProgram::start::<S>(&[option, servers]);
            let mut bob = client::<S>(server.address, "bob", &[]);
            bob.expect(&["* bob joined"]);
            let alice = client::<S>(server.address, "alice", &[option, clients]);
            let (code, lines, stderr) = alice.end();
            assert_eq!((code, stderr.as_str()), (Some(1), ""));
            let [line] = &lines[..] else { panic!("one line: {lines:?}") };
            let words = [&format!("{option} {servers}"), &format!("{option} {clients}")];
            assert!(line.starts_with("! "), "{line}");
            assert!(words.iter().all(|words| line.contains(*words)), "{line}");
            log_with(&server, |log| words.iter().all(|words| log.contains(*words)));
            assert_eq!(bob.end().1, Vec::<String>::new(), "nobody else has seen anything");
        }
    }
}

/// The lines of a key log, after a look at their form.
#[track_caller]
fn keys(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).expect("a key log");
    let lines = text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(text.ends_with('\n'));
    for (number, line) in lines.iter().enumerate() {
        let parts = line.split(' ').collect::<Vec<_>>();
        let [label, random, key] = parts[..] else { panic!("three parts: {line}") };
        assert_eq!(label, ["CHAT2_C2S", "CHAT2_S2C"][number % 2]);
        let is_hex = |text: &str| text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        assert!(is_hex(random) && is_hex(key) && random != key, "{line}");
    }
    for pair in lines.chunks(2) {
        let random = |line: &String| line.split(' ').nth(1).unwrap_or_default().to_owned();
        assert_eq!(random(&pair[0]), random(&pair[1]), "both are of one session");
    }
    lines
}

/// `--keylog` and `CHATKEYLOG` on both sides: the same keys, two lines a session, and a warning.
pub fn key_logs<S: Stage>() {
    const WARNING: &str = "warning: session keys are written to ";
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let (servers, clients) = (path("server"), path("client"));
    for (number, suite) in (1..).zip(SUITES) {
        let file = servers.to_str().expect("UTF-8");
        let server = ServerProgram::start::<S>(&[&suite[..], &["--keylog", file]].concat());
        log_with(&server, |log| log.starts_with(&format!("{WARNING}{file}; ")));

        let address = server.address.to_string();
        let mut command = Command::new(S::binary());
        command
            .args(["client", &address, "--name", "alice"])
            .args(suite)
            .env("CHATKEYLOG", &clients);
        let mut alice = Program::start_command(&mut command);
        let tap = Tap::before(server.address);
        alice.expect(&["* alice joined"]);
        let (code, _, stderr) = alice.end();
        assert_eq!(code, Some(0));
        let (warning, session) = stderr.split_once('\n').expect("two lines");
        assert!(warning.starts_with(WARNING), "{stderr}");
        assert!(warning.contains(clients.to_str().expect("UTF-8")), "{stderr}");
        assert_eq!(said_by::<S>(session, &named(suite)).1, "");

        // What is known by the random bytes of the client's hello, which is on the wire.
        let mut bob = Peer::connect::<S>(tap.address);
        bob.hello("bob");
        bob.expect_welcome("bob");
        drop(bob);
        let tapped = tap.end();
        let hello = frames(&tapped.sent)[0];
        let random = hello[6..38].iter().map(|b| format!("{b:02x}")).collect::<String>();

        // Appended to what was there, two lines for each session.
        let (servers, clients) = (keys(&servers), keys(&clients));
        assert_eq!((servers.len(), clients.len()), (number * 4, number * 2));
        let [.., one, two, bobs, _] = &servers[..] else { panic!("four more lines") };
        assert_eq!(clients[clients.len() - 2..], [one.clone(), two.clone()], "the same keys");
        assert!(bobs.contains(&random), "{bobs}");
        let all = servers.iter().map(|line| line.split(' ').nth(2)).collect::<BTreeSet<_>>();
        assert_eq!(all.len(), servers.len(), "a key for each direction of each session");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(&servers).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "who runs the server can read it, and nobody else");
    }
}

/// A key log that cannot be written is an error before anybody talks.
pub fn a_key_log_that_cannot_be_written<S: Stage>() {
    let server = ServerProgram::start::<S>(&[]);
    let address = server.address.to_string();
    for args in [
        &["server", "--listen", "127.0.0.1:0", "--keylog", "/nonexistent/keys"][..],
        &["client", &address, "--name", "alice", "--keylog", "/nonexistent/keys"],
        &["client", &address, "--name", "alice", "--keylog", "/"],
    ] {
        let (code, lines, stderr) = Program::start::<S>(args).end();
        assert_eq!((code, lines), (Some(1), vec![]), "{stderr}");
        assert!(stderr.starts_with("error: --keylog /"), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
    let mut bob = client::<S>(server.address, "bob", &[]);
    bob.expect(&["* bob joined"]);
    assert_eq!(bob.end().1, Vec::<String>::new());
}

/// The frame that this stage's server sends in plaintext, for who cannot know its records.
#[track_caller]
fn plaintext_bye(stream: &mut TcpStream) -> String {
    stream.set_read_timeout(Some(PATIENCE)).expect("it can be set");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("the end, and no reset");
    let frames = frames(&bytes);
    let [frame] = frames[..] else { panic!("one frame: {frames:?}") };
    assert_eq!(frame[0], MESSAGE);
    let bye = serde_json::from_slice::<Value>(&frame[1..]).expect("JSON");
    assert_eq!((&bye["type"], &bye["reason"]), (&json!("bye"), &json!("protocol")));
    bye["text"].as_str().expect("a text").to_owned()
}

fn framed(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(1 + body.len()).expect("a frame");
    [&length.to_be_bytes()[..], &[kind], body].concat()
}

/// Who begins with something else than this handshake is told what this stage speaks.
pub fn what_is_no_handshake<S: Stage>() {
    let server = Server::start::<S>(&Limits::default());
    let mut alice = server.join::<S>("alice");
    let hello = [&b"CHT2\x01"[..], &[7; 32], &[0, 0]].concat();
    let changed = |at: usize, byte: u8| {
        let mut hello = hello.clone();
        hello[at] = byte;
        hello
    };
    for (kind, body, words) in [
        // A client of a stage without encryption.
        (MESSAGE, br#"{"type":"hello","chat5":1,"name":"bob"}"#.to_vec(), "handshake"),
        (RECORD, vec![0; 64], "handshake"),
        (0xff, b"hi".to_vec(), "handshake"),
        (HANDSHAKE, vec![], "0 bytes"),
        (HANDSHAKE, b"CHT".to_vec(), "CHT2"),
        (HANDSHAKE, changed(3, b'5'), "CHT2"),
        (HANDSHAKE, b"\x1b[2J\xe2\x80\xae".repeat(1000), "CHT2"),
        (HANDSHAKE, changed(4, 2), "version 1"),
        (HANDSHAKE, hello[..38].to_vec(), "38 bytes"),
        (HANDSHAKE, [&hello[..], &[0]].concat(), "40 bytes"),
        (HANDSHAKE, changed(37, 200), "--kex number 200"),
        (HANDSHAKE, changed(38, 9), "--cipher number 9"),
    ] {
        let mut eve = TcpStream::connect(server.address).expect("the server listens");
        eve.write_all(&framed(kind, &body)).expect("it can be written");
        eve.shutdown(Shutdown::Write).expect("it is open");
        let text = plaintext_bye(&mut eve);
        assert!(text.contains(words), "{body:?}: {text}");
        assert!(text.len() < 400 && !text.contains(char::is_control), "{text:?}");
    }
    // What cannot be a share, after a hello as it should be.
    for share in [&[][..], &[4; 64], &[4; 65], &[0; 65], &[4; 66], &[0; 32]] {
        let mut eve = TcpStream::connect(server.address).expect("the server listens");
        eve.write_all(&[framed(HANDSHAKE, &hello), framed(HANDSHAKE, share)].concat())
            .expect("it can be written");
        assert_ended(&mut eve);
    }
    alice.expect_nothing_more();
}

/// A server of this stage's that gets the first frame of a client and answers with these bytes.
fn answered<S: Stage>(answer: &[u8]) -> (Option<i32>, Vec<String>, String) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let bob = client::<S>(listener.local_addr().expect("it is bound"), "bob", &[]);
    let (mut stream, _) = listener.accept().expect("bob comes");
    let mut header = [0; 5];
    stream.read_exact(&mut header).expect("a frame");
    assert_eq!(header, [0, 0, 0, 40, HANDSHAKE]);
    stream.read_exact(&mut [0; 39]).expect("a hello");
    stream.write_all(answer).expect("it can be written");
    stream.shutdown(Shutdown::Write).expect("it is open");
    bob.end()
}

/// A client that gets something else than an answer to its hello says what is wrong.
pub fn a_server_of_another_stage<S: Stage>() {
    // As a stage without encryption takes leave of whoever begins with a frame of kind 20.
    let told = "unreadable message: a frame of kind 20 instead of a message";
    let bye = json!({"type": "bye", "reason": "protocol", "text": told}).to_string();
    let answer = |kex: u8, cipher: u8| {
        framed(HANDSHAKE, &[&b"CHT2\x01"[..], &[7; 32], &[kex, cipher], &[4; 65]].concat())
    };
    for (answer, words) in [
        (framed(MESSAGE, bye.as_bytes()), told),
        (framed(MESSAGE, br#"{"type":"welcome","name":"bob","people":[]}"#), "handshake"),
        (framed(RECORD, &[0; 40]), "handshake"),
        (framed(HANDSHAKE, b"HTTP/1.1 400 Bad Request"), "CHT2"),
        (framed(HANDSHAKE, &[&b"CHT2\x02"[..], &[7; 34]].concat()), "version"),
        (answer(0, 1), "--kex number 0"),
        (answer(1, 77), "--cipher number 77"),
        (vec![], "ended the connection during the handshake"),
    ] {
        let (code, lines, stderr) = answered::<S>(&answer);
        assert_eq!((code, stderr.as_str()), (Some(1), ""), "{lines:?}");
        let [line] = &lines[..] else { panic!("one line: {lines:?}") };
        assert!(line.starts_with("! ") && line.contains(words), "{line}");
    }
    // A point that is not on the curve.
    let (code, lines, stderr) = answered::<S>(&answer(1, 1));
    assert_eq!((code, stderr.as_str()), (Some(1), ""), "{lines:?}");
    assert_eq!(lines.len(), 1, "{lines:?}");
}

/// The deadline for the hello is one for all that comes before it, too.
pub fn a_slow_handshake_meets_the_deadline<S: Stage>() {
    let hello_within = Duration::from_millis(1500);
    let server = Server::start::<S>(&Limits { hello_within, ..Limits::default() });
    let began = Instant::now();
    // Late with its handshake, and then silent.
    let stream = Stream::connect(&[server.address], None).expect("the server listens");
    thread::park_timeout(hello_within / 2);
    let mut late = Peer::over::<S>(stream);
    assert_eq!(late.next_event(), None);
    let ended = began.elapsed();
    assert!(ended > hello_within * 9 / 10, "ended after {ended:?} already");
    assert!(ended < hello_within * 3 / 2, "ended after {ended:?} only");
}

/// What must not be in a capture: all that is said, who says it, and what messages are made of.
const SAID: [&str; 3] = ["the quick brown fox", "jumps over", "a lazy dog at noon"];
const NEVER: [&str; 9] = [
    "the quick",
    "brown fox",
    "jumps",
    "lazy dog",
    "alice",
    "carol",
    "\"type\"",
    "\"text\"",
    "private",
];

/// Nothing that is said can be read in what crosses the wire; all of it can where it arrives.
pub fn nothing_is_readable_on_the_wire<S: Stage>() {
    for suite in SUITES {
        nothing_is_readable_with::<S>(&suite, b"CHT2\x01");
    }
}

/// The same with these options on both sides, of which the handshake begins with `magic`.
pub fn nothing_is_readable_with<S: Stage>(options: &[&str], magic: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("capture");
    let path = file.to_str().expect("UTF-8");
    let server = ServerProgram::start::<S>(&[options, &["--pcap", path]].concat());
    let mut alice = client::<S>(server.address, "alice", options);
    alice.expect(&["* alice joined"]);
    let mut carol = client::<S>(server.address, "carol", options);
    carol.expect(&["* carol joined"]);
    alice.expect(&["* carol joined"]);
    alice.type_line(SAID[0]);
    carol.expect(&[&format!("alice: {}", SAID[0])]);
    carol.type_line(&format!("@alice {}", SAID[1]));
    alice.expect(&[&format!("carol -> alice: {}", SAID[1])]);
    alice.type_line("@group set team carol");
    alice.type_line(&format!("@group send team {}", SAID[2]));
    alice.expect(&["* alice made the group #team: alice, carol"]);
    alice.expect(&[&format!("alice -> #team: {}", SAID[2])]);
    assert_eq!((alice.end().0, carol.end().0), (Some(0), Some(0)));
    log_with(&server, |log| log.matches(": left").count() == 2);

    let capture = fs::read(&file).expect("a capture");
    let holds = |bytes: &[u8]| capture.windows(bytes.len()).any(|window| window == bytes);
    // The search finds what is there.
    assert!(holds(magic));
    for words in NEVER {
        assert!(!holds(words.as_bytes()), "{words:?} with {options:?}");
    }
}

/// A message to two recipients is encrypted for each of them, and twice for one is never the same.
pub fn the_same_message_is_never_the_same_ciphertext<S: Stage>() {
    // Longer than anything else that is said, so that its record is known by its length.
    let text = "x".repeat(500);
    for suite in SUITES {
        let server = ServerProgram::start::<S>(&suite);
        let (bobs, carols) = (Tap::before(server.address), Tap::before(server.address));
        let mut bob = client::<S>(bobs.address, "bob", &suite);
        bob.expect(&["* bob joined"]);
        let mut carol = client::<S>(carols.address, "carol", &suite);
        carol.expect(&["* carol joined"]);
        bob.expect(&["* carol joined"]);
        let mut alice = client::<S>(server.address, "alice", &suite);
        for client in [&mut bob, &mut carol] {
            client.expect(&["* alice joined"]);
        }
        alice.type_line(&text);
        alice.type_line(&text);
        for client in [&mut bob, &mut carol] {
            client.expect(&[&format!("alice: {text}"), &format!("alice: {text}")]);
        }
        bob.end();
        carol.end();
        let (bobs, carols) = (bobs.end().received, carols.end().received);
        let both = frames(&bobs).into_iter().chain(frames(&carols));
        let records = both.filter(|frame| frame.len() > text.len()).collect::<Vec<_>>();
        assert_eq!(records.len(), 4);
        assert!(records.iter().all(|record| record[0] == RECORD));
        // Not even a block of it comes twice: within one, between two, and for two recipients.
        let blocks = records.iter().flat_map(|record| record[1..].windows(16));
        let all = blocks.clone().collect::<BTreeSet<_>>();
        assert_eq!(all.len(), blocks.count(), "{}", named(suite));
    }
}

/// What a client says that has left, but was not let go by its server.
const CUT: &str = "! the server is lost: the connection was cut: it ended without the sealed end of \
                   the session";

/// Where changes are noticed the end of a connection is one that was meant; elsewhere it cannot be
/// known.
pub fn an_end_that_nobody_has_meant<S: Stage>() {
    for (cipher, ends) in
        [("aes-256-cfb", (Some(0), vec![])), ("aes-256-gcm", (Some(1), vec![CUT.to_owned()]))]
    {
        let any = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        let listener = Listener::bind(any, None).expect("a free port");
        let mut bob = client::<S>(listener.address(), "bob", &["--cipher", cipher]);
        let mut server = Peer::serving::<S>(listener.accept().expect("bob comes"));
        server.expect(&json!({"type": "hello", "chat5": 1, "name": "bob"}));
        let people = json!([{"name": "bob", "status": "normal"}]);
        server.send(&json!({"type": "welcome", "name": "bob", "people": people}));
        server.send(&json!({"type": "joined", "name": "bob"}));
        bob.expect(&["* bob joined"]);
        // Bob leaves, and it is not the server that ends the other direction then.
        bob.end_input();
        assert_eq!(server.next_event(), None);
        server.stream.finish();
        let (code, lines, _) = bob.end();
        assert_eq!((code, lines), ends, "{cipher}");
    }
}

/// Who is told that the server stops ends their own direction as they should: nobody looks cut off.
#[cfg(unix)]
pub fn a_server_that_stops_is_no_attack<S: Stage>() {
    for _ in 0..5 {
        let gcm = ["--cipher", "aes-256-gcm"];
        let server = ServerProgram::start::<S>(&gcm);
        let mut clients =
            ["alice", "bob", "carol"].map(|name| client::<S>(server.address, name, &gcm));
        for (client, name) in clients.iter_mut().zip(["alice", "bob", "carol"]) {
            while client.line().expect("it joins") != format!("* {name} joined") {}
        }
        server.program.ctrl_c();
        let (code, _, log) = server.program.end();
        assert_eq!(code, Some(0), "{log}");
        assert!(!log.contains("cut"), "{log}");
    }
}
