//! Where a redirect leads, and how it changes the request.

use std::borrow::Cow;

use harvestman_engine::{Code, FetchError, MAX_URL_BYTES};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use reqwest::Response;
use url::Url;

use crate::{failure, request::Request};

/// What belongs to the origin that the task names, and to no other.
const CREDENTIALS: [HeaderName; 3] =
    [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION];
/// What describes a body, and goes with it.
const BODY_HEADERS: [HeaderName; 4] = [
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LOCATION,
];

/// What an answer says about where to go on.
pub(crate) enum Target {
    /// Nowhere: it's no redirect, or one without a `Location`.
    Here,
    /// To another URL, unless it can't be followed.
    Next(Result<Url, Unfollowable>),
}

/// A `Location` that can't be followed.
#[derive(Debug, thiserror::Error)]
#[error("the redirect can't be followed: {0}")]
pub(crate) struct Unfollowable(String);

impl Unfollowable {
    /// The error of an attempt that got this answer from `url`.
    pub(crate) fn at(self, url: &Url) -> FetchError {
        let message = format!("{} redirects, but {self}", failure::shown(url));
        FetchError::new(Code::TooManyRedirects, message)
    }
}

pub(crate) fn target(response: &Response, base: &Url) -> Target {
    let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    match response.headers().get(header::LOCATION) {
        Some(location) if is_redirect => Target::Next(resolve(location, base)),
        _ => Target::Here,
    }
}

fn resolve(location: &HeaderValue, base: &Url) -> Result<Url, Unfollowable> {
    let unfollowable = |message: String| Err(Unfollowable(message));
    if location.len() > MAX_URL_BYTES {
        return unfollowable(format!("its `Location` is longer than {MAX_URL_BYTES} bytes"));
    }
    let mut next = match base.join(&text(location)) {
        Ok(next) => next,
        Err(error) => return unfollowable(format!("its `Location` is no URL: {error}")),
    };
    if !matches!(next.scheme(), "http" | "https") {
        let scheme: String = next.scheme().chars().take(20).collect();
        return unfollowable(format!("only http and https URLs can be fetched, not {scheme}:"));
    }
    if next.fragment().is_none() {
        next.set_fragment(base.fragment());
    }
    if next.as_str().len() > MAX_URL_BYTES {
        return unfollowable(format!("its URL is longer than {MAX_URL_BYTES} bytes"));
    }
    Ok(next)
}

/// Servers write UTF-8 unescaped; what isn't UTF-8 is Latin-1, as headers once were.
fn text(location: &HeaderValue) -> Cow<'_, str> {
    match std::str::from_utf8(location.as_bytes()) {
        Ok(text) => text.into(),
        Err(_) => encoding_rs::mem::decode_latin1(location.as_bytes()),
    }
}

impl Request {
    /// Turns this into the request that follows an answer with this status.
    pub(crate) fn redirect(&mut self, status: StatusCode, next: Url) {
        if becomes_get(status, &self.method) {
            self.method = Method::GET;
            self.body = None;
            remove(&mut self.headers, &BODY_HEADERS);
        }
        if next.origin() != self.url.origin() {
            remove(&mut self.headers, &CREDENTIALS);
        }
        self.url = next;
    }
}

fn becomes_get(status: StatusCode, method: &Method) -> bool {
    match status.as_u16() {
        301 | 302 => *method == Method::POST,
        303 => *method != Method::HEAD,
        _ => false,
    }
}

fn remove(headers: &mut HeaderMap, names: &[HeaderName]) {
    for name in names {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method) -> Request {
        let names = ["authorization", "cookie", "proxy-authorization", "content-type", "x-a"];
        let headers = names.map(|name| (name.parse().unwrap(), HeaderValue::from_static("v")));
        Request {
            method,
            url: "http://a.test/x".parse().unwrap(),
            headers: headers.into_iter().collect(),
            body: Some("b".into()),
        }
    }

    fn redirected(method: Method, status: u16, next: &str) -> Request {
        let mut request = request(method);
        request.redirect(StatusCode::from_u16(status).unwrap(), next.parse().unwrap());
        request
    }

    #[test]
    fn the_method_changes_as_in_browsers() {
        let table = [
            (Method::POST, 301, Method::GET),
            (Method::POST, 302, Method::GET),
            (Method::POST, 303, Method::GET),
            (Method::PUT, 301, Method::PUT),
            (Method::PUT, 303, Method::GET),
            (Method::HEAD, 303, Method::HEAD),
            (Method::POST, 307, Method::POST),
            (Method::POST, 308, Method::POST),
        ];
        for (method, status, after) in table {
            let request = redirected(method.clone(), status, "http://a.test/y");
            assert_eq!(request.method, after, "{method} {status}");
            let keeps = method == after;
            assert_eq!(request.body.is_some(), keeps, "{method} {status}");
            assert_eq!(request.headers.contains_key("content-type"), keeps, "{method} {status}");
        }
    }

    #[test]
    fn another_origin_gets_no_credentials() {
        for (next, keeps) in [
            ("http://a.test/y", true),
            ("http://A.test:80/y", true),
            ("https://a.test/y", false),
            ("http://a.test:81/y", false),
            ("http://b.a.test/y", false),
        ] {
            let request = redirected(Method::GET, 302, next);
            for name in CREDENTIALS {
                assert_eq!(request.headers.contains_key(&name), keeps, "{next} {name}");
            }
            assert!(request.headers.contains_key("x-a"));
        }
    }

    #[test]
    fn locations_are_resolved_as_in_browsers() {
        let base: Url = "http://a.test/d/e?q#frag".parse().unwrap();
        for (location, next) in [
            (&b"f"[..], "http://a.test/d/f#frag"),
            (b"//b.test/", "http://b.test/#frag"),
            (b"?z#own", "http://a.test/d/e?z#own"),
            (b"", "http://a.test/d/e?q#frag"),
            ("/ü".as_bytes(), "http://a.test/%C3%BC#frag"),
            (b"/\xfc", "http://a.test/%C3%BC#frag"),
            (b"http://2130706433/", "http://127.0.0.1/#frag"),
        ] {
            let value = HeaderValue::from_bytes(location).unwrap();
            assert_eq!(resolve(&value, &base).unwrap().as_str(), next);
        }
    }

    #[test]
    fn what_cannot_be_followed_is_named() {
        let base: Url = "http://a.test/?secret".parse().unwrap();
        let long = format!("/{}", "x".repeat(MAX_URL_BYTES));
        let grows = "é".repeat(MAX_URL_BYTES / 2);
        for (location, message) in [
            ("file:///etc/passwd", "not file:"),
            ("javascript:alert(1)", "not javascript:"),
            ("data:text/html,x", "not data:"),
            ("http://", "no URL"),
            (&*long, "longer than 8192 bytes"),
            (&*grows, "longer than 8192 bytes"),
        ] {
            let value = HeaderValue::from_bytes(location.as_bytes()).unwrap();
            let error = resolve(&value, &base).unwrap_err().at(&base);
            assert_eq!(error.code, Code::TooManyRedirects);
            assert!(error.message.contains(message), "{error}");
            assert!(!error.message.contains("secret"), "{error}");
        }
    }
}
