//! Every request gets an id; its answer, its line in the log and its figures say how it went.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Instant};

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::FutureExt;
use http::{HeaderName, HeaderValue, Method, header};
use metrics::{counter, histogram};
use rand::RngExt;
use tracing::Instrument;

use super::{
    app::App,
    body,
    error::{ApiError, ErrorCode},
};

const TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");

/// Wraps everything: the id, the envelope of an error, the log, the figures.
pub(crate) async fn trace(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let trace_id = format!("trc_{:016X}", rand::rng().random::<u64>());
    let method = name_of(request.method());
    let is_head = request.method() == Method::HEAD;
    // The path's pattern: ids and signatures belong in no log and no figure.
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let route = route.unwrap_or_else(|| "none".to_owned());
    let began = Instant::now();
    let span = tracing::info_span!("request", trace_id, method, route);
    let request = request.map(body::drained);
    let answered =
        AssertUnwindSafe(next.run(request).instrument(span.clone())).catch_unwind().await;
    let mut response = answered.unwrap_or_else(|_| {
        span.in_scope(|| tracing::error!("a handler has panicked"));
        ApiError::new(ErrorCode::Internal, "the service has failed; its log says why")
            .into_response()
    });
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        let _entered = span.enter();
        tracing::debug!(code = error.code.as_str(), error.message, "refused");
        write_envelope(&mut response, error, &app.public_url(), &trace_id, is_head);
    }
    let headers = response.headers_mut();
    headers.insert(TRACE_ID, HeaderValue::try_from(&trace_id).expect("an id is plain text"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let (status, took) = (response.status().as_u16(), began.elapsed());
    span.in_scope(|| tracing::info!(status, ms = took.as_millis() as u64, "answered"));
    let labels = [("method", method.to_owned()), ("route", route), ("status", status.to_string())];
    counter!("harvestman_http_requests_total", &labels).increment(1);
    histogram!("harvestman_http_request_seconds", &labels[..2]).record(took.as_secs_f64());
    response
}

/// A method that somebody made up is no figure of its own.
fn name_of(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

fn write_envelope(
    response: &mut Response,
    error: ApiError,
    docs: &str,
    trace_id: &str,
    is_head: bool,
) {
    let body = serde_json::to_vec(&error.into_body(docs, trace_id)).unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_LENGTH, body.len().into());
    if !is_head {
        *response.body_mut() = Body::from(body);
    }
}
