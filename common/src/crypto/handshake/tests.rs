use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use clap::ValueEnum;
use rand::CryptoRng;

use super::*;
use crate::crypto::Settings;
use crate::crypto::kex::BadShare;
use crate::crypto::kex::Private;
use crate::crypto::suite::Cipher;
use crate::crypto::suite::Kex;
use crate::crypto::vectors;
use crate::crypto::vectors::Example;
use crate::crypto::vectors::Given;
use crate::crypto::vectors::KEY_SCHEDULE;

const ANY: Allowed = Allowed { kex: None, cipher: None };
const SUITES: [Suite; 4] = [
    Suite { kex: Kex::P256, cipher: Cipher::Cfb },
    Suite { kex: Kex::P256, cipher: Cipher::Gcm },
    Suite { kex: Kex::X25519, cipher: Cipher::Cfb },
    Suite { kex: Kex::X25519, cipher: Cipher::Gcm },
];
/// Of the two shares; the hellos have [`HELLO`] bytes.
const SHARES: [(Kex, usize); 2] = [(Kex::P256, 65), (Kex::X25519, 32)];
/// The three bodies.
const CLIENT_HELLO: usize = 0;
const ANSWER: usize = 1;
const SHARE: usize = 2;

/// What one side has sent and the other has not read yet. Where nothing is left the stream ends.
#[derive(Clone, Default)]
struct Pipe(Rc<RefCell<VecDeque<u8>>>);

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.borrow_mut().read(buffer)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Pipe {
    fn waiting(&self) -> Vec<u8> {
        self.0.borrow().iter().copied().collect()
    }

    /// A frame is on its way; `change` may change its body if it is one of the handshake.
    fn pass(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.waiting();
        if bytes.get(frame::HEADER) == Some(&frame::HANDSHAKE) {
            let mut body = bytes.split_off(frame::HEADER + 1);
            change(&mut body);
            *self.0.borrow_mut() = framed(frame::HANDSHAKE, &body).into();
        }
    }
}

fn framed(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(1 + body.len()).unwrap();
    [&length.to_be_bytes()[..], &[kind], body].concat()
}

fn generate<R: CryptoRng + ?Sized>(kex: Kex, rng: &mut R) -> Result<(Private, Vec<u8>), BadShare> {
    Private::generate(kex, &Settings::default(), rng)
}

type Side = Handshake<Pipe, Pipe, StdRng>;

fn side(sends: &Pipe, receives: &Pipe, seed: u64) -> Side {
    let writer = Writer::new(sends.clone(), "alice");
    let reader = Reader::new(receives.clone(), "alice");
    Handshake::new(writer, reader, StdRng::seed_from_u64(seed))
}

/// What a client does after its hello, as in the stages' `connection.rs`.
fn client(side: &mut Side, allowed: Allowed) -> Result<Session, Error> {
    let (suite, share_s) = side.receive_answer(allowed)?;
    let (private, share_c) = Private::answer(suite.kex, &share_s, &mut side.rng)?;
    side.send(&share_c)?;
    side.derive(suite, private, &share_s)
}

/// What a server does until it waits for the client's share.
fn answer(side: &mut Side, allowed: Allowed) -> Result<(Suite, Private), Error> {
    let suite = side.receive_hello(allowed)?;
    let (private, share) = generate(suite.kex, &mut side.rng)?;
    side.answer_hello(suite, &share)?;
    Ok((suite, private))
}

/// What a server does after that.
fn finish(side: &mut Side, suite: Suite, private: Private) -> Result<Session, Error> {
    let share = side.receive()?;
    side.derive(suite, private, &share)
}

type Both = (Result<Session, Error>, Result<Session, Error>);

/// A handshake of a client and a server; `change` gets the number of each body and the body.
fn shake(
    client_allows: Allowed,
    server_allows: Allowed,
    change: impl Fn(usize, &mut Vec<u8>),
) -> Both {
    let (up, down) = (Pipe::default(), Pipe::default());
    let (mut c, mut s) = (side(&up, &down, 1), side(&down, &up, 2));
    c.send_hello(client_allows).unwrap();
    up.pass(|body| change(CLIENT_HELLO, body));
    let answered = answer(&mut s, server_allows);
    down.pass(|body| change(ANSWER, body));
    let c = client(&mut c, client_allows);
    up.pass(|body| change(SHARE, body));
    let s = answered.and_then(|(suite, private)| finish(&mut s, suite, private));
    (c, s)
}

/// The same, with a change to one of the bodies.
fn shake_with(allowed: Allowed, at: usize, change: impl Fn(&mut Vec<u8>)) -> Both {
    shake(allowed, ANY, |body, bytes| {
        if body == at {
            change(bytes);
        }
    })
}

fn pinned(suite: Suite) -> Allowed {
    Allowed { kex: Some(suite.kex), cipher: Some(suite.cipher) }
}

/// How a side failed.
fn failed(side: Result<Session, Error>) -> Error {
    side.err().expect("this side has no session")
}

fn keys(session: &Session) -> [[u8; 32]; 2] {
    [*session.client.expose(), *session.server.expose()]
}

#[test]
fn both_sides_have_the_same_keys_and_fingerprint_in_every_suite() {
    let mut all = Vec::new();
    for suite in SUITES {
        let pinned = pinned(suite);
        for (client, server) in [(pinned, ANY), (pinned, pinned), (ANY, pinned)] {
            let (c, s) = shake(client, server, |_, _| {});
            let (c, s) = (c.unwrap(), s.unwrap());
            assert_eq!([c.suite, s.suite], [suite, suite]);
            assert_eq!(keys(&c), keys(&s));
            assert_eq!(c.fingerprint, s.fingerprint);
            assert_eq!(c.random_c, s.random_c);
            all.push((keys(&c), c.fingerprint));
        }
    }
    let (c, s) = shake(ANY, ANY, |_, _| {});
    let default = Suite { kex: Kex::P256, cipher: Cipher::Cfb };
    assert_eq!([c.unwrap().suite, s.unwrap().suite], [default, default]);
    // The first two of each suite are the same: the generators are seeded.
    all.dedup();
    assert_eq!(all.len(), 8);
    assert!(all.iter().all(|([client, server], _)| client != server));
}

#[test]
fn no_two_handshakes_are_the_same() {
    let mut hellos = Vec::new();
    let pipe = Pipe::default();
    for seed in 0..100 {
        let mut side = side(&pipe, &pipe, seed);
        side.send_hello(ANY).unwrap();
        let hello = side.receive().unwrap();
        assert_eq!(hello.len(), HELLO);
        assert_eq!(hello[5..37], side.random_c);
        assert!(!hellos.contains(&hello));
        hellos.push(hello);
    }
}

#[test]
fn the_bytes_and_the_session_are_those_of_another_implementation() {
    for example in vectors::parse::<Example>(KEY_SCHEDULE) {
        let kex = Kex::from_str(&example.kex, false).unwrap();
        let cipher = Cipher::from_str(&example.cipher, false).unwrap();
        let suite = Suite { kex, cipher };
        let [hello, answer, share] = &example.handshake;
        let (up, down) = (Pipe::default(), Pipe::default());
        let (mut c, mut s) = (side(&up, &down, 1), side(&down, &up, 2));

        // Apart from the random bytes, a hello of ours is the one of the example.
        assert_eq!(c.hello(pinned(suite).codes()).1[..5], hello[..5]);
        assert_eq!(c.hello(pinned(suite).codes()).1[37..], hello[37..]);

        c.send(hello).unwrap();
        assert_eq!(up.waiting(), *example.frames[CLIENT_HELLO]);
        assert_eq!(s.receive_hello(ANY).unwrap(), suite);
        let (private_s, share_s) = generate(kex, &mut Given(&example.private_s)).unwrap();
        assert_eq!(answer[HELLO..], share_s);
        s.send(answer).unwrap();
        assert_eq!(down.waiting(), *example.frames[ANSWER]);
        assert_eq!(c.receive_answer(pinned(suite)).unwrap(), (suite, share_s.clone()));
        let (private_c, share_c) = generate(kex, &mut Given(&example.private_c)).unwrap();
        assert_eq!(share[..], share_c);
        c.send(&share_c).unwrap();
        assert_eq!(up.waiting(), *example.frames[SHARE]);
        let share_c = s.receive().unwrap();

        for (side, private, share) in [(&mut c, private_c, &share_s), (&mut s, private_s, &share_c)]
        {
            assert_eq!(side.transcript.clone().finalize()[..], example.salt[..]);
            let session = side.derive(suite, private, share).unwrap();
            let expected = [&example.key_c2s, &example.key_s2c].map(|key| key.to_vec());
            assert_eq!(keys(&session).map(|key| key.to_vec()), expected);
            assert_eq!(session.fingerprint, example.fingerprint);
        }
        assert_eq!(s.random_c, hello[5..37]);
    }
}

#[test]
fn whoever_flips_a_bit_of_the_handshake_leaves_both_sides_with_different_keys_or_none() {
    for (kex, share) in SHARES {
        let allowed = Allowed { kex: Some(kex), cipher: None };
        let mut sessions = 0;
        for (at, length) in [(CLIENT_HELLO, HELLO), (ANSWER, HELLO + share), (SHARE, share)] {
            for bit in 0..length * 8 {
                let (c, s) = shake_with(allowed, at, |body| {
                    assert_eq!(body.len(), length);
                    body[bit / 8] ^= 1 << (bit % 8);
                });
                let (Ok(c), Ok(s)) = (c, s) else { continue };
                sessions += 1;
                let (c_keys, s_keys) = (keys(&c), keys(&s));
                assert!(c_keys.iter().all(|key| !s_keys.contains(key)), "{kex} {at} {bit}");
                assert_ne!(c.fingerprint, s.fingerprint, "{kex} {at} {bit}");
            }
        }
        // All of the random bytes lead to sessions, and shares that are still shares.
        assert!(sessions >= 2 * 256, "{kex} {sessions}");
    }
}

#[test]
fn the_random_bytes_of_both_sides_are_in_the_keys() {
    for at in [CLIENT_HELLO, ANSWER] {
        for byte in 5..37 {
            let (c, s) = shake_with(ANY, at, |body| body[byte] ^= 0x80);
            assert_ne!(keys(&c.unwrap()), keys(&s.unwrap()));
        }
    }
}

#[test]
fn another_choice_made_on_the_way_is_not_agreed_on() {
    // Both sides allow any: somebody between asks for the weaker cipher, or for another exchange.
    for suite in SUITES {
        let (c, s) =
            shake_with(ANY, CLIENT_HELLO, |body| body[37..39].copy_from_slice(&suite.codes()));
        let (c, s) = (c.unwrap(), s.unwrap());
        assert_eq!([c.suite, s.suite], [suite, suite]);
        assert_ne!(keys(&c), keys(&s));
        assert_ne!(c.fingerprint, s.fingerprint);
    }
}

#[test]
fn a_server_that_chooses_what_was_not_allowed_is_refused() {
    for suite in SUITES {
        for codes in (0..=4).flat_map(|kex| (0..=4).map(move |cipher| [kex, cipher])) {
            let (c, s) = shake_with(pinned(suite), ANSWER, |body| {
                body[37..39].copy_from_slice(&codes);
            });
            if codes == suite.codes() {
                assert_eq!(keys(&c.unwrap()), keys(&s.unwrap()));
                continue;
            }
            let (option, code) = if codes[0] != suite.codes()[0] {
                ("--kex", codes[0])
            } else {
                ("--cipher", codes[1])
            };
            let error = failed(c);
            let expected = NoSuite::NotAllowed { option, code };
            assert!(matches!(&error, Error::NoSuite(no) if *no == expected));
            assert!(error.to_string().contains("which this client did not allow"), "{error}");
            assert!(matches!(failed(s), Error::Ended));
        }
    }
    for codes in [[0, 1], [1, 0], [0, 0], [1, 9], [9, 1]] {
        let (c, _) = shake_with(ANY, ANSWER, |body| body[37..39].copy_from_slice(&codes));
        assert!(matches!(failed(c), Error::NoSuite(_)), "{codes:?}");
    }
}

#[test]
fn a_client_that_wants_what_the_server_has_not_is_told_both_names() {
    let [client, server] = [SUITES[3], SUITES[1]].map(pinned);
    let (c, s) = shake(client, server, |_, _| {});
    let other = NoSuite::Other { option: "--kex", wanted: "x25519", spoken: "p256" };
    let (c, s) = (failed(c), failed(s));
    assert!(matches!(&s, Error::NoSuite(no) if *no == other));
    assert!(matches!(&c, Error::Refused(text) if *text == other.to_string()));
    for code in [9, 255] {
        for (at, option) in [(37, "--kex"), (38, "--cipher")] {
            let (c, s) = shake_with(ANY, CLIENT_HELLO, |body| body[at] = code);
            let unknown = NoSuite::Unknown { option, code };
            assert!(matches!(failed(s), Error::NoSuite(no) if no == unknown));
            let text = failed(c).to_string();
            assert!(text.contains(&format!("{option} number {code}")), "{text}");
        }
    }
}

#[test]
fn another_handshake_is_refused_with_what_is_spoken_here() {
    for at in [CLIENT_HELLO, ANSWER] {
        for byte in 0..4 {
            let (c, s) = shake_with(ANY, at, |body| body[byte] ^= 0x20);
            let error = failed(if at == ANSWER { c } else { s });
            assert!(matches!(error, Error::Magic(_)));
            assert!(
                error.to_string().contains("speaks the handshake CHT2"),
                "{}",
                error.to_string()
            );
        }
        for version in (0..=255).filter(|version| *version != VERSION) {
            let (c, s) = shake_with(ANY, at, |body| body[4] = version);
            let error = failed(if at == ANSWER { c } else { s });
            assert!(matches!(error, Error::Version(v)  if v == version));
            let says = format!("version 1 of the handshake, the other side {version}");
            assert!(error.to_string().contains(&says), "{}", error.to_string());
        }
    }
    let hello = b"GET / HTTP/1.1\r\nHost: \x1b[2Jexample.org\r\nAccept: everything there is\r\n";
    let (c, s) = shake_with(ANY, CLIENT_HELLO, |body| *body = hello.to_vec());
    let text = failed(s).to_string();
    assert!(text.contains("GET / HTTP/1.1") && !text.contains(char::is_control), "{text}");
    assert!(text.len() < 200, "{text}");
    assert_eq!(failed(c).to_string(), text, "the client is told");
}

#[test]
fn a_body_of_another_length_is_refused() {
    for (kex, share) in SHARES {
        let allowed = Allowed { kex: Some(kex), cipher: None };
        let whole = [HELLO, HELLO + share, share];
        for at in [CLIENT_HELLO, ANSWER, SHARE] {
            for length in (0..whole[at] + 40).filter(|length| *length != whole[at]) {
                let (c, s) = shake_with(allowed, at, |body| body.resize(length, 0));
                let error = failed(if at == ANSWER { c } else { s });
                let is_expected = match (&error, at) {
                    (Error::Magic(_), CLIENT_HELLO | ANSWER) => (1..4).contains(&length),
                    (Error::Length(got), CLIENT_HELLO) => *got == length,
                    (Error::Length(got), ANSWER) => *got == length && length < HELLO,
                    (Error::Share(BadShare::Length { got, expected }), ANSWER | SHARE) => {
                        *got == length - if at == ANSWER { HELLO } else { 0 } && *expected == share
                    }
                    _ => false,
                };
                assert!(is_expected, "{kex} {at} {length}: {error:?}");
            }
        }
    }
    let text = Error::Length(40).to_string();
    assert!(text.contains("40 bytes instead of 39"), "{text}");
}

#[test]
fn a_share_that_is_none_is_refused_by_either_side() {
    let p256 = |share: &[u8]| (Kex::P256, share.to_vec());
    let off_the_curve = [&[4][..], &[1; 64]].concat();
    let of_form = |form| [&[form][..], &[1; 64]].concat();
    for ((kex, share), expected) in [
        (p256(&off_the_curve), BadShare::NotOnCurve),
        (p256(&of_form(0)), BadShare::Form(0)),
        (p256(&of_form(2)), BadShare::Form(2)),
        (p256(&of_form(3)), BadShare::Form(3)),
        (p256(&of_form(6)), BadShare::Form(6)),
        (p256(&of_form(7)), BadShare::Form(7)),
        (p256(&[0]), BadShare::Length { got: 1, expected: 65 }),
        (p256(&of_form(2)[..33]), BadShare::Length { got: 33, expected: 65 }),
        ((Kex::X25519, vec![0; 32]), BadShare::Known),
        ((Kex::X25519, [&[1][..], &[0; 31]].concat()), BadShare::Known),
        ((Kex::X25519, off_the_curve.clone()), BadShare::Length { got: 65, expected: 32 }),
    ] {
        let allowed = Allowed { kex: Some(kex), cipher: None };
        let (c, _) = shake_with(allowed, ANSWER, |body| {
            body.truncate(HELLO);
            body.extend(&share);
        });
        assert!(matches!(failed(c), Error::Share(bad) if bad == expected), "{expected}");
        let (_, s) = shake_with(allowed, SHARE, |body| body.clone_from(&share));
        assert!(matches!(failed(s), Error::Share(bad) if bad == expected), "{expected}");
    }
}

#[test]
fn a_hello_that_comes_back_to_its_client_is_no_answer() {
    for allowed in SUITES.map(pinned).into_iter().chain([ANY]) {
        let pipe = Pipe::default();
        let mut side = side(&pipe, &pipe, 1);
        side.send_hello(allowed).unwrap();
        let error = failed(client(&mut side, allowed));
        let is_expected = match error {
            Error::NoSuite(_) => allowed == ANY,
            Error::Share(BadShare::Length { got, .. }) => allowed != ANY && got == 0,
            _ => false,
        };
        assert!(is_expected, "{error:?}");
    }
}

/// A side that has received what is given, and where it sends.
fn receiving(bytes: &[u8]) -> (Side, Pipe) {
    let (sent, received) = (Pipe::default(), Pipe::default());
    received.0.borrow_mut().extend(bytes);
    (side(&sent, &received, 1), sent)
}

type Receive = fn(&mut Side) -> Result<(), Error>;

/// How each of the three bodies is received.
fn receive_each() -> [Receive; 3] {
    [
        |side| side.receive_hello(ANY).map(drop),
        |side| side.receive_answer(ANY).map(drop),
        |side| side.receive().map(drop),
    ]
}

#[test]
fn a_stream_that_ends_anywhere_ends_the_handshake() {
    for example in vectors::parse::<Example>(KEY_SCHEDULE) {
        for (at, receive) in receive_each().into_iter().enumerate() {
            let frame = &example.frames[at];
            for end in 0..frame.len() {
                let (mut side, sent) = receiving(&frame[..end]);
                match receive(&mut side) {
                    Err(Error::Ended) => assert_eq!(end, 0),
                    Err(Error::Frame(frame::Error::Truncated)) => assert_ne!(end, 0),
                    other => panic!("{at} {end}: {other:?}"),
                }
                assert!(sent.waiting().is_empty(), "there is nobody to tell");
            }
            receive(&mut receiving(frame).0).unwrap();
        }
    }
    let text = Error::Ended.to_string();
    assert!(text.contains("ended the connection during the handshake"), "{text}");
}

#[test]
fn a_frame_of_another_kind_has_no_place_in_the_handshake() {
    for receive in receive_each() {
        for kind in (0..=255).filter(|kind| *kind != frame::HANDSHAKE) {
            for body in
                [&b""[..], b"{\"type\":\"hello\",\"chat5\":1,\"name\":\"alice\"}", &[0; 104]]
            {
                let error = receive(&mut receiving(&framed(kind, body)).0).unwrap_err();
                assert!(matches!(error, Error::NotAHandshake(refused) if refused == kind));
                let text = error.to_string();
                assert!(text.contains(&format!("a frame of kind {kind:02x} came")), "{text}");
            }
        }
    }
}

#[test]
fn a_server_says_in_plaintext_what_is_wrong_with_a_hello() {
    let hello = [&b"CHT2\x01"[..], &[7; 32], &[0, 0]].concat();
    for (bytes, says) in [
        (framed(frame::MESSAGE, b"{\"type\":\"hello\"}"), "from the same stage"),
        (framed(frame::HANDSHAKE, b""), "a hello of 0 bytes"),
        (framed(frame::HANDSHAKE, b"CHT3"), "CHT2, and the other side began with: CHT3"),
        (framed(frame::HANDSHAKE, b"CHT2\x02"), "version 1 of the handshake, the other side 2"),
        (framed(frame::HANDSHAKE, &hello[..38]), "a hello of 38 bytes instead of 39"),
        (framed(frame::HANDSHAKE, &[&hello[..], &[0]].concat()), "40 bytes instead of 39"),
    ] {
        let (mut side, sent) = receiving(&bytes);
        let error = side.receive_hello(ANY).unwrap_err();
        let mut told = Reader::new(sent, "alice");
        let Ok(Event::Bye(bye)) = message::decode(told.read().unwrap().unwrap()) else { panic!() };
        assert_eq!((bye.reason, bye.text), (Reason::Protocol, error.to_string()));
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(told.read().unwrap(), None);
    }
}

#[test]
fn what_the_other_side_says_of_the_end_is_shown_and_cannot_do_anything() {
    let bye = Event::Bye(Bye::new(Reason::Protocol, "go\r\naway \x1b[2J\u{202e}"));
    let bytes = framed(frame::MESSAGE, &message::encode(&bye).payload()[1..]);
    for receive in receive_each() {
        let error = receive(&mut receiving(&bytes).0).unwrap_err();
        assert!(matches!(error, Error::Refused(_)), "{error:?}");
        assert_eq!(error.to_string(), r"go\u{d}\u{a}away \u{1b}[2J\u{202e}");
    }
}

#[test]
fn what_the_other_side_says_of_the_end_is_short() {
    let bye = Event::Bye(Bye::new(Reason::Protocol, "x".repeat(100_000)));
    let bytes = framed(frame::MESSAGE, &message::encode(&bye).payload()[1..]);
    let text = receiving(&bytes).0.receive_hello(ANY).unwrap_err().to_string();
    assert!(text.starts_with("xxxx") && text.ends_with("bytes more)"), "{text}");
    assert!(text.len() < 500);
}
