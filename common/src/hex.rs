//! Bytes as hexadecimal digits, as they stand in messages and in the key log.

use std::fmt::Write;

/// The bytes of two hexadecimal digits each; `None` if it is something else.
pub fn unhex(hex: &str) -> Option<Vec<u8>> {
    let digit =
        |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| Some(digit(high)? << 4 | digit(low)?);
    pairs.iter().map(byte).collect::<Option<_>>().filter(|_| rest.is_empty())
}

/// Bytes as two hexadecimal digits each.
pub fn hex(bytes: &[u8]) -> String {
    // Of a key, a string that grew would leave copies behind that nobody wipes.
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
        // A String takes everything.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
