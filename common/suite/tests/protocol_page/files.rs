//! The worked examples of files in `docs/protocol.md`: what people send is written here, and what
//! comes of it is what the server's own state machine makes of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Instant;

use common::files::CHUNK;
use common::files::Checksum;
use common::files::Chunk;
use common::files::WINDOW;
use common::frame::Outgoing;
use common::limits::Limits;
use common::message;
use common::message::Event;
use common::message::Request;
use common::room::PeerId;
use common::room::Room;
use sha2::Digest;
use sha2::Sha256;

use crate::examples::Lines;

/// The number of each example's file, which is the first of its server.
const ID: u32 = 1;

/// A server's room, and who is in it.
struct Lab {
    room: Room,
    names: BTreeMap<PeerId, &'static str>,
}

impl Lab {
    fn new(names: &[&'static str]) -> Lab {
        let mut lab = Lab { room: Room::with_files(&Limits::default()), names: BTreeMap::new() };
        for name in names {
            let hello = Request::Hello { chat5: message::VERSION, name: (*name).to_owned() };
            let (id, ..) = lab.room.join(hello, None).expect("the name is free");
            lab.names.insert(id, *name);
        }
        lab
    }

    /// What somebody asks for, and what comes of it: to whom, and what. That something is over is never
    /// sent.
    fn ask(&mut self, who: &str, request: Request) -> Vec<(&'static str, Event)> {
        let (id, _) = self.names.iter().find(|(_, name)| **name == who).expect("somebody present");
        let deliveries = self.room.request(*id, Ok(request), Instant::now());
        let one = |(id, event): (PeerId, Event)| (self.names[&id], event);
        let all = deliveries.into_iter().flat_map(|delivery| {
            delivery.to.into_iter().map(move |id| (id, delivery.event.clone()))
        });
        all.filter(|(_, event)| !matches!(event, Event::Over { .. })).map(one).collect()
    }
}

fn offer(to: Option<&str>, name: &str, size: u64) -> Request {
    Request::Offer { tag: 1, to: to.map(str::to_owned), name: name.to_owned(), size }
}

fn part(id: u32, offset: u64, bytes: &[u8]) -> Chunk {
    let filled = Chunk::fill(id, |buffer| {
        buffer[..bytes.len()].copy_from_slice(bytes);
        Ok::<_, ()>(Some((offset, bytes.len())))
    });
    filled.expect("bytes").expect("a chunk")
}

/// Everything that is sent when alice gives bob a file of one chunk: by whom, to whom, what.
fn sent(name: &str, bytes: &[u8]) -> Vec<(&'static str, &'static str, Sent)> {
    let size = u64::try_from(bytes.len()).expect("a small file");
    let sha256 = Checksum(Sha256::digest(bytes).into());
    let steps = [
        ("alice", offer(Some("bob"), name, size)),
        ("bob", Request::Accept { id: ID }),
        ("alice", Request::Chunk(part(ID, 0, bytes))),
        ("bob", Request::Ack { id: ID, offset: size }),
        ("alice", Request::End { id: ID, size, sha256 }),
        ("bob", Request::Received { id: ID }),
    ];
    let (mut lab, mut all) = (Lab::new(&["alice", "bob"]), Vec::new());
    for (who, request) in steps {
        let events = lab.ask(who, request.clone());
        all.push((who, "the server", Sent::Request(request)));
        all.extend(
            events.into_iter().map(|(whom, event)| ("the server", whom, Sent::Event(event))),
        );
    }
    all
}

enum Sent {
    Request(Request),
    Event(Event),
}

impl Sent {
    fn frame(&self) -> Outgoing {
        match self {
            Sent::Request(request) => request.frame(),
            Sent::Event(event) => event.frame(),
        }
    }
}

/// The messages of such a file, by their types.
pub struct Messages {
    pub requests: Vec<(&'static str, String)>,
    pub events: Vec<(&'static str, String)>,
}

/// See [`Messages`].
pub fn messages(name: &str, bytes: &[u8]) -> Messages {
    let mut messages = Messages { requests: Vec::new(), events: Vec::new() };
    for (_, _, sent) in sent(name, bytes) {
        let json = || String::from_utf8(sent.frame().payload()[1..].to_vec()).expect("JSON");
        match &sent {
            Sent::Request(Request::Chunk(_)) | Sent::Event(Event::Chunk(_)) => {}
            Sent::Request(request) => {
                messages.requests.push((crate::request::word(request), json()));
            }
            Sent::Event(event) => messages.events.push((crate::event::word(event), json())),
        }
    }
    messages
}

/// The bytes of such a file's frames, as the page shows them.
pub fn session(name: &str, bytes: &[u8]) -> String {
    let mut lines = Lines::default();
    for (from, to, sent) in sent(name, bytes) {
        if !lines.shown.is_empty() {
            lines.gap();
        }
        add_frame(&mut lines, &format!("{from} to {to}, "), sent.frame().payload());
    }
    lines.shown
}

/// A chunk in the middle of a file, as the page shows it.
pub fn chunk() -> String {
    let mut lines = Lines::default();
    add_frame(&mut lines, "", part(7, 65_536, b"two lines\nof text").frame().payload());
    lines.shown
}

fn add_frame(lines: &mut Lines, way: &str, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a small frame");
    lines.add(&length.to_be_bytes(), &format!("{way}length: {length}"));
    let (kind, body) = payload.split_at(1);
    let shown = |bytes: &[u8]| {
        let plain = |byte: &u8| if (b' '..=b'~').contains(byte) { char::from(*byte) } else { '.' };
        bytes.iter().map(plain).collect::<String>()
    };
    let text = match kind {
        [0x11] => {
            let (id, rest) = body.split_first_chunk::<4>().expect("an id");
            let (offset, bytes) = rest.split_first_chunk::<8>().expect("an offset");
            lines.add(kind, "kind: chunk");
            lines.add(id, &format!("id: {}", u32::from_be_bytes(*id)));
            lines.add(offset, &format!("offset: {}", u64::from_be_bytes(*offset)));
            bytes
        }
        _ => {
            lines.add(kind, "kind: message");
            body
        }
    };
    text.chunks(16).for_each(|bytes| lines.add(bytes, &shown(bytes)));
}

/// How the window moves with two who take a file, one slower than the other.
pub fn window() -> String {
    let mut lab = Lab::new(&["alice", "bob", "carol"]);
    let mut shown = format!("{:<33}{:>12}{:>14}\n", "", "alice's ack", "may send to");
    let row = |shown: &mut String, what: &str, acked: u64| {
        let (size, limit) = (2_000_000, acked + WINDOW);
        writeln!(shown, "{what:<33}{acked:>12}{:>14}", limit.min(size)).expect("a String");
    };
    lab.ask("alice", offer(None, "report.pdf", 2_000_000));
    lab.ask("bob", Request::Accept { id: ID });
    let goes = lab.ask("carol", Request::Accept { id: ID });
    assert_eq!(goes, [("alice", Event::Go { id: ID })]);
    row(&mut shown, "the server: go", 0);
    let (mut sent, mut acked) = (0, 0);
    let acks = [("bob", 262_144), ("carol", 65_536), ("carol", 393_216), ("bob", 1_048_576)];
    for ack in acks.into_iter().map(Some).chain([None]) {
        let before = sent;
        while sent + CHUNK as u64 <= acked + WINDOW {
            let passed = lab.ask("alice", Request::Chunk(part(ID, sent, &[0; CHUNK])));
            assert_eq!(passed.len(), 2, "{passed:?}");
            sent += CHUNK as u64;
        }
        if sent > before {
            row(&mut shown, &format!("alice: chunks, to {sent}"), acked);
        }
        let Some((who, offset)) = ack else { break };
        for (whom, event) in lab.ask(who, Request::Ack { id: ID, offset }) {
            assert_eq!(whom, "alice");
            let Event::Ack { offset, .. } = event else { panic!("{event:?}") };
            acked = offset;
        }
        row(&mut shown, &format!("{who}: ack {offset}"), acked);
    }
    assert_eq!(sent, acked + WINDOW);
    // A byte more than is shown ends it.
    let more = part(ID, sent, &[0]);
    assert!(matches!(lab.ask("alice", Request::Chunk(more))[..], [(_, Event::Abort { .. }), ..]));
    shown
}

/// How many files may be on their way in a server: found by trying.
pub fn most() -> usize {
    const ENOUGH: usize = 100_000;
    let limits = Limits { max_clients: usize::MAX, ..Limits::default() };
    let mut room = Room::with_files(&limits);
    let mut join = |number: usize| {
        let hello = Request::Hello { chat5: message::VERSION, name: format!("owner{number}") };
        room.join(hello, None).expect("the name is free").0
    };
    let owners = (0..200).map(&mut join).collect::<Vec<_>>();
    let mut count = 0;
    for owner in owners {
        let mut offered = || {
            let deliveries = room.request(owner, Ok(offer(None, "x", 1)), Instant::now());
            deliveries.iter().any(|delivery| matches!(delivery.event, Event::Offered { .. }))
        };
        while offered() {
            count += 1;
            assert!(count < ENOUGH, "files are not bounded any more");
        }
    }
    count
}
