//! Files on the disk: no sockets, no messages.
//!
//! What a peer says of a file is a claim: its size is held against the bytes that come, and nothing
//! is in place before its hash is right. (Its name is a label, which [`common::files`] has checked.)
//!
//! | module | what it is |
//! |---|---|
//! | [`receive`] | a part file that becomes a file in a folder, or nothing |
//! | [`send`] | a file read in chunks, which must not change meanwhile |

mod folder;
pub mod receive;
pub mod send;

pub use receive::Complete;
pub use receive::Incoming;
pub use receive::sweep;
pub use send::Next;
pub use send::Source;
