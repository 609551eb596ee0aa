//! Key exchange: each side makes a key pair for this one connection, sends the public half as its
//! *share*, and computes the same secret from its own private half and the other's share.
//!
//! | [`Kex`] | share | secret | source |
//! |---|---|---|---|
//! | `p256` | 65 bytes: 04, x, y, a point on the curve and not its identity | x of the common point, 32 bytes | SP 800-56A, section 5.7.1.2; SEC 1, section 2.3.3 |
//! | `x25519` | u, 32 bytes | 32 bytes, not all zero | RFC 7748, sections 5 and 6.1 |
//!
//! With the feature `hybrid` there are two that encrypt the secret with RSA instead (module `rsa`):
//!
//! | `Kex` | server's share | client's share | last body, from the server |
//! |---|---|---|---|
//! | `rsa2048-server` | public key, 294 bytes | the secret, encrypted, 256 bytes | |
//! | `rsa2048-client` | empty | public key, 294 bytes | the secret, encrypted, 256 bytes |
//!
//! A share is somebody else's bytes. What is no point, or makes a secret that anybody knows, is
//! refused here.

#[cfg(feature = "hybrid")]
use std::sync::Arc;

use p256::elliptic_curve::Generate;
use p256::elliptic_curve::sec1::ToSec1Point;
use rand::CryptoRng;
use thiserror::Error;

use crate::crypto::Secret;
use crate::crypto::Settings;
#[cfg(feature = "hybrid")]
use crate::crypto::rsa;
use crate::crypto::suite::Kex;

/// Bytes of an uncompressed point of P-256, and the first of them.
const POINT: usize = 65;
const UNCOMPRESSED: u8 = 0x04;

/// Why a share is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadShare {
    /// It has not the length of a share.
    #[error("the other side's share has {got} bytes instead of {expected}")]
    Length {
        /// What came.
        got: usize,
        /// What has to come.
        expected: usize,
    },
    /// It has the length but does not begin as it should.
    #[error(
        "the other side's share is no uncompressed point: it begins with {0:02x} instead of 04"
    )]
    Form(u8),
    /// There is no such point on the curve.
    #[error("the other side's share is no point on the curve P-256")]
    NotOnCurve,
    /// The secret would be zero, whatever our private key is.
    #[error("the other side's share makes a secret that everybody knows (RFC 7748, section 6.1)")]
    Known,
    /// There is no RSA public key in it; the library's word for why.
    #[error("the other side's share is no RSA public key that can be used: {0}")]
    NotAKey(&'static str),
    /// The key has another size.
    #[error("the other side's RSA key has {0} bits instead of 2048")]
    KeySize(usize),
    /// There is a key in it, encoded otherwise than in DER, or with something behind it.
    #[error("the other side's RSA key is not encoded in DER, or has bytes after its end")]
    NotDer,
    /// The key has another public exponent.
    #[error("the other side's RSA key has another public exponent than 65537")]
    Exponent,
    /// What was encrypted with another key, or otherwise than with OAEP and SHA-256.
    #[error("the other side's secret cannot be decrypted with our RSA key")]
    Undecryptable,
    /// A secret was encrypted, but none of 32 bytes.
    #[error("the other side encrypted a secret of {0} bytes instead of 32")]
    SecretLength(usize),
    /// Our own side cannot go on.
    #[error("the RSA library fails: no random numbers, or no memory")]
    Library,
}

/// What one side keeps to itself during one exchange; it is wiped when this is dropped.
pub struct Private(Half);

enum Half {
    P256(p256::ecdh::EphemeralSecret),
    X25519(x25519_dalek::EphemeralSecret),
    /// Server: the client's share is the secret, encrypted with this key.
    #[cfg(feature = "hybrid")]
    RsaServer(Arc<rsa::Key>),
    /// Client: the secret, which is in its share.
    #[cfg(feature = "hybrid")]
    RsaServerSecret(Secret),
    /// Client: the last body is the secret, encrypted with this key.
    #[cfg(feature = "hybrid")]
    RsaClient(rsa::Key),
    /// Server: the secret, which will be in the last body.
    #[cfg(feature = "hybrid")]
    RsaClientSecret(Secret),
}

/// What remains to be said after both shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Last {
    /// Nothing.
    Nothing,
    /// This body, by this side.
    Send(Vec<u8>),
    /// A body by the other side, which takes the place of its share.
    Receive,
}

impl Private {
    /// Server: something new to keep, and what the client needs of it as a share.
    ///
    /// # Errors
    /// Only of RSA: if no key can be made.
    #[cfg_attr(not(feature = "hybrid"), expect(unused_variables, reason = "RSA needs it"))]
    pub fn generate<R: CryptoRng + ?Sized>(
        kex: Kex,
        settings: &Settings,
        rng: &mut R,
    ) -> Result<(Private, Vec<u8>), BadShare> {
        match kex {
            Kex::P256 => Ok(p256_pair(rng)),
            Kex::X25519 => Ok(x25519_pair(rng)),
            #[cfg(feature = "hybrid")]
            Kex::RsaServer => {
                let key = settings.rsa.get()?;
                let share = key.share().to_vec();
                Ok((Private(Half::RsaServer(key)), share))
            }
            #[cfg(feature = "hybrid")]
            Kex::RsaClient => Ok((Private(Half::RsaClientSecret(random(rng))), Vec::new())),
        }
    }

    /// Client: the same, after the server's share.
    ///
    /// # Errors
    /// Only of RSA: if the server's share is none, or no key can be made.
    #[cfg_attr(not(feature = "hybrid"), expect(unused_variables, reason = "RSA needs it"))]
    pub fn answer<R: CryptoRng + ?Sized>(
        kex: Kex,
        share: &[u8],
        rng: &mut R,
    ) -> Result<(Private, Vec<u8>), BadShare> {
        match kex {
            Kex::P256 => Ok(p256_pair(rng)),
            Kex::X25519 => Ok(x25519_pair(rng)),
            #[cfg(feature = "hybrid")]
            Kex::RsaServer => {
                let secret = random(rng);
                let encrypted = rsa::encrypt(share, &secret)?;
                Ok((Private(Half::RsaServerSecret(secret)), encrypted))
            }
            #[cfg(feature = "hybrid")]
            Kex::RsaClient if share.is_empty() => {
                let key = rsa::Key::generate()?;
                let share = key.share().to_vec();
                Ok((Private(Half::RsaClient(key)), share))
            }
            #[cfg(feature = "hybrid")]
            Kex::RsaClient => Err(BadShare::Length { got: share.len(), expected: 0 }),
        }
    }

    /// What remains to be said, now that there is the other side's share.
    ///
    /// # Errors
    /// Only of RSA: if the share is no key.
    #[cfg_attr(not(feature = "hybrid"), expect(unused_variables, reason = "RSA needs it"))]
    pub fn last(&self, share: &[u8]) -> Result<Last, BadShare> {
        match &self.0 {
            #[cfg(feature = "hybrid")]
            Half::RsaClient(_) => Ok(Last::Receive),
            #[cfg(feature = "hybrid")]
            Half::RsaClientSecret(secret) => Ok(Last::Send(rsa::encrypt(share, secret)?)),
            _ => Ok(Last::Nothing),
        }
    }

    /// The secret that the owner of `share` has too.
    ///
    /// # Errors
    /// See [`BadShare`].
    pub fn agree(self, share: &[u8]) -> Result<Secret, BadShare> {
        match self.0 {
            Half::P256(private) => {
                let point = p256_point(share)?;
                let secret = private.diffie_hellman(&point);
                Ok(Secret::from(<[u8; 32]>::from(*secret.raw_secret_bytes())))
            }
            Half::X25519(private) => {
                let length = BadShare::Length { got: share.len(), expected: 32 };
                let u = <[u8; 32]>::try_from(share).map_err(|_| length)?;
                let secret = private.diffie_hellman(&u.into());
                if !secret.was_contributory() {
                    return Err(BadShare::Known);
                }
                Ok(Secret::from(secret.to_bytes()))
            }
            #[cfg(feature = "hybrid")]
            Half::RsaServer(key) => key.decrypt(share),
            #[cfg(feature = "hybrid")]
            Half::RsaClient(key) => key.decrypt(share),
            #[cfg(feature = "hybrid")]
            Half::RsaServerSecret(secret) | Half::RsaClientSecret(secret) => Ok(secret),
        }
    }
}

/// A private key and its share.
fn p256_pair<R: CryptoRng + ?Sized>(rng: &mut R) -> (Private, Vec<u8>) {
    let private = p256::ecdh::EphemeralSecret::generate_from_rng(rng);
    let share = private.public_key().to_sec1_point(false);
    (Private(Half::P256(private)), share.as_bytes().to_vec())
}

/// A private key and its share.
fn x25519_pair<R: CryptoRng + ?Sized>(rng: &mut R) -> (Private, Vec<u8>) {
    let private = x25519_dalek::EphemeralSecret::random_from_rng(rng);
    let share = x25519_dalek::PublicKey::from(&private);
    (Private(Half::X25519(private)), share.as_bytes().to_vec())
}

/// A secret of one side's choice.
#[cfg(feature = "hybrid")]
fn random<R: CryptoRng + ?Sized>(rng: &mut R) -> Secret {
    let mut secret = Secret::from([0; 32]);
    rng.fill_bytes(secret.expose_mut());
    secret
}

fn p256_point(share: &[u8]) -> Result<p256::PublicKey, BadShare> {
    match share {
        [UNCOMPRESSED, ..] if share.len() == POINT => {
            p256::PublicKey::from_sec1_bytes(share).map_err(|_| BadShare::NotOnCurve)
        }
        [form, ..] if share.len() == POINT => Err(BadShare::Form(*form)),
        _ => Err(BadShare::Length { got: share.len(), expected: POINT }),
    }
}

#[cfg(test)]
mod tests;
