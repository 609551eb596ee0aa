//! What pages say about a stage, checked with its binary.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use common::name;

use super::Page;
use super::Problem;
use super::Project;
use super::names;
use super::output;
use super::random;
use super::run;
use crate::PATIENCE;
use crate::process;
use crate::process::ServerProgram;

/// People of whom the pages tell, to whom one can write `@alice`.
const PEOPLE: [&str; 6] = ["alice", "bob", "carol", "dave", "eve", "mallory"];

/// A stage's program.
pub struct Program {
    /// The stage's package.
    pub package: String,
    /// The port that it takes unless told otherwise.
    pub port: u16,
    /// The program and what comes before its arguments.
    pub command: Vec<OsString>,
    /// How long to wait for what a page shows.
    pub patience: Duration,
}

impl Program {
    /// The program of a stage, as cargo gives its tests the path: `CARGO_BIN_EXE_…`.
    pub fn new(binary: &str) -> Program {
        let package = Path::new(binary).file_stem().expect("a file").to_string_lossy().into_owned();
        let digit = package.strip_prefix("stage").and_then(|rest| rest.chars().next());
        let number = digit.and_then(|digit| digit.to_digit(10)).expect("a stage has a number");
        let port = 7000 + u16::try_from(number).expect("one digit");
        Program { package, port, command: vec![binary.into()], patience: PATIENCE }
    }

    fn shows(&self, args: &[&str]) -> String {
        let folder = tempfile::tempdir().expect("a folder");
        let args = args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>();
        let output = self.command(&args, folder.path()).stdin(Stdio::null()).output();
        String::from_utf8(output.expect("it starts").stdout).expect("UTF-8")
    }
}

/// Runs the console blocks of all pages that are this stage's.
pub fn consoles(project: &Project, program: &Program) -> Vec<Problem> {
    project.pages.iter().flat_map(|page| run::page(page, program)).collect()
}

/// Checks the excerpts of this stage's tour.
pub fn tours(project: &Project, program: &Program) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut tours = Vec::new();
    for page in &project.pages {
        for block in page.blocks.iter().filter(|block| block.language == "text") {
            let words = block.argument.split_whitespace().collect::<Vec<_>>();
            if words != ["tour", &program.package] {
                continue;
            }
            let quoted = output::lines(&block.text);
            let take = |count: usize, tours: &mut Vec<Vec<String>>| {
                tours.resize_with(count.max(tours.len()), || output::lines(&program.shows(&[])));
            };
            take(1, &mut tours);
            if !quoted.is_empty() && output::find(&quoted, &tours[0]).is_some() {
                continue;
            }
            let (lines, what) = if quoted.iter().any(|line| random::is_row(line)) {
                take(random::TOURS, &mut tours);
                match random::check(&quoted, &tours) {
                    Ok(()) => continue,
                    Err(wrong) => wrong,
                }
            } else {
                let tour = &tours[0];
                // The longest beginning that is there says where it goes wrong.
                let there = (0..quoted.len()).rev().find_map(|lines| {
                    let end = output::find(&quoted[..lines], tour)?;
                    Some((lines, tour.get(end)))
                });
                let (lines, instead) = there.unwrap_or_default();
                let what = format!(
                    "`cargo run -p {}` does not show this line (there):\n    {}\n{}",
                    program.package,
                    quoted.get(lines).map_or("", String::as_str),
                    match instead.filter(|_| lines > 0) {
                        Some(instead) => format!("but\n    {instead}"),
                        None => "Copy the lines anew from what it shows".to_owned(),
                    }
                );
                (lines, what)
            };
            problems.push(page.problem(block.line.number + 1 + lines, what));
        }
    }
    problems
}

/// Checks that the options and commands that pages name are those that the program's help explains:
/// options behind `cargo run -p STAGE --` on all pages, and all in backticks on the stage's own and
/// on those that run this stage and name no other.
pub fn help(project: &Project, program: &Program) -> Vec<Problem> {
    let mut options = BTreeSet::new();
    for args in [&["--help"][..], &["server", "--help"], &["client", "--help"]] {
        options.extend(words(&program.shows(args), '-'));
    }
    let commands = words(&explained(program), '@');
    let mut problems = Vec::new();
    for page in &project.pages {
        let mut its = vec![of_cargo(page, program, &options)];
        if is_about(page, program, project) {
            its.push(in_backticks(page, program, &options, &commands));
        }
        problems.extend(its.into_iter().flatten());
    }
    problems
}

/// Whether a page is about this stage, and no other that exists.
fn is_about(page: &Page, program: &Program, project: &Project) -> bool {
    let package = program.package.as_str();
    let runs_it = || {
        let commands = names::cargo_commands(page);
        commands.iter().any(|it| it.words.first() == Some(&"run") && it.packages() == [package])
    };
    let mut others = project.packages.iter().filter(|it| it.is_stage() && it.name != package);
    page.path == format!("docs/{package}.md")
        || (runs_it() && !others.any(|other| page.text.contains(&other.name)))
}

fn of_cargo(page: &Page, program: &Program, options: &BTreeSet<String>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for cargo in names::cargo_commands(page) {
        if cargo.words.first() == Some(&"run") && cargo.packages() == [program.package.as_str()] {
            let given = cargo.program.iter().copied();
            problems.extend(unknown_option(page, cargo.line, given, program, options));
        }
    }
    problems
}

fn in_backticks(
    page: &Page,
    program: &Program,
    options: &BTreeSet<String>,
    commands: &BTreeSet<String>,
) -> Vec<Problem> {
    let package = program.package.as_str();
    let mut problems = Vec::new();
    for span in &page.spans {
        let first = span.text.split_whitespace().next().unwrap_or_default();
        if first.starts_with('-') || ["server", "client"].contains(&first) {
            let given = span.text.split_whitespace();
            problems.extend(unknown_option(page, span.line, given, program, options));
        }
        let Some(word) = first.strip_prefix('@') else { continue };
        // A placeholder, or nothing.
        let is_name = |word: &str| !word.contains(char::is_lowercase);
        if commands.contains(first) || PEOPLE.contains(&word) || is_name(word) {
            continue;
        }
        // A page may tell what another stage has.
        let of_another =
            name::RESERVED.contains(&word) && span.around.to_lowercase().contains("stage");
        if !of_another {
            let all = commands.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
            let what = format!(
                "{package} has no {first}, and none of the people of the pages is called so \
                 ({}); its commands are {all}",
                PEOPLE.join(", ")
            );
            problems.push(page.problem(span.line, what));
        }
    }
    problems
}

/// A problem, if one of these words is an option that the program does not have.
fn unknown_option<'w>(
    page: &Page,
    line: usize,
    mut given: impl Iterator<Item = &'w str>,
    program: &Program,
    options: &BTreeSet<String>,
) -> Option<Problem> {
    let unknown = given.find_map(|word| {
        let option = words(word, '-').pop_first().filter(|_| word.starts_with('-'))?;
        (!options.contains(&option)).then_some(option)
    })?;
    let all = options.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
    let package = &program.package;
    Some(page.problem(line, format!("{package} has no option {unknown}; it has {all}")))
}

/// What `@help` shows.
fn explained(program: &Program) -> String {
    // What it remembers goes with the folder.
    let folder = tempfile::tempdir().expect("a folder");
    let start = |args: &[&str]| {
        let mut command = std::process::Command::new(&program.command[0]);
        command.args(&program.command[1..]).args(args).current_dir(folder.path());
        process::Program::start_command(&mut command)
    };
    let server = ServerProgram::from(start(&["server", "--listen", "127.0.0.1:0"]));
    let mut client = start(&["client", &server.address.to_string(), "--name", "reader"]);
    client.type_line("@help");
    let (_, lines, _) = client.end();
    lines.join("\n")
}

/// The words of a text that begin with this character: of options the first letter if there is one
/// dash, so that `-vv` is `-v`.
fn words(text: &str, mark: char) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == mark;
    let words = text.split(|c: char| !is_part(c)).filter(|word| word.starts_with(mark));
    let words = words.filter(|word| word.contains(|c: char| c.is_ascii_alphabetic()));
    let short = |word: &str| match word.strip_prefix('-').and_then(|rest| rest.chars().next()) {
        Some(letter) if letter != '-' => format!("-{letter}"),
        _ => word.to_owned(),
    };
    words.map(short).collect()
}

/// On systems that have a shell to play the program.
#[cfg(all(test, unix))]
mod tests {
    use super::super::testing::assert_good;
    use super::super::testing::assert_problem;
    use super::super::testing::fake;
    use super::super::testing::page;
    use super::*;

    fn project(path: &str, text: &str) -> Project {
        let pages = vec![page(path, text)];
        Project { root: "/".into(), pages, packages: Vec::new() }
    }

    #[test]
    fn a_tour_is_quoted() {
        let (_folder, program) = fake(PATIENCE);
        let check = |quote: &str| {
            let text = format!("|```text tour stage1_fake\n|{quote}\n|```");
            tours(&project("page.md", &text), &program)
        };
        for quote in
            ["1. A server", "1. A server\n|   listening on [..]\n|\n|2. alice", "...\n|2. alice"]
        {
            assert_good(&check(quote));
        }
        for (quote, line, problem) in [
            ("2. bob", 2, "    2. bob\nCopy"),
            ("1. A server\n|2. alice", 3, "    2. alice\nbut\n       listening on 127.0.0.1:1"),
            ("", 2, "does not show"),
        ] {
            assert_problem(&check(quote), line, problem);
        }
        // Of five tours the first byte is the same in all, and the second in none.
        assert_good(&check("   bytes\n|      2a 00  a row"));
        assert_problem(&check("   bytes\n|      2b 00  a row"), 3, "byte 1 of this row is 2a");
        assert_problem(&check("   bytes\n|      2a 00  another"), 3, "no tour shows this line");
        let others = project("page.md", "|```text tour stage2_other\n|x\n|```");
        assert_good(&tours(&others, &program));
    }

    #[test]
    fn options_and_commands_are_those_of_the_help() {
        let (_folder, program) = fake(PATIENCE);
        let on_its_page = |text: &str| {
            let text = format!("|{text}");
            help(&project("docs/stage1_fake.md", &text), &program)
        };
        for text in [
            "`--listen ADDR`, `-vv`, `client --name bob`, `-- --step`",
            "`@help`, `@help names`, `@names`, `@alice hi`, `@NAME text`, `@`",
            "Stage 3 brings `@secret`; `ulimit -n 4096`, `cargo test -p x -- --nocapture`",
            "`cargo run -p stage2_other -- --nosuch`",
        ] {
            assert_good(&on_its_page(text));
        }
        for (text, problem) in [
            ("`--lisden`", "stage1_fake has no option --lisden; it has --listen --name --step -v"),
            ("`-x`", "no option -x"),
            ("`server --max=3`", "no option --max"),
            ("`cargo run -q -p stage1_fake -- client --nam`", "no option --nam;"),
            ("`@sned x`", "has no @sned"),
            ("There is `@secret`.", "has no @secret"),
        ] {
            assert_problem(&on_its_page(text), 1, problem);
        }
        let elsewhere = |text: &str| {
            let mut project = project("README.md", text);
            let name = "stage2_other".to_owned();
            project.packages.push(super::super::project::Package { name, folder: "x".into() });
            help(&project, &program)
        };
        assert_good(&elsewhere("|`--lisden` `@sned`"));
        assert_good(&elsewhere("|`--lisden`, `cargo run -p stage1_fake`, stage2_other"));
        assert_problem(&elsewhere("|`--lisden`, `cargo run -p stage1_fake`"), 1, "--lisden");
        let text = "|```sh\n|cargo run -p stage1_fake -- server --lisden x\n|```\n|stage2_other";
        assert_problem(&elsewhere(text), 2, "no option --lisden");
    }
}
