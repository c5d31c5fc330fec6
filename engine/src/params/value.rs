//! The types of single parameters.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;

use super::MAX_NESTING;
use crate::{Code, FetchError};

/// A class of proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProxyType {
    /// Of a hosting provider: fast, cheap, easily recognised.
    Datacenter,
    /// Of private lines.
    Residential,
    /// Of mobile networks.
    Mobile,
}

/// What a record holds of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Format {
    /// The fields of `extract`.
    Data,
    /// The HTML.
    Html,
    /// The visible text.
    Text,
    /// The page as Markdown.
    Markdown,
    /// The absolute link targets.
    Links,
}

/// Which failures of a URL are tried again, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct RetryParams {
    /// The kinds of failure; all of them by default.
    pub on: Vec<RetryReason>,
    /// How many tries follow the first one; 2 by default.
    pub max: u32,
    /// Go on to a stronger means (a browser, another class of proxy) after a refusal.
    pub escalate: bool,
}

impl Default for RetryParams {
    fn default() -> Self {
        use RetryReason::{Block, Network, ServerError, Timeout, TooManyRequests};
        let on = vec![ServerError, TooManyRequests, Timeout, Block, Network];
        Self { on, max: 2, escalate: false }
    }
}

impl RetryParams {
    /// No retries at all.
    pub fn never() -> Self {
        Self { max: 0, ..Self::default() }
    }

    /// Retries of every kind, up to `max` after the first try.
    pub fn up_to(max: u32) -> Self {
        Self { max, ..Self::default() }
    }

    /// Whether this failure is of a kind that is tried again.
    pub fn covers(&self, error: &FetchError) -> bool {
        error.retryable && RetryReason::of(error.code).is_some_and(|kind| self.on.contains(&kind))
    }
}

/// A kind of failure that may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum RetryReason {
    /// The server failed: [`Code::Target5xx`].
    #[serde(rename = "5xx")]
    ServerError,
    /// The server asked to slow down: [`Code::Target429`].
    #[serde(rename = "429")]
    TooManyRequests,
    /// [`Code::Timeout`].
    #[serde(rename = "timeout")]
    Timeout,
    /// [`Code::Blocked`] and [`Code::Captcha`].
    #[serde(rename = "block")]
    Block,
    /// Everything on the way to the page: names, connections, proxies, browsers, cut bodies.
    #[serde(rename = "network")]
    Network,
}

impl RetryReason {
    /// The kind that a code belongs to; `None` for those that are never tried again.
    fn of(code: Code) -> Option<Self> {
        Some(match code {
            Code::Target5xx => Self::ServerError,
            Code::Target429 => Self::TooManyRequests,
            Code::Timeout => Self::Timeout,
            Code::Blocked | Code::Captcha => Self::Block,
            Code::DnsFailure
            | Code::ConnectFailed
            | Code::Truncated
            | Code::ProxyError
            | Code::RenderFailed
            | Code::Internal => Self::Network,
            _ => return None,
        })
    }
}

/// A status, or a class of them such as `"4xx"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusRange {
    pub(super) first: u16,
    last: u16,
}

impl StatusRange {
    /// Whether the status is in the range.
    pub fn contains(self, status: u16) -> bool {
        (self.first..=self.last).contains(&status)
    }

    /// The first digit of a class.
    pub(super) fn class(self) -> Option<u16> {
        (self.first != self.last).then_some(self.first / 100)
    }
}

impl<'de> Deserialize<'de> for StatusRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = StatusRange;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a status such as 404, or a class such as \"4xx\"")
            }

            fn visit_u64<E: de::Error>(self, status: u64) -> Result<StatusRange, E> {
                match u16::try_from(status) {
                    Ok(status @ 100..=599) => Ok(StatusRange { first: status, last: status }),
                    _ => Err(E::invalid_value(de::Unexpected::Unsigned(status), &self)),
                }
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<StatusRange, E> {
                if let Ok(status) = text.parse() {
                    return self.visit_u64(status);
                }
                let class = match text.as_bytes() {
                    [class @ b'1'..=b'5', b'x', b'x'] => u16::from(class - b'0') * 100,
                    _ => return Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                };
                Ok(StatusRange { first: class, last: class + 99 })
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

/// A request body: a string is sent as it is, any other JSON value as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    bytes: bytes::Bytes,
    is_json: bool,
}

impl Body {
    /// A body that is sent as it is.
    pub fn text(text: impl Into<String>) -> Self {
        Self { bytes: text.into().into(), is_json: false }
    }

    /// The bytes to send.
    pub fn bytes(&self) -> &bytes::Bytes {
        &self.bytes
    }

    /// Whether it goes as `application/json` unless a header says otherwise.
    pub fn is_json(&self) -> bool {
        self.is_json
    }
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Value::deserialize(deserializer)? {
            Value::String(text) => Self::text(text),
            json if is_deeper_than(&json, MAX_NESTING) => {
                let message = format!("is nested deeper than {MAX_NESTING} levels");
                return Err(de::Error::custom(message));
            }
            json => Self { bytes: json.to_string().into(), is_json: true },
        })
    }
}

/// Whether lists and objects stand in one another more than `levels` deep. What is no deeper can be
/// put into another document and still be read: `serde_json` refuses 128 levels.
pub(crate) fn is_deeper_than(value: &Value, levels: usize) -> bool {
    let Some(below) = levels.checked_sub(1) else { return value.is_array() || value.is_object() };
    match value {
        Value::Array(values) => values.iter().any(|value| is_deeper_than(value, below)),
        Value::Object(object) => object.values().any(|value| is_deeper_than(value, below)),
        _ => false,
    }
}
