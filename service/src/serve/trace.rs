//! Every request gets an id; its answer, its line in the log and its figures say how it went.

use std::{sync::Arc, time::Instant};

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderName, HeaderValue, Method, header};
use metrics::{counter, histogram};
use rand::RngExt;
use tracing::Instrument;

use super::{app::App, error::ApiError};

const TRACE_ID: HeaderName = HeaderName::from_static("x-trace-id");

/// Wraps everything: the id, the envelope of an error, the log, the figures.
pub(crate) async fn trace(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let trace_id = format!("trc_{:016X}", rand::rng().random::<u64>());
    let method = request.method().clone();
    // The path's pattern: ids and signatures belong in no log and no figure.
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let route = route.unwrap_or_else(|| "none".to_owned());
    let began = Instant::now();
    let span = tracing::info_span!("request", trace_id, %method, route);
    let mut response = next.run(request).instrument(span.clone()).await;
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        let _entered = span.enter();
        tracing::debug!(code = error.code.as_str(), error.message, "refused");
        write_envelope(&mut response, error, &app.public_url(), &trace_id, &method);
    }
    let headers = response.headers_mut();
    headers.insert(TRACE_ID, HeaderValue::try_from(&trace_id).expect("an id is plain text"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let (status, took) = (response.status().as_u16(), began.elapsed());
    span.in_scope(|| tracing::info!(status, ms = took.as_millis() as u64, "answered"));
    let labels = [("method", method.to_string()), ("route", route), ("status", status.to_string())];
    counter!("harvestman_http_requests_total", &labels).increment(1);
    histogram!("harvestman_http_request_seconds", &labels[..2]).record(took.as_secs_f64());
    response
}

fn write_envelope(
    response: &mut Response,
    error: ApiError,
    docs: &str,
    trace_id: &str,
    method: &Method,
) {
    let body = serde_json::to_vec(&error.into_body(docs, trace_id)).unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_LENGTH, body.len().into());
    if method != Method::HEAD {
        *response.body_mut() = Body::from(body);
    }
}
