//! Reads the sketch grammar: `{"price": "nullable number · in euros", "sku": {"selector": ".sku"}}`.

use serde_json::{Map, Value};

use super::{
    Field, Kind, MAX_BYTES, MAX_DEPTH, MAX_FIELDS, MAX_PRECISION, SchemaError, json_schema, rule,
};
use crate::params::{MAX_NESTING, is_deeper_than};

/// Keys by which an object is a rule; with none of them it is a nested object.
const RULE_MARKS: &[&str] = &["type", "selector", "output", "attr", "items"];
const TYPES: &str = "string, integer, number, decimal(p,s), boolean, date, datetime, url, any, \
                     `array of …`, `enum · a | b`";

pub(super) type Result<T> = std::result::Result<T, SchemaError>;

pub(super) fn read(written: &Value) -> Result<Vec<Field>> {
    if written.to_string().len() > MAX_BYTES {
        return Err(wrong("", format!("is larger than {MAX_BYTES} bytes")));
    }
    if is_deeper_than(written, MAX_NESTING) {
        return Err(wrong("", format!("is nested deeper than {MAX_NESTING} levels")));
    }
    let Some(object) = written.as_object() else {
        return Err(wrong("", "must be an object of field names and types"));
    };
    let fields = if json_schema::is_one(written) {
        json_schema::read(object)?
    } else {
        read_fields("", object, 1)?
    };
    if count(&fields) > MAX_FIELDS {
        return Err(wrong("", format!("has more than {MAX_FIELDS} fields")));
    }
    Ok(fields)
}

fn count(fields: &[Field]) -> usize {
    fields.iter().map(|field| 1 + count_in(&field.kind)).sum()
}

fn count_in(kind: &Kind) -> usize {
    match kind {
        Kind::Object(fields) => count(fields),
        Kind::Array(element) => count_in(element),
        _ => 0,
    }
}

pub(super) fn read_fields(
    path: &str,
    object: &Map<String, Value>,
    depth: usize,
) -> Result<Vec<Field>> {
    if depth > MAX_DEPTH {
        return Err(wrong(path, format!("is nested deeper than {MAX_DEPTH} levels")));
    }
    if object.is_empty() {
        return Err(wrong(path, "has no fields"));
    }
    object.iter().map(|(name, value)| read_field(path, name, value, depth)).collect()
}

pub(super) fn read_field(parent: &str, name: &str, value: &Value, depth: usize) -> Result<Field> {
    let path = format!("{parent}.{name}");
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(wrong(&path, "needs a name without control characters"));
    }
    let mut field = Field::named(name);
    match value {
        Value::String(sketch) => read_sketch(&path, sketch, &mut field)?,
        Value::Array(elements) => field.kind = read_list(&path, elements, depth)?,
        Value::Object(object) if RULE_MARKS.iter().any(|mark| object.contains_key(*mark)) => {
            rule::read(&path, object, depth, &mut field)?;
        }
        Value::Object(object) => field.kind = Kind::Object(read_fields(&path, object, depth + 1)?),
        _ => return Err(wrong(&path, "must be a type, a rule with a selector, or nested fields")),
    }
    Ok(field)
}

/// `["number"]` or `[{"price": "number"}]`.
pub(super) fn read_list(path: &str, elements: &[Value], depth: usize) -> Result<Kind> {
    let [element] = elements else {
        return Err(wrong(path, "a list has exactly one element: the type of its values"));
    };
    let element = read_field(path, "[]", element, depth)?;
    if element.locator.is_some() {
        let message = "a selector goes with the list: {\"selector\": …, \"items\": …}";
        return Err(wrong(path, message));
    }
    Ok(Kind::Array(Box::new(element.kind)))
}

/// `[nullable ]type[ · hint]`.
pub(super) fn read_sketch(path: &str, sketch: &str, field: &mut Field) -> Result<()> {
    let (words, hint) = split_hint(sketch.trim());
    let (nullable, words) = match words.strip_prefix("nullable ") {
        Some(rest) => (true, rest.trim()),
        None => (false, words),
    };
    field.nullable = nullable;
    if words == "enum" {
        field.kind = Kind::Enum(read_enum(path, hint)?);
        return Ok(());
    }
    field.kind = read_type(words).ok_or_else(|| unknown_type(path, sketch, words))?;
    check_decimal(path, &field.kind)?;
    field.hint = hint.filter(|hint| !hint.is_empty()).map(str::to_owned);
    Ok(())
}

fn split_hint(sketch: &str) -> (&str, Option<&str>) {
    let separators = ["·", " - ", " — ", ":"];
    let first = separators.iter().filter_map(|mark| Some((sketch.find(mark)?, mark.len()))).min();
    match first {
        Some((at, length)) => (sketch[..at].trim(), Some(sketch[at + length..].trim())),
        None => (sketch, None),
    }
}

pub(super) fn read_enum(path: &str, hint: Option<&str>) -> Result<Vec<String>> {
    let words = hint.unwrap_or_default().split('|').map(str::trim);
    let values: Vec<_> = words.filter(|word| !word.is_empty()).map(str::to_owned).collect();
    if values.is_empty() {
        return Err(wrong(path, "an enum names its values: \"enum · in_stock | sold_out\""));
    }
    Ok(values)
}

fn read_type(words: &str) -> Option<Kind> {
    if let Some(element) = words.strip_suffix("[]") {
        return Some(Kind::Array(Box::new(read_type(element.trim())?)));
    }
    if let Some(element) = words.strip_prefix("array of ").or(words.strip_prefix("list of ")) {
        return Some(Kind::Array(Box::new(read_type(element.trim())?)));
    }
    if let Some(digits) = words.strip_prefix("decimal(").and_then(|rest| rest.strip_suffix(')')) {
        let (precision, scale) = digits.split_once(',')?;
        let (precision, scale) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
        return Some(Kind::Decimal { precision, scale });
    }
    let singular = words.strip_suffix('s').filter(|word| word.len() > 2).unwrap_or(words);
    Some(match singular {
        "string" | "str" | "text" => Kind::String,
        "integer" | "int" => Kind::Integer,
        "number" | "float" | "double" => Kind::Number,
        "boolean" | "bool" => Kind::Boolean,
        "date" => Kind::Date,
        "datetime" | "date-time" | "timestamp" => Kind::DateTime,
        "url" | "uri" | "link" => Kind::Url,
        "any" => Kind::Any,
        _ => return None,
    })
}

fn check_decimal(path: &str, kind: &Kind) -> Result<()> {
    match kind {
        Kind::Array(element) => check_decimal(path, element),
        Kind::Decimal { precision, scale }
            if !(1..=MAX_PRECISION).contains(precision) || scale > precision =>
        {
            let message = format!(
                "a decimal(p,s) has p from 1 to {MAX_PRECISION} digits, up to p of them after the point"
            );
            Err(wrong(path, message))
        }
        _ => Ok(()),
    }
}

fn unknown_type(path: &str, sketch: &str, words: &str) -> SchemaError {
    let html_tag = matches!(words, "h1" | "h2" | "h3" | "p" | "a" | "title" | "span" | "div");
    if html_tag || words.contains(['.', '#', '>', '[', '/', '@']) {
        let advice = Value::from(sketch);
        let message =
            format!("{advice} is no type; for a selector write {{\"selector\": {advice}}}");
        return wrong(path, message);
    }
    wrong(path, format!("`{words}` is no type; there are {TYPES}"))
}

pub(super) fn string<'a>(
    path: &str,
    rule: &'a Map<String, Value>,
    key: &str,
) -> Result<Option<&'a str>> {
    let wrong_kind = || wrong(&format!("{path}.{key}"), "must be a string");
    rule.get(key).map(|value| value.as_str().ok_or_else(wrong_kind)).transpose()
}

pub(super) fn boolean(path: &str, rule: &Map<String, Value>, key: &str) -> Result<Option<bool>> {
    let wrong_kind = || wrong(&format!("{path}.{key}"), "must be true or false");
    rule.get(key).map(|value| value.as_bool().ok_or_else(wrong_kind)).transpose()
}

pub(super) fn wrong(path: &str, message: impl Into<String>) -> SchemaError {
    SchemaError { path: path.to_owned(), message: message.into() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn field(value: &Value) -> Field {
        let written = json!({ "f": value });
        read(&written).unwrap_or_else(|error| panic!("{value}: {error}")).remove(0)
    }

    fn error(value: &Value) -> String {
        read(value).unwrap_err().to_string()
    }

    #[test]
    fn every_type_has_its_aliases_and_plurals() {
        let table = [
            ("string", Kind::String),
            ("text", Kind::String),
            ("int", Kind::Integer),
            ("float", Kind::Number),
            ("bool", Kind::Boolean),
            ("decimal(10, 2)", Kind::Decimal { precision: 10, scale: 2 }),
            ("date-time", Kind::DateTime),
            ("link", Kind::Url),
            ("any", Kind::Any),
            ("array of numbers", Kind::Array(Box::new(Kind::Number))),
            ("list of str", Kind::Array(Box::new(Kind::String))),
            ("url[]", Kind::Array(Box::new(Kind::Url))),
            ("enum · a | b", Kind::Enum(vec!["a".into(), "b".into()])),
            ("enum: a|b", Kind::Enum(vec!["a".into(), "b".into()])),
        ];
        for (sketch, kind) in table {
            assert_eq!(field(&json!(sketch)).kind, kind, "{sketch}");
        }
    }

    #[test]
    fn hints_and_nullable_stand_around_the_type() {
        let price = field(&json!("nullable number - in euros"));
        assert_eq!((price.nullable, price.kind), (true, Kind::Number));
        assert_eq!(price.hint.as_deref(), Some("in euros"));
    }

    #[test]
    fn objects_nest_and_lists_have_one_element() {
        let seller = field(&json!({"name": "string", "url": "url"}));
        assert!(matches!(seller.kind, Kind::Object(fields) if fields.len() == 2));
        let offers = field(&json!([{"price": "number"}]));
        assert!(matches!(offers.kind, Kind::Array(element) if matches!(*element, Kind::Object(_))));
    }

    #[test]
    fn mistakes_name_their_place_and_the_remedy() {
        assert!(error(&json!({"a": {"b": "nope"}})).starts_with("extract.a.b: `nope` is no type"));
        assert!(error(&json!({"a": ".price"})).contains(r#"{"selector": ".price"}"#));
        assert!(error(&json!({"a": {"selector": "b", "regexp": "x"}})).contains("`regexp`"));
        assert!(error(&json!({"a": {"attr": "href"}})).contains("needs a `selector`"));
        assert!(error(&json!({"a": "decimal(16,2)"})).contains("from 1 to 15 digits"));
        assert!(error(&json!({"a": "decimal(2,3)[]"})).contains("up to p of them"));
        assert!(error(&json!([1])).contains("must be an object"));
        assert!(error(&json!({})).contains("no fields"));
        assert!(error(&json!({"a": "enum"})).contains("names its values"));
        let deep = json!({"a": {"b": {"c": {"d": {"e": "string"}}}}});
        assert!(error(&deep).contains("deeper than 4"));
    }
}
