//! The dashboard: plain files within the program, which talk to the HTTP API as any client does.

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, rejection::PathRejection},
    response::{IntoResponse, Response},
    routing::get,
};
use data_encoding::HEXLOWER;
use headers::HeaderMapExt;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use rust_embed::RustEmbed;

use super::{
    error::ApiError,
    etag::{is_known, tag, unchanged},
};

/// Only what lies beside the page is loaded and run, and only this service is talked to. Text that
/// would become markup is refused even from our own scripts.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// What every file of the dashboard is sent with.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    // Kept, but asked for again: a new version of the program is seen at once, and as a whole.
    (header::CACHE_CONTROL, "no-cache"),
];

#[derive(RustEmbed)]
#[folder = "dashboard"]
struct Files;

/// The page at `/`, and its parts below `/dashboard/`.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(|headers: HeaderMap| async move { file("index.html", &headers) }))
        .route("/dashboard/{*path}", get(part))
}

async fn part(path: Result<Path<String>, PathRejection>, headers: HeaderMap) -> Response {
    file(&path.map_or_else(|_| String::new(), |Path(path)| path), &headers)
}

/// A file; 404 for whatever is none, and 304 for what the browser has.
fn file(path: &str, asked: &HeaderMap) -> Response {
    let (Some(file), Some(media_type)) = (Files::get(path), media_type(path)) else {
        return ApiError::not_found("there is nothing at this path").into_response();
    };
    let tag = tag(&HEXLOWER.encode(&file.metadata.sha256_hash()[..16]));
    let mut response = if is_known(asked, &tag) {
        unchanged(tag)
    } else {
        let body = Body::from(Bytes::from_owner(file.data));
        let mut whole = ([(header::CONTENT_TYPE, media_type)], body).into_response();
        whole.headers_mut().typed_insert(tag);
        whole
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn media_type(path: &str) -> Option<&'static str> {
    Some(match path.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    fn get(path: &str) -> Response {
        file(path, &HeaderMap::new())
    }

    #[test]
    fn every_file_is_served_with_its_type_and_the_policy() {
        let names: Vec<_> = Files::iter().collect();
        assert!(names.len() > 20, "{names:?}");
        for name in names {
            let response = get(&name);
            assert_eq!(response.status(), StatusCode::OK, "{name}");
            assert_eq!(response.headers()[header::CONTENT_SECURITY_POLICY], POLICY, "{name}");
            assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff", "{name}");
        }
        let page = get("index.html");
        assert_eq!(page.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
    }

    #[test]
    fn nothing_else_is_served() {
        for path in ["", "js", "../Cargo.toml", "js/../index.html", "/etc/passwd", "index.html/"] {
            assert_eq!(get(path).status(), StatusCode::NOT_FOUND, "{path}");
        }
    }

    #[test]
    fn what_the_browser_has_is_not_sent_again() {
        let tag = get("js/main.js").headers()[header::ETAG].clone();
        let weak =
            HeaderValue::try_from(format!("\"other\", W/{}", tag.to_str().unwrap())).unwrap();
        for (known, status) in [
            (tag, StatusCode::NOT_MODIFIED),
            (weak, StatusCode::NOT_MODIFIED),
            (HeaderValue::from_static("\"other\""), StatusCode::OK),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, known);
            let response = file("js/main.js", &headers);
            assert_eq!(response.status(), status);
            assert!(response.headers().contains_key(header::CONTENT_SECURITY_POLICY));
        }
    }

    /// The policy would stop these as well; they are not to be there at all.
    #[test]
    fn no_script_makes_markup_out_of_text_and_nothing_is_loaded_from_elsewhere() {
        let markup = ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("];
        for name in Files::iter() {
            let file = Files::get(&name).unwrap();
            let text = String::from_utf8(file.data.into_owned()).unwrap();
            let words: &[&str] = if name.ends_with(".js") { &markup } else { &["https:", "url("] };
            for word in words {
                assert!(!text.contains(word), "{name}: {word}");
            }
        }
    }
}
