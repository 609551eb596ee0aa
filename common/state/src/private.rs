//! Files of one person: who else may read or change them, and how they are changed.
//!
//! A change is made in a file beside, `NAME.new`, which takes the place of the other only when the
//! disk has all of it. Meanwhile `NAME.lock` is locked, which is empty and stays; who only reads
//! waits for nobody. What a crash leaves behind is one `NAME.new`, which the next change overwrites.
//!
//! On Unix a file counts as private by its owner and its mode. Windows has other means, of which
//! safe Rust knows nothing: there a file is as private as the folder that it is in.

use std::ffi::OsString;
use std::fs;
use std::fs::File;
#[cfg(not(unix))]
use std::fs::Metadata;
use std::fs::OpenOptions;
use std::io;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use thiserror::Error;
use zeroize::Zeroizing;

/// What others than the owner may do with a file at most, where there are modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// Nothing: a secret is in it. The mode is 0600 or narrower.
    Nothing,
    /// Read it: no secret is in it, but what is in it is relied on.
    Read,
}

/// Why a file is not used.
#[derive(Debug, Error)]
pub enum Error {
    /// It is there, and cannot be read or is no text.
    #[error("cannot read {}: {error}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It could not be locked or replaced; what was in it still is.
    #[error("cannot change {}: {error}", .path.display())]
    Change {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It is a folder, a device, a pipe or a symbolic link.
    #[error("{} is not a file, or only a link to one: name the file itself", .0.display())]
    NotAFile(PathBuf),
    /// Others may do more with it than they should.
    #[error(
        "others may read or change {path} (its mode is {mode:04o}): run `chmod 600 {path}`; on a \
         disk where that changes nothing, keep such files elsewhere with --state DIR",
        path = .path.display()
    )]
    Wide {
        /// The file.
        path: PathBuf,
        /// The nine bits of its mode, and the three before.
        mode: u32,
    },
    /// It belongs to another user of this machine.
    #[error(
        "{} belongs to another user of this machine: use files of your own, elsewhere with \
         --state DIR",
        .0.display()
    )]
    Foreign(PathBuf),
}

/// What is in the file at `path`, `None` if there is none. A symbolic link is not followed, and
/// nothing is waited for.
///
/// # Errors
/// All of [`Error`](enum@Error) but [`Error::Change`].
pub fn read(path: &Path, others: Others) -> Result<Option<Zeroizing<String>>, Error> {
    let refused = |error| Error::Read { path: path.to_owned(), error };
    // Merely to open a device may do something, so it is looked at before and, as it may have been
    // exchanged, after.
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        metadata => check(path, others, &metadata.map_err(refused)?)?,
    }
    match open(path) {
        // It was removed between the two.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => read_opened(path, others, opened.map_err(refused)?).map(Some),
    }
}

fn read_opened(path: &Path, others: Others, mut file: File) -> Result<Zeroizing<String>, Error> {
    let refused = |error| Error::Read { path: path.to_owned(), error };
    let metadata = file.metadata().map_err(refused)?;
    check(path, others, &metadata)?;
    // Of a secret, a string that grew would leave copies behind that nobody wipes.
    let size = usize::try_from(metadata.len()).unwrap_or_default();
    let mut text = Zeroizing::new(String::with_capacity(size + 1));
    file.read_to_string(&mut text).map_err(refused)?;
    Ok(text)
}

/// Changes the file at `path`: `change` is given what is in it, `None` if there is none, and says
/// what shall be; `None` leaves it as it is. The new file has the mode 0600. All who change it do so
/// one after the other, also in other programs. The folder is made if it is missing, with the mode
/// 0700 (what it is in is not).
///
/// # Errors
/// All of [`Error`](enum@Error), and those of `change`; the file is as it was then.
pub fn update<E: From<Error>>(
    path: &Path,
    others: Others,
    change: impl FnOnce(Option<&str>) -> Result<Option<Zeroizing<String>>, E>,
) -> Result<(), E> {
    let refused = |error| Error::Change { path: path.to_owned(), error };
    // It is unlocked when it is closed, and by the system if the program is killed.
    let _lock = lock(path).map_err(refused)?;
    let old = read(path, others)?;
    if let Some(new) = change(old.as_ref().map(|text| text.as_str()))? {
        replace(path, new.as_bytes()).map_err(refused)?;
    }
    Ok(())
}

/// Waits until nobody else changes the file.
fn lock(path: &Path) -> io::Result<File> {
    let path = beside(path, ".lock")?;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    private(&mut options);
    let file = match options.open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_folder(path.parent().unwrap_or(Path::new("")))?;
            options.open(&path)?
        }
        opened => opened?,
    };
    loop {
        match file.lock() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            locked => return locked.map(|()| file),
        }
    }
}

/// Puts a file with these bytes at `path`, in the place of what is there.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = beside(path, ".new")?;
    // A crash may have left one; whatever it is, it is not written to.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => (),
    }
    let written = create(&new, bytes).and_then(|()| fs::rename(&new, path));
    match written {
        Err(_) => {
            // What cannot be removed now is overwritten by the next change.
            let _ = fs::remove_file(&new);
        }
        // The file is in place; that its name is on the disk not every system can say.
        Ok(()) => drop(sync_folder(path)),
    }
    written
}

/// A new file with these bytes, all of which the disk has.
fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    private(&mut options);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The path with `end` after its name.
fn beside(path: &Path, end: &str) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    let mut name = OsString::from(name);
    name.push(end);
    Ok(path.with_file_name(name))
}

fn make_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(false);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        // Another program was quicker, or it is a link to nowhere.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

#[cfg(unix)]
use unix::check;
#[cfg(unix)]
use unix::open;
#[cfg(unix)]
use unix::private;
#[cfg(unix)]
use unix::sync_folder;

#[cfg(unix)]
mod unix {
    use std::fs::File;
    use std::fs::Metadata;
    use std::fs::OpenOptions;
    use std::io;
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::Path;

    use rustix::fs::Mode;
    use rustix::fs::OFlags;

    use super::Error;
    use super::Others;

    /// Whether this is a file, of this user, with which others may do no more than that.
    pub fn check(path: &Path, others: Others, metadata: &Metadata) -> Result<(), Error> {
        let path = || path.to_owned();
        let forbidden = match others {
            Others::Nothing => 0o077,
            Others::Read => 0o022,
        };
        match metadata {
            metadata if !metadata.is_file() => Err(Error::NotAFile(path())),
            metadata if metadata.uid() != rustix::process::geteuid().as_raw() => {
                Err(Error::Foreign(path()))
            }
            metadata if metadata.mode() & forbidden != 0 => {
                Err(Error::Wide { path: path(), mode: metadata.mode() & 0o7777 })
            }
            _ => Ok(()),
        }
    }

    /// A link is not followed, a pipe not waited for, and a terminal does not become this process's.
    pub fn open(path: &Path) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        Ok(rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty())?.into())
    }

    /// A file that is made is for its owner alone.
    pub fn private(options: &mut OpenOptions) {
        // What is given is a bit pattern; a link is not followed.
        options.mode(0o600).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    }

    /// Has the name of the file at `path` written to the disk.
    pub fn sync_folder(path: &Path) -> io::Result<()> {
        match path.parent() {
            Some(folder) if folder != Path::new("") => File::open(folder)?.sync_all(),
            _ => File::open(".")?.sync_all(),
        }
    }
}

#[cfg(not(unix))]
fn check(path: &Path, _: Others, metadata: &Metadata) -> Result<(), Error> {
    if metadata.is_file() { Ok(()) } else { Err(Error::NotAFile(path.to_owned())) }
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

#[cfg(not(unix))]
fn private(_: &mut OpenOptions) {}

/// Windows writes names to the disk by itself.
#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests;
