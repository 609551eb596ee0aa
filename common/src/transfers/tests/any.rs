//! Any requests in any order, right and wrong ones, by three who send each other files.

use proptest::prelude::*;

use super::*;
use crate::files::CHUNK;

/// What somebody does, about one of the first files.
#[derive(Clone, Debug)]
enum Step {
    Offer {
        size: u64,
    },
    Accept(u32),
    Refuse(u32),
    /// A part of it, where it belongs but for so many bytes.
    Chunk(u32, usize, u64),
    /// Its end, with a size that is wrong by so much.
    End(u32, u64),
    /// What has come is acknowledged, and so much more.
    Ack(u32, u64),
    Received(u32),
    Abort(u32),
    Wait(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    let id = 1..4_u32;
    let wrong = || prop_oneof![40 => Just(0_u64), 1 => any::<u64>()];
    let size = prop_oneof![0..10_u64, 0..300_000_u64, Just(3_000_000)];
    prop_oneof![
        1 => size.prop_map(|size| Step::Offer { size }),
        6 => id.clone().prop_map(Step::Accept),
        1 => id.clone().prop_map(Step::Refuse),
        24 => (id.clone(), 1..=CHUNK, wrong()).prop_map(|(id, length, by)| Step::Chunk(id, length, by)),
        2 => (id.clone(), wrong()).prop_map(|(id, by)| Step::End(id, by)),
        12 => (id.clone(), wrong()).prop_map(|(id, by)| Step::Ack(id, by)),
        1 => id.clone().prop_map(Step::Received),
        1 => id.prop_map(Step::Abort),
        1 => (0..15_u64).prop_map(Step::Wait),
    ]
}

/// What one who takes a file has seen of it.
#[derive(Debug, Default)]
struct Taken {
    size: u64,
    accepted: bool,
    came: u64,
    acked: u64,
    over: bool,
}

/// What everybody has seen.
#[derive(Default)]
struct Seen {
    taken: BTreeMap<(PeerId, u32), Taken>,
    /// Each file's sender, and what was sent of it.
    sent: BTreeMap<u32, (PeerId, u64)>,
}

impl Seen {
    fn see(&mut self, parts: Vec<(Vec<PeerId>, Event)>) -> Result<(), TestCaseError> {
        for (to, event) in parts {
            for peer in to {
                self.see_one(peer, &event)?;
            }
        }
        Ok(())
    }

    fn see_one(&mut self, peer: PeerId, event: &Event) -> Result<(), TestCaseError> {
        match event {
            Event::Offered { id } => drop(self.sent.insert(*id, (peer, 0))),
            Event::Offer { id, size, .. } => {
                let taken = Taken { size: *size, ..Taken::default() };
                prop_assert!(self.taken.insert((peer, *id), taken).is_none(), "offered twice");
            }
            Event::Chunk(chunk) => {
                let taken = self.taken.get_mut(&(peer, chunk.id()));
                let taken = taken.ok_or_else(|| TestCaseError::fail("nobody had asked"))?;
                prop_assert!(taken.accepted && !taken.over, "{:?}", taken);
                prop_assert_eq!(chunk.offset(), taken.came, "a gap");
                taken.came = chunk.end().unwrap();
                prop_assert!(taken.came <= taken.size, "more than was offered");
                prop_assert!(taken.came <= taken.acked + WINDOW, "more than the window");
                if let Some((_, sent)) = self.sent.get_mut(&chunk.id()) {
                    *sent = taken.came;
                }
            }
            Event::End { id, size, .. } => {
                let taken = self.taken.get_mut(&(peer, *id));
                let taken = taken.ok_or_else(|| TestCaseError::fail("nobody had asked"))?;
                prop_assert!(!taken.over && taken.came == *size && *size == taken.size);
            }
            Event::Ack { id, offset } => {
                let (sender, sent) = self.sent.get(id).copied().unwrap();
                prop_assert!(sender == peer && *offset <= sent);
                let of_file = |((_, of), taken): &(&(PeerId, u32), &Taken)| of == id && !taken.over;
                let all = self.taken.iter().filter(of_file);
                prop_assert!(all.map(|(_, taken)| taken.acked).all(|acked| acked >= *offset));
            }
            Event::Abort { id, .. } => {
                if let Some(taken) = self.taken.get_mut(&(peer, *id)) {
                    taken.over = true;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

proptest! {
    /// Nobody gets what they have not asked for, or with gaps, or more of it than fits the window or
    /// was offered; nobody is told that all have what somebody has not; and nothing stays behind.
    #[test]
    fn any_requests_in_any_order(steps in prop::collection::vec((0..3_usize, any_step()), 0..300)) {
        let (mut lab, people) = Lab::new(&Limits::default(), ["alice", "bob", "carol"]);
        let mut seen = Seen::default();
        for (who, step) in steps {
            let from = people[who];
            let of = |id| seen.sent.get(&id).map_or(0, |(_, sent)| *sent);
            let request = match step {
                Step::Offer { size } => offer(None, "x", size),
                Step::Accept(id) => {
                    if let Some(taken) = seen.taken.get_mut(&(from, id)) {
                        taken.accepted = true;
                    }
                    Request::Accept { id }
                }
                Step::Refuse(id) => Request::Refuse { id, text: "no".into() },
                Step::Chunk(id, length, wrong) => {
                    send(id, of(id).wrapping_add(wrong), u64::try_from(length).unwrap())
                }
                Step::End(id, wrong) => end(id, of(id).wrapping_add(wrong)),
                Step::Ack(id, wrong) => {
                    let mut offset = wrong;
                    if let Some(taken) = seen.taken.get_mut(&(from, id)) {
                        offset = taken.came.wrapping_add(wrong);
                        if offset <= taken.came {
                            taken.acked = taken.acked.max(offset);
                        } else {
                            // It is a lie, and more is not to be had.
                            taken.over = true;
                        }
                    }
                    Request::Ack { id, offset }
                }
                Step::Received(id) => {
                    if let Some(taken) = seen.taken.get_mut(&(from, id)) {
                        taken.over = true;
                    }
                    Request::Received { id }
                }
                Step::Abort(id) => Request::Abort { id, text: "no".into() },
                Step::Wait(seconds) => {
                    let parts = lab.wait(SECOND * u32::try_from(seconds).unwrap());
                    seen.see(parts)?;
                    continue;
                }
            };
            if let Request::Refuse { id, .. } | Request::Abort { id, .. } = &request
                && let Some(taken) = seen.taken.get_mut(&(from, *id))
            {
                taken.over = true;
            }
            let parts = lab.ask(from, request);
            seen.see(parts)?;
        }
        for from in people {
            let parts = lab.leave(from);
            seen.see(parts)?;
        }
        prop_assert!(lab.wait(1000 * SECOND).is_empty(), "something stayed behind");
    }
}
