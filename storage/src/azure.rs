//! Azure Blob Storage.

use std::sync::Arc;

use harvestman_engine::{Error, Result};
use object_store::azure::MicrosoftAzureBuilder;

use crate::{
    Access, AzureSettings, Bucket, Location, Storage,
    storage::{endpoint, no_roles, retries, unusable},
};

pub(crate) fn open(
    storage: &Storage,
    settings: &AzureSettings,
    location: &Location,
    access: &Access,
) -> Result<Bucket> {
    let Some(account) = &settings.account else {
        return Err(Error::invalid("the storage's account", "is not set"));
    };
    let base = match &settings.endpoint {
        Some(url) => endpoint(url)?,
        None => endpoint(&format!("https://{account}.blob.core.windows.net"))?,
    };
    let builder = MicrosoftAzureBuilder::new().with_account(account);
    let builder = match (access, &settings.key) {
        (Access::Own, Some(key)) => builder.with_access_key(key),
        // The machine's tokens are fetched elsewhere than blobs are, by a client of their own.
        (Access::Own, None) => {
            let machine = MicrosoftAzureBuilder::from_env().with_account(account);
            let machine = machine.with_container_name("none").build();
            let machine = machine.map_err(unusable(location))?;
            builder.with_credentials(Arc::clone(machine.credentials()))
        }
        (Access::Anonymous, _) => builder.with_skip_signature(true),
        (Access::Role(_), _) => return no_roles(location),
    };
    let builder = builder
        .with_container_name(location.bucket())
        .with_endpoint(base.as_str().trim_end_matches('/').to_owned())
        .with_allow_http(base.scheme() == "http")
        .with_retry(retries())
        .with_http_connector(storage.client(&base, settings.endpoint.is_some())?);
    let store = Arc::new(builder.build().map_err(unusable(location))?);
    let (location, signer) = (location.clone(), Arc::clone(&store) as _);
    Ok(Bucket { location, store, signer, uploads: None })
}
