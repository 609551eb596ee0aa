//! What can be said under CFB without any key.
//!
//! CFB128 (SP 800-38A, section 6.3) encrypts a block as `C[i] = P[i] ⊕ E(C[i-1])`. So a bit that is
//! turned in `C[i]` is turned in `P[i]`, exactly, and makes 16 random bytes of `P[i+1]`. Behind the
//! last block nothing is left that could be garbled. And the last block holds what a person typed,
//! because a message has its text last:
//!
//! ```text
//! body of the record   IV, 16 bytes · ciphertext
//! plaintext            10 {"type":"say","text":"I owe you 10"}
//!                      |---- block ----||---- block ----||---|
//! ```
//!
//! Whoever knows what stands there writes what he likes there, as long as it is no longer.

use std::error::Error;
use std::fmt;
use std::fmt::Display;

use common::frame::RECORD;

use super::relay::Attack;
use super::relay::Crossing;
use super::relay::Direction;
use super::relay::Wire;
use super::relay::on;

/// Bytes of an IV, and of a block of AES.
const BLOCK: usize = 16;
/// What stands behind the text, in the message's JSON.
const BEHIND: usize = r#""}"#.len();

/// Why characters cannot be changed unnoticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutOfReach {
    /// What is to be there has another length than what is.
    Length,
    /// Some of them are before the last block, of which so many characters are text.
    Block(usize),
}

impl Error for OutOfReach {}

impl Display for OutOfReach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OutOfReach::Length => f.write_str("the new text has another length than the old one"),
            OutOfReach::Block(reach) => {
                write!(f, "only the last {reach} bytes of this text are in the last block")
            }
        }
    }
}

/// Changes the end of the text in a record of CFB from `was` to `becomes`.
///
/// # Errors
/// If that would garble something; nothing is changed then.
pub fn rewrite_end(body: &mut [u8], was: &str, becomes: &str) -> Result<(), OutOfReach> {
    let (was, becomes) = (was.as_bytes(), becomes.as_bytes());
    if was.len() != becomes.len() {
        return Err(OutOfReach::Length);
    }
    let ciphertext = body.get_mut(BLOCK..).unwrap_or_default();
    let last = ciphertext.len().checked_sub(1).map_or(0, |last| last % BLOCK + 1);
    let reach = last.saturating_sub(BEHIND);
    let start = ciphertext.len().checked_sub(BEHIND + was.len());
    let place = start.and_then(|start| ciphertext.get_mut(start..start + was.len()));
    let Some(place) = place.filter(|place| place.len() <= reach) else {
        return Err(OutOfReach::Block(reach));
    };
    for (byte, (was, becomes)) in place.iter_mut().zip(was.iter().zip(becomes)) {
        *byte ^= was ^ becomes;
    }
    Ok(())
}

/// Exercise *forging without a key*: the text in a record ends with `becomes` instead of `was`.
/// Where that is out of reach, or `was` is not what stands there, the victim sees that something
/// is wrong, or nothing has changed.
pub fn forge(direction: Direction, number: usize, was: &str, becomes: &str) -> impl Attack {
    let (was, becomes) = (was.to_owned(), becomes.to_owned());
    on(direction, number, move |mut frame: Crossing, wire: &mut Wire| {
        if frame.kind == RECORD {
            // Out of reach: it passes as it is.
            let _ = rewrite_end(&mut frame.body, &was, &becomes);
        }
        wire.pass(&frame);
    })
}

#[cfg(test)]
mod tests {
    use common::crypto::Decryptor;
    use common::crypto::Encryptor;
    use common::crypto::Secret;
    use common::crypto::suite::Cipher;
    use common::frame::Frame;
    use common::frame::HEADER;
    use common::frame::MESSAGE;
    use common::frame::Writer;
    use common::message;
    use common::message::Request;

    use super::*;

    const KEY: [u8; 32] = [7; 32];

    /// The body of a record in which this is said.
    fn record(text: &str) -> Vec<u8> {
        let rng = rand::SeedableRng::seed_from_u64(1);
        let mut records = Encryptor::new(Cipher::Cfb, &Secret::from(KEY), rng);
        let mut frames = Writer::new(Vec::new(), "server");
        let said = message::encode(&Request::Say { text: text.to_owned() });
        records.push(&mut frames, said.payload()).unwrap();
        frames.write_all().unwrap();
        frames.stream()[HEADER + 1..].to_vec()
    }

    /// What is said in it.
    fn said(body: &[u8]) -> Option<String> {
        let mut records = Decryptor::new(Cipher::Cfb, &Secret::from(KEY));
        let within = records.open(Frame { kind: RECORD, body }).unwrap().unwrap();
        assert!(within.kind == MESSAGE || body.len() < BLOCK * 2 + 16);
        match message::decode(within) {
            Ok(Request::Say { text }) => Some(text),
            _ => None,
        }
    }

    #[test]
    fn all_that_is_in_reach_is_changed_and_nothing_else() {
        for length in 0..50 {
            let text = "0123456789".repeat(5)[..length].to_owned();
            // kind, {"type":"say","text":" in front of it and "} behind.
            let last_block = (1 + 22 + length + 2 - 1) % 16 + 1;
            for count in 0..=length {
                let (kept, was) = text.split_at(length - count);
                let becomes = "x".repeat(count);
                let mut body = record(&text);
                match rewrite_end(&mut body, was, &becomes) {
                    Ok(()) => {
                        assert!(count + 2 <= last_block || count == 0, "{length} {count}");
                        assert_eq!(said(&body), Some(format!("{kept}{becomes}")));
                    }
                    Err(why) => {
                        assert!(count + 2 > last_block, "{length} {count}");
                        assert_eq!(why, OutOfReach::Block(last_block.saturating_sub(2)));
                        assert_eq!(body, record(&text), "it is as it was");
                    }
                }
            }
        }
    }

    #[test]
    fn one_character_before_the_last_block_garbles_what_is_behind_it() {
        // 1 + 22 + 17 + 2 = 42 bytes: the last block has 10, of which 8 are text.
        let text = "the price is 1000";
        let mut body = record(text);
        assert_eq!(rewrite_end(&mut body, " is 1000", " is 9999"), Ok(()));
        assert_eq!(said(&body).as_deref(), Some("the price is 9999"));
        let out_of_reach = Err(OutOfReach::Block(8));
        assert_eq!(rewrite_end(&mut body, "e is 1000", "x is 1000"), out_of_reach);
        let before_last = body.len() - 11;
        body[before_last] ^= 1;
        assert_ne!(said(&body).as_deref(), Some("the pricd is 9999"));
    }

    #[test]
    fn other_lengths_and_records_without_text_are_left_alone() {
        let mut body = record("hi");
        assert_eq!(rewrite_end(&mut body, "hi", "him"), Err(OutOfReach::Length));
        assert_eq!(body, record("hi"));
        for length in 0..20 {
            let mut short = vec![0; length];
            assert!(rewrite_end(&mut short, "hi", "ho").is_err());
            assert_eq!(short, vec![0; length]);
        }
    }
}
