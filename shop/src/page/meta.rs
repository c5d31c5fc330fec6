//! Facts in `meta` elements.

use std::fmt::{self, Write as _};

use super::Content;
use crate::Availability;

pub(super) fn write(page: &mut String, content: &Content<'_>) -> fmt::Result {
    content.write_head(page)?;
    let product = content.product;
    write!(
        page,
        "<meta property=\"og:type\" content=\"product\">\n\
         <meta property=\"og:title\" content=\"{name}\">\n\
         <meta property=\"og:site_name\" content=\"The Demo Shop\">\n\
         <meta property=\"og:url\" content=\"{path}\">\n\
         <meta property=\"product:brand\" content=\"{brand}\">\n\
         <meta property=\"product:price:amount\" content=\"{price:.2}\">\n\
         <meta property=\"product:price:currency\" content=\"{currency}\">\n\
         <meta property=\"product:availability\" content=\"{availability}\">\n\
         <meta property=\"product:retailer_item_id\" content=\"{sku}\">\n",
        name = content.name(),
        path = content.path,
        brand = content.brand(),
        price = product.price,
        currency = product.currency,
        availability = availability(product.availability),
        sku = product.sku,
    )?;
    content.write_top(page);
    write!(
        page,
        "<div class=\"pdp\"><div class=\"pdp-info\"><h1>{name}</h1>\n<p class=\"pdp-price\">Now \
         <b class=\"price\">{price_text}</b> <small>incl. VAT</small></p></div></div>\n",
        name = content.name(),
        price_text = product.price_text,
    )?;
    content.write_bottom(page);
    Ok(())
}

fn availability(availability: Availability) -> &'static str {
    match availability {
        Availability::InStock => "in stock",
        Availability::OutOfStock => "out of stock",
        Availability::PreOrder => "preorder",
    }
}
