//! How fast and how small the relay is, beside a plain byte relay in the same run.
//!
//! ```text
//! cargo bench -p stage1_relay --bench speed -- fanout latency joins idle [--rounds N] [--seconds N] [--clients N] [--bytes N]
//! ```
//!
//! Both relays are processes of their own, over loopback TCP. The plain one reads bytes and
//! writes them to all other sockets: no frames, no JSON, no names, no queues. Machines differ and
//! are noisy; the ratio between the two in one run is what is worth comparing.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "a bench may stop at the first surprise"
)]

use std::env;
use std::error::Error;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Barrier;
use std::sync::Mutex;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use socket2::Domain;
use socket2::Socket;
use socket2::Type;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Digits at the start of a text: a sequence number or a time.
const DIGITS: usize = 16;
/// What a sender writes, and the plain relay reads, with one system call.
const CHUNK: usize = 64 * 1024;

/// Which relay is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Stage,
}

/// A relay in a process of its own.
struct Relay {
    process: Child,
    address: SocketAddr,
    kind: Kind,
}

impl Relay {
    fn start(kind: Kind, max_clients: usize) -> Result<Relay> {
        let mut command = match kind {
            Kind::Plain => Command::new(env::current_exe()?),
            Kind::Stage => Command::new(env!("CARGO_BIN_EXE_stage1_relay")),
        };
        match kind {
            Kind::Plain => command.arg("plain-relay"),
            Kind::Stage => command
                .args(["server", "--listen", "127.0.0.1:0", "--max-clients"])
                .arg(max_clients.to_string()),
        };
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().ok_or("no stdout")?).read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening on ").ok_or("no address")?.parse()?;
        Ok(Relay { process, address, kind })
    }

    /// Connects and waits until the relay has taken the client in.
    fn join(&self, number: usize) -> Result<TcpStream> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        match self.kind {
            Kind::Plain => stream.read_exact(&mut [0])?,
            Kind::Stage => {
                let name = format!("c{number}");
                let hello = format!(r#"{{"type":"hello","chat5":1,"name":"{name}"}}"#);
                stream.write_all(&frame(hello.as_bytes()))?;
                let joined = format!(r#"{{"type":"joined","name":"{name}"}}"#);
                while read_frame(&mut stream)? != joined.as_bytes() {}
            }
        }
        Ok(stream)
    }

    /// Joins `count` clients; each has seen all later ones join, so that what follows is chat.
    fn join_all(&self, count: usize) -> Result<Vec<TcpStream>> {
        let streams = (0..count).map(|n| self.join(n)).collect::<Result<Vec<_>>>()?;
        if self.kind == Kind::Stage {
            for (number, stream) in streams.iter().enumerate() {
                let mut stream = stream;
                for _ in number + 1..count {
                    read_frame(&mut stream)?;
                }
            }
        }
        Ok(streams)
    }

    /// A message whose text has `size` bytes, as its sender writes it, and where its digits are.
    fn message(&self, size: usize) -> (Vec<u8>, usize) {
        let text = "x".repeat(size);
        match self.kind {
            Kind::Plain => (text.into_bytes(), 0),
            Kind::Stage => {
                let message = frame(format!(r#"{{"type":"say","text":"{text}"}}"#).as_bytes());
                let digits = message.len() - 2 - size;
                (message, digits)
            }
        }
    }

    fn receiver(&self, stream: TcpStream, size: usize) -> Receiver {
        Receiver { stream, kind: self.kind, size, buffer: vec![0; 2 * CHUNK], start: 0, end: 0 }
    }

    /// Resident bytes and threads.
    fn footprint(&self) -> Result<(usize, usize)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_whitespace().nth(1)?.parse::<usize>().ok())
        };
        let (resident, threads) = (field("VmRSS:"), field("Threads:"));
        Ok((resident.ok_or("no VmRSS")? * 1024, threads.ok_or("no Threads")?))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Takes the digits out of each message that comes.
struct Receiver {
    stream: TcpStream,
    kind: Kind,
    size: usize,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Receiver {
    /// Receives the numbers from 0 up to `messages`, each once and in order.
    fn expect(&mut self, messages: u64) -> Result<()> {
        for expected in 0..messages {
            let got = self.next()?;
            if got != expected {
                return Err(format!("message {got} where {expected} was due").into());
            }
        }
        Ok(())
    }

    fn next(&mut self) -> Result<u64> {
        loop {
            let bytes = &self.buffer[self.start..self.end];
            let (whole, digits) = match self.kind {
                Kind::Plain => (self.size, 0),
                Kind::Stage if bytes.len() < 4 => (usize::MAX, 0),
                Kind::Stage => {
                    let whole = 4 + u32::from_be_bytes(bytes[..4].try_into()?) as usize;
                    match whole.checked_sub(2 + self.size) {
                        Some(digits) => (whole, digits),
                        None => return Err(String::from_utf8_lossy(bytes).into()),
                    }
                }
            };
            if let Some(message) = bytes.get(..whole) {
                let digits = message.get(digits..digits + DIGITS).ok_or("a short message")?;
                let number = digits.iter().try_fold(0, |number, digit| {
                    Some(number * 10 + u64::from(digit.checked_sub(b'0')?))
                });
                self.start += whole;
                return Ok(number.ok_or("no digits")?);
            }
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            match self.stream.read(&mut self.buffer[self.end..])? {
                0 => return Err("the relay closed the connection".into()),
                read => self.end += read,
            }
        }
    }
}

fn frame(body: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(body.len() + 1).unwrap_or(u32::MAX).to_be_bytes().to_vec();
    frame.push(0x10);
    frame.extend_from_slice(body);
    frame
}

fn read_frame(stream: &mut impl Read) -> Result<Vec<u8>> {
    let mut header = [0; 5];
    stream.read_exact(&mut header)?;
    let length = u32::from_be_bytes([header[0], header[1], header[2], header[3]]) as usize;
    let mut body = vec![0; length - 1];
    stream.read_exact(&mut body)?;
    Ok(body)
}

fn put_digits(message: &mut [u8], at: usize, number: u64) {
    let digits = format!("{number:0DIGITS$}");
    message[at..at + DIGITS].copy_from_slice(digits.as_bytes());
}

/// Deliveries per second: one of `clients` sends `messages` as fast as it may.
fn fanout(kind: Kind, clients: usize, size: usize, messages: u64) -> Result<f64> {
    let relay = Relay::start(kind, 256)?;
    let mut streams = relay.join_all(clients)?;
    let mut sender = streams.remove(0);
    let ready = Arc::new(Barrier::new(clients));
    let mut receivers = Vec::new();
    for stream in streams {
        let (mut receiver, ready) = (relay.receiver(stream, size), Arc::clone(&ready));
        let sender = sender.try_clone()?;
        receivers.push(thread::spawn(move || {
            ready.wait();
            let received = receiver.expect(messages);
            if received.is_err() {
                // So that the sender does not wait for ever.
                sender.shutdown(Shutdown::Both)?;
            }
            // Who has everything stays until all have: a `left` would come between the others'.
            received.map(|()| receiver)
        }));
    }

    let (message, digits) = relay.message(size);
    let many = (CHUNK / message.len()) as u64;
    let mut chunk = message.repeat(many as usize);
    ready.wait();
    let begun = Instant::now();
    let mut sent = 0;
    let mut broken = Ok(());
    while sent < messages && broken.is_ok() {
        let now = many.min(messages - sent);
        for n in 0..now {
            put_digits(&mut chunk, n as usize * message.len() + digits, sent + n);
        }
        broken = sender.write_all(&chunk[..now as usize * message.len()]);
        sent += now;
    }
    join(receivers)?;
    broken?;
    Ok(messages as f64 * (clients - 1) as f64 / begun.elapsed().as_secs_f64())
}

fn report_fanout(rounds: usize, only: (usize, usize)) -> Result<()> {
    println!("fan-out: one sender as fast as it may, every delivery counted and in order");
    println!("clients  bytes   plain relay/s        stage/s    ratio (median of {rounds})");
    let wanted = |this: &usize, only: usize| only == 0 || *this == only;
    for clients in [2, 10, 50, 200].into_iter().filter(|clients| wanted(clients, only.0)) {
        for size in [64, 1024].into_iter().filter(|size| wanted(size, only.1)) {
            let messages = 200_000_000 / (clients as u64 - 1).max(8) / (size as u64 + 100);
            let mut results = Vec::new();
            for _ in 0..rounds {
                let plain = fanout(Kind::Plain, clients, size, messages * 4)?;
                let stage = fanout(Kind::Stage, clients, size, messages * 2)?;
                results.push((stage / plain, plain, stage));
            }
            results.sort_by(|a, b| a.0.total_cmp(&b.0));
            let (ratio, plain, stage) = results[rounds / 2];
            println!("{clients:7} {size:6} {plain:15.0} {stage:14.0} {ratio:8.2}");
        }
    }
    Ok(())
}

/// Latencies in nanoseconds, sorted: each of `clients` sends `rate` messages a second.
fn paced(kind: Kind, clients: usize, rate: f64, seconds: u64) -> Result<Vec<u64>> {
    const SIZE: usize = 64;
    let relay = Relay::start(kind, 256)?;
    let streams = relay.join_all(clients)?;
    let each = (rate * seconds as f64).ceil() as u64;
    let epoch = Instant::now() + Duration::from_millis(100);
    let latencies = Arc::new(Mutex::new(Vec::new()));
    let mut threads = Vec::new();
    for (number, stream) in streams.into_iter().enumerate() {
        let mut receiver = relay.receiver(stream.try_clone()?, SIZE);
        let expected = each * (clients as u64 - 1);
        let latencies = Arc::clone(&latencies);
        threads.push(thread::spawn(move || -> Result<()> {
            let mut own = Vec::new();
            // Of each sender the time of its last message; strictly growing, so that nothing is
            // repeated or out of order, and the count shows that nothing is lost.
            let mut last = vec![0; clients];
            for _ in 0..expected {
                let stamp = receiver.next()?;
                let (sender, sent) = ((stamp % 1000) as usize, stamp / 1000);
                if sent <= last[sender] {
                    return Err("a message twice or out of order".into());
                }
                last[sender] = sent;
                own.push((epoch.elapsed().as_nanos() as u64).saturating_sub(sent));
            }
            latencies.lock().unwrap().append(&mut own);
            Ok(())
        }));
        let (mut message, digits) = relay.message(SIZE);
        let mut stream = stream;
        threads.push(thread::spawn(move || -> Result<()> {
            for n in 0..each {
                let due = epoch
                    + Duration::from_secs_f64((n as f64 + number as f64 / clients as f64) / rate);
                thread::sleep(due.saturating_duration_since(Instant::now()));
                let now = epoch.elapsed().as_nanos() as u64;
                put_digits(&mut message, digits, now * 1000 + number as u64);
                stream.write_all(&message)?;
            }
            Ok(())
        }));
    }
    join(threads)?;
    let mut latencies = std::mem::take(&mut *latencies.lock().unwrap());
    latencies.sort_unstable();
    Ok(latencies)
}

fn report_latency(seconds: u64) -> Result<()> {
    println!("latency: about 10,000 deliveries a second for {seconds} s, microseconds");
    println!("clients  each/s  relay   deliveries      p50      p90      p99    p99.9      max");
    for (clients, rate) in [(2, 1000.0), (10, 100.0), (50, 4.0), (200, 0.25)] {
        let mut p99 = Vec::new();
        for (kind, name) in [(Kind::Plain, "plain"), (Kind::Stage, "stage")] {
            let sorted = paced(kind, clients, rate, seconds)?;
            let at = |part: f64| {
                let index = (sorted.len() as f64 * part) as usize;
                sorted[index.min(sorted.len() - 1)] as f64 / 1000.0
            };
            println!(
                "{clients:7} {rate:7} {name:>6} {:12} {:8.0} {:8.0} {:8.0} {:8.0} {:8.0}",
                sorted.len(),
                at(0.5),
                at(0.9),
                at(0.99),
                at(0.999),
                at(1.0)
            );
            p99.push(at(0.99));
        }
        println!(
            "                p99 of the stage / plain: {:.2}; 0 lost, repeated or out of order",
            p99[1] / p99[0]
        );
    }
    Ok(())
}

/// Joins per second and the slowest of them: `clients` at once, each confirmed.
fn joins(kind: Kind, clients: usize) -> Result<(f64, Duration)> {
    let relay = Arc::new(Relay::start(kind, clients)?);
    let ready = Arc::new(Barrier::new(clients + 1));
    let threads = (0..clients).map(|number| {
        let (relay, ready) = (Arc::clone(&relay), Arc::clone(&ready));
        thread::spawn(move || -> Result<(TcpStream, Duration)> {
            ready.wait();
            let begun = Instant::now();
            let stream = relay.join(number)?;
            Ok((stream, begun.elapsed()))
        })
    });
    let threads = threads.collect::<Vec<_>>();
    ready.wait();
    let begun = Instant::now();
    let joined = join(threads)?;
    let rate = clients as f64 / begun.elapsed().as_secs_f64();
    let slowest = joined.iter().map(|(_, took)| *took).max().unwrap_or_default();
    Ok((rate, slowest))
}

fn report_joins(rounds: usize) -> Result<()> {
    println!("joins: 300 at once, each confirmed (and told to all who are there)");
    let mut results = Vec::new();
    for _ in 0..rounds {
        let (plain, plain_slowest) = joins(Kind::Plain, 300)?;
        let (stage, stage_slowest) = joins(Kind::Stage, 300)?;
        results.push((stage / plain, plain, plain_slowest, stage, stage_slowest));
    }
    results.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (ratio, plain, plain_slowest, stage, stage_slowest) = results[rounds / 2];
    println!(
        "plain accept loop {plain:.0}/s (slowest {plain_slowest:.0?}), stage {stage:.0}/s (slowest {stage_slowest:.0?}), ratio {ratio:.2} (median of {rounds})"
    );
    Ok(())
}

fn report_idle() -> Result<()> {
    if !cfg!(target_os = "linux") {
        println!("idle: not measured here, memory is read from /proc");
        return Ok(());
    }
    const CLIENTS: usize = 1000;
    let relay = Relay::start(Kind::Stage, CLIENTS)?;
    let (before, _) = relay.footprint()?;
    let streams = (0..CLIENTS).map(|n| relay.join(n)).collect::<Result<Vec<_>>>()?;
    let (after, threads) = relay.footprint()?;
    println!(
        "idle: {} clients, {threads} threads, {} KiB resident, {:.1} KiB each",
        streams.len(),
        after / 1024,
        (after - before) as f64 / 1024.0 / CLIENTS as f64
    );
    Ok(())
}

fn join<T>(threads: Vec<JoinHandle<Result<T>>>) -> Result<Vec<T>> {
    threads.into_iter().map(|thread| thread.join().map_err(|_| "a thread panicked")?).collect()
}

/// The plain byte relay: a thread for each client, which writes what it reads to all others.
fn plain_relay() -> Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    // As long as the stage's, so that neither makes a burst of joins wait for a second SYN.
    socket.listen(1024)?;
    let listener = TcpListener::from(socket);
    writeln!(io::stdout(), "listening on {}", listener.local_addr()?)?;
    let peers = Arc::new(Mutex::new(Vec::<Arc<TcpStream>>::new()));
    for stream in listener.incoming() {
        let stream = Arc::new(stream?);
        stream.set_nodelay(true)?;
        peers.lock().unwrap().push(Arc::clone(&stream));
        (&*stream).write_all(b"!")?;
        let peers = Arc::clone(&peers);
        thread::spawn(move || {
            let mut buffer = vec![0; CHUNK];
            while let Ok(read @ 1..) = (&*stream).read(&mut buffer) {
                for peer in &*peers.lock().unwrap() {
                    if !Arc::ptr_eq(peer, &stream) && (&**peer).write_all(&buffer[..read]).is_err()
                    {
                        return;
                    }
                }
            }
        });
    }
    Ok(())
}

fn main() -> Result<()> {
    let args = env::args().skip(1).filter(|arg| arg != "--bench").collect::<Vec<_>>();
    if args.first().is_some_and(|arg| arg == "plain-relay") {
        return plain_relay();
    }
    let number = |option: &str, default: u64| {
        let value = args.iter().skip_while(|arg| *arg != option).nth(1);
        value.map_or(Ok(default), |value| value.parse())
    };
    let (seconds, rounds) = (number("--seconds", 30)?, number("--rounds", 5)? as usize);
    let parts = ["fanout", "latency", "joins", "idle"];
    let all = !args.iter().any(|arg| parts.contains(&arg.as_str()));
    for part in parts.into_iter().filter(|part| all || args.iter().any(|arg| arg == part)) {
        match part {
            "fanout" => {
                let only = (number("--clients", 0)? as usize, number("--bytes", 0)? as usize);
                report_fanout(rounds, only)?;
            }
            "latency" => report_latency(seconds)?,
            "joins" => report_joins(rounds)?,
            _ => report_idle()?,
        }
        println!();
    }
    Ok(())
}
