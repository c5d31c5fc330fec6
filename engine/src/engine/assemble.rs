//! From a spec to the parts of a job: what a host replaces to bring its own.

use std::{fmt, io, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use serde_json::Value;

use super::{Core, ReceivedUpload, UploadOptions};
use crate::{
    Extractor, Fetcher, JobSpec, Refusal, RequestError, Result, Sink, Source,
    id::{JobId, UploadId},
};

/// Turns a spec into the parts of a job.
///
/// Called by one job at a time for itself, by several jobs concurrently, and anew in each life of a
/// job: the parts must be the same every time. An `Err` fails the job before anything is fetched.
#[async_trait]
pub trait Assembler: fmt::Debug + Send + Sync {
    /// Refuses what this installation can't serve (a browser, a class of proxies), before the
    /// job is made. Reads no input.
    fn check(&self, spec: &JobSpec) -> Result<(), Refusal>;

    /// Opens the job's input, with the spec's `dedupe`. Never asked for a retry's.
    async fn source(&self, job: &JobContext) -> Result<Arc<dyn Source>>;

    /// Makes what fetches, extracts and writes.
    async fn parts(&self, job: &JobContext) -> Result<JobParts>;
}

/// Keeps the files of uploads and outputs.
///
/// An id is in use once; every erasing may be repeated.
#[async_trait]
pub trait Files: fmt::Debug + Send + Sync {
    /// Takes an upload in, checking its lines as they come, and answers when it is durable. Nothing
    /// is left of one that fails.
    async fn receive(
        &self,
        id: &UploadId,
        options: &UploadOptions,
        body: BoxStream<'static, io::Result<Bytes>>,
    ) -> Result<ReceivedUpload, RequestError>;

    /// Erases an upload, which may be gone already.
    async fn erase_upload(&self, id: &UploadId) -> Result<()>;

    /// Erases everything that a job has written, which may be gone already.
    async fn erase_output(&self, id: &JobId) -> Result<()>;

    /// The uploads of which there is a file, whether it is known or not.
    async fn uploads(&self) -> Result<Vec<UploadId>>;
}

/// The job that parts are made for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct JobContext {
    /// Its id.
    pub id: JobId,
    /// Whose it is.
    pub workspace: String,
    /// What it is to do.
    pub spec: JobSpec,
    /// The inline list, if its input is one.
    pub urls: Vec<Value>,
    /// The workspace's external id, if the spec names a role: what a role's trust policy has to ask
    /// for, so that nobody but its owner can have us take it on.
    pub external_id: Option<String>,
}

impl JobContext {
    /// The context of a job of `workspace`.
    pub(super) async fn new(
        core: &Core,
        id: JobId,
        workspace: &str,
        spec: JobSpec,
        urls: Vec<Value>,
    ) -> Result<Self> {
        let known = if spec.names_role() { core.store().workspace(workspace).await? } else { None };
        let external_id = known.map(|known| known.external_id);
        Ok(Self { id, workspace: workspace.to_owned(), spec, urls, external_id })
    }
}

/// What fetches, extracts and writes.
#[derive(Clone, Debug)]
pub struct JobParts {
    /// What gets the pages.
    pub fetcher: Arc<dyn Fetcher>,
    /// What finds the fields.
    pub extractor: Arc<dyn Extractor>,
    /// What writes the records.
    pub sink: Arc<dyn Sink>,
}
