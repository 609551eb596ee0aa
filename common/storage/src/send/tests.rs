use std::fs::OpenOptions;
use std::io::Write;

use proptest::prelude::*;
use tempfile::TempDir;
use tempfile::tempdir;

use super::*;

/// A folder with a file of `bytes` in it.
fn file(bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempdir().unwrap();
    let path = folder.path().join("x");
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// Bytes of which no chunk is like another.
fn bytes(length: usize) -> Vec<u8> {
    (1..=251).cycle().take(length).collect()
}

/// Reads all, with a buffer of `room` bytes: what was read, the lengths of the chunks, the hash.
fn read_all(source: &mut Source, room: usize) -> Result<(Vec<u8>, Vec<usize>, Sha256), Error> {
    let (mut buffer, mut read, mut lengths) = (vec![0; room], Vec::new(), Vec::new());
    loop {
        match source.next(&mut buffer)? {
            Next::End { sha256 } => return Ok((read, lengths, sha256)),
            Next::Chunk { offset, length } => {
                assert_eq!(offset, read.len() as u64);
                read.extend_from_slice(&buffer[..length]);
                lengths.push(length);
                assert_eq!(source.offset(), read.len() as u64);
            }
        }
    }
}

#[test]
fn chunks_are_of_64_kib_and_the_last_is_the_rest() {
    let bytes = bytes(3 * 65536 + 5);
    let (_folder, path) = file(&bytes);
    let mut source = Source::open(&path).unwrap();
    assert_eq!(source.size(), 3 * 65536 + 5);
    let (read, lengths, sha256) = read_all(&mut source, 1_000_000).unwrap();
    assert_eq!(read, bytes);
    assert_eq!(lengths, [65536, 65536, 65536, 5]);
    assert_eq!(sha256, <Sha256>::from(sha2::Sha256::digest(&bytes)));
    // The end stays the end.
    assert_eq!(source.next(&mut [0]).unwrap(), Next::End { sha256 });
}

#[test]
fn an_empty_file_is_only_an_end() {
    let (_folder, path) = file(b"");
    let (read, lengths, _) = read_all(&mut Source::open(&path).unwrap(), 10).unwrap();
    assert!(read.is_empty() && lengths.is_empty());
}

#[test]
fn what_is_not_there() {
    let folder = tempdir().unwrap();
    let error = Source::open(&folder.path().join("x")).unwrap_err();
    assert!(matches!(error, Error::Open { .. }));
    assert!(error.to_string().starts_with("cannot open "), "{error}");
}

#[test]
fn folders_are_not_sent() {
    let error = Source::open(Path::new(".")).unwrap_err();
    assert_eq!(error.to_string(), ". is a folder; only files can be sent");
}

#[test]
fn a_file_that_shrinks() {
    let (_folder, path) = file(&bytes(200_000));
    for left in [199_999, 65_536, 1, 0] {
        fs::write(&path, bytes(200_000)).unwrap();
        let mut source = Source::open(&path).unwrap();
        source.next(&mut [0; 65_536]).unwrap();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(left).unwrap();
        assert!(matches!(source.next(&mut [0; 65_536]), Err(Error::Shrank(_))));
    }
}

#[test]
fn a_file_that_grows_in_the_middle_or_at_the_end() {
    for room in [1000, 65_536] {
        let (_folder, path) = file(&bytes(65_536));
        let mut source = Source::open(&path).unwrap();
        source.next(&mut vec![0; room]).unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"x").unwrap();
        let error = source.next(&mut [0; 65_536]).unwrap_err();
        assert!(matches!(error, Error::Grew(_)));
        assert!(error.to_string().ends_with("x became longer while it was sent"), "{error}");
    }
}

#[test]
fn a_file_that_vanishes() {
    let (_folder, path) = file(&bytes(100_000));
    let mut source = Source::open(&path).unwrap();
    source.next(&mut [0; 65_536]).unwrap();
    fs::remove_file(&path).unwrap();
    assert!(matches!(source.next(&mut [0; 65_536]), Err(Error::Vanished(_))));
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    use super::*;

    #[test]
    fn pipes_devices_and_sockets_are_not_sent_nor_waited_for() {
        let folder = tempdir().unwrap();
        let [pipe, socket, link] = ["pipe", "socket", "link"].map(|name| folder.path().join(name));
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let _listener = UnixListener::bind(&socket).unwrap();
        symlink(&pipe, &link).unwrap();
        for path in [&*pipe, &*socket, &*link, Path::new("/dev/zero"), Path::new("/dev/tty")] {
            let error = Source::open(path).unwrap_err();
            assert!(matches!(error, Error::NotAFile(_)), "{error}");
        }
        // Opened after it passed for a file, a pipe is not waited for either.
        let opened = Source::of(open(&pipe).unwrap(), &pipe);
        assert!(matches!(opened, Err(Error::NotAFile(_))));
    }

    #[test]
    fn a_link_to_a_file_is_the_users_wish() {
        let (folder, path) = file(b"abc");
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        assert_eq!(read_all(&mut Source::open(&link).unwrap(), 10).unwrap().0, b"abc");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn files_that_the_system_makes_up_have_more_than_they_say() {
        let mut source = Source::open(Path::new("/proc/self/status")).unwrap();
        assert_eq!(source.size(), 0);
        assert!(matches!(source.next(&mut [0; 10]), Err(Error::Grew(_))));
    }

    #[test]
    fn a_file_exchanged_for_another_of_its_size_is_sent_as_it_was() {
        let (folder, path) = file(b"abcdef");
        let other = folder.path().join("other");
        fs::write(&other, b"ABCDEF").unwrap();
        let mut source = Source::open(&path).unwrap();
        source.next(&mut [0; 3]).unwrap();
        fs::rename(&other, &path).unwrap();
        let mut rest = [0; 3];
        source.next(&mut rest).unwrap();
        assert_eq!(&rest, b"def");
        let sha256 = sha2::Sha256::digest(b"abcdef").into();
        assert_eq!(source.next(&mut rest).unwrap(), Next::End { sha256 });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_through_any_buffer(length in 0..200_000_usize, room in 1..100_000_usize) {
        let bytes = bytes(length);
        let (_folder, path) = file(&bytes);
        // So that it does not take long.
        let room = room.max(length / 100).max(1);
        let (read, lengths, sha256) = read_all(&mut Source::open(&path).unwrap(), room).unwrap();
        prop_assert_eq!(sha256, <Sha256>::from(sha2::Sha256::digest(&bytes)));
        prop_assert!(read == bytes);
        prop_assert!(lengths.iter().all(|length| (1..=CHUNK.min(room)).contains(length)));
    }
}
