//! The connection of stage 3 in one piece, for a stage that has it only on request: nobody proves who
//! they are. (Stage 3 has this in its `connection.rs`, step by step.)

use crate::crypto::Decryptor;
use crate::crypto::Encryptor;
use crate::crypto::Handshake;
use crate::crypto::Private;
use crate::crypto::Secret;
use crate::crypto::Session;
use crate::crypto::Settings;
use crate::crypto::handshake::Error;
use crate::frame::Reader;
use crate::frame::Writer;
use crate::logging;
use crate::stream::Stream;

/// Where frames go, and what encrypts them.
pub type Sending = (Writer<Stream>, Encryptor);
/// Where frames come from, and what decrypts them.
pub type Receiving = (Reader<Stream>, Decryptor);

/// What every client and every server says loudly, in lines of a terminal.
const WARNING: &str =
    "warning: NOT AUTHENTICATED, as --kex or --cipher asked: whoever is between you and
  the server can read and change everything, and nobody can log in";

/// The client's side of a new connection.
///
/// # Errors
/// If there is no session, or its keys cannot be written down.
pub fn connect(
    mut handshake: Handshake,
    settings: &Settings,
) -> Result<(Sending, Receiving), Error> {
    handshake.send_hello(settings.allowed)?;
    let (suite, share_s) = handshake.receive_answer(settings.allowed)?;
    let (private, share_c) = Private::answer(suite.kex, &share_s, &mut handshake.rng)?;
    handshake.send(&share_c)?;
    let session = handshake.derive(suite, private, &share_s)?;
    settings.keylog.write(&session)?;
    logging::say(session.banner());
    logging::say(WARNING);
    Ok(halves(handshake, &session, [&session.client, &session.server]))
}

/// The server's side of a new connection.
///
/// # Errors
/// If there is no session, or its keys cannot be written down.
pub fn accept(
    mut handshake: Handshake,
    settings: &Settings,
) -> Result<(Sending, Receiving), Error> {
    let suite = handshake.receive_hello(settings.allowed)?;
    let (private, share_s) = Private::generate(suite.kex, settings, &mut handshake.rng)?;
    handshake.answer_hello(suite, &share_s)?;
    let share_c = handshake.receive()?;
    let session = handshake.derive(suite, private, &share_c)?;
    settings.keylog.write(&session)?;
    log::info!("{}: {session}", handshake.writer.peer());
    Ok(halves(handshake, &session, [&session.server, &session.client]))
}

fn halves(
    mut handshake: Handshake,
    session: &Session,
    [ours, theirs]: [&Secret; 2],
) -> (Sending, Receiving) {
    let sends = Encryptor::new(session.suite.cipher, ours, handshake.ivs());
    let receives = Decryptor::new(session.suite.cipher, theirs).of(handshake.writer.peer());
    ((handshake.writer, sends), (handshake.reader, receives))
}

impl Settings {
    /// Tells the operator of a server what is not proven here.
    pub fn warn_loudly(&self) {
        logging::say(WARNING);
        self.warn();
    }
}
