//! Pools of proxies: which one an attempt goes through, and what is remembered of it.

mod config;
mod health;
mod jar;
mod lease;
mod pool;
mod session;
mod template;

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use harvestman_engine::{Code, FetchError, Result, params::ProxyType};
use lru::LruCache;
use tokio::time::Instant;
use url::Url;

pub use self::config::{MAX_PROXIES, PoolConfig, ProxiesConfig};
#[cfg(feature = "render")]
pub(crate) use self::template::address;
pub(crate) use self::{
    jar::Jar,
    lease::{Lease, Outcome},
};
use self::{
    pool::{Pool, Wanted},
    session::Sessions,
};

/// The most proxies, or sessions of proxies, that have a connection pool at a time.
const MAX_CLIENTS: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

/// Proxies by class and country, with what is known of their health, and sessions.
///
/// Among the healthy ones of a class the least recently used is next. A proxy that fails rests, for
/// 2 s at first and twice as long each time, up to 5 minutes; after a rest it gets one request, and
/// all of them again if that succeeds. A proxy whose requests are often blocked or time out rests for
/// 30 s. If all of them rest, the one that is first to be back is taken: proxies never fail a task
/// that has not been tried.
///
/// Tasks with one `session_id` share a proxy and cookies, until three of them were blocked, the
/// proxy has failed, or 50 minutes have passed; then the session begins anew.
///
/// Clones share everything.
#[derive(Clone, Debug)]
pub struct Proxies {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// By proxy, and whether connections are used again.
    clients: Mutex<LruCache<(Url, bool), reqwest::Client>>,
}

#[derive(Debug)]
struct State {
    pool: Pool,
    sessions: Sessions,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One proxy, without its user and password.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProxyStatus {
    /// Scheme, host and port, e.g. `http://gate.example:8000`.
    pub address: String,
    /// Its class.
    pub class: ProxyType,
    /// Its country, if it has one of its own.
    pub country: Option<String>,
    /// Whether it would be used now.
    pub is_healthy: bool,
}

impl Default for Proxies {
    /// No proxies.
    fn default() -> Self {
        Self::new(&ProxiesConfig::new()).expect("no proxy can't be wrong")
    }
}

impl Proxies {
    /// Proxies as configured.
    ///
    /// Fails on a proxy that can't be used, which the error names without its password, and on more
    /// than [`MAX_PROXIES`].
    pub fn new(config: &ProxiesConfig) -> Result<Self> {
        let state = State { pool: Pool::new(config)?, sessions: Sessions::new() };
        let clients = Mutex::new(LruCache::new(MAX_CLIENTS));
        Ok(Self { shared: Arc::new(Shared { state: Mutex::new(state), clients }) })
    }

    /// The classes that there are, from the weakest to the strongest.
    pub fn classes(&self) -> Vec<ProxyType> {
        self.shared.state().pool.classes()
    }

    /// Each proxy, in the order of the configuration.
    pub fn status(&self) -> Vec<ProxyStatus> {
        self.shared.state().pool.status(Instant::now())
    }

    /// Refuses a class or country that no proxy is of, saying which ones there are.
    pub fn check(&self, class: Option<ProxyType>, country: Option<&str>) -> Result<(), FetchError> {
        self.shared.state().pool.check(Wanted { class, country })
    }

    /// Chooses a proxy for one attempt.
    ///
    /// Without a class, the weakest that has the country.
    pub(crate) fn lease(
        &self,
        class: Option<ProxyType>,
        country: Option<&str>,
        session: Option<&str>,
    ) -> Result<Lease, FetchError> {
        let wanted = Wanted { class, country };
        let mut state = self.shared.state();
        let State { pool, sessions } = &mut *state;
        pool.check(wanted)?;
        let now = Instant::now();
        let (member, url, seat, jar) = if let Some(name) = session {
            let (key, session) = sessions.get(name, wanted, pool, now);
            let url = pool.url(session.member, country, &session.token);
            let seat = Some((key, session.generation));
            (session.member, url, seat, Some(Arc::clone(&session.jar)))
        } else {
            let member = pool.choose(wanted, now);
            (member, pool.url_of_nobody(member, country), None, None)
        };
        let url = url.map_err(|message| {
            FetchError::new(Code::ProxyError, message.to_string()).permanent()
        })?;
        drop(state);
        Ok(Lease::new(Arc::clone(&self.shared), member, url, seat, jar))
    }

    /// The cookies of a session that goes through no proxy.
    pub(crate) fn direct_jar(&self, session: &str) -> Arc<Jar> {
        self.shared.state().sessions.direct(session, Instant::now())
    }

    /// The connection pool of a proxy; made by `build` when there is none.
    pub(crate) fn client(
        &self,
        proxy: &Url,
        keeps: bool,
        build: impl FnOnce() -> Result<reqwest::Client>,
    ) -> Result<reqwest::Client> {
        let clients = || self.shared.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (proxy.clone(), keeps);
        if let Some(client) = clients().get(&key) {
            return Ok(client.clone());
        }
        // Takes milliseconds, during which other attempts go on.
        let client = build()?;
        clients().put(key, client.clone());
        Ok(client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_connection_pools_is_bounded() {
        let proxies = Proxies::default();
        for number in 0..2 * MAX_CLIENTS.get() {
            let url = format!("http://u-{number}:p@gate.test:1").parse().unwrap();
            // Building a real one takes milliseconds.
            proxies.client(&url, true, || Ok(CLIENT.clone())).unwrap();
        }
        assert_eq!(proxies.shared.clients.lock().unwrap().len(), MAX_CLIENTS.get());
        let last = format!("http://u-{}:p@gate.test:1", 2 * MAX_CLIENTS.get() - 1);
        let known = |keeps| {
            let built = std::cell::Cell::new(false);
            let build = || {
                built.set(true);
                Ok(CLIENT.clone())
            };
            proxies.client(&last.parse().unwrap(), keeps, build).unwrap();
            !built.get()
        };
        assert!(known(true), "the last ones are kept");
        assert!(!known(false), "what is not used again has a pool of its own");
    }

    static CLIENT: std::sync::LazyLock<reqwest::Client> =
        std::sync::LazyLock::new(|| reqwest::Client::builder().tls_certs_only([]).build().unwrap());
}
