//! The black-box suite on this stage: its own handshake, and that of stage 3 with each cipher.

#[path = "../src/connection.rs"]
mod connection;
mod driver;
#[allow(dead_code, reason = "a client's part of it")]
#[path = "../src/known_servers.rs"]
mod known_servers;
#[allow(dead_code, reason = "what a test does not need")]
#[path = "../src/login.rs"]
mod login;
#[allow(dead_code, reason = "what a test does not need")]
#[path = "../src/noise.rs"]
mod noise;
#[path = "../src/server.rs"]
mod server;
#[allow(dead_code, reason = "a client's part of it")]
#[path = "../src/transfer.rs"]
mod transfer;

// Suites that are left to the other side are for stage 3: here a client has to ask for one.
suite::tests!(crate::driver::Any, encrypted {
    key_logs
    a_key_log_that_cannot_be_written
    what_is_no_handshake
    #[cfg(unix)]
    a_server_that_stops_is_no_attack
    nothing_is_readable_on_the_wire
    the_same_message_is_never_the_same_ciphertext
    an_end_that_nobody_has_meant
});
suite::secret_suite!(crate::driver::Noise);

mod noise_nx {
    suite::tests!(
        crate::driver::Noise,
        inside {
            #[cfg(unix)]
            what_was_inside_is_captured_on_request
            #[cfg(unix)]
            what_discloses_is_for_its_owner_alone
        }
    );
    suite::chat_suite!(crate::driver::Noise);
    suite::slow_suite!(crate::driver::Noise);
    suite::limits_suite!(crate::driver::Noise);
    suite::command_line_suite!(crate::driver::Noise);
    suite::hostile_suite!(crate::driver::Noise);
    suite::exhaustion_suite!(crate::driver::Noise);
    suite::capture_suite!(crate::driver::Noise);
    suite::face_suite!(crate::driver::Noise);
    suite::file_suite!(crate::driver::Noise);
    suite::hostile_file_suite!(crate::driver::Noise);
}

mod cfb {
    suite::chat_suite!(crate::driver::Cfb);
    suite::hostile_suite!(crate::driver::Cfb);
    suite::file_suite!(crate::driver::Cfb);
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

#[test]
fn nothing_is_readable_on_the_wire_after_the_handshake_of_this_stage() {
    suite::encrypted::nothing_is_readable_with::<driver::Noise>(&[], b"CHT5\x01");
}
