//! Ping after a silence, close after a longer one.
//!
//! A connection over TCP may be dead without either side knowing: the cable is out, the laptop
//! asleep. Silence is counted by the reading thread and only while it waits for the peer; the
//! time in which it waits for others does not count against the peer.

use thiserror::Error;

use crate::frame::Outgoing;
use crate::limits::Limits;
use crate::outbox::Lane;
use crate::outbox::Outbox;
use crate::outbox::Refused;
use crate::outbox::Stalled;

/// Counts the silences of one peer.
#[derive(Debug)]
pub struct Heartbeat {
    silences: u32,
    allowed: u32,
}

/// Why a silent peer is given up.
#[derive(Debug, Error)]
pub enum Lost {
    /// It did not answer.
    #[error("nothing came from it for too long, not even an answer to a ping")]
    Silent,
    /// It does not even take the ping.
    #[error(transparent)]
    Stalled(#[from] Stalled),
}

impl Heartbeat {
    /// For a reader that gives up waiting after each [`Limits::ping_after`].
    pub fn new(limits: &Limits) -> Heartbeat {
        let every = limits.ping_after.as_millis().max(1);
        let allowed = limits.close_after.as_millis() / every;
        Heartbeat { silences: 0, allowed: u32::try_from(allowed).unwrap_or(u32::MAX) }
    }

    /// A frame came, any frame.
    pub fn heard(&mut self) {
        self.silences = 0;
    }

    /// Nothing came for another [`Limits::ping_after`]: asks with `ping`, or gives up.
    ///
    /// # Errors
    /// See [`Lost`].
    pub fn silent(&mut self, outbox: &Outbox, ping: &Outgoing) -> Result<(), Lost> {
        self.silences += 1;
        if self.silences >= self.allowed {
            return Err(Lost::Silent);
        }
        match outbox.try_push(Lane::Message, &mut [ping.clone()].into()) {
            // It has not been asked, so this silence does not count against it; what does is
            // how it takes what is queued.
            Err(Refused::Full) => {
                self.silences -= 1;
                outbox.check()?;
                Ok(())
            }
            Ok(()) | Err(Refused::Closed) => Ok(()),
        }
    }
}
