//! The login, in records: a password proves itself, and is not said. It has the shape of SCRAM (RFC
//! 5802), and is bound to the handshake by its hash `h`: what proves it in one session proves nothing
//! in another, so nobody between the two can pass it on.
//!
//! ```text
//! S→C  welcome     C→S  user     S→C  salt     C→S  proof     S→C  signature, or fail
//!
//! K  = Argon2id(password, salt)          CK = HMAC(K, "chat5 client key")    SK = SHA-256(CK)
//!                                        VK = HMAC(K, "chat5 server key")
//! A  = "chat5 login v1" ‖ h ‖ length(1) ‖ user ‖ salt ‖ m(4) ‖ t(4) ‖ p(1)
//! proof = CK xor HMAC(SK, A)             signature = HMAC(VK, A)
//! ```
//!
//! The server keeps salt, SK and VK. It cannot compute CK, but gets it out of the proof: SK says
//! whether it is the right one. The signature shows the client that the server has VK.

use anyhow::Result;
use common::crypto::Secret;
use common::crypto::hmac;
use common::crypto::sha256;
use common::crypto::stretch;
use common::crypto::stretch::SALT;
use common::name::Name;
use state::accounts::Verifier;
use state::password::Password;
use subtle::ConstantTimeEq;
use thiserror::Error;

/// The kinds of its frames. A welcome is one byte, see [`OPEN`], [`ROOM`] and [`ACCOUNTS`].
pub const WELCOME: u8 = 0x30;
/// The name of who logs in, as text of 1 to 20 bytes.
pub const USER: u8 = 0x31;
/// 16 bytes.
pub const SALT_OF_USER: u8 = 0x32;
/// 32 bytes.
pub const PROOF: u8 = 0x33;
/// 32 bytes.
pub const SIGNATURE: u8 = 0x34;
/// Nothing: neither whether there is such a user nor what is wrong.
pub const FAIL: u8 = 0x35;

/// What `A` begins with.
const PURPOSE: &[u8] = b"chat5 login v1";
/// What a password's two keys are made of.
const CLIENT_KEY: &[u8] = b"chat5 client key";
const SERVER_KEY: &[u8] = b"chat5 server key";

/// In a welcome: everybody may come in, and there is no login.
pub const OPEN: u8 = 0;
/// Who knows the password of the room may come in, under any name.
pub const ROOM: u8 = 1;
/// Who has an account may come in, under its name.
pub const ACCOUNTS: u8 = 2;

/// What both sides know about one login before there is a proof.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    /// The hash of the handshake.
    pub hash: &'a [u8; 32],
    /// As the client has said it.
    pub user: &'a Name,
    /// As the server has said it.
    pub salt: &'a [u8; SALT],
}

/// The server did not take the proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the server lets you try no password now: come again in some seconds, or ask who runs it")]
pub struct Failed;

/// What the server keeps of a password: enough to check a proof, and not to make one.
pub fn verifier(password: &Password, salt: [u8; SALT]) -> Result<Verifier> {
    let k = stretch::stretch(password.expose().as_bytes(), &salt)?;
    let stored_key = *sha256(&hmac(&k, CLIENT_KEY)).expose();
    Ok(Verifier { salt, stored_key, server_key: *hmac(&k, SERVER_KEY).expose() })
}

/// For a user who does not exist: always the same salt, from a secret that the server keeps, and keys
/// that no proof fits. Computed for those who do exist too, it makes no difference in time.
pub fn unknown(secret: &Secret, user: &Name) -> Verifier {
    let mut salt = [0; SALT];
    let bytes = hmac(secret, user.key().as_bytes());
    salt.iter_mut().zip(bytes.expose()).for_each(|(salt, byte)| *salt = *byte);
    // Nobody knows what has a SHA-256 of zeros.
    Verifier { salt, stored_key: [0; 32], server_key: [0; 32] }
}

/// Server: the signature, if the proof is right.
pub fn verify(
    verifier: &Verifier,
    (hash, user): (&[u8; 32], &Name),
    proof: &[u8; 32],
) -> Option<[u8; 32]> {
    let a = Login { hash, user, salt: &verifier.salt }.a();
    let client_key = xor(proof, &hmac(&verifier.stored_key.into(), &a));
    let is_right = sha256(&client_key).expose().ct_eq(&verifier.stored_key);
    bool::from(is_right).then(|| *hmac(&verifier.server_key.into(), &a).expose())
}

/// What the client sends, and what has to come back.
pub struct Client {
    /// To be sent.
    pub proof: [u8; 32],
    signature: Secret,
}

impl Client {
    /// From the password.
    pub fn new(login: Login<'_>, password: &Password) -> Result<Client> {
        let k = stretch::stretch(password.expose().as_bytes(), login.salt)?;
        let (client_key, server_key) = (hmac(&k, CLIENT_KEY), hmac(&k, SERVER_KEY));
        let a = login.a();
        let proof = xor(client_key.expose(), &hmac(&sha256(&client_key), &a));
        Ok(Client { proof: *proof.expose(), signature: hmac(&server_key, &a) })
    }

    /// Whether the server knows the password's VK.
    pub fn is_signed(&self, signature: &[u8; 32]) -> bool {
        self.signature.expose().ct_eq(signature).into()
    }
}

impl Login<'_> {
    /// What is proved and signed.
    pub fn a(&self) -> Vec<u8> {
        let user = self.user.as_str().as_bytes();
        // A name has at most 20 characters.
        let length = u8::try_from(user.len()).unwrap_or(u8::MAX);
        let (m, t) = (stretch::MEMORY.to_be_bytes(), stretch::PASSES.to_be_bytes());
        [PURPOSE, self.hash, &[length], user, self.salt, &m, &t, &[stretch::LANES]].concat()
    }
}

pub fn xor(bytes: &[u8; 32], mask: &Secret) -> Secret {
    let mut both = Secret::from(*bytes);
    both.expose_mut().iter_mut().zip(mask.expose()).for_each(|(byte, mask)| *byte ^= *mask);
    both
}
