//! The log on stderr, and the views of frames that `-v` and `-vv` add to it.
//!
//! The `log` facade decides once, by the level, whether a frame is looked at at all. The logger
//! behind it is ours because it is a dozen lines: it must not fail when nobody reads stderr, and
//! its clock needs no date.

use std::io;
use std::io::Write;
use std::sync::Mutex;
use std::sync::PoisonError;
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
use crate::frame;

/// Most bytes of a frame that `-v` shows as text.
const PREVIEW: usize = 200;

/// Starts the log: `quiet` shows warnings alone (a client without `-v`), each step of `verbose`
/// shows more.
pub fn init(quiet: bool, verbose: u8) {
    log::set_max_level(match verbose {
        0 if quiet => LevelFilter::Warn,
        0 => LevelFilter::Info,
        1 => LevelFilter::Debug,
        _ => LevelFilter::Trace,
    });
    // A second call, as in tests, changes the level only.
    let _ = log::set_logger(&Stderr);
}

/// Shows the log with `show` instead of on stderr, from now on: for a program that has another use
/// for its terminal.
pub fn show_with(show: impl Fn(&str) + Send + 'static) {
    *SHOW.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(show));
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
    let kind_name = match kind {
        frame::MESSAGE => "message",
        _ => "of unknown kind",
    };
    let preview = escape::bytes(body, PREVIEW);
    let mut dump = String::new();
    if log::log_enabled!(Level::Trace) {
        let mut bytes = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes().to_vec();
        bytes.extend_from_slice(payload);
        let layout = HexConfig { title: false, width: 16, group: 8, ..HexConfig::default() };
        dump = format!("\n{}", config_hex(&bytes, layout));
    }
    log::debug!("{peer} {arrow} {kind:02x} {kind_name}, length {length}: {preview}{dump}");
}

struct Stderr;

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        // Ours end at `debug`; the libraries' own steps are no part of any view.
        if record.level() == Level::Trace {
            return;
        }
        let level = match record.level() {
            Level::Error => "error: ",
            Level::Warn => "warning: ",
            _ => "",
        };
        if let Some(show) = &*SHOW.lock().unwrap_or_else(PoisonError::into_inner) {
            show(&format!("{level}{}", record.args()));
            return;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (seconds, millis) = (now.as_secs(), now.subsec_millis());
        let (h, m, s) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        // Nobody may be reading stderr; the chat goes on.
        let _ =
            writeln!(io::stderr(), "{h:02}:{m:02}:{s:02}.{millis:03}Z {level}{}", record.args());
    }

    fn flush(&self) {}
}
