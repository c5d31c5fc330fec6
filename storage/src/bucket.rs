//! A place in a bucket that was opened.

use std::{sync::Arc, time::Duration};

use harvestman_engine::{Error, Result};
use object_store::{ObjectStore, path::Path, signer::Signer};
use url::Url;

use crate::{Location, uploads::Uploads};

/// How long a presigned link may be valid: what S3 and Google allow.
const MAX_SIGNED: Duration = Duration::from_hours(24 * 7);

/// A place in a bucket, opened for somebody. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Bucket {
    pub(crate) location: Location,
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) signer: Arc<dyn Signer>,
    pub(crate) uploads: Option<Arc<Uploads>>,
}

impl Bucket {
    /// Which place it is.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Its key in the bucket.
    pub fn path(&self) -> &Path {
        self.location.path()
    }

    /// The bucket.
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// A link to an object of the bucket that needs no key and works for a while, at most 7 days and
    /// no longer than the credentials that sign it.
    pub async fn signed_link(&self, path: &Path, valid: Duration) -> Result<Url> {
        let signed = self.signer.signed_url(http::Method::GET, path, valid.min(MAX_SIGNED)).await;
        signed.map_err(|error| Error::part("store", error))
    }

    /// Aborts the uploads under this place that nobody has completed, and tells how many they were.
    /// Azure forgets them by itself after a week.
    pub async fn abort_uploads(&self) -> object_store::Result<usize> {
        match &self.uploads {
            Some(uploads) => uploads.abort(self.path()).await,
            None => Ok(0),
        }
    }
}
