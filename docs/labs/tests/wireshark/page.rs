//! The commands of `docs/wireshark.md` on the published captures, and what they print.

use super::*;

/// Where the page's commands find the captures.
const CAPTURES: &str = "docs/wireshark";

/// The commands that the page shows the answers of, with these.
fn commands() -> Vec<(usize, String, String)> {
    let project = Project::this();
    let blocks = &project.page("docs/wireshark.md").blocks;
    let answered = blocks.windows(2).filter(|pair| {
        // The answer begins behind the closing fence and an empty line.
        let end = pair[0].line.number + pair[0].text.lines().count() + 1;
        pair[0].language == "sh" && pair[1].language == "text" && pair[1].line.number == end + 2
    });
    let answered = answered.map(|pair| {
        (pair[0].line.number, pair[0].text.clone(), pair[1].text.trim_end().to_owned())
    });
    answered.collect()
}

#[test]
fn each_command_of_the_page_prints_what_the_page_says() {
    if !has_tshark() {
        return;
    }
    let found = Command::new("python3").arg("--version").output().is_ok();
    assert!(found || env::var_os("CI").is_none(), "python3 has to be installed in CI");
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join(CAPTURES);
    fs::create_dir_all(&folder).unwrap();
    for entry in fs::read_dir(Project::this().root.join(CAPTURES)).unwrap() {
        let path = entry.unwrap().path();
        let copy = folder.join(path.file_name().unwrap());
        fs::copy(path, &copy).unwrap();
        give(&copy);
    }
    give(home.path());
    let commands = commands();
    assert!(commands.len() > 12, "{} commands", commands.len());
    for (line, command, expected) in commands {
        if command.contains("python3") && !found {
            eprintln!("not checked: python3 is not installed");
            continue;
        }
        let mut shell = Command::new("sh");
        at_home(shell.args(["-c", &command]), home.path());
        let output = shell.output().unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(shown.trim_end(), expected, "docs/wireshark.md, line {line}: {said}");
    }
}
