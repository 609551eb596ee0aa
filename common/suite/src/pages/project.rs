//! The project that the pages are about: its files and its packages.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use super::Page;

/// The pages at the root; the others are below `docs`.
const AT_THE_ROOT: [&str; 3] = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"];

/// A workspace and its pages.
pub struct Project {
    /// Its folder.
    pub root: PathBuf,
    /// Its pages.
    pub pages: Vec<Page>,
    /// The packages of its workspace.
    pub packages: Vec<Package>,
}

/// A package of the workspace.
pub struct Package {
    /// What `-p` calls it.
    pub name: String,
    /// Its folder, from the root.
    pub folder: PathBuf,
}

impl Project {
    /// This workspace.
    pub fn this() -> Project {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let root = root.canonicalize().expect("the root of the workspace");
        let mut paths = AT_THE_ROOT.map(str::to_owned).to_vec();
        add_pages(&root, "docs", &mut paths);
        paths.sort();
        let read = |path: &String| {
            let text =
                fs::read_to_string(root.join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
            Page::new(path, &text.replace("\r\n", "\n"))
        };
        let pages = paths.iter().map(read).collect();
        let packages = packages(&root);
        Project { root, pages, packages }
    }

    /// A page of it.
    ///
    /// # Panics
    /// If there is none.
    pub fn page(&self, path: &str) -> &Page {
        let page = self.pages.iter().find(|page| page.path == path);
        page.unwrap_or_else(|| panic!("{path} has to be there"))
    }

    /// A package of it.
    pub fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }

    /// What a file says, with the path from the root.
    pub fn read(&self, path: &str) -> Option<String> {
        let text = fs::read_to_string(self.root.join(path)).ok()?;
        Some(text.replace("\r\n", "\n"))
    }
}

impl Package {
    /// Its name is that of a stage.
    pub fn is_stage(&self) -> bool {
        let rest = self.name.strip_prefix("stage");
        rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    }
}

fn add_pages(root: &Path, folder: &str, paths: &mut Vec<String>) {
    for entry in fs::read_dir(root.join(folder)).into_iter().flatten().flatten() {
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            add_pages(root, &path, paths);
        } else if path.ends_with(".md") {
            paths.push(path);
        }
    }
}

/// The members of the workspace; `cargo` itself is not asked, because it may be busy.
fn packages(root: &Path) -> Vec<Package> {
    let manifest = fs::read_to_string(root.join("Cargo.toml")).expect("the workspace's manifest");
    let members = manifest.split_once("members = [").expect("`members = [`").1;
    let members = members.split_once(']').expect("its end").0;
    let folders = members.split('"').skip(1).step_by(2);
    let package = |folder: &str| {
        let manifest = fs::read_to_string(root.join(folder).join("Cargo.toml"));
        let manifest = manifest.unwrap_or_else(|error| panic!("{folder}: {error}"));
        let name = manifest.lines().find_map(|line| line.strip_prefix("name = \""));
        let name = name.and_then(|name| name.strip_suffix('"')).expect("its name");
        Package { name: name.to_owned(), folder: PathBuf::from(folder) }
    };
    folders.map(package).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_workspace() {
        let project = Project::this();
        assert_eq!(project.page("docs/protocol.md").anchors[0], "the-protocol");
        assert_eq!(project.page("README.md").path, "README.md");
        let suite = project.package("suite").unwrap();
        assert_eq!(suite.folder, Path::new("common/suite"));
        assert!(!suite.is_stage() && project.package("stage1_relay").unwrap().is_stage());
        assert!(project.package("nosuch").is_none());
    }
}
