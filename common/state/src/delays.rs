//! How long who has failed waits before the next attempt to log in.
//!
//! Failures in a row are counted for a user *and* the network that they come from. The k-th makes
//! the next attempt wait 100 ms · 2^(k-1), but at most 5 s: a guess every five seconds, from one
//! network at one user. An attempt counts as a failure from its beginning until it has succeeded, so
//! that it is of no use to make many at once.
//!
//! What holds against an attacker:
//!
//! - Nobody is locked out from another network. Who shares the network of an attacker who guesses at
//!   the same user shares the delay too, and is refused again and again while the attack goes on:
//!   on one machine, or behind one address of a hall, that is everybody.
//! - Where all names have one password (a room's), the failures of a network count whatever the name.
//!   As many attempts as there may be unfinished connections can be made at once, every five seconds:
//!   such a password has to be a long one.
//! - At most 4,096 pairs are remembered. One more takes the place of one of the network that has
//!   most of them, there of the one with the fewest failures, the oldest of those. To have k failures
//!   forgotten so, a network has to make as many for each of thousands of other names: k guesses for
//!   many times as many connections, where five seconds of waiting would have given one.
//! - Who has many networks has as many guesses at once: only long passwords help against that.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::time::Duration;
use std::time::Instant;

use common::name::Name;
use common::sync::Mutex;
use common::sync::lock;

/// What the first failure costs.
const FIRST: Duration = Duration::from_millis(100);
/// What one failure costs at most.
const LONGEST: Duration = Duration::from_secs(5);
/// So many pairs of a network and a user are remembered.
const PAIRS: usize = 4096;

/// Whose attempts failed.
#[derive(Default)]
pub struct Delays(Mutex<Pairs>);

type Pairs = BTreeMap<(IpAddr, String), Failures>;

struct Failures {
    /// In a row, those included that may still succeed.
    count: u32,
    /// When the next attempt may be made.
    next: Instant,
}

impl Delays {
    /// Somebody at `address` begins an attempt as `user`: how long it has to wait, at most 5 s.
    /// `None` if it cannot be made, as so many wait already that it would have to wait for longer;
    /// it does not count then.
    pub fn attempt(&self, user: &Name, address: IpAddr, now: Instant) -> Option<Duration> {
        let mut pairs = lock(&self.0);
        let pair = (network(address), user.key());
        let (count, begins) = match pairs.get(&pair) {
            Some(failures) => (failures.count, failures.next.max(now)),
            None => (0, now),
        };
        let wait = begins.duration_since(now);
        if wait > LONGEST {
            return None;
        }
        if count == 0 && pairs.len() >= PAIRS {
            forget_one(&mut pairs);
        }
        let count = count.saturating_add(1);
        pairs.insert(pair, Failures { count, next: begins + delay(count) });
        Some(wait)
    }

    /// As [`Delays::attempt`] where all names have one password: whatever the name, the failures from
    /// that network count, once they have failed, so that a hall behind one address can log in at
    /// once. Attempts that are made at once do not wait for each other.
    pub fn attempt_with_any_name(&self, address: IpAddr, now: Instant) -> Duration {
        let pairs = lock(&self.0);
        let failures = pairs.get(&(network(address), String::new()));
        failures.map_or(Duration::ZERO, |failures| failures.next.duration_since(now)).min(LONGEST)
    }

    /// An attempt with any name failed.
    pub fn failed_with_any_name(&self, address: IpAddr, now: Instant) {
        let mut pairs = lock(&self.0);
        let pair = (network(address), String::new());
        let count = pairs.get(&pair).map_or(0, |failures| failures.count).saturating_add(1);
        if count == 1 && pairs.len() >= PAIRS {
            forget_one(&mut pairs);
        }
        pairs.insert(pair, Failures { count, next: now + delay(count) });
    }

    /// An attempt with any name succeeded.
    pub fn succeeded_with_any_name(&self, address: IpAddr) {
        lock(&self.0).remove(&(network(address), String::new()));
    }

    /// An attempt succeeded: the failures before it are forgotten.
    pub fn succeeded(&self, user: &Name, address: IpAddr) {
        lock(&self.0).remove(&(network(address), user.key()));
    }
}

/// What the last of so many failures costs.
fn delay(count: u32) -> Duration {
    let factor = 2_u32.saturating_pow(count.saturating_sub(1));
    FIRST.saturating_mul(factor).min(LONGEST)
}

/// What counts as one attacker: of IPv6 the first 64 bits, as whoever has one address has all of
/// those (RFC 4291, section 2.5.4).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

fn forget_one(pairs: &mut Pairs) {
    // Those of a network stand together.
    let mut of_networks = Vec::<(IpAddr, usize)>::new();
    for (network, _) in pairs.keys() {
        match of_networks.last_mut() {
            Some((last, count)) if last == network => *count += 1,
            _ => of_networks.push((*network, 1)),
        }
    }
    let most = of_networks.iter().map(|(_, count)| *count).max();
    of_networks.retain(|(_, count)| Some(*count) == most);
    let crowded = of_networks
        .iter()
        .flat_map(|(network, count)| pairs.range((*network, String::new())..).take(*count));
    let least = crowded.min_by_key(|(_, failures)| (failures.count, failures.next));
    if let Some(pair) = least.map(|(pair, _)| pair.clone()) {
        pairs.remove(&pair);
    }
}

#[cfg(test)]
mod tests;
