//! Lists in buckets, and results to them.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use harvestman::{
//!     FileStore, Job, LineReader, Params, buckets,
//!     fetchers::Http,
//!     sinks::{FileSink, OutputFormat},
//!     sources::InputOptions,
//!     storage::{Access, S3Settings, Storage},
//! };
//!
//! # async fn example() -> anyhow::Result<()> {
//! let storage = Storage::builder().s3(S3Settings::from_env()).build();
//! let list = storage.open(&"s3://lists/urls.csv.gz".parse()?, &Access::Own)?;
//! let results = storage.open(&"s3://results/nightly".parse()?, &Access::Own)?;
//!
//! let reader = LineReader::new(Params::new());
//! let source = buckets::source(&list, reader, &InputOptions::new()).await?;
//! // Parts are made here, and removed when they are in the bucket.
//! let parts = FileSink::in_directory("nightly.job/parts", OutputFormat::detect("x.ndjson.zst")?);
//! let sink = buckets::sink(&results, parts);
//!
//! let job = Job::new(Arc::new(source), Arc::new(Http::new()?), Arc::new(sink))
//!     .with_store(Arc::new(FileStore::open("nightly.job")?))
//!     .spawn();
//! println!("{} records", job.wait().await?.counters.done());
//! # Ok(()) }
//! ```

#[cfg(feature = "sources")]
use harvestman_engine::{LineReader, Result};
#[cfg(feature = "sources")]
use harvestman_sources::{InputOptions, ObjectStore};
use harvestman_storage::Bucket;

/// The tasks of a list in a bucket, pinned as it is now.
#[cfg(feature = "sources")]
pub async fn source(
    bucket: &Bucket,
    reader: LineReader,
    options: &InputOptions,
) -> Result<ObjectStore> {
    let (store, path) = (bucket.store().clone(), bucket.path().clone());
    ObjectStore::pin(store, path, bucket.location().to_string(), reader, options).await
}

/// A sink of the parts that `parts` makes [in a directory](harvestman_sinks::FileSink::in_directory)
/// to objects under this place, which belongs to the job alone. What a crash leaves of uploads there
/// is aborted in the next life.
#[cfg(feature = "sinks")]
pub fn sink(bucket: &Bucket, parts: harvestman_sinks::FileSink) -> harvestman_sinks::ObjectSink {
    use std::sync::Arc;

    let (store, path) = (bucket.store().clone(), bucket.path().clone());
    let sink = harvestman_sinks::ObjectSink::new(parts, store, path, bucket.location().to_string());
    sink.with_leftovers(Arc::new(leftovers::Leftovers(bucket.clone())))
}

#[cfg(feature = "sinks")]
mod leftovers {
    use async_trait::async_trait;
    use harvestman_sinks::AbortUploads;
    use harvestman_storage::{Bucket, StoreError};

    #[derive(Debug)]
    pub(super) struct Leftovers(pub(super) Bucket);

    #[async_trait]
    impl AbortUploads for Leftovers {
        async fn abort_uploads(&self) -> Result<usize, StoreError> {
            self.0.abort_uploads().await
        }
    }
}
