//! What is said of files, by people and by peers. (Their bytes are the matter of the crate `storage`.)
//!
//! | module | what it is |
//! |---|---|
//! | [`name`] | what a file may be called by a peer |
//! | [`chunk`] | the bytes of a file on their way: frames of kind `11` |
//! | [`policy`] | which files are taken, and where they go |
//! | [`size`] | sizes as a person writes and reads them |
//! | [`desk`] | a client's desk for files: what is offered, sent and received |
//! | [`line`](mod@line) | what a person types after `@send` |

pub mod chunk;
pub mod desk;
pub mod line;
pub mod name;
pub mod policy;
pub mod size;

pub use chunk::Chunk;
pub use line::parse_send;
pub use name::FileName;
pub use policy::Accept;
pub use policy::Policy;
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
