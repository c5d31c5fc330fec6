//! Requests that may be sent twice and are served once.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::Result;

/// Keeps the answers to requests that carry a key of their own.
#[async_trait]
pub trait IdempotencyStore: fmt::Debug + Send + Sync {
    /// Notes that `owner` begins to serve a request, or says what became of the one before.
    ///
    /// A request that another owner began and never answered is begun anew: that process has died.
    async fn begin(&self, key: &IdempotencyKey, owner: &str, now: Timestamp) -> Result<Begun>;

    /// Keeps the answer to a request that was begun.
    async fn answer(&self, answer: &StoredAnswer) -> Result<()>;

    /// Forgets a request that was begun and came to nothing, so that it can be sent again.
    async fn abandon(&self, workspace: &str, key: &str) -> Result<()>;

    /// Removes what was begun before `before`. Answers how many.
    async fn forget_answers(&self, before: Timestamp, most: usize) -> Result<u64>;
}

/// What a request is told by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Whose it is.
    pub workspace: String,
    /// The user's key.
    pub key: String,
    /// A hash over method, path and body: tells another request under the same key.
    pub fingerprint: String,
}

/// Whether a request is to be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It is new: serve it.
    New,
    /// It is being served.
    InProgress,
    /// The same key came with another request before.
    Conflict,
    /// It was served: this was the answer.
    Answered(StoredAnswer),
}

/// An answer that is given again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAnswer {
    /// Whose it is.
    pub workspace: String,
    /// The user's key.
    pub key: String,
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
    /// The `Location` header.
    pub location: Option<String>,
}
