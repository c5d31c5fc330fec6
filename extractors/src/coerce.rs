//! From what a page says to a value of the field's type.

mod date;
mod number;

use harvestman_engine::Kind;
use serde_json::{Map, Value};
use url::Url;

use crate::text::{clean, collapse, cut};

/// The most bytes of a bad value that a message quotes.
const MAX_QUOTED_BYTES: usize = 80;

/// Makes values of one page's texts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coercer<'a> {
    /// What relative URLs are relative to.
    pub(crate) base: &'a Url,
}

impl Coercer<'_> {
    /// A value of structured data. A list gives its first usable element, an entity its name.
    pub(crate) fn value(self, value: &Value, kind: &Kind) -> Result<Value, String> {
        match (value, kind) {
            (value, Kind::Any) => Ok(value.clone()),
            (Value::String(text), _) => self.machine_text(text, kind),
            (Value::Array(values), _) => first(values.iter().map(|value| self.value(value, kind))),
            (Value::Object(entity), _) => self.entity(entity, kind),
            (Value::Number(number), Kind::Integer) if number.is_i64() => Ok(value.clone()),
            (Value::Number(_), Kind::Number) | (Value::Bool(_), Kind::Boolean) => Ok(value.clone()),
            (Value::Null, _) => Err("there is no value".to_owned()),
            (value, _) => self.text(&value.to_string(), kind),
        }
    }

    /// Text that a program has written: numbers have a decimal point and nothing else.
    pub(crate) fn machine_text(self, text: &str, kind: &Kind) -> Result<Value, String> {
        if let (Kind::Number | Kind::Integer, Some(number)) = (kind, number::strict(text)) {
            return number::value(number, kind).ok_or_else(|| no_such(text, kind));
        }
        self.text(text, kind)
    }

    /// Text or markup that is meant for a person.
    pub(crate) fn text(self, text: &str, kind: &Kind) -> Result<Value, String> {
        self.plain_text(&clean(text), kind)
    }

    /// Text that is meant for a person, without entities and tags.
    pub(crate) fn plain_text(self, text: &str, kind: &Kind) -> Result<Value, String> {
        let text = collapse(text);
        if text.is_empty() {
            return Err("it is empty".to_owned());
        }
        let value = match kind {
            Kind::String => Some(Value::String(schema_org_tail(&text).to_owned())),
            Kind::Any => return Ok(Value::String(text)),
            Kind::Integer | Kind::Number => {
                number::of_text(&text).and_then(|number| number::value(number, kind))
            }
            Kind::Boolean => boolean(&text).map(Value::Bool),
            Kind::Date => date::date(&text).map(Value::String),
            Kind::DateTime => date::datetime(&text).map(Value::String),
            Kind::Url => self.url(&text).map(Value::String),
            Kind::Enum(values) => one_of(&text, values).map(Value::String),
            Kind::Array(element) => {
                return self.text(&text, element).map(|value| Value::Array(vec![value]));
            }
            _ => None,
        };
        value.ok_or_else(|| no_such(&text, kind))
    }

    fn entity(self, entity: &Map<String, Value>, kind: &Kind) -> Result<Value, String> {
        let keys: &[&str] = match kind {
            Kind::Url => &["url", "@id", "contentUrl", "@value"],
            Kind::Number | Kind::Integer => &["value", "@value", "price", "ratingValue", "name"],
            _ => &["name", "@value", "value", "text", "headline", "@id"],
        };
        first(keys.iter().filter_map(|key| entity.get(*key)).map(|value| self.value(value, kind)))
    }

    fn url(self, text: &str) -> Option<String> {
        if text.contains(' ') {
            return None;
        }
        let url = self.base.join(text).ok()?;
        matches!(url.scheme(), "http" | "https").then(|| url.into())
    }
}

/// The first success; without one, the first failure.
fn first(results: impl Iterator<Item = Result<Value, String>>) -> Result<Value, String> {
    let mut failure = None;
    for result in results {
        match result {
            Ok(value) => return Ok(value),
            Err(message) => failure = failure.or(Some(message)),
        }
    }
    Err(failure.unwrap_or_else(|| "there is no value".to_owned()))
}

fn no_such(text: &str, kind: &Kind) -> String {
    let article = if kind.to_string().starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" };
    format!("{:?} is not {article} {kind}", cut(text, MAX_QUOTED_BYTES))
}

/// `https://schema.org/InStock` says `InStock`.
fn schema_org_tail(text: &str) -> &str {
    let without_scheme = text.split_once("://").map_or(text, |(_, rest)| rest);
    let tail = without_scheme.strip_prefix("www.").unwrap_or(without_scheme);
    tail.strip_prefix("schema.org/").filter(|tail| !tail.is_empty()).unwrap_or(text)
}

fn boolean(text: &str) -> Option<bool> {
    let word: String = schema_org_tail(text).chars().filter(|c| c.is_alphanumeric()).collect();
    match word.to_lowercase().as_str() {
        "true"
        | "yes"
        | "1"
        | "on"
        | "y"
        | "ja"
        | "oui"
        | "si"
        | "instock"
        | "available"
        | "onlineonly"
        | "limitedavailability"
        | "instoreonly"
        | "presale"
        | "preorder" => Some(true),
        "false" | "no" | "0" | "off" | "n" | "nein" | "non" | "outofstock" | "soldout"
        | "unavailable" | "discontinued" | "notavailable" | "backorder" => Some(false),
        _ => None,
    }
}

/// Without regard to case and punctuation.
fn one_of(text: &str, values: &[String]) -> Option<String> {
    let plain = |text: &str| -> String {
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let said = plain(schema_org_tail(text));
    values.iter().find(|value| plain(value) == said).cloned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with_base<T>(run: impl FnOnce(Coercer<'_>) -> T) -> T {
        let base = Url::parse("https://shop.test/a/b").unwrap();
        run(Coercer { base: &base })
    }

    fn text(text: &str, kind: &Kind) -> Value {
        with_base(|coercer| coercer.text(text, kind)).unwrap_or_else(Value::String)
    }

    fn value(value: &Value, kind: &Kind) -> Value {
        with_base(|coercer| coercer.value(value, kind)).unwrap_or_else(Value::String)
    }

    #[test]
    fn texts_become_values_or_say_why_not() {
        let stock = Kind::Enum(vec!["in_stock".into(), "sold_out".into()]);
        let table = [
            (Kind::String, " <b>A</b> &amp; B ", json!("A & B")),
            (Kind::String, "https://schema.org/InStock", json!("InStock")),
            (Kind::Number, "€1.299,00", json!(1299.0)),
            (Kind::Number, "call us", json!("\"call us\" is not a number")),
            (Kind::Integer, "1,234 reviews", json!(1234)),
            (Kind::Integer, "4.5", json!("\"4.5\" is not an integer")),
            (Kind::Boolean, "http://schema.org/OutOfStock", json!(false)),
            (Kind::Boolean, "Yes", json!(true)),
            (Kind::Boolean, "maybe", json!("\"maybe\" is not a boolean")),
            (Kind::Date, "12 March 2024", json!("2024-03-12")),
            (Kind::Url, "../c.png", json!("https://shop.test/c.png")),
            (Kind::Url, "javascript:alert(1)", json!("\"javascript:alert(1)\" is not a url")),
            (stock.clone(), "In Stock!", json!("in_stock")),
            (stock, "unknown", json!("\"unknown\" is not an enum · in_stock | sold_out")),
            (Kind::Array(Box::new(Kind::Number)), "3", json!([3.0])),
            (Kind::String, "  ", json!("it is empty")),
        ];
        for (kind, input, expected) in table {
            assert_eq!(text(input, &kind), expected, "{input} as {kind}");
        }
    }

    #[test]
    fn structured_values_are_read_strictly_first() {
        let table = [
            (Kind::Number, json!("1299.000"), json!(1299.0)),
            (Kind::Number, json!("1.200,00 Kn"), json!(1200.0)),
            (Kind::Number, json!(19.9), json!(19.9)),
            (Kind::Integer, json!("12"), json!(12)),
            (Kind::String, json!(7), json!("7")),
            (Kind::String, json!({"@type": "Brand", "name": "Acme"}), json!("Acme")),
            (Kind::String, json!([{"name": ""}, "Acme"]), json!("Acme")),
            (Kind::Url, json!({"url": "/x.png"}), json!("https://shop.test/x.png")),
            (Kind::Any, json!({"a": 1}), json!({"a": 1})),
            (Kind::String, json!({"@type": "Brand"}), json!("there is no value")),
        ];
        for (kind, input, expected) in table {
            assert_eq!(value(&input, &kind), expected, "{input} as {kind}");
        }
    }
}
