//! Finds the encoding that a page names in its first bytes, as the HTML standard's "prescan" does.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, X_USER_DEFINED};

/// How far into the page is looked.
const PRESCANNED_BYTES: usize = 1024;

/// The encoding of a `<meta>`, else of an XML declaration.
pub(crate) fn encoding(page: &[u8]) -> Option<&'static Encoding> {
    let head = &page[..page.len().min(PRESCANNED_BYTES)];
    meta_encoding(head).or_else(|| xml_encoding(head))
}

fn meta_encoding(head: &[u8]) -> Option<&'static Encoding> {
    let mut cursor = Cursor { rest: head };
    while let Some(first) = cursor.find(b'<') {
        cursor.rest = first;
        if cursor.skip_comment() {
            continue;
        }
        cursor.rest = &first[1..];
        match cursor.tag() {
            Tag::Meta => {
                if let Some(found) = Meta::read(&mut cursor).encoding() {
                    return Some(found);
                }
            }
            Tag::Other => while cursor.attribute().is_some() {},
            Tag::Declaration => cursor.rest = cursor.find(b'>').unwrap_or_default(),
            Tag::Text => {}
        }
    }
    None
}

/// `<?xml … encoding="…"?>`
fn xml_encoding(head: &[u8]) -> Option<&'static Encoding> {
    let declaration = head.strip_prefix(b"<?xml")?;
    let end = declaration.iter().position(|byte| *byte == b'>')?;
    let declaration = &declaration[..end];
    let at = declaration.windows(8).position(|window| window == b"encoding")?;
    let value = declaration[at + 8..].trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let (quote, value) = value.split_first().filter(|(quote, _)| matches!(quote, b'"' | b'\''))?;
    for_label(value.split(|byte| byte == quote).next()?)
}

/// A page that can be scanned as ASCII is not UTF-16, whatever it says.
fn for_label(label: &[u8]) -> Option<&'static Encoding> {
    let encoding = Encoding::for_label(label)?;
    Some(if encoding == UTF_16BE || encoding == UTF_16LE {
        UTF_8
    } else if encoding == X_USER_DEFINED {
        WINDOWS_1252
    } else {
        encoding
    })
}

/// What stands behind a `<`.
enum Tag {
    Meta,
    /// Another start or end tag.
    Other,
    /// `<!…`, `<?…` or `</` without a name.
    Declaration,
    Text,
}

/// What a `<meta>` says.
#[derive(Default)]
struct Meta {
    charset: Option<&'static Encoding>,
    content: Option<&'static Encoding>,
    is_pragma: bool,
}

impl Meta {
    fn read(cursor: &mut Cursor<'_>) -> Self {
        let mut meta = Self::default();
        let (mut has_charset, mut has_content, mut has_pragma) = (false, false, false);
        while let Some((name, value)) = cursor.attribute() {
            // The first attribute of a name counts.
            if name.eq_ignore_ascii_case(b"charset") && !has_charset {
                has_charset = true;
                meta.charset = for_label(value);
            } else if name.eq_ignore_ascii_case(b"content") && !has_content {
                has_content = true;
                meta.content = charset_of_content(value);
            } else if name.eq_ignore_ascii_case(b"http-equiv") && !has_pragma {
                has_pragma = true;
                meta.is_pragma = value.eq_ignore_ascii_case(b"content-type");
            }
        }
        meta
    }

    fn encoding(&self) -> Option<&'static Encoding> {
        self.charset.or(self.content.filter(|_| self.is_pragma))
    }
}

/// The charset in the `content` of a `<meta http-equiv>`.
fn charset_of_content(content: &[u8]) -> Option<&'static Encoding> {
    let mut rest = content;
    loop {
        let at = rest.windows(7).position(|window| window.eq_ignore_ascii_case(b"charset"))?;
        rest = rest[at + 7..].trim_ascii_start();
        if let Some(value) = rest.strip_prefix(b"=") {
            return for_label(unquoted(value.trim_ascii_start())?);
        }
    }
}

/// A value in quotes, or up to a space or semicolon; a quote without its end is no value.
fn unquoted(value: &[u8]) -> Option<&[u8]> {
    match value.split_first()? {
        (quote @ (b'"' | b'\''), rest) => {
            rest.iter().position(|byte| byte == quote).map(|end| &rest[..end])
        }
        _ => value.split(|byte| byte.is_ascii_whitespace() || *byte == b';').next(),
    }
}

/// What is left of the page's head.
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// The rest from the next `wanted` on.
    fn find(&self, wanted: u8) -> Option<&'a [u8]> {
        self.rest.iter().position(|byte| *byte == wanted).map(|at| &self.rest[at..])
    }

    /// Skips bytes while `is_skipped`.
    fn skip(&mut self, is_skipped: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|byte| !is_skipped(*byte)).unwrap_or(self.rest.len());
        let (skipped, rest) = self.rest.split_at(end);
        self.rest = rest;
        skipped
    }

    /// Skips `<!-- … -->`, whose end may share its dashes with the beginning.
    fn skip_comment(&mut self) -> bool {
        let Some(comment) = self.rest.strip_prefix(b"<!") else { return false };
        if !comment.starts_with(b"--") {
            return false;
        }
        let end = comment.windows(3).position(|window| window == b"-->");
        self.rest = end.map_or(&[], |end| &comment[end + 3..]);
        true
    }

    /// Reads a tag's name behind its `<`.
    fn tag(&mut self) -> Tag {
        let is_end_of_name = |byte: u8| byte.is_ascii_whitespace() || byte == b'/';
        if let Some((name, rest)) = self.rest.split_at_checked(4)
            && name.eq_ignore_ascii_case(b"meta")
            && rest.first().is_some_and(|byte| is_end_of_name(*byte))
        {
            self.rest = rest;
            return Tag::Meta;
        }
        let name = self.rest.strip_prefix(b"/").unwrap_or(self.rest);
        match (name.first(), self.rest.first()) {
            (Some(first), _) if first.is_ascii_alphabetic() => {
                self.skip(|byte| !byte.is_ascii_whitespace() && byte != b'>');
                Tag::Other
            }
            (_, Some(b'!' | b'/' | b'?')) => Tag::Declaration,
            _ => Tag::Text,
        }
    }

    /// Reads the next attribute of a tag; `None` at the tag's end, which stays.
    fn attribute(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        self.skip(|byte| byte.is_ascii_whitespace() || byte == b'/');
        if matches!(self.rest.first(), None | Some(b'>')) {
            return None;
        }
        let before = self.rest;
        // A `=` at the beginning is a part of the name.
        self.rest = &self.rest[1..];
        self.skip(|byte| !byte.is_ascii_whitespace() && !matches!(byte, b'/' | b'>' | b'='));
        let name = &before[..before.len() - self.rest.len()];
        self.skip(|byte| byte.is_ascii_whitespace());
        match self.rest.strip_prefix(b"=") {
            Some(rest) => {
                self.rest = rest;
                self.skip(|byte| byte.is_ascii_whitespace());
                self.value().map(|value| (name, value))
            }
            None => Some((name, b"")),
        }
    }

    /// Reads an attribute's value; `None` if the head ends within.
    fn value(&mut self) -> Option<&'a [u8]> {
        match self.rest.split_first()? {
            (quote @ (b'"' | b'\''), rest) => {
                let end = rest.iter().position(|byte| byte == quote);
                let Some(end) = end else {
                    self.rest = &[];
                    return None;
                };
                self.rest = &rest[end + 1..];
                Some(&rest[..end])
            }
            _ => Some(self.skip(|byte| !byte.is_ascii_whitespace() && byte != b'>')),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(page: &str) -> Option<&'static str> {
        encoding(page.as_bytes()).map(Encoding::name)
    }

    #[test]
    fn a_page_names_its_encoding_in_many_ways() {
        let equiv = |attributes: &str| format!("<meta http-equiv=content-type {attributes}>");
        for (page, found) in [
            ("<meta charset=sjis>", Some("Shift_JIS")),
            ("<META CHARSET = 'EUC-KR' >", Some("EUC-KR")),
            ("<meta/charset=\"koi8-r\"/>", Some("KOI8-R")),
            ("<!doctype html><html lang=\"a>b\"><head><meta charset=big5>", Some("Big5")),
            ("<meta name=a content=b><meta charset=gbk>", Some("GBK")),
            ("<meta charset=nope><meta charset=gbk>", Some("GBK")),
            ("<meta charset=gbk charset=big5>", Some("GBK")),
            ("<meta charset=utf-16>", Some("UTF-8")),
            ("<meta charset=utf-16be>", Some("UTF-8")),
            ("<meta charset=x-user-defined>", Some("windows-1252")),
            (&equiv("content='text/html; charset=gbk'"), Some("GBK")),
            (&equiv("content=\"charset; charset = 'gbk'\""), Some("GBK")),
            (&equiv("content='text/html;charset=gbk;x'"), Some("GBK")),
            (&equiv("content='text/html;charset=\"gbk'"), None),
            ("<meta content='charset=gbk'>", None),
            ("<meta http-equiv=refresh content='charset=gbk'>", None),
            ("<!-- <meta charset=gbk> -->", None),
            ("<!--><meta charset=gbk>", Some("GBK")),
            ("<!-- > --><meta charset=gbk>", Some("GBK")),
            ("<? <meta charset=gbk>", None),
            ("<p title='<meta charset=gbk>'>", None),
            ("<metadata charset=gbk>", None),
            ("<meta charset='gbk>", None),
            ("< meta charset=gbk>", None),
            ("<?xml version='1.0' encoding='euc-jp'?><a/>", Some("EUC-JP")),
            ("<?xml encoding=\"utf-16\"?>", Some("UTF-8")),
            ("<?xml encoding=gbk?>", None),
            ("<?xml version='1.0'?>", None),
            ("", None),
        ] {
            assert_eq!(name(page), found, "{page}");
        }
    }

    #[test]
    fn only_the_head_of_a_page_is_looked_at() {
        let meta = "<meta charset=gbk>";
        for (before, found) in
            [(PRESCANNED_BYTES - meta.len(), Some("GBK")), (PRESCANNED_BYTES, None)]
        {
            assert_eq!(name(&format!("{}{meta}", " ".repeat(before))), found);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_scanned_without_a_panic(page: Vec<u8>) {
            encoding(&page);
        }

        #[test]
        fn any_markup_is_scanned_without_a_panic(
            page in "(<|</|<!|<!--|-->|<\\?xml|meta|charset|content|encoding|http-equiv|=|'|\"|>|/| |gbk|;){0,40}"
        ) {
            encoding(page.as_bytes());
        }
    }
}
