//! A stage's binary, its standard streams, signals and exit codes.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::process::Child;
use std::process::ChildStderr;
use std::process::ChildStdin;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use crate::PATIENCE;
use crate::Stage;

/// The variable that says where session keys go.
pub const KEY_LOG: &str = "CHATKEYLOG";

/// A running program; dropping it kills it.
pub struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Receiver<String>,
    stderr: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

/// A program that serves.
pub struct ServerProgram {
    /// The program.
    pub program: Program,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Program {
    /// Starts the stage's binary with these arguments.
    pub fn start<S: Stage>(args: &[&str]) -> Program {
        // The tour has no options.
        let options = if args.is_empty() { &[] } else { S::options() };
        Program::start_command(Command::new(S::binary()).args(args).args(options))
    }

    /// Starts a command with pipes to its standard streams.
    pub fn start_command(command: &mut Command) -> Program {
        Program::start_deaf(command.stderr(Stdio::piped()))
    }

    /// Starts a command with pipes to its standard streams, but for stderr, which is as it was set.
    pub fn start_deaf(command: &mut Command) -> Program {
        let mut child = spawn(command.stdout(Stdio::piped()));
        let out = child.stdout.take().expect("piped");
        let err = child.stderr.take();
        Program::reading(child, out, err)
    }

    /// Starts a command whose stdout goes elsewhere; its lines are those on stderr.
    pub fn start_into(command: &mut Command, stdout: impl Into<Stdio>) -> Program {
        let mut child = spawn(command.stdout(stdout).stderr(Stdio::piped()));
        // The command would keep it open, and whoever reads there would not see its end.
        command.stdout(Stdio::null());
        let out = child.stderr.take().expect("piped");
        Program::reading(child, out, None)
    }

    fn reading(
        mut child: Child,
        out: impl Read + Send + 'static,
        err: Option<ChildStderr>,
    ) -> Program {
        let (lines, stdout) = mpsc::channel();
        let out = BufReader::new(out);
        let stderr = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&stderr);
        let read_out = thread::spawn(move || {
            for line in out.lines() {
                if lines.send(line.expect("UTF-8")).is_err() {
                    break;
                }
            }
        });
        let read_err = thread::spawn(move || {
            let (mut bytes, Some(mut err)) = ([0; 4096], err) else { return };
            while let Ok(read @ 1..) = err.read(&mut bytes) {
                let text = String::from_utf8_lossy(&bytes[..read]);
                kept.lock().unwrap().push_str(&text);
            }
        });
        let stdin = child.stdin.take();
        Program { child, stdin, stdout, stderr, readers: vec![read_out, read_err] }
    }

    /// Types a line, all at once: the program may end as soon as it has read a part of it.
    pub fn type_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("the input is open");
        let line = format!("{line}\n");
        stdin.write_all(line.as_bytes()).expect("the program reads its input");
    }

    /// Its input, for a thread that types on where the program may not read; else it ends with that.
    pub fn take_input(&mut self) -> ChildStdin {
        self.stdin.take().expect("the input is open")
    }

    /// Ends its input.
    pub fn end_input(&mut self) {
        self.stdin = None;
    }

    /// The next line on its stdout, or `None` at the end.
    #[track_caller]
    pub fn line(&mut self) -> Option<String> {
        match self.stdout.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                panic!("no line within {PATIENCE:?}; stderr so far: {}", self.stderr())
            }
        }
    }

    /// The next lines have to be these.
    #[track_caller]
    pub fn expect(&mut self, lines: &[&str]) {
        for line in lines {
            assert_eq!(self.line().as_deref(), Some(*line), "stderr: {}", self.stderr());
        }
    }

    /// The next line, which has to begin with `prefix`.
    #[track_caller]
    pub fn expect_prefix(&mut self, prefix: &str) -> String {
        let line = self.line().expect("another line");
        assert!(line.starts_with(prefix), "{line:?} does not begin with {prefix:?}");
        line
    }

    /// What it has written to stderr so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// The process's number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it without a chance to say anything.
    pub fn kill(&mut self) {
        self.child.kill().expect("it runs");
    }

    /// Presses Ctrl-C.
    #[cfg(unix)]
    pub fn ctrl_c(&self) {
        let pid = i32::try_from(self.pid()).ok().and_then(rustix::process::Pid::from_raw);
        let interrupt = rustix::process::Signal::INT;
        rustix::process::kill_process(pid.expect("a process"), interrupt).expect("it runs");
    }

    /// Waits for its end; its exit code, and what it still wrote to stdout and all of stderr.
    #[track_caller]
    pub fn end(mut self) -> (Option<i32>, Vec<String>, String) {
        self.end_input();
        let deadline = Instant::now() + PATIENCE;
        let code = loop {
            match self.child.try_wait().expect("it can be waited for") {
                Some(status) => break status.code(),
                None if Instant::now() > deadline => panic!("it does not end: {}", self.stderr()),
                // Neither std nor a pipe tells when a process ends within some time.
                None => thread::park_timeout(Duration::from_millis(5)),
            }
        };
        for reader in self.readers.drain(..) {
            reader.join().expect("its output can be read");
        }
        let lines = self.stdout.try_iter().collect();
        (code, lines, self.stderr())
    }
}

/// Starts a command with a pipe to its stdin.
fn spawn(command: &mut Command) -> Child {
    // Whoever runs the tests may have one; a test that wants one says so.
    if command.get_envs().all(|(variable, _)| variable != KEY_LOG) {
        command.env_remove(KEY_LOG);
    }
    command.stdin(Stdio::piped()).spawn().expect("the program starts")
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl ServerProgram {
    /// Starts the stage's server on a free port of the loopback.
    pub fn start<S: Stage>(args: &[&str]) -> ServerProgram {
        let mut all = vec!["server", "--listen", "127.0.0.1:0"];
        all.extend_from_slice(args);
        ServerProgram::from(Program::start::<S>(&all))
    }

    /// A client of it, in the room.
    pub fn client<S: Stage>(&self, name: &str) -> Program {
        let address = self.address.to_string();
        let mut client = Program::start::<S>(&["client", &address, "--name", name]);
        client.expect(&[&format!("* {name} joined")]);
        client
    }
}

impl From<Program> for ServerProgram {
    /// Takes the first line of its stdout.
    fn from(mut program: Program) -> ServerProgram {
        let line = program.expect_prefix("listening on ");
        let address = line["listening on ".len()..].parse().expect("an address");
        ServerProgram { program, address }
    }
}
