//! What `docs/protocol.md` says of the handshake, the login and the records after it. Its examples
//! are made here by the code of this stage, and by `docs/interop/check_protocol_page.py` without it.

use std::fmt::Write as _;

use ciphers::Gcm;
use common::crypto::Decryptor;
use common::crypto::Encryptor;
use common::crypto::KeyLog;
use common::crypto::Secret;
use common::crypto::hex;
use common::crypto::hmac;
use common::crypto::stretch;
use common::frame;
use common::frame::Reader;
use common::frame::Writer;
use common::message;
use common::message::Bye;
use common::message::Event;
use common::message::Reason;
use sha2::Digest;
use sha2::Sha256;
use state::key;
use state::password::Password;
use suite::pages::Page;
use suite::pages::Project;
use suite::pages::hex as page_hex;

use super::*;
use crate::login;
use crate::login::Login;

const USER: &str = "alice";
const PASSWORD: &str = "correct horse";

/// Bytes as the page shows them.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn add(&mut self, bytes: &[u8], meaning: &str) {
        let mut meaning = Some(meaning);
        for bytes in bytes.chunks(16) {
            let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
            match meaning.take() {
                Some(meaning) => writeln!(self.0, "{hex:<47} | {meaning}").unwrap(),
                None => writeln!(self.0, "{hex}").unwrap(),
            }
        }
    }

    fn header(&mut self, who: &str, kind: &str, body: &[u8], number: u8) {
        self.0.push('\n');
        let length = u32::try_from(body.len() + 1).unwrap();
        self.add(&length.to_be_bytes(), &format!("{who}length: {length}"));
        self.add(&[number], &format!("kind: {kind}"));
    }
}

/// One direction of the session: what sends, and what receives it.
struct Way {
    who: &'static str,
    encryptor: Encryptor,
    decryptor: Decryptor,
}

impl Way {
    fn new(who: &'static str, key: &Secret) -> Way {
        let [encrypts, decrypts] = [(); 2].map(|()| CipherState::rekeying(key));
        Way { who, encryptor: encrypts.into(), decryptor: decrypts.into() }
    }

    fn send(&mut self, lines: &mut Lines, payload: &[u8], what: &str) {
        let mut wire = Vec::new();
        let mut frames = Writer::new(&mut wire, "");
        match payload {
            [frame::CLOSE] => self.encryptor.close(&mut frames).unwrap(),
            _ => self.encryptor.push(&mut frames, payload).unwrap(),
        }
        frames.write_all().unwrap();
        let mut frames = Reader::new(wire.as_slice(), "");
        let record = frames.read().unwrap().unwrap();
        let (ciphertext, tag) = record.body.split_last_chunk::<16>().unwrap();
        lines.header(&format!("{}, ", self.who), "record", record.body, record.kind);
        lines.add(ciphertext, &format!("ciphertext of {what}"));
        lines.add(tag, "tag");
        let opened = self.decryptor.open(record).unwrap();
        let opened = opened.map(|frame| [&[frame.kind], frame.body].concat());
        assert_eq!(opened, Some(payload.to_vec()).filter(|payload| *payload != [frame::CLOSE]));
    }
}

fn page() -> Page {
    let mut project = Project::this();
    let at = project.pages.iter().position(|page| page.path == "docs/protocol.md").unwrap();
    project.pages.swap_remove(at)
}

/// The block of this name, or the first that begins so, has to be this.
#[track_caller]
fn expect(page: &Page, begins: &str, shown: &str) {
    let is_it = |block: &&suite::pages::Block| {
        block.line.text == begins || block.line.text == "text" && block.text.starts_with(begins)
    };
    let block = page.blocks.iter().find(is_it);
    let text = block.map_or("", |block| &block.text);
    assert!(text == shown, "docs/protocol.md, {begins}: what belongs there is\n\n{shown}");
}

fn session() -> (Session, Session, [Vec<u8>; 2]) {
    let known = known();
    let s = PrivateKey::from(key(&known["private_s"]));
    let (client, message) = Initiator::start(&mut Given(key(&known["private_e_c"])));
    let (answer, at_server) =
        respond(&message, &s, &mut Given(key(&known["private_e_s"]))).unwrap();
    let (at_client, _) = client.finish(&answer).unwrap();
    (at_client, at_server, [message, answer])
}

/// Noise, section 4.3, with HMAC alone.
fn hkdf(ck: &Secret, data: &[u8]) -> [Secret; 2] {
    let prk = hmac(ck, data);
    let first = hmac(&prk, &[1]);
    let second = hmac(&prk, &[&first.expose()[..], &[2]].concat());
    [first, second]
}

/// The steps of the handshake, with what is forgotten after it; they lead to the same session.
fn steps(lines: &mut Lines, session: &Session, [message, answer]: &[Vec<u8>; 2]) {
    let known = known();
    let [e_s, s] = ["private_e_s", "private_s"].map(|name| PrivateKey::from(key(&known[name])));
    let (hello_c, e_c) = message.split_last_chunk::<32>().unwrap();
    let (hello_s, rest) = answer.split_at(HELLO_S.len());
    let (public_e_s, rest) = rest.split_at(32);
    let (enc_s, tag) = rest.split_at(48);
    let (mut h, mut ck) = (*NAME, Secret::from(*NAME));
    let mix = |h: &mut [u8; 32], data: &[u8]| {
        *h = Sha256::new().chain_update(*h).chain_update(data).finalize().into();
    };
    mix(&mut h, &[hello_c, hello_s].concat());
    lines.add(&h, "h after the prologue");
    for data in [e_c, &b""[..], public_e_s] {
        mix(&mut h, data);
    }
    lines.add(&h, "h after e_s");
    let steps = [
        (e_s, enc_s, ["ee: DH(e_s, e_c)", "ck after ee", "k of enc_s", "h after enc_s"]),
        (
            s,
            tag,
            ["es: DH(s, e_c)", "ck after es", "k of tag", "h after tag, the hash of the handshake"],
        ),
    ];
    for (private, sealed, [secret, of_ck, of_k, of_h]) in steps {
        let shared = private.diffie_hellman(&PublicKey::from(*e_c));
        lines.add(shared.as_bytes(), secret);
        let [next, k] = hkdf(&ck, shared.as_bytes());
        ck = next;
        lines.add(ck.expose(), of_ck);
        lines.add(k.expose(), of_k);
        let (ciphertext, tag) = sealed.split_last_chunk().unwrap();
        let mut text = vec![0; ciphertext.len()];
        Gcm::new(k.expose()).open(&[0; 12], &h, (ciphertext, tag), &mut text).unwrap();
        if !text.is_empty() {
            assert_eq!(text, bytes(&known["public_s"]));
            lines.add(&text, "s, the server's public key, within enc_s");
        }
        mix(&mut h, sealed);
        lines.add(&h, of_h);
    }
    let keys = hkdf(&ck, &[]).map(|key| *key.expose());
    assert_eq!((h, keys), (session.hash, [*session.client.expose(), *session.server.expose()]));
}

fn messages(lines: &mut Lines, [message, answer]: &[Vec<u8>; 2]) {
    let suite = "suite: Noise_NX_25519_AESGCM_SHA256";
    lines.header("", "handshake", message, frame::HANDSHAKE);
    lines.add(&message[..4], "CHT5");
    lines.add(&message[4..5], "version");
    lines.add(&message[5..6], "suites: 1");
    lines.add(&message[6..7], suite);
    lines.add(&message[7..], "e_c");
    lines.header("", "handshake", answer, frame::HANDSHAKE);
    lines.add(&answer[..4], "CHT5");
    lines.add(&answer[4..5], "version");
    lines.add(&answer[5..6], suite);
    lines.add(&answer[6..38], "e_s");
    lines.add(&answer[38..86], "enc_s");
    lines.add(&answer[86..], "tag");
}

/// What both sides compute for the login; proof and signature.
fn login(lines: &mut Lines, hash: &[u8; 32], salt: [u8; 16]) -> [[u8; 32]; 2] {
    let (user, password) = (USER.parse().unwrap(), Password::new(PASSWORD.to_owned()).unwrap());
    let k = stretch::stretch(PASSWORD.as_bytes(), &salt).unwrap();
    let kept = login::verifier(&password, salt).unwrap();
    let attempt = Login { hash, user: &user, salt: &salt };
    let client = login::Client::new(attempt, &password).unwrap();
    let signature = login::verify(&kept, (hash, &user), &client.proof).unwrap();
    let a = attempt.a();
    let client_key = login::xor(&client.proof, &hmac(&kept.stored_key.into(), &a));

    lines.0.push('\n');
    lines.add(PASSWORD.as_bytes(), &format!("password: {PASSWORD}"));
    lines.add(&salt, "salt");
    lines.add(k.expose(), "K");
    lines.add(client_key.expose(), "CK");
    lines.add(&kept.stored_key, "SK");
    lines.add(&kept.server_key, "VK");
    lines.add(&a, "A");
    lines.add(&client.proof, "proof");
    lines.add(&signature, "signature");
    [client.proof, signature]
}

/// Kind and body of the messages in the section of the login.
fn payloads(page: &Page) -> [Vec<u8>; 2] {
    let is_here = |block: &&suite::pages::Block| {
        block.line.section == "The login" && page_hex::is_message(block)
    };
    let blocks = page.blocks.iter().filter(is_here);
    let frames = blocks.map(|block| page_hex::message(block).unwrap().1);
    let payloads = frames.map(|frame| frame[frame::HEADER..].to_vec()).collect::<Vec<_>>();
    payloads.try_into().expect("a request and an event")
}

#[test]
fn a_login_is_what_the_page_shows() {
    let (page, known) = (page(), known());
    let (session, at_server, both) = session();
    assert_eq!(session.hash, at_server.hash);
    let mut lines = Lines::default();
    for (name, meaning) in [
        ("private_e_c", "the client's private key for this connection"),
        ("private_e_s", "the server's private key for this connection"),
        ("private_s", "the server's own private key"),
    ] {
        lines.add(&bytes(&known[name]), meaning);
    }
    messages(&mut lines, &both);
    lines.0.push('\n');
    steps(&mut lines, &session, &both);
    lines.add(session.client.expose(), "the client's key, c2s");
    lines.add(session.server.expose(), "the server's key, s2c");
    let shown = session.to_string();
    let (_, digits) = shown.split_once("fingerprint=").unwrap();
    let hash = Sha256::new().chain_update("chat5 fingerprint").chain_update(session.hash);
    for (bytes, digits) in hash.finalize().chunks(5).zip(digits.split('-')) {
        lines.add(bytes, &format!("fingerprint: {digits}"));
    }
    let salt = bytes(&known["login"]["salt"]).try_into().unwrap();
    let [proof, signature] = login(&mut lines, &session.hash, salt);

    let (mut client, mut server) =
        (Way::new("client", &session.client), Way::new("server", &session.server));
    let [request, event] = payloads(&page);
    let welcome = [login::WELCOME, login::ACCOUNTS];
    let step = |kind: u8, body: &[u8]| [&[kind], body].concat();
    server.send(&mut lines, &welcome, "the welcome 30 02: accounts");
    client.send(&mut lines, &step(login::USER, USER.as_bytes()), "the user 31 alice");
    server.send(&mut lines, &step(login::SALT_OF_USER, &salt), "32 and the salt");
    client.send(&mut lines, &step(login::PROOF, &proof), "33 and the proof");
    server.send(&mut lines, &step(login::SIGNATURE, &signature), "34 and the signature");
    client.send(&mut lines, &request, "10 and the request");
    server.send(&mut lines, &event, "10 and the event");
    client.send(&mut lines, &[frame::CLOSE], "the close 12");
    expect(&page, "bytes noise", &lines.0);
    expect(&page, "session: kex=noise-nx", &format!("{shown}\n"));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let keylog = KeyLog::append(&path).unwrap();
    session.log_keys(&keylog).unwrap();
    expect(&page, "CHAT5_C2S ", &std::fs::read_to_string(path).unwrap());
    let public = key(&known["public_s"]);
    let forms = format!("{}\n{}\n", hex(&public), key::fingerprint(&public));
    expect(&page, &hex(&public), &forms);
}

/// With the library under [`CipherState`], whose counter nobody sets; that it does the same at 2^20
/// is tested beside it, with these very records.
#[test]
fn a_new_key_is_what_the_page_shows() {
    let (session, ..) = session();
    let mut lines = Lines::default();
    let seal = |key: &[u8; 32], n: u64, text: &[u8]| {
        let mut sealed = text.to_vec();
        let nonce = [&[0; 4][..], &n.to_be_bytes()].concat().try_into().unwrap();
        let tag = Gcm::new(key).seal(&nonce, &[], &mut sealed).unwrap();
        [sealed, tag.to_vec()].concat()
    };
    let text = b"\x10hi";
    let ways = [("client", "c2s", &session.client), ("server", "s2c", &session.server)];
    for (who, way, first) in ways {
        let known = &known()[way];
        if who == "server" {
            lines.0.push('\n');
        }
        lines.add(first.expose(), &format!("the {who}'s key, {way}"));
        lines.add(&bytes(&known["first"]), "record 0 with 10 68 69");
        lines.add(&bytes(&known["last"]), "record 2^20 - 1 with the same");
        assert_eq!(seal(first.expose(), REKEY - 1, text), bytes(&known["last"]));
        let second: [u8; 32] = seal(first.expose(), u64::MAX, &[0; 32])[..32].try_into().unwrap();
        lines.add(&second, "the key after it");
        assert_eq!(seal(&second, REKEY, text), bytes(&known["rekeyed"]));
        lines.add(&bytes(&known["rekeyed"]), "record 2^20 with the same");
    }
    expect(&page(), "bytes rekey", &lines.0);
}

#[test]
fn a_refusal_is_said_as_on_the_page() {
    let page = page();
    let refusals = [
        ("begins with `CHT2`", [b"CHT2\x01".to_vec(), vec![0; 34]].concat()),
        ("begins with something else, escaped here", b"\xe2\x80\xa6".to_vec()),
        ("is of another version", b"CHT5\x02".to_vec()),
        ("has a length that does not fit", [HELLO_C, &[0; 31]].concat()),
        ("has no suite that is known", [b"CHT5\x01\x01\x02", &[9; 32][..]].concat()),
        ("makes a secret that is all zero", [HELLO_C, &[0; 32]].concat()),
    ];
    let rows = page.rows("Stage 5's handshake", "");
    for (what, message) in &refusals {
        let said = refusal(answer(message)).to_string();
        // What is cut out here stands for what the other side sent.
        let row = [*what, &format!("`{said}`")];
        assert!(rows.iter().any(|cells| cells[..] == row), "there has to be the row {row:?}");
    }
    let said = refusal(answer(&refusals[4].1)).to_string();
    let bye = Event::Bye(Bye::new(Reason::Protocol, said));
    let frame = message::encode(&bye);
    let is_it = |block: &&suite::pages::Block| {
        block.line.section == "Stage 5's handshake" && page_hex::is_message(block)
    };
    let block = page.blocks.iter().find(is_it).expect("an example of a refusal");
    assert_eq!(page_hex::message(block).unwrap().1[frame::HEADER..], *frame.payload());
}
