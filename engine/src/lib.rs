//! The core of Harvestman: what a job is made of, and the driver that runs it.

pub mod address;
mod budget;
pub mod checkpoint;
mod code;
mod error;
mod extractor;
mod fetcher;
mod line;
mod page;
pub mod params;
mod record;
pub mod schema;
mod sink;
mod source;
mod task;
#[cfg(feature = "testing")]
#[expect(clippy::unwrap_used, reason = "a suite panics with what it finds")]
pub mod testing;

pub use crate::{
    checkpoint::{Checkpoint, CheckpointStore, FileStore, MemoryStore},
    code::{Code, UnknownCode},
    error::{BoxError, Error, Result},
    extractor::{Extractor, Fields, WholePage},
    fetcher::{FetchError, Fetcher},
    line::{Line, LineReader, MAX_EXCERPT_BYTES, TaskFields, excerpt},
    page::Page,
    params::Params,
    record::Record,
    schema::{Field, Kind, Schema},
    sink::{Part, Sink, SinkState, SinkWriter},
    source::Source,
    task::{MAX_URL_BYTES, Task},
};
