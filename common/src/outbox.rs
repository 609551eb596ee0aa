//! A peer's outbound queue.
//!
//! Whoever has something for a peer puts it here; the peer's writing thread takes it out and is
//! the only one that waits for the peer's socket. The queue is bounded in bytes. Whoever finds it
//! full waits, so that a sender faster than its recipients is slowed down, but not for ever: a
//! peer that takes nothing, or next to nothing, is *stalled*, and a full queue of a stalled peer
//! is closed.
//!
//! ```text
//! reading threads ── push ──► message lane ─┐
//!                             file lane ────┴─ next ──► the writing thread ──► socket
//!                                                took ◄──┘
//! ```

use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

use thiserror::Error;

use crate::frame::HEADER;
use crate::frame::Outgoing;
use crate::limits::Limits;
use crate::message;
use crate::message::Bye;
use crate::message::Event;
use crate::sync::Condvar;
use crate::sync::Mutex;
use crate::sync::MutexGuard;
use crate::sync::lock;

/// Most bytes in one batch, so that a batch is about one system call and what overtakes it does
/// not wait long.
const BATCH: usize = 64 * 1024;
/// What a frame costs beyond its own bytes, so that a queue of tiny ones is bounded too.
const OVERHEAD: usize = HEADER + 32;

/// Where in the queue a frame waits: messages overtake file chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// What people say, and everything about a file but its bytes.
    Message,
    /// The bytes of files.
    File,
}

/// Why a frame was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// Its lane is full: wait with [`Outbox::push`].
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
}

#[derive(Debug, Default)]
struct LaneState {
    frames: VecDeque<Outgoing>,
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

    /// Queues frames as long as there is room, taking them out of the front of `frames`.
    ///
    /// # Errors
    /// See [`Refused`]; what is left in `frames` was not queued.
    pub fn try_push(&self, lane: Lane, frames: &mut VecDeque<Outgoing>) -> Result<(), Refused> {
        self.queue(&mut lock(&self.state), lane, frames)
    }

    /// Queues frames, waiting for room. If the peer is stalled there will be none: then it is
    /// abandoned. For a peer that is leaving the frames are dropped.
    pub fn push(&self, lane: Lane, mut frames: VecDeque<Outgoing>) {
        let mut state = lock(&self.state);
        while let Err(Refused::Full) = self.queue(&mut state, lane, &mut frames) {
            let Some(patience) = self.patience(&state) else {
                self.close(&mut state, Some(&Bye::from(Stalled)), true);
                return;
            };
            state.senders_wait += 1;
            state = wait_timeout(&self.room, state, patience);
            state.senders_wait -= 1;
        }
    }

    /// Queues the answer to a ping. Where there is no room for it, what fills the queue is as
    /// good a sign of life, once it is sent.
    pub fn answer(&self, pong: Outgoing) {
        let _ = self.try_push(Lane::Message, &mut pong.into());
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

    /// No more frames; what is queued, and then `bye`, goes out within [`Limits::goodbye_within`].
    pub fn finish_with(&self, bye: &Bye) {
        self.close(&mut lock(&self.state), Some(bye), false);
    }

    /// As [`Outbox::finish_with`], but what is queued is dropped; what is being written is not.
    pub fn abandon(&self, bye: &Bye) {
        self.close(&mut lock(&self.state), Some(bye), true);
    }

    /// Whether the connection is to end, be it after what is still queued.
    pub fn is_closing(&self) -> bool {
        !matches!(lock(&self.state).ending, Ending::Open)
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
        let deadline = bye.and_then(|_| Instant::now().checked_add(self.goodbye_within));
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

    fn queue(
        &self,
        state: &mut State,
        lane: Lane,
        frames: &mut VecDeque<Outgoing>,
    ) -> Result<(), Refused> {
        if !matches!(state.ending, Ending::Open) {
            return Err(Refused::Closed);
        }
        let lane = match lane {
            Lane::Message => &mut state.messages,
            Lane::File => &mut state.files,
        };
        let result = loop {
            match frames.front() {
                None => break Ok(()),
                // A frame larger than the whole lane has to fit an empty one.
                Some(frame) if lane.bytes > 0 && lane.bytes + cost(frame) > self.capacity => {
                    break Err(Refused::Full);
                }
                Some(_) => {}
            }
            frames.pop_front().into_iter().for_each(|frame| lane.push(frame));
        };
        if lane.bytes > 0 {
            state.progress.get_or_insert_with(Progress::new);
        }
        if state.writer_waits && lane.bytes > 0 {
            state.writer_waits = false;
            self.queued.notify_one();
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

impl LaneState {
    fn push(&mut self, frame: Outgoing) {
        self.bytes += cost(&frame);
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

    fn clear(&mut self) {
        self.frames.clear();
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
