//! Captures and key logs of the stages' own programs.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::OnceLock;

use labs::stages;
use labs::stages::Stage;
use suite::process::Program;
use suite::process::ServerProgram;
use tempfile::TempDir;

use super::*;

const SIZE: usize = 300_000;

/// Who may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Open,
    /// Whoever knows one password.
    Room,
    Accounts,
}

/// The server's capture and key log of a chat, and of a file where the stage has them.
struct Chat {
    folder: TempDir,
    frames: Vec<Seen>,
}

/// Where the stages' programs are.
pub fn binary(stage: &Stage) -> &'static Path {
    static BUILT: OnceLock<BTreeMap<String, PathBuf>> = OnceLock::new();
    let built = BUILT.get_or_init(|| stages::build(&Stage::all(&stages::root())).unwrap());
    &built[stage.package]
}

/// Bytes of a file in which no part is like another.
fn content() -> Vec<u8> {
    (0u32..).flat_map(u32::to_be_bytes).take(SIZE).collect()
}

impl Chat {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A chat of alice and bob, or of alice and the operator, with these options on all sides.
    #[track_caller]
    fn held(number: u8, options: &[&str], door: Door) -> Chat {
        let stage = Stage::numbered(&stages::root(), number).unwrap();
        let keys = if stage.is_encrypted { &["--keylog", "keys"][..] } else { &[] };
        Chat::captured(number, options, door, keys)
    }

    /// The same; `discloses` are options of the server, about its capture.
    #[track_caller]
    fn captured(number: u8, options: &[&str], door: Door, discloses: &[&str]) -> Chat {
        let stage = Stage::numbered(&stages::root(), number).unwrap();
        let has_files = number >= 4;
        let folder = tempfile::tempdir().unwrap();
        give(folder.path());
        let command = |args: &[&str]| {
            let mut command = Command::new(binary(&stage));
            command.current_dir(folder.path()).args(args).env_remove("CHAT_PASSWORD");
            command
        };
        let start = |args: &[&str], state: &str| {
            let mut command = command(args);
            if number == 5 {
                command.args(["--state", state]);
            }
            Program::start_command(command.args(options))
        };
        let mut server = vec!["server", "--listen", "127.0.0.1:0", "--pcap", "pcap"];
        server.extend(discloses);
        let with_password = ["--password-file", "password"];
        let mut private = OpenOptions::new();
        let file =
            private.write(true).create(true).mode(0o600).open(folder.path().join("password"));
        file.unwrap().write_all(b"correct horse\n").unwrap();
        match door {
            Door::Open => {}
            Door::Room => server.extend(with_password),
            Door::Accounts => {
                server.extend(["--users", "users"]);
                for name in ["alice", "bob"] {
                    let mut account = command(&["adduser", name, "--users", "users"]);
                    let made = account.args(with_password).output().unwrap();
                    assert!(made.status.success(), "{made:?}");
                }
            }
        }
        let mut server = ServerProgram::from(start(&server, "state"));
        let address = server.address.to_string();
        let join = |name: &str| {
            let called = if door == Door::Accounts { "--login" } else { "--name" };
            let mut args = vec!["client", &address, called, name];
            if door != Door::Open {
                args.extend(with_password);
            }
            let mut client = start(&args, &format!("{name}'s state"));
            client.expect(&[&format!("* {name} joined")]);
            client
        };
        let mut alice = join("alice");
        if stage.has_operator {
            alice.type_line("hi, everyone");
            server.program.expect(&["* alice joined", "alice: hi, everyone"]);
        } else {
            let mut bob = join("bob");
            alice.expect(&["* bob joined"]);
            alice.type_line("hi, everyone");
            bob.expect(&["alice: hi, everyone"]);
            if has_files {
                fs::write(folder.path().join("report.pdf"), content()).unwrap();
                alice.type_line("@send report.pdf");
                for (client, line) in
                    [(&mut bob, "* received report.pdf"), (&mut alice, "* sent report.pdf")]
                {
                    while !client.line().expect("the file comes").starts_with(line) {}
                }
            }
            assert_eq!(bob.end().0, Some(0));
        }
        assert_eq!(alice.end().0, Some(0));
        server.program.ctrl_c();
        server.program.end_input();
        assert_eq!(server.program.end().0, Some(0));
        let (capture, keys) = (folder.path().join("pcap"), folder.path().join("keys"));
        let frames = seen(&capture, keys.exists().then_some(&keys));
        assert_eq!(frames.len(), sent(&capture));
        Chat { folder, frames }
    }

    /// How often a frame says this.
    fn times(&self, sentence: &str) -> usize {
        self.frames.iter().filter(|frame| frame.sentence == sentence).count()
    }

    /// Nothing was left in the dark, and what was said is there, once or from both sides.
    #[track_caller]
    fn assert_told(&self, status: &str, receiver: Option<&str>) {
        for frame in &self.frames {
            let known = frame.status == status || frame.status == "handshake";
            assert!(known, "{frame:?}");
        }
        let mut sentences = vec!["alice to server: says to the room: hi, everyone".to_owned()];
        sentences.extend(
            receiver.map(|receiver| {
                format!("server to {receiver}: alice said to the room: hi, everyone")
            }),
        );
        for sentence in sentences {
            assert_eq!(self.times(&sentence), 1, "{sentence}: {:?}", self.frames);
        }
    }

    /// The file can be put together from what the plugin shows, in both directions.
    #[track_caller]
    fn assert_carved(&self, is_encrypted: bool) {
        let keys = self.path("keys");
        let (plugin, keys) = (plugin(), keylog(is_encrypted.then_some(&keys)));
        let names = ["chat5.sender", "chat5.chunk.offset", "chat5.chunk.data"];
        let options = ["-X", &plugin, "-o", &keys, "-Y", "chat5.chunk.data"];
        let mut files = BTreeMap::<String, Vec<u8>>::new();
        for packet in fields(&self.path("pcap"), &options, &names) {
            let file = files.entry(packet[0][0].clone()).or_default();
            for (offset, data) in packet[1].iter().zip(&packet[2]) {
                assert_eq!(offset.parse(), Ok(file.len()));
                file.extend(bytes(data));
            }
        }
        assert_eq!(files.keys().collect::<Vec<_>>(), ["client", "server"]);
        assert!(files.values().all(|file| *file == content()));
    }
}

#[test]
fn of_a_plaintext_stage_everything_is_readable() {
    if has_tshark() {
        Chat::held(1, &[], Door::Open).assert_told("plaintext", Some("bob"));
    }
}

#[test]
fn of_an_encrypted_stage_everything_is_decrypted_under_each_cipher() {
    if has_tshark() {
        Chat::held(2, &[], Door::Open).assert_told("decrypted", None);
        for cipher in ["aes-256-cfb", "aes-256-gcm"] {
            let chat = Chat::held(3, &["--cipher", cipher], Door::Open);
            chat.assert_told("decrypted", Some("bob"));
        }
    }
}

#[test]
fn a_file_is_carved_from_plaintext_and_from_what_is_decrypted() {
    if has_tshark() {
        let plain = Chat::held(4, &[], Door::Open);
        plain.assert_told("plaintext", Some("bob"));
        plain.assert_carved(false);
        for cipher in ["aes-256-cfb", "aes-256-gcm"] {
            let encrypted = Chat::held(5, &["--cipher", cipher], Door::Open);
            encrypted.assert_told("decrypted", Some("bob"));
            encrypted.assert_carved(true);
        }
    }
}

/// What a tour says at its end is what opens its records.
#[test]
fn the_command_of_a_tour_decrypts_its_capture() {
    if !has_tshark() {
        return;
    }
    for number in [2, 3, 5] {
        let stage = Stage::numbered(&stages::root(), number).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let tour = Command::new(binary(&stage)).env("TMPDIR", folder.path()).output().unwrap();
        assert!(tour.status.success(), "{tour:?}");
        let shown = String::from_utf8(tour.stdout).unwrap();
        let command = shown.lines().find_map(|line| line.trim().strip_prefix("wireshark "));
        let command = command.expect("a command").split(' ').collect::<Vec<_>>();
        let ["-X", script, "-o", keys, "-r", file] = command[..] else { panic!("{command:?}") };
        assert_eq!(script, format!("lua_script:docs/wireshark/{PLUGIN}"));
        let (file, keys) = (Path::new(file), keys.strip_prefix("chat5.keylog:").unwrap());
        // Whoever looks has the folder of whoever took the tour.
        give(folder.path());
        give(file.parent().unwrap());
        let frames = seen(file, Some(Path::new(keys)));
        let times = |status: &str| frames.iter().filter(|frame| frame.status == status).count();
        assert_eq!(times("missing key"), 0);
        assert!(times("decrypted") > frames.len() / 2, "{frames:?}");
    }
}

#[test]
fn a_capture_with_both_views_and_its_keys_tells_the_same_twice() {
    if !has_tshark() {
        return;
    }
    for (number, door) in [(2, Door::Open), (3, Door::Open), (5, Door::Accounts)] {
        let chat = Chat::captured(number, &[], door, &["--pcap-plaintext", "--pcap-keys"]);
        let told = |status: &str| {
            let frames = chat.frames.iter().filter(|frame| frame.status == status);
            let mut sentences = frames.map(|frame| frame.sentence.as_str()).collect::<Vec<_>>();
            sentences.sort_unstable();
            sentences
        };
        assert!(told("decrypted").contains(&"alice to server: says to the room: hi, everyone"));
        assert_eq!(told("decrypted"), told("inside"));
        let both = told("decrypted").len() * 2 + told("handshake").len();
        assert_eq!(both, chat.frames.len());
    }
}

#[test]
fn of_stage_5_the_logins_are_decrypted_too_and_the_files_whoever_may_come_in() {
    if !has_tshark() {
        return;
    }
    let logins = [
        (Door::Open, ["server to client: login: open: no password"].as_slice()),
        (
            Door::Room,
            &[
                "server to client: login: room: one password for all",
                "client to server: login: I am alice",
                "client to server: login: I am bob",
            ],
        ),
        (
            Door::Accounts,
            &[
                "server to client: login: accounts",
                "client to server: login: I am alice",
                "client to server: login: I am bob",
            ],
        ),
    ];
    for (door, sentences) in logins {
        let chat = Chat::held(5, &[], door);
        chat.assert_told("decrypted", Some("bob"));
        chat.assert_carved(true);
        let handshakes = chat.frames.iter().filter(|frame| frame.status == "handshake");
        assert_eq!(handshakes.count(), 4, "of alice and of bob, two messages each");
        for sentence in sentences {
            let of_both = sentence.starts_with("server");
            assert_eq!(chat.times(sentence), if of_both { 2 } else { 1 }, "{door:?}: {sentence}");
        }
        let proofs = if door == Door::Open { 0 } else { 2 };
        let proof = "server to client: login: you are in, and proof that I know it, too";
        assert_eq!(chat.times(proof), proofs, "{door:?}");
    }
}

#[cfg(feature = "hybrid")]
#[test]
fn the_suites_of_the_feature_hybrid_are_decrypted_too() {
    if has_tshark() {
        for (kex, cipher) in [("rsa2048-server", "fernet"), ("rsa2048-client", "aes-256-gcm")] {
            let chat = Chat::held(3, &["--kex", kex, "--cipher", cipher], Door::Open);
            chat.assert_told("decrypted", Some("bob"));
        }
        let files = Chat::held(5, &["--kex", "rsa2048-client", "--cipher", "fernet"], Door::Open);
        files.assert_told("decrypted", Some("bob"));
        files.assert_carved(true);
    }
}
