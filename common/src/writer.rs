//! A connection's writing thread: its life from the first frame to the end of both directions.

use std::error::Error;
use std::io;
use std::io::Write;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::frame;
use crate::frame::Frame;
use crate::frame::Outgoing;
use crate::limits::Limits;
use crate::message::Bye;
use crate::outbox::Outbox;
use crate::stream::Stream;
use crate::sync::Arc;
use crate::sync::spawn;

/// For the last words to a server that has said bye.
const LEAVE_WITHIN: Duration = Duration::from_millis(500);

/// A running writing thread.
pub struct Writer {
    /// What it writes is queued here.
    pub outbox: Arc<Outbox>,
    stream: Stream,
    goodbye_within: Duration,
    thread: JoinHandle<()>,
    /// Ends when everything has been sent or given up.
    sent: Receiver<()>,
    /// Dropped when the reading thread has left.
    reads: Sender<()>,
}

/// Ends the connection with the thread, also if that panics.
struct Ends {
    outbox: Arc<Outbox>,
    stream: Stream,
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.outbox.finish();
        self.stream.close();
    }
}

impl Writer {
    /// Spawns a thread in which `send_queued` sends what is in a new outbox to its end, and which
    /// then ends our direction of `stream`, and the other too if the peer does not in time or this
    /// is dropped.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn spawn(
        stream: &Stream,
        limits: &Limits,
        send_queued: impl FnOnce(&Outbox) -> io::Result<()> + Send + 'static,
    ) -> io::Result<Writer> {
        let (outbox, stream) = (Arc::new(Outbox::new(limits)), stream.clone());
        let ends = Ends { outbox: Arc::clone(&outbox), stream: stream.clone() };
        let (goodbye_within, (reads, reader)) = (limits.goodbye_within, mpsc::channel());
        let (sends, sent) = mpsc::channel();
        let body = move || {
            if let Err(error) = send_queued(&ends.outbox) {
                log::info!("{}: closed, nothing more can be sent: {error}", ends.stream.peer());
            }
            ends.outbox.finish();
            ends.stream.finish();
            drop(sends);
            // The reading thread leaves at the end of the peer's direction. Either is an end.
            let _ = reader.recv_timeout(ends.outbox.goodbye_within());
        };
        let thread = spawn("writer", limits.stack, body)?;
        Ok(Writer { outbox, stream, goodbye_within, thread, sent, reads })
    }

    /// A client is at its end, because its person has left, or because the server has said bye: then
    /// it ends its own direction as it should, too, unless that takes long. Another error is an end
    /// as it is.
    ///
    /// # Errors
    /// Why it has ended, as it was handed in.
    pub fn leave<E: AsRef<dyn Error>>(self, left: Result<(), E>) -> Result<(), E> {
        match &left {
            Ok(()) => self.end(&Ok(())),
            Err(error) if error.as_ref().is::<Bye>() => {
                self.outbox.finish();
                let _: Result<(), _> = self.sent.recv_timeout(LEAVE_WITHIN);
            }
            Err(_) => {}
        }
        left
    }

    /// The reading thread is at its end, because the peer has left or for a reason that the peer is
    /// told: waits until what is queued is sent or given up.
    pub fn end(self, chatted: &Result<(), Bye>) {
        match chatted {
            Ok(()) => self.outbox.finish(),
            Err(bye) => {
                self.outbox.finish_with(bye);
                self.stream.drain(self.goodbye_within);
            }
        }
        drop(self.reads);
        // A panic in it has been reported by the panic itself.
        let _ = self.thread.join();
    }
}

/// Takes what is queued in `outbox` to its end, a batch with one system call. Each frame is put
/// into the buffer by `put`, the one place where it may be changed on its way.
///
/// # Errors
/// If the stream fails, or its peer does not take what it is to get.
pub fn send_queued<W: Write>(
    frames: &mut frame::Writer<W>,
    outbox: &Outbox,
    mut put: impl FnMut(&mut frame::Writer<W>, &Outgoing) -> io::Result<()>,
) -> io::Result<()> {
    let mut batch = Vec::new();
    while outbox.next(&mut batch) {
        for frame in &batch {
            put(frames, frame)?;
        }
        while frames.pending() > 0 {
            let took = frames.write()?;
            outbox.took(took).map_err(io::Error::other)?;
        }
    }
    Ok(())
}

/// Hands over what is queued in `outbox` to its end, where no stream is behind it.
pub fn hand_over(outbox: &Outbox, mut take: impl FnMut(Frame<'_>)) {
    let mut batch = Vec::new();
    while outbox.next(&mut batch) {
        for frame in &batch {
            if let Some((&kind, body)) = frame.payload().split_first() {
                take(Frame { kind, body });
            }
            // Whoever takes it this way takes all of it.
            let _ = outbox.took(frame.payload().len());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::Ipv4Addr;
    use std::net::TcpListener;
    use std::thread;
    use std::time::Instant;

    use super::*;
    use crate::frame::Lane;
    use crate::outbox::Refused;
    use crate::outbox::Stalled;

    /// What a test waits for, yet longer than a busy machine lets a thread wait.
    const SOON: Duration = Duration::from_millis(250);

    /// A stream of which each write takes so many bytes; nothing is an interruption.
    struct Takes<S> {
        sizes: S,
        bytes: Vec<u8>,
        writes: usize,
    }

    impl<S: Iterator<Item = usize>> Write for Takes<S> {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            self.writes += 1;
            let size = self.sizes.next().ok_or(io::ErrorKind::BrokenPipe)?.min(buffer.len());
            self.bytes.extend_from_slice(&buffer[..size]);
            if size == 0 { Err(io::ErrorKind::Interrupted.into()) } else { Ok(size) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn writer<S: Iterator<Item = usize>>(sizes: S) -> frame::Writer<Takes<S>> {
        frame::Writer::new(Takes { sizes, bytes: Vec::new(), writes: 0 }, "alice")
    }

    /// The sizes of writes of which one takes a byte in so long, and the others nothing.
    fn one_byte_each(pause: Duration, start: Instant) -> impl Iterator<Item = usize> {
        let mut taken = 0;
        std::iter::from_fn(move || {
            thread::yield_now();
            assert!(start.elapsed() < 40 * SOON, "it is not given up");
            let is_due = start.elapsed() >= pause * taken;
            taken += u32::from(is_due);
            Some(usize::from(is_due))
        })
    }

    fn push(outbox: &Outbox, lane: Lane, payloads: &[&[u8]]) {
        let frames = payloads.iter().map(|payload| Outgoing::from(payload.to_vec()).in_lane(lane));
        outbox.push(frames.collect());
    }

    fn as_it_is<W: Write>(frames: &mut frame::Writer<W>, frame: &Outgoing) -> io::Result<()> {
        frames.push(frame.payload())
    }

    fn is_stalled(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<Stalled>())
    }

    #[test]
    fn what_is_queued_goes_out_whole_however_little_each_write_takes() {
        for most in [1, 2, 7, 1000] {
            let outbox = Outbox::new(&Limits::for_client());
            push(&outbox, Lane::File(1), &[b"\x11chunk"]);
            push(&outbox, Lane::Message, &[b"\x10a", b"\x10bc"]);
            outbox.finish();
            // Every other write takes nothing.
            let mut frames = writer([0, most].into_iter().cycle());
            send_queued(&mut frames, &outbox, as_it_is).unwrap();
            let wire = b"\0\0\0\x02\x10a\0\0\0\x03\x10bc\0\0\0\x06\x11chunk";
            assert_eq!(frames.stream().bytes, wire);
            assert_eq!(frames.stream().writes, 2 * wire.len().div_ceil(most));
            assert_eq!(frames.pending(), 0);
        }
    }

    #[test]
    fn a_batch_is_one_write_and_the_end_of_an_empty_queue_none() {
        let outbox = Outbox::new(&Limits::for_client());
        push(&outbox, Lane::Message, &[b"\x10x".as_slice(); 100]);
        outbox.finish();
        let mut frames = writer(std::iter::once(1000));
        send_queued(&mut frames, &outbox, as_it_is).unwrap();
        assert_eq!(frames.stream().bytes.len(), 600);
        send_queued(&mut frames, &outbox, as_it_is).unwrap();
        assert_eq!(frames.stream().writes, 1);
    }

    #[test]
    fn what_is_put_is_what_is_sent_and_a_failure_to_put_ends_it() {
        let outbox = Outbox::new(&Limits::for_client());
        push(&outbox, Lane::Message, &[b"\x10a", b"\x10b"]);
        outbox.finish();
        let mut frames = writer(std::iter::repeat(1000));
        let put = |frames: &mut frame::Writer<_>, frame: &Outgoing| match frame.payload() {
            b"\x10a" => frames.push(b"\x21A"),
            _ => Err(io::ErrorKind::InvalidData.into()),
        };
        let error = send_queued(&mut frames, &outbox, put).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);

        let outbox = Outbox::new(&Limits::for_client());
        push(&outbox, Lane::Message, &[b"\x10a"]);
        outbox.finish();
        let mut frames = writer(std::iter::repeat(1000));
        send_queued(&mut frames, &outbox, put).unwrap();
        assert_eq!(frames.stream().bytes, b"\0\0\0\x02\x21A");
    }

    #[test]
    fn a_stream_that_fails_ends_it() {
        let outbox = Outbox::new(&Limits::for_client());
        push(&outbox, Lane::Message, &[b"\x10hi"]);
        outbox.finish();
        let mut frames = writer(std::iter::once(3));
        let error = send_queued(&mut frames, &outbox, as_it_is).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(frames.pending(), 4);
    }

    #[test]
    fn who_leaves_and_takes_nothing_is_given_up_when_he_is_stalled() {
        let start = Instant::now();
        let outbox = Outbox::new(&Limits { stalled_after: SOON, ..Limits::for_client() });
        push(&outbox, Lane::Message, &[b"\x10hi"]);
        outbox.finish();
        let mut frames = writer(one_byte_each(100 * SOON, start).skip(1));
        let error = send_queued(&mut frames, &outbox, as_it_is).unwrap_err();
        assert!(is_stalled(&error), "{error}");
        assert!(start.elapsed() >= SOON);
    }

    #[test]
    fn who_takes_something_is_not_stalled() {
        // As long as it takes a byte before its patience is over it may take longer than that.
        let outbox = Outbox::new(&Limits { stalled_after: SOON, ..Limits::for_client() });
        push(&outbox, Lane::Message, &[b"\x10hello"]);
        outbox.finish();
        let start = Instant::now();
        let mut frames = writer(one_byte_each(SOON / 8, start));
        send_queued(&mut frames, &outbox, as_it_is).unwrap();
        assert!(start.elapsed() > SOON);
    }

    #[test]
    fn last_words_that_nobody_takes_in_time_are_given_up() {
        let start = Instant::now();
        let outbox = Outbox::new(&Limits { goodbye_within: SOON, ..Limits::for_client() });
        outbox.finish_with(&Bye::stopping());
        // It takes a byte now and then, but there is no more time.
        let mut frames = writer(one_byte_each(SOON / 10, start));
        let error = send_queued(&mut frames, &outbox, as_it_is).unwrap_err();
        assert!(is_stalled(&error), "{error}");
        assert!(start.elapsed() >= SOON);
    }

    #[test]
    fn a_panic_in_the_thread_ends_the_connection_and_the_queue() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let stream = Stream::connect(&[listener.local_addr().unwrap()], None).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        let send = |_: &Outbox| panic!("as it was told to");
        let writer = Writer::spawn(&stream, &Limits::for_client(), send).unwrap();
        let outbox = Arc::clone(&writer.outbox);
        assert_eq!(peer.read(&mut [0]).unwrap(), 0);
        writer.end(&Ok(()));
        let refused = outbox.try_push(&mut Outgoing::from(vec![0]).into());
        assert_eq!(refused, Err(Refused::Closed));
        assert!(!outbox.is_done(), "nothing says that everything was sent");
    }
}
