//! What the guided tour says about the wire is what is in its capture, as tshark and a reader of
//! pcapng written here see it.
//!
//! Without tshark its part is left out, with a line that says so; in CI (`CI` is set) that fails.

// clippy.toml lets tests do so, but not the functions that tests share.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

const PRIVATE: &str = "keep it secret";
const GROUP: &str = "just us";

/// A tour that was taken.
struct Tour {
    /// Its folder vanishes with it.
    _folder: tempfile::TempDir,
    lines: Vec<String>,
    file: PathBuf,
    /// The payloads of the packets in its capture, by their numbers.
    payloads: BTreeMap<usize, Vec<u8>>,
}

impl Tour {
    fn take() -> Tour {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_stage1_relay"));
        let output = command.env("TMPDIR", folder.path()).env("TMP", folder.path());
        let output = output.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines().map(str::to_owned).collect::<Vec<_>>();
        let path = lines.iter().find(|line| line.ends_with(".pcapng")).unwrap();
        let file = PathBuf::from(path.trim());
        let payloads = payloads(&file);
        Tour { _folder: folder, lines, file, payloads }
    }

    /// All of it as one line, however it was wrapped.
    fn text(&self) -> String {
        self.lines.join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The lines of the step with this in its title.
    fn step(&self, title: &str) -> &[String] {
        let is_heading = |line: &String| line.starts_with(|c: char| c.is_ascii_digit());
        let start = self.lines.iter().position(|line| is_heading(line) && line.contains(title));
        let rest = &self.lines[start.unwrap() + 1..];
        &rest[..rest.iter().position(is_heading).unwrap_or(rest.len())]
    }

    /// What an eavesdropper reads: numbers of packets, and text.
    fn overheard(&self, words: &str) -> Vec<(usize, &str)> {
        let lines = self.step("eavesdropper").iter().filter(|line| line.contains(words));
        lines
            .map(|line| {
                let (number, text) = line.trim().split_once("  ").unwrap();
                (number.parse().unwrap(), text)
            })
            .collect()
    }
}

/// Takes the file apart by the drawings in the draft (sections 3.1 and 4.3), RFC 791 and RFC 9293.
fn payloads(file: &Path) -> BTreeMap<usize, Vec<u8>> {
    let bytes = fs::read(file).unwrap();
    let u32_at = |at: usize| {
        usize::try_from(u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())).unwrap()
    };
    let (mut at, mut payloads) = (0, BTreeMap::new());
    while at < bytes.len() {
        if u32_at(at) == 6 {
            let packet = &bytes[at + 28..at + 28 + u32_at(at + 20)];
            let tcp = &packet[usize::from(packet[0] & 15) * 4..];
            let payload = &tcp[usize::from(tcp[12] >> 4) * 4..];
            payloads.insert(payloads.len() + 1, payload.to_vec());
        }
        at += u32_at(at + 4);
    }
    payloads
}

/// The bytes in rows of hex: two digits and a space each, up to what they are or the text.
fn bytes(rows: &[String]) -> Vec<u8> {
    let byte = |word: &str| match word.len() {
        2 => u8::from_str_radix(word, 16).ok(),
        _ => None,
    };
    let mut bytes = Vec::new();
    for row in rows {
        // Length and kind are three spaces apart, each with its label behind two.
        for part in row.trim().split("   ") {
            bytes.extend(part.split("  ").next().unwrap().split(' ').map_while(byte));
        }
    }
    bytes
}

fn contains(payload: &[u8], words: &[u8]) -> bool {
    payload.windows(words.len()).any(|window| window == words)
}

#[test]
fn every_packet_that_is_shown_has_these_bytes() {
    let tour = Tour::take();
    let mut shown = 0;
    for (index, line) in tour.lines.iter().enumerate() {
        let Some((_, rest)) = line.split_once(", packet ") else { continue };
        let Some((number, size)) = rest.split_once(": ") else { continue };
        let size = size.strip_suffix(" bytes").unwrap().parse().unwrap();
        let rows = &tour.lines[index + 1..];
        let is_row = |line: &String| line.starts_with("      ");
        let bytes = bytes(&rows[..rows.iter().position(|line| !is_row(line)).unwrap()]);
        assert_eq!(bytes.len(), size, "{line}");
        assert!(contains(&tour.payloads[&number.parse().unwrap()], &bytes), "{line}");
        shown += 1;
    }
    // A piece may have come in more than one packet.
    assert!(shown >= 9, "{:#?}", tour.lines);
}

#[test]
fn three_writes_are_one_read() {
    let tour = Tour::take();
    let step = tour.step("TCP joins");
    let text = step.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("Her one read() now returns 146 bytes, 3 frames:"), "{text}");
    let (_, numbers) = text.split_once("3 times: packets ").unwrap();
    let numbers = numbers.split('.').next().unwrap().replace(" and ", ", ");
    let numbers = numbers.split(", ").map(|number| number.parse().unwrap()).collect::<Vec<_>>();
    assert_eq!(numbers.len(), 3, "three packets: {text}");
    let rows = step.iter().position(|line| line.contains("length: 44")).unwrap();
    let read = bytes(&step[rows..]);
    let written = numbers.iter().flat_map(|number| tour.payloads[number].clone());
    assert_eq!(read, written.collect::<Vec<_>>());
}

#[test]
fn a_frame_in_pieces_is_one_message() {
    let tour = Tour::take();
    let step = tour.step("TCP splits");
    let text = step.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
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
    let pieces = pieces.replace(" and ", ", ");
    let pieces = pieces.split(", ").map(|number| number.parse().unwrap()).collect::<Vec<_>>();
    let told = rest.split('.').next().unwrap().parse().unwrap();
    assert!(pieces.len() >= 3 && pieces.iter().all(|piece| *piece < told), "{text}");
    let stream = pieces.iter().flat_map(|piece| tour.payloads[piece].clone()).collect::<Vec<_>>();
    assert!(stream.starts_with(b"\0\0\0\x25\x10{\"type\":\"say\",\"text\":\"no lab today\"}"));
    assert_eq!(tour.payloads[&pieces[0]], b"\0\0");
    let said = b"{\"type\":\"said\",\"from\":\"carol\",\"text\":\"no lab today\"}";
    assert!(contains(&tour.payloads[&told], said), "{text}");
}

#[test]
fn an_eavesdropper_reads_what_is_private() {
    let tour = Tour::take();
    assert!(tour.text().contains("bob sees bob -> alice: keep it secret"));
    assert!(tour.text().contains("carol sees alice -> #team: just us"));
    for words in [PRIVATE, GROUP] {
        let overheard = tour.overheard(words);
        // To the server, to the other one, and as an echo to the sender.
        assert_eq!(overheard.len(), 3, "{overheard:?}");
        for (number, text) in &overheard {
            assert!(contains(&tour.payloads[number], text.as_bytes()), "{number}: {text}");
        }
        let all = tour.payloads.iter().filter(|(_, payload)| contains(payload, words.as_bytes()));
        let numbers = overheard.iter().map(|(number, _)| number);
        assert!(numbers.eq(all.map(|(number, _)| number)), "{overheard:?}");
    }
}

#[test]
fn wireshark_finds_it_under_the_same_numbers() {
    let tour = Tour::take();
    for (filter, words) in
        [("frame contains \"keep it secret\"", PRIVATE), ("frame contains \"just us\"", GROUP)]
    {
        let mut tshark = Command::new("tshark");
        tshark.args(["-Y", filter, "-T", "fields", "-e", "frame.number", "-r"]).arg(&tour.file);
        let output = tshark.output();
        if output.is_err() && env::var_os("CI").is_none() {
            println!("left out: tshark is not installed");
            return;
        }
        let found = String::from_utf8(output.unwrap().stdout).unwrap();
        let numbers = tour.overheard(words).into_iter().map(|(number, _)| number.to_string());
        assert_eq!(found.lines().collect::<Vec<_>>(), numbers.collect::<Vec<_>>());
    }
    assert!(tour.lines.iter().any(|line| line.trim() == "frame contains \"keep it secret\""));
}

#[test]
fn stages_that_do_not_exist_yet_are_not_promised() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let missing = ["stage4_file_plain", "stage5_file_secure"]
        .iter()
        .all(|stage| !workspace.join(stage).join("Cargo.toml").exists());
    let said = Tour::take().text().contains("Stages 4 and 5 are not in this workspace yet.");
    assert_eq!(said, missing, "src/tour.rs says which stages there are");
}
