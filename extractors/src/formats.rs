//! The page itself in other forms: text, Markdown, links.

use harvestman_engine::{FetchError, Fields, params::Format};
use url::Url;

use crate::{dom, text::collapse};

/// The most links of one page.
const MAX_LINKS: usize = 20_000;

/// Whether any of these forms needs the page's tree.
pub(crate) fn need_tree(formats: &[Format]) -> bool {
    formats.iter().any(|format| matches!(format, Format::Text | Format::Markdown | Format::Links))
}

/// Adds the forms that are asked for.
pub(crate) fn add(
    fields: &mut Fields,
    formats: &[Format],
    html: &str,
    base: &Url,
) -> Result<(), FetchError> {
    if formats.contains(&Format::Html) {
        fields.html = Some(html.to_owned());
    }
    if !need_tree(formats) {
        return Ok(());
    }
    let page = dom::tree(html)?;
    if formats.contains(&Format::Links) {
        fields.links = Some(links(&page, base));
    }
    page.select("script, style, noscript, template").remove();
    if formats.contains(&Format::Markdown) {
        fields.markdown = Some(page.md(None).to_string());
    }
    if formats.contains(&Format::Text) {
        let body = page.body().map(|body| body.formatted_text().to_string()).unwrap_or_default();
        let lines = body.lines().map(collapse).filter(|line| !line.is_empty());
        fields.text = Some(lines.collect::<Vec<_>>().join("\n"));
    }
    Ok(())
}

/// The absolute addresses of the links, each once, in the order of the page.
fn links(page: &dom_query::Document, base: &Url) -> Vec<String> {
    let base = page.base_uri().and_then(|own| base.join(&own).ok()).unwrap_or_else(|| base.clone());
    let mut seen = std::collections::HashSet::new();
    let mut links = Vec::new();
    for anchor in page.select("a[href], area[href]").nodes() {
        let Some(address) = anchor.attr("href").and_then(|href| base.join(href.trim()).ok()) else {
            continue;
        };
        let is_page = matches!(address.scheme(), "http" | "https");
        if is_page && links.len() < MAX_LINKS && seen.insert(address.to_string()) {
            links.push(address.into());
        }
    }
    links
}
