//! AES-256 in the two modes of the records: bytes in, bytes out.
//!
//! The primitives are RustCrypto's, and generic: they are compiled where they are used. Here they
//! are used once, without type parameters, and the workspace has this crate optimised in dev
//! builds too, which would otherwise encrypt fifty times slower.
//!
//! | type | what it is | source |
//! |---|---|---|
//! | [`Cfb`] | CFB with segments of 128 bits; an IV of 16 bytes; no integrity | SP 800-38A |
//! | [`Gcm`] | GCM; a nonce of 12 bytes, a tag of 16 | SP 800-38D |

use aes::Aes256;
use aes_gcm::Aes256Gcm;
use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::KeyInit;
use aes_gcm::aead::inout::InOutBuf;
use cfb_mode::cipher::InnerIvInit;
use thiserror::Error;

/// Bytes of a key.
pub const KEY: usize = 32;
/// Bytes of an initialisation vector for CFB.
pub const IV: usize = 16;
/// Bytes of a nonce for GCM.
pub const NONCE: usize = 12;
/// Bytes of a tag of GCM.
pub const TAG: usize = 16;

/// More bytes than one nonce is good for: 64 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("too long for one nonce")]
pub struct TooLong;

/// It was not sealed like this, with this key and this nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the tag is wrong")]
pub struct Tampered;

/// AES-256-CFB128 with a key, which is wiped when this is dropped.
pub struct Cfb(Box<Aes256>);

/// AES-256-GCM with a key, which is wiped when this is dropped.
pub struct Gcm(Box<Aes256Gcm>);

impl Cfb {
    /// With a key.
    pub fn new(key: &[u8; KEY]) -> Cfb {
        Cfb(Box::new(Aes256::new(key.into())))
    }

    /// Encrypts in place.
    pub fn encrypt(&self, iv: &[u8; IV], text: &mut [u8]) {
        cfb_mode::Encryptor::inner_iv_init(&*self.0, iv.into()).encrypt(text);
    }

    /// Decrypts into `text`, as far as both reach.
    pub fn decrypt(&self, iv: &[u8; IV], ciphertext: &[u8], text: &mut [u8]) {
        let length = ciphertext.len().min(text.len());
        let (ciphertext, _) = ciphertext.split_at(length);
        let (text, _) = text.split_at_mut(length);
        let cfb = cfb_mode::Decryptor::inner_iv_init(&*self.0, iv.into());
        // They have the same length.
        let _ = cfb.decrypt_b2b(ciphertext, text);
    }
}

impl Gcm {
    /// With a key.
    pub fn new(key: &[u8; KEY]) -> Gcm {
        Gcm(Box::new(Aes256Gcm::new(key.into())))
    }

    /// Seals in place, together with what is not secret, and returns the tag.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn seal(
        &self,
        nonce: &[u8; NONCE],
        associated: &[u8],
        text: &mut [u8],
    ) -> Result<[u8; TAG], TooLong> {
        let sealed = self.0.encrypt_inout_detached(nonce.into(), associated, text.into());
        Ok(sealed.map_err(|_| TooLong)?.into())
    }

    /// Opens into `text`, which has to be as long as the ciphertext.
    ///
    /// # Errors
    /// [`Tampered`]; nothing of the text is in `text` then.
    pub fn open(
        &self,
        nonce: &[u8; NONCE],
        associated: &[u8],
        (ciphertext, tag): (&[u8], &[u8; TAG]),
        text: &mut [u8],
    ) -> Result<(), Tampered> {
        let both = InOutBuf::new(ciphertext, text).map_err(|_| Tampered)?;
        let opened = self.0.decrypt_inout_detached(nonce.into(), associated, both, tag.into());
        opened.map_err(|_| Tampered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The modes have their vectors in `common`; these are the edges of this crate's own code.
    #[test]
    fn what_is_opened_is_what_was_sealed_and_nothing_else() {
        let (gcm, nonce, mut text) = (Gcm::new(&[1; KEY]), [2; NONCE], *b"hello");
        let tag = gcm.seal(&nonce, b"head", &mut text).unwrap();
        assert_ne!(&text, b"hello");
        let mut opened = [0; 5];
        gcm.open(&nonce, b"head", (&text, &tag), &mut opened).unwrap();
        assert_eq!(&opened, b"hello");
        for wrong in [&b"heaD"[..], b"", b"head "] {
            let mut opened = [0; 5];
            assert_eq!(gcm.open(&nonce, wrong, (&text, &tag), &mut opened), Err(Tampered));
            assert_ne!(&opened, b"hello");
        }
        let mut short = [0; 4];
        assert_eq!(gcm.open(&nonce, b"head", (&text, &tag), &mut short), Err(Tampered));
    }

    #[test]
    fn cfb_decrypts_as_much_as_there_is_room_for() {
        let (cfb, iv, mut text) = (Cfb::new(&[1; KEY]), [2; IV], *b"hello, world");
        cfb.encrypt(&iv, &mut text);
        assert_ne!(&text, b"hello, world");
        for length in [0, 5, 12] {
            let mut decrypted = vec![0; length];
            cfb.decrypt(&iv, &text, &mut decrypted);
            assert_eq!(decrypted, b"hello, world"[..length]);
        }
    }
}
