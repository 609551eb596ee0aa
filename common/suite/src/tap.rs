//! Somebody on the way between a client and a server, who passes on all bytes and keeps a copy.

use std::io::Read;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

use socket2::SockRef;

/// A tap on one connection.
pub struct Tap {
    /// Where the client has to connect.
    pub address: SocketAddr,
    thread: JoinHandle<Tapped>,
}

/// What has crossed the wire.
pub struct Tapped {
    /// From the client to the server.
    pub sent: Vec<u8>,
    /// From the server to the client.
    pub received: Vec<u8>,
}

impl Tap {
    /// A tap on the next connection to `server` through it.
    pub fn before(server: SocketAddr) -> Tap {
        Tap::start(server, usize::MAX)
    }

    /// The same, but the server gets so many bytes and then a reset.
    pub fn cut(server: SocketAddr, bytes: usize) -> Tap {
        Tap::start(server, bytes)
    }

    fn start(server: SocketAddr, most: usize) -> Tap {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let thread = thread::spawn(move || {
            let (client, _) = listener.accept().expect("a client comes");
            pass_on(client, server, most)
        });
        Tap { address, thread }
    }

    /// Waits for the end of the connection; what has crossed it.
    pub fn end(self) -> Tapped {
        self.thread.join().expect("it passes on what comes")
    }
}

fn pass_on(client: TcpStream, server: SocketAddr, most: usize) -> Tapped {
    let server = TcpStream::connect(server).expect("the server listens");
    let (from, to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let back = thread::spawn(move || copy(from, to, usize::MAX));
    let sent = copy(client, server.try_clone().unwrap(), most);
    if sent.len() == most {
        // A connection is reset when it is closed, with nothing to wait for.
        SockRef::from(&server).set_linger(Some(Duration::ZERO)).unwrap();
        let _ = server.shutdown(Shutdown::Read);
    }
    let received = back.join().expect("it passes on what comes");
    Tapped { sent, received }
}

/// Passes on what comes to its end, or the first bytes of it; what that was.
fn copy(mut from: TcpStream, mut to: TcpStream, most: usize) -> Vec<u8> {
    let mut bytes = [0; 4096];
    let mut copied = Vec::new();
    while copied.len() < most {
        // A reset is an end, too.
        let Ok(read @ 1..) = from.read(&mut bytes) else { break };
        let passed = &bytes[..read.min(most - copied.len())];
        copied.extend_from_slice(passed);
        if to.write_all(passed).is_err() {
            break;
        }
    }
    if copied.len() < most {
        let _ = to.shutdown(Shutdown::Write);
    }
    copied
}
