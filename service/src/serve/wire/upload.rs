//! Uploads, as the API shows them.

use harvestman::{
    Code,
    spec::InputFormat,
    store::{UploadEntry, UploadError},
};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// An uploaded list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UploadBody {
    /// Names the upload.
    #[schema(example = "upl_8K2nB7")]
    id: String,
    /// The same.
    upload_id: String,
    /// ndjson, csv or text.
    #[schema(value_type = String)]
    format: InputFormat,
    /// Its size in bytes, as it was sent.
    bytes: u64,
    /// How many lines it has, bad ones included.
    urls_total: u64,
    /// How many of them can't be used; each will be a record with an error.
    invalid_lines: u64,
    /// The first 100 of these.
    errors: Vec<LineErrorBody>,
    /// The SHA-256 of the decoded file in hexadecimal digits.
    sha256: String,
    /// When it came in.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Until when it is kept, or as long as a job needs it.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// A line that can't be used.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LineErrorBody {
    /// The 1-based line of the file.
    line: u64,
    /// The code that its record will have.
    #[schema(value_type = String)]
    code: Code,
    /// What is wrong with it.
    message: String,
}

impl From<UploadError> for LineErrorBody {
    fn from(error: UploadError) -> Self {
        Self { line: error.line, code: error.code, message: error.message }
    }
}

impl From<&UploadEntry> for UploadBody {
    fn from(upload: &UploadEntry) -> Self {
        Self {
            id: upload.id.to_string(),
            upload_id: upload.id.to_string(),
            format: upload.format,
            bytes: upload.bytes,
            urls_total: upload.total,
            invalid_lines: upload.invalid,
            errors: upload.errors.iter().cloned().map(Into::into).collect(),
            sha256: upload.sha256.clone(),
            created_at: upload.created_at,
            expires_at: upload.expires_at,
        }
    }
}
