//! Makes whatever came from a peer safe to show.
//!
//! A terminal obeys control characters, bidirectional overrides reorder what a reader sees, and
//! zero-width characters hide in it. They are escaped visibly (`\u{1b}`), not stripped: a student
//! should see that somebody tried.

use std::fmt::Write;

/// Characters that pass although they are invisible: emoji and several scripts need them.
const NEEDED_IN_TEXT: [char; 3] = ['\u{200C}', '\u{200D}', '\u{FE0F}'];

/// Whether `c` is shown as it is, also in names and file names.
///
/// Everything else is escaped: control characters (Unicode category Cc), `Bidi_Control`,
/// `Default_Ignorable_Code_Point`, line and paragraph separators, interlinear annotations.
pub(crate) fn is_plain(c: char) -> bool {
    if c.is_control() {
        return false;
    }
    !matches!(c,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}'
        | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}'
        | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

/// `text` as it may be shown in a line of chat.
pub fn text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        push(&mut shown, c);
    }
    shown
}

/// `bytes` as they may be shown, bytes that are not UTF-8 as `\xNN`; what does not fit into about
/// `limit` bytes is counted instead.
pub fn bytes(bytes: &[u8], limit: usize) -> String {
    let mut shown = String::new();
    let mut left = bytes.len();
    for chunk in bytes.utf8_chunks() {
        let valid = chunk.valid().chars().map(|c| (c.len_utf8(), Ok(c)));
        let invalid = chunk.invalid().iter().map(|byte| (1, Err(*byte)));
        for (length, item) in valid.chain(invalid) {
            if shown.len() >= limit {
                write_to(&mut shown, format_args!("… ({left} bytes more)"));
                return shown;
            }
            left -= length;
            match item {
                Ok(c) => push(&mut shown, c),
                Err(byte) => write_to(&mut shown, format_args!("\\x{byte:02x}")),
            }
        }
    }
    shown
}

fn push(shown: &mut String, c: char) {
    if is_plain(c) || NEEDED_IN_TEXT.contains(&c) {
        shown.push(c);
    } else {
        write_to(shown, format_args!("{}", c.escape_unicode()));
    }
}

fn write_to(shown: &mut String, args: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = shown.write_fmt(args);
}

#[cfg(test)]
mod tests {
    use icu_properties::CodePointMapData;
    use icu_properties::CodePointSetData;
    use icu_properties::props::BidiControl;
    use icu_properties::props::DefaultIgnorableCodePoint;
    use icu_properties::props::GeneralCategory;

    use super::*;

    /// What passes in text but not in names and file names: emoji and several scripts need them.
    const JOINERS: [char; 3] = ['\u{200C}', '\u{200D}', '\u{FE0F}'];

    #[test]
    fn every_character_by_the_tables_of_unicode() {
        let category = CodePointMapData::<GeneralCategory>::new();
        let bidi = CodePointSetData::new::<BidiControl>();
        let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>();
        let mut escaped = 0;
        for c in '\0'..=char::MAX {
            let separates = matches!(
                category.get(c),
                GeneralCategory::Control
                    | GeneralCategory::LineSeparator
                    | GeneralCategory::ParagraphSeparator
            );
            let annotates = ('\u{FFF9}'..='\u{FFFB}').contains(&c);
            let unsafe_to_show =
                separates || annotates || bidi.contains(c) || ignorable.contains(c);
            assert_eq!(is_plain(c), !unsafe_to_show, "{c:?}");
            let shown = text(c.encode_utf8(&mut [0; 4]));
            if unsafe_to_show && !JOINERS.contains(&c) {
                escaped += 1;
                assert_eq!(shown, format!("\\u{{{:x}}}", u32::from(c)));
            } else {
                assert_eq!(shown.chars().collect::<Vec<_>>(), [c]);
            }
        }
        // The 65 of Cc and the 4096 of the tags are among them.
        assert!(escaped > 65 + 4096);
    }

    #[test]
    fn ordinary_text_of_any_script_passes() {
        for line in ["hi", "Grüße, 你好 مرحبا नमस्ते", "👩‍💻 ✈️ 🇩🇪", "می‌خواهم"]
        {
            assert_eq!(text(line), line);
        }
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown_instead() {
        assert_eq!(text("\u{1b}[2J"), "\\u{1b}[2J");
        assert_eq!(text("a\nb\r\t\0"), "a\\u{a}b\\u{d}\\u{9}\\u{0}");
        assert_eq!(text("\u{202e}exe.txt"), "\\u{202e}exe.txt");
        assert_eq!(text("\u{9b}31m"), "\\u{9b}31m");
    }

    #[test]
    fn zero_width_characters_are_shown() {
        assert_eq!(text("al\u{200b}ice"), "al\\u{200b}ice");
        assert_eq!(text("\u{feff}\u{2060}\u{e0041}"), "\\u{feff}\\u{2060}\\u{e0041}");
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_in_hex() {
        assert_eq!(bytes(b"ok \xff\xfe \x1b", 100), "ok \\xff\\xfe \\u{1b}");
    }

    #[test]
    fn a_cut_is_said() {
        assert_eq!(bytes(b"abcdef", 4), "abcd… (2 bytes more)");
        assert_eq!(bytes("aéb".as_bytes(), 2), "aé… (1 bytes more)");
        assert_eq!(
            bytes("\u{200b}".repeat(100).as_bytes(), 10),
            "\\u{200b}\\u{200b}… (294 bytes more)"
        );
    }
}
