//! Captures with other interfaces and other comments than the programs would make. The blocks of a
//! capture are taken apart and put together anew (draft-ietf-opsawg-pcapng, section 3).

use super::*;

const INTERFACE: u32 = 1;
const PACKET: u32 = 6;
/// The option of a comment, for any block.
const COMMENT: u16 = 1;
/// The option of an interface's name, and that of the units of its time stamps.
const NAME: u16 = 2;
const UNITS: u16 = 9;

/// Interfaces by name, each with its packets: those of a capture of one interface.
pub fn with_interfaces(captures: &[(&str, &Path)]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    let all = captures.iter().map(|(_, path)| blocks(path)).collect::<Vec<_>>();
    let (kind, section) = &all[0][0];
    file.write_all(&block(*kind, section)).unwrap();
    for ((name, _), blocks) in captures.iter().zip(&all) {
        // The link type, and no limit to the length of a packet.
        let mut body = blocks[1].1[..8].to_vec();
        body.extend(option(NAME, name.as_bytes()));
        body.extend(option(UNITS, &[9]));
        file.write_all(&block(INTERFACE, &body)).unwrap();
    }
    for (number, blocks) in (0_u32..).zip(&all) {
        for (kind, body) in blocks.iter().filter(|block| block.0 == PACKET) {
            let body = [&number.to_le_bytes(), &body[4..]].concat();
            file.write_all(&block(*kind, &body)).unwrap();
        }
    }
    file
}

/// A capture with these comments at its packets, whose numbers begin with 1.
pub fn with_comments(path: &Path, comments: &[(usize, &str)]) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    let mut number = 0;
    for (kind, mut body) in blocks(path) {
        if kind == PACKET {
            number += 1;
            for (_, comment) in comments.iter().filter(|comment| comment.0 == number) {
                body.extend(option(COMMENT, comment.as_bytes()));
            }
        }
        file.write_all(&block(kind, &body)).unwrap();
    }
    file
}

/// The types and the bodies of all blocks, which are in little-endian order; packets without comments.
fn blocks(path: &Path) -> Vec<(u32, Vec<u8>)> {
    let bytes = fs::read(path).unwrap();
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let (mut blocks, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let length = usize::try_from(word(at + 4)).unwrap();
        let end = match word(at) {
            // Up to the options, which are the comments: header, packet, padding.
            PACKET => 28 + usize::try_from(word(at + 20)).unwrap().next_multiple_of(4),
            _ => length - 4,
        };
        blocks.push((word(at), bytes[at + 8..at + end].to_vec()));
        at += length;
    }
    assert_eq!(blocks[1].0, INTERFACE);
    blocks
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(12 + body.len()).unwrap().to_le_bytes();
    [&kind.to_le_bytes(), &length, body, &length].concat()
}

/// Options end with the block, too.
fn option(code: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).unwrap().to_le_bytes();
    let mut option = [&code.to_le_bytes(), &length, value].concat();
    option.resize(option.len().next_multiple_of(4), 0);
    option
}
