//! The files themselves.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use common::crypto::CipherState;
use common::crypto::Decryptor;
use common::crypto::Secret;
use common::crypto::suite::Cipher;
use common::crypto::unhex;
use common::frame;
use common::frame::BadRecord;
use common::frame::Frame;
use common::frame::RECORD;
use labs::capture;
use labs::capture::File;
use labs::capture::SCRIPTS;
use labs::capture::Script;
use labs::stages;

use crate::reader;
use crate::reader::Conversation;
use crate::reader::Sent;

#[test]
fn the_published_captures_are_what_labs_makes() {
    let problems = capture::problems(&stages::root()).unwrap();
    let problems = problems.join("\n");
    assert!(problems.is_empty(), "{problems}\nTo repair it: {}", capture::REPAIR);
}

#[test]
fn a_capture_that_is_missing_or_changed_is_a_problem() {
    let root = tempfile::tempdir().unwrap();
    let files = SCRIPTS.iter().map(|script| script.files().unwrap().len()).sum::<usize>();
    assert_eq!(capture::problems(root.path()).unwrap().len(), files);
    capture::write(root.path()).unwrap();
    assert_eq!(capture::problems(root.path()).unwrap(), Vec::<String>::new());
    let keys = root.path().join(capture::PUBLISHED).join("stage2_secure_single.keys");
    let text = fs::read_to_string(&keys).unwrap();
    // As git writes it on some systems.
    fs::write(&keys, text.replace('\n', "\r\n")).unwrap();
    assert_eq!(capture::problems(root.path()).unwrap(), Vec::<String>::new());
    fs::write(&keys, text.replacen('0', "1", 1)).unwrap();
    let problem = "docs/wireshark/stage2_secure_single.keys is not what labs capture makes";
    assert_eq!(capture::problems(root.path()).unwrap(), [problem]);
}

#[test]
fn they_are_small_and_each_says_that_its_keys_are_public() {
    let files = SCRIPTS.iter().flat_map(|script| script.files().unwrap()).collect::<Vec<_>>();
    let total = files.iter().map(|file| file.bytes.len()).sum::<usize>();
    assert!(total < 150_000, "{total}");
    for File { name, bytes } in files.iter().filter(|file| file.name.ends_with(".pcapng")) {
        let says =
            |words: &str| bytes.windows(words.len()).any(|window| window == words.as_bytes());
        assert!(says("`labs capture` from fixed seeds"), "{name}");
        assert!(says("Its keys are public"), "{name}");
    }
}

#[test]
fn nothing_but_the_lab_bench_can_make_one() {
    let root = stages::root();
    let mut sources = Vec::new();
    for folder in fs::read_dir(&root).unwrap() {
        let folder = folder.unwrap().path().join("src");
        if folder.file_name().is_some() && folder.exists() {
            collect(&folder, &mut sources);
        }
    }
    let calls = |words: &str| {
        let calls = sources.iter().filter(|(_, text)| text.contains(words));
        calls.map(|(path, _)| path.as_str()).collect::<Vec<_>>()
    };
    assert!(sources.len() > 50, "the stages and common");
    let made = calls("reproducible(");
    assert!(made.len() == 1 && made[0].ends_with("pcap.rs"), "where it is defined: {made:?}");
}

/// Paths and texts of all sources in a folder but tests.
fn collect(folder: &Path, sources: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => collect(&path, sources),
            false if path.ends_with("tests.rs") => {}
            false => sources.push((path.display().to_string(), fs::read_to_string(&path).unwrap())),
        }
    }
}

/// In a conversation, who sends what in one packet: a segment with two frames, and a frame in two.
#[test]
fn messages_share_a_segment_and_one_has_two() {
    let file = &SCRIPTS[0].files().unwrap()[0];
    let mut payloads = BTreeMap::<u16, Vec<Vec<u8>>>::new();
    for (_, packet) in reader::packets(&file.bytes) {
        let port = u16::from_be_bytes([packet[20], packet[21]]);
        let payload = &packet[20 + usize::from(packet[32] >> 4) * 4..];
        if !payload.is_empty() {
            payloads.entry(port).or_default().push(payload.to_vec());
        }
    }
    let length = |payload: &[u8]| u32::from_be_bytes(payload[..4].try_into().unwrap()) as usize;
    let [alice, bob] = [40001, 40002].map(|port| &payloads[&port]);
    let first = length(alice.last().unwrap());
    let second = &alice.last().unwrap()[4 + first..];
    assert_eq!(second.len(), 4 + length(second), "two frames, and nothing else");
    let [.., first, second] = &bob[..] else { unreachable!("bob says more") };
    assert_eq!(4 + length(first), first.len() + second.len(), "one frame in two parts");
}

/// Records of a direction, and what is inside as text.
type Opened = Vec<(Vec<u8>, Result<String, frame::Error>)>;

/// What client and server of each conversation sent behind the handshake, as the published keys open
/// it.
fn opened(script: &Script) -> Vec<[Opened; 2]> {
    let files = script.files().unwrap();
    let keys = str::from_utf8(&files[1].bytes).unwrap().lines().map(|line| {
        let key = line.split(' ').nth(2).and_then(unhex).unwrap();
        Secret::from(<[u8; 32]>::try_from(key).unwrap())
    });
    let keys = keys.collect::<Vec<_>>();
    let wire = reader::conversations(&files[0].bytes).remove(&0).unwrap();
    assert_eq!(2 * wire.len(), keys.len());
    let opened = |(conversation, keys): (&Conversation, &[Secret])| {
        let Conversation { client, server } = conversation;
        // The magic and the version, 32 random bytes, the key exchange, the cipher.
        let records = |key| match server.frames[0].1[..39] {
            [b'C', b'H', b'T', b'2', .., 1] => Decryptor::new(Cipher::Cfb, key),
            [b'C', b'H', b'T', b'2', .., 2] => Decryptor::new(Cipher::Gcm, key),
            _ => Decryptor::from(CipherState::rekeying(key)),
        };
        [open(client, records(&keys[0])), open(server, records(&keys[1]))]
    };
    wire.iter().zip(keys.chunks(2)).map(opened).collect()
}

fn open(sent: &Sent, mut records: Decryptor) -> Opened {
    let behind = sent.frames.iter().filter(|(kind, _)| *kind == RECORD);
    let opened = behind.map(|(kind, body)| {
        let within = records.open(Frame { kind: *kind, body });
        let text = within.map(|within| within.map_or(&b"the end"[..], |frame| frame.body));
        (body.clone(), text.map(|text| String::from_utf8_lossy(text).into_owned()))
    });
    opened.collect()
}

#[test]
fn one_sentence_is_three_ciphertexts() {
    let [alice, _] = &opened(&SCRIPTS[1])[0];
    let records = alice[1..4].iter().map(|(record, opened)| {
        assert_eq!(opened.as_deref().unwrap(), r#"{"type":"say","text":"meet me at noon"}"#);
        record
    });
    let records = records.collect::<BTreeSet<_>>();
    assert_eq!(records.len(), 3);
    assert_eq!(records.iter().map(|record| record.len()).collect::<BTreeSet<_>>().len(), 1);
}

#[test]
fn a_turned_bit_is_another_sentence_or_the_end() {
    let opened = opened(&SCRIPTS[3]);
    let [[alice, _], [bob, to_bob]] = &opened[..] else { unreachable!("two clients") };
    let texts = alice.iter().map(|(_, opened)| opened.as_deref().unwrap()).collect::<Vec<_>>();
    let debt = r#"{"type":"say","text":"I owe you 90 euro"}"#;
    assert_eq!(texts[1..], [r#"{"type":"say","text":"meet me at noon"}"#, debt]);
    let [.., (_, before), (_, turned), (_, end)] = &bob[..] else { unreachable!("bob says more") };
    assert_eq!(before.as_deref().unwrap(), texts[1]);
    assert!(matches!(turned, Err(frame::Error::Record(BadRecord::Tampered))), "{turned:?}");
    assert_eq!(end.as_deref().unwrap(), "the end");
    // Of alice's sentence nobody noticed anything.
    let relayed = |(_, it): &(_, Result<String, _>)| it.as_ref().unwrap().contains("90 euro");
    assert!(to_bob.iter().any(relayed));
}

#[test]
fn every_other_record_opens_with_the_published_keys() {
    for at in [1, 2, 5] {
        for (record, opened) in opened(&SCRIPTS[at]).into_iter().flatten().flatten() {
            assert!(opened.is_ok(), "{}: {record:02x?}", SCRIPTS[at].name);
        }
    }
}

#[test]
fn tshark_finds_nothing_wrong() {
    for script in SCRIPTS {
        let file = stages::root().join(capture::PUBLISHED).join(format!("{}.pcapng", script.name));
        let tshark = Command::new("tshark")
            .args(["-q", "-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE"])
            .args(["-z", "expert,warn", "-r"])
            .arg(file)
            .output();
        if tshark.is_err() && env::var_os("CI").is_none() {
            println!("left out: tshark is not installed");
            return;
        }
        let tshark = tshark.unwrap();
        let shown = String::from_utf8(tshark.stdout).unwrap();
        assert!(tshark.status.success() && shown.trim().is_empty(), "{}: {shown}", script.name);
    }
}
