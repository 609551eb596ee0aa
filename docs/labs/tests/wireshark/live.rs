//! What tshark shows while the chat goes on, without any right to capture.

use labs::stages;
use labs::stages::Stage;
use suite::process::Program;

use super::*;
use crate::programs::binary;

/// How a server's capture gets to tshark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Pipe,
    Fifo,
}

/// Two sentences are shown, each before anything else happens, also if they were encrypted. tshark
/// takes the capture for a file (`-r`), or for an interface (`-i`).
#[track_caller]
fn assert_live(number: u8, way: Way, option: &str) {
    let stage = Stage::numbered(&stages::root(), number).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (capture, keys) = (folder.path().join("fifo"), folder.path().join("keys"));
    let mut tshark = tshark_at_home(folder.path());
    tshark.env("TMPDIR", folder.path()).args(["-l", "-X", &plugin(), "-Y", "chat5", option]);
    let mut server = Command::new(binary(&stage));
    server.args(["server", "--listen", "127.0.0.1:0", "--pcap"]);
    match way {
        Way::Pipe => {
            tshark.arg("-");
            server.arg("-");
        }
        Way::Fifo => {
            assert!(Command::new("mkfifo").arg(&capture).status().unwrap().success());
            give(&capture);
            tshark.arg(&capture);
            server.arg(&capture);
        }
    }
    if stage.is_encrypted {
        server.arg("--keylog").arg(&keys);
        tshark.args(["-o", &keylog(Some(&keys))]);
    }
    let mut tshark = Program::start_command(tshark.args(["-T", "fields", "-e", "chat5.sentence"]));
    let mut server = match way {
        Way::Pipe => Program::start_into(&mut server, tshark.take_input()),
        Way::Fifo => Program::start_command(&mut server),
    };
    // On stderr, the warning about keys may come before it.
    let mut lines = std::iter::from_fn(|| server.line());
    let address = lines.find_map(|line| line.strip_prefix("listening on ").map(str::to_owned));
    let address = address.expect("it listens");
    give(&keys);
    let mut alice = Command::new(binary(&stage));
    alice.args(["client", &address, "--name", "alice"]);
    let mut alice = Program::start_command(&mut alice);
    alice.expect(&["* alice joined"]);
    for said in ["hi", "is anybody here?"] {
        alice.type_line(said);
        let sentence = format!("alice to server: says to the room: {said}");
        let mut lines = std::iter::from_fn(|| tshark.line());
        let shown = lines.any(|line| line.contains(&sentence));
        assert!(shown, "{sentence}: {}", tshark.stderr());
    }
    assert_eq!(alice.end().0, Some(0));
    server.ctrl_c();
    assert_eq!(server.end().0, Some(0));
    // The end of the capture is the end of tshark.
    let (code, _, said) = tshark.end();
    assert_eq!(code, Some(0), "{said}");
}

/// Whether this user may run what reads interfaces, and FIFOs as if they were some.
fn has_dumpcap() -> bool {
    let mut dumpcap = Command::new("dumpcap");
    ordinary(&mut dumpcap);
    let found = dumpcap.arg("--version").output();
    let found = found.is_ok_and(|output| output.status.success());
    assert!(found || env::var_os("CI").is_none(), "dumpcap has to be usable in CI");
    if !found {
        eprintln!("not checked: dumpcap may not be run here");
    }
    found
}

#[test]
fn what_is_said_is_shown_at_once_over_a_pipe() {
    if has_tshark() {
        assert_live(1, Way::Pipe, "-r");
    }
}

#[test]
fn what_is_said_is_decrypted_at_once_over_a_pipe() {
    if has_tshark() {
        assert_live(3, Way::Pipe, "-r");
    }
}

#[test]
fn what_is_said_is_shown_at_once_over_a_fifo() {
    if has_tshark() {
        assert_live(1, Way::Fifo, "-r");
    }
}

#[test]
fn what_is_said_is_shown_at_once_as_the_window_reads_it() {
    if has_tshark() && has_dumpcap() {
        assert_live(1, Way::Pipe, "-i");
        assert_live(3, Way::Fifo, "-i");
    }
}
