//! Who is told of a job's end.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use url::Url;

/// An endpoint that is told of a job's end.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct WebhookSpec {
    /// Where to post to; `http` or `https`.
    pub url: Url,
    /// Of which ends it is told; of every one by default.
    #[serde(default = "WebhookEvent::all")]
    pub events: Vec<WebhookEvent>,
    /// What deliveries are signed with, `whsec_` and base64; the workspace's secret by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Headers to send along.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

/// What an endpoint may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum WebhookEvent {
    /// Every URL has its record.
    #[serde(rename = "job.completed")]
    Completed,
    /// The job has failed.
    #[serde(rename = "job.failed")]
    Failed,
    /// The job was stopped before its last URL.
    #[serde(rename = "job.cancelled")]
    Cancelled,
}

impl WebhookSpec {
    /// An endpoint that is told of every end, with the workspace's secret.
    pub fn new(url: Url) -> Self {
        Self { url, events: WebhookEvent::all(), secret: None, headers: BTreeMap::new() }
    }

    /// Sets what deliveries are signed with.
    #[must_use]
    pub fn with_secret(mut self, secret: impl Into<String>) -> Self {
        self.secret = Some(secret.into());
        self
    }
}

/// Neither the secret nor the headers' values.
impl fmt::Debug for WebhookSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookSpec")
            .field("host", &self.url.host_str())
            .field("events", &self.events)
            .field("has_secret", &self.secret.is_some())
            .field("headers", &self.headers.keys())
            .finish_non_exhaustive()
    }
}

impl WebhookEvent {
    fn all() -> Vec<Self> {
        vec![Self::Completed, Self::Failed, Self::Cancelled]
    }

    /// The event's name, e.g. `job.completed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "job.completed",
            Self::Failed => "job.failed",
            Self::Cancelled => "job.cancelled",
        }
    }
}
