//! Files that are uploaded once and read by jobs.

use std::{io, sync::Arc};

use bytes::Bytes;
use futures::stream::BoxStream;

use super::Workspace;
use crate::{
    Refusal, RefusalCode, RequestError,
    clock::after,
    id::UploadId,
    spec::{InputCompression, InputFormat},
    store::{StoredAnswer, UploadEntry, UploadError},
};

/// How an upload is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UploadOptions {
    /// How its lines are written; by its first line when not said.
    pub format: Option<InputFormat>,
    /// How its bytes are packed; by its first bytes when not said.
    pub compression: Option<InputCompression>,
    /// The most bytes, as sent and as decoded.
    pub max_bytes: u64,
    /// The most tasks.
    pub max_tasks: u64,
}

/// What an upload turned out to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedUpload {
    /// How its lines are written.
    pub format: InputFormat,
    /// How many bytes came in.
    pub bytes: u64,
    /// How many tasks it holds, those of bad lines included.
    pub total: u64,
    /// How many of its lines can't be used.
    pub invalid: u64,
    /// The first of them.
    pub errors: Vec<UploadError>,
    /// The SHA-256 of the decoded file, in lower-case hexadecimal digits.
    pub sha256: String,
}

impl UploadOptions {
    /// Sets how its lines are written.
    #[must_use]
    pub fn with_format(mut self, format: InputFormat) -> Self {
        self.format = Some(format);
        self
    }

    /// Sets how its bytes are packed.
    #[must_use]
    pub fn with_compression(mut self, compression: InputCompression) -> Self {
        self.compression = Some(compression);
        self
    }
}

impl Workspace {
    /// Takes a file in, as it comes: its lines are checked on the way, and memory doesn't depend on
    /// its size. It is durable when this answers.
    ///
    /// The size limits are the engine's, whatever the options say. `answer` makes the answer to
    /// the request's idempotency key, which is kept together with the upload.
    pub async fn upload(
        &self,
        options: UploadOptions,
        body: BoxStream<'static, io::Result<Bytes>>,
        answer: Option<&(dyn Fn(&UploadEntry) -> StoredAnswer + Sync)>,
    ) -> Result<UploadEntry, RequestError> {
        let (core, settings) = (self.core(), self.core().settings());
        let id = UploadId::random();
        let options = UploadOptions {
            max_bytes: settings.limits.upload_bytes,
            max_tasks: settings.limits.urls,
            ..options
        };
        let received = core.parts.files.receive(&id, &options, body).await?;
        let created_at = core.now();
        let upload = UploadEntry {
            id,
            workspace: self.name().to_owned(),
            format: received.format,
            bytes: received.bytes,
            total: received.total,
            invalid: received.invalid,
            errors: received.errors,
            sha256: received.sha256,
            created_at,
            expires_at: after(created_at, settings.retention.uploads),
        };
        let answer = answer.map(|answer| answer(&upload));
        // In a task of its own: should nobody wait any more, it is known, or its file is gone.
        let core = Arc::clone(core);
        let kept = tokio::spawn(async move {
            if let Err(error) = core.store().insert_upload(&upload, answer).await {
                if let Err(error) = core.parts.files.erase_upload(&upload.id).await {
                    tracing::warn!(%error, upload = %upload.id, "stays until the next start");
                }
                return Err(error);
            }
            Ok(upload)
        });
        let kept = kept.await.map_err(|error| RequestError::failed("upload", error))?;
        Ok(kept?)
    }

    /// An upload of this workspace.
    pub async fn find_upload(&self, id: &UploadId) -> Result<UploadEntry, RequestError> {
        let found = self.core().store().upload(id).await?;
        let own = found.filter(|upload| upload.workspace == self.name());
        let upload = own.ok_or_else(|| Refusal::not_found("upload", id))?;
        if upload.expires_at < self.core().now() {
            let message = format!("upload {id} has expired; upload the file again");
            return Err(Refusal::new(RefusalCode::UploadExpired, message).into());
        }
        Ok(upload)
    }

    /// Erases an upload, unless a job that has not ended needs it.
    pub async fn delete_upload(&self, id: &UploadId) -> Result<(), RequestError> {
        self.find_upload(id).await?;
        let core = self.core();
        if !core.store().give_up_upload(id).await? {
            let message = format!("a job that has not ended needs upload {id}; cancel it first");
            return Err(Refusal::new(RefusalCode::UploadInUse, message).into());
        }
        core.parts.files.erase_upload(id).await?;
        core.store().forget_upload(id).await?;
        Ok(())
    }
}
