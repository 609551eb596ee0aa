//! What the pages of the documentation say about this stage.

#![allow(clippy::unwrap_used, reason = "what is around the tests is tests too")]

#[allow(dead_code, reason = "a page shows no more of it")]
#[path = "../src/known_servers.rs"]
mod known_servers;
#[allow(dead_code, reason = "a page shows no more of it")]
#[path = "../src/noise.rs"]
mod noise;

use std::io;

use common::crypto::symmetric::Broken;
use known_servers::KnownServers;
use state::accounts;
use state::key;
use state::options;
use state::password;
use state::password::NotAPassword;
use state::private;
use suite::pages;
use suite::pages::Program;
use suite::pages::Project;
use suite::pages::stage;
use suite::tour;
use suite::tour::Tour;

fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_stage5_file_secure"))
}

#[test]
fn console_blocks_show_what_they_say() {
    pages::report(stage::consoles(&Project::this(), &program()));
}

#[test]
fn the_tour_is_quoted_as_it_is() {
    pages::report(stage::tours(&Project::this(), &program()));
}

#[test]
fn options_and_commands_exist() {
    pages::report(stage::help(&Project::this(), &program()));
}

/// The bytes of a tour on a page are those of one that its reader never sees: what is said of them
/// has to hold there, too.
#[test]
fn the_flipped_bit_on_the_page_is_one_and_the_sizes_are_right() {
    let project = Project::this();
    let blocks = &project.page("docs/stage5_file_secure.md").blocks;
    let lines = |words: &str| {
        let block = blocks.iter().find(|block| block.text.contains(words)).unwrap();
        block.text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let rows = lines("as he passed it on").into_iter();
    let rows = rows.filter(|line| line.starts_with("      ") && line.len() > 60);
    let rows = rows.collect::<Vec<_>>();
    let [sent, passed_on] = [&rows[..2], &rows[2..]].map(tour::bytes);
    let change = sent.iter().zip(&passed_on).map(|(a, b)| a ^ b).collect::<Vec<_>>();
    let expected = [&[0; 30][..], &[b'1' ^ b'9', 0]].concat();
    assert_eq!(change, expected);
    // Of the packet the number is left out on a page.
    let shown = lines("the one with the file's only chunk").into_iter();
    let shown = Tour::frames(&shown.map(|line| line.replace("[..]", "1")).collect::<Vec<_>>());
    assert_eq!((shown.len(), shown[0].size, shown[0].bytes.len()), (1, 78, 78));
}

/// The one message that nobody must miss, word for word: with the keys 11… and 22….
#[test]
fn the_warning_of_another_key_is_the_one_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("known_servers");
    let address = "127.0.0.1:7005".to_owned();
    let servers = KnownServers { file: file.clone(), address, pinned: None };
    servers.remember(&[0x11; 32]).unwrap();
    let warning = servers.check(&[0x22; 32]).unwrap_err().to_string();
    let warning = warning.replace(file.to_str().unwrap(), ".chat/known_servers");
    let project = Project::this();
    for page in ["docs/stage5_file_secure.md", "docs/troubleshooting.md"] {
        let is_it = |block: &&pages::Block| {
            block.text.contains("ANOTHER KEY: it was") && block.language == "text"
        };
        let block = project.page(page).blocks.iter().find(is_it);
        let shown = block.map_or("", |block| block.text.trim_end().trim_start_matches("! "));
        assert!(shown == warning, "{page}: what belongs there is\n\n{warning}");
    }
}

/// Each way in which there is no login and no key; those of `connection.rs` are not among them.
#[test]
fn the_sentences_about_logins_and_keys_are_in_troubleshooting() {
    let path = || "accounts".into();
    let system = || io::Error::from_raw_os_error(2);
    let name = |name: &str| name.parse().unwrap();
    let (what, line) = ("a name, a salt and two keys belong there", 4);
    let said = [
        noise::Error::Unauthenticated.to_string(),
        noise::Error::Magic("GET".to_owned()).to_string(),
        noise::Error::Version(2).to_string(),
        noise::Error::Length(38).to_string(),
        noise::Error::NoSuite("02".to_owned()).to_string(),
        noise::Error::NotOffered(2).to_string(),
        Broken::Known.to_string(),
        Broken::Tampered.to_string(),
        accounts::Error::Taken(name("alice")).to_string(),
        accounts::Error::Reserved(name("server")).to_string(),
        accounts::Error::Unknown { name: name("dave"), path: path() }.to_string(),
        accounts::Error::Malformed { path: path(), line, what }.to_string(),
        password::Error::Read { path: "nosuch".into(), error: system() }.to_string(),
        password::Error::File { path: "empty".into(), error: NotAPassword::Empty }.to_string(),
        NotAPassword::Long.to_string(),
        NotAPassword::NotText.to_string(),
        options::Error::Different.to_string(),
        options::Error::NotSaid.to_string(),
        options::Error::NobodyToAsk.to_string(),
        key::Error::NotAKey(".chat/server_key".into()).to_string(),
        key::NotAKey.to_string(),
        private::Error::Wide { path: ".chat/server_key".into(), mode: 0o644 }.to_string(),
    ];
    let project = Project::this();
    let page = project.page("docs/troubleshooting.md").text.replace('\n', " ");
    for said in said {
        assert!(page.contains(&said), "docs/troubleshooting.md: add {said}");
    }
}
