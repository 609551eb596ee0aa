//! Messages and frames on the pages are what the encoder writes.

use std::fmt::Write;

use common::frame;
use common::frame::Frame;
use common::message;
use common::message::Event;
use common::message::Request;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Block;
use super::Page;
use super::Problem;
use super::output;

/// A message that a page shows.
pub enum Message {
    /// What a client sends.
    Request(Request),
    /// What the server sends.
    Event(Event),
}

/// Checks the blocks of JSON and of hex.
pub fn check(page: &Page) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut above = None;
    for block in &page.blocks {
        let checked = match block.language.as_str() {
            "hex" => check_frame(block, above),
            "json" if block.argument.is_empty() => {
                let json = serde_json::from_str::<Value>(&block.text);
                json.map(drop).map_err(|error| format!("this is no JSON: {error}"))
            }
            "json" => message(block).map(drop),
            _ => Ok(()),
        };
        problems.extend(checked.err().map(|what| page.problem(block.line.number, what)));
        above = Some(block).filter(|block| is_message(block));
    }
    problems
}

fn check_frame(block: &Block, above: Option<&Block>) -> Result<(), String> {
    let above = above.ok_or("it has to stand below a `json request` or a `json event`")?;
    // A message that is wrong has its own problem.
    let Ok((_, frame)) = message(above) else { return Ok(()) };
    let expected = shown(&frame);
    // Editors cut off blanks at the end of a line.
    match output::lines(&block.text) == output::lines(&expected) {
        true => Ok(()),
        false => Err(format!("what belongs there is\n\n{expected}")),
    }
}

/// Whether a block shows a message.
pub fn is_message(block: &Block) -> bool {
    block.language == "json" && !block.argument.is_empty()
}

/// The message in a block and its frame, which has to have this very JSON in it.
///
/// # Errors
/// If it is not as the encoder writes it: what belongs there.
pub fn message(block: &Block) -> Result<(Message, Vec<u8>), String> {
    match block.argument.as_str() {
        "request" => {
            let request = decoded::<Request>(block)?;
            let frame = framed(&request, block)?;
            Ok((Message::Request(request), frame))
        }
        "event" => {
            let event = decoded::<Event>(block)?;
            let frame = framed(&event, block)?;
            Ok((Message::Event(event), frame))
        }
        other => Err(format!("`json {other}` has to be `json request` or `json event`")),
    }
}

fn decoded<M: DeserializeOwned>(block: &Block) -> Result<M, String> {
    let frame = Frame { kind: frame::MESSAGE, body: block.text.trim_end().as_bytes() };
    let what = &block.argument;
    message::decode(frame).map_err(|error| format!("this cannot be read as `json {what}`: {error}"))
}

fn framed(message: &impl Serialize, block: &Block) -> Result<Vec<u8>, String> {
    let outgoing = message::encode(message);
    let written = outgoing.payload().strip_prefix(&[frame::MESSAGE]).unwrap_or_default();
    if written != block.text.trim_end().as_bytes() {
        return Err(format!("the encoder writes {}", String::from_utf8_lossy(written)));
    }
    let mut writer = frame::Writer::new(Vec::new(), "the page");
    writer.push(outgoing.payload()).expect("an example fits a frame");
    while writer.pending() > 0 {
        writer.write().expect("a Vec takes everything");
    }
    Ok(writer.stream().clone())
}

/// A frame as pages show it: on the left its bytes, on the right what they mean.
pub fn shown(frame: &[u8]) -> String {
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
        let plain = |byte: &u8| match byte {
            b' '..=b'~' => char::from(*byte),
            _ => '.',
        };
        line(bytes, &bytes.iter().map(plain).collect::<String>());
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::super::testing::assert_good;
    use super::super::testing::assert_problem;
    use super::super::testing::page;
    use super::*;

    #[test]
    fn frames_and_messages_are_the_encoders() {
        assert_good(&check(&page(
            "page.md",
            "|```json request
             |{\"type\":\"say\",\"text\":\"é b\"}
             |```
             |and its bytes
             |```hex
             |00 00 00 1d                                     | length: 29
             |10                                              | kind: message
             |7b 22 74 79 70 65 22 3a 22 73 61 79 22 2c 22 74 | {\"type\":\"say\",\"t
             |65 78 74 22 3a 22 c3 a9 20 62 22 7d             | ext\":\".. b\"}
             |```
             |```json
             |{\"anything\": 1}
             |```",
        )));
        for (blocks, line, problem) in [
            ("|```hex\n|00\n|```", 1, "below a `json request`"),
            ("|```json\n|{}\n|```\n|```hex\n|00\n|```", 4, "below a `json request`"),
            ("|```json request\n|{\"type\":\"ping\"}\n|```\n|```hex\n|00\n|```", 4, "00 00 00 10"),
            ("|```json request\n|{\"type\":\"pong\"\n|```", 1, "cannot be read as `json request`"),
            ("|```json event\n|{\"type\":\"say\",\"text\":\"a\"}\n|```", 1, "cannot be read"),
            (
                "|```json event\n|{\"type\": \"ping\"}\n|```",
                1,
                "the encoder writes {\"type\":\"ping\"}",
            ),
            ("|```json\n|{x}\n|```", 1, "no JSON"),
        ] {
            assert_problem(&check(&page("page.md", blocks)), line, problem);
        }
    }
}
