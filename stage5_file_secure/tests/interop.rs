//! A client in another language, written from `docs/protocol.md` alone, talks with this stage's and
//! exchanges files with it: with the server's key and each kind of login, and in each suite of the
//! handshake that proves nothing.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use common::crypto::Handshake;
use common::crypto::Settings;
use common::crypto::unauthenticated;
use common::stream::Listener;
use suite::PATIENCE;
use suite::interop;
use suite::interop::Setting;
use suite::process::Program;
use suite::process::ServerProgram;
use suite::tap::Tap;
use tempfile::TempDir;

const KEXES: [&str; 2] = ["p256", "x25519"];
const CIPHERS: [&str; 2] = ["aes-256-cfb", "aes-256-gcm"];

fn setting<'a>(server: &'a [&'a str], rust: &'a [&'a str], python: &'a [&'a str]) -> Setting<'a> {
    let binary = Path::new(env!("CARGO_BIN_EXE_stage5_file_secure"));
    Setting { binary, server, rust, python }
}

/// Who may come in.
#[derive(Clone, Copy, Debug)]
enum Door {
    Open,
    Room,
    Accounts,
}

const DOORS: [Door; 3] = [Door::Open, Door::Room, Door::Accounts];

/// What programs leave on the disk, and their options for a server of this kind.
struct House {
    folder: TempDir,
    server: Vec<String>,
    rust: Vec<String>,
    python: Vec<String>,
}

impl House {
    /// alice, bob and carol have accounts.
    fn new(door: Door) -> House {
        let folder = tempfile::tempdir().unwrap();
        let mut house = House { folder, server: Vec::new(), rust: Vec::new(), python: Vec::new() };
        house.server = vec!["--state".to_owned(), house.path("server")];
        house.rust = vec!["--state".to_owned(), house.path("client")];
        house.python = vec!["--noise".to_owned()];
        let users = house.path("users");
        let password = ["--password-file".to_owned(), house.file("password", "grüße, 世界\r\n")];
        if !matches!(door, Door::Open) {
            house.rust.extend_from_slice(&password);
            house.python = password.to_vec();
        }
        match door {
            Door::Open => {}
            Door::Room => house.server.extend_from_slice(&password),
            Door::Accounts => {
                for name in ["alice", "bob", "carol"] {
                    let mut adduser = Command::new(env!("CARGO_BIN_EXE_stage5_file_secure"));
                    adduser.args(["adduser", name, "--users", &users]).args(&password);
                    assert!(adduser.output().unwrap().status.success(), "{name}");
                }
                house.server.extend(["--users".to_owned(), users]);
            }
        }
        house
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).into_os_string().into_string().unwrap()
    }

    /// A file that nobody else may read.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        path
    }

    /// Runs this in the house.
    fn settle<T>(&self, work: impl FnOnce(&Setting<'_>) -> T) -> T {
        let [server, rust, python] = [&self.server, &self.rust, &self.python]
            .map(|options| options.iter().map(String::as_str).collect::<Vec<_>>());
        work(&setting(&server, &rust, &python))
    }

    /// The server, and the public key that it says it has, in hex.
    fn serve(&self) -> (ServerProgram, String) {
        let server = self.settle(|setting| setting.serve());
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = server.program.stderr();
            // It is the only word of 64 digits.
            let is_key = |word: &&str| {
                word.len() == 64 && word.bytes().all(|digit| digit.is_ascii_hexdigit())
            };
            if let Some(key) = said.split_whitespace().find(is_key) {
                return (server, key.to_owned());
            }
            assert!(Instant::now() < deadline, "{said}");
            // The log is read by another thread.
            thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// alice with the client in Python and these options, which leaves at once: its exit code, what it
    /// wrote to stdout and to stderr, and how many bytes it said to the server.
    fn visit(server: &ServerProgram, python: &[&str]) -> (Option<i32>, Vec<String>, String, usize) {
        let tap = Tap::before(server.address);
        let client: Program = setting(&[], &[], python).python(tap.address, "alice");
        let (code, lines, stderr) = client.end();
        (code, lines, stderr.replace('\r', ""), tap.end().sent.len())
    }
}

/// Both clients chat, and each has the fingerprint that the server has logged for it.
fn they_chat(setting: &Setting<'_>, kex: &str, cipher: &str) {
    let [rust, python, log] = interop::they_chat(setting);
    let session = format!("session: kex={kex} cipher={cipher} fingerprint=");
    let logged = log.lines().filter(|line| line.contains(&session)).count();
    assert_eq!(logged, 3, "alice, bob and carol: {log}");
    for stderr in [rust, python] {
        assert!(stderr.starts_with(&session), "{stderr}");
        let session = stderr.lines().next().unwrap_or_default();
        let logged = log.lines().filter(|line| line.ends_with(session)).count();
        assert_eq!(logged, 1, "{session}, but the server has {log}");
    }
}

#[test]
fn it_shakes_hands_logs_in_and_counts_with_the_known_answers() {
    if interop::login_is_left_out() {
        return;
    }
    interop::the_client_checks_itself();
}

#[test]
fn the_client_in_python_chats_with_this_stages_after_each_kind_of_login() {
    if interop::login_is_left_out() {
        return;
    }
    for door in DOORS {
        House::new(door).settle(|setting| they_chat(setting, "noise-nx", "aes-256-gcm"));
    }
}

#[test]
fn files_go_from_each_client_to_each_other_after_each_kind_of_login() {
    if interop::login_is_left_out() {
        return;
    }
    for door in DOORS {
        House::new(door).settle(interop::they_send_files);
    }
}

/// What the client says until it knows whose key the server has: a frame of the handshake.
const HANDSHAKE: usize = 4 + 1 + 7 + 32;

#[test]
fn it_goes_on_with_the_key_that_it_was_given() {
    if interop::login_is_left_out() {
        return;
    }
    for door in DOORS {
        let house = House::new(door);
        let (server, key) = house.serve();
        for key in [&key, &key.to_uppercase()] {
            let python = [&["--server-key".to_owned(), key.clone()], &house.python[..]].concat();
            let python = python.iter().map(String::as_str).collect::<Vec<_>>();
            let (code, lines, stderr, _) = House::visit(&server, &python);
            assert_eq!((code, lines), (Some(0), vec!["* alice joined".to_owned()]), "{stderr}");
            let [_, said, shown] = stderr.lines().collect::<Vec<_>>()[..] else {
                panic!("{stderr}");
            };
            assert!(said.starts_with("server key: as --server-key says"), "{stderr}");
            // What a person compares is the same on both sides.
            let log = server.program.stderr();
            assert!(log.lines().any(|line| line.trim() == shown.trim()), "{shown}: {log}");
        }
    }
}

#[test]
fn it_says_nothing_to_a_server_with_another_key() {
    if interop::login_is_left_out() {
        return;
    }
    for door in DOORS {
        let house = House::new(door);
        let (server, key) = house.serve();
        // One bit is enough.
        let (first, rest) = key.split_at(1);
        let other = format!("{:x}{rest}", u8::from_str_radix(first, 16).unwrap() ^ 1);
        let python = [&["--server-key".to_owned(), other], &house.python[..]].concat();
        let python = python.iter().map(String::as_str).collect::<Vec<_>>();
        let (code, lines, stderr, said) = House::visit(&server, &python);
        assert_eq!((code, lines, said), (Some(1), Vec::new(), HANDSHAKE), "{stderr}");
        assert!(stderr.starts_with("! THE SERVER HAS ANOTHER KEY than --server-key"), "{stderr}");
    }
}

#[test]
fn a_wrong_password_is_refused_and_an_unknown_name_in_the_same_way() {
    if interop::login_is_left_out() {
        return;
    }
    for door in [Door::Room, Door::Accounts] {
        let house = House::new(door);
        let (server, key) = house.serve();
        let wrong = house.file("wrong", "grüße, 世界 \n");
        let (code, lines, stderr, said) = House::visit(&server, &["--password-file", &wrong]);
        assert_eq!((code, lines), (Some(1), Vec::new()), "{stderr}");
        let why = Some("! wrong password, or not your server");
        assert_eq!(stderr.lines().last(), why, "{door:?}");

        let pinned = ["--server-key", &key, "--password-file", &wrong];
        let (code, lines, stderr, said_again) = House::visit(&server, &pinned);
        assert_eq!((code, lines), (Some(1), Vec::new()), "{stderr}");
        assert_eq!(stderr.lines().last(), Some("! wrong name or password"), "{door:?}");
        assert_eq!(said, said_again);

        // With an account the name is not anybody's.
        let dave = house.settle(|setting| setting.python(server.address, "dave"));
        let (code, lines, stderr) = dave.end();
        match door {
            Door::Accounts => {
                assert_eq!((code, lines), (Some(1), Vec::new()), "{stderr}");
                assert_eq!(stderr.lines().last(), why);
            }
            _ => assert_eq!((code, lines.len()), (Some(0), 1), "{stderr}"),
        }
    }
}

#[test]
fn it_has_a_password_where_the_server_asks_for_one_and_none_where_it_does_not() {
    if interop::login_is_left_out() {
        return;
    }
    for door in DOORS {
        let house = House::new(door);
        let (server, _) = house.serve();
        let password = house.file("password", "grüße, 世界");
        let (python, why) = match door {
            Door::Open => (
                vec!["--password-file", &password],
                "! this server asks for no password: it is not the one that yours is for",
            ),
            _ => (vec!["--noise"], "! this server asks for a password: add --password-file FILE"),
        };
        let (code, lines, stderr, said) = House::visit(&server, &python);
        assert_eq!((code, lines, said), (Some(1), Vec::new(), HANDSHAKE), "{stderr}");
        assert_eq!(stderr.lines().last(), Some(why), "{door:?}");
    }
}

#[test]
fn it_finds_what_is_wrong_with_its_options_before_it_connects() {
    if interop::login_is_left_out() {
        return;
    }
    let house = House::new(Door::Open);
    let password = house.file("password", "correct horse");
    let empty = house.file("empty", "\r\ncorrect horse");
    let long = house.file("long", &"x".repeat(1025));
    let missing = house.path("missing");
    let cases: [(&[&str], &str); 9] = [
        (&["--login", "alice"], "--login needs --password-file"),
        (
            &["--login", "bob", "--password-file", &password],
            "you log in as bob, and cannot be called alice",
        ),
        (&["--secure", "--noise"], "with --secure nobody proves who they are"),
        (&["--secure", "--password-file", &password], "with --secure nobody proves who they are"),
        (&["--noise", "--kex", "p256"], "--kex and --cipher need --secure"),
        (&["--server-key", "67ca 2ffd"], "--server-key is 64 hexadecimal digits"),
        (&["--password-file", &empty], "its first line has to be text of 1 to 1,024 bytes"),
        (&["--password-file", &long], "its first line has to be text of 1 to 1,024 bytes"),
        (&["--password-file", &missing], "missing: "),
    ];
    for (python, why) in cases {
        // Nobody listens there.
        let client = setting(&[], &[], python).python(([127, 0, 0, 1], 1).into(), "alice");
        let (code, lines, stderr) = client.end();
        assert_eq!((code, lines), (Some(2), Vec::new()), "{python:?}: {stderr}");
        assert!(stderr.contains(why), "{python:?}: {stderr}");
    }
    // The name is that of the account.
    let house = House::new(Door::Accounts);
    let (server, _) = house.serve();
    let address = server.address.to_string();
    let password = house.path("password");
    let mut client =
        interop::python_with(&[&address, "--login", "bob", "--password-file", &password]);
    client.expect(&["* bob joined"]);
    assert_eq!(client.end().0, Some(0));
}

#[test]
fn the_client_in_python_chats_with_this_stages_in_what_the_server_chooses() {
    if interop::is_left_out(true) {
        return;
    }
    for kex in KEXES {
        for cipher in CIPHERS {
            let server = ["--kex", kex, "--cipher", cipher];
            they_chat(&setting(&server, &["--kex", kex], &["--secure"]), kex, cipher);
        }
    }
}

#[test]
fn the_client_in_python_chats_with_this_stages_in_what_the_clients_choose() {
    if interop::is_left_out(true) {
        return;
    }
    for kex in KEXES {
        for cipher in CIPHERS {
            let rust = ["--kex", kex, "--cipher", cipher];
            let python = ["--secure", "--kex", kex, "--cipher", cipher];
            they_chat(&setting(&["--kex", kex], &rust, &python), kex, cipher);
        }
    }
}

#[test]
fn files_go_from_each_client_to_each_other() {
    if interop::is_left_out(true) {
        return;
    }
    // What a record holds does not depend on who agreed on its key, so each of both is enough.
    for (kex, cipher) in KEXES.into_iter().zip(CIPHERS) {
        let server = ["--kex", kex, "--cipher", cipher];
        interop::they_send_files(&setting(&server, &["--kex", kex], &["--secure"]));
    }
}

#[test]
fn an_offer_that_is_not_answered_and_files_that_are_cancelled() {
    if interop::is_left_out(true) {
        return;
    }
    House::new(Door::Open).settle(|setting| {
        interop::an_offer_that_is_not_answered(setting);
        interop::files_that_are_cancelled(setting);
    });
}

#[test]
fn a_client_that_sends_beyond_the_window_is_stopped_and_told_why() {
    if interop::is_left_out(true) {
        return;
    }
    House::new(Door::Open).settle(interop::beyond_the_window);
    for cipher in CIPHERS {
        interop::beyond_the_window(&setting(&["--cipher", cipher], &[], &["--secure"]));
    }
}

#[test]
fn it_says_why_it_ends() {
    if interop::is_left_out(true) {
        return;
    }
    House::new(Door::Open).settle(interop::it_says_why_it_ends);
    for cipher in CIPHERS {
        interop::it_says_why_it_ends(&setting(&["--cipher", cipher], &[], &["--secure"]));
    }
}

#[test]
fn the_commands_of_its_page_work() {
    if interop::is_left_out(true) {
        return;
    }
    House::new(Door::Open).settle(|setting| {
        interop::commands_of_the_page(setting, "127.0.0.1:7005", &[]);
    });
}

#[test]
fn the_commands_of_its_page_that_log_in_work() {
    if interop::login_is_left_out() {
        return;
    }
    let house = House::new(Door::Accounts);
    let (server, key) = house.serve();
    drop(server);
    // It has the same key the next time.
    let words = [("alice.password", house.path("password")), ("KEY", key)];
    house.settle(|setting| interop::commands_of_the_page(setting, "127.0.0.1:7015", &words));
}

#[test]
fn it_shows_why_the_server_refuses_the_handshake() {
    if interop::is_left_out(true) {
        return;
    }
    const KEX_P256: &[&str] = &["--kex", "p256"];
    const CHT2: &str = "! this side speaks the unauthenticated handshake CHT2, ";
    let house = House::new(Door::Open);
    let server = house.server.iter().map(String::as_str).collect::<Vec<_>>();
    let server = server.as_slice();
    let refused = "! the server refused the handshake\n";
    let closed = "! the server closed the connection\n";
    let cases: [(&[&str], &[&str], &str, &str); 4] = [
        (KEX_P256, &["--secure", "--kex", "x25519"], "! the client wants --kex x25519 ", refused),
        (KEX_P256, &["--noise"], CHT2, refused),
        (KEX_P256, &[], "! a handshake was due", closed),
        (server, &["--secure"], "! the other side speaks CHT2, ", refused),
    ];
    for (server, python, shown, why) in cases {
        let setting = setting(server, &[], python);
        let (code, lines, stderr) = interop::through(&setting, |_, frame| Some(frame));
        assert_eq!((code, lines.len()), (Some(1), 1), "{lines:?} {stderr}");
        assert!(lines[0].starts_with(shown), "{lines:?}");
        assert_eq!(stderr.replace('\r', ""), why);
    }
}

/// Where the numbers and the share are in the server's answer, with its length and its kind.
const KEX: usize = 5 + 37;
const CIPHER: usize = 5 + 38;
const SHARE: usize = 5 + 39;

/// The client ends with this sentence when the server's answer has been changed so.
#[track_caller]
fn refuses_answer(kex: &str, expected: &str, change: fn(&mut Vec<u8>)) {
    let python = ["--secure", "--kex", kex, "--cipher", "aes-256-gcm"];
    refuses_answer_in(&setting(&["--cipher", "aes-256-gcm"], &[], &python), expected, change);
}

#[track_caller]
fn refuses_answer_in(setting: &Setting<'_>, expected: &str, change: fn(&mut Vec<u8>)) {
    let (code, lines, stderr) = interop::through(setting, move |number, mut answer| {
        // After its own answer the server has to wait for the client, but under Noise it says more.
        if number == 0 {
            change(&mut answer);
            let length = u32::try_from(answer.len() - 4).unwrap();
            answer[..4].copy_from_slice(&length.to_be_bytes());
        }
        Some(answer)
    });
    assert_eq!((code, lines), (Some(1), Vec::new()), "{stderr}");
    assert_eq!(stderr.replace('\r', ""), format!("! {expected}\n"));
}

/// Where the server's answer has which part under Noise.
const SUITE: usize = 5 + 5;
const E_S: usize = 5 + 6;
const ENC_S: usize = E_S + 32;
const TAG: usize = ENC_S + 48;

#[test]
fn it_checks_what_the_server_answers_under_noise() {
    if interop::is_left_out(true) {
        return;
    }
    House::new(Door::Open).settle(|setting| {
        let refuses = |expected, change| refuses_answer_in(setting, expected, change);
        let version = "what the server answered is no handshake of this version";
        refuses(version, |answer| answer[4] = 0x21);
        refuses(version, |answer| answer[8] = b'2');
        refuses(version, |answer| answer[9] = 2);
        refuses(version, |answer| answer.truncate(SUITE));
        refuses("the server chose a suite that was not offered", |answer| answer[SUITE] = 2);
        let length = "the server's answer is longer or shorter than that of its suite";
        refuses(length, |answer| answer.push(0));
        refuses(length, |answer| answer.truncate(TAG + 15));
        let changed = "the handshake was changed, or the key is not the server's";
        refuses(changed, |answer| answer[E_S] ^= 1);
        refuses(changed, |answer| answer[ENC_S] ^= 1);
        refuses(changed, |answer| answer[TAG - 1] ^= 1);
        refuses(changed, |answer| answer[TAG] ^= 1);
        refuses("the server's share is not one of x25519", |answer| answer[E_S..ENC_S].fill(0));
    });
}

#[test]
fn it_checks_what_the_server_answers() {
    if interop::is_left_out(true) {
        return;
    }
    let version = "what the server answered is no handshake of this version";
    refuses_answer("p256", version, |answer| answer[4] = 0x21);
    refuses_answer("p256", version, |answer| answer[5] = b'c');
    refuses_answer("p256", version, |answer| answer[9] = 2);
    refuses_answer("p256", version, |answer| answer.truncate(CIPHER));

    let suite = "the server chose a kex or a cipher that was not allowed";
    refuses_answer("p256", suite, |answer| answer[KEX] = 2);
    refuses_answer("p256", suite, |answer| answer[CIPHER] = 1);
    refuses_answer("p256", suite, |answer| answer[CIPHER] = 0);

    let p256 = "the server's share is not one of p256";
    refuses_answer("p256", p256, |answer| answer[SHARE + 64] ^= 1);
    refuses_answer("p256", p256, |answer| answer.push(0));
    refuses_answer("p256", p256, |answer| answer.truncate(SHARE));
    refuses_answer("p256", p256, |answer| {
        // The same point, compressed.
        answer[SHARE] = 2 + (answer[SHARE + 64] & 1);
        answer.truncate(SHARE + 33);
    });

    let x25519 = "the server's share is not one of x25519";
    refuses_answer("x25519", x25519, |answer| answer[SHARE..].fill(0));
    refuses_answer("x25519", x25519, |answer| answer.push(0));
    refuses_answer("x25519", x25519, |answer| answer.truncate(SHARE));
}

/// Under `aes-256-gcm` the server's frames are its answer, a record with the welcome, one that says
/// that alice joined, and its close. Under Noise there is a record for the login in front of these.
#[test]
fn it_finds_what_was_changed_repeated_left_out_or_cut_off() {
    if interop::is_left_out(true) {
        return;
    }
    finds_all(0, &setting(&["--cipher", "aes-256-gcm"], &[], &["--secure"]));
    House::new(Door::Open).settle(|setting| finds_all(1, setting));
}

/// Of so many frames of the login nothing is changed.
fn finds_all(login: usize, setting: &Setting<'_>) {
    let bad = "! a bad record: changed, repeated, left out or moved\n";
    let behind = "! a bad record: of another kind, empty, or after the close\n";
    let cut = "! the connection was cut off: the server's close is missing\n";
    type Change = fn(usize, Vec<u8>) -> Option<Vec<u8>>;
    let cases: [(&str, Change); 7] = [
        (bad, |number, mut frame| {
            if number == 2 {
                frame[9] ^= 1;
            }
            Some(frame)
        }),
        (bad, |number, frame| Some(if number == 2 { frame.repeat(2) } else { frame })),
        (bad, |number, frame| Some(if number == 2 { Vec::new() } else { frame })),
        (behind, |number, frame| Some(if number == 3 { frame.repeat(2) } else { frame })),
        (behind, |number, mut frame| {
            if number == 2 {
                frame[4] = 0x10;
            }
            Some(frame)
        }),
        (cut, |number, frame| (number < 3).then_some(frame)),
        (cut, |number, frame| (number < 2).then_some(frame)),
    ];
    for (index, (expected, change)) in cases.into_iter().enumerate() {
        let (code, _, stderr) =
            interop::through(setting, move |number, frame| match number.checked_sub(login) {
                Some(number) => change(number, frame),
                None => Some(frame),
            });
        assert_eq!(code, Some(1), "{index}: {stderr}");
        let why = stderr.lines().last().unwrap();
        assert_eq!(format!("{why}\n"), expected, "{index}");
    }
}

/// There, nothing but a parser stands between the bytes and the screen.
#[test]
fn it_does_not_find_it_under_cfb() {
    if interop::is_left_out(true) {
        return;
    }
    let setting = setting(&["--cipher", "aes-256-cfb"], &[], &["--secure"]);
    let (code, lines, stderr) = interop::through(&setting, |number, frame| {
        Some(if number == 2 { frame.repeat(2) } else { frame })
    });
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(lines, ["* alice joined", "* alice joined"]);

    // What is changed is the last letter of the name, and noise the brace behind it, which is alone in
    // the next block: once in 256 times it is a brace again.
    let (code, lines, stderr) = interop::through(&setting, |number, mut frame| {
        if number == 2 {
            let letter = frame.len() - 3;
            frame[letter] ^= b'e' ^ b'a';
        }
        Some(frame)
    });
    assert_eq!((code, lines.len()), (Some(0), 1), "{stderr}");
    let unreadable = r#"! unreadable message: {"type":"joined","name":"alica""#;
    assert!(lines[0].starts_with(unreadable) || lines[0] == "* alica joined", "{lines:?}");

    // An IV and nothing behind it is no record.
    let (code, _, stderr) = interop::through(&setting, |number, mut frame| {
        if number == 2 {
            frame.truncate(5 + 16);
            frame[3] = 1 + 16;
        }
        Some(frame)
    });
    let bad = "! a bad record: of another kind, empty, or after the close";
    assert_eq!((code, stderr.lines().last()), (Some(1), Some(bad)));
}

/// A server that speaks in records and puts into them what belongs nowhere: a chunk too short to be
/// one, and a frame of the close's kind that is no close.
#[test]
fn it_cannot_read_other_kinds_in_records() {
    if interop::is_left_out(true) {
        return;
    }
    for (cipher, close) in [("aes-256-cfb", &[0x12][..]), ("aes-256-gcm", &[0x12, b'x'])] {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), None).unwrap();
        let python = ["--secure", "--cipher", cipher];
        let mut alice = setting(&[], &[], &python).python(listener.address(), "alice");
        let stream = listener.accept().unwrap();
        let handshake = Handshake::over(&stream).unwrap();
        let ((mut writer, mut encryptor), (mut reader, mut decryptor)) =
            unauthenticated::accept(handshake, &Settings::default()).unwrap();
        let mut say = |frame: &[u8]| {
            encryptor.push(&mut writer, frame).unwrap();
            writer.write_all().unwrap();
        };
        say(b"\x10{\"type\":\"welcome\",\"name\":\"alice\",\"people\":[]}");
        alice.end_input();
        while decryptor.next(reader.read().unwrap()).unwrap().is_some() {}
        for frame in [&b"\x11x"[..], close, b"\x10{\"type\":\"left\",\"name\":\"bob\"}"] {
            say(frame);
        }
        encryptor.close(&mut writer).unwrap();
        stream.finish();
        let unreadable = |of: &[u8]| format!("! unreadable message: {}", of.escape_ascii());
        alice.expect(&[&unreadable(b"x"), &unreadable(&close[1..]), "* bob left"]);
        let (code, lines, stderr) = alice.end();
        assert_eq!((code, lines), (Some(0), Vec::new()), "{stderr}");
    }
}
