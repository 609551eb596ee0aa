use std::net::Ipv4Addr;
use std::net::TcpListener;

use aes::Aes256;
use aes::cipher::BlockCipherEncrypt;
use aes::cipher::KeyInit;
use ciphers::Gcm;
use clap::ValueEnum;
use proptest::collection::vec;
use proptest::prelude::*;
use rand::SeedableRng;
use serde::Deserialize;

use super::*;
use crate::crypto::vectors;
use crate::crypto::vectors::Example;
use crate::crypto::vectors::Hex;
use crate::crypto::vectors::KEY_SCHEDULE;
use crate::crypto::vectors::Verdict;
use crate::crypto::vectors::Wycheproof;
use crate::frame::HANDSHAKE;
use crate::frame::MAX_LENGTH;
use crate::frame::MESSAGE;
use crate::frame::RECORD;
use crate::frame::Reader;
use crate::pcap::Capture;

const KEY: [u8; 32] = [7; 32];
const BOTH: [Cipher; 2] = [Cipher::Cfb, Cipher::Gcm];

fn encryptor(cipher: Cipher) -> Encryptor {
    Encryptor::new(cipher, &Secret::from(KEY), StdRng::seed_from_u64(1))
}

fn decryptor(cipher: Cipher) -> Decryptor {
    Decryptor::new(cipher, &Secret::from(KEY))
}

/// The bodies of the records that hold `payloads`.
fn bodies(encryptor: &mut Encryptor, payloads: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut frames = Writer::new(Vec::new(), "alice");
    for payload in payloads {
        encryptor.push(&mut frames, payload).unwrap();
    }
    frames.write_all().unwrap();
    let mut frames = Reader::new(frames.stream().as_slice(), "alice");
    let mut bodies = Vec::new();
    while let Some(frame) = frames.read().unwrap() {
        assert_eq!(frame.kind, RECORD);
        bodies.push(frame.body.to_vec());
    }
    bodies
}

/// kind · body within a record.
fn open(decryptor: &mut Decryptor, body: &[u8]) -> Result<Vec<u8>, BadRecord> {
    match decryptor.open(Frame { kind: RECORD, body }) {
        Ok(Some(Frame { kind, body })) => Ok([&[kind], body].concat()),
        Ok(None) => panic!("that was no close"),
        Err(frame::Error::Record(bad)) => Err(bad),
        Err(error) => panic!("{error}"),
    }
}

/// `block`, of at most 16 bytes, with the encryption of `before` on it.
fn masked(key: &[u8; 32], before: &[u8; IV], block: &[u8]) -> Vec<u8> {
    let mut mask = (*before).into();
    Aes256::new(key.into()).encrypt_block(&mut mask);
    block.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect()
}

/// CFB128 from its definition (SP 800-38A, section 6.3) and the bare block cipher.
fn encrypt_by_definition(key: &[u8; 32], iv: &[u8; IV], plaintext: &[u8]) -> Vec<u8> {
    let mut before = *iv;
    let mut ciphertext = Vec::new();
    for block in plaintext.chunks(IV) {
        let block = masked(key, &before, block);
        before[..block.len()].copy_from_slice(&block);
        ciphertext.extend(block);
    }
    ciphertext
}

fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

#[test]
fn cfb_is_that_of_sp_800_38a() {
    #[derive(Deserialize)]
    struct Case {
        key: Hex,
        iv: Hex,
        plaintext: Hex,
        ciphertext: Hex,
    }
    let tests = include_str!("../vectors/sp800_38a_cfb128_aes256.json");
    for Case { key, iv, plaintext, ciphertext } in vectors::parse(tests) {
        let key = key[..].try_into().unwrap();
        // F.3.18, by a record.
        let body = [&iv[..], &ciphertext].concat();
        let mut decryptor = Decryptor::new(Cipher::Cfb, &Secret::from(key));
        assert_eq!(open(&mut decryptor, &body).unwrap(), *plaintext);
        // F.3.17. A record's IV cannot be chosen: the definition has to give the known answer here,
        // and whatever a record holds is compared with the definition below.
        let iv = iv[..].try_into().unwrap();
        assert_eq!(encrypt_by_definition(&key, &iv, &plaintext), *ciphertext);
    }
}

#[test]
fn cfb_is_what_its_definition_says_with_a_new_iv_for_each_record() {
    let mut encryptor = encryptor(Cipher::Cfb);
    let mut ivs = Vec::new();
    for length in (1..=100).chain([4096, 65_536, LONGEST]) {
        let payload = (0..=255).cycle().take(length).collect::<Vec<u8>>();
        let body = bodies(&mut encryptor, &[&payload]).remove(0);
        let (iv, ciphertext) = body.split_first_chunk::<IV>().unwrap();
        assert!(ciphertext == encrypt_by_definition(&KEY, iv, &payload), "{length}");
        assert!(!ivs.contains(iv), "an IV came twice");
        ivs.push(*iv);
    }
}

#[test]
fn gcm_is_that_of_wycheproof() {
    #[derive(Debug, Deserialize)]
    struct Case {
        key: Hex,
        iv: Hex,
        aad: Hex,
        msg: Hex,
        ct: Hex,
        tag: Hex,
    }
    let tests = include_str!("../vectors/wycheproof_aes_gcm.json");
    let mut as_records = 0;
    for Wycheproof { id, result, case, .. } in vectors::parse::<Wycheproof<Case>>(tests) {
        let key = Secret::from(<[u8; 32]>::try_from(&case.key[..]).unwrap());
        // The same calls as a record's, with any nonce and associated data.
        let cipher = Gcm::new(key.expose());
        let nonce = <[u8; 12]>::try_from(&case.iv[..]).unwrap();
        let mut buffer = vec![7; case.ct.len()];
        let tag = <[u8; TAG]>::try_from(&case.tag[..]).unwrap();
        let opened = cipher.open(&nonce, &case.aad, (&case.ct, &tag), &mut buffer);
        if result == Verdict::Invalid {
            assert!(opened.is_err(), "{id}");
            assert_eq!(buffer, vec![7; case.ct.len()], "{id}: nothing before the tag is right");
            continue;
        }
        opened.unwrap();
        assert_eq!(buffer, *case.msg, "{id}");
        let sealed = cipher.seal(&nonce, &case.aad, &mut buffer).unwrap();
        assert_eq!((buffer, sealed.to_vec()), (case.ct.0.clone(), case.tag.0.clone()), "{id}");
        // Those that can stand on the wire, as records.
        let Some(count) = case.iv.strip_prefix(&[0; 4]).filter(|_| case.aad.is_empty()) else {
            continue;
        };
        as_records += 1;
        let count = u64::from_be_bytes(count.try_into().unwrap());
        let body = [&case.ct[..], &case.tag].concat();
        let (mut encryptor, mut decryptor) = at(&key, count);
        assert_eq!(bodies(&mut encryptor, &[&case.msg]).concat(), body, "{id}");
        assert_eq!(open(&mut decryptor, &body), Ok(case.msg.0), "{id}");
    }
    assert_eq!(as_records, 1);
}

/// Both halves of a GCM direction after `count` records.
fn at(key: &Secret, count: u64) -> (Encryptor, Decryptor) {
    let state = || CipherState::new(key).at(count);
    (state().into(), state().into())
}

#[test]
fn records_are_those_of_another_implementation() {
    for example in vectors::parse::<Example>(KEY_SCHEDULE) {
        let cipher = Cipher::from_str(&example.cipher, false).unwrap();
        let halves = |key: &Hex| {
            let key = Secret::from(<[u8; 32]>::try_from(&key[..]).unwrap());
            let encryptor = Encryptor::new(cipher, &key, StdRng::seed_from_u64(1));
            (encryptor, Decryptor::new(cipher, &key))
        };
        let directions = [
            (halves(&example.key_c2s), &example.said[..], &example.said_records[..]),
            (halves(&example.key_s2c), &[example.heard][..], &[example.heard_record][..]),
        ];
        for ((mut encryptor, mut decryptor), payloads, records) in directions {
            let mut frames = Writer::new(Vec::new(), "alice");
            for (payload, record) in payloads.iter().zip(records) {
                let mut reader = Reader::new(&record[..], "alice");
                let frame = reader.read().unwrap().unwrap();
                assert_eq!(frame.kind, RECORD);
                assert_eq!(open(&mut decryptor, frame.body).unwrap(), **payload);
                encryptor.push(&mut frames, payload).unwrap();
            }
            frames.write_all().unwrap();
            // What is random is compared by its length; the rest follows from it (see above).
            let written = frames.stream();
            let expected = records.iter().flat_map(|hex| hex.to_vec()).collect::<Vec<_>>();
            assert_eq!(written.len(), expected.len());
            if cipher == Cipher::Gcm {
                assert_eq!(*written, expected);
            }
        }
    }
}

#[test]
fn under_cfb_a_flipped_bit_does_what_theory_says_and_is_never_noticed() {
    // Three blocks and a part of a fourth.
    let payload = b"\x10{\"type\":\"say\",\"text\":\"the boat leaves at 10 pm!\"}";
    assert_eq!(payload.len(), 50);
    let body = bodies(&mut encryptor(Cipher::Cfb), &[payload]).remove(0);
    for bit in 0..body.len() * 8 {
        let changed = flipped(&body, bit);
        let mut expected = payload.to_vec();
        // The same bit of the plaintext, unless it was one of the IV.
        if let Some(byte) = (bit / 8).checked_sub(IV) {
            expected[byte] ^= 1 << (bit % 8);
        }
        // And the block that the changed one is the mask of, if there is one.
        let (block, start) = (bit / 8 / IV * IV, bit / 8 / IV * IV + IV);
        if let Some(next) = body.get(start..).map(|rest| &rest[..rest.len().min(IV)]) {
            let before = changed[block..start].try_into().unwrap();
            let garbled = masked(&KEY, before, next);
            let place = &mut expected[block..block + next.len()];
            assert!(next.is_empty() || garbled != place, "bit {bit}");
            place.copy_from_slice(&garbled);
        }
        assert_eq!(open(&mut decryptor(Cipher::Cfb), &changed), Ok(expected), "bit {bit}");
    }
}

#[test]
fn under_cfb_nothing_notices_what_is_repeated_moved_left_out_or_cut() {
    let records = bodies(&mut encryptor(Cipher::Cfb), &[b"\x10one", b"\x10two"]);
    let mut decryptor = decryptor(Cipher::Cfb);
    for (record, payload) in [(1, b"\x10two"), (1, b"\x10two"), (0, b"\x10one")] {
        assert_eq!(open(&mut decryptor, &records[record]), Ok(payload.to_vec()));
    }
    let cut = &records[0][..IV + 2];
    assert_eq!(open(&mut decryptor, cut), Ok(b"\x10o".to_vec()));
    assert_eq!(decryptor.end().unwrap(), None);
}

/// Refused, and nothing of it is kept.
fn assert_refused(decryptor: &mut Decryptor, body: &[u8], bad: BadRecord) {
    assert_eq!(open(decryptor, body), Err(bad));
    assert!(decryptor.plaintext.is_empty());
}

#[test]
fn under_gcm_every_flipped_bit_is_refused() {
    let payload = b"\x10{\"type\":\"say\",\"text\":\"the boat leaves at 10 pm!\"}";
    let body = bodies(&mut encryptor(Cipher::Gcm), &[payload]).remove(0);
    assert_eq!(open(&mut decryptor(Cipher::Gcm), &body), Ok(payload.to_vec()));
    for bit in 0..body.len() * 8 {
        let mut decryptor = decryptor(Cipher::Gcm);
        assert_refused(&mut decryptor, &flipped(&body, bit), BadRecord::Tampered);
    }
}

#[test]
fn under_gcm_another_length_is_refused() {
    let body = bodies(&mut encryptor(Cipher::Gcm), &[b"\x10hello"]).remove(0);
    for length in 0..body.len() {
        let bad = if length < TAG { BadRecord::TooShort } else { BadRecord::Tampered };
        assert_refused(&mut decryptor(Cipher::Gcm), &body[..length], bad);
        assert_refused(&mut decryptor(Cipher::Gcm), &body[body.len() - length..], bad);
    }
    for more in [[&body[..], &[0]].concat(), [&[0], &body[..]].concat()] {
        assert_refused(&mut decryptor(Cipher::Gcm), &more, BadRecord::Tampered);
    }
}

#[test]
fn under_gcm_a_record_that_is_repeated_moved_or_left_out_is_refused() {
    let records = bodies(&mut encryptor(Cipher::Gcm), &[b"\x10one", b"\x10two", b"\x10three"]);
    for (what, order) in [
        ("repeated", &[0, 0][..]),
        ("repeated later", &[0, 1, 0]),
        ("moved", &[1]),
        ("left out", &[0, 2]),
    ] {
        let mut decryptor = decryptor(Cipher::Gcm);
        let (last, before) = order.split_last().unwrap();
        for record in before {
            open(&mut decryptor, &records[*record]).unwrap();
        }
        assert_eq!(open(&mut decryptor, &records[*last]), Err(BadRecord::Tampered), "{what}");
        assert!(decryptor.plaintext.is_empty(), "{what}");
    }
}

#[test]
fn a_record_that_comes_back_to_its_sender_is_none_of_the_other_side() {
    for example in vectors::parse::<Example>(KEY_SCHEDULE) {
        let cipher = Cipher::from_str(&example.cipher, false).unwrap();
        let server = Secret::from(<[u8; 32]>::try_from(&example.key_s2c[..]).unwrap());
        // What the client has sent comes to where the client expects the server's.
        let frame = &example.said_records[0];
        let body = frame[frame::HEADER + 1..].to_vec();
        let mut decryptor = Decryptor::new(cipher, &server);
        match cipher {
            Cipher::Gcm => assert_refused(&mut decryptor, &body, BadRecord::Tampered),
            _ => assert_ne!(open(&mut decryptor, &body).unwrap(), *example.said[0]),
        }
    }
}

#[test]
fn under_gcm_the_end_of_a_direction_is_sealed() {
    let mut encryptor = encryptor(Cipher::Gcm);
    let mut records = bodies(&mut encryptor, &[b"\x10one"]);
    let mut frames = Writer::new(Vec::new(), "alice");
    encryptor.close(&mut frames).unwrap();
    assert_eq!(frames.pending(), 0, "the close is written at once");
    records.push(frames.stream()[frame::HEADER + 1..].to_vec());
    records.extend(bodies(&mut encryptor, &[b"\x10two"]));

    let is_cut = |decryptor: &Decryptor| match decryptor.end() {
        Ok(None) => false,
        Err(frame::Error::Record(BadRecord::Truncated)) => true,
        other => panic!("{other:?}"),
    };
    let mut decryptor = decryptor(Cipher::Gcm);
    assert!(is_cut(&decryptor), "even before the first record");
    open(&mut decryptor, &records[0]).unwrap();
    assert!(is_cut(&decryptor));
    assert_eq!(decryptor.open(Frame { kind: RECORD, body: &records[1] }).unwrap(), None);
    assert!(!is_cut(&decryptor));
    for (kind, body) in [(RECORD, &records[2]), (RECORD, &records[1]), (MESSAGE, &records[0])] {
        let after = decryptor.open(Frame { kind, body });
        assert!(matches!(after, Err(frame::Error::Record(BadRecord::AfterTheEnd))));
    }
    assert!(!is_cut(&decryptor));
}

#[test]
fn a_close_with_something_in_it_is_no_close() {
    let body = bodies(&mut encryptor(Cipher::Gcm), &[b"\x12now"]).remove(0);
    let mut decryptor = decryptor(Cipher::Gcm);
    assert_eq!(open(&mut decryptor, &body), Ok(b"\x12now".to_vec()));
    assert!(decryptor.end().is_err());
}

#[test]
fn under_cfb_an_end_cannot_be_protected() {
    let mut encryptor = encryptor(Cipher::Cfb);
    let mut frames = Writer::new(Vec::new(), "alice");
    encryptor.close(&mut frames).unwrap();
    assert!(frames.stream().is_empty() && frames.pending() == 0);
    let close = bodies(&mut encryptor, &[&[frame::CLOSE]]).remove(0);
    let mut decryptor = decryptor(Cipher::Cfb);
    assert_eq!(open(&mut decryptor, &close), Ok(vec![frame::CLOSE]), "a frame as any other");
    assert_eq!(decryptor.end().unwrap(), None);
}

#[test]
fn a_frame_of_another_kind_is_refused_and_is_not_counted() {
    for cipher in BOTH {
        let body = bodies(&mut encryptor(cipher), &[b"\x10hi"]).remove(0);
        let mut decryptor = decryptor(cipher);
        for kind in (0..=255).filter(|kind| *kind != RECORD) {
            match decryptor.open(Frame { kind, body: &body }) {
                Err(frame::Error::Record(BadRecord::NotARecord(refused))) => {
                    assert_eq!(refused, kind);
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(open(&mut decryptor, &body), Ok(b"\x10hi".to_vec()));
    }
}

#[test]
fn a_record_that_holds_no_kind_is_refused() {
    for length in 0..=IV {
        let body = vec![0; length];
        assert_refused(&mut decryptor(Cipher::Cfb), &body, BadRecord::TooShort);
    }
    assert_eq!(open(&mut decryptor(Cipher::Cfb), &[0; IV + 1]).unwrap().len(), 1);
    // Only who has the key can make one of nothing that has a right tag.
    let tag = CipherState::new(&Secret::from(KEY)).seal(&[], &mut []).unwrap();
    assert_refused(&mut decryptor(Cipher::Gcm), &tag, BadRecord::TooShort);
}

#[test]
fn what_no_frame_has_room_for_is_refused_and_costs_nothing() {
    for cipher in BOTH {
        let (mut encryptor, mut decryptor) = (encryptor(cipher), decryptor(cipher));
        let mut frames = Writer::new(Vec::new(), "alice");
        for payload in [&[][..], &vec![MESSAGE; LONGEST + 1]] {
            let error = encryptor.push(&mut frames, payload).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert_eq!(frames.pending(), 0);
        }
        // What was not sent has no number: both sides go on.
        let longest = vec![MESSAGE; LONGEST];
        let body = bodies(&mut encryptor, &[&longest]).remove(0);
        assert_eq!(1 + body.len(), MAX_LENGTH);
        assert!(open(&mut decryptor, &body) == Ok(longest));
    }
}

#[test]
fn no_nonce_comes_twice_not_even_after_the_last_one() {
    let (mut encryptor, mut decryptor) = at(&Secret::from(KEY), u64::MAX - 1);
    let last = bodies(&mut encryptor, &[b"\x10last"]).remove(0);
    assert_eq!(open(&mut decryptor, &last), Ok(b"\x10last".to_vec()));
    for _ in 0..3 {
        let mut frames = Writer::new(Vec::new(), "alice");
        let error = encryptor.push(&mut frames, b"\x10more").unwrap_err();
        assert_eq!(error.to_string(), "too many records for one key");
        assert!(encryptor.close(&mut frames).is_err());
        assert_eq!(frames.pending(), 0);
        assert_refused(&mut decryptor, &last, BadRecord::TooMany);
    }
}

#[test]
fn a_direction_that_rekeys_has_records_of_gcm_and_a_sealed_end() {
    let key = Secret::from(KEY);
    let boundary = (1 << 20) - 1;
    let mut encryptor = Encryptor::from(CipherState::rekeying(&key).at(boundary));
    let mut decryptor = Decryptor::from(CipherState::rekeying(&key).at(boundary));
    let records = bodies(&mut encryptor, &[b"\x10one", b"\x10two"]);
    let (mut one_key, _) = at(&key, boundary);
    let same_key = bodies(&mut one_key, &[b"\x10one", b"\x10two"]);
    assert_eq!(records[0], same_key[0]);
    assert_ne!(records[1], same_key[1]);
    for (record, payload) in records.iter().zip([b"\x10one", b"\x10two"]) {
        assert_eq!(open(&mut decryptor, record).unwrap(), payload);
    }
    assert!(decryptor.end().is_err());
    let mut frames = Writer::new(Vec::new(), "alice");
    encryptor.close(&mut frames).unwrap();
    let close = &frames.stream()[frame::HEADER + 1..];
    assert_eq!(decryptor.open(Frame { kind: RECORD, body: close }).unwrap(), None);
    assert_eq!(decryptor.end().unwrap(), None);
}

#[test]
fn each_refusal_says_what_it_is() {
    for (bad, says) in [
        (BadRecord::NotARecord(HANDSHAKE), "a frame of kind 20 came where all has to be encrypted"),
        (BadRecord::TooShort, "too short"),
        (BadRecord::Tampered, "was changed, repeated, moved or left out"),
        (BadRecord::AfterTheEnd, "after the end of the session"),
        (BadRecord::Truncated, "was cut: it ended without the sealed end"),
        (BadRecord::TooMany, "too many records for one key"),
    ] {
        let text = frame::Error::from(bad).to_string();
        assert!(text.contains(says), "{text}");
    }
}

/// Lengths of kind · body: around a block, around 64 KiB, any.
fn lengths() -> impl Strategy<Value = Vec<usize>> {
    vec(prop_oneof![1..=64_usize, 65_500..=65_600_usize, 1..=LONGEST], 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_round_trip(key: [u8; 32], seed: u64, lengths in lengths(), is_gcm: bool) {
        let cipher = if is_gcm { Cipher::Gcm } else { Cipher::Cfb };
        let mut content = StdRng::seed_from_u64(seed);
        let payloads = lengths.iter().map(|length| {
            let mut payload = vec![0; *length];
            content.fill_bytes(&mut payload);
            // 12 alone would be the close.
            payload[0] = MESSAGE;
            payload
        });
        let payloads = payloads.collect::<Vec<_>>();
        let key = Secret::from(key);
        let mut encryptor = Encryptor::new(cipher, &key, StdRng::seed_from_u64(seed));
        let mut decryptor = Decryptor::new(cipher, &key);
        let bodies = bodies(&mut encryptor, &payloads.iter().map(Vec::as_slice).collect::<Vec<_>>());
        prop_assert_eq!(bodies.len(), payloads.len());
        for (body, payload) in bodies.iter().zip(&payloads) {
            prop_assert_eq!(body.len(), payload.len() + 16);
            prop_assert!(open(&mut decryptor, body).as_ref() == Ok(payload));
        }
    }
}

#[test]
fn a_record_of_nothing_is_no_frame_of_a_capture_either() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let capture = Capture::create(file.path()).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let stream = Stream::connect(&[address], Some(&capture)).unwrap();
    stream.flow().unwrap().show_plaintext();
    let key = Secret::from([7; 32]);
    let mut decryptor = Decryptor::new(Cipher::Cfb, &key).over(&stream);
    let nothing = Frame { kind: frame::RECORD, body: &[0; IV] };
    decryptor.open(nothing).unwrap_err();
    // One byte, a kind of which nobody knows what it is.
    decryptor.open(Frame { kind: frame::RECORD, body: &[0; IV + 1] }).unwrap();
    capture.finish();
    let said = std::fs::read(file.path()).unwrap();
    let has = |words: &str| said.windows(words.len()).any(|window| window == words.as_bytes());
    assert!(has("server → client: inside record 0: "));
    assert!(!has("inside record 1: ") && !has("no frame of this chat"));
}
