//! Files on their way, where they touch the disk: no sockets, no messages.
//!
//! What a peer says of a file is a claim: its name is a label that has to pass for one, its size
//! is held against the bytes that come, and nothing is in place before its hash is right.
//!
//! | module | what it is |
//! |---|---|
//! | [`name`] | what a file may be called by a peer |
//! | [`chunk`] | the bytes of a file on their way: frames of kind `11` |
//! | [`policy`] | which files are taken, and where they go |
//! | [`receive`] | a part file that becomes a file in a folder, or nothing |
//! | [`send`] | a file read in chunks, which must not change meanwhile |
//! | [`size`] | sizes as a person writes and reads them |
//! | [`desk`] | a client's desk for files: what is offered, sent and received |
//! | [`line`](mod@line) | what a person types after `@send` |

pub mod chunk;
pub mod desk;
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

pub use chunk::Chunk;
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

use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use crate::hex::hex;
use crate::hex::unhex;
use crate::name::Name;

/// Most bytes of a file that go into one chunk.
pub const CHUNK: usize = 64 * 1024;

/// A SHA-256 (FIPS 180-4), here a checksum: it shows damage, not who sent the file.
pub type Sha256 = [u8; 32];

/// Most bytes of a file that are on their way: sent, and not acknowledged by all who take it.
///
/// It bounds what a server has to remember of a transfer, however slow those are who take it.
pub const WINDOW: u64 = 1024 * 1024;

/// A checksum as it is in messages: 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Checksum(pub Sha256);

impl TryFrom<String> for Checksum {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Checksum, &'static str> {
        let bytes = unhex(&text).and_then(|bytes| Sha256::try_from(bytes).ok());
        bytes.map(Checksum).ok_or("a SHA-256 has 64 hexadecimal digits")
    }
}

impl From<Checksum> for String {
    fn from(checksum: Checksum) -> String {
        hex(&checksum.0)
    }
}

/// What a person wants done with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Offer it: to one person or to all.
    Send {
        /// Where it is.
        path: PathBuf,
        /// For whom, if not for all.
        to: Option<Name>,
    },
    /// Take one that was offered.
    Accept(u32),
    /// Do not.
    Refuse(u32),
    /// No more of one that is offered, sent or received.
    Cancel(u32),
}
