use std::collections::BTreeSet;
use std::io;
use std::thread;

use proptest::prelude::*;

use super::*;
use crate::face;
use crate::files::CHUNK;

/// A face that remembers.
#[derive(Default)]
struct Remembers {
    lines: Mutex<Vec<String>>,
    /// What is shown of files on their way: done, and of how many.
    bars: Mutex<BTreeMap<u32, (String, u64, u64)>>,
}

impl Face for Remembers {
    fn show(&self, event: &Event) -> io::Result<()> {
        lock(&self.lines).extend(face::line(event));
        Ok(())
    }

    fn progress(&self, id: u32, progress: Option<&Progress>) -> io::Result<()> {
        let mut bars = lock(&self.bars);
        match progress {
            Some(Progress { title, done, size }) => {
                bars.insert(id, (title.clone(), *done, *size));
            }
            None => drop(bars.remove(&id)),
        }
        Ok(())
    }
}

/// A desk whose sources are numbers, and what it has said since anybody looked.
struct Lab {
    desk: Arc<Desk<u8>>,
    face: Arc<Remembers>,
    said: Arc<Mutex<Vec<Request>>>,
}

impl Lab {
    fn new(accept: Accept) -> Lab {
        let (face, said) = (Arc::new(Remembers::default()), Arc::new(Mutex::new(Vec::new())));
        let heard = Arc::clone(&said);
        let say = move |requests| lock(&heard).extend(requests);
        let desk = Arc::new(Desk::new(accept, Arc::<Remembers>::clone(&face), say));
        Lab { desk, face, said }
    }

    fn lines(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.face.lines))
    }

    fn last_tag(&self) -> u32 {
        self.desk.state().last_tag
    }

    /// What waits for the disk.
    fn waiting(&self, id: u32) -> usize {
        self.desk.state().receiving[&id].waiting
    }

    fn said(&self) -> Vec<Request> {
        std::mem::take(&mut lock(&self.said))
    }

    /// What was shown and said so far does not matter.
    fn forget(&self) {
        drop((self.lines(), self.said()));
    }

    /// What is shown as being on its way.
    fn bars(&self) -> Vec<(u32, (String, u64, u64))> {
        lock(&self.face.bars).clone().into_iter().collect()
    }

    /// Nothing is shown, said or to be done.
    #[track_caller]
    fn expect_nothing(&self) {
        assert_eq!((self.lines(), self.said(), self.bars()), (vec![], vec![], vec![]));
    }

    /// Hears something of which no job comes.
    #[track_caller]
    fn hear(&self, event: Event) {
        let job = self.desk.hear(event);
        assert!(job.is_none(), "{job:?}");
    }

    /// An own file that is being sent: its number is 1.
    fn sending(&self, size: u64) {
        self.desk.offer(Path::new("some/own.txt"), 7, size, None);
        self.hear(Event::Offered { tag: self.last_tag(), id: 1 });
        assert!(matches!(self.desk.hear(Event::Go { id: 1 }), Some(Job::Send(1, 7))));
        self.forget();
    }

    /// A file that is offered and to be received.
    fn receiving(&self, id: u32, size: u64) -> (Offer, mpsc::Receiver<Piece>) {
        match self.desk.hear(offer(id, "x.txt", size)) {
            Some(Job::Receive(offer, pieces)) => (offer, pieces),
            other => panic!("{other:?}"),
        }
    }
}

fn piece(id: u32, offset: u64, length: usize) -> Piece {
    Piece::Chunk(chunk(id, offset, length))
}

fn offer(id: u32, name: &str, size: u64) -> Event {
    Event::Offer { id, from: person("alice"), to: None, name: name.to_owned(), size }
}

fn person(name: &str) -> Name {
    name.parse().unwrap()
}

fn chunk(id: u32, at: u64, length: usize) -> Chunk {
    Chunk::fill(id, |_| Ok::<_, ()>(Some((at, length)))).unwrap().unwrap()
}

fn end(id: u32) -> Event {
    Event::End { id, size: 0, sha256: Checksum([0; 32]) }
}

fn abort(id: u32) -> Event {
    Event::Abort { id, text: "no more".to_owned() }
}

#[test]
fn an_own_file_from_the_offer_to_its_end() {
    let lab = Lab::new(Accept::Auto);
    lab.desk.offer(Path::new("some/own.txt"), 7, 5, Some(person("bob")));
    let offer = Request::Offer { tag: 1, to: Some("bob".into()), name: "own.txt".into(), size: 5 };
    assert_eq!(lab.said(), [offer]);
    lab.expect_nothing();
    lab.hear(Event::Offered { tag: 1, id: 3 });
    assert_eq!(lab.lines(), ["* offered own.txt to bob (5 bytes); @cancel 3 takes it back"]);
    lab.hear(Event::Dropped { id: 3, name: person("carol"), text: "busy".into() });
    assert_eq!(lab.lines(), ["! carol does not get own.txt: busy"]);
    assert!(matches!(lab.desk.hear(Event::Go { id: 3 }), Some(Job::Send(3, 7))));
    assert_eq!(lab.lines(), ["* sending own.txt (5 bytes)"]);
    assert_eq!(lab.bars(), [(3, ("own.txt to bob".to_owned(), 0, 5))]);
    assert!(lab.desk.may_send(3, 5));
    lab.hear(Event::Ack { id: 3, offset: 4 });
    assert_eq!(lab.bars(), [(3, ("own.txt to bob".to_owned(), 4, 5))]);
    lab.hear(Event::Received { id: 3, name: person("bob") });
    assert_eq!(lab.lines(), ["* bob has own.txt"]);
    lab.hear(Event::Done { id: 3 });
    assert_eq!(lab.lines(), ["* sent own.txt to bob"]);
    lab.expect_nothing();
    lab.desk.finish();
}

#[test]
fn offers_get_their_numbers_or_refusals_by_their_tags() {
    let lab = Lab::new(Accept::Auto);
    for name in ["a", "b", "c"] {
        lab.desk.offer(Path::new(name), 0, 1, None);
    }
    // In whatever order.
    lab.hear(Event::Offered { tag: 1, id: 9 });
    lab.hear(Event::Offered { tag: 3, id: 4 });
    lab.hear(Event::NotOffered { tag: 2, text: "nobody is here".into() });
    let lines = lab.lines();
    assert!(lines[0].starts_with("* offered a to all (1 bytes); @cancel 9 "), "{lines:?}");
    assert_eq!(lines[2], "! b to all: nobody is here");
    assert!(lines[1].starts_with("* offered c to all (1 bytes); @cancel 4 "), "{lines:?}");
}

#[test]
fn an_answer_to_what_was_not_offered_brings_no_file_onto_its_way() {
    let lab = Lab::new(Accept::Auto);
    lab.desk.offer(Path::new("secret.txt"), 1, 4, Some(person("bob")));
    lab.desk.offer(Path::new("public.txt"), 2, 4, None);
    lab.said();
    // The first got lost, and somebody changed a tag.
    for (tag, id) in [(7, 1), (0, 2)] {
        let job = lab.desk.hear(Event::Offered { tag, id });
        assert!(matches!(job, Some(Job::Say(Request::Abort { id: other, .. })) if other == id));
        assert!(lab.desk.hear(Event::Go { id }).is_none());
    }
    lab.hear(Event::Offered { tag: 2, id: 3 });
    assert!(matches!(lab.desk.hear(Event::Go { id: 3 }), Some(Job::Send(3, 2))));
    // Nor does it with a number that another one has.
    let job = lab.desk.hear(Event::Offered { tag: 1, id: 3 });
    assert!(matches!(job, Some(Job::Say(Request::Abort { id: 3, .. }))));
    // Nobody can say which of the two it was: neither is sent.
    assert!(!lab.desk.may_send(3, 1));
    lab.desk.finish();
}

#[test]
fn a_go_that_comes_before_the_number_counts() {
    let lab = Lab::new(Accept::Auto);
    assert!(lab.desk.hear(Event::Go { id: 5 }).is_none(), "nothing is offered");
    lab.desk.offer(Path::new("own.txt"), 7, 5, None);
    for id in [5, 6, 7] {
        assert!(lab.desk.hear(Event::Go { id }).is_none());
    }
    // As many are remembered as could be meant.
    assert_eq!(lab.desk.state().early.len(), 1);
    let job = lab.desk.hear(Event::Offered { tag: 1, id: 5 });
    assert!(matches!(job, Some(Job::Send(5, 7))));
}

#[test]
fn what_is_committed_is_not_cancelled_and_what_is_cancelled_not_committed() {
    let lab = Lab::new(Accept::Auto);
    let (_offer, _pieces) = lab.receiving(2, 5);
    let (_offer, _pieces) = lab.receiving(3, 5);
    lab.desk.cancel(2);
    assert!(!lab.desk.commits(2));
    assert!(lab.desk.commits(3));
    drop((lab.lines(), lab.said()));
    lab.desk.cancel(3);
    lab.desk.leave();
    assert_eq!((lab.lines(), lab.said()), (vec!["! file 3 is complete already".into()], vec![]));
}

#[test]
fn who_leaves_wants_no_more_of_any_file() {
    let lab = Lab::new(Accept::Auto);
    lab.sending(5);
    let (_offer, pieces) = lab.receiving(2, 5);
    lab.desk.leave();
    let abort = |id| Request::Abort { id, text: "has left".to_owned() };
    assert_eq!(lab.said(), [abort(1), abort(2)]);
    assert!(!lab.desk.may_send(1, 1));
    assert!(pieces.recv().is_err());
}

#[test]
fn a_row_of_a_file_that_is_over_does_not_come_back() {
    let lab = Lab::new(Accept::Auto);
    let (offer, _pieces) = lab.receiving(2, 5);
    lab.desk.acknowledge(&offer, 1);
    assert_eq!(lab.bars().len(), 1);
    lab.hear(abort(2));
    lab.desk.acknowledge(&offer, 5);
    assert_eq!(lab.bars(), []);
}

#[test]
fn what_no_other_would_take_is_not_offered() {
    let lab = Lab::new(Accept::Auto);
    for path in ["..", "/", "some/.hidden", "a:b"] {
        lab.desk.offer(Path::new(path), 0, 1, None);
        let lines = lab.lines();
        assert!(lines.len() == 1 && lines[0].starts_with(&format!("! {path}: the ")), "{lines:?}");
    }
    lab.expect_nothing();
    lab.desk.finish();
}

#[test]
fn the_window_is_what_was_sent_and_not_acknowledged() {
    let lab = Lab::new(Accept::Auto);
    lab.sending(u64::MAX);
    let pieces = usize::try_from(WINDOW).unwrap() / CHUNK;
    // What is acknowledged before it was sent opens nothing.
    lab.hear(Event::Ack { id: 1, offset: u64::MAX });
    let at = |piece: usize| u64::try_from(piece * CHUNK).unwrap();
    for piece in 0..pieces {
        assert!(lab.desk.may_send(1, at(piece + 1)));
    }
    thread::scope(|scope| {
        let next = scope.spawn(|| lab.desk.may_send(1, at(pieces + 1)));
        lab.hear(Event::Ack { id: 1, offset: at(1) - 1 });
        // One byte is missing; now it is there.
        assert!(!next.is_finished());
        lab.hear(Event::Ack { id: 1, offset: at(1) });
        assert!(next.join().unwrap());
        // An acknowledgement that goes back takes nothing away.
        lab.hear(Event::Ack { id: 1, offset: 0 });
        assert_eq!(lab.bars()[0].1.1, at(1));
        // Who waits for room that never comes is let go.
        let never = scope.spawn(|| lab.desk.may_send(1, at(pieces + 2)));
        lab.hear(abort(1));
        assert!(!never.join().unwrap());
    });
    assert_eq!(lab.lines(), ["! own.txt to all: no more"]);
}

#[test]
fn what_is_said_of_files_that_are_not_there_is_ignored() {
    let lab = Lab::new(Accept::Auto);
    for id in [0, 1, u32::MAX] {
        for event in [
            Event::NotOffered { tag: id, text: "no".into() },
            Event::Go { id },
            Event::Ack { id, offset: u64::MAX },
            Event::Dropped { id, name: person("bob"), text: "no".into() },
            Event::Received { id, name: person("bob") },
            Event::Done { id },
            Event::Chunk(chunk(id, 0, 1)),
            end(id),
            abort(id),
            Event::Ping {},
        ] {
            lab.hear(event);
            lab.expect_nothing();
        }
        assert!(!lab.desk.may_send(id, 1));
        assert!(!lab.desk.takes(id, &piece(id, 0, 1)));
        lab.desk.give_up(id, &"an error that is news to nobody", "it failed there".to_owned());
        lab.expect_nothing();
        lab.desk.cancel(id);
        assert_eq!(lab.lines(), [format!("! there is no file {id} on its way")]);
        lab.desk.refuse(id);
        assert!(lab.desk.accept(id).is_none());
        assert_eq!(lab.lines(), vec![format!("! no file {id} waits for an answer"); 2]);
    }
    lab.expect_nothing();
}

#[test]
fn it_is_begun_once_however_often_it_is_said() {
    let lab = Lab::new(Accept::Auto);
    lab.sending(5);
    lab.hear(Event::Go { id: 1 });
    let (_, pieces) = lab.receiving(2, 5);
    lab.hear(offer(2, "other.txt", 5));
    // Nor is it offered what it sends.
    lab.hear(offer(1, "own.txt", 5));
    lab.hear(Event::Chunk(chunk(2, 0, 5)));
    assert!(matches!(pieces.try_recv(), Ok(Piece::Chunk(_))));
    assert_eq!((lab.lines(), lab.said()), (vec![], vec![]));
}

#[test]
fn a_file_that_comes_from_the_offer_to_its_place() {
    let lab = Lab::new(Accept::Auto);
    let (offer, pieces) = lab.receiving(2, 5);
    lab.expect_nothing();
    lab.desk.taken(&offer);
    let receiving = "* receiving x.txt (5 bytes) from alice; @cancel 2 stops it";
    assert_eq!(lab.lines(), [receiving]);
    assert_eq!(lab.said(), [Request::Accept { id: 2 }]);
    lab.hear(Event::Chunk(chunk(2, 0, 5)));
    lab.hear(end(2));
    assert!(lab.desk.takes(2, &pieces.recv().unwrap()));
    assert_eq!(lab.waiting(2), OVERHEAD, "the end still waits");
    lab.desk.acknowledge(&offer, 5);
    assert_eq!(lab.said(), [Request::Ack { id: 2, offset: 5 }]);
    assert_eq!(lab.bars(), [(2, ("x.txt from alice".to_owned(), 5, 5))]);
    // All of it is here, so that its sender leaves changes nothing.
    lab.hear(abort(2));
    assert!(matches!(pieces.recv(), Ok(Piece::End(0, _))));
    lab.desk.received(&offer, Path::new("downloads/x.txt"));
    assert_eq!(lab.lines(), ["* received x.txt (5 bytes) from alice -> downloads/x.txt"]);
    assert_eq!(lab.said(), [Request::Received { id: 2 }]);
    assert!(pieces.recv().is_err(), "nothing more can come");
    lab.expect_nothing();
}

#[test]
fn what_is_over_before_the_disk_is_ready_does_not_begin() {
    let lab = Lab::new(Accept::Auto);
    let (offer, pieces) = lab.receiving(2, 5);
    lab.hear(abort(2));
    assert_eq!(lab.lines(), ["! x.txt from alice: no more"]);
    lab.desk.taken(&offer);
    assert!(pieces.recv().is_err());
    lab.expect_nothing();
}

#[test]
fn a_disk_that_fails_is_told_here_and_there_without_paths() {
    let lab = Lab::new(Accept::Auto);
    let _receiving = lab.receiving(2, 5);
    lab.desk.give_up(2, &"/home/bob is full", "it failed there".to_owned());
    assert_eq!(lab.lines(), ["! x.txt from alice: /home/bob is full"]);
    let text = "it failed there".to_owned();
    assert_eq!(lab.said(), [Request::Abort { id: 2, text }]);
    lab.desk.give_up(2, &"again", "it failed there".to_owned());
    lab.expect_nothing();
}

#[test]
fn more_than_two_windows_do_not_wait_for_the_disk() {
    let lab = Lab::new(Accept::Auto);
    let (_, pieces) = lab.receiving(2, u64::MAX);
    let cost = CHUNK + OVERHEAD;
    let fit = WAITING / cost;
    for _ in 0..fit {
        lab.hear(Event::Chunk(chunk(2, 0, CHUNK)));
    }
    // What is written makes room.
    assert!(lab.desk.takes(2, &pieces.recv().unwrap()));
    assert_eq!(lab.waiting(2), (fit - 1) * cost);
    lab.hear(Event::Chunk(chunk(2, 0, CHUNK)));
    lab.expect_nothing();
    let job = lab.desk.hear(Event::Chunk(chunk(2, 0, CHUNK)));
    let text = "more came than had been asked for".to_owned();
    assert!(matches!(job, Some(Job::Say(Request::Abort { id: 2, text: why })) if why == text));
    assert_eq!(lab.lines(), [format!("! x.txt from alice: {text}")]);
    lab.hear(Event::Chunk(chunk(2, 0, CHUNK)));
    lab.expect_nothing();
}

#[test]
fn tiny_pieces_are_counted_by_what_they_cost() {
    let lab = Lab::new(Accept::Auto);
    let _pieces = lab.receiving(2, u64::MAX);
    let mut count = 0;
    while lab.desk.hear(Event::Chunk(chunk(2, 0, 1))).is_none() {
        count += 1;
    }
    assert_eq!(count, WAITING / (OVERHEAD + 1));
}

#[test]
fn so_many_are_received_at_once_and_no_more() {
    let lab = Lab::new(Accept::Auto);
    let kept = (1..=256).map(|id| lab.receiving(id, 1)).collect::<Vec<_>>();
    let job = lab.desk.hear(offer(257, "x", 1));
    let text = "receives too many files already".to_owned();
    assert!(matches!(job, Some(Job::Say(Request::Refuse { id: 257, text: why })) if why == text));
    lab.hear(abort(7));
    lab.receiving(258, 1);
    drop(kept);
}

#[test]
fn where_many_jobs_are_done_already_silence_refuses() {
    for accept in [Accept::Auto, Accept::Never, Accept::Ask] {
        let lab = Lab::new(accept);
        let mut busy = (0..512).map(|_| lab.desk.begin()).collect::<Vec<_>>();
        for name in ["x", ".."] {
            lab.hear(offer(1, name, 1));
        }
        lab.expect_nothing();
        busy.pop();
        let job = lab.desk.hear(offer(1, "x", 1));
        assert_eq!(job.is_some(), accept != Accept::Ask);
    }
}

#[test]
fn names_are_checked_here_too_and_none_is_taken_when_none_is_wanted() {
    let lab = Lab::new(Accept::Auto);
    let job = lab.desk.hear(offer(1, "../x", 1));
    assert!(matches!(job, Some(Job::Say(Request::Refuse { id: 1, .. }))));
    let why = "the file name has a '/' in it, which separates folders";
    assert_eq!(lab.lines(), [format!("! alice offers a file, but {why}")]);

    let lab = Lab::new(Accept::Never);
    let job = lab.desk.hear(offer(1, "x", 1));
    let text = "takes no files".to_owned();
    assert!(matches!(job, Some(Job::Say(Request::Refuse { id: 1, text: why })) if why == text));
    assert_eq!(lab.lines(), ["* alice offers x (1 bytes): refused (--accept never)"]);
    assert!(lab.desk.accept(1).is_none());
    assert_eq!(lab.lines(), ["! no file 1 waits for an answer"]);
}

#[test]
fn a_person_answers_each_once() {
    let lab = Lab::new(Accept::Ask);
    for id in 1..=4 {
        lab.hear(offer(id, "x", 1));
        let line = format!("* alice offers x (1 bytes): @accept {id} or @refuse {id}");
        assert_eq!(lab.lines(), [line]);
    }
    lab.expect_nothing();
    assert!(matches!(lab.desk.accept(1), Some(Job::Receive(..))));
    assert!(lab.desk.accept(1).is_none());
    assert_eq!(lab.lines(), ["! no file 1 waits for an answer"]);
    lab.desk.refuse(2);
    assert_eq!(lab.said(), [Request::Refuse { id: 2, text: "refused".to_owned() }]);
    lab.desk.cancel(3);
    assert_eq!(lab.lines(), ["* x from alice: cancelled"]);
    assert_eq!(lab.said(), [Request::Abort { id: 3, text: "cancelled".to_owned() }]);
    lab.hear(abort(4));
    assert_eq!(lab.lines(), ["! x from alice: no more"]);
    for id in 2..=4 {
        assert!(lab.desk.accept(id).is_none());
    }
}

#[test]
fn offers_that_wait_for_an_answer_are_bounded() {
    let lab = Lab::new(Accept::Ask);
    (1..=1025).for_each(|id| lab.hear(offer(id, "x", 1)));
    assert_eq!(lab.lines().len(), 1024);
    assert!(lab.desk.accept(1025).is_none());
}

#[test]
fn leaving_waits_for_own_files_alone() {
    let lab = Lab::new(Accept::Auto);
    let _receiving = lab.receiving(9, 5);
    lab.desk.finish();
    type End = fn(&Lab);
    let last: [(&str, End); 4] = [
        ("done", |lab| lab.hear(Event::Done { id: 1 })),
        ("aborted", |lab| lab.hear(abort(1))),
        ("cancelled", |lab| lab.desk.cancel(1)),
        ("failed", |lab| lab.desk.give_up(1, &"read error", "it failed there".to_owned())),
    ];
    for (how, ends) in last {
        lab.sending(5);
        thread::scope(|scope| {
            let leaving = scope.spawn(|| lab.desk.finish());
            lab.hear(Event::Ack { id: 1, offset: 5 });
            assert!(!leaving.is_finished(), "{how}");
            ends(&lab);
            leaving.join().unwrap();
        });
    }
    // One that has no number yet counts, too.
    lab.desk.offer(Path::new("x"), 0, 1, None);
    thread::scope(|scope| {
        let leaving = scope.spawn(|| lab.desk.finish());
        lab.hear(Event::Ping {});
        assert!(!leaving.is_finished());
        lab.hear(Event::NotOffered { tag: lab.last_tag(), text: "no".into() });
        leaving.join().unwrap();
    });
}

#[test]
fn at_the_end_everything_is_over_and_jobs_are_waited_for() {
    let lab = Lab::new(Accept::Auto);
    lab.sending(u64::MAX);
    lab.desk.offer(Path::new("x"), 0, 1, None);
    let (offer, pieces) = lab.receiving(2, 5);
    assert!(lab.desk.may_send(1, 5));
    thread::scope(|scope| {
        let busy = lab.desk.begin();
        let sends = scope.spawn(|| lab.desk.may_send(1, WINDOW + 1));
        let leaves = scope.spawn(|| lab.desk.finish());
        let closes = scope.spawn(|| lab.desk.close());
        assert!(!sends.join().unwrap());
        leaves.join().unwrap();
        assert!(pieces.recv().is_err());
        assert!(!closes.is_finished(), "a job is not done");
        drop(busy);
        closes.join().unwrap();
    });
    lab.forget();
    // Nobody is told anything any more.
    lab.desk.give_up(1, &"lost", "it failed there".to_owned());
    lab.desk.taken(&offer);
    assert!(!lab.desk.takes(2, &piece(2, 0, 1)));
    assert_eq!((lab.lines(), lab.said()), (vec![], vec![]));
}

#[test]
fn a_job_that_never_ends_is_not_waited_for_for_ever() {
    let lab = Lab::new(Accept::Auto);
    let _busy = lab.desk.begin();
    let began = Instant::now();
    lab.desk.close();
    assert!(began.elapsed() >= CLOSE_WITHIN);
}

/// Anything that a server may say, about few files.
fn any_event() -> impl Strategy<Value = Event> {
    let id = 0..6_u32;
    prop_oneof![
        id.clone().prop_map(|id| Event::Offered { tag: 1, id }),
        Just(Event::NotOffered { tag: 1, text: "no".into() }),
        (id.clone(), any::<u64>()).prop_map(|(id, size)| offer(id, "x", size)),
        id.clone().prop_map(|id| offer(id, "..", 1)),
        id.clone().prop_map(|id| Event::Go { id }),
        (id.clone(), any::<u64>()).prop_map(|(id, offset)| Event::Ack { id, offset }),
        id.clone().prop_map(|id| Event::Done { id }),
        (id.clone(), any::<u64>(), 1..CHUNK)
            .prop_map(|(id, at, length)| Event::Chunk(chunk(id, at, length))),
        id.clone().prop_map(end),
        id.prop_map(abort),
    ]
}

proptest! {
    /// Whatever a server says in whatever order: no source is sent twice, no more waits than two
    /// windows for each file, and at the end nothing is left.
    #[test]
    fn any_events_in_any_order(events in prop::collection::vec(any_event(), 0..200), own in 0..4_u8) {
        let lab = Lab::new(Accept::Auto);
        (0..own).for_each(|source| lab.desk.offer(Path::new("own"), source, 100, None));
        let (mut sources, mut receivers) = (BTreeSet::new(), Vec::new());
        for event in events {
            match lab.desk.hear(event) {
                Some(Job::Send(_, source)) => prop_assert!(sources.insert(source), "{}", source),
                Some(Job::Receive(_, pieces)) => receivers.push(pieces),
                Some(Job::Say(_)) | None => {}
            }
            let state = lab.desk.state();
            prop_assert!(state.receiving.values().all(|file| file.waiting <= WAITING));
        }
        lab.desk.close();
        for pieces in receivers {
            prop_assert!(pieces.iter().count() < 5000, "it ends");
        }
        lab.desk.finish();
    }
}
