//! The relay: accepts clients, and passes on what the room decides.
//!
//! Each client has two threads. One reads its requests, asks the room who gets what, and puts it
//! into those peers' queues. The other takes what is in its own client's queue and writes it to
//! the socket. So nobody writes to a socket while holding a lock, and a client that does not read
//! stops its own writing thread only.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::thread;
use std::time::Instant;

use anyhow::Result;
use common::admission::Admission;
use common::admission::Permit;
use common::frame;
use common::frame::Outgoing;
use common::heartbeat::Heartbeat;
use common::limits::Limits;
use common::message;
use common::message::Bye;
use common::message::Event;
use common::message::Reason;
use common::message::Request;
use common::message::Unreadable;
use common::name::Name;
use common::outbox::Lane;
use common::outbox::Outbox;
use common::outbox::Refused;
use common::room::Delivery;
use common::room::PeerId;
use common::room::Room;
use common::stream::Listener;
use common::stream::Stream;
use common::sync::Arc;
use common::sync::Mutex;
use common::sync::MutexGuard;
use common::sync::lock;
use common::sync::spawn;

use crate::connection;
use crate::connection::Receiver;
use crate::connection::Settings;

/// Most requests of one client that are handled under one lock: the others want it too.
const TOGETHER: usize = 256;

/// What all threads of a server share.
struct Server {
    limits: Limits,
    registry: Mutex<Registry>,
}

/// The room, and the queue of everyone in it.
struct Registry {
    room: Room,
    peers: BTreeMap<PeerId, Arc<Outbox>>,
}

/// A peer in the room, out of it when this is dropped: also when its thread panics.
struct Presence<'a> {
    server: &'a Server,
    id: PeerId,
    /// Address and name, for the log.
    label: String,
}

/// Serves clients until `listener` is stopped; then everyone is told, and what is queued goes out.
pub fn run(listener: &Listener, settings: &Settings, limits: &Limits) {
    let registry = Registry { room: Room::new(limits.typing_every), peers: BTreeMap::new() };
    let server = Arc::new(Server { limits: limits.clone(), registry: Mutex::new(registry) });
    // At most so many connections without a hello; the one silent longest has to go.
    let admission = Admission::new(limits);
    while let Some(stream) = listener.accept() {
        let peer = stream.peer();
        let permit = admission.admit(&stream);
        let (server, settings) = (Arc::clone(&server), settings.clone());
        let reader = move || serve(&server, &stream, &settings, permit);
        if let Err(error) = spawn("reader", limits.stack, reader) {
            log::warn!("{peer}: refused, no thread for it: {error}");
        }
    }
    admission.close_unfinished();
    let bye = message::encode(&Event::Bye(Bye::new(Reason::Stopping, "the server stops")));
    for outbox in lock(&server.registry).peers.values() {
        outbox.finish_with(&bye, limits.goodbye_within);
    }
    admission.wait_until_empty(2 * limits.goodbye_within);
}

/// A client's reading thread; whatever went wrong is reported here, once.
fn serve(server: &Server, stream: &Stream, settings: &Settings, mut permit: Permit) {
    let peer = stream.peer();
    if let Err(error) = handle_client(server, stream, settings, &mut permit) {
        log::info!("{peer}: {error:#}");
    }
}

fn handle_client(
    server: &Server,
    stream: &Stream,
    settings: &Settings,
    permit: &mut Permit,
) -> Result<()> {
    let (mut sender, mut receiver, proven) = connection::accept(stream.clone(), settings)?;
    let Some(first) = receiver.receive()? else {
        return Ok(());
    };
    let hello = message::decode(first);

    let outbox = Arc::new(Outbox::new(&server.limits));
    let (queue, socket) = (Arc::clone(&outbox), stream.clone());
    let goodbye_within = server.limits.goodbye_within;
    let writer = spawn("writer", server.limits.stack, move || {
        if let Err(error) = sender.send_queued(&queue) {
            log::debug!("{}: nothing more can be sent: {error:#}", socket.peer());
        }
        queue.finish();
        socket.finish();
        // The reading thread leaves at the end of the peer's stream, and unparks this one.
        thread::park_timeout(goodbye_within);
        socket.close();
    })?;

    let chatted = hello
        .map_err(Bye::from)
        .and_then(|hello| permit.seat().map(|()| hello).map_err(Bye::from))
        .and_then(|hello| server.join(stream, hello, proven.as_ref(), &outbox))
        .and_then(|presence| presence.chat(&mut receiver, &outbox));
    match &chatted {
        Ok(()) => outbox.finish(),
        Err(bye) => {
            outbox.finish_with(&message::encode(&Event::Bye(bye.clone())), goodbye_within);
            stream.drain(2 * goodbye_within);
        }
    }
    writer.thread().unpark();
    let _ = writer.join();
    Ok(chatted?)
}

impl Server {
    fn join(
        &self,
        stream: &Stream,
        hello: Request,
        proven: Option<&Name>,
        outbox: &Arc<Outbox>,
    ) -> Result<Presence<'_>, Bye> {
        let mut registry = lock(&self.registry);
        let (id, deliveries) = registry.room.join(hello, proven)?;
        registry.peers.insert(id, Arc::clone(outbox));
        let name = registry.room.name(id).map(Name::to_string);
        let label = format!("{} {}", stream.peer(), name.unwrap_or_default());
        log::info!("{label}: joined");
        let presence = Presence { server: self, id, label };
        self.deliver(registry, &deliveries);
        Ok(presence)
    }

    /// First into every queue as far as it has room, in the order that the lock gives to all;
    /// then, holding no lock, the rest into those that were full, as soon as they are not.
    fn deliver(&self, registry: MutexGuard<'_, Registry>, deliveries: &[Delivery]) {
        let mut frames = BTreeMap::<PeerId, VecDeque<Outgoing>>::new();
        for Delivery { to, event } in deliveries {
            let frame = message::encode(event);
            for id in to {
                frames.entry(*id).or_default().push_back(frame.clone());
            }
        }
        let mut full = Vec::new();
        for (id, mut frames) in frames {
            let Some(outbox) = registry.peers.get(&id) else { continue };
            if outbox.try_push(Lane::Message, &mut frames) == Err(Refused::Full) {
                full.push((Arc::clone(outbox), frames));
            }
        }
        drop(registry);
        for (outbox, frames) in full {
            if let Err(stalled) = outbox.push(Lane::Message, frames) {
                let bye = message::encode(&Event::Bye(stalled.into()));
                outbox.abandon(&bye, self.limits.goodbye_within);
            }
        }
    }
}

impl Presence<'_> {
    /// Reads requests until the client leaves.
    fn chat(&self, receiver: &mut Receiver, outbox: &Outbox) -> Result<(), Bye> {
        let limits = &self.server.limits;
        receiver.set_patience(limits.ping_after).map_err(frame::Error::from)?;
        let mut heartbeat = Heartbeat::new(limits);
        let ping = message::encode(&Event::Ping {});
        let mut unreadable = 0;
        let mut requests = Vec::new();
        loop {
            let frame = match receiver.receive() {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(()),
                Err(frame::Error::Silent) => {
                    heartbeat.silent(outbox, &ping)?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            heartbeat.heard();
            let request = message::decode(frame);
            if let Err(error) = &request {
                log::warn!("{}: unreadable message: {error}", self.label);
                unreadable += 1;
            }
            requests.push(request);
            // What came together is delivered together, with one wake-up for each recipient.
            if !receiver.is_ready() || requests.len() >= TOGETHER || unreadable >= limits.unreadable
            {
                self.handle(&mut requests);
            }
            if unreadable >= limits.unreadable {
                let text = format!("{unreadable} messages could not be read, that is enough");
                return Err(Bye::new(Reason::Protocol, text));
            }
        }
    }

    fn handle(&self, requests: &mut Vec<Result<Request, Unreadable>>) {
        let now = Instant::now();
        let mut registry = lock(&self.server.registry);
        let mut deliveries = Vec::new();
        for request in requests.drain(..) {
            match request {
                Ok(request) => deliveries.extend(registry.room.request(self.id, request, now)),
                Err(error) => {
                    let text = format!("unreadable message: {error}");
                    deliveries.push(Delivery { to: vec![self.id], event: Event::Refused { text } });
                }
            }
        }
        self.server.deliver(registry, &deliveries);
    }
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        log::info!("{}: left", self.label);
        let mut registry = lock(&self.server.registry);
        if let Some(outbox) = registry.peers.remove(&self.id)
            && thread::panicking()
        {
            outbox.finish();
        }
        let deliveries = registry.room.leave(self.id);
        self.server.deliver(registry, &deliveries);
    }
}

#[cfg(all(test, shuttle))]
#[path = "../tests/shuttle/registry.rs"]
mod registry;
