//! The black-box suite on this stage, with each cipher.

#[path = "../src/connection.rs"]
mod connection;
mod driver;
#[path = "../src/server.rs"]
mod server;

suite::encrypted_suite!(crate::driver::Cfb);
suite::secret_suite!(crate::driver::Cfb);

mod cfb {
    suite::tests!(
        crate::driver::Cfb,
        inside {
            #[cfg(unix)]
            what_was_inside_is_captured_on_request
            #[cfg(unix)]
            what_discloses_is_for_its_owner_alone
        }
    );
    suite::chat_suite!(crate::driver::Cfb);
    suite::slow_suite!(crate::driver::Cfb);
    suite::limits_suite!(crate::driver::Cfb);
    suite::command_line_suite!(crate::driver::Cfb);
    suite::hostile_suite!(crate::driver::Cfb);
    suite::exhaustion_suite!(crate::driver::Cfb);
    suite::capture_suite!(crate::driver::Cfb);
    suite::face_suite!(crate::driver::Cfb);
}

/// What cannot depend on the cipher is tested with the default alone.
mod gcm {
    suite::tests!(
        crate::driver::Gcm,
        inside {
            #[cfg(unix)]
            what_was_inside_is_captured_on_request
        }
    );
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
    suite::tests!(
        crate::driver::Gcm,
        capture {
            #[cfg(unix)]
            nothing_to_say_to_a_capture
        }
    );
}
