//! The black-box suite on this stage.

#![allow(clippy::expect_used, reason = "a test may stop at the first surprise")]

#[path = "../src/connection.rs"]
mod connection;
#[path = "../src/server.rs"]
mod server;

use std::path::Path;

use common::limits::Limits;
use common::name::Name;
use common::stream::Listener;
use common::stream::Stream;
use suite::Halves;
use suite::Stage;

use crate::connection::Receiver;
use crate::connection::Sender;
use crate::connection::Settings;

struct Stage1;

impl Stage for Stage1 {
    fn binary() -> &'static Path {
        Path::new(env!("CARGO_BIN_EXE_stage1_relay"))
    }

    fn serve(listener: &Listener, limits: &Limits) {
        server::run(listener, &Settings, limits);
    }

    fn connect(stream: Stream) -> Halves {
        halves(connection::connect(&stream, &Settings).expect("no handshake can fail"))
    }

    fn accept(stream: Stream) -> Halves {
        halves(connection::accept(&stream, &Settings).expect("no handshake can fail"))
    }
}

fn halves((mut sender, mut receiver, _): (Sender, Receiver, Option<Name>)) -> Halves {
    Halves {
        send: Box::new(move |outbox| drop(sender.send_queued(outbox))),
        receive: Box::new(move || {
            Ok(receiver.receive()?.map(|frame| (frame.kind, frame.body.to_vec())))
        }),
    }
}

suite::chat_suite!(crate::Stage1);

suite::slow_suite!(crate::Stage1);
suite::limits_suite!(crate::Stage1);
suite::command_line_suite!(crate::Stage1);
suite::hostile_suite!(crate::Stage1);
suite::exhaustion_suite!(crate::Stage1);
suite::capture_suite!(crate::Stage1);
suite::face_suite!(crate::Stage1);
