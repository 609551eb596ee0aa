//! The suite's driver of this stage, over the `connection` and the `server` of the test that uses it.

use std::path::Path;

use common::limits::Limits;
use common::name::Name;
use common::stream::Listener;
use common::stream::Stream;
use suite::Connected;
use suite::Halves;
use suite::Stage;

use crate::connection;
use crate::connection::Receiver;
use crate::connection::Sender;
use crate::connection::Settings;
use crate::server;

pub struct Stage4;

impl Stage for Stage4 {
    fn binary() -> &'static Path {
        Path::new(env!("CARGO_BIN_EXE_stage4_file_plain"))
    }

    fn serve(listener: &Listener, limits: &Limits) {
        server::run(listener, &Settings::default(), limits);
    }

    fn connect(stream: Stream) -> Connected {
        Ok(halves(connection::connect(&stream, &Settings::default())?))
    }

    fn accept(stream: Stream) -> Connected {
        Ok(halves(connection::accept(&stream, &Settings::default())?))
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
