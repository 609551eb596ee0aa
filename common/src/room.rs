//! The chat itself: who is here, who is in which group, and who gets what.
//!
//! A pure state machine. A peer and a request go in, deliveries come out: to whom, and what.
//! There are no sockets, no threads and no clock in it but the time that it is handed.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

use crate::escape;
use crate::files::FileName;
use crate::frame::Outgoing;
use crate::limits::Limits;
use crate::message::Bye;
use crate::message::Event;
use crate::message::MAX_TEXT;
use crate::message::Person;
use crate::message::Reason;
use crate::message::Request;
use crate::message::SEAL;
use crate::message::Status;
use crate::message::Unreadable;
use crate::message::VERSION;
use crate::name::MAX_LENGTH;
use crate::name::Name;
use crate::transfers::Offer;
use crate::transfers::Transfers;

/// Groups that one person may own, and groups in all: what peers can make is bounded.
const GROUPS_EACH: usize = 16;
const GROUPS: usize = 1024;

/// One peer, for as long as it is here; never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(u64);

/// What goes to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Who gets it: people who are present, each once.
    pub to: Vec<PeerId>,
    /// What they get.
    pub event: Event,
}

/// What each peer gets of `deliveries`, in order; each event is encoded once.
pub fn frames(deliveries: Vec<Delivery>) -> BTreeMap<PeerId, VecDeque<Outgoing>> {
    let mut frames = BTreeMap::<PeerId, VecDeque<Outgoing>>::new();
    for Delivery { to, event } in deliveries {
        let frame = event.frame();
        for id in to {
            frames.entry(id).or_default().push_back(frame.clone());
        }
    }
    frames
}

/// Who is here, and the groups.
#[derive(Debug)]
pub struct Room {
    max_people: usize,
    /// What is said to one more.
    full: String,
    operator: Option<PeerId>,
    typing_every: Duration,
    closed: bool,
    next_id: u64,
    people: BTreeMap<PeerId, Member>,
    /// By [`Name::key`].
    groups: BTreeMap<String, Group>,
    /// Files that are on their way; `None` where none are passed on.
    transfers: Option<Transfers>,
    /// Not a person: gets a copy of each file.
    keeper: Option<PeerId>,
}

#[derive(Debug)]
struct Member {
    name: Name,
    status: Status,
    typed: Option<Instant>,
}

/// The members are never none, and the owner is one of them.
#[derive(Debug)]
struct Group {
    name: Name,
    owner: PeerId,
    members: BTreeSet<PeerId>,
}

/// What comes of a request: deliveries, or why it is refused.
type Outcome = Result<Vec<Delivery>, String>;

impl Room {
    /// An empty room for at most [`Limits::max_clients`], in which a person's typing is told at
    /// most once in [`Limits::typing_every`].
    pub fn new(limits: &Limits) -> Room {
        let (people, groups) = (BTreeMap::new(), BTreeMap::new());
        let (max_people, typing_every) = (limits.max_clients, limits.typing_every);
        let full = format!(
            "this server is full (--max-clients {max_people}); try again later, or have it started \
             with room for more"
        );
        Room {
            max_people,
            full,
            operator: None,
            typing_every,
            closed: false,
            next_id: 0,
            people,
            groups,
            transfers: None,
            keeper: None,
        }
    }

    /// A room in which people send each other files, too.
    pub fn with_files(limits: &Limits) -> Room {
        Room { transfers: Some(Transfers::new(limits)), ..Room::new(limits) }
    }

    /// The room's own keeper of files: asked of each, as a person would be, and no person.
    pub fn keeper(&mut self) -> PeerId {
        let id = self.new_id();
        self.keeper = Some(id);
        id
    }

    /// A room in which the operator of a server is already, for one more.
    pub fn with_operator(limits: &Limits) -> (Room, PeerId) {
        let mut room = Room::new(&Limits { max_clients: 2, ..limits.clone() });
        room.full =
            "this server talks with one client at a time and is taken; try again later".to_owned();
        let id = room.seat(Name::operator());
        room.operator = Some(id);
        (room, id)
    }

    /// From now on nobody comes in: the server stops, and has told those who are here.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Someone comes in with a hello; `proven` is their name if the connection proves it.
    ///
    /// # Errors
    /// If the first request is no hello of this version, or the name is not one, is reserved,
    /// taken, or not the proven one, or the room is full or closed.
    pub fn join(
        &mut self,
        hello: Request,
        proven: Option<Name>,
    ) -> Result<(PeerId, Name, Vec<Delivery>), Bye> {
        if self.closed {
            return Err(Bye::stopping());
        }
        let Request::Hello { chat5, name } = hello else {
            let right = r#"the first message has to be {"type":"hello","chat5":1,"name":…}"#;
            return Err(Bye::new(Reason::Protocol, right));
        };
        if chat5 != VERSION {
            let text = format!("this server speaks version {VERSION}, not {chat5}");
            return Err(Bye::new(Reason::Protocol, text));
        }
        let bad_name = |text: String| Bye::new(Reason::BadName, text);
        let name =
            name.parse::<Name>().map_err(|not| bad_name(format!("{}: {not}", quote(&name))))?;
        if let Some(proven) = proven
            && proven != name
        {
            return Err(bad_name(format!(
                "you logged in as {proven}, so {name} cannot be your name"
            )));
        }
        if name.is_reserved() {
            return Err(bad_name(format!("{name} is a reserved name, choose another")));
        }
        if let Some((_, taken)) = self.find(name.as_str()) {
            let text = format!("the name {} is taken, choose another", taken.name);
            return Err(Bye::new(Reason::NameTaken, text));
        }
        if self.people.len() >= self.max_people {
            return Err(Bye::new(Reason::Full, &self.full));
        }
        let id = self.seat(name.clone());
        let welcome = Event::Welcome { name: name.clone(), people: self.everyone() };
        let joined = self.to_all(Event::Joined { name: name.clone() });
        Ok((id, name, vec![only(id, welcome), joined]))
    }

    fn new_id(&mut self) -> PeerId {
        let id = PeerId(self.next_id);
        self.next_id += 1;
        id
    }

    fn seat(&mut self, name: Name) -> PeerId {
        let id = self.new_id();
        self.people.insert(id, Member { name, status: Status::Normal, typed: None });
        id
    }

    /// Someone leaves at the time `now`: the room, all groups, and all transfers of files.
    pub fn leave(&mut self, id: PeerId, now: Instant) -> Vec<Delivery> {
        let keys = self.groups.iter().filter(|(_, group)| group.members.contains(&id));
        let keys = keys.map(|(key, _)| key.clone()).collect::<Vec<_>>();
        let mut deliveries = Vec::new();
        for key in keys {
            deliveries.extend(self.leave_group(id, &key));
        }
        let Some(member) = self.people.remove(&id) else {
            return Vec::new();
        };
        if let Some(transfers) = &mut self.transfers {
            deliveries.extend(transfers.leave(id, &member.name, now));
        }
        for delivery in &mut deliveries {
            delivery.to.retain(|to| *to != id);
        }
        deliveries.push(self.to_all(Event::Left { name: member.name }));
        deliveries.retain(|delivery| !delivery.to.is_empty());
        deliveries
    }

    /// As [`Room::request`], for requests that came together.
    pub fn requests(
        &mut self,
        from: PeerId,
        requests: Vec<Result<Request, Unreadable>>,
        now: Instant,
    ) -> Vec<Delivery> {
        requests.into_iter().flat_map(|request| self.request(from, request, now)).collect()
    }

    /// Someone who is here asks for something at the time `now`, or for something unreadable; who
    /// has left is not heard.
    pub fn request(
        &mut self,
        from: PeerId,
        request: Result<Request, Unreadable>,
        now: Instant,
    ) -> Vec<Delivery> {
        if !self.people.contains_key(&from) && self.keeper != Some(from) {
            return Vec::new();
        }
        let outcome = request.map_err(|error| error.to_string());
        let outcome = outcome.and_then(|request| self.outcome(from, request, now));
        let mut deliveries =
            outcome.unwrap_or_else(|text| vec![only(from, Event::Refused { text })]);
        // What is said in an empty room.
        deliveries.retain(|delivery| !delivery.to.is_empty());
        deliveries
    }

    fn outcome(&mut self, from: PeerId, request: Request, now: Instant) -> Outcome {
        match request {
            Request::Hello { .. } => Err("you have said hello already".to_owned()),
            Request::Say { text } => self.say(from, text),
            Request::Private { to, text } => self.private(from, &to, text),
            Request::Secret { to, sealed } => self.secret(from, &to, sealed),
            Request::Names {} => Ok(vec![only(from, Event::Names { people: self.everyone() })]),
            Request::Status { status } => self.status(from, status),
            Request::GroupSet { group, members } => self.group_set(from, &group, &members),
            Request::GroupSend { group, text } => self.group_send(from, &group, text),
            Request::GroupLeave { group } => self.group_leave(from, &group),
            Request::GroupDelete { group } => self.group_delete(from, &group),
            Request::Typing {} => self.typing(from, now),
            Request::Offer { tag, to, name, size } => {
                let offered = self.offer(from, tag, to.as_deref(), (&name, size), now);
                let refused = |text| vec![only(from, Event::NotOffered { tag, text })];
                Ok(offered.unwrap_or_else(refused))
            }
            Request::Accept { id } => self.files()?.accept(from, id, now),
            Request::Refuse { id, text } => {
                check_text(&text)?;
                self.files()?.refuse(from, id, &text, now)
            }
            Request::Ack { id, offset } => self.files()?.ack(from, id, offset, now),
            Request::End { id, size, sha256 } => self.files()?.end(from, (id, size, sha256), now),
            Request::Received { id } => self.files()?.received(from, id, now),
            Request::Abort { id, text } => {
                check_text(&text)?;
                self.files()?.abort(from, id, &text, now)
            }
            Request::Chunk(chunk) => self.files()?.chunk(from, &chunk, now),
            Request::Order(_) => Err("that is for a client, not for a server".to_owned()),
            Request::Ping {} => Ok(vec![only(from, Event::Pong {})]),
            Request::Pong {} => Ok(Vec::new()),
        }
    }

    /// Time has passed for the files on their way. The clock itself is `late` by so much, which is
    /// held against nobody.
    pub fn tick(&mut self, now: Instant, late: Duration) -> Vec<Delivery> {
        let Some(transfers) = &mut self.transfers else { return Vec::new() };
        transfers.excuse_all(late);
        transfers.tick(now)
    }

    fn files(&mut self) -> Result<&mut Transfers, String> {
        self.transfers.as_mut().ok_or_else(|| NO_FILES.to_owned())
    }

    fn offer(
        &mut self,
        from: PeerId,
        tag: u32,
        to: Option<&str>,
        (name, size): (&str, u64),
        now: Instant,
    ) -> Outcome {
        let sender = self.member(from)?.name.clone();
        let name = name.parse::<FileName>().map_err(|not| not.to_string())?;
        let mut takers = match to {
            Some(to) => vec![self.recipient(from, to)?],
            None => self.others(from),
        };
        let to = to.and_then(|_| self.name(*takers.first()?)).cloned();
        takers.extend(self.keeper);
        let named = |id: PeerId| (id, self.name(id).cloned().unwrap_or_else(Name::operator));
        let takers = takers.into_iter().map(named).collect();
        self.files()?.offer(Offer { from: (from, sender), tag, to, takers, name, size }, now)
    }

    /// What someone present is called.
    fn name(&self, id: PeerId) -> Option<&Name> {
        self.people.get(&id).map(|member| &member.name)
    }

    fn say(&self, from: PeerId, text: String) -> Outcome {
        check_text(&text)?;
        let to = self.others(from);
        if to.is_empty() && self.operator == Some(from) {
            return Err("nobody is here yet, so nobody reads that".to_owned());
        }
        let from = self.member(from)?.name.clone();
        Ok(vec![Delivery { to, event: Event::Said { from, text } }])
    }

    fn private(&self, from: PeerId, to: &str, text: String) -> Outcome {
        check_text(&text)?;
        self.to_one(from, to, |from, to| Event::Private { from, to, text })
    }

    fn secret(&self, from: PeerId, to: &str, sealed: String) -> Outcome {
        check_sealed(&sealed)?;
        self.to_one(from, to, |from, to| Event::Secret { from, to, sealed })
    }

    /// To one person and as an echo to the sender.
    fn to_one(&self, from: PeerId, to: &str, event: impl FnOnce(Name, Name) -> Event) -> Outcome {
        let sender = self.member(from)?;
        let id = self.recipient(from, to)?;
        let recipient = self.member(id)?;
        let name = &recipient.name;
        let event = event(sender.name.clone(), name.clone());
        let mut deliveries = vec![Delivery { to: vec![from, id], event }];
        if recipient.status == Status::Away {
            let text = format!("{name} is away and may answer later");
            deliveries.push(only(from, Event::Notice { text }));
        }
        Ok(deliveries)
    }

    /// Somebody else, who wants to get something of their own.
    fn recipient(&self, from: PeerId, to: &str) -> Result<PeerId, String> {
        let (id, recipient) = self.present(to)?;
        if id == from {
            return Err("that is you, and not somebody else".to_owned());
        }
        match (recipient.status, &recipient.name) {
            (Status::Dnd, name) => Err(format!(
                "{name} is dnd (do not disturb) and gets nothing private; try again later"
            )),
            _ => Ok(id),
        }
    }

    fn status(&mut self, from: PeerId, status: Option<Status>) -> Outcome {
        let member = self.people.get_mut(&from).ok_or(NOT_HERE)?;
        let changed = status.is_some_and(|status| status != member.status);
        member.status = status.unwrap_or(member.status);
        let event = Event::Status { name: member.name.clone(), status: member.status };
        Ok(vec![if changed { self.to_all(event) } else { only(from, event) }])
    }

    fn typing(&mut self, from: PeerId, now: Instant) -> Outcome {
        let every = self.typing_every;
        let member = self.people.get_mut(&from).ok_or(NOT_HERE)?;
        if member.typed.is_some_and(|typed| now.saturating_duration_since(typed) < every) {
            return Ok(Vec::new());
        }
        member.typed = Some(now);
        let event = Event::Typing { name: member.name.clone() };
        Ok(vec![Delivery { to: self.others(from), event }])
    }

    fn group_set(&mut self, from: PeerId, group: &str, listed: &[String]) -> Outcome {
        let Ok(name) = group.parse::<Name>() else {
            return Err(format!(
                "{} is no name for a group: 1 to {MAX_LENGTH} letters, digits, _ or -",
                quote(group)
            ));
        };
        if let Some(taken) = self.groups.get(&name.key()) {
            return Err(format!("there is a group #{} already, choose another name", taken.name));
        }
        let owned = self.groups.values().filter(|group| group.owner == from).count();
        if owned >= GROUPS_EACH {
            return Err(format!("you own {owned} groups already: @group delete NAME ends one"));
        }
        if self.groups.len() >= GROUPS {
            return Err("there are too many groups on this server for another one".to_owned());
        }
        if listed.len() > self.people.len() {
            return Err("that lists more names than there are people; @names shows them".to_owned());
        }
        let mut members = BTreeSet::from([from]);
        for listed in listed {
            members.insert(self.present(listed)?.0);
        }
        let event = Event::GroupSet {
            group: name.clone(),
            owner: self.member(from)?.name.clone(),
            members: members.iter().filter_map(|id| self.name(*id)).cloned().collect(),
        };
        let to = members.iter().copied().collect();
        self.groups.insert(name.key(), Group { name, owner: from, members });
        Ok(vec![Delivery { to, event }])
    }

    fn group_send(&self, from: PeerId, group: &str, text: String) -> Outcome {
        check_text(&text)?;
        let group = self.groups.get(&self.own_group(from, group)?).ok_or(NOT_HERE)?;
        let event =
            Event::Group { from: self.member(from)?.name.clone(), group: group.name.clone(), text };
        Ok(vec![Delivery { to: group.members.iter().copied().collect(), event }])
    }

    fn group_leave(&mut self, from: PeerId, group: &str) -> Outcome {
        let key = self.own_group(from, group)?;
        Ok(self.leave_group(from, &key))
    }

    fn group_delete(&mut self, from: PeerId, group: &str) -> Outcome {
        let key = self.own_group(from, group)?;
        let owner = self.groups.get(&key).ok_or(NOT_HERE)?.owner;
        if owner != from {
            let owner = &self.member(owner)?.name;
            return Err(format!(
                "only {owner}, who owns it, can delete that group; @group leave takes you out"
            ));
        }
        let by = self.member(from)?.name.clone();
        let Group { name, members, .. } = self.groups.remove(&key).ok_or(NOT_HERE)?;
        let event = Event::GroupDeleted { group: name, by };
        Ok(vec![Delivery { to: members.into_iter().collect(), event }])
    }

    /// Takes a member out of a group; a group without members disappears, and a group whose owner
    /// is gone belongs to who has been here longest.
    fn leave_group(&mut self, id: PeerId, key: &str) -> Vec<Delivery> {
        let Some(name) = self.name(id).cloned() else {
            return Vec::new();
        };
        let Some(group) = self.groups.get_mut(key) else {
            return Vec::new();
        };
        let to = group.members.iter().copied().collect();
        group.members.remove(&id);
        let event = Event::GroupLeft { group: group.name.clone(), name };
        let mut deliveries = vec![Delivery { to, event }];
        let Some(heir) = group.members.first().copied() else {
            self.groups.remove(key);
            return deliveries;
        };
        if group.owner == id {
            group.owner = heir;
            let (group, to) = (group.name.clone(), group.members.iter().copied().collect());
            let owner = self.name(heir).cloned();
            let event = owner.map(|owner| Event::GroupOwner { group, owner });
            deliveries.extend(event.map(|event| Delivery { to, event }));
        }
        deliveries
    }

    /// The key of a group of which `id` is a member. That a group exists is not told to others.
    fn own_group(&self, id: PeerId, group: &str) -> Result<String, String> {
        let key = group.to_ascii_lowercase();
        match self.groups.get(&key) {
            Some(found) if found.members.contains(&id) => Ok(key),
            _ => Err(format!(
                "you are in no group #{}; @group set NAME user1,user2 makes one",
                quote(group)
            )),
        }
    }

    fn find(&self, name: &str) -> Option<(PeerId, &Member)> {
        let same = |member: &Member| member.name.as_str().eq_ignore_ascii_case(name);
        self.people.iter().find(|(_, member)| same(member)).map(|(id, member)| (*id, member))
    }

    fn present(&self, name: &str) -> Result<(PeerId, &Member), String> {
        self.find(name).ok_or_else(|| {
            format!("nobody here is called {}; @names shows who is here", quote(name))
        })
    }

    fn member(&self, id: PeerId) -> Result<&Member, String> {
        self.people.get(&id).ok_or_else(|| NOT_HERE.to_owned())
    }

    fn everyone(&self) -> Vec<Person> {
        let person = |member: &Member| Person { name: member.name.clone(), status: member.status };
        self.people.values().map(person).collect()
    }

    fn others(&self, id: PeerId) -> Vec<PeerId> {
        self.people.keys().copied().filter(|other| *other != id).collect()
    }

    fn to_all(&self, event: Event) -> Delivery {
        Delivery { to: self.people.keys().copied().collect(), event }
    }
}

/// To who asks for something about files where there are none.
const NO_FILES: &str = "this server passes on no files";

/// Stands where a peer or group is looked up that [`Room::request`] has found already.
const NOT_HERE: &str = "you are not here any more";

fn only(id: PeerId, event: Event) -> Delivery {
    Delivery { to: vec![id], event }
}

fn check_text(text: &str) -> Result<(), String> {
    match text.len() {
        0 => Err("there is no text".to_owned()),
        length if length > MAX_TEXT => {
            Err(format!("the text has {length} bytes, at most {MAX_TEXT} are allowed"))
        }
        _ => Ok(()),
    }
}

/// The server cannot open it, but it can see whether it could be one.
fn check_sealed(sealed: &str) -> Result<(), String> {
    let bytes = sealed.len() / 2;
    if !sealed.len().is_multiple_of(2) || !sealed.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err("what is sealed has to be hexadecimal, two digits a byte".to_owned());
    }
    match bytes.checked_sub(SEAL) {
        None | Some(0) => Err(format!("a secret of {bytes} bytes: its text needs {SEAL} more")),
        Some(text) if text > MAX_TEXT => {
            Err(format!("the secret's text has {text} bytes, at most {MAX_TEXT} are allowed"))
        }
        Some(_) => Ok(()),
    }
}

/// What a peer wrote where a name belongs, safe and short enough to be sent back.
fn quote(name: &str) -> String {
    if name.is_empty() {
        return "\"\"".to_owned();
    }
    escape::bytes(name.as_bytes(), 2 * MAX_LENGTH)
}
