//! A line to the storage that is cut, delayed and corrupted, and a storage that is overloaded.

use std::{ops::Range, time::Duration};

use futures::StreamExt;
use harvestman::{
    JobSpec,
    engine::{JobEvent, JobStatus},
    spec::{OutputCompression, OutputSpec},
    storage::Storage,
    store::Status,
};
use harvestman_shop::Shop;
use serde_json::Value;

use crate::{
    moto::Moto,
    place::{Place, run, through_buckets, with_fields},
    proxy::Proxy,
    results::records,
};

/// About 15 MB of list and of records, which are parts of one chunk and of several.
const LINES: u32 = 2_400;
const PART_BYTES: u64 = 9 * 1024 * 1024;

/// The seeds of the runs: `HARVESTMAN_RUNS` of them from `HARVESTMAN_SEED` on.
fn seeds() -> Range<u64> {
    let number =
        |name: &str, usual| std::env::var(name).map_or(usual, |said| said.parse().unwrap());
    let first = number("HARVESTMAN_SEED", 1);
    first..first + number("HARVESTMAN_RUNS", 4)
}

/// Each format in turn.
fn output(run: u64) -> OutputSpec {
    let output = match run % 4 {
        0 => OutputSpec::ndjson(),
        1 => OutputSpec::ndjson().with_compression(OutputCompression::Zstd),
        2 => OutputSpec::parquet(),
        _ => OutputSpec::csv().with_gzip(true),
    };
    output.with_max_part_bytes(PART_BYTES)
}

fn directory(job: &JobStatus) -> String {
    format!("s3://results/team/{}", job.job.id)
}

async fn run_for_a_while(place: &Place, storage: Storage, spec: JobSpec) -> JobStatus {
    let engine = place.open(storage).await;
    let ended = tokio::time::timeout(Duration::from_mins(10), run(&engine, spec)).await.unwrap();
    engine.shutdown().await;
    ended
}

#[tokio::test(flavor = "multi_thread")]
async fn every_output_over_a_bad_line_is_complete_or_its_job_says_why_not() {
    let calm = Place::new();
    let moto = Moto::start(&calm.external_id().await);
    let list = calm.large_list(LINES);
    moto.put("s3://lists/urls.ndjson", list.clone()).await;
    let spec = with_fields(through_buckets(&moto, OutputSpec::ndjson()));
    let undisturbed = run_for_a_while(&calm, moto.service(&moto.address), spec).await;
    let undisturbed = records(&moto, &directory(&undisturbed)).await;
    assert_eq!(undisturbed.len(), LINES as usize);

    let (mut mishaps, mut completed) = (0, 0);
    for seed in seeds() {
        let place = Place::before(&calm.shop);
        let moto = Moto::start_overloaded(&place.external_id().await, seed);
        moto.put("s3://lists/urls.ndjson", list.clone()).await;
        let proxy = Proxy::start(moto.secure_address(), seed);
        let spec = with_fields(through_buckets(&moto, output(seed)));
        let ended = run_for_a_while(&place, moto.secure_service(&proxy.address), spec).await;
        println!(
            "run {seed}: {} mishaps, parts of {:?} bytes, {:?}",
            proxy.mishaps(),
            ended.job.parts.iter().map(|part| part.bytes).collect::<Vec<_>>(),
            ended.job.problem
        );
        mishaps += proxy.mishaps();
        let found = if ended.job.status == Status::Completed {
            completed += 1;
            let names = moto.names(&directory(&ended)).await;
            assert_eq!(names.len(), ended.job.parts.len() + 1, "run {seed}: {names:?}");
            records(&moto, &directory(&ended)).await
        } else {
            let problem = ended.job.problem.as_ref().unwrap();
            assert!(problem.message.contains("s3://"), "run {seed}: {problem:?}");
            with_what_was_missing(&place, &moto, &ended).await
        };
        assert!(found == undisturbed, "run {seed} has other records");
        assert_eq!(moto.uploads_under_way("results").await, 0, "run {seed}");
    }
    let runs = seeds().count();
    println!("{completed} of {runs} runs completed over {mishaps} mishaps");
    assert!(mishaps > runs && completed > 0);
}

/// The records of a job that failed, and those of its retry over a line that is good.
async fn with_what_was_missing(place: &Place, moto: &Moto, failed: &JobStatus) -> Vec<Value> {
    let engine = place.open(moto.service(&moto.address)).await;
    let spec = engine.retry_spec(&failed.job.id, br#"{"include_skipped": true}"#).await.unwrap();
    let retried = run(&engine, spec).await;
    assert_eq!(retried.job.status, Status::Completed, "{:?}", retried.job);
    engine.shutdown().await;
    let mut found = records(moto, &directory(&retried)).await;
    if !failed.job.parts.is_empty() {
        found.extend(records(moto, &directory(failed)).await);
    }
    found.sort_by_key(|record| record["index"].as_u64());
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_job_leaves_undone_that_is_denied_in_its_middle_is_had_by_a_retry() {
    let shop = Shop::new().with_page_bytes(20_000);
    let place = Place::with(shop.with_latency(Duration::from_millis(20)));
    let moto = Moto::start(&place.external_id().await);
    moto.put("s3://lists/urls.ndjson", place.list(1_000)).await;
    let engine = place.open(moto.service(&moto.address)).await;
    let output = OutputSpec::ndjson().with_max_part_bytes(1024 * 1024);
    let spec = through_buckets(&moto, output).with_concurrency(8);
    let id = engine.submit(spec).await.unwrap().job.id;
    let mut events = engine.events(&id).await.unwrap();
    while !matches!(events.next().await.unwrap(), JobEvent::Part { .. }) {}
    moto.allow_team("s3:GetObject");
    let failed = engine.wait(&id).await.unwrap();
    engine.shutdown().await;
    drop((engine, events));
    let problem = failed.job.problem.as_ref().unwrap();
    assert_eq!(problem.code, "s3_access_denied", "{problem:?}");

    moto.allow_team("s3:*");
    let found = with_what_was_missing(&place, &moto, &failed).await;
    let indices: Vec<_> = found.iter().filter_map(|record| record["index"].as_u64()).collect();
    assert_eq!(indices, (0..1_000).collect::<Vec<_>>());
}
