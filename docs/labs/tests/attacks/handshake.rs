//! Stage 5's own handshake and the records behind it, changed on the way: it never goes on.

use std::ops::Range;

use common::frame::CHUNK;
use common::frame::CLOSE;
use common::frame::HANDSHAKE;
use common::frame::MESSAGE;
use common::frame::RECORD;
use labs::attack::Attack;
use labs::attack::Crossing;
use labs::attack::Direction;
use labs::attack::Direction::ToClient;
use labs::attack::Direction::ToServer;
use labs::attack::Relay;
use labs::attack::Transcript;
use labs::attack::Wire;
use labs::attack::downgrade;
use labs::attack::noise::Session;
use labs::attack::tamper;

use crate::login::USER;
use crate::login::WELCOME;
use crate::victims::CHANGED;
use crate::victims::CUT;
use crate::victims::GCM;
use crate::victims::OWN;
use crate::victims::STAGE;
use crate::victims::TAMPERED;
use crate::victims::Victims;

/// Where everything is in the client's message, and what is said where a bit of it is turned.
const MESSAGE_C: [(Range<usize>, &str); 5] = [
    (0..4, "! this stage speaks the handshake CHT5, and the other side began with: "),
    (4..5, "! this stage speaks version 1 of the handshake CHT5, the other side "),
    (5..6, "! a handshake message of 39 bytes"),
    (6..7, "! the client offers the suites "),
    (7..39, CHANGED),
];
/// The same for the server's.
const MESSAGE_S: [(Range<usize>, &str); 4] = [
    (0..4, "! this stage speaks the handshake CHT5, and the other side began with: "),
    (4..5, "! this stage speaks version 1 of the handshake CHT5, the other side "),
    (5..6, "! the server chose suite "),
    (6..102, CHANGED),
];
/// Bytes of a tag.
const TAG: usize = 16;
/// Bytes of the sealed end: any other record is longer.
const END: usize = 1 + TAG;

/// Somebody connects to an open server through this, and does not come in: what is shown, and what
/// crossed.
#[track_caller]
fn fails(victims: &Victims, attack: impl Attack) -> (String, Transcript) {
    let relay = Relay::start(victims.server.address, attack).expect("a relay");
    let (code, lines, stderr) = victims.client("alice", relay.address).end();
    assert_eq!(code, Some(1), "{stderr}");
    assert!(!lines.concat().contains("joined"), "{lines:?}");
    assert_eq!(victims.state.known_servers("alice"), "");
    (lines.join("\n"), relay.end().expect("a transcript"))
}

/// What the client sent, by its kinds.
fn said(transcript: &Transcript) -> Vec<u8> {
    let frames = transcript.frames.iter().filter(|frame| frame.direction == ToServer);
    frames.map(|frame| frame.kind).collect()
}

/// Behind the handshake the client said nothing but that it ends.
#[track_caller]
fn only_ended(transcript: &Transcript) {
    let records = transcript.behind_handshake(ToServer);
    let records = records.map(|frame| (frame.kind, frame.body.len())).collect::<Vec<_>>();
    assert_eq!(records, [(RECORD, END)]);
}

/// A bit of each byte in turn, each bit of a byte in the end; each of all bits is turned in stage 5's
/// own tests of its handshake.
#[track_caller]
fn flipped(direction: Direction, parts: &[(Range<usize>, &str)]) {
    let victims = Victims::start(STAGE, OWN);
    for (bytes, says) in parts {
        for byte in bytes.clone() {
            let bit = 8 * byte + byte % 8;
            let (shown, transcript) = fails(&victims, tamper::flip_hello(direction, bit));
            assert!(shown.contains(says), "bit {bit}: {shown}");
            // It said no more than its part of the handshake.
            assert_eq!(said(&transcript), [HANDSHAKE]);
            let first = |frame: &&Crossing| frame.direction == direction;
            let first = transcript.frames.iter().find(first).expect("a message");
            // Where the server has refused, that is no handshake.
            if direction == ToServer || first.kind == HANDSHAKE {
                assert_eq!(first.body.len(), parts.last().expect("a part").0.end);
            }
        }
    }
    assert!(!victims.log().contains("joined"));
}

#[test]
fn a_bit_of_the_clients_message() {
    flipped(ToServer, &MESSAGE_C);
}

#[test]
fn a_bit_of_the_servers_message() {
    flipped(ToClient, &MESSAGE_S);
}

#[test]
fn no_bit_is_turned_and_it_goes_on() {
    let victims = Victims::start(STAGE, OWN);
    // A bit behind the end is not there.
    let flip = tamper::flip_hello(ToServer, 39 * 8);
    let relay = Relay::start(victims.server.address, flip).expect("a relay");
    assert_eq!(victims.join_through(&relay, "alice").end().0, Some(0));
    let suites = downgrade::suites([1]);
    let relay = Relay::start(victims.server.address, suites).expect("a relay");
    assert_eq!(victims.join_through(&relay, "bob").end().0, Some(0));
}

/// Sends each of all records with one bit turned, each in a session of its own, which `begin` leads to
/// where it is sent; the server takes none of them.
fn every_bit(
    victims: &Victims,
    kind: u8,
    body: &[u8],
    begin: impl Fn(&mut Session, usize),
) -> usize {
    let bits = 8 * (1 + body.len() + TAG);
    for bit in 0..bits {
        let mut guest = victims.guest();
        begin(&mut guest, bit);
        let mut record = guest.sends.seal(kind, body).expect("it is not long");
        assert_eq!(8 * record.len(), bits);
        record[bit / 8] ^= 1 << (bit % 8);
        guest.sends.send_plain(RECORD, &record).expect("it is sent");
        // What else comes is a bye and the sealed end.
        while let Ok(Some((kind, body))) = guest.receives.receive() {
            let text = String::from_utf8_lossy(&body);
            assert!(kind == CLOSE || text.contains(r#""type":"bye""#), "{bit}: {kind:02x} {text}");
        }
    }
    bits
}

#[test]
fn every_bit_of_a_record_of_the_login() {
    let victims = Victims::with_accounts(&["alice"]);
    let bits = every_bit(&victims, USER, b"alice", |guest, _| {
        let (kind, _) = guest.receives.receive().expect("it opens").expect("a welcome");
        assert_eq!(kind, WELCOME);
    });
    let log = victims.log();
    assert_eq!(log.matches(TAMPERED).count(), bits, "{log}");
}

#[test]
fn every_bit_of_a_record_of_the_chat() {
    let victims = Victims::start(STAGE, OWN);
    let mut bob = victims.join("bob");
    let say = br#"{"type":"say","text":"hi"}"#;
    let bits = every_bit(&victims, MESSAGE, say, |guest, bit| {
        let hello = format!(r#"{{"type":"hello","chat5":1,"name":"guest{bit}"}}"#);
        guest.sends.send(MESSAGE, hello.as_bytes()).expect("it is sent");
        // The server's welcome, that of the room, and the own coming.
        for _ in 0..3 {
            guest.receives.receive().expect("it opens").expect("a frame");
        }
    });
    for bit in 0..bits {
        // What bob hears is that somebody came and left.
        for words in ["joined", "left"] {
            bob.expect(&[&format!("* guest{bit} {words}")]);
        }
    }
    assert_eq!(bob.end().0, Some(0));
    let log = victims.log();
    assert_eq!(log.matches(TAMPERED).count(), bits, "{log}");
}

#[test]
fn a_bit_of_the_servers_welcome() {
    let victims = Victims::start(STAGE, OWN);
    for byte in 0..1 + 1 + TAG {
        let bit = 8 * byte + byte % 8;
        let (shown, transcript) = fails(&victims, tamper::flip(ToClient, 0, bit));
        assert_eq!(shown, format!("! {TAMPERED}"));
        only_ended(&transcript);
    }
}

#[test]
fn another_kind_of_frame_around_a_record() {
    let victims = Victims::start(STAGE, OWN);
    for kind in [MESSAGE, CHUNK, CLOSE, HANDSHAKE, WELCOME, USER] {
        let attack = move |mut frame: Crossing, wire: &mut Wire| {
            if frame.direction == ToClient && frame.kind == RECORD {
                frame.kind = kind;
            }
            wire.pass(&frame);
        };
        let (shown, transcript) = fails(&victims, attack);
        let says = format!("a frame of kind {kind:02x} came where all has to be encrypted");
        assert_eq!(shown, format!("! {says}"));
        only_ended(&transcript);
    }
}

/// Ends a direction behind the handshake, before there is a record.
fn cut_behind_handshake(direction: Direction) -> impl Attack {
    move |frame: Crossing, wire: &mut Wire| {
        wire.pass(&frame);
        if frame.direction == direction && frame.kind == HANDSHAKE {
            wire.end(direction);
        }
    }
}

/// alice logs in and says something while a direction is cut after so many records: how her client
/// ended and what it showed, and what the server logged.
fn cut(direction: Direction, records: usize) -> (Option<i32>, String, String) {
    let victims = Victims::with_accounts(&["alice"]);
    let relay = match records.checked_sub(1) {
        None => Relay::start(victims.server.address, cut_behind_handshake(direction)),
        Some(last) => Relay::start(victims.server.address, tamper::truncate(direction, last)),
    };
    let relay = relay.expect("a relay");
    let mut alice = victims.client("alice", relay.address);
    alice.type_line("one\n@names\ntwo");
    let (code, lines, _) = alice.end();
    (code, lines.join("\n"), victims.log())
}

#[test]
fn no_direction_to_the_client_ends_cleanly_where_it_is_cut() {
    // The server's welcome, salt, signature; the welcome of the room, the own coming, who is there.
    for records in 0..=6 {
        let (code, shown, log) = cut(ToClient, records);
        assert_eq!(code, Some(1), "after {records}: {shown}");
        assert!(shown.ends_with(CUT), "after {records}: {shown}");
        // Behind the signature she may have said hello, or seen the end before.
        let is_joined = log.contains("alice: joined");
        assert!(records == 3 || is_joined == (records > 3), "after {records}: {log}");
    }
}

#[test]
fn no_direction_to_the_server_ends_cleanly_where_it_is_cut() {
    // Name, proof; hello, one, @names, two.
    for records in 0..=6 {
        let (code, shown, log) = cut(ToServer, records);
        assert_eq!(code, Some(1), "after {records}: {shown}");
        assert!(log.contains(CUT), "after {records}: {log}");
        assert_eq!(log.contains("alice: joined"), records >= 3, "after {records}: {log}");
    }
}

#[test]
fn other_suites_in_the_clients_list() {
    let victims = Victims::start(STAGE, OWN);
    // With more than it offered, the server's answer is not for this client.
    for suites in [&[1, 2][..], &[2, 1], &[1, 1], &[2, 3, 4, 5, 6, 7, 8, 1]] {
        let (shown, transcript) = fails(&victims, downgrade::suites(suites));
        assert!(shown.contains(CHANGED), "{suites:?}: {shown}");
        assert_eq!(said(&transcript), [HANDSHAKE]);
    }
    // Without it, or with too many, there is none.
    let none = "! the client offers the suites 0203, and this server has suite 01 alone";
    let (shown, _) = fails(&victims, downgrade::suites([2, 3]));
    assert_eq!(shown, none);
    for suites in [&[][..], &[1; 9]] {
        let (shown, _) = fails(&victims, downgrade::suites(suites));
        assert!(shown.starts_with("! a handshake message of "), "{suites:?}: {shown}");
    }
    assert!(!victims.log().contains("joined"));
}

#[test]
fn a_client_never_falls_back_to_what_proves_nothing() {
    // The server has it, for those who ask for it; the one in the middle asks.
    let victims = Victims::start_with(STAGE, GCM, OWN);
    let (shown, transcript) = fails(&victims, downgrade::unauthenticated());
    let says = "! the other side speaks CHT2, which proves nothing: start both with --kex or --cipher, or neither";
    assert_eq!(shown, says);
    assert_eq!(said(&transcript), [HANDSHAKE]);
    // The server did answer.
    let answers = transcript.frames.iter().filter(|frame| frame.direction == ToClient);
    let answers = answers.map(|frame| (frame.kind, frame.body.starts_with(b"CHT2")));
    assert_eq!(answers.collect::<Vec<_>>(), [(HANDSHAKE, true)]);
    // With nobody in between neither side goes on, too.
    let (shown, transcript) = fails(&victims, tamper::eavesdrop());
    assert!(shown.contains("both with --kex or --cipher or both without"), "{shown}");
    assert_eq!(said(&transcript), [HANDSHAKE]);
}

#[test]
fn nor_does_a_server() {
    let victims = Victims::start_with(STAGE, OWN, GCM);
    let (shown, transcript) = fails(&victims, tamper::eavesdrop());
    assert!(shown.contains("the other side speaks CHT2, which proves nothing"), "{shown}");
    assert_eq!(said(&transcript), [HANDSHAKE]);

    // The answer of stage 5's own handshake to a client that wants the other.
    let attack = |mut frame: Crossing, wire: &mut Wire| {
        if frame.direction == ToClient {
            (frame.kind, frame.body) = (HANDSHAKE, [b"CHT5\x01\x01", &[7; 96][..]].concat());
        }
        wire.pass(&frame);
    };
    let (shown, transcript) = fails(&victims, attack);
    assert!(shown.contains("both with --kex or --cipher or both without"), "{shown}");
    assert_eq!(said(&transcript), [HANDSHAKE]);
    let log = victims.log();
    assert!(!log.contains("joined") && log.contains("CHT2"), "{log}");
}
