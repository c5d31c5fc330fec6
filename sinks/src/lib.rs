//! Where the records of a job go: NDJSON, CSV and Parquet files that can be continued after a crash,
//! and pipes.
//!
//! [`FileSink`] writes files, plain or packed with gzip or zstd, in one part or several, and
//! publishes them when they are complete, or part by part in a directory. [`PipeSink`] writes to standard output,
//! `ObjectSink` (feature `object`) to a bucket, by way of a directory. Each is a
//! [`Sink`](harvestman_engine::Sink).
//!
//! ```
//! use std::sync::Arc;
//!
//! use harvestman_engine::{Fields, Params, Record, Schema, Sink, Task};
//! use harvestman_sinks::{FileSink, OutputFormat};
//!
//! # let rt = tokio::runtime::Builder::new_current_thread().build()?;
//! # rt.block_on(async {
//! # let dir = tempfile::tempdir()?;
//! let path = dir.path().join("products.ndjson");
//! let schema = Schema::from_pairs([("name", "string")])?;
//! let sink =
//!     FileSink::new(&path, OutputFormat::detect(&path)?).with_schema(Arc::new(schema));
//!
//! let mut writer = sink.open(None).await?;
//! let task = Task::new(0, "https://shop.example/lamp", Params::new());
//! let data = serde_json::from_str(r#"{"name": "Lamp"}"#)?;
//! writer.write(vec![Record::ok(task, Fields::from_data(data))]).await?;
//! let state = writer.checkpoint().await?;
//! drop(writer); // a crash
//!
//! let parts = sink.open(Some(&state)).await?.finish().await?;
//! sink.clear()?;
//! assert_eq!(parts[0].rows, 1);
//! assert!(std::fs::read_to_string(&path)?.contains(r#""data":{"name":"Lamp"}"#));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(any(feature = "csv", feature = "parquet"))]
mod cell;
#[cfg(any(feature = "csv", feature = "parquet"))]
mod columns;
mod compress;
#[cfg(feature = "csv")]
mod csv;
mod digest;
mod encode;
mod file;
mod format;
#[cfg(feature = "parquet")]
mod hashed;
mod merge;
#[cfg(feature = "object")]
mod object;
mod output;
#[cfg(feature = "parquet")]
mod parquet;
mod pipe;
mod publish;
mod rows;
mod work;

#[cfg(feature = "object")]
pub use crate::object::{AbortUploads, ObjectSink};
pub use crate::{
    file::{DEFAULT_MAX_PART_BYTES, FileSink},
    format::{Compression, OutputFormat, OutputKind},
    merge::{MAX_ROW_BYTES, merge},
    pipe::PipeSink,
};
