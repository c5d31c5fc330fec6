//! The page of a product, in one of five templates.

mod german;
mod json_ld;
mod meta;
mod microdata;
mod plain;

use std::fmt;

use crate::{
    Product, Shop,
    escape::Html,
    filler::{Filler, Padding},
};

/// More than a page has besides filler.
const MAX_FRAME_BYTES: usize = 2048;

/// Where the facts stand in a page. Each page also has the name in its only `h1`, and the price in
/// the first element with the class `price`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Template {
    /// In a JSON-LD block: a `Product` or, for every other product, one in an `@graph`.
    JsonLd,
    /// In `itemprop` attributes of the body.
    Microdata,
    /// In `meta` elements: `og:title`, `product:price:amount` and others.
    Meta,
    /// Nowhere but in what a reader sees, in elements with classes.
    Plain,
    /// In German, in windows-1252 as told by the header or by a `meta` element in turn, with a
    /// list of definitions.
    German,
}

impl Template {
    pub(crate) fn of(number: u32) -> Self {
        match number % 5 {
            0 => Self::JsonLd,
            1 => Self::Microdata,
            2 => Self::Meta,
            3 => Self::Plain,
            _ => Self::German,
        }
    }

    /// About what a page has besides filler, so that the whole is about as long as is wanted.
    fn frame_bytes(self) -> usize {
        match self {
            Self::JsonLd => 1500,
            Self::Microdata => 1420,
            Self::Meta => 1390,
            Self::Plain => 1190,
            Self::German => 1060,
        }
    }
}

/// A page with the header that belongs to it.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
}

/// Writes pages of one size.
#[derive(Debug)]
pub(crate) struct Pages {
    shop: Shop,
    filler: Filler,
}

/// What a template is filled with.
struct Content<'a> {
    product: &'a Product,
    path: &'a str,
    padding: Padding<'a>,
}

impl Pages {
    pub(crate) fn new(shop: Shop) -> Self {
        Self { filler: Filler::new(shop.page_bytes), shop }
    }

    pub(crate) fn page(&self, number: u32) -> Page {
        let product = Product::new(number);
        let path = canonical_path(&product);
        let template = self.shop.template(number);
        let filler_bytes = self.shop.page_bytes.saturating_sub(template.frame_bytes());
        let padding = self.filler.padding(number, filler_bytes);
        let content = Content { product: &product, path: &path, padding };
        let mut text = String::with_capacity(filler_bytes + MAX_FRAME_BYTES);
        let written = match template {
            Template::JsonLd => json_ld::write(&mut text, &content),
            Template::Microdata => microdata::write(&mut text, &content),
            Template::Meta => meta::write(&mut text, &content),
            Template::Plain => plain::write(&mut text, &content),
            Template::German => german::write(&mut text, &content),
        };
        written.expect("a string takes all that is written to it");
        if template == Template::German {
            return german::encode(&text, number);
        }
        Page { content_type: "text/html; charset=utf-8", body: text.into_bytes() }
    }
}

/// Where a product's page is without a redirect.
pub(crate) fn canonical_path(product: &Product) -> String {
    format!("/products/{}/{}", product.number, product.slug())
}

impl Content<'_> {
    fn name(&self) -> Html<'_> {
        Html(&self.product.name)
    }

    fn brand(&self) -> Html<'_> {
        Html(self.product.brand)
    }

    /// The beginning, up to what a template adds to the head.
    fn write_head(&self, page: &mut String) -> fmt::Result {
        use fmt::Write as _;
        write!(
            page,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <title>{name} | The Demo Shop</title>\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n\
             <link rel=\"canonical\" href=\"{path}\">\n",
            name = self.name(),
            path = self.path,
        )
    }

    /// From the end of the head to the place of the product.
    fn write_top(&self, page: &mut String) {
        page.push_str(
            "</head>\n<body>\n<header class=\"site-header\"><a class=\"logo\" href=\"/\">The Demo \
             Shop</a><form action=\"/search\"><input name=\"q\" type=\"search\"></form>\
             <a class=\"basket\" href=\"/basket\">Basket <span class=\"total\">$0.00</span></a></header>\n\
             <nav class=\"departments\"><ul>\n",
        );
        page.push_str(self.padding.before);
        page.push_str("</ul></nav>\n<main>\n");
    }

    /// From behind the product to the end.
    fn write_bottom(&self, page: &mut String) {
        page.push_str("</main>\n<aside class=\"more\">\n");
        page.push_str(self.padding.after);
        page.push_str(
            "</aside>\n<footer class=\"site-footer\"><p>Free delivery from $49.00. &copy; The Demo Shop</p>\
             <a href=\"/imprint\">Imprint</a></footer>\n</body>\n</html>\n",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page as a reader of its charset sees it, entities included.
    fn text(pages: &Pages, number: u32) -> String {
        let page = pages.page(number);
        let decode = |byte: &u8| if *byte == 0x80 { '€' } else { char::from(*byte) };
        let text = match pages.shop.template(number) {
            Template::German => page.body.iter().map(decode).collect(),
            _ => String::from_utf8(page.body).unwrap(),
        };
        assert!(!text.contains('\u{fffd}'));
        text
    }

    fn unescape(text: &str) -> String {
        [("&quot;", "\""), ("&#39;", "'"), ("&lt;", "<"), ("&euro;", "€"), ("&nbsp;", " ")]
            .iter()
            .fold(text.to_owned(), |text, (entity, plain)| text.replace(entity, plain))
            .replace("&amp;", "&")
    }

    /// What stands between the first `start` and the next `end` after it.
    fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
        let from = text.find(start).unwrap_or_else(|| panic!("no {start}")) + start.len();
        let length = text[from..].find(end).unwrap_or_else(|| panic!("no {end}"));
        &text[from..from + length]
    }

    /// The text of the first element with the class `price`.
    fn price(text: &str) -> String {
        let tag = between(text, "class=\"price\"", "</");
        let inner = tag.split_once('>').unwrap().1;
        unescape(inner)
    }

    fn pages() -> Pages {
        Pages::new(Shop::new().with_page_bytes(8000))
    }

    #[test]
    fn every_page_has_the_name_in_its_only_h1_and_the_price_in_the_first_price() {
        for template in [None, Some(Template::JsonLd), Some(Template::German)] {
            let mut pages = pages();
            pages.shop.template = template;
            for number in (0..1000).filter(|number| template.is_none() || number % 5 == 4) {
                let (product, text) = (Product::new(number), text(&pages, number));
                assert_eq!(text.matches("<h1").count(), 1, "{number}");
                let h1 = between(&text, "<h1", "</h1>").split_once('>').unwrap().1;
                assert_eq!(unescape(h1), product.name);
                assert_eq!(price(&text), product.price_text, "{number}");
            }
        }
    }

    #[test]
    fn machine_readable_facts_are_the_truth() {
        let pages = pages();
        for number in 0..1000 {
            let (product, text) = (Product::new(number), text(&pages, number));
            let amount = format!("{:.2}", product.price);
            let (name, sku) = (product.name.as_str(), product.sku.as_str());
            match Template::of(number) {
                Template::JsonLd => {
                    let block = between(&text, "application/ld+json\">", "</script>");
                    assert_eq!(block.contains("@graph"), number % 10 == 5);
                    let json_name = name.replace('"', "\\\"");
                    assert!(block.contains(&format!("\"name\":\"{json_name}\"")), "{block}");
                    assert!(block.contains(&format!("\"price\":\"{amount}\"")), "{block}");
                    assert!(block.contains(&format!("\"sku\":\"{sku}\"")), "{block}");
                    assert!(block.contains(&format!("org/{}\"", product.availability)));
                }
                Template::Microdata => {
                    assert_eq!(between(&text, "itemprop=\"price\" content=\"", "\""), amount);
                    assert_eq!(between(&text, "itemprop=\"sku\">", "<"), sku);
                }
                Template::Meta => {
                    let title = between(&text, "property=\"og:title\" content=\"", "\"");
                    assert_eq!(unescape(title), name);
                    let found = between(&text, "\"product:price:amount\" content=\"", "\"");
                    assert_eq!(found, amount);
                }
                Template::Plain => {
                    assert!(!text.contains("itemprop") && !text.contains("ld+json"));
                    assert_eq!(between(&text, "class=\"sku\">", "<"), sku);
                }
                Template::German => assert!(text.contains(sku) && product.is_german),
            }
        }
    }

    #[test]
    fn pages_are_about_as_long_as_wanted_and_differ() {
        for bytes in [2000, 30_000, 300_000] {
            let pages = Pages::new(Shop::new().with_page_bytes(bytes));
            for number in 0..100 {
                let length = pages.page(number).body.len();
                assert!(length.abs_diff(bytes) <= bytes / 10 + 500, "{number}: {length}");
            }
            assert_ne!(pages.page(0).body, pages.page(10).body);
            assert_eq!(pages.page(0).body, pages.page(0).body);
        }
    }

    #[test]
    fn german_pages_tell_their_charset_by_header_and_by_meta_in_turn() {
        let (by_meta, by_header) = (pages().page(4), pages().page(9));
        assert_eq!(by_meta.content_type, "text/html");
        assert_eq!(by_header.content_type, "text/html; charset=windows-1252");
        for page in [by_meta, by_header] {
            assert!(std::str::from_utf8(&page.body).is_err());
            assert!(page.body.windows(22).any(|part| part == b"charset=\"windows-1252\""));
        }
    }
}
