//! What a file may not be called: whoever gives it such a name, nothing is created but what was
//! accepted, and that in its folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::json;

use super::OF_HI;
use super::Place;
use super::client;
use super::end;
use super::keeping_server;
use super::listing;
use super::of;
use super::offer;
use super::wait_for;
use crate::Stage;
use crate::hostile::hostile_server_with;
use crate::hostile::invisible;
use crate::peer::Peer;
use crate::process::Program;

/// The list of `common::files::name`: by the sentence with which they are refused, and those that
/// only look dangerous.
#[derive(Deserialize)]
struct Listed {
    refused: BTreeMap<String, Vec<String>>,
    harmless: Vec<String>,
}

/// Each role is tried with that many names that are to be refused.
const AT_LEAST: usize = 300;

/// Names that no file may have, and names that look like it and are harmless.
fn names() -> (Vec<String>, Vec<String>) {
    let json = include_str!("../../../src/files/name/hostile.json");
    let Listed { refused, harmless } = serde_json::from_str(json).unwrap();
    let mut hostile = refused.into_values().flatten().collect::<Vec<_>>();
    // What is not seen, anywhere in a name; some of each kind.
    for (number, c) in invisible().enumerate().filter(|(number, _)| number % 3 == 0) {
        hostile.push(match number % 9 {
            0 => format!("{c}x.txt"),
            3 => format!("x{c}fdp.exe"),
            _ => format!("x.txt{c}"),
        });
    }
    // Ways out of the folder, of each depth.
    for depth in 1..=8 {
        hostile.push(format!("{}outside/evil", "../".repeat(depth)));
        hostile.push(format!("{}outside\\evil", "..\\".repeat(depth)));
        hostile.push(format!("x/{}outside/evil", "../".repeat(depth)));
        hostile.push(format!("./{}evil", "./".repeat(depth)));
        hostile.push(".".repeat(depth));
        hostile.push("x".repeat(200 + depth));
        hostile.push(format!(".chat-000000000000000{depth}.part"));
    }
    hostile.sort_unstable();
    hostile.dedup();
    assert!(hostile.len() >= AT_LEAST, "{}", hostile.len());
    (hostile, harmless)
}

/// A place with a folder that nobody has anything to do with, and the folder `name` with traps in it:
/// a file, links out of it, a folder; what may not change in them.
fn traps(place: &Place, name: &str) -> Traps {
    fs::create_dir_all(place.path("outside")).unwrap();
    fs::create_dir_all(place.path(name).join("folder")).unwrap();
    fs::write(place.path("outside/there"), "precious").unwrap();
    fs::write(place.path(name).join("file"), "precious").unwrap();
    #[cfg(unix)]
    for (link, to) in [
        ("to a file", "../outside/there"),
        ("to nowhere", "../outside/evil"),
        ("to a folder", "../outside"),
        (".chat-0123456789abcdef.part", "../outside/there"),
        (".chat-fedcba9876543210.part", "../outside/evil"),
    ] {
        std::os::unix::fs::symlink(to, place.path(name).join(link)).unwrap();
    }
    let before = listing(&place.path(name));
    Traps { folder: name.to_owned(), before }
}

struct Traps {
    folder: String,
    before: BTreeMap<String, Vec<u8>>,
}

/// What a harmless file is called in the end, where some names are taken.
const TAKEN: [(&str, &str); 5] = [
    ("file", "file (1)"),
    ("folder", "folder (1)"),
    ("to a file", "to a file (1)"),
    ("to nowhere", "to nowhere (1)"),
    ("to a folder", "to a folder (1)"),
];

impl Traps {
    /// Nothing but these files, each of the two bytes `hi`, has come to be; all else is as it was.
    #[track_caller]
    fn expect(&self, place: &Place, received: &[String]) {
        let mut due = self.before.clone();
        for name in received {
            let taken = TAKEN.iter().find(|(taken, _)| taken == name && due.contains_key(*taken));
            let name = taken.map_or(name.clone(), |(_, free)| (*free).to_owned());
            assert_eq!(due.insert(name.clone(), b"hi".to_vec()), None, "{name}");
        }
        let now = place.listing(&self.folder);
        assert_eq!(now.keys().collect::<Vec<_>>(), due.keys().collect::<Vec<_>>());
        assert!(now == due, "something was overwritten");
        let outside = BTreeMap::from([("there".to_owned(), b"precious".to_vec())]);
        assert_eq!(place.listing("outside"), outside);
    }
}

/// Nothing else than these may be in a place, and nothing evil around it.
#[track_caller]
fn assert_only(place: &Place, names: &[&str]) {
    assert_eq!(place.listing("").into_keys().collect::<Vec<_>>(), names);
    let parent = place.path("");
    let parent = parent.parent().and_then(Path::parent).unwrap();
    assert!(!parent.join("outside").exists() && !parent.join("evil").exists());
}

/// The harmless names, and those that are taken in a folder with traps.
fn accepted(harmless: Vec<String>) -> Vec<String> {
    let taken = TAKEN.iter().map(|(name, _)| (*name).to_owned());
    harmless.into_iter().chain(taken).collect()
}

/// A sender who names files so: the server refuses it, and neither those who take files nor
/// `--keep` hear of it.
pub fn from_a_sender<S: Stage>() {
    let place = Place::default();
    let traps = ["kept", "bob"].map(|name| traps(&place, name));
    let (hostile, harmless) = names();
    let server = keeping_server::<S>(&place, &[]);
    let mut bob = client::<S>(server.address, &place, "bob");
    let mut alice = Peer::join::<S>(server.address, "alice");
    bob.expect(&["* alice joined"]);
    for name in &hostile {
        alice.send(&offer(1, None, name, 2));
        let answer = alice.event();
        assert_eq!(answer["type"], "not-offered", "{name:?}: {answer}");
    }
    for (name, id) in accepted(harmless.clone()).iter().zip(1..) {
        assert_eq!(alice.offer(None, name, 2), id);
        alice.wait_for("go");
        alice.send_chunk(u32::try_from(id).unwrap(), 0, b"hi");
        alice.send(&end(id, 2, OF_HI));
        alice.wait_for("done");
        bob.expect_prefix(&format!("* receiving {name} (2 bytes) from alice"));
        bob.expect_prefix(&format!("* received {name} (2 bytes) from alice"));
    }
    for trap in &traps {
        trap.expect(&place, &accepted(harmless.clone()));
    }
    assert_only(&place, &["bob", "kept", "outside"]);
}

/// A server that passes such names on: the client refuses each itself, and shows them escaped.
pub fn from_a_server<S: Stage>() {
    let place = Place::default();
    let traps = traps(&place, "bob");
    let (hostile, harmless) = names();
    let (mut bob, mut server) = bob_and_server::<S>(&place);
    let offer = |id, name: &str| json!({"type": "offer", "id": id, "from": "alice", "name": name, "size": 2});
    for (name, id) in hostile.iter().zip(1_u32..) {
        server.send(&offer(id, name));
        let answer = server.event();
        assert_eq!((&answer["type"], &answer["id"]), (&json!("refuse"), &json!(id)), "{name:?}");
        let line = bob.expect_prefix("! alice offers a file, but ");
        assert!(!line.contains(char::is_control), "{line:?}");
        // Whether it was refused or not.
        server.send_chunk(id, 0, b"hi");
        server.send(&end(u64::from(id), 2, OF_HI));
    }
    for (name, id) in accepted(harmless.clone()).iter().zip(10_000_u32..) {
        server.send(&offer(id, name));
        server.expect(&of("accept", u64::from(id)));
        server.send_chunk(id, 0, b"hi");
        server.send(&end(u64::from(id), 2, OF_HI));
        assert_eq!(server.wait_for("received")["id"], id);
    }
    server.send(&json!({"type": "said", "from": "alice", "text": "that was all"}));
    wait_for(&mut bob, "alice: that was all");
    traps.expect(&place, &accepted(harmless));
    assert_only(&place, &["bob", "outside"]);
}

fn bob_and_server<S: Stage>(place: &Place) -> (Program, Peer) {
    hostile_server_with::<S>(&["--downloads", &place.text("bob")])
}

/// A downloads folder that is a link is the user's wish; one that becomes a link later, or is
/// exchanged for one, changes nothing.
#[cfg(unix)]
pub fn the_folder_is_exchanged<S: Stage>() {
    let place = Place::default();
    fs::create_dir(place.path("outside")).unwrap();
    let (mut bob, mut server) = bob_and_server::<S>(&place);
    let offer = json!({"type": "offer", "id": 1, "from": "alice", "name": "x", "size": 2});
    server.send(&offer);
    server.expect(&of("accept", 1));
    fs::rename(place.path("bob"), place.path("moved")).unwrap();
    std::os::unix::fs::symlink("outside", place.path("bob")).unwrap();
    server.send_chunk(1, 0, b"hi");
    server.send(&end(1, 2, OF_HI));
    server.wait_for("received");
    bob.expect_prefix("* receiving x");
    bob.expect_prefix("* received x");
    assert!(place.listing("outside").is_empty());
    assert_eq!(place.listing("moved")["x"], b"hi");
}

/// A file of any name that the system allows and any size goes to everyone as it is, or is not
/// offered at all: for a property test.
pub fn any_file<S: Stage>(name: &str, size: usize) {
    let place = Place::default();
    fs::create_dir(place.path("own")).unwrap();
    let path = place.path("own").join(name);
    // What cannot be a name here is none of our business, nor what would be another line.
    if name.contains(['/', '\0', '\n', '\r', '"'])
        || fs::write(&path, super::pattern(size)).is_err()
    {
        return;
    }
    let server = keeping_server::<S>(&place, &[]);
    let mut bob = client::<S>(server.address, &place, "bob");
    let mut alice = client::<S>(server.address, &place, "alice");
    alice.type_line(&format!("@send \"{}\"", path.to_str().unwrap()));
    alice.end_input();
    let mut lines = Vec::new();
    while let Some(line) = alice.line() {
        lines.push(line);
    }
    let last = lines.last().map(String::as_str).unwrap_or_default();
    if last.starts_with("* sent ") {
        place.expect("bob", &[(name, size)]);
        place.expect("kept", &[(name, size)]);
        bob.expect(&["* alice joined"]);
        bob.expect_prefix("* receiving ");
    } else {
        assert!(last.starts_with("! "), "{lines:?}");
        place.expect("bob", &[]);
        place.expect("kept", &[]);
    }
}

/// A sender that offers a size and sends another: nothing is in place unless all was as it was said.
pub fn any_claim<S: Stage>(declared: u64, said: u64, sent: usize) {
    let (place, bytes) = (Place::default(), &b"hi"[..sent.min(2)]);
    let server = keeping_server::<S>(&place, &[]);
    let mut bob = client::<S>(server.address, &place, "bob");
    let mut alice = Peer::join::<S>(server.address, "alice");
    let id = alice.offer(None, "x", declared);
    let begun = alice.event();
    if begun["type"] == "go" {
        if !bytes.is_empty() {
            alice.send_chunk(1, 0, bytes);
        }
        alice.send(&end(id, said, OF_HI));
        let honest = (declared, said, bytes) == (2, 2, b"hi");
        loop {
            let event = alice.event();
            match event["type"].as_str().unwrap() {
                "done" => break assert!(honest, "{declared} {said} {sent}"),
                "abort" => break assert!(!honest, "{declared} {said} {sent}: {event}"),
                _ => {}
            }
        }
        let due = if honest { &["x"][..] } else { &[] };
        super::wait_until("nothing else is left", || {
            ["bob", "kept"]
                .iter()
                .all(|name| place.listing(name).into_keys().eq(due.iter().copied()))
        });
    }
    alice.send(&json!({"type": "say", "text": "and on"}));
    wait_for(&mut bob, "alice: and on");
}
