//! Sending and receiving a file over messages.
//!
//! A file is offered, and sent when those who were asked have answered: in chunks, of which at most
//! a window is on its way, and an end with its size and checksum. Who takes it acknowledges what is
//! written. A client has one of these, and so has a server that keeps copies.
//!
//! Each file has a thread of its own, so a slow disk delays that file alone. Whoever reads from the
//! connection hands over what comes and waits for none of them.

use std::path::PathBuf;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use common::face;
use common::files::Checksum;
use common::files::Chunk;
use common::files::Order;
use common::files::Policy;
use common::files::WINDOW;
use common::files::desk::Desk;
use common::files::desk::Job;
use common::files::desk::Offer;
use common::files::desk::Piece;
use common::limits::Limits;
use common::message::Event;
use common::message::Request;
use common::sync;
use common::sync::Arc;
use storage::Incoming;
use storage::Next;
use storage::Source;

/// Chunks that are queued at once: a thread that is woken for each would be woken too often.
const TOGETHER: usize = 4;
/// So many new bytes are acknowledged at once…
const ACKNOWLEDGE_EACH: u64 = WINDOW / 4;
/// …or fewer, if no more have come for so long.
const ACKNOWLEDGE_WITHIN: Duration = Duration::from_millis(20);

/// Files in both directions. Clones are the same.
#[derive(Clone)]
pub struct Transfers {
    desk: Arc<Desk<Source>>,
    policy: Policy,
    stack: usize,
}

impl Transfers {
    /// None yet. The other side is told something through `say`, which may wait.
    pub fn new(
        limits: &Limits,
        policy: &Policy,
        face: Arc<dyn face::Face>,
        say: impl Fn(Vec<Request>) + Send + Sync + 'static,
    ) -> Transfers {
        // What was left behind when an earlier run was killed.
        if let Err(error) = storage::sweep(&policy.folder) {
            log::warn!("{}: {error}", policy.folder.display());
        }
        let desk = Arc::new(Desk::new(policy.accept, face, say));
        Transfers { desk, policy: policy.clone(), stack: limits.stack }
    }

    /// What the person wants.
    pub fn order(&self, order: Order) {
        match order {
            Order::Send { path, to } => match Source::open(&path) {
                Ok(source) => {
                    let size = source.size();
                    self.desk.offer(&path, source, size, to);
                }
                Err(error) => self.desk.error(error.to_string()),
            },
            Order::Accept(id) => self.begin(self.desk.accept(id)),
            Order::Refuse(id) => self.desk.refuse(id),
            Order::Cancel(id) => self.desk.cancel(id),
        }
    }

    /// What the other side says of files.
    pub fn hear(&self, event: Event) {
        self.begin(self.desk.hear(event));
    }

    /// The person leaves, and does not wait for any file.
    pub fn leave(&self) {
        self.desk.leave();
    }

    /// Waits until all own files are through.
    pub fn finish(&self) {
        self.desk.finish();
    }

    /// The connection is over, and so is every file; what is not complete is removed.
    pub fn close(&self) {
        self.desk.close();
    }

    /// Does a job in a thread of its own.
    fn begin(&self, job: Option<Job<Source>>) {
        let Some(job) = job else { return };
        let (transfers, busy) = (self.clone(), self.desk.begin());
        let id = job.id();
        let spawned = sync::spawn("file", self.stack, move || {
            transfers.work(job);
            drop(busy);
        });
        if let Err(error) = spawned {
            let text = "there is no thread for it".to_owned();
            self.desk.give_up(id, &format!("{text}: {error}"), text);
        }
    }

    fn work(&self, job: Job<Source>) {
        match job {
            Job::Say(request) => self.desk.say(request),
            Job::Send(id, source) => {
                if let Err(error) = self.send(id, source) {
                    self.desk.give_up(id, &error, error.for_others());
                }
            }
            Job::Receive(offer, pieces) => match self.receive(&offer, &pieces) {
                Ok(Some(path)) => self.desk.received(&offer, &path),
                // There is no more of it, and somebody has said so.
                Ok(None) => {}
                Err(error) => self.desk.give_up(offer.id, &error, error.for_others()),
            },
        }
    }

    /// Sends a file, to its end or until there is no use in more.
    fn send(&self, id: u32, mut source: Source) -> Result<(), storage::send::Error> {
        loop {
            let requests = read(id, &mut source)?;
            let is_end = matches!(requests.last(), Some(Request::End { .. }));
            if !self.desk.may_send(id, source.offset()) {
                return Ok(());
            }
            self.desk.say_all(requests);
            if is_end {
                return Ok(());
            }
        }
    }

    /// Receives a file and says where it is; `None` if it is over before that.
    fn receive(
        &self,
        offer: &Offer,
        pieces: &mpsc::Receiver<Piece>,
    ) -> Result<Option<PathBuf>, storage::receive::Error> {
        let Policy { folder, max, .. } = &self.policy;
        let mut incoming = Incoming::create(folder, offer.name.clone(), offer.size, *max)?;
        self.desk.taken(offer);
        let mut acknowledged = 0;
        loop {
            let piece = pieces.recv_timeout(ACKNOWLEDGE_WITHIN);
            let is_late = piece == Err(RecvTimeoutError::Timeout);
            match piece {
                Ok(piece) if !self.desk.takes(offer.id, &piece) => return Ok(None),
                Ok(Piece::End(size, sha256)) => {
                    // The disk may take its time, and that is not held against who has everything.
                    self.desk.acknowledge(offer, incoming.offset());
                    let complete = incoming.check(size, &sha256.0)?;
                    return self.desk.commits(offer.id).then(|| complete.publish()).transpose();
                }
                Ok(Piece::Chunk(chunk)) => incoming.write_at(chunk.offset(), chunk.bytes())?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
            }
            let new = incoming.offset() - acknowledged;
            if new >= ACKNOWLEDGE_EACH || new > 0 && is_late {
                acknowledged = incoming.offset();
                self.desk.acknowledge(offer, acknowledged);
            }
        }
    }
}

/// Reads some chunks, or what is left of them and the end.
fn read(id: u32, source: &mut Source) -> Result<Vec<Request>, storage::send::Error> {
    let (size, mut end, mut requests) = (source.size(), None, Vec::new());
    while end.is_none() && requests.len() < TOGETHER {
        let chunk = Chunk::fill(id, |buffer| match source.next(buffer)? {
            Next::Chunk { offset, length } => Ok(Some((offset, length))),
            Next::End { sha256 } => {
                end = Some(Request::End { id, size, sha256: Checksum(sha256) });
                Ok(None)
            }
        })?;
        requests.extend(chunk.map(Request::Chunk));
    }
    requests.extend(end);
    Ok(requests)
}
