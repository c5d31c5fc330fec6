//! How does a job go on after my program was stopped, or killed?
//!
//! `cargo run --example resume`

use std::{path::Path, sync::Arc, time::Duration};

use harvestman::{
    FileStore, Job, LineReader, Params,
    fetchers::Http,
    sinks::{FileSink, OutputFormat},
    sources::Inline,
};
use harvestman_shop::{RunningShop, Shop};

/// The same parts with the same store: that is all it takes.
fn job(shop: &RunningShop, directory: &Path) -> anyhow::Result<Job> {
    let urls = (0..400).map(|number| shop.product_url(number));
    let source = Inline::from_urls(urls, &LineReader::new(Params::new()));
    let fetcher = Http::builder().allow(shop.address().to_string().parse()?).build()?;
    let output = directory.join("pages.ndjson");
    let sink = FileSink::new(&output, OutputFormat::detect(&output)?);
    let store = FileStore::open(directory.join("state"))?;
    Ok(Job::new(Arc::new(source), Arc::new(fetcher), Arc::new(sink))
        .with_store(Arc::new(store))
        .with_concurrency(8))
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let shop = Shop::new().with_latency(Duration::from_millis(50));
    let shop = shop.start(([127, 0, 0, 1], 0).into())?;
    let directory = tempfile::tempdir()?;

    // As after `kill -9`: nothing is saved but the commits made so far, one a second.
    let killed = job(&shop, directory.path())?.spawn();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    killed.abort();
    let report = killed.wait().await?;
    println!("{:?} after {} records", report.ending, report.counters.done());

    // The polite way: pages under way are finished and everything is saved.
    let suspended = job(&shop, directory.path())?.spawn();
    tokio::time::sleep(Duration::from_millis(200)).await;
    suspended.suspend();
    let report = suspended.wait().await?;
    println!("{:?} after {} records", report.ending, report.counters.done());

    let report = job(&shop, directory.path())?.spawn().wait().await?;
    println!("{:?} with {} records in {:?}", report.ending, report.counters.done(), report.parts);
    Ok(())
}
