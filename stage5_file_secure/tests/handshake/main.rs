//! The handshake and the login by themselves: known answers, another implementation, every bit.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

#[allow(dead_code, reason = "what crosses the wire is not tested here")]
#[path = "../../src/login.rs"]
mod login;
#[path = "../../src/noise.rs"]
mod noise;

mod logging_in;
mod noise_nx;
