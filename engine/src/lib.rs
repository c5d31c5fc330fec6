//! The core of Harvestman: what a job is made of, and the driver that runs it.

pub mod address;
pub mod checkpoint;
mod code;
mod driver;
mod error;
mod errored;
mod extractor;
mod fetcher;
pub mod job;
mod line;
mod meter;
mod page;
pub mod params;
mod progress;
mod record;
pub mod schema;
pub mod shared;
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
    driver::{Ending, RetryPolicy, StopReason},
    error::{BoxError, Error, Result},
    errored::{Errored, MAX_MESSAGE_BYTES},
    extractor::{Extractor, Fields, WholePage},
    fetcher::{FetchError, Fetcher},
    job::{Job, JobHandle, Report, Stopper},
    line::{Line, LineReader, MAX_EXCERPT_BYTES, TaskFields, excerpt},
    meter::{Free, Meter, RateCard},
    page::Page,
    params::Params,
    progress::{HostProgress, MAX_SLOWEST_HOSTS, Phase, Progress},
    record::Record,
    schema::{Field, Kind, Schema},
    shared::{HostLimits, Shared, SharedLimits},
    sink::{Part, Sink, SinkState, SinkWriter},
    source::Source,
    task::{MAX_URL_BYTES, Task},
};
