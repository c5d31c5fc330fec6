//! The closed list of codes that a URL's error can have.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $text:literal, $retryable:literal;)+) => {
        /// Why a URL has no data. The same words stand in records, reports, webhooks and metrics.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code { $($(#[doc = $doc])+ $variant,)+ }

        impl Code {
            /// Every code, in the order of the contract.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The stable name, e.g. `target_429`.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// Whether a later try may well succeed.
            pub fn is_retryable(self) -> bool {
                match self { $(Self::$variant => $retryable,)+ }
            }
        }
    };
}

codes! {
    /// The line or its URL can't be used; nothing was fetched.
    InvalidUrl = "invalid_url", false;
    /// The host name has no address, or the resolver failed.
    DnsFailure = "dns_failure", true;
    /// No connection, or it broke before the answer.
    ConnectFailed = "connect_failed", true;
    /// The TLS handshake failed, e.g. by an expired certificate.
    TlsError = "tls_error", false;
    /// The attempt took longer than `timeout_ms`.
    Timeout = "timeout", true;
    /// The server answered with a 4xx status other than 429.
    Target4xx = "target_4xx", false;
    /// The server asked to slow down.
    Target429 = "target_429", true;
    /// The server answered with a 5xx status.
    Target5xx = "target_5xx", true;
    /// The answer is a refusal of robots.
    Blocked = "blocked", true;
    /// The answer is a captcha.
    Captcha = "captcha", true;
    /// More redirects than `follow_redirects`, or one that can't be followed.
    TooManyRedirects = "too_many_redirects", false;
    /// The decoded body is larger than `max_bytes`.
    BodyTooLarge = "body_too_large", false;
    /// The body ended before its announced end.
    Truncated = "truncated", true;
    /// The body is not text that can be decoded.
    DecodeError = "decode_error", false;
    /// The browser could not render the page.
    RenderFailed = "render_failed", true;
    /// The extractor failed on the page.
    ExtractFailed = "extract_failed", false;
    /// The page lacks what a strict schema requires.
    ValidationFailed = "validation_failed", false;
    /// The line's `extract` does not fit the columns of the job.
    SchemaMismatch = "schema_mismatch", false;
    /// The host's robots.txt denies the page.
    RobotsDenied = "robots_denied", false;
    /// The address is not one that the operator has allowed.
    ForbiddenAddress = "forbidden_address", false;
    /// The proxy failed or refused.
    ProxyError = "proxy_error", true;
    /// A plugin panicked on this URL.
    PluginPanic = "plugin_panic", false;
    /// The process died several times with this URL in flight.
    Poisoned = "poisoned", false;
    /// The job was cancelled while the URL was in flight.
    Cancelled = "cancelled", true;
    /// A defect of ours.
    Internal = "internal", true;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is no code.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no error code")]
pub struct UnknownCode(String);

impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        let found = Self::ALL.iter().find(|code| code.as_str() == text);
        found.copied().ok_or_else(|| UnknownCode(text.to_owned()))
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back_from_its_name() {
        for code in Code::ALL {
            assert_eq!(code.as_str().parse::<Code>().unwrap(), *code);
        }
        assert!("nope".parse::<Code>().is_err());
    }
}
