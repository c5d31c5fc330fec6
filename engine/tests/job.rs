//! The promises of a job, with scripted parts and paused time.
#![expect(clippy::unwrap_used, reason = "a test panics with what it finds")]

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::{StreamExt, stream, stream::BoxStream};
use harvestman_engine::{
    Admission, Checkpoint, CheckpointStore, Code, Ending, Error, Errored, Extractor, FetchError,
    Fetcher, Fields, HostLimits, Job, MAX_SLOWEST_HOSTS, MemoryStore, Page, Params, Part, Phase,
    Record, Report, Result, RetryPolicy, Sink, SinkState, SinkWriter, Source, SourceState,
    StopReason, Task,
    checkpoint::{MAX_ERRORED_A_COMMIT, MAX_ERRORED_BYTES_A_COMMIT},
    params::RetryParams,
    testing::{ListSource, MemorySink, Reply, ScriptedFetcher, source_conformance},
};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::time::Instant;

const NOW: Duration = Duration::ZERO;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// `count` tasks spread evenly over `hosts` hosts.
fn source(count: u64, hosts: u64) -> Arc<ListSource> {
    Arc::new(ListSource::new((0..count).map(|index| format!("http://h{}.test/", index % hosts))))
}

fn indices(sink: &MemorySink) -> Vec<u64> {
    let index = |line: String| serde_json::from_str::<Value>(&line).unwrap()["index"].as_u64();
    let mut indices: Vec<_> = sink.lines().into_iter().map(|line| index(line).unwrap()).collect();
    indices.sort_unstable();
    indices
}

fn assert_complete(sink: &MemorySink, count: u64) {
    assert_eq!(indices(sink), (0..count).collect::<Vec<_>>(), "every task has one record");
}

#[tokio::test(start_paused = true)]
async fn every_task_ends_in_one_record_whatever_happens_to_it() {
    let urls = (0..60).map(|index| match index % 6 {
        5 => "nonsense".to_owned(),
        host => format!("http://h{host}.test/"),
    });
    let fetcher = ScriptedFetcher::new(|task, attempt| match (task.index() % 6, attempt) {
        (1, _) => Reply::Panic,
        (2, 1 | 2) => Reply::Fail(Code::Target5xx, ms(1)),
        (3, _) => Reply::Fail(Code::Target4xx, ms(1)),
        (4, _) => Reply::Hang,
        _ => Reply::Page(ms(10)),
    });
    let sink = MemorySink::new();
    let params = Params::new().with_timeout(ms(1_000));
    let source = ListSource::new(urls).with_params(params);
    let job = Job::new(Arc::new(source), fetcher.clone(), Arc::new(sink.clone()));
    let report = job.spawn().wait().await.unwrap();

    assert_eq!(report.ending, Ending::Completed);
    assert_complete(&sink, 60);
    assert_eq!(report.counters.ok, 20);
    let expected = [
        (Code::InvalidUrl, 10),
        (Code::Timeout, 10),
        (Code::Target4xx, 10),
        (Code::PluginPanic, 10),
    ];
    assert_eq!(report.counters.by_code, BTreeMap::from(expected));
    // 0: one try, 1: one, 2: three, 3: one, 4: three, 5: none.
    assert_eq!(report.counters.attempts, 10 * (1 + 1 + 3 + 1 + 3));
    assert_eq!(fetcher.log().len(), 90);
    assert_eq!(report.skipped(), Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_pauses_the_whole_host_and_no_other() {
    // Host 0 asks for a pause of 5 s at its first request.
    let fetcher = ScriptedFetcher::new(|task, attempt| match (task.index(), attempt) {
        (0, 1) => Reply::SlowDown(ms(5_000)),
        _ => Reply::Page(ms(10)),
    });
    let sink = MemorySink::new();
    let begun = Instant::now();
    let job = Job::new(source(400, 4), fetcher.clone(), Arc::new(sink.clone()));
    job.with_concurrency(1).spawn().wait().await.unwrap();

    assert_complete(&sink, 400);
    let log = fetcher.log();
    let early = log.iter().skip(1).filter(|(index, at)| index % 4 == 0 && *at < begun + ms(5_000));
    assert_eq!(early.count(), 0, "requests to the paused host before its time");
    let others = log.iter().filter(|(index, _)| index % 4 != 0).map(|(_, at)| *at).max().unwrap();
    assert!(others < begun + ms(4_000), "the others went on: {:?}", others - begun);
    assert!(begun.elapsed() < ms(8_000));
}

#[tokio::test(start_paused = true)]
async fn a_tar_pit_gets_its_share_of_the_slots_and_no_more() {
    let fetcher = ScriptedFetcher::new(|task, _| match task.index() % 100 {
        0 => Reply::Hang,
        _ => Reply::Page(ms(100)),
    });
    let sink = MemorySink::new();
    let params = Params::new().with_retry(RetryParams::never());
    let urls = (0..10_000).map(|index| format!("http://h{}.test/", index % 100));
    let source = Arc::new(ListSource::new(urls).with_params(params));
    let begun = Instant::now();
    let job = Job::new(source, fetcher.clone(), Arc::new(sink.clone())).with_concurrency(64);
    job.spawn().wait().await.unwrap();

    let last = fetcher.log().iter().filter(|(index, _)| index % 100 != 0).map(|(_, at)| *at).max();
    let ideal = ms(100) * 9_900 / 64;
    let taken = last.unwrap() - begun;
    assert!(taken < ideal.mul_f64(1.1), "{taken:?} instead of {ideal:?}");
    assert_complete(&sink, 10_000);
}

#[tokio::test(start_paused = true)]
async fn a_single_host_gets_the_whole_concurrency() {
    let fetcher = ScriptedFetcher::new(|_, _| Reply::Page(ms(100)));
    let sink = MemorySink::new();
    let begun = Instant::now();
    let job = Job::new(source(10_000, 1), fetcher, Arc::new(sink)).with_concurrency(100);
    job.spawn().wait().await.unwrap();
    assert!(begun.elapsed() < ms(100 * 100 + 500), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn host_limits_hold() {
    let fetcher = ScriptedFetcher::new(|_, _| Reply::Page(ms(100)));
    let limits = HostLimits::default().with_per_second(5.0);
    let begun = Instant::now();
    let job = Job::new(source(40, 2), fetcher.clone(), Arc::new(MemorySink::new()));
    job.with_hosts(limits).spawn().wait().await.unwrap();
    // 20 requests a host, 200 ms apart.
    assert!((ms(3_700)..ms(4_200)).contains(&begun.elapsed()), "{:?}", begun.elapsed());

    let limits = HostLimits::default().with_concurrency(3);
    let begun = Instant::now();
    let job = Job::new(source(60, 2), fetcher, Arc::new(MemorySink::new()));
    job.with_hosts(limits).spawn().wait().await.unwrap();
    assert!((ms(1_000)..ms(1_400)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}

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

#[tokio::test(start_paused = true)]
async fn a_suspended_job_goes_on_and_a_finished_one_stays_finished() {
    let (store, sink) = (Arc::new(MemoryStore::new()), MemorySink::new());
    let fetcher = ScriptedFetcher::new(|_, _| Reply::Page(ms(100)));
    let job = || {
        let job = Job::new(source(1_000, 3), fetcher.clone(), Arc::new(sink.clone()));
        job.with_store(store.clone()).with_concurrency(10)
    };
    let first = job().spawn();
    tokio::time::sleep(ms(2_050)).await;
    first.suspend();
    tokio::time::sleep(ms(1)).await;
    assert_eq!(first.progress().phase, Phase::Draining);
    let report = first.wait().await.unwrap();
    assert_eq!(report.ending, Ending::Suspended);
    assert_eq!(sink.published(), None);
    let done = report.counters.done();
    assert!((100..400).contains(&done), "{done}");
    assert_eq!(fetcher.log().len() as u64, done, "nothing under way was thrown away");

    let second = job().spawn();
    tokio::time::sleep(ms(1)).await;
    assert_eq!(second.progress().resumed, done);
    let report = second.wait().await.unwrap();
    assert_eq!((report.ending, report.counters.ok), (Ending::Completed, 1_000));
    assert_complete(&sink, 1_000);
    assert_eq!(fetcher.log().len(), 1_000);

    let again = job().spawn().wait().await.unwrap();
    assert_eq!(again, report);
    assert_eq!(fetcher.log().len(), 1_000);
}

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

#[tokio::test(start_paused = true)]
async fn a_cancelled_job_completes_its_output_without_the_rest() {
    let sink = MemorySink::new();
    let fetcher = ScriptedFetcher::new(|task, _| match task.index() {
        7 => Reply::Hang,
        8 => Reply::Fail(Code::Target5xx, ms(100)),
        _ => Reply::Page(ms(100)),
    });
    let job = Job::new(source(1_000, 1), fetcher, Arc::new(sink.clone()));
    let job = job.with_concurrency(10).with_grace(ms(3_000)).spawn();
    tokio::time::sleep(ms(1_050)).await;
    job.suspend();
    job.stopper().cancel_for(StopReason::Deadline);
    job.suspend();
    job.cancel();
    let begun = Instant::now();
    let report = job.wait().await.unwrap();
    assert!((ms(2_900)..ms(3_300)).contains(&begun.elapsed()), "the grace is waited out");
    assert_eq!(report.ending, Ending::Cancelled, "a cancel is not taken back");
    assert_eq!(report.reason, Some(StopReason::Deadline), "the first reason counts");
    let done = report.counters.done();
    assert_eq!(report.skipped(), Some(1_000 - done));
    assert_eq!(sink.published().unwrap().len() as u64, done);
    assert!(!indices(&sink).contains(&7), "what was given up is skipped");
}

#[tokio::test(start_paused = true)]
async fn a_job_that_was_cancelled_before_a_crash_only_completes_its_output() {
    let (store, sink) = (Arc::new(MemoryStore::new()), MemorySink::new());
    let fetcher = ScriptedFetcher::new(|_, _| Reply::Page(ms(100)));
    let job = || {
        let job = Job::new(source(100, 1), fetcher.clone(), Arc::new(sink.clone()));
        job.with_store(store.clone()).with_concurrency(4)
    };
    let first = job().spawn();
    tokio::time::sleep(ms(1_550)).await;
    first.abort();
    first.wait().await.unwrap();
    let fetched = fetcher.log().len();

    let again = job().with_stop_requested(StopReason::User).spawn();
    let report = again.wait().await.unwrap();
    assert_eq!(fetcher.log().len(), fetched, "no page is begun");
    assert_eq!((report.ending, report.reason), (Ending::Cancelled, Some(StopReason::User)));
    assert!((1..100).contains(&report.counters.ok), "{:?}", report.counters);
    assert_eq!(sink.published().unwrap().len() as u64, report.counters.ok);
    assert_eq!(job().spawn().wait().await.unwrap(), report, "the reason is kept");
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

/// An extractor that panics for some tasks and never ends for others.
#[derive(Debug)]
struct Wild;

#[async_trait]
impl Extractor for Wild {
    async fn extract(&self, task: &Task, _page: &Page) -> Result<Fields, FetchError> {
        match task.index() % 3 {
            0 => panic!("as told"),
            1 => std::future::pending().await,
            _ => Ok(Fields::default()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_extractor_costs_its_task_at_most() {
    let fetcher = ScriptedFetcher::new(|_, _| Reply::Page(NOW));
    let sink = MemorySink::new();
    let job = Job::new(source(30, 1), fetcher.clone(), Arc::new(sink.clone()));
    let report = job.with_extractor(Arc::new(Wild)).spawn().wait().await.unwrap();
    let expected = BTreeMap::from([(Code::PluginPanic, 10), (Code::ExtractFailed, 10)]);
    assert_eq!((report.counters.ok, report.counters.by_code), (10, expected));
    assert_eq!(fetcher.log().len(), 30, "an extraction is not tried again");
    assert_complete(&sink, 30);
}

#[tokio::test(start_paused = true)]
async fn the_eta_knows_the_slowest_host() {
    // Host 0 takes ten times as long, and both have as many tasks.
    let fetcher = ScriptedFetcher::new(|task, _| match task.index() % 2 {
        0 => Reply::Page(ms(1_000)),
        _ => Reply::Page(ms(100)),
    });
    let limits = HostLimits::default().with_concurrency(1);
    let job = Job::new(source(400, 2), fetcher, Arc::new(MemorySink::new()));
    let job = job.with_hosts(limits).spawn();
    tokio::time::sleep(ms(10_100)).await;
    let progress = job.progress();
    assert_eq!(progress.total, Some(400));
    let eta = progress.eta.unwrap().as_secs_f64();
    assert!((150.0..230.0).contains(&eta), "{eta} s for 190 pages of one second");
    assert!((5.0..12.0).contains(&progress.rate.unwrap()), "{:?}", progress.rate);
    let hosts: Vec<_> = progress.slowest_hosts.iter().map(|host| &*host.host).collect();
    assert_eq!(hosts, ["h0.test", "h1.test"]);
    let slow = &progress.slowest_hosts[0];
    assert_eq!((slow.in_flight, slow.paused_for), (1, None));
    assert!((190..193).contains(&slow.remaining), "{slow:?}");
    assert!((0.8..1.2).contains(&slow.per_second.unwrap()), "{slow:?}");
    assert_eq!(slow.eta, progress.eta);
    job.abort();
}

#[tokio::test(start_paused = true)]
async fn a_paused_host_is_among_the_slowest() {
    let fetcher = ScriptedFetcher::new(|task, attempt| match (task.index(), attempt) {
        (0, 1) => Reply::SlowDown(ms(60_000)),
        _ => Reply::Page(ms(100)),
    });
    let job = Job::new(source(2_000, 20), fetcher, Arc::new(MemorySink::new()));
    let job = job.with_concurrency(4).spawn();
    tokio::time::sleep(ms(5_100)).await;
    let hosts = job.progress().slowest_hosts;
    assert_eq!(hosts.len(), MAX_SLOWEST_HOSTS);
    assert_eq!((&*hosts[0].host, hosts[0].remaining, hosts[0].in_flight), ("h0.test", 100, 0));
    assert!((ms(54_000)..ms(56_000)).contains(&hosts[0].paused_for.unwrap()), "{:?}", hosts[0]);
    assert!(hosts.windows(2).all(|pair| pair[0].eta >= pair[1].eta));
    job.abort();
}

#[tokio::test(start_paused = true)]
async fn a_retry_waits_outside_the_slots() {
    let fetcher = ScriptedFetcher::new(|task, attempt| {
        match ((task.index() + task.index() / 200) % 20, attempt) {
            // One task of each host.
            (0, 1) => Reply::SlowDown(ms(1_000)),
            _ => Reply::Page(ms(5)),
        }
    });
    let begun = Instant::now();
    let job = Job::new(source(4_000, 200), fetcher, Arc::new(MemorySink::new()));
    job.with_concurrency(10).spawn().wait().await.unwrap();
    // 4,000 × 5 ms ÷ 10, and inside the slots it would be 200 × 1 s ÷ 10 on top.
    assert!(begun.elapsed() < ms(5_000), "{:?}", begun.elapsed());
}

/// Runs a job that is killed after each of these times, then to its end.
async fn run_with_crashes(crashes: &[u64], hosts: u64, suspend: bool) -> (MemorySink, Report) {
    let (store, sink) = (Arc::new(MemoryStore::new()), MemorySink::new());
    let fetcher = ScriptedFetcher::new(|task, attempt| match (task.index() % 10, attempt) {
        (3, 1) => Reply::Fail(Code::Target5xx, ms(5)),
        (4, 1) => Reply::SlowDown(ms(300)),
        _ => Reply::Page(ms(10 + task.index() * 7 % 90)),
    });
    let job = || {
        let job = Job::new(source(600, hosts), fetcher.clone(), Arc::new(sink.clone()));
        let retry = RetryPolicy::default().with_params(RetryParams::up_to(5));
        job.with_store(store.clone()).with_concurrency(8).with_retry(retry)
    };
    for &after in crashes {
        let running = job().spawn();
        tokio::time::sleep(ms(after)).await;
        if suspend {
            running.suspend();
        } else {
            running.abort();
        }
        running.wait().await.unwrap();
    }
    let report = job().spawn().wait().await.unwrap();
    (sink, report)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn crashes_and_suspends_lose_and_repeat_nothing(
        crashes in prop::collection::vec(0_u64..3_000, 0..6),
        hosts in 1_u64..20,
        suspend: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_time().start_paused(true).build().unwrap();
        let (sink, report) = runtime.block_on(run_with_crashes(&crashes, hosts, suspend));
        assert_complete(&sink, 600);
        prop_assert_eq!(report.counters.ok, 600);
        prop_assert_eq!(report.ending, Ending::Completed);
    }
}

/// A fetcher with room for one page, which takes most of a task's time.
#[derive(Debug)]
struct Scarce(Arc<tokio::sync::Semaphore>);

#[async_trait]
impl Fetcher for Scarce {
    async fn fetch(&self, task: &Task) -> std::result::Result<Page, FetchError> {
        assert_eq!(self.0.available_permits(), 0, "the attempt was let in");
        tokio::time::sleep(ms(800)).await;
        Ok(Page::new(task.target().unwrap().clone(), "x"))
    }

    async fn admit(&self, _task: &Task) -> Admission {
        Admission::holding(Arc::clone(&self.0).acquire_owned().await.unwrap())
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_for_room_does_not_count_against_the_deadline() {
    let sink = MemorySink::new();
    let list = ListSource::new((0..20).map(|index| format!("http://h{index}.test/")));
    let list = list.with_params(Params::new().with_timeout(ms(1_000)));
    let room = Arc::new(tokio::sync::Semaphore::new(1));
    let fetcher = Arc::new(Scarce(Arc::clone(&room)));
    let report =
        Job::new(Arc::new(list), fetcher, Arc::new(sink.clone())).spawn().wait().await.unwrap();
    assert_eq!(report.counters.ok, 20, "{:?}", report.counters);
    assert_eq!(report.counters.attempts, 20);
    assert_eq!(room.available_permits(), 1, "the room is given back");
}
