//! The folder that files are received into, and what is done in it.
//!
//! On Unix it is opened once, and everything happens relative to that descriptor: who exchanges
//! the folder for a symbolic link meanwhile changes nothing. Windows has no such calls in safe
//! Rust; there it is found by its path each time, as far as it is not held by the files open in it.

use std::ffi::OsStr;
use std::fs;
use std::fs::File;
use std::io;
use std::path::Path;

pub use system::Folder;

/// Part files are called `.chat-`, 16 hexadecimal digits, `.part`: hidden, and as no peer may call
/// a file.
const BEFORE: &str = ".chat-";
const AFTER: &str = ".part";

/// So many random names are tried.
const ATTEMPTS: u32 = 16;

/// Opens the folder at `path`, which is made if it is missing.
pub fn make(path: &Path) -> io::Result<Folder> {
    match Folder::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::create_dir(path) {
            // Another program was quicker, or it is a link to nowhere.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Folder::open(path),
        },
        opened => opened,
    }
}

/// A new part file in `folder`, and its name.
pub fn create_part(folder: &Folder) -> io::Result<(String, File)> {
    for _ in 0..ATTEMPTS {
        let name = part_name()?;
        match folder.create(&name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => (),
            created => return Ok((name, created?)),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// A name for a part file that nobody can know before.
fn part_name() -> io::Result<String> {
    Ok(format!("{BEFORE}{:016x}{AFTER}", getrandom::u64()?))
}

/// Whether `name` is one that [`part_name`] makes.
pub fn is_part(name: &OsStr) -> bool {
    let digits = name.to_str().and_then(|name| name.strip_prefix(BEFORE)?.strip_suffix(AFTER));
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    digits.is_some_and(|digits| digits.len() == 16 && digits.bytes().all(is_digit))
}

#[cfg(unix)]
mod system {
    use std::ffi::OsStr;
    use std::fs::File;
    use std::io;
    use std::os::fd::OwnedFd;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    use rustix::fs::AtFlags;
    use rustix::fs::Dir;
    use rustix::fs::FlockOperation;
    use rustix::fs::Mode;
    use rustix::fs::OFlags;
    use rustix::io::Errno;

    /// A folder that is held open. Its descriptor makes sure that it stays the same.
    #[derive(Debug)]
    pub struct Folder(OwnedFd);

    impl Folder {
        /// The folder at `path`.
        pub fn open(path: &Path) -> io::Result<Folder> {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            Ok(Folder(rustix::fs::open(path, flags, Mode::empty())?))
        }

        /// A new file `name`, locked as long as it is open, that only its owner may read; fails if
        /// anything has that name.
        pub fn create(&self, name: &str) -> io::Result<File> {
            // EXCL makes sure that it is new; what is there, link or not, is never followed.
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let created = rustix::fs::openat(&self.0, name, flags, Mode::RUSR | Mode::WUSR);
            let file = File::from(created?);
            match is_claimed(&file)? {
                true => Ok(file),
                false => Err(io::ErrorKind::AlreadyExists.into()),
            }
        }

        /// Gives the part file the name `name`, all at once; fails if anything has that name, even
        /// a link to nowhere.
        pub fn publish(&self, part: &str, name: &str) -> io::Result<()> {
            #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
            {
                let flags = rustix::fs::RenameFlags::NOREPLACE;
                match rustix::fs::renameat_with(&self.0, part, &self.0, name, flags) {
                    // Some file systems over a network.
                    Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => (),
                    renamed => return Ok(renamed?),
                }
            }
            self.link(part, name)
        }

        /// As [`Folder::publish`], where a rename would replace: for a moment it has both names.
        pub fn link(&self, part: &str, name: &str) -> io::Result<()> {
            rustix::fs::linkat(&self.0, part, &self.0, name, AtFlags::empty())?;
            // If this fails the file is in place nevertheless, and the other name is swept.
            let _ = self.remove(part);
            Ok(())
        }

        /// Removes the file `name`.
        pub fn remove(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
            Ok(rustix::fs::unlinkat(&self.0, name.as_ref(), AtFlags::empty())?)
        }

        /// Has the names in the folder written to the disk.
        pub fn sync(&self) -> io::Result<()> {
            Ok(rustix::fs::fsync(&self.0)?)
        }

        /// Removes the part files that no process has locked, and says how many.
        pub fn sweep(&self) -> io::Result<usize> {
            let mut removed = 0;
            for entry in Dir::read_from(&self.0)? {
                let entry = entry?;
                let name = OsStr::from_bytes(entry.file_name().to_bytes());
                if super::is_part(name) && self.sweep_one(name).is_ok() {
                    removed += 1;
                }
            }
            Ok(removed)
        }

        fn sweep_one(&self, name: &OsStr) -> io::Result<()> {
            // Neither a link nor a pipe that somebody put there is followed or waited for.
            let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let file = File::from(rustix::fs::openat(&self.0, name, flags, Mode::empty())?);
            if !file.metadata()?.is_file() {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
            self.remove(name)
        }
    }

    /// Locks a new file, unless another process has begun to sweep it already. Where nothing can be
    /// locked, nothing is swept.
    pub fn is_claimed(file: &File) -> io::Result<bool> {
        let lock = rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive);
        Ok(lock != Err(Errno::WOULDBLOCK) && file.metadata()?.nlink() > 0)
    }
}

#[cfg(windows)]
mod system {
    use std::fs;
    use std::fs::File;
    use std::fs::OpenOptions;
    use std::io;
    use std::os::windows::fs::OpenOptionsExt;
    use std::path::Path;
    use std::path::PathBuf;

    use tempfile::TempPath;

    /// Others may read a part file while it is open, and nothing else: not remove it.
    const FILE_SHARE_READ: u32 = 1;

    /// A folder by its path.
    #[derive(Debug)]
    pub struct Folder(PathBuf);

    impl Folder {
        /// The folder at `path`.
        pub fn open(path: &Path) -> io::Result<Folder> {
            fs::read_dir(path)?;
            Ok(Folder(path.to_owned()))
        }

        /// A new file `name`, which nobody can remove as long as it is open; fails if anything has
        /// that name.
        pub fn create(&self, name: &str) -> io::Result<File> {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).share_mode(FILE_SHARE_READ);
            options.open(self.0.join(name))
        }

        /// Gives the part file, which must be closed, the name `name`, all at once; fails if
        /// anything has that name. (`fs::rename` would replace it.) Being closed, it is not safe
        /// from a sweep for this moment; what was swept is not published.
        pub fn publish(&self, part: &str, name: &str) -> io::Result<()> {
            let part = TempPath::try_from_path(self.0.join(part))?;
            part.persist_noclobber(self.0.join(name)).map_err(|refused| {
                // It may have to be tried with another name.
                let _ = refused.path.keep();
                refused.error
            })
        }

        /// Removes the file `name`.
        pub fn remove(&self, name: impl AsRef<Path>) -> io::Result<()> {
            fs::remove_file(self.0.join(name))
        }

        /// Windows writes names to the disk by itself.
        pub fn sync(&self) -> io::Result<()> {
            Ok(())
        }

        /// Removes the part files that no process has open, and says how many.
        pub fn sweep(&self) -> io::Result<usize> {
            let mut removed = 0;
            for entry in fs::read_dir(&self.0)? {
                let entry = entry?;
                let is_ours = super::is_part(&entry.file_name()) && entry.file_type()?.is_file();
                if is_ours && self.remove(entry.file_name()).is_ok() {
                    removed += 1;
                }
            }
            Ok(removed)
        }
    }
}

#[cfg(test)]
mod tests;
