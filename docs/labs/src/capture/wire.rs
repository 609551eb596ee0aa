//! A connection without a socket: what one side writes the other reads, and a capture sees what the
//! server does of both, as it would at a socket.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::io::Read;
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;

use common::pcap::Flow;
use common::pcap::Side;

/// What a system call of the server takes.
const CALL: Duration = Duration::from_micros(40);
/// The bit in which `1` and `9` differ, and nothing else does.
const BIT: u8 = 0x08;

/// A clock that goes when it is told to; clones are the same.
#[derive(Clone)]
pub struct Clock {
    start: SystemTime,
    /// Since the start, in nanoseconds.
    passed: Arc<AtomicU64>,
}

impl Clock {
    /// It is `start`.
    pub fn new(start: SystemTime) -> Clock {
        Clock { start, passed: Arc::default() }
    }

    /// Time passes.
    pub fn pass(&self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.passed.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// How much has passed.
    pub fn passed(&self) -> Duration {
        Duration::from_nanos(self.passed.load(Ordering::Relaxed))
    }

    /// When it is.
    pub fn now(&self) -> SystemTime {
        self.start + self.passed()
    }
}

/// What becomes of the next bytes on their way.
#[derive(Clone, Copy, Debug)]
pub enum Accident {
    /// They arrive in two parts, of which the first has so many bytes.
    Split(usize),
    /// Somebody turns a bit of the byte that has so many behind it.
    Flip(usize),
}

/// One end of a connection; clones are the same.
#[derive(Clone)]
pub struct Wire {
    incoming: Rc<RefCell<Way>>,
    outgoing: Rc<RefCell<Way>>,
    /// The server's end: what it reads and writes is captured.
    seen: Option<(Rc<Flow>, Clock)>,
}

/// One direction.
#[derive(Default)]
struct Way {
    /// What arrives together is read together.
    arrived: VecDeque<Vec<u8>>,
    ended: bool,
    accident: Option<Accident>,
}

impl Wire {
    /// The client's end and the server's.
    pub fn pair(flow: Rc<Flow>, clock: Clock) -> (Wire, Wire) {
        let (up, down): (Rc<RefCell<Way>>, Rc<RefCell<Way>>) = Default::default();
        let client = Wire { incoming: Rc::clone(&down), outgoing: Rc::clone(&up), seen: None };
        (client, Wire { incoming: up, outgoing: down, seen: Some((flow, clock)) })
    }

    /// Whether a read has something to say, if only that this was the end.
    pub fn is_ready(&self) -> bool {
        let way = self.incoming.borrow();
        way.ended || !way.arrived.is_empty()
    }

    /// Ends this end's direction.
    pub fn finish(&self) {
        self.outgoing.borrow_mut().ended = true;
        if let Some((flow, clock)) = &self.seen {
            clock.pass(CALL);
            flow.fin(Side::Local);
        }
    }

    /// This happens to what is written next.
    pub fn expect(&self, accident: Accident) {
        self.outgoing.borrow_mut().accident = Some(accident);
    }
}

impl Way {
    fn carry(&mut self, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        match self.accident.take() {
            None => {}
            Some(Accident::Split(at)) => {
                let rest = bytes.split_off(at.min(bytes.len()));
                self.arrived.push_back(bytes);
                bytes = rest;
            }
            Some(Accident::Flip(behind)) => {
                if let Some(byte) = bytes.iter_mut().rev().nth(behind) {
                    *byte ^= BIT;
                }
            }
        }
        self.arrived.push_back(bytes);
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut way = self.incoming.borrow_mut();
        let mut length = 0;
        if let Some(mut arrived) = way.arrived.pop_front() {
            length = arrived.len().min(buffer.len());
            let rest = arrived.split_off(length);
            for (to, from) in buffer.iter_mut().zip(arrived) {
                *to = from;
            }
            if !rest.is_empty() {
                way.arrived.push_front(rest);
            }
        } else if !way.ended {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if let Some((flow, clock)) = &self.seen {
            clock.pass(CALL);
            match length {
                0 => flow.fin(Side::Remote),
                _ => flow.data(Side::Remote, buffer.get(..length).unwrap_or_default()),
            }
        }
        Ok(length)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing.borrow_mut().carry(bytes);
        if let Some((flow, clock)) = &self.seen {
            clock.pass(CALL);
            flow.data(Side::Local, bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
