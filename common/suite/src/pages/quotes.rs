//! Quoted code is a verbatim part of the file that it names.

use super::Block;
use super::Page;
use super::Problem;
use super::Project;

/// Lines that stand for what is left out, in the comments of the languages that are quoted.
const LEFT_OUT: [&str; 3] = ["// …", "# …", "…"];

/// Checks the blocks that name a file.
pub fn check(page: &Page, project: &Project) -> Vec<Problem> {
    let is_quote = |block: &&Block| {
        let mut words = block.argument.split_whitespace();
        let is_one = words.next().is_some() && words.next().is_none();
        is_one && ["rust", "toml", "text"].contains(&block.language.as_str())
    };
    let mut problems = Vec::new();
    for block in page.blocks.iter().filter(is_quote) {
        let Some(file) = project.read(&block.argument) else {
            let what = format!(
                "there is no file {}; name it as seen from the root of the project",
                block.argument
            );
            problems.push(page.problem(block.line.number, what));
            continue;
        };
        if let Err((line, what)) = quoted(block, &file) {
            problems.push(page.problem(line, what));
        }
    }
    problems
}

fn quoted(block: &Block, file: &str) -> Result<(), (usize, String)> {
    let path = &block.argument;
    let lines = block.numbered().collect::<Vec<_>>();
    let file = file.lines().collect::<Vec<_>>();
    let is_left_out = |(_, line): &(usize, &str)| LEFT_OUT.contains(&line.trim());
    let (mut from, mut parts) = (0, 0);
    for part in lines.split(is_left_out) {
        let is_blank = |(_, line): &(usize, &str)| line.trim().is_empty();
        let start = part.iter().take_while(|line| is_blank(line)).count();
        let end = part.len() - part.iter().rev().take_while(|line| is_blank(line)).count();
        let Some(part) = part.get(start..end).filter(|part| !part.is_empty()) else { continue };
        parts += 1;
        let wanted = undented(part.iter().map(|(_, line)| *line));
        let mut best = (0, from);
        let found = (from..file.len()).find(|start| {
            let there = undented(file[*start..].iter().copied().take(wanted.len()));
            let same = wanted.iter().zip(&there).take_while(|(a, b)| a == b).count();
            best = best.max((same, *start));
            same == wanted.len()
        });
        let Some(found) = found else {
            let (same, start) = best;
            let (number, line) = part[same];
            let what = match (same, file.get(start + same)) {
                (1.., Some(instead)) => format!(
                    "{path} differs here; its line {} is\n    {}\nand the page has\n    {}\n\
                     Copy the lines anew from the file",
                    start + same + 1,
                    instead.trim(),
                    line.trim()
                ),
                _ => format!(
                    "this is nowhere in {path}{}:\n    {}\nCopy the lines anew from the file",
                    if from == 0 { "" } else { " after what is quoted above it" },
                    line.trim()
                ),
            };
            return Err((number, what));
        };
        from = found + wanted.len();
    }
    match parts {
        0 => Err((block.line.number, format!("nothing is quoted from {path} here"))),
        _ => Ok(()),
    }
}

/// Lines without the indentation that they share.
fn undented<'l>(lines: impl Iterator<Item = &'l str> + Clone) -> Vec<&'l str> {
    let indentation = |line: &str| line.len() - line.trim_start().len();
    let full = lines.clone().filter(|line| !line.trim().is_empty());
    let shared = full.map(indentation).min().unwrap_or_default();
    lines.map(|line| line.get(shared..).unwrap_or_default().trim_end()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::assert_good;
    use super::super::testing::assert_problem;
    use super::super::testing::page;
    use super::*;

    const FILE: &str =
        "fn one() {\n    let a = 1;\n\n    for b in c {\n        d(b);\n    }\n}\n\nfn two() {}\n";

    fn check_quote(quote: &str) -> Vec<Problem> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("code.rs"), FILE).unwrap();
        let root = folder.path().to_owned();
        let project = Project { root, pages: Vec::new(), packages: Vec::new() };
        check(&Page::new("page.md", quote), &project)
    }

    #[test]
    fn a_verbatim_part_with_what_is_left_out() {
        for quote in [
            "    for b in c {\n        d(b);\n    }\n",
            "let a = 1;\n\nfor b in c {\n    d(b);\n}\n",
            "fn one() {\n    // …\n        d(b);\n// …\n\nfn two() {}\n",
            "fn two() {}",
        ] {
            assert_good(&check_quote(&format!("```rust code.rs\n{quote}\n```\n")));
        }
        assert_good(&check_quote("```text code.rs\nfn two() {}\n```\n"));
        assert_good(&check_quote("```text tour x\nnot from a file\n```\n"));
    }

    #[test]
    fn anything_else() {
        for (quote, line, problem) in [
            ("fn three() {}", 2, "nowhere in code.rs"),
            ("fn one() {\n    let a = 2;", 3, "its line 2 is\n    let a = 1;"),
            ("let a = 1;\nfor b in c {", 3, "differs here"),
            ("for b in c {\nd(b);", 3, "differs here"),
            ("fn two() {}\n// …\nfn one() {", 4, "nowhere in code.rs after what is quoted above"),
            ("fn two() {}\nfn three() {}", 3, "nowhere"),
            ("// …", 1, "nothing is quoted"),
        ] {
            assert_problem(
                &check_quote(&format!("```rust code.rs\n{quote}\n```\n")),
                line,
                problem,
            );
        }
        let gone = page("page.md", "|```toml gone.toml\n|```");
        let project = Project { root: "/".into(), pages: Vec::new(), packages: Vec::new() };
        assert_problem(&check(&gone, &project), 1, "there is no file gone.toml");
    }
}
