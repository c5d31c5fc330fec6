//! What a shop page is full of besides its product: menus before it, other products and reviews after.

use std::{fmt::Write as _, ops::Range};

use crate::{escape::Html, product::Product, random::Random};

const PURPOSE: u64 = 0x6669_6C6C;
/// How much more text there is than one page takes, so that pages differ.
const SPARE_BYTES: usize = 64 * 1024;
/// The share of a page's filler that stands before the product, in percent.
const BEFORE_PERCENT: usize = 30;

/// Ready blocks of ASCII markup, of which each page takes a run.
#[derive(Debug)]
pub(crate) struct Filler {
    before: Blocks,
    after: Blocks,
}

/// The filler of one page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Padding<'a> {
    /// Menu entries, to stand in a list.
    pub(crate) before: &'a str,
    /// Sections, to stand in the body.
    pub(crate) after: &'a str,
}

impl Filler {
    /// Makes blocks for pages with up to so many bytes of filler.
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            before: Blocks::new(bytes * BEFORE_PERCENT / 100, menu_entry),
            after: Blocks::new(bytes, section),
        }
    }

    /// About, and at most, so many bytes: the same for the same number.
    pub(crate) fn padding(&self, number: u32, bytes: usize) -> Padding<'_> {
        let mut random = Random::new(PURPOSE, number);
        let before = self.before.run(&mut random, bytes * BEFORE_PERCENT / 100);
        let after = self.after.run(&mut random, bytes - before.len());
        Padding { before, after }
    }
}

/// Blocks one after the other.
#[derive(Debug)]
struct Blocks {
    text: String,
    /// Where blocks begin, and the end.
    edges: Vec<usize>,
}

impl Blocks {
    fn new(page_bytes: usize, write: fn(&mut String, u32)) -> Self {
        let mut blocks = Self { text: String::new(), edges: vec![0] };
        for number in 0.. {
            if blocks.text.len() >= page_bytes + SPARE_BYTES {
                break;
            }
            write(&mut blocks.text, number);
            blocks.edges.push(blocks.text.len());
        }
        blocks
    }

    /// As many whole blocks as fit into so many bytes, from a random one on.
    fn run(&self, random: &mut Random, bytes: usize) -> &str {
        let latest = self.edges.partition_point(|edge| edge + bytes <= self.text.len());
        let start = self.edges[random.below(latest.max(1) as u32) as usize];
        let end = self.edges.partition_point(|edge| *edge <= start + bytes) - 1;
        let run: Range<usize> = start..self.edges[end];
        &self.text[run]
    }
}

fn menu_entry(text: &mut String, number: u32) {
    let product = Product::new(number * 5);
    let slug = product.slug();
    let written = writeln!(
        text,
        "<li class=\"menu-item\" data-pos=\"{number}\"><a href=\"/departments/{slug}\" title=\"All of \
         {brand}\"><svg class=\"icon\" viewBox=\"0 0 24 24\" aria-hidden=\"true\"><path d=\"M{x} 4l8 {y}-8 \
         8z\"/></svg><span>{slug}</span> <small class=\"count\">{count}</small></a></li>",
        brand = ascii(product.brand),
        x = number % 20,
        y = number % 9,
        count = product.reviews,
    );
    written.expect("a string takes all that is written to it");
}

fn section(text: &mut String, number: u32) {
    match number % 4 {
        0 => related(text, number, "price"),
        1 => review(text, number),
        2 => related(text, number, "card-price"),
        _ => advice(text, number),
    }
    .expect("a string takes all that is written to it");
}

/// Another product, with a price that isn't the page's.
fn related(text: &mut String, number: u32, class: &str) -> std::fmt::Result {
    let product = Product::new(number * 5 + 1);
    let was = product.price * 1.25;
    writeln!(
        text,
        "<div class=\"card card--related\" data-sku=\"{sku}\"><a href=\"/products/{n}\"><img \
         src=\"/img/{sku}-320.jpg\" width=\"320\" height=\"240\" loading=\"lazy\" alt=\"{name}\"></a>\
         <h3 class=\"card-title\"><a href=\"/products/{n}\">{name}</a></h3><p class=\"card-offer\">\
         <del class=\"was\">${was:.2}</del> <span class=\"{class}\">${price:.2}</span></p>\
         <button type=\"button\" class=\"btn btn-small\" data-add=\"{sku}\">Add to basket</button></div>",
        sku = product.sku,
        n = product.number,
        name = Html(&ascii(&product.name)),
        price = product.price,
    )
}

fn review(text: &mut String, number: u32) -> std::fmt::Result {
    let mut random = Random::new(PURPOSE, number);
    let stars = 1 + random.below(5);
    let author = random.pick(&["Ada", "Bo", "Chidi", "Dana", "Emil", "Farah", "Gus", "Hana"]);
    let [first, second, third] = [0; 3].map(|_| random.pick(SENTENCES));
    writeln!(
        text,
        "<article class=\"review\" id=\"review-{number}\"><header><span class=\"stars stars-{stars}\">{stars} \
         of 5</span> <strong class=\"author\">{author}</strong> <time datetime=\"2026-{month:02}-{day:02}\">\
         {day}/{month}/2026</time></header><p>{first} {second} {third}</p><footer>{votes} people found this \
         helpful &middot; <a href=\"#report\">Report</a></footer></article>",
        month = 1 + random.below(12),
        day = 1 + random.below(28),
        votes = random.below(60),
    )
}

fn advice(text: &mut String, number: u32) -> std::fmt::Result {
    let mut random = Random::new(PURPOSE, number);
    let [first, second, third] = [0; 3].map(|_| random.pick(SENTENCES));
    writeln!(
        text,
        "<section class=\"advice\"><h2>Good to know, no. {number}</h2><p>{first} {second}</p><table \
         class=\"specs\"><tr><th scope=\"row\">Height</th><td>{height} cm</td></tr><tr><th scope=\"row\">Weight\
         </th><td>{weight} g</td></tr><tr><th scope=\"row\">Delivery from</th><td>${fee}.90</td></tr></table>\
         <p>{third}</p></section>",
        height = 5 + random.below(90),
        weight = 100 + random.below(4000),
        fee = 2 + random.below(9),
    )
}

/// The text without what isn't ASCII: filler has to be right in any charset.
fn ascii(text: &str) -> String {
    text.chars().filter(char::is_ascii).collect()
}

const SENTENCES: &[&str] = &[
    "We have used it every day since spring and it still looks new.",
    "Delivery took three days, and the parcel was well packed.",
    "It is a little smaller than it looks in the pictures, so measure first.",
    "Wash it by hand, and dry it before you put it away.",
    "The colour is warmer than on my screen, which I like.",
    "At twice the price I would think about it, at this one I did not.",
    "Spare parts can be ordered for at least ten years.",
    "The first one arrived with a scratch; they sent another without a question.",
    "Made in small batches, so no two are quite alike.",
    "My sister wanted one at once, and now the neighbours do too.",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_fills_a_page_with_whole_blocks_of_ascii() {
        let filler = Filler::new(30_000);
        for number in 0..200 {
            let padding = filler.padding(number, 30_000);
            let length = padding.before.len() + padding.after.len();
            assert!((28_500..=30_000).contains(&length), "{number}: {length}");
            assert!(padding.before.starts_with("<li") && padding.before.ends_with("</li>\n"));
            assert!(padding.after.starts_with('<') && padding.after.ends_with(">\n"));
            assert!(padding.after.is_ascii() && padding.before.is_ascii());
        }
    }

    #[test]
    fn pages_differ_and_a_small_page_has_little() {
        let filler = Filler::new(30_000);
        assert_ne!(filler.padding(1, 30_000).after, filler.padding(2, 30_000).after);
        assert_eq!(filler.padding(1, 30_000).after, filler.padding(1, 30_000).after);
        for bytes in [0, 1, 100, 700] {
            let padding = filler.padding(1, bytes);
            assert!(padding.before.len() + padding.after.len() <= bytes);
        }
    }
}
