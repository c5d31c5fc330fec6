//! Candidates from the page itself: headings, labels, telling names, and what stands near.

use serde_json::Value;

use super::{
    Finder, Source, availability,
    kicker::{self, Part},
};
use crate::{
    concept::Rule,
    facts::{Beside, Fit, Heading, Zones},
    money,
    tree::{Place, Tag},
};

/// The longest text of an element that marks a short value, in bytes.
const MAX_SHORT_BYTES: usize = 160;
/// The longest text that may be a description, in bytes.
const MAX_LONG_BYTES: usize = 4 * 1024;
/// The most short texts that are searched for words of availability.
const MAX_SHORT_TEXTS: usize = 5_000;
/// The most marks that are tried for one field.
const MAX_MARKS: usize = 1_000;

const LABEL: f64 = 0.66;
const MARK: f64 = 0.62;
const MONEY: f64 = 0.42;

impl Finder<'_> {
    pub(super) fn page(&mut self) {
        match self.concept.rule {
            Rule::Name => self.headings(),
            Rule::Image => self.images(),
            Rule::Url => {
                self.value(Source::Url, 0.4, &Value::from(self.url.as_str()), "final_url", true);
            }
            Rule::Language => {
                if let Some(language) = self.facts.language.clone() {
                    self.value(Source::Attribute, 0.9, &Value::from(language), "html@lang", true);
                }
            }
            Rule::Site => self.site(),
            _ => {}
        }
        if matches!(self.concept.rule, Rule::Url | Rule::Language | Rule::Site) {
            return;
        }
        self.labelled();
        self.marked();
        match self.concept.rule {
            Rule::Price => self.money_texts(),
            Rule::Brand => self.makers(),
            Rule::Currency => self.currencies(),
            Rule::Availability => self.buttons(),
            Rule::Person => self.linked("author", 0.6),
            Rule::Date => self.dates(),
            Rule::Identifier => self.url_numbers(),
            Rule::Phone => self.addressed("tel:"),
            Rule::Email => self.addressed("mailto:"),
            Rule::Description => self.first_paragraph(),
            _ => {}
        }
    }

    fn headings(&mut self) {
        let headings = &self.facts.headings;
        if let Some(heading) = headings.main() {
            let weight = match (headings.is_confirmed, &headings.title) {
                (true, _) if headings.is_most_of_title() => 0.9,
                (true, _) => 0.6,
                (false, None) => 0.75,
                (false, Some(_)) => 0.55,
            };
            let text = self.without_site(&heading.text);
            let (whole, part) = match kicker::proper(&self.facts.tree, heading.place) {
                Some(Part::Marked(text)) => (0.8, Some((0.95, text))),
                Some(Part::Longest(text)) => (1.0, Some((0.82, text))),
                None => (1.0, None),
            };
            self.text(Source::Heading, whole * weight, &text, "h1");
            if let Some((share, text)) = part {
                self.text(Source::Heading, share * weight, &text, "h1 part");
            }
        }
        if let Some(title) = headings.title.clone() {
            self.text(Source::Title, 0.4, &self.without_site(&title), "title");
        }
        if let Some(part) = headings.title_part() {
            self.text(Source::Title, 0.33, &part, "title");
        }
    }

    fn images(&mut self) {
        for number in 0..self.facts.marks.len().min(MAX_MARKS) {
            let mark = &self.facts.marks[number];
            let fit = mark.words.fit(self.phrases, self.vocabulary);
            if fit.purity == 0.0 || mark.attribute.is_some() {
                continue;
            }
            let tree = &self.facts.tree;
            let image = std::iter::once(mark.place)
                .chain(tree.below(mark.place).take(40))
                .find(|place| tree.tag(*place) == Tag::Img);
            let source = image.and_then(|image| tree.attribute(image, "src"));
            if let Some(source) = source.filter(|source| !source.starts_with("data:")) {
                let weight =
                    0.55 * fit.purity * self.zone_factor(mark.place) * self.closeness(mark.place);
                self.value(Source::Attribute, weight, &Value::from(source), "img@src", true);
            }
        }
    }

    fn site(&mut self) {
        let Some(title) = self.facts.headings.title.clone() else { return };
        let without = self.without_site(&title);
        if let Some(rest) = title.strip_prefix(without.as_str()) {
            let site = rest.trim_matches(|c: char| !c.is_alphanumeric()).to_owned();
            self.text(Source::Title, 0.5, &site, "title");
        }
    }

    fn labelled(&mut self) {
        for number in 0..self.facts.labels.len() {
            let label = &self.facts.labels[number];
            let is_ours =
                self.labels.get(&label.text).is_some_and(|fields| fields.contains(&self.number));
            if !is_ours {
                continue;
            }
            let rank = self.concept.labels.iter().position(|text| *text == label.text).unwrap_or(0);
            let weight = LABEL
                * label.strength
                * self.zone_factor(label.place)
                * (1.0 - 0.01 * rank.min(20) as f64);
            let path = format!("label {:?}", label.text);
            let text = match &label.value {
                Beside::Text(text) => text.clone(),
                Beside::Node(place) => {
                    let place = *place;
                    if let (Rule::Website | Rule::Url, Some(link)) =
                        (self.concept.rule, self.link_in(place))
                    {
                        self.value(Source::Label, weight, &Value::from(link), &path, true);
                        continue;
                    }
                    self.seen_text(place, MAX_LONG_BYTES)
                }
            };
            let text = text.trim_start_matches([':', '：', ' ', '-', '–']).trim().to_owned();
            let long = if text.len() > MAX_SHORT_BYTES && self.concept.rule != Rule::Description {
                0.4
            } else {
                1.0
            };
            let weak = if self.concept.rule == Rule::Description { 0.5 } else { 1.0 };
            self.text(Source::Label, weight * long * weak, &text, &path);
        }
    }

    fn link_in(&self, place: Place) -> Option<String> {
        let tree = &self.facts.tree;
        let link = std::iter::once(place)
            .chain(tree.below(place).take(60))
            .find(|place| tree.tag(*place) == Tag::A)?;
        tree.attribute(link, "href").map(std::borrow::Cow::into_owned)
    }

    /// Elements whose class, id or data attributes have the field's words.
    fn marked(&mut self) {
        let mut tried = 0;
        for number in 0..self.facts.marks.len() {
            let mark = &self.facts.marks[number];
            let fit = mark.words.fit(self.phrases, self.vocabulary);
            if fit.purity < 0.25 || self.concept.rule == Rule::Image {
                continue;
            }
            tried += 1;
            if tried > MAX_MARKS {
                return;
            }
            let (place, attribute) = (mark.place, mark.attribute.clone());
            let weight = self.mark_weight(place, fit);
            match attribute {
                Some(value) => {
                    self.value(Source::Attribute, 0.7 * weight, &Value::from(value), "data-", true);
                }
                None => self.marked_element(place, weight),
            }
        }
    }

    fn mark_weight(&self, place: Place, fit: Fit) -> f64 {
        let wants_old = self.concept.rule == Rule::OldPrice;
        let is_price = matches!(self.concept.rule, Rule::Price | Rule::Currency);
        let old = if fit.is_old && is_price { 0.35 } else { 1.0 };
        let struck = self.facts.zones(place).has(Zones::STRUCK);
        let struck = if struck == wants_old || !(is_price || wants_old) { 1.0 } else { 0.33 };
        MARK * fit.purity * old * struck * self.zone_factor(place) * self.closeness(place)
    }

    fn marked_element(&mut self, place: Place, weight: f64) {
        let tree = &self.facts.tree;
        let tag = tree.tag(place);
        if tag == Tag::Input {
            self.marked_input(place, weight);
            return;
        }
        if matches!(tag, Tag::Select | Tag::Button | Tag::Option)
            && self.concept.rule != Rule::Availability
        {
            return;
        }
        let path = self.path(place);
        let machine =
            ["content", "datetime", "value"].iter().find_map(|name| tree.attribute(place, name));
        if let Some(value) = machine.filter(|value| !value.trim().is_empty()) {
            self.value(Source::Attribute, weight, &Value::from(value), &path, true);
            return;
        }
        let is_long = self.concept.rule == Rule::Description;
        let most = if is_long { MAX_LONG_BYTES } else { MAX_SHORT_BYTES + 1 };
        let mut text = self.seen_text(place, most);
        if text.is_empty() && matches!(self.concept.rule, Rule::Brand | Rule::Text) {
            text = self.picture_name(place);
        }
        let long = if text.len() > MAX_SHORT_BYTES && !is_long { 0.3 } else { 1.0 };
        let money = match self.concept.rule {
            Rule::Price if money::may_have_currency(&text) => 1.15,
            Rule::Price => 0.85,
            Rule::Person | Rule::Brand if text.split_whitespace().count() > 8 => 0.5,
            _ => 1.0,
        };
        let text = self.without_label(&text);
        self.text(Source::Attribute, weight * long * money, &text, &path);
    }

    /// The field's own label at the beginning of a text says nothing.
    fn without_label(&self, text: &str) -> String {
        if matches!(self.concept.rule, Rule::Person | Rule::Description | Rule::Name | Rule::Price)
        {
            return text.to_owned();
        }
        let lower = text.to_lowercase();
        let labels = self
            .concept
            .labels
            .iter()
            .filter(|label| lower.starts_with(label.as_str()) && lower.len() == text.len());
        let longest = labels.map(String::len).max().unwrap_or(0);
        let rest = text.get(longest..).unwrap_or(text);
        if longest > 0 && rest.trim_start().starts_with([':', '：', '#']) {
            return rest.trim_start().trim_start_matches([':', '：', '#', ' ']).to_owned();
        }
        text.to_owned()
    }

    /// A hidden field of a form; never the quantity.
    fn marked_input(&mut self, place: Place, weight: f64) {
        let tree = &self.facts.tree;
        let kind = tree.raw_attribute(place, "type").unwrap_or("text");
        let says = |name: &str, word: &str| {
            tree.raw_attribute(place, name).is_some_and(|value| value.to_lowercase().contains(word))
        };
        let is_quantity = ["qty", "quant", "anzahl", "menge", "count"]
            .iter()
            .any(|word| says("name", word) || says("class", word) || says("id", word));
        let is_value = kind.eq_ignore_ascii_case("hidden") && !is_quantity;
        if let Some(value) = tree.attribute(place, "value").filter(|_| is_value) {
            self.value(Source::Attribute, 0.65 * weight, &Value::from(value), "input@value", true);
        }
    }

    /// The visible text of a node, without what is struck through or meant for screen readers only.
    pub(super) fn seen_text(&self, place: Place, most: usize) -> String {
        let facts = self.facts;
        let own = facts.zones(place);
        let skips = |inner: Place| {
            let zones = facts.zones(inner);
            zones.has(Zones::STRUCK) && !own.has(Zones::STRUCK)
                || zones.has(Zones::HIDDEN) && !own.has(Zones::HIDDEN)
        };
        facts.tree.text_without(place, most, skips)
    }

    pub(super) fn path(&self, place: Place) -> String {
        let tree = &self.facts.tree;
        let class = tree.raw_attribute(place, "class").or_else(|| tree.raw_attribute(place, "id"));
        let class = class.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(".");
        format!("{}.{class}", tree.name(place).to_lowercase())
    }

    /// Less for parts of the page that are about something else.
    pub(super) fn zone_factor(&self, place: Place) -> f64 {
        let zones = self.facts.zones(place);
        let mut factor = 1.0;
        if self.is_apart(zones, Zones::FRAME) {
            factor *= 0.45;
        }
        if self.is_apart(zones, Zones::RELATED) {
            factor *= 0.4;
        }
        if matches!(self.concept.rule, Rule::Person | Rule::Date) && self.is_beside_heading(place) {
            factor = f64::max(factor, 0.8);
        }
        if zones.has(Zones::HIDDEN) {
            factor *= 0.6;
        }
        let is_personal =
            matches!(self.concept.rule, Rule::Person | Rule::Date | Rule::Name | Rule::Description);
        if zones.has(Zones::COMMENTS) && is_personal {
            factor *= 0.3;
        }
        factor
    }

    /// Whether a zone tells a place apart: what the main heading stands in too doesn't.
    fn is_apart(&self, zones: Zones, zone: Zones) -> bool {
        let main = self.facts.headings.main().map(Heading::zones).unwrap_or_default();
        zones.has(zone) && !main.has(zone)
    }

    /// Whether it stands where the line with author and date stands, whatever that is in.
    fn is_beside_heading(&self, place: Place) -> bool {
        const NODES: usize = 20;
        let headings = &self.facts.headings;
        let main = headings.main().filter(|_| headings.is_most_of_title());
        main.is_some_and(|heading| place.abs_diff(heading.place) <= NODES)
    }

    /// More for what stands soon after the main heading.
    pub(super) fn closeness(&self, place: Place) -> f64 {
        let Some(heading) = self.facts.headings.main() else { return 0.8 };
        let distance = place.abs_diff(heading.place) as f64;
        let scale = if place >= heading.place { 600.0 } else { 150.0 };
        0.4 + 0.6 / (1.0 + distance / scale)
    }

    fn money_texts(&mut self) {
        let tree = &self.facts.tree;
        for number in 0..self.facts.money.len() {
            let place = self.facts.money[number];
            let zones = self.facts.zones(place);
            if zones.has(Zones::STRUCK) {
                continue;
            }
            let parent = tree.parent(place);
            let whole = self.seen_text(parent, 60);
            let text = if whole.len() <= 40 { whole } else { tree.text(place, 60) };
            let weight = MONEY * self.zone_factor(place) * self.closeness(place);
            self.text(Source::Text, weight, &text, "text");
        }
    }

    /// The currency of the texts that may be the price.
    fn currencies(&mut self) {
        let tree = &self.facts.tree;
        for number in 0..self.facts.money.len() {
            let place = self.facts.money[number];
            let weight = 0.75 * self.zone_factor(place) * self.closeness(place);
            if let Some(code) = money::currency(&crate::tree::decode(tree.raw_text(place))) {
                self.text(Source::Text, weight, code, "text");
            }
        }
    }

    /// What buttons and short texts near the heading say of availability.
    fn buttons(&mut self) {
        let facts = self.facts;
        let tree = &facts.tree;
        let limit = facts.headings.main().map_or(0, |heading| heading.place);
        let mut tried = 0;
        for place in 1..tree.len() {
            let zones = facts.zones(place);
            if zones.has(Zones::INVISIBLE)
                || self.is_apart(zones, Zones::RELATED)
                || self.is_apart(zones, Zones::COMMENTS)
                || zones.has(Zones::HEAD)
            {
                continue;
            }
            if tree.is_text(place) {
                let raw = tree.raw_text(place).trim();
                if raw.len() < 3 || raw.len() > 60 {
                    continue;
                }
                tried += 1;
                if tried > MAX_SHORT_TEXTS {
                    break;
                }
                let text = crate::tree::decode(raw);
                let after = place >= limit;
                let near = self.closeness(place) * if after { 1.0 } else { 0.5 };
                if let Some(state) = availability::of_phrase(&text) {
                    let weight = if state == "OutOfStock" { 0.6 } else { 0.5 };
                    let hidden = if zones.has(Zones::HIDDEN) { 0.4 } else { 1.0 };
                    self.text(Source::Text, weight * near * hidden, state, "text");
                } else if availability::buys(&text) {
                    self.text(
                        Source::Attribute,
                        0.52 * near * self.zone_factor(place),
                        "InStock",
                        "button",
                    );
                }
            } else if matches!(tree.tag(place), Tag::Input | Tag::Button) {
                let value =
                    tree.attribute(place, "value").or_else(|| tree.attribute(place, "title"));
                if value.is_some_and(|value| availability::buys(&value)) {
                    self.text(Source::Attribute, 0.5 * self.closeness(place), "InStock", "button");
                }
            }
        }
        let has_cart = facts.tree.html_has_cart(|place| facts.zones(place).has(Zones::RELATED));
        if has_cart {
            self.text(Source::Attribute, 0.42, "InStock", "add-to-cart");
        }
        let best = facts
            .money
            .iter()
            .map(|place| self.zone_factor(*place) * self.closeness(*place))
            .fold(0.0, f64::max);
        let has_offer = facts.entities.main().is_some_and(|entity| {
            !facts.entities.at_path(&entity.properties, "offers.price").is_empty()
        });
        if best > 0.6 || has_offer {
            self.text(Source::Url, 0.31, "InStock", "price");
        }
    }

    /// Links with a relation such as `author`.
    fn linked(&mut self, relation: &str, weight: f64) {
        let tree = &self.facts.tree;
        for number in 0..self.facts.links.len() {
            let place = self.facts.links[number];
            let says = tree.raw_attribute(place, "rel").is_some_and(|rel| {
                rel.split_whitespace().any(|word| word.eq_ignore_ascii_case(relation))
            });
            if says {
                let text = tree.text(place, MAX_SHORT_BYTES);
                let weight = weight * self.zone_factor(place) * self.closeness(place);
                self.text(Source::Label, weight, &text, "a[rel=author]");
            }
        }
    }

    /// `tel:` and `mailto:` links.
    fn addressed(&mut self, scheme: &str) {
        let tree = &self.facts.tree;
        for number in 0..self.facts.links.len() {
            let place = self.facts.links[number];
            let Some(href) = tree.attribute(place, "href") else { continue };
            if let Some(address) = href.strip_prefix(scheme) {
                let address = address.split('?').next().unwrap_or_default().to_owned();
                let weight = 0.6 * self.zone_factor(place).max(0.6) * self.closeness(place);
                self.text(Source::Attribute, weight, &address, scheme);
            }
        }
    }

    /// `time` elements, the address, and short texts near the heading.
    fn dates(&mut self) {
        let facts = self.facts;
        let tree = &facts.tree;
        for number in 0..facts.times.len() {
            let place = facts.times[number];
            let class = tree.raw_attribute(place, "class").unwrap_or_default().to_lowercase();
            let around = tree.text(tree.parent(place), 60).to_lowercase();
            let is_update = class.contains("updated") && !class.contains("published")
                || class.contains("modified")
                || ["updated", "modified", "aktualisiert", "mis à jour", "actualizado"]
                    .iter()
                    .any(|word| around.starts_with(word));
            let published =
                if class.contains("publish") || tree.raw_attribute(place, "pubdate").is_some() {
                    1.2
                } else {
                    1.0
                };
            let update = if is_update { 0.4 } else { 1.0 };
            let weight = 0.6 * published * update * self.zone_factor(place) * self.closeness(place);
            match tree.attribute(place, "datetime").filter(|value| !value.trim().is_empty()) {
                Some(value) => {
                    self.value(Source::Label, weight, &Value::from(value), "time@datetime", true);
                }
                None => self.text(Source::Label, weight, &tree.text(place, 80), "time"),
            }
        }
        if let Some(date) = date_in_path(self.facts.address.path()) {
            self.text(Source::Url, 0.5, &date, "url");
        }
        let heading = facts.headings.main().map_or(0, |heading| heading.place);
        let from = heading.saturating_sub(60);
        for place in from..(heading + 400).min(tree.len()) {
            let raw = tree.raw_text(place).trim();
            let zones = facts.zones(place);
            let is_out = zones.has(Zones::INVISIBLE) || zones.has(Zones::HEAD);
            if is_out
                || raw.len() < 6
                || raw.len() > 120
                || !raw.bytes().any(|byte| byte.is_ascii_digit())
            {
                continue;
            }
            let text = crate::tree::decode(raw);
            let lower = text.to_lowercase();
            let is_update = [
                "updated",
                "modified",
                "aktualisiert",
                "mise à jour",
                "last edited",
                "©",
                "copyright",
            ]
            .iter()
            .any(|word| lower.contains(word));
            let short = if raw.len() <= 40 { 1.0 } else { 0.75 };
            let update = if is_update { 0.5 } else { 1.0 };
            let weight = 0.46 * short * update * self.zone_factor(place) * self.closeness(place);
            self.text(Source::Text, weight, &text, "text");
        }
    }

    /// A number at the end of the address is often the article's own.
    fn url_numbers(&mut self) {
        let address = self.facts.address.clone();
        let last = address.path().trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let last = last.split('.').next().unwrap_or_default();
        let is_code = |word: &&str| {
            word.len() >= 4
                && word.bytes().any(|byte| byte.is_ascii_digit())
                && word.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        let mut codes = last.split(['-', '_', ',']).filter(is_code);
        if let Some(number) = codes.next_back() {
            let is_long = number.len() >= 5 && number.bytes().all(|byte| byte.is_ascii_digit());
            let is_sole = last.ends_with(number) || codes.next().is_none() && number.len() >= 7;
            let weight = if is_long && is_sole { 0.45 } else { 0.25 };
            self.text(Source::Url, weight, number, "url");
        }
        let query = address.query_pairs().find(|(key, _)| {
            let key = key.to_lowercase();
            matches!(
                &*key,
                "id" | "pid" | "sku" | "productid" | "product_id" | "item" | "itemid" | "asin"
            )
        });
        if let Some((_, value)) = query {
            self.text(Source::Url, 0.29, &value, "url");
        }
    }

    /// The first long paragraph after the main heading.
    fn first_paragraph(&mut self) {
        let tree = &self.facts.tree;
        let from = self.facts.headings.main().map_or(1, |heading| heading.place);
        let paragraphs = (from..tree.len()).filter(|place| tree.tag(*place) == Tag::P).take(200);
        for place in paragraphs {
            let text = tree.text(place, MAX_LONG_BYTES);
            if text.len() >= 80 && self.zone_factor(place) > 0.9 {
                self.text(Source::Text, 0.35, &text, "p");
                return;
            }
        }
    }
}

/// A date in an address such as `/2024/03/12/` or `/20240312-a-title`.
fn date_in_path(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split(['/', '-', '_', '.']).collect();
    let apart = parts.windows(3).find_map(|window| {
        let [year, month, day] = [window[0], window[1], window[2]];
        let is_number = |text: &str, length: std::ops::RangeInclusive<usize>| {
            length.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        let fits = is_number(year, 4..=4)
            && (year.starts_with("19") || year.starts_with("20"))
            && is_number(month, 1..=2)
            && is_number(day, 1..=2);
        fits.then(|| format!("{year}-{month:0>2}-{day:0>2}"))
    });
    let is_one = |part: &&str| part.len() == 8 && part.bytes().all(|byte| byte.is_ascii_digit());
    let mut in_one = parts.iter().copied().filter(is_one).map(str::to_owned);
    apart.or_else(|| in_one.find(|part| part.starts_with("19") || part.starts_with("20")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_in_addresses_are_whole() {
        assert_eq!(date_in_path("/blog/2024/3/12/x").as_deref(), Some("2024-03-12"));
        assert_eq!(date_in_path("/2024-03-12-x").as_deref(), Some("2024-03-12"));
        assert_eq!(date_in_path("/a/20240312-x.html").as_deref(), Some("20240312"));
        assert_eq!(date_in_path("/2024/03/title-12345678"), None);
        assert_eq!(date_in_path("/5000/03/12"), None);
    }
}
