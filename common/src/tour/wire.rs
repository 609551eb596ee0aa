//! What crossed the wire, out of the capture: while it is being written, and afterwards.

use std::fs::File;
use std::io;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::time::Instant;

use etherparse::PacketHeaders;
use etherparse::TransportHeader;

use super::PATIENCE;
use crate::frame::HEADER;
use crate::pcap::Capture;

/// The type of an Enhanced Packet Block (draft-ietf-opsawg-pcapng, section 4.3).
const ENHANCED_PACKET: u32 = 6;
/// Fewest printable characters in a row that count as text; `strings` has the same.
const TEXT: usize = 4;

/// A packet of a capture: of TCP, between two ports of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Its number in the file: the first is 1, as in Wireshark.
    pub number: usize,
    /// The port that sent it.
    pub from: u16,
    /// The port that it went to.
    pub to: u16,
    /// Whether it opens a connection (SYN without ACK).
    pub opens: bool,
    /// Whether its sender sends nothing more (FIN or RST).
    pub ends: bool,
    /// What is real in it.
    pub payload: Vec<u8>,
}

impl Packet {
    fn new(number: usize, packet: &[u8]) -> Option<Packet> {
        let headers = PacketHeaders::from_ip_slice(packet).ok()?;
        let Some(TransportHeader::Tcp(tcp)) = headers.transport else { return None };
        Some(Packet {
            number,
            from: tcp.source_port,
            to: tcp.destination_port,
            opens: tcp.syn && !tcp.ack,
            ends: tcp.fin || tcp.rst,
            payload: headers.payload.slice().to_vec(),
        })
    }

    /// The text in its payload: printable characters, several in a row.
    pub fn strings(&self) -> impl Iterator<Item = &str> {
        let runs = self.payload.split(|byte| !matches!(byte, b' '..=b'~'));
        runs.filter(|run| run.len() >= TEXT).filter_map(|run| str::from_utf8(run).ok())
    }
}

/// The packets in blocks of pcapng as [`crate::pcap`] writes them; `before` of them came earlier.
pub fn packets(mut blocks: &[u8], before: usize) -> Vec<Packet> {
    let mut number = before;
    let mut packets = Vec::new();
    while let Some((kind, body, rest)) = block(blocks) {
        blocks = rest;
        if kind != ENHANCED_PACKET {
            continue;
        }
        number += 1;
        // Interface and time come before the lengths, and padding after the packet.
        let packet = body.get(12..).and_then(|body| {
            let (length, _) = take_u32(body)?;
            body.get(8..)?.get(..usize::try_from(length).ok()?)
        });
        packets.extend(packet.and_then(|packet| Packet::new(number, packet)));
    }
    packets
}

/// The type and the body of a block, and what follows it.
fn block(bytes: &[u8]) -> Option<(u32, &[u8], &[u8])> {
    let (kind, rest) = take_u32(bytes)?;
    let (length, _) = take_u32(rest)?;
    let (block, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    // Type and length in front, and the length again behind.
    let body = block.get(8..block.len().checked_sub(4)?)?;
    Some((kind, body, rest))
}

fn take_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*number), rest))
}

/// A frame as it crossed the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crossed {
    /// The packets that it is in, all or part of it.
    pub packets: Vec<usize>,
    /// All of it, with its length.
    pub bytes: Vec<u8>,
}

impl Crossed {
    /// What kind of frame it is.
    pub fn kind(&self) -> Option<u8> {
        self.bytes.get(HEADER).copied()
    }

    /// What is behind its kind.
    pub fn body(&self) -> &[u8] {
        self.bytes.get(HEADER + 1..).unwrap_or_default()
    }
}

/// The whole frames among what `from` sent to `to`, in these packets.
pub fn frames(packets: &[Packet], from: u16, to: u16) -> Vec<Crossed> {
    let mut frames = Vec::new();
    let mut frame = Crossed { packets: Vec::new(), bytes: Vec::new() };
    for packet in packets.iter().filter(|packet| (packet.from, packet.to) == (from, to)) {
        let mut payload = packet.payload.as_slice();
        while !payload.is_empty() {
            let taken = missing(&frame.bytes).min(payload.len());
            let (part, rest) = payload.split_at(taken);
            frame.packets.push(packet.number);
            frame.packets.dedup();
            frame.bytes.extend_from_slice(part);
            payload = rest;
            if missing(&frame.bytes) == 0 {
                frames.push(frame.clone());
                frame.packets.clear();
                frame.bytes.clear();
            }
        }
    }
    frames
}

/// How many frames are whole in `bytes`, which begin with one.
pub fn whole_frames(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while let Some((header, rest)) = bytes.split_first_chunk::<HEADER>()
        && let Some(rest) = rest.get(length(*header)..)
    {
        count += 1;
        bytes = rest;
    }
    count
}

/// How much is missing of a frame, or first of its length, behind its first bytes; 0 if it is all
/// there.
fn missing(bytes: &[u8]) -> usize {
    match bytes.split_first_chunk::<HEADER>() {
        None => HEADER - bytes.len(),
        Some((header, rest)) => length(*header) - rest.len(),
    }
}

/// The length in front of a frame; never 0, which no peer in a tour sends.
pub fn length(header: [u8; HEADER]) -> usize {
    usize::try_from(u32::from_be_bytes(header)).unwrap_or(usize::MAX).max(1)
}

/// Writes a capture into its file, and hands every block on.
struct Tap {
    file: File,
    blocks: Sender<Vec<u8>>,
}

impl Write for Tap {
    fn write(&mut self, blocks: &[u8]) -> io::Result<usize> {
        // A capture writes whole blocks, and so must what is handed on.
        self.file.write_all(blocks)?;
        // The tour may be over.
        let _ = self.blocks.send(blocks.to_vec());
        Ok(blocks.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// What has crossed the wire so far.
pub struct Wire {
    blocks: Receiver<Vec<u8>>,
    packets: Vec<Packet>,
}

impl Wire {
    /// A capture into a new file, and what crosses the wire in it.
    pub fn tap(file: &Path) -> io::Result<(Capture, Wire)> {
        let (sender, blocks) = mpsc::channel();
        let capture = Capture::to(Tap { file: File::create_new(file)?, blocks: sender })?;
        Ok((capture, Wire { blocks, packets: Vec::new() }))
    }

    /// Waits until `look` finds what it looks for among the packets so far.
    ///
    /// # Errors
    /// If it has not for ten seconds.
    pub fn find<T>(&mut self, mut look: impl FnMut(&[Packet]) -> Option<T>) -> io::Result<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look(&self.packets) {
                return Ok(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let blocks = self.blocks.recv_timeout(left).map_err(|_| {
                io::Error::new(io::ErrorKind::TimedOut, "what has to cross the wire did not")
            })?;
            self.packets.extend(packets(&blocks, self.packets.len()));
        }
    }

    /// The whole frames that `from` has sent `to` so far.
    pub fn frames(&mut self, from: u16, to: u16) -> Vec<Crossed> {
        for blocks in self.blocks.try_iter() {
            self.packets.extend(packets(&blocks, self.packets.len()));
        }
        frames(&self.packets, from, to)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::pcap::Side;

    /// From the drawing in the draft's section 4.3 and the headers of RFC 791 and RFC 9293:
    /// `ab` from port 1 to port 2, with PSH and ACK, and padding behind it.
    const BLOCK: &[u8] = b"\x06\0\0\0\x4c\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x2a\0\0\0\x2a\0\0\0\
        \x45\0\0\x2a\0\0\0\0\x40\x06\0\0\x7f\0\0\x01\x7f\0\0\x01\
        \0\x01\0\x02\0\0\0\0\0\0\0\0\x50\x18\xff\xff\0\0\0\0ab\0\0\x4c\0\0\0";

    fn packet(number: usize, from: u16, payload: &[u8]) -> Packet {
        let (opens, ends) = (false, false);
        Packet { number, from, to: 7001, opens, ends, payload: payload.to_vec() }
    }

    #[test]
    fn packets_are_numbered_from_1_and_other_blocks_are_not() {
        let header = b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a\x01\0\0\0\
            \xff\xff\xff\xff\xff\xff\xff\xff\x1c\0\0\0";
        let found = packets(&[header, BLOCK, header, BLOCK].concat(), 0);
        let expected = |number| Packet { to: 2, ..packet(number, 1, b"ab") };
        assert_eq!(found, [expected(1), expected(2)]);
        assert_eq!(packets(BLOCK, 41), [expected(42)]);
    }

    #[test]
    fn a_file_that_is_cut_off_ends_with_its_last_whole_block() {
        for length in 0..BLOCK.len() {
            assert_eq!(packets(&BLOCK[..length], 0), []);
        }
    }

    #[test]
    fn what_a_capture_writes_is_read_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.pcapng");
        let (capture, mut wire) = Wire::tap(&file).unwrap();
        let [local, remote] = [4000, 4001].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let flow = capture.flow(local, remote, Side::Remote);
        flow.data(Side::Remote, b"\0\0\0\x01\x10");
        flow.fin(Side::Local);
        let ended = wire.find(|packets| packets.iter().find(|p| p.ends).cloned()).unwrap();
        assert_eq!((ended.number, ended.from, ended.to), (6, 4000, 4001));
        let opened = wire.find(|packets| packets.iter().find(|p| p.opens).cloned()).unwrap();
        assert_eq!((opened.number, opened.from, opened.to), (1, 4001, 4000));
        assert_eq!(
            wire.find(|packets| frames(packets, 4001, 4000).pop()).unwrap(),
            Crossed { packets: vec![4], bytes: b"\0\0\0\x01\x10".to_vec() }
        );
        capture.finish();
        wire.find(|packets| (packets.len() == 7).then_some(())).unwrap();
        assert_eq!(packets(&std::fs::read(&file).unwrap(), 0), wire.packets);
    }

    #[test]
    fn frames_are_found_wherever_they_were_cut() {
        let [first, second] = [&b"\0\0\0\x03\x10ab"[..], b"\0\0\0\x02\x10c"];
        let stream = [first, second].concat();
        for cut in 1..stream.len() {
            let packets = [
                packet(3, 4000, &stream[..cut]),
                packet(4, 5000, b"\0\0\0\x01\x10"),
                packet(5, 4000, &stream[cut..]),
            ];
            let numbers = |from, to| match cut {
                cut if cut <= from => vec![5],
                cut if cut >= to => vec![3],
                _ => vec![3, 5],
            };
            let expected = [
                Crossed { packets: numbers(0, 7), bytes: first.to_vec() },
                Crossed { packets: numbers(7, 13), bytes: second.to_vec() },
            ];
            assert_eq!(frames(&packets, 4000, 7001), expected, "cut at {cut}");
            let whole = usize::from(cut >= 7);
            assert_eq!(whole_frames(&stream[..cut]), whole, "cut at {cut}");
        }
        assert_eq!(whole_frames(&stream), 2);
    }

    #[test]
    fn strings_are_what_is_readable() {
        let packet = packet(1, 4000, b"\0\0\0\x41\x10{\"a\":1}\0\0\0\x07abc\xfftext");
        assert_eq!(packet.strings().collect::<Vec<_>>(), ["{\"a\":1}", "text"]);
    }
}
