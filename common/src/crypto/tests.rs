use std::fmt::Debug;
use std::marker::PhantomData;

use super::*;

/// Whether a type has a `Debug`: the constant of [`Of`] goes before that of a trait.
trait ByDefault {
    const HAS_DEBUG: bool = false;
}

struct Of<T>(PhantomData<T>);

impl<T> ByDefault for Of<T> {}

impl<T: Debug> Of<T> {
    const HAS_DEBUG: bool = true;
}

#[test]
fn nothing_that_holds_a_secret_has_a_debug_that_could_show_it() {
    const { assert!(Of::<[u8; 32]>::HAS_DEBUG, "the question can be answered with yes") };
    const { assert!(!Of::<Secret>::HAS_DEBUG) };
    const { assert!(!Of::<Session>::HAS_DEBUG) };
    const { assert!(!Of::<Private>::HAS_DEBUG) };
    const { assert!(!Of::<CipherState>::HAS_DEBUG) };
    const { assert!(!Of::<Encryptor>::HAS_DEBUG) };
    const { assert!(!Of::<Decryptor>::HAS_DEBUG) };
    const { assert!(!Of::<Handshake<&[u8], Vec<u8>>>::HAS_DEBUG) };
}

#[test]
fn hex_has_two_digits_for_every_byte() {
    assert_eq!(hex(&[0x00, 0x0a, 0xa0, 0xff]), "000aa0ff");
    assert_eq!(hex(&[]), "");
}
