//! Two keys: the man in the middle reads and rewrites everything, whatever the suite, and only the
//! fingerprints show it.

use labs::attack::impostor;
use labs::attack::tamper;
use labs::stages;
use labs::stages::Stage;
use suite::process::Program;

use crate::victims::STAGE;
use crate::victims::Victims;
use crate::victims::fingerprint;
use crate::victims::sessions;

const SUITES: [&[&str]; 4] = [
    &["--kex", "p256", "--cipher", "aes-256-cfb"],
    &["--kex", "p256", "--cipher", "aes-256-gcm"],
    &["--kex", "x25519", "--cipher", "aes-256-cfb"],
    &["--kex", "x25519", "--cipher", "aes-256-gcm"],
];

/// The stages with the handshake that proves nothing; stage 5 has it where both sides ask for it.
fn weak() -> impl Iterator<Item = Stage> {
    Stage::all(&stages::root()).into_iter().filter(|stage| [2, 3, 5].contains(&stage.number))
}

/// Stage 5's side with no wish would not have it.
fn no_wish(stage: Stage, suite: &'static [&'static str]) -> &'static [&'static str] {
    if stage.number == STAGE { suite } else { &[] }
}

/// alice and whoever she talks with have a conversation, both sides of which are rewritten.
fn talk(victims: &mut Victims, stage: Stage, alice: &mut Program) {
    let mut bob = if stage.has_operator { None } else { Some(victims.join("bob")) };
    if bob.is_some() {
        alice.expect(&["* bob joined"]);
    }
    let name = if stage.has_operator { "server" } else { "bob" };
    let other = bob.as_mut().unwrap_or(&mut victims.server.program);
    alice.type_line("we meet at ten");
    while other.line().expect("a line") != "alice: we meet at six" {}
    other.type_line("at ten, fine");
    alice.expect(&[&format!("{name}: at six, fine")]);
}

/// Options of the server, and of the client.
fn attack(stage: Stage, servers: &[&str], clients: &[&'static str]) {
    let mut victims = Victims::start_with(stage.number, servers, clients);
    let relay = impostor::start(victims.server.address, tamper::rewrite("ten", "six"));
    let relay = relay.expect("a relay");
    let mut alice = victims.join_through(&relay, "alice");
    talk(&mut victims, stage, &mut alice);
    let (code, _, stderr) = alice.end();
    assert_eq!(code, Some(0), "{stderr}");

    let transcript = relay.end().expect("a transcript");
    assert!(transcript.contains("we meet at ten") && transcript.contains("at ten, fine"));
    let [with_client, with_server] = transcript.sessions.as_slice() else { panic!("two sessions") };
    assert_eq!(sessions(&stderr), [with_client.as_str()]);
    let log = victims.log();
    assert!(sessions(&log).contains(with_server), "{log}");
    assert!(!sessions(&log).contains(with_client), "{log}");
    assert_ne!(fingerprint(with_client), fingerprint(with_server));
    // Nobody has noticed.
    assert!(!log.contains("encrypted record") && !log.contains("unreadable"), "{log}");
    for words in [servers, clients].concat().iter().filter(|word| !word.starts_with("--")) {
        assert!(with_client.contains(words) && with_server.contains(words), "{with_client}");
    }
}

#[test]
fn whatever_the_client_wants() {
    for stage in weak() {
        for suite in SUITES {
            attack(stage, no_wish(stage, suite), suite);
        }
    }
}

#[test]
fn whatever_the_server_wants() {
    for stage in weak() {
        for suite in SUITES {
            attack(stage, suite, no_wish(stage, suite));
        }
    }
}

#[test]
fn without_anybody_between_the_fingerprints_are_equal() {
    for stage in weak() {
        for suite in SUITES {
            let victims = Victims::start(stage.number, suite);
            let (code, _, stderr) = victims.join("alice").end();
            assert_eq!(code, Some(0), "{stderr}");
            let [alices] = &sessions(&stderr)[..] else { panic!("{stderr}") };
            let log = victims.log();
            assert_eq!(sessions(&log), [alices.as_str()]);
            let digits = fingerprint(alices).split('-').map(str::len).collect::<Vec<_>>();
            assert_eq!(digits, [5, 5, 5, 5], "{alices}");
        }
    }
}
