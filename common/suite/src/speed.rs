//! How fast files pass, and how fast people are heard meanwhile: the benches of the stages that have
//! files.
//!
//! The ratio is to a copy of as many bytes through a relay that knows nothing of them, with threads
//! and buffers of this process. On two processors all share these: what the programs do beyond that
//! copy counts in full, and what the ratio could be at most, if they did nothing else and never waited,
//! is printed with it.
//!
//! Server and clients are processes of the stage. The files are in memory where there is a file
//! system for that (`/dev/shm`), because it is the programs that are measured. Machines differ and
//! are noisy; the ratios of one run are what is worth comparing.

use std::env;
use std::error::Error;
use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use crate::process::Program;
use crate::process::ServerProgram;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const MIB: u64 = 1024 * 1024;
/// What a raw copy reads and writes at once: a chunk's size.
const PIECE: usize = 64 * 1024;
/// Messages whose time on the way is measured, and the time between two of them.
const MESSAGES: usize = 400;
const PAUSE: Duration = Duration::from_millis(5);

/// A way to run the stage.
pub struct Setting<'a> {
    /// What it is called in the results.
    pub title: &'a str,
    /// Options of server and clients.
    pub options: &'a [&'a str],
    /// What its cipher alone takes for so many MiB: sealed and opened, on both hops.
    pub cipher: fn(u64) -> Duration,
}

/// Measures what the arguments of this process ask for: `files`, `latency`, or both.
///
/// `hash` reads a file as a sender does, and takes its checksum.
///
/// # Errors
/// If a program or a socket fails.
pub fn run(binary: &Path, settings: &[Setting<'_>], hash: fn(&Path) -> Result<()>) -> Result<()> {
    let (mut parts, mut rounds, mut mib) = (Vec::new(), 3, 1024);
    let mut args = env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--rounds" => rounds = args.next().ok_or("--rounds N")?.parse()?,
            "--mib" => mib = args.next().ok_or("--mib N")?.parse()?,
            // What cargo adds.
            "--bench" => {}
            part => parts.push(part.to_owned()),
        }
    }
    let processors = thread::available_parallelism()?.get() as f64;
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    if wanted("files") {
        for round in 1..=rounds {
            let before = processor("self").unwrap_or_default();
            let raw = raw_copy(mib * MIB)?;
            let raw_work = processor("self").unwrap_or_default() - before;
            println!(
                "round {round}: {mib} MiB over two hops: raw TCP {}, processor: {:.2} s",
                speed(mib, raw),
                raw_work.as_secs_f64()
            );
            for setting in settings {
                let passed = transfer(binary, setting, mib, hash)?;
                let ratio = raw.as_secs_f64() / passed.time.as_secs_f64();
                println!("  {:10} {}  ratio {ratio:.2}", setting.title, speed(mib, passed.time));
                println!("             processor: {}", passed.processor);
                let (hash, write, cipher) = (2 * passed.hash, passed.write, (setting.cipher)(mib));
                let [hash_s, write_s, cipher_s] = [hash, write, cipher].map(|t| t.as_secs_f64());
                println!(
                    "             of it: read and hashed twice {hash_s:.2} s, written {write_s:.2} s, \
                     cipher {cipher_s:.2} s"
                );
                // The programs cannot do without these, however they share the processors.
                let least = (raw_work + hash + write + cipher).as_secs_f64() / processors;
                println!(
                    "             with the copy's, on {processors} processors, the ratio is at most \
                     {:.2}",
                    raw.as_secs_f64() / least
                );
                println!("             most memory: {}", passed.memory);
            }
        }
    }
    if wanted("latency") {
        for setting in settings {
            for (title, busy) in [("nothing else", false), ("a file flat out", true)] {
                let [own, other] = latency(binary, setting, busy)?;
                println!(
                    "{:10} {title:16} its sender's messages: {own}   another's: {other}",
                    setting.title
                );
            }
        }
    }
    Ok(())
}

fn speed(mib: u64, time: Duration) -> String {
    format!("{:5.0} MiB/s", mib as f64 / time.as_secs_f64())
}

/// From one socket through a second to a third, `bytes` of them.
fn raw_copy(bytes: u64) -> Result<Duration> {
    let any = (Ipv4Addr::LOCALHOST, 0);
    let (relay, sink) = (TcpListener::bind(any)?, TcpListener::bind(any)?);
    let (to_relay, to_sink) = (relay.local_addr()?, sink.local_addr()?);
    let passes = thread::spawn(move || -> Result<()> {
        let (from, to) = (relay.accept()?.0, TcpStream::connect(to_sink)?);
        copy(from, to)
    });
    let sinks = thread::spawn(move || -> Result<u64> {
        let (mut from, mut buffer, mut count) = (sink.accept()?.0, vec![0; PIECE], 0);
        loop {
            match from.read(&mut buffer)? {
                0 => return Ok(count),
                read => count += u64::try_from(read)?,
            }
        }
    });
    let mut to = TcpStream::connect(to_relay)?;
    let (piece, start) = (vec![7; PIECE], Instant::now());
    for _ in 0..bytes / u64::try_from(PIECE)? {
        to.write_all(&piece)?;
    }
    drop(to);
    passes.join().map_err(|_| "the relay panicked")??;
    let count = sinks.join().map_err(|_| "the sink panicked")??;
    assert_eq!(count, bytes, "all of it came");
    Ok(start.elapsed())
}

fn copy(mut from: TcpStream, mut to: TcpStream) -> Result<()> {
    let mut buffer = vec![0; PIECE];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            read => to.write_all(buffer.get(..read).unwrap_or_default())?,
        }
    }
}

/// A server, and clients of it, in a folder of their own.
struct Lab<'a> {
    binary: &'a Path,
    options: &'a [&'a str],
    folder: PathBuf,
    server: ServerProgram,
}

impl<'a> Lab<'a> {
    fn new(binary: &'a Path, setting: &Setting<'a>) -> Result<Lab<'a>> {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { env::temp_dir() };
        let folder = parent.join(format!("chat-bench-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let mut command = Command::new(binary);
        command.args(["server", "--listen", "127.0.0.1:0"]).args(setting.options);
        let server = ServerProgram::from(Program::start_command(&mut command));
        Ok(Lab { binary, options: setting.options, folder, server })
    }

    fn client(&self, name: &str) -> Program {
        let mut command = Command::new(self.binary);
        let address = self.server.address.to_string();
        command.args(["client", &address, "--name", name]).args(self.options);
        command.current_dir(&self.folder);
        let mut client = Program::start_command(&mut command);
        client.expect(&[&format!("* {name} joined")]);
        client
    }
}

impl Drop for Lab<'_> {
    fn drop(&mut self) {
        // What is left behind is seen.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What it took until a file was received.
struct Passed {
    time: Duration,
    /// Reading the file and hashing it, once.
    hash: Duration,
    /// Writing it, once.
    write: Duration,
    /// Of the three programs.
    processor: String,
    memory: String,
}

fn transfer(
    binary: &Path,
    setting: &Setting<'_>,
    mib: u64,
    hash: fn(&Path) -> Result<()>,
) -> Result<Passed> {
    let lab = Lab::new(binary, setting)?;
    let path = lab.folder.join("big");
    let (mut file, piece) = (fs::File::create(&path)?, vec![7; PIECE]);
    let start = Instant::now();
    for _ in 0..mib * MIB / u64::try_from(PIECE)? {
        file.write_all(&piece)?;
    }
    drop(file);
    let write = start.elapsed();
    let start = Instant::now();
    hash(&path)?;
    let hash = start.elapsed();
    let (mut alice, mut bob) = (lab.client("alice"), lab.client("bob"));
    alice.expect(&["* bob joined"]);
    let start = Instant::now();
    alice.type_line("@send big");
    bob.expect_prefix("* receiving big");
    bob.expect_prefix("* received big");
    let time = start.elapsed();
    let programs =
        [("sender", alice.pid()), ("server", lab.server.program.pid()), ("taker", bob.pid())];
    let list = |of: fn(u32) -> String| programs.map(|(who, pid)| format!("{who} {}", of(pid)));
    let work = |pid: u32| match processor(&pid.to_string()) {
        Some(work) => format!("{:.2} s", work.as_secs_f64()),
        None => "?".to_owned(),
    };
    let (processor, memory) = (list(work).join(", "), list(peak).join(", "));
    Ok(Passed { time, hash, write, processor, memory })
}

/// The most memory that a process had.
fn peak(pid: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.map_or("?".to_owned(), |kib| kib.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The time of the processors that a process has had: its own, and the system's for it.
fn processor(pid: &str) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields = stat.rsplit(')').next()?.split_whitespace();
    // In hundredths of a second (proc(5)).
    let times = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
    Some(Duration::from_millis(10 * times.sum::<u64>()))
}

/// How long messages take to another client: of who sends a file if one is sent, and of another.
fn latency(binary: &Path, setting: &Setting<'_>, busy: bool) -> Result<[String; 2]> {
    let lab = Lab::new(binary, setting)?;
    // Never through, and of no bytes that a disk would have to hold.
    fs::File::create(lab.folder.join("big"))?.set_len(12 << 30)?;
    let names = ["alice", "bob", "carol", "dave"];
    let [mut alice, mut bob, mut carol, mut dave] = names.map(|name| lab.client(name));
    carol.expect(&["* dave joined"]);
    if busy {
        alice.type_line("@send big bob");
        bob.expect(&["* carol joined", "* dave joined"]);
        bob.expect_prefix("* receiving big");
        alice.expect(&["* bob joined", "* carol joined", "* dave joined"]);
        alice.expect_prefix("* offered big");
        alice.expect_prefix("* sending big");
    }
    let own = measure(&mut alice, "alice", &mut carol);
    // carol hears dave after alice has stopped.
    let other = measure(&mut dave, "dave", &mut carol);
    if busy {
        // Bob has not received it yet, or nothing was measured.
        alice.type_line("@cancel 1");
        let mut lines = std::iter::from_fn(|| alice.line());
        let over = lines.find(|line| !line.starts_with("dave: "));
        assert_eq!(over.as_deref(), Some("* big to bob: cancelled"));
    }
    Ok([own, other])
}

fn measure(from: &mut Program, name: &str, to: &mut Program) -> String {
    let mut times = Vec::with_capacity(MESSAGES);
    for number in 0..MESSAGES {
        thread::park_timeout(PAUSE);
        let start = Instant::now();
        from.type_line(&number.to_string());
        to.expect(&[&format!("{name}: {number}")]);
        times.push(start.elapsed());
    }
    times.sort();
    let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
    format!("p50 {:.1?}, p99 {:.1?}", at(50), at(99))
}
