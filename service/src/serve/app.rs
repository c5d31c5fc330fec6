//! What every request is answered with, and the way of a request to its handler.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{Router, extract::DefaultBodyLimit, middleware};
use harvestman::{Engine, extractors::LlmConfig, fetchers, spec::Limits};
use http::uri::Authority;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    auth::{self, Keys},
    dashboard,
    error::{ApiError, ErrorCode},
    links::LinkKeys,
    openapi,
    places::Places,
    rate::RateLimits,
    results::Results,
    routes,
    settings::Hidden,
    trace,
};

/// What the handlers share.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) engine: Engine,
    pub(crate) router: Arc<fetchers::Router>,
    pub(crate) llm: Option<LlmConfig>,
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
    pub(crate) previews: Places,
    pub(crate) event_streams: Places,
    pub(crate) uploads: Places,
    pub(crate) dry_runs: Places,
    pub(crate) large_bodies: Semaphore,
    pub(crate) results: Results,
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
        let Ok(authority) = host.parse::<Authority>() else { return false };
        if host.contains('@') {
            return false;
        }
        let name = authority.host();
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        match address {
            Ok(address) => address.is_loopback(),
            Err(_) => {
                name.eq_ignore_ascii_case("localhost") || self.public_url.host_str() == Some(name)
            }
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
        .merge(dashboard::routes())
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
