//! How fast files pass beside a raw copy, and how fast people are heard meanwhile.
//!
//! ```text
//! cargo bench -p stage4_file_plain --bench speed -- [files] [latency] [--rounds N] [--mib N]
//! ```

use std::error::Error;
use std::path::Path;

use suite::speed::Setting;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let binary = Path::new(env!("CARGO_BIN_EXE_stage4_file_plain"));
    suite::speed::run(binary, &[Setting { title: "plaintext", options: &[] }])
}
