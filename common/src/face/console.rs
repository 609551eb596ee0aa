//! The console of a server whose operator takes part: what a client has, without a connection.

use std::sync::Arc;
use std::thread;

use super::Face;
use super::Input;
use super::Pair;
use crate::command::Action;
use crate::frame::Frame;
use crate::limits::Limits;
use crate::message;
use crate::message::Event;
use crate::message::Person;
use crate::message::Request;
use crate::message::Status;
use crate::name::Name;
use crate::outbox::Outbox;
use crate::stream::Stop;

/// The operator's own queue and keyboard.
pub struct Console {
    /// What is queued here, the operator sees.
    pub outbox: Arc<Outbox>,
    face: Arc<dyn Face>,
    input: Box<dyn Input>,
}

impl Console {
    /// Shows on a face what will be queued, in a thread: where its terminal takes nothing, those who
    /// talk to the operator wait once the queue is full, and nobody else. The log has its own queue.
    pub fn new(Pair { output: face, input, .. }: Pair) -> Console {
        // As patient as a client is with its server.
        let outbox = Arc::new(Outbox::new(&Limits::for_client()));
        let console = Console { outbox: Arc::clone(&outbox), face: Arc::clone(&face), input };
        spawn("face", move || {
            let mut batch = Vec::new();
            while outbox.next(&mut batch) {
                for frame in &batch {
                    show(&*face, frame.payload());
                }
            }
        });
        console
    }

    /// Reads what is typed, in a thread, and hands on what is asked for; when the operator leaves,
    /// the server stops.
    pub fn listen(self, stop: Stop, mut ask: impl FnMut(Request) + Send + 'static) {
        let Console { outbox, face, mut input } = self;
        // With it comes the prompt: what is to be read before it has been said.
        let me = Person { name: Name::operator(), status: Status::Normal };
        let welcome = Event::Welcome { name: me.name.clone(), people: vec![me] };
        outbox.push(message::encode(&welcome).into());
        spawn("input", move || {
            while let Some(action) = input.next() {
                match action {
                    Action::Send(request) => ask(request),
                    // An error would be that of a face that nobody sees.
                    Action::Show(events) => drop(face.show_all(&events)),
                    Action::Quit => break,
                }
            }
            stop.stop();
        });
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) {
    if let Err(error) = thread::Builder::new().name(name.to_owned()).spawn(body) {
        log::error!("the console does not work, there is no thread for it: {error}");
    }
}

fn show(face: &dyn Face, payload: &[u8]) {
    let event = payload.split_first().map(|(&kind, body)| message::decode(Frame { kind, body }));
    // They are the server's own, and an error is that of a face that nobody sees.
    if let Some(Ok(event)) = event {
        let _ = face.show(&event);
    }
}
