//! The rows of the row group under way, on disk.

use std::{
    fmt,
    fs::File,
    io::{BufReader, Write},
    path::{Path, PathBuf},
};

use arrow_array::RecordBatch;
use arrow_ipc::{reader::StreamReader, writer::StreamWriter};
use arrow_schema::Schema;
use harvestman_engine::{Error, Result};

use super::batching;
use crate::rows::open_at;

/// An Arrow IPC stream without an end, which a later life can go on with.
pub(super) struct Spool {
    file: File,
    path: PathBuf,
    /// Encodes into memory; its buffer is empty between calls.
    encoder: StreamWriter<Vec<u8>>,
    bytes: u64,
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool")
            .field("path", &self.path)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl Spool {
    pub(super) fn create(path: PathBuf, schema: &Schema) -> Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path);
        let file = file.map_err(Error::io("make", &path))?;
        // Begins with the message of the schema.
        let encoder = StreamWriter::try_new(Vec::new(), schema).map_err(batching)?;
        let mut spool = Self { file, path, encoder, bytes: 0 };
        spool.write_encoded()?;
        Ok(spool)
    }

    pub(super) fn resume(path: PathBuf, schema: &Schema, bytes: u64) -> Result<Self> {
        let file = open_at(&path, bytes)?;
        let mut encoder = StreamWriter::try_new(Vec::new(), schema).map_err(batching)?;
        // The schema is in the file already.
        encoder.get_mut().clear();
        Ok(Self { file, path, encoder, bytes })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn append(&mut self, batch: &RecordBatch) -> Result<()> {
        self.encoder.write(batch).map_err(batching)?;
        self.write_encoded()
    }

    pub(super) fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(Error::io("synchronise", &self.path))
    }

    /// All batches, read through a handle of their own.
    pub(super) fn read(&self) -> Result<impl Iterator<Item = Result<RecordBatch>> + use<>> {
        let path = self.path.clone();
        let damaged = move |error: arrow_schema::ArrowError| {
            Error::damaged(path.display().to_string(), error.to_string())
        };
        let file = File::open(&self.path).map_err(Error::io("read", &self.path))?;
        let reader = StreamReader::try_new(BufReader::new(file), None).map_err(&damaged)?;
        Ok(reader.map(move |batch| batch.map_err(&damaged)))
    }

    fn write_encoded(&mut self) -> Result<()> {
        let encoded = self.encoder.get_mut();
        self.file.write_all(encoded).map_err(Error::io("write to", &self.path))?;
        self.bytes += encoded.len() as u64;
        encoded.clear();
        Ok(())
    }
}
