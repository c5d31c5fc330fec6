//! Between columns and values.

use jiff::Timestamp;
use rusqlite::types::Type;
use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, Result};

/// RFC 3339 with three decimals, so that times sort as text.
pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

pub(super) fn read_time(text: Option<String>) -> rusqlite::Result<Option<Timestamp>> {
    text.map(|text| text.parse().map_err(unreadable)).transpose()
}

pub(super) fn need_time(text: &str) -> rusqlite::Result<Timestamp> {
    text.parse().map_err(unreadable)
}

pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::part("store", error))
}

pub(super) fn read_json<T: DeserializeOwned>(text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(unreadable)
}

/// A word of a closed list, which serde writes as a JSON string.
pub(super) fn word<T: Serialize>(value: &T) -> Result<String> {
    json(value).map(|json| json.trim_matches('"').to_owned())
}

pub(super) fn read_word<T: DeserializeOwned>(text: String) -> rusqlite::Result<T> {
    serde_json::from_value(serde_json::Value::String(text)).map_err(unreadable)
}

pub(super) fn parse<T: std::str::FromStr>(text: &str) -> rusqlite::Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse().map_err(unreadable)
}

/// A value that this version can't read.
pub(super) fn unreadable(error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_sort_as_text() {
        let times = ["2026-05-12T22:00:14Z", "2026-05-12T22:00:14.05Z", "2026-05-12T22:00:14.5Z"];
        let texts = times.map(|text| time(text.parse().unwrap()));
        assert_eq!(texts[1], "2026-05-12T22:00:14.050Z");
        assert!(texts.is_sorted());
        assert_eq!(need_time(&texts[2]).unwrap(), times[2].parse().unwrap());
    }
}
