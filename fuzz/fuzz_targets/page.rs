//! Any page gives the fields of the schema, in its order, and the same ones again: tags and tree,
//! JSON-LD and its repair, microdata, state, labels, dates, numbers, prices.
#![no_main]

use std::sync::LazyLock;

use harvestman_engine::{Extractor, Page, Params, Task};
use harvestman_extractors::Standard;
use libfuzzer_sys::fuzz_target;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().build().expect("a runtime"));
static EXTRACTOR: LazyLock<Standard> = LazyLock::new(Standard::new);

static TASK: LazyLock<Task> = LazyLock::new(|| {
    let params = json!({
        "extract": {
            "name": "string", "title": "string", "price": "decimal(10,2)", "currency": "string",
            "availability": "string", "brand": "string", "sku": "string", "author": "string",
            "published": "date", "updated": "datetime", "image": "url", "rating": "number",
            "ingredients": "array of string", "tags": "array of string", "total_time": "integer",
            "offers": [{"price": "number", "currency": "string"}], "height": "string",
            "weight": {"type": "number", "unit": "kg", "locale": "de-DE"},
            "first": {"selector": "h1"}, "cell": {"selector": "//td[2]"},
            "deep": {"selector": "$..price", "type": "number"},
        },
        "extract_options": {"meta": true},
    });
    let params: Params = serde_json::from_value(params).expect("parameters");
    Task::new(0, "https://shop.test/2024/03/12/lamp-1234", params)
});

fuzz_target!(|bytes: &[u8]| {
    let url = TASK.target().expect("an address").clone();
    let page = Page::new(url, String::from_utf8_lossy(bytes));
    let extract = || RUNTIME.block_on(EXTRACTOR.extract(&TASK, &page));
    let (Ok(first), Ok(again)) = (extract(), extract()) else { return };
    assert_eq!(first, again);
    let data = first.data.expect("data was asked for");
    let schema = TASK.params().extract.as_ref().expect("a schema");
    assert!(data.keys().eq(schema.fields().iter().map(|field| &field.name)));
});
