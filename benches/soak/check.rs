//! Every figure against every file.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use anyhow::{Context, Result, ensure};
use harvestman::{Engine, store::Status};
use serde_json::Value;

use crate::{
    Plan,
    endpoint::Endpoint,
    worker::{self, LARGE_PAGES, SMALL_PAGES},
};

/// What a job's file says.
#[derive(Default)]
struct Sums {
    records: u64,
    ok: u64,
    credits: u64,
}

pub(crate) async fn reconcile(directory: &Path, endpoint: &Endpoint, plan: Plan) -> Result<()> {
    let engine = Engine::open(worker::config(directory)).await?;
    let accepted = endpoint.accepted();
    let mut all = Sums::default();
    for number in 0..plan.large + plan.small {
        let id = worker::id(number)?;
        let pages = if number < plan.large { LARGE_PAGES } else { SMALL_PAGES };
        let job = engine.status(&id).await?.job;
        let context = || format!("{id}: {job:?}");
        ensure!(job.status == Status::Completed, context());
        let mut sums = Sums::default();
        let mut seen = vec![false; pages as usize];
        for part in &job.parts {
            add(&part.location, &mut sums, &mut seen).with_context(context)?;
        }
        ensure!(seen.iter().all(|seen| *seen), "a line without a record: {}", context());
        ensure!(sums.records == u64::from(pages), "a record too many: {}", context());
        ensure!(sums.records == job.counters.done(), "records: {}", context());
        ensure!(sums.ok == job.counters.ok, "ok: {}", context());
        ensure!(sums.credits == job.counters.credits, "credits: {}", context());
        ensure!(engine.store().count_events(&id).await? == 1, "events: {}", context());
        let told = accepted.get(id.as_str()).map_or(0, std::collections::BTreeSet::len);
        ensure!(told == 1, "{told} events were delivered: {}", context());
        all.records += sums.records;
        all.ok += sums.ok;
        all.credits += sums.credits;
    }
    engine.shutdown().await;
    let Sums { records, ok, credits } = all;
    let jobs = plan.large + plan.small;
    println!("{jobs} jobs, {records} records, {ok} ok, {credits} credits: all agree");
    Ok(())
}

fn add(path: &str, sums: &mut Sums, seen: &mut [bool]) -> Result<()> {
    for line in BufReader::new(File::open(path)?).lines() {
        let record: Value = serde_json::from_str(&line?)?;
        let index = record["index"].as_u64().context("no index")? as usize;
        let slot = seen.get_mut(index).context("an index beyond the list")?;
        ensure!(!std::mem::replace(slot, true), "record {index} twice");
        sums.records += 1;
        sums.ok += u64::from(record["status"] == "ok");
        sums.credits += record["credits"].as_u64().context("no credits")?;
    }
    Ok(())
}
