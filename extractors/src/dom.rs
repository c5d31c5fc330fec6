//! Fields with selectors that need the page's tree.

use dom_query::{Document, Matcher, NodeRef, Selection};
use harvestman_engine::{
    Field, Kind,
    schema::{Locator, Output},
};
use memchr::memchr_iter;
use serde_json::{Map, Value};

use crate::{
    capture::{MAX_MATCHES, is_block},
    coerce::Coercer,
    located::Outcome,
    plan::Located,
    text::MAX_TEXT_BYTES,
};

/// A page that nests deeper is not made a tree: building one takes time by the square of its depth.
pub(crate) const MAX_DEPTH: usize = 10_000;

/// The tree of a page; `None` if it nests too deep.
pub(crate) fn tree(html: &str) -> Option<Document> {
    (deepest(html) <= MAX_DEPTH).then(|| Document::from(html))
}

/// Reads a field with selectors from the tree.
pub(crate) fn read(
    page: &Document,
    field: &Field,
    selectors: &[Located],
    coercer: Coercer<'_>,
) -> Outcome {
    let Some(locator) = &field.locator else { return Outcome::Missing };
    let mut outcome = Outcome::Missing;
    for selector in selectors {
        let matches = page.select_matcher(&selector.matcher);
        outcome = outcome.or(read_matches(&matches, field, locator, coercer));
        if matches!(outcome, Outcome::Found(_)) {
            break;
        }
    }
    outcome
}

fn read_matches(
    matches: &Selection<'_>,
    field: &Field,
    locator: &Locator,
    coercer: Coercer<'_>,
) -> Outcome {
    let nodes = matches.nodes();
    match (&locator.output, &field.kind) {
        (Output::Exists, _) => Outcome::Found(Value::Bool(!nodes.is_empty())),
        (Output::Count, _) => Outcome::Found(Value::from(nodes.len())),
        (_, Kind::Array(element)) => {
            let nodes = nodes.iter().take(MAX_MATCHES);
            let values = nodes.map(|node| read_node(node, element, &locator.output, coercer));
            Outcome::of_all(values)
        }
        (output, kind) => match nodes.first() {
            Some(node) => Outcome::of(read_node(node, kind, output, coercer)),
            None => Outcome::Missing,
        },
    }
}

fn read_node(
    node: &NodeRef<'_>,
    kind: &Kind,
    output: &Output,
    coercer: Coercer<'_>,
) -> Result<Value, String> {
    if let Kind::Object(fields) = kind {
        return Ok(Value::Object(read_object(node, fields, coercer)));
    }
    match output {
        Output::Html => Ok(Value::String(node.inner_html().to_string())),
        Output::Attribute(name) => match node.attr(name) {
            Some(value) => coercer.machine_text(&value, kind),
            None => Err(format!("there is no attribute {name}")),
        },
        _ => coercer.plain_text(&text(node), kind),
    }
}

/// Nested fields: their selectors start from the element.
fn read_object(node: &NodeRef<'_>, fields: &[Field], coercer: Coercer<'_>) -> Map<String, Value> {
    let element = Selection::from(*node);
    let value = |field: &Field| {
        let locator = field.locator.as_ref()?;
        let matchers = locator.selectors.iter().filter_map(|selector| Matcher::new(selector).ok());
        let mut outcomes = matchers.map(|matcher| {
            read_matches(&element.select_matcher(&matcher), field, locator, coercer)
        });
        outcomes.find_map(|outcome| match outcome {
            Outcome::Found(value) => Some(value),
            _ => None,
        })
    };
    let pair = |field: &Field| (field.name.clone(), value(field).unwrap_or(Value::Null));
    fields.iter().map(pair).collect()
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
        assert!(tree(&"<p><b>x</b></p><br>".repeat(30_000)).is_some());
        assert!(tree(&"<div>".repeat(MAX_DEPTH + 1)).is_none());
        assert_eq!(deepest("<a><b><img><b/></b></a><"), 3);
    }
}
