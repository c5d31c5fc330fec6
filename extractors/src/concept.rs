//! What the name of a field means: where pages usually say it.

use std::{collections::HashMap, sync::LazyLock};

use serde::Deserialize;

/// The table of concepts, kept as data.
const TABLE: &str = include_str!("concepts.json");

/// Words before the real name of a field, as in `product_price`.
const ENTITY_WORDS: &[&str] =
    &["product", "item", "article", "recipe", "book", "movie", "event", "job", "page", "offer"];

/// How the values of a concept look, and where else than by its words it is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Rule {
    /// Any text.
    #[default]
    Text,
    Name,
    Price,
    OldPrice,
    Currency,
    Availability,
    Identifier,
    Gtin,
    Isbn,
    Brand,
    Person,
    Description,
    Date,
    Modified,
    Image,
    Url,
    Website,
    Site,
    Language,
    Rating,
    Count,
    List,
    /// A list that is often one text with commas.
    Tags,
    Duration,
    Phone,
    Email,
    Address,
}

impl Rule {
    /// Whether structured data is wrong often enough that what the page says should be heard too,
    /// where it is read anyway.
    pub(crate) fn hears_page(self) -> bool {
        matches!(self, Self::Price | Self::Brand)
    }
}

/// Where pages say one thing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Concept {
    /// Names of fields that mean it, in snake case.
    pub(crate) names: Vec<String>,
    pub(crate) rule: Rule,
    /// Paths in structured data, from the main entity, best first.
    pub(crate) jsonld: Vec<String>,
    /// Keys of meta tags in lower case, best first.
    pub(crate) meta: Vec<String>,
    /// Words in classes and ids, each a phrase.
    pub(crate) marks: Vec<String>,
    /// What stands before or above the value, in lower case, in several languages.
    pub(crate) labels: Vec<String>,
}

static CONCEPTS: LazyLock<HashMap<String, Concept>> = LazyLock::new(|| {
    let concepts: Vec<Concept> = serde_json::from_str(TABLE).expect("the table is well-formed");
    let named = |concept: Concept| {
        let names = concept.names.clone();
        names.into_iter().map(move |name| (name, concept.clone()))
    };
    concepts.into_iter().flat_map(named).collect()
});

impl Concept {
    /// The concept of a field's name, by what else is said of it: a hint that says the same more exactly
    /// (`list price` of a price), and further words for it.
    pub(crate) fn of_field<'a>(
        name: &str,
        hint: Option<&str>,
        synonyms: impl Iterator<Item = &'a String> + Clone,
    ) -> Self {
        let own = Self::known(name);
        let is_closer = |hint: &&str| {
            let words = tokens(hint);
            own.is_none() || tokens(name).iter().all(|word| words.contains(word))
        };
        let hinted = hint.filter(is_closer).and_then(Self::known);
        let by_synonym = || synonyms.clone().find_map(|word| Self::known(word));
        let known = hinted.or(own).or_else(by_synonym);
        let mut concept = known.unwrap_or_else(|| Self::of_unknown(name, &tokens(name)));
        for word in synonyms {
            concept.add(word);
        }
        concept
    }

    /// The concept of a name; one that is in no table means itself.
    pub(crate) fn of(name: &str) -> Self {
        Self::known(name).unwrap_or_else(|| Self::of_unknown(name, &tokens(name)))
    }

    /// Adds a word for it, after the known ones.
    fn add(&mut self, word: &str) {
        let phrase = tokens(word);
        for key in [word.to_owned(), phrase.join("_"), camel(&phrase)] {
            if !self.jsonld.contains(&key) {
                self.jsonld.push(key);
            }
        }
        self.meta.push(word.to_lowercase());
        self.marks.push(phrase.join(" "));
        self.labels.push(crate::facts::labels::normal(word));
    }

    fn known(name: &str) -> Option<Self> {
        let tokens = tokens(name);
        let known = |tokens: &[String]| CONCEPTS.get(&tokens.join("_")).cloned();
        if let Some(concept) = known(&tokens) {
            return Some(concept);
        }
        if let [first, rest @ ..] = &tokens[..]
            && ENTITY_WORDS.contains(&first.as_str())
            && let Some(concept) = known(rest)
        {
            return Some(concept);
        }
        if let [rest @ .., last] = &tokens[..]
            && ["text", "value", "name"].contains(&last.as_str())
            && let Some(concept) = known(rest)
        {
            return Some(concept);
        }
        None
    }

    fn of_unknown(name: &str, tokens: &[String]) -> Self {
        let mut keys = vec![name.to_owned(), tokens.join("_"), camel(tokens), tokens.join("-")];
        keys.dedup();
        let phrase = tokens.join(" ");
        let is_link = ["url", "link", "href", "uri", "page", "same"]
            .iter()
            .any(|word| tokens.iter().any(|token| token == word));
        Self {
            meta: keys.iter().map(|key| key.to_lowercase()).collect(),
            jsonld: keys,
            labels: vec![phrase.clone()],
            marks: vec![phrase],
            rule: if is_link { Rule::Website } else { Rule::Text },
            ..Self::default()
        }
    }
}

/// The words of a name in lower case: `salePrice`, `sale_price` and `sale-price` are `sale`, `price`.
pub(crate) fn tokens(name: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut token = String::new();
    let mut was_lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && was_lower) {
            tokens.push(std::mem::take(&mut token));
        }
        was_lower = c.is_lowercase() || c.is_numeric();
        if c.is_alphanumeric() {
            token.extend(c.to_lowercase());
        }
    }
    tokens.push(token);
    tokens.retain(|token| !token.is_empty());
    tokens
}

fn camel(tokens: &[String]) -> String {
    let mut name = String::new();
    for token in tokens {
        let mut chars = token.chars();
        match chars.next() {
            Some(first) if !name.is_empty() => name.extend(first.to_uppercase()),
            Some(first) => name.push(first),
            None => {}
        }
        name.push_str(chars.as_str());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_understood_in_any_spelling() {
        for name in ["price", "productPrice", "product_price", "Price", "sale-price"] {
            assert_eq!(Concept::of(name).jsonld[0], "offers.price", "{name}");
        }
        assert_eq!(Concept::of("title").rule, Rule::Name);
        assert_eq!(tokens("skuID2Code"), ["sku", "id2", "code"]);
        assert_eq!(tokens("__a--b"), ["a", "b"]);
    }

    #[test]
    fn hints_and_synonyms_say_more() {
        let concept = |name: &str, hint: Option<&str>, synonyms: &[&str]| {
            let synonyms: Vec<String> = synonyms.iter().map(|word| (*word).to_owned()).collect();
            Concept::of_field(name, hint, synonyms.iter())
        };
        assert_eq!(concept("price", Some("list price"), &[]).rule, Rule::OldPrice);
        assert_eq!(concept("author", Some("name"), &[]).rule, Rule::Person, "no more exact");
        let cost = concept("cost_of_it", None, &["price", "Preis ab"]);
        assert_eq!(cost.rule, Rule::Price);
        assert!(cost.labels.contains(&"preis ab".to_owned()));
        assert!(cost.marks.contains(&"preis ab".to_owned()));
        assert!(cost.jsonld.contains(&"Preis ab".to_owned()));
    }

    #[test]
    fn an_unknown_name_means_itself() {
        let concept = Concept::of("fuel_economy");
        assert_eq!(concept.jsonld, ["fuel_economy", "fuelEconomy", "fuel-economy"]);
        assert_eq!(concept.marks, ["fuel economy"]);
    }
}
