//! Sizes as a person writes and reads them.
//!
//! K, M, G and T count by 1024, as for memory: 64M are 67,108,864 bytes. Shown they are KiB, MiB,
//! GiB and TiB (IEC 80000-13), so that nobody has to guess. (Crates for this read M as a million.)

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;

/// The units beyond the byte, each 1024 times the one before.
const UNITS: [char; 4] = ['K', 'M', 'G', 'T'];

/// Longer than this no time left is shown: nobody would believe it.
const LONGEST: Duration = Duration::from_secs(99 * 60 * 60);

/// Digits after the point that are read; more have no meaning.
const MAX_FRACTION: usize = 9;

/// A number of bytes on the command line: `1000`, `64M`, `1.5G`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// Why something is not a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "a size is a number of bytes, or one with K, M, G or T for units of 1024, as in 64M or 1.5G"
)]
pub struct NotASize;

impl FromStr for Size {
    type Err = NotASize;

    /// The unit may be in lower case, and written out as in `64MiB`. Fractions of a byte are left
    /// out.
    fn from_str(text: &str) -> Result<Size, NotASize> {
        let end = text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let unit = unit.strip_suffix("iB").filter(|unit| !unit.is_empty()).unwrap_or(unit);
        let power = UNITS
            .iter()
            .position(|known| unit.eq_ignore_ascii_case(known.encode_utf8(&mut [0; 4])));
        let power = match (unit, power) {
            ("", _) => 0,
            (_, Some(power)) => power + 1,
            (_, None) => return Err(NotASize),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        // A fraction of bytes makes no sense, and neither do those that nobody can tell apart.
        if fraction.len() > MAX_FRACTION || (power == 0 && number.contains('.')) {
            return Err(NotASize);
        }
        let digits = |text: &str| text.parse::<u64>().map(u128::from).map_err(|_| NotASize);
        let scale = fraction.chars().fold(1_u128, |scale, _| scale * 10);
        let bytes = (digits(whole)? * scale + digits(fraction)?) * unit_of(power) / scale;
        u64::try_from(bytes).map(Size).map_err(|_| NotASize)
    }
}

impl fmt::Display for Size {
    /// Exactly, in the largest unit that has no fraction; it can be read again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = u128::from(self.0);
        let fits = |power: &usize| bytes > 0 && bytes.is_multiple_of(unit_of(*power));
        let power = (1..=UNITS.len()).rev().find(fits).unwrap_or(0);
        write!(f, "{}", bytes / unit_of(power))?;
        match power.checked_sub(1).and_then(|at| UNITS.get(at)) {
            Some(unit) => write!(f, "{unit}"),
            None => Ok(()),
        }
    }
}

/// The bytes of a unit.
fn unit_of(power: usize) -> u128 {
    (0..power).fold(1, |unit, _| unit * 1024)
}

/// `bytes` for a line of progress: `512 bytes`, `1.5 KiB`, `64.0 MiB`.
pub fn human(bytes: u64) -> String {
    let is_large = |power: &usize| u128::from(bytes) >= unit_of(*power);
    let Some(power) = (1..=UNITS.len()).rev().find(is_large) else {
        return format!("{bytes} bytes");
    };
    // Rounded down: nothing is complete before it is.
    let tenths = u128::from(bytes) * 10 / unit_of(power);
    let unit = UNITS.get(power - 1).copied().unwrap_or_default();
    format!("{}.{} {unit}iB", tenths / 10, tenths % 10)
}

/// How fast `bytes` in `time` are: `2.5 MiB/s`; nothing can be said of no time.
pub fn rate(bytes: u64, time: Duration) -> Option<String> {
    let per_second = u128::from(bytes) * 1_000_000_000;
    let per_second = per_second.checked_div(time.as_nanos())?;
    Some(format!("{}/s", human(u64::try_from(per_second).unwrap_or(u64::MAX))))
}

/// A time left, in minutes and seconds, or in hours, too: `0:14`, `12:03`, `1:02:03`. `None` if it is
/// over 99 hours.
pub fn left(time: Duration) -> Option<String> {
    if time > LONGEST {
        return None;
    }
    // Rounded up: none is left only when it is.
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    Some(match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_person_writes() {
        for (text, bytes) in [
            ("0", 0),
            ("1000", 1000),
            ("1k", 1024),
            ("64M", 67_108_864),
            ("64m", 67_108_864),
            ("64MiB", 67_108_864),
            ("1.5G", 1_610_612_736),
            ("0.5K", 512),
            ("1.1K", 1126),
            ("2T", 2_199_023_255_552),
            ("18446744073709551615", u64::MAX),
            ("16777215.999999999T", 18_446_744_073_709_550_516),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_no_size() {
        for text in [
            "",
            "M",
            "iB",
            "1iB",
            "-1",
            "+1",
            "1.5",
            "1.",
            ".5M",
            "1..5M",
            "1.5.5M",
            "64 M",
            "64MB",
            "64B",
            "1e3",
            "0x10",
            "1,5M",
            "1P",
            "64MM",
            "1.M",
            "1.0000000001K",
            "18446744073709551616",
            "16777216T",
            "99999999999999999999999999999999999999999T",
            "６４M",
            "64Mi",
            "64K\u{212a}",
            "64\u{212a}",
            " 64M",
            "64M\n",
        ] {
            assert_eq!(text.parse::<Size>(), Err(NotASize), "{text}");
        }
    }

    #[test]
    fn exactly_as_it_is_shown() {
        for (bytes, text) in [
            (0, "0"),
            (1, "1"),
            (1023, "1023"),
            (1024, "1K"),
            (1025, "1025"),
            (67_108_864, "64M"),
            (1_610_612_736, "1536M"),
            (1 << 50, "1024T"),
        ] {
            assert_eq!(Size(bytes).to_string(), text);
        }
    }

    #[test]
    fn for_a_line_of_progress() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1024 * 1024 - 1, "1023.9 KiB"),
            (1024 * 1024, "1.0 MiB"),
            (5 << 30, "5.0 GiB"),
            (u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(human(bytes), text);
        }
    }

    #[test]
    fn rates_are_per_second() {
        assert_eq!(rate(1024, Duration::from_secs(2)), Some("512 bytes/s".into()));
        assert_eq!(rate(5 << 20, Duration::from_millis(2000)), Some("2.5 MiB/s".into()));
        assert_eq!(rate(1, Duration::ZERO), None);
        assert_eq!(rate(u64::MAX, Duration::from_nanos(1)), Some("16777215.9 TiB/s".into()));
    }

    #[test]
    fn times_left() {
        for (millis, text) in [
            (0, Some("0:00")),
            (1, Some("0:01")),
            (14_000, Some("0:14")),
            (59_001, Some("1:00")),
            (723_000, Some("12:03")),
            (3_599_000, Some("59:59")),
            (3_599_001, Some("1:00:00")),
            (3_723_000, Some("1:02:03")),
            (356_400_000, Some("99:00:00")),
            (356_400_001, None),
            (u64::MAX, None),
        ] {
            assert_eq!(left(Duration::from_millis(millis)).as_deref(), text, "{millis}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_as_the_same(bytes: u64, zeros in 0..50_u32) {
            let size = Size(bytes >> zeros << zeros);
            prop_assert_eq!(size.to_string().parse(), Ok(size));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9.]{0,24}[KMGTkmgtiB]{0,3}|.*") {
            let _ = text.parse::<Size>();
        }
    }
}
