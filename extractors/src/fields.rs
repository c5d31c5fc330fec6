//! All fields of a page: each is found, invalid or missing.

use std::collections::BTreeMap;

use harvestman_engine::{Code, FetchError, Field, Fields, Kind};
use serde_json::{Map, Value};
use url::Url;

use crate::{
    coerce::Coercer,
    concept::Concept,
    dom,
    jsonld::{Entities, at_path},
    located::{self, Outcome},
    page_scan::{Scan, scan, scan_facts},
    plan::{FieldPlan, Plan, Way},
};

/// What the structured data alone has answered.
#[derive(Debug)]
pub(crate) struct Draft {
    outcomes: Vec<Outcome>,
}

impl Draft {
    /// Reads the page's JSON-LD, which takes microseconds.
    pub(crate) fn new(html: &str, plan: &Plan, base: &Url) -> Self {
        let coercer = Coercer { base };
        let mut outcomes = vec![Outcome::Missing; plan.fields.len()];
        if plan.finds {
            let mut entities = Entities::of_page(html);
            entities.rank(|entity| coverage(entity, plan));
            for (outcome, field) in outcomes.iter_mut().zip(&plan.fields) {
                *outcome = from_entities(field, &entities, coercer);
            }
        }
        Self { outcomes }
    }

    /// Whether every field has its value.
    pub(crate) fn is_complete(&self) -> bool {
        self.outcomes.iter().all(|outcome| matches!(outcome, Outcome::Found(_)))
    }

    /// Reads what is left from the page itself. Takes some hundred microseconds.
    pub(crate) fn complete(
        mut self,
        html: &str,
        plan: &Plan,
        base: &Url,
    ) -> Result<Self, FetchError> {
        let lacks = |(field, outcome): (&FieldPlan, &Outcome)| {
            matches!(field.way, Way::Found(_)) && !matches!(outcome, Outcome::Found(_))
        };
        let finds = plan.fields.iter().zip(&self.outcomes).any(lacks);
        let scan = if finds || plan.streams { scan(html, plan, finds) } else { Scan::default() };
        let base =
            scan.facts.base().and_then(|written| base.join(written).ok()).unwrap_or(base.clone());
        let coercer = Coercer { base: &base };
        let needs_tree = plan.locates() && (!plan.streams || scan.needs_tree);
        // A pass that was ended for the sake of a tree has not seen all facts.
        let scan = if scan.needs_tree && finds { scan_facts(html, plan) } else { scan };
        let tree = if needs_tree { Some(dom::tree(html).ok_or_else(too_deep)?) } else { None };
        for (number, field) in plan.fields.iter().enumerate() {
            let outcome = &mut self.outcomes[number];
            *outcome = match (&field.way, &tree) {
                (Way::Located(selectors), Some(tree)) => {
                    dom::read(tree, &field.field, selectors, coercer)
                }
                (Way::Located(_), None) => {
                    located::read(&field.field, &scan.located[number], coercer)
                }
                (Way::Found(concept), _) => {
                    let outcome = std::mem::replace(outcome, Outcome::Missing);
                    let from_page = || match scan.facts.pick(concept, &field.field.kind, coercer) {
                        Some(result) => Outcome::of(result),
                        None => Outcome::Missing,
                    };
                    if let Outcome::Found(_) = outcome { outcome } else { outcome.or(from_page()) }
                }
            };
        }
        Ok(self)
    }

    /// The record's fields, in the order of the schema.
    pub(crate) fn into_fields(self, plan: &Plan) -> Fields {
        let mut data = Map::new();
        let mut missing = Vec::new();
        let mut field_errors = BTreeMap::new();
        for (outcome, FieldPlan { field, .. }) in self.outcomes.into_iter().zip(&plan.fields) {
            let value = match outcome {
                Outcome::Found(value) => value,
                Outcome::Invalid(message) => {
                    field_errors.insert(field.name.clone(), message);
                    Value::Null
                }
                Outcome::Missing => {
                    if !field.nullable {
                        missing.push(field.name.clone());
                    }
                    Value::Null
                }
            };
            data.insert(field.name.clone(), value);
        }
        let mut fields = Fields::from_data(data);
        fields.missing = missing;
        fields.field_errors = field_errors;
        fields
    }
}

fn too_deep() -> FetchError {
    let message = format!("the page nests deeper than {} elements", dom::MAX_DEPTH);
    FetchError::new(Code::ExtractFailed, message)
}

/// The share of the wanted fields that an entity has something for.
fn coverage(entity: &Map<String, Value>, plan: &Plan) -> f64 {
    let wanted = plan.fields.iter().filter_map(|field| match &field.way {
        Way::Found(concept) => Some(concept),
        Way::Located(_) => None,
    });
    let (mut count, mut covered) = (0_u32, 0_u32);
    for concept in wanted {
        count += 1;
        covered += u32::from(concept.jsonld.iter().any(|path| !at_path(entity, path).is_empty()));
    }
    f64::from(covered) / f64::from(count.max(1))
}

fn from_entities(plan: &FieldPlan, entities: &Entities, coercer: Coercer<'_>) -> Outcome {
    let Way::Found(concept) = &plan.way else { return Outcome::Missing };
    let mut outcome = Outcome::Missing;
    for entity in entities.iter() {
        outcome = outcome.or(from_entity(&plan.field, concept, entity, coercer));
        if matches!(outcome, Outcome::Found(_)) {
            break;
        }
    }
    outcome
}

fn from_entity(
    field: &Field,
    concept: &Concept,
    entity: &Map<String, Value>,
    coercer: Coercer<'_>,
) -> Outcome {
    let mut outcome = Outcome::Missing;
    // The name itself is a key as good as any, after those of the table.
    let own_key = std::slice::from_ref(&field.name);
    for path in concept.jsonld.iter().chain(own_key) {
        let values = at_path(entity, path);
        if values.is_empty() {
            continue;
        }
        outcome = outcome.or(typed(&values, &field.kind, coercer));
        if matches!(outcome, Outcome::Found(_)) {
            break;
        }
    }
    outcome
}

/// The first usable value, or all of them for a list.
fn typed(values: &[&Value], kind: &Kind, coercer: Coercer<'_>) -> Outcome {
    match kind {
        Kind::Array(element) => match (&**element, values) {
            // One text with commas, as in `keywords`.
            (Kind::String, [Value::String(text)]) if text.contains(", ") => {
                Outcome::of_all(text.split(", ").map(|part| coercer.text(part, element)))
            }
            _ => Outcome::of_all(values.iter().map(|value| one(value, element, coercer))),
        },
        kind => values
            .iter()
            .map(|value| Outcome::of(one(value, kind, coercer)))
            .fold(Outcome::Missing, Outcome::or),
    }
}

fn one(value: &Value, kind: &Kind, coercer: Coercer<'_>) -> Result<Value, String> {
    let Kind::Object(fields) = kind else { return coercer.value(value, kind) };
    let Value::Object(entity) = value else { return Err("it is no object".to_owned()) };
    let mut nested = Map::new();
    for field in fields {
        let outcome = from_entity(field, &Concept::of(&field.name), entity, coercer);
        let value = if let Outcome::Found(value) = outcome { value } else { Value::Null };
        nested.insert(field.name.clone(), value);
    }
    Ok(Value::Object(nested))
}
