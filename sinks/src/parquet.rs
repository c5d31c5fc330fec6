//! The part under way of a Parquet output.
//!
//! Rows are gathered into batches. Each batch goes to the *spool*, which makes it durable, and into
//! the row group under way, which is encoded in memory. A full row group is appended to the *groups*
//! file and a new spool begun, so that a crash costs at most the re-reading of one spool. The part
//! itself is put together of the groups when it is sealed, by copying.

mod arrow;
mod groups;
mod spool;

use std::{
    io::{self, Write},
    path::Path,
    sync::Arc,
};

use arrow_schema::ArrowError;
use harvestman_engine::{Error, Record, Result, Schema};
use parquet::{
    arrow::{ArrowSchemaConverter, ArrowWriter, arrow_writer::ArrowWriterOptions},
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::{
        metadata::KeyValue,
        properties::{EnabledStatistics, WriterProperties},
    },
    schema::types::{ColumnPath, SchemaDescriptor},
};
use serde::{Deserialize, Serialize};

use self::{arrow::RowBuilder, groups::Groups, spool::Spool};
use crate::work::{Mark, WorkDirectory};

/// A row group is closed at so many rows, as readers like it.
const GROUP_ROWS: usize = 128 * 1024;
/// A row group is closed when its encoded pages take so much memory, in bytes.
const GROUP_BYTES: usize = 16 * 1024 * 1024;
/// What its own measurements call best.
const ZSTD_LEVEL: i32 = 3;
/// Columns whose values hardly repeat: a dictionary would be built and thrown away.
const DISTINCT: [&str; 3] = ["url", "index", "id"];

/// The columns of a Parquet output and how they are written.
#[derive(Debug)]
pub(crate) struct Layout {
    schema: Schema,
    arrow: Arc<arrow_schema::Schema>,
    parquet: SchemaDescriptor,
    properties: WriterProperties,
    metadata: Vec<KeyValue>,
}

impl Layout {
    pub(crate) fn new(schema: &Schema, job_id: Option<&str>) -> Result<Self> {
        let arrow = Arc::new(arrow::schema_of(schema)?);
        let parquet = ArrowSchemaConverter::new()
            .convert(&arrow)
            .map_err(|error| Error::invalid("extract", error.to_string()))?;
        let written = serde_json::to_string(schema).map_err(|error| Error::part("sink", error))?;
        let mut metadata = vec![KeyValue::new("harvestman.schema".to_owned(), written)];
        if let Some(job_id) = job_id {
            metadata.push(KeyValue::new("harvestman.job_id".to_owned(), job_id.to_owned()));
        }
        Ok(Self { schema: schema.clone(), arrow, parquet, properties: properties()?, metadata })
    }

    /// A file of a single row group in memory.
    fn begin_group(&self) -> Result<ArrowWriter<Vec<u8>>> {
        let options = ArrowWriterOptions::new()
            .with_properties(self.properties.clone())
            .with_skip_arrow_metadata(true);
        ArrowWriter::try_new_with_options(Vec::new(), Arc::clone(&self.arrow), options)
            .map_err(encoding)
    }
}

pub(crate) fn properties() -> Result<WriterProperties> {
    let level = ZstdLevel::try_new(ZSTD_LEVEL).map_err(encoding)?;
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("harvestman ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(None)
        // One set of figures a row group is what readers skip by.
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true);
    for column in DISTINCT {
        properties =
            properties.set_column_dictionary_enabled(ColumnPath::from(column.to_owned()), false);
    }
    Ok(properties.build())
}

/// Whether the row group under way is to be closed.
pub(crate) fn is_full<W: Write + Send>(group: &ArrowWriter<W>) -> bool {
    group.in_progress_rows() >= GROUP_ROWS || group.memory_size() >= GROUP_BYTES
}

/// A failure of the encoder itself, which works in memory.
fn encoding(error: ParquetError) -> Error {
    Error::part("sink", error)
}

/// Finds the operating system's word in the error of a writer to a file.
pub(crate) fn writing(path: &Path, error: ParquetError) -> Error {
    match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(source) => Error::io("write to", path)(*source),
            Err(source) => Error::part("sink", source),
        },
        other => encoding(other),
    }
}

fn batching(error: ArrowError) -> Error {
    Error::part("sink", error)
}

/// A Parquet file that grows by row groups.
pub(crate) struct ParquetPart {
    layout: Arc<Layout>,
    work: WorkDirectory,
    number: u64,
    builder: RowBuilder,
    spool: Spool,
    group: ArrowWriter<Vec<u8>>,
    groups: Groups,
    /// In sealed row groups.
    sealed_rows: u64,
    /// In the row group under way; those in the builder not counted.
    group_rows: u64,
    mark: Mark,
}

impl std::fmt::Debug for ParquetPart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetPart")
            .field("number", &self.number)
            .field("rows", &self.rows())
            .finish_non_exhaustive()
    }
}

/// Where the part goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ParquetState {
    /// How many bytes of row groups are sealed.
    groups_bytes: u64,
    /// How many rows are in them.
    sealed_rows: u64,
    /// The number of the row group under way.
    group: u64,
    /// How many bytes of it are in the spool.
    spool_bytes: u64,
    /// How many rows are in the spool.
    spool_rows: u64,
}

impl ParquetState {
    pub(crate) fn group(&self) -> u64 {
        self.group
    }
}

impl ParquetPart {
    /// Makes the files, over those that may be left of an earlier life.
    pub(crate) fn create(layout: Arc<Layout>, work: WorkDirectory, number: u64) -> Result<Self> {
        let mark = Mark { part: number, group: 0 };
        let groups = Groups::create(work.groups(number))?;
        let spool = Spool::create(work.spool(mark), &layout.arrow)?;
        Self::at(layout, work, mark, groups, spool, 0)
    }

    /// Opens the files, cuts off what was written after the checkpoint, and encodes the spooled
    /// rows anew.
    pub(crate) fn resume(
        layout: Arc<Layout>,
        work: WorkDirectory,
        number: u64,
        state: &ParquetState,
    ) -> Result<Self> {
        let mark = Mark { part: number, group: state.group };
        let groups = Groups::resume(work.groups(number), state.groups_bytes)?;
        let spool = Spool::resume(work.spool(mark), &layout.arrow, state.spool_bytes)?;
        let mut part = Self::at(layout, work, mark, groups, spool, state.sealed_rows)?;
        for batch in part.spool.read()? {
            let batch = batch?;
            part.group.write(&batch).map_err(encoding)?;
            part.group_rows += batch.num_rows() as u64;
        }
        if part.group_rows != state.spool_rows {
            let message = format!("{} rows instead of {}", part.group_rows, state.spool_rows);
            return Err(Error::damaged(part.spool.path().display().to_string(), message));
        }
        Ok(part)
    }

    fn at(
        layout: Arc<Layout>,
        work: WorkDirectory,
        mark: Mark,
        groups: Groups,
        spool: Spool,
        sealed_rows: u64,
    ) -> Result<Self> {
        Ok(Self {
            builder: RowBuilder::new(&layout.schema),
            group: layout.begin_group()?,
            number: mark.part,
            group_rows: 0,
            layout,
            work,
            spool,
            groups,
            sealed_rows,
            mark,
        })
    }

    pub(crate) fn append(&mut self, record: &Record) -> Result<()> {
        self.builder.append(record);
        if self.builder.is_full() { self.end_batch() } else { Ok(()) }
    }

    /// How many bytes the part would have if it were sealed now, about.
    pub(crate) fn bytes(&self) -> u64 {
        self.groups.bytes() + self.group.in_progress_size() as u64
    }

    pub(crate) fn rows(&self) -> u64 {
        self.sealed_rows + self.group_rows + self.builder.rows() as u64
    }

    pub(crate) fn checkpoint(&mut self) -> Result<ParquetState> {
        self.end_batch()?;
        self.groups.sync()?;
        self.spool.sync()?;
        self.work.sync()?;
        Ok(ParquetState {
            groups_bytes: self.groups.bytes(),
            sealed_rows: self.sealed_rows,
            group: self.mark.group,
            spool_bytes: self.spool.bytes(),
            spool_rows: self.group_rows,
        })
    }

    /// Puts the file together, durably, and gives its SHA-256. Groups and spools stay for the
    /// checkpoint before.
    pub(crate) fn seal(&mut self) -> Result<String> {
        self.end_batch()?;
        self.end_group()?;
        self.groups.assemble(&self.layout, &self.work.open(self.number))
    }

    fn end_batch(&mut self) -> Result<()> {
        if self.builder.rows() == 0 {
            return Ok(());
        }
        let batch = self.builder.finish(&self.layout.arrow).map_err(batching)?;
        self.spool.append(&batch)?;
        self.group.write(&batch).map_err(encoding)?;
        self.group_rows += batch.num_rows() as u64;
        if is_full(&self.group) { self.end_group() } else { Ok(()) }
    }

    fn end_group(&mut self) -> Result<()> {
        if self.group_rows == 0 {
            return Ok(());
        }
        let group = std::mem::replace(&mut self.group, self.layout.begin_group()?);
        self.groups.append(&group.into_inner().map_err(encoding)?)?;
        self.sealed_rows += self.group_rows;
        self.group_rows = 0;
        self.mark.group += 1;
        self.spool = Spool::create(self.work.spool(self.mark), &self.layout.arrow)?;
        Ok(())
    }
}
