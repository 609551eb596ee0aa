//! How much of the bare cryptography's speed is left in records and handshakes.
//!
//! ```text
//! cargo bench -p common --features crypto --bench records -- [--rounds N]
//! ```
//!
//! What is compared runs by turns in one run, for the same time each; the ratio is what counts.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a bench may stop at the first surprise"
)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::hint::black_box;
use std::io;
use std::io::Read;
use std::io::Write;
use std::rc::Rc;
use std::time::Duration;
use std::time::Instant;

use aes::Aes256;
use aes_gcm::Aes256Gcm;
use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::KeyInit;
use cfb_mode::cipher::InnerIvInit;
use common::crypto::Decryptor;
use common::crypto::Encryptor;
use common::crypto::Handshake;
use common::crypto::Private;
use common::crypto::Secret;
use common::crypto::Settings;
use common::crypto::suite::Allowed;
use common::crypto::suite::Cipher;
use common::crypto::suite::Kex;
use common::frame;
use p256::elliptic_curve::Generate;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// How long one thing is measured at a time.
const TURN: Duration = Duration::from_millis(200);
const KEY: [u8; 32] = [7; 32];

/// Calls per second.
fn rate(mut work: impl FnMut()) -> f64 {
    let (begun, mut count) = (Instant::now(), 0_u32);
    while begun.elapsed() < TURN {
        for _ in 0..8 {
            work();
        }
        count += 8;
    }
    f64::from(count) / begun.elapsed().as_secs_f64()
}

/// The ratio of two rates, by turns; the median of `rounds`.
fn compare(rounds: usize, mut bare: impl FnMut(), mut ours: impl FnMut()) -> [f64; 3] {
    let mut results = Vec::new();
    for _ in 0..rounds {
        let (bare, ours) = (rate(&mut bare), rate(&mut ours));
        results.push([bare, ours, ours / bare]);
    }
    results.sort_by(|a, b| a[2].total_cmp(&b[2]));
    results[rounds / 2]
}

/// Takes everything and keeps the last of it.
#[derive(Default)]
struct Sink(Vec<u8>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.clear();
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn records(rounds: usize, size: usize) {
    let mut payload = vec![b'x'; size];
    payload[0] = frame::MESSAGE;
    let mut buffer = payload.clone();
    let key = Secret::from(KEY);
    for cipher in [Cipher::Cfb, Cipher::Gcm] {
        let (aes, gcm) = (Aes256::new(&KEY.into()), Aes256Gcm::new(&KEY.into()));
        let mut encryptor = Encryptor::new(cipher, &key, StdRng::seed_from_u64(1));
        let mut frames = frame::Writer::new(Sink::default(), "sink");
        let bare = || match cipher {
            Cipher::Cfb => {
                let mode = cfb_mode::Encryptor::inner_iv_init(&aes, &[1; 16].into());
                mode.encrypt(black_box(&mut buffer));
            }
            _ => {
                let bytes = black_box(&mut buffer).as_mut_slice();
                black_box(gcm.encrypt_inout_detached(&[1; 12].into(), &[], bytes.into()).unwrap());
            }
        };
        let ours = || {
            encryptor.push(&mut frames, black_box(&payload)).unwrap();
            frames.write_all().unwrap();
        };
        show("encrypt", cipher, size, compare(rounds, bare, ours));

        // CFB's records are independent of each other; those of GCM are numbered, so the opening
        // side gets as many as it opens.
        let mut encryptor = Encryptor::new(cipher, &key, StdRng::seed_from_u64(1));
        let mut decryptor = Decryptor::new(cipher, &key);
        let mut sealed = VecDeque::new();
        let mut seal = |sealed: &mut VecDeque<Vec<u8>>| {
            let mut frames = frame::Writer::new(Sink::default(), "sink");
            encryptor.push(&mut frames, &payload).unwrap();
            frames.write_all().unwrap();
            sealed.push_back(frames.stream().0[frame::HEADER + 1..].to_vec());
        };
        let mut results = Vec::new();
        for _ in 0..rounds {
            let bare = rate(|| match cipher {
                Cipher::Cfb => {
                    let mode = cfb_mode::Decryptor::inner_iv_init(&aes, &[1; 16].into());
                    mode.decrypt(black_box(&mut buffer));
                }
                // Opening is sealing in another order: the same AES and the same GHASH.
                _ => {
                    let bytes = black_box(&mut buffer).as_mut_slice();
                    let tag = gcm.encrypt_inout_detached(&[1; 12].into(), &[], bytes.into());
                    black_box(tag.unwrap());
                }
            });
            let wanted = ((64 << 20) / size).clamp(64, 20_000);
            (0..wanted).for_each(|_| seal(&mut sealed));
            let begun = Instant::now();
            for _ in 0..wanted {
                let body = sealed.pop_front().unwrap();
                let record = frame::Frame { kind: frame::RECORD, body: &body };
                black_box(decryptor.open(record).unwrap());
            }
            let ours = wanted as f64 / begun.elapsed().as_secs_f64();
            results.push([bare, ours, ours / bare]);
        }
        results.sort_by(|a, b| a[2].total_cmp(&b[2]));
        show("decrypt", cipher, size, results[rounds / 2]);
    }
}

fn show(what: &str, cipher: Cipher, size: usize, [bare, ours, ratio]: [f64; 3]) {
    let megabytes = |rate: f64| rate * size as f64 / 1e6;
    let (bare, ours) = (megabytes(bare), megabytes(ours));
    println!("{what}  {cipher:12} {size:6}  {bare:9.0}  {ours:9.0}  {ratio:5.2}");
}

/// What one side of a handshake has sent and the other has not read yet.
#[derive(Clone, Default)]
struct Pipe(Rc<RefCell<VecDeque<u8>>>);

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.borrow_mut().read(buffer)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Both sides of a handshake, as in the stages' `connection.rs`, one after the other.
fn handshake(allowed: Allowed, settings: &Settings, seed: u64) {
    let (up, down) = (Pipe::default(), Pipe::default());
    let side = |sends: &Pipe, receives: &Pipe, seed| {
        let writer = frame::Writer::new(sends.clone(), "bench");
        let reader = frame::Reader::new(receives.clone(), "bench");
        Handshake::new(writer, reader, StdRng::seed_from_u64(seed))
    };
    let (mut client, mut server) = (side(&up, &down, seed), side(&down, &up, seed + 1));
    client.send_hello(allowed).unwrap();
    let suite = server.receive_hello(allowed).unwrap();
    let (private_s, share_s) = Private::generate(suite.kex, settings, &mut server.rng).unwrap();
    server.answer_hello(suite, &share_s).unwrap();
    let (suite, share_s) = client.receive_answer(allowed).unwrap();
    let (private_c, share_c) = Private::answer(suite.kex, &share_s, &mut client.rng).unwrap();
    client.send(&share_c).unwrap();
    let share_c = server.receive().unwrap();
    black_box(client.derive(suite, private_c, &share_s).unwrap());
    black_box(server.derive(suite, private_s, &share_c).unwrap());
}

/// The same key agreement without anything around it: two key pairs, two secrets.
fn bare_agreement(kex: Kex, rng: &mut StdRng) {
    if kex == Kex::P256 {
        let [a, b] = [(); 2].map(|()| p256::ecdh::EphemeralSecret::generate_from_rng(rng));
        black_box(a.diffie_hellman(&b.public_key()));
        black_box(b.diffie_hellman(&a.public_key()));
    } else {
        let [a, b] = [(); 2].map(|()| x25519_dalek::EphemeralSecret::random_from_rng(rng));
        let [to_b, to_a] = [&a, &b].map(x25519_dalek::PublicKey::from);
        black_box(a.diffie_hellman(&to_a));
        black_box(b.diffie_hellman(&to_b));
    }
}

fn handshakes(rounds: usize) {
    println!("handshakes, both sides, per second     bare       ours  ratio");
    for kex in [Kex::P256, Kex::X25519] {
        let allowed = Allowed { kex: Some(kex), cipher: None };
        let (mut rng, settings) = (StdRng::seed_from_u64(1), Settings::default());
        let mut seed = 0;
        let ours = || {
            seed += 2;
            handshake(allowed, &settings, seed);
        };
        let [bare, ours, ratio] = compare(rounds, || bare_agreement(kex, &mut rng), ours);
        println!("{kex:34}  {bare:7.0}  {ours:9.0}  {ratio:5.2}");
    }
}

fn main() {
    let args = std::env::args().collect::<Vec<_>>();
    let rounds = args.iter().skip_while(|arg| *arg != "--rounds").nth(1);
    let rounds = rounds.map_or(7, |rounds| rounds.parse().unwrap());
    println!("records, MB/s          bytes       bare       ours  ratio (median of {rounds})");
    for size in [64, 1024, 16 * 1024, 64 * 1024] {
        records(rounds, size);
    }
    println!();
    handshakes(rounds);
}
