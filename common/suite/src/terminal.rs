//! A program in a pseudo-terminal, seen as a person sees it: by its screen.
//!
//! A thread reads what the program writes and keeps a screen of it. A scenario waits for what has
//! to be on that screen, and types.

use std::fmt::Display;
use std::io::Read;
use std::io::Write;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use portable_pty::Child;
use portable_pty::MasterPty;
use portable_pty::PtySize;
use portable_pty::native_pty_system;

pub use portable_pty::CommandBuilder;
pub use vt100::Screen;

use crate::PATIENCE;
use crate::Stage;
use crate::process::KEY_LOG;

/// Rows above the screen that are remembered.
const SCROLLBACK: usize = 10_000;

/// What in the environment of whoever runs the tests is not for their programs: what colours or not,
/// and where session keys go.
const VARIABLES: [&str; 5] = ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR", KEY_LOG];

/// A program running in a terminal of its own; dropping it kills it.
pub struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    /// Gone once the program has ended.
    master: Option<Box<dyn MasterPty + Send>>,
    keyboard: Keyboard,
    shown: Arc<Shown>,
    exit_code: Option<Option<i32>>,
}

/// A key that is no character.
#[derive(Clone, Copy, Debug)]
pub enum Key {
    /// The arrow.
    Up,
    /// The arrow.
    Down,
    /// The arrow.
    Left,
    /// The arrow.
    Right,
    /// To the beginning.
    Home,
    /// To the end.
    End,
    /// Tab.
    Tab,
    /// What is under the cursor.
    Delete,
    /// What is before the cursor.
    Backspace,
    /// Escape.
    Escape,
    /// Ctrl and a letter.
    Ctrl(char),
}

/// What the program reads; the reading thread answers queries on it.
type Keyboard = Arc<Mutex<Box<dyn Write + Send>>>;

/// What has been shown, and the news of it.
struct Shown {
    state: Mutex<State>,
    news: Condvar,
}

struct State {
    parser: vt100::Parser<Queries>,
    raw: Vec<u8>,
    /// Nobody looks, so what the program writes is not taken.
    ignored: bool,
    /// There is nothing more to come.
    over: bool,
}

/// The answers to what the program has asked the terminal.
#[derive(Default)]
struct Queries {
    answers: Vec<u8>,
}

impl vt100::Callbacks for Queries {
    fn unhandled_csi(
        &mut self,
        screen: &mut Screen,
        prefix: Option<u8>,
        _: Option<u8>,
        parameters: &[&[u16]],
        command: char,
    ) {
        // Where is the cursor? The line editors of some systems begin with this.
        if prefix.is_none() && command == 'n' && parameters == [[6]] {
            let (row, col) = screen.cursor_position();
            self.answers.extend(format!("\x1b[{};{}R", row + 1, col + 1).bytes());
        }
    }
}

/// Makes a command's environment that of a terminal with colours.
pub fn prepare(command: &mut CommandBuilder) {
    command.env("TERM", "xterm-256color");
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    // The default is the home folder.
    command.cwd(std::env::current_dir().expect("there is a current folder"));
}

impl Terminal {
    /// Starts the stage's binary with these arguments.
    pub fn start<S: Stage>(args: &[&str], rows: u16, cols: u16) -> Terminal {
        Terminal::start_command(Terminal::command::<S>(args), rows, cols)
    }

    /// The command that [`Terminal::start`] starts, to add to its environment.
    pub fn command<S: Stage>(args: &[&str]) -> CommandBuilder {
        let mut command = Terminal::tour::<S>(args);
        command.args(S::options());
        command
    }

    /// The same without the stage's options, which are none of a tour's.
    pub fn tour<S: Stage>(args: &[&str]) -> CommandBuilder {
        let mut command = CommandBuilder::new(S::binary());
        command.args(args);
        prepare(&mut command);
        command
    }

    /// Starts a command.
    pub fn start_command(command: CommandBuilder, rows: u16, cols: u16) -> Terminal {
        let pair = native_pty_system().openpty(size(rows, cols)).expect("a pseudo-terminal");
        let child = pair.slave.spawn_command(command).expect("the program starts");
        // Only the program holds its side now, so that its end is the end of the output.
        drop(pair.slave);
        let output = pair.master.try_clone_reader().expect("it can be read");
        let keyboard = pair.master.take_writer().expect("it can be written to");
        let keyboard = Arc::new(Mutex::new(keyboard));
        let (rows, cols) = at_least_one(rows, cols);
        let parser = vt100::Parser::new_with_callbacks(rows, cols, SCROLLBACK, Queries::default());
        let state = Mutex::new(State { parser, raw: Vec::new(), ignored: false, over: false });
        let shown = Arc::new(Shown { state, news: Condvar::new() });
        let (screen, answers) = (Arc::clone(&shown), Arc::clone(&keyboard));
        thread::spawn(move || screen.read(output, &answers));
        Terminal { child, master: Some(pair.master), keyboard, shown, exit_code: None }
    }

    /// Types characters, without Enter.
    pub fn type_text(&self, text: &str) {
        self.send(text.as_bytes());
    }

    /// Presses Enter.
    pub fn enter(&self) {
        self.send(b"\r");
    }

    /// Presses a key that is no character.
    pub fn key(&self, key: Key) {
        let cursor = |last: char| match self.shown.lock().parser.screen().application_cursor() {
            true => format!("\x1bO{last}"),
            false => format!("\x1b[{last}"),
        };
        let sent = match key {
            Key::Up => cursor('A'),
            Key::Down => cursor('B'),
            Key::Right => cursor('C'),
            Key::Left => cursor('D'),
            Key::Home => cursor('H'),
            Key::End => cursor('F'),
            Key::Tab => "\t".to_owned(),
            Key::Delete => "\x1b[3~".to_owned(),
            Key::Backspace => "\x7f".to_owned(),
            Key::Escape => "\x1b".to_owned(),
            Key::Ctrl(letter) => {
                let letter = u8::try_from(letter).expect("a letter of ASCII");
                char::from(letter & 0x1f).to_string()
            }
        };
        self.send(sent.as_bytes());
    }

    /// Pastes; a program that asked for it is told that this is not typed.
    pub fn paste(&self, text: &str) {
        let told = self.shown.lock().parser.screen().bracketed_paste();
        let (before, after) = if told { ("\x1b[200~", "\x1b[201~") } else { ("", "") };
        self.send(format!("{before}{text}{after}").as_bytes());
    }

    fn send(&self, bytes: &[u8]) {
        let mut keyboard = self.keyboard.lock().unwrap();
        keyboard.write_all(bytes).and_then(|()| keyboard.flush()).expect("the program runs");
    }

    /// Makes the window larger or smaller, and tells the program.
    ///
    /// Rows are cut off or filled up and not wrapped anew, as some terminals do and others do not.
    pub fn resize(&self, rows: u16, cols: u16) {
        // First the screen, for what the program draws then.
        let (screen_rows, screen_cols) = at_least_one(rows, cols);
        self.shown.lock().parser.set_size(screen_rows, screen_cols);
        let master = self.master.as_ref().expect("the program runs");
        master.resize(size(rows, cols)).expect("a terminal can be resized");
    }

    /// What is on the screen now, without the blanks at the end of its rows and at its end.
    pub fn screen(&self) -> String {
        text(self.shown.lock().parser.screen())
    }

    /// Everything that was ever shown and not cleared, as [`rows`].
    pub fn scrollback_and_screen(&self) -> Vec<String> {
        rows(self.shown.lock().parser.screen())
    }

    /// Where the cursor is: row and column, from 0.
    pub fn cursor(&self) -> (u16, u16) {
        self.shown.lock().parser.screen().cursor_position()
    }

    /// All bytes so far.
    pub fn raw(&self) -> Vec<u8> {
        self.shown.lock().raw.clone()
    }

    /// Takes nothing more of what the program writes, or only what is on its way, until it has ended:
    /// as a terminal at Ctrl-S.
    pub fn ignore(&self) {
        self.shown.lock().ignored = true;
    }

    /// Waits until the screen is as it has to be; `what` says how.
    #[track_caller]
    pub fn wait_for(&self, what: impl Display, is_there: impl FnMut(&Screen) -> bool) {
        if let Err(instead) = self.wait(PATIENCE, is_there) {
            panic!("{what}: {instead}");
        }
    }

    /// Waits until a row of the screen is this one.
    #[track_caller]
    pub fn wait_for_row(&self, row: &str) {
        self.wait_for(format!("a row {row:?}"), |screen| {
            text(screen).lines().any(|shown| shown == row)
        });
    }

    /// Waits at most so long.
    ///
    /// # Errors
    /// If the screen did not become so: what happened instead, and what is on it.
    pub fn wait(
        &self,
        patience: Duration,
        mut is_there: impl FnMut(&Screen) -> bool,
    ) -> Result<(), String> {
        let deadline = Instant::now() + patience;
        let mut state = self.shown.lock();
        loop {
            let screen = state.parser.screen();
            if is_there(screen) {
                return Ok(());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.over || left.is_zero() {
                let why = if state.over { "the program ended" } else { "it did not come" };
                let (row, col) = screen.cursor_position();
                let shown = rows(screen).join("\n");
                return Err(format!(
                    "{why}; what is shown, the cursor at {row}, {col}:\n---\n{shown}\n---"
                ));
            }
            state = self.shown.news.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Waits until Ctrl-C is the terminal's own again, and a key no more.
    #[cfg(unix)]
    pub fn wait_until_given_back(&self) {
        let master = self.master.as_ref().expect("the program runs");
        let deadline = Instant::now() + PATIENCE;
        let signals = rustix::termios::LocalModes::ISIG.bits();
        let is_given_back = || {
            let modes = master.get_termios().expect("a terminal of Unix").local_flags.bits();
            modes & signals == signals
        };
        while !is_given_back() {
            assert!(Instant::now() < deadline, "it still has the terminal");
            // Nothing tells when a terminal changes its modes.
            thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// The process's number.
    pub fn pid(&self) -> u32 {
        self.child.process_id().expect("it has been started")
    }

    /// Waits for the program's end and for all of its output; its exit code, if it has one.
    #[track_caller]
    pub fn end(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().expect("it can be waited for") {
                Some(status) => break status,
                None if Instant::now() > deadline => {
                    panic!("it does not end; what is shown:\n{}", self.screen())
                }
                // Nothing tells when a process ends within some time.
                None => thread::park_timeout(Duration::from_millis(5)),
            }
        };
        let code = match status.signal() {
            None => i32::try_from(status.exit_code()).ok(),
            Some(_) => None,
        };
        self.exit_code = Some(code);
        self.shown.take_all();
        // A console of Windows ends only then.
        self.master = None;
        let mut state = self.shown.lock();
        while !state.over {
            let left = deadline.saturating_duration_since(Instant::now());
            // Another program started at the same moment may have inherited the terminal, and
            // keeps it open; what this one wrote has been read long before.
            if left.is_zero() {
                break;
            }
            state = self.shown.news.wait_timeout(state, left).unwrap().0;
        }
        code
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if self.exit_code.is_some() {
            return;
        }
        self.shown.take_all();
        // The crate's own `kill` begins with a polite SIGHUP and a sleep.
        #[cfg(unix)]
        if let Ok(None) = self.child.try_wait() {
            let pid = i32::try_from(self.pid()).ok().and_then(rustix::process::Pid::from_raw);
            let _ =
                pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::KILL));
        }
        #[cfg(not(unix))]
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Shown {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Whatever is still to come is taken.
    fn take_all(&self) {
        self.lock().ignored = false;
        self.news.notify_all();
    }

    /// Keeps the screen of all that comes, to its end.
    fn read(&self, mut output: Box<dyn Read + Send>, keyboard: &Mutex<Box<dyn Write + Send>>) {
        let mut bytes = [0; 4096];
        while let Ok(read @ 1..) = output.read(&mut bytes) {
            let state = self.news.wait_while(self.lock(), |state| state.ignored);
            let mut state = state.unwrap();
            state.raw.extend_from_slice(&bytes[..read]);
            state.parser.process(&bytes[..read]);
            let answers = std::mem::take(&mut state.parser.callbacks_mut().answers);
            drop(state);
            self.news.notify_all();
            if !answers.is_empty() {
                let mut keyboard = keyboard.lock().unwrap();
                // Who asked may be gone.
                let _ = keyboard.write_all(&answers).and_then(|()| keyboard.flush());
            }
        }
        self.lock().over = true;
        self.news.notify_all();
    }
}

/// What is above a screen and on it: a line that went over the edge is one row, blanks at the end
/// of a row and empty rows at the end are left out.
pub fn rows(screen: &Screen) -> Vec<String> {
    let mut screen = screen.clone();
    let (height, width) = (usize::from(screen.size().0.get()), screen.size().1.get());
    screen.set_scrollback(usize::MAX);
    let (mut rows, mut goes_on) = (Vec::<String>::new(), false);
    loop {
        // The window moves down by its height, and last by what is left.
        let above = screen.scrollback();
        let shown = if above == 0 { height } else { above.min(height) };
        for (number, row) in (0..).zip(screen.rows(0, width).take(shown)) {
            match rows.last_mut() {
                Some(last) if goes_on => last.push_str(&row),
                _ => rows.push(row),
            }
            goes_on = screen.row_wrapped(number);
        }
        if above == 0 {
            break;
        }
        screen.set_scrollback(above - shown);
    }
    for row in &mut rows {
        row.truncate(row.trim_end().len());
    }
    while rows.pop_if(|last| last.is_empty()).is_some() {}
    rows
}

/// What is on a screen, without the blanks at the end of its rows and at its end.
fn text(screen: &Screen) -> String {
    let rows = screen.rows(0, screen.size().1.get());
    let rows = rows.map(|row| row.trim_end().to_owned()).collect::<Vec<_>>();
    rows.join("\n").trim_end_matches('\n').to_owned()
}

fn size(rows: u16, cols: u16) -> PtySize {
    PtySize { rows, cols, ..PtySize::default() }
}

fn at_least_one(rows: u16, cols: u16) -> (NonZeroU16, NonZeroU16) {
    let at_least_one = |number| NonZeroU16::new(number).unwrap_or(NonZeroU16::MIN);
    (at_least_one(rows), at_least_one(cols))
}

/// On systems that have a shell to play the program.
#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// A shell that runs this in a terminal of 5 rows and 20 columns.
    fn shell(script: &str) -> Terminal {
        let mut command = CommandBuilder::new("sh");
        command.args(["-c", script]);
        Terminal::start_command(command, 5, 20)
    }

    #[test]
    fn what_is_typed_and_shown() {
        let mut terminal = shell("printf 'name: '; read name; echo \"hi, $name\"; exit 3");
        terminal.wait_for_row("name:");
        assert_eq!(terminal.cursor(), (0, 6));
        terminal.type_text("bobby");
        terminal.key(Key::Backspace);
        terminal.key(Key::Backspace);
        terminal.wait_for_row("name: bob");
        terminal.enter();
        assert_eq!(terminal.end(), Some(3));
        assert_eq!(terminal.screen(), "name: bob\nhi, bob");
        let raw = terminal.raw();
        assert!(raw.ends_with(b"hi, bob\r\n"), "{raw:?}");
    }

    #[test]
    fn what_has_left_the_screen_is_remembered_in_logical_rows() {
        let long = "0123456789".repeat(5);
        let mut terminal = shell(&format!("seq 1 12; echo {long}; seq 13 15"));
        assert_eq!(terminal.end(), Some(0));
        let mut expected = (1..=12).map(|number| number.to_string()).collect::<Vec<_>>();
        expected.push(long);
        expected.extend((13..=15).map(|number| number.to_string()));
        assert_eq!(terminal.scrollback_and_screen(), expected);
        assert_eq!(terminal.screen(), "0123456789\n13\n14\n15");
    }

    #[test]
    fn a_program_learns_of_its_size_and_where_the_cursor_is() {
        let terminal = shell(
            "trap 'stty size' WINCH; stty size; printf 'ab\\033[6n'; while :; do read line; done",
        );
        terminal.wait_for_row("5 20");
        // The answer, echoed by the system.
        terminal.wait_for_row("ab^[[2;3R");
        terminal.resize(7, 30);
        terminal.wait_for("the new size", |screen| text(screen).contains("7 30"));
    }

    #[test]
    fn ctrl_c_is_a_signal() {
        let mut terminal = shell("echo ready; exec cat");
        terminal.wait_for_row("ready");
        terminal.key(Key::Ctrl('C'));
        assert_eq!(terminal.end(), None);
    }

    #[test]
    fn what_does_not_come_is_told_with_the_screen() {
        let never = |_: &Screen| false;
        let terminal = shell("echo something else; exec cat");
        terminal.wait_for_row("something else");
        let error = terminal.wait(Duration::ZERO, never).unwrap_err();
        assert!(error.starts_with("it did not come") && error.contains("\nsomething else\n"));
        terminal.key(Key::Ctrl('d'));
        let error = terminal.wait(PATIENCE, never).unwrap_err();
        assert!(error.starts_with("the program ended"), "{error}");
    }
}
