//! Which of several prices is the one to pay.

use serde_json::Value;

use super::{Candidate, Finder, Source};
use crate::tree::Place;

/// What stands beside the price at which bidding begins.
const BEGINNINGS: &[&str] = &[
    "starting price",
    "starting bid",
    "start price",
    "opening bid",
    "opening price",
    "minimum bid",
    "startpreis",
    "startgebot",
    "mindestgebot",
    "mise à prix",
    "prix de départ",
    "precio de salida",
    "puja inicial",
    "lance inicial",
    "prezzo di partenza",
    "base d'asta",
    "startprijs",
    "utropspris",
    "cena wywoławcza",
    "vyvolávací cena",
    "начальная цена",
    "стартовая цена",
];
/// The longest text that is looked at for such a label, in bytes.
const MAX_LABEL_BYTES: usize = 80;
/// How many nodes before a price its label may be.
const MAX_NODES_BEFORE: usize = 8;
/// How much less a price counts that is only the first bid.
const BEGINNING_FACTOR: f64 = 0.4;

/// Whether a page may be that of an auction, whose structured data holds the price at which bidding
/// began. Fast, and often wrongly so.
pub(crate) fn may_be_auction(html: &str) -> bool {
    memchr::memmem::find(html.as_bytes(), b"bids").is_some()
}

impl Finder<'_> {
    /// A price in structured data that stands nowhere on the page is less sure, and so is one that
    /// stands there as the price at which bidding begins.
    pub(super) fn check_prices(&mut self) {
        self.check_visible();
        let beginnings = self.beginnings();
        for candidate in &mut self.candidates {
            if beginnings.contains(&candidate.value) {
                candidate.weight *= BEGINNING_FACTOR;
            }
        }
    }

    fn check_visible(&mut self) {
        let is_shown = |source| matches!(source, Source::Attribute | Source::Text | Source::Label);
        let shown = self.candidates.iter().filter(|candidate| is_shown(candidate.source));
        let on_page: Vec<Value> = shown.map(|candidate| candidate.value.clone()).collect();
        if on_page.is_empty() {
            return;
        }
        for candidate in &mut self.candidates {
            if let Some(price) = in_whole_units(candidate, &on_page) {
                candidate.value = price;
            }
            if candidate.source.is_structured() && !on_page.contains(&candidate.value) {
                candidate.weight *= 0.8;
            }
        }
    }

    /// The prices that the page calls those at which bidding begins: in the same text or the one before.
    fn beginnings(&self) -> Vec<Value> {
        let tree = &self.facts.tree;
        let says = |place: Place| {
            let text = tree.text(place, MAX_LABEL_BYTES).to_lowercase();
            BEGINNINGS.iter().any(|label| text.contains(label))
        };
        let is_beginning = |place: &&Place| {
            let mut before = (place.saturating_sub(MAX_NODES_BEFORE)..**place).rev();
            let before = before.find(|place| !tree.raw_text(*place).trim().is_empty());
            says(**place) || before.is_some_and(says)
        };
        let value = |place: &Place| {
            let text = Value::from(tree.text(*place, MAX_LABEL_BYTES));
            self.normal().value(&text, &self.field.kind, false).ok()
        };
        self.facts.money.iter().filter(is_beginning).filter_map(value).collect()
    }
}

/// A price that scripts keep in hundredths: its hundredth part stands on the page, and itself does not.
fn in_whole_units(candidate: &Candidate, on_page: &[Value]) -> Option<Value> {
    let cents = candidate.value.as_f64().filter(|_| candidate.source == Source::State)?;
    let is_seen = |price: f64| {
        let mut seen = on_page.iter().filter_map(Value::as_f64);
        seen.any(|seen| (seen - price).abs() < 1e-9)
    };
    let is_minor = cents.fract() == 0.0 && cents >= 100.0 && !is_seen(cents);
    let price = is_minor.then(|| cents / 100.0).filter(|price| is_seen(*price))?;
    if candidate.value.is_f64() { Some(Value::from(price)) } else { None }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn state_in_hundredths_is_told_by_the_page() {
        let candidate = |source, value| Candidate {
            source,
            weight: 0.5,
            value,
            raw: String::new(),
            path: String::new(),
        };
        let price = |cents: f64, seen: f64| {
            in_whole_units(&candidate(Source::State, json!(cents)), &[json!(seen)])
        };
        assert_eq!(price(1990.0, 19.9), Some(json!(19.9)));
        assert_eq!(price(1990.0, 1990.0), None);
        assert_eq!(price(1990.0, 5.0), None);
        let structured = candidate(Source::JsonLd, json!(1990.0));
        assert_eq!(in_whole_units(&structured, &[json!(19.9)]), None);
    }
}
