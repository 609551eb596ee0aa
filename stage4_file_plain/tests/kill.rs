//! Processes that are killed in the middle of a file: a few of each, or as many as the variable KILLS says.

#[path = "../src/connection.rs"]
mod connection;
mod driver;
#[path = "../src/server.rs"]
mod server;
#[allow(dead_code, reason = "a client's part of it")]
#[path = "../src/transfer.rs"]
mod transfer;

suite::kill_suite!(crate::driver::Stage4);
