//! What hosts that refuse or hang cost the others.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use async_trait::async_trait;
use harvestman::{
    FetchError, Fetcher, Job, LineReader, Page, Params, Report, Task, fetchers::Http,
    sources::Inline, testing::MemorySink,
};
use harvestman_shop::{Faults, LoggedRequest, RunningShop, Shop};

const IN_FLIGHT: usize = 32;
/// What may lie between the shop's answer and the moment when the job knows of it.
const ON_THE_WAY: Duration = Duration::from_millis(100);

pub(crate) fn run() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(refusals())?;
    runtime.block_on(tar_pit())
}

/// 20,000 pages of 200 hosts, of which 5 % answer 429 once and ask for a second.
async fn refusals() -> Result<()> {
    const PAGES: u32 = 20_000;
    const HOSTS: u32 = 200;
    const WAIT: Duration = Duration::from_secs(1);
    let open = || {
        let faults = Faults::none().with_rate_limited_once(50).with_retry_after(WAIT);
        let shop = Shop::new().with_products(PAGES).with_page_bytes(2_000).with_faults(faults);
        shop.with_log(true).start(([0, 0, 0, 0], 0).into())
    };
    let urls = |shop: &RunningShop| -> Vec<_> {
        (0..PAGES).map(|number| shop.host_product_url((number % HOSTS) as u16, number)).collect()
    };

    let shop = open()?;
    let (report, in_driver) = job(urls(&shop), fetcher()?, Params::new()).await?;
    ensure!(report.counters.ok == u64::from(PAGES), "{:?}", report.counters);
    let early = early_requests(&shop.log(), WAIT);
    shop.stop();

    let shop = open()?;
    let in_slot = InSlot { inner: fetcher()? };
    let (report, slept) = job(urls(&shop), in_slot, Params::new()).await?;
    ensure!(report.counters.ok == u64::from(PAGES), "{:?}", report.counters);

    let rate = |took: Duration| f64::from(PAGES) / took.as_secs_f64();
    println!("  5 % of {PAGES} pages over {HOSTS} hosts answer 429 with Retry-After: 1");
    println!("    retried by the driver        {:>6.0} pages/s", rate(in_driver));
    println!("    retried inside the slot      {:>6.0} pages/s", rate(slept));
    println!("    ratio {:.1}; requests before their time: {early}", rate(in_driver) / rate(slept));
    Ok(())
}

/// 100 hosts of which one takes requests and never answers, and the same without that one.
async fn tar_pit() -> Result<()> {
    const HOSTS: u32 = 100;
    const PAGES_OF_A_HOST: u32 = 200;
    let shop = Shop::new().with_page_bytes(2_000).with_latency(Duration::from_millis(20));
    let shop = shop.with_products(HOSTS * PAGES_OF_A_HOST).start(([0, 0, 0, 0], 0).into())?;
    let params = || Params::new().with_timeout(Duration::from_secs(2));
    let all = |is_pit: bool| -> Vec<_> {
        let pages = 0..HOSTS * PAGES_OF_A_HOST;
        let url = |number| match (number % HOSTS) as u16 {
            0 if is_pit => Some(shop.tar_pit_url(0, number)),
            0 => None,
            host => Some(shop.host_product_url(host, number)),
        };
        pages.filter_map(url).collect()
    };
    let (_, without) = job(all(false), fetcher()?, params()).await?;
    let healthy = u64::from((HOSTS - 1) * PAGES_OF_A_HOST);
    let with = time_of_the_healthy(all(true), params(), healthy).await?;
    println!("  99 hosts, {PAGES_OF_A_HOST} pages each, with a tar pit among them");
    println!(
        "    without it {:.2} s, with it {:.2} s: ratio {:.2}",
        without.as_secs_f64(),
        with.as_secs_f64(),
        with.as_secs_f64() / without.as_secs_f64()
    );
    Ok(())
}

async fn job(
    urls: Vec<String>,
    fetcher: impl Fetcher + 'static,
    params: Params,
) -> Result<(Report, Duration)> {
    let source = Inline::from_urls(urls, &LineReader::new(params));
    let job = Job::new(Arc::new(source), Arc::new(fetcher), Arc::new(MemorySink::new()));
    let begun = Instant::now();
    let report = job.with_concurrency(IN_FLIGHT).spawn().wait().await?;
    Ok((report, begun.elapsed()))
}

/// How long it takes until as many pages are done as the healthy hosts have.
async fn time_of_the_healthy(urls: Vec<String>, params: Params, pages: u64) -> Result<Duration> {
    let source = Inline::from_urls(urls, &LineReader::new(params));
    let job = Job::new(Arc::new(source), Arc::new(fetcher()?), Arc::new(MemorySink::new()));
    let begun = Instant::now();
    let handle = job.with_concurrency(IN_FLIGHT).spawn();
    let mut progress = handle.watch();
    progress.wait_for(|now| now.counters.ok >= pages).await?;
    let took = begun.elapsed();
    handle.abort();
    handle.wait().await?;
    Ok(took)
}

fn fetcher() -> Result<Http> {
    Ok(Http::builder().allow("127.0.0.0/8".parse()?).build()?)
}

/// How many requests came to a host after it had asked for a pause and before that was over.
fn early_requests(log: &[LoggedRequest], pause: Duration) -> usize {
    let mut pauses: HashMap<&str, Vec<Instant>> = HashMap::new();
    for request in log.iter().filter(|request| request.status == 429) {
        pauses.entry(&request.host).or_default().push(request.answered);
    }
    let is_early = |request: &&LoggedRequest| {
        let mut asked = pauses.get(request.host.as_str()).into_iter().flatten();
        asked.any(|asked| request.came > *asked + ON_THE_WAY && request.came < *asked + pause)
    };
    log.iter().filter(is_early).count()
}

/// Does what a client does that retries by itself: sleeps while it holds its place.
#[derive(Debug)]
struct InSlot<F> {
    inner: F,
}

#[async_trait]
impl<F: Fetcher> Fetcher for InSlot<F> {
    async fn fetch(&self, task: &Task) -> Result<Page, FetchError> {
        loop {
            match self.inner.fetch(task).await {
                Err(FetchError { retry_after: Some(wait), .. }) => tokio::time::sleep(wait).await,
                fetched => return fetched,
            }
        }
    }
}
