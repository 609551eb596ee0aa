//! The black-box suite: scenarios over sockets and processes that every stage passes unchanged.
//!
//! A stage's `tests/suite.rs` implements [`Stage`], its driver, and names the scenarios with
//! [`chat_suite!`]; each becomes a test of its own. There are four ways in:
//!
//! - [`process`]: the stage's binary, its standard streams, signals and exit codes;
//! - [`terminal`]: the same in a pseudo-terminal, by its screen;
//! - [`server`]: the stage's server in this process, with [`Limits`] that
//!   are short enough to be waited for;
//! - [`peer`]: a client made of the stage's own connection, which may send anything at all.
//!
//! Beside them, [`pages`] checks what the documentation says, [`tour`] what a guided tour says, and
//! [`interop`] lets a client in another language talk with the stage's own.

// A scenario is a test, although it is not compiled as one here.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::missing_panics_doc,
    reason = "a scenario stops at the first surprise"
)]

pub mod capture;
pub mod chat;
pub mod command_line;
pub mod encrypted;
pub mod exhaustion;
#[cfg(unix)]
pub mod face;
pub mod files;
pub mod hostile;
#[cfg(feature = "crypto")]
pub mod inside;
pub mod interop;
pub mod limits;
pub mod pages;
pub mod peer;
pub mod process;
#[cfg(feature = "crypto")]
pub mod records;
pub mod secret;
pub mod server;
pub mod session;
pub mod slow;
pub mod speed;
pub mod tap;
pub mod terminal;
pub mod tour;

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use common::frame;
use common::limits::Limits;
use common::outbox::Outbox;
use common::stream::Listener;
use common::stream::Stream;

/// How long a scenario waits for what has to come; only a failing one waits so long.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The driver of a stage.
pub trait Stage {
    /// The stage's binary.
    fn binary() -> &'static Path;

    /// What its command lines end with.
    fn options() -> &'static [&'static str] {
        &[]
    }

    /// The suite of its sessions, as its clients name it: `kex=… cipher=…`. In a stage that encrypts
    /// a line with it is the first thing that a client says, on stderr.
    fn session() -> Option<&'static str> {
        None
    }

    /// How the lines begin that a client says after that, each of which fits into a terminal's row.
    fn says() -> &'static [&'static str] {
        &[]
    }

    /// Runs the stage's server in this thread until the listener is stopped.
    fn serve(listener: &Listener, limits: &Limits);

    /// The client's side of a new connection.
    fn connect(stream: Stream) -> Connected;

    /// The server's side of a new connection, for servers that misbehave.
    fn accept(stream: Stream) -> Connected;
}

/// A connection, or why there is none.
pub type Connected = Result<Halves, Box<dyn Error + Send + Sync>>;

/// A connection's two halves, as functions: each stage has types of its own for them.
pub struct Halves {
    /// Sends what is queued, to the end.
    pub send: Box<dyn FnOnce(&Outbox) + Send>,
    /// The next frame, as kind and body.
    pub receive: Box<Receive>,
}

/// Receives the next frame, as kind and body.
pub type Receive = dyn FnMut() -> Result<Option<(u8, Vec<u8>)>, frame::Error> + Send;

/// Makes a test of each scenario of the chat.
#[macro_export]
macro_rules! chat_suite {
    ($stage:ty) => {
        $crate::tests!($stage, chat {
            names_and_broadcast
            private_messages
            status
            groups
            typing
            misuse
            who_leaves_is_out_of_all_groups
            names_are_unique_in_any_case
            order_per_sender
        });
    };
}

/// Makes a test of each scenario of readers that do not keep up.
#[macro_export]
macro_rules! slow_suite {
    ($stage:ty) => {
        $crate::tests!($stage, slow {
            a_reader_that_stops
            two_readers_that_stop
            a_reader_that_trickles
            a_slow_reader_slows_its_sender
            only_its_senders_wait
            a_stalled_peer_is_told_why
        });
    };
}

/// Makes a test of each scenario of what time does.
#[macro_export]
macro_rules! limits_suite {
    ($stage:ty) => {
        $crate::tests!($stage, limits {
            a_silent_peer_is_closed
            a_peer_that_answers_stays
            a_server_that_says_nothing
            bytes_without_a_frame_are_silence
            waiting_for_others_is_no_silence
            stopping_tells_everyone
        });
    };
}

/// Makes a test of each scenario of the command line.
#[macro_export]
macro_rules! command_line_suite {
    ($stage:ty) => {
        $crate::tests!($stage, command_line {
            help
            wrong_usage
            no_such_address
            a_reserved_name
            the_end_of_input
            the_end_of_input_at_a_slow_server
            a_server_that_never_answers
            input_that_is_no_text
            views_of_frames
            reachable_from_outside
            the_tour
            the_tour_step_by_step
            the_tour_in_a_pipe_that_closes
            #[cfg(unix)] the_tour_on_a_projector
        });
    };
}

/// Makes a test of each scenario of bad input.
#[macro_export]
macro_rules! hostile_suite {
    ($stage:ty) => {
        $crate::tests!($stage, hostile {
            lengths_outside_the_limits
            a_drip_of_bytes_meets_the_deadline
            an_unreadable_first_message
            unreadable_messages_are_refused
            the_sixteenth_unreadable_message_ends_it
            before_and_after_the_hello
            another_version
            names_that_nobody_may_have
            lengths_of_text
            invisible_characters_are_shown
            a_server_that_sends_invisible_characters
            a_server_that_sends_garbage
            a_server_that_ends_inside_a_frame
            ended_at_every_byte
        });
    };
}

/// Makes a test of each scenario of exhaustion, as far as the system has the means for it.
#[macro_export]
macro_rules! exhaustion_suite {
    ($stage:ty) => {
        $crate::tests!($stage, exhaustion {
            a_crowd_of_silent_connections
            the_longest_silent_one_has_to_go
            who_was_heard_lately_may_wait
            #[cfg(target_os = "linux")] the_most_crowded_address_has_to_go
            a_full_house
            who_has_left_has_no_seat
            #[cfg(target_os = "linux")] out_of_descriptors
            #[cfg(target_os = "linux")] out_of_threads
            nobody_reads_the_log
            a_killed_server
            a_client_that_ends_inside_a_frame
            a_killed_client
            #[cfg(unix)] a_server_that_is_stopped
        });
    };
}

/// Makes a test of each scenario of a client in a terminal, on systems with a shell.
#[macro_export]
macro_rules! face_suite {
    ($stage:ty) => {
        $crate::tests!($stage, face {
            #[cfg(unix)] lines_that_come_never_tear_the_line_being_typed
            #[cfg(unix)] a_flood_while_somebody_types
            #[cfg(unix)] editing_and_history
            #[cfg(unix)] completion
            #[cfg(unix)] status_and_typing
            #[cfg(unix)] a_name_is_asked_for
            #[cfg(unix)] leaving
            #[cfg(unix)] a_lost_server
            #[cfg(unix)] a_client_that_is_told_to_end
            #[cfg(unix)] a_client_whose_terminal_takes_nothing
            #[cfg(unix)] leaving_a_server_that_sleeps
            #[cfg(unix)] a_paste
            #[cfg(unix)] a_server_that_stops
            #[cfg(unix)] to_the_background_and_back
            #[cfg(unix)] colours
            #[cfg(unix)] other_sizes
            #[cfg(unix)] no_size
            #[cfg(unix)] long_texts
            #[cfg(unix)] frames_above_the_line
        });
    };
}

/// Makes a test of each scenario of captures.
#[macro_export]
macro_rules! capture_suite {
    ($stage:ty) => {
        $crate::tests!($stage, capture {
            #[cfg(unix)] nothing_to_say_to_a_capture
            #[cfg(target_os = "linux")] the_same_as_a_capture_of_lo
            the_chat_survives_its_capture
            #[cfg(unix)] where_a_capture_can_go
            a_clients_capture_has_stdout_alone
        });
    };
}

/// Makes a test of each scenario of a stage that encrypts. They choose suites themselves: the driver
/// has no options.
#[macro_export]
macro_rules! encrypted_suite {
    ($stage:ty) => {
        $crate::tests!($stage, encrypted {
            suites_and_fingerprints
            no_suite_in_common
            key_logs
            a_key_log_that_cannot_be_written
            what_is_no_handshake
            #[cfg(unix)] a_server_that_stops_is_no_attack
            a_server_of_another_stage
            a_slow_handshake_meets_the_deadline
            nothing_is_readable_on_the_wire
            the_same_message_is_never_the_same_ciphertext
            an_end_that_nobody_has_meant
        });
    };
}

/// Makes a test of each scenario of secrets, in a stage that has them.
#[macro_export]
macro_rules! secret_suite {
    ($stage:ty) => {
        $crate::tests!($stage, secret {
            told_and_opened
            misuse
            the_last_hundred
            what_the_server_refuses
            what_a_server_can_do
            #[cfg(unix)] what_the_server_sees
            #[cfg(unix)] no_key_stays_on_the_screen
        });
    };
}

/// Makes a test of each scenario of files that people send each other, in a stage that has them.
#[macro_export]
macro_rules! file_suite {
    ($stage:ty) => {
        $crate::tests!($stage, files::sending {
            to_the_room
            to_one_person
            what_cannot_be_sent
            who_does_not_want_it
            #[cfg(unix)] a_person_is_asked
            cancelling
            many_at_once_in_both_directions
            names_in_any_script
            nothing_is_overwritten
            who_joins_later
            the_end_of_input_waits
            damage_is_noticed
        });
        $crate::tests!($stage, files::keeping {
            copies_of_all
            a_copy_for_the_server_alone
            what_it_does_not_keep
        });
        $crate::tests!($stage, files::ending {
            a_receiver_leaves
            a_receiver_is_killed
            a_sender_goes
            a_sender_is_reset
            #[cfg(unix)] a_server_goes
            a_source_changes
            leaving_does_not_wait
        });
        $crate::tests!($stage, files::waiting {
            silence_refuses
            who_stands_still_is_dropped
            who_trickles_is_dropped
            a_slow_taker_delays_that_file_alone
            a_sender_says_nothing
            who_never_finishes_is_dropped
            who_finishes_late_is_waited_for
            others_wait_for_their_turn
        });
        $crate::tests!($stage, files::disk {
            #[cfg(unix)] a_full_disk
            #[cfg(unix)] a_full_disk_at_the_server
            #[cfg(unix)] no_folder
        });
    };
}

/// Makes a test of each scenario of those who do not keep to the protocol of files.
#[macro_export]
macro_rules! hostile_file_suite {
    ($stage:ty) => {
        $crate::tests!($stage, files::lies {
            what_a_sender_may_not_do
            too_early_and_too_late
            what_a_taker_may_not_do
            what_is_not_ones_own
            what_cannot_be_read
            too_many_offers
            #[cfg(target_os = "linux")] thousands_of_offers
            #[cfg(target_os = "linux")] who_acknowledges_what_he_does_not_take
            who_acknowledges_too_much_is_told
            #[cfg(target_os = "linux")] who_aborts_what_he_does_not_take
            who_takes_nothing
        });
        $crate::tests!($stage, files::names {
            from_a_sender
            from_a_server
            #[cfg(unix)] the_folder_is_exchanged
        });
        $crate::tests!($stage, files::servers {
            what_comes_is_not_what_was_offered
            what_nobody_has_asked_for
            answers_to_other_offers
            an_offer_is_never_answered
            everything_twice
            acknowledged_in_advance
            #[cfg(target_os = "linux")] acknowledged_without_reading
            #[cfg(target_os = "linux")] more_than_the_window
            #[cfg(target_os = "linux")] thousands_of_offers
            #[cfg(target_os = "linux")] thousands_of_answers
        });
    };
}

/// Makes a test of each scenario of processes that are killed.
#[macro_export]
macro_rules! kill_suite {
    ($stage:ty) => {
        $crate::tests!($stage, files::kill {
            a_receiver
            a_sender
            a_server
        });
    };
}

/// Makes a test of each scenario of a module.
#[macro_export]
macro_rules! tests {
    ($stage:ty, files::$module:ident { $($(#[$condition:meta])* $scenario:ident)* }) => {
        mod $module {
            $(
                $(#[$condition])*
                #[test]
                fn $scenario() {
                    ::suite::files::$module::$scenario::<$stage>();
                }
            )*
        }
    };
    ($stage:ty, $module:ident { $($(#[$condition:meta])* $scenario:ident)* }) => {
        mod $module {
            $(
                $(#[$condition])*
                #[test]
                fn $scenario() {
                    ::suite::$module::$scenario::<$stage>();
                }
            )*
        }
    };
}
