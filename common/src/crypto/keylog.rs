//! Session keys in a file, so that Wireshark can show what a capture holds. Whoever has the file and
//! the capture reads everything; that is what it is for, and why it is never written unasked.
//!
//! Two lines for a session, as in a TLS key log: a label, the 32 random bytes of the client's hello,
//! by which a reader finds the session in a capture, and the key of that direction, in hex.
//!
//! ```text
//! CHAT2_C2S 6d0c…(64 digits) 9f31…(64 digits)
//! CHAT2_S2C 6d0c…            4b70…
//! ```

use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use zeroize::Zeroizing;

use crate::crypto::hex;
use crate::crypto::schedule::Session;

/// Where session keys are written, if anywhere; clones write to the same file.
#[derive(Clone, Default)]
pub struct KeyLog(Option<Arc<Mutex<File>>>);

impl KeyLog {
    /// Appends to a file, which nobody else may read if it is made now.
    ///
    /// # Errors
    /// If it cannot be opened for writing.
    pub fn append(path: &Path) -> io::Result<KeyLog> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(KeyLog(Some(Arc::new(Mutex::new(options.open(path)?)))))
    }

    /// Writes the keys of a session, before anything is encrypted with them.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, session: &Session) -> io::Result<()> {
        let Some(file) = &self.0 else { return Ok(()) };
        let mut lines = Zeroizing::new(String::with_capacity(2 * 160));
        for (label, key) in [("CHAT2_C2S", &session.client), ("CHAT2_S2C", &session.server)] {
            let key = Zeroizing::new(hex(key.expose()));
            for part in [label, " ", &hex(&session.random_c), " ", &key, "\n"] {
                lines.push_str(part);
            }
        }
        // One call: programs that append to one file do not mix their lines.
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(lines.as_bytes())?;
        file.flush()
    }
}

#[cfg(test)]
mod tests;
