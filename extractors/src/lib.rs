//! How Harvestman finds the fields of a schema in a page.
//!
//! [`Standard`] reads the page's structured data first (JSON-LD, which needs no HTML parser), then, in
//! one pass, microdata, meta tags, headings and telling class names; a field with a `selector` is
//! read there and nowhere else.
//!
//! ```
//! use std::sync::Arc;
//! use harvestman_engine::{Extractor, Page, Params, Schema, Task};
//! use harvestman_extractors::Standard;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let schema = Schema::from_json(serde_json::json!({
//!     "name": "string",
//!     "price": "number",
//!     "sku": {"selector": ".sku"},
//! }))?;
//! Standard::check(&schema)?;
//! let params = Params::new().with_extract(schema);
//! let task = Task::new(0, "https://shop.test/lamp", params);
//! let page = Page::new(task.target().unwrap().clone(), r#"
//!     <script type="application/ld+json">
//!       {"@type": "Product", "name": "Lamp", "offers": {"price": "19.90"}}
//!     </script>
//!     <p>Number: <span class="sku">L-7</span></p>"#);
//!
//! let data = Standard::new().extract(&task, &page).await?.data.unwrap();
//! assert_eq!(serde_json::to_string(&data)?, r#"{"name":"Lamp","price":19.9,"sku":"L-7"}"#);
//! # Ok(()) }
//! ```

mod capture;
mod coerce;
mod concept;
mod confidence;
mod dom;
mod entity;
mod facts;
mod fields;
mod find;
mod formats;
mod jsonld;
#[cfg(feature = "llm")]
mod llm;
mod located;
mod markup;
mod money;
mod page_scan;
mod plan;
mod standard;
mod text;
mod tree;
mod validate;
mod xpath;

#[cfg(feature = "llm")]
pub use crate::llm::LlmConfig;
pub use crate::standard::{MAX_PAGE_BYTES, Standard};
