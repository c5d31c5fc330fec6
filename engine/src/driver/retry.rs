//! When a failed task is tried again.

use std::time::Duration;

use rand::RngExt;

use crate::{FetchError, params::RetryParams};

/// Which failures are tried again, and after how long.
///
/// The wait before try *n* + 1 is drawn evenly from 0 to `base` × 2ⁿ⁻¹, at most `max_wait`: the
/// "full jitter" of Marc Brooker's [Exponential Backoff And Jitter], which spreads a crowd of
/// clients best. A server's `Retry-After` is waited out on top of nothing shorter, up to
/// `max_retry_after`.
///
/// [Exponential Backoff And Jitter]: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// What is tried again and how often, for tasks that don't say themselves; twice by default.
    pub params: RetryParams,
    /// The longest wait before the second try; 500 ms by default.
    pub base: Duration,
    /// The longest wait before any try; 30 s by default.
    pub max_wait: Duration,
    /// The longest `Retry-After` that is honoured; 5 minutes by default. A longer one counts as this.
    pub max_retry_after: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            params: RetryParams::default(),
            base: Duration::from_millis(500),
            max_wait: Duration::from_secs(30),
            max_retry_after: Duration::from_mins(5),
        }
    }
}

impl RetryPolicy {
    /// Sets what is tried again and how often.
    pub fn with_params(mut self, params: RetryParams) -> Self {
        self.params = params;
        self
    }

    /// Sets the longest wait before the second try.
    pub fn with_base(mut self, base: Duration) -> Self {
        self.base = base;
        self
    }

    /// Sets the longest `Retry-After` that is honoured.
    pub fn with_max_retry_after(mut self, wait: Duration) -> Self {
        self.max_retry_after = wait;
        self
    }

    /// How long to wait before the next try; `None` if the failure is final.
    pub(crate) fn wait(
        &self,
        params: Option<&RetryParams>,
        attempts: u32,
        error: &FetchError,
    ) -> Option<Duration> {
        let params = params.unwrap_or(&self.params);
        if attempts > params.max || !params.covers(error) {
            return None;
        }
        let most = self.base.saturating_mul(1 << (attempts - 1).min(20)).min(self.max_wait);
        let drawn = most.mul_f64(rand::rng().random());
        Some(drawn.max(self.retry_after(error).unwrap_or_default()))
    }

    /// The answer's `Retry-After`, capped.
    pub(crate) fn retry_after(&self, error: &FetchError) -> Option<Duration> {
        error.retry_after.map(|wait| wait.min(self.max_retry_after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    #[test]
    fn waits_grow_up_to_a_cap_and_end() {
        let policy = RetryPolicy::default().with_params(RetryParams::up_to(10));
        let error = FetchError::new(Code::Timeout, "");
        for (attempts, most) in [(1, 500), (2, 1_000), (3, 2_000), (10, 30_000)] {
            for _ in 0..50 {
                let wait = policy.wait(None, attempts, &error).unwrap();
                assert!(wait <= Duration::from_millis(most), "{attempts}: {wait:?}");
            }
        }
        assert_eq!(policy.wait(None, 11, &error), None);
    }

    #[test]
    fn the_server_is_obeyed_up_to_the_cap() {
        let policy = RetryPolicy::default();
        for (asked, waited) in [(20, 20), (4_000, 300)] {
            let asked = Some(Duration::from_secs(asked));
            let error = FetchError::new(Code::Target429, "").with_retry_after(asked);
            assert_eq!(policy.wait(None, 1, &error), Some(Duration::from_secs(waited)));
        }
    }

    #[test]
    fn a_task_can_say_otherwise() {
        let policy = RetryPolicy::default();
        let error = FetchError::new(Code::Timeout, "");
        assert_eq!(policy.wait(Some(&RetryParams::never()), 1, &error), None);
        assert_eq!(policy.wait(None, 1, &error.permanent()), None);
        assert_eq!(policy.wait(None, 1, &FetchError::new(Code::Target4xx, "")), None);
    }
}
