use std::collections::BTreeMap;
use std::fs;
use std::sync::Barrier;
use std::thread;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use tempfile::TempDir;
use tempfile::tempdir;

use super::*;

/// The examples of FIPS 180-4, as NIST published them.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// Letters, and what is dangerous between them.
const ANY_NAME: &str = r"([a-zA-Z0-9]{1,6}|\.\.|[-./\\ :~é日]|con|COM1|.){0,8}";

fn sha256(hex: &str) -> Sha256 {
    let byte = |at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
    std::array::from_fn(byte)
}

fn hash(bytes: &[u8]) -> Sha256 {
    sha2::Sha256::digest(bytes).into()
}

fn begin(folder: &Path, name: &str, size: u64) -> Incoming {
    Incoming::create(folder, name.parse().unwrap(), size, u64::MAX).unwrap()
}

/// Receives `bytes` in two chunks.
fn receive(folder: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf, Error> {
    let size = bytes.len() as u64;
    let mut incoming = Incoming::create(folder, name.parse().unwrap(), size, size)?;
    let (first, second) = bytes.split_at(bytes.len() / 2);
    incoming.write_at(0, first)?;
    incoming.write_at(first.len() as u64, second)?;
    incoming.check(size, &hash(bytes)).and_then(Complete::publish)
}

/// What is in a folder, hidden or not; of folders and links only the names.
fn listing(folder: &Path) -> BTreeMap<String, Option<Vec<u8>>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| {
        let entry = entry.unwrap();
        let is_file = entry.file_type().unwrap().is_file();
        let bytes = is_file.then(|| fs::read(entry.path()).unwrap());
        (entry.file_name().into_string().unwrap(), bytes)
    });
    entries.collect()
}

/// Names as somebody hostile would choose them, and the longest.
fn hostile_names() -> Vec<String> {
    let table = include_str!("../../../src/files/name/hostile.json");
    let mut table = serde_json::from_str::<Value>(table).unwrap();
    let refused = table["refused"].take();
    let lists = refused.as_object().unwrap().values().chain([&table["harmless"]]);
    let names = lists.flat_map(|list| list.as_array().unwrap());
    let names = names.map(|name| name.as_str().unwrap().to_owned());
    names.chain(["x".repeat(200), "é".repeat(100)]).collect()
}

fn file(name: &str, bytes: &[u8]) -> (String, Option<Vec<u8>>) {
    (name.to_owned(), Some(bytes.to_vec()))
}

/// A folder with one in it that files are received into.
fn folders() -> (TempDir, PathBuf) {
    let outer = tempdir().unwrap();
    let downloads = outer.path().join("downloads");
    (outer, downloads)
}

#[test]
fn the_folder_is_made_and_the_file_is_in_it() {
    let (outer, downloads) = folders();
    let mut incoming = begin(&downloads, "abc.txt", 3);
    incoming.write_at(0, b"a").unwrap();
    incoming.write_at(1, b"").unwrap();
    incoming.write_at(1, b"bc").unwrap();
    assert_eq!((incoming.offset(), incoming.size(), incoming.name().as_str()), (3, 3, "abc.txt"));
    let path = incoming.check(3, &sha256(ABC)).and_then(Complete::publish).unwrap();
    assert_eq!(path, downloads.join("abc.txt"));
    assert_eq!(listing(&downloads), BTreeMap::from([file("abc.txt", b"abc")]));
    assert_eq!(listing(outer.path()).len(), 1);
}

#[test]
fn an_empty_file() {
    let (_outer, downloads) = folders();
    let path =
        begin(&downloads, "empty", 0).check(0, &sha256(EMPTY)).and_then(Complete::publish).unwrap();
    assert_eq!(fs::read(path).unwrap(), b"");
    let mut none = begin(&downloads, "empty", 0);
    assert!(matches!(none.write_at(0, b"x"), Err(Error::TooMuch(0))));
}

#[test]
fn the_folder_above_is_not_made() {
    let (outer, downloads) = folders();
    let error = receive(&downloads.join("more"), "x", b"").unwrap_err().to_string();
    assert!(error.starts_with("nothing can be received into "), "{error}");
    assert!(listing(outer.path()).is_empty());
}

#[test]
fn every_name_of_the_table_is_refused_or_ends_in_the_folder() {
    let (outer, downloads) = folders();
    let names = hostile_names();
    assert!(names.len() >= 300, "{}", names.len());
    let mut accepted = 0;
    for name in names {
        let Ok(name) = name.parse::<FileName>() else { continue };
        let bytes = name.as_str().as_bytes();
        let path = match receive(&downloads, name.as_str(), bytes) {
            // macOS has its own opinion of characters that Unicode does not have.
            Err(Error::Publish(_)) if !cfg!(target_os = "linux") => continue,
            received => received.unwrap(),
        };
        accepted += 1;
        assert_eq!(path.parent(), Some(&*downloads));
        assert_eq!(fs::read(path).unwrap(), bytes);
    }
    assert_eq!(listing(&downloads).len(), accepted);
    assert_eq!(listing(outer.path()).into_keys().collect::<Vec<_>>(), ["downloads"]);
}

#[test]
fn what_is_there_is_not_overwritten() {
    let (_outer, downloads) = folders();
    fs::create_dir(&downloads).unwrap();
    fs::write(downloads.join("x.txt"), "mine").unwrap();
    fs::create_dir(downloads.join("x (1).txt")).unwrap();
    assert_eq!(receive(&downloads, "x.txt", b"a").unwrap(), downloads.join("x (2).txt"));
    assert_eq!(receive(&downloads, "x.txt", b"b").unwrap(), downloads.join("x (3).txt"));
    let expected = BTreeMap::from([
        file("x.txt", b"mine"),
        ("x (1).txt".to_owned(), None),
        file("x (2).txt", b"a"),
        file("x (3).txt", b"b"),
    ]);
    assert_eq!(listing(&downloads), expected);
}

#[test]
fn names_that_look_alike_are_both_kept() {
    let (_outer, downloads) = folders();
    receive(&downloads, "\u{e9}", b"composed").unwrap();
    receive(&downloads, "e\u{301}", b"decomposed").unwrap();
    receive(&downloads, "Report", b"upper").unwrap();
    receive(&downloads, "report", b"lower").unwrap();
    let contents = listing(&downloads).into_values().flatten().collect::<Vec<_>>();
    assert_eq!(contents.len(), 4);
    assert!(contents.contains(&b"composed".to_vec()) && contents.contains(&b"upper".to_vec()));
}

#[test]
fn a_hundred_at_once_of_one_name_all_stay() {
    let (_outer, downloads) = folders();
    let start = Barrier::new(100);
    thread::scope(|scope| {
        for number in 0..100_u8 {
            let (downloads, start) = (&downloads, &start);
            scope.spawn(move || {
                let mut incoming = begin(downloads, "x.txt", 1);
                incoming.write_at(0, &[number]).unwrap();
                start.wait();
                let path = incoming.check(1, &hash(&[number])).and_then(Complete::publish).unwrap();
                assert_eq!(fs::read(path).unwrap(), [number]);
            });
        }
    });
    let there = listing(&downloads);
    let mut contents = there.values().flatten().flatten().copied().collect::<Vec<_>>();
    contents.sort_unstable();
    assert_eq!(contents, (0..100).collect::<Vec<_>>());
    let expected = (0..100).map(|copy| "x.txt".parse::<FileName>().unwrap().numbered(copy));
    assert!(expected.into_iter().all(|name| there.contains_key(&name)));
}

#[test]
fn too_large_is_said_before_the_disk_is_touched() {
    let (outer, downloads) = folders();
    let refused = Incoming::create(&downloads, "x".parse().unwrap(), 11, 10).unwrap_err();
    assert!(matches!(refused, Error::TooLarge { size: 11, limit: 10 }));
    assert_eq!(refused.to_string(), "11 bytes are too many: no more than 10 are taken");
    assert!(listing(outer.path()).is_empty());
    assert!(Incoming::create(&downloads, "x".parse().unwrap(), 10, 10).is_ok());
}

#[test]
fn more_than_was_offered_is_not_written() {
    let (_outer, downloads) = folders();
    let mut incoming = begin(&downloads, "x", 3);
    incoming.write_at(0, b"ab").unwrap();
    for more in [&b"cd"[..], &[0; 100_000]] {
        assert!(matches!(incoming.write_at(2, more), Err(Error::TooMuch(3))));
    }
    assert_eq!(listing(&downloads).into_values().collect::<Vec<_>>(), [Some(b"ab".to_vec())]);
    incoming.write_at(2, b"c").unwrap();
    incoming.check(3, &sha256(ABC)).and_then(Complete::publish).unwrap();
    // No sum of an offset and a length wraps.
    let mut last = begin(&downloads, "x", u64::MAX);
    last.offset = u64::MAX - 1;
    assert!(matches!(last.write_at(u64::MAX - 1, b"ab"), Err(Error::TooMuch(u64::MAX))));
}

#[test]
fn chunks_come_in_order_or_not_at_all() {
    let (_outer, downloads) = folders();
    let mut incoming = begin(&downloads, "x", 3);
    incoming.write_at(0, b"a").unwrap();
    for wrong in [0, 2, 3, u64::MAX] {
        let refused = incoming.write_at(wrong, b"b").unwrap_err();
        assert!(matches!(refused, Error::Offset { came, due: 1 } if came == wrong));
    }
    incoming.write_at(1, b"bc").unwrap();
    incoming.check(3, &sha256(ABC)).and_then(Complete::publish).unwrap();
}

#[test]
fn a_lie_about_size_or_hash_leaves_nothing() {
    let (_outer, downloads) = folders();
    for (offered, said) in
        [(2, 2), (3, 2), (4, 4), (3, 4), (4, 3), (u64::MAX, u64::MAX), (u64::MAX, 3)]
    {
        let mut incoming = begin(&downloads, "x", offered);
        let came = incoming
            .write_at(0, b"abc")
            .map(|()| incoming.check(said, &sha256(ABC)).and_then(Complete::publish));
        assert!(matches!(came, Ok(Err(Error::Size { .. })) | Err(Error::TooMuch(2))), "{offered}");
    }
    for bit in 0..256 {
        let mut wrong = sha256(ABC);
        wrong[bit / 8] ^= 1 << (bit % 8);
        let mut incoming = begin(&downloads, "x", 3);
        incoming.write_at(0, b"abc").unwrap();
        assert!(matches!(
            incoming.check(3, &wrong).and_then(Complete::publish),
            Err(Error::Checksum)
        ));
    }
    assert!(listing(&downloads).is_empty());
}

#[test]
fn a_part_file_goes_with_its_transfer_also_in_a_panic() {
    let (_outer, downloads) = folders();
    let mut incoming = begin(&downloads, "x", 3);
    incoming.write_at(0, b"ab").unwrap();
    let part = listing(&downloads);
    assert!(part.keys().all(|name| folder::is_part(name.as_ref())), "{part:?}");
    assert_eq!(part.len(), 1);
    let panicked = thread::spawn(move || {
        assert_eq!(incoming.offset(), 3, "a panic on purpose");
    });
    assert!(panicked.join().is_err());
    assert!(listing(&downloads).is_empty());
}

#[test]
fn after_a_failed_write_nothing_more_is_taken() {
    let (_outer, downloads) = folders();
    let mut incoming = begin(&downloads, "x", 3);
    incoming.write_at(0, b"a").unwrap();
    // A file that is open for reading only fails as a full disk does.
    let part = downloads.join(&incoming.part.name);
    incoming.part.file = Some(File::open(part).unwrap());
    assert!(matches!(incoming.write_at(1, b"b"), Err(Error::Write(_))));
    assert!(matches!(incoming.write_at(1, b"bc"), Err(Error::Broken)));
    drop(incoming);
    assert!(listing(&downloads).is_empty());
}

#[test]
fn leftovers_are_swept_and_nothing_else() {
    let (_outer, downloads) = folders();
    assert_eq!(sweep(&downloads).unwrap(), 0);
    assert!(!downloads.exists());
    fs::create_dir(&downloads).unwrap();
    let others = [
        ".chat-0123456789abcde.part",
        ".chat-0123456789abcdef0.part",
        ".chat-0123456789abcdeG.part",
        ".chat-0123456789ABCDEF.part",
        ".chat-.part",
        ".chat-0123456789abcdef.part~",
        "chat-0123456789abcdef.part",
        ".x-0123456789abcdef.part",
        "x.part",
        ".chat-+123456789abcdef.part",
    ];
    for name in others {
        fs::write(downloads.join(name), "").unwrap();
    }
    fs::create_dir(downloads.join(".chat-00000000000000dd.part")).unwrap();
    for name in [".chat-0123456789abcdef.part", ".chat-0000000000000000.part"] {
        fs::write(downloads.join(name), "left").unwrap();
    }
    assert_eq!(sweep(&downloads).unwrap(), 2);
    assert_eq!(listing(&downloads).len(), others.len() + 1);
    assert_eq!(sweep(&downloads).unwrap(), 0);
    assert!(sweep(&downloads.join("x.part")).is_err());
}

#[test]
fn what_is_being_received_is_not_swept() {
    let (_outer, downloads) = folders();
    let mut incoming = begin(&downloads, "x", 3);
    incoming.write_at(0, b"abc").unwrap();
    assert_eq!(sweep(&downloads).unwrap(), 0);
    incoming.check(3, &sha256(ABC)).and_then(Complete::publish).unwrap();
    assert_eq!(listing(&downloads), BTreeMap::from([file("x", b"abc")]));
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    #[test]
    fn sweeping_all_the_time_disturbs_nobody() {
        let (_outer, downloads) = folders();
        let mut threads = (0..4).map(|_| {
            let downloads = downloads.clone();
            thread::spawn(move || {
                for number in 0..100_u8 {
                    receive(&downloads, "x", &[number]).unwrap();
                }
            })
        });
        let receivers = threads.by_ref().collect::<Vec<_>>();
        while !receivers.iter().all(thread::JoinHandle::is_finished) {
            // Some are swept before they can be locked; then another is made.
            sweep(&downloads).unwrap();
        }
        receivers.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(listing(&downloads).len(), 400);
    }

    #[test]
    fn only_the_owner_may_read_it() {
        let (_outer, downloads) = folders();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
        let incoming = begin(&downloads, "x", 0);
        assert_eq!(mode(&downloads.join(&incoming.part.name)), 0o600);
        assert_eq!(
            mode(&incoming.check(0, &sha256(EMPTY)).and_then(Complete::publish).unwrap()),
            0o600
        );
    }

    #[test]
    fn a_link_in_the_place_of_the_name_is_not_followed() {
        let (outer, downloads) = folders();
        fs::create_dir(&downloads).unwrap();
        let secret = outer.path().join("secret");
        fs::write(&secret, "mine").unwrap();
        symlink(&secret, downloads.join("x.txt")).unwrap();
        symlink(outer.path().join("nowhere"), downloads.join("x (1).txt")).unwrap();
        symlink("x (2).txt", downloads.join("x (2).txt")).unwrap();
        symlink(outer.path(), downloads.join("x (3).txt")).unwrap();
        let path = receive(&downloads, "x.txt", b"abc").unwrap();
        assert_eq!(path, downloads.join("x (4).txt"));
        assert_eq!(fs::read(&secret).unwrap(), b"mine");
        let outside = listing(outer.path()).into_keys().collect::<Vec<_>>();
        assert_eq!(outside, ["downloads", "secret"]);
    }

    #[test]
    fn a_link_in_the_place_of_the_part_file_is_neither_followed_nor_swept() {
        let (outer, downloads) = folders();
        fs::create_dir(&downloads).unwrap();
        let secret = outer.path().join("secret");
        fs::write(&secret, "mine").unwrap();
        let guess = ".chat-0123456789abcdef.part";
        symlink(&secret, downloads.join(guess)).unwrap();
        assert_eq!(sweep(&downloads).unwrap(), 0);
        assert_eq!(fs::read(&secret).unwrap(), b"mine");
        assert!(downloads.join(guess).is_symlink());
    }

    #[test]
    fn a_part_file_exchanged_for_a_link_is_never_written_through() {
        let (outer, downloads) = folders();
        let secret = outer.path().join("secret");
        fs::write(&secret, "mine").unwrap();
        let mut incoming = begin(&downloads, "x", 3);
        let part = downloads.join(&incoming.part.name);
        fs::remove_file(&part).unwrap();
        symlink(&secret, &part).unwrap();
        incoming.write_at(0, b"abc").unwrap();
        // Who may write in the folder may put there what he likes; what is outside is safe.
        let _ = incoming.check(3, &sha256(ABC)).and_then(Complete::publish);
        assert_eq!(fs::read(&secret).unwrap(), b"mine");
    }

    #[test]
    fn a_pipe_in_the_place_of_a_part_file_is_not_waited_for() {
        let (_outer, downloads) = folders();
        fs::create_dir(&downloads).unwrap();
        let pipe = downloads.join(".chat-0123456789abcdef.part");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(sweep(&downloads).unwrap(), 0);
        assert!(pipe.exists());
    }

    #[test]
    fn the_users_folder_may_be_a_link_but_no_other_is_followed_later() {
        let (outer, downloads) = folders();
        let [first, second] = ["first", "second"].map(|name| outer.path().join(name));
        for folder in [&first, &second] {
            fs::create_dir(folder).unwrap();
        }
        symlink(&first, &downloads).unwrap();
        let mut incoming = begin(&downloads, "x", 3);
        incoming.write_at(0, b"abc").unwrap();
        fs::remove_file(&downloads).unwrap();
        symlink(&second, &downloads).unwrap();
        incoming.check(3, &sha256(ABC)).and_then(Complete::publish).unwrap();
        assert_eq!(listing(&first), BTreeMap::from([file("x", b"abc")]));
        // What fails is removed where it was, too.
        let left = begin(&downloads, "x", 3);
        fs::remove_file(&downloads).unwrap();
        symlink(&first, &downloads).unwrap();
        drop(left);
        assert!(listing(&second).is_empty());
    }

    #[test]
    fn a_link_to_nowhere_is_no_folder() {
        let (outer, downloads) = folders();
        symlink(outer.path().join("nowhere"), &downloads).unwrap();
        assert!(matches!(receive(&downloads, "x", b""), Err(Error::Folder { .. })));
        assert_eq!(listing(outer.path()).len(), 1);
    }

    #[test]
    fn a_folder_that_cannot_be_written_to_is_said() {
        // Not even root can create a file there; and what is no folder cannot hold one.
        let error = receive(Path::new("/proc/self"), "x", b"abc").unwrap_err().to_string();
        assert!(error.starts_with("nothing can be received into /proc/self: "), "{error}");
        let error = receive(Path::new("/dev/null"), "x", b"abc").unwrap_err().to_string();
        assert!(error.starts_with("nothing can be received into /dev/null: "), "{error}");
        let (_outer, downloads) = folders();
        fs::create_dir(&downloads).unwrap();
        fs::set_permissions(&downloads, fs::Permissions::from_mode(0o555)).unwrap();
        let received = receive(&downloads, "x", b"abc");
        if rustix::process::geteuid().is_root() {
            println!("root may write into a read-only folder: not tested");
        } else {
            let error = received.unwrap_err().to_string();
            assert!(error.ends_with("Permission denied (os error 13)"), "{error}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever the name, the bytes and the way they are cut: refused, or in the folder as sent.
    #[test]
    fn any_name_and_any_bytes(
        names in vec(ANY_NAME, 1..6),
        chunks in vec(vec(any::<u8>(), 0..300), 0..6),
    ) {
        let (outer, downloads) = folders();
        let bytes = chunks.concat();
        let size = bytes.len() as u64;
        let mut expected = 0;
        for name in names.iter().filter_map(|name| name.parse::<FileName>().ok()) {
            let mut incoming = Incoming::create(&downloads, name, size, size).unwrap();
            for chunk in &chunks {
                incoming.write_at(incoming.offset(), chunk).unwrap();
            }
            let path = match incoming.check(size, &hash(&bytes)).and_then(Complete::publish) {
                Err(Error::Publish(_)) if !cfg!(target_os = "linux") => continue,
                received => received.unwrap(),
            };
            prop_assert_eq!(path.parent(), Some(&*downloads));
            prop_assert_eq!(fs::read(path).unwrap(), &*bytes);
            expected += 1;
        }
        prop_assert!(!downloads.exists() || listing(&downloads).len() == expected);
        prop_assert!(listing(outer.path()).len() <= 1);
    }

    /// Whatever is claimed, only the truth is published.
    #[test]
    fn any_claims(
        bytes in vec(any::<u8>(), 0..200),
        offered in 0..200_u64,
        said in 0..200_u64,
        limit in 0..200_u64,
        offset in 0..3_u64,
    ) {
        let (_outer, downloads) = folders();
        let size = bytes.len() as u64;
        let received = Incoming::create(&downloads, "x".parse().unwrap(), offered, limit)
            .and_then(|mut incoming| {
                incoming.write_at(offset, &bytes)?;
                incoming.check(said, &hash(&bytes)).and_then(Complete::publish)
            });
        let honest = offered <= limit && offset == 0 && size == offered && said == offered;
        prop_assert_eq!(received.is_ok(), honest);
        prop_assert_eq!(downloads.exists() && !listing(&downloads).is_empty(), honest);
    }
}
