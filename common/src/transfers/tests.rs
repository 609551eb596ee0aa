mod any;

use super::*;
use crate::frame::Lane;
use crate::frame::Outgoing;
use crate::message::Request;
use crate::room::Room;

const SECOND: Duration = Duration::from_secs(1);
const KIB: u64 = 1024;
/// What all senders call their offers: it is theirs alone.
const TAG: u32 = 77;

/// A room with files, and the time in it.
struct Lab {
    room: Room,
    now: Instant,
}

impl Lab {
    /// With these people, who have seen each other come.
    fn new<const N: usize>(limits: &Limits, names: [&str; N]) -> (Lab, [PeerId; N]) {
        let mut lab = Lab { room: Room::with_files(limits), now: Instant::now() };
        let people = names.map(|name| {
            let hello = Request::Hello { chat5: 1, name: name.to_owned() };
            lab.room.join(hello, None).unwrap().0
        });
        (lab, people)
    }

    /// What comes of a request, and to whom.
    fn ask(&mut self, from: PeerId, request: Request) -> Vec<(Vec<PeerId>, Event)> {
        parts(self.room.request(from, Ok(request), self.now))
    }

    /// What comes of some time.
    fn wait(&mut self, time: Duration) -> Vec<(Vec<PeerId>, Event)> {
        self.now += time;
        parts(self.room.tick(self.now, Duration::ZERO))
    }

    /// What comes of it when somebody leaves, but for that itself.
    fn leave(&mut self, peer: PeerId) -> Vec<(Vec<PeerId>, Event)> {
        let mut parts = parts(self.room.leave(peer, self.now));
        parts.retain(|(_, event)| !matches!(event, Event::Left { .. }));
        parts
    }

    /// Offers a file of so many bytes to all; its number.
    fn offer(&mut self, from: PeerId, size: u64) -> u32 {
        match self.ask(from, offer(None, "a.txt", size)).first() {
            Some((_, Event::Offered { id, .. })) => *id,
            other => panic!("{other:?}"),
        }
    }

    /// A file that all of `to` have accepted.
    fn under_way(&mut self, from: PeerId, size: u64, to: &[PeerId]) -> u32 {
        let id = self.offer(from, size);
        let (last, others) = to.split_last().unwrap();
        for peer in others {
            assert_eq!(self.ask(*peer, Request::Accept { id }), []);
        }
        assert_eq!(self.ask(*last, Request::Accept { id }), [to_one(from, Event::Go { id })]);
        id
    }
}

fn parts(deliveries: Vec<Delivery>) -> Vec<(Vec<PeerId>, Event)> {
    // What is for the queues alone is looked at where it matters.
    let deliveries = deliveries.into_iter().map(|delivery| (delivery.to, delivery.event));
    deliveries.filter(|(_, event)| !matches!(event, Event::Over { .. })).collect()
}

fn to_one(peer: PeerId, event: Event) -> (Vec<PeerId>, Event) {
    (vec![peer], event)
}

fn name(name: &str) -> Name {
    name.parse().unwrap()
}

fn offer(to: Option<&str>, name: &str, size: u64) -> Request {
    Request::Offer { tag: TAG, to: to.map(str::to_owned), name: name.to_owned(), size }
}

fn chunk(id: u32, offset: u64, length: u64) -> Chunk {
    let length = usize::try_from(length).unwrap();
    Chunk::fill(id, |_| Ok::<_, ()>(Some((offset, length)))).unwrap().unwrap()
}

fn send(id: u32, offset: u64, length: u64) -> Request {
    Request::Chunk(chunk(id, offset, length))
}

fn end(id: u32, size: u64) -> Request {
    Request::End { id, size, sha256: Checksum([7; 32]) }
}

fn abort(id: u32, text: &str) -> Event {
    Event::Abort { id, text: text.to_owned() }
}

fn dropped(id: u32, who: &str, text: &str) -> Event {
    Event::Dropped { id, name: name(who), text: text.to_owned() }
}

fn ack(id: u32, offset: u64) -> Request {
    Request::Ack { id, offset }
}

#[test]
fn a_file_to_all_from_the_offer_to_its_end() {
    let (mut lab, [alice, bob, carol]) = Lab::new(&Limits::default(), ["alice", "bob", "carol"]);
    let offered = lab.ask(alice, offer(None, "report.pdf", 70 * KIB));
    let event = Event::Offer {
        id: 1,
        from: name("alice"),
        to: None,
        name: "report.pdf".to_owned(),
        size: 70 * KIB,
    };
    assert_eq!(
        offered,
        [to_one(alice, Event::Offered { tag: TAG, id: 1 }), (vec![bob, carol], event)]
    );
    assert_eq!(lab.ask(bob, Request::Accept { id: 1 }), [], "carol has not answered");
    assert_eq!(lab.ask(carol, Request::Accept { id: 1 }), [to_one(alice, Event::Go { id: 1 })]);
    for (at, length) in [(0, 64 * KIB), (64 * KIB, 6 * KIB)] {
        let part = chunk(1, at, length);
        let passed = lab.ask(alice, Request::Chunk(part.clone()));
        assert_eq!(passed, [(vec![bob, carol], Event::Chunk(part))]);
    }
    let ended = Event::End { id: 1, size: 70 * KIB, sha256: Checksum([7; 32]) };
    assert_eq!(lab.ask(alice, end(1, 70 * KIB)), [(vec![bob, carol], ended)]);

    assert_eq!(lab.ask(bob, ack(1, 70 * KIB)), [], "carol has nothing");
    let smallest = Event::Ack { id: 1, offset: 64 * KIB };
    assert_eq!(lab.ask(carol, ack(1, 64 * KIB)), [to_one(alice, smallest)]);
    let has_it = |who| to_one(alice, Event::Received { id: 1, name: name(who) });
    assert_eq!(lab.ask(bob, Request::Received { id: 1 }), [has_it("bob")]);
    assert_eq!(
        lab.ask(carol, Request::Received { id: 1 }),
        [has_it("carol"), to_one(alice, Event::Done { id: 1 })]
    );
    // It is over, and what comes late is no error.
    for late in [Request::Accept { id: 1 }, ack(1, 1), send(1, 0, 1), end(1, 0)] {
        assert_eq!(lab.ask(bob, late), []);
    }
}

#[test]
fn an_empty_file_has_no_chunk() {
    let (mut lab, [alice, bob]) = Lab::new(&Limits::default(), ["alice", "bob"]);
    let id = lab.under_way(alice, 0, &[bob]);
    assert_eq!(lab.ask(alice, end(id, 0)).len(), 1);
    assert_eq!(
        lab.ask(bob, Request::Received { id }).last(),
        Some(&to_one(alice, Event::Done { id }))
    );
}

#[test]
fn what_cannot_be_offered() {
    let (mut lab, [alice, bob]) = Lab::new(&Limits::default(), ["alice", "bob"]);
    let dnd = Request::Status { status: Some(crate::message::Status::Dnd) };
    lab.ask(bob, dnd);
    for (request, why) in [
        (offer(Some("bob"), "a.txt", 1), "bob is dnd"),
        (offer(Some("alice"), "a.txt", 1), "that is you"),
        (offer(Some("dave"), "a.txt", 1), "nobody here is called dave"),
        (offer(None, "../a.txt", 1), "separates folders"),
        (offer(None, "", 1), "empty"),
    ] {
        match &lab.ask(alice, request)[..] {
            [(to, Event::NotOffered { tag: TAG, text })] => {
                assert_eq!(*to, [alice]);
                assert!(text.contains(why), "{text}");
            }
            other => panic!("{other:?}"),
        }
    }
    lab.leave(bob);
    let alone = lab.ask(alice, offer(None, "a.txt", 1));
    let text = "nobody is here to take it".to_owned();
    assert_eq!(alone, [to_one(alice, Event::NotOffered { tag: TAG, text })]);
}

#[test]
fn where_files_are_not_passed_on() {
    let mut room = Room::new(&Limits::default());
    let hello = Request::Hello { chat5: 1, name: "alice".to_owned() };
    let (alice, ..) = room.join(hello, None).unwrap();
    let now = Instant::now();
    let text = "this server passes on no files".to_owned();
    let mut ask = |request| parts(room.request(alice, Ok(request), now));
    assert_eq!(
        ask(offer(None, "a", 1)),
        [to_one(alice, Event::NotOffered { tag: TAG, text: text.clone() })]
    );
    let refused = [to_one(alice, Event::Refused { text })];
    for request in [Request::Accept { id: 1 }, ack(1, 1), end(1, 1), Request::Received { id: 1 }] {
        assert_eq!(ask(request), refused);
    }
}

#[test]
fn too_many_offers() {
    let (mut lab, [alice, bob, carol]) = Lab::new(&Limits::default(), ["alice", "bob", "carol"]);
    for _ in 0..16 {
        lab.offer(alice, 1);
    }
    let refused = lab.ask(alice, offer(None, "a.txt", 1));
    assert!(matches!(&refused[..], [(_, Event::NotOffered { .. })]), "{refused:?}");
    lab.offer(bob, 1);
    // When one is over there is room for another.
    lab.ask(bob, Request::Refuse { id: 1, text: "no".to_owned() });
    lab.ask(carol, Request::Refuse { id: 1, text: "no".to_owned() });
    lab.offer(alice, 1);
}

#[test]
fn in_all_too_many_offers() {
    let limits = Limits { offers_each: 5000, ..Limits::default() };
    let (mut lab, [alice, _]) = Lab::new(&limits, ["alice", "bob"]);
    for _ in 0..1024 {
        lab.offer(alice, 1);
    }
    let refused = lab.ask(alice, offer(None, "a.txt", 1));
    assert!(matches!(&refused[..], [(_, Event::NotOffered { .. })]), "{refused:?}");
}

#[test]
fn four_are_under_way_and_the_others_wait_for_their_turn() {
    let (mut lab, [alice, bob]) = Lab::new(&Limits::default(), ["alice", "bob"]);
    for id in 1..=4 {
        assert_eq!(lab.under_way(alice, 1, &[bob]), id);
    }
    for id in [5, 6] {
        assert_eq!(lab.offer(alice, 1), id);
    }
    // In the order of their numbers, not of the answers.
    for id in [6, 5] {
        assert_eq!(lab.ask(bob, Request::Accept { id }), []);
    }
    let cancelled = Request::Abort { id: 2, text: "cancelled".to_owned() };
    assert_eq!(
        lab.ask(alice, cancelled),
        [to_one(bob, abort(2, "cancelled")), to_one(alice, Event::Go { id: 5 })]
    );
    lab.ask(alice, send(1, 0, 1));
    // Whether it is in place is for those who take it.
    let ended = lab.ask(alice, end(1, 1));
    assert_eq!(ended.last(), Some(&to_one(alice, Event::Go { id: 6 })));
    let done = to_one(alice, Event::Done { id: 1 });
    assert_eq!(lab.ask(bob, Request::Received { id: 1 }).last(), Some(&done));
    // What somebody else sends does not count.
    lab.under_way(bob, 1, &[alice]);
}

#[test]
fn who_refuses_or_says_nothing_has_no_part_in_it() {
    let (mut lab, [alice, bob, carol]) = Lab::new(&Limits::default(), ["alice", "bob", "carol"]);
    let id = lab.offer(alice, 1);
    let refuse = Request::Refuse { id, text: "no disk".to_owned() };
    assert_eq!(lab.ask(bob, refuse.clone()), [to_one(alice, dropped(id, "bob", "no disk"))]);
    assert_eq!(lab.ask(bob, refuse), [], "once is enough");
    assert_eq!(lab.ask(bob, Request::Accept { id }), [], "and meant");
    assert_eq!(lab.wait(30 * SECOND - Duration::from_millis(1)), []);
    let late = "did not answer within 30s";
    assert_eq!(
        lab.wait(Duration::from_millis(1)),
        [
            to_one(carol, abort(id, &format!("you {late}"))),
            to_one(alice, dropped(id, "carol", late)),
            to_one(alice, abort(id, "nobody takes it")),
        ]
    );
}

#[test]
fn silence_refuses_for_the_silent_alone() {
    let (mut lab, [alice, bob, carol]) = Lab::new(&Limits::default(), ["alice", "bob", "carol"]);
    let id = lab.offer(alice, 1);
    lab.ask(bob, Request::Accept { id });
    let waited = lab.wait(30 * SECOND);
    assert_eq!(waited.last(), Some(&to_one(alice, Event::Go { id })));
    let part = chunk(id, 0, 1);
    let passed = lab.ask(alice, Request::Chunk(part.clone()));
    assert_eq!(passed, [(vec![bob], Event::Chunk(part))]);
    assert_eq!(lab.ask(carol, Request::Accept { id }), [], "too late");
}

#[test]
fn who_joins_later_has_no_part_in_it() {
    let (mut lab, [alice, bob]) = Lab::new(&Limits::default(), ["alice", "bob"]);
    let id = lab.offer(alice, 1);
    let hello = Request::Hello { chat5: 1, name: "carol".to_owned() };
    let carol = lab.room.join(hello, None).unwrap().0;
    assert_eq!(lab.ask(carol, Request::Accept { id }), []);
    assert_eq!(lab.ask(bob, Request::Accept { id }), [to_one(alice, Event::Go { id })]);
}

#[test]
fn the_window_moves_with_the_smallest_acknowledgement() {
    let (mut lab, [alice, bob, carol]) = Lab::new(&Limits::default(), ["alice", "bob", "carol"]);
    let id = lab.under_way(alice, 4 * WINDOW, &[bob, carol]);
    for part in 0..16 {
        assert_eq!(lab.ask(alice, send(id, part * 64 * KIB, 64 * KIB)).len(), 1);
    }
    assert_eq!(lab.ask(bob, ack(id, WINDOW)), []);
    let acked = Event::Ack { id, offset: 1000 };
    assert_eq!(lab.ask(carol, ack(id, 1000)), [to_one(alice, acked)]);
    assert_eq!(lab.ask(carol, ack(id, 999)), [], "it never moves back");
    let acked = Event::Ack { id, offset: 1024 };
    assert_eq!(lab.ask(carol, ack(id, 1024)), [to_one(alice, acked)]);
    assert_eq!(lab.ask(alice, send(id, WINDOW, 1024)).len(), 1, "that has room to the byte");
    lab.ask(carol, ack(id, 2047));
    let why = abort(id, "more came than had been asked for");
    assert_eq!(lab.ask(alice, send(id, WINDOW + 1024, 1024)), [(vec![bob, carol, alice], why)]);
}

#[test]
fn who_is_dropped_does_not_hold_up_the_others() {
    let (mut lab, [alice, bob, carol]) = Lab::new(&Limits::default(), ["alice", "bob", "carol"]);
    let id = lab.under_way(alice, 4 * WINDOW, &[bob, carol]);
    lab.ask(alice, send(id, 0, 64 * KIB));
    lab.ask(bob, ack(id, 64 * KIB));
    let text = "the disk is full".to_owned();
    assert_eq!(
        lab.ask(carol, Request::Abort { id, text: text.clone() }),
        [
            to_one(alice, dropped(id, "carol", &text)),
            to_one(alice, Event::Ack { id, offset: 64 * KIB }),
        ]
    );
}

#[test]
fn who_stands_still_for_ten_seconds_is_dropped() {
    let (mut lab, [alice, bob, carol]) = Lab::new(&Limits::default(), ["alice", "bob", "carol"]);
    let id = lab.under_way(alice, 4 * WINDOW, &[bob, carol]);
    // Nothing was sent, so nobody stands still; and who has everything does not either.
    assert_eq!(lab.wait(9 * SECOND), []);
    lab.ask(alice, send(id, 0, 64 * KIB));
    lab.ask(alice, send(id, 64 * KIB, 64 * KIB));
    lab.ask(bob, ack(id, 128 * KIB));
    assert_eq!(lab.wait(9 * SECOND), []);
    // A drip is standing still.
    lab.ask(carol, ack(id, 10));
    let dropped_out = lab.wait(SECOND);
    let why = "did not take it for 10s";
    assert_eq!(
        dropped_out,
        [
            to_one(carol, abort(id, &format!("you {why}"))),
            to_one(alice, dropped(id, "carol", why)),
            to_one(alice, Event::Ack { id, offset: 128 * KIB }),
        ]
    );
    assert_eq!(lab.ask(alice, send(id, 128 * KIB, 64 * KIB)).len(), 1);
}

#[test]
fn who_moves_on_is_not_dropped() {
    let (mut lab, [alice, bob]) = Lab::new(&Limits::default(), ["alice", "bob"]);
    let id = lab.under_way(alice, 4 * WINDOW, &[bob]);
    for part in 0..16 {
        lab.ask(alice, send(id, part * 64 * KIB, 64 * KIB));
    }
    for part in 1..=16 {
        assert_eq!(lab.wait(9 * SECOND), [], "{part}");
        assert_eq!(lab.ask(bob, ack(id, part * 64 * KIB)).len(), 1);
    }
}

#[test]
fn over_a_slow_line_one_file_comes_after_the_other() {
    let (mut lab, [alice, bob, carol]) = Lab::new(&Limits::default(), ["alice", "bob", "carol"]);
    // From two people, each a window, to one who takes 64 KiB in 5 s.
    let [first, second] = [alice, carol].map(|from| {
        let to = if from == alice { [bob, carol] } else { [alice, bob] };
        lab.under_way(from, WINDOW, &to)
    });
    for (from, id, other) in [(alice, first, carol), (carol, second, alice)] {
        for part in 0..16 {
            lab.ask(from, send(id, part * 64 * KIB, 64 * KIB));
        }
        lab.ask(other, ack(id, WINDOW));
        lab.ask(from, end(id, WINDOW));
    }
    for (from, id) in [(alice, first), (carol, second)] {
        for part in 1..=16 {
            assert_eq!(lab.wait(5 * SECOND), [], "{part} of {id}");
            let offset = part * 64 * KIB;
            assert_eq!(lab.ask(bob, ack(id, offset)), [to_one(from, Event::Ack { id, offset })]);
        }
    }
}

#[test]
fn who_gets_one_file_and_holds_up_another_is_dropped_from_that() {
    let (mut lab, [alice, bob]) = Lab::new(&Limits::default(), ["alice", "bob"]);
    let [stuck, moving] = [(); 2].map(|()| lab.under_way(alice, 4 * WINDOW, &[bob]));
    lab.ask(alice, send(stuck, 0, 64 * KIB));
    for part in 0..3 {
        lab.ask(alice, send(moving, part * 64 * KIB, 64 * KIB));
        lab.ask(bob, ack(moving, (part + 1) * 64 * KIB));
        let waited = lab.wait(4 * SECOND);
        match part {
            0 | 1 => assert_eq!(waited, []),
            // What came before it was sent earlier, so it is not that line that is slow.
            _ => assert_eq!(waited[0].1, abort(stuck, "you did not take it for 10s")),
        }
    }
    assert_eq!(lab.ask(alice, send(moving, 3 * 64 * KIB, 64 * KIB)).len(), 1);
}

#[test]
fn who_sends_several_files_over_a_slow_line_sends_one_after_the_other() {
    let (mut lab, [alice, bob]) = Lab::new(&Limits::default(), ["alice", "bob"]);
    let [first, second] = [(); 2].map(|()| lab.under_way(alice, WINDOW, &[bob]));
    for part in 0..16 {
        assert_eq!(lab.wait(5 * SECOND), [], "{part}");
        lab.ask(alice, send(first, part * 64 * KIB, 64 * KIB));
        lab.ask(bob, ack(first, (part + 1) * 64 * KIB));
    }
    assert_eq!(lab.ask(alice, send(second, 0, 64 * KIB)).len(), 1);
}

#[test]
fn a_sender_of_whom_nothing_comes_gives_it_up() {
    let (mut lab, [alice, bob]) = Lab::new(&Limits::default(), ["alice", "bob"]);
    let id = lab.under_way(alice, 4 * WINDOW, &[bob]);
    assert_eq!(lab.wait(9 * SECOND), []);
    lab.ask(alice, send(id, 0, 64 * KIB));
    assert_eq!(lab.wait(9 * SECOND), []);
    lab.ask(bob, ack(id, 64 * KIB));
    assert_eq!(lab.wait(9 * SECOND), []);
    let why = abort(id, "nothing came of it for 10s");
    assert_eq!(lab.wait(SECOND), [(vec![bob, alice], why)]);
}

#[test]
fn a_disk_may_take_its_time_after_the_end() {
    let limits = Limits { settle_within: 60 * SECOND, ..Limits::default() };
    let (mut lab, [alice, bob]) = Lab::new(&limits, ["alice", "bob"]);
    let id = lab.under_way(alice, 1, &[bob]);
    lab.ask(alice, send(id, 0, 1));
    lab.ask(alice, end(id, 1));
    lab.ask(bob, ack(id, 1));
    assert_eq!(lab.wait(59 * SECOND), []);
    let waited = lab.wait(SECOND);
    assert_eq!(waited.last(), Some(&to_one(alice, abort(id, "nobody takes it"))));
}

#[test]
fn what_a_sender_may_not_do() {
    let wrong: [(&[Request], &str); 8] = [
        (&[send(1, 1, 2048)], "not due"),
        (&[send(1, 0, 2048), send(1, 0, 2048)], "not due"),
        (&[send(1, 0, 4096), send(1, 4096, 1)], "more came than was offered"),
        (&[send(1, u64::MAX, 1)], "more came than was offered"),
        (&[send(1, 0, 1023)], "too small"),
        (&[end(1, 4096)], "ended where it should not"),
        (&[send(1, 0, 2048), end(1, 2048)], "ended where it should not"),
        (&[send(1, 0, 4096), end(1, 4096), end(1, 4096)], "ended where it should not"),
    ];
    for (requests, why) in wrong {
        let (mut lab, [alice, bob]) = Lab::new(&Limits::default(), ["alice", "bob"]);
        assert_eq!(lab.under_way(alice, 4096, &[bob]), 1);
        let (last, before) = requests.split_last().unwrap();
        for request in before {
            assert_eq!(lab.ask(alice, request.clone()).len(), 1, "{requests:?}");
        }
        match &lab.ask(alice, last.clone())[..] {
            [(to, Event::Abort { id: 1, text })] => {
                assert_eq!(*to, [bob, alice]);
                assert!(text.contains(why), "{text} in {requests:?}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn nothing_is_sent_before_all_have_answered() {
    let (mut lab, [alice, bob]) = Lab::new(&Limits::default(), ["alice", "bob"]);
    let id = lab.offer(alice, 4096);
    let why = abort(id, "it was sent before its turn");
    assert_eq!(lab.ask(alice, send(id, 0, 4096)), [(vec![bob, alice], why)]);
}

#[test]
fn what_one_who_takes_it_may_not_do() {
    let wrong = [
        (ack(1, 2049), "acknowledged what was not sent"),
        (ack(1, u64::MAX), "acknowledged what was not sent"),
        (Request::Received { id: 1 }, "claimed to have it before its end"),
    ];
    for (request, why) in wrong {
        let (mut lab, [alice, bob, carol]) =
            Lab::new(&Limits::default(), ["alice", "bob", "carol"]);
        lab.under_way(alice, 4096, &[bob, carol]);
        lab.ask(alice, send(1, 0, 2048));
        let told = to_one(carol, abort(1, &format!("you {why}")));
        assert_eq!(lab.ask(carol, request), [told, to_one(alice, dropped(1, "carol", why))]);
        // For the others it goes on.
        assert_eq!(lab.ask(alice, send(1, 2048, 2048))[0].0, [bob]);
    }
}

#[test]
fn what_is_not_one_s_own_business() {
    let (mut lab, [alice, bob, carol]) = Lab::new(&Limits::default(), ["alice", "bob", "carol"]);
    lab.ask(alice, offer(Some("bob"), "a.txt", 4096));
    assert_eq!(lab.ask(bob, Request::Accept { id: 1 }), [to_one(alice, Event::Go { id: 1 })]);
    lab.ask(alice, send(1, 0, 2048));
    for request in [
        ack(1, 2048),
        Request::Received { id: 1 },
        Request::Accept { id: 1 },
        Request::Refuse { id: 1, text: "no".to_owned() },
        Request::Abort { id: 1, text: "no".to_owned() },
    ] {
        assert_eq!(lab.ask(carol, request.clone()), [], "{request:?}");
    }
    for request in [send(1, 2048, 2048), end(1, 4096)] {
        for other in [bob, carol] {
            let text = "file 1 is not yours to send".to_owned();
            assert_eq!(lab.ask(other, request.clone()), [to_one(other, Event::Refused { text })]);
        }
    }
    for id in [0, 2, u32::MAX] {
        let text = format!("there is no file {id}");
        for request in [Request::Accept { id }, ack(id, 0), send(id, 0, 1), end(id, 0)] {
            let refused = to_one(carol, Event::Refused { text: text.clone() });
            assert_eq!(lab.ask(carol, request), [refused]);
        }
    }
    assert_eq!(lab.ask(alice, send(1, 2048, 2048)).len(), 1, "nothing has happened to it");
}

#[test]
fn who_leaves_takes_their_files_along() {
    let (mut lab, [alice, bob, carol]) = Lab::new(&Limits::default(), ["alice", "bob", "carol"]);
    let sent = lab.under_way(alice, 4096, &[bob, carol]);
    let taken = lab.under_way(bob, 4096, &[alice, carol]);
    let offered = lab.offer(carol, 4096);
    assert_eq!(
        lab.leave(alice),
        [
            (vec![bob, carol], abort(sent, "alice has left")),
            to_one(bob, dropped(taken, "alice", "has left")),
            to_one(carol, dropped(offered, "alice", "has left")),
        ]
    );
    // Nobody is left to take bob's.
    assert_eq!(
        lab.leave(carol),
        [
            to_one(bob, dropped(taken, "carol", "has left")),
            to_one(bob, abort(taken, "nobody takes it")),
            to_one(bob, abort(offered, "carol has left")),
        ]
    );
}

#[test]
fn nobody_is_late_because_the_server_stood_still() {
    let (mut lab, [alice, bob]) = Lab::new(&Limits::default(), ["alice", "bob"]);
    let offered = lab.offer(alice, 1);
    let (taken, sent) = (lab.under_way(alice, WINDOW, &[bob]), lab.under_way(bob, 1, &[alice]));
    lab.ask(alice, send(taken, 0, 64 * KIB));
    assert_eq!(lab.wait(9 * SECOND), []);
    // It was stopped for a minute.
    lab.now += 60 * SECOND;
    assert_eq!(parts(lab.room.tick(lab.now, 60 * SECOND)), []);
    let over = lab.wait(SECOND).into_iter().filter_map(|(_, event)| match event {
        Event::Abort { id, .. } => Some(id),
        _ => None,
    });
    let over = over.collect::<Vec<_>>();
    assert!(over.contains(&taken) && over.contains(&sent) && !over.contains(&offered), "{over:?}");
}

#[test]
fn who_takes_no_more_of_a_file_has_nothing_of_it_left_in_the_queue() {
    for (request, is_end) in [
        (Request::Refuse { id: 1, text: "no".to_owned() }, false),
        (Request::Abort { id: 1, text: "no".to_owned() }, false),
        (ack(1, 5000), false),
        (Request::Received { id: 1 }, false),
        (Request::Received { id: 1 }, true),
    ] {
        let (mut lab, [alice, bob]) = Lab::new(&Limits::default(), ["alice", "bob"]);
        lab.under_way(alice, 2048, &[bob]);
        lab.ask(alice, send(1, 0, 2048));
        if is_end {
            lab.ask(alice, end(1, 2048));
        }
        let deliveries = lab.room.request(bob, Ok(request.clone()), lab.now);
        let frames = crate::room::frames(deliveries);
        let lanes = frames[&bob].iter().map(Outgoing::lane).collect::<Vec<_>>();
        assert!(lanes.contains(&Lane::Over(1)), "{request:?}: {lanes:?}");
    }
}

#[test]
fn a_keeper_gets_a_copy_of_each_and_is_no_person() {
    let (mut lab, [alice, bob]) = Lab::new(&Limits::default(), ["alice", "bob"]);
    let keeper = lab.room.keeper();
    let names = lab.ask(alice, Request::Names {});
    assert!(matches!(&names[..], [(_, Event::Names { people })] if people.len() == 2));
    let offered = lab.ask(alice, offer(Some("bob"), "a.txt", 0));
    assert_eq!(offered[1].0, [bob, keeper]);
    lab.ask(bob, Request::Refuse { id: 1, text: "no".to_owned() });
    assert_eq!(lab.ask(keeper, Request::Accept { id: 1 }), [to_one(alice, Event::Go { id: 1 })]);
    lab.ask(alice, end(1, 0));
    let received = lab.ask(keeper, Request::Received { id: 1 });
    let name = Name::operator();
    assert_eq!(
        received,
        [to_one(alice, Event::Received { id: 1, name }), to_one(alice, Event::Done { id: 1 })]
    );
    // It is asked also when nobody else is there.
    lab.leave(bob);
    let alone = lab.ask(alice, offer(None, "a.txt", 0));
    assert_eq!(alone[1].0, [keeper]);
}
