//! Console blocks run, from the top of a page to its end.
//!
//! Servers listen on a free port in place of the one that the page names, and the page's clients and
//! what is shown are told so.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::Path;

use socket2::Domain;
use socket2::Socket;
use socket2::Type;
use tempfile::TempDir;

use super::Page;
use super::Problem;
use super::Program;
use super::console;
use super::console::Command;
use super::console::Console;
use super::console::Content;
use super::output;
use super::process::Process;
use crate::terminal;
use crate::terminal::Screen;
use crate::terminal::Terminal;

/// A file of the workspace that the pages send.
const TO_SEND: &str = "LICENSE-MIT";
/// What a server's line begins with.
const LISTENING: &str = "listening on ";

/// Runs the console blocks of a page that are this program's.
pub fn page(page: &Page, program: &Program) -> Vec<Problem> {
    // What is wrong with their form is told where all pages are checked.
    let (blocks, _) = console::blocks(page);
    let blocks = blocks.iter().filter(|block| block.package == program.package);
    let blocks = blocks.collect::<Vec<_>>();
    let is_person = |block: &&Console<'_>| matches!(block.content, Content::Person(..));
    if blocks.is_empty() || (cfg!(not(unix)) && blocks.iter().any(is_person)) {
        return Vec::new();
    }
    let mut session = Session::new(page, program);
    for block in blocks {
        let done = match &block.content {
            Content::Commands(commands) => {
                commands.iter().try_for_each(|(command, shown)| session.command(command, shown))
            }
            Content::Person(name, command, lines) => {
                session.person(block.line, name, command.as_ref(), lines)
            }
        };
        // What comes after a failure would fail because of it.
        if let Err(problem) = done {
            return vec![problem];
        }
    }
    Vec::new()
}

/// The arguments of a program, and the port in them: the page's and the real one.
type Rewritten = (Vec<String>, Option<(u16, u16)>);

/// What runs while a page is read.
struct Session<'a> {
    page: &'a Page,
    program: &'a Program,
    folder: TempDir,
    /// The ports at which servers listen, and nobody: those of the page and the real ones.
    ports: BTreeMap<u16, u16>,
    servers: BTreeMap<u16, Process>,
    /// They keep others from listening where nobody is to listen.
    nobody: Vec<Socket>,
    persons: BTreeMap<String, Person>,
}

/// A person's terminal.
struct Person {
    terminal: Terminal,
    /// Rows that blocks have shown already.
    seen: usize,
    /// The page's port, of a server.
    serves: Option<u16>,
}

impl<'a> Session<'a> {
    fn new(page: &'a Page, program: &'a Program) -> Session<'a> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // A reader is in the folder of the workspace, and may send this.
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        fs::copy(root.join(TO_SEND), folder.path().join(TO_SEND)).expect("a copy of it");
        Session {
            page,
            program,
            folder,
            ports: BTreeMap::new(),
            servers: BTreeMap::new(),
            nobody: Vec::new(),
            persons: BTreeMap::new(),
        }
    }

    fn command(&mut self, command: &Command, shown: &[&str]) -> Result<(), Problem> {
        let wrong = |what: String| self.page.problem(command.line, what);
        let (args, asked) = self.rewritten(command).map_err(wrong)?;
        let mut process = Process::start(self.program, &args, self.folder.path(), command);
        let is_server = command.args.first().is_some_and(|first| first == "server")
            && (shown.is_empty() || shown.iter().any(|line| line.starts_with(LISTENING)));
        if !is_server {
            // One that cannot listen says at which port.
            let listening = self.ports.clone();
            self.ports.extend(asked.filter(|_| command.args[0] == "server"));
            let finished = self.finished(command, shown, process);
            self.ports = listening;
            return finished;
        }
        let page_port = asked.map_or(self.program.port, |(port, _)| port);
        let is_listening = |text: &str, _| address(output::lines(text)).is_some();
        let wrong = |what: String| self.page.problem(command.line, what);
        let said = process.wait(self.program, is_listening).map_err(|said| {
            wrong(format!("`{}` does not listen, it says\n{}", command.text, said))
        })?;
        let real = address(output::lines(&said)).expect("it is there").port();
        self.ports.insert(page_port, real);
        let expected = self.as_run(shown);
        let is_said = |text: &str, _| output::begins(&expected, &output::lines(text)).is_some();
        let waited = process.wait(self.program, is_said);
        let wrong = |what: String| self.page.problem(command.line, what);
        waited.map_err(|said| wrong(instead(&command.text, &expected, &output::lines(&said))))?;
        self.servers.insert(page_port, process);
        Ok(())
    }

    /// Waits for the end of a command, which has to show this.
    fn finished(
        &self,
        command: &Command,
        shown: &[&str],
        mut process: Process,
    ) -> Result<(), Problem> {
        let wrong = |what: String| self.page.problem(command.line, what);
        let text = process.wait(self.program, |_, is_over| is_over).map_err(|said| {
            wrong(format!(
                "`{}` does not end by itself (a person's terminal is a block ```console NAME); \
                 it says\n{said}",
                command.text
            ))
        })?;
        let code = process.code();
        let said = output::lines(&text);
        if shown.is_empty() {
            return match code {
                Some(0) => Ok(()),
                _ => Err(wrong(format!(
                    "`{}` fails; if it is to fail, show below it what it says:\n{}",
                    command.text,
                    output::quote(&said)
                ))),
            };
        }
        let expected = self.as_run(shown);
        match output::is_all(&expected, &said) {
            true => Ok(()),
            false => Err(wrong(instead(&command.text, &expected, &said))),
        }
    }

    fn person(
        &mut self,
        line: usize,
        name: &str,
        command: Option<&Command>,
        lines: &[(usize, &str)],
    ) -> Result<(), Problem> {
        if let Some(command) = command {
            let wrong = |what: String| self.page.problem(command.line, what);
            let (args, asked) = self.rewritten(command).map_err(wrong)?;
            let terminal = self.program.terminal(&args, self.folder.path());
            let mut serves = None;
            if args.first().is_some_and(|first| first == "server") {
                let is_listening = |screen: &Screen| address(terminal::rows(screen)).is_some();
                let listens = terminal.wait(self.program.patience, is_listening);
                listens.map_err(|instead| self.page.problem(command.line, instead))?;
                let real = address(terminal.scrollback_and_screen()).expect("it is there").port();
                let page_port = asked.map_or(self.program.port, |(port, _)| port);
                self.ports.insert(page_port, real);
                serves = Some(page_port);
            }
            self.persons.insert(name.to_owned(), Person { terminal, seen: 0, serves });
        }
        let texts = lines.iter().map(|(_, text)| concealed(name, text)).collect::<Vec<_>>();
        let texts = texts.iter().map(String::as_str).collect::<Vec<_>>();
        let expected = self.as_run(&texts);
        let (page, patience) = (self.page, self.program.patience);
        let Some(person) = self.persons.get_mut(name) else {
            return Err(page.problem(line, format!("the terminal of {name} is new here")));
        };
        let (terminal, seen) = (&person.terminal, person.seen);
        let mut last_typed = "";
        for (at, (number, text)) in lines.iter().enumerate() {
            let Some((prompt, typed)) = console::typed(name, text) else { continue };
            let may_type = |screen: &Screen| {
                let shown = rows(screen, name);
                let shown = shown.get(seen..).unwrap_or_default();
                output::find(&expected[..at], shown).is_some() && row_of_cursor(screen) == prompt
            };
            terminal.wait(patience, may_type).map_err(|instead| {
                let above = output::quote(&expected[..at]);
                page.problem(*number, format!(
                    "before {name} can type this, there have to be, one straight below the other, \
                     these lines and then the prompt `{prompt}`:\n{above}\n{instead}"
                ))
            })?;
            terminal.type_text(typed);
            terminal.enter();
            last_typed = typed;
        }
        let ends = |screen: &Screen| {
            let shown = rows(screen, name);
            output::find(&expected, shown.get(seen..).unwrap_or_default())
        };
        let mut end = None;
        let waited = terminal.wait(patience, |screen| {
            end = ends(screen);
            end.is_some()
        });
        waited.map_err(|instead| {
            let expected = output::quote(&expected);
            page.problem(line, format!(
                "in the terminal of {name} there have to be these lines, one straight below the \
                 other:\n{expected}\n{instead}"
            ))
        })?;
        person.seen += end.unwrap_or_default();
        if last_typed == "@quit" {
            let code = person.terminal.end();
            if code != Some(0) {
                return Err(
                    page.problem(line, format!("{name} leaves with {code:?} and not with 0"))
                );
            }
        }
        Ok(())
    }

    /// The arguments of a command with the real port, the page's port and the real one.
    fn rewritten(&mut self, command: &Command) -> Result<Rewritten, String> {
        let mut args = command.args.clone();
        let at_default = format!("{}:{}", Ipv4Addr::LOCALHOST, self.program.port);
        let at = match args.first().map(String::as_str) {
            Some("server") => match args.iter().position(|arg| arg.starts_with("--listen")) {
                Some(at) if args[at] == "--listen" => at + 1,
                // Glued together: taken apart.
                Some(at) => {
                    let value = args[at].trim_start_matches("--listen=").to_owned();
                    args.splice(at..=at, ["--listen".to_owned(), value]);
                    at + 1
                }
                None => {
                    args.extend(["--listen".to_owned(), at_default]);
                    args.len() - 1
                }
            },
            Some("client") => match args.get(1) {
                Some(address) if !address.starts_with('-') => 1,
                _ if args.iter().any(|arg| arg == "--help" || arg == "-h") => {
                    return Ok((args, None));
                }
                _ => {
                    args.insert(1, at_default);
                    1
                }
            },
            _ => return Ok((args, None)),
        };
        let is_server = args[0] == "server";
        let Some(address) = args.get_mut(at) else { return Ok((args, None)) };
        let Some((host, port)) = address.rsplit_once(':') else { return Ok((args, None)) };
        // An address that makes no sense is one on purpose.
        let Ok(port) = port.parse::<u16>() else { return Ok((args, None)) };
        // A server cannot listen elsewhere.
        if !is_server && !["127.0.0.1", "localhost", "[::1]"].contains(&host) {
            return Err(format!("{address} is not this machine; such a command belongs into `sh`"));
        }
        let is_taken = self.servers.get_mut(&port).is_some_and(Process::runs)
            || self.persons.values().any(|person| person.serves == Some(port));
        let real = match (is_server, self.ports.get(&port)) {
            // It is in use, as the page's reader sees it.
            (true, Some(real)) if is_taken => *real,
            (true, _) => 0,
            (false, Some(real)) => *real,
            (false, None) => self.where_nobody_listens(port),
        };
        *address = format!("{host}:{real}");
        Ok((args, Some((port, real))))
    }

    /// The real port for one of the page at which nobody listens.
    fn where_nobody_listens(&mut self, port: u16) -> u16 {
        let any = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&any.into()).expect("a free port");
        let bound = socket.local_addr().ok().and_then(|address| address.as_socket());
        let real = bound.expect("it is bound").port();
        self.nobody.push(socket);
        self.ports.insert(port, real);
        real
    }

    /// What the page shows, with the real ports.
    fn as_run(&self, lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| with_real_ports(line, &self.ports)).collect()
    }
}

/// A line as a terminal shows it: one with a key in it is typed and not kept, only its first two
/// words are; a password is not shown.
fn concealed(name: &str, line: &str) -> String {
    let Some((prompt, typed)) = console::typed(name, line) else { return line.to_owned() };
    if console::HIDDEN.contains(&prompt.as_str()) {
        return prompt;
    }
    let mut words = typed.split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some(command @ ("@secret" | "@open")), Some(word), Some(_)) => {
            format!("{prompt} {command} {word} …")
        }
        _ => line.to_owned(),
    }
}

/// A line with the ports behind `:` and `port ` replaced.
fn with_real_ports(line: &str, ports: &BTreeMap<u16, u16>) -> String {
    let mut replaced = String::new();
    let mut rest = line;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, number) = rest.split_at(start);
        let end = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
        let (number, after) = number.split_at(end);
        replaced.push_str(before);
        let is_port = replaced.ends_with(':') || replaced.ends_with("port ");
        let real = number.parse().ok().and_then(|number: u16| ports.get(&number));
        match real.filter(|_| is_port) {
            Some(real) => replaced.push_str(&real.to_string()),
            None => replaced.push_str(number),
        }
        rest = after;
    }
    replaced + rest
}

/// Where it listens, if a line says so.
fn address(lines: Vec<String>) -> Option<SocketAddr> {
    lines.iter().find_map(|line| line.strip_prefix(LISTENING)?.parse().ok())
}

/// What a person's terminal shows, without a prompt that waits at its end.
fn rows(screen: &Screen, name: &str) -> Vec<String> {
    let mut rows = terminal::rows(screen);
    rows.pop_if(|last| console::is_prompt(name, last));
    rows
}

fn row_of_cursor(screen: &Screen) -> String {
    let row = usize::from(screen.cursor_position().0);
    let shown = screen.rows(0, screen.size().1.get()).nth(row).unwrap_or_default();
    shown.trim_end().to_owned()
}

fn instead(command: &str, expected: &[String], said: &[String]) -> String {
    format!(
        "`{command}` has to show\n{}\nand shows\n{}\nIf that is right, put it on the page",
        output::quote(expected),
        output::quote(said)
    )
}

/// On systems that have a shell to play the program.
#[cfg(all(test, unix))]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::super::testing::assert_good;
    use super::super::testing::assert_problem;
    use super::super::testing::fake;
    use super::super::testing::page as page_of;
    use super::*;
    use crate::PATIENCE;

    /// How long what does not come is waited for; what comes has to be quicker.
    const IMPATIENCE: Duration = Duration::from_secs(3);

    /// Runs a page; what does not come is waited for so long.
    fn run(text: &str, patience: Duration) -> Vec<Problem> {
        let (_folder, program) = fake(patience);
        page(&page_of("page.md", text), &program)
    }

    /// Each page has one problem, in this line. They are run side by side, for each takes its time.
    fn assert_problems<const N: usize>(pages: [(String, usize, &str); N]) {
        thread::scope(|scope| {
            for (text, line, problem) in pages {
                scope.spawn(move || assert_problem(&run(&text, IMPATIENCE), line, problem));
            }
        });
    }

    #[test]
    fn commands_and_servers() {
        assert_good(&run(
            "|```console
             |$ cargo run -p stage1_fake -- client --name early
             |nobody at 127.0.0.1:7001
             |
             |$ cargo run -p stage1_fake -- server
             |listening on 127.0.0.1:7001
             |```
             |```console
             |$ cargo run -p stage1_fake -- server
             |error: port 7001 is in use
             |
             |$ printf 'a\\nb\\n' | cargo run -q -p stage1_fake -- client --name bob
             |at 127.0.0.1:7001
             |said [..]
             |...
             |warning: end
             |$ cargo run -p stage1_fake -- client 127.0.0.1:7001 --name bob
             |at 127.0.0.1:7001
             |warning: end
             |$ cargo run -p stage1_fake
             |$ cargo run -p stage1_fake -- nosuch
             |no subcommand nosuch
             |$ cargo run -p stage1_fake -- server --listen=192.0.2.1:7009
             |error: cannot listen on 192.0.2.1:7009
             |```
             |```console
             |$ cargo run -p stage2_other -- nosuch
             |```",
            PATIENCE,
        ));
    }

    #[test]
    fn commands_that_show_something_else() {
        assert_problems(
            [
                (
                    "server\n|listening on 127.0.0.1:7002",
                    "has to show\n    listening on 127.0.0.1:7002",
                ),
                ("server --listen 192.0.2.1:7001\n|error: 7001", "and shows\n    error: cannot"),
                ("server --broken", "does not listen, it says\nbroken"),
                ("client 192.0.2.1:7001", "not this machine"),
                ("client --name x\n|nobody", "and shows\n    nobody at 127.0.0.1:"),
                ("client --name x", "fails; if it is to fail, show below"),
                ("nosuch\n|no subcommand", "and shows\n    no subcommand nosuch"),
                ("nosuch\n|no subcommand nosuch\n|more", "    more\nand shows"),
                ("waits\n|x", "does not end by itself"),
            ]
            .map(|(command, problem)| {
                let text = format!("|```console\n|$ cargo run -p stage1_fake -- {command}\n|```");
                (text, 2, problem)
            }),
        );
    }

    const ALICE: &str = "|```console alice
                         |$ cargo run -p stage1_fake -- client --name alice
                         |* alice joined
                         |alice> burst
                         |* bob joined
                         |```";

    #[test]
    fn a_persons_terminal() {
        assert_good(&run(
            &format!(
                "|```console server
                 |$ cargo run -p stage1_fake -- server
                 |listening on 127.0.0.1:7001
                 |```
                 {ALICE}
                 |Some text, and bob said something.
                 |```console alice
                 |bob: one
                 |...
                 |bob: three
                 |alice> @names
                 |* here: [..]
                 |alice> @status dnd
                 |alice (dnd)> hi
                 |...
                 |alice (dnd)> @quit
                 |```"
            ),
            PATIENCE,
        ));
    }

    #[test]
    fn a_persons_terminal_that_shows_something_else() {
        let server = "|```console\n|$ cargo run -p stage1_fake -- server\n|```";
        assert_problems(
            [
                // What is shown already is not shown again.
                ("* alice joined", 10, "one straight below the other:\n    * alice joined"),
                // Something is between.
                ("bob: one\n|bob: three", 10, "bob: two"),
                ("bob: three\n|bob: two", 10, "it did not come"),
                ("bob: nine\n|alice> hi", 12, "before alice can type this"),
                ("alice (away)> hi", 11, "then the prompt `alice (away)>`"),
                ("bob: four", 10, "in the terminal of alice there have to be these lines"),
                ("alice> crash\n|never", 10, "the program ended"),
            ]
            .map(|(block, line, problem)| {
                let text = format!("{server}\n{ALICE}\n|```console alice\n|{block}\n|```");
                (text, line, problem)
            }),
        );
        let quits =
            format!("{server}\n{ALICE}\n|```console alice\n|alice> fail\n|alice> @quit\n|```");
        assert_problem(&run(&quits, PATIENCE), 10, "leaves with Some(1)");
    }

    #[test]
    fn a_line_with_a_key_is_not_kept() {
        for (line, shown) in [
            ("bob> @open 1 KEY", "bob> @open 1 …"),
            ("bob (dnd)> @secret alice KEY some text", "bob (dnd)> @secret alice …"),
            ("bob> @open 1", "bob> @open 1"),
            ("bob> @alice some text", "bob> @alice some text"),
            ("alice: @open 1 KEY", "alice: @open 1 KEY"),
            ("password: correct horse", "password:"),
            ("the same again: correct horse", "the same again:"),
        ] {
            assert_eq!(concealed("bob", line), shown);
        }
    }

    #[test]
    fn ports_are_replaced_where_they_are_ports() {
        let ports = BTreeMap::from([(7001, 40_001)]);
        let line = "7001 at 127.0.0.1:7001, port 7001, :70011 and [::1]:7001";
        assert_eq!(
            with_real_ports(line, &ports),
            "7001 at 127.0.0.1:40001, port 40001, :70011 and [::1]:40001"
        );
    }
}
