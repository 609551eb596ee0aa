//! The handshake and the login by themselves: known answers, another implementation, every bit.

mod login;
mod noise;
