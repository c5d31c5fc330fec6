//! What an operator configures, and what is opened by it.

use std::time::Duration;

use harvestman_engine::{
    Error, Result,
    address::{AddressGuard, AddressRule},
};
use object_store::RetryConfig;
use reqwest::Certificate;
use url::Url;

use crate::{
    Access, AzureSettings, Bucket, GcsSettings, Location, Provider, S3Settings,
    client::GuardedClient,
};

/// How long a request that fails may be repeated; what reads and writes objects goes on from there.
const RETRY_TIME: Duration = Duration::from_mins(2);
/// How often at most.
const MAX_RETRIES: usize = 10;

/// The stores that can be opened. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Storage {
    guard: AddressGuard,
    trusts_endpoints: bool,
    trusted: Vec<Certificate>,
    s3: Option<S3Settings>,
    gcs: Option<GcsSettings>,
    azure: Option<AzureSettings>,
}

/// Sets up a [`Storage`]. A provider that isn't named can't be opened.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct StorageBuilder(Storage);

impl StorageBuilder {
    /// Lets S3 be opened.
    pub fn s3(mut self, settings: S3Settings) -> Self {
        self.0.s3 = Some(settings);
        self
    }

    /// Lets Google Cloud Storage be opened.
    pub fn gcs(mut self, settings: GcsSettings) -> Self {
        self.0.gcs = Some(settings);
        self
    }

    /// Lets Azure Blob Storage be opened.
    pub fn azure(mut self, settings: AzureSettings) -> Self {
        self.0.azure = Some(settings);
        self
    }

    /// Lets endpoints at addresses that are not public be connected to. Pages are not meant by it.
    pub fn allow(mut self, rule: AddressRule) -> Self {
        self.0.guard = self.0.guard.with_allowed(rule);
        self
    }

    /// Lets the endpoints that the settings name be at any address, whatever the rules: for settings
    /// that nobody but the operator writes.
    pub fn trust_endpoints(mut self) -> Self {
        self.0.trusts_endpoints = true;
        self
    }

    /// Trusts the certificates of a PEM file beside those that the machine trusts, at every endpoint:
    /// for stores that have an authority of their own.
    pub fn trust(mut self, pem: &[u8]) -> Result<Self> {
        let invalid = |message: &str| Error::invalid("the storage's certificates", message);
        let certificates = Certificate::from_pem_bundle(pem);
        let certificates = certificates.map_err(|_| invalid("are no PEM"))?;
        if certificates.is_empty() {
            return Err(invalid("are none; a certificate begins with -----BEGIN CERTIFICATE-----"));
        }
        self.0.trusted.extend(certificates);
        Ok(self)
    }

    /// Nothing is connected to yet.
    pub fn build(self) -> Storage {
        self.0
    }
}

impl Storage {
    /// Nothing can be opened at first.
    pub fn builder() -> StorageBuilder {
        StorageBuilder::default()
    }

    /// Whether places of this provider can be opened.
    pub fn knows(&self, provider: Provider) -> bool {
        match provider {
            Provider::S3 => cfg!(feature = "aws") && self.s3.is_some(),
            Provider::Gcs => cfg!(feature = "gcp") && self.gcs.is_some(),
            Provider::Azure => cfg!(feature = "azure") && self.azure.is_some(),
        }
    }

    /// Opens a place. Nothing is asked of the store yet, so that neither its absence nor a denial
    /// shows before the first use.
    pub fn open(&self, location: &Location, access: &Access) -> Result<Bucket> {
        match location.provider() {
            #[cfg(feature = "aws")]
            Provider::S3 if let Some(settings) = &self.s3 => {
                crate::s3::open(self, settings, location, access)
            }
            #[cfg(feature = "gcp")]
            Provider::Gcs if let Some(settings) = &self.gcs => {
                crate::gcs::open(self, settings, location, access)
            }
            #[cfg(feature = "azure")]
            Provider::Azure if let Some(settings) = &self.azure => {
                crate::azure::open(self, settings, location, access)
            }
            _ => Err(Error::invalid(
                location.to_string(),
                "can't be opened by this installation, which has no such storage set up",
            )),
        }
    }

    /// A client for an endpoint, which the settings name or which is the provider's own.
    pub(crate) fn client(&self, endpoint: &Url, is_named: bool) -> Result<GuardedClient> {
        if is_named && self.trusts_endpoints {
            return GuardedClient::new(&anywhere(), &self.trusted, endpoint);
        }
        GuardedClient::new(&self.guard, &self.trusted, endpoint)
    }
}

fn anywhere() -> AddressGuard {
    let networks = ["0.0.0.0/0", "::/0"].into_iter().flat_map(str::parse::<AddressRule>);
    networks.fold(AddressGuard::new(), AddressGuard::with_allowed)
}

pub(crate) fn retries() -> RetryConfig {
    RetryConfig { max_retries: MAX_RETRIES, retry_timeout: RETRY_TIME, ..RetryConfig::default() }
}

/// Reads the URL of an endpoint, which only an operator sets.
pub(crate) fn endpoint(url: &str) -> Result<Url> {
    let url: Result<Url, _> = url.trim_end_matches('/').parse();
    let is_fit = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    url.ok().filter(is_fit).ok_or_else(|| {
        Error::invalid(
            "the storage's endpoint",
            "is no URL; write https://host or http://host:port",
        )
    })
}

/// What went wrong while a store was set up, before anything was asked of it.
pub(crate) fn unusable(location: &Location) -> impl Fn(object_store::Error) -> Error {
    move |error| Error::invalid(location.to_string(), error.to_string())
}

/// The error of a role where there are none.
#[cfg(any(feature = "gcp", feature = "azure"))]
pub(crate) fn no_roles<T>(location: &Location) -> Result<T> {
    let message = "has no roles; a role goes with an s3_uri only";
    Err(Error::invalid(location.to_string(), message))
}

#[cfg(test)]
#[cfg(feature = "aws")]
mod tests {
    use object_store::ObjectStoreExt;

    use super::*;
    use crate::Access;

    #[test]
    fn what_is_trusted_is_a_certificate() {
        for pem in ["", "none", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"] {
            let refused = Storage::builder().trust(pem.as_bytes()).unwrap_err();
            assert!(refused.to_string().contains("certificates"), "{pem}: {refused}");
        }
    }

    async fn refused(storage: StorageBuilder) -> String {
        let bucket = storage.build().open(&"s3://a/b".parse().unwrap(), &Access::Anonymous);
        let bucket = bucket.unwrap();
        bucket.store().head(bucket.path()).await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn a_named_endpoint_is_trusted_only_if_told() {
        // Listens and never answers, so that being let through shows.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let builder = || Storage::builder().s3(S3Settings::new().with_endpoint(&endpoint));
        assert!(refused(builder()).await.contains("loopback"));
        let asked = tokio::spawn(refused(builder().trust_endpoints()));
        let met = tokio::task::spawn_blocking(move || listener.accept().is_ok()).await.unwrap();
        asked.abort();
        assert!(met);
    }
}
