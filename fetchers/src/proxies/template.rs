//! The URL of a proxy with places for country and session.

use std::fmt;

use serde::Deserialize;
use url::Url;

const COUNTRY: &str = "{country}";
const SESSION: &str = "{session}";
/// The longest URL of a proxy, in bytes.
const MAX_BYTES: usize = 2_000;

/// The URL of a proxy as configured. It holds a password, so it is never shown.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Template(Box<str>);

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address())
    }
}

impl Template {
    pub(super) fn new(text: &str) -> Self {
        Self(text.into())
    }

    pub(super) fn has_country(&self) -> bool {
        self.0.contains(COUNTRY)
    }

    /// The URL for a country and a session, or why it is none.
    pub(super) fn fill(&self, country: &str, session: &str) -> Result<Url, &'static str> {
        if self.0.len() > MAX_BYTES {
            return Err("its URL is too long");
        }
        let Some((scheme, rest)) = self.0.split_once("://") else {
            return Err("write it as http://user:password@host:port");
        };
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        if host.contains(['{', '}']) {
            return Err("only user and password can have {country} and {session}");
        }
        // The proxy resolves names: a resolver of ours would judge the proxy's own address too.
        let scheme = match scheme {
            "socks5" | "socks5h" => "socks5h",
            "http" | "https" => scheme,
            _ => return Err("a proxy is http://, https:// or socks5://"),
        };
        let rest = rest.replace(COUNTRY, country).replace(SESSION, session);
        if rest.contains(['{', '}']) {
            return Err("only {country} and {session} can be filled in");
        }
        let url = Url::parse(&format!("{scheme}://{rest}"));
        let url = url.map_err(|_| "its URL can't be read")?;
        if url.host().is_none() || !matches!(url.path(), "" | "/") || url.query().is_some() {
            return Err("write it as http://user:password@host:port");
        }
        if scheme == "socks5h" && url.port().is_none() {
            return Err("a SOCKS proxy needs a port");
        }
        Ok(url)
    }

    /// The URL, if nothing is to be filled in.
    pub(super) fn fixed(&self) -> Option<Url> {
        let is_fixed = !self.0.contains(COUNTRY) && !self.0.contains(SESSION);
        if is_fixed { self.fill("", "").ok() } else { None }
    }

    /// Scheme, host and port.
    pub(super) fn address(&self) -> String {
        self.fill("xx", "x").map_or_else(|_| "a proxy".to_owned(), |url| address(&url))
    }
}

/// Scheme, host and port of a proxy, as messages name it.
pub(crate) fn address(url: &Url) -> String {
    let scheme = url.scheme().trim_end_matches('h');
    let scheme = if scheme == "socks5" { scheme } else { url.scheme() };
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}://{host}{port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn country_and_session_are_filled_in() {
        let template = Template::new("http://u-{country}-s-{session}:p@gate.test:8000");
        let url = template.fill("de", "abc").unwrap();
        assert_eq!(url.as_str(), "http://u-de-s-abc:p@gate.test:8000/");
        assert!(template.has_country());
        let socks = Template::new("socks5://127.0.0.1:1080").fill("de", "abc").unwrap();
        assert_eq!(socks.as_str(), "socks5h://127.0.0.1:1080");
    }

    #[test]
    fn what_is_no_proxy_is_refused() {
        for text in [
            "gate.test:8000",
            "ftp://gate.test",
            "http://",
            "http://u:p@{country}.gate.test:1",
            "http://u-{city}:p@gate.test:1",
            "http://gate.test/path",
            "socks5://gate.test",
        ] {
            assert!(Template::new(text).fill("de", "s").is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let template = Template::new("https://user-{session}:secret@gate.test:8000");
        assert_eq!(format!("{template:?}"), "https://gate.test:8000");
    }
}
