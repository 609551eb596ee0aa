//! The cryptography of the encrypted stages: bytes in, bytes out.
//!
//! A stage's `connection.rs` shows the order of things: hello, share, derive, records. What is
//! done at each of these steps is here, one object a file. Primitives come from libraries.
//!
//! | module | what it is |
//! |---|---|
//! | [`suite`] | which key exchanges and ciphers there are, and how two sides agree on one of each |
//! | [`handshake`] | the messages of the handshake, and the transcript that hashes them |
//! | [`kex`] | key exchange: two shares become one secret |
//! | `rsa` | with the feature `hybrid`: key exchange by encryption with a public key |
//! | [`schedule`] | the key schedule: one secret becomes a key for each direction |
//! | [`aead`] | what protects one direction under AES-256-GCM: a key and a counter |
//! | [`symmetric`] | what a handshake hashes and mixes, in the Noise Protocol Framework |
//! | [`record`] | what protects the frames after that |
//! | `fernet` | with the feature `hybrid`: the tokens that protect them under `fernet` |
//! | [`stretch`] | a password becomes a key |
//! | [`secret`] | text under a key that two people know and the server does not |
//! | [`options`] | the part of the command line for this |
//! | [`keylog`] | session keys in a file, with which a capture can be decrypted |

pub mod aead;
#[cfg(feature = "hybrid")]
pub mod fernet;
pub mod handshake;
pub mod kex;
pub mod keylog;
pub mod options;
pub mod record;
#[cfg(feature = "hybrid")]
pub mod rsa;
pub mod schedule;
pub mod secret;
pub mod stretch;
pub mod suite;
pub mod symmetric;
#[cfg(test)]
mod tests;
pub mod unauthenticated;
#[cfg(test)]
mod vectors;

pub use aead::CipherState;
pub use handshake::Handshake;
pub use kex::Private;
pub use keylog::KeyLog;
pub use options::Settings;
pub use record::Decryptor;
pub use record::Encryptor;
pub use schedule::Session;
pub use secret::Secrets;

pub use crate::hex::hex;
pub use crate::hex::unhex;

use hkdf::Hkdf;
use sha2::Digest;
use sha2::Sha256;
use zeroize::Zeroizing;

/// 32 secret bytes: a shared secret or a key. They stay in one place, which is wiped when this is
/// dropped, and there is no `Debug` that could show them.
#[derive(Clone)]
pub struct Secret(Box<Zeroizing<[u8; 32]>>);

impl Secret {
    /// The bytes.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// The bytes, to be filled.
    pub fn expose_mut(&mut self) -> &mut [u8; 32] {
        &mut self.0
    }
}

/// HMAC-SHA256 (RFC 2104), which is how HKDF extracts (RFC 5869, section 2.2).
pub fn hmac(key: &Secret, data: &[u8]) -> Secret {
    let (mac, _) = Hkdf::<Sha256>::extract(Some(key.expose()), data);
    Secret::from(<[u8; 32]>::from(mac))
}

/// SHA-256 of a secret, which may be one too.
pub fn sha256(secret: &Secret) -> Secret {
    Secret::from(<[u8; 32]>::from(Sha256::digest(secret.expose())))
}

impl From<[u8; 32]> for Secret {
    fn from(bytes: [u8; 32]) -> Secret {
        Secret(Box::new(Zeroizing::new(bytes)))
    }
}
