//! The names of people and groups.

use std::fmt;

use serde::Deserialize;
use serde::Serialize;
use thiserror::Error;

/// Most characters that a name may have.
pub const MAX_LENGTH: usize = 20;

/// What nobody may be called: the words of commands, in any stage, and the operator of stage 2.
pub const RESERVED: [&str; 12] = [
    "help", "quit", "names", "status", "group", "secret", "open", "send", "accept", "refuse",
    "cancel", "server",
];

/// A name of the form `[A-Za-z0-9_-]{1,20}`.
///
/// Being plain ASCII it can be shown as it is. Two of them may still look alike in some fonts, as
/// `alice` and `aIice` do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Why something is not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a name has 1 to 20 characters, each a letter A-Z or a-z, a digit, _ or -")]
pub struct NotAName;

impl Name {
    /// What the operator of a server is called.
    pub fn operator() -> Name {
        Name("server".to_owned())
    }

    /// The name as it was chosen.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form in which names are compared: alice and Alice are the same person.
    pub fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    /// Whether it is kept for commands or for the server.
    pub fn is_reserved(&self) -> bool {
        RESERVED.contains(&self.key().as_str())
    }
}

impl std::str::FromStr for Name {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Name, NotAName> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if (1..=MAX_LENGTH).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Name(text.to_owned()))
        } else {
            Err(NotAName)
        }
    }
}

impl TryFrom<String> for Name {
    type Error = NotAName;

    fn try_from(text: String) -> Result<Name, NotAName> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_a_name() {
        for good in ["a", "alice", "Bob_2", "x-y", "12345678901234567890"] {
            assert_eq!(good.parse::<Name>().map(String::from), Ok(good.to_owned()));
        }
        for bad in ["", "123456789012345678901", "a b", "é", "a.b", "#a", "al\u{200b}ice", "a\n"] {
            assert_eq!(bad.parse::<Name>(), Err(NotAName), "{bad:?}");
        }
    }

    #[test]
    fn reserved_in_any_case() {
        assert!("Quit".parse::<Name>().unwrap().is_reserved());
        assert!("SERVER".parse::<Name>().unwrap().is_reserved());
        assert!(!"alice".parse::<Name>().unwrap().is_reserved());
    }
}
