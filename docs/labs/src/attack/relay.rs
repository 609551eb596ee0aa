//! The man in the middle: passes frames between a client and a server, through an attack.
//!
//! Two threads read, one from each side. A third calls the attack, frame by frame in the order in
//! which they came, and writes; so an attack needs no locks. Between them is a queue of a few
//! frames, and what is remembered has a bound.

use std::io;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use common::frame;
use common::frame::HANDSHAKE;
use common::stream::Listener;
use common::stream::Stop;
use common::stream::Stream;

/// Frames that wait for the attack.
const QUEUE: usize = 16;
/// Most bytes of bodies that a [`Transcript`] keeps.
const REMEMBERED: usize = 4 * 1024 * 1024;
/// How long [`Relay::end`] waits for its victims to leave.
const PATIENCE: Duration = Duration::from_secs(20);

/// Which way a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

impl Direction {
    /// The other way.
    #[must_use]
    pub fn back(self) -> Direction {
        match self {
            Direction::ToServer => Direction::ToClient,
            Direction::ToClient => Direction::ToServer,
        }
    }
}

/// A frame on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crossing {
    /// Which way it goes.
    pub direction: Direction,
    /// Its number in its direction, from 0. Frames of the handshake are counted for themselves, so
    /// that this is the number of a record, or of a message where there are no records.
    pub number: usize,
    /// What its body is.
    pub kind: u8,
    /// What is in it.
    pub body: Vec<u8>,
}

impl Crossing {
    /// Whether it is a record, or a message where there are none.
    pub fn is_behind_handshake(&self) -> bool {
        self.kind != HANDSHAKE
    }
}

/// Decides what becomes of each frame. What it does not send on is lost.
pub trait Attack: FnMut(Crossing, &mut Wire) + Send + 'static {}

impl<F: FnMut(Crossing, &mut Wire) + Send + 'static> Attack for F {}

/// Does `attack` to one frame, the one of this number behind the handshake, and passes all others
/// on.
pub fn on(direction: Direction, number: usize, mut attack: impl Attack) -> impl Attack {
    move |frame: Crossing, wire: &mut Wire| {
        let is_it = (frame.direction, frame.number) == (direction, number);
        match is_it && frame.is_behind_handshake() {
            true => attack(frame, wire),
            false => wire.pass(&frame),
        }
    }
}

/// Where an attack sends what it wants to.
pub struct Wire {
    to_server: Out,
    to_client: Out,
}

/// One direction of a [`Wire`].
struct Out {
    sink: Box<dyn Sink>,
    ended: bool,
}

impl Wire {
    /// Sends a frame the way that it was going.
    pub fn pass(&mut self, frame: &Crossing) {
        self.send(frame.direction, frame.kind, &frame.body);
    }

    /// Sends any frame, unless that direction has ended.
    pub fn send(&mut self, direction: Direction, kind: u8, body: &[u8]) {
        let out = self.out(direction);
        // A victim that is gone is no longer one; its own direction ends too.
        out.ended = out.ended || out.sink.send(kind, body).is_err();
    }

    /// Ends a direction: what was sent still arrives, nothing more does.
    pub fn end(&mut self, direction: Direction) {
        let out = self.out(direction);
        if !out.ended {
            out.ended = true;
            // As above.
            let _ = out.sink.end();
        }
    }

    fn out(&mut self, direction: Direction) -> &mut Out {
        match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        }
    }
}

/// Takes frames to one victim.
pub(super) trait Sink: Send {
    fn send(&mut self, kind: u8, body: &[u8]) -> io::Result<()>;
    fn end(&mut self) -> io::Result<()>;
}

/// The next frame from one victim; `None` at the end, however that came.
pub(super) type Source = Box<dyn FnMut() -> Option<(u8, Vec<u8>)> + Send>;

/// One victim, as the relay sees it.
pub(super) struct Side {
    pub source: Source,
    pub sink: Box<dyn Sink>,
}

impl Side {
    /// Frames as they are on the wire.
    fn plain(stream: &Stream) -> Side {
        let mut frames = frame::Reader::new(stream.clone(), stream.peer());
        let source = move || {
            let frame = frames.read().ok()??;
            Some((frame.kind, frame.body.to_vec()))
        };
        let sink = frame::Writer::new(stream.clone(), stream.peer());
        Side { source: Box::new(source), sink: Box::new(sink) }
    }
}

impl Sink for frame::Writer<Stream> {
    fn send(&mut self, kind: u8, body: &[u8]) -> io::Result<()> {
        self.push(&[&[kind], body].concat())?;
        self.write_all()
    }

    fn end(&mut self) -> io::Result<()> {
        self.stream().finish();
        Ok(())
    }
}

/// What a relay has seen of a connection.
#[derive(Debug, Default)]
pub struct Transcript {
    /// The frames as they came, before the attack, in the order of their coming.
    pub frames: Vec<Crossing>,
    /// How many more came than were remembered.
    pub forgotten: usize,
    /// What the victims agreed on with the one in the middle, client first, if they did.
    pub sessions: Vec<String>,
    bytes: usize,
}

impl Transcript {
    fn add(&mut self, frame: &Crossing) {
        self.bytes = self.bytes.saturating_add(frame.body.len());
        match self.bytes <= REMEMBERED {
            true => self.frames.push(frame.clone()),
            false => self.forgotten += 1,
        }
    }

    /// All frames of a direction behind the handshake, in order.
    pub fn behind_handshake(&self, direction: Direction) -> impl Iterator<Item = &Crossing> {
        let is_it = move |f: &&Crossing| f.direction == direction && f.is_behind_handshake();
        self.frames.iter().filter(is_it)
    }

    /// Whether these words are in some body, as they are.
    pub fn contains(&self, words: &str) -> bool {
        let words = words.as_bytes();
        let has = |f: &Crossing| f.body.windows(words.len().max(1)).any(|part| part == words);
        self.frames.iter().any(has)
    }
}

/// On the line of one client: it takes one connection.
pub struct Relay {
    /// Where the victim connects.
    pub address: SocketAddr,
    stop: Stop,
    transcript: Receiver<Result<Transcript>>,
}

impl Relay {
    /// Waits for a client on a free port of this machine, and connects it to `server` through
    /// `attack`.
    ///
    /// # Errors
    /// If there is no free port, or the system refuses a thread.
    pub fn start(server: SocketAddr, attack: impl Attack) -> io::Result<Relay> {
        let plain = |client: &Stream, server: &Stream| {
            Ok(([Side::plain(client), Side::plain(server)], Vec::new()))
        };
        Relay::start_with(server, plain, attack)
    }

    /// As [`Relay::start`], where `open` does something with both connections first.
    pub(super) fn start_with(
        server: SocketAddr,
        open: impl FnOnce(&Stream, &Stream) -> Result<([Side; 2], Vec<String>)> + Send + 'static,
        attack: impl Attack,
    ) -> io::Result<Relay> {
        let any = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        let listener = Listener::bind(any, None)?;
        let (address, stop) = (listener.address(), listener.stop());
        let (done, transcript) = mpsc::sync_channel(1);
        thread::Builder::new().name("relay".to_owned()).spawn(move || {
            let Some(client) = listener.accept() else { return };
            // Whoever started it may not want to know.
            let _ = done.send(connect(&client, server, open, attack));
        })?;
        Ok(Relay { address, stop, transcript })
    }

    /// Waits until both victims have left, and says what there was to see.
    ///
    /// # Errors
    /// If they do not leave, no one has come, or the server cannot be reached.
    pub fn end(self) -> Result<Transcript> {
        self.transcript.recv_timeout(PATIENCE).context("the victims are still there")?
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.stop();
    }
}

/// Closes a connection on every way out, so that no victim waits for one in the middle who is gone.
struct Closes<'a>(&'a Stream);

impl Drop for Closes<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn connect(
    client: &Stream,
    server: SocketAddr,
    open: impl FnOnce(&Stream, &Stream) -> Result<([Side; 2], Vec<String>)>,
    attack: impl Attack,
) -> Result<Transcript> {
    let _client = Closes(client);
    let server = &Stream::connect(&[server], None)?;
    let _server = Closes(server);
    let (sides, sessions) = open(client, server)?;
    Ok(Transcript { sessions, ..run(sides, attack)? })
}

fn run([client, server]: [Side; 2], mut attack: impl Attack) -> io::Result<Transcript> {
    let (queue, frames) = mpsc::sync_channel(QUEUE);
    listen(Direction::ToServer, client.source, queue.clone())?;
    listen(Direction::ToClient, server.source, queue)?;
    let mut wire = Wire {
        to_server: Out { sink: server.sink, ended: false },
        to_client: Out { sink: client.sink, ended: false },
    };
    let mut transcript = Transcript::default();
    for (direction, frame) in frames {
        match frame {
            Some(frame) => {
                transcript.add(&frame);
                attack(frame, &mut wire);
            }
            None => wire.end(direction),
        }
    }
    Ok(transcript)
}

/// A frame that came from one side, or its end.
type Event = (Direction, Option<Crossing>);

/// Spawns the thread that reads from one victim.
fn listen(direction: Direction, mut source: Source, queue: SyncSender<Event>) -> io::Result<()> {
    let body = move || {
        let (mut handshake, mut behind) = (0.., 0..);
        while let Some((kind, body)) = source() {
            let counter = if kind == HANDSHAKE { &mut handshake } else { &mut behind };
            let number = counter.next().unwrap_or_default();
            let frame = Crossing { direction, number, kind, body };
            if queue.send((direction, Some(frame))).is_err() {
                return;
            }
        }
        // Nobody takes it where the relay has ended.
        let _ = queue.send((direction, None));
    };
    thread::Builder::new().name("listener".to_owned()).spawn(body).map(drop)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::Mutex;

    use common::frame::RECORD;

    use super::*;

    /// A frame: kind and body.
    type Sent = (u8, Vec<u8>);

    /// What arrived, and how often it ended.
    #[derive(Clone, Default)]
    struct Arrived(Arc<Mutex<(Vec<Sent>, usize)>>);

    impl Sink for Arrived {
        fn send(&mut self, kind: u8, body: &[u8]) -> io::Result<()> {
            self.0.lock().unwrap().0.push((kind, body.to_vec()));
            Ok(())
        }

        fn end(&mut self) -> io::Result<()> {
            self.0.lock().unwrap().1 += 1;
            Ok(())
        }
    }

    fn side(frames: &[(u8, &[u8])]) -> (Side, Arrived) {
        let frames = frames.iter().map(|(kind, body)| (*kind, body.to_vec())).collect::<Vec<_>>();
        let mut frames = frames.into_iter();
        let arrived = Arrived::default();
        let source: Source = Box::new(move || frames.next());
        (Side { source, sink: Box::new(arrived.clone()) }, arrived)
    }

    #[test]
    fn frames_are_numbered_behind_the_handshake_and_ends_are_passed_on() {
        let frames: [(u8, &[u8]); 4] =
            [(HANDSHAKE, b"h"), (HANDSHAKE, b"i"), (RECORD, b"0"), (RECORD, b"1")];
        let ((client, to_client), (mut server, to_server)) = (side(&frames), side(&[]));
        // The server ends as soon as something was sent back, and not before.
        let (sent_back, ends) = mpsc::channel();
        server.source = Box::new(move || ends.recv().ok().and(None));
        let second = move |_: Crossing, wire: &mut Wire| {
            wire.send(Direction::ToClient, 7, b"!");
            sent_back.send(()).unwrap();
        };
        let transcript = run([client, server], on(Direction::ToServer, 1, second)).unwrap();
        let numbers = transcript.frames.iter().map(|f| (f.kind, f.number)).collect::<Vec<_>>();
        assert_eq!(numbers, [(HANDSHAKE, 0), (HANDSHAKE, 1), (RECORD, 0), (RECORD, 1)]);
        assert_eq!(transcript.behind_handshake(Direction::ToServer).count(), 2);
        assert!(transcript.contains("i") && !transcript.contains("hi"));

        let (frames, ends) = to_server.0.lock().unwrap().clone();
        assert_eq!(frames.iter().map(|f| f.1[0]).collect::<Vec<_>>(), *b"hi0");
        assert_eq!(ends, 1);
        assert_eq!(*to_client.0.lock().unwrap(), (vec![(7, b"!".to_vec())], 1));
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let mut transcript = Transcript::default();
        let frame = Crossing {
            direction: Direction::ToServer,
            number: 0,
            kind: RECORD,
            body: vec![0; frame::MAX_LENGTH],
        };
        for _ in 0..40 {
            transcript.add(&frame);
        }
        let kept = transcript.frames.len();
        assert!(kept * frame::MAX_LENGTH <= REMEMBERED && kept > 30);
        assert_eq!(kept + transcript.forgotten, 40);
    }
}
