//! A panic in one client's thread removes that client and nothing else.
//!
//! The server is the real one, over a connection that panics when it is told to.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop at the first surprise, and a panic is what it is about"
)]

#[path = "../src/connection.rs"]
mod real;
#[path = "../src/server.rs"]
mod server;

use std::path::Path;

use common::limits::Limits;
use common::name::Name;
use common::stream::Listener;
use common::stream::Stream;
use suite::Halves;
use suite::Stage;

use crate::real::Receiver;
use crate::real::Sender;
use crate::real::Settings;

/// The real connection, but for a body that makes it panic.
mod connection {
    use std::ops::Deref;
    use std::ops::DerefMut;

    use anyhow::Result;
    use common::frame;
    use common::frame::Frame;
    use common::name::Name;
    use common::stream::Stream;
    use suite::exhaustion::PANIC;

    use crate::real;
    pub use crate::real::Sender;
    pub use crate::real::Settings;

    pub struct Receiver(real::Receiver);

    pub fn accept(
        stream: &Stream,
        settings: &Settings,
    ) -> Result<(Sender, Receiver, Option<Name>)> {
        let (sender, receiver, proven) = real::accept(stream, settings)?;
        Ok((sender, Receiver(receiver), proven))
    }

    impl Receiver {
        pub fn receive(&mut self) -> Result<Option<Frame<'_>>, frame::Error> {
            let frame = self.0.receive()?;
            assert!(frame.is_none_or(|frame| frame.body != PANIC), "as it was told to");
            Ok(frame)
        }
    }

    impl Deref for Receiver {
        type Target = real::Receiver;

        fn deref(&self) -> &real::Receiver {
            &self.0
        }
    }

    impl DerefMut for Receiver {
        fn deref_mut(&mut self) -> &mut real::Receiver {
            &mut self.0
        }
    }
}

struct Stage1;

impl Stage for Stage1 {
    fn binary() -> &'static Path {
        Path::new(env!("CARGO_BIN_EXE_stage1_relay"))
    }

    fn serve(listener: &Listener, limits: &Limits) {
        server::run(listener, &Settings, limits);
    }

    fn connect(stream: Stream) -> Halves {
        halves(real::connect(&stream, &Settings).expect("no handshake can fail"))
    }

    fn accept(stream: Stream) -> Halves {
        halves(real::accept(&stream, &Settings).expect("no handshake can fail"))
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

#[test]
fn a_panic_in_one_thread() {
    suite::exhaustion::a_panic_in_one_thread::<Stage1>();
}
