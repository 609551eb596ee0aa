//! RSA as a key exchange: one side makes up the secret and sends it, encrypted with the public key
//! of the other.
//!
//! | | what it is | source |
//! |---|---|---|
//! | key | 2048 bits, public exponent 65537 | RFC 8017, section 3.1 |
//! | share | the public key as a SubjectPublicKeyInfo in DER, 294 bytes | RFC 5280, section 4.1; RFC 3279, section 2.3.1 |
//! | secret | 32 random bytes under OAEP with SHA-256, MGF1 with SHA-256 and no label, 256 bytes | RFC 8017, section 7.1 |
//!
//! Whoever gets the private key later can decrypt the secrets of all the sessions that were made
//! with it: `rsa2048-server` uses one key for as long as the server runs, `rsa2048-client` a new one
//! for each connection.
//!
//! AWS-LC makes keys and paddings from its own random generator: this is the one place in which the
//! generator is not handed in.

use std::sync::Arc;
use std::sync::OnceLock;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::encoding::PublicKeyX509Der;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::rsa::OAEP_SHA256_MGF1SHA256;
use aws_lc_rs::rsa::OaepPrivateDecryptingKey;
use aws_lc_rs::rsa::OaepPublicEncryptingKey;
use aws_lc_rs::rsa::PrivateDecryptingKey;
use aws_lc_rs::rsa::PublicEncryptingKey;
use zeroize::Zeroizing;

use crate::crypto::Secret;
use crate::crypto::kex::BadShare;

/// Bits of a modulus, and bytes of what is encrypted under it.
const BITS: usize = 2048;
const CIPHERTEXT: usize = BITS / 8;
/// Where the algorithm stands in a share, and how: rsaEncryption, without parameters.
const ALGORITHM_AT: usize = 4;
const ALGORITHM: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
/// What a share ends with: the public exponent, 65537.
const EXPONENT: &[u8] = b"\x02\x03\x01\x00\x01";

/// A private key, and its public half as a share; it is wiped when this is dropped.
pub struct Key {
    private: OaepPrivateDecryptingKey,
    share: Vec<u8>,
}

impl Key {
    /// A new one, which takes a moment, up to a second on a slow machine.
    ///
    /// # Errors
    /// If the library has no random numbers or no memory.
    pub fn generate() -> Result<Key, BadShare> {
        let private = PrivateDecryptingKey::generate(KeySize::Rsa2048);
        Key::new(private.map_err(|_| BadShare::Library)?)
    }

    fn new(private: PrivateDecryptingKey) -> Result<Key, BadShare> {
        let share: PublicKeyX509Der =
            private.public_key().as_der().map_err(|_| BadShare::Library)?;
        let share = share.as_ref().to_vec();
        let private = OaepPrivateDecryptingKey::new(private).map_err(|_| BadShare::Library)?;
        Ok(Key { private, share })
    }

    /// The public half.
    pub fn share(&self) -> &[u8] {
        &self.share
    }

    /// The secret that somebody encrypted to this key's share.
    ///
    /// # Errors
    /// If it has the wrong length, or is no secret under this key.
    pub fn decrypt(&self, ciphertext: &[u8]) -> Result<Secret, BadShare> {
        if ciphertext.len() != CIPHERTEXT {
            return Err(BadShare::Length { got: ciphertext.len(), expected: CIPHERTEXT });
        }
        let mut buffer = Zeroizing::new([0; CIPHERTEXT]);
        let oaep = &OAEP_SHA256_MGF1SHA256;
        let secret = self.private.decrypt(oaep, ciphertext, &mut *buffer, None);
        let secret = secret.map_err(|_| BadShare::Undecryptable)?;
        let length = secret.len();
        <[u8; 32]>::try_from(&*secret).map(Secret::from).map_err(|_| BadShare::SecretLength(length))
    }
}

/// The secret, encrypted to the owner of a share.
///
/// # Errors
/// If the share is no RSA key as it has to be.
pub fn encrypt(share: &[u8], secret: &Secret) -> Result<Vec<u8>, BadShare> {
    let public = OaepPublicEncryptingKey::new(public(share)?).map_err(|_| BadShare::Library)?;
    let mut ciphertext = vec![0; CIPHERTEXT];
    let oaep = &OAEP_SHA256_MGF1SHA256;
    let encrypted = public.encrypt(oaep, secret.expose(), &mut ciphertext, None);
    encrypted.map_err(|_| BadShare::Library)?;
    Ok(ciphertext)
}

/// A share as a key. There is one encoding of each: what comes out of the key must be what went in.
fn public(share: &[u8]) -> Result<PublicEncryptingKey, BadShare> {
    let key = PublicEncryptingKey::from_der(share);
    let key = key.map_err(|rejected| BadShare::NotAKey(rejected.description_()))?;
    if key.key_size_bits() != BITS {
        return Err(BadShare::KeySize(key.key_size_bits()));
    }
    let der: PublicKeyX509Der = key.as_der().map_err(|_| BadShare::Library)?;
    if der.as_ref() != share {
        return Err(BadShare::NotDer);
    }
    if !share.get(ALGORITHM_AT..).is_some_and(|rest| rest.starts_with(ALGORITHM)) {
        return Err(BadShare::NotAKey("WrongAlgorithm"));
    }
    match share.ends_with(EXPONENT) {
        true => Ok(key),
        false => Err(BadShare::Exponent),
    }
}

/// The key of a server, which is made when the first client asks for it, and then kept: once, however
/// many ask. Whoever asks meanwhile waits for it, and nobody else. Clones are the same key.
#[derive(Clone, Default)]
pub struct ServerKey(Arc<OnceLock<Result<Arc<Key>, BadShare>>>);

impl ServerKey {
    /// The key.
    ///
    /// # Errors
    /// If it could not be made, when it was made.
    pub fn get(&self) -> Result<Arc<Key>, BadShare> {
        self.0.get_or_init(|| Key::generate().map(Arc::new)).clone()
    }
}
