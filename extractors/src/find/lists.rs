//! Candidates of fields that are lists.

use harvestman_engine::Kind;
use serde_json::Value;

use super::{Candidate, Finder, Source, structured::typed};
use crate::{
    concept::Rule,
    facts::{Beside, Words},
    tree::{Place, Tag},
};

/// The most elements of a list.
const MAX_ELEMENTS: usize = 1_000;
/// The longest element, in bytes.
const MAX_ELEMENT_BYTES: usize = 1_000;
/// What stands between the elements of a list in one text.
const SEPARATORS: &[char] = &[',', '|', ';', '/', '•', '·', '\n'];

impl Finder<'_> {
    pub(super) fn lists(&mut self) {
        self.structured_lists();
        self.meta_lists();
        self.labelled_lists();
        self.marked_lists();
        self.headed_lists();
    }

    fn list(
        &mut self,
        source: Source,
        weight: f64,
        texts: &[String],
        path: &str,
        is_machine: bool,
    ) {
        let Kind::Array(element) = &self.field.kind else { return };
        let normal = self.normal();
        let mut values: Vec<Value> = Vec::new();
        for text in texts.iter().take(MAX_ELEMENTS) {
            let value = normal.value(&Value::from(text.as_str()), element, is_machine);
            values.extend(value.ok().filter(|value| !values.contains(value)));
        }
        if values.is_empty() || weight <= 0.0 {
            return;
        }
        let raw = texts.iter().take(4).cloned().collect::<Vec<_>>().join(" | ");
        let raw = crate::text::cut(&raw, super::MAX_RAW_BYTES).to_owned();
        let path = path.to_owned();
        self.candidates.push(Candidate { source, weight, value: Value::Array(values), raw, path });
    }

    fn structured_lists(&mut self) {
        let facts = self.facts;
        let normal = self.normal();
        for (entity, share) in facts.entities.answering() {
            let (source, weight) = Source::of(entity.syntax);
            let paths = self
                .concept
                .jsonld
                .iter()
                .map(String::as_str)
                .chain(Some(self.field.name.as_str()));
            for path in paths {
                let values = facts.entities.at_path(&entity.properties, path);
                if let Some(value) = typed(&facts.entities, &values, &self.field.kind, normal) {
                    let path = path.to_owned();
                    self.candidates.push(Candidate {
                        source,
                        weight: weight * share,
                        value,
                        raw: String::new(),
                        path,
                    });
                    break;
                }
            }
        }
    }

    fn meta_lists(&mut self) {
        let facts = self.facts;
        for key in &self.concept.meta {
            let contents: Vec<&str> =
                facts.meta(key).filter(|content| !content.trim().is_empty()).collect();
            let parts: Vec<String> = match contents[..] {
                [] => continue,
                [one] => one
                    .split(',')
                    .map(|part| part.trim().to_owned())
                    .filter(|part| !part.is_empty())
                    .collect(),
                _ => contents.iter().map(|content| (*content).to_owned()).collect(),
            };
            // Keywords of a page are as often those of its site.
            let weight = if key.contains("keywords") { 0.45 } else { 0.75 };
            self.list(Source::Meta, weight, &parts, key, true);
        }
    }

    fn labelled_lists(&mut self) {
        for number in 0..self.facts.labels.len() {
            let label = &self.facts.labels[number];
            let is_ours =
                self.labels.get(&label.text).is_some_and(|fields| fields.contains(&self.number));
            if !is_ours {
                continue;
            }
            let weight = 0.66 * label.strength * self.zone_factor(label.place);
            let path = format!("label {:?}", label.text);
            let texts = match &label.value {
                Beside::Text(text) => {
                    let links = self.links_after(label.place);
                    if links.is_empty() { split(text) } else { links }
                }
                Beside::Node(place) => {
                    let links = self.links_from(*place);
                    if links.is_empty() { self.parts_of(*place) } else { links }
                }
            };
            self.list(Source::Label, weight, &texts, &path, false);
        }
    }

    /// The links from a node on, as far as they are a list.
    fn links_from(&self, place: Place) -> Vec<String> {
        let tree = &self.facts.tree;
        if tree.tag(place) != Tag::A {
            return self.below(place, Tag::A);
        }
        let mut links = Vec::new();
        let mut next = Some(place);
        while let Some(at) = next {
            match tree.tag(at) {
                Tag::A => links.push(tree.text(at, MAX_ELEMENT_BYTES)),
                Tag::Text
                    if tree.raw_text(at).chars().filter(|c| c.is_alphanumeric()).count() <= 3 => {}
                _ => break,
            }
            next = tree.next_sibling(at);
        }
        links
    }

    fn links_after(&self, place: Place) -> Vec<String> {
        self.facts.tree.next_sibling(place).map(|next| self.links_from(next)).unwrap_or_default()
    }

    fn below(&self, place: Place, tag: Tag) -> Vec<String> {
        let tree = &self.facts.tree;
        let found = tree.below(place).filter(|place| tree.tag(*place) == tag).take(MAX_ELEMENTS);
        found
            .map(|place| tree.text(place, MAX_ELEMENT_BYTES))
            .filter(|text| !text.is_empty())
            .collect()
    }

    fn parts_of(&self, place: Place) -> Vec<String> {
        let items = self.below(place, Tag::Li);
        if items.is_empty() {
            split(&self.facts.tree.text(place, 2 * MAX_ELEMENT_BYTES))
        } else {
            items
        }
    }

    /// Elements whose class has the field's word: one that holds the list, or one for each element.
    fn marked_lists(&mut self) {
        let facts = self.facts;
        let tree = &facts.tree;
        let mut alike: Vec<(&Words, Vec<Place>, f64)> = Vec::new();
        for mark in facts.marks.iter().filter(|mark| mark.attribute.is_none()).take(MAX_ELEMENTS) {
            let fit = mark.words.fit(self.phrases, self.vocabulary);
            if fit.purity < 0.25 {
                continue;
            }
            let weight =
                0.6 * fit.purity * self.zone_factor(mark.place) * self.closeness(mark.place);
            let same = alike.iter_mut().find(|(words, places, _)| {
                **words == mark.words && tree.tag(places[0]) == tree.tag(mark.place)
            });
            match same {
                Some((_, places, _)) => places.push(mark.place),
                None => alike.push((&mark.words, vec![mark.place], weight)),
            }
        }
        let mut found = Vec::new();
        for (_, places, weight) in alike {
            let path = self.path(places[0]);
            if places.len() > 1 {
                let is_nested = places.windows(2).any(|pair| pair[1] < tree.end(pair[0]));
                let texts: Vec<String> =
                    places.iter().map(|place| tree.text(*place, MAX_ELEMENT_BYTES)).collect();
                if !is_nested {
                    found.push((weight, texts, path.clone()));
                }
                let whole: Vec<String> =
                    places.iter().flat_map(|place| self.below(*place, Tag::Li)).collect();
                found.push((weight, whole, path));
                continue;
            }
            let items = self.below(places[0], Tag::Li);
            let links = self.below(places[0], Tag::A);
            let is_links = self.concept.rule != Rule::List && !links.is_empty();
            let texts = if !items.is_empty() {
                items
            } else if is_links {
                links
            } else {
                split(&tree.text(places[0], MAX_ELEMENT_BYTES))
            };
            found.push((weight, texts, path));
        }
        for (weight, texts, path) in found {
            let long = if texts.iter().any(|text| text.len() > 300) { 0.5 } else { 1.0 };
            self.list(Source::Attribute, weight * long, &texts, &path, false);
        }
        self.tagged_links();
    }

    /// `rel="tag"` links.
    fn tagged_links(&mut self) {
        let facts = self.facts;
        let tree = &facts.tree;
        let wanted = match self.concept.names.first().map(String::as_str) {
            Some("tags") => "tag",
            Some("category") => "category",
            _ => return,
        };
        let links = facts.links.iter().filter(|place| {
            let relation = tree.raw_attribute(**place, "rel").unwrap_or_default();
            let has = |word: &str| {
                relation.split_whitespace().any(|found| found.eq_ignore_ascii_case(word))
            };
            has(wanted)
                && (wanted == "category" || !has("category"))
                && self.zone_factor(**place) > 0.5
        });
        let texts: Vec<String> = links.map(|place| tree.text(*place, MAX_ELEMENT_BYTES)).collect();
        self.list(Source::Label, 0.7, &texts, "a[rel]", false);
    }

    /// A list right after a heading that is one of the field's labels.
    fn headed_lists(&mut self) {
        let facts = self.facts;
        let tree = &facts.tree;
        let mut found = Vec::new();
        for label in &facts.labels {
            let is_ours =
                self.labels.get(&label.text).is_some_and(|fields| fields.contains(&self.number));
            let heading =
                tree.ancestors(label.place).take(3).find(|place| tree.tag(*place).is_heading());
            let Some(heading) = heading.filter(|_| is_ours) else { continue };
            let end = (heading + 1..(heading + 3_000).min(tree.len())).find(|place| {
                *place >= tree.end(heading)
                    && tree.tag(*place).is_heading()
                    && tree.tag(*place) as u8 <= tree.tag(heading) as u8
            });
            let range = tree.end(heading)..end.unwrap_or((heading + 600).min(tree.len()));
            let items = range.filter(|place| tree.tag(*place) == Tag::Li);
            let texts: Vec<String> = items
                .map(|place| tree.text(place, MAX_ELEMENT_BYTES))
                .filter(|text| !text.is_empty())
                .collect();
            found.push((0.6 * self.zone_factor(heading), texts));
        }
        for (weight, texts) in found {
            self.list(Source::Label, weight, &texts, "heading", false);
        }
    }
}

fn split(text: &str) -> Vec<String> {
    let parts = text.split(SEPARATORS).map(str::trim).filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}
