//! The handshake of stages 2 and 3, in frames of kind `20`. It is **not authenticated**: each side
//! learns that it has a secret with somebody, and not with whom.
//!
//! ```text
//! C→S  "CHT2" 01  random_c(32)  kex  cipher             what the client allows, 00 = any
//! S→C  "CHT2" 01  random_s(32)  kex  cipher  share_s    what the server chose
//! C→S  share_c
//! S→C  the secret                                       with rsa2048-client: encrypted to share_c
//! ```
//!
//! Every body is hashed into the transcript, in the order in which it crosses the wire.

use std::fmt::Display;
use std::io;
use std::io::Read;
use std::io::Write;

use rand::CryptoRng;
use rand::SeedableRng;
use rand::TryRng;
use rand::rand_core::UnwrapErr;
use rand::rngs::StdRng;
use rand::rngs::SysError;
use rand::rngs::SysRng;
use sha2::Digest;
use sha2::Sha256;
use thiserror::Error;

use crate::crypto::Private;
use crate::crypto::Session;
use crate::crypto::kex::BadShare;
use crate::crypto::kex::Last;
use crate::crypto::suite::Allowed;
use crate::crypto::suite::NoSuite;
use crate::crypto::suite::Suite;
use crate::escape;
use crate::frame;
use crate::frame::Reader;
use crate::frame::Writer;
use crate::message;
use crate::message::Bye;
use crate::message::Event;
use crate::message::Reason;
use crate::message::Unreadable;
use crate::stream::Stream;

/// What both hellos begin with: the name of the handshake and its version.
const MAGIC: &[u8; 4] = b"CHT2";
/// What those of stage 5 begin with.
const AUTHENTICATED: &[u8; 4] = b"CHT5";
const VERSION: u8 = 1;
/// The length of both hellos, without a share.
const HELLO: usize = MAGIC.len() + 1 + 32 + 2;
/// Most bytes of what cannot be understood that an error quotes.
const QUOTED: usize = 40;
/// Most bytes of the other side's reason that an error repeats.
const REASON: usize = 300;

/// Why there is no handshake.
#[derive(Debug, Error)]
pub enum Error {
    /// The stream failed, or ended inside a frame.
    #[error(transparent)]
    Frame(#[from] frame::Error),
    /// The stream ended.
    #[error("the other side ended the connection during the handshake")]
    Ended,
    /// The other side says why it does not go on; escaped and not too long, for it goes to the log.
    #[error("{0}")]
    Refused(String),
    /// The other side says that it does not know what a handshake is.
    #[error("this server knows no handshake: start server and client from the same stage ({0})")]
    NoHandshake(String),
    /// A frame that has no place here.
    #[error(
        "a handshake was due, and a frame of kind {0:02x} came: start server and client from the \
         same stage"
    )]
    NotAHandshake(u8),
    /// The handshake of stage 5.
    #[error(
        "this side speaks the unauthenticated handshake CHT2, and the other side CHT5: start server \
         and client from the same stage, and there both with --kex or --cipher or both without"
    )]
    Authenticated,
    /// It does not begin with "CHT2".
    #[error("this stage speaks the handshake CHT2, and the other side began with: {0}")]
    Magic(String),
    /// Another version.
    #[error("this stage speaks version {VERSION} of the handshake, the other side {0}")]
    Version(u8),
    /// A hello of another length.
    #[error("a hello of {0} bytes instead of {HELLO}")]
    Length(usize),
    /// There is no suite that both allow.
    #[error(transparent)]
    NoSuite(#[from] NoSuite),
    /// The other side's share makes no secret.
    #[error(transparent)]
    Share(#[from] BadShare),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        frame::Error::from(error).into()
    }
}

/// 32 random bytes of one side, so that no two transcripts are the same.
pub type Random = [u8; 32];

/// A handshake in progress.
pub struct Handshake<R = Stream, W = Stream, G = UnwrapErr<SysRng>> {
    /// Where the frames go, during the handshake and after it.
    pub writer: Writer<W>,
    /// Where they come from.
    pub reader: Reader<R>,
    /// For random bytes and private keys. It is the operating system's: a generator of our own would
    /// keep in memory what a private key can be computed from, long after that is wiped.
    pub rng: G,
    transcript: Sha256,
    random_c: Random,
}

impl Handshake {
    /// On a connection on which nothing has been said yet.
    ///
    /// # Errors
    /// If the operating system has no random numbers.
    pub fn over(stream: &Stream) -> Result<Handshake, SysError> {
        let writer = Writer::new(stream.clone(), stream.peer());
        let reader = Reader::new(stream.clone(), stream.peer());
        // Where there are some there will be more.
        Ok(Handshake::new(writer, reader, rng()?))
    }
}

/// The operating system's generator.
///
/// # Errors
/// If it has no random numbers.
pub fn rng() -> Result<UnwrapErr<SysRng>, SysError> {
    SysRng.try_next_u32()?;
    Ok(UnwrapErr(SysRng))
}

impl<R: Read, W: Write, G: CryptoRng> Handshake<R, W, G> {
    /// With a generator.
    pub fn new(writer: Writer<W>, reader: Reader<R>, rng: G) -> Handshake<R, W, G> {
        Handshake { writer, reader, rng, transcript: Sha256::new(), random_c: [0; 32] }
    }

    /// Client: sends the hello.
    ///
    /// # Errors
    /// If the stream fails.
    pub fn send_hello(&mut self, allowed: Allowed) -> Result<(), Error> {
        let (random, hello) = self.hello(allowed.codes());
        self.random_c = random;
        self.send(&hello)
    }

    /// Server: the client's hello, as the suite that is chosen for it. Where there is none, the
    /// client is told.
    ///
    /// # Errors
    /// If it is no hello, or there is no suite that both allow.
    pub fn receive_hello(&mut self, allowed: Allowed) -> Result<Suite, Error> {
        let received = self.receive();
        let understood = received.and_then(|hello| {
            let (random, codes, rest) = parse(&hello)?;
            if !rest.is_empty() {
                return Err(Error::Length(hello.len()));
            }
            self.random_c = random;
            Ok(allowed.choose(codes)?)
        });
        if let Err(error) = &understood
            && !matches!(error, Error::Frame(_) | Error::Ended)
        {
            self.refuse(error);
        }
        understood
    }

    /// Server: answers with the suite and the server's share.
    ///
    /// # Errors
    /// If the stream fails.
    pub fn answer_hello(&mut self, suite: Suite, share: &[u8]) -> Result<(), Error> {
        let (_, mut answer) = self.hello(suite.codes());
        answer.extend_from_slice(share);
        self.send(&answer)
    }

    /// Client: the server's answer, as the suite and the server's share.
    ///
    /// # Errors
    /// If it is no answer, or a suite that was not allowed.
    pub fn receive_answer(&mut self, allowed: Allowed) -> Result<(Suite, Vec<u8>), Error> {
        let answer = self.receive()?;
        let (_, codes, share) = parse(&answer)?;
        Ok((allowed.check(codes)?, share.to_vec()))
    }

    /// Sends a body.
    ///
    /// # Errors
    /// If the stream fails.
    pub fn send(&mut self, body: &[u8]) -> Result<(), Error> {
        self.transcript.update(body);
        self.push(&[&[frame::HANDSHAKE], body].concat())?;
        Ok(())
    }

    /// The other side's next body.
    ///
    /// # Errors
    /// If something else came, or nothing.
    pub fn receive(&mut self) -> Result<Vec<u8>, Error> {
        let frame = self.reader.read()?.ok_or(Error::Ended)?;
        match frame.kind {
            frame::HANDSHAKE => {
                self.transcript.update(frame.body);
                Ok(frame.body.to_vec())
            }
            frame::MESSAGE => match message::decode(frame) {
                Ok(Event::Bye(bye)) => {
                    let why = escape::bytes(bye.text.as_bytes(), REASON);
                    let knows = bye.text != Unreadable::Kind(frame::HANDSHAKE).to_string();
                    Err(if knows { Error::Refused(why) } else { Error::NoHandshake(why) })
                }
                _ => Err(Error::NotAHandshake(frame::MESSAGE)),
            },
            kind => Err(Error::NotAHandshake(kind)),
        }
    }

    /// Server: the client's first body. Whoever sends something else is told.
    ///
    /// # Errors
    /// As [`Handshake::receive`].
    pub fn receive_or_refuse(&mut self) -> Result<Vec<u8>, Error> {
        let received = self.receive();
        if let Err(error) = &received
            && !matches!(error, Error::Frame(_) | Error::Ended)
        {
            self.refuse(error);
        }
        received
    }

    /// The session that follows from the key exchange and from all that was said. Where the
    /// exchange has a last body, that is sent or received first.
    ///
    /// # Errors
    /// If the other side's share makes no secret, or the stream fails.
    pub fn derive(
        &mut self,
        suite: Suite,
        private: Private,
        share: &[u8],
    ) -> Result<Session, Error> {
        let secret = match private.last(share)? {
            Last::Nothing => private.agree(share)?,
            Last::Send(body) => {
                self.send(&body)?;
                private.agree(share)?
            }
            Last::Receive => private.agree(&self.receive()?)?,
        };
        let salt = self.transcript.clone().finalize().into();
        Ok(Session::derive(suite, self.random_c, salt, &secret))
    }

    /// A generator for initialisation vectors, which are no secrets.
    pub fn ivs(&mut self) -> StdRng {
        StdRng::from_rng(&mut self.rng)
    }

    /// A hello without a share, and the random bytes in it.
    fn hello(&mut self, codes: [u8; 2]) -> (Random, Vec<u8>) {
        let mut random = [0; 32];
        self.rng.fill_bytes(&mut random);
        (random, [&MAGIC[..], &[VERSION], &random, &codes].concat())
    }

    /// Tells a client in plaintext why there will be no session. This is before any secret, and
    /// a client of another stage can read it.
    pub fn refuse(&mut self, why: impl Display) {
        let bye = Event::Bye(Bye::new(Reason::Protocol, why.to_string()));
        // The connection ends anyway.
        let _ = self.push(message::encode(&bye).payload());
    }

    fn push(&mut self, payload: &[u8]) -> io::Result<()> {
        self.writer.push(payload)?;
        self.writer.write_all()
    }
}

/// The random bytes and the suite's codes in a hello, and what follows them.
fn parse(hello: &[u8]) -> Result<(Random, [u8; 2], &[u8]), Error> {
    let short = || Error::Length(hello.len());
    let rest = match hello.strip_prefix(MAGIC) {
        Some(rest) => rest,
        None if hello.is_empty() => return Err(short()),
        None if hello.starts_with(AUTHENTICATED) => return Err(Error::Authenticated),
        None => return Err(Error::Magic(escape::bytes(hello, QUOTED))),
    };
    let (version, rest) = rest.split_first().ok_or_else(short)?;
    if *version != VERSION {
        return Err(Error::Version(*version));
    }
    let (random, rest) = rest.split_first_chunk().ok_or_else(short)?;
    let (codes, rest) = rest.split_first_chunk().ok_or_else(short)?;
    Ok((*random, *codes, rest))
}

#[cfg(test)]
mod tests;
