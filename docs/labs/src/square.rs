//! The square: which files of which stages have to be the same, byte for byte. It is what makes
//! encryption and files independent of each other.

use std::fs;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;

use crate::stages::Stage;

/// Two stages, and the files that they share.
const SAME: [(u8, u8, &[&str]); 3] = [
    (1, 3, &["src/server.rs", "src/client.rs"]),
    (4, 5, &["src/server.rs", "src/client.rs", "src/transfer.rs"]),
    (1, 4, &["src/connection.rs"]),
];

/// What is wrong with the square, as far as its stages are there.
///
/// # Errors
/// If a file cannot be read.
pub fn problems(root: &Path) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for (one, other, files) in SAME {
        let numbered = |number| Stage::numbered(root, number).ok();
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
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;
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
        // 1; 2; 1 and 3: two files; 1 and 4: one more; 4 and 5: three more.
        assert_eq!(found, [0, 0, 2, 3, 6]);
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
}
