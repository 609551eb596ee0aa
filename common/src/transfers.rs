//! Files on their way through a server: who was offered what, who takes it, and how far it is.
//!
//! A pure state machine, as the [`room`](crate::room) that it belongs to: what a peer asks for goes
//! in, deliveries come out. It sees the bytes of files pass and keeps none of them.
//!
//! ```text
//! offered ──► all have answered, or 30 s ──► waits for its turn ──► under way ──► done
//!                 nobody takes it ─────────────────────┴───────────────┴────────► aborted
//! ```
//! While a file is under way, those who take it acknowledge what they have; its sender is told the
//! smallest of these offsets and may be [`WINDOW`] ahead of it. So nobody ever waits for room in a
//! queue of bytes, and a transfer is as fast as the slowest who takes it. Who takes nothing for
//! [`Limits::progress_within`] is dropped from it.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

use crate::files::Checksum;
use crate::files::Chunk;
use crate::files::FileName;
use crate::files::WINDOW;
use crate::files::chunk;
use crate::limits::Limits;
use crate::message::Event;
use crate::name::Name;
use crate::room::Delivery;
use crate::room::PeerId;

/// Files that may be offered or under way, in all: what peers can make is bounded.
const TRANSFERS: usize = 1024;

/// Who takes less than this in [`Limits::progress_within`], and has not all there is, stands still.
pub const PORTION: u64 = 64 * 1024;

/// All files that are offered or under way.
#[derive(Debug)]
pub struct Transfers {
    answer_within: Duration,
    progress_within: Duration,
    settle_within: Duration,
    offers_each: usize,
    under_way_each: usize,
    last_id: u32,
    /// Chunks that have been passed on, of all files.
    passed: u64,
    /// When somebody last sent a part of any file.
    heard: BTreeMap<PeerId, Instant>,
    all: BTreeMap<u32, Transfer>,
}

/// A file, and for whom it is.
#[derive(Debug)]
pub struct Offer {
    /// Who offers it.
    pub from: (PeerId, Name),
    /// What its sender calls it until it has a number.
    pub tag: u32,
    /// The person that it is for, if it is not for all.
    pub to: Option<Name>,
    /// All who are asked.
    pub takers: Vec<(PeerId, Name)>,
    /// What it is called.
    pub name: FileName,
    /// Its bytes.
    pub size: u64,
}

#[derive(Debug)]
struct Transfer {
    from: PeerId,
    size: u64,
    /// Those who may still get it, or get more of it.
    takers: BTreeMap<PeerId, Taker>,
    /// Somebody has got it.
    received: bool,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// Not all have answered.
    Offered { until: Instant },
    /// It is not this transfer's turn.
    Waits,
    /// It is being sent.
    UnderWay(Flow),
}

/// How far a file is.
#[derive(Debug)]
struct Flow {
    /// The offset behind the last byte that came.
    sent: u64,
    /// The smallest offset that its sender was told.
    told: u64,
    ended: bool,
    /// When its sender last sent something, or could do so again.
    sent_at: Instant,
    /// The chunks that not all have acknowledged: the offset behind each, and its place among all
    /// that were passed on.
    chunks: VecDeque<(u64, u64)>,
}

#[derive(Debug)]
struct Taker {
    name: Name,
    accepted: bool,
    /// The offset before which this one has everything.
    acked: u64,
    /// Since when, and with which offset, this one has been standing still.
    since: Instant,
    at: u64,
}

/// What comes of a request: deliveries, or why it is refused.
type Outcome = Result<Vec<Delivery>, String>;

impl Transfers {
    /// None.
    pub fn new(limits: &Limits) -> Transfers {
        Transfers {
            answer_within: limits.answer_within,
            progress_within: limits.progress_within,
            settle_within: limits.settle_within,
            offers_each: limits.offers_each,
            under_way_each: limits.under_way_each,
            last_id: 0,
            passed: 0,
            heard: BTreeMap::new(),
            all: BTreeMap::new(),
        }
    }

    /// Offers a file to all who are to be asked, at the time `now`.
    ///
    /// # Errors
    /// If there are too many already, or there is nobody to ask.
    pub fn offer(&mut self, offer: Offer, now: Instant) -> Outcome {
        let (from, name) = offer.from;
        let own = self.all.values().filter(|transfer| transfer.from == from).count();
        if own >= self.offers_each {
            return Err(format!("{own} of your files are not through yet: wait, or @cancel one"));
        }
        if self.all.len() >= TRANSFERS {
            return Err("there are too many files on this server for another one".to_owned());
        }
        if offer.takers.is_empty() {
            return Err("nobody is here to take it".to_owned());
        }
        let id = self.last_id.checked_add(1).ok_or("this server has no more numbers for files")?;
        self.last_id = id;
        let event = Event::Offer {
            id,
            from: name,
            to: offer.to,
            name: offer.name.to_string(),
            size: offer.size,
        };
        let taker = |name| Taker { name, accepted: false, acked: 0, since: now, at: 0 };
        let takers = offer.takers.into_iter().map(|(id, name)| (id, taker(name)));
        let transfer = Transfer {
            from,
            size: offer.size,
            takers: takers.collect(),
            received: false,
            phase: Phase::Offered { until: now + self.answer_within },
        };
        let offered = Delivery { to: transfer.everyone(), event };
        self.all.insert(id, transfer);
        Ok(vec![only(from, Event::Offered { tag: offer.tag, id }), offered])
    }

    /// Someone takes what was offered.
    ///
    /// # Errors
    /// If there never was such an offer. Of one that is over nothing comes.
    pub fn accept(&mut self, from: PeerId, id: u32, now: Instant) -> Outcome {
        self.check(id)?;
        if let Some((Phase::Offered { .. }, taker)) = self.taker(from, id) {
            taker.accepted = true;
        }
        Ok(self.settle(id, now))
    }

    /// Someone does not take what was offered, or no more of it.
    ///
    /// # Errors
    /// As [`Transfers::accept`].
    pub fn refuse(&mut self, from: PeerId, id: u32, why: &str, now: Instant) -> Outcome {
        self.check(id)?;
        Ok(self.drop_taker(from, id, why, now))
    }

    /// No more of it, says its sender or someone who takes it.
    ///
    /// # Errors
    /// As [`Transfers::accept`].
    pub fn abort(&mut self, from: PeerId, id: u32, why: &str, now: Instant) -> Outcome {
        self.check(id)?;
        match self.all.get(&id) {
            Some(transfer) if transfer.from == from => Ok(self.end_early(id, why, false, now)),
            _ => Ok(self.drop_taker(from, id, why, now)),
        }
    }

    /// A part of a file.
    ///
    /// # Errors
    /// If the file is not this peer's, or never was. Of one that is over nothing comes.
    pub fn chunk(&mut self, from: PeerId, chunk: &Chunk, now: Instant) -> Outcome {
        let (id, place) = (chunk.id(), self.passed + 1);
        let Some(transfer) = self.own(from, id)? else { return Ok(Vec::new()) };
        let due = transfer.due(chunk);
        let to = transfer.everyone();
        let (takers, Phase::UnderWay(flow)) = (&mut transfer.takers, &mut transfer.phase) else {
            return Ok(self.end_early(id, "it was sent before its turn", true, now));
        };
        match due {
            Err(wrong) => return Ok(self.end_early(id, wrong, true, now)),
            Ok(end) => {
                // Who had everything has not been standing still.
                let had_all = takers.values_mut().filter(|taker| taker.acked == flow.sent);
                had_all.for_each(|taker| taker.moves(now));
                flow.chunks.push_back((end, place));
                flow.sent = end;
                self.passed = place;
                self.heard.insert(from, now);
            }
        }
        Ok(vec![Delivery { to, event: Event::Chunk(chunk.clone()) }])
    }

    /// All of a file has been sent.
    ///
    /// # Errors
    /// As [`Transfers::chunk`].
    pub fn end(
        &mut self,
        from: PeerId,
        (id, size, sha256): (u32, u64, Checksum),
        now: Instant,
    ) -> Outcome {
        let Some(transfer) = self.own(from, id)? else { return Ok(Vec::new()) };
        let (to, declared) = (transfer.everyone(), transfer.size);
        match &mut transfer.phase {
            Phase::UnderWay(flow) if flow.sent == size && size == declared && !flow.ended => {
                (flow.ended, flow.sent_at) = (true, now);
                let mut deliveries = vec![Delivery { to, event: Event::End { id, size, sha256 } }];
                deliveries.extend(self.start(from, now));
                Ok(deliveries)
            }
            _ => Ok(self.end_early(id, "it ended where it should not", true, now)),
        }
    }

    /// Someone has all bytes of a file before `offset`.
    ///
    /// # Errors
    /// As [`Transfers::accept`].
    pub fn ack(&mut self, from: PeerId, id: u32, offset: u64, now: Instant) -> Outcome {
        self.check(id)?;
        let Some((phase, taker)) = self.taker(from, id) else { return Ok(Vec::new()) };
        match phase {
            Phase::UnderWay(flow) if offset <= flow.sent => {
                taker.acked = taker.acked.max(offset);
                if taker.acked == flow.sent || taker.acked - taker.at >= PORTION {
                    taker.moves(now);
                }
                Ok(self.settle(id, now))
            }
            _ => Ok(self.expel(from, id, "acknowledged what was not sent", now)),
        }
    }

    /// Someone has all of a file, in its place.
    ///
    /// # Errors
    /// As [`Transfers::accept`].
    pub fn received(&mut self, from: PeerId, id: u32, now: Instant) -> Outcome {
        self.check(id)?;
        let Some((phase, taker)) = self.taker(from, id) else { return Ok(Vec::new()) };
        let (Phase::UnderWay(Flow { ended: true, .. }), name) = (phase, taker.name.clone()) else {
            return Ok(self.expel(from, id, "claimed to have it before its end", now));
        };
        let Some(transfer) = self.all.get_mut(&id) else { return Ok(Vec::new()) };
        transfer.takers.remove(&from);
        transfer.received = true;
        let mut deliveries =
            vec![only(from, Event::Over { id }), only(transfer.from, Event::Received { id, name })];
        deliveries.extend(self.settle(id, now));
        Ok(deliveries)
    }

    /// Someone is here no more.
    pub fn leave(&mut self, peer: PeerId, name: &Name, now: Instant) -> Vec<Delivery> {
        self.heard.remove(&peer);
        let ids = self.all.keys().copied().collect::<Vec<_>>();
        let mut deliveries = Vec::new();
        for id in ids {
            match self.all.get(&id) {
                Some(transfer) if transfer.from == peer => {
                    deliveries.extend(self.end_early(id, &format!("{name} has left"), false, now));
                }
                _ => deliveries.extend(self.drop_taker(peer, id, "has left", now)),
            }
        }
        deliveries
    }

    /// The server itself has been standing still for so long: nobody is late because of that.
    pub fn excuse_all(&mut self, pause: Duration) {
        for Transfer { takers, phase, .. } in self.all.values_mut() {
            takers.values_mut().for_each(|taker| taker.since += pause);
            match phase {
                Phase::Offered { until } => *until += pause,
                Phase::Waits => {}
                Phase::UnderWay(flow) => flow.sent_at += pause,
            }
        }
        self.heard.values_mut().for_each(|heard| *heard += pause);
    }

    /// Time has passed: who has not answered, or stands still, is dropped.
    pub fn tick(&mut self, now: Instant) -> Vec<Delivery> {
        self.excuse(now);
        let ids = self.all.keys().copied().collect::<Vec<_>>();
        ids.into_iter().flat_map(|id| self.tick_one(id, now)).collect()
    }

    /// What goes to one peer comes one after the other. Of several files on their way to it, only
    /// that whose chunk is next stands still if nothing comes.
    fn excuse(&mut self, now: Instant) {
        let mut next = BTreeMap::<PeerId, u64>::new();
        for transfer in self.all.values() {
            for (peer, taker) in &transfer.takers {
                if let Some(place) = transfer.phase.place(taker) {
                    let next = next.entry(*peer).or_insert(place);
                    *next = place.min(*next);
                }
            }
        }
        for Transfer { takers, phase, .. } in self.all.values_mut() {
            for (peer, taker) in takers {
                if phase.place(taker).is_some_and(|place| next.get(peer) != Some(&place)) {
                    taker.moves(now);
                }
            }
        }
    }

    fn tick_one(&mut self, id: u32, now: Instant) -> Vec<Delivery> {
        let Some(transfer) = self.all.get(&id) else { return Vec::new() };
        let waited = |since: Instant| now.saturating_duration_since(since);
        let late: Vec<_> = match &transfer.phase {
            Phase::Waits => return Vec::new(),
            Phase::Offered { until } if now < *until => return Vec::new(),
            Phase::Offered { .. } => {
                transfer.takers.iter().filter(|(_, taker)| !taker.accepted).collect()
            }
            Phase::UnderWay(flow) => {
                let is_late = |taker: &Taker| match taker.acked == flow.sent {
                    false => waited(taker.since) >= self.progress_within,
                    // A disk may take its time until all of a large file is on it.
                    true => flow.ended && waited(flow.sent_at) >= self.settle_within,
                };
                let all_there = transfer.takers.values().all(|taker| taker.acked == flow.sent);
                // Of what one peer sends, too, one comes after the other.
                let heard = self.heard.get(&transfer.from).copied().unwrap_or(flow.sent_at);
                let sent_at = heard.max(flow.sent_at);
                if all_there && !flow.ended && waited(sent_at) >= self.progress_within {
                    let why = format!("nothing came of it for {:?}", self.progress_within);
                    return self.end_early(id, &why, true, now);
                }
                transfer.takers.iter().filter(|(_, taker)| is_late(taker)).collect()
            }
        };
        let late = late.into_iter().map(|(peer, _)| *peer).collect::<Vec<_>>();
        let why = match transfer.phase {
            Phase::UnderWay(Flow { ended: true, .. }) => "did not finish it in time".to_owned(),
            Phase::UnderWay(_) => format!("did not take it for {:?}", self.progress_within),
            _ => format!("did not answer within {:?}", self.answer_within),
        };
        late.into_iter().flat_map(|peer| self.expel(peer, id, &why, now)).collect()
    }

    /// The transfer of this number, if it is this peer's own and not over.
    fn own(&mut self, from: PeerId, id: u32) -> Result<Option<&mut Transfer>, String> {
        self.check(id)?;
        match self.all.get_mut(&id) {
            Some(transfer) if transfer.from != from => {
                Err(format!("file {id} is not yours to send"))
            }
            transfer => Ok(transfer),
        }
    }

    /// The phase of a transfer, and someone who takes it.
    fn taker(&mut self, peer: PeerId, id: u32) -> Option<(&mut Phase, &mut Taker)> {
        let transfer = self.all.get_mut(&id)?;
        let taker = transfer.takers.get_mut(&peer)?;
        Some((&mut transfer.phase, taker))
    }

    /// What is said of a transfer that is over comes too late; of one that never was, it is wrong.
    fn check(&self, id: u32) -> Result<(), String> {
        match id {
            id if (1..=self.last_id).contains(&id) => Ok(()),
            id => Err(format!("there is no file {id}")),
        }
    }

    /// Ends a transfer for all who take it and, if that is news to them, for its sender.
    fn end_early(&mut self, id: u32, why: &str, tell_sender: bool, now: Instant) -> Vec<Delivery> {
        let Some(transfer) = self.all.remove(&id) else { return Vec::new() };
        let mut to = transfer.everyone();
        if tell_sender {
            to.push(transfer.from);
        }
        let mut deliveries =
            vec![Delivery { to, event: Event::Abort { id, text: why.to_owned() } }];
        deliveries.extend(self.start(transfer.from, now));
        deliveries
    }

    /// Someone gets no more of a file because of what they did or did not do, and is told so.
    fn expel(&mut self, peer: PeerId, id: u32, why: &str, now: Instant) -> Vec<Delivery> {
        let mut deliveries = vec![only(peer, Event::Abort { id, text: format!("you {why}") })];
        deliveries.extend(self.drop_taker(peer, id, why, now));
        deliveries
    }

    /// Someone gets no more of a file, and its sender is told.
    fn drop_taker(&mut self, peer: PeerId, id: u32, why: &str, now: Instant) -> Vec<Delivery> {
        let Some(transfer) = self.all.get_mut(&id) else { return Vec::new() };
        let Some(taker) = transfer.takers.remove(&peer) else { return Vec::new() };
        let (name, text) = (taker.name, why.to_owned());
        let mut deliveries = vec![
            only(peer, Event::Over { id }),
            only(transfer.from, Event::Dropped { id, name, text }),
        ];
        deliveries.extend(self.settle(id, now));
        deliveries
    }

    /// What follows from an answer, an acknowledgement, or from who is not there any more.
    fn settle(&mut self, id: u32, now: Instant) -> Vec<Delivery> {
        let Some(transfer) = self.all.get_mut(&id) else { return Vec::new() };
        let from = transfer.from;
        if transfer.takers.is_empty() {
            let event = match transfer.received {
                true => Event::Done { id },
                false => Event::Abort { id, text: "nobody takes it".to_owned() },
            };
            self.all.remove(&id);
            let mut deliveries = vec![only(from, event)];
            deliveries.extend(self.start(from, now));
            return deliveries;
        }
        let smallest = transfer.smallest();
        match &mut transfer.phase {
            Phase::Offered { .. } if transfer.takers.values().all(|taker| taker.accepted) => {
                transfer.phase = Phase::Waits;
                self.start(from, now)
            }
            Phase::UnderWay(flow) if smallest > flow.told => {
                (flow.told, flow.sent_at) = (smallest, now);
                let acked = flow.chunks.partition_point(|(end, _)| *end <= smallest);
                flow.chunks.drain(..acked);
                vec![only(from, Event::Ack { id, offset: smallest })]
            }
            _ => Vec::new(),
        }
    }

    /// Begins with those files of this sender whose turn it is.
    fn start(&mut self, from: PeerId, now: Instant) -> Vec<Delivery> {
        let own = self.all.iter_mut().filter(|(_, transfer)| transfer.from == from);
        let (under_way, waiting): (Vec<_>, Vec<_>) = own
            .filter(|(_, transfer)| !matches!(transfer.phase, Phase::Offered { .. }))
            // When all has been sent, it is those who take it that are to be waited for.
            .filter(|(_, transfer)| !transfer.has_ended())
            .partition(|(_, transfer)| matches!(transfer.phase, Phase::UnderWay(_)));
        let free = self.under_way_each.saturating_sub(under_way.len());
        let go = |(id, transfer): (&u32, &mut Transfer)| {
            let chunks = VecDeque::new();
            let flow = Flow { sent: 0, told: 0, ended: false, sent_at: now, chunks };
            transfer.phase = Phase::UnderWay(flow);
            transfer.takers.values_mut().for_each(|taker| taker.since = now);
            only(from, Event::Go { id: *id })
        };
        waiting.into_iter().take(free).map(go).collect()
    }
}

impl Phase {
    /// The place, among all chunks that were passed on, of the first that `taker` has not
    /// acknowledged.
    fn place(&self, taker: &Taker) -> Option<u64> {
        let Phase::UnderWay(Flow { chunks, .. }) = self else { return None };
        let acked = chunks.partition_point(|(end, _)| *end <= taker.acked);
        chunks.get(acked).map(|(_, place)| *place)
    }
}

impl Taker {
    /// From now on this one may be standing still.
    fn moves(&mut self, now: Instant) {
        (self.since, self.at) = (now, self.acked);
    }
}

impl Transfer {
    fn everyone(&self) -> Vec<PeerId> {
        self.takers.keys().copied().collect()
    }

    fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::UnderWay(Flow { ended: true, .. }))
    }

    /// All who take it have the bytes before this offset.
    fn smallest(&self) -> u64 {
        self.takers.values().map(|taker| taker.acked).min().unwrap_or(0)
    }

    /// The offset behind a chunk that may come now.
    fn due(&self, chunk: &Chunk) -> Result<u64, &'static str> {
        let Phase::UnderWay(flow) = &self.phase else { return Ok(0) };
        let end =
            chunk.end().filter(|end| *end <= self.size).ok_or("more came than was offered")?;
        if flow.ended || chunk.offset() != flow.sent {
            return Err("bytes came that were not due");
        }
        if end > self.smallest().saturating_add(WINDOW) {
            return Err("more came than had been asked for");
        }
        if end < self.size && end - chunk.offset() < chunk::MIN {
            return Err("it came in too small pieces");
        }
        Ok(end)
    }
}

fn only(id: PeerId, event: Event) -> Delivery {
    Delivery { to: vec![id], event }
}

#[cfg(test)]
mod tests;
