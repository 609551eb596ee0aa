//! The black-box suite on this stage, with each cipher.

#[path = "../src/connection.rs"]
mod connection;
mod driver;
#[path = "../src/server.rs"]
mod server;

suite::encrypted_suite!(crate::driver::Cfb);
suite::secret_suite!(crate::driver::Cfb);

mod cfb {
    suite::chat_suite!(crate::driver::Cfb);
    suite::slow_suite!(crate::driver::Cfb);
    suite::limits_suite!(crate::driver::Cfb);
    suite::command_line_suite!(crate::driver::Cfb);
    suite::hostile_suite!(crate::driver::Cfb);
    suite::exhaustion_suite!(crate::driver::Cfb);
    suite::capture_suite!(crate::driver::Cfb);
    suite::face_suite!(crate::driver::Cfb);
}

mod gcm {
    suite::chat_suite!(crate::driver::Gcm);
    suite::slow_suite!(crate::driver::Gcm);
    suite::limits_suite!(crate::driver::Gcm);
    suite::command_line_suite!(crate::driver::Gcm);
    suite::hostile_suite!(crate::driver::Gcm);
    suite::exhaustion_suite!(crate::driver::Gcm);
    suite::capture_suite!(crate::driver::Gcm);
}
