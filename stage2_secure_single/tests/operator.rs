//! The operator and their one client, with each cipher: as programs, in a terminal, and in process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

#[path = "../src/connection.rs"]
mod connection;
#[path = "../src/server.rs"]
mod server;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use common::command::Action;
use common::crypto::suite::Allowed;
use common::crypto::suite::Cipher;
use common::face;
use common::face::Console;
use common::face::Face;
use common::face::Input;
use common::limits::Limits;
use common::message::Event;
use common::message::Request;
use common::name::Name;
use common::stream::Listener;
use common::stream::Stop;
use common::stream::Stream;
use suite::Connected;
use suite::Halves;
use suite::PATIENCE;
use suite::Stage;
use suite::peer::Peer;
use suite::process::Program;
use suite::process::ServerProgram;

use crate::connection::Receiver as Receiving;
use crate::connection::Sender as Sending;
use crate::connection::Settings;

/// How long a server may take to stop.
const STOPS: Duration = Duration::from_secs(2);
/// Much less than the deadline for a hello, and than what makes a peer stalled.
const AT_ONCE: Duration = Duration::from_secs(2);
const TAKEN: &str = "this server talks with one client at a time and is taken; try again later";
const NOBODY: &str = "! nobody is here yet, so nobody reads that";

/// With the suite that is chosen where nobody says anything.
struct Cfb;

/// With the cipher that notices changes.
struct Gcm;

/// This stage with some settings.
trait Suite: Stage {
    fn settings() -> Settings;
}

impl Suite for Cfb {
    fn settings() -> Settings {
        Settings::default()
    }
}

impl Suite for Gcm {
    fn settings() -> Settings {
        let allowed = Allowed { kex: None, cipher: Some(Cipher::Gcm) };
        Settings { allowed, ..Settings::default() }
    }
}

macro_rules! stage {
    ($stage:ty, $options:expr) => {
        impl Stage for $stage {
            fn binary() -> &'static Path {
                Path::new(env!("CARGO_BIN_EXE_stage2_secure_single"))
            }

            fn options() -> &'static [&'static str] {
                $options
            }

            fn serve(listener: &Listener, limits: &Limits) {
                let (_, console) = Operator::new();
                server::run(listener, &Self::settings(), limits, console);
            }

            fn connect(stream: Stream) -> Connected {
                Ok(halves(connection::connect(&stream, &Self::settings())?))
            }

            fn accept(stream: Stream) -> Connected {
                Ok(halves(connection::accept(&stream, &Self::settings())?))
            }
        }
    };
}

stage!(Cfb, &[]);
stage!(Gcm, &["--cipher", "aes-256-gcm"]);

fn halves((mut sender, mut receiver, _): (Sending, Receiving, Option<Name>)) -> Halves {
    Halves {
        send: Box::new(move |outbox| drop(sender.send_queued(outbox))),
        receive: Box::new(move || {
            Ok(receiver.receive()?.map(|frame| (frame.kind, frame.body.to_vec())))
        }),
    }
}

/// An operator in this process.
struct Operator {
    typed: Sender<Request>,
    /// How many requests the server has taken from them.
    taken: Arc<AtomicUsize>,
    seen: Receiver<Event>,
}

struct Screen(Sender<Event>);

struct Keyboard(Receiver<Request>, Arc<AtomicUsize>);

impl Face for Screen {
    fn show(&self, event: &Event) -> io::Result<()> {
        // The test may be over.
        let _ = self.0.send(event.clone());
        Ok(())
    }
}

impl Input for Keyboard {
    fn next(&mut self) -> Option<Action> {
        let request = self.0.recv().ok()?;
        self.1.fetch_add(1, Ordering::SeqCst);
        Some(Action::Send(request))
    }
}

impl Operator {
    fn new() -> (Operator, Console) {
        let (typed, keys) = mpsc::channel();
        let (screen, seen) = mpsc::channel();
        let taken = Arc::new(AtomicUsize::new(0));
        let keyboard = Box::new(Keyboard(keys, Arc::clone(&taken)));
        let face = face::Pair::new(Arc::new(Screen(screen)), keyboard);
        (Operator { typed, taken, seen }, Console::new(face))
    }

    fn says(&self, text: &str) {
        self.typed.send(Request::Say { text: text.to_owned() }).unwrap();
    }

    /// Passes over what is shown until this is.
    fn waits_for(&self, line: &str) {
        loop {
            let event = self.seen.recv_timeout(PATIENCE);
            if face::line(&event.expect("something else to see")).as_deref() == Some(line) {
                return;
            }
        }
    }
}

/// A server in this process, and its operator.
struct Served {
    operator: Operator,
    address: SocketAddr,
    stop: Stop,
    thread: JoinHandle<()>,
}

impl Served {
    fn start<S: Suite>(limits: Limits) -> Served {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = Listener::bind(any, None).unwrap();
        let (address, stop) = (listener.address(), listener.stop());
        let (operator, console) = Operator::new();
        let thread =
            thread::spawn(move || server::run(&listener, &S::settings(), &limits, console));
        Served { operator, address, stop, thread }
    }
}

/// A server as a program, its operator at a pipe, and alice.
fn server_and_alice<S: Suite>() -> (ServerProgram, Program) {
    let mut server = ServerProgram::start::<S>(&[]);
    let alice = server.client::<S>("alice");
    server.program.expect(&["* alice joined"]);
    (server, alice)
}

/// A client that is refused.
#[track_caller]
fn refused<S: Suite>(server: &ServerProgram, name: &str, why: &str) {
    let address = server.address.to_string();
    let client = Program::start::<S>(&["client", &address, "--name", name]);
    let (code, lines, _) = client.end();
    assert_eq!((code, lines), (Some(1), vec![format!("! {why}")]), "{name}");
}

/// Nobody waits for a turn: three lines from each side, in their order.
fn both_talk_freely<S: Suite>() {
    let (mut server, mut alice) = server_and_alice::<S>();
    for line in ["one", "two", "three"] {
        server.program.type_line(line);
        alice.type_line(line);
    }
    alice.expect(&["server: one", "server: two", "server: three"]);
    server.program.expect(&["alice: one", "alice: two", "alice: three"]);
    server.program.type_line("@alice psst");
    let psst = "server -> alice: psst";
    alice.expect(&[psst]);
    server.program.expect(&[psst]);
    let expected = S::options().last().unwrap_or(&"aes-256-cfb");
    assert!(alice.stderr().contains(&format!(" cipher={expected} ")), "{}", alice.stderr());
}

/// A second client is told at once, and the first and the operator notice nothing.
fn a_second_client_is_told<S: Suite>() {
    let (mut server, mut alice) = server_and_alice::<S>();
    let began = Instant::now();
    refused::<S>(&server, "bob", TAKEN);
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    alice.type_line("@names");
    alice.expect(&["* here: server, alice"]);
    server.program.type_line("@names");
    server.program.expect(&["* here: server, alice"]);
}

/// The same while the first client takes nothing and the operator floods it; that loses nothing.
fn a_second_client_is_told_during_a_flood<S: Suite>() {
    // More than the queue and the buffers of the system take.
    const LINES: usize = 4_000;
    let ever = PATIENCE * 100;
    let patient = Limits {
        stalled_after: ever,
        portion_within: ever,
        ping_after: ever,
        close_after: ever * 2,
        ..Limits::default()
    };
    let Served { operator, address, stop, thread } = Served::start::<S>(patient);
    let mut alice = Peer::join::<S>(address, "alice");
    let line = |number: usize| format!("{number:04000}");
    (0..LINES).for_each(|number| operator.says(&line(number)));
    let deadline = Instant::now() + PATIENCE;
    loop {
        let taken = operator.taken.load(Ordering::SeqCst);
        let began = Instant::now();
        let mut bob = Peer::connect::<S>(address);
        bob.hello("bob");
        assert_eq!(bob.expect_bye("full"), TAKEN);
        assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
        // The server takes nothing more from the operator: everything is full.
        if operator.taken.load(Ordering::SeqCst) == taken {
            assert!(taken < LINES, "alice has to be slower");
            break;
        }
        assert!(Instant::now() < deadline);
    }
    for number in 0..LINES {
        let said = alice.event();
        assert_eq!(
            (said["from"].as_str(), said["text"].as_str()),
            (Some("server"), Some(line(number).as_str()))
        );
    }
    alice.expect_nothing_more();
    stop.stop();
    thread.join().unwrap();
}

/// A client that takes nothing does not keep the place for ever.
fn a_client_that_takes_nothing_loses_its_place<S: Suite>() {
    let limits = Limits { stalled_after: Duration::from_millis(300), ..Limits::default() };
    let Served { operator, address, stop, thread } = Served::start::<S>(limits);
    let _alice = Peer::join::<S>(address, "alice");
    (0..20_000).for_each(|number| operator.says(&format!("{number:01000}")));
    operator.waits_for("* alice left");
    let mut bob = Peer::connect::<S>(address);
    bob.hello("bob");
    assert_eq!(bob.wait_for("joined")["name"], "bob");
    stop.stop();
    thread.join().unwrap();
}

/// One after the other, however the one before has left.
fn the_next_one_is_served<S: Suite>() {
    let (mut server, mut alice) = server_and_alice::<S>();
    alice.type_line("@quit");
    server.program.expect(&["* alice left"]);
    assert_eq!(alice.end().0, Some(0));
    let mut bob = server.client::<S>("bob");
    server.program.expect(&["* bob joined"]);
    bob.kill();
    server.program.expect(&["* bob left"]);
    let mut alice = server.client::<S>("alice");
    server.program.expect(&["* alice joined"]);
    server.program.type_line("welcome back");
    alice.expect(&["server: welcome back"]);
}

/// What nobody could read is refused with a sentence.
fn nobody_is_there<S: Suite>() {
    let mut server = ServerProgram::start::<S>(&[]);
    server.program.type_line("hello?");
    server.program.expect(&[NOBODY]);
    server.program.type_line("@alice hello?");
    server.program.expect_prefix("! nobody here is called alice");
    server.program.type_line("@names");
    server.program.expect(&["* here: server"]);
    let alice = server.client::<S>("alice");
    server.program.expect(&["* alice joined"]);
    assert_eq!(alice.end().0, Some(0));
    server.program.expect(&["* alice left"]);
    server.program.type_line("still there?");
    server.program.expect(&[NOBODY]);
}

/// The end of a script is not the end of the server.
fn the_end_of_piped_input_stops_nothing<S: Suite>() {
    let mut server = ServerProgram::start::<S>(&[]);
    server.program.type_line("@names");
    server.program.end_input();
    server.program.expect(&["* here: server"]);
    let mut alice = server.client::<S>("alice");
    alice.type_line("hi");
    server.program.expect(&["* alice joined", "alice: hi"]);
}

/// `@quit` in a pipe is meant.
fn quit_stops_it<S: Suite>() {
    let (mut server, alice) = server_and_alice::<S>();
    server.program.type_line("@quit");
    // Whether the operator is told, too, before the program ends, is not promised.
    assert_eq!(server.program.end().0, Some(0));
    let (code, lines, _) = alice.end();
    assert_eq!((code, lines), (Some(1), vec!["! the server stops".to_owned()]));
}

/// Whoever is here is told, and it ends in time.
#[cfg(unix)]
fn signals_stop_it<S: Suite>() {
    for signal in ["-INT", "-TERM"] {
        let (server, alice) = server_and_alice::<S>();
        let began = Instant::now();
        let pid = server.program.pid().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        assert_eq!(server.program.end().0, Some(0), "{signal}");
        assert!(began.elapsed() < STOPS, "{signal}: {:?}", began.elapsed());
        let (code, lines, _) = alice.end();
        assert_eq!((code, lines), (Some(1), vec!["! the server stops".to_owned()]));
    }
}

/// Also while the client takes nothing and the operator's line waits for it.
fn it_stops_during_a_flood<S: Suite>() {
    let Served { operator, address, stop, thread } = Served::start::<S>(Limits::default());
    let alice = Peer::join::<S>(address, "alice");
    (0..20_000).for_each(|number| operator.says(&format!("{number:01000}")));
    // Something is on its way to her by now.
    let deadline = Instant::now() + PATIENCE;
    while operator.taken.load(Ordering::SeqCst) == 0 {
        assert!(Instant::now() < deadline);
        thread::yield_now();
    }
    let began = Instant::now();
    stop.stop();
    thread.join().unwrap();
    assert!(began.elapsed() < STOPS, "{:?}", began.elapsed());
    drop(alice);
}

/// Who does not want to be disturbed is not, and still reads what is said.
fn the_operators_status_holds<S: Suite>() {
    let (mut server, mut alice) = server_and_alice::<S>();
    server.program.type_line("@status dnd");
    for program in [&mut server.program, &mut alice] {
        program.expect(&["* server is dnd"]);
    }
    alice.type_line("@server are you there?");
    alice.expect_prefix("! server is dnd");
    alice.type_line("in the room, then");
    server.program.expect(&["alice: in the room, then"]);
    alice.type_line("@names");
    alice.expect(&["* here: server (dnd), alice"]);
    server.program.type_line("@status normal");
    alice.expect(&["* server is normal"]);
    alice.type_line("@server and now?");
    alice.expect(&["alice -> server: and now?"]);
    server.program.expect(&["* server is normal", "alice -> server: and now?"]);
}

/// The name is not to be had, in whatever case, also by clients that ask no parser first.
fn nobody_else_is_server<S: Suite>() {
    let mut server = ServerProgram::start::<S>(&[]);
    for name in ["server", "SERVER", "Server"] {
        refused::<S>(&server, name, &format!("{name} is a reserved name, choose another"));
        let mut peer = Peer::connect::<S>(server.address);
        peer.hello(name);
        peer.expect_bye("bad-name");
    }
    server.program.type_line("@names");
    server.program.expect(&["* here: server"]);
}

#[cfg(unix)]
use terminal::a_line_being_typed_is_never_torn;
#[cfg(unix)]
use terminal::a_prompt;
#[cfg(unix)]
use terminal::a_terminal_that_takes_nothing_stops_nobody;
#[cfg(unix)]
use terminal::leaving_stops_it;

/// The face of a client, for the operator.
#[cfg(unix)]
mod terminal {
    use suite::terminal::Key;
    use suite::terminal::Terminal;
    use suite::terminal::rows;

    use super::*;

    fn server<S: Suite>() -> (Terminal, ServerAt) {
        let terminal = Terminal::start::<S>(&["server", "--listen", "127.0.0.1:0"], 24, 80);
        terminal.wait_for_row("server>");
        let rows = terminal.scrollback_and_screen();
        let address = rows[0].strip_prefix("listening on ").unwrap().to_owned();
        (terminal, ServerAt(address))
    }

    /// How long a server may take to stop in a terminal that takes nothing: it gives it a chance.
    const STOPS_UNSEEN: Duration = Duration::from_secs(5);

    /// Where a server in a terminal listens.
    struct ServerAt(String);

    impl ServerAt {
        fn client<S: Suite>(&self, name: &str) -> Program {
            let mut client = Program::start::<S>(&["client", &self.0, "--name", name]);
            client.expect(&[&format!("* {name} joined")]);
            client
        }
    }

    /// What comes is shown above the line being typed, the log too.
    pub fn a_line_being_typed_is_never_torn<S: Suite>() {
        let (operator, address) = server::<S>();
        operator.type_text("half a ");
        let mut alice = address.client::<S>("alice");
        operator.wait_for_row("* alice joined");
        for number in 0..200 {
            alice.type_line(&number.to_string());
        }
        // The log waits for nobody, and may come later than what happened after it.
        operator.wait_for("the session", |screen| {
            rows(screen).iter().any(|row| row.contains(" session: kex=p256 cipher="))
        });
        operator.wait_for_row("alice: 199");
        operator.wait_for_row("server> half a");
        let rows = operator.scrollback_and_screen();
        let said = rows.iter().filter(|row| row.starts_with("alice: ")).cloned();
        let expected = (0..200).map(|number| format!("alice: {number}"));
        assert_eq!(said.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        let prompts = rows.iter().filter(|row| row.contains("server>")).count();
        assert_eq!((prompts, rows.last().unwrap().as_str()), (1, "server> half a"));
        operator.type_text("line");
        operator.enter();
        alice.expect(&["server: half a line"]);
    }

    /// The prompt shows the status, and names are completed.
    pub fn a_prompt<S: Suite>() {
        let (operator, address) = server::<S>();
        let mut alice = address.client::<S>("alice");
        operator.wait_for_row("* alice joined");
        operator.type_text("@status away");
        operator.enter();
        operator.wait_for_row("server (away)>");
        alice.expect(&["* server is away"]);
        operator.type_text("@al");
        operator.key(Key::Tab);
        operator.wait_for_row("server (away)> @alice");
        operator.type_text("hi");
        operator.enter();
        alice.expect(&["server -> alice: hi"]);
    }

    /// The log that nobody sees either keeps nobody from coming, and nothing the server from ending.
    pub fn a_terminal_that_takes_nothing_stops_nobody<S: Suite>() {
        let (mut operator, address) = server::<S>();
        let mut alice = address.client::<S>("alice");
        operator.ignore();
        // More than a terminal keeps, and less than what waits for the operator.
        let say = |alice: &mut Program, lines| {
            (0..lines).for_each(|number| alice.type_line(&format!("{number:04000}")));
        };
        say(&mut alice, 50);
        alice.type_line("@names");
        alice.expect(&["* here: server, alice"]);
        for name in ["bob", "carol", "bob"] {
            // From the second on, more than waits for the operator.
            let began = Instant::now();
            let client = Program::start::<S>(&["client", &address.0, "--name", name]);
            let (code, lines, _) = client.end();
            assert_eq!((code, lines), (Some(1), vec![format!("! {TAKEN}")]), "{name}");
            assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
            say(&mut alice, 50);
        }
        let began = Instant::now();
        let pid = operator.pid().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert_eq!(operator.end(), Some(0));
        assert!(began.elapsed() < STOPS_UNSEEN, "{:?}", began.elapsed());
        let (code, lines, _) = alice.end();
        assert_eq!((code, lines), (Some(1), vec!["! the server stops".to_owned()]));
    }

    /// Who leaves the console stops the server: the client is told.
    pub fn leaving_stops_it<S: Suite>() {
        for leave in ["@quit\r", "\x04"] {
            let (mut operator, address) = server::<S>();
            let alice = address.client::<S>("alice");
            operator.wait_for_row("* alice joined");
            let began = Instant::now();
            operator.type_text(leave);
            assert_eq!(operator.end(), Some(0), "{leave:?}: {}", operator.screen());
            assert!(began.elapsed() < STOPS, "{leave:?}: {:?}", began.elapsed());
            let (code, lines, _) = alice.end();
            assert_eq!((code, lines), (Some(1), vec!["! the server stops".to_owned()]));
        }
    }
}

macro_rules! tests {
    ($module:ident $stage:ident { $($(#[$condition:meta])* $scenario:ident)* }) => {
        mod $module {
            $(
                $(#[$condition])*
                #[test]
                fn $scenario() {
                    super::$scenario::<super::$stage>();
                }
            )*
        }
    };
}

macro_rules! with_each_cipher {
    ($scenarios:tt) => {
        tests!(cfb Cfb $scenarios);
        tests!(gcm Gcm $scenarios);
    };
}

with_each_cipher!({
    both_talk_freely
    a_second_client_is_told
    a_second_client_is_told_during_a_flood
    a_client_that_takes_nothing_loses_its_place
    the_next_one_is_served
    nobody_is_there
    the_end_of_piped_input_stops_nothing
    quit_stops_it
    #[cfg(unix)] signals_stop_it
    it_stops_during_a_flood
    the_operators_status_holds
    nobody_else_is_server
    #[cfg(unix)] a_line_being_typed_is_never_torn
    #[cfg(unix)] a_prompt
    #[cfg(unix)] leaving_stops_it
    #[cfg(unix)] a_terminal_that_takes_nothing_stops_nobody
});
