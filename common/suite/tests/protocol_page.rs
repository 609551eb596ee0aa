//! `docs/protocol.md` says what the code does: its examples, words, fields and numbers.
//!
//! The page is written by hand; nothing of it is generated. What fails here names the line of the
//! page and what belongs there.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at the first surprise; this covers its helpers"
)]

#[path = "protocol_page/examples.rs"]
mod examples;
#[path = "protocol_page/files.rs"]
mod files;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::env;
use std::fmt::Display;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use common::crypto::suite::Allowed;
use common::crypto::suite::Choice;
use common::crypto::suite::Cipher;
use common::crypto::suite::Kex;
use common::crypto::unhex;
use common::escape;
use common::files::CHUNK;
use common::files::FileName;
use common::files::WINDOW;
use common::files::chunk;
use common::files::name as file_name;
use common::frame;
use common::limits::Limits;
use common::message;
use common::message::Event;
use common::message::Reason;
use common::message::Request;
use common::message::Status;
use common::name;
use common::room::PeerId;
use common::room::Room;
use common::transfers::PORTION;
use serde_json::Value;
use suite::pages;
use suite::pages::Block;
use suite::pages::Line;
use suite::pages::Page;
use suite::pages::Project;
use suite::pages::hex;
use suite::pages::hex::Message;

use crate::examples::Example;

/// The words of an enum on the wire. A variant that is not listed here does not compile; one that
/// is listed has to be on the page.
macro_rules! words {
    ($name:ident, $type:ident: $($variant:ident $word:literal)* $(, never $($never:ident)+)?) => {
        mod $name {
            use super::$type;

            pub const ALL: &[&str] = &[$($word),*];

            pub fn word(of: &$type) -> &'static str {
                match of {
                    $($type::$variant { .. } => $word,)*
                    $($($type::$never { .. })|+ => unreachable!("it is never a message"),)?
                }
            }
        }
    };
}

words! { request, Request:
    Hello "hello"
    Say "say"
    Private "private"
    Secret "secret"
    Names "names"
    Status "status"
    GroupSet "group-set"
    GroupSend "group-send"
    GroupLeave "group-leave"
    GroupDelete "group-delete"
    Typing "typing"
    Offer "offer"
    Accept "accept"
    Refuse "refuse"
    Ack "ack"
    End "end"
    Received "received"
    Abort "abort"
    Ping "ping"
    Pong "pong",
    never Chunk Order
}

words! { event, Event:
    Welcome "welcome"
    Joined "joined"
    Left "left"
    Said "said"
    Private "private"
    Secret "secret"
    Group "group"
    Names "names"
    Status "status"
    GroupSet "group-set"
    GroupLeft "group-left"
    GroupOwner "group-owner"
    GroupDeleted "group-deleted"
    Typing "typing"
    Offered "offered"
    NotOffered "not-offered"
    Offer "offer"
    Go "go"
    Ack "ack"
    Dropped "dropped"
    Received "received"
    Done "done"
    End "end"
    Abort "abort"
    Notice "notice"
    Refused "refused"
    Bye "bye"
    Ping "ping"
    Pong "pong",
    never Opened Over Chunk
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
    let page = page();
    pages::report(hex::check(&page));
    let above = page.blocks.windows(2).filter(|pair| pair[1].language == "hex");
    let shown = above.map(|pair| word(&pair[0])).collect::<BTreeSet<_>>();
    // The other messages about files are in the example of a whole file.
    let of_files = ["refuse", "abort", "not-offered", "dropped"];
    for word in ["hello", "welcome", "joined"].iter().chain(&of_files) {
        assert!(shown.contains(word), "docs/protocol.md: add a hex example of a `{word}`");
    }
}

#[test]
fn json_examples_are_what_the_encoder_writes() {
    for block in page().blocks.iter().filter(|block| hex::is_message(block)) {
        let word = word(block);
        let first = format!(r#"{{"type":"{word}""#);
        if !block.text.trim_end().starts_with(&first) {
            wrong(block, format!("it has to begin with {first}"));
        }
        let version = json(block).get("chat5").cloned();
        if version.is_some_and(|version| version != message::VERSION) {
            wrong(
                block,
                format!("the version is {}; repair it in the table too", message::VERSION),
            );
        }
        if let Some(text) = json(block).get("text")
            && !block.text.trim_end().ends_with(&format!(r#","text":{text}}}"#))
        {
            wrong(block, "`text` has to be the last field: repair the order in message.rs");
        }
    }
}

#[test]
fn every_request_and_event_has_an_example_and_its_fields_a_table() {
    let page = page();
    for (section, label, words) in
        [("Requests", "json request", request::ALL), ("Events", "json event", event::ALL)]
    {
        let mut fields = BTreeMap::<&str, BTreeSet<String>>::new();
        let here = |block: &&Block| hex::is_message(block) && block.line.section == section;
        for block in page.blocks.iter().filter(here) {
            let word = word(block);
            if block.line.text != label || block.line.heading != word {
                let (found, heading) = (&block.line.text, &block.line.heading);
                wrong(block, format!("a `{found}`, {word}, stands in {section} below {heading}"));
            }
            let keys = json(block).into_iter().map(|(key, _)| key);
            fields.entry(word).or_default().extend(keys.filter(|key| key != "type"));
        }
        for word in words {
            let Some(fields) = fields.get(word) else {
                panic!("docs/protocol.md: add `{word}` with an example to {section}");
            };
            let listed = first_column(&page, section, word, 3);
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
    let page = page();
    for word in reason::ALL {
        let reason = serde_json::from_str::<Reason>(&format!("\"{word}\"")).expect(word);
        assert_eq!(reason::word(&reason), *word);
    }
    assert_eq!(
        first_column(&page, "Events", "bye", 4),
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
fn sessions_and_secrets_are_what_the_code_makes_of_the_same_input() {
    let page = page();
    for (name, (example, _)) in sessions(&page) {
        expect_block(&page, &format!("bytes {name}"), &example.shown);
        if name == "p256" {
            let is_log = |block: &&Block| block.line.section == "The key log";
            let log = page.blocks.iter().find(is_log).expect("docs/protocol.md: a key log");
            expect_text(log, &example.keylog);
        }
    }
    let (shown, sealed) =
        examples::secret("correct-horse-battery", "meet me at noon", "alice", "bob");
    expect_block(&page, "bytes secret", &shown);
    for section in ["Requests", "Events"] {
        let block = example_of(&page, section, "secret");
        let shown = json(block).get("sealed").and_then(Value::as_str).and_then(unhex);
        if shown.as_ref() != Some(&sealed) {
            let sealed = sealed.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            wrong(block, format!("what is sealed in the example is {sealed}"));
        }
    }
}

#[test]
fn files_on_their_way_are_what_a_server_makes_of_them() {
    let page = page();
    expect_block(&page, "bytes chunk", &files::chunk());
    expect_block(&page, "bytes file", &files::session("hi.txt", b"hi bob"));
    let is_window = |block: &&Block| block.line.heading == "The window";
    let window = page.blocks.iter().find(is_window);
    expect_text(window.expect("docs/protocol.md: an example of the window"), &files::window());
    // What is in that example has an example of its own, too: the same messages.
    let session = files::messages("hi.txt", b"hi bob");
    for (section, shown) in [("Requests", &session.requests), ("Events", &session.events)] {
        for (word, json) in shown {
            let block = example_of(&page, section, word);
            if block.text.trim_end() != json {
                wrong(block, format!("what belongs there is {json}"));
            }
        }
    }
}

#[test]
fn the_rules_for_names_of_files_are_those_of_the_code() {
    let page = page();
    let rules = page.lines.iter().filter(|line| line.heading == "Names of files");
    let rules = rules.map(|line| line.text.trim()).collect::<Vec<_>>().join(" ");
    let is_name = |name: String| name.parse::<FileName>().is_ok();
    let all = || ('\0'..=char::MAX).filter(|c| !c.is_alphanumeric());
    let anywhere = all().filter(|c| !is_name(format!("x{c}x"))).collect::<BTreeSet<_>>();
    let shown = anywhere.iter().filter(|c| escape::text(&c.to_string()) == c.to_string());
    let (plain, joiners) = shown.copied().partition::<Vec<char>, _>(char::is_ascii);
    let listed = |chars: &[char]| chars.iter().map(|c| format!("`{c}`")).collect::<BTreeSet<_>>();
    let (_, after) = rules.split_once("- has none of ").expect("the characters that none has");
    let (forbidden, _) = after.split_once(" in it").expect("the characters that none has");
    assert_eq!(forbidden.split(' ').map(str::to_owned).collect::<BTreeSet<_>>(), listed(&plain));
    let code = |c: &char| format!("U+{:04X}", u32::from(*c));
    let joiners = joiners.iter().map(code).collect::<Vec<_>>();
    assert_eq!(joiners.join(" "), "U+200C U+200D U+FE0F");
    assert!(rules.contains("U+200C, U+200D or U+FE0F"), "{rules}");
    let escaped = all().filter(|c| escape::text(&c.to_string()) != c.to_string());
    assert!(escaped.into_iter().all(|c| anywhere.contains(&c)), "what is shown as it is");

    let elsewhere = |c: &char| !anywhere.contains(c);
    let first = all().filter(elsewhere).filter(|c| !is_name(format!("{c}x"))).collect::<Vec<_>>();
    let (_, after) = rules.split_once("- does not begin with ").expect("how none begins");
    let (listed_first, _) = after.split_once(';').expect("how none begins");
    let listed_first = listed_first.split(" or ").map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(listed_first, listed(&first));
    let last = all().filter(elsewhere).filter(|c| !is_name(format!("x{c}"))).collect::<Vec<_>>();
    let (_, after) = rules.split_once("does not end with `.` or with white space: ").expect("ends");
    let (spaces, _) = after.split_once(';').expect("how none ends");
    let spaces = spaces.replace(" or ", ", ").split(", ").flat_map(ranged).collect::<BTreeSet<_>>();
    assert_eq!(
        spaces.into_iter().chain(['.']).collect::<BTreeSet<_>>(),
        last.into_iter().collect()
    );

    // Devices: which words of the page are, and with which ends.
    let (_, after) = rules.split_once("`A`–`Z`, is none of ").expect("the devices");
    let (devices, ports) = after.split_once(", and neither ").expect("the devices, the ports");
    let (ports, numbers) = ports.split_once(" with one of ").expect("the ports, their numbers");
    let (numbers, _) = numbers.split_once(" behind").expect("the numbers of ports");
    assert_eq!((ports, numbers), ("`COM` nor `LPT`", "`0` to `9`, `¹`, `²` or `³`"));
    let mut all =
        devices.split(", ").map(|device| device.trim_matches('`').to_owned()).collect::<Vec<_>>();
    for port in ["COM", "LPT"] {
        all.extend("0123456789¹²³".chars().map(|number| format!("{port}{number}")));
    }
    assert_eq!(all.len(), 32);
    for device in all {
        for name in
            [device.to_lowercase(), format!("{device}.txt"), format!("{device} \u{3000}.x.y")]
        {
            assert!(!is_name(name.clone()), "{name}");
        }
        assert!(is_name(format!("{device}x")) && is_name(format!("x.{device}")), "{device}");
    }
    for harmless in ["COM", "COM10", "LPT⁴", "NULL", "%2e%2e%2f", "~"] {
        assert!(is_name(harmless.to_owned()), "{harmless}");
    }
}

/// The characters of `U+0020` or `U+2000 to U+200A`.
fn ranged(range: &str) -> impl Iterator<Item = char> + use<> {
    let code = |text: &str| {
        let digits = text.trim().strip_prefix("U+").expect("U+ and digits");
        u32::from_str_radix(digits, 16).expect("hexadecimal digits")
    };
    let (first, last) = range.split_once(" to ").unwrap_or((range, range));
    (code(first)..=code(last)).filter_map(char::from_u32)
}

#[test]
fn a_refused_handshake_ends_with_the_bye_on_the_page() {
    let page = page();
    let block = example_of(&page, "The handshake", "bye");
    match hex::message(block) {
        Ok((Message::Event(event), frame)) => {
            let refusal = examples::refusal();
            assert_eq!(event, examples::event(&refusal), "line {}", block.line.number);
            assert_eq!(frame, refusal);
        }
        _ => wrong(block, "this has to be a `bye`"),
    }
}

#[test]
fn the_numbers_of_suites_are_those_of_the_code() {
    fn check<T: Choice>(page: &Page) {
        for value in T::value_variants() {
            let (number, name) = (format!("`{:02x}`", value.code()), format!("`{}`", value.name()));
            let rows = page.rows("The handshake", "");
            let listed = rows.iter().any(|row| row.starts_with(&[&number, &name]));
            assert!(listed, "docs/protocol.md, The handshake: add a row | {number} | {name} | …");
        }
    }
    let page = page();
    check::<Kex>(&page);
    check::<Cipher>(&page);
}

/// Written from the page alone, in another language with another library; it reads the page.
#[test]
fn another_implementation_gets_what_the_page_shows() {
    let python = if cfg!(windows) { "python" } else { "python3" };
    let script = Project::this().root.join("docs/interop/check_protocol_page.py");
    let has_what_it_needs = Command::new(python).arg(&script).arg("--needs").output();
    if !has_what_it_needs.is_ok_and(|output| output.status.success()) {
        assert!(env::var_os("CI").is_none(), "CI needs {python} with what the script imports");
        println!("left out: {python} is not installed, or not all that the script imports");
        return;
    }
    let output = Command::new(python).arg(&script).output().expect("it ran before");
    let shown = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown}{failed}");
}

#[test]
fn the_characters_to_be_escaped_are_those_that_are() {
    let page = page();
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
        wrong(block, format!("what belongs there is\n\n{expected}"));
    }
}

#[test]
fn the_numbers_are_those_of_the_code() {
    let page = page();
    let rows = limits(&page);
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
fn limits(page: &Page) -> Vec<(&'static str, String)> {
    let limits = Limits::default();
    let (groups_each, groups) = groups();
    let sessions = sessions(page);
    let ((p256, cfb), (x25519, gcm)) = (&sessions["p256"], &sessions["x25519"]);
    assert_eq!((*cfb, *gcm), (Cipher::Cfb, Cipher::Gcm));
    let least = p256.most.min(x25519.most);
    let bytes = |bytes: usize| format!("{} bytes", grouped(bytes));
    let long = |length: u64| bytes(usize::try_from(length).expect("it fits"));
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
        ("a client's hello in the handshake", bytes(p256.hello)),
        ("a share of `p256`", bytes(p256.share)),
        ("a share of `x25519`, a secret, a salt, a key", bytes(x25519.share)),
        ("what a record of `aes-256-cfb` adds: an IV", bytes(p256.overhead)),
        ("what a record of `aes-256-gcm` adds: a tag", bytes(x25519.overhead)),
        ("kind and body of a frame in a record", format!("1 to {}", bytes(least))),
        (
            "what `sealed` stands for",
            format!("{} to {}", message::SEAL + 1, bytes(message::SEAL + message::MAX_TEXT)),
        ),
        ("a file name", format!("1 to {}", bytes(file_name::MAX_LENGTH))),
        ("bytes of a file in a chunk", format!("1 to {}", bytes(CHUNK))),
        ("in a chunk that is not its last, at least", long(chunk::MIN)),
        ("the window: beyond what is acknowledged, at most", long(WINDOW)),
        ("for the answer to an offer", time(limits.answer_within)),
        (
            "you are dropped from a file if you take less than",
            format!("{} KiB in {}", PORTION / 1024, time(limits.progress_within)),
        ),
        ("a file is given up if nothing comes of it for", time(limits.progress_within)),
        ("from its end until it is in place", time(limits.settle_within)),
        ("these four times are looked at", format!("once in {}", time(limits.tick))),
        ("files of one person that are not over", grouped(limits.offers_each)),
        ("files of one person that are under way at once", grouped(limits.under_way_each)),
        ("files on a server that are not over", grouped(files::most())),
    ]
}

/// The two sessions on the page, by the names of their blocks, and their ciphers.
fn sessions(page: &Page) -> BTreeMap<&'static str, (Example, Cipher)> {
    let payload = |word| match hex::message(example_of(page, "Sessions in bytes", word)) {
        Ok((_, frame)) => frame[frame::HEADER..].to_vec(),
        Err(what) => panic!("docs/protocol.md, Sessions in bytes: {what}"),
    };
    let (hello, welcome) = (payload("hello"), payload("welcome"));
    let any = Allowed { kex: None, cipher: None };
    let pinned = Allowed { kex: Some(Kex::X25519), cipher: Some(Cipher::Gcm) };
    let example = |allowed| examples::session(allowed, &hello, &welcome);
    BTreeMap::from([
        ("p256", (example(any), Cipher::Cfb)),
        ("x25519", (example(pinned), Cipher::Gcm)),
    ])
}

/// The block of a message in a section.
fn example_of<'p>(page: &'p Page, section: &str, of: &str) -> &'p Block {
    let is_it = |block: &&Block| {
        block.line.section == section && hex::is_message(block) && word(block) == of
    };
    let block = page.blocks.iter().find(is_it);
    block.unwrap_or_else(|| panic!("docs/protocol.md, {section}: add an example of `{of}`"))
}

/// The block of this name has to be there with this text.
fn expect_block(page: &Page, name: &str, text: &str) {
    let block = page.blocks.iter().find(|block| block.line.text == name);
    let block = block.unwrap_or_else(|| panic!("docs/protocol.md: add a block `{name}`\n\n{text}"));
    expect_text(block, text);
}

fn expect_text(block: &Block, text: &str) {
    if block.text != text {
        wrong(block, format!("what belongs there is\n\n{text}"));
    }
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

/// With a comma before each three digits from the end.
fn grouped(number: usize) -> String {
    match number / 1000 {
        0 => number.to_string(),
        thousands => format!("{},{:03}", grouped(thousands), number % 1000),
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

/// The page, taken apart.
fn page() -> Page {
    let mut project = Project::this();
    let at = project.pages.iter().position(|page| page.path == "docs/protocol.md");
    project.pages.swap_remove(at.expect("docs/protocol.md has to be there"))
}

/// What stands in backticks in the first column of tables of so many columns.
fn first_column(page: &Page, section: &str, heading: &str, columns: usize) -> BTreeSet<String> {
    let rows = page.rows(section, heading).into_iter().filter(|row| row.len() == columns);
    let words = rows.filter_map(|row| row.first()?.strip_prefix('`')?.strip_suffix('`'));
    words.map(str::to_owned).collect()
}

/// Fails, naming the place.
fn wrong(block: &Block, what: impl Display) -> ! {
    panic!("docs/protocol.md, the block that begins in line {}: {what}", block.line.number);
}

/// The word of the message in a block, which has to be this very JSON.
fn word(block: &Block) -> &'static str {
    match hex::message(block) {
        Ok((Message::Request(request), _)) => request::word(&request),
        Ok((Message::Event(event), _)) => event::word(&event),
        Err(what) => wrong(block, what),
    }
}

fn json(block: &Block) -> serde_json::Map<String, Value> {
    serde_json::from_str(&block.text).unwrap_or_else(|error| wrong(block, error))
}
