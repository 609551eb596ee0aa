//! What is said of files, by people and by peers. (Their bytes are the matter of the crate `storage`.)
//!
//! | module | what it is |
//! |---|---|
//! | [`name`] | what a file may be called by a peer |
//! | [`size`] | sizes as a person writes and reads them |
//! | [`line`](mod@line) | what a person types after `@send` |

pub mod line;
pub mod name;
pub mod size;

pub use line::parse_send;
pub use name::FileName;
pub use size::Size;

/// Most bytes of a file that go into one chunk.
pub const CHUNK: usize = 64 * 1024;

/// A SHA-256 (FIPS 180-4), here a checksum: it shows damage, not who sent the file.
pub type Sha256 = [u8; 32];
