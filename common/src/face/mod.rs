//! How a person sees the chat.
//!
//! A stage's `client.rs` shows events and asks for lines; whether they pass through a pipe, a
//! terminal or a window is known here alone.

mod piped;

pub use piped::line;

use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::sync::Arc;

use crate::command::Action;
use crate::command::Command;
use crate::escape;
use crate::message::Event;
use crate::name::Name;

/// Most bytes that are shown of a message that cannot be read.
const SHOWN: usize = 512;

/// Where events are shown, by any thread.
pub trait Face: Send + Sync {
    /// Shows one event, or not, as it sees fit.
    ///
    /// # Errors
    /// If nobody can see it any more.
    fn show(&self, event: &Event) -> io::Result<()>;

    /// Shows something that the client itself has to say.
    ///
    /// # Errors
    /// As [`Face::show`].
    fn notice(&self, text: String) -> io::Result<()> {
        self.show(&Event::Notice { text })
    }

    /// Shows several of these.
    ///
    /// # Errors
    /// As [`Face::show`].
    fn notices(&self, lines: Vec<String>) -> io::Result<()> {
        lines.into_iter().try_for_each(|line| self.notice(line))
    }

    /// Shows the body of a message that cannot be read: the bytes themselves, escaped, because they
    /// are what a tampered record leaves.
    ///
    /// # Errors
    /// As [`Face::show`].
    fn unreadable(&self, body: &[u8]) -> io::Result<()> {
        self.error(format!("unreadable message: {}", escape::bytes(body, SHOWN)))
    }

    /// Shows that something was refused or went wrong.
    ///
    /// # Errors
    /// As [`Face::show`].
    fn error(&self, text: String) -> io::Result<()> {
        self.show(&Event::Refused { text })
    }
}

/// Where it comes from what a person wants.
pub trait Input: Send {
    /// What is asked for next, in these commands; `None` at the end of input.
    ///
    /// # Errors
    /// A sentence that says what is wrong with a line; the next one may be right.
    fn next(&mut self, commands: &'static [Command]) -> Option<Result<Action, String>>;
}

/// What a client needs of a face: its output and its input.
pub type Pair = (Arc<dyn Face>, Box<dyn Input>);

/// The face for this process's standard streams. Where stdout is `taken`, by a capture, the chat
/// is shown on stderr.
pub fn open(taken: bool) -> Pair {
    let output: Arc<dyn Face> = match taken {
        false => Arc::new(piped::Piped::new(io::stdout())),
        true => Arc::new(piped::Piped::new(io::stderr())),
    };
    (output, Box::new(piped::Lines::new(io::stdin())))
}

/// Asks for a name, if there is somebody to ask; `None` if not.
pub fn ask_name() -> Option<Name> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return None;
    }
    let mut answer = String::new();
    loop {
        write!(io::stdout(), "your name: ").and_then(|()| io::stdout().flush()).ok()?;
        answer.clear();
        if io::stdin().read_line(&mut answer).ok()? == 0 {
            return None;
        }
        match answer.trim().parse::<Name>() {
            Ok(name) if name.is_reserved() => {
                writeln!(io::stdout(), "! {name} is reserved").ok()?
            }
            Ok(name) => return Some(name),
            Err(wrong) => writeln!(io::stdout(), "! {wrong}").ok()?,
        }
    }
}
