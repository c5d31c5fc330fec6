//! Text as a person reads it.

use std::borrow::Cow;

/// The longest text of a field, in bytes; what is beyond it is cut off.
pub(crate) const MAX_TEXT_BYTES: usize = 1024 * 1024;

/// Decodes entities, drops tags, and makes one space of any white space.
pub(crate) fn clean(markup: &str) -> String {
    let markup = cut(markup, MAX_TEXT_BYTES);
    let decoded = if markup.contains('&') { htmlize::unescape(markup) } else { markup.into() };
    collapse(&without_tags(&decoded))
}

/// Makes one space of any white space and drops it at both ends.
pub(crate) fn collapse(text: &str) -> String {
    let mut collapsed = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !collapsed.is_empty() {
            collapsed.push(' ');
        }
        collapsed.push_str(word);
    }
    collapsed
}

/// Text that is gathered piece by piece, white space collapsed.
#[derive(Debug)]
pub(crate) struct Collapsed {
    text: String,
    most: usize,
    space_is_due: bool,
}

impl Collapsed {
    /// At most so many bytes, and the rest of the piece that passes them.
    pub(crate) fn new(most: usize) -> Self {
        Self { text: String::new(), most, space_is_due: false }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.text.len() >= self.most
    }

    /// White space, whatever comes next.
    pub(crate) fn space(&mut self) {
        self.space_is_due = true;
    }

    pub(crate) fn push(&mut self, piece: &str) {
        self.space_is_due |= piece.starts_with(char::is_whitespace);
        for word in piece.split_whitespace() {
            if self.is_full() {
                return;
            }
            if self.space_is_due && !self.text.is_empty() {
                self.text.push(' ');
            }
            self.text.push_str(word);
            self.space_is_due = true;
        }
        let ends_open = !piece.is_empty() && !piece.ends_with(char::is_whitespace);
        self.space_is_due &= !ends_open;
    }

    pub(crate) fn into_string(self) -> String {
        self.text
    }
}

/// At most `most` bytes from the beginning, whole characters.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// Makes a space of whatever looks like a tag, as some sites put HTML into their structured data.
fn without_tags(text: &str) -> Cow<'_, str> {
    if !text.contains('<') {
        return text.into();
    }
    let mut rest = text;
    let mut plain = String::with_capacity(text.len());
    while let Some(open) = rest.find('<') {
        plain.push_str(&rest[..open]);
        let tag = &rest[open..];
        let is_tag =
            tag[1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '!');
        if !is_tag {
            plain.push('<');
            rest = &tag[1..];
            continue;
        }
        // Without an end here there is none further on either, and nothing more to look for.
        let Some(close) = tag.find('>') else {
            rest = tag;
            break;
        };
        plain.push(' ');
        rest = &tag[close + 1..];
    }
    plain.push_str(rest);
    plain.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_what_a_person_reads() {
        for (markup, text) in [
            ("  a\n\t b ", "a b"),
            ("Caf&eacute; &amp; Bar&nbsp;1", "Café & Bar 1"),
            ("<p>one</p><p>two</p>", "one two"),
            ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
            ("broken <", "broken <"),
            ("", ""),
        ] {
            assert_eq!(clean(markup), text, "{markup}");
        }
        assert_eq!(cut("aé", 2), "a");
    }
}
