use std::fs;
use std::thread;

use clap::ValueEnum;
use tempfile::TempDir;

use super::*;
use crate::crypto::Secret;
use crate::crypto::suite::Cipher;
use crate::crypto::suite::Kex;
use crate::crypto::suite::Suite;
use crate::crypto::vectors;
use crate::crypto::vectors::Example;
use crate::crypto::vectors::KEY_SCHEDULE;

/// The session of an example, and its lines.
fn sessions() -> Vec<(Session, String)> {
    let examples = vectors::parse::<Example>(KEY_SCHEDULE).into_iter();
    let sessions = examples.map(|example| {
        let array = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).unwrap();
        let kex = Kex::from_str(&example.kex, false).unwrap();
        let cipher = Cipher::from_str(&example.cipher, false).unwrap();
        let random_c = array(&example.handshake[0][5..37]);
        let secret = Secret::from(array(&example.secret));
        let session =
            Session::derive(Suite { kex, cipher }, random_c, array(&example.salt), &secret);
        (session, example.keylog)
    });
    sessions.collect()
}

#[test]
fn the_lines_are_those_of_another_implementation_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    for (at, (session, lines)) in sessions().into_iter().enumerate() {
        let path = folder.path().join(at.to_string());
        let keylog = KeyLog::append(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "", "before there is a session");
        keylog.write(&session).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), lines);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4);
}

#[test]
fn sessions_are_appended_to_what_is_there() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log");
    drop(KeyLog::append(&path).unwrap());
    fs::write(&path, "# from yesterday\n").unwrap();
    let sessions = sessions();
    let first = KeyLog::append(&path).unwrap();
    first.write(&sessions[0].0).unwrap();
    first.clone().write(&sessions[1].0).unwrap();
    KeyLog::append(&path).unwrap().write(&sessions[2].0).unwrap();
    first.write(&sessions[3].0).unwrap();
    let expected = sessions.iter().map(|(_, lines)| lines.as_str()).collect::<String>();
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("# from yesterday\n{expected}"));
}

#[cfg(unix)]
#[test]
fn a_new_file_is_for_its_owner_alone_and_one_that_others_may_read_is_refused() {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    let folder = TempDir::new().unwrap();
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let new = folder.path().join("new");
    KeyLog::append(&new).unwrap().write(&sessions()[0].0).unwrap();
    assert_eq!(mode(&new), 0o600);
    let old = folder.path().join("old");
    fs::write(&old, "").unwrap();
    for others in [0o640, 0o604, 0o620] {
        fs::set_permissions(&old, Permissions::from_mode(others)).unwrap();
        let refused = KeyLog::append(&old).err().unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        assert!(refused.to_string().contains("chmod 600"), "{refused}");
        assert_eq!(mode(&old), others);
    }
    fs::set_permissions(&old, Permissions::from_mode(0o600)).unwrap();
    KeyLog::append(&old).unwrap().write(&sessions()[0].0).unwrap();
}

#[test]
fn lines_of_many_threads_and_programs_stay_whole() {
    const THREADS: usize = 8;
    const EACH: usize = 50;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log");
    let shared = KeyLog::append(&path).unwrap();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            // Half of them as another program would, with a file of their own.
            let own = KeyLog::append(&path).unwrap();
            let keylog = if thread % 2 == 0 { shared.clone() } else { own };
            scope.spawn(move || {
                let sessions = sessions();
                for at in 0..EACH {
                    keylog.write(&sessions[at % 4].0).unwrap();
                }
            });
        }
    });
    let written = fs::read_to_string(&path).unwrap();
    let sessions = sessions();
    let mut counts = [0; 4];
    let mut rest = written.as_str();
    while !rest.is_empty() {
        let at = sessions.iter().position(|(_, lines)| rest.starts_with(lines.as_str()));
        let at = at.unwrap_or_else(|| panic!("the two lines of a session stand together: {rest}"));
        counts[at] += 1;
        rest = &rest[sessions[at].1.len()..];
    }
    let of = |at| THREADS * (0..EACH).filter(|session| session % 4 == at).count();
    assert_eq!(counts, [of(0), of(1), of(2), of(3)]);
}

/// Two programs that append to one file do not mix their lines if each session is one write; a
/// datagram socket in the file's place shows where a write ends.
#[cfg(unix)]
#[test]
fn a_session_is_one_write() {
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixDatagram;

    let (written, seen) = UnixDatagram::pair().unwrap();
    let file = File::from(OwnedFd::from(written));
    let keylog = KeyLog(Some(Arc::new(Mutex::new(file))));
    for (session, lines) in sessions() {
        keylog.write(&session).unwrap();
        let mut buffer = [0; 1000];
        let length = seen.recv(&mut buffer).unwrap();
        assert_eq!(buffer[..length], *lines.as_bytes());
    }
}

#[test]
fn nothing_is_written_unasked() {
    KeyLog::default().write(&sessions()[0].0).unwrap();
    assert!(KeyLog::default().0.is_none());
}

#[test]
fn a_file_that_cannot_be_written_is_an_error() {
    let folder = TempDir::new().unwrap();
    assert!(KeyLog::append(folder.path()).is_err());
    assert!(KeyLog::append(&folder.path().join("missing/log")).is_err());
    if cfg!(target_os = "linux") {
        let full = KeyLog::append(Path::new("/dev/full")).unwrap();
        assert_eq!(full.write(&sessions()[0].0).unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
