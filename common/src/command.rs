//! What a person types: the `@` commands, and everything else is said to the room.
//!
//! A stage's `main.rs` lists the commands that it has, one a line.

use std::fmt;
use std::sync::Arc;

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
    /// There is a key in it, so nothing repeats the line after its second word, or keeps it.
    Secret {
        /// Reads it, by what it remembers itself.
        parse: Arc<dyn Fn(&str) -> Parsed + Send + Sync>,
        /// Overwrites a line that is needed no more.
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

/// What `line` asks for, or that it is shown what is wrong with it; a line with a key in it is wiped.
pub fn take(line: String, commands: &[Command]) -> Action {
    let action = parse(&line, commands);
    let action = action.unwrap_or_else(|text| Action::Show(vec![Event::Refused { text }]));
    if let Some(Parse::Secret { wipe, .. }) = find(&line, commands).map(|it| &it.parse) {
        wipe(line);
    }
    action
}

/// What may be shown and kept of `line`, if that is not all of it.
pub fn public(line: &str, commands: &[Command]) -> Option<String> {
    let command = find(line, commands)?;
    if let Parse::Plain(_) = command.parse {
        return None;
    }
    let (first, rest) = word(line);
    Some(format!("{first} {} …", word(rest).0))
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
    let action = match line.trim_start().strip_prefix('@') {
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

fn parse_command(line: &str, commands: &[Command]) -> Result<Action, String> {
    let (first, rest) = word(line);
    if let Some(command) = by_word(first, commands) {
        let wrong = || format!("the right form is: {}", command.usage());
        let parsed = match &command.parse {
            Parse::Plain(parse) => parse(rest, commands),
            Parse::Secret { parse, .. } => parse(rest),
        };
        return parsed.ok_or_else(wrong)?;
    }
    // Sent to somebody of that name, a key would be out.
    let is_meant = |command: &&Command| {
        let typed = first.to_ascii_lowercase();
        let differs = strsim::damerau_levenshtein(command.word, &typed);
        matches!(command.parse, Parse::Secret { .. })
            && differs <= command.word.len().saturating_sub(4)
    };
    if let Some(meant) = commands.iter().find(is_meant) {
        let usage = meant.usage();
        return Err(format!("@{first} is no command, and nothing was sent: did you mean {usage}?"));
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

/// The command that `line` begins with.
fn find<'a>(line: &str, commands: &'a [Command]) -> Option<&'a Command> {
    by_word(word(line).0.strip_prefix('@')?, commands)
}

fn by_word<'a>(word: &str, commands: &'a [Command]) -> Option<&'a Command> {
    let mut commands = commands.iter().filter(|command| command.word != PRIVATE.word);
    commands.find(|command| command.word.eq_ignore_ascii_case(word))
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
