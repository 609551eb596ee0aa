//! The server: its operator, and one client after another.
//!
//! Each client has two threads. One reads its requests, asks the room who gets what, and puts it
//! into those peers' queues. The other takes what is in its own client's queue and writes it to
//! the socket. The operator has two as well, with a face where the client has a socket.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Result;
use common::admission;
use common::face::Console;
use common::inbox::Inbox;
use common::limits::Limits;
use common::message;
use common::outbox;
use common::room;
use common::stream;
use common::sync;
use common::sync::Arc;
use common::writer::Writer;

use crate::connection;
use crate::connection::Settings;

/// What all threads of a server share.
pub struct Server {
    pub limits: Limits,
    pub settings: Settings,
    pub registry: sync::Mutex<Registry>,
}

/// The room, and the queues of the operator and of the client.
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

/// Serves clients until `listener` is stopped, as the operator does by leaving; then the client is
/// told, and what is queued goes out.
pub fn run(listener: &stream::Listener, settings: &Settings, limits: &Limits, console: Console) {
    let (limits, settings) = (limits.clone(), settings.clone());
    // Not too many connections without a hello: the one that is silent longest has to go.
    let admission = admission::Admission::new(&limits);
    let (room, operator) = room::Room::with_operator(&limits);
    let peers = BTreeMap::from([(operator, Arc::clone(&console.outbox))]);
    let registry = sync::Mutex::new(Registry { room, peers });
    let server = Arc::new(Server { limits, settings, registry });
    let asked = Arc::clone(&server);
    console.listen(listener.stop(), move |request| {
        let mut registry = sync::lock(&asked.registry);
        let deliveries = registry.room.request(operator, Ok(request), Instant::now());
        asked.deliver(registry, deliveries);
    });
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
}

impl Server {
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
        let mut inbox = Inbox::new(&self.label, &self.server.limits);
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
