use std::process::Command;

use super::*;

/// A connection whose sides are 16 numbers, and 2 numbers, before the wrap at 2^32.
fn near_wrap(capture: &Capture) {
    let local = End::new(SocketAddr::from(([192, 0, 2, 1], 4000)), 0xFFFF_FFF0);
    let remote = End::new(SocketAddr::from(([192, 0, 2, 2], 4001)), 0xFFFF_FFFE);
    let flow = Flow::new(capture, local, remote, Side::Local);
    flow.data(Side::Local, &[b'a'; 10]);
    flow.data(Side::Remote, &[b'b'; 1]);
    flow.data(Side::Local, &[b'c'; 10]);
    flow.fin(Side::Remote);
    flow.fin(Side::Local);
}

#[test]
fn sequence_numbers_wrap() {
    let (queue, segments) = channel();
    near_wrap(&Capture { queue, shared: Arc::default() });
    let numbers: Vec<_> =
        segments.iter().map(|s| (s.tcp.sequence_number, s.tcp.acknowledgment_number)).collect();
    let expected = [
        // SYN, SYN-ACK, ACK
        (4_294_967_280, 0),
        (4_294_967_294, 4_294_967_281),
        (4_294_967_281, 4_294_967_295),
        // 10 bytes of the local side
        (4_294_967_281, 4_294_967_295),
        (4_294_967_295, 4_294_967_291),
        // 1 byte of the remote side, the last before its wrap
        (4_294_967_295, 4_294_967_291),
        (4_294_967_291, 0),
        // 10 bytes of the local side, of which 5 are behind its wrap
        (4_294_967_291, 0),
        (0, 5),
        // both FINs
        (0, 5),
        (5, 1),
        (5, 1),
        (1, 6),
    ];
    assert_eq!(numbers, expected);
}

#[test]
fn a_clock_that_is_set_back_does_not_turn_the_order_round() {
    let (queue, segments) = channel();
    let capture = Capture { queue, shared: Arc::default() };
    let latest = u64::MAX - 1;
    lock(&capture.shared.progress).latest = latest;
    near_wrap(&capture);
    drop(capture);
    assert!(segments.iter().all(|segment| segment.time == latest));
}

#[test]
fn threads_get_room_in_turn() {
    let (queue, segments) = channel();
    let capture = Capture { queue, shared: Arc::default() };
    let address = SocketAddr::from(([192, 0, 2, 1], 4000));
    let [first, second] = [(); 2].map(|()| capture.flow(address, address, Side::Local));
    first.fin(Side::Local);
    let before = segments.try_iter().count();
    let until_waiting = |threads| {
        let start = Instant::now();
        while lock(&capture.shared.progress).waiting.len() != threads {
            assert!(start.elapsed() < PATIENCE, "{threads} threads should be waiting");
            thread::yield_now();
        }
    };
    // Full, as if all of it still had to be written.
    let fill = || {
        let mut progress = lock(&capture.shared.progress);
        (progress.accepted, progress.written) = (QUEUE, 0);
    };
    fill();
    thread::scope(|scope| {
        scope.spawn(|| first.data(Side::Local, &[0; 3000]));
        until_waiting(1);
        // Enough for the second, who must not overtake the first.
        capture.shared.wrote(2000);
        scope.spawn(|| second.data(Side::Local, &[0]));
        until_waiting(2);
        let start = Instant::now();
        capture.shared.wrote(QUEUE - 2000);
        // The first writes nothing after its FIN, but lets the second know all the same.
        until_waiting(0);
        assert!(start.elapsed() < PATIENCE);
    });
    assert_eq!((before, segments.try_iter().count()), (8, 2));
    assert!(!lock(&capture.shared.progress).off);

    // Nor does anybody go on waiting when the capture is switched off meanwhile.
    fill();
    let start = thread::scope(|scope| {
        scope.spawn(|| second.data(Side::Local, &[0]));
        until_waiting(1);
        let start = Instant::now();
        capture.shared.switch_off(&"a test");
        start
    });
    assert!(start.elapsed() < PATIENCE / 2);
    assert_eq!(segments.try_iter().count(), 0);
}

#[test]
fn tshark_follows_across_the_wrap() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let capture = Capture::create(file.path()).unwrap();
    near_wrap(&capture);
    capture.finish();
    let tshark = Command::new("tshark")
        .args(["-q", "-z", "expert,note", "-z", "follow,tcp,ascii,0", "-r"])
        .arg(file.path())
        .output();
    if tshark.is_err() && std::env::var_os("CI").is_none() {
        println!("left out: tshark is not installed");
        return;
    }
    let shown = String::from_utf8(tshark.unwrap().stdout).unwrap();
    for payload in ["10\naaaaaaaaaa\n", "\t1\nb\n", "10\ncccccccccc\n"] {
        assert!(shown.contains(payload), "{shown}");
    }
    // The notes on the two FINs, and nothing else (tests/pcap.rs says why they are allowed).
    assert!(shown.contains("Notes (2)"), "{shown}");
    assert!(!shown.contains("Warns") && !shown.contains("Errors"), "{shown}");
}
