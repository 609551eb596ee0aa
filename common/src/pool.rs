//! Buffers for the bytes of files, used again and again.
//!
//! An allocator gives back to the system what was freed in such sizes, and has to ask for it again
//! with the next chunk, page by page. In a relay that was two fifths of all work.

use std::mem;
use std::ops::Deref;
use std::ops::DerefMut;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::files::CHUNK;
use crate::files::chunk;

/// Bytes of a buffer: the payload of the largest frame with a chunk.
pub const SIZE: usize = 1 + chunk::HEADER + CHUNK;
/// So many are kept for the next time: those of two windows.
const KEPT: usize = 32;

/// Those that nobody uses now.
static FREE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// At most [`SIZE`] bytes.
#[derive(Debug)]
pub struct Buffer {
    /// [`SIZE`] bytes, of which the first…
    bytes: Vec<u8>,
    /// …are in use.
    length: usize,
}

impl Buffer {
    /// A buffer of [`SIZE`] bytes with anything in them.
    pub fn take() -> Buffer {
        let free = FREE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Buffer { bytes: free.unwrap_or_else(|| vec![0; SIZE]), length: SIZE }
    }

    /// Only the first bytes of it from now on.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.length).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < KEPT {
            free.push(mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_freed_is_used_again_and_whole() {
        let mut buffer = Buffer::take();
        assert_eq!(buffer.len(), SIZE);
        buffer.truncate(2);
        buffer.copy_from_slice(b"hi");
        buffer.truncate(5);
        assert_eq!(&*buffer, b"hi");
        drop(buffer);
        // Whoever gets it, gets all of it; other tests use buffers, too.
        let all = [(); 2 * KEPT].map(|()| Buffer::take());
        assert!(all.iter().all(|buffer| buffer.len() == SIZE));
        drop(all);
        assert!(FREE.lock().unwrap().len() <= KEPT);
    }
}
