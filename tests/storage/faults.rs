//! A line to the storage that is cut, delayed and corrupted, and a storage that is overloaded.

use std::time::Duration;

use harvestman::{spec::OutputSpec, store::Status};

use crate::{
    moto::Moto,
    place::{Place, indices, run, through_buckets},
    proxy::Proxy,
};

const PAGES: u32 = 700;

/// How many runs there are; `HARVESTMAN_RUNS` for more.
fn runs() -> u64 {
    std::env::var("HARVESTMAN_RUNS").map_or(5, |runs| runs.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_output_over_a_bad_line_is_complete_or_its_job_says_why_not() {
    let mut mishaps = 0;
    let mut completed = 0;
    for seed in 1..=runs() {
        let place = Place::new();
        let moto = Moto::start(&place.external_id().await);
        moto.put("s3://lists/urls.ndjson", place.list(PAGES)).await;
        let proxy = Proxy::start(&moto.address, seed);
        let engine = place.open(moto.service(&proxy.address)).await;
        let output = OutputSpec::ndjson().with_max_part_bytes(1024 * 1024);
        let ended = run(&engine, through_buckets(&moto, output));
        let ended = tokio::time::timeout(Duration::from_mins(5), ended).await.unwrap();
        engine.shutdown().await;
        mishaps += proxy.mishaps();
        let directory = format!("s3://results/team/{}", ended.job.id);
        if ended.job.status == Status::Completed {
            completed += 1;
            let expected: Vec<_> = (0..u64::from(PAGES)).collect();
            assert_eq!(indices(&moto, &directory).await, expected, "run {seed}");
            let names = moto.names(&directory).await;
            assert_eq!(names.len(), ended.job.parts.len() + 1, "run {seed}: {names:?}");
            assert_eq!(moto.uploads_under_way("results").await, 0, "run {seed}");
        } else {
            let problem = ended.job.problem.unwrap();
            assert!(problem.message.contains("s3://"), "run {seed}: {problem:?}");
            println!("run {seed} failed: {}: {}", problem.code, problem.message);
        }
    }
    println!("{completed} of {} runs completed over {mishaps} mishaps", runs());
    assert!(mishaps as u64 > runs() && completed > 0);
}
