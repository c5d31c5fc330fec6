//! A directory that one process has for itself.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
};

use crate::{Error, Result};

const LOCK: &str = "lock";

/// A directory that is locked for as long as this lives. The lock dies with the process.
#[derive(Debug)]
pub(crate) struct LockedDirectory {
    path: PathBuf,
    _lock: File,
}

impl LockedDirectory {
    /// Makes the directory where it is missing and locks it. [`Error::Locked`] if another process,
    /// or another part of this one, has it.
    pub(crate) fn open(directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory).map_err(Error::io("make", directory))?;
        let path = directory.join(LOCK);
        let lock = File::create(&path).map_err(Error::io("make", &path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: directory.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Error::Locked { path }),
            Err(TryLockError::Error(source)) => Err(Error::io("lock", path)(source)),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}
