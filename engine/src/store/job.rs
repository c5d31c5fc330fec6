//! Jobs, their checkpoints and their failures.

use std::{fmt, str::FromStr};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{NewEvent, StoredAnswer};
use crate::{
    Checkpoint, Errored, JobSpec, Part, Result, StopReason,
    checkpoint::Counters,
    id::{JobId, UploadId},
    spec::RetryFilter,
};

/// Keeps jobs. The contract of all stores is in the [module's words](super).
#[async_trait]
pub trait JobStore: fmt::Debug + Send + Sync {
    /// Adds a queued job at the end of the queue, with the answer to its idempotency key.
    async fn insert(&self, job: NewJob) -> Result<()>;

    /// A job, whoever's it is.
    async fn job(&self, id: &JobId) -> Result<Option<JobEntry>>;

    /// The jobs that a query means, newest first.
    async fn jobs(&self, query: &JobQuery) -> Result<Vec<JobEntry>>;

    /// The inline list of a job; empty if its input is none.
    async fn inline_urls(&self, id: &JobId) -> Result<Vec<Value>>;

    /// How many jobs wait or run.
    async fn open_jobs(&self) -> Result<u64>;

    /// Leases jobs: first running ones whose lease has run out, then queued ones, each in the order
    /// of their making.
    async fn claim(&self, claim: &Claim<'_>) -> Result<Vec<(Lease, JobEntry)>>;

    /// Prolongs a lease.
    async fn renew(&self, lease: &Lease, until: Timestamp) -> Result<()>;

    /// Gives a lease back; the job goes on from its last commit with whoever claims it.
    async fn release(&self, lease: &Lease) -> Result<()>;

    /// Asks a running job to stop, for the first reason that is given; a queued one is cancelled at
    /// once, with `event` as its outbox entry. A job that has ended stays as it is. Answers with
    /// the job as it is now.
    async fn cancel(
        &self,
        id: &JobId,
        now: Timestamp,
        event: Option<NewEvent>,
    ) -> Result<Option<JobEntry>>;

    /// The checkpoint that was committed last.
    async fn checkpoint(&self, id: &JobId) -> Result<Option<Checkpoint>>;

    /// Saves a checkpoint with the figures and failures that belong to it.
    async fn commit(&self, lease: &Lease, commit: &Commit<'_>) -> Result<()>;

    /// Ends a job: its last checkpoint, its state and its event become visible together. The
    /// lease is given back.
    async fn end(&self, lease: &Lease, ended: &Ended<'_>) -> Result<()>;

    /// The failed tasks of a job in the order of their index.
    async fn errored(&self, id: &JobId, query: &ErroredQuery) -> Result<Vec<Errored>>;

    /// How many failed tasks of a job a filter takes.
    async fn count_errored(&self, id: &JobId, only: &RetryFilter) -> Result<u64>;

    /// Jobs that have ended and whose output was to be kept until before `now`, or whose output is
    /// being erased.
    async fn outputs_to_erase(&self, now: Timestamp, most: usize) -> Result<Vec<JobEntry>>;

    /// Notes how far the erasing of an output is.
    async fn set_output(&self, id: &JobId, state: OutputState) -> Result<()>;

    /// Removes jobs that ended before `before` and whose output is gone, with all that belongs to
    /// them, unless a job that has not ended retries them. Answers how many.
    async fn forget(&self, before: Timestamp, most: usize) -> Result<u64>;
}

/// Whether a job waits, runs, or how it has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It waits for its turn.
    Queued,
    /// It is being worked on.
    Running,
    /// Every URL has its record, even if every one is an error.
    Completed,
    /// It was stopped; what was done until then is in the output.
    Cancelled,
    /// It could not go on.
    Failed,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Queued, Self::Running, Self::Completed, Self::Cancelled, Self::Failed];

    /// Whether the job has ended: it never changes any more.
    pub fn is_terminal(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }

    /// The stable name, e.g. `running`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Status {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|status| status.as_str() == text);
        found.ok_or_else(|| {
            format!(
                "`{text}` is no status; there are queued, running, completed, cancelled, failed"
            )
        })
    }
}

/// Why a job has failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Problem {
    /// A stable name, e.g. `input_changed`.
    pub code: String,
    /// What happened and what to do, for a person.
    pub message: String,
}

impl Problem {
    /// A problem with its name and words.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

/// What became of the files of an output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OutputState {
    /// They are there, or still to come.
    #[default]
    Kept,
    /// They are being erased; whoever finds it so goes on with it.
    Erasing,
    /// They are gone.
    Erased,
}

/// A job to be kept.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Its id, which no other job has.
    pub id: JobId,
    /// Whose it is.
    pub workspace: String,
    /// What it is to do, without an inline list.
    pub spec: JobSpec,
    /// The inline list.
    pub urls: Vec<Value>,
    /// How many URLs there are, where that is known.
    pub total: Option<u64>,
    /// When it was made.
    pub created_at: Timestamp,
    /// What is answered to the request's idempotency key, kept in the same transaction.
    pub answer: Option<StoredAnswer>,
}

/// A job as it is kept.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct JobEntry {
    /// Its id.
    pub id: JobId,
    /// Its place in the order of making; higher is newer.
    pub number: u64,
    /// Whose it is.
    pub workspace: String,
    /// What it is to do; an inline list is left out.
    pub spec: JobSpec,
    /// Whether it waits, runs, or how it has ended.
    pub status: Status,
    /// Why it was or is to be stopped.
    pub reason: Option<StopReason>,
    /// Why it has failed.
    pub problem: Option<Problem>,
    /// How many URLs there are, where that is known.
    pub total: Option<u64>,
    /// The figures over the committed records.
    pub counters: Counters,
    /// The parts that can be read.
    pub parts: Vec<Part>,
    /// What became of them.
    pub output: OutputState,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was first worked on.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Until when its output is kept.
    pub expires_at: Option<Timestamp>,
}

impl JobEntry {
    /// A job as it is when it is made.
    pub(crate) fn queued(new: &NewJob, number: u64) -> Self {
        Self {
            id: new.id.clone(),
            number,
            workspace: new.workspace.clone(),
            spec: new.spec.clone(),
            status: Status::Queued,
            reason: None,
            problem: None,
            total: new.total,
            counters: Counters::default(),
            parts: Vec::new(),
            output: OutputState::Kept,
            created_at: new.created_at,
            started_at: None,
            finished_at: None,
            expires_at: None,
        }
    }

    /// The job whose failures this one tries again.
    pub fn retry_of(&self) -> Option<&JobId> {
        match &self.spec.input {
            crate::spec::Input::Errored { job, .. } => Some(job),
            _ => None,
        }
    }

    /// The upload that it reads.
    pub fn upload(&self) -> Option<&UploadId> {
        match &self.spec.input {
            crate::spec::Input::Upload(id) => Some(id),
            _ => None,
        }
    }

    /// How many URLs have no record and will get none; known at the end.
    pub fn skipped(&self) -> Option<u64> {
        let total = self.total.filter(|_| self.status.is_terminal())?;
        Some(total.saturating_sub(self.counters.done()))
    }
}

/// Which jobs are meant.
#[derive(Clone, Debug, Default)]
pub struct JobQuery {
    /// Those of this workspace; of all, if none is named.
    pub workspace: Option<String>,
    /// Those in this state.
    pub status: Option<Status>,
    /// Those with this name.
    pub name: Option<String>,
    /// Those made at or after this time.
    pub created_after: Option<Timestamp>,
    /// Those made before this time.
    pub created_before: Option<Timestamp>,
    /// Those older than the one with this [number](JobEntry::number): the next page.
    pub before: Option<u64>,
    /// How many at most.
    pub limit: usize,
}

/// Who wants how many jobs, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// Who they are leased to.
    pub owner: &'a str,
    /// What time it is.
    pub now: Timestamp,
    /// Until when they are leased.
    pub until: Timestamp,
    /// How many at most.
    pub most: usize,
    /// The jobs that the owner is working on. None of them is given out again, even if its lease
    /// seems to have run out because somebody has set the clock.
    pub held: &'a [JobId],
}

/// The right to work on a job, and to write down what comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The job.
    pub job: JobId,
    /// Higher than that of any lease of the job before.
    pub token: u64,
}

/// What is saved about once a second.
#[derive(Clone, Copy, Debug)]
pub struct Commit<'a> {
    /// The checkpoint.
    pub checkpoint: &'a Checkpoint,
    /// The failed tasks since the commit before.
    pub errored: &'a [Errored],
    /// How many URLs there are, where that is known by now.
    pub total: Option<u64>,
}

/// How a job has ended.
#[derive(Clone, Debug)]
pub struct Ended<'a> {
    /// The last commit; without one the job ends as it was committed before.
    pub commit: Option<Commit<'a>>,
    /// Completed, cancelled or failed.
    pub status: Status,
    /// Why it was stopped.
    pub reason: Option<StopReason>,
    /// Why it has failed.
    pub problem: Option<Problem>,
    /// How many URLs there are, where that is known.
    pub total: Option<u64>,
    /// The files of the output.
    pub parts: &'a [Part],
    /// When it ended.
    pub finished_at: Timestamp,
    /// Until when the output is kept.
    pub expires_at: Option<Timestamp>,
    /// What is told of it.
    pub event: Option<NewEvent>,
}

/// Which failed tasks of a job are meant.
#[derive(Clone, Debug, Default)]
pub struct ErroredQuery {
    /// Those that the filter takes.
    pub only: RetryFilter,
    /// Those behind this index.
    pub after: Option<u64>,
    /// Without the first so many of them.
    pub skip: u64,
    /// How many at most.
    pub limit: usize,
}
