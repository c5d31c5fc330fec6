//! What an operator says of each provider.

use std::fmt;

/// How S3, or a store that speaks it, is reached: by default AWS, `us-east-1`, as the machine.
#[derive(Clone, Default)]
pub struct S3Settings {
    pub(crate) endpoint: Option<String>,
    pub(crate) sts_endpoint: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) keys: Option<Keys>,
    pub(crate) without_checksums: bool,
}

#[derive(Clone)]
#[cfg_attr(not(feature = "aws"), expect(dead_code, reason = "S3 only has keys"))]
pub(crate) struct Keys {
    pub(crate) id: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
}

/// How Google Cloud Storage is reached: by default as the machine.
#[derive(Clone, Default)]
pub struct GcsSettings {
    pub(crate) endpoint: Option<String>,
    pub(crate) service_account: Option<String>,
    pub(crate) bearer: Option<String>,
}

/// How Azure Blob Storage is reached: by default as the machine.
#[derive(Clone, Default)]
pub struct AzureSettings {
    pub(crate) endpoint: Option<String>,
    pub(crate) account: Option<String>,
    pub(crate) key: Option<String>,
}

impl S3Settings {
    /// AWS, `us-east-1`, as the machine.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the usual variables say: `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL_STS`,
    /// `AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_DEFAULT_REGION`. Keys are looked up when they are needed.
    pub fn from_env() -> Self {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&str]| {
            names.iter().find_map(|name| variable(name).filter(|value| !value.is_empty()))
        };
        Self {
            endpoint: first(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]),
            sts_endpoint: first(&["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"]),
            region: first(&["AWS_REGION", "AWS_DEFAULT_REGION"]),
            keys: None,
            without_checksums: false,
        }
    }

    /// Sets the URL of a store that speaks S3, `https` or `http`. Buckets are part of the path.
    #[must_use]
    pub fn with_endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(url.into());
        self
    }

    /// Sets the URL at which roles are taken on; by default that of AWS in the region.
    #[must_use]
    pub fn with_sts_endpoint(mut self, url: impl Into<String>) -> Self {
        self.sts_endpoint = Some(url.into());
        self
    }

    /// Sets the region.
    #[must_use]
    pub fn with_region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Sets the operator's own keys; by default those of the machine: the environment, a web
    /// identity, the container's or the instance's role.
    #[must_use]
    pub fn with_keys(mut self, id: impl Into<String>, secret: impl Into<String>) -> Self {
        self.keys = Some(Keys { id: id.into(), secret: secret.into(), token: None });
        self
    }

    /// Leaves out the SHA-256 that goes with each upload, for a store that doesn't know it.
    #[must_use]
    pub fn without_checksums(mut self) -> Self {
        self.without_checksums = true;
        self
    }
}

impl GcsSettings {
    /// Google Cloud Storage, as the machine.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the URL of a store that speaks Google's XML interface.
    #[must_use]
    pub fn with_endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(url.into());
        self
    }

    /// Sets the operator's own service account: the JSON of its key.
    #[must_use]
    pub fn with_service_account(mut self, json: impl Into<String>) -> Self {
        self.service_account = Some(json.into());
        self
    }

    /// Sets a token to show instead, which isn't renewed.
    #[must_use]
    pub fn with_bearer_token(mut self, token: impl Into<String>) -> Self {
        self.bearer = Some(token.into());
        self
    }
}

impl AzureSettings {
    /// Azure Blob Storage, as the machine.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the account.
    #[must_use]
    pub fn with_account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// Sets the URL of the account; by default that of Azure.
    #[must_use]
    pub fn with_endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(url.into());
        self
    }

    /// Sets the operator's own key of the account.
    #[must_use]
    pub fn with_access_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }
}

macro_rules! debug_without_secrets {
    ($($settings:ident)*) => {$(
        impl fmt::Debug for $settings {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($settings))
                    .field("endpoint", &self.endpoint)
                    .finish_non_exhaustive()
            }
        }
    )*};
}

debug_without_secrets! { S3Settings GcsSettings AzureSettings }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_particular_variable_wins_and_an_empty_one_says_nothing() {
        let settings = S3Settings::from_variables(|name| {
            let value = match name {
                "AWS_ENDPOINT_URL" => "http://all.test",
                "AWS_ENDPOINT_URL_S3" => "http://s3.test",
                "AWS_REGION" => "",
                "AWS_DEFAULT_REGION" => "eu-west-1",
                _ => return None,
            };
            Some(value.to_owned())
        });
        assert_eq!(settings.endpoint.as_deref(), Some("http://s3.test"));
        assert_eq!(settings.sts_endpoint.as_deref(), Some("http://all.test"));
        assert_eq!(settings.region.as_deref(), Some("eu-west-1"));
    }

    #[test]
    fn no_secret_is_shown() {
        let s3 = S3Settings::new().with_keys("id", "hidden");
        let gcs = GcsSettings::new().with_service_account("hidden").with_bearer_token("hidden");
        let azure = AzureSettings::new().with_access_key("hidden");
        let shown = format!("{s3:?} {gcs:?} {azure:?}");
        assert!(!shown.contains("hidden"), "{shown}");
    }
}
