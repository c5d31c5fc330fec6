//! Ends and lives: suspended, cancelled, crashed, and taken up again.

use std::sync::Arc;

use harvestman_engine::{
    Code, Ending, Job, MemoryStore, Phase, Report, RetryPolicy, StopReason,
    params::RetryParams,
    testing::{MemorySink, Reply, ScriptedFetcher},
};
use proptest::prelude::*;
use tokio::time::Instant;

use crate::{assert_complete, indices, ms, source};

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
