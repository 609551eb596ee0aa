//! A guided tour that was taken: what it said, and the capture that it left.
//!
//! The capture is read by code of its own, so that a mistake in what writes it, or in what the tour
//! reads it with, does not hide itself.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::process::KEY_LOG;

/// A tour that was taken.
pub struct Tour {
    /// What it showed.
    pub lines: Vec<String>,
    /// Its capture.
    pub file: PathBuf,
    /// The packets in its capture, by their numbers.
    pub packets: BTreeMap<usize, Packet>,
    /// All that it leaves vanishes with this.
    _folder: TempDir,
}

/// A packet of a capture.
pub struct Packet {
    /// The port that sent it.
    pub from: u16,
    /// The port that it went to.
    pub to: u16,
    /// What is in it.
    pub payload: Vec<u8>,
}

/// A frame of a capture: kind and body.
pub type Frame = (u8, Vec<u8>);

/// A frame that a tour shows.
pub struct Shown {
    /// The line above its bytes.
    pub line: String,
    /// The packets that it is said to be in.
    pub packets: Vec<usize>,
    /// How many bytes it is said to have.
    pub size: usize,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Tour {
    /// Takes the tour of a stage's binary, which leaves something among the temporary files alone.
    #[must_use]
    pub fn take(binary: &Path) -> Tour {
        let folder = tempfile::tempdir().expect("a folder");
        let elsewhere = tempfile::tempdir().expect("another one");
        let mut command = Command::new(binary);
        command.current_dir(elsewhere.path());
        let output = command.env("TMPDIR", folder.path()).env("TMP", folder.path());
        let output = output.env_remove(KEY_LOG).output().expect("it starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let left = |folder: &TempDir| fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!((left(&folder), left(&elsewhere)), (1, 0), "what it leaves");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let lines = text.lines().map(str::to_owned).collect::<Vec<_>>();
        let file = lines.iter().find(|line| line.ends_with(".pcapng"));
        let file = PathBuf::from(file.expect("it names the file").trim());
        let packets = packets(&fs::read(&file).expect("its capture"));
        Tour { lines, file, packets, _folder: folder }
    }

    /// All of it as one line, however it was wrapped.
    #[must_use]
    pub fn text(&self) -> String {
        joined(&self.lines)
    }

    /// The lines of the step with this in its title.
    #[must_use]
    pub fn step(&self, title: &str) -> &[String] {
        let is_heading = |line: &String| line.starts_with(|c: char| c.is_ascii_digit());
        let start = self.lines.iter().position(|line| is_heading(line) && line.contains(title));
        let rest = &self.lines[start.expect("a step with this title") + 1..];
        &rest[..rest.iter().position(is_heading).unwrap_or(rest.len())]
    }

    /// What is in a file that it leaves beside its capture.
    #[must_use]
    pub fn leaves(&self, name: &str) -> String {
        String::from_utf8(self.leaves_bytes(name)).expect("UTF-8")
    }

    /// As [`Tour::leaves`], of a file that may be no text.
    #[must_use]
    pub fn leaves_bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.file.with_file_name(name)).expect("the file")
    }

    /// All frames, by the ports from which and to which they went.
    #[must_use]
    pub fn flows(&self) -> BTreeMap<(u16, u16), Vec<Frame>> {
        let mut flows = BTreeMap::<_, Vec<u8>>::new();
        for Packet { from, to, payload } in self.packets.values() {
            flows.entry((*from, *to)).or_default().extend_from_slice(payload);
        }
        flows.into_iter().map(|(ports, stream)| (ports, frames(&stream))).collect()
    }

    /// The frames that these lines of it show, each with its packets.
    #[must_use]
    pub fn frames(lines: &[String]) -> Vec<Shown> {
        let mut frames = Vec::new();
        for (index, line) in lines.iter().enumerate() {
            let Some((_, rest)) = line.split_once(", packet") else { continue };
            let Some((numbers, size)) = rest.split_once(": ") else { continue };
            let size = size.strip_suffix(" bytes").and_then(|size| size.parse().ok());
            let rows = &lines[index + 1..];
            let is_row = |line: &String| line.starts_with("      ");
            let end = rows.iter().position(|line| !is_row(line)).unwrap_or(rows.len());
            frames.push(Shown {
                line: line.clone(),
                packets: self::numbers(numbers.trim_start_matches('s')),
                size: size.expect("its size"),
                bytes: bytes(&rows[..end]),
            });
        }
        frames
    }

    /// Checks that every frame that it shows is in the capture, in the packets that it names; how
    /// many there are.
    #[track_caller]
    pub fn check_frames(&self) -> usize {
        let frames = Tour::frames(&self.lines);
        for shown in &frames {
            let Shown { line, packets, size, bytes } = shown;
            assert_eq!(bytes.len(), *size, "{line}");
            let payload = packets.iter().flat_map(|number| self.packets[number].payload.clone());
            assert!(contains(&payload.collect::<Vec<_>>(), bytes), "{line}");
        }
        frames.len()
    }

    /// The numbers of the packets with these bytes in them.
    #[must_use]
    pub fn packets_with(&self, bytes: &[u8]) -> Vec<usize> {
        let with = self.packets.iter().filter(|(_, packet)| contains(&packet.payload, bytes));
        with.map(|(number, _)| *number).collect()
    }

    /// What tshark says of the capture, line by line, or `None` where there is no tshark; in CI
    /// (`CI` is set) that fails.
    #[must_use]
    pub fn tshark(&self, args: &[&str]) -> Option<Vec<String>> {
        let output = Command::new("tshark").args(args).arg("-r").arg(&self.file).output();
        if output.is_err() && env::var_os("CI").is_none() {
            eprintln!("left out: tshark is not installed");
            return None;
        }
        let output = output.expect("tshark starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        Some(text.lines().map(str::to_owned).collect())
    }

    /// Checks that tshark sees the same packets, with the same numbers, ports and bytes.
    #[track_caller]
    pub fn check_with_tshark(&self) {
        let fields = ["-e", "frame.number", "-e", "tcp.srcport", "-e", "tcp.payload"];
        let args = [&["-T", "fields"][..], &fields].concat();
        let Some(seen) = self.tshark(&args) else { return };
        let expected = self.packets.iter().map(|(number, packet)| {
            let hex = packet.payload.iter().map(|byte| format!("{byte:02x}"));
            format!("{number}\t{}\t{}", packet.from, hex.collect::<String>())
        });
        assert_eq!(seen, expected.collect::<Vec<_>>());
    }
}

/// The frames of a stream, by the protocol's page.
fn frames(mut stream: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while let Some((length, rest)) = stream.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).expect("a length");
        let (frame, rest) = rest.split_at_checked(length).expect("the whole frame");
        let (kind, body) = frame.split_first().expect("a kind");
        frames.push((*kind, body.to_vec()));
        stream = rest;
    }
    frames
}

/// The file with this number in frames, by the protocol's page: the bytes of its chunks, which have
/// to come in order.
///
/// # Panics
/// If they do not.
#[must_use]
pub fn file(frames: &[Frame], number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (_, body) in frames.iter().filter(|(kind, _)| *kind == 0x11) {
        if body[..4] == number.to_be_bytes() {
            let offset = u64::from_be_bytes(body[4..12].try_into().expect("eight bytes"));
            assert_eq!(usize::try_from(offset), Ok(bytes.len()), "of file {number}");
            bytes.extend_from_slice(&body[12..]);
        }
    }
    bytes
}

/// Lines as one, however they were wrapped.
#[must_use]
pub fn joined(lines: &[String]) -> String {
    lines.join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether these bytes are in a payload.
#[must_use]
pub fn contains(payload: &[u8], bytes: &[u8]) -> bool {
    payload.windows(bytes.len()).any(|window| window == bytes)
}

/// `1, 2 and 3`.
#[must_use]
pub fn numbers(text: &str) -> Vec<usize> {
    let text = text.trim().replace(" and ", ", ");
    text.split(", ").map(|number| number.parse().expect("a number")).collect()
}

/// The bytes in rows of hex: two digits and a space each, up to what they are or the text.
#[must_use]
pub fn bytes(rows: &[String]) -> Vec<u8> {
    let byte = |word: &str| match word.len() {
        2 => u8::from_str_radix(word, 16).ok(),
        _ => None,
    };
    let mut bytes = Vec::new();
    for row in rows {
        // Length and kind are three spaces apart, each with its label behind two.
        for part in row.trim().split("   ") {
            let pairs = part.split("  ").next().unwrap_or_default();
            bytes.extend(pairs.split(' ').map_while(byte));
        }
    }
    bytes
}

/// Takes a capture apart by the drawings in the draft (sections 3.1 and 4.3), RFC 791 and RFC 9293.
fn packets(capture: &[u8]) -> BTreeMap<usize, Packet> {
    let u32_at = |at: usize| {
        let number = capture[at..at + 4].try_into().expect("four bytes");
        usize::try_from(u32::from_le_bytes(number)).expect("a length")
    };
    let (mut at, mut packets) = (0, BTreeMap::new());
    while at < capture.len() {
        if u32_at(at) == 6 {
            let packet = &capture[at + 28..at + 28 + u32_at(at + 20)];
            let tcp = &packet[usize::from(packet[0] & 15) * 4..];
            let payload = tcp[usize::from(tcp[12] >> 4) * 4..].to_vec();
            let port = |at: usize| u16::from_be_bytes([tcp[at], tcp[at + 1]]);
            packets.insert(packets.len() + 1, Packet { from: port(0), to: port(2), payload });
        }
        at += u32_at(at + 4);
    }
    packets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn frames_with_labels_and_in_several_packets() {
        let shown = Tour::frames(&lines(
            "   text, packet by packet\n   \
             alice -> server, packet 4: 8 bytes\n      \
             00 00 00 04  length: 4 bytes follow   20  kind: handshake\n      \
             43 48                                            \"CHT2\"\n      \
             01                                               a point, uncompressed\n   \
             bob -> server, packets 7, 8 and 10: 2 bytes\n      \
             ab cd                                            .. be\n",
        ));
        assert_eq!(shown.len(), 2);
        assert_eq!((shown[0].packets.as_slice(), shown[0].size), (&[4][..], 8));
        assert_eq!(shown[0].bytes, [0, 0, 0, 4, 0x20, 0x43, 0x48, 1]);
        assert_eq!(shown[1].packets, [7, 8, 10]);
        assert_eq!(shown[1].bytes, [0xab, 0xcd]);
    }

    #[test]
    fn a_capture_by_the_drawings() {
        let block = b"\x06\0\0\0\x4c\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x2a\0\0\0\x2a\0\0\0\
            \x45\0\0\x2a\0\0\0\0\x40\x06\0\0\x7f\0\0\x01\x7f\0\0\x01\
            \0\x01\0\x02\0\0\0\0\0\0\0\0\x50\x18\xff\xff\0\0\0\0ab\0\0\x4c\0\0\0";
        let packets = packets(&[&block[..], block].concat());
        let Packet { from, to, payload } = &packets[&2];
        assert_eq!((packets.len(), *from, *to, payload.as_slice()), (2, 1, 2, &b"ab"[..]));
    }
}
