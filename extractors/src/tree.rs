//! The page as a tree: one pass, no recursion, no copy of the page.
//!
//! The tree serves the search for fields by their names. It repairs what authors leave out (end tags of
//! paragraphs, cells, list items) and is otherwise literal; selectors are matched by parsers that follow
//! the HTML standard to the letter and take several times as long.

mod build;
mod tag;
mod token;

use std::borrow::Cow;

pub(crate) use self::tag::Tag;
use crate::text::Collapsed;

/// The deepest nesting that is kept; what lies deeper belongs to the element at this depth.
pub(crate) const MAX_DEPTH: usize = 256;
/// The most nodes of one page; what follows is not looked at.
pub(crate) const MAX_NODES: usize = 400_000;
/// The most attributes of one element; further ones are passed over.
pub(crate) const MAX_ATTRIBUTES: usize = 64;
/// The longest attribute that is kept, in bytes; a longer one is passed over.
pub(crate) const MAX_ATTRIBUTE_BYTES: usize = 64 * 1024;

/// A place in the tree; places are in the order of the document.
pub(crate) type Place = usize;

/// A page in the order of its nodes: what is below a node follows it, up to its end.
#[derive(Debug)]
pub(crate) struct Tree<'a> {
    nodes: Vec<Node<'a>>,
    attributes: Vec<(&'a str, &'a str)>,
}

#[derive(Debug)]
struct Node<'a> {
    parent: u32,
    /// The first place that isn't below this node.
    end: u32,
    tag: Tag,
    /// The name of an element as written, or the text.
    text: &'a str,
    attributes: (u32, u32),
}

impl<'a> Tree<'a> {
    /// Reads a page. Takes time in proportion to its length, whatever is in it.
    pub(crate) fn new(html: &'a str) -> Self {
        build::build(html)
    }

    /// How many nodes there are. The first one is the page itself.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn tag(&self, place: Place) -> Tag {
        self.nodes[place].tag
    }

    /// The name as it is written.
    pub(crate) fn name(&self, place: Place) -> &'a str {
        self.nodes[place].text
    }

    pub(crate) fn is_text(&self, place: Place) -> bool {
        self.nodes[place].tag == Tag::Text
    }

    /// The text of a text node, entities and white space as they are written.
    pub(crate) fn raw_text(&self, place: Place) -> &'a str {
        if self.is_text(place) { self.nodes[place].text } else { "" }
    }

    /// The element around a node; that of the page is the page.
    pub(crate) fn parent(&self, place: Place) -> Place {
        self.nodes[place].parent as usize
    }

    /// The first place behind a node and all that is below it.
    pub(crate) fn end(&self, place: Place) -> Place {
        self.nodes[place].end as usize
    }

    /// All that is below a node.
    pub(crate) fn below(&self, place: Place) -> std::ops::Range<Place> {
        place + 1..self.end(place)
    }

    /// The elements and texts directly below a node.
    pub(crate) fn children(&self, place: Place) -> impl Iterator<Item = Place> {
        let end = self.end(place);
        let mut next = place + 1;
        std::iter::from_fn(move || {
            let child = next;
            (child < end).then(|| {
                next = self.end(child);
                child
            })
        })
    }

    /// The element or text right after a node, below the same parent.
    pub(crate) fn next_sibling(&self, place: Place) -> Option<Place> {
        let next = self.end(place);
        (next < self.end(self.parent(place))).then_some(next)
    }

    /// The elements around a node, innermost first; the page itself is none of them.
    pub(crate) fn ancestors(&self, place: Place) -> impl Iterator<Item = Place> {
        let mut at = place;
        std::iter::from_fn(move || {
            at = self.parent(at);
            (at > 0).then_some(at)
        })
    }

    pub(crate) fn attributes(&self, place: Place) -> &[(&'a str, &'a str)] {
        let (first, end) = self.nodes[place].attributes;
        &self.attributes[first as usize..end as usize]
    }

    /// The value of an attribute, entities as they are written.
    pub(crate) fn raw_attribute(&self, place: Place, name: &str) -> Option<&'a str> {
        let mut attributes = self.attributes(place).iter();
        attributes.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// The value of an attribute with its entities decoded.
    pub(crate) fn attribute(&self, place: Place, name: &str) -> Option<Cow<'a, str>> {
        self.raw_attribute(place, name).map(decode)
    }

    /// Whether an element is called after the adding to a cart, other than those to be skipped.
    pub(crate) fn html_has_cart(&self, skips: impl Fn(Place) -> bool) -> bool {
        (1..self.len()).any(|place| {
            let says = |value: &str| {
                let plain: String = value.chars().filter(char::is_ascii_alphanumeric).collect();
                let plain = plain.to_ascii_lowercase();
                plain.contains("addtocart")
                    || plain.contains("addtobasket")
                    || plain.contains("addtobag")
            };
            let attributes = self.attributes(place);
            let named = attributes.iter().filter(|(name, value)| {
                matches!(*name, "class" | "id" | "name" | "action") && value.len() <= 300
            });
            !self.is_text(place) && named.into_iter().any(|(_, value)| says(value)) && !skips(place)
        })
    }

    /// The visible text of a node, white space collapsed, at most `most` bytes and one word more.
    pub(crate) fn text(&self, place: Place, most: usize) -> String {
        self.text_without(place, most, |_| false)
    }

    /// The visible text of a node, without the nodes that are to be skipped.
    pub(crate) fn text_without(
        &self,
        place: Place,
        most: usize,
        skips: impl Fn(Place) -> bool,
    ) -> String {
        let places = place..self.end(place);
        let mut text = Collapsed::new(most);
        let mut place = places.start;
        // The block whose text comes next ends here: then a space is due.
        let mut edge = places.end;
        while place < places.end && !text.is_full() {
            let node = &self.nodes[place];
            if place >= edge {
                text.space();
                edge = places.end;
            }
            if node.tag.is_invisible() && place > places.start || skips(place) {
                place = node.end as usize;
                continue;
            }
            if node.tag == Tag::Text {
                text.push(&decode(node.text));
            } else if node.tag.is_block() {
                text.space();
                edge = edge.min(node.end as usize);
            }
            place += 1;
        }
        text.into_string()
    }
}

/// Decodes entities.
pub(crate) fn decode(text: &str) -> Cow<'_, str> {
    if text.contains('&') { htmlize::unescape(text) } else { text.into() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The tree as text: `tag(children)`.
    fn shape(html: &str) -> String {
        let mut out = String::new();
        write_shape(&Tree::new(html), 0, &mut out);
        out
    }

    fn write_shape(tree: &Tree<'_>, place: Place, out: &mut String) {
        for child in tree.children(place) {
            if tree.is_text(child) {
                out.push_str(tree.raw_text(child).trim());
            } else {
                out.push_str(&tree.name(child).to_lowercase());
                out.push('(');
                write_shape(tree, child, out);
                out.push(')');
            }
        }
    }

    #[test]
    fn what_authors_leave_out_is_put_in() {
        for (html, expected) in [
            ("<p>a<p>b", "p(a)p(b)"),
            ("<ul><li>a<li>b<ul><li>c</ul></ul>d", "ul(li(a)li(bul(li(c))))d"),
            ("<table><tr><td>a<td>b<tr><th>c</table>d", "table(tr(td(a)td(b))tr(th(c)))d"),
            ("<dl><dt>a<dd>b<dt>c</dl>", "dl(dt(a)dd(b)dt(c))"),
            ("<div><b>a</div>b</b>", "div(b(a))b"),
            ("<p>a<div>b</div>c</p>d", "p(a)div(b)cd"),
            ("<br>a<img src=x/>b</br>", "br()aimg()b"),
            ("<table><td><div></table>x</div>", "table(td(div()))x"),
            ("<a>1<a>2</a>", "a(1)a(2)"),
            ("<SCRIPT>a<b></Script >c", "script(a<b>)c"),
            ("<title>a &amp; <b></title>c", "title(a &amp; <b>)c"),
            ("a<!-- <b> --->c<!x>d<?e?>f</>g< h", "acdfg< h"),
            ("<b", ""),
            ("<b x='", ""),
            ("<!--", ""),
            ("", ""),
        ] {
            assert_eq!(shape(html), expected, "{html}");
        }
    }

    #[test]
    fn attributes_are_read_as_they_are_written() {
        let tree = Tree::new("<a HREF = '/x?a&amp;b' class=c d e=\"f>\" g=h/>i</a>");
        assert_eq!(tree.attribute(1, "href").as_deref(), Some("/x?a&b"));
        assert_eq!(tree.raw_attribute(1, "class"), Some("c"));
        assert_eq!(tree.raw_attribute(1, "d"), Some(""));
        assert_eq!(tree.raw_attribute(1, "e"), Some("f>"));
        assert_eq!(tree.text(1, 100), "i");
    }

    #[test]
    fn text_has_spaces_where_a_reader_sees_them() {
        let html =
            "<div>a<p>b</p>c<b>d</b><script>x</script>e<br>f &amp; <ul><li>g</li></ul></div>h";
        let tree = Tree::new(html);
        assert_eq!(tree.text(0, 100), "a b cde f & g h");
        assert_eq!(tree.text(0, 3), "a b", "no more than asked for");
    }

    #[test]
    fn limits_hold() {
        let deep = "<div>".repeat(1_000_000);
        let tree = Tree::new(&deep);
        assert!(tree.len() <= MAX_NODES);
        assert!(tree.ancestors(tree.len() - 1).count() <= MAX_DEPTH);
        let many = format!("<p {}>x", "a=b ".repeat(100_000));
        assert_eq!(Tree::new(&many).attributes(1).len(), MAX_ATTRIBUTES);
        let long = format!("<p a='{}' b=c>x", "y".repeat(MAX_ATTRIBUTE_BYTES + 1));
        let tree = Tree::new(&long);
        assert_eq!(tree.attributes(1), [("b", "c")]);
        assert_eq!(tree.text(0, 9), "x");
    }

    proptest! {
        #[test]
        fn every_node_lies_within_its_parent(html in r#"(</?(p|b|td|table|tr|li|ul|script|div|a)|>|<!--|-->|="'| x|é|&){0,60}"#) {
            let tree = Tree::new(&html);
            for place in 1..tree.len() {
                let parent = tree.parent(place);
                prop_assert!(parent < place && tree.end(place) > place && tree.end(place) <= tree.end(parent));
            }
            tree.text(0, 1_000);
        }
    }
}
