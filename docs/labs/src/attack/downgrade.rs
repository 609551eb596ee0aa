//! Attacks on the choice of a suite.
//!
//! What a client allows and what a server chooses cross the wire in plaintext, so they can be
//! changed. But both sides hash what they sent and what they received, and take their keys from
//! that hash: who changes a byte of the handshake leaves them with different keys. Only where a
//! side accepts *any* suite does it get so far; a pinned one refuses.
//!
//! Stage 5's own handshake hashes its list of suites too, and its server seals the hash: there the
//! change is noticed by the client, and before it has said who it is.

use std::ops::Range;

use common::frame::HANDSHAKE;

use super::relay::Attack;
use super::relay::Crossing;
use super::relay::Direction;
use super::relay::Wire;

/// Where the codes of key exchange and cipher are in both hellos: behind the magic, the version
/// and 32 random bytes.
const CODES: Range<usize> = 37..39;
/// What the hellos of stage 5's own handshake begin with, before the number of suites or the choice.
const NOISE: &[u8] = b"CHT5\x01";
/// Bytes of the public key at the end of its client's message.
const KEY: usize = 32;
/// A client's hello in the handshake that proves nothing, before its 32 random bytes and its wish.
const WEAK: &[u8] = b"CHT2\x01";

/// Exercise *downgrade*: the first hello of a direction has these codes for key exchange and
/// cipher, 0 being any: the client's wish [`Direction::ToServer`], the server's choice
/// [`Direction::ToClient`].
pub fn codes(direction: Direction, codes: [u8; 2]) -> impl Attack {
    move |mut frame: Crossing, wire: &mut Wire| {
        let is_hello = frame.kind == HANDSHAKE && frame.number == 0;
        if is_hello
            && frame.direction == direction
            && let Some(place) = frame.body.get_mut(CODES)
        {
            place.copy_from_slice(&codes);
        }
        wire.pass(&frame);
    }
}

/// Exercise *downgrade*: a client of stage 5's own handshake offers these suites.
pub fn suites(suites: impl Into<Vec<u8>>) -> impl Attack {
    let suites = suites.into();
    move |mut frame: Crossing, wire: &mut Wire| {
        let is_hello = frame.direction == Direction::ToServer && frame.body.starts_with(NOISE);
        if frame.kind == HANDSHAKE
            && is_hello
            && let Some((_, key)) = frame.body.split_last_chunk::<KEY>()
        {
            // More than a byte can count are not to be told from none at all.
            let number = u8::try_from(suites.len()).unwrap_or_default();
            frame.body = [NOISE, &[number], &suites, key].concat();
        }
        wire.pass(&frame);
    }
}

/// Exercise *downgrade*: makes of a client's hello in stage 5's own handshake one in that of stage 3,
/// for a server that takes that, with any suite. What the server answers reaches the client.
pub fn unauthenticated() -> impl Attack {
    |mut frame: Crossing, wire: &mut Wire| {
        if frame.kind == HANDSHAKE
            && frame.direction == Direction::ToServer
            && let Some((_, key)) = frame.body.split_last_chunk::<KEY>()
        {
            // The public key does for random bytes.
            frame.body = [WEAK, key, &[0, 0]].concat();
        }
        wire.pass(&frame);
    }
}
