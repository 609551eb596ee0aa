//! Writes what passes a socket as a capture file for Wireshark, so that nobody needs capture
//! rights: `--pcap FILE|-`.
//!
//! A program sees no packets, only the bytes of its own `read()` and `write()`. These are real;
//! the IP and TCP headers around them are synthesised, as one orderly conversation in which
//! nothing is lost and every segment is acknowledged at once. The description of the capture's
//! interface says so to whoever opens the file. Each packet has a comment in plain words
//! (`describe`).
//!
//! On request a second interface, `plaintext`, holds what was inside encrypted records, in a
//! conversation of its own: as it would have been on the wire without encryption.
//!
//! ```text
//! chat threads ── Flow::data ──► queue, at most 8 MiB ──► thread `pcap` ──► pcapng
//!                 numbers, time                           headers, checksums
//! ```
//!
//! The chat never depends on its capture. A file that cannot be written, or a reader that leaves
//! a chat thread waiting for room for longer than a second, switches the capture off with one
//! warning. The only lock that connections share is held while a segment is queued, never while
//! the file is written.
//!
//! Sources: draft-ietf-opsawg-pcapng (the file), RFC 9293 and RFC 7323 (TCP), RFC 791 and
//! RFC 8200 (IP).

use std::collections::VecDeque;
use std::fmt;
use std::fmt::Display;
use std::fs::OpenOptions;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::io;
use std::io::Write;
use std::mem;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::sync::mpsc::channel;
use std::thread;
use std::thread::Thread;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

mod blocks;
mod describe;
mod flow;
mod held;

use flow::End;
use flow::Segment;

pub use flow::Flow;
pub use flow::Side;

/// Most bytes that wait to be written; a call with more than that has to find the queue empty.
const QUEUE: u64 = 8 * 1024 * 1024;
/// Longest wait of a chat thread for room in the queue, and of [`Capture::finish`].
const PATIENCE: Duration = Duration::from_secs(1);

/// One of the interfaces of a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interface {
    Wire,
    /// What was inside encrypted records.
    Plaintext,
}

/// Of the interfaces, where Wireshark's users look it up: Statistics, Capture File Properties.
const WIRE: &str = "Only the payload is real: the bytes this program passed to write() or \
    got from read(). The IP and TCP headers around it are synthesised, handshake, \
    acknowledgements and checksums included.";
const PLAINTEXT: &str = "None of this was on the wire. It is what was inside the encrypted records \
    of the interface wire: before this program encrypted it (the last of it may not have been sent \
    any more), or after it decrypted it. It is framed \
    as it would be without encryption; 192.0.2.1 or 2001:db8::1 stands for the server.";

/// A capture in progress; clones write to the same file.
///
/// When the last clone and the last [`Flow`] are dropped, the rest of the queue is written and
/// the file is closed.
#[derive(Clone, Debug)]
pub struct Capture {
    queue: Sender<Segment>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    progress: Mutex<Progress>,
    /// Something was written, or the capture was switched off; for [`Capture::finish`].
    changed: Condvar,
    /// Instead of the system's, for captures that are to be the same each time.
    clock: Option<Clock>,
}

/// Says when it is.
struct Clock(Box<dyn Fn() -> SystemTime + Send + Sync>);

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

#[derive(Debug, Default)]
struct Progress {
    /// Bytes queued so far, from the start of the capture; [`Segment::cost`] counts them…
    accepted: u64,
    /// …and how many of these are written.
    written: u64,
    /// The latest time stamp, in nanoseconds since 1970: the system's clock may be set back.
    latest: u64,
    /// Threads that wait for room, first come, first served. With a [`Condvar`] instead, hundreds
    /// of threads would all wake for each block, and some would starve.
    waiting: VecDeque<Thread>,
    off: bool,
}

impl Progress {
    fn full(&self, cost: u64) -> bool {
        let queued = self.accepted - self.written;
        queued > 0 && queued.saturating_add(cost) > QUEUE
    }

    fn wake_first(&self) {
        if let Some(first) = self.waiting.front() {
            first.unpark();
        }
    }
}

impl Capture {
    /// A capture into a file, or with `-` to standard output.
    ///
    /// A new file is for its owner alone, as what dumpcap writes is: a capture can hold what was
    /// encrypted. One that exists is overwritten. A FIFO (`mkfifo`) waits here until somebody reads it.
    ///
    /// # Errors
    /// When the file cannot be created, or as [`Capture::to`].
    pub fn create(path: &Path) -> io::Result<Capture> {
        if path.as_os_str() == "-" {
            Capture::to(io::stdout())
        } else {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            Capture::to(options.open(path)?)
        }
    }

    /// A capture into `out`, which a thread of its own writes and flushes block by block.
    ///
    /// # Errors
    /// When the system refuses that thread.
    pub fn to(out: impl Write + Send + 'static) -> io::Result<Capture> {
        Capture::with(out, None, None)
    }

    /// The same, in which nothing is left to chance: time is what `clock` says, initial sequence
    /// numbers follow from ports, and the file says `comment` of itself. The same calls, from one
    /// thread, make the same bytes.
    ///
    /// # Errors
    /// As [`Capture::to`].
    pub fn reproducible(
        out: impl Write + Send + 'static,
        comment: &str,
        clock: impl Fn() -> SystemTime + Send + Sync + 'static,
    ) -> io::Result<Capture> {
        Capture::with(out, Some(comment), Some(Clock(Box::new(clock))))
    }

    fn with(
        mut out: impl Write + Send + 'static,
        comment: Option<&str>,
        clock: Option<Clock>,
    ) -> io::Result<Capture> {
        let mut head = blocks::section_header(comment);
        head.extend(blocks::interface_description("wire", WIRE));
        let progress = Mutex::new(Progress { accepted: count(&head), ..Progress::default() });
        let shared = Arc::new(Shared { progress, clock, ..Shared::default() });
        let (queue, segments) = channel();
        let writer = Arc::clone(&shared);
        thread::Builder::new().name("pcap".to_owned()).spawn(move || {
            if let Err(error) = write_blocks(&mut out, &head, &segments, &writer) {
                writer.switch_off(&error);
            }
        })?;
        Ok(Capture { queue, shared })
    }

    /// A connection that has just come about: writes its SYN, SYN-ACK and ACK.
    ///
    /// An IPv4 address in the form of IPv6 (`::ffff:192.0.2.1`, as a dual-stack socket has it) is
    /// written as the IPv4 address it is.
    pub fn flow(&self, local: SocketAddr, remote: SocketAddr, opener: Side) -> Flow {
        // F() of RFC 9293, section 3.4.1; its timer is left out, for each RandomState has a key
        // of its own.
        let isn = |from: SocketAddr, to: SocketAddr| match self.shared.clock {
            None => {
                let [a, b, c, d, ..] = RandomState::new().hash_one((from, to)).to_le_bytes();
                u32::from_le_bytes([a, b, c, d])
            }
            Some(_) => u32::from(from.port()) << 16,
        };
        let local_end = End::new(local, isn(local, remote));
        Flow::new(self, local_end, End::new(remote, isn(remote, local)), opener)
    }

    /// Waits until everything captured so far is written, but at most a second.
    pub fn finish(&self) {
        let progress = lock(&self.shared.progress);
        let goal = progress.accepted;
        let unwritten = |progress: &mut Progress| !progress.off && progress.written < goal;
        drop(self.shared.changed.wait_timeout_while(progress, PATIENCE, unwritten));
    }

    /// The lock that orders all packets, as soon as `cost` bytes have room in the queue; `None`
    /// when the capture is off.
    fn room(&self, cost: u64) -> Option<MutexGuard<'_, Progress>> {
        let mut progress = lock(&self.shared.progress);
        if progress.full(cost) || !progress.waiting.is_empty() {
            let me = thread::current();
            let deadline = Instant::now() + PATIENCE;
            progress.waiting.push_back(me.clone());
            while !progress.off
                && (progress.full(cost)
                    || progress.waiting.front().map(Thread::id) != Some(me.id()))
            {
                drop(progress);
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    self.shared.switch_off(&"its reader is too slow");
                } else {
                    thread::park_timeout(left);
                }
                progress = lock(&self.shared.progress);
            }
            // The second one may fit as well.
            progress.waiting.pop_front();
            progress.wake_first();
        }
        (!progress.off).then_some(progress)
    }
}

impl Shared {
    /// In nanoseconds since 1970.
    fn now(&self) -> u64 {
        let now = self.clock.as_ref().map_or_else(SystemTime::now, |clock| clock.0());
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    /// Must not be called with the lock held: whoever reads the log may be slow as well.
    fn switch_off(&self, why: &dyn Display) {
        let mut progress = lock(&self.progress);
        let was_off = mem::replace(&mut progress.off, true);
        progress.waiting.drain(..).for_each(|thread| thread.unpark());
        drop(progress);
        if !was_off {
            log::warn!("the capture is switched off, the chat goes on: {why}");
        }
        self.changed.notify_all();
    }

    /// Frees the room of what is written; false when the capture was switched off meanwhile.
    fn wrote(&self, bytes: u64) -> bool {
        let mut progress = lock(&self.progress);
        progress.written += bytes;
        progress.wake_first();
        self.changed.notify_all();
        !progress.off
    }
}

/// Ends when every [`Capture`] and [`Flow`] is gone, or when the capture is off.
fn write_blocks(
    out: &mut impl Write,
    head: &[u8],
    segments: &Receiver<Segment>,
    shared: &Shared,
) -> io::Result<()> {
    // A block is one write: whoever reads the file meanwhile sees whole blocks.
    out.write_all(head)?;
    out.flush()?;
    let mut on = shared.wrote(count(head));
    let mut has_plaintext = false;
    while on && let Ok(mut segment) = segments.recv() {
        let (mut blocks, interface) = match segment.interface {
            Interface::Wire => (Vec::new(), 0),
            Interface::Plaintext if has_plaintext => (Vec::new(), 1),
            Interface::Plaintext => {
                has_plaintext = true;
                (blocks::interface_description("plaintext", PLAINTEXT), 1)
            }
        };
        let (time, packet) = (segment.time, segment.packet()?);
        blocks.extend(blocks::enhanced_packet(interface, time, &packet, &segment.comments()));
        out.write_all(&blocks)?;
        out.flush()?;
        on = shared.wrote(segment.cost());
    }
    Ok(())
}

fn count(bytes: &[u8]) -> u64 {
    bytes.len() as u64
}

/// Also after a panic of another thread: every change under these locks is complete before
/// anything could panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
