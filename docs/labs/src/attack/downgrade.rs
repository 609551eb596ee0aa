//! Attacks on the choice of a suite.
//!
//! What a client allows and what a server chooses cross the wire in plaintext, so they can be
//! changed. But both sides hash what they sent and what they received, and take their keys from
//! that hash: who changes a byte of the handshake leaves them with different keys. Only where a
//! side accepts *any* suite does it get so far; a pinned one refuses.

use std::ops::Range;

use common::frame::HANDSHAKE;

use super::relay::Attack;
use super::relay::Crossing;
use super::relay::Direction;
use super::relay::Wire;

/// Where the codes of key exchange and cipher are in both hellos: behind the magic, the version
/// and 32 random bytes.
const CODES: Range<usize> = 37..39;

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
