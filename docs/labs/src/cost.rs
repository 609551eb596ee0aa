//! What the same conversation costs on the wire of two stages.
//!
//! It is measured, not computed: the stages' own programs talk over real sockets, through a relay
//! that counts. Where records are encrypted, the server's key log tells how much of each is the
//! message.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use clap::ValueEnum;
use common::crypto;
use common::crypto::Decryptor;
use common::crypto::Secret;
use common::crypto::suite::Choice;
use common::crypto::suite::Cipher;
use common::crypto::suite::Kex;
use common::frame;
use common::frame::Frame;

use crate::attack::Crossing;
use crate::attack::Direction;
use crate::attack::Relay;
use crate::attack::Transcript;
use crate::attack::tamper;
use crate::program::Program;
use crate::stages;
use crate::stages::Stage;

/// The suite that is measured beside the default one.
const AEAD: Cipher = Cipher::Gcm;
/// Where the client's random bytes are in its hello, by which a session is found in a key log.
const RANDOM: Range<usize> = 5..37;
/// Bytes of the kind of a frame.
const KIND: usize = 1;

/// Frames, and bytes with all that is around them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many frames.
    pub frames: usize,
    /// Their bytes, the length in front of each included.
    pub bytes: usize,
}

impl Tally {
    fn add(&mut self, bytes: usize) {
        self.frames += 1;
        self.bytes += bytes;
    }
}

/// What the conversation costs with one suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    /// The stage.
    pub stage: Stage,
    /// The key exchange and the cipher; nothing in a plaintext stage.
    pub suite: Option<[&'static str; 2]>,
    /// Before the first message.
    pub handshake: Tally,
    /// Messages.
    pub messages: Tally,
    /// What ends a direction.
    pub ends: Tally,
    /// Bytes of the messages themselves: JSON.
    pub json: usize,
    /// Fewest and most bytes around a message.
    pub around: Option<(usize, usize)>,
}

/// Measures these stages, each with its suites.
///
/// # Errors
/// If they do not build, or the conversation does not come to its end.
pub fn measure(of: &[Stage]) -> Result<Vec<Cost>> {
    let programs = stages::build(of)?;
    let mut costs = Vec::new();
    for stage in of {
        let program = programs.get(stage.package).context("no program")?;
        for suite in suites(*stage) {
            let suite_name =
                suite.map_or(String::new(), |suite| format!(" with {}", suite.join(" ")));
            let cost = converse(*stage, program, suite)
                .with_context(|| format!("{}{suite_name}", stage.package))?;
            costs.push(cost);
        }
    }
    Ok(costs)
}

/// What is measured of a stage.
fn suites(stage: Stage) -> Vec<Option<[&'static str; 2]>> {
    match stage.is_encrypted {
        false => vec![None],
        true => {
            let suite = |cipher: Cipher| Some([Kex::DEFAULT.name(), cipher.name()]);
            vec![suite(Cipher::DEFAULT), suite(AEAD)]
        }
    }
}

/// Has the conversation, and counts.
fn converse(stage: Stage, program: &Path, suite: Option<[&'static str; 2]>) -> Result<Cost> {
    let folder = tempfile::tempdir()?;
    let keylog = folder.path().join("keys");
    // A stage with a handshake of its own has the other one only where both sides ask for it.
    let asked = match suite {
        None => Vec::new(),
        Some([kex, cipher]) => vec!["--kex", kex, "--cipher", cipher],
    };
    let keylog_name = keylog.to_str().context("a folder whose name is no text")?;
    let logged = if suite.is_some() { vec!["--keylog", keylog_name] } else { Vec::new() };
    let (server, address) = Program::serve(program, &[&asked[..], &logged].concat())?;
    let conversation = Conversation { program, address, options: asked };
    let transcripts = match stage.has_operator {
        true => conversation.with_operator(server)?,
        false => conversation.in_a_room(server)?,
    };
    let keys = if suite.is_some() { keys(&keylog)? } else { BTreeMap::new() };
    let mut cost = Cost {
        stage,
        suite,
        handshake: Tally::default(),
        messages: Tally::default(),
        ends: Tally::default(),
        json: 0,
        around: None,
    };
    for transcript in &transcripts {
        cost.add(transcript, &keys)?;
    }
    Ok(cost)
}

/// Who talks with whom.
struct Conversation<'a> {
    program: &'a Path,
    address: SocketAddr,
    /// Of its clients.
    options: Vec<&'static str>,
}

impl Conversation<'_> {
    /// alice and bob join, say a sentence each, one to the room and one in private, and leave.
    fn in_a_room(&self, _server: Program) -> Result<Vec<Transcript>> {
        let (mut alice, alices) = self.join("alice")?;
        let (mut bob, bobs) = self.join("bob")?;
        alice.sees("* bob joined")?;
        alice.types("hello bob")?;
        bob.sees("alice: hello bob")?;
        bob.types("@alice hello alice")?;
        bob.sees("bob -> alice: hello alice")?;
        alice.sees("bob -> alice: hello alice")?;
        bob.leaves()?;
        alice.sees("* bob left")?;
        alice.leaves()?;
        Ok(vec![alices.end()?, bobs.end()?])
    }

    /// alice joins, she and the operator say a sentence each, and she leaves.
    fn with_operator(&self, mut server: Program) -> Result<Vec<Transcript>> {
        let (mut alice, alices) = self.join("alice")?;
        alice.types("hello bob")?;
        server.sees("alice: hello bob")?;
        server.types("@alice hello alice")?;
        alice.sees("server -> alice: hello alice")?;
        alice.leaves()?;
        server.sees("* alice left")?;
        Ok(vec![alices.end()?])
    }

    /// A client behind a relay that only counts, in the room.
    fn join(&self, name: &str) -> Result<(Program, Relay)> {
        let relay = Relay::start(self.address, tamper::eavesdrop())?;
        let address = relay.address.to_string();
        let args = [&["client", &address, "--name", name], &self.options[..]].concat();
        let mut client = Program::start(self.program, &args)?;
        client.sees(&format!("* {name} joined"))?;
        Ok((client, relay))
    }
}

/// The keys of each session, client's first, by the client's random bytes in hex.
type Keys = BTreeMap<String, [Secret; 2]>;

/// Reads a key log, whose lines are told in `common::crypto::keylog`.
fn keys(path: &Path) -> Result<Keys> {
    let (mut keys, mut client) = (Keys::new(), None);
    for line in fs::read_to_string(path)?.lines() {
        let mut words = line.split(' ');
        let (Some(label), Some(random), Some(key)) = (words.next(), words.next(), words.next())
        else {
            bail!("a key log with a line of another form");
        };
        let key = crypto::unhex(key).and_then(|key| <[u8; 32]>::try_from(key).ok());
        let key = Secret::from(key.context("a key log with a key of another length")?);
        match label {
            "CHAT2_C2S" => client = Some(key),
            _ => {
                let client = client.take().context("a key log with half a session")?;
                keys.insert(random.to_owned(), [client, key]);
            }
        }
    }
    Ok(keys)
}

impl Cost {
    /// Adds what crossed in a connection.
    fn add(&mut self, transcript: &Transcript, keys: &Keys) -> Result<()> {
        let handshake = transcript.frames.iter().filter(|frame| !frame.is_behind_handshake());
        for frame in handshake.clone() {
            self.handshake.add(size(frame));
        }
        let random = handshake.clone().next().and_then(|hello| hello.body.get(RANDOM));
        let keys = random.and_then(|random| keys.get(&crypto::hex(random)));
        for direction in [Direction::ToServer, Direction::ToClient] {
            let mut records = match (self.cipher(), keys, direction) {
                (None, ..) => None,
                (Some(_), None, _) => bail!("a session that is not in the key log"),
                (Some(cipher), Some([key, _]), Direction::ToServer) => {
                    Some(Decryptor::new(cipher, key))
                }
                (Some(cipher), Some([_, key]), Direction::ToClient) => {
                    Some(Decryptor::new(cipher, key))
                }
            };
            for frame in transcript.behind_handshake(direction) {
                let on_wire = Frame { kind: frame.kind, body: &frame.body };
                let within = match &mut records {
                    None => Some(on_wire),
                    Some(records) => records.open(on_wire)?,
                };
                match within {
                    None => self.ends.add(size(frame)),
                    Some(message) => {
                        let around = size(frame).saturating_sub(message.body.len());
                        let (least, most) = self.around.unwrap_or((around, around));
                        self.around = Some((least.min(around), most.max(around)));
                        self.json += message.body.len();
                        self.messages.add(size(frame));
                    }
                }
            }
        }
        Ok(())
    }

    fn cipher(&self) -> Option<Cipher> {
        self.suite.and_then(|[_, cipher]| Cipher::from_str(cipher, false).ok())
    }

    /// All frames and bytes.
    pub fn total(&self) -> Tally {
        let parts = [self.handshake, self.messages, self.ends];
        parts.iter().fold(Tally::default(), |sum, part| Tally {
            frames: sum.frames + part.frames,
            bytes: sum.bytes + part.bytes,
        })
    }
}

/// What a frame takes on the wire.
fn size(frame: &Crossing) -> usize {
    frame::HEADER + KIND + frame.body.len()
}

/// The costs beside each other, for a person at a terminal of 80 columns.
pub fn table(costs: &[Cost]) -> String {
    let mut table = String::new();
    let mut row = |name: &str, cell: &dyn Fn(&Cost) -> String| {
        let cells = costs.iter().map(|cost| format!("{:>14}", cell(cost))).collect::<String>();
        // A String takes everything.
        let _ = writeln!(table, "  {:22}{}", name, cells);
    };
    let tally = |tally: Tally| format!("{:>7}{:>7}", tally.frames, tally.bytes);
    row("", &|cost| format!("stage {}", cost.stage.number));
    row("", &|cost| cost.suite.map_or("plaintext", |[kex, _]| kex).to_owned());
    row("", &|cost| cost.suite.map_or("", |[_, cipher]| cipher).to_owned());
    row("", &|_| " frames  bytes".to_owned());
    row("handshake", &|cost| tally(cost.handshake));
    row("messages", &|cost| tally(cost.messages));
    row("sealed ends", &|cost| tally(cost.ends));
    row("together", &|cost| tally(cost.total()));
    row("of which JSON", &|cost| cost.json.to_string());
    row("around each message", &|cost| match cost.around {
        None => "-".to_owned(),
        Some((least, most)) if least == most => least.to_string(),
        Some((least, most)) => format!("{least} to {most}"),
    });
    table
}
