//! The heading proper, where a line above or below it stands within the same element.

use crate::tree::{Place, Tree};

/// The longest text of a part, in bytes.
const MAX_PART_BYTES: usize = 4 * 1024;
/// How deep a heading is looked into for the element that holds its parts.
const MAX_WRAPPERS: usize = 4;
/// What the lines beside the heading proper are called in classes.
const LINES: &[&str] = &[
    "kicker",
    "overline",
    "topline",
    "roofline",
    "dachzeile",
    "spitzmarke",
    "eyebrow",
    "pretitle",
    "supertitle",
    "preline",
    "subtitle",
    "subline",
    "subhead",
    "small",
    "suffix",
    "label",
    "badge",
];
/// And the heading proper itself.
const PROPER: &[&str] = &["headline", "title", "heading"];

/// A part of a heading that may be the heading proper.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// By the classes of the parts.
    Marked(String),
    /// By its length.
    Longest(String),
}

/// What of a heading is the heading proper, if it has several parts.
pub(super) fn proper(tree: &Tree<'_>, heading: Place) -> Option<Part> {
    let mut holder = heading;
    for _ in 0..MAX_WRAPPERS {
        let mut parts = parts(tree, holder);
        match (parts.next(), parts.next()) {
            (Some((only, _)), None) if !tree.is_text(only) => holder = only,
            (Some(_), Some(_)) => return of_parts(tree, holder),
            _ => return None,
        }
    }
    None
}

fn of_parts(tree: &Tree<'_>, holder: Place) -> Option<Part> {
    let is = |place: Place, words: &[&str]| {
        let class = tree.raw_attribute(place, "class").unwrap_or_default();
        let class = crate::text::cut(class, 200).to_ascii_lowercase();
        words.iter().any(|word| class.contains(word))
    };
    let is_line = |place: Place| tree.name(place).eq_ignore_ascii_case("small") || is(place, LINES);
    let parts: Vec<(Place, String)> = parts(tree, holder).collect();
    let mut proper = parts.iter().filter(|(place, _)| is(*place, PROPER) && !is_line(*place));
    if let (Some((_, text)), None) = (proper.next(), proper.next()) {
        return Some(Part::Marked(text.clone()));
    }
    let rest: Vec<&str> =
        parts.iter().filter(|(place, _)| !is_line(*place)).map(|(_, text)| text.as_str()).collect();
    if !rest.is_empty() && rest.len() < parts.len() {
        return Some(Part::Marked(rest.join(" ")));
    }
    parts.into_iter().max_by_key(|(_, text)| text.len()).map(|(_, text)| Part::Longest(text))
}

/// The texts and elements directly below that say something.
fn parts<'t>(tree: &'t Tree<'_>, holder: Place) -> impl Iterator<Item = (Place, String)> + 't {
    let parts = tree.children(holder).map(|part| (part, tree.text(part, MAX_PART_BYTES)));
    parts.filter(|(_, text)| text.chars().any(char::is_alphanumeric))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(html: &str) -> Option<Part> {
        let tree = Tree::new(html);
        proper(&tree, 1)
    }

    #[test]
    fn the_heading_proper_is_told_from_the_lines_beside_it() {
        let marked = |text: &str| Some(Part::Marked(text.to_owned()));
        for (html, expected) in [
            ("<h1><i class=x>News</i>: <b class=headline>A lamp</b></h1>", marked("A lamp")),
            ("<h1><i class=the-kicker>News</i> A lamp</h1>", marked("A lamp")),
            ("<h1><div><i class=kicker>News</i> A <b>lamp</b></div></h1>", marked("A lamp")),
            ("<h1>A lamp <small>since 1970</small></h1>", marked("A lamp")),
            ("<h1><i>News</i> A lamp</h1>", Some(Part::Longest("A lamp".to_owned()))),
            ("<h1><b class=headline>A lamp</b></h1>", None),
            ("<h1>A lamp</h1>", None),
        ] {
            assert_eq!(part(html), expected, "{html}");
        }
    }
}
