//! Attempts: every task has one record, whatever its page does.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use harvestman_engine::{
    Admission, Code, Ending, Extractor, FetchError, Fetcher, Fields, Job, Page, Params, Result,
    Task,
    testing::{ListSource, MemorySink, Reply, ScriptedFetcher},
};
use tokio::time::Instant;

use crate::{NOW, assert_complete, ms, source};

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
