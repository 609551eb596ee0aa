//! What people remember becomes a key: Argon2id (RFC 9106), so that each guess costs whoever guesses
//! the same memory and time.
//!
//! ```text
//! key = Argon2id(password, salt), 19456 KiB of memory, 2 passes, 1 lane, 32 bytes
//! ```
//!
//! These are constants, and nobody can talk a program into less. They are what OWASP asks of a
//! server; here it is always a client that computes.

use argon2::Algorithm;
use argon2::Argon2;
use argon2::Params;
use argon2::Version;
use thiserror::Error;

use crate::crypto::Secret;

/// KiB of memory.
pub const MEMORY: u32 = 19_456;
/// How often all of it is gone through.
pub const PASSES: u32 = 2;
/// How much of it could be done at the same time.
pub const LANES: u8 = 1;
/// Bytes of random salt, so that no two passwords have the same key.
pub const SALT: usize = 16;

/// There is no memory for Argon2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("there is no memory for it")]
pub struct NoMemory;

/// A key from a password, in some tens of milliseconds.
///
/// # Errors
/// See [`NoMemory`].
pub fn stretch(password: &[u8], salt: &[u8; SALT]) -> Result<Secret, NoMemory> {
    let mut key = Secret::from([0; 32]);
    let params = Params::new(MEMORY, PASSES, LANES.into(), None).map_err(|_| NoMemory)?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password, salt, key.expose_mut())
        .map_err(|_| NoMemory)?;
    Ok(key)
}
