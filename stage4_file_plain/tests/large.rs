//! A file of more than four gigabytes, which takes that much of the disk for a moment.

#[path = "../src/connection.rs"]
mod connection;
mod driver;
#[path = "../src/server.rs"]
mod server;
#[allow(dead_code, reason = "a client's part of it")]
#[path = "../src/transfer.rs"]
mod transfer;

#[test]
#[ignore = "takes 8 GiB of a disk without holes and half a minute; .ci/run runs it"]
fn more_than_four_gigabytes() {
    suite::files::large::more_than_four_gigabytes::<driver::Stage4>();
}
