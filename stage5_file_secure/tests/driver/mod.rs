//! The suite's drivers of this stage, over the `connection` and the `server` of the test that uses
//! them.

use std::path::Path;

use common::crypto::suite::Allowed;
use common::crypto::suite::Cipher;
use common::limits::Limits;
use common::logging;
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

/// With the suite that is chosen where nobody says anything.
pub struct Cfb;

/// With the cipher that notices changes.
pub struct Gcm;

impl Stage for Cfb {
    fn binary() -> &'static Path {
        Path::new(env!("CARGO_BIN_EXE_stage5_file_secure"))
    }

    fn session() -> Option<&'static str> {
        Some("kex=p256 cipher=aes-256-cfb")
    }

    fn serve(listener: &Listener, limits: &Limits) {
        server::run(listener, &Settings::default(), limits);
    }

    fn connect(stream: Stream) -> Connected {
        connect(&stream, &Settings::default())
    }

    fn accept(stream: Stream) -> Connected {
        Ok(halves(connection::accept(&stream, &Settings::default())?))
    }
}

impl Stage for Gcm {
    fn binary() -> &'static Path {
        Cfb::binary()
    }

    fn options() -> &'static [&'static str] {
        &["--cipher", "aes-256-gcm"]
    }

    fn session() -> Option<&'static str> {
        Some("kex=p256 cipher=aes-256-gcm")
    }

    fn serve(listener: &Listener, limits: &Limits) {
        server::run(listener, &gcm(), limits);
    }

    fn connect(stream: Stream) -> Connected {
        connect(&stream, &gcm())
    }

    fn accept(stream: Stream) -> Connected {
        Ok(halves(connection::accept(&stream, &gcm())?))
    }
}

fn gcm() -> Settings {
    let allowed = Allowed { kex: None, cipher: Some(Cipher::Gcm) };
    Settings { allowed, ..Settings::default() }
}

fn connect(stream: &Stream, settings: &Settings) -> Connected {
    // What a client says of its session is nothing for whoever reads the results of tests.
    logging::show_with(|_| {});
    Ok(halves(connection::connect(stream, settings)?))
}

fn halves((mut sender, mut receiver, _): (Sender, Receiver, Option<Name>)) -> Halves {
    Halves {
        send: Box::new(move |outbox| drop(sender.send_queued(outbox))),
        receive: Box::new(move || {
            Ok(receiver.receive()?.map(|frame| (frame.kind, frame.body.to_vec())))
        }),
    }
}
