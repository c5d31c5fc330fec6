//! What a value must keep to beyond its type.

use harvestman_engine::{Field, Kind, schema::SchemaError};
use regex::Regex;
use serde_json::Value;

use crate::plan::compile;

/// The constraints of a field and of those inside it.
#[derive(Debug)]
pub(crate) struct Check {
    field: Field,
    pattern: Option<Regex>,
    inner: Vec<Self>,
}

impl Check {
    pub(crate) fn new(field: &Field, path: &str) -> Result<Self, SchemaError> {
        let pattern = field.constraints.pattern.as_deref();
        let pattern = pattern.map(|pattern| compile(pattern, &format!("{path}.pattern")));
        let inner = crate::plan::nested(&field.kind).iter();
        let inner = inner.map(|inner| Self::new(inner, &format!("{path}.{}", inner.name)));
        Ok(Self {
            pattern: pattern.transpose()?,
            inner: inner.collect::<Result<_, _>>()?,
            field: field.clone(),
        })
    }

    /// What is wrong with a value, if something is. Null is nothing to check.
    pub(crate) fn broken(&self, value: &Value) -> Option<String> {
        match value {
            Value::Null => None,
            Value::Array(values) => self.broken_list(values),
            Value::Object(object) if matches!(self.field.kind, Kind::Object(_)) => {
                self.broken_object(object)
            }
            other => self.broken_one(other),
        }
    }

    fn broken_list(&self, values: &[Value]) -> Option<String> {
        let limits = &self.field.constraints;
        if limits.min_items.is_some_and(|least| values.len() < least) {
            return Some(format!("there are only {} elements", values.len()));
        }
        if limits.max_items.is_some_and(|most| values.len() > most) {
            return Some(format!("there are {} elements", values.len()));
        }
        values.iter().find_map(|value| match value {
            Value::Object(object) => self.broken_object(object),
            _ => None,
        })
    }

    fn broken_object(&self, object: &serde_json::Map<String, Value>) -> Option<String> {
        self.inner.iter().find_map(|inner| {
            let value = object.get(&inner.field.name).unwrap_or(&Value::Null);
            let name = &inner.field.name;
            if value.is_null() && inner.field.required && !inner.field.nullable {
                return Some(format!("{name} is missing"));
            }
            inner.broken(value).map(|message| format!("{name}: {message}"))
        })
    }

    fn broken_one(&self, value: &Value) -> Option<String> {
        let limits = &self.field.constraints;
        if !limits.one_of.is_empty() && !limits.one_of.iter().any(|one| is_same(one, value)) {
            return Some(format!("{value} is none of the values allowed"));
        }
        if let Some(number) = value.as_f64() {
            let step = limits.multiple_of.unwrap_or(0.0);
            let rest = if step > 0.0 { (number / step).fract().abs() } else { 0.0 };
            return if limits.minimum.is_some_and(|least| number < least) {
                Some(format!("{number} is too small"))
            } else if limits.maximum.is_some_and(|most| number > most) {
                Some(format!("{number} is too large"))
            } else if rest > 1e-9 && rest < 1.0 - 1e-9 {
                Some(format!("{number} is no multiple of {step}"))
            } else {
                None
            };
        }
        let text = value.as_str()?;
        let length = text.chars().count();
        if limits.min_length.is_some_and(|least| length < least) {
            Some(format!("{length} characters are too few"))
        } else if limits.max_length.is_some_and(|most| length > most) {
            Some(format!("{length} characters are too many"))
        } else if self.pattern.as_ref().is_some_and(|pattern| !pattern.is_match(text)) {
            Some("it does not match the pattern".to_owned())
        } else if limits.is_email && !is_email(text) {
            Some("it is no e-mail address".to_owned())
        } else {
            None
        }
    }
}

/// 1 and 1.0 are the same.
fn is_same(one: &Value, other: &Value) -> bool {
    one == other || one.as_f64().is_some_and(|one| other.as_f64() == Some(one))
}

fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    !local.is_empty() && domain.contains('.') && !text.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use harvestman_engine::Schema;
    use serde_json::json;

    use super::*;

    fn broken(rule: &Value, value: &Value) -> Option<String> {
        let schema = json!({"type": "object", "properties": {"a": rule}});
        let schema = Schema::from_json(schema).unwrap();
        Check::new(&schema.fields()[0], ".a").unwrap().broken(value)
    }

    #[test]
    fn every_constraint_can_be_broken() {
        for (rule, good, bad) in [
            (json!({"type": "number", "minimum": 1}), json!(1), json!(0.5)),
            (json!({"type": "number", "maximum": 1}), json!(1), json!(1.5)),
            (json!({"type": "number", "multipleOf": 0.1}), json!(0.3), json!(0.35)),
            (json!({"type": "integer", "enum": [1, 2]}), json!(2), json!(3)),
            (json!({"type": "string", "minLength": 2}), json!("éé"), json!("é")),
            (json!({"type": "string", "maxLength": 2}), json!("éé"), json!("ééé")),
            (json!({"type": "string", "pattern": "^a"}), json!("ab"), json!("ba")),
            (json!({"type": "string", "format": "email"}), json!("a@b.c"), json!("a b")),
            (json!({"type": "array", "minItems": 1}), json!([1]), json!([])),
            (json!({"type": "array", "maxItems": 1}), json!([1]), json!([1, 2])),
            (
                json!({"type": "object", "required": ["b"], "properties": {"b": {"type": "string"}}}),
                json!({"b": "x"}),
                json!({"b": null}),
            ),
            (
                json!({"type": "array", "items": {"type": "object", "properties": {"b": {"type": "number", "minimum": 0}}}}),
                json!([{"b": 0}]),
                json!([{"b": 0}, {"b": -1}]),
            ),
        ] {
            assert_eq!(broken(&rule, &good), None, "{rule}");
            assert!(broken(&rule, &bad).is_some(), "{rule}");
            assert_eq!(broken(&rule, &json!(null)), None, "{rule}");
        }
    }
}
