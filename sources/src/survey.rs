//! Looks through a file once: how many tasks it holds, what its bytes are, where its rows begin.

use std::io::{self, Read};

use harvestman_engine::{LineReader, Result};
use sha2::{Digest, Sha256};

use crate::{
    Compression, InputOptions,
    decode::{decode, read_error},
    index::RowIndex,
    reading::{Layout, begin, too_many},
};

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
