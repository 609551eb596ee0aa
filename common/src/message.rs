//! The JSON messages inside frames of kind `10`: what clients ask for and what a server tells.
//!
//! `"type"` comes first and `"text"`, where there is one, last, so that what a person typed is
//! what the end of a record holds. A field that is missing, doubled or not listed here makes a
//! message unreadable: someone who writes a client of their own learns at once what is wrong.

use std::collections::VecDeque;
use std::io;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use thiserror::Error;

use crate::escape;
use crate::files::Checksum;
use crate::files::Chunk;
use crate::files::Order;
use crate::files::chunk::NotAChunk;
use crate::frame;
use crate::frame::Frame;
use crate::frame::Lane;
use crate::frame::Outgoing;
use crate::heartbeat::Lost;
use crate::limits::Limits;
use crate::name::Name;
use crate::outbox::Ahead;
use crate::outbox::Stalled;

/// The version of the messages, in the first one.
pub const VERSION: u32 = 1;
/// Most bytes of an error that may quote what a peer sent.
const QUOTED: usize = 300;
/// Most bytes of UTF-8 that a text may have.
pub const MAX_TEXT: usize = 4096;
/// Bytes of a sealed text beyond the text: the salt of its key, its nonce, its tag.
pub const SEAL: usize = 16 + 12 + 16;
/// Objects and lists in each other; people in a list in a message are three.
const MAX_DEPTH: usize = 8;

/// What a client asks of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are the words of docs/protocol.md")]
pub enum Request {
    /// The first message: who is there. The name is checked by the room, which says what is wrong.
    Hello { chat5: u32, name: String },
    /// To everyone else.
    Say { text: String },
    /// To one person.
    Private { to: String, text: String },
    /// To one person, sealed with a key that only the two know: hexadecimal digits.
    Secret { to: String, sealed: String },
    /// Who is here?
    Names {},
    /// A new status, or without one: what is mine?
    Status {
        #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
        status: Option<Status>,
    },
    /// A new group of its creator and those listed.
    GroupSet { group: String, members: Vec<String> },
    /// To the members of a group.
    GroupSend { group: String, text: String },
    /// Out of a group.
    GroupLeave { group: String },
    /// The end of a group, by its owner.
    GroupDelete { group: String },
    /// Its sender is writing something.
    Typing {},
    /// A file, for one person or for all. The sender chooses the tag; the answer has it, too.
    Offer {
        tag: u32,
        #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
        to: Option<String>,
        name: String,
        size: u64,
    },
    /// Its sender takes the file that was offered to them.
    Accept { id: u32 },
    /// Its sender does not.
    Refuse { id: u32, text: String },
    /// Its sender has all bytes of a file before this offset, and can do with more.
    Ack { id: u32, offset: u64 },
    /// All bytes of a file have been sent.
    End { id: u32, size: u64, sha256: Checksum },
    /// Its sender has all of a file, unharmed and in place.
    Received { id: u32 },
    /// No more of a file, by its sender or by one who takes it.
    Abort { id: u32, text: String },
    /// A part of a file; on the wire a frame of another kind.
    #[serde(skip)]
    Chunk(Chunk),
    /// What a person wants done with a file; never on the wire.
    #[serde(skip)]
    Order(Order),
    /// Are you there?
    Ping {},
    /// Yes.
    Pong {},
}

/// What the server tells a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are the words of docs/protocol.md")]
pub enum Event {
    /// The answer to a hello: the name as it is shown, and everyone present.
    Welcome { name: Name, people: Vec<Person> },
    /// Someone came; the first after a welcome is the joiner.
    Joined { name: Name },
    /// Someone is gone.
    Left { name: Name },
    /// Said to the room.
    Said { from: Name, text: String },
    /// A private message; its sender gets the same.
    Private { from: Name, to: Name, text: String },
    /// A secret; its sender gets the same.
    Secret { from: Name, to: Name, sealed: String },
    /// A secret that this client has opened; never on the wire.
    #[serde(skip)]
    Opened { from: Name, to: Name, number: u64, text: String },
    /// A message to a group; its sender gets the same.
    Group { from: Name, group: Name, text: String },
    /// Who is here, in the order of their coming.
    Names { people: Vec<Person> },
    /// Someone's status.
    Status { name: Name, status: Status },
    /// A group as it now is, told to its members.
    GroupSet { group: Name, owner: Name, members: Vec<Name> },
    /// Someone left a group, told to who is left in it and to them.
    GroupLeft { group: Name, name: Name },
    /// Whose a group is now that its owner has left it, told to its members.
    GroupOwner { group: Name, owner: Name },
    /// A group is no more.
    GroupDeleted { group: Name, by: Name },
    /// Someone is writing something.
    Typing { name: Name },
    /// The receiver's offer with this tag has got its number.
    Offered { tag: u32, id: u32 },
    /// The receiver's offer with this tag is none, and why.
    NotOffered { tag: u32, text: String },
    /// Someone offers a file, to one person or to all.
    Offer {
        id: u32,
        from: Name,
        #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
        to: Option<Name>,
        name: String,
        size: u64,
    },
    /// To who offered a file: now it is to be sent.
    Go { id: u32 },
    /// To who sends a file: all who take it have the bytes before this offset.
    Ack { id: u32, offset: u64 },
    /// To who offered a file: someone does not get it, and why.
    Dropped { id: u32, name: Name, text: String },
    /// To who sent a file: someone has it.
    Received { id: u32, name: Name },
    /// To who sent a file: all who took it have it, or were dropped.
    Done { id: u32 },
    /// To who takes a file: there is no more of it.
    End { id: u32, size: u64, sha256: Checksum },
    /// A file does not come, or not all of it, and why.
    Abort { id: u32, text: String },
    /// The receiver gets nothing more of a file; never on the wire, because they know.
    #[serde(skip)]
    Over { id: u32 },
    /// A part of a file; on the wire a frame of another kind.
    #[serde(skip)]
    Chunk(Chunk),
    /// Something that the receiver should know.
    Notice { text: String },
    /// A request was refused, and why.
    Refused { text: String },
    /// The server ends the connection, and why.
    Bye(Bye),
    /// Are you there?
    Ping {},
    /// Yes.
    Pong {},
}

impl Event {
    /// As [`decode`], also what comes of files.
    ///
    /// # Errors
    /// See [`Unreadable`].
    pub fn read(frame: Frame<'_>) -> Result<Event, Unreadable> {
        match frame.kind {
            frame::CHUNK => Ok(Event::Chunk(Chunk::read(frame.body)?)),
            _ => decode(frame),
        }
    }

    /// Whether it is about a file on its way, so that it is not shown as it is.
    pub fn is_about_a_file(&self) -> bool {
        matches!(
            self,
            Event::Offered { .. }
                | Event::NotOffered { .. }
                | Event::Offer { .. }
                | Event::Go { .. }
                | Event::Ack { .. }
                | Event::Dropped { .. }
                | Event::Received { .. }
                | Event::Done { .. }
                | Event::End { .. }
                | Event::Abort { .. }
                | Event::Over { .. }
                | Event::Chunk(_)
        )
    }

    /// The frame that it is sent in.
    pub fn frame(&self) -> Outgoing {
        match self {
            Event::Chunk(chunk) => chunk.frame(),
            Event::End { id, .. } => encode(self).in_lane(Lane::File(*id)),
            Event::Abort { id, .. } => encode(self).in_lane(Lane::Abort(*id)),
            Event::Over { id } => Outgoing::from(Vec::new()).in_lane(Lane::Over(*id)),
            _ => encode(self),
        }
    }
}

impl Request {
    /// As [`decode`], also what comes of files.
    ///
    /// # Errors
    /// See [`Unreadable`].
    pub fn read(frame: Frame<'_>) -> Result<Request, Unreadable> {
        match frame.kind {
            frame::CHUNK => Ok(Request::Chunk(Chunk::read(frame.body)?)),
            _ => decode(frame),
        }
    }

    /// The frame that it is sent in.
    pub fn frame(&self) -> Outgoing {
        match self {
            Request::Chunk(chunk) => chunk.frame(),
            Request::End { id, .. } => encode(self).in_lane(Lane::File(*id)),
            Request::Abort { id, .. } => encode(self).in_lane(Lane::Abort(*id)),
            _ => encode(self),
        }
    }
}

/// Why the server ends a connection: the last thing that it says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Error)]
#[serde(deny_unknown_fields)]
#[error("{text}")]
pub struct Bye {
    /// For programs.
    pub reason: Reason,
    /// For people.
    pub text: String,
}

impl Bye {
    /// At the end of the server.
    pub fn stopping() -> Bye {
        Bye::new(Reason::Stopping, "the server stops")
    }

    /// After so many unreadable messages that there is no use in more.
    pub fn unreadable() -> Bye {
        Bye::new(Reason::Protocol, "too many messages could not be read, that is enough")
    }

    /// Says `text` to people and `reason` to programs.
    pub fn new(reason: Reason, text: impl ToString) -> Bye {
        Bye { reason, text: text.to_string() }
    }
}

impl From<frame::Error> for Bye {
    fn from(error: frame::Error) -> Bye {
        match error {
            frame::Error::Lost(Lost::Silent) | frame::Error::Silent => {
                Bye::new(Reason::Silent, error)
            }
            frame::Error::Lost(Lost::Stalled(stalled)) => stalled.into(),
            _ => Bye::new(Reason::Protocol, error),
        }
    }
}

impl From<io::Error> for Bye {
    fn from(error: io::Error) -> Bye {
        frame::Error::from(error).into()
    }
}

impl From<Unreadable> for Bye {
    fn from(error: Unreadable) -> Bye {
        Bye::new(Reason::Protocol, error)
    }
}

impl From<Ahead> for Bye {
    fn from(ahead: Ahead) -> Bye {
        Bye::new(Reason::Protocol, ahead)
    }
}

impl From<Stalled> for Bye {
    fn from(stalled: Stalled) -> Bye {
        Bye::new(Reason::Slow, stalled)
    }
}

/// Why the server ends a connection, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Somebody here has this name.
    NameTaken,
    /// Nobody may have this name.
    BadName,
    /// No room for another client.
    Full,
    /// What came was not this protocol.
    Protocol,
    /// What was sent was not taken in time.
    Slow,
    /// Nothing came for too long.
    Silent,
    /// The server stops.
    Stopping,
}

/// Someone present.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// What the others call them.
    pub name: Name,
    /// Whether they want to be spoken to.
    pub status: Status,
}

/// Whether someone wants to be spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum Status {
    /// Here.
    #[default]
    Normal,
    /// Do not disturb: private messages are refused.
    Dnd,
    /// Not at the keyboard: private messages wait, and their sender knows.
    Away,
}

impl Status {
    /// The word for it, as it is typed and sent.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Normal => "normal",
            Status::Dnd => "dnd",
            Status::Away => "away",
        }
    }
}

impl From<Status> for &'static str {
    fn from(status: Status) -> &'static str {
        status.as_str()
    }
}

impl TryFrom<String> for Status {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Status, &'static str> {
        let all = [Status::Normal, Status::Dnd, Status::Away];
        all.into_iter()
            .find(|status| status.as_str() == text)
            .ok_or("a status is normal, dnd or away")
    }
}

/// Takes a field that may be left out but, where it is there, is not null.
fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// Why a frame cannot be read as a message.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum Unreadable {
    /// Not the kind for messages.
    #[error("unreadable message: frames of kind {0:02x} are not known here")]
    Kind(u8),
    /// Not a part of a file, where one is welcome.
    #[error("unreadable message: {0}")]
    NotAChunk(#[from] NotAChunk),
    /// Not UTF-8.
    #[error("unreadable message: not UTF-8")]
    NotText,
    /// Not a JSON object.
    #[error("unreadable message: not a JSON object")]
    NotAnObject,
    /// No message has so much in each other.
    #[error("unreadable message: objects and lists are nested too deeply")]
    TooDeep,
    /// Not one of the messages: why, escaped and cut, because it may quote what came.
    #[error("unreadable message: {0}")]
    NotAMessage(String),
}

/// How many unreadable messages of a connection are still borne.
#[derive(Clone, Copy, Debug)]
pub struct Patience(u32);

impl Patience {
    /// At the beginning of a connection.
    pub fn new(limits: &Limits) -> Patience {
        Patience(limits.unreadable)
    }

    /// After another one.
    ///
    /// # Errors
    /// If that was one too many.
    pub fn lose(&mut self) -> Result<(), Bye> {
        self.0 = self.0.saturating_sub(1);
        if self.0 == 0 { Err(Bye::unreadable()) } else { Ok(()) }
    }
}

/// A [`Request::Hello`] as `name`.
pub fn hello(name: &Name) -> Outgoing {
    encode(&Request::Hello { chat5: VERSION, name: name.to_string() })
}

/// A [`Request::Pong`], which is an [`Event::Pong`] too.
pub fn pong() -> Outgoing {
    encode(&Event::Pong {})
}

/// A [`Request::Ping`], which is an [`Event::Ping`] too: either side asks the same way.
pub fn ping() -> Outgoing {
    encode(&Event::Ping {})
}

/// Whether a parser of `json` would recurse far. Serde's own limit is 128, which is more than the
/// small stack of a server's thread has room for, and a stack overflow ends the whole server.
fn is_deep(json: &str) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    json.bytes().any(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_text,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => depth += 1,
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > MAX_DEPTH
    })
}

/// Puts a [`Request`] or an [`Event`] into a frame.
pub fn encode(message: &impl Serialize) -> Outgoing {
    let mut payload = vec![frame::MESSAGE];
    // A Vec takes everything, and there are no maps whose keys JSON could not write.
    let _ = serde_json::to_writer(&mut payload, message);
    Outgoing::from(payload)
}

/// The frames that requests are sent in.
pub fn frames(requests: Vec<Request>) -> VecDeque<Outgoing> {
    requests.iter().map(Request::frame).collect()
}

/// Reads a [`Request`] or an [`Event`] out of a frame.
///
/// # Errors
/// See [`Unreadable`].
pub fn decode<'a, M: Deserialize<'a>>(frame: Frame<'a>) -> Result<M, Unreadable> {
    if frame.kind != frame::MESSAGE {
        return Err(Unreadable::Kind(frame.kind));
    }
    let text = std::str::from_utf8(frame.body).map_err(|_| Unreadable::NotText)?;
    // Serde would also take ["say","hi"] for {"type":"say","text":"hi"}.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(Unreadable::NotAnObject);
    }
    if is_deep(text) {
        return Err(Unreadable::TooDeep);
    }
    serde_json::from_str(text).map_err(|error| {
        Unreadable::NotAMessage(escape::bytes(error.to_string().as_bytes(), QUOTED))
    })
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;
    use std::thread;

    use super::*;

    fn name(name: &str) -> Name {
        name.parse().unwrap()
    }

    fn read<M: for<'a> Deserialize<'a>>(json: &str) -> Result<M, Unreadable> {
        decode(Frame { kind: frame::MESSAGE, body: json.as_bytes() })
    }

    fn error_of(json: &str) -> String {
        read::<Request>(json).unwrap_err().to_string()
    }

    /// What is sent is `json` to the byte, and it is read as the same.
    fn check<M>(message: &M, json: &str)
    where
        M: Debug + PartialEq + Serialize + for<'a> Deserialize<'a>,
    {
        let payload = encode(message);
        let (kind, body) = payload.payload().split_first().unwrap();
        assert_eq!(*kind, 0x10);
        assert_eq!(std::str::from_utf8(body).unwrap(), json);
        assert_eq!(read::<M>(json).unwrap(), *message);

        assert!(json.starts_with(r#"{"type":""#), "{json}");
        if let Some((_, text)) = json.split_once(r#","text":""#) {
            // The only quotes after it are its own and those that JSON escapes.
            assert_eq!(
                text.replace(r#"\""#, "").find('"'),
                Some(text.replace(r#"\""#, "").len() - 2)
            );
            assert!(text.ends_with(r#""}"#), "{json}");
        }
    }

    #[test]
    fn requests_to_the_byte() {
        let bob = || "bob".to_owned();
        let team = || "team".to_owned();
        let hello = Request::Hello { chat5: 1, name: "alice".to_owned() };
        check(&hello, r#"{"type":"hello","chat5":1,"name":"alice"}"#);
        let text = "\"hi\"\\\n\u{1b} é👋".to_owned();
        check(
            &Request::Say { text },
            "{\"type\":\"say\",\"text\":\"\\\"hi\\\"\\\\\\n\\u001b é👋\"}",
        );
        let text = || "hi".to_owned();
        check(
            &Request::Private { to: bob(), text: text() },
            r#"{"type":"private","to":"bob","text":"hi"}"#,
        );
        check(&Request::Names {}, r#"{"type":"names"}"#);
        check(&Request::Status { status: None }, r#"{"type":"status"}"#);
        for (status, word) in
            [(Status::Normal, "normal"), (Status::Dnd, "dnd"), (Status::Away, "away")]
        {
            let json = format!(r#"{{"type":"status","status":"{word}"}}"#);
            check(&Request::Status { status: Some(status) }, &json);
            assert_eq!(status.as_str(), word);
        }
        check(
            &Request::GroupSet { group: team(), members: vec![bob(), "carol".to_owned()] },
            r#"{"type":"group-set","group":"team","members":["bob","carol"]}"#,
        );
        check(
            &Request::GroupSend { group: team(), text: text() },
            r#"{"type":"group-send","group":"team","text":"hi"}"#,
        );
        check(&Request::GroupLeave { group: team() }, r#"{"type":"group-leave","group":"team"}"#);
        check(&Request::GroupDelete { group: team() }, r#"{"type":"group-delete","group":"team"}"#);
        check(&Request::Typing {}, r#"{"type":"typing"}"#);
        check(&Request::Ping {}, r#"{"type":"ping"}"#);
        check(&Request::Pong {}, r#"{"type":"pong"}"#);
    }

    /// The SHA-256 of nothing, as FIPS 180-4's examples give it.
    const OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn of_nothing() -> Checksum {
        OF_NOTHING.to_owned().try_into().unwrap()
    }

    #[test]
    fn requests_about_files_to_the_byte() {
        let text = || "no \"room\"".to_owned();
        let offer = |to: Option<&str>| Request::Offer {
            tag: 7,
            to: to.map(str::to_owned),
            name: "né.pdf".to_owned(),
            size: 123_456,
        };
        check(
            &offer(Some("bob")),
            r#"{"type":"offer","tag":7,"to":"bob","name":"né.pdf","size":123456}"#,
        );
        check(&offer(None), r#"{"type":"offer","tag":7,"name":"né.pdf","size":123456}"#);
        check(&Request::Accept { id: 1 }, r#"{"type":"accept","id":1}"#);
        check(
            &Request::Refuse { id: 1, text: text() },
            r#"{"type":"refuse","id":1,"text":"no \"room\""}"#,
        );
        check(&Request::Ack { id: 1, offset: 65_536 }, r#"{"type":"ack","id":1,"offset":65536}"#);
        // What counts goes as far as its type does: nothing becomes a floating point number.
        check(
            &Request::Ack { id: u32::MAX, offset: u64::MAX },
            r#"{"type":"ack","id":4294967295,"offset":18446744073709551615}"#,
        );
        check(
            &Request::End { id: 1, size: 0, sha256: of_nothing() },
            &format!(r#"{{"type":"end","id":1,"size":0,"sha256":"{OF_NOTHING}"}}"#),
        );
        check(&Request::Received { id: 1 }, r#"{"type":"received","id":1}"#);
        check(
            &Request::Abort { id: 1, text: text() },
            r#"{"type":"abort","id":1,"text":"no \"room\""}"#,
        );
    }

    #[test]
    fn events_about_files_to_the_byte() {
        let text = || "no \"room\"".to_owned();
        let offer = |to| Event::Offer {
            id: 1,
            from: name("alice"),
            to,
            name: "né.pdf".to_owned(),
            size: 123_456,
        };
        let end = Event::End { id: 1, size: 0, sha256: of_nothing() };
        let all = [
            (Event::Offered { tag: 7, id: 1 }, r#"{"type":"offered","tag":7,"id":1}"#.to_owned()),
            (
                Event::NotOffered { tag: 7, text: text() },
                r#"{"type":"not-offered","tag":7,"text":"no \"room\""}"#.to_owned(),
            ),
            (
                offer(Some(name("bob"))),
                r#"{"type":"offer","id":1,"from":"alice","to":"bob","name":"né.pdf","size":123456}"#
                    .to_owned(),
            ),
            (
                offer(None),
                r#"{"type":"offer","id":1,"from":"alice","name":"né.pdf","size":123456}"#.to_owned(),
            ),
            (Event::Go { id: 1 }, r#"{"type":"go","id":1}"#.to_owned()),
            (
                Event::Ack { id: 1, offset: 65_536 },
                r#"{"type":"ack","id":1,"offset":65536}"#.to_owned(),
            ),
            (
                Event::Dropped { id: 1, name: name("bob"), text: text() },
                r#"{"type":"dropped","id":1,"name":"bob","text":"no \"room\""}"#.to_owned(),
            ),
            (
                Event::Received { id: 1, name: name("bob") },
                r#"{"type":"received","id":1,"name":"bob"}"#.to_owned(),
            ),
            (Event::Done { id: 1 }, r#"{"type":"done","id":1}"#.to_owned()),
            (end, format!(r#"{{"type":"end","id":1,"size":0,"sha256":"{OF_NOTHING}"}}"#)),
            (
                Event::Abort { id: 1, text: text() },
                r#"{"type":"abort","id":1,"text":"no \"room\""}"#.to_owned(),
            ),
        ];
        for (event, json) in all {
            check(&event, &json);
            assert!(event.is_about_a_file(), "{json}");
        }
        assert!(!Event::Notice { text: text() }.is_about_a_file());
    }

    /// A chunk of a file: id 1, offset 65536, two bytes. The frame as a whole is in `files::chunk`.
    const CHUNK: &[u8] = b"\x11\x00\x00\x00\x01\x00\x00\x00\x00\x00\x01\x00\x00hi";

    #[test]
    fn chunks_are_read_where_files_are_known_and_nowhere_else() {
        let frame = Frame { kind: CHUNK[0], body: &CHUNK[1..] };
        let chunk = Chunk::read(frame.body).unwrap();
        assert_eq!((chunk.id(), chunk.offset(), chunk.bytes()), (1, 65_536, &b"hi"[..]));
        assert_eq!(Request::read(frame), Ok(Request::Chunk(chunk.clone())));
        assert_eq!(Event::read(frame), Ok(Event::Chunk(chunk.clone())));
        assert!(Event::Chunk(chunk).is_about_a_file());
        assert_eq!(decode::<Request>(frame), Err(Unreadable::Kind(0x11)));
        assert_eq!(decode::<Event>(frame), Err(Unreadable::Kind(0x11)));

        // Too short for a byte of a file; and what is no chunk is read as `decode` reads it.
        let short = Frame { kind: CHUNK[0], body: &CHUNK[1..13] };
        let error = Request::read(short).unwrap_err();
        assert_eq!(Event::read(short).unwrap_err(), error);
        assert_eq!(
            error.to_string(),
            "unreadable message: a chunk of a file with 12 bytes: it has 12 and 1 to 65536 more"
        );
        let ping = Frame { kind: frame::MESSAGE, body: br#"{"type":"ping"}"# };
        assert_eq!(Request::read(ping), Ok(Request::Ping {}));
        assert_eq!(Event::read(ping), Ok(Event::Ping {}));
        let close = Frame { kind: frame::CLOSE, body: b"x" };
        assert_eq!(Request::read(close), Err(Unreadable::Kind(0x12)));
        assert_eq!(Event::read(close), Err(Unreadable::Kind(0x12)));
    }

    #[test]
    fn bytes_and_end_of_a_file_wait_in_its_lane_and_all_else_overtakes_them() {
        let text = || "why".to_owned();
        let (id, size, sha256) = (7, 0, of_nothing());
        let chunk = || Chunk::read(b"\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x00hi").unwrap();
        let requests = [
            (Request::Chunk(chunk()), Lane::File(7)),
            (Request::End { id, size, sha256 }, Lane::File(7)),
            (Request::Abort { id, text: text() }, Lane::Abort(7)),
            (Request::Offer { tag: 7, to: None, name: text(), size }, Lane::Message),
            (Request::Accept { id }, Lane::Message),
            (Request::Refuse { id, text: text() }, Lane::Message),
            (Request::Ack { id, offset: 0 }, Lane::Message),
            (Request::Received { id }, Lane::Message),
            (Request::Say { text: text() }, Lane::Message),
        ];
        for (request, lane) in requests {
            let frame = request.frame();
            assert_eq!(frame.lane(), lane, "{request:?}");
            let (kind, body) = frame.payload().split_first().unwrap();
            assert_eq!(Request::read(Frame { kind: *kind, body }), Ok(request));
        }
        let offer = Event::Offer { id, from: name("alice"), to: None, name: text(), size };
        let events = [
            (Event::Chunk(chunk()), Lane::File(7)),
            (Event::End { id, size, sha256 }, Lane::File(7)),
            (Event::Abort { id, text: text() }, Lane::Abort(7)),
            (Event::Offered { tag: 7, id }, Lane::Message),
            (Event::NotOffered { tag: 7, text: text() }, Lane::Message),
            (offer, Lane::Message),
            (Event::Go { id }, Lane::Message),
            (Event::Ack { id, offset: 0 }, Lane::Message),
            (Event::Dropped { id, name: name("bob"), text: text() }, Lane::Message),
            (Event::Received { id, name: name("bob") }, Lane::Message),
            (Event::Done { id }, Lane::Message),
            (Event::Said { from: name("bob"), text: text() }, Lane::Message),
        ];
        for (event, lane) in events {
            let frame = event.frame();
            assert_eq!(frame.lane(), lane, "{event:?}");
            let (kind, body) = frame.payload().split_first().unwrap();
            assert_eq!(Event::read(Frame { kind: *kind, body }), Ok(event));
        }
    }

    #[test]
    fn that_nothing_more_of_a_file_is_wanted_is_for_the_queue_alone() {
        let over = Event::Over { id: 7 };
        assert!(over.is_about_a_file());
        assert_eq!((over.frame().lane(), over.frame().payload()), (Lane::Over(7), &b""[..]));
        let error = read::<Event>(r#"{"type":"over","id":7}"#).unwrap_err().to_string();
        assert!(error.contains("unknown variant `over`"), "{error}");
    }

    #[test]
    fn what_is_wrong_with_a_message_about_a_file_is_said() {
        let end = |sha256: &str| format!(r#"{{"type":"end","id":1,"size":0,"sha256":"{sha256}"}}"#);
        for (json, wrong) in [
            (r#"{"type":"accept","id":-1}"#, "invalid value: integer `-1`"),
            (r#"{"type":"accept","id":4294967296}"#, "invalid value: integer `4294967296`"),
            (r#"{"type":"accept","id":1.0}"#, "invalid type: floating point `1.0`"),
            (r#"{"type":"accept","id":"1"}"#, "invalid type: string \"1\""),
            (r#"{"type":"accept","id":1,"text":""}"#, "unknown field `text`"),
            (r#"{"type":"refuse","id":1}"#, "missing field `text`"),
            (r#"{"type":"offer","tag":1,"to":null,"name":"a","size":1}"#, "invalid type: null"),
            (r#"{"type":"offer","tag":1,"name":"a"}"#, "missing field `size`"),
            (r#"{"type":"offer","name":"a","size":1}"#, "missing field `tag`"),
            (r#"{"type":"offer","tag":-1,"name":"a","size":1}"#, "invalid value: integer `-1`"),
            (
                r#"{"type":"offer","tag":4294967296,"name":"a","size":1}"#,
                "invalid value: integer `4294967296`",
            ),
            (r#"{"type":"ack","id":1,"offset":18446744073709551616}"#, "floating point"),
            (r#"{"type":"chunk","id":1,"offset":0}"#, "unknown variant `chunk`"),
            (r#"{"type":"order","id":1}"#, "unknown variant `order`"),
            (&end(&OF_NOTHING[1..]), "64 hexadecimal digits"),
            (&end(&format!("{OF_NOTHING}00")), "64 hexadecimal digits"),
            (&end(&OF_NOTHING.replace('e', "g")), "64 hexadecimal digits"),
        ] {
            let error = error_of(json);
            assert!(error.contains(wrong), "{json}: {error}");
        }
        // Digits are read in either case and written in lower case.
        let shouted = read::<Request>(&end(&OF_NOTHING.to_ascii_uppercase())).unwrap();
        assert_eq!(shouted, Request::End { id: 1, size: 0, sha256: of_nothing() });
    }

    #[test]
    fn events_to_the_byte() {
        let (alice, bob, team) = (|| name("alice"), || name("bob"), || name("team"));
        let text = || "hi".to_owned();
        let people = || {
            vec![
                Person { name: alice(), status: Status::Normal },
                Person { name: bob(), status: Status::Dnd },
            ]
        };
        check(
            &Event::Welcome { name: alice(), people: people() },
            r#"{"type":"welcome","name":"alice","people":[{"name":"alice","status":"normal"},{"name":"bob","status":"dnd"}]}"#,
        );
        check(&Event::Joined { name: bob() }, r#"{"type":"joined","name":"bob"}"#);
        check(&Event::Left { name: bob() }, r#"{"type":"left","name":"bob"}"#);
        check(
            &Event::Said { from: alice(), text: text() },
            r#"{"type":"said","from":"alice","text":"hi"}"#,
        );
        check(
            &Event::Private { from: alice(), to: bob(), text: text() },
            r#"{"type":"private","from":"alice","to":"bob","text":"hi"}"#,
        );
        check(
            &Event::Group { from: alice(), group: team(), text: text() },
            r#"{"type":"group","from":"alice","group":"team","text":"hi"}"#,
        );
        check(
            &Event::Names { people: people() },
            r#"{"type":"names","people":[{"name":"alice","status":"normal"},{"name":"bob","status":"dnd"}]}"#,
        );
        check(
            &Event::Status { name: bob(), status: Status::Away },
            r#"{"type":"status","name":"bob","status":"away"}"#,
        );
        check(
            &Event::GroupSet { group: team(), owner: alice(), members: vec![alice(), bob()] },
            r#"{"type":"group-set","group":"team","owner":"alice","members":["alice","bob"]}"#,
        );
        check(
            &Event::GroupLeft { group: team(), name: bob() },
            r#"{"type":"group-left","group":"team","name":"bob"}"#,
        );
        check(
            &Event::GroupOwner { group: team(), owner: bob() },
            r#"{"type":"group-owner","group":"team","owner":"bob"}"#,
        );
        check(
            &Event::GroupDeleted { group: team(), by: alice() },
            r#"{"type":"group-deleted","group":"team","by":"alice"}"#,
        );
        check(&Event::Typing { name: bob() }, r#"{"type":"typing","name":"bob"}"#);
        check(&Event::Notice { text: text() }, r#"{"type":"notice","text":"hi"}"#);
        check(&Event::Refused { text: text() }, r#"{"type":"refused","text":"hi"}"#);
        check(&Event::Ping {}, r#"{"type":"ping"}"#);
        check(&Event::Pong {}, r#"{"type":"pong"}"#);
    }

    #[test]
    fn every_reason_of_a_bye_to_the_byte() {
        for (reason, word) in [
            (Reason::NameTaken, "name-taken"),
            (Reason::BadName, "bad-name"),
            (Reason::Full, "full"),
            (Reason::Protocol, "protocol"),
            (Reason::Slow, "slow"),
            (Reason::Silent, "silent"),
            (Reason::Stopping, "stopping"),
        ] {
            let json = format!(r#"{{"type":"bye","reason":"{word}","text":"so long"}}"#);
            check(&Event::Bye(Bye::new(reason, "so long")), &json);
        }
        assert_eq!(Bye::new(Reason::Full, "so long").to_string(), "so long");
    }

    #[test]
    fn the_order_of_fields_and_the_space_between_them_are_free_for_who_writes_a_client() {
        let json = " {\n \"text\" : \"h\\u0069\",\t\"type\":\"say\"}\r\n";
        assert_eq!(read::<Request>(json).unwrap(), Request::Say { text: "hi".to_owned() });
    }

    #[test]
    fn what_is_wrong_with_a_message_is_said() {
        for (json, wrong) in [
            (r#"{"type":"say","text":"hi","to":"bob"}"#, "unknown field `to`"),
            (r#"{"type":"names","all":true}"#, "unknown field `all`"),
            (r#"{"type":"ping","text":""}"#, "unknown field `text`"),
            (r#"{"type":"status","status":"dnd","for":1}"#, "unknown field `for`"),
            (r#"{"type":"say"}"#, "missing field `text`"),
            (r#"{"type":"hello","name":"alice"}"#, "missing field `chat5`"),
            (r#"{"type":"private","to":"bob"}"#, "missing field `text`"),
            (r#"{"text":"hi"}"#, "missing field `type`"),
            (r#"{"type":"say","text":"hi","text":"ho"}"#, "duplicate field `text`"),
            (r#"{"type":"say","type":"say","text":"hi"}"#, "duplicate field `type`"),
            (r#"{"type":"shout","text":"hi"}"#, "unknown variant `shout`"),
            (r#"{"type":"Say","text":"hi"}"#, "unknown variant `Say`"),
            (r#"{"type":"said","from":"bob","text":"hi"}"#, "unknown variant `said`"),
            (r#"{"type":"status","status":"gone"}"#, "a status is normal, dnd or away"),
            (r#"{"type":"status","status":{"dnd":null}}"#, "expected a string"),
            // Left out is the question; null is no answer.
            (r#"{"type":"status","status":null}"#, "invalid type: null"),
            (r#"{"type":"say","text":1}"#, "invalid type: integer `1`"),
            (r#"{"type":"hello","chat5":-1,"name":"alice"}"#, "invalid value: integer `-1`"),
            (r#"{"type":"say","text":"hi"} x"#, "trailing characters"),
            (r#"{"type":"say","text":"hi""#, "EOF"),
            (r#"{"type":"say","text":"\ud800"}"#, "hex escape"),
            ("{\"type\":\"say\",\"text\":\"a\nb\"}", "control character"),
            ("", "not a JSON object"),
        ] {
            let error = error_of(json);
            assert!(error.starts_with("unreadable message: "), "{json}: {error}");
            assert!(error.contains(wrong), "{json}: {error}");
        }
        assert!(read::<Event>(r#"{"type":"bye","reason":"full","text":"","more":1}"#).is_err());
        assert!(read::<Event>(r#"{"type":"bye","reason":"bored","text":""}"#).is_err());
        assert!(read::<Event>(r#"{"type":"joined","name":"no name"}"#).is_err());
        let person = r#"{"name":"bob","status":"dnd","since":1}"#;
        assert!(
            read::<Event>(&format!(r#"{{"type":"names","people":[{person}]}}"#)).is_err(),
            "of what is nested too"
        );
    }

    #[test]
    fn only_objects_are_messages() {
        for json in ["null", "7", r#""say""#, "[]", r#"["say","hi"]"#, "\u{feff}{}"] {
            assert_eq!(read::<Request>(json), Err(Unreadable::NotAnObject), "{json}");
            assert_eq!(read::<Event>(json), Err(Unreadable::NotAnObject), "{json}");
        }
        assert!(read::<Request>(r#"{"type":["say"]}"#).is_err());
        assert!(read::<Event>(r#"{"type":["say"]}"#).is_err());
    }

    #[test]
    fn frames_of_another_kind_and_bytes_that_are_no_text() {
        let frame = Frame { kind: 0x11, body: br#"{"type":"ping"}"# };
        let error = decode::<Request>(frame).unwrap_err();
        assert!(matches!(error, Unreadable::Kind(0x11)));
        assert_eq!(error.to_string(), "unreadable message: frames of kind 11 are not known here");

        let frame = Frame { kind: frame::MESSAGE, body: b"{\"type\":\"say\",\"text\":\"\xff\"}" };
        let error = decode::<Request>(frame).unwrap_err();
        assert_eq!(error, Unreadable::NotText);
        assert_eq!(error.to_string(), "unreadable message: not UTF-8");
    }

    #[test]
    fn deep_nesting_fits_the_stack_of_a_client_thread() {
        let deep = frame::MAX_LENGTH / 2 - 100;
        let lists = format!(r#"{{"x":{}1{}}}"#, "[".repeat(deep), "]".repeat(deep));
        let objects = r#"{"x":"#.repeat(deep / 3);
        let late = format!(r#"{{"type":"group-set","group":"g","members":{lists}}}"#);
        let closed = format!(r#"{{"type":"say","text":{}1{}}}"#, "[".repeat(100), "]".repeat(100));
        let stack = crate::limits::Limits::default().stack;
        let thread = thread::Builder::new().stack_size(stack).spawn(move || {
            for json in [&lists, &objects, &late, &closed] {
                assert_eq!(read::<Request>(json), Err(Unreadable::TooDeep));
                assert_eq!(read::<Event>(json), Err(Unreadable::TooDeep));
            }
        });
        thread.unwrap().join().unwrap();
    }

    #[test]
    fn nested_too_deeply_is_more_than_eight_that_are_open_and_in_no_text() {
        let nested = |lists| {
            let json = format!(r#"{{"x":{}1{}}}"#, "[".repeat(lists), "]".repeat(lists));
            read::<Request>(&json).unwrap_err()
        };
        assert!(matches!(nested(7), Unreadable::NotAMessage(_)));
        assert_eq!(nested(8), Unreadable::TooDeep);
        // Nine beside each other are not in each other.
        let json = format!(r#"{{"x":[{}1]}}"#, "[],".repeat(9));
        assert!(matches!(read::<Request>(&json), Err(Unreadable::NotAMessage(_))));
        for text in
            ["[{".repeat(9), format!("\"{}", "[".repeat(9)), format!("\\\"{}", "[".repeat(9))]
        {
            let said = Request::Say { text };
            let payload = encode(&said);
            let frame = Frame { kind: frame::MESSAGE, body: &payload.payload()[1..] };
            assert_eq!(decode::<Request>(frame), Ok(said));
        }
    }

    #[test]
    fn what_an_error_quotes_is_escaped_and_cut() {
        let json = |kind: &str| format!(r#"{{"type":"{kind}"}}"#);
        let error = error_of(&json("\u{202e}\\u001b"));
        assert!(error.contains(r"unknown variant `\u{202e}\u{1b}`"), "{error}");
        let error = error_of(&json(&"x".repeat(100_000)));
        assert!(error.len() < 400 && error.ends_with(" bytes more)"), "{error}");
    }
}
