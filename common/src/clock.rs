//! Something that is done again and again, as time passes.

use std::io;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use crate::sync;
use crate::sync::Arc;

/// A thread that does it, until this is dropped.
#[derive(Debug)]
pub struct Clock {
    /// Dropped to stop it.
    runs: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Clock {
    /// Calls `tick` each time that `period` has passed, on `stack` bytes of stack, and says by how
    /// much it is late. Each time is a thread of its own: one that has to wait holds up no other.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn start(
        period: Duration,
        stack: usize,
        tick: impl Fn(Duration) + Send + Sync + 'static,
    ) -> io::Result<Clock> {
        let (runs, stopped) = mpsc::channel::<()>();
        let (tick, mut last) = (Arc::new(tick), Instant::now());
        let thread = sync::spawn("clock", stack, move || {
            while stopped.recv_timeout(period) == Err(mpsc::RecvTimeoutError::Timeout) {
                let (tick, late) = (Arc::clone(&tick), last.elapsed().saturating_sub(period));
                last = Instant::now();
                // Without a thread it has to wait for the next time.
                let _ = sync::spawn("tick", stack, move || tick(late));
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
    fn it_ticks_until_it_is_dropped_also_while_one_tick_waits() {
        let (ticks, ticked) = mpsc::channel();
        let (go_on, waits) = mpsc::channel::<()>();
        let waits = sync::Mutex::new(Some(waits));
        let clock = Clock::start(Duration::from_millis(1), 256 * 1024, move |_| {
            let waits = sync::lock(&waits).take();
            // The first waits for the others.
            waits.map(|waits| waits.recv());
            ticks.send(()).unwrap();
        });
        for _ in 0..3 {
            ticked.recv().unwrap();
        }
        go_on.send(()).unwrap();
        drop(clock);
        // What ticked before that, and then nothing: its end is gone.
        while ticked.recv().is_ok() {}
    }
}
