//! Merges outputs that are written row by row.

#[cfg(feature = "csv")]
mod cells;
mod rows;

use std::path::Path;

use harvestman_engine::{Error, Result};
use serde::Deserialize;

#[cfg(feature = "csv")]
use self::cells::Cells;
pub use self::rows::MAX_ROW_BYTES;
use self::rows::{RawRows, without_break};
use super::{
    Inputs, Written,
    overlay::{Overlay, Place},
};
use crate::{
    OutputFormat, OutputKind,
    rows::{Packing, RowPart},
};

pub(super) fn merge(inputs: &Inputs<'_>, format: OutputFormat, to: &Path) -> Result<Written> {
    let mut overlay = Overlay::default();
    let mut table = Table::new(inputs, format.kind)?;
    for path in inputs.retry {
        table.each(path, |index, place, _| overlay.replace(index, place))?;
    }
    let packing = Packing { compression: format.compression, max_bytes: u64::MAX, is_hashed: true };
    let mut part = RowPart::create(to.to_owned(), packing, table.header.clone())?;
    for path in inputs.original {
        table.each(path, |index, place, row| {
            if overlay.keeps(index, place)? { part.append_row(row) } else { Ok(()) }
        })?;
    }
    for path in inputs.retry {
        table.each(path, |_, _, row| part.append_row(row))?;
    }
    let sha256 = part.seal()?.unwrap_or_default();
    Ok(Written { rows: part.rows(), sha256 })
}

/// How rows are read.
struct Table {
    kind: OutputKind,
    /// What every file begins with, its line break included.
    header: Vec<u8>,
    #[cfg(feature = "csv")]
    cells: Option<Cells>,
}

/// All that is read of a record.
#[derive(Deserialize)]
struct Indexed {
    index: u64,
}

impl Table {
    /// Looks at the headers, which must be alike.
    fn new(inputs: &Inputs<'_>, kind: OutputKind) -> Result<Self> {
        #[cfg(feature = "csv")]
        if kind == OutputKind::Csv {
            let (header, cells) = cells::read_headers(inputs)?;
            return Ok(Self { kind, header, cells: Some(cells) });
        }
        let _ = inputs;
        Ok(Self {
            kind,
            header: Vec::new(),
            #[cfg(feature = "csv")]
            cells: None,
        })
    }

    /// Calls with the index of each row, its place and its bytes, line break included.
    fn each(
        &mut self,
        path: &Path,
        mut call: impl FnMut(u64, Place<'_>, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut rows = RawRows::open(path, self.kind)?;
        if !self.header.is_empty() {
            rows.next()?;
        }
        let mut row = 0;
        loop {
            row += 1;
            let place = Place { path, row };
            let Some(bytes) = rows.next().map_err(|error| at(error, place))? else {
                return Ok(());
            };
            let index = self.index(bytes).map_err(|message| place.damaged(message))?;
            call(index, place, bytes)?;
        }
    }

    fn index(&mut self, row: &[u8]) -> Result<u64, String> {
        #[cfg(feature = "csv")]
        if let Some(cells) = &mut self.cells {
            return cells.index(row);
        }
        serde_json::from_slice::<Indexed>(without_break(row))
            .map(|record| record.index)
            .map_err(|error| format!("it is no record with an index ({error})"))
    }
}

/// Adds the row to an error of its file.
fn at(error: Error, place: Place<'_>) -> Error {
    match error {
        Error::Damaged { message, .. } => place.damaged(message),
        other => other,
    }
}
