//! A browser that is killed in the middle of a job.

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use harvestman_engine::{
    Job, Params, RetryPolicy,
    testing::{ListSource, MemorySink},
};
use rustix::process::{Pid, Signal, kill_process};

use crate::{AT_ONCE, Error, PARAMS, browser, usage::children};

const PAGES: usize = 400;
/// How many pages come before the death, after which the rate is taken once more.
const BEFORE: u64 = 150;

pub(crate) async fn measure(url: &str) -> Result<(), Error> {
    let params: Params = serde_json::from_str(PARAMS)?;
    let list = ListSource::new((0..PAGES).map(|page| format!("{url}?{page}")));
    let sink = MemorySink::new();
    let fetcher = Arc::new(browser(url)?);
    let job =
        Job::new(Arc::new(list.with_params(params)), Arc::clone(&fetcher) as _, Arc::new(sink))
            .with_concurrency(2 * AT_ONCE)
            .with_retry(RetryPolicy::default().with_base(Duration::from_millis(100)))
            .spawn();
    let mut progress = job.watch();
    let mut reach = async |pages: u64| {
        let reached = progress.wait_for(|progress| progress.counters.ok >= pages).await;
        reached.map(|progress| (Instant::now(), progress.counters.ok))
    };
    let first = reach(10).await?;
    let before = reach(BEFORE).await?;
    let rate = |(from, to): ((Instant, u64), (Instant, u64))| {
        (to.1 - from.1) as f64 / (to.0 - from.0).as_secs_f64()
    };
    println!("before the death: {:.1} pages/s", rate((first, before)));
    kill_process(main_process().ok_or("no browser runs")?, Signal::KILL)?;
    let dead = Instant::now();
    // Those that were taken before count, too; after them the first of the next browser.
    let back = reach(before.1 + AT_ONCE as u64 + 1).await?;
    println!("the next browser's first page: {:.1} s later", (back.0 - dead).as_secs_f64());
    let after = reach(PAGES as u64 - 2 * AT_ONCE as u64).await?;
    println!("after it: {:.1} pages/s", rate((back, after)));
    let report = job.wait().await?;
    println!("{} records, {} of them ok", report.counters.done(), report.counters.ok);
    fetcher.close().await;
    Ok(())
}

/// The browser is the only child of this process besides the server.
fn main_process() -> Option<Pid> {
    let all = children().remove(&std::process::id())?;
    let command = |id: &u32| fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
    let main = all.into_iter().find(|id| command(id).contains("--remote-debugging-pipe"))?;
    Pid::from_raw(main.cast_signed())
}
