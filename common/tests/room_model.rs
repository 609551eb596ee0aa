//! The room against a model of it, with invented conversations.
//!
//! The model is written from the specification, with lists instead of maps and nothing shared
//! with the room: it says for every request who reads what, in full. What a person would object
//! to is checked once more by itself, so that an error common to both would still be seen.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;
use std::time::Instant;

use common::limits::Limits;
use common::message::Bye;
use common::message::Event;
use common::message::Person;
use common::message::Reason;
use common::message::Request;
use common::message::Status;
use common::message::Unreadable;
use common::name::Name;
use common::room::Delivery;
use common::room::PeerId;
use common::room::Room;
use proptest::collection::vec;
use proptest::prelude::*;

const TYPING_EVERY: Duration = Duration::from_secs(2);
/// Few names, so that they meet; some only in other letters, some not to be had.
const NAMES: [&str; 8] = ["alice", "bob", "carol", "ALICE", "Bob", "server", "no name", ""];
const GROUPS: [&str; 5] = ["team", "TEAM", "lab", "send", "no group"];

/// What one peer reads because of one request.
type Read = Vec<(PeerId, Event)>;

#[derive(Clone, Debug)]
enum Step {
    /// Somebody comes and gives this name.
    Join(&'static str),
    /// The person at this place among all who were ever here leaves, perhaps again.
    Leave(usize),
    /// The same asks for something.
    Ask(usize, Request),
    /// Time passes.
    Wait(Duration),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => prop::sample::select(&NAMES[..]).prop_map(Step::Join),
        1 => (0..6_usize).prop_map(Step::Leave),
        12 => (0..6_usize, any_request()).prop_map(|(who, what)| Step::Ask(who, what)),
        1 => (0..3000_u64).prop_map(|millis| Step::Wait(Duration::from_millis(millis))),
    ]
}

fn any_request() -> impl Strategy<Value = Request> {
    let name = || prop::sample::select(&NAMES[..]).prop_map(str::to_owned);
    let group = || prop::sample::select(&GROUPS[..]).prop_map(str::to_owned);
    let status = prop::sample::select(&[Status::Normal, Status::Dnd, Status::Away][..]);
    let text = || {
        prop_oneof![
            8 => "[a-z]{1,3}",
            1 => Just(String::new()),
            1 => Just("x".repeat(4096)),
            1 => Just("x".repeat(4097)),
            // 4,098 bytes, though far fewer characters.
            1 => Just("é".repeat(2049)),
        ]
    };
    // A text of one byte at least, of 4,096 at most, and 44 bytes to seal it.
    let sealed = || {
        prop_oneof![
            8 => "[0-9a-f]{90}",
            1 => prop::sample::select(&[0, 1, 88, 89, 91, 2 * 4140, 2 * 4141][..]).prop_map(|n| "0".repeat(n)),
            1 => Just("0x".repeat(45)),
            1 => Just("é".repeat(45)),
        ]
    };
    prop_oneof![
        2 => text().prop_map(|text| Request::Say { text }),
        4 => (name(), text()).prop_map(|(to, text)| Request::Private { to, text }),
        4 => (name(), sealed()).prop_map(|(to, sealed)| Request::Secret { to, sealed }),
        1 => Just(Request::Names {}),
        2 => prop::option::of(status).prop_map(|status| Request::Status { status }),
        4 => (group(), vec(name(), 0..3)).prop_map(|(group, members)| Request::GroupSet { group, members }),
        4 => (group(), text()).prop_map(|(group, text)| Request::GroupSend { group, text }),
        2 => group().prop_map(|group| Request::GroupLeave { group }),
        2 => group().prop_map(|group| Request::GroupDelete { group }),
        2 => Just(Request::Typing {}),
        1 => Just(Request::Ping {}),
        1 => Just(Request::Pong {}),
        1 => name().prop_map(|name| Request::Hello { chat5: 1, name }),
    ]
}

#[derive(Clone)]
struct Somebody {
    id: PeerId,
    name: Name,
    status: Status,
    typed: Option<Instant>,
}

struct Circle {
    name: Name,
    owner: PeerId,
    members: Vec<PeerId>,
}

#[derive(Default)]
struct Model {
    /// In the order of their coming.
    here: Vec<Somebody>,
    groups: Vec<Circle>,
}

/// Either who reads what, or that the asker alone is refused.
type Expected = Option<Read>;

impl Model {
    fn get(&self, id: PeerId) -> Option<&Somebody> {
        self.here.iter().find(|somebody| somebody.id == id)
    }

    fn get_mut(&mut self, id: PeerId) -> &mut Somebody {
        self.here.iter_mut().find(|somebody| somebody.id == id).unwrap()
    }

    fn called(&self, name: &str) -> Option<&Somebody> {
        self.here.iter().find(|somebody| same(somebody.name.as_str(), name))
    }

    fn people(&self) -> Vec<Person> {
        let person = |one: &Somebody| Person { name: one.name.clone(), status: one.status };
        self.here.iter().map(person).collect()
    }

    fn all(&self) -> Vec<PeerId> {
        self.here.iter().map(|somebody| somebody.id).collect()
    }

    fn others(&self, id: PeerId) -> Vec<PeerId> {
        self.all().into_iter().filter(|other| *other != id).collect()
    }

    fn may_join(&self, name: &str, most: usize) -> bool {
        matches!(name, "alice" | "bob" | "carol" | "ALICE" | "Bob")
            && self.called(name).is_none()
            && self.here.len() < most
    }

    fn joins(&mut self, id: PeerId, name: &str) -> Read {
        let name = name.parse::<Name>().unwrap();
        let status = Status::Normal;
        self.here.push(Somebody { id, name: name.clone(), status, typed: None });
        let welcome = Event::Welcome { name: name.clone(), people: self.people() };
        let mut read = vec![(id, welcome)];
        read.extend(each(&self.all(), &Event::Joined { name }));
        read
    }

    /// In any order of the groups: each is an event of its own.
    fn leaves(&mut self, id: PeerId) -> Read {
        let Some(leaver) = self.get(id).cloned() else { return Vec::new() };
        let mut read = Vec::new();
        for at in 0..self.groups.len() {
            if self.groups[at].members.contains(&id) {
                read.extend(self.out_of(at, &leaver));
            }
        }
        self.groups.retain(|group| !group.members.is_empty());
        read.retain(|(to, _)| *to != id);
        self.here.retain(|somebody| somebody.id != id);
        read.extend(each(&self.all(), &Event::Left { name: leaver.name }));
        read
    }

    fn out_of(&mut self, at: usize, leaver: &Somebody) -> Read {
        let order = self.all();
        let group = &mut self.groups[at];
        let left = Event::GroupLeft { group: group.name.clone(), name: leaver.name.clone() };
        let mut read = each(&group.members, &left);
        group.members.retain(|member| *member != leaver.id);
        if group.owner == leaver.id
            && let Some(heir) = order.into_iter().find(|id| group.members.contains(id))
        {
            group.owner = heir;
            let owner = self.here.iter().find(|somebody| somebody.id == heir).unwrap().name.clone();
            let event = Event::GroupOwner { group: group.name.clone(), owner };
            read.extend(each(&group.members, &event));
        }
        read
    }

    fn own(&self, id: PeerId, name: &str) -> Option<usize> {
        let is_own =
            |group: &Circle| same(group.name.as_str(), name) && group.members.contains(&id);
        self.groups.iter().position(is_own)
    }

    fn asks(&mut self, id: PeerId, request: Request, now: Instant) -> Expected {
        let asker = self.get(id).cloned()?;
        let from = asker.name.clone();
        match request {
            Request::Hello { .. } => None,
            Request::Ping {} => Some(vec![(id, Event::Pong {})]),
            Request::Pong {} => Some(Vec::new()),
            // This room passes on none.
            Request::Offer { .. }
            | Request::Accept { .. }
            | Request::Refuse { .. }
            | Request::Ack { .. }
            | Request::End { .. }
            | Request::Received { .. }
            | Request::Abort { .. }
            | Request::Chunk(_)
            | Request::Order(_) => None,
            Request::Names {} => Some(vec![(id, Event::Names { people: self.people() })]),
            Request::Say { text } if fits(&text) => {
                Some(each(&self.others(id), &Event::Said { from, text }))
            }
            Request::Private { to, text } if fits(&text) => {
                self.to_one(id, &to, |to| Event::Private { from, to, text })
            }
            Request::Secret { to, sealed } if fits_sealed(&sealed) => {
                self.to_one(id, &to, |to| Event::Secret { from, to, sealed })
            }
            Request::Status { status } => {
                let changed = status.is_some_and(|status| status != asker.status);
                let status = status.unwrap_or(asker.status);
                self.get_mut(id).status = status;
                let to = if changed { self.all() } else { vec![id] };
                Some(each(&to, &Event::Status { name: from, status }))
            }
            Request::Typing {} => {
                if asker.typed.is_some_and(|typed| now - typed < TYPING_EVERY) {
                    return Some(Vec::new());
                }
                self.get_mut(id).typed = Some(now);
                Some(each(&self.others(id), &Event::Typing { name: from }))
            }
            Request::GroupSet { group, members } => {
                if group == "no group" || self.groups.iter().any(|g| same(g.name.as_str(), &group))
                {
                    return None;
                }
                if members.len() > self.here.len() {
                    return None;
                }
                let mut ids = vec![id];
                for member in &members {
                    ids.push(self.called(member)?.id);
                }
                let members = self.here.iter().filter(|somebody| ids.contains(&somebody.id));
                let (ids, names) = members.map(|one| (one.id, one.name.clone())).unzip();
                let name = group.parse::<Name>().unwrap();
                self.groups.push(Circle { name: name.clone(), owner: id, members: ids });
                let event = Event::GroupSet { group: name, owner: from, members: names };
                Some(each(&self.groups.last().unwrap().members, &event))
            }
            Request::GroupSend { group, text } if fits(&text) => {
                let group = &self.groups[self.own(id, &group)?];
                let event = Event::Group { from, group: group.name.clone(), text };
                Some(each(&group.members, &event))
            }
            Request::GroupLeave { group } => {
                let at = self.own(id, &group)?;
                let read = self.out_of(at, &asker);
                self.groups.retain(|group| !group.members.is_empty());
                Some(read)
            }
            Request::GroupDelete { group } => {
                let at = self.own(id, &group)?;
                if self.groups[at].owner != id {
                    return None;
                }
                let Circle { name, members, .. } = self.groups.remove(at);
                Some(each(&members, &Event::GroupDeleted { group: name, by: from }))
            }
            Request::Say { .. }
            | Request::Private { .. }
            | Request::Secret { .. }
            | Request::GroupSend { .. } => None,
        }
    }

    fn to_one(&self, id: PeerId, to: &str, event: impl FnOnce(Name) -> Event) -> Expected {
        let other = self.called(to).filter(|other| other.id != id)?;
        let to = other.name.clone();
        let mut read = each(&[id, other.id], &event(to.clone()));
        match other.status {
            Status::Dnd => return None,
            Status::Away => {
                let text = format!("{to} is away and may answer later");
                read.push((id, Event::Notice { text }));
            }
            Status::Normal => {}
        }
        Some(read)
    }
}

fn same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

fn fits(text: &str) -> bool {
    !text.is_empty() && text.len() <= 4096
}

fn fits_sealed(sealed: &str) -> bool {
    let digits = "0123456789abcdefABCDEF";
    sealed.chars().all(|c| digits.contains(c))
        && (90..=8280).contains(&sealed.len())
        && sealed.len().is_multiple_of(2)
}

fn each(to: &[PeerId], event: &Event) -> Read {
    to.iter().map(|id| (*id, event.clone())).collect()
}

/// Who reads what, each in their order; deliveries to different people have no order.
fn by_reader(read: Read) -> BTreeMap<PeerId, Vec<Event>> {
    let mut by_reader = BTreeMap::<PeerId, Vec<Event>>::new();
    for (id, event) in read {
        by_reader.entry(id).or_default().push(event);
    }
    by_reader
}

/// As [`by_reader`], without the order: where several groups are left at once.
fn unordered(read: Read) -> BTreeMap<PeerId, Vec<String>> {
    let sort = |(id, events): (PeerId, Vec<Event>)| {
        let mut events = events.iter().map(|event| format!("{event:?}")).collect::<Vec<_>>();
        events.sort();
        (id, events)
    };
    by_reader(read).into_iter().map(sort).collect()
}

fn readers(deliveries: &[Delivery]) -> Read {
    deliveries.iter().flat_map(|Delivery { to, event }| each(to, event)).collect()
}

/// What holds for all deliveries, whatever was asked and by whom.
fn check_deliveries(deliveries: &[Delivery], present: &[PeerId]) -> Result<(), TestCaseError> {
    for Delivery { to, event } in deliveries {
        prop_assert!(!to.is_empty(), "to nobody: {event:?}");
        prop_assert!(to.iter().all(|id| present.contains(id)), "to who is not here: {event:?}");
        prop_assert_eq!(to.iter().collect::<BTreeSet<_>>().len(), to.len(), "twice: {:?}", event);
    }
    Ok(())
}

/// What a person would object to, whatever the model says.
fn check_privacy(
    model: &Model,
    from: PeerId,
    deliveries: &[Delivery],
) -> Result<(), TestCaseError> {
    for Delivery { to, event } in deliveries {
        match event {
            Event::Private { from: sender, to: recipient, .. }
            | Event::Secret { from: sender, to: recipient, .. } => {
                let recipient = model.called(recipient.as_str()).unwrap();
                prop_assert_ne!(recipient.id, from);
                prop_assert_ne!(recipient.status, Status::Dnd);
                prop_assert_eq!(to, &vec![from, recipient.id]);
                prop_assert_eq!(Some(sender), model.get(from).map(|somebody| &somebody.name));
            }
            Event::Said { .. } | Event::Typing { .. } => {
                prop_assert_eq!(to, &model.others(from));
            }
            Event::Group { group, .. } => {
                let group = model.groups.iter().find(|g| g.name == *group).unwrap();
                prop_assert!(group.members.contains(&from));
                prop_assert!(to.iter().all(|id| group.members.contains(id)));
            }
            Event::Refused { text } => {
                prop_assert_eq!(to, &vec![from]);
                prop_assert!(!text.is_empty());
            }
            _ => {}
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_room_does_what_its_model_says(most in 2..5_usize, steps in vec(any_step(), 1..120)) {
        let mut room = Room::new(&Limits { max_clients: most, ..limits() });
        let mut model = Model::default();
        let mut ever = Vec::<PeerId>::new();
        let mut now = Instant::now();
        for step in steps {
            match step {
                Step::Wait(time) => now += time,
                Step::Join(name) => {
                    let hello = Request::Hello { chat5: 1, name: name.to_owned() };
                    let joined = room.join(hello, None);
                    prop_assert_eq!(joined.is_ok(), model.may_join(name, most), "{:?}", name);
                    let Ok((id, called, deliveries)) = joined else { continue };
                    prop_assert_eq!(called.as_str(), name);
                    prop_assert!(!ever.contains(&id), "an id is used again");
                    ever.push(id);
                    let expected = model.joins(id, name);
                    check_deliveries(&deliveries, &model.all())?;
                    prop_assert_eq!(by_reader(readers(&deliveries)), by_reader(expected));
                }
                Step::Leave(at) => {
                    let Some(&id) = ever.get(at) else { continue };
                    let deliveries = room.leave(id, now);
                    let expected = model.leaves(id);
                    check_deliveries(&deliveries, &model.all())?;
                    prop_assert_eq!(unordered(readers(&deliveries)), unordered(expected));
                }
                Step::Ask(at, request) => {
                    let Some(&id) = ever.get(at) else { continue };
                    let deliveries = room.request(id, Ok(request.clone()), now);
                    check_deliveries(&deliveries, &model.all())?;
                    // Before the model goes on: who is in a group is who was when it was asked.
                    check_privacy(&model, id, &deliveries)?;
                    if model.get(id).is_none() {
                        prop_assert_eq!(deliveries, vec![], "somebody who has left is answered");
                        continue;
                    }
                    match model.asks(id, request, now) {
                        Some(expected) => {
                            prop_assert_eq!(by_reader(readers(&deliveries)), by_reader(expected));
                        }
                        None => match &deliveries[..] {
                            [Delivery { to, event: Event::Refused { .. } }] => {
                                prop_assert_eq!(to, &vec![id]);
                            }
                            other => prop_assert!(false, "not refused: {:?}", other),
                        },
                    }
                }
            }
            for group in &model.groups {
                prop_assert!(group.members.contains(&group.owner));
            }
            for id in &ever {
                let own = room.request(*id, Ok(Request::Status { status: None }), now);
                let expected = model.get(*id).map(|somebody| Delivery {
                    to: vec![*id],
                    event: Event::Status { name: somebody.name.clone(), status: somebody.status },
                });
                prop_assert_eq!(own, expected.into_iter().collect::<Vec<_>>());
            }
            // Names and statuses as everyone sees them.
            if let Some(somebody) = model.here.first() {
                let names = room.request(somebody.id, Ok(Request::Names {}), now);
                let people = Event::Names { people: model.people() };
                prop_assert_eq!(names, vec![Delivery { to: vec![somebody.id], event: people }]);
            }
        }
        // Whatever the room remembers of groups is gone with their members.
        for id in &ever {
            room.leave(*id, Instant::now());
        }
        let (id, _, _) = join(&mut room, "alice").unwrap();
        for group in ["team", "lab", "send"] {
            let request = Request::GroupSet { group: group.to_owned(), members: vec![] };
            let set = room.request(id, Ok(request), now);
            prop_assert!(matches!(set[0].event, Event::GroupSet { .. }), "{:?}", set);
        }
    }
}

fn limits() -> Limits {
    Limits { typing_every: TYPING_EVERY, ..Limits::default() }
}

fn room() -> Room {
    Room::new(&limits())
}

type Joined = Result<(PeerId, Name, Vec<Delivery>), Bye>;

fn join(room: &mut Room, name: &str) -> Joined {
    room.join(Request::Hello { chat5: 1, name: name.to_owned() }, None)
}

fn refusal(deliveries: &[Delivery]) -> &str {
    match deliveries {
        [Delivery { event: Event::Refused { text }, .. }] => text,
        other => panic!("not refused: {other:?}"),
    }
}

fn reason(result: Joined) -> (Reason, String) {
    let bye = result.unwrap_err();
    (bye.reason, bye.text)
}

#[test]
fn who_may_come_in() {
    let mut room = room();
    let (wrong, text) = reason(room.join(Request::Say { text: "hi".to_owned() }, None));
    assert_eq!(wrong, Reason::Protocol);
    assert!(text.contains(r#"{"type":"hello","chat5":1,"name":"#), "{text}");

    for chat5 in [0, 2, u32::MAX] {
        let hello = Request::Hello { chat5, name: "alice".to_owned() };
        let (wrong, text) = reason(room.join(hello, None));
        assert_eq!(wrong, Reason::Protocol);
        assert!(text.contains('1') && text.contains(&chat5.to_string()), "{text}");
    }
    for name in ["", "no name", "alice\n", "123456789012345678901", "аlice"] {
        assert_eq!(reason(join(&mut room, name)).0, Reason::BadName, "{name:?}");
    }
    for name in [
        "help", "quit", "names", "status", "group", "secret", "open", "send", "accept", "refuse",
        "cancel", "server", "Server",
    ] {
        let (wrong, text) = reason(join(&mut room, name));
        assert_eq!(wrong, Reason::BadName);
        assert!(text.contains("reserved"), "{text}");
    }
    assert!(join(&mut room, "alice").is_ok());
    assert_eq!(reason(join(&mut room, "ALICE")).0, Reason::NameTaken);
}

#[test]
fn a_closed_room_lets_nobody_in() {
    let mut room = room();
    room.close();
    assert_eq!(reason(join(&mut room, "alice")).0, Reason::Stopping);
}

#[test]
fn a_group_lists_no_more_names_than_there_are_people() {
    let mut room = room();
    let (alice, _, _) = join(&mut room, "alice").unwrap();
    let set = |names: usize| Request::GroupSet {
        group: "team".to_owned(),
        members: vec!["alice".to_owned(); names],
    };
    let refused = room.request(alice, Ok(set(2)), Instant::now());
    assert!(matches!(refused[0].event, Event::Refused { .. }), "{refused:?}");
    let made = room.request(alice, Ok(set(1)), Instant::now());
    assert!(matches!(made[0].event, Event::GroupSet { .. }), "{made:?}");
}

#[test]
fn a_full_room_says_so_until_somebody_leaves() {
    let mut room = Room::new(&Limits { max_clients: 2, ..limits() });
    let (alice, _, _) = join(&mut room, "alice").unwrap();
    join(&mut room, "bob").unwrap();
    let (wrong, text) = reason(join(&mut room, "carol"));
    assert_eq!(wrong, Reason::Full);
    assert!(text.contains('2') && text.contains("--max-clients"), "{text}");
    // Waiting for room would not help with a name that is taken.
    assert_eq!(reason(join(&mut room, "Bob")).0, Reason::NameTaken);
    room.leave(alice, Instant::now());
    assert!(join(&mut room, "carol").is_ok());
    assert_eq!(reason(join(&mut room, "alice")).0, Reason::Full);
}

#[test]
fn what_could_not_be_read_is_refused_to_its_sender_alone() {
    let mut room = room();
    let now = Instant::now();
    let (alice, _, _) = join(&mut room, "alice").unwrap();
    join(&mut room, "bob").unwrap();
    let refused = room.request(alice, Err(Unreadable::NotText), now);
    assert_eq!(refusal(&refused), "unreadable message: not UTF-8");
    assert_eq!(refused[0].to, [alice]);
    room.leave(alice, Instant::now());
    assert_eq!(room.request(alice, Err(Unreadable::NotText), now), []);
}

#[test]
fn what_came_together_is_answered_in_its_order() {
    let mut room = room();
    let now = Instant::now();
    let (alice, _, _) = join(&mut room, "alice").unwrap();
    let say = || Ok(Request::Say { text: "to nobody".to_owned() });
    let requests = vec![Ok(Request::Ping {}), say(), Err(Unreadable::TooDeep), say()];
    let events = room.requests(alice, requests, now);
    assert_eq!(events.len(), 2, "{events:?}");
    assert_eq!(events[0], Delivery { to: vec![alice], event: Event::Pong {} });
    assert!(refusal(&events[1..]).contains("too deeply"));
}

#[test]
fn a_wrong_name_is_sent_back_harmless_and_short() {
    let mut room = room();
    let (_, text) = reason(join(&mut room, &"\u{1b}[2J".repeat(1000)));
    assert!(!text.contains('\u{1b}'), "{text:?}");
    assert!(text.len() < 500, "{text}");
}

#[test]
fn a_proven_name_is_the_name() {
    let mut room = room();
    let hello = |name: &str| Request::Hello { chat5: 1, name: name.to_owned() };
    let alice = "alice".parse::<Name>().unwrap();
    for other in ["bob", "Alice"] {
        let (wrong, text) = reason(room.join(hello(other), Some(alice.clone())));
        assert_eq!(wrong, Reason::BadName);
        assert!(text.contains("alice") && text.contains(other), "{text}");
    }
    assert!(room.join(hello("alice"), Some(alice.clone())).is_ok());
    assert_eq!(reason(room.join(hello("alice"), Some(alice.clone()))).0, Reason::NameTaken);
}

#[test]
fn a_person_owns_at_most_sixteen_groups() {
    let mut room = room();
    let now = Instant::now();
    let (alice, _, _) = join(&mut room, "alice").unwrap();
    let (bob, _, _) = join(&mut room, "bob").unwrap();
    let set = |group: usize, member: &str| Request::GroupSet {
        group: format!("g{group}"),
        members: vec![member.to_owned()],
    };
    for group in 0..16 {
        let made = room.request(alice, Ok(set(group, "bob")), now);
        assert!(matches!(made[0].event, Event::GroupSet { .. }), "{made:?}");
    }
    assert!(refusal(&room.request(alice, Ok(set(16, "bob")), now)).contains("16 groups already"));
    // Being in groups of others is not owning them; one that is deleted makes room.
    let made = room.request(bob, Ok(set(16, "alice")), now);
    assert!(matches!(made[0].event, Event::GroupSet { .. }), "{made:?}");
    room.request(alice, Ok(Request::GroupDelete { group: "g3".to_owned() }), now);
    let made = room.request(alice, Ok(set(17, "bob")), now);
    assert!(matches!(made[0].event, Event::GroupSet { .. }), "{made:?}");
}

#[test]
fn there_are_at_most_1024_groups() {
    let mut room = room();
    let now = Instant::now();
    let set = |group: usize| Request::GroupSet { group: format!("g{group}"), members: vec![] };
    let mut people = Vec::new();
    for person in 0..65 {
        people.push(join(&mut room, &format!("p{person}")).unwrap().0);
    }
    for group in 0..1024 {
        let made = room.request(people[group / 16], Ok(set(group)), now);
        assert!(matches!(made[0].event, Event::GroupSet { .. }), "{made:?}");
    }
    assert!(refusal(&room.request(people[64], Ok(set(1024)), now)).contains("too many groups"));
    room.leave(people[0], Instant::now());
    let made = room.request(people[64], Ok(set(1024)), now);
    assert!(matches!(made[0].event, Event::GroupSet { .. }), "{made:?}");
}

#[test]
fn that_a_group_exists_is_not_told_to_others_who_ask_for_it() {
    let mut room = room();
    let now = Instant::now();
    let (alice, _, _) = join(&mut room, "alice").unwrap();
    let (bob, _, _) = join(&mut room, "bob").unwrap();
    let team = Request::GroupSet { group: "team".to_owned(), members: vec![] };
    room.request(alice, Ok(team), now);
    for request in [
        |group| Request::GroupSend { group, text: "hi".to_owned() },
        |group| Request::GroupLeave { group },
        |group| Request::GroupDelete { group },
    ] {
        let of_alice = room.request(bob, Ok(request("team".to_owned())), now);
        let of_nobody = room.request(bob, Ok(request("else".to_owned())), now);
        assert_eq!(refusal(&of_alice).replace("team", "else"), refusal(&of_nobody));
    }
}

#[test]
fn time_is_only_what_is_handed_in() {
    let mut room = room();
    let start = Instant::now();
    let (alice, _, _) = join(&mut room, "alice").unwrap();
    join(&mut room, "bob").unwrap();
    let mut told = |millis| {
        let now = start + Duration::from_millis(millis);
        !room.request(alice, Ok(Request::Typing {}), now).is_empty()
    };
    assert!(told(10_000));
    assert!(!told(10_000));
    assert!(!told(11_999));
    // A clock that seems to go back is no reason to tell more, nor to fail.
    assert!(!told(1));
    assert!(told(12_000));
    assert!(!told(13_999));
    assert!(told(14_000));
}
