//! A narrow line to one client, which can be stopped: what the server writes to it then waits.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;

use socket2::Domain;
use socket2::Socket;
use socket2::Type;

/// What the system keeps of what has come and was not read, so that the rest waits at the server.
const BUFFER: usize = 64 * 1024;

/// Whether the line is stopped.
#[derive(Default)]
struct Gate {
    stopped: Mutex<bool>,
    changed: Condvar,
}

/// Passes bytes on between one client and the server.
pub struct Narrow {
    /// Where the client connects.
    pub address: SocketAddr,
    gate: Arc<Gate>,
}

impl Narrow {
    /// In front of a server.
    ///
    /// # Errors
    /// If there is no free port.
    pub fn before(server: SocketAddr) -> io::Result<Narrow> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let gate = Arc::new(Gate::default());
        let its_gate = Arc::clone(&gate);
        thread::Builder::new().name("narrow".to_owned()).spawn(move || {
            // Where this fails, what has to be seen next is not, and the tour says so.
            let _ = pass(&listener, server, &its_gate);
        })?;
        Ok(Narrow { address, gate })
    }

    /// Nothing more comes to the client; what it sends still goes to the server.
    pub fn stop(&self) {
        self.gate.set(true);
    }

    /// What has waited comes, and all else again.
    pub fn go_on(&self) {
        self.gate.set(false);
    }
}

impl Gate {
    fn set(&self, stopped: bool) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = stopped;
        self.changed.notify_all();
    }

    /// Waits as long as the line is stopped.
    fn wait(&self) {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_while(stopped, |stopped| *stopped);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

fn pass(listener: &TcpListener, server: SocketAddr, gate: &Gate) -> io::Result<()> {
    let (client, _) = listener.accept()?;
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, None)?;
    // Before it connects: later the other side may have been promised more.
    socket.set_recv_buffer_size(BUFFER)?;
    socket.connect(&server.into())?;
    let server = TcpStream::from(socket);
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    let up = thread::Builder::new().name("narrow up".to_owned());
    up.spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    })?;
    let (mut from_server, mut to_client, mut buffer) = (&server, &client, [0; 4096]);
    loop {
        let read = from_server.read(&mut buffer)?;
        // It may have been stopped while nothing came.
        gate.wait();
        if read == 0 {
            return client.shutdown(Shutdown::Write);
        }
        to_client.write_all(buffer.get(..read).unwrap_or_default())?;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_comes_while_it_is_stopped_waits_and_is_not_lost() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let line = Narrow::before(listener.local_addr().unwrap()).unwrap();
        let mut client = TcpStream::connect(line.address).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let mut buffer = [0; 8];
        line.stop();
        server.write_all(b"one").unwrap();
        client.write_all(b"up").unwrap();
        assert_eq!(server.read(&mut buffer).unwrap(), 2, "the other direction is open");
        client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        client.read(&mut buffer).unwrap_err();
        line.go_on();
        client.set_read_timeout(None).unwrap();
        server.write_all(b"two").unwrap();
        drop(server);
        let mut come = Vec::new();
        client.read_to_end(&mut come).unwrap();
        assert_eq!(come, b"onetwo");
    }
}
