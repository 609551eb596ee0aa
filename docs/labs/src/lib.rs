//! The lab bench: what differs between two stages, and what an attacker between their programs can
//! do.
//!
//! | module | what it is |
//! |---|---|
//! | [`stages`] | the stages, the edges between them, and their programs |
//! | [`diff`] | the difference of two stages' code, shown and published in `docs/diffs/` |
//! | [`square`] | that encryption and files are independent of each other |
//! | [`cost`] | what the same conversation costs on the wire, measured with the real programs |
//! | [`capture`] | the captures in `docs/wireshark/`, the same on every machine |
//! | [`attack`] | a man in the middle between a real client and a real server, in small pieces |

pub mod attack;
pub mod capture;
pub mod cost;
pub mod diff;
pub mod program;
pub mod square;
pub mod stages;
