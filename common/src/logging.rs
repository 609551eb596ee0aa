//! The log on stderr, and the views of frames that `-v` and `-vv` add to it.
//!
//! The `log` facade decides once, by the level, whether a frame is looked at at all. The logger
//! behind it is ours because it is small and its clock needs no date, and because of what happens
//! where nobody reads a server's stderr: a full pipe, a terminal at Ctrl-S. Its lines wait in a
//! bounded queue for a thread that writes them, or shows them where the operator has a terminal, and
//! what does not fit is counted instead. No other thread waits. A client writes at once: its log has
//! to stand in order between the lines of chat.

use std::fmt;
use std::fmt::Display;
use std::io;
use std::io::Write;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::sync::mpsc::Sender;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::TrySendError;
use std::thread;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use log::Level;
use log::LevelFilter;
use log::Log;
use log::Metadata;
use log::Record;
use pretty_hex::HexConfig;
use pretty_hex::config_hex;

use crate::escape;
use crate::files::chunk;
use crate::frame;

/// Most bytes of a frame that `-v` shows as text.
const PREVIEW: usize = 200;

/// So many lines wait for a slow reader of stderr.
const QUEUE: usize = 4096;
/// How long the end of a program waits for the rest of its log.
const PATIENCE: Duration = Duration::from_millis(500);

static LOGGER: OnceLock<Option<Stderr>> = OnceLock::new();

/// Starts the log of a server or of a client, which without `-v` shows warnings alone; each step of
/// `verbose` shows more.
pub fn init(is_server: bool, verbose: u8) {
    log::set_max_level(match verbose {
        0 if !is_server => LevelFilter::Warn,
        0 => LevelFilter::Info,
        1 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    });
    // A second call, as in tests, changes the level only; where there is no thread, no log is kept.
    let logger = LOGGER.get_or_init(|| {
        let queue = if is_server { Some(Queue::spawn(put).ok()?) } else { None };
        Some(Stderr { queue })
    });
    if let Some(logger) = logger {
        let _ = log::set_logger(logger);
    }
}

/// Shows the log with `show` instead of on stderr, from now on: for a program that has another use
/// for its terminal. The log of a server is shown by the thread of its queue, so `show` may wait.
pub fn show_with(show: impl Fn(&str) + Send + 'static) {
    *SHOW.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(show));
}

/// Says something that is no part of the log, but stands where the log goes.
pub fn say(what: impl Display) {
    let line = Line { logged: None, text: what.to_string() };
    match LOGGER.get() {
        Some(Some(logger)) => logger.put(line),
        _ => put(&line),
    }
}

/// A line of the log, or several.
#[derive(Debug)]
struct Line {
    /// When, if it is part of the log.
    logged: Option<SystemTime>,
    text: String,
}

impl Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(logged) = self.logged {
            let since = logged.duration_since(UNIX_EPOCH).unwrap_or_default();
            let (seconds, millis) = (since.as_secs(), since.subsec_millis());
            let (h, m, s) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
            write!(f, "{h:02}:{m:02}:{s:02}.{millis:03}Z ")?;
        }
        f.write_str(&self.text)
    }
}

/// Shows a line, or writes it to stderr.
fn put(line: &Line) {
    match &*SHOW.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(show) => show(&line.text),
        // With one write, so that it is a whole line at once. Nobody may be reading; the chat goes on.
        None => drop(io::stderr().write_all(format!("{line}\n").as_bytes())),
    }
}

/// Where the log goes, if not to stderr.
static SHOW: Mutex<Option<Show>> = Mutex::new(None);

/// Shows a line of the log, or several.
type Show = Box<dyn Fn(&str) + Send>;

/// Shows one frame, where `-v` or `-vv` asked for it; `arrow` is `->` for one that is sent and
/// `<-` for one that came.
pub fn frame(peer: &str, arrow: &str, payload: &[u8]) {
    if !log::log_enabled!(Level::Debug) {
        return;
    }
    let Some((&kind, body)) = payload.split_first() else {
        return;
    };
    let length = payload.len();
    let kind_name = frame::kind_name(kind);
    let preview = match chunk::header(body) {
        Some((id, offset)) if kind == frame::CHUNK => format!("of file {id}, from offset {offset}"),
        _ => escape::bytes(body, PREVIEW),
    };
    let mut dump = String::new();
    if log::log_enabled!(Level::Trace) {
        let mut bytes = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes().to_vec();
        bytes.extend_from_slice(payload);
        let layout = HexConfig { title: false, width: 16, group: 8, ..HexConfig::default() };
        dump = format!("\n{}", config_hex(&bytes, layout));
    }
    log::debug!("{peer} {arrow} {kind:02x} {kind_name}, length {length}: {preview}{dump}");
}

/// Writes or shows lines in a thread of its own.
#[derive(Debug)]
struct Queue {
    items: SyncSender<Item>,
    left_out: Arc<AtomicU64>,
}

/// What the thread of a [`Queue`] does next.
#[derive(Debug)]
enum Item {
    Put(Line),
    /// Tells that all before is written.
    Tell(Sender<()>),
}

impl Queue {
    fn spawn(put: impl Fn(&Line) + Send + 'static) -> io::Result<Queue> {
        let (items, queue) = mpsc::sync_channel(QUEUE);
        let left_out = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&left_out);
        let write = move || {
            for item in queue {
                match item {
                    Item::Put(line) => {
                        put(&line);
                        let count = counted.swap(0, Ordering::Relaxed);
                        if count > 0 {
                            let text = format!("warning: {count} lines of the log left out");
                            put(&Line { logged: None, text });
                        }
                    }
                    // Who asked may have lost patience.
                    Item::Tell(done) => drop(done.send(())),
                }
            }
        };
        thread::Builder::new().name("log".to_owned()).spawn(write)?;
        Ok(Queue { items, left_out })
    }

    fn push(&self, line: Line) {
        if self.items.try_send(Item::Put(line)).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until what was pushed is written, but not for long.
    fn flush(&self) {
        let deadline = Instant::now() + PATIENCE;
        let (done, written) = mpsc::channel();
        let mut item = Item::Tell(done);
        while let Err(TrySendError::Full(again)) = self.items.try_send(item) {
            if Instant::now() > deadline {
                return;
            }
            // Nothing tells when there is room for one.
            thread::sleep(Duration::from_millis(1));
            item = again;
        }
        let _ = written.recv_timeout(deadline.saturating_duration_since(Instant::now()));
    }
}

/// The logger of this process.
#[derive(Debug)]
struct Stderr {
    queue: Option<Queue>,
}

impl Stderr {
    fn put(&self, line: Line) {
        match &self.queue {
            Some(queue) => queue.push(line),
            None => put(&line),
        }
    }
}

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        // Ours end at `debug`; the libraries' own steps are no part of any view.
        if record.level() == Level::Trace || !self.enabled(record.metadata()) {
            return;
        }
        let level = match record.level() {
            Level::Error => "error: ",
            Level::Warn => "warning: ",
            _ => "",
        };
        let text = format!("{level}{}", record.args());
        self.put(Line { logged: Some(SystemTime::now()), text });
    }

    fn flush(&self) {
        self.queue.iter().for_each(Queue::flush);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_logs_never_waits_and_what_is_left_out_is_counted() {
        let (tell, told) = mpsc::channel();
        let took = Arc::<Mutex<String>>::default();
        let taken = Arc::clone(&took);
        // It takes a line only when it is told to.
        let slow = move |line: &Line| {
            told.recv().unwrap();
            taken.lock().unwrap().push_str(&format!("{line}\n"));
        };
        let queue = Queue::spawn(slow).unwrap();
        // The thread holds at most one more.
        for number in 0..QUEUE + 11 {
            queue.push(Line { logged: None, text: number.to_string() });
        }
        let left_out = queue.left_out.load(Ordering::Relaxed);
        assert!((10..=11).contains(&left_out), "{left_out}");
        for _ in 0..QUEUE + 2 {
            tell.send(()).unwrap();
        }
        drop(tell);
        queue.flush();
        let took = took.lock().unwrap();
        let (first, rest) = took.split_once('\n').unwrap();
        let (second, rest) = rest.split_once('\n').unwrap();
        assert_eq!(first, "0");
        assert_eq!(second, format!("warning: {left_out} lines of the log left out"));
        let written = rest.lines().map(|line| line.parse().unwrap()).collect::<Vec<usize>>();
        assert_eq!(written, (1..=written.len()).collect::<Vec<_>>());
        assert!(written.len() >= QUEUE - 1);
    }
}
