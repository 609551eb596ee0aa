//! The stages' own programs, and a man in the middle on one client's line.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpStream;
#[cfg(unix)]
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use common::hex::hex;
use labs::attack::Attack;
use labs::attack::Relay;
use labs::attack::Transcript;
use labs::attack::noise;
use labs::attack::noise::Session;
use labs::stages;
use labs::stages::Stage;
use socket2::Domain;
use socket2::Socket;
use socket2::Type;
use suite::PATIENCE;
use suite::process::Program;
use suite::process::ServerProgram;
use tempfile::TempDir;

/// Everybody may choose what they like, and gets CFB.
pub const CFB: &[&str] = &["--cipher", "aes-256-cfb"];
pub const GCM: &[&str] = &["--cipher", "aes-256-gcm"];
/// Stage 5's own handshake is the one that nobody has to ask for.
pub const OWN: &[&str] = &[];
/// A plaintext stage has no options.
pub const PLAIN: &[&str] = &[];

/// What is said where a record of an AEAD is not the next one, or is not whole.
pub const TAMPERED: &str =
    "an encrypted record was changed, repeated, moved or left out on its way";
/// What is said where a direction of an AEAD ends and nothing sealed says so.
pub const CUT: &str = "the connection was cut: it ended without the sealed end of the session";

/// The stage with a handshake of its own, and a login.
pub const STAGE: u8 = 5;
/// Everybody's password.
pub const PASSWORD: &str = "correct horse";
/// What a client says where the handshake is not the one that it had a part in.
pub const CHANGED: &str =
    "the handshake was changed on its way, or answered without the server's private key";

/// A server, and what its clients need.
pub struct Victims {
    pub server: ServerProgram,
    binary: PathBuf,
    options: Vec<&'static str>,
    is_login: bool,
    /// What the programs of stage 5 keep.
    pub state: State,
}

/// A folder for each program's state, and a file with the password. It vanishes with the test.
pub struct State {
    folder: TempDir,
    is_kept: bool,
}

impl State {
    fn new(stage: u8) -> State {
        let folder = tempfile::tempdir().expect("a folder");
        let password = folder.path().join("password");
        fs::write(&password, PASSWORD).expect("it is written");
        // A client warns of one that others may read.
        #[cfg(unix)]
        fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).expect("it is ours");
        State { folder, is_kept: stage == STAGE }
    }

    /// A file or a folder in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The servers that somebody's client knows, as text; nothing where there is no file.
    pub fn known_servers(&self, name: &str) -> String {
        fs::read_to_string(self.path(name).join("known_servers")).unwrap_or_default()
    }

    /// Makes the file of accounts, in which everybody has the same password, salt included: it is
    /// made by the stage's own command for the first, and the others are written beside.
    fn add(&self, binary: &Path, names: &[&str]) {
        let [users, password] = ["users", "password"].map(|name| self.path(name));
        let mut command = command(binary);
        command.args(["adduser", names[0], "--users"]).arg(&users);
        let adds = Program::start_command(command.arg("--password-file").arg(password)).end();
        assert_eq!(adds.0, Some(0), "{}", adds.2);
        let mut text = fs::read_to_string(&users).expect("there are accounts");
        let account = text.lines().last().and_then(|line| line.split_once(' ')).expect("one");
        let account = account.1.to_owned();
        names[1..].iter().for_each(|name| text.push_str(&format!("{name} {account}\n")));
        fs::write(users, text).expect("it is written");
    }
}

/// The program, which no password comes to but on its command line.
fn command(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    command.env_remove("CHAT_PASSWORD");
    command
}

impl Victims {
    /// The server of a stage; these options are its own and its clients'.
    pub fn start(stage: u8, options: &[&'static str]) -> Victims {
        Victims::start_with(stage, options, options)
    }

    /// The same with other options for the clients.
    pub fn start_with(stage: u8, servers: &[&str], clients: &[&'static str]) -> Victims {
        let (binary, state) = (binary(stage), State::new(stage));
        let mut command = command(&binary);
        command.args(["server", "--listen", "127.0.0.1:0"]).args(servers);
        if state.is_kept {
            command.arg("--state").arg(state.path("server"));
        }
        let server = ServerProgram::from(Program::start_command(&mut command));
        Victims { server, binary, options: clients.to_vec(), is_login: false, state }
    }

    /// Stage 5's server, where those log in who have one of these accounts.
    pub fn with_accounts(names: &[&str]) -> Victims {
        let (binary, state) = (binary(STAGE), State::new(STAGE));
        state.add(&binary, names);
        let mut command = command(&binary);
        command.args(["server", "--listen", "127.0.0.1:0", "--users"]).arg(state.path("users"));
        command.arg("--state").arg(state.path("server"));
        let server = ServerProgram::from(Program::start_command(&mut command));
        Victims { server, binary, options: Vec::new(), is_login: true, state }
    }

    /// The command for a client that connects to this address.
    pub fn command(&self, name: &str, address: SocketAddr) -> Command {
        let mut command = command(&self.binary);
        command.args(["client", &address.to_string()]).args(&self.options);
        match self.is_login {
            true => {
                command.args(["--login", name, "--password-file"]).arg(self.state.path("password"))
            }
            false => command.args(["--name", name]),
        };
        if self.state.is_kept {
            command.arg("--state").arg(self.state.path(name));
        }
        command
    }

    /// The same with no login but a password, as for a room that has one.
    pub fn with_password(&self, name: &str, address: SocketAddr) -> Command {
        let mut command = command(&self.binary);
        command.args(["client", &address.to_string(), "--name", name, "--password-file"]);
        command.arg(self.state.path("password")).arg("--state").arg(self.state.path(name));
        command
    }

    /// A client that connects to this address.
    pub fn client(&self, name: &str, address: SocketAddr) -> Program {
        Program::start_command(&mut self.command(name, address))
    }

    /// A client behind the handshake, which may say anything.
    pub fn guest(&self) -> Session {
        self.guest_from(Ipv4Addr::LOCALHOST)
    }

    /// The same from another address of this machine.
    pub fn guest_from(&self, address: Ipv4Addr) -> Session {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&SocketAddr::from((address, 0)).into()).expect("an address of this machine");
        socket.connect(&self.server.address.into()).expect("the server listens");
        socket.set_tcp_nodelay(true).expect("it is TCP");
        socket.set_read_timeout(Some(PATIENCE)).expect("no time is too long");
        let tcp = TcpStream::from(socket);
        noise::connect(tcp.try_clone().expect("a second handle"), tcp).expect("a session")
    }

    /// The public key of stage 5's server.
    pub fn server_key(&self) -> String {
        hex(&self.guest().key)
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

/// The program of a stage; they are built together, once.
fn binary(stage: u8) -> PathBuf {
    static BUILT: OnceLock<BTreeMap<String, PathBuf>> = OnceLock::new();
    let built = BUILT
        .get_or_init(|| stages::build(&Stage::all(&stages::root())).expect("the stages are built"));
    let package = Stage::numbered(&stages::root(), stage).expect("the stage is there").package;
    built.get(package).expect("it is built").clone()
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
    let mut victim = until_alice_left(&mut bob);
    let (code, behind, _) = bob.end();
    // What the server tells him may come later than what alice does.
    victim.extend(behind);
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
