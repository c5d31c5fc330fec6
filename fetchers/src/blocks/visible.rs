//! How much of a page there is to read.

use memchr::{memchr, memmem};

/// Elements whose text nobody sees.
const UNSEEN: [&[u8]; 6] = [b"script", b"style", b"noscript", b"template", b"title", b"svg"];

/// Counts the letters that a person would see, up to about `limit`; space is none. It is a count for
/// judging, not a parser: what hides text by style sheets is not understood.
pub(super) fn letters(html: &str, limit: usize) -> usize {
    let mut rest = html.as_bytes();
    let mut count = 0;
    while count < limit {
        let Some(open) = memchr(b'<', rest) else { return count + seen(rest) };
        count += seen(&rest[..open]);
        rest = after_tag(&rest[open + 1..]);
    }
    count
}

fn seen(text: &[u8]) -> usize {
    // The bytes that continue a character of UTF-8 are not counted.
    text.iter().filter(|byte| !byte.is_ascii_whitespace() && byte.cast_signed() >= -64).count()
}

/// What follows a tag, and the text in it if nobody sees that.
fn after_tag(tag: &[u8]) -> &[u8] {
    if tag.starts_with(b"!--") {
        return after(tag, b"-->");
    }
    let is_it = |name: &&[u8]| {
        let head = tag.get(..name.len());
        let end = tag.get(name.len()).copied().unwrap_or(b'>');
        head.is_some_and(|head| head.eq_ignore_ascii_case(name))
            && (end.is_ascii_whitespace() || matches!(end, b'>' | b'/'))
    };
    match UNSEEN.iter().find(|name| is_it(name)) {
        Some(name) => after_end(tag, name),
        None => after(tag, b">"),
    }
}

/// What follows the end tag `</name`.
fn after_end<'a>(mut rest: &'a [u8], name: &[u8]) -> &'a [u8] {
    while let Some(end) = memmem::find(rest, b"</") {
        rest = &rest[end + 2..];
        if rest.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name)) {
            return after(rest, b">");
        }
    }
    &[]
}

fn after<'a>(rest: &'a [u8], mark: &[u8]) -> &'a [u8] {
    memmem::find(rest, mark).map_or(&[], |found| &rest[found + mark.len()..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_what_is_seen_counts() {
        for (html, count) in [
            ("", 0),
            ("a b\n c", 3),
            ("<p class='x'>é日</p>", 2),
            ("<title>Shop</title><TITLE>x</Title>a", 1),
            ("<script>if (a </b) alert(1)</script>a<style>p{}</style>b", 2),
            ("<noscript>Turn it on</noscript><!-- <p>no --> ab", 2),
            ("<scripted>ab</scripted>", 2),
            ("<script>never closed", 0),
            ("ab<", 2),
            ("<", 0),
        ] {
            assert_eq!(letters(html, 1_000), count, "{html}");
        }
        assert!(letters(&"<p>word".repeat(1_000), 100) < 110);
    }

    proptest! {
        #[test]
        fn no_page_makes_it_fail(html in "[<>!/a-z \\-é]{0,200}") {
            prop_assert!(letters(&html, 50) <= html.len());
        }
    }
}
