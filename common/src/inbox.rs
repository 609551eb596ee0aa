//! The requests of one client that came together, on their way to the room.
//!
//! What one read of the socket brought is handled under one lock and delivered with one wake-up
//! for each recipient; that, not the work of a single message, decides how fast a relay is.

use std::mem;

use crate::frame;
use crate::frame::Frame;
use crate::limits::Limits;
use crate::message;
use crate::message::Bye;
use crate::message::Patience;
use crate::message::Request;
use crate::message::Unreadable;

/// Most requests that are handled under one lock: the others want it too.
const TOGETHER: usize = 256;

/// Collects what a client's reading thread receives.
#[derive(Debug)]
pub struct Inbox {
    /// Whose requests these are, for the log.
    label: String,
    requests: Vec<Result<Request, Unreadable>>,
    patience: Patience,
    /// Parts of files are welcome.
    files: bool,
    /// One of them has an answer that is much longer than itself.
    heavy: bool,
    open: bool,
    end: Result<(), Bye>,
}

impl Inbox {
    /// For the client that the log calls `label`.
    pub fn new(label: &str, limits: &Limits) -> Inbox {
        let (label, patience) = (label.to_owned(), Patience::new(limits));
        let requests = Vec::new();
        Inbox { label, requests, patience, files: false, heavy: false, open: true, end: Ok(()) }
    }

    /// Takes parts of files, too.
    #[must_use]
    pub fn with_files(self) -> Inbox {
        Inbox { files: true, ..self }
    }

    /// Takes what was received. An end, an error and one unreadable message too many close it,
    /// after the requests that came before.
    pub fn take(&mut self, received: Result<Option<Frame<'_>>, frame::Error>) {
        let request = match received {
            Ok(Some(frame)) if self.files => Request::read(frame),
            Ok(Some(frame)) => message::decode(frame),
            Ok(None) => return self.close(Ok(())),
            Err(error) => return self.close(Err(error.into())),
        };
        if let Err(error) = &request {
            log::warn!("{}: {error}", self.label);
            if let Err(enough) = self.patience.lose() {
                self.close(Err(enough));
            }
        }
        self.heavy |= matches!(request, Ok(Request::Names {} | Request::GroupSet { .. }));
        self.requests.push(request);
    }

    fn close(&mut self, end: Result<(), Bye>) {
        self.open = false;
        self.end = end;
    }

    /// Whether there may be more to take.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Whether the requests have to be handled now, although `more` may be at hand.
    pub fn is_full(&self, more: bool) -> bool {
        !more || !self.open || self.heavy || self.requests.len() >= TOGETHER
    }

    /// Takes the requests out, in the order in which they came.
    pub fn requests(&mut self) -> Vec<Result<Request, Unreadable>> {
        self.heavy = false;
        mem::take(&mut self.requests)
    }

    /// How it ended: cleanly, or with the reason that the client is told.
    ///
    /// # Errors
    /// That reason.
    pub fn end(self) -> Result<(), Bye> {
        self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Reader;
    use crate::frame::Writer;
    use crate::heartbeat::Lost;
    use crate::message::Reason;
    use crate::outbox::Stalled;

    fn inbox() -> Inbox {
        Inbox::new("alice", &Limits::default())
    }

    fn say(text: impl ToString) -> Request {
        Request::Say { text: text.to_string() }
    }

    fn take_say(inbox: &mut Inbox, text: impl ToString) {
        let outgoing = message::encode(&say(text));
        let (kind, body) = outgoing.payload().split_first().unwrap();
        inbox.take(Ok(Some(Frame { kind: *kind, body })));
    }

    fn take_unreadable(inbox: &mut Inbox) {
        inbox.take(Ok(Some(Frame { kind: frame::MESSAGE, body: b"\xff" })));
    }

    #[test]
    fn requests_before_a_bad_frame_are_kept() {
        let mut writer = Writer::new(Vec::new(), "alice");
        for text in ["one", "two"] {
            writer.push(message::encode(&say(text)).payload()).unwrap();
        }
        writer.write().unwrap();
        let bytes = [writer.stream().as_slice(), &[0xff; 4]].concat();

        // As a reading thread does, although all of it came together.
        let (mut reader, mut inbox) = (Reader::new(bytes.as_slice(), "alice"), inbox());
        let mut requests = Vec::new();
        while inbox.is_open() {
            inbox.take(reader.read());
            if inbox.is_full(reader.is_ready()) {
                requests.extend(inbox.requests());
            }
        }
        assert_eq!(requests, [Ok(say("one")), Ok(say("two"))]);
        let bye = inbox.end().unwrap_err();
        assert_eq!(bye.reason, Reason::Protocol);
        assert!(bye.text.contains("4294967295"), "{bye}");
    }

    #[test]
    fn an_end_comes_after_what_was_before_it() {
        let (silent, stalled) = (Lost::Silent, Lost::Stalled(Stalled));
        for (received, reason) in [
            (Ok(None), None),
            (Err(frame::Error::Truncated), Some(Reason::Protocol)),
            (Err(frame::Error::Empty), Some(Reason::Protocol)),
            (Err(frame::Error::Silent), Some(Reason::Silent)),
            (Err(silent.into()), Some(Reason::Silent)),
            (Err(stalled.into()), Some(Reason::Slow)),
        ] {
            let mut inbox = inbox();
            take_say(&mut inbox, "last");
            assert!(inbox.is_open());
            inbox.take(received);
            assert!(!inbox.is_open());
            assert!(inbox.is_full(true), "nothing is waited for after an end");
            assert_eq!(inbox.requests(), [Ok(say("last"))]);
            assert_eq!(inbox.end().err().map(|bye| bye.reason), reason);
        }
    }

    #[test]
    fn the_sixteenth_unreadable_message_ends_it_and_is_itself_taken() {
        let mut inbox = inbox();
        for _ in 0..15 {
            take_unreadable(&mut inbox);
            assert!(!inbox.is_full(true));
            assert!(inbox.is_open());
            // What can be read, or has been handled, is no excuse.
            take_say(&mut inbox, "hi");
            assert_eq!(inbox.requests(), [Err(Unreadable::NotText), Ok(say("hi"))]);
        }
        take_unreadable(&mut inbox);
        assert!(inbox.is_full(true));
        assert_eq!(inbox.requests(), [Err(Unreadable::NotText)]);
        assert!(!inbox.is_open());
        assert_eq!(inbox.end(), Err(Bye::unreadable()));
    }

    #[test]
    fn at_most_256_are_handled_together_and_fewer_when_no_more_is_at_hand() {
        let mut inbox = inbox();
        for round in 0..2 {
            for number in 1..=256 {
                take_say(&mut inbox, number);
                assert_eq!(inbox.is_full(true), number == 256, "{number} in round {round}");
                assert!(inbox.is_full(false));
            }
            let expected = (1..=256).map(|number| Ok(say(number))).collect::<Vec<_>>();
            assert_eq!(inbox.requests(), expected);
            assert_eq!(inbox.requests(), []);
        }
        assert!(inbox.is_open());
    }

    #[test]
    fn a_request_with_a_long_answer_is_handled_before_the_next() {
        let mut inbox = inbox();
        for request in
            [Request::Names {}, Request::GroupSet { group: "team".to_owned(), members: Vec::new() }]
        {
            let outgoing = message::encode(&request);
            let (kind, body) = outgoing.payload().split_first().unwrap();
            inbox.take(Ok(Some(Frame { kind: *kind, body })));
            assert!(inbox.is_full(true));
            assert_eq!(inbox.requests(), [Ok(request)]);
            take_say(&mut inbox, "hi");
            assert!(!inbox.is_full(true));
            inbox.requests();
        }
    }
}
