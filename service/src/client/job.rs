//! Jobs, as the API shows them. What this client does not know it passes on.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{
    Outcome,
    api::{Answer, Api},
    failure::Failure,
};

/// A job, and all that was said of it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) job: Job,
    pub(crate) raw: Value,
}

/// A job and how far it is. What is missing is taken for nothing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) status: String,
    pub(crate) name: Option<String>,
    pub(crate) phase: Option<String>,
    pub(crate) status_reason: Option<String>,
    pub(crate) error: Option<Problem>,
    pub(crate) urls_total: Option<u64>,
    pub(crate) urls_done: u64,
    pub(crate) urls_ok: u64,
    pub(crate) urls_errored: u64,
    pub(crate) urls_skipped: Option<u64>,
    pub(crate) by_code: BTreeMap<String, u64>,
    pub(crate) credits_used: u64,
    pub(crate) eta_s: Option<u64>,
    pub(crate) download_url: Option<String>,
    pub(crate) created_at: Option<Timestamp>,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) retry_of: Option<String>,
    pub(crate) output: JobOutput,
    pub(crate) slowest_hosts: Vec<Host>,
    pub(crate) warnings: Vec<String>,
}

/// Why a job has failed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Problem {
    pub(crate) code: String,
    pub(crate) message: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct JobOutput {
    pub(crate) format: String,
    pub(crate) parts: Vec<Part>,
}

/// A file of a result.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Part {
    pub(crate) url: Option<String>,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) sha256: Option<String>,
}

/// A host that holds a job up.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Host {
    pub(crate) host: String,
    pub(crate) remaining: u64,
    pub(crate) eta_s: Option<u64>,
}

impl Seen {
    /// Reads what the service says of a job.
    pub(crate) fn new(raw: Value) -> Result<Self, Failure> {
        let job = Job::deserialize(&raw).map_err(|error| {
            Failure::Unreachable(format!("what the service says of the job can't be read: {error}"))
        })?;
        Ok(Self { job, raw })
    }

    pub(crate) fn of(answer: &Answer) -> Result<Self, Failure> {
        Self::new(answer.value()?)
    }

    pub(crate) async fn get(api: &Api, id: &str) -> Result<Self, Failure> {
        Self::of(&api.get(&["v1", "jobs", id], &[]).await?)
    }
}

impl Job {
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.status.as_str(), "completed" | "cancelled" | "failed")
    }

    /// How a command goes that has followed the job to its end.
    pub(crate) fn outcome(&self) -> Outcome {
        match self.status.as_str() {
            "failed" => Outcome::Failed,
            "cancelled" => Outcome::Cancelled,
            _ => Outcome::Done,
        }
    }
}
