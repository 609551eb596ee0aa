//! Secrets: text that one client seals and another opens, with a key that two people have told each
//! other elsewhere. The server passes on what it cannot read.
//!
//! ```text
//! key    = Argon2id(KEY, salt), 19456 KiB of memory, 2 passes, 1 lane, 32 bytes      RFC 9106
//! sealed = salt(16) ‖ nonce(12) ‖ AES-256-GCM(key, nonce, text) ‖ tag(16)             SP 800-38D
//! with the associated data
//!          "chat5 secret v1" ‖ length(1) ‖ sender ‖ length(1) ‖ recipient             names in lower case
//! ```
//!
//! What remains: the server sees who writes to whom, when, and how much; it can deliver a secret
//! again, or never; and it can try keys in its own time, which Argon2 makes expensive and only a
//! long KEY makes hopeless.

use std::collections::VecDeque;
use std::fmt::Display;
use std::io;
use std::sync::Arc;

use ciphers::Gcm;
use ciphers::NONCE;
use ciphers::TAG;
use rand::CryptoRng;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::rngs::SysRng;
use thiserror::Error;
use zeroize::Zeroize;
use zeroize::Zeroizing;

use crate::command;
use crate::command::Action;
use crate::command::Command;
use crate::command::Parse;
use crate::command::Parsed;
use crate::crypto::hex;
use crate::crypto::stretch;
use crate::crypto::stretch::NoMemory;
use crate::crypto::stretch::SALT;
use crate::crypto::unhex;
use crate::face;
use crate::face::Face;
use crate::face::Progress;
use crate::message::Event;
use crate::message::MAX_TEXT;
use crate::message::Request;
use crate::message::SEAL;
use crate::name::Name;
use crate::sync::Mutex;
use crate::sync::lock;

/// What the associated data begins with.
const PURPOSE: &str = "chat5 secret v1";
/// So many secrets wait to be opened; the oldest goes first.
const KEPT: usize = 100;

/// Why there is no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotOpened {
    /// Another key has sealed it, or it has been changed, or it was for somebody else.
    #[error("that is not its key, or it was changed on its way; try again with the right KEY")]
    WrongKey,
    /// It opens, and is no text.
    #[error("it opens, and what is in it is no text")]
    NotText,
    /// No memory for Argon2.
    #[error(transparent)]
    Memory(#[from] NoMemory),
}

/// Seals `text` with what two people know, so that only they can open it: both names are in it.
///
/// # Errors
/// If there is no memory for Argon2 ([`NotOpened::Memory`]).
pub fn seal<R: CryptoRng + ?Sized>(
    key: &str,
    text: &str,
    (from, to): (&Name, &Name),
    rng: &mut R,
) -> Result<Vec<u8>, NotOpened> {
    let (mut salt, mut nonce) = ([0; SALT], [0; NONCE]);
    rng.fill_bytes(&mut salt);
    rng.fill_bytes(&mut nonce);
    let mut sealed = [&salt[..], &nonce, text.as_bytes()].concat();
    let (_, text) = sealed.split_at_mut(SALT + NONCE);
    let data = associated_data(from, to);
    let tag = cipher(key, &salt)?.seal(&nonce, &data, text);
    // It fails for texts of more than 64 GiB only.
    sealed.extend_from_slice(&tag.map_err(|_| NoMemory)?);
    Ok(sealed)
}

/// The text that was sealed.
///
/// # Errors
/// See [`NotOpened`].
pub fn open(
    key: &str,
    sealed: &[u8],
    (from, to): (&Name, &Name),
) -> Result<Zeroizing<String>, NotOpened> {
    let parts = sealed.split_first_chunk::<SALT>().and_then(|(salt, rest)| {
        let (nonce, rest) = rest.split_first_chunk::<NONCE>()?;
        let (text, tag) = rest.split_last_chunk::<TAG>()?;
        Some((salt, nonce, text, tag))
    });
    let (salt, nonce, text, tag) = parts.ok_or(NotOpened::WrongKey)?;
    let ciphertext = text;
    let mut text = Zeroizing::new(vec![0; ciphertext.len()]);
    let data = associated_data(from, to);
    cipher(key, salt)?
        .open(nonce, &data, (ciphertext, tag), &mut text)
        .map_err(|_| NotOpened::WrongKey)?;
    let text = str::from_utf8(&text).map_err(|_| NotOpened::NotText)?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn cipher(key: &str, salt: &[u8; SALT]) -> Result<Gcm, NoMemory> {
    Ok(Gcm::new(stretch::stretch(key.as_bytes(), salt)?.expose()))
}

fn associated_data(from: &Name, to: &Name) -> Vec<u8> {
    let mut data = PURPOSE.as_bytes().to_vec();
    for name in [from.key(), to.key()] {
        // A name has at most 20 characters.
        data.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
        data.extend_from_slice(name.as_bytes());
    }
    data
}

/// The secrets that a client has got, and the commands for them; clones are the same.
#[derive(Clone, Default)]
pub struct Secrets(Arc<Mutex<Store>>);

#[derive(Default)]
struct Store {
    /// Who this client is.
    me: Option<Name>,
    /// How many there have been.
    count: u64,
    kept: VecDeque<Sealed>,
}

struct Sealed {
    number: u64,
    from: Name,
    to: Name,
    bytes: Vec<u8>,
}

impl Secrets {
    /// These commands, and those for secrets.
    pub fn commands(&self, others: command::Table) -> command::Table {
        others.iter().cloned().chain([self.secret(), self.open()]).collect()
    }

    /// `@secret`.
    fn secret(&self) -> Command {
        let secrets = self.clone();
        Command {
            word: "secret",
            forms: &[("@secret NAME KEY text", "writes what only who knows KEY can read")],
            example: "@secret bob correct-horse-battery meet me at noon",
            parse: Parse::Secret {
                parse: Arc::new(move |rest| secrets.seal(rest)),
                wipe: |mut line| line.zeroize(),
            },
        }
    }

    /// `@open`.
    fn open(&self) -> Command {
        let secrets = self.clone();
        Command {
            word: "open",
            forms: &[("@open N KEY", "opens the secret number N")],
            example: "@open 1 correct-horse-battery",
            parse: Parse::Secret {
                parse: Arc::new(move |rest| secrets.reveal(rest)),
                wipe: |mut line| line.zeroize(),
            },
        }
    }

    /// A face that keeps the secrets of `name` instead of showing what nobody could read.
    pub fn over(&self, name: &Name, face: face::Pair) -> face::Pair {
        lock(&self.0).me = Some(name.clone());
        let output = Arc::new(Keeper { face: face.output, secrets: self.clone() });
        face::Pair { output, ..face }
    }

    /// What follows `@secret`.
    fn seal(&self, rest: &str) -> Parsed {
        let (name, rest) = command::word(rest);
        let (key, text) = command::word(rest);
        if text.is_empty() {
            return None;
        }
        Some(self.sealed(name, key, text).map(Action::Send))
    }

    fn sealed(&self, name: &str, key: &str, text: &str) -> Result<Request, String> {
        let to = name.parse::<Name>().map_err(|not| format!("not sent, {name}: {not}"))?;
        if text.len() > MAX_TEXT {
            let length = text.len();
            return Err(format!(
                "not sent: the text has {length} bytes, at most {MAX_TEXT} are allowed"
            ));
        }
        let me = lock(&self.0).me.clone().ok_or("not sent: there is no connection yet")?;
        let not_sent = |why: &dyn Display| format!("not sent: {why}");
        let mut rng = StdRng::try_from_rng(&mut SysRng).map_err(|why| not_sent(&why))?;
        let sealed = seal(key, text, (&me, &to), &mut rng).map_err(|why| not_sent(&why))?;
        Ok(Request::Secret { to: to.to_string(), sealed: hex(&sealed) })
    }

    /// What follows `@open`.
    fn reveal(&self, rest: &str) -> Parsed {
        let (number, rest) = command::word(rest);
        let (key, more) = command::word(rest);
        let number = number.parse().ok()?;
        if key.is_empty() || !more.is_empty() {
            return None;
        }
        Some(self.opened(number, key).map(|event| Action::Show(vec![event])))
    }

    fn opened(&self, number: u64, key: &str) -> Result<Event, String> {
        let store = lock(&self.0);
        let Some(sealed) = store.kept.iter().find(|sealed| sealed.number == number) else {
            return Err(if (1..=store.count).contains(&number) {
                format!("secret {number} is not kept any more: only the last {KEPT} are")
            } else {
                format!("there is no secret {number}")
            });
        };
        let (from, to) = (sealed.from.clone(), sealed.to.clone());
        let bytes = sealed.bytes.clone();
        // What comes meanwhile must not wait for Argon2.
        drop(store);
        let text = open(key, &bytes, (&from, &to));
        let text = text.map_err(|why| format!("secret {number} is not opened: {why}"))?;
        Ok(Event::Opened { from, to, number, text: text.to_string() })
    }

    /// Keeps a secret that has come; what is shown instead.
    fn keep(&self, from: &Name, to: &Name, sealed: &str) -> Event {
        let mut store = lock(&self.0);
        if store.me.as_ref().is_some_and(|me| me.key() == from.key()) {
            return Event::Notice { text: format!("your secret is on its way to {to}") };
        }
        if store.me.as_ref().is_none_or(|me| me.key() != to.key()) {
            return Event::Refused { text: format!("{from} sent you a secret for {to}") };
        }
        // Longer than this is none, and whoever made it could fill the memory.
        let fits = Some(sealed).filter(|sealed| sealed.len() <= 2 * (SEAL + MAX_TEXT));
        let Some(bytes) = fits.and_then(unhex) else {
            return Event::Refused { text: format!("{from} sent a secret that is none") };
        };
        store.count += 1;
        let number = store.count;
        store.kept.push_back(Sealed { number, from: from.clone(), to: to.clone(), bytes });
        if store.kept.len() > KEPT {
            store.kept.pop_front();
        }
        Event::Notice { text: format!("secret {number} from {from}: @open {number} KEY") }
    }
}

/// A face in front of which secrets are kept.
struct Keeper {
    face: Arc<dyn Face>,
    secrets: Secrets,
}

impl Face for Keeper {
    fn show(&self, event: &Event) -> io::Result<()> {
        match event {
            Event::Secret { from, to, sealed } => {
                self.face.show(&self.secrets.keep(from, to, sealed))
            }
            _ => self.face.show(event),
        }
    }

    fn show_all(&self, events: &[Event]) -> io::Result<()> {
        self.face.show_all(events)
    }

    fn progress(&self, id: u32, progress: Option<&Progress>) -> io::Result<()> {
        self.face.progress(id, progress)
    }
}

#[cfg(test)]
mod tests;
