//! Links lead to files and headings that exist, and files that are named exist.

use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use super::Page;
use super::Problem;
use super::Project;

/// What looks like the path of a file that is not there, and why; one that is there by now has to go
/// from this list.
const EXCEPTIONS: [(&str, &str); 1] = [("downloads/report.pdf", "an example of a file that came")];

/// What cargo, git and a system have for themselves.
const ELSEWHERE: [&str; 5] = ["target/", "/", "~", ".git/", "downloads/"];

/// Checks the links and the paths in backticks.
pub fn check(page: &Page, project: &Project) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (line, link) in &page.links {
        problems.extend(wrong_link(link, page, project).map(|what| page.problem(*line, what)));
    }
    for span in &page.spans {
        let path = span.text.as_str();
        if is_path(path) && !exists_somewhere(path, page, project) && !is_exception(path) {
            let what = format!(
                "there is no `{path}`, neither from the root of the project nor beside this page \
                 nor in a package; if it is no path of the project, write it without backticks or \
                 add it to EXCEPTIONS in common/suite/src/pages/links.rs"
            );
            problems.push(page.problem(span.line, what));
        }
    }
    problems
}

fn wrong_link(link: &str, page: &Page, project: &Project) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        // There is no network in a test.
        return None;
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = match path.is_empty() {
        true => PathBuf::from(&page.path),
        false => match beside(page, path) {
            Some(target) => target,
            None => return Some(format!("the link to {link} leaves the project")),
        },
    };
    if !project.root.join(&target).exists() && !path.is_empty() {
        return Some(format!("a link to {link}, but there is no {}", slashes(&target)));
    }
    if anchor.is_empty() {
        return None;
    }
    let target = slashes(&target);
    let anchors = match target == page.path {
        true => Some(&page.anchors),
        false => project.pages.iter().find(|page| page.path == target).map(|page| &page.anchors),
    };
    match anchors {
        None => Some(format!("a link to {link}, but {target} is none of the pages")),
        Some(anchors) if anchors.iter().any(|known| known == anchor) => None,
        Some(anchors) => Some(format!(
            "a link to #{anchor}, but the headings of {target} are #{}",
            anchors.join(", #")
        )),
    }
}

/// A path that a page names, seen from the root; `None` outside of the project.
fn beside(page: &Page, path: &str) -> Option<PathBuf> {
    let mut whole = Path::new(&page.path).parent().unwrap_or(Path::new("")).to_owned();
    for component in Path::new(path).components() {
        match component {
            Component::ParentDir => {
                if !whole.pop() {
                    return None;
                }
            }
            Component::Normal(name) => whole.push(name),
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(whole)
}

fn slashes(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}

fn is_path(text: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "_./-".contains(c);
    let is_placeholder = text.contains("stageN") || text.contains("NAME");
    // Numbers are addresses, and capitals alone are words such as TCP/IP.
    let has_letters = text.contains(|c: char| c.is_ascii_lowercase());
    let ends =
        [".rs", ".md", ".toml"].iter().any(|end| text.len() > end.len() && text.ends_with(end));
    text.chars().all(is_allowed)
        && !text.starts_with('-')
        && !is_placeholder
        && has_letters
        && (text.contains('/') || ends)
        && !ELSEWHERE.iter().any(|start| text.starts_with(start))
}

fn exists_somewhere(path: &str, page: &Page, project: &Project) -> bool {
    let exists = |path: PathBuf| project.root.join(path).exists();
    let in_package = |folder: &PathBuf| {
        ["", "src", "tests", "benches"].iter().any(|sub| exists(folder.join(sub).join(path)))
    };
    exists(PathBuf::from(path))
        || beside(page, path).is_some_and(exists)
        || project.packages.iter().any(|package| in_package(&package.folder))
}

fn is_exception(path: &str) -> bool {
    EXCEPTIONS.iter().any(|(exception, _)| *exception == path)
}

#[cfg(test)]
mod tests {
    use super::super::testing::assert_good;
    use super::super::testing::assert_problem;
    use super::super::testing::page;
    use super::*;

    #[test]
    fn links_lead_somewhere() {
        let project = Project::this();
        let check_link = |link: &str| {
            let page = page("docs/new.md", &format!("|# A heading\n|\n|[link]({link})"));
            check(&page, &project)
        };
        for link in [
            "https://example.com/nosuch",
            "protocol.md",
            "./protocol.md#on-the-wire",
            "../README.md#try-it",
            "#a-heading",
            "../stage1_relay/src/server.rs",
            "../docs",
        ] {
            assert_good(&check_link(link));
        }
        for (link, problem) in [
            ("nosuch.md", "there is no docs/nosuch.md"),
            ("../docs/nosuch.md#x", "there is no docs/nosuch.md"),
            ("#no-heading", "headings of docs/new.md are #a-heading"),
            ("protocol.md#nosuch", "are #the-protocol, #"),
            ("../Cargo.toml#x", "none of the pages"),
            ("../../outside.md", "leaves the project"),
            ("/README.md", "leaves the project"),
        ] {
            assert_problem(&check_link(link), 3, problem);
        }
    }

    #[test]
    fn files_that_are_named_exist() {
        let project = Project::this();
        let check_span = |text: &str| check(&page("docs/new.md", &format!("|`{text}`")), &project);
        for text in [
            "common/src/frame.rs",
            "protocol.md",
            "server.rs",
            "src/server.rs",
            "Cargo.toml",
            ".ci/run",
            "common/suite/",
            "transfer.rs",
            // No paths.
            "127.0.0.1:7001",
            "10.0.0.0/8",
            "TCP/IP",
            "stageN_name/src/main.rs",
            "docs/diffs/*.diff",
            "/etc/passwd",
            "target/loom",
            "cargo test -p common --test x.rs",
            ".rs",
        ] {
            assert_good(&check_span(text));
        }
        for text in ["common/src/nosuch.rs", "nosuch.md", "sever.rs", "docs/nosuch/", "commn/src"] {
            assert_problem(&check_span(text), 1, &format!("there is no `{text}`"));
        }
    }

    #[test]
    fn exceptions_are_not_there() {
        let (project, page) = (Project::this(), page("page.md", ""));
        for (exception, why) in EXCEPTIONS {
            let there = exists_somewhere(exception, &page, &project);
            assert!(!there, "{exception} ({why}) exists: take it from the list");
        }
    }
}
