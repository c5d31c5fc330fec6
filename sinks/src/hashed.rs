//! A file that is hashed as it is written.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use harvestman_engine::{Error, Result};

use crate::digest::Running;

/// A new file and the SHA-256 of what is in it.
#[derive(Debug)]
pub(crate) struct HashedFile {
    file: File,
    digest: Running,
}

impl HashedFile {
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).map_err(Error::io("make", path))?;
        Ok(Self { file, digest: Running::default() })
    }

    /// Makes the file durable and gives its SHA-256.
    pub(crate) fn finish(self) -> io::Result<String> {
        self.file.sync_all()?;
        Ok(self.digest.finish())
    }
}

impl Write for HashedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.digest.update(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
