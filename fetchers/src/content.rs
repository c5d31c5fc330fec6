//! What the headers say about a body.

use encoding_rs::Encoding;
use harvestman_engine::FetchError;
use http::{HeaderMap, header};

use crate::failure;

/// What a body is by its headers.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) kind: Kind,
    /// The encoding that `Content-Type` names, if it's a known one.
    pub(crate) charset: Option<&'static Encoding>,
    /// How it is compressed.
    pub(crate) coding: Option<Coding>,
}

/// How the text of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// HTML or XML, which may name its encoding inside.
    Markup,
    /// JSON, which is UTF-8 when nothing else is said.
    Json,
    /// Other text.
    Text,
    /// No text.
    Binary,
    /// Anything; looked at as markup.
    Unknown,
}

/// A compression, by its name in `Content-Encoding`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Coding {
    Gzip,
    /// With or without the zlib header.
    Deflate,
    Brotli,
    Zstd,
    /// One that can't be undone, or several.
    Unknown(String),
}

/// How much of an unknown coding's name a message shows.
const MAX_SHOWN_CHARS: usize = 40;

/// Subtypes of `application` that are no text.
const BINARY_SUBTYPES: &[&str] = &[
    "epub+zip",
    "gzip",
    "java-archive",
    "msword",
    "ogg",
    "pdf",
    "vnd.rar",
    "wasm",
    "x-7z-compressed",
    "x-bzip2",
    "x-gzip",
    "x-rar-compressed",
    "x-tar",
    "x-xz",
    "zip",
    "zstd",
];

impl Content {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let value = value.unwrap_or_default();
        let (essence, parameters) = value.split_once(';').unwrap_or((value, ""));
        Self {
            kind: Kind::of(essence.trim()),
            charset: charset(parameters),
            coding: coding(headers),
        }
    }

    /// Refuses a body that can't become text.
    pub(crate) fn check(&self) -> Result<(), FetchError> {
        match (&self.coding, self.kind) {
            (Some(Coding::Unknown(name)), _) => {
                Err(failure::binary(&format!("compressed in an unknown way ({name})")))
            }
            (_, Kind::Binary) => Err(failure::binary("an image, an archive or other data")),
            _ => Ok(()),
        }
    }
}

impl Kind {
    fn of(essence: &str) -> Self {
        let essence = essence.to_ascii_lowercase();
        let Some((main, sub)) = essence.split_once('/') else { return Self::Unknown };
        match (main, sub) {
            ("text", "html" | "xml") | ("application", "xml") => Self::Markup,
            ("text" | "application", "json") => Self::Json,
            _ if sub.ends_with("+xml") => Self::Markup,
            _ if sub.ends_with("+json") => Self::Json,
            ("text", _) => Self::Text,
            ("image" | "audio" | "video" | "font", _) => Self::Binary,
            ("application", sub) if BINARY_SUBTYPES.contains(&sub) => Self::Binary,
            _ => Self::Unknown,
        }
    }
}

fn charset(parameters: &str) -> Option<&'static Encoding> {
    let mut parameters = parameters.split(';').filter_map(|parameter| parameter.split_once('='));
    let (_, label) = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))?;
    Encoding::for_label(label.trim().trim_matches(['"', '\'']).as_bytes())
}

fn coding(headers: &HeaderMap) -> Option<Coding> {
    let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
    let value = values.next()?;
    let name = String::from_utf8_lossy(value.as_bytes()).trim().to_ascii_lowercase();
    Some(match &*name {
        "" | "identity" | "none" => return None,
        _ if values.next().is_some() => Coding::Unknown("several codings".to_owned()),
        "gzip" | "x-gzip" => Coding::Gzip,
        "deflate" => Coding::Deflate,
        "br" => Coding::Brotli,
        "zstd" => Coding::Zstd,
        // Some servers name the charset here, which does no harm.
        _ if Encoding::for_label(name.as_bytes()).is_some() => return None,
        _ => Coding::Unknown(name.chars().take(MAX_SHOWN_CHARS).collect()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(name: &'static str, value: &str) -> Content {
        Content::of(&[(name.parse().unwrap(), value.parse().unwrap())].into_iter().collect())
    }

    #[test]
    fn kinds_go_by_the_media_type() {
        for (value, kind) in [
            ("text/html", Kind::Markup),
            ("TEXT/HTML; charset=x", Kind::Markup),
            ("application/xhtml+xml", Kind::Markup),
            ("image/svg+xml", Kind::Markup),
            ("application/ld+json", Kind::Json),
            ("text/plain", Kind::Text),
            ("image/png", Kind::Binary),
            ("application/pdf;x=y", Kind::Binary),
            ("application/octet-stream", Kind::Unknown),
            ("application/javascript", Kind::Unknown),
            ("nonsense", Kind::Unknown),
            ("", Kind::Unknown),
        ] {
            assert_eq!(content("content-type", value).kind, kind, "{value}");
        }
        assert_eq!(Content::of(&HeaderMap::new()).kind, Kind::Unknown);
    }

    #[test]
    fn the_charset_is_found_among_the_parameters() {
        for (value, name) in [
            ("text/html; charset=utf-8", Some("UTF-8")),
            ("text/html;a=b; CHARSET = \"Shift_JIS\" ;c", Some("Shift_JIS")),
            ("text/html; charset='latin1'", Some("windows-1252")),
            ("text/html; charset=nope", None),
            ("text/html; charset=", None),
            ("text/html", None),
        ] {
            let charset = content("content-type", value).charset.map(Encoding::name);
            assert_eq!(charset, name, "{value}");
        }
    }

    #[test]
    fn codings_are_known_by_their_names() {
        for (value, coding) in [
            ("gzip", Some(Coding::Gzip)),
            ("X-GZip ", Some(Coding::Gzip)),
            ("deflate", Some(Coding::Deflate)),
            ("br", Some(Coding::Brotli)),
            ("zstd", Some(Coding::Zstd)),
            ("identity", None),
            ("utf-8", None),
            ("", None),
            ("gzip, gzip", Some(Coding::Unknown("gzip, gzip".to_owned()))),
        ] {
            let content = content("content-encoding", value);
            let is_unknown = matches!(coding, Some(Coding::Unknown(_)));
            assert_eq!(content.check().is_err(), is_unknown, "{value}");
            assert_eq!(content.coding, coding, "{value}");
        }
        let twice = ["gzip", "br"].map(|name| (header::CONTENT_ENCODING, name.parse().unwrap()));
        let mut headers = HeaderMap::new();
        headers.extend(twice.map(|(name, value)| (Some(name), value)));
        headers.append(header::CONTENT_ENCODING, "br".parse().unwrap());
        assert!(Content::of(&headers).check().is_err());
    }
}
