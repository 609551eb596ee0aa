//! What the guided tour says about the wire is what is in its capture, as tshark and a reader of
//! pcapng of the suite see it.
//!
//! Without tshark its part is left out, with a line that says so; in CI (`CI` is set) that fails.

// clippy.toml lets tests do so, but not the functions that tests share.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::Path;

use suite::tour;
use suite::tour::Frame;
use suite::tour::Tour;
use suite::tour::contains;

const PLANNED: &str = "The meeting is at noon, behind the library.\n";
const SAID: &str = "look at the picture";
/// The files' SHA-256, as `sha256sum` says it.
const SUMS: [(&str, &str); 2] = [
    ("plan.txt", "74d5d5f809fab09e1a13e843aafe01af44aaa69fe4e261be759c43f54f017180"),
    ("picture.bmp", "3d7de8797724cc182ca535be38ea5eccc43457749fa289798b652f8677f739d5"),
];

fn take() -> Tour {
    Tour::take(Path::new(env!("CARGO_BIN_EXE_stage4_file_plain")))
}

/// The ports of alice, bob and the server; the first packet is alice's, and goes to the server.
fn ports(tour: &Tour) -> [u16; 3] {
    let hello = tour.packets_with(br#""name":"bob"}"#)[0];
    [tour.packets[&1].from, tour.packets[&hello].from, tour.packets[&1].to]
}

/// The numbers in a text, and of what is between them nothing.
fn all_numbers(text: &str) -> Vec<usize> {
    let numbers = text.split(|c: char| !c.is_ascii_digit()).filter(|number| !number.is_empty());
    numbers.map(|number| number.parse().unwrap()).collect()
}

#[test]
fn every_packet_that_is_shown_has_these_bytes() {
    let tour = take();
    assert_eq!(tour.check_frames(), 15);
    let shown = Tour::frames(&tour.lines);
    for kind in ["offer", "accept", "refuse", "go", "end", "received", "done", "ack"] {
        let kind = format!("{{\"type\":\"{kind}\"");
        assert!(shown.iter().any(|frame| contains(&frame.bytes, kind.as_bytes())), "{kind}");
    }
    let shown = Tour::frames(tour.step("The file, and its end"));
    let chunk = [&b"\0\0\0\x39\x11\0\0\0\x01\0\0\0\0\0\0\0\0"[..], PLANNED.as_bytes()].concat();
    assert_eq!(shown[0].bytes, chunk);
    // The server passes it on as it is.
    let shown = Tour::frames(tour.step("bob's disk"));
    assert_eq!(shown[0].bytes, chunk);
}

#[test]
fn files_are_the_same_on_both_hops_in_place_and_carved_out_of_the_capture() {
    let tour = take();
    let (flows, [alice, bob, server]) = (tour.flows(), ports(&tour));
    let picture = tour.leaves_bytes("picture.bmp");
    // Its length is in its header, too.
    assert!(picture.starts_with(b"BM") && picture[2..6] == 961_078_u32.to_le_bytes());
    assert_eq!(picture.len(), 961_078);
    for (number, name, bytes) in
        [(1, "plan.txt", PLANNED.as_bytes()), (2, "picture.bmp", picture.as_slice())]
    {
        for hop in [(alice, server), (server, bob)] {
            assert!(tour::file(&flows[&hop], number) == bytes, "{name} on the wire");
        }
        for path in [format!("downloads/{name}"), format!("carved-{name}")] {
            assert!(tour.leaves_bytes(&path) == bytes, "{path}");
        }
    }
}

#[test]
fn an_eavesdropper_finds_the_checksums_of_what_he_carved() {
    let tour = take();
    let step = tour.step("eavesdropper");
    for (name, sum) in SUMS {
        let packets = tour.packets_with(format!("\"sha256\":\"{sum}\"}}").as_bytes());
        assert_eq!(packets.len(), 2, "to the server, and from it to bob");
        let start = step.iter().position(|line| line.contains(&format!("carved-{name} has")));
        let lines = step[start.unwrap() + 1..].iter();
        let ends = lines.filter_map(|line| line.trim().split_once("  {\"type\":\"end\""));
        let shown = ends.take(2).map(|(number, _)| number.parse::<usize>().unwrap());
        assert_eq!(shown.collect::<Vec<_>>(), packets, "{name}");
        let text = tour::joined(step).replace(' ', "");
        assert_eq!(text.matches(sum).count(), 2, "{name}");
    }
}

#[test]
fn the_message_was_sent_after_the_file_and_written_to_bob_before_its_end() {
    let tour = take();
    let (flows, [alice, bob, server]) = (tour.flows(), ports(&tour));
    let is_said = |(_, body): &Frame| contains(body, SAID.as_bytes());
    let is_chunk = |(kind, body): &&Frame| *kind == 0x11 && body[..4] == [0, 0, 0, 2];
    let around = |hop| {
        let frames: &Vec<Frame> = &flows[&hop];
        let said = frames.iter().position(is_said).unwrap();
        let chunks = |frames: &[Frame]| frames.iter().filter(is_chunk).count();
        (chunks(&frames[..said]), chunks(&frames[said..]))
    };
    assert_eq!(around((alice, server)), (15, 0));
    let (before, after) = around((server, bob));
    assert!(after > 0 && before + after == 15, "{before} and {after}");

    let text = tour::joined(tour.step("overtaken"));
    let (_, text) = text.split_once("alice's client had sent").unwrap();
    let (to_server, to_bob) = text.split_once("To bob the server wrote").unwrap();
    let [chunks, first, last, said] = all_numbers(to_server)[..] else { panic!("{text}") };
    assert!(chunks == 15 && first < last && last < said, "{text}");
    assert!(contains(&tour.packets[&said].payload, SAID.as_bytes()), "{text}");
    let [says_before, _, _, told, says_after, _, _] = all_numbers(to_bob)[..] else {
        panic!("{text}")
    };
    assert_eq!((says_before, says_after), (before, after), "{text}");
    let told = &tour.packets[&told];
    assert!(told.to == bob && contains(&told.payload, SAID.as_bytes()), "{text}");
}

#[test]
fn acknowledgements_are_of_what_was_there() {
    let tour = take();
    let shown = Tour::frames(tour.step("Acknowledgements"));
    let offsets = shown.iter().map(|frame| {
        let json = String::from_utf8_lossy(&frame.bytes[5..]).into_owned();
        *all_numbers(&json).last().unwrap()
    });
    let offsets = offsets.collect::<Vec<_>>();
    let [bob, server] = offsets[..] else { panic!("{offsets:?}") };
    assert_eq!(bob, server, "of one who takes it, the smallest is his");
    assert!(bob <= 961_078 && (bob % 65_536 == 0 || bob == 961_078), "{bob}");
}

#[test]
fn a_name_that_wants_out_goes_to_nobody_and_makes_no_file() {
    let tour = take();
    let (flows, [_, bob, server]) = (tour.flows(), ports(&tour));
    assert!(!flows[&(server, bob)].iter().any(|(_, body)| contains(body, b"evil")));
    let folder = tour.file.with_file_name("downloads");
    assert!(folder.exists() && !folder.join("../../evil").exists());
    let shown = Tour::frames(tour.step("wants out"));
    let refused = "the file name has a '/' in it, which separates folders";
    assert!(contains(&shown[1].bytes, refused.as_bytes()), "{}", shown[1].line);
}

#[test]
fn wireshark_finds_the_file_under_the_same_numbers() {
    let tour = take();
    tour.check_with_tshark();
    let filter = "frame contains \"The meeting\"";
    assert!(tour.lines.iter().any(|line| line.trim() == filter));
    let packets = tour.packets_with(b"The meeting");
    assert_eq!(packets.len(), 2, "to the server, and from it to bob");
    let args = ["-Y", filter, "-T", "fields", "-e", "frame.number"];
    let Some(found) = tour.tshark(&args) else { return };
    assert_eq!(found, packets.iter().map(usize::to_string).collect::<Vec<_>>());
}
