//! What the operator's tools ask: is it there, is it ready, how does it go.

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use harvestman::store::{JobQuery, Status};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use metrics::gauge;
use serde_json::json;
use subtle::ConstantTimeEq;

use crate::serve::{
    app::App,
    error::{ApiError, ErrorCode},
    idempotency::Answer,
};

/// Whether the process is alive.
#[utoipa::path(get, path = "/healthz", tag = "operations", operation_id = "health", security(()),
    responses((status = 200, body = Object, description = "It is.")))]
pub(crate) async fn health() -> Response {
    Answer::new(StatusCode::OK, &json!({"status": "ok"})).into_response()
}

/// Whether requests can be served: the store answers, and the service isn't stopping.
#[utoipa::path(get, path = "/readyz", tag = "operations", operation_id = "ready", security(()),
    responses(
        (status = 200, body = Object, description = "They can."),
        (status = 503, body = crate::serve::error::ErrorBody, description = "They can't."),
    ))]
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Result<Response, ApiError> {
    let unready = |message: &str| ApiError::new(ErrorCode::Overloaded, message).with_retry_after(5);
    if app.closing.is_cancelled() {
        return Err(unready("the service is stopping"));
    }
    app.engine.store().open_jobs().await.map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "the store doesn't answer");
        unready("the store doesn't answer")
    })?;
    Ok(Answer::new(StatusCode::OK, &json!({"status": "ok"})).into_response())
}

/// Figures of the whole service in Prometheus' text format; they name no workspace, job or host.
#[utoipa::path(get, path = "/metrics", tag = "operations", operation_id = "metrics", security(()),
    responses(
        (status = 200, content_type = "text/plain", body = String, description = "The figures."),
        (status = 401, body = crate::serve::error::ErrorBody, description = "The token is missing or wrong."),
    ))]
pub(crate) async fn metrics(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    if let Some(token) = &app.metrics_token {
        let said = headers.get(header::AUTHORIZATION).map_or(&b""[..], HeaderValue::as_bytes);
        let right = format!("Bearer {}", token.reveal());
        if !bool::from(right.as_bytes().ct_eq(said)) {
            let message = "send the metrics token as `Authorization: Bearer <token>`";
            return Err(ApiError::new(ErrorCode::MissingCredentials, message));
        }
    }
    look(&app).await?;
    let text = app.metrics.0.render();
    let media = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, media)], text).into_response())
}

/// Sets what is looked at rather than counted.
async fn look(app: &App) -> Result<(), ApiError> {
    let running = JobQuery {
        status: Some(Status::Running),
        limit: app.engine.settings().max_running,
        ..JobQuery::default()
    };
    let running = app.engine.store().jobs(&running).await?.len() as u64;
    let open = app.engine.store().open_jobs().await?;
    gauge!("harvestman_jobs", "status" => "running").set(running as f64);
    gauge!("harvestman_jobs", "status" => "queued").set(open.saturating_sub(running) as f64);
    let load = app.engine.load();
    gauge!("harvestman_pages_in_flight").set(load.in_flight as f64);
    gauge!("harvestman_hosts").set(load.hosts as f64);
    gauge!("harvestman_hosts_paused").set(load.paused_hosts as f64);
    Ok(())
}
