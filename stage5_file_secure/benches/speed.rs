//! How fast files pass beside a raw copy, and how fast people are heard meanwhile, with each cipher;
//! and how many handshakes and logins a server can do beside the bare X25519.
//!
//! ```text
//! cargo bench -p stage5_file_secure --bench speed -- [files] [latency] [--rounds N] [--mib N]
//! cargo bench -p stage5_file_secure --bench speed -- logins [--rounds N]
//! ```

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a bench says what it measured, and may stop at the first surprise"
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
use common::name::Name;
use rand::SeedableRng;
use rand::rngs::StdRng;
use state::password::Password;
use storage::Next;
use storage::Source;
use suite::speed::Setting;
use x25519_dalek::PublicKey;
use x25519_dalek::StaticSecret;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Chunks in a MiB.
const CHUNKS: u64 = 16;
/// What is measured of the ciphers; the rest takes in proportion.
const SAMPLE: u64 = 64;

#[allow(dead_code, reason = "what a bench does not need")]
#[path = "../src/login.rs"]
mod login;
#[allow(dead_code, reason = "what a bench does not need")]
#[path = "../src/noise.rs"]
mod noise;

fn main() -> Result<()> {
    if std::env::args().any(|arg| arg == "logins") {
        return logins();
    }
    let binary = Path::new(env!("CARGO_BIN_EXE_stage5_file_secure"));
    let settings = [
        Setting { title: "Noise", options: &[], cipher: |mib| records(Cipher::Gcm, mib) },
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

/// What this does a second, the median of so many tenths.
fn per_second(rounds: usize, mut what: impl FnMut()) -> f64 {
    let mut rates = Vec::new();
    for _ in 0..rounds {
        let (start, mut count) = (Instant::now(), 0_u32);
        while start.elapsed() < Duration::from_millis(100) {
            what();
            count += 1;
        }
        rates.push(f64::from(count) / start.elapsed().as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Handshakes and logins, without a network: what a server and a client have to compute.
fn logins() -> Result<()> {
    let args = std::env::args().collect::<Vec<_>>();
    let rounds = args.iter().skip_while(|arg| *arg != "--rounds").nth(1);
    let rounds = rounds.map_or(Ok(11), |rounds| rounds.parse())?;
    let mut rng = StdRng::seed_from_u64(1);
    let s = StaticSecret::random_from_rng(&mut rng);

    // Key pairs of both sides, and the secrets ee and es on both.
    let mut keys = StdRng::seed_from_u64(2);
    let bare = per_second(rounds, || {
        let [e_c, e_s] = [(); 2].map(|()| StaticSecret::random_from_rng(&mut keys));
        let [to_c, to_s, to_server] = [&e_c, &e_s, &s].map(PublicKey::from);
        black_box((e_c.diffie_hellman(&to_s), e_c.diffie_hellman(&to_server)));
        black_box((e_s.diffie_hellman(&to_c), s.diffie_hellman(&to_c)));
    });
    let ours = per_second(rounds, || {
        let (client, message) = noise::Initiator::start(&mut rng);
        let (answer, session) = noise::respond(&message, &s, &mut rng).unwrap();
        black_box((client.finish(&answer).unwrap(), session));
    });
    println!(
        "handshakes, both sides, per second: X25519 alone {bare:.0}, ours {ours:.0}, ratio {:.2}",
        ours / bare
    );

    let (password, user) = (Password::new("correct horse".to_owned())?, "alice".parse::<Name>()?);
    let (hash, salt) = ([5; 32], [6; 16]);
    let verifier = login::verifier(&password, salt)?;
    let attempt = || {
        let login = login::Login { hash: &hash, user: &user, salt: &salt };
        login::Client::new(login, &password).unwrap()
    };
    let proof = attempt().proof;
    let unknown = Secret::from([7; 32]);
    let server = per_second(rounds, || {
        black_box(login::unknown(&unknown, &user));
        black_box(login::verify(&verifier, (&hash, &user), &proof).unwrap());
    });
    let client = per_second(rounds, || drop(black_box(attempt())));
    println!("logins per second: a server's part {server:.0}, a client's {client:.0} (Argon2id)");
    let both = 1.0 / (1.0 / ours + 1.0 / server);
    println!("a handshake of both sides and a server's part of a login, per second: {both:.0}");
    Ok(())
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
