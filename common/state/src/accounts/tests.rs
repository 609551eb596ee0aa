use std::fs;

use tempfile::TempDir;
use tempfile::tempdir;

use super::*;

/// The accounts in a folder of their own, which vanishes with the test.
fn empty() -> (TempDir, Accounts) {
    let folder = tempdir().unwrap();
    let accounts = Accounts::at(folder.path().join("users"));
    (folder, accounts)
}

fn name(name: &str) -> Name {
    name.parse().unwrap()
}

/// Bytes of which no two are alike, different for each `first`.
fn verifier(first: u8) -> Verifier {
    let bytes = |at: u8| move |i| first.wrapping_add(at).wrapping_add(u8::try_from(i).unwrap());
    Verifier {
        salt: std::array::from_fn(bytes(0)),
        stored_key: std::array::from_fn(bytes(16)),
        server_key: std::array::from_fn(bytes(48)),
    }
}

fn account(of: &str, first: u8) -> Account {
    Account { name: name(of), verifier: verifier(first) }
}

fn shown(names: &[Name]) -> Vec<&str> {
    names.iter().map(Name::as_str).collect()
}

#[test]
fn a_missing_file_has_no_accounts_and_is_not_made() {
    let (folder, accounts) = empty();
    assert!(accounts.find(&name("alice")).unwrap().is_none());
    assert_eq!(accounts.names().unwrap(), []);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn the_file_is_as_it_is_described() {
    let (_folder, accounts) = empty();
    accounts.add(account("alice", 0)).unwrap();
    let expected = "chat5 accounts 1 argon2id m=19456 t=2 p=1\n\
        alice 000102030405060708090a0b0c0d0e0f \
        101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f \
        303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f\n";
    assert_eq!(fs::read_to_string(accounts.path()).unwrap(), expected);
    assert!(accounts.find(&name("alice")).unwrap() == Some(account("alice", 0)));
    // As an editor leaves it that knows no better.
    for text in [expected.trim_end().to_owned(), expected.replace('\n', "\r\n")] {
        fs::write(accounts.path(), text).unwrap();
        assert!(accounts.find(&name("alice")).unwrap() == Some(account("alice", 0)));
    }
}

#[test]
fn names_are_one_without_regard_to_case() {
    let (_folder, accounts) = empty();
    accounts.add(account("Alice", 1)).unwrap();
    for taken in ["Alice", "alice", "ALICE"] {
        let error = accounts.add(account(taken, 2)).unwrap_err();
        assert!(matches!(&error, Error::Taken(name) if name.as_str() == "Alice"), "{error}");
        assert!(accounts.check_free(&name(taken)).is_err());
        assert!(accounts.find(&name(taken)).unwrap() == Some(account("Alice", 1)));
    }
    accounts.change(&name("aLICE"), verifier(3)).unwrap();
    assert!(accounts.find(&name("alice")).unwrap() == Some(account("Alice", 3)));
    accounts.remove(&name("alice")).unwrap();
    assert_eq!(accounts.names().unwrap(), []);
}

#[test]
fn one_is_changed_and_the_others_stay() {
    let (_folder, accounts) = empty();
    let all = ["alice", "bob", "carol"];
    for (of, first) in all.iter().zip(0..) {
        accounts.add(account(of, first)).unwrap();
    }
    assert_eq!(shown(&accounts.names().unwrap()), all);
    accounts.change(&name("bob"), verifier(9)).unwrap();
    for (of, first) in [("alice", 0), ("bob", 9), ("carol", 2)] {
        assert!(accounts.find(&name(of)).unwrap() == Some(account(of, first)), "{of}");
    }
    accounts.remove(&name("bob")).unwrap();
    assert_eq!(shown(&accounts.names().unwrap()), ["alice", "carol"]);
    assert!(accounts.find(&name("bob")).unwrap().is_none());
    accounts.add(account("bob", 4)).unwrap();
    assert_eq!(shown(&accounts.names().unwrap()), ["alice", "carol", "bob"]);
}

#[test]
fn who_has_no_account_cannot_be_changed_or_removed() {
    let (_folder, accounts) = empty();
    accounts.add(account("alice", 0)).unwrap();
    let before = fs::read(accounts.path()).unwrap();
    let errors = [accounts.change(&name("bob"), verifier(1)), accounts.remove(&name("bob"))];
    for error in errors.map(Result::unwrap_err) {
        assert!(matches!(&error, Error::Unknown { name, .. } if name.as_str() == "bob"), "{error}");
    }
    assert_eq!(fs::read(accounts.path()).unwrap(), before);
}

#[test]
fn nobody_has_a_reserved_name() {
    let (_folder, accounts) = empty();
    let error = accounts.add(account("Server", 0)).unwrap_err();
    assert!(matches!(error, Error::Reserved(_)), "{error}");
    assert!(accounts.check_free(&name("server")).is_err());
    assert!(!accounts.path().exists());
}

#[test]
fn a_malformed_file_is_an_error_that_names_the_line_and_is_not_changed() {
    let (_folder, accounts) = empty();
    for (of, first) in [("alice", 0), ("bob", 1)] {
        accounts.add(account(of, first)).unwrap();
    }
    let good = fs::read_to_string(accounts.path()).unwrap();
    let bob = good.lines().nth(2).unwrap();
    let second = |line: &str| good.replace(bob, line);
    let salt = "0102030405060708090a0b0c0d0e0f10";
    let cases = [
        (1, String::new()),
        (1, "\n".to_owned()),
        (1, good.replace("accounts 1", "accounts 2")),
        (1, good.replace("m=19456", "m=65536")),
        (1, bob.to_owned()),
        (3, second("")),
        (3, second("bob")),
        (3, second(&bob.replace("bob", "b.b"))),
        (3, second(&bob.replace("bob", ""))),
        (3, second(&bob.replace("bob", "server"))),
        (3, second(&bob.replace("bob", "ALICE"))),
        (3, second(&bob.replace(salt, &salt[2..]))),
        (3, second(&bob.replace(salt, &salt.replace('a', "g")))),
        (3, second(&bob[..bob.len() - 1])),
        (3, second(&bob[..bob.len() - 2])),
        (3, second(&format!("{bob}00"))),
        (3, second(&format!("{bob} "))),
        (3, second(&format!(" {bob}"))),
        (3, second(&bob.replace(' ', "  "))),
        (3, second(&bob.replacen(salt, &format!("{salt} {salt}"), 1))),
        (3, second(&format!("# {bob}"))),
        (4, format!("{good}\n")),
    ];
    for (expected, text) in cases {
        fs::write(accounts.path(), &text).unwrap();
        let errors = [
            accounts.find(&name("alice")).err(),
            accounts.names().err(),
            accounts.check_free(&name("carol")).err(),
            accounts.add(account("carol", 2)).err(),
            accounts.change(&name("alice"), verifier(2)).err(),
            accounts.remove(&name("alice")).err(),
        ];
        for error in errors {
            let error = error.unwrap_or_else(|| panic!("it was taken: {text:?}"));
            match &error {
                Error::Malformed { path, line, .. } => {
                    assert_eq!((path.as_path(), *line), (accounts.path(), expected), "{error}");
                }
                _ => panic!("{error}"),
            }
        }
        assert_eq!(fs::read_to_string(accounts.path()).unwrap(), text);
    }
    fs::write(accounts.path(), good).unwrap();
    assert!(accounts.find(&name("bob")).unwrap() == Some(account("bob", 1)));
}

#[test]
fn what_another_handle_changes_counts_at_once() {
    let (_folder, accounts) = empty();
    let other = Accounts::at(accounts.path());
    other.add(account("alice", 0)).unwrap();
    assert!(accounts.find(&name("alice")).unwrap() == Some(account("alice", 0)));
    other.change(&name("alice"), verifier(1)).unwrap();
    assert!(accounts.find(&name("alice")).unwrap() == Some(account("alice", 1)));
    other.remove(&name("alice")).unwrap();
    assert!(accounts.find(&name("alice")).unwrap().is_none());
}

#[cfg(unix)]
#[test]
fn accounts_that_others_may_read_are_refused() {
    use std::os::unix::fs::PermissionsExt;

    let (_folder, accounts) = empty();
    accounts.add(account("alice", 0)).unwrap();
    fs::set_permissions(accounts.path(), fs::Permissions::from_mode(0o640)).unwrap();
    let errors = [accounts.find(&name("alice")).err(), accounts.add(account("bob", 1)).err()];
    for error in errors.map(Option::unwrap) {
        assert!(matches!(error, Error::File(private::Error::Wide { mode: 0o640, .. })), "{error}");
    }
}
