//! `--pcap`: what a program says of its own traffic, and what Wireshark says to that.

use std::collections::BTreeMap;
use std::env;
use std::fs::File;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use crate::PATIENCE;
use crate::Stage;
use crate::process::KEY_LOG;
use crate::process::Program;
use crate::process::ServerProgram;
use crate::session;

/// Each FIN is a note for tshark 4, however orderly the end is; everything else would be a remark.
const ORDINARY: [&str; 2] =
    ["This frame initiates the connection closing", "This frame undergoes the connection closing"];

// Flags of TCP (RFC 9293, section 3.1).
const FIN: u32 = 0x01;
const SYN: u32 = 0x02;
const RST: u32 = 0x04;
const ACK: u32 = 0x10;

/// The bytes of each direction of a connection: from port, to port.
type Streams = BTreeMap<(usize, usize), Vec<u8>>;

/// How each direction begins and ends: every SYN, FIN and RST in turn, as its sequence number and its
/// flags without PSH. (Which side's FIN is the first one can differ between here and there.)
type Stories = BTreeMap<(usize, usize), Vec<(usize, u32)>>;

/// Whether tshark is there; where it has to be (in CI) its absence is a failure.
pub(crate) fn has_tshark() -> bool {
    let found = Command::new("tshark").arg("--version").output().is_ok();
    assert!(found || env::var_os("CI").is_none(), "tshark has to be installed in CI");
    if !found {
        eprintln!("not checked: tshark is not installed");
    }
    found
}

/// What tshark prints of a capture; an error if that is not whole.
fn try_tshark(file: &Path, args: &[&str]) -> Result<Vec<String>, String> {
    let mut command = Command::new("tshark");
    command.args(["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-r"]);
    let output = command.arg(file).args(args).output().expect("tshark runs");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(String::from_utf8(output.stdout).expect("UTF-8").lines().map(str::to_owned).collect())
}

pub(crate) fn tshark(file: &Path, args: &[&str]) -> Vec<String> {
    try_tshark(file, args).expect("a whole capture")
}

fn streams(file: &Path) -> Streams {
    try_streams(file).expect("a whole capture")
}

fn try_streams(file: &Path) -> Result<Streams, String> {
    let fields = [
        "-T",
        "fields",
        "-e",
        "tcp.srcport",
        "-e",
        "tcp.dstport",
        "-e",
        "tcp.seq",
        "-e",
        "tcp.payload",
    ];
    let mut streams = Streams::new();
    for line in try_tshark(file, &fields)? {
        let mut fields = line.split('\t');
        let mut number = || fields.next().and_then(|field| field.parse::<usize>().ok());
        let (from, to, next) = (number(), number(), number().expect("a sequence number"));
        let stream = streams.entry((from.expect("a port"), to.expect("a port"))).or_default();
        let payload = fields.next().unwrap_or_default().as_bytes();
        let bytes = payload
            .chunks(2)
            .map(|hex| u8::from_str_radix(str::from_utf8(hex).expect("hex"), 16).expect("hex"));
        // By its number, the first after the SYN being 1: on lo a segment may come twice.
        for (offset, byte) in (next.max(1) - 1..).zip(bytes) {
            stream.resize(stream.len().max(offset + 1), 0);
            stream[offset] = byte;
        }
    }
    Ok(streams)
}

fn try_stories(file: &Path) -> Result<Stories, String> {
    let fields = ["-e", "tcp.srcport", "-e", "tcp.dstport", "-e", "tcp.seq", "-e", "tcp.flags"];
    let mut stories = Stories::new();
    for line in try_tshark(file, &[&["-T", "fields"], &fields[..]].concat())? {
        let fields = line.split('\t').collect::<Vec<_>>();
        let number = |at: usize| fields[at].parse::<usize>().expect("a number");
        let ports = (number(0), number(1));
        let flags = fields[3].strip_prefix("0x").map(|hex| u32::from_str_radix(hex, 16));
        let flags = flags.expect("hex").expect("flags") & (FIN | SYN | RST | ACK);
        let story = stories.entry(ports).or_default();
        let event = (number(2), flags);
        // On lo a segment may come twice.
        if flags != ACK && !story.contains(&event) {
            story.push(event);
        }
    }
    Ok(stories)
}

/// Splits a direction into its frames.
pub(crate) fn frames(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    while let Some((header, rest)) = bytes.split_first_chunk() {
        let length = usize::try_from(u32::from_be_bytes(*header)).expect("a length");
        let (frame, rest) = rest.split_at_checked(length).expect("a whole frame");
        frames.push(frame);
        bytes = rest;
    }
    assert!(bytes.is_empty(), "part of a header at the end");
    frames
}

fn start<S: Stage>(file: &Path, listen: &str) -> ServerProgram {
    let file = file.to_str().expect("UTF-8");
    ServerProgram::from(Program::start::<S>(&["server", "--listen", listen, "--pcap", file]))
}

/// Two people talk, more than one read and one write can carry, and leave.
fn talk<S: Stage>(server: &ServerProgram, alices_capture: Option<&Path>) {
    let address = server.address.to_string();
    let mut args = vec!["client", &address, "--name", "alice"];
    if let Some(file) = alices_capture {
        args.extend(["--pcap", file.to_str().expect("UTF-8")]);
    }
    let mut alice = Program::start::<S>(&args);
    alice.expect(&["* alice joined"]);
    let mut bob = server.client::<S>("bob");
    alice.expect(&["* bob joined"]);
    let long = "x".repeat(4000);
    for number in 0..50 {
        alice.type_line(&format!("{number} {long}"));
    }
    for number in 0..50 {
        bob.expect(&[&format!("alice: {number} {long}")]);
    }
    bob.type_line("@alice bye");
    alice.expect(&["bob -> alice: bye"]);
    assert_eq!(alice.end().0, Some(0));
    bob.expect(&["bob -> alice: bye", "* alice left"]);
    assert_eq!(bob.end().0, Some(0));
}

/// tshark, which checks all checksums and sequence numbers, has nothing to say to a capture of the
/// server and to one of a client, over IPv4 and IPv6, and both tell the same.
#[cfg(unix)]
pub fn nothing_to_say_to_a_capture<S: Stage>() {
    if !has_tshark() {
        return;
    }
    for listen in ["127.0.0.1:0", "[::1]:0"] {
        let folder = tempfile::tempdir().expect("a folder");
        let (servers, alices) = (folder.path().join("server"), folder.path().join("alice"));
        let server = start::<S>(&servers, listen);
        talk::<S>(&server, Some(&alices));
        server.program.ctrl_c();
        assert_eq!(server.program.end().0, Some(0));
        for (file, connections) in [(&servers, 2), (&alices, 1)] {
            let remarks = tshark(file, &["-q", "-z", "expert,note"]);
            // A table for each severity: a line of titles, then frequency, group, protocol, summary.
            let remarks = remarks
                .iter()
                .filter(|line| line.trim_start().starts_with(|first: char| first.is_ascii_digit()));
            let unusual = remarks.filter(|line| !ORDINARY.iter().any(|words| line.contains(words)));
            assert_eq!(unusual.collect::<Vec<_>>(), Vec::<&String>::new());
            assert_eq!(streams(file).len(), 2 * connections, "both directions of each connection");
        }
        // What both have seen is the same, seen from both ends.
        let (servers, alices) = (streams(&servers), streams(&alices));
        for (ports, bytes) in &alices {
            assert_eq!(servers.get(ports), Some(bytes));
            assert!(frames(bytes).len() > 1);
        }
    }
}

/// The same bytes in each direction as in a capture of `lo`, which only root may make, and the same
/// beginning and end of each connection, behind the last of its bytes.
#[cfg(target_os = "linux")]
pub fn the_same_as_a_capture_of_lo<S: Stage>() {
    if !has_tshark() {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("not checked: only root may capture on lo");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (servers, file) = (folder.path().join("server"), folder.path().join("lo"));
    let server = start::<S>(&servers, "127.0.0.1:0");
    let port = server.address.port();
    let lo = Lo::start(server.address, &file);
    talk::<S>(&server, None);
    server.program.ctrl_c();
    assert_eq!(server.program.end().0, Some(0));
    let ours = try_stories(&servers).expect("a whole capture");
    let servers = streams(&servers);
    assert_eq!(servers.len(), 4, "both directions of alice and of bob");
    // What lo has seen reaches the file a little later, and block by block.
    let deadline = Instant::now() + PATIENCE;
    let mut los = try_streams(&file);
    // It has also seen the connection with which a server that stops wakes itself.
    let whole = |los: &Streams| servers.iter().all(|(ports, bytes)| los.get(ports) == Some(bytes));
    while !los.as_ref().is_ok_and(whole) && Instant::now() < deadline {
        los = try_streams(&file);
    }
    let mut theirs = try_stories(&file);
    let told = |los: &Stories| {
        ours.iter().all(|(ports, story)| los.get(ports).is_some_and(|los| los.starts_with(story)))
    };
    while !theirs.as_ref().is_ok_and(told) && Instant::now() < deadline {
        theirs = try_stories(&file);
    }
    drop(lo);
    let theirs = theirs.expect("a whole capture");
    let los = los.expect("a whole capture");
    for (ports, bytes) in &servers {
        let captured = los.get(ports).expect("lo has seen it too");
        assert!(frames(bytes).len() > 1);
        assert!(bytes == captured, "{ports:?}: {} and {} bytes", bytes.len(), captured.len());
    }
    for (ports, story) in &ours {
        assert!(theirs[ports].starts_with(story), "{ports:?}: {story:?}, and {:?}", theirs[ports]);
        let is_clients = ports.1 == usize::from(port);
        let syn = if is_clients { SYN } else { SYN | ACK };
        let whole = [(0, syn), (1 + servers[ports].len(), FIN | ACK)];
        // Behind a record that says close a server reads nothing, and what a program does not read is
        // not in its capture.
        let may_lack_the_end = is_clients && S::session().is_some();
        let expected = if may_lack_the_end && story.len() == 1 { &whole[..1] } else { &whole };
        assert_eq!(story, expected, "{ports:?}: numbers and flags");
    }
}

/// dumpcap, which is tshark's own way to capture, on `lo`.
struct Lo(Child);

impl Lo {
    /// Returns when the capture has begun.
    fn start(server: SocketAddr, file: &Path) -> Lo {
        let mut command = Command::new("dumpcap");
        command.args(["-i", "lo", "-f", &format!("tcp port {}", server.port()), "-w", "-"]);
        // Onto a file that is its standard output it writes each packet at once.
        let file = File::create(file).expect("a file");
        let command = command.stdout(file).stderr(Stdio::piped());
        let mut lo = Lo(command.spawn().expect("dumpcap comes with tshark"));
        let stderr = BufReader::new(lo.0.stderr.take().expect("piped"));
        let (line, said) = mpsc::channel();
        // To the end: who closed it would break dumpcap's pipe.
        thread::spawn(move || {
            stderr.lines().map_while(Result::ok).for_each(|l| drop(line.send(l)))
        });
        let mut all = String::new();
        // It names its file when the interface is open.
        while !all.contains("File: ") {
            match said.recv_timeout(PATIENCE) {
                Ok(line) => all.push_str(&line),
                Err(_) => panic!("dumpcap does not begin: {all}"),
            }
        }
        lo
    }
}

impl Drop for Lo {
    fn drop(&mut self) {
        // It may have failed already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// With `--pcap -` the capture alone is on stdout; when nobody reads it any more, the chat goes on.
pub fn the_chat_survives_its_capture<S: Stage>() {
    let mut command = Command::new(S::binary());
    command.args(["server", "--listen", "127.0.0.1:0", "--pcap", "-"]).args(S::options());
    command.env_remove(KEY_LOG);
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut server = command.spawn().expect("the program starts");
    let mut stderr = BufReader::new(server.stderr.take().expect("piped"));
    let mut line = String::new();
    stderr.read_line(&mut line).expect("UTF-8");
    let address = line.trim().strip_prefix("listening on ").expect("the address").to_owned();
    let mut magic = [0; 4];
    let mut stdout = server.stdout.take().expect("piped");
    stdout.read_exact(&mut magic).expect("a capture");
    // The type of a Section Header Block (draft-ietf-opsawg-pcapng, section 4.1).
    assert_eq!(magic, [0x0A, 0x0D, 0x0D, 0x0A]);
    drop(stdout);

    let client = |name| Program::start::<S>(&["client", &address, "--name", name]);
    let (mut alice, mut bob) = (client("alice"), client("bob"));
    alice.type_line("@names");
    alice.expect_prefix("* alice joined");
    bob.expect_prefix("* bob joined");
    for number in 0..100 {
        bob.type_line(&number.to_string());
    }
    let mut last = String::new();
    while last != "bob: 99" {
        last = alice.line().expect("the chat goes on");
    }
    let (warned, warning) = mpsc::channel();
    thread::spawn(move || {
        let warnings = stderr.lines().map_while(Result::ok);
        warnings.filter(|line| line.contains("capture")).try_for_each(|line| warned.send(line))
    });
    let warning = warning.recv_timeout(PATIENCE.max(Duration::from_secs(1))).expect("a warning");
    assert!(warning.contains("warning: "), "{warning}");
    server.kill().expect("it runs");
    server.wait().expect("it ends");
}

/// A capture into a FIFO waits for its reader, and says so; one for a terminal is refused. What is new
/// is for its owner alone.
#[cfg(unix)]
pub fn where_a_capture_can_go<S: Stage>() {
    use std::os::unix::fs::PermissionsExt;

    use crate::terminal::Terminal;

    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let (fifo, file) = (path("fifo"), path("file"));
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("it is there").success());
    let mut server = Program::start::<S>(&["server", "--listen", "127.0.0.1:0", "--pcap", &fifo]);
    let said = format!("waiting until somebody reads {fifo}\n");
    let deadline = Instant::now() + PATIENCE;
    while !server.stderr().contains(&said) {
        assert!(Instant::now() < deadline, "{}", server.stderr());
        thread::yield_now();
    }
    let reader = File::open(&fifo).expect("somebody writes it");
    server.expect_prefix("listening on ");
    server.kill();
    drop((server, reader));

    let server = start::<S>(Path::new(&file), "127.0.0.1:0");
    let mode = std::fs::metadata(&file).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    drop(server);

    let args = ["server", "--listen", "127.0.0.1:0", "--pcap", "-"];
    let mut server = Terminal::start::<S>(&args, 24, 80);
    server.wait_for_row(
        "error: --pcap -: a capture is nothing for a terminal; put `| tshark -l -r -` beh",
    );
    assert_eq!(server.end(), Some(1));
}

/// With `--pcap -` a client's chat is on stderr, so that stdout is a capture and nothing else.
pub fn a_clients_capture_has_stdout_alone<S: Stage>() {
    if !has_tshark() {
        return;
    }
    let server = ServerProgram::start::<S>(&[]);
    let address = server.address.to_string();
    let mut command = Command::new(S::binary());
    command.args(["client", &address, "--name", "alice", "--pcap", "-"]).args(S::options());
    command.env_remove(KEY_LOG);
    let output = command.stdin(Stdio::null()).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(0));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(session::behind::<S>(&stderr), "* alice joined\n");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("alice");
    std::fs::write(&file, output.stdout).expect("it can be written");
    assert_eq!(streams(&file).len(), 2, "both directions of one connection");
}
