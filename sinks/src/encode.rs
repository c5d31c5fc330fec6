//! Records as rows of text.

use harvestman_engine::{Error, Record, Result, Schema};

use crate::OutputKind;
#[cfg(feature = "csv")]
use crate::csv::CsvEncoder;

/// Writes records as rows of text into a buffer.
#[derive(Debug)]
pub(crate) enum RowEncoder {
    Ndjson,
    #[cfg(feature = "csv")]
    Csv(CsvEncoder),
}

impl RowEncoder {
    /// An encoder of NDJSON, or of CSV with the columns of `schema`.
    pub(crate) fn new(
        kind: OutputKind,
        schema: Option<&Schema>,
        escape_formulas: bool,
    ) -> Result<Self> {
        let _ = (schema, escape_formulas);
        match kind {
            OutputKind::Ndjson => Ok(Self::Ndjson),
            #[cfg(feature = "csv")]
            OutputKind::Csv => {
                let schema = schema.ok_or_else(|| missing_schema(kind))?;
                Ok(Self::Csv(CsvEncoder::new(schema, escape_formulas)?))
            }
            _ => Err(Error::invalid("output format", "can't be written row by row")),
        }
    }

    /// Appends what every file begins with.
    pub(crate) fn header(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ndjson => {}
            #[cfg(feature = "csv")]
            Self::Csv(csv) => csv.header(out),
        }
        let _ = out;
    }

    /// Appends a record's row with its line break.
    pub(crate) fn row(&self, record: &Record, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Ndjson => {
                serde_json::to_writer(&mut *out, record)
                    .map_err(|error| Error::part("sink", error))?;
                out.push(b'\n');
            }
            #[cfg(feature = "csv")]
            Self::Csv(csv) => csv.row(record, out),
        }
        Ok(())
    }
}

/// What CSV and Parquet can't do without.
pub(crate) fn missing_schema(kind: OutputKind) -> Error {
    let message = format!("{kind:?} needs to know its columns: give the job an extract");
    Error::invalid("output format", message)
}
