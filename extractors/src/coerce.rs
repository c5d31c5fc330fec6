//! From what a page says to a value of the field's type.

pub(crate) mod date;
pub(crate) mod duration;
pub(crate) mod number;
mod phrase;
pub(crate) mod reading;
mod unit;

use harvestman_engine::Kind;
use serde_json::Value;
use url::Url;

use self::reading::Reading;
use crate::text::{clean, collapse, cut};

/// The most bytes of a bad value that a message quotes.
const MAX_QUOTED_BYTES: usize = 80;

/// Makes values of one page's texts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coercer<'a> {
    /// What relative URLs are relative to.
    pub(crate) base: &'a Url,
    pub(crate) reading: &'a Reading,
}

impl Coercer<'_> {
    /// Text that a program has written: numbers have a decimal point and nothing else.
    pub(crate) fn machine_text(self, text: &str, kind: &Kind) -> Result<Value, String> {
        if is_number(kind)
            && let Some(number) = number::strict(text)
        {
            let number = self.reading.unit.map_or(number, |unit| unit.convert(number, text));
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
            Kind::Integer | Kind::Number | Kind::Decimal { .. } => {
                self.amount(&text).and_then(|number| number::value(number, kind))
            }
            Kind::Boolean => boolean(&text).map(Value::Bool),
            Kind::Date => self.date(&text, false).map(Value::String),
            Kind::DateTime => self.datetime(&text).map(Value::String),
            Kind::Url => self.url(&text).map(Value::String),
            Kind::Enum(values) => one_of(&text, values).map(Value::String),
            Kind::Array(element) => {
                return self.text(&text, element).map(|value| Value::Array(vec![value]));
            }
            _ => None,
        };
        value.ok_or_else(|| no_such(&text, kind))
    }

    /// The first number of a text, in the unit asked for.
    fn amount(self, text: &str) -> Option<f64> {
        let unit = self.reading.unit;
        if let Some(duration) = unit.and_then(|unit| unit.duration(text)) {
            return Some(duration);
        }
        let number = number::of_text(text, self.reading.decimal())?;
        Some(unit.map_or(number, |unit| unit.convert(number, text)))
    }

    /// A date; which of day and month comes first is for a text that doesn't tell.
    pub(crate) fn date(self, text: &str, month_first: bool) -> Option<String> {
        let named = self.reading.date(text).map(|date| date.to_string());
        named.or_else(|| date::date(text, self.reading.month_first.unwrap_or(month_first)))
    }

    pub(crate) fn datetime(self, text: &str) -> Option<String> {
        let named = self.reading.moment(text).map(|moment| moment.to_string());
        named.or_else(|| date::datetime(text))
    }

    /// A number in a text of little else, or of a program.
    pub(crate) fn number(self, text: &str, kind: &Kind, is_machine: bool) -> Result<Value, String> {
        if is_machine { self.machine_text(text, kind) } else { self.plain_text(text, kind) }
    }

    fn url(self, text: &str) -> Option<String> {
        if text.contains(' ') {
            return None;
        }
        let url = self.base.join(text).ok()?;
        matches!(url.scheme(), "http" | "https").then(|| url.into())
    }
}

/// Whether the values of a kind are numbers.
pub(crate) fn is_number(kind: &Kind) -> bool {
    matches!(kind, Kind::Number | Kind::Integer | Kind::Decimal { .. })
}

fn no_such(text: &str, kind: &Kind) -> String {
    let article = if kind.to_string().starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" };
    format!("{:?} is not {article} {kind}", cut(text, MAX_QUOTED_BYTES))
}

/// `https://schema.org/InStock` says `InStock`.
pub(crate) fn schema_org_tail(text: &str) -> &str {
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
        run(Coercer { base: &base, reading: &reading::PLAIN })
    }

    fn text(text: &str, kind: &Kind) -> Value {
        with_base(|coercer| coercer.text(text, kind)).unwrap_or_else(Value::String)
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
}
