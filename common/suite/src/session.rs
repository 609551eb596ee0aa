//! What the clients of an encrypted stage say before all else: which session they have.

use crate::Stage;
use crate::terminal::Terminal;

/// Digits of a group of a fingerprint, and how many groups.
const GROUP: usize = 5;
const GROUPS: usize = 4;

/// What is left of a client's stderr behind the line about its session; where a stage has no
/// sessions that is all of it.
#[track_caller]
pub fn behind<S: Stage>(stderr: &str) -> &str {
    let Some(suite) = S::session() else { return stderr };
    let (line, rest) = stderr.split_once('\n').expect("a line about the session");
    fingerprint(line, suite);
    rest
}

/// The same for what a terminal shows, and has shown.
#[track_caller]
pub fn shown<S: Stage>(terminal: &Terminal) -> Vec<String> {
    let mut rows = terminal.scrollback_and_screen();
    if let Some(suite) = S::session() {
        fingerprint(&rows.remove(0), suite);
    }
    rows
}

/// So many rows of a terminal are above what a client of any stage shows.
pub fn rows<S: Stage>() -> u16 {
    S::session().is_some().into()
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
