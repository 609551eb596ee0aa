//! What the guided tour says about the wire is what is in its capture: as tshark and a reader of
//! pcapng of the suite see it, and as it is decrypted with the key log that the tour leaves.
//!
//! Without tshark its part is left out, with a line that says so; in CI (`CI` is set) that fails.

// clippy.toml lets tests do so, but not the functions that tests share.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::path::Path;

use suite::records;
use suite::records::Direction;
use suite::records::Record;
use suite::tour;
use suite::tour::Tour;

const SAY: &str = r#"{"type":"say","text":"who comes to the lab?"}"#;
const SAID: &str = r#"{"type":"said","from":"alice","text":"who comes to the lab?"}"#;

fn take() -> Tour {
    Tour::take(Path::new(env!("CARGO_BIN_EXE_stage3_secure_multi")))
}

/// The port of the server: the first packet goes to it.
fn opened(tour: &Tour) -> Vec<Direction> {
    records::open(tour, tour.packets[&1].to)
}

/// The only record whose text contains this.
fn record<'d>(directions: &'d [Direction], words: &str) -> (&'d Direction, &'d Record) {
    let all = directions.iter().flat_map(|its| its.records.iter().map(move |record| (its, record)));
    let mut found = all.filter(|(_, record)| record.text().contains(words));
    let first = found.next().unwrap();
    assert!(found.next().is_none(), "{words} is in one record");
    first
}

#[test]
fn every_packet_that_is_shown_has_these_bytes() {
    assert_eq!(take().check_frames(), 6);
}

#[test]
fn one_sentence_is_three_ciphertexts_under_three_keys() {
    let tour = take();
    let directions = opened(&tour);
    let mut shown = Tour::frames(tour.step("One sentence in a record"));
    shown.extend(Tour::frames(tour.step("encrypted for each")));
    let within = [SAY, SAID, SAID];
    let (mut keys, mut bodies) = (BTreeSet::new(), Vec::new());
    assert_eq!(shown.len(), within.len());
    for (shown, within) in shown.iter().zip(within) {
        let body = &shown.bytes[5..];
        let holds = |direction: &&Direction| direction.records.iter().any(|r| r.body == body);
        let direction = directions.iter().find(holds).unwrap();
        let record = direction.records.iter().find(|record| record.body == body).unwrap();
        assert_eq!(record.within, Ok([b"\x10", within.as_bytes()].concat()), "{}", shown.line);
        keys.insert((direction.from, direction.to));
        bodies.push(body.to_vec());
    }
    assert_eq!(keys.len(), 3, "three directions, of alice, bob and carol");
    let [_, to_bob, to_carol] = bodies.try_into().unwrap();
    assert_eq!(to_bob.len(), to_carol.len(), "all that they have in common");
    let same = to_bob.iter().zip(&to_carol).filter(|(a, b)| a == b).count();
    assert!(same < to_bob.len() / 4, "{same} bytes of {}", to_bob.len());
    let log = tour.leaves("keys.log");
    let log = log.lines().map(|line| line.rsplit(' ').next().unwrap()).collect::<BTreeSet<_>>();
    assert_eq!(log.len(), 8, "alice, bob, carol, and carol again, in two directions");
}

#[test]
fn the_relay_passes_on_a_secret_that_it_cannot_read() {
    let directions = opened(&take());
    let (_, sent) = record(&directions, r#"{"type":"secret","to":"bob","sealed":""#);
    let all = directions.iter().flat_map(|direction| &direction.records).map(Record::text);
    let all = all.collect::<String>();
    assert!(!all.contains("noon") && !all.contains("correct-horse"), "{all}");
    // salt, nonce, text and tag, in hex.
    let sealed = 2 * (16 + 12 + "see you at noon".len() + 16);
    let (_, hex) =
        sent.text().split_once("sealed\":\"").map(|(a, b)| (a.len(), b.to_owned())).unwrap();
    assert_eq!(hex.trim_end_matches("\"}").len(), sealed);
}

#[test]
fn one_bit_of_the_ciphertext_is_one_bit_of_the_digit() {
    let tour = take();
    let step = tour.step("CFB does not notice");
    let rows = step.iter().filter(|line| line.starts_with("      ")).cloned().collect::<Vec<_>>();
    let [sent, passed_on] = rows.chunks(2).map(tour::bytes).collect::<Vec<_>>().try_into().unwrap();
    let differing = sent.iter().zip(&passed_on).enumerate().filter(|(_, (a, b))| a != b);
    let differing = differing.map(|(at, (a, b))| (sent.len() - 1 - at, a ^ b)).collect::<Vec<_>>();
    assert_eq!(differing, [(2, b'1' ^ b'9')]);
    assert_eq!((b'1' ^ b'9').count_ones(), 1);
    // The server's capture has what arrived, and it decrypts to the other digit.
    let directions = opened(&tour);
    let (_, arrived) = record(&directions, r#"{"type":"say","text":"bob owes me 9"}"#);
    assert!(arrived.body.ends_with(&passed_on));
    assert!(tour.text().contains("bob sees carol: bob owes me 9"));
}

#[test]
fn under_gcm_the_changed_record_does_not_open() {
    let tour = take();
    let step = tour::joined(tour.step("under GCM"));
    let said = "an encrypted record was changed, repeated, moved or left out on its way";
    assert!(step.contains(said), "{step}");
    let directions = opened(&tour);
    let bad = directions.iter().flat_map(|direction| &direction.records);
    let bad = bad.filter(|record| record.within.is_err()).collect::<Vec<_>>();
    assert_eq!(bad.len(), 1);
    assert_eq!(bad[0].within, Err(said.to_owned()));
    let owed = directions.iter().flat_map(|direction| &direction.records);
    assert!(!owed.map(Record::text).any(|text| text.contains("bob owes me 1")));
}

#[test]
fn an_eavesdropper_finds_nothing() {
    let tour = take();
    let within = opened(&tour)
        .iter()
        .flat_map(|direction| &direction.records)
        .fold(String::new(), |all, record| all + &record.text());
    // Long enough never to be there by chance.
    for words in ["keep it secret", "the lab", "secret", "alice", "\"type\""] {
        assert_eq!(tour.packets_with(words.as_bytes()), [0_usize; 0], "{words}");
        assert!(within.contains(words), "{words} was said");
    }
    assert!(tour.text().contains("\"the lab\", \"secret\", \"alice\", \"type\". Nothing."));
}

#[test]
fn wireshark_finds_the_handshakes_under_the_same_numbers_and_no_word() {
    let tour = take();
    tour.check_with_tshark();
    // Four hellos and four answers.
    let hellos = tour.packets_with(b"CHT2\x01");
    assert_eq!(hellos.len(), 8);
    for (filter, expected) in [
        ("frame contains \"CHT2\"", &hellos),
        ("frame contains \"keep it secret\"", &Vec::new()),
        ("frame contains \"alice\"", &Vec::new()),
    ] {
        let args = ["-Y", filter, "-T", "fields", "-e", "frame.number"];
        let Some(found) = tour.tshark(&args) else { return };
        let expected = expected.iter().map(usize::to_string);
        assert_eq!(found, expected.collect::<Vec<_>>(), "{filter}");
    }
    let advice = "frame contains \"keep it secret\"";
    assert!(tour.lines.iter().any(|line| line.trim() == advice));
}
