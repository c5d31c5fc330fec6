//! A subset of `XPath` 1.0: location paths with predicates, unions, and the common functions.
//!
//! The axes `child`, `descendant`, `descendant-or-self`, `parent`, `ancestor`, `self`, `attribute`,
//! `following-sibling` and `preceding-sibling` with their abbreviations; predicates with positions,
//! comparisons, `and`, `or`, and the functions of [`parse`]. No variables, no namespaces, no arithmetic.

mod eval;
mod parse;

use crate::tree::{Place, Tree};

/// The longest expression, in bytes.
const MAX_BYTES: usize = 2 * 1024;
/// The deepest nesting of an expression.
const MAX_DEPTH: usize = 16;
/// The most nodes that are visited for one expression on one page; then it yields what it has.
const MAX_VISITS: usize = 2_000_000;

/// An expression that selects nodes.
#[derive(Debug)]
pub(crate) struct XPath {
    root: parse::Expression,
}

/// A node that was selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Node {
    pub(crate) place: Place,
    /// The number of its attribute, if that is meant.
    pub(crate) attribute: Option<usize>,
}

impl Node {
    pub(crate) fn of(place: Place) -> Self {
        Self { place, attribute: None }
    }

    /// Its text or its attribute's value.
    pub(crate) fn text(self, tree: &Tree<'_>, most: usize) -> String {
        match self.attribute {
            Some(number) => crate::tree::decode(tree.attributes(self.place)[number].1).into_owned(),
            None => tree.text(self.place, most),
        }
    }
}

impl XPath {
    /// Reads an expression, or says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_BYTES {
            return Err(format!("it is longer than {MAX_BYTES} bytes"));
        }
        parse::parse(text).map(|root| Self { root })
    }

    /// The nodes that it selects from a node on, in the order of the document.
    pub(crate) fn select(&self, tree: &Tree<'_>, from: Place) -> Vec<Node> {
        eval::select(&self.root, tree, Node::of(from))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAGE: &str = r#"<html><body><h1 id="top">Lamp</h1><ul class="a list"><li>one</li><li class="x">two <b>2</b></li><li>three</li></ul>
        <p lang="de">Preis: <a href="/x">9,90</a></p><table><tr><td>a</td><td>b</td></tr></table></body></html>"#;

    fn texts(xpath: &str) -> Vec<String> {
        let tree = Tree::new(PAGE);
        let nodes =
            XPath::parse(xpath).unwrap_or_else(|error| panic!("{xpath}: {error}")).select(&tree, 0);
        nodes.into_iter().map(|node| node.text(&tree, 1_000)).collect()
    }

    #[test]
    fn paths_select_what_they_say() {
        for (xpath, expected) in [
            ("//h1", &["Lamp"][..]),
            ("/html/body/h1", &["Lamp"]),
            ("//li[2]", &["two 2"]),
            ("//li[last()]", &["three"]),
            ("//li[position() < 3]", &["one", "two 2"]),
            ("(//li)[1]", &["one"]),
            ("//li[@class='x']/b", &["2"]),
            ("//ul[contains(@class, 'list')]/li[1]", &["one"]),
            ("//a/@href", &["/x"]),
            ("//*[@id=\"top\"]", &["Lamp"]),
            ("//p[starts-with(normalize-space(.), 'Preis')]/a", &["9,90"]),
            ("//li[not(@class)]", &["one", "three"]),
            ("//li[b and @class]", &["two 2"]),
            ("//li[. = 'one' or . = 'three']", &["one", "three"]),
            ("//li[@class='x']/following-sibling::li", &["three"]),
            ("//li[@class='x']/preceding-sibling::li", &["one"]),
            ("//b/..", &["two 2"]),
            ("//b/ancestor::ul/@class", &["a list"]),
            ("//li/text()", &["one", "two", "three"]),
            ("//h1 | //b", &["Lamp", "2"]),
            ("//td[count(following-sibling::td) = 1]", &["a"]),
            ("//tr/td[string-length(.) = 1][2]", &["b"]),
            ("//descendant::b", &["2"]),
            ("//nothing", &[]),
        ] {
            assert_eq!(texts(xpath), expected, "{xpath}");
        }
    }

    #[test]
    fn a_path_may_start_from_a_node() {
        let tree = Tree::new(PAGE);
        let row = XPath::parse("//ul").unwrap().select(&tree, 0)[0];
        let found = XPath::parse("./li[2]/b").unwrap().select(&tree, row.place);
        assert_eq!(found[0].text(&tree, 9), "2");
        assert_eq!(
            XPath::parse("//h1").unwrap().select(&tree, row.place).len(),
            1,
            "from the root"
        );
    }

    #[test]
    fn mistakes_are_told() {
        for (xpath, message) in [
            ("//li[", "an expression is missing at the end"),
            ("//li[1", "`]` is missing"),
            ("//li[foo()]", "there is no function `foo`"),
            ("//li/following::p", "there is no axis `following`"),
            ("//li[1 + 1]", "`]` is missing"),
            ("'text'", "selects no nodes"),
            ("//li[contains(.)]", "`contains` takes 2 arguments"),
        ] {
            let error = XPath::parse(xpath).unwrap_err();
            assert!(error.contains(message), "{xpath}: {error}");
        }
        assert!(XPath::parse(&"(".repeat(1_000)).unwrap_err().contains("nests deeper"));
        assert!(XPath::parse(&"a".repeat(3_000)).is_err());
    }

    #[test]
    fn an_expensive_expression_ends() {
        let page = "<div>".repeat(2_000);
        let tree = Tree::new(&page);
        let xpath = XPath::parse("//*[.//*[.//*[.//*]]]").unwrap();
        assert!(xpath.select(&tree, 0).len() <= tree.len());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r#"[/a\[\]@.*()'"=<>|, 0-9n:-]{0,40}"#) {
            if let Ok(xpath) = XPath::parse(&text) {
                xpath.select(&Tree::new(PAGE), 0);
            }
        }
    }
}
