//! The key schedule: how one secret becomes a key for each direction.
//!
//! ```text
//! salt        = SHA-256(all bodies of the handshake, in order)
//! prk         = HKDF-Extract(salt, secret)                          RFC 5869, HMAC with SHA-256
//! client key  = HKDF-Expand(prk, "chat2 KEX CIPHER c2s", 32)        what the client encrypts with
//! server key  = HKDF-Expand(prk, "chat2 KEX CIPHER s2c", 32)        what the server encrypts with
//! fingerprint = SHA-256("chat2 fingerprint" ‖ salt)                 what two people can compare
//! ```
//!
//! The salt ties the keys to everything that was said: whoever changes a byte of the handshake on
//! its way leaves the two sides with different keys. Whoever holds a handshake of his own with
//! each side has both keys, though; that is what the fingerprint shows.

use std::fmt;
use std::fmt::Display;

use hkdf::Hkdf;
use sha2::Digest;
use sha2::Sha256;

use crate::crypto::Secret;
use crate::crypto::options::UNPROTECTED;
use crate::crypto::suite::Cipher;
use crate::crypto::suite::Suite;

/// The labels, without the suite between them.
const PURPOSE: &str = "chat2";
const CLIENT_TO_SERVER: &str = "c2s";
const SERVER_TO_CLIENT: &str = "s2c";
const FINGERPRINT: &str = "chat2 fingerprint";

/// Digits in a group of a fingerprint, the bytes that each comes from, and how many groups.
const DIGITS: u64 = 100_000;
const GROUP: usize = 5;
const GROUPS: usize = 4;

/// What a handshake has led to.
pub struct Session {
    /// The random bytes of the client's hello, by which the session is found in a capture.
    pub random_c: [u8; 32],
    /// What both sides agreed on.
    pub suite: Suite,
    /// The key for what the client sends.
    pub client: Secret,
    /// The key for what the server sends.
    pub server: Secret,
    /// 20 decimal digits in groups of five. They are the same on both sides if nobody is between.
    pub fingerprint: String,
}

impl Session {
    /// Derives all of it from the secret and the hash of the handshake.
    pub fn derive(suite: Suite, random_c: [u8; 32], salt: [u8; 32], secret: &Secret) -> Session {
        let prk = Hkdf::<Sha256>::new(Some(&salt), secret.expose());
        let expand = |direction: &str| {
            let label = format!("{PURPOSE} {} {} {direction}", suite.kex, suite.cipher);
            let mut key = Secret::from([0; 32]);
            // It fails for keys of more than 255 hashes only (RFC 5869, section 2.3).
            let _ = prk.expand(label.as_bytes(), key.expose_mut());
            key
        };
        let (client, server) = (expand(CLIENT_TO_SERVER), expand(SERVER_TO_CLIENT));
        Session { random_c, suite, client, server, fingerprint: fingerprint(FINGERPRINT, &salt) }
    }
}

impl Session {
    /// What a person is told of it, in lines.
    pub fn banner(&self) -> String {
        match self.suite.cipher {
            Cipher::Cfb => format!("{self}\n{UNPROTECTED}"),
            _ => self.to_string(),
        }
    }
}

impl Display for Session {
    /// What is said of it: nothing of its keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Session { suite: Suite { kex, cipher }, fingerprint, .. } = self;
        write!(f, "session: kex={kex} cipher={cipher} fingerprint={fingerprint}")
    }
}

/// SHA-256(purpose ‖ hash of a handshake), as 20 decimal digits in groups of five. Each group is five
/// bytes of it as a big-endian number, modulo 100,000.
pub fn fingerprint(purpose: &str, hash: &[u8; 32]) -> String {
    let hash = Sha256::new().chain_update(purpose).chain_update(hash).finalize();
    let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
    let groups = hash.chunks(GROUP).take(GROUPS);
    let groups = groups.map(|bytes| format!("{:05}", number(bytes) % DIGITS));
    groups.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests;
