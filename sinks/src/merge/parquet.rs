//! Merges Parquet outputs, batch by batch.

use std::{fs::File, path::Path, sync::Arc};

use arrow_array::{BooleanArray, RecordBatch, cast::AsArray, types::Int64Type};
use arrow_schema::{ArrowError, Schema, SchemaRef};
use arrow_select::filter::filter_record_batch;
use harvestman_engine::{Error, Result};
use parquet::{
    arrow::{
        ArrowWriter, ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder,
        arrow_writer::ArrowWriterOptions,
    },
    errors::ParquetError,
    file::metadata::KeyValue,
};

use super::{
    Inputs, Written,
    overlay::{Overlay, Place},
};
use crate::{
    hashed::HashedFile,
    parquet::{is_full, properties, writing},
};

const INDEX: &str = "index";
/// How many rows are in memory at once, besides the row group under way.
const BATCH_ROWS: usize = 1024;

pub(super) fn merge(inputs: &Inputs<'_>, to: &Path) -> Result<Written> {
    let (schema, metadata) = read_schemas(inputs)?;
    let mut overlay = Overlay::default();
    for path in inputs.retry {
        each(path, Columns::Index, |batch, first| {
            indices(batch, path, first, |index, place| overlay.replace(index, place))
        })?;
    }
    let mut output = Output::create(to, &schema, metadata)?;
    for path in inputs.original {
        each(path, Columns::All, |batch, first| {
            let mut kept = Vec::with_capacity(batch.num_rows());
            indices(batch, path, first, |index, place| {
                kept.push(overlay.keeps(index, place)?);
                Ok(())
            })?;
            let batch = filter_record_batch(batch, &BooleanArray::from(kept));
            output.write(&batch.map_err(|error| damaged(path, &error))?)
        })?;
    }
    for path in inputs.retry {
        each(path, Columns::All, |batch, _| output.write(batch))?;
    }
    output.finish()
}

/// What is read of a file.
#[derive(Clone, Copy)]
enum Columns {
    All,
    Index,
}

type Builder = ParquetRecordBatchReaderBuilder<File>;

fn open(path: &Path) -> Result<Builder> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    Builder::try_new(file).map_err(|error| damaged(path, &error))
}

fn damaged(path: &Path, error: &dyn std::error::Error) -> Error {
    Error::damaged(path.display().to_string(), error.to_string())
}

/// The columns of all files, which must be alike, and what the first says of itself.
fn read_schemas(inputs: &Inputs<'_>) -> Result<(SchemaRef, Vec<KeyValue>)> {
    let first = open(inputs.first)?;
    for path in inputs.all() {
        let found = open(path)?;
        if found.schema().fields() != first.schema().fields() {
            let message = difference(found.schema(), first.schema(), inputs.first);
            return Err(Error::invalid(path.display().to_string(), message));
        }
    }
    let metadata = first.metadata().file_metadata().key_value_metadata().cloned();
    let schema = Arc::new(Schema::new(first.schema().fields().clone()));
    Ok((schema, metadata.unwrap_or_default()))
}

/// Says where columns begin to differ.
fn difference(found: &Schema, expected: &Schema, other: &Path) -> String {
    let shown = |schema: &Schema, position: usize| match schema.fields().get(position) {
        Some(field) => format!("`{}` ({})", field.name().escape_debug(), field.data_type()),
        None => "missing".to_owned(),
    };
    let columns = found.fields().len().max(expected.fields().len());
    let differs =
        |position: &usize| found.fields().get(*position) != expected.fields().get(*position);
    let position = (0..columns).find(differs).unwrap_or_default();
    let (here, there) = (shown(found, position), shown(expected, position));
    format!("its column {} is {here}, in {} it is {there}", position + 1, other.display())
}

/// Calls with each batch and the number of its first row, counted from 1.
fn each(
    path: &Path,
    columns: Columns,
    mut call: impl FnMut(&RecordBatch, u64) -> Result<()>,
) -> Result<()> {
    let builder = open(path)?;
    let mask = match columns {
        Columns::All => ProjectionMask::all(),
        Columns::Index => ProjectionMask::columns(builder.parquet_schema(), [INDEX]),
    };
    let batches = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build();
    let mut row = 1;
    for batch in batches.map_err(|error| damaged(path, &error))? {
        let unreadable = |error: ArrowError| Place { path, row }.damaged(error.to_string());
        let batch = batch.map_err(unreadable)?;
        call(&batch, row)?;
        row += batch.num_rows() as u64;
    }
    Ok(())
}

/// Calls with the index of each row.
fn indices(
    batch: &RecordBatch,
    path: &Path,
    first: u64,
    mut call: impl FnMut(u64, Place<'_>) -> Result<()>,
) -> Result<()> {
    let column = batch.column_by_name(INDEX);
    let Some(column) = column.and_then(|column| column.as_primitive_opt::<Int64Type>()) else {
        let message = "it has no column `index` of whole numbers";
        return Err(Error::damaged(path.display().to_string(), message));
    };
    for (row, value) in (first..).zip(column) {
        let place = Place { path, row };
        let index = value.and_then(|value| u64::try_from(value).ok());
        call(index.ok_or_else(|| place.damaged("it has no index"))?, place)?;
    }
    Ok(())
}

/// The merged file.
struct Output<'a> {
    path: &'a Path,
    writer: ArrowWriter<HashedFile>,
    rows: u64,
}

impl<'a> Output<'a> {
    fn create(path: &'a Path, schema: &SchemaRef, metadata: Vec<KeyValue>) -> Result<Self> {
        let options =
            ArrowWriterOptions::new().with_properties(properties()?).with_skip_arrow_metadata(true);
        let file = HashedFile::create(path)?;
        let writer = ArrowWriter::try_new_with_options(file, Arc::clone(schema), options);
        let mut writer = writer.map_err(|error| writing(path, error))?;
        for entry in metadata {
            writer.append_key_value_metadata(entry);
        }
        Ok(Self { path, writer, rows: 0 })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.write_batch(batch).map_err(|error| writing(self.path, error))
    }

    fn write_batch(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        self.writer.write(batch)?;
        self.rows += batch.num_rows() as u64;
        if is_full(&self.writer) { self.writer.flush() } else { Ok(()) }
    }

    fn finish(self) -> Result<Written> {
        let file = self.writer.into_inner().map_err(|error| writing(self.path, error))?;
        let sha256 = file.finish().map_err(Error::io("write to", self.path))?;
        Ok(Written { rows: self.rows, sha256 })
    }
}
