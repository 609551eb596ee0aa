//! What is in the records of a capture, by the key log that belongs to it.

use common::crypto;
use common::crypto::Decryptor;
use common::crypto::suite::Choice;
use common::crypto::suite::Cipher;
use common::frame;
use common::frame::Frame;

use crate::tour::Tour;

/// Where the random bytes of the client's hello are in its body, and how many bytes it has.
const RANDOM: std::ops::Range<usize> = 5..37;
const HELLO: usize = 39;

/// One direction of a connection.
pub struct Direction {
    /// The port that sends.
    pub from: u16,
    /// The port that receives.
    pub to: u16,
    /// The key's label in the key log.
    pub label: &'static str,
    /// The records, in order.
    pub records: Vec<Record>,
}

/// A record.
pub struct Record {
    /// Its body, as it crossed the wire.
    pub body: Vec<u8>,
    /// Kind and body of the frame within, nothing where it ends the direction, or why it does not
    /// open.
    pub within: Result<Vec<u8>, String>,
}

impl Record {
    /// What is within, as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.within.as_deref().unwrap_or_default()).into_owned()
    }
}

/// Opens every record of every connection to `server`.
///
/// # Panics
/// If the key log has no key for one.
#[must_use]
pub fn open(tour: &Tour, server: u16) -> Vec<Direction> {
    let log = tour.leaves("keys.log");
    let mut flows = tour.flows();
    let clients = flows.keys().filter(|(_, to)| *to == server).map(|(from, _)| *from);
    let mut directions = Vec::new();
    for client in clients.collect::<Vec<_>>() {
        let [up, down] = [(client, server), (server, client)]
            .map(|flow| flows.remove(&flow).expect("both directions"));
        let (random, cipher) = (crypto::hex(&up[0].1[RANDOM]), down[0].1[HELLO - 1]);
        let cipher = [Cipher::Cfb, Cipher::Gcm].into_iter().find(|its| its.code() == cipher);
        for (label, from, to, frames) in
            [("CHAT2_C2S", client, server, up), ("CHAT2_S2C", server, client, down)]
        {
            let prefix = format!("{label} {random} ");
            let key = log.lines().find_map(|line| line.strip_prefix(&prefix));
            let key = key.and_then(crypto::unhex).expect("a key in the log");
            let key = <[u8; 32]>::try_from(key).expect("32 bytes");
            let mut opens = Decryptor::new(cipher.expect("a cipher that is known"), &key.into());
            let records = frames.iter().filter(|(kind, _)| *kind == frame::RECORD);
            let records = records.map(|(kind, body)| {
                let within = opens.open(Frame { kind: *kind, body });
                let within = within.map(|frame| match frame {
                    Some(frame) => [&[frame.kind], frame.body].concat(),
                    None => Vec::new(),
                });
                Record { body: body.clone(), within: within.map_err(|bad| bad.to_string()) }
            });
            directions.push(Direction { from, to, label, records: records.collect() });
        }
    }
    directions
}
