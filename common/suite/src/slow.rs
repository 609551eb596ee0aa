//! Readers that do not keep up: whom they delay, for how long, and what they cost the others.

use std::io::Read;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use serde_json::json;

use crate::Limits;
use crate::PATIENCE;
use crate::Stage;
use crate::peer::Peer;
use crate::server::Server;

/// Bytes of text in each message: few messages fill what the system buffers of a connection.
const TEXT: usize = 4000;

fn say(number: usize) -> Value {
    json!({"type": "say", "text": format!("{number:0TEXT$}")})
}

fn said(from: &str, number: usize) -> Value {
    json!({"type": "said", "from": from, "text": format!("{number:0TEXT$}")})
}

/// Short enough to be waited for, in the proportions of the real ones.
fn limits() -> Limits {
    Limits {
        stalled_after: Duration::from_millis(600),
        portion_within: Duration::from_millis(2000),
        goodbye_within: Duration::from_millis(100),
        ..Limits::default()
    }
}

/// Alice says message after message until the server closes `slow`, and then a last one; bob gets
/// every one of them, once, in order, and then hears that `slow` left.
///
/// Returns how long the longest wait between two messages at bob's was.
fn flood_until_left(alice: &mut Peer, bob: Peer, slow: &[&str]) -> Duration {
    let (progress, received) = mpsc::channel();
    let left = slow.iter().map(|name| json!({"type": "left", "name": name})).collect::<Vec<_>>();
    let listener = thread::spawn(move || {
        let mut bob = bob;
        let (mut next, mut gone, mut longest) = (0, 0, Duration::ZERO);
        let mut last = Instant::now();
        while gone < left.len() {
            let event = bob.event();
            longest = longest.max(last.elapsed());
            last = Instant::now();
            if event["type"] == "left" {
                assert!(left.contains(&event), "{event}");
                gone += 1;
            } else {
                assert_eq!(event, said("alice", next));
                next += 1;
                progress.send(next).expect("alice waits for it");
            }
        }
        longest
    });
    let mut sent = 0;
    // Alice is never more than a few messages ahead of bob, so that only the slow one is slow.
    let deadline = Instant::now() + PATIENCE;
    while !listener.is_finished() && Instant::now() < deadline {
        alice.send(&say(sent));
        sent += 1;
        if sent > 8 && received.recv().is_err() {
            break;
        }
    }
    listener.join().expect("bob gets everything, and hears that the slow ones left")
}

/// A reader that stops is closed after `stalled_after`, and delays the others no longer.
pub fn a_reader_that_stops<S: Stage>() {
    let limits = limits();
    let server = Server::start::<S>(&limits);
    let [mut alice, bob, carol] = server.join_all::<S, 3>(["alice", "bob", "carol"]);
    let longest = flood_until_left(&mut alice, bob, &["carol"]);
    // Not at once: it had its time. Not much later either.
    assert!(longest >= limits.stalled_after / 2, "{longest:?}");
    assert!(longest < limits.stalled_after * 4, "{longest:?}");
    drop(carol);
}

/// Two that stop at the same time cost the others the time of one.
pub fn two_readers_that_stop<S: Stage>() {
    let limits = limits();
    let server = Server::start::<S>(&limits);
    let [mut alice, bob, carol, dave] = server.join_all::<S, 4>(["alice", "bob", "carol", "dave"]);
    let longest = flood_until_left(&mut alice, bob, &["carol", "dave"]);
    assert!(longest < limits.stalled_after * 4, "{longest:?}");
    drop((carol, dave));
}

/// A reader that takes a little now and then is not silent, but takes too little, and is closed.
pub fn a_reader_that_trickles<S: Stage>() {
    let limits = limits();
    let server = Server::start::<S>(&limits);
    let [mut alice, bob, carol] = server.join_all::<S, 3>(["alice", "bob", "carol"]);
    let (stop, stopped) = mpsc::channel::<()>();
    let mut stream = carol.stream.clone();
    let trickle = thread::spawn(move || {
        // Far less than 64 KiB in each portion_within; the channel is the clock.
        let mut bytes = [0; 2048];
        let pause = Duration::from_millis(200);
        while stopped.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
            if !matches!(stream.read(&mut bytes), Ok(1..)) {
                break;
            }
        }
    });
    let longest = flood_until_left(&mut alice, bob, &["carol"]);
    drop(stop);
    trickle.join().expect("the trickle ends");
    assert!(longest < limits.portion_within * 3, "{longest:?}");
    drop(carol);
}

/// A slow reader that does keep taking is waited for: nobody is closed and nothing is lost.
pub fn a_slow_reader_slows_its_sender<S: Stage>() {
    const MESSAGES: usize = 1500;
    let limits = limits();
    let server = Server::start::<S>(&limits);
    let [mut alice, mut bob] = server.join_all::<S, 2>(["alice", "bob"]);
    let sender = thread::spawn(move || {
        for number in 0..MESSAGES {
            alice.send(&say(number));
        }
        alice
    });
    for number in 0..MESSAGES {
        if number % 100 == 0 {
            // Slow, but well within the limit: the time in which nothing is taken is what counts.
            thread::park_timeout(limits.stalled_after / 6);
        }
        bob.expect(&said("alice", number));
    }
    let mut alice = sender.join().expect("alice could send everything");
    alice.expect_nothing_more();
    bob.expect_nothing_more();
}

/// What a stalled peer delays are those who send to it; all others go on at full speed.
pub fn only_its_senders_wait<S: Stage>() {
    // Long enough that a wait for the stalled peer would be noticed.
    let limits = Limits { stalled_after: PATIENCE * 10, portion_within: PATIENCE * 10, ..limits() };
    let server = Server::start::<S>(&limits);
    let [mut alice, mut bob, carol, mut dave] =
        server.join_all::<S, 4>(["alice", "bob", "carol", "dave"]);
    // Alice alone writes to carol, until carol's queue is full and alice's thread waits for it.
    let (text, alices) = ("x".repeat(TEXT), alice.stream.clone());
    let flood = thread::spawn(move || {
        for _ in 0..10_000 {
            alice.send(&json!({"type": "private", "to": "carol", "text": text}));
        }
    });
    let begun = Instant::now();
    for number in 0..50 {
        let text = number.to_string();
        bob.send(&json!({"type": "private", "to": "dave", "text": text}));
        let sent = json!({"type": "private", "from": "bob", "to": "dave", "text": text});
        dave.expect(&sent);
        bob.expect(&sent);
    }
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    assert!(!flood.is_finished(), "carol's queue was never full");
    alices.close();
    carol.stream.close();
    flood.join().expect("nothing holds alice when she is gone");
}

/// Somebody who is told why they are closed, if they read again in time.
pub fn a_stalled_peer_is_told_why<S: Stage>() {
    // It is told in the time for goodbyes: all the time that it needs here.
    let limits = Limits { goodbye_within: PATIENCE, ..limits() };
    let server = Server::start::<S>(&limits);
    let [mut alice, mut carol] = server.join_all::<S, 2>(["alice", "carol"]);
    let flood = thread::spawn(move || {
        for number in 0..4000 {
            alice.send(&say(number));
        }
        alice
    });
    // Alice's own pong shows that her messages have been handled: carol is judged by then.
    let mut alice = flood.join().expect("a client never gives up");
    alice.send(&json!({"type": "ping"}));
    alice.expect(&json!({"type": "pong"}));
    let mut next = 0;
    let last = loop {
        let event = carol.event();
        if event["type"] != "said" {
            break event;
        }
        assert_eq!(event, said("alice", next), "what came before is whole and in order");
        next += 1;
    };
    assert_eq!((&last["type"], &last["reason"]), (&json!("bye"), &json!("slow")), "{last}");
    assert!(next < 4000, "what was queued is dropped");
    assert_eq!(carol.next_event(), None);
    drop(carol);
    alice.expect(&json!({"type": "left", "name": "carol"}));
}
