//! Why a request was refused, in words that a program can tell apart.

use std::fmt;

use crate::{BoxError, Error};

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $text:literal;)+) => {
        /// What is wrong with a request: a closed list, with names that never change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum RefusalCode { $($(#[doc = $doc])+ $variant,)+ }

        impl RefusalCode {
            /// The stable name, e.g. `limit_exceeded`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

codes! {
    /// The body is no JSON.
    InvalidJson = "invalid_json";
    /// A URL of an inline list can't be used.
    InvalidUrl = "invalid_url";
    /// Parameters that exclude each other, or lack each other.
    ConflictParams = "conflict_params";
    /// More than a limit allows.
    LimitExceeded = "limit_exceeded";
    /// An unknown key, a value of the wrong type, an `extract` that can't be used.
    SchemaInvalid = "schema_invalid";
    /// This installation lacks what is asked for: a browser, a proxy, a storage.
    Unavailable = "unavailable";
    /// There is no such job, upload or delivery.
    NotFound = "not_found";
    /// The job has to end first.
    JobNotFinished = "job_not_finished";
    /// No URL of the job has failed, or none that the filter takes.
    NothingToRetry = "nothing_to_retry";
    /// A job that has not ended needs the upload.
    UploadInUse = "upload_in_use";
    /// The upload is gone.
    UploadExpired = "upload_expired";
    /// The output is gone.
    ResultExpired = "result_expired";
    /// The same idempotency key came with another request before.
    IdempotencyConflict = "idempotency_conflict";
    /// The first request with this idempotency key is still under way.
    IdempotencyInProgress = "idempotency_in_progress";
    /// The body is larger than allowed.
    BodyTooLarge = "body_too_large";
    /// There are too many jobs in the queue.
    Overloaded = "overloaded";
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request that was refused. Nothing has changed by it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct Refusal {
    /// What is wrong.
    pub code: RefusalCode,
    /// The place and what to do, for a person.
    pub message: String,
    /// The fields of the request that are concerned, as paths, e.g. `output.format`.
    pub fields: Vec<String>,
}

impl Refusal {
    /// A refusal with a message for a person.
    pub fn new(code: RefusalCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), fields: Vec::new() }
    }

    /// A refusal because of one field, whose path goes before the message.
    pub fn at(code: RefusalCode, path: &str, message: impl fmt::Display) -> Self {
        Self::new(code, format!("{path}: {message}")).with_fields([path])
    }

    /// Adds the fields that are concerned.
    pub fn with_fields<'a>(mut self, fields: impl IntoIterator<Item = &'a str>) -> Self {
        self.fields = fields.into_iter().map(str::to_owned).collect();
        self
    }

    /// There is no such thing: a job, an upload, a delivery.
    pub fn not_found(what: &str, id: impl fmt::Display) -> Self {
        Self::new(RefusalCode::NotFound, format!("there is no {what} {id}"))
    }
}

/// Why a request to an engine has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The request can't be served as it is: change it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The engine failed: the same request may succeed later.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl RequestError {
    /// The refusal, if it is one.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Failed(_) => None,
        }
    }

    /// A failure of one of the engine's parts.
    pub fn failed(part: &'static str, source: impl Into<BoxError>) -> Self {
        Self::Failed(Error::part(part, source))
    }
}
