//! In what part of the page a node stands.

use crate::tree::{Place, Tag, Tree};

/// The parts that a node is in, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Zones(u16);

impl Zones {
    /// Navigation, footer, sidebar.
    pub(crate) const FRAME: Self = Self(1);
    /// Other things of the same kind: related, recommended, recently viewed.
    pub(crate) const RELATED: Self = Self(1 << 1);
    pub(crate) const STRUCK: Self = Self(1 << 2);
    pub(crate) const HIDDEN: Self = Self(1 << 3);
    /// What readers have written.
    pub(crate) const COMMENTS: Self = Self(1 << 4);
    pub(crate) const HEADER: Self = Self(1 << 5);
    pub(crate) const LINK: Self = Self(1 << 6);
    pub(crate) const INVISIBLE: Self = Self(1 << 7);
    /// The head of the document.
    pub(crate) const HEAD: Self = Self(1 << 8);

    pub(crate) fn has(self, zone: Self) -> bool {
        self.0 & zone.0 != 0
    }

    pub(crate) fn add(&mut self, zone: Self) {
        self.0 |= zone.0;
    }

    /// What an element's tag and attributes other than class and id say.
    pub(crate) fn of_element(tree: &Tree<'_>, place: Place) -> Self {
        let mut zones = match tree.tag(place) {
            Tag::Nav | Tag::Footer | Tag::Aside => Self::FRAME,
            Tag::Del | Tag::S | Tag::Strike => Self::STRUCK,
            Tag::Header => Self::HEADER,
            Tag::A => Self::LINK,
            Tag::Head => Self::HEAD,
            Tag::Select | Tag::Button => Self::default(),
            tag if tag.is_invisible() => Self::INVISIBLE,
            _ => Self::default(),
        };
        for (name, value) in tree.attributes(place) {
            let is_hidden = match *name {
                "hidden" => true,
                "style" => value.contains("display:none") || value.contains("display: none"),
                _ => false,
            };
            if is_hidden {
                zones.add(Self::HIDDEN);
            }
        }
        zones
    }

    /// What a word of a class or id says.
    pub(crate) fn of_word(word: &str) -> Self {
        match word {
            "nav" | "navbar" | "navigation" | "footer" | "sidebar" | "menu" | "breadcrumb"
            | "breadcrumbs" | "widget" | "newsletter" | "cookie" | "cookies" | "advert" | "ads"
            | "social" | "share" => Self::FRAME,
            "related" | "recommend" | "recommended" | "recommendation" | "recommendations"
            | "similar" | "upsell" | "upsells" | "crosssell" | "crosssells" | "cross"
            | "minicart" | "recently" | "carousel" | "accessories" | "alsobought"
            | "bestseller" | "bestsellers" | "popular" | "trending" | "suggestion"
            | "suggestions" | "others" | "teaser" | "teasers" | "wishlist" | "compare"
            | "bundle" => Self::RELATED,
            "strike" | "strikethrough" | "crossed" | "linethrough" => Self::STRUCK,
            "review" | "reviews" | "comment" | "comments" | "commentlist" | "reply" | "replies"
            | "testimonial" | "testimonials" | "disqus" | "respond" => Self::COMMENTS,
            _ => Self::default(),
        }
    }
}
