//! What becomes of files that others offer.

use std::path::PathBuf;

use clap::ValueEnum;

/// Which files are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Accept {
    /// Take each that is not too large
    Auto,
    /// Ask for each: @accept N takes it, @refuse N does not
    Ask,
    /// Take none
    Never,
}

/// Which files are taken, and where they go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Which are taken.
    pub accept: Accept,
    /// The folder that they go to.
    pub folder: PathBuf,
    /// Bytes of the largest that is taken.
    pub max: u64,
}

impl Default for Policy {
    /// That of a stage without files: none is taken.
    fn default() -> Policy {
        Policy { accept: Accept::Never, folder: PathBuf::from("downloads"), max: 0 }
    }
}
