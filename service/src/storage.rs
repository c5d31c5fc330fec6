//! The options about buckets, and the storage that they make.

use std::{fs, path::PathBuf};

use clap::Args;
use harvestman::{
    Error, Result,
    storage::{AzureSettings, GcsSettings, S3Settings, Storage},
};
use serde::{Deserialize, Serialize};

/// How buckets are reached. Keys are never among the options: they come from the variables that each
/// provider's own tools take, or from the machine's identity.
#[derive(Args, Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Buckets")]
pub(crate) struct StorageArgs {
    /// The URL of a store that speaks S3, e.g. `http://minio.internal:9000` [default: AWS, or
    /// `AWS_ENDPOINT_URL_S3`]
    #[arg(long, env = "HARVESTMAN_S3_ENDPOINT", value_name = "URL")]
    s3_endpoint: Option<String>,

    /// The region of its buckets [default: `AWS_REGION`, or us-east-1]
    #[arg(long, env = "HARVESTMAN_S3_REGION", value_name = "REGION")]
    s3_region: Option<String>,

    /// The URL at which roles are taken on [default: AWS in the region, or `AWS_ENDPOINT_URL_STS`]
    #[arg(long, env = "HARVESTMAN_STS_ENDPOINT", value_name = "URL")]
    sts_endpoint: Option<String>,

    /// The URL of a store that speaks Google Cloud Storage's XML interface [default: Google]
    #[arg(long, env = "HARVESTMAN_GCS_ENDPOINT", value_name = "URL")]
    gcs_endpoint: Option<String>,

    /// The account of Azure Blob Storage, without which az:// is refused [default:
    /// `AZURE_STORAGE_ACCOUNT_NAME`]
    #[arg(long, env = "HARVESTMAN_AZURE_ACCOUNT", value_name = "NAME")]
    azure_account: Option<String>,

    /// The URL of that account [default: Azure]
    #[arg(long, env = "HARVESTMAN_AZURE_ENDPOINT", value_name = "URL")]
    azure_endpoint: Option<String>,

    /// A PEM file of certificates that endpoints may be known by, beside those that the machine trusts
    #[arg(long, env = "HARVESTMAN_STORAGE_CERTIFICATES", value_name = "FILE")]
    storage_certificates: Option<PathBuf>,
}

impl StorageArgs {
    /// Nothing is connected to yet. The endpoints are the operator's, so that they may be at any
    /// address; those of the providers may not.
    pub(crate) fn open(&self) -> Result<Storage> {
        let mut s3 = S3Settings::from_env();
        if let Some(url) = &self.s3_endpoint {
            s3 = s3.with_endpoint(url);
        }
        if let Some(region) = &self.s3_region {
            s3 = s3.with_region(region);
        }
        if let Some(url) = &self.sts_endpoint {
            s3 = s3.with_sts_endpoint(url);
        }
        let mut gcs = GcsSettings::new();
        if let Some(url) = &self.gcs_endpoint {
            gcs = gcs.with_endpoint(url);
        }
        let mut storage = Storage::builder().s3(s3).gcs(gcs).trust_endpoints();
        if let Some(path) = &self.storage_certificates {
            let pem = fs::read(path).map_err(Error::io("read", path))?;
            storage = storage.trust(&pem)?;
        }
        Ok(match self.azure() {
            Some(azure) => storage.azure(azure).build(),
            None => storage.build(),
        })
    }

    fn azure(&self) -> Option<AzureSettings> {
        let said = || std::env::var("AZURE_STORAGE_ACCOUNT_NAME").ok();
        let account = self.azure_account.clone().or_else(said)?;
        let azure = AzureSettings::new().with_account(account);
        Some(match &self.azure_endpoint {
            Some(url) => azure.with_endpoint(url),
            None => azure,
        })
    }
}
