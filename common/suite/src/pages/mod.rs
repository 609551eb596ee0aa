//! The pages of the documentation say what is: README.md, CONTRIBUTING.md, CHANGELOG.md and all
//! below `docs/`.
//!
//! What needs no program is checked by this crate's own test `pages`; console blocks and what else
//! needs a stage's binary by that stage's test `pages`, because only there cargo says where it is.
//! How a page is written so that it can be checked is told in CONTRIBUTING.md.

pub mod console;
pub mod hex;
pub mod links;
pub mod markdown;
pub mod names;
pub mod output;
pub mod process;
pub mod project;
pub mod quotes;
pub mod random;
pub mod run;
pub mod stage;

use std::fmt::Display;

pub use markdown::Block;
pub use markdown::Line;
pub use markdown::Page;
pub use project::Project;
pub use stage::Program;

/// What is wrong with a page, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    page: String,
    line: usize,
    what: String,
}

impl Display for Problem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}, line {}: {}", self.page, self.line, self.what)
    }
}

/// The languages of fences, and what has to stand behind each.
const LANGUAGES: [(&str, &str); 9] = [
    ("console", "nothing, or the name of a person's terminal"),
    ("rust", "the path of the file that is quoted"),
    ("toml", "the path of the file that is quoted"),
    ("text", "nothing, the path of a file that is quoted, or `tour` and a stage"),
    ("json", "nothing, `request` or `event`"),
    ("hex", "nothing"),
    ("bytes", "the name of the example"),
    ("sh", "nothing"),
    ("escaped", "nothing"),
];

/// Checks that all fences have a language of a closed list.
pub fn fences(page: &Page) -> Vec<Problem> {
    let mut problems = Vec::new();
    for block in &page.blocks {
        let language = LANGUAGES.iter().find(|(language, _)| *language == block.language);
        let words = block.argument.split_whitespace().collect::<Vec<_>>();
        let is_right = matches!(
            (block.language.as_str(), words.as_slice()),
            ("rust" | "toml" | "bytes", [_])
                | ("text", [] | [_] | ["tour", _])
                | ("json", [] | ["request" | "event"])
                | ("console", [] | [_])
                | ("hex" | "sh" | "escaped", [])
        );
        let what = match language {
            _ if !block.is_closed => "this block has no end; close it with ```".to_owned(),
            None => {
                let all = LANGUAGES.map(|(language, _)| language).join(", ");
                format!("a block in {:?}; the languages are {all}", block.language)
            }
            Some((language, behind)) if !is_right => {
                format!("{:?} stands behind `{language}`; there belongs {behind}", block.argument)
            }
            Some(_) => continue,
        };
        problems.push(page.problem(block.line.number, what));
    }
    problems
}

/// All checks that need no program.
pub fn check(project: &Project) -> Vec<Problem> {
    let mut problems = Vec::new();
    for page in &project.pages {
        problems.extend(fences(page));
        problems.extend(console::form(page, project));
        problems.extend(quotes::check(page, project));
        problems.extend(hex::check(page));
        problems.extend(links::check(page, project));
        problems.extend(names::check(page, project));
    }
    problems
}

/// Fails if there are problems, and shows all of them.
///
/// # Panics
/// If there are.
#[track_caller]
pub fn report(mut problems: Vec<Problem>) {
    problems.sort();
    let shown = problems.iter().map(Problem::to_string).collect::<Vec<_>>();
    assert!(shown.is_empty(), "the pages are wrong:\n\n{}\n", shown.join("\n\n"));
}

#[cfg(test)]
pub(crate) mod testing {
    use std::time::Duration;

    use tempfile::TempDir;

    use super::Page;
    use super::Problem;
    use super::Program;

    /// A shell that plays a stage, good enough for pages about it; it goes with the folder.
    pub fn fake(patience: Duration) -> (TempDir, Program) {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("fake.sh");
        std::fs::write(&script, include_str!("fake.sh")).unwrap();
        let command = vec!["sh".into(), script.into()];
        let package = "stage1_fake".to_owned();
        (folder, Program { package, port: 7001, command, patience })
    }

    /// The page, as a test writes it: `|` begins a line, so that indentation is seen.
    pub fn page(path: &str, text: &str) -> Page {
        let lines = text.lines().filter_map(|line| line.trim_start().strip_prefix('|'));
        Page::new(path, &lines.map(|line| format!("{line}\n")).collect::<String>())
    }

    /// There is one problem, in this line, that says this.
    #[track_caller]
    pub fn assert_problem(problems: &[Problem], line: usize, what: &str) {
        let shown = problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n");
        assert!(problems.len() == 1, "not one problem: {shown}");
        assert!(
            problems[0].line == line && problems[0].what.contains(what),
            "line {line}, {what}: {shown}"
        );
    }

    #[track_caller]
    pub fn assert_good(problems: &[Problem]) {
        assert!(problems.is_empty(), "{}", problems[0]);
    }
}

#[cfg(test)]
mod tests {
    use super::testing::assert_good;
    use super::testing::assert_problem;
    use super::testing::page;
    use super::*;

    #[test]
    fn languages_are_a_closed_list() {
        for (block, problem) in [
            ("```\n```", "a block in \"\""),
            ("```bash\n```", "a block in \"bash\""),
            ("    indented", "a block in \"\""),
            ("```rust\n```", "there belongs the path"),
            ("```toml\n```", "there belongs the path"),
            ("```hex dump\n```", "there belongs nothing"),
            ("```bytes\n```", "there belongs the name"),
            ("```text tour\nx", "has no end"),
            ("```text two words\n```", "`tour` and a stage"),
            ("```json responce\n```", "`request` or `event`"),
        ] {
            assert_problem(&fences(&Page::new("page.md", &format!("x\n\n{block}\n"))), 3, problem);
        }
        assert_good(&fences(&page(
            "page.md",
            "|```console
             |```
             |```console alice
             |```
             |- in a list
             |
             |  ```rust src/lib.rs
             |  ```
             |
             |```text
             |```
             |```text tour stage1_relay
             |```
             |```json event
             |```
             |```bytes p256
             |```
             |~~~sh
             |~~~
             |```escaped
             |```",
        )));
    }

    #[test]
    fn a_report_shows_all_problems_in_order() {
        let problem = |line| Problem { page: "docs/a.md".to_owned(), line, what: "x".to_owned() };
        report(Vec::new());
        let panic = std::panic::catch_unwind(|| report(vec![problem(10), problem(9)])).unwrap_err();
        let text = panic.downcast_ref::<String>().unwrap();
        assert!(text.contains("docs/a.md, line 9: x\n\ndocs/a.md, line 10: x"), "{text}");
    }
}
