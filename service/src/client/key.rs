//! The key of a service, which nobody gets to see.

use std::{convert::Infallible, fmt, str::FromStr};

use reqwest::header::HeaderValue;

use super::failure::Failure;

/// A key as it was passed. It is checked when it is used: the command line's own errors would quote it.
#[derive(Clone)]
pub(crate) struct ApiKey(String);

impl ApiKey {
    /// The value of the header `Authorization`.
    pub(crate) fn header(&self) -> Result<HeaderValue, Failure> {
        let key = self.0.trim();
        let is_plain = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
        let header = HeaderValue::try_from(format!("Bearer {key}")).ok().filter(|_| is_plain);
        let Some(mut header) = header else {
            let message = "the key is none; pass it as `harvestman keys create` printed it";
            return Err(Failure::Unusable(message.to_owned()));
        };
        // Keeps it out of the logs of the HTTP client.
        header.set_sensitive(true);
        Ok(header)
    }
}

impl FromStr for ApiKey {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_sent_and_never_shown() {
        let key: ApiKey = " hd_live_s3cret\n".parse().unwrap();
        let header = key.header().unwrap();
        assert_eq!(header.to_str().unwrap(), "Bearer hd_live_s3cret");
        assert!(!format!("{key:?} {header:?}").contains("s3cret"));
        for bad in ["", "s3 cret", "s3\r\ncret: y", "s3é"] {
            let failure = bad.parse::<ApiKey>().unwrap().header().unwrap_err();
            assert!(!failure.to_string().contains("s3"), "{failure}");
        }
    }
}
