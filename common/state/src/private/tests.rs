use std::sync::Barrier;
use std::thread;

use tempfile::tempdir;

use super::*;

/// What a change says, as the type of its result.
type Changed = Result<Option<Zeroizing<String>>, Error>;

fn text(text: &str) -> Changed {
    Ok(Some(Zeroizing::new(text.to_owned())))
}

fn content(path: &Path) -> Option<String> {
    read(path, Others::Nothing).unwrap().map(|text| text.to_string())
}

#[test]
fn what_is_missing_is_none_and_what_is_written_is_read() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("x");
    assert_eq!(content(&path), None);
    update(&path, Others::Nothing, |old| {
        assert_eq!(old, None);
        text("one")
    })
    .unwrap();
    assert_eq!(content(&path).as_deref(), Some("one"));
    update(&path, Others::Nothing, |old| text(&format!("{} two", old.unwrap()))).unwrap();
    assert_eq!(content(&path).as_deref(), Some("one two"));
    update(&path, Others::Nothing, |_| text("")).unwrap();
    assert_eq!(content(&path).as_deref(), Some(""));
}

#[test]
fn a_change_that_is_none_or_fails_leaves_the_file_as_it_is() {
    #[derive(Debug, PartialEq)]
    struct No;
    impl From<Error> for No {
        fn from(error: Error) -> No {
            panic!("{error}")
        }
    }
    let folder = tempdir().unwrap();
    let path = folder.path().join("x");
    update(&path, Others::Nothing, |_| Changed::Ok(None)).unwrap();
    assert!(!path.exists());
    update(&path, Others::Nothing, |_| text("one")).unwrap();
    assert_eq!(update(&path, Others::Nothing, |_| Err(No)), Err(No));
    update(&path, Others::Nothing, |_| Changed::Ok(None)).unwrap();
    assert_eq!(content(&path).as_deref(), Some("one"));
}

#[test]
fn the_folder_is_made_and_not_what_it_is_in() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("state/x");
    assert_eq!(content(&path), None);
    assert!(!folder.path().join("state").exists());
    update(&path, Others::Nothing, |_| text("one")).unwrap();
    assert_eq!(content(&path).as_deref(), Some("one"));
    let deep = folder.path().join("a/b/x");
    let error = update(&deep, Others::Nothing, |_| text("one")).unwrap_err();
    assert!(error.to_string().contains("a/b/x: "), "{error}");
    assert!(!folder.path().join("a").exists());
}

#[test]
fn what_a_crash_left_behind_is_overwritten() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("x");
    update(&path, Others::Nothing, |_| text("one")).unwrap();
    fs::write(folder.path().join("x.new"), "a half that is longer than the next").unwrap();
    assert_eq!(content(&path).as_deref(), Some("one"));
    update(&path, Others::Nothing, |_| text("two")).unwrap();
    assert_eq!(content(&path).as_deref(), Some("two"));
    assert!(!folder.path().join("x.new").exists());
}

#[test]
fn changes_at_the_same_time_are_made_one_after_the_other() {
    const THREADS: usize = 8;
    const EACH: usize = 20;
    let folder = tempdir().unwrap();
    // Also the folder is made by one of them only.
    let path = folder.path().join("state/x");
    let start = Barrier::new(THREADS);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                start.wait();
                for _ in 0..EACH {
                    update(&path, Others::Nothing, |old| {
                        text(&format!("{}.", old.unwrap_or_default()))
                    })
                    .unwrap();
                }
            });
        }
    });
    assert_eq!(content(&path), Some(".".repeat(THREADS * EACH)));
}

#[test]
fn who_reads_meanwhile_sees_a_whole_file() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("x");
    let texts = ["a".repeat(10_000), "b".repeat(20_000)];
    update(&path, Others::Nothing, |_| text(&texts[0])).unwrap();
    let (mut reads, mut seen) = (0, [0, 0]);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..100 {
                update(&path, Others::Nothing, |_| text(&texts[round % 2])).unwrap();
            }
        });
        while !writer.is_finished() {
            let content = content(&path).unwrap();
            let which = texts.iter().position(|text| *text == content);
            seen[which.expect("one of the two")] += 1;
            reads += 1;
        }
    });
    assert!(seen.iter().all(|seen| *seen > 0), "{seen:?} of {reads}");
}

#[test]
fn what_is_no_file_or_no_text_is_refused() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("x");
    fs::create_dir(&path).unwrap();
    let error = read(&path, Others::Nothing).unwrap_err();
    assert!(matches!(&error, Error::NotAFile(named) if *named == path), "{error}");
    let error = update(&path, Others::Nothing, |_| text("one")).unwrap_err();
    assert!(matches!(error, Error::NotAFile(_)), "{error}");
    fs::remove_dir(&path).unwrap();
    update(&path, Others::Nothing, |_| text("one")).unwrap();
    // As it is written over, it keeps the mode.
    fs::write(&path, b"\xff\n").unwrap();
    let error = read(&path, Others::Nothing).unwrap_err();
    assert!(matches!(error, Error::Read { .. }), "{error}");
    let error = update(&path, Others::Nothing, |_| text("one")).unwrap_err();
    assert!(matches!(error, Error::Read { .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"\xff\n");
    let nameless = folder.path().join("..");
    assert!(update(&nameless, Others::Nothing, |_| text("one")).is_err());
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn only_the_owner_may_read_what_is_made() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("state/x");
        update(&path, Others::Nothing, |_| text("one")).unwrap();
        assert_eq!(mode(&folder.path().join("state")), 0o700);
        for name in ["x", "x.lock"] {
            assert_eq!(mode(&path.with_file_name(name)), 0o600, "{name}");
        }
        update(&path, Others::Nothing, |_| text("two")).unwrap();
        assert_eq!(mode(&path), 0o600);
    }

    #[test]
    fn a_file_that_others_may_read_or_change_is_refused() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("x");
        update(&path, Others::Nothing, |_| text("one")).unwrap();
        let wide = |others| match read(&path, others) {
            Ok(Some(_)) => false,
            Err(Error::Wide { mode, .. }) if mode == super::unix::mode(&path) => true,
            other => panic!("{other:?}"),
        };
        for bit in 0..9 {
            let bit = 1 << bit;
            set_mode(&path, 0o400 | bit);
            assert_eq!(wide(Others::Nothing), bit & 0o077 != 0, "{bit:o}");
            assert_eq!(wide(Others::Read), bit & 0o022 != 0, "{bit:o}");
        }
        set_mode(&path, 0o640);
        let error = update(&path, Others::Nothing, |_| text("two")).unwrap_err().to_string();
        for part in [&format!("chmod 600 {}`", path.display()), "(its mode is 0640)", "--state DIR"]
        {
            assert!(error.contains(part), "{error}");
        }
        // What others may read becomes the owner's alone when it is changed.
        update(&path, Others::Read, |_| text("two")).unwrap();
        assert_eq!((content(&path).as_deref(), mode(&path)), (Some("two"), 0o600));
    }

    #[test]
    fn links_pipes_sockets_and_devices_are_refused_and_not_waited_for() {
        let folder = tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        update(&path("x"), Others::Nothing, |_| text("one")).unwrap();
        symlink(path("x"), path("link")).unwrap();
        symlink(path("nowhere"), path("broken")).unwrap();
        assert!(Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
        let _listener = UnixListener::bind(path("socket")).unwrap();
        for file in [path("link"), path("broken"), path("pipe"), path("socket"), "/dev/null".into()]
        {
            let error = read(&file, Others::Nothing).unwrap_err();
            assert!(matches!(&error, Error::NotAFile(named) if *named == file), "{error}");
        }
        for file in [path("link"), path("broken"), path("pipe"), path("socket")] {
            let error = update(&file, Others::Nothing, |_| text("two")).unwrap_err();
            assert!(matches!(error, Error::NotAFile(_)), "{error}");
        }
        assert_eq!(content(&path("x")).as_deref(), Some("one"));
        assert!(!path("nowhere").exists());
    }

    #[test]
    fn what_was_exchanged_after_it_was_looked_at_is_refused_too() {
        let folder = tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("x"), "one").unwrap();
        set_mode(&path("x"), 0o644);
        symlink(path("x"), path("link")).unwrap();
        assert!(Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
        assert!(open(&path("link")).is_err());
        let read = |name: &str| {
            let opened = open(&path(name)).unwrap();
            read_opened(&path(name), Others::Nothing, opened).unwrap_err()
        };
        assert!(matches!(read("pipe"), Error::NotAFile(_)));
        assert!(matches!(read("x"), Error::Wide { mode: 0o644, .. }));
    }

    #[test]
    fn nothing_is_written_through_a_link() {
        for end in ["lock", "new"] {
            let folder = tempdir().unwrap();
            let path = |name: &str| folder.path().join(name);
            fs::write(path("victim"), "mine").unwrap();
            symlink(path("victim"), path(&format!("x.{end}"))).unwrap();
            let updated = update(&path("x"), Others::Nothing, |_| text("one"));
            assert_eq!(updated.is_ok(), end == "new", "{updated:?}");
            assert_eq!(fs::read(path("victim")).unwrap(), b"mine");
        }
    }

    #[test]
    fn a_file_of_another_user_is_refused() {
        let folder = tempdir().unwrap();
        let path = folder.path().join("x");
        update(&path, Others::Nothing, |_| text("one")).unwrap();
        if std::os::unix::fs::chown(&path, Some(12_345), None).is_err() {
            println!("only root can give a file away: not tested");
            return;
        }
        let error = read(&path, Others::Read).unwrap_err();
        assert!(matches!(&error, Error::Foreign(named) if *named == path), "{error}");
    }

    #[test]
    fn what_may_not_be_read_is_an_error_and_not_missing() {
        let folder = tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        // Not only the mode of a file can be in the way, which root does not see.
        let error = read(&folder.path().join("file/x"), Others::Nothing).unwrap_err();
        assert!(matches!(error, Error::Read { .. }), "{error}");
    }
}
