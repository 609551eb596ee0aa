//! How a person sees the chat.
//!
//! A stage's `client.rs` shows events and asks for lines; whether they pass through a pipe, a
//! terminal or a window is known here alone.

mod console;
mod pace;
mod piped;
mod terminal;

pub use console::Console;
pub use piped::line;
pub use terminal::Terminal;

use std::io;
use std::sync::Arc;
use std::thread;

use self::piped::Lines;
use self::piped::Piped;
use crate::command::Action;
use crate::command::Table;
use crate::escape;
use crate::files;
use crate::message::Event;
use crate::name::Name;

/// Most bytes that are shown of a message that cannot be read.
const SHOWN: usize = 512;

/// How far a file is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is on its way, and from or to whom: `report.pdf from alice`.
    pub title: String,
    /// Bytes that are there (received, or acknowledged by all).
    pub done: u64,
    /// Bytes in all.
    pub size: u64,
}

/// Where events are shown, by any thread.
pub trait Face: Send + Sync {
    /// Shows one event, or not, as it sees fit.
    ///
    /// # Errors
    /// If nobody can see it any more.
    fn show(&self, event: &Event) -> io::Result<()>;

    /// Shows several events, with nothing between them.
    ///
    /// # Errors
    /// As [`Face::show`].
    fn show_all(&self, events: &[Event]) -> io::Result<()> {
        events.iter().try_for_each(|event| self.show(event))
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

    /// Shows how far transfer `id` is, or with `None` that it is over. A face need not.
    ///
    /// # Errors
    /// As [`Face::show`].
    fn progress(&self, _id: u32, _progress: Option<&Progress>) -> io::Result<()> {
        Ok(())
    }
}

/// A face for nobody: what is shown goes to the log.
pub fn log() -> Arc<dyn Face> {
    Arc::new(Log)
}

struct Log;

impl Face for Log {
    fn show(&self, event: &Event) -> io::Result<()> {
        if let Some(line) = line(event) {
            log::info!("{line}");
        }
        Ok(())
    }
}

/// Where it comes from what a person wants.
pub trait Input: Send {
    /// What is asked for next; `None` at the end of input.
    fn next(&mut self) -> Option<Action>;
}

/// What a client needs of a face.
pub struct Pair {
    /// Where events are shown.
    pub output: Arc<dyn Face>,
    /// Where it comes from what the person wants.
    pub input: Box<dyn Input>,
    /// What they want of files that others offer.
    pub files: files::Policy,
}

impl Pair {
    /// An output and an input; files are not taken.
    pub fn new(output: Arc<dyn Face>, input: Box<dyn Input>) -> Pair {
        Pair { output, input, files: files::Policy::default() }
    }
}

/// The face of this process, as long as it lives.
pub enum Open {
    /// A line editor, with the chat above it.
    Terminal(Terminal),
    /// Lines of standard input; the chat is shown on stdout, or on stderr if that is taken.
    Piped {
        /// Something else is written to stdout.
        taken: bool,
    },
}

/// Opens the face for this process's standard streams. Where stdout is `taken`, by a capture, the
/// chat is shown on stderr.
pub fn open(taken: bool) -> Open {
    let terminal = if taken { None } else { Terminal::open() };
    terminal.map_or(Open::Piped { taken }, Open::Terminal)
}

impl Open {
    /// Asks for a name, if there is somebody to ask; `None` if not, or if they do not want to say.
    pub fn ask_name(&self) -> Option<Name> {
        match self {
            Open::Terminal(terminal) => terminal.ask_name(),
            Open::Piped { .. } => None,
        }
    }

    /// Asks for what is not shown while it is typed, such as a password; `None` if there is nobody
    /// to ask, or if they do not want to say.
    pub fn ask_secret(&self, question: &'static str) -> Option<String> {
        match self {
            Open::Terminal(terminal) => terminal.ask_secret(question),
            Open::Piped { .. } => None,
        }
    }

    /// Whether there is somebody to ask.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Open::Terminal(_))
    }

    /// What the client of a new connection needs; lines are read as these commands. The client
    /// before gets nothing more to read.
    pub fn pair(&self, commands: &Table) -> Pair {
        let (output, input): (Arc<dyn Face>, _) = match self {
            Open::Terminal(terminal) => return terminal.pair(commands),
            Open::Piped { taken: false } => {
                (Arc::new(Piped::new(io::stdout())), Lines::new(io::stdin(), commands))
            }
            Open::Piped { taken: true } => {
                (Arc::new(Piped::new(io::stderr())), Lines::new(io::stdin(), commands))
            }
        };
        Pair::new(output, Box::new(input))
    }

    /// What the operator of a server needs. A script's end is no reason for them to leave.
    pub fn console(&self, commands: &Table) -> Console {
        let pair = self.pair(commands);
        match self {
            Open::Terminal(_) => Console::new(pair),
            Open::Piped { .. } => Console::new(Pair { input: Box::new(Stays(pair.input)), ..pair }),
        }
    }

    /// Gives a terminal back; also done when this is dropped.
    pub fn close(&self) {
        if let Open::Terminal(terminal) = self {
            terminal.close();
        }
    }
}

/// An input that goes on for ever after its end.
struct Stays(Box<dyn Input>);

impl Input for Stays {
    fn next(&mut self) -> Option<Action> {
        let action = self.0.next();
        while action.is_none() {
            thread::park();
        }
        action
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.close();
    }
}
