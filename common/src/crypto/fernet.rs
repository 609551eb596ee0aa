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

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of all the specification's vectors, and its only token that is valid: in its
    /// `generate.json` and `verify.json`, made at 1985-10-26T01:20:00-07:00 (commit 1f13494).
    const KEY: &[u8] = b"cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
    const MADE: u64 = 499_162_800;
    const HELLO: &str = "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPg\
                         JobwOz7JcbmrR64jVmpU4IwqDA==";

    fn fernet() -> Fernet {
        let mut key = [0; 32];
        Base64Url::decode(KEY, &mut key).unwrap();
        Fernet::new(&Secret::from(key))
    }

    fn counting(from: u8, length: u8) -> Vec<u8> {
        (from..from + length).collect()
    }

    fn iv(from: u8) -> [u8; IV] {
        counting(from, 16).try_into().unwrap()
    }

    fn encrypt(fernet: &mut Fernet, seconds: u64, iv: [u8; IV], payload: &[u8]) -> String {
        let mut body = b"what is there already".to_vec();
        let kept = body.len();
        fernet.encrypt(seconds, &iv, payload, &mut body).unwrap();
        assert!(body.starts_with(b"what is there already"));
        String::from_utf8(body.split_off(kept)).unwrap()
    }

    fn decrypt(fernet: &mut Fernet, token: &[u8]) -> Result<Vec<u8>, BadRecord> {
        let mut plaintext = b"what was in the last one".to_vec();
        let decrypted = fernet.decrypt(token, &mut plaintext);
        assert!(decrypted.is_ok() || plaintext.is_empty(), "nothing is released");
        decrypted.map(|()| plaintext)
    }

    #[test]
    fn the_specifications_token_is_made_and_read() {
        assert_eq!(encrypt(&mut fernet(), MADE, iv(0), b"hello"), HELLO);
        assert_eq!(decrypt(&mut fernet(), HELLO.as_bytes()), Ok(b"hello".to_vec()));
    }

    /// `invalid.json` of the specification (commit 8a21920).
    #[test]
    fn the_specifications_invalid_tokens_are_refused() {
        let invalid = [
            (
                "incorrect mac",
                "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1Ydyk\
                 QUFBQUFBQUFBQQ==",
                BadRecord::Changed,
            ),
            (
                "too short",
                "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPA==",
                BadRecord::NotAToken,
            ),
            (
                "invalid base64",
                "%%%%%%%%%%%%%AECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1Ydyk\
                 RtfsH-p1YsUD2Q==",
                BadRecord::NotAToken,
            ),
            (
                "payload size not multiple of block size",
                "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPOm73QeoCk9uGib28Xe5vz6oxq5nmxbx\
                 _v7mrfyudzUm",
                BadRecord::NotAToken,
            ),
            (
                "payload padding error",
                "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0ODz4LEpdELGQAad7aNEHbf-JkLPIpuiYRLQ3RtXatOYREu2FWke6C\
                 nJNYIbkuKNqOhw==",
                BadRecord::NotAToken,
            ),
            (
                "incorrect IV (causes padding error)",
                "gAAAAAAdwJ6xBQECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAkLhFLHpGtDBRLRTZeUfWgHSv49TF2A\
                 UEZ1TIvcZjK1zQ==",
                BadRecord::NotAToken,
            ),
            (
                "trailing characters after b64 padding",
                "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7Jcbmr\
                 R64jVmpU4IwqDA==trailingdata",
                BadRecord::NotAToken,
            ),
            (
                "invalid characters in b64",
                "*gAAAAAAdwJ6wAAECAwQFBgcI!CQoLDA0ODy021?cpGVWKZ_eEwC@GM4BLLF_5CV9dOPmrhuVUPgJobwOz7J\
                 cbmrR64jVmpU4IwqDA==",
                BadRecord::NotAToken,
            ),
            (
                "invalid non-urlsafe characters in b64",
                "gAAAAAAdwJ6wAAEC/AwQFBgcICQoLDA0ODy+021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7Jcb\
                 mrR64jVmpU4IwqDA==",
                BadRecord::NotAToken,
            ),
        ];
        for (what, token, error) in invalid {
            assert_eq!(decrypt(&mut fernet(), token.as_bytes()), Err(error), "{what}");
        }
    }

    /// The other two of `invalid.json`, "far-future TS (unacceptable clock skew)" and "expired TTL",
    /// are wrong at a certain time only, and here nobody asks for the time. There is nothing in them.
    #[test]
    fn a_token_is_read_however_old_it_is() {
        let far_future = "gAAAAAAdwStRAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAnja1xKYyhd-Y6mSkTOyTGJ\
                          mw2Xc2a6kBd-iX9b_qXQcw==";
        let expired = "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtw\
                       caX1YdykRtfsH-p1YsUD2Q==";
        for token in [far_future, expired] {
            assert_eq!(decrypt(&mut fernet(), token.as_bytes()), Ok(Vec::new()));
        }
    }

    /// Tokens of the Python package cryptography 48.0.0, for payloads around the size of a block:
    /// `Fernet(urlsafe_b64encode(bytes(range(100, 132))))._encrypt_from_parts(bytes(range(n)),
    /// 0x0102030405, bytes(range(200, 216)))`.
    #[test]
    fn another_implementation_makes_the_same_tokens() {
        let tokens = [
            (
                0,
                "gAAAAAECAwQFyMnKy8zNzs_Q0dLT1NXW15hgE2HNlqX1dWywOb5ecxuejV2zb64xDXIHxsW9Jtv2eqXflKXP\
                 tyvmpx57ANvMyQ==",
            ),
            (
                15,
                "gAAAAAECAwQFyMnKy8zNzs_Q0dLT1NXW1-ie6OwDTsqMLNTcz0zx4thtrbgzFOEJziLVvagR_CZ6E9NEwVQj\
                 t5lviBs0SGr2Cg==",
            ),
            (
                16,
                "gAAAAAECAwQFyMnKy8zNzs_Q0dLT1NXW17xkGFH1rmHQjv9wZtnPhZxAih9TJPVax7ez8dwgxoXrLV55uVea\
                 h3UI7JuShK48mD_s8eADiDV2vnXusf6o4C8=",
            ),
            (
                33,
                "gAAAAAECAwQFyMnKy8zNzs_Q0dLT1NXW17xkGFH1rmHQjv9wZtnPhZztO4VxV7e6KZxYzjJ72xDt8nQXFdND\
                 cVUnDBJ2SQ3Ea29coRB4gfL0Yav82DBQdBcfrc54cJCMech8cC8NZdNV",
            ),
        ];
        // One after the other with the same buffers, the longest first, so that a rest would show.
        let key = <[u8; 32]>::try_from(counting(100, 32)).unwrap();
        let (mut ours, mut theirs) = (Fernet::new(&key.into()), Fernet::new(&key.into()));
        for (length, token) in tokens.into_iter().rev() {
            let payload = counting(0, length);
            assert_eq!(encrypt(&mut ours, 0x01_0203_0405, iv(200), &payload), token);
            assert_eq!(decrypt(&mut theirs, token.as_bytes()), Ok(payload));
        }
    }

    /// Also in the bits that base64 leaves over and in its padding: there is one spelling of a token.
    #[test]
    fn whoever_flips_a_bit_of_a_token_is_noticed() {
        for at in 0..HELLO.len() * 8 {
            let mut token = HELLO.as_bytes().to_vec();
            token[at / 8] ^= 1 << (at % 8);
            let refused = decrypt(&mut fernet(), &token).unwrap_err();
            assert!(matches!(refused, BadRecord::Changed | BadRecord::NotAToken), "bit {at}");
        }
    }

    #[test]
    fn a_part_of_a_token_is_none() {
        for length in 0..HELLO.len() {
            assert!(decrypt(&mut fernet(), &HELLO.as_bytes()[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn both_halves_of_the_key_count() {
        for changed in [0, 15, 16, 31] {
            let mut key = [0; 32];
            Base64Url::decode(KEY, &mut key).unwrap();
            key[changed] ^= 1;
            let read = decrypt(&mut Fernet::new(&Secret::from(key)), HELLO.as_bytes());
            assert_ne!(read, Ok(b"hello".to_vec()), "byte {changed}");
            assert_eq!(read == Err(BadRecord::Changed), changed < 16, "byte {changed}");
        }
    }

    #[test]
    fn a_token_of_another_version_is_none() {
        let mut other = fernet();
        let mut token = [0; 73];
        Base64Url::decode(HELLO, &mut token).unwrap();
        token[0] = 0x81;
        let tag = other.mac.clone().chain_update(&token[..41]).finalize().into_bytes();
        token[41..].copy_from_slice(&tag);
        let mut text = [0; 100];
        let text = Base64Url::encode(&token, &mut text).unwrap();
        assert_eq!(decrypt(&mut other, text.as_bytes()), Err(BadRecord::NotAToken));
    }
}
