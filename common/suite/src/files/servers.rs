//! Servers that do not keep to the protocol: a client trusts its server no more than its peers.

use std::fs::File;
#[cfg(target_os = "linux")]
use std::io::Write;
#[cfg(target_os = "linux")]
use std::sync::Arc;
#[cfg(target_os = "linux")]
use std::sync::atomic::AtomicUsize;
#[cfg(target_os = "linux")]
use std::sync::atomic::Ordering;
#[cfg(target_os = "linux")]
use std::thread;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use serde_json::json;

use super::CHUNK;
use super::OF_HI;
use super::OF_NOTHING;
use super::Place;
use super::WINDOW;
use super::abort;
use super::ack;
use super::end;
use super::of;
use super::pattern;
#[cfg(target_os = "linux")]
use super::status;
use super::wait_for;
use super::wait_until;
use crate::PATIENCE;
use crate::Stage;
use crate::hostile::hostile_server_with;
use crate::peer::Peer;
use crate::process::Program;

/// What a server says of a file that alice offers.
fn offer(id: u64, name: &str, size: u64) -> Value {
    json!({"type": "offer", "id": id, "from": "alice", "name": name, "size": size})
}

/// Bob's client, whose files go to the folder `bob`, and its server.
fn hostile<S: Stage>(place: &Place, options: &[&str]) -> (Program, Peer) {
    let downloads = place.text("bob");
    hostile_server_with::<S>(&[&["--downloads", &downloads], options].concat())
}

/// The server and its client still talk.
#[track_caller]
fn assert_they_talk(bob: &mut Program, server: &mut Peer) {
    server.send(&json!({"type": "said", "from": "alice", "text": "still here?"}));
    wait_for(bob, "alice: still here?");
    bob.type_line("I am");
    while server.wait_for("say")["text"] != "I am" {}
}

/// A file that bob offers and his server takes gets the number 1.
fn offered(bob: &mut Program, server: &mut Peer, path: &str) {
    bob.type_line(&format!("@send {path}"));
    let tag = tag(&server.wait_for("offer"));
    server.send(&super::offered(tag, 1));
    bob.expect_prefix("* offered ");
}

/// What bob's client calls an offer.
fn tag(offer: &Value) -> u32 {
    u32::try_from(offer["tag"].as_u64().expect("a tag")).expect("a tag")
}

/// A file whose bytes, their order, their number or their checksum are not what was said: it is given
/// up, both sides hear why or that, and nothing of it stays.
pub fn what_comes_is_not_what_was_offered<S: Stage>() {
    type Lie = (u64, fn(&mut Peer), &'static str);
    const LIES: [Lie; 9] = [
        (2, |server| server.send_chunk(1, 1, b"i"), "bytes came for offset 1, where those for 0"),
        (2, |server| server.send_chunk(1, u64::MAX, b"i"), "bytes came for offset 184467440737"),
        (2, |server| server.send_chunk(1, 0, b"hi!"), "more came than the 2 bytes"),
        (0, |server| server.send_chunk(1, 0, b"h"), "more came than the 0 bytes"),
        (2, |server| server.send(&end(1, 2, OF_HI)), "it ended after 0 bytes and said 2"),
        (2, |server| server.send(&end(1, 0, OF_NOTHING)), "it ended after 0 bytes and said 0"),
        (
            2,
            |server| {
                server.send_chunk(1, 0, b"hi");
                server.send(&end(1, 3, OF_HI));
            },
            "it ended after 2 bytes and said 3",
        ),
        (
            2,
            |server| {
                server.send_chunk(1, 0, b"ho");
                server.send(&end(1, 2, OF_HI));
            },
            "what came is not what was sent",
        ),
        (0, |server| server.send(&end(1, 0, OF_HI)), "what came is not what was sent"),
    ];
    let place = Place::default();
    let (mut bob, mut server) = hostile::<S>(&place, &[]);
    for (size, lie, why) in LIES {
        server.send(&offer(1, "x", size));
        server.expect(&of("accept", 1));
        lie(&mut server);
        let told = server.wait_for("abort");
        assert!(told["text"].as_str().is_some_and(|text| text.starts_with(why)), "{told}");
        bob.expect_prefix("* receiving x");
        bob.expect_prefix(&format!("! x from alice: {why}"));
        // It is over, whatever else comes.
        server.send_chunk(1, 0, b"hi");
        server.send(&end(1, 2, OF_HI));
        server.send(&abort(1, "over"));
    }
    assert_they_talk(&mut bob, &mut server);
    assert!(place.listing("bob").is_empty());
}

/// What nobody has asked for is ignored, but a number for an offer that is none: it is given back.
pub fn what_nobody_has_asked_for<S: Stage>() {
    let place = Place::default();
    let (mut bob, mut server) = hostile::<S>(&place, &["--max-file", "1K"]);
    let about = |id| {
        [
            super::offered(1, id),
            json!({"type": "not-offered", "tag": 1, "text": "no"}),
            of("go", id),
            ack(id, 0),
            ack(id, u64::MAX),
            json!({"type": "dropped", "id": id, "name": "alice", "text": "no"}),
            json!({"type": "received", "id": id, "name": "alice"}),
            of("done", id),
            end(id, 2, OF_HI),
            abort(id, "no"),
        ]
    };
    for id in [0, 1, 2, u64::from(u32::MAX)] {
        server.send_chunk(u32::try_from(id).unwrap(), 0, b"hi");
        about(id).iter().for_each(|event| server.send(event));
        server.expect(&abort(id, "this was not offered"));
    }
    server.send(&json!({"type": "said", "from": "alice", "text": "nothing so far"}));
    bob.expect(&["alice: nothing so far"]);
    // A file that was refused does not come.
    server.send(&offer(1, "large", 1025));
    server.wait_for("abort");
    bob.expect_prefix("! large from alice: 1025 bytes are too many");
    server.send_chunk(1, 0, &[0; 1025]);
    server.send(&end(1, 1025, OF_HI));
    assert_they_talk(&mut bob, &mut server);
    assert!(place.listing("bob").is_empty());
}

/// Answers are to the offers whose tags they have, in whatever order they come, and whatever
/// somebody has made of them on their way: no file takes the place of another.
pub fn answers_to_other_offers<S: Stage>() {
    let place = Place::default();
    let (mut bob, mut server) = hostile::<S>(&place, &[]);
    let tags = [("first", 10), ("second", 20), ("third", 30)].map(|(name, size)| {
        bob.type_line(&format!("@send {}", place.file(name, size)));
        let offer = server.wait_for("offer");
        assert_eq!(offer["name"], name);
        tag(&offer)
    });
    let [first, second, third] = tags;
    assert!(first != second && second != third && third != first, "{tags:?}");
    let none = first ^ 1 << 31;
    // Under a number that belongs to none of them nothing is sent.
    server.send(&super::offered(none, 9));
    server.expect(&abort(9, "this was not offered"));
    server.send(&of("go", 9));
    server.send(&json!({"type": "not-offered", "tag": none, "text": "no"}));
    server.send(&super::offered(third, 3));
    server.send(&json!({"type": "not-offered", "tag": first, "text": "not this one"}));
    server.send(&super::offered(second, 2));
    bob.expect(&[
        "* offered third to all (30 bytes); @cancel 3 takes it back",
        "! first to all: not this one",
        "* offered second to all (20 bytes); @cancel 2 takes it back",
    ]);
    // An answer is for once.
    server.send(&super::offered(second, 4));
    server.expect(&abort(4, "this was not offered"));
    for (id, name, size) in [(2, "second", 20), (3, "third", 30)] {
        server.send(&of("go", u64::from(id)));
        bob.expect(&[&format!("* sending {name} ({size} bytes)")]);
        assert_eq!(server.chunk(), (id, 0, pattern(size)));
        assert_eq!(server.wait_for("end")["id"], id);
    }
    assert_they_talk(&mut bob, &mut server);
}

/// A script whose offer is not even answered leaves all the same, after 10 s (`ANSWER_WITHIN` of
/// `common::files::desk`).
pub fn an_offer_is_never_answered<S: Stage>() {
    const ANSWER_WITHIN: Duration = Duration::from_secs(10);
    let place = Place::default();
    let (mut bob, mut server) = hostile::<S>(&place, &[]);
    let asked = Instant::now();
    bob.type_line(&format!("@send {}", place.file("own", 100)));
    bob.end_input();
    server.wait_for("offer");
    // He takes his leave, and it is answered.
    assert_eq!(server.next_event(), None);
    let waited = asked.elapsed();
    server.finish();
    let (code, lines, _) = bob.end();
    let unanswered = "! own to all: the server has not answered".to_owned();
    assert_eq!((code, lines), (Some(0), vec![unanswered]));
    assert!(waited >= ANSWER_WITHIN && waited < ANSWER_WITHIN + PATIENCE / 2, "{waited:?}");
}

/// The same file offered twice is taken once, and a file is begun to be sent once.
pub fn everything_twice<S: Stage>() {
    let place = Place::default();
    let (mut bob, mut server) = hostile::<S>(&place, &[]);
    for _ in 0..3 {
        server.send(&offer(7, "x", 2));
    }
    server.expect(&of("accept", 7));
    server.send_chunk(7, 0, b"hi");
    for _ in 0..3 {
        server.send(&end(7, 2, OF_HI));
    }
    assert_eq!(server.wait_for("received"), of("received", 7));
    bob.expect_prefix("* receiving x");
    bob.expect_prefix("* received x");
    assert_eq!(place.listing("bob").len(), 1);

    offered(&mut bob, &mut server, &place.file("own", 100));
    for _ in 0..3 {
        server.send(&of("go", 1));
    }
    bob.expect(&["* sending own (100 bytes)"]);
    assert_eq!(server.chunk().1, 0);
    server.wait_for("end");
    for _ in 0..3 {
        server.send(&of("done", 1));
    }
    bob.expect(&["* sent own to all"]);
    server.send(&json!({"type": "said", "from": "alice", "text": "and nothing else"}));
    bob.expect(&["alice: and nothing else"]);
}

/// A window is a window: acknowledgements of what was never sent do not open it.
pub fn acknowledged_in_advance<S: Stage>() {
    let place = Place::default();
    let (mut bob, mut server) = hostile::<S>(&place, &[]);
    File::create(place.path("big")).unwrap().set_len(1 << 32).unwrap();
    offered(&mut bob, &mut server, &place.text("big"));
    server.send(&ack(1, u64::MAX));
    server.send(&of("go", 1));
    for due in 0..WINDOW / 65_536 {
        assert_eq!(server.chunk().1, due * 65_536);
    }
    // No more than that, although all of it was acknowledged before.
    bob.type_line("hello");
    assert_eq!(server.event(), json!({"type": "say", "text": "hello"}));
    server.send(&ack(1, WINDOW / 2));
    for due in WINDOW / 65_536..(WINDOW + WINDOW / 2) / 65_536 {
        assert_eq!(server.chunk().1, due * 65_536);
    }
    bob.type_line("hello");
    assert_eq!(server.event(), json!({"type": "say", "text": "hello"}));
}

/// A server that acknowledges without reading gets no more than what the sockets take: the client
/// neither reads the file into its memory nor stays.
#[cfg(target_os = "linux")]
pub fn acknowledged_without_reading<S: Stage>() {
    let place = Place::default();
    let (mut bob, mut server) = hostile::<S>(&place, &[]);
    File::create(place.path("big")).unwrap().set_len(1 << 32).unwrap();
    offered(&mut bob, &mut server, &place.text("big"));
    let pid = bob.pid();
    let before = status(pid, "VmRSS").unwrap();
    server.send(&of("go", 1));
    let acks = thread::spawn(move || {
        // Until it has gone.
        while !server.is_closed() {
            server.send(&ack(1, u64::MAX));
            thread::park_timeout(Duration::from_millis(1));
        }
    });
    let (mut most, mut lines) = (before, 0);
    while bob.line().is_some() {
        lines += 1;
        most = most.max(status(pid, "VmHWM").unwrap_or_default());
    }
    acks.join().unwrap();
    assert!(most < before + 32 * 1024, "from {before} KiB to {most} KiB");
    assert!(lines <= 2, "{lines} lines");
    assert_eq!(bob.end().0, Some(1));
}

/// More than the window: what cannot be written as fast as it comes is not kept. (Here it is not
/// written because its acknowledgement cannot be sent; a slow disk does the same.)
#[cfg(target_os = "linux")]
pub fn more_than_the_window<S: Stage>() {
    const SIZE: u64 = 32 << 20;
    let place = Place::default();
    let (mut bob, mut server) = hostile::<S>(&place, &[]);
    server.send(&offer(1, "x", SIZE));
    server.expect(&of("accept", 1));
    bob.expect_prefix("* receiving x");
    let typing = fill_its_queue(&mut bob);
    let before = status(bob.pid(), "VmRSS").unwrap();
    let zeros = [0; CHUNK];
    for offset in (0..SIZE).step_by(CHUNK) {
        server.send_chunk(1, offset, &zeros);
    }
    bob.expect(&["! x from alice: more came than had been asked for"]);
    server.send(&json!({"type": "said", "from": "alice", "text": "still here?"}));
    bob.expect(&["alice: still here?"]);
    let most = status(bob.pid(), "VmHWM").unwrap();
    assert!(most < before + 16 * 1024, "from {before} KiB to {most} KiB");
    server.stream.close();
    while bob.line().is_some() {}
    assert_eq!(bob.end().0, Some(1));
    assert!(place.listing("bob").is_empty(), "nothing is left");
    typing.join().unwrap();
}

/// Thousands of offers, from a server that reads no answers: a client has so many threads and files
/// and no more, whether it takes them or not, and hears what is said.
#[cfg(target_os = "linux")]
pub fn thousands_of_offers<S: Stage>() {
    for options in [&[][..], &["--accept", "never"]] {
        let place = Place::default();
        let (mut bob, mut server) = hostile::<S>(&place, options);
        let typing = fill_its_queue(&mut bob);
        let before = status(bob.pid(), "VmRSS").unwrap();
        let (mut threads, mut files) = (0, 0);
        for id in 1..=4_000_u64 {
            server.send(&offer(id, "x", 1 << 20));
            // Some are taken back, which makes room for others.
            if id % 2 == 0 {
                server.send(&abort(id, "no"));
            }
            if id % 500 == 0 {
                server.send(&json!({"type": "said", "from": "alice", "text": id.to_string()}));
                wait_for(&mut bob, &format!("alice: {id}"));
                threads = threads.max(status(bob.pid(), "Threads").unwrap());
                files = files.max(place.listing("bob").len());
            }
        }
        // 512 jobs are done at once, and of them 256 are files that come; others are just ending.
        assert!(threads < 700, "{threads} threads");
        assert!(files < 512, "{files} files");
        let most = status(bob.pid(), "VmHWM").unwrap();
        assert!(most < before + 64 * 1024, "from {before} KiB to {most} KiB");
        server.stream.close();
        while bob.line().is_some() {}
        assert_eq!(bob.end().0, Some(1));
        assert!(place.listing("bob").is_empty(), "nothing is left");
        typing.join().unwrap();
    }
}

/// Thousands of numbers for offers that are none, from a server that does not read that they are
/// given back: a client does not have a thread for each.
#[cfg(target_os = "linux")]
pub fn thousands_of_answers<S: Stage>() {
    let place = Place::default();
    let (mut bob, mut server) = hostile::<S>(&place, &[]);
    let typing = fill_its_queue(&mut bob);
    for id in 1..=2_000 {
        server.send(&super::offered(1, id));
    }
    server.send(&json!({"type": "said", "from": "alice", "text": "that was all"}));
    bob.expect(&["alice: that was all"]);
    let threads = status(bob.pid(), "Threads").unwrap();
    assert!(threads < 700, "{threads} threads");
    server.stream.close();
    while bob.line().is_some() {}
    assert_eq!(bob.end().0, Some(1));
    typing.join().unwrap();
}

/// Types until the client does not read any more, because its server does not, and on until it ends.
#[cfg(target_os = "linux")]
fn fill_its_queue(bob: &mut Program) -> thread::JoinHandle<()> {
    let (mut input, typed) = (bob.take_input(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&typed);
    let line = format!("{}\n", "x".repeat(4000));
    let typing = thread::spawn(move || {
        while input.write_all(line.as_bytes()).is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    // Nothing tells that nothing happens; to be wrong makes the test weaker, and fails none.
    wait_until("it reads no more", || {
        let before = typed.load(Ordering::Relaxed);
        thread::park_timeout(Duration::from_millis(300));
        before > 0 && before == typed.load(Ordering::Relaxed)
    });
    typing
}
