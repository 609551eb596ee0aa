//! The command line: parses it, and runs the server, a client or the guided tour.

mod client;
mod connection;
mod server;
mod tour;
mod transfer;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use clap::Subcommand;
use common::cli;
use common::command;
use common::crypto;

// Its help begins with the package's description.
/// Each client agrees with the server on a key of their own. The server decrypts what it relays, so
/// it reads everything, and neither side knows who the other is: whoever sits between them can
/// hold a handshake with each. With the default cipher changes on the way go unnoticed, too.
///
/// Without a subcommand it gives a guided tour and exits. To chat, start a server in one terminal
/// and a client in each of some others.
#[derive(Parser)]
#[command(version, about, long_about, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    mode: Option<Mode>,
    /// In the tour: wait for Enter before each step.
    #[arg(long)]
    step: bool,
    #[command(flatten)]
    crypto: crypto::options::Options,
}

#[derive(Subcommand)]
enum Mode {
    /// Relays between clients until Ctrl-C.
    ///
    /// The first line on stdout is `listening on ADDR`; the log goes to stderr. Each client needs
    /// a file descriptor, and so does each connection that has not said hello (at most twice
    /// --max-clients of them): for 1000 clients run `ulimit -n 4096` first.
    Server(cli::FileServerArgs),
    /// Chats: what you type is said to the room, and @help shows what else there is.
    ///
    /// When input or output is no terminal, it reads and writes plain lines for scripts, needs
    /// --name, and leaves at the end of its input. Exit codes: 0 left, 1 the connection failed or
    /// was lost or the name was refused, 2 wrong usage.
    Client(cli::FileClientArgs),
}

/// What a person can type here.
fn commands() -> command::Table {
    [&command::CHAT[..], &command::FILES].concat().into()
}

fn main() -> ExitCode {
    cli::exit(run(cli::parse()))
}

fn run(cli: Cli) -> Result<ExitCode> {
    let Some(mode) = cli.mode else {
        cli.crypto.none_for_a_tour()?;
        return tour::run(cli.step);
    };
    let settings = cli.crypto.settings()?;
    match mode {
        Mode::Server(args) => {
            let exposed = "whoever is on the way can pretend to be it";
            args.run(env!("CARGO_PKG_NAME"), exposed, |listener, limits| {
                settings.warn();
                server::run(listener, &settings, limits);
            })
        }
        Mode::Client(args) => {
            let secrets = crypto::Secrets::default();
            let commands = secrets.commands(commands());
            args.run(env!("CARGO_PKG_NAME"), commands, |stream, name, face| {
                client::run(stream, &settings, name, secrets.over(name, face))
            })
        }
    }
}
