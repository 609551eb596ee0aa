//! How fast files pass beside a raw copy, and how fast people are heard meanwhile, with each cipher.
//!
//! ```text
//! cargo bench -p stage5_file_secure --bench speed -- [files] [latency] [--rounds N] [--mib N]
//! ```

use std::error::Error;
use std::path::Path;

use suite::speed::Setting;

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let binary = Path::new(env!("CARGO_BIN_EXE_stage5_file_secure"));
    let settings = [
        Setting { title: "GCM", options: &["--cipher", "aes-256-gcm"] },
        Setting { title: "CFB", options: &["--cipher", "aes-256-cfb"] },
    ];
    suite::speed::run(binary, &settings)
}
