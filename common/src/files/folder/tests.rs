use super::*;

#[test]
fn names_of_part_files_are_new_each_time_and_no_peers() {
    let names = [part_name().unwrap(), part_name().unwrap()];
    assert_ne!(names[0], names[1]);
    for name in names {
        assert!(is_part(name.as_ref()), "{name}");
        assert!(name.parse::<crate::files::FileName>().is_err());
    }
}

#[cfg(unix)]
#[test]
fn a_link_instead_of_a_rename_replaces_nothing_either() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let opened = Folder::open(folder.path()).unwrap();
    let (part, _file) = opened.create_part().unwrap();
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
