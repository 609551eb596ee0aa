//! A file read in chunks, which must not change meanwhile.

use std::fs;
use std::fs::File;
use std::fs::Metadata;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use common::files::CHUNK;
use common::files::Sha256;
use sha2::Digest;
use thiserror::Error;

/// A local file that is being sent.
#[derive(Debug)]
pub struct Source {
    file: File,
    path: PathBuf,
    size: u64,
    offset: u64,
    hash: sha2::Sha256,
}

/// What is to be sent next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Bytes of the file, at the beginning of the buffer.
    Chunk {
        /// Where in the file the first of them is.
        offset: u64,
        /// How many there are.
        length: usize,
    },
    /// The end of the file.
    End {
        /// Of all bytes that were read.
        sha256: Sha256,
    },
}

/// Why a file is not sent.
#[derive(Debug, Error)]
pub enum Error {
    /// There is nothing, or nothing that may be read.
    #[error("cannot open {}: {error}", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It is a folder.
    #[error("{} is a folder; only files can be sent", .0.display())]
    Folder(PathBuf),
    /// It is a device, a pipe or a socket.
    #[error("{} is not a file on a disk", .0.display())]
    NotAFile(PathBuf),
    /// Reading failed.
    #[error("cannot read on in {}: {error}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It was removed or renamed.
    #[error("{} was removed while it was sent", .0.display())]
    Vanished(PathBuf),
    /// It became shorter.
    #[error("{} became shorter while it was sent", .0.display())]
    Shrank(PathBuf),
    /// It became longer.
    #[error("{} became longer while it was sent", .0.display())]
    Grew(PathBuf),
}

impl Error {
    /// What others are told: nothing about folders and disks, which are the user's business.
    pub fn for_others(&self) -> String {
        let text = match self {
            Error::Vanished(_) | Error::Shrank(_) | Error::Grew(_) => "it was changed meanwhile",
            _ => "it cannot be read any more",
        };
        text.to_owned()
    }
}

impl Source {
    /// Opens the file at `path`, following symbolic links, and never waits for a pipe.
    ///
    /// # Errors
    /// [`Error::Open`], [`Error::Folder`], [`Error::NotAFile`].
    pub fn open(path: &Path) -> Result<Source, Error> {
        let refused = |error| Error::Open { path: path.to_owned(), error };
        // Merely to open a device may do something, so it is looked at before and, as it may have
        // been exchanged, after.
        check_kind(path, &fs::metadata(path).map_err(refused)?)?;
        Source::of(open(path).map_err(refused)?, path)
    }

    /// The file that was opened at `path`, if it is one.
    fn of(file: File, path: &Path) -> Result<Source, Error> {
        let path = path.to_owned();
        let metadata = match file.metadata() {
            Ok(metadata) => metadata,
            Err(error) => return Err(Error::Open { path, error }),
        };
        check_kind(&path, &metadata)?;
        let (size, hash) = (metadata.len(), sha2::Sha256::new());
        Ok(Source { file, path, size, offset: 0, hash })
    }

    /// Bytes of the file when it was opened: exactly those are sent.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The bytes that have been read.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads the next chunk into `buffer`: as many bytes as fit, as there are, and [`CHUNK`] allows.
    /// At the end of the file nothing is read, and an empty file has no chunk. `buffer` has room
    /// for one byte at least.
    ///
    /// # Errors
    /// [`Error::Read`]; [`Error::Vanished`], [`Error::Shrank`], [`Error::Grew`] as soon as that is
    /// seen, and at the end at the latest. Other bytes in their old place are not noticed.
    pub fn next(&mut self, buffer: &mut [u8]) -> Result<Next, Error> {
        self.check()?;
        let left = usize::try_from(self.size - self.offset).unwrap_or(usize::MAX);
        if left == 0 {
            return self.end();
        }
        let length = left.min(CHUNK).min(buffer.len());
        let chunk = buffer.get_mut(..length).unwrap_or_default();
        self.file.read_exact(chunk).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Error::Shrank(self.path.clone()),
            _ => self.failed(error),
        })?;
        self.hash.update(&*chunk);
        let offset = self.offset;
        self.offset += u64::try_from(length).unwrap_or(u64::MAX);
        Ok(Next::Chunk { offset, length })
    }

    /// Whether the file still looks as it did.
    fn check(&self) -> Result<(), Error> {
        match fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Error::Vanished(self.path.clone()))
            }
            Err(error) => Err(self.failed(error)),
            Ok(now) if now.len() < self.size => Err(Error::Shrank(self.path.clone())),
            Ok(now) if now.len() > self.size => Err(Error::Grew(self.path.clone())),
            Ok(_) => Ok(()),
        }
    }

    /// Files that the system makes up have more bytes than they say; so only reading tells.
    fn end(&mut self) -> Result<Next, Error> {
        match self.file.read(&mut [0]) {
            Ok(0) => Ok(Next::End { sha256: self.hash.clone().finalize().into() }),
            Ok(_) => Err(Error::Grew(self.path.clone())),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn failed(&self, error: io::Error) -> Error {
        Error::Read { path: self.path.clone(), error }
    }
}

fn check_kind(path: &Path, metadata: &Metadata) -> Result<(), Error> {
    match metadata {
        metadata if metadata.is_file() => Ok(()),
        metadata if metadata.is_dir() => Err(Error::Folder(path.to_owned())),
        _ => Err(Error::NotAFile(path.to_owned())),
    }
}

/// A pipe is not waited for, and a terminal does not become this process's.
#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    use rustix::fs::Mode;
    use rustix::fs::OFlags;

    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

#[cfg(test)]
mod tests;
