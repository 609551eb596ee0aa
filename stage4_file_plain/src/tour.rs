//! The guided tour: a real server and real clients in this process, on a free port.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::path::Path;
use std::process::ExitCode;
use std::thread;

use anyhow::Result;
use anyhow::ensure;
use common::files;
use common::files::CHUNK;
use common::frame;
use common::hex::hex;
use common::message;
use common::message::Request;
use common::stream::Stream;
use common::tour;
use common::tour::Actor;
use common::tour::Guide;
use common::tour::Narrow;
use storage::Next;
use storage::Source;

use crate::client;
use crate::commands;
use crate::connection::Settings;
use crate::server;

/// A small file, and what is in it.
const PLAN: &str = "plan.txt";
const PLANNED: &str = "The meeting is at noon, behind the library.\n";
/// A larger one: a grey picture of so many points.
const PICTURE: &str = "picture.bmp";
const WIDTH: u32 = 960;
const HEIGHT: u32 = 1000;
/// What is said while the larger one is on its way.
const SAID: &str = "look at the picture";
/// A name that is none.
const OUTSIDE: &str = "../../evil";
/// The parts of a chunk.
const PARTS: &[(usize, &str)] =
    &[(4, "the number of the file"), (8, "where in the file"), (0, "bytes of the file")];
/// What the system may keep of what the server writes to one client.
const BUFFER: usize = 64 * 1024;

/// Shows the stage; with `step` it waits for Enter before each step.
pub fn run(step: bool) -> Result<ExitCode> {
    let mut guide = Guide::new(env!("CARGO_PKG_NAME"), step)?;
    let tour = script(&mut guide);
    guide.end(tour)
}

fn script(guide: &mut Guide) -> Result<()> {
    guide.title("Stage 4 of 5, files in plaintext: the guided tour")?;
    guide.say(
        "A server and three clients, alice, bob and carol, run in this one process: the real \
         ones, over real TCP sockets of this machine. All files are in a temporary folder of \
         their own. Every packet named below is in a capture that you can open in Wireshark at \
         the end.",
    )?;
    guide.enter()?;
    fs::write(PLAN, PLANNED)?;
    fs::write(PICTURE, picture())?;

    guide.step("A server listens, and three people join")?;
    let listener = guide.listen()?;
    listener.set_send_buffer(BUFFER)?;
    let (address, stop) = (listener.address(), listener.stop());
    let server =
        thread::spawn(move || server::run(&listener, &Settings::default(), &tour::limits()));
    let alice = join(guide, "alice", address)?;
    // bob's line can be stopped; nobody does so yet.
    let line = Narrow::before(address)?;
    let bob = join(guide, "bob", line.address)?;
    let carol = join(guide, "carol", address)?;
    for (actor, others) in [(&alice, 2), (&bob, 1)] {
        (0..others).try_for_each(|_| guide.sees(actor))?;
    }
    guide.say(
        "The chat is that of stage 1, and so is the connection. New is what a person can type: \
         @send, @accept, @refuse, @cancel.",
    )?;

    guide.step("alice offers a file")?;
    guide.types(&alice, &format!("@send {PLAN}"))?;
    guide.wire("alice", "server", "offer")?;
    guide.say(
        "An offer is a message. The name is a label, and the size is a claim: that is all that \
         anybody is told. The server repeats the tag in its answer to alice, gives the file a \
         number and asks the others:",
    )?;
    guide.wire("server", "bob", "offer")?;
    guide.sees(&bob)?;
    guide.sees(&carol)?;
    guide.sees(&alice)?;

    guide.step("bob takes it, carol does not")?;
    guide.types(&bob, "@accept 1")?;
    guide.wire("bob", "server", "accept")?;
    guide.sees(&bob)?;
    guide.types(&carol, "@refuse 1")?;
    guide.wire("carol", "server", "refuse")?;
    guide.sees(&alice)?;
    guide
        .say("All have answered (30 seconds of silence refuse, too), so alice is told to go on:")?;
    guide.wire("server", "alice", "\"go\"")?;
    guide.sees(&alice)?;

    guide.step("The file, and its end")?;
    guide.parts(("alice", "server"), is_chunk, PARTS)?;
    guide.say(
        "A chunk: a frame of a kind of its own, with at most 65,536 bytes of the file. It is no \
         JSON, for which bytes would have to be written as text. Then the end:",
    )?;
    guide.wire("alice", "server", "\"end\"")?;

    guide.step("How it gets onto bob's disk")?;
    guide.say(
        "The SHA-256 of all bytes is a checksum. The server reads neither file nor checksum, and \
         passes both on as they are:",
    )?;
    guide.wire("server", "bob", PLANNED.trim_end())?;
    guide.say(
        "bob's client writes what comes into a hidden part file, and hashes it. When the size \
         and the checksum are right, the file gets its name, unless something has that name \
         already: then one with a number.",
    )?;
    guide.wire("bob", "server", "\"received\"")?;
    guide.sees(&bob)?;

    guide.step("What alice hears of it")?;
    guide.wire("server", "alice", "\"received\"")?;
    guide.wire("server", "alice", "\"done\"")?;
    guide.sees(&alice)?;
    guide.sees(&alice)?;

    guide.step("A message overtakes a larger file")?;
    let size = fs::metadata(PICTURE)?.len();
    guide.say(&format!(
        "alice sends bob a picture of {size} bytes, in chunks of {CHUNK}. As soon as he has \
         accepted it, bob's line gets stuck: nothing more comes through to him.",
    ))?;
    guide.types(&alice, &format!("@send {PICTURE} bob"))?;
    guide.sees(&alice)?;
    guide.sees(&bob)?;
    line.stop();
    guide.types(&bob, "@accept 2")?;
    guide.sees(&bob)?;
    guide.sees(&alice)?;
    // Until it has ended, so that all of it is at the server.
    guide.passes(("alice", "server"), is_end)?;
    guide.types(&alice, SAID)?;
    let said = guide.crosses("alice", "server", SAID)?;
    guide.sees(&carol)?;
    guide.say("carol has read it. Now bob's line works again:")?;
    line.go_on();
    guide.sees(&bob)?;
    guide.sees(&bob)?;
    for _ in ["bob has it", "it is sent"] {
        guide.sees(&alice)?;
    }

    guide.step("What has overtaken what")?;
    overtaken(guide, &said)?;

    guide.step("Acknowledgements")?;
    guide.say("While the picture came, bob's client said what it had written, now and then:")?;
    guide.wire("bob", "server", "\"ack\"")?;
    guide.wire("server", "alice", "\"ack\"")?;
    guide.say(
        "alice's client is never more than a window of 1,048,576 bytes ahead of that. So no more \
         than this of a file waits in the server, however slow bob is: his queue for chunks needs \
         no other bound, and no thread of the server ever waits for room in it. With several \
         takers, alice is told the smallest offset: a file is as fast as the slowest of them.",
    )?;

    guide.step("A name that wants out of the folder")?;
    guide.say("mallory has no client: this tour puts the bytes into a socket by hand.")?;
    let mut socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    guide.meets("mallory")?;
    socket.write_all(&tour::framed(&message::hello(&"mallory".parse()?))?)?;
    guide.sees(&bob)?;
    let to = Some("bob".to_owned());
    let offer = Request::Offer { tag: 1, to, name: OUTSIDE.to_owned(), size: 4 };
    socket.write_all(&tour::framed(&message::encode(&offer))?)?;
    guide.wire("mallory", "server", "offer")?;
    guide.wire("server", "mallory", "not-offered")?;
    drop(socket);
    guide.sees(&bob)?;
    guide.say(
        "bob was not even asked. His client would have refused, too: it trusts the server no \
         more than mallory. What is no name is refused and never repaired, so a name is the same \
         for everybody.",
    )?;

    guide.step("What an eavesdropper has: the files")?;
    stop.stop();
    // A panic there has been reported by the panic itself.
    let _ = server.join();
    guide.silence()?;
    guide.say(
        "Whoever saw the wire has what is in the capture: he takes the chunks of a file, puts \
         them together by their offsets, and has the file. To be sure he computes its SHA-256 and \
         looks for that in the packets, too.",
    )?;
    for (id, name) in [(1, PLAN), (2, PICTURE)] {
        let carved = format!("carved-{name}");
        fs::write(&carved, guide.carve("alice", "server", id)?)?;
        let sum = hex(&checksum(Path::new(&carved))?);
        let size = fs::metadata(&carved)?.len();
        guide.say(&format!("{carved} has {size} bytes; its SHA-256 by number of the packet:"))?;
        let found = guide.eavesdrop(&sum)?;
        ensure!(found == 2, "the end of {name} is in the capture {found} times");
    }
    guide.say(
        "The same files, to the bit: alice's own checksum says so. It is there to find damage; it \
         hides nothing, and proves nothing to somebody who has to believe it: whoever can change \
         the file on its way can change the checksum behind it.",
    )?;

    guide.step("What is still broken here, and where it is mended")?;
    guide.say("- Whoever sees the wire has every file. Stage 5 encrypts each hop.")?;
    guide.say(
        "- Whoever can change what is on the wire exchanges file and checksum, and nobody notices. \
         Stage 5 notices.",
    )?;
    guide.say("- A name proves nothing: a file \"from alice\" is from whoever took the name.")?;
    guide.say("- The server reads, and could change, all that it relays, in every stage.")?;
    guide.say("- What is in a file nobody checks: a program from a stranger stays one.")?;

    guide.farewell(
        &["alice", "bob"],
        &[("alice", "@send README.md bob"), ("bob", "@accept 1")],
        "The meeting",
        true,
    )?;
    guide.say("Beside it are the files, and carved-picture.bmp: open it with any viewer.")?;
    Ok(())
}

/// A client of `address` in a thread of its own, whose person is asked for each file.
fn join(guide: &mut Guide, name: &'static str, address: SocketAddr) -> Result<Actor> {
    let (actor, mut face) = Actor::new(name, commands());
    face.files = files::Policy {
        accept: files::Accept::Ask,
        folder: "downloads".into(),
        max: u64::from(u32::MAX),
    };
    let stream = Stream::connect(&[address], None)?;
    guide.meets(name)?;
    let name = name.parse()?;
    thread::spawn(move || client::run(&stream, &Settings::default(), &name, face));
    // Themselves, so that who comes next comes later.
    guide.sees(&actor)?;
    Ok(actor)
}

/// Tells by the numbers of packets what the message, in packets `said`, has overtaken.
fn overtaken(guide: &mut Guide, said: &[usize]) -> Result<()> {
    let told = guide.crosses("server", "bob", SAID)?;
    let first = told.first().copied().unwrap_or_default();
    let span = |chunks: &[(files::Chunk, Vec<usize>)]| {
        let mut packets = chunks.iter().flat_map(|(_, packets)| packets.clone());
        let first = packets.next().unwrap_or_default();
        format!("packets {first} to {}", packets.last().unwrap_or(first))
    };
    let sent = guide.chunks("alice", "server", 2)?;
    let (before, after): (Vec<_>, Vec<_>) = guide
        .chunks("server", "bob", 2)?
        .into_iter()
        .partition(|(_, packets)| packets.last().is_none_or(|last| *last < first));
    guide.say(&format!(
        "alice's client had sent the file first, {} chunks in {}, and then the message, in {}.",
        sent.len(),
        span(&sent),
        tour::numbers(said),
    ))?;
    if after.is_empty() {
        // What the system keeps for itself is its own affair.
        return Ok(guide.say("This system had taken all of it, so nothing was left to overtake.")?);
    }
    guide.say(&format!(
        "To bob the server wrote {} chunks, in {}; then the message, in {}; then the other {}, in \
         {}. Each client has a queue with two lanes: what people say overtakes what files are made \
         of, and nobody waits for a picture to read a sentence.",
        before.len(),
        span(&before),
        tour::numbers(&told),
        after.len(),
        span(&after),
    ))?;
    Ok(())
}

fn is_chunk(kind: u8, _: &[u8]) -> bool {
    kind == frame::CHUNK
}

fn is_end(kind: u8, body: &[u8]) -> bool {
    kind == frame::MESSAGE && body.starts_with(b"{\"type\":\"end\"")
}

/// The SHA-256 of a file.
fn checksum(path: &Path) -> Result<files::Sha256> {
    let (mut source, mut buffer) = (Source::open(path)?, vec![0; CHUNK]);
    loop {
        if let Next::End { sha256 } = source.next(&mut buffer)? {
            return Ok(sha256);
        }
    }
}

/// A picture in shades of grey, as a BMP: headers of 14 and 40 bytes, 256 colours, a byte a point.
fn picture() -> Vec<u8> {
    let front: u32 = 14 + 40 + 4 * 256;
    let mut bytes = b"BM".to_vec();
    let file = [front + WIDTH * HEIGHT, 0, front];
    // One plane of 8 bits a point; not compressed, of any size, 256 colours, all of them used.
    let image = [40, WIDTH, HEIGHT, 1 | 8 << 16, 0, 0, 0, 0, 256, 0];
    for number in file.into_iter().chain(image) {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend((0..=255).flat_map(|shade| [shade, shade, shade, 0]));
    for y in 0..HEIGHT {
        bytes.extend((0..WIDTH).map(|x| {
            let [shade, ..] = (x ^ y).to_le_bytes();
            shade
        }));
    }
    bytes
}
