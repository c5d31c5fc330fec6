//! What a job spends: on ok records only, and never more than it may.
#![expect(clippy::unwrap_used, reason = "a test panics with what it finds")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use harvestman_engine::{
    CheckpointStore, Code, Ending, FetchError, Fetcher, Job, MemoryStore, Meter, Page, Params,
    RateCard, Report, RetryPolicy, StopReason, Task,
    params::{ProxyType, RetryParams},
    testing::{ListSource, MemorySink, Reply, ScriptedFetcher},
};
use proptest::prelude::*;
use serde_json::Value;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn source(count: usize) -> Arc<ListSource> {
    Arc::new(ListSource::new((0..count).map(|index| format!("http://h{}.test/", index % 5))))
}

/// The credits in the output.
fn charged(sink: &MemorySink) -> u64 {
    let credits = |line: String| serde_json::from_str::<Value>(&line).unwrap()["credits"].as_u64();
    sink.lines().into_iter().map(|line| credits(line).unwrap()).sum()
}

/// Prices by index.
#[derive(Debug)]
struct Prices(Vec<u64>);

impl Meter for Prices {
    fn price(&self, task: &Task) -> u64 {
        self.0[task.index() as usize % self.0.len()]
    }
}

#[tokio::test(start_paused = true)]
async fn only_ok_records_are_charged() {
    let fetcher = ScriptedFetcher::new(|task, attempt| match (task.index() % 4, attempt) {
        (0, _) => Reply::Fail(Code::Target4xx, ms(1)),
        (1, 1) => Reply::Fail(Code::Target5xx, ms(1)),
        _ => Reply::Page(ms(1)),
    });
    let (sink, params) = (MemorySink::new(), r#"{"render": true}"#);
    let params: Params = serde_json::from_str(params).unwrap();
    let source = ListSource::new(vec!["http://a.test/"; 40]).with_params(params);
    let job = Job::new(Arc::new(source), fetcher, Arc::new(sink.clone()));
    let job = job.with_meter(Arc::new(RateCard::default())).with_max_credits(90);
    let report = job.spawn().wait().await.unwrap();
    assert_eq!((report.ending, report.counters.ok), (Ending::Completed, 30));
    assert_eq!((report.counters.credits, charged(&sink)), (90, 90));
}

#[tokio::test(start_paused = true)]
async fn a_job_without_a_meter_costs_nothing() {
    let fetcher = ScriptedFetcher::new(|_, _| Reply::Page(ms(1)));
    let job = Job::new(source(10), fetcher, Arc::new(MemorySink::new())).with_max_credits(0);
    let report = job.spawn().wait().await.unwrap();
    assert_eq!((report.ending, report.counters.credits), (Ending::Completed, 0));
}

#[tokio::test(start_paused = true)]
async fn a_job_stops_itself_when_the_next_page_does_not_fit() {
    let fetcher = ScriptedFetcher::new(|_, _| Reply::Page(ms(10)));
    let sink = MemorySink::new();
    let job = Job::new(source(100), fetcher.clone(), Arc::new(sink.clone()));
    let job = job.with_meter(Arc::new(Prices(vec![3]))).with_max_credits(50);
    let report = job.spawn().wait().await.unwrap();
    assert_eq!((report.ending, report.reason), (Ending::Cancelled, Some(StopReason::Budget)));
    assert_eq!((report.counters.ok, report.counters.credits, report.skipped()), (16, 48, Some(84)));
    assert_eq!(sink.published().unwrap().len(), 16);
    assert_eq!(fetcher.log().len(), 16, "no page is fetched that could not be paid for");
}

#[tokio::test(start_paused = true)]
async fn an_error_makes_room_and_a_retry_waits_for_it() {
    // Room for one page at a time. The first one fails for good, the second at its first try.
    let fetcher = ScriptedFetcher::new(|task, attempt| match (task.index(), attempt) {
        (0, _) => Reply::Fail(Code::Target4xx, ms(50)),
        (1, 1) => Reply::SlowDown(ms(60_000)),
        _ => Reply::Page(ms(50)),
    });
    let job = Job::new(source(3), fetcher.clone(), Arc::new(MemorySink::new()));
    let job = job.with_meter(Arc::new(Prices(vec![5]))).with_max_credits(9).spawn();
    let report = job.wait().await.unwrap();
    assert_eq!((report.ending, report.reason), (Ending::Cancelled, Some(StopReason::Budget)));
    assert_eq!((report.counters.ok, report.counters.errored()), (1, 1));
    let order: Vec<_> = fetcher.log().iter().map(|(index, _)| *index).collect();
    assert_eq!(
        order,
        [0, 1, 2],
        "task 2 does not wait for the retry of task 1, which finds no room"
    );
}

/// Refuses whatever does not come by a residential proxy, and asks for one.
#[derive(Debug)]
struct Picky;

#[async_trait]
impl Fetcher for Picky {
    async fn fetch(&self, task: &Task) -> Result<Page, FetchError> {
        let mut means = task.params().clone();
        if means.proxy_type.replace(ProxyType::Residential).is_some() {
            return Ok(Page::new(task.target().unwrap().clone(), ""));
        }
        Err(FetchError::new(Code::Blocked, "no").with_means(means))
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_is_paid_for_by_the_means_that_brought_it() {
    // A page costs 1, by a residential proxy 3.
    for (max, ok, ending) in [(30, 10, Ending::Completed), (20, 6, Ending::Cancelled)] {
        let sink = MemorySink::new();
        let job = Job::new(source(10), Arc::new(Picky), Arc::new(sink.clone()));
        let retry = RetryPolicy::default().with_base(ms(5));
        let job = job.with_meter(Arc::new(RateCard::default())).with_max_credits(max);
        let report = job.with_retry(retry).spawn().wait().await.unwrap();
        assert_eq!((report.ending, report.counters.ok), (ending, ok));
        assert_eq!((report.counters.credits, charged(&sink)), (3 * ok, 3 * ok));
    }
}

/// Watches what is reserved and spent in one life, over a script of failures.
#[derive(Debug)]
struct Watched {
    prices: Vec<u64>,
    max: u64,
    owed: AtomicU64,
}

#[async_trait]
impl Fetcher for Watched {
    async fn fetch(&self, task: &Task) -> Result<Page, FetchError> {
        let price = self.prices[task.index() as usize % self.prices.len()];
        let owed = self.owed.fetch_add(price, Ordering::Relaxed) + price;
        assert!(owed <= self.max, "{owed} reserved and spent of {}", self.max);
        tokio::time::sleep(ms(20 + task.index() * 13 % 70)).await;
        match task.index() % 7 {
            3 => {
                self.owed.fetch_sub(price, Ordering::Relaxed);
                Err(FetchError::new(Code::Target5xx, "as told"))
            }
            _ => Ok(Page::new(task.target().unwrap().clone(), "")),
        }
    }
}

async fn run_with_crashes(prices: &[u64], max: u64, crashes: &[u64]) -> (MemorySink, Report) {
    let (store, sink) = (Arc::new(MemoryStore::new()), MemorySink::new());
    let retry = RetryPolicy::default().with_params(RetryParams::up_to(1));
    for &after in crashes.iter().chain([&u64::MAX]) {
        let saved = store.load().await.unwrap();
        let spent = saved.map(|saved| saved.counters.credits).unwrap_or_default();
        let fetcher = Watched { prices: prices.to_vec(), max, owed: AtomicU64::new(spent) };
        let job = Job::new(source(200), Arc::new(fetcher), Arc::new(sink.clone()));
        let job = job.with_store(store.clone()).with_concurrency(8).with_retry(retry.clone());
        let job = job.with_meter(Arc::new(Prices(prices.to_vec()))).with_max_credits(max).spawn();
        let stopper = job.stopper();
        let wait = job.wait();
        tokio::pin!(wait);
        if let Ok(report) = tokio::time::timeout(ms(after.min(1 << 30)), &mut wait).await {
            return (sink, report.unwrap());
        }
        stopper.abort();
        wait.await.unwrap();
    }
    unreachable!("the last life has all the time that it needs")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn the_maximum_is_never_exceeded_and_used_as_far_as_it_goes(
        prices in prop::collection::vec(0_u64..9, 1..6),
        max in 0_u64..700,
        crashes in prop::collection::vec(0_u64..3_000, 0..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_time().start_paused(true).build().unwrap();
        let (sink, report) = runtime.block_on(run_with_crashes(&prices, max, &crashes));
        prop_assert_eq!(report.counters.credits, charged(&sink));
        prop_assert!(report.counters.credits <= max);
        prop_assert!(!report.counters.by_code.contains_key(&Code::PluginPanic), "{:?}", report);
        if report.ending == Ending::Completed {
            prop_assert_eq!(report.counters.done(), 200);
        } else {
            prop_assert_eq!(report.reason, Some(StopReason::Budget));
            let dearest = prices.iter().max().unwrap();
            prop_assert!(report.counters.credits + dearest > max, "stopped too early");
        }
    }
}
