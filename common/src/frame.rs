//! Frames: `length: u32, big-endian` · `kind: u8` · body.
//!
//! TCP is a stream of bytes without borders; frames put the borders in. The length counts kind
//! and body, 1 to 131,072 bytes, and is checked before anything is allocated for it.
//! Both halves are generic over [`Read`] and [`Write`], so they are tested on slices.

use std::collections::VecDeque;
use std::io;
use std::io::Read;
use std::io::Write;
use std::time::Instant;

use thiserror::Error;

use crate::heartbeat::Heartbeat;
use crate::heartbeat::Lost;
use crate::logging;
use crate::stream::Stream;
use crate::sync::Arc;

/// Most bytes of kind and body together.
pub const MAX_LENGTH: usize = 131_072;
/// Bytes of the length in front.
pub const HEADER: usize = 4;

/// A message: a JSON object, UTF-8.
pub const MESSAGE: u8 = 0x10;

/// A [`Reader`]'s buffer at rest; it grows with what comes, up to one frame of the largest size.
const BUFFER: usize = 4 * 1024;
/// After writing less than this at once, a [`Writer`] keeps no more for the next time.
const SMALL: usize = 4 * 1024;

/// Why no frame came.
#[derive(Debug, Error)]
pub enum Error {
    /// The length is over [`MAX_LENGTH`].
    #[error("a frame claims {0} bytes, at most {MAX_LENGTH} are allowed")]
    TooLong(u32),
    /// The length is 0: not even a kind.
    #[error("a frame of no bytes, not even its kind")]
    Empty,
    /// The stream ended inside a frame.
    #[error("the connection ended in the middle of a frame")]
    Truncated,
    /// Nothing came before the connection's deadline.
    #[error("nothing came in time")]
    Silent,
    /// The peer was asked whether it is there, and is given up.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// The stream failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A frame that came in: it lives in its reader's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the body is.
    pub kind: u8,
    /// Everything after the kind.
    pub body: &'a [u8],
}

/// A frame on its way out: kind · body, shared by all who get it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing(Arc<[u8]>);

impl Outgoing {
    /// kind · body: what the length counts, and what an encrypted record holds.
    pub fn payload(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Outgoing {
    /// From kind · body.
    fn from(payload: Vec<u8>) -> Outgoing {
        Outgoing(payload.into())
    }
}

impl From<Outgoing> for VecDeque<Outgoing> {
    /// A single frame, where a queue takes many.
    fn from(frame: Outgoing) -> VecDeque<Outgoing> {
        VecDeque::from([frame])
    }
}

/// Takes frames out of a stream.
#[derive(Debug)]
pub struct Reader<R> {
    stream: R,
    peer: String,
    heartbeat: Option<Heartbeat>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    wanted: usize,
}

impl Reader<Stream> {
    /// The connection is made: its deadline is over, and from now on silence is `heartbeat`'s.
    ///
    /// # Errors
    /// If the system does not take the timeout.
    pub fn set_heartbeat(&mut self, heartbeat: Heartbeat) -> io::Result<()> {
        self.stream.clear_deadline(heartbeat.every())?;
        self.heartbeat = Some(heartbeat);
        Ok(())
    }
}

impl<R: Read> Reader<R> {
    /// A reader of `stream`; `peer` is what the log calls the other side.
    pub fn new(stream: R, peer: impl ToString) -> Reader<R> {
        Reader {
            stream,
            peer: peer.to_string(),
            heartbeat: None,
            buffer: vec![0; BUFFER],
            start: 0,
            end: 0,
            wanted: BUFFER,
        }
    }

    /// The next frame, or `None` where the stream ended between two frames.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn read(&mut self) -> Result<Option<Frame<'_>>, Error> {
        let mut since = None;
        let length = loop {
            if let Some(length) = self.buffered()? {
                break length;
            }
            // Bytes that are no frame yet are no sign of life.
            let since = since.get_or_insert_with(Instant::now);
            let silent = match self.fill() {
                Ok(0) if self.start == self.end => return Ok(None),
                Ok(0) => return Err(Error::Truncated),
                Ok(_) if self.buffered()?.is_some() => false,
                Ok(_) => self.heartbeat.as_ref().is_some_and(|beat| since.elapsed() > beat.every()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => false,
                Err(error) if is_timeout(&error) => true,
                Err(error) => return Err(error.into()),
            };
            if silent {
                self.heartbeat.as_mut().ok_or(Error::Silent)?.silent()?;
                *since = Instant::now();
            }
        };
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.heard();
        }
        let payload = self.start + HEADER;
        self.start = payload + length;
        let payload = self.buffer.get(payload..self.start).unwrap_or_default();
        logging::frame(&self.peer, "<-", payload);
        match payload.split_first() {
            Some((&kind, body)) => Ok(Some(Frame { kind, body })),
            None => Err(Error::Empty),
        }
    }

    /// Whether a whole frame is at hand, so that [`Reader::read`] will not wait.
    pub fn is_ready(&self) -> bool {
        matches!(self.buffered(), Ok(Some(_)))
    }

    /// The length of the frame at the front of the buffer, if all of it is there.
    fn buffered(&self) -> Result<Option<usize>, Error> {
        let bytes = self.buffer.get(self.start..self.end).unwrap_or_default();
        let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let claimed = u32::from_be_bytes(*header);
        let length = usize::try_from(claimed).unwrap_or(usize::MAX);
        match length {
            0 => Err(Error::Empty),
            length if length > MAX_LENGTH => Err(Error::TooLong(claimed)),
            length if length > rest.len() => Ok(None),
            length => Ok(Some(length)),
        }
    }

    /// Reads once into the free end of the buffer, which doubles when a read fills it and halves
    /// when little comes: an idle peer costs little, a busy one needs few system calls.
    fn fill(&mut self) -> io::Result<usize> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let size = self.wanted.max(self.end);
        if size != self.buffer.len() {
            self.buffer.resize(size, 0);
            self.buffer.shrink_to_fit();
        }
        let free = self.buffer.get_mut(self.end..).unwrap_or_default();
        let read = self.stream.read(free)?;
        self.wanted = match read {
            read if read == free.len() => (size * 2).min(HEADER + MAX_LENGTH),
            read if read < size / 4 => (size / 2).max(BUFFER),
            _ => size,
        };
        self.end += read;
        Ok(read)
    }
}

/// Puts frames into a stream, many with one system call.
#[derive(Debug)]
pub struct Writer<W> {
    stream: W,
    peer: String,
    buffer: Vec<u8>,
    written: usize,
}

impl<W: Write> Writer<W> {
    /// A writer to `stream`; `peer` is what the log calls the other side.
    pub fn new(stream: W, peer: impl ToString) -> Writer<W> {
        Writer { stream, peer: peer.to_string(), buffer: Vec::new(), written: 0 }
    }

    /// Adds a frame to what is to be written.
    ///
    /// # Errors
    /// If kind and body are together more than [`MAX_LENGTH`] bytes, or none.
    pub fn push(&mut self, payload: &[u8]) -> io::Result<()> {
        let length = match u32::try_from(payload.len()) {
            Ok(length) if (1..=MAX_LENGTH).contains(&payload.len()) => length,
            _ => return Err(io::Error::from(io::ErrorKind::InvalidInput)),
        };
        logging::frame(&self.peer, "->", payload);
        self.buffer.extend_from_slice(&length.to_be_bytes());
        self.buffer.extend_from_slice(payload);
        Ok(())
    }

    /// Bytes that are still to be written.
    pub fn pending(&self) -> usize {
        self.buffer.len() - self.written
    }

    /// Writes with one system call and says how much the stream took: 0 if none within its
    /// write timeout.
    ///
    /// # Errors
    /// If the stream fails.
    pub fn write(&mut self) -> io::Result<usize> {
        let rest = self.buffer.get(self.written..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(0);
        }
        match self.stream.write(rest) {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Ok(took) => {
                self.written += took;
                if self.pending() == 0 {
                    // A busy peer keeps its buffer, an idle one does not.
                    if self.written < SMALL && self.buffer.capacity() > SMALL {
                        self.buffer = Vec::new();
                    }
                    self.buffer.clear();
                    self.written = 0;
                }
                Ok(took)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            // Windows: a send that timed out may have taken some of the bytes and does not say
            // how many, so that connection is lost.
            Err(error) if is_timeout(&error) && !cfg!(windows) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// The stream below, to close it.
    pub fn stream(&self) -> &W {
        &self.stream
    }
}

/// Whether a socket's read or write timeout ran out: named differently on Unix and Windows.
fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
