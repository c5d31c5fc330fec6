//! Multipart uploads that were begun and never completed. `object_store` can't list them.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use futures::TryStreamExt;
use http::Method;
use object_store::{
    Error, Result,
    client::{HttpClient, HttpRequest, HttpRequestBody},
    multipart::MultipartStore,
    path::Path,
};
use serde::Deserialize;
use url::Url;

/// The most bytes of an answer: a page of 1,000 uploads is less than half of it.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;
/// The most uploads that are aborted at once; with more, the rest is left to the next time.
const MAX_UPLOADS: usize = 10_000;

/// Lists uploads under way in a bucket of S3 or of Google's XML interface, and aborts them.
pub(crate) struct Uploads {
    pub(crate) client: HttpClient,
    /// The URL of the bucket.
    pub(crate) bucket: Url,
    pub(crate) signing: Box<dyn Signing>,
    pub(crate) store: Arc<dyn MultipartStore>,
}

impl fmt::Debug for Uploads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uploads").field("bucket", &self.bucket.as_str()).finish_non_exhaustive()
    }
}

/// Authorizes a request of ours.
#[async_trait]
pub(crate) trait Signing: fmt::Debug + Send + Sync {
    async fn sign(&self, request: &mut HttpRequest) -> Result<()>;
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Listed {
    is_truncated: bool,
    next_key_marker: String,
    next_upload_id_marker: String,
    #[serde(rename = "Upload")]
    uploads: Vec<Upload>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Upload {
    key: String,
    upload_id: String,
}

impl Uploads {
    /// Aborts the uploads whose key lies under `prefix`, or is it.
    pub(crate) async fn abort(&self, prefix: &Path) -> Result<usize> {
        let mut aborted = 0;
        let mut page = Listed::default();
        loop {
            page = self.list(prefix, &page).await?;
            for upload in &page.uploads {
                let key = Path::parse(&upload.key)?;
                if key.prefix_matches(prefix) {
                    ignore_missing(self.store.abort_multipart(&key, &upload.upload_id).await)?;
                    aborted += 1;
                }
            }
            if !page.is_truncated || aborted >= MAX_UPLOADS {
                return Ok(aborted);
            }
        }
    }

    async fn list(&self, prefix: &Path, before: &Listed) -> Result<Listed> {
        let mut url = self.bucket.clone();
        url.query_pairs_mut()
            .append_pair("prefix", prefix.as_ref())
            .append_pair("uploads", "")
            .extend_pairs(
                [
                    ("key-marker", &before.next_key_marker),
                    ("upload-id-marker", &before.next_upload_id_marker),
                ]
                .into_iter()
                .filter(|(_, marker)| !marker.is_empty()),
            );
        // A signature wants `%20`, a form writes `+`.
        let query = url.query().unwrap_or_default().replace('+', "%20");
        url.set_query(Some(&query));
        let mut request = http::Request::builder()
            .method(Method::GET)
            .uri(url.as_str())
            .body(HttpRequestBody::empty())
            .map_err(generic)?;
        self.signing.sign(&mut request).await?;
        let answer = self.client.execute(request).await.map_err(generic)?;
        let status = answer.status();
        let mut body = Vec::new();
        let mut chunks = answer.into_body().bytes_stream();
        while let Some(chunk) = chunks.try_next().await.map_err(generic)? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_ANSWER_BYTES {
                return Err(generic("the list of uploads is too long"));
            }
        }
        let body = String::from_utf8_lossy(&body);
        if status == http::StatusCode::FORBIDDEN {
            let source = body.into_owned().into();
            return Err(Error::PermissionDenied { path: prefix.to_string(), source });
        }
        if !status.is_success() {
            return Err(generic(format!("the list of uploads: {status} {body}")));
        }
        quick_xml::de::from_str(&body).map_err(generic)
    }
}

fn ignore_missing(aborted: Result<()>) -> Result<()> {
    match aborted {
        Err(Error::NotFound { .. }) => Ok(()),
        other => other,
    }
}

fn generic(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic { store: "uploads", source: source.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_whatever_else_is_in_it() {
        let page = "<?xml version=\"1.0\"?><ListMultipartUploadsResult xmlns=\"http://s3\"><Bucket>b</Bucket>\
            <NextKeyMarker>k</NextKeyMarker><IsTruncated>true</IsTruncated>\
            <Upload><Key>a/b</Key><UploadId>1</UploadId><Initiator><ID>x</ID></Initiator></Upload>\
            <Upload><Key>a/c&amp;d</Key><UploadId>2</UploadId></Upload></ListMultipartUploadsResult>";
        let page: Listed = quick_xml::de::from_str(page).unwrap();
        assert!(page.is_truncated && page.next_key_marker == "k");
        let found: Vec<_> =
            page.uploads.iter().map(|found| (&*found.key, &*found.upload_id)).collect();
        assert_eq!(found, [("a/b", "1"), ("a/c&d", "2")]);
        let empty: Listed =
            quick_xml::de::from_str("<R><IsTruncated>false</IsTruncated></R>").unwrap();
        assert!(empty.uploads.is_empty());
    }
}
