//! The black-box suite on this stage.

#[path = "../src/connection.rs"]
mod connection;
mod driver;
#[path = "../src/server.rs"]
mod server;

suite::chat_suite!(crate::driver::Stage1);
suite::slow_suite!(crate::driver::Stage1);
suite::limits_suite!(crate::driver::Stage1);
suite::command_line_suite!(crate::driver::Stage1);
suite::hostile_suite!(crate::driver::Stage1);
suite::exhaustion_suite!(crate::driver::Stage1);
suite::capture_suite!(crate::driver::Stage1);
suite::face_suite!(crate::driver::Stage1);
