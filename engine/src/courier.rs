//! How webhooks leave: the [`Courier`] trait.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use url::Url;

use crate::Code;

/// Posts one event to one endpoint. One call is one try.
///
/// A courier never retries and follows no redirect; an answer of any status is an answer. It bounds
/// the time of the whole call and how much of the answer is read, and connects to no address that
/// the operator has not allowed. Called concurrently; dropping the future abandons the try.
#[async_trait]
pub trait Courier: fmt::Debug + Send + Sync {
    /// Posts the request's body and tells of the answer; an `Err` if there was none.
    async fn deliver(&self, request: CourierRequest) -> Result<CourierAnswer, CourierError>;
}

/// What is posted.
#[derive(Clone, Debug)]
pub struct CourierRequest {
    /// Where to.
    pub url: Url,
    /// The headers, signatures included.
    pub headers: HeaderMap,
    /// The event.
    pub body: Bytes,
}

/// What an endpoint answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CourierAnswer {
    /// The status.
    pub status: u16,
    /// How long it asked to wait.
    pub retry_after: Option<Duration>,
    /// The first 500 characters of the answer, without control characters.
    pub excerpt: String,
}

/// Why there was no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct CourierError {
    /// What kind of failure.
    pub code: Code,
    /// What happened, for a person.
    pub message: String,
}
