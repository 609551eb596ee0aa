//! How fast something grows, and how long the rest of it takes.
//!
//! What counts is the last seconds and not the time since the start, so that a stall shows.

use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

/// What is older has no part in a rate.
const WINDOW: Duration = Duration::from_secs(4);
/// Samples are so far apart, so that there are few of them.
const STEP: Duration = Duration::from_millis(250);
/// Of less time nothing can be said.
const LEAST: Duration = Duration::from_millis(500);

/// How much was there when.
#[derive(Debug)]
pub struct Pace {
    done: u64,
    /// From old to new; at most one is older than [`WINDOW`].
    samples: VecDeque<(Instant, u64)>,
}

impl Pace {
    /// Something that begins now, with so much of it.
    pub fn new(now: Instant, done: u64) -> Pace {
        Pace { done, samples: VecDeque::from([(now, done)]) }
    }

    /// So much is there now. Also where nothing came this should be said every [`STEP`] or so: what
    /// comes after a pause is else taken to have come all the time.
    pub fn set(&mut self, now: Instant, done: u64) {
        self.done = done;
        if self.samples.back().is_none_or(|(then, _)| now.saturating_duration_since(*then) >= STEP)
        {
            self.samples.push_back((now, done));
        }
        let is_old = |(then, _): &(Instant, u64)| now.saturating_duration_since(*then) >= WINDOW;
        while self.samples.get(1).is_some_and(is_old) {
            self.samples.pop_front();
        }
    }

    /// How much came in the last seconds, and in what time; `None` if that is too short.
    pub fn recent(&self, now: Instant) -> Option<(u64, Duration)> {
        let age = |(then, _): &(Instant, u64)| now.saturating_duration_since(*then);
        let old = self.samples.iter().rev().find(|sample| age(sample) >= WINDOW);
        let sample = old.or(self.samples.front())?;
        let time = age(sample);
        (time >= LEAST).then_some((self.done.saturating_sub(sample.1), time))
    }

    /// How long it takes at this rate until `size` is there; `None` if there is no rate, or none
    /// to count on: nothing came.
    pub fn left(&self, now: Instant, size: u64) -> Option<Duration> {
        let (bytes, time) = self.recent(now)?;
        let missing = u128::from(size.saturating_sub(self.done));
        let nanos = missing.checked_mul(time.as_nanos())?.checked_div(u128::from(bytes))?;
        u64::try_from(nanos).ok().map(Duration::from_nanos)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// So many bytes a second in steps of 50 ms, from `from` on for so long.
    fn grow(pace: &mut Pace, from: Instant, time: Duration, per_second: u64) -> Instant {
        const STEPS: u64 = 20;
        let mut now = from;
        while now < from + time {
            now += SECOND / 20;
            pace.set(now, pace.done + per_second / STEPS);
        }
        now
    }

    #[test]
    fn nothing_is_said_of_a_moment() {
        let start = Instant::now();
        let mut pace = Pace::new(start, 0);
        let now = grow(&mut pace, start, LEAST - SECOND / 20, 1000);
        assert_eq!((pace.recent(now), pace.left(now, 1000)), (None, None));
        let now = grow(&mut pace, now, SECOND / 20, 1000);
        assert_eq!(pace.recent(now), Some((500, LEAST)));
        assert_eq!(pace.left(now, 1000), Some(LEAST));
    }

    #[test]
    fn a_rate_is_that_of_the_last_seconds() {
        let start = Instant::now();
        let mut pace = Pace::new(start, 0);
        let now = grow(&mut pace, start, 60 * SECOND, 1_000_000);
        let now = grow(&mut pace, now, WINDOW, 1000);
        assert_eq!(pace.recent(now), Some((4000, WINDOW)), "nothing of what was before");
        assert_eq!(pace.left(now, pace.done + 7500), Some(Duration::from_millis(7500)));
        assert!(pace.samples.len() <= 18, "{}", pace.samples.len());
    }

    #[test]
    fn a_stall_shows_and_is_over_when_it_is() {
        let start = Instant::now();
        let mut pace = Pace::new(start, 0);
        let now = grow(&mut pace, start, 10 * SECOND, 1000);
        let later = grow(&mut pace, now, WINDOW / 2, 0);
        assert_eq!(pace.recent(later), Some((2000, WINDOW)));
        let later = grow(&mut pace, later, 60 * SECOND, 0);
        assert_eq!(pace.recent(later), Some((0, WINDOW)));
        assert_eq!(pace.left(later, pace.done + 1), None, "at no rate it takes for ever");
        let later = grow(&mut pace, later, SECOND, 1000);
        assert_eq!(pace.recent(later), Some((1000, WINDOW)));
        // Also where nobody says that nothing came.
        assert_eq!(pace.recent(later + 60 * SECOND), Some((0, 60 * SECOND)));
    }

    #[test]
    fn what_came_before_the_start_did_not_come_fast() {
        let start = Instant::now();
        let mut pace = Pace::new(start, 5000);
        let now = grow(&mut pace, start, SECOND, 1000);
        assert_eq!(pace.recent(now), Some((1000, SECOND)));
    }

    proptest! {
        #[test]
        fn any_numbers_at_any_times(steps: Vec<(u64, u32, bool)>, size: u64) {
            let start = Instant::now();
            let (mut pace, mut now) = (Pace::new(start, size), start);
            for (done, millis, back) in steps {
                let time = Duration::from_millis(u64::from(millis));
                now = if back { now.checked_sub(time).unwrap_or(now) } else { now + time };
                pace.set(now, done);
                let _ = (pace.recent(now), pace.left(now, size));
            }
        }
    }
}
