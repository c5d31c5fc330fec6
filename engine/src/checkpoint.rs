//! The commit: what is in the output, and how to go on from there.

mod file;
mod memory;

use std::{collections::BTreeMap, fmt, time::Duration};

use async_trait::async_trait;
use rangemap::RangeSet;
use serde::{Deserialize, Serialize};

use crate::{Code, Errored, Part, Record, Result, SinkState, SourceState, StopReason};

pub use self::{
    file::{FileStore, replace_file, sync_directory},
    memory::MemoryStore,
};

/// The version of the checkpoint's form; another one is refused.
pub const VERSION: u32 = 2;
/// The most errored tasks of one [save](CheckpointStore::save): before there are more, the writer
/// commits early.
pub const MAX_ERRORED_A_COMMIT: usize = 4_096;
/// About how many bytes the errored tasks of one save may take; with more, the writer commits early.
pub const MAX_ERRORED_BYTES_A_COMMIT: usize = 8 * 1024 * 1024;

/// The commit rule in one value: *the tasks with an ordinal below [`next`](Done::next), and those in
/// the ranges above it, have their record in the output that [`sink`](Self::sink) describes; no
/// others do.*
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Checkpoint {
    /// [`VERSION`].
    pub version: u32,
    /// Which tasks have their record.
    pub done: Done,
    /// How the sink goes on.
    pub sink: SinkState,
    /// How the source goes on, where it keeps something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceState>,
    /// The parts of the output that are complete already.
    pub parts: Vec<Part>,
    /// The figures over those records.
    pub counters: Counters,
    /// How the job ended, if it has: then there is nothing to go on with.
    pub finished: Option<Finished>,
}

impl Checkpoint {
    /// A checkpoint of a running job.
    pub fn new(done: Done, sink: SinkState, counters: Counters) -> Self {
        let (source, parts, finished) = (None, Vec::new(), None);
        Self { version: VERSION, done, sink, source, parts, counters, finished }
    }

    /// Sets how the source goes on.
    pub fn with_source(mut self, source: Option<SourceState>) -> Self {
        self.source = source;
        self
    }

    /// Sets the parts of the output that are complete already.
    pub fn with_parts(mut self, parts: Vec<Part>) -> Self {
        self.parts = parts;
        self
    }
}

/// The end of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Finished {
    /// Why it was cancelled before its last task, if it was.
    pub reason: Option<StopReason>,
    /// The files of the output.
    pub parts: Vec<Part>,
}

/// The set of tasks that have their record, by their [ordinals](crate::Task::ordinal).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    next: u64,
    /// Above `next`; never more ranges than there are tasks under way or waiting.
    above: RangeSet<u64>,
}

impl Done {
    /// The ordinal of the first task without a record.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// How many tasks have their record.
    pub fn count(&self) -> u64 {
        self.next + self.above.iter().map(|range| range.end - range.start).sum::<u64>()
    }

    /// Whether this task has its record.
    pub fn contains(&self, ordinal: u64) -> bool {
        ordinal < self.next || self.above.contains(&ordinal)
    }

    /// Adds a task; false if it was there before.
    pub fn insert(&mut self, ordinal: u64) -> bool {
        if self.contains(ordinal) {
            return false;
        }
        if ordinal != self.next {
            self.above.insert(ordinal..ordinal + 1);
            return true;
        }
        self.next += 1;
        if let Some(range) = self.above.first().filter(|range| range.start == self.next).cloned() {
            self.next = range.end;
            self.above.remove(range);
        }
        true
    }
}

/// The figures over the records written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Counters {
    /// Records with data.
    pub ok: u64,
    /// Records without, by code.
    pub by_code: BTreeMap<Code, u64>,
    /// Attempts made for them.
    pub attempts: u64,
    /// Credits charged for them.
    pub credits: u64,
    /// How long the job has run, over all its lives.
    pub running: Duration,
}

impl Counters {
    /// Records in all.
    pub fn done(&self) -> u64 {
        self.ok + self.errored()
    }

    /// Records without data.
    pub fn errored(&self) -> u64 {
        self.by_code.values().sum()
    }

    /// Counts a record in.
    pub fn add(&mut self, record: &Record) {
        match record.code() {
            Some(code) => *self.by_code.entry(code).or_default() += 1,
            None => self.ok += 1,
        }
        self.attempts += u64::from(record.attempts);
        self.credits += record.credits;
    }
}

/// Keeps the checkpoint of one job, and the tasks of it that ended in an error.
///
/// The job's writer calls it, one call at a time: about once a second while there are records, and
/// twice at the end. An error ends the job; the same job goes on from what was saved before.
///
/// Two jobs must never share a store: an implementation that outlives the process has to lock.
#[async_trait]
pub trait CheckpointStore: fmt::Debug + Send + Sync {
    /// The checkpoint saved last, if there is one.
    async fn load(&self) -> Result<Option<Checkpoint>>;

    /// Replaces the checkpoint and adds the errored tasks of the records since the save before:
    /// durably and in one step. A crash leaves both as they were, or both as they are now.
    ///
    /// There are at most [`MAX_ERRORED_A_COMMIT`] of them, none twice in all the lives of a job. A
    /// store that keeps no jobs to be tried again ignores them.
    async fn save(&self, checkpoint: &Checkpoint, errored: &[Errored]) -> Result<()>;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn done_is_a_set(indices in prop::collection::vec(0_u64..60, 0..200)) {
            let mut done = Done::default();
            let mut model = std::collections::BTreeSet::new();
            for index in indices {
                prop_assert_eq!(done.insert(index), model.insert(index));
                prop_assert_eq!(done.count(), model.len() as u64);
                prop_assert!(!done.contains(done.next()));
            }
            for index in 0..60 {
                prop_assert_eq!(done.contains(index), model.contains(&index));
            }
            let json = serde_json::to_string(&done).unwrap();
            prop_assert_eq!(serde_json::from_str::<Done>(&json).unwrap(), done);
        }
    }
}
