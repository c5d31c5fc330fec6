//! The process that is killed: submits what is missing, and waits for all of it.

use std::{fmt::Write, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use harvestman::{
    Engine, EngineConfig, JobSpec, RateCard,
    engine::{EngineSettings, SubmitOptions},
    id::JobId,
    spec::{Input, WebhookSpec},
    webhook::Schedule,
};
use harvestman_shop::RunningShop;

use crate::PRODUCTS;

/// Pages of a small job.
pub(crate) const SMALL_PAGES: u32 = 5;
/// Pages of a large job.
pub(crate) const LARGE_PAGES: u32 = 20_000;
/// How many jobs are submitted ahead of the running ones.
const WINDOW: usize = 500;

/// The id of a job, the same in every life.
pub(crate) fn id(number: u32) -> Result<JobId> {
    Ok(format!("job_{number:012X}").parse()?)
}

pub(crate) fn config(directory: &Path) -> EngineConfig {
    let mut settings = EngineSettings::default();
    settings.meter = Arc::new(RateCard::default());
    settings.webhook_schedule = Schedule::new(vec![Duration::from_secs(1); 30]);
    EngineConfig::at(directory.join("data")).with_settings(settings)
}

/// The lists of the large jobs, with a page in seven that doesn't exist.
pub(crate) fn write_lists(directory: &Path, shop: &RunningShop, large: u32) -> Result<()> {
    for number in 0..large {
        let mut list = String::new();
        for line in 0..LARGE_PAGES {
            let page = shop.product_url((line * 7 + number) % PRODUCTS);
            let missing = if line % 7 == 6 { "-missing" } else { "" };
            writeln!(list, "{{\"url\": \"{page}{missing}\"}}")?;
        }
        std::fs::write(directory.join(format!("list-{number}.ndjson")), list)?;
    }
    Ok(())
}

pub(crate) async fn run(args: &[String]) -> Result<()> {
    let [directory, shop, hook, small, large] = args else {
        anyhow::bail!("worker DIRECTORY SHOP HOOK SMALL LARGE");
    };
    let directory = Path::new(directory);
    let (small, large): (u32, u32) = (small.parse()?, large.parse()?);
    let config = config(directory).with_allowed(shop.parse()?);
    let hook: WebhookSpec = WebhookSpec::new(hook.parse()?);
    let address = hook.url.socket_addrs(|| None)?.first().context("an address")?.to_string();
    let engine = Engine::open(config.with_allowed(address.parse()?)).await?;
    let mut waiting = Vec::new();
    for number in 0..large + small {
        let id = id(number)?;
        if engine.status(&id).await.is_err() {
            let input = input(directory, shop, number, large);
            let spec = JobSpec::new(input).with_webhook(hook.clone());
            let options = SubmitOptions { id: Some(id.clone()), ..SubmitOptions::default() };
            engine.submit_with(spec, options).await?;
        }
        waiting.push(id);
        if waiting.len() >= WINDOW {
            engine.wait(&waiting.remove(large as usize)).await?;
        }
    }
    for id in &waiting {
        engine.wait(id).await?;
    }
    while engine.store().next_due().await?.is_some() {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    engine.shutdown().await;
    Ok(())
}

fn input(directory: &Path, shop: &str, number: u32, large: u32) -> Input {
    if number < large {
        return Input::file(directory.join(format!("list-{number}.ndjson")));
    }
    let pages = (0..SMALL_PAGES).map(|page| {
        let missing = if page == 3 { "-missing" } else { "" };
        format!("http://{shop}/products/{}{missing}", (number * 31 + page) % PRODUCTS)
    });
    Input::urls(pages)
}
