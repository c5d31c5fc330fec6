//! A shop, an engine's directory, and what becomes of jobs.

use std::path::PathBuf;

use harvestman::{
    Engine, EngineConfig, JobSpec,
    engine::JobStatus,
    spec::{Input, OutputSpec},
    storage::Storage,
};
use harvestman_shop::{RunningShop, Shop};
use serde_json::Value;

use crate::moto::Moto;

pub(crate) struct Place {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) shop: RunningShop,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self::with(Shop::new().with_page_bytes(2_000))
    }

    pub(crate) fn with(shop: Shop) -> Self {
        let shop = shop.start(([127, 0, 0, 1], 0).into()).unwrap();
        Self { directory: tempfile::tempdir().unwrap(), shop }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    pub(crate) fn config(&self) -> EngineConfig {
        EngineConfig::at(self.data()).with_allowed(self.shop.address().to_string().parse().unwrap())
    }

    pub(crate) async fn open(&self, storage: Storage) -> Engine {
        Engine::open(self.config().with_storage(storage)).await.unwrap()
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

pub(crate) async fn run(engine: &Engine, spec: JobSpec) -> JobStatus {
    let id = engine.submit(spec).await.unwrap().job.id;
    engine.wait(&id).await.unwrap()
}

/// The indices in the parts that the manifest of a job names, each checked against it.
pub(crate) async fn indices(moto: &Moto, directory: &str) -> Vec<u64> {
    let manifest = moto.read(&format!("{directory}/manifest.json")).await;
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let mut indices = Vec::new();
    for part in manifest["parts"].as_array().unwrap() {
        let bytes = moto.read(part["url"].as_str().unwrap()).await;
        assert_eq!(part["bytes"], bytes.len());
        let rows = std::str::from_utf8(&bytes).unwrap().lines();
        let index = |row| serde_json::from_str::<Value>(row).unwrap()["index"].as_u64().unwrap();
        let before = indices.len();
        indices.extend(rows.map(index));
        assert_eq!(part["rows"], indices.len() - before);
    }
    indices.sort_unstable();
    indices
}
