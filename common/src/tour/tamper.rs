//! Somebody in the middle of one connection, who changes a byte when told to.

use std::io;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::thread;

use super::PATIENCE;
use crate::frame::HEADER;
use crate::frame::RECORD;
use crate::frame::Reader;

/// What is done to a record.
struct Change {
    /// Shorter records pass as they are.
    at_least: usize,
    /// The byte, counted from the end…
    from_end: usize,
    /// …and what it is combined with.
    mask: u8,
}

/// Passes frames on between one client and the server.
pub struct Tamper {
    /// Where the client connects.
    pub address: SocketAddr,
    change: Arc<Mutex<Option<Change>>>,
    changed: Receiver<[Vec<u8>; 2]>,
}

impl Tamper {
    /// In front of a server.
    ///
    /// # Errors
    /// If there is no free port.
    pub fn before(server: SocketAddr) -> io::Result<Tamper> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let change = Arc::new(Mutex::new(None));
        let (tell, changed) = mpsc::channel();
        let orders = Arc::clone(&change);
        thread::Builder::new().name("tamper".to_owned()).spawn(move || {
            // Where this fails, what has to be seen next is not, and the tour says so.
            let _ = pass(&listener, server, &orders, &tell);
        })?;
        Ok(Tamper { address, change, changed })
    }

    /// Changes the next record from the client: the byte so many from its end is combined with
    /// `mask` by exclusive or.
    pub fn flip(&self, from_end: usize, mask: u8) {
        self.flip_long(0, from_end, mask);
    }

    /// As [`Tamper::flip`], the next record whose body has so many bytes `at_least`.
    pub fn flip_long(&self, at_least: usize, from_end: usize, mask: u8) {
        let change = Change { at_least, from_end, mask };
        *self.change.lock().unwrap_or_else(PoisonError::into_inner) = Some(change);
    }

    /// The body of the record that was changed: before, and after.
    ///
    /// # Errors
    /// If there is none for ten seconds.
    pub fn changed(&self) -> io::Result<[Vec<u8>; 2]> {
        let nothing = |_| io::Error::new(io::ErrorKind::TimedOut, "no record to change");
        self.changed.recv_timeout(PATIENCE).map_err(nothing)
    }
}

fn pass(
    listener: &TcpListener,
    server: SocketAddr,
    orders: &Mutex<Option<Change>>,
    tell: &Sender<[Vec<u8>; 2]>,
) -> io::Result<()> {
    let (client, _) = listener.accept()?;
    let server = TcpStream::connect(server)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_server, mut to_client) = (server.try_clone()?, client.try_clone()?);
    let back = thread::Builder::new().name("tamper back".to_owned());
    back.spawn(move || {
        let _ = io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Write);
    })?;
    let (mut frames, mut to_server) = (Reader::new(&client, "client"), &server);
    while let Some(frame) = frames.read().map_err(io::Error::other)? {
        let before = frame.body.to_vec();
        let mut after = before.clone();
        let is_meant = |change: &mut Change| frame.kind == RECORD && after.len() >= change.at_least;
        let order = orders.lock().unwrap_or_else(PoisonError::into_inner).take_if(is_meant);
        if let Some(Change { from_end, mask, .. }) = order
            && let Some(byte) = after.iter_mut().nth_back(from_end)
        {
            *byte ^= mask;
            // The tour may be over.
            let _ = tell.send([before, after.clone()]);
        }
        let length = u32::try_from(after.len() + 1).unwrap_or(u32::MAX);
        let head: [u8; HEADER] = length.to_be_bytes();
        to_server.write_all(&[&head[..], &[frame.kind], &after].concat())?;
    }
    server.shutdown(Shutdown::Write)
}
