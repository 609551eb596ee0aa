//! Ping after a silence, close after a longer one.
//!
//! A connection over TCP may be dead without either side knowing: the cable is out, the laptop
//! asleep. Silence is counted by the reading thread and only while it waits for the peer; the
//! time in which it waits for others does not count against the peer.

use std::time::Duration;

use thiserror::Error;

use crate::frame::Outgoing;
use crate::limits::Limits;
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
    #[error("nothing came for too long, not even an answer to a ping")]
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
        let asked = self.outbox.try_push(&mut self.ping.clone().into());
        if asked == Err(Refused::Full) {
            // It has not been asked, so this silence does not count; what does is how it takes
            // what is queued.
            self.silences -= 1;
            self.outbox.check()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(ping: u64, close: u64) -> Limits {
        Limits {
            ping_after: Duration::from_secs(ping),
            close_after: Duration::from_secs(close),
            // Room for one ping.
            queue: 40,
            ..Limits::for_client()
        }
    }

    fn ping() -> Outgoing {
        Outgoing::from(b"\x10{}".to_vec())
    }

    fn take_ping(outbox: &Outbox) {
        let mut batch = Vec::new();
        assert!(outbox.next(&mut batch));
        assert_eq!(batch, [ping()]);
    }

    #[test]
    fn pinged_after_the_first_silence_and_given_up_after_the_last() {
        let outbox = Arc::new(Outbox::new(&Limits::for_client()));
        let mut heartbeat = Heartbeat::new(&limits(60, 120), &outbox, ping());
        assert!(heartbeat.silent().is_ok());
        take_ping(&outbox);
        assert!(matches!(heartbeat.silent(), Err(Lost::Silent)));
    }

    #[test]
    fn any_frame_is_a_sign_of_life() {
        let outbox = Arc::new(Outbox::new(&Limits::for_client()));
        let mut heartbeat = Heartbeat::new(&limits(10, 30), &outbox, ping());
        for _ in 0..3 {
            assert!(heartbeat.silent().is_ok());
            assert!(heartbeat.silent().is_ok());
            heartbeat.heard();
        }
        assert!(heartbeat.silent().is_ok());
        assert!(heartbeat.silent().is_ok());
        assert!(matches!(heartbeat.silent(), Err(Lost::Silent)));
    }

    #[test]
    fn who_could_not_be_asked_is_not_given_up_for_silence() {
        let limits = limits(60, 120);
        let outbox = Arc::new(Outbox::new(&limits));
        outbox.try_push(&mut [ping()].into()).unwrap();
        let mut heartbeat = Heartbeat::new(&limits, &outbox, ping());
        for _ in 0..5 {
            assert!(heartbeat.silent().is_ok());
        }
    }

    #[test]
    fn who_does_not_take_what_is_queued_is_stalled() {
        let limits = Limits { stalled_after: Duration::ZERO, ..limits(60, 120) };
        let outbox = Arc::new(Outbox::new(&limits));
        outbox.try_push(&mut [ping()].into()).unwrap();
        let mut heartbeat = Heartbeat::new(&limits, &outbox, ping());
        assert!(matches!(heartbeat.silent(), Err(Lost::Stalled(Stalled))));
    }

    #[test]
    fn who_is_leaving_is_not_asked_but_still_waited_for() {
        let outbox = Arc::new(Outbox::new(&Limits::for_client()));
        outbox.finish();
        let mut heartbeat = Heartbeat::new(&limits(60, 120), &outbox, ping());
        assert!(heartbeat.silent().is_ok());
        assert!(!outbox.next(&mut Vec::new()), "no ping is queued");
        assert!(matches!(heartbeat.silent(), Err(Lost::Silent)));
    }
}
