//! Attacks that need no key: they move, repeat and change frames without knowing what is in them.
//!
//! Each is for the exercise of its name, once without encryption, once under CFB, which notices
//! none of them, and once under GCM, which ends the connection at each.

use std::ops::Range;

use common::frame::HANDSHAKE;
use common::frame::MESSAGE;

use super::relay::Attack;
use super::relay::Crossing;
use super::relay::Direction;
use super::relay::Wire;
use super::relay::on;

/// Exercise *eavesdropping*: does nothing; what there was to see is in the relay's transcript.
pub fn eavesdrop() -> impl Attack {
    |frame: Crossing, wire: &mut Wire| wire.pass(&frame)
}

/// Exercise *rewriting*: says `becomes` wherever a message in plaintext has `was`. Between two
/// handshakes of its own, [`super::impostor`], it is what an active attacker does to every suite.
pub fn rewrite(was: &str, becomes: &str) -> impl Attack {
    let (was, becomes) = (was.to_owned(), becomes.to_owned());
    move |mut frame: Crossing, wire: &mut Wire| {
        if frame.kind == MESSAGE
            && let Ok(text) = str::from_utf8(&frame.body)
        {
            frame.body = text.replace(&was, &becomes).into_bytes();
        }
        wire.pass(&frame);
    }
}

/// Exercise *malleability*: turns one bit of a frame's body: bit 0 is the lowest of its first byte.
/// A bit that is not there is not turned.
pub fn flip(direction: Direction, number: usize, bit: usize) -> impl Attack {
    on(direction, number, move |mut frame: Crossing, wire: &mut Wire| {
        turn(&mut frame.body, bit);
        wire.pass(&frame);
    })
}

/// Exercise *patience*: turns one bit of each of several frames of a direction.
pub fn flip_all(direction: Direction, numbers: Range<usize>, bit: usize) -> impl Attack {
    move |mut frame: Crossing, wire: &mut Wire| {
        let is_it = frame.direction == direction && numbers.contains(&frame.number);
        if is_it && frame.is_behind_handshake() {
            turn(&mut frame.body, bit);
        }
        wire.pass(&frame);
    }
}

/// Exercise *the transcript*: turns one bit of the body of a direction's first handshake message.
pub fn flip_hello(direction: Direction, bit: usize) -> impl Attack {
    move |mut frame: Crossing, wire: &mut Wire| {
        if (frame.direction, frame.number, frame.kind) == (direction, 0, HANDSHAKE) {
            turn(&mut frame.body, bit);
        }
        wire.pass(&frame);
    }
}

fn turn(body: &mut [u8], bit: usize) {
    if let Some(byte) = body.get_mut(bit / 8) {
        *byte ^= 1 << (bit % 8);
    }
}

/// Exercise *freshness*: sends a frame twice.
pub fn replay(direction: Direction, number: usize) -> impl Attack {
    on(direction, number, |frame: Crossing, wire: &mut Wire| {
        wire.pass(&frame);
        wire.pass(&frame);
    })
}

/// Exercise *order*: holds a frame back until the one behind it in its direction has passed. At
/// the end of the direction it is lost.
pub fn swap(direction: Direction, number: usize) -> impl Attack {
    let mut held = None;
    move |frame: Crossing, wire: &mut Wire| {
        let is_behind = frame.direction == direction && frame.is_behind_handshake();
        if is_behind && frame.number == number {
            held = Some(frame);
            return;
        }
        wire.pass(&frame);
        if is_behind && let Some(held) = held.take() {
            wire.pass(&held);
        }
    }
}

/// Exercise *completeness*: leaves a frame out.
pub fn drop_one(direction: Direction, number: usize) -> impl Attack {
    on(direction, number, |_: Crossing, _: &mut Wire| {})
}

/// Exercise *the end*: ends a direction after a frame, as if its sender had left.
pub fn truncate(direction: Direction, number: usize) -> impl Attack {
    on(direction, number, |frame: Crossing, wire: &mut Wire| {
        wire.pass(&frame);
        wire.end(frame.direction);
    })
}

/// Exercise *reflection*: sends a frame on, and back to its sender too.
pub fn reflect(direction: Direction, number: usize) -> impl Attack {
    on(direction, number, |frame: Crossing, wire: &mut Wire| {
        wire.pass(&frame);
        wire.send(frame.direction.back(), frame.kind, &frame.body);
    })
}
