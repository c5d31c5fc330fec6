//! Looks through a file once: how many tasks it holds, what its bytes are, where its rows begin.

use std::io::{self, Read};

use harvestman_engine::{LineReader, Result};
use sha2::{Digest, Sha256};

use crate::{
    Compression, InputOptions,
    decode::{decode, read_error},
    reading::{Layout, begin, too_many},
    rows::Position,
};

/// A file may be entered at the row of every so many tasks, to begin with.
const FIRST_STRIDE: u64 = 4096;
/// When there are more entries than this, every other one is dropped.
const MAX_ENTRIES: usize = 16 * 1024;

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Survey {
    /// The number of tasks, those of bad lines included.
    pub tasks: u64,
    /// The size of the file as it is stored.
    pub bytes: u64,
    /// The SHA-256 of the file as it is stored, in lower-case hexadecimal digits.
    pub sha256: String,
}

/// Where rows of a file begin, at most [`MAX_ENTRIES`] of them.
#[derive(Debug)]
pub(crate) struct RowIndex {
    stride: u64,
    entries: Vec<Position>,
}

impl Default for RowIndex {
    fn default() -> Self {
        Self { stride: FIRST_STRIDE, entries: Vec::new() }
    }
}

impl RowIndex {
    /// Notes where the next row begins; called for each row, in order.
    fn note(&mut self, task: u64, at: Position) {
        if !task.is_multiple_of(self.stride) {
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
        let entry = usize::try_from(task / self.stride).map_or(last, |entry| entry.min(last));
        Some((entry as u64 * self.stride, self.entries[entry]))
    }
}

/// Reads all of a file without making tasks of its rows.
pub(crate) fn survey(
    file: impl Read + Send,
    name: &str,
    reader: &LineReader,
    options: &InputOptions,
    compression: Compression,
) -> Result<(Survey, Layout, RowIndex)> {
    let mut file = Hashed::new(file);
    let decoded = decode(&mut file, compression, options.max_decoded_bytes, name);
    let (layout, mut rows) =
        begin(decoded.map_err(read_error(name))?, options.format, reader, name)?;
    let mut index = RowIndex::default();
    let mut tasks = 0;
    loop {
        while let Some(row) = rows.next() {
            index.note(tasks, row.at);
            tasks += 1;
        }
        if tasks > options.max_tasks {
            return Err(too_many(name, options.max_tasks));
        }
        if !rows.fill().map_err(read_error(name))? {
            break;
        }
    }
    drop(rows);
    let (bytes, sha256) = file.finish().map_err(read_error(name))?;
    Ok((Survey { tasks, bytes, sha256 }, layout, index))
}

/// Hashes and counts what is read.
struct Hashed<R> {
    input: R,
    hash: Sha256,
    bytes: u64,
}

impl<R: Read> Hashed<R> {
    fn new(input: R) -> Self {
        Self { input, hash: Sha256::new(), bytes: 0 }
    }

    /// Reads what a decoder may have left, and tells the size and the hash.
    fn finish(mut self) -> io::Result<(u64, String)> {
        io::copy(&mut self, &mut io::sink())?;
        Ok((self.bytes, hex(self.hash)))
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.hash.update(&buffer[..read]);
        self.bytes += read as u64;
        Ok(read)
    }
}

/// A finished hash in lower-case hexadecimal digits.
pub(crate) fn hex(hash: Sha256) -> String {
    use std::fmt::Write as _;

    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all that is written to it");
        text
    })
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
}
