//! Sets one parameter by its name from any serde value: a JSON value, a cell of a CSV file.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, LazyLock},
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, Error as _, MapAccess},
};

use super::{
    MAX_FOLLOW_REDIRECTS, MAX_HEADERS, MAX_RETRIES, Param, Params, RetryParams, Said,
    TIMEOUT_RANGE, action, said::SaidHeaders,
};
use crate::ExtractOptions;

/// Keys of a job, which a line can't have.
const JOB_KEYS: &[&str] = &[
    "name",
    "input",
    "urls",
    "upload_id",
    "s3_uri",
    "gcs_uri",
    "defaults",
    "concurrency",
    "output",
    "webhook",
    "max_credits",
    "fail_if",
    "dedupe",
    "deadline_s",
    "cancel_grace_s",
    "dry_run",
];

/// The longest `session_id`, in bytes.
const MAX_SESSION_BYTES: usize = 64;
/// The longest wait for `wait_ms`: the longest attempt.
const MAX_WAIT_MS: u64 = *TIMEOUT_RANGE.end();

/// Merges the value of `key` into `params` and notes that in `said`; null removes what was there.
pub(crate) struct ParamSeed<'a> {
    pub(crate) params: &'a mut Params,
    pub(crate) said: &'a mut Said,
    pub(crate) key: &'a str,
}

impl<'de> DeserializeSeed<'de> for ParamSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        let Some(param) = Param::named(self.key) else { return Err(unknown(self.key)) };
        self.said.insert(param);
        let headers = self.said.headers_mut();
        set_param(self.params, headers, param, value).map_err(|error| named(self.key, error))
    }
}

fn set_param<'de, D: Deserializer<'de>>(
    params: &mut Params,
    said: &mut SaidHeaders,
    param: Param,
    value: D,
) -> Result<(), D::Error> {
    match param {
        Param::Render => set(&mut params.render, value),
        Param::ProxyType => set(&mut params.proxy_type, value),
        Param::Country => set_checked(&mut params.country, value, |text: String| country(&text)),
        Param::SessionId => set_checked(&mut params.session_id, value, session),
        Param::Extract => set(&mut params.extract, value),
        Param::ExtractOptions => set_checked(&mut params.extract_options, value, extract_options),
        Param::Retry => set_checked(&mut params.retry, value, retry),
        Param::Method => set_checked(&mut params.method, value, |name: String| method(&name)),
        Param::Headers => set_headers(&mut params.headers, said, value),
        Param::Cookies => set_checked(&mut params.cookies, value, cookies),
        Param::Body => set(&mut params.body, value),
        Param::UserAgent => set_checked(&mut params.user_agent, value, user_agent),
        Param::TimeoutMs => set_checked(&mut params.timeout, value, timeout),
        Param::MaxBytes => set_checked(&mut params.max_bytes, value, max_bytes),
        Param::AcceptStatus => set(&mut params.accept_status, value),
        Param::FollowRedirects => set_checked(&mut params.follow_redirects, value, redirects),
        Param::WaitFor => set(&mut params.wait_for, value),
        Param::WaitMs => set_checked(&mut params.wait, value, wait),
        Param::BlockResources => set(&mut params.block_resources, value),
        Param::Screenshot => set(&mut params.screenshot, value),
        Param::Actions => set_checked(&mut params.actions, value, action::check),
        Param::Formats => set(&mut params.formats, value),
        Param::RespectRobots => set(&mut params.respect_robots, value),
    }
}

fn unknown<E: de::Error>(key: &str) -> E {
    if JOB_KEYS.contains(&key) {
        return E::custom(format!("`{key}` belongs to the job, not to a line"));
    }
    E::custom(format!("`{key}` is no Scrape parameter"))
}

/// Puts the parameter's name before a message that doesn't have it yet.
fn named<E: de::Error>(key: &str, error: E) -> E {
    let message = error.to_string();
    let has_name = message.trim_start_matches('`').starts_with(key);
    if has_name { error } else { E::custom(format!("{key}: {message}")) }
}

fn set<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    slot: &mut Option<T>,
    value: D,
) -> Result<(), D::Error> {
    *slot = Option::deserialize(value)?;
    Ok(())
}

fn set_checked<'de, T, U: Deserialize<'de>, D: Deserializer<'de>>(
    slot: &mut Option<T>,
    value: D,
    check: impl FnOnce(U) -> Result<T, String>,
) -> Result<(), D::Error> {
    *slot = Option::<U>::deserialize(value)?.map(check).transpose().map_err(D::Error::custom)?;
    Ok(())
}

fn country(text: &str) -> Result<String, String> {
    if text.len() != 2 || !text.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Err(format!("{:?} is no country; write two letters, e.g. \"de\"", excerpt(text)));
    }
    Ok(text.to_ascii_lowercase())
}

/// It becomes part of a user name at a proxy, where other characters may have a meaning.
fn session(text: String) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if text.is_empty() || text.len() > MAX_SESSION_BYTES || !text.bytes().all(is_plain) {
        return Err(format!("must be 1 to {MAX_SESSION_BYTES} letters, digits, `-`, `_` or `.`"));
    }
    Ok(text)
}

fn excerpt(text: &str) -> String {
    crate::excerpt(text.as_bytes(), 40)
}

fn timeout(ms: u64) -> Result<Duration, String> {
    let (least, most) = (TIMEOUT_RANGE.start(), TIMEOUT_RANGE.end());
    in_range(ms, *least, *most).map(Duration::from_millis)
}

fn wait(ms: u64) -> Result<Duration, String> {
    in_range(ms, 0, MAX_WAIT_MS).map(Duration::from_millis)
}

fn max_bytes(bytes: u64) -> Result<u64, String> {
    in_range(bytes, 1, u64::from(u32::MAX))
}

fn redirects(count: u32) -> Result<u32, String> {
    in_range(count, 0, MAX_FOLLOW_REDIRECTS)
}

fn in_range<T: PartialOrd + fmt::Display + Copy>(value: T, least: T, most: T) -> Result<T, String> {
    if value < least || value > most {
        return Err(format!("must be {least} to {most}"));
    }
    Ok(value)
}

fn retry(retry: RetryParams) -> Result<Arc<RetryParams>, String> {
    in_range(retry.max, 0, MAX_RETRIES).map_err(|message| format!("retry.max: {message}"))?;
    Ok(Arc::new(retry))
}

fn extract_options(options: ExtractOptions) -> Result<Arc<ExtractOptions>, String> {
    if options.min_confidence.is_some_and(|least| !(0.0..=1.0).contains(&least)) {
        return Err("min_confidence: must be 0 to 1".to_owned());
    }
    options.check_words()?;
    Ok(Arc::new(options))
}

fn method(name: &str) -> Result<Method, String> {
    static ALLOWED: LazyLock<[Method; 7]> = LazyLock::new(|| {
        use Method as M;
        [M::GET, M::POST, M::PUT, M::PATCH, M::DELETE, M::HEAD, M::OPTIONS]
    });
    let found = ALLOWED.iter().find(|method| method.as_str().eq_ignore_ascii_case(name));
    found.cloned().ok_or_else(|| format!("{name:?} is no method that can be used"))
}

fn user_agent(text: String) -> Result<Arc<str>, String> {
    match HeaderValue::from_str(&text) {
        Ok(_) => Ok(text.into()),
        Err(_) => Err("must not hold control characters".to_owned()),
    }
}

fn cookies(cookies: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, String> {
    if cookies.len() > MAX_HEADERS {
        return Err(format!("more than {MAX_HEADERS} cookies"));
    }
    for (name, value) in &cookies {
        let is_forbidden = |c: char| c.is_control() || c == ';';
        if name.is_empty() || name.contains(is_forbidden) || name.contains('=') {
            return Err(format!("{name:?} is no cookie name"));
        }
        if value.contains(is_forbidden) {
            return Err(format!("the value of {name:?} holds a `;` or a control character"));
        }
    }
    Ok(cookies)
}

/// Merges by name: a null removes that header, all others stay.
fn set_headers<'de, D: Deserializer<'de>>(
    slot: &mut Option<Arc<HeaderMap>>,
    said: &mut SaidHeaders,
    value: D,
) -> Result<(), D::Error> {
    struct Merge<'a>(&'a mut Option<Arc<HeaderMap>>, &'a mut SaidHeaders);

    impl<'de> de::Visitor<'de> for Merge<'_> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of header names and values")
        }

        fn visit_unit<E>(self) -> Result<(), E> {
            *self.0 = None;
            Ok(())
        }

        fn visit_none<E>(self) -> Result<(), E> {
            *self.0 = None;
            Ok(())
        }

        fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
            value.deserialize_map(self)
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            let headers = Arc::make_mut(self.0.get_or_insert_default());
            while let Some((name, value)) = map.next_entry::<String, Option<String>>()? {
                merge_header(headers, self.1, &name, value.as_deref()).map_err(A::Error::custom)?;
                if headers.len() > MAX_HEADERS || self.1.removed() > MAX_HEADERS {
                    return Err(A::Error::custom(format!("more than {MAX_HEADERS} headers")));
                }
            }
            Ok(())
        }
    }

    value.deserialize_option(Merge(slot, said))
}

/// Names that belong to the connection; a user's value would break the framing.
const HOP_BY_HOP: &[&str] =
    &["connection", "content-length", "host", "te", "trailer", "transfer-encoding", "upgrade"];

fn merge_header(
    headers: &mut HeaderMap,
    said: &mut SaidHeaders,
    name: &str,
    value: Option<&str>,
) -> Result<(), String> {
    let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
        return Err(format!("`{}` is no header name", name.escape_debug()));
    };
    if HOP_BY_HOP.contains(&name.as_str()) {
        return Err(format!("`{name}` belongs to the connection and can't be set"));
    }
    let Some(value) = value else {
        said.remove(headers, name);
        return Ok(());
    };
    let Ok(value) = HeaderValue::from_str(value) else {
        return Err(format!("the value of `{name}` holds a control character"));
    };
    said.will_set(headers, &name);
    headers.insert(name, value);
    Ok(())
}
