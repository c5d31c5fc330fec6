//! A shop, an engine's directory, and what becomes of jobs.

use std::{
    fmt::Write,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use harvestman::{
    Engine, EngineConfig, Error, JobSpec, Schema,
    engine::JobStatus,
    spec::{Input, OutputSpec},
    storage::Storage,
};
use harvestman_shop::{RunningShop, Shop};
use tokio::task::yield_now;

use crate::{moto::Moto, random::Random, results::records};

/// How long an engine's directory may be held after its end, on a busy machine.
const RELEASE_TIME: Duration = Duration::from_secs(20);
/// How long the ids of a large list are.
const LARGE_ID: usize = 6_000;
const DIGITS: &[u8; 64] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-";

pub(crate) struct Place {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) shop: Arc<RunningShop>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::with(Shop::new().with_page_bytes(2_000))
    }

    pub(crate) fn with(shop: Shop) -> Self {
        Self::before(&Arc::new(shop.start(([127, 0, 0, 1], 0).into()).unwrap()))
    }

    /// Another engine's directory before the same shop.
    pub(crate) fn before(shop: &Arc<RunningShop>) -> Self {
        Self { directory: tempfile::tempdir().unwrap(), shop: Arc::clone(shop) }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    pub(crate) fn config(&self) -> EngineConfig {
        EngineConfig::at(self.data()).with_allowed(self.shop.address().to_string().parse().unwrap())
    }

    pub(crate) async fn open(&self, storage: Storage) -> Engine {
        open(|| self.config().with_storage(storage.clone())).await
    }

    /// The external id of the workspace that the engine's own methods mean.
    pub(crate) async fn external_id(&self) -> String {
        let engine = Engine::open(self.config()).await.unwrap();
        let id = engine.credentials().await.unwrap().external_id;
        engine.shutdown().await;
        id
    }

    pub(crate) fn list(&self, count: u32) -> String {
        let line = |number| format!("{{\"url\": \"{}\"}}\n", self.shop.product_url(number));
        (0..count).map(line).collect()
    }

    /// A list whose lines are large and can't be packed well, so that some thousand of them take
    /// several reads, and their records several chunks in any format.
    pub(crate) fn large_list(&self, count: u32) -> String {
        let mut random = Random::new(count.into());
        let mut text = String::new();
        for number in 0..count {
            let url = self.shop.product_url(number);
            let id: String =
                (0..LARGE_ID).map(|_| char::from(DIGITS[random.below(64) as usize])).collect();
            writeln!(text, "{{\"url\": \"{url}\", \"id\": \"{id}\"}}").unwrap();
        }
        text
    }
}

/// Opens an engine as soon as the one before has let go of its directory: tasks of its own may still
/// be on their way out when it is dropped.
pub(crate) async fn open(config: impl Fn() -> EngineConfig) -> Engine {
    let begun = Instant::now();
    loop {
        match Engine::open(config()).await {
            Err(Error::Locked { .. }) if begun.elapsed() < RELEASE_TIME => yield_now().await,
            opened => return opened.unwrap(),
        }
    }
}

/// An object as input, in a role.
pub(crate) fn object(uri: &str, role: Option<String>) -> Input {
    Input::Object {
        uri: uri.to_owned(),
        role_arn: role,
        external_id: None,
        region: None,
        format: None,
    }
}

/// A job over the list `s3://lists/urls.ndjson` with its result in `s3://results/…`.
pub(crate) fn through_buckets(moto: &Moto, mut output: OutputSpec) -> JobSpec {
    output.s3_uri = Some("s3://results/team".to_owned());
    output.role_arn = Some(moto.role("role"));
    let input = object("s3://lists/urls.ndjson", Some(moto.role("role")));
    JobSpec::new(input).with_output(output)
}

/// The same job with two fields of each page, which CSV and Parquet need.
pub(crate) fn with_fields(spec: JobSpec) -> JobSpec {
    spec.with_extract(Schema::from_pairs([("name", "string"), ("price", "number")]).unwrap())
}

pub(crate) async fn run(engine: &Engine, spec: JobSpec) -> JobStatus {
    let id = engine.submit(spec).await.unwrap().job.id;
    engine.wait(&id).await.unwrap()
}

/// The indices in the parts that the manifest of a job names, each checked against it.
pub(crate) async fn indices(moto: &Moto, directory: &str) -> Vec<u64> {
    let records = records(moto, directory).await;
    records.iter().map(|record| record["index"].as_u64().unwrap()).collect()
}
