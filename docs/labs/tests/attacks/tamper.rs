//! What needs no key: records that are changed, repeated, moved, left out or sent back.

use common::frame::BadRecord;
use common::message::Bye;
use labs::attack::Attack;
use labs::attack::Crossing;
use labs::attack::Direction::ToClient;
use labs::attack::Direction::ToServer;
use labs::attack::Relay;
use labs::attack::Wire;
use labs::attack::cfb;
use labs::attack::on;
use labs::attack::tamper;
use labs::stages;
use labs::stages::Stage;

use crate::victims::CFB;
use crate::victims::CUT;
use crate::victims::GCM;
use crate::victims::OWN;
use crate::victims::PLAIN;
use crate::victims::STAGE;
use crate::victims::TAMPERED;
use crate::victims::Victims;
use crate::victims::alice_attacked;
use crate::victims::bob_attacked;

const SAYS: &[&str] = &["one", "two", "three"];
/// Numbers of the record with `two`, on its way from alice and on its way to bob.
const FROM_ALICE: usize = 2;
const TO_BOB: usize = 3;
/// Where every record is sealed: so many records to a client come before those of stage 3, and that is
/// stage 5's welcome.
const SEALED: [(u8, &[&str], usize); 3] = [(3, GCM, 0), (STAGE, GCM, 0), (STAGE, OWN, 1)];
/// The lowest bit of the second byte of the plaintext, behind a CFB record's IV: that of `{`.
const BRACE: usize = (16 + 1) * 8;
/// Bytes of a tag.
const TAG: usize = 16;

/// Turns the bits that make 9999 of the 1000 at the end of a text, before a tag of so many bytes.
fn dearer(tag: usize) -> impl Attack {
    move |mut frame: Crossing, wire: &mut Wire| {
        let digits = frame.body.len() - tag - r#"1000"}"#.len();
        let bits = b"1000".iter().zip(b"9999").map(|(was, becomes)| was ^ becomes);
        let (_, digits) = frame.body.split_at_mut(digits);
        digits.iter_mut().zip(bits).for_each(|(byte, bits)| *byte ^= bits);
        wire.pass(&frame);
    }
}

#[test]
fn the_sentences_are_those_of_the_code() {
    assert_eq!(BadRecord::Tampered.to_string(), TAMPERED);
    assert_eq!(BadRecord::Truncated.to_string(), CUT);
}

#[test]
fn stage_1_is_read_and_rewritten() {
    let outcome = alice_attacked(1, PLAIN, tamper::eavesdrop(), SAYS);
    assert_eq!(outcome.bob, ["alice: one", "alice: two", "alice: three"]);
    assert!(outcome.transcript.contains(r#"{"type":"say","text":"two"}"#));
    outcome.assert_unnoticed();
    let outcome = alice_attacked(1, PLAIN, tamper::rewrite("two", "2000"), SAYS);
    assert_eq!(outcome.bob, ["alice: one", "alice: 2000", "alice: three"]);
    assert_eq!(outcome.code, Some(0));
    outcome.assert_unnoticed();
    let outcome =
        bob_attacked(1, PLAIN, tamper::rewrite(r#""from":"alice""#, r#""from":"carol""#), SAYS);
    assert_eq!(outcome.victim, ["carol: one", "carol: two", "carol: three"]);
    outcome.assert_unnoticed();
}

#[test]
fn who_only_listens_reads_nothing_that_is_encrypted() {
    for (stage, options, magic) in [(3, CFB, "CHT2"), (3, GCM, "CHT2"), (STAGE, OWN, "CHT5")] {
        for outcome in [
            alice_attacked(stage, options, tamper::eavesdrop(), SAYS),
            bob_attacked(stage, options, tamper::eavesdrop(), SAYS),
        ] {
            assert_eq!(outcome.code, Some(0));
            outcome.assert_unnoticed();
            // What is in plaintext in every handshake shows that it was really looked at.
            assert!(outcome.transcript.contains(magic));
            for words in ["three", "text", "type", "alice", r#""two""#] {
                assert!(!outcome.transcript.contains(words), "{words}");
            }
        }
    }
}

#[test]
fn under_cfb_the_end_of_a_text_is_forged_without_a_key() {
    let says = &["the price is 1000"];
    for stage in [3, STAGE] {
        let outcome = alice_attacked(stage, CFB, cfb::forge(ToServer, 1, "1000", "9999"), says);
        assert_eq!(outcome.bob, ["alice: the price is 9999"]);
        assert_eq!(outcome.code, Some(0));
        outcome.assert_unnoticed();
        let outcome = bob_attacked(stage, CFB, cfb::forge(ToClient, 2, "1000", "9999"), says);
        assert_eq!(outcome.victim, ["alice: the price is 9999"]);
        assert_eq!(outcome.code, Some(0));
        outcome.assert_unnoticed();
    }
}

#[test]
fn under_gcm_nothing_is_forged_and_nothing_of_it_is_shown() {
    let says = &["the price is 1000"];
    for (stage, options, more) in SEALED {
        let outcome = alice_attacked(stage, options, on(ToServer, 1, dearer(TAG)), says);
        assert!(outcome.bob.is_empty(), "{:?}", outcome.bob);
        assert_eq!(outcome.victim, [format!("! {TAMPERED}")]);
        assert_eq!(outcome.code, Some(1));
        assert!(outcome.log.contains(TAMPERED), "{}", outcome.log);
        let outcome = bob_attacked(stage, options, on(ToClient, 2 + more, dearer(TAG)), says);
        assert_eq!(outcome.victim, [format!("! the server is lost: {TAMPERED}")]);
        assert_eq!(outcome.code, Some(1));
    }
}

#[test]
fn stage_2_has_the_same_records() {
    if Stage::numbered(&stages::root(), 2).is_err() {
        return;
    }
    for (options, tag, sees, code) in
        [(CFB, 0, "alice: the price is 9999", 0), (GCM, TAG, "* alice left", 1)]
    {
        let mut victims = Victims::start(2, options);
        let attack = on(ToServer, 1, dearer(tag));
        let relay = Relay::start(victims.server.address, attack).expect("a relay");
        let mut alice = victims.join_through(&relay, "alice");
        victims.server.program.expect(&["* alice joined"]);
        alice.type_line("the price is 1000");
        assert_eq!(alice.end().0, Some(code));
        victims.server.program.expect(&[sees]);
        assert_eq!(victims.log().contains(TAMPERED), code == 1);
    }
}

#[test]
fn under_gcm_every_bit_counts() {
    // The first and the last bit of the ciphertext, and of the tag: `{"type":"say","text":"two"}`
    // has 27 bytes, and the kind is before it.
    for bit in [0, 28 * 8 - 1, 28 * 8, (28 + 16) * 8 - 1] {
        for (stage, options, more) in SEALED {
            let flip = tamper::flip(ToServer, FROM_ALICE, bit);
            let outcome = alice_attacked(stage, options, flip, SAYS);
            assert_eq!(outcome.bob, ["alice: one"], "bit {bit}");
            assert_eq!(outcome.victim, [format!("! {TAMPERED}")]);
            let flip = tamper::flip(ToClient, TO_BOB + more, bit);
            let outcome = bob_attacked(stage, options, flip, SAYS);
            let lost = format!("! the server is lost: {TAMPERED}");
            assert_eq!(outcome.victim, ["alice: one", &lost], "bit {bit}");
        }
    }
    // A bit behind the end is not there, so nothing happens: the last of these was the last.
    let flip = tamper::flip(ToServer, FROM_ALICE, (28 + 16) * 8);
    assert_eq!(alice_attacked(3, GCM, flip, SAYS).bob.len(), 3);
}

#[test]
fn under_cfb_a_bit_elsewhere_makes_a_message_unreadable() {
    let outcome = bob_attacked(3, CFB, tamper::flip(ToClient, TO_BOB, BRACE), SAYS);
    let [one, garbled, three] = outcome.victim.as_slice() else { panic!("{:?}", outcome.victim) };
    assert_eq!((one.as_str(), three.as_str()), ("alice: one", "alice: three"));
    // Exactly this bit in its own block, { to z; the block behind it is garbled.
    let shown = r#"! unreadable message: z"type":"said","#;
    assert!(garbled.starts_with(shown) && !garbled.contains("from"), "{garbled}");
    assert_eq!(outcome.code, Some(0));

    let outcome = alice_attacked(3, CFB, tamper::flip(ToServer, FROM_ALICE, BRACE), SAYS);
    assert_eq!(outcome.bob, ["alice: one", "alice: three"]);
    let [refused] = outcome.victim.as_slice() else { panic!("{:?}", outcome.victim) };
    assert!(refused.starts_with("! unreadable message: "), "{refused}");
    assert!(outcome.log.contains("alice: unreadable message: "), "{}", outcome.log);
    assert_eq!(outcome.code, Some(0));
}

#[test]
fn under_cfb_the_sixteenth_unreadable_message_ends_it() {
    let enough = format!("! {}", Bye::unreadable());
    let says = ["again"; 17];
    let unreadable = |lines: &[String]| {
        lines.iter().filter(|line| line.starts_with("! unreadable message: ")).count()
    };
    let outcome = bob_attacked(3, CFB, tamper::flip_all(ToClient, 2..2 + 15, BRACE), &says);
    assert_eq!((unreadable(&outcome.victim), outcome.code), (15, Some(0)));
    assert_eq!(outcome.victim[15..], ["alice: again", "alice: again"]);
    let outcome = bob_attacked(3, CFB, tamper::flip_all(ToClient, 2..2 + 16, BRACE), &says);
    assert_eq!((unreadable(&outcome.victim), outcome.code), (16, Some(1)));
    assert_eq!(outcome.victim[16..], [enough.as_str()]);

    let outcome = alice_attacked(3, CFB, tamper::flip_all(ToServer, 1..1 + 15, BRACE), &says);
    assert_eq!((unreadable(&outcome.victim), outcome.code), (15, Some(0)));
    assert_eq!(outcome.bob, ["alice: again", "alice: again"]);
    let outcome = alice_attacked(3, CFB, tamper::flip_all(ToServer, 1..1 + 16, BRACE), &says);
    assert_eq!((unreadable(&outcome.victim), outcome.code), (16, Some(1)));
    assert_eq!(outcome.victim[16..], [enough.as_str()]);
    assert!(outcome.bob.is_empty(), "{:?}", outcome.bob);
}

#[test]
fn replayed_records() {
    for (stage, options) in [(1, PLAIN), (3, CFB), (STAGE, CFB)] {
        let outcome = alice_attacked(stage, options, tamper::replay(ToServer, FROM_ALICE), SAYS);
        assert_eq!(outcome.bob, ["alice: one", "alice: two", "alice: two", "alice: three"]);
        assert_eq!(outcome.code, Some(0));
        outcome.assert_unnoticed();
        let outcome = bob_attacked(stage, options, tamper::replay(ToClient, TO_BOB), SAYS);
        assert_eq!(outcome.victim, ["alice: one", "alice: two", "alice: two", "alice: three"]);
        assert_eq!(outcome.code, Some(0));
        outcome.assert_unnoticed();
    }
    for (stage, options, more) in SEALED {
        let to_server = alice_attacked(stage, options, tamper::replay(ToServer, FROM_ALICE), SAYS);
        assert_eq!(to_server.bob, ["alice: one", "alice: two"]);
        assert!(to_server.log.contains(TAMPERED), "{}", to_server.log);
        assert_eq!((to_server.victim, to_server.code), (vec![format!("! {TAMPERED}")], Some(1)));
        let to_client = bob_attacked(stage, options, tamper::replay(ToClient, TO_BOB + more), SAYS);
        let lost = format!("! the server is lost: {TAMPERED}");
        assert_eq!(to_client.victim, ["alice: one", "alice: two", &lost]);
        assert_eq!(to_client.code, Some(1));
    }
}

#[test]
fn records_in_another_order() {
    for (stage, options) in [(1, PLAIN), (3, CFB), (STAGE, CFB)] {
        let outcome = alice_attacked(stage, options, tamper::swap(ToServer, FROM_ALICE), SAYS);
        assert_eq!(outcome.bob, ["alice: one", "alice: three", "alice: two"]);
        assert_eq!(outcome.code, Some(0));
        outcome.assert_unnoticed();
        let outcome = bob_attacked(stage, options, tamper::swap(ToClient, TO_BOB), SAYS);
        assert_eq!(outcome.victim, ["alice: one", "alice: three", "alice: two"]);
        assert_eq!(outcome.code, Some(0));
        outcome.assert_unnoticed();
    }
    for (stage, options, more) in SEALED {
        let to_server = alice_attacked(stage, options, tamper::swap(ToServer, FROM_ALICE), SAYS);
        assert_eq!(to_server.bob, ["alice: one"]);
        assert!(to_server.log.contains(TAMPERED), "{}", to_server.log);
        assert_eq!((to_server.victim, to_server.code), (vec![format!("! {TAMPERED}")], Some(1)));
        let to_client = bob_attacked(stage, options, tamper::swap(ToClient, TO_BOB + more), SAYS);
        let lost = format!("! the server is lost: {TAMPERED}");
        assert_eq!((to_client.victim, to_client.code), (vec!["alice: one".into(), lost], Some(1)));
    }
}

#[test]
fn records_that_are_left_out() {
    for (stage, options) in [(1, PLAIN), (3, CFB), (STAGE, CFB)] {
        let outcome = alice_attacked(stage, options, tamper::drop_one(ToServer, FROM_ALICE), SAYS);
        assert_eq!(outcome.bob, ["alice: one", "alice: three"]);
        assert_eq!(outcome.code, Some(0));
        outcome.assert_unnoticed();
        let outcome = bob_attacked(stage, options, tamper::drop_one(ToClient, TO_BOB), SAYS);
        assert_eq!(outcome.victim, ["alice: one", "alice: three"]);
        assert_eq!(outcome.code, Some(0));
        outcome.assert_unnoticed();
    }
    for (stage, options, more) in SEALED {
        let to_server =
            alice_attacked(stage, options, tamper::drop_one(ToServer, FROM_ALICE), SAYS);
        assert_eq!(to_server.bob, ["alice: one"]);
        assert!(to_server.log.contains(TAMPERED), "{}", to_server.log);
        assert_eq!((to_server.victim, to_server.code), (vec![format!("! {TAMPERED}")], Some(1)));
        let to_client =
            bob_attacked(stage, options, tamper::drop_one(ToClient, TO_BOB + more), SAYS);
        let lost = format!("! the server is lost: {TAMPERED}");
        assert_eq!((to_client.victim, to_client.code), (vec!["alice: one".into(), lost], Some(1)));
    }
}

#[test]
fn a_direction_that_is_cut() {
    for (stage, options) in [(1, PLAIN), (3, CFB), (STAGE, CFB)] {
        // To the server and to bob it is as if alice had left.
        let outcome = alice_attacked(stage, options, tamper::truncate(ToServer, FROM_ALICE), SAYS);
        assert_eq!(outcome.bob, ["alice: one", "alice: two"]);
        outcome.assert_unnoticed();
        // To bob it is as if the server had ended.
        let outcome = bob_attacked(stage, options, tamper::truncate(ToClient, TO_BOB), SAYS);
        assert_eq!(outcome.victim, ["alice: one", "alice: two", "! the server is gone"]);
        outcome.assert_unnoticed();
    }
    for (stage, options, more) in SEALED {
        let to_server =
            alice_attacked(stage, options, tamper::truncate(ToServer, FROM_ALICE), SAYS);
        assert_eq!(to_server.bob, ["alice: one", "alice: two"]);
        assert!(to_server.log.contains(CUT), "{}", to_server.log);
        assert_eq!((to_server.victim, to_server.code), (vec![format!("! {CUT}")], Some(1)));
        let to_client =
            bob_attacked(stage, options, tamper::truncate(ToClient, TO_BOB + more), SAYS);
        let lost = format!("! the server is lost: {CUT}");
        assert_eq!(to_client.victim, ["alice: one", "alice: two", &lost]);
        assert_eq!(to_client.code, Some(1));
    }
}

#[test]
fn records_that_are_sent_back() {
    // alice has received as many records as she sent before `two`, and bob as many when he has
    // joined: so under GCM the numbers agree, and it is the keys that do not.
    let (alices, bobs) = (2, 1);

    let reflected = alice_attacked(1, PLAIN, tamper::reflect(ToServer, alices), SAYS);
    let shown = r#"! unreadable message: {"type":"say","text":"two"}"#;
    assert_eq!((reflected.victim, reflected.code), (vec![shown.to_owned()], Some(0)));

    let reflected = alice_attacked(3, CFB, tamper::reflect(ToServer, alices), SAYS);
    let [shown] = reflected.victim.as_slice() else { panic!("{:?}", reflected.victim) };
    assert!(shown.starts_with("! unreadable message: ") && !shown.contains("two"), "{shown}");
    assert_eq!(reflected.bob, ["alice: one", "alice: two", "alice: three"]);
    let reflected = bob_attacked(3, CFB, tamper::reflect(ToClient, bobs), SAYS);
    assert!(reflected.log.contains("bob: unreadable message: "), "{}", reflected.log);

    for (stage, options, more) in SEALED {
        let reflected =
            alice_attacked(stage, options, tamper::reflect(ToServer, alices + more), SAYS);
        let lost = format!("! the server is lost: {TAMPERED}");
        assert_eq!((reflected.victim, reflected.code), (vec![lost], Some(1)));
    }
    let reflected = bob_attacked(3, GCM, tamper::reflect(ToClient, bobs), SAYS);
    assert!(reflected.log.contains(TAMPERED), "{}", reflected.log);
    assert_eq!(reflected.code, Some(1));
    assert_eq!(reflected.victim.last(), Some(&format!("! {TAMPERED}")));
}
