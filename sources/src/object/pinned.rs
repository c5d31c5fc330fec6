//! One version of an object.

use std::{fmt, ops::Range, sync::Arc};

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use harvestman_engine::{Error, Result};
use object_store::{
    Error as StoreError, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, path::Path,
};
use serde::{Deserialize, Serialize};
use tokio::time::{Duration, Instant, sleep};

use super::failure::{Failure, denied, unreadable};

/// How long a store may give nothing before the job fails; it goes on from its checkpoint later.
const MAX_OUTAGE: Duration = Duration::from_mins(5);
/// How long is waited before a read is tried again: at first,
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// and at most, doubled each time.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// An object as it was when it was found. Whatever else it becomes is never read.
#[derive(Debug)]
pub(super) struct PinnedObject {
    store: Arc<dyn ObjectStore>,
    pub(super) path: Path,
    /// What messages call it.
    pub(super) name: String,
    pub(super) version: Version,
}

/// What tells one version of an object from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Version {
    bytes: u64,
    /// Of a store without it, when it was written.
    etag: Option<String>,
    modified: Option<String>,
}

impl Version {
    fn of(meta: &ObjectMeta) -> Self {
        let etag = meta.e_tag.clone();
        let modified = etag.is_none().then(|| meta.last_modified.to_rfc3339());
        Self { bytes: meta.size, etag, modified }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tag = self.etag.as_deref().or(self.modified.as_deref()).unwrap_or_default();
        write!(f, "{tag} of {} bytes", self.bytes)
    }
}

impl PinnedObject {
    pub(super) async fn find(
        store: Arc<dyn ObjectStore>,
        path: Path,
        name: String,
    ) -> Result<Self> {
        let mut patience = Patience::new();
        let meta = loop {
            let error = match store.head(&path).await {
                Ok(meta) => break meta,
                Err(error) => error,
            };
            if !Failure::is_passing(&error) || patience.is_at_its_end() {
                return Err(explain(&*store, &path, &name, error).await);
            }
            patience.pause().await;
        };
        Ok(Self { store, path, name, version: Version::of(&meta) })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.version.bytes
    }

    pub(super) fn refuse_larger_than(&self, max: u64) -> Result<()> {
        if self.bytes() <= max {
            return Ok(());
        }
        let message = format!("holds more than {max} bytes; split it, or raise the limit");
        Err(Error::invalid(&self.name, message))
    }

    /// Reads a range whole, going on where a connection broke off.
    pub(super) async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        let wanted = (range.end - range.start) as usize;
        let mut bytes = BytesMut::with_capacity(wanted);
        let mut patience = Patience::new();
        while bytes.len() < wanted {
            let before = bytes.len();
            let rest = range.start + before as u64..range.end;
            let failure = self.read_on(rest, &mut bytes, wanted).await;
            let failure = failure.err().map(|error| Failure::of(error, &self.name));
            if let Some(Failure::Lasting(error)) = failure {
                return Err(error);
            }
            if bytes.len() > before {
                patience = Patience::new();
            } else if patience.is_at_its_end() {
                return Err(self.given_up(failure));
            } else {
                patience.pause().await;
            }
        }
        Ok(bytes.freeze())
    }

    async fn read_on(
        &self,
        range: Range<u64>,
        bytes: &mut BytesMut,
        wanted: usize,
    ) -> Result<(), StoreError> {
        let options = GetOptions {
            range: Some(GetRange::Bounded(range)),
            if_match: self.version.etag.clone(),
            ..GetOptions::default()
        };
        let answer = self.store.get_opts(&self.path, options).await?;
        if Version::of(&answer.meta) != self.version {
            let source = "another version was sent".into();
            return Err(StoreError::Precondition { path: self.path.to_string(), source });
        }
        let mut chunks = answer.into_stream();
        while let Some(chunk) = chunks.try_next().await? {
            let room = wanted - bytes.len();
            bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        }
        Ok(())
    }

    fn given_up(&self, failure: Option<Failure>) -> Error {
        match failure {
            Some(Failure::Passing(error)) => unreadable(&error, &self.name),
            Some(Failure::Lasting(error)) => error,
            None => Error::damaged(&self.name, "the store sends less of it than there is"),
        }
    }
}

/// The job's error for an object that isn't found. A refused `HEAD` has no body that would say why,
/// so it is asked for once more.
async fn explain(store: &dyn ObjectStore, path: &Path, name: &str, error: StoreError) -> Error {
    match error {
        StoreError::NotFound { .. } => {
            Error::part("source", format!("{name} isn't there; check bucket and key"))
        }
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => {
            match store.get_range(path, 0..1).await {
                Err(
                    better @ (StoreError::PermissionDenied { .. }
                    | StoreError::Unauthenticated { .. }),
                ) => denied(&better, name),
                _ => denied(&error, name),
            }
        }
        error => unreadable(&error, name),
    }
}

/// How long a store is still waited for, and how long until it is asked again.
struct Patience {
    until: Instant,
    pause: Duration,
}

impl Patience {
    fn new() -> Self {
        Self { until: Instant::now() + MAX_OUTAGE, pause: FIRST_PAUSE }
    }

    fn is_at_its_end(&self) -> bool {
        Instant::now() >= self.until
    }

    async fn pause(&mut self) {
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(MAX_PAUSE);
    }
}
