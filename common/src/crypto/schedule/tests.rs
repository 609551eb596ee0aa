use std::env;
use std::path::Path;
use std::process::Command;

use clap::ValueEnum;
use serde::Deserialize;

use super::*;
use crate::crypto::suite::Cipher;
use crate::crypto::suite::Kex;
use crate::crypto::vectors;
use crate::crypto::vectors::Example;
use crate::crypto::vectors::Hex;
use crate::crypto::vectors::KEY_SCHEDULE;
use crate::crypto::vectors::Verdict;
use crate::crypto::vectors::Wycheproof;

#[derive(Debug, Deserialize)]
struct Derivation {
    ikm: Hex,
    salt: Hex,
    info: Hex,
    okm: Hex,
}

/// HKDF as [`Session::derive`] calls it; `None` if it does not give so many bytes.
fn hkdf(test: &Derivation, size: usize) -> Option<Hex> {
    let mut okm = vec![0; size];
    let prk = Hkdf::<Sha256>::new(Some(&test.salt), &test.ikm);
    prk.expand(&test.info, &mut okm).ok()?;
    Some(Hex(okm))
}

#[test]
fn hkdf_is_that_of_rfc_5869() {
    let tests = include_str!("../vectors/rfc5869_hkdf_sha256.json");
    for test in vectors::parse::<Derivation>(tests) {
        assert_eq!(hkdf(&test, test.okm.len()), Some(test.okm));
    }
}

#[test]
fn hkdf_is_that_of_wycheproof() {
    #[derive(Debug, Deserialize)]
    struct Sized {
        size: usize,
        #[serde(flatten)]
        derivation: Derivation,
    }
    let tests = include_str!("../vectors/wycheproof_hkdf_sha256.json");
    for Wycheproof { id, result, case, .. } in vectors::parse::<Wycheproof<Sized>>(tests) {
        let okm = hkdf(&case.derivation, case.size);
        assert_eq!(okm, (result == Verdict::Valid).then_some(case.derivation.okm), "{id}");
    }
}

fn derive(example: &Example) -> Session {
    let kex = Kex::from_str(&example.kex, false).unwrap();
    let cipher = Cipher::from_str(&example.cipher, false).unwrap();
    let [salt, secret] = [&example.salt, &example.secret].map(|hex| hex[..].try_into().unwrap());
    Session::derive(Suite { kex, cipher }, [0; 32], salt, &Secret::from(secret))
}

#[test]
fn keys_and_fingerprint_are_those_of_another_implementation() {
    let examples = vectors::parse::<Example>(KEY_SCHEDULE);
    assert_eq!(examples.len(), 4);
    for example in examples {
        let session = derive(&example);
        assert_eq!(session.client.expose()[..], example.key_c2s[..]);
        assert_eq!(session.server.expose()[..], example.key_s2c[..]);
        assert_eq!(session.fingerprint, example.fingerprint);
        let said = format!(
            "session: kex={} cipher={} fingerprint={}",
            example.kex, example.cipher, example.fingerprint
        );
        assert_eq!(session.to_string(), said);
    }
}

#[test]
fn everything_that_goes_in_changes_both_keys() {
    let mut keys = Vec::new();
    for at in 0..16_u8 {
        let kex = if at & 1 == 0 { Kex::P256 } else { Kex::X25519 };
        let cipher = if at & 2 == 0 { Cipher::Cfb } else { Cipher::Gcm };
        let (salt, secret) = ([at & 4; 32], Secret::from([at & 8; 32]));
        let session = Session::derive(Suite { kex, cipher }, [at; 32], salt, &secret);
        assert_eq!(session.random_c, [at; 32]);
        for key in [session.client.expose(), session.server.expose()] {
            assert!(!keys.contains(key), "{at}");
            keys.push(*key);
        }
    }
    assert_eq!(keys.len(), 32);
}

#[test]
fn a_fingerprint_is_twenty_digits_in_groups_of_five() {
    for salt in 0..=255 {
        let fingerprint = fingerprint(FINGERPRINT, &[salt; 32]);
        let groups = fingerprint.split('-').collect::<Vec<_>>();
        assert_eq!(groups.len(), 4, "{fingerprint}");
        let is_group = |group: &&str| group.len() == 5 && group.bytes().all(|c| c.is_ascii_digit());
        assert!(groups.iter().all(is_group), "{fingerprint}");
    }
}

/// Without Python or its package it is left out, with a line that says so; in CI (`CI` is set) that
/// fails.
#[test]
fn the_example_sessions_are_what_the_script_prints() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let script = repository.join("docs/interop/key_schedule.py");
    let python = if cfg!(windows) { "python" } else { "python3" };
    let has = Command::new(python).args(["-c", "import cryptography"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        assert!(env::var_os("CI").is_none(), "CI needs {python} with its package `cryptography`");
        println!("left out: {python} with its package `cryptography` is not installed");
        return;
    }
    let output = Command::new(python).arg(script).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap().replace('\r', "");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(
        printed == KEY_SCHEDULE.replace('\r', ""),
        "python3 docs/interop/key_schedule.py > common/src/crypto/vectors/key_schedule.json"
    );
}
