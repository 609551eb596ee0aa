//! What the clients of an encrypted stage say before all else: which session they have.

use crate::Stage;
use crate::terminal::Terminal;

/// Digits of a group of a fingerprint, and how many groups.
const GROUP: usize = 5;
const GROUPS: usize = 4;
/// What follows under CFB.
const WARNING: &str =
    "warning: aes-256-cfb does not notice tampering (on purpose); aes-256-gcm does";

/// What is left of a client's stderr behind what it says about its session; where a stage has no
/// sessions that is all of it.
#[track_caller]
pub fn behind<S: Stage>(stderr: &str) -> &str {
    S::session().map_or(stderr, |suite| said_by::<S>(stderr, suite).1)
}

/// As [`said`], behind which the stage says something else.
#[track_caller]
pub fn said_by<'a, S: Stage>(stderr: &'a str, suite: &str) -> (&'a str, &'a str) {
    let (session, behind) = said(stderr, suite);
    let behind = S::says().iter().fold(behind, |behind, beginning| {
        let (line, behind) = behind.split_once('\n').expect("another line");
        assert!(line.starts_with(beginning), "{line:?} does not begin with {beginning:?}");
        behind
    });
    (session, behind)
}

/// The line about a session of this suite, and what is behind it and its warning.
#[track_caller]
pub fn said<'a>(stderr: &'a str, suite: &str) -> (&'a str, &'a str) {
    let (line, mut rest) = stderr.split_once('\n').expect("a line about the session");
    fingerprint(line, suite);
    if warns(suite) {
        let (warning, more) = rest.split_once('\n').expect("a warning");
        assert_eq!(warning, WARNING);
        rest = more;
    }
    (line, rest)
}

/// Whether clients are warned of the cipher.
fn warns(suite: &str) -> bool {
    suite.ends_with("aes-256-cfb")
}

/// The same for what a terminal shows, and has shown.
#[track_caller]
pub fn shown<S: Stage>(terminal: &Terminal) -> Vec<String> {
    let mut rows = terminal.scrollback_and_screen();
    if let Some(suite) = S::session() {
        fingerprint(&rows.remove(0), suite);
        if warns(suite) {
            assert_eq!(rows.remove(0), WARNING);
        }
    }
    for beginning in S::says() {
        let row = rows.remove(0);
        assert!(row.starts_with(beginning), "{row:?} does not begin with {beginning:?}");
    }
    rows
}

/// So many rows of a terminal are above what a client of any stage shows.
pub fn rows<S: Stage>() -> u16 {
    let said = u16::try_from(S::says().len()).expect("not so many");
    said + S::session().map_or(0, |suite| if warns(suite) { 2 } else { 1 })
}

/// The fingerprint in a line about a session, which has to be of this suite.
#[track_caller]
pub fn fingerprint<'a>(line: &'a str, suite: &str) -> &'a str {
    let digits = line.strip_prefix(&format!("session: {suite} fingerprint="));
    let digits = digits.unwrap_or_else(|| panic!("{line:?} is not about a session with {suite}"));
    let groups = digits.split('-').collect::<Vec<_>>();
    let is_group = |group: &&str| group.len() == GROUP && group.bytes().all(|b| b.is_ascii_digit());
    assert!(groups.len() == GROUPS && groups.iter().all(is_group), "{line:?}");
    digits
}
