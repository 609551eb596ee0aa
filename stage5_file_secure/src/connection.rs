//! A stream becomes a sending half and a receiving half, each with a key of its own.
//!
//! This is the only file that knows whether bytes are encrypted. The handshake gives both sides a
//! secret that nobody else can compute, and proves to the client which server it has it with. Where
//! there is a login, both prove that they know the password, and neither says it. With `--kex` or
//! `--cipher` it is the handshake of stage 3 instead, which proves nothing.

use std::io;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use common::cli;
use common::crypto;
use common::crypto::unauthenticated;
use common::frame;
use common::logging;
use common::name::Name;
use common::outbox::Outbox;
use common::stream::Stream;
use common::sync::Arc;
use common::writer;
use state::key;
use state::options::Login;
use state::server::Door;
use state::server::Server;

use crate::known_servers::KnownServers;
use crate::known_servers::Verdict;
use crate::login;
use crate::noise;

/// What `main.rs` chose for all connections.
#[derive(Clone)]
pub enum Settings {
    /// The handshake of stage 3: suites, and a file for keys.
    Unauthenticated(crypto::Settings),
    /// How a client knows its server, and the server the client.
    Client(Arc<Client>),
    /// How a server's clients know it, and the server its clients.
    Server(Arc<Server>),
}

/// A client's settings.
pub struct Client {
    /// Where session keys go.
    pub keylog: crypto::KeyLog,
    /// What is known of the server.
    pub server: KnownServers,
    /// Who it is, if there is a login.
    pub login: Arc<Login>,
}

/// What a connection's writing thread has.
pub struct Sender {
    frames: frame::Writer<Stream>,
    records: crypto::Encryptor,
}

/// What a connection's reading thread has.
pub struct Receiver {
    /// The frames as they are on the wire, for all questions but what is in them.
    pub frames: frame::Reader<Stream>,
    records: crypto::Decryptor,
}

/// The client's side of a new connection, and the peer's name if the connection proves it.
pub fn connect(stream: &Stream, settings: &Settings) -> Result<(Sender, Receiver, Option<Name>)> {
    let mut handshake = crypto::Handshake::over(stream)?;
    if let Settings::Unauthenticated(settings) = settings {
        return Ok(halves(unauthenticated::connect(handshake, settings)?));
    }
    let Settings::Client(client) = settings else { bail!("a server's settings are no client's") };
    // -> e
    let (noise, message) = noise::Initiator::start(&mut handshake.rng);
    handshake.send(&message)?;
    // <- e, ee, s, es
    let (session, key) = noise.finish(&handshake.receive()?)?;
    // With another key than it has to have it ends here, before anything was said.
    let verdict = client.server.check(&key)?;

    session.log_keys(&client.keylog)?;
    logging::say(&session);
    logging::say(key::said(&key, verdict == Verdict::Known, client.login.user().is_some()));
    let (mut sender, mut receiver, _) = halves(session.of_client(handshake));
    if let Err(error) = log_in(&session.hash, client, verdict, (&mut sender, &mut receiver)) {
        // The server need not think that the line was cut, if it is still there.
        let _ = sender.records.close(&mut sender.frames);
        return Err(error);
    }
    if verdict == Verdict::New {
        // Where there is a login, the password has vouched for the key.
        client.server.remember(&key)?;
    }
    Ok((sender, receiver, None))
}

/// The client's part of the login, if there is one.
fn log_in(
    hash: &[u8; 32],
    client: &Client,
    verdict: Verdict,
    (sender, receiver): (&mut Sender, &mut Receiver),
) -> Result<()> {
    // <- welcome
    let (user, password) = match (receiver.hear_exactly(login::WELCOME)?, client.login.user()) {
        ([login::OPEN], None) => return Ok(()),
        ([login::OPEN], Some(_)) => bail!(
            "this server asks for no password: it is not the one that yours is for, or was started \
             without its logins; to talk to it, leave out --login, --password-file, CHAT_PASSWORD"
        ),
        ([login::ROOM | login::ACCOUNTS], Some((user, password))) => (user, password),
        ([_], _) => bail!("this server asks for a password: add --login NAME"),
    };
    // -> user
    sender.say(login::USER, user.as_str().as_bytes())?;
    // <- salt
    let salt = receiver.hear_exactly(login::SALT_OF_USER)?;
    // -> proof
    let attempt = login::Client::new(login::Login { hash, user: &user, salt: &salt }, &password)?;
    sender.say(login::PROOF, &attempt.proof)?;
    // <- signature, or fail
    let signature = receiver.hear_exactly(login::SIGNATURE).map_err(|error| {
        let failed = match verdict {
            Verdict::Known => "wrong name or password",
            Verdict::New => "wrong password, or not your server",
        };
        if error.is::<login::Failed>() { cli::NotLoggedIn(failed).into() } else { error }
    })?;
    ensure!(attempt.is_signed(&signature), "the server does not know your password");
    Ok(())
}

/// The server's side of a new connection, and the peer's name if the connection proves it.
pub fn accept(stream: &Stream, settings: &Settings) -> Result<(Sender, Receiver, Option<Name>)> {
    let mut handshake = crypto::Handshake::over(stream)?;
    if let Settings::Unauthenticated(settings) = settings {
        return Ok(halves(unauthenticated::accept(handshake, settings)?));
    }
    let Settings::Server(server) = settings else { bail!("a client's settings are no server's") };
    // -> e
    let message = handshake.receive_or_refuse()?;
    // <- e, ee, s, es
    let answered = noise::respond(&message, &server.key, &mut handshake.rng);
    let (answer, session) = answered.inspect_err(|error| handshake.refuse(error))?;
    handshake.send(&answer)?;

    session.log_keys(&server.keylog)?;
    log::info!("{}: {session}", stream.peer());
    let (mut sender, mut receiver, _) = halves(session.of_server(handshake));
    // <- welcome
    match server.door {
        Door::Open => {
            sender.say(login::WELCOME, &[login::OPEN])?;
            return Ok((sender, receiver, None));
        }
        Door::Room(_) => sender.say(login::WELCOME, &[login::ROOM])?,
        Door::Accounts(_) => sender.say(login::WELCOME, &[login::ACCOUNTS])?,
    }
    // -> user
    let user = str::from_utf8(&receiver.hear(login::USER)?)?.parse()?;
    server.wait_for_attempt(&user, stream).or_else(|early| sender.fail(early))?;
    // The same work, whether there is such a user or not.
    let unknown = login::unknown(&server.unknown, &user);
    let found = server.verifier(&user).or_else(|error| sender.fail(error))?;
    let verifier = found.unwrap_or(unknown);
    // <- salt
    sender.say(login::SALT_OF_USER, &verifier.salt)?;
    // -> proof
    let proof = receiver.hear_exactly(login::PROOF)?;
    // <- signature, or fail
    let Some(signature) = login::verify(&verifier, (&session.hash, &user), &proof) else {
        return sender
            .fail(anyhow::anyhow!("{user} did not log in: no such name, or not its password"));
    };
    sender.say(login::SIGNATURE, &signature)?;
    Ok((sender, receiver, server.logged_in(user, stream)))
}

/// What both kinds of handshake lead to.
fn halves(
    (sends, receives): (unauthenticated::Sending, unauthenticated::Receiving),
) -> (Sender, Receiver, Option<Name>) {
    let sender = Sender { frames: sends.0, records: sends.1 };
    let receiver = Receiver { frames: receives.0, records: receives.1 };
    (sender, receiver, None)
}

impl Sender {
    /// Sends what is queued, to the end; each frame is encrypted for this peer alone.
    pub fn send_queued(&mut self, outbox: &Outbox) -> io::Result<()> {
        let Sender { frames, records } = self;
        writer::send_queued(frames, outbox, |frames, frame| records.push(frames, frame.payload()))?;
        records.close(frames)
    }

    /// Sends a frame of the login.
    fn say(&mut self, kind: u8, body: &[u8]) -> io::Result<()> {
        self.records.push(&mut self.frames, &[&[kind], body].concat())?;
        self.frames.write_all()
    }

    /// Refuses a login. The reason is for the log, and not for who may be an attacker.
    fn fail<T>(&mut self, reason: impl Into<anyhow::Error>) -> Result<T> {
        // Where they have gone, the reason is logged all the same.
        let _ = self.say(login::FAIL, &[]).and_then(|()| self.records.close(&mut self.frames));
        Err(reason.into())
    }
}

impl Receiver {
    /// The next frame, or `None` where the peer has ended its direction.
    pub fn receive(&mut self) -> Result<Option<frame::Frame<'_>>, frame::Error> {
        self.records.next(self.frames.read()?)
    }

    /// The body of the next frame, which has to be of this kind: nothing else is read during a login.
    fn hear(&mut self, kind: u8) -> Result<Vec<u8>> {
        let frame = self.receive()?.context("the other side ended the connection at the login")?;
        match frame.kind {
            login::FAIL => Err(login::Failed.into()),
            came if came == kind => Ok(frame.body.to_vec()),
            came => bail!("a frame of kind {came:02x} came where one of {kind:02x} was due"),
        }
    }

    /// The same, of a certain length.
    fn hear_exactly<const N: usize>(&mut self, kind: u8) -> Result<[u8; N]> {
        let body = <[u8; N]>::try_from(self.hear(kind)?).ok();
        body.with_context(|| format!("a frame of kind {kind:02x} has another length"))
    }
}
