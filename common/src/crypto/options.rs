//! The part of the command line that the encrypted stages share.

use std::io;
use std::path::PathBuf;

use clap::Args;

use crate::crypto::keylog::KeyLog;
#[cfg(feature = "hybrid")]
use crate::crypto::rsa::ServerKey;
use crate::crypto::suite::Allowed;
use crate::crypto::suite::Cipher;
use crate::crypto::suite::Kex;
use crate::logging;

/// What those who use CFB have to know.
pub const UNPROTECTED: &str =
    "warning: aes-256-cfb does not notice tampering (on purpose); aes-256-gcm does";

/// Options of server and client.
#[derive(Args, Debug)]
#[command(next_help_heading = "Cryptography")]
pub struct Options {
    /// The key exchange [default: whatever the other side wants; p256 if it wants nothing]
    #[arg(long, global = true, value_enum)]
    kex: Option<Kex>,
    /// The cipher [default: whatever the other side wants; aes-256-cfb if it wants nothing]
    #[arg(long, global = true, value_enum)]
    cipher: Option<Cipher>,
    /// Append the keys of each session to a file, with which a capture can be decrypted: whoever has
    /// both reads everything
    #[arg(long, global = true, value_name = "FILE", env = "CHATKEYLOG")]
    keylog: Option<PathBuf>,
}

/// What was chosen for all connections of a program.
#[derive(Clone, Default)]
pub struct Settings {
    /// The suites that it takes part in.
    pub allowed: Allowed,
    /// Where session keys go.
    pub keylog: KeyLog,
    /// A server's key for `rsa2048-server`.
    #[cfg(feature = "hybrid")]
    pub rsa: ServerKey,
}

impl Options {
    /// Whether a key exchange or a cipher was chosen.
    pub fn is_suite_chosen(&self) -> bool {
        self.kex.is_some() || self.cipher.is_some()
    }

    /// A tour chooses for itself.
    ///
    /// # Errors
    /// If something else was chosen for it.
    pub fn none_for_a_tour(&self) -> io::Result<()> {
        let wrong =
            "--kex and --cipher are for `server` and `client`; the tour shows more than one";
        if self.is_suite_chosen() {
            Err(io::Error::new(io::ErrorKind::InvalidInput, wrong))
        } else {
            Ok(())
        }
    }

    /// Opens the key log, if one is wanted, with a warning.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub fn settings(&self) -> io::Result<Settings> {
        let allowed = Allowed { kex: self.kex, cipher: self.cipher };
        let mut settings = Settings { allowed, ..Settings::default() };
        // An empty variable is none.
        if let Some(path) = self.keylog.as_ref().filter(|path| !path.as_os_str().is_empty()) {
            settings.keylog = KeyLog::append(path).map_err(|error| {
                io::Error::new(error.kind(), format!("--keylog {}: {error}", path.display()))
            })?;
            logging::say(format_args!(
                "warning: session keys are written to {}; who has it and a capture reads everything",
                path.display()
            ));
        }
        Ok(settings)
    }
}

impl Settings {
    /// Tells the operator of a server what its cipher does not do. Clients are told with each session.
    pub fn warn(&self) {
        if self.allowed.cipher.is_none_or(|cipher| cipher == Cipher::Cfb) {
            logging::say(UNPROTECTED);
            log::logger().flush();
        }
    }
}
