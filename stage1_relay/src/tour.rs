//! The guided tour: a real server and three real clients in this process, on a free port.

use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::process::ExitCode;
use std::thread;

use anyhow::Result;
use common::frame;
use common::message;
use common::message::Request;
use common::stream::Stream;
use common::tour;
use common::tour::Actor;
use common::tour::Guide;
use common::tour::Pieces;

use crate::client;
use crate::commands;
use crate::connection::Settings;
use crate::server;

/// What is said in private and in a group; whoever sees the wire reads both.
const PRIVATE: &str = "keep it secret";
const GROUP: &str = "just us";

/// Shows the stage; with `step` it waits for Enter before each step.
pub fn run(step: bool) -> Result<ExitCode> {
    let mut guide = Guide::new(env!("CARGO_PKG_NAME"), step)?;
    let tour = script(&mut guide);
    guide.end(tour)
}

fn script(guide: &mut Guide) -> Result<()> {
    guide.title("Stage 1 of 5, a relay in plaintext: the guided tour")?;
    guide.say(
        "A server and three clients, alice, bob and carol, run in this one process: the real \
         ones, over real TCP sockets of this machine. Every packet named below is in a capture \
         that you can open in Wireshark at the end.",
    )?;

    guide.step("A server listens, and three people join")?;
    let listener = guide.listen()?;
    let (address, stop) = (listener.address(), listener.stop());
    let server =
        thread::spawn(move || server::run(&listener, &Settings::default(), &tour::limits()));
    guide.say(&format!("The server listens on {address}. alice's client connects and says:"))?;
    let alice = join(guide, "alice", address)?;
    guide.wire("alice", "server", "hello")?;
    guide.say(
        "That is a frame: 4 bytes of length, 1 byte for the kind of what follows, and here a \
         message in JSON.",
    )?;
    guide.sees(&alice)?;
    let bob = join(guide, "bob", address)?;
    guide.sees(&bob)?;
    guide.sees(&alice)?;
    let carol = join(guide, "carol", address)?;
    guide.sees(&carol)?;
    guide.sees(&bob)?;
    guide.sees(&alice)?;

    guide.step("alice says something to the room")?;
    guide.types(&alice, "who comes to the lab?")?;
    guide.wire("alice", "server", "comes")?;
    guide.say("The server passes it on to each of the others, and adds who said it:")?;
    guide.wire("server", "bob", "comes")?;
    guide.sees(&bob)?;
    guide.sees(&carol)?;

    guide.step("bob writes to alice alone")?;
    guide.types(&bob, &format!("@alice {PRIVATE}"))?;
    guide.wire("bob", "server", PRIVATE)?;
    guide.sees(&bob)?;
    guide.sees(&alice)?;
    guide.types(&carol, "@names")?;
    guide.sees(&carol)?;
    guide.say(
        "The answer to her question is the next thing that carol sees: the private message never \
         came to her. That is the server's promise, not the wire's.",
    )?;

    guide.step("alice makes a group with carol, and writes to it")?;
    guide.types(&alice, "@group set team carol")?;
    guide.sees(&alice)?;
    guide.sees(&carol)?;
    guide.types(&alice, &format!("@group send team {GROUP}"))?;
    guide.wire("server", "carol", GROUP)?;
    guide.sees(&carol)?;
    guide.sees(&alice)?;

    guide.step("carol comes back with a bare socket")?;
    guide.types(&carol, "@quit")?;
    // Out of the group, and out of the room.
    guide.sees(&alice)?;
    guide.sees(&alice)?;
    guide.sees(&bob)?;
    guide.say(
        "No client this time: this tour holds a TCP socket in her place and puts the bytes into \
         it by hand. Her hello, written with one write():",
    )?;
    let mut socket = TcpStream::connect(address)?;
    // Each write() goes out at once, as it does in the clients.
    socket.set_nodelay(true)?;
    guide.meets("carol")?;
    socket.write_all(&tour::framed(&message::hello(&"carol".parse()?))?)?;
    guide.wire("carol", "server", "hello")?;
    guide.sees(&alice)?;
    guide.sees(&bob)?;
    guide.say("To the server she is a client like any other.")?;
    let mut frames = frame::Reader::new(&socket, "server");
    // The welcome, and that she joined; nothing else is on its way to her.
    for _ in 0..2 {
        frames.read()?;
    }

    guide.step("Three write()s, one read(): TCP joins")?;
    guide.say("Nobody reads carol's socket for a while. Meanwhile alice goes on:")?;
    let mut packets = Vec::new();
    for text in ["one", "two", "three"] {
        guide.types(&alice, text)?;
        // The next one only when the server has written this one.
        packets.extend(guide.crosses("server", "carol", text)?);
        guide.skips(&bob)?;
    }
    let bytes = tour::one_read(&socket, packets.len())?;
    guide.say(&format!(
        "The server wrote to carol {} times: {}. Her one read() now returns {} bytes, {} frames:",
        packets.len(),
        tour::numbers(&packets),
        bytes.len(),
        tour::count(&bytes),
    ))?;
    guide.frames(&bytes)?;
    guide.say("TCP keeps the order of bytes, and nothing of how they were written.")?;

    guide.step("Two messages in three write()s: TCP splits")?;
    guide.say("carol answers, cut where nothing ends. The server's read()s return:")?;
    let [first, second] = ["no lab today", "sorry"].map(|text| Request::Say { text: text.into() });
    let [first, second] = [first, second].map(|request| tour::framed(&message::encode(&request)));
    let stream = [first?, second?].concat();
    let (start, rest) = stream.split_at(2);
    let (middle, rest) = rest.split_at(21);
    let mut pieces = Pieces::default();
    for piece in [start, middle, rest] {
        socket.write_all(piece)?;
        // The next one only when the server has read this one.
        let mut left = piece.len();
        while left > 0 {
            left = left.saturating_sub(guide.piece("carol", &mut pieces)?);
        }
    }
    guide.sees(&bob)?;
    guide.sees(&bob)?;
    let said = guide.crosses("carol", "server", "no lab today")?;
    let told = guide.crosses("server", "bob", "no lab today")?;
    guide.say(&format!(
        "The first message came in {}; only then did the server tell bob, in {}. TCP knows no \
         messages: a program itself has to say where one ends. Hence the length.",
        tour::numbers(&said),
        tour::numbers(&told),
    ))?;
    drop(socket);

    guide.step("What an eavesdropper reads")?;
    stop.stop();
    // A panic there has been reported by the panic itself.
    let _ = server.join();
    guide.silence()?;
    guide.say(
        "Whoever saw the wire has what is in the capture, and looks for text in its raw packets, \
         as `strings` does. By number of the packet, the message for alice alone:",
    )?;
    guide.eavesdrop(PRIVATE)?;
    guide.say("and the one for the group:")?;
    guide.eavesdrop(GROUP)?;
    guide.say(
        "To the server, and from it to everyone who gets it, the sender among them: each hop is \
         plaintext.",
    )?;

    guide.step("What is still broken here, and where it is mended")?;
    guide.say("- Whoever sees the wire reads everything. Stage 3 encrypts each hop.")?;
    guide.say("- Whoever sits in the middle changes it, in stage 3 too. Stage 5 notices.")?;
    guide.say("- A name proves nothing: the first to take it has it. Stage 5: passwords.")?;
    guide.say("- Nor does the server prove who it is. Stage 5: a key that clients know.")?;
    guide.say("- The server reads all that it relays. It does so in every stage.")?;

    guide.farewell(&["alice", "bob"], &[], PRIVATE, true)?;
    Ok(())
}

/// A client of `address` in a thread of its own.
fn join(guide: &mut Guide, name: &'static str, address: SocketAddr) -> Result<Actor> {
    let (actor, face) = Actor::new(name, commands());
    let stream = Stream::connect(&[address], None)?;
    guide.meets(name)?;
    let name = name.parse()?;
    thread::spawn(move || client::run(&stream, &Settings::default(), &name, face));
    Ok(actor)
}
