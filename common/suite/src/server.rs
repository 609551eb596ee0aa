//! A stage's server in this process.

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::thread;
use std::thread::JoinHandle;

use common::limits::Limits;
use common::stream::Listener;
use common::stream::Stop;

use crate::Stage;
use crate::peer::Peer;

/// A running server; dropping it stops it.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a server on a free port of the loopback.
    pub fn start<S: Stage>(limits: &Limits) -> Server {
        let any = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        let listener = Listener::bind(any, None).expect("a free port");
        let (address, stop, limits) = (listener.address(), listener.stop(), limits.clone());
        let thread = Some(thread::spawn(move || S::serve(&listener, &limits)));
        Server { address, stop, thread }
    }

    /// A peer in its room.
    pub fn join<S: Stage>(&self, name: &str) -> Peer {
        Peer::join::<S>(self.address, name)
    }

    /// Peers in its room, each of whom has seen all the others come.
    pub fn join_all<S: Stage, const N: usize>(&self, names: [&str; N]) -> [Peer; N] {
        let mut peers = names.map(|name| self.join::<S>(name));
        for (number, peer) in peers.iter_mut().enumerate() {
            for later in &names[number + 1..] {
                peer.expect(&serde_json::json!({"type": "joined", "name": later}));
            }
        }
        peers
    }

    /// Stops it and waits for its end.
    pub fn stop(&mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the server does not panic");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.stop();
        }
    }
}
