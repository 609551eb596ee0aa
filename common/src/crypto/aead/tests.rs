use serde::Deserialize;

use super::*;
use crate::crypto::vectors;
use crate::crypto::vectors::Hex;

const TEXT: &[u8] = b"the boat leaves at 10 pm";

/// What one direction seals in a session of `noise.json`.
#[derive(Deserialize)]
struct Known {
    key: Hex,
    /// Number 0, the last one under the first key, and the one after it.
    first: Hex,
    last: Hex,
    rekeyed: Hex,
}

/// Both directions, and what they seal.
fn known() -> Vec<(Known, Vec<u8>)> {
    #[derive(Deserialize)]
    struct Case {
        payload: Hex,
        c2s: Known,
        s2c: Known,
    }
    let case = vectors::parse::<Case>(include_str!("../vectors/noise.json")).remove(0);
    let payload = case.payload.0;
    vec![(case.c2s, payload.clone()), (case.s2c, payload)]
}

fn key() -> Secret {
    Secret::from([7; 32])
}

/// Ciphertext and tag.
fn seal(state: &mut CipherState, data: &[u8], text: &[u8]) -> Result<Vec<u8>, BadRecord> {
    let mut sealed = text.to_vec();
    let tag = state.seal(data, &mut sealed)?;
    sealed.extend_from_slice(&tag);
    Ok(sealed)
}

/// What was sealed. Where it does not open, nothing is released.
fn open(state: &mut CipherState, data: &[u8], sealed: &[u8]) -> Result<Vec<u8>, BadRecord> {
    let (ciphertext, tag) = sealed.split_last_chunk().unwrap();
    let mut text = vec![0xee; ciphertext.len()];
    let opened = state.open(data, (ciphertext, tag), &mut text);
    assert!(opened.is_ok() || text.iter().all(|byte| *byte == 0xee));
    opened.map(|()| text)
}

#[test]
fn each_direction_is_that_of_another_implementation_also_across_its_new_key() {
    for (known, payload) in known() {
        let key = Secret::from(<[u8; 32]>::try_from(&known.key[..]).unwrap());
        let (mut sends, mut gets) = (CipherState::rekeying(&key), CipherState::rekeying(&key));
        for (n, sealed) in [(0, &known.first), (REKEY - 1, &known.last), (REKEY, &known.rekeyed)] {
            if n < REKEY {
                (sends.n, gets.n) = (n, n);
            }
            assert_eq!(sends.n, n, "the number goes on");
            assert_eq!(seal(&mut sends, &[], &payload).unwrap(), **sealed, "{n}");
            assert_eq!(open(&mut gets, &[], sealed).unwrap(), payload, "{n}");
        }
    }
}

#[test]
fn without_new_keys_the_number_alone_goes_on() {
    let (mut one, mut other) = (CipherState::new(&key()), CipherState::rekeying(&key()));
    for n in [0, 1, REKEY - 2, REKEY - 1] {
        (one.n, other.n) = (n, n);
        assert_eq!(seal(&mut one, &[], TEXT), seal(&mut other, &[], TEXT), "{n}");
    }
    assert_eq!(one.n, REKEY);
    let nonce = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0];
    let mut expected = TEXT.to_vec();
    let tag = Gcm::new(key().expose()).seal(&nonce, &[], &mut expected).unwrap();
    expected.extend(tag);
    let went_on = seal(&mut one, &[], TEXT).unwrap();
    assert_eq!(went_on, expected);
    assert_ne!(seal(&mut other, &[], TEXT).unwrap(), went_on);
}

#[test]
fn a_new_key_comes_before_each_multiple_and_at_no_other_record() {
    let is_new = |n| {
        let mut state = CipherState::rekeying(&key());
        state.n = n - 1;
        seal(&mut state, &[], TEXT).unwrap();
        let mut same_key = CipherState::new(&key());
        same_key.n = n;
        seal(&mut state, &[], TEXT) != seal(&mut same_key, &[], TEXT)
    };
    for multiple in [1, 2, 3, 4095] {
        assert!(!is_new(multiple * REKEY - 1) && is_new(multiple * REKEY), "{multiple}");
        assert!(!is_new(multiple * REKEY + 1), "{multiple}");
    }
    assert!(!is_new(1));
}

#[test]
fn what_does_not_open_is_refused_and_has_its_number() {
    for n in [0, REKEY - 1, REKEY - 2] {
        let state = || CipherState::rekeying(&key()).at(n);
        let mut sends = state();
        let sealed = seal(&mut sends, b"data", TEXT).unwrap();
        let next = seal(&mut sends, &[], b"next").unwrap();
        let refused = |data: &[u8], sealed: &[u8]| {
            let mut gets = state();
            assert_eq!(open(&mut gets, data, sealed), Err(BadRecord::Tampered));
            assert_eq!(open(&mut gets, &[], &next).as_deref(), Ok(&b"next"[..]));
        };
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            refused(b"data", &changed);
        }
        refused(b"date", &sealed);
        refused(b"", &sealed);
        refused(b"", &next);
        let mut gets = state();
        assert_eq!(open(&mut gets, b"data", &sealed).as_deref(), Ok(TEXT));
        assert_eq!(open(&mut gets, b"data", &sealed), Err(BadRecord::Tampered), "repeated");
    }
}

#[test]
fn a_text_of_another_length_is_refused() {
    let sealed = seal(&mut CipherState::new(&key()), &[], TEXT).unwrap();
    let (ciphertext, tag) = sealed.split_last_chunk().unwrap();
    for length in [0, TEXT.len() - 1, TEXT.len(), TEXT.len() + 1] {
        let mut gets = CipherState::new(&key());
        let opened = gets.open(&[], (ciphertext, tag), &mut vec![0; length]);
        assert_eq!(opened.is_ok(), length == TEXT.len(), "{length}");
    }
}

#[test]
fn a_direction_ends_before_a_number_comes_twice() {
    for (mut sends, mut gets, end) in [
        (CipherState::new(&key()), CipherState::new(&key()), u64::MAX),
        (CipherState::rekeying(&key()), CipherState::rekeying(&key()), 1 << 32),
    ] {
        (sends.n, gets.n) = (end - 1, end - 1);
        let sealed = seal(&mut sends, &[], TEXT).unwrap();
        assert_eq!(open(&mut gets, &[], &sealed).as_deref(), Ok(TEXT));
        for _ in 0..3 {
            let mut text = TEXT.to_vec();
            assert_eq!(sends.seal(&[], &mut text), Err(BadRecord::TooMany));
            assert_eq!(text, TEXT);
            assert_eq!(open(&mut gets, &[], &sealed), Err(BadRecord::TooMany));
        }
    }
}
