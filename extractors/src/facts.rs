//! What a page says, gathered once for all fields.

mod heading;
pub(crate) mod labels;
pub(crate) mod state;
pub(crate) mod words;
mod zones;

use std::cell::OnceCell;

use url::Url;

pub(crate) use self::{
    heading::{Heading, Headings, is_in, simple, without_site, without_site_behind},
    labels::{Beside, Label, Wanted},
    state::Leaf,
    words::{Fit, Vocabulary, Word, Words},
    zones::Zones,
};
use crate::{
    entity::{Entities, Syntax},
    jsonld, markup, money,
    tree::{Place, Tag, Tree, decode},
};

/// The most elements whose names say something wanted.
const MAX_MARKS: usize = 10_000;
/// The most short texts with a currency.
const MAX_MONEY: usize = 2_000;
/// The most meta tags.
const MAX_METAS: usize = 1_000;
/// The longest content of a meta tag, in bytes.
const MAX_META_BYTES: usize = 16 * 1024;
/// The longest text that may be a price.
const MAX_MONEY_BYTES: usize = 40;

/// An element whose class, id or the like says a wanted word.
#[derive(Debug)]
pub(crate) struct Mark {
    pub(crate) place: Place,
    pub(crate) words: Words,
    /// The value, if it is in an attribute; else it is the element's text.
    pub(crate) attribute: Option<String>,
}

/// All facts of one page.
#[derive(Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) tree: Tree<'a>,
    zones: Vec<Zones>,
    pub(crate) marks: Vec<Mark>,
    pub(crate) labels: Vec<Label>,
    /// Short texts with a currency.
    pub(crate) money: Vec<Place>,
    /// `time` elements, and links that say what they lead to.
    pub(crate) times: Vec<Place>,
    pub(crate) links: Vec<Place>,
    /// Keys in lower case.
    pub(crate) metas: Vec<(String, String)>,
    pub(crate) headings: Headings,
    pub(crate) entities: Entities,
    pub(crate) language: Option<String>,
    /// What relative addresses are relative to.
    pub(crate) base: Url,
    /// The page's address by its own account, else the one that it was fetched from.
    pub(crate) address: Url,
    state: OnceCell<Vec<Leaf>>,
}

impl<'a> Facts<'a> {
    pub(crate) fn gather(
        html: &'a str,
        url: &Url,
        vocabulary: &Vocabulary,
        wanted: &Wanted,
    ) -> Self {
        let tree = Tree::new(html);
        let mut facts = Self {
            zones: Vec::with_capacity(tree.len()),
            tree,
            marks: Vec::new(),
            labels: Vec::new(),
            money: Vec::new(),
            times: Vec::new(),
            links: Vec::new(),
            metas: Vec::new(),
            headings: Headings::default(),
            entities: Entities::default(),
            language: None,
            base: url.clone(),
            address: url.clone(),
            state: OnceCell::new(),
        };
        let mut reader = Reader { vocabulary, wanted, buffer: String::new() };
        for place in 0..facts.tree.len() {
            reader.node(&mut facts, place);
        }
        for value in jsonld::values(html) {
            facts.entities.add(value, Syntax::JsonLd);
        }
        markup::add(&facts.tree, &facts.base, &mut facts.entities);
        facts.headings.choose(&facts.metas);
        if let Some(address) = facts.own_address() {
            facts.address = address;
        }
        facts
    }

    /// The address that the page gives itself, if it is that of a page and not of the whole site.
    fn own_address(&self) -> Option<Url> {
        let written = self.meta("canonical").chain(self.meta("og:url"));
        let mut addresses = written.filter_map(|address| self.base.join(address.trim()).ok());
        addresses.find(|own| matches!(own.scheme(), "http" | "https") && own.path().len() > 1)
    }

    pub(crate) fn zones(&self, place: Place) -> Zones {
        self.zones.get(place).copied().unwrap_or_default()
    }

    /// The contents of the meta tags with this key.
    pub(crate) fn meta<'f>(&'f self, key: &'f str) -> impl Iterator<Item = &'f str> {
        self.metas
            .iter()
            .filter(move |(found, _)| found == key)
            .map(|(_, content)| content.as_str())
    }

    /// The state of the page's scripts, read when it is first asked for.
    pub(crate) fn state(&self) -> &[Leaf] {
        self.state.get_or_init(|| state::leaves(&state::values(&self.tree)))
    }
}

struct Reader<'v> {
    vocabulary: &'v Vocabulary,
    wanted: &'v Wanted,
    buffer: String,
}

impl Reader<'_> {
    fn node(&mut self, facts: &mut Facts<'_>, place: Place) {
        let parent = facts.tree.parent(place);
        let mut zones = facts.zones.get(parent).copied().unwrap_or_default();
        if facts.tree.is_text(place) {
            facts.zones.push(zones);
            if !zones.has(Zones::INVISIBLE) && !zones.has(Zones::HEAD) {
                self.text(facts, place);
            }
            return;
        }
        zones.add(Zones::of_element(&facts.tree, place));
        let words = self.attributes(facts, place, &mut zones);
        facts.zones.push(zones);
        if let Some(words) = words
            && facts.marks.len() < MAX_MARKS
            && !zones.has(Zones::INVISIBLE)
        {
            facts.marks.push(Mark { place, words, attribute: None });
        }
        element(facts, place, zones);
    }

    /// The wanted words of an element's names, if there are any.
    fn attributes(
        &mut self,
        facts: &mut Facts<'_>,
        place: Place,
        zones: &mut Zones,
    ) -> Option<Words> {
        let tag = facts.tree.tag(place);
        if matches!(tag, Tag::Html | Tag::Body | Tag::Form | Tag::Meta | Tag::Link | Tag::Script) {
            return None;
        }
        let mut words = Words::default();
        for number in 0..facts.tree.attributes(place).len() {
            let (name, value) = facts.tree.attributes(place)[number];
            let says = match name {
                "class" | "id" | "itemprop" | "rel" => true,
                "name" => tag != Tag::Input,
                _ => name.starts_with("data-") && is_role(name),
            };
            if says && value.len() <= 300 {
                let vocabulary = self.vocabulary;
                let (mut has_cart, mut fills_cart) = (false, false);
                words::each_word(value, &mut self.buffer, |word| {
                    words.add(word, vocabulary);
                    has_cart |= matches!(word, "cart" | "basket");
                    fills_cart |= fills_a_cart(word);
                    zones.add(Zones::of_word(word));
                });
                let is_small =
                    matches!(tag, Tag::Button | Tag::A | Tag::Input | Tag::I | Tag::Span);
                if has_cart && !fills_cart && !is_small {
                    zones.add(Zones::RELATED);
                }
            } else if name.starts_with("data-") && !value.is_empty() && value.len() <= 120 {
                self.data_attribute(facts, place, name, value);
            }
        }
        (!words.wanted.is_empty()).then_some(words)
    }

    /// `data-price="9.90"`.
    fn data_attribute(&mut self, facts: &mut Facts<'_>, place: Place, name: &str, value: &str) {
        let mut words = Words::default();
        let vocabulary = self.vocabulary;
        words::each_word(&name["data-".len()..], &mut self.buffer, |word| {
            words.add(word, vocabulary);
        });
        if !words.wanted.is_empty() && facts.marks.len() < MAX_MARKS {
            facts.marks.push(Mark { place, words, attribute: Some(decode(value).into_owned()) });
        }
    }

    fn text(&mut self, facts: &mut Facts<'_>, place: Place) {
        labels::add(&facts.tree, place, self.wanted, &mut self.buffer, &mut facts.labels);
        let text = facts.tree.raw_text(place);
        if text.len() <= 4 * MAX_MONEY_BYTES && facts.money.len() < MAX_MONEY {
            let text = text.trim();
            let has_digit = text.bytes().any(|byte| byte.is_ascii_digit());
            if has_digit && text.len() <= MAX_MONEY_BYTES && money::may_have_currency(&decode(text))
            {
                facts.money.push(place);
            }
        }
    }
}

fn element(facts: &mut Facts<'_>, place: Place, zones: Zones) {
    let tree = &facts.tree;
    match tree.tag(place) {
        Tag::Meta => {
            let key = ["property", "name", "itemprop", "http-equiv"].iter();
            let key =
                key.filter_map(|name| tree.raw_attribute(place, name)).find(|key| !key.is_empty());
            let content = tree.attribute(place, "content");
            if let (Some(key), Some(content)) = (key, content)
                && facts.metas.len() < MAX_METAS
                && content.len() <= MAX_META_BYTES
            {
                facts.metas.push((key.to_ascii_lowercase(), content.into_owned()));
            }
        }
        Tag::Link => {
            let rel = tree.raw_attribute(place, "rel").unwrap_or_default();
            if rel.eq_ignore_ascii_case("canonical")
                && let Some(link) = tree.attribute(place, "href")
            {
                facts.metas.push(("canonical".to_owned(), link.into_owned()));
            }
        }
        Tag::Base => {
            let base = tree.attribute(place, "href");
            if let Some(base) = base.and_then(|base| facts.base.join(base.trim()).ok()) {
                facts.base = base;
            }
        }
        Tag::Html => {
            let language =
                tree.attribute(place, "lang").or_else(|| tree.attribute(place, "xml:lang"));
            facts.language =
                language.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        }
        Tag::Time => facts.times.push(place),
        Tag::A => {
            let is_telling = tree.attributes(place).iter().any(|(name, value)| {
                matches!(*name, "rel") || value.starts_with("tel:") || value.starts_with("mailto:")
            });
            if is_telling {
                facts.links.push(place);
            }
        }
        // Pictures have titles too; many a page has no `head`.
        Tag::Title if !facts.zones(tree.parent(place)).has(Zones::INVISIBLE) => {
            facts.headings.title(tree, place);
        }
        tag if tag.is_heading() => facts.headings.add(tree, place, zones),
        _ => {}
    }
}

/// Words beside `cart` for what puts this thing into it, rather than shows what others are in it.
fn fills_a_cart(word: &str) -> bool {
    matches!(
        word,
        "add"
            | "to"
            | "form"
            | "wrapper"
            | "product"
            | "button"
            | "btn"
            | "buy"
            | "action"
            | "actions"
            | "submit"
    )
}

/// A data attribute that names the element for tests or scripts.
fn is_role(name: &str) -> bool {
    ["test", "qa", "hook", "auto", "role", "component", "field", "element"]
        .iter()
        .any(|part| name.contains(part))
}
