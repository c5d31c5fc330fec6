//! How do I queue jobs in my program, watch one, and retry what failed?
//!
//! `cargo run --example many_jobs`

use futures::StreamExt;
use harvestman::{
    Engine, EngineConfig, JobSpec, Schema,
    engine::JobEvent,
    spec::{Input, OutputSpec},
};
use harvestman_shop::Shop;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Stands for the web.
    let shop = Shop::new().start(([127, 0, 0, 1], 0).into())?;
    let directory = tempfile::tempdir()?;
    let config =
        EngineConfig::at(directory.path()).with_allowed(shop.address().to_string().parse()?);
    let engine = Engine::open(config).await?;

    let mut urls: Vec<_> = (0..300).map(|number| shop.product_url(number)).collect();
    urls.push(format!("{}-gone", shop.product_url(0)));
    let spec = JobSpec::new(Input::urls(urls))
        .with_name("catalog")
        .with_extract(Schema::from_pairs([("name", "string"), ("price", "number")])?)
        .with_output(OutputSpec::csv());
    let id = engine.submit(spec).await?.job.id;

    let mut events = engine.events(&id).await?;
    while let Some(event) = events.next().await {
        match event {
            JobEvent::Progress(now) => {
                println!("{} done, eta {:?}", now.job.counters.done(), now.eta);
            }
            JobEvent::Ended(end) => println!("{}: {:?}", end.job.status, end.link),
            _ => {}
        }
    }

    let retry = engine.retry(&id).await?.job;
    let ended = engine.wait(&retry.id).await?.job;
    println!("retried {:?}, failed again: {}", ended.total, ended.counters.errored());
    engine.shutdown().await;
    Ok(())
}
