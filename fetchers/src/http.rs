//! The HTTP fetcher: one attempt, from the task's parameters to the decoded page.

use std::sync::Arc;

use async_trait::async_trait;
#[cfg(feature = "proxies")]
use harvestman_engine::Code;
use harvestman_engine::{
    Error, FetchError, Fetcher, Page, Params, Result, Task,
    address::{AddressGuard, AddressRule},
};
use http::HeaderValue;
use reqwest::Response;
use url::Url;

use crate::{
    blocks::BlockDetector,
    body, charset,
    client::Clients,
    content::{Content, Kind},
    failure,
    redirect::{self, Target},
    request::{Request, refuse_unservable},
    resolver::{Resolver, SystemResolver, check_literal},
    way::Way,
};

/// What the `User-Agent` header says when neither the task nor the builder does.
const DEFAULT_USER_AGENT: &str = concat!("Harvestman/", env!("CARGO_PKG_VERSION"));

/// Fetches pages over HTTP/1.1 and 2, without a browser and without a proxy.
///
/// - Every address is checked before it is connected to, on each redirect too: see
///   [`AddressGuard`]. Proxies of the environment are not used.
/// - The body is decompressed (gzip, brotli, zstd, deflate) and decoded to text as a browser does;
///   `max_bytes` bounds the decompressed bytes while they arrive, and the text.
/// - A redirect is followed while `follow_redirects` lasts; then its status has to be one of
///   `accept_status`. Another origin doesn't get the task's credentials and cookies.
/// - The whole attempt's deadline is the driver's; a connection has to stand within 10 s.
///
/// - What is sent instead of a page, a captcha for example, is told by a [`BlockDetector`].
///
/// What needs a browser, a proxy, a session or robots.txt is refused for good. `wait_ms` and
/// `block_resources` have no meaning without a browser and are ignored.
///
/// Clones share their connections.
#[derive(Clone, Debug)]
pub struct Http {
    clients: Clients,
    guard: AddressGuard,
    #[cfg(feature = "proxies")]
    names: Arc<dyn Resolver>,
    #[cfg(feature = "proxies")]
    user_agent: HeaderValue,
    blocks: Option<BlockDetector>,
}

impl Http {
    /// A fetcher that connects to public addresses only.
    ///
    /// Fails if the TLS library can't be set up.
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    /// A fetcher with settings.
    pub fn builder() -> HttpBuilder {
        HttpBuilder {
            guard: AddressGuard::new(),
            names: Arc::new(SystemResolver),
            user_agent: DEFAULT_USER_AGENT.to_owned(),
            blocks: Some(BlockDetector::default()),
        }
    }

    /// Sends the request and those that its redirects ask for.
    async fn follow(
        &self,
        mut request: Request,
        params: &Params,
        way: &Way<'_>,
    ) -> Result<Answer, FetchError> {
        let mut left = params.follow_redirects();
        loop {
            let response = self.send(&request, way).await?;
            way.keep_cookies(response.headers(), &request.url);
            match redirect::target(&response, &request.url) {
                Target::Next(next) if left > 0 => {
                    let status = response.status();
                    body::drain(response).await;
                    request.redirect(status, next.map_err(|error| error.at(&request.url))?);
                    left -= 1;
                }
                _ => return Ok(Answer { response, url: request.into_final_url() }),
            }
        }
    }

    async fn send(&self, request: &Request, way: &Way<'_>) -> Result<Response, FetchError> {
        let port = request.url.port_or_known_default().unwrap_or_default();
        check_literal(&self.guard, &request.url, port)?;
        let cookies = way.cookies(&request.url);
        #[cfg(feature = "proxies")]
        if let Some(proxy) = way.proxy() {
            crate::resolver::check_known(&self.guard, &*self.names, &request.url, port).await?;
            let is_tunnel = request.url.scheme() == "https" || proxy.url().scheme() == "socks5h";
            let client = self.proxied(proxy, is_tunnel || proxy.lease.is_persistent())?;
            let sent = request.send(&client, cookies).await;
            let response = sent.map_err(|error| failure::of_proxied(error, &request.url, proxy))?;
            if !is_tunnel && keeps_connection(response.headers()) {
                proxy.lease.set_persistent();
            }
            return failure::of_proxy_answer(&response, proxy).map_or(Ok(response), Err);
        }
        let sent = request.send(self.clients.for_port(port), cookies).await;
        sent.map_err(|error| failure::of_exchange(error, &request.url))
    }

    /// The connection pool of a proxy.
    #[cfg(feature = "proxies")]
    fn proxied(
        &self,
        proxy: &crate::way::Proxy<'_>,
        keeps: bool,
    ) -> Result<reqwest::Client, FetchError> {
        let build = || crate::client::proxied(proxy.url(), keeps, &self.user_agent);
        proxy.client(keeps, build).map_err(|error| {
            let message = format!("the proxy {} can't be used", proxy.address());
            FetchError::new(Code::ProxyError, message).permanent().with_source(error)
        })
    }

    /// Makes one attempt on a way that somebody has chosen.
    pub(crate) async fn fetch_by(&self, task: &Task, way: &Way<'_>) -> Result<Page, FetchError> {
        let params = task.params();
        let url = task.target().map_err(|error| FetchError::new(error.code, &*error.message))?;
        let answer = self.follow(Request::new(url.clone(), params)?, params, way).await?;
        if let Some(error) = failure::of_status(&answer.response, params) {
            let url = answer.url.clone();
            return Err(self.told_apart(error, answer).await.with_final_url(url));
        }
        let page = answer.into_page(params.max_bytes()).await?;
        let judge =
            |blocks: &BlockDetector| blocks.judge(page.status, &page.headers, &page.text, false);
        match self.blocks.as_ref().and_then(judge) {
            Some(error) => Err(error.with_final_url(page.final_url)),
            None => Ok(page),
        }
    }

    /// What an answer with an error status is: a block, if the detector knows it, or `error`.
    async fn told_apart(&self, error: FetchError, answer: Answer) -> FetchError {
        let mut response = answer.response;
        let Some(blocks) = &self.blocks else {
            body::drain(response).await;
            return error;
        };
        let (status, headers) =
            (response.status().as_u16(), std::mem::take(response.headers_mut()));
        let content = Content::of(&headers);
        let body = body::beginning(response, content.coding.as_ref()).await;
        let judged = blocks.judge(status, &headers, &String::from_utf8_lossy(&body), false);
        judged.filter(|judged| judged.retryable).unwrap_or(error)
    }
}

#[async_trait]
impl Fetcher for Http {
    async fn fetch(&self, task: &Task) -> Result<Page, FetchError> {
        refuse_unservable(task.params())?;
        self.fetch_by(task, &Way::direct()).await
    }
}

/// Whether the proxy says that its connection stays open. Without a word it may well be that it only
/// hands on bytes, and closes with the server.
#[cfg(feature = "proxies")]
fn keeps_connection(headers: &http::HeaderMap) -> bool {
    let says = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"keep-alive");
    ["connection", "proxy-connection"].iter().any(|name| headers.get(*name).is_some_and(says))
}

/// The last answer, whose body is still to come.
struct Answer {
    response: Response,
    /// Where the redirects led, without user and password.
    url: Url,
}

impl Answer {
    async fn into_page(mut self, max_bytes: u64) -> Result<Page, FetchError> {
        let status = self.response.status().as_u16();
        let headers = std::mem::take(self.response.headers_mut());
        match self.into_text(&Content::of(&headers), max_bytes).await {
            (url, Ok(text)) => Ok(Page::new(url, text).with_status(status).with_headers(headers)),
            (url, Err(error)) => Err(error.with_http_status(status).with_final_url(url)),
        }
    }

    async fn into_text(self, content: &Content, max: u64) -> (Url, Result<String, FetchError>) {
        let Self { response, url } = self;
        let text = match read(response, content, max).await {
            Ok(bytes) => {
                charset::decode(bytes, content, &url).await.and_then(|text| within(text, max))
            }
            Err(error) => Err(error),
        };
        (url, text)
    }
}

async fn read(response: Response, content: &Content, max: u64) -> Result<Vec<u8>, FetchError> {
    // An answer to HEAD, or with status 204, has no body whatever its headers say.
    if response.content_length() == Some(0) {
        return Ok(Vec::new());
    }
    content.check()?;
    let bytes = body::read(response, content.coding.as_ref(), max).await?;
    if content.kind == Kind::Unknown && charset::is_binary(&bytes) {
        return Err(failure::binary("unnamed data with NUL bytes"));
    }
    Ok(bytes)
}

/// Text in another encoding grows when it becomes UTF-8.
fn within(text: String, max: u64) -> Result<String, FetchError> {
    if text.len() as u64 > max { Err(failure::too_large(max)) } else { Ok(text) }
}

/// The settings of an [`Http`].
#[derive(Clone, Debug)]
pub struct HttpBuilder {
    guard: AddressGuard,
    names: Arc<dyn Resolver>,
    user_agent: String,
    blocks: Option<BlockDetector>,
}

impl HttpBuilder {
    /// Lets the fetcher connect to addresses that are not public.
    ///
    /// Each different port among the rules takes a connection pool of its own; there may be 32.
    pub fn allow(mut self, rule: AddressRule) -> Self {
        self.guard = self.guard.with_allowed(rule);
        self
    }

    /// Sets what finds the addresses of names; the system's resolver by default.
    pub fn resolver(mut self, resolver: Arc<dyn Resolver>) -> Self {
        self.names = resolver;
        self
    }

    /// Sets the `User-Agent` of tasks that don't name one; by default `Harvestman/` and the version.
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = user_agent.into();
        self
    }

    /// Sets how challenges, captchas and empty shells are told from pages; `None` takes all for
    /// pages. By default by the rules of [`BlockDetector::default`].
    pub fn blocks(mut self, detector: impl Into<Option<BlockDetector>>) -> Self {
        self.blocks = detector.into();
        self
    }

    /// Makes the fetcher.
    ///
    /// Fails on a user agent that is no header value, on rules with more than 32 different ports,
    /// and if the TLS library can't be set up.
    pub fn build(self) -> Result<Http> {
        let user_agent: HeaderValue = self.user_agent.parse().map_err(|_| {
            Error::invalid("user_agent", "holds a control character; write plain text")
        })?;
        let clients = Clients::new(&self.guard, &self.names, &user_agent)?;
        Ok(Http {
            clients,
            guard: self.guard,
            #[cfg(feature = "proxies")]
            names: self.names,
            #[cfg(feature = "proxies")]
            user_agent,
            blocks: self.blocks,
        })
    }
}
