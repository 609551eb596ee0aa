//! The registry where threads meet it, under many schedules, drawn at random but repeatable.
//!
//! ```text
//! RUSTFLAGS="--cfg shuttle" cargo test -p stage1_relay --release --test registry_shuttle
//! ```
//!
//! The registry, the delivery and the leaving are the server's own. Each client has its two
//! threads as in the server, but a script instead of a socket. Shuttle's clock stands still:
//! nobody is ever stalled, so a wake-up that got lost is reported as a deadlock.

#![cfg(shuttle)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

#[path = "../src/connection.rs"]
#[expect(dead_code, reason = "nothing is sent over a socket here")]
mod connection;
#[path = "../src/server.rs"]
#[expect(dead_code, reason = "nobody connects over a socket here")]
mod server;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use common::frame::Frame;
use common::limits::Limits;
use common::message;
use common::message::Bye;
use common::message::Event;
use common::message::Reason;
use common::message::Request;
use common::name::Name;
use common::outbox::Outbox;
use common::room::Room;
use common::sync::Arc;
use common::sync::Mutex;
use common::sync::lock;
use shuttle::Config;
use shuttle::Runner;
use shuttle::scheduler::PctScheduler;
use shuttle::scheduler::RandomScheduler;
use shuttle::scheduler::Scheduler;
use shuttle::sync::mpsc::channel;
use shuttle::thread;

use crate::connection::Settings;
use crate::server::Presence;
use crate::server::Registry;
use crate::server::Server;

/// Schedules of each kind.
const SCHEDULES: usize = 1000;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Room in a queue for anything, and for two or three messages.
const ROOMY: usize = 256 * 1024;
const TIGHT: usize = 200;

/// What a client did and when, by a clock that counts, and what was written to it.
struct Seen {
    name: &'static str,
    joined: u64,
    leaving: u64,
    left: u64,
    sent: Vec<Sent>,
    read: Vec<Event>,
}

struct Sent {
    text: String,
    /// Nobody for what is said to the room.
    to: Option<&'static str>,
    before: u64,
    after: u64,
}

/// A server and the means to meet it.
#[derive(Clone)]
struct House {
    server: Arc<Server>,
    clock: Arc<AtomicU64>,
}

impl House {
    fn new() -> House {
        let limits = Limits::for_client();
        let registry = Registry { room: Room::new(&limits), peers: BTreeMap::new() };
        let registry = Mutex::new(registry);
        let server = Arc::new(Server { limits, settings: Settings::default(), registry });
        House { server, clock: Arc::default() }
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// As the server lets somebody in who said hello.
    fn try_join(&self, name: &str, outbox: &Arc<Outbox>) -> Result<Presence<'_>, Bye> {
        let hello = Request::Hello { chat5: message::VERSION, name: name.to_owned() };
        let mut registry = lock(&self.server.registry);
        let (id, name, deliveries) = registry.room.join(hello, None)?;
        registry.peers.insert(id, Arc::clone(outbox));
        let presence = Presence { server: &self.server, id, label: name.to_string() };
        self.server.deliver(registry, deliveries);
        Ok(presence)
    }

    fn join(&self, name: &str, outbox: &Arc<Outbox>) -> Presence<'_> {
        self.try_join(name, outbox).unwrap()
    }

    /// A client who comes, says as many `rounds` of things to all and to `friend`, and leaves.
    fn visit(&self, name: &'static str, friend: &'static str, room: usize, rounds: usize) -> Seen {
        let outbox = outbox(room);
        let writer = thread::spawn({
            let outbox = Arc::clone(&outbox);
            move || write_all(&outbox)
        });
        let presence = self.join(name, &outbox);
        let joined = self.tick();
        let mut sent = Vec::new();
        for round in 0..rounds {
            let before = self.tick();
            let texts = [2 * round, 2 * round + 1].map(|number| number.to_string());
            let [said, private] = texts.clone();
            let private = Request::Private { to: friend.to_owned(), text: private };
            handle(&presence, vec![Request::Say { text: said }, private]);
            let after = self.tick();
            for (text, to) in texts.into_iter().zip([None, Some(friend)]) {
                sent.push(Sent { text, to, before, after });
            }
        }
        let leaving = self.tick();
        drop(presence);
        let left = self.tick();
        outbox.finish();
        Seen { name, joined, leaving, left, sent, read: writer.join().unwrap() }
    }

    fn is_empty(&self) -> bool {
        lock(&self.server.registry).peers.is_empty()
    }
}

/// As the server handles requests that came together.
fn handle(presence: &Presence<'_>, requests: Vec<Request>) {
    let requests = requests.into_iter().map(Ok).collect();
    let mut registry = lock(&presence.server.registry);
    let deliveries = registry.room.requests(presence.id, requests, Instant::now());
    presence.server.deliver(registry, deliveries);
}

fn outbox(room: usize) -> Arc<Outbox> {
    let limits = Limits { queue: room, goodbye_within: DAY, ..Limits::for_client() };
    Arc::new(Outbox::new(&limits))
}

fn bye() -> Bye {
    Bye::new(Reason::Slow, "slow")
}

/// A writing thread whose socket takes everything.
fn write_all(outbox: &Outbox) -> Vec<Event> {
    let (mut batch, mut read) = (Vec::new(), Vec::new());
    while outbox.next(&mut batch) {
        for frame in &batch {
            let (kind, body) = frame.payload().split_first().unwrap();
            read.push(message::decode(Frame { kind: *kind, body }).unwrap());
        }
    }
    read
}

fn explore(body: impl Fn() + Clone + Send + Sync + 'static) {
    let pct = PctScheduler::new(3, SCHEDULES);
    let random = RandomScheduler::new(SCHEDULES);
    let schedulers: [Box<dyn Scheduler + Send>; 2] = [Box::new(random), Box::new(pct)];
    for scheduler in schedulers {
        let mut config = Config::new();
        config.stack_size = Limits::default().stack;
        Runner::new(scheduler, config).run(body.clone());
    }
}

/// Who an event is about, and its text if it is something that they wrote.
fn subject(event: &Event) -> Option<(&str, Option<&str>)> {
    match event {
        Event::Joined { name } | Event::Left { name } => Some((name.as_str(), None)),
        Event::Said { from, text } | Event::Private { from, text, .. } => {
            Some((from.as_str(), Some(text)))
        }
        _ => None,
    }
}

/// Whether `reader` has to have read what `sender` sent, if that can be told from outside.
fn has_to_read(reader: &Seen, sender: &Seen, sent: &Sent) -> Option<bool> {
    let own = reader.name == sender.name;
    match sent.to {
        None if own => return Some(false),
        Some(to) if to != reader.name && !own => return Some(false),
        // Their own private message comes back to them, if there was somebody to get it.
        Some(_) if own => return None,
        _ => {}
    }
    if reader.joined < sent.before && sent.after < reader.leaving {
        return Some(true);
    }
    // Who leaves while something is sent may have read it or not.
    (reader.left < sent.before).then_some(false)
}

/// What every client may expect, whatever the schedule was.
fn check(all: &[&Seen]) {
    for reader in all {
        let own = reader.name.parse::<Name>().unwrap();
        let (first, rest) = reader.read.split_first().unwrap();
        let Event::Welcome { name, people } = first else { panic!("welcomed by {first:?}") };
        assert_eq!(*name, own);
        assert!(rest.contains(&Event::Joined { name: own.clone() }));
        assert!(!rest.contains(&Event::Left { name: own }), "told that they left themselves");
        for sender in all {
            let about =
                |event: &&Event| subject(event).is_some_and(|(name, _)| name == sender.name);
            let events = rest.iter().filter(about).collect::<Vec<_>>();
            let texts = events.iter().filter_map(|event| subject(event)?.1).collect::<Vec<_>>();

            // Nothing twice and nothing out of order: numbers rise.
            let numbers = texts.iter().map(|text| text.parse::<usize>().unwrap());
            assert!(numbers.is_sorted_by(|one, next| one < next), "{texts:?}");
            // Coming first, unless they were there before; leaving last.
            let joined = events.iter().position(|event| matches!(event, Event::Joined { .. }));
            let left = events.iter().position(|event| matches!(event, Event::Left { .. }));
            let was_here = people.iter().any(|person| person.name.as_str() == sender.name);
            if sender.name != reader.name {
                assert!(joined.is_none() || !was_here, "{} joined twice", sender.name);
                assert!(events.is_empty() || was_here || joined == Some(0), "{events:?}");
            }
            assert!(left.is_none_or(|left| left + 1 == events.len()), "{events:?}");

            for sent in &sender.sent {
                let has_read = texts.contains(&sent.text.as_str());
                if let Some(has_to) = has_to_read(reader, sender, sent) {
                    assert_eq!(has_read, has_to, "{} -> {}", sender.name, reader.name);
                }
            }
        }
    }
}

#[test]
fn nobody_loses_repeats_or_reorders_anything() {
    explore(|| {
        let house = House::new();
        let bob = thread::spawn({
            let house = house.clone();
            move || house.visit("bob", "carol", ROOMY, 2)
        });
        // Her queue is full most of the time, so the others wait for her.
        let carol = thread::spawn({
            let house = house.clone();
            move || house.visit("carol", "alice", TIGHT, 2)
        });
        let alice = house.visit("alice", "bob", ROOMY, 2);
        let (bob, carol) = (bob.join().unwrap(), carol.join().unwrap());
        check(&[&alice, &bob, &carol]);
        assert!(house.is_empty());
    });
}

#[test]
fn who_takes_nothing_holds_nobody_up_but_who_has_something_for_him() {
    explore(|| {
        let house = House::new();
        let own = outbox(ROOMY);
        let carol = house.join("carol", &own);
        let stuck = outbox(1);
        let (close, closed) = channel();
        let dave = thread::spawn({
            let (house, stuck) = (house.clone(), Arc::clone(&stuck));
            move || {
                // Not even the notice of his own coming has room behind his welcome.
                let presence = house.join("dave", &stuck);
                closed.recv().unwrap();
                drop(presence);
            }
        });
        let [alice, bob] = [("alice", "bob"), ("bob", "dave")].map(|(name, friend)| {
            let house = house.clone();
            thread::spawn(move || house.visit(name, friend, ROOMY, 2))
        });
        // Whoever waits for his queue holds no lock, or this would wait for them.
        handle(&carol, vec![Request::Names {}]);
        stuck.abandon(&bye());
        close.send(()).unwrap();
        let (alice, bob) = (alice.join().unwrap(), bob.join().unwrap());
        dave.join().unwrap();
        check(&[&alice, &bob]);
        drop(carol);
        assert!(house.is_empty());
        // Nothing was taken from his queue, so all that it held was dropped for the last words;
        // where he was closed before he came, they are all that he ever gets.
        assert_eq!(write_all(&stuck), [Event::Bye(bye())]);
    });
}

#[test]
fn where_there_is_room_all_read_in_the_same_order() {
    explore(|| {
        let house = House::new();
        let outboxes = [outbox(ROOMY), outbox(ROOMY)];
        let alice = house.join("alice", &outboxes[0]);
        let bob = house.join("bob", &outboxes[1]);
        let [carol, dave] = [("carol", "dave"), ("dave", "carol")].map(|(name, friend)| {
            let house = house.clone();
            thread::spawn(move || house.visit(name, friend, TIGHT, 2))
        });
        let (carol, dave) = (carol.join().unwrap(), dave.join().unwrap());
        check(&[&carol, &dave]);
        drop(alice);
        drop(bob);
        let [alice, bob] = outboxes.map(|outbox| {
            outbox.finish();
            let read = write_all(&outbox).into_iter();
            let of_visitors = |event: &Event| {
                subject(event).is_some_and(|(name, _)| name == "carol" || name == "dave")
            };
            read.filter(of_visitors).collect::<Vec<_>>()
        });
        // Each visitor comes, says two things to all, and leaves.
        assert_eq!(alice.len(), 8);
        assert_eq!(alice, bob);
    });
}

#[test]
fn a_name_is_had_by_one_at_a_time() {
    explore(|| {
        let house = House::new();
        let try_to_join = |house: &House, name: &str| {
            let outbox = outbox(ROOMY);
            match house.try_join(name, &outbox) {
                Ok(presence) => {
                    let id = presence.id;
                    std::mem::forget(presence);
                    Some(id)
                }
                Err(bye) => {
                    assert_eq!(bye.reason, Reason::NameTaken);
                    // Who is not let in is told nothing of the chat.
                    outbox.finish();
                    assert_eq!(write_all(&outbox), []);
                    None
                }
            }
        };
        let other = thread::spawn({
            let house = house.clone();
            move || try_to_join(&house, "ALICE")
        });
        let mine = try_to_join(&house, "alice");
        let other = other.join().unwrap();
        assert!(mine.is_some() != other.is_some());
    });
}
