//! JSON from outside: how large it may be, and what is wrong with it in words for its writer.

use serde::de::DeserializeOwned;

use super::{Limits, distinct::DistinctKeys};
use crate::refusal::{Refusal, RefusalCode};

/// What serde calls the types of this program, and what writers of JSON call them.
const WORDS: [(&str, &str); 9] = [
    ("expected usize", "expected a whole number"),
    ("expected u64", "expected a whole number"),
    ("expected u32", "expected a whole number"),
    ("expected u16", "expected a whole number"),
    ("expected i64", "expected a whole number"),
    ("expected f64", "expected a number"),
    ("expected a map", "expected an object"),
    ("expected a sequence", "expected a list"),
    ("expected unit", "expected null"),
];

/// Reads one JSON object in which no key is said twice.
pub(super) fn from_json<T: DeserializeOwned>(json: &[u8], limits: &Limits) -> Result<T, Refusal> {
    if json.len() > limits.body_bytes {
        let message = format!("the body is larger than {} bytes", limits.body_bytes);
        return Err(Refusal::new(RefusalCode::BodyTooLarge, message));
    }
    // A struct would be read from a list as well.
    if json.trim_ascii_start().first() != Some(&b'{') {
        return Err(Refusal::new(RefusalCode::InvalidJson, "the body is no JSON object"));
    }
    parse::<DistinctKeys>(json)?;
    parse(json)
}

fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, Refusal> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        if !inner.is_data() {
            let message = format!("the body is no valid JSON: {inner}");
            return Refusal::new(RefusalCode::InvalidJson, message);
        }
        let path = if path == "." { "the body".to_owned() } else { path };
        Refusal::at(RefusalCode::SchemaInvalid, &path, in_plain_words(&inner.to_string()))
    })?;
    deserializer.end().map_err(|error| {
        Refusal::new(RefusalCode::InvalidJson, format!("the body is no valid JSON: {error}"))
    })?;
    Ok(value)
}

fn in_plain_words(message: &str) -> String {
    if let Some((before, name)) = message.split_once("expected struct ") {
        let behind = name.split_once(' ').map_or("", |(_, behind)| behind);
        return format!("{before}expected an object {behind}").trim_end().to_owned();
    }
    let word = WORDS.iter().find(|(serdes, _)| message.contains(serdes));
    word.map_or_else(|| message.to_owned(), |(serdes, plain)| message.replacen(serdes, plain, 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::JobSpec;

    fn refused(body: &str) -> Refusal {
        JobSpec::read(body.as_bytes(), &Limits::default()).unwrap_err()
    }

    #[test]
    fn what_is_no_json_object_is_told_from_what_does_not_fit() {
        for body in ["", "{", "[1,2]", "{} {}", "\u{1}", "{\"a\": 1}}"] {
            assert_eq!(refused(body).code, RefusalCode::InvalidJson, "{body:?}");
        }
        assert_eq!(refused("{\"a\": 1}").code, RefusalCode::SchemaInvalid);
    }

    #[test]
    fn what_is_said_twice_is_refused_at_any_depth() {
        for (body, place) in [
            (r#"{"urls": ["https://a.test/"], "name": "a", "name": "b"}"#, "`name`"),
            (r#"{"urls": [{"url": "https://a.test/", "url": "https://b.test/"}]}"#, "urls[0]"),
            (r#"{"urls": ["https://a.test/"], "metadata": {"a": {"b": 1, "b": 1}}}"#, "metadata.a"),
            (
                r#"{"urls": ["https://a.test/"], "defaults": {"headers": {"a": "1", "a": "2"}}}"#,
                "defaults.headers",
            ),
        ] {
            let refusal = refused(body);
            assert_eq!(refusal.code, RefusalCode::SchemaInvalid, "{refusal}");
            assert!(refusal.message.contains("said twice"), "{refusal}");
            assert!(refusal.message.contains(place), "{refusal} lacks {place}");
        }
    }

    #[test]
    fn a_wrong_type_is_named_as_its_writer_knows_it() {
        for (body, said) in [
            (r#"{"concurrency": "x"}"#, "expected a whole number"),
            (r#"{"fail_if": {"error_rate": "x"}}"#, "expected a number"),
            (r#"{"input": 3}"#, "expected an object"),
            (r#"{"metadata": 3}"#, "expected an object"),
            (r#"{"urls": 3}"#, "expected a list of URLs"),
        ] {
            let refusal = refused(body);
            assert!(refusal.message.contains(said), "{refusal} lacks {said}");
            assert!(!refusal.message.contains("struct"), "{refusal}");
        }
    }
}
