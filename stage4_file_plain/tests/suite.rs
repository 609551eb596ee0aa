//! The black-box suite on this stage.

#[path = "../src/connection.rs"]
mod connection;
mod driver;
#[path = "../src/server.rs"]
mod server;
#[allow(dead_code, reason = "a client's part of it")]
#[path = "../src/transfer.rs"]
mod transfer;

suite::chat_suite!(crate::driver::Stage4);
suite::slow_suite!(crate::driver::Stage4);
suite::limits_suite!(crate::driver::Stage4);
suite::command_line_suite!(crate::driver::Stage4);
suite::hostile_suite!(crate::driver::Stage4);
suite::exhaustion_suite!(crate::driver::Stage4);
suite::capture_suite!(crate::driver::Stage4);
suite::face_suite!(crate::driver::Stage4);
suite::file_suite!(crate::driver::Stage4);
suite::hostile_file_suite!(crate::driver::Stage4);
