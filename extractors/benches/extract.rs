//! What extraction costs a page of 30 KB, in microseconds of one core; other work on the machine doesn't
//! count.
//!
//! `cargo bench -p harvestman-extractors --bench extract`

use std::{fmt::Write, time::Duration};

use harvestman_engine::{Extractor, Page, Params, Schema, Task};
use harvestman_extractors::Standard;
use serde_json::{Value, json};

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PAGE_BYTES: usize = 30_000;
const ROUND: Duration = Duration::from_secs(1);
/// How many pages are read between two looks at the time that they have taken.
const PAGES_A_LOOK: u32 = 50;

const JSON_LD: &str = r#"<script type="application/ld+json">{"@type": "Product", "name": "Lamp",
    "brand": {"@type": "Brand", "name": "Lumo"}, "offers": {"price": "19.90", "priceCurrency": "EUR"}}
    </script>"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let found = json!({"name": "string", "price": "number"});
    let located = json!({
        "name": {"selector": "h1"}, "price": {"selector": ".product-price", "type": "number"},
    });
    let late = json!({
        "name": {"selector": "h1"}, "price": {"selector": "#last", "type": "number"},
    });
    let nested = json!({"name": {"selector": "h1:has(b), h1"}, "price": {"selector": "#last"}});
    let cases: [(&str, &str, &Value); 5] = [
        ("two fields in JSON-LD", JSON_LD, &found),
        ("two fields by their names, no structured data", "", &found),
        ("two CSS fields at the page's beginning", "", &located),
        ("two CSS fields, one at the page's end", "", &late),
        ("two CSS fields that need a tree", "", &nested),
    ];
    for (title, head, sketch) in cases {
        let schema = Schema::from_json(sketch.clone())?;
        let task = Task::new(0, "https://shop.test/lamp", Params::new().with_extract(schema));
        let page = Page::new("https://shop.test/lamp".parse()?, page(head));
        let extractor = Standard::new();
        let mut pages = 0_u32;
        let begun = cpu_time()?;
        while cpu_time()?.saturating_sub(begun) < ROUND {
            for _ in 0..PAGES_A_LOOK {
                let fields = runtime.block_on(extractor.extract(&task, &page))?;
                assert!(fields.missing.is_empty(), "{title}: {:?}", fields.missing);
                pages += 1;
            }
        }
        let each = cpu_time()?.saturating_sub(begun) / pages;
        println!("{title:<46} {:>6.1} µs", each.as_secs_f64() * 1e6);
    }
    Ok(())
}

/// What this process has taken of one core, to ten milliseconds.
fn cpu_time() -> Result<Duration, Box<dyn std::error::Error>> {
    const TICKS_A_SECOND: u64 = 100;
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, after_name) = stat.rsplit_once(')').ok_or("no such figure")?;
    // The user's time and the system's are the 12th and 13th figure after the name.
    let ticks = after_name.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let ticks: u64 = ticks.sum::<Result<_, _>>()?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS_A_SECOND))
}

/// A product page with a menu before and reviews after what counts.
fn page(head: &str) -> String {
    let mut html =
        format!("<!doctype html><html><head><title>Lamp</title>{head}</head><body><nav>");
    for number in 0..80 {
        write!(html, r#"<a class="menu-item level-2" href="/c/{number}">Category {number}</a>"#)
            .expect("a string takes everything");
    }
    html += r#"</nav><main><h1>Lamp</h1><div class="product-price">19,90 €</div>"#;
    let mut number = 0;
    while html.len() < PAGE_BYTES {
        number += 1;
        write!(html, r#"<div class="review" id="r{number}"><b>Buyer {number}</b><p>A fine lamp, and bright.</p></div>"#).expect("a string takes everything");
    }
    html + r#"<div id="last">19.90</div></main></body></html>"#
}
