//! Reads a JSON Schema: the part of it that says what a record's data looks like.

use serde_json::{Map, Value};

use super::{
    Constraints, Field, Kind, MAX_DEPTH, MAX_PATTERN_BYTES, reading,
    rule::read_locator,
    sketch::{Result, wrong},
};

/// Keywords that can't be told from a page, with what to write instead.
const REFUSED: &[(&str, &str)] = &[
    (
        "anyOf",
        "name one type; for a value that may be absent write \"type\": [\"string\", \"null\"]",
    ),
    ("oneOf", "name one type"),
    ("allOf", "write the properties in one object"),
    ("not", "leave it out"),
    ("if", "leave it out"),
    ("patternProperties", "name the properties"),
    ("prefixItems", "use `items`"),
];

/// Whether this is a JSON Schema rather than a sketch.
pub(super) fn is_one(written: &Value) -> bool {
    let is_object = |kind: &Value| {
        let is_word = |kind: &Value| kind == "object";
        is_word(kind) || kind.as_array().is_some_and(|kinds| kinds.iter().any(is_word))
    };
    written.get("$schema").is_some()
        || written.get("type").is_some_and(is_object)
            && written.get("properties").is_some_and(Value::is_object)
}

pub(super) fn read(root: &Map<String, Value>) -> Result<Vec<Field>> {
    Reader { root }.fields("", root, 1)
}

struct Reader<'a> {
    root: &'a Map<String, Value>,
}

impl<'a> Reader<'a> {
    fn fields(
        &self,
        path: &str,
        object: &'a Map<String, Value>,
        depth: usize,
    ) -> Result<Vec<Field>> {
        check_keywords(path, object)?;
        if depth > MAX_DEPTH {
            return Err(wrong(path, format!("is nested deeper than {MAX_DEPTH} levels")));
        }
        let properties = object.get("properties").and_then(Value::as_object);
        let Some(properties) = properties.filter(|properties| !properties.is_empty()) else {
            return Err(wrong(path, "needs `properties`"));
        };
        let required = read_required(path, object, properties)?;
        let mut fields = Vec::with_capacity(properties.len());
        for (name, schema) in properties {
            let path = format!("{path}.{name}");
            if name.is_empty() || name.chars().any(char::is_control) {
                return Err(wrong(&path, "needs a name without control characters"));
            }
            let mut field = Field::named(name);
            self.field(&path, schema, depth, &mut field)?;
            field.required = required.contains(&name.as_str());
            fields.push(field);
        }
        Ok(fields)
    }

    fn field(&self, path: &str, schema: &'a Value, depth: usize, field: &mut Field) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(wrong(path, format!("is nested deeper than {MAX_DEPTH} levels")));
        }
        let schema = self.resolve(path, schema)?;
        let schema = self.without_null(path, schema, field)?;
        check_keywords(path, schema)?;
        field.kind = self.kind(path, schema, depth, field)?;
        if let Some(text) = schema.get("description").and_then(Value::as_str) {
            field.hint = Some(text.to_owned());
        }
        field.default = schema.get("default").filter(|default| !default.is_null()).cloned();
        read_constraints(path, schema, field)?;
        if let Some(from) = schema.get("x-from") {
            field.from = serde_json::from_value(from.clone()).map_err(|_| {
                let message = "must be a list of jsonld, microdata, rdfa, meta, state, dom";
                wrong(&format!("{path}.x-from"), message)
            })?;
        }
        field.reading = reading::read(path, schema, "x-")?;
        field.locator = read_locator(path, schema, field, "x-")?;
        Ok(())
    }

    /// Follows a local reference, once: it may not lead to another or to itself.
    fn resolve(&self, path: &str, schema: &'a Value) -> Result<&'a Map<String, Value>> {
        let not_one = |path: &str| wrong(path, "must be a JSON Schema object");
        let object = schema.as_object().ok_or_else(|| not_one(path))?;
        let Some(reference) = object.get("$ref") else { return Ok(object) };
        let pointer = reference.as_str().and_then(|text| text.strip_prefix('#'));
        let Some(pointer) = pointer.filter(|pointer| !pointer.is_empty()) else {
            return Err(wrong(path, "`$ref` must be local, e.g. \"#/$defs/price\""));
        };
        let mut found: Option<&Value> = None;
        for key in pointer.trim_start_matches('/').split('/') {
            let key = key.replace("~1", "/").replace("~0", "~");
            found = match found {
                None => self.root.get(&key),
                Some(value) => value.get(&key),
            };
            if found.is_none() {
                break;
            }
        }
        let found = found.and_then(Value::as_object);
        let Some(found) = found else {
            return Err(wrong(path, format!("there is no `#{pointer}`")));
        };
        if found.contains_key("$ref") {
            return Err(wrong(
                path,
                "a `$ref` to a `$ref` can't be used; name the definition itself",
            ));
        }
        Ok(found)
    }

    /// `anyOf` of one type and null is that type, nullable.
    fn without_null(
        &self,
        path: &str,
        schema: &'a Map<String, Value>,
        field: &mut Field,
    ) -> Result<&'a Map<String, Value>> {
        let Some(choices) = schema.get("anyOf").or(schema.get("oneOf")).and_then(Value::as_array)
        else {
            return Ok(schema);
        };
        let is_null = |choice: &&Value| choice.get("type").is_some_and(|kind| kind == "null");
        let others: Vec<&Value> = choices.iter().filter(|choice| !is_null(choice)).collect();
        match others[..] {
            [one] if choices.len() == 2 => {
                field.nullable = true;
                self.resolve(path, one)
            }
            _ => Ok(schema),
        }
    }

    fn kind(
        &self,
        path: &str,
        schema: &'a Map<String, Value>,
        depth: usize,
        field: &mut Field,
    ) -> Result<Kind> {
        let format = schema.get("format").and_then(Value::as_str);
        Ok(match type_of(path, schema, field)? {
            "object" => Kind::Object(self.fields(path, schema, depth + 1)?),
            "array" => Kind::Array(Box::new(match schema.get("items") {
                None => Kind::Any,
                Some(items) => {
                    let mut element = Field::named("[]");
                    // A list in a list is a level of its own.
                    let depth = depth + usize::from(path.ends_with("[]"));
                    self.field(&format!("{path}[]"), items, depth, &mut element)?;
                    element.kind
                }
            })),
            "integer" => Kind::Integer,
            "number" => Kind::Number,
            "boolean" => Kind::Boolean,
            "any" => Kind::Any,
            _ => match (words(schema), format) {
                (Some(words), _) => Kind::Enum(words),
                (None, Some("date")) => Kind::Date,
                (None, Some("date-time")) => Kind::DateTime,
                (None, Some("uri" | "url" | "uri-reference")) => Kind::Url,
                _ => Kind::String,
            },
        })
    }
}

/// The one type that is not null; without any, what the other keywords imply.
fn type_of<'a>(path: &str, schema: &'a Map<String, Value>, field: &mut Field) -> Result<&'a str> {
    const TYPES: [&str; 6] = ["object", "array", "string", "integer", "number", "boolean"];
    let unknown = || wrong(path, format!("`type` must be one of {}", TYPES.join(", ")));
    let named = match schema.get("type") {
        None if schema.contains_key("properties") => return Ok("object"),
        None if schema.contains_key("items") => return Ok("array"),
        None if words(schema).is_some() => return Ok("string"),
        None => return Ok("any"),
        Some(Value::String(one)) => one,
        Some(Value::Array(many)) => {
            field.nullable |= many.iter().any(|kind| kind == "null");
            let mut others = many.iter().filter_map(Value::as_str).filter(|kind| *kind != "null");
            match (others.next(), others.next()) {
                (Some(one), None) => one,
                _ => {
                    return Err(wrong(
                        path,
                        "names several types; name one, and \"null\" beside it",
                    ));
                }
            }
        }
        Some(_) => return Err(unknown()),
    };
    TYPES.into_iter().find(|known| *known == named).ok_or_else(unknown)
}

/// The values of an `enum` or `const` that are all texts.
fn words(schema: &Map<String, Value>) -> Option<Vec<String>> {
    let one = schema.get("const").map(std::slice::from_ref);
    let values = schema.get("enum").and_then(Value::as_array).map(Vec::as_slice).or(one)?;
    let words: Vec<String> = values.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let others = values.iter().filter(|value| !value.is_string() && !value.is_null()).count();
    (!words.is_empty() && others == 0).then_some(words)
}

fn read_required<'a>(
    path: &str,
    object: &'a Map<String, Value>,
    properties: &Map<String, Value>,
) -> Result<Vec<&'a str>> {
    let names: Vec<&str> = match object.get("required") {
        None => Vec::new(),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        Some(_) => return Err(wrong(path, "`required` must be a list of names")),
    };
    match names.iter().find(|name| !properties.contains_key(**name)) {
        Some(name) => Err(wrong(path, format!("`{name}` is required but has no property"))),
        None => Ok(names),
    }
}

fn check_keywords(path: &str, schema: &Map<String, Value>) -> Result<()> {
    match REFUSED.iter().find(|(keyword, _)| schema.contains_key(*keyword)) {
        Some((keyword, advice)) => Err(wrong(path, format!("`{keyword}` can't be used: {advice}"))),
        None => Ok(()),
    }
}

/// Reads what a value must keep to.
pub(super) fn read_constraints(
    path: &str,
    schema: &Map<String, Value>,
    field: &mut Field,
) -> Result<()> {
    let number = |key: &str| {
        let value = schema.get(key).map(|value| {
            value.as_f64().ok_or_else(|| wrong(&format!("{path}.{key}"), "must be a number"))
        });
        value.transpose()
    };
    let count = |key: &str| {
        let value = schema.get(key).map(|value| {
            let count = value.as_u64().and_then(|count| usize::try_from(count).ok());
            count.ok_or_else(|| wrong(&format!("{path}.{key}"), "must be a whole number"))
        });
        value.transpose()
    };
    let pattern = schema.get("pattern").and_then(Value::as_str);
    if pattern.is_some_and(|pattern| pattern.len() > MAX_PATTERN_BYTES) {
        let message = format!("is longer than {MAX_PATTERN_BYTES} bytes");
        return Err(wrong(&format!("{path}.pattern"), message));
    }
    let multiple_of = number("multipleOf")?;
    if multiple_of.is_some_and(|step| step <= 0.0) {
        return Err(wrong(&format!("{path}.multipleOf"), "must be above 0"));
    }
    let format = schema.get("format").and_then(Value::as_str);
    field.constraints = Constraints {
        minimum: number("minimum")?,
        maximum: number("maximum")?,
        multiple_of,
        min_length: count("minLength")?,
        max_length: count("maxLength")?,
        min_items: count("minItems")?,
        max_items: count("maxItems")?,
        pattern: pattern.map(str::to_owned),
        is_email: format == Some("email"),
        one_of: read_values(path, schema, field)?,
    };
    if let (Kind::String, Some(format)) = (&field.kind, format) {
        match format {
            "date" => field.kind = Kind::Date,
            "date-time" => field.kind = Kind::DateTime,
            "uri" | "url" => field.kind = Kind::Url,
            _ => {}
        }
    }
    Ok(())
}

/// The only values allowed, where they are no list of words; words make an enum of a string.
fn read_values(path: &str, schema: &Map<String, Value>, field: &mut Field) -> Result<Vec<Value>> {
    if let Some(words) = words(schema)
        && matches!(field.kind, Kind::String | Kind::Enum(_))
    {
        field.kind = Kind::Enum(words);
        return Ok(Vec::new());
    }
    match (schema.get("enum"), schema.get("const")) {
        (None, None) => Ok(Vec::new()),
        (Some(Value::Array(values)), _) if !values.is_empty() => Ok(values.clone()),
        (None, Some(value)) => Ok(vec![value.clone()]),
        _ => Err(wrong(&format!("{path}.enum"), "must be a list of values")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Schema;

    fn error(schema: Value) -> String {
        Schema::from_json(schema).unwrap_err().to_string()
    }

    #[test]
    fn a_json_schema_is_read_with_its_constraints() {
        let schema = Schema::from_json(json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "required": ["name"],
            "additionalProperties": false,
            "properties": {
                "name": {"type": "string", "maxLength": 9, "description": "its name"},
                "price": {"type": ["number", "null"], "minimum": 0, "x-selector": ".p", "x-regex": "\\d+"},
                "stock": {"enum": ["in", "out"]},
                "seen": {"type": "string", "format": "date"},
                "offers": {"type": "array", "items": {"$ref": "#/$defs/offer"}},
                "maybe": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                "level": {"type": "integer", "enum": [1, 2]},
            },
            "$defs": {"offer": {"type": "object", "properties": {"price": {"type": "number"}}}},
        }))
        .unwrap();
        assert!(schema.is_strict());
        let [name, price, stock, seen, offers, maybe, level] = schema.fields() else { panic!() };
        assert!(name.required && !price.required && price.nullable && maybe.nullable);
        assert_eq!((name.constraints.max_length, price.constraints.minimum), (Some(9), Some(0.0)));
        assert!(price.locator.as_ref().unwrap().pattern.is_some());
        assert_eq!(stock.kind, Kind::Enum(vec!["in".into(), "out".into()]));
        assert_eq!((&seen.kind, &maybe.kind), (&Kind::Date, &Kind::Integer));
        assert_eq!(offers.kind.to_string(), "array of object");
        assert_eq!(level.constraints.one_of, [json!(1), json!(2)]);
    }

    #[test]
    fn what_is_no_json_schema_is_a_sketch() {
        for sketch in [json!({"type": "string"}), json!({"type": "string", "properties": "string"})]
        {
            assert!(!Schema::from_json(sketch).unwrap().is_strict());
        }
        let without_type = json!({"$schema": "x", "properties": {"a": {"type": "string"}}});
        assert!(Schema::from_json(without_type).unwrap().is_strict());
    }

    #[test]
    fn mistakes_name_their_place_and_the_remedy() {
        let with = |a: Value| json!({"type": "object", "properties": {"a": a}});
        for (schema, message) in [
            (
                with(json!({"oneOf": [{"type": "string"}, {"type": "number"}]})),
                "extract.a: `oneOf` can't be used: name one type",
            ),
            (with(json!({"type": "text"})), "extract.a: `type` must be one of"),
            (with(json!({"type": ["string", "number"]})), "names several types"),
            (with(json!({"$ref": "http://x/y"})), "`$ref` must be local"),
            (with(json!({"$ref": "#/$defs/no"})), "there is no `#/$defs/no`"),
            (with(json!({"type": "object"})), "extract.a: needs `properties`"),
            (
                with(json!({"type": "number", "minimum": "1"})),
                "extract.a.minimum: must be a number",
            ),
            (with(json!({"type": "number", "multipleOf": 0})), "must be above 0"),
            (with(json!(true)), "must be a JSON Schema object"),
            (
                json!({"type": "object", "required": ["b"], "properties": {"a": {}}}),
                "`b` is required but has no property",
            ),
            (json!({"type": "object", "if": {}, "properties": {"a": {}}}), "`if` can't be used"),
        ] {
            let shown = schema.to_string();
            let error = error(schema);
            assert!(error.contains(message), "{shown}: {error}");
        }
    }

    #[test]
    fn a_definition_within_itself_is_refused() {
        let schema = json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}},
            "$defs": {"a": {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}}}});
        assert!(error(schema).contains("nested deeper than"));
        let list = json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}},
            "$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}}}});
        assert!(error(list).contains("nested deeper than"));
    }
}
