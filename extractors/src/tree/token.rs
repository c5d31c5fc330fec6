//! Tags, texts and what is to be passed over, in the order of the page.

use memchr::{memchr, memchr2, memmem};

use super::{MAX_ATTRIBUTE_BYTES, MAX_ATTRIBUTES, Tag};

/// A piece of a page.
#[derive(Debug, PartialEq)]
pub(super) enum Token<'a> {
    Text(&'a str),
    /// The attributes are in the reader's list.
    Start {
        name: &'a str,
        tag: Tag,
        closes_itself: bool,
    },
    End {
        name: &'a str,
        tag: Tag,
    },
}

/// Reads a page piece by piece.
#[derive(Debug)]
pub(super) struct Tokens<'a> {
    html: &'a str,
    at: usize,
    /// The element whose content is text up to its end tag.
    raw: Option<Tag>,
    /// The attributes of the last start tag.
    pub(super) attributes: Vec<(&'a str, &'a str)>,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(html: &'a str) -> Self {
        Self { html, at: 0, raw: None, attributes: Vec::new() }
    }

    pub(super) fn next(&mut self) -> Option<Token<'a>> {
        if let Some(tag) = self.raw.take() {
            let end = self.at + end_of_raw(&self.html[self.at..], tag);
            let text = &self.html[self.at..end];
            self.at = end;
            if !text.is_empty() {
                return Some(Token::Text(text));
            }
        }
        while self.at < self.html.len() {
            let rest = &self.html[self.at..];
            let open = next_markup(rest);
            if open > 0 {
                self.at += open;
                return Some(Token::Text(&rest[..open]));
            }
            if let Some(token) = self.markup(rest) {
                return Some(token);
            }
        }
        None
    }

    /// Reads what begins with `<`; `None` for what is passed over.
    fn markup(&mut self, rest: &'a str) -> Option<Token<'a>> {
        if let Some(comment) = rest.strip_prefix("<!--") {
            let end = memmem::find(comment.as_bytes(), b"-->").map(|end| end + "<!---->".len());
            self.at += end.unwrap_or(rest.len());
            return None;
        }
        let bytes = rest.as_bytes();
        match bytes[1] {
            b'/' if bytes.get(2).is_some_and(u8::is_ascii_alphabetic) => {
                let name = name_at(&rest[2..]);
                self.at += end_of_tag(bytes, 2 + name.len());
                Some(Token::End { name, tag: Tag::of(name) })
            }
            b'/' | b'!' | b'?' => {
                self.at += memchr(b'>', bytes).map_or(bytes.len(), |end| end + 1);
                None
            }
            _ => self.start_tag(rest),
        }
    }

    /// A tag that has no end is none.
    fn start_tag(&mut self, rest: &'a str) -> Option<Token<'a>> {
        let name = name_at(&rest[1..]);
        let tag = Tag::of(name);
        self.attributes.clear();
        let mut at = 1 + name.len();
        let bytes = rest.as_bytes();
        loop {
            at += bytes[at..].iter().take_while(|b| b.is_ascii_whitespace() || **b == b'/').count();
            match bytes.get(at) {
                None => {
                    self.at = self.html.len();
                    return None;
                }
                Some(b'>') => break,
                Some(_) => at = self.attribute(rest, at),
            }
        }
        self.at += at + 1;
        let closes_itself = bytes[at - 1] == b'/';
        self.raw = tag.is_raw().then_some(tag);
        Some(Token::Start { name, tag, closes_itself })
    }

    /// Reads an attribute and returns where it ends, which is further on.
    fn attribute(&mut self, rest: &'a str, start: usize) -> usize {
        let bytes = rest.as_bytes();
        let is_end = |b: &u8| b.is_ascii_whitespace() || matches!(b, b'/' | b'>' | b'=');
        // A name may begin with `=`, but not be empty.
        let length = bytes[start + 1..].iter().position(is_end);
        let name_end = length.map_or(bytes.len(), |length| start + 1 + length);
        let space = bytes[name_end..].iter().take_while(|b| b.is_ascii_whitespace()).count();
        let mut at = name_end + space;
        if bytes.get(at) != Some(&b'=') {
            self.keep(&rest[start..name_end], "");
            return name_end;
        }
        at += 1;
        at += bytes[at..].iter().take_while(|b| b.is_ascii_whitespace()).count();
        let (value, end) = if let Some(&quote @ (b'"' | b'\'')) = bytes.get(at) {
            let length = memchr(quote, &bytes[at + 1..]);
            let end = length.map_or(bytes.len(), |length| at + 1 + length);
            (&rest[at + 1..end], (end + 1).min(bytes.len()))
        } else {
            let is_end = |b: &u8| b.is_ascii_whitespace() || *b == b'>';
            let length = bytes[at..].iter().position(is_end);
            let end = length.map_or(bytes.len(), |length| at + length);
            (&rest[at..end], end)
        };
        self.keep(&rest[start..name_end], value);
        end
    }

    fn keep(&mut self, name: &'a str, value: &'a str) {
        let fits = name.len() + value.len() <= MAX_ATTRIBUTE_BYTES;
        if fits && self.attributes.len() < MAX_ATTRIBUTES {
            self.attributes.push((name, value));
        }
    }
}

/// Where the next tag, comment or the like begins; at least 1 unless it is here.
fn next_markup(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let mut from = 0;
    while let Some(found) = memchr(b'<', &bytes[from..]) {
        let open = from + found;
        let next = bytes.get(open + 1).copied().unwrap_or(b' ');
        if next.is_ascii_alphabetic() || matches!(next, b'/' | b'!' | b'?') {
            return open;
        }
        from = open + 1;
    }
    rest.len()
}

fn name_at(text: &str) -> &str {
    let is_end = |b: &u8| b.is_ascii_whitespace() || matches!(b, b'/' | b'>');
    let end = text.as_bytes().iter().position(is_end);
    &text[..end.unwrap_or(text.len())]
}

/// Where a tag ends that has no attributes of interest.
fn end_of_tag(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(found) = memchr2(b'>', b'"', &bytes[at..]) {
        at += found;
        if bytes[at] == b'>' {
            return at + 1;
        }
        match memchr(b'"', &bytes[at + 1..]) {
            Some(length) => at += length + 2,
            None => break,
        }
    }
    bytes.len()
}

/// How long the text is up to the end tag of its element.
fn end_of_raw(text: &str, tag: Tag) -> usize {
    let bytes = text.as_bytes();
    if tag == Tag::Plaintext {
        return bytes.len();
    }
    let mut ends = memmem::find_iter(bytes, "</");
    let closes = |end: &usize| Tag::of(name_at(&text[end + 2..])) == tag;
    ends.find(closes).unwrap_or(bytes.len())
}
