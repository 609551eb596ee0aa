//! The line being typed: its text, the cursor in it, and the lines typed before.
//!
//! The cursor moves by grapheme clusters (Unicode Standard Annex #29), so that what looks like one
//! character is one, and places are counted in columns (Annex #11): `é` may be two characters of
//! one column, `漢` is one of two. Nothing here knows about a terminal.

use std::collections::VecDeque;
use std::mem;
use std::ops::Range;

use unicode_segmentation::GraphemeCursor;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use crate::escape;
use crate::message::MAX_TEXT;

/// So many lines are remembered.
const HISTORY: usize = 500;
/// Most bytes of a line: twice the longest text, so that what is too long can still be cut to size.
const MAX_LINE: usize = 2 * MAX_TEXT;

/// A line being edited.
#[derive(Debug, Default)]
pub struct Line {
    text: String,
    /// In bytes, on a border of grapheme clusters.
    cursor: usize,
    /// Where the part begins that is shown, in bytes.
    first: usize,
    /// What was cut out last.
    cut: String,
    history: History,
}

#[derive(Debug, Default)]
struct History {
    lines: VecDeque<String>,
    /// How many lines back; 0 is the line being typed…
    back: usize,
    /// …which is kept here meanwhile.
    latest: String,
}

/// A movement of the cursor, or how far a deletion reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    Left,
    Right,
    WordLeft,
    WordRight,
    Start,
    End,
}

/// What is shown of a line, and in which column of it the cursor is.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct View {
    pub text: String,
    pub cursor: usize,
}

impl Line {
    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What is left of the cursor.
    pub fn head(&self) -> &str {
        self.text.get(..self.cursor).unwrap_or_default()
    }

    /// Puts `text` at the cursor, if there is room for it.
    pub fn insert(&mut self, text: &str) {
        self.replace(self.cursor..self.cursor, text);
    }

    /// Replaces the last `length` bytes left of the cursor.
    pub fn replace_left(&mut self, length: usize, text: &str) {
        self.replace(self.cursor.saturating_sub(length)..self.cursor, text);
    }

    fn replace(&mut self, range: Range<usize>, text: &str) {
        let fits = self.text.len() - range.len() + text.len() <= MAX_LINE;
        if self.text.get(range.clone()).is_some() && (fits || text.is_empty()) {
            let end = range.start + text.len();
            self.text.replace_range(range, text);
            self.move_to(end);
        }
    }

    /// Moves the cursor.
    pub fn go(&mut self, to: To) {
        self.move_to(self.place(to));
    }

    /// Deletes up to there.
    pub fn delete(&mut self, to: To) {
        let place = self.place(to);
        self.replace(place.min(self.cursor)..place.max(self.cursor), "");
    }

    /// Deletes up to there; [`Line::paste`] brings it back.
    pub fn cut(&mut self, to: To) {
        let place = self.place(to);
        let range = place.min(self.cursor)..place.max(self.cursor);
        if let Some(cut) = self.text.get(range).filter(|cut| !cut.is_empty()) {
            self.cut = cut.to_owned();
            self.delete(to);
        }
    }

    /// Puts what was cut last at the cursor.
    pub fn paste(&mut self) {
        let cut = mem::take(&mut self.cut);
        self.insert(&cut);
        self.cut = cut;
    }

    /// Empties the line; what it was.
    pub fn take(&mut self) -> String {
        self.history.back = 0;
        (self.cursor, self.first) = (0, 0);
        mem::take(&mut self.text)
    }

    /// Remembers a line, unless it is the last one again.
    pub fn remember(&mut self, line: &str) {
        let lines = &mut self.history.lines;
        if lines.back().is_some_and(|last| last == line) {
            return;
        }
        if lines.len() == HISTORY {
            lines.pop_front();
        }
        lines.push_back(line.to_owned());
    }

    /// Shows the line before in the history.
    pub fn earlier(&mut self) {
        self.recall(self.history.back.saturating_add(1));
    }

    /// Shows the line after in the history; at last the one that was being typed.
    pub fn later(&mut self) {
        if let Some(back) = self.history.back.checked_sub(1) {
            self.recall(back);
        }
    }

    fn recall(&mut self, back: usize) {
        let History { lines, latest, .. } = &mut self.history;
        let line = match lines.len().checked_sub(back) {
            None => return,
            Some(at) => lines.get(at),
        };
        let line = line.cloned().unwrap_or_else(|| latest.clone());
        if self.history.back == 0 {
            self.history.latest = mem::take(&mut self.text);
        }
        self.history.back = back;
        self.text = line;
        self.first = 0;
        self.move_to(self.text.len());
    }

    /// A cursor between two grapheme clusters that became one goes to the end of that.
    fn move_to(&mut self, place: usize) {
        let mut border = GraphemeCursor::new(place, self.text.len(), true);
        self.cursor = match border.is_boundary(&self.text, 0) {
            Ok(false) => border.next_boundary(&self.text, 0).ok().flatten().unwrap_or(place),
            _ => place,
        };
    }

    fn place(&self, to: To) -> usize {
        let (left, right) = self.text.split_at_checked(self.cursor).unwrap_or((&self.text, ""));
        let words = |text: &str| {
            let words = text.unicode_word_indices();
            words.map(|(at, word)| at..at + word.len()).collect::<Vec<_>>()
        };
        match to {
            To::Left => left.grapheme_indices(true).next_back().map_or(0, |(at, _)| at),
            To::Right => self.cursor + right.graphemes(true).next().map_or(0, str::len),
            To::WordLeft => words(left).last().map_or(0, |word| word.start),
            To::WordRight => {
                self.cursor + words(right).first().map_or(right.len(), |word| word.end)
            }
            To::Start => 0,
            To::End => self.text.len(),
        }
    }

    /// What is shown of the line in so many columns. The cursor is always in it, and stays where it
    /// is on the screen as long as it can; `…` stands for what is left out.
    pub fn view(&mut self, columns: usize) -> View {
        let columns = columns.max(4);
        if prefix(&self.text, columns).len() == self.text.len() {
            self.first = 0;
            return View { text: escape::text(&self.text), cursor: width(self.head()) };
        }
        // One column is for the cursor behind the last character, two for the marks.
        let room = columns - 3;
        let hidden = self.text.get(self.first..self.cursor).unwrap_or_default();
        if self.first >= self.cursor || prefix(hidden, room + 1).len() < hidden.len() {
            // Half the room for what is before the cursor, so that it does not scroll at every key.
            let mut used = 0;
            let before = self.head().graphemes(true).rev();
            let before = before.take_while(|cluster| {
                used += width(cluster);
                used <= room.div_ceil(2)
            });
            self.first = self.cursor - before.map(str::len).sum::<usize>();
        }
        // Where there is room behind the end, as after a resize, it shows what is before instead.
        let mut used = 0;
        let before = self.text.graphemes(true).rev().take_while(|cluster| {
            used += width(cluster);
            used <= room
        });
        self.first = self.first.min(self.text.len() - before.map(str::len).sum::<usize>());
        let mark = if self.first > 0 { "…" } else { "" };
        let shown = self.text.get(self.first..).unwrap_or_default();
        let cursor = width(mark) + width(shown.get(..self.cursor - self.first).unwrap_or(""));
        let part = prefix(shown, columns - 1 - width(mark));
        let end = if part.len() < shown.len() { "…" } else { "" };
        View { text: format!("{mark}{}{end}", escape::text(part)), cursor }
    }
}

/// As much of the beginning of `text` as takes less than so many columns.
fn prefix(text: &str, columns: usize) -> &str {
    let mut used = 0;
    let fits = text.graphemes(true).take_while(|cluster| {
        used += width(cluster);
        used < columns
    });
    text.get(..fits.map(str::len).sum::<usize>()).unwrap_or_default()
}

/// How many columns a text takes when it is shown.
pub fn width(text: &str) -> usize {
    escape::text(text).width()
}

/// `text` in rows of at most so many columns, broken at spaces. All rows but the first are indented,
/// also within a word that is longer than a row: what comes from others never begins a row.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    const INDENT: &str = "  ";
    let columns = columns.max(INDENT.len() + 2);
    let mut rows = vec![String::new()];
    let mut used = 0;
    for word in text.split_inclusive(' ') {
        let is_first = rows.len() == 1 && used == 0;
        if !is_first && used + width(word.trim_end_matches(' ')) > columns {
            rows.push(INDENT.to_owned());
            used = INDENT.len();
        }
        for cluster in word.graphemes(true) {
            if used + width(cluster) > columns && cluster != " " {
                rows.push(INDENT.to_owned());
                used = INDENT.len();
            }
            if let Some(row) = rows.last_mut() {
                row.push_str(cluster);
            }
            used += width(cluster);
        }
    }
    rows.iter().map(|row| row.trim_end_matches(' ').to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        let mut line = Line::default();
        line.insert(text);
        line
    }

    /// The text with the cursor as `|`.
    fn shown(line: &Line) -> String {
        format!("{}|{}", line.head(), &line.text[line.cursor..])
    }

    #[test]
    fn the_cursor_moves_by_what_looks_like_a_character() {
        // e and a combining accent, a family joined by U+200D, a flag of two letters.
        let family = "👩\u{200d}👧";
        let mut line = line(&format!("ae\u{301}{family}🇩🇪b"));
        let mut steps = Vec::new();
        while line.cursor > 0 {
            let before = line.cursor;
            line.go(To::Left);
            steps.push(line.text[line.cursor..before].to_owned());
        }
        assert_eq!(steps, ["b", "🇩🇪", family, "e\u{301}", "a"]);
        line.go(To::Right);
        line.delete(To::Right);
        assert_eq!(shown(&line), format!("a|{family}🇩🇪b"));
        line.go(To::End);
        line.delete(To::Left);
        line.delete(To::Left);
        assert_eq!(shown(&line), format!("a{family}|"));
        line.delete(To::Right);
        assert_eq!(shown(&line), format!("a{family}|"), "nothing is there");
    }

    #[test]
    fn a_character_that_joins_the_one_before_takes_the_cursor_along() {
        let mut line = line("e");
        line.insert("\u{301}");
        assert_eq!(line.cursor, line.text.len());
        line.go(To::Start);
        line.insert("x\u{200d}");
        assert_eq!(shown(&line), "x\u{200d}|e\u{301}");
    }

    #[test]
    fn words() {
        let mut line = line("one two, three");
        line.go(To::WordLeft);
        assert_eq!(shown(&line), "one two, |three");
        line.go(To::WordLeft);
        assert_eq!(shown(&line), "one |two, three");
        line.go(To::WordRight);
        assert_eq!(shown(&line), "one two|, three");
        line.cut(To::WordLeft);
        assert_eq!(shown(&line), "one |, three");
        line.go(To::Start);
        line.paste();
        line.paste();
        assert_eq!(shown(&line), "twotwo|one , three");
        line.cut(To::End);
        assert_eq!(shown(&line), "twotwo|");
        line.cut(To::End);
        line.paste();
        assert_eq!(shown(&line), "twotwoone , three|", "an empty cut keeps what was cut before");
    }

    #[test]
    fn the_history_and_back_to_what_was_being_typed() {
        let mut line = Line::default();
        for text in ["first", "second", "second"] {
            line.insert(text);
            let text = line.take();
            line.remember(&text);
        }
        line.insert("half");
        for expected in ["second|", "first|", "first|"] {
            line.earlier();
            assert_eq!(shown(&line), expected);
        }
        for expected in ["second|", "half|", "half|"] {
            line.later();
            assert_eq!(shown(&line), expected);
        }
        line.earlier();
        assert_eq!(line.take(), "second");
        line.later();
        assert_eq!(shown(&line), "|", "a new line begins at the end of the history");
    }

    #[test]
    fn the_history_is_bounded() {
        let mut line = Line::default();
        for number in 0..HISTORY + 10 {
            line.remember(&number.to_string());
        }
        assert_eq!(line.history.lines.len(), HISTORY);
        for _ in 0..HISTORY + 10 {
            line.earlier();
        }
        assert_eq!(shown(&line), "10|");
    }

    #[test]
    fn a_short_line_is_shown_whole() {
        let mut line = line("né漢!");
        assert_eq!(line.view(10), View { text: "né漢!".into(), cursor: 5 });
        line.go(To::Left);
        line.go(To::Left);
        assert_eq!(line.view(10), View { text: "né漢!".into(), cursor: 2 });
        // What would disturb the terminal is shown as it will be shown to the others.
        let mut line = self::line("a\u{202e}b");
        assert_eq!(line.view(20), View { text: r"a\u{202e}b".into(), cursor: 10 });
    }

    #[test]
    fn a_long_line_is_shown_around_its_cursor() {
        let mut line = line(&"0123456789".repeat(10));
        for columns in [4, 5, 10, 33, 80, 100] {
            for to in [To::Left, To::Right] {
                for _ in 0..110 {
                    line.go(to);
                    let view = line.view(columns);
                    let shown = view.text.chars().collect::<Vec<_>>();
                    assert!(view.cursor < columns && width(&view.text) < columns, "{view:?}");
                    assert!(view.cursor <= shown.len());
                    // What is under the cursor in the view is what is under it in the line.
                    let under = shown.get(view.cursor).filter(|c| **c != '…');
                    let real = line.text[line.cursor..].chars().next();
                    assert!(under.is_none() || under.copied() == real, "{view:?} {}", shown.len());
                    let left = view.cursor.checked_sub(1).map(|at| shown[at]);
                    let before = line.head().chars().next_back();
                    assert!(left == before || left == Some('…') || left.is_none(), "{view:?}");
                }
            }
        }
    }

    #[test]
    fn a_wider_view_shows_more() {
        let mut line = line(&"0123456789".repeat(10));
        assert_eq!(line.view(20).text.chars().count(), 18);
        let view = line.view(60);
        assert_eq!((view.text.chars().count(), view.cursor), (58, 58), "all but a column or two");
        assert!(view.text.starts_with('…') && view.text.ends_with('9'));
    }

    #[test]
    fn a_line_has_an_end() {
        let mut line = line(&"é".repeat(MAX_TEXT));
        assert_eq!(line.text.len(), MAX_LINE);
        line.insert("x");
        assert_eq!(line.text.len(), MAX_LINE);
        line.delete(To::Left);
        line.insert("x");
        assert_eq!(line.text.len(), MAX_LINE - 1);
    }

    #[test]
    fn no_row_but_the_first_begins_with_what_others_wrote() {
        let forged = format!("eve: {}bob:\u{a0}the\u{a0}exam\u{a0}is\u{a0}off", "─".repeat(76));
        for columns in 1..=200 {
            for row in &wrap(&forged, columns)[1..] {
                assert!(row.starts_with("  "), "{columns}: {row:?}");
            }
            let rows = wrap(&forged, columns);
            assert!(rows.iter().all(|row| width(row) <= columns.max(4)), "{columns}: {rows:?}");
            let all = rows.iter().map(|row| row.trim_start_matches(' ')).collect::<String>();
            assert_eq!(all.replace(' ', ""), forged.replace(' ', ""), "nothing is lost");
        }
    }

    #[test]
    fn rows_break_at_spaces() {
        assert_eq!(wrap("", 10), [""]);
        assert_eq!(wrap("one two three", 80), ["one two three"]);
        assert_eq!(wrap("one two three", 8), ["one two", "  three"]);
        assert_eq!(wrap("one two three", 7), ["one two", "  three"]);
        assert_eq!(wrap("a 0123456789 b", 5), ["a", "  012", "  345", "  678", "  9 b"]);
        assert_eq!(wrap("0123456789", 5), ["01234", "  567", "  89"]);
        assert_eq!(wrap("漢字 漢字", 8), ["漢字", "  漢字"]);
        assert_eq!(wrap("  two  words ", 80), ["  two  words"]);
    }
}
