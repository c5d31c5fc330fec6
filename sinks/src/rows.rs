//! The part under way of an output that is written row by row.

use std::{
    fs::{File, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use harvestman_engine::{Error, Record, Result};
use serde::{Deserialize, Serialize};

use crate::{
    Compression,
    compress::{Compressor, PackState},
    digest::Running,
    encode::RowEncoder,
};

/// How many bytes of rows are gathered before they are packed and written.
const CHUNK_BYTES: u64 = 256 * 1024;

/// How rows become the bytes of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packing {
    pub(crate) compression: Compression,
    /// How large the file is to become, in bytes.
    pub(crate) max_bytes: u64,
    /// Whether its SHA-256 is wanted.
    pub(crate) is_hashed: bool,
}

/// A file that grows row by row.
#[derive(Debug)]
pub(crate) struct RowPart {
    file: File,
    path: PathBuf,
    compressor: Compressor,
    /// Rows that are not packed yet.
    rows_text: Vec<u8>,
    /// What the compressor gave of them; empty between calls.
    packed: Vec<u8>,
    chunk_bytes: usize,
    offset: u64,
    rows: u64,
    digest: Option<Running>,
}

/// Where the part goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RowState {
    offset: u64,
    rows: u64,
    pack: PackState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
}

impl Packing {
    fn chunk_bytes(self) -> usize {
        self.max_bytes.min(CHUNK_BYTES) as usize
    }
}

impl RowPart {
    /// Makes the file, over one that may be left of an earlier life, with what it begins with.
    pub(crate) fn create(path: PathBuf, packing: Packing, header: Vec<u8>) -> Result<Self> {
        let file = File::create(&path).map_err(Error::io("make", &path))?;
        let compressor = Compressor::new(packing.compression)?;
        let digest = packing.is_hashed.then(Running::default);
        let (rows_text, packed, chunk_bytes) = (header, Vec::new(), packing.chunk_bytes());
        let (offset, rows) = (0, 0);
        Ok(Self { file, path, compressor, rows_text, packed, chunk_bytes, offset, rows, digest })
    }

    /// Opens the file and cuts off what was written after the checkpoint.
    pub(crate) fn resume(path: PathBuf, packing: Packing, state: &RowState) -> Result<Self> {
        let file = open_at(&path, state.offset)?;
        let compressor = Compressor::resume(packing.compression, state.pack)?;
        let digest = state.digest.as_deref().map(Running::resume).transpose()?;
        let (rows_text, packed, chunk_bytes) = (Vec::new(), Vec::new(), packing.chunk_bytes());
        let (offset, rows) = (state.offset, state.rows);
        Ok(Self { file, path, compressor, rows_text, packed, chunk_bytes, offset, rows, digest })
    }

    pub(crate) fn append(&mut self, encoder: &RowEncoder, record: &Record) -> Result<()> {
        encoder.row(record, &mut self.rows_text)?;
        self.end_row()
    }

    /// Appends a row as it is written, with its line break.
    pub(crate) fn append_row(&mut self, row: &[u8]) -> Result<()> {
        self.rows_text.extend_from_slice(row);
        self.end_row()
    }

    fn end_row(&mut self) -> Result<()> {
        self.rows += 1;
        if self.rows_text.len() >= self.chunk_bytes { self.pack() } else { Ok(()) }
    }

    /// How many bytes are in the file.
    pub(crate) fn bytes(&self) -> u64 {
        self.offset
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    pub(crate) fn checkpoint(&mut self) -> Result<RowState> {
        self.pack()?;
        let pack = self.compressor.checkpoint(&mut self.packed)?;
        self.write_packed()?;
        self.file.sync_data().map_err(Error::io("synchronise", &self.path))?;
        let digest = self.digest.as_ref().map(Running::state);
        Ok(RowState { offset: self.offset, rows: self.rows, pack, digest })
    }

    /// Completes the file, durably, and gives its SHA-256 if that is wanted. Nothing can be
    /// appended any more.
    pub(crate) fn seal(&mut self) -> Result<Option<String>> {
        self.pack()?;
        self.compressor.finish(self.offset == 0, &mut self.packed)?;
        self.write_packed()?;
        self.file.sync_all().map_err(Error::io("synchronise", &self.path))?;
        Ok(self.digest.as_ref().map(Running::finish))
    }

    fn pack(&mut self) -> Result<()> {
        if matches!(self.compressor, Compressor::Plain) {
            // Straight from the buffer: nothing is copied.
            std::mem::swap(&mut self.rows_text, &mut self.packed);
        } else {
            self.compressor.write(&self.rows_text, &mut self.packed)?;
            self.rows_text.clear();
        }
        self.write_packed()
    }

    fn write_packed(&mut self) -> Result<()> {
        self.file.write_all(&self.packed).map_err(Error::io("write to", &self.path))?;
        self.digest.iter_mut().for_each(|digest| digest.update(&self.packed));
        self.offset += self.packed.len() as u64;
        self.packed.clear();
        // One huge record must not hold its memory for the rest of the job.
        self.packed.shrink_to(4 * self.chunk_bytes);
        self.rows_text.shrink_to(4 * self.chunk_bytes);
        Ok(())
    }
}

/// Opens a file for writing and cuts it off at `length`; a shorter one is [`Error::Damaged`].
pub(crate) fn open_at(path: &Path, length: u64) -> Result<File> {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(Error::io("go on with", path))?;
    let found = file.metadata().map_err(Error::io("examine", path))?.len();
    if found < length {
        let message = format!(
            "it has {found} bytes, the checkpoint was at {length}; begin the job anew, or bring \
             the file back"
        );
        return Err(Error::damaged(path.display().to_string(), message));
    }
    file.set_len(length).map_err(Error::io("cut off", path))?;
    file.seek(SeekFrom::End(0)).map_err(Error::io("seek in", path))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_is_cut_off_and_a_shorter_one_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        fs::write(&path, "0123456789").unwrap();
        let mut file = open_at(&path, 4).unwrap();
        file.write_all(b"x").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"0123x");
        let error = open_at(&path, 6).unwrap_err();
        assert!(error.to_string().contains("it has 5 bytes, the checkpoint was at 6"), "{error}");
        assert!(matches!(open_at(&directory.path().join("y"), 0), Err(Error::Io { .. })));
    }
}
