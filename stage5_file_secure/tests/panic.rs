//! A panic in one client's thread removes that client and nothing else.
//!
//! The server is the real one, over a connection that panics when it is told to.

#![allow(clippy::panic, reason = "a panic is what it is about")]

#[allow(dead_code, reason = "two of them are enough here")]
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
#[path = "../src/connection.rs"]
mod real;
#[path = "../src/server.rs"]
mod server;
#[allow(dead_code, reason = "a client's part of it")]
#[path = "../src/transfer.rs"]
mod transfer;

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
    pub use crate::real::Client;
    pub use crate::real::Sender;
    pub use crate::real::Settings;

    pub struct Receiver(real::Receiver);

    type Connection = (Sender, Receiver, Option<Name>);

    pub fn connect(stream: &Stream, settings: &Settings) -> Result<Connection> {
        let (sender, receiver, proven) = real::connect(stream, settings)?;
        Ok((sender, Receiver(receiver), proven))
    }

    pub fn accept(stream: &Stream, settings: &Settings) -> Result<Connection> {
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

#[test]
fn a_panic_in_one_thread() {
    suite::exhaustion::a_panic_in_one_thread::<driver::Noise>();
}

#[test]
fn a_panic_in_one_thread_where_nobody_is_authenticated() {
    suite::exhaustion::a_panic_in_one_thread::<driver::Cfb>();
}
