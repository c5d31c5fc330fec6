//! From what a page says to the field's value, by type and by what the field means.

use harvestman_engine::Kind;
use serde_json::{Map, Value};
use url::Url;

use super::availability;
use crate::{
    coerce::{Coercer, duration, is_number, number, reading::Reading},
    concept::Rule,
    money,
    text::{clean, collapse},
};

/// The longest name of a person, brand or the like, in bytes.
const MAX_SHORT_BYTES: usize = 160;

/// Makes values of what one page says for one field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Normal<'a> {
    pub(crate) rule: Rule,
    pub(crate) base: &'a Url,
    pub(crate) reading: &'a Reading,
    /// `3/4/2024` is the fourth of March, unless the reading says otherwise.
    pub(crate) month_first: bool,
}

impl Normal<'_> {
    /// A value of the type, or why it is none.
    pub(crate) fn value(self, raw: &Value, kind: &Kind, is_machine: bool) -> Result<Value, String> {
        match kind {
            Kind::Any if !raw.is_string() => return Ok(raw.clone()),
            Kind::Array(element) => {
                return self.value(raw, element, is_machine).map(|value| Value::Array(vec![value]));
            }
            _ => {}
        }
        match raw {
            Value::Null => Err("there is no value".to_owned()),
            Value::String(text) => self.text(text, kind, is_machine),
            Value::Number(_) | Value::Bool(_) => self.scalar(raw, kind),
            Value::Array(values) => {
                let mut results = values.iter().map(|value| self.value(value, kind, is_machine));
                let first = results.next().unwrap_or_else(|| Err("there is no value".to_owned()));
                first.or_else(|failure| results.find_map(Result::ok).ok_or(failure))
            }
            Value::Object(object) => self.entity(object, kind),
        }
    }

    fn scalar(self, raw: &Value, kind: &Kind) -> Result<Value, String> {
        match (raw, kind) {
            (Value::Number(number), Kind::Integer) if number.is_i64() => Ok(raw.clone()),
            (Value::Number(number), Kind::Number)
                if self.rule != Rule::Price && self.reading.unit.is_none() =>
            {
                let number = number.as_f64().filter(|number| number.is_finite());
                let value = number.and_then(|number| number::value(number, kind));
                value.ok_or_else(|| "it is too large".to_owned())
            }
            (Value::Bool(_), Kind::Boolean) => Ok(raw.clone()),
            (Value::Bool(is_there), _) if self.rule == Rule::Availability => {
                self.text(if *is_there { "InStock" } else { "OutOfStock" }, kind, true)
            }
            (Value::Bool(_), Kind::String) if self.rule != Rule::Text => {
                Err("it is no text".to_owned())
            }
            _ => self.text(&raw.to_string(), kind, true),
        }
    }

    fn entity(self, entity: &Map<String, Value>, kind: &Kind) -> Result<Value, String> {
        if matches!(self.rule, Rule::Address | Rule::Text)
            && matches!(kind, Kind::String)
            && let Some(address) = address(entity)
        {
            return Ok(Value::String(address));
        }
        let keys: &[&str] = match (kind, self.rule) {
            (Kind::Url, _) | (_, Rule::Url | Rule::Image | Rule::Website) => {
                &["url", "@id", "contentUrl", "@value", "thumbnailUrl"]
            }
            (kind, _) if is_number(kind) => &["value", "@value", "price", "ratingValue", "name"],
            _ => &["name", "@value", "value", "text", "headline", "alternateName", "url", "@id"],
        };
        let mut failure = None;
        for key in keys {
            let Some(value) = entity.get(*key).filter(|value| !value.is_object()) else { continue };
            match self.value(value, kind, true) {
                Ok(value) => return Ok(value),
                Err(message) => failure = failure.or(Some(message)),
            }
        }
        Err(failure.unwrap_or_else(|| "there is no value".to_owned()))
    }

    fn text(self, text: &str, kind: &Kind, is_machine: bool) -> Result<Value, String> {
        let text = clean(text);
        let coercer = self.coercer();
        match (kind, self.rule) {
            (Kind::String, _) => self.string(&text).map(Value::String),
            (kind, Rule::Duration)
                if is_number(kind)
                    && self.reading.unit.is_none()
                    && !text.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                let minutes =
                    duration::minutes(&text).ok_or_else(|| format!("{text:?} is no duration"))?;
                number::value(minutes, kind)
                    .ok_or_else(|| format!("{text:?} is no whole number of minutes"))
            }
            (kind, Rule::Price | Rule::OldPrice) if is_number(kind) => {
                let value = coercer.number(&text, kind, is_machine)?;
                // A shop's program writes 0 for a price that it doesn't tell.
                let least = if is_machine { f64::MIN_POSITIVE } else { 0.0 };
                let is_price = value.as_f64().is_some_and(|price| (least..1e9).contains(&price));
                let is_sole = is_machine || is_price_text(&text);
                if is_price && is_sole { Ok(value) } else { Err(format!("{text:?} is no price")) }
            }
            (kind, Rule::Rating) if is_number(kind) => {
                let value = coercer.number(&text, kind, is_machine)?;
                let fits = value.as_f64().is_some_and(|rating| (0.0..=100.0).contains(&rating));
                if fits { Ok(value) } else { Err(format!("{text:?} is no rating")) }
            }
            (Kind::Boolean, Rule::Availability) => {
                let state = availability::of_text(&text)
                    .ok_or_else(|| format!("{text:?} is not a boolean"))?;
                Ok(Value::Bool(availability::is_there(state)))
            }
            (Kind::Enum(_), Rule::Availability) => {
                let state = availability::of_text(&text).unwrap_or(&text);
                coercer.plain_text(state, kind).or_else(|_| coercer.plain_text(&text, kind))
            }
            (Kind::Date, _) => {
                self.date(&text).map(Value::String).ok_or_else(|| format!("{text:?} is not a date"))
            }
            (Kind::DateTime, _) => {
                let moment = coercer.datetime(&text);
                let moment = moment.or_else(|| coercer.datetime(&self.date(&text)?));
                moment.map(Value::String).ok_or_else(|| format!("{text:?} is not a datetime"))
            }
            _ if is_machine => coercer.machine_text(&text, kind),
            _ => coercer.plain_text(&text, kind),
        }
    }

    fn coercer(&self) -> Coercer<'_> {
        Coercer { base: self.base, reading: self.reading }
    }

    fn date(self, text: &str) -> Option<String> {
        self.coercer().date(text, self.month_first)
    }

    /// A string, in the form that its meaning asks for.
    fn string(self, text: &str) -> Result<String, String> {
        let text = collapse(text);
        let short = || (text.len() <= MAX_SHORT_BYTES).then_some(&text);
        let found = match self.rule {
            Rule::Currency => money::code(&text),
            Rule::Availability => availability::of_text(&text).map(str::to_owned),
            Rule::Identifier => short().and_then(|text| identifier(text)),
            Rule::Gtin => digits(&text).filter(|digits| is_gtin(digits)),
            Rule::Isbn => isbn(&text),
            Rule::Brand => short().and_then(|text| brand(text)),
            Rule::Person => short().and_then(|text| person(text)),
            Rule::Date | Rule::Modified => {
                let is_year = text.len() == 4 && ("1000".."2200").contains(&text.as_str());
                (is_year || self.date(&text).is_some()).then(|| text.clone())
            }
            Rule::Image | Rule::Url | Rule::Website => {
                let url = self
                    .base
                    .join(&text)
                    .ok()
                    .filter(|url| matches!(url.scheme(), "http" | "https"));
                let looks = text.contains('/') || text.contains('.') && !text.contains(' ');
                url.filter(|_| looks && !text.contains(' ')).map(|_| text.clone())
            }
            Rule::Language => short().map(|text| text.replace('_', "-")),
            Rule::Phone => short().filter(|text| is_phone(text)).cloned(),
            Rule::Email => short()
                .map(|text| text.trim_start_matches("mailto:").to_owned())
                .filter(|text| text.contains('@') && !text.contains(' ')),
            Rule::Price | Rule::OldPrice | Rule::Rating | Rule::Count => {
                short().filter(|text| text.chars().any(char::is_numeric)).cloned()
            }
            _ => Some(text.clone()),
        };
        let found = found.map(|text| crate::coerce::schema_org_tail(&text).to_owned());
        found
            .filter(|text| !text.is_empty())
            .ok_or_else(|| format!("{:?} is not what is meant", crate::text::cut(&text, 80)))
    }

    /// Whether several values make one text.
    pub(crate) fn joins(self) -> bool {
        matches!(self.rule, Rule::Person | Rule::Tags)
    }

    /// The parts of a value that is a list in one text.
    pub(crate) fn parts(self, value: &Value) -> Vec<Value> {
        let Value::String(text) = value else { return vec![value.clone()] };
        if self.rule == Rule::Tags
            && text.contains(',')
            && !text.contains('\n')
            && text.len() < 2_000
        {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            let parts: Vec<_> = parts.map(Value::from).collect();
            let is_list =
                parts.iter().all(|part| part.as_str().is_some_and(|part| part.len() <= 40));
            if is_list && !parts.is_empty() {
                return parts;
            }
        }
        vec![value.clone()]
    }
}

/// The parts of a postal address in the usual order.
fn address(entity: &Map<String, Value>) -> Option<String> {
    let keys =
        ["streetAddress", "addressLocality", "addressRegion", "postalCode", "addressCountry"];
    let part = |key: &&str| match entity.get(*key)? {
        Value::String(text) => Some(collapse(text)),
        Value::Object(inner) => inner.get("name")?.as_str().map(collapse),
        _ => None,
    };
    let parts: Vec<String> = keys.iter().filter_map(part).filter(|part| !part.is_empty()).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// A price and little else: not a phrase with a number in it, not a percentage.
fn is_price_text(text: &str) -> bool {
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    text.len() <= 80 && letters <= 24 && !text.trim_end().ends_with('%')
}

/// An article number: has a digit or is one word in capitals; at most three words.
fn identifier(text: &str) -> Option<String> {
    let text = text.rsplit_once([':', '：']).map_or(text, |(label, value)| {
        let is_label = label.len() <= 24 && !label.chars().any(|c| c.is_ascii_digit());
        if is_label { value } else { text }
    });
    let text = text.trim().trim_start_matches(['#', '№']).trim();
    let text = without_words(text);
    let words = text.split_whitespace().count();
    let has_digit = text.chars().any(|c| c.is_ascii_digit());
    let is_code = words == 1 && text.chars().all(|c| !c.is_lowercase());
    ((has_digit && words <= 3 || is_code) && text.len() >= 2 && text.len() <= 64)
        .then(|| text.to_owned())
}

/// Whether a word of several is one that people say, as in `LAMP 7-B`.
pub(crate) fn has_words(text: &str) -> bool {
    let is_word = |word: &str| word.len() >= 4 && word.chars().all(char::is_alphabetic);
    text.contains(' ') && text.split_whitespace().any(is_word)
}

/// What is left from the first word on that has a digit or is in capitals.
fn without_words(text: &str) -> &str {
    let mut rest = text;
    while let Some((word, after)) = rest.split_once(char::is_whitespace) {
        let is_code = word.chars().any(|c| c.is_ascii_digit())
            || word.chars().all(char::is_uppercase) && !word.is_empty();
        if is_code {
            return rest;
        }
        rest = after.trim_start();
    }
    rest
}

fn digits(text: &str) -> Option<String> {
    let is_plain = text.chars().all(|c| c.is_ascii_digit() || matches!(c, ' ' | '-'));
    let number = if is_plain {
        text
    } else {
        let mut words = text.split_whitespace().map(|word| word.trim_matches(['.', ',', ';']));
        words.find(|word| word.len() >= 8 && word.bytes().all(|byte| byte.is_ascii_digit()))?
    };
    Some(number.chars().filter(char::is_ascii_digit).collect())
}

/// 8, 12, 13 or 14 digits, the last of which is right.
fn is_gtin(digits: &str) -> bool {
    if !matches!(digits.len(), 8 | 12 | 13 | 14) {
        return false;
    }
    let weighted = digits.bytes().rev().enumerate().map(|(place, digit)| {
        let weight = if place % 2 == 0 { 1 } else { 3 };
        u32::from(digit - b'0') * weight
    });
    weighted.sum::<u32>() % 10 == 0
}

/// Ten or thirteen characters, hyphens as they are.
fn isbn(text: &str) -> Option<String> {
    text.split_whitespace().find_map(|word| {
        let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let plain: String = word.chars().filter(|c| *c != '-').collect();
        let is_ten = plain.len() == 10 && plain.bytes().take(9).all(|byte| byte.is_ascii_digit());
        let is_thirteen = plain.len() == 13
            && plain.starts_with("97")
            && plain.bytes().all(|byte| byte.is_ascii_digit());
        (is_ten || is_thirteen).then(|| word.to_owned())
    })
}

fn brand(text: &str) -> Option<String> {
    let text = match text.rsplit_once(':') {
        Some((label, value)) if !value.starts_with("//") && label.len() < 40 => value.trim(),
        _ => text,
    };
    let text = ["visit the ", "by ", "brand "].iter().fold(text, |text, start| {
        let head = text.get(..start.len()).filter(|head| head.eq_ignore_ascii_case(start));
        if head.is_some() { text[start.len()..].trim() } else { text }
    });
    let text = text.strip_suffix(" Store").unwrap_or(text);
    let is_name = text.split_whitespace().count() <= 6
        && text.chars().any(char::is_alphabetic)
        && !text.contains("://");
    is_name.then(|| text.to_owned())
}

/// Words before the name of a person.
const BEFORE_PERSON: &[&str] = &[
    "written by",
    "posted by",
    "published by",
    "story by",
    "words by",
    "recipe by",
    "reported by",
    "submitted by",
    "eingestellt von",
    "gepostet von",
    "veröffentlicht von",
    "publié par",
    "écrit par",
    "pubblicato da",
    "scritto da",
    "geschreven door",
    "skrevet av",
    "skriven av",
    "by",
    "von",
    "par",
    "por",
    "door",
    "di",
    "av",
    "af",
    "autor",
    "author",
    "auteur",
    "text",
    "geschrieben von",
    "publicado por",
    "escrito por",
    "автор",
    "verfasst von",
    "beitrag von",
    "od",
];
/// What follows the name of a person.
const AFTER_PERSON: &[&str] = &[
    " | ",
    " • ",
    " · ",
    " – ",
    " — ",
    " - ",
    " on ",
    " am ",
    " published",
    " updated",
    " posted",
    " date:",
    " datum",
    " veröffentlicht",
    " aktualisiert",
    " in ",
    " at ",
    ", updated",
    ", published",
    " follow",
    "\u{a0}|",
];

/// The name of a person without what stands around it.
fn person(text: &str) -> Option<String> {
    let mut name = text.trim();
    for _ in 0..2 {
        for before in BEFORE_PERSON {
            let head = name.get(..before.len()).filter(|head| head.to_lowercase() == **before);
            let rest = head.map(|_| &name[before.len()..]);
            if let Some(rest) = rest.filter(|rest| rest.starts_with([' ', ':', '\u{a0}'])) {
                name = rest.trim_start_matches([':', ' ', '\u{a0}']);
                break;
            }
        }
    }
    let lower = name.to_lowercase();
    let is_same_length = lower.len() == name.len();
    let cuts = AFTER_PERSON.iter().filter_map(|after| lower.find(after)).filter(|_| is_same_length);
    let cut = cuts.filter(|cut| *cut > 0).min().unwrap_or(name.len());
    let name = name[..cut]
        .trim_end_matches([',', ' ', '|', '-', ':', '.'])
        .trim_start_matches(['-', '–', '|', ' ', ',']);
    let has_date = name.chars().filter(char::is_ascii_digit).count() > 3;
    let words = name.split_whitespace().count();
    let is_name = name.chars().any(char::is_alphabetic)
        && (1..=24).contains(&words)
        && !has_date
        && !name.contains("://")
        && !name.starts_with('@')
        && !name.starts_with("www.");
    let is_nobody = matches!(
        name.to_lowercase().as_str(),
        "admin"
            | "administrator"
            | "author"
            | "null"
            | "none"
            | "unknown"
            | "undefined"
            | "comments"
            | "share"
    );
    (is_name && !is_nobody).then(|| name.to_owned())
}

fn is_phone(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let letters = text.chars().filter(|c| c.is_alphabetic()).count();
    (7..=17).contains(&digits) && letters <= 6
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::coerce::reading::PLAIN;

    fn string(rule: Rule, text: &str) -> String {
        let base = Url::parse("https://a.test/").unwrap();
        let normal = Normal { rule, base: &base, reading: &PLAIN, month_first: false };
        normal
            .value(&json!(text), &Kind::String, false)
            .map_or_else(|_| "!".to_owned(), |value| value.as_str().unwrap().to_owned())
    }

    #[test]
    fn strings_take_the_form_of_their_meaning() {
        for (rule, text, expected) in [
            (Rule::Person, "Written by Ann Lee | 4 March 2020", "Ann Lee"),
            (Rule::Person, "By: Ann Lee, Published Monday", "Ann Lee"),
            (Rule::Person, "https://a.test/ann", "!"),
            (Rule::Person, "admin", "!"),
            (Rule::Person, "Eingestellt von Unknown", "!"),
            (Rule::Identifier, "SKU: AB-12", "AB-12"),
            (Rule::Identifier, "see the table", "!"),
            (Rule::Identifier, "Item # 418295", "418295"),
            (Rule::Identifier, "AB 12", "AB 12"),
            (Rule::Gtin, "EAN 4006381333931", "4006381333931"),
            (Rule::Gtin, "4006381333932", "!"),
            (Rule::Gtin, "EAN: 4006381333931.", "4006381333931"),
            (Rule::Isbn, "ISBN 978-3-16-148410-0", "978-3-16-148410-0"),
            (Rule::Brand, "Visit the Acme Store", "Acme"),
            (Rule::Brand, "More of the brand: Acme", "Acme"),
            (Rule::Currency, "€", "EUR"),
            (Rule::Availability, "https://schema.org/InStock", "InStock"),
            (Rule::Phone, "Tel. 030 1234567", "Tel. 030 1234567"),
            (Rule::Phone, "24 hours a day", "!"),
            (Rule::Language, "de_DE", "de-DE"),
        ] {
            assert_eq!(string(rule, text), expected, "{rule:?} {text}");
        }
    }
}
