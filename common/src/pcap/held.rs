//! What is kept back at the border between a handshake and the records behind it.
//!
//! One `read()` can bring the last step of a handshake and the first record at once, before this side
//! has computed the keys. A reader that follows the capture, and what it decrypts with, would see
//! that record before it has the key. So the record waits, as if it had come by a `read()` of its own.

use std::mem;

use crate::frame;
use crate::frame::HEADER;

/// What the peer sent, as far as it has to be known.
#[derive(Debug)]
pub enum Held {
    /// Nothing but steps of a handshake, if anything: the first bytes of the frame that comes, as far
    /// as its kind, and how much of the one in progress is still to come behind its kind.
    Handshake(Vec<u8>, usize),
    /// Records, and nobody has said yet that their keys are known.
    Records(Vec<u8>),
    /// Whatever comes is written at once.
    Nothing,
}

impl Held {
    /// At the beginning of a connection.
    pub fn new() -> Held {
        Held::Handshake(Vec::new(), 0)
    }

    /// How many of `bytes` can be written now; the others are kept.
    pub fn admit(&mut self, bytes: &[u8]) -> usize {
        let mut now = 0;
        let mut rest = bytes.iter();
        while let Held::Handshake(front, missing) = self {
            let body = (*missing).min(rest.len());
            *missing -= body;
            rest = rest.as_slice().get(body..).unwrap_or_default().iter();
            now += body;
            let Some(byte) = rest.next() else { return bytes.len() };
            front.push(*byte);
            let Some((header, [kind])) = front.split_first_chunk::<HEADER>() else { continue };
            match *kind {
                frame::HANDSHAKE => {
                    let length = usize::try_from(u32::from_be_bytes(*header)).unwrap_or(usize::MAX);
                    *missing = length.saturating_sub(1);
                    front.clear();
                    now = bytes.len() - rest.len();
                }
                frame::RECORD => *self = Held::Records(Vec::new()),
                _ => *self = Held::Nothing,
            }
        }
        match self {
            Held::Records(kept) => {
                kept.extend_from_slice(bytes.get(now..).unwrap_or_default());
                now
            }
            _ => bytes.len(),
        }
    }

    /// Whether nothing will be kept any more.
    pub fn is_nothing(&self) -> bool {
        matches!(self, Held::Nothing)
    }

    /// What was kept, if anything was. `is_over` says that nothing will be from now on.
    pub fn release(&mut self, is_over: bool) -> Vec<u8> {
        let kept = match self {
            Held::Records(kept) => mem::take(kept),
            _ => Vec::new(),
        };
        if is_over || !kept.is_empty() {
            *self = Held::Nothing;
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: &[u8] = b"\0\0\0\x04\x20abc";
    const RECORD: &[u8] = b"\0\0\0\x02\x21r";

    /// What is written when, for a stream that comes in two parts.
    fn parts(stream: &[u8], cut: usize) -> (Vec<u8>, Vec<u8>) {
        let mut held = Held::new();
        let mut written = Vec::new();
        for part in [&stream[..cut], &stream[cut..]] {
            let now = held.admit(part);
            written.extend_from_slice(&part[..now]);
        }
        (written, held.release(true))
    }

    #[test]
    fn records_wait_wherever_the_stream_is_cut_and_steps_do_not() {
        let stream = [STEP, STEP, RECORD, RECORD].concat();
        let border = 2 * STEP.len();
        for cut in 0..=stream.len() {
            let (written, kept) = parts(&stream, cut);
            assert_eq!([&written[..], &kept].concat(), stream, "cut at {cut}");
            // Length and kind of the record may have gone with what came before.
            let expected = match cut {
                cut if (border..border + 5).contains(&cut) => cut,
                _ => border,
            };
            assert_eq!(written.len(), expected, "cut at {cut}");
        }
    }

    #[test]
    fn where_there_is_no_handshake_nothing_waits() {
        for stream in [&b"\0\0\0\x02\x10{}"[..], b"GET / HTTP/1.1", &[0; 9], &[0xff; 9]] {
            for cut in 0..=stream.len() {
                assert_eq!(parts(stream, cut), (stream.to_vec(), Vec::new()), "cut at {cut}");
            }
        }
        // Nor does anything behind a step that claims more than there can be.
        let endless = b"\xff\xff\xff\xff\x20 and so on";
        assert_eq!(parts(endless, 3), (endless.to_vec(), Vec::new()));
    }

    #[test]
    fn once_the_keys_are_known_nothing_waits_any_more() {
        let mut held = Held::new();
        assert_eq!(held.admit(STEP), STEP.len());
        // Not yet: that a side speaks during its handshake says nothing of keys.
        assert_eq!(held.release(false), b"");
        assert_eq!(held.admit(&[STEP, RECORD].concat()), STEP.len());
        assert_eq!(held.admit(RECORD), 0);
        assert_eq!(held.release(true), [RECORD, RECORD].concat());
        assert_eq!(held.admit(RECORD), RECORD.len());
        let mut held = Held::new();
        assert_eq!(held.release(true), b"");
        assert_eq!(held.admit(RECORD), RECORD.len());
    }
}
