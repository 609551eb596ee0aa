//! The command line: parses it, and runs the server, a client or the guided tour.

mod client;
mod connection;
mod known_servers;
mod login;
mod noise;
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
use common::sync::Arc;
use state::options;

use crate::connection::Settings;
use crate::known_servers::KnownServers;

// Its help begins with the package's description.
/// Each client agrees with the server on keys of their own, and knows which server it is: the one
/// whose key it has seen first, or was given. With accounts or a password both sides prove that they
/// know it, and neither says it. Changes on the way are noticed. The server decrypts what it relays,
/// so it reads everything.
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
    ///
    /// With --kex or --cipher it takes the handshake of stage 3 instead, which proves nothing.
    Server {
        #[command(flatten)]
        args: cli::FileServerArgs,
        #[command(flatten)]
        entry: options::Entry,
    },
    /// Chats: what you type is said to the room, and @help shows what else there is.
    ///
    /// When input or output is no terminal, it reads and writes plain lines for scripts, needs
    /// --name, and leaves at the end of its input. Exit codes: 0 left, 1 the connection failed or
    /// was lost or the name or the login was refused, 2 wrong usage.
    ///
    /// Without --kex and --cipher the server is known by its key, and records are authenticated. With
    /// one of them it is the handshake of stage 3 instead, in which nobody is known.
    Client {
        #[command(flatten)]
        args: cli::FileClientArgs,
        #[command(flatten)]
        login: options::Login,
    },
    #[command(flatten)]
    Accounts(options::Command),
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
    let (crypto, is_unauthenticated) = (cli.crypto.settings()?, cli.crypto.is_suite_chosen());
    match mode {
        Mode::Server { args, entry } => {
            entry.excludes(is_unauthenticated);
            let settings = match is_unauthenticated {
                true => Settings::Unauthenticated(crypto),
                false => Settings::Server(Arc::new(entry.server(crypto.keylog, login::verifier)?)),
            };
            let exposed = "whoever is not kept out by a login can talk to it";
            args.run(env!("CARGO_PKG_NAME"), exposed, |listener, limits| {
                match &settings {
                    Settings::Unauthenticated(crypto) => crypto.warn_loudly(),
                    Settings::Server(server) => server.announce(),
                    Settings::Client(_) => {}
                }
                server::run(listener, &settings, limits);
            })
        }
        Mode::Client { mut args, login } => {
            login.excludes(is_unauthenticated, args.name());
            let (file, pinned) = (login.known_servers(), login.server_key());
            let address = args.server(env!("CARGO_PKG_NAME"))?;
            let server = KnownServers { file, address, pinned };
            let (login, keylog) = (Arc::new(login), crypto.keylog.clone());
            let client = connection::Client { keylog, server, login: Arc::clone(&login) };
            let settings = match is_unauthenticated {
                true => Settings::Unauthenticated(crypto),
                false => Settings::Client(Arc::new(client)),
            };
            let secrets = crypto::Secrets::default();
            let commands = secrets.commands(commands());
            let ask = |face: &_, name: &_, again| Ok(login.ask(face, name, again)?);
            args.run_with_login(env!("CARGO_PKG_NAME"), commands, ask, |stream, name, face| {
                client::run(stream, &settings, name, secrets.over(name, face))
            })
        }
        Mode::Accounts(command) => cli::say(&command.run(login::verifier)?),
    }
}
