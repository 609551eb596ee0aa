//! How many may knock at once, and who has to go when too many do.
//!
//! Until a connection has said hello it costs a thread and a descriptor, and anybody can open
//! one. So there are at most [`Limits::unfinished`] of them, and
//! [`Limits::unfinished_per_address`] from one address. When one more comes, the one that has
//! been silent longest is closed and the newcomer is let in: an honest client says hello at once,
//! so among silent ones it is never the one. (A crowd that keeps sending single bytes outlasts it, for
//! the time of the deadline.) All of them have the same absolute deadline.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use crate::limits::Limits;
use crate::stream::Stream;
use crate::sync::Arc;
use crate::sync::Condvar;
use crate::sync::Mutex;
use crate::sync::lock;

/// A crowd is worth a line in the log, not a line for each of it.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// Counts the connections of a server.
pub struct Admission {
    limits: Limits,
    state: Mutex<State>,
    left: Condvar,
}

#[derive(Default)]
struct State {
    next: u64,
    warned: Option<Instant>,
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
        let silent = self.one_too_many(&state, stream);
        let silent = silent.and_then(|number| state.unfinished.remove(&number));
        let warned =
            silent.is_some() && state.warned.is_none_or(|warned| warned.elapsed() > WARN_EVERY);
        if warned {
            state.warned = Some(Instant::now());
        }
        let number = state.next;
        state.next += 1;
        state.permits += 1;
        state.unfinished.insert(number, stream.clone());
        drop(state);
        // Without the lock: whoever reads the log may be slow.
        if let Some(silent) = silent {
            silent.close();
            if warned {
                let peer = silent.peer();
                log::warn!(
                    "{peer}: closed, like others soon, too many connections wait for a hello"
                );
            }
        }
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

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::io::Write;
    use std::net::Ipv4Addr;
    use std::net::SocketAddr;
    use std::net::TcpStream;
    use std::thread;
    use std::time::Duration;

    use socket2::Domain;
    use socket2::Socket;
    use socket2::Type;

    use super::*;
    use crate::stream::Listener;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    /// Both ends of connections, as the server and its clients have them.
    struct House {
        listener: Listener,
        admission: Arc<Admission>,
    }

    struct Guest {
        permit: Permit,
        stream: Stream,
        client: TcpStream,
    }

    impl House {
        /// For four unfinished connections, three of them from one address.
        fn new(goodbye_within: Duration) -> House {
            let limits = Limits { max_clients: 2, goodbye_within, ..Limits::default() };
            assert_eq!((limits.unfinished(), limits.unfinished_per_address()), (4, 3));
            let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0).into(), None).unwrap();
            House { listener, admission: Admission::new(&limits) }
        }

        /// Somebody from 127.0.0.`host`.
        fn arrive(&self, host: u8) -> Guest {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            let from = SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), 0));
            socket.bind(&from.into()).unwrap();
            socket.connect(&self.listener.address().into()).unwrap();
            let stream = self.listener.accept().unwrap();
            let client = TcpStream::from(socket);
            client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            Guest { permit: self.admission.admit(&stream), stream, client }
        }

        fn unfinished(&self) -> Vec<u64> {
            lock(&self.admission.state).unfinished.keys().copied().collect()
        }
    }

    impl Guest {
        fn says_something(&mut self) {
            self.client.write_all(b"x").unwrap();
            assert_eq!(self.stream.read(&mut [0]).unwrap(), 1);
        }

        /// Waits for it.
        fn is_closed(&mut self) {
            assert_eq!(self.client.read(&mut [0]).unwrap(), 0);
        }

        fn is_open(&self) {
            self.client.set_nonblocking(true).unwrap();
            let error = (&self.client).read(&mut [0]).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
            self.client.set_nonblocking(false).unwrap();
        }
    }

    #[test]
    fn of_one_address_the_one_silent_longest_has_to_go_and_never_the_newcomer() {
        let house = House::new(DAY);
        let mut guests = [(); 3].map(|()| house.arrive(1));
        guests[0].says_something();
        let newcomer = house.arrive(1);
        guests[1].is_closed();
        for guest in [&guests[0], &guests[2], &newcomer] {
            guest.is_open();
        }
        assert_eq!(house.unfinished(), [0, 2, 3]);
        let another = house.arrive(1);
        guests[2].is_closed();
        for guest in [&guests[0], &newcomer, &another] {
            guest.is_open();
        }
        assert_eq!(house.unfinished(), [0, 3, 4]);
    }

    #[test]
    fn who_has_said_hello_and_who_has_left_is_not_counted() {
        let house = House::new(DAY);
        let mut guests = [(); 3].map(|()| house.arrive(1));
        guests[0].permit.established();
        let fourth = house.arrive(1);
        assert_eq!(house.unfinished(), [1, 2, 3]);
        drop(fourth);
        let _fifth = house.arrive(1);
        assert_eq!(house.unfinished(), [1, 2, 4]);
        guests.iter().for_each(Guest::is_open);

        let _sixth = house.arrive(1);
        guests[1].is_closed();
        guests[0].is_open();
    }

    /// Elsewhere a machine has one address only of its own.
    #[cfg(any(target_os = "linux", windows))]
    #[test]
    fn of_all_addresses_the_one_that_has_most_gives_way() {
        let house = House::new(DAY);
        // The first is silent longest, but it is alone.
        let alone = house.arrive(2);
        let mut two = [(); 2].map(|()| house.arrive(1));
        let other = house.arrive(3);
        let newcomer = house.arrive(4);
        two[0].is_closed();
        for guest in [&alone, &two[1], &other, &newcomer] {
            guest.is_open();
        }
        assert_eq!(house.unfinished(), [0, 2, 3, 4]);
    }

    #[test]
    fn a_connection_has_a_deadline_until_it_is_established() {
        let mut guest = House::new(DAY).arrive(1);
        assert!(guest.stream.heard().is_some());
        let limits = Limits { hello_within: Duration::ZERO, ..Limits::default() };
        let _permit = Admission::new(&limits).admit(&guest.stream);
        let error = guest.stream.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    }

    #[test]
    fn the_end_closes_who_has_not_said_hello_and_waits_for_the_others() {
        let house = House::new(DAY);
        let mut unfinished = house.arrive(1);
        let mut established = house.arrive(1);
        established.permit.established();
        thread::scope(|scope| {
            let closing = scope.spawn(|| house.admission.close());
            unfinished.is_closed();
            established.is_open();
            drop(unfinished);
            // Not for ever, but longer than it would take to leave.
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(100) {
                assert!(!closing.is_finished(), "somebody is still there");
                thread::yield_now();
            }
            drop(established);
            closing.join().unwrap();
        });
    }

    #[test]
    fn the_end_waits_a_little_and_not_for_ever() {
        let house = House::new(Duration::ZERO);
        let mut established = house.arrive(1);
        established.permit.established();
        house.admission.close();
        established.is_open();
    }
}
