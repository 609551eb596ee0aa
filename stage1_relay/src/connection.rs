//! A stream becomes a sending half and a receiving half.
//!
//! This is the only file that knows whether bytes are encrypted. In this stage they are not: a
//! message goes onto the wire as it is, and whoever sees the wire can read it.

use std::io;
use std::time::Duration;

use anyhow::Result;
use common::frame;
use common::frame::Frame;
use common::frame::Outgoing;
use common::name::Name;
use common::outbox::Outbox;
use common::stream::Stream;

/// What `main.rs` chose for all connections; plaintext leaves no choice.
#[derive(Clone, Debug)]
pub struct Settings;

/// What a connection's writing thread has.
pub struct Sender {
    frames: frame::Writer<Stream>,
}

/// What a connection's reading thread has.
pub struct Receiver {
    frames: frame::Reader<Stream>,
}

/// The client's side of a new connection, and the peer's name if the connection proves it.
pub fn connect(stream: Stream, _: &Settings) -> Result<(Sender, Receiver, Option<Name>)> {
    let (sender, receiver) = halves(stream);
    Ok((sender, receiver, None))
}

/// The server's side of a new connection, and the peer's name if the connection proves it.
pub fn accept(stream: Stream, _: &Settings) -> Result<(Sender, Receiver, Option<Name>)> {
    let (sender, receiver) = halves(stream);
    Ok((sender, receiver, None))
}

fn halves(stream: Stream) -> (Sender, Receiver) {
    let peer = stream.peer();
    let sender = Sender { frames: frame::Writer::new(stream.clone(), peer) };
    let receiver = Receiver { frames: frame::Reader::new(stream, peer) };
    (sender, receiver)
}

impl Sender {
    /// Puts a frame into the buffer of what is to be written.
    pub fn send(&mut self, frame: &Outgoing) -> io::Result<()> {
        self.frames.push(frame.payload())
    }

    /// The writing thread: sends what is queued, a batch with one system call, to the end.
    pub fn send_queued(&mut self, outbox: &Outbox) -> Result<()> {
        let mut batch = Vec::new();
        while outbox.next(&mut batch) {
            for frame in &batch {
                self.send(frame)?;
            }
            while self.frames.pending() > 0 {
                outbox.took(self.frames.write()?)?;
            }
        }
        Ok(())
    }
}

impl Receiver {
    /// The next frame, or `None` where the peer has ended its side.
    pub fn receive(&mut self) -> Result<Option<Frame<'_>>, frame::Error> {
        self.frames.read()
    }

    /// Whether [`Receiver::receive`] has something at hand and will not wait.
    pub fn is_ready(&self) -> bool {
        self.frames.is_ready()
    }

    /// The peer has said who it is: from now on only a silence of `patience` is reported.
    pub fn set_patience(&mut self, patience: Duration) -> io::Result<()> {
        self.frames.set_patience(patience)
    }
}
