use common::crypto::Secret;
use common::crypto::hmac;
use common::crypto::stretch;
use common::crypto::stretch::SALT;
use common::crypto::unhex;
use common::name::Name;
use serde_json::Value;
use state::accounts::Verifier;
use state::password::Password;

use crate::login::*;

const PASSWORD: &str = "correct horse";
const HASH: [u8; 32] = [5; 32];
const SALT_OF_ALICE: [u8; SALT] = [6; SALT];

/// The session that `docs/interop/noise_vector.py` has printed.
fn known() -> Value {
    let file = include_str!("../../../common/src/crypto/vectors/noise.json");
    serde_json::from_str::<Value>(file).unwrap()["tests"][0].take()
}

fn bytes<const N: usize>(hex: &Value) -> [u8; N] {
    unhex(hex.as_str().unwrap()).unwrap().try_into().unwrap()
}

fn name(name: &str) -> Name {
    name.parse().unwrap()
}

fn flipped<const N: usize>(mut bytes: [u8; N], bit: usize) -> [u8; N] {
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

fn password(text: &str) -> Password {
    Password::new(text.to_owned()).unwrap()
}

/// What the server keeps for alice.
fn kept() -> Verifier {
    verifier(&password(PASSWORD), SALT_OF_ALICE).unwrap()
}

fn client(hash: &[u8; 32], user: &str, salt: &[u8; SALT], text: &str) -> Client {
    Client::new(Login { hash, user: &name(user), salt }, &password(text)).unwrap()
}

fn alice() -> Client {
    client(&HASH, "alice", &SALT_OF_ALICE, PASSWORD)
}

#[test]
fn a_login_is_that_of_another_implementation() {
    let known = known();
    let (hash, known) = (bytes(&known["hash"]), &known["login"]);
    let (user, password) = (known["user"].as_str().unwrap(), known["password"].as_str().unwrap());
    let kept = verifier(&self::password(password), bytes(&known["salt"])).unwrap();
    assert_eq!(kept.stored_key, bytes(&known["stored_key"]));
    assert_eq!(kept.server_key, bytes(&known["server_key"]));
    let stretched = stretch::stretch(password.as_bytes(), &kept.salt).unwrap();
    assert_eq!(*stretched.expose(), bytes(&known["stretched"]));

    let client = client(&hash, user, &kept.salt, password);
    assert_eq!(client.proof, bytes(&known["proof"]));
    let signature = verify(&kept, (&hash, &name(user)), &client.proof).unwrap();
    assert_eq!(signature, bytes(&known["signature"]));
    assert!(client.is_signed(&signature));
}

#[test]
fn every_flipped_bit_of_proof_or_signature_is_refused() {
    let (kept, client) = (kept(), alice());
    let signature = verify(&kept, (&HASH, &name("alice")), &client.proof).unwrap();
    for bit in 0..256 {
        assert_eq!(verify(&kept, (&HASH, &name("alice")), &flipped(client.proof, bit)), None);
        assert!(!client.is_signed(&flipped(signature, bit)), "{bit}");
    }
    assert!(client.is_signed(&signature));
}

#[test]
fn a_proof_is_for_one_session_one_user_one_salt_and_one_password() {
    let kept = kept();
    let alice_is = |client: Client| verify(&kept, (&HASH, &name("alice")), &client.proof).is_some();
    assert!(alice_is(alice()));
    for bit in [0, 100, 255] {
        assert!(!alice_is(client(&flipped(HASH, bit), "alice", &SALT_OF_ALICE, PASSWORD)));
    }
    for user in ["Alice", "alic", "alice_", "bob"] {
        assert!(!alice_is(client(&HASH, user, &SALT_OF_ALICE, PASSWORD)), "{user}");
    }
    assert!(!alice_is(client(&HASH, "alice", &flipped(SALT_OF_ALICE, 127), PASSWORD)));
    for password in ["correct horsE", "correct horse ", " "] {
        assert!(!alice_is(client(&HASH, "alice", &SALT_OF_ALICE, password)));
    }
}

#[test]
fn a_signature_is_for_one_session_and_one_user() {
    let (kept, alice) = (kept(), alice());
    for (hash, user) in [(flipped(HASH, 7), "alice"), (HASH, "bob")] {
        let other = client(&hash, user, &SALT_OF_ALICE, PASSWORD);
        let signature = verify(&kept, (&hash, &name(user)), &other.proof).unwrap();
        assert!(other.is_signed(&signature) && !alice.is_signed(&signature), "{user}");
    }
    // Whoever sends the proof back has not shown anything.
    assert!(!alice.is_signed(&alice.proof));
}

#[test]
fn whoever_has_the_record_alone_makes_no_proof() {
    let (kept, user) = (kept(), name("alice"));
    let mask =
        hmac(&kept.stored_key.into(), &Login { hash: &HASH, user: &user, salt: &kept.salt }.a());
    for guess in [&kept.stored_key, &kept.server_key, &[0; 32]] {
        assert_eq!(verify(&kept, (&HASH, &user), xor(guess, &mask).expose()), None);
    }
}

#[test]
fn an_unknown_user_has_always_the_same_salt_and_no_proof() {
    let secret = Secret::from([8; 32]);
    let salt = |secret: &Secret, user| unknown(secret, &name(user)).salt;
    assert_eq!(salt(&secret, "alice"), salt(&secret, "ALICE"));
    assert_ne!(salt(&secret, "alice"), salt(&secret, "bob"));
    assert_ne!(salt(&secret, "alice"), salt(&Secret::from([9; 32]), "alice"));

    let kept = unknown(&secret, &name("alice"));
    let mac = hmac(&secret, b"alice");
    assert_eq!(kept.salt, mac.expose()[..SALT]);
    let client = client(&HASH, "alice", &kept.salt, PASSWORD);
    let login = Login { hash: &HASH, user: &name("alice"), salt: &kept.salt };
    let mask = hmac(&kept.stored_key.into(), &login.a());
    for proof in [client.proof, [0; 32], *mask.expose()] {
        assert_eq!(verify(&kept, (&HASH, &name("alice")), &proof), None);
    }
}

#[test]
fn a_password_of_a_room_is_one_record_for_every_name() {
    let kept = kept();
    for user in ["alice", "bob", "a", "abcdefghij_lmnopqrst"] {
        let client = client(&HASH, user, &kept.salt, PASSWORD);
        let signature = verify(&kept, (&HASH, &name(user)), &client.proof);
        assert!(signature.is_some_and(|signature| client.is_signed(&signature)), "{user}");
    }
}
