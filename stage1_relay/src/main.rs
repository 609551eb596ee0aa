//! Stage 1: a plaintext relay. Clients connect over TCP and chat in one room; everything that
//! they say can be read by whoever sees the wire.

mod client;
mod connection;
mod server;
mod tour;

use std::io;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use clap::Args;
use clap::CommandFactory;
use clap::Parser;
use clap::Subcommand;
use clap::error::ErrorKind;
use common::command;
use common::command::Command;
use common::face;
use common::limits::Limits;
use common::logging;
use common::name::Name;
use common::pcap::Capture;
use common::stream;
use common::stream::Listener;
use common::stream::Stream;

use crate::client::Ended;
use crate::connection::Settings;

/// Where this stage's server listens and its client connects, unless told otherwise.
const ADDRESS: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 7001));

/// What a person can type here.
const COMMANDS: &[Command] = &[
    command::HELP,
    command::QUIT,
    command::NAMES,
    command::PRIVATE,
    command::STATUS,
    command::GROUP,
];

/// Stage 1: a chat relay in plaintext.
///
/// Without a subcommand it gives a guided tour and exits. To chat, start a server in one terminal
/// and a client in each of some others.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    mode: Option<Mode>,
    /// In the tour: wait for Enter before each step.
    #[arg(long)]
    step: bool,
}

#[derive(Subcommand)]
enum Mode {
    /// Relays between clients until Ctrl-C.
    ///
    /// The first line on stdout is `listening on ADDR`; the log goes to stderr. Each client needs
    /// one file descriptor, and a connection that has not said hello needs one too (at most twice
    /// --max-clients of them): for 1000 clients run `ulimit -n 4096` first.
    Server(ServerArgs),
    /// Chats: what you type is said to the room, and @help shows what else there is.
    ///
    /// When input or output is no terminal, it reads and writes plain lines for scripts, needs
    /// --name, and leaves at the end of its input. Exit codes: 0 left, 1 the connection failed or
    /// was lost or the name was refused, 2 wrong usage.
    Client(ClientArgs),
}

#[derive(Args)]
struct ServerArgs {
    /// Where to listen, as HOST:PORT; port 0 takes a free one, 0.0.0.0 is reached from other machines.
    #[arg(long, value_name = "ADDR", default_value_t = ADDRESS.to_string())]
    listen: String,
    /// Clients in the room at the same time.
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_clients,
          value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=2000))]
    max_clients: usize,
    #[command(flatten)]
    watch: Watch,
}

#[derive(Args)]
struct ClientArgs {
    /// The server, as HOST:PORT.
    #[arg(value_name = "ADDR", default_value_t = ADDRESS.to_string())]
    address: String,
    /// What the others call you: 1 to 20 letters, digits, _ or -.
    #[arg(long)]
    name: Option<Name>,
    #[command(flatten)]
    watch: Watch,
}

#[derive(Args)]
struct Watch {
    /// Write this program's own traffic as a capture for Wireshark; - is stdout.
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Show each frame on stderr; -vv with a hex dump.
    #[arg(short, action = clap::ArgAction::Count)]
    verbose: u8,
}

fn main() -> ExitCode {
    let result = match Cli::parse() {
        Cli { mode: Some(Mode::Server(args)), .. } => serve(&args),
        Cli { mode: Some(Mode::Client(args)), .. } => chat(args),
        Cli { mode: None, step } => tour::run(step).map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|error| {
        // There is nobody left to tell where stderr is closed.
        let _ = writeln!(io::stderr(), "error: {error:#}");
        ExitCode::FAILURE
    })
}

fn serve(args: &ServerArgs) -> Result<ExitCode> {
    logging::init(false, args.watch.verbose);
    let capture = args.watch.capture()?;
    let addresses = stream::resolve(&args.listen, ADDRESS);
    let addresses = addresses.with_context(|| format!("--listen {}", args.listen))?;
    let Some(address) = addresses.first() else { bail!("--listen {}: no address", args.listen) };
    let listener = Listener::bind(*address, capture.clone())
        .map_err(|error| stream::explain_bind(*address, error))?;
    listener.stop().at_ctrl_c()?;
    if !address.ip().is_loopback() {
        log::warn!("reachable from other machines, and whoever sees the wire reads everything");
    }
    let banner = format!("listening on {}", listener.address());
    if args.watch.is_on_stdout() {
        writeln!(io::stderr(), "{banner}")?;
    } else {
        writeln!(io::stdout(), "{banner}")?;
    }
    let limits = Limits { max_clients: args.max_clients, ..Limits::default() };
    server::run(&listener, &Settings, &limits);
    capture.inspect(Capture::finish);
    Ok(ExitCode::SUCCESS)
}

fn chat(args: ClientArgs) -> Result<ExitCode> {
    logging::init(true, args.watch.verbose);
    let Some(name) = args.name.or_else(face::ask_name) else {
        let missing = "a client in a pipe cannot ask for a name: add --name NAME";
        Cli::command().error(ErrorKind::MissingRequiredArgument, missing).exit();
    };
    let capture = args.watch.capture()?;
    let addresses = stream::resolve(&args.address, ADDRESS);
    let addresses = addresses.with_context(|| format!("server {}", args.address))?;
    let stream = Stream::connect(&addresses, capture.as_ref())
        .map_err(|error| stream::explain_connect(&args.address, error, env!("CARGO_PKG_NAME")))?;
    let (face, input) = face::open();
    let ended = client::run(&stream, &Settings, COMMANDS, &name, &face, input)?;
    capture.inspect(Capture::finish);
    Ok(match ended {
        Ended::Left => ExitCode::SUCCESS,
        Ended::Lost => ExitCode::FAILURE,
    })
}

impl Watch {
    fn capture(&self) -> Result<Option<Capture>> {
        let Some(path) = &self.pcap else { return Ok(None) };
        let capture =
            Capture::create(path).with_context(|| format!("--pcap {}", path.display()))?;
        Ok(Some(capture))
    }

    fn is_on_stdout(&self) -> bool {
        self.pcap.as_ref().is_some_and(|path| path.as_os_str() == "-")
    }
}
