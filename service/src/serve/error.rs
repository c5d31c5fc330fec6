//! What a client is told when a request has no answer: the contract's envelope, and its codes.

use std::io::ErrorKind;

use axum::response::{IntoResponse, Response};
use harvestman::{Error, Refusal, RefusalCode, RequestError};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

macro_rules! codes {
    ($($variant:ident = $text:literal, $status:ident, $meaning:literal, $remedy:literal;)+) => {
        /// Every code of an error, with its status and what to do about it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum ErrorCode { $($variant,)+ }

        impl ErrorCode {
            /// All of them, in the order of their status.
            pub(crate) const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The stable name, e.g. `not_found`.
            pub(crate) fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The HTTP status.
            pub(crate) fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)+ }
            }

            /// What it means, for a person.
            pub(crate) fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)+ }
            }

            /// What to do about it, for a person.
            pub(crate) fn remedy(self) -> &'static str {
                match self { $(Self::$variant => $remedy,)+ }
            }
        }
    };
}

codes! {
    InvalidJson = "invalid_json", BAD_REQUEST,
        "The body is no JSON object.", "Send one JSON object in UTF-8.";
    InvalidUrl = "invalid_url", BAD_REQUEST,
        "A URL of an inline list, or its line, can't be used.", "Mend the URL whose index the message names.";
    ConflictParams = "conflict_params", BAD_REQUEST,
        "Parameters exclude or lack each other.", "Change one of those that detail.fields names.";
    LimitExceeded = "limit_exceeded", BAD_REQUEST,
        "A value is beyond a limit of the service.", "Stay within the range that the message names, or split the job.";
    InvalidRequest = "invalid_request", BAD_REQUEST,
        "The query, a header or the form of the request can't be used.", "Mend the place that the message names.";
    MissingCredentials = "missing_credentials", UNAUTHORIZED,
        "The request has no key.", "Send `Authorization: Bearer <key>`.";
    UnknownKey = "unknown_key", UNAUTHORIZED,
        "The key is none of this service.", "Check the key, or make another one with `harvestman keys create`.";
    Revoked = "revoked", UNAUTHORIZED,
        "The key was revoked.", "Use another key.";
    WorkspaceBalance = "workspace_balance", PAYMENT_REQUIRED,
        "The workspace has no credits left.", "Add credits. Services without balances never answer this.";
    InsufficientScope = "insufficient_scope", FORBIDDEN,
        "The key may not do this.", "Use a key with the scope that the message names.";
    LinkInvalid = "link_invalid", FORBIDDEN,
        "The signed link is forged or incomplete.", "Use the whole link, as the service gave it.";
    LinkExpired = "link_expired", FORBIDDEN,
        "The time of the signed link is over.", "Ask for a new one: POST /v1/jobs/{id}/download-url.";
    ForeignOrigin = "foreign_origin", FORBIDDEN,
        "A service without keys answers to its own machine only.", "Call it as 127.0.0.1 or localhost, or make a key.";
    NotFound = "not_found", NOT_FOUND,
        "There is no such thing in this workspace.", "Check the id and the path.";
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED,
        "The path is right, the method isn't.", "Use a method that the Allow header names.";
    RequestTimeout = "request_timeout", REQUEST_TIMEOUT,
        "The body did not come in time.", "Send it again, without pauses.";
    IdempotencyConflict = "idempotency_conflict", CONFLICT,
        "The Idempotency-Key came with another request before.", "Use a new key for a new request.";
    IdempotencyInProgress = "idempotency_in_progress", CONFLICT,
        "A request with this Idempotency-Key is being served.", "Wait and send it again.";
    JobNotFinished = "job_not_finished", CONFLICT,
        "The job has to end first.", "Wait for its end, or cancel it.";
    NothingToRetry = "nothing_to_retry", CONFLICT,
        "No URL of the job has failed, or none that the filter takes.", "Widen the filter.";
    UploadInUse = "upload_in_use", CONFLICT,
        "A job that has not ended needs the upload.", "Wait for its end, or cancel it.";
    UploadExpired = "upload_expired", GONE,
        "The upload is gone.", "Upload the file again.";
    ResultExpired = "result_expired", GONE,
        "The result was erased.", "Run the job again.";
    BodyTooLarge = "body_too_large", PAYLOAD_TOO_LARGE,
        "The body has more bytes than allowed, as sent or decoded.", "Split it, or upload a list instead of sending it inline.";
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE,
        "The Content-Type or Content-Encoding is none that this path takes.", "Use one that the message names.";
    RangeNotSatisfiable = "range_not_satisfiable", RANGE_NOT_SATISFIABLE,
        "The file has no bytes in this range.", "Ask for a range within its size.";
    SchemaInvalid = "schema_invalid", UNPROCESSABLE_ENTITY,
        "An unknown key, a value of the wrong type, or fields that can't be extracted.", "Mend the path that the message names.";
    Unavailable = "unavailable", UNPROCESSABLE_ENTITY,
        "This installation lacks what is asked for.", "Leave it out, or have it configured as the message says.";
    RateLimited = "rate_limited", TOO_MANY_REQUESTS,
        "The workspace makes too many requests.", "Wait as long as Retry-After says.";
    Internal = "internal", INTERNAL_SERVER_ERROR,
        "The service has failed.", "Try again later; the operator finds the cause by the trace id.";
    Overloaded = "overloaded", SERVICE_UNAVAILABLE,
        "The service can't take this at the moment.", "Try again as Retry-After says.";
}

impl ErrorCode {
    /// Whether the same request may succeed later.
    fn is_retryable(self) -> bool {
        let is_known = matches!(self, Self::IdempotencyInProgress | Self::JobNotFinished);
        is_known || self.status().is_server_error() || {
            matches!(self.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
        }
    }
}

/// A request that has no answer. Becomes the envelope once the trace is known.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
    pub(crate) fields: Vec<String>,
    pub(crate) retry_after_s: Option<u64>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

/// The contract's envelope of an error.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// Always `error`.
    #[schema(value_type = String, example = "error")]
    status: &'static str,
    /// A stable name of what is wrong; `/docs/errors` says what to do about each.
    code: &'static str,
    /// What is wrong and what to do, for a person.
    message: String,
    /// Where the code is explained.
    docs_url: String,
    /// Whether the same request may succeed later.
    retryable: bool,
    /// After how many seconds it may be sent again.
    retry_after_s: Option<u64>,
    /// Finds the request in the service's logs.
    trace_id: String,
    /// More about it; `fields` are the paths of the request that are concerned.
    #[schema(value_type = Object)]
    detail: Value,
}

impl ApiError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            fields: Vec::new(),
            retry_after_s: None,
            headers: Vec::new(),
        }
    }

    /// There is nothing at this path, or nothing with this id in this workspace.
    pub(crate) fn not_found(what: impl Into<String>) -> Self {
        Self::new(ErrorCode::NotFound, what)
    }

    pub(crate) fn with_retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self.with_header(header::RETRY_AFTER, seconds.into())
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(crate) fn into_body(self, docs: &str, trace_id: &str) -> ErrorBody {
        let detail =
            if self.fields.is_empty() { json!({}) } else { json!({"fields": self.fields}) };
        ErrorBody {
            status: "error",
            code: self.code.as_str(),
            docs_url: format!("{docs}/docs/errors#{}", self.code.as_str()),
            retryable: self.code.is_retryable(),
            message: self.message,
            retry_after_s: self.retry_after_s,
            trace_id: trace_id.to_owned(),
            detail,
        }
    }
}

/// The body is written by [`trace`](super::trace), which knows the trace id.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        response.headers_mut().extend(self.headers.iter().cloned());
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal.code {
            RefusalCode::InvalidJson => ErrorCode::InvalidJson,
            RefusalCode::InvalidUrl => ErrorCode::InvalidUrl,
            RefusalCode::ConflictParams => ErrorCode::ConflictParams,
            RefusalCode::LimitExceeded => ErrorCode::LimitExceeded,
            RefusalCode::SchemaInvalid => ErrorCode::SchemaInvalid,
            RefusalCode::Unavailable => ErrorCode::Unavailable,
            RefusalCode::NotFound => ErrorCode::NotFound,
            RefusalCode::JobNotFinished => ErrorCode::JobNotFinished,
            RefusalCode::NothingToRetry => ErrorCode::NothingToRetry,
            RefusalCode::UploadInUse => ErrorCode::UploadInUse,
            RefusalCode::UploadExpired => ErrorCode::UploadExpired,
            RefusalCode::ResultExpired => ErrorCode::ResultExpired,
            RefusalCode::BodyTooLarge => ErrorCode::BodyTooLarge,
            RefusalCode::IdempotencyConflict => ErrorCode::IdempotencyConflict,
            RefusalCode::IdempotencyInProgress => ErrorCode::IdempotencyInProgress,
            RefusalCode::Overloaded => ErrorCode::Overloaded,
            _ => ErrorCode::InvalidRequest,
        };
        let error = Self { fields: refusal.fields, ..Self::new(code, refusal.message) };
        if code == ErrorCode::Overloaded { error.with_retry_after(OVERLOAD_S) } else { error }
    }
}

/// After how many seconds an overloaded service may be asked again.
const OVERLOAD_S: u64 = 30;

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let is_full = matches!(&error, Error::Io { source, .. }
            if source.kind() == ErrorKind::StorageFull || source.kind() == ErrorKind::QuotaExceeded);
        tracing::error!(error = &error as &dyn std::error::Error, "a request has failed");
        if is_full {
            let message = "the service's disk is full; nothing was changed";
            return Self::new(ErrorCode::Overloaded, message).with_retry_after(OVERLOAD_S);
        }
        let message = "the service has failed; its log says why";
        Self::new(ErrorCode::Internal, message)
    }
}

impl From<RequestError> for ApiError {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Refused(refusal) => refusal.into(),
            RequestError::Failed(error) => error.into(),
            _ => Self::new(ErrorCode::Internal, "the service has failed; its log says why"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_is_the_contracts() {
        let error = ApiError::new(ErrorCode::RateLimited, "too fast").with_retry_after(3);
        let body = serde_json::to_value(error.into_body("http://a.test", "trc_1")).unwrap();
        let expected = json!({
            "status": "error", "code": "rate_limited", "message": "too fast",
            "docs_url": "http://a.test/docs/errors#rate_limited", "retryable": true,
            "retry_after_s": 3, "trace_id": "trc_1", "detail": {},
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn what_waiting_helps_against_is_retryable_and_nothing_else() {
        let retryable: Vec<_> = ErrorCode::ALL.iter().filter(|code| code.is_retryable()).collect();
        let names: Vec<_> = retryable.iter().map(|code| code.as_str()).collect();
        let expected = [
            "request_timeout",
            "idempotency_in_progress",
            "job_not_finished",
            "rate_limited",
            "internal",
            "overloaded",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_failure_shows_nothing_of_the_machine() {
        let error = Error::io("read", "/secret/place")(ErrorKind::PermissionDenied.into());
        assert!(!ApiError::from(error).message.contains("secret"));
        let full = Error::io("write to", "/secret/place")(ErrorKind::StorageFull.into());
        assert_eq!(ApiError::from(full).code, ErrorCode::Overloaded);
    }
}
