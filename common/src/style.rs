//! Colour, for those who want it: which colours there are, and whether anybody wants them.
//!
//! Colour repeats what the words say and never says anything alone. The colours are those of the
//! fixed cube of xterm's 256, because a terminal's first 16 are whatever its user made of them;
//! each can be read on black and on white, which a test computes. Their escape sequences are
//! those of ECMA-48, section 8.3.117 (SGR), written by hand: a crate would be longer than this.

use std::env;
use std::ffi::OsStr;
use std::fmt::Display;

/// One of xterm's 256 colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour(u8);

/// Notices, and whatever may be overlooked.
pub const GREY: Colour = Colour(243);
/// Errors.
pub const RED: Colour = Colour(160);
/// What went well.
pub const GREEN: Colour = Colour(28);
/// The first of two things that should be told apart.
pub const ORANGE: Colour = Colour(130);
/// The second.
pub const VIOLET: Colour = Colour(98);
/// For names of people; red is left to errors.
pub const NAMES: [Colour; 8] = [
    // Orange, olive, green, teal, blue, indigo, violet, magenta.
    Colour(166),
    Colour(100),
    Colour(28),
    Colour(30),
    Colour(32),
    Colour(63),
    Colour(134),
    Colour(163),
];

/// The colour of a name: the same in every program, at every time, and in any case of letters.
pub fn of_name(name: &str) -> Colour {
    // FNV-1a with 64 bits; std's hashers promise no stable result.
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3)
    });
    let [first, ..] = NAMES;
    // The remainder is less than 8.
    let index = usize::try_from(hash % NAMES.len() as u64).unwrap_or_default();
    NAMES.get(index).copied().unwrap_or(first)
}

/// Whether output should be coloured: if it goes to a terminal, unless the user (`NO_COLOR`, see
/// no-color.org) or the terminal (`TERM=dumb`) is against it.
pub fn wanted(is_terminal: bool) -> bool {
    let (no_color, term) = (env::var_os("NO_COLOR"), env::var_os("TERM"));
    is_terminal && allowed(no_color.as_deref(), term.as_deref())
}

fn allowed(no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    // A console of Windows obeys escape sequences after a system call that std does not make;
    // terminals that need none set TERM there too.
    no_color.is_none_or(OsStr::is_empty) && term.map_or(!cfg!(windows), |term| term != "dumb")
}

/// Paints text, or leaves it as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    coloured: bool,
}

impl Style {
    /// A style that paints if `coloured`.
    pub fn new(coloured: bool) -> Style {
        Style { coloured }
    }

    /// `text` in `colour`. It must not contain a style itself: the end of that would end this.
    pub fn paint(self, colour: Colour, text: impl Display) -> String {
        self.sgr(format_args!("38;5;{}", colour.0), text)
    }

    /// `name` in its own colour.
    pub fn name(self, name: impl Display) -> String {
        let name = name.to_string();
        self.paint(of_name(&name), name)
    }

    /// `text` in bold.
    pub fn bold(self, text: impl Display) -> String {
        self.sgr(1, text)
    }

    fn sgr(self, code: impl Display, text: impl Display) -> String {
        if self.coloured { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Relative luminance, as WCAG 2.2 defines it, of a colour of xterm's cube or grey ramp.
    fn luminance(colour: Colour) -> f64 {
        let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * step };
        let rgb = match colour.0 {
            0..16 => panic!("whatever the user made of it"),
            cube @ 16..232 => {
                let cube = cube - 16;
                [level(cube / 36), level(cube / 6 % 6), level(cube % 6)]
            }
            grey => [8 + 10 * (grey - 232); 3],
        };
        let [red, green, blue] = rgb.map(|byte| match f64::from(byte) / 255.0 {
            low if low <= 0.04045 => low / 12.92,
            high => ((high + 0.055) / 1.055).powf(2.4),
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    #[test]
    fn every_colour_can_be_read_on_black_and_on_white() {
        for colour in [GREY, RED, GREEN, ORANGE, VIOLET].into_iter().chain(NAMES) {
            let luminance = luminance(colour);
            let (on_black, on_white) = ((luminance + 0.05) / 0.05, 1.05 / (luminance + 0.05));
            assert!(on_black >= 3.0 && on_white >= 3.0, "{colour:?}: {on_black} {on_white}");
        }
        // The formula itself, by two colours that everybody knows.
        assert!((luminance(Colour(231)) - 1.0).abs() < 1e-9);
        assert!((luminance(Colour(46)) - 0.7152).abs() < 1e-9);
    }

    #[test]
    fn a_name_keeps_its_colour() {
        assert_eq!(of_name("alice"), Colour(163));
        assert_eq!(of_name("ALICE"), of_name("alice"));
        let people = ["alice", "bob", "carol"].map(of_name);
        assert_eq!(people.map(|colour| colour.0).iter().collect::<BTreeSet<_>>().len(), 3);
        let all = ('a'..='z').map(|c| of_name(&c.to_string()).0).collect::<BTreeSet<_>>();
        assert_eq!(all.len(), NAMES.len(), "some colour is never used");
        assert!(!NAMES.contains(&RED) && !NAMES.contains(&GREY));
    }

    #[test]
    fn colour_is_not_forced_on_anybody() {
        let allowed = |no_color: Option<&str>, term: Option<&str>| {
            super::allowed(no_color.map(OsStr::new), term.map(OsStr::new))
        };
        assert!(allowed(None, Some("xterm-256color")));
        assert!(allowed(Some(""), Some("xterm")), "no-color.org: present and not empty");
        assert!(!allowed(Some("0"), Some("xterm")));
        assert!(!allowed(None, Some("dumb")));
        assert_eq!(allowed(None, None), !cfg!(windows));
        assert!(!wanted(false), "not in a pipe");
    }

    #[test]
    fn paint_is_left_away_whole() {
        let (plain, coloured) = (Style::default(), Style::new(true));
        assert_eq!(plain.paint(RED, 7) + &plain.bold("b") + &plain.name("bob"), "7bbob");
        assert_eq!(coloured.paint(RED, 7), "\x1b[38;5;160m7\x1b[0m");
        assert_eq!(coloured.bold("b"), "\x1b[1mb\x1b[0m");
        assert_eq!(coloured.name("bob"), "\x1b[38;5;32mbob\x1b[0m");
    }
}
