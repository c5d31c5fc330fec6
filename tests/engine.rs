//! An engine of the standard parts against real pages: what a host embeds.
#![expect(clippy::unwrap_used, reason = "a test panics with what it finds")]

use std::{collections::BTreeSet, path::Path};

use bytes::Bytes;
use futures::{StreamExt, stream};
use harvestman::{
    Engine, EngineConfig, JobSpec, RefusalCode, RequestError, Schema,
    engine::{JobStatus, UploadOptions},
    spec::{Input, InputFormat, OnInvalid, OutputSpec},
    store::Status,
};
use harvestman_shop::{RunningShop, Shop};
use serde_json::{Value, json};

struct Place {
    directory: tempfile::TempDir,
    shop: RunningShop,
}

impl Place {
    fn new() -> Self {
        let shop = Shop::new().with_page_bytes(2_000).start(([127, 0, 0, 1], 0).into()).unwrap();
        Self { directory: tempfile::tempdir().unwrap(), shop }
    }

    fn data(&self) -> std::path::PathBuf {
        self.directory.path().join("data")
    }

    async fn open(&self) -> Engine {
        let address = self.shop.address().to_string().parse().unwrap();
        let config = EngineConfig::at(self.data()).with_allowed(address);
        Engine::open(config).await.unwrap()
    }

    /// A list of product pages; every tenth doesn't exist.
    fn urls(&self, count: u32) -> Vec<String> {
        let url = |number: u32| match number % 10 {
            9 => format!("{}-missing", self.shop.product_url(number)),
            _ => self.shop.product_url(number),
        };
        (0..count).map(url).collect()
    }
}

fn schema() -> Schema {
    Schema::from_pairs([("name", "string"), ("price", "number")]).unwrap()
}

async fn run(engine: &Engine, spec: JobSpec) -> JobStatus {
    let id = engine.submit(spec).await.unwrap().job.id;
    let ended = engine.wait(&id).await.unwrap();
    assert_eq!(ended.job.status, Status::Completed, "{:?}", ended.job);
    ended
}

fn indices(path: &str) -> BTreeSet<u64> {
    let text = std::fs::read_to_string(path).unwrap();
    let index =
        |line: &str| serde_json::from_str::<Value>(line).unwrap()["index"].as_u64().unwrap();
    let indices: Vec<_> = text.lines().map(index).collect();
    let distinct: BTreeSet<_> = indices.iter().copied().collect();
    assert_eq!(indices.len(), distinct.len(), "no record twice");
    distinct
}

#[tokio::test]
async fn a_list_a_file_and_an_upload_come_to_the_same() {
    let place = Place::new();
    let engine = place.open().await;
    let urls = place.urls(40);
    let list = place.directory.path().join("urls.ndjson");
    let lines: Vec<_> = urls.iter().map(|url| json!({ "url": url }).to_string() + "\n").collect();
    let lines = lines.concat();
    std::fs::write(&list, &lines).unwrap();
    let chunks: Vec<_> =
        lines.as_bytes().chunks(100).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    let body = stream::iter(chunks).boxed();
    let upload = engine.upload(UploadOptions::default(), body, None).await.unwrap();
    assert_eq!((upload.total, upload.format), (40, InputFormat::Ndjson));
    for input in [Input::urls(&urls), Input::file(&list), Input::upload(upload.id)] {
        let ended = run(&engine, JobSpec::new(input).with_extract(schema())).await;
        assert_eq!((ended.job.counters.ok, ended.job.counters.errored()), (36, 4));
        let parts = &ended.job.parts;
        assert_eq!((parts.len(), parts[0].rows), (1, 40));
        assert!(parts[0].location.ends_with("part-00000.ndjson"), "{}", parts[0].location);
        assert!(parts[0].sha256.is_some());
        assert_eq!(indices(&parts[0].location), (0..40).collect());
    }
    engine.shutdown().await;
}

#[tokio::test]
async fn every_format_comes_out_by_its_name() {
    let place = Place::new();
    let engine = place.open().await;
    for (output, suffix) in [
        (OutputSpec::ndjson().with_gzip(true), "ndjson.gz"),
        (OutputSpec::csv(), "csv"),
        (OutputSpec::parquet(), "parquet"),
    ] {
        let spec = JobSpec::new(Input::urls(place.urls(10)));
        let ended = run(&engine, spec.with_extract(schema()).with_output(output)).await;
        let location = &ended.job.parts[0].location;
        assert!(location.ends_with(suffix), "{location}");
        let bytes = std::fs::metadata(location).unwrap().len();
        assert_eq!(bytes, ended.job.parts[0].bytes);
    }
    engine.shutdown().await;
}

#[tokio::test]
async fn a_second_engine_on_a_directory_is_refused() {
    let place = Place::new();
    let engine = place.open().await;
    let error = Engine::open(EngineConfig::at(place.data())).await.unwrap_err().to_string();
    assert!(error.contains("in use by another process"), "{error}");
    engine.shutdown().await;
}

#[tokio::test]
async fn failures_are_retried_without_upload_and_output() {
    let place = Place::new();
    let engine = place.open().await;
    let missing = format!("{}-missing", place.shop.product_url(1));
    let lines =
        format!("\"{}\"\n{}\n", place.shop.product_url(0), json!({"url": missing, "id": "m"}));
    let body = stream::iter([Ok(Bytes::from(lines))]).boxed();
    let upload = engine.upload(UploadOptions::default(), body, None).await.unwrap();
    let first = run(&engine, JobSpec::new(Input::upload(upload.id.clone()))).await;
    engine.delete_upload(&upload.id).await.unwrap();
    engine.delete_output(&first.job.id).await.unwrap();
    assert!(!Path::new(&first.job.parts[0].location).exists());
    let retry = engine.retry(&first.job.id).await.unwrap().job.id;
    let ended = engine.wait(&retry).await.unwrap();
    let text = std::fs::read_to_string(&ended.job.parts[0].location).unwrap();
    let record: Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!(
        (&record["index"], &record["line"], &record["id"]),
        (&json!(1), &json!(2), &json!("m"))
    );
    engine.shutdown().await;
}

#[tokio::test]
async fn an_upload_in_use_stays() {
    let place = Place::new();
    let engine = place.open().await;
    let body = stream::iter([Ok(Bytes::from(format!("\"{}\"\n", place.shop.tar_pit_url(0, 0))))]);
    let upload = engine.upload(UploadOptions::default(), body.boxed(), None).await.unwrap();
    let id = engine.submit(JobSpec::new(Input::upload(upload.id.clone()))).await.unwrap().job.id;
    let refused = engine.delete_upload(&upload.id).await.unwrap_err();
    assert_eq!(code(&refused), RefusalCode::UploadInUse);
    engine.cancel(&id).await.unwrap();
    engine.abort().await;
}

#[tokio::test]
async fn duplicates_are_left_out_and_counted_in_a_dry_run() {
    let place = Place::new();
    let engine = place.open().await;
    let url = place.shop.product_url(0);
    let urls = [url.clone(), place.shop.product_url(1), url];
    let spec = JobSpec::new(Input::urls(&urls));
    let estimate = engine.estimate(&spec).await.unwrap();
    assert_eq!((estimate.total, estimate.duplicates, estimate.hosts), (3, 1, 1));
    let ended = run(&engine, spec.with_dedupe(true)).await;
    assert_eq!((ended.job.total, ended.job.counters.done()), (Some(2), 2));
    engine.shutdown().await;
}

#[tokio::test]
async fn what_this_installation_lacks_is_refused_by_name() {
    let place = Place::new();
    let engine = place.open().await;
    let limits = &engine.settings().limits;
    let asks = json!({"extract": {"name": "string"}, "extract_options": {"llm": true}});
    for (defaults, words) in [(json!({"render": true}), "render"), (asks, "no language model")] {
        let body = json!({"urls": ["https://a.test/"], "defaults": defaults}).to_string();
        let spec = JobSpec::read(body.as_bytes(), limits).unwrap().spec;
        let refused = engine.submit(spec).await.unwrap_err();
        assert_eq!(code(&refused), RefusalCode::Unavailable);
        assert!(refused.to_string().contains("defaults"), "{refused}");
        assert!(refused.to_string().contains(words), "{refused}");
    }
    engine.shutdown().await;
}

#[tokio::test]
async fn a_bad_line_is_a_record_or_the_end_of_the_job_as_it_says() {
    let place = Place::new();
    let engine = place.open().await;
    let list = place.directory.path().join("urls.ndjson");
    std::fs::write(&list, format!("\"{}\"\n{{oops\n", place.shop.product_url(0))).unwrap();
    let spec = JobSpec::new(Input::file(&list));
    let ended = run(&engine, spec.clone()).await;
    assert_eq!((ended.job.counters.ok, ended.job.counters.errored()), (1, 1));
    let before = place.shop.requests();
    let id = engine.submit(spec.with_on_invalid(OnInvalid::Fail)).await.unwrap().job.id;
    let failed = engine.wait(&id).await.unwrap().job;
    assert_eq!(failed.status, Status::Failed);
    let problem = failed.problem.unwrap();
    assert!(problem.code == "input_invalid" && problem.message.contains("line 2"), "{problem:?}");
    assert_eq!(place.shop.requests(), before, "before the first page");
    engine.shutdown().await;
}

#[tokio::test]
async fn a_file_that_is_not_there_fails_the_job_by_name() {
    let place = Place::new();
    let engine = place.open().await;
    let list = place.directory.path().join("gone.ndjson");
    let id = engine.submit(JobSpec::new(Input::file(&list))).await.unwrap().job.id;
    let ended = engine.wait(&id).await.unwrap();
    assert_eq!(ended.job.status, Status::Failed);
    let problem = ended.job.problem.unwrap();
    assert!(problem.message.contains("gone.ndjson"), "{problem:?}");
    assert_eq!(problem.code, "input_unreadable");
    engine.shutdown().await;
}

fn code(error: &RequestError) -> RefusalCode {
    error.refusal().unwrap().code
}
