//! How do I change how pages are fetched? By wrapping a fetcher: this one answers from a cache.
//!
//! `cargo run --example own_fetcher`

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use harvestman::{
    FetchError, Fetcher, Job, LineReader, Page, Params, Task, fetchers::Http, sources::Inline,
    testing::MemorySink,
};
use harvestman_shop::Shop;

/// Asks for each URL once. A real one would bound itself and heed the pages' headers.
#[derive(Debug)]
struct Cached<F> {
    inner: F,
    pages: Mutex<HashMap<String, String>>,
}

#[async_trait]
impl<F: Fetcher> Fetcher for Cached<F> {
    async fn fetch(&self, task: &Task) -> Result<Page, FetchError> {
        let url = task.target().expect("the driver fetches no invalid task").clone();
        let cached = self.pages.lock().expect("no holder panics").get(url.as_str()).cloned();
        if let Some(text) = cached {
            return Ok(Page::new(url, text));
        }
        // An attempt that fails is simply returned: the driver tries again when it is time.
        let page = self.inner.fetch(task).await?;
        let mut pages = self.pages.lock().expect("no holder panics");
        pages.insert(url.into(), page.text.clone());
        Ok(page)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let shop = Shop::new().start(([127, 0, 0, 1], 0).into())?;
    let urls = (0..300).map(|number| shop.product_url(number % 100));
    let source = Inline::from_urls(urls, &LineReader::new(Params::new()));
    let inner = Http::builder().allow(shop.address().to_string().parse()?).build()?;
    let fetcher = Cached { inner, pages: Mutex::default() };

    let job = Job::new(Arc::new(source), Arc::new(fetcher), Arc::new(MemorySink::new()));
    let report = job.with_concurrency(8).spawn().wait().await?;
    println!("{} records, {} requests", report.counters.ok, shop.requests());
    Ok(())
}
