//! A client's desk for files: what is offered, sent and received, under which number, and what its
//! person is told of it.
//!
//! What the other side says and what the person orders comes in; what is to be done with a disk
//! comes out as a [`Job`], for a thread of its own. So whoever reads from the connection waits for
//! nothing here.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::Path;
use std::sync::PoisonError;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

use super::Accept;
use super::Checksum;
use super::Chunk;
use super::FileName;
use super::WINDOW;
use crate::face::Face;
use crate::face::Progress;
use crate::message::Event;
use crate::message::Request;
use crate::name::Name;
use crate::sync::Arc;
use crate::sync::Condvar;
use crate::sync::Mutex;
use crate::sync::MutexGuard;
use crate::sync::lock;

/// Most files that are received at once.
const RECEIVING: usize = 256;
/// Most offers that wait for the person's answer.
const ASKED: usize = 1024;
/// So many jobs are done at once; when there are more, no new offer is heard.
const JOBS: usize = 2 * RECEIVING;
/// What a piece costs beyond its bytes while it waits for the disk.
const OVERHEAD: usize = 64;
/// Most that waits for the disk, of one file: twice a window.
const WAITING: usize = 2 * 1024 * 1024;
/// For the threads to remove what is not complete, when all is over.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);
/// For the server to say that it has got an offer, when nothing else is waited for.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How often that is looked at.
const TICK: Duration = Duration::from_millis(250);

/// A file as it was offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Its number, the same for all.
    pub id: u32,
    /// What it is called.
    pub name: FileName,
    /// Its bytes.
    pub size: u64,
    /// Who offers it.
    pub from: String,
}

/// What is to be done with a disk, or may have to wait.
#[derive(Debug)]
pub enum Job<S> {
    /// Send an own file, from its source.
    Send(u32, S),
    /// Receive a file.
    Receive(Offer, mpsc::Receiver<Piece>),
    /// Say this to the other side.
    Say(Request),
}

impl<S> Job<S> {
    /// Which file it is about, for when it cannot be done; 0, which is none, if nothing would be lost.
    pub fn id(&self) -> u32 {
        match self {
            Job::Send(id, _) | Job::Receive(Offer { id, .. }, _) => *id,
            Job::Say(_) => 0,
        }
    }
}

/// What comes of a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// A part of it.
    Chunk(Chunk),
    /// Its end: its size and its checksum.
    End(u64, Checksum),
}

impl Piece {
    /// What it costs while it waits to be written.
    fn cost(&self) -> usize {
        match self {
            Piece::Chunk(chunk) => OVERHEAD + chunk.bytes().len(),
            Piece::End(..) => OVERHEAD,
        }
    }
}

/// The desk; an own file's source is an `S`.
pub struct Desk<S> {
    accept: Accept,
    face: Arc<dyn Face>,
    say: Box<dyn Fn(Vec<Request>) + Send + Sync>,
    state: Mutex<State<S>>,
    changed: Condvar,
}

struct State<S> {
    /// Own files that have no number yet, by their tags.
    offered: BTreeMap<u32, Sending<S>>,
    last_tag: u32,
    /// Numbers that `go` was said of before they were known: those are of own files, too.
    early: BTreeSet<u32>,
    sending: BTreeMap<u32, Sending<S>>,
    asked: BTreeMap<u32, Offer>,
    receiving: BTreeMap<u32, Receiving>,
    jobs: usize,
    closed: bool,
}

struct Sending<S> {
    /// Until it is sent.
    source: Option<S>,
    name: FileName,
    size: u64,
    to: String,
    sent: u64,
    acked: u64,
    since: Instant,
}

struct Receiving {
    offer: Offer,
    pieces: mpsc::Sender<Piece>,
    /// What the pieces cost that have not been written yet.
    waiting: usize,
    /// The last of them has come.
    ended: bool,
    /// It is being put in place.
    committed: bool,
}

impl<S> Desk<S> {
    /// An empty desk. The other side is told something through `say`, which may wait.
    pub fn new(
        accept: Accept,
        face: Arc<dyn Face>,
        say: impl Fn(Vec<Request>) + Send + Sync + 'static,
    ) -> Desk<S> {
        let state = Mutex::new(State::new(0, false));
        Desk { accept, face, say: Box::new(say), state, changed: Condvar::new() }
    }

    /// Says something to the other side; this may wait.
    pub fn say(&self, request: Request) {
        self.say_all(vec![request]);
    }

    /// Says several things at once.
    pub fn say_all(&self, requests: Vec<Request>) {
        (self.say)(requests);
    }

    /// What the other side says of files, and the job that follows from it.
    pub fn hear(&self, event: Event) -> Option<Job<S>> {
        match event {
            Event::Offered { tag, id } => return self.offered(tag, id),
            Event::NotOffered { tag, text } => self.not_offered(tag, &text),
            Event::Go { id } => return self.go(id),
            Event::Ack { id, offset } => self.acked(id, offset),
            Event::Dropped { id, name, text } => {
                self.tell(id, |own| Event::Refused {
                    text: format!("{name} does not get {}: {text}", own.name),
                });
            }
            Event::Received { id, name } => {
                self.tell(id, |own| Event::Notice { text: format!("{name} has {}", own.name) });
            }
            Event::Done { id } => {
                if let Some(title) = self.forget(id) {
                    self.notice(format!("sent {title}"));
                }
            }
            Event::Offer { id, from, name, size, .. } => return self.asked(id, &from, &name, size),
            Event::Chunk(chunk) => return self.piece(chunk.id(), Piece::Chunk(chunk)),
            Event::End { id, size, sha256 } => return self.piece(id, Piece::End(size, sha256)),
            // All of it is here: whether it is right, and in place, is this side's matter.
            Event::Abort { id, .. } if self.has_ended(id) => {}
            Event::Abort { id, text } => {
                if let Some(title) = self.forget(id) {
                    self.error(format!("{title}: {text}"));
                }
            }
            _ => {}
        }
        None
    }

    // Own files.

    /// Offers the file at `path`, of `size` bytes, to one person or to all.
    pub fn offer(&self, path: &Path, source: S, size: u64, to: Option<Name>) {
        let name = match FileName::of(path) {
            Ok(name) => name,
            Err(error) => return self.error(format!("{}: {error}", path.display())),
        };
        let mut state = self.state();
        state.last_tag = state.last_tag.wrapping_add(1);
        let (tag, name_to) = (state.last_tag, to.as_ref().map(Name::to_string));
        let request = Request::Offer { tag, to: name_to, name: name.to_string(), size };
        let to = to.map_or("all".to_owned(), String::from);
        let (source, since) = (Some(source), Instant::now());
        let sending = Sending { source, name, size, to, sent: 0, acked: 0, since };
        state.offered.insert(tag, sending);
        drop(state);
        self.say(request);
    }

    /// An own file has got its number. That of none of them may belong to something that somebody
    /// has changed on its way.
    fn offered(&self, tag: u32, id: u32) -> Option<Job<S>> {
        let mut state = self.state();
        let mut own = state.offered.remove(&tag);
        let fits = own.take_if(|_| !state.is_known(id));
        let Some(own) = fits else {
            let has_time = state.jobs < JOBS;
            drop(state);
            self.changed.notify_all();
            // If both are own files, nobody can say which of them it was.
            let lost = [own.map(|own| own.title()), self.forget(id)];
            for title in lost.into_iter().flatten() {
                self.error(format!("{title}: the server's answer does not fit this offer"));
            }
            let text = "this was not offered".to_owned();
            return has_time.then_some(Job::Say(Request::Abort { id, text }));
        };
        let (title, size, goes) = (own.title(), own.size, state.early.remove(&id));
        state.sending.insert(id, own);
        drop(state);
        self.notice(format!("offered {title} ({size} bytes); @cancel {id} takes it back"));
        if goes { self.go(id) } else { None }
    }

    fn not_offered(&self, tag: u32, why: &str) {
        let Some(own) = self.state().offered.remove(&tag) else { return };
        self.changed.notify_all();
        self.error(format!("{}: {why}", own.title()));
    }

    fn go(&self, id: u32) -> Option<Job<S>> {
        let mut state = self.state();
        if !state.sending.contains_key(&id) && state.early.len() < state.offered.len() {
            state.early.insert(id);
        }
        let own = state.sending.get_mut(&id)?;
        let source = own.source.take()?;
        let text = format!("sending {} ({} bytes)", own.name, own.size);
        drop(state);
        self.notice(text);
        self.acked(id, 0);
        Some(Job::Send(id, source))
    }

    fn acked(&self, id: u32, offset: u64) {
        let mut state = self.state();
        let Some(own) = state.sending.get_mut(&id) else { return };
        // Of what was not sent, nobody has anything.
        own.acked = own.acked.max(offset.min(own.sent));
        let (title, done, size) = (own.title(), own.acked, own.size);
        self.progress(id, title, done, size);
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until the window has room for all before `end`; false if it never will.
    pub fn may_send(&self, id: u32, end: u64) -> bool {
        let mut state = self.state();
        loop {
            match state.sending.get_mut(&id) {
                None => return false,
                Some(own) if end <= own.acked.saturating_add(WINDOW) => {
                    own.sent = end;
                    return true;
                }
                Some(_) => {
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Tells the person something about an own file.
    fn tell(&self, id: u32, event: impl FnOnce(&Sending<S>) -> Event) {
        let Some(event) = self.state().sending.get(&id).map(event) else { return };
        self.show(&event);
    }

    // Files of others.

    fn asked(&self, id: u32, from: &Name, name: &str, size: u64) -> Option<Job<S>> {
        let refuse = |text| Some(Job::Say(Request::Refuse { id, text }));
        // Silence refuses what is too much. (A number that is taken comes from no honest server.)
        if self.state().is_taken_up(id) {
            return None;
        }
        let name = match name.parse::<FileName>() {
            Ok(name) => name,
            Err(error) => {
                self.error(format!("{from} offers a file, but {error}"));
                return refuse(error.to_string());
            }
        };
        let what = format!("{from} offers {name} ({size} bytes)");
        let offer = Offer { id, name, size, from: from.to_string() };
        match self.accept {
            Accept::Auto => self.receive(offer),
            Accept::Never => {
                self.notice(format!("{what}: refused (--accept never)"));
                refuse("takes no files".to_owned())
            }
            Accept::Ask => {
                let mut state = self.state();
                // Silence refuses those that are too many.
                if state.asked.len() < ASKED {
                    state.asked.insert(id, offer);
                    drop(state);
                    self.notice(format!("{what}: @accept {id} or @refuse {id}"));
                }
                None
            }
        }
    }

    /// The person takes what was offered.
    pub fn accept(&self, id: u32) -> Option<Job<S>> {
        let offer = self.state().asked.remove(&id);
        if offer.is_none() {
            self.error(format!("no file {id} waits for an answer"));
        }
        self.receive(offer?)
    }

    /// The person does not.
    pub fn refuse(&self, id: u32) {
        match self.state().asked.remove(&id) {
            Some(_) => self.say(Request::Refuse { id, text: "refused".to_owned() }),
            None => self.error(format!("no file {id} waits for an answer")),
        }
    }

    fn receive(&self, offer: Offer) -> Option<Job<S>> {
        let mut state = self.state();
        if state.receiving.len() >= RECEIVING {
            let text = "receives too many files already".to_owned();
            return Some(Job::Say(Request::Refuse { id: offer.id, text }));
        }
        let (pieces, receiver) = mpsc::channel();
        let receiving =
            Receiving { offer: offer.clone(), pieces, waiting: 0, ended: false, committed: false };
        state.receiving.insert(offer.id, receiving);
        Some(Job::Receive(offer, receiver))
    }

    /// Hands a piece to whoever writes it.
    fn piece(&self, id: u32, piece: Piece) -> Option<Job<S>> {
        let mut state = self.state();
        let receiving = state.receiving.get_mut(&id)?;
        receiving.waiting += piece.cost();
        receiving.ended |= matches!(piece, Piece::End(..));
        if receiving.waiting <= WAITING && receiving.pieces.send(piece).is_ok() {
            return None;
        }
        drop(state);
        let text = "more came than had been asked for".to_owned();
        self.error(format!("{}: {text}", self.forget(id)?));
        Some(Job::Say(Request::Abort { id, text }))
    }

    /// Whether the end of a file has come that is received.
    fn has_ended(&self, id: u32) -> bool {
        self.state().receiving.get(&id).is_some_and(|receiving| receiving.ended)
    }

    /// The disk is ready for a file: the other side and the person are told, if it is not over.
    pub fn taken(&self, offer: &Offer) {
        let Offer { id, name, size, from } = offer;
        if !self.state().receiving.contains_key(id) {
            return;
        }
        self.notice(format!("receiving {name} ({size} bytes) from {from}; @cancel {id} stops it"));
        self.say(Request::Accept { id: *id });
    }

    /// A piece waits no more, and whether it is still wanted.
    pub fn takes(&self, id: u32, piece: &Piece) -> bool {
        let mut state = self.state();
        let receiving = state.receiving.get_mut(&id);
        let written = |waiting: usize| waiting.saturating_sub(piece.cost());
        receiving.map(|file| file.waiting = written(file.waiting)).is_some()
    }

    /// All before `offset` is written: the other side and the person are told.
    pub fn acknowledge(&self, offer: &Offer, offset: u64) {
        self.say(Request::Ack { id: offer.id, offset });
        // Of a file that is over nothing is shown, not even too late.
        let state = self.state();
        if state.receiving.contains_key(&offer.id) {
            self.progress(offer.id, offer.title(), offset, offer.size);
        }
    }

    /// All of a file is on the disk, and what came is what was sent: whether it is still wanted. From
    /// now on it cannot be cancelled.
    pub fn commits(&self, id: u32) -> bool {
        let mut state = self.state();
        let receiving = state.receiving.get_mut(&id);
        receiving.map(|receiving| receiving.committed = true).is_some()
    }

    /// A file is in place.
    pub fn received(&self, offer: &Offer, path: &Path) {
        let Offer { id, name, size, from } = offer;
        // First to the other side: whoever reads the line may leave at once.
        self.say(Request::Received { id: *id });
        self.notice(format!("received {name} ({size} bytes) from {from} -> {}", path.display()));
        self.forget(*id);
    }

    // Both.

    /// The person wants no more of a file.
    pub fn cancel(&self, id: u32) {
        let committed = |file: &Receiving| file.committed;
        let is_too_late = self.state().receiving.get(&id).is_some_and(committed);
        if is_too_late {
            return self.error(format!("file {id} is complete already"));
        }
        match self.forget(id) {
            Some(title) => {
                self.say(Request::Abort { id, text: "cancelled".to_owned() });
                self.notice(format!("{title}: cancelled"));
            }
            None => self.error(format!("there is no file {id} on its way")),
        }
    }

    /// There is no more of a file, because of an error on this side, of which others may learn less.
    /// Of a file that is over already, nobody is told.
    pub fn give_up(&self, id: u32, error: &impl Display, for_others: String) {
        if let Some(title) = self.forget(id) {
            self.say(Request::Abort { id, text: for_others });
            self.error(format!("{title}: {error}"));
        }
    }

    /// No more of a file: what it is called, and from or to whom, if there is such a file.
    fn forget(&self, id: u32) -> Option<String> {
        let mut state = self.state();
        let own = state.sending.remove(&id).map(|own| own.title());
        let asked = state.asked.remove(&id).map(|offer| offer.title());
        let receiving = state.receiving.remove(&id).map(|receiving| receiving.offer.title());
        // Nobody sees it where this fails.
        let _ = self.face.progress(id, None);
        drop(state);
        self.changed.notify_all();
        own.or(asked).or(receiving)
    }

    /// The person leaves, and wants no more of any file.
    pub fn leave(&self) {
        let state = self.state();
        let receiving = state.receiving.iter().filter(|(_, file)| !file.committed);
        let ids = state.sending.keys().chain(receiving.map(|(id, _)| id)).copied();
        let ids = ids.collect::<Vec<_>>();
        drop(state);
        for id in ids {
            if self.forget(id).is_some() {
                self.say(Request::Abort { id, text: "has left".to_owned() });
            }
        }
    }

    /// Waits until all own files are through, and until those whose end has come are in place. What
    /// the other side does not even answer is not waited for any longer.
    pub fn finish(&self) {
        let mut state = self.state();
        loop {
            let late = |own: &Sending<S>| own.since.elapsed() >= ANSWER_WITHIN;
            let tags = state.offered.iter().filter(|(_, own)| late(own)).map(|(tag, _)| *tag);
            for tag in tags.collect::<Vec<_>>() {
                let own = state.offered.remove(&tag);
                drop(state);
                own.inspect(|own| {
                    self.error(format!("{}: the server has not answered", own.title()))
                });
                state = self.state();
            }
            let comes = state.receiving.values().any(|receiving| receiving.ended);
            let waits = comes || !state.offered.is_empty() || !state.sending.is_empty();
            if state.closed || !waits {
                return;
            }
            let woken = self.changed.wait_timeout(state, TICK);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A job begins. It ends when this is dropped.
    pub fn begin(self: &Arc<Self>) -> Busy<S> {
        self.state().jobs += 1;
        Busy(Arc::clone(self))
    }

    /// The connection is over, and so is every file. Waits until the jobs have ended, unless that
    /// takes long.
    pub fn close(&self) {
        let mut state = self.state();
        *state = State::new(state.jobs, true);
        self.changed.notify_all();
        let deadline = Instant::now() + CLOSE_WITHIN;
        while let Some(left) = deadline.checked_duration_since(Instant::now())
            && state.jobs > 0
        {
            let woken = self.changed.wait_timeout(state, left);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn state(&self) -> MutexGuard<'_, State<S>> {
        lock(&self.state)
    }

    /// Shows a person what they should know.
    pub fn notice(&self, text: String) {
        self.show(&Event::Notice { text });
    }

    /// Shows a person what went wrong.
    pub fn error(&self, text: String) {
        self.show(&Event::Refused { text });
    }

    fn show(&self, event: &Event) {
        // Nobody sees it where this fails.
        let _ = self.face.show(event);
    }

    fn progress(&self, id: u32, title: String, done: u64, size: u64) {
        // Nobody sees it where this fails.
        let _ = self.face.progress(id, Some(&Progress { title, done, size }));
    }
}

/// A job that is being done.
pub struct Busy<S>(Arc<Desk<S>>);

impl<S> Drop for Busy<S> {
    fn drop(&mut self) {
        self.0.state().jobs -= 1;
        self.0.changed.notify_all();
    }
}

impl<S> State<S> {
    fn new(jobs: usize, closed: bool) -> State<S> {
        State {
            offered: BTreeMap::new(),
            last_tag: 0,
            early: BTreeSet::new(),
            sending: BTreeMap::new(),
            asked: BTreeMap::new(),
            receiving: BTreeMap::new(),
            jobs,
            closed,
        }
    }
}

impl<S> State<S> {
    /// Whether a file of this number cannot be dealt with.
    fn is_taken_up(&self, id: u32) -> bool {
        self.is_known(id) || self.jobs >= JOBS
    }

    fn is_known(&self, id: u32) -> bool {
        let asked = self.asked.contains_key(&id);
        asked || self.sending.contains_key(&id) || self.receiving.contains_key(&id)
    }
}

impl<S> Sending<S> {
    fn title(&self) -> String {
        format!("{} to {}", self.name, self.to)
    }
}

impl Offer {
    /// What is shown of it: its name, and from whom it is.
    pub fn title(&self) -> String {
        format!("{} from {}", self.name, self.from)
    }
}

#[cfg(test)]
mod tests;
