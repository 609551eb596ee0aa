//! The face of a client in a terminal: a line that is typed at the bottom, and the chat above it.
//!
//! ```text
//!   bob: are you coming?            above: what came, in the order in which it came
//!     a.pdf from bob  [##--]  52%   between: a row for each file on its way, if there are any
//!   alice> in five minu▮            below: one row, drawn anew whenever anything changes
//! ```
//!
//! What comes and what is typed come from different threads. Both change the same [`Screen`], under
//! one lock, so a line that comes never tears the line being typed, and none overtakes another.
//!
//! The line editor is ours, over the keys that crossterm reads. Of the libraries for this,
//! rustyline 19 keeps the prompt of a line as long as it is typed (so no status, no typing notice),
//! and what another thread prints can overtake and get lost where one line ends and the next
//! begins; reedline 0.52 has no such faults but would double the first build of stage 1.

mod bars;
mod complete;
mod line;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::mem;
use std::panic;
use std::process;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use crossterm::cursor;
use crossterm::cursor::MoveTo;
use crossterm::cursor::MoveToColumn;
use crossterm::cursor::MoveUp;
use crossterm::event;
use crossterm::event::DisableBracketedPaste;
use crossterm::event::EnableBracketedPaste;
use crossterm::event::KeyCode;
use crossterm::event::KeyEvent;
use crossterm::event::KeyEventKind;
use crossterm::event::KeyModifiers;
use crossterm::execute;
use crossterm::queue;
use crossterm::style::Print;
use crossterm::terminal;
use crossterm::terminal::Clear;
use crossterm::terminal::ClearType;

use self::bars::Bars;
use self::complete::Known;
use self::line::Line;
use self::line::To;
use self::line::View;
use super::Face;
use super::Input;
use super::Progress;
use super::piped;
use crate::command;
use crate::command::Action;
use crate::command::Table;
use crate::escape;
use crate::logging;
use crate::message::Event;
use crate::message::Request;
use crate::message::Status;
use crate::name::Name;
use crate::style;
use crate::style::Style;
use crate::sync::Condvar;
use crate::sync::Mutex;
use crate::sync::MutexGuard;
use crate::sync::lock;

/// At most one typing notice is sent in so long.
const TYPING_EVERY: Duration = Duration::from_secs(3);
/// So long somebody's typing notice is shown.
const TYPING_SHOWN: Duration = Duration::from_secs(5);
/// How often old typing notices are looked for.
const TICK: Duration = Duration::from_millis(250);
/// Who waited so long for the end of a [`TICK`] was stopped meanwhile.
const STOPPED: Duration = Duration::from_secs(1);
/// How long a terminal has for what is written when it is closed.
const CLOSES: Duration = Duration::from_millis(500);
/// What a pasted tab becomes; a typed one completes.
const TAB: &str = "    ";
/// Most keys that are handled at once; a paste has many.
const TOGETHER: usize = 1024;
/// How long a key may come after the one before and still be handled with it. With no time at all,
/// crossterm would not even look at what it has read already.
const AT_ONCE: Duration = Duration::from_millis(1);
/// Nothing was typed ahead any more, if nothing comes in this time.
const SILENCE: Duration = Duration::from_millis(50);
/// Where the size of the terminal is unknown.
const SIZE: (usize, usize) = (80, 24);
/// Most people, and most groups, that Tab completes: a server must not fill a client's memory.
const KNOWN: usize = 4096;
/// Rows narrower than this have no room for a name in the prompt.
const NARROW: usize = 40;

/// What a newcomer has to know.
const WELCOME: &str = "type to talk to everyone; @help shows what else there is, Ctrl-D leaves";

/// The terminal of this process; clones are the same.
#[derive(Clone)]
pub struct Terminal(Arc<Shared>);

struct Shared {
    screen: Mutex<Screen>,
    /// There is something in [`Screen::typed`], or will never be; or [`Screen::forgets`] is over.
    changed: Condvar,
    /// It took nothing when it was to be closed.
    gave_up: AtomicBool,
}

/// What is on the screen and what it follows from.
struct Screen {
    out: Box<dyn Write + Send>,
    columns: usize,
    height: usize,
    style: Style,
    bars: Bars,
    line: Line,
    /// The column of the cursor when the row was drawn last.
    cursor: usize,
    /// Made narrower, the terminal has cut rows off instead of breaking them.
    cuts: bool,
    /// Instead of the prompt.
    question: Option<Question>,
    /// What was typed ahead is to be read, and forgotten.
    forgets: bool,
    me: Option<Name>,
    status: Status,
    known: Known,
    /// Who is typing, and until when that is shown.
    typing: BTreeMap<String, Instant>,
    told_typing: Option<Instant>,
    /// What Tab was pressed at: pressed there again, it shows what there is.
    tabbed: Option<String>,
    /// Lines that nobody has asked for yet. Only a person makes it longer.
    typed: VecDeque<Typed>,
    /// The connection that gets them: those before are over.
    session: u64,
    /// Sent to the background, or about to be.
    suspended: bool,
    /// Nothing more is typed.
    ended: bool,
    /// The terminal has been given back.
    closed: bool,
}

/// What is asked, until it is answered.
#[derive(Clone, Copy)]
struct Question {
    text: &'static str,
    /// The answer is not shown.
    is_secret: bool,
}

enum Typed {
    Line(String),
    /// A line is being typed.
    Something,
}

/// What one connection's client reads from the terminal, and shows there.
#[derive(Clone)]
struct Session {
    terminal: Terminal,
    number: u64,
}

impl Terminal {
    /// Takes the terminal of this process, if it has one that can do it.
    pub fn open() -> Option<Terminal> {
        // In a terminal without cursor movements lines can still be read and written.
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if dumb || !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return None;
        }
        take_terminal().ok()?;
        let screen = Screen::new(io::stdout(), size(), Style::new(style::wanted(true)));
        let (screen, changed) = (Mutex::new(screen), Condvar::new());
        let shared = Shared { screen, changed, gave_up: AtomicBool::new(false) };
        let terminal = Terminal(Arc::new(shared));

        // However this process ends, the terminal is given back.
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let _ = give_terminal_back();
            report(panic);
        }));
        let killed = terminal.clone();
        // Where there is a handler already, that one closes the terminal.
        let _ = ctrlc::set_handler(move || {
            killed.close();
            process::exit(1);
        });
        if io::stderr().is_terminal() {
            let log = terminal.clone();
            logging::show_with(move |lines| log.log(lines));
        }
        let keys = terminal.clone();
        if thread::Builder::new().name("keys".to_owned()).spawn(move || keys.read()).is_err() {
            terminal.close();
            return None;
        }
        Some(terminal)
    }

    /// A name; `None` if nobody wants to give one.
    pub fn ask_name(&self) -> Option<Name> {
        let mut input = self.ask(Question { text: "your name: ", is_secret: false });
        loop {
            let answer = input.line()?;
            match answer.trim().parse::<Name>() {
                Ok(name) if name.is_reserved() => {
                    let _ = input.error(format!("{name} is a reserved name, choose another"));
                }
                Ok(name) => {
                    self.screen().question = None;
                    return Some(name);
                }
                Err(wrong) => {
                    let _ = input.error(wrong.to_string());
                }
            }
        }
    }

    /// An answer that is not shown while it is typed; `None` if nobody wants to give one.
    pub fn ask_secret(&self, text: &'static str) -> Option<String> {
        // The answer has a line of its own, so that nothing of it can come back in a later one.
        let kept = mem::take(&mut self.screen().line);
        let mut input = self.ask(Question { text, is_secret: true });
        let answer = input.line();
        let mut screen = self.screen();
        screen.question = None;
        screen.line = kept;
        answer
    }

    /// What the client of a new connection needs; that of the one before gets nothing more.
    pub fn pair(&self, commands: &Table) -> super::Pair {
        self.screen().known.commands = Table::clone(commands);
        let session = self.session();
        super::Pair::new(Arc::new(session.clone()), Box::new(session))
    }

    /// Gives the terminal back; one that takes nothing, soon, and without a word.
    pub fn close(&self) {
        if self.0.gave_up.load(Ordering::Relaxed) {
            return;
        }
        let (done, closed) = mpsc::channel();
        let terminal = self.clone();
        let close = move || {
            // Whoever has the screen may wait for the terminal, and so may this thread.
            let mut screen = terminal.screen();
            // Nobody sees it where it fails.
            let _ = screen.close();
            screen.ended = true;
            terminal.0.changed.notify_all();
            // Who asked may have lost patience.
            let _ = done.send(());
        };
        // Where there is no thread, nothing is sent.
        let _ = thread::Builder::new().name("close".to_owned()).spawn(close);
        if closed.recv_timeout(CLOSES).is_err() {
            self.0.gave_up.store(true, Ordering::Relaxed);
            // It writes nothing.
            let _ = terminal::disable_raw_mode();
        }
    }

    fn ask(&self, question: Question) -> Session {
        let session = self.session();
        let mut screen = self.screen();
        // What was typed for the chat is no answer, nor is what has not been read of it yet.
        screen.forgets = true;
        while screen.forgets && !screen.ended {
            let changed = self.0.changed.wait(screen);
            screen = changed.unwrap_or_else(PoisonError::into_inner);
        }
        screen.typed.clear();
        screen.line.take();
        screen.question = Some(question);
        let _ = screen.draw();
        drop(screen);
        session
    }

    fn session(&self) -> Session {
        let mut screen = self.screen();
        screen.session += 1;
        let number = screen.session;
        // Nobody sees it where it fails.
        let _ = screen.forget_bars();
        self.0.changed.notify_all();
        drop(screen);
        Session { terminal: self.clone(), number }
    }

    fn screen(&self) -> MutexGuard<'_, Screen> {
        lock(&self.0.screen)
    }

    /// The thread that reads keys, until there are none any more.
    fn read(&self) {
        let mut waiting_since = Instant::now();
        while let Ok(is_there) = event::poll(TICK) {
            let stopped = waiting_since.elapsed() > STOPPED;
            waiting_since = Instant::now();
            let events = if is_there { read_all() } else { Ok(Vec::new()) };
            let mut screen = self.screen();
            if stopped || screen.suspended {
                screen.ended |= screen.resume().is_err();
            }
            if screen.forgets {
                drop(screen);
                let forgotten = events.and_then(|_| forget_all());
                screen = self.screen();
                screen.forgets = false;
                screen.ended |= forgotten.is_err();
                self.0.changed.notify_all();
                continue;
            }
            let handled = events.and_then(|events| {
                events.into_iter().try_for_each(|event| match event {
                    event::Event::Key(key) => screen.key(key, Instant::now()),
                    event::Event::Paste(text) => screen.paste(&text, Instant::now()),
                    _ => Ok(()),
                })
            });
            // Of several events of a new size in a row, the last can get lost.
            let handled = handled.and_then(|()| screen.resize(size(), Instant::now()));
            let handled = handled.and_then(|()| screen.tick(Instant::now()));
            screen.ended |= handled.is_err();
            if !screen.typed.is_empty() || screen.ended {
                self.0.changed.notify_all();
            }
            if screen.ended {
                return;
            }
        }
        self.screen().ended = true;
        self.0.changed.notify_all();
    }

    fn log(&self, lines: &str) {
        let mut screen = self.screen();
        for line in lines.lines() {
            // As for any other log, nobody may see it.
            let rows = screen.rows(line, style::GREY);
            let _ = screen.print(&rows);
        }
    }
}

impl Face for Session {
    fn show(&self, event: &Event) -> io::Result<()> {
        self.terminal.screen().show(event, Instant::now())
    }

    fn show_all(&self, events: &[Event]) -> io::Result<()> {
        let (mut screen, now) = (self.terminal.screen(), Instant::now());
        events.iter().try_for_each(|event| screen.show(event, now))
    }

    fn progress(&self, id: u32, progress: Option<&Progress>) -> io::Result<()> {
        let mut screen = self.terminal.screen();
        // What a connection still says that is over would stay for ever.
        if screen.session == self.number {
            screen.progress(id, progress, size(), Instant::now())?;
        }
        Ok(())
    }
}

impl Input for Session {
    fn next(&mut self) -> Option<Action> {
        let Some(typed) = self.typed() else {
            // Who leaves does not wait for what is still under way, as the end of a script does.
            let screen = self.terminal.screen();
            return (screen.session == self.number).then_some(Action::Quit);
        };
        match typed {
            Typed::Line(line) => {
                let commands = Table::clone(&self.terminal.screen().known.commands);
                Some(command::take(line, &commands))
            }
            Typed::Something => Some(Action::Send(Request::Typing {})),
        }
    }
}

impl Session {
    fn line(&mut self) -> Option<String> {
        loop {
            if let Typed::Line(line) = self.typed()? {
                return Some(line);
            }
        }
    }

    fn typed(&mut self) -> Option<Typed> {
        let mut screen = self.terminal.screen();
        loop {
            if screen.session != self.number {
                return None;
            }
            match screen.typed.pop_front() {
                None if screen.ended => return None,
                None => {
                    let changed = self.terminal.0.changed.wait(screen);
                    screen = changed.unwrap_or_else(PoisonError::into_inner);
                }
                typed => return typed,
            }
        }
    }
}

impl Screen {
    fn new(
        out: impl Write + Send + 'static,
        (columns, height): (usize, usize),
        style: Style,
    ) -> Screen {
        Screen {
            out: Box::new(out),
            columns,
            height,
            style,
            bars: Bars::default(),
            line: Line::default(),
            cursor: 0,
            cuts: false,
            question: None,
            forgets: false,
            me: None,
            status: Status::Normal,
            known: Known::default(),
            typing: BTreeMap::new(),
            told_typing: None,
            tabbed: None,
            typed: VecDeque::new(),
            session: 0,
            suspended: false,
            ended: false,
            closed: false,
        }
    }

    // What comes.

    fn show(&mut self, event: &Event, now: Instant) -> io::Result<()> {
        self.learn(event, now);
        let mut rows = Vec::new();
        if let Event::Welcome { people, .. } = event {
            rows.extend(self.notice(WELCOME));
            let here = Event::Names { people: people.clone() };
            rows.extend(piped::line(&here).iter().flat_map(|line| self.paint(&here, line)));
        }
        if let Some(line) = piped::line(event) {
            rows.extend(self.paint(event, &line));
        }
        self.print(&rows)
    }

    /// What the prompt and Tab have to know.
    fn learn(&mut self, event: &Event, now: Instant) {
        let is_me = |name: &Name| self.me.as_ref().is_some_and(|me| me == name);
        let (people, groups) = (&mut self.known.people, &mut self.known.groups);
        match event {
            Event::Welcome { name, people: here } => {
                (self.me, self.status) = (Some(name.clone()), Status::Normal);
                groups.clear();
                self.typing.clear();
                people.clear();
                let others = here.iter().filter(|person| person.name != *name);
                others.for_each(|person| remember(people, &person.name));
            }
            Event::Joined { name } if !is_me(name) => remember(people, name),
            Event::Left { name } => {
                people.remove(name.as_str());
                self.typing.remove(name.as_str());
            }
            Event::Status { name, status } if is_me(name) => self.status = *status,
            Event::GroupSet { group, .. } => remember(groups, group),
            Event::GroupLeft { group, name } if is_me(name) => {
                groups.remove(group.as_str());
            }
            Event::GroupDeleted { group, .. } => drop(groups.remove(group.as_str())),
            Event::Typing { name } if self.typing.len() < KNOWN => {
                self.typing.insert(name.to_string(), now + TYPING_SHOWN);
            }
            Event::Said { from, .. } => {
                self.typing.remove(from.as_str());
            }
            _ => {}
        }
    }

    /// A line in rows and colours.
    fn paint(&self, event: &Event, line: &str) -> Vec<String> {
        let from = match event {
            Event::Said { from, .. }
            | Event::Private { from, .. }
            | Event::Opened { from, .. }
            | Event::Group { from, .. } => from.as_str(),
            Event::Refused { .. } | Event::Bye(_) => return self.rows(line, style::RED),
            _ => return self.rows(line, style::GREY),
        };
        let mut rows = line::wrap(line, self.columns);
        if let Some(first) = rows.first_mut() {
            let painted = first.strip_prefix(from).map(|rest| self.style.name(from) + rest);
            *first = painted.unwrap_or_else(|| first.clone());
        }
        rows
    }

    fn notice(&self, text: &str) -> Vec<String> {
        self.rows(&format!("* {text}"), style::GREY)
    }

    fn rows(&self, line: &str, colour: style::Colour) -> Vec<String> {
        let rows = line::wrap(line, self.columns);
        rows.iter().map(|row| self.style.paint(colour, row)).collect()
    }

    // What is drawn.

    /// Prints rows above the line that is being typed.
    fn print(&mut self, rows: &[String]) -> io::Result<()> {
        let mut bytes = Vec::new();
        if self.closed {
            for row in rows {
                queue!(bytes, Print(row), Print("\n"))?;
            }
        } else {
            self.bars.clear(&mut bytes)?;
            for row in rows {
                queue!(bytes, Print(row), Print("\r\n"))?;
            }
            self.draw_rows(&mut bytes)?;
        }
        self.out.write_all(&bytes)?;
        self.out.flush()
    }

    fn draw(&mut self) -> io::Result<()> {
        self.print(&[])
    }

    /// The rows at the bottom; of these the last: prompt, line, and who is typing.
    fn draw_rows(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        if self.ended || self.suspended {
            return Ok(());
        }
        self.bars.draw(bytes)?;
        let prompt = self.prompt();
        let view = match self.is_secret() {
            true => View::default(),
            false => self.line.view(self.columns.saturating_sub(line::width(&prompt))),
        };
        queue!(bytes, Print(self.painted(&prompt)), Print(&view.text))?;
        let note = self.typing_note();
        let used = line::width(&prompt) + line::width(&view.text);
        let place = self.columns.saturating_sub(line::width(&note) + 1);
        if !note.is_empty() && used < place {
            let note = self.style.paint(style::GREY, note);
            queue!(bytes, MoveToColumn(column(place)), Print(note))?;
        }
        self.cursor = line::width(&prompt) + view.cursor;
        queue!(bytes, MoveToColumn(column(self.cursor)))
    }

    fn prompt(&self) -> String {
        if let Some(question) = self.question {
            return question.text.to_owned();
        }
        match (&self.me, self.status) {
            (None, _) => "> ".to_owned(),
            _ if self.columns < NARROW => "> ".to_owned(),
            (Some(me), Status::Normal) => format!("{me}> "),
            (Some(me), status) => format!("{me} ({})> ", status.as_str()),
        }
    }

    /// Whether what is typed is not shown.
    fn is_secret(&self) -> bool {
        self.question.is_some_and(|question| question.is_secret)
    }

    fn painted(&self, prompt: &str) -> String {
        let me = self.me.as_ref().filter(|_| self.question.is_none()).map(Name::as_str);
        match me.and_then(|me| Some((me, prompt.strip_prefix(me)?))) {
            Some((me, rest)) => self.style.name(me) + rest,
            None => prompt.to_owned(),
        }
    }

    fn typing_note(&self) -> String {
        let names = self.typing.keys().map(String::as_str).collect::<Vec<_>>();
        match names[..] {
            [] => String::new(),
            [name] => format!("{name} is typing…"),
            [one, two] => format!("{one} and {two} are typing…"),
            _ => format!("{} people are typing…", names.len()),
        }
    }

    /// Takes away what is old.
    fn tick(&mut self, now: Instant) -> io::Result<()> {
        let before = self.typing.len();
        self.typing.retain(|_, until| now < *until);
        if self.typing.len() < before {
            self.draw()?;
        }
        self.tick_bars(now)
    }

    fn resize(&mut self, (columns, height): (usize, usize), now: Instant) -> io::Result<()> {
        if (columns, height) == (self.columns, self.height) || self.ended {
            return Ok(());
        }
        let mut bytes = Vec::new();
        // A terminal that got narrower may have broken the row into several, or have cut it off.
        // Where the cursor is now tells which; its rows above are cleared only if there are any.
        if self.cursor >= columns
            && let Ok((place, _)) = cursor::position()
        {
            self.cuts = usize::from(place) != self.cursor % columns;
            if !self.cuts {
                queue!(bytes, MoveUp(column(self.cursor / columns)))?;
            }
        }
        // Where it never told, it is one that breaks: most do, and what is above has lost its ends
        // where it was cut off.
        if !self.cuts {
            self.bars.were_broken(columns);
        }
        (self.columns, self.height) = (columns, height);
        self.out.write_all(&bytes)?;
        self.resize_bars(now);
        self.draw()
    }

    /// Leaves a line that was being typed on the screen, and everything else to the system.
    fn close(&mut self) -> io::Result<()> {
        if !mem::replace(&mut self.closed, true) {
            self.leave_row()?;
            give_terminal_back()?;
        }
        Ok(())
    }

    /// The line that was being typed becomes one of those above.
    fn leave_row(&mut self) -> io::Result<()> {
        let prompt = self.prompt();
        let mut bytes = Vec::new();
        self.bars.clear(&mut bytes)?;
        if !self.line.text().is_empty() {
            let public = command::public(self.line.text(), &self.known.commands);
            let text = public.as_deref().unwrap_or(self.line.text());
            let text = if self.is_secret() { "" } else { text };
            let line = format!("{prompt}{}", escape::text(text));
            for row in line::wrap(&line, self.columns) {
                let painted = row.strip_prefix(&prompt).map(|rest| self.painted(&prompt) + rest);
                queue!(bytes, Print(painted.unwrap_or(row)), Print("\r\n"))?;
            }
        }
        self.out.write_all(&bytes)?;
        self.out.flush()
    }

    // What is typed.

    fn key(&mut self, key: KeyEvent, now: Instant) -> io::Result<()> {
        // Some systems tell also when a key is let go; and what follows a Ctrl-D is not for us.
        if key.kind == KeyEventKind::Release || self.ended {
            return Ok(());
        }
        let tabbed = self.tabbed.take();
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let word = control || key.modifiers.contains(KeyModifiers::ALT);
        // The key AltGr of Windows is both of them, and types a character.
        let chord = key.modifiers & (KeyModifiers::CONTROL | KeyModifiers::ALT);
        let is_text = chord.is_empty() || chord == KeyModifiers::CONTROL | KeyModifiers::ALT;
        match key.code {
            KeyCode::Enter => return self.enter(),
            KeyCode::Char(c) if is_text => self.insert(c, now),
            KeyCode::Char(c) if control => match c {
                'j' | 'm' => return self.enter(),
                'c' if self.line.text().is_empty() => return self.leave(),
                'c' => {
                    self.leave_row()?;
                    self.line.take();
                }
                'd' if self.line.text().is_empty() => return self.leave(),
                'd' => self.line.delete(To::Right),
                'h' => self.line.delete(To::Left),
                'a' => self.line.go(To::Start),
                'e' => self.line.go(To::End),
                'b' => self.line.go(To::Left),
                'f' => self.line.go(To::Right),
                'p' => self.line.earlier(),
                'n' => self.line.later(),
                'w' => self.line.cut(To::WordLeft),
                'u' => self.line.cut(To::Start),
                'k' => self.line.cut(To::End),
                'y' => self.line.paste(),
                'l' => queue!(self.out, Clear(ClearType::All), MoveTo(0, 0))?,
                'z' => return self.suspend(),
                _ => {}
            },
            KeyCode::Char('b') => self.line.go(To::WordLeft),
            KeyCode::Char('f') => self.line.go(To::WordRight),
            KeyCode::Char('d') => self.line.cut(To::WordRight),
            KeyCode::Left if word => self.line.go(To::WordLeft),
            KeyCode::Right if word => self.line.go(To::WordRight),
            KeyCode::Left => self.line.go(To::Left),
            KeyCode::Right => self.line.go(To::Right),
            KeyCode::Home => self.line.go(To::Start),
            KeyCode::End => self.line.go(To::End),
            KeyCode::Up => self.line.earlier(),
            KeyCode::Down => self.line.later(),
            KeyCode::Backspace if word => self.line.cut(To::WordLeft),
            KeyCode::Backspace => self.line.delete(To::Left),
            KeyCode::Delete => self.line.delete(To::Right),
            KeyCode::Tab => return self.complete(tabbed),
            _ => {}
        }
        self.draw()
    }

    /// Pasted lines are lines; what is after the last line end is still to be finished.
    fn paste(&mut self, text: &str, now: Instant) -> io::Result<()> {
        let tab = if self.is_secret() { "\t" } else { TAB };
        let text = text.replace("\r\n", "\n").replace('\r', "\n").replace('\t', tab);
        let mut lines = text.split('\n');
        let last = lines.next_back().unwrap_or_default();
        for line in lines {
            self.line.insert(line);
            self.enter()?;
        }
        if !last.is_empty() {
            self.line.insert(last);
            self.tell_typing(now);
        }
        self.draw()
    }

    fn insert(&mut self, c: char, now: Instant) {
        self.line.insert(c.encode_utf8(&mut [0; 4]));
        if self.question.is_none() {
            self.find_emoji();
        }
        self.tell_typing(now);
    }

    fn tell_typing(&mut self, now: Instant) {
        // That somebody is typing a command, or to one person alone, is nobody's business.
        let is_said = self.question.is_none() && !self.line.text().trim_start().starts_with('@');
        let told = self.told_typing.is_some_and(|told| now - told < TYPING_EVERY);
        if is_said && !told {
            self.told_typing = Some(now);
            self.typed.push_back(Typed::Something);
        }
    }

    fn find_emoji(&mut self) {
        if let Some((length, emoji)) = complete::emoji_at_end(self.line.head()) {
            self.line.replace_left(length, emoji);
        }
    }

    fn enter(&mut self) -> io::Result<()> {
        if self.line.text().trim().is_empty() {
            self.line.take();
            return self.draw();
        }
        self.leave_row()?;
        let text = self.line.take();
        let is_public = command::public(&text, &self.known.commands).is_none();
        if self.question.is_none() && is_public {
            self.line.remember(&text);
        }
        self.told_typing = None;
        self.typed.push_back(Typed::Line(text));
        self.draw()
    }

    /// From now on the terminal's own Ctrl-C ends this process, should something not come to its end.
    fn leave(&mut self) -> io::Result<()> {
        self.ended = true;
        self.close()
    }

    /// Tab completes as far as it is clear; pressed again, it shows what there is.
    fn complete(&mut self, tabbed: Option<String>) -> io::Result<()> {
        if self.question.is_some() {
            return Ok(());
        }
        let head = self.line.head().to_owned();
        let found = self.known.candidates(&head);
        match &found.all[..] {
            [] => {}
            [only] => {
                let end = if found.more { "" } else { " " };
                self.line.replace_left(found.replaces, &format!("{only}{end}"));
                self.find_emoji();
            }
            all if tabbed.is_some_and(|tabbed| tabbed == head) => {
                let rows = self.rows(&all.join("  "), style::GREY);
                return self.print(&rows);
            }
            _ => {
                if found.common().len() > found.replaces {
                    self.line.replace_left(found.replaces, found.common());
                }
                self.tabbed = Some(self.line.head().to_owned());
            }
        }
        self.draw()
    }

    /// Ctrl-Z: to the shell, until it brings this process back.
    fn suspend(&mut self) -> io::Result<()> {
        #[cfg(unix)]
        {
            self.leave_row()?;
            give_terminal_back()?;
            self.suspended = true;
            // As the terminal would: the whole job, of which this process may be a part. It may
            // take another moment until all of its threads have stopped.
            let stop = rustix::process::Signal::TSTP;
            rustix::process::kill_current_process_group(stop)?;
        }
        Ok(())
    }

    /// Takes the terminal again: while this process was stopped it belonged to the shell.
    fn resume(&mut self) -> io::Result<()> {
        self.suspended = false;
        if self.closed {
            return Ok(());
        }
        give_terminal_back()?;
        take_terminal()?;
        self.draw()
    }
}

/// From now on every key comes as it is pressed, and a paste as one thing.
fn take_terminal() -> io::Result<()> {
    terminal::enable_raw_mode()?;
    execute!(io::stdout(), EnableBracketedPaste)
}

fn give_terminal_back() -> io::Result<()> {
    // Those that do not know it ignore it; in a test there is no terminal.
    if terminal::is_raw_mode_enabled()? {
        execute!(io::stdout(), DisableBracketedPaste)?;
    }
    terminal::disable_raw_mode()
}

/// The next event, and those that came with it.
fn read_all() -> io::Result<Vec<event::Event>> {
    let mut events = vec![event::read()?];
    while events.len() < TOGETHER && event::poll(AT_ONCE)? {
        events.push(event::read()?);
    }
    Ok(events)
}

/// Reads until nothing more comes.
fn forget_all() -> io::Result<()> {
    while event::poll(SILENCE)? {
        event::read()?;
    }
    Ok(())
}

fn remember(known: &mut BTreeSet<String>, name: &Name) {
    if known.len() < KNOWN {
        known.insert(name.to_string());
    }
}

/// Columns and rows of the terminal. Some lines, a serial one for instance, do not know theirs and
/// say 0.
fn size() -> (usize, usize) {
    match terminal::size() {
        Ok((0, _) | (_, 0)) | Err(_) => SIZE,
        Ok((columns, height)) => (usize::from(columns), usize::from(height)),
    }
}

/// Terminals count columns in 16 bits.
fn column(column: usize) -> u16 {
    u16::try_from(column).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was written to a screen.
    #[derive(Clone, Default)]
    struct Out(Arc<std::sync::Mutex<Vec<u8>>>);

    impl Write for Out {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Out {
        /// What was written since the last time.
        fn take(&self) -> String {
            String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
        }
    }

    /// alice's screen, with bob in the room and a group.
    fn screen() -> (Screen, Out, Instant) {
        let (out, now) = (Out::default(), Instant::now());
        let mut screen = Screen::new(out.clone(), SIZE, Style::default());
        screen.known.commands = command::CHAT.into();
        let people = ["alice", "bob"].map(|name| crate::message::Person {
            name: name.parse().unwrap(),
            status: Status::Normal,
        });
        let welcome = Event::Welcome { name: name("alice"), people: people.into() };
        let group = Event::GroupSet {
            group: name("team"),
            owner: name("alice"),
            members: vec![name("alice"), name("bob")],
        };
        screen.show(&welcome, now).unwrap();
        screen.show(&group, now).unwrap();
        out.take();
        (screen, out, now)
    }

    fn name(name: &str) -> Name {
        name.parse().unwrap()
    }

    fn press(screen: &mut Screen, code: KeyCode, now: Instant) {
        screen.key(KeyEvent::new(code, KeyModifiers::NONE), now).unwrap();
    }

    fn control(screen: &mut Screen, c: char, now: Instant) {
        screen.key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL), now).unwrap();
    }

    fn type_text(screen: &mut Screen, text: &str, now: Instant) {
        text.chars().for_each(|c| press(screen, KeyCode::Char(c), now));
    }

    /// How many typing notices were asked for since the last time.
    fn notices(screen: &mut Screen) -> usize {
        screen.typed.drain(..).filter(|typed| matches!(typed, Typed::Something)).count()
    }

    #[test]
    fn who_types_is_told_now_and_then_and_never_of_commands() {
        let (mut screen, _, now) = screen();
        type_text(&mut screen, "@bob pssst", now);
        assert_eq!(notices(&mut screen), 0, "that is between alice and bob");
        control(&mut screen, 'u', now);
        type_text(&mut screen, "hello", now);
        assert_eq!(notices(&mut screen), 1);
        type_text(&mut screen, "hello", now + TYPING_EVERY - Duration::from_millis(1));
        assert_eq!(notices(&mut screen), 0);
        type_text(&mut screen, "hello", now + TYPING_EVERY);
        assert_eq!(notices(&mut screen), 1);
        press(&mut screen, KeyCode::Enter, now + TYPING_EVERY);
        type_text(&mut screen, "a", now + TYPING_EVERY);
        assert_eq!(notices(&mut screen), 1, "another message");
    }

    #[test]
    fn a_notice_is_shown_for_a_while() {
        let (mut screen, out, now) = screen();
        screen.show(&Event::Typing { name: name("bob") }, now).unwrap();
        assert!(out.take().contains("bob is typing…"));
        screen.show(&Event::Typing { name: name("carol") }, now).unwrap();
        assert!(out.take().contains("bob and carol are typing…"));
        screen.tick(now + TYPING_SHOWN - Duration::from_millis(1)).unwrap();
        assert_eq!(out.take(), "");
        screen.tick(now + TYPING_SHOWN).unwrap();
        let drawn = out.take();
        assert!(drawn.contains("alice> ") && !drawn.contains("typing"), "{drawn:?}");
        let said = Event::Said { from: name("bob"), text: "hi".to_owned() };
        screen.show(&Event::Typing { name: name("bob") }, now).unwrap();
        screen.show(&said, now).unwrap();
        assert!(!out.take().ends_with("typing…"));
    }

    #[test]
    fn who_and_what_is_gone_is_not_completed() {
        let (mut screen, _, now) = screen();
        let completes = |screen: &mut Screen, text: &str| {
            type_text(screen, text, now);
            press(screen, KeyCode::Tab, now);
            screen.line.take()
        };
        assert_eq!(completes(&mut screen, "@b"), "@bob ");
        assert_eq!(completes(&mut screen, "@group send t"), "@group send team ");
        screen.show(&Event::Left { name: name("bob") }, now).unwrap();
        let deleted = Event::GroupDeleted { group: name("team"), by: name("alice") };
        screen.show(&deleted, now).unwrap();
        assert_eq!(completes(&mut screen, "@b"), "@b");
        assert_eq!(completes(&mut screen, "@group send t"), "@group send t");
        for number in 0..2 * KNOWN {
            screen.learn(&Event::Joined { name: name(&format!("n{number}")) }, now);
        }
        assert_eq!(screen.known.people.len(), KNOWN, "however many a server makes up");
    }

    #[test]
    fn what_was_typed_stays_above_escaped() {
        let (mut screen, out, now) = screen();
        type_text(&mut screen, "a\u{202e}b", now);
        out.take();
        press(&mut screen, KeyCode::Enter, now);
        assert!(out.take().contains("alice> a\\u{202e}b\r\n"));
        assert!(
            matches!(screen.typed.make_contiguous(), [Typed::Something, Typed::Line(line)] if line == "a\u{202e}b")
        );
    }

    #[test]
    fn a_paste_is_text_and_lines() {
        let (mut screen, out, now) = screen();
        screen.paste("one\r\n\ttwo\n\nthree", now).unwrap();
        let lines = screen.typed.drain(..).filter_map(|typed| match typed {
            Typed::Line(line) => Some(line),
            Typed::Something => None,
        });
        assert_eq!(lines.collect::<Vec<_>>(), ["one", "    two"]);
        assert_eq!(screen.line.text(), "three");
        assert!(out.take().contains("alice> one\r\n"));
        screen.paste(":smile: ", now).unwrap();
        assert_eq!(screen.line.text(), "three:smile: ", "as it was copied");
    }

    #[test]
    fn keys_that_draw() {
        let (mut screen, out, now) = screen();
        control(&mut screen, 'l', now);
        let cleared = out.take();
        assert!(cleared.starts_with("\u{1b}[2J\u{1b}[1;1H"), "{cleared:?}");
        let released = KeyEvent {
            kind: KeyEventKind::Release,
            ..KeyEvent::new(KeyCode::Char('x'), KeyModifiers::NONE)
        };
        screen.key(released, now).unwrap();
        assert_eq!((screen.line.text(), out.take().as_str()), ("", ""));
        // AltGr, where a system tells it so.
        let alt_gr = KeyModifiers::CONTROL | KeyModifiers::ALT;
        screen.key(KeyEvent::new(KeyCode::Char('@'), alt_gr), now).unwrap();
        assert_eq!(screen.line.text(), "@");
    }

    #[test]
    fn who_leaves_gives_the_terminal_back_at_once() {
        let (mut screen, out, now) = screen();
        control(&mut screen, 'd', now);
        assert!(screen.ended && screen.closed);
        out.take();
        screen.show(&Event::Joined { name: name("carol") }, now).unwrap();
        assert_eq!(out.take(), "* carol joined\n", "no prompt any more");
        type_text(&mut screen, "late", now);
        press(&mut screen, KeyCode::Enter, now);
        assert!(screen.typed.is_empty() && out.take().is_empty());
    }
}
