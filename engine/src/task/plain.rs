//! URLs that are written so plainly that they can be told to be valid by a glance.

/// The last port.
const MAX_PORT: u32 = 65_535;

/// Whether an URL is valid beyond doubt: HTTP or HTTPS, with a lower-case ASCII name as its host. What
/// follows the host can't make an URL invalid. A `false` says nothing; the parser has to be asked.
///
/// A list of a million lines is mostly such URLs, and the parser is most of what a line costs.
pub(super) fn is_plain(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let Some(rest) = rest else { return false };
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    match rest[..end].split_once(':') {
        Some((host, port)) => is_plain_port(port) && is_plain_host(host),
        None => is_plain_host(&rest[..end]),
    }
}

fn is_plain_host(host: &str) -> bool {
    // A last label that begins with a letter is part of no IPv4 address.
    let last = host.rsplit('.').next().and_then(|label| label.bytes().next());
    last.is_some_and(|byte| byte.is_ascii_lowercase()) && host.split('.').all(is_plain_label)
}

/// Letters, digits and single hyphens between them: neither empty nor in Punycode.
fn is_plain_label(label: &str) -> bool {
    let mut previous = b'-';
    for byte in label.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' => {}
            b'-' if previous != b'-' => {}
            _ => return false,
        }
        previous = byte;
    }
    previous != b'-'
}

fn is_plain_port(port: &str) -> bool {
    let is_number = port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
    is_number && port.parse().is_ok_and(|port: u32| port <= MAX_PORT)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::*;

    #[test]
    fn the_usual_ones_are_plain() {
        for url in [
            "http://a.test",
            "https://shop-7.example/products/7?ref=list#top",
            "https://a.b-c.example:8443/é",
            "http://localhost:65535/",
            "http://a.test?x",
        ] {
            assert!(is_plain(url) && Url::parse(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn what_may_be_wrong_is_left_to_the_parser() {
        for url in [
            "",
            "http://",
            "ftp://a.test/",
            "http:///",
            "http://a.test:65536/",
            "http://a.test:/",
            "http://1.2.3.256/",
            "http://1.2.3.0x1g/",
            "http://user@a.test/",
            "http://a..test/",
            "http://xn--a/",
            "http://A.test/",
            "http://a b.test/",
        ] {
            assert!(!is_plain(url), "{url}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]
        #[test]
        fn what_is_plain_is_read_by_the_parser(
            scheme in "https?://",
            authority in prop_oneof!["[a-z0-9.:-]{0,12}", "[a-zA-Z0-9.:@%\\[\\]_ -]{0,12}", "xn--[a-z0-9-]{0,8}"],
            rest in "([/?#\\\\].{0,12})?",
        ) {
            let url = format!("{scheme}{authority}{rest}");
            if is_plain(&url) {
                let parsed = Url::parse(&url);
                prop_assert!(parsed.is_ok(), "{url}: {parsed:?}");
                prop_assert!(matches!(parsed.unwrap().host(), Some(url::Host::Domain(_))));
            }
        }
    }
}
