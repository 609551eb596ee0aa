//! Records cost no allocation each, and a key as text leaves no copies behind.

// clippy.toml lets tests do so, but not the functions that tests share.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::io::Read;
use std::io::Write;
use std::rc::Rc;

use allocation_counter::AllocationInfo;
use allocation_counter::measure;
use common::crypto;
use common::crypto::Decryptor;
use common::crypto::Encryptor;
use common::crypto::Secret;
use common::crypto::suite::Cipher;
use common::frame;
use common::frame::Reader;
use common::frame::Writer;
use rand::SeedableRng;
use rand::rngs::StdRng;

const KEY: [u8; 32] = [7; 32];
const RECORDS: usize = 40;

/// What was written and not yet read, with room for more than a frame.
#[derive(Clone)]
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

/// What [`RECORDS`] records that hold `payload` cost both sides, after as many that are not counted.
fn cost(cipher: Cipher, payload: &[u8]) -> AllocationInfo {
    let room = VecDeque::with_capacity(2 * (frame::HEADER + frame::MAX_LENGTH));
    let pipe = Pipe(Rc::new(RefCell::new(room)));
    let mut writer = Writer::new(pipe.clone(), "alice");
    let mut reader = Reader::new(pipe, "alice");
    let key = Secret::from(KEY);
    let mut encryptor = Encryptor::new(cipher, &key, StdRng::seed_from_u64(1));
    let mut decryptor = Decryptor::new(cipher, &key);
    let mut send_and_receive = || {
        for _ in 0..RECORDS {
            encryptor.push(&mut writer, payload).unwrap();
            writer.write_all().unwrap();
            let record = reader.read().unwrap().unwrap();
            let frame = decryptor.open(record).unwrap().unwrap();
            assert_eq!(1 + frame.body.len(), payload.len());
        }
    };
    send_and_receive();
    measure(send_and_receive)
}

#[test]
fn a_record_costs_no_allocation() {
    for cipher in [Cipher::Cfb, Cipher::Gcm] {
        for length in [64, 16 * 1024, 64 * 1024] {
            let payload = vec![frame::MESSAGE; length];
            let cost = cost(cipher, &payload);
            assert_eq!(cost.count_total, 0, "{cipher} {length}: {cost:?}");
        }
    }
}

#[test]
fn allocations_are_counted() {
    let seen = measure(|| drop(vec![0_u8; 100]));
    assert_eq!((seen.count_total, seen.bytes_total), (1, 100));
}

#[test]
fn a_key_as_text_is_written_in_one_piece() {
    let mut text = String::new();
    let cost = measure(|| text = crypto::hex(&KEY));
    // What a string that grows leaves behind is never wiped.
    assert_eq!(cost.count_total, 1, "{cost:?}");
    assert_eq!(text, "07".repeat(32));
}
