//! Puts the pieces of a page together.

use super::{
    MAX_DEPTH, MAX_NODES, Node, Tag, Tree,
    tag::TAGS,
    token::{Token, Tokens},
};

pub(super) fn build(html: &str) -> Tree<'_> {
    let mut tokens = Tokens::new(html);
    let mut builder = Builder::new(html.len());
    while let Some(token) = tokens.next() {
        if builder.tree.nodes.len() >= MAX_NODES {
            break;
        }
        match token {
            Token::Text(text) => builder.text(text),
            Token::Start { name, tag, closes_itself } => {
                builder.start(name, tag, closes_itself, &tokens.attributes);
            }
            Token::End { name, tag } => builder.end(name, tag),
        }
    }
    builder.close_to(0);
    let mut tree = builder.tree;
    tree.nodes[0].end = tree.nodes.len() as u32;
    tree
}

struct Builder<'a> {
    tree: Tree<'a>,
    /// The elements that have not ended, outermost first; the page itself is none.
    open: Vec<u32>,
    /// How many of each tag are open, so that an end tag without a start costs nothing.
    counts: [u16; TAGS],
}

impl<'a> Builder<'a> {
    fn new(bytes: usize) -> Self {
        let mut tree = Tree { nodes: Vec::with_capacity(bytes / 32 + 1), attributes: Vec::new() };
        tree.nodes.push(Node { parent: 0, end: 0, tag: Tag::Page, text: "", attributes: (0, 0) });
        Self { tree, open: Vec::new(), counts: [0; TAGS] }
    }

    fn add(&mut self, tag: Tag, text: &'a str, attributes: &[(&'a str, &'a str)]) {
        let first = self.tree.attributes.len() as u32;
        self.tree.attributes.extend_from_slice(attributes);
        let place = self.tree.nodes.len() as u32;
        let parent = self.open.last().copied().unwrap_or(0);
        let attributes = (first, self.tree.attributes.len() as u32);
        self.tree.nodes.push(Node { parent, end: place + 1, tag, text, attributes });
    }

    fn text(&mut self, text: &'a str) {
        self.add(Tag::Text, text, &[]);
    }

    fn start(
        &mut self,
        name: &'a str,
        tag: Tag,
        closes_itself: bool,
        attributes: &[(&'a str, &'a str)],
    ) {
        self.end_implied(tag);
        self.add(tag, name, attributes);
        // `<br/>` and `<path/>` end themselves, `<div/>` does not.
        let is_foreign = tag == Tag::Other && closes_itself;
        if !tag.is_void() && !is_foreign && self.open.len() < MAX_DEPTH {
            self.open.push(self.tree.nodes.len() as u32 - 1);
            self.counts[tag as usize] += 1;
        }
    }

    /// Ends what this start tag implies the end of.
    fn end_implied(&mut self, tag: Tag) {
        use Tag::{A, Dd, Dl, Dt, Li, Ol, Option, P, Table, Tbody, Td, Tfoot, Th, Thead, Tr, Ul};
        if tag.ends_paragraph() {
            self.end_open(&[P], &[Td, Th, Table, Tag::Button]);
        }
        match tag {
            Li => self.end_open(&[Li], &[Ul, Ol, Table]),
            Dt | Dd => self.end_open(&[Dt, Dd], &[Dl, Table]),
            Td | Th => self.end_open(&[Td, Th], &[Tr, Table]),
            Tr => self.end_open(&[Tr, Td, Th], &[Table, Tbody, Thead, Tfoot]),
            Tbody | Thead | Tfoot => self.end_open(&[Tbody, Thead, Tfoot, Tr], &[Table]),
            Option => self.end_open(&[Option], &[Tag::Select]),
            A => self.end_open(&[A], &[Td, Table]),
            Tag::Body => self.end_open(&[Tag::Head], &[]),
            _ => {}
        }
    }

    /// Ends the outermost open element of these, and all within, up to an element of `bounds`.
    fn end_open(&mut self, tags: &[Tag], bounds: &[Tag]) {
        if tags.iter().all(|tag| self.counts[*tag as usize] == 0) {
            return;
        }
        let mut outermost = None;
        for (depth, place) in self.open.iter().enumerate().rev() {
            let tag = self.tree.nodes[*place as usize].tag;
            if bounds.contains(&tag) {
                break;
            }
            if tags.contains(&tag) {
                outermost = Some(depth);
            }
        }
        if let Some(depth) = outermost {
            self.close_to(depth);
        }
    }

    fn end(&mut self, name: &str, tag: Tag) {
        if self.counts[tag as usize] == 0 {
            return;
        }
        let is_table_part = matches!(
            tag,
            Tag::Table | Tag::Tbody | Tag::Thead | Tag::Tfoot | Tag::Tr | Tag::Td | Tag::Th
        );
        for depth in (0..self.open.len()).rev() {
            let node = &self.tree.nodes[self.open[depth] as usize];
            let is_same =
                node.tag == tag && (tag != Tag::Other || node.text.eq_ignore_ascii_case(name));
            if is_same {
                self.close_to(depth);
                return;
            }
            let is_bound = match node.tag {
                Tag::Table => tag != Tag::Body,
                Tag::Td | Tag::Th => !is_table_part,
                _ => false,
            };
            if is_bound {
                return;
            }
        }
    }

    /// Ends the open elements from this depth on.
    fn close_to(&mut self, depth: usize) {
        let end = self.tree.nodes.len() as u32;
        for place in self.open.drain(depth..) {
            let node = &mut self.tree.nodes[place as usize];
            node.end = end;
            self.counts[node.tag as usize] -= 1;
        }
    }
}
