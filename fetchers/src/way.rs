//! How an attempt leaves: directly or through a proxy, with or without a session's cookies.

#[cfg(feature = "proxies")]
use std::sync::Arc;

use http::{HeaderMap, HeaderValue};
use url::Url;

#[cfg(feature = "proxies")]
use crate::proxies::{Jar, Lease, Proxies};

/// The way of one attempt.
#[derive(Debug, Default)]
pub(crate) struct Way<'a> {
    #[cfg(feature = "proxies")]
    proxy: Option<Proxy<'a>>,
    #[cfg(feature = "proxies")]
    jar: Option<Arc<Jar>>,
    #[cfg(not(feature = "proxies"))]
    nothing: std::marker::PhantomData<&'a ()>,
}

/// The proxy on the way.
#[cfg(feature = "proxies")]
#[derive(Debug)]
pub(crate) struct Proxy<'a> {
    pub(crate) proxies: &'a Proxies,
    pub(crate) lease: &'a Lease,
}

#[cfg(feature = "proxies")]
impl Proxy<'_> {
    /// With user and password.
    pub(crate) fn url(&self) -> &Url {
        self.lease.url()
    }

    /// For messages.
    pub(crate) fn address(&self) -> String {
        self.lease.address()
    }

    pub(crate) fn client(
        &self,
        keeps: bool,
        build: impl FnOnce() -> harvestman_engine::Result<reqwest::Client>,
    ) -> harvestman_engine::Result<reqwest::Client> {
        self.proxies.client(self.lease.url(), keeps, build)
    }
}

impl Way<'_> {
    /// Without a proxy and without a session.
    pub(crate) fn direct() -> Self {
        Self::default()
    }

    /// The session's cookies for a request.
    #[cfg(feature = "proxies")]
    pub(crate) fn cookies(&self, url: &Url) -> Option<HeaderValue> {
        self.jar.as_ref().and_then(|jar| jar.header(url))
    }

    /// Keeps what an answer sets.
    #[cfg(feature = "proxies")]
    pub(crate) fn keep_cookies(&self, headers: &HeaderMap, url: &Url) {
        if let Some(jar) = &self.jar {
            jar.keep(headers, url);
        }
    }

    /// None: without the feature there are no sessions.
    #[cfg(not(feature = "proxies"))]
    #[expect(clippy::unused_self, reason = "with sessions it is used")]
    pub(crate) fn cookies(&self, _url: &Url) -> Option<HeaderValue> {
        None
    }

    /// Nothing is kept: without the feature there are no sessions.
    #[cfg(not(feature = "proxies"))]
    #[expect(clippy::unused_self, reason = "with sessions it is used")]
    pub(crate) fn keep_cookies(&self, _headers: &HeaderMap, _url: &Url) {}
}

#[cfg(feature = "proxies")]
impl<'a> Way<'a> {
    /// Through a proxy, with the cookies of its session.
    pub(crate) fn through(proxies: &'a Proxies, lease: &'a Lease) -> Self {
        Self { proxy: Some(Proxy { proxies, lease }), jar: lease.jar().cloned() }
    }

    /// Without a proxy, with the cookies of a session.
    pub(crate) fn in_session(jar: Option<Arc<Jar>>) -> Self {
        Self { proxy: None, jar }
    }

    pub(crate) fn proxy(&self) -> Option<&Proxy<'a>> {
        self.proxy.as_ref()
    }

    #[cfg(feature = "render")]
    pub(crate) fn jar(&self) -> Option<&Arc<Jar>> {
        self.jar.as_ref()
    }
}
