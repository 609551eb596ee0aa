//! Encryption and files are independent of each other: stage 4 with the patch that turns stage 1 into
//! stage 3 is built, and passes the suites of the chat and of files, encrypted.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use labs::square;
use labs::stages;

/// Where cargo builds this workspace: what is built there already need not be built again.
fn target() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target.unwrap_or_else(|| stages::root().join("target"))
}

#[test]
#[ignore = "builds a program of its own, which takes a minute or two; .ci/run runs it"]
fn stage_4_with_the_patch_from_1_to_3_passes_the_suites_of_both() {
    let target = target();
    // Always the same folder, so that the next time finds what this one has built.
    let folder = target.join("square");
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    square::write(&stages::root(), &folder).unwrap();
    let cargo = env::var_os("CARGO").expect("cargo runs this test");
    let mut command = Command::new(cargo);
    command.current_dir(&folder).env("CARGO_TARGET_DIR", &target);
    command.args(["test", "--quiet", "--offline", "--test", "suite", "--"]);
    let suites = ["cfb::chat", "files::"];
    let output = command.args(suites).output().expect("cargo starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    // Tests that are called otherwise would be left out without a word.
    let line = said.lines().find(|line| line.starts_with("test result: ok.")).expect("a result");
    let passed = line.split(' ').find_map(|word| word.parse::<u32>().ok()).expect("a number");
    assert!(passed > 60, "{line}");
}
