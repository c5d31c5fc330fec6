//! Sources: what they are asked and given back, and what their failure costs.

use std::sync::{Arc, Mutex};

use futures::{StreamExt, stream, stream::BoxStream};
use harvestman_engine::{
    CheckpointStore, Error, Job, MemoryStore, Params, Result, Source, SourceState, Task,
    testing::{ListSource, MemorySink, Reply, ScriptedFetcher, source_conformance},
};
use serde_json::{Value, json};

use crate::{assert_complete, indices, ms, source};

/// Tasks with indices of another job, as a retry has them: out of order and far apart.
#[derive(Debug)]
struct Retried(Arc<ListSource>);

impl Source for Retried {
    fn open(&self, from: u64) -> BoxStream<'static, Result<Task>> {
        let retried = |task: Task| {
            let ordinal = task.ordinal();
            let index = 10_000 - 7 * ordinal;
            Task::new(index, "http://a.test/", Params::new()).with_ordinal(ordinal)
        };
        self.0.open(from).map(move |task| task.map(retried)).boxed()
    }

    fn total(&self) -> Option<u64> {
        self.0.total()
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_goes_by_ordinals_and_its_records_by_indices() {
    let (store, sink) = (Arc::new(MemoryStore::new()), MemorySink::new());
    let fetcher = ScriptedFetcher::new(|task, _| Reply::Page(ms(10 + task.index() % 90)));
    let retried = Arc::new(Retried(source(100, 1)));
    source_conformance(&*retried, 100).await;
    for abort_after in [1_500, 2_500, 100_000] {
        let job = Job::new(retried.clone(), fetcher.clone(), Arc::new(sink.clone()));
        let job = job.with_store(store.clone()).with_concurrency(1).spawn();
        let stopper = job.stopper();
        tokio::select! {
            report = job.wait() => drop(report.unwrap()),
            () = tokio::time::sleep(ms(abort_after)) => stopper.abort(),
        }
        tokio::task::yield_now().await;
    }
    let expected: Vec<_> = (0..100).rev().map(|ordinal| 10_000 - 7 * ordinal).collect();
    assert_eq!(indices(&sink), expected);
    let saved = store.load().await.unwrap().unwrap();
    assert_eq!((saved.done.next(), saved.finished.is_some()), (100, true));
}

/// A source that keeps with each checkpoint how far the job had come.
#[derive(Debug)]
struct Marked {
    inner: Arc<ListSource>,
    reopened: Arc<Mutex<Vec<(u64, Value)>>>,
}

impl Source for Marked {
    fn open(&self, from: u64) -> BoxStream<'static, Result<Task>> {
        self.inner.open(from)
    }

    fn total(&self) -> Option<u64> {
        self.inner.total()
    }

    fn state(&self, next: u64) -> Option<SourceState> {
        Some(SourceState(json!({ "next": next })))
    }

    fn reopen(&self, from: u64, state: &SourceState) -> BoxStream<'static, Result<Task>> {
        self.reopened.lock().unwrap().push((from, state.0.clone()));
        self.inner.open(from)
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_source_keeps_is_given_back_to_it() {
    let (store, sink) = (Arc::new(MemoryStore::new()), MemorySink::new());
    let reopened = Arc::default();
    let keeping = Arc::new(Marked { inner: source(300, 1), reopened: Arc::clone(&reopened) });
    let fetcher = ScriptedFetcher::new(|_, _| Reply::Page(ms(100)));
    let mut saved = Vec::new();
    for abort_after in [2_500, 2_500, 100_000] {
        let job = Job::new(keeping.clone(), fetcher.clone(), Arc::new(sink.clone()));
        let job = job.with_store(store.clone()).with_concurrency(5).spawn();
        let stopper = job.stopper();
        tokio::select! {
            report = job.wait() => drop(report.unwrap()),
            () = tokio::time::sleep(ms(abort_after)) => stopper.abort(),
        }
        tokio::task::yield_now().await;
        saved.push(store.load().await.unwrap().unwrap().done.next());
    }
    let kept = |next: &u64| (*next, json!({ "next": next }));
    assert!(saved[0] > 0 && saved[1] > saved[0], "{saved:?}");
    assert_eq!(*reopened.lock().unwrap(), saved[..2].iter().map(kept).collect::<Vec<_>>());
}

#[derive(Debug)]
struct Failing(Box<dyn Source>, Failure);

/// How a source fails after its tasks.
#[derive(Clone, Copy, Debug)]
enum Failure {
    Error,
    Panic,
}

impl Source for Failing {
    fn open(&self, from: u64) -> BoxStream<'static, Result<Task>> {
        let how = self.1;
        let end = stream::once(async move {
            match how {
                Failure::Error => Err(Error::invalid("the source", "is broken")),
                Failure::Panic => panic!("as told"),
            }
        });
        self.0.open(from).chain(end).boxed()
    }

    fn total(&self) -> Option<u64> {
        None
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_source_ends_the_job_and_loses_nothing_written() {
    for (how, message) in
        [(Failure::Error, "the source: is broken"), (Failure::Panic, "source panicked: as told")]
    {
        let (store, sink) = (Arc::new(MemoryStore::new()), MemorySink::new());
        let list = ListSource::new((0..2_000).map(|_| "http://a.test/"));
        let fetcher = ScriptedFetcher::new(|_, _| Reply::Page(ms(10)));
        let broken = Arc::new(Failing(Box::new(list.clone()), how));
        let job = Job::new(broken, fetcher.clone(), Arc::new(sink.clone()));
        let job = job.with_store(store.clone()).with_look_ahead(100);
        let error = job.spawn().wait().await.unwrap_err();
        assert_eq!(error.to_string(), message);
        let saved = store.load().await.unwrap().unwrap();
        assert!(saved.counters.done() > 1_000, "{:?}", saved.counters);

        let mended = Job::new(Arc::new(list), fetcher, Arc::new(sink.clone()));
        mended.with_store(store).spawn().wait().await.unwrap();
        assert_complete(&sink, 2_000);
    }
}
