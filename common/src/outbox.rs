//! A peer's outbound queue.
//!
//! Whoever has something for a peer puts it here; the peer's writing thread takes it out and is
//! the only one that waits for the peer's socket. It has two lanes, and every frame knows its own
//! ([`Lane`]): messages overtake the bytes of files. That of the messages is bounded in bytes.
//! Whoever finds it full waits, so that a sender faster than its recipients is slowed down, but
//! not for ever: a peer that takes nothing, or next to nothing, is *stalled*, and a full queue of
//! a stalled peer is closed. For the bytes of files nobody waits here: no more of them are on
//! their way than the window of their transfer allows. Where more of one transfer are queued its
//! peer has acknowledged what it was not sent, and is closed.
//!
//! ```text
//! reading threads ── push ──► message lane ─┐
//!                             file lane ────┴─ next ──► the writing thread ──► socket
//!                                                took ◄──┘
//! ```
//!
//! Each lane keeps the order of what is pushed. What has to wait for room makes all that its
//! sender has behind it wait too, in whichever lane: the end of a file stays behind its bytes,
//! and the bytes behind the offer.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

use thiserror::Error;

use crate::files;
use crate::frame::HEADER;
use crate::frame::Lane;
use crate::frame::Outgoing;
use crate::limits::Limits;
use crate::message;
use crate::message::Bye;
use crate::message::Event;
use crate::sync::Arc;
use crate::sync::Condvar;
use crate::sync::Mutex;
use crate::sync::MutexGuard;
use crate::sync::lock;

/// Most bytes in one batch, so that a batch is about one system call and what overtakes it does
/// not wait long.
const BATCH: usize = 64 * 1024;
/// How long a sender that waits for one peer does not look after the others.
const TICK: Duration = Duration::from_millis(20);
/// What a frame costs beyond its own bytes, so that a queue of tiny ones is bounded too.
const OVERHEAD: usize = HEADER + 32;
/// Most bytes of one transfer that are queued: twice its window, because each frame costs more than
/// it holds.
const TRANSFER: usize = 32 * files::CHUNK;
/// Most time for the last words to a peer that has lied, where others have longer.
const LIAR_WITHIN: Duration = Duration::from_secs(5);

/// Why a frame was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// There is no room for more messages: wait with [`Outbox::push`].
    #[error("the queue is full")]
    Full,
    /// The peer is leaving; nothing more will reach it.
    #[error("the connection is closing")]
    Closed,
}

/// The peer takes too little; its connection is to be given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("it did not take what was sent to it")]
pub struct Stalled;

/// The peer acknowledged bytes of a file that still waited for it; it would have them wait without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("it acknowledged bytes of a file that it had not been sent")]
pub struct Ahead;

/// A queue between many threads that push and one that writes.
#[derive(Debug)]
pub struct Outbox {
    state: Mutex<State>,
    /// The writing thread waits here for something to write.
    queued: Condvar,
    /// Senders wait here for room.
    room: Condvar,
    capacity: usize,
    stalled_after: Duration,
    portion: usize,
    portion_within: Duration,
    goodbye_within: Duration,
}

#[derive(Debug)]
struct State {
    messages: LaneState,
    files: LaneState,
    /// Set while anything is queued or being written.
    progress: Option<Progress>,
    writer_waits: bool,
    senders_wait: usize,
    ending: Ending,
    /// It has been found to lie; see [`Ahead`].
    lied: bool,
    /// The writing thread has taken everything to the end, and failed nowhere.
    done: bool,
}

#[derive(Debug, Default)]
struct LaneState {
    frames: VecDeque<Outgoing>,
    /// Of the queued frames, by transfer.
    of_transfers: BTreeMap<u32, usize>,
    /// Of the queued frames and of those in the batch being written.
    bytes: usize,
    in_batch: usize,
}

/// How a socket takes what waits for it.
#[derive(Debug)]
struct Progress {
    /// When it last took anything.
    took: Instant,
    /// Since when the present portion is being taken…
    portion_since: Instant,
    /// …and how many of its bytes were.
    portion: usize,
}

#[derive(Debug)]
enum Ending {
    /// Frames are welcome.
    Open,
    /// No more frames; what is queued goes out, until the deadline if there is one.
    Closing { deadline: Option<Instant> },
}

impl Outbox {
    /// An empty queue.
    pub fn new(limits: &Limits) -> Outbox {
        Outbox {
            state: Mutex::new(State {
                messages: LaneState::default(),
                files: LaneState::default(),
                progress: None,
                writer_waits: false,
                senders_wait: 0,
                ending: Ending::Open,
                lied: false,
                done: false,
            }),
            queued: Condvar::new(),
            room: Condvar::new(),
            capacity: limits.queue,
            stalled_after: limits.stalled_after,
            portion: limits.portion,
            portion_within: limits.portion_within,
            goodbye_within: limits.goodbye_within,
        }
    }

    /// Queues frames, each in its lane, up to the first for which there is no room, taking them out
    /// of the front of `frames`.
    ///
    /// # Errors
    /// See [`Refused`]; what is left in `frames` was not queued.
    pub fn try_push(&self, frames: &mut VecDeque<Outgoing>) -> Result<(), Refused> {
        self.queue(&mut lock(&self.state), frames)
    }

    /// Queues frames, waiting for room. If the peer is stalled there will be none: then it is
    /// abandoned. For a peer that is leaving the frames are dropped.
    pub fn push(&self, mut frames: VecDeque<Outgoing>) {
        while self.push_some(&mut frames) {}
    }

    /// Queues what there is room for and waits a little if that was not all; whether to go on.
    fn push_some(&self, frames: &mut VecDeque<Outgoing>) -> bool {
        let mut state = lock(&self.state);
        if self.queue(&mut state, frames) != Err(Refused::Full) {
            return false;
        }
        let Some(patience) = self.patience(&state) else {
            self.close(&mut state, Some(&Bye::from(Stalled)), true);
            return false;
        };
        state.senders_wait += 1;
        state = wait_timeout(&self.room, state, patience.min(TICK));
        state.senders_wait -= 1;
        true
    }

    /// Queues the answer to a ping. Where there is no room for it, what fills the queue is as
    /// good a sign of life, once it is sent.
    pub fn answer(&self, pong: Outgoing) {
        let _ = self.try_push(&mut pong.into());
    }

    /// Whether the peer takes what is queued.
    ///
    /// # Errors
    /// [`Stalled`] if it does not.
    pub fn check(&self) -> Result<(), Stalled> {
        self.patience(&lock(&self.state)).map(drop).ok_or(Stalled)
    }

    /// For the writing thread: waits for frames and moves up to a batch of them into `batch`,
    /// which has been written. False at the end.
    pub fn next(&self, batch: &mut Vec<Outgoing>) -> bool {
        batch.clear();
        let mut state = lock(&self.state);
        state.messages.written();
        state.files.written();
        self.wake_senders(&state);
        loop {
            let mut bytes = state.messages.take(batch, 0);
            bytes = state.files.take(batch, bytes);
            if bytes > 0 {
                return true;
            }
            state.progress = None;
            if !matches!(state.ending, Ending::Open) {
                state.done = !state.lied;
                return false;
            }
            state.writer_waits = true;
            state = wait(&self.queued, state);
            state.writer_waits = false;
        }
    }

    /// For the writing thread: the socket took `bytes` of what it was given, perhaps none.
    ///
    /// # Errors
    /// [`Stalled`] if the connection is closing and it is no use to try longer.
    pub fn took(&self, bytes: usize) -> Result<(), Stalled> {
        let mut state = lock(&self.state);
        let now = Instant::now();
        if let Some(progress) = &mut state.progress
            && bytes > 0
        {
            progress.took = now;
            progress.portion += bytes;
            if progress.portion >= self.portion {
                progress.portion = 0;
                progress.portion_since = now;
            }
        }
        let useful = match state.ending {
            Ending::Open => true,
            // Stalled or not, it may still take the last words.
            Ending::Closing { deadline: Some(deadline) } => now < deadline,
            Ending::Closing { deadline: None } => self.patience(&state).is_some(),
        };
        if useful { Ok(()) } else { Err(Stalled) }
    }

    /// No more frames; what is queued still goes out, for as long as the peer takes it.
    pub fn finish(&self) {
        self.close(&mut lock(&self.state), None, false);
    }

    /// No more frames; what is queued, and `bye`, goes out within [`Limits::goodbye_within`].
    ///
    /// `bye` follows the messages but overtakes file chunks: a peer that takes its bytes slowly
    /// might not get it in time behind a full file lane, and being told why matters more than the
    /// rest of a file, which is lost with the connection anyway.
    pub fn finish_with(&self, bye: &Bye) {
        self.close(&mut lock(&self.state), Some(bye), false);
    }

    /// As [`Outbox::finish_with`], but what is queued is dropped; what is being written is not.
    pub fn abandon(&self, bye: &Bye) {
        self.close(&mut lock(&self.state), Some(bye), true);
    }

    /// Whether it was finished and everything in it has been sent: not after a failure.
    pub fn is_done(&self) -> bool {
        lock(&self.state).done
    }

    /// For how long there is any use in waiting for the peer once nothing more is sent.
    pub fn goodbye_within(&self) -> Duration {
        match lock(&self.state) {
            state if !state.lied => self.goodbye_within,
            state => match state.ending {
                Ending::Closing { deadline: Some(deadline) } => {
                    deadline.saturating_duration_since(Instant::now())
                }
                _ => LIAR_WITHIN,
            },
        }
    }

    fn close(&self, state: &mut State, bye: Option<&Bye>, drop_queued: bool) {
        if drop_queued {
            state.messages.clear();
            state.files.clear();
        }
        if let (Some(bye), Ending::Open) = (bye, &state.ending) {
            state.messages.push(message::encode(&Event::Bye(bye.clone())));
            state.progress.get_or_insert_with(Progress::new);
        }
        let within = match state.lied {
            true => self.goodbye_within.min(LIAR_WITHIN),
            false => self.goodbye_within,
        };
        let deadline = bye.and_then(|_| Instant::now().checked_add(within));
        let earlier = match state.ending {
            Ending::Closing { deadline: Some(set) } => {
                Some(deadline.map_or(set, |new| new.min(set)))
            }
            _ => deadline,
        };
        state.ending = Ending::Closing { deadline: earlier };
        self.queued.notify_one();
        self.room.notify_all();
    }

    fn queue(&self, state: &mut State, frames: &mut VecDeque<Outgoing>) -> Result<(), Refused> {
        let result = state.push(frames, self.capacity);
        // Bytes of an aborted transfer are not kept until there is room to say so.
        for frame in frames.iter() {
            if let Lane::Abort(transfer) = frame.lane() {
                state.files.drop_transfer(transfer);
            }
        }
        if state.lied && matches!(state.ending, Ending::Open) {
            self.close(state, Some(&Bye::from(Ahead)), true);
            return Err(Refused::Closed);
        }
        if state.messages.bytes + state.files.bytes > 0 {
            state.progress.get_or_insert_with(Progress::new);
            if state.writer_waits {
                state.writer_waits = false;
                self.queued.notify_one();
            }
        }
        result
    }

    /// How long the peer may take nothing more before it is stalled; `None` if it is.
    fn patience(&self, state: &State) -> Option<Duration> {
        let Some(progress) = &state.progress else {
            return Some(self.stalled_after);
        };
        let by_silence = self.stalled_after.checked_sub(progress.took.elapsed())?;
        let by_portion = self.portion_within.checked_sub(progress.portion_since.elapsed())?;
        Some(by_silence.min(by_portion)).filter(|patience| !patience.is_zero())
    }

    fn wake_senders(&self, state: &State) {
        if state.senders_wait > 0 {
            self.room.notify_all();
        }
    }
}

/// As [`Outbox::push`] for several peers in one common wait: who has room first is served first,
/// and what one of them takes its time for does not keep the others waiting.
pub fn push_all(mut full: Vec<(Arc<Outbox>, VecDeque<Outgoing>)>) {
    while let Some((first, frames)) = full.first_mut() {
        first.push_some(frames);
        full.retain_mut(|(outbox, frames)| outbox.try_push(frames) == Err(Refused::Full));
    }
}

impl State {
    /// Moves frames into their lanes, up to the first that its lane of `capacity` bytes cannot hold.
    fn push(&mut self, frames: &mut VecDeque<Outgoing>, capacity: usize) -> Result<(), Refused> {
        if !matches!(self.ending, Ending::Open) {
            return Err(Refused::Closed);
        }
        while let Some(frame) = frames.pop_front() {
            let bytes = self.messages.bytes;
            match frame.lane() {
                Lane::File(transfer) => {
                    self.files.push(frame);
                    self.lied |= self.files.of_transfer(transfer) > TRANSFER;
                }
                // A frame larger than the whole lane has to fit an empty one.
                _ if bytes > 0 && bytes + cost(&frame) > capacity => {
                    frames.push_front(frame);
                    return Err(Refused::Full);
                }
                Lane::Message => self.messages.push(frame),
                Lane::Abort(transfer) => {
                    self.files.drop_transfer(transfer);
                    self.messages.push(frame);
                }
            }
        }
        Ok(())
    }
}

impl LaneState {
    fn push(&mut self, frame: Outgoing) {
        self.bytes += cost(&frame);
        if let Lane::File(transfer) = frame.lane() {
            *self.of_transfers.entry(transfer).or_default() += cost(&frame);
        }
        self.frames.push_back(frame);
    }

    /// Moves frames to `batch`, which has `bytes` already, until it is full.
    fn take(&mut self, batch: &mut Vec<Outgoing>, mut bytes: usize) -> usize {
        while let Some(frame) = self.frames.front() {
            let cost = cost(frame);
            if bytes > 0 && bytes + cost > BATCH {
                break;
            }
            bytes += cost;
            self.in_batch += cost;
            if let Lane::File(transfer) = frame.lane()
                && let Some(bytes) = self.of_transfers.get_mut(&transfer)
            {
                *bytes -= cost;
                if *bytes == 0 {
                    self.of_transfers.remove(&transfer);
                }
            }
            batch.extend(self.frames.pop_front());
        }
        bytes
    }

    fn written(&mut self) {
        self.bytes -= self.in_batch;
        self.in_batch = 0;
        if self.frames.is_empty() {
            // An idle peer keeps no memory of a busy minute.
            self.frames.shrink_to(64);
        }
    }

    /// Bytes of a transfer that are queued.
    fn of_transfer(&self, transfer: u32) -> usize {
        self.of_transfers.get(&transfer).copied().unwrap_or_default()
    }

    /// Drops what is queued of a transfer's bytes; what is being written is not.
    fn drop_transfer(&mut self, transfer: u32) {
        self.frames.retain(|frame| {
            let dropped = frame.lane() == Lane::File(transfer);
            self.bytes -= if dropped { cost(frame) } else { 0 };
            !dropped
        });
        self.of_transfers.remove(&transfer);
    }

    fn clear(&mut self) {
        self.frames.clear();
        self.of_transfers.clear();
        self.bytes = self.in_batch;
    }
}

impl Progress {
    fn new() -> Progress {
        let now = Instant::now();
        Progress { took: now, portion_since: now, portion: 0 }
    }
}

fn cost(frame: &Outgoing) -> usize {
    frame.payload().len() + OVERHEAD
}

fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn wait_timeout<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    timeout: Duration,
) -> MutexGuard<'a, T> {
    let woken = condvar.wait_timeout(guard, timeout);
    woken.unwrap_or_else(std::sync::PoisonError::into_inner).0
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::frame::Frame;
    use crate::message::Reason;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    /// What a test waits for, yet longer than a busy machine lets a thread wait.
    const SOON: Duration = Duration::from_millis(250);
    const LAST: u8 = 99;
    /// A transfer.
    const SOME: u32 = 7;

    /// For a queue of so many bytes whose peer is never stalled and has a day for the last words.
    fn limits(queue: usize) -> Limits {
        Limits { queue, goodbye_within: DAY, ..Limits::for_client() }
    }

    /// The frame of this number, which takes 100 bytes of a queue.
    fn frame(number: u8) -> Outgoing {
        Outgoing::from(vec![number; 100 - OVERHEAD])
    }

    fn frames(lane: Lane, numbers: impl IntoIterator<Item = u8>) -> VecDeque<Outgoing> {
        numbers.into_iter().map(|number| frame(number).in_lane(lane)).collect()
    }

    fn messages(numbers: impl IntoIterator<Item = u8>) -> VecDeque<Outgoing> {
        frames(Lane::Message, numbers)
    }

    /// Bytes of some transfer.
    fn chunks(numbers: impl IntoIterator<Item = u8>) -> VecDeque<Outgoing> {
        frames(Lane::File(SOME), numbers)
    }

    /// The end of that transfer.
    fn abort(number: u8) -> VecDeque<Outgoing> {
        frames(Lane::Abort(SOME), [number])
    }

    /// What is queued or being written: of messages, and of files.
    fn bytes(outbox: &Outbox) -> [usize; 2] {
        let state = lock(&outbox.state);
        [state.messages.bytes, state.files.bytes]
    }

    /// Last words of this number.
    fn bye(number: u8) -> Bye {
        Bye::new(Reason::Stopping, number)
    }

    fn bye_in(frame: &Outgoing) -> Option<Bye> {
        let (kind, body) = frame.payload().split_first()?;
        match message::decode(Frame { kind: *kind, body }) {
            Ok(Event::Bye(bye)) => Some(bye),
            _ => None,
        }
    }

    fn numbers<'a>(frames: impl IntoIterator<Item = &'a Outgoing>) -> Vec<u8> {
        let number = |frame: &Outgoing| match bye_in(frame) {
            Some(bye) => bye.text.parse().unwrap(),
            None => frame.payload()[0],
        };
        frames.into_iter().map(number).collect()
    }

    fn next(outbox: &Outbox) -> Option<Vec<u8>> {
        let mut batch = Vec::new();
        outbox.next(&mut batch).then(|| numbers(&batch))
    }

    fn try_push(outbox: &Outbox, number: u8) -> Result<(), Refused> {
        outbox.try_push(&mut messages([number]))
    }

    /// A queue that is full, of a peer that took nothing for so long that it is stalled.
    fn stalled(limits: &Limits) -> Outbox {
        let outbox = Outbox::new(limits);
        assert_eq!(try_push(&outbox, 1), Ok(()));
        assert_eq!(outbox.check(), Ok(()));
        until_stalled(&outbox);
        outbox
    }

    fn until_stalled(outbox: &Outbox) {
        while outbox.check().is_ok() {
            thread::yield_now();
        }
    }

    #[test]
    fn one_full_queue_does_not_keep_another_waiting() {
        let limits = Limits { queue: 1, ..Limits::for_client() };
        let [alice, bob] = [(); 2].map(|()| Arc::new(Outbox::new(&limits)));
        let frame = |text: &[u8]| Outgoing::from(text.to_vec());
        for outbox in [&alice, &bob] {
            outbox.push(frame(b"first").into());
        }
        let full = vec![
            (Arc::clone(&alice), frame(b"second").into()),
            (Arc::clone(&bob), frame(b"second").into()),
        ];
        let sender = thread::spawn(move || push_all(full));
        // Bob's queue is emptied; alice's stays full, and is the one that is waited for.
        let mut batch = Vec::new();
        for expected in ["first", "second"] {
            assert!(bob.next(&mut batch));
            assert_eq!(batch, [frame(expected.as_bytes())]);
        }
        assert!(!sender.is_finished());
        alice.finish();
        sender.join().unwrap();
    }

    fn is_closing(outbox: &Outbox) -> bool {
        !matches!(lock(&outbox.state).ending, Ending::Open)
    }

    #[test]
    fn as_many_bytes_as_fit_and_no_more() {
        let outbox = Outbox::new(&limits(300));
        let mut waiting = messages(1..=5);
        assert_eq!(outbox.try_push(&mut waiting), Err(Refused::Full));
        assert_eq!(numbers(&waiting), [4, 5], "what is left is what was not queued");
        assert_eq!(outbox.try_push(&mut VecDeque::new()), Ok(()));

        // What is being written counts until it is written.
        assert_eq!(next(&outbox).unwrap(), [1, 2, 3]);
        assert_eq!(outbox.try_push(&mut waiting), Err(Refused::Full));
        assert_eq!(numbers(&waiting), [4, 5]);
        assert_eq!(outbox.try_push(&mut chunks([6])), Ok(()));
        assert_eq!(next(&outbox).unwrap(), [6]);
        assert_eq!(outbox.try_push(&mut waiting), Ok(()));
        assert!(waiting.is_empty());
        assert_eq!(next(&outbox).unwrap(), [4, 5]);
    }

    #[test]
    fn a_frame_larger_than_its_lane_fits_an_empty_one() {
        let outbox = Outbox::new(&limits(50));
        assert_eq!(try_push(&outbox, 1), Ok(()));
        assert_eq!(try_push(&outbox, 2), Err(Refused::Full));
    }

    #[test]
    fn messages_overtake_chunks_and_each_lane_keeps_its_order() {
        let outbox = Outbox::new(&limits(1000));
        outbox.push(chunks([11, 12]));
        outbox.push(messages([1, 2]));
        outbox.push(chunks([13]));
        outbox.push(messages([3]));
        assert_eq!(next(&outbox).unwrap(), [1, 2, 3, 11, 12, 13]);
    }

    #[test]
    fn the_bytes_of_a_file_never_wait_and_leave_messages_their_room() {
        let outbox = Outbox::new(&limits(100));
        assert_eq!(outbox.try_push(&mut chunks(11..=20)), Ok(()));
        assert_eq!(try_push(&outbox, 1), Ok(()));
        assert_eq!(try_push(&outbox, 2), Err(Refused::Full));
        assert_eq!(outbox.try_push(&mut chunks([21])), Ok(()));
        assert_eq!(bytes(&outbox), [100, 1100]);
        assert_eq!(next(&outbox).unwrap(), [1].into_iter().chain(11..=21).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_behind_a_message_that_waits_waits_too() {
        let outbox = Outbox::new(&limits(200));
        let parts =
            [messages([1]), chunks([11]), messages([2, 3]), chunks([12, 13]), messages([4])];
        let mut waiting = parts.into_iter().flatten().collect();
        for expected in [&[1, 2, 11][..], &[21]] {
            assert_eq!(outbox.try_push(&mut waiting), Err(Refused::Full));
            assert_eq!(numbers(&waiting), [3, 12, 13, 4]);
            assert_eq!(next(&outbox).unwrap(), expected);
            assert_eq!(outbox.try_push(&mut chunks([21])), Ok(()), "of another sender");
        }
        assert_eq!(outbox.try_push(&mut waiting), Ok(()));
        assert_eq!(next(&outbox).unwrap(), [3, 4, 21, 12, 13]);
    }

    #[test]
    fn an_abort_takes_the_queued_bytes_of_its_transfer_only() {
        let outbox = Outbox::new(&limits(1000));
        outbox.push(chunks([11]));
        assert_eq!(next(&outbox).unwrap(), [11]);
        for number in [12, 14] {
            outbox.push(chunks([number]));
            outbox.push(frames(Lane::File(SOME + 1), [number + 1]));
        }
        assert_eq!(bytes(&outbox), [0, 500]);
        outbox.push(messages([1]));
        outbox.push(abort(2));
        assert_eq!(bytes(&outbox), [200, 300], "what is being written stays");
        assert_eq!(next(&outbox).unwrap(), [1, 2, 13, 15]);
        outbox.finish();
        assert_eq!(next(&outbox), None);
        assert_eq!(bytes(&outbox), [0, 0]);
    }

    #[test]
    fn an_abort_that_waits_or_is_refused_takes_the_bytes_too() {
        let outbox = Outbox::new(&limits(100));
        outbox.push(messages([1]));
        outbox.push(chunks([11, 12]));
        let mut waiting = [messages([2]), chunks([13]), abort(3)].into_iter().flatten().collect();
        assert_eq!(outbox.try_push(&mut waiting), Err(Refused::Full));
        assert_eq!(numbers(&waiting), [2, 13, 3]);
        assert_eq!(bytes(&outbox), [100, 0]);

        // What its sender had in front of it is dropped when it is queued.
        for (written, left) in [(1, &[3][..]), (2, &[])] {
            assert_eq!(next(&outbox).unwrap(), [written]);
            outbox.push(frames(Lane::File(SOME + 1), [21]));
            assert_eq!(next(&outbox).unwrap(), [21]);
            let _ = outbox.try_push(&mut waiting);
            assert_eq!(numbers(&waiting), left);
        }
        outbox.push(chunks([14]));
        outbox.finish();
        assert_eq!(outbox.try_push(&mut abort(4)), Err(Refused::Closed));
        assert_eq!(next(&outbox).unwrap(), [3]);
        assert_eq!(next(&outbox), None);
    }

    #[test]
    fn a_batch_is_about_one_system_call() {
        let outbox = Outbox::new(&limits(1_000_000));
        let large = |number| Outgoing::from(vec![number; 30_000]);
        outbox.push((1..=3).map(large).collect());
        outbox.push(Outgoing::from(vec![11; 100_000]).in_lane(Lane::File(SOME)).into());
        outbox.push(chunks([12]));
        assert_eq!(next(&outbox).unwrap(), [1, 2]);
        // A chunk does not make a message wait, nor a message that comes now.
        assert_eq!(next(&outbox).unwrap(), [3]);
        outbox.push(messages([4]));
        assert_eq!(next(&outbox).unwrap(), [4]);
        assert_eq!(next(&outbox).unwrap(), [11]);
        assert_eq!(next(&outbox).unwrap(), [12]);
    }

    #[test]
    fn finish_lets_out_what_is_queued() {
        let outbox = Outbox::new(&limits(1000));
        outbox.push(messages([1]));
        outbox.push(chunks([11]));
        assert!(!is_closing(&outbox));
        outbox.finish();
        assert!(is_closing(&outbox));
        assert_eq!(try_push(&outbox, 2), Err(Refused::Closed));
        // To who leaves is no error, and no reason to wait.
        outbox.push(messages([2]));
        assert_eq!(next(&outbox).unwrap(), [1, 11]);
        assert_eq!(outbox.took(1), Ok(()), "there is no deadline");
        assert_eq!(next(&outbox), None);
        assert_eq!(next(&outbox), None);
    }

    #[test]
    fn last_words_follow_every_message_and_overtake_chunks() {
        // There is always room for them.
        let outbox = Outbox::new(&limits(100));
        outbox.push(chunks([11]));
        outbox.push(messages([1]));
        outbox.finish_with(&bye(LAST));
        assert_eq!(try_push(&outbox, 2), Err(Refused::Closed));
        assert_eq!(next(&outbox).unwrap(), [1, LAST, 11]);
        assert_eq!(next(&outbox), None);
    }

    #[test]
    fn there_are_no_words_after_the_last() {
        for finish in [Outbox::finish as fn(&Outbox), |outbox| outbox.finish_with(&bye(98))] {
            let outbox = Outbox::new(&limits(1000));
            outbox.push(messages([1]));
            finish(&outbox);
            outbox.finish_with(&bye(LAST));
            outbox.finish();
            let written = next(&outbox).unwrap();
            assert!(written == [1] || written == [1, 98], "{written:?}");
            outbox.abandon(&bye(LAST));
            assert_eq!(next(&outbox), None);
        }
    }

    #[test]
    fn abandoned_is_what_is_queued_but_not_what_is_being_written() {
        let outbox = Outbox::new(&limits(100));
        outbox.push(messages([1]));
        let mut batch = Vec::new();
        assert!(outbox.next(&mut batch));
        outbox.push(chunks([11]));
        outbox.abandon(&bye(LAST));
        assert_eq!(numbers(&batch), [1]);
        assert_eq!(next(&outbox).unwrap(), [LAST]);
        assert_eq!(next(&outbox), None);

        let outbox = Outbox::new(&limits(1000));
        outbox.push(messages([1, 2]));
        outbox.abandon(&bye(LAST));
        assert_eq!(next(&outbox).unwrap(), [LAST]);
    }

    #[test]
    fn the_earlier_deadline_counts() {
        let mut outbox = Outbox::new(&limits(1000));
        outbox.push(messages([1]));
        outbox.finish();
        outbox.finish_with(&bye(LAST));
        assert_eq!(outbox.took(1), Ok(()));
        outbox.goodbye_within = Duration::ZERO;
        outbox.finish_with(&bye(LAST));
        assert_eq!(outbox.took(1), Err(Stalled));
        outbox.goodbye_within = DAY;
        outbox.finish_with(&bye(LAST));
        outbox.finish();
        assert_eq!(outbox.took(1), Err(Stalled));
    }

    #[test]
    fn a_peer_whose_socket_takes_nothing_is_stalled() {
        let start = Instant::now();
        let outbox = stalled(&Limits { stalled_after: SOON, ..limits(100) });
        assert!(start.elapsed() >= SOON);
        assert_eq!(outbox.check(), Err(Stalled));
        assert_eq!(outbox.took(0), Ok(()), "it is for those who find it full to close it");
        assert_eq!(outbox.check(), Err(Stalled));
        outbox.took(1).unwrap();
        assert_eq!(outbox.check(), Ok(()));
    }

    #[test]
    fn a_peer_whose_socket_takes_next_to_nothing_is_stalled() {
        let start = Instant::now();
        let outbox = stalled(&Limits { portion_within: SOON, portion: 1000, ..limits(100) });
        assert!(start.elapsed() >= SOON);
        outbox.took(999).unwrap();
        assert_eq!(outbox.check(), Err(Stalled), "one byte is missing");
        outbox.took(1).unwrap();
        assert_eq!(outbox.check(), Ok(()));
        until_stalled(&outbox);
        outbox.took(999).unwrap();
        assert_eq!(outbox.check(), Err(Stalled), "which starts with nothing");
    }

    #[test]
    fn a_peer_that_takes_no_bytes_of_files_is_stalled_and_closed_for_a_message_only() {
        let outbox = Outbox::new(&Limits { stalled_after: SOON, ..limits(100) });
        outbox.push(chunks([11]));
        until_stalled(&outbox);
        outbox.push(chunks([12]));
        outbox.push(messages([1]));
        assert!(!is_closing(&outbox), "there was room");
        outbox.push(messages([2]));
        assert!(is_closing(&outbox));
    }

    #[test]
    fn who_finds_the_queue_of_a_stalled_peer_full_abandons_it() {
        for limits in [
            Limits { stalled_after: SOON, ..limits(100) },
            Limits { portion_within: SOON, ..limits(100) },
        ] {
            let start = Instant::now();
            let outbox = Outbox::new(&limits);
            outbox.push(messages([1]));
            let mut batch = Vec::new();
            assert!(outbox.next(&mut batch));
            outbox.push(chunks([11]));
            assert!(!is_closing(&outbox));
            outbox.push(messages([2]));
            assert!(start.elapsed() >= SOON, "its patience was not waited for");
            assert!(is_closing(&outbox));
            assert_eq!(numbers(&batch), [1]);
            assert!(outbox.next(&mut batch));
            let byes = batch.iter().map(bye_in).collect::<Vec<_>>();
            assert_eq!(byes, [Some(Bye::from(Stalled))], "and nothing that was queued");
            assert_eq!(next(&outbox), None);
        }
    }

    /// A piece of a file, as large as they come.
    fn piece(transfer: u32) -> VecDeque<Outgoing> {
        let length = files::chunk::HEADER + 1 + files::CHUNK;
        Outgoing::from(vec![0; length]).in_lane(Lane::File(transfer)).into()
    }

    #[test]
    fn who_acknowledges_what_still_waits_is_closed_and_told_why() {
        assert_eq!(u64::try_from(TRANSFER), Ok(2 * files::WINDOW));
        let outbox = Outbox::new(&limits(100));
        outbox.push(messages([1]));
        // One short of two windows, of each of two.
        for _ in 0..31 {
            assert_eq!(outbox.try_push(&mut piece(SOME)), Ok(()));
            assert_eq!(outbox.try_push(&mut piece(SOME + 1)), Ok(()));
        }
        assert!(!is_closing(&outbox));
        assert_eq!(outbox.goodbye_within(), DAY);
        assert_eq!(outbox.try_push(&mut piece(SOME)), Err(Refused::Closed));
        assert!(is_closing(&outbox));
        assert!(outbox.goodbye_within() <= LIAR_WITHIN, "there is no use in waiting longer");
        let mut batch = Vec::new();
        assert!(outbox.next(&mut batch));
        assert_eq!(batch.iter().map(bye_in).collect::<Vec<_>>(), [Some(Bye::from(Ahead))]);
        assert_eq!(bytes(&outbox)[1], 0, "nothing of a file is kept");
        assert_eq!(outbox.try_push(&mut piece(SOME)), Err(Refused::Closed));
        assert!(!outbox.next(&mut batch));
        assert!(!outbox.is_done(), "this is no end as it should be");
    }

    #[test]
    fn who_takes_what_is_sent_may_get_any_amount_of_it() {
        let outbox = Outbox::new(&limits(1000));
        for _ in 0..200 {
            outbox.push(piece(SOME));
            assert!(next(&outbox).is_some());
        }
        assert!(lock(&outbox.state).files.of_transfers.is_empty());
        // What was dropped with an aborted transfer waits no more.
        for _ in 0..3 {
            (0..20).for_each(|_| outbox.push(piece(SOME)));
            outbox.push(abort(1));
            assert_eq!(next(&outbox).unwrap(), [1]);
        }
        assert!(!is_closing(&outbox));
    }

    #[test]
    fn an_answer_never_waits() {
        let outbox = stalled(&Limits { stalled_after: SOON, ..limits(100) });
        outbox.answer(frame(2));
        assert!(!is_closing(&outbox));
        assert_eq!(next(&outbox).unwrap(), [1]);
        outbox.push(chunks([11]));
        assert_eq!(next(&outbox).unwrap(), [11]);
        outbox.answer(frame(3));
        assert_eq!(next(&outbox).unwrap(), [3]);
    }

    #[test]
    fn a_stalled_peer_that_closes_is_given_up() {
        let outbox = stalled(&Limits { stalled_after: SOON, ..limits(100) });
        outbox.finish();
        assert_eq!(outbox.took(0), Err(Stalled));
        assert_eq!(outbox.took(1), Ok(()));
    }

    #[test]
    fn a_peer_whose_queue_was_empty_in_between_is_not_stalled() {
        let outbox = stalled(&Limits { stalled_after: SOON, ..limits(100) });
        assert_eq!(next(&outbox).unwrap(), [1]);
        assert_eq!(outbox.check(), Err(Stalled));
        thread::scope(|scope| {
            let writer = scope.spawn(|| next(&outbox));
            while !lock(&outbox.state).writer_waits {
                thread::yield_now();
            }
            let while_empty = outbox.check();
            outbox.finish_with(&bye(LAST));
            let anew = outbox.check();
            assert_eq!(writer.join().unwrap().unwrap(), [LAST]);
            assert_eq!(while_empty, Ok(()), "nothing waits for it");
            assert_eq!(anew, Ok(()), "its time starts anew");
        });
    }

    #[test]
    fn who_waits_for_room_gets_it_or_is_let_go() {
        for (closes, expected) in [(false, &[1, 2][..]), (true, &[1])] {
            let outbox = Outbox::new(&limits(100));
            outbox.push(messages([1]));
            thread::scope(|scope| {
                let sender = scope.spawn(|| outbox.push(messages([2])));
                while lock(&outbox.state).senders_wait == 0 {
                    thread::yield_now();
                }
                let mut written = Vec::new();
                if closes {
                    outbox.finish();
                }
                while written.len() < expected.len() {
                    written.extend(next(&outbox).unwrap());
                }
                sender.join().unwrap();
                outbox.finish();
                assert_eq!(next(&outbox), None);
                assert_eq!(written, expected);
            });
        }
    }
}
