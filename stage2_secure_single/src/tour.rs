//! The guided tour: a real server, its operator and real clients in this process, on a free port.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use common::crypto;
use common::crypto::suite::Allowed;
use common::crypto::suite::Cipher;
use common::face::Console;
use common::frame;
use common::stream::Stream;
use common::tour;
use common::tour::Actor;
use common::tour::Guide;
use common::tour::Keys;

use crate::client;
use crate::commands;
use crate::connection::Settings;
use crate::server;

/// What is said twice, and once more under another cipher.
const SAID: &str = "is the lab open?";
/// The directions in the key log.
const TO_SERVER: &str = "CHAT2_C2S";
/// The parts of records.
const CFB: &[(usize, &str)] = &[(16, "IV"), (0, "ciphertext")];
/// Kind, `{"type":"say","text":"` and `"}` around what is said.
const GCM: &[(usize, &str)] = &[(1 + 22 + SAID.len() + 2, "ciphertext"), (0, "tag")];
const CLOSE: &[(usize, &str)] = &[(1, "ciphertext, a kind"), (0, "tag")];

/// Shows the stage; with `step` it waits for Enter before each step.
pub fn run(step: bool) -> Result<ExitCode> {
    let mut guide = Guide::new(env!("CARGO_PKG_NAME"), step)?;
    let tour = script(&mut guide);
    guide.end(tour)
}

fn script(guide: &mut Guide) -> Result<()> {
    guide.title("Stage 2 of 5, an encrypted conversation: the guided tour")?;
    guide.say(
        "A server, its operator and its clients run in this one process: the real ones, over real \
         TCP sockets of this machine. Every packet named below is in a capture that you can open \
         in Wireshark at the end.",
    )?;

    guide.step("alice says which cryptography she allows")?;
    let listener = guide.listen()?;
    let (address, stop) = (listener.address(), listener.stop());
    let mut keys = Keys::new(guide.beside("keys.log"));
    let settings = Settings { keylog: crypto::KeyLog::append(&keys.file)?, ..Settings::default() };
    let (operator, face) = Actor::new("server", commands());
    let server = thread::spawn(move || {
        server::run(&listener, &settings, &tour::limits(), Console::new(face));
    });
    let alice = join(guide, "alice", address, Allowed::default())?;
    let hello = guide.parts(
        ("alice", "server"),
        is_handshake,
        &[
            (4, "\"CHT2\""),
            (1, "version"),
            (32, "random_c"),
            (1, "key exchange: any"),
            (1, "cipher: any"),
        ],
    )?;
    keys.learn("alice", &hello);
    guide.step("The server chooses, and sends its share: a point of a curve")?;
    guide.parts(
        ("server", "alice"),
        is_handshake,
        &[
            (4, "\"CHT2\""),
            (1, "version"),
            (32, "random_s"),
            (1, "key exchange: P-256"),
            (1, "cipher: AES-256-CFB"),
            (1, "a point, uncompressed"),
            (32, "its x"),
            (32, "its y"),
        ],
    )?;
    guide.step("alice sends hers, and both have a key")?;
    guide.parts(
        ("alice", "server"),
        is_handshake,
        &[(1, "a point, uncompressed"), (32, "its x"), (32, "its y")],
    )?;
    guide.say(
        "Both shares are public, and each side keeps a private number that belongs to its own. \
         From that and the other's share each computes the same point, whose x is their secret. \
         From the secret and a hash of all that was said above, HKDF makes a key for each \
         direction. Whoever saw all of the above cannot.",
    )?;

    guide.step("Both print a fingerprint")?;
    guide.session()?;
    guide.say(
        "The fingerprint is a hash of what was said. If alice reads hers to the operator over the \
         phone, and it is the same, then nobody sits between the two.",
    )?;
    guide.sees(&operator)?;
    guide.sees(&alice)?;

    guide.step("The operator and alice talk, each when they like")?;
    guide.types(&operator, "good morning, alice")?;
    guide.sees(&alice)?;
    guide.types(&alice, SAID)?;
    guide.sees(&operator)?;
    let record = guide.parts(("alice", "server"), keys.finds(TO_SERVER, "alice", SAID), CFB)?;
    guide.say(
        "A record: 16 random bytes, the initialisation vector (IV), and the ciphertext. The \
         server decrypts it with the key of this direction. Inside is a frame of stage 1, its \
         kind and its body:",
    )?;
    guide.dump(&keys.open(TO_SERVER, "alice", &record).context("it opens")?)?;

    guide.step("She says the same again")?;
    guide.types(&alice, SAID)?;
    guide.sees(&operator)?;
    guide.parts(("alice", "server"), keys.finds(TO_SERVER, "alice", SAID), CFB)?;
    guide.say(
        "The same text under the same key: with a fresh IV nothing shows that it is the same but \
         the length.",
    )?;

    guide.step("bob comes while alice is here")?;
    let bob = join(guide, "bob", address, Allowed::default())?;
    guide.sees(&bob)?;
    guide.session()?;
    guide.types(&alice, "@names")?;
    guide.sees(&alice)?;
    guide.say(
        "He has a session of his own, in which he is told that the place is taken. alice notices \
         nothing: what she sees next is the answer to her question.",
    )?;

    guide.step("alice leaves, and the place is free")?;
    guide.types(&alice, "@quit")?;
    guide.sees(&operator)?;
    guide.types(&operator, "anybody there?")?;
    guide.sees(&operator)?;

    guide.step("She comes back with --cipher aes-256-gcm")?;
    let gcm = Allowed { cipher: Some(Cipher::Gcm), ..Allowed::default() };
    let alice = join(guide, "alice", address, gcm)?;
    guide.session()?;
    guide.sees(&operator)?;
    guide.skips(&alice)?;
    // Her hello in the room is a record, too.
    guide.passes(("alice", "server"), is_record)?;
    guide.types(&alice, SAID)?;
    guide.sees(&operator)?;
    guide.parts(("alice", "server"), is_record, GCM)?;
    guide.say(
        "AES-256-GCM has no IV on the wire: both sides number the records, and the number is the \
         nonce. At the end is a tag, which nobody can compute without the key. Whatever is \
         changed, repeated, moved or left out ends the connection.",
    )?;

    guide.step("She leaves: a record that is the last")?;
    guide.types(&alice, "@quit")?;
    guide.sees(&operator)?;
    guide.parts(("alice", "server"), is_record, CLOSE)?;
    guide.say(
        "Her last record holds a frame of the kind 12 and nothing else: it says that it is the \
         last. Where a connection ends without one, it was cut, or its program died, and the \
         server says so.",
    )?;

    guide.step("What an eavesdropper reads")?;
    guide.say(
        "Whoever saw the wire searches the capture for what was said, as in stage 1: \"the lab\", \
         \"morning\", \"alice\", \"type\".",
    )?;
    for words in ["the lab", "morning", "alice", "\"type\""] {
        ensure!(guide.eavesdrop(words)? == 0, "an eavesdropper reads {words}");
    }
    guide.say(
        "Nothing. Who talks to the server, when, and how long each message is: that is still \
         there to see.",
    )?;

    guide.step("What is still broken here, and where it is mended")?;
    guide.say("- One client at a time. Stage 3 has many, each with keys of their own.")?;
    guide.say(
        "- The default cipher does not notice changes: --cipher aes-256-gcm does. The tour of \
         stage 3 flips a bit under both.",
    )?;
    guide.say(
        "- Nobody proves who they are. Somebody in the middle can hold one handshake with alice \
         and one with the server, and read and rewrite everything, under GCM too; only the \
         fingerprints differ. In stage 5 clients know the server's key.",
    )?;
    guide.say("- A name proves nothing. Stage 5 has passwords.")?;

    stop.stop();
    // A panic there has been reported by the panic itself.
    let _ = server.join();
    guide.silence()?;
    guide.farewell(&["alice"], &[], SAID, false)?;
    guide.say("Beside it, in keys.log, are its sessions' keys: who has both reads everything.")?;
    Ok(())
}

/// A client of `address` in a thread of its own.
fn join(
    guide: &mut Guide,
    name: &'static str,
    address: SocketAddr,
    allowed: Allowed,
) -> Result<Actor> {
    let (actor, face) = Actor::new(name, commands());
    let stream = Stream::connect(&[address], None)?;
    guide.meets(name)?;
    let name = name.parse()?;
    let settings = Settings { allowed, ..Settings::default() };
    thread::spawn(move || {
        let screen = Arc::clone(&face.output);
        if let Err(lost) = client::run(&stream, &settings, &name, face) {
            // The tour may be over.
            let _ = screen.error(format!("{lost:#}"));
        }
        stream.close();
    });
    Ok(actor)
}

fn is_handshake(kind: u8, _: &[u8]) -> bool {
    kind == frame::HANDSHAKE
}

fn is_record(kind: u8, _: &[u8]) -> bool {
    kind == frame::RECORD
}
