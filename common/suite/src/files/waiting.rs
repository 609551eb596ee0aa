//! Who makes others wait: for an answer, for an acknowledgement, for the next byte.

use std::time::Duration;
use std::time::Instant;

use serde_json::json;

use super::Place;
use super::WINDOW;
use super::abort;
use super::ack;
use super::client;
use super::dropped;
use super::end;
use super::of;
use super::wait_for;
use super::wait_until;
use crate::Limits;
use crate::Stage;
use crate::peer::Got;
use crate::server::Server;

/// What a test waits for, yet longer than a busy machine lets a thread wait.
const SOON: Duration = Duration::from_millis(400);

/// With times that can be waited for.
fn limits() -> Limits {
    let tick = SOON / 8;
    Limits {
        answer_within: SOON,
        progress_within: SOON,
        settle_within: SOON,
        tick,
        ..Limits::default()
    }
}

/// Who says nothing to an offer has refused it; the others need not wait longer.
pub fn silence_refuses<S: Stage>() {
    let (server, place) = (Server::start::<S>(&limits()), Place::default());
    let mut alice = client::<S>(server.address, &place, "alice");
    let mut bob = server.join::<S>("bob");
    let mut carol = client::<S>(server.address, &place, "carol");
    alice.expect(&["* bob joined", "* carol joined"]);
    let asked = Instant::now();
    alice.type_line(&format!("@send {}", place.file("x", 100)));
    alice.expect(&[
        "* offered x to all (100 bytes); @cancel 1 takes it back",
        "! bob does not get x: did not answer within 400ms",
        "* sending x (100 bytes)",
        "* carol has x",
        "* sent x to all",
    ]);
    assert!(asked.elapsed() >= SOON);
    assert_eq!(bob.wait_for("abort"), abort(1, "you did not answer within 400ms"));
    // Too late.
    bob.send(&of("accept", 1));
    bob.expect_nothing_more();
    place.expect("carol", &[("x", 100)]);
    carol.expect_prefix("* receiving x");
}

/// Who takes nothing is dropped from that file, and from nothing else; the others get it.
pub fn who_stands_still_is_dropped<S: Stage>() {
    let (server, place) = (Server::start::<S>(&limits()), Place::default());
    let mut alice = client::<S>(server.address, &place, "alice");
    let mut bob = server.join::<S>("bob");
    let _carol = client::<S>(server.address, &place, "carol");
    alice.expect(&["* bob joined", "* carol joined"]);
    alice.type_line(&format!("@send {}", place.file("x", 3_000_000)));
    bob.wait_for("offer");
    bob.send(&of("accept", 1));
    alice.expect(&[
        "* offered x to all (3000000 bytes); @cancel 1 takes it back",
        "* sending x (3000000 bytes)",
        "! bob does not get x: did not take it for 400ms",
        "* carol has x",
        "* sent x to all",
    ]);
    place.expect("carol", &[("x", 3_000_000)]);
    assert_eq!(bob.pass_to("abort"), abort(1, "you did not take it for 400ms"));
    alice.type_line("still there, bob?");
    bob.expect(&json!({"type": "said", "from": "alice", "text": "still there, bob?"}));
    bob.send(&ack(1, 65_536));
    bob.send(&of("received", 1));
    bob.expect_nothing_more();
}

/// A little is not enough: 64 KiB in each of these times are due.
pub fn who_trickles_is_dropped<S: Stage>() {
    let (server, place) = (Server::start::<S>(&limits()), Place::default());
    let mut alice = client::<S>(server.address, &place, "alice");
    let mut bob = server.join::<S>("bob");
    alice.type_line(&format!("@send {}", place.file("x", 3_000_000)));
    bob.wait_for("offer");
    bob.send(&of("accept", 1));
    let (mut offset, began) = (0, Instant::now());
    loop {
        // A byte for whatever comes; there is always an answer to a ping to come.
        if let Got::Message(message) = bob.got().expect("he is not closed")
            && message["type"] == "abort"
        {
            break;
        }
        offset += 1;
        bob.send(&ack(1, offset));
        bob.send(&json!({"type": "ping"}));
        assert!(began.elapsed() < crate::PATIENCE, "he is not dropped");
        std::thread::park_timeout(Duration::from_millis(1));
    }
    wait_for(&mut alice, "! bob does not get x: did not take it for 400ms");
    assert!(offset > 3, "he has taken something now and then");
}

/// A slow taker delays that file, and no other, and no message.
pub fn a_slow_taker_delays_that_file_alone<S: Stage>() {
    let (server, place) = (Server::start::<S>(&Limits::default()), Place::default());
    let mut alice = client::<S>(server.address, &place, "alice");
    let mut bob = server.join::<S>("bob");
    let mut carol = client::<S>(server.address, &place, "carol");
    alice.type_line(&format!("@send {}", place.file("slow", 3_000_000)));
    carol.expect_prefix("* receiving slow");
    bob.wait_for("offer");
    bob.send(&of("accept", 1));
    bob.chunk();
    // It is in the middle: a window of it is sent.
    alice.type_line(&format!("@send {} carol", place.file("quick", 4_000_000)));
    wait_for(&mut alice, "* sent quick to carol");
    carol.expect_prefix("* receiving quick");
    carol.expect_prefix("* received quick");
    alice.type_line("hi");
    carol.expect(&["alice: hi"]);
    let mut offset = 0;
    let said = loop {
        match bob.got().expect("he is here") {
            Got::Message(message) if message["type"] == "said" => break message,
            Got::Message(message) => panic!("{message}"),
            Got::Chunk { id, .. } => assert_eq!(id, 1),
        }
        offset += 1;
    };
    assert_eq!(said["text"], "hi");
    assert!(offset < 16, "no more than the window: {offset} chunks");
    // Now he takes it.
    bob.send(&ack(1, WINDOW));
    let mut had = WINDOW;
    while had < 3_000_000 {
        match bob.got().expect("he is here") {
            Got::Chunk { offset, bytes, .. } if offset >= WINDOW => {
                had += u64::try_from(bytes.len()).unwrap();
                bob.send(&ack(1, had));
            }
            _ => {}
        }
    }
    bob.pass_to("end");
    bob.send(&of("received", 1));
    wait_for(&mut alice, "* sent slow to all");
    place.expect("carol", &[("slow", 3_000_000), ("quick", 4_000_000)]);
}

/// A sender from whom nothing comes gives up its file, and nothing of it stays.
pub fn a_sender_says_nothing<S: Stage>() {
    let (server, place) = (Server::start::<S>(&limits()), Place::default());
    let mut alice = server.join::<S>("alice");
    let mut bob = client::<S>(server.address, &place, "bob");
    for (id, sent) in [(1, 0), (2, 200_000)] {
        assert_eq!(alice.offer(None, "x", 3_000_000), id);
        alice.wait_for("go");
        alice.send_pattern(id, 0, sent);
        bob.expect_prefix("* receiving x (3000000 bytes) from alice");
        bob.expect(&["! x from alice: nothing came of it for 400ms"]);
        assert_eq!(alice.wait_for("abort"), abort(id, "nothing came of it for 400ms"));
        wait_until("nothing is left of it", || place.listing("bob").is_empty());
    }
    // It is over: what comes now is ignored.
    alice.send_pattern(2, 200_000, 300_000);
    alice.send(&end(2, 3_000_000, super::OF_HI));
    alice.expect_nothing_more();
    bob.type_line("hello");
    assert_eq!(alice.wait_for("said")["text"], "hello");
}

/// Who has all of it has some time to put it in place, and no more.
pub fn who_never_finishes_is_dropped<S: Stage>() {
    let (server, place) = (Server::start::<S>(&limits()), Place::default());
    let mut alice = client::<S>(server.address, &place, "alice");
    let mut bob = server.join::<S>("bob");
    alice.type_line(&format!("@send {}", place.file("x", 100)));
    bob.wait_for("offer");
    bob.send(&of("accept", 1));
    bob.chunk();
    bob.send(&ack(1, 100));
    bob.wait_for("end");
    wait_for(&mut alice, "! bob does not get x: did not finish it in time");
    alice.expect(&["! x to all: nobody takes it"]);
    assert_eq!(bob.wait_for("abort"), abort(1, "you did not finish it in time"));
}

/// Who has all of it and takes its time to put it in place is not dropped for that, and does not keep
/// others waiting for their turn.
pub fn who_finishes_late_is_waited_for<S: Stage>() {
    let settle_within = Limits::default().settle_within;
    let server = Server::start::<S>(&Limits { settle_within, ..limits() });
    let [mut alice, mut bob] = server.join_all::<S, 2>(["alice", "bob"]);
    // One more than may be under way.
    for id in 1..=5 {
        assert_eq!(alice.offer(None, "x", 2), id);
        bob.send(&of("accept", id));
        alice.expect(&of("go", id));
        alice.send_chunk(u32::try_from(id).unwrap(), 0, b"hi");
        alice.send(&end(id, 2, super::OF_HI));
        bob.pass_to("end");
        bob.send(&ack(id, 2));
        alice.expect(&ack(id, 2));
    }
    let began = Instant::now();
    while began.elapsed() < 3 * SOON {
        alice.expect_nothing_more();
        bob.expect_nothing_more();
        std::thread::park_timeout(SOON / 8);
    }
    for id in 1..=5 {
        bob.send(&of("received", id));
        alice.expect(&json!({"type": "received", "id": id, "name": "bob"}));
        alice.expect(&of("done", id));
    }
}

/// Four files of one sender are under way at once; the others wait until it is their turn.
pub fn others_wait_for_their_turn<S: Stage>() {
    let server = Server::start::<S>(&Limits::default());
    let [mut alice, mut bob] = server.join_all::<S, 2>(["alice", "bob"]);
    for id in 1..=6 {
        assert_eq!(alice.offer(None, "x", 2), id);
        assert_eq!(bob.wait_for("offer")["id"], id);
    }
    for id in 1..=6 {
        bob.send(&of("accept", id));
    }
    for id in 1..=4 {
        alice.expect(&of("go", id));
    }
    bob.expect_nothing_more();
    alice.expect_nothing_more();
    alice.send(&abort(2, "not this one"));
    alice.expect(&of("go", 5));
    assert_eq!(bob.wait_for("abort"), abort(2, "not this one"));
    bob.send(&abort(3, "nor this one"));
    assert_eq!(alice.wait_for("dropped"), dropped(3, "bob", "nor this one"));
    alice.expect(&abort(3, "nobody takes it"));
    alice.expect(&of("go", 6));
}
