//! A checkpoint store in one file of a directory.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use serde::Deserialize;

use super::{Checkpoint, CheckpointStore, VERSION};
use crate::{Error, Errored, Result, lock::LockedDirectory};

const CHECKPOINT: &str = "checkpoint.json";

/// Keeps the checkpoint in a directory of its own, through crashes and power cuts.
///
/// The directory is locked while the store is there (the lock dies with the process), so that no
/// two processes run one job. A checkpoint replaces the one before by a rename, with file and
/// directory synchronised. The errored tasks aren't kept: they stand in the output.
#[derive(Debug)]
pub struct FileStore {
    directory: LockedDirectory,
}

impl FileStore {
    /// Opens or makes the directory and locks it. [`Error::Locked`] if another process has it.
    pub fn open(directory: impl Into<PathBuf>) -> Result<Self> {
        Ok(Self { directory: LockedDirectory::open(&directory.into())? })
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

/// The part that every version of the form has.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

#[async_trait]
impl CheckpointStore for FileStore {
    async fn load(&self) -> Result<Option<Checkpoint>> {
        let path = self.directory().join(CHECKPOINT);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", path)(error)),
        };
        let damaged = |message: String| Error::damaged(path.display().to_string(), message);
        let unreadable = |error: serde_json::Error| damaged(error.to_string());
        let Versioned { version } = serde_json::from_slice(&bytes).map_err(unreadable)?;
        if version != VERSION {
            return Err(damaged(format!("version {version} instead of {VERSION}")));
        }
        serde_json::from_slice(&bytes).map(Some).map_err(unreadable)
    }

    async fn save(&self, checkpoint: &Checkpoint, _errored: &[Errored]) -> Result<()> {
        let json = serde_json::to_vec(checkpoint).map_err(|error| Error::part("store", error))?;
        let directory = self.directory().to_owned();
        let task =
            tokio::task::spawn_blocking(move || replace_file(&directory.join(CHECKPOINT), &json));
        task.await.map_err(|error| Error::part("store", error))?
    }
}

/// Replaces a file so that a crash leaves either the old content or the new.
pub fn replace_file(path: &Path, content: &[u8]) -> Result<()> {
    let temporary = path.with_added_extension("tmp");
    let mut file = File::create(&temporary).map_err(Error::io("make", &temporary))?;
    file.write_all(content).map_err(Error::io("write to", &temporary))?;
    file.sync_all().map_err(Error::io("synchronise", &temporary))?;
    fs::rename(&temporary, path).map_err(Error::io("rename to", path))?;
    sync_directory(path)
}

/// Makes a file's entry in its directory durable.
pub fn sync_directory(file: &Path) -> Result<()> {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = parent.unwrap_or(Path::new("."));
    let opened = File::open(directory).and_then(|directory| directory.sync_all());
    opened.map_err(Error::io("synchronise", directory))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::store_conformance;

    #[tokio::test]
    async fn conforms() {
        let directory = tempfile::tempdir().unwrap();
        store_conformance(&FileStore::open(directory.path()).unwrap()).await;
    }

    #[tokio::test]
    async fn a_second_holder_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let first = FileStore::open(directory.path()).unwrap();
        let error = FileStore::open(directory.path()).unwrap_err();
        assert!(matches!(error, Error::Locked { .. }), "{error}");
        drop(first);
        FileStore::open(directory.path()).unwrap();
    }

    #[tokio::test]
    async fn a_damaged_checkpoint_is_an_error_and_no_new_start() {
        let directory = tempfile::tempdir().unwrap();
        let store = FileStore::open(directory.path()).unwrap();
        for (content, message) in [
            ("{", "EOF while parsing"),
            ("{\"version\":1}", "version 1 instead of 2"),
            ("{\"version\":2}", "missing field `done`"),
        ] {
            fs::write(directory.path().join(CHECKPOINT), content).unwrap();
            let error = store.load().await.unwrap_err();
            assert!(matches!(error, Error::Damaged { .. }), "{error}");
            assert!(error.to_string().contains(message), "{error}");
        }
    }
}
