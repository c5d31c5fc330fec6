//! What the name of a field means: where pages usually say it.

use std::{collections::HashMap, sync::LazyLock};

use serde::Deserialize;

/// The table of concepts, kept as data.
const TABLE: &str = include_str!("concepts.json");

/// Words before the real name of a field, as in `product_price`.
const ENTITY_WORDS: &[&str] =
    &["product", "item", "article", "recipe", "book", "movie", "event", "job", "page", "offer"];

/// Where pages say one thing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Concept {
    /// Names of fields that mean it, in snake case.
    pub(crate) names: Vec<String>,
    /// Paths in JSON-LD, from the main entity, best first.
    pub(crate) jsonld: Vec<String>,
    /// Names of microdata properties, best first.
    pub(crate) itemprop: Vec<String>,
    /// Keys of meta tags, best first.
    pub(crate) meta: Vec<String>,
    /// Words in classes and ids, each a phrase of tokens.
    pub(crate) marks: Vec<String>,
    /// The main heading is a good guess.
    pub(crate) is_heading: bool,
    /// What is struck through is meant.
    pub(crate) is_struck: bool,
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
    /// The concept of a field's name; a name that is in no table means itself.
    pub(crate) fn of(name: &str) -> Self {
        let tokens = tokens(name);
        let known = |tokens: &[String]| CONCEPTS.get(&tokens.join("_")).cloned();
        if let Some(concept) = known(&tokens) {
            return concept;
        }
        if let [first, rest @ ..] = &tokens[..]
            && ENTITY_WORDS.contains(&first.as_str())
            && let Some(concept) = known(rest)
        {
            return concept;
        }
        Self::of_unknown(name, &tokens)
    }

    fn of_unknown(name: &str, tokens: &[String]) -> Self {
        let mut keys = vec![name.to_owned(), tokens.join("_"), camel(tokens), tokens.join("-")];
        keys.dedup();
        let phrase = tokens.join(" ");
        Self {
            names: Vec::new(),
            jsonld: keys.clone(),
            itemprop: keys.clone(),
            meta: keys,
            marks: if phrase.is_empty() { Vec::new() } else { vec![phrase] },
            is_heading: false,
            is_struck: false,
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
        assert!(Concept::of("title").is_heading);
        assert_eq!(tokens("skuID2Code"), ["sku", "id2", "code"]);
        assert_eq!(tokens("__a--b"), ["a", "b"]);
    }

    #[test]
    fn an_unknown_name_means_itself() {
        let concept = Concept::of("fuel_economy");
        assert_eq!(concept.jsonld, ["fuel_economy", "fuelEconomy", "fuel-economy"]);
        assert_eq!(concept.marks, ["fuel economy"]);
    }
}
