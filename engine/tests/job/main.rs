//! The promises of a job, with scripted parts and paused time.
#![expect(clippy::unwrap_used, reason = "a test panics with what it finds")]

mod attempts;
mod endings;
mod flow;
mod hosts;
mod sinks;
mod sources;

use std::{sync::Arc, time::Duration};

use harvestman_engine::testing::{ListSource, MemorySink};
use serde_json::Value;

pub(crate) const NOW: Duration = Duration::ZERO;

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// `count` tasks spread evenly over `hosts` hosts.
pub(crate) fn source(count: u64, hosts: u64) -> Arc<ListSource> {
    Arc::new(ListSource::new((0..count).map(|index| format!("http://h{}.test/", index % hosts))))
}

pub(crate) fn indices(sink: &MemorySink) -> Vec<u64> {
    let index = |line: String| serde_json::from_str::<Value>(&line).unwrap()["index"].as_u64();
    let mut indices: Vec<_> = sink.lines().into_iter().map(|line| index(line).unwrap()).collect();
    indices.sort_unstable();
    indices
}

pub(crate) fn assert_complete(sink: &MemorySink, count: u64) {
    assert_eq!(indices(sink), (0..count).collect::<Vec<_>>(), "every task has one record");
}
