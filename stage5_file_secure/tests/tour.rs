//! What the guided tour says about the wire is what is in its capture: as tshark and a reader of
//! pcapng of the suite see it, and as it is decrypted with the key log that the tour leaves.
//!
//! Without tshark its part is left out, with a line that says so; in CI (`CI` is set) that fails.

// clippy.toml lets tests do so, but not the functions that tests share.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::path::Path;

use common::frame::HANDSHAKE;
use common::frame::RECORD;
use common::frame::Reader;
use suite::records;
use suite::records::Direction;
use suite::records::Record;
use suite::tour;
use suite::tour::Frame;
use suite::tour::Packet;
use suite::tour::Tour;

const PLANNED: &str = "The meeting is at noon, behind the library.\n";
const DEBT: &str = "bob owes carol 1\n";
/// The SHA-256 of 120 such lines, as `sha256sum` says it.
const DEBTS: &str = "849ec46417a0199837ad5060f965ec912ed5dc23ef64b8bb81817b7f3aca5b49";
/// What a record has around the bytes of a chunk: length and kind, IV, and then kind, number and
/// offset.
const AROUND: usize = 5 + 16 + 13;

fn take() -> Tour {
    Tour::take(Path::new(env!("CARGO_BIN_EXE_stage5_file_secure")))
}

/// What was said to the server without authentication: the first CHT2 goes to it.
fn opened(tour: &Tour) -> Vec<Direction> {
    let is_hello = |packet: &&Packet| packet.payload.windows(5).any(|bytes| bytes == b"CHT2\x01");
    records::open(tour, tour.packets.values().find(is_hello).unwrap().to)
}

/// The frames in records that open.
fn within(direction: &Direction) -> Vec<Frame> {
    let frames = direction.records.iter().filter_map(|record| record.within.as_ref().ok());
    let frames = frames.filter_map(|frame| frame.split_first());
    frames.map(|(kind, body)| (*kind, body.to_vec())).collect()
}

/// The file with this number as it went in each direction in which it went.
fn hops(directions: &[Direction], number: u32) -> Vec<Vec<u8>> {
    let files = directions.iter().map(|direction| tour::file(&within(direction), number));
    files.filter(|bytes| !bytes.is_empty()).collect()
}

#[test]
fn every_packet_that_is_shown_has_these_bytes() {
    assert_eq!(take().check_frames(), 3);
}

#[test]
fn the_file_is_in_two_records_under_two_keys() {
    let tour = take();
    let directions = opened(&tour);
    assert_eq!(hops(&directions, 1), [PLANNED.as_bytes(), PLANNED.as_bytes()]);
    assert_eq!(tour.leaves("downloads/plan.txt"), PLANNED);
    let all = directions.iter().flat_map(|direction| &direction.records);
    let chunks = all.filter(|record| record.text().contains(PLANNED)).collect::<Vec<_>>();
    let [sent, passed_on] = chunks[..] else { panic!("{} records", chunks.len()) };
    assert_eq!(sent.within, passed_on.within);
    assert_eq!(sent.body.len(), passed_on.body.len(), "all that they have in common");
    let same = sent.body.iter().zip(&passed_on.body).filter(|(a, b)| a == b).count();
    assert!(same < sent.body.len() / 4, "{same} bytes of {}", sent.body.len());
    let shown = Tour::frames(tour.step("The record with"));
    assert_eq!(shown[0].bytes[5..], sent.body);
}

#[test]
fn the_sizes_of_records_say_how_long_the_file_is() {
    let tour = take();
    let directions = opened(&tour);
    let is_alices = |direction: &&Direction| {
        direction.label == "CHAT2_C2S" && !tour::file(&within(direction), 1).is_empty()
    };
    let alice = directions.iter().find(is_alices).unwrap();
    let sizes = alice.records.iter().map(|record| 5 + record.body.len()).collect::<Vec<_>>();
    let step = tour.step("sizes");
    let shown = step.iter().filter(|line| line.trim_start().starts_with("packet"));
    let shown = shown.map(|line| {
        let (packets, size) = line.trim().split_once(": ").unwrap();
        let packets = packets.trim_start_matches("packets ").trim_start_matches("packet ");
        let is_there = |number: &usize| tour.packets[number].from == alice.from;
        assert!(tour::numbers(packets).iter().all(is_there), "{line}");
        size.strip_suffix(" bytes").unwrap().parse::<usize>().unwrap()
    });
    assert_eq!(shown.collect::<Vec<_>>(), sizes);
    assert_eq!(sizes[2], AROUND + PLANNED.len());
    let sum = format!("{} - {AROUND} = {}:", sizes[2], PLANNED.len());
    assert!(tour::joined(step).contains(&sum), "{sum}");
}

#[test]
fn one_bit_of_the_ciphertext_is_one_bit_of_the_file_and_the_checksum_differs() {
    let tour = take();
    let step = tour.step("CFB does not notice");
    let rows = step.iter().filter(|line| line.starts_with("      ") && line.len() > 60);
    let rows = rows.cloned().collect::<Vec<_>>();
    let [sent, passed_on] = rows.chunks(2).map(tour::bytes).collect::<Vec<_>>().try_into().unwrap();
    let differing = sent.iter().zip(&passed_on).enumerate().filter(|(_, (a, b))| a != b);
    let differing = differing.map(|(at, (a, b))| (sent.len() - 1 - at, a ^ b)).collect::<Vec<_>>();
    assert_eq!(differing, [(1, b'1' ^ b'9')]);
    // The server's capture has what arrived, and it has passed that on: all but a digit is right.
    let directions = opened(&tour);
    let (debts, changed) = (DEBT.repeat(120), DEBT.repeat(119) + "bob owes carol 9\n");
    assert_eq!(tour.leaves("debts.txt"), debts);
    assert_eq!(hops(&directions, 2), [changed.as_bytes(), changed.as_bytes()]);
    let ends = directions.iter().flat_map(|direction| &direction.records).map(Record::text);
    let ends = ends.filter(|text| text.contains(r#""type":"end","id":2,"#)).collect::<Vec<_>>();
    assert_eq!(ends.len(), 2);
    assert!(ends.iter().all(|end| end.contains(DEBTS)), "{ends:?}");
    let said = "! debts.txt from carol: what came is not what was sent: the checksum differs";
    assert!(tour::joined(step).contains(said));
}

#[test]
fn under_gcm_the_changed_record_does_not_open() {
    let tour = take();
    let step = tour::joined(tour.step("under GCM"));
    let said = "an encrypted record was changed, repeated, moved or left out on its way";
    assert!(step.contains(said), "{step}");
    assert!(step.contains("bob sees ! debts.txt from carol: carol has left"), "{step}");
    let directions = opened(&tour);
    let bad = directions.iter().flat_map(|direction| &direction.records);
    let bad = bad.filter(|record| record.within.is_err()).collect::<Vec<_>>();
    assert_eq!(bad.len(), 1);
    assert_eq!(bad[0].within, Err(said.to_owned()));
    assert_eq!(hops(&directions, 3), [[0; 0]; 0]);
}

#[test]
fn nothing_but_the_first_file_is_in_place() {
    let tour = take();
    let folder = tour.file.with_file_name("downloads");
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["plan.txt"]);
    let shown = tour.lines.iter().filter(|line| line.trim() == "downloads: plan.txt");
    assert_eq!(shown.count(), 2);
}

#[test]
fn an_eavesdropper_finds_nothing() {
    let tour = take();
    let within = opened(&tour)
        .iter()
        .flat_map(|direction| &direction.records)
        .fold(String::new(), |all, record| all + &record.text());
    // Long enough never to be there by chance.
    for words in ["meeting", "plan.txt", "sha256", "debts", "alice"] {
        assert_eq!(tour.packets_with(words.as_bytes()), [0_usize; 0], "{words}");
        assert!(within.contains(words), "{words} was sent");
    }
    let is_chunk = |(kind, _): &Frame| *kind == 0x11;
    assert!(!tour.flows().values().flatten().any(is_chunk));
    assert!(tour.text().contains("\"meeting\", \"plan.txt\", \"sha256\". No chunk, no word."));
}

#[test]
fn wireshark_finds_the_handshakes_under_the_same_numbers_and_no_word() {
    let tour = take();
    tour.check_with_tshark();
    // Four hellos and four answers.
    let hellos = tour.packets_with(b"CHT2\x01");
    assert_eq!(hellos.len(), 8);
    for (filter, expected) in
        [("frame contains \"CHT2\"", &hellos), ("frame contains \"The meeting\"", &Vec::new())]
    {
        let args = ["-Y", filter, "-T", "fields", "-e", "frame.number"];
        let Some(found) = tour.tshark(&args) else { return };
        let expected = expected.iter().map(usize::to_string);
        assert_eq!(found, expected.collect::<Vec<_>>(), "{filter}");
    }
    let advice = "frame contains \"The meeting\"";
    assert!(tour.lines.iter().any(|line| line.trim() == advice));
}

/// What somebody has sent, as frames.
fn frames(tour: &Tour, port: u16) -> Vec<Frame> {
    let sent = tour.packets.values().filter(|packet| packet.from == port);
    let bytes = sent.flat_map(|packet| packet.payload.clone()).collect::<Vec<_>>();
    let mut frames = Reader::new(&bytes[..], "the capture");
    let next = || frames.read().unwrap().map(|frame| (frame.kind, frame.body.to_vec()));
    std::iter::from_fn(next).collect()
}

#[test]
fn who_knows_the_server_says_nothing_to_another_and_nobody_says_a_password() {
    let tour = take();
    let mut ports = Vec::new();
    for packet in tour.packets.values() {
        let begins = packet.payload.windows(6).any(|bytes| bytes == b" CHT5\x01");
        if begins && packet.payload.len() == 44 {
            ports.push(packet.from);
        }
    }
    let [logged_in, stopped, refused] = ports[..] else { panic!("{} clients", ports.len()) };
    let kinds = |port| frames(&tour, port).iter().map(|(kind, _)| *kind).collect::<Vec<_>>();
    // The user, the proof, a hello, and the end.
    assert_eq!(kinds(logged_in), [HANDSHAKE, RECORD, RECORD, RECORD, RECORD]);
    assert_eq!(kinds(stopped), [HANDSHAKE]);
    // The end may come too late for who has closed already.
    assert_eq!(kinds(refused)[..3], [HANDSHAKE, RECORD, RECORD]);
    let all = tour.packets.values().flat_map(|packet| packet.payload.clone()).collect::<Vec<_>>();
    for words in ["correct horse", "alice", "bob"] {
        assert!(!all.windows(words.len()).any(|found| found == words.as_bytes()), "{words}");
    }
    assert!(tour::joined(tour.step("knows the server")).contains("HAS ANOTHER KEY"));
    assert!(!tour.file.with_file_name("bob").join("known_servers").exists());
}
