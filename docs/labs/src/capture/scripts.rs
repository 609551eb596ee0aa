//! What is said in each capture. A test has the stages' own programs say the same, and compares.

use std::time::Duration;

use anyhow::Context;
use anyhow::Result;
use common::crypto::hex;
use common::crypto::secret;
use common::crypto::suite::Allowed;
use common::crypto::suite::Cipher;
use common::files::Checksum;
use common::files::Chunk;
use common::message::Request;
use common::message::Status;
use common::room::PeerId;
use storage::Next;
use storage::Source;

use super::PICTURE;
use super::scene::Begins;
use super::scene::Scene;
use super::wire::Accident;
use crate::stages;

/// What alice says more than once.
const SENTENCE: &str = "meet me at noon";
/// What somebody on the way makes ninety of.
const DEBT: &str = "I owe you 10 euro";
/// What stands behind the `1`, with the end of the JSON.
const BEHIND: usize = r#"0 euro"}"#.len();
/// Bytes of a tag of AES-256-GCM.
const TAG: usize = 16;
/// The first part of a message that arrives in two: what an Ethernet frame has room for behind the
/// headers of IPv4 and TCP, with time stamps.
const FIRST_PART: usize = 1448;
/// With which alice and bob talk about what the server is not to read.
const KEY: &str = "correct-horse-battery";
/// Under it.
const SECRET: &str = "the code of the door is 4711";
/// alice's in stage 5, and bob's.
const PASSWORDS: [&str; 2] = ["correct horse", "battery staple"];

/// More than fits into one segment of a network.
fn counting() -> String {
    let numbers = (1..=400).map(|number| number.to_string()).collect::<Vec<_>>();
    format!("I count: {}", numbers.join(" "))
}

pub fn stage1(scene: &mut Scene) -> Result<()> {
    let alice = scene.joins("alice", Begins::Plain)?;
    pause(scene, 2);
    let bob = scene.joins("bob", Begins::Plain)?;
    pause(scene, 3);
    let carol = scene.joins("carol", Begins::Plain)?;
    pause(scene, 4);
    scene.says(alice, vec![say("hello, everybody")])?;
    pause(scene, 3);
    scene.says(bob, vec![private("alice", SENTENCE)])?;
    pause(scene, 2);
    scene.says(carol, vec![Request::Status { status: Some(Status::Dnd) }])?;
    pause(scene, 5);
    scene.says(alice, vec![say("two lines,"), say("pasted at once")])?;
    pause(scene, 6);
    scene.says_but(bob, say(&counting()), Accident::Split(FIRST_PART))?;
    pause(scene, 4);
    leave(scene, [carol, bob, alice])
}

pub fn stage2(scene: &mut Scene) -> Result<()> {
    let alice = scene.joins("alice", Begins::Unauthenticated(Allowed::default()))?;
    for seconds in [3, 2, 2] {
        pause(scene, seconds);
        scene.says(alice, vec![say(SENTENCE)])?;
    }
    pause(scene, 4);
    scene.operator_says(say("I heard you the first time"))?;
    pause(scene, 3);
    scene.leaves(alice)
}

pub fn stage3(scene: &mut Scene) -> Result<()> {
    scene.show_plaintext();
    let begins = Begins::Unauthenticated(Allowed::default());
    let alice = scene.joins("alice", begins)?;
    pause(scene, 2);
    let bob = scene.joins("bob", begins)?;
    pause(scene, 2);
    let carol = scene.joins("carol", begins)?;
    pause(scene, 4);
    scene.says(alice, vec![say(SENTENCE)])?;
    pause(scene, 3);
    scene.says(bob, vec![private("alice", "without carol?")])?;
    pause(scene, 5);
    let (from, to) = ("alice".parse()?, "bob".parse()?);
    let sealed = secret::seal(KEY, SECRET, (&from, &to), &mut scene.generator())?;
    scene.says(alice, vec![Request::Secret { to: to.to_string(), sealed: hex(&sealed) }])?;
    pause(scene, 6);
    leave(scene, [carol, bob, alice])
}

pub fn tampered(scene: &mut Scene) -> Result<()> {
    let with =
        |cipher| Begins::Unauthenticated(Allowed { cipher: Some(cipher), ..Allowed::default() });
    let alice = scene.joins("alice", with(Cipher::Cfb))?;
    pause(scene, 2);
    let bob = scene.joins("bob", with(Cipher::Gcm))?;
    for (who, behind) in [(alice, BEHIND), (bob, BEHIND + TAG)] {
        pause(scene, 3);
        scene.says(who, vec![say(SENTENCE)])?;
        pause(scene, 4);
        scene.says_but(who, say(DEBT), Accident::Flip(behind))?;
    }
    pause(scene, 3);
    scene.leaves(alice)
}

pub fn stage4(scene: &mut Scene) -> Result<()> {
    let alice = scene.joins("alice", Begins::Plain)?;
    pause(scene, 2);
    let bob = scene.joins("bob", Begins::Plain)?;
    pause(scene, 4);
    send_picture(scene, alice, bob)?;
    pause(scene, 5);
    leave(scene, [bob, alice])
}

pub fn stage5(scene: &mut Scene) -> Result<()> {
    let [alices, bobs] = PASSWORDS.map(Begins::LogsIn);
    let alice = scene.joins("alice", alices)?;
    pause(scene, 2);
    let bob = scene.joins("bob", bobs)?;
    pause(scene, 3);
    scene.says(alice, vec![say(SENTENCE)])?;
    pause(scene, 4);
    send_picture(scene, alice, bob)?;
    pause(scene, 5);
    leave(scene, [bob, alice])
}

/// alice sends the picture to bob, as the stages' `transfer.rs` does it for both.
fn send_picture(scene: &mut Scene, alice: PeerId, bob: PeerId) -> Result<()> {
    let mut source = Source::open(&stages::root().join(PICTURE))?;
    let (id, size) = (1, source.size());
    let name = PICTURE.rsplit('/').next().context("a path has an end")?.to_owned();
    scene.says(alice, vec![Request::Offer { tag: 1, to: Some("bob".to_owned()), name, size }])?;
    pause(scene, 2);
    scene.says(bob, vec![Request::Accept { id }])?;
    scene.wait(Duration::from_millis(1));
    let mut requests = Vec::new();
    let mut end = None;
    while end.is_none() {
        let chunk = Chunk::fill(id, |buffer| match source.next(buffer)? {
            Next::Chunk { offset, length } => Ok::<_, anyhow::Error>(Some((offset, length))),
            Next::End { sha256 } => {
                end = Some(Request::End { id, size, sha256: Checksum(sha256) });
                Ok(None)
            }
        })?;
        requests.extend(chunk.map(Request::Chunk));
    }
    requests.extend(end);
    scene.says(alice, requests)?;
    scene.wait(Duration::from_millis(1));
    scene.says(bob, vec![Request::Ack { id, offset: size }])?;
    // What a disk takes.
    scene.wait(Duration::from_millis(3));
    scene.says(bob, vec![Request::Received { id }])
}

fn say(text: &str) -> Request {
    Request::Say { text: text.to_owned() }
}

fn private(to: &str, text: &str) -> Request {
    Request::Private { to: to.to_owned(), text: text.to_owned() }
}

fn pause(scene: &Scene, seconds: u64) {
    // Nobody is that punctual.
    scene.wait(Duration::from_secs(seconds) + Duration::from_micros(137_731 * seconds));
}

fn leave<const N: usize>(scene: &mut Scene, who: [PeerId; N]) -> Result<()> {
    for id in who {
        pause(scene, 1);
        scene.leaves(id)?;
    }
    Ok(())
}
