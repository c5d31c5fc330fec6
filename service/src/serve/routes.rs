//! What is answered at which path.

pub(crate) mod deliveries;
pub(crate) mod events;
pub(crate) mod exports;
pub(crate) mod jobs;
pub(crate) mod operations;
pub(crate) mod preview;
pub(crate) mod reference;
pub(crate) mod uploads;
pub(crate) mod workspace;

use std::str::FromStr;

use axum::extract::{FromRequestParts, Path};
use harvestman::id::{DeliveryId, JobId, UploadId};
use http::request::Parts;

use super::error::{ApiError, ErrorCode};

/// How many entries a page of a list has when the query doesn't say.
const DEFAULT_PAGE: usize = 20;
/// How many it has at most.
const MAX_PAGE: usize = 100;

/// The id in a path. What is none leads nowhere.
pub(crate) struct Id<T>(pub(crate) T);

/// A kind of id.
pub(crate) trait Named: FromStr {
    /// What it names.
    const WHAT: &str;
}

impl Named for JobId {
    const WHAT: &str = "job";
}

impl Named for UploadId {
    const WHAT: &str = "upload";
}

impl Named for DeliveryId {
    const WHAT: &str = "delivery";
}

impl<S: Send + Sync, T: Named> FromRequestParts<S> for Id<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let text = Path::<String>::from_request_parts(parts, state).await.ok();
        let id = text.and_then(|Path(text)| text.parse().ok());
        let unknown = || ApiError::not_found(format!("there is no {} with this id", T::WHAT));
        id.map(Self).ok_or_else(unknown)
    }
}

/// How many entries a page is to have.
fn page_size(limit: Option<usize>) -> Result<usize, ApiError> {
    let limit = limit.unwrap_or(DEFAULT_PAGE);
    if (1..=MAX_PAGE).contains(&limit) {
        return Ok(limit);
    }
    let message = format!("the query's parameter `limit`: must be 1 to {MAX_PAGE}");
    Err(ApiError::new(ErrorCode::InvalidRequest, message))
}

/// Runs what would hold up the other requests on a thread of its own.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| harvestman::Error::part("service", error).into())
}

/// Serves a request on a thread of its own if it is large: much of reading, checking and sealing it
/// is work between two waits.
async fn aside<T: Send + 'static>(
    is_large: bool,
    work: impl Future<Output = Result<T, ApiError>> + Send + 'static,
) -> Result<T, ApiError> {
    if !is_large {
        return work.await;
    }
    let runtime = tokio::runtime::Handle::current();
    blocking(move || runtime.block_on(work)).await?
}
