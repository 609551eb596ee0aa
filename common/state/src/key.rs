//! The key by which a server is known, and what a person sees of it.
//!
//! Two forms of it are for people, and neither can be taken for the other:
//!
//! | what | form |
//! |---|---|
//! | the public key | 64 hexadecimal digits in one word: for files and the command line |
//! | its fingerprint | SHA-256 of the 32 bytes of the key (FIPS 180-4), all 64 digits, in groups of eight: to be read and compared |

use std::path::Path;
use std::path::PathBuf;

use common::hex::hex;
use common::hex::unhex;
use rand::CryptoRng;
use sha2::Digest;
use sha2::Sha256;
use thiserror::Error;
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

use crate::private;
use crate::private::Others;

/// The file of the private key, in the folder of a server's state.
pub const FILE: &str = "server_key";
/// Digits of a fingerprint that stand together.
const GROUP: usize = 8;

/// Why there is no key.
#[derive(Debug, Error)]
pub enum Error {
    /// The file is not used.
    #[error(transparent)]
    File(#[from] private::Error),
    /// There is something else in it.
    #[error(
        "there is no key in {path}: it has to be 64 hexadecimal digits; bring it back from a copy, \
         or move it away, and a new key is made, of which those who know the old one are warned",
        path = .0.display()
    )]
    NotAKey(PathBuf),
}

/// What a person is told of a server that shows this key, in lines of a terminal: whether it is known, and if not, whether
/// there is a login, by which it can be.
pub fn said(key: &[u8; 32], is_known: bool, is_login: bool) -> String {
    let what = match (is_known, is_login) {
        (true, _) => "known, with the fingerprint",
        (false, true) => "new here, remembered if it knows your password; fingerprint",
        (false, false) => "new here, TAKEN ON TRUST: compare the fingerprint with the server's",
    };
    format!("server key: {what}\n  {}", fingerprint(key))
}

/// What is said of something that should be a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a key is 64 hexadecimal digits in one word; its fingerprint, in groups of eight, is none")]
pub struct NotAKey;

/// A server that does not have the key that it had.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "THE SERVER AT {address} HAS ANOTHER KEY: it was {before} ({place}), and is {now} now. Somebody \
     may be between you and it, or it has a new one. It was told nothing, neither your name nor your \
     password. Ask whoever runs it for the fingerprint of its key, but not here; if it is the one \
     now, take the old one out"
)]
pub struct Changed {
    address: String,
    before: String,
    place: String,
    now: String,
}

impl Changed {
    /// The server at `address` showed a key, and another is known from `place`.
    pub fn new(address: &str, before: &[u8; 32], now: &[u8; 32], place: &str) -> Changed {
        let [address, place] = [address, place].map(str::to_owned);
        Changed { address, before: fingerprint(before), place, now: fingerprint(now) }
    }
}

/// The private key of a server (X25519, RFC 7748), from [`FILE`] in `folder`. If there is none it is
/// made, and so is the folder: it is the same key from then on, also when two programs make it at
/// once. It is wiped when it is dropped.
///
/// # Errors
/// See [`Error`](enum@Error); a file that is there is never overwritten.
pub fn load_or_make<R: CryptoRng + ?Sized>(
    folder: &Path,
    rng: &mut R,
) -> Result<StaticSecret, Error> {
    Ok(StaticSecret::from(*secret(&folder.join(FILE), rng)?))
}

/// 32 secret bytes of any use, from the file at `path`, as [`load_or_make`] does it.
///
/// # Errors
/// See [`Error`](enum@Error).
pub fn secret<R: CryptoRng + ?Sized>(
    path: &Path,
    rng: &mut R,
) -> Result<Zeroizing<[u8; 32]>, Error> {
    if let Some(text) = private::read(path, Others::Nothing)? {
        return parse_secret(path, &text);
    }
    let mut secret = Zeroizing::new([0; 32]);
    private::update(path, Others::Nothing, |there| match there {
        // Another program was quicker.
        Some(text) => {
            secret = parse_secret(path, text)?;
            Ok(None)
        }
        None => {
            rng.fill_bytes(&mut *secret);
            let mut text = Zeroizing::new(String::with_capacity(2 * secret.len() + 1));
            text.push_str(&Zeroizing::new(hex(&*secret)));
            text.push('\n');
            Ok::<_, Error>(Some(text))
        }
    })?;
    Ok(secret)
}

fn parse_secret(path: &Path, text: &str) -> Result<Zeroizing<[u8; 32]>, Error> {
    parse(text.trim_ascii_end()).map(Zeroizing::new).map_err(|_| Error::NotAKey(path.to_owned()))
}

/// The 32 bytes of a key from its 64 hexadecimal digits, of either case.
///
/// # Errors
/// If it is something else.
pub fn parse(text: &str) -> Result<[u8; 32], NotAKey> {
    let bytes = Zeroizing::new(unhex(text).ok_or(NotAKey)?);
    bytes.as_slice().try_into().map_err(|_| NotAKey)
}

/// The lines of a file of known servers that are no comments, with their numbers from 1: a server, in
/// the form `host:port`, and its public key; `None` where something else is.
pub fn servers(text: &str) -> impl Iterator<Item = (usize, Option<(&str, [u8; 32])>)> {
    let lines = (1..).zip(text.lines());
    let lines = lines.filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    lines.map(|(number, line)| (number, server(line)))
}

fn server(line: &str) -> Option<(&str, [u8; 32])> {
    let (address, digits) = line.split_once(' ')?;
    let (host, port) = address.rsplit_once(':')?;
    port.parse::<u16>().ok().filter(|_| !host.is_empty())?;
    Some((address, parse(digits).ok()?))
}

/// The fingerprint of a public key: 8 groups of eight lower-case hexadecimal digits, with spaces
/// between them.
pub fn fingerprint(public: &[u8; 32]) -> String {
    let digits = hex(&Sha256::digest(public));
    let (groups, _) = digits.as_bytes().as_chunks::<GROUP>();
    let groups = groups.iter().map(|group| String::from_utf8_lossy(group));
    groups.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
