//! A job over a million lines from a bucket to Parquet in a bucket, beside the same job on files: the
//! peak of memory, and what the bucket costs of the rate.
//!
//! The store is moto, in a process of its own, run by `HARVESTMAN_TEST_PYTHON`. Pages are fetched from
//! the shop, in another one; and then made on the spot, so that the rate is that of lists and results
//! alone and nothing waits for a web server.

use std::{
    env,
    fmt::Write as _,
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use harvestman::{
    FetchError, Fetcher, FileStore, Job, LineReader, Page, Params, Schema, Sink, Source, Task,
    buckets,
    extractors::Standard,
    fetchers::Http,
    sinks::{FileSink, OutputFormat},
    sources::{FileSource, InputOptions},
    storage::{Access, Bucket, S3Settings, Storage},
};
use object_store::ObjectStoreExt;
use serde_json::Value;

use crate::stage::{Origin, cpu_time, isolated, peak_bytes};

const URLS: u32 = 1_000_000;
/// How often, with pages from the shop and with pages made on the spot.
const ROUNDS: [usize; 2] = [1, 3];
/// Stands for an address where pages are made on the spot.
const MADE: &str = "made";
/// Several parts, so that one is uploaded while the next one is made.
const PART_BYTES: u64 = 16 * 1024 * 1024;
const IN_FLIGHT: usize = 256;
/// How long the store may take to come up.
const START_TIME: Duration = Duration::from_mins(1);

pub(crate) fn run() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let list = directory.path().join("urls.ndjson");
    let shop = Origin::start(&["shop", "2000", "0", "json-ld"])?;
    fs::write(&list, lines(&shop))?;
    let store = Moto::start()?;
    let told = [&*store.address, &*store.key, &*store.secret];
    isolated(&["buckets", "put", path(&list)?, told[0], told[1], told[2]])?;
    let address = shop.address.to_string();
    for (pages, rounds) in [&*address, MADE].into_iter().zip(ROUNDS) {
        println!("  pages {}", if pages == MADE { "made on the spot" } else { "from the shop" });
        let mut rates = [0_f64; 2];
        for round in 0..rounds {
            for (place, best) in ["files", "bucket"].into_iter().zip(&mut rates) {
                let work = directory.path().join(format!("{place}-{rounds}-{round}"));
                let [list, work] = [path(&list)?, path(&work)?];
                let role = ["buckets", place, pages, list, told[0], told[1], told[2], work];
                let said = isolated(&role)?;
                println!("  {place:>6}: {said}");
                let rate = said.split(' ').next().context("a rate")?.parse()?;
                *best = best.max(rate);
            }
        }
        println!(
            "  the best from and to the bucket at {:.2} of that of files",
            rates[1] / rates[0]
        );
    }
    Ok(())
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().context("a path in UTF-8")
}

fn lines(shop: &Origin) -> String {
    (0..URLS).fold(String::new(), |mut lines, number| {
        let url = shop.product_url(number);
        let _ = writeln!(lines, "{{\"url\":\"{url}\",\"id\":\"sku-{number:08}\"}}");
        lines
    })
}

/// What a process of this part does.
pub(crate) fn play(role: &[&str]) -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        match role {
            ["put", list, told @ ..] => {
                let bucket = open("s3://lists/urls.ndjson", told)?;
                bucket.store().put(bucket.path(), fs::read(list)?.into()).await?;
                Ok(())
            }
            [place, pages, list, told @ .., work] => {
                let work = Path::new(work);
                let parts =
                    FileSink::in_directory(work.join("parts"), OutputFormat::detect("x.parquet")?)
                        .with_max_part_bytes(PART_BYTES)
                        .with_schema(schema()?);
                let reader = LineReader::new(Params::new().with_extract(schema()?));
                let options = InputOptions::new();
                let (source, sink): (Arc<dyn Source>, Arc<dyn Sink>) = if *place == "files" {
                    (Arc::new(FileSource::from_path(list, reader, &options)?), Arc::new(parts))
                } else {
                    let list = open("s3://lists/urls.ndjson", told)?;
                    let source = buckets::source(&list, reader, &options).await?;
                    let name = work.file_name().and_then(|name| name.to_str()).context("a name")?;
                    let results = open(&format!("s3://results/{name}"), told)?;
                    (Arc::new(source), Arc::new(buckets::sink(&results, parts)))
                };
                let fetcher: Arc<dyn Fetcher> = match *pages {
                    MADE => Arc::new(Pages),
                    address => Arc::new(Http::builder().allow(address.parse()?).build()?),
                };
                job(source, fetcher, sink, work).await
            }
            _ => anyhow::bail!("no such role"),
        }
    })
}

fn schema() -> Result<Arc<Schema>> {
    Ok(Arc::new(Schema::from_pairs([("name", "string"), ("price", "number")])?))
}

fn open(uri: &str, told: &[&str]) -> Result<Bucket> {
    let [address, key, secret] = told else { anyhow::bail!("an address and keys") };
    let settings =
        S3Settings::new().with_endpoint(format!("http://{address}")).with_keys(*key, *secret);
    let storage = Storage::builder().s3(settings).allow(address.parse()?).build();
    Ok(storage.open(&uri.parse()?, &Access::Own)?)
}

async fn job(
    source: Arc<dyn Source>,
    fetcher: Arc<dyn Fetcher>,
    sink: Arc<dyn Sink>,
    work: &Path,
) -> Result<()> {
    let store = FileStore::open(work.join("state"))?;
    let begun = Instant::now();
    let report = Job::new(source, fetcher, sink)
        .with_extractor(Arc::new(Standard::new()))
        .with_store(Arc::new(store))
        .with_concurrency(IN_FLIGHT)
        .spawn()
        .wait()
        .await?;
    let rate = f64::from(URLS) / begun.elapsed().as_secs_f64();
    ensure!(report.counters.ok == u64::from(URLS), "{:?}", report.counters);
    let bytes: u64 = report.parts.iter().map(|part| part.bytes).sum();
    println!(
        "{rate:.0} lines/s, peak {} MB, {:.1} CPU-s; {} parts of {} MB in all",
        peak_bytes()? / 1_000_000,
        cpu_time().as_secs_f64(),
        report.parts.len(),
        bytes / 1_000_000,
    );
    Ok(())
}

/// Pages with a name that can't be packed well and a price, at once.
#[derive(Debug)]
struct Pages;

#[async_trait]
impl Fetcher for Pages {
    async fn fetch(&self, task: &Task) -> Result<Page, FetchError> {
        let url = task.target().expect("the driver fetches no invalid task").clone();
        let (index, mixed) = (task.index(), task.index().wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let name = format!("{mixed:016x}{:016x}", mixed.rotate_left(17).wrapping_mul(mixed | 1));
        let product = format!(
            "<script type=\"application/ld+json\">{{\"@type\":\"Product\",\"name\":\"{name}\",\
             \"offers\":{{\"price\":\"{}.99\",\"priceCurrency\":\"EUR\"}}}}</script>",
            index % 1_000
        );
        Ok(Page::new(url, product))
    }
}

/// Speaks S3 until it is dropped.
struct Moto {
    process: Child,
    address: String,
    key: String,
    secret: String,
}

impl Moto {
    fn start() -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let port = address.rsplit(':').next().context("a port")?.to_owned();
        let process = script().args(["serve", &port]).stderr(Stdio::null()).spawn()?;
        let (key, secret) = (String::new(), String::new());
        let mut moto = Self { process, address, key, secret };
        let begun = Instant::now();
        while std::net::TcpStream::connect(&moto.address).is_err() {
            ensure!(begun.elapsed() < START_TIME, "moto does not come up");
            ensure!(moto.process.try_wait()?.is_none(), "moto has ended");
            std::thread::yield_now();
        }
        let made =
            script().args(["prepare", &format!("http://{}", moto.address), "any"]).output()?;
        let made: Value = serde_json::from_slice(&made.stdout).context("moto's keys")?;
        let key = |part: usize| made["admin"][part].as_str().unwrap_or_default().to_owned();
        (moto.key, moto.secret) = (key(0), key(1));
        Ok(moto)
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // It may have ended already, by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn script() -> Command {
    let python = env::var("HARVESTMAN_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut command = Command::new(python);
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/storage/store.py"));
    command
}
