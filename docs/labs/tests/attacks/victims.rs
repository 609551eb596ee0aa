//! The stages' own programs, and a man in the middle on one client's line.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use labs::attack::Attack;
use labs::attack::Relay;
use labs::attack::Transcript;
use labs::stages;
use labs::stages::Stage;
use suite::process::Program;
use suite::process::ServerProgram;

/// Everybody may choose what they like, and gets CFB.
pub const CFB: &[&str] = &["--cipher", "aes-256-cfb"];
pub const GCM: &[&str] = &["--cipher", "aes-256-gcm"];
/// A plaintext stage has no options.
pub const PLAIN: &[&str] = &[];

/// What is said where a record of an AEAD is not the next one, or is not whole.
pub const TAMPERED: &str =
    "an encrypted record was changed, repeated, moved or left out on its way";
/// What is said where a direction of an AEAD ends and nothing sealed says so.
pub const CUT: &str = "the connection was cut: it ended without the sealed end of the session";

/// A server, and what its clients need.
pub struct Victims {
    pub server: ServerProgram,
    binary: PathBuf,
    options: Vec<&'static str>,
}

impl Victims {
    /// The server of a stage; these options are its own and its clients'.
    pub fn start(stage: u8, options: &[&'static str]) -> Victims {
        Victims::start_with(stage, options, options)
    }

    /// The same with other options for the clients.
    pub fn start_with(stage: u8, servers: &[&str], clients: &[&'static str]) -> Victims {
        static BUILT: OnceLock<BTreeMap<String, PathBuf>> = OnceLock::new();
        let built = BUILT.get_or_init(|| {
            stages::build(&Stage::all(&stages::root())).expect("the stages are built")
        });
        let root = stages::root();
        let package = Stage::numbered(&root, stage).expect("the stage is there").package;
        let binary = built.get(package).expect("it is built").clone();
        let mut command = Command::new(&binary);
        command.args(["server", "--listen", "127.0.0.1:0"]).args(servers);
        let server = ServerProgram::from(Program::start_command(&mut command));
        Victims { server, binary, options: clients.to_vec() }
    }

    /// A client that connects to this address.
    pub fn client(&self, name: &str, address: SocketAddr) -> Program {
        let mut command = Command::new(&self.binary);
        command.args(["client", &address.to_string(), "--name", name]).args(&self.options);
        Program::start_command(&mut command)
    }

    /// A client in the room, with nobody in between.
    pub fn join(&self, name: &str) -> Program {
        let mut client = self.client(name, self.server.address);
        client.expect(&[&format!("* {name} joined")]);
        client
    }

    /// A client in the room, with an attacker in between.
    pub fn join_through(&self, relay: &Relay, name: &str) -> Program {
        let mut client = self.client(name, relay.address);
        client.expect(&[&format!("* {name} joined")]);
        client
    }

    /// The whole log, up to the end of the server.
    pub fn log(mut self) -> String {
        #[cfg(unix)]
        self.server.program.ctrl_c();
        #[cfg(not(unix))]
        self.server.program.kill();
        self.server.program.end_input();
        self.server.program.end().2
    }
}

/// What came of an attack.
pub struct Outcome {
    /// What bob saw between the coming of both and the leaving of alice.
    pub bob: Vec<String>,
    /// What the one saw on whose line the attacker was, after joining.
    pub victim: Vec<String>,
    /// How the victim's client ended.
    pub code: Option<i32>,
    /// What the server logged.
    pub log: String,
    /// What the attacker saw.
    pub transcript: Transcript,
}

impl Outcome {
    /// Nobody noticed anything.
    #[track_caller]
    pub fn assert_unnoticed(&self) {
        for words in ["encrypted record", "the connection was cut", "unreadable"] {
            assert!(!self.log.contains(words), "{}", self.log);
            assert!(!self.victim.concat().contains(words), "{:?}", self.victim);
            assert!(!self.bob.concat().contains(words), "{:?}", self.bob);
        }
    }
}

/// alice, on whose line the attacker is, says these sentences; to the server she sends records from
/// 1 on with them (0 is her hello).
pub fn alice_attacked(
    stage: u8,
    options: &[&'static str],
    attack: impl Attack,
    says: &[&str],
) -> Outcome {
    let victims = Victims::start(stage, options);
    let mut bob = victims.join("bob");
    let relay = Relay::start(victims.server.address, attack).expect("a relay");
    let mut alice = victims.join_through(&relay, "alice");
    bob.expect(&["* alice joined"]);
    // All at once: she may be gone before the last one.
    alice.type_line(&says.join("\n"));
    let (code, victim, _) = alice.end();
    let bob_saw = until_alice_left(&mut bob);
    assert_eq!(bob.end().0, Some(0), "nobody else is harmed");
    let transcript = relay.end().expect("a transcript");
    Outcome { bob: bob_saw, victim, code, log: victims.log(), transcript }
}

/// alice says these sentences; from the server to bob, on whose line the attacker is, go records
/// from 2 on with them (0 is the welcome, 1 that he joined).
pub fn bob_attacked(
    stage: u8,
    options: &[&'static str],
    attack: impl Attack,
    says: &[&str],
) -> Outcome {
    let victims = Victims::start(stage, options);
    let mut alice = victims.join("alice");
    let relay = Relay::start(victims.server.address, attack).expect("a relay");
    let mut bob = victims.join_through(&relay, "bob");
    alice.expect(&["* bob joined"]);
    alice.type_line(&says.join("\n"));
    assert_eq!(alice.end().0, Some(0), "nobody else is harmed");
    let victim = until_alice_left(&mut bob);
    let (code, ..) = bob.end();
    let transcript = relay.end().expect("a transcript");
    Outcome { bob: Vec::new(), victim, code, log: victims.log(), transcript }
}

/// What somebody sees until alice has left, or to their own end.
fn until_alice_left(somebody: &mut Program) -> Vec<String> {
    let lines = std::iter::from_fn(|| somebody.line());
    lines.take_while(|line| line != "* alice left").collect()
}

/// What these texts say about sessions, in their order.
pub fn sessions(text: &str) -> Vec<String> {
    let found = text.lines().filter_map(|line| line.find("session: ").map(|at| &line[at..]));
    found.map(str::to_owned).collect()
}

/// The last word of it: the fingerprint.
pub fn fingerprint(session: &str) -> &str {
    session.rsplit('=').next().expect("a fingerprint")
}
