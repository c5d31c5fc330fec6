//! What structured data speaks of, and which of it is what the page is about.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// The most entities that are looked at.
const MAX_ENTITIES: usize = 2_000;
/// How deep entities are looked for in one another.
const MAX_DEPTH: u32 = 6;
/// An entity inside another counts for this much of it.
const DEPTH_FACTOR: f64 = 0.6;
/// The most values at one path.
const MAX_VALUES: usize = 1_000;
/// From this prior on, a type is specific enough for its entity to answer for the page.
pub(crate) const SPECIFIC: f64 = 0.9;

/// The prior of types that are not in the list.
const UNKNOWN: f64 = 0.55;
/// The prior of articles.
const ARTICLE: f64 = 0.95;

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
    "hasVariant",
];

/// Where structured data stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Syntax {
    JsonLd,
    Microdata,
    Rdfa,
}

/// The entities of a page, the main one first once they are ranked.
#[derive(Debug, Default)]
pub(crate) struct Entities {
    found: Vec<Entity>,
    /// Entities that others refer to by `@id`.
    by_id: HashMap<String, usize>,
}

/// One entity: a JSON object with the properties of schema.org.
#[derive(Debug)]
pub(crate) struct Entity {
    pub(crate) properties: Value,
    pub(crate) syntax: Syntax,
    /// How likely its type is what a page is about, less for an entity inside another.
    pub(crate) prior: f64,
    score: f64,
}

impl Entity {
    /// Whether it is a text rather than a thing.
    pub(crate) fn is_article(&self) -> bool {
        (self.prior - ARTICLE).abs() < 1e-9
    }

    /// Whether its own name is what people call it, rather than the headline of a text about it; persons
    /// and organisations stand beside many a text that isn't about them.
    pub(crate) fn is_named_first(&self) -> bool {
        let is_specific = self.prior >= SPECIFIC && !self.is_article();
        is_specific || (UNKNOWN - self.prior).abs() < 1e-9
    }
}

impl Entities {
    /// Adds an entity, or a list or graph of them, and those inside.
    pub(crate) fn add(&mut self, value: Value, syntax: Syntax) {
        self.collect(value, syntax, 0, f64::INFINITY);
    }

    /// Puts the entity first that is likely to be what the page is about: by its type, by how many
    /// of the wanted fields it `covers` (a share from 0 to 1), and by its name.
    pub(crate) fn rank(
        &mut self,
        covers: impl Fn(&Self, &Entity) -> f64,
        is_named: impl Fn(&str) -> bool,
    ) {
        let scores: Vec<f64> = self
            .found
            .iter()
            .map(|entity| {
                let name = entity.properties.get("name").or(entity.properties.get("headline"));
                let named = name.and_then(Value::as_str).is_some_and(&is_named);
                let named = if named { 1.15 } else { 1.0 };
                entity.prior * named * 0.45f64.mul_add(covers(self, entity), 0.55)
            })
            .collect();
        for (entity, score) in self.found.iter_mut().zip(scores) {
            entity.score = score;
        }
        let mut order: Vec<usize> = (0..self.found.len()).collect();
        // Stable, so the first in the document wins among equals.
        order.sort_by(|a, b| self.found[*b].score.total_cmp(&self.found[*a].score));
        let mut places = vec![0; order.len()];
        for (new, old) in order.iter().enumerate() {
            places[*old] = new;
        }
        self.by_id.values_mut().for_each(|place| *place = places[*place]);
        let mut sorted: Vec<_> = self.found.drain(..).zip(places).collect();
        sorted.sort_by_key(|(_, place)| *place);
        self.found = sorted.into_iter().map(|(entity, _)| entity).collect();
    }

    /// The entities that may answer for the page, best first, with how much each counts: the main one of
    /// each syntax is 1.
    pub(crate) fn answering(&self) -> impl Iterator<Item = (&Entity, f64)> {
        let best = |syntax| self.found.iter().find(move |entity| entity.syntax == syntax);
        let top = self.found.first().map_or(0.0, |entity| entity.score);
        self.found.iter().filter_map(move |entity| {
            let is_best = best(entity.syntax).is_some_and(|found| std::ptr::eq(found, entity));
            let is_likely = is_best && entity.score >= 0.3 * top || entity.prior >= 0.5;
            let share = if top > 0.0 { (entity.score / top).min(1.0) } else { 1.0 };
            is_likely.then_some((entity, if is_best && share > 0.6 { 1.0 } else { share * share }))
        })
    }

    /// All entities, best first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Entity> {
        self.found.iter()
    }

    pub(crate) fn main(&self) -> Option<&Entity> {
        self.found.first()
    }

    /// The values at a path such as `offers.price`, from an entity on; through lists, all of theirs.
    pub(crate) fn at_path<'a>(&'a self, properties: &'a Value, path: &str) -> Vec<&'a Value> {
        let mut values = Vec::new();
        self.descend(properties, path, 0, &mut values);
        values
    }

    fn descend<'a>(
        &'a self,
        value: &'a Value,
        path: &str,
        depth: u32,
        values: &mut Vec<&'a Value>,
    ) {
        if values.len() >= MAX_VALUES || depth > 2 * MAX_DEPTH {
            return;
        }
        match value {
            Value::Null => {}
            Value::Array(elements) => {
                for one in elements {
                    self.descend(one, path, depth + 1, values);
                }
            }
            Value::Object(_) => {
                let object = self.resolve(value);
                if path.is_empty() {
                    values.push(object);
                    return;
                }
                let (first, rest) = path.split_once('.').unwrap_or((path, ""));
                if let Some(inner) = property(object, first) {
                    self.descend(inner, rest, depth + 1, values);
                }
            }
            value if path.is_empty() => values.push(value),
            _ => {}
        }
    }

    /// The entity that a mere reference means.
    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        let Some(object) = value.as_object() else { return value };
        let is_reference = object.len() <= 2 && !object.contains_key("name");
        let id = object.get("@id").and_then(Value::as_str).filter(|_| is_reference);
        let place = id.and_then(|id| self.by_id.get(id));
        place.map_or(value, |place| &self.found[*place].properties)
    }

    fn collect(&mut self, value: Value, syntax: Syntax, depth: u32, most: f64) {
        if depth > MAX_DEPTH || self.found.len() >= MAX_ENTITIES {
            return;
        }
        match value {
            Value::Array(values) => {
                for value in values {
                    self.collect(value, syntax, depth, most);
                }
            }
            Value::Object(properties) => self.collect_one(properties, syntax, depth, most),
            _ => {}
        }
    }

    fn collect_one(
        &mut self,
        mut properties: Map<String, Value>,
        syntax: Syntax,
        depth: u32,
        most: f64,
    ) {
        let own = prior(&properties).min(most);
        let is_page = properties.get("@type").is_none_or(|kind| kind.to_string().contains("Page"));
        // A person is in an organisation, and the page is about that; but a page may be about anything.
        let inner_most = if is_page { f64::INFINITY } else { 0.95 * own };
        // A graph or a wrapper adds no depth: its entities are the page's own.
        for wrapper in ["@graph", "mainEntity", "mainEntityOfPage"] {
            let is_entity = |value: &Value| has_type(value) || wrapper == "@graph";
            if properties.get(wrapper).is_some_and(is_entity)
                && let Some(inner) = properties.get_mut(wrapper).map(Value::take)
            {
                self.collect(inner, syntax, depth, f64::INFINITY);
            }
        }
        for (key, inner) in &properties {
            if has_type(inner) && !FOREIGN.contains(&key.as_str()) {
                self.collect(inner.clone(), syntax, depth + 1, inner_most);
            }
        }
        let depth = i32::try_from(depth).unwrap_or(i32::MAX);
        let prior = (own * DEPTH_FACTOR.powi(depth)).min(most);
        if properties.len() > 1 && self.found.len() < MAX_ENTITIES {
            if let Some(id) = properties.get("@id").and_then(Value::as_str) {
                self.by_id.entry(id.to_owned()).or_insert(self.found.len());
            }
            let properties = Value::Object(properties);
            self.found.push(Entity { properties, syntax, prior, score: prior });
        }
    }
}

/// A property by its name, with or without the prefix of a vocabulary, in any case.
fn property<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    let object = object.as_object()?;
    object.get(name).or_else(|| {
        let is_same = |key: &str| {
            let tail = key.rsplit(['/', '#', ':']).next().unwrap_or(key);
            tail.eq_ignore_ascii_case(name) && !key.starts_with('@')
        };
        object.iter().find(|(key, _)| is_same(key)).map(|(_, value)| value)
    })
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
    match properties.get("@type") {
        Some(Value::String(kind)) => prior_of(kind),
        Some(Value::Array(kinds)) => {
            kinds.iter().filter_map(Value::as_str).map(prior_of).fold(0.05, f64::max)
        }
        _ => 0.4,
    }
}

fn prior_of(kind: &str) -> f64 {
    match kind.rsplit(['/', '#', ':']).next().unwrap_or_default() {
        "Product"
        | "ProductGroup"
        | "ProductModel"
        | "Vehicle"
        | "Car"
        | "IndividualProduct"
        | "Recipe"
        | "JobPosting"
        | "Book"
        | "Movie"
        | "Event"
        | "Course"
        | "TVEpisode"
        | "MusicAlbum"
        | "MusicRecording"
        | "Apartment"
        | "SingleFamilyResidence" => 1.0,
        "NewsArticle"
        | "Article"
        | "BlogPosting"
        | "ReportageNewsArticle"
        | "TechArticle"
        | "ScholarlyArticle"
        | "OpinionNewsArticle"
        | "AnalysisNewsArticle"
        | "LiveBlogPosting"
        | "SocialMediaPosting"
        | "DiscussionForumPosting"
        | "AdvertiserContentArticle" => ARTICLE,
        "LocalBusiness"
        | "Restaurant"
        | "Hotel"
        | "TVSeries"
        | "SoftwareApplication"
        | "MobileApplication"
        | "WebApplication"
        | "VideoGame"
        | "Dataset"
        | "HowTo" => 0.9,
        "Person" | "Place" | "VideoObject" => 0.6,
        "WebPage" | "ItemPage" | "AboutPage" | "Review" => 0.5,
        "Organization" | "Corporation" | "OnlineStore" | "Store" | "NewsMediaOrganization" => 0.2,
        "PropertyValue"
        | "QuantitativeValue"
        | "MonetaryAmount"
        | "PostalAddress"
        | "GeoCoordinates"
        | "ContactPoint"
        | "OpeningHoursSpecification" => 0.02,
        "BreadcrumbList"
        | "Breadcrumb"
        | "WebSite"
        | "ItemList"
        | "Offer"
        | "AggregateOffer"
        | "ImageObject"
        | "SearchAction"
        | "ListItem"
        | "AggregateRating"
        | "CollectionPage"
        | "Rating"
        | "SiteNavigationElement"
        | "WPHeader"
        | "WPFooter"
        | "WPSideBar"
        | "Comment"
        | "UserComments"
        | "Answer"
        | "Question"
        | "FAQPage"
        | "Blog" => 0.05,
        _ => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entities(block: Value) -> Entities {
        let mut entities = Entities::default();
        entities.add(block, Syntax::JsonLd);
        entities
    }

    fn names(entities: &Entities) -> Vec<&str> {
        entities
            .answering()
            .map(|(entity, _)| entity.properties["name"].as_str().unwrap())
            .collect()
    }

    #[test]
    fn the_main_entity_comes_first() {
        let mut entities = entities(json!({"@context": "https://schema.org", "@graph": [
            {"@type": "BreadcrumbList", "name": "crumbs", "itemListElement": []},
            {"@type": "Organization", "name": "shop"},
            {"@type": ["Thing", "https://schema.org/Product"], "name": "lamp",
             "isRelatedTo": {"@type": "Product", "name": "other"}},
            {"@type": "WebPage", "name": "page"},
        ]}));
        entities.rank(|_, _| 0.0, |_| false);
        assert_eq!(names(&entities), ["lamp", "page"]);
    }

    #[test]
    fn coverage_and_name_decide_between_likely_types() {
        let block = json!([
            {"@type": "Article", "name": "How to bake"},
            {"@type": "Recipe", "name": "Bread"},
            {"@type": "Recipe", "name": "Cake"},
        ]);
        let mut covered = entities(block.clone());
        let is_article = |_: &Entities, entity: &Entity| {
            f64::from(u8::from(entity.properties["@type"] == "Article"))
        };
        covered.rank(is_article, |_| false);
        assert_eq!(names(&covered)[0], "How to bake");
        let mut named = entities(block);
        named.rank(|_, _| 0.0, |name| name == "Cake");
        assert_eq!(names(&named)[0], "Cake");
    }

    #[test]
    fn a_path_leads_through_lists_and_references() {
        let mut entities = entities(json!({"@graph": [
            {"@type": "Article", "schema:author": {"@id": "#p"}, "offers": [{"price": 1}, {"price": null}, {"price": [2, 3]}]},
            {"@type": "Person", "@id": "#p", "name": "Ann"},
        ]}));
        entities.rank(|_, _| 0.0, |_| false);
        let main = &entities.main().unwrap().properties;
        assert_eq!(entities.at_path(main, "offers.price"), [&json!(1), &json!(2), &json!(3)]);
        assert_eq!(entities.at_path(main, "author.name"), [&json!("Ann")]);
        assert!(entities.at_path(main, "nothing.at.all").is_empty());
    }
}
