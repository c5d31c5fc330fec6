//! How many requests a workspace may make.

use std::{num::NonZeroU32, time::Duration};

use axum::response::Response;
use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::DefaultKeyedStateStore,
};
use http::{HeaderName, HeaderValue};

use super::error::{ApiError, ErrorCode};

/// For how many seconds of silence a workspace may make up at once.
const BURST_S: u32 = 2;

type Limiter =
    RateLimiter<String, DefaultKeyedStateStore<String>, DefaultClock, StateInformationMiddleware>;

/// A bucket of requests for each workspace.
pub(crate) struct RateLimits {
    limiter: Limiter,
    burst: u32,
    per_second: u32,
}

/// What is left of a workspace's bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Remaining {
    limit: u32,
    remaining: u32,
    /// In how many seconds the bucket is full again.
    reset_s: u32,
}

impl std::fmt::Debug for RateLimits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateLimits").field("per_second", &self.per_second).finish_non_exhaustive()
    }
}

impl RateLimits {
    /// Buckets that fill with so many requests a second.
    pub(crate) fn new(per_second: u32) -> Self {
        let per_second = per_second.max(1);
        let burst = per_second.saturating_mul(BURST_S);
        let one = NonZeroU32::MIN;
        let quota = Quota::per_second(NonZeroU32::new(per_second).unwrap_or(one))
            .allow_burst(NonZeroU32::new(burst).unwrap_or(one));
        let limiter = DefaultKeyedRateLimiter::<String>::keyed(quota)
            .with_middleware::<StateInformationMiddleware>();
        Self { limiter, burst, per_second }
    }

    /// Takes one request out of the workspace's bucket.
    pub(crate) fn take(&self, workspace: &str) -> Result<Remaining, ApiError> {
        match self.limiter.check_key(&workspace.to_owned()) {
            Ok(snapshot) => Ok(self.remaining(snapshot.remaining_burst_capacity())),
            Err(until) => {
                let wait = until.wait_time_from(DefaultClock::default().now());
                Err(self.refuse(wait))
            }
        }
    }

    fn remaining(&self, remaining: u32) -> Remaining {
        let missing = self.burst.saturating_sub(remaining);
        Remaining { limit: self.burst, remaining, reset_s: missing.div_ceil(self.per_second) }
    }

    fn refuse(&self, wait: Duration) -> ApiError {
        let message = format!("more than {} requests a second", self.per_second);
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let error = ApiError::new(ErrorCode::RateLimited, message).with_retry_after(seconds.max(1));
        let headers = self.remaining(0).headers();
        headers.into_iter().fold(error, |error, (name, value)| error.with_header(name, value))
    }
}

impl Remaining {
    fn headers(self) -> [(HeaderName, HeaderValue); 3] {
        [
            (HeaderName::from_static("ratelimit-limit"), self.limit.into()),
            (HeaderName::from_static("ratelimit-remaining"), self.remaining.into()),
            (HeaderName::from_static("ratelimit-reset"), self.reset_s.into()),
        ]
    }

    /// Adds the headers to an answer.
    pub(crate) fn mark(self, response: &mut Response) {
        response.headers_mut().extend(self.headers());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_that_goes_on_is_refused_and_others_are_not() {
        let limits = RateLimits::new(1);
        let first = limits.take("acme").unwrap();
        assert_eq!(first, Remaining { limit: 2, remaining: 1, reset_s: 1 });
        limits.take("acme").unwrap();
        let refused = limits.take("acme").unwrap_err();
        assert_eq!(refused.code, ErrorCode::RateLimited);
        assert_eq!(refused.retry_after_s, Some(1));
        assert_eq!(refused.headers.len(), 4);
        limits.take("beta").unwrap();
    }
}
