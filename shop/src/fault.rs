//! What goes wrong in the shop, and with which product.

use std::time::Duration;

use crate::random::Random;

const PURPOSE: u64 = 0x6661_756C;
/// The wait that a 429 asks for, unless another is set.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(1);

/// How many products of 1,000 have which fault. At most 1,000 have one: the first shares win.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    slow: u32,
    not_found: u32,
    server_error: u32,
    unavailable_once: u32,
    rate_limited_once: u32,
    redirect: u32,
    truncated: u32,
    not_html: u32,
    retry_after: Duration,
}

/// What goes wrong with one product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing: the page comes.
    None,
    /// The page comes after this time, 300 ms to 1.5 s.
    Slow(Duration),
    /// Always 404.
    NotFound,
    /// Always 500.
    ServerError,
    /// 503 the first time, then the page.
    UnavailableOnce,
    /// 429 with `Retry-After` of these whole seconds the first time, then the page.
    RateLimitedOnce(Duration),
    /// 301 to the canonical URL, which has the page.
    Redirect,
    /// The connection always closes in the middle of the body.
    Truncated,
    /// 200 with a document that isn't HTML.
    NotHtml,
}

impl Faults {
    /// No fault at all.
    pub fn none() -> Self {
        Self {
            slow: 0,
            not_found: 0,
            server_error: 0,
            unavailable_once: 0,
            rate_limited_once: 0,
            redirect: 0,
            truncated: 0,
            not_html: 0,
            retry_after: DEFAULT_RETRY_AFTER,
        }
    }

    /// A bit of everything: 10.1 % of the products have a fault, 3.2 % never yield their page.
    pub fn demo() -> Self {
        Self {
            slow: 30,
            not_found: 10,
            server_error: 10,
            unavailable_once: 20,
            rate_limited_once: 6,
            redirect: 13,
            truncated: 7,
            not_html: 5,
            ..Self::none()
        }
    }

    /// Sets how many of 1,000 products are [slow](Fault::Slow).
    pub fn with_slow(mut self, per_mille: u32) -> Self {
        self.slow = per_mille;
        self
    }

    /// Sets how many of 1,000 products are [not found](Fault::NotFound).
    pub fn with_not_found(mut self, per_mille: u32) -> Self {
        self.not_found = per_mille;
        self
    }

    /// Sets how many of 1,000 products answer with a [server error](Fault::ServerError).
    pub fn with_server_error(mut self, per_mille: u32) -> Self {
        self.server_error = per_mille;
        self
    }

    /// Sets how many of 1,000 products are [unavailable once](Fault::UnavailableOnce).
    pub fn with_unavailable_once(mut self, per_mille: u32) -> Self {
        self.unavailable_once = per_mille;
        self
    }

    /// Sets how many of 1,000 products are [rate-limited once](Fault::RateLimitedOnce).
    pub fn with_rate_limited_once(mut self, per_mille: u32) -> Self {
        self.rate_limited_once = per_mille;
        self
    }

    /// Sets how many of 1,000 products [redirect](Fault::Redirect).
    pub fn with_redirect(mut self, per_mille: u32) -> Self {
        self.redirect = per_mille;
        self
    }

    /// Sets how many of 1,000 products have a [truncated body](Fault::Truncated).
    pub fn with_truncated(mut self, per_mille: u32) -> Self {
        self.truncated = per_mille;
        self
    }

    /// Sets how many of 1,000 products are [no HTML](Fault::NotHtml).
    pub fn with_not_html(mut self, per_mille: u32) -> Self {
        self.not_html = per_mille;
        self
    }

    /// Sets the wait that a 429 asks for, 1 s by default; parts of a second are dropped.
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Duration::from_secs(wait.as_secs());
        self
    }

    /// The fault of a product: a pure function of the shares and the number.
    pub(crate) fn of(&self, number: u32) -> Fault {
        let mut random = Random::new(PURPOSE, number);
        let mut drawn = random.below(1000);
        let slow = Fault::Slow(Duration::from_millis(u64::from(300 + random.below(1200))));
        for (share, fault) in [
            (self.slow, slow),
            (self.not_found, Fault::NotFound),
            (self.server_error, Fault::ServerError),
            (self.unavailable_once, Fault::UnavailableOnce),
            (self.rate_limited_once, Fault::RateLimitedOnce(self.retry_after)),
            (self.redirect, Fault::Redirect),
            (self.truncated, Fault::Truncated),
            (self.not_html, Fault::NotHtml),
        ] {
            match drawn.checked_sub(share) {
                Some(rest) => drawn = rest,
                None => return fault,
            }
        }
        Fault::None
    }
}

impl Default for Faults {
    /// No fault at all.
    fn default() -> Self {
        Self::none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_has_its_share() {
        let faults = Faults::demo();
        let all: Vec<Fault> = (0..10_000).map(|number| faults.of(number)).collect();
        for (fault, share) in [
            (Fault::NotFound, faults.not_found),
            (Fault::ServerError, faults.server_error),
            (Fault::UnavailableOnce, faults.unavailable_once),
            (Fault::RateLimitedOnce(DEFAULT_RETRY_AFTER), faults.rate_limited_once),
            (Fault::Redirect, faults.redirect),
            (Fault::Truncated, faults.truncated),
            (Fault::NotHtml, faults.not_html),
            (Fault::None, 899),
        ] {
            let count = all.iter().filter(|found| **found == fault).count() as u32;
            assert!(count.abs_diff(share * 10) < 30 + share, "{count} times {fault:?}");
        }
        let again: Vec<Fault> = (0..10_000).map(|number| faults.of(number)).collect();
        assert_eq!(all, again);
    }

    #[test]
    fn slow_is_between_300_ms_and_1500_ms() {
        let faults = Faults::none().with_slow(1000);
        for number in 0..1000 {
            let Fault::Slow(time) = faults.of(number) else { panic!("{number} is fast") };
            assert!((300..1500).contains(&time.as_millis()), "{time:?}");
        }
    }

    #[test]
    fn no_faults_are_none_and_a_thousand_are_all() {
        assert!((0..1000).all(|number| Faults::none().of(number) == Fault::None));
        let all = Faults::none().with_redirect(1000);
        assert!((0..1000).all(|number| all.of(number) == Fault::Redirect));
    }
}
