//! What protects one direction under AES-256-GCM (SP 800-38D): a key, and the number of the next
//! record. It is the `CipherState` of the Noise Protocol Framework (revision 34, section 5.1).
//!
//! The nonce is four zero bytes and the number as u64 big-endian. A number that came twice would
//! give the key of the tags away, so nothing sets it: it counts what was sealed or has come, from 0.

use ciphers::Gcm;
use ciphers::NONCE;
use ciphers::TAG;

use crate::crypto::Secret;
use crate::frame::BadRecord;

/// A direction that rekeys does so before each record whose number is a multiple of this, ...
const REKEY: u64 = 1 << 20;
/// ... and ends before the record of this number.
const END: u64 = 1 << 32;
/// The number whose nonce makes the next key. No record has it.
const RESERVED: u64 = u64::MAX;

/// A key and how often it has been used. It is wiped when this is dropped.
pub struct CipherState {
    key: Gcm,
    /// The number of the next record, and of the first one that there cannot be.
    n: u64,
    end: u64,
    rekeys: bool,
}

impl CipherState {
    /// With one key for all 2^64 - 1 records that there can be.
    pub fn new(key: &Secret) -> CipherState {
        CipherState { key: Gcm::new(key.expose()), n: 0, end: RESERVED, rekeys: false }
    }

    /// With a new key before the record 2^20 and each multiple of it, for 2^32 records.
    pub fn rekeying(key: &Secret) -> CipherState {
        CipherState { key: Gcm::new(key.expose()), n: 0, end: END, rekeys: true }
    }

    /// Encrypts `text` where it is; the tag that protects it, `data` and the number of the record.
    ///
    /// # Errors
    /// [`BadRecord::TooMany`] if there have been all records that there can be; `text` is as it was.
    pub fn seal(&mut self, data: &[u8], text: &mut [u8]) -> Result<[u8; TAG], BadRecord> {
        // It fails for texts of more than 64 GiB, too.
        let tag = self.key.seal(&self.nonce()?, data, text).map_err(|_| BadRecord::TooMany)?;
        self.next()?;
        Ok(tag)
    }

    /// Decrypts into `text`, which is as long as the ciphertext. What does not open has its number,
    /// too: whoever reads a capture can go on behind it. (Noise leaves the number as it is, which
    /// makes no difference to a connection, because it ends there.)
    ///
    /// # Errors
    /// [`BadRecord::Tampered`] if ciphertext, tag, `data` or the number of the record is another than
    /// when it was sealed; `text` is as it was. [`BadRecord::TooMany`] as above.
    pub fn open(
        &mut self,
        data: &[u8],
        (ciphertext, tag): (&[u8], &[u8; TAG]),
        text: &mut [u8],
    ) -> Result<(), BadRecord> {
        let opened = self.key.open(&self.nonce()?, data, (ciphertext, tag), text);
        self.next()?;
        opened.map_err(|_| BadRecord::Tampered)
    }

    /// Replaces the key by one that follows from it, and from which it does not follow (section
    /// 4.2, `REKEY`); the number goes on.
    ///
    /// # Errors
    /// None that can happen: a key is sealed, which is not too long.
    pub fn rekey(&mut self) -> Result<(), BadRecord> {
        let mut next = Secret::from([0; 32]);
        let sealed = self.key.seal(&nonce(RESERVED), &[], next.expose_mut());
        sealed.map_err(|_| BadRecord::TooMany)?;
        self.key = Gcm::new(next.expose());
        Ok(())
    }

    /// The same key after `n` records, which nobody has the time to make.
    #[cfg(test)]
    pub(crate) fn at(self, n: u64) -> CipherState {
        CipherState { n, ..self }
    }

    /// The nonce of the next record.
    fn nonce(&self) -> Result<[u8; NONCE], BadRecord> {
        if self.n == self.end { Err(BadRecord::TooMany) } else { Ok(nonce(self.n)) }
    }

    /// Counts a record. The next one's key, if it has a new one, is made at once: so the old one is
    /// not kept while nothing is said.
    fn next(&mut self) -> Result<(), BadRecord> {
        // It is not the last number yet.
        self.n = self.n.saturating_add(1);
        if self.rekeys && self.n.is_multiple_of(REKEY) {
            self.rekey()?;
        }
        Ok(())
    }
}

fn nonce(number: u64) -> [u8; NONCE] {
    let mut nonce = [0; NONCE];
    let (_, counter) = nonce.split_at_mut(4);
    counter.copy_from_slice(&number.to_be_bytes());
    nonce
}

#[cfg(test)]
mod tests;
