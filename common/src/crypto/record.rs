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
//! The nonce of GCM is four zero bytes and the number of the record in its direction, from 0, as
//! u64 big-endian. It is never on the wire: both sides count.
//!
//! Under GCM each direction ends with a record that holds a frame of kind `12`, so that nobody else
//! can end it unnoticed. Fernet has no number of a record that could show it, only a time, which says
//! when the sender believes to have made it.

use std::io;
use std::io::Write;
#[cfg(feature = "hybrid")]
use std::time::SystemTime;

use aes::Aes256;
use aes_gcm::Aes256Gcm;
use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::KeyInit;
use cfb_mode::cipher::InnerIvInit;
use rand::Rng;
use rand::rngs::StdRng;

use crate::crypto::Secret;
#[cfg(feature = "hybrid")]
use crate::crypto::fernet::Fernet;
use crate::crypto::suite::Cipher;
use crate::frame;
use crate::frame::BadRecord;
use crate::frame::Frame;
use crate::frame::Writer;
use crate::logging;

/// Bytes of an initialisation vector, and of a tag.
const IV: usize = 16;
const TAG: usize = 16;
/// Most bytes of kind · body that a frame has room for beside its own kind and one of those.
const LONGEST: usize = frame::MAX_LENGTH - 1 - TAG;
/// So many writes of the last record may take nothing, each of which waits for a tick of the stream:
/// three seconds in all.
const TICKS: usize = 30;

/// The sending half.
pub struct Encryptor {
    direction: Direction,
    rng: StdRng,
}

/// The receiving half.
pub struct Decryptor {
    direction: Direction,
    /// What the log calls the other side.
    peer: String,
    /// What was within the last record.
    plaintext: Vec<u8>,
    closed: bool,
}

/// A key, ready for use.
enum Direction {
    Cfb(Box<Aes256>),
    Gcm {
        key: Box<Aes256Gcm>,
        count: u64,
    },
    #[cfg(feature = "hybrid")]
    Fernet(Box<Fernet>),
}

impl Direction {
    fn new(cipher: Cipher, key: &Secret) -> Direction {
        match cipher {
            Cipher::Cfb => Direction::Cfb(Box::new(Aes256::new(key.expose().into()))),
            Cipher::Gcm => {
                Direction::Gcm { key: Box::new(Aes256Gcm::new(key.expose().into())), count: 0 }
            }
            #[cfg(feature = "hybrid")]
            Cipher::Fernet => Direction::Fernet(Box::new(Fernet::new(key))),
        }
    }
}

/// The nonce of a record, from its number.
fn nonce(count: &mut u64) -> Result<[u8; 12], BadRecord> {
    let mut nonce = [0; 12];
    let (_, number) = nonce.split_at_mut(4);
    number.copy_from_slice(&count.to_be_bytes());
    // A nonce that came twice would give the key of the tags away.
    *count = count.checked_add(1).ok_or(BadRecord::TooMany)?;
    Ok(nonce)
}

impl Encryptor {
    /// With the key of its direction; `rng` makes the initialisation vectors.
    pub fn new(cipher: Cipher, key: &Secret, rng: StdRng) -> Encryptor {
        Encryptor { direction: Direction::new(cipher, key), rng }
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
        })
    }

    /// Writes the record that ends this direction, where an end can be protected.
    ///
    /// # Errors
    /// If the stream fails, or takes nothing: whoever stopped reading does not keep a thread.
    pub fn close<W: Write>(&mut self, frames: &mut Writer<W>) -> io::Result<()> {
        if let Direction::Gcm { .. } = self.direction {
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
            Direction::Cfb(aes) => {
                let mut iv = [0; IV];
                self.rng.fill_bytes(&mut iv);
                body.extend_from_slice(&iv);
                let start = body.len();
                body.extend_from_slice(payload);
                let ciphertext = body.get_mut(start..).unwrap_or_default();
                cfb_mode::Encryptor::inner_iv_init(&**aes, &iv.into()).encrypt(ciphertext);
            }
            Direction::Gcm { key, count } => {
                let nonce = nonce(count)?;
                let start = body.len();
                body.extend_from_slice(payload);
                let ciphertext = body.get_mut(start..).unwrap_or_default();
                let sealed = key.encrypt_inout_detached(&nonce.into(), &[], ciphertext.into());
                let tag = sealed.map_err(|_| BadRecord::TooMany)?;
                body.extend_from_slice(&tag);
            }
            #[cfg(feature = "hybrid")]
            Direction::Fernet(fernet) => {
                let mut iv = [0; IV];
                self.rng.fill_bytes(&mut iv);
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
        let direction = Direction::new(cipher, key);
        Decryptor { direction, peer: String::new(), plaintext: Vec::new(), closed: false }
    }

    /// Its frames are in the log as those of `peer`.
    pub fn of(self, peer: impl ToString) -> Decryptor {
        Decryptor { peer: peer.to_string(), ..self }
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
        self.plaintext.clear();
        match &mut self.direction {
            Direction::Cfb(aes) => {
                let (iv, ciphertext) =
                    record.body.split_first_chunk::<IV>().ok_or(BadRecord::TooShort)?;
                self.plaintext.extend_from_slice(ciphertext);
                let plaintext = self.plaintext.as_mut_slice();
                cfb_mode::Decryptor::inner_iv_init(&**aes, iv.into()).decrypt(plaintext);
            }
            Direction::Gcm { key, count } => {
                let (ciphertext, tag) =
                    record.body.split_last_chunk::<TAG>().ok_or(BadRecord::TooShort)?;
                let nonce = nonce(count)?;
                self.plaintext.extend_from_slice(ciphertext);
                let plaintext = self.plaintext.as_mut_slice();
                let opened =
                    key.decrypt_inout_detached(&nonce.into(), &[], plaintext.into(), tag.into());
                if opened.is_err() {
                    self.plaintext.clear();
                    return Err(BadRecord::Tampered.into());
                }
            }
            #[cfg(feature = "hybrid")]
            Direction::Fernet(fernet) => fernet.decrypt(record.body, &mut self.plaintext)?,
        }
        logging::frame(&self.peer, "<- within", &self.plaintext);
        match self.plaintext.split_first() {
            None => Err(BadRecord::TooShort.into()),
            Some((&frame::CLOSE, [])) if matches!(self.direction, Direction::Gcm { .. }) => {
                self.closed = true;
                Ok(None)
            }
            Some((&kind, body)) => Ok(Some(Frame { kind, body })),
        }
    }

    /// What the end of the stream means: `None`, the end of this direction.
    ///
    /// # Errors
    /// If it is not the other side that has ended it, where that can be known.
    pub fn end(&self) -> Result<Option<Frame<'_>>, frame::Error> {
        match self.direction {
            Direction::Gcm { .. } if !self.closed => Err(BadRecord::Truncated.into()),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod close_tests;
#[cfg(test)]
mod tests;
