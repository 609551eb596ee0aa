//! Exhaustion: too many clients, connections, descriptors, threads; and ends without a farewell.

use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use common::frame::MESSAGE;
#[cfg(target_os = "linux")]
use rustix::process::Pid;
#[cfg(unix)]
use rustix::process::Resource;
#[cfg(unix)]
use rustix::process::Rlimit;
use serde_json::json;

use crate::Limits;
use crate::PATIENCE;
use crate::Stage;
use crate::hostile::assert_ended;
use crate::peer::Peer;
use crate::process::Program;
use crate::process::ServerProgram;
use crate::server::Server;

/// A body that makes the reading thread panic, on a server that was built for it.
pub const PANIC: &[u8] = b"panic!";

/// Lets this process, and the servers that it starts, have as many descriptors as they may.
fn raise_descriptors() {
    #[cfg(unix)]
    {
        let Rlimit { maximum, .. } = rustix::process::getrlimit(Resource::Nofile);
        // macOS allows "unlimited" to be the maximum, and refuses it as the current limit.
        let current = Some(maximum.unwrap_or(10_000).min(10_000));
        rustix::process::setrlimit(Resource::Nofile, Rlimit { current, maximum }).unwrap();
    }
}

/// Two clients that chat through pipes, and have seen nothing else.
#[track_caller]
fn assert_they_chat(alice: &mut Program, bob: &mut Program) {
    alice.type_line("are you there?");
    bob.expect(&["alice: are you there?"]);
    bob.type_line("yes");
    alice.expect(&["bob: yes"]);
}

/// Asks again and again, for what nothing tells.
#[cfg(target_os = "linux")]
#[track_caller]
fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen within {PATIENCE:?}");
        thread::park_timeout(Duration::from_millis(5));
    }
}

/// Whether the other side has left the connection open so far.
fn is_open(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let open = matches!(stream.read(&mut [0]),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock);
    stream.set_nonblocking(false).unwrap();
    open
}

/// Five hundred that say nothing keep nobody out.
pub fn a_crowd_of_silent_connections<S: Stage>() {
    raise_descriptors();
    let server = ServerProgram::start::<S>(&[]);
    let mut alice = Peer::join::<S>(server.address, "alice");
    let crowd = (0..500).map(|_| TcpStream::connect(server.address).unwrap());
    let mut crowd = crowd.collect::<Vec<_>>();
    let knocked = Instant::now();
    let mut bob = Peer::join::<S>(server.address, "bob");
    assert!(knocked.elapsed() < Duration::from_secs(1), "{:?}", knocked.elapsed());
    alice.expect(&json!({"type": "joined", "name": "bob"}));
    alice.send(&json!({"type": "say", "text": "still here"}));
    bob.expect(&json!({"type": "said", "from": "alice", "text": "still here"}));
    // 384 may wait from one address, so the first to come were the first to go.
    let (gone, waiting) = crowd.split_at_mut(500 - 384);
    gone.iter_mut().for_each(assert_ended);
    // The newcomer was one more, for a moment: the oldest of these had to go for it.
    assert!(waiting.iter_mut().skip(1).all(is_open));
}

/// When too many of one address wait, the one silent longest has to go: not the newcomer.
pub fn the_longest_silent_one_has_to_go<S: Stage>() {
    // Three may wait from one address.
    let server = Server::start::<S>(&Limits { max_clients: 2, ..Limits::default() });
    let mut alice = server.join::<S>("alice");
    let knock = || TcpStream::connect(server.address).unwrap();
    let mut waiting = [knock(), knock(), knock()];
    let mut newest = knock();
    assert_ended(&mut waiting[0]);
    assert!(is_open(&mut waiting[1]) && is_open(&mut waiting[2]) && is_open(&mut newest));
    let mut bob = server.join::<S>("bob");
    assert_ended(&mut waiting[1]);
    assert!(is_open(&mut waiting[2]) && is_open(&mut newest));
    alice.expect(&json!({"type": "joined", "name": "bob"}));
    bob.send(&json!({"type": "say", "text": "I came through"}));
    alice.expect(&json!({"type": "said", "from": "bob", "text": "I came through"}));
}

/// Who has said something lately, were it one byte, stays longer than who is silent.
pub fn who_was_heard_lately_may_wait<S: Stage>() {
    let server = Server::start::<S>(&Limits { max_clients: 2, ..Limits::default() });
    let mut alice = server.join::<S>("alice");
    // When the byte has reached the server's thread nothing tells. So it may come too late, but
    // not always: a server that does not look at it fails every time.
    let survived = (0..50).any(|_| {
        let knock = || TcpStream::connect(server.address).unwrap();
        let mut waiting = [knock(), knock(), knock()];
        waiting[0].write_all(&[0]).unwrap();
        alice.expect_nothing_more();
        let mut newest = knock();
        let gone = loop {
            match waiting.iter_mut().position(|stream| !is_open(stream)) {
                Some(gone) => break gone,
                None => thread::yield_now(),
            }
        };
        assert!(is_open(&mut newest));
        // All have to be gone before the next round.
        for mut stream in waiting.into_iter().chain([newest]) {
            let _ = stream.shutdown(std::net::Shutdown::Write);
            assert_ended(&mut stream);
        }
        gone == 1
    });
    assert!(survived, "the one that had sent a byte was always the one to go");
}

/// When too many wait in all, one of the address with the most has to go.
#[cfg(target_os = "linux")]
pub fn the_most_crowded_address_has_to_go<S: Stage>() {
    use std::net::SocketAddr;

    use socket2::Domain;
    use socket2::Socket;
    use socket2::Type;

    // Four may wait in all, three of one address.
    let server = Server::start::<S>(&Limits { max_clients: 2, ..Limits::default() });
    let mut alice = server.join::<S>("alice");
    let knock = |from: [u8; 4]| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
        socket.connect(&server.address.into()).unwrap();
        TcpStream::from(socket)
    };
    let mut lonely = knock([127, 0, 0, 2]);
    let mut crowd = [knock([127, 0, 0, 3]), knock([127, 0, 0, 3]), knock([127, 0, 0, 3])];
    let mut bob = server.join::<S>("bob");
    assert_ended(&mut crowd[0]);
    assert!(is_open(&mut crowd[1]) && is_open(&mut crowd[2]) && is_open(&mut lonely));
    alice.expect(&json!({"type": "joined", "name": "bob"}));
    bob.send(&json!({"type": "say", "text": "I came through"}));
    alice.expect(&json!({"type": "said", "from": "bob", "text": "I came through"}));
}

/// A full house says so, and what to do; who comes after somebody left gets in.
pub fn a_full_house<S: Stage>() {
    let server = ServerProgram::start::<S>(&["--max-clients", "2"]);
    let address = server.address.to_string();
    let mut alice = server.client::<S>("alice");
    let mut bob = server.client::<S>("bob");
    alice.expect(&["* bob joined"]);
    for _ in 0..3 {
        let third = Program::start::<S>(&["client", &address, "--name", "carol"]);
        let (code, lines, _) = third.end();
        assert_eq!(code, Some(1));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("! this server is full (--max-clients 2)"), "{lines:?}");
    }
    let mut carol = Peer::connect::<S>(server.address);
    carol.hello("carol");
    carol.expect_bye("full");
    assert_they_chat(&mut alice, &mut bob);
    let (code, ..) = bob.end();
    assert_eq!(code, Some(0));
    alice.expect(&["* bob left"]);
    let mut carol = server.client::<S>("carol");
    alice.expect(&["* carol joined"]);
    assert_they_chat_as("carol", &mut alice, &mut carol);
}

#[track_caller]
fn assert_they_chat_as(other: &str, alice: &mut Program, peer: &mut Program) {
    alice.type_line("are you there?");
    peer.expect(&["alice: are you there?"]);
    peer.type_line("yes");
    alice.expect(&[&format!("{other}: yes")]);
}

/// Whoever has left, as everyone was told, has no seat any more: not even one who was thrown out
/// and keeps the connection open.
pub fn who_has_left_has_no_seat<S: Stage>() {
    let limits = Limits { max_clients: 2, goodbye_within: PATIENCE, ..Limits::default() };
    let server = Server::start::<S>(&limits);
    let [mut alice, mut bob] = server.join_all::<S, 2>(["alice", "bob"]);
    for _ in 0..16 {
        bob.send_frame(MESSAGE, b"garbage");
    }
    alice.expect(&json!({"type": "left", "name": "bob"}));
    // Nor has one who was not let in for another reason.
    let mut eve = Peer::connect::<S>(server.address);
    eve.hello("ALICE");
    assert_eq!(eve.event()["reason"], "name-taken");
    let mut carol = server.join::<S>("carol");
    alice.expect(&json!({"type": "joined", "name": "carol"}));
    carol.send(&json!({"type": "say", "text": "there is room"}));
    alice.expect(&json!({"type": "said", "from": "carol", "text": "there is room"}));
}

/// A resource of a running server, made scarce.
#[cfg(target_os = "linux")]
struct Scarce {
    server: Pid,
    resource: Resource,
    before: Rlimit,
}

#[cfg(target_os = "linux")]
impl Scarce {
    fn limit(server: &ServerProgram, resource: Resource, current: u64) -> Scarce {
        let pid = i32::try_from(server.program.pid()).unwrap();
        let server = Pid::from_raw(pid).unwrap();
        let Rlimit { maximum, .. } = rustix::process::getrlimit(resource);
        let limit = Rlimit { current: Some(current), maximum };
        let before = rustix::process::prlimit(Some(server), resource, limit).unwrap();
        Scarce { server, resource, before }
    }

    /// There is enough of it again.
    fn end(self) {
        rustix::process::prlimit(Some(self.server), self.resource, self.before).unwrap();
    }
}

#[cfg(target_os = "linux")]
fn lines_before(due: &str, client: &mut Program) -> Vec<String> {
    std::iter::from_fn(|| client.line()).take_while(|line| line != due).collect()
}

/// Without descriptors newcomers wait; who is here chats on; then the newcomers get in.
#[cfg(target_os = "linux")]
pub fn out_of_descriptors<S: Stage>() {
    let server = ServerProgram::start::<S>(&[]);
    let mut alice = server.client::<S>("alice");
    let mut bob = server.client::<S>("bob");
    alice.expect(&["* bob joined"]);
    let scarce = Scarce::limit(&server, Resource::Nofile, first_free(&server));

    let address = server.address.to_string();
    let mut carol = Program::start::<S>(&["client", &address, "--name", "carol"]);
    let mut dave = Program::start::<S>(&["client", &address, "--name", "dave"]);
    let warning = "no connection can be accepted just now";
    wait_until("a warning", || server.program.stderr().contains(warning));
    // Linux takes the descriptor before it waits for a connection, so one of the two is in.
    let [mut seen_by_alice, mut seen_by_bob] = [vec![], vec![]];
    let warned = Instant::now();
    // Long enough for it to try several times.
    for number in (0..).take_while(|_| warned.elapsed() < Duration::from_millis(300)) {
        alice.type_line(&number.to_string());
        bob.type_line(&number.to_string());
        seen_by_alice.extend(lines_before(&format!("bob: {number}"), &mut alice));
        seen_by_bob.extend(lines_before(&format!("alice: {number}"), &mut bob));
    }
    assert!(seen_by_alice.len() < 2 && seen_by_alice == seen_by_bob, "{seen_by_alice:?}");
    // One warning, however often it has tried.
    assert_eq!(server.program.stderr().matches(warning).count(), 1);
    scarce.end();
    carol.expect_prefix("* ");
    dave.expect_prefix("* ");
    carol.end();
    dave.end();
    for (client, mut seen) in [(&mut alice, seen_by_alice), (&mut bob, seen_by_bob)] {
        while seen.len() < 4 {
            seen.push(client.line().unwrap());
        }
        seen.sort();
        assert_eq!(seen, ["* carol joined", "* carol left", "* dave joined", "* dave left"]);
    }
    assert_they_chat(&mut alice, &mut bob);
}

/// Where there is no memory for another thread a newcomer is refused, and nothing else.
#[cfg(target_os = "linux")]
pub fn out_of_threads<S: Stage>() {
    let server = ServerProgram::start::<S>(&[]);
    let mut alice = server.client::<S>("alice");
    let mut bob = server.client::<S>("bob");
    alice.expect(&["* bob joined"]);
    assert_they_chat(&mut alice, &mut bob);
    let status = format!("/proc/{}/status", server.program.pid());
    let status = std::fs::read_to_string(status).unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    let size = size.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024;
    // Room for small things, but for no stack of 256 KiB.
    let scarce = Scarce::limit(&server, Resource::As, size + 192 * 1024);

    let address = server.address.to_string();
    for _ in 0..3 {
        let mut carol = Program::start::<S>(&["client", &address, "--name", "carol"]);
        carol.expect_prefix("! ");
        let (code, lines, _) = carol.end();
        assert_eq!((code, lines), (Some(1), vec![]));
        assert_they_chat(&mut alice, &mut bob);
    }
    assert_eq!(server.program.stderr().matches("refused, no thread for it").count(), 3);
    scarce.end();
    let mut carol = server.client::<S>("carol");
    alice.expect(&["* carol joined"]);
    assert_they_chat_as("carol", &mut alice, &mut carol);
}

/// A log that nobody reads, as behind a terminal at Ctrl-S, holds nobody up.
pub fn nobody_reads_the_log<S: Stage>() {
    const LINES: usize = 3_000;
    let (unread, stderr) = std::io::pipe().expect("a pipe");
    let mut command = Command::new(S::binary());
    command.args(["server", "--listen", "127.0.0.1:0", "-vv"]).args(S::options()).stderr(stderr);
    let server = ServerProgram::from(Program::start_deaf(&mut command));
    drop(command);
    let [mut alice, mut bob] = ["alice", "bob"].map(|name| server.client::<S>(name));
    alice.expect(&["* bob joined"]);
    // Far more than a pipe and the queue of the log hold.
    for number in 0..LINES {
        alice.type_line(&number.to_string());
    }
    for number in 0..LINES {
        bob.expect(&[&format!("alice: {number}")]);
    }
    bob.end();
    alice.expect(&["* bob left"]);
    drop((server, unread));
}

/// Every client of a server that is killed says so and fails.
pub fn a_killed_server<S: Stage>() {
    let mut server = ServerProgram::start::<S>(&[]);
    let mut alice = server.client::<S>("alice");
    let bob = server.client::<S>("bob");
    alice.expect(&["* bob joined"]);
    server.program.kill();
    for mut client in [alice, bob] {
        client.expect_prefix("! ");
        let (code, lines, _) = client.end();
        assert_eq!((code, lines), (Some(1), vec![]));
    }
}

/// A client that is gone in the middle of a frame has left.
pub fn a_client_that_ends_inside_a_frame<S: Stage>() {
    let server = Server::start::<S>(&Limits::default());
    let [mut alice, mut bob] = server.join_all::<S, 2>(["alice", "bob"]);
    for part in [&b"\0"[..], b"\0\0\0\x10", b"\0\0\0\x10\x10{\"type\""] {
        let mut carol = server.join::<S>("carol");
        carol.stream.write_all(part).unwrap();
        carol.stream.close();
        for peer in [&mut alice, &mut bob] {
            peer.expect(&json!({"type": "joined", "name": "carol"}));
            peer.expect(&json!({"type": "left", "name": "carol"}));
        }
    }
    alice.send(&json!({"type": "say", "text": "hi"}));
    bob.expect(&json!({"type": "said", "from": "alice", "text": "hi"}));
}

/// A panic in one client's thread removes that client and nothing else. Not part of
/// [`exhaustion_suite!`](crate::exhaustion_suite): the stage's server has to be built with a
/// connection that panics when it reads [`PANIC`].
pub fn a_panic_in_one_thread<S: Stage>() {
    let server = Server::start::<S>(&Limits { max_clients: 3, ..Limits::default() });
    let [mut alice, mut bob] = server.join_all::<S, 2>(["alice", "bob"]);
    // More often than there are seats: none may be lost.
    for _ in 0..4 {
        let mut eve = Peer::connect::<S>(server.address);
        eve.send_frame(MESSAGE, PANIC);
        assert_eq!(eve.next_event(), None);

        let mut carol = server.join::<S>("carol");
        carol.send(&json!({"type": "group-set", "group": "team", "members": ["bob"]}));
        carol.wait_for("group-set");
        carol.send_frame(MESSAGE, PANIC);
        assert_eq!(carol.next_event(), None);
        alice.expect(&json!({"type": "joined", "name": "carol"}));
        alice.expect(&json!({"type": "left", "name": "carol"}));
        bob.expect(&json!({"type": "joined", "name": "carol"}));
        bob.wait_for("group-set");
        bob.expect(&json!({"type": "group-left", "group": "team", "name": "carol"}));
        bob.expect(&json!({"type": "group-owner", "group": "team", "owner": "bob"}));
        bob.expect(&json!({"type": "left", "name": "carol"}));
        bob.send(&json!({"type": "group-delete", "group": "team"}));
        bob.wait_for("group-deleted");
        alice.send(&json!({"type": "say", "text": "still here"}));
        bob.expect(&json!({"type": "said", "from": "alice", "text": "still here"}));
    }
}

/// The descriptor that the server would get next.
#[cfg(target_os = "linux")]
fn first_free(server: &ServerProgram) -> u64 {
    let used = std::fs::read_dir(format!("/proc/{}/fd", server.program.pid())).unwrap();
    let used = used.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let used = used.map(|number| number.parse::<u64>().unwrap()).collect::<Vec<_>>();
    (0..).find(|number| !used.contains(number)).unwrap()
}

/// A client process that is killed has left, too.
pub fn a_killed_client<S: Stage>() {
    let server = ServerProgram::start::<S>(&[]);
    let mut alice = server.client::<S>("alice");
    let mut bob = server.client::<S>("bob");
    let mut carol = server.client::<S>("carol");
    alice.expect(&["* bob joined", "* carol joined"]);
    bob.expect(&["* carol joined"]);
    carol.kill();
    alice.expect(&["* carol left"]);
    bob.expect(&["* carol left"]);
    assert_they_chat(&mut alice, &mut bob);
}

/// Ctrl-C: everyone is told, and the server has ended within two seconds.
#[cfg(unix)]
pub fn a_server_that_is_stopped<S: Stage>() {
    let server = ServerProgram::start::<S>(&[]);
    let clients = ["alice", "bob", "carol"].map(|name| server.client::<S>(name));
    // Neither a connection that says nothing nor one that reads nothing holds it up.
    let mut silent = TcpStream::connect(server.address).unwrap();
    let _deaf = Peer::join::<S>(server.address, "dave");
    let pressed = Instant::now();
    server.program.ctrl_c();
    let (code, lines, _) = server.program.end();
    assert!(pressed.elapsed() < Duration::from_secs(2), "{:?}", pressed.elapsed());
    assert_eq!((code, lines), (Some(0), vec![]));
    for (number, mut client) in clients.into_iter().enumerate() {
        for _ in number..3 {
            client.expect_prefix("* ");
        }
        client.expect(&["! the server stops"]);
        let (code, lines, _) = client.end();
        assert_eq!((code, lines), (Some(1), vec![]));
    }
    assert_ended(&mut silent);
}
