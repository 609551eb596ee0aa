//! A connection's writing thread: its life from the first frame to the end of both directions.

use std::io;
use std::io::Write;
use std::thread;
use std::thread::JoinHandle;

use crate::frame;
use crate::frame::Outgoing;
use crate::limits::Limits;
use crate::outbox::Outbox;
use crate::stream::Stream;
use crate::sync::Arc;
use crate::sync::spawn;

/// A running writing thread.
#[derive(Debug)]
pub struct Writer(JoinHandle<()>);

impl Writer {
    /// Spawns a thread in which `send_queued` sends what is in `outbox` to its end, and which then
    /// ends our direction of `stream`, and the other too if the peer does not in time.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn spawn(
        outbox: &Arc<Outbox>,
        stream: &Stream,
        limits: &Limits,
        send_queued: impl FnOnce(&Outbox) -> io::Result<()> + Send + 'static,
    ) -> io::Result<Writer> {
        let (outbox, stream) = (Arc::clone(outbox), stream.clone());
        let goodbye_within = limits.goodbye_within;
        let body = move || {
            if let Err(error) = send_queued(&outbox) {
                log::info!("{}: nothing more can be sent: {error}", stream.peer());
            }
            outbox.finish();
            stream.finish();
            // The reading thread leaves at the end of the peer's direction, and unparks this one.
            thread::park_timeout(goodbye_within);
            stream.close();
        };
        spawn("writer", limits.stack, body).map(Writer)
    }

    /// The reading thread has left: waits until what is queued is sent or given up.
    pub fn end(self) {
        self.0.thread().unpark();
        // A panic in it has been reported by the panic itself.
        let _ = self.0.join();
    }
}

/// Takes what is queued in `outbox` to its end, a batch with one system call. Each frame is put
/// into the buffer by `put`, the one place where it may be changed on its way.
///
/// # Errors
/// If the stream fails, or its peer does not take what it is to get.
pub fn send_queued<W: Write>(
    frames: &mut frame::Writer<W>,
    outbox: &Outbox,
    mut put: impl FnMut(&mut frame::Writer<W>, &Outgoing) -> io::Result<()>,
) -> io::Result<()> {
    let mut batch = Vec::new();
    while outbox.next(&mut batch) {
        for frame in &batch {
            put(frames, frame)?;
        }
        while frames.pending() > 0 {
            let took = frames.write()?;
            outbox.took(took).map_err(io::Error::other)?;
        }
    }
    Ok(())
}
