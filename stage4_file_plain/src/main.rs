//! Stage 1: a plaintext relay. Clients connect over TCP and chat in one room; everything that
//! they say can be read by whoever sees the wire.

mod client;
mod connection;
mod server;
mod tour;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use clap::Subcommand;
use common::cli;
use common::command;

use crate::connection::Settings;

/// Where, on this machine, the server listens and a client connects, unless told otherwise.
const PORT: u16 = 7001;

/// What a person can type here.
fn commands() -> command::Table {
    command::CHAT.into()
}

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
    /// Relays between clients until Ctrl-C, at 127.0.0.1:7001 unless told otherwise.
    ///
    /// The first line on stdout is `listening on ADDR`; the log goes to stderr. Each client needs
    /// a file descriptor, and so does each connection that has not said hello (at most twice
    /// --max-clients of them): for 1000 clients run `ulimit -n 4096` first.
    Server(cli::ServerArgs),
    /// Chats: what you type is said to the room, and @help shows what else there is. The server is
    /// at 127.0.0.1:7001 unless an address is given.
    ///
    /// When input or output is no terminal, it reads and writes plain lines for scripts, needs
    /// --name, and leaves at the end of its input. Exit codes: 0 left, 1 the connection failed or
    /// was lost or the name was refused, 2 wrong usage.
    Client(cli::ClientArgs),
}

fn main() -> ExitCode {
    cli::exit(run(Cli::parse()))
}

fn run(cli: Cli) -> Result<ExitCode> {
    let settings = Settings;
    match cli.mode {
        None => tour::run(cli.step),
        Some(Mode::Server(args)) => {
            let exposed = "whoever sees the wire reads everything";
            args.run(PORT, exposed, |listener, limits| server::run(listener, &settings, limits))
        }
        Some(Mode::Client(args)) => {
            args.run(PORT, env!("CARGO_PKG_NAME"), commands(), |stream, name, face| {
                client::run(stream, &settings, name, face)
            })
        }
    }
}
