//! Deliveries of webhooks, as the API shows them.

use harvestman::store::{Delivery, DeliveryState};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// An event on its way to an endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeliveryBody {
    /// Names the delivery.
    #[schema(example = "dlv_0123456789ABCDEF")]
    id: String,
    /// Names the event: the same at every try.
    event_id: String,
    /// What happened, e.g. `job.completed`.
    event: String,
    /// The job.
    job_id: String,
    /// The endpoint's host.
    host: String,
    /// pending, delivered or failed.
    #[schema(value_type = String)]
    state: DeliveryState,
    /// How often it was tried.
    attempts: u32,
    /// When it is tried next.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt_at: Option<Timestamp>,
    /// The status answered last.
    http_status: Option<u16>,
    /// What went wrong last.
    error: Option<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was tried last.
    #[schema(value_type = Option<String>, format = DateTime)]
    attempted_at: Option<Timestamp>,
}

impl From<Delivery> for DeliveryBody {
    fn from(delivery: Delivery) -> Self {
        Self {
            id: delivery.id.to_string(),
            event_id: delivery.event.to_string(),
            event: delivery.kind,
            job_id: delivery.job.to_string(),
            host: delivery.host,
            state: delivery.state,
            attempts: delivery.attempts,
            next_attempt_at: delivery.next_at,
            http_status: delivery.http_status,
            error: delivery.error,
            created_at: delivery.created_at,
            attempted_at: delivery.attempted_at,
        }
    }
}
