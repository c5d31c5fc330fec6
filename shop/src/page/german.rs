//! A page in German, in windows-1252.

use std::fmt::{self, Write as _};

use super::{Content, Page};
use crate::Availability;

pub(super) fn write(page: &mut String, content: &Content<'_>) -> fmt::Result {
    let product = content.product;
    write!(
        page,
        "<!DOCTYPE html>\n<html lang=\"de\">\n<head>\n<meta charset=\"windows-1252\">\n\
         <title>{name} günstig kaufen | Demo-Laden</title>\n<link rel=\"canonical\" href=\"{path}\">\n",
        name = content.name(),
        path = content.path,
    )?;
    content.write_top(page);
    write!(
        page,
        "<div id=\"artikel\"><h1 class=\"titel\">{name}</h1>\n<p class=\"preis\">Unser Preis: \
         <span class=\"price\">{price_text}</span> <small>inkl. MwSt., zzgl. 4,90 € Versand</small></p>\n\
         <dl><dt>Marke</dt><dd>{brand}</dd><dt>Artikelnummer</dt><dd>{sku}</dd><dt>Verfügbarkeit</dt>\
         <dd>{stock}</dd><dt>Bewertung</dt><dd>{whole},{tenth} von 5 ({reviews})</dd></dl>\n\
         <button>In den Warenkorb</button></div>\n",
        name = content.name(),
        price_text = product.price_text,
        brand = content.brand(),
        sku = product.sku,
        stock = stock(product.availability),
        whole = product.rating as u32,
        tenth = (product.rating * 10.0).round() as u32 % 10,
        reviews = product.reviews,
    )?;
    content.write_bottom(page);
    Ok(())
}

fn stock(availability: Availability) -> &'static str {
    match availability {
        Availability::InStock => "Auf Lager",
        Availability::OutOfStock => "Ausverkauft",
        Availability::PreOrder => "Vorbestellbar",
    }
}

/// The page in windows-1252; of two German pages one says so in the header.
pub(super) fn encode(text: &str, number: u32) -> Page {
    let mut body = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some(length) = first_beyond_ascii(rest) {
        let at = text.len() - rest.len() + length;
        let c = text[at..].chars().next().expect("a character begins where the ASCII ends");
        body.extend_from_slice(&rest[..length]);
        body.push(encode_char(c));
        rest = &rest[length + c.len_utf8()..];
    }
    body.extend_from_slice(rest);
    let is_in_header = number % 10 == 9;
    let content_type = if is_in_header { "text/html; charset=windows-1252" } else { "text/html" };
    Page { content_type, body }
}

/// Most of a page is ASCII, which is told fastest of many bytes at once.
fn first_beyond_ascii(bytes: &[u8]) -> Option<usize> {
    const STRIDE: usize = 256;
    let chunk = bytes.chunks(STRIDE).position(|chunk| !chunk.is_ascii())?;
    let start = chunk * STRIDE;
    bytes[start..].iter().position(|byte| !byte.is_ascii()).map(|place| start + place)
}

fn encode_char(c: char) -> u8 {
    match c {
        '€' => 0x80,
        // Latin-1 is the same there.
        '\u{a0}'..='\u{ff}' => c as u8,
        _ => b'?',
    }
}
