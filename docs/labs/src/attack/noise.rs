//! Two keys again, in stage 5's own handshake: there the one in the middle has a static key too, but
//! not the server's.
//!
//! To a client that meets its server for the first time that is a server like another. One that knows
//! the key ends before it has said anything. And a login is of no use to it: what proves a password,
//! and what the server signs, are bound to the hash of the handshake, and there are two of those.
//!
//! The handshake and the records are those of the crate `snow`, so nothing here is taken from the
//! programs that are attacked. It keeps to Noise's longest message (revision 34, section 3): a record
//! of more than 65,535 bytes ends its direction.

use std::fmt;
use std::fmt::Display;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use common::crypto::schedule::fingerprint;
use common::frame;
use common::frame::CLOSE;
use common::frame::HANDSHAKE;
use common::frame::RECORD;
use common::stream::Stream;
use snow::Builder;
use snow::HandshakeState;
use snow::StatelessTransportState;

use super::relay::Attack;
use super::relay::Crossing;
use super::relay::Direction;
use super::relay::Relay;
use super::relay::Side;
use super::relay::Sink;
use super::relay::Wire;
use super::relay::on;

/// What both hellos say of their only suite.
const PROTOCOL: &str = "Noise_NX_25519_AESGCM_SHA256";
/// The hellos: magic, version, and the suites offered (one, with their number) or chosen.
const HELLO_C: &[u8] = b"CHT5\x01\x01\x01";
const HELLO_S: &[u8] = b"CHT5\x01\x01";
/// Bytes of a public key, which is the rest of the client's message.
const KEY: usize = 32;
/// Bytes of a tag.
const TAG: usize = 16;
/// The kind of a login's first frame, which says of the server who may come in, and its body where
/// everybody may.
const WELCOME: u8 = 0x30;
const OPEN: &[u8] = &[0];

/// Exercise *the man in the middle*: as [`Relay::start`], but the attack is handed what is in the
/// records, decrypted, and what it sends is encrypted again. Both sessions, as the two victims see
/// them, are in the transcript.
///
/// # Errors
/// As [`Relay::start`].
pub fn start(server: SocketAddr, attack: impl Attack) -> io::Result<Relay> {
    Relay::start_with(server, open, attack)
}

/// Exercise *the open door*: tells the client that nobody has to log in here, whatever the server
/// says, so that it goes on without.
pub fn open_door() -> impl Attack {
    on(Direction::ToClient, 0, |frame: Crossing, wire: &mut Wire| {
        wire.send(frame.direction, WELCOME, OPEN);
    })
}

/// Both handshakes: first all of the one with the client.
fn open(client: &Stream, server: &Stream) -> Result<([Side; 2], Vec<String>)> {
    let with_client = accept(client.clone(), client.clone()).context("no session: the client")?;
    let with_server = connect(server.clone(), server.clone()).context("no session: the server")?;
    let sessions = vec![with_client.to_string(), with_server.to_string()];
    Ok(([with_client.side(client), with_server.side(server)], sessions))
}

/// One end of a session, which may say anything.
pub struct Session {
    /// The public key of its server.
    pub key: [u8; KEY],
    /// The hash of its handshake.
    pub hash: [u8; 32],
    /// What goes to the other end.
    pub sends: Sends,
    /// What comes from there.
    pub receives: Receives,
}

/// The sending half of a [`Session`].
pub struct Sends {
    frames: frame::Writer<Box<dyn Write + Send>>,
    records: Arc<StatelessTransportState>,
    number: u64,
}

/// The receiving half of a [`Session`].
pub struct Receives {
    frames: frame::Reader<Box<dyn Read + Send>>,
    records: Arc<StatelessTransportState>,
    number: u64,
}

/// A client's end.
///
/// # Errors
/// If there is no session.
pub fn connect<R, W>(reads: R, writes: W) -> Result<Session>
where
    R: Read + Send + 'static,
    W: Write + Send + 'static,
{
    let (mut frames, mut answers) = frames(reads, writes);
    let prologue = [HELLO_C, HELLO_S].concat();
    let mut noise = Builder::new(PROTOCOL.parse()?).prologue(&prologue)?.build_initiator()?;
    send(&mut frames, HANDSHAKE, &[HELLO_C, &written(&mut noise)?].concat())?;
    let answer = handshake(&mut answers)?;
    let message = answer.strip_prefix(HELLO_S).context("another hello of the server")?;
    noise.read_message(message, &mut [])?;
    let key = noise.get_remote_static().context("no key")?.try_into()?;
    Session::new(noise, key, frames, answers)
}

/// A server's end, with a new static key.
///
/// # Errors
/// If there is no session.
pub fn accept<R, W>(reads: R, writes: W) -> Result<Session>
where
    R: Read + Send + 'static,
    W: Write + Send + 'static,
{
    let (mut frames, mut messages) = frames(reads, writes);
    let message = handshake(&mut messages)?;
    let (hello, e) = message.split_last_chunk::<KEY>().context("no key of the client")?;
    ensure!(hello.starts_with(b"CHT5"), "another handshake of the client");
    let pair = Builder::new(PROTOCOL.parse()?).generate_keypair()?;
    let prologue = [hello, HELLO_S].concat();
    let noise = Builder::new(PROTOCOL.parse()?).prologue(&prologue)?;
    let mut noise = noise.local_private_key(&pair.private)?.build_responder()?;
    noise.read_message(e, &mut [])?;
    send(&mut frames, HANDSHAKE, &[HELLO_S, &written(&mut noise)?].concat())?;
    let key = pair.public.as_slice().try_into()?;
    Session::new(noise, key, frames, messages)
}

/// The two halves of a connection.
type Frames = (frame::Writer<Box<dyn Write + Send>>, frame::Reader<Box<dyn Read + Send>>);

fn frames<R, W>(reads: R, writes: W) -> Frames
where
    R: Read + Send + 'static,
    W: Write + Send + 'static,
{
    let writer = frame::Writer::new(Box::new(writes) as Box<dyn Write + Send>, "victim");
    (writer, frame::Reader::new(Box::new(reads) as Box<dyn Read + Send>, "victim"))
}

/// What comes next of a handshake, with an empty payload.
fn written(noise: &mut HandshakeState) -> Result<Vec<u8>> {
    // Two public keys and two tags are the longest.
    let mut message = vec![0; 2 * (KEY + TAG)];
    let length = noise.write_message(&[], &mut message)?;
    message.truncate(length);
    Ok(message)
}

fn handshake<R: Read>(frames: &mut frame::Reader<R>) -> Result<Vec<u8>> {
    let frame = frames.read()?.context("the other side has ended")?;
    ensure!(frame.kind == HANDSHAKE, "a frame of kind {:02x} came", frame.kind);
    Ok(frame.body.to_vec())
}

fn send<W: Write>(frames: &mut frame::Writer<W>, kind: u8, body: &[u8]) -> io::Result<()> {
    frames.push(&[&[kind], body].concat())?;
    frames.write_all()
}

impl Session {
    fn new(
        noise: HandshakeState,
        key: [u8; KEY],
        writer: frame::Writer<Box<dyn Write + Send>>,
        reader: frame::Reader<Box<dyn Read + Send>>,
    ) -> Result<Session> {
        let hash = noise.get_handshake_hash().try_into()?;
        let records = Arc::new(noise.into_stateless_transport_mode()?);
        let sends = Sends { frames: writer, records: Arc::clone(&records), number: 0 };
        Ok(Session { key, hash, sends, receives: Receives { frames: reader, records, number: 0 } })
    }

    fn side(self, stream: &Stream) -> Side {
        let Session { sends, mut receives, .. } = self;
        let source = move || receives.receive().ok()?.filter(|(kind, _)| *kind != CLOSE);
        Side { source: Box::new(source), sink: Box::new(Sealed { sends, stream: stream.clone() }) }
    }
}

impl Display for Session {
    /// As the programs say it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fingerprint = fingerprint("chat5 fingerprint", &self.hash);
        write!(f, "session: kex=noise-nx cipher=aes-256-gcm fingerprint={fingerprint}")
    }
}

impl Sends {
    /// Sends a frame in a record.
    ///
    /// # Errors
    /// If the stream fails, or it is too long.
    pub fn send(&mut self, kind: u8, body: &[u8]) -> io::Result<()> {
        let record = self.seal(kind, body)?;
        self.send_plain(RECORD, &record)
    }

    /// Sends a frame as it is, where only records belong.
    ///
    /// # Errors
    /// If the stream fails.
    pub fn send_plain(&mut self, kind: u8, body: &[u8]) -> io::Result<()> {
        send(&mut self.frames, kind, body)
    }

    /// The body of the next record, with this frame in it; it counts as sent.
    ///
    /// # Errors
    /// If it is too long.
    pub fn seal(&mut self, kind: u8, body: &[u8]) -> io::Result<Vec<u8>> {
        let payload = [&[kind], body].concat();
        let mut record = vec![0; payload.len() + TAG];
        let sealed = self.records.write_message(self.number, &payload, &mut record);
        sealed.map_err(io::Error::other)?;
        self.number += 1;
        Ok(record)
    }
}

impl Receives {
    /// The next frame, as kind and body; the sealed end is one too. `None` at the end of the stream.
    ///
    /// # Errors
    /// If it is in no record, or in none that opens, or the stream fails.
    pub fn receive(&mut self) -> Result<Option<(u8, Vec<u8>)>> {
        let Some(frame) = self.frames.read()? else { return Ok(None) };
        ensure!(frame.kind == RECORD, "a frame of kind {:02x} came", frame.kind);
        let mut payload = vec![0; frame.body.len()];
        let length = self.records.read_message(self.number, frame.body, &mut payload)?;
        self.number += 1;
        payload.truncate(length);
        let (kind, body) = payload.split_first().context("a record with nothing in it")?;
        Ok(Some((*kind, body.to_vec())))
    }
}

/// Encrypts what goes to a victim.
struct Sealed {
    sends: Sends,
    stream: Stream,
}

impl Sink for Sealed {
    fn send(&mut self, kind: u8, body: &[u8]) -> io::Result<()> {
        self.sends.send(kind, body)
    }

    fn end(&mut self) -> io::Result<()> {
        self.sends.send(CLOSE, &[])?;
        self.stream.finish();
        Ok(())
    }
}
