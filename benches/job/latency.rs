//! How much of the ideal rate is reached when every answer takes 100 ms and 256 are under way.

use std::{sync::Arc, time::Instant};

use anyhow::{Result, ensure};
use harvestman::{
    HostLimits, Job, LineReader, Params, Schema,
    extractors::Standard,
    fetchers::Http,
    sinks::{FileSink, OutputFormat},
    sources::Inline,
};

use crate::stage::Origin;

const PAGES: u32 = 40_000;
const IN_FLIGHT: usize = 256;
const LATENCY_MS: usize = 100;

pub(crate) fn run() -> Result<()> {
    let origin = Origin::start(&["shop", "2000", &LATENCY_MS.to_string(), "json-ld"])?;
    tokio::runtime::Runtime::new()?.block_on(job(&origin))
}

async fn job(origin: &Origin) -> Result<()> {
    let schema = Arc::new(Schema::from_pairs([("name", "string"), ("price", "number")])?);
    let reader = LineReader::new(Params::new().with_extract(schema));
    let urls = (0..PAGES).map(|number| origin.product_url(number));
    let source = Inline::from_urls(urls, &reader);
    let directory = tempfile::tempdir()?;
    let sink = FileSink::new(directory.path().join("out.ndjson"), OutputFormat::default());
    let fetcher = Http::builder().allow(origin.address.to_string().parse()?).build()?;
    let begun = Instant::now();
    let report = Job::new(Arc::new(source), Arc::new(fetcher), Arc::new(sink))
        .with_extractor(Arc::new(Standard::new()))
        .with_concurrency(IN_FLIGHT)
        .with_hosts(HostLimits::default())
        .spawn()
        .wait()
        .await?;
    let rate = f64::from(PAGES) / begun.elapsed().as_secs_f64();
    ensure!(report.counters.ok == u64::from(PAGES), "{:?}", report.counters);
    let ideal = IN_FLIGHT * 1_000 / LATENCY_MS;
    println!("  {rate:.0} pages/s of the ideal {ideal}, start and end included");
    Ok(())
}
