//! The requests of one client that came together, on their way to the room.
//!
//! What one read of the socket brought is handled under one lock and delivered with one wake-up
//! for each recipient; that, not the work of a single message, decides how fast a relay is.

use std::mem;

use crate::frame;
use crate::frame::Frame;
use crate::limits::Limits;
use crate::message;
use crate::message::Bye;
use crate::message::Request;
use crate::message::Unreadable;

/// Most requests that are handled under one lock: the others want it too.
const TOGETHER: usize = 256;

/// Collects what a client's reading thread receives.
#[derive(Debug)]
pub struct Inbox {
    /// Whose requests these are, for the log.
    label: String,
    requests: Vec<Result<Request, Unreadable>>,
    /// Unreadable ones that are still allowed.
    patience: u32,
    open: bool,
    end: Result<(), Bye>,
}

impl Inbox {
    /// For the client that the log calls `label`.
    pub fn new(label: &str, limits: &Limits) -> Inbox {
        let (label, patience) = (label.to_owned(), limits.unreadable);
        Inbox { label, requests: Vec::new(), patience, open: true, end: Ok(()) }
    }

    /// Takes what was received. An end, an error and one unreadable message too many close it,
    /// after the requests that came before.
    pub fn take(&mut self, received: Result<Option<Frame<'_>>, frame::Error>) {
        let request = match received {
            Ok(Some(frame)) => message::decode(frame),
            Ok(None) => return self.close(Ok(())),
            Err(error) => return self.close(Err(error.into())),
        };
        if let Err(error) = &request {
            log::warn!("{}: {error}", self.label);
            self.patience = self.patience.saturating_sub(1);
            if self.patience == 0 {
                self.close(Err(Bye::unreadable()));
            }
        }
        self.requests.push(request);
    }

    fn close(&mut self, end: Result<(), Bye>) {
        self.open = false;
        self.end = end;
    }

    /// Whether there may be more to take.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Whether the requests have to be handled now, although `more` may be at hand.
    pub fn is_full(&self, more: bool) -> bool {
        !more || !self.open || self.requests.len() >= TOGETHER
    }

    /// Takes the requests out, in the order in which they came.
    pub fn requests(&mut self) -> Vec<Result<Request, Unreadable>> {
        mem::take(&mut self.requests)
    }

    /// How it ended: cleanly, or with the reason that the client is told.
    ///
    /// # Errors
    /// That reason.
    pub fn end(self) -> Result<(), Bye> {
        self.end
    }
}
