//! Jobs, as the API shows them.

use std::{collections::BTreeMap, time::Duration};

use harvestman::{
    Errored, HostProgress, Part, Phase, StopReason,
    engine::{Estimate, JobStatus},
    spec::{OutputCompression, OutputFormat},
    store::{OutputState, Problem, Status},
};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::serve::links::{LinkKeys, file_name};

/// How many files of a job are shown with it.
const MAX_PARTS: usize = 1_000;

/// A job and how far it is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobBody {
    /// Names the job.
    #[schema(example = "job_3F2D1A77B0E1")]
    id: String,
    /// The user's own name for it.
    name: Option<String>,
    /// queued, running, completed, cancelled or failed.
    #[schema(value_type = String, pattern = "^(queued|running|completed|cancelled|failed)$")]
    status: Status,
    /// What a running job does: validating, fetching, draining or finalizing.
    #[schema(value_type = Option<String>)]
    phase: Option<Phase>,
    /// Why it was stopped: user, deadline, budget or `fail_if`.
    #[schema(value_type = Option<String>)]
    status_reason: Option<StopReason>,
    /// Why it has failed.
    error: Option<ProblemBody>,
    /// How many URLs there are; null until that is known.
    urls_total: Option<u64>,
    /// How many have their record: `urls_ok` and `urls_errored`.
    urls_done: u64,
    /// Records with data.
    urls_ok: u64,
    /// Records with an error.
    urls_errored: u64,
    /// How many got no record, since the job was stopped; null before its end.
    urls_skipped: Option<u64>,
    /// Pages under way.
    in_flight: usize,
    /// Records a second of late.
    per_second: Option<f64>,
    /// Records with an error, by code.
    #[schema(value_type = BTreeMap<String, u64>)]
    by_code: BTreeMap<&'static str, u64>,
    /// What the records cost.
    credits_used: u64,
    /// How many seconds it will still take, where that can be told.
    eta_s: Option<u64>,
    /// Where the result is, once the job has ended: its file, or a list of its files. An s3 address,
    /// for your own credentials, where the job delivers to your bucket.
    download_url: Option<String>,
    /// Until when that link is valid.
    #[schema(value_type = Option<String>, format = DateTime)]
    download_url_expires_at: Option<Timestamp>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was first worked on.
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Timestamp>,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Timestamp>,
    /// Until when the result is kept.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// The job whose failures it tries again.
    retry_of: Option<String>,
    /// How many pages may be under way.
    concurrency: usize,
    /// The result.
    output: OutputBody,
    /// The hosts that hold it up, the slowest first.
    slowest_hosts: Vec<HostBody>,
    /// The user's own data.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
}

/// Why a job has failed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProblemBody {
    /// A stable name, e.g. `input_changed`.
    code: String,
    /// What happened and what to do, for a person.
    message: String,
}

impl From<Problem> for ProblemBody {
    fn from(problem: Problem) -> Self {
        Self { code: problem.code, message: problem.message }
    }
}

/// The result of a job.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OutputBody {
    /// ndjson, csv or parquet.
    #[schema(value_type = String)]
    format: OutputFormat,
    /// none, gzip or zstd.
    #[schema(value_type = String)]
    compression: OutputCompression,
    /// kept, erasing or erased.
    #[schema(value_type = String)]
    state: OutputState,
    /// How many files are complete; they never change and can be read while the job runs.
    parts_total: usize,
    /// The first 1,000 of them; none in lists. The result's own list has all.
    parts: Vec<PartBody>,
}

/// A file of a result.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PartBody {
    /// Its name.
    #[schema(example = "part-00000.ndjson.gz")]
    name: String,
    /// Where it is; null when it was erased. In a bucket of yours, its s3 address.
    url: Option<String>,
    /// How many records it holds.
    rows: u64,
    /// Its size in bytes, as it is stored.
    bytes: u64,
    /// The SHA-256 of these bytes in hexadecimal digits.
    sha256: Option<String>,
}

impl PartBody {
    /// A part and where it is, if it is there.
    pub(crate) fn new(part: &Part, url: Option<String>) -> Self {
        Self {
            url,
            name: file_name(&part.location),
            rows: part.rows,
            bytes: part.bytes,
            sha256: part.sha256.clone(),
        }
    }
}

/// A host that holds a job up.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HostBody {
    /// The host, with its port unless that is the usual one.
    host: String,
    /// URLs read that have no record yet.
    remaining: usize,
    /// Pages under way.
    in_flight: usize,
    /// Records a second of late.
    per_second: Option<f64>,
    /// For how many seconds the host has asked to be left alone.
    paused_s: Option<u64>,
    /// How many seconds `remaining` will take.
    eta_s: Option<u64>,
}

impl From<HostProgress> for HostBody {
    fn from(host: HostProgress) -> Self {
        Self {
            host: host.host,
            remaining: host.remaining,
            in_flight: host.in_flight,
            per_second: host.per_second.map(rounded),
            paused_s: host.paused_for.map(seconds),
            eta_s: host.eta.map(seconds),
        }
    }
}

impl JobBody {
    /// A job with links to its parts. They are valid for as long as those to the result; while the
    /// job runs, from `now` on.
    pub(crate) fn new(
        status: JobStatus,
        links: &LinkKeys,
        now: Timestamp,
        default_link_s: u64,
    ) -> Self {
        let JobStatus { job, phase, progress, eta, link, .. } = status;
        let expires_in = job.spec.output.expires_in_s.unwrap_or(default_link_s);
        let fresh = now.checked_add(SignedDuration::from_secs(expires_in as i64)).ok();
        let until = match &link {
            Some(link) => Some(link.expires_at),
            None if job.status.is_terminal() => None,
            None => fresh,
        };
        let until = until.filter(|_| job.output == OutputState::Kept);
        let url = |part: &Part| Some(links.part_url(&job.id, &job.spec.output, part, until?));
        let parts = job.parts.iter().take(MAX_PARTS);
        let parts = parts.map(|part| PartBody::new(part, url(part))).collect();
        let (skipped, retry_of) = (job.skipped(), job.retry_of().map(ToString::to_string));
        let by_code = job.counters.by_code.iter().map(|(code, count)| (code.as_str(), *count));
        Self {
            urls_done: job.counters.done(),
            urls_ok: job.counters.ok,
            urls_errored: job.counters.errored(),
            by_code: by_code.collect(),
            credits_used: job.counters.credits,
            in_flight: progress.as_ref().map_or(0, |progress| progress.in_flight),
            per_second: progress.as_ref().and_then(|progress| progress.rate).map(rounded),
            id: job.id.to_string(),
            status: job.status,
            phase,
            status_reason: job.reason.filter(|_| job.status.is_terminal() || phase.is_some()),
            error: job.problem.map(Into::into),
            urls_total: job.total,
            urls_skipped: skipped,
            eta_s: eta.map(seconds),
            download_url: link.as_ref().map(|link| link.url.clone()),
            download_url_expires_at: link.map(|link| link.expires_at),
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            expires_at: job.expires_at,
            retry_of,
            concurrency: job.spec.concurrency,
            output: OutputBody {
                format: job.spec.output.format,
                compression: job.spec.output.effective_compression(),
                state: job.output,
                parts_total: job.parts.len(),
                parts,
            },
            slowest_hosts: progress.map_or_else(Vec::new, |progress| {
                progress.slowest_hosts.into_iter().map(Into::into).collect()
            }),
            name: job.spec.name,
            metadata: job.spec.metadata,
        }
    }
}

impl JobBody {
    /// The same without its files.
    pub(crate) fn without_parts(mut self) -> Self {
        self.output.parts.clear();
        self
    }
}

/// A job that was taken.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CreatedBody {
    /// Names the job.
    #[schema(example = "job_3F2D1A77B0E1")]
    pub(crate) id: String,
    /// queued.
    #[schema(value_type = String)]
    pub(crate) status: Status,
    /// How many URLs there are; null until that is known.
    pub(crate) urls_total: Option<u64>,
    /// How many seconds it may take: a guess.
    pub(crate) eta_s: Option<u64>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) created_at: Timestamp,
    /// What it would cost if every page came and every line was as `defaults` say.
    pub(crate) credits_estimate: Option<u64>,
    /// How many pages may be under way.
    pub(crate) concurrency_effective: usize,
    /// What was taken in another way than it was written.
    pub(crate) warnings: Vec<String>,
    /// The job whose failures it tries again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_of: Option<String>,
}

impl CreatedBody {
    pub(crate) fn new(status: &JobStatus, credits: Option<u64>, warnings: Vec<String>) -> Self {
        let job = &status.job;
        Self {
            id: job.id.to_string(),
            status: job.status,
            urls_total: job.total,
            eta_s: status.eta.map(seconds),
            created_at: job.created_at,
            credits_estimate: credits,
            concurrency_effective: job.spec.concurrency,
            warnings,
            retry_of: job.retry_of().map(ToString::to_string),
        }
    }
}

/// What a job would be: the answer to `dry_run`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DryRunBody {
    /// Always true: no job was made.
    dry_run: bool,
    /// How many records it would have.
    urls_total: u64,
    /// How many of its lines can't be used.
    invalid: u64,
    /// How many of its URLs are repetitions.
    duplicates: u64,
    /// How many hosts they lead to.
    hosts: u64,
    /// What it would cost if every page came.
    credits_estimate: u64,
    /// How many seconds it may take: a guess.
    eta_s: Option<u64>,
    /// What was taken in another way than it was written.
    warnings: Vec<String>,
}

impl DryRunBody {
    pub(crate) fn new(estimate: &Estimate, warnings: Vec<String>) -> Self {
        Self {
            dry_run: true,
            urls_total: estimate.total,
            invalid: estimate.invalid,
            duplicates: estimate.duplicates,
            hosts: estimate.hosts,
            credits_estimate: estimate.credits,
            eta_s: estimate.eta.map(seconds),
            warnings,
        }
    }
}

/// A URL of a job that ended in an error.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErroredBody {
    /// Its 0-based position in the input.
    index: u64,
    /// Its 1-based line in the file.
    line: u64,
    /// The URL, as it was written; null if the line had none.
    url: Option<Value>,
    /// The line's own id.
    id: Option<Value>,
    /// Why it failed.
    #[schema(value_type = String)]
    code: harvestman::Code,
    /// What happened, for a person.
    message: String,
    /// Whether a later try may well succeed.
    retryable: bool,
    /// The last status answered.
    http_status: Option<u16>,
    /// How often it was tried.
    attempts: u32,
}

impl From<Errored> for ErroredBody {
    fn from(errored: Errored) -> Self {
        Self {
            index: errored.index,
            line: errored.line,
            url: errored.task.get("url").cloned(),
            id: errored.task.get("id").cloned(),
            code: errored.code,
            message: errored.message,
            retryable: errored.retryable,
            http_status: errored.http_status,
            attempts: errored.attempts,
        }
    }
}

/// Whole seconds, so that nobody is told of an end that is still to come.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

fn rounded(rate: f64) -> f64 {
    (rate * 100.0).round() / 100.0
}
