//! How many events a second there are of late.

use std::time::Duration;

use tokio::time::Instant;

/// Events that are this old count for 1/e.
const MEMORY: Duration = Duration::from_secs(15);

/// Events per second over the recent past: both the events and the time fade exponentially, so the
/// figure is right from the first second on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    events: f64,
    seconds: f64,
    at: Instant,
}

impl Rate {
    pub(crate) fn new(now: Instant) -> Self {
        Self { events: 0.0, seconds: 0.0, at: now }
    }

    pub(crate) fn add(&mut self, now: Instant) {
        self.fade(now);
        self.events += 1.0;
    }

    /// `None` before the first event.
    pub(crate) fn per_second(mut self, now: Instant) -> Option<f64> {
        self.fade(now);
        (self.events > 0.0 && self.seconds > 0.0).then(|| self.events / self.seconds)
    }

    fn fade(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        if elapsed == 0.0 {
            return;
        }
        let memory = MEMORY.as_secs_f64();
        let kept = (-elapsed / memory).exp();
        self.events *= kept;
        self.seconds = self.seconds * kept + memory * (1.0 - kept);
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_right_early_and_follows_a_change() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        assert_eq!(rate.per_second(start), None);
        let mut now = start;
        let mut run = |rate: &mut Rate, events: u32, every: u64| {
            for _ in 0..events {
                now += Duration::from_millis(every);
                rate.add(now);
            }
            rate.per_second(now).unwrap()
        };
        let early = run(&mut rate, 20, 100);
        assert!((9.0..11.0).contains(&early), "{early}");
        let later = run(&mut rate, 60, 1_000);
        assert!((0.9..1.3).contains(&later), "{later}");
    }
}
