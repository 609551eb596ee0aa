//! Two keys: a handshake with each side, and in the middle all is plaintext.
//!
//! To the client it is the server, to the server it is a client, and it breaks nothing: the key
//! exchange proves to neither side who the other is, whatever the suite. What is left is the
//! fingerprint: two handshakes have two of them, and people who compare them, over a way that is
//! not in the same hands, see it. Stage 5 gives the comparison to the programs: [`super::noise`].

use std::io;
use std::net::SocketAddr;

use anyhow::Context;
use anyhow::Result;
use common::crypto::Decryptor;
use common::crypto::Encryptor;
use common::crypto::Handshake;
use common::crypto::Private;
use common::crypto::Secret;
use common::crypto::Settings;
use common::crypto::suite::Allowed;
use common::crypto::suite::Choice;
use common::crypto::suite::Cipher;
use common::frame;
use common::stream::Stream;

use super::relay::Attack;
use super::relay::Relay;
use super::relay::Side;
use super::relay::Sink;

/// Exercise *the man in the middle*: as [`Relay::start`], but the attack is handed what is in the
/// records, decrypted, and what it sends is encrypted again. Both sessions, as the two victims see
/// them, are in the transcript.
///
/// # Errors
/// As [`Relay::start`].
pub fn start(server: SocketAddr, attack: impl Attack) -> io::Result<Relay> {
    Relay::start_with(server, open, attack)
}

/// Both handshakes: what the client wishes is wished of the server, and what that chooses is
/// chosen for the client, so that neither wonders.
fn open(client: &Stream, server: &Stream) -> Result<([Side; 2], Vec<String>)> {
    let mut to_client = Handshake::over(client)?;
    let mut to_server = Handshake::over(server)?;
    let allowed = wish(&to_client.receive()?).context("no hello")?;

    to_server.send_hello(allowed)?;
    let (suite, share_s) = to_server.receive_answer(allowed)?;
    let (private, share_c) = Private::answer(suite.kex, &share_s, &mut to_server.rng)?;
    to_server.send(&share_c)?;
    let with_server = to_server.derive(suite, private, &share_s)?;

    let settings = Settings::default();
    let (private, share_s) = Private::generate(suite.kex, &settings, &mut to_client.rng)?;
    to_client.answer_hello(suite, &share_s)?;
    let share_c = to_client.receive()?;
    let with_client = to_client.derive(suite, private, &share_c)?;

    let sessions = vec![with_client.to_string(), with_server.to_string()];
    // Each is the other side's counterpart: what the client encrypts with is decrypted with here.
    let client = side(to_client, suite.cipher, &with_client.client, &with_client.server);
    let server = side(to_server, suite.cipher, &with_server.server, &with_server.client);
    Ok(([client, server], sessions))
}

/// What a client's hello allows.
fn wish(hello: &[u8]) -> Option<Allowed> {
    let [kex, cipher] = hello.last_chunk()?;
    Some(Allowed { kex: known(*kex), cipher: known(*cipher) })
}

/// The choice of this code; any for 0, and for what is not known here.
fn known<T: Choice>(code: u8) -> Option<T> {
    T::value_variants().iter().copied().find(|value| value.code() == code)
}

/// A victim behind a handshake.
fn side(mut handshake: Handshake, cipher: Cipher, theirs: &Secret, ours: &Secret) -> Side {
    let encryptor = Encryptor::new(cipher, ours, handshake.ivs());
    let (mut frames, mut records) = (handshake.reader, Decryptor::new(cipher, theirs));
    let source = move || {
        let frame = records.next(frames.read().ok()?).ok()??;
        Some((frame.kind, frame.body.to_vec()))
    };
    let sink = Sealed { frames: handshake.writer, records: encryptor };
    Side { source: Box::new(source), sink: Box::new(sink) }
}

/// Encrypts what goes to a victim.
struct Sealed {
    frames: frame::Writer<Stream>,
    records: Encryptor,
}

impl Sink for Sealed {
    fn send(&mut self, kind: u8, body: &[u8]) -> io::Result<()> {
        self.records.push(&mut self.frames, &[&[kind], body].concat())?;
        self.frames.write_all()
    }

    fn end(&mut self) -> io::Result<()> {
        self.records.close(&mut self.frames)?;
        self.frames.stream().finish();
        Ok(())
    }
}
