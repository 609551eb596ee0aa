//! The suite's drivers of this stage, over the `connection` and the `server` of the test that uses
//! them.

use std::path::Path;
use std::path::PathBuf;
use std::sync::OnceLock;

use common::crypto;
use common::crypto::KeyLog;
use common::crypto::suite::Allowed;
use common::crypto::suite::Cipher;
use common::limits::Limits;
use common::logging;
use common::name::Name;
use common::stream::Listener;
use common::stream::Stream;
use common::sync::Arc;
use state::options::Admits;
use state::options::Login;
use state::server;
use suite::Connected;
use suite::Halves;
use suite::Stage;
use x25519_dalek::PublicKey;

use crate::connection;
use crate::connection::Client;
use crate::connection::Receiver;
use crate::connection::Sender;
use crate::connection::Settings;
use crate::known_servers::KnownServers;
use crate::login;

/// Where servers and clients have their state: they all have one key.
const STATE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/state");

/// The stage's own handshake, and no login.
pub struct Noise;

/// The handshake of stage 3, with the suite that is chosen where nobody says anything else.
pub struct Cfb;

/// The same with the cipher that notices changes.
pub struct Gcm;

/// The handshake of stage 3, for scenarios that choose the suite themselves.
pub struct Any;

impl Stage for Noise {
    fn binary() -> &'static Path {
        Path::new(env!("CARGO_BIN_EXE_stage5_file_secure"))
    }

    fn options() -> &'static [&'static str] {
        &["--state", STATE]
    }

    fn session() -> Option<&'static str> {
        Some("kex=noise-nx cipher=aes-256-gcm")
    }

    fn says() -> &'static [&'static str] {
        &["server key: ", "  "]
    }

    fn serve(listener: &Listener, limits: &Limits) {
        crate::server::run(listener, &noise(), limits);
    }

    fn connect(stream: Stream) -> Connected {
        let Settings::Server(server) = noise() else { unreachable!("it is that of a server") };
        let pinned = Some(PublicKey::from(&server.key).to_bytes());
        let server = KnownServers { file: PathBuf::new(), address: String::new(), pinned };
        let (keylog, login) = (KeyLog::default(), Arc::new(Login::of(None)));
        connect(&stream, &Settings::Client(Arc::new(Client { keylog, server, login })))
    }

    fn accept(stream: Stream) -> Connected {
        Ok(halves(connection::accept(&stream, &noise())?))
    }
}

impl Stage for Cfb {
    fn binary() -> &'static Path {
        Noise::binary()
    }

    fn options() -> &'static [&'static str] {
        &["--kex", "p256"]
    }

    fn session() -> Option<&'static str> {
        Some("kex=p256 cipher=aes-256-cfb")
    }

    fn says() -> &'static [&'static str] {
        &["warning: NOT AUTHENTICATED", "  the server"]
    }

    fn serve(listener: &Listener, limits: &Limits) {
        crate::server::run(listener, &unauthenticated(None), limits);
    }

    fn connect(stream: Stream) -> Connected {
        connect(&stream, &unauthenticated(None))
    }

    fn accept(stream: Stream) -> Connected {
        Ok(halves(connection::accept(&stream, &unauthenticated(None))?))
    }
}

impl Stage for Gcm {
    fn binary() -> &'static Path {
        Noise::binary()
    }

    fn options() -> &'static [&'static str] {
        &["--cipher", "aes-256-gcm"]
    }

    fn session() -> Option<&'static str> {
        Some("kex=p256 cipher=aes-256-gcm")
    }

    fn says() -> &'static [&'static str] {
        &["warning: NOT AUTHENTICATED", "  the server"]
    }

    fn serve(listener: &Listener, limits: &Limits) {
        crate::server::run(listener, &unauthenticated(Some(Cipher::Gcm)), limits);
    }

    fn connect(stream: Stream) -> Connected {
        connect(&stream, &unauthenticated(Some(Cipher::Gcm)))
    }

    fn accept(stream: Stream) -> Connected {
        Ok(halves(connection::accept(&stream, &unauthenticated(Some(Cipher::Gcm)))?))
    }
}

impl Stage for Any {
    fn binary() -> &'static Path {
        Noise::binary()
    }

    fn options() -> &'static [&'static str] {
        &["--state", STATE]
    }

    fn session() -> Option<&'static str> {
        Some("kex=p256 cipher=aes-256-cfb")
    }

    fn says() -> &'static [&'static str] {
        &["warning: NOT AUTHENTICATED", "  the server"]
    }

    fn serve(listener: &Listener, limits: &Limits) {
        crate::server::run(listener, &unauthenticated(None), limits);
    }

    fn connect(stream: Stream) -> Connected {
        connect(&stream, &unauthenticated(None))
    }

    fn accept(stream: Stream) -> Connected {
        Ok(halves(connection::accept(&stream, &unauthenticated(None))?))
    }
}

/// A server that lets everybody in.
fn noise() -> Settings {
    static SERVER: OnceLock<Arc<server::Server>> = OnceLock::new();
    let server = SERVER.get_or_init(|| {
        let keylog = KeyLog::default();
        match server::Server::open(Path::new(STATE), keylog, Admits::Everybody, login::verifier) {
            Ok(server) => Arc::new(server),
            Err(error) => unreachable!("a server's state: {error}"),
        }
    });
    Settings::Server(Arc::clone(server))
}

fn unauthenticated(cipher: Option<Cipher>) -> Settings {
    let allowed = Allowed { kex: None, cipher };
    Settings::Unauthenticated(crypto::Settings { allowed, ..crypto::Settings::default() })
}

fn connect(stream: &Stream, settings: &Settings) -> Connected {
    // What a client says of its session is nothing for whoever reads the results of tests.
    logging::show_with(|_| {});
    Ok(halves(connection::connect(stream, settings)?))
}

fn halves((mut sender, mut receiver, _): (Sender, Receiver, Option<Name>)) -> Halves {
    Halves {
        send: Box::new(move |outbox| drop(sender.send_queued(outbox))),
        receive: Box::new(move || {
            Ok(receiver.receive()?.map(|frame| (frame.kind, frame.body.to_vec())))
        }),
    }
}
