//! The guided tour: a real server and real clients in this process, on a free port.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use common::crypto;
use common::crypto::suite::Allowed;
use common::crypto::suite::Cipher;
use common::files;
use common::frame;
use common::name::Name;
use common::stream::Stop;
use common::stream::Stream;
use common::sync::Arc;
use common::tour;
use common::tour::Actor;
use common::tour::Guide;
use common::tour::Keys;
use common::tour::Tamper;

use rand::Rng;
use state::accounts::Account;
use state::accounts::Accounts;
use state::options::Admits;
use state::options::Login;
use state::password::Password;
use state::server::Server;

use crate::client;
use crate::commands;
use crate::connection::Client;
use crate::connection::Settings;
use crate::known_servers::KnownServers;
use crate::login;
use crate::server;

/// What is to be known of the handshake that --kex and --cipher ask for.
const UNAUTHENTICATED: &str = "With --kex or --cipher nobody proves who they are. Whoever holds one \
                               handshake with alice and one with the server reads and exchanges \
                               every file, with a checksum that is right, under GCM too; only the \
                               fingerprints differ.";

/// What alice and bob know.
const PASSWORD: &str = "correct horse";
/// The parts of the handshake.
const HELLO: &[(usize, &str)] = &[(7, "CHT5, version, suite"), (0, "e, a key for now")];
const ANSWER: &[(usize, &str)] =
    &[(6, "CHT5, version, suite"), (32, "e, a key for now"), (48, "s, encrypted"), (0, "tag")];

/// A file, and what is in it.
const PLAN: &str = "plan.txt";
const PLANNED: &str = "The meeting is at noon, behind the library.\n";
/// A file of so many equal lines, the last of which is changed on its way.
const DEBTS: &str = "debts.txt";
const DEBT: &str = "bob owes carol 1\n";
const LINES: usize = 120;
/// Where its last digit is, counted from the end of the record (the end of the line follows it), and
/// the bit by which 1 and 9 differ.
const DIGIT: (usize, u8) = (1, b'1' ^ b'9');
/// Only the record with that file's chunk is as long.
const LONG: usize = 1000;
/// The direction in the key log.
const TO_SERVER: &str = "CHAT2_C2S";
/// The parts of a record.
const CFB: &[(usize, &str)] = &[(16, "IV"), (0, "ciphertext")];
/// What the record of a chunk has beside the bytes of the file: length and kind, IV, kind, number
/// and offset.
const AROUND: usize = 5 + 16 + 1 + 4 + 8;

/// For a part file to be removed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Shows the stage; with `step` it waits for Enter before each step.
pub fn run(step: bool) -> Result<ExitCode> {
    let mut guide = Guide::new(env!("CARGO_PKG_NAME"), step)?;
    let tour = script(&mut guide);
    guide.end(tour)
}

fn script(guide: &mut Guide) -> Result<()> {
    guide.title("Stage 5 of 5, encrypted files: the guided tour")?;
    guide.say(
        "Servers and their clients run in this one process: the real ones, over real TCP sockets \
         of this machine. They are those of stage 4, to the byte; what differs is the connection. \
         All files are in a temporary folder of their own. Every packet named below is in a \
         capture that you can open in Wireshark at the end.",
    )?;
    guide.enter()?;
    let known = logins(guide)?;
    in_the_middle(guide, known)?;
    files_without_authentication(guide)
}

/// alice logs in at a server that her client has never met; its address.
fn logins(guide: &mut Guide) -> Result<SocketAddr> {
    guide.step("alice connects to a server that her client has never met")?;
    let (accounts, mut rng) = (Accounts::at("accounts"), crypto::handshake::rng()?);
    for name in ["alice", "bob"] {
        let mut salt = [0; 16];
        rng.fill_bytes(&mut salt);
        let verifier = login::verifier(&Password::new(PASSWORD.to_owned())?, salt)?;
        accounts.add(Account { name: name.parse()?, verifier })?;
    }
    let (address, running) = serve(guide, "real", Admits::Accounts(accounts))?;
    let alice = log_in(guide, "alice", address, address)?;
    let is_handshake = |kind: u8, _: &[u8]| kind == frame::HANDSHAKE;
    guide.parts(("alice", "server"), is_handshake, HELLO)?;
    guide.parts(("server", "alice"), is_handshake, ANSWER)?;
    guide.say("This is the Noise handshake NX. s is the key by which the server is known.")?;

    guide.step("alice logs in, and neither side says the password")?;
    // Both sides tell of it at the same time.
    let mut lines = Vec::new();
    while lines.len() < 3 {
        let line = guide.logged("")?;
        if line.contains("session: ") || line.starts_with("server key: new here") {
            lines.push(line);
        }
    }
    lines.sort_by_key(|line| !line.starts_with("se"));
    for (side, line) in ["client", "client", "server"].iter().zip(&lines) {
        let said = line.find("se").and_then(|at| line.get(at..)).unwrap_or(line);
        guide.prints(side, &said.replace('\n', ""))?;
    }
    guide.sees(&alice)?;
    guide.say(
        "All that follows is in records: the server's welcome, alice's name, a salt for it, her \
         proof, the server's signature. Proof and signature can only be made with the password, \
         and are good for this handshake alone. Her name and her proof are in these:",
    )?;
    for (packets, size) in guide.records("alice", "server")?.into_iter().take(2) {
        guide.copy(format!("{}: {size} bytes", tour::numbers(&packets)))?;
    }
    guide.say(
        "The signature has shown that this server knows her password, so her client remembers \
         its key, in known_servers:",
    )?;
    let known = fs::read_to_string("alice/known_servers")?;
    let (server, key) = known.trim_end().split_once(' ').context("a server and its key")?;
    guide.copy(server)?;
    guide.copy(key)?;
    guide.types(&alice, "@quit")?;
    running.stop();
    guide.logged("alice: left")?;
    Ok(address)
}

/// What somebody with a key of his own gets, in the place of the server at that address.
fn in_the_middle(guide: &mut Guide, known: SocketAddr) -> Result<()> {
    guide.step("A man in the middle: alice's client knows the server, and stops")?;
    guide.say(&format!(
        "Somebody has got hold of the line: what is meant for {known} comes to a server of his \
         own, with a key of his own. alice connects again, and sees this:",
    ))?;
    let (address, running) = serve(guide, "his", Admits::Accounts(Accounts::at("nobody")))?;
    let alice = log_in(guide, "alice", address, known)?;
    guide.sees(&alice)?;
    let sent = guide.records("alice", "server")?;
    ensure!(sent.is_empty(), "alice has said something to a server that is not hers");
    guide
        .say("He has the first message of her handshake, and nothing else: no name, no record.")?;

    guide.step("A man in the middle at the first contact: nobody logs in")?;
    guide.say("bob's client has never met the server. It cannot know that this is not the one:")?;
    let bob = log_in(guide, "bob", address, known)?;
    guide.sees(&bob)?;
    let logged = guide.logged("did not log in")?;
    guide.say("His server's log:")?;
    guide.copy(logged.split_once(": ").map_or(logged.as_str(), |(_, said)| said))?;
    ensure!(!Path::new("bob/known_servers").exists(), "the wrong server is remembered");
    guide.say(
        "He has learnt a name, and a proof at which he can guess passwords in his own time: for \
         that the password has to be a bad one. The real server would not take the proof, as it is \
         bound to the hash of this handshake, in which his key is. And bob's client does not \
         remember him: there is no known_servers.",
    )?;
    running.stop();
    Ok(())
}

/// Stage 3's handshake, which has to be asked for, and what becomes of files there.
fn files_without_authentication(guide: &mut Guide) -> Result<()> {
    fs::write(PLAN, PLANNED)?;
    fs::write(DEBTS, DEBT.repeat(LINES))?;

    guide.step("With --kex or --cipher: stage 3's handshake, and nobody is known")?;
    let listener = guide.listen()?;
    let (address, stop) = (listener.address(), listener.stop());
    let mut keys = Keys::new(guide.beside("keys.log"));
    let keylog = crypto::KeyLog::append(&keys.file)?;
    let settings =
        Settings::Unauthenticated(crypto::Settings { keylog, ..crypto::Settings::default() });
    let server = thread::spawn(move || server::run(&listener, &settings, &tour::limits()));
    let alice = join(guide, "alice", address, Allowed::default())?;
    keys.learn("alice", &guide.passes(("alice", "server"), is_handshake)?);
    guide.session()?;
    guide.sees(&alice)?;
    let bob = join(guide, "bob", address, Allowed::default())?;
    guide.sees(&bob)?;
    // carol's line has somebody in the middle, who does nothing yet.
    let middle = Tamper::before(address)?;
    let carol = join(guide, "carol", middle.address, Allowed::default())?;
    guide.sees(&carol)?;
    for _ in ["bob", "the server", "carol", "the server"] {
        guide.logged("session: ")?;
    }
    for actor in [&alice, &alice, &bob] {
        guide.skips(actor)?;
    }
    guide.say(UNAUTHENTICATED)?;

    guide.step("alice sends a file: bob takes it, carol does not")?;
    guide.types(&alice, &format!("@send {PLAN}"))?;
    guide.sees(&bob)?;
    guide.sees(&carol)?;
    guide.sees(&alice)?;
    guide.types(&bob, "@accept 1")?;
    guide.sees(&bob)?;
    guide.types(&carol, "@refuse 1")?;
    for _ in ["carol does not get it", "it is being sent", "bob has it", "it is sent"] {
        guide.sees(&alice)?;
    }
    guide.sees(&bob)?;

    guide.step("The record with the file in it")?;
    guide.say("All of it in records. This is the one with the file's only chunk:")?;
    let is_it = keys.finds(TO_SERVER, "alice", PLANNED.trim_end());
    let record = guide.parts(("alice", "server"), is_it, CFB)?;
    guide.say("The server decrypts it with alice's key. Inside is a frame of stage 4:")?;
    guide.dump(&keys.open(TO_SERVER, "alice", &record).context("it opens")?)?;
    guide.say("It encrypts the same for bob, under his key, and forgets it.")?;

    guide.step("What an eavesdropper has: sizes")?;
    let carved = guide.carve("alice", "server", 1)?;
    guide.say(
        "Whoever saw the wire looks for chunks, as in stage 4, and for words of what was said and \
         sent: \"meeting\", \"plan.txt\", \"sha256\".",
    )?;
    ensure!(carved.is_empty(), "an eavesdropper carves out a file");
    for words in ["meeting", PLAN, "sha256"] {
        ensure!(guide.eavesdrop(words)? == 0, "an eavesdropper reads {words}");
    }
    guide.say("No chunk, no word. The records that alice has sent are these:")?;
    for (packets, size) in guide.records("alice", "server")? {
        guide.copy(format!("{}: {size} bytes", tour::numbers(&packets)))?;
    }
    let chunk = frame::HEADER + 1 + record.len();
    guide.say(&format!(
        "A hello, an offer, a chunk, an end. Of the chunk's {chunk} bytes {AROUND} are the same for \
         every chunk: 5 of the frame, 16 of the IV, 13 of kind, number and offset. {chunk} - \
         {AROUND} = {}: so long is the file, to the byte. Who knows which files there are may know \
         by that which one it was.",
        chunk - AROUND,
    ))?;

    guide.step("A bit flipped on its way: CFB does not notice, the checksum does")?;
    guide.say(&format!(
        "Somebody sits in the middle of carol's line. She sends bob {LINES} lines \"{}\"; he knows \
         that, and where the last digit is.",
        DEBT.trim_end(),
    ))?;
    middle.flip_long(LONG, DIGIT.0, DIGIT.1);
    send_debts(guide, &carol, &bob, 2)?;
    let [before, after] = middle.changed()?;
    guide.say("The end of the chunk's record, as she sent it and as he passed it on:")?;
    guide.dump(tail(&before))?;
    guide.dump(tail(&after))?;
    guide.sees(&bob)?;
    guide.sees(&carol)?;
    guide.sees(&carol)?;
    guide.say(
        "One bit, and the last line says 9 where it said 1, as in stage 3. The server has noticed \
         nothing. bob's client has: it hashes what comes, and the end names another hash. Nothing \
         is put in place:",
    )?;
    downloads(guide)?;

    guide.step("The end of the file has a checksum")?;
    guide.say(
        "Can he not change the end, too? The checksum has 64 digits, over 5 blocks of 16 bytes in \
         a row, and under CFB whoever changes a block garbles the next one. So he fails, because \
         of how CFB is built and not because anything checks it. Where a cipher is a mere stream \
         of bytes (GCM without its tag is), somebody who knows the file flips the digits as he \
         flipped the 1. A checksum does not prove who sent it.",
    )?;

    guide.step("The same bit under GCM: the connection ends")?;
    guide.types(&carol, "@quit")?;
    for actor in [&bob, &alice] {
        guide.skips(actor)?;
    }
    let middle = Tamper::before(address)?;
    let gcm = Allowed { cipher: Some(Cipher::Gcm), ..Allowed::default() };
    guide.say("carol comes back with --cipher aes-256-gcm, through the same middle:")?;
    let carol = join(guide, "carol", middle.address, gcm)?;
    guide.session()?;
    for actor in [&carol, &bob, &alice] {
        guide.skips(actor)?;
    }
    // The tag follows the ciphertext.
    middle.flip_long(LONG, DIGIT.0 + 16, DIGIT.1);
    send_debts(guide, &carol, &bob, 3)?;
    middle.changed()?;
    let logged = guide.logged("changed")?;
    guide.say("The server's log:")?;
    guide.copy(logged.split_once(": ").map_or(logged.as_str(), |(_, said)| said))?;
    guide.sees(&bob)?;
    guide.sees(&bob)?;
    guide.skips(&alice)?;
    guide.say("The record did not open, so no byte of it was used. Nothing new is in place:")?;
    downloads(guide)?;

    guide.step("What is still broken here, and where it is mended")?;
    guide.say(&format!("- {UNAUTHENTICATED} Without these options that is mended here."))?;
    guide.say("- At the very first contact the server's key is new: give it with --server-key.")?;
    guide
        .say("- Without accounts a name proves nothing: \"from alice\" is from whoever took it.")?;
    guide.say("- The server reads, and could change, all that it relays, in every stage.")?;
    guide.say("- Sizes and times are there to see, in every stage.")?;
    guide.say("- What is in a file nobody checks: a program from a stranger stays one.")?;

    stop.stop();
    // A panic there has been reported by the panic itself.
    let _ = server.join();
    guide.silence()?;
    guide.farewell(
        &["alice", "bob"],
        &[("alice", "@send README.md bob"), ("bob", "@accept 1")],
        "The meeting",
        false,
    )?;
    guide.say("Beside it, in keys.log, are its sessions' keys: who has both reads everything.")?;
    Ok(())
}

/// A server with its state in this folder, until it is stopped.
fn serve(guide: &mut Guide, folder: &str, admits: Admits) -> Result<(SocketAddr, Stop)> {
    let listener = guide.listen()?;
    let (address, stop) = (listener.address(), listener.stop());
    let keylog = crypto::KeyLog::append(&guide.beside("keys.log"))?;
    let server = Server::open::<anyhow::Error>(folder.as_ref(), keylog, admits, login::verifier)?;
    let settings = Settings::Server(Arc::new(server));
    thread::spawn(move || server::run(&listener, &settings, &tour::limits()));
    Ok((address, stop))
}

/// A client whose person logs in, at `address`, which is taken for `known`.
fn log_in(
    guide: &mut Guide,
    name: &'static str,
    address: SocketAddr,
    known: SocketAddr,
) -> Result<Actor> {
    let (actor, face) = Actor::new(name, commands());
    let stream = Stream::connect(&[address], None)?;
    guide.meets(name)?;
    let name = name.parse::<Name>()?;
    let file = Path::new(name.as_str()).join("known_servers");
    let server = KnownServers { file, address: known.to_string(), pinned: None };
    let user = Some((name.clone(), Password::new(PASSWORD.to_owned())?));
    let (keylog, login) = (crypto::KeyLog::default(), Arc::new(Login::of(user)));
    let settings = Settings::Client(Arc::new(Client { keylog, server, login }));
    let screen = Arc::clone(&face.output);
    thread::spawn(move || {
        if let Err(error) = client::run(&stream, &settings, &name, face) {
            stream.close();
            // Nobody sees it where the tour is over.
            let _ = screen.error(format!("{error:#}"));
        }
    });
    Ok(actor)
}

/// A client of `address` in a thread of its own, whose person is asked for each file.
fn join(
    guide: &mut Guide,
    name: &'static str,
    address: SocketAddr,
    allowed: Allowed,
) -> Result<Actor> {
    let secrets = crypto::Secrets::default();
    let (actor, mut face) = Actor::new(name, secrets.commands(commands()));
    face.files = files::Policy {
        accept: files::Accept::Ask,
        folder: "downloads".into(),
        max: u64::from(u32::MAX),
    };
    let stream = Stream::connect(&[address], None)?;
    guide.meets(name)?;
    let name = name.parse()?;
    let settings =
        Settings::Unauthenticated(crypto::Settings { allowed, ..crypto::Settings::default() });
    let face = secrets.over(&name, face);
    thread::spawn(move || client::run(&stream, &settings, &name, face));
    Ok(actor)
}

/// carol sends bob her file, which gets this number, and he takes it.
fn send_debts(guide: &mut Guide, carol: &Actor, bob: &Actor, number: u32) -> Result<()> {
    guide.types(carol, &format!("@send {DEBTS} bob"))?;
    guide.skips(carol)?;
    guide.sees(bob)?;
    guide.types(bob, &format!("@accept {number}"))?;
    guide.skips(bob)?;
    Ok(guide.sees(carol)?)
}

/// Shows what is in the folder of what was received, hidden files too.
fn downloads(guide: &mut Guide) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let entries = fs::read_dir("downloads")?.collect::<Result<Vec<_>, _>>()?;
        let names = entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let names = names.collect::<Vec<_>>();
        if names == [PLAN] {
            return Ok(guide.copy(format!("downloads: {PLAN}"))?);
        }
        // Who wrote a part file removes it, and nobody is told when that is done.
        ensure!(Instant::now() < deadline, "downloads has {names:?}");
        thread::yield_now();
    }
}

fn is_handshake(kind: u8, _: &[u8]) -> bool {
    kind == frame::HANDSHAKE
}

/// At most the last two rows of a record.
fn tail(record: &[u8]) -> &[u8] {
    record.get(record.len().saturating_sub(32)..).unwrap_or(record)
}
