//! A part file that becomes a file in a folder, or nothing.

use std::fs::File;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use common::files::FileName;
use common::files::Sha256;
use sha2::Digest;
use thiserror::Error;

use crate::folder;
use crate::folder::Folder;

/// Most files of one name in a folder, beside the one without a number.
const MOST_COPIES: u32 = 9999;

/// A file that is being received.
///
/// Until it is published its bytes are in a hidden part file in the same folder, which only its
/// owner may read (on Unix, and so it stays), and which is removed when this is dropped.
#[derive(Debug)]
pub struct Incoming {
    part: Part,
    path: PathBuf,
    name: FileName,
    size: u64,
    offset: u64,
    hash: sha2::Sha256,
}

/// Why a file is not received.
#[derive(Debug, Error)]
pub enum Error {
    /// It is larger than the user allows.
    #[error("{size} bytes are too many: no more than {limit} are taken")]
    TooLarge {
        /// What was offered, in bytes.
        size: u64,
        /// What is allowed, in bytes.
        limit: u64,
    },
    /// A chunk came out of order.
    #[error("bytes came for offset {came}, where those for {due} were due")]
    Offset {
        /// Where its first byte belongs.
        came: u64,
        /// Where what has come ends.
        due: u64,
    },
    /// More bytes came than were offered, which were so many.
    #[error("more came than the {0} bytes that were offered")]
    TooMuch(u64),
    /// It ended, but not after the bytes that were offered.
    #[error("it ended after {came} bytes and said {said}, where {size} were offered")]
    Size {
        /// Bytes that have come.
        came: u64,
        /// What the end says, in bytes.
        said: u64,
        /// What was offered, in bytes.
        size: u64,
    },
    /// All bytes came, but not those that were sent.
    #[error("what came is not what was sent: the checksum differs")]
    Checksum,
    /// A chunk came after one that could not be written.
    #[error("an earlier part of it could not be written")]
    Broken,
    /// There are too many files of this name.
    #[error("there are too many files called {0} in the folder")]
    Taken(FileName),
    /// The folder could not be made or opened, or nothing created in it.
    #[error("nothing can be received into {}: {error}", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The bytes could not be written: the disk may be full.
    #[error("it cannot be written: {0}")]
    Write(#[source] io::Error),
    /// All is written, but could not be given its name.
    #[error("it is complete, but cannot be put in place: {0}")]
    Publish(#[source] io::Error),
}

impl Error {
    /// What others are told: nothing about folders and disks, which are the user's business.
    pub fn for_others(&self) -> String {
        match self {
            Error::TooLarge { limit, .. } => format!("takes no more than {limit} bytes"),
            Error::Offset { .. } | Error::TooMuch(_) | Error::Size { .. } | Error::Checksum => {
                self.to_string()
            }
            Error::Broken
            | Error::Taken(_)
            | Error::Folder { .. }
            | Error::Write(_)
            | Error::Publish(_) => "it cannot be stored there".to_owned(),
        }
    }
}

impl Incoming {
    /// Begins to receive a file of `size` bytes into `folder`, which is made if it is missing (what
    /// it is in is not), and may be a symbolic link, as it is the user's. More than `limit` bytes
    /// are not taken.
    ///
    /// # Errors
    /// [`Error::TooLarge`], before the disk is touched, and [`Error::Folder`].
    pub fn create(folder: &Path, name: FileName, size: u64, limit: u64) -> Result<Incoming, Error> {
        if size > limit {
            return Err(Error::TooLarge { size, limit });
        }
        let refused = |error| Error::Folder { folder: folder.to_owned(), error };
        let part = folder::make(folder).and_then(Part::create).map_err(refused)?;
        let hash = sha2::Sha256::new();
        Ok(Incoming { part, path: folder.to_owned(), name, size, offset: 0, hash })
    }

    /// What the file is called.
    pub fn name(&self) -> &FileName {
        &self.name
    }

    /// The bytes that were offered.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The bytes that have come.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Takes the bytes that begin at `offset`, where those before them ended.
    ///
    /// # Errors
    /// [`Error::Offset`], [`Error::TooMuch`] and [`Error::Write`]; after that, [`Error::Broken`].
    pub fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        if offset != self.offset {
            return Err(Error::Offset { came: offset, due: self.offset });
        }
        let end = u64::try_from(bytes.len()).ok().and_then(|length| offset.checked_add(length));
        let end = end.filter(|end| *end <= self.size).ok_or(Error::TooMuch(self.size))?;
        let file = self.part.file.as_mut().ok_or(Error::Broken)?;
        if let Err(error) = file.write_all(bytes) {
            // How much of it was written nobody knows.
            self.part.file = None;
            return Err(Error::Write(error));
        }
        self.hash.update(bytes);
        self.offset = end;
        Ok(())
    }

    /// Checks that the file is what was sent, and waits until the disk has all of it.
    ///
    /// # Errors
    /// [`Error::Size`], [`Error::Checksum`], [`Error::Write`]; nothing is left behind then.
    pub fn check(self, size: u64, sha256: &Sha256) -> Result<Complete, Error> {
        if size != self.size || self.offset != self.size {
            return Err(Error::Size { came: self.offset, said: size, size: self.size });
        }
        if self.hash.finalize() != *sha256 {
            return Err(Error::Checksum);
        }
        let file = self.part.file.as_ref().ok_or(Error::Broken)?;
        file.sync_all().map_err(Error::Write)?;
        Ok(Complete { part: self.part, path: self.path, name: self.name })
    }
}

/// A file that is on the disk, all of it, and not in place yet: it is removed when this is dropped.
#[derive(Debug)]
pub struct Complete {
    part: Part,
    path: PathBuf,
    name: FileName,
}

impl Complete {
    /// Puts the file in place and says where: under its own name or one with a number, so that
    /// nothing is overwritten.
    ///
    /// # Errors
    /// [`Error::Taken`] and [`Error::Publish`]; nothing is left behind then.
    pub fn publish(mut self) -> Result<PathBuf, Error> {
        match self.part.publish(&self.name).map_err(Error::Publish)? {
            Some(name) => Ok(self.path.join(name)),
            None => Err(Error::Taken(self.name)),
        }
    }
}

/// Removes the part files in `folder` that earlier runs left behind, when they were killed, and
/// says how many. Those of running processes, and everything that is not called like a part file,
/// stay. It is no error if there is no such folder.
///
/// # Errors
/// If the folder cannot be read.
pub fn sweep(folder: &Path) -> io::Result<usize> {
    match Folder::open(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        opened => opened?.sweep(),
    }
}

/// A part file, which is removed unless it gets another name.
#[derive(Debug)]
struct Part {
    folder: Folder,
    name: String,
    /// `None` after it could not be written, and where it has to be closed.
    file: Option<File>,
}

impl Part {
    fn create(folder: Folder) -> io::Result<Part> {
        let (name, file) = folder::create_part(&folder)?;
        Ok(Part { folder, name, file: Some(file) })
    }

    /// Gives it the first form of `name` that is free; `None` if none is.
    fn publish(&mut self, name: &FileName) -> io::Result<Option<String>> {
        // On Windows an open file cannot be renamed; elsewhere its lock is held until it has been.
        if cfg!(windows) {
            self.file = None;
        }
        for copy in 0..=MOST_COPIES {
            let name = name.numbered(copy);
            match self.folder.publish(&self.name, &name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => (),
                published => {
                    published?;
                    // The file is in place; that its name is on the disk not every system can say.
                    let _ = self.folder.sync();
                    return Ok(Some(name));
                }
            }
        }
        Ok(None)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // On Windows it cannot be removed while it is open.
        self.file = None;
        // A file that was published has this name no more. What cannot be removed now is swept at
        // the next start.
        let _ = self.folder.remove(&self.name);
    }
}

#[cfg(test)]
mod tests;
