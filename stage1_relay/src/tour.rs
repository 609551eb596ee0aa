//! The guided tour: a real server and three real clients in this process, on a free port.

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;

use anyhow::Result;
use common::limits::Limits;
use common::pcap::Capture;
use common::stream::Listener;
use common::stream::Stream;
use common::tour;
use common::tour::Actor;
use common::tour::Guide;

use crate::COMMANDS;
use crate::client;
use crate::connection::Settings;
use crate::server;

/// Shows the stage; with `step` it waits for Enter now and then.
pub fn run(step: bool) -> Result<ExitCode> {
    let mut guide = Guide::new(step);
    guide
        .say("Stage 1: a plaintext relay. Everything below really crosses TCP on this machine.")?;

    guide.step("A server listens, and three people join.")?;
    let file = tour::capture_file("stage1_relay")?;
    let capture = Capture::create(&file)?;
    let any = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
    let listener = Listener::bind(any, Some(capture.clone()))?;
    let (address, stop) = (listener.address(), listener.stop());
    let server = thread::spawn(move || server::run(&listener, &Settings, &Limits::default()));
    guide.say(&format!("   listening on {address}"))?;
    let alice = join("alice", address)?;
    guide.shows(address, "->", "hello")?;
    guide.sees("alice", &alice)?;
    let bob = join("bob", address)?;
    guide.sees("bob", &bob)?;
    guide.sees("alice", &alice)?;
    let carol = join("carol", address)?;
    for (name, actor) in [("carol", &carol), ("bob", &bob), ("alice", &alice)] {
        guide.sees(name, actor)?;
    }

    guide.step("alice types to the room:   who is coming to the lab?")?;
    alice.types("who is coming to the lab?");
    guide.say("   what her client sends: 4 bytes of length, 1 of kind, then JSON")?;
    guide.shows(address, "->", "coming")?;
    guide.say("   what the server sends to bob and to carol: it adds who said it")?;
    guide.shows(address, "<-", "coming")?;
    guide.sees("bob", &bob)?;
    guide.sees("carol", &carol)?;

    guide.step("bob types to alice alone:   @alice don't tell carol")?;
    bob.types("@alice don't tell carol");
    guide.sees("bob", &bob)?;
    guide.sees("alice", &alice)?;
    guide.say("   carol sees nothing. That is the server's promise, not the wire's:")?;
    guide.shows(address, "<-", "tell carol")?;

    guide.step("alice makes a group, and says something in it.")?;
    alice.types("@group set team carol");
    guide.sees("alice", &alice)?;
    guide.sees("carol", &carol)?;
    alice.types("@group send team only the two of us");
    guide.sees("carol", &carol)?;
    guide.sees("alice", &alice)?;

    stop.stop();
    // A panic there has been reported by the panic itself.
    let _ = server.join();
    capture.finish();
    guide.step("Who sees the wire reads all of it. In the capture of this tour:")?;
    for words in ["who is coming to the lab?", "don't tell carol", "only the two of us"] {
        let times = tour::eavesdrop(&file, words)?;
        guide.say(&format!("   {times} times   {words}"))?;
    }
    guide.say("   Stage 3 mends that.")?;

    guide.say("\nTry it: a server in one terminal, and a client in each of two others:")?;
    guide.say("   cargo run -p stage1_relay -- server")?;
    guide.say("   cargo run -p stage1_relay -- client --name alice")?;
    guide.say("   cargo run -p stage1_relay -- client --name bob")?;
    guide.say("\nThe capture, for Wireshark:")?;
    guide.say(&format!("   {}", file.display()))?;
    Ok(ExitCode::SUCCESS)
}

/// A client of `address` in a thread of its own.
fn join(name: &'static str, address: SocketAddr) -> Result<Actor> {
    let (actor, face) = Actor::new();
    let stream = Stream::connect(&[address], None)?;
    let name = name.parse()?;
    thread::spawn(move || client::run(&stream, &Settings, COMMANDS, &name, face));
    Ok(actor)
}
