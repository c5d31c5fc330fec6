//! What the shop sells: the truth that a page is checked against.

use std::fmt;

use crate::random::Random;

const PURPOSE: u64 = 0x7072_6F64;

/// One product, a pure function of its number.
///
/// ```
/// use harvestman_shop::Shop;
///
/// let product = Shop::product(7);
/// assert_eq!(product.name, Shop::product(7).name);
/// assert_eq!(product.sku, "HM-000007");
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Product {
    /// The number, from 0.
    pub number: u32,
    /// The name as a reader sees it, with no white space around it. No two products share one.
    pub name: String,
    /// The price in units of the currency; it has at most two decimals.
    pub price: f64,
    /// The price as the page shows it, e.g. `$1,299.00` or `1.299,00 €`.
    pub price_text: String,
    /// The ISO 4217 code of the currency: `USD`, `GBP` or `EUR`.
    pub currency: &'static str,
    /// The stock-keeping unit, e.g. `HM-000007`.
    pub sku: String,
    /// The maker.
    pub brand: &'static str,
    /// Whether it can be had.
    pub availability: Availability,
    /// The mean rating of 1.0 to 5.0, with one decimal.
    pub rating: f64,
    /// How many ratings there are.
    pub reviews: u32,
    /// Whether its page is a German one: words, decimal comma and charset.
    pub is_german: bool,
}

/// Whether a product can be had; shown as the last word of the schema.org URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// It is there.
    InStock,
    /// It is sold out.
    OutOfStock,
    /// It will come.
    PreOrder,
}

impl fmt::Display for Availability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Product {
    pub(crate) fn new(number: u32) -> Self {
        let mut random = Random::new(PURPOSE, number);
        let is_german = number % 5 == 4;
        let cents = cents(&mut random);
        let currency = if is_german { "EUR" } else { random.pick(&["USD", "USD", "GBP", "EUR"]) };
        let brand = random.pick(BRANDS);
        Self {
            number,
            name: name(&mut random, number, is_german),
            price: f64::from(cents) / 100.0,
            price_text: price_text(cents, currency, is_german),
            currency,
            sku: format!("HM-{number:06}"),
            brand,
            availability: availability(&mut random),
            rating: f64::from(10 + random.below(41)) / 10.0,
            reviews: 1 + random.below(900),
            is_german,
        }
    }

    /// The last part of the canonical path: the name in ASCII, hyphenated.
    pub(crate) fn slug(&self) -> String {
        let mut slug = String::with_capacity(self.name.len());
        for c in self.name.chars().map(|c| c.to_ascii_lowercase()) {
            if c.is_ascii_alphanumeric() {
                slug.push(c);
            } else if c == ' ' && !slug.ends_with('-') {
                slug.push('-');
            }
        }
        slug
    }
}

fn cents(random: &mut Random) -> u32 {
    let whole = match random.below(10) {
        0..6 => 2 + random.below(98),
        6..9 => 100 + random.below(900),
        _ => 1000 + random.below(1500),
    };
    whole * 100 + random.pick(&[0, 49, 90, 95, 99, 99, 5, 37])
}

fn name(random: &mut Random, number: u32, is_german: bool) -> String {
    let (first, second, third) = if is_german {
        (random.pick(GERMAN_ADJECTIVES), random.pick(GERMAN_MATERIALS), random.pick(GERMAN_NOUNS))
    } else {
        (random.pick(ADJECTIVES), random.pick(MATERIALS), random.pick(NOUNS))
    };
    format!("{first} {second} {third} {number}")
}

fn availability(random: &mut Random) -> Availability {
    match random.below(10) {
        0..8 => Availability::InStock,
        8 => Availability::OutOfStock,
        _ => Availability::PreOrder,
    }
}

fn price_text(cents: u32, currency: &str, is_german: bool) -> String {
    let (whole, rest) = (cents / 100, cents % 100);
    let separator = if is_german { '.' } else { ',' };
    let whole = if whole < 1000 {
        whole.to_string()
    } else {
        format!("{}{separator}{:03}", whole / 1000, whole % 1000)
    };
    match currency {
        _ if is_german => format!("{whole},{rest:02} €"),
        "USD" => format!("${whole}.{rest:02}"),
        "GBP" => format!("£{whole}.{rest:02}"),
        _ => format!("€{whole}.{rest:02}"),
    }
}

const BRANDS: &[&str] =
    &["Nordlund", "Casa Verde", "Hale & Sons", "Kitsu", "Ombra", "Tarn Works", "Ferris", "Ø-Lab"];
const ADJECTIVES: &[&str] = &[
    "Alpine",
    "Classic",
    "Compact",
    "Everyday",
    "Heavy-Duty",
    "Slim",
    "Folding",
    "Quiet",
    "Travel",
];
const MATERIALS: &[&str] =
    &["Steel", "Oak", "Linen", "Ceramic", "Cast-Iron", "Bamboo", "Copper", "Wool", "Glass"];
const NOUNS: &[&str] = &[
    "Kettle",
    "Desk Lamp",
    "Salt & Pepper Mill",
    "Backpack",
    "12\" Pan",
    "Chef's Knife",
    "Blanket",
    "Water Bottle",
    "Side Table",
    "Coffee Grinder",
    "Wall Clock",
    "Café Cup",
];
const GERMAN_ADJECTIVES: &[&str] =
    &["Große", "Kleine", "Klappbare", "Übergroße", "Leichte", "Bewährte", "Schöne"];
const GERMAN_MATERIALS: &[&str] = &["Edelstahl-", "Eichen-", "Leinen-", "Glas-", "Kupfer-"];
const GERMAN_NOUNS: &[&str] =
    &["Küchenwaage", "Teekanne", "Gießkanne", "Schüssel", "Stehleuchte", "Kaffeemühle", "Decke"];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_distinct_and_prices_vary() {
        let products: Vec<Product> = (0..3000).map(Product::new).collect();
        let names: HashSet<&str> = products.iter().map(|product| product.name.as_str()).collect();
        assert_eq!(names.len(), products.len());
        let prices: HashSet<u64> = products.iter().map(|product| product.price.to_bits()).collect();
        assert!(prices.len() > 1000, "{} prices", prices.len());
        assert!(products.iter().any(|product| product.price >= 1000.0));
        for availability in
            [Availability::InStock, Availability::OutOfStock, Availability::PreOrder]
        {
            assert!(products.iter().any(|product| product.availability == availability));
        }
    }

    #[test]
    fn a_price_is_written_as_its_country_writes_it() {
        assert_eq!(price_text(129_905, "USD", false), "$1,299.05");
        assert_eq!(price_text(1_900, "GBP", false), "£19.00");
        assert_eq!(price_text(99, "EUR", false), "€0.99");
        assert_eq!(price_text(129_905, "EUR", true), "1.299,05 €");
    }

    #[test]
    fn a_slug_is_ascii() {
        assert!((0..500).map(|n| Product::new(n).slug()).all(|slug| slug.is_ascii()));
        let mut product = Product::new(1);
        product.name = "Slim Salt & Pepper 12\" 1".to_owned();
        assert_eq!(product.slug(), "slim-salt-pepper-12-1");
    }
}
