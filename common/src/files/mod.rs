//! Files on their way, where they touch the disk: no sockets, no messages.
//!
//! What a peer says of a file is a claim: its name is a label that has to pass for one, its size
//! is held against the bytes that come, and nothing is in place before its hash is right.
//!
//! | module | what it is |
//! |---|---|
//! | [`name`] | what a file may be called by a peer |
//! | [`policy`] | which files are taken, and where they go |
//! | [`receive`] | a part file that becomes a file in a folder, or nothing |
//! | [`send`] | a file read in chunks, which must not change meanwhile |
//! | [`size`] | sizes as a person writes and reads them |
//! | [`line`](mod@line) | what a person types after `@send` |

#[cfg(feature = "files")]
mod folder;
pub mod line;
pub mod name;
pub mod policy;
#[cfg(feature = "files")]
pub mod receive;
#[cfg(feature = "files")]
pub mod send;
pub mod size;

pub use line::parse_send;
pub use name::FileName;
pub use policy::Accept;
pub use policy::Policy;
#[cfg(feature = "files")]
pub use receive::Incoming;
#[cfg(feature = "files")]
pub use receive::sweep;
#[cfg(feature = "files")]
pub use send::Source;
pub use size::Size;

/// Most bytes of a file that go into one chunk.
pub const CHUNK: usize = 64 * 1024;

/// A SHA-256 (FIPS 180-4), here a checksum: it shows damage, not who sent the file.
pub type Sha256 = [u8; 32];
