//! `docs/protocol.md` says what the code does: its examples, words, fields and numbers.
//!
//! The page is written by hand; nothing of it is generated. What fails here names the line of the
//! page and what belongs there.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test may stop at the first surprise; this covers its helpers"
)]

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::fmt::Write;
use std::time::Duration;
use std::time::Instant;

use common::escape;
use common::frame;
use common::frame::Frame;
use common::limits::Limits;
use common::message;
use common::message::Event;
use common::message::Reason;
use common::message::Request;
use common::message::Status;
use common::name;
use common::room::PeerId;
use common::room::Room;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The words of an enum on the wire. A variant that is not listed here does not compile; one that
/// is listed has to be on the page.
macro_rules! words {
    ($name:ident, $type:ident: $($variant:ident $word:literal)*) => {
        mod $name {
            use super::$type;

            pub const ALL: &[&str] = &[$($word),*];

            pub fn word(of: &$type) -> &'static str {
                match of {
                    $($type::$variant { .. } => $word,)*
                }
            }
        }
    };
}

words! { request, Request:
    Hello "hello"
    Say "say"
    Private "private"
    Names "names"
    Status "status"
    GroupSet "group-set"
    GroupSend "group-send"
    GroupLeave "group-leave"
    GroupDelete "group-delete"
    Typing "typing"
    Ping "ping"
    Pong "pong"
}

words! { event, Event:
    Welcome "welcome"
    Joined "joined"
    Left "left"
    Said "said"
    Private "private"
    Group "group"
    Names "names"
    Status "status"
    GroupSet "group-set"
    GroupLeft "group-left"
    GroupOwner "group-owner"
    GroupDeleted "group-deleted"
    Typing "typing"
    Notice "notice"
    Refused "refused"
    Bye "bye"
    Ping "ping"
    Pong "pong"
}

words! { reason, Reason:
    NameTaken "name-taken"
    BadName "bad-name"
    Full "full"
    Protocol "protocol"
    Slow "slow"
    Silent "silent"
    Stopping "stopping"
}

words! { status, Status:
    Normal "normal"
    Dnd "dnd"
    Away "away"
}

#[test]
fn hex_examples_are_what_the_encoder_writes() {
    let page = Page::read();
    let mut above: Option<&Block> = None;
    let mut shown = BTreeSet::new();
    for block in &page.blocks {
        if block.line.text == "hex" {
            let Some(json) = above else {
                block.wrong("it has to stand below a `json request` or a `json event`");
            };
            let (frame, word) = json.encoded();
            let expected = hex(&frame);
            if block.text != expected {
                block.wrong(format!("what belongs there is\n\n{expected}"));
            }
            shown.insert(word);
        }
        above = Some(block).filter(|block| block.is_json());
    }
    for word in ["hello", "welcome", "joined"] {
        assert!(shown.contains(word), "docs/protocol.md: add a hex example of a `{word}`");
    }
}

#[test]
fn json_examples_are_what_the_encoder_writes() {
    for block in Page::read().blocks.iter().filter(|block| block.is_json()) {
        let (_, word) = block.encoded();
        let first = format!(r#"{{"type":"{word}""#);
        if !block.json().starts_with(&first) {
            block.wrong(format!("it has to begin with {first}"));
        }
        let version = block.fields().get("chat5").cloned();
        if version.is_some_and(|version| version != message::VERSION) {
            block.wrong(format!("the version is {}; repair it in the table too", message::VERSION));
        }
        if let Some(text) = block.fields().get("text")
            && !block.json().ends_with(&format!(r#","text":{text}}}"#))
        {
            block.wrong("`text` has to be the last field: repair the order in message.rs");
        }
    }
}

#[test]
fn every_request_and_event_has_an_example_and_its_fields_a_table() {
    let page = Page::read();
    for (section, label, words) in
        [("Requests", "json request", request::ALL), ("Events", "json event", event::ALL)]
    {
        let mut fields = BTreeMap::<&str, BTreeSet<String>>::new();
        let here = |block: &&Block| block.is_json() && block.line.section == section;
        for block in page.blocks.iter().filter(here) {
            let (_, word) = block.encoded();
            if block.line.text != label || block.line.heading != word {
                let (found, heading) = (&block.line.text, &block.line.heading);
                block.wrong(format!("a `{found}`, {word}, stands in {section} below {heading}"));
            }
            let keys = block.fields().into_iter().map(|(key, _)| key);
            fields.entry(word).or_default().extend(keys.filter(|key| key != "type"));
        }
        for word in words {
            let Some(fields) = fields.get(word) else {
                panic!("docs/protocol.md: add `{word}` with an example to {section}");
            };
            let listed = page.first_column(section, word, 3);
            assert_eq!(
                listed, *fields,
                "docs/protocol.md, {section}, `{word}`: on the left the fields in its table, on \
                 the right those of its examples"
            );
        }
        for line in page.lines.iter().filter(|line| line.text.starts_with("### ")) {
            let known = line.section != section || words.contains(&line.heading.as_str());
            assert!(known, "docs/protocol.md, line {}: the code has no such message", line.number);
        }
    }
}

#[test]
fn the_words_in_tables_and_lists_are_those_of_the_code() {
    let page = Page::read();
    for word in reason::ALL {
        let reason = serde_json::from_str::<Reason>(&format!("\"{word}\"")).expect(word);
        assert_eq!(reason::word(&reason), *word);
    }
    assert_eq!(
        page.first_column("Events", "bye", 4),
        reason::ALL.iter().map(|word| (*word).to_owned()).collect(),
        "docs/protocol.md, `bye`: on the left the reasons in its table, on the right those of the \
         code"
    );
    let rows = page.rows("Messages", "");
    let row = rows.iter().find(|row| row.first() == Some(&"status")).expect("a row for status");
    for word in status::ALL {
        let status = serde_json::from_str::<Status>(&format!("\"{word}\"")).expect(word);
        assert_eq!(status::word(&status), *word);
        let listed = row.iter().any(|cell| cell.contains(&format!("`\"{word}\"`")));
        assert!(listed, "docs/protocol.md, Messages, type `status`: add {word}");
    }
    let reserved = name::RESERVED.map(|word| format!("`{word}`")).join(", ");
    let prose = page.lines.iter().filter(|line| line.section == "Messages");
    let prose = prose.map(|line| line.text.as_str()).collect::<Vec<_>>().join(" ");
    assert!(
        prose.contains(&format!("in any case of letters: {reserved}.")),
        "docs/protocol.md, Messages, Names: the names that nobody can have are {reserved}."
    );
}

#[test]
fn the_characters_to_be_escaped_are_those_that_are() {
    let page = Page::read();
    let block = page.blocks.iter().find(|block| block.line.text == "escaped");
    let block = block.expect("docs/protocol.md: the list of characters is a block named `escaped`");
    let mut ranges = Vec::<(u32, u32)>::new();
    for c in '\0'..=char::MAX {
        if escape::text(c.encode_utf8(&mut [0; 4])) == c.to_string() {
            continue;
        }
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == u32::from(c) => *last += 1,
            _ => ranges.push((u32::from(c), u32::from(c))),
        }
    }
    let range = |(first, last): &(u32, u32)| match first == last {
        true => format!("U+{first:04X}"),
        false => format!("U+{first:04X}-U+{last:04X}"),
    };
    let lines = ranges.chunks(5);
    let lines = lines.map(|line| line.iter().map(range).collect::<Vec<_>>().join("  ") + "\n");
    let expected = lines.collect::<String>();
    if block.text != expected {
        block.wrong(format!("what belongs there is\n\n{expected}"));
    }
}

#[test]
fn the_numbers_are_those_of_the_code() {
    let page = Page::read();
    let rows = limits();
    let listed = page.rows("Limits", "");
    for (what, limit) in &rows {
        assert!(
            listed.iter().any(|row| row.as_slice() == [*what, limit.as_str()]),
            "docs/protocol.md, Limits: there has to be the row\n| {what} | {limit} |"
        );
    }
    // Two lines more: the head and what is below it.
    let added = "docs/protocol.md, Limits: a row is not checked, add it to `limits` in this test";
    assert_eq!(listed.len(), rows.len() + 2, "{added}");

    // Elsewhere on the page they are repeated: each has to be one of the table, with its unit.
    let table = rows.iter().map(|(_, limit)| limit.as_str()).collect::<Vec<_>>().join(" ");
    let known = numbers(&table);
    for Line { number, text, .. } in &page.lines {
        for (value, unit) in numbers(text) {
            let of_stage_or_rfc = unit.is_empty() && (value <= 9 || text.contains("RFC"));
            let is_limit = known
                .iter()
                .any(|(known, its_unit)| *known == value && (unit.is_empty() || unit == *its_unit));
            assert!(
                of_stage_or_rfc || is_limit,
                "docs/protocol.md, line {number}: {value} {unit} is none of the limits: {text}"
            );
        }
    }
}

/// The rows of the table of limits.
fn limits() -> Vec<(&'static str, String)> {
    let limits = Limits::default();
    let (groups_each, groups) = groups();
    let bytes = |bytes: usize| format!("{} bytes", grouped(bytes));
    let kib = |bytes: usize| match bytes % 1024 {
        0 => format!("{} KiB", bytes / 1024),
        _ => format!("{} bytes", grouped(bytes)),
    };
    let time = |time: Duration| match time.subsec_millis() {
        0 => format!("{} s", time.as_secs()),
        _ => format!("{} ms", time.as_millis()),
    };
    vec![
        ("kind and body of a frame", format!("1 to {}", bytes(frame::MAX_LENGTH))),
        ("a text", format!("1 to {}", bytes(message::MAX_TEXT))),
        ("a name", format!("1 to {} characters", name::MAX_LENGTH)),
        ("from connecting to the hello", time(limits.hello_within)),
        ("silence before a ping", time(limits.ping_after)),
        ("silence before the end", time(limits.close_after)),
        ("unreadable messages in one connection", limits.unreadable.to_string()),
        ("waiting in your queue", kib(limits.queue)),
        ("you are stalled if nothing is taken for", time(limits.stalled_after)),
        ("or less than", format!("{} in {}", kib(limits.portion), time(limits.portion_within))),
        ("for the last words", time(limits.goodbye_within)),
        ("`typing` of one person", format!("once in {}", time(limits.typing_every))),
        ("clients in the room (`--max-clients`)", grouped(limits.max_clients)),
        ("connections without a hello, in all", grouped(limits.unfinished())),
        ("connections without a hello, from one address", grouped(limits.unfinished_per_address())),
        ("groups that one person owns", grouped(groups_each)),
        ("groups on a server", grouped(groups)),
    ]
}

/// How many groups one person may own, and how many there may be: found by trying.
fn groups() -> (usize, usize) {
    const ENOUGH: usize = 100_000;
    let mut room = Room::new(&Limits { max_clients: usize::MAX, ..Limits::default() });
    let (mut each, mut all) = (0, 0);
    loop {
        let before = all;
        let hello = Request::Hello { chat5: message::VERSION, name: format!("owner{all}") };
        let (owner, ..) = room.join(hello, None).expect("the name is free");
        while makes_group(&mut room, owner, &format!("group{all}")) {
            all += 1;
            assert!(all < ENOUGH, "groups are not bounded any more");
        }
        if all == before {
            return (each, all);
        }
        each = each.max(all - before);
    }
}

fn makes_group(room: &mut Room, owner: PeerId, group: &str) -> bool {
    let request = Request::GroupSet { group: group.to_owned(), members: Vec::new() };
    let deliveries = room.request(owner, Ok(request), Instant::now());
    deliveries.iter().any(|delivery| matches!(delivery.event, Event::GroupSet { .. }))
}

/// With a comma before the last three digits.
fn grouped(number: usize) -> String {
    match number / 1000 {
        0 => number.to_string(),
        thousands => format!("{thousands},{:03}", number % 1000),
    }
}

/// The numbers in a line, outside of backticks, and their units.
fn numbers(line: &str) -> Vec<(u64, &str)> {
    let is_mark = |c: char| !c.is_ascii_alphanumeric();
    let prose = line.split('`').step_by(2).flat_map(str::split_whitespace);
    let words = prose.map(|word| word.trim_matches(is_mark)).collect::<Vec<_>>();
    let mut numbers = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let Ok(value) = word.trim_end_matches("th").replace(',', "").parse() else { continue };
        let next = words.get(at + 1).copied().unwrap_or_default();
        let is_unit = ["bytes", "s", "ms", "KiB", "MiB", "characters"].contains(&next);
        numbers.push((value, if is_unit { next } else { "" }));
    }
    numbers
}

/// A frame as the page shows it: on the left its bytes, on the right what they mean.
fn hex(frame: &[u8]) -> String {
    let mut shown = String::new();
    let mut line = |bytes: &[u8], meaning: &str| {
        let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
        writeln!(shown, "{hex:<47} | {meaning}").expect("a String takes everything");
    };
    let (length, payload) = frame.split_at(frame::HEADER);
    let (kind, body) = payload.split_at(1);
    line(length, &format!("length: {}", payload.len()));
    line(kind, "kind: message");
    for bytes in body.chunks(16) {
        let plain = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' };
        line(bytes, &bytes.iter().map(plain).collect::<String>());
    }
    shown
}

/// The page, taken apart.
struct Page {
    blocks: Vec<Block>,
    /// Everything outside of blocks.
    lines: Vec<Line>,
}

struct Line {
    number: usize,
    /// The `##` heading above.
    section: String,
    /// The `###` heading above, without its backticks.
    heading: String,
    text: String,
}

/// What stands between two fences.
struct Block {
    /// The opening fence, without its backticks.
    line: Line,
    text: String,
}

impl Page {
    fn read() -> Page {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/protocol.md");
        let text = std::fs::read_to_string(path).expect("docs/protocol.md has to be there");
        let mut page = Page { blocks: Vec::new(), lines: Vec::new() };
        let (mut section, mut heading) = (String::new(), String::new());
        let mut lines = (1..).zip(text.lines());
        while let Some((number, text)) = lines.next() {
            if let Some(title) = text.strip_prefix("## ") {
                (section, heading) = (title.to_owned(), String::new());
            } else if let Some(title) = text.strip_prefix("### ") {
                heading = title.trim_matches('`').to_owned();
            }
            let (section, heading) = (section.clone(), heading.clone());
            let Some(label) = text.strip_prefix("```") else {
                page.lines.push(Line { number, section, heading, text: text.to_owned() });
                continue;
            };
            let inside = lines.by_ref().map(|(_, text)| text).take_while(|text| *text != "```");
            let inside = inside.map(|text| format!("{text}\n")).collect();
            let line = Line { number, section, heading, text: label.to_owned() };
            page.blocks.push(Block { line, text: inside });
        }
        page
    }

    /// The cells of the tables under a heading.
    fn rows(&self, section: &str, heading: &str) -> Vec<Vec<&str>> {
        let here = |line: &&Line| line.section == section && line.heading == heading;
        let lines = self.lines.iter().filter(here).map(|line| line.text.as_str());
        let rows = lines.filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'));
        rows.map(|row| row.split('|').map(str::trim).collect()).collect()
    }

    /// What stands in backticks in the first column of tables of so many columns.
    fn first_column(&self, section: &str, heading: &str, columns: usize) -> BTreeSet<String> {
        let rows = self.rows(section, heading).into_iter().filter(|row| row.len() == columns);
        let words = rows.filter_map(|row| row.first()?.strip_prefix('`')?.strip_suffix('`'));
        words.map(str::to_owned).collect()
    }
}

impl Block {
    /// Fails, naming the place.
    fn wrong(&self, what: impl Display) -> ! {
        panic!("docs/protocol.md, the block that begins in line {}: {what}", self.line.number);
    }

    fn is_json(&self) -> bool {
        self.line.text.starts_with("json")
    }

    fn json(&self) -> &str {
        self.text.trim_end()
    }

    fn fields(&self) -> serde_json::Map<String, Value> {
        serde_json::from_str(self.json()).unwrap_or_else(|error| self.wrong(error))
    }

    /// The frame of this message, which has to be this very JSON, and the message's word.
    fn encoded(&self) -> (Vec<u8>, &'static str) {
        match self.line.text.as_str() {
            "json request" => {
                let request = self.decoded::<Request>();
                (self.framed(&request), request::word(&request))
            }
            "json event" => {
                let event = self.decoded::<Event>();
                (self.framed(&event), event::word(&event))
            }
            other => self.wrong(format!("`{other}` has to be `json request` or `json event`")),
        }
    }

    fn decoded<M: DeserializeOwned>(&self) -> M {
        let frame = Frame { kind: frame::MESSAGE, body: self.json().as_bytes() };
        message::decode(frame).unwrap_or_else(|error| {
            self.wrong(format!("this cannot be read as a `{}`: {error}", self.line.text))
        })
    }

    fn framed(&self, message: &impl Serialize) -> Vec<u8> {
        let outgoing = message::encode(message);
        let written = outgoing.payload().strip_prefix(&[frame::MESSAGE]).unwrap_or_default();
        if written != self.json().as_bytes() {
            self.wrong(format!("the encoder writes {}", String::from_utf8_lossy(written)));
        }
        let mut writer = frame::Writer::new(Vec::new(), "the page");
        writer.push(outgoing.payload()).expect("an example fits a frame");
        while writer.pending() > 0 {
            writer.write().expect("a Vec takes everything");
        }
        writer.stream().clone()
    }
}
