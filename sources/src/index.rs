//! Where the rows of an input begin, so that it can be entered in its middle.

use crate::rows::Position;

/// An input may be entered at the row of every so many tasks, to begin with.
const FIRST_STRIDE: u64 = 4096;
/// When there are more entries than this, every other one is dropped.
const MAX_ENTRIES: usize = 16 * 1024;

/// Where rows of an input begin, at most [`MAX_ENTRIES`] of them.
#[derive(Debug)]
pub(crate) struct RowIndex {
    /// The task of the first entry.
    first: u64,
    stride: u64,
    entries: Vec<Position>,
}

impl Default for RowIndex {
    fn default() -> Self {
        Self { first: 0, stride: FIRST_STRIDE, entries: Vec::new() }
    }
}

impl RowIndex {
    /// An index of the rows from this one on.
    #[cfg(feature = "object")]
    pub(crate) fn beginning_at(task: u64, at: Position) -> Self {
        Self { first: task, stride: FIRST_STRIDE, entries: vec![at] }
    }

    /// Notes where a row begins; called for each row in order, and for some perhaps again.
    pub(crate) fn note(&mut self, task: u64, at: Position) {
        if task != self.first + self.entries.len() as u64 * self.stride {
            return;
        }
        self.entries.push(at);
        if self.entries.len() > MAX_ENTRIES {
            let mut is_kept = false;
            self.entries.retain(|_| {
                is_kept = !is_kept;
                is_kept
            });
            self.stride *= 2;
        }
    }

    /// The last entry at or before a task: its task and its row.
    pub(crate) fn before(&self, task: u64) -> Option<(u64, Position)> {
        let last = self.entries.len().checked_sub(1)?;
        let passed = task.checked_sub(self.first)? / self.stride;
        let entry = usize::try_from(passed).map_or(last, |entry| entry.min(last));
        Some((self.first + entry as u64 * self.stride, self.entries[entry]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(task: u64) -> Position {
        Position { offset: task * 10, line: task + 1 }
    }

    #[test]
    fn entries_stay_few_and_right_however_many_rows_there_are() {
        let mut index = RowIndex::default();
        assert_eq!(index.before(7), None);
        let count = FIRST_STRIDE * MAX_ENTRIES as u64 * 3;
        // Only these rows can be entries; the ones between would cost the test minutes.
        for task in (0..count).step_by(FIRST_STRIDE as usize) {
            index.note(task, at(task));
            index.note(task + 1, at(task + 1));
        }
        assert!(index.entries.len() <= MAX_ENTRIES && index.entries.len() > MAX_ENTRIES / 2);
        for task in [0, 1, count / 3, count / 2 + 77, count - 1, count * 2] {
            let (entry, position) = index.before(task).unwrap();
            assert_eq!(position, at(entry));
            assert!(entry <= task && (task >= count || task - entry < FIRST_STRIDE * 4));
        }
    }

    #[cfg(feature = "object")]
    #[test]
    fn an_index_that_begins_late_knows_nothing_before_and_takes_rows_once() {
        let mut index = RowIndex::beginning_at(1_000, at(1_000));
        for _ in 0..2 {
            for task in 1_000..20_000 {
                index.note(task, at(task));
            }
        }
        assert_eq!(index.before(999), None);
        for (task, entry) in [(1_000, 0), (5_095, 0), (5_096, 1), (19_999, 4), (u64::MAX, 4)] {
            let entry = 1_000 + entry * FIRST_STRIDE;
            assert_eq!(index.before(task), Some((entry, at(entry))));
        }
    }
}
