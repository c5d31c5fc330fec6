//! What every request is answered with, and the way of a request to its handler.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{Router, extract::DefaultBodyLimit, middleware};
use harvestman::{Engine, fetchers, spec::Limits};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    auth::{self, Keys},
    error::{ApiError, ErrorCode},
    links::LinkKeys,
    openapi,
    rate::RateLimits,
    routes,
    settings::Hidden,
    trace,
};

/// What the handlers share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) engine: Engine,
    pub(crate) router: Arc<fetchers::Router>,
    pub(crate) keys: Keys,
    pub(crate) rates: RateLimits,
    pub(crate) links: Arc<LinkKeys>,
    pub(crate) metrics: Metrics,
    pub(crate) metrics_token: Option<Hidden>,
    pub(crate) webhook_secret: Option<harvestman::webhook::Secret>,
    pub(crate) public_url: Url,
    /// How long a client may keep silent while it sends.
    pub(crate) client_timeout: Duration,
    /// Set when the service is to stop: streams and long polls end.
    pub(crate) closing: CancellationToken,
    /// Places for previews.
    pub(crate) previews: Semaphore,
    /// Places for event streams.
    pub(crate) event_streams: Arc<Semaphore>,
}

/// What writes the figures down.
pub(crate) struct Metrics(pub(crate) PrometheusHandle);

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl App {
    /// The address that users reach the service at, without a slash at its end.
    pub(crate) fn public_url(&self) -> String {
        self.public_url.as_str().trim_end_matches('/').to_owned()
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.engine.settings().limits
    }

    /// Whether a `Host` header names this machine by an address of its own, or the public address.
    pub(crate) fn is_own_host(&self, host: &str) -> bool {
        let Ok(url) = Url::parse(&format!("http://{host}/")) else { return false };
        match url.host() {
            Some(url::Host::Domain(name)) => {
                name == "localhost" || self.public_url.host_str() == Some(name)
            }
            Some(url::Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
            Some(url::Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
            None => false,
        }
    }
}

/// All routes, with what every request passes.
pub(crate) fn router(app: Arc<App>) -> Router {
    let (guarded, open, document) = openapi::collect();
    let guarded =
        guarded.layer(middleware::from_fn_with_state(Arc::clone(&app), auth::authenticate));
    Router::new()
        .merge(guarded)
        .merge(open)
        .merge(routes::reference::routes(&document))
        .fallback(|| async { ApiError::not_found("there is nothing at this path") })
        .method_not_allowed_fallback(|| async {
            ApiError::new(ErrorCode::MethodNotAllowed, "this path has other methods")
        })
        // Bodies have limits of their own, which answer in the envelope.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(Arc::clone(&app), trace::trace))
        .with_state(app)
}
