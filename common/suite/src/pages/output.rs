//! What a page says that a program shows: `[..]` stands for anything within a line, a line `...` for
//! any number of lines.

/// Whether these lines are all that is shown.
pub fn is_all<E: AsRef<str>, S: AsRef<str>>(expected: &[E], shown: &[S]) -> bool {
    matches(expected, shown, true).is_some()
}

/// How many of the lines shown are those expected, if it begins with these.
pub fn begins<E: AsRef<str>, S: AsRef<str>>(expected: &[E], shown: &[S]) -> Option<usize> {
    matches(expected, shown, false)
}

/// Where the lines expected end among those shown, if they are there somewhere.
pub fn find<E: AsRef<str>, S: AsRef<str>>(expected: &[E], shown: &[S]) -> Option<usize> {
    (0..=shown.len()).find_map(|start| Some(start + begins(expected, &shown[start..])?))
}

fn matches<E: AsRef<str>, S: AsRef<str>>(
    expected: &[E],
    shown: &[S],
    to_the_end: bool,
) -> Option<usize> {
    let Some((first, rest)) = expected.split_first() else {
        return (shown.is_empty() || !to_the_end).then_some(0);
    };
    if first.as_ref().trim_end() == "..." {
        let skipped = |skip| Some(skip + matches(rest, &shown[skip..], to_the_end)?);
        return (0..=shown.len()).find_map(skipped);
    }
    let (line, others) = shown.split_first()?;
    is_line(first.as_ref(), line.as_ref())
        .then(|| matches(rest, others, to_the_end))?
        .map(|n| n + 1)
}

/// Whether a line is the one expected; blanks at the end do not count.
fn is_line(expected: &str, shown: &str) -> bool {
    let (expected, shown) = (expected.trim_end(), shown.trim_end());
    let parts = expected.split("[..]").collect::<Vec<_>>();
    let [first, parts @ .., last] = parts.as_slice() else { return expected == shown };
    let Some(middle) = shown.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else {
        return false;
    };
    parts.iter().try_fold(middle, |rest, part| Some(rest.split_once(part)?.1)).is_some()
}

/// Lines side by side with a margin, for a failure.
pub fn quote<S: AsRef<str>>(lines: &[S]) -> String {
    match lines.is_empty() {
        true => "    (nothing)".to_owned(),
        false => {
            lines.iter().map(|line| format!("    {}", line.as_ref())).collect::<Vec<_>>().join("\n")
        }
    }
}

/// The lines of a text without blanks at their ends, and without empty ones at the end of it.
pub fn lines(text: &str) -> Vec<String> {
    text.trim_end().lines().map(|line| line.trim_end().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_within_a_line() {
        for (expected, shown) in [
            ("a", "a"),
            ("a", "a  "),
            ("[..]", ""),
            ("port [..]", "port 7001"),
            ("[..] is [..], [..]", "this is it, or not"),
            ("a[..]a", "aa"),
        ] {
            assert!(is_line(expected, shown), "{expected:?} is {shown:?}");
        }
        for (expected, shown) in
            [("a", "b"), ("a", "ab"), ("a[..]", "ba"), ("a[..]a", "a"), ("[..]x[..]", "y")]
        {
            assert!(!is_line(expected, shown), "{expected:?} is not {shown:?}");
        }
    }

    #[test]
    fn any_number_of_lines() {
        let shown = ["1", "2", "3", "4"];
        for expected in
            [&["1", "2", "3", "4"][..], &["..."], &["1", "...", "4"], &["...", "3", "4", "..."]]
        {
            assert!(is_all(expected, &shown), "{expected:?}");
        }
        for expected in [&["1"][..], &[], &["2", "..."], &["1", "...", "3"], &["...", "5"]] {
            assert!(!is_all(expected, &shown), "{expected:?}");
        }
        assert_eq!(begins(&["1", "2"], &shown), Some(2));
        assert_eq!(begins(&["2"], &shown), None);
        assert_eq!(find(&["2", "3"], &shown), Some(3));
        assert_eq!(find(&["2", "...", "4"], &shown), Some(4));
        assert_eq!(find(&["2", "4"], &shown), None);
    }
}
