//! Fields with selectors: from what was matched to a value.

use harvestman_engine::{
    Field, Kind,
    schema::{Locator, Output},
};
use serde_json::Value;

use crate::{capture::Captures, coerce::Coercer};

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

    /// The better one: a value before a failure before nothing, the first among equals.
    pub(crate) fn or(self, other: Self) -> Self {
        match (&self, &other) {
            (Self::Found(_), _) | (Self::Invalid(_), Self::Missing | Self::Invalid(_)) => self,
            _ => other,
        }
    }
}

/// Reads a field from the matches of the streaming pass, one set for each of its selectors.
pub(crate) fn read(field: &Field, matches: &[Captures], coercer: Coercer<'_>) -> Outcome {
    let Some(locator) = &field.locator else { return Outcome::Missing };
    let outcomes = matches.iter().map(|captures| read_one(field, locator, captures, coercer));
    outcomes.fold(Outcome::Missing, Outcome::or)
}

fn read_one(
    field: &Field,
    locator: &Locator,
    captures: &Captures,
    coercer: Coercer<'_>,
) -> Outcome {
    let value = |text: &String, kind: &Kind| match locator.output {
        Output::Attribute(_) => coercer.machine_text(text, kind),
        _ => coercer.text(text, kind),
    };
    let texts = captures.texts();
    match (&locator.output, &field.kind) {
        (Output::Exists, _) => Outcome::Found(Value::Bool(!texts.is_empty())),
        (Output::Count, _) => Outcome::Found(Value::from(texts.len())),
        (_, Kind::Array(element)) => Outcome::of_all(texts.iter().map(|text| value(text, element))),
        (_, kind) => texts.first().map_or(Outcome::Missing, |text| Outcome::of(value(text, kind))),
    }
}
