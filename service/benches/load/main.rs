//! The service under load: how fast it answers while a job runs at full speed, what that costs the
//! job, how fast a large upload comes in, and how much memory it takes.
//!
//! ```sh
//! cargo bench -p harvestman-service --bench load              # 40,000 pages, 200 requests/s, 1 GB
//! cargo bench -p harvestman-service --bench load -- 10000 200 100
//! ```

mod client;
mod upload;

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use futures::StreamExt;
use harvestman_shop::Shop;
use tokio::time::{MissedTickBehavior, interval};

use self::client::Client;

/// How many event streams are open at a time.
const STREAMS: usize = 500;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if args.first().is_some_and(|mode| mode == "shop") {
        return serve_shop(args[1].parse()?);
    }
    let number = |index: usize, default: u64| match args.get(index) {
        Some(text) => text.parse().with_context(|| format!("{text} is no number")),
        None => Ok(default),
    };
    let (pages, rate, megabytes) = (number(0, 40_000)?, number(1, 200)?, number(2, 1_000)?);
    tokio::runtime::Runtime::new()?.block_on(run(pages, rate, megabytes))
}

/// A shop in a process of its own, so that it takes no time of the one that measures.
fn serve_shop(pages: u32) -> Result<()> {
    let shop = Shop::new().with_products(pages).with_page_bytes(30_000);
    let shop = shop.start(([127, 0, 0, 1], 0).into())?;
    println!("{}", shop.product_url(0).trim_end_matches('0'));
    loop {
        std::thread::park();
    }
}

/// A process that ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn run(pages: u64, rate: u64, megabytes: u64) -> Result<()> {
    let (_shop, pages_url) =
        start(Command::new(std::env::current_exe()?).args(["shop", &pages.to_string()]))?;
    let directory = tempfile::tempdir()?;
    let mut program = Command::new(env!("CARGO_BIN_EXE_harvestman"));
    program.args(["serve", "--listen", "127.0.0.1:0", "--allow-address", "127.0.0.1", "--data"]);
    program.arg(directory.path().join("data")).args(["--rate-limit", "100000"]);
    let (service, said) = start(&mut program)?;
    let client = Client::new(said.trim_start_matches("listening on "), service.0.id());

    let list: Vec<_> = (0..pages).map(|page| format!("{pages_url}{page}\n")).collect();
    let list = client.upload_list(list.concat()).await?;
    client.job(&list).await?.ended().await?;
    for round in 1..=3 {
        let alone = client.job(&list).await?.ended().await?;
        let job = client.job(&list).await?;
        let asked = ask(&client, &job.id, rate);
        let (beside, latencies) = tokio::join!(job.ended(), asked);
        let beside = beside?;
        println!(
            "round {round}: job alone {alone:.0} pages/s; beside {rate} requests/s {beside:.0} ({:+.1} %); \
             answers p50 {:.1} ms, p99 {:.1} ms, of {}",
            (beside / alone - 1.0) * 100.0,
            percentile(&latencies, 50.0),
            percentile(&latencies, 99.0),
            latencies.len(),
        );
    }
    watch(&client, &list).await?;
    let before = client.memory("VmRSS:")?;
    let (seconds, bytes) = upload::send(&client, megabytes * 1_000_000).await?;
    println!(
        "upload: {:.0} MB in {seconds:.1} s, {:.0} MB/s; resident {before} -> {} MiB",
        bytes as f64 / 1e6,
        bytes as f64 / 1e6 / seconds,
        client.memory("VmRSS:")?
    );
    println!("peak of the whole run: {} MiB", client.memory("VmHWM:")?);
    Ok(())
}

/// Starts a program and gives the first line that it writes.
fn start(command: &mut Command) -> Result<(Running, String)> {
    use std::io::BufRead;
    let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn()?;
    let stdout = child.stdout.take().context("there is no output")?;
    let mut line = String::new();
    std::io::BufReader::new(stdout).read_line(&mut line)?;
    Ok((Running(child), line.trim().to_owned()))
}

/// Asks for the status so many times a second until the job has ended; gives the times in
/// milliseconds, each from when it was to be sent.
async fn ask(client: &Client, job: &str, rate: u64) -> Vec<f64> {
    let mut ticks = interval(Duration::from_secs(1) / u32::try_from(rate.max(1)).unwrap_or(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut answers = Vec::new();
    let mut latencies = Vec::new();
    loop {
        let due = ticks.tick().await;
        let (client, job) = (client.clone(), job.to_owned());
        answers.push(tokio::spawn(async move {
            let status = client.status(&job).await?;
            anyhow::Ok((due.elapsed().as_secs_f64() * 1e3, status["status"] == "completed"))
        }));
        let mut has_ended = false;
        answers.retain_mut(|answer| {
            use futures::FutureExt;
            match answer.now_or_never() {
                Some(Ok(Ok((latency, is_last)))) => {
                    latencies.push(latency);
                    has_ended |= is_last;
                    false
                }
                Some(_) => {
                    latencies.push(f64::INFINITY);
                    false
                }
                None => true,
            }
        });
        if has_ended {
            return latencies;
        }
    }
}

/// A job with many watchers.
async fn watch(client: &Client, list: &str) -> Result<()> {
    let job = client.job(list).await?;
    let began = Instant::now();
    let watchers = (0..STREAMS).map(|_| client.events(&job.id));
    let streams = futures::future::try_join_all(watchers).await?;
    let opened = began.elapsed();
    let ends = streams.into_iter().map(|stream| async move {
        let mut events = 0;
        let mut is_over = false;
        let mut stream = stream;
        while let Some(Ok(piece)) = stream.next().await {
            let text = String::from_utf8_lossy(&piece);
            events += text.matches("event: ").count();
            is_over |= text.contains("event: terminal");
        }
        (events, is_over)
    });
    let (rate, told) = tokio::join!(job.ended(), futures::future::join_all(ends));
    let over = told.iter().filter(|(_, is_over)| *is_over).count();
    let events: usize = told.iter().map(|(events, _)| events).sum();
    println!(
        "{STREAMS} event streams, open after {:.1} s: {over} told of the end, {events} events; the job made {:.0} pages/s; resident {} MiB",
        opened.as_secs_f64(),
        rate?,
        client.memory("VmRSS:")?
    );
    Ok(())
}

fn percentile(values: &[f64], percent: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let index = (sorted.len() as f64 * percent / 100.0) as usize;
    sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}
