//! The client: two loops between a person and a connection.
//!
//! One thread reads what is typed and queues it, the writing thread sends what is queued, and
//! this one shows what comes. So a ping is answered while the user's own message waits.

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use common::command;
use common::face;
use common::limits::Limits;
use common::message;
use common::name::Name;
use common::outbox;
use common::stream::Stream;
use common::sync;
use common::writer::Writer;

use crate::connection;
use crate::transfer::Transfers;

/// What a client's threads share.
#[derive(Clone)]
struct Client {
    limits: Limits,
    outbox: sync::Arc<outbox::Outbox>,
    face: sync::Arc<dyn face::Face>,
    transfers: Transfers,
}

/// Chats as `name` until the person leaves; an error is why it ended otherwise.
pub fn run(
    stream: &Stream,
    settings: &connection::Settings,
    name: &Name,
    face: face::Pair,
) -> Result<()> {
    let limits = Limits::for_client();
    stream.set_deadline(limits.hello_within);
    let (mut sender, receiver, _) = connection::connect(stream, settings)?;
    let writer = Writer::spawn(stream, &limits, move |outbox| sender.send_queued(outbox))?;
    writer.outbox.push(message::hello(name).into());
    let outbox = sync::Arc::clone(&writer.outbox);
    let say = move |requests| outbox.push(message::frames(requests));
    let transfers = Transfers::new(&limits, &face.files, sync::Arc::clone(&face.output), say);
    let outbox = sync::Arc::clone(&writer.outbox);
    let client = Client { limits, outbox, face: face.output, transfers };
    let listener = client.clone();
    sync::spawn("input", client.limits.stack, move || listener.listen(face.input))?;

    let left = client.receive(receiver);
    // No thread of a file waits any more for the other side to take something.
    client.outbox.finish();
    client.transfers.close();
    // What was sent last is sent, and in a capture, when this has ended.
    writer.leave(left)
}

impl Client {
    /// From the face to the connection, until the person leaves.
    fn listen(&self, mut input: Box<dyn face::Input>) {
        while let Some(action) = input.next() {
            match action {
                command::Action::Send(message::Request::Order(order)) => {
                    self.transfers.order(order);
                }
                command::Action::Send(request) => {
                    self.outbox.push(message::encode(&request).into());
                }
                // An error would be that of a face that nobody sees.
                command::Action::Show(events) => drop(self.face.show_all(&events)),
                command::Action::Quit => {
                    self.transfers.leave();
                    return self.outbox.finish();
                }
            }
        }
        // A script's own files are sent before it leaves.
        self.transfers.finish();
        self.outbox.finish();
    }

    /// From the connection to the face; an error unless the person has left.
    fn receive(&self, mut receiver: connection::Receiver) -> Result<()> {
        let (mut welcomed, mut patience) = (false, message::Patience::new(&self.limits));
        while let Some(frame) = receiver.receive().context("the server is lost")? {
            match message::Event::read(frame) {
                Ok(event @ message::Event::Welcome { .. }) => {
                    welcomed = true;
                    self.face.show(&event)?;
                    receiver.frames.set_heartbeat(&self.limits, &self.outbox, message::ping())?;
                }
                Ok(message::Event::Ping {}) => self.outbox.answer(message::pong()),
                Ok(message::Event::Bye(bye)) => return Err(bye.into()),
                Ok(event) if event.is_about_a_file() => self.transfers.hear(event),
                Ok(event) => self.face.show(&event)?,
                Err(_) => {
                    self.face.unreadable(frame.body)?;
                    patience.lose()?;
                }
            }
        }
        ensure!(welcomed && self.outbox.is_done(), "the server is gone");
        Ok(())
    }
}
