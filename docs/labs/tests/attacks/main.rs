//! The attacks, on the stages' own programs: each works where a stage is weak, and fails, with a
//! sentence of its own, where it is not.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

mod downgrade;
mod handshake;
mod impostor;
mod login;
mod noise;
mod tamper;
mod victims;
