//! The core of Harvestman: what a job is made of, and the driver that runs it.

pub mod address;
pub mod checkpoint;
#[cfg(feature = "jobs")]
mod clock;
mod code;
mod courier;
mod driver;
#[cfg(feature = "jobs")]
pub mod engine;
mod error;
mod errored;
mod extractor;
mod fetcher;
#[cfg(feature = "jobs")]
pub mod id;
pub mod job;
mod line;
mod lock;
mod meter;
mod page;
pub mod params;
mod progress;
mod record;
#[cfg(feature = "jobs")]
mod refusal;
pub mod schema;
#[cfg(feature = "jobs")]
pub mod seal;
pub mod shared;
mod sink;
mod source;
#[cfg(feature = "jobs")]
pub mod spec;
#[cfg(feature = "jobs")]
pub mod store;
mod task;
#[cfg(feature = "testing")]
#[expect(clippy::unwrap_used, reason = "a suite panics with what it finds")]
pub mod testing;
#[cfg(feature = "jobs")]
pub mod webhook;
mod writer;

pub use crate::{
    checkpoint::{Checkpoint, CheckpointStore, FileStore, MemoryStore},
    code::{Code, UnknownCode},
    courier::{Courier, CourierAnswer, CourierError, CourierRequest},
    driver::{Ending, RetryPolicy, StopReason},
    error::{BoxError, Error, Result, reason},
    errored::{Errored, MAX_MESSAGE_BYTES},
    extractor::{ExtractStatus, Extractor, FieldMeta, Fields, WholePage},
    fetcher::{Admission, FetchError, Fetcher},
    job::{Job, JobHandle, Report, Stopper},
    line::{Line, LineReader, MAX_EXCERPT_BYTES, TaskFields, excerpt},
    meter::{Free, Meter, RateCard},
    page::Page,
    params::Params,
    progress::{HostProgress, MAX_SLOWEST_HOSTS, Phase, Progress},
    record::Record,
    schema::{ExtractOptions, Field, Kind, Schema},
    shared::{HostLimits, Load, Shared, SharedLimits},
    sink::{Part, Sink, SinkState, SinkWriter},
    source::{Source, SourceState},
    task::{MAX_URL_BYTES, Task},
};
#[cfg(feature = "jobs")]
pub use crate::{
    clock::Clock,
    engine::{Engine, Workspace},
    refusal::{Refusal, RefusalCode, RequestError},
    spec::JobSpec,
};
