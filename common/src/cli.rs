//! The part of the command line that all stages share: where to listen and connect, and how to
//! watch the traffic. A stage's `main.rs` adds what is its own.

use std::error::Error;
use std::fmt::Display;
use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::ArgAction;
use clap::ArgMatches;
use clap::Args;
use clap::Command;
use clap::Parser;
use clap::builder::PathBufValueParser;
use clap::builder::RangedU64ValueParser;
use clap::builder::TypedValueParser;
use clap::error::ErrorKind;

use crate::command;
use crate::face;
use crate::files;
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
/// The name of arguments whose default is the stage's address.
const ADDRESS: &str = "ADDR";
/// The largest file that is taken, unless told otherwise.
const MAX_FILE: files::Size = files::Size(16 << 30);

/// The arguments of this process, read as those of a stage. Their help begins with the package's
/// description, and says where the stage's server is unless told otherwise.
pub fn parse<C: Parser>() -> C {
    let mut command = with_address(C::command());
    let matches = command.get_matches_mut();
    if let Some((name, chosen)) = matches.subcommand()
        && let Some(option) = discloses(chosen)
        && let Err((kind, text)) = can_disclose(option, chosen)
        && let Some(subcommand) = command.find_subcommand_mut(name)
    {
        subcommand.error(kind, text).exit();
    }
    C::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// An option that puts into a capture what was encrypted, if one is given.
fn discloses(chosen: &ArgMatches) -> Option<&'static str> {
    let is_set = |id| chosen.try_get_one(id).ok().flatten() == Some(&true);
    let options = [("pcap_plaintext", "--pcap-plaintext"), ("pcap_keys", "--pcap-keys")];
    options.into_iter().find_map(|(id, option)| is_set(id).then_some(option))
}

/// Whether there is a capture for it, which nobody else may read. (Clap's `requires` does not reach
/// from options for every subcommand, such as these, to those of one.)
fn can_disclose(option: &str, chosen: &ArgMatches) -> Result<(), (ErrorKind, String)> {
    let Some(path) = chosen.try_get_one::<PathBuf>("pcap").ok().flatten() else {
        let text = format!("{option} says what is in a capture, and needs one: add --pcap FILE");
        return Err((ErrorKind::MissingRequiredArgument, text));
    };
    #[cfg(unix)]
    if let Ok(found) = path.metadata()
        && found.is_file()
        && std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o077 != 0
    {
        let path = path.display();
        let text =
            format!("{option}: others may read {path}: remove it, or run `chmod 600 {path}`");
        return Err((ErrorKind::ValueValidation, text));
    }
    Ok(())
}

/// The command line of the package that it is called after, with the address in its help.
fn with_address(command: Command) -> Command {
    let address = local(port(command.get_name()));
    let [about, explained] = [command.get_about(), command.get_long_about()]
        .map(|text| text.map(ToString::to_string).unwrap_or_default());
    let about = format!("{about}, at {address} unless told otherwise");
    let explained = format!("{about}.\n\n{explained}");
    command.about(about).long_about(explained).mut_subcommands(|subcommand| {
        subcommand.mut_args(|arg| match (arg.get_value_names(), arg.get_help()) {
            (Some([name]), Some(help)) if name == ADDRESS => {
                let help = format!("{help} [default: {address}]");
                arg.help(help)
            }
            _ => arg,
        })
    })
}

/// The port of the stage that is in this package: 7000 and its number.
fn port(package: &str) -> u16 {
    let number = package.strip_prefix("stage").and_then(|rest| rest.chars().next()?.to_digit(10));
    number.and_then(|number| u16::try_from(number).ok()).map_or(7000, |number| 7000 + number)
}

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

/// The arguments of `server` where there is a room, and files pass through it.
#[derive(Args, Debug)]
pub struct FileServerArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// Keep a copy of every file that passes, in this folder: the server is one receiver more, and
    /// asks nobody.
    #[arg(long, value_name = "DIR", value_parser = PathBufValueParser::new().try_map(folder))]
    keep: Option<PathBuf>,
    /// The largest file of which a copy is kept: a number of bytes, or one with K, M, G or T as in
    /// 64M. Larger ones pass all the same.
    #[arg(long, value_name = "SIZE", default_value_t = MAX_FILE, requires = "keep")]
    max_file: files::Size,
}

/// The arguments of `server` where its operator takes part.
#[derive(Args, Debug)]
pub struct OperatorArgs {
    #[command(flatten)]
    listen: Listen,
}

#[derive(Args, Debug)]
struct Listen {
    /// Where to listen, as HOST:PORT: 127.0.0.1 is this machine alone, 0.0.0.0 is reached from others
    /// too; port 0 takes a free one.
    #[arg(long, value_name = ADDRESS, default_value = "", hide_default_value = true)]
    listen: String,
    #[command(flatten)]
    watch: Watch,
}

/// The arguments of `client`.
#[derive(Args, Debug)]
pub struct ClientArgs {
    /// The server, as HOST:PORT.
    #[arg(value_name = ADDRESS, default_value = "", hide_default_value = true)]
    address: String,
    /// What the others call you: 1 to 20 letters, digits, _ or -.
    #[arg(long)]
    name: Option<Name>,
    #[command(flatten)]
    watch: Watch,
}

/// The arguments of `client` where files can be sent.
#[derive(Args, Debug)]
pub struct FileClientArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// What to do with a file that somebody offers [default: ask in a terminal, auto otherwise]
    #[arg(long, value_enum)]
    accept: Option<files::Accept>,
    /// The folder for files that others send; nothing in it is overwritten.
    #[arg(long, value_name = "DIR", default_value_os_t = files::Policy::default().folder,
          value_parser = PathBufValueParser::new().try_map(folder))]
    downloads: PathBuf,
    /// The largest file to take: a number of bytes, or one with K, M, G or T as in 64M.
    #[arg(long, value_name = "SIZE", default_value_t = MAX_FILE)]
    max_file: files::Size,
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
    /// Listens at the address asked for or at that of the stage in `package`, says so, and hands
    /// `serve` the listener. `exposed` is the warning where other machines can reach it.
    ///
    /// # Errors
    /// If it cannot listen or capture: what to do.
    pub fn run<E: From<io::Error>>(
        &self,
        package: &str,
        exposed: &str,
        serve: impl FnOnce(&Listener, &Limits),
    ) -> Result<ExitCode, E> {
        self.listen.run(package, exposed, |listener| serve(listener, &self.limits()))
    }

    fn limits(&self) -> Limits {
        Limits { max_clients: self.max_clients, ..Limits::default() }
    }
}

impl FileServerArgs {
    /// As [`ServerArgs::run`]; which files are kept is among the limits.
    ///
    /// # Errors
    /// As [`ServerArgs::run`].
    pub fn run<E: From<io::Error>>(
        &self,
        package: &str,
        exposed: &str,
        serve: impl FnOnce(&Listener, &Limits),
    ) -> Result<ExitCode, E> {
        self.server.listen.run(package, exposed, |listener| serve(listener, &self.limits()))
    }

    fn limits(&self) -> Limits {
        let keep = self.keep.clone().map(|folder| files::Policy {
            accept: files::Accept::Auto,
            folder,
            max: self.max_file.0,
        });
        Limits { keep, ..self.server.limits() }
    }
}

impl OperatorArgs {
    /// As [`ServerArgs::run`], with a face for the operator, which reads these commands.
    ///
    /// # Errors
    /// If it cannot listen or capture: what to do.
    pub fn run<E: From<io::Error>>(
        &self,
        package: &str,
        exposed: &str,
        commands: &command::Table,
        serve: impl FnOnce(&Listener, &Limits, face::Console),
    ) -> Result<ExitCode, E> {
        self.listen.run(package, exposed, |listener| {
            let face = face::open(self.listen.watch.is_on_stdout());
            serve(listener, &Limits::default(), face.console(commands));
            face.close();
        })
    }
}

impl Listen {
    /// Hands `serve` a listener that says where it is; what passes it is captured until that ends.
    fn run<E: From<io::Error>>(
        &self,
        package: &str,
        exposed: &str,
        serve: impl FnOnce(&Listener),
    ) -> Result<ExitCode, E> {
        let (listener, capture) = self.listen(port(package), exposed)?;
        serve(&listener);
        capture.inspect(Capture::finish);
        Ok(ExitCode::SUCCESS)
    }

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
    /// Connects to the address asked for or to that of the stage in `package`, and hands `chat` the
    /// stream, a name, and the face, which reads these commands and on which an error of `chat` is
    /// shown. In a terminal a name that the server refuses is asked for again, on a new connection.
    ///
    /// # Errors
    /// If it cannot connect or capture: what to do.
    pub fn run<E: From<io::Error> + Display + AsRef<dyn Error>>(
        self,
        package: &str,
        commands: command::Table,
        chat: impl Fn(&Stream, &Name, face::Pair) -> Result<(), E>,
    ) -> Result<ExitCode, E> {
        self.chat(package, &commands, |_| Ok(files::Policy::default()), |_, _, _| Ok(true), chat)
    }

    /// As [`ClientArgs::run`]; `files` says what becomes of them where there is somebody to ask, or
    /// not, or what is wrong with that; `log_in` as in [`FileClientArgs::run_with_login`].
    fn chat<E: From<io::Error> + Display + AsRef<dyn Error>>(
        self,
        package: &str,
        commands: &command::Table,
        files: impl Fn(bool) -> Result<files::Policy, &'static str>,
        log_in: impl Fn(&face::Open, &Name, bool) -> Result<bool, E>,
        chat: impl Fn(&Stream, &Name, face::Pair) -> Result<(), E>,
    ) -> Result<ExitCode, E> {
        logging::init(false, self.watch.verbose);
        let face = face::open(self.watch.is_on_stdout());
        if self.name.is_none() && !face.is_terminal() {
            return Ok(wrong_usage(
                "who are you? Add --name NAME (only a client with a line editor can ask)",
            )?);
        }
        let files = match files(face.is_terminal()) {
            Ok(files) => files,
            Err(wrong) => return Ok(wrong_usage(wrong)?),
        };
        let port = port(package);
        let capture = self.watch.capture()?;
        let addresses = resolve("server", &self.address, port)?;
        let (mut name, mut again, mut left) = (self.name, false, ExitCode::SUCCESS);
        loop {
            let Some(known) = name.take().or_else(|| face.ask_name()) else {
                return Ok(left);
            };
            if !log_in(&face, &known, again)? {
                return Ok(left);
            }
            let stream = Stream::connect(&addresses, capture.as_ref())
                .map_err(|error| stream::explain_connect(&addresses, error, package, port))?;
            let face::Pair { output, input, .. } = face.pair(commands);
            let pair = face::Pair { output: Arc::clone(&output), input, files: files.clone() };
            let ended = chat(&stream, &known, pair);
            stream.close();
            let Err(lost) = ended else { break };
            output.error(format!("{lost:#}"))?;
            again = is_about_password(lost.as_ref());
            if !(face.is_terminal() && (again || is_about_name(lost.as_ref()))) {
                capture.inspect(Capture::finish);
                return Ok(ExitCode::FAILURE);
            }
            name = again.then_some(known);
            left = ExitCode::FAILURE;
        }
        capture.inspect(Capture::finish);
        Ok(ExitCode::SUCCESS)
    }
}

impl FileClientArgs {
    /// As [`ClientArgs::run`], with what becomes of files in the face.
    ///
    /// # Errors
    /// As [`ClientArgs::run`].
    pub fn run<E: From<io::Error> + Display + AsRef<dyn Error>>(
        self,
        package: &str,
        commands: command::Table,
        chat: impl Fn(&Stream, &Name, face::Pair) -> Result<(), E>,
    ) -> Result<ExitCode, E> {
        self.run_with_login(package, commands, |_, _, _| Ok(true), chat)
    }

    /// As [`FileClientArgs::run`]. Before each connection `log_in` hears with what face and what name,
    /// and whether the one before came to [`NotLoggedIn`]; false if the person does not want to go on.
    ///
    /// # Errors
    /// As [`ClientArgs::run`], and those of `log_in`.
    pub fn run_with_login<E: From<io::Error> + Display + AsRef<dyn Error>>(
        self,
        package: &str,
        commands: command::Table,
        log_in: impl Fn(&face::Open, &Name, bool) -> Result<bool, E>,
        chat: impl Fn(&Stream, &Name, face::Pair) -> Result<(), E>,
    ) -> Result<ExitCode, E> {
        let FileClientArgs { client, accept, downloads, max_file } = self;
        let files = |can_ask| policy(accept, &downloads, max_file, can_ask);
        client.chat(package, &commands, files, log_in, chat)
    }

    /// What they are called, if they said so.
    pub fn name(&mut self) -> &mut Option<Name> {
        &mut self.client.name
    }

    /// The server as it was named, or where that of the stage in `package` is; in one form, however it
    /// was written.
    ///
    /// # Errors
    /// If what was given for it is none.
    pub fn server(&self, package: &str) -> io::Result<String> {
        let text = &self.client.address;
        let server = stream::canonical(text, local(port(package)));
        server.map_err(|error| context(format!("server {text}"), error))
    }
}

/// The other side did not take the password, and may take another one.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotLoggedIn(pub &'static str);

/// A folder that is there, or that can be made with the first file.
fn folder(path: PathBuf) -> Result<PathBuf, &'static str> {
    match path.metadata() {
        Ok(found) if !found.is_dir() => Err("something of this name is there, and it is no folder"),
        _ => Ok(path),
    }
}

/// What becomes of files, where there is somebody to ask or not.
fn policy(
    accept: Option<files::Accept>,
    folder: &Path,
    max: files::Size,
    can_ask: bool,
) -> Result<files::Policy, &'static str> {
    let accept = match (accept, can_ask) {
        (Some(files::Accept::Ask), false) => {
            return Err(
                "--accept ask: there is nobody to ask where input or output is no terminal; \
                        use --accept auto or --accept never",
            );
        }
        (Some(accept), _) => accept,
        (None, true) => files::Accept::Ask,
        (None, false) => files::Accept::Auto,
    };
    Ok(files::Policy { accept, folder: folder.to_owned(), max: max.0 })
}

/// Whether another name may do where this one did not.
fn is_about_name(error: &(dyn Error + 'static)) -> bool {
    let about_name = |bye: &Bye| matches!(bye.reason, Reason::NameTaken | Reason::BadName);
    error.downcast_ref().is_some_and(about_name) || error.source().is_some_and(is_about_name)
}

/// Whether another password may do where this one did not.
fn is_about_password(error: &(dyn Error + 'static)) -> bool {
    error.is::<NotLoggedIn>() || error.source().is_some_and(is_about_password)
}

impl Watch {
    fn is_on_stdout(&self) -> bool {
        self.pcap.as_ref().is_some_and(|path| path.as_os_str() == "-")
    }

    fn capture(&self) -> io::Result<Option<Capture>> {
        let Some(path) = &self.pcap else { return Ok(None) };
        if self.is_on_stdout() && io::stdout().is_terminal() {
            let wrong = "--pcap -: a capture is nothing for a terminal; put `| tshark -l -r -` behind \
                         the command, or `> FILE`";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, wrong));
        }
        if is_fifo(path) {
            logging::say(format_args!("waiting until somebody reads {}", path.display()));
        }
        let capture = Capture::create(path);
        capture.map(Some).map_err(|error| context(format!("--pcap {}", path.display()), error))
    }
}

/// Whether opening it waits for somebody who reads it.
#[cfg(unix)]
fn is_fifo(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;

    path.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo())
}

#[cfg(not(unix))]
fn is_fifo(_: &Path) -> bool {
    false
}

/// The exit code for wrong usage, which is said on stderr.
fn wrong_usage(text: &str) -> io::Result<ExitCode> {
    writeln!(io::stderr(), "error: {text}")?;
    Ok(ExitCode::from(WRONG_USAGE))
}

/// Says something on stdout, and that is all.
///
/// # Errors
/// If nobody can read it.
pub fn say<E: From<io::Error>>(text: &str) -> Result<ExitCode, E> {
    writeln!(io::stdout(), "{text}")?;
    Ok(ExitCode::SUCCESS)
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::files::Accept;
    use crate::files::Policy;

    /// A stage's arguments as `main.rs` reads them.
    fn read<A: Args>(args: &[&str]) -> Result<A, clap::Error> {
        let command = A::augment_args(Command::new("stage4_test").no_binary_name(true));
        A::from_arg_matches(&command.try_get_matches_from(args)?)
    }

    #[test]
    fn files_go_into_a_folder_or_nowhere() {
        let place = tempfile::tempdir().unwrap();
        let name = |name| place.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(name("file"), "").unwrap();
        std::fs::create_dir(name("folder")).unwrap();
        for (folder, is_taken) in [("file", false), ("folder", true), ("nothing yet", true)] {
            let folder = name(folder);
            let client = read::<FileClientArgs>(&["--downloads", &folder]);
            let server = read::<FileServerArgs>(&["--keep", &folder]);
            assert_eq!((client.is_ok(), server.is_ok()), (is_taken, is_taken), "{folder}");
        }
    }

    fn client(args: &[&str], can_ask: bool) -> Result<Policy, &'static str> {
        let args = read::<FileClientArgs>(args).expect("right usage");
        policy(args.accept, &args.downloads, args.max_file, can_ask)
    }

    #[test]
    fn a_stage_has_a_port_of_its_own() {
        for (package, expected) in
            [("stage1_relay", 7001), ("stage5_file_secure", 7005), ("labs", 7000), ("stages", 7000)]
        {
            assert_eq!(port(package), expected, "{package}");
        }
    }

    #[test]
    fn help_has_the_description_and_the_address() {
        /// Explained.
        #[derive(Debug, clap::Parser)]
        #[command(name = "stage4_test", about = "A test", long_about)]
        struct Cli {
            #[command(subcommand)]
            mode: Mode,
        }
        #[derive(Debug, clap::Subcommand)]
        enum Mode {
            Server(ServerArgs),
            Client(ClientArgs),
        }
        let shown = |args: &[&str]| {
            let args = [&["stage4_test"], args].concat();
            with_address(Cli::command()).try_get_matches_from(args).unwrap_err().to_string()
        };
        let sentence = "A test, at 127.0.0.1:7004 unless told otherwise";
        assert!(shown(&["-h"]).starts_with(&format!("{sentence}\n\nUsage")), "{}", shown(&["-h"]));
        let help = shown(&["--help"]);
        assert!(help.starts_with(&format!("{sentence}.\n\nExplained.\n\nUsage")), "{help}");
        for mode in ["server", "client"] {
            let help = shown(&[mode, "--help"]);
            assert_eq!(help.matches("[default: 127.0.0.1:7004]").count(), 1, "{help}");
        }
    }

    #[test]
    fn a_client_takes_files_up_to_16_gibibytes_and_asks_where_it_can() {
        let folder = PathBuf::from("downloads");
        let max = 17_179_869_184;
        for (can_ask, accept) in [(true, Accept::Ask), (false, Accept::Auto)] {
            let policy = Policy { accept, folder: folder.clone(), max };
            assert_eq!(client(&[], can_ask), Ok(policy));
        }
        for (word, accept) in [("auto", Accept::Auto), ("never", Accept::Never)] {
            for can_ask in [true, false] {
                let asked = client(&["--accept", word], can_ask).unwrap();
                assert_eq!(asked.accept, accept, "{word}");
            }
        }
        let args = ["--downloads", "in", "--max-file", "64M", "--accept", "ask"];
        let policy = Policy { accept: Accept::Ask, folder: "in".into(), max: 67_108_864 };
        assert_eq!(client(&args, true), Ok(policy));
    }

    #[test]
    fn nobody_can_be_asked_where_there_is_no_terminal() {
        let wrong = client(&["--accept", "ask"], false).unwrap_err();
        assert!(wrong.contains("auto") && wrong.contains("never"), "{wrong}");
    }

    #[test]
    fn a_client_without_files_takes_none() {
        let policy = Policy::default();
        assert_eq!((policy.accept, policy.max), (Accept::Never, 0));
    }

    #[test]
    fn a_server_keeps_nothing_unless_told_to() {
        let limits = |args: &[&str]| read::<FileServerArgs>(args).expect("right usage").limits();
        assert_eq!(limits(&[]).keep, None);
        assert_eq!(limits(&["--max-clients", "7"]).max_clients, 7);
        let kept = |max| Some(Policy { accept: Accept::Auto, folder: "kept".into(), max });
        assert_eq!(limits(&["--keep", "kept"]).keep, kept(17_179_869_184));
        assert_eq!(limits(&["--keep", "kept", "--max-file", "1K"]).keep, kept(1024));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let why = |error: clap::Error| error.to_string();
        for (args, words) in [
            (&["--accept", "always"][..], "auto, ask, never"),
            (&["--max-file", "64MB"], "a size is a number of bytes"),
            (&["--keep", "kept"], "--keep"),
        ] {
            let wrong = why(read::<FileClientArgs>(args).unwrap_err());
            assert!(wrong.contains(words), "{wrong}");
        }
        // It would limit nothing.
        let wrong = why(read::<FileServerArgs>(&["--max-file", "1K"]).unwrap_err());
        assert!(wrong.contains("--keep <DIR>"), "{wrong}");
        let wrong = why(read::<ServerArgs>(&["--keep", "kept"]).unwrap_err());
        assert!(wrong.contains("--keep"), "{wrong}");
    }
}
