//! Files between the stage's client and the one in Python.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;

use tempfile::TempDir;

use super::CLIENT;
use super::Setting;
use super::python;
use crate::process::Program;

/// Beyond what the client in Python does: what it has read, and may not have.
const BEYOND_THE_WINDOW: &str = "chat_client.WINDOW = 2**40";
const ACKNOWLEDGES_NOTHING: &str = "\
say = chat_client.Outbox.say
chat_client.Outbox.say = lambda self, type, **f: type == 'ack' or say(self, type, **f)";

/// A folder of files to send, and one for each person's downloads.
struct Folders(TempDir);

impl Folders {
    fn new() -> Folders {
        Folders(tempfile::tempdir().expect("a folder"))
    }

    /// A new file that is to be sent.
    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).expect("room on the disk");
        path
    }

    /// Where somebody's files go.
    fn downloads(&self, person: &str) -> PathBuf {
        self.0.path().join(format!("downloads of {person}"))
    }

    /// What somebody has in this place is what was sent under this name.
    #[track_caller]
    fn expect_same(&self, person: &str, name: &str, place: &str) {
        let came = fs::read(self.downloads(person).join(place)).expect("it is in place");
        let sent = fs::read(self.0.path().join(name)).expect("it was sent");
        assert!(came == sent, "{person} has something else in {place}: {} bytes", came.len());
    }

    /// All that is there.
    fn received(&self, person: &str) -> BTreeSet<String> {
        let entries = fs::read_dir(self.downloads(person)).into_iter().flatten();
        entries
            .map(|entry| entry.expect("a name").file_name().into_string().expect("text"))
            .collect()
    }
}

/// So many bytes of no pattern that a chunk or a window would fit.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let byte = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(byte).take(length).collect()
}

/// A client and its downloads.
struct Person {
    name: &'static str,
    client: Program,
}

impl Person {
    fn rust(
        setting: &Setting<'_>,
        server: SocketAddr,
        folders: &Folders,
        name: &'static str,
    ) -> Person {
        let downloads = folders.downloads(name);
        let mut rust = setting.rust.to_vec();
        rust.extend(["--downloads", downloads.to_str().expect("text")]);
        Person { name, client: Setting { rust: &rust, ..*setting }.rust(server, name) }
    }

    fn python(
        setting: &Setting<'_>,
        server: SocketAddr,
        folders: &Folders,
        name: &'static str,
    ) -> Person {
        let downloads = folders.downloads(name);
        let mut options = setting.python.to_vec();
        options.extend(["--downloads", downloads.to_str().expect("text")]);
        let mut client = Setting { python: &options, ..*setting }.python(server, name);
        client.expect(&[&format!("* {name} joined")]);
        Person { name, client }
    }

    /// As [`Person::python`], with a change to the program.
    fn changed(
        setting: &Setting<'_>,
        server: SocketAddr,
        folders: &Folders,
        name: &'static str,
        change: &str,
    ) -> Person {
        let script = format!(
            "import sys\nsys.path.insert(0, 'docs/interop')\nimport chat_client\n{change}\nchat_client.main()"
        );
        let mut command = python();
        command.args(["-c", &script, &server.to_string(), name]).args(setting.python);
        command.arg("--downloads").arg(folders.downloads(name));
        let mut client = Program::start_command(&mut command);
        client.expect(&[&format!("* {name} joined")]);
        Person { name, client }
    }

    fn send(&mut self, path: &Path, to: Option<&str>) {
        let path = path.to_str().expect("text");
        self.client.type_line(format!("@send {path} {}", to.unwrap_or_default()).trim_end());
    }

    /// Passes over notices until each of these lines has come, in any order; what went wrong is none.
    #[track_caller]
    fn see(&mut self, lines: &[String]) {
        let mut missing = lines.iter().cloned().collect::<BTreeSet<_>>();
        while !missing.is_empty() {
            let line = self.client.line();
            let line =
                line.unwrap_or_else(|| panic!("{} ended: {}", self.name, self.client.stderr()));
            if !missing.remove(&line) {
                assert!(
                    line.starts_with("* "),
                    "{}: {line:?}, and missing is {missing:?}",
                    self.name
                );
            }
        }
    }
}

/// What a taker's client says of a file in its place.
fn received(
    folders: &Folders,
    taker: &str,
    from: &str,
    name: &str,
    size: usize,
    place: &str,
) -> String {
    let place = folders.downloads(taker).join(place);
    format!("* received {name} ({size} bytes) from {from} -> {}", place.display())
}

/// Files go from each client to each other, to one person and to all, alone and several at once, and
/// arrive as they were.
pub fn they_send_files(setting: &Setting<'_>) {
    let folders = Folders::new();
    let server = setting.serve();
    let alice = Person::rust(setting, server.address, &folders, "alice");
    let bob = Person::python(setting, server.address, &folders, "bob");
    let carol = Person::python(setting, server.address, &folders, "carol");
    let mut people = [alice, bob, carol];
    for person in &mut people[..2] {
        person.see(&["* carol joined".to_owned()]);
    }

    let kinds = [
        ("empty", Vec::new()),
        ("one", b"1".to_vec()),
        ("né 世界.txt", noise(65_536)),
        ("window.bin", noise(1_048_576)),
        ("large.tar.gz", noise(5 * 1_048_576 + 1)),
    ];
    for (from, to) in [(0, 1), (1, 0), (1, 2)] {
        for (end, bytes) in &kinds {
            let [sender, taker] = people.get_disjoint_mut([from, to]).expect("two people");
            let name = format!("{} {end}", sender.name);
            sender.send(&folders.file(&name, bytes), Some(taker.name));
            taker.see(&[received(&folders, taker.name, sender.name, &name, bytes.len(), &name)]);
            sender.see(&[format!("* sent {name} to {}", taker.name)]);
            folders.expect_same(taker.name, &name, &name);
        }
    }
    they_send_to_all(&folders, &mut people, "");
    // The second time there are files of these names.
    they_send_to_all(&folders, &mut people, " (1)");

    // What is sent last is sent before its sender leaves.
    let [mut alice, mut bob, carol] = people;
    let (_, bytes) = &kinds[4];
    bob.send(&folders.file("last.bin", bytes), Some("alice"));
    let (code, lines, stderr) = bob.client.end();
    assert_eq!(code, Some(0), "{lines:?} {stderr}");
    assert_eq!(lines.last().map(String::as_str), Some("* sent last.bin to alice"));
    alice.see(&[received(&folders, "alice", "bob", "last.bin", bytes.len(), "last.bin")]);
    folders.expect_same("alice", "last.bin", "last.bin");
    for person in [alice, carol] {
        let (code, lines, stderr) = person.client.end();
        assert_eq!(code, Some(0), "{lines:?} {stderr}");
    }
}

/// Each sends more files to all the others than are under way at once. They arrive under their names
/// with `number` before the extension.
fn they_send_to_all(folders: &Folders, people: &mut [Person], number: &str) {
    const FILES: usize = 6;
    let names = people.iter().map(|person| person.name).collect::<Vec<_>>();
    for person in &mut *people {
        for file in 0..FILES {
            let name = format!("{} {file}.bin", person.name);
            person.send(&folders.file(&name, &noise(300_000 + file)), None);
        }
    }
    for person in people {
        let mut lines = Vec::new();
        for sender in &names {
            for file in 0..FILES {
                let (name, size) = (format!("{sender} {file}.bin"), 300_000 + file);
                let place = format!("{sender} {file}{number}.bin");
                lines.push(match *sender == person.name {
                    true => format!("* sent {name} to all"),
                    false => received(folders, person.name, sender, &name, size, &place),
                });
            }
        }
        person.see(&lines);
        for sender in names.iter().filter(|sender| **sender != person.name) {
            for file in 0..FILES {
                let (name, place) =
                    (format!("{sender} {file}.bin"), format!("{sender} {file}{number}.bin"));
                folders.expect_same(person.name, &name, &place);
            }
        }
        let unfinished =
            folders.received(person.name).into_iter().filter(|name| name.starts_with('.'));
        assert_eq!(unfinished.collect::<Vec<_>>(), Vec::<String>::new(), "{}", person.name);
    }
}

/// What the client in Python cannot send or does not take, and who breaks off.
pub fn files_that_do_not_arrive(setting: &Setting<'_>) {
    let folders = Folders::new();
    let server = setting.serve();
    let small = [setting.python, &["--max-file", "10"]].concat();
    let small = Setting { python: &small, ..*setting };
    let mut alice = Person::rust(setting, server.address, &folders, "alice");
    let mut bob = Person::python(&small, server.address, &folders, "bob");
    alice.see(&["* bob joined".to_owned()]);
    let eleven = folders.file("eleven", b"11 letters.");
    alice.send(&eleven, Some("bob"));
    bob.client.expect(&["! alice offers a file, but 11 bytes are too many"]);
    alice.client.expect_prefix("* offered eleven to bob (11 bytes)");
    alice.client.expect(&["! bob does not get eleven: 11 bytes are too many"]);
    alice.client.expect(&["! eleven to bob: nobody takes it"]);

    let hidden = folders.file(".hidden", b"");
    let unsent = [
        (hidden.as_path(), "alice", "begins or ends as no file name may"),
        (Path::new("no such file"), "", "there is no such file"),
        (eleven.as_path(), "bob", "! eleven to bob: that is you"),
        (eleven.as_path(), "dave", "! eleven to dave: nobody here is called dave"),
    ];
    for (path, to, why) in unsent {
        bob.send(path, Some(to));
        let line = bob.client.expect_prefix("! ");
        assert!(line.contains(why), "{line}");
    }
    assert!(!folders.downloads("alice").exists() || folders.received("alice").is_empty());
    assert!(folders.received("bob").is_empty());
}

/// A sender that does not keep to the window is stopped, and both learn why.
pub fn beyond_the_window(setting: &Setting<'_>) {
    let folders = Folders::new();
    let server = setting.serve();
    // Nothing is acknowledged, so it does not depend on who is faster.
    let mut bob = Person::changed(setting, server.address, &folders, "bob", ACKNOWLEDGES_NOTHING);
    let mut alice = Person::changed(setting, server.address, &folders, "alice", BEYOND_THE_WINDOW);
    bob.see(&["* alice joined".to_owned()]);
    alice.send(&folders.file("large.bin", &noise(5 * 1_048_576)), Some("bob"));
    alice.client.expect(&[
        "* offered large.bin to bob (5242880 bytes); @cancel 1 takes it back",
        "* sending large.bin (5242880 bytes)",
        "! large.bin to bob: more came than had been asked for",
    ]);
    bob.client.expect(&[
        "* receiving large.bin (5242880 bytes) from alice; @cancel 1 stops it",
        "! large.bin from alice: more came than had been asked for",
    ]);
    // Nobody is punished further.
    alice.client.type_line("sorry");
    bob.client.expect(&["alice: sorry"]);
    for person in [alice, bob] {
        let (code, lines, stderr) = person.client.end();
        assert_eq!(code, Some(0), "{lines:?} {stderr}");
    }
    assert!(folders.received("bob").is_empty());
}

/// A client that waits for the answer to an offer ends, even if there will be none.
pub fn an_offer_that_is_not_answered(setting: &Setting<'_>) {
    let folders = Folders::new();
    let server = setting.serve();
    let lost = "\
say = chat_client.Outbox.say
chat_client.Outbox.say = lambda self, type, **f: type == 'offer' or say(self, type, **f)
chat_client.TO_ANSWER = 0.1";
    let mut bob = Person::changed(setting, server.address, &folders, "bob", lost);
    let path = folders.file("lost.bin", b"it is");
    bob.send(&path, None);
    let (code, lines, stderr) = bob.client.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(lines, ["! lost.bin to all: no answer within 0.1 s"]);
}

/// Either side gives a file up, and the other learns it.
pub fn files_that_are_cancelled(setting: &Setting<'_>) {
    let folders = Folders::new();
    let server = setting.serve();
    // So they do not get through.
    let mut bob = Person::changed(setting, server.address, &folders, "bob", ACKNOWLEDGES_NOTHING);
    let mut alice = Person::python(setting, server.address, &folders, "alice");
    bob.see(&["* alice joined".to_owned()]);
    let file = folders.file("large.bin", &noise(5 * 1_048_576));
    for (id, who) in [(1, "alice"), (2, "bob")] {
        alice.send(&file, Some("bob"));
        let offered =
            format!("* offered large.bin to bob (5242880 bytes); @cancel {id} takes it back");
        alice.client.expect(&[&offered, "* sending large.bin (5242880 bytes)"]);
        let receiving =
            format!("* receiving large.bin (5242880 bytes) from alice; @cancel {id} stops it");
        bob.client.expect(&[&receiving]);
        let cancel = format!("@cancel {id}");
        if who == "alice" {
            alice.client.type_line(&cancel);
            alice.client.expect(&["* large.bin to bob: cancelled"]);
            bob.client.expect(&["! large.bin from alice: cancelled"]);
        } else {
            bob.client.type_line(&cancel);
            bob.client.expect(&["* large.bin from alice: cancelled"]);
            alice.client.expect(&[
                "! bob does not get large.bin: cancelled",
                "! large.bin to bob: nobody takes it",
            ]);
        }
    }
    for nothing in ["2", "3", "-1", "²", "x y", ""] {
        bob.client.type_line(&format!("@cancel {nothing}"));
        bob.client.expect(&[&format!("! there is no file {nothing} on its way")]);
    }
    for person in [alice, bob] {
        let (code, lines, stderr) = person.client.end();
        assert_eq!(code, Some(0), "{lines:?} {stderr}");
    }
    assert!(folders.received("bob").is_empty());
}

/// What the client in Python says of names, against those that the stage's own has to refuse.
pub fn it_refuses_the_same_names() {
    let script = "
import json, sys
sys.path.insert(0, 'docs/interop')
import chat_client
with open('common/src/files/name/hostile.json', encoding='utf-8') as file:
    names = json.load(file)
refused = [name for names in names['refused'].values() for name in names]
assert len(refused) > 200
wrong = [name for name in refused if not chat_client.wrong_name(name)]
wrong += [name for name in names['harmless'] if chat_client.wrong_name(name)]
wrong += [name for name in ('x' * 201, 'é' * 101) if not chat_client.wrong_name(name)]
wrong += [name for name in ('x' * 200, 'é' * 100) if chat_client.wrong_name(name)]
sys.exit(ascii(wrong) if wrong else 0)
";
    let output = python().args(["-c", script]).output().expect("Python runs");
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{CLIENT} judges these in another way: {wrong}");
}
