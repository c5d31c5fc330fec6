//! What tells one version of an answer from another.

use axum::response::{IntoResponse, Response};
use headers::{ETag, HeaderMapExt, IfNoneMatch};
use http::{HeaderMap, StatusCode};

/// The tag of this text: of hexadecimal digits, ids and hyphens.
pub(crate) fn tag(text: &str) -> ETag {
    format!("\"{text}\"").parse().unwrap_or_else(|_| unreachable!("digits and ids are a tag"))
}

/// Whether the client says that it has this version.
pub(crate) fn is_known(headers: &HeaderMap, tag: &ETag) -> bool {
    headers.typed_get::<IfNoneMatch>().is_some_and(|known| !known.precondition_passes(tag))
}

/// The answer to a client that has this version.
pub(crate) fn unchanged(tag: ETag) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    response.headers_mut().typed_insert(tag);
    response
}
