//! The key log of a tour's server, with which the guide looks into records as Wireshark would.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use crate::crypto::Decryptor;
use crate::crypto::hex;
use crate::crypto::suite::Cipher;
use crate::crypto::unhex;
use crate::frame;
use crate::frame::Frame;

/// Where a hello has its random bytes, by which the key log names a session.
const RANDOM: std::ops::Range<usize> = 5..37;

/// Keys of sessions under AES-256-CFB, whose records are independent of each other.
pub struct Keys {
    /// The key log.
    pub file: PathBuf,
    /// The random bytes of each client's hello, in hex.
    sessions: BTreeMap<&'static str, String>,
}

impl Keys {
    /// From a file that a server appends to.
    pub fn new(file: PathBuf) -> Keys {
        Keys { file, sessions: BTreeMap::new() }
    }

    /// Learns by its hello whose session this is.
    pub fn learn(&mut self, name: &'static str, hello: &[u8]) {
        self.sessions.insert(name, hex(hello.get(RANDOM).unwrap_or_default()));
    }

    /// Whether a frame is a record with these words in it, in the direction that the log calls so.
    pub fn finds(&self, direction: &str, name: &str, words: &str) -> impl Fn(u8, &[u8]) -> bool {
        move |kind, body| {
            let inside = self.open(direction, name, body).filter(|_| kind == frame::RECORD);
            inside.is_some_and(|inside| String::from_utf8_lossy(&inside).contains(words))
        }
    }

    /// Kind and body of the frame in a record.
    pub fn open(&self, direction: &str, name: &str, body: &[u8]) -> Option<Vec<u8>> {
        let log = fs::read_to_string(&self.file).ok()?;
        let prefix = format!("{direction} {} ", self.sessions.get(name)?);
        let key = log.lines().find_map(|line| line.strip_prefix(&prefix))?;
        let key = <[u8; 32]>::try_from(unhex(key)?).ok()?;
        let mut records = Decryptor::new(Cipher::Cfb, &key.into());
        let frame = records.open(Frame { kind: frame::RECORD, body }).ok()??;
        Some([&[frame.kind], frame.body].concat())
    }
}
