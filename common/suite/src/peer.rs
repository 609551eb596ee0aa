//! A client made of a stage's own connection, which may send anything at all.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use common::frame::CHUNK;
use common::frame::MESSAGE;
use common::frame::Outgoing;
use common::limits::Limits;
use common::outbox::Outbox;
use common::outbox::Refused;
use common::stream::Stream;
use serde_json::Value;
use serde_json::json;

use crate::Halves;
use crate::PATIENCE;
use crate::Receive;
use crate::Stage;

/// What came in one frame.
#[derive(Debug, PartialEq)]
pub enum Got {
    /// A message.
    Message(Value),
    /// A part of a file.
    Chunk {
        /// Of which file.
        id: u32,
        /// Where in it.
        offset: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
}

/// A connection to a server, seen from inside: what is sent and received is kind and body.
pub struct Peer {
    /// The socket below, to be closed or reset.
    pub stream: Stream,
    outbox: Arc<Outbox>,
    receive: Box<Receive>,
}

impl Peer {
    /// Connects and says nothing yet.
    pub fn connect<S: Stage>(address: SocketAddr) -> Peer {
        let stream = Stream::connect(&[address], None).expect("the server listens");
        Peer::over::<S>(stream)
    }

    /// Makes a stage's connection over a stream that is open already.
    pub fn over<S: Stage>(stream: Stream) -> Peer {
        stream.set_deadline(PATIENCE);
        let halves = S::connect(stream.clone()).expect("a connection");
        Peer::new(stream, halves)
    }

    /// The server's side of a client's connection.
    pub fn serving<S: Stage>(stream: Stream) -> Peer {
        stream.set_deadline(PATIENCE);
        let halves = S::accept(stream.clone()).expect("a connection");
        Peer::new(stream, halves)
    }

    fn new(stream: Stream, halves: Halves) -> Peer {
        let Halves { send, receive } = halves;
        let outbox = Arc::new(Outbox::new(&Limits::for_client()));
        let (queue, socket) = (Arc::clone(&outbox), stream.clone());
        thread::spawn(move || {
            send(&queue);
            queue.finish();
            socket.finish();
        });
        Peer { stream, outbox, receive }
    }

    /// Connects, says hello, and returns when it is in the room.
    pub fn join<S: Stage>(address: SocketAddr, name: &str) -> Peer {
        let mut peer = Peer::connect::<S>(address);
        peer.hello(name);
        peer.expect_welcome(name);
        peer
    }

    /// Says hello.
    pub fn hello(&mut self, name: &str) {
        self.send(&json!({"type": "hello", "chat5": 1, "name": name}));
    }

    /// Takes the welcome and the notice of the own coming.
    pub fn expect_welcome(&mut self, name: &str) {
        let welcome = self.event();
        assert_eq!(welcome["type"], "welcome", "{welcome}");
        assert_eq!(welcome["name"], name);
        self.expect(&json!({"type": "joined", "name": name}));
    }

    /// Sends a message.
    pub fn send(&mut self, message: &Value) {
        self.send_frame(MESSAGE, message.to_string().as_bytes());
    }

    /// Sends a frame of any kind and body.
    pub fn send_frame(&mut self, kind: u8, body: &[u8]) {
        let frame = Outgoing::from([&[kind], body].concat());
        self.outbox.push(frame.into());
    }

    /// Sends a part of a file, right or wrong.
    pub fn send_chunk(&mut self, id: u32, offset: u64, bytes: &[u8]) {
        let body = [&id.to_be_bytes()[..], &offset.to_be_bytes(), bytes].concat();
        self.send_frame(CHUNK, &body);
    }

    /// Whether nothing more can be sent.
    pub fn is_closed(&self) -> bool {
        self.outbox.try_push(&mut VecDeque::new()) == Err(Refused::Closed)
    }

    /// Ends the own side after what was sent.
    pub fn finish(&mut self) {
        self.outbox.finish();
    }

    /// The next message; fails at the end of the connection.
    pub fn event(&mut self) -> Value {
        self.next_event().expect("another message was due, and the connection ended")
    }

    /// The next message, or `None` where the connection ended, be it cleanly or not.
    #[track_caller]
    pub fn next_event(&mut self) -> Option<Value> {
        match self.got()? {
            Got::Message(message) => Some(message),
            Got::Chunk { id, offset, .. } => panic!("a chunk of file {id} for offset {offset}"),
        }
    }

    /// What comes next, or `None` where the connection ended, be it cleanly or not.
    #[track_caller]
    pub fn got(&mut self) -> Option<Got> {
        self.stream.set_deadline(PATIENCE);
        match (self.receive)() {
            Ok(Some((MESSAGE, body))) => {
                Some(Got::Message(serde_json::from_slice(&body).expect("JSON")))
            }
            Ok(Some((CHUNK, body))) => {
                let (id, rest) = body.split_first_chunk().expect("an id");
                let (offset, bytes) = rest.split_first_chunk().expect("an offset");
                let (id, offset) = (u32::from_be_bytes(*id), u64::from_be_bytes(*offset));
                Some(Got::Chunk { id, offset, bytes: bytes.to_vec() })
            }
            Ok(Some((kind, _))) => panic!("a frame of kind {kind:02x}"),
            Ok(None) => None,
            Err(common::frame::Error::Silent) => panic!("nothing came within {PATIENCE:?}"),
            Err(_) => None,
        }
    }

    /// The next part of a file, before which no message may come: where it belongs, and the bytes.
    #[track_caller]
    pub fn chunk(&mut self) -> (u32, u64, Vec<u8>) {
        match self.got() {
            Some(Got::Chunk { id, offset, bytes }) => (id, offset, bytes),
            other => panic!("a chunk was due: {other:?}"),
        }
    }

    /// The next message has to be this one.
    #[track_caller]
    pub fn expect(&mut self, message: &Value) {
        assert_eq!(self.event(), *message);
    }

    /// The next message has to be a refusal that contains `words`; all that it says.
    #[track_caller]
    pub fn expect_refusal(&mut self, words: &str) -> String {
        let event = self.event();
        assert_eq!(event["type"], "refused", "{event}");
        let text = event["text"].as_str().unwrap();
        assert!(text.contains(words), "{event} does not say: {words}");
        text.to_owned()
    }

    /// The next message has to be a bye of this reason, and then the connection has to end; what
    /// the bye says.
    #[track_caller]
    pub fn expect_bye(&mut self, reason: &str) -> String {
        let event = self.event();
        assert_eq!((&event["type"], &event["reason"]), (&json!("bye"), &json!(reason)), "{event}");
        assert_eq!(self.next_event(), None);
        event["text"].as_str().unwrap().to_owned()
    }

    /// Passes over messages until one of this type comes.
    #[track_caller]
    pub fn wait_for(&mut self, kind: &str) -> Value {
        loop {
            let event = self.event();
            if event["type"] == kind {
                return event;
            }
        }
    }

    /// Returns when the server has handled everything that was sent: what it answers to a ping
    /// has to be the next message, so nothing else came before it.
    #[track_caller]
    pub fn expect_nothing_more(&mut self) {
        self.send(&json!({"type": "ping"}));
        self.expect(&json!({"type": "pong"}));
    }
}

impl Drop for Peer {
    /// Leaves, after what was sent: its writing thread would keep the connection open for ever.
    fn drop(&mut self) {
        self.outbox.finish();
    }
}
