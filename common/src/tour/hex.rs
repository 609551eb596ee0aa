//! The bytes of frames in hex, with what they are beside them.

use super::wire;
use crate::frame;
use crate::frame::HEADER;
use crate::style;
use crate::style::Style;

/// Bytes in a row; with the text beside them they leave room for an indent in 80 columns.
const ROW: usize = 16;
/// Width of a row's bytes: two digits each, and a space between them.
const WIDTH: usize = 3 * ROW - 1;
/// Most rows of one body; what is cut off is counted.
const ROWS: usize = 8;

/// Annotates a stream of frames, which may come in pieces of any size.
#[derive(Debug, Default)]
pub struct Annotator {
    /// What has come of the length of the frame that has begun.
    header: Vec<u8>,
    /// What has come of the frame behind its length.
    come: usize,
}

impl Annotator {
    /// The rows for the bytes that come next: length and kind in one, then the body.
    pub fn rows(&mut self, mut bytes: &[u8], style: Style) -> Vec<String> {
        let mut rows = Vec::new();
        while !bytes.is_empty() {
            let mut labels = Vec::new();
            if self.claimed().is_none() {
                labels.push(self.length(&mut bytes, style));
            }
            if self.claimed().is_some() && self.come == 0 && !bytes.is_empty() {
                labels.push(self.kind(&mut bytes, style));
            }
            if !labels.is_empty() {
                rows.push(labels.join("   "));
            }
            if let Some(length) = self.claimed() {
                rows.extend(self.body(length - self.come, &mut bytes, style));
                if self.come == length {
                    *self = Annotator::default();
                }
            }
        }
        rows
    }

    /// What the length says, once it is there.
    fn claimed(&self) -> Option<usize> {
        self.header.as_slice().try_into().map(wire::length).ok()
    }

    fn length(&mut self, bytes: &mut &[u8], style: Style) -> String {
        let before = self.header.len();
        let part = take(bytes, HEADER - before);
        self.header.extend_from_slice(part);
        let label = match self.claimed() {
            Some(length) if before == 0 => format!("length: {length} bytes follow"),
            Some(length) => format!("end of the length: {length} bytes follow"),
            None => format!("length, {} of its {HEADER} bytes", self.header.len()),
        };
        format!("{}  {}", style.paint(style::ORANGE, hex(part)), style.paint(style::GREY, label))
    }

    fn kind(&mut self, bytes: &mut &[u8], style: Style) -> String {
        let part = take(bytes, 1);
        self.come = part.len();
        let label = match part {
            [frame::MESSAGE] => "kind: a message",
            [frame::CHUNK] => "kind: a file chunk",
            [frame::HANDSHAKE] => "kind: handshake",
            [frame::RECORD] => "kind: a record",
            _ => "kind: not known here",
        };
        format!("{}  {}", style.paint(style::VIOLET, hex(part)), style.paint(style::GREY, label))
    }

    fn body(&mut self, left: usize, bytes: &mut &[u8], style: Style) -> Vec<String> {
        let part = take(bytes, left);
        self.come += part.len();
        let mut rows = dump(part.get(..ROW * ROWS).unwrap_or(part));
        let more = part.len().saturating_sub(ROW * ROWS);
        if more > 0 {
            rows.push(style.paint(style::GREY, format_args!("… {more} bytes more")));
        }
        rows
    }
}

/// The rows of one frame whose body has parts: each of so many bytes, with what it is. The last part
/// has the rest.
pub fn parts(mut frame: &[u8], parts: &[(usize, &str)], style: Style) -> Vec<String> {
    let head = take(&mut frame, HEADER + 1);
    let mut rows = Annotator::default().rows(head, style);
    for (number, (length, label)) in parts.iter().enumerate() {
        let length = if number + 1 == parts.len() { frame.len() } else { *length };
        let mut label = *label;
        for part in take(&mut frame, length).chunks(ROW) {
            let label = style.paint(style::GREY, std::mem::take(&mut label));
            rows.push(format!("{:WIDTH$}  {label}", hex(part)).trim_end().to_owned());
        }
    }
    rows
}

/// Bytes in rows, with their text beside them.
pub fn dump(bytes: &[u8]) -> Vec<String> {
    let row = |bytes: &[u8]| format!("{:WIDTH$}  {}", hex(bytes), text(bytes));
    bytes.chunks(ROW).map(row).collect()
}

/// Takes at most `most` bytes off the front.
fn take<'a>(bytes: &mut &'a [u8], most: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at_checked(most).unwrap_or((bytes, &[]));
    *bytes = rest;
    taken
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

/// ASCII as it is, and a dot for anything else.
fn text(bytes: &[u8]) -> String {
    let shown = |byte: &u8| if matches!(byte, b' '..=b'~') { char::from(*byte) } else { '.' };
    bytes.iter().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: &[u8] = b"\0\0\0\x15\x10{\"type\":\"names\"}\xc3\xa9\x1b\0";

    fn rows(annotator: &mut Annotator, bytes: &[u8]) -> Vec<String> {
        annotator.rows(bytes, Style::default())
    }

    #[test]
    fn a_frame_is_shown_in_parts() {
        let frame = [b"\0\0\0\x15\x20ab".as_slice(), &[7; 18]].concat();
        let expected = [
            "00 00 00 15  length: 21 bytes follow   20  kind: handshake".to_owned(),
            format!("{:47}  two letters", "61 62"),
            format!("{}  the rest", ["07"; 16].join(" ")),
            "07 07".to_owned(),
        ];
        let parts = parts(&frame, &[(2, "two letters"), (0, "the rest")], Style::default());
        assert_eq!(parts, expected);
    }

    #[test]
    fn a_frame_is_taken_apart() {
        let expected = [
            "00 00 00 15  length: 21 bytes follow   10  kind: a message",
            "7b 22 74 79 70 65 22 3a 22 6e 61 6d 65 73 22 7d  {\"type\":\"names\"}",
            "c3 a9 1b 00                                      ....",
        ];
        let mut annotator = Annotator::default();
        assert_eq!(rows(&mut annotator, FRAME), expected);
        // And so is the next one, also in the same piece.
        assert_eq!(rows(&mut annotator, &[FRAME, FRAME].concat()), [expected, expected].concat());
    }

    #[test]
    fn a_frame_in_pieces() {
        let mut annotator = Annotator::default();
        let pieces = [&FRAME[..2], &FRAME[2..7], &FRAME[7..]];
        let expected = [
            &["00 00  length, 2 of its 4 bytes"][..],
            &[
                "00 15  end of the length: 21 bytes follow   10  kind: a message",
                "7b 22                                            {\"",
            ],
            &[
                "74 79 70 65 22 3a 22 6e 61 6d 65 73 22 7d c3 a9  type\":\"names\"}..",
                "1b 00                                            ..",
            ],
        ];
        for (piece, expected) in pieces.into_iter().zip(expected) {
            assert_eq!(rows(&mut annotator, piece), expected);
        }
    }

    #[test]
    fn at_every_byte_nothing_is_lost() {
        let stream = [FRAME, b"\0\0\0\x01\x11", FRAME].concat();
        for cut in 0..=stream.len() {
            let mut annotator = Annotator::default();
            let (one, other) = stream.split_at(cut);
            let all = [rows(&mut annotator, one), rows(&mut annotator, other)].concat();
            let bytes = all.iter().flat_map(|row| bytes_of(row)).collect::<Vec<_>>();
            assert_eq!(bytes, stream, "cut at {cut}: {all:?}");
            let kinds = all.iter().filter(|row| row.contains("kind: ")).count();
            assert_eq!(kinds, 3, "cut at {cut}: {all:?}");
        }
    }

    /// The bytes in a row: between labels, which are sentences of longer words, or in front of text.
    fn bytes_of(row: &str) -> Vec<u8> {
        let byte = |word: &str| u8::from_str_radix(word, 16).ok().filter(|_| word.len() == 2);
        let parts = match row.contains("length") || row.contains("kind") {
            true => row.split("   ").map(|part| part.split("  ").next().unwrap()).collect(),
            false => vec![&row[..WIDTH]],
        };
        parts.join(" ").split(' ').filter_map(byte).collect()
    }

    #[test]
    fn a_long_body_is_cut_and_counted_within_80_columns() {
        let frame = [&b"\0\x02\0\0\x10"[..], &[b'x'; 131_071]].concat();
        let rows = rows(&mut Annotator::default(), &frame);
        assert_eq!(rows.len(), 1 + ROWS + 1);
        assert_eq!(rows.last().map(String::as_str), Some("… 130943 bytes more"));
        assert!(rows.iter().all(|row| row.chars().count() <= 76), "{rows:?}");
    }

    #[test]
    fn colour_adds_nothing_but_itself() {
        let coloured = Annotator::default().rows(FRAME, Style::new(true));
        assert!(coloured[0].starts_with("\x1b[38;5;130m00 00 00 15\x1b[0m  "), "{coloured:?}");
        let mut plain = coloured.join("\n");
        for colour in [style::ORANGE, style::VIOLET, style::GREY] {
            let painted = Style::new(true).paint(colour, "|");
            plain = plain.replace(painted.split('|').next().unwrap(), "");
        }
        plain = plain.replace("\x1b[0m", "");
        assert_eq!(plain, rows(&mut Annotator::default(), FRAME).join("\n"));
    }
}
