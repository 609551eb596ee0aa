//! Excerpts of tours with random bytes in them.
//!
//! A page shows the bytes of one tour, and no other tour has the same. So several are taken: a byte
//! that is the same in all of them has to be that one on the page too, and any other has to be a
//! byte. Text beside bytes has to be the text of those bytes. All else is compared as it is.

use super::output;

/// So many tours tell which bytes are random: one of a thousand random bytes is the same in all of
/// them, by chance, once in some millions of times.
pub const TOURS: usize = 5;

/// How deep rows of bytes are indented.
const ROW: &str = "      ";

/// A line, its bytes apart.
#[derive(Debug, PartialEq, Eq)]
struct Row<'l> {
    bytes: Vec<u8>,
    /// The line with `xx` for each byte, and `text` for the text of these bytes.
    shape: String,
    line: &'l str,
}

impl<'l> Row<'l> {
    fn new(line: &'l str) -> Row<'l> {
        let mut bytes = Vec::new();
        let mut rest = line.strip_prefix(ROW).unwrap_or_default();
        while let Some((pair, more)) = rest.split_at_checked(2)
            && pair.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
            && (more.is_empty() || more.starts_with(' '))
        {
            bytes.extend(u8::from_str_radix(pair, 16));
            rest = more.strip_prefix(' ').unwrap_or(more);
        }
        let shape = match bytes.is_empty() {
            true => line.to_owned(),
            false => {
                let label = rest.trim();
                let label = if label == text(&bytes).trim() { "text" } else { label };
                format!("{ROW}{} {label}", vec!["xx"; bytes.len()].join(" "))
            }
        };
        Row { bytes, shape, line }
    }
}

/// Whether a line is a row of bytes.
pub fn is_row(line: &str) -> bool {
    !Row::new(line).bytes.is_empty()
}

/// Bytes as the tours show them.
fn text(bytes: &[u8]) -> String {
    let plain = |byte: &u8| match byte {
        b' '..=b'~' => char::from(*byte),
        _ => '.',
    };
    bytes.iter().map(plain).collect()
}

/// Compares an excerpt with several tours.
///
/// # Errors
/// The number of a line that is not so, from 0, and why.
pub fn check(quoted: &[String], tours: &[Vec<String>]) -> Result<(), (usize, String)> {
    let quoted = quoted.iter().map(|line| Row::new(line)).collect::<Vec<_>>();
    let tours = tours.iter().map(|tour| tour.iter().map(|line| Row::new(line)).collect::<Vec<_>>());
    let tours = tours.collect::<Vec<_>>();
    let found = tours.iter().map(|tour| find(&quoted, tour)).collect::<Result<Vec<_>, _>>()?;
    for (number, row) in quoted.iter().enumerate() {
        let there = found.iter().filter_map(|found| found[number]).collect::<Vec<_>>();
        for (at, byte) in row.bytes.iter().enumerate() {
            let mut all = there.iter().map(|row| row.bytes[at]);
            let Some(first) = all.next() else { continue };
            if all.all(|other| other == first) && first != *byte {
                let what = format!(
                    "byte {} of this row is {first:02x} in every tour:\n    {}",
                    at + 1,
                    row.line
                );
                return Err((number, what));
            }
        }
    }
    Ok(())
}

/// The row of a tour for each row of an excerpt; `...` has none.
fn find<'t, 'l>(
    quoted: &[Row<'_>],
    tour: &'t [Row<'l>],
) -> Result<Vec<Option<&'t Row<'l>>>, (usize, String)> {
    let shapes = tour.iter().map(|row| row.shape.as_str()).collect::<Vec<_>>();
    let (mut found, mut from) = (Vec::new(), 0);
    for part in quoted.split(|row| row.line.trim() == "...") {
        let wanted = part.iter().map(|row| row.shape.as_str()).collect::<Vec<_>>();
        let end = |wanted: &[&str]| output::find(wanted, &shapes[from..]).map(|end| from + end);
        let Some(end) = end(&wanted) else {
            let good = (0..wanted.len()).rev().find(|good| end(&wanted[..*good]).is_some());
            let line = found.len() + good.unwrap_or_default();
            return Err((line, "no tour shows this line, whatever the bytes".to_owned()));
        };
        found.extend(tour[end - part.len()..end].iter().map(Some));
        // That is the line `...`, or one too many at the end.
        found.push(None);
        from = end;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    /// Two tours: of the second row only the first byte is the same.
    fn tours() -> Vec<Vec<String>> {
        let tour = |random: &str| {
            lines(&format!(
                "1. A step\n   alice -> server, packet {}: 5 bytes\n      00 00  length\n      \
                 04 {random}  its x\n   It is said.\n      41 42  AB\n      {random}  ..\n",
                random.len() * 3
            ))
        };
        vec![tour("01 02"), tour("03 04")]
    }

    fn check_this(quoted: &str) -> Result<(), (usize, String)> {
        check(&lines(quoted), &tours())
    }

    #[test]
    fn random_bytes_are_any_bytes() {
        for quoted in [
            "      00 00  length\n      04 aa bb  its x\n   It is said.",
            "   alice -> server, packet [..]: 5 bytes\n...\n      04 03 02  its x",
            "...\n      41 42  AB\n      41 7f  A.",
            "1. A step\n...\n      00 00  length\n...\n   It is said.",
        ] {
            assert_eq!(check_this(quoted), Ok(()), "{quoted}");
        }
    }

    #[test]
    fn nothing_else_is_any() {
        for (quoted, line, why) in [
            ("      00 01  length", 0, "byte 2 of this row is 00 in every tour"),
            ("1. A step\n...\n      05 aa bb  its x", 2, "byte 1 of this row is 04"),
            ("      04 aa bb  its y", 0, "no tour shows"),
            ("      04 aa  its x", 0, "no tour shows"),
            ("      04 aa bg  its x", 0, "no tour shows"),
            ("      00 00  length\n   It is said.", 1, "no tour shows"),
            ("   It is said.\n...\n      00 00  length", 2, "no tour shows"),
            // The text is that of other bytes.
            ("      41 42  AB\n      41 42  .B", 1, "no tour shows"),
            ("      41 43  AC", 0, "byte 2 of this row is 42"),
        ] {
            let (number, what) = check_this(quoted).unwrap_err();
            assert!(number == line && what.contains(why), "{quoted}\n{number}: {what}");
        }
    }
}
