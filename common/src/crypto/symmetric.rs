//! What a handshake hashes and mixes: the `SymmetricState` of the Noise Protocol Framework (revision
//! 34, section 5.2), with X25519 (RFC 7748), AES-256-GCM and SHA-256.
//!
//! Everything that is said goes into the hash `h`, and every Diffie-Hellman secret into the chaining
//! key `ck`. What is encrypted has the hash of all before it as associated data: whoever changes a
//! byte on its way is noticed at the next tag.

use std::fmt;
use std::fmt::Display;
use std::io;

use hkdf::Hkdf;
use sha2::Digest;
use sha2::Sha256;
use thiserror::Error;
use x25519_dalek::PublicKey;
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

use crate::crypto::CipherState;
use crate::crypto::Decryptor;
use crate::crypto::Handshake;
use crate::crypto::KeyLog;
use crate::crypto::Secret;
use crate::crypto::schedule::fingerprint;
use crate::crypto::unauthenticated::Receiving;
use crate::crypto::unauthenticated::Sending;

/// What the keys of both directions are called in a key log.
const LABELS: [&str; 2] = ["CHAT5_C2S", "CHAT5_S2C"];
/// What the fingerprint of a session begins with.
const FINGERPRINT: &str = "chat5 fingerprint";

/// Why a handshake does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Broken {
    /// The secret would be zero, whatever our private key is.
    #[error("the other side's key makes a secret that everybody knows (RFC 7748, section 6.1)")]
    Known,
    /// A tag is wrong.
    #[error("the handshake was changed on its way, or answered without the server's private key")]
    Tampered,
}

/// What a handshake has led to.
pub struct Session {
    /// The key for what the client sends, which began.
    pub client: Secret,
    /// The key for what the server sends.
    pub server: Secret,
    /// The hash of the handshake, in which no two sessions are the same.
    pub hash: [u8; 32],
    /// The public key in the client's message, by which the session is found in a capture.
    pub e_c: [u8; 32],
}

/// Both sides go through the same ones.
pub struct SymmetricState {
    ck: Secret,
    h: [u8; 32],
}

impl SymmetricState {
    /// Begins with the protocol's name, padded with zeros, and a prologue, in parts: what was said in
    /// plaintext before.
    pub fn new(name: &[u8; 32], prologue: &[&[u8]]) -> SymmetricState {
        let mut noise = SymmetricState { ck: Secret::from(*name), h: *name };
        noise.mix_hash(&prologue.concat());
        noise
    }

    /// `MixHash`: h = SHA-256(h ‖ data).
    pub fn mix_hash(&mut self, data: &[u8]) {
        self.h = Sha256::new().chain_update(self.h).chain_update(data).finalize().into();
    }

    /// `MixKey`: the next chaining key from a Diffie-Hellman secret, and a key that encrypts once.
    ///
    /// # Errors
    /// [`Broken::Known`].
    pub fn mix_key(
        &mut self,
        private: &StaticSecret,
        public: &[u8; 32],
    ) -> Result<CipherState, Broken> {
        let secret = private.diffie_hellman(&PublicKey::from(*public));
        if !secret.was_contributory() {
            return Err(Broken::Known);
        }
        let (ck, k) = hkdf(&self.ck, secret.as_bytes());
        self.ck = ck;
        Ok(CipherState::new(&k))
    }

    /// `EncryptAndHash`: ciphertext and tag.
    ///
    /// # Errors
    /// None that can happen: it is not too long.
    pub fn encrypt_and_hash(&mut self, mut k: CipherState, text: &[u8]) -> Result<Vec<u8>, Broken> {
        let mut sealed = text.to_vec();
        let tag = k.seal(&self.h, &mut sealed).map_err(|_| Broken::Tampered)?;
        sealed.extend(tag);
        self.mix_hash(&sealed);
        Ok(sealed)
    }

    /// `DecryptAndHash`: the text of so many bytes.
    ///
    /// # Errors
    /// [`Broken::Tampered`].
    pub fn decrypt_and_hash<const N: usize>(
        &mut self,
        mut k: CipherState,
        sealed: &[u8],
    ) -> Result<[u8; N], Broken> {
        let (ciphertext, tag) = sealed.split_last_chunk().ok_or(Broken::Tampered)?;
        let mut text = [0; N];
        k.open(&self.h, (ciphertext, tag), &mut text).map_err(|_| Broken::Tampered)?;
        self.mix_hash(sealed);
        Ok(text)
    }

    /// `Split`: a key for each direction; the chaining key is wiped.
    pub fn split(self, e_c: [u8; 32]) -> Session {
        let (client, server) = hkdf(&self.ck, &[]);
        Session { client, server, hash: self.h, e_c }
    }
}

impl Session {
    /// Writes the keys down, before anything is encrypted with them.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn log_keys(&self, keylog: &KeyLog) -> io::Result<()> {
        keylog.write_as(LABELS, &self.e_c, [&self.client, &self.server])
    }

    /// The halves of a client's connection.
    pub fn of_client(&self, handshake: Handshake) -> (Sending, Receiving) {
        halves(handshake, &self.client, &self.server)
    }

    /// The halves of a server's connection.
    pub fn of_server(&self, handshake: Handshake) -> (Sending, Receiving) {
        halves(handshake, &self.server, &self.client)
    }
}

/// With a key for what is sent, and one for what is received.
fn halves(handshake: Handshake, ours: &Secret, theirs: &Secret) -> (Sending, Receiving) {
    let decryptor = Decryptor::from(CipherState::rekeying(theirs));
    let receiving = (handshake.reader, decryptor.of(handshake.writer.peer()));
    ((handshake.writer, CipherState::rekeying(ours).into()), receiving)
}

impl Display for Session {
    /// What is said of it: nothing of its keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fingerprint = fingerprint(FINGERPRINT, &self.hash);
        write!(f, "session: kex=noise-nx cipher=aes-256-gcm fingerprint={fingerprint}")
    }
}

/// Noise, section 4.3: HKDF with HMAC-SHA256 (RFC 5869) and without info.
fn hkdf(ck: &Secret, secret: &[u8]) -> (Secret, Secret) {
    let mut keys = Zeroizing::new([[0; 32]; 2]);
    // It fails for keys of more than 255 hashes only.
    let _ = Hkdf::<Sha256>::new(Some(ck.expose()), secret).expand(&[], keys.as_flattened_mut());
    let [first, second] = *keys;
    (Secret::from(first), Secret::from(second))
}
