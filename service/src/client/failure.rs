//! Why a command of the client did not work.

use std::{fmt, io, path::Path};

use serde::Deserialize;
use serde_json::{Value, json};

/// The most bytes of a text from the service that are shown.
const MAX_SHOWN_BYTES: usize = 2_000;

/// Why a command did not work; each kind has its exit code.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command, or a file of this machine, can't be used.
    Unusable(String),
    /// The service refuses.
    Refused(Box<Refusal>),
    /// The service can't be reached, or has failed.
    Unreachable(String),
    /// What came is not what was promised.
    Damaged(String),
}

/// What the service says of a request that it does not serve.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    envelope: Envelope,
    raw: Value,
}

/// The envelope of the API's errors.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Envelope {
    code: String,
    message: String,
    docs_url: Option<String>,
    retryable: bool,
    retry_after_s: Option<u64>,
    trace_id: Option<String>,
}

impl Failure {
    /// A file of this machine that can't be read or written.
    pub(crate) fn file(doing: &str, path: &Path, error: &io::Error) -> Self {
        Self::Unusable(format!("failed to {doing} {}: {error}", path.display()))
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Unusable(_) => 2,
            Self::Refused(_) => 5,
            Self::Unreachable(_) => 6,
            Self::Damaged(_) => 7,
        }
    }

    /// What a program gets to read: the service's own words where it has said something.
    pub(crate) fn json(&self) -> Value {
        let code = match self {
            Self::Refused(refusal) if refusal.raw.is_object() => return refusal.raw.clone(),
            Self::Refused(_) => "refused",
            Self::Unusable(_) => "unusable",
            Self::Unreachable(_) => "unreachable",
            Self::Damaged(_) => "damaged",
        };
        json!({"status": "error", "code": code, "message": self.to_string()})
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Unusable(message) | Self::Unreachable(message) | Self::Damaged(message) => {
                f.write_str(message)
            }
        }
    }
}

impl Refusal {
    /// Reads what came with an error's status.
    pub(crate) fn new(status: u16, body: &[u8]) -> Self {
        let raw: Value = serde_json::from_slice(body).unwrap_or_default();
        let envelope = Envelope::deserialize(&raw).unwrap_or_default();
        Self { status, envelope, raw }
    }

    /// Whether the same request may succeed when it is sent again.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self.status, 408 | 429 | 502 | 503 | 504)
            || self.envelope.code == "idempotency_in_progress"
    }

    pub(crate) fn retry_after_s(&self) -> Option<u64> {
        self.envelope.retry_after_s
    }

    /// What to call the failure when it doesn't pass.
    pub(crate) fn into_failure(self) -> Failure {
        match self.status {
            500.. => Failure::Unreachable(self.to_string()),
            _ => Failure::Refused(Box::new(self)),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Envelope { code, message, docs_url, retryable, trace_id, .. } = &self.envelope;
        if code.is_empty() {
            let status = self.status;
            return write!(
                f,
                "the service answers {status} without saying why; is --url that of the API?"
            );
        }
        write!(f, "{} ({}, {})", shown(message), shown(code), self.status)?;
        if *retryable {
            f.write_str("; it may work later")?;
        }
        if let Some(trace) = trace_id {
            write!(f, "\n  trace id: {}", shown(trace))?;
        }
        if let Some(docs) = docs_url {
            write!(f, "\n  more: {}", shown(docs))?;
        }
        Ok(())
    }
}

/// A text of the service's, safe for a terminal.
pub(crate) fn shown(text: &str) -> String {
    harvestman::excerpt(text.as_bytes(), MAX_SHOWN_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_the_service_says_without_harm() {
        let body = br#"{"status":"error","code":"schema_invalid","message":"concurency: \u001b[31munknown key",
            "docs_url":"http://a.test/docs","retryable":false,"trace_id":"trc_1"}"#;
        let failure = Refusal::new(422, body).into_failure();
        let expected = "concurency: ·[31munknown key (schema_invalid, 422)\n  trace id: trc_1\n  more: http://a.test/docs";
        assert_eq!((failure.to_string().as_str(), failure.exit_code()), (expected, 5));
        assert_eq!(failure.json()["code"], "schema_invalid");
    }

    #[test]
    fn an_answer_of_something_else_is_told_apart() {
        for body in [&b"<html>"[..], b"", b"[1]", b"{\"code\":5}"] {
            let failure = Refusal::new(404, body).into_failure();
            assert!(failure.to_string().contains("is --url that of the API?"), "{failure}");
        }
        assert_eq!(Refusal::new(500, b"").into_failure().exit_code(), 6);
    }

    #[test]
    fn what_may_pass_is_tried_again_and_nothing_else() {
        let in_progress = br#"{"code":"idempotency_in_progress"}"#;
        assert!(Refusal::new(409, in_progress).may_pass() && Refusal::new(503, b"").may_pass());
        let conflict = br#"{"code":"idempotency_conflict","retryable":true}"#;
        assert!(!Refusal::new(409, conflict).may_pass() && !Refusal::new(500, b"").may_pass());
    }
}
