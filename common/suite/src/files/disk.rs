//! Disks that do not take it: both sides are told, and the chat goes on.

use std::fs;
use std::process::Command;

use super::Place;
use super::client;
use super::wait_for;
use super::wait_until;
use crate::Stage;
use crate::process::Program;
use crate::process::ServerProgram;

/// Most bytes that the file of a program with a full disk may have: blocks of 512, or of 1024 where
/// the shell counts so.
const BLOCKS: &str = "200";
const SIZE: usize = 400_000;

/// The stage's program where no file may be larger than that: the nearest to a full disk that needs
/// neither root nor a disk.
fn with_a_full_disk<S: Stage>(args: &[&str]) -> Program {
    let script = format!("trap '' XFSZ; ulimit -f {BLOCKS}; exec \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh"]).arg(S::binary()).args(args).args(S::options());
    Program::start_command(&mut command)
}

/// Alice sends something that bob, whose client it is, cannot receive; then they chat on.
#[track_caller]
fn assert_it_is_said(place: &Place, alice: &mut Program, bob: &mut Program, why: &str) {
    alice.type_line(&format!("@send {}", place.file("x", SIZE)));
    alice.expect_prefix("* offered x to all (400000 bytes)");
    wait_for(alice, "! bob does not get x: it cannot be stored there");
    alice.expect(&["! x to all: nobody takes it"]);
    let line = std::iter::from_fn(|| bob.line()).find(|line| line.starts_with('!')).unwrap();
    assert!(line.starts_with("! x from alice: ") && line.contains(why), "{line}");
    wait_until("nothing is left", || !place.listing("bob").keys().any(|name| name != "there"));
    alice.type_line("and now?");
    bob.expect(&["alice: and now?"]);
    bob.type_line("I see");
    alice.expect(&["bob: I see"]);
}

/// In the middle of a file there is no more room.
pub fn a_full_disk<S: Stage>() {
    let (server, place) = (ServerProgram::start::<S>(&[]), Place::default());
    let mut alice = client::<S>(server.address, &place, "alice");
    let (address, folder) = (server.address.to_string(), place.text("bob"));
    let args = ["client", &address, "--name", "bob", "--downloads", &folder];
    let mut bob = with_a_full_disk::<S>(&args);
    bob.expect(&["* bob joined"]);
    alice.expect(&["* bob joined"]);
    assert_it_is_said(&place, &mut alice, &mut bob, "it cannot be written: File too large");
    // What fits is received.
    alice.type_line(&format!("@send {}", place.file("small", 1000)));
    wait_for(&mut alice, "* sent small to all");
    place.expect("bob", &[("small", 1000)]);
}

/// The same at a server that keeps copies: the others get the file.
pub fn a_full_disk_at_the_server<S: Stage>() {
    let place = Place::default();
    let kept = place.text("kept");
    let args = ["server", "--listen", "127.0.0.1:0", "--keep", &kept];
    let server = ServerProgram::from(with_a_full_disk::<S>(&args));
    let mut alice = client::<S>(server.address, &place, "alice");
    let mut bob = client::<S>(server.address, &place, "bob");
    alice.expect(&["* bob joined"]);
    alice.type_line(&format!("@send {}", place.file("x", SIZE)));
    wait_for(&mut alice, "! server does not get x: it cannot be stored there");
    alice.expect(&["* bob has x", "* sent x to all"]);
    bob.expect_prefix("* receiving x");
    bob.expect_prefix("* received x");
    place.expect("bob", &[("x", SIZE)]);
    wait_until("nothing is left", || place.listing("kept").is_empty());
}

/// A folder that cannot be made, that becomes a file, or that may not be written to.
pub fn no_folder<S: Stage>() {
    let server = ServerProgram::start::<S>(&[]);
    let deep: fn(&Place) = |_| {};
    let file: fn(&Place) = |place| fs::write(place.path("bob"), "not a folder").unwrap();
    let locked: fn(&Place) = |place| {
        use std::os::unix::fs::PermissionsExt;
        fs::create_dir(place.path("bob")).unwrap();
        fs::set_permissions(place.path("bob"), fs::Permissions::from_mode(0o555)).unwrap();
    };
    for (prepare, folder, why) in [
        (deep, "no/such/folder", "No such file or directory"),
        (file, "bob", "Not a directory"),
        (locked, "bob", "Permission denied"),
    ] {
        let place = Place::default();
        let (address, path) = (server.address.to_string(), place.text(folder));
        let args = ["client", &address, "--name", "bob", "--downloads", &path];
        let mut bob = Program::start::<S>(&args);
        bob.expect(&["* bob joined"]);
        prepare(&place);
        if why.starts_with("Permission") && fs::write(place.path("bob/there"), "").is_ok() {
            println!("skipped: root may write to a folder that may not be written to");
            continue;
        }
        let mut alice = client::<S>(server.address, &place, "alice");
        wait_for(&mut bob, "* alice joined");
        assert_it_is_said(&place, &mut alice, &mut bob, why);
        assert_eq!(alice.end().0, Some(0));
        wait_for(&mut bob, "* alice left");
        assert_eq!(bob.end().0, Some(0));
    }
    // What is there from the start, and no folder, is said at the start.
    let place = Place::default();
    file(&place);
    let (address, path) = (server.address.to_string(), place.text("bob"));
    for args in [
        &["client", &address, "--name", "bob", "--downloads", &path][..],
        &["server", "--listen", "127.0.0.1:0", "--keep", &path],
    ] {
        let (code, _, stderr) = Program::start::<S>(args).end();
        assert_eq!(code, Some(2), "{stderr}");
        assert!(stderr.contains("it is no folder"), "{stderr}");
    }
}
