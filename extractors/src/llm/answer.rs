//! What the model has said, and what of it is believed: quotations that stand in the text it was sent.

use harvestman_engine::{Field, Kind};
use serde_json::{Map, Value};

use crate::{
    facts::{is_in, simple},
    find::Normal,
    located::Outcome,
};

/// The most elements of a list.
const MAX_ELEMENTS: usize = 1_000;
/// What models say where they should say null.
const NOTHING: &[&str] =
    &["na", "n a", "null", "none", "unknown", "not available", "not found", "undefined"];

/// An answer by the schema of the question.
#[derive(Debug)]
pub(crate) struct Answer(Map<String, Value>);

/// Reads an answer, or says what is wrong with it.
pub(super) fn read(text: &str) -> Result<Answer, String> {
    let text = text.trim();
    let inner = text.strip_prefix("```json").or(text.strip_prefix("```")).unwrap_or(text);
    match serde_json::from_str(inner.trim_end_matches("```")) {
        Ok(Value::Object(object)) => Ok(Answer(object)),
        Ok(_) => Err("is no JSON object".to_owned()),
        Err(error) => Err(format!("is no JSON ({error})")),
    }
}

/// The value of a field and the words that say it, if they stand in the page's text.
pub(crate) fn take_in(
    answer: &Answer,
    field: &Field,
    normal: Normal<'_>,
    page: &str,
) -> (Outcome, String) {
    let said = answer.0.get(&field.name).unwrap_or(&Value::Null);
    let mut reader = Reader { page: simple(page), failure: None, quote: String::new() };
    match reader.value(said, &field.kind, normal) {
        Some(value) => (Outcome::Found(value), reader.quote),
        None => (reader.failure.map_or(Outcome::Missing, Outcome::Invalid), String::new()),
    }
}

struct Reader {
    /// The words of the page's text, as they are compared.
    page: String,
    failure: Option<String>,
    /// The first quotation that is believed.
    quote: String,
}

impl Reader {
    fn value(&mut self, said: &Value, kind: &Kind, normal: Normal<'_>) -> Option<Value> {
        match kind {
            Kind::Array(element) => {
                let said = said.as_array()?.iter().take(MAX_ELEMENTS);
                let values: Vec<Value> =
                    said.filter_map(|said| self.value(said, element, normal)).collect();
                (!values.is_empty()).then_some(Value::Array(values))
            }
            Kind::Object(fields) => {
                let said = said.as_object()?;
                let pair = |field: &Field| {
                    let said = said.get(&field.name).unwrap_or(&Value::Null);
                    (
                        field.name.clone(),
                        self.value(said, &field.kind, normal).unwrap_or(Value::Null),
                    )
                };
                let object: Map<String, Value> = fields.iter().map(pair).collect();
                object.values().any(|value| !value.is_null()).then_some(Value::Object(object))
            }
            Kind::Boolean | Kind::Enum(_) => {
                self.quoted(said.get("quote")?)?;
                self.typed(said.get("value")?, kind, normal)
            }
            kind => {
                let quote = self.quoted(said)?;
                self.typed(&Value::from(quote), kind, normal)
            }
        }
    }

    /// The words, if they stand in the page's text.
    fn quoted(&mut self, said: &Value) -> Option<String> {
        let quote = match said {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        let words = simple(&quote);
        if words.is_empty() || NOTHING.contains(&words.as_str()) {
            return None;
        }
        if !is_in(&words, &self.page) {
            let shown = crate::text::cut(&quote, 80);
            self.failure.get_or_insert(format!(
                "the language model says {shown:?}, which isn't on the page"
            ));
            return None;
        }
        if self.quote.is_empty() {
            self.quote.clone_from(&quote);
        }
        Some(quote)
    }

    fn typed(&mut self, value: &Value, kind: &Kind, normal: Normal<'_>) -> Option<Value> {
        match normal.value(value, kind, false) {
            Ok(value) => Some(value),
            Err(message) => {
                self.failure.get_or_insert(message);
                None
            }
        }
    }
}
