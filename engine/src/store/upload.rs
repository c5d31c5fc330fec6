//! Uploaded files.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StoredAnswer;
use crate::{Result, id::UploadId, spec::InputFormat};

/// Keeps what is known of uploaded files; the files themselves lie beside the store.
#[async_trait]
pub trait UploadStore: fmt::Debug + Send + Sync {
    /// Adds an upload whose file is durable, with the answer to its idempotency key.
    async fn insert_upload(&self, upload: &UploadEntry, answer: Option<StoredAnswer>)
    -> Result<()>;

    /// An upload, whoever's it is, unless it is being erased.
    async fn upload(&self, id: &UploadId) -> Result<Option<UploadEntry>>;

    /// Marks an upload as to be erased, unless a job that has not ended needs it. False then, and
    /// if there is none.
    async fn give_up_upload(&self, id: &UploadId) -> Result<bool>;

    /// Marks uploads that expired before `now` as to be erased, unless a job that has not ended
    /// needs them, and answers with up to `most` of all that are marked.
    async fn uploads_to_erase(&self, now: Timestamp, most: usize) -> Result<Vec<UploadId>>;

    /// Forgets an upload whose file is gone.
    async fn forget_upload(&self, id: &UploadId) -> Result<()>;
}

/// An uploaded file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UploadEntry {
    /// Its id.
    pub id: UploadId,
    /// Whose it is.
    pub workspace: String,
    /// How its lines are written.
    pub format: InputFormat,
    /// How many bytes came in.
    pub bytes: u64,
    /// How many tasks it holds, those of bad lines included.
    pub total: u64,
    /// How many of its lines can't be used.
    pub invalid: u64,
    /// The first of them.
    pub errors: Vec<UploadError>,
    /// The SHA-256 of the decoded file, in lower-case hexadecimal digits.
    pub sha256: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it is kept, or as long as a job needs it.
    pub expires_at: Timestamp,
}

/// A line that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadError {
    /// The 1-based line.
    pub line: u64,
    /// The code that its record will have.
    pub code: crate::Code,
    /// What is wrong with it.
    pub message: String,
}
