//! Where the files of results are kept, and how they are read again.

use std::{
    io::{ErrorKind, SeekFrom},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use axum::body::Body;
use futures::TryStreamExt;
use harvestman::{
    Error, Part, Result,
    id::JobId,
    storage::{Bucket, Location, StoreError},
};
use object_store::{GetOptions, ObjectStore, ObjectStoreExt};
use serde::{Deserialize, Serialize};
use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncSeekExt},
    time::timeout,
};
use tokio_util::io::ReaderStream;
use url::Url;

use super::{
    error::{ApiError, ErrorCode},
    links::file_name,
};

/// How many bytes of a file are read at a time.
const CHUNK: usize = 256 * 1024;
/// How long a bucket may take to answer when the service starts, and to begin a download.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a link of the bucket's own is valid: long enough to follow it.
const REDIRECT_VALID: Duration = Duration::from_mins(5);
/// What is begun in the bucket, and never completed, to see that it can be written.
const PROBE: &str = "harvestman-probe";

/// Where results are kept when their jobs name no place: `--storage`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) enum StoragePlace {
    Directory(PathBuf),
    Bucket(Location),
}

impl FromStr for StoragePlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("is empty".to_owned()),
            text if text.contains("://") => {
                text.parse().map(Self::Bucket).map_err(|error| format!("{error}"))
            }
            text => Ok(Self::Directory(text.into())),
        }
    }
}

impl TryFrom<String> for StoragePlace {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<StoragePlace> for String {
    fn from(place: StoragePlace) -> Self {
        match place {
            StoragePlace::Directory(path) => path.display().to_string(),
            StoragePlace::Bucket(location) => location.to_string(),
        }
    }
}

/// The files of results, on this machine's disk and in the operator's bucket.
#[derive(Debug)]
pub(crate) struct Results {
    /// Each job's in a directory of its own.
    pub(crate) directory: PathBuf,
    /// The same in the bucket, if there is one.
    pub(crate) bucket: Option<Bucket>,
    /// Whether downloads from the bucket are left to the bucket.
    pub(crate) redirects: bool,
}

impl Results {
    /// Fails if the bucket is not there or may not be written. One that doesn't answer may do so later.
    pub(crate) async fn probe(&self) -> Result<()> {
        let Some(bucket) = &self.bucket else { return Ok(()) };
        let path = bucket.path().clone().join(PROBE);
        let begin = async { bucket.store().put_multipart(&path).await?.abort().await };
        let place = bucket.location();
        match timeout(PATIENCE, begin).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(StoreError::NotFound { .. })) => {
                Err(Error::invalid(place.to_string(), "there is no such bucket"))
            }
            Ok(Err(
                error @ (StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. }),
            )) => Err(Error::denied(&place.to_string(), &error.to_string())),
            Ok(Err(error)) => {
                tracing::warn!(%place, %error, "the storage can't be written now");
                Ok(())
            }
            Err(_) => {
                tracing::warn!(%place, "the storage doesn't answer");
                Ok(())
            }
        }
    }

    /// The bytes of a part from `first` on.
    pub(crate) async fn read(
        &self,
        job: &JobId,
        part: &Part,
        first: u64,
        count: u64,
    ) -> Result<Body, ApiError> {
        if count == 0 {
            return Ok(Body::empty());
        }
        let Ok(location) = part.location.parse::<Location>() else {
            let path = self.directory.join(job.as_str()).join(file_name(&part.location));
            return read_file(&path, first, count).await;
        };
        let bucket = self.holding(&location)?;
        let options = GetOptions::new().with_range(Some(first..first + count));
        let got = timeout(PATIENCE, bucket.store().get_opts(location.path(), options)).await;
        let got = got.map_err(|_| {
            let message = "the storage of results doesn't answer";
            ApiError::new(ErrorCode::Overloaded, message).with_retry_after(30)
        })?;
        let got = got.map_err(|error| unreadable(&location, &error))?;
        Ok(Body::from_stream(got.into_stream().map_err(std::io::Error::other)))
    }

    /// Where the bucket itself gives a part away, if downloads are left to it.
    pub(crate) async fn redirect(&self, part: &Part) -> Result<Option<Url>, ApiError> {
        if !self.redirects {
            return Ok(None);
        }
        let Ok(location) = part.location.parse::<Location>() else { return Ok(None) };
        let bucket = self.holding(&location)?;
        Ok(Some(bucket.signed_link(location.path(), REDIRECT_VALID).await?))
    }

    fn holding(&self, location: &Location) -> Result<&Bucket, ApiError> {
        self.bucket.as_ref().filter(|bucket| bucket.location().contains(location)).ok_or_else(
            || {
                tracing::warn!(%location, "a result lies where --storage doesn't lead any more");
                ApiError::new(
                    ErrorCode::Internal,
                    "the storage of this result is not set up any more",
                )
            },
        )
    }
}

async fn read_file(path: &Path, first: u64, count: u64) -> Result<Body, ApiError> {
    let open = async {
        let mut file = File::open(path).await?;
        file.set_max_buf_size(CHUNK);
        file.seek(SeekFrom::Start(first)).await?;
        Ok(file.take(count))
    };
    let file = open.await.map_err(|error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => gone(&path.display()),
        _ => Error::io("read", path)(error).into(),
    })?;
    Ok(Body::from_stream(ReaderStream::with_capacity(file, CHUNK)))
}

fn unreadable(location: &Location, error: &StoreError) -> ApiError {
    if matches!(error, StoreError::NotFound { .. }) {
        return gone(location);
    }
    tracing::warn!(%location, %error, "a result can't be read");
    let message = "the storage of results can't be read at the moment";
    ApiError::new(ErrorCode::Overloaded, message).with_retry_after(30)
}

/// Erased since the job was looked up, or by somebody else.
fn gone(place: &impl std::fmt::Display) -> ApiError {
    tracing::warn!(%place, "the file of a result is not there");
    ApiError::new(ErrorCode::ResultExpired, "the file of the result is not there")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_directory_or_a_bucket() {
        assert!(matches!("results".parse(), Ok(StoragePlace::Directory(_))));
        assert!(matches!("/a/b".parse(), Ok(StoragePlace::Directory(_))));
        assert!(matches!("s3://a/b".parse(), Ok(StoragePlace::Bucket(_))));
        for text in ["", "http://a/b", "s3://", "s3://a/../b"] {
            assert!(text.parse::<StoragePlace>().is_err(), "{text}");
        }
        for text in ["a/b", "gs://a/b"] {
            assert_eq!(String::from(text.parse::<StoragePlace>().unwrap()), text);
        }
    }
}
