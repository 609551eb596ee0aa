//! A connection as a capture shows it: one conversation of TCP for what was on the wire, and on
//! request another for what was inside its records.

use std::io;
use std::mem;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;

use etherparse::PacketBuilder;
use etherparse::TcpHeader;
use etherparse::TcpOptions;

use super::Capture;
use super::Interface;
use super::Progress;
use super::count;
use super::describe::Talk;
use super::held::Held;
use super::lock;

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

/// What stands for the server in the plaintext view, so that Wireshark takes it for another
/// conversation: addresses for documentation, which nobody has (RFC 5737 and RFC 3849).
const NOBODY_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const NOBODY_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

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
    /// The client.
    opener: Side,
    wire: Conversation,
    /// Held by whoever writes what it lets through, so that nothing overtakes what it keeps back.
    held: Mutex<Held>,
    /// It keeps nothing back any more, and is not asked.
    is_open: AtomicBool,
    /// What was inside its records, if that is to be seen.
    plaintext: OnceLock<Conversation>,
    talk: Arc<Mutex<Talk>>,
}

/// A conversation of TCP on one of the interfaces.
#[derive(Debug)]
struct Conversation {
    interface: Interface,
    /// Locked only by who holds the lock of [`Capture::room`], and so never waited for.
    ends: Mutex<Ends>,
}

#[derive(Debug)]
struct Ends {
    local: End,
    remote: End,
    reset: bool,
    /// Lines of a key log, for comments of the next packet.
    keys: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    address: SocketAddr,
    /// Sequence number of the next byte it sends: `SND.NXT` of RFC 9293, modulo 2^32.
    next: u32,
    finished: bool,
}

impl End {
    pub(super) fn new(address: SocketAddr, isn: u32) -> End {
        End { address, next: isn, finished: false }
    }
}

impl Ends {
    fn new(local: End, remote: End) -> Ends {
        Ends { local, remote, reset: false, keys: Vec::new() }
    }

    /// The side itself, then its peer.
    fn seen_from(&mut self, side: Side) -> (&mut End, &mut End) {
        match side {
            Side::Local => (&mut self.local, &mut self.remote),
            Side::Remote => (&mut self.remote, &mut self.local),
        }
    }
}

impl Flow {
    /// A connection that has just come about: writes its SYN, SYN-ACK and ACK.
    pub(super) fn new(capture: &Capture, local: End, remote: End, opener: Side) -> Flow {
        let ends = Mutex::new(Ends::new(local, remote));
        let wire = Conversation { interface: Interface::Wire, ends };
        let flow = Flow {
            capture: capture.clone(),
            opener,
            wire,
            held: Mutex::new(Held::new()),
            is_open: AtomicBool::new(false),
            plaintext: OnceLock::new(),
            talk: Arc::default(),
        };
        flow.open(&flow.wire);
        flow
    }

    fn open(&self, conversation: &Conversation) {
        if let Some(mut burst) = self.burst(conversation, 0, 3) {
            let opener = self.opener;
            burst.segment(opener, &[], |tcp| (tcp.syn, tcp.ack) = (true, false));
            burst.segment(opener.peer(), &[], |tcp| tcp.syn = true);
            burst.acknowledge(opener);
        }
    }

    /// `bytes` that `from` sent, in as many segments as they need, each acknowledged by the peer.
    /// The last carries PSH.
    ///
    /// Where the peer sends records at once with the last step of a handshake, they are written when
    /// [`Flow::keys_are_known`], or with whatever happens next.
    pub fn data(&self, from: Side, bytes: &[u8]) {
        if from == Side::Local {
            self.release(false);
        } else if !self.is_open.load(Ordering::Acquire) {
            let mut held = lock(&self.held);
            let now = held.admit(bytes);
            self.data_in(&self.wire, from, bytes.get(..now).unwrap_or_default());
            self.is_open.store(held.is_nothing(), Ordering::Release);
            return;
        }
        self.data_in(&self.wire, from, bytes);
    }

    /// From now on the peer's records can be decrypted: none of them has to wait.
    pub fn keys_are_known(&self) {
        self.release(true);
    }

    fn release(&self, is_over: bool) {
        if self.is_open.load(Ordering::Acquire) {
            return;
        }
        let mut held = lock(&self.held);
        let kept = held.release(is_over);
        if !kept.is_empty() {
            self.data_in(&self.wire, Side::Remote, &kept);
        }
        self.is_open.store(held.is_nothing(), Ordering::Release);
    }

    /// kind · body of a frame that was inside a record that `from` sent, in the order of records.
    /// It is written where [`Flow::show_plaintext`] was called, and forgotten elsewhere.
    pub fn inside(&self, from: Side, payload: &[u8]) {
        if let Some(plaintext) = self.plaintext.get() {
            let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
            let frame = [&length.to_be_bytes(), payload].concat();
            self.data_in(plaintext, from, &frame);
        }
    }

    /// From now on what is inside records is written too, in a conversation of its own on the
    /// interface `plaintext`.
    pub fn show_plaintext(&self) {
        let Some(burst) = self.burst(&self.wire, 0, 0) else { return };
        let (mut local, mut remote) = (burst.ends.local, burst.ends.remote);
        drop(burst);
        let server = match self.opener {
            Side::Local => &mut remote.address,
            Side::Remote => &mut local.address,
        };
        server.set_ip(match server.ip().to_canonical() {
            IpAddr::V4(_) => NOBODY_V4.into(),
            IpAddr::V6(_) => NOBODY_V6.into(),
        });
        let ends = Mutex::new(Ends::new(local, remote));
        let plaintext = Conversation { interface: Interface::Plaintext, ends };
        // The first call counts.
        if self.plaintext.set(plaintext).is_ok() {
            self.plaintext.get().into_iter().for_each(|plaintext| self.open(plaintext));
        }
    }

    /// Lines of a key log, as comments of the connection's next packet.
    pub fn show_keys(&self, lines: &str) {
        if let Some(mut burst) = self.burst(&self.wire, 0, 0) {
            burst.ends.keys.extend(lines.lines().map(str::to_owned));
        }
    }

    /// `from` sends nothing more (FIN), which the peer acknowledges; the peer may go on sending.
    /// Only the first call counts.
    pub fn fin(&self, from: Side) {
        self.release(false);
        for conversation in self.conversations() {
            if let Some(mut burst) = self.burst(conversation, 0, 2)
                && burst.may_send(from)
            {
                burst.segment(from, &[], |tcp| tcp.fin = true);
                burst.acknowledge(from.peer());
                burst.ends.seen_from(from).0.finished = true;
            }
        }
    }

    /// `from` aborts the connection (RST), unless both sides have already closed it.
    pub fn reset(&self, from: Side) {
        self.release(false);
        for conversation in self.conversations() {
            if let Some(mut burst) = self.burst(conversation, 0, 1)
                && (burst.may_send(from) || burst.may_send(from.peer()))
            {
                burst.segment(from, &[], |tcp| tcp.rst = true);
                burst.ends.reset = true;
            }
        }
    }

    fn conversations(&self) -> impl Iterator<Item = &Conversation> {
        [Some(&self.wire), self.plaintext.get()].into_iter().flatten()
    }

    fn data_in(&self, conversation: &Conversation, from: Side, bytes: &[u8]) {
        let mut segments = bytes.chunks(usize::from(MSS)).peekable();
        let Some(mut burst) = self.burst(conversation, bytes.len(), 2 * segments.len()) else {
            return;
        };
        if burst.may_send(from) {
            while let Some(payload) = segments.next() {
                burst.segment(from, payload, |tcp| tcp.psh = segments.peek().is_none());
                burst.acknowledge(from.peer());
            }
        }
    }

    /// Everything one call writes: `segments` of them, with `payload` bytes between them.
    fn burst<'a>(
        &'a self,
        conversation: &'a Conversation,
        payload: usize,
        segments: usize,
    ) -> Option<Burst<'a>> {
        let cost = payload.saturating_add(segments.saturating_mul(size_of::<Segment>()));
        let mut progress = self.capture.room(cost as u64)?;
        progress.latest = progress.latest.max(self.capture.shared.now());
        let (ends, interface) = (lock(&conversation.ends), conversation.interface);
        Some(Burst { flow: self, queue: &self.capture.queue, progress, ends, interface })
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.release(true);
    }
}

/// What is queued without a packet of another thread between it, and with the same time stamp.
struct Burst<'a> {
    flow: &'a Flow,
    queue: &'a Sender<Segment>,
    progress: MutexGuard<'a, Progress>,
    ends: MutexGuard<'a, Ends>,
    interface: Interface,
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
        let is_clients = from == self.flow.opener;
        let keys = mem::take(&mut self.ends.keys);
        let (source, destination) = self.ends.seen_from(from);
        let (from, to) = (source.address, destination.address);
        let mut tcp = TcpHeader::new(from.port(), to.port(), source.next, WINDOW);
        tcp.ack = true;
        flags(&mut tcp);
        if tcp.ack {
            tcp.acknowledgment_number = destination.next;
        }
        if tcp.syn {
            // Kinds 2 (RFC 9293, section 3.7.1), 4 (RFC 2018, section 2) and 3 (RFC 7323, section
            // 2.2), and 1 as padding.
            let [high, low] = MSS.to_be_bytes();
            tcp.options = TcpOptions::from([2, 4, high, low, 1, 1, 4, 2, 1, 3, 3, SHIFT]);
        }
        // SYN and FIN take a sequence number each; a payload is at most an MSS long.
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let taken = length.wrapping_add(u32::from(tcp.syn)).wrapping_add(u32::from(tcp.fin));
        source.next = source.next.wrapping_add(taken);

        let segment = Segment {
            interface: self.interface,
            time: self.progress.latest,
            from: from.ip(),
            to: to.ip(),
            tcp,
            payload: payload.to_vec(),
            talk: Arc::clone(&self.flow.talk),
            is_clients,
            keys,
        };
        self.progress.accepted += segment.cost();
        // Fails only when the writing thread is gone, and then so is the capture.
        drop(self.queue.send(segment));
    }
}

/// What the writing thread makes a packet of: checksums and words are its work.
pub(super) struct Segment {
    pub(super) interface: Interface,
    /// In nanoseconds since 1970.
    pub(super) time: u64,
    from: IpAddr,
    to: IpAddr,
    pub(super) tcp: TcpHeader,
    payload: Vec<u8>,
    /// Locked by the writing thread alone.
    talk: Arc<Mutex<Talk>>,
    is_clients: bool,
    keys: Vec<String>,
}

impl Segment {
    /// Bytes it occupies in the queue.
    pub(super) fn cost(&self) -> u64 {
        size_of::<Segment>() as u64 + count(&self.payload)
    }

    /// The IP packet, with lengths and checksums.
    pub(super) fn packet(&self) -> io::Result<Vec<u8>> {
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

    /// What it is, in plain words. Segments of a connection have to come in order.
    pub(super) fn comments(&mut self) -> Vec<String> {
        let mut talk = lock(&self.talk);
        let mut comments = talk.segment(self.interface, self.is_clients, &self.tcp, &self.payload);
        comments.append(&mut self.keys);
        comments
    }
}

fn v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}
