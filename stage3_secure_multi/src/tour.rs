//! The guided tour: a real server and real clients in this process, on a free port.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;

use anyhow::Context;
use anyhow::Result;
use anyhow::ensure;
use common::crypto;
use common::crypto::suite::Allowed;
use common::crypto::suite::Cipher;
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

/// What is said to the room, and in private.
const SAID: &str = "who comes to the lab?";
const PRIVATE: &str = "keep it secret";
/// What carol says, and what becomes of it: the last digit differs in one bit.
const OWED: &str = "bob owes me 1";
const CHANGED: &str = "bob owes me 9";
/// Where that digit is, counted from the end of the record (`"}` follows it), and the bit.
const DIGIT: (usize, u8) = (2, b'1' ^ b'9');
/// The directions in the key log.
const TO_SERVER: &str = "CHAT2_C2S";
const TO_CLIENT: &str = "CHAT2_S2C";
/// The parts of a record.
const CFB: &[(usize, &str)] = &[(16, "IV"), (0, "ciphertext")];

/// Shows the stage; with `step` it waits for Enter before each step.
pub fn run(step: bool) -> Result<ExitCode> {
    let mut guide = Guide::new(env!("CARGO_PKG_NAME"), step)?;
    let tour = script(&mut guide);
    guide.end(tour)
}

fn script(guide: &mut Guide) -> Result<()> {
    guide.title("Stage 3 of 5, an encrypted relay: the guided tour")?;
    guide.say(
        "A server and its clients run in this one process: the real ones, over real TCP sockets \
         of this machine. They are those of stage 1, to the byte; what is new is what a \
         connection is made of. Every packet named below is in a capture that you can open in \
         Wireshark at the end.",
    )?;

    guide.step("alice says which cryptography she allows")?;
    let listener = guide.listen()?;
    let (address, stop) = (listener.address(), listener.stop());
    let mut keys = Keys::new(guide.beside("keys.log"));
    let settings = Settings { keylog: crypto::KeyLog::append(&keys.file)?, ..Settings::default() };
    let server = thread::spawn(move || server::run(&listener, &settings, &tour::limits()));
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
        "From the other's point and a number that never left their own memory, both compute the \
         same secret; from it and from all of the above, a key for each direction. Whoever saw \
         all of the above cannot. Both print what they got:",
    )?;
    guide.session()?;
    guide.say(
        "The fingerprint is a hash of the handshake. If alice reads hers to whoever runs the \
         server, over the phone, and it is the same, then nobody sits between the two.",
    )?;
    guide.sees(&alice)?;

    guide.step("bob and carol connect: each has keys of their own")?;
    let bob = join(guide, "bob", address, Allowed::default())?;
    keys.learn("bob", &guide.passes(("bob", "server"), is_handshake)?);
    guide.session()?;
    guide.skips(&bob)?;
    guide.skips(&alice)?;
    // carol's line has somebody in the middle, who does nothing yet.
    let middle = Tamper::before(address)?;
    let carol = join(guide, "carol", middle.address, Allowed::default())?;
    keys.learn("carol", &guide.passes(("carol", "server"), is_handshake)?);
    guide.session()?;
    for actor in [&carol, &bob, &alice] {
        guide.skips(actor)?;
    }
    guide.say("Three connections, three handshakes, six keys.")?;

    guide.step("One sentence in a record")?;
    guide.types(&alice, SAID)?;
    let record = guide.parts(("alice", "server"), keys.finds(TO_SERVER, "alice", SAID), CFB)?;
    guide.say(
        "A record: 16 random bytes, the initialisation vector, and the ciphertext. The server \
         decrypts it with alice's key. Inside is a frame of stage 1, its kind and its body:",
    )?;
    guide.dump(&keys.open(TO_SERVER, "alice", &record).context("it opens")?)?;
    guide.step("The same sentence, encrypted for each")?;
    guide.say("The server encrypts what it tells the others once for each of them:")?;
    guide.parts(("server", "bob"), keys.finds(TO_CLIENT, "bob", SAID), CFB)?;
    guide.parts(("server", "carol"), keys.finds(TO_CLIENT, "carol", SAID), CFB)?;
    guide.sees(&bob)?;
    guide.sees(&carol)?;
    guide.say(
        "The same sentence twice, and nothing shows it but the length. The server has read it: \
         encryption here is from hop to hop.",
    )?;

    guide.step("A secret from the server: @secret")?;
    guide.types(&alice, "@secret bob correct-horse-battery see you at noon")?;
    guide.sees(&bob)?;
    guide.sees(&alice)?;
    guide.types(&bob, "@open 1 incorrect-horse")?;
    guide.sees(&bob)?;
    guide.types(&bob, "@open 1 correct-horse-battery")?;
    guide.sees(&bob)?;
    guide.say(
        "That text was sealed by alice's client, under a key that she has told bob elsewhere, and \
         opened by his. The relay has passed on something that it cannot read. It can guess at \
         it, though, for as long as it likes: choose a long key.",
    )?;

    guide.step("What an eavesdropper reads")?;
    guide.types(&bob, &format!("@alice {PRIVATE}"))?;
    guide.sees(&alice)?;
    guide.sees(&bob)?;
    guide.say(
        "Whoever saw the wire searches the capture for what was said, as in stage 1: \"the lab\", \
         \"secret\", \"alice\", \"type\".",
    )?;
    for words in ["the lab", "secret", "alice", "\"type\""] {
        ensure!(guide.eavesdrop(words)? == 0, "an eavesdropper reads {words}");
    }
    guide.say(
        "Nothing. Who talks to the server, when, and how long each message is: that is still \
         there to see.",
    )?;

    guide.step("Somebody in the middle flips a bit: CFB does not notice")?;
    guide.say(
        "carol's connection runs through somebody who passes every byte on. He cannot decrypt, \
         but he knows what she is about to say, and where: the last digit is the third byte from \
         the end of the record.",
    )?;
    middle.flip(DIGIT.0, DIGIT.1);
    guide.types(&carol, OWED)?;
    let [before, after] = middle.changed()?;
    guide.say("The end of her record, as she sent it and as he passed it on:")?;
    guide.dump(tail(&before))?;
    guide.dump(tail(&after))?;
    guide.sees(&bob)?;
    guide.skips(&alice)?;
    guide.say(
        "He flipped one bit of the ciphertext, and the same bit of the text changed, from 1 to 9. \
         CFB encrypts by combining the text with a stream of bytes by exclusive or: whoever \
         changes one side changes the other. Nothing checks it. That is on purpose here: this is \
         what encryption without authentication is.",
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
    middle.flip(DIGIT.0 + 16, DIGIT.1);
    guide.types(&carol, OWED)?;
    middle.changed()?;
    let logged = guide.logged("changed")?;
    guide.say("The server's log:")?;
    guide.copy(logged.split_once(": ").map_or(logged.as_str(), |(_, said)| said))?;
    guide.sees(&bob)?;
    guide.skips(&alice)?;
    guide.say(&format!(
        "Each record ends with a tag of 16 bytes, which nobody can compute without the key. bob \
         never sees \"{CHANGED}\": nothing of a record that does not open is used.",
    ))?;

    guide.step("What is still broken here, and where it is mended")?;
    guide.say("- The default cipher does not notice changes: --cipher aes-256-gcm does.")?;
    guide.say(
        "- Nobody proves who they are. Somebody in the middle can hold one handshake with alice \
         and one with the server, and read and rewrite everything, under GCM too; only the \
         fingerprints differ. In stage 5 clients know the server's key.",
    )?;
    guide.say("- A name proves nothing: the first to take it has it. Stage 5 has passwords.")?;
    guide.say("- The server reads all that it relays, in every stage; but for @secret.")?;
    guide.say("- Lengths and times are there to see, in every stage.")?;

    stop.stop();
    // A panic there has been reported by the panic itself.
    let _ = server.join();
    guide.silence()?;
    guide.farewell(&["alice", "bob"], &[], PRIVATE, false)?;
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
    let secrets = crypto::Secrets::default();
    let (actor, face) = Actor::new(name, secrets.commands(commands()));
    let stream = Stream::connect(&[address], None)?;
    guide.meets(name)?;
    let name = name.parse()?;
    let settings = Settings { allowed, ..Settings::default() };
    let face = secrets.over(&name, face);
    thread::spawn(move || client::run(&stream, &settings, &name, face));
    Ok(actor)
}

fn is_handshake(kind: u8, _: &[u8]) -> bool {
    kind == frame::HANDSHAKE
}

/// At most the last two rows of a record.
fn tail(record: &[u8]) -> &[u8] {
    record.get(record.len().saturating_sub(32)..).unwrap_or(record)
}
