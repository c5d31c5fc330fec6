//! S3, and stores that speak it.

mod role;
mod sts;

use std::sync::Arc;

use async_trait::async_trait;
use harvestman_engine::Result;
use object_store::{
    StaticCredentialProvider,
    aws::{AmazonS3Builder, AwsAuthorizer, AwsCredential, AwsCredentialProvider, Checksum},
    client::{HttpClient, HttpRequest},
};
use url::Url;

use self::{role::AssumedRole, sts::Sts};
use crate::{
    Access, Bucket, Location, Role, S3Settings, Storage,
    storage::{endpoint, retries, unusable},
    uploads::{Signing, Uploads},
};

const DEFAULT_REGION: &str = "us-east-1";

pub(crate) fn open(
    storage: &Storage,
    settings: &S3Settings,
    location: &Location,
    access: &Access,
) -> Result<Bucket> {
    let own_region = settings.region.as_deref().unwrap_or(DEFAULT_REGION);
    let region = location.region().unwrap_or(own_region);
    let base = match &settings.endpoint {
        Some(url) => endpoint(url)?,
        None => endpoint(&format!("https://s3.{region}.amazonaws.com"))?,
    };
    let client = storage.client(&base, settings.endpoint.is_some())?;
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(location.bucket())
        .with_region(region)
        .with_endpoint(base.as_str().trim_end_matches('/'))
        .with_allow_http(base.scheme() == "http")
        .with_retry(retries())
        .with_http_connector(client.clone());
    if !settings.without_checksums {
        builder = builder.with_checksum_algorithm(Checksum::SHA256);
    }
    let credentials = match access {
        Access::Own => Some(own(settings, location)?),
        Access::Role(role) => Some(assumed(storage, settings, location, own_region, role)?),
        Access::Anonymous => None,
    };
    builder = match &credentials {
        Some(credentials) => builder.with_credentials(Arc::clone(credentials)),
        // Nobody's keys: without any, the builder would look for the machine's.
        None => builder.with_skip_signature(true).with_credentials(nobody()),
    };
    let store = Arc::new(builder.build().map_err(unusable(location))?);
    let bucket = bucket_url(&base, location.bucket());
    let uploads = credentials.map(|credentials| {
        let signing = Box::new(SigV4 { credentials, region: region.to_owned() });
        let client = HttpClient::new(client);
        Arc::new(Uploads { client, bucket, signing, store: Arc::clone(&store) as _ })
    });
    let (location, signer) = (location.clone(), Arc::clone(&store) as _);
    Ok(Bucket { location, store, signer, uploads })
}

/// The operator's identity.
fn own(settings: &S3Settings, location: &Location) -> Result<AwsCredentialProvider> {
    let Some(keys) = &settings.keys else {
        // The chain of the machine; the bucket is never asked.
        let machine = AmazonS3Builder::from_env().with_bucket_name("none").build();
        return Ok(Arc::clone(machine.map_err(unusable(location))?.credentials()));
    };
    let (key_id, secret_key) = (keys.id.clone(), keys.secret.clone());
    let credential = AwsCredential { key_id, secret_key, token: keys.token.clone() };
    Ok(Arc::new(StaticCredentialProvider::new(credential)))
}

fn nobody() -> AwsCredentialProvider {
    let (key_id, secret_key) = (String::new(), String::new());
    Arc::new(StaticCredentialProvider::new(AwsCredential { key_id, secret_key, token: None }))
}

fn assumed(
    storage: &Storage,
    settings: &S3Settings,
    location: &Location,
    region: &str,
    role: &Role,
) -> Result<AwsCredentialProvider> {
    let url = match &settings.sts_endpoint {
        Some(url) => endpoint(url)?,
        None => endpoint(&format!("https://sts.{region}.amazonaws.com"))?,
    };
    let client = HttpClient::new(storage.client(&url, settings.sts_endpoint.is_some())?);
    let sts = Sts { client, url, region: region.to_owned(), identity: own(settings, location)? };
    Ok(Arc::new(AssumedRole::new(sts, role.clone(), role.policy(location))))
}

fn bucket_url(base: &Url, bucket: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{bucket}", base.path().trim_end_matches('/')));
    url
}

#[derive(Debug)]
struct SigV4 {
    credentials: AwsCredentialProvider,
    region: String,
}

#[async_trait]
impl Signing for SigV4 {
    async fn sign(&self, request: &mut HttpRequest) -> object_store::Result<()> {
        let credential = self.credentials.get_credential().await?;
        AwsAuthorizer::new(&credential, "s3", &self.region).try_authorize(request, None)
    }
}
