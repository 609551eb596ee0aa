//! What a file may be called by a peer.
//!
//! A name is a label and never a path. What would mean something to any system that the chat runs
//! on is refused, not repaired, so that a name is the same for everybody who is offered the file.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use thiserror::Error;

use crate::escape;

/// Most bytes of UTF-8 that a file name may have. With a number added (see [`FileName::numbered`])
/// it still fits into the 255 that common file systems allow.
pub const MAX_LENGTH: usize = 200;

/// A file name that can be used in a folder on any system, and shown as it is.
///
/// It has 1 to [`MAX_LENGTH`] bytes of UTF-8. It may be in any script, and is not normalised
/// (UAX #15): Hindi as it is typed is in no normal form, so a rule would refuse honest names, and
/// names that look alike exist in every normal form (`а` is Cyrillic). A folder has them side by
/// side; where its file system takes two for the same, the second gets a number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(String);

/// Why something is not a file name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotAFileName {
    /// There is nothing.
    #[error("a file name cannot be empty")]
    Empty,
    /// More than [`MAX_LENGTH`] bytes; these are so many.
    #[error("the file name has {0} bytes, and at most {MAX_LENGTH} are allowed")]
    TooLong(usize),
    /// `.` or `..`
    #[error("the file name means a folder: this one or the one above")]
    Folder,
    /// `/` or `\`
    #[error("the file name has a '{0}' in it, which separates folders")]
    Separator(char),
    /// One of `< > : " | ? *`
    #[error("the file name has a '{0}' in it, which Windows does not allow")]
    Forbidden(char),
    /// A control character: Unicode category Cc.
    #[error("the file name has a control character in it: U+{:04X}", u32::from(*.0))]
    Control(char),
    /// What else [`crate::escape`] does not show as it is: it is not seen, or changes what is.
    #[error("the file name has a character in it that hides or reorders text: U+{:04X}",
            u32::from(*.0))]
    Invisible(char),
    /// A dot at the beginning, as hidden files have.
    #[error("the file name begins with a dot, as those of hidden files do")]
    DotAtStart,
    /// A dash at the beginning.
    #[error("the file name begins with a dash, so programs would take it for an option")]
    DashAtStart,
    /// A dot at the end.
    #[error("the file name ends with a dot, which Windows leaves out")]
    DotAtEnd,
    /// A space of any kind at the end.
    #[error("the file name ends with a space, which nobody sees and Windows leaves out")]
    SpaceAtEnd,
    /// A device of Windows, also with an extension.
    #[error("the file name is that of a device on Windows")]
    Device,
    /// The path of a local file ends with no name.
    #[error("the path has no file name at its end")]
    NoName,
    /// The name of a local file is no text.
    #[error("the file name is not UTF-8")]
    NotText,
}

impl FileName {
    /// What the local file at `path` is called when it is offered: the last part of it.
    ///
    /// # Errors
    /// If others would refuse that name: the sender learns it first.
    pub fn of(path: &Path) -> Result<FileName, NotAFileName> {
        let name = path.file_name().ok_or(NotAFileName::NoName)?;
        name.to_str().ok_or(NotAFileName::NotText)?.parse()
    }

    /// The name as the peer wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name when the first `copy` forms of it are taken: `report.pdf`, `report (1).pdf`, …
    /// The number goes before the last dot, if there is one.
    pub fn numbered(&self, copy: u32) -> String {
        match (copy, self.0.rsplit_once('.')) {
            (0, _) => self.0.clone(),
            (copy, Some((stem, extension))) => format!("{stem} ({copy}).{extension}"),
            (copy, None) => format!("{} ({copy})", self.0),
        }
    }
}

impl FromStr for FileName {
    type Err = NotAFileName;

    fn from_str(text: &str) -> Result<FileName, NotAFileName> {
        if text.len() > MAX_LENGTH {
            return Err(NotAFileName::TooLong(text.len()));
        }
        if matches!(text, "." | "..") {
            return Err(NotAFileName::Folder);
        }
        text.chars().try_for_each(check)?;
        match (text.chars().next(), text.chars().next_back()) {
            (None, _) | (_, None) => Err(NotAFileName::Empty),
            (Some('.'), _) => Err(NotAFileName::DotAtStart),
            (Some('-'), _) => Err(NotAFileName::DashAtStart),
            (_, Some('.')) => Err(NotAFileName::DotAtEnd),
            (_, Some(last)) if last.is_whitespace() => Err(NotAFileName::SpaceAtEnd),
            _ if is_device(text) => Err(NotAFileName::Device),
            _ => Ok(FileName(text.to_owned())),
        }
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Whether `c` may stand anywhere in a name.
fn check(c: char) -> Result<(), NotAFileName> {
    match c {
        '/' | '\\' => Err(NotAFileName::Separator(c)),
        '<' | '>' | ':' | '"' | '|' | '?' | '*' => Err(NotAFileName::Forbidden(c)),
        c if c.is_control() => Err(NotAFileName::Control(c)),
        c if !escape::is_plain(c) => Err(NotAFileName::Invisible(c)),
        _ => Ok(()),
    }
}

/// Whether Windows takes `name` for a device: it looks only at what is before the first dot,
/// leaves out spaces at the end of that, and knows the superscript digits of Latin-1.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let port = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    let mut number = port.unwrap_or_default().chars();
    match stem.as_str() {
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" => true,
        _ => matches!(number.next(), Some('0'..='9' | '¹' | '²' | '³')) && number.next().is_none(),
    }
}

#[cfg(test)]
pub(super) mod tests;
