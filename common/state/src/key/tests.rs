use std::fs;
use std::sync::Barrier;
use std::thread;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tempfile::tempdir;
use x25519_dalek::PublicKey;

use super::*;

fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

#[test]
fn a_key_is_made_once_and_is_the_same_from_then_on() {
    let outer = tempdir().unwrap();
    let folder = outer.path().join("state");
    let made = load_or_make(&folder, &mut rng(1)).unwrap();
    let text = fs::read_to_string(folder.join("server_key")).unwrap();
    assert_eq!(text, hex(made.as_bytes()) + "\n");
    let loaded = load_or_make(&folder, &mut rng(2)).unwrap();
    assert_eq!(loaded.as_bytes(), made.as_bytes());
    let other = load_or_make(&outer.path().join("other"), &mut rng(2)).unwrap();
    assert_ne!(other.as_bytes(), made.as_bytes());
    assert_ne!(other.as_bytes(), &[0; 32]);
}

/// The public key is what the Python package `cryptography` computes.
#[test]
fn a_key_that_is_there_is_taken_byte_for_byte() {
    let folder = tempdir().unwrap();
    load_or_make(folder.path(), &mut rng(1)).unwrap();
    let private: Vec<u8> = (0x40..0x60).collect();
    fs::write(folder.path().join(FILE), hex(&private)).unwrap();
    let loaded = load_or_make(folder.path(), &mut rng(1)).unwrap();
    let public = PublicKey::from(&loaded).to_bytes();
    assert_eq!(hex(&public), "79a631eede1bf9c98f12032cdeadd0e7a079398fc786b88cc846ec89af85a51a");
}

/// SHA-256 of the bytes 00 to 1f, as Python's `hashlib` computes it.
#[test]
fn a_fingerprint_has_all_digits_in_groups_of_eight() {
    let key = std::array::from_fn(|i| u8::try_from(i).unwrap());
    let shown = fingerprint(&key);
    let expected = "630dcd29 66c43366 91125448 bbb25b4f f412a49c 732db2c8 abc1b858 1bd710dd";
    assert_eq!(shown, expected);
    // Who gives it as a key is told.
    assert_eq!(parse(&shown), Err(NotAKey));
}

#[test]
fn a_key_is_64_digits_of_either_case_in_one_word() {
    let digits = "0123456789abcdef".repeat(4);
    let key = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef].repeat(4);
    for good in [digits.clone(), digits.to_uppercase()] {
        assert_eq!(parse(&good).map(Vec::from).as_ref(), Ok(&key));
    }
    for wrong in
        ["", "01", &digits[1..], &digits[2..], &format!("{digits}00"), &format!("{digits} ")]
    {
        assert_eq!(parse(wrong), Err(NotAKey), "{wrong:?}");
    }
}

#[test]
fn programs_that_start_at_once_have_the_same_key() {
    const THREADS: u64 = 8;
    let folder = tempdir().unwrap();
    let path = folder.path().join("state");
    let start = Barrier::new(usize::try_from(THREADS).unwrap());
    let keys = thread::scope(|scope| {
        let threads = (0..THREADS).map(|seed| {
            let (path, start) = (&path, &start);
            scope.spawn(move || {
                start.wait();
                load_or_make(path, &mut rng(seed)).unwrap().to_bytes()
            })
        });
        let threads = threads.collect::<Vec<_>>();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let text = fs::read_to_string(path.join(FILE)).unwrap();
    assert!(keys.iter().all(|key| hex(key) + "\n" == text), "{keys:?}");
}

#[test]
fn a_file_without_a_key_is_an_error_and_stays() {
    let folder = tempdir().unwrap();
    let path = folder.path().join(FILE);
    load_or_make(folder.path(), &mut rng(1)).unwrap();
    let digits = "0123456789abcdef".repeat(4);
    let wrong = ["", "\n", "key", &digits[1..], &digits[2..], &format!("{digits}00")];
    let wrong = wrong.map(ToOwned::to_owned).into_iter().chain([
        format!(" {digits}"),
        format!("{digits}\n{digits}\n"),
        digits.replace('f', "g"),
    ]);
    for text in wrong {
        fs::write(&path, &text).unwrap();
        let error = load_or_make(folder.path(), &mut rng(1)).err().expect("no key");
        assert!(matches!(&error, Error::NotAKey(named) if *named == path), "{text:?}: {error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    for text in [digits.clone(), format!("{digits}\r\n"), digits.to_uppercase()] {
        fs::write(&path, &text).unwrap();
        let key = load_or_make(folder.path(), &mut rng(1)).expect("a key");
        assert_eq!(hex(key.as_bytes()), digits);
    }
}

#[cfg(unix)]
#[test]
fn a_key_that_others_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempdir().unwrap();
    let path = folder.path().join(FILE);
    load_or_make(folder.path(), &mut rng(1)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let error = load_or_make(folder.path(), &mut rng(1)).err().expect("refused");
    assert!(matches!(error, Error::File(private::Error::Wide { mode: 0o644, .. })), "{error}");
}
