//! The program `labs`, as a student runs it.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::process::Command;

/// The exit code of `labs` with these arguments, and what it writes.
fn labs(args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_labs")).args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The numbers in a row of the table of costs.
fn row(shown: &str, name: &str) -> Vec<usize> {
    let start = format!("  {name} ");
    let row = shown.lines().find_map(|line| line.strip_prefix(&start));
    let row = row.unwrap_or_else(|| panic!("no row {name:?} in {shown}"));
    row.split_whitespace().map(|number| number.parse().unwrap()).collect()
}

#[test]
fn the_difference_of_stages_1_and_3_in_code_and_on_the_wire() {
    let (code, shown, stderr) = labs(&["diff", "1", "3"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(shown.contains("  src/server.rs          unchanged, byte for byte\n"), "{shown}");
    assert!(shown.contains("\n--- stage1_relay/src/connection.rs\n"), "{shown}");
    assert!(shown.contains("\n+    records: crypto::Encryptor,\n"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "no colour in a pipe");

    // Stage 1, then stage 3 with CFB and with GCM. The handshake by docs/protocol.md: frames of
    // 4 + 1 bytes around a hello of 4 + 1 + 32 + 2, an answer with a point of 65 more, and a
    // point; and that for each of two clients.
    let point = 65;
    let handshake = 2 * (3 * 5 + 2 * 39 + 2 * point);
    assert_eq!(row(&shown, "handshake"), [0, 0, 6, handshake, 6, handshake]);
    // Length and kind; with them a kind within, and an IV of 16 or a tag of 16.
    assert_eq!(row(&shown, "around each message"), [5, 5 + 1 + 16, 5 + 1 + 16]);
    // Each of two clients ends its direction and sees that of the server end: a kind, sealed.
    assert_eq!(row(&shown, "sealed ends"), [0, 0, 0, 0, 4, 4 * (5 + 1 + 16)]);
    let json = row(&shown, "of which JSON");
    assert!(json.iter().all(|bytes| *bytes == json[0]), "{json:?}");
    let messages = row(&shown, "messages");
    let expected = [5, 22, 22].map(|around| [messages[0], json[0] + around * messages[0]]);
    assert_eq!(messages, expected.concat());
    assert!(shown.lines().take_while(|line| !line.starts_with("---")).all(|l| l.len() <= 80));

    let (_, again, _) = labs(&["diff", "1", "3"]);
    assert_eq!(shown, again, "the same on every run");
}

#[test]
fn the_code_alone_is_what_is_published() {
    let (code, shown, _) = labs(&["diff", "1", "3", "--code"]);
    assert_eq!(code, Some(0));
    let published = include_str!("../../diffs/stage1_relay-stage3_secure_multi.diff");
    assert_eq!(shown, published.replace("\r\n", "\n"));
}

#[test]
fn stage_5_has_the_handshake_of_stage_3_only_where_both_sides_ask_for_it() {
    let (code, shown, stderr) = labs(&["diff", "4", "5"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(shown.contains("sealed ends"), "{shown}");
}

#[test]
fn wrong_usage_and_stages_that_are_not_there() {
    assert_eq!(labs(&["diff", "1"]).0, Some(2));
    assert_eq!(labs(&["diff", "1", "2", "3"]).0, Some(2));
    assert_eq!(labs(&["diff", "1", "3", "--write"]).0, Some(2));
    assert_eq!(labs(&["diff", "--write", "--check"]).0, Some(2));
    assert_eq!(labs(&["diff", "--code"]).0, Some(2));
    assert_eq!(labs(&["square"]).0, Some(2));
    assert_eq!(labs(&["capture", "--write", "--check"]).0, Some(2));
    assert_eq!(labs(&[]).0, Some(2));
    let (code, _, stderr) = labs(&["diff", "1", "9"]);
    assert_eq!(code, Some(1));
    assert!(stderr.starts_with("error: there is no stage 9 in this workspace; there are 1, "));
}

#[test]
fn help_worth_reading() {
    for (args, words) in [
        (&["--help"][..], "what differs between the stages"),
        (&["diff", "--help"], "cargo run -p labs -- diff 1 3"),
        (&["square", "--help"], "an encrypted relay with files"),
        (&["capture", "--help"], "their keys are public"),
    ] {
        let (code, shown, _) = labs(args);
        assert_eq!(code, Some(0));
        assert!(shown.contains(words), "{shown}");
    }
}

#[test]
fn captures_are_listed_and_checked() {
    let (code, shown, stderr) = labs(&["capture"]);
    assert_eq!(code, Some(0), "{stderr}");
    for name in ["stage1_relay.pcapng", "stage5_file_secure.pcapng", "stage5_file_secure.keys"] {
        assert!(shown.contains(&format!("docs/wireshark/{name}, ")), "{shown}");
    }
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    let (code, shown, stderr) = labs(&["capture", "--check"]);
    assert_eq!((code, shown.as_str()), (Some(0), ""), "{stderr}");
}
