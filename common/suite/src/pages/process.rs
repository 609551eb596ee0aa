//! A stage's program as a page runs it: with pipes, or in a person's terminal.

use std::io;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::process::Child;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use super::Program;
use super::console::Command;
use crate::process::KEY_LOG;
use crate::terminal;
use crate::terminal::CommandBuilder;
use crate::terminal::Terminal;

/// A terminal that is wider than what pages show.
const ROWS: u16 = 40;
const COLS: u16 = 240;

/// A running program whose stdout and stderr come as one; dropping it kills it.
pub struct Process {
    child: Child,
    output: Arc<Output>,
}

struct Output {
    /// What came so far, and whether that is all.
    text: Mutex<(String, bool)>,
    news: Condvar,
}

impl Process {
    /// Starts the program in a folder, with the input of the command.
    pub fn start(program: &Program, args: &[String], folder: &Path, command: &Command) -> Process {
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let mut builder = program.command(args, folder);
        builder.stdout(writer.try_clone().expect("a pipe")).stderr(writer);
        builder.stdin(if command.input.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = builder.spawn().expect("the program starts");
        // It holds this process's ends of the pipe.
        drop(builder);
        if let (Some(input), Some(mut stdin)) = (&command.input, child.stdin.take()) {
            // It may have ended already.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output =
            Arc::new(Output { text: Mutex::new((String::new(), false)), news: Condvar::new() });
        let kept = Arc::clone(&output);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            let mut all = Vec::new();
            while let Ok(read @ 1..) = reader.read(&mut bytes) {
                all.extend_from_slice(&bytes[..read]);
                kept.text.lock().unwrap().0 = String::from_utf8_lossy(&all).into_owned();
                kept.news.notify_all();
            }
            kept.text.lock().unwrap().1 = true;
            kept.news.notify_all();
        });
        Process { child, output }
    }

    /// Waits until its output is as it has to be, and returns it.
    ///
    /// # Errors
    /// If it did not become so: what it is instead.
    pub fn wait(
        &mut self,
        program: &Program,
        is_right: impl Fn(&str, bool) -> bool,
    ) -> Result<String, String> {
        let deadline = Instant::now() + program.patience;
        let mut text = self.output.text.lock().unwrap();
        loop {
            if is_right(&text.0, text.1) {
                return Ok(text.0.clone());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || text.1 {
                return Err(text.0.clone());
            }
            text = self.output.news.wait_timeout(text, left).unwrap().0;
        }
    }

    /// Waits for its end; its exit code.
    pub fn code(&mut self) -> Option<i32> {
        self.child.wait().expect("it can be waited for").code()
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_none())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    /// The command that starts it in a folder.
    pub fn command(&self, args: &[String], folder: &Path) -> std::process::Command {
        let mut command = std::process::Command::new(&self.command[0]);
        command.args(&self.command[1..]).args(args).current_dir(folder);
        // What it writes to the temporary folder goes with the page's own.
        command.env("TMPDIR", folder).env("TMP", folder).env_remove(KEY_LOG);
        command
    }

    /// Starts it in a terminal, in a folder.
    pub fn terminal(&self, args: &[String], folder: &Path) -> Terminal {
        let mut command = CommandBuilder::new(&self.command[0]);
        command.args(&self.command[1..]);
        command.args(args);
        terminal::prepare(&mut command);
        command.cwd(folder);
        command.env("TMPDIR", folder);
        Terminal::start_command(command, ROWS, COLS)
    }
}
