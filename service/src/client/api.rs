//! Requests to the service.

use std::{net::IpAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use reqwest::{
    Client, Method, RequestBuilder, Response,
    header::{self, HeaderMap, HeaderValue},
    redirect,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::{Host, Url};

use super::{
    cli::ServiceArgs,
    failure::{Failure, Refusal},
    key::ApiKey,
    retry::Tries,
    show::Output,
};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// After how long a peer that does not answer to anything is taken for dead.
const SILENCE: Duration = Duration::from_secs(60);
/// How long an answer to a question may take; the service may be asked to wait 60 s with it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// The largest answer that is read whole, in bytes: a page of 100 jobs with many parts.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// The header that makes a request safe to send again.
pub(crate) const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// A service, and the right to use it.
pub(crate) struct Api {
    base: Url,
    key: Option<HeaderValue>,
    /// Follows no redirect: the key is for this service alone.
    http: Client,
    /// For signed links, which need no key and may lead to an object store.
    links: Client,
}

/// An answer that was read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) etag: Option<HeaderValue>,
    body: Bytes,
}

impl Answer {
    /// The body as it is.
    pub(crate) fn value(&self) -> Result<Value, Failure> {
        self.read()
    }

    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let message =
                "the service's answer is not what the API says; is --url that of the API?";
            Failure::Unreachable(format!("{message} ({error})"))
        })
    }
}

impl Api {
    pub(crate) fn new(args: &ServiceArgs, output: &Output) -> Result<Self, Failure> {
        if args.key.is_some() && args.url.scheme() == "http" && !is_loopback(&args.url) {
            output.warn(
                "the key goes over the network unencrypted, where others can read it; use https",
            );
        }
        let client = |redirects| {
            Client::builder()
                .user_agent(concat!("harvestman/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT_TIMEOUT)
                .tcp_keepalive(SILENCE / 4)
                .tcp_user_timeout(SILENCE)
                .redirect(redirects)
                .build()
                .map_err(|error| Failure::Unusable(format!("no connection can be made: {error}")))
        };
        Ok(Self {
            base: args.url.clone(),
            key: args.key.as_ref().map(ApiKey::header).transpose()?,
            http: client(redirect::Policy::none())?,
            links: client(redirect::Policy::limited(5))?,
        })
    }

    /// A request without a body to the path of these segments.
    pub(crate) fn request(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> RequestBuilder {
        let mut url = self.base.clone();
        // An address that has no host was refused by the command line.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.http.request(method, url);
        match &self.key {
            Some(key) => request.header(header::AUTHORIZATION, key),
            None => request,
        }
    }

    /// A request for what is at a signed link.
    pub(crate) fn link(&self, url: &Url) -> RequestBuilder {
        self.links.get(url.clone())
    }

    pub(crate) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Answer, Failure> {
        self.answer(|| self.request(Method::GET, path, query)).await
    }

    pub(crate) async fn delete(&self, path: &[&str]) -> Result<Answer, Failure> {
        self.answer(|| self.request(Method::DELETE, path, &[])).await
    }

    /// Sends a JSON body under a key that makes it safe to send again.
    pub(crate) async fn post(
        &self,
        path: &[&str],
        body: &Value,
        key: &str,
    ) -> Result<Answer, Failure> {
        let body = Bytes::from(body.to_string());
        let build = || {
            let request = self.request(Method::POST, path, &[]).header(IDEMPOTENCY_KEY, key);
            request.header(header::CONTENT_TYPE, "application/json").body(body.clone())
        };
        self.answer(build).await
    }

    /// Sends a request until it is answered, and reads the answer.
    pub(crate) async fn answer(
        &self,
        build: impl Fn() -> RequestBuilder,
    ) -> Result<Answer, Failure> {
        let mut tries = Tries::default();
        loop {
            let sent =
                async { read(accepted(build().timeout(ANSWER_TIMEOUT).send().await).await?).await };
            match sent.await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed.wait(&mut tries).await?,
            }
        }
    }
}

/// A try that did not work.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) failure: Failure,
    /// Whether another try may work,
    pub(crate) may_pass: bool,
    /// and how long the service asks to wait before it.
    pub(crate) retry_after: Option<Duration>,
}

impl Failed {
    /// Waits before the next try, or gives up.
    pub(crate) async fn wait(self, tries: &mut Tries) -> Result<(), Failure> {
        let pause = self.may_pass.then(|| tries.pause(self.retry_after)).flatten();
        let Some(pause) = pause else { return Err(self.failure) };
        tracing::warn!("{}; trying again in {:.1} s", self.failure, pause.as_secs_f64());
        tokio::time::sleep(pause).await;
        Ok(())
    }

    /// What another try may get over.
    pub(crate) fn passing(message: String) -> Self {
        Self { failure: Failure::Unreachable(message), may_pass: true, retry_after: None }
    }

    pub(crate) fn lasting(failure: Failure) -> Self {
        Self { failure, may_pass: false, retry_after: None }
    }
}

impl From<reqwest::Error> for Failed {
    fn from(error: reqwest::Error) -> Self {
        let may_pass = !error.is_builder() && !error.is_redirect();
        Self { failure: Failure::Unreachable(describe(error)), may_pass, retry_after: None }
    }
}

/// The answer, if it is not an error's.
pub(crate) async fn accepted(sent: reqwest::Result<Response>) -> Result<Response, Failed> {
    let response = sent?;
    let status = response.status();
    if status.is_success() || status == reqwest::StatusCode::NOT_MODIFIED {
        return Ok(response);
    }
    if status.is_redirection() {
        let message =
            format!("the service answers {status}; give --url as it is after the redirect");
        return Err(Failed::lasting(Failure::Unreachable(message)));
    }
    let asked = retry_after(response.headers());
    let refusal = Refusal::new(status.as_u16(), &read_body(response).await?);
    let retry_after = asked.or(refusal.retry_after_s()).map(Duration::from_secs);
    let may_pass = refusal.may_pass();
    Err(Failed { failure: refusal.into_failure(), may_pass, retry_after })
}

/// Reads an answer whole.
pub(crate) async fn read(response: Response) -> Result<Answer, Failed> {
    let status = response.status().as_u16();
    let etag = response.headers().get(header::ETAG).cloned();
    Ok(Answer { status, etag, body: read_body(response).await? })
}

async fn read_body(mut response: Response) -> Result<Bytes, Failed> {
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER_BYTES {
            let message = format!("the service's answer is larger than {MAX_ANSWER_BYTES} bytes");
            return Err(Failed::lasting(Failure::Unreachable(message)));
        }
    }
    Ok(body.freeze())
}

/// Seconds only: the service sends no dates.
fn retry_after(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

/// The causes too, without the address, whose query may be a signature.
fn describe(error: reqwest::Error) -> String {
    let host = error.url().and_then(|url| Some(url.host_str()?.to_owned()));
    let error = error.without_url();
    let mut text = match host {
        Some(host) => format!("no answer from {host}: {error}"),
        None => error.to_string(),
    };
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    super::failure::shown(&text)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => IpAddr::V6(ip).to_canonical().is_loopback(),
        None => false,
    }
}

/// A key that no other request has.
pub(crate) fn random_key() -> String {
    format!("{:032x}", rand::random::<u128>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_told_from_others() {
        for (url, is_here) in [
            ("http://localhost:8080", true),
            ("http://a.localhost", true),
            ("http://127.0.0.1:8080", true),
            ("http://[::1]", true),
            ("http://[::ffff:127.0.0.1]", true),
            ("http://10.0.0.1", false),
            ("http://scrape.example.com", false),
            ("http://localhost.example.com", false),
        ] {
            assert_eq!(is_loopback(&url.parse().unwrap()), is_here, "{url}");
        }
    }
}
