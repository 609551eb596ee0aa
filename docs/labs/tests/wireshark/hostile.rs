//! Captures that somebody made to trouble who looks at them: the plugin neither crashes nor raises
//! an error, takes no longer than their length asks for, and says what it found.

use std::time::Duration;
use std::time::Instant;

use super::*;

fn json(text: &str) -> Vec<u8> {
    frame(0x10, text.as_bytes())
}

fn pairs(frames: Vec<Seen>) -> Vec<(String, String)> {
    frames.into_iter().map(|seen| (seen.status, seen.sentence)).collect()
}

/// A session under Fernet up to its records, the key log of its client, and a record.
fn fernet(tokens: &[&str]) -> (NamedTempFile, NamedTempFile) {
    let hello = [b"CHT2\x01".as_slice(), &[7; 32], &[0, 3]].concat();
    let answer = [b"CHT2\x01".as_slice(), &[8; 32], &[2, 3], &[9; 32]].concat();
    let file = captured(7003, |flow| {
        flow.data(Local, &frame(0x20, &hello));
        flow.data(Remote, &frame(0x20, &answer));
        flow.data(Local, &frame(0x20, &[10; 32]));
        for token in tokens {
            flow.data(Local, &frame(0x21, token.as_bytes()));
        }
    });
    let key = (0..32).map(|byte| format!("{byte:02x}")).collect::<String>();
    (file, written(&format!("CHAT2_C2S {} {key}\n", "07".repeat(32))))
}

/// How long it takes to show this.
fn time(file: &Path) -> Duration {
    let start = Instant::now();
    tshark(file, &["-X", &plugin(), "-T", "fields", "-e", "chat5.status"]);
    start.elapsed()
}

#[test]
fn hundreds_of_messages_in_one_packet_are_all_taken_apart() {
    if !has_tshark() {
        return;
    }
    // A packet of Wireshark's has 500 layers at the most.
    let many = 600;
    let plain = captured(7001, |flow| flow.data(Local, &json(r#"{"type":"ping"}"#).repeat(many)));
    // Under CFB a record that comes again is as good as before.
    let session = Session::of("p256");
    let encrypted = captured(7003, |flow| {
        for (side, frame) in &session.frames[..3] {
            flow.data(*side, frame);
        }
        flow.data(Local, &session.frames[3].1.repeat(many));
    });
    let keys = written(&session.keys);
    for (file, status, kind) in [(plain, "plaintext", "ping"), (encrypted, "decrypted", "hello")] {
        let frames = seen(file.path(), Some(keys.path()));
        let found = frames.iter().filter(|frame| frame.status == status).count();
        assert_eq!(found, many, "{status}");
        // Each has its fields, and the first ones are shown by Wireshark's own dissector, too.
        let (plugin, keys) = (plugin(), keylog(Some(keys.path())));
        let options = ["-X", &plugin, "-o", &keys, "-Y", "chat5.msg.type"];
        let found = fields(file.path(), &options, &["chat5.msg.type", "json.object"]);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0][0], vec![kind; many]);
        let shown = tshark(file.path(), &[&options[..], &["-V"]].concat());
        let (whole, told) = ("JavaScript Object Notation", "Its JSON is not shown once more");
        let count = |words: &str| shown.lines().filter(|line| line.contains(words)).count();
        // The first line of the tree of each object; their names may be in other lines, too.
        assert!(count(whole) >= 32 && count(whole) < 100, "{}", count(whole));
        assert_eq!(count(told), many - 32);
    }
}

#[test]
fn the_column_of_thousands_of_frames_in_one_segment_is_short_and_takes_no_longer_than_of_many() {
    if !has_tshark() {
        return;
    }
    let tiny = frame(0x40, b"");
    let segments = |number: usize| {
        captured(7001, |flow| {
            flow.data(Local, &json(r#"{"type":"hello","chat5":1,"name":"alice"}"#));
            for _ in 0..number {
                flow.data(Local, &tiny.repeat(13_000 / number));
            }
        })
    };
    let (one, ten) = (segments(1), segments(10));
    let plugin = plugin();
    let info = ["-Y", "chat5", "-X", &plugin];
    let found = fields(one.path(), &info, &["_ws.col.Info"]).concat().concat();
    assert_eq!(found.len(), 2);
    assert!(found[1].ends_with("outside of a record | and 12992 more"), "{}", found[1]);
    assert_eq!(found[1].matches(" | ").count(), 8, "{}", found[1]);
    let (one, ten) = (time(one.path()), time(ten.path()));
    assert!(one < 5 * ten, "{one:?} for one segment, {ten:?} for ten");
}

#[test]
fn offsets_and_sizes_that_no_file_has_are_told_without_a_share() {
    if !has_tshark() {
        return;
    }
    let offer = |id: u32, size: &str| {
        let text = r#"{"type":"offer","from":"bob","name":"x","#;
        json(&format!(r#"{text}"id":{id},"size":{size}}}"#))
    };
    let chunk = |id: u32, offset: u64| {
        frame(0x11, &[&id.to_be_bytes()[..], &offset.to_be_bytes(), b"x"].concat())
    };
    let big = "9".repeat(400);
    let file = captured(7004, |flow| {
        flow.data(Local, &json(r#"{"type":"hello","chat5":1,"name":"alice"}"#));
        for (id, size) in [(1, "1"), (2, "1e-300"), (3, &big), (4, "0"), (5, "-1"), (6, "4")] {
            flow.data(Remote, &offer(id, size));
        }
        flow.data(Remote, &chunk(1, u64::MAX));
        for id in 2..=6 {
            flow.data(Remote, &chunk(id, 0));
        }
    });
    let frames = seen(file.path(), None);
    let chunks = frames[7..].iter().map(|frame| (frame.status.as_str(), frame.sentence.as_str()));
    let chunks = chunks.collect::<Vec<_>>();
    // 2^64 - 1 as a double.
    let far = "18446744073709551616";
    let first = format!("server to alice: chunk of file 1 (x): bytes {far} to {far}");
    let mut expected = vec![("plaintext", first)];
    for id in 2..=5 {
        expected
            .push(("plaintext", format!("server to alice: chunk of file {id} (x): bytes 0 to 0")));
    }
    let whole = "server to alice: chunk of file 6 (x): bytes 0 to 0 of 4, 25 %".to_owned();
    expected.push(("plaintext", whole));
    let expected = expected.iter().map(|(status, words)| (*status, words.as_str()));
    assert_eq!(chunks, expected.collect::<Vec<_>>());
}

#[test]
fn the_time_in_a_token_is_shown_where_it_is_one() {
    if !has_tshark() {
        return;
    }
    // Version, time and 64 zero bytes: 2^64 - 1, 2^63, 2^33 and 2^33 - 1 seconds.
    let tokens = ["gP__________", "gIAAAAAAAAAA", "gAAAAAIAAAAA", "gAAAAAH_____"];
    let tokens = tokens.map(|start| format!("{start}{}==", "A".repeat(86)));
    let (file, keys) = fernet(&tokens.each_ref().map(String::as_str));
    let statuses = seen(file.path(), Some(keys.path()));
    assert!(statuses[3..].iter().all(|frame| frame.status == "tag bad"), "{statuses:?}");
    let plugin = plugin();
    let options = ["-X", &plugin, "-Y", "chat5.record.token"];
    let found = fields(file.path(), &options, &["chat5.record.time"]);
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [1; 4]);
    assert!(found[..3].iter().all(|packet| packet[0].is_empty()), "{found:?}");
    assert!(found[3][0][0].contains("2242"), "{found:?}");
}

#[test]
fn the_second_view_may_begin_with_a_segment_that_is_shorter_than_a_frame() {
    if !has_tshark() {
        return;
    }
    let wire = Session::of("x25519").captured();
    for first in 1..=5 {
        let welcome = frame(0x30, &[2]);
        let inside = captured(ELSEWHERE, |flow| {
            flow.data(Remote, &welcome[..first]);
            flow.data(Remote, &welcome[first..]);
        });
        let both = [("wire", wire.path()), ("plaintext", inside.path())];
        let both = pcapng::with_interfaces(&both);
        let frames = seen(both.path(), None);
        let last = frames.last().unwrap();
        assert_eq!(last.status, "inside", "{first} bytes: {frames:?}");
        assert_eq!(last.sentence, "server to client: login: accounts");
    }
}

#[test]
fn wherever_the_capture_cuts_a_packet_with_two_frames_it_says_so() {
    if !has_tshark() {
        return;
    }
    // Headers of 40 bytes without options.
    let (headers, ping) = (40, json(r#"{"type":"ping"}"#));
    let whole = captured(7001, |flow| flow.data(Local, &ping.repeat(2)));
    let cut = NamedTempFile::new().unwrap();
    let (plugin, all) = (plugin(), 2 * ping.len());
    for size in 0..=all {
        let mut editcap = Command::new("editcap");
        editcap.args(["-s", &(headers + size).to_string()]).args([whole.path(), cut.path()]);
        assert!(editcap.status().expect("editcap comes with tshark").success());
        // Other protocols take anything for the beginning of theirs.
        let by_port = "tcp.try_heuristic_first:FALSE";
        let options = ["-X", &plugin, "-o", by_port, "-Y", "tcp.len > 0"];
        let found = fields(cut.path(), &options, &["chat5.status"]).concat().concat();
        let expected: &[&str] = match size {
            0 => &[],
            _ if size < ping.len() => &["cut"],
            _ if size < all => &["plaintext", "cut"],
            _ => &["plaintext", "plaintext"],
        };
        assert_eq!(found, expected, "{size} bytes of {all}");
    }
}

#[test]
fn a_message_of_an_unknown_type_is_a_message() {
    if !has_tshark() {
        return;
    }
    let words = "a message of the type poll, which nobody knows here";
    let poll = r#"{"type":"poll","text":"tea?"}"#;
    let file = captured(7001, |flow| {
        flow.data(Local, &json(poll));
        flow.data(Remote, &json(poll));
    });
    let expected = ["client to server", "server to client"].map(|who| format!("{who}: {words}"));
    let expected = expected.each_ref().map(|words| ("plaintext", words.as_str()));
    assert_seen(&pairs(seen(file.path(), None)), &expected);
    // Of Python's package cryptography, with the key of the bytes 0 to 31:
    // _encrypt_from_parts(b'\x10{"type":"poll","text":"tea?"}', 1700000000, bytes(range(16)))
    let token = "gAAAAABlU_EAAAECAwQFBgcICQoLDA0ODxOcyDHzQOoo_6NgvHzEjMIXGolT0vz98Qg1B0hRRZrfDWi7Qyzci\
                 bkncPSUAsXM4mY_aKcbXFwpRrcK_vwzB90=";
    let (file, keys) = fernet(&[token]);
    let frames = pairs(seen(file.path(), Some(keys.path())));
    assert_seen(&frames[3..], &[("decrypted", expected[0].1)]);
}

#[test]
fn nobody_renames_a_client_or_turns_the_directions_round_later() {
    if !has_tshark() {
        return;
    }
    let hello = |name: &str| json(&format!(r#"{{"type":"hello","chat5":1,"name":"{name}"}}"#));
    let ping = json(r#"{"type":"ping"}"#);
    let random = [b"CHT2\x01".as_slice(), &[7; 32], &[0, 3]].concat();
    let file = captured(ELSEWHERE, |flow| {
        flow.data(Local, &hello("alice"));
        for (side, bytes) in [
            (Local, hello("mallory")),
            (Remote, hello("mallory")),
            (Local, frame(0x30, &[1])),
            (Remote, frame(0x20, &random)),
        ] {
            flow.data(side, &bytes);
            flow.data(Local, &ping);
            flow.data(Remote, &ping);
        }
    });
    let frames = seen(file.path(), None);
    let who = |frame: &Seen| frame.sentence.split_once(": ").unwrap().0.to_owned();
    let (client, server) = ("alice to server", "server to alice");
    // The first hello; then each of the four, and who speaks after it.
    let mut expected = vec![client];
    for first in [client, server, client, server] {
        expected.extend([first, client, server]);
    }
    assert_eq!(frames.iter().map(who).collect::<Vec<_>>(), expected);
}

#[test]
fn a_bad_tag_may_be_the_captures_fault_and_it_says_so() {
    if !has_tshark() {
        return;
    }
    let mut session = Session::of("x25519");
    // The first record of the client is not in the capture.
    session.frames.remove(3);
    let keys = written(&session.keys);
    let (plugin, keys) = (plugin(), keylog(Some(keys.path())));
    let options = ["-X", &plugin, "-o", &keys, "-Y", "chat5.tag_bad"];
    let found = fields(session.captured().path(), &options, &[EXPERT]).concat();
    assert_eq!(found.len(), 1);
    let found = found[0].concat();
    assert!(found.contains("the capture lacks packets or has them in another order"), "{found:?}");
}

#[test]
fn the_tables_of_hundreds_of_directions_do_not_stay() {
    if !has_tshark() {
        return;
    }
    let file = NamedTempFile::new().unwrap();
    let capture = Capture::create(file.path()).unwrap();
    let mut keys = String::new();
    for number in 0..100_u8 {
        let flow = flow(&capture, CLIENTS_PORT + u16::from(number), 7003);
        let random = [number; 32];
        let hello = [b"CHT2\x01".as_slice(), &random, &[0, 2]].concat();
        let answer = [b"CHT2\x01".as_slice(), &random, &[2, 2], &[9; 32]].concat();
        flow.data(Local, &frame(0x20, &hello));
        flow.data(Remote, &frame(0x20, &answer));
        flow.data(Local, &frame(0x20, &[10; 32]));
        flow.data(Local, &frame(0x21, &[0; 40]));
        flow.data(Remote, &frame(0x21, &[0; 40]));
        let id = format!("{number:02x}").repeat(32);
        keys.push_str(&format!("CHAT2_C2S {id} {id}\nCHAT2_S2C {id} {id}\n"));
    }
    capture.finish();
    let keys = written(&keys);
    assert!(seen(file.path(), Some(keys.path())).iter().any(|frame| frame.status == "tag bad"));
    // Both scripts are in one Lua.
    let script = written(
        "local all = Listener.new('frame')\n\
         function all.draw() collectgarbage() print('KiB ' .. collectgarbage('count')) end\n",
    );
    give(script.path());
    let (plugin, keys) = (plugin(), keylog(Some(keys.path())));
    let script = format!("lua_script:{}", script.path().display());
    let shown = tshark(file.path(), &["-X", &plugin, "-X", &script, "-o", &keys, "-q"]);
    let used = shown.lines().find_map(|line| line.strip_prefix("KiB ")?.parse::<f64>().ok());
    // All two hundred would be more than 50 MiB.
    let used = used.expect("what Lua needs");
    assert!(used < 25_000.0, "{used} KiB");
}

#[test]
fn a_key_log_that_is_another_longer_file_now_is_read_anew() {
    if !has_tshark() {
        return;
    }
    let session = Session::of("x25519");
    let file = session.captured();
    let frames = fields(file.path(), &["-Y", "tcp.len > 0"], &["frame.number"]).concat().concat();
    let (first_record, last_record) = (&frames[3], &frames[5]);
    let id = "0".repeat(64);
    let log = written(&format!("CHAT2_C2S {id} {id}\n"));
    // After the first record, for which there is no key, another log comes in its place.
    let script = written(&format!(
        "local all = Listener.new('frame')\n\
         function all.packet(pinfo)\n\
             if pinfo.number == {first_record} then\n\
                 local log = io.open([[{}]], 'wb')\n\
                 log:write([[{}]])\n\
                 log:close()\n\
             end\n\
         end\n",
        log.path().display(),
        session.keys
    ));
    give(script.path());
    let (plugin, keys) = (plugin(), keylog(Some(log.path())));
    let script = format!("lua_script:{}", script.path().display());
    let options = ["-X", &plugin, "-X", &script, "-o", &keys, "-Y", "chat5.record.number"];
    let found = fields(file.path(), &options, &["frame.number", "chat5.status"]);
    assert_eq!(found[0], [vec![first_record.clone()], vec!["missing key".to_owned()]]);
    assert_eq!(found[2], [vec![last_record.clone()], vec!["decrypted".to_owned()]]);
}

#[cfg(unix)]
#[test]
fn a_key_log_that_is_no_plain_file_is_a_missing_key() {
    use std::sync::mpsc;
    use std::thread;

    if !has_tshark() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    give(folder.path());
    let fifo = folder.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    for path in [&fifo, folder.path(), Path::new("/dev/zero")] {
        let (sender, answer) = mpsc::channel();
        let keys = format!("chat5.keylog:{}", path.display());
        give(&fifo);
        thread::spawn(move || {
            let file = Session::of("x25519").captured();
            let options = ["-X", &plugin(), "-o", &keys, "-Y", "chat5.record.number"];
            sender.send(fields(file.path(), &options, &["chat5.status", EXPERT])).unwrap();
        });
        let Ok(found) = answer.recv_timeout(Duration::from_secs(60)) else {
            panic!("{} makes tshark wait", path.display());
        };
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found.iter().all(|packet| packet[0] == ["missing key"]), "{found:?}");
        let why = if path == Path::new("/dev/zero") { "neither" } else { "cannot be read" };
        assert!(found.iter().all(|packet| packet[1].concat().contains(why)), "{found:?}");
    }
}

#[test]
fn a_nul_in_any_text_does_not_end_it() {
    if !has_tshark() {
        return;
    }
    let user = frame(0x31, b"a\0b");
    let names = r#"{"type":"names","people":[{"name":"a\u0000b","status":"c\u0000d"}]}"#;
    let set = r#"{"type":"group-set","group":"g","members":["a\u0000b"]}"#;
    let wire = Session::of("x25519").captured();
    let inside = captured(ELSEWHERE, |flow| {
        flow.data(Remote, &frame(0x30, &[2]));
        flow.data(Local, &user);
        flow.data(Remote, &json(names));
        flow.data(Local, &json(set));
    });
    let both = [("wire", wire.path()), ("plaintext", inside.path())];
    let both = pcapng::with_interfaces(&both);
    let plugin = plugin();
    let names = ["login.user", "msg.person.name", "msg.person.status", "msg.member"];
    let names = names.map(|name| format!("chat5.{name}"));
    let names = names.each_ref().map(String::as_str);
    let found = fields(both.path(), &["-X", &plugin, "-Y", "chat5.status == inside"], &names);
    let (first, second) = (r"a\u{0}b", r"c\u{0}d");
    // Newer versions print a backslash as two.
    let found =
        found.concat().concat().iter().map(|text| text.replace(r"\\", r"\")).collect::<Vec<_>>();
    assert_eq!(found, [first, first, second, first]);
}
