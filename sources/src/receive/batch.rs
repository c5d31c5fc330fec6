//! Rows on their way to another thread.

use super::tally::Tally;
use crate::{
    parser::Parser,
    rows::{Flaw, Position, Row},
};

/// A batch is full when it holds this many bytes, with the row that makes it so.
const FULL_BYTES: usize = 128 * 1024;
/// What a row costs beside its bytes.
const ROW_BYTES: usize = size_of::<Place>();

/// Whole rows, one after the other.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    rows: Vec<Place>,
}

#[derive(Debug)]
struct Place {
    end: usize,
    at: Position,
    flaw: Option<Flaw>,
}

impl Batch {
    pub(super) fn push(&mut self, row: &Row<'_>) {
        self.bytes.extend_from_slice(row.bytes);
        self.rows.push(Place { end: self.bytes.len(), at: row.at, flaw: row.flaw });
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() + self.rows.len() * ROW_BYTES >= FULL_BYTES
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.rows.clear();
    }

    /// Checks the rows in their order.
    pub(super) fn check(&self, parser: &mut Parser, tally: &mut Tally) {
        let mut start = 0;
        for &Place { end, at, flaw } in &self.rows {
            let row = Row { bytes: &self.bytes[start..end], at, flaw };
            if let Err(error) = parser.check(&row) {
                tally.add(at.line, &error);
            }
            start = end;
        }
    }
}
