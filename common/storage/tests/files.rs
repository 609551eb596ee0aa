//! Files and processes: one that is killed while it receives, and one whose disk is full.
//!
//! The process is this test once more, which then runs only what is ignored otherwise.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout)]

use std::env;
use std::fs;
use std::io;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use common::files::CHUNK;
use rustix::process::Resource;
use rustix::process::Rlimit;
use sha2::Digest;
use sha2::Sha256;
use storage::Complete;
use storage::Incoming;
use storage::receive::Error;
use tempfile::tempdir;

/// Where the folder for the other process is told to it.
const FOLDER: &str = "CHAT_TEST_FOLDER";
/// Whole chunks of the file that is received again and again; there are some bytes more.
const CHUNKS: usize = 32;

/// The bytes of the file, of which no chunk is like another.
fn content() -> Vec<u8> {
    (1..=251).cycle().take(CHUNKS * CHUNK + 7).collect()
}

/// This test in a process of its own, with only `test` in it; it does not die of a file that is too
/// large, as a program that ignores the signal.
fn start(test: &str, folder: &Path) -> Child {
    let script = "trap '' XFSZ; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", test]).env(FOLDER, folder);
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Receives `bytes`, and says after each chunk that it has.
fn receive(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let size = bytes.len() as u64;
    let mut incoming = Incoming::create(folder, name.parse().unwrap(), size, size)?;
    for chunk in bytes.chunks(CHUNK) {
        incoming.write_at(incoming.offset(), chunk)?;
        io::stderr().write_all(b".").unwrap();
    }
    incoming.check(size, &Sha256::digest(bytes).into()).and_then(Complete::publish)?;
    Ok(())
}

/// The names of the part files in `folder`; every other file in it has to be whole.
fn parts(folder: &Path, content: &[u8]) -> (Vec<String>, usize) {
    let entries = fs::read_dir(folder).into_iter().flatten().map(Result::unwrap);
    let (mut parts, mut published) = (Vec::new(), 0);
    for entry in entries {
        let name = entry.file_name().into_string().unwrap();
        if name.starts_with('.') {
            parts.push(name);
        } else {
            assert!(fs::read(entry.path()).unwrap() == content, "{name} is not what was sent");
            published += 1;
        }
    }
    (parts, published)
}

#[test]
fn who_is_killed_leaves_nothing_wrong_and_nothing_for_long() {
    let content = content();
    let (mut with_parts, mut with_files) = (0, 0);
    for round in 0..30_usize {
        let folder = tempdir().unwrap();
        let mut child = start("receives_until_it_is_killed", folder.path());
        // A moment that nobody chose: after some chunks, or after the last of a file and a while,
        // so that it is met while the disk is waited for and the file put in place.
        let random = random();
        let received = round % 3 + 1;
        let (chunks, wait) = match round % 2 {
            0 => (usize::from(random) % (3 * CHUNKS), Duration::ZERO),
            _ => (received * (CHUNKS + 1), Duration::from_micros(64) * random.into()),
        };
        let mut said = vec![0; chunks];
        child.stderr.as_mut().unwrap().read_exact(&mut said).unwrap();
        assert!(said.iter().all(|byte| *byte == b'.'), "{}", String::from_utf8_lossy(&said));
        thread::sleep(wait);
        child.kill().unwrap();
        child.wait().unwrap();
        let (left, published) = parts(folder.path(), &content);
        assert!(
            left.len() <= 1 && published >= (chunks / (CHUNKS + 1)).saturating_sub(1),
            "{left:?}"
        );
        with_parts += left.len();
        with_files += usize::from(published > 0);
        assert_eq!(storage::sweep(folder.path()).unwrap(), left.len());
        assert_eq!(parts(folder.path(), &content), (Vec::new(), published));
    }
    println!(
        "of 30 that were killed {with_parts} left a part file, {with_files} had received files"
    );
    assert!(with_parts > 0 && with_files > 0, "{with_parts}, {with_files}");
}

fn random() -> u8 {
    let mut byte = [0];
    fs::File::open("/dev/urandom").unwrap().read_exact(&mut byte).unwrap();
    byte[0]
}

#[test]
#[ignore = "what the test above kills"]
fn receives_until_it_is_killed() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let content = content();
    loop {
        receive(folder.as_ref(), "x.bin", &content).unwrap();
    }
}

#[test]
fn a_full_disk_is_said_and_leaves_nothing() {
    let folder = tempdir().unwrap();
    let output = start("receives_on_a_full_disk", folder.path()).wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    let end = "it cannot be written: File too large (os error 27)\nand the next is received.\n";
    assert!(said.ends_with(end), "{said}");
    assert_eq!(parts(folder.path(), b"small"), (Vec::new(), 1));
}

#[test]
#[ignore = "what the test above starts"]
fn receives_on_a_full_disk() {
    let Some(folder) = env::var_os(FOLDER) else { return };
    let limit = CHUNK as u64 * 3 / 2;
    let Rlimit { maximum, .. } = rustix::process::getrlimit(Resource::Fsize);
    rustix::process::setrlimit(Resource::Fsize, Rlimit { current: Some(limit), maximum }).unwrap();
    let error = receive(folder.as_ref(), "large", &content()).unwrap_err();
    writeln!(io::stderr(), "{error}").unwrap();
    assert!(fs::read_dir(&folder).unwrap().next().is_none());
    write!(io::stderr(), "and the next is received").unwrap();
    receive(folder.as_ref(), "small", b"small").unwrap();
    writeln!(io::stderr()).unwrap();
}
