//! More than four gigabytes: an offset has 64 bits.

use std::fs::File;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;

use super::Place;
use super::client;
use super::pattern;
use super::wait_for;
use crate::Stage;
use crate::process::ServerProgram;

/// Bytes at the end of the file, the only ones that are not zero.
const LAST: usize = 70_000;
/// More than 32 bits count.
const SIZE: u64 = (1 << 32) + 70_000;

/// A file of holes with something at its end, from process to process; where it cannot be received as
/// a file of holes it takes its bytes on the disk.
pub fn more_than_four_gigabytes<S: Stage>() {
    let (server, place) = (ServerProgram::start::<S>(&[]), Place::default());
    let mut file = File::create(place.path("large")).unwrap();
    file.seek(SeekFrom::Start(1 << 32)).unwrap();
    file.write_all(&pattern(LAST)).unwrap();
    drop(file);
    let mut bob = client::<S>(server.address, &place, "bob");
    let mut alice = client::<S>(server.address, &place, "alice");
    bob.expect(&["* alice joined"]);
    alice.type_line(&format!("@send {}", place.text("large")));
    bob.expect(&[&format!("* receiving large ({SIZE} bytes) from alice; @cancel 1 stops it")]);
    // This takes longer than anything else here.
    let began = std::time::Instant::now();
    while !place.path("bob").join("large").exists() {
        assert!(began.elapsed() < 30 * crate::PATIENCE, "it does not come");
        std::thread::park_timeout(std::time::Duration::from_millis(50));
    }
    bob.expect_prefix(&format!("* received large ({SIZE} bytes) from alice -> "));
    wait_for(&mut alice, "* sent large to all");
    let mut file = File::open(place.path("bob").join("large")).unwrap();
    assert_eq!(file.metadata().unwrap().len(), SIZE);
    let mut last = vec![1; 1000 + LAST];
    file.seek(SeekFrom::End(-71_000)).unwrap();
    file.read_exact(&mut last).unwrap();
    assert!(last[..1000].iter().all(|byte| *byte == 0));
    assert!(last[1000..] == pattern(LAST));
}
