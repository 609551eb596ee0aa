//! Those who do not keep to the login, those who guess, and servers that lie during it.

use std::net::Ipv4Addr;
use std::net::TcpListener;
use std::time::Duration;
use std::time::Instant;

use common::crypto::stretch::stretch;
use common::frame::CHUNK;
use common::frame::CLOSE;
use common::frame::HANDSHAKE;
use common::frame::MESSAGE;
use common::frame::RECORD;
use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use labs::attack::noise;
use labs::attack::noise::Session;
use sha2::Digest;
use sha2::Sha256;
use suite::PATIENCE;

use crate::victims::PASSWORD;
use crate::victims::Victims;

/// The kinds of a login.
pub const WELCOME: u8 = 0x30;
pub const USER: u8 = 0x31;
pub const SALT: u8 = 0x32;
pub const PROOF: u8 = 0x33;
pub const SIGNATURE: u8 = 0x34;
pub const FAIL: u8 = 0x35;

/// All that there are.
const KINDS: [u8; 11] =
    [MESSAGE, CHUNK, CLOSE, HANDSHAKE, RECORD, WELCOME, USER, SALT, PROOF, SIGNATURE, FAIL];
/// In the body of a welcome.
const ACCOUNTS: u8 = 2;
const HELLO: &str = r#"{"type":"hello","chat5":1,"name":"mallory"}"#;
const SAY: &str = r#"{"type":"say","text":"let me in"}"#;

/// A body of this kind that would be taken where the kind is.
fn body(kind: u8, user: &str) -> Vec<u8> {
    match kind {
        MESSAGE => HELLO.replace("mallory", user).into_bytes(),
        WELCOME => vec![ACCOUNTS],
        USER => user.as_bytes().to_vec(),
        SALT => vec![1; 16],
        PROOF | SIGNATURE => vec![1; 32],
        CLOSE | FAIL => Vec::new(),
        _ => vec![1; 40],
    }
}

/// All that still comes, as kind and length, to the end, however that comes.
fn rest(session: &mut Session) -> Vec<(u8, usize)> {
    let frames = std::iter::from_fn(|| session.receives.receive().ok().flatten());
    frames.map(|(kind, body)| (kind, body.len())).collect()
}

#[track_caller]
fn expect(session: &mut Session, kind: u8) -> Vec<u8> {
    let (came, body) = session.receives.receive().expect("it opens").expect("another frame");
    assert_eq!(came, kind);
    body
}

/// Sends the name, behind the welcome; the salt.
fn salt(session: &mut Session, user: &str) -> [u8; 16] {
    assert_eq!(expect(session, WELCOME), [ACCOUNTS]);
    session.sends.send(USER, user.as_bytes()).expect("it is sent");
    expect(session, SALT).try_into().expect("16 bytes")
}

/// Proof and signature, by the formulas of the page and once more.
fn proof(hash: &[u8; 32], user: &str, salt: &[u8; 16]) -> [[u8; 32]; 2] {
    let hmac = |key: &[u8], data: &[u8]| -> [u8; 32] {
        let mac = Hmac::<Sha256>::new_from_slice(key).expect("any key");
        mac.chain_update(data).finalize().into_bytes().into()
    };
    let k = stretch(PASSWORD.as_bytes(), salt).expect("memory");
    let client_key = hmac(k.expose(), b"chat5 client key");
    let stored_key = Sha256::digest(client_key);
    let server_key = hmac(k.expose(), b"chat5 server key");
    let length = [u8::try_from(user.len()).expect("a name")];
    let [m, t] = [19_456_u32, 2].map(u32::to_be_bytes);
    let name = user.as_bytes();
    let a = [b"chat5 login v1", &hash[..], &length, name, salt, &m, &t, &[1]].concat();
    let mask = hmac(&stored_key, &a);
    [std::array::from_fn(|i| client_key[i] ^ mask[i]), hmac(&server_key, &a)]
}

/// A server in this test, for one client.
struct Liar(TcpListener);

impl Liar {
    fn start() -> Liar {
        Liar(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"))
    }

    fn session(&self) -> Session {
        let (tcp, _) = self.0.accept().expect("a client");
        tcp.set_nodelay(true).expect("it is TCP");
        tcp.set_read_timeout(Some(PATIENCE)).expect("no time is too long");
        noise::accept(tcp.try_clone().expect("a second handle"), tcp).expect("a session")
    }
}

#[test]
fn a_proof_is_for_one_session_alone() {
    let victims = Victims::with_accounts(&["alice"]);
    let mut first = victims.guest();
    let salt_of_first = salt(&mut first, "alice");
    let [of_first, signature] = proof(&first.hash, "alice", &salt_of_first);

    // In another session, with the same salt, it is none.
    let mut second = victims.guest();
    assert_eq!(salt(&mut second, "alice"), salt_of_first);
    second.sends.send(PROOF, &of_first).expect("it is sent");
    assert_eq!(rest(&mut second), [(FAIL, 0), (CLOSE, 0)]);

    // In its own it is, and the server knows the password too.
    first.sends.send(PROOF, &of_first).expect("it is sent");
    assert_eq!(expect(&mut first, SIGNATURE), signature);
    // A second time it is nothing.
    first.sends.send(PROOF, &of_first).expect("it is sent");
    let bye = rest(&mut first);
    assert!(!bye.iter().any(|(kind, _)| *kind == SIGNATURE), "{bye:02x?}");
    assert!(!victims.log().contains("joined"));
}

#[test]
fn whatever_does_not_belong_into_a_login_ends_it() {
    let users = (0..64).map(|number| format!("user{number}")).collect::<Vec<_>>();
    let names = ["alice", "bob"].into_iter().chain(users.iter().map(String::as_str));
    let victims = Victims::with_accounts(&names.collect::<Vec<_>>());
    let mut alice = victims.join("alice");
    // Each as somebody else, who has not failed before.
    let mut users = users.iter();
    let mut intrude = |fits: u8, kind: u8, is_plain: bool| {
        let user = users.next().expect("enough of them");
        let mut guest = victims.guest();
        match fits {
            USER => drop(expect(&mut guest, WELCOME)),
            _ => drop(salt(&mut guest, user)),
        }
        let body = body(kind, user);
        let sent = match is_plain {
            true => guest.sends.send_plain(kind, &body),
            false => guest.sends.send(kind, &body),
        };
        sent.expect("it is sent");
        // And on, as if that had done it. Where nobody listens any more it is not sent.
        let _ = guest.sends.send(MESSAGE, HELLO.replace("mallory", user).as_bytes());
        let _ = guest.sends.send(MESSAGE, SAY.as_bytes());
        let came = rest(&mut guest);
        assert!(came.is_empty(), "{fits:02x}, {kind:02x} in plaintext {is_plain}: {came:02x?}");
    };
    for fits in [USER, PROOF] {
        for kind in KINDS {
            // What fits, and what a record is, is for other tests.
            if kind != fits {
                intrude(fits, kind, false);
            }
            if kind != RECORD {
                intrude(fits, kind, true);
            }
        }
    }
    // The next that alice sees is bob.
    let mut bob = victims.join("bob");
    bob.type_line("nobody here?");
    assert_eq!(bob.end().0, Some(0));
    alice.expect(&["* bob joined", "bob: nobody here?", "* bob left"]);
    assert_eq!(alice.end().0, Some(0));
    let log = victims.log();
    assert_eq!(log.matches("joined").count(), 2, "{log}");
}

#[test]
fn whatever_a_server_says_that_does_not_belong_into_a_login_ends_it() {
    let victims = Victims::with_accounts(&["alice"]);
    for fits in [WELCOME, SALT, SIGNATURE] {
        for kind in KINDS {
            // The answer to a proof may be a failure too; see the tests of the one in the middle.
            if kind == fits || (fits, kind) == (SIGNATURE, FAIL) {
                continue;
            }
            let liar = Liar::start();
            let alice = victims.client("alice", liar.0.local_addr().expect("an address"));
            let mut session = liar.session();
            let mut send = |kind| session.sends.send(kind, &body(kind, "alice"));
            if fits != WELCOME {
                send(WELCOME).expect("it is sent");
                assert_eq!(expect(&mut session, USER), b"alice");
            }
            if fits == SIGNATURE {
                session.sends.send(SALT, &body(SALT, "")).expect("it is sent");
                assert_eq!(expect(&mut session, PROOF).len(), 32);
            }
            session.sends.send(kind, &body(kind, "alice")).expect("it is sent");
            // It takes its leave, and says nothing more.
            assert_eq!(rest(&mut session), [(CLOSE, 0)], "{fits:02x}, {kind:02x}");
            drop(session);
            let (code, lines, stderr) = alice.end();
            assert_eq!(code, Some(1), "{fits:02x}, {kind:02x}: {stderr}");
            let shown = lines.concat();
            // It is the kind that it does not take, and not what is in it.
            let is_told = shown.contains(&format!("a frame of kind {kind:02x} came"));
            assert!(is_told || [CLOSE, FAIL].contains(&kind), "{fits:02x}, {kind:02x}: {shown}");
            assert!(!shown.contains("joined"), "{shown}");
            assert_eq!(victims.state.known_servers("alice"), "", "{fits:02x}, {kind:02x}");
        }
    }
}

#[test]
fn a_welcome_that_nobody_knows_and_bodies_of_another_length_end_it() {
    let victims = Victims::with_accounts(&["alice"]);
    for (kind, body) in
        [(WELCOME, vec![3]), (WELCOME, vec![]), (WELCOME, vec![2, 2]), (SALT, vec![1; 15])]
    {
        let liar = Liar::start();
        let alice = victims.client("alice", liar.0.local_addr().expect("an address"));
        let mut session = liar.session();
        if kind == SALT {
            session.sends.send(WELCOME, &[ACCOUNTS]).expect("it is sent");
            assert_eq!(expect(&mut session, USER), b"alice");
        }
        session.sends.send(kind, &body).expect("it is sent");
        assert_eq!(rest(&mut session), [(CLOSE, 0)]);
        drop(session);
        assert_eq!(alice.end().0, Some(1));
        assert_eq!(victims.state.known_servers("alice"), "");
    }
    for (kind, body) in
        [(USER, vec![]), (USER, vec![b'a'; 21]), (USER, vec![0xff]), (PROOF, vec![1; 31])]
    {
        let mut guest = victims.guest();
        match kind {
            USER => drop(expect(&mut guest, WELCOME)),
            _ => drop(salt(&mut guest, "alice")),
        }
        guest.sends.send(kind, &body).expect("it is sent");
        assert_eq!(rest(&mut guest), []);
    }
}

#[test]
fn a_wrong_user_and_a_wrong_password_look_the_same() {
    let victims = Victims::with_accounts(&["alice"]);
    let mut seen = Vec::new();
    let mut salts = Vec::new();
    // The account's own name in another case is no other.
    for user in ["alice", "nobody", "Nobody", "somebody", "ALICE"] {
        let mut guest = victims.guest();
        salts.push(salt(&mut guest, user));
        guest.sends.send(PROOF, &[7; 32]).expect("it is sent");
        seen.push(rest(&mut guest));
    }
    assert_eq!(seen, vec![vec![(FAIL, 0), (CLOSE, 0)]; 5]);
    // A salt is always the same, and another for another name: it does not tell who there is.
    let [alice, nobody, nobody_again, somebody, alice_again] = salts[..] else { panic!("five") };
    assert_eq!((alice, nobody), (alice_again, nobody_again));
    assert!(alice != nobody && nobody != somebody && somebody != alice);
    assert!([alice, nobody].iter().all(|salt| *salt != [0; 16]));
}

/// How long the server takes for the salt, and how long for the answer to a wrong proof.
fn timed(victims: &Victims, user: &str) -> [Duration; 2] {
    let mut guest = victims.guest();
    assert_eq!(expect(&mut guest, WELCOME), [ACCOUNTS]);
    let start = Instant::now();
    guest.sends.send(USER, user.as_bytes()).expect("it is sent");
    expect(&mut guest, SALT);
    let salt = start.elapsed();
    let start = Instant::now();
    guest.sends.send(PROOF, &[7; 32]).expect("it is sent");
    expect(&mut guest, FAIL);
    [salt, start.elapsed()]
}

fn median(times: &[[Duration; 2]], which: usize) -> Duration {
    let mut times = times.iter().map(|times| times[which]).collect::<Vec<_>>();
    times.sort();
    times[times.len() / 2]
}

#[test]
fn a_wrong_user_and_a_wrong_password_are_the_same_work_and_no_argon2() {
    // Nobody twice, for who has failed waits.
    let users = (0..100).map(|number| format!("user{number}")).collect::<Vec<_>>();
    let victims = Victims::with_accounts(&users.iter().map(String::as_str).collect::<Vec<_>>());
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for user in &users {
        known.push(timed(&victims, user));
        unknown.push(timed(&victims, &user.replace("user", "none")));
    }
    let stretched = (0..3).map(|_| {
        let start = Instant::now();
        stretch(PASSWORD.as_bytes(), &[1; 16]).expect("memory");
        start.elapsed()
    });
    let stretched = stretched.min().expect("three");
    for which in [0, 1] {
        let (known, unknown) = (median(&known, which), median(&unknown, which));
        // A factor of two is far more than there is, and far less than a stretched password.
        assert!(known < unknown * 2 && unknown < known * 2, "{known:?}, {unknown:?}");
        assert!(known * 2 < stretched, "{known:?}, {stretched:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn who_guesses_locks_out_nobody_else() {
    const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
    let victims = Victims::with_accounts(&["alice", "bob"]);
    // Many attempts at once: each waits for longer than the one before, to the last ones, for which
    // it is too long.
    let mut guesses = (0..12).map(|_| victims.guest_from(ELSEWHERE)).collect::<Vec<_>>();
    for guess in &mut guesses {
        assert_eq!(expect(guess, WELCOME), [ACCOUNTS]);
        guess.sends.send(USER, b"alice").expect("it is sent");
    }
    let mut is_refused = |guess: &mut Session| {
        let came = guess.receives.receive().ok().flatten();
        came.is_none_or(|(kind, _)| kind != SALT)
    };
    let refused = guesses.iter_mut().rev().position(&mut is_refused);
    assert!(refused.is_some(), "nobody was refused");

    // From another address alice logs in all the same, and from that one another user.
    let alice = victims.join("alice");
    let mut bob = victims.guest_from(ELSEWHERE);
    let salt_of_bob = salt(&mut bob, "bob");
    let [proof_of_bob, signature] = proof(&bob.hash, "bob", &salt_of_bob);
    bob.sends.send(PROOF, &proof_of_bob).expect("it is sent");
    assert_eq!(expect(&mut bob, SIGNATURE), signature);
    assert_eq!(alice.end().0, Some(0));
    // And that one is still not let in as alice from there.
    let mut again = victims.guest_from(ELSEWHERE);
    assert_eq!(expect(&mut again, WELCOME), [ACCOUNTS]);
    let start = Instant::now();
    again.sends.send(USER, b"alice").expect("it is sent");
    let waited = is_refused(&mut again) || start.elapsed() > Duration::from_millis(100);
    assert!(waited, "{:?}", start.elapsed());
    drop((guesses, again, bob));
    assert!(victims.log().contains("alice has failed to log in too often"));
}
