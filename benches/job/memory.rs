//! The peak of memory of a job over a list on disk, 2 KB pages, 256 at a time, with checkpoints: it
//! must not grow with the list.

use std::{
    fs::File,
    io::{BufWriter, Write},
    sync::Arc,
    time::Instant,
};

use anyhow::{Result, ensure};
use harvestman::{
    FileStore, Job, LineReader, Params, Schema,
    extractors::Standard,
    fetchers::Http,
    sinks::{FileSink, OutputFormat},
    sources::{FileSource, InputOptions},
};

use crate::stage::{Origin, cpu_time, isolated, peak_bytes};

const URLS: [u32; 2] = [100_000, 1_000_000];

pub(crate) fn run() -> Result<()> {
    let origin = Origin::start(&["shop", "2000", "0", "json-ld"])?;
    for urls in URLS {
        let said = isolated(&["memory", &urls.to_string(), &origin.address.to_string()])?;
        println!("  {urls:>9} URLs: {said}");
    }
    Ok(())
}

/// Runs one job and prints its peak.
pub(crate) fn job(urls: u32, address: &str) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let list = directory.path().join("urls.ndjson");
    let mut file = BufWriter::new(File::create(&list)?);
    for number in 0..urls {
        writeln!(file, "{{\"url\":\"http://{address}/products/{number}\"}}")?;
    }
    file.into_inner()?;
    let schema = Arc::new(Schema::from_pairs([("name", "string"), ("price", "number")])?);
    let reader = LineReader::new(Params::new().with_extract(schema));
    let source = FileSource::from_path(&list, reader, &InputOptions::new())?;
    let output = directory.path().join("out.ndjson");
    let sink = FileSink::new(&output, OutputFormat::detect(&output)?);
    let fetcher = Http::builder().allow(address.parse()?).build()?;
    let job = Job::new(Arc::new(source), Arc::new(fetcher), Arc::new(sink))
        .with_extractor(Arc::new(Standard::new()))
        .with_store(Arc::new(FileStore::open(directory.path().join("out.ndjson.job"))?))
        .with_concurrency(256);
    let begun = Instant::now();
    let runtime = tokio::runtime::Runtime::new()?;
    let report = runtime.block_on(async { job.spawn().wait().await })?;
    ensure!(report.counters.ok == u64::from(urls), "{:?}", report.counters);
    println!(
        "peak {} MB; {:.0} pages/s, {:.1} CPU-s",
        peak_bytes()? / 1_000_000,
        f64::from(urls) / begun.elapsed().as_secs_f64(),
        cpu_time().as_secs_f64(),
    );
    Ok(())
}
