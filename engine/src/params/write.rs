//! Writes parameters in the form in which they are read.

use http::{HeaderMap, HeaderValue, Method};
use serde::{Serialize, Serializer, ser::Error};
use serde_json::{Value, to_value};

use super::{Body, Param, Params, StatusRange};

impl Params {
    /// The JSON value of a parameter; null when it isn't said.
    pub(crate) fn value(&self, param: Param) -> Value {
        let value = match param {
            Param::Render => to_value(self.render),
            Param::ProxyType => to_value(self.proxy_type),
            Param::Country => to_value(&self.country),
            Param::SessionId => to_value(&self.session_id),
            Param::Extract => to_value(&self.extract),
            Param::ExtractOptions => to_value(&self.extract_options),
            Param::Retry => to_value(&self.retry),
            Param::Method => to_value(self.method.as_ref().map(Method::as_str)),
            Param::Headers => Ok(self.headers.as_deref().map_or(Value::Null, headers)),
            Param::Cookies => to_value(&self.cookies),
            Param::Body => to_value(&self.body),
            Param::UserAgent => to_value(&self.user_agent),
            Param::TimeoutMs => to_value(self.timeout.map(|time| time.as_millis() as u64)),
            Param::MaxBytes => to_value(self.max_bytes),
            Param::AcceptStatus => to_value(&self.accept_status),
            Param::FollowRedirects => to_value(self.follow_redirects),
            Param::WaitFor => to_value(&self.wait_for),
            Param::WaitMs => to_value(self.wait.map(|time| time.as_millis() as u64)),
            Param::BlockResources => to_value(self.block_resources),
            Param::Screenshot => to_value(self.screenshot),
            Param::Actions => to_value(&self.actions),
            Param::Formats => to_value(&self.formats),
            Param::RespectRobots => to_value(self.respect_robots),
        };
        value.expect("parameters are plain data")
    }
}

/// The JSON form of the contract, with what isn't said left out. Times are written in whole
/// milliseconds; of several values of one header, the first.
impl Serialize for Params {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let said = Param::ALL.iter().map(|&param| (param.name(), self.value(param)));
        serializer.collect_map(said.filter(|(_, value)| !value.is_null()))
    }
}

impl Serialize for StatusRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.class() {
            Some(class) => serializer.collect_str(&format_args!("{class}xx")),
            None => serializer.serialize_u16(self.first),
        }
    }
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.is_json() {
            let json: Value = serde_json::from_slice(self.bytes()).map_err(S::Error::custom)?;
            return json.serialize(serializer);
        }
        serializer.serialize_str(std::str::from_utf8(self.bytes()).map_err(S::Error::custom)?)
    }
}

fn headers(headers: &HeaderMap) -> Value {
    let entry = |name: &http::HeaderName| {
        let value = headers.get(name).map_or(Value::Null, header_text);
        (name.as_str().to_owned(), value)
    };
    Value::Object(headers.keys().map(entry).collect())
}

pub(super) fn header_text(value: &HeaderValue) -> Value {
    String::from_utf8_lossy(value.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::params::written;

    proptest! {
        #[test]
        fn what_is_written_reads_back_equal(json in written::params()) {
            let params: Params = serde_json::from_value(json).unwrap();
            let text = serde_json::to_string(&params).unwrap();
            prop_assert_eq!(serde_json::from_str::<Params>(&text).unwrap(), params, "{}", text);
        }
    }

    #[test]
    fn nothing_said_is_an_empty_object() {
        assert_eq!(serde_json::to_string(&Params::new()).unwrap(), "{}");
    }

    #[test]
    fn every_parameter_has_a_value_that_is_tried() {
        let keys: std::collections::BTreeSet<_> = written::KEYS.iter().copied().collect();
        assert_eq!(keys, Param::ALL.iter().map(|param| param.name()).collect());
    }
}
