//! The outbound queue under every schedule of a few threads.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p common --release --test outbox_loom
//! ```
//!
//! Loom's clock stands still: nothing times out here. So a wake-up that got lost leaves a thread
//! asleep, and loom reports that as a deadlock.

#![cfg(loom)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use std::sync::Arc;
use std::time::Duration;

use common::frame::Frame;
use common::frame::Lane;
use common::frame::Outgoing;
use common::limits::Limits;
use common::message;
use common::message::Bye;
use common::message::Event;
use common::message::Reason;
use common::outbox::Outbox;
use common::outbox::Refused;
use loom::thread;

/// Long enough never to matter.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// What the last words are.
const LAST: u8 = 99;

/// Schedules with so many preemptions at most: more find nothing new and take for ever.
fn explore(body: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(body);
}

/// A queue with room for so many frames of [`frame`].
fn outbox(frames: usize) -> Arc<Outbox> {
    // Two bytes, the four of their length, and what keeping a frame costs.
    let (queue, goodbye_within) = (frames * 38, DAY);
    Arc::new(Outbox::new(&Limits { queue, goodbye_within, ..Limits::for_client() }))
}

/// The frame of this number.
fn frame(number: u8) -> Outgoing {
    Outgoing::from(vec![0x10, number])
}

/// Last words of this number.
fn bye(number: u8) -> Bye {
    Bye::new(Reason::Stopping, number)
}

/// The number of a frame or of last words.
fn number(frame: &Outgoing) -> u8 {
    let (kind, body) = frame.payload().split_first().unwrap();
    match message::decode(Frame { kind: *kind, body }) {
        Ok(Event::Bye(bye)) => bye.text.parse().unwrap(),
        _ => body[0],
    }
}

fn push(outbox: &Outbox, numbers: &[u8]) {
    push_to(outbox, Lane::Message, numbers);
}

fn push_to(outbox: &Outbox, lane: Lane, numbers: &[u8]) {
    let frames = numbers.iter().map(|number| frame(*number).in_lane(lane)).collect();
    outbox.push(frames);
}

/// What a writing thread does, and the numbers of what it wrote.
fn write_all(outbox: &Outbox) -> Vec<u8> {
    let mut written = Vec::new();
    let mut batch = Vec::new();
    while outbox.next(&mut batch) {
        assert!(!batch.is_empty());
        for frame in &batch {
            written.push(number(frame));
        }
        outbox.took(2).unwrap();
    }
    written
}

fn written_of(written: &[u8], numbers: &[u8]) -> Vec<u8> {
    written.iter().copied().filter(|number| numbers.contains(number)).collect()
}

#[test]
fn nothing_is_lost_and_each_sender_keeps_its_order() {
    for (room, lane) in [(1, Lane::Message), (2, Lane::Message), (1, Lane::File(1))] {
        explore(move || {
            let outbox = outbox(room);
            let writer = thread::spawn({
                let outbox = Arc::clone(&outbox);
                move || write_all(&outbox)
            });
            let other = thread::spawn({
                let outbox = Arc::clone(&outbox);
                move || push_to(&outbox, lane, &[11, 12])
            });
            push(&outbox, &[1, 2]);
            other.join().unwrap();
            outbox.finish();
            let written = writer.join().unwrap();
            assert_eq!(written_of(&written, &[1, 2]), [1, 2]);
            assert_eq!(written_of(&written, &[11, 12]), [11, 12]);
            assert_eq!(written.len(), 4);
        });
    }
}

#[test]
fn a_writer_that_is_about_to_sleep_hears_of_every_frame() {
    explore(|| {
        let outbox = outbox(2);
        let writer = thread::spawn({
            let outbox = Arc::clone(&outbox);
            move || {
                let (mut batch, mut written) = (Vec::new(), 0);
                // Nobody ends this: without the wake-up it sleeps for ever.
                while written < 2 {
                    assert!(outbox.next(&mut batch));
                    written += batch.len();
                }
            }
        });
        let other = thread::spawn({
            let outbox = Arc::clone(&outbox);
            move || outbox.try_push(&mut frame(1).in_lane(Lane::File(1)).into()).unwrap()
        });
        outbox.try_push(&mut [frame(2)].into()).unwrap();
        other.join().unwrap();
        writer.join().unwrap();
    });
}

#[test]
fn who_waits_for_room_is_let_go_when_the_peer_closes() {
    let ways: [fn(&Outbox); 3] = [
        Outbox::finish,
        |outbox| outbox.finish_with(&bye(LAST)),
        |outbox| outbox.abandon(&bye(LAST)),
    ];
    for close in ways {
        explore(move || {
            let outbox = outbox(1);
            push(&outbox, &[1]);
            let senders = [2, 3].map(|number| {
                let outbox = Arc::clone(&outbox);
                thread::spawn(move || push(&outbox, &[number]))
            });
            close(&outbox);
            for sender in senders {
                sender.join().unwrap();
            }
            // Nobody took anything, so there was never room for them.
            let written = write_all(&outbox);
            assert!(written_of(&written, &[2, 3]).is_empty(), "{written:?}");
        });
    }
}

#[test]
fn last_words_are_the_last_and_are_always_written() {
    explore(|| {
        let outbox = outbox(1);
        let writer = thread::spawn({
            let outbox = Arc::clone(&outbox);
            move || write_all(&outbox)
        });
        let sender = thread::spawn({
            let outbox = Arc::clone(&outbox);
            move || push(&outbox, &[1, 2])
        });
        outbox.finish_with(&bye(LAST));
        sender.join().unwrap();
        let written = writer.join().unwrap();
        // What was queued before them, in its order, and nothing after.
        let queued = written.strip_suffix(&[LAST]).unwrap();
        assert!([1, 2].starts_with(queued), "{written:?}");
    });
}

#[test]
fn abandoned_means_the_last_words_follow_what_is_being_written() {
    explore(|| {
        let outbox = outbox(2);
        let writer = thread::spawn({
            let outbox = Arc::clone(&outbox);
            move || write_all(&outbox)
        });
        let sender = thread::spawn({
            let outbox = Arc::clone(&outbox);
            move || push(&outbox, &[1, 2, 3])
        });
        outbox.abandon(&bye(LAST));
        sender.join().unwrap();
        let written = writer.join().unwrap();
        let queued = written.strip_suffix(&[LAST]).unwrap();
        assert!([1, 2, 3].starts_with(queued), "{written:?}");
    });
}

#[test]
fn of_two_who_close_one_has_the_last_word() {
    explore(|| {
        let outbox = outbox(1);
        let writer = thread::spawn({
            let outbox = Arc::clone(&outbox);
            move || write_all(&outbox)
        });
        let other = thread::spawn({
            let outbox = Arc::clone(&outbox);
            move || outbox.finish_with(&bye(98))
        });
        outbox.finish_with(&bye(LAST));
        other.join().unwrap();
        let written = writer.join().unwrap();
        assert!(written == [98] || written == [LAST], "{written:?}");
    });
}

#[test]
fn of_an_aborted_transfer_what_is_written_is_in_order_and_nothing_follows_the_abort() {
    explore(|| {
        let outbox = outbox(1);
        let writer = thread::spawn({
            let outbox = Arc::clone(&outbox);
            move || write_all(&outbox)
        });
        // What the abort drops, the writer may have been woken for.
        let sender = thread::spawn({
            let outbox = Arc::clone(&outbox);
            move || {
                push_to(&outbox, Lane::File(1), &[1, 2]);
                push_to(&outbox, Lane::Abort(1), &[3]);
            }
        });
        push_to(&outbox, Lane::File(2), &[11]);
        sender.join().unwrap();
        outbox.finish();
        let written = writer.join().unwrap();
        assert_eq!(written_of(&written, &[11]), [11], "another transfer keeps its bytes");
        let aborted = written_of(&written, &[1, 2, 3]);
        let before = aborted.strip_suffix(&[3]).unwrap();
        assert!([1, 2].starts_with(before), "{written:?}");
    });
}

#[test]
fn a_frame_that_is_refused_is_left_with_its_sender() {
    explore(|| {
        let outbox = outbox(1);
        let sender = thread::spawn({
            let outbox = Arc::clone(&outbox);
            move || {
                let mut frames = [frame(1), frame(2)].into();
                let result = outbox.try_push(&mut frames);
                (result, frames.len())
            }
        });
        outbox.finish();
        let written = write_all(&outbox);
        let (result, left) = sender.join().unwrap();
        match result {
            Err(Refused::Full) => assert_eq!((written.len(), left), (1, 1)),
            Err(Refused::Closed) => assert_eq!((written.len(), left), (0, 2)),
            Ok(()) => panic!("there was room for one"),
        }
    });
}
