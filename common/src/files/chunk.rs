//! The bytes of a file on their way: frames of kind `11`.
//!
//! ```text
//! id: u32 · offset: u64 · bytes          integers big-endian; 1 to 65,536 bytes
//! ```
//! All but the last chunk of a file have at least [`MIN`] bytes, so that what it costs to keep
//! them in a queue is in proportion to what they hold.

use thiserror::Error;

use super::CHUNK;
use crate::frame::CHUNK as KIND;
use crate::frame::Lane;
use crate::frame::Outgoing;
use crate::pool::Buffer;

/// Bytes before those of the file: the id and the offset.
pub const HEADER: usize = 4 + 8;
/// Fewest bytes of a file in a chunk that is not its last.
pub const MIN: u64 = 1024;

/// From so many bytes on a chunk is worth a buffer of the pool, which has room for the largest.
const LARGE: usize = CHUNK / 2;
/// Kind, id and offset, as they are in front of a frame's payload.
const FRONT: usize = 1 + HEADER;

/// A part of a file, in the frame that carries it on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    id: u32,
    offset: u64,
    frame: Outgoing,
}

/// Why a frame of kind `11` is no chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a chunk of a file with {0} bytes: it has {HEADER} and 1 to {CHUNK} more")]
pub struct NotAChunk(usize);

/// The id and the offset in front of the bytes of a chunk.
pub fn header(body: &[u8]) -> Option<(u32, u64)> {
    let (id, rest) = body.split_first_chunk::<4>()?;
    let (offset, _) = rest.split_first_chunk::<8>()?;
    Some((u32::from_be_bytes(*id), u64::from_be_bytes(*offset)))
}

impl Chunk {
    /// Reads the body of a frame of kind `11`.
    ///
    /// # Errors
    /// If it has not the right length.
    pub fn read(body: &[u8]) -> Result<Chunk, NotAChunk> {
        let refused = NotAChunk(body.len());
        let (id, offset) = header(body).ok_or(refused)?;
        if !(HEADER + 1..=HEADER + CHUNK).contains(&body.len()) {
            return Err(refused);
        }
        let frame = match body.len() {
            LARGE.. => {
                let mut payload = Buffer::take();
                payload.truncate(1 + body.len());
                if let Some((kind, rest)) = payload.split_first_mut() {
                    *kind = KIND;
                    rest.copy_from_slice(body);
                }
                Outgoing::from(payload)
            }
            _ => Outgoing::from([&[KIND][..], body].concat()),
        };
        Ok(Chunk { id, offset, frame: frame.in_lane(Lane::File(id)) })
    }

    /// A chunk of at most [`CHUNK`] bytes that `fill` writes to the front of the buffer that it is
    /// given, and says how many and where in the file; `None` if it has none.
    ///
    /// # Errors
    /// That of `fill`.
    pub fn fill<E>(
        id: u32,
        fill: impl FnOnce(&mut [u8]) -> Result<Option<(u64, usize)>, E>,
    ) -> Result<Option<Chunk>, E> {
        let mut payload = Buffer::take();
        let (front, bytes) = payload.split_at_mut(FRONT);
        let Some((offset, length)) = fill(bytes)? else { return Ok(None) };
        let header = [&[KIND][..], &id.to_be_bytes(), &offset.to_be_bytes()].concat();
        front.copy_from_slice(&header);
        payload.truncate(FRONT + length);
        let frame = match length {
            LARGE.. => Outgoing::from(payload),
            _ => Outgoing::from(payload.to_vec()),
        };
        Ok(Some(Chunk { id, offset, frame: frame.in_lane(Lane::File(id)) }))
    }

    /// Which transfer it belongs to.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Where in the file its first byte is.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Where in the file the next one begins; `None` beyond what can be counted.
    pub fn end(&self) -> Option<u64> {
        let length = u64::try_from(self.bytes().len()).ok()?;
        self.offset.checked_add(length)
    }

    /// The bytes of the file.
    pub fn bytes(&self) -> &[u8] {
        self.frame.payload().get(FRONT..).unwrap_or_default()
    }

    /// The frame that it is sent in.
    pub fn frame(&self) -> Outgoing {
        self.frame.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(id: u32, at: u64, bytes: &[u8]) -> Chunk {
        let filled = Chunk::fill(id, |buffer| {
            buffer[..bytes.len()].copy_from_slice(bytes);
            Ok::<_, ()>(Some((at, bytes.len())))
        });
        filled.unwrap().unwrap()
    }

    #[test]
    fn to_the_byte() {
        let chunk = chunk(0x0102_0304, 0x1112_1314_1516_1718, b"hi");
        let expected = b"\x11\x01\x02\x03\x04\x11\x12\x13\x14\x15\x16\x17\x18hi";
        assert_eq!(chunk.frame().payload(), expected);
        assert_eq!(Chunk::read(&expected[1..]), Ok(chunk.clone()));
        assert_eq!((chunk.id(), chunk.offset()), (0x0102_0304, 0x1112_1314_1516_1718));
        assert_eq!((chunk.bytes(), chunk.end()), (&b"hi"[..], Some(0x1112_1314_1516_171a)));
        assert_eq!(Chunk::fill(1, |_| Ok::<_, ()>(None)), Ok(None));
        assert_eq!(Chunk::fill(1, |_| Err("no")), Err("no"));
    }

    #[test]
    fn one_byte_to_65536_and_no_end_beyond_what_can_be_counted() {
        for length in [0, 4, 11, 12, 12 + 65_537] {
            assert_eq!(Chunk::read(&vec![0; length]), Err(NotAChunk(length)));
        }
        for length in [13, 12 + 65_536] {
            assert_eq!(Chunk::read(&vec![7; length]).unwrap().bytes().len(), length - 12);
        }
        assert_eq!(chunk(1, u64::MAX - 1, b"a").end(), Some(u64::MAX));
        assert_eq!(chunk(1, u64::MAX, b"a").end(), None);
    }
}
