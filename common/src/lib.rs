//! What every stage shares and no stage teaches.
//!
//! A stage's own files hold its lesson; what is the same in all of them, and is not the lesson
//! of any, is here. From the wire upwards:
//!
//! | module | what it is |
//! |---|---|
//! | [`stream`] | a TCP connection with deadlines, and the listener that hands them out |
//! | [`pcap`] | writes what passes a [`stream::Stream`] as a capture file for Wireshark |
//! | [`frame`] | length · kind · body: the frames of every stage |
//! | [`pool`] | buffers for the bytes of files |
//! | [`message`] | the JSON messages inside frames of kind `10` |
//! | [`outbox`] | a peer's outbound queue, bounded in bytes, and when its peer is stalled |
//! | [`inbox`] | the requests of one client that came together |
//! | [`writer`] | a connection's writing thread |
//! | [`admission`] | how many may knock at once, and who has to go when too many do |
//! | [`heartbeat`] | ping after a silence, close after a longer one |
//! | [`clock`] | something that is done again and again |
//! | [`limits`] | all durations and sizes of a server in one value |
//! | [`name`], [`room`] | the chat itself: a state machine without sockets, threads or a clock |
//! | [`transfers`] | the same for files: who was offered what, who takes it, and how far it is |
//! | `crypto` | with the feature of that name: handshakes, keys and records of the encrypted stages |
//! | [`files`] | what is said of files: names, sizes, what a person types; the disk is the crate `storage` |
//! | [`cli`] | the part of the command line that all stages share |
//! | [`command`] | the `@` commands that a person types |
//! | [`face`] | how a person sees the chat |
//! | [`tour`] | what the stages' guided tours are made of |
//! | [`style`] | colours that can be read on any background, and whether anybody wants them |
//! | [`hex`](mod@hex) | bytes as hexadecimal digits |
//! | [`escape`] | makes whatever came from a peer safe to show |
//! | [`logging`] | the log on stderr, and the views of `-v` and `-vv` |
//! | [`sync`] | locks and threads, exchanged for models of them in the concurrency tests |

pub mod admission;
pub mod cli;
pub mod clock;
pub mod command;
#[cfg(feature = "crypto")]
pub mod crypto;
pub mod escape;
pub mod face;
pub mod files;
pub mod frame;
pub mod heartbeat;
pub mod hex;
pub mod inbox;
pub mod limits;
pub mod logging;
pub mod message;
pub mod name;
pub mod outbox;
pub mod pcap;
pub mod pool;
pub mod room;
pub mod stream;
pub mod style;
pub mod sync;
pub mod tour;
pub mod transfers;
pub mod writer;
