//! The user's own JSON as a value, or as text where a value would change it.

use serde::Deserialize;
use serde_json::{Number, Value, value::RawValue};

use crate::params::MAX_NESTING;

/// The key of metadata that stand as text.
pub(super) const TEXT_KEY: &str = "metadata_text";

/// Metadata with their key in [`Errored::task`](super::Errored::task).
pub(super) fn write(metadata: &RawValue) -> (&'static str, Value) {
    let text = metadata.get();
    let value = || serde_json::from_str(text).ok();
    match is_kept_by_a_value(text).then(value).flatten() {
        Some(value) => ("metadata", value),
        None => (TEXT_KEY, text.into()),
    }
}

/// Metadata that stand as text.
pub(super) fn read(value: Value) -> Result<Box<RawValue>, serde_json::Error> {
    RawValue::from_string(String::deserialize(value)?)
}

/// Whether every number of a valid JSON text is written as its value would be, and no list is nested
/// too deep to be put into another document.
fn is_kept_by_a_value(json: &str) -> bool {
    let mut rest = json;
    let mut depth = 0_usize;
    while let Some(at) = rest.find(begins_a_token) {
        let from = &rest[at..];
        let length = match from.as_bytes()[0] {
            b'"' => string_length(from),
            b'[' | b'{' => {
                depth += 1;
                1
            }
            b']' | b'}' => {
                depth -= 1;
                1
            }
            _ => {
                let length = number_length(from);
                if !is_exact(&from[..length]) {
                    return false;
                }
                length
            }
        };
        if depth > MAX_NESTING {
            return false;
        }
        rest = &from[length..];
    }
    true
}

fn begins_a_token(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, '"' | '[' | ']' | '{' | '}' | '-')
}

fn string_length(json: &str) -> usize {
    let mut bytes = json.bytes().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return at + 1,
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
    json.len()
}

fn number_length(json: &str) -> usize {
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
    json.find(|c| !is_part(c)).unwrap_or(json.len())
}

fn is_exact(number: &str) -> bool {
    number.parse::<Number>().is_ok_and(|value| value.to_string() == number)
}
