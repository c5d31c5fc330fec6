//! Google Cloud Storage.

use std::sync::Arc;

use async_trait::async_trait;
use harvestman_engine::Result;
use http::{HeaderValue, header::AUTHORIZATION};
use object_store::{
    Error, StaticCredentialProvider,
    client::{HttpClient, HttpRequest},
    gcp::{GcpCredential, GcpCredentialProvider, GcpSigningCredential, GoogleCloudStorageBuilder},
};
use url::Url;

use crate::{
    Access, Bucket, GcsSettings, Location, Storage,
    storage::{endpoint, no_roles, retries, unusable},
    uploads::{Signing, Uploads},
};

const DEFAULT_ENDPOINT: &str = "https://storage.googleapis.com";

pub(crate) fn open(
    storage: &Storage,
    settings: &GcsSettings,
    location: &Location,
    access: &Access,
) -> Result<Bucket> {
    let base = endpoint(settings.endpoint.as_deref().unwrap_or(DEFAULT_ENDPOINT))?;
    let client = storage.client(&base, settings.endpoint.is_some())?;
    let builder = match access {
        Access::Own => own(settings, location)?,
        // Nobody's token: without any, the builder would look for the machine's.
        Access::Anonymous => bearer("").with_skip_signature(true),
        Access::Role(_) => return no_roles(location),
    };
    let builder = builder
        .with_bucket_name(location.bucket())
        .with_base_url(base.as_str().trim_end_matches('/'))
        .with_retry(retries())
        .with_http_connector(client.clone());
    let store = Arc::new(builder.build().map_err(unusable(location))?);
    let uploads = matches!(access, Access::Own).then(|| {
        let signing = Box::new(Bearer(Arc::clone(store.credentials())));
        let bucket = bucket_url(&base, location.bucket());
        let client = HttpClient::new(client);
        Arc::new(Uploads { client, bucket, signing, store: Arc::clone(&store) as _ })
    });
    let (location, signer) = (location.clone(), Arc::clone(&store) as _);
    Ok(Bucket { location, store, signer, uploads })
}

/// The operator's identity. Its tokens are fetched elsewhere than objects are, so that it has a
/// client of its own.
fn own(settings: &GcsSettings, location: &Location) -> Result<GoogleCloudStorageBuilder> {
    let builder = match (&settings.service_account, &settings.bearer) {
        (Some(key), _) => GoogleCloudStorageBuilder::new().with_service_account_key(key),
        (None, Some(token)) => return Ok(bearer(token)),
        // The chain of the machine; the bucket is never asked.
        (None, None) => GoogleCloudStorageBuilder::from_env(),
    };
    let identity = builder.with_bucket_name("none").build().map_err(unusable(location))?;
    Ok(GoogleCloudStorageBuilder::new()
        .with_credentials(Arc::clone(identity.credentials()))
        .with_signing_credentials(Arc::clone(identity.signing_credentials())))
}

fn bearer(token: &str) -> GoogleCloudStorageBuilder {
    let credential = GcpCredential { bearer: token.to_owned() };
    let signing = GcpSigningCredential { email: String::new(), private_key: None };
    GoogleCloudStorageBuilder::new()
        .with_credentials(Arc::new(StaticCredentialProvider::new(credential)))
        .with_signing_credentials(Arc::new(StaticCredentialProvider::new(signing)))
}

fn bucket_url(base: &Url, bucket: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{bucket}", base.path().trim_end_matches('/')));
    url
}

#[derive(Debug)]
struct Bearer(GcpCredentialProvider);

#[async_trait]
impl Signing for Bearer {
    async fn sign(&self, request: &mut HttpRequest) -> object_store::Result<()> {
        let credential = self.0.get_credential().await?;
        let value = HeaderValue::from_str(&format!("Bearer {}", credential.bearer));
        let value = value.map_err(|error| Error::Generic { store: "GCS", source: error.into() })?;
        request.headers_mut().insert(AUTHORIZATION, value);
        Ok(())
    }
}
