//! Fields with CSS selectors that need the page's tree.

use dom_query::{Document, NodeRef, Selection};
use harvestman_engine::{Code, FetchError, Kind, schema::Output};
use memchr::{memchr, memchr_iter};
use serde_json::{Map, Value};

use crate::{
    capture::{MAX_MATCHES, is_block},
    located::{Outcome, Typer, scalar},
    plan::{FieldPlan, Ready},
    text::{MAX_TEXT_BYTES, collapse},
};

/// A page that nests deeper is not made a tree: building one takes time by the square of its depth.
pub(crate) const MAX_DEPTH: usize = 10_000;
/// The most cells of one table.
const MAX_CELLS: usize = 100_000;

/// A page with more of what begins a tag is not made a tree: it takes up to two seconds and more.
const MAX_TAGS: usize = 750_000;
/// A parser compares each attribute of a tag with those before it; so many comparisons take about a
/// second, and a page that needs more is not made a tree.
const MAX_COMPARISONS: u64 = 500_000_000;

/// The tree of a page, or why there is none: building it would take too long.
pub(crate) fn tree(html: &str) -> Result<Document, FetchError> {
    let refused = |message: String| Err(FetchError::new(Code::ExtractFailed, message));
    if deepest(html) > MAX_DEPTH {
        return refused(format!("the page nests deeper than {MAX_DEPTH} elements"));
    }
    if memchr_iter(b'<', html.as_bytes()).count() > MAX_TAGS {
        return refused(format!("the page has more than {MAX_TAGS} tags"));
    }
    if comparisons(html) > MAX_COMPARISONS {
        return refused("the page has too many attributes in one tag".to_owned());
    }
    Ok(Document::from(html))
}

/// Reads a field by one of its selectors, from an element on.
pub(crate) fn read(
    element: &Selection<'_>,
    plan: &FieldPlan,
    matcher: &dom_query::Matcher,
    typer: Typer<'_>,
) -> Outcome {
    let Some(locator) = &plan.field.locator else { return Outcome::Missing };
    let matches = element.select_matcher(matcher);
    let nodes = matches.nodes();
    match (&locator.output, &plan.field.kind) {
        (Output::Exists, kind) => Outcome::of(scalar(&Value::Bool(!nodes.is_empty()), kind, typer)),
        (Output::Count, kind) => Outcome::of(scalar(&Value::from(nodes.len()), kind, typer)),
        (Output::TableJson | Output::TableArray, _) => match nodes.first() {
            Some(node) => Outcome::Found(table(node, &locator.output)),
            None => Outcome::Missing,
        },
        (_, Kind::Array(element)) => {
            let nodes = nodes.iter().take(MAX_MATCHES);
            Outcome::of_all(nodes.map(|node| read_node(node, plan, element, typer)))
        }
        (_, kind) => match nodes.first() {
            Some(node) => Outcome::of(read_node(node, plan, kind, typer)),
            None => Outcome::Missing,
        },
    }
}

fn read_node(
    node: &NodeRef<'_>,
    plan: &FieldPlan,
    kind: &Kind,
    typer: Typer<'_>,
) -> Result<Value, String> {
    if let Kind::Object(_) = kind {
        return Ok(Value::Object(read_object(node, plan, typer)));
    }
    let output = plan.field.locator.as_ref().map_or(&Output::Text, |locator| &locator.output);
    match output {
        Output::Html => Ok(Value::String(node.inner_html().to_string())),
        Output::Attribute(name) => match node.attr(name) {
            Some(value) => typer.text(&value, kind, true),
            None => Err(format!("there is no attribute {name}")),
        },
        _ => typer.text(&text(node), kind, false),
    }
}

/// Nested fields: their selectors start from the element.
fn read_object(node: &NodeRef<'_>, plan: &FieldPlan, typer: Typer<'_>) -> Map<String, Value> {
    let element = Selection::from(*node);
    let pair = |inner: &FieldPlan| {
        let typer = typer.inside(inner);
        let mut outcomes = inner.selectors.iter().filter_map(|selector| match selector {
            Ready::Css { matcher, .. } => Some(read(&element, inner, matcher, typer)),
            _ => None,
        });
        let found = outcomes.find_map(Outcome::found);
        (inner.field.name.clone(), found.unwrap_or(Value::Null))
    };
    plan.inner.iter().map(pair).collect()
}

/// A table as rows of texts, or as objects by the texts of its first row.
fn table(node: &NodeRef<'_>, output: &Output) -> Value {
    let rows = Selection::from(*node).select("tr");
    let mut left = MAX_CELLS;
    let mut texts: Vec<Vec<String>> = Vec::new();
    for row in rows.nodes() {
        let cells = Selection::from(*row).select("th, td");
        let cells: Vec<String> =
            cells.nodes().iter().take(left).map(|cell| collapse(&text(cell))).collect();
        left -= cells.len();
        if !cells.is_empty() {
            texts.push(cells);
        }
    }
    if *output == Output::TableArray {
        return Value::from(texts);
    }
    let mut rows = texts.into_iter();
    let names = rows.next().unwrap_or_default();
    let object = |cells: Vec<String>| {
        let pairs = names.iter().zip(cells);
        Value::Object(pairs.map(|(name, cell)| (name.clone(), Value::from(cell))).collect())
    };
    rows.map(object).collect()
}

/// The text of an element, with a space where a block begins or ends.
fn text(node: &NodeRef<'_>) -> String {
    let mut text = String::new();
    for child in node.descendants_it() {
        if text.len() > MAX_TEXT_BYTES {
            break;
        }
        if child.is_text() {
            let hidden = child
                .parent()
                .is_some_and(|parent| parent.has_name("script") || parent.has_name("style"));
            if !hidden {
                text.push_str(&child.text());
            }
        } else if child.node_name().is_some_and(|name| is_block(&name)) {
            text.push(' ');
        }
    }
    text
}

/// An upper bound of how deep the page nests: start tags less end tags, whatever they are.
fn deepest(html: &str) -> usize {
    let bytes = html.as_bytes();
    let (mut depth, mut deepest) = (0_usize, 0);
    for open in memchr_iter(b'<', bytes) {
        match bytes.get(open + 1) {
            Some(b'/') => depth = depth.saturating_sub(1),
            Some(byte) if byte.is_ascii_alphabetic() && !is_void(&bytes[open + 1..]) => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            _ => {}
        }
    }
    deepest
}

/// How often the attributes of one tag are compared with each other, all tags together. What only looks
/// like a tag counts as one.
fn comparisons(html: &str) -> u64 {
    let bytes = html.as_bytes();
    let (mut total, mut from) = (0_u64, 0);
    while let Some(open) = memchr(b'<', &bytes[from..]).map(|found| from + found) {
        let is_tag = bytes.get(open + 1).is_some_and(u8::is_ascii_alphabetic);
        let (count, length) = if is_tag { attributes(&bytes[open + 1..]) } else { (0, 0) };
        total = total.saturating_add(count * count / 2);
        from = open + 1 + length;
    }
    total
}

/// About how many attributes the tag that begins here has, and how long it is.
fn attributes(tag: &[u8]) -> (u64, usize) {
    let (mut count, mut at, mut was_space, mut was_equal) = (0, 0, false, false);
    while let Some(byte) = tag.get(at) {
        match byte {
            b'>' => break,
            b'"' | b'\'' if was_equal => {
                at += 1 + memchr(*byte, &tag[at + 1..]).unwrap_or(tag.len() - at - 1);
                (was_space, was_equal) = (true, false);
            }
            byte if byte.is_ascii_whitespace() || *byte == b'/' => was_space = true,
            byte => {
                count += u64::from(was_space && !was_equal && *byte != b'=');
                (was_space, was_equal) = (false, *byte == b'=');
            }
        }
        at += 1;
    }
    (count, at.min(tag.len()))
}

/// Whether the tag that begins here has no content, so that no end tag follows.
fn is_void(tag: &[u8]) -> bool {
    let end = tag.iter().take(8).position(|byte| !byte.is_ascii_alphanumeric());
    let name = tag[..end.unwrap_or(tag.len().min(8))].to_ascii_lowercase();
    matches!(
        &name[..],
        b"area"
            | b"base"
            | b"br"
            | b"col"
            | b"embed"
            | b"hr"
            | b"img"
            | b"input"
            | b"link"
            | b"meta"
            | b"source"
            | b"track"
            | b"wbr"
            | b"p"
            | b"li"
            | b"path"
            | b"option"
            | b"td"
            | b"tr"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_nests_too_deep_is_no_tree() {
        assert!(tree(&"<p><b>x</b></p><br>".repeat(30_000)).is_ok());
        let refused = tree(&"<div>".repeat(MAX_DEPTH + 1)).err().unwrap();
        assert!(refused.message.contains("nests deeper than 10000"));
        assert_eq!(deepest("<a><b><img><b/></b></a><"), 3);
    }

    #[test]
    fn a_page_of_too_many_tags_is_no_tree() {
        let refused = tree(&"<".repeat(MAX_TAGS + 1)).err().unwrap();
        assert!(refused.message.contains("more than 750000 tags"));
    }

    #[test]
    fn a_tag_of_too_many_attributes_is_no_tree() {
        for (tag, count) in [
            ("p>", 0),
            ("p a=b c='d > e' f g=\"h\"i>x y", 5),
            ("p a = b c/d >", 3),
            ("p a='", 1),
            ("p", 0),
        ] {
            assert_eq!(attributes(tag.as_bytes()).0, count, "{tag}");
        }
        let many = |count: usize| format!("<p {}>x", "a=b ".repeat(count));
        assert!(tree(&many(10_000)).is_ok());
        let refused = tree(&many(100_000)).err().unwrap();
        assert!(refused.message.contains("too many attributes"), "{refused:?}");
        let quoted = format!("<p x='>' {}>", "a=b ".repeat(100_000));
        assert!(tree(&quoted).is_err());
    }
}
