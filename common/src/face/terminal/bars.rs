//! Files on their way: a row for each, between the chat and the line being typed.
//!
//! ```text
//!   report.pdf from alice  [##########----------]  52%  12.0 MiB/s  0:14 left
//! ```
//!
//! A row is made when there is something new to say, at most every [`EVERY`], and drawn as often as
//! anything else is. Where nothing but rows changes, the line being typed is not touched.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;
use std::time::Instant;

use crossterm::cursor::MoveToColumn;
use crossterm::cursor::MoveUp;
use crossterm::queue;
use crossterm::style::Print;
use crossterm::terminal::Clear;
use crossterm::terminal::ClearType;
use crossterm::terminal::DisableLineWrap;
use crossterm::terminal::EnableLineWrap;
use unicode_segmentation::UnicodeSegmentation;

use super::KNOWN;
use super::Progress;
use super::Screen;
use super::column;
use super::line::width;
use crate::escape;
use crate::face::pace::Pace;
use crate::files::size;
use crate::style;
use crate::style::Style;

/// Most files that have a row; the others are counted.
const ROWS: usize = 4;
/// Progress alone is drawn at most once in so long.
const EVERY: Duration = Duration::from_millis(100);
/// So long after a change of its size a terminal may still be changing, and there are no rows: some
/// tell late which size they have (tmux by 250 ms), and where rows of another size are nobody knows.
const SETTLES: Duration = Duration::from_millis(500);
/// Columns between a row's parts, and before the first.
const GAP: usize = 2;
/// Most and fewest cells of a bar.
const LONG: usize = 20;
const SHORT: usize = 6;
/// Columns of the brackets around a bar.
const BRACKETS: usize = 2;
/// Columns that a title has, if it needs them, before anything else has its own.
const TITLE: usize = 16;
/// Columns of ` 52%` or `100%`; the gap before it is one smaller.
const PERCENT: usize = 4;
/// Columns that are kept for a rate and for the time left, so that nothing moves as they change.
const RATE: usize = "1023.9 KiB/s".len();
const LEFT: usize = "59:59 left".len();

/// Files on their way, and their rows.
#[derive(Debug, Default)]
pub struct Bars {
    /// By number, which is the order in which they were offered.
    running: BTreeMap<u32, Transfer>,
    /// As they have to be on the screen, painted, from top to bottom.
    rows: Vec<Row>,
    /// When they were made.
    made: Option<Instant>,
    /// Until then there are none, because the terminal is changing its size.
    settled: Option<Instant>,
    /// So many rows above the line being typed have been drawn.
    above: usize,
    /// Columns of what has been drawn.
    drawn: Vec<usize>,
}

#[derive(Debug)]
struct Transfer {
    progress: Progress,
    pace: Pace,
}

#[derive(Debug, PartialEq, Eq)]
struct Row {
    text: String,
    width: usize,
}

/// What is said of a transfer.
struct Parts {
    title: String,
    /// From 0 to 100.
    percent: u64,
    rate: String,
    left: String,
}

/// What there is room for in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    /// Columns of a title.
    title: usize,
    /// Cells of a bar; without any there is none.
    bar: usize,
    rate: bool,
    left: bool,
}

impl Bars {
    /// Notes how far a transfer is, or that it is over; whether that has to be seen at once.
    fn set(&mut self, id: u32, progress: Option<&Progress>, now: Instant) -> bool {
        let Some(progress) = progress else {
            return self.running.remove(&id).is_some();
        };
        if let Some(transfer) = self.running.get_mut(&id) {
            transfer.progress.clone_from(progress);
            transfer.pace.set(now, progress.done);
            return false;
        }
        let is_new = self.running.len() < KNOWN;
        if is_new {
            let pace = Pace::new(now, progress.done);
            self.running.insert(id, Transfer { progress: progress.clone(), pace });
        }
        is_new
    }

    /// Whether rows were made so long ago that they may be again.
    fn is_due(&self, now: Instant) -> bool {
        self.made.is_none_or(|made| now.saturating_duration_since(made) >= EVERY)
    }

    /// Makes the rows of a screen of this size; whether they have changed.
    fn make(&mut self, columns: usize, height: usize, style: Style, now: Instant) -> bool {
        self.made = Some(now);
        let is_settled = self.settled.is_none_or(|settled| settled <= now);
        let (count, room) = (self.running.len(), if is_settled { height / 2 } else { 0 });
        // The row that counts the others takes the place of one.
        let shown = if count <= ROWS.min(room) { count } else { ROWS.min(room.saturating_sub(1)) };
        let parts = self.running.values().take(shown).map(|transfer| transfer.parts(now));
        let parts = parts.collect::<Vec<_>>();
        let longest = |part: fn(&Parts) -> &str, least: usize| {
            parts.iter().map(|parts| width(part(parts))).fold(least, usize::max)
        };
        // A row that is as wide as the screen is one of two in some terminals.
        let columns = columns.saturating_sub(1);
        let layout = Layout::new(
            columns,
            longest(|parts| &parts.title, 0),
            longest(|parts| &parts.rate, RATE),
            longest(|parts| &parts.left, LEFT),
        );
        let rows = parts.iter().map(|parts| parts.row(layout, columns, style));
        let mut rows = rows.collect::<Vec<_>>();
        if shown < count && room > 0 {
            let more = match shown {
                0 => format!("{:GAP$}{count} files on their way", ""),
                _ => format!("{:GAP$}… and {} more", "", count - shown),
            };
            rows.push(Row::new("", &more, columns, style));
        }
        let changed = rows != self.rows;
        self.rows = rows;
        changed
    }

    /// Goes to where the rows begin, and clears them and all that is below.
    pub fn clear(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        self.go_up(bytes)?;
        self.above = 0;
        self.drawn.clear();
        queue!(bytes, Clear(ClearType::FromCursorDown))
    }

    /// Draws the rows, from the beginning of an empty one, and goes to the one below.
    pub fn draw(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        for row in &self.rows {
            // Terminals differ in how wide some characters are; a row stays one in all of them.
            queue!(bytes, DisableLineWrap, Print(&row.text), EnableLineWrap)?;
            queue!(bytes, Clear(ClearType::UntilNewLine), Print("\r\n"))?;
        }
        self.above = self.rows.len();
        self.drawn = self.rows.iter().map(|row| row.width).collect();
        Ok(())
    }

    fn go_up(&self, bytes: &mut Vec<u8>) -> io::Result<()> {
        queue!(bytes, MoveToColumn(0))?;
        // A terminal takes 0 for 1.
        if self.above > 0 {
            queue!(bytes, MoveUp(column(self.above)))?;
        }
        Ok(())
    }

    /// A terminal that has now so many columns has broken rows that are longer.
    pub fn were_broken(&mut self, columns: usize) {
        let rows = |width: &usize| width.div_ceil(columns.max(1)).max(1);
        self.above = self.drawn.iter().map(rows).sum();
    }
}

impl Screen {
    /// How far a transfer is, or that it is over, where the terminal has this size now.
    pub(super) fn progress(
        &mut self,
        id: u32,
        progress: Option<&Progress>,
        size: (usize, usize),
        now: Instant,
    ) -> io::Result<()> {
        let at_once = self.bars.set(id, progress, now);
        // Rows of another size are drawn where that is found out.
        let fits = size == (self.columns, self.height);
        if fits && (at_once || self.bars.is_due(now)) { self.draw_bars(now) } else { Ok(()) }
    }

    /// Draws what has been left out, and what changes though nothing comes.
    pub(super) fn tick_bars(&mut self, now: Instant) -> io::Result<()> {
        for transfer in self.bars.running.values_mut() {
            transfer.pace.set(now, transfer.progress.done);
        }
        if self.bars.is_due(now) { self.draw_bars(now) } else { Ok(()) }
    }

    /// Those of a connection that is over.
    pub(super) fn forget_bars(&mut self) -> io::Result<()> {
        self.bars.running.clear();
        self.draw_bars(Instant::now())
    }

    /// None, for a while.
    pub(super) fn resize_bars(&mut self, now: Instant) {
        self.bars.settled = Some(now + SETTLES);
        self.make_bars(now);
    }

    fn make_bars(&mut self, now: Instant) -> bool {
        self.bars.make(self.columns, self.height, self.style, now)
    }

    fn draw_bars(&mut self, now: Instant) -> io::Result<()> {
        if !self.make_bars(now) || self.ended || self.suspended {
            return Ok(());
        }
        if self.bars.above != self.bars.rows.len() {
            return self.draw();
        }
        let mut bytes = Vec::new();
        self.bars.go_up(&mut bytes)?;
        self.bars.draw(&mut bytes)?;
        queue!(bytes, MoveToColumn(column(self.cursor)))?;
        self.out.write_all(&bytes)?;
        self.out.flush()
    }
}

impl Transfer {
    fn parts(&self, now: Instant) -> Parts {
        let Progress { title, done, size } = &self.progress;
        let percent = u128::from(*done) * 100;
        // There is nothing that an empty file has not.
        let percent = percent.checked_div(u128::from(*size)).unwrap_or(100).min(100);
        let rate = self.pace.recent(now).and_then(|(bytes, time)| size::rate(bytes, time));
        let left = self.pace.left(now, *size).filter(|_| done < size).and_then(size::left);
        Parts {
            title: escape::text(title),
            percent: u64::try_from(percent).unwrap_or(100),
            rate: rate.unwrap_or_default(),
            left: left.map(|left| format!("{left} left")).unwrap_or_default(),
        }
    }
}

impl Parts {
    fn row(&self, layout: Layout, columns: usize, style: Style) -> Row {
        let title = shorten(&self.title, layout.title);
        let pad = layout.title - width(&title).min(layout.title);
        let head = format!("{:GAP$}{title}{:pad$}", "", "");
        let mut tail = String::new();
        if layout.bar > 0 {
            let full = layout.bar * usize::try_from(self.percent).unwrap_or(100) / 100;
            let (full, empty) = ("#".repeat(full), "-".repeat(layout.bar - full.min(layout.bar)));
            tail += &format!("{:GAP$}[{full}{empty}]", "");
        }
        tail += &format!(" {:>PERCENT$}", format!("{}%", self.percent));
        for (part, fits) in [(&self.rate, layout.rate), (&self.left, layout.left)] {
            if fits && !part.is_empty() {
                tail += &format!("{:GAP$}{part}", "");
            }
        }
        Row::new(&head, &tail, columns, style)
    }
}

impl Row {
    /// A row of at most so many columns.
    fn new(head: &str, tail: &str, columns: usize, style: Style) -> Row {
        let width = width(head) + width(tail);
        if width <= columns {
            return Row { text: head.to_owned() + &style.paint(style::GREY, tail), width };
        }
        let text = shorten(&format!("{head}{tail}"), columns);
        Row { width: self::width(&text), text }
    }
}

impl Layout {
    /// What fits into so many columns, where titles, rates and times left take so many. The bar gets
    /// shorter first; then a title loses its middle; then the bar, the rate, and the time left go.
    fn new(columns: usize, title: usize, rate: usize, left: usize) -> Layout {
        let least = title.min(TITLE);
        let mut room = columns.saturating_sub(GAP + 1 + PERCENT);
        let mut layout = Layout { title: 0, bar: 0, rate: false, left: false };
        let mut take = |part: usize| {
            let rest = room.checked_sub(part).filter(|rest| *rest >= least);
            room = rest.unwrap_or(room);
            rest.is_some()
        };
        layout.left = take(GAP + left);
        layout.rate = layout.left && take(GAP + rate);
        let bar = layout.rate && take(GAP + BRACKETS + SHORT);
        layout.title = title.min(room);
        if bar {
            layout.bar = LONG.min(SHORT + room - layout.title);
        }
        layout
    }
}

/// `text` in at most so many columns; `…` stands for the middle that is left out.
fn shorten(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let Some(room) = columns.checked_sub(1) else {
        return String::new();
    };
    let end = part(text.graphemes(true).rev(), room / 2);
    let start = part(text.graphemes(true), room - room / 2);
    let (start, end) = (text.get(..start), text.get(text.len() - end..));
    format!("{}…{}", start.unwrap_or_default(), end.unwrap_or_default())
}

/// Bytes of as many of these as fit into so many columns.
fn part<'a>(clusters: impl Iterator<Item = &'a str>, columns: usize) -> usize {
    let mut used = 0;
    let fits = clusters.take_while(|cluster| {
        used += width(cluster);
        used <= columns
    });
    fits.map(str::len).sum()
}

#[cfg(test)]
mod tests;
