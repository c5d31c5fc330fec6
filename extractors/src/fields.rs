//! All fields of a page: each is found, invalid or missing.

use std::collections::BTreeMap;

use harvestman_engine::{Code, ExtractStatus, FetchError, FieldMeta, Fields, schema::Origin};
use serde_json::{Map, Value};
use url::Url;

use crate::{
    concept::Rule,
    confidence, dom,
    entity::{Entities, Syntax},
    facts::{Facts, state},
    find::{Finder, Found, Normal, coverage, may_be_auction, settled},
    jsonld,
    located::{self, Outcome, Typer},
    page_scan::{Scan, scan},
    plan::{FieldPlan, Plan, Ready},
    tree::{Tag, Tree},
};

/// What has been found so far.
#[derive(Debug)]
pub(crate) struct Draft {
    outcomes: Vec<Outcome>,
    metas: Vec<Option<FieldMeta>>,
    /// The page has been read for what its JSON-LD lacks.
    is_read: bool,
}

impl Draft {
    /// Reads the page's JSON-LD, which takes microseconds.
    pub(crate) fn new(html: &str, plan: &Plan, base: &Url) -> Self {
        let mut draft = Self {
            outcomes: vec![Outcome::Missing; plan.fields.len()],
            metas: vec![None; plan.fields.len()],
            is_read: false,
        };
        if !plan.finds {
            return draft;
        }
        let mut entities = Entities::default();
        jsonld::values(html).for_each(|value| entities.add(value, Syntax::JsonLd));
        entities.rank(|entities, entity| coverage(entities, entity, plan), |_| false);
        for (number, field) in plan.fields.iter().enumerate() {
            let Some(meaning) = field.meaning.as_ref().filter(|_| field.is_found_first()) else {
                continue;
            };
            let normal = Normal {
                rule: meaning.concept.rule,
                base,
                reading: &field.reading,
                month_first: false,
            };
            let is_auction = meaning.concept.rule == Rule::Price && may_be_auction(html);
            let found = (field.allows(Origin::JsonLd) && !is_auction)
                .then(|| settled(&entities, &field.field, meaning, normal));
            if let Some(found) = found.flatten() {
                draft.set(plan, number, found);
            }
        }
        draft
    }

    /// Whether there is nothing left to do.
    pub(crate) fn is_complete(&self) -> bool {
        self.is_read || self.has_all()
    }

    /// Whether every field has its value.
    pub(crate) fn has_all(&self) -> bool {
        self.outcomes.iter().all(|outcome| matches!(outcome, Outcome::Found(_)))
    }

    /// Reads what is left from the page itself. Takes some hundred microseconds.
    pub(crate) fn complete(
        mut self,
        html: &str,
        plan: &Plan,
        url: &Url,
    ) -> Result<Self, FetchError> {
        if plan.locates() {
            self.locate(html, plan, url)?;
        }
        let lacks = |(field, outcome): (&FieldPlan, &Outcome)| {
            field.meaning.is_some() && !matches!(outcome, Outcome::Found(_))
        };
        if plan.fields.iter().zip(&self.outcomes).any(lacks) {
            self.find(html, plan, url);
        }
        self.is_read = true;
        Ok(self)
    }

    /// Looks for the fields by their names.
    fn find(&mut self, html: &str, plan: &Plan, url: &Url) {
        let mut facts = Facts::gather(html, url, &plan.vocabulary, &plan.labels);
        let headings = std::mem::take(&mut facts.headings);
        facts
            .entities
            .rank(|entities, entity| coverage(entities, entity, plan), |name| headings.names(name));
        facts.headings = headings;
        for (number, field) in plan.fields.iter().enumerate() {
            let Some(meaning) = &field.meaning else { continue };
            let hears_page = meaning.concept.rule.hears_page() && field.is_found_first();
            if matches!(self.outcomes[number], Outcome::Found(_)) && !hears_page {
                continue;
            }
            match Finder::new(&facts, plan, url, number, meaning).find() {
                Ok(found) => self.set(plan, number, found),
                Err(Some(message)) if !matches!(self.outcomes[number], Outcome::Found(_)) => {
                    self.outcomes[number] = Outcome::Invalid(message);
                }
                Err(_) => {}
            }
        }
    }

    fn set(&mut self, plan: &Plan, number: usize, found: Found) {
        let confidence = confidence::calibrated(found.confidence);
        if plan.options.min_confidence.is_some_and(|least| confidence < least) {
            return;
        }
        if plan.options.meta {
            let mut meta = FieldMeta::new(confidence, found.source);
            meta.raw = found.raw;
            meta.path = found.path;
            self.metas[number] = Some(meta);
        }
        self.outcomes[number] = Outcome::Found(found.value);
    }

    /// The fields that a language model may be asked for: found by their names, and not found.
    #[cfg(feature = "llm")]
    pub(crate) fn unfound<'p>(&self, plan: &'p Plan) -> Vec<(usize, &'p FieldPlan)> {
        let fields = plan.fields.iter().enumerate();
        let is_unfound = |(number, field): &(usize, &FieldPlan)| {
            field.meaning.is_some() && !matches!(self.outcomes[*number], Outcome::Found(_))
        };
        fields.filter(is_unfound).collect()
    }

    /// Sets what a language model has said of a field, with the words of the page that say it.
    #[cfg(feature = "llm")]
    pub(crate) fn set_said(&mut self, plan: &Plan, number: usize, outcome: Outcome, quote: &str) {
        let confidence = crate::llm::CONFIDENCE;
        let is_unsure = plan.options.min_confidence.is_some_and(|least| confidence < least);
        if matches!(outcome, Outcome::Missing) || is_unsure {
            return;
        }
        if plan.options.meta && matches!(outcome, Outcome::Found(_)) {
            let mut meta = FieldMeta::new(confidence, "llm");
            crate::text::cut(quote, 200).clone_into(&mut meta.raw);
            self.metas[number] = Some(meta);
        }
        self.outcomes[number] = outcome;
    }

    /// Reads the fields with selectors.
    fn locate(&mut self, html: &str, plan: &Plan, url: &Url) -> Result<(), FetchError> {
        let scan = if plan.has_css() && plan.streams { scan(html, plan) } else { Scan::default() };
        let needs_tree = plan.has_css() && (!plan.streams || scan.needs_tree);
        let document = if needs_tree { Some(dom::tree(html)?) } else { None };
        let needs = |which: fn(&Ready) -> bool| {
            plan.fields.iter().any(|field| field.selectors.iter().any(which))
        };
        let needs_json = needs(|selector| matches!(selector, Ready::JsonPath(_)));
        let needs_nodes = needs_json || needs(|selector| matches!(selector, Ready::XPath(_)));
        let tree = needs_nodes.then(|| Tree::new(html));
        let json = tree.as_ref().filter(|_| needs_json).map(|tree| embedded(html, tree));
        let base = base_of(html, url);
        for (number, field) in plan.fields.iter().enumerate() {
            let typer = Typer { base: &base, pick: field.pick.as_ref(), reading: &field.reading };
            for (choice, selector) in field.selectors.iter().enumerate() {
                let outcome = match (selector, &document, &tree) {
                    (Ready::Css { matcher, .. }, Some(document), _) => {
                        dom::read(&document.root().into(), field, matcher, typer)
                    }
                    (Ready::Css { .. }, None, _) => {
                        let captures = scan.located.get(number).and_then(|slots| slots.get(choice));
                        let captures = captures.map(std::slice::from_ref).unwrap_or_default();
                        located::read(field, captures, typer)
                    }
                    (Ready::XPath(xpath), _, Some(tree)) => {
                        located::read_xpath(field, xpath, tree, 0, typer)
                    }
                    (Ready::JsonPath(path), ..) => {
                        located::read_json(field, path, json.as_deref().unwrap_or_default(), typer)
                    }
                    (Ready::XPath(_), _, None) => Outcome::Missing,
                };
                let is_found = matches!(outcome, Outcome::Found(_));
                let before = std::mem::replace(&mut self.outcomes[number], Outcome::Missing);
                self.outcomes[number] = before.or(outcome);
                if is_found {
                    self.set_selected(plan, number, choice);
                    break;
                }
            }
        }
        Ok(())
    }

    fn set_selected(&mut self, plan: &Plan, number: usize, choice: usize) {
        if plan.options.meta {
            let mut meta = FieldMeta::new(1.0, "selector");
            let locator = plan.fields[number].field.locator.as_ref();
            let selector = locator.and_then(|locator| locator.selectors.get(choice));
            meta.path = selector.map(|selector| selector.as_str().to_owned()).unwrap_or_default();
            self.metas[number] = Some(meta);
        }
    }

    /// The record's fields, in the order of the schema.
    ///
    /// # Errors
    /// [`Code::ValidationFailed`] with the fields all the same, when the schema is strict and they
    /// break it.
    pub(crate) fn into_fields(mut self, plan: &Plan) -> Result<Fields, FetchError> {
        let mut data = Map::new();
        let mut missing = Vec::new();
        let mut field_errors = BTreeMap::new();
        let mut fatal = Vec::new();
        let mut found = 0;
        for (number, field) in plan.fields.iter().enumerate() {
            let name = &field.field.name;
            let outcome = std::mem::replace(&mut self.outcomes[number], Outcome::Missing);
            let checked = match outcome {
                Outcome::Found(value) => match field.check.broken(&value) {
                    Some(message) => {
                        if plan.is_strict || plan.options.strict {
                            fatal.push(format!("{name}: {message}"));
                        }
                        Outcome::Invalid(message)
                    }
                    None => Outcome::Found(value),
                },
                other => other,
            };
            let value = match checked {
                Outcome::Found(value) => {
                    found += 1;
                    value
                }
                Outcome::Missing | Outcome::Invalid(_) if field.field.default.is_some() => {
                    self.metas[number] = plan.options.meta.then(|| FieldMeta::new(1.0, "default"));
                    field.field.default.clone().unwrap_or_default()
                }
                other => {
                    self.metas[number] = None;
                    if is_fatal(field, plan) {
                        fatal.push(format!(
                            "{name} is {}",
                            if other == Outcome::Missing { "missing" } else { "invalid" }
                        ));
                    }
                    match other {
                        Outcome::Invalid(message) => {
                            field_errors.insert(name.clone(), message);
                        }
                        _ if !field.field.nullable => missing.push(name.clone()),
                        _ => {}
                    }
                    Value::Null
                }
            };
            data.insert(name.clone(), value);
        }
        let mut fields = Fields::from_data(data);
        fields.extract_status = Some(match found {
            0 => ExtractStatus::Empty,
            _ if found < plan.fields.len() => ExtractStatus::Partial,
            _ => ExtractStatus::Complete,
        });
        fields.missing = missing;
        fields.field_errors = field_errors;
        fields.meta = plan.options.meta.then(|| self.into_meta(plan));
        if fatal.is_empty() { Ok(fields) } else { Err(invalid(&fatal).with_partial(fields)) }
    }

    fn into_meta(self, plan: &Plan) -> BTreeMap<String, FieldMeta> {
        let names = plan.fields.iter().map(|field| field.field.name.clone());
        names.zip(self.metas).filter_map(|(name, meta)| Some((name, meta?))).collect()
    }
}

/// Whether the page fails without this field.
fn is_fatal(field: &FieldPlan, plan: &Plan) -> bool {
    let is_wanted = field.field.required || plan.options.strict;
    is_wanted && !field.field.nullable
}

fn invalid(reasons: &[String]) -> FetchError {
    const MAX_REASONS: usize = 5;
    let first = reasons.iter().take(MAX_REASONS).cloned().collect::<Vec<_>>().join("; ");
    let message = match reasons.len() {
        0..=MAX_REASONS => first,
        all => format!("{first}; and {} more", all - MAX_REASONS),
    };
    FetchError::new(Code::ValidationFailed, message)
}

/// All JSON in the page's scripts: JSON-LD first, then its state.
fn embedded(html: &str, tree: &Tree<'_>) -> Vec<Value> {
    jsonld::values(html).chain(state::values(tree)).collect()
}

/// Where relative addresses start from: the page's `base`, else its own address.
fn base_of(html: &str, url: &Url) -> Url {
    const MAX_HEAD_BYTES: usize = 64 * 1024;
    let head = crate::text::cut(html, MAX_HEAD_BYTES);
    let has_base = |tag: &str| memchr::memmem::find(head.as_bytes(), tag.as_bytes()).is_some();
    if !has_base("<base") && !has_base("<BASE") {
        return url.clone();
    }
    let tree = Tree::new(head);
    let base = (0..tree.len()).find(|place| tree.tag(*place) == Tag::Base);
    let written = base.and_then(|place| tree.attribute(place, "href"));
    written.and_then(|written| url.join(written.trim()).ok()).unwrap_or_else(|| url.clone())
}
