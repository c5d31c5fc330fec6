//! What an operator says about the proxies.

use harvestman_engine::params::ProxyType;
use serde::Deserialize;

use super::template::Template;

/// The most proxies in all pools together.
pub const MAX_PROXIES: usize = 10_000;

/// The pools of proxies, as read from a configuration file.
///
/// ```toml
/// [[pools]]
/// class = "datacenter"
/// country = "de"
/// proxies = ["http://user:password@192.0.2.1:3128", "socks5://192.0.2.2:1080"]
///
/// [[pools]]
/// class = "residential"
/// country = "us"
/// proxies = ["http://user-country-{country}-session-{session}:password@gate.example:8000"]
/// ```
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ProxiesConfig {
    /// The pools.
    #[serde(default)]
    pub pools: Vec<PoolConfig>,
}

/// Proxies of one class.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PoolConfig {
    /// Their class.
    pub class: ProxyType,
    /// Their country, two letters. Of a proxy with `{country}` in its user name, which has all
    /// countries, the one for tasks that name none.
    #[serde(default)]
    pub country: Option<String>,
    /// Their URLs: `http://`, `https://` or `socks5://`, with user and password where needed. In
    /// these `{country}` and `{session}` stand for the task's country and for the name of a session,
    /// eight letters and digits.
    pub proxies: Vec<Template>,
}

impl ProxiesConfig {
    /// No proxies.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a pool.
    pub fn with_pool(mut self, pool: PoolConfig) -> Self {
        self.pools.push(pool);
        self
    }
}

impl PoolConfig {
    /// A pool of these URLs.
    pub fn new<'a>(class: ProxyType, urls: impl IntoIterator<Item = &'a str>) -> Self {
        Self { class, country: None, proxies: urls.into_iter().map(Template::new).collect() }
    }

    /// Sets the country, two letters.
    pub fn with_country(mut self, country: impl Into<String>) -> Self {
        self.country = Some(country.into());
        self
    }
}
