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
use crate::limits::Limits;
use crate::logging;
use crate::outbox::Outbox;
use crate::pool::Buffer;
use crate::stream::Stream;
use crate::sync::Arc;

/// Most bytes of kind and body together.
pub const MAX_LENGTH: usize = 131_072;
/// Bytes of the length in front.
pub const HEADER: usize = 4;

/// A message: a JSON object, UTF-8.
pub const MESSAGE: u8 = 0x10;
/// A part of a file: transfer id, offset, bytes.
pub const CHUNK: u8 = 0x11;
/// The end of a direction, inside a record whose changes are noticed.
pub const CLOSE: u8 = 0x12;
/// A step of a handshake.
pub const HANDSHAKE: u8 = 0x20;
/// An encrypted record, in which is again kind · body.
pub const RECORD: u8 = 0x21;

/// What a kind of frame is called, in the log and in comments of a capture.
pub fn kind_name(kind: u8) -> &'static str {
    match kind {
        MESSAGE => "message",
        CHUNK => "file chunk",
        CLOSE => "close",
        HANDSHAKE => "handshake",
        RECORD => "record",
        0x30 => "login: welcome",
        0x31 => "login: user",
        0x32 => "login: salt",
        0x33 => "login: proof",
        0x34 => "login: signature",
        0x35 => "login: failed",
        _ => "frame of unknown kind",
    }
}

/// A [`Reader`]'s buffer at rest; it grows with what comes, up to some frames of the largest size.
const BUFFER: usize = 4 * 1024;
const LARGEST: usize = 4 * (HEADER + MAX_LENGTH);
/// After so many reads in a row that brought little, it shrinks.
const PATIENCE: u32 = 4;
/// After writing less than this at once, a [`Writer`] keeps no more for the next time.
const SMALL: usize = 4 * 1024;

/// Why no frame came.
#[derive(Debug, Error)]
pub enum Error {
    /// The length is over [`MAX_LENGTH`].
    #[error(
        "a frame claims {0} bytes, at most {MAX_LENGTH} are allowed: does the other side speak this protocol?"
    )]
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
    /// A frame came that holds no frame.
    #[error(transparent)]
    Record(#[from] BadRecord),
    /// The stream failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Why there is nothing to be had from an encrypted record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadRecord {
    /// After a handshake everything is in records.
    #[error("a frame of kind {0:02x} came where all has to be encrypted")]
    NotARecord(u8),
    /// There is no room in it for what a record consists of.
    #[error("an encrypted record is too short to hold anything")]
    TooShort,
    /// It was changed, repeated, moved, or another is missing.
    #[error("an encrypted record was changed, repeated, moved or left out on its way")]
    Tampered,
    /// It was changed; the cipher does not notice more.
    #[error("an encrypted record was changed on its way")]
    Changed,
    /// It has not the form that the cipher gives it.
    #[error("an encrypted record is no Fernet token")]
    NotAToken,
    /// Something came after the end that the other side had sealed.
    #[error("a record came after the end of the session")]
    AfterTheEnd,
    /// The stream ended without that end.
    #[error("the connection was cut: it ended without the sealed end of the session")]
    Truncated,
    /// There are no more nonces.
    #[error("too many records for one key")]
    TooMany,
}

/// A frame that came in: it lives in its reader's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the body is.
    pub kind: u8,
    /// Everything after the kind.
    pub body: &'a [u8],
}

/// Where in a peer's queue a frame waits, and what it does there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// What people say, and everything about a file but its bytes: overtakes the bytes of files.
    /// Bounded in bytes; who finds it full waits.
    Message,
    /// The bytes of the transfer of this number, and their end. Never waited for: the windows of
    /// the transfers bound it.
    File(u32),
    /// As a message, and what is still queued of the bytes of that transfer is dropped: to free
    /// their memory, and therefore also when the frame itself has to wait or is refused.
    Abort(u32),
    /// The same, and nothing else: there is no frame.
    Over(u32),
}

/// A frame on its way out: kind · body, shared by all who get it, and its lane in their queues.
#[derive(Clone, Debug)]
pub struct Outgoing {
    payload: Payload,
    lane: Lane,
}

/// kind · body, in memory of its own or of the pool.
#[derive(Clone, Debug)]
enum Payload {
    Own(Arc<[u8]>),
    Pooled(Arc<Buffer>),
}

impl PartialEq for Outgoing {
    fn eq(&self, other: &Outgoing) -> bool {
        (self.payload(), self.lane) == (other.payload(), other.lane)
    }
}

impl Eq for Outgoing {}

impl Outgoing {
    /// The same frame for another lane; its bytes are not copied.
    #[must_use]
    pub fn in_lane(self, lane: Lane) -> Outgoing {
        Outgoing { lane, ..self }
    }

    /// kind · body: what the length counts, and what an encrypted record holds.
    pub fn payload(&self) -> &[u8] {
        match &self.payload {
            Payload::Own(payload) => payload,
            Payload::Pooled(payload) => payload,
        }
    }

    /// Where it waits.
    pub fn lane(&self) -> Lane {
        self.lane
    }
}

impl From<Vec<u8>> for Outgoing {
    /// From kind · body; a message, as far as the queue is concerned.
    fn from(payload: Vec<u8>) -> Outgoing {
        Outgoing { payload: Payload::Own(payload.into()), lane: Lane::Message }
    }
}

impl From<Buffer> for Outgoing {
    /// As from a vector.
    fn from(payload: Buffer) -> Outgoing {
        Outgoing { payload: Payload::Pooled(Arc::new(payload)), lane: Lane::Message }
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
    small: u32,
}

impl Reader<Stream> {
    /// The connection is made: its deadline is over, and from now on silence is answered with `ping`
    /// through `outbox`, and then with the end.
    ///
    /// # Errors
    /// If the system does not take the timeout.
    pub fn set_heartbeat(
        &mut self,
        limits: &Limits,
        outbox: &Arc<Outbox>,
        ping: Outgoing,
    ) -> io::Result<()> {
        let heartbeat = Heartbeat::new(limits, outbox, ping);
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
            small: 0,
        }
    }

    /// The next frame, or `None` where the stream ended between two frames.
    ///
    /// # Errors
    /// See [`enum@Error`].
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
    /// when little comes again and again: an idle peer costs little, a busy one needs few system
    /// calls.
    fn fill(&mut self) -> io::Result<usize> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        // It does not shrink while what it holds would leave no room to read into.
        let size = if self.wanted > self.end { self.wanted } else { self.buffer.len() };
        if size != self.buffer.len() {
            self.buffer.resize(size, 0);
            self.buffer.shrink_to_fit();
        }
        let free = self.buffer.get_mut(self.end..).unwrap_or_default();
        let read = self.stream.read(free)?;
        // All that is held counts: the rest of a frame may be small, and more of its size come.
        self.small = if self.end + read < size / 4 { self.small + 1 } else { 0 };
        self.wanted = match read {
            read if read == free.len() => (size * 2).min(LARGEST),
            _ if self.small >= PATIENCE => (size / 2).max(BUFFER),
            _ => size,
        };
        if self.wanted < size {
            self.small = 0;
        }
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

    /// Adds a frame whose body is what `fill` appends to the buffer.
    ///
    /// # Errors
    /// If `fill` fails, or the frame becomes longer than [`MAX_LENGTH`]; nothing is added then.
    pub fn push_with(
        &mut self,
        kind: u8,
        fill: impl FnOnce(&mut Vec<u8>) -> io::Result<()>,
    ) -> io::Result<()> {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&[0; HEADER]);
        self.buffer.push(kind);
        let filled = fill(&mut self.buffer);
        let (_, frame) = self.buffer.split_at_mut(start);
        let Some((header, payload)) = frame.split_first_chunk_mut::<HEADER>() else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        *header = length.to_be_bytes();
        let checked = filled.and_then(|()| match payload.len() <= MAX_LENGTH {
            true => Ok(payload),
            false => Err(io::Error::from(io::ErrorKind::InvalidInput)),
        });
        let failed = checked.map(|payload| logging::frame(&self.peer, "->", payload));
        if failed.is_err() {
            self.buffer.truncate(start);
        }
        failed
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

    /// Writes all that is pending, with as many system calls as it takes.
    ///
    /// # Errors
    /// If the stream fails.
    pub fn write_all(&mut self) -> io::Result<()> {
        while self.pending() > 0 {
            self.write()?;
        }
        Ok(())
    }

    /// What the log calls the other side.
    pub fn peer(&self) -> &str {
        &self.peer
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::message;

    /// What happens at one call of a [`Script`].
    #[derive(Clone, Debug)]
    enum Step {
        /// At most so many bytes pass.
        Pass(usize),
        Fail(io::ErrorKind),
    }

    /// A stream that hands out `bytes`, or takes what is written into them, as its steps say;
    /// after the last step everything passes.
    #[derive(Default)]
    struct Script {
        bytes: Vec<u8>,
        at: usize,
        steps: VecDeque<Step>,
        /// The sizes of the buffers that reads were given.
        asked: Vec<usize>,
    }

    impl Script {
        fn new(bytes: Vec<u8>, steps: impl IntoIterator<Item = Step>) -> Script {
            let steps = steps.into_iter().collect();
            Script { bytes, steps, ..Script::default() }
        }

        fn step(&mut self, length: usize) -> io::Result<usize> {
            match self.steps.pop_front() {
                Some(Step::Pass(most)) => Ok(length.min(most)),
                Some(Step::Fail(kind)) => Err(kind.into()),
                None => Ok(length),
            }
        }
    }

    impl Read for Script {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            // However much is claimed, there is room for twice what has come.
            assert!(buffer.len() <= (2 * self.at).max(BUFFER));
            self.asked.push(buffer.len());
            // It takes time, also where a clock counts coarsely.
            let start = Instant::now();
            while start.elapsed().is_zero() {}
            let length = self.step(buffer.len().min(self.bytes.len() - self.at))?;
            buffer[..length].copy_from_slice(&self.bytes[self.at..self.at + length]);
            self.at += length;
            Ok(length)
        }
    }

    impl Write for Script {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            let length = self.step(buffer.len())?;
            self.bytes.extend_from_slice(&buffer[..length]);
            Ok(length)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn reader(bytes: &[u8], steps: impl IntoIterator<Item = Step>) -> Reader<Script> {
        Reader::new(Script::new(bytes.to_vec(), steps), "alice")
    }

    /// With a heartbeat of no time at all, which gives up at the last of so many silences; and
    /// what tells the number of pings since it was last asked.
    fn reader_with_heartbeat(
        bytes: &[u8],
        steps: impl IntoIterator<Item = Step>,
        silences: u64,
    ) -> (Reader<Script>, impl Fn() -> usize) {
        let (ping_after, close_after) = (Duration::ZERO, Duration::from_millis(silences));
        let limits = Limits { ping_after, close_after, ..Limits::for_client() };
        let outbox = Arc::new(Outbox::new(&limits));
        let mut reader = reader(bytes, steps);
        reader.heartbeat = Some(Heartbeat::new(&limits, &outbox, message::ping()));
        let pings = move || {
            // With something of its own in it, the queue makes nobody wait.
            outbox.try_push(&mut message::pong().in_lane(Lane::File(1)).into()).unwrap();
            let mut batch = Vec::new();
            assert!(outbox.next(&mut batch));
            batch.len() - 1
        };
        (reader, pings)
    }

    /// A frame as the specification has it, by hand.
    fn wire(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 1).unwrap();
        [&length.to_be_bytes(), &[kind][..], body].concat()
    }

    fn frame_of(reader: &mut Reader<Script>) -> Option<(u8, Vec<u8>)> {
        reader.read().unwrap().map(|frame| (frame.kind, frame.body.to_vec()))
    }

    /// One by one, one at the end of each doubling, small steps and large ones.
    fn any_steps() -> impl Strategy<Value = Vec<Step>> {
        vec(
            prop_oneof![
                4 => (1..8_usize).prop_map(Step::Pass),
                4 => (1..5000_usize).prop_map(Step::Pass),
                1 => Just(Step::Pass(200_000)),
                1 => Just(Step::Fail(io::ErrorKind::Interrupted)),
                1 => Just(Step::Fail(io::ErrorKind::WouldBlock)),
                1 => Just(Step::Fail(io::ErrorKind::TimedOut)),
            ],
            0..200,
        )
    }

    /// Kinds and lengths of bodies.
    fn any_frames() -> impl Strategy<Value = Vec<(u8, usize)>> {
        let length = prop_oneof![
            6 => 0..40_usize,
            2 => 4000..4200_usize,
            2 => 0..30_000_usize,
            1 => MAX_LENGTH - 3..MAX_LENGTH,
        ];
        vec((any::<u8>(), length), 0..12)
    }

    /// Bytes for a body of which no part looks like another.
    fn with_bodies(frames: &[(u8, usize)]) -> Vec<(u8, Vec<u8>)> {
        let body = |kind: u8, length| (1..=251).map(|at| kind ^ at).cycle().take(length).collect();
        frames.iter().map(|(kind, length)| (*kind, body(*kind, *length))).collect()
    }

    #[test]
    fn the_example_of_the_specification() {
        // length 6, big-endian · kind 10 · five bytes of body
        let example = [0, 0, 0, 6, 0x10, b'h', b'e', b'l', b'l', b'o'];
        let mut reader = reader(&example, []);
        assert_eq!(reader.read().unwrap(), Some(Frame { kind: 0x10, body: b"hello" }));
        assert_eq!(reader.read().unwrap(), None);

        let mut writer = Writer::new(Script::default(), "alice");
        writer.push(b"\x10hello").unwrap();
        assert_eq!(writer.pending(), 10);
        assert_eq!(writer.write().unwrap(), 10);
        assert_eq!(writer.stream().bytes, example);
    }

    #[test]
    fn an_end_inside_a_frame_is_no_clean_end() {
        let bytes = wire(MESSAGE, b"abc");
        let two = [bytes.clone(), bytes.clone()].concat();
        for cut in 0..=two.len() {
            let mut reader = reader(&two[..cut], []);
            for _ in 0..cut / bytes.len() {
                assert_eq!(frame_of(&mut reader), Some((MESSAGE, b"abc".to_vec())));
            }
            let clean = cut % bytes.len() == 0;
            match reader.read() {
                Ok(None) => assert!(clean, "cut after {cut}"),
                Err(Error::Truncated) => assert!(!clean, "cut after {cut}"),
                other => panic!("cut after {cut}: {other:?}"),
            }
        }
    }

    #[test]
    fn many_frames_of_one_read() {
        let frames = (0..100_u8).map(|kind| (kind, vec![kind; usize::from(kind) % 7]));
        let bytes = frames.clone().flat_map(|(kind, body)| wire(kind, &body)).collect::<Vec<_>>();
        let mut reader = reader(&bytes, []);
        assert!(!reader.is_ready());
        for frame in frames {
            assert_eq!(frame_of(&mut reader), Some(frame));
            assert_eq!(reader.stream.asked.len(), 1);
            assert_eq!(reader.is_ready(), reader.start < bytes.len());
        }
        assert_eq!(frame_of(&mut reader), None);
    }

    #[test]
    fn a_bad_length_is_refused_from_its_four_bytes() {
        for (claimed, empty) in
            [(0, true), (131_073, false), (0x0100_0000, false), (u32::MAX, false)]
        {
            let mut reader = reader(&claimed.to_be_bytes(), (0..4).map(|_| Step::Pass(1)));
            match reader.read() {
                Err(Error::Empty) => assert!(empty),
                Err(Error::TooLong(length)) => assert_eq!((length, empty), (claimed, false)),
                other => panic!("{claimed}: {other:?}"),
            }
            assert_eq!(reader.stream.asked.len(), 4, "nothing after the length was waited for");
            assert!(reader.stream.asked.iter().all(|asked| *asked <= BUFFER));
            assert_eq!(reader.buffer.capacity(), BUFFER);
            assert!(!reader.is_ready(), "there is no frame");
            assert!(matches!(reader.read(), Err(Error::Empty | Error::TooLong(_))));
            assert_eq!(reader.stream.asked.len(), 4, "what is wrong is said without waiting");
        }
    }

    #[test]
    fn frames_before_a_bad_length_are_still_read() {
        let bytes = [wire(MESSAGE, b"hi"), vec![0xff; 4]].concat();
        let mut reader = reader(&bytes, []);
        assert_eq!(frame_of(&mut reader), Some((MESSAGE, b"hi".to_vec())));
        assert!(matches!(reader.read(), Err(Error::TooLong(u32::MAX))));
    }

    #[test]
    fn the_largest_frame_and_the_smallest() {
        let body = vec![7; MAX_LENGTH - 1];
        let bytes = [wire(0x21, &body), wire(0x12, b"")].concat();
        let mut reader = reader(&bytes, []);
        assert_eq!(frame_of(&mut reader), Some((0x21, body)));
        assert_eq!(frame_of(&mut reader), Some((0x12, Vec::new())));
        assert_eq!(frame_of(&mut reader), None);

        let mut writer = Writer::new(Script::default(), "alice");
        assert!(writer.push(&vec![0; MAX_LENGTH]).is_ok());
        assert!(writer.push(&vec![0; MAX_LENGTH + 1]).is_err());
        assert!(writer.push(&[]).is_err());
        assert_eq!(writer.pending(), HEADER + MAX_LENGTH);
    }

    #[test]
    fn the_buffer_grows_with_what_comes_and_shrinks_again() {
        let large = wire(MESSAGE, &vec![1; MAX_LENGTH - 1]);
        // A claim alone is given no room: it comes in steps of a byte.
        let mut reader = reader(&large, (0..2000).map(|_| Step::Pass(1)));
        reader.stream.steps.push_back(Step::Fail(io::ErrorKind::WouldBlock));
        assert!(matches!(reader.read(), Err(Error::Silent)));
        assert_eq!(reader.buffer.capacity(), BUFFER);
        assert!(frame_of(&mut reader).is_some());
        assert!(reader.buffer.capacity() <= 2 * (HEADER + MAX_LENGTH));
        assert!(reader.buffer.capacity() > 100_000);

        let mut small = |times| {
            for _ in 0..times {
                reader.stream.bytes.extend(wire(MESSAGE, b"hi"));
                assert_eq!(frame_of(&mut reader), Some((MESSAGE, b"hi".to_vec())));
            }
            reader.buffer.capacity()
        };
        // A few are no sign that there will be no more large ones.
        assert!(small(PATIENCE) > 100_000);
        assert_eq!(small(10 * PATIENCE), BUFFER);
    }

    #[test]
    fn a_frame_that_comes_in_small_pieces_after_a_large_one() {
        // What is kept is more than a buffer that shrinks would have room for.
        let bytes = wire(MESSAGE, &[1; 9_995]);
        let mut reader = reader(&bytes, [Step::Pass(4096), Step::Pass(1900), Step::Pass(10)]);
        assert_eq!(frame_of(&mut reader), Some((MESSAGE, vec![1; 9_995])));

        // The same where it would have exactly the room for what is kept, and none to read into.
        let bytes = [wire(MESSAGE, &[1; 4195]), wire(MESSAGE, &[2; 4995])].concat();
        let pieces = [4096, 104 + 2100, 1996, 10].map(Step::Pass);
        let mut reader = self::reader(&bytes, pieces);
        assert_eq!(frame_of(&mut reader), Some((MESSAGE, vec![1; 4195])));
        assert_eq!(frame_of(&mut reader), Some((MESSAGE, vec![2; 4995])));
    }

    #[test]
    fn a_trickle_is_silence_in_the_end() {
        // Bytes come, but no frame before it is time to ask: here it is at once.
        let bytes = [wire(MESSAGE, b"abc"), wire(MESSAGE, b"def")].concat();
        let steps = [Step::Pass(2), Step::Pass(3), Step::Pass(3)];
        let (mut reader, pings) = reader_with_heartbeat(&bytes, steps.clone(), 3);
        assert_eq!(frame_of(&mut reader), Some((MESSAGE, b"abc".to_vec())), "it became whole");
        assert_eq!(pings(), 2);
        assert_eq!(frame_of(&mut reader), Some((MESSAGE, b"def".to_vec())));
        assert_eq!(pings(), 0, "a frame that comes is no silence");

        let (mut reader, pings) = reader_with_heartbeat(&bytes, steps, 2);
        assert!(matches!(reader.read(), Err(Error::Lost(Lost::Silent))));
        assert_eq!((pings(), reader.stream.at), (1, 5));
    }

    #[test]
    fn a_frame_ends_the_silences_that_were_before_it() {
        let bytes = [wire(MESSAGE, b"abc"), wire(MESSAGE, b"def")].concat();
        let silence = || Step::Fail(io::ErrorKind::WouldBlock);
        let interrupted = || Step::Fail(io::ErrorKind::Interrupted);
        let steps = [silence(), interrupted(), Step::Pass(8), silence(), interrupted()];
        let (mut reader, pings) = reader_with_heartbeat(&bytes, steps, 2);
        assert_eq!(frame_of(&mut reader), Some((MESSAGE, b"abc".to_vec())));
        assert_eq!(pings(), 1, "an interruption is no silence");
        assert_eq!(frame_of(&mut reader), Some((MESSAGE, b"def".to_vec())));
        assert_eq!(pings(), 1);
    }

    #[test]
    fn other_failures_are_reported() {
        let mut reader = reader(b"", [Step::Fail(io::ErrorKind::ConnectionReset)]);
        let error = match reader.read() {
            Err(Error::Io(error)) => error.kind(),
            other => panic!("{other:?}"),
        };
        assert_eq!(error, io::ErrorKind::ConnectionReset);

        let steps = [Step::Fail(io::ErrorKind::BrokenPipe), Step::Pass(0)];
        let mut writer = Writer::new(Script::new(Vec::new(), steps), "alice");
        writer.push(b"\x10hi").unwrap();
        assert_eq!(writer.write().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(writer.write().unwrap_err().kind(), io::ErrorKind::WriteZero);
    }

    #[test]
    fn a_busy_writer_keeps_its_buffer_and_an_idle_one_does_not() {
        let mut writer = Writer::new(Script::default(), "alice");
        assert_eq!(writer.write().unwrap(), 0, "there is nothing to write");
        writer.push(&vec![0; MAX_LENGTH]).unwrap();
        writer.write().unwrap();
        assert_eq!(writer.pending(), 0);
        assert!(writer.buffer.capacity() > MAX_LENGTH);
        writer.push(b"\x10hi").unwrap();
        writer.write().unwrap();
        assert!(writer.buffer.capacity() <= SMALL);
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 200,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn any_frames_in_any_pieces(frames in any_frames(), steps in any_steps()) {
            let frames = with_bodies(&frames);
            let bytes = frames.iter().flat_map(|(kind, body)| wire(*kind, body));
            let mut reader = reader(&bytes.collect::<Vec<_>>(), steps.clone());
            let mut came = Vec::new();
            let mut silences = 0;
            loop {
                match reader.read() {
                    Ok(Some(frame)) => came.push((frame.kind, frame.body.to_vec())),
                    Ok(None) => break,
                    Err(Error::Silent) => silences += 1,
                    Err(error) => return Err(TestCaseError::fail(error.to_string())),
                }
            }
            prop_assert_eq!(came, frames);
            let is_timeout = |step: &&Step| {
                matches!(step, Step::Fail(io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut))
            };
            let steps_left = reader.stream.steps.iter().filter(is_timeout).count();
            prop_assert_eq!(silences, steps.iter().filter(is_timeout).count() - steps_left);
            prop_assert!(reader.stream.asked.iter().all(|asked| (1..=LARGEST).contains(asked)));
        }

        #[test]
        fn any_bytes_end_one_way_or_the_other(bytes in vec(any::<u8>(), 0..64), steps in any_steps()) {
            let mut reader = reader(&bytes, steps);
            let mut taken = 0;
            loop {
                match reader.read() {
                    Ok(Some(frame)) => taken += HEADER + 1 + frame.body.len(),
                    Ok(None) => break prop_assert_eq!(taken, bytes.len()),
                    Err(Error::Silent) => {}
                    Err(Error::Truncated | Error::Empty | Error::TooLong(_)) => {
                        break prop_assert!(taken < bytes.len());
                    }
                    Err(error) => return Err(TestCaseError::fail(error.to_string())),
                }
            }
        }

        #[cfg(not(windows))]
        #[test]
        fn a_round_trip(frames in any_frames(), writes in any_steps(), reads in any_steps()) {
            let frames = with_bodies(&frames);
            let mut writer = Writer::new(Script::new(Vec::new(), writes), "alice");
            let mut whole = 0;
            for (at, (kind, body)) in frames.iter().enumerate() {
                writer.push(&[&[*kind], &body[..]].concat()).unwrap();
                whole += HEADER + 1 + body.len();
                prop_assert_eq!(writer.pending(), whole - writer.stream().bytes.len());
                // Some frames wait for the next ones.
                while at % 3 > 0 && writer.pending() > 0 {
                    let before = writer.pending();
                    let took = writer.write().unwrap();
                    prop_assert_eq!(writer.pending(), before - took);
                }
            }
            while writer.pending() > 0 {
                writer.write().unwrap();
            }
            let mut reader = reader(&writer.stream().bytes, reads);
            let mut came = Vec::new();
            loop {
                match reader.read() {
                    Ok(Some(frame)) => came.push((frame.kind, frame.body.to_vec())),
                    Ok(None) => break,
                    Err(Error::Silent) => {}
                    Err(error) => return Err(TestCaseError::fail(error.to_string())),
                }
            }
            prop_assert_eq!(came, frames);
        }
    }
}
