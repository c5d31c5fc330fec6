//! From a task's parameters to a request.

use std::collections::BTreeMap;

use bytes::Bytes;
use harvestman_engine::{Code, FetchError, Params, params::Screenshot};
use http::{HeaderMap, HeaderValue, Method, header};
use url::Url;

/// One request of an attempt; redirects change it.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
}

impl Request {
    pub(crate) fn new(url: Url, params: &Params) -> Result<Self, FetchError> {
        let body = params.body.as_ref().map(|body| body.bytes().clone());
        let method = match (&params.method, &body) {
            (Some(method), _) => method.clone(),
            (None, Some(_)) => Method::POST,
            (None, None) => Method::GET,
        };
        Ok(Self { method, url, headers: headers(params)?, body })
    }

    /// Sends it; user and password of the URL become an `Authorization`, if there is none.
    ///
    /// `cookies` are those of a session, which go before the task's own.
    pub(crate) async fn send(
        &self,
        client: &reqwest::Client,
        cookies: Option<HeaderValue>,
    ) -> reqwest::Result<reqwest::Response> {
        let mut request = client.request(self.method.clone(), self.url.clone());
        if !self.headers.is_empty() {
            request = request.headers(self.headers.clone());
        }
        if let Some(cookies) = cookies {
            request = request.headers(self.with_cookies(&cookies));
        }
        if let Some(body) = &self.body {
            request = request.body(body.clone());
        }
        request.send().await
    }

    /// The `Cookie` header that replaces the request's own.
    fn with_cookies(&self, cookies: &HeaderValue) -> HeaderMap {
        let own = self.headers.get(header::COOKIE).map(HeaderValue::as_bytes).unwrap_or_default();
        let joined = [cookies.as_bytes(), own].join(&b"; "[..]);
        let joined = if own.is_empty() { cookies.as_bytes() } else { &joined };
        let value = HeaderValue::from_bytes(joined);
        value.into_iter().map(|value| (header::COOKIE, value)).collect()
    }

    /// The URL without user and password, which belong into no record.
    pub(crate) fn into_final_url(self) -> Url {
        let mut url = self.url;
        if !url.username().is_empty() || url.password().is_some() {
            // These fail for URLs without a host only, which no request has.
            let _ = url.set_username("");
            let _ = url.set_password(None);
        }
        url
    }
}

/// Refuses what can't be had without a proxy, a session or robots.txt.
#[cfg(feature = "render")]
pub(crate) fn refuse_unrenderable(params: &Params) -> Result<(), FetchError> {
    let mut plain = params.clone();
    (plain.render, plain.wait_for, plain.screenshot, plain.actions) = (None, None, None, None);
    refuse_unservable(&plain)
}

/// Refuses what can't be had without robots.txt, which no fetcher of ours reads yet.
#[cfg(feature = "proxies")]
pub(crate) fn refuse_robots(params: &Params) -> Result<(), FetchError> {
    let mut robots = Params::new();
    robots.respect_robots = params.respect_robots;
    refuse_unservable(&robots)
}

/// Refuses what can't be had without a browser, a proxy, a session or robots.txt.
pub(crate) fn refuse_unservable(params: &Params) -> Result<(), FetchError> {
    const BROWSER: &str = "needs a browser; configure a fetcher that has one";
    const PROXY: &str = "needs a proxy; configure a fetcher that has one of that kind";
    const SESSION: &str = "needs a fetcher that keeps sessions; configure one";
    const ROBOTS: &str = "needs a fetcher that reads robots.txt; configure one";
    let has_actions = params.actions.as_ref().is_some_and(|actions| !actions.is_empty());
    let asked = [
        (params.render == Some(true), "render", Code::RenderFailed, BROWSER),
        (params.wait_for.is_some(), "wait_for", Code::RenderFailed, BROWSER),
        (params.screenshot() != Screenshot::Off, "screenshot", Code::RenderFailed, BROWSER),
        (has_actions, "actions", Code::RenderFailed, BROWSER),
        (params.proxy_type.is_some(), "proxy_type", Code::ProxyError, PROXY),
        (params.country.is_some(), "country", Code::ProxyError, PROXY),
        (params.session_id.is_some(), "session_id", Code::ProxyError, SESSION),
        (params.respect_robots == Some(true), "respect_robots", Code::RobotsDenied, ROBOTS),
    ];
    match asked.into_iter().find(|(is_asked, ..)| *is_asked) {
        Some((_, name, code, why)) => {
            Err(FetchError::new(code, format!("`{name}` {why}, or leave it out")).permanent())
        }
        None => Ok(()),
    }
}

fn headers(params: &Params) -> Result<HeaderMap, FetchError> {
    let mut headers = params.headers.as_deref().cloned().unwrap_or_default();
    if let Some(user_agent) = &params.user_agent {
        headers.insert(header::USER_AGENT, value("user_agent", user_agent.as_bytes())?);
    }
    if let Some(cookies) = params.cookies.as_ref().filter(|cookies| !cookies.is_empty()) {
        let own = headers.get(header::COOKIE).map(HeaderValue::as_bytes);
        let joined = join_cookies(own, cookies);
        headers.insert(header::COOKIE, value("cookies", &joined)?);
    }
    if params.body.as_ref().is_some_and(harvestman_engine::params::Body::is_json) {
        let json = HeaderValue::from_static("application/json");
        headers.entry(header::CONTENT_TYPE).or_insert(json);
    }
    Ok(headers)
}

/// One `Cookie` header: that of `headers` first, then `cookies`.
fn join_cookies(own: Option<&[u8]>, cookies: &BTreeMap<String, String>) -> Vec<u8> {
    let mut joined = own.map(<[u8]>::to_vec).unwrap_or_default();
    for (name, value) in cookies {
        if !joined.is_empty() {
            joined.extend_from_slice(b"; ");
        }
        joined.extend_from_slice(name.as_bytes());
        joined.push(b'=');
        joined.extend_from_slice(value.as_bytes());
    }
    joined
}

/// Parameters that were made by a program have not been checked by the reader of lines.
fn value(parameter: &str, bytes: &[u8]) -> Result<HeaderValue, FetchError> {
    HeaderValue::from_bytes(bytes).map_err(|error| {
        let message = format!("`{parameter}` holds a control character");
        FetchError::new(Code::Internal, message).permanent().with_source(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(json: &str) -> Params {
        serde_json::from_str(json).unwrap()
    }

    fn request(json: &str) -> Request {
        Request::new("http://u:p@a.test/".parse().unwrap(), &params(json)).unwrap()
    }

    #[test]
    fn the_method_follows_the_body() {
        for (json, method) in [
            ("{}", Method::GET),
            (r#"{"body":"x"}"#, Method::POST),
            (r#"{"body":"x","method":"PUT"}"#, Method::PUT),
            (r#"{"method":"head"}"#, Method::HEAD),
        ] {
            assert_eq!(request(json).method, method, "{json}");
        }
    }

    #[test]
    fn headers_cookies_and_user_agent_are_put_together() {
        let request = request(
            r#"{"headers":{"cookie":"own=1","user-agent":"a","x-a":"b"},
            "cookies":{"b":"2","a":"1"},"user_agent":"ua","body":{"k":1}}"#,
        );
        assert_eq!(request.headers["cookie"], "own=1; a=1; b=2");
        assert_eq!(request.headers["user-agent"], "ua");
        assert_eq!(request.headers["content-type"], "application/json");
        assert_eq!(request.body.unwrap(), r#"{"k":1}"#);
        let own_type = self::request(r#"{"headers":{"content-type":"x/y"},"body":{}}"#);
        assert_eq!(own_type.headers["content-type"], "x/y");
    }

    #[test]
    fn a_header_made_by_a_program_cannot_inject_another() {
        let mut params = Params::new();
        params.user_agent = Some("a\r\nx: y".into());
        let error = Request::new("http://a.test/".parse().unwrap(), &params).unwrap_err();
        assert!(!error.retryable && error.message.contains("user_agent"));
    }

    #[test]
    fn the_final_url_has_no_password() {
        assert_eq!(request("{}").into_final_url().as_str(), "http://a.test/");
    }

    #[test]
    fn what_cannot_be_served_is_refused_for_good_and_by_name() {
        for (json, name, code) in [
            (r#"{"render":true}"#, "render", Code::RenderFailed),
            (r#"{"wait_for":"h1"}"#, "wait_for", Code::RenderFailed),
            (r#"{"screenshot":true}"#, "screenshot", Code::RenderFailed),
            (r#"{"actions":[{"click":"a"}]}"#, "actions", Code::RenderFailed),
            (r#"{"proxy_type":"mobile"}"#, "proxy_type", Code::ProxyError),
            (r#"{"country":"de"}"#, "country", Code::ProxyError),
            (r#"{"session_id":"s"}"#, "session_id", Code::ProxyError),
            (r#"{"respect_robots":true}"#, "respect_robots", Code::RobotsDenied),
        ] {
            let error = refuse_unservable(&params(json)).unwrap_err();
            assert_eq!((error.code, error.retryable), (code, false), "{json}");
            assert!(error.message.contains(name) && error.message.contains("configure"), "{error}");
        }
        for json in [
            "{}",
            r#"{"render":false,"actions":[],"screenshot":false,"respect_robots":false}"#,
            r#"{"wait_ms":10,"block_resources":true}"#,
        ] {
            assert!(refuse_unservable(&params(json)).is_ok(), "{json}");
        }
    }
}
