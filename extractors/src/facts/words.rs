//! The words of class names and ids, and which of them are wanted.

use rustc_hash::FxHashMap;

/// A wanted word, by number.
pub(crate) type Word = u16;

/// Words that say nothing about the value.
const NEUTRAL: &[&str] = &[
    "product",
    "current",
    "value",
    "text",
    "item",
    "main",
    "page",
    "block",
    "wrapper",
    "wrap",
    "box",
    "single",
    "summary",
    "detail",
    "details",
    "info",
    "the",
    "js",
    "c",
    "m",
    "u",
    "entry",
    "label",
    "amount",
    "final",
    "sale",
    "now",
    "pdp",
    "container",
    "content",
    "inner",
    "wp",
    "post",
    "field",
    "data",
    "t",
    "p",
    "l",
    "xs",
    "sm",
    "md",
    "lg",
    "xl",
    "col",
    "row",
    "bold",
    "body",
    "header",
    "area",
    "component",
    "span",
    "div",
    "el",
    "css",
    "large",
    "big",
    "primary",
    "display",
    "inline",
    "left",
    "right",
    "mt",
    "mb",
    "article",
    "view",
    "node",
    "name",
    "recipe",
    "font",
    "size",
    "color",
    "h",
    "h1",
    "h2",
    "clearfix",
    "itemprop",
    "test",
    "id",
    "fn",
    "vcard",
    "new",
    "meta",
];

/// Words of prices that are not the one to pay.
const OLD: &[&str] = &[
    "old",
    "was",
    "before",
    "list",
    "rrp",
    "msrp",
    "regular",
    "strike",
    "save",
    "saving",
    "savings",
    "shipping",
    "compare",
    "crossed",
    "from",
    "original",
    "discount",
    "strikethrough",
    "uvp",
    "statt",
    "ship",
    "delivery",
    "installment",
    "monthly",
    "month",
    "unit",
    "per",
    "base",
    "previous",
    "retail",
    "off",
    "reduced",
    "bonus",
    "points",
    "alt",
    "through",
    "cross",
    "min",
    "max",
    "range",
    "filter",
    "total",
    "subtotal",
    "tax",
    "credit",
];

/// The words that mark the fields of a schema.
#[derive(Debug, Default)]
pub(crate) struct Vocabulary {
    /// With their numbers; those that say nothing, unless they are wanted, have none.
    words: FxHashMap<String, Option<Word>>,
    /// The number of the next wanted word.
    next: Word,
    /// The words up to here are those of prices not to pay.
    olds: Word,
}

impl Vocabulary {
    pub(crate) fn new() -> Self {
        let words = NEUTRAL.iter().map(|word| ((*word).to_owned(), None)).collect();
        let mut vocabulary = Self { words, ..Self::default() };
        for word in OLD {
            vocabulary.word(word);
        }
        vocabulary.olds = OLD.len() as Word;
        vocabulary
    }

    /// The number of a word, new or known.
    pub(crate) fn word(&mut self, word: &str) -> Word {
        let known = self.words.entry(word.to_owned()).or_default();
        *known.get_or_insert_with(|| {
            self.next += 1;
            self.next - 1
        })
    }

    pub(crate) fn is_old(&self, word: Word) -> bool {
        word < self.olds
    }
}

/// What the words of an attribute come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Words {
    /// The wanted ones.
    pub(crate) wanted: Vec<Word>,
    /// How many others say something else.
    pub(crate) foreign: u8,
}

impl Words {
    pub(crate) fn add(&mut self, word: &str, vocabulary: &Vocabulary) {
        match vocabulary.words.get(word) {
            Some(Some(wanted)) if self.wanted.contains(wanted) => {}
            Some(Some(wanted)) => self.wanted.push(*wanted),
            Some(None) => {}
            None if word.bytes().all(|byte| byte.is_ascii_digit()) => {}
            None => self.foreign = self.foreign.saturating_add(1),
        }
    }

    /// How well they say one of these phrases: 1 if they say nothing else, 0 if they don't say it.
    pub(crate) fn fit(&self, phrases: &[Vec<Word>], vocabulary: &Vocabulary) -> Fit {
        let mut best = Fit::default();
        for phrase in phrases {
            if phrase.is_empty() || !phrase.iter().all(|word| self.wanted.contains(word)) {
                continue;
            }
            let others = self.wanted.iter().filter(|word| !phrase.contains(word));
            let is_old = others.clone().any(|word| vocabulary.is_old(*word));
            let foreign = f64::from(self.foreign) + 0.5 * others.count() as f64;
            let purity = 1.0 / (1.0 + 0.3 * foreign);
            if purity > best.purity {
                best = Fit { purity, is_old };
            }
        }
        best
    }
}

/// How well words say a phrase.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Fit {
    pub(crate) purity: f64,
    /// They also say that it is a price not to pay.
    pub(crate) is_old: bool,
}

/// Calls `each` for the words of a name, in lower case: `salePrice`, `sale_price` and `sale-price` are
/// `sale` and `price`.
pub(crate) fn each_word(name: &str, buffer: &mut String, mut each: impl FnMut(&str)) {
    buffer.clear();
    let mut was_lower = false;
    for c in name.chars() {
        let is_part = c.is_alphanumeric();
        if (!is_part || (was_lower && c.is_uppercase())) && !buffer.is_empty() {
            each(buffer);
            buffer.clear();
        }
        was_lower = c.is_lowercase() || c.is_numeric();
        if c.is_ascii() && is_part {
            buffer.push(c.to_ascii_lowercase());
        } else if is_part {
            buffer.extend(c.to_lowercase());
        }
    }
    if !buffer.is_empty() {
        each(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_fit_a_phrase_by_what_else_they_say() {
        let mut vocabulary = Vocabulary::new();
        let phrases = vec![vec![vocabulary.word("price")]];
        let fit = |class: &str| {
            let mut words = Words::default();
            each_word(class, &mut String::new(), |word| words.add(word, &vocabulary));
            words.fit(&phrases, &vocabulary)
        };
        assert_eq!(fit("product-price"), Fit { purity: 1.0, is_old: false });
        assert!(fit("lampPrice").purity < fit("price").purity);
        assert!(fit("old-price").is_old && !fit("price").is_old);
        assert!(fit("prices").purity < 0.1);
    }
}
