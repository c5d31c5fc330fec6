//! Where tasks come from: the [`Source`] trait.

use std::fmt;

use futures::stream::BoxStream;

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
}
