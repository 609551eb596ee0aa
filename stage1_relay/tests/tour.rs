//! What the guided tour says about the wire is what is in its capture, as tshark and a reader of
//! pcapng of the suite see it.
//!
//! Without tshark its part is left out, with a line that says so; in CI (`CI` is set) that fails.

// clippy.toml lets tests do so, but not the functions that tests share.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::Path;

use suite::tour;
use suite::tour::Tour;
use suite::tour::contains;

const PRIVATE: &str = "keep it secret";
const GROUP: &str = "just us";

fn take() -> Tour {
    Tour::take(Path::new(env!("CARGO_BIN_EXE_stage1_relay")))
}

/// What an eavesdropper reads: numbers of packets, and text.
fn overheard<'t>(tour: &'t Tour, words: &str) -> Vec<(usize, &'t str)> {
    let lines = tour.step("eavesdropper").iter().filter(|line| line.contains(words));
    lines
        .map(|line| {
            let (number, text) = line.trim().split_once("  ").unwrap();
            (number.parse().unwrap(), text)
        })
        .collect()
}

#[test]
fn every_packet_that_is_shown_has_these_bytes() {
    let tour = take();
    let shown = tour.check_frames();
    // A piece may have come in more than one packet.
    assert!(shown >= 9, "{shown}");
}

#[test]
fn three_writes_are_one_read() {
    let tour = take();
    let step = tour.step("TCP joins");
    let text = tour::joined(step);
    assert!(text.contains("Her one read() now returns 146 bytes, 3 frames:"), "{text}");
    let (_, numbers) = text.split_once("3 times: packets ").unwrap();
    let numbers = tour::numbers(numbers.split('.').next().unwrap());
    assert_eq!(numbers.len(), 3, "three packets: {text}");
    let rows = step.iter().position(|line| line.contains("length: 44")).unwrap();
    let read = tour::bytes(&step[rows..]);
    let written = numbers.iter().flat_map(|number| tour.packets[number].payload.clone());
    assert_eq!(read, written.collect::<Vec<_>>());
}

#[test]
fn a_frame_in_pieces_is_one_message() {
    let tour = take();
    let step = tour.step("TCP splits");
    let text = tour::joined(step);
    for words in [
        "00 00 length, 2 of its 4 bytes carol",
        "00 25 end of the length: 37 bytes follow",
        "bob sees carol: no lab today bob sees carol: sorry",
    ] {
        assert!(text.contains(words), "{words} is missing: {text}");
    }
    let (_, rest) = text.split_once("The first message came in packets ").unwrap();
    let (pieces, rest) =
        rest.split_once("; only then did the server tell bob, in packet ").unwrap();
    let pieces = tour::numbers(pieces);
    let told = rest.split('.').next().unwrap().parse().unwrap();
    assert!(pieces.len() >= 3 && pieces.iter().all(|piece| *piece < told), "{text}");
    let stream =
        pieces.iter().flat_map(|piece| tour.packets[piece].payload.clone()).collect::<Vec<_>>();
    assert!(stream.starts_with(b"\0\0\0\x25\x10{\"type\":\"say\",\"text\":\"no lab today\"}"));
    assert_eq!(tour.packets[&pieces[0]].payload, b"\0\0");
    let said = b"{\"type\":\"said\",\"from\":\"carol\",\"text\":\"no lab today\"}";
    assert!(contains(&tour.packets[&told].payload, said), "{text}");
}

#[test]
fn an_eavesdropper_reads_what_is_private() {
    let tour = take();
    assert!(tour.text().contains("bob sees bob -> alice: keep it secret"));
    assert!(tour.text().contains("carol sees alice -> #team: just us"));
    for words in [PRIVATE, GROUP] {
        let overheard = overheard(&tour, words);
        // To the server, to the other one, and as an echo to the sender.
        assert_eq!(overheard.len(), 3, "{overheard:?}");
        for (number, text) in &overheard {
            assert!(contains(&tour.packets[number].payload, text.as_bytes()), "{number}: {text}");
        }
        let numbers = overheard.iter().map(|(number, _)| *number);
        assert!(numbers.eq(tour.packets_with(words.as_bytes())), "{overheard:?}");
    }
}

#[test]
fn wireshark_finds_it_under_the_same_numbers() {
    let tour = take();
    tour.check_with_tshark();
    for (filter, words) in
        [("frame contains \"keep it secret\"", PRIVATE), ("frame contains \"just us\"", GROUP)]
    {
        let args = ["-Y", filter, "-T", "fields", "-e", "frame.number"];
        let Some(found) = tour.tshark(&args) else { return };
        let numbers = overheard(&tour, words).into_iter().map(|(number, _)| number.to_string());
        assert_eq!(found, numbers.collect::<Vec<_>>());
    }
    assert!(tour.lines.iter().any(|line| line.trim() == "frame contains \"keep it secret\""));
}
