//! Where tasks come from: the [`Source`] trait.

use std::fmt;

use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Result, Task};

/// A list of tasks: a description, not a cursor.
///
/// Every opening yields the same tasks, with the same ordinals, in the same order; a resumed job
/// relies on it. [Ordinals](Task::ordinal) count up by one from 0; an [index](Task::index) is the
/// source's own affair. A line that can't be used is a task too ([`Task::invalid`]), so that it gets
/// its record; an `Err` ends the job.
///
/// A source must not read further ahead of the driver than a bounded amount.
pub trait Source: fmt::Debug + Send + Sync {
    /// Yields the tasks from ordinal `from` on, each with its true ordinal. Past the end it yields
    /// none.
    fn open(&self, from: u64) -> BoxStream<'static, Result<Task>>;

    /// How many tasks there are, where that is known without reading them all.
    fn total(&self) -> Option<u64>;

    /// What [`reopen`](Self::reopen) needs to know that the list is still the same, and to find the
    /// task with ordinal `next` without reading those before it: kept with each checkpoint.
    ///
    /// Cheap: asked at every commit. Nothing by default, for lists that can't change or that tell by
    /// themselves where their tasks are.
    fn state(&self, next: u64) -> Option<SourceState> {
        let _ = next;
        None
    }

    /// [Opens](Self::open) the list in a later life of the job, with the state of its last
    /// checkpoint. A list that is another one yields [`Error::Changed`](crate::Error::Changed).
    fn reopen(&self, from: u64, state: &SourceState) -> BoxStream<'static, Result<Task>> {
        let _ = state;
        self.open(from)
    }
}

/// What a source keeps with a checkpoint: opaque JSON of the source's own, small (kilobytes).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SourceState(pub Value);
