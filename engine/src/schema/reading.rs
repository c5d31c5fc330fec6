//! Reads how a field's texts are to be understood: `{"type": "number", "decimal_separator": ","}`.

use serde_json::{Map, Value};

use super::sketch::{Result, wrong};

/// The most synonyms of one field.
pub const MAX_SYNONYMS: usize = 50;
/// The longest synonym, date format, unit or locale, in bytes.
pub const MAX_WORD_BYTES: usize = 100;

/// The keys by which a rule says it; in a JSON Schema with `x-` before them.
pub(super) const KEYS: [&str; 5] =
    ["locale", "decimal_separator", "date_format", "unit", "synonyms"];

/// How a field's texts are to be understood, where that can't be told from the page.
///
/// What structured data says in its own forms (`19.90`, `2024-03-12`) is understood all the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reading {
    /// Language and country, e.g. `de-CH`: which mark begins a fraction, and whether the day or the
    /// month comes first.
    pub locale: Option<String>,
    /// What begins a fraction: `.` or `,`.
    pub decimal_separator: Option<char>,
    /// The form of a date, as of `strptime`: `%d/%m/%y`. Other forms count where it doesn't fit.
    pub date_format: Option<String>,
    /// The unit in which a number is given, e.g. `hours`, `cents`, `kg`.
    pub unit: Option<String>,
    /// Further names of the field on pages: labels, keys, words in classes.
    pub synonyms: Vec<String>,
}

pub(super) fn read(path: &str, rule: &Map<String, Value>, prefix: &str) -> Result<Reading> {
    let word = |key: &str| {
        let written = rule.get(&format!("{prefix}{key}"));
        let read = |value: &Value| {
            let word = value.as_str().map(str::trim).filter(|word| is_word(word));
            let message = format!("must be a string of 1 to {MAX_WORD_BYTES} bytes");
            word.map(str::to_owned).ok_or_else(|| wrong(&format!("{path}.{prefix}{key}"), message))
        };
        written.map(read).transpose()
    };
    let separator = match word("decimal_separator")?.as_deref() {
        None => None,
        Some(".") => Some('.'),
        Some(",") => Some(','),
        Some(_) => {
            let path = format!("{path}.{prefix}decimal_separator");
            return Err(wrong(&path, "there are \".\" and \",\""));
        }
    };
    Ok(Reading {
        locale: word("locale")?,
        decimal_separator: separator,
        date_format: word("date_format")?,
        unit: word("unit")?,
        synonyms: match rule.get(&format!("{prefix}synonyms")) {
            None => Vec::new(),
            Some(words) => synonyms(words).ok_or_else(|| {
                let message = format!("must be up to {MAX_SYNONYMS} words or phrases");
                wrong(&format!("{path}.{prefix}synonyms"), message)
            })?,
        },
    })
}

/// One word or phrase, or a list of them.
fn synonyms(written: &Value) -> Option<Vec<String>> {
    let words = match written {
        Value::String(_) => std::slice::from_ref(written),
        Value::Array(words) if words.len() <= MAX_SYNONYMS => words,
        _ => return None,
    };
    let read = |word: &Value| {
        let word = word.as_str().map(str::trim).filter(|word| is_word(word))?;
        Some(word.to_owned())
    };
    words.iter().map(read).collect()
}

/// Whether this is a word or phrase, and not too long.
pub(super) fn is_word(word: &str) -> bool {
    !word.is_empty() && word.len() <= MAX_WORD_BYTES && !word.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{Kind, Schema};

    #[test]
    fn a_rule_says_how_its_texts_are_understood() {
        let keys = json!({"locale": "de-CH", "decimal_separator": ",", "date_format": "%d.%m.%y",
            "unit": "cents", "synonyms": ["Preis ab", "cost"]});
        let mut rule = keys.clone();
        rule["type"] = json!("decimal(10,2)");
        let with_prefix = keys.as_object().unwrap().iter();
        let with_prefix = with_prefix.map(|(key, value)| (format!("x-{key}"), value.clone()));
        let mut strict: serde_json::Map<_, _> = with_prefix.collect();
        strict.insert("type".to_owned(), json!("number"));
        let sketch = Schema::from_json(json!({ "f": rule })).unwrap();
        let strict = json!({"type": "object", "properties": {"f": strict}});
        let strict = Schema::from_json(strict).unwrap();
        assert_eq!(sketch.fields()[0].kind, Kind::Decimal { precision: 10, scale: 2 });
        for field in [&sketch.fields()[0], &strict.fields()[0]] {
            let reading = &field.reading;
            assert_eq!(reading.locale.as_deref(), Some("de-CH"));
            assert_eq!(reading.decimal_separator, Some(','));
            assert_eq!(reading.date_format.as_deref(), Some("%d.%m.%y"));
            assert_eq!(reading.unit.as_deref(), Some("cents"));
            assert_eq!(reading.synonyms, ["Preis ab", "cost"]);
        }
    }

    #[test]
    fn mistakes_name_their_place_and_the_remedy() {
        for (rule, message) in [
            (json!({"type": "number", "decimal_separator": ";"}), "there are \".\" and \",\""),
            (json!({"type": "number", "unit": 7}), "extract.f.unit: must be a string"),
            (json!({"type": "number", "locale": ""}), "extract.f.locale: must be a string of 1"),
            (json!({"type": "number", "synonyms": vec!["a"; 51]}), "up to 50 words"),
            (json!({"type": "number", "synonyms": [7]}), "extract.f.synonyms: must be up to"),
        ] {
            let error = Schema::from_json(json!({ "f": rule })).unwrap_err().to_string();
            assert!(error.contains(message), "{rule}: {error}");
        }
    }
}
