use super::*;

/// `length · kind · body`.
fn framed(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(1 + body.len()).unwrap();
    [&length.to_be_bytes(), &[kind][..], body].concat()
}

fn tcp(flags: &str) -> TcpHeader {
    let mut tcp = TcpHeader::new(1, 2, 0, 0);
    let has = |flag| flags.contains(flag);
    (tcp.syn, tcp.ack, tcp.fin, tcp.rst) = (has('S'), has('A'), has('F'), has('R'));
    tcp
}

fn on_wire(talk: &mut Talk, is_clients: bool, bytes: &[u8]) -> Vec<String> {
    talk.segment(Interface::Wire, is_clients, &tcp("A"), bytes)
}

/// A hello of CHT2, as the protocol page has it.
fn hello(kex: u8, cipher: u8) -> Vec<u8> {
    [&b"CHT2\x01"[..], &[7; 32], &[kex, cipher]].concat()
}

#[test]
fn each_frame_is_said_in_its_parts() {
    let chunk = [&[0, 0, 0, 7, 0, 0, 0, 0, 0, 1, 0, 0][..], &[1; 9]].concat();
    let cases: [(u8, &[u8], &str); 6] = [
        (
            0x10,
            br#"{"type":"say","text":"hi"}"#,
            r#"message, 31 bytes: length 4, kind 1, JSON 26: {"type":"say","text":"hi"}"#,
        ),
        (
            0x11,
            &chunk,
            "file chunk, 26 bytes: length 4, kind 1, id 4, offset 8, content 9: of file 7, from byte \
             65536",
        ),
        (0x12, b"", "close, 5 bytes: length 4, kind 1, no body"),
        (0x33, &[0; 32], "login: proof, 37 bytes: length 4, kind 1, body 32"),
        (0x7f, b"abc", "frame of unknown kind, 8 bytes: length 4, kind 1, body 3"),
        (0x21, b"abc", "encrypted record 0, 8 bytes: length 4, kind 1, ciphertext 3"),
    ];
    for (kind, body, said) in cases {
        let mut talk = Talk::default();
        assert_eq!(
            on_wire(&mut talk, false, &framed(kind, body)),
            [format!("server → client: {said}")]
        );
    }
}

#[test]
fn records_are_numbered_and_said_in_the_parts_of_their_cipher() {
    let cases = [
        (1, "IV 16, ciphertext 24", "body 3, which is too short"),
        (2, "ciphertext 24, tag 16", "body 3, which is too short"),
        (3, "token 40", "token 3"),
        (9, "ciphertext 40", "ciphertext 3"),
    ];
    for (cipher, parts, short) in cases {
        let mut talk = Talk::default();
        on_wire(&mut talk, true, &framed(0x20, &hello(0, 0)));
        on_wire(&mut talk, false, &framed(0x20, &hello(1, cipher)));
        let records = [framed(0x21, &[5; 40]), framed(0x21, &[5; 3])].concat();
        for is_clients in [true, false] {
            let arrow = if is_clients { "client → server" } else { "server → client" };
            let expected = [
                format!("{arrow}: encrypted record 0, 45 bytes: length 4, kind 1, {parts}"),
                format!("{arrow}: encrypted record 1, 8 bytes: length 4, kind 1, {short}"),
            ];
            assert_eq!(on_wire(&mut talk, is_clients, &records), expected);
        }
    }
}

#[test]
fn handshakes_are_said_step_by_step() {
    let cht2 = |text: &str| format!("hello 39: CHT2 version 1, 32 random bytes, {text}");
    let with_share = [hello(1, 1), vec![4; 65]].concat();
    let steps: [(bool, Vec<u8>, String); 4] = [
        (true, hello(0, 2), cht2("any key exchange, aes-256-gcm")),
        (false, with_share, cht2("p256, aes-256-cfb, share 65")),
        (true, vec![4; 65], "share 65".to_owned()),
        (false, vec![0; 256], "encrypted secret 256".to_owned()),
    ];
    let mut talk = Talk::default();
    for (is_clients, body, said) in steps {
        let total = body.len() + 5;
        let comments = on_wire(&mut talk, is_clients, &framed(0x20, &body));
        let expected = format!("handshake, {total} bytes: length 4, kind 1, {said}");
        assert_eq!(comments.len(), 1);
        assert_eq!(comments[0].split_once(": ").unwrap().1, expected);
    }

    let mut talk = Talk::default();
    let first = [&b"CHT5\x01\x01\x01"[..], &[9; 32]].concat();
    assert_eq!(
        on_wire(&mut talk, true, &framed(0x20, &first)),
        [
            "client → server: handshake, 44 bytes: length 4, kind 1, hello 7: CHT5 version 1, 1 suite, \
          ephemeral key 32"
        ]
    );
    let second = [&b"CHT5\x01\x01"[..], &[9; 96]].concat();
    assert_eq!(
        on_wire(&mut talk, false, &framed(0x20, &second)),
        [
            "server → client: handshake, 107 bytes: length 4, kind 1, hello 6: CHT5 version 1, suite 1, \
          ephemeral key 32, the server's own key encrypted 48, tag 16"
        ]
    );
    let record = on_wire(&mut talk, true, &framed(0x21, &[0; 17]));
    assert_eq!(
        record,
        ["client → server: encrypted record 0, 22 bytes: length 4, kind 1, ciphertext 1, tag 16"]
    );
}

/// Hellos that are cut short or from the future are no reason to stop.
#[test]
fn a_hello_that_is_none_is_a_body() {
    let whole = hello(200, 200);
    for length in 0..whole.len() {
        let body = &whole[..length];
        let said = on_wire(&mut Talk::default(), true, &framed(0x20, body));
        let total = length + 5;
        let expected =
            format!("client → server: handshake, {total} bytes: length 4, kind 1, body {length}");
        assert_eq!(said, [expected]);
    }
    let said = on_wire(&mut Talk::default(), true, &framed(0x20, &whole));
    assert!(said[0].ends_with("one that nobody knows, one that nobody knows"), "{said:?}");
    for length in 5..102 {
        let body = &[&b"CHT5\x01"[..], &[255; 97]].concat()[..length];
        on_wire(&mut Talk::default(), false, &framed(0x20, body));
        on_wire(&mut Talk::default(), true, &framed(0x20, body));
    }
}

#[cfg(feature = "crypto")]
#[test]
fn suites_are_called_what_the_command_line_calls_them() {
    use clap::ValueEnum;

    use crate::crypto::suite::Choice;
    use crate::crypto::suite::Cipher as Ciphers;
    use crate::crypto::suite::Kex;

    fn named<T: Choice + ValueEnum>() -> Vec<(u8, &'static str)> {
        let all = T::value_variants().iter().map(|choice| (choice.code(), choice.name()));
        all.chain(T::HYBRID.iter().copied()).collect()
    }
    for (code, name) in named::<Kex>() {
        assert_eq!(name_of(&KEXES, code, ""), name);
    }
    for (code, name) in named::<Ciphers>() {
        assert_eq!(name_of(&CIPHERS, code, ""), name);
    }
}

#[test]
fn a_client_is_called_by_its_name_once_that_is_known() {
    let mut talk = Talk::default();
    // Asking for a name is not having it.
    let hello = framed(0x10, br#"{"type":"hello","chat5":1,"name":"alice"}"#);
    assert!(on_wire(&mut talk, true, &hello)[0].starts_with("client → server: message, 46 bytes"));
    // More people than are kept of it.
    let people = r#"{"name":"bob","status":"normal"},"#.repeat(40);
    let welcome = |name| format!(r#"{{"type":"welcome","name":"{name}","people":[{people}]}}"#);
    let welcome = |name| framed(0x10, welcome(name).as_bytes());
    for (name, from_client) in [("a b", false), ("", false), ("bob", true)] {
        on_wire(&mut talk, from_client, &welcome(name));
        assert!(on_wire(&mut talk, true, b"")[0].starts_with("client → server: "));
    }
    let said = on_wire(&mut talk, false, &welcome("alice"));
    assert!(said[0].starts_with("server → alice: message"), "{said:?}");
    assert_eq!(
        talk.segment(Interface::Wire, false, &tcp("AF"), b""),
        ["server → alice: sends nothing more (FIN)"]
    );
    // Nobody is somebody else later on.
    on_wire(&mut talk, true, &framed(0x10, br#"{"type":"hello","chat5":1,"name":"bob"}"#));
    on_wire(&mut talk, false, &welcome("bob"));
    assert!(on_wire(&mut talk, true, b"")[0].starts_with("alice → server: "));
    // It may be seen inside a record as well.
    let mut talk = Talk::default();
    talk.segment(Interface::Plaintext, false, &tcp("A"), &welcome("carol"));
    assert!(on_wire(&mut talk, false, b"")[0].starts_with("server → carol: "));
}

/// All of it is counted, also where it is longer than what is kept of a frame.
#[test]
fn a_long_step_of_a_handshake_is_not_shortened() {
    let body = [hello(1, 1), vec![0; 2000]].concat();
    let said = on_wire(&mut Talk::default(), false, &framed(0x20, &body));
    assert!(said[0].ends_with("p256, aes-256-cfb, share 2000"), "{said:?}");
}

#[test]
fn what_was_inside_is_told_from_what_was_on_the_wire() {
    let mut talk = Talk::default();
    on_wire(&mut talk, true, &framed(0x21, b"abc"));
    let frame = framed(0x10, b"{}");
    for number in 0..2 {
        assert_eq!(
            talk.segment(Interface::Plaintext, true, &tcp("A"), &frame),
            [format!(
                "client → server: inside record {number}: message, 7 bytes: length 4, kind 1, JSON 2: \
                 {{}}"
            )]
        );
    }
    let next = on_wire(&mut talk, true, &framed(0x21, b"abc"));
    assert!(next[0].starts_with("client → server: encrypted record 1, "), "{next:?}");
}

#[test]
fn frames_are_followed_wherever_segments_cut_them() {
    let [first, second] = [framed(0x10, b"{\"a\":1}"), framed(0x12, b"")];
    let stream = [&first[..], &second].concat();
    let (whole, close) = (
        "message, 12 bytes: length 4, kind 1, JSON 7: {\"a\":1}",
        "close, 5 bytes: length 4, kind 1, no body",
    );
    for cut in 1..stream.len() {
        let mut talk = Talk::default();
        let mut said = on_wire(&mut talk, true, &stream[..cut]);
        said.extend(on_wire(&mut talk, true, &stream[cut..]));
        let said = said.iter().map(|said| said.strip_prefix("client → server: ").unwrap());
        let said = said.collect::<Vec<_>>();
        match cut {
            ..12 => {
                assert!(said[0].starts_with(&format!("the first {cut} bytes of: ")), "{said:?}");
                let rest = format!("the last {} bytes of: {whole}", 12 - cut);
                assert_eq!(said[1..], [&rest, close]);
            }
            12 => assert_eq!(said, [whole, close]),
            _ => {
                assert_eq!(said[0], whole);
                let (first, last) = (cut - 12, 17 - cut);
                assert!(said[1].starts_with(&format!("the first {first} bytes of: ")), "{said:?}");
                assert_eq!(said[2..], [format!("the last {last} bytes of: {close}")]);
            }
        }
    }
    // A record over three segments.
    let mut talk = Talk::default();
    let record = framed(0x21, &[0; 100_000]);
    let said = [&record[..65_495], &record[65_495..65_496], &record[65_496..]]
        .map(|part| on_wire(&mut talk, false, part));
    let what = "encrypted record 0, 100005 bytes: length 4, kind 1, ciphertext 100000";
    assert_eq!(
        said.concat(),
        [
            format!("server → client: the first 65495 bytes of: {what}"),
            format!("server → client: 1 bytes more of: {what}"),
            format!("server → client: the last 34509 bytes of: {what}"),
        ]
    );
}

#[test]
fn of_many_frames_in_a_packet_the_rest_is_counted() {
    let mut talk = Talk::default();
    let said = on_wire(&mut talk, true, &framed(0x21, b"x").repeat(FRAMES + 12));
    assert_eq!(said.len(), FRAMES + 1);
    assert_eq!(said[FRAMES], "client → server: and 12 more");
    let said = on_wire(&mut talk, true, &framed(0x21, b"x"));
    assert!(said[0].contains("encrypted record 20, "), "{said:?}");
}

#[test]
fn what_are_no_frames_is_said_once_and_then_only_counted() {
    for (bytes, length) in [(&b"GET / HTTP/1.1\r\n"[..], 1_195_725_856), (&[0; 9], 0)] {
        let mut talk = Talk::default();
        assert_eq!(
            on_wire(&mut talk, true, bytes),
            [format!("client → server: no frame of this chat: its length would be {length}")]
        );
        assert_eq!(
            on_wire(&mut talk, true, b"more"),
            ["client → server: 4 bytes that are no frames of this chat"]
        );
        // The other direction is another matter.
        let answer = on_wire(&mut talk, false, &framed(0x12, b""));
        assert_eq!(answer, ["server → client: close, 5 bytes: length 4, kind 1, no body"]);
    }
}

#[test]
fn a_long_message_is_quoted_up_to_a_whole_character_and_nothing_in_it_is_left_raw() {
    for (at, character) in (100..122).flat_map(|at| ["é", "€", "😀"].map(|c| (at, c))) {
        let text = format!("{}{character}{}", "x".repeat(at), "y".repeat(900));
        let said = on_wire(&mut Talk::default(), true, &framed(0x10, text.as_bytes()));
        let (_, quoted) = said[0].split_once(&format!("JSON {}: ", text.len())).unwrap();
        let (quoted, more) = quoted.split_once("… (").unwrap();
        assert!(text.starts_with(quoted), "{quoted}");
        assert!((QUOTED - 3..=QUOTED).contains(&quoted.len()), "{quoted}");
        assert_eq!(more, format!("{} bytes more)", text.len() - quoted.len()));
    }
    let said = on_wire(&mut Talk::default(), true, &framed(0x10, b"\x1b[31m\xff\n"));
    assert!(said[0].ends_with("JSON 7: \\u{1b}[31m\\xff\\u{a}"), "{said:?}");
}

#[test]
fn tcp_alone_is_said_too() {
    let cases = [
        ("S", "opens the connection (SYN)"),
        ("SA", "agrees to the connection (SYN, ACK)"),
        ("A", "has received everything so far (ACK)"),
        ("AF", "sends nothing more (FIN)"),
        ("AR", "aborts the connection (RST)"),
    ];
    for (flags, said) in cases {
        let comments = Talk::default().segment(Interface::Wire, true, &tcp(flags), b"");
        assert_eq!(comments, [format!("client → server: {said}")]);
    }
}
