//! `kill -9` while parts are uploaded.

use std::{
    process::{Child, Command},
    time::Duration,
};

use harvestman::{
    Engine, EngineConfig, JobSpec,
    engine::SubmitOptions,
    id::JobId,
    spec::OutputSpec,
    storage::{S3Settings, Storage},
    store::Status,
};
use harvestman_shop::Shop;

use crate::{
    moto::Moto,
    place::{Place, indices, through_buckets},
};

/// Tells the process that is killed what it is.
const WORKER: &str = "HARVESTMAN_TEST_WORKER";
const PAGES: u32 = 1_200;
const JOB: &str = "job_0123456789AB";

/// How often the process is killed; `HARVESTMAN_KILLS` for more.
fn kills() -> u64 {
    std::env::var("HARVESTMAN_KILLS").map_or(6, |kills| kills.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_has_one_record_however_often_the_uploading_process_is_killed() {
    let shop = Shop::new().with_page_bytes(20_000).with_latency(Duration::from_millis(20));
    let (mut done, mut started) = (0, 0);
    while done < kills() {
        let place = Place::with(shop.clone());
        let moto = Moto::start(&place.external_id().await);
        moto.put("s3://lists/urls.ndjson", place.list(PAGES)).await;
        // Parts of two chunks each.
        let output = OutputSpec::ndjson().with_max_part_bytes(9 * 1024 * 1024);
        let spec = through_buckets(&moto, output).with_concurrency(8);
        std::fs::write(place.directory.path().join("spec"), serde_json::to_vec(&spec).unwrap())
            .unwrap();
        let mut lives = 0;
        loop {
            let mut worker = start(&place, &moto);
            // Another moment in each life: in the beginning, between uploads, in the middle of one. A
            // life that ends by itself before its moment counts for nothing.
            let life = Duration::from_millis(700 + (started * 397) % 2_300);
            started += 1;
            assert!(started < 20 * kills(), "{done} kills only in {started} lives");
            tokio::time::sleep(life).await;
            lives += 1;
            if let Some(status) = worker.try_wait().unwrap() {
                assert!(status.success(), "{status}");
                break;
            }
            if lives < 6 && done < kills() {
                worker.kill().unwrap();
                worker.wait().unwrap();
                done += 1;
                continue;
            }
            assert!(tokio::task::block_in_place(|| worker.wait().unwrap()).success());
            break;
        }
        let directory = format!("s3://results/team/{JOB}");
        let expected: Vec<_> = (0..u64::from(PAGES)).collect();
        assert_eq!(indices(&moto, &directory).await, expected, "{lives} lives");
        assert_eq!(moto.uploads_under_way("results").await, 0, "{lives} lives");
    }
}

fn start(place: &Place, moto: &Moto) -> Child {
    let program = std::env::current_exe().unwrap();
    let (key, secret) = moto.service_keys();
    let told = serde_json::json!({
        "data": place.data(),
        "spec": place.directory.path().join("spec"),
        "shop": place.shop.address().to_string(),
        "storage": moto.address,
        "key": key,
        "secret": secret,
    });
    let mut command = Command::new(program);
    command.args(["--exact", "kill::the_process_that_is_killed", "--nocapture"]);
    command.env(WORKER, told.to_string()).stdout(std::process::Stdio::null()).spawn().unwrap()
}

/// Nothing but when it is started by the test above.
#[tokio::test(flavor = "multi_thread")]
async fn the_process_that_is_killed() {
    let Ok(told) = std::env::var(WORKER) else { return };
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let told = |name: &str| told[name].as_str().unwrap().to_owned();
    let url = format!("http://{}", told("storage"));
    let settings = S3Settings::new()
        .with_endpoint(&url)
        .with_sts_endpoint(&url)
        .with_keys(told("key"), told("secret"));
    let storage = Storage::builder().s3(settings).allow(told("storage").parse().unwrap()).build();
    let config = EngineConfig::at(told("data"))
        .with_allowed(told("shop").parse().unwrap())
        .with_storage(storage);
    let engine = Engine::open(config).await.unwrap();
    let id: JobId = JOB.parse().unwrap();
    if engine.status(&id).await.is_err() {
        let spec: JobSpec = serde_json::from_slice(&std::fs::read(told("spec")).unwrap()).unwrap();
        let options = SubmitOptions { id: Some(id.clone()), ..SubmitOptions::default() };
        engine.submit_with(spec, options).await.unwrap();
    }
    let ended = engine.wait(&id).await.unwrap();
    assert_eq!(ended.job.status, Status::Completed, "{:?}", ended.job);
    engine.shutdown().await;
}
