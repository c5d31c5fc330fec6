//! The caller's own workspace.

use std::sync::Arc;

use axum::{
    Extension,
    extract::State,
    response::{IntoResponse, Response},
};
use harvestman::Params;
use http::StatusCode;

use crate::serve::{
    app::App,
    auth::{Caller, Reader},
    error::ApiError,
    idempotency::Answer,
    wire::WorkspaceBody,
};

/// The caller's workspace, and what this installation can do.
#[utoipa::path(get, path = "/v1/workspace", tag = "workspace", operation_id = "getWorkspace",
    responses((status = 200, body = WorkspaceBody, description = "The workspace.")))]
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Reader(workspace): Reader,
    Extension(caller): Extension<Caller>,
) -> Result<Response, ApiError> {
    let entry = workspace.credentials().await?;
    let mut rendered = Params::new();
    rendered.render = Some(true);
    let can_render = app.router.check(&rendered).is_ok();
    let classes = app.router.proxies().classes();
    let body = WorkspaceBody::new(entry, caller.scopes, app.limits(), can_render, classes);
    Ok(Answer::new(StatusCode::OK, &body).into_response())
}
