//! Fields with selectors: from what was matched to a value.

use harvestman_engine::{Kind, schema::Output};
use serde_json::Value;
use url::Url;

use crate::{
    capture::Captures,
    coerce::reading::Reading,
    concept::Rule,
    entity::Entities,
    find::{Normal, typed},
    plan::{FieldPlan, Pick, Ready, nested},
    text::{MAX_TEXT_BYTES, collapse},
    tree::{Place, Tree},
    xpath::{Node, XPath},
};

/// The most values of one field.
pub(crate) const MAX_VALUES: usize = 10_000;

/// What has come of a field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Found(Value),
    /// There is something, but nothing of the type.
    Invalid(String),
    Missing,
}

impl Outcome {
    pub(crate) fn of(result: Result<Value, String>) -> Self {
        result.map_or_else(Self::Invalid, Self::Found)
    }

    /// A list of all usable values; elements that are not usable are left out unless all are.
    pub(crate) fn of_all(results: impl Iterator<Item = Result<Value, String>>) -> Self {
        let (mut values, mut failure) = (Vec::new(), None);
        for result in results {
            match result {
                Ok(value) => values.push(value),
                Err(message) => failure = failure.or(Some(message)),
            }
        }
        match (values.is_empty(), failure) {
            (true, Some(message)) => Self::Invalid(message),
            (true, None) => Self::Missing,
            _ => Self::Found(Value::Array(values)),
        }
    }

    /// The value, if there is one.
    pub(crate) fn found(self) -> Option<Value> {
        if let Self::Found(value) = self { Some(value) } else { None }
    }

    /// The better one: a value before a failure before nothing, the first among equals.
    pub(crate) fn or(self, other: Self) -> Self {
        match (&self, &other) {
            (Self::Found(_), _) | (Self::Invalid(_), Self::Missing | Self::Invalid(_)) => self,
            _ => other,
        }
    }
}

/// Makes values of the texts that selectors yield.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Typer<'a> {
    pub(crate) base: &'a Url,
    pub(crate) pick: Option<&'a Pick>,
    pub(crate) reading: &'a Reading,
}

impl<'a> Typer<'a> {
    /// A value of the type from a text, of which the field's pattern picks its part.
    pub(crate) fn text(self, text: &str, kind: &Kind, is_machine: bool) -> Result<Value, String> {
        let text = match self.pick {
            None => text,
            Some(pick) => pick.of(text).ok_or_else(|| "nothing matches the `regex`".to_owned())?,
        };
        if text.trim().is_empty() {
            return Err("it is empty".to_owned());
        }
        // Whoever names both element and separator knows how it is written there.
        let is_machine = is_machine && !self.reading.is_decimal_certain;
        self.normal().value(&Value::from(text), kind, is_machine)
    }

    /// For a field inside this one.
    pub(crate) fn inside(self, inner: &'a FieldPlan) -> Self {
        Self { pick: inner.pick.as_ref(), reading: &inner.reading, ..self }
    }

    fn normal(&self) -> Normal<'_> {
        let (base, reading) = (self.base, self.reading);
        Normal { rule: Rule::Text, base, reading, month_first: false }
    }
}

/// Reads a field from the matches of the streaming pass, one set for each of its selectors.
pub(crate) fn read(field: &FieldPlan, matches: &[Captures], typer: Typer<'_>) -> Outcome {
    let outcomes = matches.iter().map(|captures| read_one(field, captures, typer));
    outcomes.fold(Outcome::Missing, Outcome::or)
}

fn read_one(plan: &FieldPlan, captures: &Captures, typer: Typer<'_>) -> Outcome {
    let Some(locator) = &plan.field.locator else { return Outcome::Missing };
    let is_machine = matches!(locator.output, Output::Attribute(_));
    let value = |text: &String, kind: &Kind| typer.text(text, kind, is_machine);
    let texts = captures.texts();
    match (&locator.output, &plan.field.kind) {
        (Output::Exists, kind) => Outcome::of(scalar(&Value::Bool(!texts.is_empty()), kind, typer)),
        (Output::Count, kind) => Outcome::of(scalar(&Value::from(texts.len()), kind, typer)),
        (_, Kind::Array(element)) => Outcome::of_all(texts.iter().map(|text| value(text, element))),
        (_, kind) => texts.first().map_or(Outcome::Missing, |text| Outcome::of(value(text, kind))),
    }
}

/// A truth or a number as a value of the type that was asked for.
pub(crate) fn scalar(value: &Value, kind: &Kind, typer: Typer<'_>) -> Result<Value, String> {
    typer.normal().value(value, kind, true)
}

/// Reads a field by `XPath`.
pub(crate) fn read_xpath(
    plan: &FieldPlan,
    xpath: &XPath,
    tree: &Tree<'_>,
    from: Place,
    typer: Typer<'_>,
) -> Outcome {
    let Some(locator) = &plan.field.locator else { return Outcome::Missing };
    let nodes = xpath.select(tree, from);
    let one = |node: &Node, kind: &Kind| xpath_node(plan, tree, *node, kind, typer);
    match (&locator.output, &plan.field.kind) {
        (Output::Exists, kind) => Outcome::of(scalar(&Value::Bool(!nodes.is_empty()), kind, typer)),
        (Output::Count, kind) => Outcome::of(scalar(&Value::from(nodes.len()), kind, typer)),
        (_, Kind::Array(element)) => {
            Outcome::of_all(nodes.iter().take(MAX_VALUES).map(|node| one(node, element)))
        }
        (_, kind) => nodes.first().map_or(Outcome::Missing, |node| Outcome::of(one(node, kind))),
    }
}

fn xpath_node(
    plan: &FieldPlan,
    tree: &Tree<'_>,
    node: Node,
    kind: &Kind,
    typer: Typer<'_>,
) -> Result<Value, String> {
    if let Kind::Object(_) = kind {
        let pair = |inner: &FieldPlan| {
            let xpaths = inner.selectors.iter().filter_map(|selector| match selector {
                Ready::XPath(xpath) => Some(xpath),
                _ => None,
            });
            let typer = typer.inside(inner);
            let mut outcomes =
                xpaths.map(|xpath| read_xpath(inner, xpath, tree, node.place, typer));
            let found = outcomes.find_map(Outcome::found);
            (inner.field.name.clone(), found.unwrap_or(Value::Null))
        };
        return Ok(Value::Object(plan.inner.iter().map(pair).collect()));
    }
    let locator = plan.field.locator.as_ref();
    match locator.map(|locator| &locator.output) {
        Some(Output::Attribute(name)) => match tree.attribute(node.place, name) {
            Some(value) => typer.text(&value, kind, true),
            None => Err(format!("there is no attribute {name}")),
        },
        Some(Output::Html) => Err("XPath gives texts and attributes, no HTML".to_owned()),
        _ => typer.text(&node.text(tree, MAX_TEXT_BYTES), kind, node.attribute.is_some()),
    }
}

/// Reads a field by `JSONPath` from the JSON in the page's scripts.
pub(crate) fn read_json(
    plan: &FieldPlan,
    path: &serde_json_path::JsonPath,
    values: &[Value],
    typer: Typer<'_>,
) -> Outcome {
    let Some(locator) = &plan.field.locator else { return Outcome::Missing };
    let found = values.iter().flat_map(|value| path.query(value).all());
    let found: Vec<&Value> = found.take(MAX_VALUES).collect();
    let kind = &plan.field.kind;
    match (&locator.output, kind) {
        (Output::Exists, kind) => Outcome::of(scalar(&Value::Bool(!found.is_empty()), kind, typer)),
        (Output::Count, kind) => Outcome::of(scalar(&Value::from(found.len()), kind, typer)),
        _ if found.is_empty() => Outcome::Missing,
        _ if !nested(kind).is_empty() => {
            let value = typed(&Entities::default(), &found, kind, typer.normal());
            value.map_or_else(|| Outcome::Invalid("it is no object".to_owned()), Outcome::Found)
        }
        (_, Kind::Array(element)) => {
            let inner = found.iter().flat_map(|value| match value {
                Value::Array(values) => values.iter().collect(),
                one => vec![*one],
            });
            Outcome::of_all(inner.take(MAX_VALUES).map(|value| json_value(value, element, typer)))
        }
        (_, kind) => found
            .iter()
            .map(|value| Outcome::of(json_value(value, kind, typer)))
            .fold(Outcome::Missing, Outcome::or),
    }
}

fn json_value(value: &Value, kind: &Kind, typer: Typer<'_>) -> Result<Value, String> {
    match value {
        Value::String(text) => typer.text(&collapse(text), kind, true),
        other if typer.pick.is_some() => typer.text(&other.to_string(), kind, true),
        other => scalar(other, kind, typer),
    }
}
