//! How fast files pass beside a raw copy, and how fast people are heard meanwhile, with each cipher.
//!
//! ```text
//! cargo bench -p stage5_file_secure --bench speed -- [files] [latency] [--rounds N] [--mib N]
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench may stop at the first surprise"
)]

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use common::crypto::Decryptor;
use common::crypto::Encryptor;
use common::crypto::Secret;
use common::crypto::suite::Cipher;
use common::files::CHUNK;
use common::frame;
use rand::SeedableRng;
use rand::rngs::StdRng;
use storage::Next;
use storage::Source;
use suite::speed::Setting;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Chunks in a MiB.
const CHUNKS: u64 = 16;
/// What is measured of the ciphers; the rest takes in proportion.
const SAMPLE: u64 = 64;

fn main() -> Result<()> {
    let binary = Path::new(env!("CARGO_BIN_EXE_stage5_file_secure"));
    let settings = [
        Setting {
            title: "GCM",
            options: &["--cipher", "aes-256-gcm"],
            cipher: |mib| records(Cipher::Gcm, mib),
        },
        Setting {
            title: "CFB",
            options: &["--cipher", "aes-256-cfb"],
            cipher: |mib| records(Cipher::Cfb, mib),
        },
    ];
    suite::speed::run(binary, &settings, hash)
}

fn hash(path: &Path) -> Result<()> {
    let (mut source, mut buffer) = (Source::open(path)?, vec![0; CHUNK]);
    while let Next::Chunk { .. } = source.next(&mut buffer)? {}
    Ok(())
}

/// Records of so many MiB, encrypted and decrypted twice.
fn records(cipher: Cipher, mib: u64) -> Duration {
    let (key, mut payload) = (Secret::from([7; 32]), vec![7; CHUNK]);
    payload[0] = frame::CHUNK;
    let mut encryptor = Encryptor::new(cipher, &key, StdRng::seed_from_u64(1));
    let mut decryptor = Decryptor::new(cipher, &key);
    let (mut wire, start) = (Vec::new(), Instant::now());
    for _ in 0..SAMPLE * CHUNKS {
        wire.clear();
        let mut frames = frame::Writer::new(&mut wire, "wire");
        encryptor.push(&mut frames, black_box(&payload)).unwrap();
        frames.write_all().unwrap();
        let body = &wire[frame::HEADER + 1..];
        black_box(decryptor.open(frame::Frame { kind: frame::RECORD, body }).unwrap());
    }
    let factor = 2.0 * mib as f64 / SAMPLE as f64;
    start.elapsed().mul_f64(factor)
}
