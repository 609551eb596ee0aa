//! The guided tour: a real server and real clients in this process, on a free port.

use std::fs;
use std::net::SocketAddr;
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
use common::stream::Stream;
use common::tour;
use common::tour::Actor;
use common::tour::Guide;
use common::tour::Keys;
use common::tour::Tamper;

use crate::client;
use crate::commands;
use crate::connection::Settings;
use crate::server;

/// What is to be known of this stage's handshake, for as long as it is that of stage 3.
const HANDSHAKE: &str = "Stage 5 for now has stage 3's handshake: nobody proves who they are. \
                         Whoever holds one handshake with alice and one with the server reads and \
                         exchanges every file, with a checksum that is right, under GCM too; only \
                         the fingerprints differ.";

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
        "A server and its clients run in this one process: the real ones, over real TCP sockets \
         of this machine. They are those of stage 4, to the byte; the connection is that of stage \
         3. All files are in a temporary folder of their own. Every packet named below is in a \
         capture that you can open in Wireshark at the end.",
    )?;
    guide.enter()?;
    fs::write(PLAN, PLANNED)?;
    fs::write(DEBTS, DEBT.repeat(LINES))?;

    guide.step("Three people join, each with keys of their own")?;
    let listener = guide.listen()?;
    let (address, stop) = (listener.address(), listener.stop());
    let mut keys = Keys::new(guide.beside("keys.log"));
    let settings = Settings { keylog: crypto::KeyLog::append(&keys.file)?, ..Settings::default() };
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
    guide.say(HANDSHAKE)?;

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
    guide.say(&format!("- {HANDSHAKE}"))?;
    guide.say("- The default cipher does not notice changes: --cipher aes-256-gcm does.")?;
    guide.say("- A name proves nothing: a file \"from alice\" is from whoever took the name.")?;
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
    let settings = Settings { allowed, ..Settings::default() };
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
