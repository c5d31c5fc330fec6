//! Where the URLs of a job come from.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Code,
    id::{JobId, UploadId},
};

/// Where the URLs of a job come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Input {
    /// A list: each a string, or an object with `url` and Scrape parameters.
    Urls(Vec<Value>),
    /// A file that was uploaded before.
    Upload(UploadId),
    /// A file of the machine that the engine runs on. A program may name one, a request may not.
    File {
        /// Its path.
        path: PathBuf,
        /// Its format; by its suffix or its first line when not said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        format: Option<InputFormat>,
    },
    /// An object in a bucket.
    Object {
        /// `s3://bucket/key` or `gs://bucket/key`.
        uri: String,
        /// The role to take on for reading it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        role_arn: Option<String>,
        /// What the role's trust policy asks for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        external_id: Option<String>,
        /// The bucket's region.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        region: Option<String>,
        /// Its format; by its suffix when not said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        format: Option<InputFormat>,
    },
    /// The URLs of an earlier job that ended in an error, from the store's own index.
    Errored {
        /// The job.
        job: JobId,
        /// Which of them.
        #[serde(default)]
        only: RetryFilter,
        /// Those too that got no record, since the job was stopped before.
        #[serde(default)]
        include_skipped: bool,
    },
}

/// Which of a job's failed URLs are meant; all of them by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryFilter {
    /// Those with one of these codes; with any, if there are none.
    pub codes: Vec<Code>,
    /// Those of which another try may come out differently, or those of which it may not.
    pub retryable: Option<bool>,
}

/// How the lines of an input are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InputFormat {
    /// One JSON value a line.
    Ndjson,
    /// Rows under a header with `url`.
    Csv,
    /// One URL a line.
    Text,
}

/// How the bytes of an input are packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InputCompression {
    /// As they are.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

impl Input {
    /// A list of URLs.
    pub fn urls<I: IntoIterator<Item: Into<String>>>(urls: I) -> Self {
        Self::Urls(urls.into_iter().map(|url| Value::String(url.into())).collect())
    }

    /// A file of this machine; format and compression by its suffix.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::File { path: path.into(), format: None }
    }

    /// A file that was uploaded before.
    pub fn upload(id: UploadId) -> Self {
        Self::Upload(id)
    }

    /// All URLs of an earlier job that ended in an error.
    pub fn errored(job: JobId) -> Self {
        Self::Errored { job, only: RetryFilter::default(), include_skipped: false }
    }
}
