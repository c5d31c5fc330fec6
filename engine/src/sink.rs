//! Where records go: the [`Sink`] and [`SinkWriter`] traits.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Record, Result};

/// An output: a description, not an open file.
#[async_trait]
pub trait Sink: fmt::Debug + Send + Sync {
    /// Opens the output for writing: anew with `None`, or exactly as it was at the checkpoint that
    /// gave `resume`. Whatever was written after that checkpoint is cut off.
    ///
    /// A state that belongs to other settings or whose files are gone is an error, never a short
    /// output.
    async fn open(&self, resume: Option<&SinkState>) -> Result<Box<dyn SinkWriter>>;

    /// The end of the job is saved, so that what only a later life would need may go. Called once or
    /// more often, or not at all if the process is killed between; by default nothing is done.
    async fn ended(&self) -> Result<()> {
        Ok(())
    }
}

/// An open output. Dropping it without [`finish`](Self::finish) leaves it as at the last checkpoint.
///
/// After an error nothing but dropping it is allowed.
#[async_trait]
pub trait SinkWriter: Send {
    /// Takes records over, in the order of their completion. They are not durable yet.
    async fn write(&mut self, records: Vec<Record>) -> Result<()>;

    /// Makes everything written so far durable and says how to go on from here.
    ///
    /// Called about once a second, and once at the end of a suspended job.
    async fn checkpoint(&mut self) -> Result<SinkState>;

    /// The parts that were complete, durable and at their final place at the last
    /// [checkpoint](Self::checkpoint), in the output's order; of a writer that goes on from a
    /// checkpoint, those of that one. They never change any more, and [`finish`](Self::finish) gives
    /// them again, first. Empty for a sink that publishes at the end. Cheap: asked at every commit.
    fn sealed(&self) -> Vec<Part>;

    /// Completes the output and makes it visible under its final name, durably.
    ///
    /// May be repeated after a crash: the writer is then opened once more from the last checkpoint.
    async fn finish(self: Box<Self>) -> Result<Vec<Part>>;
}

/// How a sink goes on from a checkpoint: opaque JSON of the sink's own, small (kilobytes).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SinkState(pub Value);

/// A finished file of the output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Part {
    /// Its path or URL.
    pub location: String,
    /// How many records it holds.
    pub rows: u64,
    /// Its size in bytes, as stored.
    pub bytes: u64,
    /// SHA-256 of the stored bytes in lower-case hex, where the sink computes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl Part {
    /// A finished file with its number of records and size in bytes.
    pub fn new(location: impl Into<String>, rows: u64, bytes: u64) -> Self {
        Self { location: location.into(), rows, bytes, sha256: None }
    }
}
