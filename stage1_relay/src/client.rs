//! The client: two loops between a person and a connection.
//!
//! One thread reads what is typed and queues it; the writing thread sends what is queued; this
//! thread shows what comes. So a ping is answered while the user's own message waits.

use std::sync::Arc;

use anyhow::Context;
use anyhow::Result;
use common::command;
use common::command::Action;
use common::command::Command;
use common::escape;
use common::face::Face;
use common::face::Input;
use common::frame;
use common::heartbeat::Heartbeat;
use common::limits::Limits;
use common::message;
use common::message::Event;
use common::message::Request;
use common::name::Name;
use common::outbox::Lane;
use common::outbox::Outbox;
use common::stream::Stream;
use common::sync::spawn;

use crate::connection;
use crate::connection::Receiver;
use crate::connection::Settings;

/// Most bytes that are shown of a message that cannot be read.
const SHOWN: usize = 512;

/// How a chat ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By the person.
    Left,
    /// By the server or the network; the face has shown why.
    Lost,
}

/// Chats as `name` until the person or the server ends it.
pub fn run(
    stream: &Stream,
    settings: &Settings,
    commands: &'static [Command],
    name: &Name,
    face: &Arc<dyn Face>,
    input: Box<dyn Input>,
) -> Result<Ended> {
    let limits = Limits::for_client();
    stream.set_deadline(limits.hello_within);
    let (mut sender, mut receiver, _) = connection::connect(stream.clone(), settings)?;
    let outbox = Arc::new(Outbox::new(&limits));
    let hello = Request::Hello { chat5: message::VERSION, name: name.to_string() };
    outbox.push(Lane::Message, [message::encode(&hello)].into())?;

    let (queue, socket) = (Arc::clone(&outbox), stream.clone());
    let writer = spawn("writer", limits.stack, move || {
        // Where sending fails, receiving does too, and that is what is reported.
        let _ = sender.send_queued(&queue);
        queue.finish();
        socket.finish();
    })
    .context("no thread for sending")?;
    let (queue, shown) = (Arc::clone(&outbox), Arc::clone(face));
    spawn("input", limits.stack, move || listen(input, commands, &queue, shown.as_ref()))
        .context("no thread for the input")?;

    let ended = receive(&mut receiver, &outbox, face.as_ref(), &limits);
    outbox.finish();
    stream.close();
    let _ = writer.join();
    ended
}

/// From the face to the connection.
fn listen(mut input: Box<dyn Input>, commands: &[Command], outbox: &Outbox, face: &dyn Face) {
    while let Some(line) = input.line() {
        let action = match line.map(|line| command::parse(&line, commands)) {
            Ok(None) => continue,
            Ok(Some(action)) => action,
            Err(unreadable) => Err(unreadable),
        };
        let shown = match action {
            Ok(Action::Send(request)) => {
                let _ = outbox.push(Lane::Message, [message::encode(&request)].into());
                Ok(())
            }
            Ok(Action::Help(topic)) => {
                let mut lines = command::help(&topic, commands).into_iter();
                lines.try_for_each(|line| face.notice(line))
            }
            Ok(Action::Quit) => break,
            Err(wrong) => face.error(wrong),
        };
        if shown.is_err() {
            break;
        }
    }
    outbox.finish();
}

/// From the connection to the face.
fn receive(
    receiver: &mut Receiver,
    outbox: &Outbox,
    face: &dyn Face,
    limits: &Limits,
) -> Result<Ended> {
    let mut heartbeat = Heartbeat::new(limits);
    let ping = message::encode(&Request::Ping {});
    let pong = message::encode(&Request::Pong {});
    let mut unreadable = 0;
    let lost = loop {
        let frame = match receiver.receive() {
            Ok(Some(frame)) => frame,
            Ok(None) if outbox.is_closing() => return Ok(Ended::Left),
            Ok(None) => break "the server is gone".to_owned(),
            Err(frame::Error::Silent) => match heartbeat.silent(outbox, &ping) {
                Ok(()) => continue,
                Err(lost) => break format!("the server is lost: {lost}"),
            },
            Err(error) => break format!("the server is lost: {error}"),
        };
        heartbeat.heard();
        match message::decode(frame) {
            Ok(Event::Welcome { .. }) => receiver.set_patience(limits.ping_after)?,
            // Where there is no room for an answer, what fills it is a sign of life too.
            Ok(Event::Ping {}) => drop(outbox.try_push(Lane::Message, &mut [pong.clone()].into())),
            Ok(Event::Bye(bye)) => break bye.text,
            Ok(event) => face.show(&event)?,
            Err(_) => {
                let seen = escape::bytes(frame.body, SHOWN);
                face.error(format!("unreadable message: {seen}"))?;
                unreadable += 1;
                if unreadable >= limits.unreadable {
                    break format!("{unreadable} messages could not be read, that is enough");
                }
            }
        }
    };
    face.error(lost)?;
    Ok(Ended::Lost)
}
