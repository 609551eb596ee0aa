//! The handshake: `Noise_NX_25519_AESGCM_SHA256` of the Noise Protocol Framework, revision 34. N: the
//! client has no key of its own. X: the server sends its static key `s`, and proves that it has it.
//!
//! ```text
//! C→S  "CHT5" 01  n  suite[n]  e_c(32)                  -> e
//! S→C  "CHT5" 01  suite  e_s(32)  enc_s(48)  tag(16)    <- e, ee, s, es
//! ```
//!
//! Everything is hashed into `h`, and each Diffie-Hellman result into the chaining key `ck`. What
//! is encrypted has the hash of all before it as associated data: whoever changes a byte on its way
//! is noticed at the next tag.

use common::crypto::hex;
use common::crypto::symmetric::Broken;
use common::crypto::symmetric::Session;
use common::crypto::symmetric::SymmetricState;
use common::escape;
use rand::CryptoRng;
use thiserror::Error;
use x25519_dalek::PublicKey;
use x25519_dalek::StaticSecret as PrivateKey;

/// The name of the protocol, padded: what hashing begins with.
pub const NAME: &[u8; 32] = b"Noise_NX_25519_AESGCM_SHA256\0\0\0\0";
/// Of the hellos.
pub const VERSION: u8 = 1;
/// The number of the protocol above, and so far the only one.
pub const SUITE: u8 = 1;
/// The hellos of this program: the client offers one suite, the server chooses it.
pub const HELLO_C: &[u8] = &[b'C', b'H', b'T', b'5', VERSION, 1, SUITE];
pub const HELLO_S: &[u8] = &[b'C', b'H', b'T', b'5', VERSION, SUITE];

/// Why there is no handshake.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// It begins with the name of the handshake of stages 2 and 3, which is not authenticated.
    #[error(
        "the other side speaks CHT2, which proves nothing: start both with --kex or --cipher, or neither"
    )]
    Unauthenticated,
    /// It begins with something else, escaped.
    #[error("this stage speaks the handshake CHT5, and the other side began with: {0}")]
    Magic(String),
    /// Another version.
    #[error("this stage speaks version {VERSION} of the handshake CHT5, the other side {0}")]
    Version(u8),
    /// Bytes are missing or too many, or no number of suites that there can be.
    #[error("a handshake message of {0} bytes, which does not fit what is in it")]
    Length(usize),
    /// Suites that this server does not know, in hex.
    #[error("the client offers the suites {0}, and this server has suite {SUITE:02x} alone")]
    NoSuite(String),
    /// A suite that this client does not know.
    #[error("the server chose suite {0:02x}, which this client did not offer")]
    NotOffered(u8),
    /// A secret that is none, or a tag that is wrong.
    #[error(transparent)]
    Broken(#[from] Broken),
}

/// A client that waits for the answer, and its ephemeral private key.
pub struct Initiator(PrivateKey);

impl Initiator {
    /// Client: a new key pair, and the first message.
    pub fn start<R: CryptoRng + ?Sized>(rng: &mut R) -> (Initiator, Vec<u8>) {
        let e = PrivateKey::random_from_rng(rng);
        let message = [HELLO_C, PublicKey::from(&e).as_bytes()].concat();
        (Initiator(e), message)
    }

    /// Client: the session that the server's answer leads to, and the server's static public key. It
    /// is certain that whoever answered has the private one, and not that it is the right server's.
    pub fn finish(self, answer: &[u8]) -> Result<(Session, [u8; 32]), Error> {
        let (e, e_c) = (&self.0, PublicKey::from(&self.0).to_bytes());
        let (suite, message) = parse_hello(answer)?;
        if suite != SUITE {
            return Err(Error::NotOffered(suite));
        }
        let message = <&[u8; 96]>::try_from(message).map_err(|_| Error::Length(answer.len()))?;
        let mut noise = SymmetricState::new(NAME, &[HELLO_C, HELLO_S]);

        // -> e, and the empty payload, in plaintext
        noise.mix_hash(&e_c);
        noise.mix_hash(b"");
        // <- e
        let (e_s, message) = message.split_first_chunk().ok_or(Broken::Tampered)?;
        noise.mix_hash(e_s);
        // ee
        let k = noise.mix_key(e, e_s)?;
        // s
        let (enc_s, tag) = message.split_first_chunk::<48>().ok_or(Broken::Tampered)?;
        let s = noise.decrypt_and_hash(k, enc_s)?;
        // es, and the empty payload, of which there is the tag
        let k = noise.mix_key(e, &s)?;
        let [] = noise.decrypt_and_hash(k, tag)?;

        Ok((noise.split(e_c), s))
    }
}

/// Server: the answer to a client's message, and the session; `s` is the server's static key.
pub fn respond<R: CryptoRng + ?Sized>(
    message: &[u8],
    s: &PrivateKey,
    rng: &mut R,
) -> Result<(Vec<u8>, Session), Error> {
    let (n, rest) = parse_hello(message)?;
    let (suites, e_c) = rest.split_last_chunk().ok_or(Error::Length(message.len()))?;
    if !(1..=8).contains(&n) || suites.len() != usize::from(n) {
        return Err(Error::Length(message.len()));
    }
    if !suites.contains(&SUITE) {
        return Err(Error::NoSuite(hex(suites)));
    }
    let prologue = [message.strip_suffix(e_c).unwrap_or_default(), HELLO_S];
    let mut noise = SymmetricState::new(NAME, &prologue);

    // -> e, and the empty payload, in plaintext
    noise.mix_hash(e_c);
    noise.mix_hash(b"");
    // <- e
    let e = PrivateKey::random_from_rng(rng);
    let e_s = PublicKey::from(&e).to_bytes();
    noise.mix_hash(&e_s);
    // ee
    let k = noise.mix_key(&e, e_c)?;
    // s
    let enc_s = noise.encrypt_and_hash(k, PublicKey::from(s).as_bytes())?;
    // es, and the empty payload, of which there is the tag
    let k = noise.mix_key(s, e_c)?;
    let tag = noise.encrypt_and_hash(k, b"")?;

    let answer = [HELLO_S, &e_s, &enc_s, &tag].concat();
    Ok((answer, noise.split(*e_c)))
}

/// The sixth byte, the client's number of suites or the server's choice, and what follows it.
fn parse_hello(message: &[u8]) -> Result<(u8, &[u8]), Error> {
    match message {
        [b'C', b'H', b'T', b'5', VERSION, sixth, rest @ ..] => Ok((*sixth, rest)),
        _ if HELLO_C.starts_with(message) => Err(Error::Length(message.len())),
        [b'C', b'H', b'T', b'5', version, ..] => Err(Error::Version(*version)),
        [b'C', b'H', b'T', b'2', ..] => Err(Error::Unauthenticated),
        // The first 40 bytes of it.
        _ => Err(Error::Magic(escape::bytes(message, 40))),
    }
}
