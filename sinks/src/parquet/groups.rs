//! The file of sealed row groups, and the Parquet file made of it.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use harvestman_engine::{Error, Result};
use parquet::{
    column::writer::ColumnCloseResult,
    errors::ParquetError,
    file::{metadata::ParquetMetaDataReader, writer::SerializedFileWriter},
};

use super::{Layout, writing};
use crate::{hashed::HashedFile, rows::open_at};

/// Each group is a Parquet file of its own with one row group, after its length in eight bytes,
/// little-endian.
#[derive(Debug)]
pub(super) struct Groups {
    file: File,
    path: PathBuf,
    bytes: u64,
}

impl Groups {
    pub(super) fn create(path: PathBuf) -> Result<Self> {
        // Read back when the part is put together.
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path);
        let file = file.map_err(Error::io("make", &path))?;
        Ok(Self { file, path, bytes: 0 })
    }

    pub(super) fn resume(path: PathBuf, bytes: u64) -> Result<Self> {
        Ok(Self { file: open_at(&path, bytes)?, path, bytes })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn append(&mut self, group: &[u8]) -> Result<()> {
        let length = group.len() as u64;
        let mut write = || {
            self.file.write_all(&length.to_le_bytes())?;
            self.file.write_all(group)
        };
        write().map_err(Error::io("write to", &self.path))?;
        self.bytes += 8 + length;
        Ok(())
    }

    pub(super) fn sync(&self) -> Result<()> {
        self.file.sync_data().map_err(Error::io("synchronise", &self.path))
    }

    /// Writes one Parquet file with all the groups, durably, and gives its SHA-256: their pages are
    /// copied as they are, one group at a time in memory.
    pub(super) fn assemble(&self, layout: &Layout, to: &Path) -> Result<String> {
        let file = HashedFile::create(to)?;
        let failed = |error| writing(to, error);
        let schema = layout.parquet.root_schema_ptr();
        let properties = layout.properties.clone().into();
        let mut writer =
            SerializedFileWriter::new(BufWriter::new(file), schema, properties).map_err(failed)?;
        layout.metadata.iter().for_each(|entry| writer.append_key_value_metadata(entry.clone()));
        self.each(|group| copy_group(&group, &mut writer).map_err(failed))?;
        let buffer = writer.into_inner().map_err(failed)?;
        let file = buffer.into_inner().map_err(io::IntoInnerError::into_error);
        file.and_then(HashedFile::finish).map_err(Error::io("write to", to))
    }

    fn each(&self, mut call: impl FnMut(Bytes) -> Result<()>) -> Result<()> {
        let read = |error: io::Error| Error::io("read", &self.path)(error);
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0)).map_err(read)?;
        let mut reader = BufReader::new(file.take(self.bytes));
        let mut rest = self.bytes;
        while rest > 0 {
            let mut length = [0; 8];
            reader.read_exact(&mut length).map_err(read)?;
            let length = u64::from_le_bytes(length);
            rest =
                rest.checked_sub(8).and_then(|rest| rest.checked_sub(length)).ok_or_else(|| {
                    let message = format!("a row group of {length} bytes goes beyond its end");
                    Error::damaged(self.path.display().to_string(), message)
                })?;
            let mut group = vec![0; length as usize];
            reader.read_exact(&mut group).map_err(read)?;
            call(group.into())?;
        }
        Ok(())
    }
}

fn copy_group<W: Write + Send>(
    file: &Bytes,
    writer: &mut SerializedFileWriter<W>,
) -> Result<(), ParquetError> {
    let metadata = ParquetMetaDataReader::new().parse_and_finish(file)?;
    for group in metadata.row_groups() {
        let mut copy = writer.next_row_group()?;
        for column in group.columns() {
            let close = ColumnCloseResult {
                bytes_written: column.compressed_size() as u64,
                rows_written: group.num_rows() as u64,
                metadata: column.clone(),
                bloom_filter: None,
                column_index: None,
                offset_index: None,
            };
            copy.append_column(file, close)?;
        }
        copy.close()?;
    }
    Ok(())
}
