//! All durations and sizes of a server in one value.
//!
//! The server gets them from `main.rs`; a test hands in shorter ones instead of sleeping.

use std::time::Duration;

use crate::files;

/// What a server allows, and for how long.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Clients in the room at the same time.
    pub max_clients: usize,
    /// From the accepted connection to the hello, all in all.
    pub hello_within: Duration,
    /// Bytes of messages that may wait in a peer's queue; see [`crate::frame::Lane`].
    pub queue: usize,
    /// A peer whose socket takes nothing for so long, while something waits for it, is stalled…
    pub stalled_after: Duration,
    /// …and so is one that takes less than [`Limits::portion`] bytes in so long.
    pub portion_within: Duration,
    /// See [`Limits::portion_within`].
    pub portion: usize,
    /// For the last words to a peer, and for what is queued when the server stops.
    pub goodbye_within: Duration,
    /// Silence after which a peer is pinged.
    pub ping_after: Duration,
    /// Silence after which a peer is given up; a multiple of [`Limits::ping_after`].
    pub close_after: Duration,
    /// So many messages that cannot be read end a connection.
    pub unreadable: u32,
    /// At most one typing notice per person in so long.
    pub typing_every: Duration,
    /// For the answer to an offered file; silence refuses it.
    pub answer_within: Duration,
    /// Who takes no bytes of a file for so long is dropped from it, and a file of which none come
    /// for so long is given up.
    pub progress_within: Duration,
    /// For putting a file in place after its last byte has come.
    pub settle_within: Duration,
    /// How often these times of files are looked at.
    pub tick: Duration,
    /// Files that one person may have offered, or under way.
    pub offers_each: usize,
    /// Files of one person that are under way at once; the others wait for their turn.
    pub under_way_each: usize,
    /// Which files that pass are kept, if any.
    pub keep: Option<files::Policy>,
    /// Stack of each client's two threads, in bytes. Address space, not memory: only touched pages count.
    pub stack: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_clients: 256,
            hello_within: Duration::from_secs(10),
            queue: 256 * 1024,
            stalled_after: Duration::from_secs(3),
            portion_within: Duration::from_secs(10),
            portion: 64 * 1024,
            goodbye_within: Duration::from_millis(500),
            ping_after: Duration::from_secs(60),
            close_after: Duration::from_secs(120),
            unreadable: 16,
            typing_every: Duration::from_secs(2),
            answer_within: Duration::from_secs(30),
            progress_within: Duration::from_secs(10),
            settle_within: Duration::from_secs(600),
            tick: Duration::from_millis(500),
            offers_each: 16,
            under_way_each: 4,
            keep: None,
            stack: 256 * 1024,
        }
    }
}

impl Limits {
    /// For a client: it waits for its server as long as that lives, also when the server makes it
    /// wait for slow recipients.
    pub fn for_client() -> Limits {
        let day = Duration::from_secs(24 * 60 * 60);
        Limits { stalled_after: day, portion_within: day, goodbye_within: day, ..Limits::default() }
    }

    /// Connections that have not said hello yet: all together.
    pub fn unfinished(&self) -> usize {
        self.max_clients.saturating_mul(2)
    }

    /// Connections that have not said hello yet: from one address.
    pub fn unfinished_per_address(&self) -> usize {
        self.max_clients.saturating_mul(3).div_ceil(2)
    }
}
