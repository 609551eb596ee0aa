//! The relay: accepts clients, and passes on what the room decides.
//!
//! Each client has two threads. One reads its requests, asks the room who gets what, and puts it
//! into those peers' queues. The other takes what is in its own client's queue and writes it to
//! the socket. So nobody writes to a socket while holding a lock, and a client that does not read
//! stops its own writing thread only.

use std::collections::BTreeMap;
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::Result;
use common::admission;
use common::clock::Clock;
use common::face;
use common::inbox::Inbox;
use common::limits::Limits;
use common::message;
use common::outbox;
use common::room;
use common::stream;
use common::sync;
use common::sync::Arc;
use common::writer;
use common::writer::Writer;

use crate::connection;
use crate::connection::Settings;
use crate::transfer::Transfers;

/// What all threads of a server share.
pub struct Server {
    pub limits: Limits,
    pub settings: Settings,
    pub registry: sync::Mutex<Registry>,
}

/// The room, and the queue of everyone in it.
pub struct Registry {
    pub room: room::Room,
    pub peers: BTreeMap<room::PeerId, Arc<outbox::Outbox>>,
}

/// A peer in the room, out of it when this is dropped: also when its thread panics.
pub struct Presence<'a> {
    pub server: &'a Server,
    pub id: room::PeerId,
    /// Address and name, for the log.
    pub label: String,
}

/// Serves clients until `listener` is stopped; then everyone is told, and what is queued goes out.
pub fn run(listener: &stream::Listener, settings: &Settings, limits: &Limits) {
    let (limits, settings) = (limits.clone(), settings.clone());
    // Not too many connections without a hello: the one that is silent longest has to go.
    let admission = admission::Admission::new(&limits);
    let registry = sync::Mutex::new(Registry {
        room: room::Room::with_files(&limits),
        peers: BTreeMap::new(),
    });
    let server = Arc::new(Server { limits, settings, registry });
    let (clock, keeper) = (server.clock(), server.keeper());
    while let Some(stream) = listener.accept() {
        let (peer, permit) = (stream.peer(), admission.admit(&stream));
        let (stack, server) = (server.limits.stack, Arc::clone(&server));
        let reader = move || {
            // Whatever went wrong is reported here, once.
            if let Err(error) = server.handle_client(&stream, permit) {
                log::info!("{peer}: {error:#}");
            }
        };
        if let Err(error) = sync::spawn("reader", stack, reader) {
            log::warn!("{peer}: refused, no thread for it: {error}");
        }
    }
    let mut registry = sync::lock(&server.registry);
    registry.room.close();
    registry.peers.values().for_each(|outbox| outbox.finish_with(&message::Bye::stopping()));
    drop(registry);
    admission.close();
    drop(clock);
    // A panic there has been reported by the panic itself.
    drop(keeper.map(JoinHandle::join));
}

impl Server {
    /// Tells the room that time has passed: files wait for nobody for ever.
    fn clock(self: &Arc<Server>) -> Option<Clock> {
        let server = Arc::clone(self);
        let tick = move |late| {
            let mut registry = sync::lock(&server.registry);
            let deliveries = registry.room.tick(Instant::now(), late);
            server.deliver(registry, deliveries);
        };
        let clock = Clock::start(self.limits.tick, self.limits.stack, tick);
        clock.inspect_err(|error| log::warn!("files may wait for ever: {error}")).ok()
    }

    /// With `--keep`: takes a copy of each file as a client would, without a connection.
    fn keeper(self: &Arc<Server>) -> Option<JoinHandle<()>> {
        let policy = self.limits.keep.as_ref()?;
        let outbox = Arc::new(outbox::Outbox::new(&self.limits));
        let mut registry = sync::lock(&self.registry);
        let id = registry.room.keeper();
        registry.peers.insert(id, Arc::clone(&outbox));
        drop(registry);
        let server = Arc::clone(self);
        let say = move |requests: Vec<message::Request>| {
            let requests = requests.into_iter().map(Ok).collect();
            let mut registry = sync::lock(&server.registry);
            let deliveries = registry.room.requests(id, requests, Instant::now());
            server.deliver(registry, deliveries);
        };
        let transfers = Transfers::new(&self.limits, policy, face::log(), say);
        let keeper = sync::spawn("keeper", self.limits.stack, move || {
            writer::hand_over(&outbox, |frame| {
                // What is no event, is for clients alone.
                message::Event::read(frame).into_iter().for_each(|event| transfers.hear(event));
            });
            transfers.close();
        });
        keeper.inspect_err(|error| log::warn!("no copies are kept: {error}")).ok()
    }

    /// A client's reading thread.
    fn handle_client(&self, stream: &stream::Stream, mut permit: admission::Permit) -> Result<()> {
        let (mut sender, mut receiver, proven) = connection::accept(stream, &self.settings)?;
        let Some(hello) = receiver.receive()? else { return Ok(()) };
        let hello = message::decode(hello).map_err(message::Bye::from);
        let writer = Writer::spawn(stream, &self.limits, move |outbox| sender.send_queued(outbox))?;

        let chatted = hello.and_then(|hello| {
            let mut registry = sync::lock(&self.registry);
            let (id, name, deliveries) = registry.room.join(hello, proven)?;
            permit.established();
            registry.peers.insert(id, Arc::clone(&writer.outbox));
            let presence =
                Presence { server: self, id, label: format!("{} {name}", stream.peer()) };
            self.deliver(registry, deliveries);
            // Silence is answered with a ping first.
            receiver.frames.set_heartbeat(&self.limits, &writer.outbox, message::ping())?;
            presence.chat(&mut receiver)
        });
        writer.end(&chatted);
        Ok(chatted?)
    }

    /// First into every queue as far as it has room, in the order that the lock gives to all;
    /// then, holding no lock, the rest in one common wait for those that were full.
    pub fn deliver(&self, registry: sync::MutexGuard<Registry>, deliveries: Vec<room::Delivery>) {
        let mut full = Vec::new();
        for (id, mut frames) in room::frames(deliveries) {
            let Some(outbox) = registry.peers.get(&id) else { continue };
            if outbox.try_push(&mut frames) == Err(outbox::Refused::Full) {
                full.push((Arc::clone(outbox), frames));
            }
        }
        drop(registry);
        outbox::push_all(full);
    }
}

impl Presence<'_> {
    /// Handles requests until the client leaves; what came together is delivered together.
    fn chat(&self, receiver: &mut connection::Receiver) -> Result<(), message::Bye> {
        log::info!("{}: joined", self.label);
        let mut inbox = Inbox::new(&self.label, &self.server.limits).with_files();
        while inbox.is_open() {
            inbox.take(receiver.receive());
            if inbox.is_full(receiver.frames.is_ready()) {
                let (requests, now) = (inbox.requests(), Instant::now());
                let mut registry = sync::lock(&self.server.registry);
                let deliveries = registry.room.requests(self.id, requests, now);
                self.server.deliver(registry, deliveries);
            }
        }
        inbox.end()
    }
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        log::info!("{}: left", self.label);
        let mut registry = sync::lock(&self.server.registry);
        let outbox = registry.peers.remove(&self.id);
        outbox.filter(|_| sync::panicking()).inspect(|outbox| outbox.finish());
        let deliveries = registry.room.leave(self.id, Instant::now());
        self.server.deliver(registry, deliveries);
    }
}
