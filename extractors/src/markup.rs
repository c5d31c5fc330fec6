//! Structured data in attributes: microdata, and `RDFa` Lite.

use std::{collections::HashMap, ops::Range};

use serde_json::{Map, Value};
use url::Url;

use crate::{
    entity::{Entities, Syntax},
    text::MAX_TEXT_BYTES,
    tree::{Place, Tag, Tree},
};

/// The most properties of one page.
const MAX_PROPERTIES: usize = 10_000;
/// The deepest nesting of entities.
const MAX_DEPTH: usize = 12;
/// The longest text of a property, in bytes.
const MAX_VALUE_BYTES: usize = MAX_TEXT_BYTES / 8;

/// How deep `itemref` is followed from what another one refers to.
const MAX_REFERENCES_DEEP: usize = 3;
/// The most nodes of one page that are read once more because an entity refers to them.
const MAX_REFERRED_NODES: usize = 50_000;

/// The attributes of a syntax.
struct Names {
    syntax: Syntax,
    scope: &'static str,
    kind: &'static str,
    property: &'static str,
}

const MICRODATA: Names =
    Names { syntax: Syntax::Microdata, scope: "itemscope", kind: "itemtype", property: "itemprop" };
const RDFA: Names =
    Names { syntax: Syntax::Rdfa, scope: "typeof", kind: "typeof", property: "property" };

/// An entity that has not ended.
struct Open {
    end: Place,
    properties: Map<String, Value>,
    /// The names by which the entity around it holds it.
    names: Vec<String>,
    /// Elements elsewhere that say more of it (`itemref`).
    more: Vec<Place>,
}

/// Adds the entities that are marked on the page.
pub(crate) fn add(tree: &Tree<'_>, base: &Url, entities: &mut Entities) {
    for names in [MICRODATA, RDFA] {
        let reader = Reader {
            tree,
            base,
            names: &names,
            open: Vec::new(),
            left: MAX_PROPERTIES,
            ids: None,
            references_deep: 0,
            referred_left: MAX_REFERRED_NODES,
        };
        reader.read(entities);
    }
}

struct Reader<'a> {
    tree: &'a Tree<'a>,
    base: &'a Url,
    names: &'a Names,
    /// The first one stands for properties outside of any entity.
    open: Vec<Open>,
    left: usize,
    /// The elements by their ids, made when an entity first refers to one.
    ids: Option<HashMap<&'a str, Place>>,
    references_deep: usize,
    referred_left: usize,
}

impl Reader<'_> {
    fn read(mut self, entities: &mut Entities) {
        self.begin(0, Vec::new());
        self.places(1..self.tree.len(), entities);
        self.end(entities);
    }

    /// Reads a part of the page into the entity that is open.
    fn places(&mut self, places: Range<Place>, entities: &mut Entities) {
        let own = self.open.len();
        for place in places {
            if self.left == 0 {
                break;
            }
            while self.open.len() > own && self.open.last().is_some_and(|open| open.end <= place) {
                self.end(entities);
            }
            if !self.tree.attributes(place).is_empty() {
                self.element(place);
            }
        }
        while self.open.len() > own {
            self.end(entities);
        }
    }

    fn element(&mut self, place: Place) {
        let (mut property, mut scope) = (None, false);
        for (name, value) in self.tree.attributes(place) {
            if name.eq_ignore_ascii_case(self.names.property) {
                property = Some(*value);
            }
            scope |= name.eq_ignore_ascii_case(self.names.scope);
        }
        if property.is_none() && !scope {
            return;
        }
        let is_meta = self.names.syntax == Syntax::Rdfa && self.tree.tag(place) == Tag::Meta;
        let is_outside = self.open.len() <= 1;
        if is_meta && is_outside {
            // Open Graph, which has its own reader.
            return;
        }
        self.left -= 1;
        let names: Vec<String> = property
            .unwrap_or_default()
            .split_ascii_whitespace()
            .map(|name| name.rsplit(['/', '#', ':']).next().unwrap_or(name).to_owned())
            .collect();
        if scope && self.open.len() < MAX_DEPTH {
            self.begin(place, names);
            return;
        }
        let value = value(self.tree, place, self.base);
        if let Some(open) = self.open.last_mut() {
            for name in names {
                put(&mut open.properties, name, value.clone());
            }
        }
    }

    fn begin(&mut self, place: Place, names: Vec<String>) {
        let mut properties = Map::new();
        let kinds = self.tree.raw_attribute(place, self.names.kind).unwrap_or_default();
        if let Some(kind) = kinds.split_ascii_whitespace().next() {
            properties.insert("@type".to_owned(), Value::from(kind));
        }
        let id = ["itemid", "resource"].iter().find_map(|name| self.tree.attribute(place, name));
        if let Some(id) = id.filter(|_| place > 0) {
            properties.insert("@id".to_owned(), Value::from(id));
        }
        let more =
            if self.names.syntax == Syntax::Microdata { self.referred(place) } else { Vec::new() };
        self.open.push(Open { end: self.tree.end(place), properties, names, more });
    }

    /// The elements that an entity refers to, in the order of its list.
    fn referred(&mut self, place: Place) -> Vec<Place> {
        let Some(written) = self.tree.raw_attribute(place, "itemref") else { return Vec::new() };
        let tree = self.tree;
        let ids = self.ids.get_or_insert_with(|| ids(tree));
        written.split_ascii_whitespace().filter_map(|id| ids.get(id).copied()).collect()
    }

    /// Reads what the open entity refers to.
    fn follow(&mut self, entities: &mut Entities) {
        let more =
            self.open.last_mut().map(|open| std::mem::take(&mut open.more)).unwrap_or_default();
        if more.is_empty() || self.references_deep >= MAX_REFERENCES_DEEP {
            return;
        }
        self.references_deep += 1;
        for place in more {
            let places = place..self.tree.end(place);
            if let Some(left) = self.referred_left.checked_sub(places.len()) {
                self.referred_left = left;
                self.places(places, entities);
            }
        }
        self.references_deep -= 1;
    }

    fn end(&mut self, entities: &mut Entities) {
        self.follow(entities);
        let Some(ended) = self.open.pop() else { return };
        let value = Value::Object(ended.properties);
        match self.open.last_mut() {
            Some(outer) if !ended.names.is_empty() => {
                for name in ended.names {
                    put(&mut outer.properties, name, value.clone());
                }
            }
            _ => entities.add(value, self.names.syntax),
        }
    }
}

/// The elements by their ids, the first of each.
fn ids<'a>(tree: &Tree<'a>) -> HashMap<&'a str, Place> {
    let mut ids = HashMap::new();
    for place in 1..tree.len() {
        if let Some(id) = tree.raw_attribute(place, "id") {
            ids.entry(id).or_insert(place);
        }
    }
    ids
}

/// A second value of one name makes a list.
fn put(properties: &mut Map<String, Value>, name: String, value: Value) {
    match properties.get_mut(&name) {
        None => {
            properties.insert(name, value);
        }
        Some(Value::Array(values)) => values.push(value),
        Some(first) => {
            let values = vec![first.take(), value];
            *first = Value::Array(values);
        }
    }
}

/// The value of a property: in an attribute that depends on the element, or its text.
fn value(tree: &Tree<'_>, place: Place, base: &Url) -> Value {
    let attribute = match tree.tag(place) {
        Tag::A | Tag::Link | Tag::Area => "href",
        Tag::Img | Tag::Audio | Tag::Video | Tag::Iframe | Tag::Source | Tag::Embed => "src",
        Tag::Time => "datetime",
        Tag::Data | Tag::Meter => "value",
        Tag::Object => "data",
        _ => "content",
    };
    let content = tree.attribute(place, "content");
    if let Some(content) = content {
        return Value::String(content.into_owned());
    }
    let written = tree.attribute(place, attribute);
    let text = || tree.text(place, MAX_VALUE_BYTES);
    match (written, attribute) {
        (Some(link), "href" | "src" | "data") => {
            let link = base.join(link.trim()).map_or_else(|_| link.into_owned(), String::from);
            link_value(link, text())
        }
        (Some(value), _) => Value::String(value.into_owned()),
        (None, _) => Value::String(text()),
    }
}

/// A link is its address, and what it says is its name.
fn link_value(link: String, text: String) -> Value {
    if text.is_empty() {
        return Value::String(link);
    }
    let mut both = Map::new();
    both.insert("url".to_owned(), Value::String(link));
    both.insert("name".to_owned(), Value::String(text));
    Value::Object(both)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn main_entity(html: &str) -> Value {
        let base = Url::parse("https://a.test/b").unwrap();
        let mut entities = Entities::default();
        add(&Tree::new(html), &base, &mut entities);
        entities.rank(|_, _| 0.0, |_| false);
        entities.main().map_or(Value::Null, |entity| entity.properties.clone())
    }

    #[test]
    fn microdata_nests_as_it_is_marked() {
        let html = r#"<div itemscope itemtype="https://schema.org/Product"><h1 itemprop="name">A <b>lamp</b></h1>
            <img itemprop=image src="/1.png"><img itemprop=image src="/2.png">
            <p itemprop="offers" itemscope itemtype="Offer"><meta itemprop=price content="9.50">
            <link itemprop=availability href="https://schema.org/InStock"></p>
            <a itemprop="brand" href="/acme">Acme</a><time itemprop="releaseDate" datetime="2024-01-02">now</time></div>"#;
        let expected = json!({"@type": "https://schema.org/Product", "name": "A lamp",
            "image": ["https://a.test/1.png", "https://a.test/2.png"],
            "offers": {"@type": "Offer", "price": "9.50", "availability": "https://schema.org/InStock"},
            "brand": {"url": "https://a.test/acme", "name": "Acme"}, "releaseDate": "2024-01-02"});
        assert_eq!(main_entity(html), expected);
    }

    #[test]
    fn an_entity_has_what_it_refers_to() {
        let html = r#"<div itemscope itemtype="Product" itemref="a b none"><b itemprop="name">Lamp</b></div>
            <p id=a itemprop=sku>L-7</p><div id=b><div itemprop=brand itemscope itemtype=Brand><b itemprop=name>Lumo</b></div></div>"#;
        let expected = json!({"@type": "Product", "name": "Lamp", "sku": "L-7", "brand": {"@type": "Brand", "name": "Lumo"}});
        assert_eq!(main_entity(html), expected);
    }

    #[test]
    fn references_in_circles_end() {
        let circle = r#"<div id=a itemscope itemtype="Product" itemref="b b b b"><b itemprop=name>A</b></div>
            <div id=b itemprop=more itemscope itemref="a a a a"><b itemprop=x>B</b></div>"#;
        assert_eq!(main_entity(circle)["name"], "A");
        let many = format!(
            "<div id=a itemscope itemref='{}'>{}</div>",
            "a ".repeat(5_000),
            "<b itemprop=x>y</b>".repeat(5_000)
        );
        main_entity(&many);
    }

    #[test]
    fn properties_outside_of_an_entity_count_too() {
        let html = r#"<b itemprop="name">Lamp</b><b itemprop="price">9</b>"#;
        assert_eq!(main_entity(html), json!({"name": "Lamp", "price": "9"}));
    }

    #[test]
    fn rdfa_is_read_by_its_own_attributes() {
        let html = r#"<meta property="og:title" content="x"><div vocab="https://schema.org/" typeof="Recipe">
            <h1 property="schema:name">Soup</h1><div property="author" typeof="Person"><i property="name">Ann</i></div></div>"#;
        let expected = json!({"@type": "Recipe", "name": "Soup", "author": {"@type": "Person", "name": "Ann"}});
        assert_eq!(main_entity(html), expected);
    }
}
