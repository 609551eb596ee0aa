//! A stream becomes a sending half and a receiving half, each with a key of its own.
//!
//! This is the only file that knows whether bytes are encrypted. The handshake gives both sides a
//! secret that nobody who only listens can compute. It proves to neither who the other is.

use std::io;

use anyhow::Result;
use common::crypto;
use common::frame;
use common::logging;
use common::name::Name;
use common::outbox::Outbox;
use common::stream::Stream;
use common::writer;

/// What `main.rs` chose for all connections: suites, and a file for keys.
pub type Settings = crypto::Settings;

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
    // -> "CHT2" 01, random_c, the key exchange and the cipher that this client allows
    handshake.send_hello(settings.allowed)?;
    // <- "CHT2" 01, random_s, those that the server chose, share_s
    let (suite, share_s) = handshake.receive_answer(settings.allowed)?;
    // -> share_c
    let (private, share_c) = crypto::Private::answer(suite.kex, &share_s, &mut handshake.rng)?;
    handshake.send(&share_c)?;
    // <- with --kex rsa2048-client: the secret, encrypted to share_c

    let session = handshake.derive(suite, private, &share_s)?;
    settings.keylog.write(&session, stream.flow())?;
    logging::say(session.banner());
    let records = crypto::Encryptor::new(suite.cipher, &session.client, handshake.ivs());
    let sender = Sender { frames: handshake.writer, records: records.over(stream) };
    let records = crypto::Decryptor::new(suite.cipher, &session.server).over(stream);
    let receiver = Receiver { frames: handshake.reader, records };
    Ok((sender, receiver, None))
}

/// The server's side of a new connection, and the peer's name if the connection proves it.
pub fn accept(stream: &Stream, settings: &Settings) -> Result<(Sender, Receiver, Option<Name>)> {
    let mut handshake = crypto::Handshake::over(stream)?;
    // <- "CHT2" 01, random_c, the key exchange and the cipher that the client allows
    let suite = handshake.receive_hello(settings.allowed)?;
    // -> "CHT2" 01, random_s, those that this server chooses, share_s
    let (private, share_s) = crypto::Private::generate(suite.kex, settings, &mut handshake.rng)?;
    handshake.answer_hello(suite, &share_s)?;
    // <- share_c
    let share_c = handshake.receive()?;
    // -> with --kex rsa2048-client: the secret, encrypted to share_c

    let session = handshake.derive(suite, private, &share_c)?;
    settings.keylog.write(&session, stream.flow())?;
    log::info!("{}: {session}", stream.peer());
    let records = crypto::Encryptor::new(suite.cipher, &session.server, handshake.ivs());
    let sender = Sender { frames: handshake.writer, records: records.over(stream) };
    let records = crypto::Decryptor::new(suite.cipher, &session.client).over(stream);
    let receiver = Receiver { frames: handshake.reader, records };
    Ok((sender, receiver, None))
}

impl Sender {
    /// Sends what is queued, to the end; each frame is encrypted for this peer alone.
    pub fn send_queued(&mut self, outbox: &Outbox) -> io::Result<()> {
        let Sender { frames, records } = self;
        writer::send_queued(frames, outbox, |frames, frame| records.push(frames, frame.payload()))?;
        records.close(frames)
    }
}

impl Receiver {
    /// The next frame, or `None` where the peer has ended its direction.
    pub fn receive(&mut self) -> Result<Option<frame::Frame<'_>>, frame::Error> {
        self.records.next(self.frames.read()?)
    }
}
