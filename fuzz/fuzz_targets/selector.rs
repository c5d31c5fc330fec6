//! Any selector is refused, or reads a page: CSS, XPath, JSONPath, regular expressions.
#![no_main]

use std::sync::LazyLock;

use harvestman_engine::{Extractor, Page, Params, Schema, Task};
use harvestman_extractors::Standard;
use libfuzzer_sys::fuzz_target;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};

const PAGE: &str = r#"<h1 class="a b">Lamp <b>x</b></h1><ul><li id=c>1<li>2</ul><table><tr><th>n<td>3</table>
    <script type="application/json">{"a": [1, {"b": "c"}], "price": 9.5}</script>"#;

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().build().expect("a runtime"));

fuzz_target!(|texts: (&str, &str)| {
    let (selector, regex) = texts;
    let rule = json!({"selector": selector, "type": "array of string"});
    let with_regex = json!({"selector": "h1", "regex": regex});
    let Ok(schema) = Schema::from_json(json!({"a": rule, "b": with_regex})) else { return };
    if Standard::check(&schema).is_err() {
        return;
    }
    let task = Task::new(0, "https://shop.test/", Params::new().with_extract(schema));
    let page = Page::new(task.target().expect("an address").clone(), PAGE);
    let fields = RUNTIME.block_on(Standard::new().extract(&task, &page));
    fields.expect("a checked schema reads a sound page");
});
