//! Key exchange: each side makes a key pair for this one connection, sends the public half as its
//! *share*, and computes the same secret from its own private half and the other's share.
//!
//! | [`Kex`] | share | secret | source |
//! |---|---|---|---|
//! | `p256` | 65 bytes: 04, x, y, a point on the curve and not its identity | x of the common point, 32 bytes | SP 800-56A, section 5.7.1.2; SEC 1, section 2.3.3 |
//! | `x25519` | u, 32 bytes | 32 bytes, not all zero | RFC 7748, sections 5 and 6.1 |
//!
//! A share is somebody else's bytes. What is no point, or makes a secret that anybody knows, is
//! refused here.

use p256::elliptic_curve::Generate;
use p256::elliptic_curve::sec1::ToSec1Point;
use rand::CryptoRng;
use thiserror::Error;

use crate::crypto::Secret;
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
}

/// The private half of a key pair for one exchange; it is wiped when this is dropped.
pub struct Private(Half);

enum Half {
    P256(p256::ecdh::EphemeralSecret),
    X25519(x25519_dalek::EphemeralSecret),
}

impl Private {
    /// A new key pair: the private half, and the public one as a share.
    pub fn generate<R: CryptoRng + ?Sized>(kex: Kex, rng: &mut R) -> (Private, Vec<u8>) {
        match kex {
            Kex::P256 => {
                let private = p256::ecdh::EphemeralSecret::generate_from_rng(rng);
                let share = private.public_key().to_sec1_point(false);
                (Private(Half::P256(private)), share.as_bytes().to_vec())
            }
            Kex::X25519 => {
                let private = x25519_dalek::EphemeralSecret::random_from_rng(rng);
                let share = x25519_dalek::PublicKey::from(&private);
                (Private(Half::X25519(private)), share.as_bytes().to_vec())
            }
        }
    }

    /// The secret that the owner of `share` computes too.
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
        }
    }
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
