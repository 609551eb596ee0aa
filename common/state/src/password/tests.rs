use std::fs;
use std::io::Cursor;

use tempfile::tempdir;

use super::*;

/// The password in a file with these bytes.
fn in_file(bytes: &[u8]) -> Result<String, NotAPassword> {
    let folder = tempdir().unwrap();
    let path = folder.path().join("password");
    fs::write(&path, bytes).unwrap();
    match from_file(&path) {
        Ok((password, _)) => Ok(password.expose().to_owned()),
        Err(Error::File { path: named, error }) if named == path => Err(error),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_password_has_1_to_1024_bytes() {
    let long = "x".repeat(1024);
    // Of these letters each has two bytes.
    let wide = "é".repeat(512);
    for good in ["x", " ", "correct horse", &long, &wide] {
        assert_eq!(Password::new(good.to_owned()).map(|it| it.expose() == good), Ok(true));
        assert_eq!(in_file(good.as_bytes()), Ok(good.to_owned()));
        let password = from_variable(Some(good.into())).unwrap();
        assert!(password.is_some_and(|password| password.expose() == good));
    }
    for bad in [&format!("{long}x"), &format!("{wide}x"), &"x".repeat(100_000)] {
        assert_eq!(Password::new(bad.to_owned()).err(), Some(NotAPassword::Long));
        assert_eq!(in_file(bad.as_bytes()), Err(NotAPassword::Long));
        let error = from_variable(Some(bad.into())).err();
        assert!(matches!(error, Some(Error::Variable(NotAPassword::Long))), "{error:?}");
    }
    assert_eq!(Password::new(String::new()).err(), Some(NotAPassword::Empty));
}

#[test]
fn of_a_file_it_is_the_first_line_without_its_end_and_nothing_trimmed() {
    let long = "x".repeat(1024);
    let cases = [
        ("correct horse", "correct horse"),
        ("correct horse\n", "correct horse"),
        ("correct horse\r\n", "correct horse"),
        ("correct horse\nbattery\n", "correct horse"),
        (" \tx \n", " \tx "),
        ("x\ry\r\r\n", "x\ry\r"),
        ("x\r", "x\r"),
        ("Grüße 🐎\n", "Grüße 🐎"),
    ];
    for (content, password) in cases {
        assert_eq!(in_file(content.as_bytes()).as_deref(), Ok(password), "{content:?}");
    }
    for end in ["\n", "\r\n"] {
        assert_eq!(in_file(format!("{long}{end}more").as_bytes()), Ok(long.clone()));
        assert_eq!(in_file(format!("{long}x{end}").as_bytes()), Err(NotAPassword::Long));
    }
    for empty in ["", "\n", "\r\n", "\nx"] {
        assert_eq!(in_file(empty.as_bytes()), Err(NotAPassword::Empty), "{empty:?}");
    }
    for binary in [&b"\xff\n"[..], b"\xff\xfex\0", b"caf\xe9\n"] {
        assert_eq!(in_file(binary), Err(NotAPassword::NotText), "{binary:?}");
    }
}

#[test]
fn what_follows_the_first_line_is_left_to_others() {
    let mut pipe = Cursor::new(b"correct horse\nhello\n");
    assert_eq!(first_line(&mut pipe).unwrap(), b"correct horse");
    let mut rest = String::new();
    pipe.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "hello\n");
    let line = first_line(io::repeat(b'x')).unwrap();
    assert_eq!((line.len(), line.capacity()), (LONGEST + 2, LONGEST + 2));
}

#[test]
fn a_variable_that_is_empty_or_missing_is_none() {
    for value in [None, Some(OsString::new())] {
        assert!(from_variable(value).unwrap().is_none());
    }
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_no_text_is_an_error() {
    use std::os::unix::ffi::OsStringExt;

    let error = from_variable(Some(OsString::from_vec(vec![b'x', 0xff]))).err().unwrap();
    assert_eq!(error.to_string(), "CHAT_PASSWORD: a password has to be text in UTF-8");
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_that_names_it() {
    let folder = tempdir().unwrap();
    let missing = folder.path().join("missing");
    for path in [missing.as_path(), folder.path()] {
        let error = Password::given(Some(path)).err().unwrap();
        let begins = format!("cannot read a password from {}: ", path.display());
        assert!(error.to_string().starts_with(&begins), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn it_warns_of_a_file_that_others_may_read() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempdir().unwrap();
    let path = folder.path().join("password");
    fs::write(&path, "x").unwrap();
    let warning = |mode| {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        from_file(&path).unwrap().1
    };
    for mode in [0o600, 0o400, 0o700] {
        assert_eq!(warning(mode), None, "{mode:o}");
    }
    for mode in [0o644, 0o640, 0o604, 0o620] {
        let shown = path.display();
        let expected = format!(
            "warning: others may read {shown} (its mode is 0{mode:o}): run `chmod 600 {shown}`"
        );
        assert_eq!(warning(mode), Some(expected));
    }
    // What is no file on a disk has no mode that says anything.
    let device = File::open("/dev/null").unwrap();
    assert_eq!(others_may_read(Path::new("/dev/null"), &device).unwrap(), None);
}
