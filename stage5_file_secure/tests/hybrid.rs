//! The suites of the feature `hybrid`, as people use them: a server and two clients as programs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may stop at the first surprise"
)]

use std::process::Command;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use suite::PATIENCE;
use suite::process::Program;
use suite::process::ServerProgram;
use suite::session;

fn start(args: &[&str]) -> Program {
    let binary = env!("CARGO_BIN_EXE_stage5_file_secure");
    Program::start_command(Command::new(binary).args(args))
}

fn client(server: &ServerProgram, name: &str, options: &[&str]) -> Program {
    let address = server.address.to_string();
    let mut client = start(&[&["client", &address, "--name", name], options].concat());
    client.expect(&[&format!("* {name} joined")]);
    client
}

/// Two clients, of which the second leaves the key exchange to the server, talk in this suite, and the
/// server says of their sessions what they do.
#[track_caller]
fn two_chat(kex: &str, cipher: &str) {
    let options = ["--kex", kex, "--cipher", cipher];
    let args = [&["server", "--listen", "127.0.0.1:0"], &options[..]].concat();
    let server = ServerProgram::from(start(&args));
    let mut alice = client(&server, "alice", &options);
    let mut bob = client(&server, "bob", &["--cipher", cipher]);
    alice.expect(&["* bob joined"]);
    alice.type_line("two  words, Grüße 👩");
    bob.expect(&["alice: two  words, Grüße 👩"]);
    bob.type_line("@alice psst");
    for program in [&mut alice, &mut bob] {
        program.expect(&["bob -> alice: psst"]);
    }

    let suite = format!("kex={kex} cipher={cipher}");
    let sessions = [bob, alice].map(|client| {
        let (code, _, stderr) = client.end();
        assert_eq!(code, Some(0), "{stderr}");
        session::said(&stderr, &suite).0.to_owned()
    });
    assert_ne!(sessions[0], sessions[1], "each session has its own fingerprint");
    let deadline = Instant::now() + PATIENCE;
    for session in sessions {
        while !server.program.stderr().lines().any(|logged| logged.ends_with(&session)) {
            assert!(Instant::now() < deadline, "{session}: {}", server.program.stderr());
            // The log is read by another thread.
            thread::park_timeout(Duration::from_millis(5));
        }
    }
}

#[test]
fn two_chat_with_the_servers_rsa_key_and_fernet() {
    two_chat("rsa2048-server", "fernet");
}

#[test]
fn two_chat_with_an_rsa_key_of_each_client() {
    two_chat("rsa2048-client", "aes-256-gcm");
}

#[test]
fn two_chat_as_without_the_feature() {
    two_chat("p256", "aes-256-cfb");
}
