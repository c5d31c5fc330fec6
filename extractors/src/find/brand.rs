//! Whose make a thing is: links to the maker's things, a name before a model's number, and not the
//! shop's own name.

use super::{Finder, Source};
use crate::{
    entity::SPECIFIC,
    facts::{is_in, simple},
    tree::{Place, Tag},
};

/// Parts of addresses after which a maker is named, in several languages.
const BEFORE_MAKERS: &[&str] = &[
    "brand",
    "brands",
    "shop-by-brand",
    "manufacturer",
    "manufacturers",
    "maker",
    "makers",
    "designer",
    "designers",
    "marke",
    "marken",
    "hersteller",
    "marque",
    "marques",
    "fabricant",
    "marca",
    "marcas",
    "fabricante",
    "marche",
    "produttore",
    "merk",
    "merken",
    "merke",
    "merker",
    "maerke",
    "varumarke",
    "varumarken",
    "merkki",
    "merkit",
    "marka",
    "marki",
    "producent",
    "producenci",
    "znacka",
    "znacky",
    "vyrobce",
    "vyrobca",
    "marka-kategori",
    "brend",
    "brendy",
    "proizvoditel",
    "proizvodjac",
    "gyarto",
];
/// The longest name of a maker in a link, in bytes.
const MAX_MAKER_BYTES: usize = 60;
/// The most links to makers that are looked at.
const MAX_MAKERS: usize = 200;
/// How much less the shop's own name counts: many shops write it where the brand belongs.
const SHOP_FACTOR: f64 = 0.55;

impl Finder<'_> {
    pub(super) fn makers(&mut self) {
        self.maker_links();
        self.maker_in_name();
    }

    /// Links to all things of one maker, better if the thing's name has the maker's.
    fn maker_links(&mut self) {
        let tree = &self.facts.tree;
        let name = self.thing().map(simple).unwrap_or_default();
        let leads = |place: &Place| {
            tree.tag(*place) == Tag::A
                && tree.raw_attribute(*place, "href").is_some_and(names_maker)
        };
        for place in (1..tree.len()).filter(leads).take(MAX_MAKERS) {
            let mut text = self.seen_text(place, MAX_MAKER_BYTES + 1);
            if text.is_empty() {
                text = self.picture_name(place);
            }
            let maker = simple(&text);
            if maker.is_empty() || text.len() > MAX_MAKER_BYTES {
                continue;
            }
            let weight = if is_in(&maker, &name) { 0.6 } else { 0.36 };
            let weight = weight * self.zone_factor(place) * self.closeness(place);
            self.text(Source::Label, weight, &text, "link to the maker");
        }
    }

    /// What the first picture in a node is called.
    pub(super) fn picture_name(&self, place: Place) -> String {
        let tree = &self.facts.tree;
        let mut inside = std::iter::once(place).chain(tree.below(place).take(20));
        let image = inside.find(|place| tree.tag(*place) == Tag::Img);
        let name = image.and_then(|image| {
            tree.attribute(image, "alt").or_else(|| tree.attribute(image, "title"))
        });
        name.map(std::borrow::Cow::into_owned).unwrap_or_default()
    }

    /// What the thing is called.
    fn thing(&self) -> Option<&str> {
        let entity = self.facts.entities.main().filter(|entity| entity.prior >= SPECIFIC);
        let named = entity.and_then(|entity| entity.properties.get("name")?.as_str());
        named.or_else(|| self.facts.headings.main().map(|heading| heading.text.as_str()))
    }

    /// The first word of a name, where it alone is in capitals or stands before a model's number; of a
    /// title, which has other words before it less often than a heading, only the latter.
    fn maker_in_name(&mut self) {
        let Some(name) = self.thing() else { return };
        let title = self.facts.headings.title.as_deref().and_then(first_before_model);
        let title = title.filter(|word| is_in(&simple(word), &simple(name)));
        let loud = first_loud(name).map(|word| (word, 0.36));
        let model = first_before_model(name).or(title).map(|word| (word, 0.32));
        let Some((maker, weight)) = loud.or(model) else { return };
        let maker = maker.to_owned();
        self.text(Source::Heading, weight, &maker, "h1");
    }

    /// What is also the name of the shop is less sure to be the maker.
    pub(super) fn doubt_shops(&mut self) {
        let site = self.facts.meta("og:site_name").next().map(simple).unwrap_or_default();
        let host = self.facts.address.host_str().unwrap_or_default();
        let host = host.strip_prefix("www.").unwrap_or(host);
        for candidate in &mut self.candidates {
            let name = candidate.value.as_str().map(simple).unwrap_or_default();
            let plain: String = name.chars().filter(|c| *c != ' ').collect();
            if plain.len() >= 3 && (name == site || host.starts_with(&plain)) {
                candidate.weight *= SHOP_FACTOR;
            }
        }
    }
}

/// Whether an address goes on after a part that says that a maker comes next.
fn names_maker(address: &str) -> bool {
    if address.len() > 300 {
        return false;
    }
    let mut parts = address.split(['/', '?', '&', '=']);
    let is_before = |part: &str| BEFORE_MAKERS.iter().any(|word| part.eq_ignore_ascii_case(word));
    parts.any(is_before) && parts.next().is_some_and(|maker| !maker.is_empty())
}

/// The word with which a name begins, if it may be a maker's.
fn first_word(name: &str) -> Option<&str> {
    let first = name.split_whitespace().next()?;
    let letters = first.chars().filter(|c| c.is_alphabetic()).count();
    let is_word = letters >= 3 && first.chars().all(|c| c.is_alphabetic() || c == '-');
    (is_word && first.starts_with(char::is_uppercase)).then_some(first)
}

/// The first word of a name, if it alone is in capitals.
fn first_loud(name: &str) -> Option<&str> {
    let is_loud = |word: &&str| !word.chars().any(char::is_lowercase);
    let rest_is_not = name.split_whitespace().skip(1).any(|word| !is_loud(&word));
    first_word(name).filter(is_loud).filter(|_| rest_is_not)
}

/// The first word of a name, if the second is a model's number.
fn first_before_model(name: &str) -> Option<&str> {
    let second = name.split_whitespace().nth(1)?;
    first_word(name).filter(|_| is_model(second))
}

/// A number of a model such as `FX-991` or `WH1000XM4`: capitals and digits in one word.
fn is_model(word: &str) -> bool {
    let has = |is: fn(&char) -> bool| word.chars().any(|c| is(&c));
    has(char::is_ascii_digit)
        && word.chars().filter(char::is_ascii_uppercase).count() >= 2
        && word.chars().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_maker_is_named_first() {
        for (name, maker) in [
            ("LUMO Brass lamp", Some("LUMO")),
            ("Lumo FX-991 Brass lamp", Some("Lumo")),
            ("LUMO LAMP", None),
            ("Lamp of brass 2024", None),
            ("Size 42", None),
            ("Vitamin B12", None),
            ("2 lamps", None),
            ("", None),
        ] {
            assert_eq!(first_loud(name).or(first_before_model(name)), maker, "{name}");
        }
    }

    #[test]
    fn addresses_name_makers() {
        assert!(names_maker("/brands/lumo") && names_maker("https://a.test/x?brand=lumo&y"));
        assert!(!names_maker("/brands/") && !names_maker("/lamps/brand") && !names_maker("/a"));
    }
}
