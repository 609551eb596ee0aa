//! What encryption costs the relay: deliveries per second of this stage beside stage 1's.
//!
//! ```text
//! cargo bench -p stage3_secure_multi --bench speed -- [--rounds N] [--clients N] [--bytes N]
//! ```
//!
//! Each server is a process of its own, over loopback TCP. One client sends as fast as it may. One
//! of the others opens every record and checks that each message comes once and in order; the rest
//! count records, because it is the server that is measured, and they share its processors. Machines
//! differ and are noisy; the ratios of one run are what is worth comparing.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "a bench may stop at the first surprise"
)]

#[path = "../../stage1_relay/src/connection.rs"]
mod connection;
#[allow(dead_code, reason = "only its client's side is needed here")]
#[path = "../src/connection.rs"]
mod secure;
#[path = "../../stage1_relay/src/server.rs"]
mod server;

use std::collections::VecDeque;
use std::env;
use std::error::Error;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::SocketAddr;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use common::crypto::suite::Allowed;
use common::crypto::suite::Cipher;
use common::frame;
use common::frame::Outgoing;
use common::limits::Limits;
use common::logging;
use common::message;
use common::message::Request;
use common::outbox::Outbox;
use common::stream::Listener;
use common::stream::Stream;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Digits at the start of a text: its number.
const DIGITS: usize = 16;
/// Messages that are queued together.
const TOGETHER: u64 = 64;

/// Which relay is measured.
#[derive(Clone, Copy)]
enum Kind {
    Plain,
    Secure(Cipher),
}

/// A relay in a process of its own.
struct Relay {
    process: Child,
    address: SocketAddr,
    kind: Kind,
}

/// The sending half, as a function.
type SendQueued = Box<dyn FnOnce(&Outbox) -> io::Result<()> + Send>;

/// The receiving half.
enum Receive {
    Plain(connection::Receiver),
    Secure(secure::Receiver),
}

impl Receive {
    /// The next frame; for one that only counts, what is on the wire.
    fn next(&mut self, opens: bool) -> Result<frame::Frame<'_>> {
        let ended = "the relay closed the connection";
        Ok(match self {
            Receive::Plain(receiver) => receiver.receive()?.ok_or(ended)?,
            Receive::Secure(receiver) => match opens {
                true => receiver.receive()?.ok_or(ended)?,
                false => receiver.frames.read()?.ok_or(ended)?,
            },
        })
    }
}

impl Relay {
    fn start(kind: Kind) -> Result<Relay> {
        let mut command = match kind {
            Kind::Plain => Command::new(env::current_exe()?),
            Kind::Secure(_) => Command::new(env!("CARGO_BIN_EXE_stage3_secure_multi")),
        };
        match kind {
            Kind::Plain => command.arg("stage1"),
            Kind::Secure(_) => command.args(["server", "--listen", "127.0.0.1:0"]),
        };
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().ok_or("no stdout")?).read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening on ").ok_or("no address")?.parse()?;
        Ok(Relay { process, address, kind })
    }

    /// Connects and waits until the relay has taken the client in.
    fn join(&self, number: usize) -> Result<(Arc<Outbox>, Receive)> {
        let stream = Stream::connect(&[self.address], None)?;
        let (send, mut receive): (SendQueued, Receive) = match self.kind {
            Kind::Plain => {
                let (mut sender, receiver, _) =
                    connection::connect(&stream, &connection::Settings::default())?;
                let send = move |outbox: &Outbox| sender.send_queued(outbox);
                (Box::new(send), Receive::Plain(receiver))
            }
            Kind::Secure(cipher) => {
                let allowed = Allowed { kex: None, cipher: Some(cipher) };
                let settings = secure::Settings { allowed, ..secure::Settings::default() };
                let (mut sender, receiver, _) = secure::connect(&stream, &settings)?;
                let send = move |outbox: &Outbox| sender.send_queued(outbox);
                (Box::new(send), Receive::Secure(receiver))
            }
        };
        let outbox = Arc::new(Outbox::new(&Limits::for_client()));
        let queue = Arc::clone(&outbox);
        thread::spawn(move || {
            let _ = send(&queue);
            stream.close();
        });
        let name = format!("c{number}");
        outbox.push(message::hello(&name.parse()?).into());
        let joined = format!(r#"{{"type":"joined","name":"{name}"}}"#);
        while receive.next(true)?.body != joined.as_bytes() {}
        Ok((outbox, receive))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Deliveries per second: one of `clients` sends `messages` as fast as it may.
fn fanout(kind: Kind, clients: usize, size: usize, messages: u64) -> Result<f64> {
    let relay = Relay::start(kind)?;
    let (outbox, _own) = relay.join(0)?;
    let ready = Arc::new(Barrier::new(clients));
    let others = (1..clients).map(|number| relay.join(number)).collect::<Result<Vec<_>>>()?;
    let mut receivers = Vec::new();
    for (number, (kept, mut receive)) in others.into_iter().enumerate() {
        let (ready, opens) = (Arc::clone(&ready), number == 0);
        receivers.push(thread::spawn(move || -> Result<_> {
            // Those who came later.
            for _ in number + 2..clients {
                receive.next(opens)?;
            }
            ready.wait();
            for expected in 0..messages {
                let frame = receive.next(opens)?;
                if opens {
                    let digits = frame.body.len() - 2 - size;
                    let digits = str::from_utf8(&frame.body[digits..digits + DIGITS])?;
                    if digits.parse() != Ok(expected) {
                        return Err(format!("{digits} where {expected} was due").into());
                    }
                }
            }
            Ok((kept, receive))
        }));
    }

    ready.wait();
    let begun = Instant::now();
    let mut sent = 0;
    while sent < messages {
        let now = TOGETHER.min(messages - sent);
        let say = |number| {
            let text = format!("{number:0DIGITS$}{}", "x".repeat(size - DIGITS));
            message::encode(&Request::Say { text })
        };
        let frames = (sent..sent + now).map(say).collect::<VecDeque<Outgoing>>();
        outbox.push(frames);
        sent += now;
    }
    let mut kept = Vec::new();
    for receiver in receivers {
        // Who has everything stays until all have: a `left` would come between the others'.
        kept.push(receiver.join().map_err(|_| "a thread panicked")??);
    }
    Ok(messages as f64 * (clients - 1) as f64 / begun.elapsed().as_secs_f64())
}

fn report(rounds: usize, clients: usize, size: usize) -> Result<()> {
    let messages = 100_000_000 / (clients as u64 - 1).max(8) / (size as u64 + 100);
    let mut results = Vec::new();
    for _ in 0..rounds {
        let plain = fanout(Kind::Plain, clients, size, messages)?;
        let cfb = fanout(Kind::Secure(Cipher::Cfb), clients, size, messages / 2)?;
        let gcm = fanout(Kind::Secure(Cipher::Gcm), clients, size, messages)?;
        results.push([plain, cfb, gcm]);
    }
    results.sort_by(|a, b| (a[2] / a[0]).total_cmp(&(b[2] / b[0])));
    let [plain, cfb, gcm] = results[rounds / 2];
    println!(
        "{clients:7} {size:6} {plain:12.0} {cfb:12.0} {:6.2} {gcm:12.0} {:6.2}",
        cfb / plain,
        gcm / plain
    );
    Ok(())
}

fn main() -> Result<()> {
    let args = env::args().skip(1).filter(|arg| arg != "--bench").collect::<Vec<_>>();
    if args.first().is_some_and(|arg| arg == "stage1") {
        let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), None)?;
        writeln!(io::stdout(), "listening on {}", listener.address())?;
        // Whoever started it kills it.
        let limits = Limits { ping_after: Duration::from_secs(600), ..Limits::default() };
        server::run(&listener, &connection::Settings::default(), &limits);
        return Ok(());
    }
    // Each client would say which session it has.
    logging::show_with(|_| {});
    let number = |option: &str, default: usize| {
        let value = args.iter().skip_while(|arg| *arg != option).nth(1);
        value.map_or(Ok(default), |value| value.parse())
    };
    let (rounds, only) = (number("--rounds", 5)?, (number("--clients", 0)?, number("--bytes", 0)?));
    println!("fan-out: one sender as fast as it may, deliveries per second (median of {rounds})");
    println!("clients  bytes      stage 1          CFB  ratio          GCM  ratio");
    for clients in [2, 10, 50, 200].into_iter().filter(|n| only.0 == 0 || *n == only.0) {
        for size in [64, 1024].into_iter().filter(|n| only.1 == 0 || *n == only.1) {
            report(rounds, clients, size)?;
        }
    }
    Ok(())
}
