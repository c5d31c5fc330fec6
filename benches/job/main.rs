//! What a whole job costs, from a list of URLs over loopback HTTP to a file of records.
//!
//! `cargo bench --bench job --features testing,aws` runs all parts, with `-- cost latency` some of them;
//! `buckets` is there with `aws` only.
//! The shop that is scraped runs on the same machine, in a process of its own.

#[cfg(feature = "aws")]
mod buckets;
mod cost;
mod hosts;
mod latency;
mod memory;
mod stage;

use std::{env, time::Duration};

use anyhow::{Context, Result, bail};
use harvestman_shop::{Shop, Template};

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Part = (&'static str, fn() -> Result<()>);

const PARTS: &[Part] = &[
    ("cost", cost::run),
    ("latency", latency::run),
    ("hosts", hosts::run),
    ("memory", memory::run),
    #[cfg(feature = "aws")]
    ("buckets", buckets::run),
];

fn main() -> Result<()> {
    if let Some(role) = stage::role() {
        return play(&role.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let asked: Vec<_> = env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    for (name, run) in PARTS {
        if asked.is_empty() || asked.iter().any(|part| part == name) {
            println!("\n{name}");
            run()?;
        }
    }
    Ok(())
}

/// What a process that a part has started does.
fn play(role: &[&str]) -> Result<()> {
    match role {
        ["shop", page_bytes, latency, template] => {
            let shop = Shop::new()
                .with_products(1_000_000)
                .with_page_bytes(page_bytes.parse()?)
                .with_latency(Duration::from_millis(latency.parse()?));
            stage::serve(match *template {
                "json-ld" => shop.with_template(Template::JsonLd),
                "plain" => shop.with_template(Template::Plain),
                _ => shop,
            })
        }
        ["cost", case, address] => cost::job(case, address),
        ["memory", urls, address] => memory::job(urls.parse()?, address),
        #[cfg(feature = "aws")]
        ["buckets", role @ ..] => buckets::play(role),
        _ => bail!("no such role: {}", role.first().context("a role has a name")?),
    }
}
