//! A page taken apart.
//!
//! Read by a parser of CommonMark rather than line by line: links and words in backticks may go over
//! the end of a line and stand in tables, and fences in lists.

use pulldown_cmark::CodeBlockKind;
use pulldown_cmark::Event;
use pulldown_cmark::Options;
use pulldown_cmark::Parser;
use pulldown_cmark::Tag;
use pulldown_cmark::TagEnd;

use super::Problem;

/// A page of the documentation.
pub struct Page {
    /// Where it is, from the root of the project, with slashes.
    pub path: String,
    /// All of it.
    pub text: String,
    /// What stands between fences.
    pub blocks: Vec<Block>,
    /// Everything outside of blocks.
    pub lines: Vec<Line>,
    /// The anchors of its headings.
    pub anchors: Vec<String>,
    /// Where its links lead, in which lines.
    pub links: Vec<(usize, String)>,
    /// What stands in backticks in its text.
    pub spans: Vec<Span>,
}

/// A line of a page and the headings above it.
#[derive(Clone)]
pub struct Line {
    /// Its number, from 1.
    pub number: usize,
    /// The `##` heading above.
    pub section: String,
    /// The `###` heading above, without its backticks.
    pub heading: String,
    /// The line itself.
    pub text: String,
}

/// What stands between two fences.
pub struct Block {
    /// The opening fence, without its backticks.
    pub line: Line,
    /// The first word behind the fence.
    pub language: String,
    /// What stands behind the language.
    pub argument: String,
    /// What is inside.
    pub text: String,
    /// There is a closing fence.
    pub is_closed: bool,
}

/// Words in backticks.
pub struct Span {
    /// The line that they begin in.
    pub line: usize,
    /// The words.
    pub text: String,
    /// The paragraph, cell or item that they are in, as plain text.
    pub around: String,
}

impl Block {
    /// Its lines and their numbers.
    pub fn numbered(&self) -> impl Iterator<Item = (usize, &str)> {
        (self.line.number + 1..).zip(self.text.lines())
    }
}

impl Page {
    /// Reads a page.
    pub fn new(path: &str, text: &str) -> Page {
        let mut page = Page {
            path: path.to_owned(),
            text: text.to_owned(),
            blocks: Vec::new(),
            lines: Vec::new(),
            anchors: Vec::new(),
            links: Vec::new(),
            spans: Vec::new(),
        };
        let starts = text.match_indices('\n').map(|(at, _)| at).collect::<Vec<_>>();
        let line_at = |offset: usize| starts.partition_point(|end| *end < offset) + 1;
        let mut in_blocks = vec![false; starts.len() + 2];
        let (mut block, mut heading) = (None::<Block>, None::<String>);
        // The spans of `paragraph` begin with this one.
        let (mut paragraph, mut first_span) = (String::new(), 0);
        for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
            if is_border(&event) {
                for span in &mut page.spans[first_span..] {
                    span.around.clone_from(&paragraph);
                }
                paragraph.clear();
                first_span = page.spans.len();
            }
            match event {
                Event::Start(Tag::CodeBlock(kind)) => {
                    let info = match &kind {
                        CodeBlockKind::Fenced(info) => info.trim(),
                        CodeBlockKind::Indented => "",
                    };
                    let (language, argument) = info.split_once(' ').unwrap_or((info, ""));
                    let source = text[range.clone()].trim_end();
                    let last = source.lines().skip(1).last().unwrap_or_default().trim();
                    let fence = source.get(..3).unwrap_or_default();
                    let is_closed = kind == CodeBlockKind::Indented || last.starts_with(fence);
                    let first = line_at(range.start);
                    let after = line_at(range.start + source.len());
                    in_blocks[first..=after].fill(true);
                    let line = Line {
                        number: first,
                        section: String::new(),
                        heading: String::new(),
                        text: info.to_owned(),
                    };
                    let (language, argument) = (language.to_owned(), argument.trim().to_owned());
                    let text = String::new();
                    block = Some(Block { line, language, argument, text, is_closed });
                }
                Event::End(TagEnd::CodeBlock) => page.blocks.extend(block.take()),
                Event::Text(text) => match (&mut block, &mut heading) {
                    (Some(block), _) => block.text.push_str(&text),
                    (None, heading) => {
                        paragraph.push_str(&text);
                        heading.iter_mut().for_each(|heading| heading.push_str(&text));
                    }
                },
                Event::Code(code) => {
                    paragraph.push_str(&code);
                    heading.iter_mut().for_each(|heading| heading.push_str(&code));
                    let line = line_at(range.start);
                    let (text, around) = (code.into_string(), String::new());
                    page.spans.push(Span { line, text, around });
                }
                Event::SoftBreak | Event::HardBreak => {
                    paragraph.push(' ');
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let anchor = page.anchor(&heading.take().unwrap_or_default());
                    page.anchors.push(anchor);
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push((line_at(range.start), dest_url.into_string()));
                }
                _ => {}
            }
        }
        for span in &mut page.spans[first_span..] {
            span.around.clone_from(&paragraph);
        }
        page.add_lines(text, &in_blocks);
        page
    }

    fn add_lines(&mut self, text: &str, in_blocks: &[bool]) {
        let (mut section, mut heading) = (String::new(), String::new());
        let mut blocks = self.blocks.iter_mut().peekable();
        for (number, text) in (1..).zip(text.lines()) {
            if in_blocks[number] {
                if let Some(block) = blocks.next_if(|block| block.line.number == number) {
                    block.line.section.clone_from(&section);
                    block.line.heading.clone_from(&heading);
                }
                continue;
            }
            if let Some(title) = text.strip_prefix("## ") {
                (section, heading) = (title.to_owned(), String::new());
            } else if let Some(title) = text.strip_prefix("### ") {
                heading = title.trim_matches('`').to_owned();
            }
            let (section, heading) = (section.clone(), heading.clone());
            self.lines.push(Line { number, section, heading, text: text.to_owned() });
        }
    }

    /// The anchor that GitHub gives the next heading.
    fn anchor(&self, heading: &str) -> String {
        let kept = heading.trim().chars().filter_map(|c| match c {
            ' ' => Some('-'),
            '-' | '_' => Some(c),
            c if c.is_alphanumeric() => Some(c),
            _ => None,
        });
        let anchor = kept.flat_map(char::to_lowercase).collect::<String>();
        let again = |number: usize| match number {
            0 => anchor.clone(),
            _ => format!("{anchor}-{number}"),
        };
        let mut candidates = (0..).map(again);
        candidates.find(|anchor| !self.anchors.contains(anchor)).unwrap_or_default()
    }

    /// A problem of this page.
    pub fn problem(&self, line: usize, what: impl Into<String>) -> Problem {
        Problem { page: self.path.clone(), line, what: what.into() }
    }

    /// The cells of the tables under a heading.
    pub fn rows(&self, section: &str, heading: &str) -> Vec<Vec<&str>> {
        let here = |line: &&Line| line.section == section && line.heading == heading;
        let lines = self.lines.iter().filter(here).map(|line| line.text.as_str());
        let rows = lines.filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'));
        rows.map(|row| row.split('|').map(str::trim).collect()).collect()
    }
}

/// Whether one paragraph, item or cell ends here, or another begins.
fn is_border(event: &Event<'_>) -> bool {
    use TagEnd as End;
    match event {
        Event::Start(tag) => {
            !matches!(tag, Tag::Link { .. } | Tag::Image { .. } | Tag::Emphasis | Tag::Strong)
        }
        Event::End(end) => {
            matches!(end, End::Paragraph | End::Heading(_) | End::Item | End::TableCell)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::page;

    #[test]
    fn blocks_know_their_lines_and_headings() {
        let page = page(
            "page.md",
            "|# title
             |## Requests
             |### `hello`
             |text
             |
             |```json request
             |{}
             |
             |## no heading
             |```
             |
             |- in a list:
             |
             |  ```console  alice
             |  $ one
             |    two
             |  ```
             |- last",
        );
        let [json, console] = page.blocks.as_slice() else { panic!("two blocks") };
        assert_eq!((json.line.number, json.line.text.as_str()), (6, "json request"));
        assert_eq!((json.line.section.as_str(), json.line.heading.as_str()), ("Requests", "hello"));
        assert_eq!(json.text, "{}\n\n## no heading\n");
        assert_eq!((console.language.as_str(), console.argument.as_str()), ("console", "alice"));
        assert_eq!(console.numbered().collect::<Vec<_>>(), [(15, "$ one"), (16, "  two")]);
        let outside = page.lines.iter().map(|line| line.number).collect::<Vec<_>>();
        assert_eq!(outside, [1, 2, 3, 4, 5, 11, 12, 13, 18]);
        assert_eq!(page.anchors, ["title", "requests", "hello"]);
    }

    #[test]
    fn links_and_words_in_backticks_are_found_wherever_they_stand() {
        let page = page(
            "page.md",
            "|Two [li
             |nks](a.md) and ![an image](b.png), `co
             |de` here.
             |
             || a | b |
             ||---|---|
             || `x` | see [c][] |
             |
             |[c]: c.md#top",
        );
        let links = page.links.iter().map(|(line, to)| (*line, to.as_str())).collect::<Vec<_>>();
        assert_eq!(links, [(1, "a.md"), (2, "b.png"), (7, "c.md#top")]);
        let [code, x] = page.spans.as_slice() else { panic!("two spans") };
        assert_eq!((code.line, code.text.as_str()), (2, "co de"));
        assert_eq!(code.around, "Two li nks and an image, co de here.");
        assert_eq!((x.line, x.text.as_str(), x.around.as_str()), (7, "x", "x"));
    }

    #[test]
    fn anchors_are_githubs() {
        let page = page(
            "page.md",
            "|# What's new, `@send PATH`?
             |# A_b — c
             |# again
             |# Again
             |# Frames & Größen",
        );
        assert_eq!(
            page.anchors,
            ["whats-new-send-path", "a_b--c", "again", "again-1", "frames--größen"]
        );
    }
}
