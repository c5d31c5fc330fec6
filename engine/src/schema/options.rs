//! How the fields of a schema are read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{MAX_FIELDS, Origin, reading};

/// How strictly the fields are read, and what is said of them: `extract_options` of a job or a line.
///
/// ```
/// use harvestman_engine::ExtractOptions;
///
/// let options: ExtractOptions = serde_json::from_str(r#"{"meta": true, "min_confidence": 0.8}"#)?;
/// assert!(options.meta && !options.strict);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ExtractOptions {
    /// A missing or invalid field that isn't nullable fails the page (`validation_failed`). By default
    /// it is null for a sketch, and fails a JSON Schema that requires it.
    pub strict: bool,
    /// Say of each field where it was found and how sure it is.
    pub meta: bool,
    /// Below this confidence, from 0 to 1, a value counts as missing.
    pub min_confidence: Option<f64>,
    /// What fields without a `from` of their own may be read from; anything if empty.
    pub sources: Vec<Origin>,
    /// Language and country of the pages, e.g. `de-CH`, for fields without a `locale` of their own.
    pub locale: Option<String>,
    /// Ask the installation's language model for the fields that are still missing.
    pub llm: bool,
    /// Further names on the pages by field, beside those of the fields' own `synonyms`: labels, keys,
    /// words in classes.
    pub synonyms: BTreeMap<String, Vec<String>>,
}

impl ExtractOptions {
    /// Options that say where each field was found and how sure it is.
    pub fn with_meta(mut self) -> Self {
        self.meta = true;
        self
    }

    /// Refuses words that are too many or too long.
    pub(crate) fn check_words(&self) -> Result<(), String> {
        if self.locale.as_deref().is_some_and(|locale| !reading::is_word(locale)) {
            return Err(format!("locale: must be 1 to {} bytes", reading::MAX_WORD_BYTES));
        }
        if self.synonyms.len() > MAX_FIELDS {
            return Err(format!("synonyms: are for more than {MAX_FIELDS} fields"));
        }
        let is_wrong = |words: &Vec<String>| {
            words.len() > reading::MAX_SYNONYMS || !words.iter().all(|word| reading::is_word(word))
        };
        match self.synonyms.iter().find(|(_, words)| is_wrong(words)) {
            None => Ok(()),
            Some((name, _)) => {
                let (most, bytes) = (reading::MAX_SYNONYMS, reading::MAX_WORD_BYTES);
                Err(format!("synonyms.{name}: must be up to {most} words of 1 to {bytes} bytes"))
            }
        }
    }

    /// Options under which a language model is asked for what is missing.
    pub fn with_llm(mut self) -> Self {
        self.llm = true;
        self
    }

    /// Options under which a missing field fails the page.
    pub fn with_strict(mut self) -> Self {
        self.strict = true;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_bounded() {
        let read = |text: &str| -> Result<(), String> {
            serde_json::from_str::<ExtractOptions>(text).unwrap().check_words()
        };
        assert_eq!(read(r#"{"locale": "de-CH", "synonyms": {"price": ["Preis"]}}"#), Ok(()));
        for (options, message) in [
            (r#"{"locale": ""}"#.to_owned(), "locale: must be 1 to 100 bytes"),
            (r#"{"synonyms": {"a": [""]}}"#.to_owned(), "synonyms.a: must be up to 50 words"),
            (
                format!(r#"{{"synonyms": {{"a": [{}"b"]}}}}"#, "\"b\",".repeat(50)),
                "synonyms.a: must be up to 50",
            ),
        ] {
            assert!(read(&options).unwrap_err().starts_with(message), "{options}");
        }
    }
}
