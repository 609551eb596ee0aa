//! What the stages' guided tours are made of: people who type what a script says, the wire between
//! them, and a guide who shows the audience what happened.
//!
//! A tour shows only what it has seen: lines on the screens of real clients, and bytes out of the
//! capture of the real server. So the number of every packet that it names can be looked up.

mod hex;
#[cfg(feature = "crypto")]
mod keys;
mod narrow;
mod tamper;
mod wire;

#[cfg(feature = "crypto")]
pub use keys::Keys;
pub use narrow::Narrow;
pub use tamper::Tamper;

use std::collections::BTreeMap;
use std::env;
use std::fmt::Display;
use std::fs;
use std::io;
use std::io::BufRead;
use std::io::IsTerminal;
use std::io::Read;
use std::io::Write;
use std::mem;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::path;
use std::path::PathBuf;
use std::process;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use crate::command;
use crate::command::Action;
use crate::command::Table;
use crate::face;
use crate::face::Face;
use crate::face::Input;
use crate::files::Chunk;
use crate::frame;
use crate::limits::Limits;
use crate::logging;
use crate::message::Event;
use crate::pcap::Capture;
use crate::stream::Listener;
use crate::style;
use crate::style::Style;
use crate::tour::hex::Annotator;
use crate::tour::wire::Wire;

/// Columns of the narrowest screen.
const WIDTH: usize = 80;
/// Columns of alice and carol.
const NAMES: usize = 5;
/// What a tour's pages are indented by.
const INDENT: &str = "   ";
/// What stands for the server where a name is asked for.
const SERVER: &str = "server";
/// Nobody is asked whether they are there, and no file waits too long, while a lecturer talks.
const LECTURE: Duration = Duration::from_secs(24 * 60 * 60);
/// Most bytes that [`one_read`] returns.
const READ: usize = 4096;
/// For what has to come; nothing in a tour waits longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Somebody at a client: types lines and sees lines.
pub struct Actor {
    name: &'static str,
    typed: Sender<String>,
    seen: Receiver<String>,
}

/// The screen of an [`Actor`].
struct Screen(Sender<String>);

/// The keyboard of an [`Actor`].
struct Keyboard {
    typed: Receiver<String>,
    commands: Table,
}

impl Actor {
    /// An actor of this name, and the face of their client, which has these commands.
    pub fn new(name: &'static str, commands: Table) -> (Actor, face::Pair) {
        let (keys, typed) = mpsc::channel();
        let (screen, seen) = mpsc::channel();
        let keyboard = Keyboard { typed, commands };
        let face = face::Pair::new(Arc::new(Screen(screen)), Box::new(keyboard));
        (Actor { name, typed: keys, seen }, face)
    }

    /// Types a line.
    fn types(&self, line: &str) {
        // Nobody reads it where the client has ended; what it does not show then says so.
        let _ = self.typed.send(line.to_owned());
    }

    /// The next line on the screen.
    fn sees(&self) -> io::Result<String> {
        let nothing = |_| {
            let text = format!("{} sees nothing where something should come", self.name);
            io::Error::new(io::ErrorKind::TimedOut, text)
        };
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
    fn next(&mut self) -> Option<Action> {
        self.typed.recv().ok().map(|line| command::take(line, &self.commands))
    }
}

/// Shows the audience what happens, step by step.
pub struct Guide {
    screen: Box<dyn Write>,
    style: Style,
    /// Whether to wait for Enter before each step.
    wait: bool,
    /// Whether the audience has left before the end.
    left: bool,
    step: usize,
    stage: &'static str,
    file: PathBuf,
    log: Receiver<String>,
    /// Columns of the longest name so far.
    names: usize,
    capture: Capture,
    wire: Wire,
    ports: BTreeMap<&'static str, u16>,
    /// How many frames from one port to another were shown or passed over.
    shown: BTreeMap<(u16, u16), usize>,
    /// The last packet that was looked at from each port that has connected.
    seen: BTreeMap<u16, usize>,
}

impl Guide {
    /// A guide through `stage`, who waits for Enter before each step, or does not.
    ///
    /// # Errors
    /// If there is no place for a capture among the temporary files.
    pub fn new(stage: &'static str, wait: bool) -> io::Result<Guide> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let folder = env::temp_dir().join(format!("{stage}-tour-{}-{now}", process::id()));
        // So that it stays the same when somebody enters it.
        let folder = path::absolute(folder)?;
        fs::create_dir(&folder)?;
        let file = folder.join("tour.pcapng");
        let (capture, wire) = Wire::tap(&file)?;
        let (lines, log) = mpsc::channel();
        logging::init(true, 0);
        // The tour may be over.
        logging::show_with(move |line| drop(lines.send(line.to_owned())));
        let style = Style::new(style::wanted(io::stdout().is_terminal()));
        Ok(Guide {
            screen: Box::new(io::stdout()),
            style,
            wait,
            left: false,
            step: 0,
            stage,
            file,
            log,
            names: NAMES,
            capture,
            wire,
            ports: BTreeMap::new(),
            shown: BTreeMap::new(),
            seen: BTreeMap::new(),
        })
    }

    /// A listener on a free port of this machine, whose connections the capture has.
    ///
    /// # Errors
    /// If there is no free port.
    pub fn listen(&mut self) -> io::Result<Listener> {
        let any = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        let listener = Listener::bind(any, Some(self.capture.clone()))?;
        self.ports.insert(SERVER, listener.address().port());
        Ok(listener)
    }

    /// Goes into the tour's folder for the rest of this process, so that files that are sent and
    /// received are there, under short names.
    ///
    /// # Errors
    /// If that is not possible.
    pub fn enter(&self) -> io::Result<()> {
        env::set_current_dir(self.beside("."))
    }

    /// The tour's title, above all steps.
    ///
    /// # Errors
    /// If nobody can see it.
    pub fn title(&mut self, title: &str) -> io::Result<()> {
        let title = self.style.bold(title);
        self.line(format_args!("\n{title}\n"))
    }

    /// Begins a step, as soon as the audience is ready for it.
    ///
    /// # Errors
    /// If nobody can see it any more, or nobody wants to.
    pub fn step(&mut self, title: &str) -> io::Result<()> {
        self.pause()?;
        self.step += 1;
        let title = self.style.bold(format_args!("{}. {title}", self.step));
        self.line(format_args!("\n{title}"))
    }

    /// Waits for Enter, if it is to.
    ///
    /// # Errors
    /// As [`Guide::step`].
    fn pause(&mut self) -> io::Result<()> {
        if !self.wait {
            return Ok(());
        }
        let prompt = self.style.paint(style::GREY, "Enter goes on, q ends:");
        let written = write!(self.screen, "\n{INDENT}{prompt} ").and_then(|()| self.screen.flush());
        self.noted(written)?;
        let mut answer = String::new();
        let ended = match io::stdin().lock().read_line(&mut answer) {
            Ok(0) => {
                // Nobody can press Enter any more, nor has ended this line.
                self.wait = false;
                return self.line("");
            }
            Ok(_) => answer.trim().eq_ignore_ascii_case("q"),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => false,
            Err(error) => return Err(error),
        };
        self.left = ended;
        if ended { Err(io::Error::other("the audience has left")) } else { Ok(()) }
    }

    /// Says something, wrapped to the width of the narrowest screen.
    ///
    /// # Errors
    /// As [`Guide::step`].
    pub fn say(&mut self, text: &str) -> io::Result<()> {
        // The lines of an item of a list stand below each other.
        let hanging = if text.starts_with("- ") { "  " } else { "" };
        let mut lines = wrap(text, WIDTH - INDENT.len() - hanging.len()).into_iter();
        if let Some(first) = lines.next() {
            self.line(format_args!("{INDENT}{first}"))?;
        }
        lines.try_for_each(|line| self.line(format_args!("{INDENT}{hanging}{line}")))
    }

    /// Shows a line that somebody may copy: it is not wrapped.
    ///
    /// # Errors
    /// As [`Guide::step`].
    pub fn copy(&mut self, line: impl Display) -> io::Result<()> {
        self.line(format_args!("{INDENT}{INDENT}{line}"))
    }

    /// Shows what somebody is to type, when this is over.
    fn types_there(&mut self, name: &str, line: &str) -> io::Result<()> {
        let name = self.style.name(name);
        self.copy(format_args!("{name}> {line}"))
    }

    /// Lets somebody type a line.
    ///
    /// # Errors
    /// As [`Guide::step`].
    pub fn types(&mut self, actor: &Actor, line: &str) -> io::Result<()> {
        self.does(actor.name, "types", line)?;
        actor.types(line);
        Ok(())
    }

    /// Shows what somebody sees next.
    ///
    /// # Errors
    /// As [`Guide::step`], or if they see nothing for ten seconds.
    pub fn sees(&mut self, actor: &Actor) -> io::Result<()> {
        let line = actor.sees()?;
        self.does(actor.name, "sees", &line)
    }

    /// Passes over what somebody sees next: it is known by now.
    ///
    /// # Errors
    /// As [`Guide::sees`].
    pub fn skips(&mut self, actor: &Actor) -> io::Result<()> {
        actor.sees().map(drop)
    }

    /// Shows a line that a program prints.
    ///
    /// # Errors
    /// As [`Guide::step`].
    pub fn prints(&mut self, program: &str, line: &str) -> io::Result<()> {
        self.does(program, "prints", line)
    }

    fn does(&mut self, name: &str, verb: &str, line: &str) -> io::Result<()> {
        self.names = self.names.max(name.len());
        let label = format!("{name:width$} {verb:7}", width = self.names);
        // Only the name has a colour, and is padded outside of it.
        let mut painted = label.replacen(name, &self.style.name(name), 1);
        for part in wrap(line, WIDTH - INDENT.len() - label.len()) {
            self.line(format_args!("{INDENT}{painted}{part}"))?;
            painted = " ".repeat(label.len());
        }
        Ok(())
    }

    /// Somebody has just connected to the server: from now on their port has this name.
    ///
    /// # Errors
    /// If nobody has for ten seconds.
    pub fn meets(&mut self, name: &'static str) -> io::Result<()> {
        let packet = self.wire.find(|packets| {
            let is_new = |p: &&wire::Packet| {
                p.opens && self.seen.get(&p.from).is_none_or(|last| p.number > *last)
            };
            packets.iter().find(is_new).cloned()
        })?;
        self.seen.insert(packet.from, packet.number);
        self.ports.insert(name, packet.from);
        Ok(())
    }

    /// Waits for the next frame from one to the other that contains `words`; the number of its
    /// packet, or of several.
    ///
    /// # Errors
    /// If there is none for ten seconds.
    pub fn crosses(&mut self, from: &str, to: &str, words: &str) -> io::Result<Vec<usize>> {
        self.next_frame(from, to, words).map(|frame| frame.packets)
    }

    /// Shows the next frame from one to the other that contains `words`, byte by byte.
    ///
    /// # Errors
    /// As [`Guide::step`], or if there is none for ten seconds.
    pub fn wire(&mut self, from: &str, to: &str, words: &str) -> io::Result<()> {
        let frame = self.next_frame(from, to, words)?;
        let size = frame.bytes.len();
        let route = self.route(from, to);
        self.line(format_args!("{INDENT}{route}, {}: {size} bytes", numbers(&frame.packets)))?;
        self.bytes(&mut Annotator::default(), &frame.bytes)
    }

    /// Shows the next frame from one to the other that is wanted by its kind and body, in parts: each
    /// of so many bytes, with what it is; the last has the rest. Returns its body.
    ///
    /// # Errors
    /// As [`Guide::wire`].
    pub fn parts(
        &mut self,
        (from, to): (&str, &str),
        is_wanted: impl Fn(u8, &[u8]) -> bool,
        parts: &[(usize, &str)],
    ) -> io::Result<Vec<u8>> {
        let frame = self.next_that(from, to, is_wanted)?;
        let size = frame.bytes.len();
        let route = self.route(from, to);
        self.line(format_args!("{INDENT}{route}, {}: {size} bytes", numbers(&frame.packets)))?;
        self.rows(&hex::parts(&frame.bytes, parts, self.style))?;
        Ok(frame.body().to_vec())
    }

    /// The body of the next frame from one to the other that is wanted; nobody is shown it.
    ///
    /// # Errors
    /// If there is none for ten seconds.
    pub fn passes(
        &mut self,
        (from, to): (&str, &str),
        is_wanted: impl Fn(u8, &[u8]) -> bool,
    ) -> io::Result<Vec<u8>> {
        let frame = self.next_that(from, to, is_wanted)?;
        Ok(frame.body().to_vec())
    }

    /// The chunks that have crossed so far from one to the other of the file with this number, each
    /// with its packets.
    ///
    /// # Errors
    /// If nobody is called so.
    pub fn chunks(
        &mut self,
        from: &str,
        to: &str,
        id: u32,
    ) -> io::Result<Vec<(Chunk, Vec<usize>)>> {
        let (from, to) = (self.port(from)?, self.port(to)?);
        // What somebody has already answered may still be on its way into the capture.
        self.capture.finish();
        Ok(chunks(self.wire.frames(from, to), id))
    }

    /// The packets of the records that have crossed so far from one to the other, and the bytes of
    /// each record on the wire.
    ///
    /// # Errors
    /// If nobody is called so.
    pub fn records(&mut self, from: &str, to: &str) -> io::Result<Vec<(Vec<usize>, usize)>> {
        let (from, to) = (self.port(from)?, self.port(to)?);
        self.capture.finish();
        let frames = self.wire.frames(from, to).into_iter();
        let records = frames.filter(|frame| frame.kind() == Some(frame::RECORD));
        Ok(records.map(|record| (record.packets, record.bytes.len())).collect())
    }

    /// What somebody who has only the capture's file carves out of it: the bytes of all chunks with
    /// this number that went from one to the other, put together by their offsets.
    ///
    /// # Errors
    /// If nobody is called so, or the file cannot be read.
    pub fn carve(&self, from: &str, to: &str, id: u32) -> io::Result<Vec<u8>> {
        let (from, to) = (self.port(from)?, self.port(to)?);
        let packets = self.packets_of_file()?;
        let mut chunks = chunks(wire::frames(&packets, from, to), id);
        chunks.sort_by_key(|(chunk, _)| chunk.offset());
        Ok(chunks.iter().flat_map(|(chunk, _)| chunk.bytes().to_vec()).collect())
    }

    /// What somebody who has only the capture's file finds in it.
    fn packets_of_file(&self) -> io::Result<Vec<wire::Packet>> {
        self.capture.finish();
        Ok(wire::packets(&fs::read(&self.file)?, 0))
    }

    /// Shows bytes in rows, with their text beside them.
    ///
    /// # Errors
    /// As [`Guide::step`].
    pub fn dump(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.rows(&hex::dump(bytes))
    }

    /// The next line of the log of a client or of the server that has these words in it.
    ///
    /// # Errors
    /// If there is none for ten seconds.
    pub fn logged(&mut self, words: &str) -> io::Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.log.recv_timeout(left).map_err(|_| {
                let text = format!("nobody has logged in ten seconds: {words}");
                io::Error::new(io::ErrorKind::TimedOut, text)
            })?;
            if line.contains(words) {
                return Ok(line);
            }
        }
    }

    /// Shows what client and server print of a new session, in whichever order they came to it.
    ///
    /// # Errors
    /// As [`Guide::step`] and [`Guide::logged`].
    pub fn session(&mut self) -> io::Result<()> {
        const SESSION: &str = "session: ";
        let mut lines = [self.logged(SESSION)?, self.logged(SESSION)?];
        // The server's log says whose it is.
        lines.sort_by_key(|line| !line.starts_with(SESSION));
        for (side, line) in ["client", "server"].iter().zip(&lines) {
            let session = line.find(SESSION).and_then(|at| line.get(at..)).unwrap_or(line);
            self.prints(side, session)?;
        }
        Ok(())
    }

    /// A place for another file beside the capture.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.file.with_file_name(name)
    }

    /// Shows the next piece of what somebody sends to the server, as the server's `read()`
    /// returned it; `pieces` is where the frames in it have got to.
    ///
    /// # Errors
    /// As [`Guide::wire`].
    pub fn piece(&mut self, from: &str, pieces: &mut Pieces) -> io::Result<usize> {
        let (port, server) = (self.port(from)?, self.port(SERVER)?);
        let last = self.seen.get(&port).copied().unwrap_or_default();
        let packet = self.wire.find(|packets| {
            let is_next = |p: &&wire::Packet| {
                p.number > last && (p.from, p.to) == (port, server) && !p.payload.is_empty()
            };
            packets.iter().find(is_next).cloned()
        })?;
        self.seen.insert(port, packet.number);
        let (route, size) = (self.route(from, SERVER), packet.payload.len());
        self.line(format_args!("{INDENT}{route}, packet {}: {size} bytes", packet.number))?;
        self.bytes(&mut pieces.0, &packet.payload)?;
        Ok(size)
    }

    /// Shows frames byte by byte.
    ///
    /// # Errors
    /// As [`Guide::step`].
    pub fn frames(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes(&mut Annotator::default(), bytes)
    }

    /// Ends when the server has ended every connection, and so nothing crosses the wire any more.
    ///
    /// # Errors
    /// If it has not for ten seconds.
    pub fn silence(&mut self) -> io::Result<()> {
        self.wire.find(|packets| {
            let ended = |client, server| {
                packets.iter().any(|p| p.ends && (p.from, p.to) == (server, client))
                    || packets.iter().any(|p| p.ends && (p.from, p.to) == (client, server))
            };
            packets.iter().filter(|p| p.opens).all(|p| ended(p.from, p.to)).then_some(())
        })?;
        self.capture.finish();
        Ok(())
    }

    /// Shows what somebody who sees the wire reads of these words: all text of the packets in the
    /// capture's file that have them, as `strings` would find it. Returns how often it does.
    ///
    /// # Errors
    /// As [`Guide::step`], or if the file cannot be read.
    pub fn eavesdrop(&mut self, words: &str) -> io::Result<usize> {
        let mut found = 0;
        for packet in self.packets_of_file()? {
            for text in packet.strings().filter(|text| text.contains(words)) {
                found += 1;
                let mut label = format!("{:6}  ", packet.number);
                for part in wrap(text, WIDTH - INDENT.len() - label.len()) {
                    let part = part.replace(words, &self.style.bold(words));
                    self.line(format_args!("{INDENT}{label}{part}"))?;
                    label = " ".repeat(label.len());
                }
            }
        }
        Ok(found)
    }

    /// The last page: how these people chat and what some of them type, and what is in the capture:
    /// words that a filter finds, or that it does not find any more.
    ///
    /// # Errors
    /// As [`Guide::step`].
    pub fn farewell(
        &mut self,
        people: &[&str],
        typed: &[(&str, &str)],
        words: &str,
        found: bool,
    ) -> io::Result<()> {
        let (stage, file) = (self.stage, self.file.display().to_string());
        self.step("Now you")?;
        self.say("Each in a terminal of its own:")?;
        self.copy(format_args!("cargo run -p {stage} -- server"))?;
        for name in people {
            self.copy(format_args!("cargo run -p {stage} -- client --name {name}"))?;
        }
        for (name, line) in typed {
            self.types_there(name, line)?;
        }
        self.line("")?;
        self.say("The capture of this tour:")?;
        self.copy(file)?;
        self.say(if found {
            "Open it in Wireshark and filter for"
        } else {
            "Open it in Wireshark. What finds something in plaintext finds nothing here:"
        })?;
        self.copy(format_args!("frame contains \"{words}\""))?;
        self.say("Or follow a whole conversation: right-click a packet, Follow, TCP Stream.")?;
        self.line("")?;
        self.say(
            "The payload in it is real. The IP and TCP headers are synthesised: a program sees no \
             packets, so each packet with data is one read() or write() of the server, and \
             handshakes and acknowledgements are invented.",
        )
    }

    /// The file of keys beside the capture, and what Wireshark can do with it.
    ///
    /// # Errors
    /// As [`Guide::step`].
    pub fn keys(&mut self, name: &str) -> io::Result<()> {
        let (file, keys) = (self.file.display().to_string(), self.beside(name));
        self.say(&format!(
            "Beside it, in {name}, are its sessions' keys: who has both reads everything. In the \
             folder of this workspace, Wireshark shows you how:"
        ))?;
        self.copy(format_args!(
            "wireshark -X lua_script:docs/wireshark/chat5.lua -o chat5.keylog:{} -r {file}",
            keys.display()
        ))
    }

    /// How the tour ended: an audience that left early is no failure. What nobody was told about
    /// is removed.
    ///
    /// # Errors
    /// What went wrong in the tour, if not that.
    pub fn end<E>(self, tour: Result<(), E>) -> Result<ExitCode, E> {
        if tour.is_err() {
            self.capture.finish();
            // It is among the temporary files: others will remove it.
            let _ = self.file.parent().map(fs::remove_dir_all);
        }
        if self.left { Ok(ExitCode::SUCCESS) } else { tour.map(|()| ExitCode::SUCCESS) }
    }

    fn next_frame(&mut self, from: &str, to: &str, words: &str) -> io::Result<wire::Crossed> {
        self.next_that(from, to, |_, body| contains(body, words))
    }

    fn next_that(
        &mut self,
        from: &str,
        to: &str,
        is_wanted: impl Fn(u8, &[u8]) -> bool,
    ) -> io::Result<wire::Crossed> {
        let is_wanted =
            |frame: &wire::Crossed| frame.kind().is_some_and(|kind| is_wanted(kind, frame.body()));
        let (from, to) = (self.port(from)?, self.port(to)?);
        let shown = self.shown.entry((from, to)).or_default();
        let (index, frame) = self.wire.find(|packets| {
            let frames = wire::frames(packets, from, to).into_iter().enumerate().skip(*shown);
            frames.into_iter().find(|(_, frame)| is_wanted(frame))
        })?;
        *shown = index + 1;
        if let (Some(seen), Some(last)) = (self.seen.get_mut(&from), frame.packets.last()) {
            *seen = *last;
        }
        Ok(frame)
    }

    fn bytes(&mut self, annotator: &mut Annotator, bytes: &[u8]) -> io::Result<()> {
        self.rows(&annotator.rows(bytes, self.style))
    }

    fn rows(&mut self, rows: &[String]) -> io::Result<()> {
        rows.iter().try_for_each(|row| self.line(format_args!("{INDENT}{INDENT}{row}")))
    }

    fn route(&self, from: &str, to: &str) -> String {
        let name = |name| match name {
            SERVER => SERVER.to_owned(),
            name => self.style.name(name),
        };
        format!("{} -> {}", name(from), name(to))
    }

    fn port(&self, name: &str) -> io::Result<u16> {
        let nobody = || io::Error::other(format!("nobody called {name} in the tour"));
        self.ports.get(name).copied().ok_or_else(nobody)
    }

    fn line(&mut self, line: impl Display) -> io::Result<()> {
        let written = writeln!(self.screen, "{line}");
        self.noted(written)
    }

    fn noted(&mut self, written: io::Result<()>) -> io::Result<()> {
        // As in `| head`.
        let closed = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        self.left |= written.as_ref().is_err_and(closed);
        written
    }
}

/// Where the frames in a sequence of pieces have got to, for [`Guide::piece`].
#[derive(Debug, Default)]
pub struct Pieces(Annotator);

/// The limits of a server that is shown: it asks nobody whether they are still there, and has all
/// the time for files.
pub fn limits() -> Limits {
    Limits {
        ping_after: LECTURE,
        close_after: 2 * LECTURE,
        answer_within: LECTURE,
        progress_within: LECTURE,
        settle_within: LECTURE,
        ..Limits::default()
    }
}

/// `payload` as a frame, for a client made by hand.
///
/// # Errors
/// If it is too long for one.
pub fn framed(payload: &frame::Outgoing) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut frames = frame::Writer::new(&mut bytes, SERVER);
    frames.push(payload.payload())?;
    while frames.pending() > 0 {
        frames.write()?;
    }
    Ok(bytes)
}

/// Waits until `frames` whole frames have arrived at `socket`, and only then reads, once.
///
/// # Errors
/// If they do not arrive within ten seconds, or the connection ends.
pub fn one_read(mut socket: &TcpStream, frames: usize) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + PATIENCE;
    let mut bytes = vec![0; READ];
    socket.set_read_timeout(Some(PATIENCE))?;
    loop {
        // Looks without taking: it waits for the first byte, and then no longer.
        let arrived = socket.peek(&mut bytes)?;
        if wire::whole_frames(bytes.get(..arrived).unwrap_or_default()) >= frames {
            break;
        }
        if arrived == 0 || Instant::now() > deadline {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "frames are missing in the tour"));
        }
        // Nothing in std waits for more than what is there already.
        thread::yield_now();
    }
    let read = socket.read(&mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// How many whole frames are in `bytes`, the first of which begins there.
pub fn count(bytes: &[u8]) -> usize {
    wire::whole_frames(bytes)
}

/// `packet 3`, or `packets 3, 5 and 8`.
pub fn numbers(packets: &[usize]) -> String {
    match packets {
        [] => "no packet".to_owned(),
        [one] => format!("packet {one}"),
        [first @ .., last] => {
            let first = first.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
            format!("packets {first} and {last}")
        }
    }
}

/// The chunks of the file with this number among frames, each with its packets.
fn chunks(frames: Vec<wire::Crossed>, id: u32) -> Vec<(Chunk, Vec<usize>)> {
    let chunks = frames.into_iter().filter(|frame| frame.kind() == Some(frame::CHUNK));
    let chunks = chunks.filter_map(|frame| Some((Chunk::read(frame.body()).ok()?, frame.packets)));
    chunks.filter(|(chunk, _)| chunk.id() == id).collect()
}

fn contains(bytes: &[u8], words: &str) -> bool {
    words.is_empty() || bytes.windows(words.len()).any(|window| window == words.as_bytes())
}

/// `text` in lines of at most `width` characters, broken at spaces where there are any.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        let mut length = 0;
        for word in paragraph.split_inclusive(' ') {
            // The space at the end of a line takes no room.
            if length > 0 && length + word.trim_end().chars().count() > width {
                lines.push(line.trim_end().to_owned());
                (line, length) = (String::new(), 0);
            }
            for c in word.chars() {
                if length >= width && c != ' ' {
                    lines.push(mem::take(&mut line));
                    length = 0;
                }
                line.push(c);
                length += 1;
            }
        }
        lines.push(line.trim_end().to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use proptest::prelude::*;

    use super::*;
    use crate::message;

    #[test]
    fn lines_are_wrapped_at_spaces() {
        assert_eq!(wrap("one two three", 9), ["one two", "three"]);
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("one\n  two", 9), ["one", "  two"]);
        assert_eq!(wrap("", 9), [""]);
        assert_eq!(wrap("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
    }

    proptest! {
        #[test]
        fn no_line_is_too_wide_and_nothing_is_lost(text in "[a-zé ]{0,60}", width in 1..20_usize) {
            let lines = wrap(&text, width);
            prop_assert!(lines.iter().all(|line| line.chars().count() <= width), "{lines:?}");
            let letters = |text: &str| text.replace(' ', "");
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }
    }

    #[test]
    fn numbers_of_packets_are_listed() {
        let listed = [&[][..], &[3], &[3, 5], &[3, 5, 8]].map(numbers);
        assert_eq!(listed, ["no packet", "packet 3", "packets 3 and 5", "packets 3, 5 and 8"]);
    }

    #[test]
    fn nobody_is_pinged_and_no_file_given_up_while_a_lecturer_talks() {
        let (shown, limits) = (limits(), Limits::default());
        assert!(shown.ping_after >= Duration::from_secs(3600) && limits.ping_after < LECTURE);
        assert!(shown.close_after > shown.ping_after);
        for within in [shown.answer_within, shown.progress_within, shown.settle_within] {
            assert!(within >= Duration::from_secs(3600));
        }
    }

    #[test]
    fn one_read_returns_all_that_came() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut writer, _) = listener.accept().unwrap();
        let ping = framed(&message::ping()).unwrap();
        assert_eq!(ping[..5], *b"\0\0\0\x10\x10");
        // A byte at a time, so that a look at too few of them sees no frame.
        let sender = thread::spawn(move || {
            for byte in ping.repeat(3) {
                writer.write_all(&[byte]).unwrap();
            }
            writer
        });
        let bytes = one_read(&socket, 3).unwrap();
        assert_eq!((count(&bytes), bytes.len()), (3, 60));
        drop(sender.join().unwrap());
        assert!(one_read(&socket, 1).is_err(), "nothing more comes");
    }
}
