//! The difference of two stages' code: shown by `labs diff`, published in `docs/diffs/`.
//!
//! It is a unified diff of a fixed list of files in a fixed order, without tests, tour and benches,
//! as short as can be: the algorithm looks for the fewest lines and has no time limit, so the
//! numbers do not depend on the machine. `patch -p1` in a copy of the parent's folder takes it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use common::style;
use common::style::Style;
use similar::Algorithm;
use similar::ChangeTag;
use similar::TextDiff;

use crate::stages::EDGES;
use crate::stages::Edge;
use crate::stages::Stage;

/// Where the differences are published.
pub const PUBLISHED: &str = "docs/diffs";
/// What brings what is published up to date.
pub const REPAIR: &str = "cargo run -p labs -- diff --write";

/// The files of a stage that are compared, in the order in which they are shown.
const FILES: [&str; 9] = [
    "Cargo.toml",
    "src/main.rs",
    "src/connection.rs",
    "src/server.rs",
    "src/client.rs",
    "src/transfer.rs",
    "src/noise.rs",
    "src/login.rs",
    "src/known_servers.rs",
];
/// Lines that are shown around a change.
const CONTEXT: usize = 3;
/// What stands for a file that is not there.
const NO_FILE: &str = "/dev/null";
/// Columns of a projector; longer lines are continued where somebody looks at them.
const WIDTH: usize = 80;
/// What a continued line is indented by, beyond its own indentation.
const HANGING: usize = 4;

/// The difference of two stages.
pub struct Difference {
    /// The parent.
    pub from: Stage,
    /// The child.
    pub to: Stage,
    /// Its files, in their order.
    pub files: Vec<File>,
}

/// The difference of a file.
pub struct File {
    /// Its path in both stages.
    pub path: &'static str,
    /// Lines that the child has and the parent has not.
    pub added: usize,
    /// Lines that the parent has and the child has not.
    pub removed: usize,
    /// The unified diff; empty if there is no difference.
    pub diff: String,
}

impl Difference {
    /// Compares the files of two stages.
    ///
    /// # Errors
    /// If one of them is there and cannot be read.
    pub fn new(root: &Path, from: Stage, to: Stage) -> Result<Difference> {
        let mut files = Vec::new();
        for path in FILES {
            let (old, new) = (read(root, from, path)?, read(root, to, path)?);
            if old.is_some() || new.is_some() {
                let name = |stage: Stage, text: &Option<String>| match text {
                    Some(_) => format!("{}/{path}", stage.package),
                    None => NO_FILE.to_owned(),
                };
                let names = [name(from, &old), name(to, &new)];
                let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
                files.push(File::new(path, &names, &old, &new));
            }
        }
        Ok(Difference { from, to, files })
    }

    /// The unified diffs of all files, one behind the other.
    pub fn text(&self) -> String {
        self.files.iter().map(|file| file.diff.as_str()).collect()
    }

    /// What it is called in `docs/diffs/`.
    pub fn file_name(&self) -> String {
        format!("{}-{}.diff", self.from.package, self.to.package)
    }

    /// Lines added and removed, in all files.
    pub fn total(&self) -> (usize, usize) {
        self.files
            .iter()
            .fold((0, 0), |(added, removed), file| (added + file.added, removed + file.removed))
    }

    /// How many lines each file gained and lost, for a person.
    pub fn table(&self, style: Style) -> String {
        let mut table = String::new();
        for file in &self.files {
            let File { path, added, removed, .. } = file;
            line(
                &mut table,
                match file.is_same() {
                    true => {
                        let same = style.paint(style::GREY, "unchanged, byte for byte");
                        format!("  {path:22} {same}")
                    }
                    false => {
                        let added =
                            style.paint(style::GREEN, format!("{:>5}", format!("+{added}")));
                        let removed =
                            style.paint(style::RED, format!("{:>5}", format!("-{removed}")));
                        format!("  {path:22} {added} {removed}")
                    }
                },
            );
        }
        let (added, removed) = self.total();
        let (added, removed) = (format!("+{added}"), format!("-{removed}"));
        line(&mut table, format!("  {:22} {added:>5} {removed:>5}", "together"));
        table
    }

    /// The unified diffs, for a person at a terminal of 80 columns: long lines are continued.
    pub fn shown(&self, style: Style) -> String {
        let mut shown = String::new();
        for text in self.text().lines() {
            for part in continued(text) {
                line(
                    &mut shown,
                    match text.as_bytes() {
                        [b'-', b'-', b'-', b' ', ..] | [b'+', b'+', b'+', b' ', ..] => {
                            style.bold(part)
                        }
                        [b'+', ..] => style.paint(style::GREEN, part),
                        [b'-', ..] => style.paint(style::RED, part),
                        [b'@', ..] => style.paint(style::GREY, part),
                        _ => part,
                    },
                );
            }
        }
        shown
    }

    /// The part of the page about this difference.
    fn section(&self, teaches: &str) -> String {
        let Difference { from, to, .. } = self;
        let file = self.file_name();
        let mut section = format!(
            "## {} to {}\n\n`{}` to `{}`: [{file}]({file}), or `cargo run -p labs -- diff {} {}`.\n\n\
             {teaches}\n\n| file | + | − |\n|---|---:|---:|\n",
            from.number, to.number, from.package, to.package, from.number, to.number
        );
        for file in &self.files {
            let File { path, added, removed, .. } = file;
            line(
                &mut section,
                match file.is_same() {
                    true => format!("| `{path}` | unchanged, | byte for byte |"),
                    false => format!("| `{path}` | {added} | {removed} |"),
                },
            );
        }
        let (added, removed) = self.total();
        line(&mut section, format!("| together | {added} | {removed} |"));
        section
    }
}

impl File {
    fn new(path: &'static str, [old_name, new_name]: &[String; 2], old: &str, new: &str) -> File {
        let compared = TextDiff::configure().algorithm(Algorithm::RawMyers).diff_lines(old, new);
        let count = |tag| compared.iter_all_changes().filter(|change| change.tag() == tag).count();
        let mut unified = compared.unified_diff();
        let diff = unified.context_radius(CONTEXT).header(old_name, new_name).to_string();
        File { path, added: count(ChangeTag::Insert), removed: count(ChangeTag::Delete), diff }
    }

    /// Whether it is the same in both stages, byte for byte.
    pub fn is_same(&self) -> bool {
        self.diff.is_empty()
    }
}

/// The published differences: those of the edges whose stages are there.
///
/// # Errors
/// As [`Difference::new`].
pub fn edges(root: &Path) -> Result<Vec<(Edge, Difference)>> {
    let mut differences = Vec::new();
    for edge in EDGES {
        if let Some([from, to]) = edge.stages(root) {
            differences.push((edge, Difference::new(root, from, to)?));
        }
    }
    Ok(differences)
}

/// Writes all that is published, and removes the differences of edges that are no more.
///
/// # Errors
/// If a file cannot be read or written.
pub fn write(root: &Path) -> Result<()> {
    let folder = root.join(PUBLISHED);
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let published = published(root)?;
    for (name, text) in &published {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    for name in leftovers(&folder, &published)? {
        fs::remove_file(folder.join(name))?;
    }
    Ok(())
}

/// What is published and is not what it should be.
///
/// # Errors
/// If a stage's file cannot be read.
pub fn problems(root: &Path) -> Result<Vec<String>> {
    let folder = root.join(PUBLISHED);
    let published = published(root)?;
    let is_current = |name: &str, text: &str| {
        fs::read_to_string(folder.join(name)).is_ok_and(|there| lines(&there) == text)
    };
    let stale = published.iter().filter(|(name, text)| !is_current(name, text));
    let stale = stale.map(|(name, _)| format!("{PUBLISHED}/{name} is not what the stages say"));
    let leftovers = leftovers(&folder, &published).unwrap_or_default();
    let leftovers = leftovers.iter().map(|name| format!("{PUBLISHED}/{name} belongs to no edge"));
    Ok(stale.chain(leftovers).collect())
}

/// All that is published, by name.
fn published(root: &Path) -> Result<BTreeMap<String, String>> {
    let edges = edges(root)?;
    let mut page = format!(
        "# The differences\n\n\
         The code of two stages, compared line by line: each file in `docs/diffs` turns a parent \
         into a\nchild. Tests, tours and benches are left out. This page and the files are \
         written by\n`{REPAIR}`, and a test compares them with the code.\n"
    );
    let mut files = BTreeMap::new();
    for (edge, difference) in &edges {
        line(&mut page, format!("\n{}", difference.section(edge.teaches).trim_end()));
        files.insert(difference.file_name(), difference.text());
    }
    files.insert("README.md".to_owned(), page);
    Ok(files)
}

/// The differences in the folder that are not published any more.
fn leftovers(folder: &Path, published: &BTreeMap<String, String>) -> io::Result<Vec<String>> {
    let mut leftovers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".diff") && !published.contains_key(&name) {
            leftovers.push(name);
        }
    }
    leftovers.sort();
    Ok(leftovers)
}

/// What is in a stage's file, if it is there.
pub(crate) fn read(root: &Path, stage: Stage, path: &str) -> Result<Option<String>> {
    let path = stage.folder(root).join(path);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(lines(&text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

/// The text with the ends of lines that it has in the repository, also where git has changed them.
fn lines(text: &str) -> String {
    text.replace("\r\n", "\n")
}

/// A line of a diff in parts that fit a screen; each later one keeps its sign and is indented.
fn continued(text: &str) -> Vec<String> {
    let (sign, rest) = text.split_at_checked(1).unwrap_or_default();
    let indent = rest.chars().take_while(|c| *c == ' ').count().min(WIDTH / 2) + HANGING;
    wrapped(text, &format!("{sign}{}", " ".repeat(indent)))
}

/// A line in parts that fit a screen, broken at spaces; each later one begins with `start`.
pub fn wrapped(text: &str, start: &str) -> Vec<String> {
    let (mut parts, mut part) = (Vec::new(), String::new());
    for word in text.split_inclusive(' ') {
        let width = part.chars().count() + word.trim_end().chars().count();
        if width > WIDTH && !part.trim().is_empty() {
            parts.push(part.trim_end().to_owned());
            part = start.to_owned();
        }
        part.push_str(word);
    }
    parts.push(part);
    parts
}

fn line(text: &mut String, line: String) {
    // A String takes everything.
    let _ = writeln!(text, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages;
    use crate::stages::STAGES;

    /// What a unified diff makes of a text, or nothing if it does not fit: as POSIX has the
    /// output of `diff -u`.
    fn patched(old: &str, diff: &str) -> Option<String> {
        let (mut old, mut new) = (old.split_inclusive('\n'), String::new());
        let mut taken = 0;
        for line in diff.split_inclusive('\n') {
            if line.starts_with("--- ") || line.starts_with("+++ ") {
                continue;
            }
            if let Some(header) = line.strip_prefix("@@ -") {
                let (start, _) = header.split_once(' ')?;
                let (start, count) = start.split_once(',').unwrap_or((start, "1"));
                // A hunk that takes nothing stands behind the line that it names.
                let behind = start.parse::<usize>().ok()? - usize::from(count != "0");
                while taken < behind {
                    new.push_str(old.next()?);
                    taken += 1;
                }
                continue;
            }
            let (sign, rest) = line.split_at(1);
            if sign != "+" {
                taken += 1;
                if old.next()? != rest {
                    return None;
                }
            }
            if sign != "-" {
                new.push_str(rest);
            }
        }
        new.extend(old);
        Some(new)
    }

    fn file(old: &str, new: &str) -> File {
        File::new("f", &["a/f".to_owned(), "b/f".to_owned()], old, new)
    }

    #[test]
    fn each_difference_turns_the_parent_into_the_child() {
        let root = stages::root();
        let edges = edges(&root).unwrap();
        assert!(!edges.is_empty());
        for (_, Difference { from, to, files }) in edges {
            for File { path, diff, .. } in files {
                let read = |stage| read(&root, stage, path).unwrap().unwrap_or_default();
                assert_eq!(patched(&read(from), &diff), Some(read(to)), "{path}");
            }
        }
    }

    #[test]
    fn a_difference_as_diff_u_shows_it() {
        let difference = file("1\n2\n3\n4\n5\n6\n", "1\n2\n3\n4\n5\nsix\nseven\n");
        let text = "--- a/f\n+++ b/f\n@@ -3,4 +3,5 @@\n 3\n 4\n 5\n-6\n+six\n+seven\n";
        assert_eq!(difference.diff, text);
        assert_eq!((difference.added, difference.removed), (2, 1));
        let same = file("1\n", "1\n");
        assert!(same.is_same() && !difference.is_same());
        assert_eq!((same.added, same.removed), (0, 0));
        let new = file("", "1\n");
        assert_eq!(new.diff, "--- a/f\n+++ b/f\n@@ -0,0 +1 @@\n+1\n");
    }

    #[test]
    fn the_shortest_difference_is_found_in_long_files_too() {
        // Every third line is gone, every fifth is new, and many lines look the same.
        let old = (0..3000).map(|n| format!("{}\n", n % 7)).collect::<Vec<_>>();
        let new = old.iter().enumerate().filter(|(at, _)| at % 3 != 0).map(|(_, line)| line);
        let new = new.cloned().collect::<Vec<_>>();
        let difference = file(&old.concat(), &new.concat());
        assert_eq!((difference.added, difference.removed), (0, 1000));
        assert_eq!(patched(&old.concat(), &difference.diff), Some(new.concat()));
    }

    #[test]
    fn what_is_published_is_written_checked_and_removed() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let write_file = |stage: Stage, path: &str, text: &str| {
            let path = stage.folder(root).join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let [one, _, three, ..] = STAGES;
        for (stage, text) in [(one, "one\n"), (three, "one\nthree\n")] {
            write_file(stage, "src/main.rs", text);
            write_file(stage, "src/server.rs", "same\n");
        }
        assert_eq!(problems(root).unwrap().len(), 2, "nothing is there yet");
        write(root).unwrap();
        assert_eq!(problems(root).unwrap(), Vec::<String>::new());
        let page = fs::read_to_string(root.join(PUBLISHED).join("README.md")).unwrap();
        assert!(page.contains("| `src/main.rs` | 1 | 0 |"), "{page}");
        assert!(page.contains("| `src/server.rs` | unchanged, | byte for byte |"), "{page}");
        assert!(page.contains("| together | 1 | 0 |") && !page.contains("1 to 4"), "{page}");

        write_file(three, "src/server.rs", "changed\n");
        let stale = "docs/diffs/stage1_relay-stage3_secure_multi.diff is not what the stages say";
        assert!(problems(root).unwrap().iter().any(|problem| problem == stale));
        fs::write(root.join(PUBLISHED).join("old.diff"), "").unwrap();
        let leftover = "docs/diffs/old.diff belongs to no edge".to_owned();
        assert!(problems(root).unwrap().contains(&leftover));
        write(root).unwrap();
        assert_eq!(problems(root).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_is_shown_fits_the_screen() {
        let [one, _, three, ..] = STAGES;
        let difference = Difference::new(&stages::root(), one, three).unwrap();
        let plain = Style::default();
        let shown = difference.table(plain) + &difference.shown(plain);
        for line in shown.lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
        let words = |text: &str| {
            let signs = |c: char| c == ' ' || c == '\n' || c == '+' || c == '-';
            text.replace(signs, "")
        };
        let text = difference.text();
        assert!(words(&shown).ends_with(&words(&text)), "nothing is left out");
        assert!(text.lines().any(|line| line.chars().count() > WIDTH), "some had to be continued");
        assert!(difference.shown(Style::new(true)).contains("\x1b["));
        assert!(!shown.contains('\x1b'));
    }
}
