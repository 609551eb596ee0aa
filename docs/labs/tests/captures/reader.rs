//! A capture, as far as these tests want to know it: which frames crossed in each conversation.

use std::collections::BTreeMap;

/// Block types of pcapng (draft-ietf-opsawg-pcapng).
const PACKET: u32 = 6;
/// Flags of TCP (RFC 9293, section 3.1).
const FIN: u8 = 1;
const SYN: u8 = 2;

/// What one side sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Kind and body of each frame.
    pub frames: Vec<(u8, Vec<u8>)>,
    /// Its direction was seen to end.
    pub has_ended: bool,
}

/// A client and the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversation {
    pub client: Sent,
    pub server: Sent,
}

/// Those on each interface, in the order in which they began.
pub fn conversations(capture: &[u8]) -> BTreeMap<u32, Vec<Conversation>> {
    // By interface and client's port: both directions' bytes, and which of them have ended.
    let mut sent = BTreeMap::<_, ([Vec<u8>; 2], [bool; 2])>::new();
    let mut began = Vec::new();
    for (interface, packet) in packets(capture) {
        let tcp = &packet[20..];
        let port = |at| u16::from_be_bytes([tcp[at], tcp[at + 1]]);
        let flags = tcp[13];
        if flags & (SYN | 0x10) == SYN {
            began.push((interface, port(0)));
        }
        let is_servers = !began.contains(&(interface, port(0)));
        let client = if is_servers { port(2) } else { port(0) };
        let (bytes, ends) = sent.entry((interface, client)).or_default();
        bytes[usize::from(is_servers)].extend(&tcp[usize::from(tcp[12] >> 4) * 4..]);
        ends[usize::from(is_servers)] |= flags & FIN != 0;
    }
    let mut conversations = BTreeMap::<_, Vec<_>>::new();
    for began in began {
        let ([client, server], [client_ends, server_ends]) = &sent[&began];
        let sent = |bytes: &[u8], has_ended| Sent { frames: frames(bytes), has_ended };
        conversations.entry(began.0).or_default().push(Conversation {
            client: sent(client, *client_ends),
            server: sent(server, *server_ends),
        });
    }
    conversations
}

/// All of them, with the number of their interface.
pub fn packets(capture: &[u8]) -> Vec<(u32, &[u8])> {
    let (mut packets, mut rest) = (Vec::new(), capture);
    // A block that is being written is not there yet.
    while let Some(length) = rest.get(4..8).map(|bytes| word(bytes, 0) as usize)
        && let Some((block, behind)) = rest.split_at_checked(length)
    {
        if word(block, 0) == PACKET {
            let captured = word(block, 20) as usize;
            packets.push((word(block, 8), &block[28..28 + captured]));
        }
        rest = behind;
    }
    packets
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// The frames in a direction: length, kind, body.
fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk()
        && let Some((frame, rest)) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)
    {
        frames.push((frame[0], frame[1..].to_vec()));
        bytes = rest;
    }
    frames
}
