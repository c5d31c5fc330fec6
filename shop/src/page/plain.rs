//! Facts for readers only.

use std::fmt::{self, Write as _};

use super::Content;
use crate::Availability;

pub(super) fn write(page: &mut String, content: &Content<'_>) -> fmt::Result {
    content.write_head(page)?;
    content.write_top(page);
    let product = content.product;
    write!(
        page,
        "<section class=\"item\"><p class=\"crumbs\"><a href=\"/\">Home</a> / <a href=\"/departments/1\">\
         Household</a></p>\n<h1>{name}</h1>\n<div class=\"brand\">{brand}</div>\n\
         <div class=\"rating\" title=\"{rating:.1} of 5\">{reviews} reviews</div>\n\
         <div class=\"price\">{price_text}</div>\n<div class=\"stock\">{stock}</div>\n\
         <dl class=\"facts\"><dt>Item no.</dt><dd class=\"sku\">{sku}</dd><dt>Shipping</dt>\
         <dd class=\"shipping\">$4.90</dd></dl>\n\
         <label>Quantity <input class=\"quantity\" value=\"1\"></label></section>\n",
        name = content.name(),
        brand = content.brand(),
        rating = product.rating,
        reviews = product.reviews,
        price_text = product.price_text,
        stock = stock(product.availability),
        sku = product.sku,
    )?;
    content.write_bottom(page);
    Ok(())
}

fn stock(availability: Availability) -> &'static str {
    match availability {
        Availability::InStock => "In stock",
        Availability::OutOfStock => "Sold out",
        Availability::PreOrder => "Pre-order now",
    }
}
