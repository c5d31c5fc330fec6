//! Finds a field by what its name means: candidates from everything the page says, and a vote.

mod availability;
mod brand;
mod kicker;
mod lists;
mod normal;
mod page;
mod price;
mod structured;

use harvestman_engine::{
    Kind,
    schema::{Field, Origin},
};
use serde_json::Value;
use url::Url;

pub(crate) use self::{
    normal::{Normal, has_words},
    price::may_be_auction,
    structured::{coverage, settled, typed},
};
use crate::{
    concept::{Concept, Rule},
    facts::{Facts, Vocabulary, Word, simple},
    plan::Meaning,
};

/// Below this a value is no better than none.
pub(crate) const LEAST_CONFIDENCE: f64 = 0.3;
/// The most candidates of one field.
const MAX_CANDIDATES: usize = 2_000;
/// The most bytes of a candidate's raw form that are kept.
const MAX_RAW_BYTES: usize = 200;

/// Sources that err independently of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    JsonLd,
    Microdata,
    Rdfa,
    Meta,
    State,
    Label,
    Attribute,
    Heading,
    Title,
    Text,
    Url,
}

impl Source {
    /// How many there are.
    const COUNT: usize = Self::Url as usize + 1;

    /// The name in a record's `meta`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::JsonLd => "jsonld",
            Self::Microdata => "microdata",
            Self::Rdfa => "rdfa",
            Self::Meta => "meta",
            Self::State => "state",
            Self::Label => "dom:label",
            Self::Attribute => "dom:attr",
            Self::Heading => "dom:heading",
            Self::Title => "dom:title",
            Self::Text => "dom:text",
            Self::Url => "url",
        }
    }

    /// Whether it is meant for machines, so that people may never have seen it.
    fn is_structured(self) -> bool {
        matches!(self, Self::JsonLd | Self::Microdata | Self::Rdfa | Self::Meta | Self::State)
    }

    /// What a schema's `from` calls it.
    fn origin(self) -> Origin {
        match self {
            Self::JsonLd => Origin::JsonLd,
            Self::Microdata => Origin::Microdata,
            Self::Rdfa => Origin::Rdfa,
            Self::Meta => Origin::Meta,
            Self::State => Origin::State,
            _ => Origin::Dom,
        }
    }

    /// Sources of one family copy from each other and count once.
    fn family(self) -> usize {
        match self {
            Self::Title => Self::Meta as usize,
            other => other as usize,
        }
    }
}

/// A value that may be the field's.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) source: Source,
    pub(crate) weight: f64,
    pub(crate) value: Value,
    /// As it stands on the page.
    pub(crate) raw: String,
    /// Where, in the words of its source.
    pub(crate) path: String,
}

/// What was found, and how sure it is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) value: Value,
    pub(crate) confidence: f64,
    pub(crate) source: &'static str,
    pub(crate) raw: String,
    pub(crate) path: String,
}

/// Looks for one field in a page.
pub(crate) struct Finder<'a> {
    pub(crate) facts: &'a Facts<'a>,
    pub(crate) url: &'a Url,
    pub(crate) vocabulary: &'a Vocabulary,
    /// The field's number in the schema, under which its labels are filed.
    pub(crate) number: usize,
    pub(crate) field: &'a Field,
    plan: &'a crate::plan::FieldPlan,
    pub(crate) concept: &'a Concept,
    pub(crate) phrases: &'a [Vec<Word>],
    pub(crate) labels: &'a crate::facts::Wanted,
    candidates: Vec<Candidate>,
    failure: Option<String>,
}

impl<'a> Finder<'a> {
    pub(crate) fn new(
        facts: &'a Facts<'a>,
        plan: &'a crate::plan::Plan,
        url: &'a Url,
        number: usize,
        meaning: &'a Meaning,
    ) -> Self {
        Self {
            facts,
            url,
            vocabulary: &plan.vocabulary,
            number,
            field: &plan.fields[number].field,
            plan: &plan.fields[number],
            concept: &meaning.concept,
            phrases: &meaning.phrases,
            labels: &plan.labels,
            candidates: Vec::new(),
            failure: None,
        }
    }

    /// The best value; without one, why what there was can't be used.
    pub(crate) fn find(mut self) -> Result<Found, Option<String>> {
        if let Kind::Object(_) = self.field.kind {
            self.objects();
        } else if let Kind::Array(element) = &self.field.kind {
            if let Kind::Object(_) = **element { self.objects() } else { self.lists() }
        } else {
            self.structured();
            self.page();
        }
        match self.concept.rule {
            Rule::Price => self.check_prices(),
            Rule::Brand => self.doubt_shops(),
            Rule::Identifier => self.doubt_phrases(),
            _ => {}
        }
        let failure = self.failure.take();
        let plan = self.plan;
        self.candidates.retain(|candidate| plan.allows(candidate.source.origin()));
        vote(self.candidates).ok_or(failure)
    }

    pub(crate) fn normal(&self) -> Normal<'a> {
        Normal {
            rule: self.concept.rule,
            base: &self.facts.base,
            reading: &self.plan.reading,
            month_first: self.facts.language.as_deref().is_none_or(|language| {
                language.eq_ignore_ascii_case("en-us") || language.eq_ignore_ascii_case("en")
            }),
        }
    }

    /// An article number with words in it is more likely a short name.
    fn doubt_phrases(&mut self) {
        for candidate in &mut self.candidates {
            if candidate.value.as_str().is_some_and(has_words) {
                candidate.weight *= 0.5;
            }
        }
    }

    /// Takes a text in, if it is of the field's type.
    fn text(&mut self, source: Source, weight: f64, text: &str, path: &str) {
        self.value(source, weight, &Value::from(text), path, false);
    }

    /// Takes a value in; a machine has written its numbers with a decimal point.
    fn value(&mut self, source: Source, weight: f64, raw: &Value, path: &str, is_machine: bool) {
        if self.candidates.len() >= MAX_CANDIDATES || weight <= 0.0 {
            return;
        }
        match self.normal().value(raw, &self.field.kind, is_machine) {
            Ok(value) => {
                let raw = match raw {
                    Value::String(text) => crate::text::cut(text, MAX_RAW_BYTES).to_owned(),
                    other => crate::text::cut(&other.to_string(), MAX_RAW_BYTES).to_owned(),
                };
                let path = crate::text::cut(path, MAX_RAW_BYTES).to_owned();
                self.candidates.push(Candidate {
                    source,
                    weight: weight.min(0.97),
                    value,
                    raw,
                    path,
                });
            }
            Err(message) if weight >= LEAST_CONFIDENCE => {
                self.failure.get_or_insert(message);
            }
            Err(_) => {}
        }
    }
}

/// The value on which the most and best independent sources agree; the first among equals.
fn vote(candidates: Vec<Candidate>) -> Option<Found> {
    let mut groups: Vec<Group> = Vec::new();
    let mut by_key = std::collections::HashMap::new();
    for candidate in candidates {
        let key = key(&candidate.value);
        let number = *by_key.entry(key).or_insert_with(|| {
            groups.push(Group::default());
            groups.len() - 1
        });
        groups[number].add(candidate);
    }
    let mut best: Option<(f64, Group)> = None;
    for group in groups {
        let confidence = group.confidence();
        if best.as_ref().is_none_or(|(most, _)| confidence > most + 1e-9) {
            best = Some((confidence, group));
        }
    }
    let (confidence, group) = best.filter(|(confidence, _)| *confidence >= LEAST_CONFIDENCE)?;
    let Candidate { source, value, raw, path, .. } = group.best?;
    Some(Found { value, confidence, source: source.name(), raw, path })
}

/// Candidates that say the same.
#[derive(Debug, Default)]
struct Group {
    by_family: [f64; Source::COUNT],
    best: Option<Candidate>,
}

impl Group {
    fn add(&mut self, candidate: Candidate) {
        let weight = &mut self.by_family[candidate.source.family()];
        *weight = weight.max(candidate.weight);
        if self.best.as_ref().is_none_or(|best| candidate.weight > best.weight) {
            self.best = Some(candidate);
        }
    }

    /// That not all sources err, if they err independently.
    fn confidence(&self) -> f64 {
        1.0 - self.by_family.iter().map(|weight| 1.0 - weight).product::<f64>()
    }
}

/// Values with the same key say the same.
fn key(value: &Value) -> String {
    match value {
        Value::String(text) => {
            let simple = simple(text);
            if simple.is_empty() { text.clone() } else { simple }
        }
        Value::Array(values) => values.iter().map(key).collect::<Vec<_>>().join("\n"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn candidate(source: Source, weight: f64, value: Value) -> Candidate {
        Candidate { source, weight, value, raw: String::new(), path: String::new() }
    }

    #[test]
    fn independent_sources_outvote_a_better_one() {
        let found = vote(vec![
            candidate(Source::JsonLd, 0.8, json!("A")),
            candidate(Source::Meta, 0.7, json!("B")),
            candidate(Source::Heading, 0.7, json!("b!")),
        ]);
        let found = found.unwrap();
        assert_eq!((found.value, found.source), (json!("B"), "meta"));
        assert!((found.confidence - 0.91).abs() < 1e-9);
    }

    #[test]
    fn one_source_counts_once_and_the_first_wins_among_equals() {
        let found = vote(vec![
            candidate(Source::Attribute, 0.5, json!(1)),
            candidate(Source::Attribute, 0.5, json!(2)),
            candidate(Source::Attribute, 0.4, json!(2)),
        ]);
        assert_eq!(found.unwrap().value, json!(1));
        assert_eq!(vote(vec![candidate(Source::Text, 0.29, json!(1))]), None);
    }
}
