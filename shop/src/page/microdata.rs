//! Facts in `itemprop` attributes.

use std::fmt::{self, Write as _};

use super::Content;

pub(super) fn write(page: &mut String, content: &Content<'_>) -> fmt::Result {
    content.write_head(page)?;
    content.write_top(page);
    let product = content.product;
    write!(
        page,
        "<div itemscope itemtype=\"https://schema.org/Product\">\n<h1 itemprop=\"name\">{name}</h1>\n\
         <p>Item no. <span itemprop=\"sku\">{sku}</span></p>\n\
         <div itemprop=\"brand\" itemscope itemtype=\"https://schema.org/Brand\"><meta itemprop=\"name\" \
         content=\"{brand}\"></div>\n\
         <div itemprop=\"aggregateRating\" itemscope itemtype=\"https://schema.org/AggregateRating\">\
         <span itemprop=\"ratingValue\">{rating:.1}</span> of 5 by <span itemprop=\"reviewCount\">{reviews}\
         </span></div>\n\
         <div itemprop=\"offers\" itemscope itemtype=\"https://schema.org/Offer\"><meta \
         itemprop=\"priceCurrency\" content=\"{currency}\"><link itemprop=\"availability\" \
         href=\"https://schema.org/{availability}\"><data itemprop=\"price\" content=\"{price:.2}\" \
         class=\"price\">{price_text}</data></div>\n</div>\n",
        name = content.name(),
        sku = product.sku,
        brand = content.brand(),
        rating = product.rating,
        reviews = product.reviews,
        currency = product.currency,
        availability = product.availability,
        price = product.price,
        price_text = product.price_text,
    )?;
    content.write_bottom(page);
    Ok(())
}
