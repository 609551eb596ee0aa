//! `--pcap-plaintext` and `--pcap-keys`: what was inside the records of a capture, and their keys, in
//! that capture.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use common::crypto;
use common::crypto::CipherState;
use common::crypto::Decryptor;
use common::crypto::suite::Choice;
use common::crypto::suite::Cipher;
use common::frame;
use common::frame::Frame;

use crate::Stage;
use crate::capture;
use crate::process::Program;
use crate::process::ServerProgram;

/// What stands for the server in the plaintext view, over IPv4 and IPv6.
const NOBODY: [&str; 2] = ["192.0.2.1", "2001:db8::1"];
const KEYS: &str = "warning: session keys are in the capture";
const PLAINTEXT: &str = "warning: what was encrypted is in the capture, too";
const SAID: &str = "the quick brown fox";

/// One direction of a connection: on the wire or not, the ports from and to.
type Directions = BTreeMap<(bool, u16, u16), Vec<u8>>;

/// What is on the interface `plaintext` is what was inside the records on `wire`, in order, and the
/// keys in comments are those of the key log; nothing of it is there unasked.
///
/// # Panics
/// If not.
pub fn what_was_inside_is_captured_on_request<S: Stage>() {
    if !capture::has_tshark() {
        return;
    }
    for (listen, nobody) in ["127.0.0.1:0", "[::1]:0"].into_iter().zip(NOBODY) {
        let folder = tempfile::tempdir().expect("a folder");
        let [servers, alices, keys] =
            ["server", "alice", "keys"].map(|name| folder.path().join(name));
        let [servers_path, alices_path, keys_path] =
            [&servers, &alices, &keys].map(|path| path.to_str().expect("UTF-8"));
        let all = ["--pcap-plaintext", "--pcap-keys", "--keylog", keys_path];
        let listens = ["server", "--listen", listen, "--pcap", servers_path];
        let server = ServerProgram::from(Program::start::<S>(&[&listens[..], &all].concat()));
        let address = server.address.to_string();
        let client = ["client", &address, "--name", "alice", "--pcap", alices_path];
        let mut alice = Program::start::<S>(&[&client[..], &all[..2]].concat());
        alice.expect(&["* alice joined"]);
        // Without asking for it there is nothing of it.
        let plain = folder.path().join("bob");
        let bobs = ["client", &address, "--name", "bob", "--pcap", plain.to_str().expect("UTF-8")];
        let mut bob = Program::start::<S>(&bobs);
        alice.expect(&["* bob joined"]);
        alice.type_line(SAID);
        bob.expect_prefix("* bob joined");
        bob.expect(&[&format!("alice: {SAID}")]);
        assert_eq!(bob.end().0, Some(0));
        let (code, _, stderr) = alice.end();
        assert_eq!(code, Some(0));
        assert!(stderr.contains(KEYS) && stderr.contains(PLAINTEXT), "{stderr}");
        server.program.ctrl_c();
        let (code, _, stderr) = server.program.end();
        assert_eq!(code, Some(0));
        assert!(stderr.contains(KEYS) && stderr.contains(PLAINTEXT), "{stderr}");

        let log = fs::read_to_string(&keys).expect("a key log");
        let lines = log.lines().collect::<Vec<_>>();
        assert_eq!(lines.len(), 4);
        // Each line is a comment in the server's capture; alice's has those of her session.
        assert_eq!(comments(&servers, &lines), lines);
        assert_eq!(comments(&alices, &lines), lines[..2]);
        assert_eq!(comments(&plain, &lines), Vec::<&str>::new());
        let (servers, alices) = (directions(&servers, nobody), directions(&alices, nobody));
        check(&servers, &lines);
        check(&alices, &lines);
        assert_eq!((servers.len(), alices.len()), (8, 4));
        for (direction, bytes) in &alices {
            assert_eq!(servers.get(direction), Some(bytes), "seen from both ends");
        }
        let bobs = fs::read(&plain).expect("a capture");
        for words in [SAID, "bob", "alice", "plaintext"] {
            let found = bobs.windows(words.len()).any(|window| window == words.as_bytes());
            assert!(!found, "{words}");
        }
    }
}

/// What others may read is not used for it; and where there is no capture, it is wrong usage.
///
/// # Panics
/// If it is.
#[cfg(unix)]
pub fn what_discloses_is_for_its_owner_alone<S: Stage>() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("capture");
    let path = file.to_str().expect("UTF-8");
    fs::write(&file, "of yesterday").expect("it can be written");
    for option in ["--pcap-plaintext", "--pcap-keys"] {
        for mode in [0o640, 0o604, 0o666] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("it is ours");
            let args = ["server", "--listen", "127.0.0.1:0", "--pcap", path, option];
            let (code, lines, stderr) = Program::start::<S>(&args).end();
            assert_eq!((code, lines), (Some(2), Vec::new()), "{mode:o}");
            let expected = format!("error: {option}: others may read {path}: remove it, or run ");
            assert!(stderr.starts_with(&expected), "{stderr}");
            assert_eq!(fs::read(&file).expect("it is there"), b"of yesterday");
        }
        let args = ["client", "127.0.0.1:1", "--name", "alice", option];
        let (code, _, stderr) = Program::start::<S>(&args).end();
        assert_eq!(code, Some(2));
        assert!(stderr.contains("needs one: add --pcap FILE"), "{stderr}");
    }
}

/// Which of these lines are comments of the packets of a capture, in their order.
fn comments<'a>(file: &Path, lines: &[&'a str]) -> Vec<&'a str> {
    let comments =
        capture::tshark(file, &["-T", "fields", "-E", "aggregator=|", "-e", "frame.comment"]);
    // Each packet has one in words at least.
    assert!(comments.iter().all(|comments| comments.contains(" → ")), "{comments:?}");
    let comments = comments.iter().flat_map(|comments| comments.split('|'));
    let found = comments.filter_map(|comment| lines.iter().find(|line| **line == comment));
    found.copied().collect()
}

fn directions(file: &Path, nobody: &str) -> Directions {
    let names = [
        "frame.interface_name",
        "ip.addr",
        "ipv6.addr",
        "tcp.srcport",
        "tcp.dstport",
        "tcp.payload",
    ];
    let mut args = vec!["-T", "fields"];
    names.iter().for_each(|name| args.extend(["-e", name]));
    let mut directions = Directions::new();
    for line in capture::tshark(file, &args) {
        let parts = line.split('\t').collect::<Vec<_>>();
        let [interface, v4, v6, from, to, payload] = parts[..] else { panic!("{line}") };
        let is_wire = interface == "wire";
        assert!(is_wire || interface == "plaintext", "{line}");
        let has_nobody = [v4, v6].iter().any(|hosts| hosts.split(',').any(|host| host == nobody));
        assert_eq!(has_nobody, !is_wire, "{line}");
        let [from, to] = [from, to].map(|port| port.parse().expect("a port"));
        let payload = crypto::unhex(payload).expect("hex");
        directions.entry((is_wire, from, to)).or_default().extend(payload);
    }
    directions
}

/// Decrypts what was on the wire with the key log, and compares.
fn check(directions: &Directions, keys: &[&str]) {
    for ((is_wire, from, to), bytes) in directions {
        if !is_wire {
            continue;
        }
        let frames = capture::frames(bytes);
        let answer = capture::frames(&directions[&(true, *to, *from)]);
        // A session is found by what the client's hello holds, and that is one of the two.
        let (hello, label) = (frames[0], ["C2S ", "S2C "]);
        let ids = [(hello, label[0]), (answer[0], label[1])].map(|(hello, label)| {
            let id = match &hello[1..5] {
                b"CHT5" => &hello[hello.len() - 32..],
                _ => &hello[6..38],
            };
            format!("{label}{} ", crypto::hex(id))
        });
        let found = ids.iter().find_map(|id| keys.iter().find_map(|line| line.split_once(id)));
        let key = crypto::unhex(found.expect("a key").1).expect("hex");
        let key = crypto::Secret::from(<[u8; 32]>::try_from(key).expect("32 bytes"));
        let mut opens = match frames[0][1..5] {
            [b'C', b'H', b'T', b'5'] => Decryptor::from(CipherState::rekeying(&key)),
            _ => {
                // The server's names one; the client's the same, or 0 for any.
                let chosen = frames[0][39].max(answer[0][39]);
                let cipher =
                    [Cipher::Cfb, Cipher::Gcm].into_iter().find(|its| its.code() == chosen);
                Decryptor::new(cipher.expect("a cipher that is known"), &key)
            }
        };
        let records = frames.iter().filter(|frame| frame[0] == frame::RECORD);
        let opened = records.map(|record| {
            match opens.open(Frame { kind: record[0], body: &record[1..] }).expect("it opens") {
                Some(frame) => [&[frame.kind], frame.body].concat(),
                None => vec![frame::CLOSE],
            }
        });
        let opened = opened.collect::<Vec<_>>();
        assert!(!opened.is_empty());
        assert_eq!(capture::frames(&directions[&(false, *from, *to)]), opened);
    }
}
