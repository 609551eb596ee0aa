//! What the published captures hold is what a server of that stage sees and sends: the stages' own
//! programs say the same here, and what crosses is compared, frame by frame.
//!
//! Order and length of frames are compared in each direction of each conversation. What they are
//! made of is random in one of them, and how they share segments is up to timing.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use common::frame::RECORD;
use labs::attack::Direction;
use labs::attack::Relay;
use labs::attack::tamper;
use labs::capture;
use labs::program::Program;
use labs::stages;
use labs::stages::Stage;
use suite::PATIENCE;
use tempfile::TempDir;

use crate::reader::Conversation;
use crate::reader::Sent;
use crate::reader::conversations;

/// A stage's server, which captures.
struct Run {
    folder: TempDir,
    binary: PathBuf,
    server: Program,
    address: SocketAddr,
}

impl Run {
    fn start(stage: u8, options: &[&str]) -> Run {
        Run::with(tempfile::tempdir().unwrap(), binary(stage), options)
    }

    fn with(folder: TempDir, binary: PathBuf, options: &[&str]) -> Run {
        let capture = path(&folder, "capture");
        let options = [&["--pcap", &capture], options].concat();
        let (server, address) = Program::serve(&binary, &options).unwrap();
        Run { folder, binary, server, address }
    }

    /// A client in the room.
    fn join(&self, name: &str, options: &[&str]) -> Program {
        self.join_at(self.address, name, &[&["--name", name], options].concat())
    }

    fn join_at(&self, address: SocketAddr, name: &str, options: &[&str]) -> Program {
        let address = address.to_string();
        let args = [&["client", &address], options].concat();
        let mut client = Program::start(&self.binary, &args).unwrap();
        client.sees(&format!("* {name} joined")).unwrap();
        client
    }

    /// Waits until the server's capture is the published one.
    #[track_caller]
    fn compare(&self, name: &str) {
        self.compare_but(name, |_, _| ());
    }

    /// The same, but for what depends on how busy this machine is: `levels` what each client sent, by
    /// its place.
    #[track_caller]
    fn compare_but(&self, name: &str, levels: fn(usize, &mut Shape)) {
        let published = stages::root().join(capture::PUBLISHED).join(format!("{name}.pcapng"));
        let shapes = |capture: &[u8]| {
            let mut shapes = shapes(capture);
            for all in shapes.values_mut() {
                all.iter_mut().enumerate().for_each(|(at, [client, _])| levels(at, client));
            }
            shapes
        };
        let expected = shapes(&fs::read(published).unwrap());
        let start = Instant::now();
        loop {
            let seen = shapes(&fs::read(path(&self.folder, "capture")).unwrap());
            if seen == expected || start.elapsed() > PATIENCE {
                return assert_eq!(seen, expected);
            }
            thread::park_timeout(Duration::from_millis(5));
        }
    }
}

/// What a side sent: kind of each frame and bytes of its body; and whether its end was seen.
type Shape = (Vec<(u8, usize)>, bool);

/// Of clients and server, by interface, in the order in which the conversations began.
fn shapes(capture: &[u8]) -> BTreeMap<u32, Vec<[Shape; 2]>> {
    let shape = |sent: Sent| -> Shape {
        let frames = sent.frames.iter().map(|(kind, body)| (*kind, body.len())).collect();
        (frames, sent.has_ended)
    };
    let shapes = |all: Vec<Conversation>| {
        all.into_iter().map(|it| [shape(it.client), shape(it.server)]).collect()
    };
    conversations(capture).into_iter().map(|(interface, all)| (interface, shapes(all))).collect()
}

/// Where a thread has to wait, bob says more than once how much of a file he has.
fn acknowledged_once(_: usize, (frames, _): &mut Shape) {
    frames.dedup();
}

/// The program of a stage; they are built together, once.
fn binary(stage: u8) -> PathBuf {
    static BUILT: OnceLock<BTreeMap<String, PathBuf>> = OnceLock::new();
    let all = Stage::all(&stages::root());
    let built = BUILT.get_or_init(|| stages::build(&all).unwrap());
    built[all.iter().find(|it| it.number == stage).unwrap().package].clone()
}

fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_owned()
}

/// Each of them waits until they see this line.
fn all_see<const N: usize>(programs: [&mut Program; N], line: &str) {
    programs.into_iter().for_each(|program| program.sees(line).unwrap());
}

fn picture() -> String {
    let picture = stages::root().join(capture::PICTURE);
    format!("\"{}\"", Path::new(&picture).to_str().unwrap())
}

#[test]
fn in_stage_1() {
    let run = Run::start(1, &[]);
    let mut alice = run.join("alice", &[]);
    let mut bob = run.join("bob", &[]);
    all_see([&mut alice], "* bob joined");
    let mut carol = run.join("carol", &[]);
    all_see([&mut alice, &mut bob], "* carol joined");
    alice.types("hello, everybody").unwrap();
    all_see([&mut bob, &mut carol], "alice: hello, everybody");
    bob.types("@alice meet me at noon").unwrap();
    all_see([&mut alice, &mut bob], "bob -> alice: meet me at noon");
    carol.types("@status dnd").unwrap();
    all_see([&mut alice, &mut bob, &mut carol], "* carol is dnd");
    alice.types("two lines,\npasted at once").unwrap();
    all_see([&mut bob, &mut carol], "alice: pasted at once");
    let numbers = (1..=400).map(|number| number.to_string()).collect::<Vec<_>>();
    let counting = format!("I count: {}", numbers.join(" "));
    bob.types(&counting).unwrap();
    all_see([&mut alice, &mut carol], &format!("bob: {counting}"));
    carol.leaves().unwrap();
    all_see([&mut alice, &mut bob], "* carol left");
    bob.leaves().unwrap();
    all_see([&mut alice], "* bob left");
    alice.leaves().unwrap();
    run.compare("stage1_relay");
}

#[test]
fn in_stage_2() {
    let mut run = Run::start(2, &[]);
    let mut alice = run.join("alice", &[]);
    for _ in 0..3 {
        alice.types("meet me at noon").unwrap();
        run.server.sees("alice: meet me at noon").unwrap();
    }
    run.server.types("I heard you the first time").unwrap();
    alice.sees("server: I heard you the first time").unwrap();
    alice.leaves().unwrap();
    run.compare("stage2_secure_single");
}

#[test]
fn in_stage_3_inside_records_too() {
    let run = Run::start(3, &["--pcap-plaintext"]);
    let mut alice = run.join("alice", &[]);
    let mut bob = run.join("bob", &[]);
    all_see([&mut alice], "* bob joined");
    let mut carol = run.join("carol", &[]);
    all_see([&mut alice, &mut bob], "* carol joined");
    alice.types("meet me at noon").unwrap();
    all_see([&mut bob, &mut carol], "alice: meet me at noon");
    bob.types("@alice without carol?").unwrap();
    all_see([&mut alice, &mut bob], "bob -> alice: without carol?");
    alice.types("@secret bob correct-horse-battery the code of the door is 4711").unwrap();
    all_see([&mut bob], "* secret 1 from alice: @open 1 KEY");
    all_see([&mut alice], "* your secret is on its way to bob");
    carol.leaves().unwrap();
    all_see([&mut alice, &mut bob], "* carol left");
    bob.leaves().unwrap();
    all_see([&mut alice], "* bob left");
    alice.leaves().unwrap();
    run.compare("stage3_secure_multi");
}

#[test]
fn where_somebody_turns_bits() {
    let run = Run::start(3, &[]);
    // The body of the third record is an IV of 16 and a ciphertext of 42 bytes, or the ciphertext
    // and a tag of 16. Behind the `1` are `0 euro"}`, and `9` has one bit more.
    let relay = |body: usize| {
        let flip = tamper::flip(Direction::ToServer, 2, body * 8 + 3);
        Relay::start(run.address, flip).unwrap()
    };
    let (alices, bobs) = (relay(16 + 42 - 9), relay(42 - 9));
    let alice = ["--name", "alice", "--cipher", "aes-256-cfb"];
    let mut alice = run.join_at(alices.address, "alice", &alice);
    let bob = ["--name", "bob", "--cipher", "aes-256-gcm"];
    let mut bob = run.join_at(bobs.address, "bob", &bob);
    all_see([&mut alice], "* bob joined");
    alice.types("meet me at noon").unwrap();
    all_see([&mut bob], "alice: meet me at noon");
    alice.types("I owe you 10 euro").unwrap();
    all_see([&mut bob], "alice: I owe you 90 euro");
    bob.types("meet me at noon").unwrap();
    all_see([&mut alice], "bob: meet me at noon");
    bob.types("I owe you 10 euro").unwrap();
    all_see([&mut alice], "* bob left");
    alice.leaves().unwrap();
    // How the second client ends is read and forgotten, if it comes in time.
    run.compare_but("stage3_tampered", |at, (frames, has_ended)| {
        if at == 1 {
            *has_ended = false;
            frames.pop_if(|last| *last == (RECORD, 1 + 16));
        }
    });
}

#[test]
fn in_stage_4() {
    let run = Run::start(4, &[]);
    let downloads = path(&run.folder, "downloads");
    let mut alice = run.join("alice", &[]);
    let bob = run.join("bob", &["--downloads", &downloads]);
    all_see([&mut alice], "* bob joined");
    alice.types(&format!("@send {} bob", picture())).unwrap();
    all_see([&mut alice], "* bob has picture.png");
    bob.leaves().unwrap();
    all_see([&mut alice], "* bob left");
    alice.leaves().unwrap();
    run.compare_but("stage4_file_plain", acknowledged_once);
}

#[test]
fn in_stage_5() {
    let folder = tempfile::tempdir().unwrap();
    let binary = binary(5);
    let [users, state, downloads] = ["users", "state", "downloads"].map(|name| path(&folder, name));
    let passwords =
        [("alice", "correct horse"), ("bob", "battery staple")].map(|(name, password)| {
            let file = path(&folder, &format!("password_of_{name}"));
            fs::write(&file, password).unwrap();
            let mut command = Command::new(&binary);
            command.args(["adduser", name, "--users", &users, "--password-file", &file]);
            assert!(command.env_remove("CHAT_PASSWORD").output().unwrap().status.success());
            file
        });
    let run = Run::with(folder, binary, &["--users", &users, "--state", &state]);
    let join = |name: &str, password: &str| {
        let state = path(&run.folder, name);
        let options = ["--login", name, "--password-file", password, "--state", &state];
        let options = [&options[..], &["--downloads", &downloads]].concat();
        run.join_at(run.address, name, &options)
    };
    let mut alice = join("alice", &passwords[0]);
    let mut bob = join("bob", &passwords[1]);
    all_see([&mut alice], "* bob joined");
    alice.types("meet me at noon").unwrap();
    all_see([&mut bob], "alice: meet me at noon");
    alice.types(&format!("@send {} bob", picture())).unwrap();
    all_see([&mut alice], "* bob has picture.png");
    bob.leaves().unwrap();
    all_see([&mut alice], "* bob left");
    alice.leaves().unwrap();
    run.compare_but("stage5_file_secure", acknowledged_once);
}
