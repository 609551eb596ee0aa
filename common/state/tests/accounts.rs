//! Accounts and processes: several that change them at once, one that is killed while it does, and
//! one whose disk is full.
//!
//! The process is this test once more, which then runs only what is ignored otherwise.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::env;
use std::fs;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::io;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use common::name::Name;
use rustix::process::Resource;
use rustix::process::Rlimit;
use state::accounts::Account;
use state::accounts::Accounts;
use state::accounts::Verifier;
use tempfile::tempdir;

/// Where the file, and what names begin with, are told to the other process.
const FILE: &str = "STATE_TEST_FILE";
const PREFIX: &str = "STATE_TEST_PREFIX";
/// Accounts that each of the processes makes which do so at once.
const EACH: usize = 60;

/// This test in a process of its own, with only `test` in it; it does not die of a file that is too
/// large, as a program that ignores the signal.
fn start(test: &str, file: &Path, prefix: &str) -> Child {
    let script = "trap '' XFSZ; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", test]);
    command.env(FILE, file).env(PREFIX, prefix);
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// What [`start`] told this process, if it is the other one.
fn told() -> Option<(Accounts, String)> {
    Some((Accounts::at(env::var_os(FILE)?), env::var(PREFIX).ok()?))
}

fn name(prefix: &str, number: usize) -> Name {
    format!("{prefix}{number}").parse().unwrap()
}

/// An account that is known by its number.
fn account(prefix: &str, number: usize) -> Account {
    let byte = number.to_le_bytes()[0];
    let verifier = Verifier { salt: [byte; 16], stored_key: [byte; 32], server_key: [!byte; 32] };
    Account { name: name(prefix, number), verifier }
}

#[test]
fn of_what_several_processes_add_at_once_nothing_is_lost() {
    let folder = tempdir().unwrap();
    // The folder and the file are made by one of them, too.
    let file = folder.path().join("state/users");
    let prefixes = ["a", "b", "c"];
    let children = prefixes.map(|prefix| start("adds_some", &file, prefix));
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let accounts = Accounts::at(file);
    assert_eq!(accounts.names().unwrap().len(), prefixes.len() * EACH);
    for prefix in prefixes {
        for number in 0..EACH {
            let found = accounts.find(&name(prefix, number)).unwrap();
            assert!(found == Some(account(prefix, number)), "{prefix}{number}");
        }
    }
}

#[test]
#[ignore = "what the test above starts"]
fn adds_some() {
    let Some((accounts, prefix)) = told() else { return };
    for number in 0..EACH {
        accounts.add(account(&prefix, number)).unwrap();
    }
}

#[test]
fn who_is_killed_has_made_an_account_or_not() {
    const ROUNDS: usize = 30;
    let folder = tempdir().unwrap();
    let accounts = Accounts::at(folder.path().join("users"));
    let (mut half_made, mut total) = (0, 0);
    for round in 0..ROUNDS {
        let prefix = format!("r{round}-");
        let mut child = start("adds_until_it_is_killed", accounts.path(), &prefix);
        let mut said = child.stderr.take().unwrap();
        said.read_exact(&mut [0]).unwrap();
        // This is no waiting for anything: any moment will do.
        let random = RandomState::new().hash_one(round) % 4096;
        thread::sleep(Duration::from_micros(random));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut dots = String::new();
        said.read_to_string(&mut dots).unwrap();
        assert!(dots.bytes().all(|byte| byte == b'.'), "{dots}");
        let added = 1 + dots.len();
        half_made += usize::from(folder.path().join("users.new").exists());
        // What it said is there, and at most the one that it was about to say.
        let names = accounts.names().unwrap();
        let there = names.iter().filter(|name| name.as_str().starts_with(&prefix)).count();
        assert!(there == added || there == added + 1, "{there} are there, {added} were added");
        for number in 0..there {
            let found = accounts.find(&name(&prefix, number)).unwrap();
            assert!(found == Some(account(&prefix, number)), "{prefix}{number}");
        }
        total += there;
        assert_eq!(names.len(), total);
    }
    println!("of {ROUNDS} that were killed {half_made} left a new file that was not in place");
    accounts.add(account("last", 0)).unwrap();
    assert_eq!(accounts.names().unwrap().len(), total + 1);
    assert!(!folder.path().join("users.new").exists());
}

#[test]
#[ignore = "what the test above kills"]
fn adds_until_it_is_killed() {
    let Some((accounts, prefix)) = told() else { return };
    for number in 0.. {
        accounts.add(account(&prefix, number)).unwrap();
        io::stderr().write_all(b".").unwrap();
    }
}

#[test]
fn a_full_disk_is_said_and_changes_nothing() {
    let folder = tempdir().unwrap();
    let accounts = Accounts::at(folder.path().join("users"));
    for number in 0..10 {
        accounts.add(account("x", number)).unwrap();
    }
    let before = fs::read(accounts.path()).unwrap();
    let child = start("adds_on_a_full_disk", accounts.path(), "y");
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    let end =
        format!("cannot change {}: File too large (os error 27)\n", accounts.path().display());
    assert!(said.ends_with(&end), "{said}");
    assert_eq!(fs::read(accounts.path()).unwrap(), before);
    assert!(!folder.path().join("users.new").exists());
}

#[test]
#[ignore = "what the test above starts"]
fn adds_on_a_full_disk() {
    let Some((accounts, prefix)) = told() else { return };
    let size = fs::metadata(accounts.path()).unwrap().len();
    let Rlimit { maximum, .. } = rustix::process::getrlimit(Resource::Fsize);
    // Some of the new line still fits.
    let limit = Rlimit { current: Some(size + 7), maximum };
    rustix::process::setrlimit(Resource::Fsize, limit).unwrap();
    let error = accounts.add(account(&prefix, 0)).unwrap_err();
    writeln!(io::stderr(), "{error}").unwrap();
}
