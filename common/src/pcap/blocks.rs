//! The three blocks of pcapng that a capture consists of (draft-ietf-opsawg-pcapng), little-endian.
//!
//! They are written by hand: the crate pcap-file 2.0 would bring syn 1 and a second thiserror into the
//! build, and of all time units honours only nanoseconds.

/// `LINKTYPE_RAW`: a packet starts with its IP header, of version 4 or 6.
const LINKTYPE_RAW: u16 = 101;

// Codes of the options that are used (draft-ietf-opsawg-pcapng, sections 3.5 and 4.2).
const OPT_ENDOFOPT: u16 = 0;
const OPT_COMMENT: u16 = 1;
const IF_NAME: u16 = 2;
const IF_DESCRIPTION: u16 = 3;
const IF_TSRESOL: u16 = 9;

/// The Section Header Block: byte order (ours is little-endian), version 1.0, length unknown, and a
/// comment if there is something to say about all of it.
pub fn section_header(comment: Option<&str>) -> Vec<u8> {
    let mut body = 0x1A2B_3C4D_u32.to_le_bytes().to_vec();
    body.extend(1_u16.to_le_bytes());
    body.extend(0_u16.to_le_bytes());
    body.extend((-1_i64).to_le_bytes());
    comments(&mut body, comment.as_slice());
    block(0x0A0D_0D0A, &body)
}

/// An Interface Description Block: link type, reserved, no limit to the length of a packet.
pub fn interface_description(name: &str, description: &str) -> Vec<u8> {
    let mut body = LINKTYPE_RAW.to_le_bytes().to_vec();
    body.extend(0_u16.to_le_bytes());
    body.extend(0_u32.to_le_bytes());
    option(&mut body, IF_NAME, name.as_bytes());
    option(&mut body, IF_DESCRIPTION, description.as_bytes());
    // Time stamps count units of 10^-9 seconds.
    option(&mut body, IF_TSRESOL, &[9]);
    option(&mut body, OPT_ENDOFOPT, &[]);
    block(1, &body)
}

/// An Enhanced Packet Block: interface, time (its upper half first), captured and original
/// length, packet, comments.
pub fn enhanced_packet(interface: u32, time: u64, packet: &[u8], said: &[String]) -> Vec<u8> {
    let length = u32::try_from(packet.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut body = interface.to_le_bytes().to_vec();
    body.extend(time.rotate_left(32).to_le_bytes());
    body.extend(length);
    body.extend(length);
    extend_padded(&mut body, packet);
    comments(&mut body, said);
    block(6, &body)
}

/// Comments, in UTF-8 and of at most 65,535 bytes each, and the end of the options; nothing where
/// there are none.
fn comments(body: &mut Vec<u8>, comments: &[impl AsRef<str>]) {
    for comment in comments {
        option(body, OPT_COMMENT, comment.as_ref().as_bytes());
    }
    if !comments.is_empty() {
        option(body, OPT_ENDOFOPT, &[]);
    }
}

/// Any block: type, total length, body, and once more the total length, to walk backwards.
fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 12).unwrap_or(u32::MAX).to_le_bytes();
    let mut block = kind.to_le_bytes().to_vec();
    block.extend(length);
    block.extend(body);
    block.extend(length);
    block
}

/// Any option: code, length without padding, value.
fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    body.extend(code.to_le_bytes());
    body.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
    extend_padded(body, value);
}

/// Everything in pcapng starts at a multiple of 4 bytes.
fn extend_padded(body: &mut Vec<u8>, value: &[u8]) {
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes are put down from the drawings in the draft's sections 4.1, 4.2, 4.3 and 3.5.
    #[test]
    fn blocks_are_as_the_draft_draws_them() {
        assert_eq!(
            section_header(None),
            *b"\x0A\x0D\x0D\x0A\x1C\0\0\0\x4D\x3C\x2B\x1A\x01\0\0\0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x1C\0\0\0"
        );
        assert_eq!(
            interface_description("wire", "no"),
            *b"\x01\0\0\0\x30\0\0\0\x65\0\0\0\0\0\0\0\
               \x02\0\x04\0wire\x03\0\x02\0no\0\0\x09\0\x01\0\x09\0\0\0\0\0\0\0\x30\0\0\0"
        );
        assert_eq!(
            enhanced_packet(1, 0x0102_0304_0506_0708, b"12345", &[]),
            *b"\x06\0\0\0\x28\0\0\0\x01\0\0\0\x04\x03\x02\x01\x08\x07\x06\x05\
               \x05\0\0\0\x05\0\0\x0012345\0\0\0\x28\0\0\0"
        );
        assert_eq!(
            enhanced_packet(1, 0, b"12345", &["a".to_owned(), "bcde".to_owned()]),
            *b"\x06\0\0\0\x3C\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\
               \x05\0\0\0\x05\0\0\x0012345\0\0\0\
               \x01\0\x01\0a\0\0\0\x01\0\x04\0bcde\0\0\0\0\x3C\0\0\0"
        );
        assert_eq!(
            section_header(Some("abc")),
            *b"\x0A\x0D\x0D\x0A\x28\0\0\0\x4D\x3C\x2B\x1A\x01\0\0\0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\
               \x01\0\x03\0abc\0\0\0\0\0\x28\0\0\0"
        );
    }
}
