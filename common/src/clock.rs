//! Something that is done again and again, as time passes.

use std::io;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::sync;

/// A thread that does it, until this is dropped.
#[derive(Debug)]
pub struct Clock {
    /// Dropped to stop it.
    runs: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Clock {
    /// Calls `tick` each time that `period` has passed, on `stack` bytes of stack.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn start(
        period: Duration,
        stack: usize,
        mut tick: impl FnMut() + Send + 'static,
    ) -> io::Result<Clock> {
        let (runs, stopped) = mpsc::channel::<()>();
        let thread = sync::spawn("clock", stack, move || {
            while stopped.recv_timeout(period) == Err(mpsc::RecvTimeoutError::Timeout) {
                tick();
            }
        })?;
        Ok(Clock { runs: Some(runs), thread: Some(thread) })
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.runs = None;
        // A panic in it has been reported by the panic itself.
        drop(self.thread.take().map(JoinHandle::join));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ticks_until_it_is_dropped() {
        let (ticks, ticked) = mpsc::channel();
        let clock = Clock::start(Duration::from_millis(1), 256 * 1024, move || {
            ticks.send(()).unwrap();
        });
        for _ in 0..3 {
            ticked.recv().unwrap();
        }
        drop(clock);
        // What ticked before that, and then nothing: its end is gone.
        while ticked.try_recv().is_ok() {}
        assert_eq!(ticked.try_recv(), Err(mpsc::TryRecvError::Disconnected));
    }
}
