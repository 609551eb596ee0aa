//! How many may knock at once, and who has to go when too many do.
//!
//! Until a connection has said hello it costs a thread and a descriptor, and anybody can open
//! one. So there are at most [`Limits::unfinished`] of them, and
//! [`Limits::unfinished_per_address`] from one address. When one more comes, the one that has
//! been silent longest is closed and the newcomer is let in: an honest client says hello at once,
//! so it is never the silent one. All of them have the same absolute deadline.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::limits::Limits;
use crate::stream::Stream;
use crate::sync::Arc;
use crate::sync::Condvar;
use crate::sync::Mutex;
use crate::sync::lock;

/// Counts the connections of a server.
pub struct Admission {
    limits: Limits,
    state: Mutex<State>,
    left: Condvar,
}

#[derive(Default)]
struct State {
    next: u64,
    /// Those that have not said hello, by number.
    unfinished: BTreeMap<u64, Stream>,
    permits: usize,
}

/// The right to be connected; dropping it gives it back.
pub struct Permit {
    admission: Arc<Admission>,
    number: u64,
}

impl Admission {
    /// An empty house.
    pub fn new(limits: &Limits) -> Arc<Admission> {
        let (limits, state, left) = (limits.clone(), Mutex::default(), Condvar::new());
        Arc::new(Admission { limits, state, left })
    }

    /// Lets a new connection in, with a deadline for its hello, and closes another if need be.
    pub fn admit(self: &Arc<Admission>, stream: &Stream) -> Permit {
        stream.set_deadline(self.limits.hello_within);
        let mut state = lock(&self.state);
        if let Some(number) = self.one_too_many(&state, stream)
            && let Some(silent) = state.unfinished.remove(&number)
        {
            log::warn!("{}: closed, too many connections wait for a hello", silent.peer());
            silent.close();
        }
        let number = state.next;
        state.next += 1;
        state.permits += 1;
        state.unfinished.insert(number, stream.clone());
        Permit { admission: Arc::clone(self), number }
    }

    /// The server stops: closes all who have not said hello, and waits a little for the others,
    /// who have been told.
    pub fn close(&self) {
        let deadline = Instant::now() + 2 * self.limits.goodbye_within;
        let mut state = lock(&self.state);
        for stream in std::mem::take(&mut state.unfinished).values() {
            stream.close();
        }
        while state.permits > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let woken = self.left.wait_timeout(state, left);
            state = woken.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }

    /// Who has to go before `newcomer` comes in: of its own address if that has too many, else,
    /// if there are too many in all, of the address that has most.
    fn one_too_many(&self, state: &State, newcomer: &Stream) -> Option<u64> {
        let mut by_address = BTreeMap::<_, Vec<(Option<Instant>, u64)>>::new();
        for (number, stream) in &state.unfinished {
            let entry = by_address.entry(stream.peer().ip()).or_default();
            entry.push((stream.heard(), *number));
        }
        let own = by_address.get(&newcomer.peer().ip());
        let crowd = match own {
            Some(own) if own.len() >= self.limits.unfinished_per_address() => Some(own),
            _ if state.unfinished.len() >= self.limits.unfinished() => {
                by_address.values().max_by_key(|crowd| crowd.len())
            }
            _ => None,
        };
        crowd?.iter().min().map(|(_, number)| *number)
    }
}

impl Permit {
    /// The hello came and was good: the connection is one of the unfinished no more.
    pub fn established(&mut self) {
        lock(&self.admission.state).unfinished.remove(&self.number);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = lock(&self.admission.state);
        state.unfinished.remove(&self.number);
        state.permits -= 1;
        self.admission.left.notify_all();
    }
}
