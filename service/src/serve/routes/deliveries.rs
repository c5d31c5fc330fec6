//! The deliveries of webhooks.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use harvestman::{
    id::{DeliveryId, JobId},
    store::{DeliveryQuery, DeliveryState},
};
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Id, page_size};
use crate::serve::{
    app::App,
    auth::{Reader, Writer},
    body,
    error::ApiError,
    idempotency::{Answer, IdempotencyHeader, Posted, posted},
    wire::{DeliveryBody, Page, number_of},
};

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct DeliveryParams {
    /// Those of this job.
    #[param(value_type = Option<String>)]
    job: Option<JobId>,
    /// Those in this state: pending, delivered or failed.
    #[param(value_type = Option<String>)]
    state: Option<DeliveryState>,
    /// How many, 20 unless said otherwise.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
}

/// The deliveries of the last 30 days, newest first.
#[utoipa::path(get, path = "/v1/webhooks/deliveries", tag = "webhooks", operation_id = "listDeliveries",
    params(DeliveryParams),
    responses((status = 200, body = Page<DeliveryBody>, description = "A page of deliveries.")))]
pub(crate) async fn list(
    Reader(workspace): Reader,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let query: DeliveryParams = body::query(query.as_deref())?;
    let limit = page_size(query.limit)?;
    let asked = DeliveryQuery {
        job: query.job,
        state: query.state,
        before: query.cursor.as_deref().map(number_of).transpose()?,
        limit: limit + 1,
        ..DeliveryQuery::default()
    };
    let deliveries = workspace.deliveries(&asked).await?;
    let page = Page::new(deliveries, limit, |delivery| delivery.number, DeliveryBody::from);
    Ok(Answer::new(StatusCode::OK, &page).into_response())
}

/// A delivery that is tried again.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReplayBody {
    /// The delivery.
    id: String,
    /// pending.
    #[schema(value_type = String)]
    state: DeliveryState,
}

/// Deliver an event again, whatever became of it.
#[utoipa::path(post, path = "/v1/webhooks/deliveries/{id}/replay", tag = "webhooks", operation_id = "replayDelivery",
    params(("id" = String, Path, description = "The delivery."),
           IdempotencyHeader),
    responses((status = 202, body = ReplayBody, description = "It is tried again, with the whole schedule before it.")))]
pub(crate) async fn replay(
    State(app): State<Arc<App>>,
    Writer(workspace): Writer,
    Id(id): Id<DeliveryId>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let path = format!("/v1/webhooks/deliveries/{id}/replay");
    let turn = match posted(&app, &workspace, &path, &headers, body).await? {
        Posted::New(_, turn) => turn,
        Posted::Known(answer) => return Ok(answer),
    };
    workspace.replay(&id).await?;
    let body = ReplayBody { id: id.to_string(), state: DeliveryState::Pending };
    turn.answer(Answer::new(StatusCode::ACCEPTED, &body)).await
}
