//! How fast files pass beside a raw copy, and how fast people are heard meanwhile.
//!
//! ```text
//! cargo bench -p stage4_file_plain --bench speed -- [files] [latency] [--rounds N] [--mib N]
//! ```

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use storage::Next;
use storage::Source;
use suite::speed::Setting;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let binary = Path::new(env!("CARGO_BIN_EXE_stage4_file_plain"));
    let none = |_| Duration::ZERO;
    suite::speed::run(binary, &[Setting { title: "plaintext", options: &[], cipher: none }], hash)
}

fn hash(path: &Path) -> Result<()> {
    let (mut source, mut buffer) = (Source::open(path)?, vec![0; common::files::CHUNK]);
    while let Next::Chunk { .. } = source.next(&mut buffer)? {}
    Ok(())
}
