//! What of a session is disclosed on purpose, so that Wireshark can show what a capture holds: its keys
//! in a file or in the capture itself, and what was inside its records. Whoever has that reads
//! everything; that is what it is for, and why it is never written unasked.
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

use crate::crypto::Secret;
use crate::crypto::hex;
use crate::crypto::schedule::Session;
use crate::pcap::Flow;

/// Where session keys are written, if anywhere; clones write to the same file.
#[derive(Clone, Default)]
pub struct KeyLog {
    file: Option<Arc<Mutex<File>>>,
    /// Whether they are written into a capture of the connection, as comments.
    pub in_capture: bool,
    /// Whether such a capture shows what is inside records.
    pub with_plaintext: bool,
}

impl KeyLog {
    /// Appends to a file, which nobody else may read: one that others may is not used.
    ///
    /// # Errors
    /// If it cannot be opened for writing, or others may read it.
    pub fn append(path: &Path) -> io::Result<KeyLog> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        #[cfg(unix)]
        check(path, &file)?;
        Ok(KeyLog { file: Some(Arc::new(Mutex::new(file))), ..KeyLog::default() })
    }

    /// Writes the keys of a session, before anything is encrypted with them; `flow` is its connection
    /// in a capture that is being made, if there is one.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, session: &Session, flow: Option<&Flow>) -> io::Result<()> {
        let keys = [&session.client, &session.server];
        self.write_as(["CHAT2_C2S", "CHAT2_S2C"], &session.random_c, keys, flow)
    }

    /// Writes two keys of a session: under these labels, and with 32 bytes by which a reader finds
    /// it in a capture; `flow` as in [`KeyLog::write`].
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_as(
        &self,
        labels: [&str; 2],
        id: &[u8; 32],
        keys: [&Secret; 2],
        flow: Option<&Flow>,
    ) -> io::Result<()> {
        if let Some(flow) = flow.filter(|_| self.with_plaintext) {
            flow.show_plaintext();
        }
        if self.file.is_some() || self.in_capture {
            self.disclose(labels, id, keys, flow.filter(|_| self.in_capture))?;
        }
        // Who follows the capture has the keys before the records.
        if let Some(flow) = flow {
            flow.keys_are_known();
        }
        Ok(())
    }

    fn disclose(
        &self,
        labels: [&str; 2],
        id: &[u8; 32],
        keys: [&Secret; 2],
        flow: Option<&Flow>,
    ) -> io::Result<()> {
        let mut lines = Zeroizing::new(String::with_capacity(2 * 160));
        for (label, key) in labels.into_iter().zip(keys) {
            let key = Zeroizing::new(hex(key.expose()));
            for part in [label, " ", &hex(id), " ", &key, "\n"] {
                lines.push_str(part);
            }
        }
        if let Some(flow) = flow {
            flow.show_keys(&lines);
        }
        let Some(file) = &self.file else { return Ok(()) };
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(lines.as_bytes())?;
        file.flush()
    }
}

/// A device or a pipe has a mode of its own; whoever names one knows who reads it.
#[cfg(unix)]
fn check(path: &Path, file: &File) -> io::Result<()> {
    let metadata = file.metadata()?;
    let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7777;
    if metadata.is_file() && mode & 0o077 != 0 {
        let path = path.display();
        let text = format!("others may read it (its mode is {mode:04o}): run `chmod 600 {path}`");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
