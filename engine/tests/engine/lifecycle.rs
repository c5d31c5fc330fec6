//! From the submission to each of the ends.

use std::time::Duration;

use futures::StreamExt;
use harvestman_engine::{
    JobSpec, Phase, RefusalCode, StopReason,
    engine::{EngineSettings, JobEvent},
    spec::{FailIf, Input},
    store::{JobQuery, OutputState, Status},
};

use crate::world::{World, assert_consistent, spec};

#[tokio::test(start_paused = true)]
async fn a_job_completes_with_its_figures_and_its_output_in_one() {
    let world = World::new();
    let engine = world.open().await;
    let submitted = engine.submit(spec(&[("/ok", 30), ("/404", 5)])).await.unwrap();
    assert_eq!((submitted.job.status, submitted.job.total), (Status::Queued, Some(35)));
    // 35 × 0.673 s ÷ 32.
    assert_eq!(submitted.eta.unwrap().as_millis(), 736);
    let ended = engine.wait(&submitted.job.id).await.unwrap();
    assert_eq!((ended.job.status, ended.job.reason), (Status::Completed, None));
    assert_eq!((ended.job.counters.ok, ended.job.counters.errored()), (30, 5));
    assert_eq!(ended.job.counters.credits, 30, "errors cost nothing");
    assert_eq!(world.indices(&ended.job.id), (0..35).collect::<Vec<_>>());
    assert_eq!(ended.job.skipped(), Some(0));
    assert!(ended.link.is_some());
    assert_consistent(&ended.job);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_keeps_what_is_done_and_counts_the_rest() {
    let world = World::new();
    let engine = world.open().await;
    let job = spec(&[("/ok", 20), ("/slow", 40)]).with_concurrency(4);
    let id = engine.submit(job).await.unwrap().job.id;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let asked = engine.cancel(&id).await.unwrap();
    assert_eq!((asked.job.status, asked.job.reason), (Status::Running, Some(StopReason::User)));
    let ended = engine.wait(&id).await.unwrap();
    assert_eq!((ended.job.status, ended.job.reason), (Status::Cancelled, Some(StopReason::User)));
    let done = ended.job.counters.done();
    assert!((20..60).contains(&done), "{done}");
    assert_eq!(ended.job.skipped(), Some(60 - done));
    assert_eq!(world.indices(&id).len() as u64, done);
    assert!(world.sink(&id).published().is_some(), "the partial output is there");
    assert_eq!(engine.cancel(&id).await.unwrap().job, ended.job, "it stays as it is");
}

#[tokio::test(start_paused = true)]
async fn attempts_that_outlast_the_grace_are_skipped() {
    let world = World::new();
    let engine = world.open().await;
    let job = spec(&[("/hang", 4)]).with_cancel_grace(Duration::from_secs(3));
    let id = engine.submit(job).await.unwrap().job.id;
    tokio::time::sleep(Duration::from_secs(5)).await;
    engine.cancel(&id).await.unwrap();
    let before = tokio::time::Instant::now();
    let ended = engine.wait(&id).await.unwrap();
    assert!(before.elapsed() < Duration::from_secs(4), "{:?}", before.elapsed());
    assert_eq!((ended.job.status, ended.job.skipped()), (Status::Cancelled, Some(4)));
    assert!(ended.link.is_none() || ended.job.counters.done() == 0);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_cancels_and_keeps() {
    let world = World::new();
    let engine = world.open().await;
    let job = spec(&[("/ok", 5), ("/slow", 30)]).with_concurrency(2);
    let job = job.with_deadline(Duration::from_secs(30));
    let id = engine.submit(job).await.unwrap().job.id;
    let ended = engine.wait(&id).await.unwrap();
    assert_eq!(
        (ended.job.status, ended.job.reason),
        (Status::Cancelled, Some(StopReason::Deadline))
    );
    assert!(ended.job.counters.done() >= 5);
    assert_consistent(&ended.job);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_counts_over_all_lives() {
    let world = World::new();
    let mut engine = world.open().await;
    let job = spec(&[("/slow", 30)]).with_concurrency(1).with_deadline(Duration::from_secs(100));
    let id = engine.submit(job).await.unwrap().job.id;
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_secs(45)).await;
        engine.shutdown().await;
        drop(engine);
        engine = world.open().await;
    }
    let before = tokio::time::Instant::now();
    let ended = engine.wait(&id).await.unwrap();
    assert_eq!(ended.job.reason, Some(StopReason::Deadline));
    assert!(before.elapsed() < Duration::from_secs(45), "{:?}", before.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_budget_is_never_exceeded() {
    let world = World::new();
    let engine = world.open().await;
    let job = spec(&[("/ok", 50), ("/503", 10)]).with_max_credits(17);
    let id = engine.submit(job).await.unwrap().job.id;
    let ended = engine.wait(&id).await.unwrap();
    assert_eq!((ended.job.status, ended.job.reason), (Status::Cancelled, Some(StopReason::Budget)));
    assert_eq!(ended.job.counters.credits, 17);
    let charged: u64 =
        world.records(&id).iter().map(|record| record["credits"].as_u64().unwrap()).sum();
    assert_eq!(charged, 17, "the sum over the file");
}

#[tokio::test(start_paused = true)]
async fn too_many_failures_fail_the_job_and_keep_what_is_done() {
    let world = World::new();
    let engine = world.open().await;
    for paths in [&[("/404", 20), ("/slow", 40)][..], &[("/404", 20), ("/ok", 5)]] {
        let job = spec(paths).with_fail_if(FailIf { error_rate: 0.5, min_done: 10 });
        let id = engine.submit(job.with_concurrency(8)).await.unwrap().job.id;
        let ended = engine.wait(&id).await.unwrap();
        assert_eq!(
            (ended.job.status, ended.job.reason),
            (Status::Failed, Some(StopReason::FailIf))
        );
        assert_eq!(ended.job.problem.as_ref().unwrap().code, "fail_if");
        assert!(world.sink(&id).published().is_some());
        assert_consistent(&ended.job);
    }
}

#[tokio::test(start_paused = true)]
async fn an_inline_list_with_a_bad_url_is_refused() {
    let world = World::new();
    let engine = world.open().await;
    let bad = JobSpec::new(Input::urls(["http://a.test/ok", "nonsense"]));
    let refused = engine.submit(bad).await.unwrap_err();
    assert_eq!(refused.refusal().unwrap().code, RefusalCode::InvalidUrl);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_breaks_fails_the_job_and_what_is_done_can_be_had() {
    let world = World::new();
    let engine = world.open().await;
    let id = engine.submit(spec(&[("/ok", 20), ("/404", 3), ("/break", 1)])).await.unwrap().job.id;
    let ended = engine.wait(&id).await.unwrap();
    assert_eq!((ended.job.status, ended.job.reason), (Status::Failed, None));
    assert_eq!(ended.job.problem.as_ref().unwrap().code, "input_changed");
    assert_eq!((ended.job.counters.done(), ended.job.skipped()), (23, Some(1)));
    assert_eq!(world.indices(&id), (0..23).collect::<Vec<_>>());
    assert!(world.sink(&id).published().is_some() && ended.link.is_some());
    assert_eq!(engine.store().count_events(&id).await.unwrap(), 1);
    let retry = engine.retry(&id).await.unwrap().job;
    assert_eq!(retry.total, Some(3));
}

#[tokio::test(start_paused = true)]
async fn a_watcher_is_told_of_a_change_and_not_kept_longer_than_it_wants() {
    let world = World::new();
    let engine = world.open().await;
    let id = engine.submit(spec(&[("/slow", 2)])).await.unwrap().job.id;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let seen = engine.status(&id).await.unwrap();
    assert_eq!(seen.phase, Some(Phase::Fetching));
    let begun = tokio::time::Instant::now();
    let same = engine.wait_for_change(&id, &seen, Duration::from_secs(5)).await.unwrap();
    assert_eq!((same.job.status, begun.elapsed().as_secs()), (Status::Running, 5));
    let ended = engine.wait_for_change(&id, &seen, Duration::from_mins(5)).await.unwrap();
    assert_ne!((ended.job.status, ended.phase), (seen.job.status, seen.phase));
    assert!(begun.elapsed() < Duration::from_mins(1), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn events_tell_of_progress_and_end_with_the_job() {
    let world = World::new();
    let engine = world.open().await;
    let job = spec(&[("/ok", 10), ("/slow", 2)]).with_concurrency(2);
    let id = engine.submit(job).await.unwrap().job.id;
    let events: Vec<_> = engine.events(&id).await.unwrap().collect().await;
    assert!(events.len() > 3, "{} events", events.len());
    let done: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            JobEvent::Progress(status) => Some(status.job.counters.done()),
            _ => None,
        })
        .collect();
    assert!(done.is_sorted(), "{done:?}");
    assert!(done.iter().any(|done| (1..12).contains(done)), "on the way, too: {done:?}");
    assert!(matches!(events.last(), Some(JobEvent::Ended(end)) if end.job.counters.done() == 12));
    let after: Vec<_> = engine.events(&id).await.unwrap().collect().await;
    assert!(matches!(after.last(), Some(JobEvent::Ended(_))), "of a job that has ended");
}

#[tokio::test(start_paused = true)]
async fn another_workspace_sees_nothing() {
    let world = World::new();
    let engine = world.open().await;
    let other = engine.workspace("other");
    let id = engine.submit(spec(&[("/404", 2)])).await.unwrap().job.id;
    engine.wait(&id).await.unwrap();
    let refused = [
        other.status(&id).await.map(drop),
        other.cancel(&id).await.map(drop),
        other.retry(&id).await.map(drop),
        other.delete_output(&id).await.map(drop),
        other.events(&id).await.map(drop),
        other.wait(&id).await.map(drop),
    ];
    for result in refused {
        let error = result.unwrap_err();
        assert_eq!(error.refusal().unwrap().code, RefusalCode::NotFound, "{error}");
    }
    assert!(other.list(&JobQuery { limit: 10, ..JobQuery::default() }).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_was_kept_long_enough_goes_and_the_failures_stay() {
    let mut settings = EngineSettings::default();
    settings.retention.outputs = Duration::from_hours(1);
    let world = World::with(settings);
    let engine = world.open().await;
    let id = engine.submit(spec(&[("/ok", 3), ("/404", 2)])).await.unwrap().job.id;
    engine.wait(&id).await.unwrap();
    tokio::time::sleep(Duration::from_mins(59)).await;
    assert!(engine.status(&id).await.unwrap().link.is_some());
    tokio::time::sleep(Duration::from_mins(12)).await;
    let status = engine.status(&id).await.unwrap();
    assert_eq!((status.job.output, status.link), (OutputState::Erased, None));
    assert_eq!(world.records(&id), Vec::<serde_json::Value>::new());
    let retry = engine.retry(&id).await.unwrap().job.id;
    assert_eq!(engine.wait(&retry).await.unwrap().job.counters.done(), 2);
}
