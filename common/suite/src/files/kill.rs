//! Processes that end without a chance to tidy up, at any moment of a transfer: what is in place is
//! complete, and the next start removes what is not.

use std::env;
use std::fs;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::path::Path;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use super::Place;
use super::client;
use super::keeping_server;
use super::pattern;
use super::wait_for;
use super::wait_until;
use crate::Stage;
use crate::peer::Peer;
use crate::process::Program;
use crate::process::ServerProgram;

/// How often each is killed; a few times where nobody says otherwise.
const VARIABLE: &str = "KILLS";
const FEW: usize = 4;
/// Bytes of the file.
const SIZE: usize = 64 << 20;

fn rounds() -> usize {
    let kills = env::var(VARIABLE).ok();
    kills.map_or(FEW, |kills| kills.parse().expect("KILLS is a number"))
}

/// Some moment of what takes so long, or soon after it.
fn some_time_in(whole: Duration) {
    let random = RandomState::new().hash_one(0) % 1024;
    // This is no waiting for anything: any moment will do.
    thread::sleep(whole.mul_f64(random as f64 / 900.0));
}

/// What a folder may hold of the file: parts that are called so, or all of it.
#[track_caller]
fn assert_complete_or_part(folder: &Path, whole: &[u8]) -> bool {
    let mut is_there = false;
    let Ok(entries) = fs::read_dir(folder) else { return false };
    for entry in entries.map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        match name.as_str() {
            "big" => {
                assert!(fs::read(entry.path()).unwrap() == whole, "what is in place is not it");
                is_there = true;
            }
            name => assert!(name.starts_with(".chat-") && name.ends_with(".part"), "{name}"),
        }
    }
    is_there
}

/// There are no parts; and the file neither, after that.
#[track_caller]
fn assert_tidy(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let names = entries.map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    assert!(names.iter().all(|name| name == "big"), "{names:?}");
    if !names.is_empty() {
        fs::remove_file(folder.join("big")).unwrap();
    }
}

/// Sends the file, and waits for its end; how long that took.
fn send(alice: &mut Program, path: &str) -> Duration {
    let began = Instant::now();
    alice.type_line(&format!("@send {path}"));
    wait_for(alice, "* sent big to all");
    began.elapsed()
}

/// Killed while it receives.
pub fn a_receiver<S: Stage>() {
    let (server, place, whole) = (ServerProgram::start::<S>(&[]), Place::default(), pattern(SIZE));
    let path = place.file("big", SIZE);
    let mut alice = client::<S>(server.address, &place, "alice");
    let folder = place.path("bob");
    let mut bob = client::<S>(server.address, &place, "bob");
    let time = send(&mut alice, &path);
    let mut there = 0;
    for _ in 0..rounds() {
        assert_tidy(&folder);
        alice.type_line(&format!("@send {path}"));
        bob.expect_prefix("* receiving big");
        some_time_in(time);
        bob.kill();
        wait_for(&mut alice, "* bob left");
        there += usize::from(assert_complete_or_part(&folder, &whole));
        bob = client::<S>(server.address, &place, "bob");
        bob.type_line("here again");
        wait_for(&mut alice, "bob: here again");
    }
    assert_tidy(&folder);
    println!("{there} of {} were complete", rounds());
}

/// Killed while it sends.
pub fn a_sender<S: Stage>() {
    let (server, place, whole) = (ServerProgram::start::<S>(&[]), Place::default(), pattern(SIZE));
    let path = place.file("big", SIZE);
    let folder = place.path("bob");
    let mut bob = client::<S>(server.address, &place, "bob");
    let mut alice = client::<S>(server.address, &place, "alice");
    let time = send(&mut alice, &path);
    let mut there = 0;
    for _ in 0..rounds() {
        wait_until("bob has tidied up", || {
            let entries = fs::read_dir(&folder).unwrap();
            entries.map(|entry| entry.unwrap().file_name()).all(|name| name == "big")
        });
        assert_tidy(&folder);
        alice.type_line(&format!("@send {path}"));
        some_time_in(time);
        alice.kill();
        wait_for(&mut bob, "* alice left");
        there += usize::from(assert_complete_or_part(&folder, &whole));
        alice = client::<S>(server.address, &place, "alice");
    }
    assert_eq!(bob.end().0, Some(0));
    assert_complete_or_part(&folder, &whole);
    assert_tidy(&folder);
    println!("{there} of {} were complete", rounds());
}

/// Killed while it passes a file on and keeps a copy.
pub fn a_server<S: Stage>() {
    let (place, whole) = (Place::default(), pattern(SIZE));
    let path = place.file("big", SIZE);
    let (kept, folder) = (place.path("kept"), place.path("bob"));
    let (mut time, mut there) = (Duration::ZERO, 0);
    for round in 0..=rounds() {
        let mut server = keeping_server::<S>(&place, &[]);
        // It lets nobody in before it has swept.
        Peer::join::<S>(server.address, "carol");
        assert_tidy(&kept);
        assert_tidy(&folder);
        let mut bob = client::<S>(server.address, &place, "bob");
        let mut alice = client::<S>(server.address, &place, "alice");
        if round == 0 {
            time = send(&mut alice, &path);
            continue;
        }
        alice.type_line(&format!("@send {path}"));
        some_time_in(time);
        server.program.kill();
        // Both notice it by themselves; who leaves before that has left.
        while bob.line().is_some() {}
        while alice.line().is_some() {}
        assert_eq!((bob.end().0, alice.end().0), (Some(1), Some(1)));
        there += usize::from(assert_complete_or_part(&kept, &whole));
        assert_complete_or_part(&folder, &whole);
        assert_tidy(&folder);
    }
    println!("{there} of {} were complete", rounds());
}
