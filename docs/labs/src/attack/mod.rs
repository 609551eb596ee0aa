//! A man in the middle between a real client and a real server, in small pieces.
//!
//! A [`Relay`] listens where the client connects and connects to the server. Every frame of each
//! direction goes through an [`Attack`], a function that decides what becomes of it: it passes it
//! on, changes it, drops it, repeats it, holds it back, or sends something of its own. The victims
//! are the stages' own programs, and nothing in them knows about this.
//!
//! | attack | what it does | made for | works | fails |
//! |---|---|---|---|---|
//! | [`tamper::eavesdrop`] | nothing but listen | reading along | stage 1, and wherever it has keys | every cipher |
//! | [`tamper::rewrite`] | other words in a message | changing what is said | stage 1, or with keys | every cipher |
//! | [`tamper::flip`] | turns one bit of a record | malleability | CFB | AEAD |
//! | [`cfb::forge`] | other characters at the end of a record, without a key | malleability | CFB | AEAD |
//! | [`tamper::flip_all`] | the same in many records | patience | CFB | AEAD |
//! | [`tamper::replay`] | a record twice | freshness | stage 1, CFB | AEAD that counts |
//! | [`tamper::swap`] | a record after the one behind it | order | stage 1, CFB | AEAD that counts |
//! | [`tamper::drop_one`] | leaves a record out | completeness | stage 1, CFB | AEAD that counts |
//! | [`tamper::truncate`] | ends a direction after a record | the end as a message | stage 1, CFB | a sealed end |
//! | [`tamper::reflect`] | a direction's record into the other | one key per direction | a key for both directions | stages 2, 3 |
//! | [`downgrade::codes`] | other suites in a hello | a transcript that is hashed | no stage here | stages 2, 3 |
//! | [`impostor::start`] | a handshake of its own with each side | authentication | stages 2, 3, every suite | a pinned key |
//!
//! An attack is any `FnMut(Crossing, &mut Wire)`, so an exercise can be a closure:
//!
//! ```
//! use labs::attack::Attack;
//! use labs::attack::Crossing;
//! use labs::attack::Wire;
//!
//! /// Whatever the client says, the server hears it three times.
//! fn echo() -> impl Attack {
//!     |frame: Crossing, wire: &mut Wire| (0..3).for_each(|_| wire.pass(&frame))
//! }
//! ```
//!
//! [`on`] confines one to a single frame.

pub mod cfb;
pub mod downgrade;
pub mod impostor;
pub mod relay;
pub mod tamper;

pub use relay::Attack;
pub use relay::Crossing;
pub use relay::Direction;
pub use relay::Relay;
pub use relay::Transcript;
pub use relay::Wire;
pub use relay::on;
