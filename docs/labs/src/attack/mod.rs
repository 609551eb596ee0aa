//! A man in the middle between a real client and a real server, in small pieces.
//!
//! A [`Relay`] listens where the client connects and connects to the server. Every frame of each
//! direction goes through an [`Attack`], a function that decides what becomes of it: it passes it
//! on, changes it, drops it, repeats it, holds it back, or sends something of its own. The victims
//! are the stages' own programs, and nothing in them knows about this.
//!
//! Stage 5 stands for its own handshake, which it has where no `--kex` and no `--cipher` is chosen; with
//! them it is as stage 3.
//!
//! | attack | what it does | made for | works | fails |
//! |---|---|---|---|---|
//! | [`tamper::eavesdrop`] | nothing but listen | reading along | stage 1, and wherever it has keys | every cipher |
//! | [`tamper::rewrite`] | other words in a message | changing what is said | stage 1, or with keys | every cipher |
//! | [`tamper::flip`] | turns one bit of a record | malleability | CFB | AEAD, stage 5 |
//! | [`tamper::flip_hello`] | turns one bit of the handshake | a transcript that is hashed | no stage here | stages 2, 3, 5 |
//! | [`cfb::forge`] | other characters at the end of a record, without a key | malleability | CFB | AEAD, stage 5 |
//! | [`tamper::flip_all`] | the same in many records | patience | CFB | AEAD, stage 5 |
//! | [`tamper::replay`] | a record twice | freshness | stage 1, CFB | AEAD that counts, stage 5 |
//! | [`tamper::swap`] | a record after the one behind it | order | stage 1, CFB | AEAD that counts, stage 5 |
//! | [`tamper::drop_one`] | leaves a record out | completeness | stage 1, CFB | AEAD that counts, stage 5 |
//! | [`tamper::truncate`] | ends a direction after a record | the end as a message | stage 1, CFB | a sealed end, stage 5 |
//! | [`tamper::reflect`] | a direction's record into the other | one key per direction | a key for both directions | stages 2, 3, 5 |
//! | [`downgrade::codes`] | other suites in a hello | a transcript that is hashed | no stage here | stages 2, 3 |
//! | [`downgrade::suites`] | the same in stage 5's own handshake | a transcript that is hashed | no stage here | stage 5 |
//! | [`downgrade::unauthenticated`] | the handshake of stage 3 instead | a client that falls back | no stage here | stage 5 |
//! | [`impostor::start`] | a handshake of its own with each side | authentication | stages 2, 3, every suite | a pinned key |
//! | [`noise::start`] | the same, with a static key of its own | a key that is known | stage 5 at the first contact, without a login | stage 5 with a login, or a key that is known |
//! | [`noise::open_door`] | *open* in place of a login | a client that goes on without | a client that has no password | stage 5 with a login |
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
pub mod noise;
pub mod relay;
pub mod tamper;

pub use relay::Attack;
pub use relay::Crossing;
pub use relay::Direction;
pub use relay::Relay;
pub use relay::Transcript;
pub use relay::Wire;
pub use relay::on;
