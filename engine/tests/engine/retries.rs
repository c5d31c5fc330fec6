//! Failures that are tried again by a job of their own.

use harvestman_engine::{
    Code, JobSpec, RefusalCode,
    spec::{Input, RetryFilter},
    store::{ErroredQuery, Status},
};
use serde_json::json;

use crate::world::{World, spec};

#[tokio::test(start_paused = true)]
async fn a_retry_keeps_index_id_metadata_and_overrides() {
    let world = World::new();
    let engine = world.open().await;
    let urls = vec![
        json!("http://a.test/ok"),
        json!({"url": "http://a.test/404", "id": "x", "metadata": {"m": [1]}, "timeout_ms": 5000}),
        json!("http://a.test/ok"),
        json!("http://b.test/503"),
    ];
    let first = engine.submit(JobSpec::new(Input::Urls(urls))).await.unwrap().job.id;
    engine.wait(&first).await.unwrap();
    engine.delete_output(&first).await.unwrap();

    let retry = engine.retry(&first).await.unwrap();
    assert_eq!((retry.job.retry_of(), retry.job.total), (Some(&first), Some(2)));
    let ended = engine.wait(&retry.job.id).await.unwrap();
    assert_eq!((ended.job.status, ended.job.counters.errored()), (Status::Completed, 2));
    let records = world.records(&retry.job.id);
    let record = records.iter().find(|record| record["index"] == 1).unwrap();
    assert_eq!((&record["id"], &record["metadata"]), (&json!("x"), &json!({"m": [1]})));
    assert_eq!((&record["url"], &record["line"]), (&json!("http://a.test/404"), &json!(2)));
    assert_eq!(world.indices(&retry.job.id), [1, 3]);

    // A retry of the retry has the same tasks, with the override still known.
    let again = engine.retry(&retry.job.id).await.unwrap().job.id;
    engine.wait(&again).await.unwrap();
    let query = ErroredQuery { limit: 9, ..ErroredQuery::default() };
    let errored = engine.errored(&again, &query).await.unwrap();
    assert_eq!(errored.iter().map(|errored| errored.index).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(errored[0].task["timeout_ms"], json!(5000));
}

#[tokio::test(start_paused = true)]
async fn a_filter_takes_what_it_names() {
    let world = World::new();
    let engine = world.open().await;
    let id = engine.submit(spec(&[("/404", 4), ("/503", 3), ("/ok", 2)])).await.unwrap().job.id;
    engine.wait(&id).await.unwrap();
    for (body, count) in [
        (r#"{"only": {"codes": ["target_5xx"]}}"#, 3),
        (r#"{"only": {"retryable": false}}"#, 4),
        ("", 7),
    ] {
        let spec = engine.retry_spec(&id, body.as_bytes()).await.unwrap();
        let retry = engine.submit(spec).await.unwrap().job;
        assert_eq!(retry.total, Some(count), "{body}");
        assert_eq!(engine.wait(&retry.id).await.unwrap().job.counters.done(), count, "{body}");
    }
    let nothing = RetryFilter { codes: vec![Code::Timeout], retryable: None };
    let input = Input::Errored { job: id.clone(), only: nothing, include_skipped: false };
    let refused = engine.submit(JobSpec::new(input)).await.unwrap_err();
    assert_eq!(refused.refusal().unwrap().code, RefusalCode::NothingToRetry);
    let running = engine.submit(spec(&[("/slow", 2)])).await.unwrap().job.id;
    let refused = engine.retry(&running).await.unwrap_err();
    assert_eq!(refused.refusal().unwrap().code, RefusalCode::JobNotFinished);
}

#[tokio::test(start_paused = true)]
async fn what_a_cancel_skipped_can_come_along() {
    let world = World::new();
    let engine = world.open().await;
    let job = spec(&[("/404", 6), ("/slow", 30)]).with_concurrency(3);
    let first = engine.submit(job).await.unwrap().job.id;
    tokio::time::sleep(std::time::Duration::from_secs(25)).await;
    engine.cancel(&first).await.unwrap();
    let ended = engine.wait(&first).await.unwrap();
    let skipped = ended.job.skipped().unwrap();
    assert!(skipped > 0);
    let body = br#"{"include_skipped": true}"#;
    let spec = engine.retry_spec(&first, body).await.unwrap();
    let retry = engine.submit(spec).await.unwrap().job;
    assert_eq!(retry.total, Some(6 + skipped));
    let retried = engine.wait(&retry.id).await.unwrap();
    assert_eq!(retried.job.counters.done(), 6 + skipped);
    let mut both = [world.indices(&first), world.indices(&retry.id)].concat();
    both.sort_unstable();
    both.dedup();
    assert_eq!(both, (0..36).collect::<Vec<_>>(), "together they are whole");
}
