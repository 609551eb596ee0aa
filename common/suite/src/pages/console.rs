//! Console blocks, taken apart: commands and what they show, and the terminals of people.

use super::Block;
use super::Page;
use super::Problem;
use super::Project;

/// What a command is allowed to be.
const ALLOWED: &str = "a command is `cargo run [-q] -p STAGE [-- ARGS]`, perhaps with \
                       `printf 'TEXT' |` before it; others belong into a block of `sh`, which is \
                       not run";

/// A console block.
pub struct Console<'p> {
    /// Where it begins.
    pub line: usize,
    /// The stage that it runs.
    pub package: String,
    /// What is in it.
    pub content: Content<'p>,
}

/// The two kinds of console blocks.
pub enum Content<'p> {
    /// Commands, and what each shows.
    Commands(Vec<(Command, Vec<&'p str>)>),
    /// A person's terminal: its name, the command that it begins with, and its lines.
    Person(&'p str, Option<Command>, Vec<(usize, &'p str)>),
}

/// A command that runs a stage.
#[derive(Debug, PartialEq, Eq)]
pub struct Command {
    /// Its line on the page.
    pub line: usize,
    /// The command as it stands there.
    pub text: String,
    /// The stage.
    pub package: String,
    /// The arguments of the stage's program.
    pub args: Vec<String>,
    /// What `printf` gives it to read.
    pub input: Option<String>,
}

/// The console blocks of a page, and what is wrong with their form.
pub fn blocks(page: &Page) -> (Vec<Console<'_>>, Vec<Problem>) {
    let (mut blocks, mut problems) = (Vec::<Console<'_>>::new(), Vec::new());
    for block in page.blocks.iter().filter(|block| block.language == "console") {
        let console = match block.argument.as_str() {
            "" => commands(block),
            name => person(block, name, &blocks),
        };
        match console {
            Ok(console) => blocks.push(console),
            Err((line, what)) => problems.push(page.problem(line, what)),
        }
    }
    (blocks, problems)
}

/// Checks the form of a page's console blocks, and that some test runs them.
pub fn form(page: &Page, project: &Project) -> Vec<Problem> {
    let (blocks, mut problems) = blocks(page);
    for block in blocks {
        let package = block.package;
        let what = match project.package(&package) {
            Some(stage) if stage.is_stage() => {
                if project.root.join(&stage.folder).join("tests/pages.rs").exists() {
                    continue;
                }
                format!("nobody runs this: add tests/pages.rs to {package}")
            }
            _ => {
                let stages = project.packages.iter().filter(|package| package.is_stage());
                let stages = stages.map(|stage| stage.name.as_str()).collect::<Vec<_>>();
                format!("{package:?} is no stage; those that exist are {}", stages.join(", "))
            }
        };
        problems.push(page.problem(block.line, what));
    }
    problems
}

fn commands(block: &Block) -> Result<Console<'_>, (usize, String)> {
    let line = block.line.number;
    let mut commands = Vec::<(Command, Vec<&str>)>::new();
    let mut lines = block.numbered();
    while let Some((number, text)) = lines.next() {
        if let Some(command) = text.strip_prefix("$ ") {
            let mut command = command.to_owned();
            while let Some(begun) = command.strip_suffix('\\') {
                let (_, more) = lines.next().ok_or((number, "the command goes on".to_owned()))?;
                let more = more.trim_start();
                command = format!("{begun}{}", more.strip_prefix("> ").unwrap_or(more));
            }
            commands.push((parse(number, &command)?, Vec::new()));
        } else if let Some((_, shown)) = commands.last_mut() {
            let first = text.trim_start();
            if ["Compiling ", "Finished ", "Running "].iter().any(|its| first.starts_with(its)) {
                return Err((number, "leave out what cargo itself says".to_owned()));
            }
            shown.push(text);
        } else {
            return Err((number, "a console block begins with `$ ` and a command".to_owned()));
        }
    }
    for (_, shown) in &mut commands {
        while shown.pop_if(|last| last.trim().is_empty()).is_some() {}
    }
    let Some((first, _)) = commands.first() else {
        return Err((line, "a console block begins with `$ ` and a command".to_owned()));
    };
    let package = first.package.clone();
    if let Some((other, _)) = commands.iter().find(|(command, _)| command.package != package) {
        return Err((other.line, "another stage needs a block of its own".to_owned()));
    }
    Ok(Console { line, package, content: Content::Commands(commands) })
}

fn person<'p>(
    block: &'p Block,
    name: &'p str,
    before: &[Console<'_>],
) -> Result<Console<'p>, (usize, String)> {
    let line = block.line.number;
    let mut lines = block.numbered().collect::<Vec<_>>();
    let first = lines.first().and_then(|(_, first)| first.strip_prefix("$ "));
    let command = first.map(|first| parse(line + 1, first)).transpose()?;
    let package = match &command {
        Some(command) => {
            lines.remove(0);
            command.package.clone()
        }
        None => {
            let is_it = |block: &&Console<'_>| matches!(block.content, Content::Person(its_name, ..) if its_name == name);
            let Some(block) = before.iter().rev().find(is_it) else {
                let what = format!(
                    "the terminal of {name} is new here: its first line is `$ cargo run …`"
                );
                return Err((line, what));
            };
            block.package.clone()
        }
    };
    if command.as_ref().is_some_and(|command| command.input.is_some()) {
        return Err((line, "a person types, and `printf` does not".to_owned()));
    }
    if let Some((again, _)) = lines.iter().find(|(_, text)| text.starts_with("$ ")) {
        let what = format!("{name} starts something else: that needs a block of its own");
        return Err((*again, what));
    }
    let is_empty = |text: &str| text.trim().is_empty() || is_prompt(name, text.trim_end());
    while lines.pop_if(|(_, text)| is_empty(text)).is_some() {}
    Ok(Console { line, package, content: Content::Person(name, command, lines) })
}

/// A command's stage, arguments and input.
fn parse(line: usize, text: &str) -> Result<Command, (usize, String)> {
    let wrong = |why: &str| (line, format!("{why}: {ALLOWED}"));
    let (input, cargo) = match text.strip_prefix("printf ") {
        None => (None, text),
        Some(printf) => {
            let printf = printf.trim_start().strip_prefix('\'');
            let (quoted, rest) = printf
                .and_then(|printf| printf.split_once('\''))
                .ok_or_else(|| wrong("printf has one text, in single quotes"))?;
            let rest = rest.trim_start().strip_prefix('|');
            let cargo = rest.ok_or_else(|| wrong("behind printf stands one `|`"))?;
            (Some(unescaped(quoted).map_err(|why| wrong(&why))?), cargo)
        }
    };
    let words = words(cargo).map_err(|why| wrong(&why))?;
    let mut words = words.into_iter();
    let mut expect = |word: &str| match words.next() {
        Some(found) if found == word => Ok(()),
        found => Err(wrong(&format!("{:?} in place of {word:?}", found.unwrap_or_default()))),
    };
    expect("cargo")?;
    expect("run")?;
    let mut words = words.skip_while(|word| word == "-q").peekable();
    if words.next().as_deref() != Some("-p") {
        return Err(wrong("`-p` and a stage are missing"));
    }
    let package = words.next().ok_or_else(|| wrong("a stage is missing"))?;
    if words.next().is_some_and(|word| word != "--") {
        return Err(wrong("behind the stage stands `--`"));
    }
    Ok(Command { line, text: text.to_owned(), package, args: words.collect(), input })
}

/// The words of a command, without a shell's magic.
fn words(text: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None::<char>);
    for c in text.chars() {
        match (quote, c) {
            (Some(open), _) if open == c => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (None, '|' | '>' | '<' | '&' | ';' | '`' | '*' | '(' | ')' | '#')
            | (None | Some('"'), '$' | '\\') => {
                return Err(format!("there is no shell that knows {c}"));
            }
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    match quote {
        Some(open) => Err(format!("{open} is not closed")),
        None => Ok(words),
    }
}

/// What printf writes.
fn unescaped(text: &str) -> Result<String, String> {
    let (mut plain, mut chars) = (String::new(), text.chars());
    while let Some(c) = chars.next() {
        plain.push(match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('n')) => '\n',
            ('\\', Some('t')) => '\t',
            ('\\', Some('\\')) => '\\',
            ('\\', other) => return Err(format!("\\{} is not known", other.unwrap_or(' '))),
            ('%', _) => return Err("% would be a format of printf".to_owned()),
            (c, _) => c,
        });
    }
    Ok(plain)
}

/// Questions whose answers are not shown.
pub const HIDDEN: [&str; 2] = ["password:", "the same again:"];

/// The prompts that a person types at.
fn prompts(name: &str) -> Vec<String> {
    let status = |status: &str| format!("{name}{status}>");
    let shown = [status(""), status(" (dnd)"), status(" (away)"), "your name:".to_owned()];
    shown.into_iter().chain(HIDDEN.map(str::to_owned)).collect()
}

/// Whether a row is a prompt with nothing behind it.
pub fn is_prompt(name: &str, row: &str) -> bool {
    prompts(name).iter().any(|prompt| prompt == row)
}

/// The prompt of a line and what is typed behind it, if it is such a line.
pub fn typed<'l>(name: &str, line: &'l str) -> Option<(String, &'l str)> {
    prompts(name).into_iter().find_map(|prompt| {
        let text = line.strip_prefix(&prompt)?.strip_prefix(' ')?.trim_end();
        (!text.is_empty()).then_some((prompt, text))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::assert_good;
    use super::super::testing::assert_problem;
    use super::super::testing::page;
    use super::*;

    #[test]
    fn commands() {
        let parsed = parse(1, r#"printf 'a\tb\n\\' | cargo run -q -p s -- client "a b" 'c'd"#);
        let parsed = parsed.unwrap();
        assert_eq!(parsed.input.as_deref(), Some("a\tb\n\\"));
        assert_eq!(
            (parsed.package.as_str(), parsed.args),
            ("s", ["client", "a b", "cd"].map(str::to_owned).to_vec())
        );
        assert_eq!(parse(1, "cargo run -p s").unwrap().args, Vec::<String>::new());
        for (text, problem) in [
            ("ls", "\"ls\" in place of \"cargo\""),
            ("cargo test", "\"test\" in place of \"run\""),
            ("cargo run", "`-p` and a stage"),
            ("cargo run -p", "a stage is missing"),
            ("cargo run -p s server", "stands `--`"),
            ("cargo run -p s -- server &", "no shell that knows &"),
            ("cargo run -p s | head", "no shell that knows |"),
            ("cargo run -p s -- client \"$NAME\"", "no shell that knows $"),
            ("cargo run -p s -- client 'a", "' is not closed"),
            ("printf a | cargo run -p s", "in single quotes"),
            ("printf 'a' ; cargo run -p s", "stands one `|`"),
            ("printf 'a' | rm -r x", "\"rm\" in place"),
            ("printf '%s' | cargo run -p s", "a format of printf"),
            ("printf '\\x' | cargo run -p s", "\\x is not known"),
        ] {
            let (line, what) = parse(7, text).unwrap_err();
            assert!(line == 7 && what.contains(problem) && what.contains(ALLOWED), "{what}");
        }
    }

    #[test]
    fn form() {
        let project = Project::this();
        let check = |text: &str| super::form(&page("page.md", text), &project);
        assert_good(&check(
            "|```console
             |$ cargo run -p stage1_relay -- server
             |listening on 127.0.0.1:7001
             |
             |$ printf '@names\\n' | cargo run -q -p stage1_relay -- client \\
             |>     --name bob
             |```
             |```console alice
             |$ cargo run -p stage1_relay -- client --name alice
             |```
             |```console alice
             |alice> hi
             |alice>
             |```",
        ));
        for (text, line, problem) in [
            ("|```console\n|hi\n|```", 2, "begins with `$ `"),
            ("|```console\n|```", 1, "begins with `$ `"),
            ("|```console\n|$ ls\n|```", 2, "in place of"),
            ("|```console\n|$ cargo run -p common\n|```", 1, "those that exist are stage1_relay"),
            ("|```console\n|$ cargo run -p stage9_x\n|```", 1, "is no stage"),
            ("|```console\n|$ cargo run -p stage1_relay\n|   Compiling x\n|```", 3, "leave out"),
            ("|```console\n|$ cargo run -p a\n|$ cargo run -p b\n|```", 3, "a block of its own"),
            ("|```console alice\n|alice> hi\n|```", 1, "the terminal of alice is new here"),
            ("|```console alice\n|$ ls\n|```", 2, "in place of"),
            ("|```console a\n|$ printf '' | cargo run -p a\n|```", 1, "a person types"),
            ("|```console a\n|$ cargo run -p a\n|$ cargo run -p a\n|```", 3, "a block of its own"),
        ] {
            assert_problem(&check(text), line, problem);
        }
    }

    #[test]
    fn what_a_person_types() {
        assert_eq!(typed("bob", "bob> hi there"), Some(("bob>".to_owned(), "hi there")));
        assert_eq!(typed("bob", "bob (dnd)> @names "), Some(("bob (dnd)>".to_owned(), "@names")));
        assert_eq!(typed("bob", "your name: bob"), Some(("your name:".to_owned(), "bob")));
        assert_eq!(typed("bob", "password: x y"), Some(("password:".to_owned(), "x y")));
        for line in ["bob> ", "bob>", "bob: hi", "alice> hi", "bob>hi"] {
            assert_eq!(typed("bob", line), None);
        }
        assert!(is_prompt("bob", "bob (away)>") && !is_prompt("bob", "bob> x"));
    }
}
