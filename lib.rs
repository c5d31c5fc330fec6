//! Batch web scraping to embed: a list of URLs in, one file of records out, through crashes and restarts.
//!
//! A [`Job`] takes tasks from a [`Source`], fetches each page with a [`Fetcher`], finds the fields
//! that are asked for with an [`Extractor`], and writes a [`Record`] for every URL to a [`Sink`].
//! It retries outside its slots, shares them among hosts, holds bounded memory, and with a
//! [`CheckpointStore`] it survives `kill -9`: what is committed is neither lost nor written twice.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use harvestman::{
//!     FileStore, Job, LineReader, Params, Schema,
//!     extractors::Standard,
//!     fetchers::Http,
//!     sinks::{FileSink, OutputFormat},
//!     sources::{FileSource, InputOptions},
//! };
//!
//! # async fn example() -> anyhow::Result<()> {
//! let schema = Arc::new(Schema::from_pairs([("name", "string"), ("price", "number")])?);
//! let reader = LineReader::new(Params::new().with_extract(schema.clone()));
//! let source = FileSource::from_path("urls.csv", reader, &InputOptions::new())?;
//! let format = OutputFormat::detect("products.parquet")?;
//! let sink = FileSink::new("products.parquet", format).with_schema(schema);
//!
//! let job = Job::new(Arc::new(source), Arc::new(Http::new()?), Arc::new(sink))
//!     .with_extractor(Arc::new(Standard::new()))
//!     .with_store(Arc::new(FileStore::open("products.parquet.job")?))
//!     .with_concurrency(32)
//!     .spawn();
//! let report = job.wait().await?;
//! println!("{} ok, {} errors", report.counters.ok, report.counters.errored());
//! # Ok(()) }
//! ```
//!
//! Every part is a trait of one or two methods, and every standard part is behind a feature:
//! - [`sources`] (`sources`): inline lists, text, NDJSON and CSV files, pipes
//! - [`fetchers`] (`http`, `proxies`, `render`): plain HTTP, proxies and sessions, pages in Chromium
//! - [`extractors`] (`extractors`, `llm`): structured data and the page itself, selectors, a language model
//! - [`sinks`] (`sinks`, `csv`, `parquet`, `compression`): resumable files
//! - `storage`, `buckets` (`aws`, `gcp`, `azure`): buckets that lists come from and results go to
//! - [`Engine`] (`jobs`): many jobs over an embedded store, with retries, uploads and webhooks
//! - `testing` (`testing`): conformance suites and scripted parts for tests of own parts

#[cfg(all(feature = "object", any(feature = "sources", feature = "sinks")))]
pub mod buckets;
#[cfg(feature = "jobs")]
mod standard;

pub use harvestman_engine::*;

#[cfg(feature = "extractors")]
pub use harvestman_extractors as extractors;
#[cfg(feature = "http")]
pub use harvestman_fetchers as fetchers;
#[cfg(feature = "sinks")]
pub use harvestman_sinks as sinks;
#[cfg(feature = "sources")]
pub use harvestman_sources as sources;
#[cfg(feature = "object")]
pub use harvestman_storage as storage;

#[cfg(feature = "jobs")]
pub use crate::standard::EngineConfig;
