//! What is found in pages, and what hostile pages do.
#![expect(clippy::unwrap_used, reason = "a test panics with what it finds")]

use harvestman_engine::{
    Extractor, FetchError, Fields, Page, Params, Schema, Task, testing::extractor_conformance,
};
use harvestman_extractors::Standard;
use proptest::prelude::*;
use serde_json::{Value, json};

const ADDRESS: &str = "https://shop.test/lamps/7";

async fn extract(sketch: Value, html: &str) -> Result<Fields, FetchError> {
    let schema = Schema::from_json(sketch).unwrap();
    run(Params::new().with_extract(schema), html).await
}

async fn run(params: Params, html: &str) -> Result<Fields, FetchError> {
    let task = Task::new(0, ADDRESS, params);
    let page = Page::new(task.target().unwrap().clone(), html);
    Standard::new().extract(&task, &page).await
}

async fn data(sketch: Value, html: &str) -> Value {
    Value::Object(extract(sketch, html).await.unwrap().data.unwrap())
}

const JSON_LD: &str = r#"<script type="application/ld+json">
    {"@context": "https://schema.org", "@graph": [
      {"@type": "BreadcrumbList", "name": "Home"},
      {"@type": "Product", "name": "Brass &amp; Oak Lamp", "sku": "L-7",
       "brand": {"@type": "Brand", "name": "Lumo"},
       "image": ["/i/1.jpg", "/i/2.jpg"],
       "offers": [{"@type": "Offer", "price": "1.299,00", "priceCurrency": "EUR",
                   "availability": "https://schema.org/InStock"}],
       "aggregateRating": {"ratingValue": "4.5", "reviewCount": 12}}]}
    </script>"#;

#[tokio::test]
async fn json_ld_is_read_through_graphs_and_offers() {
    let sketch = json!({
        "name": "string", "price": "number", "currency": "string", "brand": "string",
        "sku": "string", "rating": "number", "images": "array of url",
    });
    let expected = json!({
        "name": "Brass & Oak Lamp", "price": 1299.0, "currency": "EUR", "brand": "Lumo",
        "sku": "L-7", "rating": 4.5,
        "images": ["https://shop.test/i/1.jpg", "https://shop.test/i/2.jpg"],
    });
    assert_eq!(data(sketch, JSON_LD).await, expected);
}

#[tokio::test]
async fn what_one_layer_lacks_another_has() {
    let microdata = r#"<div itemscope itemtype="https://schema.org/Product">
        <h1 itemprop="name">Lamp</h1>
        <span itemprop="price" content="19.90">19,90 €</span></div>"#;
    let meta = r#"<meta property="og:title" content="Lamp">
        <meta property="product:price:amount" content="19.90"><p>…"#;
    let plain = r#"<nav><span class="price">1 €</span></nav>
        <h1>Lamp</h1><del class="price">29,90 €</del><b class="product-price">19,90 €</b>"#;
    for html in [microdata, meta, plain] {
        let found = data(json!({"name": "string", "price": "number"}), html).await;
        assert_eq!(found, json!({"name": "Lamp", "price": 19.9}), "{html}");
    }
}

#[tokio::test]
async fn selectors_are_obeyed_and_nothing_else() {
    let html = r#"<h1>Lamp <small>new</small></h1><p class="sku">Nr. 7</p><a class="more" href="../x">more</a>
        <ul><li>red<li>blue</ul><table><tr><td class="seller">A<b>1</b></td></tr>
        <tr><td class="seller">B<b>2</b></td></tr></table>"#;
    for (rule, expected) in [
        (json!({"selector": "h1"}), json!("Lamp new")),
        (json!({"selector": ".nothing"}), json!(null)),
        (json!({"selector": ".sku", "type": "integer"}), json!(7)),
        (
            json!({"selector": "a.more", "attr": "href", "type": "url"}),
            json!("https://shop.test/x"),
        ),
        (json!({"selector": "li", "type": "array of string"}), json!(["red", "blue"])),
        (
            json!({"selector": ".seller", "type": "array", "items": {"no": {"selector": "b", "type": "integer"}}}),
            json!([{"no": 1}, {"no": 2}]),
        ),
    ] {
        let found = data(json!({"field": rule}), html).await;
        assert_eq!(found, json!({"field": expected}), "{rule}");
    }
}

#[tokio::test]
async fn what_does_not_fit_is_null_and_said() {
    let html = r#"<h1>Lamp</h1><b class="count">many</b>"#;
    let sketch =
        json!({"name": "string", "isbn": "string", "n": {"selector": ".count", "type": "integer"}});
    let fields = extract(sketch, html).await.unwrap();
    assert_eq!(fields.missing, ["isbn"]);
    assert!(fields.field_errors["n"].contains("many"), "{:?}", fields.field_errors);
    assert_eq!(fields.data.unwrap()["n"], Value::Null);
}

#[tokio::test]
async fn selectors_of_three_languages_read_one_page() {
    let html = r#"<h1>Lamp</h1><ul><li>red <b>1</b><li>blue <b>2</b></ul>
        <script>window.state = {"product": {"sku": "L-7", "sizes": [1, 2], "parts": [{"n": "a"}]}};</script>
        <table><tr><th>Size<th>Price<tr><td>S<td>9</table>"#;
    for (rule, expected) in [
        (json!({"selector": "//li[2]/b", "type": "integer"}), json!(2)),
        (json!({"selector": "//li", "type": "array of string"}), json!(["red 1", "blue 2"])),
        (
            json!({"selector": "//li", "type": "array", "items": {"n": {"selector": "./b", "type": "integer"}}}),
            json!([{"n": 1}, {"n": 2}]),
        ),
        (json!({"selector": "$.product.sku"}), json!("L-7")),
        (json!({"selector": "$.product.sizes", "type": "array of integer"}), json!([1, 2])),
        (
            json!({"selector": "$.product.parts[*]", "type": "array", "items": {"n": "string"}}),
            json!([{"n": "a"}]),
        ),
        (json!({"selector": "li", "regex": "(\\d)", "type": "integer"}), json!(1)),
        (json!({"selector": ".none", "default": "?"}), json!("?")),
        (json!({"selector": [".none", "h1"]}), json!("Lamp")),
        (
            json!({"selector": "table", "output": "table_json"}),
            json!([{"Size": "S", "Price": "9"}]),
        ),
        (
            json!({"selector": "table", "output": "table_array"}),
            json!([["Size", "Price"], ["S", "9"]]),
        ),
    ] {
        let found = data(json!({"field": rule}), html).await;
        assert_eq!(found, json!({"field": expected}), "{rule}");
    }
    let rule = json!({"name": {"selector": ".none", "fallback": "auto"}});
    assert_eq!(data(rule, html).await, json!({"name": "Lamp"}));
}

#[tokio::test]
async fn a_json_schema_refuses_a_page_that_breaks_it() {
    let schema = |minimum: u32| {
        json!({"type": "object", "required": ["name", "price"], "properties": {
            "name": {"type": "string"}, "price": {"type": "number", "minimum": minimum}, "isbn": {"type": "string"}}})
    };
    let fields = extract(schema(1), JSON_LD).await.unwrap();
    assert_eq!(fields.data.unwrap()["price"], json!(1299.0));
    assert_eq!(fields.missing, ["isbn"]);
    for (minimum, html, message) in
        [(5_000, JSON_LD, "price: 1299 is too small"), (1, "<h1>Lamp</h1>", "price is missing")]
    {
        let error = extract(schema(minimum), html).await.unwrap_err();
        assert_eq!(error.code, harvestman_engine::Code::ValidationFailed);
        assert!(!error.retryable && error.message.starts_with(message), "{}", error.message);
        let partial = error.partial.unwrap().data.unwrap();
        assert!(partial["name"].is_string() && partial["price"].is_null());
    }
}

#[tokio::test]
async fn options_ask_for_meta_and_refuse_what_is_unsure() {
    let options = |json: Value| {
        let sketch = json!({"name": "string", "height": "string"});
        let params = json!({"extract": sketch, "extract_options": json});
        serde_json::from_value::<Params>(params).unwrap()
    };
    let html = format!("{JSON_LD}<p>Height: 40 cm</p>");
    let fields = run(options(json!({"meta": true})), &html).await.unwrap();
    let meta = fields.meta.unwrap();
    assert_eq!((&*meta["name"].source, &*meta["height"].source), ("jsonld", "dom:label"));
    assert!(meta["name"].confidence > meta["height"].confidence);
    let fields = run(options(json!({"min_confidence": 0.9})), &html).await.unwrap();
    assert_eq!(fields.missing, ["height"]);
    assert!(run(options(json!({"strict": true})), JSON_LD).await.is_err());
}

/// What the page can't tell, the rule does: marks of fractions, order of dates, units, further names.
#[tokio::test]
async fn rules_say_how_texts_are_understood() {
    let html = r#"<h1>Lamp</h1><b class=a data-n="1.234">1,234</b><i class=d>03/04/24</i><p class=w>1.2 kg</p>
        <p class=t>1 h 30 min</p><p class=c>19,90 €</p><p>Leuchtmittel: E27</p><p>Street price: 7,5 €</p>"#;
    for (rule, expected) in [
        (json!({"selector": ".a", "type": "number"}), json!(1234.0)),
        (json!({"selector": ".a", "type": "number", "decimal_separator": ","}), json!(1.234)),
        (json!({"selector": ".a", "type": "number", "locale": "de-DE"}), json!(1.234)),
        (json!({"selector": ".a", "attr": "data-n", "type": "number"}), json!(1.234)),
        (
            json!({"selector": ".a", "attr": "data-n", "type": "number", "decimal_separator": ","}),
            json!(1234.0),
        ),
        (json!({"selector": ".a", "type": "decimal(6,1)", "locale": "de"}), json!(1.2)),
        (json!({"selector": ".d", "type": "date"}), json!("2024-04-03")),
        (json!({"selector": ".d", "type": "date", "locale": "en-US"}), json!("2024-03-04")),
        (json!({"selector": ".d", "type": "date", "date_format": "%y/%m/%d"}), json!("2003-04-24")),
        (json!({"selector": ".w", "type": "integer", "unit": "g"}), json!(1200)),
        (json!({"selector": ".t", "type": "number", "unit": "hours"}), json!(1.5)),
        (json!({"selector": ".c", "type": "integer", "unit": "cents"}), json!(1990)),
        (json!({"type": "string", "synonyms": ["Leuchtmittel"]}), json!("E27")),
    ] {
        let found = data(json!({"socket": rule}), html).await;
        assert_eq!(found, json!({"socket": expected}), "{rule}");
    }
    let params = json!({"extract": {"uvp_of_it": "decimal(5,2)"}, "extract_options":
        {"synonyms": {"uvp_of_it": ["Street price"]}, "locale": "de-AT", "sources": ["dom"]}});
    let fields = run(serde_json::from_value(params).unwrap(), html).await.unwrap();
    assert_eq!(Value::Object(fields.data.unwrap()), json!({"uvp_of_it": 7.5}));
}

#[tokio::test]
async fn sources_can_be_confined_for_a_whole_job() {
    let with = |options: Value| {
        let params = json!({"extract": {"name": "string"}, "extract_options": options});
        serde_json::from_value::<Params>(params).unwrap()
    };
    let html = format!("{JSON_LD}<h1>Heading</h1>");
    let name =
        async |options| run(with(options), &html).await.unwrap().data.unwrap()["name"].clone();
    assert_eq!(name(json!({})).await, "Brass & Oak Lamp");
    assert_eq!(name(json!({"sources": ["dom"]})).await, "Heading");
}

/// A part of the page that the main heading stands in too tells nothing apart.
#[tokio::test]
async fn what_stands_with_the_heading_is_not_related_things() {
    let html = r#"<title>Brass lamps</title><div class="related"><h1>Brass lamps</h1>
        <p>12 March 2024</p><div class="cart-wrapper"><a class="btn">Add to cart</a></div></div>"#;
    let sketch = json!({"title": "string", "date": "date", "availability": "string"});
    let expected = json!({"title": "Brass lamps", "date": "2024-03-12", "availability": "InStock"});
    assert_eq!(data(sketch, html).await, expected);
    let html = r#"<title>Lamp</title><h1>Lamp</h1><div class="minicart"><a>Add to cart</a></div>"#;
    assert_eq!(data(json!({"availability": "string"}), html).await["availability"], Value::Null);
}

#[tokio::test]
async fn names_are_told_from_those_of_sections_and_sites() {
    for (html, expected) in [
        (
            r#"<title>Brass lamps, and how to make them - News</title><h1>News</h1>
            <meta property="og:title" content="Brass lamps, and how to make them">"#,
            "Brass lamps, and how to make them",
        ),
        (
            r#"<title>Brass lamps</title><h1><span class="kicker">Workshop</span>
            <span class="headline">Brass lamps</span></h1>"#,
            "Brass lamps",
        ),
        (
            r#"<script type="application/ld+json">{"@type": "Product", "name": "Lamp - Buy Lamp at shop.test"}</script>
            <title>Lamp - Buy Lamp at shop.test</title>"#,
            "Lamp",
        ),
    ] {
        assert_eq!(data(json!({"name": "string"}), html).await["name"], expected, "{html}");
    }
}

/// A shop's scripts keep prices in hundredths.
#[tokio::test]
async fn prices_in_hundredths_are_told_by_the_page() {
    let html = r#"<h1>Lamp</h1><script>var s = {"product": {"title": "Lamp", "price": 1990}};</script>
        <p><span>only</span> <span>19,90 €</span></p>"#;
    assert_eq!(data(json!({"price": "number"}), html).await, json!({"price": 19.9}));
}

#[tokio::test]
async fn the_page_comes_in_other_forms_too() {
    let params: Params =
        serde_json::from_value(json!({"formats": ["html", "text", "markdown", "links"]})).unwrap();
    let html = r#"<title>t</title><style>b{}</style><h1>Lamp</h1><p>A <b>brass</b> one.</p>
        <script>secret()</script><a href="/a">a</a> <a href="/a">again</a> <a href="mailto:x@y">m</a>"#;
    let fields = run(params, html).await.unwrap();
    assert_eq!(fields.html.as_deref(), Some(html));
    assert_eq!(fields.links.unwrap(), ["https://shop.test/a"]);
    let (text, markdown) = (fields.text.unwrap(), fields.markdown.unwrap());
    assert!(text.contains("Lamp\nA brass one."), "{text}");
    assert!(markdown.contains("# Lamp") && markdown.contains("**brass**"), "{markdown}");
    assert!(!text.contains("secret") && !markdown.contains("secret"));
    assert!(fields.data.is_none());
}

fn everything() -> Schema {
    Schema::from_json(json!({
        "name": "string", "price": "number", "brand": "string", "in_stock": "boolean",
        "released": "date", "images": "array of url", "offers": {"price": "number"},
        "first": {"selector": "h1"},
        "rows": {"selector": "tr", "type": "array", "items": {"cell": {"selector": "td"}}},
    }))
    .unwrap()
}

#[tokio::test]
async fn hostile_pages_give_fields_or_an_error() {
    extractor_conformance(&Standard::new(), everything(), JSON_LD).await;
    let streaming = Schema::from_json(json!({"a": {"selector": "p"}, "b": "string"})).unwrap();
    extractor_conformance(&Standard::new(), streaming, "<p>a").await;
}

/// Many of a kind: what is tried of them is bounded, so a page costs time by its length only.
#[tokio::test]
async fn a_page_of_very_many_candidates_is_read() {
    let texts = "<p>sold out 1 2 3 2020</p>".repeat(60_000);
    let html = format!("<h1>Lamp</h1><p>In stock</p>{texts}");
    let sketch = json!({"name": "string", "availability": "string", "date": "date"});
    let found = data(sketch, &html).await;
    assert_eq!(found["name"], json!("Lamp"));
    assert!(found["availability"].is_string());
}

/// What parsers stumble over.
const FRAGMENTS: &[&str] = &[
    "<",
    ">",
    "</",
    "<!--",
    "-->",
    "<![CDATA[",
    "&",
    "&#x0;",
    "&amp",
    "\"",
    "'",
    "=",
    "\0",
    " ",
    "<script type=\"application/ld+json\">",
    "</script>",
    "{\"@type\":\"Product\",",
    "\"name\":",
    "[",
    "]",
    "{",
    "}",
    ",",
    "1e999",
    "\\ud800",
    "<h1>",
    "</h1>",
    "<table>",
    "<tr>",
    "<td>",
    "<p>",
    "<select>",
    "<svg>",
    "<template>",
    "<plaintext>",
    "<div class=price>",
    "itemprop=price",
    "<meta property=og:title content=",
    "<base href=//>",
    "é",
    "\u{202e}",
    "12,50 €",
    "2024-13-40",
];

fn pages() -> impl Strategy<Value = String> {
    let fragment = prop_oneof![
        9 => proptest::sample::select(FRAGMENTS).prop_map(str::to_owned),
        1 => ".{0,8}",
    ];
    proptest::collection::vec(fragment, 0..60).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn no_page_makes_it_panic_or_break_the_schema(html in pages()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(extractor_conformance_of_one(&html));
    }
}

async fn extractor_conformance_of_one(html: &str) {
    let schema = everything();
    let names: Vec<_> = schema.fields().iter().map(|field| field.name.clone()).collect();
    if let Ok(fields) = run(Params::new().with_extract(schema), html).await {
        assert!(fields.data.unwrap().keys().eq(&names));
    }
}

/// An auction's structured data holds the price at which bidding began.
#[tokio::test]
async fn the_price_of_an_auction_is_the_bid() {
    let page = |bid: &str| {
        format!(
            r#"<script type="application/ld+json">{{"@type": "Product", "name": "Lamp",
            "offers": {{"price": "90", "priceCurrency": "EUR"}}}}</script><h1>Lamp</h1>
            <p><b class="price">{bid}</b> 5 bids</p><p>Starting price <i>90 €</i></p>"#
        )
    };
    let sketch = json!({"name": "string", "price": "number"});
    for (bid, price) in [("400 €", 400.0), ("90 €", 90.0)] {
        assert_eq!(
            data(sketch.clone(), &page(bid)).await,
            json!({"name": "Lamp", "price": price}),
            "{bid}"
        );
    }
}

#[tokio::test]
async fn a_maker_is_told_by_links_and_models_and_is_not_the_shop() {
    let json_ld = r#"<link rel="canonical" href="https://shop.test/lamps/7">
        <script type="application/ld+json">{"@type": "Product", "name": "Lamp", "brand": "Shop"}</script>"#;
    let table = "<h1>Lamp</h1><dl><dt>Brand:<dd>Lumo</dl>";
    for (html, brand) in [
        (format!("{json_ld}{table}"), json!("Lumo")),
        (format!("{json_ld}<h1>Lamp</h1>"), json!("Shop")),
        (r#"<h1>Lumo lamp</h1><a href="/brands/lumo">Lumo</a>"#.to_owned(), json!("Lumo")),
        (
            r#"<h1>Lumo lamp</h1><a href="/marke/lumo"><img alt="Lumo"></a>"#.to_owned(),
            json!("Lumo"),
        ),
        (r#"<h1>Lumo lamp</h1><a href="/brands/">Brands</a>"#.to_owned(), json!(null)),
        ("<title>Lumo FX-7 lamp</title><h1>New! Lumo FX-7 lamp</h1>".to_owned(), json!("Lumo")),
    ] {
        let sketch = json!({"brand": "string", "mpn": "string"});
        assert_eq!(data(sketch, &html).await["brand"], brand, "{html}");
    }
}

#[tokio::test]
async fn an_article_number_with_words_gives_way_to_one_without() {
    let json_ld = r#"<script type="application/ld+json">
        {"@type": "Product", "name": "Lamp", "sku": "LAMP 9010 BRASS"}</script><h1>Lamp</h1>"#;
    let html = format!("{json_ld}<p>Item no: 144432</p>");
    assert_eq!(data(json!({"sku": "string"}), &html).await, json!({"sku": "144432"}));
    assert_eq!(data(json!({"sku": "string"}), json_ld).await, json!({"sku": "LAMP 9010 BRASS"}));
}
