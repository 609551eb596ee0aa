//! The stages, the edges between them, and their programs. A stage counts as soon as its folder is
//! there.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use serde_json::Value;

/// One of the five programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stage {
    /// What it is called in speech.
    pub number: u8,
    /// Its package and its folder.
    pub package: &'static str,
    /// Whether it begins with the handshake `CHT2`.
    pub is_encrypted: bool,
    /// Whether its server's operator takes part, and there is one client.
    pub has_operator: bool,
}

/// All that are planned.
pub const STAGES: [Stage; 5] = [
    Stage { number: 1, package: "stage1_relay", is_encrypted: false, has_operator: false },
    Stage { number: 2, package: "stage2_secure_single", is_encrypted: true, has_operator: true },
    Stage { number: 3, package: "stage3_secure_multi", is_encrypted: true, has_operator: false },
    Stage { number: 4, package: "stage4_file_plain", is_encrypted: false, has_operator: false },
    Stage { number: 5, package: "stage5_file_secure", is_encrypted: true, has_operator: false },
];

/// A difference that is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The parent's number.
    pub from: u8,
    /// The child's number.
    pub to: u8,
    /// What it teaches, in a sentence.
    pub teaches: &'static str,
}

/// All that are planned.
pub const EDGES: [Edge; 6] = [
    Edge {
        from: 1,
        to: 2,
        teaches: "A key exchange and a cipher fit into `src/connection.rs`, which calls what is in \
                  `common/src/crypto`; one client and an operator are enough to see them at work.",
    },
    Edge {
        from: 2,
        to: 3,
        teaches: "From one client to many: a key for each connection, and a relay that decrypts \
                  what it passes on and encrypts it again for each recipient.",
    },
    Edge {
        from: 1,
        to: 3,
        teaches: "Encryption changes what a connection is and nothing that is done with it: \
                  `src/server.rs` and `src/client.rs` stay as they are. The cryptography that \
                  `src/connection.rs` calls is in `common/src/crypto`.",
    },
    Edge {
        from: 1,
        to: 4,
        teaches: "Files need windows, acknowledgements and distrust of names, and nothing from \
                  the connection below: `src/connection.rs` stays as it is.",
    },
    Edge {
        from: 3,
        to: 5,
        teaches: "Who is on the other side? A pinned server key and a password proof end what \
                  somebody in the middle can do; files come as in stage 4.",
    },
    Edge {
        from: 4,
        to: 5,
        teaches: "The same step as from 1 to 3, and authentication on top: `src/server.rs`, \
                  `src/client.rs` and `src/transfer.rs` stay as they are.",
    },
];

/// The folder of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

impl Stage {
    /// The stage of this number, if it is there.
    ///
    /// # Errors
    /// If it is not: which ones are.
    pub fn numbered(root: &Path, number: u8) -> Result<Stage> {
        let there = Stage::all(root);
        if let Some(stage) = there.iter().find(|stage| stage.number == number) {
            return Ok(*stage);
        }
        let there = there.iter().map(|stage| stage.number.to_string()).collect::<Vec<_>>();
        bail!("there is no stage {number} in this workspace; there are {}", there.join(", "))
    }

    /// Those that are there.
    pub fn all(root: &Path) -> Vec<Stage> {
        STAGES.into_iter().filter(|stage| stage.folder(root).join("src/main.rs").exists()).collect()
    }

    /// Where its files are.
    pub fn folder(&self, root: &Path) -> PathBuf {
        root.join(self.package)
    }
}

impl Edge {
    /// Both ends, if they are there.
    pub fn stages(&self, root: &Path) -> Option<[Stage; 2]> {
        let numbered = |number| Stage::numbered(root, number).ok();
        Some([numbered(self.from)?, numbered(self.to)?])
    }
}

/// Builds the programs of these stages, with the `cargo` that runs this one; where each is, by
/// package. Where they are built already it takes less than a second.
///
/// # Errors
/// If they do not build; cargo has said why on stderr.
pub fn build(stages: &[Stage]) -> Result<BTreeMap<String, PathBuf>> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.current_dir(root()).args(["build", "--quiet"]);
    command.arg("--message-format=json-render-diagnostics");
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    for stage in stages {
        command.args(["--package", stage.package]);
        if cfg!(feature = "hybrid") && stage.is_encrypted {
            command.args(["--features", &format!("{}/hybrid", stage.package)]);
        }
    }
    let output = command.stderr(Stdio::inherit()).output().context("cargo does not start")?;
    ensure!(output.status.success(), "the stages do not build");
    let messages = String::from_utf8(output.stdout)?;
    let programs = messages.lines().filter_map(program).collect::<BTreeMap<_, _>>();
    for stage in stages {
        let package = stage.package;
        ensure!(programs.contains_key(package), "cargo built no program {package}");
    }
    Ok(programs)
}

/// The name and the path of a program, in one of cargo's messages.
fn program(message: &str) -> Option<(String, PathBuf)> {
    let message = serde_json::from_str::<Value>(message).ok()?;
    let path = message.get("executable")?.as_str()?;
    let name = message.get("target")?.get("name")?.as_str()?;
    Some((name.to_owned(), PathBuf::from(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_counts_when_its_folder_is_there() {
        let root = tempfile::tempdir().unwrap();
        let add = |package: &str| {
            let src = root.path().join(package).join("src");
            std::fs::create_dir_all(&src).unwrap();
            std::fs::write(src.join("main.rs"), "").unwrap();
        };
        let edges = || EDGES.iter().filter(|edge| edge.stages(root.path()).is_some()).count();
        assert_eq!((Stage::all(root.path()).len(), edges()), (0, 0));
        add("stage1_relay");
        add("stage3_secure_multi");
        assert_eq!((Stage::all(root.path()).len(), edges()), (2, 1));
        let error = Stage::numbered(root.path(), 4).unwrap_err().to_string();
        assert!(error.contains("no stage 4") && error.ends_with("there are 1, 3"), "{error}");
        for stage in STAGES {
            add(stage.package);
        }
        assert_eq!((Stage::all(root.path()).len(), edges()), (5, 6));
    }

    #[test]
    fn a_program_in_a_message_of_cargo() {
        let message = r#"{"reason":"compiler-artifact","target":{"name":"a"},"executable":"/b"}"#;
        assert_eq!(program(message), Some(("a".to_owned(), PathBuf::from("/b"))));
        let library = message.replace("\"/b\"", "null");
        assert_eq!(program(&library), None);
        assert_eq!(program("no JSON"), None);
    }
}
