//! Ping after a silence, close after a longer one.
//!
//! A connection over TCP may be dead without either side knowing: the cable is out, the laptop
//! asleep. Silence is counted by the reading thread and only while it waits for the peer; the
//! time in which it waits for others does not count against the peer.

use std::time::Duration;

use thiserror::Error;

use crate::frame::Outgoing;
use crate::limits::Limits;
use crate::outbox::Lane;
use crate::outbox::Outbox;
use crate::outbox::Refused;
use crate::outbox::Stalled;
use crate::sync::Arc;

/// Counts the silences of one peer and asks whether it is there.
#[derive(Debug)]
pub struct Heartbeat {
    outbox: Arc<Outbox>,
    ping: Outgoing,
    every: Duration,
    silences: u32,
    allowed: u32,
}

/// Why a silent peer is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Lost {
    /// It did not answer.
    #[error("nothing came from it for too long, not even an answer to a ping")]
    Silent,
    /// It does not even take the ping.
    #[error(transparent)]
    Stalled(#[from] Stalled),
}

impl Heartbeat {
    /// For the peer behind `outbox`, which is asked with `ping`.
    pub fn new(limits: &Limits, outbox: &Arc<Outbox>, ping: Outgoing) -> Heartbeat {
        let every = limits.ping_after;
        let allowed = limits.close_after.as_millis() / every.as_millis().max(1);
        let allowed = u32::try_from(allowed).unwrap_or(u32::MAX);
        Heartbeat { outbox: Arc::clone(outbox), ping, every, silences: 0, allowed }
    }

    /// How long nothing may come before [`Heartbeat::silent`] is to be told.
    pub fn every(&self) -> Duration {
        self.every
    }

    /// A frame came, any frame.
    pub fn heard(&mut self) {
        self.silences = 0;
    }

    /// Nothing came for another [`Heartbeat::every`]: asks, or gives up.
    ///
    /// # Errors
    /// See [`Lost`].
    pub fn silent(&mut self) -> Result<(), Lost> {
        self.silences += 1;
        if self.silences >= self.allowed {
            return Err(Lost::Silent);
        }
        let asked = self.outbox.try_push(Lane::Message, &mut self.ping.clone().into());
        if asked == Err(Refused::Full) {
            // It has not been asked, so this silence does not count; what does is how it takes
            // what is queued.
            self.silences -= 1;
            self.outbox.check()?;
        }
        Ok(())
    }
}
