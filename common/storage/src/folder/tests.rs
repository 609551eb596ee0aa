use super::*;

#[test]
fn names_of_part_files_are_new_each_time_and_no_peers() {
    let names = [part_name().unwrap(), part_name().unwrap()];
    assert_ne!(names[0], names[1]);
    for name in names {
        assert!(is_part(name.as_ref()), "{name}");
        assert!(name.parse::<common::files::FileName>().is_err());
    }
}

#[cfg(unix)]
#[test]
fn a_link_instead_of_a_rename_replaces_nothing_either() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let opened = Folder::open(folder.path()).unwrap();
    let (part, _file) = create_part(&opened).unwrap();
    fs::write(path("x"), "mine").unwrap();
    std::os::unix::fs::symlink(path("nowhere"), path("y")).unwrap();
    for taken in ["x", "y"] {
        let error = opened.link(&part, taken).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert!(path(&part).exists());
    }
    opened.link(&part, "z").unwrap();
    assert_eq!(fs::read(path("x")).unwrap(), b"mine");
    assert!(!path(&part).exists() && !path("nowhere").exists());
    assert_eq!(fs::read(path("z")).unwrap(), b"");
}

#[cfg(unix)]
#[test]
fn a_part_file_is_never_what_was_there_under_its_name() {
    let outer = tempfile::tempdir().unwrap();
    let path = |name: &str| outer.path().join(name);
    let opened = make(&path("downloads")).unwrap();
    fs::write(path("secret"), "mine").unwrap();
    let there = ["file", "link", "broken", "folder"].map(|name| path("downloads").join(name));
    fs::write(&there[0], "mine").unwrap();
    std::os::unix::fs::symlink(path("secret"), &there[1]).unwrap();
    std::os::unix::fs::symlink(path("nowhere"), &there[2]).unwrap();
    fs::create_dir(&there[3]).unwrap();
    for taken in there {
        let name = taken.file_name().and_then(OsStr::to_str).unwrap();
        let error = opened.create(name).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{name}");
    }
    assert!(!path("nowhere").exists());
    assert_eq!(fs::read(path("secret")).unwrap(), b"mine");
}

#[cfg(unix)]
#[test]
fn a_new_file_that_is_being_swept_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    let ours = File::create(&path).unwrap();
    let theirs = File::open(&path).unwrap();
    assert!(system::is_claimed(&theirs).unwrap());
    assert!(!system::is_claimed(&ours).unwrap());
    fs::remove_file(&path).unwrap();
    drop(theirs);
    assert!(!system::is_claimed(&ours).unwrap());
}
