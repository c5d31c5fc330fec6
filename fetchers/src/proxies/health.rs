//! What is known of one proxy.

use std::time::Duration;

use tokio::time::Instant;

use super::Outcome;

/// The rest after the first failure; each further one in a row doubles it.
const FIRST_REST: Duration = Duration::from_secs(2);
/// The longest rest after failures.
const MAX_REST: Duration = Duration::from_mins(5);
/// The rest of a proxy whose score has fallen below [`MIN_SCORE`].
const BLOCKED_REST: Duration = Duration::from_secs(30);
/// A proxy below this score rests.
const MIN_SCORE: f64 = 0.5;
/// With which score it comes back: two more blocks are too many.
const SCORE_AFTER_REST: f64 = 0.6;
/// How much the last attempt counts in the score: seven blocks in a row take a perfect one below 0.5.
const WEIGHT: f64 = 0.1;

/// The score is the share of attempts that were not blocked, the last ones counting most.
#[derive(Debug)]
pub(super) struct Health {
    score: f64,
    /// Failures in a row.
    failures: u32,
    rests_until: Option<Instant>,
    /// After a rest for failures, one attempt finds out.
    is_on_trial: bool,
}

impl Health {
    pub(super) fn new() -> Self {
        Self { score: 1.0, failures: 0, rests_until: None, is_on_trial: false }
    }

    /// Whether it would be used at this time.
    pub(super) fn is_ready(&self, now: Instant) -> bool {
        self.rests_until.is_none_or(|until| until <= now) && !self.is_on_trial
    }

    /// When it may be used again.
    pub(super) fn ready_at(&self, now: Instant) -> Instant {
        self.rests_until.unwrap_or(now)
    }

    /// An attempt goes through it.
    pub(super) fn begin(&mut self) {
        self.is_on_trial = self.failures > 0;
    }

    /// An attempt has ended.
    pub(super) fn settle(&mut self, outcome: Outcome, now: Instant) {
        self.is_on_trial = false;
        if outcome == Outcome::Failed {
            return self.fail(now);
        }
        self.failures = 0;
        self.rests_until = None;
        let went_well = if outcome == Outcome::Good { WEIGHT } else { 0.0 };
        self.score = self.score.mul_add(1.0 - WEIGHT, went_well);
        if self.score < MIN_SCORE {
            self.score = SCORE_AFTER_REST;
            self.rests_until = Some(now + BLOCKED_REST);
        }
    }

    fn fail(&mut self, now: Instant) {
        // The attempts that were under way when it died tell of one failure, not of many.
        if self.rests_until.is_some_and(|until| until > now) {
            return;
        }
        let rest = FIRST_REST.saturating_mul(1 << self.failures.min(16)).min(MAX_REST);
        self.failures += 1;
        self.rests_until = Some(now + rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_failure_rests_longer_each_time_and_is_forgotten_after_a_success() {
        let (mut health, mut now) = (Health::new(), Instant::now());
        for seconds in [2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            health.begin();
            health.settle(Outcome::Failed, now);
            now += Duration::from_secs(seconds);
            assert!(!health.is_ready(now - Duration::from_millis(1)), "{seconds}");
            assert!(health.is_ready(now), "{seconds}");
        }
        health.begin();
        assert!(!health.is_ready(now), "one attempt finds out");
        health.settle(Outcome::Good, now);
        assert!(health.is_ready(now));
        health.settle(Outcome::Failed, now);
        assert!(health.is_ready(now + FIRST_REST));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_at_one_time_count_once() {
        let (mut health, now) = (Health::new(), Instant::now());
        for _ in 0..32 {
            health.settle(Outcome::Failed, now);
        }
        assert!(health.is_ready(now + FIRST_REST));
    }

    #[tokio::test(start_paused = true)]
    async fn often_blocked_means_a_rest_and_now_and_then_does_not() {
        let (mut health, now) = (Health::new(), Instant::now());
        for attempt in 0..100 {
            let outcome = if attempt % 3 == 0 { Outcome::Blocked } else { Outcome::Good };
            health.settle(outcome, now);
            assert!(health.is_ready(now));
        }
        for _ in 0..7 {
            health.settle(Outcome::Blocked, now);
        }
        assert!(!health.is_ready(now));
        assert!(health.is_ready(now + BLOCKED_REST));
    }
}
