//! Reads the sketch grammar: `{"price": "nullable number · in euros", "sku": {"selector": ".sku"}}`.

use serde_json::{Map, Value};

use super::{Field, Kind, Locator, MAX_BYTES, MAX_DEPTH, MAX_FIELDS, Output, SchemaError};
use crate::params::{MAX_NESTING, is_deeper_than};

const RULE_KEYS: &[&str] = &[
    "type",
    "description",
    "selector",
    "output",
    "attr",
    "all",
    "items",
    "properties",
    "fields",
    "nullable",
];
/// Keys by which an object is a rule; with none of them it is a nested object.
const RULE_MARKS: &[&str] = &["type", "selector", "output", "attr", "items"];
const TYPES: &str = "string, integer, number, boolean, date, datetime, url, any, \
                     `array of …`, `enum · a | b`";

type Result<T> = std::result::Result<T, SchemaError>;

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
    let is_json_schema = object.contains_key("$schema")
        || (object.get("type").is_some_and(|kind| kind == "object")
            && object.get("properties").is_some_and(Value::is_object));
    if is_json_schema {
        let message = "is a JSON Schema, which can't be used yet; write {\"field\": \"type\"}";
        return Err(wrong("", message));
    }
    let fields = read_fields("", object, 1)?;
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

fn read_fields(path: &str, object: &Map<String, Value>, depth: usize) -> Result<Vec<Field>> {
    if depth > MAX_DEPTH {
        return Err(wrong(path, format!("is nested deeper than {MAX_DEPTH} levels")));
    }
    if object.is_empty() {
        return Err(wrong(path, "has no fields"));
    }
    object.iter().map(|(name, value)| read_field(path, name, value, depth)).collect()
}

fn read_field(parent: &str, name: &str, value: &Value, depth: usize) -> Result<Field> {
    let path = format!("{parent}.{name}");
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(wrong(&path, "needs a name without control characters"));
    }
    let mut field = Field {
        name: name.to_owned(),
        kind: Kind::Any,
        nullable: false,
        hint: None,
        locator: None,
    };
    match value {
        Value::String(sketch) => read_sketch(&path, sketch, &mut field)?,
        Value::Array(elements) => field.kind = read_list(&path, elements, depth)?,
        Value::Object(object) if RULE_MARKS.iter().any(|mark| object.contains_key(*mark)) => {
            read_rule(&path, object, depth, &mut field)?;
        }
        Value::Object(object) => field.kind = Kind::Object(read_fields(&path, object, depth + 1)?),
        _ => return Err(wrong(&path, "must be a type, a rule with a selector, or nested fields")),
    }
    Ok(field)
}

/// `["number"]` or `[{"price": "number"}]`.
fn read_list(path: &str, elements: &[Value], depth: usize) -> Result<Kind> {
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
fn read_sketch(path: &str, sketch: &str, field: &mut Field) -> Result<()> {
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

fn read_enum(path: &str, hint: Option<&str>) -> Result<Vec<String>> {
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

/// `{"selector": ".price", "type": "number", …}`.
fn read_rule(path: &str, rule: &Map<String, Value>, depth: usize, field: &mut Field) -> Result<()> {
    if let Some(unknown) = rule.keys().find(|key| !RULE_KEYS.contains(&key.as_str())) {
        let message =
            format!("`{unknown}` is no key of a rule; there are {}", RULE_KEYS.join(", "));
        return Err(wrong(path, message));
    }
    read_rule_kind(path, rule, depth, field)?;
    if let Some(text) = string(path, rule, "description")? {
        field.hint = Some(text.to_owned());
    }
    if let Some(nullable) = boolean(path, rule, "nullable")? {
        field.nullable = nullable;
    }
    field.locator = read_locator(path, rule, field)?;
    Ok(())
}

fn read_rule_kind(
    path: &str,
    rule: &Map<String, Value>,
    depth: usize,
    field: &mut Field,
) -> Result<()> {
    let nested = rule.get("properties").or(rule.get("fields"));
    match string(path, rule, "type")? {
        Some("array" | "list") => field.kind = read_items(path, rule, depth)?,
        Some("object" | "item") => field.kind = read_nested(path, nested, depth)?,
        Some(sketch) => read_sketch(&format!("{path}.type"), sketch, field)?,
        None if rule.contains_key("items") => field.kind = read_items(path, rule, depth)?,
        None if nested.is_some() => field.kind = read_nested(path, nested, depth)?,
        None => field.kind = default_kind(rule),
    }
    Ok(())
}

/// A rule without a type is read by what it takes of the element.
fn default_kind(rule: &Map<String, Value>) -> Kind {
    let one = match rule.get("output").and_then(Value::as_str) {
        Some("exists") => Kind::Boolean,
        Some("count") => Kind::Integer,
        _ => Kind::String,
    };
    if rule.get("all").is_some_and(|all| all == true) { Kind::Array(Box::new(one)) } else { one }
}

fn read_items(path: &str, rule: &Map<String, Value>, depth: usize) -> Result<Kind> {
    let Some(items) = rule.get("items") else {
        return Ok(Kind::Array(Box::new(Kind::String)));
    };
    read_list(path, std::slice::from_ref(items), depth)
}

fn read_nested(path: &str, nested: Option<&Value>, depth: usize) -> Result<Kind> {
    let Some(object) = nested.and_then(Value::as_object) else {
        return Err(wrong(path, "an object needs `properties`"));
    };
    Ok(Kind::Object(read_fields(path, object, depth + 1)?))
}

fn read_locator(path: &str, rule: &Map<String, Value>, field: &Field) -> Result<Option<Locator>> {
    let Some(selector) = rule.get("selector") else {
        let orphan = ["output", "attr", "all"].into_iter().find(|key| rule.contains_key(*key));
        return match orphan {
            Some(key) => Err(wrong(path, format!("`{key}` needs a `selector`"))),
            None => Ok(None),
        };
    };
    let written: Vec<&str> = match selector {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if written.is_empty() || written.iter().any(|selector| selector.trim().is_empty()) {
        return Err(wrong(&format!("{path}.selector"), "must be a CSS selector or a list of them"));
    }
    let mut output = read_output(path, rule)?;
    let mut selectors = Vec::with_capacity(written.len());
    for selector in written {
        let (css, suffix) = split_suffix(selector.trim());
        selectors.push(css.to_owned());
        output = output.or(suffix);
    }
    let all = boolean(path, rule, "all")?.unwrap_or(matches!(field.kind, Kind::Array(_)));
    Ok(Some(Locator { selectors, output: output.unwrap_or(Output::Text), all }))
}

/// `a::attr(href)`, `h1::text` and `a@href` say what is taken of the element.
fn split_suffix(selector: &str) -> (&str, Option<Output>) {
    if let Some(css) = selector.strip_suffix("::text") {
        return (css, Some(Output::Text));
    }
    if let Some((css, name)) = selector.strip_suffix(')').and_then(|s| s.rsplit_once("::attr(")) {
        return (css, Some(Output::Attribute(name.trim().to_owned())));
    }
    match selector.rsplit_once('@') {
        Some((css, name)) if !css.is_empty() && is_name(name) => {
            (css, Some(Output::Attribute(name.to_owned())))
        }
        _ => (selector, None),
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

fn read_output(path: &str, rule: &Map<String, Value>) -> Result<Option<Output>> {
    if let Some(name) = string(path, rule, "attr")? {
        return Ok(Some(Output::Attribute(name.to_owned())));
    }
    let Some(output) = string(path, rule, "output")? else { return Ok(None) };
    Ok(Some(match output {
        "text" => Output::Text,
        "html" => Output::Html,
        "exists" => Output::Exists,
        "count" => Output::Count,
        _ => {
            let Some(name) = output.strip_prefix('@').filter(|name| is_name(name)) else {
                let message = "there are text, html, @attribute, exists and count";
                return Err(wrong(&format!("{path}.output"), message));
            };
            Output::Attribute(name.to_owned())
        }
    }))
}

fn string<'a>(path: &str, rule: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>> {
    let wrong_kind = || wrong(&format!("{path}.{key}"), "must be a string");
    rule.get(key).map(|value| value.as_str().ok_or_else(wrong_kind)).transpose()
}

fn boolean(path: &str, rule: &Map<String, Value>, key: &str) -> Result<Option<bool>> {
    let wrong_kind = || wrong(&format!("{path}.{key}"), "must be true or false");
    rule.get(key).map(|value| value.as_bool().ok_or_else(wrong_kind)).transpose()
}

fn wrong(path: &str, message: impl Into<String>) -> SchemaError {
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
    fn a_rule_locates_a_field() {
        let sku = field(&json!({"selector": ["a.x::attr(href)", "b"], "type": "url"}));
        let locator = sku.locator.unwrap();
        assert_eq!(locator.selectors, ["a.x", "b"]);
        assert_eq!(locator.output, Output::Attribute("href".into()));
        assert!(!locator.all);
        let tags = field(&json!({"selector": "li", "type": "array", "items": "string"}));
        assert!(tags.locator.unwrap().all);
        let count = field(&json!({"selector": "li", "output": "count"}));
        assert_eq!(count.kind, Kind::Integer);
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
        assert!(error(&json!([1])).contains("must be an object"));
        assert!(error(&json!({})).contains("no fields"));
        assert!(error(&json!({"a": "enum"})).contains("names its values"));
        let deep = json!({"a": {"b": {"c": {"d": {"e": "string"}}}}});
        assert!(error(&deep).contains("deeper than 4"));
    }
}
