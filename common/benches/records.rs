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

use std::collections::VecDeque;
use std::hint::black_box;
use std::io;
use std::io::Read;
use std::io::Write;
use std::sync::mpsc;
use std::thread;
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
use common::crypto::suite::Allowed;
use common::crypto::suite::Cipher;
use common::crypto::suite::Kex;
use common::frame;
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
            Cipher::Gcm => {
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
                Cipher::Gcm => {
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

/// One end of a pipe between two threads.
struct Pipe {
    out: mpsc::Sender<Vec<u8>>,
    input: mpsc::Receiver<Vec<u8>>,
    rest: VecDeque<u8>,
}

impl Pipe {
    fn pair() -> (Pipe, Pipe) {
        let ((a, from_a), (b, from_b)) = (mpsc::channel(), mpsc::channel());
        let end = |out, input| Pipe { out, input, rest: VecDeque::new() };
        (end(a, from_b), end(b, from_a))
    }
}

impl Read for &mut Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            self.rest.extend(self.input.recv().map_err(io::Error::other)?);
        }
        self.rest.read(buffer)
    }
}

impl Write for &mut Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.send(bytes.to_vec()).map_err(io::Error::other)?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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
}
