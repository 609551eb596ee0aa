//! What a person types after `@send`.

use std::path::Path;
use std::path::PathBuf;

use crate::name::Name;

/// What follows `@send`: the path of a file, and the person whom it is for, if not for all.
///
/// A path may be in double quotes. Without them it is the whole rest of the line if there is such
/// a file; otherwise the last word is the name, if it can be one. `None` if it has neither form.
pub fn parse_send(rest: &str) -> Option<(PathBuf, Option<Name>)> {
    let rest = rest.trim_start();
    if let Some(quoted) = rest.strip_prefix('"') {
        let (path, name) = quoted.split_once('"').filter(|(path, _)| !path.is_empty())?;
        return match name.trim() {
            "" => Some((path.into(), None)),
            _ if !name.starts_with(char::is_whitespace) => None,
            name => Some((path.into(), Some(person(name)?))),
        };
    }
    let rest = rest.trim_end();
    let words = rest.rsplit_once(char::is_whitespace).filter(|_| !Path::new(rest).exists());
    match words.and_then(|(path, name)| Some((path.trim_end(), person(name)?))) {
        Some((path, name)) => Some((path.into(), Some(name))),
        None => Some((rest.into(), None)).filter(|_| !rest.is_empty()),
    }
}

/// Many write `@bob`, as where they write to him.
fn person(word: &str) -> Option<Name> {
    word.strip_prefix('@').unwrap_or(word).parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The path and the name.
    #[track_caller]
    fn sent(rest: &str) -> (String, Option<String>) {
        let (path, name) = parse_send(rest).unwrap();
        (path.into_os_string().into_string().unwrap(), name.map(String::from))
    }

    fn to(path: &str, name: &str) -> (String, Option<String>) {
        (path.to_owned(), Some(name.to_owned()))
    }

    fn to_all(path: &str) -> (String, Option<String>) {
        (path.to_owned(), None)
    }

    #[test]
    fn in_quotes_everything_is_the_path() {
        assert_eq!(sent(r#""a b.txt""#), to_all("a b.txt"));
        assert_eq!(sent(r#"  "a b.txt"  "#), to_all("a b.txt"));
        assert_eq!(sent(r#""a b.txt" bob"#), to("a b.txt", "bob"));
        assert_eq!(sent(r#""a b.txt"   @bob "#), to("a b.txt", "bob"));
        assert_eq!(sent(r#"" ends with a space ""#), to_all(" ends with a space "));
        assert_eq!(sent(r#""C:\new folder\x" carol"#), to(r"C:\new folder\x", "carol"));
    }

    #[test]
    fn neither_form() {
        for wrong in ["", "  ", r#"""#, r#""""#, r#""" bob"#, r#""a"#, r#""a"b"#, r#""a" b c"#] {
            assert_eq!(parse_send(wrong), None, "{wrong}");
        }
        assert_eq!(parse_send(r#""a" b.c"#), None);
    }

    #[test]
    fn without_quotes_the_last_word_is_a_name_if_it_can_be_one() {
        assert_eq!(sent("no-such-file"), to_all("no-such-file"));
        assert_eq!(sent("no-such-file bob"), to("no-such-file", "bob"));
        assert_eq!(sent("no such\t file  @bob"), to("no such\t file", "bob"));
        // So it is said that there is no such file, and not that there is nobody of this name.
        assert_eq!(sent("no such file.txt"), to_all("no such file.txt"));
        assert_eq!(sent("@bob"), to_all("@bob"));
    }

    #[test]
    fn the_whole_line_if_there_is_such_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).into_os_string().into_string().unwrap();
        assert_eq!(sent(&path("notes for bob")), to(&path("notes for"), "bob"));
        fs::write(path("notes for bob"), "").unwrap();
        assert_eq!(sent(&path("notes for bob")), to_all(&path("notes for bob")));
        assert_eq!(sent(&path("notes for bob carol")), to(&path("notes for bob"), "carol"));
        assert_eq!(sent(&path("notes for bob ")), to_all(&path("notes for bob")));
    }
}
