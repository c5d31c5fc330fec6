//! Backpressure: how far ahead is read, slow sinks, large pages.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use harvestman_engine::{
    Ending, FetchError, Job, Page, Part, Record, Result, Sink, SinkState, SinkWriter, Source, Task,
    testing::{ListSource, MemorySink, Reply, ScriptedFetcher},
};
use serde_json::json;

use crate::{ms, source};

/// A source that counts what is taken from it.
#[derive(Debug)]
struct Counted {
    inner: Arc<ListSource>,
    taken: Arc<AtomicUsize>,
}

impl Source for Counted {
    fn open(&self, from: u64) -> BoxStream<'static, Result<Task>> {
        let taken = Arc::clone(&self.taken);
        let count = move |_: &Result<Task>| {
            taken.fetch_add(1, Ordering::Relaxed);
        };
        self.inner.open(from).inspect(count).boxed()
    }

    fn total(&self) -> Option<u64> {
        None
    }
}

#[tokio::test(start_paused = true)]
async fn the_source_is_read_only_so_far_ahead() {
    let taken = Arc::new(AtomicUsize::new(0));
    let source = Counted { inner: source(100_000, 10), taken: Arc::clone(&taken) };
    let fetcher = ScriptedFetcher::new(|_, _| Reply::Hang);
    let job = Job::new(Arc::new(source), fetcher.clone(), Arc::new(MemorySink::new()));
    let job = job.with_look_ahead(1_000).with_concurrency(10).spawn();
    tokio::time::sleep(ms(5_000)).await;
    let taken = taken.load(Ordering::Relaxed);
    assert!((1_000..1_256).contains(&taken), "{taken}");
    assert_eq!(job.progress().total, None);
    job.abort();
    assert_eq!(job.wait().await.unwrap().ending, Ending::Aborted);
}

/// A sink that takes nothing until it is allowed to.
#[derive(Debug)]
struct Stuck(Arc<tokio::sync::Semaphore>);

#[async_trait]
impl Sink for Stuck {
    async fn open(&self, _resume: Option<&SinkState>) -> Result<Box<dyn SinkWriter>> {
        Ok(Box::new(Self(Arc::clone(&self.0))))
    }
}

#[async_trait]
impl SinkWriter for Stuck {
    async fn write(&mut self, records: Vec<Record>) -> Result<()> {
        let _permit = self.0.acquire().await.unwrap();
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

#[tokio::test(start_paused = true)]
async fn a_stuck_sink_stops_the_fetching_and_then_the_reading() {
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let taken = Arc::new(AtomicUsize::new(0));
    let source = Counted { inner: source(100_000, 1), taken: Arc::clone(&taken) };
    let fetcher = ScriptedFetcher::new(|_, _| Reply::Page(ms(1)));
    let job = Job::new(Arc::new(source), fetcher.clone(), Arc::new(Stuck(Arc::clone(&gate))));
    let job = job.with_look_ahead(500).with_concurrency(16).spawn();
    tokio::time::sleep(ms(60_000)).await;
    let fetched = fetcher.log().len();
    assert!(fetched < 3_000, "{fetched} pages fetched");
    assert!(taken.load(Ordering::Relaxed) < fetched + 800);
    gate.add_permits(1);
    let report = job.wait().await.unwrap();
    assert_eq!(report.counters.ok, 100_000);
}

#[tokio::test(start_paused = true)]
async fn pages_in_memory_are_bounded_in_bytes() {
    /// Pages of 100 KiB, and how many there were.
    #[derive(Debug, Default)]
    struct Big(AtomicUsize);
    #[async_trait]
    impl harvestman_engine::Fetcher for Big {
        async fn fetch(&self, task: &Task) -> Result<Page, FetchError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(Page::new(task.target().expect("valid").clone(), "x".repeat(100 * 1024)))
        }
    }
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let fetcher = Arc::new(Big::default());
    let job = Job::new(source(1_000, 1), fetcher.clone(), Arc::new(Stuck(Arc::clone(&gate))));
    let job = job.with_page_budget(1024 * 1024).with_concurrency(8).spawn();
    tokio::time::sleep(ms(10_000)).await;
    let fetched = fetcher.0.load(Ordering::Relaxed);
    assert!(fetched <= 10 + 8, "{fetched} pages of 100 KiB with a budget of 1 MiB");
    gate.add_permits(1);
    assert_eq!(job.wait().await.unwrap().counters.ok, 1_000);
}
