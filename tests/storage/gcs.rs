//! Lists from Google Cloud Storage and results to it.
//!
//! Two servers, since none speaks all of it: fake-gcs-server has objects with generations to read, and
//! takes no upload by the XML interface; moto takes uploads in chunks, by the same interface.

use std::process::{Child, Command, Stdio};

use harvestman::{
    Engine, EngineConfig, JobSpec,
    engine::JobStatus,
    spec::OutputSpec,
    storage::{GcsSettings, Storage},
    store::Status,
};
use harvestman_shop::Shop;

use crate::{
    moto::{Moto, SCRIPT, free_address, port, python, wait_until_up},
    place::{self, Place, object, run, with_fields},
    results::records,
};

const LINES: u32 = 2_000;

/// Fake-gcs-server with a bucket `lists`.
struct Google {
    server: Child,
    address: String,
}

impl Google {
    async fn start() -> Self {
        let address = free_address();
        let mut server = Command::new(python());
        server
            .args(["-c", SCRIPT, "google", port(&address)])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut google = Self { server: server.spawn().unwrap(), address };
        wait_until_up(&mut google.server, &google.address);
        google.post("/storage/v1/b?project=p", r#"{"name": "lists"}"#.to_owned()).await;
        google
    }

    async fn put(&self, name: &str, content: String) {
        let path = format!("/upload/storage/v1/b/lists/o?uploadType=media&name={name}");
        self.post(&path, content).await;
    }

    async fn post(&self, path: &str, body: String) {
        let url = format!("http://{}{path}", self.address);
        let answer = reqwest::Client::new().post(url).body(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
    }
}

impl Drop for Google {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// What a service reaches as itself at `address`.
fn storage(address: &str) -> Storage {
    let settings = GcsSettings::new()
        .with_endpoint(format!("http://{address}"))
        .with_bearer_token("the service's own");
    Storage::builder().gcs(settings).allow(address.parse().unwrap()).build()
}

fn config(place: &Place, address: &str) -> EngineConfig {
    place.config().with_storage(storage(address)).with_own_bucket("gs://lists".parse().unwrap())
}

async fn open(place: &Place, address: &str) -> Engine {
    place::open(|| config(place, address)).await
}

fn problem(ended: &JobStatus) -> (&str, &str) {
    let problem = ended.job.problem.as_ref().unwrap();
    (&problem.code, &problem.message)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_read_and_its_version_pinned() {
    let shop =
        Shop::new().with_page_bytes(2_000).with_latency(std::time::Duration::from_millis(20));
    let (place, google) = (Place::with(shop), Google::start().await);
    google.put("a/urls.ndjson", place.list(LINES)).await;
    let engine = open(&place, &google.address).await;
    let spec = JobSpec::new(object("gs://lists/a/urls.ndjson", None));
    let ended = run(&engine, spec.clone()).await;
    assert_eq!(ended.job.status, Status::Completed, "{:?}", ended.job);
    assert_eq!((ended.job.total, ended.job.counters.ok), (Some(LINES.into()), LINES.into()));

    let ended = run(&engine, JobSpec::new(object("gs://lists/none.csv", None))).await;
    assert_eq!(problem(&ended).0, "input_unreadable");
    assert!(problem(&ended).1.contains("gs://lists/none.csv isn't there"), "{:?}", ended.job);

    // Suspended in its middle; the list is another one when the job goes on.
    let id = engine.submit(spec.with_concurrency(4)).await.unwrap().job.id;
    while engine.status(&id).await.unwrap().job.counters.done() == 0 {
        tokio::task::yield_now().await;
    }
    engine.shutdown().await;
    drop(engine);
    google.put("a/urls.ndjson", place.list(LINES - 1)).await;
    let engine = open(&place, &google.address).await;
    let ended = engine.wait(&id).await.unwrap();
    assert_eq!(problem(&ended).0, "input_changed");
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_and_a_result_in_chunks_go_through_the_xml_interface() {
    let (place, moto) = (Place::new(), Moto::start("hv-nobody"));
    // Keys of S3 are what it checks; a token it doesn't know.
    moto.let_everybody_in();
    moto.put("s3://lists/urls.ndjson", place.large_list(LINES)).await;
    let results = "gs://results/own".parse().unwrap();
    let config = config(&place, &moto.address).with_results_in(results);
    let engine = Engine::open(config).await.unwrap();
    let output = OutputSpec::ndjson().with_max_part_bytes(9 * 1024 * 1024);
    let spec = JobSpec::new(object("gs://lists/urls.ndjson", None)).with_output(output);
    let ended = run(&engine, with_fields(spec)).await;
    assert_eq!(ended.job.status, Status::Completed, "{:?}", ended.job);
    let directory = format!("gs://results/own/{}", ended.job.id);
    assert_eq!(ended.job.parts.len(), 2, "{:?}", ended.job.parts);
    assert_eq!(records(&moto, &directory).await.len(), LINES as usize);
    assert_eq!(moto.uploads_under_way("results").await, 0);
    engine.delete_output(&ended.job.id).await.unwrap();
    assert!(moto.names(&directory).await.is_empty());
    engine.shutdown().await;
}
