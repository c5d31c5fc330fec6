//! What a record costs: the [`Meter`] trait, and the meters that there are.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Task, params::ProxyType};

/// Says what the page of a task costs, if it comes. Records of errors cost nothing.
///
/// The driver asks before each attempt, and again while there is no room for it, in its own loop: an answer takes no I/O and no
/// more than about a microsecond. The same task must cost the same every time. A panic ends the job.
///
/// What a task asks for may change between its attempts, by [`FetchError::means`](crate::FetchError::means):
/// a page that was only had by dearer means is paid for as that.
pub trait Meter: fmt::Debug + Send + Sync {
    /// The credits of an ok record of this task.
    fn price(&self, task: &Task) -> u64;
}

/// Charges nothing: the meter of a job that isn't given another one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Free;

impl Meter for Free {
    fn price(&self, _task: &Task) -> u64 {
        0
    }
}

/// Charges by what a page is had with: a base, and something on top for each dear means.
///
/// ```
/// use harvestman_engine::{Meter, Params, RateCard, Task};
///
/// let params: Params = serde_json::from_str(r#"{"render": true, "proxy_type": "mobile"}"#)?;
/// let task = Task::new(0, "https://a.test/", params);
/// assert_eq!(RateCard::default().price(&task), 1 + 2 + 4);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RateCard {
    /// Every page; 1 by default.
    pub base: u64,
    /// On top when it is rendered; 2 by default.
    pub render: u64,
    /// On top through a residential proxy; 2 by default.
    pub residential: u64,
    /// On top through a mobile proxy; 4 by default.
    pub mobile: u64,
    /// On top when fields are extracted; 1 by default.
    pub extract: u64,
}

impl Default for RateCard {
    fn default() -> Self {
        Self { base: 1, render: 2, residential: 2, mobile: 4, extract: 1 }
    }
}

impl Meter for RateCard {
    fn price(&self, task: &Task) -> u64 {
        let params = task.params();
        let render = if params.needs_browser() { self.render } else { 0 };
        let proxy = match params.proxy_type {
            Some(ProxyType::Residential) => self.residential,
            Some(ProxyType::Mobile) => self.mobile,
            Some(ProxyType::Datacenter) | None => 0,
        };
        let extract = if params.extract.is_some() { self.extract } else { 0 };
        [render, proxy, extract].into_iter().fold(self.base, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Params;

    fn price(card: &RateCard, params: &str) -> u64 {
        let params: Params = serde_json::from_str(params).unwrap();
        card.price(&Task::new(0, "http://a.test/", params))
    }

    #[test]
    fn the_default_is_the_card_of_the_contract() {
        for (params, credits) in [
            ("{}", 1),
            (r#"{"render": true}"#, 3),
            (r#"{"wait_for": "h1"}"#, 3),
            (r#"{"render": false, "proxy_type": "datacenter"}"#, 1),
            (r#"{"proxy_type": "residential"}"#, 3),
            (r#"{"proxy_type": "mobile"}"#, 5),
            (r#"{"extract": {"a": "string"}}"#, 2),
            (r#"{"render": true, "proxy_type": "mobile", "extract": {"a": "string"}}"#, 8),
        ] {
            assert_eq!(price(&RateCard::default(), params), credits, "{params}");
        }
    }

    #[test]
    fn a_card_is_configuration() {
        let card: RateCard = serde_json::from_str(r#"{"render": 18446744073709551615}"#).unwrap();
        assert_eq!(price(&card, r#"{"render": true}"#), u64::MAX);
        assert!(serde_json::from_str::<RateCard>(r#"{"rendr": 1}"#).is_err());
    }
}
