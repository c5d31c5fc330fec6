//! What a page says about itself outside of JSON-LD, and which of it answers for a field.

use harvestman_engine::Kind;
use lol_html::html_content::Element;
use serde_json::Value;

use crate::{
    coerce::Coercer,
    concept::{Concept, tokens},
    text::clean,
};

/// The longest text of a marked element; a longer one marks no value.
pub(crate) const MAX_FACT_BYTES: usize = 4 * 1024;
/// The most facts that are kept of one page.
const MAX_FACTS: usize = 5_000;

// How much a source is believed, of 1 (the extraction design, step 4).
const ITEMPROP: f64 = 0.86;
const META: f64 = 0.78;
const HEADING: f64 = 0.85;
const TITLE: f64 = 0.35;
const MARK: f64 = 0.62;
/// Each token of a class that says something else makes it less sure.
const FOREIGN_TOKEN: f64 = 0.45;
const MUTED: f64 = 0.4;
const STRUCK: f64 = 0.33;
/// Below this a value is no better than none.
const LEAST: f64 = 0.2;

/// Tokens of classes that say nothing about the value.
const NEUTRAL: &[&str] = &[
    "product", "current", "value", "text", "item", "main", "page", "block", "wrapper", "box",
    "single", "summary", "detail", "details", "info", "the", "js", "c", "m", "u", "entry", "label",
    "amount", "final", "sale", "now",
];
/// Tokens of prices that are not the one to pay.
const OLD: &[&str] = &[
    "old", "was", "before", "list", "rrp", "msrp", "regular", "strike", "save", "shipping",
    "compare", "crossed", "from", "original", "discount",
];

/// Facts in the order of the page.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    metas: Vec<(String, String)>,
    pub(crate) marks: Vec<Mark>,
    /// How many muted elements the parser is in.
    pub(crate) muted: u32,
    /// How many struck-through elements the parser is in.
    pub(crate) struck: u32,
}

/// A text with what marks it.
#[derive(Debug)]
pub(crate) struct Mark {
    source: Source,
    pub(crate) text: String,
    is_muted: bool,
    is_struck: bool,
}

#[derive(Debug)]
enum Source {
    Title,
    Heading,
    Property { name: String, is_machine: bool },
    Words(Vec<String>),
}

impl Mark {
    pub(crate) fn title() -> Self {
        Self::new(Source::Title, String::new())
    }

    pub(crate) fn heading() -> Self {
        Self::new(Source::Heading, String::new())
    }

    /// A microdata property: its value is in an attribute or in its text.
    pub(crate) fn property(element: &Element<'_, '_>) -> Option<Self> {
        let name = element.get_attribute("itemprop")?;
        let attribute = match element.tag_name().as_str() {
            "meta" => return None,
            "a" | "link" | "area" => "href",
            "img" | "audio" | "video" | "iframe" | "source" | "embed" => "src",
            "time" => "datetime",
            "data" | "meter" => "value",
            _ => "content",
        };
        let value = element.get_attribute(attribute).or_else(|| element.get_attribute("content"));
        let is_link = matches!(attribute, "href" | "src");
        // A link's text is its value unless an address is asked for.
        let is_machine = value.is_some();
        let text = value.filter(|_| !is_link || element.tag_name() != "a").unwrap_or_default();
        Some(Self::new(Source::Property { name, is_machine }, text))
    }

    pub(crate) fn of_element(element: &Element<'_, '_>) -> Option<Self> {
        let named = ["class", "id"].iter().filter_map(|name| element.get_attribute(name));
        let words: Vec<_> = named.flat_map(|words| tokens(&words)).collect();
        let is_input =
            matches!(element.tag_name().as_str(), "input" | "select" | "button" | "form");
        let is_word = !words.is_empty() && words.len() <= 12 && !is_input;
        is_word.then(|| Self::new(Source::Words(words), String::new()))
    }

    fn new(source: Source, text: String) -> Self {
        Self { source, text, is_muted: false, is_struck: false }
    }

    /// Whether the value is known already, so that the text doesn't matter.
    pub(crate) fn has_value(&self) -> bool {
        !self.text.is_empty()
    }
}

impl Facts {
    pub(crate) fn add_meta(&mut self, key: &str, content: String) {
        if self.metas.len() < MAX_FACTS && content.len() <= MAX_FACT_BYTES {
            self.metas.push((key.to_ascii_lowercase(), content));
        }
    }

    /// Keeps a mark whose text is still to come; `None` if there are too many.
    pub(crate) fn begin(&mut self, mut mark: Mark) -> Option<usize> {
        if self.marks.len() >= MAX_FACTS {
            return None;
        }
        mark.is_muted = self.muted > 0;
        mark.is_struck = self.struck > 0;
        self.marks.push(mark);
        Some(self.marks.len() - 1)
    }

    /// Where relative addresses start from, if the page says so.
    pub(crate) fn base(&self) -> Option<&str> {
        self.metas.iter().find(|(key, _)| key == "base").map(|(_, address)| address.as_str())
    }

    /// The most believable value for a concept; an error if there are only unusable ones.
    pub(crate) fn pick(
        &self,
        concept: &Concept,
        kind: &Kind,
        coercer: Coercer<'_>,
    ) -> Option<Result<Value, String>> {
        if let Kind::Array(element) = kind {
            return self.pick_all(concept, element, coercer).map(Ok);
        }
        let mut candidates = self.candidates(concept);
        // Stable: the first on the page wins among equals.
        candidates.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        let mut failure = None;
        for candidate in candidates.iter().filter(|candidate| candidate.weight >= LEAST) {
            match candidate.value(kind, coercer) {
                Ok(value) => return Some(Ok(value)),
                Err(message) => failure = failure.or(Some(message)),
            }
        }
        failure.map(Err)
    }

    /// All values of the first source that has any.
    fn pick_all(&self, concept: &Concept, kind: &Kind, coercer: Coercer<'_>) -> Option<Value> {
        let candidates = self.candidates(concept);
        let best = candidates.iter().map(|candidate| candidate.weight).fold(0.0, f64::max);
        let same = candidates.iter().filter(|candidate| candidate.weight >= best.max(LEAST));
        let mut values = Vec::new();
        for candidate in same {
            // Keywords are one text with commas.
            for text in candidate
                .text
                .split(',')
                .filter(|_| best <= META)
                .chain(Some(candidate.text).filter(|_| best > META))
            {
                let part = Candidate { text, ..*candidate };
                values
                    .extend(part.value(kind, coercer).ok().filter(|value| !values.contains(value)));
            }
        }
        (!values.is_empty()).then_some(Value::Array(values))
    }

    fn candidates(&self, concept: &Concept) -> Vec<Candidate<'_>> {
        let rank = |keys: &[String], name: &str| {
            keys.iter().position(|key| key.eq_ignore_ascii_case(name))
        };
        // A later key of the table is a little less sure.
        let later = |place: usize| 1.0 - 0.01 * place.min(20) as f64;
        let metas = self.metas.iter().filter_map(|(key, content)| {
            let place = rank(&concept.meta, key)?;
            let weight = if key == "og:title" || key == "twitter:title" { 0.62 } else { META };
            Some(Candidate { text: content, is_machine: true, weight: weight * later(place) })
        });
        let marks = self.marks.iter().filter_map(|mark| {
            let (weight, is_machine) = match &mark.source {
                Source::Title if concept.is_heading => (TITLE, false),
                Source::Heading if concept.is_heading => (HEADING, false),
                Source::Property { name, is_machine } => {
                    let names = name.split_ascii_whitespace();
                    let place = names.filter_map(|name| rank(&concept.itemprop, name)).min()?;
                    (ITEMPROP * later(place), *is_machine)
                }
                Source::Words(words) => (word_weight(words, concept)?, false),
                _ => return None,
            };
            if mark.text.is_empty() || mark.text.len() > MAX_FACT_BYTES {
                return None;
            }
            let muted = if mark.is_muted { MUTED } else { 1.0 };
            let struck = if mark.is_struck == concept.is_struck { 1.0 } else { STRUCK };
            Some(Candidate { text: &mark.text, is_machine, weight: weight * muted * struck })
        });
        metas.chain(marks).collect()
    }
}

#[derive(Clone, Copy, Debug)]
struct Candidate<'a> {
    text: &'a str,
    /// Written by a program for programs.
    is_machine: bool,
    weight: f64,
}

impl Candidate<'_> {
    fn value(&self, kind: &Kind, coercer: Coercer<'_>) -> Result<Value, String> {
        let text = clean(self.text);
        if self.is_machine { coercer.machine_text(&text, kind) } else { coercer.text(&text, kind) }
    }
}

/// How well the words of a class fit: all of a phrase, and little else.
fn word_weight(words: &[String], concept: &Concept) -> Option<f64> {
    let fits = |phrase: &String| {
        let phrase = tokens(phrase);
        let has_all = phrase.iter().all(|word| words.contains(word));
        if !has_all {
            return None;
        }
        let foreign = words.iter().filter(|word| !phrase.contains(word));
        let foreign: Vec<_> = foreign.filter(|word| !NEUTRAL.contains(&word.as_str())).collect();
        let is_old = !concept.is_struck && foreign.iter().any(|word| OLD.contains(&word.as_str()));
        let old = if is_old { STRUCK } else { 1.0 };
        Some(MARK * old / (1.0 + FOREIGN_TOKEN * foreign.len() as f64))
    };
    concept.marks.iter().filter_map(fits).reduce(f64::max)
}
