//! Files: what a person sends with `@send`, what everybody is told of it, and what is on the disk.
//!
//! | module | what it is |
//! |---|---|
//! | [`sending`] | what has to work, from process to process |
//! | [`keeping`] | a server that keeps copies |
//! | [`ending`] | transfers that end before their time |
//! | [`waiting`] | who makes others wait, and for how long |
//! | [`lies`] | senders and takers that do not keep to the protocol |
//! | [`servers`] | servers that do not |
//! | [`names`] | what a file may not be called |
//! | [`disk`] | disks that do not take it |
//! | [`kill`] | processes that end without a chance to tidy up |
//! | [`large`] | more than four gigabytes |

#[cfg(unix)]
pub mod disk;
pub mod ending;
pub mod keeping;
pub mod kill;
pub mod large;
pub mod lies;
pub mod names;
pub mod sending;
pub mod servers;
pub mod waiting;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use crate::PATIENCE;
use crate::Stage;
use crate::peer::Got;
use crate::peer::Peer;
use crate::process::Program;
use crate::process::ServerProgram;

/// Most bytes of a file in one chunk.
pub const CHUNK: usize = 65_536;
/// Most bytes of a file that are on their way.
pub const WINDOW: u64 = 1_048_576;
/// What a peer calls its offers where it has one at a time.
const TAG: u32 = u32::MAX;
/// The SHA-256 of no bytes, and of the two bytes `hi` (by `sha256sum` of GNU coreutils).
pub const OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// See [`OF_NOTHING`].
pub const OF_HI: &str = "8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4";

/// A folder for all that a scenario has on the disk.
pub struct Place(TempDir);

impl Default for Place {
    fn default() -> Place {
        Place(tempfile::tempdir().expect("a folder"))
    }
}

impl Place {
    /// The path of something in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The same as text.
    pub fn text(&self, name: &str) -> String {
        self.path(name).into_os_string().into_string().expect("UTF-8")
    }

    /// A file to send, as [`pattern`] makes it; its path.
    pub fn file(&self, name: &str, size: usize) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it is in the place")).unwrap();
        fs::write(path, pattern(size)).unwrap();
        self.text(name)
    }

    /// What is in one of its folders: see [`listing`].
    pub fn listing(&self, folder: &str) -> BTreeMap<String, Vec<u8>> {
        listing(&self.path(folder))
    }

    /// One of its folders has to hold exactly these files, as [`pattern`] makes them.
    #[track_caller]
    pub fn expect(&self, folder: &str, files: &[(&str, usize)]) {
        let listed = self.listing(folder);
        let names = listed.keys().map(String::as_str).collect::<Vec<_>>();
        let mut due = files.iter().map(|(name, _)| *name).collect::<Vec<_>>();
        due.sort_unstable();
        assert_eq!(names, due);
        for (name, size) in files {
            assert!(listed[*name] == pattern(*size), "{name} is not what was sent");
        }
    }
}

/// What is in a folder, also what is hidden: files with their bytes, and links with `-> ` and where
/// they lead to. A folder that is not there is empty.
pub fn listing(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut listed = BTreeMap::new();
    let Ok(entries) = fs::read_dir(folder) else { return listed };
    for entry in entries {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().expect("UTF-8");
        let kind = entry.file_type().unwrap();
        let held = if kind.is_symlink() {
            format!("-> {}", fs::read_link(entry.path()).unwrap().display()).into_bytes()
        } else if kind.is_dir() {
            b"a folder".to_vec()
        } else {
            // It may be a part file, and gone by now.
            let Ok(bytes) = fs::read(entry.path()) else { continue };
            bytes
        };
        listed.insert(name, held);
    }
    listed
}

/// So many bytes, which differ in every place where a chunk could end up.
pub fn pattern(size: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size + 4);
    for word in (0_u32..).take(size.div_ceil(4)) {
        bytes.extend_from_slice(&word.wrapping_mul(2_654_435_761).to_be_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// A client in the room, whose files go to the folder `name` of `place`.
pub fn client<S: Stage>(address: SocketAddr, place: &Place, name: &str) -> Program {
    client_with::<S>(address, place, name, &[])
}

/// The same with more options.
pub fn client_with<S: Stage>(
    address: SocketAddr,
    place: &Place,
    name: &str,
    options: &[&str],
) -> Program {
    let (address, downloads) = (address.to_string(), place.text(name));
    let args = ["client", &address, "--name", name, "--downloads", &downloads];
    let mut client = Program::start::<S>(&[&args, options].concat());
    client.expect(&[&format!("* {name} joined")]);
    client
}

/// Clients in the room, each of whom has seen the others come.
pub fn clients<S: Stage, const N: usize>(
    address: SocketAddr,
    place: &Place,
    names: [&str; N],
) -> [Program; N] {
    let mut clients = names.map(|name| client::<S>(address, place, name));
    for (number, client) in clients.iter_mut().enumerate() {
        for later in &names[number + 1..] {
            client.expect(&[&format!("* {later} joined")]);
        }
    }
    clients
}

/// Passes over lines until this one comes.
#[track_caller]
pub fn wait_for(client: &mut Program, due: &str) {
    let mut seen = Vec::new();
    while let Some(line) = client.line() {
        if line == due {
            return;
        }
        seen.push(line);
    }
    panic!("{due:?} did not come, but {seen:?}; stderr: {}", client.stderr());
}

/// Asks again and again, for what nothing tells.
#[track_caller]
pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen within {PATIENCE:?}");
        thread::park_timeout(Duration::from_millis(5));
    }
}

/// An offer to all, or to one person, under the sender's own number.
pub fn offer(tag: u32, to: Option<&str>, name: &str, size: u64) -> Value {
    match to {
        Some(to) => json!({"type": "offer", "tag": tag, "to": to, "name": name, "size": size}),
        None => json!({"type": "offer", "tag": tag, "name": name, "size": size}),
    }
}

/// Its answer, with the number that is the same for all.
pub fn offered(tag: u32, id: u64) -> Value {
    json!({"type": "offered", "tag": tag, "id": id})
}

/// The end of a file.
pub fn end(id: u64, size: u64, sha256: &str) -> Value {
    json!({"type": "end", "id": id, "size": size, "sha256": sha256})
}

/// An acknowledgement.
pub fn ack(id: u64, offset: u64) -> Value {
    json!({"type": "ack", "id": id, "offset": offset})
}

/// Of a transfer: `accept`, `go`, `received`, `done`.
pub fn of(kind: &str, id: u64) -> Value {
    json!({"type": kind, "id": id})
}

/// An abort.
pub fn abort(id: u64, text: &str) -> Value {
    json!({"type": "abort", "id": id, "text": text})
}

/// To a sender: someone does not get it.
pub fn dropped(id: u64, name: &str, text: &str) -> Value {
    json!({"type": "dropped", "id": id, "name": name, "text": text})
}

impl Peer {
    /// Offers a file; its number.
    #[track_caller]
    pub fn offer(&mut self, to: Option<&str>, name: &str, size: u64) -> u64 {
        self.send(&offer(TAG, to, name, size));
        let answer = self.wait_for("offered");
        assert_eq!(answer["tag"], TAG, "{answer}");
        answer["id"].as_u64().expect("a number")
    }

    /// Passes over everything, bytes of files too, until a message of this type comes.
    #[track_caller]
    pub fn pass_to(&mut self, kind: &str) -> Value {
        loop {
            match self.got() {
                Some(Got::Message(message)) if message["type"] == kind => return message,
                Some(_) => {}
                None => panic!("{kind} was due, and the connection ended"),
            }
        }
    }

    /// Sends [`pattern`] from one offset to another in chunks, as fast as it is taken.
    pub fn send_pattern(&mut self, id: u64, from: u64, to: u64) {
        let id = u32::try_from(id).unwrap();
        let (from, to) = (usize::try_from(from).unwrap(), usize::try_from(to).unwrap());
        let bytes = pattern(to);
        for (number, chunk) in bytes[from..].chunks(CHUNK).enumerate() {
            self.send_chunk(id, u64::try_from(from + number * CHUNK).unwrap(), chunk);
        }
    }

    /// Takes a file to its end, as it should be taken; its bytes.
    #[track_caller]
    pub fn take(&mut self, id: u64) -> Vec<u8> {
        let mut taken = Vec::new();
        loop {
            match self.got() {
                Some(Got::Chunk { id: of, offset, bytes }) => {
                    assert_eq!((u64::from(of), offset), (id, length(&taken)));
                    taken.extend_from_slice(&bytes);
                    self.send(&ack(id, length(&taken)));
                }
                Some(Got::Message(message)) if message["type"] == "end" => {
                    assert_eq!(message["size"], length(&taken), "{message}");
                    self.send(&of("received", id));
                    return taken;
                }
                Some(Got::Message(message)) => assert_ne!(message["type"], "abort", "{message}"),
                None => panic!("the connection ended"),
            }
        }
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap()
}

/// A server that keeps copies in the folder `kept` of `place`.
pub fn keeping_server<S: Stage>(place: &Place, options: &[&str]) -> ServerProgram {
    let kept = place.text("kept");
    ServerProgram::start::<S>(&[&["--keep", &kept], options].concat())
}

/// A number in what the system says about a process: `VmHWM`, `Threads`, …
#[cfg(target_os = "linux")]
pub fn status(pid: u32, key: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}
