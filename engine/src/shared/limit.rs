//! How many requests one host gets at a time.

use std::time::Duration;

use tokio::time::Instant;

/// A host begins with an eighth of the concurrency of the job that comes first, and no more than this.
const MAX_START: usize = 32;
/// The fewest answers that a judgement of the latency rests on.
const MIN_WINDOW: usize = 16;
/// A host is slowing down when its answers take more than this much longer…
const SLOWDOWN_FACTOR: u32 = 2;
/// …and this much on top, so that no noise of some milliseconds counts.
const SLOWDOWN_SLACK: Duration = Duration::from_millis(100);

/// The number of requests that a host may have under way, as its answers suggest.
///
/// The scheme is TCP's (slow start, additive increase, multiplicative decrease; RFC 5681): one more
/// with each good answer up to the first refusal, half after a refusal, from then on one more with
/// each full round of good answers. Answers that take ever longer count as a mild refusal (three
/// quarters), judged by the mean of a round against the lowest such mean of late.
#[derive(Debug)]
pub(super) struct AdaptiveLimit {
    limit: usize,
    max: usize,
    /// Slow start ends here.
    threshold: usize,
    /// Good answers since the last increase.
    good: usize,
    /// Requests that were begun before this moment say nothing about the present limit.
    cut_at: Option<Instant>,
    round: Round,
    baseline: Option<Duration>,
}

/// The answers since the last judgement of the latency.
#[derive(Debug, Default)]
struct Round {
    answers: u32,
    time: Duration,
}

impl AdaptiveLimit {
    /// A limit that begins at about `start` and grows up to `max`.
    pub(super) fn new(max: usize, start: usize) -> Self {
        let limit = start.clamp(1, MAX_START).min(max);
        let round = Round::default();
        Self { limit, max, threshold: max, good: 0, cut_at: None, round, baseline: None }
    }

    pub(super) fn get(&self) -> usize {
        self.limit
    }

    /// The host answered a request that was begun at `begun`, of a job that has at most `cap` under way.
    pub(super) fn answered(&mut self, begun: Instant, now: Instant, cap: usize) {
        self.good += 1;
        if self.limit < self.threshold || self.good >= self.limit {
            self.good = 0;
            self.limit = (self.limit + 1).min(self.max);
        }
        self.judge(begun, now, self.limit.min(cap));
    }

    /// The host refused a request, or failed to answer it in time.
    pub(super) fn refused(&mut self, begun: Instant, now: Instant, cap: usize) {
        if self.is_news(begun) {
            self.cut(self.limit.min(cap) / 2, now);
        }
    }

    fn judge(&mut self, begun: Instant, now: Instant, limit: usize) {
        if !self.is_news(begun) {
            return;
        }
        self.round.answers += 1;
        self.round.time += now.saturating_duration_since(begun);
        if (self.round.answers as usize) < limit.max(MIN_WINDOW) {
            return;
        }
        let mean = self.round.time / self.round.answers;
        self.round = Round::default();
        // The baseline rises slowly, so that a host that is slower for good is accepted at last.
        let baseline = self.baseline.map_or(mean, |lowest| mean.min(lowest + lowest / 16));
        self.baseline = Some(baseline);
        if mean > baseline * SLOWDOWN_FACTOR + SLOWDOWN_SLACK {
            self.cut(limit * 3 / 4, now);
        }
    }

    /// Refusals come in crowds, one for each request under way: only the first one counts.
    fn is_news(&self, begun: Instant) -> bool {
        self.cut_at.is_none_or(|cut_at| begun >= cut_at)
    }

    fn cut(&mut self, to: usize, now: Instant) {
        self.limit = to.max(1);
        self.threshold = self.limit;
        self.good = 0;
        self.cut_at = Some(now);
        self.round = Round::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const MAX: usize = usize::MAX;

    /// Answers in rounds of the present limit, each taking `latency`.
    fn rounds(limit: &mut AdaptiveLimit, now: &mut Instant, count: usize, latency: Duration) {
        for _ in 0..count {
            let begun = *now;
            *now += latency;
            for _ in 0..limit.get() {
                limit.answered(begun, *now, MAX);
            }
        }
    }

    #[test]
    fn it_reaches_the_whole_concurrency_within_a_few_rounds() {
        let mut now = Instant::now();
        let mut limit = AdaptiveLimit::new(256, 256 / 8);
        assert_eq!(limit.get(), 32);
        rounds(&mut limit, &mut now, 3, 100 * MS);
        assert_eq!(limit.get(), 256);
        assert_eq!(AdaptiveLimit::new(1, 0).get(), 1);
    }

    #[test]
    fn a_crowd_of_refusals_halves_it_once_and_it_recovers() {
        let mut now = Instant::now();
        let mut limit = AdaptiveLimit::new(64, 64 / 8);
        rounds(&mut limit, &mut now, 10, 10 * MS);
        assert_eq!(limit.get(), 64);
        let begun = now;
        now += 10 * MS;
        for _ in 0..64 {
            limit.refused(begun, now, MAX);
        }
        assert_eq!(limit.get(), 32);
        rounds(&mut limit, &mut now, 5, 10 * MS);
        assert_eq!(limit.get(), 37, "one more each round");
        rounds(&mut limit, &mut now, 40, 10 * MS);
        assert_eq!(limit.get(), 64);
        for _ in 0..10 {
            now += MS;
            limit.refused(now, now, MAX);
        }
        assert_eq!(limit.get(), 1);
    }

    #[test]
    fn it_yields_to_a_host_that_slows_down() {
        let mut now = Instant::now();
        let mut limit = AdaptiveLimit::new(64, 64 / 8);
        rounds(&mut limit, &mut now, 10, 50 * MS);
        rounds(&mut limit, &mut now, 4, 500 * MS);
        assert!(limit.get() < 40, "{}", limit.get());
        rounds(&mut limit, &mut now, 80, 50 * MS);
        assert_eq!(limit.get(), 64);
    }
}
