use std::convert::Infallible;

use common::crypto::CipherState;
use common::crypto::symmetric::Broken;
use common::crypto::symmetric::Session;
use common::crypto::symmetric::SymmetricState;
use common::crypto::unhex;
use rand::SeedableRng;
use rand::TryCryptoRng;
use rand::TryRng;
use rand::rngs::StdRng;
use serde_json::Value;
use snow::Builder;
use snow::HandshakeState;
use x25519_dalek::PublicKey;
use x25519_dalek::StaticSecret as PrivateKey;

use crate::noise::*;

mod page;

/// A direction has a new key before each record whose number is a multiple of this.
const REKEY: u64 = 1 << 20;

/// Most bytes of a message of Noise (section 3).
const NOISE: usize = 65_535;

/// A "generator" that returns a known private key.
struct Given([u8; 32]);

impl TryRng for Given {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("keys are taken as bytes")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("keys are taken as bytes")
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.copy_from_slice(&self.0);
        Ok(())
    }
}

impl TryCryptoRng for Given {}

/// The session that `docs/interop/noise_vector.py` has printed.
fn known() -> Value {
    let file = include_str!("../../../common/src/crypto/vectors/noise.json");
    serde_json::from_str::<Value>(file).unwrap()["tests"][0].take()
}

fn bytes(hex: &Value) -> Vec<u8> {
    unhex(hex.as_str().unwrap()).unwrap()
}

fn key(hex: &Value) -> [u8; 32] {
    bytes(hex).try_into().unwrap()
}

/// Ciphertext and tag.
fn seal(state: &mut CipherState, text: &[u8]) -> Vec<u8> {
    let mut sealed = text.to_vec();
    let tag = state.seal(&[], &mut sealed).unwrap();
    sealed.extend(tag);
    sealed
}

fn open(state: &mut CipherState, sealed: &[u8]) -> Option<Vec<u8>> {
    let (ciphertext, tag) = sealed.split_last_chunk().unwrap();
    let mut text = vec![0; ciphertext.len()];
    state.open(&[], (ciphertext, tag), &mut text).ok()?;
    Some(text)
}

fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

fn rng() -> StdRng {
    StdRng::seed_from_u64(1)
}

fn server_key() -> PrivateKey {
    PrivateKey::from([9; 32])
}

/// What a server answers.
fn answer(got: &[u8]) -> Result<Vec<u8>, Error> {
    respond(got, &server_key(), &mut rng()).map(|(answer, _)| answer)
}

/// What a client makes of an answer to its message; it is the same client each time.
fn finish(answer: &[u8]) -> Result<(Session, [u8; 32]), Error> {
    client().0.finish(answer)
}

fn client() -> (Initiator, Vec<u8>) {
    Initiator::start(&mut StdRng::seed_from_u64(2))
}

fn refusal<T>(result: Result<T, Error>) -> Error {
    result.err().expect("it is refused")
}

#[test]
fn a_handshake_is_that_of_another_implementation() {
    let known = known();
    let s = PrivateKey::from(key(&known["private_s"]));
    let (client, message) = Initiator::start(&mut Given(key(&known["private_e_c"])));
    assert_eq!(message, bytes(&known["message_1"]));
    let mut rng = Given(key(&known["private_e_s"]));
    let (answer, at_server) = respond(&message, &s, &mut rng).unwrap();
    assert_eq!(answer, bytes(&known["message_2"]));
    let (at_client, public) = client.finish(&answer).unwrap();
    assert_eq!(public, key(&known["public_s"]));
    for session in [at_client, at_server] {
        assert_eq!(session.hash, key(&known["hash"]));
        assert_eq!(session.e_c[..], message[7..]);
        for (key, known) in [(session.client, &known["c2s"]), (session.server, &known["s2c"])] {
            assert_eq!(key.expose()[..], bytes(&known["key"]));
            let first = seal(&mut CipherState::rekeying(&key), b"\x10hi");
            assert_eq!(first, bytes(&known["first"]));
        }
    }
}

/// Of another library, with the hello of its client.
fn snow(hello_c: &[u8]) -> Builder<'static> {
    let prologue = [hello_c, HELLO_S].concat().leak();
    Builder::new("Noise_NX_25519_AESGCM_SHA256".parse().unwrap()).prologue(prologue).unwrap()
}

/// What snow writes next, with an empty payload.
fn written(snow: &mut HandshakeState) -> Vec<u8> {
    let mut message = vec![0; 200];
    let length = snow.write_message(&[], &mut message).unwrap();
    message.truncate(length);
    message
}

fn read(snow: &mut HandshakeState, message: &[u8]) {
    assert_eq!(snow.read_message(message, &mut [0; 200]).unwrap(), 0, "the payload is empty");
}

/// Sends 10,000 records each way, and some around the first new key.
fn talk(session: &Session, snow: impl Fn() -> HandshakeState, is_client: bool) {
    let (sends, gets) = match is_client {
        true => (&session.client, &session.server),
        false => (&session.server, &session.client),
    };
    let (mut sender, mut getter) = (CipherState::rekeying(sends), CipherState::rekeying(gets));
    let mut buffer = vec![0; NOISE];
    let mut transport = snow().into_transport_mode().unwrap();
    for n in 0..10_000_u32 {
        let text = n.to_be_bytes().repeat(1 + n as usize % 50);
        let length = transport.read_message(&seal(&mut sender, &text), &mut buffer).unwrap();
        assert_eq!(buffer[..length], text, "{n}");
        let length = transport.write_message(&text, &mut buffer).unwrap();
        assert_eq!(open(&mut getter, &buffer[..length]), Some(text), "{n}");
    }

    // The longest that it takes.
    let text = vec![b'x'; NOISE - 16];
    let sealed = seal(&mut sender, &text);
    assert_eq!(transport.read_message(&sealed, &mut buffer).unwrap(), text.len());
    assert_eq!(transport.write_message(&text, &mut buffer).unwrap(), NOISE);
    assert_eq!(open(&mut getter, &buffer), Some(text));

    let mut stateless = snow().into_stateless_transport_mode().unwrap();
    for n in 10_001..REKEY + 100 {
        let sealed = seal(&mut sender, b"hi");
        if n == REKEY {
            assert!(stateless.read_message(n, &sealed, &mut buffer).is_err(), "an old key");
            stateless.rekey_incoming();
            stateless.rekey_outgoing();
        }
        // The others are opened by our own side, in the time in which snow opens some of them.
        if n % 10_000 == 0 || n + 100 > REKEY {
            assert_eq!(stateless.read_message(n, &sealed, &mut buffer).unwrap(), 2, "{n}");
            let length = stateless.write_message(n, b"hi", &mut buffer).unwrap();
            assert_eq!(open(&mut getter, &buffer[..length]).as_deref(), Some(&b"hi"[..]), "{n}");
        } else {
            seal(&mut getter, b"hi");
        }
    }
}

#[test]
fn another_library_is_the_server() {
    let s = [9; 32];
    let (client, message) = client();
    let answered = || {
        let e = &[3; 32];
        let mut snow = snow(HELLO_C).local_private_key(&s).unwrap();
        snow = snow.fixed_ephemeral_key_for_testing_only(e);
        let mut snow = snow.build_responder().unwrap();
        read(&mut snow, &message[7..]);
        let answer = [HELLO_S, &written(&mut snow)].concat();
        (snow, answer)
    };
    let (snow, answer) = answered();
    let (session, public) = client.finish(&answer).unwrap();
    assert_eq!(public, PublicKey::from(&PrivateKey::from(s)).to_bytes());
    assert_eq!(session.hash[..], *snow.get_handshake_hash());
    talk(&session, || answered().0, true);
}

#[test]
fn another_library_is_the_client() {
    let s = server_key();
    let started = || {
        let mut snow =
            snow(HELLO_C).fixed_ephemeral_key_for_testing_only(&[3; 32]).build_initiator().unwrap();
        let message = [HELLO_C, &written(&mut snow)].concat();
        (snow, message)
    };
    let (answer, session) = respond(&started().1, &s, &mut rng()).unwrap();
    let finished = || {
        let (mut snow, _) = started();
        read(&mut snow, &answer[HELLO_S.len()..]);
        snow
    };
    let snow = finished();
    assert_eq!(snow.get_remote_static(), Some(&PublicKey::from(&s).as_bytes()[..]));
    assert_eq!(session.hash[..], *snow.get_handshake_hash());
    talk(&session, finished, false);
}

#[test]
fn every_flipped_bit_of_both_messages_is_refused() {
    let (_, message) = client();
    for bit in 0..message.len() * 8 {
        // Where the server has not noticed, the client does.
        let refused = answer(&flipped(&message, bit)).and_then(|answer| finish(&answer));
        assert!(refused.is_err(), "{bit}");
    }
    let answer = answer(&message).unwrap();
    for bit in 0..answer.len() * 8 {
        let refused = refusal(finish(&flipped(&answer, bit)));
        assert_eq!(
            refused == Error::Broken(Broken::Tampered),
            bit / 8 >= HELLO_S.len(),
            "{bit}: {refused}"
        );
    }
    assert!(finish(&answer).is_ok());
}

#[test]
fn every_flipped_bit_of_records_is_refused() {
    let (session, _) = finish(&answer(&client().1).unwrap()).unwrap();
    for key in [session.client, session.server] {
        let mut sends = CipherState::rekeying(&key);
        let records = [&b"\x10one"[..], b"\x10two", b"\x12"].map(|text| seal(&mut sends, text));
        for (at, sealed) in records.iter().enumerate() {
            let refused = |sealed: &[u8]| {
                let mut gets = CipherState::rekeying(&key);
                assert!(records[..at].iter().all(|before| open(&mut gets, before).is_some()));
                open(&mut gets, sealed).is_none()
            };
            assert!((0..sealed.len() * 8).all(|bit| refused(&flipped(sealed, bit))));
            assert!(!refused(sealed));
        }
    }
}

#[test]
fn a_message_of_another_length_is_refused() {
    let (_, message) = client();
    let whole = answer(&message).unwrap();
    for length in (0..39).chain(40..50) {
        let mut message = message.clone();
        message.resize(length, 0);
        assert_eq!(refusal(answer(&message)), Error::Length(length));
    }
    for length in (0..102).chain(103..120) {
        let mut answer = whole.clone();
        answer.resize(length, 0);
        assert_eq!(refusal(finish(&answer)), Error::Length(length));
    }
}

/// Points of small order, in all their encodings (https://cr.yp.to/ecdh.html, "validate").
fn points_of_small_order() -> Vec<[u8; 32]> {
    let hex = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ];
    let points = hex.map(|hex| <[u8; 32]>::try_from(unhex(hex).unwrap()).unwrap());
    // The highest bit is ignored.
    let mut with_highest = points;
    with_highest.iter_mut().for_each(|point| point[31] |= 0x80);
    [points, with_highest].concat()
}

#[test]
fn a_key_that_makes_a_known_secret_is_refused_wherever_it_comes() {
    let (_, message) = client();
    let whole = answer(&message).unwrap();
    for point in points_of_small_order() {
        let e_c = [HELLO_C, &point].concat();
        assert_eq!(refusal(answer(&e_c)), Error::Broken(Broken::Known));
        let e_s = [HELLO_S, &point, &whole[HELLO_S.len() + 32..]].concat();
        assert_eq!(refusal(finish(&e_s)), Error::Broken(Broken::Known));
        assert_eq!(refusal(finish(&forged(&point, &server_key()))), Error::Broken(Broken::Known));
    }
}

/// The answer of a server that sends `s` as its static key, and computes with another.
fn forged(s: &[u8; 32], private: &PrivateKey) -> Vec<u8> {
    let e_c = <[u8; 32]>::try_from(&client().1[7..]).unwrap();
    let e = PrivateKey::from([4; 32]);
    let e_s = PublicKey::from(&e).to_bytes();
    let mut noise = SymmetricState::new(NAME, &[HELLO_C, HELLO_S]);
    noise.mix_hash(&e_c);
    noise.mix_hash(&[]);
    noise.mix_hash(&e_s);
    let k = noise.mix_key(&e, &e_c).unwrap();
    let enc_s = noise.encrypt_and_hash(k, s).unwrap();
    let k = noise.mix_key(private, &e_c).unwrap();
    let tag = noise.encrypt_and_hash(k, &[]).unwrap();
    [HELLO_S, &e_s, &enc_s, &tag].concat()
}

#[test]
fn nobody_poses_as_a_server_whose_private_key_they_have_not() {
    let s = PublicKey::from(&server_key()).to_bytes();
    assert_eq!(
        refusal(finish(&forged(&s, &PrivateKey::from([10; 32])))),
        Error::Broken(Broken::Tampered)
    );
    assert_eq!(finish(&forged(&s, &server_key())).unwrap().1, s);
}

#[test]
fn an_answer_is_for_one_client_alone() {
    let (_, message) = client();
    let (other, _) = Initiator::start(&mut rng());
    assert_eq!(refusal(other.finish(&answer(&message).unwrap())), Error::Broken(Broken::Tampered));
}

/// A hello that offers these suites.
fn offering(suites: &[u8]) -> Vec<u8> {
    let n = u8::try_from(suites.len()).unwrap();
    [&b"CHT5\x01"[..], &[n], suites].concat()
}

#[test]
fn the_server_chooses_what_it_knows_and_nobody_takes_a_suite_away_unnoticed() {
    let long = [2, 3, 4, 5, 6, 7, 8, 1];
    for (offered, got) in [
        (&[1][..], &[1][..]),
        (&[9, 1], &[9, 1]),
        (&long, &long),
        (&[9, 1], &[1]),
        (&[1, 9], &[9, 1]),
        (&[1], &[1, 1]),
        (&long, &long[1..]),
    ] {
        let mut client = snow(&offering(offered)).build_initiator().unwrap();
        let message = [offering(got), written(&mut client)].concat();
        let answer = answer(&message).unwrap();
        let read = client.read_message(&answer[HELLO_S.len()..], &mut [0; 100]);
        assert_eq!(read.is_ok(), offered == got, "{offered:?} {got:?}");
    }
}

#[test]
fn suites_that_cannot_be_agreed_on_are_refused() {
    let key = [3; 32];
    let offer = |suites: &[u8]| refusal(answer(&[offering(suites), key.to_vec()].concat()));
    assert_eq!(offer(&[2, 255]), Error::NoSuite("02ff".to_owned()));
    assert_eq!(offer(&[]), Error::Length(38));
    assert_eq!(offer(&[1; 9]), Error::Length(47));
    for suite in (0..=255).filter(|suite| *suite != SUITE) {
        for length in [0, 50, 96] {
            let chosen = [&b"CHT5\x01"[..], &[suite], &[0; 96][..length]].concat();
            assert_eq!(refusal(finish(&chosen)), Error::NotOffered(suite));
        }
    }
}

#[test]
fn whoever_speaks_something_else_is_told_what_to_do() {
    let cht2 = [&b"CHT2\x01"[..], &[7; 34]].concat();
    for refused in [refusal(answer(&cht2)), refusal(finish(&cht2))] {
        let told = refused.to_string();
        assert!(["CHT2", "--kex", "--cipher"].iter().all(|word| told.contains(word)), "{told}");
    }
    for (began, quoted) in [
        (&b"GET / HTTP/1.1\r\n"[..], "began with: GET / HTTP/1.1\\u{d}\\u{a}"),
        (b"\x1b[2J\xff", "began with: \\u{1b}[2J\\xff"),
        (b"CHT6\x01", "began with: CHT6"),
        (b"CHT5\x02\x01\x01", "version 1 of the handshake CHT5, the other side 2"),
        (b"CHT5", "a handshake message of 4 bytes"),
        (b"", "a handshake message of 0 bytes"),
    ] {
        for refused in [refusal(answer(began)), refusal(finish(began))] {
            assert!(refused.to_string().contains(quoted), "{refused}");
        }
    }
    let long = refusal(answer(&[b'x'; 1000])).to_string();
    assert!(long.contains("xxx… (960 bytes more)"), "{long}");
}

#[test]
fn no_two_sessions_have_anything_in_common_but_the_server() {
    let mut seen = Vec::new();
    for seed in 0..4 {
        let mut rng = StdRng::seed_from_u64(seed);
        let (client, message) = Initiator::start(&mut rng);
        let (answer, at_server) = respond(&message, &server_key(), &mut rng).unwrap();
        let (at_client, _) = client.finish(&answer).unwrap();
        assert_eq!(at_client.hash, at_server.hash);
        for part in
            [at_client.hash, at_client.e_c, *at_client.client.expose(), *at_client.server.expose()]
        {
            assert!(!seen.contains(&part));
            seen.push(part);
        }
    }
}
