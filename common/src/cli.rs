//! The part of the command line that all stages share: where to listen and connect, and how to
//! watch the traffic. A stage's `main.rs` adds what is its own.

use std::error::Error;
use std::fmt::Display;
use std::io;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::ArgAction;
use clap::Args;
use clap::builder::RangedU64ValueParser;

use crate::command;
use crate::face;
use crate::limits::Limits;
use crate::logging;
use crate::message::Bye;
use crate::message::Reason;
use crate::name::Name;
use crate::pcap::Capture;
use crate::stream;
use crate::stream::Listener;
use crate::stream::Stream;

/// The exit code for arguments that make no sense, as clap has it.
const WRONG_USAGE: u8 = 2;

/// The arguments of `server` where there is a room.
#[derive(Args, Debug)]
pub struct ServerArgs {
    #[command(flatten)]
    listen: Listen,
    /// Clients in the room at the same time.
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_clients,
          value_parser = RangedU64ValueParser::<usize>::new().range(1..=2000))]
    max_clients: usize,
}

/// The arguments of `server` where its operator takes part.
#[derive(Args, Debug)]
pub struct OperatorArgs {
    #[command(flatten)]
    listen: Listen,
}

#[derive(Args, Debug)]
struct Listen {
    /// Where to listen, as HOST:PORT [default: this machine alone, at this stage's port]; port 0
    /// takes a free one, 0.0.0.0 is reached from other machines.
    #[arg(long, value_name = "ADDR", default_value = "", hide_default_value = true)]
    listen: String,
    #[command(flatten)]
    watch: Watch,
}

/// The arguments of `client`.
#[derive(Args, Debug)]
pub struct ClientArgs {
    /// The server, as HOST:PORT [default: this machine, at this stage's port].
    #[arg(value_name = "ADDR", default_value = "", hide_default_value = true)]
    address: String,
    /// What the others call you: 1 to 20 letters, digits, _ or -.
    #[arg(long)]
    name: Option<Name>,
    #[command(flatten)]
    watch: Watch,
}

#[derive(Args, Debug)]
struct Watch {
    /// Write this program's own traffic as a capture for Wireshark: real payload, synthesised TCP/IP
    /// headers. With - it goes to stdout, and everything else to stderr.
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Show each frame on stderr; -vv with a hex dump.
    #[arg(short, action = ArgAction::Count)]
    verbose: u8,
}

impl ServerArgs {
    /// Listens at the address asked for or at `port` of this machine, says so, and hands `serve` the listener.
    /// `exposed` is the warning where other machines can reach it.
    ///
    /// # Errors
    /// If it cannot listen or capture: what to do.
    pub fn run<E: From<io::Error>>(
        &self,
        port: u16,
        exposed: &str,
        serve: impl FnOnce(&Listener, &Limits),
    ) -> Result<ExitCode, E> {
        let (listener, capture) = self.listen.listen(port, exposed)?;
        serve(&listener, &Limits { max_clients: self.max_clients, ..Limits::default() });
        capture.inspect(Capture::finish);
        Ok(ExitCode::SUCCESS)
    }
}

impl OperatorArgs {
    /// As [`ServerArgs::run`], with a face for the operator, which reads these commands.
    ///
    /// # Errors
    /// If it cannot listen or capture: what to do.
    pub fn run<E: From<io::Error>>(
        &self,
        port: u16,
        exposed: &str,
        commands: &command::Table,
        serve: impl FnOnce(&Listener, &Limits, face::Console),
    ) -> Result<ExitCode, E> {
        let (listener, capture) = self.listen.listen(port, exposed)?;
        let face = face::open(self.listen.watch.is_on_stdout());
        serve(&listener, &Limits::default(), face.console(commands));
        face.close();
        capture.inspect(Capture::finish);
        Ok(ExitCode::SUCCESS)
    }
}

impl Listen {
    /// The listener, which says where it is, and the capture of its connections.
    fn listen(&self, port: u16, exposed: &str) -> io::Result<(Listener, Option<Capture>)> {
        logging::init(true, self.watch.verbose);
        let capture = self.watch.capture()?;
        let address = resolve("--listen", &self.listen, port)?.first().copied();
        let address = address.unwrap_or_else(|| local(port));
        let listener = Listener::bind(address, capture.clone())
            .map_err(|error| stream::explain_bind(address, error))?;
        listener.stop().at_ctrl_c().map_err(io::Error::other)?;
        if !address.ip().is_loopback() {
            log::warn!("other machines can reach this server: {exposed}");
        }
        let banner = format!("listening on {}", listener.address());
        match self.watch.is_on_stdout() {
            true => writeln!(io::stderr(), "{banner}")?,
            false => writeln!(io::stdout(), "{banner}")?,
        }
        Ok((listener, capture))
    }
}

impl ClientArgs {
    /// Connects to the address asked for or to `port` of this machine, and hands `chat` the
    /// stream, a name, and the face, which reads these commands and on which an error of `chat` is
    /// shown. In a terminal a name that the server refuses is asked for again, on a new connection.
    /// `package` is the stage's, for whoever forgot to start its server.
    ///
    /// # Errors
    /// If it cannot connect or capture: what to do.
    pub fn run<E: From<io::Error> + Display + AsRef<dyn Error>>(
        self,
        port: u16,
        package: &str,
        commands: command::Table,
        chat: impl Fn(&Stream, &Name, face::Pair) -> Result<(), E>,
    ) -> Result<ExitCode, E> {
        logging::init(false, self.watch.verbose);
        let face = face::open(self.watch.is_on_stdout());
        if self.name.is_none() && !face.is_terminal() {
            writeln!(
                io::stderr(),
                "error: who are you? Add --name NAME (only a client with a line editor can ask)"
            )?;
            return Ok(ExitCode::from(WRONG_USAGE));
        }
        let capture = self.watch.capture()?;
        let addresses = resolve("server", &self.address, port)?;
        let (mut name, mut left) = (self.name, ExitCode::SUCCESS);
        loop {
            let Some(known) = name.take().or_else(|| face.ask_name()) else {
                return Ok(left);
            };
            let stream = Stream::connect(&addresses, capture.as_ref())
                .map_err(|error| stream::explain_connect(&addresses, error, package, port))?;
            let (output, input) = face.pair(&commands);
            let ended = chat(&stream, &known, (Arc::clone(&output), input));
            stream.close();
            let Err(lost) = ended else { break };
            output.error(format!("{lost:#}"))?;
            if !(face.is_terminal() && is_about_name(lost.as_ref())) {
                capture.inspect(Capture::finish);
                return Ok(ExitCode::FAILURE);
            }
            left = ExitCode::FAILURE;
        }
        capture.inspect(Capture::finish);
        Ok(ExitCode::SUCCESS)
    }
}

/// Whether another name may do where this one did not.
fn is_about_name(error: &(dyn Error + 'static)) -> bool {
    let about_name = |bye: &Bye| matches!(bye.reason, Reason::NameTaken | Reason::BadName);
    error.downcast_ref().is_some_and(about_name) || error.source().is_some_and(is_about_name)
}

impl Watch {
    fn is_on_stdout(&self) -> bool {
        self.pcap.as_ref().is_some_and(|path| path.as_os_str() == "-")
    }

    fn capture(&self) -> io::Result<Option<Capture>> {
        let Some(path) = &self.pcap else { return Ok(None) };
        let capture = Capture::create(path);
        capture.map(Some).map_err(|error| context(format!("--pcap {}", path.display()), error))
    }
}

/// The exit code of a program; an error is said on stderr, after the log.
pub fn exit<E: Display>(result: Result<ExitCode, E>) -> ExitCode {
    log::logger().flush();
    result.unwrap_or_else(|error| {
        // There is nobody to tell where stderr is closed.
        let _ = writeln!(io::stderr(), "error: {error:#}");
        ExitCode::FAILURE
    })
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)
}

fn resolve(what: &str, text: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    stream::resolve(text, local(port)).map_err(|error| match text.parse::<Name>() {
        Ok(name) => context(format!("{what} {name} (or did you mean --name {name}?)"), error),
        Err(_) => context(format!("{what} {text}"), error),
    })
}

fn context(what: String, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
