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
