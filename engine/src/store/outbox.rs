//! Events, and their deliveries to endpoints.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Result,
    id::{DeliveryId, EventId, JobId},
};

/// Keeps events until every endpoint has them, and the log of it.
///
/// Events come in by [`JobStore::end`](super::JobStore::end), in the transaction of what they tell.
#[async_trait]
pub trait Outbox: fmt::Debug + Send + Sync {
    /// Up to `most` deliveries that are due at `now`, the longest due first.
    async fn due(&self, now: Timestamp, most: usize) -> Result<Vec<Delivery>>;

    /// When the next delivery is due, if any waits.
    async fn next_due(&self) -> Result<Option<Timestamp>>;

    /// Notes a try of a delivery, and what comes next.
    async fn attempted(&self, id: &DeliveryId, attempted: &Attempted) -> Result<()>;

    /// The deliveries that a query means, newest first.
    async fn deliveries(&self, query: &DeliveryQuery) -> Result<Vec<Delivery>>;

    /// Makes a delivery due at `now` again, with its whole schedule before it. False if there is
    /// none with this id in the workspace.
    async fn replay(&self, workspace: &str, id: &DeliveryId, now: Timestamp) -> Result<bool>;

    /// Removes what was settled before `before`, and the events without a delivery. Answers how
    /// many rows.
    async fn forget_deliveries(&self, before: Timestamp, most: usize) -> Result<u64>;

    /// How many events were made for a job, delivered or not.
    async fn count_events(&self, job: &JobId) -> Result<u64>;
}

/// What is told of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// Its id: the same in every delivery.
    pub id: EventId,
    /// Its name, e.g. `job.completed`.
    pub kind: String,
    /// The body, as it is sent.
    pub body: String,
    /// When it happened.
    pub created_at: Timestamp,
    /// Where it goes, if anywhere.
    pub delivery: Option<NewDelivery>,
}

/// Where an event goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDelivery {
    /// Its id.
    pub id: DeliveryId,
    /// The endpoint's host, which may be shown.
    pub host: String,
}

/// An event on its way to an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// Its id.
    pub id: DeliveryId,
    /// Its place in the order of making; higher is newer.
    pub number: u64,
    /// Whose it is.
    pub workspace: String,
    /// The job.
    pub job: JobId,
    /// The event's id.
    pub event: EventId,
    /// The event's name.
    pub kind: String,
    /// The body, as it is sent.
    pub body: String,
    /// The endpoint's host.
    pub host: String,
    /// How far it is.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// How often it was tried when the present schedule began.
    pub attempts_before: u32,
    /// When it is tried next.
    pub next_at: Option<Timestamp>,
    /// The status answered last.
    pub http_status: Option<u16>,
    /// What went wrong last.
    pub error: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was tried last.
    pub attempted_at: Option<Timestamp>,
}

/// How far a delivery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeliveryState {
    /// It is or will be tried.
    Pending,
    /// The endpoint has it.
    Delivered,
    /// It was given up.
    Failed,
}

/// A try of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempted {
    /// When.
    pub at: Timestamp,
    /// How far the delivery is now.
    pub state: DeliveryState,
    /// When it is tried next.
    pub next_at: Option<Timestamp>,
    /// The status answered.
    pub http_status: Option<u16>,
    /// What went wrong.
    pub error: Option<String>,
}

/// Which deliveries are meant.
#[derive(Clone, Debug, Default)]
pub struct DeliveryQuery {
    /// Those of this workspace.
    pub workspace: Option<String>,
    /// Those of this job.
    pub job: Option<JobId>,
    /// Those in this state.
    pub state: Option<DeliveryState>,
    /// Those older than the one with this number: the next page.
    pub before: Option<u64>,
    /// How many at most.
    pub limit: usize,
}
