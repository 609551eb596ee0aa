//! The JSON messages inside frames of kind `10`: what clients ask for and what a server tells.
//!
//! `"type"` comes first and `"text"`, where there is one, last, so that what a person typed is
//! what the end of a record holds. A field that is missing, doubled or not listed here makes a
//! message unreadable: someone who writes a client of their own learns at once what is wrong.

use std::io;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use thiserror::Error;

use crate::escape;
use crate::frame;
use crate::frame::Frame;
use crate::frame::Outgoing;
use crate::heartbeat::Lost;
use crate::name::Name;
use crate::outbox::Stalled;

/// The version of the messages, in the first one.
pub const VERSION: u32 = 1;
/// Most bytes of an error that may quote what a peer sent.
const QUOTED: usize = 300;
/// Most bytes of UTF-8 that a text may have.
pub const MAX_TEXT: usize = 4096;
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
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Status>, D::Error> {
    Status::deserialize(deserializer).map(Some)
}

/// Why a frame cannot be read as a message.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum Unreadable {
    /// Not the kind for messages.
    #[error("unreadable message: frames of kind {0:02x} are not known here")]
    Kind(u8),
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
