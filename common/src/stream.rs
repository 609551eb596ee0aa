//! A TCP connection with deadlines, and the listener that hands them out.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use socket2::Domain;
use socket2::Protocol;
use socket2::SockRef;
use socket2::Socket;
use socket2::Type;

use crate::pcap::Capture;
use crate::pcap::Flow;
use crate::pcap::Side;
use crate::sync::Mutex;
use crate::sync::lock;

/// Connections that the system completes before they are accepted. Over the standard library's
/// 128, so that a whole lecture hall can arrive at once without waiting for a second SYN.
const BACKLOG: i32 = 1024;
/// Bytes that the system takes before it can send them (`TCP_NOTSENT_LOWAT`, tcp(7)): what it has
/// taken, no message overtakes any more.
#[cfg(any(target_os = "linux", target_os = "android"))]
const NOT_SENT: u32 = 128 * 1024;
/// How long one write may take; then the writing thread looks whether it should go on.
const WRITE_TICK: Duration = Duration::from_millis(100);
/// The same on Windows, where a write that timed out is the end of the connection.
const WINDOWS_WRITE: Duration = Duration::from_secs(3);
/// Before a listener that was refused a connection (no descriptors left) tries again.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);
/// For a connection to be opened.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// One TCP connection. Clones are the same connection, so one descriptor serves all its threads.
#[derive(Clone)]
pub struct Stream(Arc<Inner>);

struct Inner {
    tcp: TcpStream,
    peer: SocketAddr,
    flow: Option<Flow>,
    /// Until when reading may go on and when anything last came: for connections that have not
    /// said hello.
    unfinished: Mutex<Option<Unfinished>>,
}

#[derive(Clone, Copy, Debug)]
struct Unfinished {
    deadline: Instant,
    heard: Instant,
}

impl Stream {
    /// Opens a connection to the first of `addresses` that answers, written to `capture` if there
    /// is one.
    ///
    /// # Errors
    /// If none answers: why the last one did not.
    pub fn connect(addresses: &[SocketAddr], capture: Option<&Capture>) -> io::Result<Stream> {
        let mut result = Err(io::ErrorKind::AddrNotAvailable.into());
        for address in addresses {
            result = TcpStream::connect_timeout(address, CONNECT_WITHIN)
                .and_then(|tcp| Stream::new(tcp, *address, capture, Side::Local));
            if result.is_ok() {
                break;
            }
        }
        result
    }

    fn new(
        tcp: TcpStream,
        peer: SocketAddr,
        capture: Option<&Capture>,
        opener: Side,
    ) -> io::Result<Stream> {
        // A chat message is small and somebody waits for it: Nagle's algorithm would hold it back.
        tcp.set_nodelay(true)?;
        // Where it cannot be set, messages behind a file come later.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let _ = SockRef::from(&tcp).set_tcp_notsent_lowat(NOT_SENT);
        match opener {
            Side::Remote if cfg!(windows) => tcp.set_write_timeout(Some(WINDOWS_WRITE))?,
            // A client waits for its server, which may itself be waiting for others.
            Side::Local if cfg!(windows) => {}
            _ => tcp.set_write_timeout(Some(WRITE_TICK))?,
        }
        let local = tcp.local_addr()?;
        let flow = capture.map(|capture| capture.flow(local, peer, opener));
        let unfinished = Mutex::new(None);
        Ok(Stream(Arc::new(Inner { tcp, peer, flow, unfinished })))
    }

    /// The other end.
    pub fn peer(&self) -> SocketAddr {
        self.0.peer
    }

    /// Reading fails after `within` from now, whatever comes until then.
    pub fn set_deadline(&self, within: Duration) {
        let heard = Instant::now();
        *lock(&self.0.unfinished) = Some(Unfinished { deadline: heard + within, heard });
    }

    /// No deadline any more; from now on a single read may wait for `patience`.
    ///
    /// # Errors
    /// If the system does not take the timeout.
    pub fn clear_deadline(&self, patience: Duration) -> io::Result<()> {
        *lock(&self.0.unfinished) = None;
        self.0.tcp.set_read_timeout(Some(patience))
    }

    /// When anything last came, while there is a deadline.
    pub fn heard(&self) -> Option<Instant> {
        lock(&self.0.unfinished).map(|unfinished| unfinished.heard)
    }

    /// Waits, as long as the other side has nothing to say and stays: a thread that sleeps would stay
    /// behind a connection that is closed.
    ///
    /// # Errors
    /// If anything came, or the end.
    pub fn pause(&self, pause: Duration) -> io::Result<()> {
        if pause.is_zero() {
            return Ok(());
        }
        self.0.tcp.set_read_timeout(Some(pause))?;
        match self.0.tcp.peek(&mut [0]) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "something came too early")),
            Err(error)
                if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
            {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Reads and forgets what still comes until the other side ends, `within` at the most: closing
    /// over unread bytes would reset the connection, and our last words might be lost.
    pub fn drain(&self, within: Duration) {
        self.set_deadline(within);
        let mut stream = self.clone();
        let mut unread = [0; 4096];
        while matches!(stream.read(&mut unread), Ok(1..)) {}
    }

    /// Ends our direction; what was written still arrives, then the end of the stream.
    pub fn finish(&self) {
        self.shutdown(Shutdown::Write);
    }

    /// Ends both directions; a thread that reads or writes notices at once.
    pub fn close(&self) {
        self.shutdown(Shutdown::Both);
    }

    fn shutdown(&self, how: Shutdown) {
        // Fails only where the connection is gone already.
        let _ = self.0.tcp.shutdown(how);
        if let Some(flow) = &self.0.flow {
            flow.fin(Side::Local);
        }
    }

    fn record(&self, from: Side, bytes: &[u8], result: &io::Result<usize>) {
        let Some(flow) = &self.0.flow else { return };
        match result {
            Ok(0) if from == Side::Remote => flow.fin(from),
            Ok(length) => flow.data(from, bytes.get(..*length).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                flow.reset(Side::Remote);
            }
            Err(_) => {}
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(flow) = &self.flow {
            flow.fin(Side::Local);
        }
    }
}

/// The addresses that `text` names: `host`, `host:port`, `[IPv6]:port`, `:port` or `port`, with
/// `default` where parts are missing.
///
/// # Errors
/// If there is no such host.
pub fn resolve(text: &str, default: SocketAddr) -> io::Result<Vec<SocketAddr>> {
    let (host, port) = split(text, default)?;
    Ok((host.as_str(), port).to_socket_addrs()?.collect())
}

/// The one form of what [`resolve`] takes, by which a server is remembered: `host:port` or
/// `[IPv6]:port`, in lower case, with `default` where parts are missing.
///
/// # Errors
/// If the port is none.
pub fn canonical(text: &str, default: SocketAddr) -> io::Result<String> {
    let (host, port) = split(text, default)?;
    Ok(match host.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, port).to_string(),
        Err(_) => format!("{}:{port}", host.to_ascii_lowercase()),
    })
}

/// The host and the port in `text`, or those of `default`.
fn split(text: &str, default: SocketAddr) -> io::Result<(String, u16)> {
    let (host, port) = match text.parse::<IpAddr>() {
        Ok(_) => (text, None),
        Err(_) => match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            None if text.parse::<u16>().is_ok() => ("", Some(text)),
            _ => (text, None),
        },
    };
    let port = match port {
        None => default.port(),
        Some(port) => port.parse().map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidInput, "a port is a number from 0 to 65535")
        })?,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    Ok(if host.is_empty() { (default.ip().to_string(), port) } else { (host.to_owned(), port) })
}

/// Why listening on `address` failed, and what to do.
pub fn explain_bind(address: SocketAddr, error: io::Error) -> io::Error {
    let port = address.port();
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "port {port} is in use, perhaps by another server: stop that one, or choose another port, \
             as with --listen {}",
            SocketAddr::new(address.ip(), 0)
        ),
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address: use 127.0.0.1 for this machine alone or 0.0.0.0 for \
             all its networks"
                .to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            format!("port {port} needs a permission that you do not have: choose one above 1023")
        }
        _ => error.to_string(),
    };
    io::Error::new(error.kind(), format!("cannot listen on {address}: {advice}"))
}

/// Why connecting to `addresses` failed, and what to do; `package` is the stage's.
pub fn explain_connect(
    addresses: &[SocketAddr],
    error: io::Error,
    package: &str,
    port: u16,
) -> io::Error {
    let address = addresses.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(" or ");
    let listen = match addresses {
        [first, ..] if first.port() != port => format!(" --listen {first}"),
        _ => String::new(),
    };
    let advice = match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            format!(
                "nothing listens there: start the server first, with cargo run -p {package} -- \
                 server{listen}"
            )
        }
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            "nothing answers: is it the right address, and does a firewall let it through?"
                .to_owned()
        }
        _ => error.to_string(),
    };
    io::Error::new(error.kind(), format!("cannot connect to {address}: {advice}"))
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let unfinished = *lock(&self.0.unfinished);
        if let Some(Unfinished { deadline, .. }) = unfinished {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.0.tcp.set_read_timeout(Some(left))?;
        }
        let result = (&self.0.tcp).read(buffer);
        if unfinished.is_some()
            && let Some(unfinished) = &mut *lock(&self.0.unfinished)
        {
            unfinished.heard = Instant::now();
        }
        self.record(Side::Remote, buffer, &result);
        result
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let result = (&self.0.tcp).write(buffer);
        self.record(Side::Local, buffer, &result);
        result
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Accepts connections until it is stopped.
pub struct Listener {
    tcp: TcpListener,
    stop: Stop,
    capture: Option<Capture>,
}

/// Stops a [`Listener`], from any thread.
#[derive(Clone, Debug)]
pub struct Stop {
    stopped: Arc<AtomicBool>,
    address: SocketAddr,
    /// Kept ready: when it is needed descriptors may have run out.
    wake: Arc<Mutex<Option<Socket>>>,
}

impl Listener {
    /// Listens on `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// If the port is in use, the address is not of this machine, or a permission is missing.
    pub fn bind(address: SocketAddr, capture: Option<Capture>) -> io::Result<Listener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // On Unix: so that a server can start again while connections of the last one fade out.
        // On Windows the same option would let two servers share the port.
        #[cfg(unix)]
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let tcp = TcpListener::from(socket);
        let address = tcp.local_addr()?;
        let wake = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        let wake = Arc::new(Mutex::new(Some(wake)));
        let stop = Stop { stopped: Arc::default(), address, wake };
        Ok(Listener { tcp, stop, capture })
    }

    /// Lets the system keep about so many bytes of what is written to a connection, and not as many
    /// as it likes: so a tour can show what waits in a queue of ours.
    ///
    /// # Errors
    /// If the system does not.
    pub fn set_send_buffer(&self, bytes: usize) -> io::Result<()> {
        // A connection has it from its listener.
        SockRef::from(&self.tcp).set_send_buffer_size(bytes)
    }

    /// Where it listens, with the real port.
    pub fn address(&self) -> SocketAddr {
        self.stop.address
    }

    /// What stops it.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// The next connection; `None` once it is stopped.
    ///
    /// Where the system refuses (out of descriptors, most likely) it waits a little and tries
    /// again: the connection stays in the backlog meanwhile.
    pub fn accept(&self) -> Option<Stream> {
        let mut refused = false;
        loop {
            let accepted = self.tcp.accept();
            if self.stop.stopped.load(Ordering::SeqCst) {
                return None;
            }
            let stream = accepted.and_then(|(tcp, peer)| {
                Stream::new(tcp, peer, self.capture.as_ref(), Side::Remote)
            });
            match stream {
                Ok(stream) => return Some(stream),
                Err(error) if is_connection_error(&error) => {}
                Err(error) => {
                    if !refused {
                        log::warn!("no connection can be accepted just now: {error}");
                    }
                    refused = true;
                    thread::sleep(ACCEPT_BACKOFF);
                }
            }
        }
    }
}

impl Stop {
    /// Makes [`Listener::accept`] return `None`, now and from now on.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Nothing in std interrupts a waiting accept but a connection.
        let ip = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let mut address = self.address;
        address.set_ip(ip);
        // Once is enough, and where it fails accept is not waiting.
        if let Some(socket) = lock(&self.wake).take() {
            let _ = socket.connect_timeout(&address.into(), Duration::from_secs(1));
        }
    }

    /// Stops at Ctrl-C or SIGTERM.
    ///
    /// # Errors
    /// If the process has such a handler already.
    pub fn at_ctrl_c(self) -> Result<(), ctrlc::Error> {
        ctrlc::set_handler(move || self.stop())
    }
}

/// Errors of one connection that died between its arrival and its acceptance, or at once after.
fn is_connection_error(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::NotConnected
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::thread;

    use super::*;

    #[test]
    fn a_pause_ends_with_the_connection_or_with_what_comes() {
        let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).unwrap();
        let stream = Stream::connect(&[listener.local_addr().unwrap()], None).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        stream.pause(Duration::ZERO).unwrap();
        let start = Instant::now();
        stream.pause(Duration::from_millis(50)).unwrap();
        assert!(start.elapsed() >= Duration::from_millis(45));
        let day = Duration::from_secs(24 * 60 * 60);
        peer.write_all(b"x").unwrap();
        assert_eq!(stream.pause(day).unwrap_err().kind(), ErrorKind::InvalidData);
        assert_eq!(stream.clone().read(&mut [0]).unwrap(), 1);
        let waits = stream.clone();
        let waits = thread::spawn(move || waits.pause(day).unwrap_err().kind());
        stream.close();
        assert_eq!(waits.join().unwrap(), ErrorKind::UnexpectedEof);
    }

    fn default() -> SocketAddr {
        "127.0.0.1:7005".parse().unwrap()
    }

    #[test]
    fn one_server_has_one_form_however_it_is_written() {
        let cases = [
            ("127.0.0.1:7005", ["", "127.0.0.1", ":7005", "7005", "127.0.0.1:7005"].as_slice()),
            ("127.0.0.1:8000", &[":8000", "8000", "127.0.0.1:8000", "127.0.0.1:08000"]),
            ("localhost:7005", &["localhost", "LocalHost:7005", "localhost:7005"]),
            ("[::1]:7005", &["::1", "[::1]", "[::1]:7005", "0:0:0:0:0:0:0:1", "[0::1]:7005"]),
            ("[2001:db8::a]:8000", &["[2001:db8::a]:8000", "[2001:DB8:0:0::A]:8000"]),
            ("chat.example:80", &["chat.example:80", "CHAT.example:80"]),
        ];
        for (expected, texts) in cases {
            for text in texts {
                assert_eq!(canonical(text, default()).unwrap(), expected, "{text}");
            }
            // It is a form that names the same.
            assert_eq!(canonical(expected, "192.0.2.1:1".parse().unwrap()).unwrap(), expected);
        }
        for text in ["localhost:", "localhost:x", "localhost:65536", "[::1]:-1"] {
            canonical(text, default()).unwrap_err();
            resolve(text, default()).unwrap_err();
        }
    }

    #[test]
    fn what_is_an_address_is_resolved_to_itself() {
        let cases = [
            ("", "127.0.0.1:7005"),
            ("8000", "127.0.0.1:8000"),
            ("192.0.2.1", "192.0.2.1:7005"),
            ("::1", "[::1]:7005"),
            ("[::1]", "[::1]:7005"),
            ("[::1]:8000", "[::1]:8000"),
        ];
        for (text, expected) in cases {
            let expected = expected.parse::<SocketAddr>().unwrap();
            assert_eq!(resolve(text, default()).unwrap(), [expected], "{text}");
        }
    }
}
