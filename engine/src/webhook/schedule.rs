//! When a delivery is tried again.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rand::RngExt;

/// The longest `Retry-After` of an endpoint that is honoured.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(12);

/// The waits between the tries of a delivery; after the last it is given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    waits: Vec<Duration>,
    jitter_percent: u32,
}

impl Default for Schedule {
    /// The contract's: eight retries after 10 s, 1 m, 5 m, 15 m, 1 h, 3 h, 6 h and 12 h, each
    /// ±10 %.
    fn default() -> Self {
        let minutes = [1, 5, 15, 60, 180, 360, 720].map(Duration::from_mins);
        Self { waits: [&[Duration::from_secs(10)], &minutes[..]].concat(), jitter_percent: 10 }
    }
}

impl Schedule {
    /// A schedule with these waits and without jitter.
    pub fn new(waits: impl Into<Vec<Duration>>) -> Self {
        Self { waits: waits.into(), jitter_percent: 0 }
    }

    /// When to try again after `attempts` tries; `None` if there are no more. An endpoint that
    /// asked for more time gets it, up to 12 hours.
    pub fn next(
        &self,
        attempts: u32,
        now: Timestamp,
        retry_after: Option<Duration>,
    ) -> Option<Timestamp> {
        let wait = *self.waits.get(attempts.checked_sub(1)? as usize)?;
        let asked = retry_after.unwrap_or_default().min(MAX_RETRY_AFTER);
        let wait = self.shaken(wait).max(asked);
        now.checked_add(SignedDuration::try_from(wait).ok()?).ok()
    }

    fn shaken(&self, wait: Duration) -> Duration {
        let share = f64::from(self.jitter_percent) / 100.0;
        wait.mul_f64(1.0 - share + 2.0 * share * rand::rng().random::<f64>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contracts_waits_come_one_after_the_other() {
        let schedule = Schedule::default();
        let now: Timestamp = "2026-05-12T22:00:14Z".parse().unwrap();
        let seconds = [10, 60, 300, 900, 3_600, 10_800, 21_600, 43_200];
        for (attempts, seconds) in (1..).zip(seconds) {
            let next = schedule.next(attempts, now, None).unwrap();
            let wait = next.duration_since(now).as_secs_f64() / f64::from(seconds);
            assert!((0.9..=1.1).contains(&wait), "try {attempts}: {wait}");
        }
        assert_eq!(schedule.next(9, now, None), None);
        assert_eq!(schedule.next(0, now, None), None);
    }

    #[test]
    fn an_endpoint_gets_the_time_that_it_asks_for_up_to_a_cap() {
        let schedule = Schedule::new([Duration::from_secs(10)]);
        let now = Timestamp::UNIX_EPOCH;
        for (asked, waited) in [(5, 10), (100, 100), (1_000_000, 43_200)] {
            let next = schedule.next(1, now, Some(Duration::from_secs(asked))).unwrap();
            assert_eq!(next.as_second(), waited);
        }
    }
}
