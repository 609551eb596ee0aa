//! Suites that somebody changes on the way: they are used, and lead to different keys; what is
//! pinned is refused.

use labs::attack::Attack;
use labs::attack::Crossing;
use labs::attack::Direction::ToClient;
use labs::attack::Direction::ToServer;
use labs::attack::Relay;
use labs::attack::Wire;
use labs::attack::downgrade::codes;
use labs::stages;
use labs::stages::Stage;

use crate::victims::CUT;
use crate::victims::GCM;
use crate::victims::TAMPERED;
use crate::victims::Victims;
use crate::victims::fingerprint;
use crate::victims::sessions;

/// What came of an attack on alice's handshake.
struct Failed {
    /// What she saw.
    lines: String,
    /// What her client said of the session, if it came so far.
    alices: Option<String>,
    /// The same of the server.
    servers: Option<String>,
    log: String,
}

/// alice's connection fails before she is in the room.
#[track_caller]
fn fails(servers: &[&str], clients: &[&'static str], attack: impl Attack) -> Failed {
    let victims = Victims::start_with(3, servers, clients);
    let relay = Relay::start(victims.server.address, attack).expect("a relay");
    let alice = victims.client("alice", relay.address);
    let (code, lines, stderr) = alice.end();
    assert_eq!(code, Some(1), "{stderr}");
    assert!(!lines.contains(&"* alice joined".to_owned()), "{lines:?}");
    relay.end().expect("a transcript");
    let log = victims.log();
    assert!(!log.contains("alice: joined"), "{log}");
    let session = |text: &str| sessions(text).pop();
    let (alices, servers) = (session(&stderr), session(&log));
    Failed { lines: lines.join("\n"), alices, servers, log }
}

#[test]
fn another_wish_of_the_client() {
    for kex in [1, 2] {
        for cipher in [1, 2] {
            let failed = fails(&[], &[], codes(ToServer, [kex, cipher]));
            // Both use what the attacker wished for…
            let kex = ["p256", "x25519"][usize::from(kex) - 1];
            let cipher_name = ["aes-256-cfb", "aes-256-gcm"][usize::from(cipher) - 1];
            let suite = format!("session: kex={kex} cipher={cipher_name} ");
            let (alices, servers) = (failed.alices.expect("hers"), failed.servers.expect("its"));
            assert!(alices.starts_with(&suite) && servers.starts_with(&suite), "{alices}");
            // …and have different keys, because they have hashed different handshakes.
            assert_ne!(fingerprint(&alices), fingerprint(&servers));
            if cipher == 2 {
                assert!(failed.log.contains(TAMPERED), "{}", failed.log);
                assert!(failed.lines.contains(CUT), "{}", failed.lines);
            } else {
                assert!(failed.log.contains("unreadable message: "), "{}", failed.log);
                assert!(failed.lines.contains("! unreadable message: "), "{}", failed.lines);
            }
        }
    }
}

#[test]
fn without_a_change_it_goes_on() {
    // The attack with the codes that are there anyway: it is their change that is noticed.
    let victims = Victims::start(3, &[]);
    let relay = Relay::start(victims.server.address, codes(ToServer, [0, 0])).expect("a relay");
    assert_eq!(victims.join_through(&relay, "alice").end().0, Some(0));
    assert!(victims.log().contains("alice: joined"));
}

#[test]
fn another_choice_of_the_server() {
    let failed = fails(&[], &[], codes(ToClient, [1, 2]));
    let (alices, servers) = (failed.alices.expect("hers"), failed.servers.expect("its"));
    assert!(alices.contains("aes-256-gcm") && servers.contains("aes-256-cfb"), "{alices}");
    assert_ne!(fingerprint(&alices), fingerprint(&servers));

    // A key exchange has to fit the share that is there.
    let failed = fails(&[], &[], codes(ToClient, [2, 1]));
    let share = "the other side's share has 65 bytes instead of 32";
    assert!(failed.lines.contains(share) && failed.alices.is_none(), "{}", failed.lines);

    let failed = fails(&[], &[], codes(ToClient, [0, 0]));
    assert!(failed.lines.contains("the server chose --kex number 0"), "{}", failed.lines);
}

#[test]
fn what_a_client_has_pinned() {
    // It is known as well to whoever changes its wish; the server's choice gives it away.
    let failed = fails(&[], GCM, codes(ToServer, [1, 1]));
    let refused = "! the server chose --cipher number 1, which this client did not allow";
    assert_eq!((failed.lines.as_str(), failed.alices), (refused, None));

    // Who changes the choice back gets past that, and no further.
    let (mut wish, mut choice) = (codes(ToServer, [1, 1]), codes(ToClient, [1, 2]));
    let both = move |frame: Crossing, wire: &mut Wire| match frame.direction {
        ToServer => wish(frame, wire),
        ToClient => choice(frame, wire),
    };
    let failed = fails(&[], GCM, both);
    let (alices, servers) = (failed.alices.expect("hers"), failed.servers.expect("its"));
    assert!(alices.contains("aes-256-gcm") && servers.contains("aes-256-cfb"), "{alices}");
    assert_ne!(fingerprint(&alices), fingerprint(&servers));
}

#[test]
fn what_a_server_has_pinned() {
    let failed = fails(GCM, &[], codes(ToServer, [1, 1]));
    let refused = "the client wants --cipher aes-256-cfb and this server has --cipher aes-256-gcm";
    assert!(failed.lines.starts_with(&format!("! {refused}")), "{}", failed.lines);
    assert!(failed.log.contains(refused), "{}", failed.log);
    assert!(failed.alices.is_none() && failed.servers.is_none());
}

#[test]
fn stage_2_has_the_same_handshake() {
    let Ok(stage) = Stage::numbered(&stages::root(), 2) else { return };
    let victims = Victims::start(stage.number, &[]);
    let relay = Relay::start(victims.server.address, codes(ToServer, [2, 2])).expect("a relay");
    let (code, lines, stderr) = victims.client("alice", relay.address).end();
    assert_eq!(code, Some(1), "{stderr}");
    assert!(lines.concat().contains(CUT), "{lines:?}");
    assert_ne!(sessions(&stderr), sessions(&victims.log()));
}
