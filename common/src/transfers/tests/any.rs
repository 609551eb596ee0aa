//! Any requests in any order, right and wrong ones, by three who send each other files.

use std::collections::BTreeSet;

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
    /// Its end, where it is or where it should be, and with a size that is wrong by so much.
    End(u32, bool, u64),
    /// What has come is acknowledged, and so much more.
    Ack(u32, u64),
    Received(u32),
    Abort(u32),
    Wait(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    let id = 1..4_u32;
    let wrong = || prop_oneof![80 => Just(0_u64), 1 => 1..3000_u64, 1 => any::<u64>()];
    let size = prop_oneof![0..10_u64, 0..300_000_u64, Just(3_000_000)];
    prop_oneof![
        1 => size.prop_map(|size| Step::Offer { size }),
        6 => id.clone().prop_map(Step::Accept),
        1 => id.clone().prop_map(Step::Refuse),
        80 => (id.clone(), prop_oneof![1..=CHUNK, Just(CHUNK)], wrong()).prop_map(|(id, length, by)| Step::Chunk(id, length, by)),
        1 => (id.clone(), any::<bool>(), wrong()).prop_map(|(id, here, by)| Step::End(id, here, by)),
        3 => (id.clone(), wrong()).prop_map(|(id, by)| Step::Ack(id, by)),
        1 => id.clone().prop_map(Step::Received),
        1 => id.prop_map(Step::Abort),
        1 => (0..9_u64).prop_map(Step::Wait),
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
    /// Those that have begun.
    begun: BTreeSet<u32>,
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
            Event::Offered { id, .. } => drop(self.sent.insert(*id, (peer, 0))),
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
            Event::Go { id } => prop_assert!(self.begun.insert(*id), "begun twice"),
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
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Nobody gets what they have not asked for, or with gaps, or more of it than fits the window or
    /// was offered; nobody is told that all have what somebody has not; and nothing stays behind.
    #[test]
    fn any_requests_in_any_order(
        size in prop_oneof![0..5000_u64, Just(3_000_000)],
        steps in prop::collection::vec((0..3_usize, any_step()), 0..200),
    ) {
        let (mut lab, people) = Lab::new(&Limits::default(), ["alice", "bob", "carol"]);
        let mut seen = Seen::default();
        // One is under way from the beginning.
        for (from, request) in [
            (0, offer(None, "x", size)),
            (1, Request::Accept { id: 1 }),
            (2, Request::Accept { id: 1 }),
        ] {
            if from > 0 {
                seen.taken.entry((people[from], 1)).or_default().accepted = true;
            }
            let parts = lab.ask(people[from], request);
            seen.see(parts)?;
        }
        for (who, step) in steps {
            let sender = |id: u32| seen.sent.get(&id).map_or(people[who], |(sender, _)| *sender);
            let from = match step {
                // Now and then by somebody else.
                Step::Chunk(id, length, _) if length % 16 > 0 => sender(id),
                Step::End(id, ..) => sender(id),
                _ => people[who],
            };
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
                Step::End(id, here, wrong) => {
                    let whole = if id == 1 { size } else { of(id) };
                    end(id, if here { of(id) } else { whole }.wrapping_add(wrong))
                }
                Step::Ack(id, wrong) => {
                    let mut offset = wrong;
                    if let Some(taken) = seen.taken.get_mut(&(from, id)) {
                        offset = taken.came.wrapping_add(wrong);
                        if offset <= taken.came && seen.begun.contains(&id) {
                            taken.acked = taken.acked.max(offset);
                        } else {
                            // There is nothing to acknowledge, and more is not to be had.
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
            let own = seen.taken.iter_mut().filter(|((of, _), _)| *of == from);
            own.for_each(|(_, taken)| taken.over = true);
            let parts = lab.leave(from);
            seen.see(parts)?;
            let own = |id| seen.sent.get(id).is_some_and(|(sender, _)| *sender == from);
            let mut taken = seen.taken.iter().filter(|((_, id), taken)| own(id) && taken.accepted);
            prop_assert!(taken.all(|(_, taken)| taken.over), "its sender has left");
        }
        prop_assert!(lab.wait(1000 * SECOND).is_empty(), "something stayed behind");
    }
}
