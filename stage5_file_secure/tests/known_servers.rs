//! The file of known servers: what is in it, what is added to it, and what is wrong with it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what is around the tests is tests too")]

#[path = "../src/known_servers.rs"]
mod known_servers;

use std::fs;
use std::path::PathBuf;
use std::sync::Barrier;
use std::thread;

use common::hex::hex;
use known_servers::KnownServers;
use known_servers::Verdict;
use state::key::fingerprint;
use tempfile::TempDir;
use tempfile::tempdir;

const HERE: &str = "127.0.0.1:7005";
const KEY: [u8; 32] = [0x11; 32];
const OTHER: [u8; 32] = [0x22; 32];

/// A file in a folder of its own, which vanishes with the test, and is not there yet.
struct Place {
    _folder: TempDir,
    path: PathBuf,
}

impl Place {
    fn new() -> Place {
        let folder = tempdir().unwrap();
        let path = folder.path().join("chat/known_servers");
        Place { _folder: folder, path }
    }

    /// With this in the file, which is private.
    fn with(text: impl AsRef<[u8]>) -> Place {
        let place = Place::new();
        place.remember("made.example:1", KEY).unwrap();
        fs::write(&place.path, text).unwrap();
        place
    }

    /// What this file knows of one server.
    fn server(&self, address: &str) -> KnownServers {
        KnownServers { file: self.path.clone(), address: address.to_owned(), pinned: None }
    }

    fn remember(&self, address: &str, key: [u8; 32]) -> Result<(), String> {
        self.server(address).remember(&key).map_err(|error| error.to_string())
    }

    fn check(&self, address: &str, key: [u8; 32]) -> Result<Verdict, String> {
        self.server(address).check(&key).map_err(|error| error.to_string())
    }

    fn verdict(&self, address: &str, key: [u8; 32]) -> Verdict {
        self.check(address, key).unwrap()
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.path).unwrap()
    }
}

#[test]
fn a_server_is_new_until_it_is_remembered_and_known_from_then_on() {
    let place = Place::new();
    assert_eq!(place.verdict(HERE, KEY), Verdict::New);
    assert!(!place.path.exists());
    place.remember(HERE, KEY).unwrap();
    assert_eq!(place.text(), format!("127.0.0.1:7005 {}\n", "11".repeat(32)));
    assert_eq!(place.verdict(HERE, KEY), Verdict::Known);
    for other in ["127.0.0.1:7006", "127.0.0.2:7005", "localhost:7005", "[::1]:7005"] {
        assert_eq!(place.verdict(other, KEY), Verdict::New, "{other}");
    }
    place.remember("[::1]:7005", OTHER).unwrap();
    assert_eq!(place.verdict("[::1]:7005", OTHER), Verdict::Known);
    assert_eq!(place.verdict(HERE, KEY), Verdict::Known);
    // Once more changes nothing.
    let before = place.text();
    place.remember(HERE, KEY).unwrap();
    assert_eq!(place.text(), before);
}

#[test]
fn another_key_is_said_loudly_and_never_remembered() {
    let place = Place::with(format!("# mine\n{HERE} {}\n", hex(&KEY)));
    let warning = place.check(HERE, OTHER).unwrap_err();
    for part in [
        "THE SERVER AT 127.0.0.1:7005 HAS ANOTHER KEY",
        &format!("it was {} ({}, line 2)", fingerprint(&KEY), place.path.display()),
        &format!("is {} now", fingerprint(&OTHER)),
    ] {
        assert!(warning.contains(part), "{warning}");
    }
    // A face shows it in one line.
    assert!(!warning.contains('\n'), "{warning}");
    let before = place.text();
    let error = place.remember(HERE, OTHER).unwrap_err();
    assert_eq!(error, warning);
    assert_eq!(place.text(), before);
    assert_eq!(place.verdict(HERE, KEY), Verdict::Known);
    // One bit is enough.
    let mut almost = KEY;
    almost[31] ^= 1;
    place.check(HERE, almost).unwrap_err();
}

#[test]
fn what_a_person_wrote_is_read_and_stays() {
    let text = format!(
        "# the lab\r\n\r\n  \nChat.Example:7005 {}\r\n#chat.example:7005 {}\n[::1]:7005 {}",
        hex(&KEY),
        hex(&OTHER),
        hex(&OTHER).to_uppercase()
    );
    let place = Place::with(&text);
    assert_eq!(place.verdict("chat.example:7005", KEY), Verdict::Known);
    assert_eq!(place.verdict("[::1]:7005", OTHER), Verdict::Known);
    place.remember(HERE, KEY).unwrap();
    assert_eq!(place.text(), format!("{text}\n{HERE} {}\n", hex(&KEY)));
}

#[test]
fn an_empty_file_knows_nobody() {
    for text in ["", "\n", "# nobody\n"] {
        let place = Place::with(text);
        assert_eq!(place.verdict(HERE, KEY), Verdict::New);
        place.remember(HERE, KEY).unwrap();
        assert_eq!(place.text(), format!("{text}{HERE} {}\n", hex(&KEY)));
    }
}

#[test]
fn a_malformed_line_is_an_error_wherever_it_stands() {
    let key = hex(&KEY);
    let malformed = [
        "127.0.0.1:7005".to_owned(),
        format!("127.0.0.1 {key}"),
        format!("127.0.0.1: {key}"),
        format!("127.0.0.1:65536 {key}"),
        format!(":7005 {key}"),
        format!("127.0.0.1:7005 {}", &key[1..]),
        format!("127.0.0.1:7005 {}", &key[2..]),
        format!("127.0.0.1:7005 {key}00"),
        format!("127.0.0.1:7005 {key} me"),
        format!("127.0.0.1:7005  {key}"),
        format!("127.0.0.1:7005 {}", fingerprint(&KEY)),
        format!(" 127.0.0.1:7005 {key}"),
        key.clone(),
    ];
    for line in malformed {
        let text = format!("chat.example:7005 {key}\n{line}\n[::1]:7005 {key}\n");
        let place = Place::with(&text);
        let expected = format!("{}, line 2: HOST:PORT, a space", place.path.display());
        for error in
            [place.check("[::1]:7005", KEY).err(), place.remember("new.example:7005", KEY).err()]
        {
            let error = error.unwrap_or_else(|| panic!("it was taken: {line}"));
            assert!(error.starts_with(&expected), "{error}");
        }
        assert_eq!(place.text(), text);
    }
}

#[test]
fn of_several_lines_for_one_server_the_first_counts() {
    let place = Place::with(format!("{HERE} {}\n{HERE} {}\n", hex(&KEY), hex(&OTHER)));
    assert_eq!(place.verdict(HERE, KEY), Verdict::Known);
    let warning = place.check(HERE, OTHER).unwrap_err();
    assert!(warning.contains("line 1)"), "{warning}");
}

#[test]
fn what_cannot_be_read_is_an_error_and_not_empty() {
    let place = Place::with(b"\xff\n");
    place.check(HERE, KEY).unwrap_err();
    place.remember(HERE, KEY).unwrap_err();
    let folder = tempdir().unwrap();
    let path = folder.path().to_owned();
    let error = Place { _folder: folder, path }.check(HERE, KEY).unwrap_err();
    assert!(error.contains("is not a file"), "{error}");
}

#[cfg(unix)]
#[test]
fn others_may_read_it_and_not_change_it() {
    use std::os::unix::fs::PermissionsExt;

    let place = Place::new();
    place.remember(HERE, KEY).unwrap();
    let set_mode =
        |mode| fs::set_permissions(&place.path, fs::Permissions::from_mode(mode)).unwrap();
    set_mode(0o644);
    assert_eq!(place.verdict(HERE, KEY), Verdict::Known);
    set_mode(0o622);
    let error = place.check(HERE, KEY).unwrap_err();
    assert!(error.contains("chmod 600"), "{error}");
}

#[test]
fn of_what_several_clients_add_at_once_nothing_is_lost() {
    const CLIENTS: usize = 6;
    const EACH: usize = 20;
    let place = Place::new();
    let start = Barrier::new(CLIENTS);
    let address = |client, number| format!("host{client}.example:{number}");
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (start, place) = (&start, &place);
            scope.spawn(move || {
                start.wait();
                for number in 0..EACH {
                    place.remember(&address(client, number), KEY).unwrap();
                }
            });
        }
    });
    assert_eq!(place.text().lines().count(), CLIENTS * EACH);
    for client in 0..CLIENTS {
        for number in 0..EACH {
            assert_eq!(place.verdict(&address(client, number), KEY), Verdict::Known);
        }
    }
}

#[test]
fn of_two_clients_that_meet_different_servers_at_once_one_is_stopped() {
    for _ in 0..20 {
        let place = Place::new();
        let start = Barrier::new(2);
        let results = thread::scope(|scope| {
            let meet = |key: [u8; 32]| {
                start.wait();
                place.remember(HERE, key).is_ok()
            };
            let other = scope.spawn(move || meet(OTHER));
            (meet(KEY), other.join().unwrap())
        });
        let known = match results {
            (true, false) => KEY,
            (false, true) => OTHER,
            both => panic!("{both:?}"),
        };
        assert_eq!(place.text(), format!("{HERE} {}\n", hex(&known)));
    }
}
