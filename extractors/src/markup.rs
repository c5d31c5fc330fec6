//! Structured data in attributes: microdata, and `RDFa` Lite.

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
}

/// Adds the entities that are marked on the page.
pub(crate) fn add(tree: &Tree<'_>, base: &Url, entities: &mut Entities) {
    for names in [MICRODATA, RDFA] {
        Reader { tree, base, names: &names, open: Vec::new(), left: MAX_PROPERTIES }.read(entities);
    }
}

struct Reader<'a> {
    tree: &'a Tree<'a>,
    base: &'a Url,
    names: &'a Names,
    /// The first one stands for properties outside of any entity.
    open: Vec<Open>,
    left: usize,
}

impl Reader<'_> {
    fn read(mut self, entities: &mut Entities) {
        self.begin(0, Vec::new());
        for place in 1..self.tree.len() {
            if self.left == 0 {
                break;
            }
            while self.open.len() > 1 && self.open.last().is_some_and(|open| open.end <= place) {
                self.end(entities);
            }
            if !self.tree.attributes(place).is_empty() {
                self.element(place);
            }
        }
        while !self.open.is_empty() {
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
        self.open.push(Open { end: self.tree.end(place), properties, names });
    }

    fn end(&mut self, entities: &mut Entities) {
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
