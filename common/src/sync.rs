//! Locks and threads.
//!
//! Ordinarily these are the standard library's. Under `--cfg loom` and `--cfg shuttle` they are
//! models of them, whose schedules a test explores; nothing else changes.

#[cfg(not(any(loom, shuttle)))]
pub use std::sync::{Arc, Condvar, Mutex, MutexGuard};

#[cfg(loom)]
pub use loom::sync::{Condvar, Mutex, MutexGuard};
// Loom's own counter of owners holds no slices and is no receiver of methods.
#[cfg(loom)]
pub use std::sync::Arc;

#[cfg(shuttle)]
pub use shuttle::sync::{Arc, Condvar, Mutex, MutexGuard};

use std::io;
use std::sync::PoisonError;
use std::thread::Builder;
use std::thread::JoinHandle;

pub use std::thread::panicking;

/// Locks `mutex` also when a thread panicked while it held it.
///
/// A panic in one client's thread must not take the others along. Every change under a lock of
/// this workspace is complete before anything in it could panic.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Spawns a named thread with `stack` bytes of stack.
///
/// # Errors
/// Unlike [`std::thread::spawn`], which panics when the system refuses a thread.
pub fn spawn<F>(name: &str, stack: usize, body: F) -> io::Result<JoinHandle<()>>
where
    F: FnOnce() + Send + 'static,
{
    Builder::new().name(name.to_owned()).stack_size(stack).spawn(body)
}
