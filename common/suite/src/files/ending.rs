//! Transfers that end before their time: somebody leaves, dies, or changes the file meanwhile.

use std::fs;
use std::fs::OpenOptions;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::Place;
use super::WINDOW;
use super::abort;
use super::ack;
use super::client;
use super::clients;
use super::keeping_server;
use super::of;
use super::wait_for;
use super::wait_until;
use crate::Limits;
use crate::Stage;
use crate::peer::Peer;
use crate::process::Program;
use crate::server::Server;

/// A file that is larger than the window, so that it cannot be through while bob stands still.
const SIZE: usize = 3_000_000;

/// A file of `alice`, which bob takes the first chunk of and no more, so that it is in the middle;
/// carol has as much of it as may be on its way.
fn in_the_middle<S: Stage>(
    server: &Server,
    place: &Place,
    alice: &mut Program,
    id: u64,
) -> (Peer, Program) {
    let mut bob = server.join::<S>("bob");
    let mut carol = client::<S>(server.address, place, "carol");
    wait_for(alice, "* carol joined");
    alice.type_line(&format!("@send {}", place.file("big", SIZE)));
    bob.wait_for("offer");
    bob.send(&of("accept", id));
    bob.chunk();
    carol.expect_prefix("* receiving big (3000000 bytes) from alice");
    wait_for(alice, "* sending big (3000000 bytes)");
    let largest = || place.listing("carol").values().map(Vec::len).max();
    let window = usize::try_from(WINDOW).unwrap();
    wait_until("carol has a window", || largest() == Some(window));
    (bob, carol)
}

/// Who leaves gets no more of it; the others get all.
pub fn a_receiver_leaves<S: Stage>() {
    let (server, place) = (Server::start::<S>(&Limits::default()), Place::default());
    let mut alice = client::<S>(server.address, &place, "alice");
    let (mut bob, mut carol) = in_the_middle::<S>(&server, &place, &mut alice, 1);
    bob.finish();
    alice.expect(&["! bob does not get big: has left", "* bob left", "* carol has big"]);
    alice.expect(&["* sent big to all"]);
    wait_for(&mut carol, "* bob left");
    place.expect("carol", &[("big", SIZE)]);
}

/// The same without a farewell, and with nobody else: what is left of it is swept at the next start.
pub fn a_receiver_is_killed<S: Stage>() {
    let (server, place) = (Server::start::<S>(&Limits::default()), Place::default());
    let mut alice = client::<S>(server.address, &place, "alice");
    let (mut bob, mut carol) = in_the_middle::<S>(&server, &place, &mut alice, 1);
    carol.kill();
    alice.expect(&["! carol does not get big: has left", "* carol left"]);
    assert_eq!(bob.pass_to("left")["name"], "carol");
    bob.finish();
    alice.expect(&[
        "! bob does not get big: has left",
        "! big to all: nobody takes it",
        "* bob left",
    ]);
    assert_eq!(place.listing("carol").len(), 1, "a part of it");
    let _carol = client::<S>(server.address, &place, "carol");
    place.expect("carol", &[]);
}

/// Everybody is told that a sender has gone, however that was, and nothing of the file stays.
pub fn a_sender_goes<S: Stage>() {
    let (server, place) = (Server::start::<S>(&Limits::default()), Place::default());
    for (id, kills) in [(1, true), (2, false)] {
        let mut alice = client::<S>(server.address, &place, "alice");
        let (mut bob, mut carol) = in_the_middle::<S>(&server, &place, &mut alice, id);
        if kills {
            alice.kill();
        } else {
            alice.type_line("@quit");
            assert_eq!(alice.end().0, Some(0));
        }
        // Who can still say it does.
        let why = if kills { "alice has left" } else { "has left" };
        carol.expect(&[&format!("! big from alice: {why}"), "* alice left"]);
        assert_eq!(bob.pass_to("abort"), abort(id, why));
        bob.expect(&json!({"type": "left", "name": "alice"}));
        wait_until("nothing is left of it", || place.listing("carol").is_empty());
        assert_eq!(carol.end().0, Some(0));
    }
}

/// The same where the connection is reset.
pub fn a_sender_is_reset<S: Stage>() {
    let (server, place) = (Server::start::<S>(&Limits::default()), Place::default());
    let tap = crate::tap::Tap::cut(server.address, 500_000);
    let mut alice = Peer::join::<S>(tap.address, "alice");
    let mut bob = client::<S>(server.address, &place, "bob");
    let id = alice.offer(None, "big", 3_000_000);
    alice.wait_for("go");
    alice.send_pattern(id, 0, 1_000_000);
    bob.expect_prefix("* receiving big (3000000 bytes) from alice");
    bob.expect(&["! big from alice: alice has left", "* alice left"]);
    wait_until("nothing is left of it", || place.listing("bob").is_empty());
    tap.end();
}

/// Without its server a client has no file either, whether the server could say something or not.
#[cfg(unix)]
pub fn a_server_goes<S: Stage>() {
    let place = Place::default();
    for kills in [true, false] {
        let mut server = keeping_server::<S>(&place, &[]);
        let [mut alice, bob] = clients::<S, 2>(server.address, &place, ["alice", "bob"]);
        // Who takes nothing more holds it in the middle.
        let mut carol = Peer::join::<S>(server.address, "carol");
        alice.type_line(&format!("@send {}", place.file("big", SIZE)));
        carol.wait_for("offer");
        carol.send(&of("accept", 1));
        carol.chunk();
        wait_until("a part file each", || {
            place.listing("bob").len() == 1 && place.listing("kept").len() == 1
        });
        if kills {
            server.program.kill();
        } else {
            server.program.ctrl_c();
            assert!(server.program.line().is_none());
        }
        for client in [alice, bob] {
            let (code, lines, _) = client.end();
            assert_eq!(code, Some(1), "{lines:?}");
            assert!(lines.iter().any(|line| line.starts_with("! the server ")), "{lines:?}");
        }
        assert!(place.listing("bob").is_empty(), "a client tidies up");
        if !kills {
            assert!(place.listing("kept").is_empty(), "and so does a server that is stopped");
        }
        let next = keeping_server::<S>(&place, &[]);
        // It sweeps before it lets anybody in.
        Peer::join::<S>(next.address, "alice");
        place.expect("kept", &[]);
    }
}

/// A file that changes while it is sent is not sent, and its sender knows why; others only that it
/// failed.
pub fn a_source_changes<S: Stage>() {
    let (server, place) = (Server::start::<S>(&Limits::default()), Place::default());
    let mut alice = client::<S>(server.address, &place, "alice");
    let shrinks: fn(&Path) = |path| open(path).set_len(2_000_000).unwrap();
    let grows: fn(&Path) = |path| open(path).set_len(3_000_001).unwrap();
    let vanishes: fn(&Path) = |path| fs::remove_file(path).unwrap();
    for (id, (changes, what)) in (1..).zip([
        (shrinks, "became shorter"),
        (grows, "became longer"),
        (vanishes, "was removed"),
    ]) {
        let (mut bob, mut carol) = in_the_middle::<S>(&server, &place, &mut alice, id);
        changes(&place.path("big"));
        bob.send(&ack(id, WINDOW / 2));
        let path = place.text("big");
        alice.expect(&[&format!("! big to all: {path} {what} while it was sent")]);
        carol.expect(&["! big from alice: it was changed meanwhile"]);
        assert_eq!(bob.pass_to("abort"), abort(id, "it was changed meanwhile"));
        wait_until("nothing is left of it", || place.listing("carol").is_empty());
        assert_eq!(carol.end().0, Some(0));
        bob.finish();
        wait_for(&mut alice, "* bob left");
    }
}

fn open(path: &Path) -> fs::File {
    OpenOptions::new().write(true).open(path).unwrap()
}

/// A client that leaves is not held up by those that take its files, or by whom it takes files from.
pub fn leaving_does_not_wait<S: Stage>() {
    let (server, place) = (Server::start::<S>(&Limits::default()), Place::default());
    let mut alice = client::<S>(server.address, &place, "alice");
    let (_bob, mut carol) = in_the_middle::<S>(&server, &place, &mut alice, 1);
    let asked = std::time::Instant::now();
    // She takes one; that is no reason for her to stay at the end of her input.
    carol.end_input();
    let (code, lines, _) = carol.end();
    assert_eq!((code, lines), (Some(0), vec![]));
    assert!(asked.elapsed() < Duration::from_secs(5));
    assert!(place.listing("carol").is_empty());
    alice.expect(&["! carol does not get big: has left", "* carol left"]);
}
