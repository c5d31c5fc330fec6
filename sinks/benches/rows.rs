//! What a million rows of about 200 bytes cost in each format, in CPU-seconds.
//!
//! `cargo bench -p harvestman-sinks --bench rows`; `ROWS` sets another number of rows.

use std::{sync::Arc, time::Duration};

use harvestman_engine::{Fields, Params, Record, Schema, Sink, Task};
use harvestman_sinks::{FileSink, OutputFormat};
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH: u64 = 1_000;
/// As many rows as are committed at a time by a job that does a hundred thousand a second.
const CHECKPOINT: u64 = 100_000;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let rows: u64 = std::env::var("ROWS").map_or(Ok(1_000_000), |rows| rows.parse())?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let making = making(rows);
    println!(
        "{rows} rows; making the records costs {:.2} CPU-s, which is left out",
        seconds(making)
    );
    for suffix in ["ndjson", "csv", "parquet", "ndjson.gz", "ndjson.zst", "csv.gz", "csv.zst"] {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join(format!("out.{suffix}"));
        let schema = Schema::from_pairs([("name", "string"), ("price", "number")])?;
        let sink = FileSink::new(&path, OutputFormat::detect(&path)?).with_schema(Arc::new(schema));
        let begun = cpu_time();
        let parts = runtime.block_on(async {
            let mut writer = sink.open(None).await?;
            for first in (0..rows).step_by(BATCH as usize) {
                writer.write(batch(first)).await?;
                if first % CHECKPOINT == 0 {
                    writer.checkpoint().await?;
                }
            }
            writer.finish().await
        })?;
        let took = cpu_time().saturating_sub(begun + making);
        let bytes = parts.iter().map(|part| part.bytes).sum::<u64>();
        println!("{suffix:<11} {:.2} CPU-s, {} bytes a row", seconds(took), bytes / rows);
    }
    Ok(())
}

fn batch(first: u64) -> Vec<Record> {
    (first..first + BATCH).map(record).collect()
}

/// A record whose NDJSON row has about 200 bytes.
fn record(index: u64) -> Record {
    let task = Task::new(index, &format!("https://shop.test/p/{index}"), Params::new());
    let serde_json::Value::Object(data) = json!({
        "name": format!("Lamp {index}, brass"),
        "price": (index % 10_000) as f64 / 100.0,
    }) else {
        unreachable!("written as an object")
    };
    Record::ok(task, Fields::from_data(data)).with_http_status(200)
}

fn making(rows: u64) -> Duration {
    let begun = cpu_time();
    for first in (0..rows).step_by(BATCH as usize) {
        std::hint::black_box(batch(first));
    }
    cpu_time().saturating_sub(begun)
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}
