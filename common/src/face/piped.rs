//! The face of a client whose input or output is no terminal: plain lines, no colour, no control
//! characters. Scripts rely on its lines.

use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;

use super::Face;
use super::Input;
use crate::command;
use crate::command::Action;
use crate::command::Table;
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
    commands: Table,
}

impl<R: Read> Lines<R> {
    pub fn new(input: R, commands: &Table) -> Lines<R> {
        Lines { input: BufReader::new(input), commands: Table::clone(commands) }
    }
}

impl<R: Read + Send> Input for Lines<R> {
    fn next(&mut self) -> Option<Action> {
        Some(match self.line()? {
            Ok(line) => command::take(line, &self.commands),
            Err(text) => Action::Show(vec![Event::Refused { text }]),
        })
    }
}

impl<R: Read> Lines<R> {
    /// The next line; `None` at the end of input.
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
        while line.pop_if(|last| matches!(last, b'\n' | b'\r')).is_some() {}
        Some(String::from_utf8(line).map_err(|error| {
            // In a command there may be a key.
            if error.as_bytes().contains(&b'@') {
                return "not sent, this line is not UTF-8".to_owned();
            }
            let line = escape::bytes(error.as_bytes(), 60);
            format!("not sent, this line is not UTF-8: {line}")
        }))
    }

    /// Reads to the end of a line that is too long, keeping nothing of it.
    fn skip_line(&mut self) -> Result<String, String> {
        // Where this fails the input has ended, and the next read says so.
        let _ = self.input.skip_until(b'\n');
        Err(format!("not sent, a line of more than {MAX_LINE} bytes"))
    }
}

/// The line for an event, without its end; some events have none.
pub fn line(event: &Event) -> Option<String> {
    let text = |text: &str| escape::text(text);
    Some(match event {
        Event::Joined { name } => format!("* {name} joined"),
        Event::Left { name } => format!("* {name} left"),
        Event::Said { from, text: said } => format!("{from}: {}", text(said)),
        Event::Private { from, to, text: said } => format!("{from} -> {to}: {}", text(said)),
        Event::Secret { from, to, .. } => format!("* a secret from {from} to {to}"),
        Event::Opened { from, to, number, text: said } => {
            format!("{from} -> {to} (secret {number}): {}", text(said))
        }
        Event::Group { from, group, text: said } => format!("{from} -> #{group}: {}", text(said)),
        Event::Names { people } => format!("* here: {}", list(people.iter().map(person))),
        Event::Status { name, status } => format!("* {name} is {}", status.as_str()),
        Event::GroupSet { group, owner, members } => {
            let members = list(members.iter().map(Name::to_string));
            format!("* {owner} made the group #{group}: {members}")
        }
        Event::GroupLeft { group, name } => format!("* {name} left #{group}"),
        Event::GroupOwner { group, owner } => format!("* {owner} owns #{group} now"),
        Event::GroupDeleted { group, by } => format!("* {by} deleted #{group}"),
        Event::Notice { text: notice } => format!("* {}", text(notice)),
        Event::Refused { text: refused } => format!("! {}", text(refused)),
        Event::Bye(bye) => format!("! {}", text(&bye.text)),
        // What is between programs; of files, the client says what there is to be said.
        _ => return None,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Bye;
    use crate::message::Reason;

    fn name(name: &str) -> Name {
        name.parse().unwrap()
    }

    fn shown(event: &Event) -> String {
        let face = Piped::new(Vec::new());
        face.show(event).unwrap();
        String::from_utf8(lock(&face.out).clone()).unwrap()
    }

    fn lines(input: &[u8]) -> Vec<Result<String, String>> {
        let mut lines = Lines::new(input, &Table::default());
        std::iter::from_fn(|| lines.line()).collect()
    }

    #[test]
    fn every_line_that_scripts_rely_on() {
        let (alice, bob, team) = (|| name("alice"), || name("bob"), || name("team"));
        let hi = || "hi".to_owned();
        let person = |name, status| Person { name, status };
        let people = vec![
            person(alice(), Status::Normal),
            person(bob(), Status::Dnd),
            person(name("carol"), Status::Away),
        ];
        for (event, line) in [
            (Event::Joined { name: alice() }, "* alice joined\n"),
            (Event::Left { name: alice() }, "* alice left\n"),
            (Event::Said { from: alice(), text: hi() }, "alice: hi\n"),
            (Event::Private { from: alice(), to: bob(), text: hi() }, "alice -> bob: hi\n"),
            (Event::Group { from: alice(), group: team(), text: hi() }, "alice -> #team: hi\n"),
            (Event::Names { people: people.clone() }, "* here: alice, bob (dnd), carol (away)\n"),
            (Event::Status { name: bob(), status: Status::Dnd }, "* bob is dnd\n"),
            (Event::Status { name: bob(), status: Status::Away }, "* bob is away\n"),
            (Event::Status { name: bob(), status: Status::Normal }, "* bob is normal\n"),
            (Event::Notice { text: hi() }, "* hi\n"),
            (Event::Refused { text: hi() }, "! hi\n"),
            (Event::Bye(Bye::new(Reason::Stopping, "the server stops")), "! the server stops\n"),
            // Piped clients do not show typing, and what is between programs is nobody's line.
            (Event::Typing { name: bob() }, ""),
            (Event::Welcome { name: alice(), people }, ""),
            (Event::Ping {}, ""),
            (Event::Pong {}, ""),
        ] {
            assert_eq!(shown(&event), line);
        }
        for event in [
            Event::GroupSet { group: team(), owner: alice(), members: vec![alice(), bob()] },
            Event::GroupLeft { group: team(), name: bob() },
            Event::GroupOwner { group: team(), owner: bob() },
            Event::GroupDeleted { group: team(), by: alice() },
        ] {
            let line = shown(&event);
            assert!(line.starts_with("* ") && line.contains("#team"), "{line}");
            assert_eq!(line.lines().count(), 1);
        }
        let face = Piped::new(Vec::new());
        face.show_all(&[Event::Notice { text: hi() }, Event::Notice { text: hi() }]).unwrap();
        face.error(hi()).unwrap();
        assert_eq!(*lock(&face.out), b"* hi\n* hi\n! hi\n");
    }

    #[test]
    fn a_text_stays_one_line_without_control_characters() {
        let (from, to) = (|| name("alice"), name("bob"));
        let evil = || "a\n* bob left\r\u{1b}[2J\u{202e}".to_owned();
        for event in [
            Event::Said { from: from(), text: evil() },
            Event::Private { from: from(), to: to.clone(), text: evil() },
            Event::Group { from: from(), group: to, text: evil() },
            Event::Notice { text: evil() },
            Event::Refused { text: evil() },
            Event::Bye(Bye::new(Reason::Full, evil())),
        ] {
            let line = shown(&event);
            let line = line.strip_suffix('\n').unwrap();
            assert!(!line.contains(|c: char| c.is_control() || c == '\u{202e}'), "{line:?}");
            assert!(line.ends_with(r"a\u{a}* bob left\u{d}\u{1b}[2J\u{202e}"), "{line}");
        }
    }

    #[test]
    fn nobody_who_sees_it_is_an_error() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let face = Piped::new(Closed);
        assert_eq!(face.error(String::new()).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert!(face.show(&Event::Ping {}).is_ok(), "where there is nothing to show");
    }

    #[test]
    fn lines_of_unix_and_of_windows_and_a_last_one_without_end() {
        let expected = ["hi", "", "  two words  ", "last"].map(|line| Ok(line.to_owned()));
        assert_eq!(lines(b"hi\n\r\n  two words  \r\nlast"), expected);
        assert_eq!(lines(b""), []);
    }

    #[test]
    fn a_line_that_is_no_text_is_refused_and_the_next_one_read() {
        let lines = lines(b"hi\n\xff\x1b\nho\n");
        assert_eq!(lines.len(), 3);
        let refused = lines[1].clone().unwrap_err();
        assert!(refused.starts_with("not sent") && refused.ends_with(r"\xff\u{1b}"), "{refused}");
        assert_eq!(lines[2], Ok("ho".to_owned()));
    }

    #[test]
    fn of_a_command_that_is_no_text_nothing_is_repeated() {
        for line in
            [&b"@open 1 KEY\xff"[..], b" \t@secret bob KEY \xe9t\xe9\n", b"\xff@open 1 KEY\n"]
        {
            let refused = lines(line).remove(0).unwrap_err();
            assert!(refused.starts_with("not sent") && !refused.contains("KEY"), "{refused}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_refused_and_the_next_one_read() {
        let longest = "x".repeat(65_535);
        let too_long = "x".repeat(300_000);
        let lines = lines(format!("{longest}\n{too_long}\nho\n{too_long}").as_bytes());
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[0], Ok(longest));
        assert!(lines[1].clone().unwrap_err().starts_with("not sent"));
        assert_eq!(lines[2], Ok("ho".to_owned()));
        assert!(lines[3].is_err());
    }

    #[test]
    fn input_that_fails_has_ended() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::PermissionDenied.into())
            }
        }
        assert_eq!(Lines::new(Failing, &Table::default()).line(), None);
    }
}
