//! The face of a client whose input or output is no terminal: plain lines, no colour, no control
//! characters. Scripts rely on its lines.

use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;

use super::Face;
use super::Input;
use crate::escape;
use crate::message::Event;
use crate::message::Person;
use crate::message::Status;
use crate::name::Name;
use crate::sync::Mutex;
use crate::sync::lock;

/// Most bytes of one line of input; far more than any command needs.
const MAX_LINE: u64 = 64 * 1024;

/// Writes events as lines.
pub struct Piped<W> {
    out: Mutex<W>,
}

impl<W: Write> Piped<W> {
    pub fn new(out: W) -> Piped<W> {
        Piped { out: Mutex::new(out) }
    }
}

impl<W: Write + Send> Face for Piped<W> {
    fn show(&self, event: &Event) -> io::Result<()> {
        let Some(mut line) = line(event) else {
            return Ok(());
        };
        line.push('\n');
        let mut out = lock(&self.out);
        out.write_all(line.as_bytes())?;
        out.flush()
    }
}

/// Reads lines.
pub struct Lines<R> {
    input: BufReader<R>,
}

impl<R: Read> Lines<R> {
    pub fn new(input: R) -> Lines<R> {
        Lines { input: BufReader::new(input) }
    }
}

impl<R: Read + Send> Input for Lines<R> {
    fn line(&mut self) -> Option<Result<String, String>> {
        let mut line = Vec::new();
        match self.input.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) => return None,
            // Input that cannot be read has ended.
            Err(error) => {
                log::warn!("the input cannot be read: {error}");
                return None;
            }
            Ok(_) => {}
        }
        if line.last() != Some(&b'\n') && u64::try_from(line.len()) == Ok(MAX_LINE) {
            return Some(self.skip_line());
        }
        let line = String::from_utf8(line).map_err(|error| {
            let line = escape::bytes(error.as_bytes(), 60);
            format!("not sent, this line is not UTF-8: {}", line.trim_end_matches("\\u{a}"))
        });
        Some(line.map(|line| line.trim_end_matches(['\n', '\r']).to_owned()))
    }
}

impl<R: Read> Lines<R> {
    /// Reads to the end of a line that is too long, keeping nothing of it.
    fn skip_line(&mut self) -> Result<String, String> {
        // Where this fails the input has ended, and the next read says so.
        let _ = self.input.skip_until(b'\n');
        Err(format!("not sent, a line of more than {MAX_LINE} bytes"))
    }
}

/// The line for an event, without its end; some events have none.
fn line(event: &Event) -> Option<String> {
    let text = |text: &str| escape::text(text);
    Some(match event {
        Event::Joined { name } => format!("* {name} joined"),
        Event::Left { name } => format!("* {name} left"),
        Event::Said { from, text: said } => format!("{from}: {}", text(said)),
        Event::Private { from, to, text: said } => format!("{from} -> {to}: {}", text(said)),
        Event::Group { from, group, text: said } => format!("{from} -> #{group}: {}", text(said)),
        Event::Names { people } => format!("* here: {}", list(people.iter().map(person))),
        Event::Status { name, status } => format!("* {name} is {}", status.as_str()),
        Event::GroupSet { group, owner, members } => {
            let members = list(members.iter().map(Name::to_string));
            format!("* {owner} made the group #{group}: {members}")
        }
        Event::GroupLeft { group, name } => format!("* {name} left #{group}"),
        Event::GroupDeleted { group, by } => format!("* {by} deleted #{group}"),
        Event::Notice { text: notice } => format!("* {}", text(notice)),
        Event::Refused { text: refused } => format!("! {}", text(refused)),
        Event::Bye(bye) => format!("! {}", text(&bye.text)),
        Event::Welcome { .. } | Event::Typing { .. } | Event::Ping {} | Event::Pong {} => {
            return None;
        }
    })
}

fn person(person: &Person) -> String {
    match person.status {
        Status::Normal => person.name.to_string(),
        status => format!("{} ({})", person.name, status.as_str()),
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}
