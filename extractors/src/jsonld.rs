//! JSON-LD: finds its blocks without an HTML parser, and the page's main entity in them.

use std::borrow::Cow;

use memchr::memmem;
use serde_json::{Map, Value};

/// The most blocks that are read of one page.
const MAX_BLOCKS: usize = 200;
/// The largest block that is read, in bytes.
const MAX_BLOCK_BYTES: usize = 3 * 1024 * 1024;
/// The most entities that are looked at.
const MAX_ENTITIES: usize = 2_000;
/// How deep entities are looked for in one another.
const MAX_DEPTH: u32 = 6;
/// An entity inside another counts for this much of it.
const DEPTH_FACTOR: f64 = 0.6;

/// Properties whose entities belong to other pages or to the page's frame.
const FOREIGN: &[&str] = &[
    "isRelatedTo",
    "isSimilarTo",
    "itemListElement",
    "review",
    "reviews",
    "breadcrumb",
    "publisher",
    "author",
    "creator",
    "provider",
    "offers",
    "aggregateRating",
    "brand",
    "isPartOf",
    "comment",
    "isAccessoryOrSparePartFor",
    "image",
    "potentialAction",
    "logo",
    "address",
];

/// The entities of a page, the main one first.
#[derive(Debug, Default)]
pub(crate) struct Entities {
    found: Vec<Entity>,
}

#[derive(Debug)]
struct Entity {
    properties: Map<String, Value>,
    prior: f64,
}

impl Entities {
    /// Reads all blocks of a page. A block that can't be read even after repair is passed over.
    pub(crate) fn of_page(html: &str) -> Self {
        let mut entities = Self::default();
        for block in blocks(html) {
            if let Some(value) = parse(block) {
                entities.collect(value, 0);
            }
        }
        entities
    }

    /// Puts the entity first that is likely to be what the page is about: by its type, and by how
    /// many of the wanted fields it `covers` (a share from 0 to 1).
    pub(crate) fn rank(&mut self, covers: impl Fn(&Map<String, Value>) -> f64) {
        if self.found.len() < 2 {
            return;
        }
        let score =
            |entity: &Entity| entity.prior * 0.45f64.mul_add(covers(&entity.properties), 0.55);
        let mut scored: Vec<_> =
            self.found.drain(..).map(|entity| (score(&entity), entity)).collect();
        // Stable, so the first in the document wins among equals.
        scored.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        self.found = scored.into_iter().map(|(_, entity)| entity).collect();
    }

    /// The entities that may answer for the page, best first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Map<String, Value>> {
        let likely = self.found.iter().enumerate();
        let likely = likely.filter(|(place, entity)| *place == 0 || entity.prior >= 0.5);
        likely.map(|(_, entity)| &entity.properties)
    }

    fn collect(&mut self, value: Value, depth: u32) {
        if depth > MAX_DEPTH || self.found.len() >= MAX_ENTITIES {
            return;
        }
        match value {
            Value::Array(values) => {
                for value in values {
                    self.collect(value, depth);
                }
            }
            Value::Object(mut properties) => {
                // A graph or a wrapper adds no depth: its entities are the page's own.
                for wrapper in ["@graph", "mainEntity", "mainEntityOfPage"] {
                    if let Some(inner @ (Value::Object(_) | Value::Array(_))) =
                        properties.get_mut(wrapper).map(Value::take)
                    {
                        self.collect(inner, depth);
                    }
                }
                for (key, inner) in &properties {
                    let is_entity = matches!(inner, Value::Object(_) | Value::Array(_));
                    if is_entity && has_type(inner) && !FOREIGN.contains(&key.as_str()) {
                        self.collect(inner.clone(), depth + 1);
                    }
                }
                let prior = prior(&properties)
                    * DEPTH_FACTOR.powi(i32::try_from(depth).unwrap_or(i32::MAX));
                if properties.len() > 1 {
                    self.found.push(Entity { properties, prior });
                }
            }
            _ => {}
        }
    }
}

fn has_type(value: &Value) -> bool {
    match value {
        Value::Object(properties) => properties.contains_key("@type"),
        Value::Array(values) => values.iter().any(|value| value.get("@type").is_some()),
        _ => false,
    }
}

/// How likely an entity of this type is what its page is about.
fn prior(properties: &Map<String, Value>) -> f64 {
    let of_type = |kind: &str| match kind.rsplit(['/', '#', ':']).next().unwrap_or_default() {
        "Product" | "ProductGroup" | "ProductModel" | "Vehicle" | "Car" | "IndividualProduct"
        | "Recipe" | "JobPosting" | "Book" | "Movie" | "Event" | "Course" => 1.0,
        "NewsArticle" | "Article" | "BlogPosting" | "ReportageNewsArticle" | "TechArticle" => 0.95,
        "LocalBusiness" | "Restaurant" | "Hotel" | "TVSeries" | "SoftwareApplication" => 0.9,
        "Person" | "Place" | "VideoObject" | "Review" => 0.6,
        "WebPage" | "ItemPage" | "AboutPage" => 0.5,
        "Organization" | "Corporation" | "OnlineStore" | "Store" => 0.2,
        "BreadcrumbList" | "WebSite" | "ItemList" | "Offer" | "AggregateOffer" | "ImageObject"
        | "SearchAction" | "ListItem" | "AggregateRating" | "CollectionPage" => 0.05,
        _ => 0.55,
    };
    match properties.get("@type") {
        Some(Value::String(kind)) => of_type(kind),
        Some(Value::Array(kinds)) => {
            kinds.iter().filter_map(Value::as_str).map(of_type).fold(0.05, f64::max)
        }
        _ => 0.4,
    }
}

/// The values at a path such as `offers.price`; through lists, all of theirs.
pub(crate) fn at_path<'a>(properties: &'a Map<String, Value>, path: &str) -> Vec<&'a Value> {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let mut values = Vec::new();
    if let Some(value) = properties.get(first) {
        descend(value, rest, &mut values);
    }
    values
}

fn descend<'a>(value: &'a Value, path: &str, values: &mut Vec<&'a Value>) {
    match value {
        Value::Null => {}
        Value::Array(elements) => elements.iter().for_each(|one| descend(one, path, values)),
        value if path.is_empty() => values.push(value),
        Value::Object(properties) => values.extend(at_path(properties, path)),
        _ => {}
    }
}

/// The contents of the `<script type="application/ld+json">` elements.
fn blocks(html: &str) -> impl Iterator<Item = &str> {
    let finder = memmem::Finder::new("ld+json");
    let mut from = 0;
    let next = move || {
        while let Some(found) = finder.find(&html.as_bytes()[from..]) {
            let at = from + found;
            from = at + "ld+json".len();
            if let Some(block) = block_around(html, at) {
                from = block.as_ptr() as usize - html.as_ptr() as usize + block.len();
                return Some(block);
            }
        }
        None
    };
    std::iter::from_fn(next).take(MAX_BLOCKS).filter(|block| block.len() <= MAX_BLOCK_BYTES)
}

/// The content of the script whose start tag has the type at this position.
fn block_around(html: &str, at: usize) -> Option<&str> {
    let open = html[..at].rfind('<')?;
    let is_script = html.as_bytes().get(open + 1..open + 7)?.eq_ignore_ascii_case(b"script");
    let start = at + html[at..].find('>')? + 1;
    let is_one_tag = is_script && !html[open..at].contains('>');
    let content = is_one_tag.then(|| &html[start..])?;
    let ends = memmem::find_iter(content.as_bytes(), "</");
    let mut ends = ends.filter(|end| {
        let name = content.as_bytes().get(end + 2..end + 8);
        name.is_some_and(|name| name.eq_ignore_ascii_case(b"script"))
    });
    Some(&content[..ends.next().unwrap_or(content.len())])
}

/// Reads a block, repaired if need be: about one in thirty is not valid JSON.
fn parse(block: &str) -> Option<Value> {
    let block = block.trim();
    if let Ok(value) = serde_json::from_str(block) {
        return Some(value);
    }
    let repaired = repair(block);
    // Whatever follows the first value is garbage.
    serde_json::Deserializer::from_str(&repaired).into_iter().next()?.ok()
}

/// Drops wrappers of comments and CDATA and trailing commas, and makes spaces of control characters.
fn repair(block: &str) -> String {
    let start = block.find(['{', '[']).unwrap_or(0);
    let block = block[start..].trim_start_matches("[CDATA[").trim_start();
    let has_entities = block.contains("&quot;") && !block.contains('"');
    let block = if has_entities { htmlize::unescape(block) } else { Cow::Borrowed(block) };
    let mut repaired = String::with_capacity(block.len());
    let mut in_string = false;
    let mut is_escaped = false;
    for c in block.chars() {
        let c = if c.is_control() { ' ' } else { c };
        if in_string {
            in_string = c != '"' || is_escaped;
            is_escaped = c == '\\' && !is_escaped;
        } else if c == '"' {
            in_string = true;
        } else if matches!(c, '}' | ']') && repaired.trim_end().ends_with(',') {
            repaired.truncate(repaired.trim_end().len() - 1);
        }
        repaired.push(c);
    }
    repaired
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn page(block: &str) -> String {
        format!("<html><SCRIPT id=x type='application/ld+json' async>{block}</SCRIPT ><p>x</p>")
    }

    fn first(block: &str) -> Value {
        let entities = Entities::of_page(&page(block));
        entities.found.first().map_or(Value::Null, |entity| entity.properties.clone().into())
    }

    #[test]
    fn broken_blocks_are_repaired() {
        let whole = json!({"@type": "Product", "name": "A, }b"});
        for block in [
            r#"{"@type": "Product", "name": "A, }b"}"#,
            r#"<!-- {"@type": "Product", "name": "A, }b"} -->"#,
            "//<![CDATA[\n{\"@type\": \"Product\", \"name\": \"A, }b\"}\n//]]>",
            r#"{"@type": "Product", "name": "A, }b",}"#,
            r#"{"@type": "Product", "name": "A, }b"} ; garbage"#,
            "{\"@type\": \"Product\", \"name\": \"A,\n}b\"}",
            "{&quot;@type&quot;: &quot;Product&quot;, &quot;name&quot;: &quot;A, }b&quot;}",
        ] {
            assert_eq!(first(block), whole, "{block}");
        }
        assert_eq!(first("nothing"), Value::Null);
    }

    #[test]
    fn only_scripts_count() {
        for html in [
            r#"<p title="application/ld+json">{"@type": "Product", "name": "A"}</p>"#,
            r#"<script>var type = "application/ld+json" > 1; {"a": 1, "b": 2}</script>"#,
            "ld+json",
            "<script type=application/ld+json",
        ] {
            assert!(Entities::of_page(html).iter().next().is_none(), "{html}");
        }
        assert!(
            Entities::of_page(r#"<script type=application/ld+json>{"a":1,"b":2}"#)
                .iter()
                .next()
                .is_some()
        );
    }

    #[test]
    fn the_main_entity_comes_first() {
        let block = json!({"@context": "https://schema.org", "@graph": [
            {"@type": "BreadcrumbList", "name": "crumbs", "itemListElement": []},
            {"@type": "Organization", "name": "shop"},
            {"@type": ["Thing", "https://schema.org/Product"], "name": "lamp",
             "isRelatedTo": {"@type": "Product", "name": "other"}},
            {"@type": "WebPage", "name": "page"},
        ]});
        let mut entities = Entities::of_page(&page(&block.to_string()));
        entities.rank(|_| 0.0);
        let names: Vec<_> =
            entities.iter().map(|entity| entity["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["lamp", "page"]);
    }

    #[test]
    fn coverage_decides_between_likely_types() {
        let block = json!([
            {"@type": "Article", "headline": "How to bake"},
            {"@type": "Recipe", "name": "Bread", "recipeYield": "2"},
        ]);
        let mut entities = Entities::of_page(&page(&block.to_string()));
        entities.rank(|entity| f64::from(u8::from(entity.contains_key("headline"))));
        assert!(entities.iter().next().unwrap().contains_key("headline"));
    }

    #[test]
    fn a_path_leads_through_lists() {
        let value = json!({"offers": [{"price": 1}, {"price": null}, {"price": [2, 3]}]});
        let paths = at_path(value.as_object().unwrap(), "offers.price");
        assert_eq!(paths, [&json!(1), &json!(2), &json!(3)]);
    }

    proptest! {
        #[test]
        fn no_page_makes_it_panic(html in r#"(<script|type=|ld\+json|>|</script>|\{|\}|"|é|,|a|\[){0,40}"#) {
            Entities::of_page(&html);
            Entities::of_page(&page(&html));
        }
    }
}
