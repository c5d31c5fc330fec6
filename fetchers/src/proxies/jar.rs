//! The cookies of a session.

use std::sync::{Mutex, MutexGuard, PoisonError};

use cookie_store::{CookieStore, RawCookie};
use http::{HeaderMap, HeaderValue, header};
use url::Url;

/// The most cookies of a session; others are not kept.
const MAX_COOKIES: usize = 300;
/// The most cookies that one answer sets.
const MAX_SET: usize = 50;
/// The longest cookie, in bytes: what browsers keep (RFC 6265, section 6.1).
const MAX_COOKIE_BYTES: usize = 4_096;

/// Cookies by the rules of RFC 6265, of bounded number and size.
#[derive(Debug, Default)]
pub(crate) struct Jar(Mutex<CookieStore>);

impl Jar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The `Cookie` header for a request to `url`.
    pub(crate) fn header(&self, url: &Url) -> Option<HeaderValue> {
        let store = self.store();
        let pairs: Vec<_> =
            store.get_request_values(url).map(|(name, value)| format!("{name}={value}")).collect();
        drop(store);
        if pairs.is_empty() { None } else { HeaderValue::from_str(&pairs.join("; ")).ok() }
    }

    /// Keeps what an answer from `url` sets.
    pub(crate) fn keep(&self, headers: &HeaderMap, url: &Url) {
        for value in headers.get_all(header::SET_COOKIE).iter().take(MAX_SET) {
            let Ok(text) = value.to_str() else { continue };
            if let Ok(cookie) = RawCookie::parse(text) {
                self.insert(&cookie, url);
            }
        }
    }

    /// Keeps one cookie that `url` sets. What breaks the rules is left out, as in browsers.
    pub(crate) fn insert(&self, cookie: &RawCookie<'_>, url: &Url) {
        let bytes = cookie.name().len() + cookie.value().len();
        let mut store = self.store();
        if bytes > MAX_COOKIE_BYTES || store.iter_any().count() >= MAX_COOKIES {
            return;
        }
        let _ = store.insert_raw(cookie, url);
    }

    /// All cookies that have not expired.
    #[cfg(feature = "render")]
    pub(crate) fn all(&self) -> Vec<cookie_store::Cookie<'static>> {
        self.store().iter_unexpired().cloned().collect()
    }

    fn store(&self) -> MutexGuard<'_, CookieStore> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(jar: &Jar, url: &str, cookies: &[&str]) {
        let headers = cookies.iter().map(|text| (header::SET_COOKIE, text.parse().unwrap()));
        let headers = headers.fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        });
        jar.keep(&headers, &url.parse().unwrap());
    }

    fn header(jar: &Jar, url: &str) -> Option<String> {
        jar.header(&url.parse().unwrap()).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn cookies_go_back_to_where_they_belong() {
        let jar = Jar::new();
        set(&jar, "https://a.test/x/", &["s=1; Secure; Path=/", "p=2", "other=3; Domain=b.test"]);
        let there = header(&jar, "https://a.test/x/y").unwrap();
        assert!(there.contains("s=1") && there.contains("p=2") && !there.contains("other"));
        assert_eq!(header(&jar, "https://a.test/").as_deref(), Some("s=1"));
        assert_eq!(header(&jar, "http://a.test/"), None);
        assert_eq!(header(&jar, "https://b.test/"), None);
        set(&jar, "https://a.test/", &["s=; Max-Age=0; Path=/"]);
        assert_eq!(header(&jar, "https://a.test/"), None);
    }

    #[test]
    fn number_and_size_are_bounded() {
        let jar = Jar::new();
        let long = format!("long={}", "x".repeat(MAX_COOKIE_BYTES));
        set(&jar, "http://a.test/", &[&long]);
        assert_eq!(header(&jar, "http://a.test/"), None);
        for number in 0..2 * MAX_COOKIES {
            set(&jar, "http://a.test/", &[&format!("c{number}=1")]);
        }
        assert_eq!(header(&jar, "http://a.test/").unwrap().split("; ").count(), MAX_COOKIES);
        let jar = Jar::new();
        let many: Vec<_> = (0..2 * MAX_SET).map(|number| format!("c{number}=1")).collect();
        set(&jar, "http://a.test/", &many.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(header(&jar, "http://a.test/").unwrap().split("; ").count(), MAX_SET);
    }
}
