//! The black-box suite on this stage, with each cipher.

#[path = "../src/connection.rs"]
mod connection;
mod driver;
#[path = "../src/server.rs"]
mod server;
#[allow(dead_code, reason = "a client's part of it")]
#[path = "../src/transfer.rs"]
mod transfer;

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
    suite::file_suite!(crate::driver::Cfb);
    suite::hostile_file_suite!(crate::driver::Cfb);
}

/// What cannot depend on the cipher is tested with the default alone.
mod gcm {
    suite::chat_suite!(crate::driver::Gcm);
    suite::hostile_suite!(crate::driver::Gcm);
    suite::exhaustion_suite!(crate::driver::Gcm);
    suite::tests!(crate::driver::Gcm, slow {
        a_reader_that_stops
        a_stalled_peer_is_told_why
    });
    suite::tests!(crate::driver::Gcm, limits {
        a_silent_peer_is_closed
        stopping_tells_everyone
    });
    suite::tests!(crate::driver::Gcm, command_line {
        the_end_of_input
        the_end_of_input_at_a_slow_server
        a_server_that_never_answers
        views_of_frames
    });
    suite::tests!(crate::driver::Gcm, files::sending {
        to_the_room
        cancelling
        many_at_once_in_both_directions
        the_end_of_input_waits
    });
    suite::tests!(crate::driver::Gcm, files::ending {
        a_sender_goes
        a_sender_is_reset
        #[cfg(unix)]
        a_server_goes
    });
    suite::tests!(crate::driver::Gcm, files::lies {
        what_a_sender_may_not_do
        what_cannot_be_read
    });
    suite::tests!(
        crate::driver::Gcm,
        capture {
            #[cfg(unix)]
            nothing_to_say_to_a_capture
        }
    );
}
