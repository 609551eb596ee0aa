//! What the guided tour says about the wire is what is in its capture: as tshark and a reader of
//! pcapng of the suite see it, and as it is decrypted with the key log that the tour leaves.
//!
//! Without tshark its part is left out, with a line that says so; in CI (`CI` is set) that fails.

// clippy.toml lets tests do so, but not the functions that tests share.
#![allow(clippy::indexing_slicing)]

use std::path::Path;

use suite::records;
use suite::records::Direction;
use suite::tour;
use suite::tour::Tour;

const SAID: &str = r#"{"type":"say","text":"is the lab open?"}"#;

fn take() -> Tour {
    Tour::take(Path::new(env!("CARGO_BIN_EXE_stage2_secure_single")))
}

/// The port of the server: the first packet goes to it.
fn opened(tour: &Tour) -> Vec<Direction> {
    records::open(tour, tour.packets[&1].to)
}

/// The frames that a step shows, without length and kind.
fn bodies(tour: &Tour, title: &str) -> Vec<Vec<u8>> {
    let frames = Tour::frames(tour.step(title)).into_iter();
    frames.map(|shown| shown.bytes[5..].to_vec()).collect()
}

#[test]
fn every_packet_that_is_shown_has_these_bytes() {
    assert_eq!(take().check_frames(), 7);
}

#[test]
fn a_handshake_has_the_shapes_that_the_page_tells() {
    let tour = take();
    let [hello, answer, share] = ["she allows", "a point of a curve", "both have a key"]
        .map(|title| bodies(&tour, title).remove(0));
    assert_eq!((hello.len(), answer.len(), share.len()), (39, 39 + 65, 65));
    assert!(hello.starts_with(b"CHT2\x01") && answer.starts_with(b"CHT2\x01"));
    assert_eq!((&hello[37..], &answer[37..40], share[0]), (&[0, 0][..], &[1, 1, 4][..], 4));
    let text = tour::joined(tour.step("a fingerprint"));
    let fingerprints = text.split("fingerprint=").skip(1).map(|rest| &rest[..23]);
    let [client, server] = fingerprints.collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(client, server);
}

#[test]
fn the_records_that_are_shown_hold_what_was_said() {
    let tour = take();
    let directions = opened(&tour);
    let opened = |body: &Vec<u8>| {
        let mut records = directions.iter().flat_map(|direction| &direction.records);
        records.find(|record| record.body == *body).unwrap()
    };
    let mut said = bodies(&tour, "each when they like");
    said.extend(bodies(&tour, "the same again"));
    said.extend(bodies(&tour, "--cipher aes-256-gcm"));
    assert_eq!(said.len(), 3);
    for body in &said {
        assert_eq!(opened(body).within, Ok([b"\x10", SAID.as_bytes()].concat()));
        assert_eq!(body.len(), 1 + SAID.len() + 16, "IV or tag");
    }
    let [first, second, _] = said.try_into().unwrap();
    assert!(first[..16] != second[..16] && first[16..] != second[16..]);
    let close = bodies(&tour, "a record that is the last").remove(0);
    assert_eq!((opened(&close).within.as_deref(), close.len()), (Ok(&[][..]), 17));
    // The text beside the first record is what is in it.
    let rows = tour.step("each when they like");
    let rows = &rows[rows.iter().position(|line| line.contains(".{\"type\"")).unwrap()..];
    assert!(tour::bytes(&rows[..3]).ends_with(SAID.as_bytes()));
}

#[test]
fn every_session_is_in_the_key_log() {
    let tour = take();
    // alice, bob, and alice again, in two directions.
    let directions = opened(&tour);
    assert_eq!(directions.len(), 6);
    assert_eq!(tour.leaves("keys.log").lines().count(), 6);
    for Direction { from, label, records, .. } in &directions {
        assert!(!records.is_empty(), "{from} {label}");
        assert!(records.iter().all(|record| record.within.is_ok()), "{from} {label}");
    }
    let taken = directions.iter().flat_map(|direction| &direction.records);
    let taken = taken.filter(|record| record.text().contains("with one client at a time"));
    assert_eq!(taken.count(), 1, "bob is told");
}

#[test]
fn an_eavesdropper_finds_nothing() {
    let tour = take();
    // Long enough never to be there by chance.
    let words = ["the lab", "morning", "alice", "\"type\""];
    for words in words {
        assert_eq!(tour.packets_with(words.as_bytes()), [0_usize; 0], "{words}");
    }
    let within = opened(&tour)
        .iter()
        .flat_map(|direction| &direction.records)
        .fold(String::new(), |all, record| all + &record.text());
    for words in words {
        assert!(within.contains(words), "{words} was said");
    }
    assert!(tour.text().contains("\"the lab\", \"morning\", \"alice\", \"type\". Nothing."));
}

#[test]
fn wireshark_finds_the_handshakes_under_the_same_numbers_and_no_word() {
    let tour = take();
    tour.check_with_tshark();
    // Three hellos and three answers.
    let hellos = tour.packets_with(b"CHT2\x01");
    assert_eq!(hellos.len(), 6);
    for (filter, expected) in [
        ("frame contains \"CHT2\"", &hellos),
        ("tcp.payload[4] == 20 && tcp.payload[5] == 04", &tour.packets_with(b"\0\0\0\x42\x20\x04")),
        ("frame contains \"is the lab open?\"", &Vec::new()),
        ("frame contains \"alice\"", &Vec::new()),
    ] {
        let args = ["-Y", filter, "-T", "fields", "-e", "frame.number"];
        let Some(found) = tour.tshark(&args) else { return };
        let expected = expected.iter().map(usize::to_string);
        assert_eq!(found, expected.collect::<Vec<_>>(), "{filter}");
    }
}
