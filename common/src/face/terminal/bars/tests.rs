use std::io::Write;
use std::num::NonZeroU16;
use std::sync::Arc;

use crossterm::event::KeyCode;
use crossterm::event::KeyEvent;
use crossterm::event::KeyModifiers;
use proptest::prelude::*;

use super::super::Shared;
use super::super::Terminal;
use super::super::size as terminal_size;
use super::*;
use crate::face::Face;
use crate::message::Event;
use crate::message::Person;
use crate::message::Status;
use crate::sync::Condvar;
use crate::sync::Mutex;

const MIB: u64 = 1024 * 1024;
const TICK: Duration = Duration::from_millis(250);
const SECOND: Duration = Duration::from_secs(1);

/// Everything written, each time it was.
#[derive(Clone, Default)]
struct Out(Arc<std::sync::Mutex<Vec<Vec<u8>>>>);

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().push(bytes.to_owned());
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Out {
    /// What was written since the last time.
    fn take(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// alice's terminal, alone in the room.
struct Seen {
    screen: Screen,
    out: Out,
    parser: vt100::Parser,
    now: Instant,
}

/// What a terminal does with rows that are too long when it gets narrower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rows {
    Broken,
    Cut,
}

fn parser(columns: usize, height: usize) -> vt100::Parser {
    let number = |number: usize| NonZeroU16::new(number.try_into().unwrap()).unwrap();
    vt100::Parser::new(number(height), number(columns), 1000)
}

impl Seen {
    fn new(columns: usize, height: usize) -> Seen {
        let (out, now) = (Out::default(), Instant::now());
        let screen = Screen::new(out.clone(), (columns, height), Style::default());
        let mut seen = Seen { screen, out, parser: parser(columns, height), now };
        let alice = Person { name: "alice".parse().unwrap(), status: Status::Normal };
        // Without the rows that are for newcomers.
        seen.screen.learn(&Event::Welcome { name: alice.name.clone(), people: vec![alice] }, now);
        seen.screen.draw().unwrap();
        seen
    }

    fn says(&mut self, text: &str) {
        let said = Event::Said { from: "bob".parse().unwrap(), text: text.to_owned() };
        self.screen.show(&said, self.now).unwrap();
    }

    fn set(&mut self, id: u32, title: &str, done: u64, size: u64) {
        let progress = Progress { title: title.to_owned(), done, size };
        self.progress(id, Some(&progress));
    }

    fn over(&mut self, id: u32) {
        self.progress(id, None);
    }

    fn progress(&mut self, id: u32, progress: Option<&Progress>) {
        let size = (self.screen.columns, self.screen.height);
        self.screen.progress(id, progress, size, self.now).unwrap();
    }

    fn tick(&mut self, time: Duration) {
        self.now += time;
        self.screen.tick(self.now).unwrap();
    }

    fn press(&mut self, code: KeyCode, modifiers: KeyModifiers) {
        self.screen.key(KeyEvent::new(code, modifiers), self.now).unwrap();
    }

    fn control(&mut self, c: char) {
        self.press(KeyCode::Char(c), KeyModifiers::CONTROL);
    }

    fn types(&mut self, text: &str) {
        text.chars().for_each(|c| self.press(KeyCode::Char(c), KeyModifiers::NONE));
    }

    /// Makes the terminal another size, and waits for the rows.
    fn resize(&mut self, columns: usize, height: usize, rows: Rows) {
        self.look();
        let cursor = self.parser.screen().cursor_position().1;
        assert!(usize::from(cursor) < columns, "it would ask the test's terminal");
        if rows == Rows::Cut {
            let number = |number: usize| NonZeroU16::new(number.try_into().unwrap()).unwrap();
            self.parser.screen_mut().set_size(number(height), number(columns));
        } else {
            let lines = self.shows();
            self.parser = parser(columns, height);
            self.parser.process(lines.join("\r\n").as_bytes());
            self.parser.process(format!("\x1b[{}G", cursor + 1).as_bytes());
        }
        self.screen.resize((columns, height), self.now).unwrap();
        self.tick(SETTLES);
    }

    /// Shows what was written; how often something was.
    fn look(&mut self) -> usize {
        let written = self.out.take();
        written.iter().for_each(|bytes| self.parser.process(bytes));
        written.len()
    }

    /// What is on the screen and was above it, without blanks and empty rows at the end.
    fn shows(&mut self) -> Vec<String> {
        self.look();
        let mut screen = self.parser.screen().clone();
        let (height, width) = (usize::from(screen.size().0.get()), screen.size().1.get());
        screen.set_scrollback(usize::MAX);
        let mut rows = Vec::new();
        loop {
            let above = screen.scrollback();
            let shown = if above == 0 { height } else { above.min(height) };
            rows.extend(screen.rows(0, width).take(shown).map(|row| row.trim_end().to_owned()));
            if above == 0 {
                break;
            }
            screen.set_scrollback(above - shown);
        }
        while rows.pop_if(|last| last.is_empty()).is_some() {}
        rows
    }

    /// Where the cursor is: how many rows from the end, and the column.
    fn cursor(&mut self) -> (usize, usize) {
        let rows = self.shows().len();
        let mut screen = self.parser.screen().clone();
        screen.set_scrollback(usize::MAX);
        let (row, column) = screen.cursor_position();
        (rows - screen.scrollback() - 1 - usize::from(row), usize::from(column))
    }
}

#[test]
fn rows_are_below_the_chat_and_above_the_line_being_typed() {
    let mut seen = Seen::new(80, 10);
    seen.types("hello");
    seen.press(KeyCode::Left, KeyModifiers::NONE);
    seen.set(1, "report.pdf from alice", 0, 360 * MIB);
    let row = "  report.pdf from alice  [--------------------]   0%";
    assert_eq!(seen.shows(), [row, "alice> hello"]);
    seen.says("one");
    for step in 1..=15 {
        seen.now += SECOND;
        seen.set(1, "report.pdf from alice", step * 12 * MIB, 360 * MIB);
    }
    seen.says("two");
    let row = "  report.pdf from alice  [##########----------]  50%  12.0 MiB/s  0:15 left";
    assert_eq!(seen.shows(), ["bob: one", "bob: two", row, "alice> hello"]);
    assert_eq!(seen.cursor(), (0, 11));
    seen.types("!");
    seen.set(2, "b", 1, 2);
    seen.says("three");
    let rows = seen.shows();
    let second = "  b                      [##########----------]  50%";
    assert_eq!(rows, ["bob: one", "bob: two", "bob: three", row, second, "alice> hell!o"]);
    seen.over(1);
    let row = "  b  [##########----------]  50%";
    assert_eq!(seen.shows()[3..], [row, "alice> hell!o"]);
    seen.press(KeyCode::Enter, KeyModifiers::NONE);
    assert_eq!(seen.shows()[3..], ["alice> hell!o", row, "alice>"]);
    assert_eq!(seen.cursor(), (0, 7));
    seen.over(2);
    assert_eq!(seen.shows()[3..], ["alice> hell!o", "alice>"]);
    assert_eq!(seen.cursor(), (0, 7));
}

#[test]
fn progress_alone_is_drawn_ten_times_a_second() {
    let mut seen = Seen::new(80, 10);
    seen.look();
    seen.set(1, "a", 0, 2000);
    assert_eq!(seen.look(), 1, "the first at once");
    let mut drawn = 0;
    for done in 1..=2000 {
        seen.now += SECOND / 1000;
        seen.set(1, "a", done, 2000);
        drawn += seen.look();
    }
    assert!((15..=20).contains(&drawn), "{drawn}");
    seen.set(2, "b", 1, 2);
    assert_eq!((seen.look(), seen.shows().len()), (1, 3), "another at once");
    seen.over(1);
    assert_eq!((seen.look(), seen.shows().len()), (1, 2), "and the end of one");
    seen.over(1);
    assert_eq!(seen.look(), 0, "which is no news any more");
}

#[test]
fn what_came_too_early_is_drawn_later() {
    let mut seen = Seen::new(80, 10);
    seen.set(1, "a", 0, 2);
    seen.set(1, "a", 1, 2);
    assert!(seen.shows()[0].ends_with(" 0%"));
    seen.tick(TICK);
    assert!(seen.shows()[0].ends_with(" 50%"));
    seen.set(1, "a", 2, 2);
    assert!(seen.shows()[0].ends_with(" 50%"));
    seen.now += EVERY;
    seen.set(1, "a", 2, 2);
    assert!(seen.shows()[0].ends_with(" 100%"));
}

#[test]
fn a_stall_shows_though_nothing_comes() {
    let mut seen = Seen::new(80, 10);
    seen.set(1, "a", 0, 100 * MIB);
    for step in 1..=10 {
        seen.now += SECOND;
        seen.set(1, "a", step * MIB, 100 * MIB);
    }
    assert_eq!(seen.shows()[0], "  a  [##------------------]  10%  1.0 MiB/s  1:30 left");
    seen.tick(SECOND);
    assert!(seen.shows()[0].contains(" KiB/s  "), "{:?}", seen.shows());
    (0..20).for_each(|_| seen.tick(TICK));
    assert_eq!(seen.shows()[0], "  a  [##------------------]  10%  0 bytes/s");
    seen.tick(TICK);
    assert_eq!(seen.look(), 0, "the same is not drawn again");
    // The pause has no part in what comes after it.
    seen.now += TICK;
    seen.set(1, "a", 20 * MIB, 100 * MIB);
    assert_eq!(seen.shows()[0], "  a  [####----------------]  20%  2.5 MiB/s  0:32 left");
    seen.now += TICK;
    seen.set(1, "a", 100 * MIB, 100 * MIB);
    let row = &seen.shows()[0];
    assert!(row.ends_with(" MiB/s") && row.contains("] 100%  "), "nothing is left: {row}");
}

#[test]
fn the_line_is_not_touched_where_rows_alone_change() {
    let mut seen = Seen::new(80, 10);
    seen.types("half");
    seen.set(1, "a", 0, 2);
    seen.look();
    seen.now += EVERY;
    seen.set(1, "a", 1, 2);
    let written = seen.out.take();
    let [bytes] = &written[..] else { panic!("it is written at once: {written:?}") };
    let text = String::from_utf8_lossy(bytes);
    assert!(text.contains("50%") && !text.contains("half") && !text.contains("\u{1b}[J"));
    // Which the model of a terminal does not know.
    assert!(text.contains("\u{1b}[?7l  a  [") && text.contains("50%\u{1b}[?7h"), "{text:?}");
}

#[test]
fn more_than_four_are_counted() {
    let mut seen = Seen::new(80, 24);
    for id in 0..7 {
        seen.set(id, &format!("file{id}"), 0, 1);
    }
    let ids = |rows: &[String]| rows.iter().map(|row| row[..7].to_owned()).collect::<Vec<_>>();
    let rows = seen.shows();
    assert_eq!(ids(&rows[..4]), ["  file0", "  file1", "  file2", "  file3"]);
    assert_eq!(rows[4..], ["  … and 3 more", "alice>"]);
    seen.over(1);
    seen.over(6);
    let rows = seen.shows();
    assert_eq!(ids(&rows[..4]), ["  file0", "  file2", "  file3", "  file4"]);
    assert_eq!(rows[4..], ["  … and 1 more", "alice>"]);
    seen.over(0);
    let rows = seen.shows();
    assert_eq!(ids(&rows[..4]), ["  file2", "  file3", "  file4", "  file5"]);
    assert_eq!(rows[4..], ["alice>"]);
    (2..6).for_each(|id| seen.over(id));
    assert_eq!(seen.shows(), ["alice>"]);
}

#[test]
fn so_many_that_they_would_fill_the_memory_are_not_kept() {
    let mut seen = Seen::new(80, 24);
    for id in 0..2 * u32::try_from(KNOWN).unwrap() {
        seen.set(id, "a", 0, 1);
    }
    assert_eq!(seen.screen.bars.running.len(), KNOWN);
}

#[test]
fn a_low_terminal_keeps_half_of_its_rows() {
    let mut seen = Seen::new(80, 24);
    (0..7).for_each(|id| seen.set(id, "a", 0, 1));
    for (height, bars, more) in [
        (10, 4, "  … and 3 more"),
        (8, 3, "  … and 4 more"),
        (4, 1, "  … and 6 more"),
        (3, 0, "  7 files on their way"),
        (2, 0, "  7 files on their way"),
    ] {
        seen.resize(80, height, Rows::Cut);
        assert_eq!(seen.screen.bars.rows.len(), bars + 1, "{height}");
        assert_eq!(seen.screen.bars.rows[bars].text, more, "{height}");
    }
    seen.resize(80, 1, Rows::Cut);
    assert!(seen.screen.bars.rows.is_empty());
    let mut seen = Seen::new(80, 3);
    seen.set(1, "a", 0, 1);
    assert_eq!(seen.shows(), ["  a  [--------------------]   0%", "alice>"]);
}

#[test]
fn nothing_is_longer_than_the_terminal_is_wide() {
    let titles = ["report.pdf from alice", "漢字漢字漢字漢字漢字.pdf from bob", "e\u{301}👩"];
    // Narrower ones have no room for a prompt.
    for columns in 7..=120 {
        let mut seen = Seen::new(columns, 24);
        seen.types("hi");
        seen.says("it works");
        let chat = seen.shows().len() - 1;
        for (id, title) in (0..).zip(titles) {
            seen.set(id, title, 0, u64::MAX);
        }
        for step in 1..=5 {
            seen.tick(SECOND);
            (0..).zip(titles).for_each(|(id, title)| seen.set(id, title, step << 54, u64::MAX));
        }
        seen.tick(SECOND);
        seen.says("it works");
        // Each row of each file is one on the screen.
        let rows = seen.shows();
        assert_eq!(rows.len(), 2 * chat + titles.len() + 1, "{columns}: {rows:?}");
        assert_eq!(rows[..chat], rows[chat..2 * chat], "{columns}");
        let bars = &rows[2 * chat..2 * chat + titles.len()];
        assert!(bars.iter().all(|row| width(row) < columns), "{columns}: {bars:?}");
        for columns in 0..7 {
            seen.screen.columns = columns;
            seen.screen.make_bars(seen.now);
            let bars = &seen.screen.bars.rows;
            assert!(bars.iter().all(|row| width(&row.text) < columns.max(1)), "{bars:?}");
        }
    }
}

#[test]
fn a_terminal_that_gets_narrower_breaks_rows_or_cuts_them_off() {
    for rows in [Rows::Broken, Rows::Cut] {
        let mut seen = Seen::new(80, 24);
        // As it has told where the cursor was in a line of its width.
        seen.screen.cuts = rows == Rows::Cut;
        seen.says("one");
        seen.types("half");
        (0..3).for_each(|id| seen.set(id, "report.pdf from bob", 1, 2));
        seen.tick(SECOND);
        let mut chat = vec!["bob: one".to_owned()];
        for columns in [70, 41, 40, 20, 33, 100, 15, 90] {
            seen.resize(columns, 24, rows);
            for _ in 0..2 {
                let shown = seen.shows();
                let (above, below) = shown.split_at(chat.len());
                assert_eq!(above, chat, "{rows:?} {columns}");
                assert_eq!(below.len(), 4, "{rows:?} {columns}: {below:?}");
                assert!(below[..3].iter().all(|row| row.starts_with("  rep")), "{below:?}");
                assert!(below[3].ends_with("> half"), "{below:?}");
                assert_eq!(seen.cursor(), (0, below[3].len()));
                seen.says("x");
                chat.push("bob: x".to_owned());
            }
        }
    }
}

#[test]
fn a_row_for_another_size_waits_for_it() {
    let mut seen = Seen::new(80, 24);
    seen.look();
    let progress = Progress { title: "a".to_owned(), done: 0, size: 1 };
    seen.screen.progress(1, Some(&progress), (40, 24), seen.now).unwrap();
    assert_eq!(seen.look(), 0);
    seen.resize(40, 24, Rows::Broken);
    assert_eq!(seen.shows(), ["  a   0%  0 bytes/s", "alice>"]);
}

#[test]
fn while_the_size_changes_there_are_no_rows() {
    let mut seen = Seen::new(80, 24);
    seen.says("one");
    seen.set(1, "a", 0, 2);
    seen.screen.resize((60, 24), seen.now).unwrap();
    assert_eq!(seen.shows(), ["bob: one", "alice>"]);
    seen.tick(SETTLES / 2);
    seen.screen.resize((50, 24), seen.now).unwrap();
    seen.tick(SETTLES / 2);
    seen.set(2, "b", 0, 2);
    seen.says("two");
    assert_eq!(seen.shows(), ["bob: one", "bob: two", "alice>"]);
    seen.tick(SETTLES / 2);
    assert_eq!(seen.shows().len(), 5);
    assert!(seen.shows()[2].starts_with("  a"));
}

#[test]
fn a_cleared_screen_has_the_rows_at_its_top() {
    let mut seen = Seen::new(80, 10);
    seen.says("one");
    seen.set(1, "a", 0, 1);
    seen.control('l');
    assert_eq!(seen.shows(), ["  a  [--------------------]   0%", "alice>"]);
    seen.says("two");
    assert_eq!(seen.shows(), ["bob: two", "  a  [--------------------]   0%", "alice>"]);
}

#[test]
fn in_the_background_nothing_is_drawn() {
    let mut seen = Seen::new(80, 10);
    seen.says("one");
    seen.types("half");
    seen.set(1, "a", 0, 2);
    seen.set(2, "b", 0, 2);
    // As Ctrl-Z does, without stopping the test.
    seen.screen.leave_row().unwrap();
    seen.screen.suspended = true;
    assert_eq!(seen.shows(), ["bob: one", "alice> half"]);
    seen.parser.process(b"$ fg\r\n");
    seen.set(3, "c", 0, 2);
    seen.over(1);
    seen.tick(SECOND);
    assert_eq!(seen.look(), 0);
    seen.screen.suspended = false;
    seen.screen.draw().unwrap();
    let rows = seen.shows();
    assert_eq!(rows[..3], ["bob: one", "alice> half", "$ fg"]);
    assert!(rows[3].starts_with("  b  [") && rows[4].starts_with("  c  ["), "{rows:?}");
    assert_eq!(rows[5..], ["alice> half"]);
    assert_eq!(seen.cursor(), (0, 11));
}

#[test]
fn who_leaves_takes_the_rows_along() {
    let mut seen = Seen::new(80, 10);
    seen.says("one");
    seen.set(1, "a", 0, 2);
    seen.control('d');
    assert_eq!(seen.shows(), ["bob: one"]);
    seen.set(2, "b", 0, 2);
    seen.over(1);
    seen.over(2);
    seen.tick(SECOND);
    assert_eq!(seen.look(), 0);
}

#[test]
fn a_new_connection_has_none_of_the_rows_of_the_old_one() {
    let out = Out::default();
    let screen = Screen::new(out.clone(), terminal_size(), Style::default());
    let shared =
        Shared { screen: Mutex::new(screen), changed: Condvar::new(), gave_up: false.into() };
    let terminal = Terminal(Arc::new(shared));
    let (columns, height) = terminal_size();
    let mut parser = parser(columns, height);
    let mut shows = |title: &str| {
        out.take().iter().for_each(|bytes| parser.process(bytes));
        parser.screen().contents().contains(title)
    };
    let progress = |title: &str| Progress { title: title.to_owned(), done: 0, size: 1 };
    let old = terminal.session();
    old.progress(1, Some(&progress("old"))).unwrap();
    assert!(shows("  old"));
    let new = terminal.session();
    assert!(!shows("  old"));
    old.progress(1, Some(&progress("late"))).unwrap();
    new.progress(2, Some(&progress("new"))).unwrap();
    old.progress(2, None).unwrap();
    assert!(shows("  new") && !shows("  late"));
}

#[test]
fn a_title_is_escaped() {
    let mut seen = Seen::new(120, 10);
    seen.set(1, "a\u{1b}[2J\u{202e}fdp.exe\nfrom bob", 0, 1);
    let row = "  a\\u{1b}[2J\\u{202e}fdp.exe\\u{a}from bob  [--------------------]   0%";
    assert_eq!(seen.shows(), [row, "alice>"]);
}

#[test]
fn empty_files_and_numbers_that_cannot_be() {
    let mut seen = Seen::new(80, 10);
    seen.set(1, "empty", 0, 0);
    seen.set(2, "more", 3, 2);
    seen.set(3, "most", u64::MAX, 1);
    seen.set(4, "none", 0, u64::MAX);
    for _ in 0..2 {
        let full = "[####################] 100%";
        let rows = seen.shows();
        for (row, title) in rows.iter().zip(["empty", "more ", "most "]) {
            assert!(row.starts_with(&format!("  {title}  {full}")), "{rows:?}");
            assert!(!row.contains("left"), "there is nothing left");
        }
        assert!(rows[3].starts_with("  none   [--------------------]   0%"));
        (0..10).for_each(|_| seen.tick(SECOND));
    }
    // It goes back, as if somebody else had received less.
    seen.set(2, "more", 1, 2);
    seen.tick(SECOND);
    assert_eq!(seen.shows()[1], "  more   [##########----------]  50%  0 bytes/s");
}

#[test]
fn colours_are_those_of_the_style() {
    let mut bars = Bars::default();
    let now = Instant::now();
    let progress = Progress { title: "a".to_owned(), done: 0, size: 1 };
    bars.set(1, Some(&progress), now);
    bars.make(80, 24, Style::new(true), now);
    let tail = style::Style::new(true).paint(style::GREY, "  [--------------------]   0%");
    assert_eq!(bars.rows[0].text, format!("  a{tail}"));
    assert_eq!(bars.rows[0].width, "  a  [--------------------]   0%".len());
}

#[test]
fn what_there_is_room_for() {
    let layout = |columns| Layout::new(columns, 21, RATE, LEFT);
    let all = |title, bar| Layout { title, bar, rate: true, left: true };
    assert_eq!(layout(200), all(21, 20));
    assert_eq!(layout(78), all(21, 20));
    assert_eq!(layout(77), all(21, 19));
    assert_eq!(layout(64), all(21, 6));
    assert_eq!(layout(63), all(20, 6));
    assert_eq!(layout(59), all(16, 6));
    assert_eq!(layout(58), all(21, 0));
    assert_eq!(layout(49), all(16, 0));
    let no_rate = |title| Layout { title, bar: 0, rate: false, left: true };
    assert_eq!(layout(48), no_rate(21));
    assert_eq!(layout(35), no_rate(16));
    let little = |title| Layout { title, bar: 0, rate: false, left: false };
    assert_eq!(layout(34), little(21));
    assert_eq!(layout(19), little(12));
    assert_eq!(layout(7), little(0));
    assert_eq!(layout(0), little(0));
    // A short title leaves its room to the others.
    assert_eq!(Layout::new(34, 4, RATE, LEFT), no_rate(4));
}

#[test]
fn a_title_loses_its_middle() {
    for (text, columns, short) in [
        ("report.pdf from alice", 21, "report.pdf from alice"),
        ("report.pdf from alice", 20, "report.pdf…rom alice"),
        ("report.pdf from alice", 12, "report…alice"),
        ("report.pdf from alice", 2, "r…"),
        ("report.pdf from alice", 1, "…"),
        ("report.pdf from alice", 0, ""),
        ("漢字漢字", 7, "漢…字"),
        ("漢字漢字", 6, "漢…字"),
        ("e\u{301}e\u{301}e\u{301}e\u{301}", 3, "e\u{301}…e\u{301}"),
        ("👩\u{200d}👧👩\u{200d}👧👩\u{200d}👧", 5, "👩\u{200d}👧…👩\u{200d}👧"),
    ] {
        assert_eq!(shorten(text, columns), short, "{columns}");
    }
}

/// What may happen at a terminal.
#[derive(Clone, Debug)]
enum Step {
    Said(String),
    Progress(u32, u64),
    Over(u32),
    Typed(char),
    Left,
    Deleted,
    Entered,
    Passed(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        "[a-z]{1,12}".prop_map(Step::Said),
        (0..7_u32, 0..200_u64).prop_map(|(id, done)| Step::Progress(id, done)),
        (0..7_u32).prop_map(Step::Over),
        prop::char::range('a', 'z').prop_map(Step::Typed),
        Just(Step::Left),
        Just(Step::Deleted),
        Just(Step::Entered),
        (0..2000_u64).prop_map(Step::Passed),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_chat_the_rows_and_the_line_are_never_torn(
        steps in prop::collection::vec(step(), 1..80),
        columns in 30..100_usize,
        height in 2..14_usize,
    ) {
        let mut seen = Seen::new(columns, height);
        let prompt = if columns < 40 { "> " } else { "alice> " };
        let (mut chat, mut line, mut cursor) = (Vec::new(), String::new(), 0);
        for step in steps {
            let key = |seen: &mut Seen, code| seen.press(code, KeyModifiers::NONE);
            match step {
                Step::Said(text) => {
                    seen.says(&text);
                    chat.push(format!("bob: {text}"));
                }
                Step::Progress(id, done) => seen.set(id, &format!("file{id} from bob"), done, 100),
                Step::Over(id) => seen.over(id),
                // The line stays on one row, whole.
                Step::Typed(_) if line.len() > 15 => {}
                Step::Typed(c) => {
                    key(&mut seen, KeyCode::Char(c));
                    line.insert(cursor, c);
                    cursor += 1;
                }
                Step::Left => {
                    key(&mut seen, KeyCode::Left);
                    cursor = cursor.saturating_sub(1);
                }
                Step::Deleted => {
                    key(&mut seen, KeyCode::Delete);
                    if cursor < line.len() {
                        line.remove(cursor);
                    }
                }
                Step::Entered => {
                    key(&mut seen, KeyCode::Enter);
                    if !line.is_empty() {
                        chat.push(format!("{prompt}{line}"));
                    }
                    line.clear();
                    cursor = 0;
                }
                Step::Passed(millis) => seen.tick(Duration::from_millis(millis)),
            }
            let bars = seen.screen.bars.rows.iter().map(|row| row.text.trim_end().to_owned());
            let typed = format!("{prompt}{line}").trim_end().to_owned();
            let expected = chat.iter().cloned().chain(bars).chain([typed]).collect::<Vec<_>>();
            prop_assert_eq!(seen.shows(), expected);
            prop_assert_eq!(seen.cursor(), (0, prompt.len() + cursor));
        }
    }
}
