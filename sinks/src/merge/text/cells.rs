//! The cells of a row of CSV.

use std::path::Path;

use csv_core::{ReadRecordResult, Reader};
use harvestman_engine::{Error, Result};

use super::rows::{RawRows, without_break};
use crate::{OutputKind, merge::Inputs};

/// The column that tells rows apart.
const INDEX: &str = "index";

/// Finds the index of a row.
#[derive(Debug)]
pub(super) struct Cells {
    reader: Reader,
    text: Vec<u8>,
    ends: Vec<usize>,
    /// How many cells a row has.
    width: usize,
    /// Which of them is the index.
    position: usize,
}

/// The header of all files, which must be alike, and how rows under it are read.
pub(super) fn read_headers(inputs: &Inputs<'_>) -> Result<(Vec<u8>, Cells)> {
    let header = read_header(inputs.first)?;
    let expected = names(&header);
    for path in inputs.all() {
        let found = names(&read_header(path)?);
        if found != expected {
            let message = difference(&found, &expected, inputs.first);
            return Err(Error::invalid(path.display().to_string(), message));
        }
    }
    let Some(position) = expected.iter().position(|name| name == INDEX) else {
        return Err(damaged(inputs.first, "it has no column `index`"));
    };
    Ok((header, Cells::new(expected.len(), position)))
}

fn read_header(path: &Path) -> Result<Vec<u8>> {
    let mut rows = RawRows::open(path, OutputKind::Csv)?;
    rows.next()?.map(<[u8]>::to_vec).ok_or_else(|| damaged(path, "it has no header"))
}

fn damaged(path: &Path, message: &str) -> Error {
    Error::damaged(path.display().to_string(), message)
}

fn names(header: &[u8]) -> Vec<String> {
    let mut cells = Cells::new(header.len(), 0);
    let count = cells.split(without_break(header)).unwrap_or_default();
    (0..count).map(|cell| String::from_utf8_lossy(cells.cell(cell)).into_owned()).collect()
}

/// Says where the names of columns begin to differ.
fn difference(found: &[String], expected: &[String], other: &Path) -> String {
    let other = other.display();
    let differs = |position: &usize| found.get(*position) != expected.get(*position);
    let position = (0..found.len().max(expected.len())).find(differs).unwrap_or_default();
    let shown = |names: &[String]| match names.get(position) {
        Some(name) => format!("`{}`", name.escape_debug()),
        None => "missing".to_owned(),
    };
    let (here, there) = (shown(found), shown(expected));
    format!("its column {} is {here}, in {other} it is {there}", position + 1)
}

impl Cells {
    fn new(width: usize, position: usize) -> Self {
        let (reader, text, ends) = (Reader::new(), Vec::new(), Vec::new());
        Self { reader, text, ends, width, position }
    }

    /// The index of a row. The error continues "row 7 of a.csv is damaged: …".
    pub(super) fn index(&mut self, row: &[u8]) -> Result<u64, String> {
        let width = self.width;
        if self.split(without_break(row)) != Some(width) {
            return Err(format!("it has not the {width} cells of the header"));
        }
        let cell = std::str::from_utf8(self.cell(self.position)).ok();
        cell.and_then(|cell| cell.parse().ok()).ok_or_else(|| "it has no index".to_owned())
    }

    /// Splits a row without its line break, and counts its cells; `None` if there are more of them
    /// than the width, or more than one row.
    fn split(&mut self, row: &[u8]) -> Option<usize> {
        self.reader.reset();
        self.text.resize(self.text.len().max(row.len()), 0);
        // One more, because a full list of ends is reported before the row is known to end there.
        self.ends.resize(self.width + 1, 0);
        let (mut input, mut written, mut count) = (row, 0, 0);
        loop {
            let (text, ends) = (&mut self.text[written..], &mut self.ends[count..]);
            let (result, read, wrote, ended) = self.reader.read_record(input, text, ends);
            input = &input[read..];
            written += wrote;
            count += ended;
            match result {
                // Once the input is empty, the next call takes that for its end.
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::Record | ReadRecordResult::End if input.is_empty() => {
                    return Some(count);
                }
                _ => return None,
            }
        }
    }

    fn cell(&self, position: usize) -> &[u8] {
        let start = position.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[position]]
    }
}
