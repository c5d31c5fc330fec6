//! Facts in a JSON-LD block of the head.

use std::fmt::{self, Write as _};

use super::Content;
use crate::escape::Json;

pub(super) fn write(page: &mut String, content: &Content<'_>) -> fmt::Result {
    content.write_head(page)?;
    page.push_str("<script type=\"application/ld+json\">");
    if content.product.number % 10 == 5 {
        page.push_str(
            "{\"@context\":\"https://schema.org\",\"@graph\":[{\"@type\":\"WebSite\",\"name\":\"The \
             Demo Shop\",\"url\":\"/\"},{\"@type\":\"BreadcrumbList\",\"itemListElement\":[{\"@type\":\
             \"ListItem\",\"position\":1,\"name\":\"Home\"}]},{",
        );
        write_product(page, content)?;
        page.push_str("}]}");
    } else {
        page.push_str("{\"@context\":\"https://schema.org\",");
        write_product(page, content)?;
        page.push('}');
    }
    page.push_str("</script>\n");
    content.write_top(page);
    write_body(page, content)?;
    content.write_bottom(page);
    Ok(())
}

/// The members of the product, without braces.
fn write_product(page: &mut String, content: &Content<'_>) -> fmt::Result {
    let product = content.product;
    write!(
        page,
        "\"@type\":\"Product\",\"name\":\"{name}\",\"sku\":\"{sku}\",\"brand\":{{\"@type\":\"Brand\",\
         \"name\":\"{brand}\"}},\"url\":\"{path}\",\"aggregateRating\":{{\"@type\":\"AggregateRating\",\
         \"ratingValue\":{rating:.1},\"reviewCount\":{reviews}}},\"offers\":{{\"@type\":\"Offer\",\
         \"price\":\"{price:.2}\",\"priceCurrency\":\"{currency}\",\
         \"availability\":\"https://schema.org/{availability}\"}}",
        name = Json(&product.name),
        sku = product.sku,
        brand = Json(product.brand),
        path = content.path,
        rating = product.rating,
        reviews = product.reviews,
        price = product.price,
        currency = product.currency,
        availability = product.availability,
    )
}

fn write_body(page: &mut String, content: &Content<'_>) -> fmt::Result {
    let product = content.product;
    write!(
        page,
        "<article class=\"product\"><h1 class=\"product-title\">{name}</h1>\n\
         <p class=\"by\">by <a href=\"/brands/1\">{brand}</a></p>\n\
         <div class=\"offer\"><del class=\"was\">{was:.2}</del> <span class=\"price\">{price}</span></div>\n\
         <button class=\"btn\">Add to basket</button></article>\n",
        name = content.name(),
        brand = content.brand(),
        was = product.price * 1.2,
        price = product.price_text,
    )
}
