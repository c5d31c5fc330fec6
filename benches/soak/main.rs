//! The long soak: many jobs, a process that is killed again and again, then every figure is checked.
//!
//! `cargo bench --bench soak -- [SMALL] [LARGE] [SECONDS BETWEEN KILLS]`, by default 10,000 small jobs
//! of five pages and 5 large ones of 20,000. Not part of the tests: it takes its time.

mod check;
mod endpoint;
mod worker;

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use harvestman_shop::Shop;

/// Pages are small and never fail by the server's doing; every seventh of a job doesn't exist.
const PRODUCTS: u32 = 20_000;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
struct Plan {
    small: u32,
    large: u32,
    between_kills: Duration,
}

impl Plan {
    fn from_args(args: &[String]) -> Self {
        let number = |place: usize, default| {
            args.get(place).and_then(|text| text.parse().ok()).unwrap_or(default)
        };
        let between_kills = Duration::from_secs(u64::from(number(2, 6)));
        Self { small: number(0, 10_000), large: number(1, 5), between_kills }
    }
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let runtime = tokio::runtime::Runtime::new()?;
    if args.first().is_some_and(|mode| mode == "worker") {
        return runtime.block_on(worker::run(&args[1..]));
    }
    runtime.block_on(soak(Plan::from_args(&args)))
}

async fn soak(plan: Plan) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let shop = Shop::new()
        .with_products(PRODUCTS)
        .with_page_bytes(2_000)
        .start(([127, 0, 0, 1], 0).into())?;
    let endpoint = endpoint::start().await?;
    worker::write_lists(directory.path(), &shop, plan.large)?;
    let begun = Instant::now();
    let mut kills = 0;
    loop {
        let mut child =
            spawn(directory.path(), &shop.address().to_string(), &endpoint.url(), plan)?;
        if ends_by_itself(&mut child, plan.between_kills).await? {
            break;
        }
        kills += 1;
        eprintln!("{:>6.1?} s: {kills} kills", begun.elapsed().as_secs_f64());
    }
    println!("{kills} kills in {:.0} s", begun.elapsed().as_secs_f64());
    check::reconcile(directory.path(), &endpoint, plan).await
}

fn spawn(directory: &std::path::Path, shop: &str, hook: &str, plan: Plan) -> Result<Child> {
    let program = std::env::current_exe()?;
    let mut command = Command::new(program);
    command.arg("worker").arg(directory).args([shop, hook]);
    command.args([plan.small.to_string(), plan.large.to_string()]);
    command.stdin(Stdio::null()).spawn().context("the worker can't be started")
}

/// Waits for the worker's end, or kills it at a random moment.
async fn ends_by_itself(child: &mut Child, mean: Duration) -> Result<bool> {
    let wait = mean.mul_f64(0.2 + 1.6 * fraction());
    let deadline = Instant::now() + wait;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            anyhow::ensure!(status.success(), "the worker failed: {status}");
            return Ok(true);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    child.kill()?;
    child.wait()?;
    Ok(false)
}

/// From 0 to 1, drawn from the clock: a soak is not to be the same twice.
fn fraction() -> f64 {
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    f64::from(nanos.map_or(0, |time| time.subsec_nanos()) % 1_000_003) / 1_000_003.0
}
