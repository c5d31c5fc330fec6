//! Posts webhooks, behind the same address guard as pages.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use harvestman_engine::{
    Courier, CourierAnswer, CourierError, CourierRequest, Error, FetchError, Result,
    address::{AddressGuard, AddressRule},
};
use http::HeaderValue;
use reqwest::Response;
use url::Url;

use crate::{
    client::Clients,
    failure::{self, retry_after},
    resolver::{Resolver, SystemResolver, check_literal},
};

/// How long one delivery may take in all, unless told otherwise: the contract's 10 s.
pub const DEFAULT_WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// The most of an answer that is read.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// How much of an answer is told.
const MAX_EXCERPT_BYTES: usize = 500;
const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("Harvestman/", env!("CARGO_PKG_VERSION"), " (webhooks)"));

/// Posts webhooks over HTTP, each try within its time, to public addresses and those allowed.
///
/// A redirect is an answer like any other: whoever signs for an endpoint doesn't post to another.
/// At most 64 KiB of an answer are read. Its connections are its own, not those of the pages.
#[derive(Clone, Debug)]
pub struct Webhooks {
    clients: Clients,
    guard: AddressGuard,
    timeout: Duration,
}

/// The settings of [`Webhooks`].
#[derive(Clone, Debug)]
pub struct WebhooksBuilder {
    guard: AddressGuard,
    timeout: Duration,
}

impl Webhooks {
    /// To public addresses only, within [`DEFAULT_WEBHOOK_TIMEOUT`], unless told otherwise.
    pub fn builder() -> WebhooksBuilder {
        WebhooksBuilder { guard: AddressGuard::new(), timeout: DEFAULT_WEBHOOK_TIMEOUT }
    }

    async fn post(&self, request: CourierRequest) -> Result<CourierAnswer, FetchError> {
        let CourierRequest { url, headers, body } = request;
        let port = url.port_or_known_default().unwrap_or_default();
        let origin = origin(&url);
        check_literal(&self.guard, &origin, port)?;
        let client = self.clients.for_port(port);
        let response = client.post(url.clone()).headers(headers).body(body).send().await;
        let response = response.map_err(|error| failure::of_exchange(error, &origin))?;
        let status = response.status().as_u16();
        let retry_after = retry_after(response.headers());
        Ok(CourierAnswer { status, retry_after, excerpt: excerpt(response).await })
    }
}

impl WebhooksBuilder {
    /// Lets endpoints at addresses that are not public be reached.
    #[must_use]
    pub fn allow(mut self, rule: AddressRule) -> Self {
        self.guard = self.guard.with_allowed(rule);
        self
    }

    /// Sets how long one delivery may take in all.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Makes the courier. Fails as [`HttpBuilder::build`](crate::HttpBuilder::build) does.
    pub fn build(self) -> Result<Webhooks, Error> {
        let names: Arc<dyn Resolver> = Arc::new(SystemResolver);
        let clients = Clients::new(&self.guard, &names, &USER_AGENT)?;
        Ok(Webhooks { clients, guard: self.guard, timeout: self.timeout })
    }
}

#[async_trait]
impl Courier for Webhooks {
    async fn deliver(&self, request: CourierRequest) -> Result<CourierAnswer, CourierError> {
        let answer = tokio::time::timeout(self.timeout, self.post(request)).await;
        let late = |_| {
            let message = format!("no answer within {:?}", self.timeout);
            FetchError::new(harvestman_engine::Code::Timeout, message)
        };
        answer
            .map_err(late)
            .flatten()
            .map_err(|error| CourierError { code: error.code, message: error.message })
    }
}

/// What messages show: the rest of an endpoint's URL is often a secret.
fn origin(url: &Url) -> Url {
    let mut origin = url.clone();
    origin.set_path("");
    origin.set_query(None);
    origin.set_fragment(None);
    origin
}

/// The beginning of an answer, safe to print. What breaks off is told as far as it came: the status
/// counts.
async fn excerpt(mut response: Response) -> String {
    let mut begin = Vec::new();
    let mut read = 0;
    while let Ok(Some(chunk)) = response.chunk().await {
        read += chunk.len();
        let room = MAX_EXCERPT_BYTES.saturating_sub(begin.len()).min(chunk.len());
        begin.extend_from_slice(&chunk[..room]);
        if read >= MAX_ANSWER_BYTES {
            break;
        }
    }
    harvestman_engine::excerpt(&begin, MAX_EXCERPT_BYTES)
}
