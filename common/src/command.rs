//! What a person types: the `@` commands, and everything else is said to the room.
//!
//! A stage's `main.rs` lists the commands that it has, one a line.

use std::fmt;
use std::sync::Arc;

use crate::files;
use crate::files::Order;
use crate::message::Event;
use crate::message::MAX_TEXT;
use crate::message::Request;
use crate::message::Status;
use crate::name::Name;

/// The commands of a stage.
pub type Table = Arc<[Command]>;

/// A command: its word, how it is written, and what it does.
#[derive(Clone, Debug)]
pub struct Command {
    /// Without the `@`.
    pub word: &'static str,
    /// Every form of it, and what that does.
    pub forms: &'static [(&'static str, &'static str)],
    /// Something to try.
    pub example: &'static str,
    /// Reads what follows the word; `None` if it has not the right form.
    pub parse: Parse,
}

/// How what follows a command's word is read.
#[derive(Clone)]
pub enum Parse {
    /// It says everything; the commands are those that there are.
    Plain(fn(&str, &[Command]) -> Parsed),
    /// There is a key in it: the line is not kept in the history, on the screen or in the log, and
    /// it is overwritten itself. Copies that the terminal's editor, a reader's buffer or the
    /// allocator made on the way are not.
    Secret {
        /// Reads it, by what it remembers itself.
        parse: Arc<dyn Fn(&str) -> Parsed + Send + Sync>,
        /// Overwrites a line that is needed no more, but no copies of it.
        wipe: fn(String),
    },
}

/// What a command asks for, or why it cannot; `None` if it has not the right form.
pub type Parsed = Option<Result<Action, String>>;

impl fmt::Debug for Parse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Parse")
    }
}

/// What a typed line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask the server.
    Send(Request),
    /// Show these; none for a blank line.
    Show(Vec<Event>),
    /// Leave.
    Quit,
}

/// A typed word that differs by so many letters, added, left out, changed or swapped, may be meant as
/// a command's.
const DIFFERS: usize = 2;
/// So many letters of a command's word may be meant as all of it.
const START: usize = 3;

/// The commands of every stage.
pub const CHAT: [Command; 6] = [HELP, QUIT, NAMES, PRIVATE, STATUS, GROUP];

/// `@help`.
const HELP: Command = Command {
    word: "help",
    forms: &[
        ("@help", "explains all commands"),
        ("@help COMMAND", "explains one of them, with an example"),
    ],
    example: "@help group",
    parse: Parse::Plain(|rest, commands| {
        Some(help(word(rest).0.trim_start_matches('@'), commands))
    }),
};

/// `@quit`.
const QUIT: Command = Command {
    word: "quit",
    forms: &[("@quit", "leaves the chat; so does Ctrl-D")],
    example: "@quit",
    parse: Parse::Plain(|rest, _| rest.is_empty().then_some(Ok(Action::Quit))),
};

/// `@names`.
const NAMES: Command = Command {
    word: "names",
    forms: &[("@names", "shows who is here and their status")],
    example: "@names",
    parse: Parse::Plain(|rest, _| rest.is_empty().then_some(Ok(Action::Send(Request::Names {})))),
};

/// `@NAME text`. Its word stands for any name; somebody may be called so, and is then written to.
const PRIVATE: Command = Command {
    word: "NAME",
    forms: &[("@NAME text", "writes to one person alone")],
    example: "@bob are you coming?",
    parse: Parse::Plain(|_, _| None),
};

/// `@status`.
const STATUS: Command = Command {
    word: "status",
    forms: &[
        ("@status", "shows your status"),
        ("@status normal", "you are here"),
        ("@status dnd", "do not disturb: private messages are refused"),
        ("@status away", "private messages come, their senders are told"),
    ],
    example: "@status away",
    parse: Parse::Plain(|rest, _| {
        let status = match rest {
            "" => None,
            "normal" => Some(Status::Normal),
            "dnd" => Some(Status::Dnd),
            "away" => Some(Status::Away),
            _ => return None,
        };
        Some(Ok(Action::Send(Request::Status { status })))
    }),
};

/// `@group`.
const GROUP: Command = Command {
    word: "group",
    forms: &[
        ("@group set NAME user1,user2", "makes a group of you and others"),
        ("@group send NAME text", "writes to all in a group"),
        ("@group leave NAME", "leaves a group"),
        ("@group delete NAME", "ends a group that you own"),
    ],
    example: "@group set team bob,carol",
    parse: Parse::Plain(|rest, _| {
        let (verb, rest) = word(rest);
        let (group, rest) = word(rest);
        let group = group.strip_prefix('#').unwrap_or(group);
        let group = Some(group.to_owned()).filter(|group| !group.is_empty())?;
        let request = match verb {
            "set" => {
                let members = rest.split([',', ' ']).filter(|member| !member.is_empty());
                let members = members.map(str::to_owned).collect::<Vec<_>>();
                if members.is_empty() {
                    return None;
                }
                Request::GroupSet { group, members }
            }
            "send" if !rest.is_empty() => Request::GroupSend { group, text: rest.to_owned() },
            "leave" if rest.is_empty() => Request::GroupLeave { group },
            "delete" if rest.is_empty() => Request::GroupDelete { group },
            _ => return None,
        };
        Some(Ok(Action::Send(request)))
    }),
};

/// The commands of stages with files.
pub const FILES: [Command; 4] = [SEND, ACCEPT, REFUSE, CANCEL];

/// `@send`.
const SEND: Command = Command {
    word: "send",
    forms: &[
        ("@send PATH", "offers a file to everyone"),
        ("@send PATH NAME", "offers a file to one person"),
    ],
    example: "@send \"lab report.pdf\" bob",
    parse: Parse::Plain(|rest, _| {
        let (path, to) = files::parse_send(rest)?;
        Some(Ok(Action::Send(Request::Order(Order::Send { path, to }))))
    }),
};

/// `@accept`.
const ACCEPT: Command = Command {
    word: "accept",
    forms: &[("@accept N", "takes file N, which somebody has offered")],
    example: "@accept 3",
    parse: Parse::Plain(|rest, _| order(rest, Order::Accept)),
};

/// `@refuse`.
const REFUSE: Command = Command {
    word: "refuse",
    forms: &[("@refuse N", "does not take file N")],
    example: "@refuse 3",
    parse: Parse::Plain(|rest, _| order(rest, Order::Refuse)),
};

/// `@cancel`.
const CANCEL: Command = Command {
    word: "cancel",
    forms: &[("@cancel N", "stops file N: your own for all, of others for you")],
    example: "@cancel 3",
    parse: Parse::Plain(|rest, _| order(rest, Order::Cancel)),
};

/// An order about the file whose number is the rest of the line.
fn order(rest: &str, order: fn(u32) -> Order) -> Parsed {
    let id = rest.parse().ok()?;
    Some(Ok(Action::Send(Request::Order(order(id)))))
}

/// What `line` asks for, or that it is shown what is wrong with it; a line with a key in it, also
/// where its command is mistyped, is overwritten, as far as [`Parse::Secret`] says.
pub fn take(line: String, commands: &[Command]) -> Action {
    let action = parse(&line, commands);
    let action = action.unwrap_or_else(|text| Action::Show(vec![Event::Refused { text }]));
    let named = after_at(&line).and_then(|typed| Named::by(typed, commands));
    if let Some(Parse::Secret { wipe, .. }) = named.map(|named| &named.command.parse) {
        wipe(line);
    }
    action
}

/// What may be shown and kept of `line`, if that is not all of it.
pub fn public(line: &str, commands: &[Command]) -> Option<String> {
    let typed = after_at(line)?;
    let Named { command, is_exact } = Named::by(typed, commands)?;
    if let Parse::Plain(_) = command.parse {
        return None;
    }
    let (first, rest) = word(typed);
    // In the wrong place, the key may be anywhere.
    if is_exact && command.fits(rest) {
        Some(format!("@{first} {} …", word(rest).0))
    } else {
        Some(format!("@{first} …"))
    }
}

/// What `line` asks for.
///
/// # Errors
/// A sentence that says what is wrong and what the right form is.
pub fn parse(line: &str, commands: &[Command]) -> Result<Action, String> {
    let line = line.trim_end();
    if line.is_empty() {
        return Ok(Action::Show(Vec::new()));
    }
    let action = match after_at(line) {
        None => Action::Send(Request::Say { text: line.to_owned() }),
        Some(command) => parse_command(command, commands)?,
    };
    check(&action)?;
    Ok(action)
}

/// The answer to `@help` (`topic` is empty) or `@help COMMAND`, line by line.
fn help(topic: &str, commands: &[Command]) -> Result<Action, String> {
    if topic.is_empty() {
        let intro = "what you type is said to the room, except:".to_owned();
        let rows = commands.iter().flat_map(Command::rows);
        return Ok(show(std::iter::once(intro).chain(rows)));
    }
    let example = |command: &Command| format!("for example: {}", command.example);
    match commands.iter().find(|command| command.word.eq_ignore_ascii_case(topic)) {
        None => Err(format!("there is no command @{topic}; @help shows all")),
        Some(command) => Ok(show(command.rows().chain([example(command)]))),
    }
}

fn show(lines: impl Iterator<Item = String>) -> Action {
    Action::Show(lines.map(|text| Event::Notice { text }).collect())
}

impl Command {
    /// Its forms as they stand in `@help`, below each other.
    fn rows(&self) -> impl Iterator<Item = String> {
        self.forms.iter().map(|(form, does)| format!("  {form:27}  {does}"))
    }

    /// Its forms in a sentence.
    fn usage(&self) -> String {
        self.forms.iter().map(|(form, _)| *form).collect::<Vec<_>>().join(" | ")
    }
}

/// A command that a line begins with.
struct Named<'a> {
    command: &'a Command,
    /// It is its word that was typed; if not, it is one with a key that must not go to somebody of
    /// that name.
    is_exact: bool,
}

impl<'a> Named<'a> {
    /// The command that is meant by what was `typed` after the `@`.
    fn by(typed: &str, commands: &'a [Command]) -> Option<Named<'a>> {
        let (first, rest) = word(typed);
        let mut others = commands.iter().filter(|command| command.word != PRIVATE.word);
        let exact = others.find(|command| command.word.eq_ignore_ascii_case(first));
        let named = exact.map(|command| Named { command, is_exact: true });
        named.or_else(|| {
            let command = commands.iter().find(|command| command.is_nearly(first, rest))?;
            Some(Named { command, is_exact: false })
        })
    }
}

impl Command {
    /// Whether this one, with a key in it, is what somebody wanted who typed `first` and `rest`.
    fn is_nearly(&self, first: &str, rest: &str) -> bool {
        if let Parse::Plain(_) = self.parse {
            return false;
        }
        let typed = first.trim_end_matches([':', ',']).to_ascii_lowercase();
        let differs = strsim::damerau_levenshtein(self.word, &typed);
        // Hardly anybody is called so like a long word.
        if differs <= self.word.len().saturating_sub(4) {
            return true;
        }
        match typed.strip_prefix(self.word) {
            Some(joined) => self.fits(rest) || self.fits(&format!("{joined} {rest}")),
            None => {
                let is_start = typed.len() >= START && self.word.starts_with(&typed);
                (differs <= DIFFERS || is_start) && self.fits(rest)
            }
        }
    }

    /// Whether `rest`, after the command's word, has the words of one of its forms: `N` is a number,
    /// and `text` any number of words.
    fn fits(&self, rest: &str) -> bool {
        let typed = rest.split_whitespace().collect::<Vec<_>>();
        self.forms.iter().any(|(form, _)| {
            let form = form.split(' ').skip(1).collect::<Vec<_>>();
            let is_complete = match form.last() {
                Some(&"text") => typed.len() >= form.len(),
                _ => typed.len() == form.len(),
            };
            let is_number = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit());
            is_complete && form.iter().zip(&typed).all(|(form, it)| *form != "N" || is_number(it))
        })
    }
}

fn parse_command(line: &str, commands: &[Command]) -> Result<Action, String> {
    let (first, rest) = word(line);
    if let Some(Named { command, is_exact }) = Named::by(line, commands) {
        let usage = command.usage();
        if !is_exact {
            return Err(format!(
                "@{first} is no command, and nothing was sent: did you mean {usage}?"
            ));
        }
        let parsed = match &command.parse {
            Parse::Plain(parse) => parse(rest, commands),
            Parse::Secret { parse, .. } => parse(rest),
        };
        return parsed.ok_or_else(|| format!("the right form is: {usage}"))?;
    }
    // Many write "@bob: hi" or "@bob, hi".
    let first = first.trim_end_matches([':', ',']);
    match first.parse::<Name>() {
        // Whether there is an operator to write to, the server knows.
        Ok(name) if name.is_reserved() && name.key() != Name::operator().key() => {
            Err(format!("there is no @{name} here; @help shows what there is"))
        }
        Ok(_) if rest.is_empty() => Err(format!(
            "@{first} is no command (@help shows all), and to write to {first}: @{first} text"
        )),
        Ok(_) => Ok(Action::Send(Request::Private { to: first.to_owned(), text: rest.to_owned() })),
        Err(_) => {
            Err(format!("@{first} is neither a command nor a name; @help shows all commands"))
        }
    }
}

/// What follows the `@` that a line with a command begins with.
fn after_at(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix('@')
}

/// Refuses here what the server would refuse anyway, before it is sent.
fn check(action: &Action) -> Result<(), String> {
    let Action::Send(
        Request::Say { text } | Request::Private { text, .. } | Request::GroupSend { text, .. },
    ) = action
    else {
        return Ok(());
    };
    match text.len() {
        length if length > MAX_TEXT => {
            Err(format!("not sent: the text has {length} bytes, at most {MAX_TEXT} are allowed"))
        }
        _ => Ok(()),
    }
}

/// The first word and what follows it.
pub fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (first, rest.trim_start())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const ALL: &[Command] = &[HELP, QUIT, NAMES, PRIVATE, STATUS, GROUP];

    fn request(line: &str) -> Request {
        match parse(line, ALL) {
            Ok(Action::Send(request)) => request,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn shown(topic: &str, commands: &[Command]) -> Vec<String> {
        match help(topic, commands) {
            Ok(Action::Show(lines)) => lines.into_iter().map(notice).collect(),
            other => panic!("{topic}: {other:?}"),
        }
    }

    fn notice(event: Event) -> String {
        match event {
            Event::Notice { text } => text,
            other => panic!("{other:?}"),
        }
    }

    fn error(line: &str) -> String {
        match parse(line, ALL) {
            Err(wrong) => wrong,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn every_form_of_every_command() {
        let owned = str::to_owned;
        for (line, action) in [
            ("@help", help("", ALL).unwrap()),
            ("@help group", help("group", ALL).unwrap()),
            ("@help @group set", help("group", ALL).unwrap()),
            ("@quit", Action::Quit),
            ("@names", Action::Send(Request::Names {})),
            ("@status", Action::Send(Request::Status { status: None })),
        ] {
            assert_eq!(parse(line, ALL), Ok(action), "{line}");
        }
        for (word, status) in
            [("normal", Status::Normal), ("dnd", Status::Dnd), ("away", Status::Away)]
        {
            assert_eq!(
                request(&format!("@status {word}")),
                Request::Status { status: Some(status) }
            );
        }
        let (group, text) = (|| owned("team"), || owned("two  words"));
        let members = || vec![owned("bob"), owned("carol")];
        for (line, expected) in [
            // Somebody may be called that.
            ("@NAME two  words", Request::Private { to: owned("NAME"), text: text() }),
            ("@bob: two  words", Request::Private { to: owned("bob"), text: text() }),
            ("@bob, two  words", Request::Private { to: owned("bob"), text: text() }),
            ("@bob two  words", Request::Private { to: owned("bob"), text: text() }),
            ("@server two  words", Request::Private { to: owned("server"), text: text() }),
            ("@group set team bob,carol", Request::GroupSet { group: group(), members: members() }),
            (
                "@group set team bob, carol",
                Request::GroupSet { group: group(), members: members() },
            ),
            ("@group send team two  words", Request::GroupSend { group: group(), text: text() }),
            ("@group leave team", Request::GroupLeave { group: group() }),
            ("@group leave #team", Request::GroupLeave { group: group() }),
            ("@group delete team", Request::GroupDelete { group: group() }),
        ] {
            assert_eq!(request(line), expected, "{line}");
        }
    }

    #[test]
    fn everything_else_is_said_to_the_room() {
        for said in ["hi", "hi @bob", "  indented", "/quit", "mail alice@example.org", "＠names"] {
            assert_eq!(request(said), Request::Say { text: said.to_owned() });
        }
        assert_eq!(request("hi \t"), Request::Say { text: "hi".to_owned() });
        assert_eq!(parse(" @QUIT", ALL), Ok(Action::Quit), "commands are known in any case");
        for blank in ["", " ", "\t \u{a0}"] {
            assert_eq!(parse(blank, ALL), Ok(Action::Show(Vec::new())), "{blank:?}");
        }
    }

    #[test]
    fn a_wrong_form_is_answered_with_the_right_one() {
        for (line, right) in [
            ("@quit now", "@quit"),
            ("@names bob", "@names"),
            ("@status busy", "@status away"),
            ("@status Dnd", "@status dnd"),
            ("@group", "@group set NAME user1,user2"),
            ("@group set", "@group set NAME user1,user2"),
            ("@group set team", "@group set NAME user1,user2"),
            ("@group set team ,", "@group set NAME user1,user2"),
            ("@group send team", "@group send NAME text"),
            ("@group leave", "@group leave NAME"),
            ("@group leave team now", "@group leave NAME"),
            ("@group delete team now", "@group delete NAME"),
            ("@group join team", "@group send NAME text"),
        ] {
            let wrong = error(line);
            assert!(
                wrong.contains("the right form is") && wrong.contains(right),
                "{line}: {wrong}"
            );
        }
    }

    #[test]
    fn what_is_no_command_here_and_no_name_is_never_said_to_anybody() {
        for line in ["@send report.pdf", "@secret bob key hi", "@Open 1 key"] {
            assert!(error(line).contains("@help"), "{line}");
        }
        assert!(error("@bob").contains("to write to bob: @bob text"));
        for line in ["@", "@é hi", "@a.b hi", "@123456789012345678901 hi"] {
            assert!(error(line).contains("neither a command nor a name"), "{line}");
        }
    }

    /// Commands with a key in them, as the encrypted stages have them.
    fn with_secrets() -> Vec<Command> {
        let secret = |word, forms| Command {
            word,
            forms,
            example: "",
            parse: Parse::Secret {
                parse: Arc::new(|_| Some(Ok(Action::Quit))),
                wipe: |line| WIPED.set(Some(line)),
            },
        };
        let secrets = [
            secret("secret", &[("@secret NAME KEY text", "")]),
            secret("open", &[("@open N KEY", "")]),
        ];
        [ALL, &secrets].concat()
    }

    thread_local! {
        /// The line that was to be overwritten last.
        static WIPED: Cell<Option<String>> = const { Cell::new(None) };
    }

    #[test]
    fn a_mistyped_command_sends_no_key_to_anybody() {
        let commands = with_secrets();
        for (line, shown, right) in [
            ("@opne 1 KEY", "@opne …", "@open N KEY"),
            ("@open: 1 KEY", "@open: …", "@open N KEY"),
            ("@OPNE, 1 KEY", "@OPNE, …", "@open N KEY"),
            ("@ope 1 KEY", "@ope …", "@open N KEY"),
            ("@opens 12 KEY", "@opens …", "@open N KEY"),
            ("@opened 1 KEY", "@opened …", "@open N KEY"),
            ("@openbob 1 KEY", "@openbob …", "@open N KEY"),
            ("@open1 KEY", "@open1 …", "@open N KEY"),
            ("@ pone  1  KEY ", "@pone …", "@open N KEY"),
            ("@owen 1 KEY", "@owen …", "@open N KEY"),
            ("@sceret bob KEY hi", "@sceret …", "@secret NAME KEY text"),
            ("  @sec bob KEY hi", "@sec …", "@secret NAME KEY text"),
            ("@SECRE bob KEY two words", "@SECRE …", "@secret NAME KEY text"),
            ("@secrets bob KEY hi", "@secrets …", "@secret NAME KEY text"),
            ("@secretly bob KEY hi", "@secretly …", "@secret NAME KEY text"),
            ("@secretbob KEY hi", "@secretbob …", "@secret NAME KEY text"),
            ("@secret: bob KEY hi", "@secret: …", "@secret NAME KEY text"),
            ("@sceret bob KEY", "@sceret …", "@secret NAME KEY text"),
        ] {
            assert_eq!(public(line, &commands).as_deref(), Some(shown), "{line}");
            let Action::Show(events) = take(line.to_owned(), &commands) else { panic!("{line}") };
            let [Event::Refused { text }] = &events[..] else { panic!("{line}: {events:?}") };
            assert!(text.contains("nothing was sent") && text.contains(right), "{line}: {text}");
            assert!(!text.replace(right, "").contains("KEY"), "{line}: {text}");
            assert_eq!(WIPED.take().as_deref(), Some(line));
        }
    }

    #[test]
    fn of_a_line_with_a_key_the_beginning_may_be_shown() {
        let commands = with_secrets();
        for (line, shown) in [
            ("@open 1 KEY", "@open 1 …"),
            (" @ OPEN 1 KEY", "@OPEN 1 …"),
            ("@secret bob KEY two words", "@secret bob …"),
            // Of the wrong form: who knows where the key is.
            ("@open KEY", "@open …"),
            ("@open KEY 1", "@open …"),
            ("@open 1 KEY KEY", "@open …"),
            ("@secret KEY", "@secret …"),
            ("@secret", "@secret …"),
        ] {
            assert_eq!(public(line, &commands).as_deref(), Some(shown), "{line}");
            assert_eq!(take(line.to_owned(), &commands), Action::Quit, "{line}");
            assert_eq!(WIPED.take().as_deref(), Some(line));
        }
    }

    #[test]
    fn who_is_called_nearly_as_a_command_can_be_written_to() {
        let commands = with_secrets();
        for (to, text) in [
            ("owen", "hello there"),
            ("owen", "1"),
            ("owen", "1 more thing"),
            ("owen", "see you at 5"),
            ("openai", "hello there"),
            ("ben", "bob KEY hi"),
            ("sec", "hello there"),
            ("se", "bob KEY hi"),
            ("secretary", "hello"),
            ("bob", "1 KEY"),
            ("carol", "bob KEY hi"),
        ] {
            let line = format!("@{to} {text}");
            let sent = Request::Private { to: to.to_owned(), text: text.to_owned() };
            assert_eq!(take(line.clone(), &commands), Action::Send(sent), "{line}");
            assert_eq!(public(&line, &commands), None, "{line}");
            assert_eq!(WIPED.take(), None, "{line}");
        }
        assert_eq!(public("@names", &commands), None);
        assert_eq!(public("open 1 KEY", &commands), None, "said to the room");
    }

    #[test]
    fn a_text_that_is_too_long_is_not_sent() {
        let fits = "é".repeat(2048);
        for prefix in ["", "@bob ", "@group send team "] {
            assert!(parse(&format!("{prefix}{fits}"), ALL).is_ok());
            let wrong = error(&format!("{prefix}{fits}x"));
            assert!(wrong.contains("4097") && wrong.contains("4096"), "{wrong}");
        }
    }

    #[test]
    fn help_names_every_command_and_its_examples_are_right() {
        let all = shown("", ALL);
        for command in ALL {
            let example = parse(command.example, ALL);
            assert!(example.is_ok(), "{}", command.example);
            let one = shown(&command.word.to_uppercase(), ALL).join("\n");
            assert!(one.contains(command.example), "{one}");
            for (form, does) in command.forms {
                let is_it = |line: &&String| line.contains(form) && line.ends_with(does);
                assert!(all.iter().any(|line| is_it(&line)), "{form}");
                assert!(one.contains(form) && one.contains(does), "{one}");
            }
        }
        assert_eq!(error("@help dance"), "there is no command @dance; @help shows all");
    }

    #[test]
    fn help_fits_a_terminal_of_80_columns() {
        for line in shown("", ALL) {
            // With "* " in front.
            assert!(line.chars().count() + 2 < 80, "{line}");
        }
        let forms = ALL.iter().flat_map(|command| command.forms);
        assert_eq!(forms.map(|(form, _)| form.len()).max(), Some(27), "the width of the column");
    }

    #[test]
    fn no_word_of_a_command_is_a_name_that_somebody_may_have() {
        for command in ALL {
            let name = command.word.parse::<Name>().unwrap();
            assert!(name.is_reserved() || command.word == "NAME", "{name}");
        }
    }
}
