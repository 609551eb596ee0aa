//! Packages, tests and benches that a page gives to cargo exist.

use super::Page;
use super::Problem;
use super::Project;

/// What cargo does with packages.
const COMMANDS: [&str; 8] = ["run", "test", "bench", "build", "check", "clippy", "doc", "tree"];

/// A command for cargo, as words.
pub struct Cargo<'p> {
    /// Its line on the page.
    pub line: usize,
    /// What stands behind `cargo`, up to `--`.
    pub words: Vec<&'p str>,
    /// What stands behind `--`, for the program.
    pub program: Vec<&'p str>,
}

impl<'p> Cargo<'p> {
    /// What stands behind one of these options.
    pub fn values(&self, options: &[&str]) -> Vec<&'p str> {
        let pairs = self.words.windows(2);
        let pairs = pairs.filter_map(|pair| match pair {
            [option, value] if options.contains(option) => Some(*value),
            _ => None,
        });
        let joined = self.words.iter().filter_map(|word| {
            let (option, value) = word.split_once('=')?;
            options.contains(&option).then_some(value)
        });
        pairs.chain(joined).collect()
    }

    /// The packages that it is for.
    pub fn packages(&self) -> Vec<&'p str> {
        self.values(&["-p", "--package"])
    }
}

/// The commands for cargo of a page, in blocks and in backticks.
pub fn cargo_commands(page: &Page) -> Vec<Cargo<'_>> {
    let is_code = |language: &str| ["console", "sh", "text"].contains(&language);
    let blocks = page.blocks.iter().filter(|block| is_code(&block.language));
    let lines = blocks.flat_map(|block| block.numbered());
    let spans = page.spans.iter().map(|span| (span.line, span.text.as_str()));
    let mut commands = Vec::new();
    for (line, text) in lines.chain(spans) {
        let words = text.split_whitespace().collect::<Vec<_>>();
        for command in words.split(|word| ["|", "&&", ";", "#"].contains(word)) {
            let Some(at) = command.iter().position(|word| *word == "cargo") else { continue };
            let words = &command[at + 1..];
            let end = words.iter().position(|word| *word == "--").unwrap_or(words.len());
            if words.first().is_some_and(|first| COMMANDS.contains(first)) {
                let program = words.get(end + 1..).unwrap_or_default().to_vec();
                commands.push(Cargo { line, words: words[..end].to_vec(), program });
            }
        }
    }
    commands
}

/// Checks the commands for cargo.
pub fn check(page: &Page, project: &Project) -> Vec<Problem> {
    let mut problems = Vec::new();
    for command in cargo_commands(page) {
        let packages = command.packages();
        for name in &packages {
            if project.package(name).is_none() && !is_placeholder(name) {
                let all = project.packages.iter().map(|package| package.name.as_str());
                let all = all.collect::<Vec<_>>().join(", ");
                let what = format!("there is no package {name:?}; the packages are {all}");
                problems.push(page.problem(command.line, what));
            }
        }
        for (option, folder) in [("--test", "tests"), ("--bench", "benches")] {
            for target in command.values(&[option]) {
                let of_command = |name: &str| packages.is_empty() || packages.contains(&name);
                let is_there =
                    project.packages.iter().filter(|it| of_command(&it.name)).any(|it| {
                        let folder = project.root.join(&it.folder).join(folder);
                        folder.join(format!("{target}.rs")).exists()
                            || folder.join(target).join("main.rs").exists()
                    });
                if !is_there && !is_placeholder(target) {
                    let packages = packages.join(" ");
                    let what = format!("there is no {folder}/{target}.rs in {packages}");
                    problems.push(page.problem(command.line, what));
                }
            }
        }
    }
    problems
}

/// Names of packages and tests have no capitals.
fn is_placeholder(name: &str) -> bool {
    name.contains(|c: char| c.is_uppercase())
}

#[cfg(test)]
mod tests {
    use super::super::testing::assert_good;
    use super::super::testing::assert_problem;
    use super::super::testing::page;
    use super::*;

    #[test]
    fn what_cargo_is_given_exists() {
        let project = Project::this();
        assert_good(&check(
            &page(
                "page.md",
                "|`cargo run -p stage1_relay -- server`, `cargo run -p stageN_name`, `cargo run`
                 |```sh
                 |RUSTFLAGS=x cargo test -p stage1_relay --release --test suite
                 |cargo bench -p stage1_relay --bench speed -- -p nosuch
                 |cargo deny -p nosuch
                 |cargo test --test=outbox_loom && cargo doc --package common
                 |```",
            ),
            &project,
        ));
        for (command, problem) in [
            ("cargo run -q -p stage1_rely", "no package \"stage1_rely\"; the packages are common"),
            ("x | cargo test -p nosuch", "no package"),
            ("cargo test -p stage1_relay --test nosuch", "no tests/nosuch.rs in stage1_relay"),
            ("cargo test -p common --test suite", "no tests/suite.rs in common"),
            ("cargo bench -p stage1_relay --bench=nosuch", "no benches/nosuch.rs"),
        ] {
            for text in [format!("|so:\n|`{command}`"), format!("|```sh\n|{command}\n|```")] {
                assert_problem(&check(&page("page.md", &text), &project), 2, problem);
            }
        }
    }
}
