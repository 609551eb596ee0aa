//! The capture file, as Wireshark's tshark and a reader of pcapng written here see it, and a
//! capture that cannot be written.
//!
//! Without tshark its part is left out, with a line that says so; in CI (`CI` is set) that fails.

// clippy.toml lets tests do so, but not the functions that tests share.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::fs::File;
use std::io;
use std::io::BufWriter;
use std::io::ErrorKind;
use std::io::PipeWriter;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::Once;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::Sender;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use common::pcap::Capture;
use common::pcap::Flow;
use common::pcap::Side;
use common::pcap::Side::Local;
use common::pcap::Side::Remote;
use tempfile::NamedTempFile;

const LOCAL_PORT: u16 = 4000;
const REMOTE_PORT: u16 = 4001;

/// Wireshark has a note for the first and one for the second FIN of every connection, however
/// orderly; they say who closed. (That it also has items of the lowest severity, "chat", for each
/// SYN and FIN is why nothing below "note" is asked for.)
const CLOSED: [&str; 2] = [
    "1 This frame initiates the connection closing",
    "1 This frame undergoes the connection closing",
];
/// A reset is a warning in itself: the connection was aborted.
const RESET: &str = "1 Connection reset (RST)";

#[test]
fn the_peer_opens_and_closes_first() {
    let file = recorded(|capture| {
        let flow = v4(capture, Remote);
        flow.data(Remote, b"hello");
        flow.data(Local, b"hi, there");
        flow.data(Local, b"");
        flow.fin(Remote);
        flow.fin(Remote);
        flow.data(Remote, b"too late");
        flow.data(Local, b"bye");
        flow.fin(Local);
        flow.reset(Local);
    });
    let Some(rows) = rows(&file, "ip") else { return };
    let expected = [
        "192.0.2.2 4001 S seq 0 ack 0 len 0",
        "192.0.2.1 4000 AS seq 0 ack 1 len 0",
        "192.0.2.2 4001 A seq 1 ack 1 len 0",
        "192.0.2.2 4001 AP seq 1 ack 1 len 5",
        "192.0.2.1 4000 A seq 1 ack 6 len 0",
        "192.0.2.1 4000 AP seq 1 ack 6 len 9",
        "192.0.2.2 4001 A seq 6 ack 10 len 0",
        "192.0.2.2 4001 AF seq 6 ack 10 len 0",
        "192.0.2.1 4000 A seq 10 ack 7 len 0",
        "192.0.2.1 4000 AP seq 10 ack 7 len 3",
        "192.0.2.2 4001 A seq 7 ack 13 len 0",
        "192.0.2.1 4000 AF seq 13 ack 7 len 0",
        "192.0.2.2 4001 A seq 7 ack 14 len 0",
    ];
    assert_eq!(rows, expected);
    assert_eq!(expert(&file, "").unwrap(), CLOSED);
    // 1 is "good" in Wireshark; 2 would be "not checked".
    for field in ["ip.checksum.status", "tcp.checksum.status"] {
        assert_eq!(fields(&file, &[field]).unwrap(), vec![vec!["1"]; 13], "{field}");
    }
    let names = ["tcp.options.mss_val", "tcp.options.wscale.shift", "tcp.window_size"];
    let windows = fields(&file, &names).unwrap();
    assert_eq!(windows[..2], vec![vec!["65495", "7", "65535"]; 2]);
    // 65 535 · 2^7
    assert_eq!(windows[2..], vec![vec!["", "", "8388480"]; 11]);
}

#[test]
fn over_ipv6_this_side_opens_and_closes_first() {
    let file = recorded(|capture| {
        let local = SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], LOCAL_PORT));
        let remote = SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 2], REMOTE_PORT));
        let flow = capture.flow(local, remote, Local);
        flow.data(Local, b"hello");
        flow.fin(Local);
        flow.data(Local, b"too late");
        flow.data(Remote, b"and you?");
        flow.fin(Remote);
    });
    let Some(rows) = rows(&file, "ipv6") else { return };
    let expected = [
        "2001:db8::1 4000 S seq 0 ack 0 len 0",
        "2001:db8::2 4001 AS seq 0 ack 1 len 0",
        "2001:db8::1 4000 A seq 1 ack 1 len 0",
        "2001:db8::1 4000 AP seq 1 ack 1 len 5",
        "2001:db8::2 4001 A seq 1 ack 6 len 0",
        "2001:db8::1 4000 AF seq 6 ack 1 len 0",
        "2001:db8::2 4001 A seq 1 ack 7 len 0",
        "2001:db8::2 4001 AP seq 1 ack 7 len 8",
        "2001:db8::1 4000 A seq 7 ack 9 len 0",
        "2001:db8::2 4001 AF seq 9 ack 7 len 0",
        "2001:db8::1 4000 A seq 7 ack 10 len 0",
    ];
    assert_eq!(rows, expected);
    assert_eq!(expert(&file, "").unwrap(), CLOSED);
    assert_eq!(fields(&file, &["tcp.checksum.status"]).unwrap(), vec![vec!["1"]; 11]);
}

#[test]
fn what_was_inside_is_a_conversation_of_its_own_with_the_same_end() {
    let ends = [Local, Remote].map(|end| {
        recorded(|capture| {
            let local = SocketAddr::from(([198, 51, 100, 1], LOCAL_PORT));
            let remote = SocketAddr::from(([198, 51, 100, 2], REMOTE_PORT));
            let flow = capture.flow(local, remote, Local);
            flow.inside(Local, b"too early");
            flow.show_keys("KEY one\nKEY two\n");
            flow.show_plaintext();
            flow.show_plaintext();
            flow.inside(Local, b"\x10{}");
            flow.data(Local, b"\0\0\0\x01\x21");
            flow.inside(Remote, b"\x12");
            flow.fin(Local);
            flow.inside(Local, b"too late");
            match end {
                Local => flow.fin(Remote),
                Remote => flow.reset(Remote),
            }
        })
    });
    let names = ["frame.interface_name", "tcp.stream", "frame.comment"];
    for (file, last) in ends.iter().zip(["AF", "AR"]) {
        let Some(rows) = rows(file, "ip") else { return };
        let mut expected = vec![
            "wire 198.51.100.1 4000 S seq 0 ack 0 len 0".to_owned(),
            "wire 198.51.100.2 4001 AS seq 0 ack 1 len 0".to_owned(),
            "wire 198.51.100.1 4000 A seq 1 ack 1 len 0".to_owned(),
            // The keys wait for a packet on the wire.
            "plaintext 198.51.100.1 4000 S seq 0 ack 0 len 0".to_owned(),
            "plaintext 192.0.2.1 4001 AS seq 0 ack 1 len 0".to_owned(),
            "plaintext 198.51.100.1 4000 A seq 1 ack 1 len 0".to_owned(),
            "plaintext 198.51.100.1 4000 AP seq 1 ack 1 len 7".to_owned(),
            "plaintext 192.0.2.1 4001 A seq 1 ack 8 len 0".to_owned(),
            "wire KEY one KEY two 198.51.100.1 4000 AP seq 1 ack 1 len 5".to_owned(),
            "wire 198.51.100.2 4001 A seq 1 ack 6 len 0".to_owned(),
            "plaintext 192.0.2.1 4001 AP seq 1 ack 8 len 5".to_owned(),
            "plaintext 198.51.100.1 4000 A seq 8 ack 6 len 0".to_owned(),
            "wire 198.51.100.1 4000 AF seq 6 ack 1 len 0".to_owned(),
            "wire 198.51.100.2 4001 A seq 1 ack 7 len 0".to_owned(),
            "plaintext 198.51.100.1 4000 AF seq 8 ack 6 len 0".to_owned(),
            "plaintext 192.0.2.1 4001 A seq 6 ack 9 len 0".to_owned(),
        ];
        for (side, seq, ack) in [("wire 198.51.100.2", 1, 7), ("plaintext 192.0.2.1", 6, 9)] {
            expected.push(format!("{side} 4001 {last} seq {seq} ack {ack} len 0"));
            if last == "AF" {
                let interface = side.split(' ').next().unwrap();
                let (seq, ack) = (ack, seq + 1);
                expected.push(format!("{interface} 198.51.100.1 4000 A seq {seq} ack {ack} len 0"));
            }
        }
        let more = fields(file, &names).unwrap();
        let rows = rows.iter().zip(&more).map(|(row, more)| {
            let keys = more[2].split(',').filter(|comment| comment.starts_with("KEY "));
            let words = [more[0].as_str()].into_iter().chain(keys).collect::<Vec<_>>();
            assert_eq!(more[1], if words[0] == "wire" { "0" } else { "1" });
            format!("{} {row}", words.join(" "))
        });
        assert_eq!(rows.collect::<Vec<_>>(), expected);
    }
}

#[test]
fn a_record_that_comes_with_the_handshake_is_behind_its_keys() {
    const STEP: &[u8] = b"\0\0\0\x04\x20abc";
    const RECORD: &[u8] = b"\0\0\0\x03\x21de";
    let both = [STEP, RECORD].concat();
    let file = recorded(|capture| {
        let flow = v4(capture, Remote);
        flow.data(Remote, &both);
        flow.show_keys("KEY one");
        flow.show_plaintext();
        flow.keys_are_known();
        flow.data(Remote, &both);
        // Where nobody ever knows the keys, it is behind nothing but what came before it.
        for end in [
            // That it is gone is enough.
            |_: &Flow| {},
            |flow: &Flow| flow.data(Local, b"no"),
            |flow: &Flow| flow.fin(Local),
            |flow: &Flow| flow.reset(Local),
        ] {
            let flow = v4(capture, Remote);
            flow.data(Remote, &both);
            end(&flow);
        }
    });
    let names = ["frame.interface_name", "tcp.len", "tcp.flags.str", "frame.comment"];
    let Some(rows) = fields(&file, &names) else { return };
    let rows = rows.iter().map(|row| {
        let key = if row[3].contains("KEY one") { " with keys" } else { "" };
        let flags = row[2].chars().filter(char::is_ascii_alphabetic).collect::<String>();
        format!("{} {flags} {}{key}", row[0], row[1])
    });
    let opened = |interface: &str| ["S", "AS", "A"].map(|flags| format!("{interface} {flags} 0"));
    let sent = |length: usize, key: &str| [format!("wire AP {length}{key}"), "wire A 0".to_owned()];
    let (step, record) = (STEP.len(), RECORD.len());
    let both = step + record;
    let mut expected = Vec::new();
    expected.extend(opened("wire"));
    expected.extend(sent(step, ""));
    expected.extend(opened("plaintext"));
    expected.extend(sent(record, " with keys"));
    expected.extend(sent(both, ""));
    for end in
        [vec![], vec!["wire AP 2", "wire A 0"], vec!["wire AF 0", "wire A 0"], vec!["wire AR 0"]]
    {
        expected.extend(opened("wire"));
        expected.extend(sent(step, ""));
        expected.extend(sent(record, ""));
        expected.extend(end.into_iter().map(str::to_owned));
    }
    assert_eq!(rows.collect::<Vec<_>>(), expected);
}

#[test]
fn a_reproducible_capture_has_the_time_that_it_is_given_and_says_what_it_is() {
    let captured = [(); 2].map(|()| {
        let file = NamedTempFile::new().unwrap();
        let seconds = AtomicU64::new(1_000_000_000);
        let clock = move || UNIX_EPOCH + Duration::from_secs(seconds.fetch_add(1, Relaxed));
        let capture = Capture::reproducible(file.reopen().unwrap(), "not real", clock).unwrap();
        let flow = v4(&capture, Local);
        flow.data(Local, b"hello");
        capture.finish();
        file
    });
    let [first, second] = captured.each_ref().map(|file| fs::read(file.path()).unwrap());
    assert!(first == second);
    assert!(first.windows(8).any(|window| window == b"not real"));
    let names = ["frame.time_epoch", "tcp.seq_raw", "tcp.ack_raw"];
    let Some(rows) = fields(&captured[0], &names) else { return };
    // Time goes on with each call; the numbers are the ports, shifted by 16 bits.
    let [first, second] = ["1000000000.000000000", "1000000001.000000000"];
    let [local, remote] = [262_144_000_u32, 262_209_536];
    let expected = [
        (first, local, 0),
        (first, remote, local + 1),
        (first, local + 1, remote + 1),
        (second, local + 1, remote + 1),
        (second, remote + 1, local + 6),
    ];
    let expected =
        expected.map(|(time, seq, ack)| [time.to_owned(), seq.to_string(), ack.to_string()]);
    assert_eq!(rows, expected);
}

#[test]
fn nothing_follows_a_reset() {
    let file = recorded(|capture| {
        let flow = v4(capture, Local);
        flow.data(Local, b"hello");
        flow.fin(Local);
        flow.reset(Remote);
        flow.reset(Local);
        flow.data(Remote, b"too late");
        flow.fin(Remote);
    });
    let Some(rows) = rows(&file, "ip") else { return };
    let expected = [
        "192.0.2.1 4000 S seq 0 ack 0 len 0",
        "192.0.2.2 4001 AS seq 0 ack 1 len 0",
        "192.0.2.1 4000 A seq 1 ack 1 len 0",
        "192.0.2.1 4000 AP seq 1 ack 1 len 5",
        "192.0.2.2 4001 A seq 1 ack 6 len 0",
        "192.0.2.1 4000 AF seq 6 ack 1 len 0",
        "192.0.2.2 4001 A seq 1 ack 7 len 0",
        "192.0.2.2 4001 AR seq 1 ack 7 len 0",
    ];
    assert_eq!(rows, expected);
    assert_eq!(expert(&file, "").unwrap(), [RESET, CLOSED[0]]);
}

#[test]
fn an_ipv4_address_in_the_form_of_ipv6_is_written_as_ipv4() {
    let file = recorded(|capture| {
        let [local, remote] = ["[::ffff:192.0.2.1]:4000", "[::ffff:192.0.2.2]:4001"];
        capture.flow(local.parse().unwrap(), remote.parse().unwrap(), Local);
        // Not a pair that a socket could have, but nor must it get lost.
        capture.flow(local.parse().unwrap(), "[2001:db8::2]:4001".parse().unwrap(), Local);
    });
    let Some(seen) = fields(&file, &["ip.src", "ip.dst", "ipv6.src", "ipv6.dst"]) else { return };
    assert_eq!(seen[0], ["192.0.2.1", "192.0.2.2", "", ""]);
    assert_eq!(seen[3], ["", "", "::ffff:192.0.2.1", "2001:db8::2"]);
    assert_eq!(seen.len(), 6);
    assert!(expert(&file, "").unwrap().is_empty());
}

#[test]
fn a_large_payload_becomes_segments_that_fit_an_ip_packet() {
    let payload = noise(7, 200_000);
    let file = recorded(|capture| {
        let flow = v4(capture, Local);
        flow.data(Local, &payload[..65_536]);
        flow.data(Remote, &payload);
        flow.data(Remote, &payload[..65_495]);
        let v6 = ["[2001:db8::1]:4000", "[2001:db8::2]:4001"].map(|a| a.parse().unwrap());
        capture.flow(v6[0], v6[1], Local).data(Local, &payload);
    });
    // 65 535 bytes, the most an IPv4 packet has, less 20 for each header.
    let lengths =
        [65_495, 41, 65_495, 65_495, 65_495, 3_515, 65_495, 65_495, 65_495, 65_495, 3_515];
    let packets = packets(&fs::read(file.path()).unwrap());
    let with_payload: Vec<_> =
        packets.iter().map(|(_, p)| payload_length(p)).filter(|&n| n > 0).collect();
    assert_eq!(with_payload, lengths);

    let Some(sent) = sent(&file) else { return };
    let [v4_local, v4_remote] = [(0, LOCAL_PORT), (0, REMOTE_PORT)];
    assert!(sent[&v4_local] == payload[..65_536], "what the local side sent");
    assert!(sent[&v4_remote] == [&payload, &payload[..65_495]].concat(), "what the peer sent");
    assert!(sent[&(1, LOCAL_PORT)] == payload, "what was sent over IPv6");
    // One PSH for each of the four writes: at 65 536, 200 000, 65 495 and 200 000 bytes.
    let pushes: Vec<bool> = rows_of_data(&file).iter().map(|row| row.contains(" AP ")).collect();
    assert_eq!(
        pushes,
        [false, true, false, false, false, true, true, false, false, false, true].as_slice()
    );
    assert!(expert(&file, "").unwrap().is_empty());
}

#[test]
fn many_flows_on_many_threads_share_a_file() {
    const FLOWS: u16 = 8;
    const WRITES: usize = 40;
    let port = |flow: u16| REMOTE_PORT + flow;
    let before = nanoseconds(SystemTime::now());
    let file = recorded(|capture| {
        thread::scope(|scope| {
            for number in 0..FLOWS {
                let capture = capture.clone();
                scope.spawn(move || {
                    let flow = capture.flow(
                        v4_local(),
                        SocketAddr::from(([192, 0, 2, 2], port(number))),
                        Remote,
                    );
                    let speak = |side, seed| {
                        // Chunks of 1, 2, 3… bytes.
                        let mut rest = &noise(seed, WRITES * (WRITES + 1) / 2)[..];
                        for length in 1..=WRITES {
                            let (chunk, next) = rest.split_at(length);
                            flow.data(side, chunk);
                            rest = next;
                        }
                        flow.fin(side);
                    };
                    thread::scope(|scope| {
                        scope.spawn(|| speak(Local, u64::from(number)));
                        scope.spawn(|| speak(Remote, u64::from(number + FLOWS)));
                    });
                });
            }
        });
    });
    let packets = packets(&fs::read(file.path()).unwrap());
    // Each flow: 3 to open, a segment and its acknowledgement for each write, the same to close.
    assert_eq!(packets.len(), usize::from(FLOWS) * (3 + 2 * 2 * WRITES + 4));
    let times: Vec<u64> = packets.iter().map(|(time, _)| *time).collect();
    assert!(times.is_sorted());
    assert!(before <= times[0] && times[times.len() - 1] <= nanoseconds(SystemTime::now()));

    let Some(streams) =
        fields(&file, &["tcp.stream", "tcp.srcport", "tcp.flags.syn", "tcp.flags.ack"])
    else {
        return;
    };
    let sent = sent(&file).unwrap();
    for number in 0..FLOWS {
        let opening = [&port(number).to_string(), "1", "0"];
        let stream = &streams.iter().find(|row| row[1..] == opening).unwrap()[0];
        let index = stream.parse().unwrap();
        let length = WRITES * (WRITES + 1) / 2;
        assert_eq!(sent[&(index, LOCAL_PORT)], noise(u64::from(number), length));
        assert_eq!(sent[&(index, port(number))], noise(u64::from(number + FLOWS), length));
        assert_eq!(expert(&file, &format!(",tcp.stream=={stream}")).unwrap(), CLOSED);
    }
    let all = CLOSED.map(|note| note.replacen('1', "8", 1));
    assert_eq!(expert(&file, "").unwrap(), all);
}

#[test]
fn the_file_says_that_the_headers_are_synthesised() {
    let file = recorded(|capture| drop(v4(capture, Local)));
    let Some(seen) = fields(&file, &["frame.interface_name", "frame.interface_description"]) else {
        return;
    };
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[0][0], "wire");
    assert!(seen[0][1].contains("Only the payload is real"), "{}", seen[0][1]);
    assert!(seen[0][1].contains("synthesised"), "{}", seen[0][1]);
}

#[test]
fn an_existing_file_is_overwritten() {
    let file = NamedTempFile::new().unwrap();
    fs::write(file.path(), [0xAA; 100_000]).unwrap();
    let capture = Capture::create(file.path()).unwrap();
    drop(v4(&capture, Local));
    capture.finish();
    assert_eq!(packets(&fs::read(file.path()).unwrap()).len(), 3);
}

#[test]
fn a_file_that_cannot_be_created_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let error = Capture::create(&folder.path().join("absent").join("file")).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

/// A buffer of a megabyte would hold all of it back.
#[test]
fn each_block_is_flushed() {
    let file = NamedTempFile::new().unwrap();
    let out = BufWriter::with_capacity(1 << 20, File::create(file.path()).unwrap());
    let capture = Capture::to(out).unwrap();
    capture.finish();
    assert!(packets(&fs::read(file.path()).unwrap()).is_empty());
    let flow = v4(&capture, Local);
    flow.data(Local, b"hello");
    capture.finish();
    assert_eq!(packets(&fs::read(file.path()).unwrap()).len(), 5);
}

#[test]
fn the_file_is_complete_and_closed_when_nobody_uses_the_capture_any_more() {
    let (mut reader, writer) = io::pipe().unwrap();
    let capture = Capture::to(writer).unwrap();
    let flow = v4(&capture, Local);
    drop(capture);
    flow.data(Local, &noise(1, 20_000));
    drop(flow);
    let mut file = Vec::new();
    reader.read_to_end(&mut file).unwrap();
    assert_eq!(packets(&file).len(), 5);
}

/// More than the queue holds, and more than a pipe holds: the queue waits for its reader.
#[test]
fn a_reader_that_reads_on_gets_everything() {
    const WRITES: usize = 400;
    let (mut reader, writer) = io::pipe().unwrap();
    let capture = Capture::to(writer).unwrap();
    let flow = v4(&capture, Local);
    drop(capture);
    let chat = thread::spawn(move || {
        for _ in 0..WRITES {
            flow.data(Local, &[0; 65_000]);
        }
        // 161 segments, together more than the queue holds.
        flow.data(Local, &vec![0; 10 * 1024 * 1024]);
    });
    let mut file = Vec::new();
    reader.read_to_end(&mut file).unwrap();
    chat.join().unwrap();
    assert_eq!(packets(&file).len(), 3 + 2 * WRITES + 2 * 161);
}

/// With a full queue all the time: whoever does not get its turn in time switches the capture off.
#[test]
fn threads_that_wait_for_room_are_served_in_turn() {
    const THREADS: u64 = 100;
    const WRITES: u64 = 40;
    let (mut reader, writer) = io::pipe().unwrap();
    let capture = Capture::to(writer).unwrap();
    let chat = thread::spawn(move || {
        thread::scope(|scope| {
            for _ in 0..THREADS {
                let flow = v4(&capture, Local);
                scope.spawn(move || (0..WRITES).for_each(|_| flow.data(Local, &[0; 60_000])));
            }
        });
    });
    let length = io::copy(&mut reader, &mut io::sink()).unwrap();
    chat.join().unwrap();
    assert!(length > THREADS * WRITES * 60_000, "{length}");
}

#[test]
fn a_broken_pipe_switches_the_capture_off_once() {
    log_warnings();
    let (reader, writer) = io::pipe().unwrap();
    let capture = Capture::to(Named::new(writer, "the pipe of this test broke").0).unwrap();
    let flow = v4(&capture, Local);
    capture.finish();
    assert_eq!(warnings("the pipe of this test broke", 0), 0);
    drop(reader);
    flow.data(Local, b"this finds the pipe broken");
    capture.finish();
    assert_eq!(warnings("the pipe of this test broke", 1), 1);

    // Far more than the queue holds.
    let start = Instant::now();
    let another = v4(&capture, Remote);
    for flow in [&flow, &another] {
        for _ in 0..100 {
            flow.data(Local, &[0; 1 << 20]);
        }
        flow.fin(Local);
        flow.reset(Remote);
    }
    capture.finish();
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    assert_eq!(warnings("the pipe of this test broke", 1), 1);
}

#[test]
fn a_reader_that_stops_reading_does_not_stop_the_chat() {
    log_warnings();
    let (mut reader, writer) = io::pipe().unwrap();
    let capture = Capture::to(writer).unwrap();
    let flow = v4(&capture, Local);
    // Both sides of one flow, and another flow, and each more than the queue holds.
    let speak = |flow: &Flow, side| {
        let mut longest = Duration::ZERO;
        for _ in 0..200 {
            let start = Instant::now();
            flow.data(side, &[0; 64 * 1024]);
            longest = longest.max(start.elapsed());
        }
        longest
    };
    let another = v4(&capture, Remote);
    let start = Instant::now();
    let longest = thread::scope(|scope| {
        let speakers = [(&flow, Local), (&flow, Remote), (&flow, Remote), (&another, Local)];
        let threads = speakers.map(|(flow, side)| scope.spawn(move || speak(flow, side)));
        threads.map(|thread| thread.join().unwrap()).into_iter().max().unwrap()
    });
    // Somebody had to wait for as long as is allowed, nobody for longer, and then nobody again.
    assert!((PATIENCE..PATIENCE * 2).contains(&longest), "{longest:?}");
    assert!(start.elapsed() < PATIENCE * 2, "{:?}", start.elapsed());
    capture.finish();
    assert!(start.elapsed() < PATIENCE * 2, "{:?}", start.elapsed());
    assert_eq!(warnings("its reader is too slow", 1), 1);

    // The reader wakes up: what it finds ends with a whole packet, well before what was sent.
    let mut file = Vec::new();
    reader.read_to_end(&mut file).unwrap();
    let read = packets(&file).len();
    assert!((1..4 * 200).contains(&read), "{read}");

    // Another, which does not wake up but goes away: that is no reason for a second warning.
    let (reader, writer) = io::pipe().unwrap();
    let (writer, gone) = Named::new(writer, "the pipe that was stuck broke");
    let capture = Capture::to(writer).unwrap();
    speak(&v4(&capture, Local), Local);
    drop(reader);
    gone.recv().unwrap_err();
    assert_eq!(warnings("the pipe that was stuck broke", 0), 0);
    assert_eq!(warnings("its reader is too slow", 2), 2);
}

#[test]
fn finishing_does_not_wait_for_ever() {
    let (_reader, writer) = io::pipe().unwrap();
    let capture = Capture::to(writer).unwrap();
    // More than a pipe holds, less than the queue.
    v4(&capture, Local).data(Local, &[0; 1 << 20]);
    let start = Instant::now();
    capture.finish();
    let waited = start.elapsed();
    assert!((PATIENCE..PATIENCE * 2).contains(&waited), "{waited:?}");
}

/// The longest wait that common::pcap promises.
const PATIENCE: Duration = Duration::from_secs(1);

fn v4_local() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], LOCAL_PORT))
}

fn v4(capture: &Capture, opener: Side) -> Flow {
    capture.flow(v4_local(), SocketAddr::from(([192, 0, 2, 2], REMOTE_PORT)), opener)
}

fn recorded(chat: impl FnOnce(&Capture)) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    let capture = Capture::create(file.path()).unwrap();
    chat(&capture);
    capture.finish();
    file
}

/// Bytes without a pattern (xorshift), so that none can be taken for another.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed + 0x9E37_79B9_7F4A_7C15;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

fn nanoseconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap().as_nanos().try_into().unwrap()
}

/// Time stamp and bytes of each packet; the file must be whole blocks, of the kinds we know.
fn packets(file: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let (mut at, mut packets, mut kinds) = (0, Vec::new(), Vec::new());
    while at < file.len() {
        let length = word(at + 4) as usize;
        assert_eq!(length % 4, 0);
        assert_eq!(word(at + length - 4) as usize, length, "the length at the end of a block");
        kinds.push(word(at));
        if word(at) == 6 {
            let time = u64::from(word(at + 12)) << 32 | u64::from(word(at + 16));
            let bytes = &file[at + 28..][..word(at + 20) as usize];
            packets.push((time, bytes.to_vec()));
        }
        at += length;
    }
    assert_eq!(kinds[..2], [0x0A0D_0D0A, 1]);
    assert!(kinds[2..].iter().all(|&kind| kind == 6));
    packets
}

/// Of a TCP packet: its bytes without the header of IP and the one of TCP.
fn payload_length(packet: &[u8]) -> usize {
    let ip = if packet[0] >> 4 == 4 { 20 } else { 40 };
    let tcp = usize::from(packet[ip + 12] >> 4) * 4;
    packet.len() - ip - tcp
}

/// What tshark prints about `file`; `None` when there is no tshark.
fn tshark(file: &NamedTempFile, arguments: &[&str]) -> Option<String> {
    let output = Command::new("tshark")
        .args(["-n", "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-r"])
        .arg(file.path())
        .args(arguments)
        .output();
    if output.is_err() && env::var_os("CI").is_none() {
        println!("left out: tshark is not installed");
        return None;
    }
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

fn fields(file: &NamedTempFile, names: &[&str]) -> Option<Vec<Vec<String>>> {
    let mut arguments = vec!["-T", "fields"];
    names.iter().for_each(|name| arguments.extend(["-e", name]));
    let shown = tshark(file, &arguments)?;
    Some(shown.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect())
}

/// Each packet as `source port flags seq ack len`, numbers counted from the start of the flow.
fn rows(file: &NamedTempFile, ip: &str) -> Option<Vec<String>> {
    let source = format!("{ip}.src");
    let names = [&source, "tcp.srcport", "tcp.flags", "tcp.seq", "tcp.ack", "tcp.len"];
    let row = |row: &Vec<String>| {
        let bits = u16::from_str_radix(row[2].trim_start_matches("0x"), 16).unwrap();
        let letters = [(16, 'A'), (8, 'P'), (4, 'R'), (2, 'S'), (1, 'F')];
        let flags: String =
            letters.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, c)| c).collect();
        assert_eq!(bits & !31, 0, "flags of other purposes");
        format!("{} {} {flags} seq {} ack {} len {}", row[0], row[1], row[3], row[4], row[5])
    };
    Some(fields(file, &names)?.iter().map(row).collect())
}

fn rows_of_data(file: &NamedTempFile) -> Vec<String> {
    let mut rows = rows(file, "ip").unwrap();
    rows.retain(|row| !row.ends_with(" len 0"));
    rows
}

/// What each side sent, by number of the stream and source port.
fn sent(file: &NamedTempFile) -> Option<BTreeMap<(u32, u16), Vec<u8>>> {
    let mut sent = BTreeMap::<_, Vec<u8>>::new();
    for row in fields(file, &["tcp.stream", "tcp.srcport", "tcp.payload"])? {
        let digits: Vec<u8> = row[2].bytes().filter(|&b| b != b':').collect();
        let bytes = digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap());
        sent.entry((row[0].parse().unwrap(), row[1].parse().unwrap())).or_default().extend(bytes);
    }
    Some(sent)
}

/// Everything tshark remarks from severity "note" upwards, the gravest first: how often, what.
fn expert(file: &NamedTempFile, filter: &str) -> Option<Vec<String>> {
    let shown = tshark(file, &["-q", "-z", &format!("expert,note{filter}")])?;
    let remark = |line: &str| {
        // Frequency, group, protocol, summary.
        let mut columns = line.split_whitespace();
        let frequency: u32 = columns.next()?.parse().ok()?;
        let summary: Vec<_> = columns.skip(2).collect();
        Some(format!("{frequency} {}", summary.join(" ")))
    };
    Some(shown.lines().filter_map(remark).collect())
}

/// A writer whose errors carry a name, to be told from those of other tests in the log.
struct Named {
    pipe: PipeWriter,
    name: &'static str,
    _gone: Sender<()>,
}

impl Named {
    /// What is received is an error, as soon as the writing thread is done.
    fn new(pipe: PipeWriter, name: &'static str) -> (Named, Receiver<()>) {
        let (_gone, gone) = channel();
        (Named { pipe, name, _gone }, gone)
    }
}

impl Write for Named {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pipe.write(bytes).map_err(|error| io::Error::new(error.kind(), self.name))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.pipe.flush()
    }
}

/// The warnings of all tests of this process.
static WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());
static WARNED: Condvar = Condvar::new();

struct Warnings;

impl log::Log for Warnings {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.level() == log::Level::Warn {
            WARNINGS.lock().unwrap().push(record.args().to_string());
            WARNED.notify_all();
        }
    }

    fn flush(&self) {}
}

fn log_warnings() {
    static START: Once = Once::new();
    START.call_once(|| {
        log::set_logger(&Warnings).unwrap();
        log::set_max_level(log::LevelFilter::Warn);
    });
}

/// How many warnings contain `about`, once there are `at_least` so many.
fn warnings(about: &str, at_least: usize) -> usize {
    let count = |warnings: &[String]| warnings.iter().filter(|line| line.contains(about)).count();
    let (warnings, wait) = WARNED
        .wait_timeout_while(WARNINGS.lock().unwrap(), Duration::from_secs(10), |warnings| {
            count(warnings) < at_least
        })
        .unwrap();
    assert!(!wait.timed_out(), "no warning about {about}");
    count(&warnings)
}
