//! Known answers for the tests of this module; `vectors/README.md` says where they come from.

use std::convert::Infallible;
use std::fmt;
use std::ops::Deref;

use rand::TryCryptoRng;
use rand::TryRng;
use serde::Deserialize;
use serde::Deserializer;
use serde::de;
use serde::de::DeserializeOwned;

use crate::crypto::unhex;

/// What `docs/interop/key_schedule.py` printed.
pub const KEY_SCHEDULE: &str = include_str!("vectors/key_schedule.json");

/// A file of vectors.
#[derive(Deserialize)]
struct File<T> {
    tests: Vec<T>,
}

/// The vectors in a file.
pub fn parse<T: DeserializeOwned>(file: &str) -> Vec<T> {
    let File { tests } = serde_json::from_str(file).unwrap();
    assert!(!tests.is_empty());
    tests
}

/// Bytes that stand in a file as hex.
#[derive(Clone, PartialEq, Eq)]
pub struct Hex(pub Vec<u8>);

impl Deref for Hex {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::crypto::hex(&self.0))
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Hex, D::Error> {
        let text = String::deserialize(deserializer)?;
        unhex(&text).map(Hex).ok_or_else(|| de::Error::custom(format!("no hex: {text}")))
    }
}

/// A test of Wycheproof: what all kinds have in common, and what it is about.
#[derive(Debug, Deserialize)]
pub struct Wycheproof<T> {
    /// Its number.
    #[serde(rename = "tcId")]
    pub id: u32,
    /// What is particular about it.
    pub flags: Vec<String>,
    /// Whether the operation succeeds.
    pub result: Verdict,
    /// Its inputs and outputs.
    #[serde(flatten)]
    pub case: T,
}

/// What has to become of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Valid,
    Invalid,
    /// It depends on what the protocol asks for.
    Acceptable,
}

/// A session of `key_schedule.json`.
#[derive(Deserialize)]
pub struct Example {
    pub kex: String,
    pub cipher: String,
    pub private_c: Hex,
    pub private_s: Hex,
    /// The bodies, in order, and the frames that they are in.
    pub handshake: [Hex; 3],
    pub frames: [Hex; 3],
    pub secret: Hex,
    pub salt: Hex,
    pub key_c2s: Hex,
    pub key_s2c: Hex,
    pub fingerprint: String,
    pub keylog: String,
    /// What the client sends, kind and body, and the frames that the records are.
    pub said: [Hex; 2],
    pub said_records: [Hex; 2],
    /// The same of the server.
    pub heard: Hex,
    pub heard_record: Hex,
}

/// A "generator" that returns what it was given: it hands a known private key, or salt and nonce, to the
/// code that makes new ones.
pub struct Given<'a>(pub &'a [u8]);

impl TryRng for Given<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("keys, salts and nonces are taken as bytes")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("keys, salts and nonces are taken as bytes")
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        let (given, rest) = self.0.split_at(bytes.len());
        bytes.copy_from_slice(given);
        self.0 = rest;
        Ok(())
    }
}

impl TryCryptoRng for Given<'_> {}
