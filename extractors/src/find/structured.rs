//! Candidates from structured data: entities, meta tags, the state of scripts.

use harvestman_engine::{Field, Kind, schema::Reading as ReadingRule};
use serde_json::{Map, Value};

use super::{Finder, Found, Normal, Source, availability};
use crate::{
    coerce::reading::Reading,
    concept::{Concept, Rule},
    entity::{Entities, Entity, SPECIFIC, Syntax},
    facts::{Leaf, without_site, without_site_behind, words::each_word},
    plan::{Meaning, Plan},
};

/// Up to this prior an entity may be the page rather than what it is about.
const GENERIC: f64 = 0.5;
/// Confidence of what the main entity of JSON-LD says by itself.
const SETTLED: f64 = 0.92;

impl Source {
    pub(super) fn of(syntax: Syntax) -> (Self, f64) {
        match syntax {
            Syntax::JsonLd => (Self::JsonLd, 0.92),
            Syntax::Microdata => (Self::Microdata, 0.86),
            Syntax::Rdfa => (Self::Rdfa, 0.8),
        }
    }
}

/// The share of the wanted fields that an entity has something for.
pub(crate) fn coverage(entities: &Entities, entity: &Entity, plan: &Plan) -> f64 {
    let wanted = plan.fields.iter().filter(|field| field.is_found_first());
    let wanted = wanted.filter_map(|field| Some((&field.field, field.meaning.as_ref()?)));
    let (mut count, mut covered) = (0_u32, 0_u32);
    for (field, meaning) in wanted {
        count += 1;
        let mut paths = paths(&meaning.concept, &field.name);
        covered +=
            u32::from(paths.any(|path| !entities.at_path(&entity.properties, path).is_empty()));
    }
    f64::from(covered) / f64::from(count.max(1))
}

/// Where in an entity a field may be. Its own name is a key as good as any, before the others if it is
/// written as a property is.
fn paths<'a>(concept: &'a Concept, name: &'a str) -> impl Iterator<Item = &'a str> {
    let is_property = concept.jsonld.iter().any(|path| path == name)
        || name.bytes().any(|byte| byte.is_ascii_uppercase());
    let first = is_property.then_some(name);
    first.into_iter().chain(concept.jsonld.iter().map(String::as_str)).chain(Some(name))
}

/// What the main entity says of a field, if that settles it: then the page itself is not read.
pub(crate) fn settled(
    entities: &Entities,
    field: &Field,
    meaning: &Meaning,
    normal: Normal<'_>,
) -> Option<Found> {
    let entity = entities.main().filter(|entity| entity.prior >= SPECIFIC)?;
    let concept = &meaning.concept;
    let needs_page = matches!(
        concept.rule,
        Rule::Url | Rule::Language | Rule::Site | Rule::Website | Rule::Image
    );
    // The headline of a text is as often that of its preview; people read the heading.
    let is_headline = concept.rule == Rule::Name && entity.is_article();
    if needs_page || is_headline {
        return None;
    }
    let (path, value) = paths(concept, &field.name).find_map(|path| {
        let values = entities.at_path(&entity.properties, path);
        let value = typed(entities, &values, &field.kind, normal)?;
        Some((path, (value, values)))
    })?;
    let is_doubtful = match concept.rule {
        Rule::Name => ends_with_domain,
        Rule::Identifier => super::has_words,
        _ => |_: &str| false,
    };
    if value.0.as_str().is_some_and(is_doubtful) {
        return None;
    }
    let (value, values) = value;
    let raw = values.first().map(|value| shown(value)).unwrap_or_default();
    Some(Found {
        value,
        confidence: SETTLED,
        source: Source::JsonLd.name(),
        raw,
        path: path.to_owned(),
    })
}

/// Whether a name ends with that of a site, which the page itself tells for sure.
fn ends_with_domain(name: &str) -> bool {
    let (before, last) = name.rsplit_once(' ').unwrap_or(("", name));
    let tail = last.rsplit_once('.').map_or("", |(_, tail)| tail);
    !before.is_empty()
        && (2..=6).contains(&tail.len())
        && tail.bytes().all(|b| b.is_ascii_alphabetic())
}

fn shown(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    crate::text::cut(&text, super::MAX_RAW_BYTES).to_owned()
}

/// The first usable value, or all of them for a list.
pub(crate) fn typed(
    entities: &Entities,
    values: &[&Value],
    kind: &Kind,
    normal: Normal<'_>,
) -> Option<Value> {
    if values.is_empty() {
        return None;
    }
    match kind {
        Kind::Array(element) => {
            let values = values.iter().flat_map(|value| normal.parts(value));
            let usable = values.filter_map(|value| one(entities, &value, element, normal));
            let mut list: Vec<Value> = Vec::new();
            for value in usable {
                if !list.contains(&value) {
                    list.push(value);
                }
            }
            (!list.is_empty()).then_some(Value::Array(list))
        }
        Kind::String if normal.joins() && values.len() > 1 => {
            let names = values.iter().filter_map(|value| one(entities, value, kind, normal));
            let mut names: Vec<String> =
                names.filter_map(|name| name.as_str().map(str::to_owned)).collect();
            names.dedup();
            names.truncate(20);
            (!names.is_empty()).then(|| Value::String(names.join(", ")))
        }
        kind if normal.rule == Rule::Availability && values.len() > 1 => {
            let states: Vec<Value> =
                values.iter().filter_map(|value| one(entities, value, kind, normal)).collect();
            // Of several offers one that can be had is enough.
            let is_there = |state: &&Value| match state {
                Value::String(state) => availability::is_there(state),
                other => **other == Value::Bool(true),
            };
            states.iter().find(is_there).or(states.first()).cloned()
        }
        kind => values.iter().find_map(|value| one(entities, value, kind, normal)),
    }
}

fn one(entities: &Entities, value: &Value, kind: &Kind, normal: Normal<'_>) -> Option<Value> {
    let Kind::Object(fields) = kind else { return normal.value(value, kind, true).ok() };
    value.as_object()?;
    let mut nested = Map::new();
    for field in fields {
        let concept = Concept::of(&field.name);
        let reading = Reading::new(field, None, "").unwrap_or_default();
        let is_own = field.reading != ReadingRule::default();
        let reading = if is_own { &reading } else { normal.reading };
        let normal = Normal { rule: concept.rule, reading, ..normal };
        let found = paths(&concept, &field.name).find_map(|path| {
            let path =
                path.strip_prefix("offers.").filter(|_| !is_whole(entities, value)).unwrap_or(path);
            typed(entities, &entities.at_path(value, path), &field.kind, normal)
        });
        nested.insert(field.name.clone(), found.unwrap_or(Value::Null));
    }
    nested.values().any(|value| !value.is_null()).then_some(Value::Object(nested))
}

/// Whether an entity has offers of its own, so that it is none itself.
fn is_whole(entities: &Entities, value: &Value) -> bool {
    !entities.at_path(value, "offers").is_empty()
}

impl Finder<'_> {
    /// Nested fields and lists of them: from entities only.
    pub(super) fn objects(&mut self) {
        let facts = self.facts;
        let normal = self.normal();
        let mut found = Vec::new();
        for (entity, share) in facts.entities.answering() {
            let (source, weight) = Source::of(entity.syntax);
            let paths = paths(self.concept, &self.field.name);
            let value = paths
                .map(|path| (path, facts.entities.at_path(&entity.properties, path)))
                .find_map(|(path, values)| {
                    Some((path, typed(&facts.entities, &values, &self.field.kind, normal)?))
                });
            if let Some((path, value)) = value {
                found.push(super::Candidate {
                    source,
                    weight: weight * share,
                    raw: shown(&value),
                    value,
                    path: path.to_owned(),
                });
            }
        }
        self.candidates.extend(found);
    }

    pub(super) fn structured(&mut self) {
        self.entities();
        self.metas();
        if self.candidates.iter().all(|candidate| candidate.weight < 0.7) {
            self.state();
        }
    }

    fn entities(&mut self) {
        let (facts, concept) = (self.facts, self.concept);
        let normal = self.normal();
        for (entity, share) in facts.entities.answering() {
            let (source, mut weight) = Source::of(entity.syntax);
            if matches!(concept.rule, Rule::Name | Rule::Url) && entity.prior <= GENERIC {
                weight *= 0.62;
            } else if concept.rule == Rule::Name && entity.is_named_first() && share >= 1.0 {
                weight = 0.97;
            } else if concept.rule == Rule::Name {
                weight *= if entity.is_article() { 0.85 } else { 0.7 };
            }
            if matches!(concept.rule, Rule::Language | Rule::Site) {
                weight *= 0.6;
            }
            let mut failed = None;
            let found = paths(concept, &self.field.name).enumerate().find_map(|(rank, path)| {
                let values = facts.entities.at_path(&entity.properties, path);
                let first = (*values.first()?).clone();
                let value = typed(&facts.entities, &values, &self.field.kind, normal);
                if value.is_none() {
                    failed.get_or_insert(first.clone());
                }
                Some((rank, path, value?, first))
            });
            match found {
                Some((rank, path, mut value, raw)) => {
                    if let (Rule::Name, Value::String(title)) = (concept.rule, &value) {
                        let is_text = entity.is_article() || entity.prior <= GENERIC;
                        value = Value::String(self.without_site_of(title, is_text));
                    }
                    let weight = weight * share * (1.0 - 0.02 * rank.min(10) as f64);
                    let (raw, path) = (shown(&raw), path.to_owned());
                    self.candidates.push(super::Candidate { source, weight, value, raw, path });
                }
                None => {
                    if let Some(raw) = failed {
                        // Says why it can't be used.
                        self.value(source, weight, &raw, "", true);
                    }
                }
            }
        }
        if concept.rule == Rule::Site {
            self.site_entities();
        }
    }

    /// The site's own entity, or who publishes.
    fn site_entities(&mut self) {
        let facts = self.facts;
        let mut names = Vec::new();
        for (kinds, path, weight) in [
            (&["WebSite"][..], "name", 0.7),
            (&[], "publisher.name", 0.6),
            (&["Organization"], "name", 0.4),
        ] {
            for entity in facts.entities.all() {
                let kind =
                    entity.properties.get("@type").and_then(Value::as_str).unwrap_or_default();
                let fits = kinds.is_empty() || kinds.iter().any(|name| kind.ends_with(name));
                if let Some(name) =
                    facts.entities.at_path(&entity.properties, path).first().filter(|_| fits)
                {
                    names.push(((*name).clone(), weight, path, Source::of(entity.syntax).0));
                }
            }
        }
        for (name, weight, path, source) in names {
            self.value(source, weight, &name, path, true);
        }
    }

    fn metas(&mut self) {
        let (facts, concept) = (self.facts, self.concept);
        for (rank, key) in concept.meta.iter().enumerate() {
            let base = match (concept.rule, key.as_str()) {
                (Rule::Name, "og:title" | "twitter:title" | "title") => 0.62,
                (Rule::Image, "og:image")
                | (Rule::Url, "canonical")
                | (Rule::Site, "og:site_name") => 0.95,
                (Rule::Person, "twitter:data1") => 0.45,
                (Rule::Price, "twitter:data1") => 0.4,
                (Rule::Language, "og:locale") => 0.5,
                (Rule::Language, _)
                | (Rule::Date, "date" | "dc.date" | "created" | "timestamp") => 0.6,
                (Rule::Description, "og:description") => 0.8,
                _ => 0.78,
            };
            let weight = base * (1.0 - 0.01 * rank.min(10) as f64);
            let contents: Vec<&str> = facts.meta(key).collect();
            for content in contents.into_iter().take(5) {
                if content.trim().is_empty() {
                    continue;
                }
                let content = match concept.rule {
                    Rule::Name => self.without_site(content),
                    _ => content.to_owned(),
                };
                self.value(Source::Meta, weight, &Value::from(content), key, true);
            }
        }
    }

    pub(super) fn without_site(&self, title: &str) -> String {
        self.without_site_of(title, true)
    }

    /// A title or a name without that of the site; before the name of a thing it may be its maker's.
    fn without_site_of(&self, title: &str, is_text: bool) -> String {
        let site = self.facts.meta("og:site_name").next();
        let host = self.facts.address.host_str().unwrap_or_default();
        if is_text {
            without_site(title, site, host)
        } else {
            without_site_behind(title, site, host)
        }
    }

    /// Values of the scripts' state whose key is one of the field's names.
    fn state(&mut self) {
        let wanted = matches!(
            self.concept.rule,
            Rule::Price
                | Rule::Currency
                | Rule::Availability
                | Rule::Identifier
                | Rule::Gtin
                | Rule::Brand
                | Rule::Isbn
                | Rule::Text
                | Rule::Date
                | Rule::Person
        );
        if !wanted {
            return;
        }
        let facts = self.facts;
        let name = facts.headings.main().map(|heading| crate::facts::simple(&heading.text));
        let leaves = facts.state();
        let mut found = Vec::new();
        for (place, leaf) in leaves.iter().enumerate() {
            let Some(weight) = self.state_weight(leaf) else { continue };
            // Near to the page's own name, it is the page's own.
            let from = place.saturating_sub(25);
            let near = &leaves[from..(place + 25).min(leaves.len())];
            let is_near = name.as_ref().is_some_and(|name| {
                near.iter().any(|leaf| {
                    leaf.value
                        .as_str()
                        .is_some_and(|text| text.len() < 300 && crate::facts::simple(text) == *name)
                })
            });
            found.push((if is_near { weight * 1.3 } else { weight * 0.7 }, leaf));
            if found.len() >= 200 {
                break;
            }
        }
        for (weight, leaf) in found {
            self.value(Source::State, weight, &leaf.value, &leaf.path, true);
        }
    }

    fn state_weight(&self, leaf: &Leaf) -> Option<f64> {
        let (above, key) = leaf.path.rsplit_once('.').unwrap_or(("", &leaf.path));
        let mut buffer = String::new();
        let mut words = crate::facts::Words::default();
        each_word(key, &mut buffer, |word| words.add(word, self.vocabulary));
        if words.wanted.is_empty() {
            return None;
        }
        let fit = words.fit(self.phrases, self.vocabulary);
        if fit.purity < 0.75 || fit.is_old {
            return None;
        }
        let is_other = [
            "related",
            "recommend",
            "similar",
            "cart",
            "review",
            "filter",
            "facet",
            "shipping",
            "config",
        ]
        .iter()
        .any(|word| above.to_lowercase().contains(word));
        let lists = i32::try_from(above.matches("[]").count()).unwrap_or(i32::MAX);
        let is_own = key.eq_ignore_ascii_case(&self.field.name);
        let base = if is_own { 0.55 } else { 0.45 };
        Some(base * fit.purity * if is_other { 0.3 } else { 1.0 } * 0.8f64.powi(lists))
    }
}
