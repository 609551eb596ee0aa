//! The servers that this client has met, and the key of each: whoever shows another is stopped.
//!
//! A line of the file is `host:port`, a space, and the key in 64 hexadecimal digits. Empty lines and
//! those that begin with `#` are comments. Of several lines for a server the first counts. No line
//! is ever changed: only a person removes one.

use std::path::PathBuf;

use anyhow::Result;
use anyhow::bail;
use common::hex::hex;
use state::key;
use state::key::Changed;
use state::private;
use state::private::Others;

/// What is known of one server.
#[derive(Clone)]
pub struct KnownServers {
    /// The file, which need not be there yet.
    pub file: PathBuf,
    /// The server, in the form of `stream::canonical`.
    pub address: String,
    /// The key that it has to have, whatever is in the file.
    pub pinned: Option<[u8; 32]>,
}

/// What is known of a server that shows a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the server that was there before.
    Known,
    /// There was none before.
    New,
}

impl KnownServers {
    /// What is known of the server with this key. A key that it must not have is an error, and then
    /// nothing more is said to it.
    pub fn check(&self, key: &[u8; 32]) -> Result<Verdict> {
        if let Some(pinned) = &self.pinned {
            return self.compare(pinned, key, "--server-key");
        }
        let text = private::read(&self.file, Others::Read)?;
        self.check_in(text.as_ref().map_or("", |text| text), key)
    }

    /// Remembers a new server. If another client was quicker, both have to have met the same.
    pub fn remember(&self, key: &[u8; 32]) -> Result<()> {
        private::update(&self.file, Others::Read, |text| {
            let text = text.unwrap_or_default();
            if self.check_in(text, key)? == Verdict::Known {
                return Ok(None);
            }
            let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
            Ok(Some(format!("{text}{end}{} {}\n", self.address, hex(key)).into()))
        })
    }

    fn check_in(&self, text: &str, key: &[u8; 32]) -> Result<Verdict> {
        let mut verdict = None;
        for (number, server) in key::servers(text) {
            let place = format!("{}, line {number}", self.file.display());
            let Some((address, known)) = server else {
                bail!("{place}: HOST:PORT, a space and 64 hexadecimal digits belong there");
            };
            if verdict.is_none() && address.eq_ignore_ascii_case(&self.address) {
                verdict = Some(self.compare(&known, key, &place));
            }
        }
        verdict.unwrap_or(Ok(Verdict::New))
    }

    fn compare(&self, known: &[u8; 32], key: &[u8; 32], place: &str) -> Result<Verdict> {
        let is_known = (known == key).then_some(Verdict::Known);
        Ok(is_known.ok_or_else(|| Changed::new(&self.address, known, key, place))?)
    }
}
