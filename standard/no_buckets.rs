//! What stands for buckets where they were not built in: refusals.

use std::sync::Arc;

use harvestman_engine::{
    Error, JobSpec, LineReader, Refusal, RefusalCode, Result, Sink, Source, engine::JobContext,
    id::JobId, spec::Input,
};
use harvestman_sinks::FileSink;
use harvestman_sources::InputOptions;

#[derive(Clone, Debug, Default)]
pub(super) struct Buckets;

#[expect(clippy::unused_self, clippy::unused_async, reason = "as where there are buckets")]
impl Buckets {
    pub(super) fn check(&self, spec: &JobSpec) -> Result<(), Refusal> {
        let refuse =
            |path: &str, message: &str| Err(Refusal::at(RefusalCode::Unavailable, path, message));
        if matches!(spec.input, Input::Object { .. }) {
            return refuse("input", "this installation reads no buckets; upload the list");
        }
        if spec.output.s3_uri.is_some() {
            return refuse("output.s3_uri", "this installation writes to no buckets");
        }
        Ok(())
    }

    pub(super) async fn source(
        &self,
        _job: &JobContext,
        _reader: LineReader,
        _options: InputOptions,
    ) -> Result<Arc<dyn Source>> {
        Err(Error::invalid("input", "can't be read by this installation"))
    }

    pub(super) fn sink(&self, _job: &JobContext, parts: FileSink) -> Result<Arc<dyn Sink>> {
        Ok(Arc::new(parts))
    }

    pub(super) async fn erase(&self, _job: &JobId) -> Result<()> {
        Ok(())
    }
}
