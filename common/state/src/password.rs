//! A password, from a file or from the environment; a face can ask for one, too.
//!
//! It is taken as it is, byte for byte: nothing is trimmed, and no two ways to write a letter are
//! made one.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use common::logging;
use thiserror::Error;
use zeroize::Zeroizing;

/// The variable that may hold a password.
pub const VARIABLE: &str = "CHAT_PASSWORD";
/// Bytes that a password has at most.
pub const LONGEST: usize = 1024;

/// A password of 1 to [`LONGEST`] bytes of UTF-8. It is wiped when this is dropped, and there is no
/// `Debug` that could show it.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

/// Why something is no password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotAPassword {
    /// There is nothing.
    #[error("a password has at least one character")]
    Empty,
    /// It is too long.
    #[error("a password has at most {LONGEST} bytes")]
    Long,
    /// It is no text.
    #[error("a password has to be text in UTF-8")]
    NotText,
}

/// Why there is no password.
#[derive(Debug, Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read a password from {}: {error}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The first line of the file is none.
    #[error("the first line of {}: {error}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: NotAPassword,
    },
    /// The variable is none.
    #[error("{VARIABLE}: {0}")]
    Variable(NotAPassword),
}

impl Password {
    /// What a person has typed.
    ///
    /// # Errors
    /// See [`NotAPassword`].
    pub fn new(text: impl Into<Zeroizing<String>>) -> Result<Password, NotAPassword> {
        let text = text.into();
        match text.len() {
            0 => Err(NotAPassword::Empty),
            1..=LONGEST => Ok(Password(text)),
            _ => Err(NotAPassword::Long),
        }
    }

    /// The password.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The password that a program was given: by the file, if one is named, else by [`VARIABLE`],
    /// where an empty one is none. (The environment keeps its copy, which other programs of the same
    /// user can see.) It warns of a file that others may read.
    ///
    /// # Errors
    /// See [`Error`](enum@Error).
    pub fn given(file: Option<&Path>) -> Result<Option<Password>, Error> {
        let Some(path) = file else { return from_variable(env::var_os(VARIABLE)) };
        let (password, warning) = from_file(path)?;
        if let Some(warning) = warning {
            logging::say(warning);
        }
        Ok(Some(password))
    }
}

/// The first line of the file, without its end, and perhaps a warning. No byte behind that is read:
/// it may be a pipe with more in it.
fn from_file(path: &Path) -> Result<(Password, Option<String>), Error> {
    let refused = |error| Error::Read { path: path.to_owned(), error };
    let file = File::open(path).map_err(refused)?;
    let warning = others_may_read(path, &file).map_err(refused)?;
    let line = Zeroizing::new(first_line(file).map_err(refused)?);
    let password = from_bytes(&line);
    Ok((password.map_err(|error| Error::File { path: path.to_owned(), error })?, warning))
}

fn from_variable(value: Option<OsString>) -> Result<Option<Password>, Error> {
    let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok(None) };
    let bytes = Zeroizing::new(value.into_encoded_bytes());
    from_bytes(&bytes).map(Some).map_err(Error::Variable)
}

fn from_bytes(bytes: &[u8]) -> Result<Password, NotAPassword> {
    if bytes.len() > LONGEST {
        return Err(NotAPassword::Long);
    }
    Password::new(str::from_utf8(bytes).map_err(|_| NotAPassword::NotText)?.to_owned())
}

/// The first line, or as much of it as makes it too long.
#[expect(clippy::unbuffered_bytes, reason = "what a buffer takes is lost to who reads on")]
fn first_line(file: impl Read) -> io::Result<Vec<u8>> {
    // It does not grow: that would leave copies behind that nobody wipes.
    let mut line = Vec::with_capacity(LONGEST + 2);
    for byte in file.bytes().take(LONGEST + 2) {
        match byte? {
            b'\n' => {
                line.pop_if(|last| *last == b'\r');
                break;
            }
            byte => line.push(byte),
        }
    }
    Ok(line)
}

/// A warning if it is a file on a disk that others may read.
#[cfg(unix)]
fn others_may_read(path: &Path, file: &File) -> io::Result<Option<String>> {
    use std::os::unix::fs::MetadataExt;

    let metadata = file.metadata()?;
    let mode = metadata.mode() & 0o7777;
    let is_wide = metadata.is_file() && mode & 0o077 != 0;
    let path = path.display();
    Ok(is_wide.then(|| {
        format!("warning: others may read {path} (its mode is {mode:04o}): run `chmod 600 {path}`")
    }))
}

#[cfg(not(unix))]
fn others_may_read(_: &Path, _: &File) -> io::Result<Option<String>> {
    Ok(None)
}

#[cfg(test)]
mod tests;
