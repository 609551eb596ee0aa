//! The suites of the feature `hybrid`, from the handshake to the records, in memory.

// clippy.toml lets tests do so, but not the functions that tests share.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::io::Read;
use std::io::Write;
use std::rc::Rc;
use std::time::SystemTime;

use base64ct::Base64Url;
use base64ct::Encoding;
use clap::ValueEnum;
use common::crypto;
use common::crypto::Handshake;
use common::crypto::Private;
use common::crypto::Secret;
use common::crypto::Session;
use common::crypto::Settings;
use common::crypto::handshake;
use common::crypto::kex::BadShare;
use common::crypto::kex::Last;
use common::crypto::suite::Allowed;
use common::crypto::suite::Cipher;
use common::crypto::suite::Kex;
use common::crypto::suite::Suite;
use common::frame;
use common::frame::BadRecord;
use common::frame::Frame;
use common::frame::Reader;
use common::frame::Writer;
use rand::Rng;
use rand::SeedableRng;
use rand::rngs::StdRng;
use sha2::Digest;
use sha2::Sha256;

/// One direction of a connection; it has ended where there is nothing more to read.
#[derive(Clone, Default)]
struct Line {
    waiting: Rc<RefCell<VecDeque<u8>>>,
    /// What was written, with that of the other direction.
    said: Rc<RefCell<Vec<u8>>>,
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.waiting.borrow_mut().read(buffer)
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.said.borrow_mut().write_all(bytes)?;
        self.waiting.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type End = Handshake<Line, Line, StdRng>;

/// A client, a server, and everything that they say.
fn ends(seed: u64) -> (End, End, Rc<RefCell<Vec<u8>>>) {
    let there = Line::default();
    let back = Line { said: Rc::clone(&there.said), ..Line::default() };
    let end = |reading: &Line, writing: &Line, seed| {
        let rng = StdRng::seed_from_u64(seed);
        Handshake::new(Writer::new(writing.clone(), ""), Reader::new(reading.clone(), ""), rng)
    };
    (end(&back, &there, seed), end(&there, &back, seed + 1), there.said)
}

/// The bodies of the frames of a handshake.
fn bodies(mut said: &[u8]) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    while let Some((length, rest)) = said.split_first_chunk() {
        let (frame, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
        let (kind, body) = frame.split_first().unwrap();
        assert_eq!(*kind, frame::HANDSHAKE);
        bodies.push(body.to_vec());
        said = rest;
    }
    bodies
}

/// As in `connection.rs`, in the order in which it happens.
fn shake(
    client: &mut End,
    server: &mut End,
    settings: &Settings,
    suite: Suite,
) -> Result<(Session, Session), handshake::Error> {
    let allowed = Allowed { kex: Some(suite.kex), cipher: Some(suite.cipher) };
    client.send_hello(allowed)?;
    let chosen = server.receive_hello(settings.allowed)?;
    assert_eq!(chosen, suite);
    let (private_s, share_s) = Private::generate(suite.kex, settings, &mut server.rng)?;
    server.answer_hello(suite, &share_s)?;
    let (_, share_s) = client.receive_answer(allowed)?;
    let (private_c, share_c) = Private::answer(suite.kex, &share_s, &mut client.rng)?;
    client.send(&share_c)?;
    let share_c = server.receive()?;
    let at_the_server = server.derive(suite, private_s, &share_c)?;
    Ok((client.derive(suite, private_c, &share_s)?, at_the_server))
}

fn suites() -> Vec<Suite> {
    let ciphers = Cipher::value_variants();
    let with_all = |kex: &Kex| ciphers.iter().map(|&cipher| Suite { kex: *kex, cipher }).collect();
    let suites: Vec<Suite> = Kex::value_variants().iter().flat_map::<Vec<_>, _>(with_all).collect();
    assert_eq!(suites.len(), 4 * 3);
    suites
}

#[test]
fn both_sides_have_the_same_keys_under_every_suite() {
    let settings = Settings::default();
    for (suite, seed) in suites().into_iter().zip((0..).step_by(2)) {
        let (mut client, mut server, said) = ends(seed);
        let (at_the_client, at_the_server) =
            shake(&mut client, &mut server, &settings, suite).unwrap();
        assert_eq!(at_the_client.suite, suite);
        assert_eq!(at_the_client.client.expose(), at_the_server.client.expose(), "{suite:?}");
        assert_eq!(at_the_client.server.expose(), at_the_server.server.expose(), "{suite:?}");
        assert_ne!(at_the_client.client.expose(), at_the_client.server.expose(), "{suite:?}");
        assert_eq!(at_the_client.fingerprint, at_the_server.fingerprint, "{suite:?}");

        // Every body counts, in order, and has the length that it should have.
        let bodies = bodies(&said.borrow());
        let lengths: Vec<usize> = bodies.iter().map(Vec::len).collect();
        match suite.kex {
            Kex::P256 => assert_eq!(lengths, [39, 39 + 65, 65]),
            Kex::X25519 => assert_eq!(lengths, [39, 39 + 32, 32]),
            Kex::RsaServer => assert_eq!(lengths, [39, 39 + 294, 256]),
            Kex::RsaClient => assert_eq!(lengths, [39, 39, 294, 256]),
        }
        let salt = Sha256::digest(bodies.concat()).into();
        let expected = Session::derive(suite, [0; 32], salt, &Secret::from([0; 32]));
        assert_eq!(expected.fingerprint, at_the_client.fingerprint, "{suite:?}");
    }
}

#[test]
fn a_server_has_one_key_for_all_its_clients_and_a_client_one_for_each_connection() {
    let settings = Settings::default();
    let key_in = |kex, body: usize, seed| {
        let (mut client, mut server, said) = ends(seed);
        let suite = Suite { kex, cipher: Cipher::Fernet };
        let (session, _) = shake(&mut client, &mut server, &settings, suite).unwrap();
        let bodies = bodies(&said.borrow());
        (bodies[body][bodies[body].len() - 294..].to_vec(), *session.client.expose())
    };
    let (one, other) = (key_in(Kex::RsaServer, 1, 0), key_in(Kex::RsaServer, 1, 2));
    assert_eq!(one.0, other.0);
    assert_ne!(one.1, other.1, "the secret is new");
    let (one, other) = (key_in(Kex::RsaClient, 2, 0), key_in(Kex::RsaClient, 2, 2));
    assert_ne!(one.0, other.0);
    assert_ne!(one.1, other.1);
}

#[test]
fn the_secret_is_what_the_generator_made_up() {
    let settings = Settings::default();
    let rng = || StdRng::seed_from_u64(7);
    let mut expected = [0; 32];
    rng().fill_bytes(&mut expected);

    let (server, share_s) = Private::generate(Kex::RsaServer, &settings, &mut rng()).unwrap();
    let (client, share_c) = Private::answer(Kex::RsaServer, &share_s, &mut rng()).unwrap();
    assert_eq!(client.agree(&share_s).unwrap().expose(), &expected);
    assert_eq!(server.agree(&share_c).unwrap().expose(), &expected);

    let (server, share_s) = Private::generate(Kex::RsaClient, &settings, &mut rng()).unwrap();
    let (client, share_c) = Private::answer(Kex::RsaClient, &share_s, &mut rng()).unwrap();
    let Last::Send(last) = server.last(&share_c).unwrap() else { panic!("no last body") };
    assert_eq!(client.last(&share_s), Ok(Last::Receive));
    assert_eq!(server.agree(&share_c).unwrap().expose(), &expected);
    assert_eq!(client.agree(&last).unwrap().expose(), &expected);
}

#[test]
fn nobody_gets_rsa_or_fernet_who_did_not_ask_for_it() {
    let any = Allowed::default();
    assert_eq!(any.choose([0, 0]), Ok(Suite { kex: Kex::P256, cipher: Cipher::Cfb }));
}

/// The error that a handshake ends with at the server when the client sends `share_c`.
fn at_the_server(kex: Kex, share_c: &[u8]) -> handshake::Error {
    let (mut client, mut server, _) = ends(0);
    let settings = Settings::default();
    let (private, _) = Private::generate(kex, &settings, &mut server.rng).unwrap();
    client.send(share_c).unwrap();
    let share_c = server.receive().unwrap();
    let suite = Suite { kex, cipher: Cipher::Gcm };
    server.derive(suite, private, &share_c).err().unwrap()
}

#[test]
fn a_server_refuses_what_is_no_share() {
    let share = |error| match error {
        handshake::Error::Share(share) => share,
        other => panic!("{other}"),
    };
    let length = |got| BadShare::Length { got, expected: 256 };
    assert_eq!(share(at_the_server(Kex::RsaServer, &[])), length(0));
    assert_eq!(share(at_the_server(Kex::RsaServer, &[0; 32])), length(32));
    assert_eq!(share(at_the_server(Kex::RsaServer, &[0; 256])), BadShare::Undecryptable);
    // Larger than any modulus.
    assert_eq!(share(at_the_server(Kex::RsaServer, &[0xff; 256])), BadShare::Undecryptable);
    for garbage in [&[][..], &[0; 294], b"\x30"] {
        assert!(matches!(share(at_the_server(Kex::RsaClient, garbage)), BadShare::NotAKey(_)));
    }
}

#[test]
fn a_client_refuses_what_is_no_share() {
    let mut rng = StdRng::seed_from_u64(0);
    let mut answer = |kex, share: &[u8]| Private::answer(kex, share, &mut rng).err();
    for garbage in [&[][..], &[0; 294]] {
        assert!(matches!(answer(Kex::RsaServer, garbage), Some(BadShare::NotAKey(_))));
    }
    let length = BadShare::Length { got: 1, expected: 0 };
    assert_eq!(answer(Kex::RsaClient, &[0]), Some(length));
}

#[test]
fn a_client_refuses_a_last_body_that_is_not_for_it() {
    let last = |body: Option<&[u8]>| {
        let (mut client, mut server, _) = ends(0);
        let (private, _) = Private::answer(Kex::RsaClient, &[], &mut client.rng).unwrap();
        if let Some(body) = body {
            server.send(body).unwrap();
        }
        let suite = Suite { kex: Kex::RsaClient, cipher: Cipher::Gcm };
        client.derive(suite, private, &[]).err().unwrap()
    };
    use handshake::Error::Ended;
    use handshake::Error::Share;
    assert!(matches!(last(None), Ended));
    assert!(matches!(last(Some(&[0; 255])), Share(BadShare::Length { got: 255, expected: 256 })));
    assert!(matches!(last(Some(&[0; 256])), Share(BadShare::Undecryptable)));
}

/// The bodies of the records that hold these.
fn records(key: &Secret, payloads: &[&[u8]]) -> Vec<Vec<u8>> {
    let rng = StdRng::seed_from_u64(0);
    let mut encryptor = crypto::Encryptor::new(Cipher::Fernet, key, rng);
    let record = |payload: &&[u8]| {
        let mut wire = Vec::new();
        let mut frames = Writer::new(&mut wire, "");
        encryptor.push(&mut frames, payload).unwrap();
        frames.write_all().unwrap();
        wire.split_off(frame::HEADER + 1)
    };
    payloads.iter().map(record).collect()
}

fn record(body: &[u8]) -> Frame<'_> {
    Frame { kind: frame::RECORD, body }
}

#[test]
fn a_record_under_fernet_is_a_token_of_now_with_an_iv_of_its_own() {
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let before = now();
    let records = records(&Secret::from([7; 32]), &[b"\x10one", b"\x10one"]);
    let after = now();
    let [one, other] = [&records[0], &records[1]].map(|token| {
        let mut raw = [0; 73];
        assert_eq!(Base64Url::decode(token, &mut raw).unwrap().len(), 73);
        assert_eq!(raw[0], 0x80);
        let made = u64::from_be_bytes(raw[1..9].try_into().unwrap());
        assert!((before..=after).contains(&made), "{before} {made} {after}");
        raw[9..25].to_vec()
    });
    assert_ne!(one, other);
}

#[test]
fn fernet_notices_changes() {
    let key = Secret::from([7; 32]);
    let mut decryptor = crypto::Decryptor::new(Cipher::Fernet, &key);
    let mut records = records(&key, &[b"\x10one", b"\x10two"]);
    let one = Frame { kind: frame::MESSAGE, body: b"one" };
    assert_eq!(decryptor.open(record(&records[0])).unwrap(), Some(one));
    // Another letter of base64.
    records[1][60] = if records[1][60] == b'A' { b'B' } else { b'A' };
    let refused = decryptor.open(record(&records[1])).unwrap_err();
    assert!(matches!(refused, frame::Error::Record(BadRecord::Changed)), "{refused}");
    let refused = decryptor.open(record(b"no token")).unwrap_err();
    assert!(matches!(refused, frame::Error::Record(BadRecord::NotAToken)), "{refused}");
}

/// What the table in `record.rs` says of it. Under GCM each of these is refused.
#[test]
fn fernet_does_not_notice_what_is_repeated_moved_left_out_or_cut_off() {
    let key = Secret::from([7; 32]);
    let records = records(&key, &[b"\x10one", b"\x10two", b"\x10three"]);
    let mut decryptor = crypto::Decryptor::new(Cipher::Fernet, &key);
    for (at, text) in [(2, "three"), (0, "one"), (0, "one")] {
        let frame = decryptor.open(record(&records[at])).unwrap().unwrap();
        assert_eq!(frame.body, text.as_bytes());
    }
    assert_eq!(decryptor.end().unwrap(), None);
}

#[test]
fn fernet_says_nothing_at_the_end() {
    let mut wire = Vec::new();
    let mut frames = Writer::new(&mut wire, "");
    let rng = StdRng::seed_from_u64(0);
    let mut encryptor = crypto::Encryptor::new(Cipher::Fernet, &Secret::from([7; 32]), rng);
    encryptor.close(&mut frames).unwrap();
    drop(frames);
    assert_eq!(wire, b"");
}

/// base64 takes a third more, so less fits into a frame: 98,239 bytes of kind and body.
#[test]
fn the_longest_payload_under_fernet_is_98239_bytes() {
    let key = Secret::from([7; 32]);
    let rng = StdRng::seed_from_u64(0);
    let mut encryptor = crypto::Encryptor::new(Cipher::Fernet, &key, rng);
    let mut payload = vec![frame::MESSAGE; 98_239];
    StdRng::seed_from_u64(1).fill_bytes(&mut payload[1..]);
    let mut wire = Vec::new();
    let mut frames = Writer::new(&mut wire, "");
    encryptor.push(&mut frames, &payload).unwrap();
    frames.write_all().unwrap();
    payload.push(0);
    assert!(encryptor.push(&mut frames, &payload).is_err());
    drop(frames);
    let mut reader = Reader::new(&wire[..], "");
    let mut decryptor = crypto::Decryptor::new(Cipher::Fernet, &key);
    let frame = decryptor.open(reader.read().unwrap().unwrap()).unwrap().unwrap();
    assert_eq!(frame.body, &payload[1..98_239]);
}
