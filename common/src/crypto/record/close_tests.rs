use rand::SeedableRng;

use super::*;

/// A stream that takes so many bytes, and then nothing: each write is a tick.
struct Full {
    room: usize,
    ticks: usize,
}

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.ticks += 1;
        assert!(self.ticks < 1_000, "it is not given up");
        let took = bytes.len().min(self.room).min(1);
        self.room -= took;
        if took == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(took) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn close(room: usize) -> io::Result<usize> {
    let mut frames = Writer::new(Full { room, ticks: 0 }, "alice");
    let key = Secret::from([1; 32]);
    let mut records = Encryptor::new(Cipher::Gcm, &key, StdRng::seed_from_u64(1));
    records.close(&mut frames).map(|()| frames.stream().ticks)
}

#[test]
fn the_end_of_a_direction_is_given_up_where_nobody_takes_it() {
    // Length, kind, the kind within, tag.
    let whole = 4 + 1 + 1 + TAG;
    assert_eq!(close(whole).unwrap(), whole, "byte by byte");
    for room in 0..whole {
        assert_eq!(close(room).unwrap_err().kind(), io::ErrorKind::TimedOut, "{room}");
    }
}
