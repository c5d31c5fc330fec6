//! How long to wait before something is tried again, and when to stop.

use std::time::Duration;

/// How often something is tried that makes no progress.
const MAX_TRIES: u32 = 6;
/// The wait after the first try; each is twice the one before,
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// The longest wait that a service may ask for. A person can decide better whether to wait longer.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(120);

/// The tries of one thing so far.
#[derive(Debug, Default)]
pub(crate) struct Tries {
    failed: u32,
}

impl Tries {
    /// How long to wait after a failure; `None` if it should be given up. What the service asks for is
    /// waited at least.
    pub(crate) fn pause(&mut self, retry_after: Option<Duration>) -> Option<Duration> {
        self.failed += 1;
        let asked = retry_after.unwrap_or_default();
        if self.failed >= MAX_TRIES || asked > LONGEST_RETRY_AFTER {
            return None;
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << (self.failed - 1)).min(LONGEST_PAUSE);
        // Many clients that lost the same service come back at different times.
        Some(asked.max(pause.mul_f64(rand::random_range(0.75..1.0))))
    }

    /// There was progress: what fails now is something new.
    pub(crate) fn reset(&mut self) {
        self.failed = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let mut tries = Tries::default();
        let pauses: Vec<_> = std::iter::from_fn(|| tries.pause(None)).collect();
        assert_eq!(pauses.len(), MAX_TRIES as usize - 1);
        assert!(pauses.windows(2).all(|pair| pair[0] < pair[1]), "{pauses:?}");
        assert!(pauses.iter().sum::<Duration>() < Duration::from_secs(10));
    }

    #[test]
    fn a_service_is_heeded_within_bounds() {
        let asked = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(Tries::default().pause(asked(120)), asked(120));
        assert_eq!(Tries::default().pause(asked(121)), None);
    }

    #[test]
    fn progress_begins_anew() {
        let mut tries = Tries::default();
        for _ in 0..3 * MAX_TRIES {
            assert!(tries.pause(None).is_some());
            tries.reset();
        }
    }
}
