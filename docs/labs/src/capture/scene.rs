//! A stage's server and its clients in one thread, without sockets: what they say is decided by the
//! code of the stages, and what is left to chance there comes from a seed here.
//!
//! What a server does in several threads, in an order that nobody knows before, is done here one
//! after the other: who has been here longest gets everything first.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::fs;
use std::io;
use std::io::Read;
use std::io::Write;
use std::mem;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::time::Duration;
use std::time::Instant;
use std::time::UNIX_EPOCH;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use common::crypto::CipherState;
use common::crypto::Decryptor;
use common::crypto::Encryptor;
use common::crypto::Handshake;
use common::crypto::KeyLog;
use common::crypto::Private;
use common::crypto::Secret;
use common::crypto::Settings;
use common::crypto::stretch::SALT;
use common::crypto::suite::Allowed;
use common::crypto::suite::Cipher;
use common::frame;
use common::frame::Frame;
use common::frame::Outgoing;
use common::inbox::Inbox;
use common::limits::Limits;
use common::message;
use common::message::Bye;
use common::message::Request;
use common::name::Name;
use common::outbox::Outbox;
use common::pcap::Capture;
use common::pcap::Flow;
use common::pcap::Side;
use common::room;
use common::room::Delivery;
use common::room::PeerId;
use common::room::Room;
use common::writer;
use rand::Rng;
use rand::SeedableRng;
use rand::rngs::StdRng;
use state::password::Password;
use tempfile::TempDir;
use x25519_dalek::StaticSecret;

use super::login;
use super::noise;
use super::wire::Accident;
use super::wire::Clock;
use super::wire::Wire;

/// Monday, 5 January 2026, 09:00 UTC.
const START: Duration = Duration::from_secs(1_767_603_600);
/// The port of the first client; the next ones follow.
const FIRST_PORT: u16 = 40001;
/// What a message takes from one side to the other.
const WAY: Duration = Duration::from_micros(150);
/// What Argon2 takes.
const STRETCHED: Duration = Duration::from_millis(25);

/// What such a capture says of itself.
const COMMENT: &str = "Made by `labs capture` from fixed seeds, so that it is the same on every \
    machine. Its keys are public and its times invented: it protects nothing and shows how things \
    look. No program of the stages can be made to do that; their keys come from the random numbers \
    of the operating system, and the system's clock says when it is.";

/// How a client's connection begins.
#[derive(Clone, Copy, Debug)]
pub enum Begins<'a> {
    /// With its hello.
    Plain,
    /// With the handshake of stages 2 and 3, of which the client allows this.
    Unauthenticated(Allowed),
    /// With the handshake of stage 5, and a login with this password.
    LogsIn(&'a str),
}

/// A server whose capture is being made.
pub struct Scene {
    clock: Clock,
    /// Where the room's time begins, which nobody sees.
    began: Instant,
    capture: Capture,
    made: Receiver<Vec<u8>>,
    keylog: KeyLog,
    keys: TempDir,
    rng: StdRng,
    address: SocketAddr,
    next_port: u16,
    limits: Limits,
    files: bool,
    room: Room,
    operator: Option<PeerId>,
    /// Stage 5's static key.
    key: StaticSecret,
    peers: BTreeMap<PeerId, Connection>,
}

/// What has been made.
pub struct Made {
    /// The capture.
    pub capture: Vec<u8>,
    /// The keys of its sessions; empty where nothing is encrypted.
    pub keys: String,
}

/// A client and the server's part of its connection.
struct Connection {
    client: End,
    server: End,
    inbox: Inbox,
}

/// Either side of a connection.
struct End {
    frames: frame::Writer<Wire>,
    reader: frame::Reader<Wire>,
    protection: Protection,
}

/// What is between frames and the wire.
#[derive(Default)]
struct Protection {
    /// In an encrypted stage.
    records: Option<Records>,
    /// At the server, whose capture is told what is inside records.
    flow: Option<Rc<Flow>>,
}

struct Records {
    sends: Encryptor,
    receives: Decryptor,
    /// Each direction ends with a record that says so.
    have_end: bool,
}

/// What the capture is written to: hands it over when its writing thread is done with it.
struct Paper {
    written: Vec<u8>,
    done: Sender<Vec<u8>>,
}

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Paper {
    fn drop(&mut self) {
        // Nobody waits for it where an error was faster.
        let _ = self.done.send(mem::take(&mut self.written));
    }
}

impl Scene {
    /// The server of the stage of this number, and all that is to be random.
    ///
    /// # Errors
    /// If the system has no thread or no folder for it.
    pub fn new(stage: u8, seed: u64) -> Result<Scene> {
        let clock = Clock::new(UNIX_EPOCH + START);
        let (done, made) = mpsc::channel();
        let paper = Paper { written: Vec::new(), done };
        let says = clock.clone();
        let capture = Capture::reproducible(paper, COMMENT, move || says.now())?;
        let keys = tempfile::tempdir()?;
        let keylog = KeyLog::append(&keys.path().join("keys"))?;
        let mut rng = StdRng::seed_from_u64(seed);
        let limits = Limits::default();
        let (files, has_operator) = (stage >= 4, stage == 2);
        let (room, operator) = match (files, has_operator) {
            (true, _) => (Room::with_files(&limits), None),
            (_, false) => (Room::new(&limits), None),
            (_, true) => {
                let (room, operator) = Room::with_operator(&limits);
                (room, Some(operator))
            }
        };
        Ok(Scene {
            clock,
            began: Instant::now(),
            capture,
            made,
            keylog,
            keys,
            key: StaticSecret::random_from_rng(&mut rng),
            rng,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 7000 + u16::from(stage))),
            next_port: FIRST_PORT,
            limits,
            files,
            room,
            operator,
            peers: BTreeMap::new(),
        })
    }

    /// From now on the capture shows what is inside records.
    pub fn show_plaintext(&mut self) {
        self.keylog.with_plaintext = true;
    }

    /// A generator, for what a client makes itself.
    pub fn generator(&mut self) -> StdRng {
        StdRng::from_rng(&mut self.rng)
    }

    /// Nobody does anything for so long.
    pub fn wait(&self, time: Duration) {
        self.clock.pass(time);
    }

    /// A client connects, and comes into the room.
    ///
    /// # Errors
    /// If it does not come so far.
    pub fn joins(&mut self, name: &str, begins: Begins<'_>) -> Result<PeerId> {
        let name = name.parse::<Name>()?;
        let client = SocketAddr::from((Ipv4Addr::LOCALHOST, self.next_port));
        self.next_port += 1;
        let flow = Rc::new(self.capture.flow(self.address, client, Side::Remote));
        let (client, server) = Wire::pair(Rc::clone(&flow), self.clock.clone());
        let (mut client, mut server, proven) = match begins {
            Begins::Plain => (End::plain(client), End::plain(server), None),
            Begins::Unauthenticated(allowed) => {
                let (client, server) = self.shakes_hands([client, server], allowed, &flow)?;
                (client, server, None)
            }
            Begins::LogsIn(password) => {
                let (client, server) = self.logs_in([client, server], &name, password, &flow)?;
                (client, server, Some(name.clone()))
            }
        };

        self.wait(WAY);
        client.send([message::hello(&name)])?;
        self.wait(WAY);
        let hello = message::decode(server.receive()?.context("no hello")?)?;
        let (id, name, deliveries) = self.room.join(hello, proven)?;
        let inbox = Inbox::new(name.as_str(), &self.limits);
        let inbox = if self.files { inbox.with_files() } else { inbox };
        self.peers.insert(id, Connection { client, server, inbox });
        self.deliver(deliveries)?;
        Ok(id)
    }

    /// The handshake of stages 2 and 3, as in stage 3's `connection.rs`, both sides in turn.
    fn shakes_hands(
        &mut self,
        [client, server]: [Wire; 2],
        allowed: Allowed,
        flow: &Rc<Flow>,
    ) -> Result<(End, End)> {
        let (mut client, mut server) = (self.handshake(client), self.handshake(server));
        let settings = Settings { keylog: self.keylog.clone(), ..Settings::default() };
        client.send_hello(allowed)?;
        self.wait(WAY);
        let suite = server.receive_hello(settings.allowed)?;
        let (private_s, share_s) = Private::generate(suite.kex, &settings, &mut server.rng)?;
        server.answer_hello(suite, &share_s)?;
        self.wait(WAY);
        let (suite, share_s) = client.receive_answer(allowed)?;
        let (private_c, share_c) = Private::answer(suite.kex, &share_s, &mut client.rng)?;
        client.send(&share_c)?;
        self.wait(WAY);
        let share_c = server.receive()?;

        let session = client.derive(suite, private_c, &share_s)?;
        let (cipher, have_end) = (suite.cipher, suite.cipher == Cipher::Gcm);
        let sends = Encryptor::new(cipher, &session.client, client.ivs());
        let receives = Decryptor::new(cipher, &session.server);
        let client = End::behind(client, Records { sends, receives, have_end }, None);
        let session = server.derive(suite, private_s, &share_c)?;
        settings.keylog.write(&session, Some(flow))?;
        let sends = Encryptor::new(cipher, &session.server, server.ivs());
        let receives = Decryptor::new(cipher, &session.client);
        let server = End::behind(server, Records { sends, receives, have_end }, Some(flow));
        Ok((client, server))
    }

    /// The handshake and the login of stage 5, as in its `connection.rs`, both sides in turn.
    fn logs_in(
        &mut self,
        [client, server]: [Wire; 2],
        user: &Name,
        password: &str,
        flow: &Rc<Flow>,
    ) -> Result<(End, End)> {
        let password = Password::new(password.to_owned())?;
        let mut salt = [0; SALT];
        self.rng.fill_bytes(&mut salt);
        let verifier = login::verifier(&password, salt)?;
        let (mut client, mut server) = (self.handshake(client), self.handshake(server));
        let (noise, message) = noise::Initiator::start(&mut client.rng);
        client.send(&message)?;
        self.wait(WAY);
        let (answer, of_server) =
            noise::respond(&server.receive_or_refuse()?, &self.key, &mut server.rng)?;
        server.send(&answer)?;
        of_server.log_keys(&self.keylog, Some(flow))?;
        let mut server = End::sealed(server, [&of_server.server, &of_server.client], Some(flow));
        server.say(login::WELCOME, &[login::ACCOUNTS])?;
        self.wait(WAY);
        let (session, key) = noise.finish(&client.receive()?)?;
        ensure!(key == x25519_dalek::PublicKey::from(&self.key).to_bytes(), "another server");
        let mut client = End::sealed(client, [&session.client, &session.server], None);

        client.hear(login::WELCOME)?;
        client.say(login::USER, user.as_str().as_bytes())?;
        self.wait(WAY);
        let user = str::from_utf8(&server.hear(login::USER)?)?.parse::<Name>()?;
        server.say(login::SALT_OF_USER, &verifier.salt)?;
        self.wait(STRETCHED);
        let salt = client.hear(login::SALT_OF_USER)?.try_into();
        let salt = salt.ok().context("a salt of another length")?;
        let login = login::Login { hash: &session.hash, user: &user, salt: &salt };
        let attempt = login::Client::new(login, &password)?;
        client.say(login::PROOF, &attempt.proof)?;
        self.wait(WAY);
        let proof = server.hear(login::PROOF)?.try_into().ok().context("no proof")?;
        let signature = login::verify(&verifier, (&of_server.hash, &user), &proof);
        server.say(login::SIGNATURE, &signature.context("it proves nothing")?)?;
        self.wait(WAY);
        let signature = client.hear(login::SIGNATURE)?.try_into().ok().context("no signature")?;
        ensure!(attempt.is_signed(&signature), "it is not the server's");
        Ok((client, server))
    }

    fn handshake(&mut self, wire: Wire) -> Handshake<Wire, Wire, StdRng> {
        let (writer, reader) = (frame::Writer::new(wire.clone(), ""), frame::Reader::new(wire, ""));
        Handshake::new(writer, reader, self.generator())
    }

    /// A client sends these in one write.
    ///
    /// # Errors
    /// If it is not here, or the server cannot go on.
    pub fn says(&mut self, who: PeerId, requests: Vec<Request>) -> Result<()> {
        self.peer(who)?.client.send(message::frames(requests))?;
        self.wait(WAY);
        self.hears(who)
    }

    /// The same, and something happens to it on its way.
    ///
    /// # Errors
    /// As [`Scene::says`].
    pub fn says_but(&mut self, who: PeerId, what: Request, accident: Accident) -> Result<()> {
        self.peer(who)?.client.frames.stream().expect(accident);
        self.says(who, vec![what])
    }

    /// The server's operator types this.
    ///
    /// # Errors
    /// If there is none, or the server cannot go on.
    pub fn operator_says(&mut self, what: Request) -> Result<()> {
        let operator = self.operator.context("a server without an operator")?;
        let deliveries = self.room.request(operator, Ok(what), self.now());
        self.deliver(deliveries)
    }

    /// A client leaves.
    ///
    /// # Errors
    /// As [`Scene::says`].
    pub fn leaves(&mut self, who: PeerId) -> Result<()> {
        self.peer(who)?.client.finish()?;
        self.wait(WAY);
        self.hears(who)
    }

    /// The end: what has been captured.
    ///
    /// # Errors
    /// If it could not be written.
    pub fn made(self) -> Result<Made> {
        let Scene { capture, made, keys, peers, .. } = self;
        ensure!(peers.is_empty(), "somebody has not left");
        // With the last of them the capture's thread ends, and hands over what it has written.
        drop((peers, capture));
        let capture = made.recv().context("the capture is lost")?;
        Ok(Made { capture, keys: fs::read_to_string(keys.path().join("keys"))? })
    }

    /// For the room, which wants to know how much time has passed.
    fn now(&self) -> Instant {
        self.began + self.clock.passed()
    }

    fn peer(&mut self, who: PeerId) -> Result<&mut Connection> {
        self.peers.get_mut(&who).context("somebody who is not here")
    }

    /// A client's reading thread, as far as there is something to read: `Presence::chat`.
    fn hears(&mut self, who: PeerId) -> Result<()> {
        loop {
            let Connection { server, inbox, .. } = self.peer(who)?;
            if !server.is_ready() {
                return Ok(());
            }
            inbox.take(server.receive());
            let is_open = inbox.is_open();
            if inbox.is_full(server.reader.is_ready()) {
                let requests = inbox.requests();
                let now = self.now();
                let deliveries = self.room.requests(who, requests, now);
                self.deliver(deliveries)?;
            }
            if !is_open {
                return self.ends(who);
            }
        }
    }

    /// The end of that thread: `Presence::drop`, `Writer::end`, and at the client `Writer::leave`.
    fn ends(&mut self, who: PeerId) -> Result<()> {
        let connection = self.peers.remove(&who).context("somebody who is not here")?;
        let Connection { mut client, mut server, inbox } = connection;
        let deliveries = self.room.leave(who, self.now());
        self.deliver(deliveries)?;
        let Err(bye) = inbox.end() else { return Ok(server.finish()?) };
        server.send_queued(VecDeque::new(), &self.limits, Some(&bye))?;
        server.finish()?;
        self.wait(WAY);
        client.finish()?;
        self.wait(WAY);
        // What still comes is read and forgotten.
        let mut wire = server.frames.stream().clone();
        while wire.read(&mut [0; 4096])? > 0 {}
        Ok(())
    }

    /// Into everyone's queue, and from there to the wire at once: `Server::deliver`, and each writing
    /// thread.
    fn deliver(&mut self, deliveries: Vec<Delivery>) -> Result<()> {
        for (id, frames) in room::frames(deliveries) {
            let Some(connection) = self.peers.get_mut(&id) else { continue };
            connection.server.send_queued(frames, &self.limits, None)?;
        }
        Ok(())
    }
}

impl End {
    /// Without a handshake.
    fn plain(wire: Wire) -> End {
        let (frames, reader) = (frame::Writer::new(wire.clone(), ""), frame::Reader::new(wire, ""));
        End { frames, reader, protection: Protection::default() }
    }

    /// Behind a handshake.
    fn behind(
        handshake: Handshake<Wire, Wire, StdRng>,
        records: Records,
        flow: Option<&Rc<Flow>>,
    ) -> End {
        let Handshake { writer: frames, reader, .. } = handshake;
        let protection = Protection { records: Some(records), flow: flow.cloned() };
        End { frames, reader, protection }
    }

    /// Behind that of stage 5, with the keys for what is sent and for what is received.
    fn sealed(
        handshake: Handshake<Wire, Wire, StdRng>,
        [ours, theirs]: [&Secret; 2],
        flow: Option<&Rc<Flow>>,
    ) -> End {
        let sends = Encryptor::from(CipherState::rekeying(ours));
        let receives = Decryptor::from(CipherState::rekeying(theirs));
        End::behind(handshake, Records { sends, receives, have_end: true }, flow)
    }

    /// Whether there is something to read.
    fn is_ready(&self) -> bool {
        self.reader.is_ready() || self.frames.stream().is_ready()
    }

    /// Sends these in one write.
    fn send(&mut self, frames: impl IntoIterator<Item = Outgoing>) -> io::Result<()> {
        for frame in frames {
            self.protection.put(&mut self.frames, frame.payload())?;
        }
        self.frames.write_all()
    }

    /// Sends what is queued, and the last words: `Sender`.
    fn send_queued(
        &mut self,
        mut frames: VecDeque<Outgoing>,
        limits: &Limits,
        bye: Option<&Bye>,
    ) -> Result<()> {
        let outbox = Outbox::new(limits);
        outbox.try_push(&mut frames).ok().context("more than a queue holds")?;
        match bye {
            None => outbox.finish(),
            Some(bye) => outbox.finish_with(bye),
        }
        let End { frames, protection, .. } = self;
        writer::send_queued(frames, &outbox, |frames, frame| {
            protection.put(frames, frame.payload())
        })?;
        Ok(())
    }

    /// The next frame: `Receiver`.
    fn receive(&mut self) -> Result<Option<Frame<'_>>, frame::Error> {
        let record = self.reader.read()?;
        let Some(records) = &mut self.protection.records else { return Ok(record) };
        let is_end = record.is_none();
        let within = records.receives.next(record)?;
        if let Some(flow) = self.protection.flow.as_ref().filter(|_| !is_end) {
            let (kind, body) = within.map_or((frame::CLOSE, &[][..]), |it| (it.kind, it.body));
            flow.inside(Side::Remote, &[&[kind], body].concat());
        }
        Ok(within)
    }

    /// Sends a frame of the login.
    fn say(&mut self, kind: u8, body: &[u8]) -> io::Result<()> {
        self.send([Outgoing::from([&[kind], body].concat())])
    }

    /// The body of the next one.
    fn hear(&mut self, kind: u8) -> Result<Vec<u8>> {
        match self.receive()?.context("nothing more comes")? {
            frame if frame.kind == kind => Ok(frame.body.to_vec()),
            frame => bail!("a frame of kind {:02x} instead of {kind:02x}", frame.kind),
        }
    }

    /// Ends this direction.
    fn finish(&mut self) -> io::Result<()> {
        if let Some(records) = &mut self.protection.records {
            if let Some(flow) = self.protection.flow.as_ref().filter(|_| records.have_end) {
                flow.inside(Side::Local, &[frame::CLOSE]);
            }
            records.sends.close(&mut self.frames)?;
        }
        self.frames.stream().finish();
        Ok(())
    }
}

impl Protection {
    /// Puts a frame into what is written next.
    fn put(&mut self, frames: &mut frame::Writer<Wire>, payload: &[u8]) -> io::Result<()> {
        let Some(records) = &mut self.records else { return frames.push(payload) };
        records.sends.push(frames, payload)?;
        if let Some(flow) = &self.flow {
            flow.inside(Side::Local, payload);
        }
        Ok(())
    }
}
