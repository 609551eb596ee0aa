//! The published captures: made anew, compared with what the stages' own programs do, and read by
//! tshark.

#![allow(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test may stop at the first surprise"
)]

mod programs;
mod published;
mod reader;
