//! The black-box suite on this stage, with each cipher.

#![allow(clippy::expect_used, reason = "a test may stop at the first surprise")]

#[path = "../src/connection.rs"]
mod connection;
#[path = "../src/server.rs"]
mod server;

use std::path::Path;

use common::crypto::suite::Allowed;
use common::crypto::suite::Cipher;
use common::limits::Limits;
use common::name::Name;
use common::stream::Listener;
use common::stream::Stream;
use suite::Halves;
use suite::Stage;

use crate::connection::Receiver;
use crate::connection::Sender;
use crate::connection::Settings;

/// With the suite that is chosen where nobody says anything.
struct Cfb;

/// With the cipher that notices changes.
struct Gcm;

impl Stage for Cfb {
    fn binary() -> &'static Path {
        Path::new(env!("CARGO_BIN_EXE_stage3_secure_multi"))
    }

    fn serve(listener: &Listener, limits: &Limits) {
        server::run(listener, &Settings::default(), limits);
    }

    fn connect(stream: Stream) -> Halves {
        connection::connect(&stream, &Settings::default()).map(halves).expect("a handshake")
    }

    fn accept(stream: Stream) -> Halves {
        connection::accept(&stream, &Settings::default()).map(halves).expect("a handshake")
    }
}

impl Stage for Gcm {
    fn binary() -> &'static Path {
        Cfb::binary()
    }

    fn options() -> &'static [&'static str] {
        &["--cipher", "aes-256-gcm"]
    }

    fn serve(listener: &Listener, limits: &Limits) {
        server::run(listener, &gcm(), limits);
    }

    fn connect(stream: Stream) -> Halves {
        connection::connect(&stream, &gcm()).map(halves).expect("a handshake")
    }

    fn accept(stream: Stream) -> Halves {
        connection::accept(&stream, &gcm()).map(halves).expect("a handshake")
    }
}

fn gcm() -> Settings {
    let allowed = Allowed { kex: None, cipher: Some(Cipher::Gcm) };
    Settings { allowed, ..Settings::default() }
}

fn halves((mut sender, mut receiver, _): (Sender, Receiver, Option<Name>)) -> Halves {
    Halves {
        send: Box::new(move |outbox| drop(sender.send_queued(outbox))),
        receive: Box::new(move || {
            Ok(receiver.receive()?.map(|frame| (frame.kind, frame.body.to_vec())))
        }),
    }
}

mod cfb {
    suite::chat_suite!(crate::Cfb);
    suite::slow_suite!(crate::Cfb);
    suite::limits_suite!(crate::Cfb);
    suite::command_line_suite!(crate::Cfb);
    suite::hostile_suite!(crate::Cfb);
    suite::exhaustion_suite!(crate::Cfb);
    suite::capture_suite!(crate::Cfb);
    suite::face_suite!(crate::Cfb);
}

mod gcm {
    suite::chat_suite!(crate::Gcm);
    suite::slow_suite!(crate::Gcm);
    suite::limits_suite!(crate::Gcm);
    suite::command_line_suite!(crate::Gcm);
    suite::hostile_suite!(crate::Gcm);
    suite::exhaustion_suite!(crate::Gcm);
    suite::capture_suite!(crate::Gcm);
}
