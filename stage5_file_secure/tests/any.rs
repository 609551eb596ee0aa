//! Files of any name and any size, and any claims of a size.

#[path = "../src/connection.rs"]
mod connection;
#[allow(dead_code, reason = "one of them is enough here")]
mod driver;
#[allow(dead_code, reason = "a client's part of it")]
#[path = "../src/known_servers.rs"]
mod known_servers;
#[allow(dead_code, reason = "what a test does not need")]
#[path = "../src/login.rs"]
mod login;
#[allow(dead_code, reason = "what a test does not need")]
#[path = "../src/noise.rs"]
mod noise;
#[path = "../src/server.rs"]
mod server;
#[allow(dead_code, reason = "a client's part of it")]
#[path = "../src/transfer.rs"]
mod transfer;

use proptest::prelude::*;
use suite::files::names;

proptest! {
    // Each case is a server and two clients; many more are in the tests of what they are made of.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn any_name_and_any_size(
        name in "[^/\\x00]{1,60}|[a-c. ]{1,8}|.{0,3}[\u{300}\u{202e}\u{200b}٠अ]{1,4}.{0,3}",
        size in 0..300_000_usize,
    ) {
        names::any_file::<driver::Cfb>(&name, size);
    }

    #[test]
    fn any_claim_of_a_size(
        declared in prop_oneof![0..4_u64, any::<u64>()],
        said in prop_oneof![0..4_u64, any::<u64>()],
        sent in 0..3_usize,
    ) {
        names::any_claim::<driver::Cfb>(declared, said, sent);
    }
}
