//! The worked examples of cryptography in `docs/protocol.md`, made by the code that the stages use.
//!
//! What is random in life is fixed here: private keys, and the salt and nonce of a secret, are bytes
//! that count; the rest comes from a generator with a fixed seed, and is on the wire anyway.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::io::Read;
use std::io::Write;
use std::rc::Rc;

use argon2::Algorithm;
use argon2::Argon2;
use argon2::Params;
use argon2::Version;
use common::crypto::Decryptor;
use common::crypto::Encryptor;
use common::crypto::Handshake;
use common::crypto::KeyLog;
use common::crypto::Private;
use common::crypto::Session;
use common::crypto::Settings;
use common::crypto::secret;
use common::crypto::suite::Allowed;
use common::crypto::suite::Cipher;
use common::crypto::suite::Kex;
use common::crypto::suite::Suite;
use common::frame;
use common::frame::Reader;
use common::frame::Writer;
use common::message;
use common::message::Event;
use rand::SeedableRng;
use rand::TryCryptoRng;
use rand::TryRng;
use rand::rngs::StdRng;
use sha2::Digest;
use sha2::Sha256;

/// A session, from the first byte to the first records, and what was measured on the way.
pub struct Example {
    /// As the page shows it.
    pub shown: String,
    /// Its lines in a key log.
    pub keylog: String,
    /// Bytes of the client's hello, and of its share.
    pub hello: usize,
    pub share: usize,
    /// Bytes that a record adds to what is in it, and the most that it takes.
    pub overhead: usize,
    pub most: usize,
}

/// The session in which `client` says what it allows and then sends `request`, kind · body, to which
/// the server answers with `event`.
pub fn session(client: Allowed, request: &[u8], event: &[u8]) -> Example {
    let mut lines = Lines::default();
    let (private_c, private_s) = (counting::<32>(0x01), counting::<32>(0x21));
    lines.add(&private_c, "the client's private key");
    lines.add(&private_s, "the server's private key");

    let (mut client, mut server, wire) = sides(client);
    client.handshake.send_hello(client.allowed).expect("a hello");
    let hello = lines.handshake(&wire.to_server.sent(), |lines, body| lines.hello(body, true));
    let suite = server.handshake.receive_hello(server.allowed).expect("a suite");
    let (_, share_s) = key_pair(suite.kex, private_s);
    server.handshake.answer_hello(suite, &share_s).expect("an answer");
    let answer = lines.handshake(&wire.to_client.sent(), |lines, body| lines.hello(body, false));
    let (chosen, share_s) = client.handshake.receive_answer(client.allowed).expect("an answer");
    assert_eq!(chosen, suite);
    let (_, share_c) = key_pair(suite.kex, private_c);
    client.handshake.send(&share_c).expect("a share");
    let last = lines.handshake(&wire.to_server.sent(), |lines, body| lines.add(body, "share_c"));
    let share_c = server.handshake.receive().expect("a share");

    let agree = |private, share: &[u8]| {
        key_pair(suite.kex, private).0.agree(share).expect("a share that is right")
    };
    let secret = agree(private_c, &share_s);
    let key_pair = |private| key_pair(suite.kex, private).0;
    let session = client.handshake.derive(suite, key_pair(private_c), &share_s).expect("a session");
    let theirs = server.handshake.derive(suite, key_pair(private_s), &share_c).expect("a session");
    assert_eq!(keys(&session), keys(&theirs), "both sides have the same");

    let salt = <[u8; 32]>::from(Sha256::digest([hello.as_slice(), &answer, &last].concat()));
    let by_hand = Session::derive(suite, session.random_c, salt, &secret);
    assert_eq!(keys(&session), keys(&by_hand), "the salt that the page shows is theirs");
    lines.gap();
    lines.add(secret.expose(), "shared secret");
    lines.add(&salt, "salt");
    lines.add(session.client.expose(), "the client's key, c2s");
    lines.add(session.server.expose(), "the server's key, s2c");
    let hash = Sha256::new().chain_update("chat2 fingerprint").chain_update(salt).finalize();
    let digits = session.fingerprint.split('-').collect::<Vec<_>>();
    assert_eq!(digits.len(), 4);
    for (bytes, digits) in hash.chunks(5).zip(digits) {
        lines.add(bytes, &format!("fingerprint: {digits}"));
    }

    let records = Encryptor::new(suite.cipher, &session.client, client.handshake.rng);
    let mut to_server = Half { frames: client.handshake.writer, records };
    let mut from_client = Decryptor::new(suite.cipher, &session.client);
    let records = Encryptor::new(suite.cipher, &session.server, server.handshake.rng);
    let mut to_client = Half { frames: server.handshake.writer, records };
    let mut from_server = Decryptor::new(suite.cipher, &session.server);

    let record = to_server.send(&wire.to_server, request);
    lines.record(&record, suite.cipher, "the request");
    assert_eq!(opened(&mut from_client, &mut server.handshake.reader), Some(request.to_vec()));
    let overhead = record.len() - frame::HEADER - 1 - request.len();
    let record = to_client.send(&wire.to_client, event);
    lines.record(&record, suite.cipher, "the event");
    assert_eq!(opened(&mut from_server, &mut client.handshake.reader), Some(event.to_vec()));
    to_server.records.close(&mut to_server.frames).expect("a close");
    let close = wire.to_server.sent();
    assert_eq!(close.is_empty(), suite.cipher == Cipher::Cfb, "only an AEAD can say so");
    if !close.is_empty() {
        lines.record(&close, suite.cipher, "the close");
        assert_eq!(opened(&mut from_client, &mut server.handshake.reader), None);
    }

    let mut fits = |length: &usize| {
        let Half { frames, records } = &mut to_client;
        records.push(frames, &vec![frame::MESSAGE; *length]).is_ok()
    };
    let around = frame::MAX_LENGTH - 100..frame::MAX_LENGTH + 1;
    let most = around.rev().find(&mut fits).expect("a length that fits");
    let (shown, keylog) = (lines.shown, keylog(&session));
    Example { shown, keylog, hello: hello.len(), share: share_c.len(), overhead, most }
}

/// What a server that has only p256 answers to a client that wants only x25519.
pub fn refusal() -> Vec<u8> {
    let pinned = |kex| Allowed { kex: Some(kex), cipher: None };
    let (mut client, mut server, wire) = sides(pinned(Kex::X25519));
    client.handshake.send_hello(client.allowed).expect("a hello");
    server.handshake.receive_hello(pinned(Kex::P256)).expect_err("there is no such suite");
    wire.to_client.sent()
}

/// How the page shows a secret, and the secret.
pub fn secret(key: &str, text: &str, from: &str, to: &str) -> (String, Vec<u8>) {
    let (salt, nonce) = (counting::<16>(0x01), counting::<12>(0x11));
    let mut rng = Fixed([&salt[..], &nonce].concat().into());
    let names = (from.parse().expect(from), to.parse().expect(to));
    let sealed = secret::seal(key, text, (&names.0, &names.1), &mut rng).expect("memory");

    let mut stretched = [0; 32];
    let params = Params::new(19_456, 2, 1, None).expect("parameters");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(key.as_bytes(), &salt, &mut stretched)
        .expect("memory");
    let length = |name: &str| vec![u8::try_from(name.len()).expect("a short name")];
    let data = [b"chat5 secret v1".to_vec(), length(from), from.into(), length(to), to.into()];

    let mut lines = Lines::default();
    lines.add(key.as_bytes(), &format!("KEY: {key}"));
    lines.add(&salt, "salt");
    lines.add(&stretched, "the key that Argon2id makes of them");
    lines.add(&nonce, "nonce");
    lines.add(&data.concat(), "associated data");
    lines.add(text.as_bytes(), &format!("text: {text}"));
    let (ciphertext, tag) = sealed[28..].split_at(text.len());
    lines.add(ciphertext, "ciphertext");
    lines.add(tag, "tag");
    (lines.shown, sealed)
}

/// One side of a handshake.
struct Side {
    handshake: Handshake<Pipe, Pipe, StdRng>,
    allowed: Allowed,
}

struct Wire {
    to_server: Pipe,
    to_client: Pipe,
}

fn sides(client: Allowed) -> (Side, Side, Wire) {
    let wire = Wire { to_server: Pipe::default(), to_client: Pipe::default() };
    let side = |write: &Pipe, read: &Pipe, seed, allowed| {
        let (writer, reader) = (Writer::new(write.clone(), ""), Reader::new(read.clone(), ""));
        Side { handshake: Handshake::new(writer, reader, StdRng::from_seed([seed; 32])), allowed }
    };
    let client = side(&wire.to_server, &wire.to_client, 1, client);
    let server = side(&wire.to_client, &wire.to_server, 2, Allowed::default());
    (client, server, wire)
}

fn key_pair(kex: Kex, private: [u8; 32]) -> (Private, Vec<u8>) {
    Private::generate(kex, &Settings::default(), &mut Fixed(private.into())).expect("no RSA")
}

fn keys(session: &Session) -> ([u8; 32], [u8; 32], &str) {
    (*session.client.expose(), *session.server.expose(), &session.fingerprint)
}

fn keylog(session: &Session) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keys");
    KeyLog::append(&path).expect("a file").write(session, None).expect("two lines");
    fs::read_to_string(path).expect("two lines")
}

struct Half {
    frames: Writer<Pipe>,
    records: Encryptor,
}

impl Half {
    /// Sends kind · body in a record; what is on the wire then.
    fn send(&mut self, wire: &Pipe, payload: &[u8]) -> Vec<u8> {
        self.records.push(&mut self.frames, payload).expect("a record");
        self.frames.write_all().expect("a pipe takes everything");
        wire.sent()
    }
}

/// kind · body within the next record, `None` if it is a close.
fn opened(records: &mut Decryptor, frames: &mut Reader<Pipe>) -> Option<Vec<u8>> {
    let record = frames.read().expect("a frame").expect("a frame");
    let frame = records.open(record).expect("a record")?;
    Some([&[frame.kind], frame.body].concat())
}

/// So many bytes that count up.
fn counting<const LENGTH: usize>(from: u8) -> [u8; LENGTH] {
    let mut next = from..;
    [(); LENGTH].map(|()| next.next().expect("a byte"))
}

/// One direction of a connection, in memory; clones are the same.
#[derive(Clone, Default)]
struct Pipe(Rc<RefCell<VecDeque<u8>>>);

impl Pipe {
    /// What is on its way.
    fn sent(&self) -> Vec<u8> {
        self.0.borrow().iter().copied().collect()
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.borrow_mut().read(buffer)
    }
}

impl Write for Pipe {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A generator of these bytes and no others.
struct Fixed(VecDeque<u8>);

impl TryRng for Fixed {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.read_exact(bytes).expect("as many bytes as are asked for");
        Ok(())
    }
}

impl TryCryptoRng for Fixed {}

/// Bytes as pages show them: on the left what they are, on the right what they mean.
#[derive(Default)]
pub struct Lines {
    pub shown: String,
}

impl Lines {
    pub fn add(&mut self, bytes: &[u8], meaning: &str) {
        let mut meaning = Some(meaning);
        for bytes in bytes.chunks(16) {
            let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
            match meaning.take() {
                Some(meaning) => writeln!(self.shown, "{hex:<47} | {meaning}"),
                None => writeln!(self.shown, "{hex}"),
            }
            .expect("a String takes everything");
        }
    }

    pub fn gap(&mut self) {
        self.shown.push('\n');
    }

    fn header(&mut self, frame: &[u8], kind: &str) {
        self.gap();
        let (length, payload) = frame.split_at(frame::HEADER);
        self.add(length, &format!("length: {}", payload.len()));
        self.add(&payload[..1], &format!("kind: {kind}"));
    }

    /// A frame whose body `show` adds; the body.
    fn handshake(&mut self, frame: &[u8], show: impl FnOnce(&mut Lines, &[u8])) -> Vec<u8> {
        self.header(frame, "handshake");
        let body = &frame[frame::HEADER + 1..];
        show(self, body);
        body.to_vec()
    }

    fn hello(&mut self, body: &[u8], of_client: bool) {
        let (random, choice) = match of_client {
            true => ("random_c", ["kex: any", "cipher: any"]),
            false => ("random_s", ["", ""]),
        };
        self.add(&body[..4], "CHT2");
        self.add(&body[4..5], "version");
        self.add(&body[5..37], random);
        let codes = [body[37], body[38]];
        let suite = Allowed::default()
            .check(codes)
            .map(|Suite { kex, cipher }| [format!("kex: {kex}"), format!("cipher: {cipher}")]);
        let [kex, cipher] = suite.unwrap_or(choice.map(str::to_owned));
        self.add(&codes[..1], &kex);
        self.add(&codes[1..], &cipher);
        self.add(&body[39..], "share_s");
    }

    fn record(&mut self, frame: &[u8], cipher: Cipher, what: &str) {
        self.header(frame, "record");
        let body = &frame[frame::HEADER + 1..];
        match cipher {
            Cipher::Cfb => {
                self.add(&body[..16], "IV");
                self.add(&body[16..], &format!("ciphertext of {what}"));
            }
            _ => {
                let (ciphertext, tag) = body.split_at(body.len() - 16);
                self.add(ciphertext, &format!("ciphertext of {what}"));
                self.add(tag, "tag");
            }
        }
    }
}

/// The event in a frame that was sent in plaintext.
pub fn event(frame: &[u8]) -> Event {
    let mut reader = Reader::new(frame, "");
    let frame = reader.read().expect("a frame").expect("a frame");
    message::decode(frame).expect("an event")
}
