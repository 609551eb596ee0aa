//! Sending and receiving a file over messages.
//!
//! A file is offered, and sent when those who were asked have answered: in chunks, of which at most
//! a window is on its way, and an end with its size and checksum. Who takes it acknowledges what is
//! on their disk. A client has one of these, and so has a server that keeps copies.
//!
//! Each file has a thread of its own, so a slow disk delays that file alone. Whoever reads from the
//! connection hands over what comes and waits for none of them.

use std::path::PathBuf;
use std::sync::mpsc;

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
        say: impl Fn(Request) + Send + Sync + 'static,
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
            self.desk.give_up(id, &format!("there is no thread for it: {error}"));
        }
    }

    fn work(&self, job: Job<Source>) {
        match job {
            Job::Say(request) => self.desk.say(request),
            Job::Send(id, source) => {
                if let Err(error) = self.send(id, source) {
                    self.desk.give_up(id, &error);
                }
            }
            Job::Receive(offer, pieces) => match self.receive(&offer, &pieces) {
                Ok(Some(path)) => self.desk.received(&offer, &path),
                // There is no more of it, and somebody has said so.
                Ok(None) => {}
                Err(error) => self.desk.give_up(offer.id, &error),
            },
        }
    }

    /// Sends a file, to its end or until there is no use in more.
    fn send(&self, id: u32, mut source: Source) -> Result<(), storage::send::Error> {
        let size = source.size();
        loop {
            let mut checksum = None;
            let chunk = Chunk::fill(id, |buffer| match source.next(buffer)? {
                Next::Chunk { offset, length } => Ok(Some((offset, length))),
                Next::End { sha256 } => {
                    checksum = Some(Checksum(sha256));
                    Ok(None)
                }
            })?;
            if let Some(sha256) = checksum {
                self.desk.say(Request::End { id, size, sha256 });
            }
            match chunk {
                Some(chunk) if self.desk.may_send(id, &chunk) => {
                    self.desk.say(Request::Chunk(chunk));
                }
                _ => return Ok(()),
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
        while let Ok(piece) = pieces.recv() {
            let chunk = match piece {
                Piece::Chunk(chunk) => chunk,
                Piece::End(size, sha256) => return incoming.finish(size, &sha256.0).map(Some),
            };
            incoming.write_at(chunk.offset(), chunk.bytes())?;
            let Some(waiting) = self.desk.written(&chunk) else { return Ok(None) };
            let offset = incoming.offset();
            if waiting == 0 || offset - acknowledged >= WINDOW / 4 {
                acknowledged = offset;
                self.desk.acknowledge(offer, offset);
            }
        }
        Ok(None)
    }
}
