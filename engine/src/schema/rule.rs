//! Reads the rule of a field: `{"selector": ".price", "type": "number", "regex": "…"}`.

use serde_json::{Map, Value};

use super::{
    Field, Kind, Locator, MAX_PATTERN_BYTES, Origin, Output, Pattern, SchemaError, Selector,
    json_schema, reading,
    sketch::{Result, boolean, read_fields, read_list, read_sketch, string, wrong},
};

const KEYS: &[&str] = &[
    "type",
    "description",
    "selector",
    "selector_type",
    "output",
    "attr",
    "all",
    "regex",
    "group",
    "items",
    "properties",
    "fields",
    "required",
    "nullable",
    "default",
    "enum",
    "format",
    "minimum",
    "maximum",
    "from",
    "fallback",
];
/// Keys that mean something with a selector only.
const SELECTOR_KEYS: &[&str] =
    &["selector_type", "output", "attr", "all", "regex", "group", "fallback"];

pub(super) fn read(
    path: &str,
    rule: &Map<String, Value>,
    depth: usize,
    field: &mut Field,
) -> Result<()> {
    if let Some(unknown) = rule.keys().find(|key| !is_key(key)) {
        let message = format!(
            "`{unknown}` is no key of a rule; there are {}, {}",
            KEYS.join(", "),
            reading::KEYS.join(", ")
        );
        return Err(wrong(path, message));
    }
    read_kind(path, rule, depth, field)?;
    if let Some(text) = string(path, rule, "description")? {
        field.hint = Some(text.to_owned());
    }
    if let Some(nullable) = boolean(path, rule, "nullable")? {
        field.nullable = nullable;
    }
    if let Some(required) = boolean(path, rule, "required")? {
        field.required = required;
    }
    field.default = rule.get("default").filter(|default| !default.is_null()).cloned();
    if let Some(from) = rule.get("from") {
        field.from = read_from(path, from)?;
    }
    field.reading = reading::read(path, rule, "")?;
    json_schema::read_constraints(path, rule, field)?;
    field.locator = read_locator(path, rule, field, "")?;
    Ok(())
}

fn is_key(key: &str) -> bool {
    KEYS.contains(&key) || reading::KEYS.contains(&key)
}

fn read_kind(path: &str, rule: &Map<String, Value>, depth: usize, field: &mut Field) -> Result<()> {
    let nested = rule.get("properties").or(rule.get("fields")).or_else(|| {
        // An output may be the nested fields themselves.
        rule.get("output").filter(|output| output.is_object())
    });
    match string(path, rule, "type")? {
        Some("array" | "list") => field.kind = read_items(path, rule, nested, depth)?,
        Some("object" | "item") => field.kind = read_nested(path, nested, depth)?,
        Some(sketch) => read_sketch(&format!("{path}.type"), sketch, field)?,
        None if rule.contains_key("items") => field.kind = read_items(path, rule, nested, depth)?,
        None if nested.is_some() => {
            let object = read_nested(path, nested, depth)?;
            let all = boolean(path, rule, "all")?.unwrap_or(false);
            field.kind = if all { Kind::Array(Box::new(object)) } else { object };
        }
        None => field.kind = default_kind(rule),
    }
    Ok(())
}

/// A rule without a type is read by what it takes of the element.
fn default_kind(rule: &Map<String, Value>) -> Kind {
    let one = match rule.get("output").and_then(Value::as_str) {
        Some("exists") => Kind::Boolean,
        Some("count") => Kind::Integer,
        Some("table_json" | "table_array") => Kind::Any,
        _ => Kind::String,
    };
    if rule.get("all").is_some_and(|all| all == true) { Kind::Array(Box::new(one)) } else { one }
}

fn read_items(
    path: &str,
    rule: &Map<String, Value>,
    nested: Option<&Value>,
    depth: usize,
) -> Result<Kind> {
    match (rule.get("items"), nested) {
        (Some(items), _) => read_list(path, std::slice::from_ref(items), depth),
        (None, Some(_)) => Ok(Kind::Array(Box::new(read_nested(path, nested, depth)?))),
        (None, None) => Ok(Kind::Array(Box::new(Kind::String))),
    }
}

fn read_nested(path: &str, nested: Option<&Value>, depth: usize) -> Result<Kind> {
    let Some(object) = nested.and_then(Value::as_object) else {
        return Err(wrong(path, "an object needs `properties`"));
    };
    Ok(Kind::Object(read_fields(path, object, depth + 1)?))
}

fn read_from(path: &str, from: &Value) -> Result<Vec<Origin>> {
    serde_json::from_value(from.clone()).map_err(|_| {
        let message = "must be a list of jsonld, microdata, rdfa, meta, state, dom";
        wrong(&format!("{path}.from"), message)
    })
}

/// Reads where a field stands. The keys of a JSON Schema have a prefix, `x-`.
pub(super) fn read_locator(
    path: &str,
    rule: &Map<String, Value>,
    field: &Field,
    prefix: &str,
) -> Result<Option<Locator>> {
    let get = |key: &str| rule.get(&format!("{prefix}{key}"));
    let Some(selector) = get("selector") else {
        let orphan = SELECTOR_KEYS.iter().find(|key| get(key).is_some());
        return match orphan {
            Some(key) => Err(wrong(path, format!("`{prefix}{key}` needs a `{prefix}selector`"))),
            None => Ok(None),
        };
    };
    let written: Vec<&str> = match selector {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let is_blank = |selector: &&str| selector.trim().is_empty();
    if written.is_empty() || written.iter().any(is_blank) {
        let path = format!("{path}.{prefix}selector");
        return Err(wrong(&path, "must be a selector or a list of them"));
    }
    let mut output = read_output(path, rule, prefix)?;
    let language = text(path, get("selector_type"), "selector_type")?.unwrap_or("auto");
    let mut selectors = Vec::with_capacity(written.len());
    for selector in written {
        let (selector, suffix) = read_selector(path, selector.trim(), language)?;
        selectors.push(selector);
        output = output.or(suffix);
    }
    Ok(Some(Locator {
        selectors,
        output: output.unwrap_or(Output::Text),
        all: get("all").and_then(Value::as_bool).unwrap_or(matches!(field.kind, Kind::Array(_))),
        pattern: read_pattern(path, get("regex"), get("group"))?,
        falls_back: read_fallback(path, get("fallback"))?,
    }))
}

fn read_selector(path: &str, selector: &str, language: &str) -> Result<(Selector, Option<Output>)> {
    let is_xpath = selector.starts_with(['/', '(']) || selector.starts_with("./");
    let language = match language {
        "auto" if is_xpath => "xpath",
        "auto" if selector.starts_with('$') => "jsonpath",
        "auto" => "css",
        other => other,
    };
    match language {
        "css" => {
            let (css, output) = split_suffix(selector);
            Ok((Selector::Css(css.to_owned()), output))
        }
        "xpath" => Ok((Selector::XPath(selector.to_owned()), None)),
        "jsonpath" => Ok((Selector::JsonPath(selector.to_owned()), None)),
        _ => {
            let message = "there are auto, css, xpath and jsonpath";
            Err(wrong(&format!("{path}.selector_type"), message))
        }
    }
}

fn read_pattern(
    path: &str,
    regex: Option<&Value>,
    group: Option<&Value>,
) -> Result<Option<Pattern>> {
    let Some(regex) = text(path, regex, "regex")? else {
        return match group {
            Some(_) => Err(wrong(path, "`group` needs a `regex`")),
            None => Ok(None),
        };
    };
    if regex.len() > MAX_PATTERN_BYTES {
        let message = format!("is longer than {MAX_PATTERN_BYTES} bytes");
        return Err(wrong(&format!("{path}.regex"), message));
    }
    let group = match group {
        None => None,
        Some(group) => match group.as_u64().and_then(|group| usize::try_from(group).ok()) {
            Some(group) => Some(group),
            None => return Err(wrong(&format!("{path}.group"), "must be a whole number")),
        },
    };
    Ok(Some(Pattern { regex: regex.to_owned(), group }))
}

fn read_fallback(path: &str, fallback: Option<&Value>) -> Result<bool> {
    match fallback.map(Value::as_str) {
        None | Some(Some("none")) => Ok(false),
        Some(Some("auto")) => Ok(true),
        _ => Err(wrong(&format!("{path}.fallback"), "there are \"auto\" and \"none\"")),
    }
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

fn read_output(path: &str, rule: &Map<String, Value>, prefix: &str) -> Result<Option<Output>> {
    let get = |key: &str| rule.get(&format!("{prefix}{key}"));
    if let Some(name) = text(path, get("attr"), "attr")? {
        return Ok(Some(Output::Attribute(name.to_owned())));
    }
    let Some(output) = text(path, get("output").filter(|output| !output.is_object()), "output")?
    else {
        return Ok(None);
    };
    Ok(Some(match output {
        "text" => Output::Text,
        "html" => Output::Html,
        "exists" => Output::Exists,
        "count" => Output::Count,
        "table_json" => Output::TableJson,
        "table_array" => Output::TableArray,
        _ => {
            let Some(name) = output.strip_prefix('@').filter(|name| is_name(name)) else {
                let message = "there are text, html, @attribute, exists, count, table_json, \
                               table_array, and an object of nested fields";
                return Err(wrong(&format!("{path}.output"), message));
            };
            Output::Attribute(name.to_owned())
        }
    }))
}

fn text<'a>(path: &str, value: Option<&'a Value>, key: &str) -> Result<Option<&'a str>> {
    let wrong_kind = || -> SchemaError { wrong(&format!("{path}.{key}"), "must be a string") };
    value.map(|value| value.as_str().ok_or_else(wrong_kind)).transpose()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Schema;

    fn field(rule: &Value) -> Field {
        let schema = Schema::from_json(json!({ "f": rule }));
        schema.unwrap_or_else(|error| panic!("{rule}: {error}")).fields()[0].clone()
    }

    fn error(rule: &Value) -> String {
        Schema::from_json(json!({ "f": rule })).unwrap_err().to_string()
    }

    #[test]
    fn a_rule_locates_a_field() {
        let sku = field(&json!({"selector": ["a.x::attr(href)", "b"], "type": "url"}));
        let locator = sku.locator.unwrap();
        assert_eq!(locator.selectors, [Selector::Css("a.x".into()), Selector::Css("b".into())]);
        assert_eq!(locator.output, Output::Attribute("href".into()));
        assert!(!locator.all);
        let tags = field(&json!({"selector": "li", "type": "array", "items": "string"}));
        assert!(tags.locator.unwrap().all);
        let count = field(&json!({"selector": "li", "output": "count"}));
        assert_eq!(count.kind, Kind::Integer);
    }

    #[test]
    fn the_language_of_a_selector_shows_in_its_beginning() {
        for (selector, expected) in [
            ("//h1", Selector::XPath("//h1".into())),
            ("(//p)[1]", Selector::XPath("(//p)[1]".into())),
            ("./b", Selector::XPath("./b".into())),
            ("$.price", Selector::JsonPath("$.price".into())),
            (".price", Selector::Css(".price".into())),
        ] {
            let found = field(&json!({"selector": selector})).locator.unwrap();
            assert_eq!(found.selectors, [expected]);
        }
        let forced = field(&json!({"selector": "h1", "selector_type": "xpath"}));
        assert_eq!(forced.locator.unwrap().selectors, [Selector::XPath("h1".into())]);
    }

    #[test]
    fn patterns_defaults_and_origins_are_read() {
        let found = field(&json!({"selector": "b", "regex": "(\\d+)", "group": 1, "default": 7,
            "type": "integer", "minimum": 1, "fallback": "auto"}));
        let locator = found.locator.unwrap();
        assert_eq!(locator.pattern, Some(Pattern { regex: "(\\d+)".into(), group: Some(1) }));
        assert!(locator.falls_back);
        assert_eq!((found.default, found.constraints.minimum), (Some(json!(7)), Some(1.0)));
        let from = field(&json!({"type": "number", "from": ["jsonld", "dom"]})).from;
        assert_eq!(from, [Origin::JsonLd, Origin::Dom]);
        let rows =
            field(&json!({"selector": ".o", "all": true, "output": {"p": {"selector": "b"}}}));
        assert!(matches!(rows.kind, Kind::Array(element) if matches!(*element, Kind::Object(_))));
    }

    #[test]
    fn mistakes_name_their_place_and_the_remedy() {
        for (rule, message) in [
            (json!({"selector": "b", "regexp": "x"}), "extract.f: `regexp` is no key"),
            (json!({"attr": "href"}), "`attr` needs a `selector`"),
            (json!({"type": "number", "regex": "x"}), "`regex` needs a `selector`"),
            (json!({"selector": "b", "group": 1}), "`group` needs a `regex`"),
            (json!({"selector": "b", "regex": "x".repeat(1025)}), "extract.f.regex: is longer"),
            (json!({"selector": "b", "selector_type": "jq"}), "there are auto, css"),
            (json!({"selector": "b", "fallback": true}), "there are \"auto\""),
            (json!({"type": "number", "from": ["llm"]}), "extract.f.from: must be a list"),
            (json!({"selector": ""}), "must be a selector"),
            (json!({"selector": "b", "output": "md"}), "there are text, html"),
        ] {
            let error = error(&rule);
            assert!(error.contains(message), "{rule}: {error}");
        }
    }
}
