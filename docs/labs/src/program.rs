//! A stage's program, as a script uses it: lines go in, lines come out.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Child;
use std::process::ChildStdin;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;

/// For what has to come; nothing waits longer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks whether a program has ended.
const TICK: Duration = Duration::from_millis(2);
/// Lines that wait to be looked at.
const LINES: usize = 1024;

/// A running program; dropping it kills it.
pub struct Program {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Program {
    /// Starts it; what it says on stderr is nobody's business here.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(binary: &Path, args: &[&str]) -> Result<Program> {
        let mut command = Command::new(binary);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().with_context(|| binary.display().to_string())?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (queue, lines) = mpsc::sync_channel(LINES);
        let program = Program { child, input, lines };
        let output = BufReader::new(output.context("no output")?);
        thread::Builder::new().name("output".to_owned()).spawn(move || {
            for line in output.lines() {
                if line.is_err() || line.is_ok_and(|line| queue.send(line).is_err()) {
                    break;
                }
            }
        })?;
        Ok(program)
    }

    /// Starts a server on a free port of this machine, and returns where it listens.
    ///
    /// # Errors
    /// If it does not start, or does not say where it listens.
    pub fn serve(binary: &Path, options: &[&str]) -> Result<(Program, SocketAddr)> {
        let mut server =
            Program::start(binary, &[&["server", "--listen", "127.0.0.1:0"], options].concat())?;
        let line = server.line()?;
        let address = line.strip_prefix("listening on ").context("no address")?.parse()?;
        Ok((server, address))
    }

    /// Types a line.
    ///
    /// # Errors
    /// If the program does not read it.
    pub fn types(&mut self, line: &str) -> Result<()> {
        let input = self.input.as_mut().context("its input has ended")?;
        Ok(writeln!(input, "{line}")?)
    }

    /// Waits until it shows this line, and passes over others.
    ///
    /// # Errors
    /// If it does not.
    pub fn sees(&mut self, line: &str) -> Result<()> {
        while self.line().with_context(|| format!("waiting for {line:?}"))? != line {}
        Ok(())
    }

    /// Ends its input, and waits until it has left.
    ///
    /// # Errors
    /// If it does not leave, or not cleanly.
    pub fn leaves(mut self) -> Result<()> {
        self.input = None;
        let start = Instant::now();
        loop {
            match self.child.try_wait()? {
                Some(status) => {
                    ensure!(status.success(), "a client ended with {status}");
                    return Ok(());
                }
                None if start.elapsed() > PATIENCE => bail!("a client does not leave"),
                // Nothing in std waits for the end of a process and for no longer than so long.
                None => thread::park_timeout(TICK),
            }
        }
    }

    fn line(&mut self) -> Result<String> {
        self.lines.recv_timeout(PATIENCE).context("a program says nothing")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
