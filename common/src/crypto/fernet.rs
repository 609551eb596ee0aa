//! Fernet tokens, version 0x80 of the specification at <https://github.com/fernet/spec>.
//!
//! ```text
//! token = base64url( 80  time(8)  IV(16)  ciphertext  HMAC(32) )     with padding, RFC 4648
//! ```
//!
//! The time is in seconds since 1970, big-endian. The ciphertext is AES-128-CBC with PKCS #7 padding
//! (RFC 5652, section 6.3), the HMAC is that of SHA-256 over everything before it. The first half of
//! a key is for the HMAC, the second for AES.
//!
//! It is checked first and decrypted after that. How old a token is, is not asked: the clocks of
//! laptops differ, and a token that is repeated within the time that would have to be allowed is as
//! good as new.

use aes::Aes128;
use aes::cipher::KeyInit;
use base64ct::Base64Url;
use base64ct::Encoding;
use cbc::cipher::BlockModeDecrypt;
use cbc::cipher::BlockModeEncrypt;
use cbc::cipher::InnerIvInit;
use cbc::cipher::block_padding::Pkcs7;
use hmac::Hmac;
use hmac::Mac;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::crypto::Secret;
use crate::frame::BadRecord;

/// The only version.
const VERSION: u8 = 0x80;
/// Bytes of an initialisation vector, of a block, of what is before the ciphertext, and of a tag.
const IV: usize = 16;
const BLOCK: usize = 16;
const HEADER: usize = 1 + 8 + IV;
const TAG: usize = 32;

/// A key, ready for use.
pub struct Fernet {
    aes: Aes128,
    mac: Hmac<Sha256>,
    /// A token without its base64, kept for the next one.
    token: Vec<u8>,
}

impl Fernet {
    /// With a key of 16 bytes for the HMAC and 16 for AES.
    pub fn new(key: &Secret) -> Fernet {
        let mut halves = Zeroizing::new([[0; 16]; 2]);
        halves.as_flattened_mut().copy_from_slice(key.expose());
        let [signing, encryption] = &*halves;
        // A key that is shorter than a block of the hash is filled up with zeros (RFC 2104).
        let mut block = Zeroizing::new([0; 64]);
        block.iter_mut().zip(signing).for_each(|(to, from)| *to = *from);
        let mac = Hmac::new((&*block).into());
        Fernet { aes: Aes128::new(encryption.into()), mac, token: Vec::new() }
    }

    /// Appends the token of `payload` to `body`. No two tokens may have the same `iv`.
    ///
    /// # Errors
    /// If the payload is longer than memory.
    pub fn encrypt(
        &mut self,
        seconds: u64,
        iv: &[u8; IV],
        payload: &[u8],
        body: &mut Vec<u8>,
    ) -> Result<(), BadRecord> {
        let token = &mut self.token;
        token.clear();
        token.push(VERSION);
        token.extend_from_slice(&seconds.to_be_bytes());
        token.extend_from_slice(iv);
        token.extend_from_slice(payload);
        // Padding is 1 to 16 bytes.
        token.resize(HEADER + (payload.len() / BLOCK + 1) * BLOCK, 0);
        let cbc = cbc::Encryptor::inner_iv_init(&self.aes, iv.into());
        let padded = token.get_mut(HEADER..).unwrap_or_default();
        let encrypted = cbc.encrypt_padded::<Pkcs7>(padded, payload.len());
        encrypted.map_err(|_| BadRecord::NotAToken)?;
        let tag = self.mac.clone().chain_update(&token).finalize().into_bytes();
        token.extend_from_slice(&tag);

        let start = body.len();
        body.resize(start + Base64Url::encoded_len(token), 0);
        let encoded = Base64Url::encode(token, body.get_mut(start..).unwrap_or_default());
        encoded.map(drop).map_err(|_| BadRecord::NotAToken)
    }

    /// Puts what is in a token in place of what was in `plaintext`.
    ///
    /// # Errors
    /// If it is no token, or not one of this key; `plaintext` is empty then.
    pub fn decrypt(&mut self, token: &[u8], plaintext: &mut Vec<u8>) -> Result<(), BadRecord> {
        plaintext.clear();
        self.token.clear();
        self.token.resize(token.len(), 0);
        let token = Base64Url::decode(token, &mut self.token).map_err(|_| BadRecord::NotAToken)?;
        let (signed, tag) = token.split_last_chunk::<TAG>().ok_or(BadRecord::NotAToken)?;
        let (header, ciphertext) =
            signed.split_first_chunk::<HEADER>().ok_or(BadRecord::NotAToken)?;
        if !header.starts_with(&[VERSION]) {
            return Err(BadRecord::NotAToken);
        }
        // In constant time: how much of a tag is right must not be found out byte by byte.
        let verified = self.mac.clone().chain_update(signed).verify(tag.into());
        verified.map_err(|_| BadRecord::Changed)?;

        let (_, iv) = header.split_last_chunk::<IV>().ok_or(BadRecord::NotAToken)?;
        plaintext.extend_from_slice(ciphertext);
        let cbc = cbc::Decryptor::inner_iv_init(&self.aes, iv.into());
        let unpadded = cbc.decrypt_padded::<Pkcs7>(plaintext).map(<[u8]>::len);
        plaintext.truncate(unpadded.unwrap_or_default());
        unpadded.map(drop).map_err(|_| BadRecord::NotAToken)
    }
}
