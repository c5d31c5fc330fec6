//! What is written and saved: parts, failures, and a sink that breaks.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use harvestman_engine::{
    Checkpoint, CheckpointStore, Code, Ending, Error, Errored, Job, MemoryStore, Part, Record,
    Result, Sink, SinkState, SinkWriter, Source, StopReason, Task,
    checkpoint::{MAX_ERRORED_A_COMMIT, MAX_ERRORED_BYTES_A_COMMIT},
    testing::{ListSource, MemorySink, Reply, ScriptedFetcher},
};

use crate::{assert_complete, ms, source};

#[tokio::test(start_paused = true)]
async fn parts_can_be_read_while_the_job_runs() {
    let (store, sink) = (Arc::new(MemoryStore::new()), MemorySink::new().with_part_rows(100));
    let fetcher = ScriptedFetcher::new(|_, _| Reply::Page(ms(100)));
    let job = || {
        let job = Job::new(source(1_000, 3), fetcher.clone(), Arc::new(sink.clone()));
        job.with_store(store.clone()).with_concurrency(10)
    };
    let first = job().spawn();
    tokio::time::sleep(ms(4_050)).await;
    let parts = first.progress().parts;
    assert!((2..5).contains(&parts), "{parts}");
    let saved = store.load().await.unwrap().unwrap();
    assert_eq!(saved.parts.len(), parts);
    assert_eq!(saved.parts.iter().map(|part| part.rows).sum::<u64>(), 100 * parts as u64);
    first.abort();
    first.wait().await.unwrap();

    let second = job().spawn();
    let progress = second.watch();
    tokio::time::sleep(ms(1)).await;
    assert_eq!(second.progress().parts, parts);
    let report = second.wait().await.unwrap();
    assert_eq!((progress.borrow().parts, report.parts.len()), (10, 10));
    assert_eq!(report.parts[..parts], saved.parts);
}

/// A store that keeps the errored tasks of every save.
#[derive(Debug, Default)]
struct Keeping {
    inner: MemoryStore,
    saves: Mutex<Vec<Vec<Errored>>>,
}

#[async_trait]
impl CheckpointStore for Keeping {
    async fn load(&self) -> Result<Option<Checkpoint>> {
        self.inner.load().await
    }

    async fn save(&self, checkpoint: &Checkpoint, errored: &[Errored]) -> Result<()> {
        self.saves.lock().unwrap().push(errored.to_vec());
        let so_far: usize = self.saves.lock().unwrap().iter().map(Vec::len).sum();
        assert_eq!(so_far as u64, checkpoint.counters.errored(), "in the records' own commit");
        self.inner.save(checkpoint, errored).await
    }
}

#[tokio::test(start_paused = true)]
async fn errored_tasks_are_saved_with_their_records_through_crashes() {
    let (store, sink) = (Arc::new(Keeping::default()), MemorySink::new());
    let fetcher = ScriptedFetcher::new(|task, _| match task.index() % 3 {
        0 => Reply::Fail(Code::Target4xx, ms(20)),
        _ => Reply::Page(ms(10 + task.index() % 90)),
    });
    for abort_after in [1_500, 2_700, 1_200, 100_000] {
        let job = Job::new(source(1_000, 7), fetcher.clone(), Arc::new(sink.clone()));
        let job = job.with_store(store.clone()).with_concurrency(5).spawn();
        let stopper = job.stopper();
        tokio::select! {
            report = job.wait() => drop(report.unwrap()),
            () = tokio::time::sleep(ms(abort_after)) => stopper.abort(),
        }
        tokio::task::yield_now().await;
    }
    assert_complete(&sink, 1_000);
    let errored = store.saves.lock().unwrap().concat();
    let mut kept: Vec<_> = errored.iter().map(|errored| errored.index).collect();
    kept.sort_unstable();
    assert_eq!(kept, (0..1_000).step_by(3).collect::<Vec<_>>());
    assert!(errored.iter().all(|errored| errored.code == Code::Target4xx && errored.attempts == 1));
}

/// A list that hands out one task at a time.
#[derive(Debug)]
struct SlowList(ListSource);

impl Source for SlowList {
    fn open(&self, from: u64) -> BoxStream<'static, Result<Task>> {
        let after_a_while = async |task| {
            tokio::time::sleep(ms(1)).await;
            task
        };
        self.0.open(from).then(after_a_while).boxed()
    }

    fn total(&self) -> Option<u64> {
        self.0.total()
    }
}

#[tokio::test(start_paused = true)]
async fn no_commit_brings_too_many_errored_tasks() {
    // Of small ones the number is bounded, of large ones the size.
    let (many, large) = (vec!["nonsense".to_owned(); 20_000], vec!["x".repeat(100_000); 500]);
    for (urls, most_bytes) in [(many, 10_000_000), (large, MAX_ERRORED_BYTES_A_COMMIT + 2_000_000)]
    {
        let store = Arc::new(Keeping::default());
        let fetcher = ScriptedFetcher::new(|_, _| Reply::Hang);
        let count = urls.len();
        let list = ListSource::new(urls);
        let source: Arc<dyn Source> =
            if count > 500 { Arc::new(list) } else { Arc::new(SlowList(list)) };
        let job = Job::new(source, fetcher, Arc::new(MemorySink::new())).with_store(store.clone());
        job.spawn().wait().await.unwrap();
        let saves = store.saves.lock().unwrap();
        assert_eq!(saves.iter().map(Vec::len).sum::<usize>(), count);
        for save in saves.iter() {
            assert!(save.len() <= MAX_ERRORED_A_COMMIT, "{}", save.len());
            let urls = save.iter().map(|errored| errored.task["url"].as_str().unwrap().len());
            let bytes = urls.sum::<usize>();
            assert!(bytes <= most_bytes, "{bytes} bytes in {}", save.len());
        }
    }
}

/// A sink whose writer fails at its n-th call, by error or panic.
#[derive(Debug)]
struct Fragile {
    inner: MemorySink,
    fail_at: Arc<Mutex<Option<(usize, bool)>>>,
}

struct FragileWriter {
    inner: Box<dyn SinkWriter>,
    fail_at: Arc<Mutex<Option<(usize, bool)>>>,
}

impl FragileWriter {
    fn step(&self) -> Result<()> {
        let mut fail_at = self.fail_at.lock().unwrap();
        match &mut *fail_at {
            Some((0, panics)) => {
                let panics = *panics;
                *fail_at = None;
                drop(fail_at);
                assert!(!panics, "as told");
                Err(Error::invalid("the sink", "is full"))
            }
            Some((steps, _)) => {
                *steps -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Sink for Fragile {
    async fn open(&self, resume: Option<&SinkState>) -> Result<Box<dyn SinkWriter>> {
        let inner = self.inner.open(resume).await?;
        Ok(Box::new(FragileWriter { inner, fail_at: Arc::clone(&self.fail_at) }))
    }
}

#[async_trait]
impl SinkWriter for FragileWriter {
    async fn write(&mut self, records: Vec<Record>) -> Result<()> {
        self.step()?;
        self.inner.write(records).await
    }

    async fn checkpoint(&mut self) -> Result<SinkState> {
        self.step()?;
        self.inner.checkpoint().await
    }

    fn sealed(&self) -> Vec<Part> {
        self.inner.sealed()
    }

    async fn finish(self: Box<Self>) -> Result<Vec<Part>> {
        self.step()?;
        self.inner.finish().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_sink_ends_the_job_at_once_and_the_same_job_finishes_later() {
    for steps in [0, 1, 5, 40, 200] {
        for panics in [false, true] {
            let (store, inner) = (Arc::new(MemoryStore::new()), MemorySink::new());
            let fail_at = Arc::new(Mutex::new(Some((steps, panics))));
            let fetcher = ScriptedFetcher::new(|task, _| Reply::Page(ms(50 + task.index() % 50)));
            let job = || {
                let sink = Fragile { inner: inner.clone(), fail_at: Arc::clone(&fail_at) };
                let job = Job::new(source(500, 5), fetcher.clone(), Arc::new(sink));
                job.with_store(store.clone()).with_concurrency(8)
            };
            let mut lives = 0;
            loop {
                lives += 1;
                match job().spawn().wait().await {
                    Ok(report) => break assert_eq!(report.counters.ok, 500),
                    Err(Error::Panicked { part: "sink", message }) => {
                        assert!(panics && message == "as told", "{message}");
                    }
                    Err(error) => assert_eq!(error.to_string(), "the sink: is full"),
                }
            }
            assert!(lives <= 2);
            assert_complete(&inner, 500);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_last_record_was_written_has_completed_whatever_was_asked() {
    let store = Arc::new(MemoryStore::new());
    // The writer fails at the end of the output, after the last commit.
    let fail_at = Arc::new(Mutex::new(Some((2, false))));
    let inner = MemorySink::new();
    let job = || {
        let sink = Fragile { inner: inner.clone(), fail_at: Arc::clone(&fail_at) };
        let fetcher = ScriptedFetcher::new(|_, _| Reply::Hang);
        // Lines that can't be used, which all come in one batch.
        let source = Arc::new(ListSource::new(vec!["nonsense"; 20]));
        Job::new(source, fetcher, Arc::new(sink)).with_store(store.clone())
    };
    job().spawn().wait().await.unwrap_err();
    let report = job().with_stop_requested(StopReason::User).spawn().wait().await.unwrap();
    assert_eq!((report.ending, report.reason), (Ending::Completed, None));
    assert_complete(&inner, 20);
}
