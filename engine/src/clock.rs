//! What time it is: the wall clock, or one that a test moves.

use std::{fmt, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Tells the time of day for everything that is written down: when a job was made, when a delivery
/// is due. Waiting goes by Tokio's clock, which no change of the wall clock touches.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The operating system's clock.
    pub fn system() -> Self {
        Self(Arc::new(Timestamp::now))
    }

    /// A clock that shows `start` now and runs with Tokio's, so that a test that pauses and advances
    /// the one moves the other along.
    ///
    /// # Panics
    /// Outside of a runtime, where Tokio's time is paused.
    pub fn with_runtime(start: Timestamp) -> Self {
        let begun = Instant::now();
        Self(Arc::new(move || {
            let elapsed = SignedDuration::try_from(begun.elapsed()).unwrap_or_default();
            start.checked_add(elapsed).unwrap_or(Timestamp::MAX)
        }))
    }

    /// A clock that asks somebody else for the time.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time, to the millisecond.
    pub fn now(&self) -> Timestamp {
        let now = (self.0)();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }
}

/// The time `wait` after another one; the end of time if there is none.
pub(crate) fn after(from: Timestamp, wait: Duration) -> Timestamp {
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    from.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// The time `age` before another one; the beginning of time if there is none.
pub(crate) fn before(now: Timestamp, age: Duration) -> Timestamp {
    let age = SignedDuration::try_from(age).unwrap_or(SignedDuration::MAX);
    now.checked_sub(age).unwrap_or(Timestamp::MIN)
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_runs_with_the_runtime() {
        let clock = Clock::with_runtime("2026-05-12T22:00:14Z".parse().unwrap());
        tokio::time::advance(Duration::from_hours(2)).await;
        assert_eq!(clock.now().to_string(), "2026-05-13T00:00:14Z");
    }
}
