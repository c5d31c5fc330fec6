//! `kill -9` while parts are uploaded.

use std::{
    process::{Child, Command},
    time::Duration,
};

use harvestman::{
    Engine, EngineConfig, JobSpec,
    engine::SubmitOptions,
    id::JobId,
    spec::{OutputCompression, OutputSpec},
    storage::{S3Settings, Storage},
    store::Status,
};
use harvestman_shop::Shop;
use serde_json::Value;

use crate::{
    moto::Moto,
    place::{Place, through_buckets, with_fields},
    results::records,
};

/// Tells the process that is killed what it is.
const WORKER: &str = "HARVESTMAN_TEST_WORKER";
/// About 15 MB of records, whatever their format.
const LINES: u32 = 2_400;
/// Parts of two chunks each.
const PART_BYTES: u64 = 9 * 1024 * 1024;
const JOB: &str = "job_0123456789AB";

/// How often the process is killed; `HARVESTMAN_KILLS` for more.
fn kills() -> u64 {
    std::env::var("HARVESTMAN_KILLS").map_or(6, |kills| kills.parse().unwrap())
}

/// Each format in turn.
fn output(job: u64) -> OutputSpec {
    let output = match job % 3 {
        0 => OutputSpec::ndjson(),
        1 => OutputSpec::parquet(),
        _ => OutputSpec::ndjson().with_compression(OutputCompression::Zstd),
    };
    output.with_max_part_bytes(PART_BYTES)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_has_one_record_however_often_the_uploading_process_is_killed() {
    let first =
        Place::with(Shop::new().with_page_bytes(2_000).with_latency(Duration::from_millis(10)));
    let list = first.large_list(LINES);
    let ids: Vec<_> = list
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone())
        .collect();
    let (mut done, mut started) = (0, 0);
    let mut undisturbed = None;
    for job in 0.. {
        let place = Place::before(&first.shop);
        let moto = Moto::start(&place.external_id().await);
        moto.put("s3://lists/urls.ndjson", list.clone()).await;
        let spec = with_fields(through_buckets(&moto, output(job))).with_concurrency(8);
        std::fs::write(place.directory.path().join("spec"), serde_json::to_vec(&spec).unwrap())
            .unwrap();
        let mut lives = 0;
        loop {
            let mut worker = start(&place, &moto);
            // Another moment in each life: before an upload, in the middle of one, after it.
            let moment = Duration::from_millis((started * 397) % 1_300);
            (started, lives) = (started + 1, lives + 1);
            assert!(started < 20 * kills(), "{done} kills only in {started} lives");
            if lives < 6 && done < kills() && kill(&mut worker, &place, moment).await {
                done += 1;
                continue;
            }
            assert!(tokio::task::block_in_place(|| worker.wait().unwrap()).success());
            break;
        }
        let directory = format!("s3://results/team/{JOB}");
        let found = records(&moto, &directory).await;
        let found_ids: Vec<_> = found.iter().map(|record| record["id"].clone()).collect();
        assert!(found_ids == ids, "other records after {lives} lives");
        // What differs by the format is taken away; so all jobs have the same records.
        assert!(*undisturbed.get_or_insert_with(|| found.clone()) == found, "{lives} lives");
        assert_eq!(moto.uploads_under_way("results").await, 0, "{lives} lives");
        let names = moto.names(&directory).await;
        println!("job {job}: {lives} lives, {names:?}");
        if done >= kills() {
            break;
        }
    }
}

/// Kills the process some time after a part is complete, and says whether it was still there.
async fn kill(worker: &mut Child, place: &Place, moment: Duration) -> bool {
    while !has_complete_part(place) {
        if worker.try_wait().unwrap().is_some() {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(moment).await;
    if worker.try_wait().unwrap().is_some() {
        return false;
    }
    worker.kill().unwrap();
    worker.wait().unwrap();
    true
}

/// Whether there is a part on the disk that is being uploaded, or will be, or just was.
fn has_complete_part(place: &Place) -> bool {
    let Ok(entries) = std::fs::read_dir(place.data().join("results").join(JOB)) else {
        return false;
    };
    let names = entries.flatten().map(|entry| entry.file_name().into_string().unwrap());
    names.into_iter().any(|name| name.starts_with("part-") && !name.contains(".open"))
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
