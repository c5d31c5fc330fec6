//! How do I run a job inside my program, watch it, and read its report?
//!
//! `cargo run --example embed`

use std::{sync::Arc, time::Duration};

use harvestman::{
    Job, LineReader, Params, Schema,
    extractors::Standard,
    fetchers::Http,
    sinks::{FileSink, OutputFormat},
    sources::Inline,
};
use harvestman_shop::Shop;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Stands for the web.
    let shop = Shop::new().start(([127, 0, 0, 1], 0).into())?;
    let urls = (0..500).map(|number| shop.product_url(number));

    let schema = Arc::new(Schema::from_pairs([("name", "string"), ("price", "number")])?);
    let reader = LineReader::new(Params::new().with_extract(schema.clone()));
    let source = Inline::from_urls(urls, &reader);
    let fetcher = Http::builder().allow(shop.address().to_string().parse()?).build()?;
    let directory = tempfile::tempdir()?;
    let output = directory.path().join("products.csv");
    let sink = FileSink::new(&output, OutputFormat::detect(&output)?).with_schema(schema);

    let job = Job::new(Arc::new(source), Arc::new(fetcher), Arc::new(sink))
        .with_extractor(Arc::new(Standard::new()))
        .with_concurrency(32)
        .spawn();

    let mut progress = job.watch();
    tokio::spawn(async move {
        while progress.changed().await.is_ok() {
            let now = progress.borrow_and_update().clone();
            println!(
                "{} done, {} under way, eta {:?}",
                now.counters.done(),
                now.in_flight,
                now.eta
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });

    let report = job.wait().await?;
    println!(
        "{:?}: {} ok, {} errors",
        report.ending,
        report.counters.ok,
        report.counters.errored()
    );
    println!(
        "{}",
        std::fs::read_to_string(&output)?.lines().take(3).collect::<Vec<_>>().join("\n")
    );
    Ok(())
}
