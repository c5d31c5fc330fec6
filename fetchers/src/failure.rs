//! What went wrong, as a code and a message without secrets.

use std::{
    error::Error as StdError,
    io,
    time::{Duration, SystemTime},
};

use harvestman_engine::{Code, FetchError, Params, address::ForbiddenAddress};
use http::{HeaderMap, header};
use url::Url;

use crate::{client::CONNECT_TIMEOUT, resolver::ResolveError};

/// How much of a path a message shows.
const MAX_SHOWN_CHARS: usize = 200;

/// No answer came.
pub(crate) fn of_exchange(error: reqwest::Error, url: &Url) -> FetchError {
    if let Some(cause) = find::<ResolveError>(&error) {
        return match cause {
            ResolveError::Forbidden(cause) => forbidden(cause.clone(), url),
            cause => FetchError::new(Code::DnsFailure, format!("{}: {cause}", shown(url))),
        };
    }
    let (code, what) = classify(&error, url);
    let message = format!("{}: {what}", shown(url));
    let failure = FetchError::new(code, message).with_source(error.without_url());
    // A request that can't be built now can't be built later.
    if code == Code::Internal { failure.permanent() } else { failure }
}

/// No answer came through a proxy. What can't be told apart is the proxy's fault: another one may
/// do better.
#[cfg(feature = "proxies")]
pub(crate) fn of_proxied(
    error: reqwest::Error,
    url: &Url,
    proxy: &crate::way::Proxy<'_>,
) -> FetchError {
    let is_tls = error.is_connect() && url.scheme() == "https" && is_invalid_data(&error);
    if is_tls || error.is_builder() {
        return of_exchange(error, url);
    }
    let cause = root(&error);
    let message = format!("{}: the proxy {} failed: {cause}", shown(url), proxy.address());
    FetchError::new(Code::ProxyError, message).with_source(error.without_url())
}

/// What the proxy itself answers to a request over plain HTTP.
#[cfg(feature = "proxies")]
pub(crate) fn of_proxy_answer(
    response: &reqwest::Response,
    proxy: &crate::way::Proxy<'_>,
) -> Option<FetchError> {
    const WRONG_USER: &str = "wants another user or password";
    let status = response.status().as_u16();
    let headers = response.headers();
    let is_proxy = |value: &http::HeaderValue| {
        let value = value.as_bytes();
        value.starts_with(b"tinyproxy") || value.starts_with(b"squid")
    };
    let is_own = headers.contains_key("x-squid-error")
        || headers.contains_key("proxy-status")
        || headers.get(header::SERVER).is_some_and(is_proxy);
    let (code, what) = match status {
        407 => (Code::ProxyError, WRONG_USER),
        401 if is_own => (Code::ProxyError, WRONG_USER),
        403 if is_own => (Code::ProxyError, "refuses to fetch this page"),
        500..=504 if is_own => (Code::ConnectFailed, "can't reach the page"),
        _ => return None,
    };
    let message = format!("the proxy {} {what} (it answered {status})", proxy.address());
    Some(FetchError::new(code, message))
}

fn classify(error: &reqwest::Error, url: &Url) -> (Code, String) {
    let cause = root(error);
    if error.is_builder() {
        return (Code::Internal, format!("the request can't be made: {cause}"));
    }
    match (error.is_connect(), error.is_timeout()) {
        (true, true) => {
            let seconds = CONNECT_TIMEOUT.as_secs();
            (Code::ConnectFailed, format!("no connection within {seconds} s"))
        }
        (true, false) if url.scheme() == "https" && is_invalid_data(error) => {
            (Code::TlsError, format!("the TLS handshake failed: {cause}"))
        }
        (true, false) => (Code::ConnectFailed, format!("no connection: {cause}")),
        (false, true) => (Code::Timeout, "no answer in time".to_owned()),
        (false, false) => (Code::ConnectFailed, format!("no usable answer: {cause}")),
    }
}

/// TLS reports all of its own failures as invalid data; a connection that breaks is another kind.
fn is_invalid_data(error: &reqwest::Error) -> bool {
    let mut io_errors = chain(error).filter_map(|cause| cause.downcast_ref::<io::Error>());
    io_errors.any(|error| error.kind() == io::ErrorKind::InvalidData)
}

/// The body broke off while it was read.
pub(crate) fn of_body(error: reqwest::Error) -> FetchError {
    let (code, message) = if error.is_timeout() {
        (Code::Timeout, "the rest of the body did not come in time".to_owned())
    } else {
        (Code::Truncated, format!("the body broke off: {}", root(&error)))
    };
    FetchError::new(code, message).with_source(error.without_url())
}

/// The compressed body ends before its end mark.
pub(crate) fn cut_short() -> FetchError {
    FetchError::new(Code::Truncated, "the compressed body ends too early")
}

/// The body is not what its `Content-Encoding` says.
pub(crate) fn corrupt(coding: &str) -> FetchError {
    FetchError::new(Code::DecodeError, format!("the body is no valid {coding}"))
}

/// The address must not be connected to.
pub(crate) fn forbidden(error: ForbiddenAddress, url: &Url) -> FetchError {
    FetchError::new(Code::ForbiddenAddress, format!("{}: {error}", shown(url))).with_source(error)
}

/// The body, or its text, is longer than the task allows.
pub(crate) fn too_large(max: u64) -> FetchError {
    let message = format!("the body is larger than {max} bytes; raise max_bytes to get it");
    FetchError::new(Code::BodyTooLarge, message)
}

/// The body is no text.
pub(crate) fn binary(what: &str) -> FetchError {
    FetchError::new(Code::DecodeError, format!("the body is no text but {what}"))
}

/// The answer is none that the task accepts.
pub(crate) fn of_status(response: &reqwest::Response, params: &Params) -> Option<FetchError> {
    of_answer(response.status(), response.headers(), params)
}

/// The answer with this status is none that the task accepts.
pub(crate) fn of_answer(
    status: http::StatusCode,
    headers: &HeaderMap,
    params: &Params,
) -> Option<FetchError> {
    let number = status.as_u16();
    if params.accepts_status(number) {
        return None;
    }
    let reason = status.canonical_reason().unwrap_or_default();
    let answered = format!("answered {number} {reason}");
    let answered = answered.trim_end();
    let (code, message) = match number {
        429 => (Code::Target429, answered.to_owned()),
        500.. => (Code::Target5xx, answered.to_owned()),
        300..=399 => (Code::TooManyRedirects, not_followed(answered, headers, params)),
        400..=499 => (Code::Target4xx, answered.to_owned()),
        _ => (Code::Target4xx, format!("{answered}, which accept_status does not list")),
    };
    let wait = if matches!(number, 429 | 503) { retry_after(headers) } else { None };
    Some(FetchError::new(code, message).with_http_status(number).with_retry_after(wait))
}

fn not_followed(answered: &str, headers: &HeaderMap, params: &Params) -> String {
    if headers.contains_key(header::LOCATION) {
        format!("{answered} after {} redirects, the most allowed", params.follow_redirects())
    } else {
        format!("{answered} without saying where to go")
    }
}

/// The wait of a `Retry-After`, in seconds or as a date; a past date is no wait.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

/// The URL for a message: without user, password, query and fragment, and of bounded length.
pub(crate) fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let whole = format!("{}://{host}{port}{}", url.scheme(), url.path());
    match whole.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &whole[..end]),
        None => whole,
    }
}

fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    chain(error).find_map(|cause| cause.downcast_ref())
}

/// The innermost cause, which says most.
pub(crate) fn root<'a>(error: &'a (dyn StdError + 'static)) -> &'a (dyn StdError + 'static) {
    chain(error).last().unwrap_or(error)
}

fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| inner(error).or_else(|| error.source()))
}

/// What an I/O error wraps, which it leaves out of its sources.
fn inner<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    let wrapped = error.downcast_ref::<io::Error>()?.get_ref()?;
    Some(wrapped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_after_is_seconds_or_a_date() {
        let in_an_hour = SystemTime::now() + Duration::from_hours(1);
        for (text, least, most) in [
            ("0", Some(0), 0),
            (" 120 ", Some(120), 120),
            (&*httpdate::fmt_http_date(in_an_hour), Some(3_500), 3_600),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0), 0),
            ("-1", None, 0),
            ("1.5", None, 0),
            ("soon", None, 0),
            ("99999999999999999999999", None, 0),
        ] {
            let headers = [(header::RETRY_AFTER, text.parse().unwrap())].into_iter().collect();
            let seconds = retry_after(&headers).map(|wait| wait.as_secs());
            assert_eq!(seconds.is_some(), least.is_some(), "{text}");
            assert!(seconds >= least && seconds.unwrap_or(0) <= most, "{text}: {seconds:?}");
        }
    }

    #[test]
    fn a_shown_url_has_no_secrets_and_no_great_length() {
        let shown = |text: &str| shown(&text.parse().unwrap());
        assert_eq!(shown("http://u:p@a.test:81/x?key=1#f"), "http://a.test:81/x");
        assert_eq!(shown("https://[::1]:443/"), "https://[::1]/");
        let long = shown(&format!("http://a.test/{}", "x".repeat(5_000)));
        assert_eq!(long.chars().count(), MAX_SHOWN_CHARS + 1);
    }
}
