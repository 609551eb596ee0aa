//! What time does: heartbeats, deadlines, the end of a server.

use std::net::Ipv4Addr;
use std::net::TcpListener;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use serde_json::json;

use crate::Limits;
use crate::PATIENCE;
use crate::Stage;
use crate::process::Program;
use crate::server::Server;

fn limits() -> Limits {
    Limits {
        ping_after: Duration::from_millis(400),
        close_after: Duration::from_millis(1200),
        goodbye_within: Duration::from_millis(200),
        ..Limits::default()
    }
}

/// Who is silent is pinged, and closed if there is no answer; the others hear that it left.
pub fn a_silent_peer_is_closed<S: Stage>() {
    let server = Server::start::<S>(&limits());
    let mut alice = server.join::<S>("alice");
    let begun = Instant::now();
    alice.expect(&json!({"type": "ping"}));
    assert!(begun.elapsed() >= limits().ping_after / 2);
    alice.expect(&json!({"type": "ping"}));
    alice.expect_bye("silent");
    assert!(begun.elapsed() >= limits().close_after / 2);
    // The name is free again.
    server.join::<S>("alice");
}

/// Who answers pings stays, however long there is nothing to say.
pub fn a_peer_that_answers_stays<S: Stage>() {
    let server = Server::start::<S>(&limits());
    let mut alice = server.join::<S>("alice");
    for _ in 0..5 {
        alice.expect(&json!({"type": "ping"}));
        alice.send(&json!({"type": "pong"}));
    }
    alice.expect_nothing_more();
}

/// A client whose server does not answer waits for its deadline of ten seconds and fails.
pub fn a_server_that_says_nothing<S: Stage>() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let started = Instant::now();
    let mut bob = Program::start::<S>(&["client", &address, "--name", "bob"]);
    let silent = listener.accept().unwrap();
    bob.expect_prefix("! ");
    let waited = started.elapsed();
    let (code, lines, _) = bob.end();
    assert_eq!((code, lines), (Some(1), vec![]));
    assert!(waited > Duration::from_secs(9), "gave up after {waited:?}");
    assert!(waited < Duration::from_secs(14), "gave up after {waited:?}");
    drop(silent);
}

/// Single bytes are no sign of life: only frames are.
pub fn bytes_without_a_frame_are_silence<S: Stage>() {
    let server = Server::start::<S>(&limits());
    let mut alice = server.join::<S>("alice");
    let mut stream = alice.stream.clone();
    thread::spawn(move || {
        use std::io::Write;
        // The start of a frame that never ends, a byte at a time, faster than a silence.
        let drip = limits().ping_after / 4;
        let bytes = [0_u8, 0, 1, 0].into_iter().chain(std::iter::repeat(0x20));
        for byte in bytes {
            if stream.write_all(&[byte]).is_err() {
                break;
            }
            thread::park_timeout(drip);
        }
    });
    alice.expect(&json!({"type": "ping"}));
    alice.expect(&json!({"type": "ping"}));
    alice.expect_bye("silent");
}

/// While a peer's reader waits for others, its silence is not counted.
pub fn waiting_for_others_is_no_silence<S: Stage>() {
    let limits = Limits {
        ping_after: Duration::from_millis(500),
        close_after: Duration::from_millis(1000),
        // Several times what silence is allowed.
        stalled_after: Duration::from_millis(3000),
        portion_within: PATIENCE,
        ..limits()
    };
    let server = Server::start::<S>(&limits);
    let [mut alice, mut carol] = server.join_all::<S, 2>(["alice", "carol"]);
    let text = "x".repeat(4000);
    let flood = thread::spawn(move || {
        for _ in 0..8000 {
            alice.send(&json!({"type": "say", "text": text}));
        }
        alice
    });
    // Carol reads nothing, but asks, until her reader waits for room in her own queue for the
    // answer. Alice's waits for the same room.
    while !flood.is_finished() {
        carol.send(&json!({"type": "ping"}));
        thread::park_timeout(limits.ping_after / 5);
    }
    // Neither of the two is closed for silence; carol is for being stalled, long after.
    let mut alice = flood.join().expect("alice goes on when carol is gone");
    assert_eq!(alice.wait_for("left")["name"], "carol");
    while let Some(event) = carol.next_event() {
        assert_ne!(event["reason"], "silent");
    }
}

/// A server that is stopped tells everyone, sends what is queued, and is gone soon.
pub fn stopping_tells_everyone<S: Stage>() {
    let mut server = Server::start::<S>(&Limits::default());
    let [mut alice, mut bob] = server.join_all::<S, 2>(["alice", "bob"]);
    let mut silent = crate::peer::Peer::connect::<S>(server.address);
    for number in 0..100 {
        alice.send(&json!({"type": "say", "text": number.to_string()}));
    }
    alice.expect_nothing_more();
    let begun = Instant::now();
    let stopping = thread::spawn(move || server.stop());
    for number in 0..100 {
        bob.expect(&json!({"type": "said", "from": "alice", "text": number.to_string()}));
    }
    bob.expect_bye("stopping");
    alice.expect_bye("stopping");
    assert_eq!(silent.next_event(), None);
    drop((alice, bob, silent));
    stopping.join().expect("the server stops");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}
