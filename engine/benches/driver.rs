//! What the driver costs by itself: a fetcher that does nothing, one thread, several numbers of hosts.
//!
//! `cargo bench -p harvestman-engine --bench driver`

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use harvestman_engine::{
    FetchError, Fetcher, Job, Page, Part, Record, Result, Sink, SinkState, SinkWriter, Task,
    testing::ListSource,
};
use serde_json::json;

const TASKS: usize = 1_000_000;

/// A page without content, at once.
#[derive(Debug)]
struct Nothing;

#[async_trait]
impl Fetcher for Nothing {
    async fn fetch(&self, task: &Task) -> Result<Page, FetchError> {
        let url = task.target().expect("the driver fetches no invalid task").clone();
        Ok(Page::new(url, ""))
    }
}

/// A sink that keeps nothing.
#[derive(Debug)]
struct Void;

#[async_trait]
impl Sink for Void {
    async fn open(&self, _resume: Option<&SinkState>) -> Result<Box<dyn SinkWriter>> {
        Ok(Box::new(Self))
    }
}

#[async_trait]
impl SinkWriter for Void {
    async fn write(&mut self, records: Vec<Record>) -> Result<()> {
        drop(records);
        Ok(())
    }

    async fn checkpoint(&mut self) -> Result<SinkState> {
        Ok(SinkState(json!({})))
    }

    fn sealed(&self) -> Vec<Part> {
        Vec::new()
    }

    async fn finish(self: Box<Self>) -> Result<Vec<Part>> {
        Ok(Vec::new())
    }
}

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    for hosts in [1, 200, 100_000] {
        let urls = (0..TASKS).map(|index| format!("http://h{}.test/p/{index}", index % hosts));
        let source = Arc::new(ListSource::new(urls));
        let begun = Instant::now();
        let report = runtime.block_on(async {
            let job = Job::new(source, Arc::new(Nothing), Arc::new(Void)).with_concurrency(256);
            job.spawn().wait().await
        })?;
        assert_eq!(report.counters.ok, TASKS as u64);
        let per_second = TASKS as f64 / begun.elapsed().as_secs_f64();
        println!("{TASKS} tasks over {hosts:>6} hosts: {per_second:>9.0} tasks/s");
    }
    Ok(())
}
