//! Records: what protects a frame after the handshake. A frame of kind `21` holds the ciphertext of
//! kind · body of the frame within.
//!
//! | [`Cipher`] | body of the record | noticed |
//! |---|---|---|
//! | `aes-256-cfb` | IV, 16 random bytes · ciphertext | nothing: a flipped bit of the ciphertext flips the same bit of the plaintext and garbles the 16 bytes after its block |
//! | `aes-256-gcm` | ciphertext · tag, 16 bytes | every change; a record that is repeated, left out or moved |
//!
//! With the feature `hybrid` also:
//!
//! | `Cipher` | body of the record | noticed |
//! |---|---|---|
//! | `fernet` | a token, in ASCII | changes within a record; **not** that a record is repeated, left out or moved, nor where the end was |
//!
//! The nonce of GCM comes from the number of the record in its direction ([`crate::crypto::aead`]). It is
//! never on the wire: both sides count.
//!
//! Under GCM each direction ends with a record that holds a frame of kind `12`, so that nobody else
//! can end it unnoticed. Fernet has no number of a record that could show it, only a time, which says
//! when the sender believes to have made it.

use std::io;
use std::io::Write;
#[cfg(feature = "hybrid")]
use std::time::SystemTime;

use ciphers::Cfb;
use ciphers::IV;
use ciphers::TAG;
use rand::Rng;
use rand::rngs::StdRng;

use crate::crypto::CipherState;
use crate::crypto::Secret;
#[cfg(feature = "hybrid")]
use crate::crypto::fernet::Fernet;
use crate::crypto::suite::Cipher;
use crate::frame;
use crate::frame::BadRecord;
use crate::frame::Frame;
use crate::frame::Writer;
use crate::logging;
use crate::pcap::Side;
use crate::stream::Stream;

/// Most bytes of kind · body that a frame has room for beside its own kind and one of those.
const LONGEST: usize = frame::MAX_LENGTH - 1 - TAG;
/// So many writes of the last record may take nothing, each of which waits for a tick of the stream:
/// three seconds in all.
const TICKS: usize = 30;

/// The sending half; where records begin with an initialisation vector, a generator makes it.
pub struct Encryptor {
    direction: Direction<Box<StdRng>>,
    /// Whose capture may show what is inside.
    stream: Option<Stream>,
}

/// The receiving half.
pub struct Decryptor {
    direction: Direction,
    /// What the log calls the other side.
    peer: String,
    /// Whose capture may show what is inside.
    stream: Option<Stream>,
    /// What was within the last record is at its beginning.
    plaintext: Vec<u8>,
    closed: bool,
}

/// A key, ready for use, and where initialisation vectors come from, if any are to be made.
enum Direction<G = ()> {
    Cfb(Cfb, G),
    Gcm(CipherState),
    #[cfg(feature = "hybrid")]
    Fernet(Box<Fernet>, G),
}

impl<G> Direction<G> {
    fn new(cipher: Cipher, key: &Secret, rng: G) -> Direction<G> {
        match cipher {
            Cipher::Cfb => Direction::Cfb(Cfb::new(key.expose()), rng),
            Cipher::Gcm => Direction::Gcm(CipherState::new(key)),
            #[cfg(feature = "hybrid")]
            Cipher::Fernet => Direction::Fernet(Box::new(Fernet::new(key)), rng),
        }
    }
}

impl From<CipherState> for Encryptor {
    /// Records as those of GCM.
    fn from(state: CipherState) -> Encryptor {
        Encryptor { direction: Direction::Gcm(state), stream: None }
    }
}

impl From<CipherState> for Decryptor {
    /// Records as those of GCM.
    fn from(state: CipherState) -> Decryptor {
        Decryptor::with(Direction::Gcm(state))
    }
}

impl Encryptor {
    /// With the key of its direction; `rng` makes the initialisation vectors.
    pub fn new(cipher: Cipher, key: &Secret, rng: StdRng) -> Encryptor {
        Encryptor { direction: Direction::new(cipher, key, Box::new(rng)), stream: None }
    }

    /// Its records go over `stream`; a capture of that may show what is inside.
    pub fn over(self, stream: &Stream) -> Encryptor {
        Encryptor { stream: Some(stream.clone()), ..self }
    }

    /// Adds a record that holds `payload`, kind · body, to what `frames` is to write.
    ///
    /// # Errors
    /// If there have been as many records as there are nonces, or the payload is empty or too long;
    /// nothing is added then.
    pub fn push<W: Write>(&mut self, frames: &mut Writer<W>, payload: &[u8]) -> io::Result<()> {
        // What cannot be sent gets no number: the other side counts what comes.
        if !(1..=LONGEST).contains(&payload.len()) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        logging::frame(frames.peer(), "-> within", payload);
        frames.push_with(frame::RECORD, |body| {
            self.body(payload, body).map_err(|bad| io::Error::other(frame::Error::from(bad)))
        })?;
        if let Some(flow) = self.stream.as_ref().and_then(Stream::flow) {
            flow.inside(Side::Local, payload);
        }
        Ok(())
    }

    /// Writes the record that ends this direction, where an end can be protected.
    ///
    /// # Errors
    /// If the stream fails, or takes nothing: whoever stopped reading does not keep a thread.
    pub fn close<W: Write>(&mut self, frames: &mut Writer<W>) -> io::Result<()> {
        if let Direction::Gcm(_) = self.direction {
            self.push(frames, &[frame::CLOSE])?;
            let mut patience = TICKS;
            while frames.pending() > 0 {
                if frames.write()? == 0 {
                    patience -= 1;
                    if patience == 0 {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
            }
        }
        Ok(())
    }

    fn body(&mut self, payload: &[u8], body: &mut Vec<u8>) -> Result<(), BadRecord> {
        match &mut self.direction {
            Direction::Cfb(key, rng) => {
                let mut iv = [0; IV];
                rng.fill_bytes(&mut iv);
                body.extend_from_slice(&iv);
                let start = body.len();
                body.extend_from_slice(payload);
                key.encrypt(&iv, body.get_mut(start..).unwrap_or_default());
            }
            Direction::Gcm(state) => {
                let start = body.len();
                body.extend_from_slice(payload);
                let tag = state.seal(&[], body.get_mut(start..).unwrap_or_default())?;
                body.extend_from_slice(&tag);
            }
            #[cfg(feature = "hybrid")]
            Direction::Fernet(fernet, rng) => {
                let mut iv = [0; IV];
                rng.fill_bytes(&mut iv);
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                fernet.encrypt(now.unwrap_or_default().as_secs(), &iv, payload, body)?;
            }
        }
        Ok(())
    }
}

impl Decryptor {
    /// With the key of its direction.
    pub fn new(cipher: Cipher, key: &Secret) -> Decryptor {
        Decryptor::with(Direction::new(cipher, key, ()))
    }

    fn with(direction: Direction) -> Decryptor {
        let (peer, stream) = (String::new(), None);
        Decryptor { direction, peer, stream, plaintext: Vec::new(), closed: false }
    }

    /// Its records come over `stream`: they are in the log as the peer's, and a capture may show what
    /// is inside.
    pub fn over(self, stream: &Stream) -> Decryptor {
        Decryptor { peer: stream.peer().to_string(), stream: Some(stream.clone()), ..self }
    }

    /// What came next: the frame within a record, or what the end of the stream means.
    ///
    /// # Errors
    /// As [`Decryptor::open`] and [`Decryptor::end`].
    pub fn next(&mut self, record: Option<Frame<'_>>) -> Result<Option<Frame<'_>>, frame::Error> {
        match record {
            Some(record) => self.open(record),
            None => self.end(),
        }
    }

    /// The frame within a record, or `None` if it is the one that ends this direction.
    ///
    /// # Errors
    /// If it is no record, or cannot be opened; nothing of it is released then.
    pub fn open(&mut self, record: Frame<'_>) -> Result<Option<Frame<'_>>, frame::Error> {
        if self.closed {
            return Err(BadRecord::AfterTheEnd.into());
        }
        if record.kind != frame::RECORD {
            return Err(BadRecord::NotARecord(record.kind).into());
        }
        let length = match self.decrypt(record.body) {
            Ok(length) => length,
            Err(bad) => {
                self.plaintext.clear();
                return Err(bad.into());
            }
        };
        let plaintext = self.plaintext.get(..length).unwrap_or_default();
        logging::frame(&self.peer, "<- within", plaintext);
        let Some(first) = plaintext.split_first() else { return Err(BadRecord::TooShort.into()) };
        if let Some(flow) = self.stream.as_ref().and_then(Stream::flow) {
            flow.inside(Side::Remote, plaintext);
        }
        match first {
            (&frame::CLOSE, []) if matches!(self.direction, Direction::Gcm(_)) => {
                self.closed = true;
                Ok(None)
            }
            (&kind, body) => Ok(Some(Frame { kind, body })),
        }
    }

    /// Decrypts the body of a record into the buffer; the bytes of kind and body in it.
    fn decrypt(&mut self, body: &[u8]) -> Result<usize, BadRecord> {
        match &mut self.direction {
            Direction::Cfb(key, ()) => {
                let (iv, ciphertext) = body.split_first_chunk::<IV>().ok_or(BadRecord::TooShort)?;
                key.decrypt(iv, ciphertext, room(&mut self.plaintext, ciphertext.len()));
                Ok(ciphertext.len())
            }
            Direction::Gcm(state) => {
                let (ciphertext, tag) =
                    body.split_last_chunk::<TAG>().ok_or(BadRecord::TooShort)?;
                let plaintext = room(&mut self.plaintext, ciphertext.len());
                state.open(&[], (ciphertext, tag), plaintext)?;
                Ok(ciphertext.len())
            }
            #[cfg(feature = "hybrid")]
            Direction::Fernet(fernet, ()) => {
                fernet.decrypt(body, &mut self.plaintext)?;
                Ok(self.plaintext.len())
            }
        }
    }

    /// What the end of the stream means: `None`, the end of this direction.
    ///
    /// # Errors
    /// If it is not the other side that has ended it, where that can be known.
    pub fn end(&self) -> Result<Option<Frame<'_>>, frame::Error> {
        match self.direction {
            Direction::Gcm(_) if !self.closed => Err(BadRecord::Truncated.into()),
            _ => Ok(None),
        }
    }
}

/// The first bytes of a buffer, which grows when it has to and keeps its size: nothing is filled for
/// each record only to be overwritten.
fn room(buffer: &mut Vec<u8>, length: usize) -> &mut [u8] {
    if buffer.len() < length {
        buffer.resize(length, 0);
    }
    buffer.get_mut(..length).unwrap_or_default()
}

#[cfg(test)]
mod close_tests;
#[cfg(test)]
mod tests;
