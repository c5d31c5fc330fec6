//! Conformance suites for every trait, and scripted parts.
//!
//! Every implementation of [`Source`](crate::Source), [`Fetcher`](crate::Fetcher),
//! [`Extractor`](crate::Extractor), [`Sink`](crate::Sink) and
//! [`CheckpointStore`](crate::CheckpointStore) should run its suite: what they check is what the
//! driver relies on. The suites panic with what was expected.

mod extractor;
mod fetcher;
#[cfg(feature = "jobs")]
mod jobs;
mod script;
mod sink;
mod source;
mod store;

#[cfg(feature = "jobs")]
pub use self::jobs::{
    idempotency_conformance, jobs_conformance, keys_conformance, outbox_conformance,
    uploads_conformance,
};
pub use self::{
    extractor::extractor_conformance,
    fetcher::fetcher_conformance,
    script::{ListSource, MemorySink, Reply, ScriptedFetcher},
    sink::{SinkUnderTest, record, sink_conformance},
    source::source_conformance,
    store::store_conformance,
};
