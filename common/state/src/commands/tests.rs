use std::fs;

use tempfile::TempDir;
use tempfile::tempdir;

use super::*;

fn empty() -> (TempDir, Accounts) {
    let folder = tempdir().unwrap();
    let accounts = Accounts::at(folder.path().join("users"));
    (folder, accounts)
}

fn name(name: &str) -> Name {
    name.parse().unwrap()
}

fn verifier(byte: u8) -> Verifier {
    Verifier { salt: [byte; 16], stored_key: [byte; 32], server_key: [byte; 32] }
}

/// Of a password that must not be asked for.
fn never() -> Result<Verifier, Error> {
    panic!("a password was asked for")
}

#[test]
fn what_is_printed() {
    let (_folder, accounts) = empty();
    let path = accounts.path().display().to_string();
    assert_eq!(users(&accounts).unwrap(), format!("there are no accounts in {path}"));
    let said = adduser(&accounts, &name("Alice"), || Ok::<_, Error>(verifier(1))).unwrap();
    assert_eq!(said, format!("Alice has an account in {path} now"));
    adduser(&accounts, &name("bob"), || Ok::<_, Error>(verifier(2))).unwrap();
    assert_eq!(users(&accounts).unwrap(), "Alice\nbob");
    let said = passwd(&accounts, &name("alice"), || Ok::<_, Error>(verifier(3))).unwrap();
    assert_eq!(said, "Alice has a new password, which counts from the next login on");
    assert!(accounts.find(&name("alice")).unwrap().unwrap().verifier == verifier(3));
    let said = deluser(&accounts, &name("bob")).unwrap();
    assert_eq!(said, "bob has no account any more, and stays only where already logged in");
    assert_eq!(users(&accounts).unwrap(), "Alice");
}

#[test]
fn no_password_is_asked_for_in_vain() {
    let (_folder, accounts) = empty();
    let error = passwd(&accounts, &name("alice"), never).unwrap_err();
    let expected =
        format!("alice has no account in {}: `adduser alice` makes one", accounts.path().display());
    assert_eq!(error.to_string(), expected);
    adduser(&accounts, &name("alice"), || Ok::<_, Error>(verifier(1))).unwrap();
    let error = adduser(&accounts, &name("ALICE"), never).unwrap_err();
    assert_eq!(
        error.to_string(),
        "alice has an account already: `passwd alice` changes its password"
    );
    let error = adduser(&accounts, &name("quit"), never).unwrap_err();
    assert_eq!(error.to_string(), "quit is a word of commands, or the server: choose another name");
    fs::write(accounts.path(), "something else").unwrap();
    for error in [
        adduser(&accounts, &name("bob"), never).unwrap_err(),
        passwd(&accounts, &name("alice"), never).unwrap_err(),
    ] {
        assert!(matches!(error, Error::Malformed { line: 1, .. }), "{error}");
    }
}

#[test]
fn who_does_not_give_a_password_changes_nothing() {
    let (_folder, accounts) = empty();
    #[derive(Debug, PartialEq)]
    struct Cancelled;
    impl From<Error> for Cancelled {
        fn from(error: Error) -> Cancelled {
            panic!("{error}")
        }
    }
    let cancelled = || Err(Cancelled);
    assert_eq!(adduser(&accounts, &name("alice"), cancelled), Err(Cancelled));
    assert!(!accounts.path().exists());
    adduser(&accounts, &name("alice"), || Ok::<_, Error>(verifier(1))).unwrap();
    assert_eq!(passwd(&accounts, &name("alice"), cancelled), Err(Cancelled));
    assert!(accounts.find(&name("alice")).unwrap().unwrap().verifier == verifier(1));
}

#[test]
fn what_happens_while_a_password_is_asked_for_is_seen() {
    let (_folder, accounts) = empty();
    let other = Account { name: name("alice"), verifier: verifier(1) };
    let error = adduser(&accounts, &name("alice"), || {
        accounts.add(other)?;
        Ok::<_, Error>(verifier(2))
    });
    assert!(matches!(error, Err(Error::Taken(_))), "{error:?}");
    assert!(accounts.find(&name("alice")).unwrap().unwrap().verifier == verifier(1));
    let error = passwd(&accounts, &name("alice"), || {
        accounts.remove(&name("alice"))?;
        Ok::<_, Error>(verifier(2))
    });
    assert!(matches!(error, Err(Error::Unknown { .. })), "{error:?}");
    assert_eq!(accounts.names().unwrap(), []);
}
