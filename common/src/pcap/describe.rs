//! What a packet is, in plain words, so that a capture explains itself to whoever opens it without
//! knowing the protocol.
//!
//! ```text
//! client → server: handshake, 44 bytes: length 4, kind 1, hello 39: CHT2 version 1, 32 random bytes, …
//! alice → server: encrypted record 1, 61 bytes: length 4, kind 1, IV 16, ciphertext 40
//! alice → server: inside record 1: message, 44 bytes: length 4, kind 1, JSON 39: {"type":"say",…
//! ```
//!
//! It follows both directions from their beginning, as far as that takes to know what a byte belongs
//! to, and keeps no more of a frame than its first bytes. It knows no keys, and what is inside records
//! only where the capture shows that, too: otherwise it says no more than anybody can see on the wire.
//! So it is the client's name that is said where it is in the capture, and else `client`.

use std::fmt::Write;

use etherparse::TcpHeader;

use super::Interface;
use crate::escape;
use crate::files::chunk;
use crate::frame;
use crate::frame::Frame;
use crate::name::Name;

/// So many frames of a packet have a comment each; the rest are counted.
const FRAMES: usize = 8;
/// Most bytes of a frame that are kept: all of a hello, and the beginning of a message.
const KEPT: usize = 512;
/// Most bytes of a message that a comment quotes.
const QUOTED: usize = 120;

/// What a welcome begins with.
const WELCOME: &[u8] = br#"{"type":"welcome","name":""#;
/// Length and kind in front of a body, in words.
const FRONT: &str = "length 4, kind 1";

/// The two sides of a connection and what they said so far, as far as it has to be known.
#[derive(Debug, Default)]
pub struct Talk {
    client: Option<Name>,
    cipher: Cipher,
    wire: Directions,
    /// The same for what was inside records.
    plaintext: Directions,
}

#[derive(Debug, Default)]
struct Directions {
    client: Direction,
    server: Direction,
}

/// What records consist of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Cipher {
    #[default]
    Unknown,
    Cfb,
    Gcm,
    Fernet,
}

/// One direction: how far its frame in progress is, and how many there were.
#[derive(Debug, Default)]
struct Direction {
    /// The first bytes of the frame in progress, with its length.
    kept: Vec<u8>,
    /// Bytes of it so far.
    seen: usize,
    /// What its length says, with the length itself.
    total: Option<usize>,
    /// Steps of a handshake before it.
    handshakes: usize,
    /// Encrypted records before it, or frames that were inside one.
    records: u64,
    /// What came is not made of frames.
    is_lost: bool,
}

impl Direction {
    /// Takes what `bytes` hold of the frame in progress: how many, and whether that is its end.
    fn take(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut taken = 0;
        loop {
            let missing = self.total.unwrap_or(frame::HEADER) - self.seen;
            let rest = bytes.get(taken..).unwrap_or_default();
            let part = rest.get(..missing).unwrap_or(rest);
            let room = KEPT.saturating_sub(self.kept.len());
            self.kept.extend_from_slice(part.get(..room).unwrap_or(part));
            self.seen += part.len();
            taken += part.len();
            if part.len() < missing {
                return (taken, false);
            }
            if self.total.is_some() {
                return (taken, true);
            }
            let length = self.kept.first_chunk().copied().map_or(0, u32::from_be_bytes);
            match usize::try_from(length) {
                Ok(length @ 1..=frame::MAX_LENGTH) => self.total = Some(frame::HEADER + length),
                _ => {
                    self.is_lost = true;
                    return (taken, false);
                }
            }
        }
    }

    /// The frame in progress, of which some may be missing behind.
    fn frame(&self) -> Option<Frame<'_>> {
        let (&kind, body) = self.kept.get(frame::HEADER..)?.split_first()?;
        Some(Frame { kind, body })
    }

    /// The next frame is another one.
    fn next(&mut self, interface: Interface) {
        match (interface, self.frame().map(|frame| frame.kind)) {
            (Interface::Plaintext, _) | (_, Some(frame::RECORD)) => self.records += 1,
            (_, Some(frame::HANDSHAKE)) => self.handshakes += 1,
            _ => {}
        }
        self.kept.clear();
        self.seen = 0;
        self.total = None;
    }
}

impl Talk {
    /// What a segment is: a comment for each frame that it has anything of, or one for what TCP
    /// alone has to do with.
    pub fn segment(
        &mut self,
        interface: Interface,
        is_clients: bool,
        tcp: &TcpHeader,
        payload: &[u8],
    ) -> Vec<String> {
        if payload.is_empty() {
            return vec![format!("{}: {}", self.arrow(is_clients), without_payload(tcp))];
        }
        let mut comments = Vec::new();
        let mut more = 0;
        let mut rest = payload;
        while !rest.is_empty() {
            let is_said = comments.len() < FRAMES;
            let (taken, comment) = self.part(interface, is_clients, rest, is_said);
            rest = rest.get(taken..).unwrap_or_default();
            match comment {
                Some(comment) => comments.push(format!("{}: {comment}", self.arrow(is_clients))),
                None => more += 1,
            }
        }
        if more > 0 {
            comments.push(format!("{}: and {more} more", self.arrow(is_clients)));
        }
        comments
    }

    fn arrow(&self, is_clients: bool) -> String {
        let client = self.client.as_ref().map_or("client", Name::as_str);
        match is_clients {
            true => format!("{client} → server"),
            false => format!("server → {client}"),
        }
    }

    fn direction(&mut self, interface: Interface, is_clients: bool) -> &mut Direction {
        let directions = match interface {
            Interface::Wire => &mut self.wire,
            Interface::Plaintext => &mut self.plaintext,
        };
        match is_clients {
            true => &mut directions.client,
            false => &mut directions.server,
        }
    }

    /// How many of `bytes` belong to the frame in progress, and what to say of them, if anything is.
    fn part(
        &mut self,
        interface: Interface,
        is_clients: bool,
        bytes: &[u8],
        is_said: bool,
    ) -> (usize, Option<String>) {
        let direction = self.direction(interface, is_clients);
        if direction.is_lost {
            let said = format!("{} bytes that are no frames of this chat", bytes.len());
            return (bytes.len(), Some(said));
        }
        let before = direction.seen;
        let (taken, is_whole) = direction.take(bytes);
        if direction.is_lost {
            let length = direction.kept.first_chunk().copied().map_or(0, u32::from_be_bytes);
            let said = format!("no frame of this chat: its length would be {length}");
            return (bytes.len(), Some(said));
        }
        let said = is_said.then(|| self.frame(interface, is_clients, is_whole));
        if is_whole {
            self.learn(interface, is_clients);
            self.direction(interface, is_clients).next(interface);
        }
        let said = said.map(|said| match (before, is_whole) {
            (0, true) => said,
            (0, false) => format!("the first {taken} bytes of: {said}"),
            (_, false) => format!("{taken} bytes more of: {said}"),
            (_, true) => format!("the last {taken} bytes of: {said}"),
        });
        (taken, said)
    }

    /// What the frame in progress is.
    fn frame(&mut self, interface: Interface, is_clients: bool, is_whole: bool) -> String {
        let cipher = self.cipher;
        let direction = self.direction(interface, is_clients);
        let (Some(total), Some(frame)) = (direction.total, direction.frame()) else {
            return "a frame".to_owned();
        };
        let length = total - frame::HEADER - 1;
        let (what, parts) = match frame.kind {
            frame::RECORD => {
                (format!("encrypted record {}", direction.records), record(cipher, length))
            }
            frame::HANDSHAKE => {
                let parts = match is_whole {
                    true => handshake(is_clients, direction.handshakes, frame.body, length),
                    false => format!("body {length}"),
                };
                ("handshake".to_owned(), parts)
            }
            kind => (frame::kind_name(kind).to_owned(), readable(frame, length)),
        };
        let said = format!("{what}, {total} bytes: {FRONT}, {parts}");
        match interface {
            Interface::Wire => said,
            Interface::Plaintext => format!("inside record {}: {said}", direction.records),
        }
    }

    /// Takes out of a whole frame what has to be known for those that follow.
    fn learn(&mut self, interface: Interface, is_clients: bool) {
        let direction = self.direction(interface, is_clients);
        let Some(frame) = direction.frame() else { return };
        match frame.kind {
            // A client asks for a name; it has it when the server has welcomed it.
            frame::MESSAGE if !is_clients => {
                let name = welcomed(frame.body);
                self.client = self.client.take().or(name);
            }
            frame::HANDSHAKE if !is_clients && direction.handshakes == 0 => {
                self.cipher = match frame.body {
                    [b'C', b'H', b'T', b'5', ..] => Cipher::Gcm,
                    _ => match suite(frame.body) {
                        Some([_, 1]) => Cipher::Cfb,
                        Some([_, 2]) => Cipher::Gcm,
                        Some([_, 3]) => Cipher::Fernet,
                        _ => Cipher::Unknown,
                    },
                };
            }
            _ => {}
        }
    }
}

/// What the flags of a segment without payload say.
fn without_payload(tcp: &TcpHeader) -> &'static str {
    match (tcp.syn, tcp.ack, tcp.fin, tcp.rst) {
        (true, false, ..) => "opens the connection (SYN)",
        (true, true, ..) => "agrees to the connection (SYN, ACK)",
        (.., true) => "aborts the connection (RST)",
        (.., true, _) => "sends nothing more (FIN)",
        _ => "has received everything so far (ACK)",
    }
}

/// What the body of a record consists of.
fn record(cipher: Cipher, length: usize) -> String {
    match (cipher, length) {
        (Cipher::Cfb, 16..) => format!("IV 16, ciphertext {}", length - 16),
        (Cipher::Gcm, 16..) => format!("ciphertext {}, tag 16", length - 16),
        (Cipher::Fernet, _) => format!("token {length}"),
        (Cipher::Unknown, _) => format!("ciphertext {length}"),
        _ => format!("body {length}, which is too short"),
    }
}

/// What a step of a handshake consists of; it is the `nth` of its side, from 0. `body` is the
/// beginning of `length` bytes.
fn handshake(is_clients: bool, nth: usize, body: &[u8], length: usize) -> String {
    match (is_clients, nth, body) {
        (true, 0, [b'C', b'H', b'T', b'5', version, suites, ..]) => {
            let hello = 6 + usize::from(*suites);
            let rest = length.saturating_sub(hello);
            let plural = if *suites == 1 { "" } else { "s" };
            format!(
                "hello {hello}: CHT5 version {version}, {suites} suite{plural}, ephemeral key {rest}"
            )
        }
        (false, 0, [b'C', b'H', b'T', b'5', version, suite, ..]) if length == 6 + 32 + 48 + 16 => {
            format!(
                "hello 6: CHT5 version {version}, suite {suite}, ephemeral key 32, the server's own \
                 key encrypted 48, tag 16"
            )
        }
        (_, 0, [b'C', b'H', b'T', b'2', version, ..]) if let Some([kex, cipher]) = suite(body) => {
            let said = format!(
                "hello {HELLO}: CHT2 version {version}, 32 random bytes, {}, {}",
                name_of(&KEXES, kex, "any key exchange"),
                name_of(&CIPHERS, cipher, "any cipher"),
            );
            match length - HELLO {
                0 => said,
                share => format!("{said}, share {share}"),
            }
        }
        (true, 1, _) => format!("share {length}"),
        (false, 1, _) => format!("encrypted secret {length}"),
        _ => format!("body {length}"),
    }
}

/// Bytes of a hello of CHT2 without a share.
const HELLO: usize = 4 + 1 + 32 + 2;
/// What the codes 1 and up stand for.
const KEXES: [&str; 4] = ["p256", "x25519", "rsa2048-server", "rsa2048-client"];
const CIPHERS: [&str; 3] = ["aes-256-cfb", "aes-256-gcm", "fernet"];

/// The codes of key exchange and cipher in a hello of CHT2.
fn suite(hello: &[u8]) -> Option<[u8; 2]> {
    hello.get(HELLO - 2..HELLO)?.try_into().ok()
}

fn name_of(names: &[&'static str], code: u8, any: &'static str) -> &'static str {
    match usize::from(code).checked_sub(1) {
        None => any,
        Some(index) => names.get(index).copied().unwrap_or("one that nobody knows"),
    }
}

/// What the body of a frame consists of that anybody can read.
fn readable(frame: Frame<'_>, length: usize) -> String {
    match (frame.kind, chunk::header(frame.body)) {
        (frame::MESSAGE, _) => format!("JSON {length}: {}", quoted(frame.body, length)),
        (frame::CHUNK, Some((id, offset))) => {
            let bytes = length.saturating_sub(chunk::HEADER);
            format!("id 4, offset 8, content {bytes}: of file {id}, from byte {offset}")
        }
        (_, _) if length == 0 => "no body".to_owned(),
        _ => format!("body {length}"),
    }
}

/// The beginning of a body of this length, without half a character at the end.
fn quoted(body: &[u8], length: usize) -> String {
    let Some(beginning) = body.get(..QUOTED).filter(|_| length > QUOTED) else {
        return escape::bytes(body, usize::MAX);
    };
    // A character has at most three bytes after its first.
    let whole = (QUOTED - 3..=QUOTED).rev().filter_map(|end| beginning.get(..end));
    let text = whole.into_iter().find(|bytes| str::from_utf8(bytes).is_ok()).unwrap_or(beginning);
    let mut quoted = escape::bytes(text, usize::MAX);
    // Writing to a String does not fail.
    let _ = write!(quoted, "… ({} bytes more)", length - text.len());
    quoted
}

/// The name in a welcome, of which the end may be missing.
fn welcomed(body: &[u8]) -> Option<Name> {
    let name = body.strip_prefix(WELCOME)?.split(|byte| *byte == b'"').next()?;
    str::from_utf8(name).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
