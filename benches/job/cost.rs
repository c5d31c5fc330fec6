//! The time on processors for 1,000 pages of 30 KB, 32 at a time, and for a bare loop over the same
//! client that throws the pages away.

use std::{sync::Arc, time::Instant};

use anyhow::{Context, Result, ensure};
use harvestman::{
    Job, LineReader, Params, Schema,
    extractors::Standard,
    fetchers::Http,
    sinks::{FileSink, OutputFormat},
    sources::Inline,
};
use serde_json::json;
use tokio::task::JoinSet;

use crate::stage::{Origin, cpu_time, isolated};

const PAGES: u32 = 20_000;
const IN_FLIGHT: usize = 32;
const ROUNDS: usize = 3;

const CASES: [(&str, &str); 4] = [
    ("bare", "a bare reqwest loop, pages thrown away"),
    ("none", "the job, no fields"),
    ("json-ld", "the job, two fields found in JSON-LD"),
    ("css", "the job, two fields by CSS selectors"),
];

pub(crate) fn run() -> Result<()> {
    let origin = Origin::start(&["shop", "30000", "0", "json-ld"])?;
    let address = origin.address.to_string();
    for (case, title) in CASES {
        let mut rounds = (0..ROUNDS)
            .map(|_| Ok(isolated(&["cost", case, &address])?.parse()?))
            .collect::<Result<Vec<f64>>>()?;
        rounds.sort_by(f64::total_cmp);
        let [best, .., worst] = rounds[..] else { unreachable!("there are several rounds") };
        println!("  {title:<42} {best:.3} to {worst:.3} CPU-s per 1,000 pages");
    }
    Ok(())
}

/// Runs one case and prints what 1,000 pages cost.
pub(crate) fn job(case: &str, address: &str) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        match case {
            "bare" => bare(address).await,
            case => whole(case, address).await,
        }
    })?;
    println!("{}", cpu_time().as_secs_f64() / f64::from(PAGES) * 1_000.0);
    Ok(())
}

async fn whole(case: &str, address: &str) -> Result<()> {
    let schema: Option<Schema> = match case {
        "json-ld" => Some(Schema::from_pairs([("name", "string"), ("price", "number")])?),
        "css" => Some(serde_json::from_value(json!({
            "name": {"type": "string", "selector": "h1"},
            "price": {"type": "number", "selector": ".price"},
        }))?),
        _ => None,
    };
    let schema = schema.map(Arc::new);
    let mut params = Params::new();
    params.extract.clone_from(&schema);
    let urls = (0..PAGES).map(|number| format!("http://{address}/products/{number}"));
    let source = Inline::from_urls(urls, &LineReader::new(params));
    let directory = tempfile::tempdir()?;
    let sink = FileSink::new(directory.path().join("out.ndjson"), OutputFormat::default());
    let fetcher = Http::builder().allow(address.parse()?).build()?;
    let report = Job::new(Arc::new(source), Arc::new(fetcher), Arc::new(sink))
        .with_extractor(Arc::new(Standard::new()))
        .with_concurrency(IN_FLIGHT)
        .spawn()
        .wait()
        .await?;
    ensure!(report.counters.ok == u64::from(PAGES), "{:?}", report.counters);
    Ok(())
}

async fn bare(address: &str) -> Result<()> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let begun = Instant::now();
    let mut loops = JoinSet::new();
    for start in 0..IN_FLIGHT as u32 {
        let (client, address) = (client.clone(), address.to_owned());
        loops.spawn(async move {
            for number in (start..PAGES).step_by(IN_FLIGHT) {
                let url = format!("http://{address}/products/{number}");
                client.get(url).send().await?.error_for_status()?.bytes().await?;
            }
            Ok::<_, reqwest::Error>(())
        });
    }
    while let Some(ended) = loops.join_next().await {
        ended.context("a loop panicked")??;
    }
    ensure!(begun.elapsed().as_secs() < 600, "the machine is too slow to compare anything");
    Ok(())
}
