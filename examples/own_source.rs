//! How do I feed a job from something of my own: a database, a sitemap, a range of numbers?
//!
//! `cargo run --example own_source`

use std::sync::Arc;

use futures::{StreamExt, stream, stream::BoxStream};
use harvestman::{
    Job, Params, Result, Source, Task,
    testing::{MemorySink, Reply, ScriptedFetcher, source_conformance},
};

/// The pages of a catalogue, by number.
#[derive(Debug)]
struct Catalogue {
    pages: u64,
}

impl Source for Catalogue {
    /// A resumed job opens it in the middle; each opening has to yield the same tasks.
    fn open(&self, from: u64) -> BoxStream<'static, Result<Task>> {
        let params = Arc::new(Params::new());
        let task = move |index: u64| {
            let url = format!("https://catalogue.test/?page={}", index + 1);
            Ok(Task::new(index, &url, params.clone()).with_id(index.to_string()))
        };
        stream::iter((from..self.pages).map(task)).boxed()
    }

    fn total(&self) -> Option<u64> {
        Some(self.pages)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    source_conformance(&Catalogue { pages: 100 }, 100).await;

    let sink = MemorySink::new();
    let fetcher = ScriptedFetcher::new(|_task, _attempt| Reply::Page(std::time::Duration::ZERO));
    let job = Job::new(Arc::new(Catalogue { pages: 100 }), fetcher, Arc::new(sink.clone()));
    let report = job.spawn().wait().await?;
    println!("{} records, the first: {}", report.counters.ok, sink.lines()[0]);
    Ok(())
}
