//! The core of Harvestman: what a job is made of, and the driver that runs it.

pub mod address;
mod budget;
pub mod checkpoint;
mod code;
mod driver;
mod error;
mod extractor;
mod fetcher;
pub mod job;
mod line;
mod page;
pub mod params;
mod progress;
mod record;
pub mod schema;
mod sink;
mod source;
mod task;
#[cfg(feature = "testing")]
#[expect(clippy::unwrap_used, reason = "a suite panics with what it finds")]
pub mod testing;
mod writer;

pub use crate::{
    checkpoint::{Checkpoint, CheckpointStore, FileStore, MemoryStore},
    code::{Code, UnknownCode},
    driver::{Ending, HostLimits, RetryPolicy},
    error::{BoxError, Error, Result},
    extractor::{ExtractStatus, Extractor, FieldMeta, Fields, WholePage},
    fetcher::{FetchError, Fetcher},
    job::{Job, JobHandle, Report, Stopper},
    line::{Line, LineReader, MAX_EXCERPT_BYTES, TaskFields, excerpt},
    page::Page,
    params::Params,
    progress::{Phase, Progress},
    record::Record,
    schema::{ExtractOptions, Field, Kind, Schema},
    sink::{Part, Sink, SinkState, SinkWriter},
    source::Source,
    task::{MAX_URL_BYTES, Task},
};
