//! The dissector for Wireshark, `docs/wireshark/chat5.lua`, as tshark runs it: on frames and keys of
//! `docs/protocol.md`, on known answers made with other code, and on captures of the stages' own
//! programs.
//!
//! Without tshark all this is left out, with a line that says so; in CI (`CI` is set) that fails.
//! From version 4.4 on tshark runs no script for root and does not say so. So where these tests are
//! root, tshark is not; and a test in which not every frame was dissected fails.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test may stop at the first surprise"
)]

mod hostile;
#[cfg(unix)]
mod live;
#[cfg(unix)]
mod page;
mod pcapng;
#[cfg(unix)]
mod programs;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use common::pcap::Capture;
use common::pcap::Flow;
use common::pcap::Side;
use common::pcap::Side::Local;
use common::pcap::Side::Remote;
use serde_json::Value;
use suite::pages::Block;
use suite::pages::Project;
use tempfile::NamedTempFile;

/// Stands between two values of one field in one packet; in no text of these tests.
const BETWEEN: char = '~';
/// The dissector's file.
const PLUGIN: &str = "chat5.lua";
/// A port that belongs to no stage, and that tshark knows nothing of.
const ELSEWHERE: u16 = 47_474;
const CLIENTS_PORT: u16 = 40_000;

/// Whether tshark is there; where it has to be (in CI) its absence is a failure.
fn has_tshark() -> bool {
    let found = Command::new("tshark").arg("--version").output().is_ok();
    assert!(found || env::var_os("CI").is_none(), "tshark has to be installed in CI");
    if !found {
        eprintln!("not checked: tshark is not installed");
    }
    found
}

/// What tshark prints of these fields, packet by packet, each with all its values.
fn fields(file: &Path, options: &[&str], names: &[&str]) -> Vec<Vec<Vec<String>>> {
    let names = names.iter().flat_map(|name| ["-e", name]).collect::<Vec<_>>();
    let shown = tshark(file, &[options, &["-T", "fields"], &names].concat());
    let values = |field: &str| match field {
        "" => Vec::new(),
        values => values.split(BETWEEN).map(str::to_owned).collect(),
    };
    shown.lines().map(|line| line.split('\t').map(values).collect()).collect()
}

/// A tshark whose user has a folder, in which it starts, with the plugin and nothing else.
fn tshark_at_home(home: &Path) -> Command {
    let plugin = Project::this().root.join("docs/wireshark").join(PLUGIN);
    fs::copy(plugin, home.join(PLUGIN)).unwrap();
    let mut command = Command::new("tshark");
    at_home(&mut command, home);
    // A free port may be one that Wireshark takes for something else.
    command.args(["-o", "tcp.try_heuristic_first:TRUE"]);
    for path in [home, &home.join(PLUGIN)] {
        give(path);
    }
    command
}

/// Lets a command be run by a user who has this folder, and starts there.
fn at_home(command: &mut Command, home: &Path) {
    // What people have in their own folder, this plugin perhaps, is not tested here.
    command.current_dir(home).env("HOME", home).env("WIRESHARK_CONFIG_DIR", home);
    command.env_remove("XDG_CONFIG_HOME");
    ordinary(command);
}

/// Whom tshark runs as where this is root: a number is enough, it need not be anybody's.
#[cfg(unix)]
const NOBODY: u32 = 65_534;

/// Runs a command as an ordinary user.
#[cfg(unix)]
fn ordinary(command: &mut Command) {
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
}

/// Lets the ordinary user have a file or folder, if it is there already.
#[cfg(unix)]
fn give(path: &Path) {
    if rustix::process::geteuid().is_root() && path.exists() {
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

#[cfg(not(unix))]
fn ordinary(_: &mut Command) {}

#[cfg(not(unix))]
fn give(_: &Path) {}

/// What tshark prints.
fn tshark(file: &Path, options: &[&str]) -> String {
    let home = tempfile::tempdir().unwrap();
    let mut command = tshark_at_home(home.path());
    give(file);
    command.env("CHAT5_SELFTEST", "1");
    command.args(["-E", &format!("aggregator={BETWEEN}"), "-r"]).arg(file).args(options);
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let (shown, said) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("Lua") && !shown.contains("Lua Error"), "{said}{shown}");
    // The results of the plugin's own tests come first.
    let lines = shown.lines().skip_while(|line| line.starts_with("chat5 selftest: "));
    lines.map(|line| format!("{line}\n")).collect()
}

/// The option that loads the plugin.
fn plugin() -> String {
    format!("lua_script:{PLUGIN}")
}

/// What became of a frame, and what it means in words.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    status: String,
    sentence: String,
}

/// All frames of a capture as the plugin shows them, with this key log; there are as many as were
/// sent.
#[track_caller]
fn seen(file: &Path, keys: Option<&Path>) -> Vec<Seen> {
    let (plugin, keys) = (plugin(), keylog(keys));
    let options = ["-X", &plugin, "-o", &keys];
    let mut frames = Vec::new();
    for packet in fields(file, &options, &["chat5.status", "chat5.sentence"]) {
        let [statuses, sentences] = &packet[..] else { continue };
        assert_eq!(statuses.len(), sentences.len(), "{packet:?}");
        let both = statuses.iter().zip(sentences);
        frames.extend(
            both.map(|(status, sentence)| Seen {
                status: status.clone(),
                sentence: sentence.clone(),
            }),
        );
    }
    let sent = sent(file);
    let found = frames.len();
    assert!(sent > 0 && found >= sent, "{found} of {sent} frames were dissected; is this root?");
    frames
}

/// The preference for a key log.
fn keylog(keys: Option<&Path>) -> String {
    keys.inspect(|path| give(path));
    let path = keys.map(|path| path.display().to_string());
    format!("chat5.keylog:{}", path.unwrap_or_default())
}

/// How many frames went over the wire, counted without the plugin by their lengths alone.
fn sent(file: &Path) -> usize {
    let mut streams = BTreeMap::<_, Vec<u8>>::new();
    for packet in fields(file, &[], &["tcp.stream", "tcp.srcport", "tcp.payload"]) {
        if let [connection, from, payload] = &packet[..] {
            let stream = streams.entry((connection.clone(), from.clone())).or_default();
            payload.iter().for_each(|hex| stream.extend(bytes(hex)));
        }
    }
    let mut frames = 0;
    for mut stream in streams.values().map(Vec::as_slice) {
        while let Some((length, rest)) = stream.split_first_chunk() {
            stream = &rest[usize::try_from(u32::from_be_bytes(*length)).unwrap()..];
            frames += 1;
        }
    }
    frames
}

/// Digits in pairs, with blanks or without.
fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.split_whitespace().collect::<String>();
    let pairs = (0..digits.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(1 + body.len()).unwrap().to_be_bytes();
    [&length, &[kind][..], body].concat()
}

/// A capture of one connection to this port.
fn captured(port: u16, chat: impl FnOnce(&Flow)) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    let capture = Capture::create(file.path()).unwrap();
    chat(&flow(&capture, CLIENTS_PORT, port));
    capture.finish();
    file
}

/// A connection that is captured on the side of its client, which opens it.
fn flow(capture: &Capture, from: u16, to: u16) -> Flow {
    let (local, remote) = (SocketAddr::from(([192, 0, 2, 1], from)), ([192, 0, 2, 2], to));
    capture.flow(local, remote.into(), Local)
}

fn written(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// The rows of a block of `docs/protocol.md`: what they mean, and their bytes; a group of rows for
/// each part between empty lines.
fn rows(argument: &str) -> Vec<Vec<(String, Vec<u8>)>> {
    let project = Project::this();
    let is_it = |block: &&Block| block.language == "bytes" && block.argument == argument;
    let block = project.page("docs/protocol.md").blocks.iter().find(is_it).expect("the block");
    let mut groups = vec![Vec::<(String, Vec<u8>)>::new()];
    for line in block.text.lines() {
        let (hex, meaning) = line.split_once('|').unwrap_or((line, ""));
        let group = groups.last_mut().unwrap();
        match (hex.trim(), meaning.trim()) {
            ("", _) => groups.push(Vec::new()),
            (hex, "") => group.last_mut().unwrap().1.extend(bytes(hex)),
            (hex, meaning) => group.push((meaning.to_owned(), bytes(hex))),
        }
    }
    groups
}

/// A session of `docs/protocol.md`.
struct Session {
    /// Its frames: the client's hello, the answer, the client's share, then a record of each side,
    /// and under GCM the client's close.
    frames: Vec<(Side, Vec<u8>)>,
    /// Its two lines of a key log.
    keys: String,
}

impl Session {
    fn of(argument: &str) -> Session {
        let groups = rows(argument);
        let value = |meaning: &str| {
            let row = groups.iter().flatten().find(|row| row.0 == meaning).expect("a value");
            row.1.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        let id = value("random_c");
        let [c2s, s2c] = ["the client's key, c2s", "the server's key, s2c"].map(value);
        let keys = format!("CHAT2_C2S {id} {c2s}\nCHAT2_S2C {id} {s2c}\n");
        let is_frame = |group: &&Vec<(String, Vec<u8>)>| group[0].0.starts_with("length: ");
        let whole = |group: &Vec<(String, Vec<u8>)>| {
            group.iter().flat_map(|row| row.1.clone()).collect::<Vec<_>>()
        };
        let sides = [Local, Remote, Local, Local, Remote, Local];
        let frames = groups.iter().filter(is_frame).map(whole);
        Session { frames: sides.into_iter().zip(frames).collect(), keys }
    }

    fn captured(&self) -> NamedTempFile {
        captured(7003, |flow| {
            for (side, frame) in &self.frames {
                flow.data(*side, frame);
            }
        })
    }

    /// What the plugin shows of the records.
    #[track_caller]
    fn records(&self, keys: &str) -> Vec<(String, String)> {
        let keys = written(keys);
        let frames = seen(self.captured().path(), Some(keys.path()));
        assert_eq!(frames.len(), self.frames.len());
        assert!(frames[..3].iter().all(|frame| frame.status == "handshake"), "{frames:?}");
        frames[3..].iter().map(|seen| (seen.status.clone(), seen.sentence.clone())).collect()
    }
}

/// As pairs of text are written in a test.
#[track_caller]
fn assert_seen(found: &[(String, String)], expected: &[(&str, &str)]) {
    let found = found.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect::<Vec<_>>();
    assert_eq!(found, expected);
}

const HELLO: &str = "alice to server: wants to be called alice";
const WELCOME: &str = "server to alice: welcome, alice; here are alice";

#[test]
fn the_plugins_cryptography_gives_the_published_answers() {
    if !has_tshark() {
        return;
    }
    let capture = captured(ELSEWHERE, |_| ());
    let home = tempfile::tempdir().unwrap();
    for how in [&["-X", &plugin()][..], &["-X", &plugin(), "-o", "chat5.selftest:TRUE"]] {
        let mut command = tshark_at_home(home.path());
        give(capture.path());
        if how.len() == 2 {
            command.env("CHAT5_SELFTEST", "1");
        }
        let output = command.args(how).arg("-r").arg(capture.path()).output().unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        let tests = shown.lines().filter(|line| line.starts_with("chat5 selftest: "));
        let tests = tests.collect::<Vec<_>>();
        for primitive in
            ["AES-128", "AES-256", "CFB128", "GCM", "SHA-256", "HMAC", "Fernet", "REKEY"]
        {
            assert!(tests.iter().any(|line| line.contains(primitive)), "{primitive}: {shown}");
        }
        assert!(tests.iter().all(|line| line.ends_with(": ok")), "{shown}");
    }
}

#[test]
fn each_message_of_the_protocol_page_is_a_sentence_and_each_of_its_fields_can_be_filtered() {
    if !has_tshark() {
        return;
    }
    let project = Project::this();
    let blocks = &project.page("docs/protocol.md").blocks;
    let messages = blocks.iter().filter(|block| block.language == "json");
    let messages = messages.filter(|block| !block.argument.is_empty()).collect::<Vec<_>>();
    let file = captured(7001, |flow| {
        for block in &messages {
            let side = if block.argument == "request" { Local } else { Remote };
            flow.data(side, &frame(0x10, block.text.trim_end().as_bytes()));
        }
    });
    for (frame, block) in seen(file.path(), None).iter().zip(&messages) {
        assert_eq!(frame.status, "plaintext", "{}", block.text);
        let (_, words) = frame.sentence.split_once(": ").unwrap();
        let answered = words == "asks: are you there?" || !words.contains('?');
        let asked = block.text.contains("are you coming?");
        assert!((answered || asked) && !words.contains("nobody knows"), "{words}: {}", block.text);
    }

    let mut names = vec!["chat5.message".to_owned()];
    let mut expected = Vec::new();
    for block in &messages {
        let Value::Object(message) = serde_json::from_str(&block.text).unwrap() else {
            panic!("{} is no object", block.text);
        };
        let mut values = BTreeMap::<String, Vec<String>>::new();
        for (key, value) in message {
            add(&mut values, &format!("chat5.msg.{key}"), &value);
        }
        for name in values.keys().filter(|name| !names.contains(name)).collect::<Vec<_>>() {
            names.push(name.clone());
        }
        expected.push((block.text.trim_end(), values));
    }
    let plugin = plugin();
    let names = names.iter().map(String::as_str).collect::<Vec<_>>();
    let found = fields(file.path(), &["-X", &plugin, "-Y", "chat5"], &names);
    assert_eq!(found.len(), expected.len());
    for (found, (text, values)) in found.iter().zip(expected) {
        assert_eq!(found[0], [text]);
        for (name, found) in names.iter().zip(found).skip(1) {
            let expected = values.get(*name).cloned().unwrap_or_default();
            assert_eq!(*found, expected, "{name} of {text}");
        }
    }
}

/// A value of a message under the names of the plugin's fields.
fn add(values: &mut BTreeMap<String, Vec<String>>, name: &str, value: &Value) {
    match value {
        Value::String(text) => values.entry(name.to_owned()).or_default().push(text.clone()),
        Value::Array(list) => {
            let name = name.replace(".members", ".member").replace(".people", ".person");
            list.iter().for_each(|value| add(values, &name, value));
        }
        Value::Object(object) => {
            object.iter().for_each(|(key, value)| add(values, &format!("{name}.{key}"), value));
        }
        other => values.entry(name.to_owned()).or_default().push(other.to_string()),
    }
}

#[test]
fn several_frames_in_a_segment_and_one_over_several_anywhere() {
    if !has_tshark() {
        return;
    }
    let say = |text: &str| frame(0x10, format!(r#"{{"type":"say","text":"{text}"}}"#).as_bytes());
    let hello = frame(0x10, br#"{"type":"hello","chat5":1,"name":"alice"}"#);
    let all = [hello.clone(), say("one"), say("two"), say("three")].concat();
    let sentences = [
        HELLO,
        "alice to server: says to the room: one",
        "alice to server: says to the room: two",
        "alice to server: says to the room: three",
    ];
    // A frame more than one packet of a capture can carry is in the tests of files below.
    for (port, size) in [(7001, 1), (7004, 7), (ELSEWHERE, all.len()), (ELSEWHERE, 60)] {
        let file = captured(port, |flow| {
            // Elsewhere the first frame has to be whole in its segment to be known.
            let (first, rest) = all.split_at(if port == ELSEWHERE { 0 } else { hello.len() });
            for part in first.chunks(size).chain(rest.chunks(size)) {
                flow.data(Local, part);
            }
        });
        let frames = seen(file.path(), None);
        let found = frames.iter().map(|frame| frame.sentence.as_str()).collect::<Vec<_>>();
        assert_eq!(found, sentences, "port {port}, segments of {size} bytes");
        // A second pass, as Wireshark does it, shows the same; and the columns are the chat's,
        // although the JSON in it was shown by another dissector.
        let plugin = plugin();
        let columns = ["-T", "fields", "-e", "_ws.col.Protocol", "-e", "_ws.col.Info"];
        let once = tshark(file.path(), &[&["-X", &plugin, "-Y", "chat5"], &columns[..]].concat());
        let twice =
            tshark(file.path(), &[&["-2", "-X", &plugin, "-Y", "chat5"], &columns[..]].concat());
        assert_eq!(once, twice);
        if size == all.len() {
            let info = "says to the room: one | says to the room: two | says to the room: three";
            assert_eq!(once, format!("CHAT5\t{HELLO} | {info}\n"));
        }
    }
}

#[test]
fn what_is_none_of_the_chat_is_left_alone() {
    if !has_tshark() {
        return;
    }
    let plugin = plugin();
    // Of no other protocol, either: that one would be asked first.
    let other = b"neither this nor that\r\n";
    for port in [7001, ELSEWHERE] {
        let file = captured(port, |flow| flow.data(Local, other));
        assert_eq!(tshark(file.path(), &["-X", &plugin, "-Y", "chat5"]), "", "port {port}");
    }
}

#[test]
fn frames_of_a_wrong_length_and_packets_cut_by_the_capture_say_so() {
    if !has_tshark() {
        return;
    }
    let ping = frame(0x10, br#"{"type":"ping"}"#);
    let too_long = [&[0, 2, 0, 1, 0x10][..], b"and so on"].concat();
    let file = captured(7001, |flow| {
        flow.data(Local, &[&ping[..], &[0; 4], &ping].concat());
        flow.data(Local, &too_long);
    });
    let plugin = plugin();
    let statuses = |file: &Path| {
        let found = fields(file, &["-X", &plugin, "-Y", "chat5"], &["chat5.status"]);
        found.concat().concat()
    };
    assert_eq!(statuses(file.path()), ["plaintext", "bad length", "plaintext", "bad length"]);

    let cut = NamedTempFile::new().unwrap();
    let whole = captured(7001, |flow| flow.data(Local, &ping));
    let mut editcap = Command::new("editcap");
    // Headers of 40 bytes without options, and a part of the frame.
    editcap.args(["-s", "50"]).args([whole.path(), cut.path()]);
    assert!(editcap.status().expect("editcap comes with tshark").success());
    assert_eq!(statuses(whole.path()), ["plaintext"]);
    assert_eq!(statuses(cut.path()), ["cut"]);
}

#[test]
fn the_sessions_of_the_protocol_page_are_decrypted() {
    if !has_tshark() {
        return;
    }
    let records = [("decrypted", HELLO), ("decrypted", WELCOME)];
    let p256 = Session::of("p256");
    assert_seen(&p256.records(&p256.keys), &records);
    let x25519 = Session::of("x25519");
    let close = ("decrypted", "alice to server: close: nothing more comes from here");
    assert_seen(&x25519.records(&x25519.keys), &[records[0], records[1], close]);
}

#[test]
fn keys_in_the_comment_of_a_packet_are_as_good() {
    if !has_tshark() {
        return;
    }
    let session = Session::of("x25519");
    let file = session.captured();
    let commented = NamedTempFile::new().unwrap();
    // In the middle of a text, and on the very first packet, which carries nothing of the chat.
    let comment = format!("1:The keys are {}, and that is all.", session.keys.replace('\n', " "));
    let mut editcap = Command::new("editcap");
    editcap.args(["-a", &comment]).args([file.path(), commented.path()]);
    assert!(editcap.status().expect("editcap comes with tshark").success());
    let frames = seen(commented.path(), None);
    assert_eq!(frames[3], Seen { status: "decrypted".to_owned(), sentence: HELLO.to_owned() });
    assert_eq!(frames[4], Seen { status: "decrypted".to_owned(), sentence: WELCOME.to_owned() });
}

#[test]
fn keys_are_found_in_any_of_several_comments_just_before_the_first_record() {
    if !has_tshark() {
        return;
    }
    let session = Session::of("x25519");
    let file = session.captured();
    let (client, server) = session.keys.split_once('\n').unwrap();
    let (client, server) = (client, server.trim_end());
    let frames = fields(file.path(), &["-Y", "tcp.len > 0"], &["frame.number"]);
    let first_record = frames[3][0][0].parse::<usize>().unwrap();
    let words = "alice to server: encrypted record";
    let plugin = plugin();
    // On the acknowledgement before it, which carries nothing, and on the record itself.
    for number in [first_record - 1, first_record] {
        for order in [[client, server, words], [words, server, client]] {
            let comments = order.map(|comment| (number, comment));
            let commented = pcapng::with_comments(file.path(), &comments);
            let found = fields(commented.path(), &[], &["frame.comment"]);
            assert_eq!(found[number - 1], [order], "of one packet");
            for passes in [&[][..], &["-2"]] {
                let options = [&["-X", &plugin], passes].concat();
                let found = fields(commented.path(), &options, &["chat5.status"]).concat().concat();
                let handshake = ["handshake"; 3];
                assert_eq!(found, [&handshake[..], &["decrypted"; 3]].concat(), "{passes:?}");
            }
        }
    }
}

#[test]
fn a_key_that_comes_after_its_record_is_for_the_second_look() {
    if !has_tshark() {
        return;
    }
    let session = Session::of("x25519");
    let file = session.captured();
    let frames = fields(file.path(), &["-Y", "tcp.len > 0"], &["frame.number"]).concat().concat();
    let last_record = frames[5].parse().unwrap();
    let commented = pcapng::with_comments(file.path(), &[(last_record, &session.keys)]);
    let plugin = plugin();
    for (passes, earlier) in [(&[][..], "missing key"), (&["-2"], "decrypted")] {
        // Without a filter the first of two passes sees no comments.
        let options = [&["-X", &plugin, "-Y", "chat5"], passes].concat();
        let found = fields(commented.path(), &options, &["chat5.status"]).concat().concat();
        assert_eq!(found[3..], [earlier, earlier, "decrypted"], "{passes:?}");
    }
}

/// What `docs/protocol.md` has inside a record, and what that says: kind and body, and a sentence.
fn login() -> Vec<(Side, u8, Vec<u8>, &'static str)> {
    let welcome =
        br#"{"type":"welcome","name":"alice","people":[{"name":"alice","status":"normal"}]}"#;
    vec![
        (Remote, 0x30, vec![2], "server to client: login: accounts"),
        (Local, 0x31, b"alice".to_vec(), "client to server: login: I am alice"),
        (Remote, 0x32, vec![3; 16], "server to client: login: the salt of your password"),
        (Local, 0x33, vec![4; 32], "client to server: login: proof that I know the password"),
        (
            Remote,
            0x34,
            vec![5; 32],
            "server to client: login: you are in, and proof that I know it, too",
        ),
        (Local, 0x10, br#"{"type":"hello","chat5":1,"name":"alice"}"#.to_vec(), HELLO),
        (Remote, 0x10, welcome.to_vec(), WELCOME),
        (
            Local,
            0x11,
            [&7_u32.to_be_bytes()[..], &[0; 8], b"hi"].concat(),
            "alice to server: chunk of file 7: bytes 0 to 1",
        ),
        (Local, 0x12, Vec::new(), "alice to server: close: nothing more comes from here"),
        (Remote, 0x35, Vec::new(), "server to alice: login: failed"),
    ]
}

fn inside_of(port: u16) -> NamedTempFile {
    captured(port, |flow| {
        for (side, kind, body, _) in login() {
            flow.data(side, &frame(kind, &body));
        }
    })
}

#[test]
fn the_second_view_shows_what_was_inside_records_and_says_so() {
    if !has_tshark() {
        return;
    }
    let session = Session::of("x25519");
    let plugin = plugin();
    // By the port, and by nothing but the interface.
    for port in [7005, ELSEWHERE] {
        let wire = session.captured();
        let inside = inside_of(port);
        let both = [("wire", wire.path()), ("plaintext", inside.path())];
        let both = pcapng::with_interfaces(&both);
        let frames = seen(both.path(), None);
        let (on_wire, told) = frames.split_at(session.frames.len());
        assert!(on_wire.iter().all(|frame| frame.status != "inside"), "{on_wire:?}");
        let found = told.iter().map(|frame| (frame.status.clone(), frame.sentence.clone()));
        let expected = login();
        let expected = expected.iter().map(|(_, _, _, words)| ("inside", *words));
        assert_seen(&found.collect::<Vec<_>>(), &expected.collect::<Vec<_>>());

        // The first of two passes without a filter knows no interfaces.
        let view = ["-Y", "chat5 and frame.interface_name == \"plaintext\""];
        for how in [&view[..], &["-2"], &["-2", view[0], view[1]]] {
            let options = [&["-X", &plugin], how].concat();
            let names = ["_ws.col.Info", EXPERT, "chat5.login.user", "chat5.status"];
            let mut columns = fields(both.path(), &options, &names);
            columns.retain(|columns| columns[3] == ["inside"]);
            assert_eq!(columns.len(), login().len());
            for (found, (_, _, _, words)) in columns.iter().zip(login()) {
                assert_eq!(found[0], [format!("[inside] {words}")]);
                let complaints = found[1].iter().filter(|text| !text.contains("FIN"));
                assert_eq!(complaints.count(), 0, "{found:?}");
            }
            assert_eq!(columns[1][2], ["alice"]);
        }
        // The other view is told apart by its interface alone.
        let same = pcapng::with_interfaces(&[("wire", wire.path()), ("lo", inside.path())]);
        let options = ["-X", &plugin, "-Y", "chat5.status == \"inside\""];
        assert_eq!(tshark(same.path(), &options), "");
    }
}

#[test]
fn a_missing_key_says_so_and_names_what_is_missing() {
    if !has_tshark() {
        return;
    }
    let session = Session::of("x25519");
    let no_keys = session.records("");
    assert!(no_keys.iter().all(|(status, _)| status == "missing key"), "{no_keys:?}");
    // One direction is enough for the other's silence.
    let (client, _) = session.keys.split_once('\n').unwrap();
    let half = session.records(&format!("{client}\n"));
    assert_eq!(half[0].0, "decrypted");
    assert_eq!(half[1].0, "missing key");

    let plugin = plugin();
    let file = session.captured();
    let found = fields(file.path(), &["-X", &plugin, "-Y", "chat5.missing_key"], &[EXPERT]);
    let (label_and_id, _) = client.rsplit_once(' ').unwrap();
    assert!(found[0].concat().concat().contains(label_and_id), "{found:?}");
    assert_eq!(found.len(), 3);
}

/// What Wireshark's experts say.
const EXPERT: &str = "_ws.expert.message";

#[test]
fn a_changed_record_of_an_aead_is_tag_bad_and_what_was_not_changed_is_not() {
    if !has_tshark() {
        return;
    }
    let mut session = Session::of("x25519");
    // A bit of the ciphertext, of the tag; and the whole record once more, under another number.
    for at in [9, 60] {
        let honest = session.frames[3].1[at];
        session.frames[3].1[at] ^= 1;
        let records = session.records(&session.keys);
        assert_eq!(records[0].0, "tag bad", "{records:?}");
        assert_eq!((records[1].0.as_str(), records[2].0.as_str()), ("decrypted", "decrypted"));
        let keys = written(&session.keys);
        let (plugin, keys) = (plugin(), keylog(Some(keys.path())));
        let file = session.captured();
        let tampered = ["-X", &plugin, "-o", &keys, "-Y", "chat5.tag_bad"];
        let found = fields(file.path(), &tampered, &[EXPERT, "_ws.col.Info"]);
        assert_eq!(found.len(), 1);
        for told in &found[0] {
            assert!(told.concat().contains("[TAG BAD]"), "{found:?}");
        }
        session.frames[3].1[at] = honest;
    }
    let again = session.frames[3].clone();
    session.frames.insert(4, again);
    let records = session.records(&session.keys);
    let statuses = records.iter().map(|(status, _)| status.as_str()).collect::<Vec<_>>();
    // The close has the number 2 now, and was sealed as number 1.
    assert_eq!(statuses, ["decrypted", "tag bad", "decrypted", "tag bad"]);
}

#[test]
fn under_cfb_a_change_goes_unnoticed_at_the_end_and_is_garbled_at_the_beginning() {
    if !has_tshark() {
        return;
    }
    // Length, kind and IV, then the kind within and {"type":"hello","chat5":1,"name":"alice"}.
    let start = 4 + 1 + 16;
    let json = r#"{"type":"hello","chat5":1,"name":"alice"}"#;
    let mut unnoticed = Session::of("p256");
    unnoticed.frames[3].1[start + 1 + json.find("e\"}").unwrap()] ^= 1;
    let records = unnoticed.records(&unnoticed.keys);
    assert_eq!(records[0].0, "decrypted");
    assert_eq!(records[0].1, "alicd to server: wants to be called alicd");

    // The brace; the kind, which makes a chunk of it; and any of the key.
    for (at, bit) in [(start + 1, 1), (start, 1)] {
        let mut garbled = Session::of("p256");
        garbled.frames[3].1[at] ^= bit;
        let records = garbled.records(&garbled.keys);
        assert_eq!(records[0].0, "garbled", "{records:?}");
        assert!(records[0].1.contains("[GARBLED]"), "{records:?}");
        assert_eq!(records[1].0, "decrypted", "each record has an IV of its own");
    }
    let session = Session::of("p256");
    let other = session.keys.replacen("a9b319bc", "a9b319bd", 1);
    assert_ne!(other, session.keys);
    assert_eq!(session.records(&other)[0].0, "garbled");
}

#[test]
fn fernet_tokens_are_decrypted_and_a_changed_one_is_noticed() {
    if !has_tshark() {
        return;
    }
    // Of Python's package cryptography:
    // Fernet(urlsafe_b64encode(bytes(range(32))))._encrypt_from_parts(
    //     b'\x10{"type":"say","text":"hi"}', 1700000000, bytes(range(16)))
    let token = "gAAAAABlU_EAAAECAwQFBgcICQoLDA0OD5m0XqP_aQbdzhM6Rha79XnUe9Gq9zoY8hvFRgTTpEEpuSjRTy7T\
                 Mbk1n6cSFEH5YFa_GhG-XjXTJnYMV7mddKU=";
    let changed = token.replacen("zhM6", "zhM7", 1);
    let random = [7; 32];
    let hello = [b"CHT2\x01".as_slice(), &random, &[0, 3]].concat();
    let answer = [b"CHT2\x01".as_slice(), &[8; 32], &[2, 3], &[9; 32]].concat();
    let file = captured(7003, |flow| {
        flow.data(Local, &frame(0x20, &hello));
        flow.data(Remote, &frame(0x20, &answer));
        flow.data(Local, &frame(0x20, &[10; 32]));
        for token in [token, &changed, "no token"] {
            flow.data(Local, &frame(0x21, token.as_bytes()));
        }
    });
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let key = hex(&(0..32).collect::<Vec<_>>());
    let keys = written(&format!("CHAT2_C2S {} {key}\n", hex(&random)));
    let frames = seen(file.path(), Some(keys.path()));
    let statuses = frames[3..].iter().map(|frame| frame.status.as_str()).collect::<Vec<_>>();
    assert_eq!(statuses, ["decrypted", "tag bad", "bad record"]);
    assert_eq!(frames[3].sentence, "client to server: says to the room: hi");
}

#[test]
fn with_rsa_the_handshake_has_a_secret_and_the_records_are_decrypted() {
    if !has_tshark() {
        return;
    }
    // The numbers and the sizes of docs/protocol.md; the log has the keys, however they were agreed.
    let (key, secret) = (vec![0x30; 294], vec![7; 256]);
    let server = [
        (Remote, key.clone(), "chooses rsa2048-server and aes-256-gcm, share of 294 bytes"),
        (
            Local,
            secret.clone(),
            "the secret, encrypted to the server's key, 256 bytes; records follow",
        ),
    ];
    let client = [
        (Remote, Vec::new(), "chooses rsa2048-client and aes-256-gcm"),
        (Local, key, "share of 294 bytes"),
        (Remote, secret, "the secret, encrypted to the client's key, 256 bytes; records follow"),
    ];
    for (kex, steps) in [(3, &server[..]), (4, &client)] {
        let mut session = Session::of("x25519");
        let (hello, answer) = (session.frames[0].clone(), session.frames[1].1.clone());
        let records = session.frames.split_off(3);
        session.frames = vec![hello];
        for (at, (side, body, _)) in steps.iter().enumerate() {
            // Magic, version and random of the server, then the suite.
            let head = [&answer[5..5 + 37], &[kex, 2]].concat();
            let body = if at == 0 { [&head, &body[..]].concat() } else { body.clone() };
            session.frames.push((*side, frame(0x20, &body)));
        }
        session.frames.extend(records);
        let keys = written(&session.keys);
        let frames = seen(session.captured().path(), Some(keys.path()));
        for (seen, (_, _, words)) in frames[1..].iter().zip(steps) {
            assert_eq!(seen.status, "handshake");
            assert!(seen.sentence.ends_with(&format!(": handshake: {words}")), "{seen:?}");
        }
        let statuses = frames[1 + steps.len()..].iter().map(|frame| frame.status.as_str());
        assert_eq!(statuses.collect::<Vec<_>>(), ["decrypted"; 3]);
    }
}

#[test]
fn the_noise_transport_and_a_login_are_decrypted() {
    if !has_tshark() {
        return;
    }
    // Noise_NX_25519_AESGCM_SHA256 with the private keys 00..1f (e_c), 20..3f (e_s) and 40..5f (s),
    // and records sealed with its two keys, computed with Python's packages hashlib and cryptography.
    let e_c = "8f40c5adb68f25624ae5b214ea767a6ec94d829d3d7b5e1ad1ba6f3e2138285f";
    let message_2 = "358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254005806a7d185d402\
                     1d159236145331c5e2a98da711f05dd0b5f5c47e72c8079b054ede38e8bc6f29b2cf9eec0eb0b537\
                     632608944b13f8b8b57fe758eab344f6";
    let c2s = "e1b2450cd0125ae46eb9a6c365b526798b7b187e580c902fdb1819038e58c278";
    let s2c = "bd9bcdf55d3ff43fb3906e26eeca24aab53b3dba516f0af9b9b90c4140de3b99";
    let records = [
        (Remote, "bcc36c2faba4dd3eb6951a98f3c50bf22ab6"),
        (Local, "87c01e6020d810ad56bbc61868e9559fe118abef3289"),
        (Remote, "c5f316c781787c6af9af153646a325c1db6a23229b27840a75700e4f5b207b86d7"),
        (
            Local,
            "9bededf5acd8d00efc9f8ce901711618dbbc485561c6e61c2dc7792e97fc8ac10d13bd3f33b438dd392e54a529915781fe",
        ),
        (
            Remote,
            "9ad7707805b7ecaa27358e400f06d5556c1fc0d57ed26c2fb9daf270b8622bccec4746db4d87e762e897a6f66b19001a42",
        ),
        (
            Local,
            "06a3886e773ac39fba98a1cedd5ff5b35e11febda5b6216f244b1e6f06210d77742b4f93cc10feb21da30420d976477661981c94adf43831cb2c",
        ),
        (Local, "78dde139c5a2c57d548a6885707c4aaa6d"),
        (Remote, "0071f92b61decc02fed2097886956a1456"),
    ];
    let file = captured(ELSEWHERE, |flow| {
        flow.data(Local, &frame(0x20, &[b"CHT5\x01\x01\x01".as_slice(), &bytes(e_c)].concat()));
        flow.data(Remote, &frame(0x20, &[b"CHT5\x01\x01".as_slice(), &bytes(message_2)].concat()));
        for (side, record) in records {
            flow.data(side, &frame(0x21, &bytes(record)));
        }
    });
    let keys = written(&format!("CHAT5_C2S {e_c} {c2s}\nCHAT5_S2C {e_c} {s2c}\n"));
    let frames = seen(file.path(), Some(keys.path()));
    let frames = frames.into_iter().map(|seen| (seen.status, seen.sentence)).collect::<Vec<_>>();
    let suite = "Noise_NX_25519_AESGCM_SHA256";
    let answer = format!(
        "server to client: handshake: chooses {suite}, ephemeral key, and the server's own key encrypted"
    );
    let expected = [
        ("handshake", "client to server: handshake: offers 1 suite, ephemeral key"),
        ("handshake", answer.as_str()),
        ("decrypted", "server to client: login: accounts"),
        ("decrypted", "client to server: login: I am alice"),
        ("decrypted", "server to client: login: the salt of your password"),
        ("decrypted", "client to server: login: proof that I know the password"),
        ("decrypted", "server to client: login: you are in, and proof that I know it, too"),
        ("decrypted", HELLO),
        ("decrypted", "alice to server: close: nothing more comes from here"),
        ("decrypted", "server to alice: login: failed"),
    ];
    assert_seen(&frames, &expected);
    let plugin = plugin();
    let keys = keylog(Some(keys.path()));
    let names = ["chat5.login.user", "chat5.login.salt", "chat5.noise.ephemeral"];
    let found = fields(file.path(), &["-X", &plugin, "-o", &keys], &names).concat().concat();
    let salt = "000102030405060708090a0b0c0d0e0f";
    assert_eq!(found, [e_c, &message_2[..64], "alice", salt]);
}

#[test]
fn the_file_of_the_protocol_page_is_told_chunk_by_chunk() {
    if !has_tshark() {
        return;
    }
    let file = NamedTempFile::new().unwrap();
    let capture = Capture::create(file.path()).unwrap();
    let alice = flow(&capture, CLIENTS_PORT, ELSEWHERE);
    let bob = flow(&capture, CLIENTS_PORT + 1, ELSEWHERE);
    for (flow, name) in [(&alice, "alice"), (&bob, "bob")] {
        let hello = format!(r#"{{"type":"hello","chat5":1,"name":"{name}"}}"#);
        flow.data(Local, &frame(0x10, hello.as_bytes()));
    }
    for group in rows("file") {
        let (who, _) = group[0].0.split_once(',').unwrap();
        let bytes = group.iter().flat_map(|row| row.1.clone()).collect::<Vec<_>>();
        let (flow, side) = match who {
            "alice to the server" => (&alice, Local),
            "the server to alice" => (&alice, Remote),
            "bob to the server" => (&bob, Local),
            "the server to bob" => (&bob, Remote),
            other => panic!("{other}"),
        };
        flow.data(side, &bytes);
    }
    capture.finish();
    let frames = seen(file.path(), None);
    let chunk = "chunk of file 1 (hi.txt): bytes 0 to 5 of 6, 100 %";
    for (from, to) in [("alice", "server"), ("server", "bob")] {
        let sentence = format!("{from} to {to}: {chunk}");
        assert!(frames.iter().any(|frame| frame.sentence == sentence), "{sentence}: {frames:?}");
    }
    let plugin = plugin();
    let names = ["chat5.chunk.id", "chat5.chunk.offset", "chat5.chunk.size", "chat5.chunk.data"];
    let found = fields(file.path(), &["-X", &plugin, "-Y", "chat5.chunk.id == 1"], &names);
    // In ASCII: hi bob
    assert_eq!(found, vec![[["1"], ["0"], ["6"], ["686920626f62"]]; 2]);
}

#[test]
fn each_filter_of_the_page_finds_something() {
    if !has_tshark() {
        return;
    }
    let project = Project::this();
    let section = "Filters worth knowing";
    let rows = project.page("docs/wireshark.md").rows(section, "");
    let filters = rows.iter().filter_map(|row| row[0].strip_prefix('`')?.strip_suffix('`'));
    let filters = filters.collect::<Vec<_>>();
    assert!(filters.len() > 10, "{rows:?}");
    // In the captures of the page, with their keys, without any, or with others.
    let folder = tempfile::tempdir().unwrap();
    let mut looks = Vec::new();
    for entry in fs::read_dir(project.root.join("docs/wireshark")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "pcapng") {
            let copy = folder.path().join(path.file_name().unwrap());
            fs::copy(&path, &copy).unwrap();
            let (keys, others) = (copy.with_extension("keys"), copy.with_extension("others"));
            let right = fs::read_to_string(path.with_extension("keys")).unwrap_or_default();
            fs::write(&keys, &right).unwrap();
            let wrong = |line: &str| {
                let last = if line.ends_with('0') { "1" } else { "0" };
                format!("{}{last}\n", &line[..line.len() - 1])
            };
            fs::write(&others, right.lines().map(wrong).collect::<String>()).unwrap();
            looks.extend([(copy.clone(), Some(keys)), (copy.clone(), None), (copy, Some(others))]);
        }
    }
    give(folder.path());
    let plugin = plugin();
    for filter in filters {
        let finds = looks.iter().any(|(file, keys)| {
            let keys = keylog(keys.as_deref());
            // It fails if it is no filter or names a field that there is not.
            !tshark(file, &["-X", &plugin, "-o", &keys, "-Y", filter]).is_empty()
        });
        assert!(finds, "{filter} finds nothing");
    }
}
