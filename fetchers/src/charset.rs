//! From bytes to text, as browsers do it.
//!
//! The encoding is that of a byte order mark, else of `Content-Type`, else of the page's own
//! `<meta>` or XML declaration, else UTF-8 if the bytes are valid as such, else a guess.

use std::borrow::Cow;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8};
use harvestman_engine::{Code, FetchError};
use url::{Host, Url};

use crate::{
    content::{Content, Kind},
    prescan,
};

/// Text that isn't UTF-8 is decoded on a blocking thread from this length on.
const MAX_INLINE_BYTES: usize = 64 * 1024;
/// How much of a body the guess looks at.
const MAX_GUESSED_BYTES: usize = 1024 * 1024;
/// How much of a body is searched for signs that it's no text.
const SNIFFED_BYTES: usize = 1024;

/// Decodes a body of `url`; bytes that fit no character become U+FFFD.
pub(crate) async fn decode(
    mut body: Vec<u8>,
    content: &Content,
    url: &Url,
) -> Result<String, FetchError> {
    let declared = declared(&body, content);
    if let Some((_, mark @ 1..)) = declared {
        body.drain(..mark);
    }
    let declared = declared.map(|(encoding, _)| encoding);
    if declared.is_none_or(|encoding| encoding == UTF_8) {
        match String::from_utf8(body) {
            Ok(text) => return Ok(text),
            Err(error) => body = error.into_bytes(),
        }
    }
    let is_long = body.len() >= MAX_INLINE_BYTES;
    let domain = top_level_domain(url);
    let decode = move || decode_other(body, declared, domain.as_deref());
    if !is_long {
        return Ok(decode());
    }
    tokio::task::spawn_blocking(decode).await.map_err(|error| {
        FetchError::new(Code::Internal, "the decoding of the text ended early").with_source(error)
    })
}

/// Whether the bytes look like no text in any encoding: NUL stands in UTF-16 only.
pub(crate) fn is_binary(body: &[u8]) -> bool {
    let head = &body[..body.len().min(SNIFFED_BYTES)];
    head.contains(&0) && Encoding::for_bom(body).is_none()
}

/// The encoding that somebody names, and how many bytes the mark before the text has.
fn declared(body: &[u8], content: &Content) -> Option<(&'static Encoding, usize)> {
    let by_content = || match content.kind {
        Kind::Json => Some(UTF_8),
        Kind::Markup | Kind::Unknown => prescan::encoding(body),
        Kind::Text | Kind::Binary => None,
    };
    let named = || content.charset.or_else(by_content).map(|encoding| (encoding, 0));
    Encoding::for_bom(body).or_else(named)
}

fn decode_other(
    body: Vec<u8>,
    declared: Option<&'static Encoding>,
    domain: Option<&str>,
) -> String {
    let encoding = declared.unwrap_or_else(|| guess(&body, domain));
    match encoding.decode_without_bom_handling(&body).0 {
        Cow::Owned(text) => text,
        // Only what is UTF-8 as it stands is borrowed, e.g. ASCII that is declared as Latin-1.
        Cow::Borrowed(_) => String::from_utf8(body)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
    }
}

fn guess(body: &[u8], domain: Option<&str>) -> &'static Encoding {
    let head = &body[..body.len().min(MAX_GUESSED_BYTES)];
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(head, head.len() == body.len());
    detector.guess(domain.map(str::as_bytes), Utf8Detection::Deny)
}

/// The end of the host's name, which tells of languages.
fn top_level_domain(url: &Url) -> Option<String> {
    let Some(Host::Domain(host)) = url.host() else { return None };
    let (_, domain) = host.trim_end_matches('.').rsplit_once('.')?;
    domain.bytes().all(|byte| byte.is_ascii_lowercase()).then(|| domain.to_owned())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, header};
    use proptest::prelude::*;

    use super::*;

    async fn decoded(content_type: &str, body: &[u8]) -> String {
        let headers: HeaderMap =
            [(header::CONTENT_TYPE, content_type.parse().unwrap())].into_iter().collect();
        let url = "http://a.test/".parse().unwrap();
        decode(body.to_vec(), &Content::of(&headers), &url).await.unwrap()
    }

    #[tokio::test]
    async fn the_encoding_is_found_in_the_order_of_browsers() {
        for (content_type, body, text) in [
            // The mark wins over the header, the header over the page.
            ("text/html;charset=latin1", &b"\xef\xbb\xbf\xc3\xa9"[..], "é"),
            ("text/html;charset=utf-8", b"\xff\xfe\xe9\0", "é"),
            ("text/html", b"\xfe\xff\0\xe9", "é"),
            ("text/html;charset=latin1", b"<meta charset=utf-8>\xe9", "<meta charset=utf-8>é"),
            ("text/html", b"<meta charset=latin1>\xe9", "<meta charset=latin1>é"),
            ("text/html", b"<meta charset=sjis>\x93\xfa", "<meta charset=sjis>日"),
            ("text/html", b"<meta charset=utf-16>\xc3\xa9", "<meta charset=utf-16>é"),
            ("text/html", b"\xc3\xa9", "é"),
            ("text/html;charset=utf-8", b"a\xe9b", "a\u{fffd}b"),
            ("text/html;charset=latin1", b"plain", "plain"),
            ("text/html;charset=latin1", b"\xc3\xa9", "Ã©"),
            (
                "application/json",
                b"{\"<meta charset=latin1>\":\"\xc3\xa9\"}",
                "{\"<meta charset=latin1>\":\"é\"}",
            ),
            ("application/json", b"\xe9", "\u{fffd}"),
            ("application/json;charset=latin1", b"\xe9", "é"),
            ("text/plain", b"<meta charset=sjis>caf\xe9", "<meta charset=sjis>café"),
            ("text/html", b"", ""),
            ("text/html", b"\xef\xbb\xbf", ""),
        ] {
            assert_eq!(decoded(content_type, body).await, text, "{content_type} {body:?}");
        }
    }

    #[tokio::test]
    async fn text_that_names_no_encoding_is_guessed() {
        let russian = "Съешь же ещё этих мягких французских булок, да выпей чаю. ".repeat(4_000);
        let (bytes, ..) = encoding_rs::WINDOWS_1251.encode(&russian);
        assert!(bytes.len() > MAX_INLINE_BYTES);
        assert_eq!(decoded("text/html", &bytes).await, russian);
        assert_eq!(decoded("text/html", b"caf\xe9 au lait").await, "café au lait");
    }

    #[test]
    fn nul_is_no_text_unless_it_is_utf_16() {
        assert!(is_binary(b"PK\x03\x04\0\0"));
        assert!(!is_binary(b"\xff\xfea\0"));
        assert!(!is_binary(b"text"));
    }

    #[test]
    fn a_top_level_domain_is_given_to_the_guess_only_if_it_can_take_it() {
        for (url, domain) in [
            ("http://a.ru/", Some("ru")),
            ("http://a.ru./", Some("ru")),
            ("http://localhost/", None),
            ("http://127.0.0.1/", None),
            ("http://пример.рф/", None),
        ] {
            assert_eq!(top_level_domain(&url.parse().unwrap()).as_deref(), domain, "{url}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_become_text(body: Vec<u8>, index in 0..5_usize) {
            let encoding = [
                Some(UTF_8), Some(encoding_rs::SHIFT_JIS), Some(encoding_rs::UTF_16LE),
                Some(encoding_rs::REPLACEMENT), None,
            ][index];
            let text = decode_other(body.clone(), encoding, Some("de"));
            prop_assert!(text.len() <= 3 * body.len().max(1));
        }
    }
}
