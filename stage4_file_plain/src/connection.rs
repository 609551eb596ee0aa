//! A stream becomes a sending half and a receiving half.
//!
//! This is the only file that knows whether bytes are encrypted. In this stage they are not: a
//! message goes onto the wire as it is, and whoever sees the wire can read it.

use std::io;

use anyhow::Result;
use common::frame;
use common::frame::Frame;
use common::name::Name;
use common::outbox::Outbox;
use common::stream::Stream;
use common::writer;

/// What `main.rs` chose for all connections; plaintext leaves no choice.
#[derive(Clone, Debug, Default)]
pub struct Settings {}

/// What a connection's writing thread has.
pub struct Sender {
    frames: frame::Writer<Stream>,
}

/// What a connection's reading thread has.
pub struct Receiver {
    /// The frames as they are on the wire, for all questions but what is in them.
    pub frames: frame::Reader<Stream>,
}

/// The client's side of a new connection, and the peer's name if the connection proves it.
pub fn connect(stream: &Stream, _: &Settings) -> Result<(Sender, Receiver, Option<Name>)> {
    Ok(halves(stream))
}

/// The server's side of a new connection, and the peer's name if the connection proves it.
pub fn accept(stream: &Stream, _: &Settings) -> Result<(Sender, Receiver, Option<Name>)> {
    Ok(halves(stream))
}

fn halves(stream: &Stream) -> (Sender, Receiver, Option<Name>) {
    let sender = Sender { frames: frame::Writer::new(stream.clone(), stream.peer()) };
    let receiver = Receiver { frames: frame::Reader::new(stream.clone(), stream.peer()) };
    (sender, receiver, None)
}

impl Sender {
    /// Sends what is queued, to the end; each frame goes onto the wire as it is.
    pub fn send_queued(&mut self, outbox: &Outbox) -> io::Result<()> {
        writer::send_queued(&mut self.frames, outbox, |frames, frame| frames.push(frame.payload()))
    }
}

impl Receiver {
    /// The next frame, or `None` where the peer has ended its direction.
    pub fn receive(&mut self) -> Result<Option<Frame<'_>>, frame::Error> {
        self.frames.read()
    }
}
