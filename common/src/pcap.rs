//! Writes what passes a socket as a capture file for Wireshark, so that nobody needs capture
//! rights: `--pcap FILE|-`.
//!
//! A program sees no packets, only the bytes of its own `read()` and `write()`. These are real;
//! the IP and TCP headers around them are synthesised, as one orderly conversation in which
//! nothing is lost and every segment is acknowledged at once. The description of the capture's
//! interface says so to whoever opens the file.
//!
//! ```text
//! chat threads ── Flow::data ──► queue, at most 8 MiB ──► thread `pcap` ──► pcapng
//!                 numbers, time                           headers, checksums
//! ```
//!
//! The chat never depends on its capture. A file that cannot be written, or a reader that leaves
//! a chat thread waiting for room for longer than a second, switches the capture off with one
//! warning. The only lock chat threads take is held while a segment is queued, never while the
//! file is written.
//!
//! Sources: draft-ietf-opsawg-pcapng (the file), RFC 9293 and RFC 7323 (TCP), RFC 791 and
//! RFC 8200 (IP). The three blocks of pcapng are written by hand: the crate pcap-file 2.0 would
//! bring syn 1 and a second thiserror into the build, and of all time units honours only
//! nanoseconds.

use std::collections::VecDeque;
use std::fmt::Display;
use std::fs::File;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::io;
use std::io::Write;
use std::mem;
use std::net::IpAddr;
use std::net::Ipv6Addr;
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

use etherparse::PacketBuilder;
use etherparse::TcpHeader;
use etherparse::TcpOptions;

/// Most bytes that wait to be written; a call with more than that has to find the queue empty.
const QUEUE: u64 = 8 * 1024 * 1024;
/// Longest wait of a chat thread for room in the queue, and of [`Capture::finish`].
const PATIENCE: Duration = Duration::from_secs(1);

/// Maximum segment size: what a 16-bit length leaves beside the headers of IPv4 (20 bytes; the
/// length of IPv6 leaves its own header out) and of TCP (20 bytes). A write rarely needs a second.
const MSS: u16 = u16::MAX - 20 - 20;
/// The window in each segment; with [`SHIFT`] it means just under 8 MiB. At most one segment is
/// in flight, so no window is ever full.
const WINDOW: u16 = u16::MAX;
/// The window scale of both sides (RFC 7323, section 2). It starts after the handshake.
const SHIFT: u8 = 7;
/// Time to live (RFC 791) and hop limit (RFC 8200), the usual value.
const HOPS: u8 = 64;

/// Of the interface, where Wireshark's users look it up: Statistics, Capture File Properties.
const DESCRIPTION: &str = "Only the payload is real: the bytes this program passed to write() or \
    got from read(). The IP and TCP headers around it are synthesised, handshake, \
    acknowledgements and checksums included.";

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
    /// A file that exists is overwritten. A FIFO (`mkfifo`) waits here until somebody reads it.
    ///
    /// # Errors
    /// When the file cannot be created, or as [`Capture::to`].
    pub fn create(path: &Path) -> io::Result<Capture> {
        if path.as_os_str() == "-" {
            Capture::to(io::stdout())
        } else {
            Capture::to(File::create(path)?)
        }
    }

    /// A capture into `out`, which a thread of its own writes and flushes block by block.
    ///
    /// # Errors
    /// When the system refuses that thread.
    pub fn to(mut out: impl Write + Send + 'static) -> io::Result<Capture> {
        let mut head = section_header();
        head.extend(interface_description("wire", DESCRIPTION));
        let shared = Arc::new(Shared {
            progress: Mutex::new(Progress { accepted: count(&head), ..Progress::default() }),
            changed: Condvar::new(),
        });
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
        let isn = |from: SocketAddr, to: SocketAddr| {
            let [a, b, c, d, ..] = RandomState::new().hash_one((from, to)).to_le_bytes();
            u32::from_le_bytes([a, b, c, d])
        };
        self.flow_from(
            End::new(local, isn(local, remote)),
            End::new(remote, isn(remote, local)),
            opener,
        )
    }

    fn flow_from(&self, local: End, remote: End, opener: Side) -> Flow {
        let ends = Mutex::new(Ends { local, remote, reset: false });
        let flow = Flow { capture: self.clone(), ends };
        if let Some(mut burst) = flow.burst(0, 3) {
            burst.segment(opener, &[], |tcp| (tcp.syn, tcp.ack) = (true, false));
            burst.segment(opener.peer(), &[], |tcp| tcp.syn = true);
            burst.acknowledge(opener);
        }
        flow
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
    while on && let Ok(segment) = segments.recv() {
        out.write_all(&enhanced_packet(WIRE, segment.time, &segment.packet()?))?;
        out.flush()?;
        on = shared.wrote(segment.cost());
    }
    Ok(())
}

/// One of the two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// This program.
    Local,
    /// The peer.
    Remote,
}

impl Side {
    fn peer(self) -> Side {
        match self {
            Side::Local => Side::Remote,
            Side::Remote => Side::Local,
        }
    }
}

/// One connection in a [`Capture`]; its reading and its writing thread use it at once.
///
/// What TCP does not allow is left out without a word: anything after a reset, and data or a
/// second FIN from a side that has sent its FIN.
#[derive(Debug)]
pub struct Flow {
    capture: Capture,
    /// Locked only by who holds the lock of [`Capture::room`], and so never waited for.
    ends: Mutex<Ends>,
}

#[derive(Debug)]
struct Ends {
    local: End,
    remote: End,
    reset: bool,
}

#[derive(Debug)]
struct End {
    address: SocketAddr,
    /// Sequence number of the next byte it sends: `SND.NXT` of RFC 9293, modulo 2^32.
    next: u32,
    finished: bool,
}

impl End {
    fn new(address: SocketAddr, isn: u32) -> End {
        End { address, next: isn, finished: false }
    }
}

impl Ends {
    /// The side itself, then its peer.
    fn seen_from(&mut self, side: Side) -> (&mut End, &mut End) {
        match side {
            Side::Local => (&mut self.local, &mut self.remote),
            Side::Remote => (&mut self.remote, &mut self.local),
        }
    }
}

impl Flow {
    /// `bytes` that `from` sent, in as many segments as they need, each acknowledged by the peer.
    /// The last carries PSH.
    pub fn data(&self, from: Side, bytes: &[u8]) {
        let mut segments = bytes.chunks(usize::from(MSS)).peekable();
        let Some(mut burst) = self.burst(bytes.len(), 2 * segments.len()) else {
            return;
        };
        if burst.may_send(from) {
            while let Some(payload) = segments.next() {
                burst.segment(from, payload, |tcp| tcp.psh = segments.peek().is_none());
                burst.acknowledge(from.peer());
            }
        }
    }

    /// `from` sends nothing more (FIN), which the peer acknowledges; the peer may go on sending.
    /// Only the first call counts.
    pub fn fin(&self, from: Side) {
        if let Some(mut burst) = self.burst(0, 2)
            && burst.may_send(from)
        {
            burst.segment(from, &[], |tcp| tcp.fin = true);
            burst.acknowledge(from.peer());
            burst.ends.seen_from(from).0.finished = true;
        }
    }

    /// `from` aborts the connection (RST), unless both sides have already closed it.
    pub fn reset(&self, from: Side) {
        if let Some(mut burst) = self.burst(0, 1)
            && (burst.may_send(from) || burst.may_send(from.peer()))
        {
            burst.segment(from, &[], |tcp| tcp.rst = true);
            burst.ends.reset = true;
        }
    }

    /// Everything one call writes: `segments` of them, with `payload` bytes between them.
    fn burst(&self, payload: usize, segments: usize) -> Option<Burst<'_>> {
        let cost = payload.saturating_add(segments.saturating_mul(size_of::<Segment>()));
        let mut progress = self.capture.room(cost as u64)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        progress.latest = progress.latest.max(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX));
        Some(Burst { queue: &self.capture.queue, progress, ends: lock(&self.ends) })
    }
}

/// What is queued without a packet of another thread between it, and with the same time stamp.
struct Burst<'a> {
    queue: &'a Sender<Segment>,
    progress: MutexGuard<'a, Progress>,
    ends: MutexGuard<'a, Ends>,
}

impl Burst<'_> {
    fn may_send(&mut self, from: Side) -> bool {
        !self.ends.reset && !self.ends.seen_from(from).0.finished
    }

    fn acknowledge(&mut self, from: Side) {
        self.segment(from, &[], |_| ());
    }

    /// Queues a segment with ACK and whatever else `flags` sets.
    fn segment(&mut self, from: Side, payload: &[u8], flags: impl FnOnce(&mut TcpHeader)) {
        let (source, destination) = self.ends.seen_from(from);
        let (from, to) = (source.address, destination.address);
        let mut tcp = TcpHeader::new(from.port(), to.port(), source.next, WINDOW);
        tcp.ack = true;
        flags(&mut tcp);
        if tcp.ack {
            tcp.acknowledgment_number = destination.next;
        }
        if tcp.syn {
            // Kinds 2 (RFC 9293, section 3.7.1), 1 as padding, and 3 (RFC 7323, section 2.2).
            let [high, low] = MSS.to_be_bytes();
            tcp.options = TcpOptions::from([2, 4, high, low, 1, 3, 3, SHIFT]);
        }
        // SYN and FIN take a sequence number each; a payload is at most an MSS long.
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let taken = length.wrapping_add(u32::from(tcp.syn)).wrapping_add(u32::from(tcp.fin));
        source.next = source.next.wrapping_add(taken);

        let time = self.progress.latest;
        let segment =
            Segment { time, from: from.ip(), to: to.ip(), tcp, payload: payload.to_vec() };
        self.progress.accepted += segment.cost();
        // Fails only when the writing thread is gone, and then so is the capture.
        drop(self.queue.send(segment));
    }
}

/// What the writing thread makes a packet of, so that checksums cost chat threads nothing.
struct Segment {
    /// In nanoseconds since 1970.
    time: u64,
    from: IpAddr,
    to: IpAddr,
    tcp: TcpHeader,
    payload: Vec<u8>,
}

impl Segment {
    /// Bytes it occupies in the queue.
    fn cost(&self) -> u64 {
        size_of::<Segment>() as u64 + count(&self.payload)
    }

    /// The IP packet, with lengths and checksums.
    fn packet(&self) -> io::Result<Vec<u8>> {
        let ip = match (self.from.to_canonical(), self.to.to_canonical()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                PacketBuilder::ipv4(from.octets(), to.octets(), HOPS)
            }
            (from, to) => PacketBuilder::ipv6(v6(from).octets(), v6(to).octets(), HOPS),
        };
        let packet = ip.tcp_header(self.tcp.clone());
        let mut bytes = Vec::with_capacity(packet.size(self.payload.len()));
        packet.write(&mut bytes, &self.payload).map_err(io::Error::other)?;
        Ok(bytes)
    }
}

fn v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// Number of the only interface: numbers count Interface Description Blocks from 0.
const WIRE: u32 = 0;
/// `LINKTYPE_RAW`: a packet starts with its IP header, of version 4 or 6.
const LINKTYPE_RAW: u16 = 101;

// Codes of the options that are used (draft-ietf-opsawg-pcapng, sections 3.5 and 4.2).
const OPT_ENDOFOPT: u16 = 0;
const IF_NAME: u16 = 2;
const IF_DESCRIPTION: u16 = 3;
const IF_TSRESOL: u16 = 9;

/// The Section Header Block: byte order (ours is little-endian), version 1.0, length unknown.
fn section_header() -> Vec<u8> {
    let mut body = 0x1A2B_3C4D_u32.to_le_bytes().to_vec();
    body.extend(1_u16.to_le_bytes());
    body.extend(0_u16.to_le_bytes());
    body.extend((-1_i64).to_le_bytes());
    block(0x0A0D_0D0A, &body)
}

/// An Interface Description Block: link type, reserved, no limit to the length of a packet.
fn interface_description(name: &str, description: &str) -> Vec<u8> {
    let mut body = LINKTYPE_RAW.to_le_bytes().to_vec();
    body.extend(0_u16.to_le_bytes());
    body.extend(0_u32.to_le_bytes());
    option(&mut body, IF_NAME, name.as_bytes());
    option(&mut body, IF_DESCRIPTION, description.as_bytes());
    // Time stamps count units of 10^-9 seconds.
    option(&mut body, IF_TSRESOL, &[9]);
    option(&mut body, OPT_ENDOFOPT, &[]);
    block(1, &body)
}

/// An Enhanced Packet Block: interface, time (its upper half first), captured and original
/// length, packet. Options, such as a comment, would follow.
fn enhanced_packet(interface: u32, time: u64, packet: &[u8]) -> Vec<u8> {
    let length = u32::try_from(packet.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut body = interface.to_le_bytes().to_vec();
    body.extend(time.rotate_left(32).to_le_bytes());
    body.extend(length);
    body.extend(length);
    extend_padded(&mut body, packet);
    block(6, &body)
}

/// Any block: type, total length, body, and once more the total length, to walk backwards.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 12).unwrap_or(u32::MAX).to_le_bytes();
    let mut block = kind.to_le_bytes().to_vec();
    block.extend(length);
    block.extend(body);
    block.extend(length);
    block
}

/// Any option: code, length without padding, value.
fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    body.extend(code.to_le_bytes());
    body.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
    extend_padded(body, value);
}

/// Everything in pcapng starts at a multiple of 4 bytes.
fn extend_padded(body: &mut Vec<u8>, value: &[u8]) {
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
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
mod tests {
    use std::process::Command;

    use super::*;

    /// A connection whose sides are 16 numbers, and 2 numbers, before the wrap at 2^32.
    fn near_wrap(capture: &Capture) {
        let local = End::new(SocketAddr::from(([192, 0, 2, 1], 4000)), 0xFFFF_FFF0);
        let remote = End::new(SocketAddr::from(([192, 0, 2, 2], 4001)), 0xFFFF_FFFE);
        let flow = capture.flow_from(local, remote, Side::Local);
        flow.data(Side::Local, &[b'a'; 10]);
        flow.data(Side::Remote, &[b'b'; 1]);
        flow.data(Side::Local, &[b'c'; 10]);
        flow.fin(Side::Remote);
        flow.fin(Side::Local);
    }

    #[test]
    fn sequence_numbers_wrap() {
        let (queue, segments) = channel();
        near_wrap(&Capture { queue, shared: Arc::default() });
        let numbers: Vec<_> =
            segments.iter().map(|s| (s.tcp.sequence_number, s.tcp.acknowledgment_number)).collect();
        let expected = [
            // SYN, SYN-ACK, ACK
            (4_294_967_280, 0),
            (4_294_967_294, 4_294_967_281),
            (4_294_967_281, 4_294_967_295),
            // 10 bytes of the local side
            (4_294_967_281, 4_294_967_295),
            (4_294_967_295, 4_294_967_291),
            // 1 byte of the remote side, the last before its wrap
            (4_294_967_295, 4_294_967_291),
            (4_294_967_291, 0),
            // 10 bytes of the local side, of which 5 are behind its wrap
            (4_294_967_291, 0),
            (0, 5),
            // both FINs
            (0, 5),
            (5, 1),
            (5, 1),
            (1, 6),
        ];
        assert_eq!(numbers, expected);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_turn_the_order_round() {
        let (queue, segments) = channel();
        let capture = Capture { queue, shared: Arc::default() };
        let latest = u64::MAX - 1;
        lock(&capture.shared.progress).latest = latest;
        near_wrap(&capture);
        drop(capture);
        assert!(segments.iter().all(|segment| segment.time == latest));
    }

    #[test]
    fn threads_get_room_in_turn() {
        let (queue, segments) = channel();
        let capture = Capture { queue, shared: Arc::default() };
        let address = SocketAddr::from(([192, 0, 2, 1], 4000));
        let [first, second] = [(); 2].map(|()| capture.flow(address, address, Side::Local));
        first.fin(Side::Local);
        let before = segments.try_iter().count();
        let until_waiting = |threads| {
            let start = Instant::now();
            while lock(&capture.shared.progress).waiting.len() != threads {
                assert!(start.elapsed() < PATIENCE, "{threads} threads should be waiting");
                thread::yield_now();
            }
        };
        // Full, as if all of it still had to be written.
        let fill = || {
            let mut progress = lock(&capture.shared.progress);
            (progress.accepted, progress.written) = (QUEUE, 0);
        };
        fill();
        thread::scope(|scope| {
            scope.spawn(|| first.data(Side::Local, &[0; 3000]));
            until_waiting(1);
            // Enough for the second, who must not overtake the first.
            capture.shared.wrote(2000);
            scope.spawn(|| second.data(Side::Local, &[0]));
            until_waiting(2);
            let start = Instant::now();
            capture.shared.wrote(QUEUE - 2000);
            // The first writes nothing after its FIN, but lets the second know all the same.
            until_waiting(0);
            assert!(start.elapsed() < PATIENCE);
        });
        assert_eq!((before, segments.try_iter().count()), (8, 2));
        assert!(!lock(&capture.shared.progress).off);

        // Nor does anybody go on waiting when the capture is switched off meanwhile.
        fill();
        let start = thread::scope(|scope| {
            scope.spawn(|| second.data(Side::Local, &[0]));
            until_waiting(1);
            let start = Instant::now();
            capture.shared.switch_off(&"a test");
            start
        });
        assert!(start.elapsed() < PATIENCE / 2);
        assert_eq!(segments.try_iter().count(), 0);
    }

    #[test]
    fn tshark_follows_across_the_wrap() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let capture = Capture::create(file.path()).unwrap();
        near_wrap(&capture);
        capture.finish();
        let tshark = Command::new("tshark")
            .args(["-q", "-z", "expert,note", "-z", "follow,tcp,ascii,0", "-r"])
            .arg(file.path())
            .output();
        if tshark.is_err() && std::env::var_os("CI").is_none() {
            println!("left out: tshark is not installed");
            return;
        }
        let shown = String::from_utf8(tshark.unwrap().stdout).unwrap();
        for payload in ["10\naaaaaaaaaa\n", "\t1\nb\n", "10\ncccccccccc\n"] {
            assert!(shown.contains(payload), "{shown}");
        }
        // The notes on the two FINs, and nothing else (tests/pcap.rs says why they are allowed).
        assert!(shown.contains("Notes (2)"), "{shown}");
        assert!(!shown.contains("Warns") && !shown.contains("Errors"), "{shown}");
    }

    /// The bytes are put down from the drawings in the draft's sections 4.1, 4.2 and 4.3.
    #[test]
    fn blocks_are_as_the_draft_draws_them() {
        assert_eq!(
            section_header(),
            *b"\x0A\x0D\x0D\x0A\x1C\0\0\0\x4D\x3C\x2B\x1A\x01\0\0\0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x1C\0\0\0"
        );
        assert_eq!(
            interface_description("wire", "no"),
            *b"\x01\0\0\0\x30\0\0\0\x65\0\0\0\0\0\0\0\
               \x02\0\x04\0wire\x03\0\x02\0no\0\0\x09\0\x01\0\x09\0\0\0\0\0\0\0\x30\0\0\0"
        );
        assert_eq!(
            enhanced_packet(1, 0x0102_0304_0506_0708, b"12345"),
            *b"\x06\0\0\0\x28\0\0\0\x01\0\0\0\x04\x03\x02\x01\x08\x07\x06\x05\
               \x05\0\0\0\x05\0\0\x0012345\0\0\0\x28\0\0\0"
        );
    }
}
