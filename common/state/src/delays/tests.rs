use super::*;

fn name(name: &str) -> Name {
    name.parse().unwrap()
}

fn address(address: &str) -> IpAddr {
    address.parse().unwrap()
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// How long each of so many attempts waits that are made one after the other, as soon as they may.
fn in_a_row(delays: &Delays, user: &str, from: &str, count: usize, now: &mut Instant) -> Vec<u128> {
    let one = |_| {
        let wait = delays.attempt(&name(user), address(from), *now).unwrap();
        *now += wait;
        wait.as_millis()
    };
    (0..count).map(one).collect()
}

#[test]
fn each_failure_doubles_the_wait_up_to_five_seconds() {
    let (delays, mut now) = (Delays::default(), Instant::now());
    let waits = in_a_row(&delays, "alice", "192.0.2.1", 10, &mut now);
    assert_eq!(waits, [0, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
    // Whenever it is made, and however often there was one before.
    for _ in 0..100 {
        in_a_row(&delays, "alice", "192.0.2.1", 1, &mut now);
    }
    now += ms(1500);
    assert_eq!(in_a_row(&delays, "alice", "192.0.2.1", 1, &mut now), [3500]);
    now += ms(5000);
    assert_eq!(in_a_row(&delays, "alice", "192.0.2.1", 2, &mut now), [0, 5000]);
}

#[test]
fn attempts_at_once_wait_for_one_another_and_the_rest_is_not_made() {
    let (delays, now) = (Delays::default(), Instant::now());
    let attempt = |now| delays.attempt(&name("alice"), address("192.0.2.1"), now);
    let waits: Vec<_> = (0..6).map(|_| attempt(now)).collect();
    let begin = [0, 100, 300, 700, 1500, 3100];
    assert_eq!(waits, begin.map(|begin| Some(ms(begin))));
    // The seventh would begin after 6.3 s; that it was refused does not count.
    for _ in 0..1000 {
        assert_eq!(attempt(now), None);
    }
    let later = now + ms(1300);
    assert_eq!(attempt(later - ms(1)), None);
    assert_eq!(attempt(later), Some(ms(5000)));
    assert_eq!(attempt(later), None);
    // However many are tried, in a minute no more are made than these and one each five seconds.
    let mut made = 0;
    for step in 1..=60_000 / 50 {
        made += usize::from(attempt(later + ms(50 * step)).is_some());
    }
    assert_eq!(made, 60 / 5);
}

#[test]
fn success_forgets_the_failures_of_that_user_there() {
    let (delays, mut now) = (Delays::default(), Instant::now());
    for user in ["alice", "bob"] {
        in_a_row(&delays, user, "192.0.2.1", 5, &mut now);
    }
    now += ms(5000);
    delays.succeeded(&name("ALICE"), address("192.0.2.1"));
    assert_eq!(in_a_row(&delays, "alice", "192.0.2.1", 2, &mut now), [0, 100]);
    now += ms(5000);
    assert_eq!(in_a_row(&delays, "bob", "192.0.2.1", 2, &mut now), [0, 3200]);
    // One that has never failed has nothing to forget.
    delays.succeeded(&name("carol"), address("192.0.2.1"));
}

#[test]
fn users_and_networks_do_not_delay_one_another() {
    let (delays, mut now) = (Delays::default(), Instant::now());
    let pairs = [
        ("alice", "192.0.2.1"),
        ("bob", "192.0.2.1"),
        ("alice", "192.0.2.2"),
        ("alice", "2001:db8::1"),
        ("alice", "2001:db8:0:1::1"),
    ];
    for (user, from) in pairs {
        assert_eq!(in_a_row(&delays, user, from, 3, &mut now), [0, 100, 200], "{user} {from}");
    }
}

#[test]
fn one_user_and_one_network_are_the_same_however_they_are_written() {
    let same = [
        [("alice", "192.0.2.1"), ("Alice", "192.0.2.1")],
        [("alice", "192.0.2.1"), ("alice", "::ffff:192.0.2.1")],
        [("alice", "2001:db8::1"), ("alice", "2001:db8::ffff:0:0:2")],
    ];
    for [(user, from), (other, elsewhere)] in same {
        let (delays, mut now) = (Delays::default(), Instant::now());
        in_a_row(&delays, user, from, 1, &mut now);
        assert_eq!(in_a_row(&delays, other, elsewhere, 1, &mut now), [100], "{elsewhere}");
    }
}

/// So many other names fail once at `from`.
fn flood(delays: &Delays, from: impl Fn(usize) -> IpAddr, now: Instant) {
    for number in 0..PAIRS + 300 {
        let user = name(&format!("nobody{number}"));
        assert_eq!(delays.attempt(&user, from(number), now), Some(Duration::ZERO));
        assert!(lock(&delays.0).len() <= PAIRS);
    }
}

#[test]
fn who_floods_the_memory_forgets_neither_their_own_failures_nor_those_of_others() {
    let (delays, mut now) = (Delays::default(), Instant::now());
    let attacker = "198.51.100.7";
    in_a_row(&delays, "alice", attacker, 2, &mut now);
    in_a_row(&delays, "bob", "192.0.2.1", 1, &mut now);
    flood(&delays, |_| address(attacker), now);
    assert_eq!(in_a_row(&delays, "bob", "192.0.2.1", 1, &mut now), [100]);
    assert_eq!(in_a_row(&delays, "alice", attacker, 1, &mut now), [100]);
}

#[test]
fn who_floods_it_from_many_networks_locks_nobody_out() {
    let (delays, mut now) = (Delays::default(), Instant::now());
    in_a_row(&delays, "alice", "198.51.100.7", 5, &mut now);
    now += ms(5000);
    let from = |number| IpAddr::from(u32::try_from(number).unwrap().to_be_bytes());
    flood(&delays, from, now);
    assert_eq!(in_a_row(&delays, "bob", "192.0.2.1", 2, &mut now), [0, 100]);
    // Nor is the one forgotten that has failed more often than they.
    assert_eq!(in_a_row(&delays, "alice", "198.51.100.7", 2, &mut now), [0, 3200]);
}

#[test]
fn of_those_that_failed_as_often_the_oldest_is_forgotten() {
    let (delays, now) = (Delays::default(), Instant::now());
    let from = address("192.0.2.1");
    let user = |number| name(&format!("u{number}"));
    for number in 0..PAIRS {
        // The last is the oldest.
        delays.attempt(&user(number), from, now - ms(number as u64)).unwrap();
    }
    delays.attempt(&name("one-more"), from, now).unwrap();
    let pairs = lock(&delays.0);
    let missing = (0..PAIRS).filter(|n| !pairs.contains_key(&(from, user(*n).key())));
    assert_eq!(missing.collect::<Vec<_>>(), [PAIRS - 1]);
}

#[test]
fn where_all_names_have_one_password_the_failures_of_a_network_count() {
    let (delays, now) = (Delays::default(), Instant::now());
    let (here, elsewhere) = (address("192.0.2.1"), address("192.0.2.2"));
    // Whoever has not failed does not wait, however many there are.
    for _ in 0..100 {
        assert_eq!(delays.attempt_with_any_name(here, now), Duration::ZERO);
    }
    for (failures, wait) in
        [(1, 100), (2, 200), (3, 400), (4, 800), (5, 1600), (6, 3200), (7, 5000)]
    {
        delays.failed_with_any_name(here, now);
        let wait = Duration::from_millis(wait);
        assert_eq!(delays.attempt_with_any_name(here, now), wait, "{failures}");
        assert_eq!(delays.attempt_with_any_name(here, now + wait), Duration::ZERO);
        assert_eq!(delays.attempt_with_any_name(elsewhere, now), Duration::ZERO);
    }
    delays.succeeded_with_any_name(here);
    assert_eq!(delays.attempt_with_any_name(here, now), Duration::ZERO);
}
