//! What the stages' guided tours are made of: people who type what a script says, and the pages
//! on which the audience sees what happened.

use std::env;
use std::fs;
use std::io;
use std::io::BufRead;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use crate::command;
use crate::command::Action;
use crate::command::Command;
use crate::face;
use crate::face::Face;
use crate::face::Input;
use crate::logging;
use crate::message::Event;

/// For what has to come; nothing in a tour waits longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Somebody at a client: types lines and sees lines.
pub struct Actor {
    typed: Sender<String>,
    seen: Receiver<String>,
}

/// The screen of an [`Actor`].
struct Screen(Sender<String>);

/// The keyboard of an [`Actor`].
struct Keyboard(Receiver<String>);

impl Actor {
    /// An actor, and the face of their client.
    pub fn new() -> (Actor, face::Pair) {
        let (typed, keyboard) = mpsc::channel();
        let (screen, seen) = mpsc::channel();
        (Actor { typed, seen }, (Arc::new(Screen(screen)), Box::new(Keyboard(keyboard))))
    }

    /// Types a line.
    pub fn types(&self, line: &str) {
        // Nobody reads it where the client has ended; what it does not show then says so.
        let _ = self.typed.send(line.to_owned());
    }

    /// The next line on the screen.
    ///
    /// # Errors
    /// If there is none for ten seconds.
    pub fn sees(&self) -> io::Result<String> {
        let nothing = |_| io::Error::new(io::ErrorKind::TimedOut, "nothing came in the tour");
        self.seen.recv_timeout(PATIENCE).map_err(nothing)
    }
}

impl Face for Screen {
    fn show(&self, event: &Event) -> io::Result<()> {
        if let Some(line) = face::line(event) {
            // The tour may be over.
            let _ = self.0.send(line);
        }
        Ok(())
    }
}

impl Input for Keyboard {
    fn next(&mut self, commands: &'static [Command]) -> Option<Result<Action, String>> {
        self.0.recv().ok().map(|line| command::parse(&line, commands))
    }
}

/// Shows the audience what happens, step by step.
pub struct Guide {
    wait: bool,
    step: usize,
    wire: Receiver<String>,
}

impl Guide {
    /// A guide who waits for Enter before each step, or does not.
    pub fn new(wait: bool) -> Guide {
        Guide { wait, step: 0, wire: logging::record() }
    }

    /// Begins a step.
    ///
    /// # Errors
    /// If nobody can see it.
    pub fn step(&mut self, title: &str) -> io::Result<()> {
        self.step += 1;
        self.say(&format!("\n{}. {title}", self.step))?;
        if self.wait {
            write!(io::stdout(), "   (Enter)")?;
            io::stdout().flush()?;
            io::stdin().lock().skip_until(b'\n')?;
        }
        Ok(())
    }

    /// Says something.
    ///
    /// # Errors
    /// As [`Guide::step`].
    pub fn say(&self, text: &str) -> io::Result<()> {
        writeln!(io::stdout(), "{text}")
    }

    /// Shows what `name` sees next.
    ///
    /// # Errors
    /// As [`Guide::step`], or if they see nothing.
    pub fn sees(&self, name: &str, actor: &Actor) -> io::Result<()> {
        self.say(&format!("   {name:5} sees   {}", actor.sees()?))
    }

    /// Shows the next frame that a client of `server` sent (`->`) or received (`<-`) and that
    /// contains `words`, with its bytes, as `-vv` shows it.
    ///
    /// # Errors
    /// As [`Guide::step`], or if there is none for ten seconds.
    pub fn shows(&self, server: SocketAddr, arrow: &str, words: &str) -> io::Result<()> {
        let prefix = format!("{server} {arrow} ");
        loop {
            let nothing = |_| io::Error::new(io::ErrorKind::TimedOut, "no such frame in the tour");
            let frame = self.wire.recv_timeout(PATIENCE).map_err(nothing)?;
            if let Some(frame) = frame.strip_prefix(&prefix).filter(|frame| frame.contains(words)) {
                for line in frame.lines() {
                    self.say(&format!("     {line}"))?;
                }
                return Ok(());
            }
        }
    }
}

/// A file for the capture of the tour of `stage`, in a new folder among the temporary files.
///
/// # Errors
/// If there is no place for temporary files or it cannot be written.
pub fn capture_file(stage: &str) -> io::Result<PathBuf> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let folder = env::temp_dir().join(format!("{stage}-tour-{}-{now}", process::id()));
    fs::create_dir(&folder)?;
    Ok(folder.join("tour.pcapng"))
}

/// What somebody who sees the wire can read of `words` in a capture: how often they occur in it.
///
/// # Errors
/// If the file cannot be read.
pub fn eavesdrop(capture: &Path, words: &str) -> io::Result<usize> {
    let bytes = fs::read(capture)?;
    Ok(bytes.windows(words.len()).filter(|window| *window == words.as_bytes()).count())
}
