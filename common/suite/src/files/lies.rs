//! Senders and takers that do not keep to the protocol: it ends their transfer, or their part in
//! it, and nobody else's.

use serde_json::Value;
use serde_json::json;

use super::CHUNK;
use super::OF_HI;
use super::OF_NOTHING;
use super::Place;
use super::WINDOW;
use super::abort;
use super::ack;
use super::client;
use super::dropped;
use super::end;
use super::of;
use super::offer;
use super::offered;
use super::pattern;
use super::wait_for;
use super::wait_until;
use crate::Limits;
use crate::PATIENCE;
use crate::Stage;
use crate::peer::Peer;
use crate::process::Program;
#[cfg(target_os = "linux")]
use crate::process::ServerProgram;
use crate::server::Server;

/// The size of most files here: more than a window.
const SIZE: u64 = 1_200_000;

/// What a sender does with the file of this number, of [`SIZE`] bytes, and why it is aborted.
type Violation = (fn(&mut Peer, u32), &'static str);

/// What comes after `go`.
const VIOLATIONS: [Violation; 15] = [
    (|alice, id| alice.send_chunk(id, 1, &[0; 1024]), "bytes came that were not due"),
    (|alice, id| alice.send_chunk(id, SIZE - 1024, &[0; 1024]), "bytes came that were not due"),
    (|alice, id| chunks(alice, id, &[(0, 1024), (0, 1024)]), "bytes came that were not due"),
    (|alice, id| chunks(alice, id, &[(0, 2048), (1024, 2048)]), "bytes came that were not due"),
    (|alice, id| chunks(alice, id, &[(0, 2048), (2049, 2048)]), "bytes came that were not due"),
    (|alice, id| alice.send_chunk(id, SIZE, &[0; 1024]), "more came than was offered"),
    (|alice, id| alice.send_chunk(id, SIZE - 1, &[0; 1024]), "more came than was offered"),
    (|alice, id| alice.send_chunk(id, u64::MAX, &[0; 1024]), "more came than was offered"),
    (|alice, id| alice.send_chunk(id, u64::MAX - 1023, &[0; 1024]), "more came than was offered"),
    (|alice, id| alice.send_chunk(id, 0, &[0; 1023]), "it came in too small pieces"),
    (|alice, id| alice.send_chunk(id, 0, &[0]), "it came in too small pieces"),
    (a_window_and_more, "more came than had been asked for"),
    (|alice, id| alice.send(&end(id.into(), SIZE, OF_HI)), "it ended where it should not"),
    (|alice, id| alice.send(&end(id.into(), 0, OF_NOTHING)), "it ended where it should not"),
    (
        |alice, id| {
            alice.send_chunk(id, 0, &[0; 1024]);
            alice.send(&end(id.into(), 1024, OF_HI));
        },
        "it ended where it should not",
    ),
];

fn chunks(alice: &mut Peer, id: u32, chunks: &[(u64, usize)]) {
    for (offset, length) in chunks {
        alice.send_chunk(id, *offset, &vec![0; *length]);
    }
}

fn a_window_and_more(alice: &mut Peer, id: u32) {
    for offset in (0..=WINDOW).step_by(CHUNK) {
        alice.send_chunk(id, offset, &[0; CHUNK]);
    }
}

/// A server with a sender and a taker that may send anything, and a client that takes all.
fn three<S: Stage>(place: &Place) -> (Server, Peer, Peer, Program) {
    let server = Server::start::<S>(&Limits::default());
    let mut alice = server.join::<S>("alice");
    let mut carol = server.join::<S>("carol");
    let bob = client::<S>(server.address, place, "bob");
    alice.wait_for("joined");
    alice.wait_for("joined");
    carol.wait_for("joined");
    (server, alice, carol, bob)
}

/// A sender's violations end its transfer, for all and with the reason; nothing of it stays.
pub fn what_a_sender_may_not_do<S: Stage>() {
    let place = Place::default();
    let (_server, mut alice, mut carol, mut bob) = three::<S>(&place);
    for ((violate, why), id) in VIOLATIONS.into_iter().zip(1..) {
        assert_eq!(alice.offer(None, "x", SIZE), id);
        carol.wait_for("offer");
        carol.send(&of("accept", id));
        alice.wait_for("go");
        violate(&mut alice, u32::try_from(id).unwrap());
        assert_eq!(alice.pass_to("abort"), abort(id, why));
        assert_eq!(carol.pass_to("abort"), abort(id, why));
        bob.expect_prefix("* receiving x (1200000 bytes) from alice");
        bob.expect(&[&format!("! x from alice: {why}")]);
        // Whatever else comes of it is ignored.
        alice.send_chunk(u32::try_from(id).unwrap(), 0, &[0; 1024]);
        alice.send(&end(id, SIZE, OF_HI));
        carol.send(&ack(id, 1024));
        carol.send(&of("received", id));
        alice.expect_nothing_more();
        carol.expect_nothing_more();
    }
    they_go_on(&place, &mut alice, &mut carol, &mut bob);
}

/// Before all have answered, and after the end.
pub fn too_early_and_too_late<S: Stage>() {
    let place = Place::default();
    let (_server, mut alice, mut carol, mut bob) = three::<S>(&place);
    let early: [Violation; 2] = [
        (|alice, id| alice.send_chunk(id, 0, b"hi"), "it was sent before its turn"),
        (|alice, id| alice.send(&end(id.into(), 2, OF_HI)), "it ended where it should not"),
    ];
    for ((violate, why), id) in early.into_iter().zip(1..) {
        assert_eq!(alice.offer(None, "x", 2), id);
        carol.wait_for("offer");
        bob.expect_prefix("* receiving x (2 bytes) from alice");
        violate(&mut alice, u32::try_from(id).unwrap());
        alice.expect(&abort(id, why));
        carol.expect(&abort(id, why));
        carol.send(&of("accept", id));
        bob.expect(&[&format!("! x from alice: {why}")]);
    }
    let late: [Violation; 2] = [
        (|alice, id| alice.send_chunk(id, 2, b"!"), "more came than was offered"),
        (|alice, id| alice.send(&end(id.into(), 2, OF_HI)), "it ended where it should not"),
    ];
    for ((violate, why), id) in late.into_iter().zip(3..) {
        assert_eq!(alice.offer(Some("carol"), "x", 2), id);
        carol.wait_for("offer");
        carol.send(&of("accept", id));
        alice.wait_for("go");
        alice.send_chunk(u32::try_from(id).unwrap(), 0, b"hi");
        alice.send(&end(id, 2, OF_HI));
        violate(&mut alice, u32::try_from(id).unwrap());
        assert_eq!(alice.pass_to("abort"), abort(id, why));
        assert_eq!(carol.pass_to("abort"), abort(id, why));
    }
    they_go_on(&place, &mut alice, &mut carol, &mut bob);
}

/// A file that is what it should be, to all.
fn they_go_on(place: &Place, alice: &mut Peer, carol: &mut Peer, bob: &mut Program) {
    wait_until("nothing is left", || place.listing("bob").is_empty());
    let id = alice.offer(None, "fine", 2);
    carol.wait_for("offer");
    carol.send(&of("accept", id));
    alice.wait_for("go");
    alice.send_chunk(u32::try_from(id).unwrap(), 0, b"hi");
    alice.send(&end(id, 2, OF_HI));
    assert_eq!(carol.take(id), b"hi");
    alice.wait_for("done");
    wait_for(
        bob,
        &format!(
            "* received fine (2 bytes) from alice -> {}",
            place.path("bob").join("fine").display()
        ),
    );
    assert_eq!(place.listing("bob")["fine"], b"hi");
    alice.send(&json!({"type": "say", "text": "still here"}));
    bob.expect(&["alice: still here"]);
}

/// A taker's violations cost it that file; the sender learns why, and the others get it.
pub fn what_a_taker_may_not_do<S: Stage>() {
    type Lie = (fn(u64) -> Value, &'static str);
    const LIES: [Lie; 5] = [
        (|id| ack(id, SIZE), "acknowledged what was not sent"),
        (|id| ack(id, SIZE + 1), "acknowledged what was not sent"),
        (|id| ack(id, WINDOW + 1), "acknowledged what was not sent"),
        (|id| ack(id, u64::MAX), "acknowledged what was not sent"),
        (|id| of("received", id), "claimed to have it before its end"),
    ];
    let (server, place) = (Server::start::<S>(&Limits::default()), Place::default());
    let mut carol = server.join::<S>("carol");
    let mut alice = client::<S>(server.address, &place, "alice");
    let mut bob = client::<S>(server.address, &place, "bob");
    alice.expect(&["* bob joined"]);
    let size = usize::try_from(SIZE).unwrap();
    for ((lie, why), id) in LIES.into_iter().zip(1..) {
        alice.type_line(&format!("@send {}", place.file(&format!("{id}"), size)));
        carol.pass_to("offer");
        carol.send(&of("accept", id));
        carol.chunk();
        carol.send(&lie(id));
        alice.expect_prefix(&format!("* offered {id} to all"));
        alice.expect(&[
            &format!("* sending {id} (1200000 bytes)"),
            &format!("! carol does not get {id}: {why}"),
            &format!("* bob has {id}"),
            &format!("* sent {id} to all"),
        ]);
        bob.expect_prefix(&format!("* receiving {id} (1200000 bytes) from alice"));
        bob.expect_prefix(&format!("* received {id} (1200000 bytes) from alice"));
    }
    // Before anything is sent, there is nothing to acknowledge.
    let mut dave = server.join::<S>("dave");
    alice.type_line(&format!("@send {}", place.text("1")));
    carol.pass_to("offer");
    dave.wait_for("offer");
    carol.send(&ack(6, 0));
    wait_for(&mut alice, "! carol does not get 1: acknowledged what was not sent");
    dave.send(&json!({"type": "refuse", "id": 6, "text": "no"}));
    wait_for(&mut alice, "* sent 1 to all");
    // She is still here, and may take the next one.
    alice.type_line(&format!("@send {} carol", place.file("small", 100)));
    carol.pass_to("offer");
    carol.send(&of("accept", 7));
    carol.send(&of("accept", 7));
    assert_eq!(carol.take(7), pattern(100));
    carol.send(&of("received", 7));
    carol.expect_nothing_more();
    wait_for(&mut alice, "* sent small to carol");
    let due = ["1", "2", "3", "4", "5", "1 (1)"].map(|name| (name, size));
    place.expect("bob", &due);
}

/// What others send or take is nobody else's business, and what never was is nobody's.
pub fn what_is_not_ones_own<S: Stage>() {
    let server = Server::start::<S>(&Limits::default());
    let [mut alice, mut bob, mut carol] = server.join_all::<S, 3>(["alice", "bob", "carol"]);
    let id = alice.offer(Some("bob"), "x", 4);
    bob.wait_for("offer");
    // She was not asked.
    for request in [
        of("accept", id),
        json!({"type": "refuse", "id": id, "text": "no"}),
        ack(id, 0),
        ack(id, u64::MAX),
        of("received", id),
        abort(id, "no"),
    ] {
        carol.send(&request);
        carol.expect_nothing_more();
    }
    bob.send(&of("accept", id));
    alice.expect(&of("go", id));
    for peer in [&mut bob, &mut carol] {
        peer.send_chunk(1, 0, b"evil");
        peer.expect_refusal("file 1 is not yours to send");
        peer.send(&end(id, 4, OF_HI));
        peer.expect_refusal("file 1 is not yours to send");
    }
    carol.send(&abort(id, "no"));
    carol.send(&of("received", id));
    carol.expect_nothing_more();
    // What a sender says of its own file as if it took it, changes nothing.
    for request in [of("accept", id), ack(id, 4), of("received", id)] {
        alice.send(&request);
    }
    alice.expect_nothing_more();

    for unknown in [0, 2, 99, u64::from(u32::MAX)] {
        for request in [
            of("accept", unknown),
            json!({"type": "refuse", "id": unknown, "text": "no"}),
            ack(unknown, 0),
            of("received", unknown),
            abort(unknown, "no"),
            end(unknown, 0, OF_NOTHING),
        ] {
            carol.send(&request);
            carol.expect_refusal(&format!("there is no file {unknown}"));
        }
        carol.send_chunk(u32::try_from(unknown).unwrap(), 0, b"x");
        carol.expect_refusal(&format!("there is no file {unknown}"));
    }
    alice.send_chunk(1, 0, b"hihi");
    assert_eq!(bob.chunk(), (1, 0, b"hihi".to_vec()));
    bob.expect_nothing_more();
    alice.expect_nothing_more();
    carol.expect_nothing_more();
}

/// What no message about a file looks like is refused, as everything that cannot be read.
pub fn what_cannot_be_read<S: Stage>() {
    let server = Server::start::<S>(&Limits::default());
    let mut alice = server.join::<S>("alice");
    let chunks = [0, 4, 11, 12, 12 + CHUNK + 1];
    for length in chunks {
        alice.send_frame(common::frame::CHUNK, &vec![0; length]);
        alice.expect_refusal(&format!("a chunk of a file with {length} bytes"));
    }
    // So many that cannot be read are borne with from one person.
    let mut alice = server.join::<S>("bob");
    for message in [
        json!({"type": "accept", "id": -1}),
        json!({"type": "accept", "id": 1_u64 << 32}),
        json!({"type": "accept", "id": "1"}),
        json!({"type": "ack", "id": 1, "offset": -1}),
        json!({"type": "ack", "id": 1, "offset": 1.5}),
        json!({"type": "offer", "tag": 1, "name": "x", "size": -1}),
        json!({"type": "offer", "tag": 1, "name": "x", "size": 1, "path": "/"}),
        json!({"type": "offer", "tag": 1, "name": "x", "size": 1, "to": null}),
        json!({"type": "offer", "name": "x", "size": 1}),
        json!({"type": "offer", "tag": -1, "name": "x", "size": 1}),
        json!({"type": "offer", "tag": 1_u64 << 32, "name": "x", "size": 1}),
        json!({"type": "offer", "tag": "1", "name": "x", "size": 1}),
        json!({"type": "end", "id": 1, "size": 1, "sha256": "00"}),
        json!({"type": "end", "id": 1, "size": 1, "sha256": "g".repeat(64)}),
    ] {
        alice.send(&message);
        alice.expect_refusal("unreadable message: ");
    }
    alice.expect_nothing_more();
}

/// Sixteen files may be open; the seventeenth is refused. Each answer has the tag of its offer.
pub fn too_many_offers<S: Stage>() {
    let server = Server::start::<S>(&Limits::default());
    let [mut alice, mut bob] = server.join_all::<S, 2>(["alice", "bob"]);
    // Any will do, the same twice too.
    let tag = |number: u64| 1_000_000 - u32::try_from(number / 2).unwrap();
    for number in 1..=20 {
        alice.send(&offer(tag(number), None, "x", 2));
    }
    for id in 1..=16 {
        alice.expect(&offered(tag(id), id));
        let asked = bob.event();
        assert_eq!((&asked["id"], asked.get("tag")), (&json!(id), None), "{asked}");
    }
    for number in 17..=20 {
        let refused = alice.event();
        assert_eq!(refused["type"], "not-offered", "{refused}");
        assert_eq!(refused["tag"], tag(number), "{refused}");
        let text = refused["text"].as_str().unwrap();
        assert!(text.starts_with("16 of your files are not through yet"), "{text}");
    }
    bob.expect_nothing_more();
    alice.send(&abort(7, "not this one"));
    alice.send(&offer(0, None, "y", 2));
    alice.expect(&offered(0, 17));
    assert_eq!(bob.wait_for("offer")["name"], "y");
    // Others have offers of their own.
    assert_eq!(bob.offer(None, "z", 2), 18);
}

/// Thousands of offers cost a server and those who are offered the files next to nothing.
#[cfg(target_os = "linux")]
pub fn thousands_of_offers<S: Stage>() {
    const ROUNDS: u64 = 250;
    let (server, place) = (ServerProgram::start::<S>(&[]), Place::default());
    let mut bob = client::<S>(server.address, &place, "bob");
    let mut alice = Peer::join::<S>(server.address, "alice");
    let victims = [server.program.pid(), bob.pid()];
    let of_victims = |key| victims.map(|pid| super::status(pid, key).unwrap());
    let (memory, mut threads) = (of_victims("VmRSS"), 0);
    for round in 0..ROUNDS {
        for _ in 0..16 {
            alice.send(&offer(1, None, "x", u64::MAX));
        }
        for id in (1..=16).map(|number| round * 16 + number) {
            assert_eq!(alice.wait_for("offered")["id"], id);
        }
        for id in (1..=16).map(|number| round * 16 + number) {
            alice.send(&abort(id, "no"));
        }
        threads = of_victims("Threads").into_iter().fold(threads, u64::max);
    }
    // All are refused there for their size, or were aborted before that.
    alice.send(&json!({"type": "say", "text": "that was all"}));
    wait_for(&mut bob, "alice: that was all");
    assert!(threads < 200, "{threads} threads");
    for (before, after) in memory.into_iter().zip(of_victims("VmHWM")) {
        assert!(after < before + 32 * 1024, "from {before} KiB to {after} KiB");
    }
    wait_until("nothing is left", || place.listing("bob").is_empty());
    assert_eq!(bob.end().0, Some(0));
}

/// A taker that acknowledges what it never takes off its socket would have the server keep the whole
/// file: it is closed, and nothing waits for it any more.
#[cfg(target_os = "linux")]
pub fn who_acknowledges_what_he_does_not_take<S: Stage>() {
    let server = ServerProgram::start::<S>(&[]);
    let mut alice = Peer::join::<S>(server.address, "alice");
    let mut bob = Peer::join::<S>(server.address, "bob");
    let before = super::status(server.program.pid(), "VmRSS").unwrap();
    let gone = acknowledges_all(&mut alice, &mut bob, u64::MAX).expect("he is not served for ever");
    assert_eq!(gone, dropped(1, "bob", "has left"));
    alice.wait_for("left");
    let most = super::status(server.program.pid(), "VmHWM").unwrap();
    assert!(most < before + 16 * 1024, "from {before} KiB to {most} KiB");
}

/// The same, to one who wants to know why.
pub fn who_acknowledges_too_much_is_told<S: Stage>() {
    let limits = Limits { goodbye_within: PATIENCE, ..Limits::default() };
    let server = Server::start::<S>(&limits);
    let [mut alice, mut bob] = server.join_all::<S, 2>(["alice", "bob"]);
    // More than sockets hold that nobody reads from.
    assert_eq!(acknowledges_all(&mut alice, &mut bob, 10 << 20), None);
    let mut words = None;
    while let Some(got) = bob.got() {
        if let crate::peer::Got::Message(message) = got {
            words = Some(message);
        }
    }
    let text = "it acknowledged bytes of a file that it had not been sent";
    let bye = json!({"type": "bye", "reason": "protocol", "text": text});
    assert_eq!(words.expect("last words"), bye);
}

/// Alice sends bob a file, of which he takes nothing and acknowledges each chunk, up to this offset
/// or until she hears of something else.
fn acknowledges_all(alice: &mut Peer, bob: &mut Peer, most: u64) -> Option<Value> {
    let id = alice.offer(None, "x", 1 << 40);
    bob.wait_for("offer");
    bob.send(&of("accept", id));
    alice.expect(&of("go", id));
    let began = std::time::Instant::now();
    for chunk in 0..most / 65_536 {
        let offset = chunk * 65_536;
        alice.send_chunk(1, offset, &[0; CHUNK]);
        // It has come, so it can be acknowledged.
        alice.send(&json!({"type": "ping"}));
        let event = alice.event();
        if event["type"] != "pong" {
            return Some(event);
        }
        bob.send(&ack(id, offset + 65_536));
        let event = alice.event();
        if event["type"] != "ack" {
            return Some(event);
        }
        assert!(began.elapsed() < PATIENCE, "he is not closed");
    }
    None
}

/// A taker that accepts files, takes nothing of them off its socket and aborts each: what waited for
/// it is dropped with that, and not kept until there is room.
#[cfg(target_os = "linux")]
pub fn who_aborts_what_he_does_not_take<S: Stage>() {
    const ROUNDS: u64 = 200;
    let server = ServerProgram::start::<S>(&[]);
    let mut alice = Peer::join::<S>(server.address, "alice");
    let mut bob = Peer::join::<S>(server.address, "bob");
    alice.wait_for("joined");
    let before = super::status(server.program.pid(), "VmRSS").unwrap();
    for id in 1..=ROUNDS {
        assert_eq!(alice.offer(None, "x", WINDOW), id);
        bob.send(&of("accept", id));
        alice.expect(&of("go", id));
        alice.send_pattern(id, 0, WINDOW);
        // All of it has come, and waits for him.
        alice.expect_nothing_more();
        bob.send(&abort(id, "no"));
        alice.expect(&dropped(id, "bob", "no"));
        alice.expect(&abort(id, "nobody takes it"));
        // Or he would be closed, as one who takes nothing at all.
        assert!(bob.got().is_some(), "he is still here");
    }
    let most = super::status(server.program.pid(), "VmHWM").unwrap();
    assert!(most < before + 32 * 1024, "from {before} KiB to {most} KiB");
}

/// A taker that takes nothing is dropped when it has had its time; what waited for it is dropped
/// with that, and messages reach it.
pub fn who_takes_nothing<S: Stage>() {
    let progress_within = std::time::Duration::from_millis(400);
    let limits = Limits { progress_within, tick: progress_within / 8, ..Limits::default() };
    let server = Server::start::<S>(&limits);
    let [mut alice, mut bob] = server.join_all::<S, 2>(["alice", "bob"]);
    for id in 1..=3 {
        assert_eq!(alice.offer(None, "x", SIZE), id);
        bob.send(&of("accept", id));
        alice.wait_for("go");
        alice.send_pattern(id, 0, WINDOW);
        assert_eq!(alice.event(), dropped(id, "bob", "did not take it for 400ms"));
        alice.expect(&abort(id, "nobody takes it"));
    }
    for id in 1..=3 {
        assert_eq!(bob.pass_to("abort"), abort(id, "you did not take it for 400ms"));
    }
    alice.send(&json!({"type": "say", "text": "hi"}));
    assert_eq!(bob.pass_to("said")["text"], "hi");
}
