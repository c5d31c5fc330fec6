//! The text of an element while it streams by.

use crate::text::MAX_TEXT_BYTES;

/// The most matches of one selector that are kept.
pub(crate) const MAX_MATCHES: usize = 10_000;

/// The texts of the elements that a selector matched, in the order of their beginnings.
#[derive(Debug, Default)]
pub(crate) struct Captures {
    texts: Vec<String>,
    /// The elements that have not ended yet.
    open: Vec<usize>,
    ended: usize,
}

impl Captures {
    /// An element begins; `None` if there are too many already.
    pub(crate) fn begin(&mut self) -> Option<usize> {
        if self.texts.len() >= MAX_MATCHES {
            return None;
        }
        let place = self.texts.len();
        self.texts.push(String::new());
        self.open.push(place);
        Some(place)
    }

    /// An element ends.
    pub(crate) fn end(&mut self, place: usize) {
        self.open.retain(|open| *open != place);
        self.ended += 1;
    }

    /// Adds a whole value at once.
    pub(crate) fn add(&mut self, text: String) {
        if let Some(place) = self.begin() {
            self.texts[place] = text;
            self.end(place);
        }
    }

    /// Text of all elements that have not ended.
    pub(crate) fn push(&mut self, text: &str) {
        for &place in &self.open {
            let captured = &mut self.texts[place];
            if captured.len() + text.len() <= MAX_TEXT_BYTES {
                captured.push_str(text);
            }
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }

    /// How many elements have ended.
    pub(crate) fn ended(&self) -> usize {
        self.ended
    }

    pub(crate) fn texts(&self) -> &[String] {
        &self.texts
    }
}

/// Elements that stand apart from the text around them.
pub(crate) fn is_block(tag: &str) -> bool {
    matches!(
        tag,
        "address"
            | "article"
            | "aside"
            | "blockquote"
            | "br"
            | "dd"
            | "div"
            | "dl"
            | "dt"
            | "fieldset"
            | "figure"
            | "figcaption"
            | "footer"
            | "form"
            | "h1"
            | "h2"
            | "h3"
            | "h4"
            | "h5"
            | "h6"
            | "header"
            | "hr"
            | "li"
            | "main"
            | "nav"
            | "ol"
            | "option"
            | "p"
            | "pre"
            | "section"
            | "table"
            | "tbody"
            | "td"
            | "tfoot"
            | "th"
            | "thead"
            | "tr"
            | "ul"
    )
}

/// Elements that may end without an end tag, which only a tree knows how to tell.
pub(crate) fn may_end_silently(tag: &str) -> bool {
    matches!(
        tag,
        "p" | "li"
            | "dt"
            | "dd"
            | "td"
            | "th"
            | "tr"
            | "thead"
            | "tbody"
            | "tfoot"
            | "option"
            | "optgroup"
            | "body"
            | "html"
            | "head"
    )
}
