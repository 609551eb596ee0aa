//! The man in the middle of stage 5's own handshake, with a static key of its own: a client that knows
//! its server says nothing to it, and a login is of no use to it.

use std::fs;
use std::net::SocketAddr;

use common::frame::HANDSHAKE;
use labs::attack::Attack;
use labs::attack::Crossing;
use labs::attack::Direction;
use labs::attack::Direction::ToClient;
use labs::attack::Direction::ToServer;
use labs::attack::Relay;
use labs::attack::Transcript;
use labs::attack::Wire;
use labs::attack::noise;
use labs::attack::tamper;
use suite::process::Program;

use crate::login::FAIL;
use crate::login::PROOF;
use crate::login::SALT;
use crate::login::SIGNATURE;
use crate::login::USER;
use crate::login::WELCOME;
use crate::victims::OWN;
use crate::victims::STAGE;
use crate::victims::Victims;
use crate::victims::fingerprint;
use crate::victims::sessions;

const ANOTHER: &str = "HAS ANOTHER KEY: it was ";

/// The one in the middle, and before it another, who looks at what comes from the client.
struct Line {
    looks: Relay,
    impostor: Relay,
}

impl Line {
    fn start(victims: &Victims, attack: impl Attack) -> Line {
        let impostor = noise::start(victims.server.address, attack).expect("a relay");
        let looks = Relay::start(impostor.address, tamper::eavesdrop()).expect("a relay");
        Line { looks, impostor }
    }

    /// Where the client connects.
    fn address(&self) -> SocketAddr {
        self.looks.address
    }

    /// All that crossed, as it was on the wire, and as it was between the two sessions.
    fn end(self) -> [Transcript; 2] {
        [self.looks, self.impostor].map(|relay| relay.end().expect("a transcript"))
    }
}

/// The kinds of all frames of a direction.
fn kinds(transcript: &Transcript, direction: Direction) -> Vec<u8> {
    let frames = transcript.frames.iter().filter(|frame| frame.direction == direction);
    frames.map(|frame| frame.kind).collect()
}

/// What a client showed that has failed, and what it said on stderr.
#[track_caller]
fn failed(client: Program) -> (Vec<String>, String) {
    let (code, lines, stderr) = client.end();
    assert_eq!(code, Some(1), "{stderr}");
    (lines, stderr)
}

/// A server that a client knows at one address is at another now.
fn moved(victims: &Victims, name: &str, from: SocketAddr, to: SocketAddr) {
    let known = victims.state.known_servers(name);
    assert_eq!(known.matches(&from.to_string()).count(), 1, "{known}");
    let path = victims.state.path(name).join("known_servers");
    fs::write(path, known.replace(&from.to_string(), &to.to_string())).expect("it is written");
}

/// Nothing but its part of the handshake left the client.
#[track_caller]
fn said_nothing(line: Line) {
    let [wire, within] = line.end();
    assert_eq!(kinds(&wire, ToServer), [HANDSHAKE]);
    assert_eq!(kinds(&within, ToServer), [0_u8; 0]);
    // The one in the middle was heard: with a session, and with the welcome in it.
    assert_eq!(within.sessions.len(), 2);
    assert!(!wire.contains("alice"));
}

#[test]
fn who_has_met_the_server_says_nothing_to_another() {
    let victims = Victims::with_accounts(&["alice"]);
    let before = Relay::start(victims.server.address, tamper::eavesdrop()).expect("a relay");
    assert_eq!(victims.join_through(&before, "alice").end().0, Some(0));
    let line = Line::start(&victims, tamper::eavesdrop());
    moved(&victims, "alice", before.address, line.address());
    let known = victims.state.known_servers("alice");

    let (lines, stderr) = failed(victims.client("alice", line.address()));
    assert!(lines.concat().contains(ANOTHER), "{lines:?}");
    assert!(stderr.is_empty(), "{stderr}");
    said_nothing(line);
    assert_eq!(victims.state.known_servers("alice"), known);
    assert_eq!(victims.log().matches("alice: joined").count(), 1);
}

#[test]
fn who_was_given_the_servers_key_says_nothing_to_another() {
    let victims = Victims::with_accounts(&["alice"]);
    let key = victims.server_key();
    let line = Line::start(&victims, tamper::eavesdrop());
    let mut command = victims.command("alice", line.address());
    let alice = Program::start_command(command.args(["--server-key", &key]));
    let (lines, _) = failed(alice);
    let lines = lines.concat();
    assert!(lines.contains(ANOTHER) && lines.contains("(--server-key)"), "{lines}");
    said_nothing(line);
    assert_eq!(victims.state.known_servers("alice"), "");

    // With nobody in between it is the right one.
    let mut command = victims.command("alice", victims.server.address);
    let mut alice = Program::start_command(command.args(["--server-key", &key]));
    alice.expect(&["* alice joined"]);
    assert_eq!(alice.end().0, Some(0));
    assert_eq!(victims.log().matches("alice: joined").count(), 1);
}

#[test]
fn a_login_at_the_first_contact_is_of_no_use_to_it() {
    let victims = Victims::with_accounts(&["alice"]);
    // Somebody else is known, and stays so.
    let known = format!("another.example:7005 {}\n", "0".repeat(64));
    fs::create_dir(victims.state.path("alice")).expect("a folder");
    let path = victims.state.path("alice/known_servers");
    fs::write(path, &known).expect("it is written");

    let line = Line::start(&victims, tamper::eavesdrop());
    let (lines, stderr) = failed(victims.client("alice", line.address()));
    assert_eq!(lines, ["! wrong password, or not your server"]);
    assert!(stderr.contains("new here, remembered if it knows your password"), "{stderr}");
    assert_eq!(victims.state.known_servers("alice"), known);

    let [_, within] = line.end();
    // All of it was passed on as it was, and that is what fails.
    assert_eq!(kinds(&within, ToServer), [USER, PROOF]);
    assert_eq!(kinds(&within, ToClient), [WELCOME, SALT, FAIL]);
    // What it does learn: the name, and a proof to guess at.
    assert!(within.contains("alice"));
    let [with_client, with_server] = within.sessions.as_slice() else { panic!("two sessions") };
    assert_eq!(sessions(&stderr), [with_client.as_str()]);
    assert_ne!(fingerprint(with_client), fingerprint(with_server));
    let log = victims.log();
    assert!(sessions(&log).contains(with_server), "{log}");
    assert!(log.contains("alice did not log in") && !log.contains("joined"), "{log}");
}

#[test]
fn without_anybody_between_the_same_login_succeeds() {
    let victims = Victims::with_accounts(&["alice"]);
    let relay = Relay::start(victims.server.address, tamper::eavesdrop()).expect("a relay");
    let alice = victims.join_through(&relay, "alice");
    let (code, _, stderr) = alice.end();
    assert_eq!(code, Some(0), "{stderr}");
    let key = victims.server_key();
    assert_eq!(victims.state.known_servers("alice"), format!("{} {key}\n", relay.address));
    // Neither the name nor what follows it is readable on the way.
    assert!(!relay.end().expect("a transcript").contains("alice"));
    let log = victims.log();
    assert!(sessions(&log).contains(&sessions(&stderr)[0]), "{log}");
    assert!(log.contains(&key), "{log}");
}

#[test]
fn what_it_makes_up_instead_of_a_signature_is_refused() {
    let victims = Victims::with_accounts(&["alice"]);
    let line = Line::start(&victims, |mut frame: Crossing, wire: &mut Wire| {
        if frame.kind == FAIL {
            (frame.kind, frame.body) = (SIGNATURE, vec![7; 32]);
        }
        wire.pass(&frame);
    });
    let (lines, _) = failed(victims.client("alice", line.address()));
    let [line_shown] = lines.as_slice() else { panic!("{lines:?}") };
    assert!(line_shown.contains("does not know your password"), "{line_shown}");
    assert_eq!(victims.state.known_servers("alice"), "");
    let [_, within] = line.end();
    assert_eq!(kinds(&within, ToServer), [USER, PROOF]);
}

#[test]
fn an_open_door_in_place_of_a_login_is_refused() {
    // Who has an account, and who knows the password of a room, in which any name will do.
    for is_account in [true, false] {
        let victims = Victims::with_accounts(&["alice"]);
        let line = Line::start(&victims, noise::open_door());
        let mut command = match is_account {
            true => victims.command("alice", line.address()),
            false => victims.with_password("alice", line.address()),
        };
        let (lines, _) = failed(Program::start_command(&mut command));
        let [shown] = lines.as_slice() else { panic!("{lines:?}") };
        assert!(shown.starts_with("! this server asks for no password"), "{shown}");
        assert_eq!(victims.state.known_servers("alice"), "");
        let [wire, within] = line.end();
        assert_eq!(kinds(&wire, ToServer)[0], HANDSHAKE);
        assert_eq!(kinds(&within, ToServer), [0_u8; 0]);
        assert!(!victims.log().contains("joined"));
    }
}

#[test]
fn in_an_open_room_the_first_contact_is_taken_on_trust_and_the_second_is_not() {
    let victims = Victims::start(STAGE, OWN);
    let mut bob = victims.join("bob");
    let line = Line::start(&victims, tamper::rewrite("ten", "six"));
    let mut alice = victims.client("alice", line.address());
    alice.expect(&["* alice joined"]);
    bob.expect(&["* alice joined"]);
    alice.type_line("we meet at ten");
    bob.expect(&["alice: we meet at six"]);
    let (code, _, stderr) = alice.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("new here, TAKEN ON TRUST"), "{stderr}");
    bob.expect(&["* alice left"]);

    // The one in the middle goes, and the server itself is at the address that was its.
    let was = line.address();
    let [_, within] = line.end();
    assert!(within.contains("we meet at ten"));
    let relay = Relay::start(victims.server.address, tamper::eavesdrop()).expect("a relay");
    moved(&victims, "alice", was, relay.address);
    let (lines, stderr) = failed(victims.client("alice", relay.address));
    let all = lines.join("\n");
    assert!(all.contains(&format!("THE SERVER AT {} {ANOTHER}", relay.address)), "{all}");
    // Both fingerprints are there, so that somebody can find out which is the server's.
    let now = victims.server_key();
    let now = common::hex::unhex(&now).expect("digits").try_into().expect("a key");
    assert!(all.contains(&state::key::fingerprint(&now)), "{all}");
    assert!(stderr.is_empty(), "{stderr}");
    assert_eq!(kinds(&relay.end().expect("a transcript"), ToServer), [HANDSHAKE]);
    // bob has seen nothing of it.
    bob.end_input();
    assert_eq!(bob.line(), None);
    assert_eq!(bob.end().0, Some(0));
}
