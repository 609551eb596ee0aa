//! The square: which files of which stages have to be the same, byte for byte, and that the patch
//! from stage 1 to stage 3 applies to stage 4 as well. It is what makes encryption and files
//! independent of each other.

use std::fs;
use std::io;
use std::path;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use diffy::ApplyError;
use diffy::Patch;

use crate::diff;
use crate::diff::Difference;
use crate::stages::Stage;

/// Two stages, and the files that they share.
const SAME: [(u8, u8, &[&str]); 3] = [
    (1, 3, &["src/server.rs", "src/client.rs"]),
    (4, 5, &["src/server.rs", "src/client.rs", "src/transfer.rs"]),
    (1, 4, &["src/connection.rs"]),
];

/// The files of stage 4 to which the patch from 1 to 3 applies.
const PATCHED: [&str; 3] = [MANIFEST, "src/main.rs", "src/connection.rs"];
const MANIFEST: &str = "Cargo.toml";
/// Where the targets are that stage 3's manifest names.
const TARGETS: [&str; 2] = ["benches", "tests"];
/// The tests among them that have the stage's server in them, which has a module more with files…
const TESTS: [&str; 2] = ["tests/suite.rs", "tests/panic.rs"];
const SERVER: &str = "mod server;\n";
const TRANSFER: &str = "#[allow(dead_code, reason = \"a client's part of it\")]\n\
                        #[path = \"../src/transfer.rs\"]\nmod transfer;\n";
/// …and what the suite tests of files, with stage 3's driver.
const SUITE: &str = "\nmod files {\n    suite::file_suite!(crate::driver::Cfb);\n    \
                     suite::hostile_file_suite!(crate::driver::Cfb);\n}\n";

/// What is wrong with the square, as far as its stages are there.
///
/// # Errors
/// If a file cannot be read.
pub fn problems(root: &Path) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    let numbered = |number| Stage::numbered(root, number).ok();
    for (one, other, files) in SAME {
        let (Some(one), Some(other)) = (numbered(one), numbered(other)) else { continue };
        for file in files {
            let read = |stage: Stage| {
                let path = stage.folder(root).join(file);
                fs::read(&path).with_context(|| path.display().to_string())
            };
            if read(one)? != read(other)? {
                problems.push(format!(
                    "{}/{file} and {}/{file} have to be the same, byte for byte; see them with \
                     cargo run -p labs -- diff {} {}",
                    one.package, other.package, one.number, other.number,
                ));
            }
        }
    }
    if let (Some(one), Some(three), Some(four)) = (numbered(1), numbered(3), numbered(4)) {
        let difference = Difference::new(root, one, three)?;
        for file in PATCHED {
            if patched(root, &difference, four, file)?.is_err() {
                problems.push(format!(
                    "what 1 to 3 changes in {file} does not apply to {}/{file}: 1 to 4 has to \
                     change other places; see both with cargo run -p labs -- diff 1 3 and diff 1 4",
                    four.package,
                ));
            }
        }
    }
    Ok(problems)
}

/// Writes stage 4 with the patch from 1 to 3, under the name of stage 3, to a new folder: a
/// workspace of its own, whose other packages are those of the one in `root`. What its manifest
/// names beside the program, tests and benches, is stage 3's; its suite tests files, too.
///
/// # Errors
/// If a stage is not there, the patch does not apply, or something cannot be read or written.
pub fn write(root: &Path, folder: &Path) -> Result<()> {
    let [one, three, four] = [1, 3, 4].map(|number| Stage::numbered(root, number));
    let (one, three, four) = (one?, three?, four?);
    let difference = Difference::new(root, one, three)?;
    fs::create_dir(folder).with_context(|| {
        format!("{}: name a folder that is not there yet, or remove this one", folder.display())
    })?;
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).context("Cargo.lock")?;
    let manifest = fs::read_to_string(root.join(MANIFEST)).context(MANIFEST)?;
    let manifest = workspace(&manifest, &path::absolute(root)?, three.package);
    fs::write(folder.join(MANIFEST), manifest.context("no members in Cargo.toml")?)?;
    let package = three.folder(folder);
    copy(&four.folder(root).join("src"), &package.join("src"))?;
    for targets in TARGETS {
        let targets = (three.folder(root).join(targets), package.join(targets));
        if targets.0.exists() {
            copy(&targets.0, &targets.1)?;
        }
    }
    for file in TESTS {
        let path = package.join(file);
        if path.exists() {
            let text = fs::read_to_string(&path).with_context(|| file.to_owned())?;
            let more = if text.contains("suite::chat_suite!") { SUITE } else { "" };
            let text = text.replace(SERVER, &format!("{SERVER}{TRANSFER}")) + more;
            fs::write(path, text)?;
        }
    }
    for file in PATCHED {
        let text = patched(root, &difference, four, file)?;
        let text = text.with_context(|| format!("what 1 to 3 changes in {file} does not apply"))?;
        fs::write(package.join(file), text)?;
    }
    Ok(())
}

/// A file of stage 4 with the difference of stages 1 and 3; an error if that does not apply: it has
/// to find its place as it is, with the three lines around it, as `patch --fuzz=0` has it.
fn patched(
    root: &Path,
    difference: &Difference,
    four: Stage,
    file: &str,
) -> Result<Result<String, ApplyError>> {
    let read = |stage| Ok::<_, anyhow::Error>(diff::read(root, stage, file)?.unwrap_or_default());
    let mut text = read(four)?;
    if file == MANIFEST {
        text = named_like(text, &read(difference.from)?);
    }
    let changed = difference.files.iter().find(|changed| changed.path == file);
    let Some(changed) = changed.filter(|changed| !changed.is_same()) else { return Ok(Ok(text)) };
    let patch = Patch::from_str(&changed.diff).with_context(|| file.to_owned())?;
    Ok(diffy::apply(&text, &patch))
}

/// A package's manifest with the name and the description of another.
fn named_like(mut manifest: String, other: &str) -> String {
    for key in ["name = ", "description = "] {
        let line = |text: &str| text.lines().find(|line| line.starts_with(key)).map(str::to_owned);
        if let (Some(own), Some(other)) = (line(&manifest), line(other)) {
            manifest = manifest.replacen(&own, &other, 1);
        }
    }
    manifest
}

/// The manifest of a workspace with this one member, which has the other packages from `root`.
fn workspace(manifest: &str, root: &Path, member: &str) -> Option<String> {
    let (before, members) = manifest.split_once("members = [")?;
    let (_, after) = members.split_once(']')?;
    // Forward slashes need no escapes, and Windows knows them.
    let root = root.display().to_string().replace('\\', "/");
    let after = after.replace("{ path = \"", &format!("{{ path = \"{root}/"));
    Some(format!("{before}members = [\"{member}\"]{after}"))
}

/// Copies a folder, with what is in it.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, copied) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type()?.is_dir() {
            true => copy(&path, &copied)?,
            false => drop(fs::copy(&path, &copied)?),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::stages;
    use crate::stages::STAGES;

    #[test]
    fn each_rule_is_checked_as_soon_as_both_stages_are_there() {
        let root = tempfile::tempdir().unwrap();
        let write = |stage: &Stage, file: &str, text: &str| {
            let path = stage.folder(root.path()).join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let files = ["main", "connection", "server", "client", "transfer"];
        let mut found = Vec::new();
        for stage in &STAGES {
            for file in files {
                // All of them differ.
                write(stage, &format!("src/{file}.rs"), &stage.number.to_string());
            }
            found.push(problems(root.path()).unwrap().len());
        }
        // 1; 2; 1 and 3: two files; 1 and 4: one more, and two that 1 to 3 changes; 4 and 5: three more.
        assert_eq!(found, [0, 0, 2, 5, 8]);
        for stage in &STAGES {
            for file in files {
                write(stage, &format!("src/{file}.rs"), "same");
            }
        }
        assert!(problems(root.path()).unwrap().is_empty());
        write(&STAGES[4], "src/transfer.rs", "other");
        let problems = problems(root.path()).unwrap();
        assert!(problems[0].contains("stage5_file_secure/src/transfer.rs"), "{problems:?}");
    }

    /// A workspace with stages 1 and 3 as they are, and a stage 4 that is stage 1 with what files
    /// will change.
    fn with_files() -> TempDir {
        let (root, made) = (stages::root(), tempfile::tempdir().unwrap());
        for file in [MANIFEST, "Cargo.lock"] {
            fs::copy(root.join(file), made.path().join(file)).unwrap();
        }
        let [one, _, three, four, _] = STAGES;
        for (from, to) in [(one, one), (one, four), (three, three)] {
            copy(&from.folder(&root), &to.folder(made.path())).unwrap();
        }
        for (file, changed, into) in [
            ("Cargo.toml", "name = \"stage1_relay\"", "name = \"stage4_file_plain\""),
            ("Cargo.toml", "description = \"Stage 1: ", "description = \"Stage 4: files, and "),
            (
                "Cargo.toml",
                "log.workspace = true",
                "log.workspace = true\nstorage.workspace = true",
            ),
            ("src/main.rs", "mod tour;", "mod tour;\nmod transfer;"),
            ("src/main.rs", "cli::ServerArgs", "cli::FileServerArgs"),
            ("src/main.rs", "cli::ClientArgs", "cli::FileClientArgs"),
            ("src/main.rs", "command::CHAT.into()", TABLE),
        ] {
            change(made.path(), file, changed, into);
        }
        made
    }

    /// What stage 4 may have for its commands.
    const TABLE: &str = "[&command::CHAT[..], &command::FILES].concat().into()";

    /// Changes a file of stage 4.
    fn change(root: &Path, file: &str, changed: &str, into: &str) {
        let path = STAGES[3].folder(root).join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches(changed).count(), 1, "{changed} in {file}");
        fs::write(path, text.replace(changed, into)).unwrap();
    }

    #[test]
    fn what_encryption_changes_applies_to_a_stage_with_files() {
        let root = with_files();
        assert_eq!(problems(root.path()).unwrap(), Vec::<String>::new());
        let folder = root.path().join("square");
        write(root.path(), &folder).unwrap();
        let read = |path: &str| fs::read_to_string(folder.join(path)).unwrap();

        let main = read("stage3_secure_multi/src/main.rs");
        let there = ["mod transfer;", "FileServerArgs", "FileClientArgs", TABLE];
        for words in [&there[..], &["crypto::options::Options", "settings.warn();"]].concat() {
            assert!(main.contains(words), "{words} is missing:\n{main}");
        }
        let manifest = read("stage3_secure_multi/Cargo.toml");
        let there = ["storage.workspace = true", "common.features = [\"crypto\"]", "Stage 3"];
        for words in [&there[..], &["name = \"stage3_secure_multi\""]].concat() {
            assert!(manifest.contains(words), "{words} is missing:\n{manifest}");
        }
        let three = STAGES[2].folder(root.path());
        let connection = fs::read_to_string(three.join("src/connection.rs")).unwrap();
        assert_eq!(read("stage3_secure_multi/src/connection.rs"), connection);
        let suite = read("stage3_secure_multi/tests/suite.rs");
        for words in ["mod transfer;", "suite::chat_suite!", "suite::hostile_file_suite!"] {
            assert!(suite.contains(words), "{words} is missing:\n{suite}");
        }
        assert!(read("stage3_secure_multi/tests/panic.rs").contains("mod transfer;"));

        let workspace = read("Cargo.toml");
        assert!(workspace.contains("\nmembers = [\"stage3_secure_multi\"]\n"), "{workspace}");
        let common = workspace.lines().find_map(|line| line.strip_prefix("common = { path = \""));
        let common = common.and_then(|path| path.strip_suffix("\" }")).unwrap();
        assert_eq!(Path::new(common), root.path().join("common"));

        assert!(write(root.path(), &folder).is_err(), "it is there already");
    }

    #[test]
    fn what_both_patches_change_does_not_apply() {
        for (file, changed, into) in [
            ("Cargo.toml", "common.workspace = true", "common.workspace = true # and files"),
            ("src/main.rs", "whoever sees the wire", "whoever sees the wire or the disk"),
            // Too close to a place that encryption changes.
            ("src/main.rs", "fn run(cli: Cli)", "// Files too.\nfn run(cli: Cli)"),
            ("src/connection.rs", "fn halves(", "fn both_halves("),
        ] {
            let root = with_files();
            change(root.path(), file, changed, into);
            let problems = problems(root.path()).unwrap();
            let problem = format!("what 1 to 3 changes in {file} does not apply");
            assert!(problems.iter().any(|it| it.starts_with(&problem)), "{into}: {problems:?}");
            assert!(write(root.path(), &root.path().join("square")).is_err());
        }
    }
}
