//! RSA as a key exchange: one side makes up the secret and sends it, encrypted with the public key
//! of the other.
//!
//! | | what it is | source |
//! |---|---|---|
//! | key | 2048 bits, public exponent 65537 | RFC 8017, section 3.1 |
//! | share | the public key as a SubjectPublicKeyInfo in DER, 294 bytes | RFC 5280, section 4.1; RFC 3279, section 2.3.1 |
//! | secret | 32 random bytes under OAEP with SHA-256, MGF1 with SHA-256 and no label, 256 bytes | RFC 8017, section 7.1 |
//!
//! Whoever gets the private key later can decrypt the secrets of all the sessions that were made
//! with it: `rsa2048-server` uses one key for as long as the server runs, `rsa2048-client` a new one
//! for each connection.
//!
//! AWS-LC makes keys and paddings from its own random generator: this is the one place in which the
//! generator is not handed in.

use std::sync::Arc;
use std::sync::OnceLock;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::encoding::PublicKeyX509Der;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::rsa::OAEP_SHA256_MGF1SHA256;
use aws_lc_rs::rsa::OaepPrivateDecryptingKey;
use aws_lc_rs::rsa::OaepPublicEncryptingKey;
use aws_lc_rs::rsa::PrivateDecryptingKey;
use aws_lc_rs::rsa::PublicEncryptingKey;
use zeroize::Zeroizing;

use crate::crypto::Secret;
use crate::crypto::kex::BadShare;

/// Bits of a modulus, and bytes of what is encrypted under it.
const BITS: usize = 2048;
const CIPHERTEXT: usize = BITS / 8;
/// What a share ends with: the public exponent, 65537.
const EXPONENT: &[u8] = b"\x02\x03\x01\x00\x01";

/// A private key, and its public half as a share; it is wiped when this is dropped.
pub struct Key {
    private: OaepPrivateDecryptingKey,
    share: Vec<u8>,
}

impl Key {
    /// A new one, which takes a moment, up to a second on a slow machine.
    ///
    /// # Errors
    /// If the library has no random numbers or no memory.
    pub fn generate() -> Result<Key, BadShare> {
        let private = PrivateDecryptingKey::generate(KeySize::Rsa2048);
        Key::new(private.map_err(|_| BadShare::Library)?)
    }

    fn new(private: PrivateDecryptingKey) -> Result<Key, BadShare> {
        let share: PublicKeyX509Der =
            private.public_key().as_der().map_err(|_| BadShare::Library)?;
        let share = share.as_ref().to_vec();
        let private = OaepPrivateDecryptingKey::new(private).map_err(|_| BadShare::Library)?;
        Ok(Key { private, share })
    }

    /// The public half.
    pub fn share(&self) -> &[u8] {
        &self.share
    }

    /// The secret that somebody encrypted to this key's share.
    ///
    /// # Errors
    /// If it has the wrong length, or is no secret under this key.
    pub fn decrypt(&self, ciphertext: &[u8]) -> Result<Secret, BadShare> {
        let mut buffer = Zeroizing::new([0; CIPHERTEXT]);
        let secret = self.plaintext(ciphertext, &mut buffer)?;
        let length = BadShare::SecretLength(secret.len());
        <[u8; 32]>::try_from(secret).map(Secret::from).map_err(|_| length)
    }

    fn plaintext<'a>(
        &self,
        ciphertext: &[u8],
        buffer: &'a mut [u8; CIPHERTEXT],
    ) -> Result<&'a [u8], BadShare> {
        if ciphertext.len() != CIPHERTEXT {
            return Err(BadShare::Length { got: ciphertext.len(), expected: CIPHERTEXT });
        }
        let plaintext = self.private.decrypt(&OAEP_SHA256_MGF1SHA256, ciphertext, buffer, None);
        plaintext.map(|plaintext| &*plaintext).map_err(|_| BadShare::Undecryptable)
    }
}

/// The secret, encrypted to the owner of a share.
///
/// # Errors
/// If the share is no RSA key as it has to be.
pub fn encrypt(share: &[u8], secret: &Secret) -> Result<Vec<u8>, BadShare> {
    let public = OaepPublicEncryptingKey::new(public(share)?).map_err(|_| BadShare::Library)?;
    let mut ciphertext = vec![0; CIPHERTEXT];
    let oaep = &OAEP_SHA256_MGF1SHA256;
    let encrypted = public.encrypt(oaep, secret.expose(), &mut ciphertext, None);
    encrypted.map_err(|_| BadShare::Library)?;
    Ok(ciphertext)
}

/// A share as a key. There is one encoding of each: what comes out of the key must be what went in.
fn public(share: &[u8]) -> Result<PublicEncryptingKey, BadShare> {
    let key = PublicEncryptingKey::from_der(share);
    let key = key.map_err(|rejected| BadShare::NotAKey(rejected.description_()))?;
    if key.key_size_bits() != BITS {
        return Err(BadShare::KeySize(key.key_size_bits()));
    }
    // The library reads keys of RSASSA-PSS too, and cannot write them.
    let der: Result<PublicKeyX509Der, _> = key.as_der();
    if der.map_err(|_| BadShare::NotAKey("WrongAlgorithm"))?.as_ref() != share {
        return Err(BadShare::NotDer);
    }
    match share.ends_with(EXPONENT) {
        true => Ok(key),
        false => Err(BadShare::Exponent),
    }
}

/// The key of a server, which is made when the first client asks for it, and then kept: once, however
/// many ask. Whoever asks meanwhile waits for it, and nobody else. Clones are the same key.
#[derive(Clone, Default)]
pub struct ServerKey(Arc<OnceLock<Result<Arc<Key>, BadShare>>>);

impl ServerKey {
    /// The key.
    ///
    /// # Errors
    /// If it could not be made, when it was made.
    pub fn get(&self) -> Result<Arc<Key>, BadShare> {
        self.0.get_or_init(|| Key::generate().map(Arc::new)).clone()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use serde::Deserialize;

    use super::*;
    use crate::crypto::vectors::Hex;
    use crate::crypto::vectors::Verdict;
    use crate::crypto::vectors::Wycheproof;

    /// The 33 bytes before the modulus of every share, from RFC 5280 and RFC 3279.
    const BEFORE: &[u8] = b"\x30\x82\x01\x22\
        \x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\
        \x03\x82\x01\x0f\x00\x30\x82\x01\x0a\x02\x82\x01\x01\x00";

    #[derive(Deserialize)]
    struct File {
        sets: Vec<Set>,
    }

    /// A key of Wycheproof, and what was encrypted with it.
    #[derive(Deserialize)]
    struct Set {
        name: String,
        pkcs8: Hex,
        tests: Vec<Wycheproof<Encrypted>>,
    }

    #[derive(Debug, Deserialize)]
    struct Encrypted {
        msg: Hex,
        ct: Hex,
        label: Hex,
    }

    fn set(name: &str) -> (Key, Vec<Wycheproof<Encrypted>>) {
        let file = include_str!("vectors/wycheproof_rsa_oaep.json");
        let File { sets } = serde_json::from_str(file).unwrap();
        let set = sets.into_iter().find(|set| set.name == name).unwrap();
        (Key::new(PrivateDecryptingKey::from_pkcs8(&set.pkcs8).unwrap()).unwrap(), set.tests)
    }

    fn refused(share: &[u8]) -> BadShare {
        encrypt(share, &Secret::from([7; 32])).unwrap_err()
    }

    /// An element of DER.
    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = content.len();
        let [high, low] = u16::try_from(length).unwrap().to_be_bytes();
        let header = match length {
            0..128 => vec![tag, low],
            128..256 => vec![tag, 0x81, low],
            _ => vec![tag, 0x82, high, low],
        };
        [header, content.to_vec()].concat()
    }

    fn integer(bytes: &[u8]) -> Vec<u8> {
        let positive = if bytes[0] < 0x80 { &[][..] } else { &[0] };
        der(0x02, &[positive, bytes].concat())
    }

    /// A SubjectPublicKeyInfo. 10 in the last place of the algorithm is RSASSA-PSS, 1 is rsaEncryption.
    fn spki(algorithm: u8, modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
        let oid = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, algorithm];
        let null: &[u8] = if algorithm == 1 { &[0x05, 0x00] } else { &[] };
        let algorithm = der(0x30, &[&der(0x06, &oid), null].concat());
        let key = der(0x30, &[integer(modulus), integer(exponent)].concat());
        let bits = der(0x03, &[&[0], &key[..]].concat());
        der(0x30, &[algorithm, bits].concat())
    }

    /// A modulus of that many bytes that looks like one.
    fn modulus(length: usize) -> Vec<u8> {
        vec![0xc5; length]
    }

    #[test]
    fn a_share_is_294_bytes_of_which_the_modulus_differs() {
        let [one, other] = [(); 2].map(|()| Key::generate().unwrap());
        for key in [&one, &other] {
            let modulus = key.share().strip_prefix(BEFORE).unwrap();
            let modulus = modulus.strip_suffix(EXPONENT).unwrap();
            assert_eq!((key.share().len(), modulus.len()), (294, 256));
            assert_eq!(spki(1, modulus, &[1, 0, 1]), key.share());
        }
        assert_ne!(one.share(), other.share());
    }

    #[test]
    fn only_the_owner_of_a_share_decrypts_what_was_encrypted_to_it() {
        let [owner, other] = [(); 2].map(|()| Key::generate().unwrap());
        let secret = Secret::from([7; 32]);
        let [one, two] = [(); 2].map(|()| encrypt(owner.share(), &secret).unwrap());
        assert_ne!(one, two, "the padding is random");
        for ciphertext in [&one, &two] {
            assert_eq!(owner.decrypt(ciphertext).unwrap().expose(), &[7; 32]);
            assert_eq!(other.decrypt(ciphertext).err(), Some(BadShare::Undecryptable));
        }
    }

    #[test]
    fn wycheproofs_ciphertexts_are_decrypted_or_refused() {
        let (mut decrypted, mut invalid) = (0, 0);
        let (key, tests) = set("2048_sha256_mgf1sha256");
        for Wycheproof { id, result, case: test, .. } in &tests {
            let mut buffer = [0; CIPHERTEXT];
            let plaintext = key.plaintext(&test.ct, &mut buffer);
            let secret = key.decrypt(&test.ct);
            match (result, test.label.is_empty()) {
                (Verdict::Valid, true) => {
                    decrypted += 1;
                    assert_eq!(plaintext, Ok(&test.msg[..]), "{id}");
                    match <[u8; 32]>::try_from(&test.msg[..]) {
                        Ok(expected) => assert_eq!(secret.unwrap().expose(), &expected),
                        Err(_) => {
                            let length = BadShare::SecretLength(test.msg.len());
                            assert_eq!(secret.err(), Some(length));
                        }
                    }
                }
                // With a label, which there is none of here.
                (Verdict::Valid, false) => {
                    assert_eq!(secret.err(), Some(BadShare::Undecryptable), "{id}");
                }
                _ => {
                    invalid += 1;
                    let expected = match test.ct.len() {
                        CIPHERTEXT => BadShare::Undecryptable,
                        got => BadShare::Length { got, expected: CIPHERTEXT },
                    };
                    assert_eq!(plaintext, Err(expected), "{id}");
                    assert_eq!(secret.err(), Some(expected), "{id}");
                }
            }
        }
        assert!(decrypted >= 10 && invalid >= 19, "{decrypted} {invalid}");
    }

    /// The other hashes are other paddings: SHA-1 is what many libraries take unless told otherwise.
    #[test]
    fn oaep_with_another_hash_is_refused() {
        for other in ["2048_sha1_mgf1sha1", "2048_sha256_mgf1sha1"] {
            let (key, tests) = set(other);
            assert!(!tests.is_empty());
            for Wycheproof { id, case, .. } in &tests {
                assert_eq!(key.decrypt(&case.ct).err(), Some(BadShare::Undecryptable), "{id}");
            }
        }
    }

    #[test]
    fn a_secret_of_another_length_is_none() {
        let key = Key::generate().unwrap();
        let public = OaepPublicEncryptingKey::new(public(key.share()).unwrap()).unwrap();
        for length in [0, 1, 31, 33, 190] {
            let mut ciphertext = [0; CIPHERTEXT];
            let secret = vec![7; length];
            public.encrypt(&OAEP_SHA256_MGF1SHA256, &secret, &mut ciphertext, None).unwrap();
            assert_eq!(key.decrypt(&ciphertext).err(), Some(BadShare::SecretLength(length)));
        }
    }

    #[test]
    fn a_ciphertext_of_another_length_is_none() {
        let key = Key::generate().unwrap();
        let whole = encrypt(key.share(), &Secret::from([7; 32])).unwrap();
        let more = [&whole[..], &[0]].concat();
        let padded = [&[0], &whole[..]].concat();
        for other in [&[], &whole[..1], &whole[..255], &more, &padded] {
            let length = BadShare::Length { got: other.len(), expected: 256 };
            assert_eq!(key.decrypt(other).err(), Some(length));
        }
    }

    #[test]
    fn a_key_of_another_size_is_refused() {
        let (larger, _) = set("3072_sha256_mgf1sha256");
        assert_eq!(refused(larger.share()), BadShare::KeySize(3072));
        assert_eq!(refused(&spki(1, &modulus(257), &[1, 0, 1])), BadShare::KeySize(2056));
        let mut odd = modulus(256);
        odd[0] = 0x7f;
        assert_eq!(refused(&spki(1, &odd, &[1, 0, 1])), BadShare::NotAKey("TooSmall"), "2047 bits");
        assert_eq!(refused(&spki(1, &modulus(128), &[1, 0, 1])), BadShare::NotAKey("TooSmall"));
    }

    #[test]
    fn a_key_of_another_algorithm_is_refused() {
        let pss = spki(10, &modulus(256), &[1, 0, 1]);
        assert_eq!(refused(&pss), BadShare::NotAKey("WrongAlgorithm"));
        // The base point of P-256, from SEC 2, section 2.4.2.
        let point = b"\x04\
            \x6b\x17\xd1\xf2\xe1\x2c\x42\x47\xf8\xbc\xe6\xe5\x63\xa4\x40\xf2\
            \x77\x03\x7d\x81\x2d\xeb\x33\xa0\xf4\xa1\x39\x45\xd8\x98\xc2\x96\
            \x4f\xe3\x42\xe2\xfe\x1a\x7f\x9b\x8e\xe7\xeb\x4a\x7c\x0f\x9e\x16\
            \x2b\xce\x33\x57\x6b\x31\x5e\xce\xcb\xb6\x40\x68\x37\xbf\x51\xf5";
        let ec = der(0x06, b"\x2a\x86\x48\xce\x3d\x02\x01");
        let curve = der(0x06, b"\x2a\x86\x48\xce\x3d\x03\x01\x07");
        let bits = der(0x03, &[&[0], &point[..]].concat());
        let p256 = der(0x30, &[der(0x30, &[ec, curve].concat()), bits].concat());
        assert_eq!(refused(&p256), BadShare::NotAKey("WrongAlgorithm"));
    }

    #[test]
    fn another_public_exponent_is_refused() {
        let share = |exponent: &[u8]| spki(1, &modulus(256), exponent);
        assert_eq!(refused(&share(&[3])), BadShare::Exponent);
        assert_eq!(refused(&share(&[1, 0, 3])), BadShare::Exponent);
        assert_eq!(refused(&share(&[1, 0, 0, 0, 1])), BadShare::Exponent, "33 bits");
        let silly =
            [&[0][..], &[1], &[2], &[1, 0, 0], &[2, 0, 0, 0, 1], &[0x7f; 256], &[0xff; 8000]];
        for exponent in silly {
            assert!(matches!(refused(&share(exponent)), BadShare::NotAKey(_)), "{exponent:02x?}");
        }
    }

    #[test]
    fn what_is_no_key_in_der_is_refused() {
        let share = Key::generate().unwrap().share().to_vec();
        for length in 0..share.len() {
            assert!(matches!(refused(&share[..length]), BadShare::NotAKey(_)), "{length} bytes");
        }
        assert_eq!(refused(&[&share[..], &[0]].concat()), BadShare::NotDer, "a byte more");
        let mut even = share.clone();
        even[288] &= !1;
        assert!(matches!(refused(&even), BadShare::NotAKey(_)), "a modulus that is even");
        assert!(matches!(refused(b"-----BEGIN PUBLIC KEY-----"), BadShare::NotAKey(_)));
        // A length in a longer form than it needs, as BER has it.
        let longer = [b"\x30\x83\x00\x01\x22", &share[4..]].concat();
        assert!(matches!(refused(&longer), BadShare::NotAKey(_) | BadShare::NotDer));
        for at in 0..BEFORE.len() {
            let mut other = share.clone();
            other[at] ^= 1;
            refused(&other);
        }
    }

    #[test]
    fn a_server_makes_one_key_however_many_ask() {
        let server = ServerKey::default();
        let ask = || server.clone().get().unwrap();
        let keys = thread::scope(|scope| {
            let asking: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            asking.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(keys.iter().all(|key| Arc::ptr_eq(key, &ask())));
        assert_ne!(ServerKey::default().get().unwrap().share(), ask().share());
    }
}
