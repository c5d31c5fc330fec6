//! The place in a bucket that an output goes to.

use std::{path::Path as FilePath, sync::Arc};

use bytes::Bytes;
use harvestman_engine::{Error, Part, Result};
use object_store::{Error as StoreError, ObjectStore, ObjectStoreExt, path::Path};
use serde_json::json;
use tokio::time::{Duration, Instant, sleep};

use super::{
    failure::{is_passing, unwritable},
    upload::upload,
};
use crate::OutputFormat;

/// How long a bucket is tried before the job fails; it goes on from its checkpoint later.
const MAX_OUTAGE: Duration = Duration::from_mins(10);
/// How long is waited before an upload is tried again: at first,
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// and at most, doubled each time.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// What is written last.
const MANIFEST: &str = "manifest.json";

#[derive(Debug)]
pub(super) struct Destination {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) prefix: Path,
    /// What the locations of parts begin with, without a slash at its end.
    pub(super) uri: String,
}

impl Destination {
    /// Begins an upload and aborts it: what is allowed to do that will be allowed to write, and
    /// nothing is left behind.
    pub(super) async fn probe(&self, suffix: &str) -> Result<()> {
        let path = self.prefix.clone().join(format!("part-00000.{suffix}"));
        let mut patience = Patience::new(&self.uri, MAX_OUTAGE);
        while let Err(error) = self.try_probe(&path).await {
            if matches!(error, StoreError::NotFound { .. }) {
                let message = format!("{} can't be written: there is no such bucket", self.uri);
                return Err(Error::part("sink", message));
            }
            patience.bear(error).await?;
        }
        Ok(())
    }

    async fn try_probe(&self, path: &Path) -> Result<(), StoreError> {
        let mut probe = self.store.put_multipart(path).await?;
        probe.abort().await
    }

    /// Uploads a part that is complete on the disk, until it is there as a whole.
    pub(super) async fn upload(&self, part: &Part) -> Result<()> {
        let file = FilePath::new(&part.location);
        let path = self.prefix.clone().join(name_of(&part.location));
        let mut patience = Patience::new(&self.uri, MAX_OUTAGE);
        while let Err(error) = upload(&*self.store, &path, file, part.bytes).await {
            patience.bear(error).await?;
        }
        Ok(())
    }

    /// The same parts where they are in the bucket.
    pub(super) fn relocate(&self, mut parts: Vec<Part>) -> Vec<Part> {
        for part in &mut parts {
            part.location = format!("{}/{}", self.uri, name_of(&part.location));
        }
        parts
    }

    /// Removes what a life uploaded that was killed before its checkpoint, beyond the parts that
    /// there are now.
    pub(super) async fn remove_parts_from(&self, number: usize, suffix: &str) {
        for number in number.. {
            let path = self.prefix.clone().join(format!("part-{number:05}.{suffix}"));
            if self.store.head(&path).await.is_err() {
                return;
            }
            if let Err(error) = self.store.delete(&path).await {
                tracing::warn!(%path, %error, "a part that the manifest doesn't name stays");
                return;
            }
        }
    }

    pub(super) async fn write_manifest(
        &self,
        parts: &[Part],
        format: OutputFormat,
        job_id: Option<&str>,
    ) -> Result<()> {
        let listed = parts.iter().map(|part| {
            json!({
                "url": part.location,
                "rows": part.rows,
                "bytes": part.bytes,
                "sha256": part.sha256,
            })
        });
        let manifest = json!({
            "job_id": job_id,
            "format": format.suffix(),
            "rows": parts.iter().map(|part| part.rows).sum::<u64>(),
            "bytes": parts.iter().map(|part| part.bytes).sum::<u64>(),
            "parts": listed.collect::<Vec<_>>(),
        });
        let manifest = serde_json::to_vec_pretty(&manifest);
        let manifest = Bytes::from(manifest.map_err(|error| Error::part("sink", error))?);
        let path = self.prefix.clone().join(MANIFEST);
        let mut patience = Patience::new(&self.uri, MAX_OUTAGE);
        while let Err(error) = self.store.put(&path, manifest.clone().into()).await {
            patience.bear(error).await?;
        }
        Ok(())
    }
}

/// What is left of the time in which a bucket may fail.
pub(super) struct Patience<'a> {
    uri: &'a str,
    until: Instant,
    pause: Duration,
}

impl<'a> Patience<'a> {
    pub(super) fn new(uri: &'a str, time: Duration) -> Self {
        Self { uri, until: Instant::now() + time, pause: FIRST_PAUSE }
    }

    /// Waits before the next try, unless there is no sense in one.
    pub(super) async fn bear(&mut self, error: StoreError) -> Result<()> {
        if !is_passing(&error) || Instant::now() >= self.until {
            return Err(unwritable(&error, self.uri));
        }
        tracing::warn!(uri = self.uri, %error, "tried again");
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(MAX_PAUSE);
        Ok(())
    }
}

fn name_of(location: &str) -> &str {
    FilePath::new(location).file_name().and_then(|name| name.to_str()).unwrap_or_default()
}
