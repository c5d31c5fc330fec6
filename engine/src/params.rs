//! The Scrape parameters: how a page is fetched and what is taken from it.

mod action;
mod name;
mod said;
mod set;
mod value;
mod write;
#[cfg(test)]
pub(crate) mod written;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use http::{HeaderMap, Method};
use serde::{Deserialize, Deserializer, de::MapAccess};

use crate::{ExtractOptions, Schema};

pub use self::action::{
    Action, Entry, Key, MAX_ACTION_TIME, MAX_ACTIONS, MAX_SELECTOR_BYTES, Screenshot, Scroll,
    Selector, Wait,
};
pub use self::value::{Body, Format, ProxyType, RetryParams, RetryReason, StatusRange};
pub(crate) use self::{name::Param, said::Said, set::ParamSeed, value::is_deeper_than};

/// How long an attempt may take when a task doesn't say.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest decoded body when a task doesn't say, in bytes.
pub const DEFAULT_MAX_BYTES: u64 = 10 * 1024 * 1024;
/// How many redirects are followed when a task doesn't say.
pub const DEFAULT_FOLLOW_REDIRECTS: u32 = 10;
/// The bounds of `timeout_ms`.
pub const TIMEOUT_RANGE: std::ops::RangeInclusive<u64> = 1_000..=120_000;
/// The largest number of redirects that can be asked for.
pub const MAX_FOLLOW_REDIRECTS: u32 = 50;
/// The largest number of retries that can be asked for.
pub const MAX_RETRIES: u32 = 10;
/// The largest number of headers, and of cookies, of one task.
pub const MAX_HEADERS: usize = 100;
/// How many levels deep the JSON of `body` and `extract` may be.
pub const MAX_NESTING: usize = 64;

/// The Scrape parameters of a task, or the defaults of a job; `None` is "not said".
///
/// A line of the input is merged onto the job's defaults key by key: null removes a key, `headers`
/// merge by name, `extract` and `retry` are replaced whole. All parameters of the contract are
/// read; what a fetcher can't serve it refuses on the task.
///
/// ```
/// use harvestman_engine::Params;
///
/// let params: Params = serde_json::from_str(r#"{"timeout_ms": 5000, "headers": {"a": "b"}}"#)?;
/// assert_eq!(params.timeout().as_secs(), 5);
/// assert!(serde_json::from_str::<Params>(r#"{"timeout": 5}"#).is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Params {
    /// Render the page in a browser.
    pub render: Option<bool>,
    /// The class of proxy to go through.
    pub proxy_type: Option<ProxyType>,
    /// The country of the proxy, two letters.
    pub country: Option<String>,
    /// Tasks with the same session share cookies and proxy.
    pub session_id: Option<String>,
    /// The fields to find.
    pub extract: Option<Arc<Schema>>,
    /// How strictly the fields are read, and what is said of them.
    pub extract_options: Option<Arc<ExtractOptions>>,
    /// Which failures are tried again, and how often.
    pub retry: Option<Arc<RetryParams>>,
    /// The request method; GET without it, POST with a body.
    pub method: Option<Method>,
    /// Request headers.
    pub headers: Option<Arc<HeaderMap>>,
    /// Cookies to send, by name.
    pub cookies: Option<BTreeMap<String, String>>,
    /// The request body.
    pub body: Option<Body>,
    /// The `User-Agent` header.
    pub user_agent: Option<Arc<str>>,
    /// How long one attempt may take, all of it.
    pub timeout: Option<Duration>,
    /// The largest decoded body, in bytes.
    pub max_bytes: Option<u64>,
    /// Statuses that count as an answer; 2xx without it.
    pub accept_status: Option<Vec<StatusRange>>,
    /// How many redirects are followed.
    pub follow_redirects: Option<u32>,
    /// Rendered: wait for this selector.
    pub wait_for: Option<Selector>,
    /// Rendered: wait this long after loading.
    pub wait: Option<Duration>,
    /// Rendered: don't load images, fonts and media.
    pub block_resources: Option<bool>,
    /// Rendered: keep a screenshot.
    pub screenshot: Option<Screenshot>,
    /// Rendered: clicks, typing and scrolling before the page is taken.
    pub actions: Option<Vec<Action>>,
    /// What the record holds of the page.
    pub formats: Option<Vec<Format>>,
    /// Ask the host's robots.txt first.
    pub respect_robots: Option<bool>,
}

impl Params {
    /// Nothing said: everything by default.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the fields to find.
    pub fn with_extract(mut self, schema: impl Into<Arc<Schema>>) -> Self {
        self.extract = Some(schema.into());
        self
    }

    /// Sets how strictly the fields are read, and what is said of them.
    pub fn with_extract_options(mut self, options: ExtractOptions) -> Self {
        self.extract_options = Some(Arc::new(options));
        self
    }

    /// Sets how long one attempt may take.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets which failures are tried again, and how often.
    pub fn with_retry(mut self, retry: RetryParams) -> Self {
        self.retry = Some(Arc::new(retry));
        self
    }

    /// These parameters with the keys of an object merged onto them, as those of a line are.
    #[cfg(feature = "jobs")]
    pub(crate) fn merged(
        &self,
        keys: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Self, serde_json::Error> {
        use serde::de::DeserializeSeed;

        let (mut params, mut said) = (self.clone(), said::Said::default());
        for (key, value) in keys {
            let seed = ParamSeed { params: &mut params, said: &mut said, key };
            seed.deserialize(value.clone())?;
        }
        Ok(params)
    }

    /// How long one attempt may take: `timeout_ms`, or [`DEFAULT_TIMEOUT`].
    pub fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(DEFAULT_TIMEOUT)
    }

    /// The largest decoded body in bytes: `max_bytes`, or [`DEFAULT_MAX_BYTES`].
    pub fn max_bytes(&self) -> u64 {
        self.max_bytes.unwrap_or(DEFAULT_MAX_BYTES)
    }

    /// How many redirects are followed: `follow_redirects`, or [`DEFAULT_FOLLOW_REDIRECTS`].
    pub fn follow_redirects(&self) -> u32 {
        self.follow_redirects.unwrap_or(DEFAULT_FOLLOW_REDIRECTS)
    }

    /// Whether an answer with this status is a page: by `accept_status`, or 2xx.
    pub fn accepts_status(&self, status: u16) -> bool {
        match &self.accept_status {
            Some(ranges) => ranges.iter().any(|range| range.contains(status)),
            None => (200..300).contains(&status),
        }
    }

    /// The part of the page that is kept as an image, if any.
    pub fn screenshot(&self) -> Screenshot {
        self.screenshot.unwrap_or(Screenshot::Off)
    }

    /// Whether the page can't be had without a browser: by `render`, or by what only one can do.
    pub fn needs_browser(&self) -> bool {
        self.render == Some(true)
            || self.wait_for.is_some()
            || self.screenshot() != Screenshot::Off
            || self.actions.as_ref().is_some_and(|actions| !actions.is_empty())
    }

    /// What the record holds of the page: `formats`, or the data if there is an `extract`, or the HTML.
    pub fn formats(&self) -> &[Format] {
        match (&self.formats, &self.extract) {
            (Some(formats), _) => formats,
            (None, Some(_)) => &[Format::Data],
            (None, None) => &[Format::Html],
        }
    }
}

impl<'de> Deserialize<'de> for Params {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Params;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of Scrape parameters")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Params, A::Error> {
                let (mut params, mut said) = (Params::new(), Said::default());
                while let Some(key) = map.next_key::<String>()? {
                    let (params, said) = (&mut params, &mut said);
                    map.next_value_seed(ParamSeed { params, said, key: &key })?;
                }
                Ok(params)
            }
        }

        deserializer.deserialize_map(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(json: &str) -> Params {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn defaults_are_those_of_the_contract() {
        let params = Params::new();
        assert_eq!(params.timeout(), Duration::from_secs(30));
        assert_eq!(params.max_bytes(), 10 * 1024 * 1024);
        assert_eq!(params.follow_redirects(), 10);
        assert_eq!(params.formats(), [Format::Html]);
        assert!(params.accepts_status(204) && !params.accepts_status(301));
    }

    #[test]
    fn every_parameter_of_the_contract_is_read() {
        let all = params(
            r#"{"render": true, "proxy_type": "mobile", "country": "de", "session_id": "s",
            "extract": {"a": "string"}, "retry": {"on": ["5xx"], "max": 1, "escalate": true},
            "method": "POST", "headers": {"X-A": "1"}, "cookies": {"c": "d"}, "body": {"k": [1]},
            "user_agent": "ua", "timeout_ms": 1000, "max_bytes": 5, "accept_status": [404, "5xx"],
            "follow_redirects": 0, "wait_for": "h1", "wait_ms": 10, "block_resources": true,
            "screenshot": false, "actions": [{"click": "a"}], "formats": ["data", "links"],
            "respect_robots": true, "extract_options": {"strict": true, "meta": true}}"#,
        );
        assert!(all.accepts_status(404) && all.accepts_status(503) && !all.accepts_status(200));
        assert_eq!(all.method, Some(Method::POST));
        assert_eq!(all.retry.unwrap().max, 1);
        assert!(all.extract_options.unwrap().strict);
        assert_eq!(all.formats, Some(vec![Format::Data, Format::Links]));
    }

    #[test]
    fn limits_and_unknown_keys_are_refused_by_name() {
        let table = [
            (r#"{"timeout_ms": 999}"#, "timeout_ms: must be 1000 to 120000"),
            (r#"{"concurrency": 3}"#, "`concurrency` belongs to the job, not to a line"),
            (r#"{"timeout": 3}"#, "`timeout` is no Scrape parameter"),
            (r#"{"headers": {"a\nb": "c"}}"#, "headers: `a\\nb` is no header name"),
            (r#"{"headers": {"a": "c\r\nd"}}"#, "headers: the value of `a`"),
            (r#"{"retry": {"on": ["4xx"]}}"#, "retry"),
            (r#"{"extract": {"a": "nope"}}"#, "extract.a"),
            (r#"{"extract_options": {"stric": true}}"#, "extract_options: unknown field `stric`"),
            (r#"{"extract_options": {"min_confidence": 2}}"#, "extract_options: min_confidence"),
        ];
        let deep = format!("{}{}", "[".repeat(MAX_NESTING + 1), "]".repeat(MAX_NESTING + 1));
        let many = (0..40_000).map(|n| format!(r#""x{n}":"","#)).collect::<Vec<_>>().concat();
        let gone = many.replace("\"\"", "null");
        let table = table.map(|(json, message)| (json.to_owned(), message)).into_iter().chain([
            (format!(r#"{{"body": {deep}}}"#), "body: is nested deeper than 64 levels"),
            (format!(r#"{{"extract": {{"a": {deep}}}}}"#), "extract: is nested deeper than 64"),
            (format!(r#"{{"headers": {{{many}"y":""}}}}"#), "headers: more than 100 headers"),
            (format!(r#"{{"headers": {{{gone}"y":""}}}}"#), "headers: more than 100 headers"),
        ]);
        for (json, message) in table {
            let error = serde_json::from_str::<Params>(&json).unwrap_err().to_string();
            assert!(error.contains(message), "{json:.80}: {error}");
        }
    }
}
