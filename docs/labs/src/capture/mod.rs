//! The captures to look at, in `docs/wireshark/`: one of each stage, with the keys of its sessions.
//!
//! They are what a server's `--pcap` writes, and yet the same bytes on every machine and each time,
//! so that pages can name a packet by its number. The server here is that of a stage without its
//! sockets and threads: room, messages, files, handshakes, records and login are the code of the
//! stages, handed a seeded generator and a clock that is told to go. That is insecure, and is in no
//! program but this one.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;

#[allow(dead_code, reason = "a server that knows all its users needs no more of it")]
#[path = "../../../../stage5_file_secure/src/login.rs"]
mod login;
#[path = "../../../../stage5_file_secure/src/noise.rs"]
mod noise;
mod scene;
mod scripts;
mod wire;

use scene::Scene;

/// Where they are.
pub const PUBLISHED: &str = "docs/wireshark";
/// What brings them up to date.
pub const REPAIR: &str = "cargo run -p labs -- capture --write";
/// What alice sends to bob, drawn for that.
pub const PICTURE: &str = "docs/wireshark/picture.png";
/// What their names end with, and those of their key logs.
const CAPTURE: &str = ".pcapng";
const KEYS: &str = ".keys";

/// A capture.
pub struct Script {
    /// Of the file, without `.pcapng`.
    pub name: &'static str,
    /// Whose server it is.
    pub stage: u8,
    /// What is to be seen, in a sentence.
    pub shows: &'static str,
    /// All that is random follows from it.
    seed: u64,
    script: fn(&mut Scene) -> Result<()>,
}

/// All of them.
pub const SCRIPTS: [Script; 6] = [
    Script {
        name: "stage1_relay",
        stage: 1,
        shows: "alice, bob and carol talk in plaintext; two messages come in one segment, and one \
                in two",
        seed: 1,
        script: scripts::stage1,
    },
    Script {
        name: "stage2_secure_single",
        stage: 2,
        shows: "alice says the same sentence three times to the operator: three ciphertexts",
        seed: 2,
        script: scripts::stage2,
    },
    Script {
        name: "stage3_secure_multi",
        stage: 3,
        shows: "alice, bob and carol, each with a key of their own; a secret that the server cannot \
                read; what is inside records is on the interface `plaintext`",
        seed: 3,
        script: scripts::stage3,
    },
    Script {
        name: "stage3_tampered",
        stage: 3,
        shows: "somebody turns a bit of alice's record under aes-256-cfb, and of bob's under \
                aes-256-gcm",
        seed: 31,
        script: scripts::tampered,
    },
    Script {
        name: "stage4_file_plain",
        stage: 4,
        shows: "alice sends bob a picture in plaintext",
        seed: 4,
        script: scripts::stage4,
    },
    Script {
        name: "stage5_file_secure",
        stage: 5,
        shows: "alice and bob log in behind the authenticated handshake; a sentence, and the same \
                picture",
        seed: 5,
        script: scripts::stage5,
    },
];

/// A file, as it is to be.
pub struct File {
    /// In [`PUBLISHED`].
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

impl Script {
    /// Makes the capture, and where something is encrypted its key log.
    ///
    /// # Errors
    /// If the picture is not there, or the system has no thread for it.
    pub fn files(&self) -> Result<Vec<File>> {
        let made = Scene::new(self.stage, self.seed).and_then(|mut scene| {
            (self.script)(&mut scene)?;
            scene.made()
        });
        let made = made.with_context(|| self.name.to_owned())?;
        let named = |end: &str, bytes| File { name: format!("{}{end}", self.name), bytes };
        let mut files = vec![named(CAPTURE, made.capture)];
        if !made.keys.is_empty() {
            files.push(named(KEYS, made.keys.into_bytes()));
        }
        Ok(files)
    }
}

/// Writes all of them.
///
/// # Errors
/// As [`Script::files`], or if one cannot be written.
pub fn write(root: &Path) -> Result<()> {
    let folder = root.join(PUBLISHED);
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    for script in SCRIPTS {
        for File { name, bytes } in script.files()? {
            let path = folder.join(name);
            fs::write(&path, bytes).with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}

/// Those that are not what they should be.
///
/// # Errors
/// As [`Script::files`], or if one cannot be read.
pub fn problems(root: &Path) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for script in SCRIPTS {
        for File { name, bytes } in script.files()? {
            let path = root.join(PUBLISHED).join(&name);
            let is = match fs::read(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
                is => is.with_context(|| path.display().to_string())?,
            };
            // Of a text git may have changed the ends of lines.
            let is_same = match name.ends_with(KEYS) {
                true => String::from_utf8_lossy(&is).replace("\r\n", "\n").as_bytes() == bytes,
                false => is == bytes,
            };
            if !is_same {
                problems.push(format!("{PUBLISHED}/{name} is not what labs capture makes"));
            }
        }
    }
    Ok(problems)
}
