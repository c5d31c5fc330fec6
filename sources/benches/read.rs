//! What it costs to read a million lines with overrides, in CPU-seconds and peak memory, and to
//! receive them as an upload.
//!
//! `cargo bench -p harvestman-sources`, on Linux; `LINES` sets another number of lines.

use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
    time::Instant,
};

use futures::StreamExt;
use harvestman_engine::{LineReader, Params, Source};
use harvestman_sources::{Compression, FileSource, InputOptions, ReceiveOptions, receive};

/// The allocator of the program. Tasks are made on one thread and dropped on another, over which
/// glibc's own lock costs more than all the reading.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let lines: u64 = std::env::var("LINES").map_or(Ok(1_000_000), |lines| lines.parse())?;
    let dir = tempfile::tempdir()?;
    for (name, write) in [
        ("urls.ndjson", ndjson as fn(&mut dyn Write, u64) -> std::io::Result<()>),
        ("headers.ndjson", headers),
        ("urls.csv", csv),
        ("urls.txt", text),
    ] {
        let path = dir.path().join(name);
        let mut file = BufWriter::new(File::create(&path)?);
        write(&mut file, lines)?;
        file.flush()?;
        measure(&path, lines)?;
        measure_upload(&path, lines)?;
    }
    Ok(())
}

/// Lines that override a number.
fn ndjson(file: &mut dyn Write, lines: u64) -> std::io::Result<()> {
    for n in 0..lines {
        let (host, timeout) = (n % 200, 5000 + n % 1000);
        writeln!(
            file,
            r#"{{"url":"https://shop-{host}.example/products/{n}?ref=list","id":"sku-{n}","timeout_ms":{timeout}}}"#,
        )?;
    }
    Ok(())
}

/// Lines that override a number and merge two headers, the dearest of parameters.
fn headers(file: &mut dyn Write, lines: u64) -> std::io::Result<()> {
    for n in 0..lines {
        writeln!(
            file,
            r#"{{"url":"https://shop-{}.example/products/{n}?ref=list","id":"sku-{n}","timeout_ms":{},"headers":{{"X-Batch":"{}","Accept-Language":"de"}}}}"#,
            n % 200,
            5000 + n % 1000,
            n % 50
        )?;
    }
    Ok(())
}

fn csv(file: &mut dyn Write, lines: u64) -> std::io::Result<()> {
    writeln!(file, "url,id,timeout_ms,metadata.batch")?;
    for n in 0..lines {
        let (host, timeout) = (n % 200, 5000 + n % 1000);
        writeln!(
            file,
            "https://shop-{host}.example/products/{n}?ref=list,sku-{n},{timeout},\"b, {n}\""
        )?;
    }
    Ok(())
}

fn text(file: &mut dyn Write, lines: u64) -> std::io::Result<()> {
    for n in 0..lines {
        writeln!(file, "https://shop-{}.example/products/{n}?ref=list", n % 200)?;
    }
    Ok(())
}

fn measure(path: &Path, lines: u64) -> Result<(), Failure> {
    let defaults: Params = serde_json::from_str(
        r#"{"user_agent": "bench", "headers": {"Accept": "text/html"}, "extract": {"name": "string"}}"#,
    )?;
    let start = cpu_seconds()?;
    let source = FileSource::from_path(path, LineReader::new(defaults), &InputOptions::new())?;
    let surveyed = cpu_seconds()?;
    let read = read(&source, 0)?;
    let done = cpu_seconds()?;
    assert_eq!(read, lines);
    let last = cpu_seconds()?;
    assert_eq!(self::read(&source, lines - 1)?, 1);
    let opened = cpu_seconds()?;
    println!(
        "{:<14} {lines} lines, {} MB: survey {:.2} CPU-s, read {:.2} CPU-s, last task {:.3} CPU-s; peak {} MB",
        path.file_name().unwrap_or_default().display(),
        source.survey().bytes / 1_000_000,
        surveyed - start,
        done - surveyed,
        opened - last,
        peak_bytes()? / 1_000_000
    );
    Ok(())
}

/// Receives the file as it is, by one thread and by several, and packed, into another file.
fn measure_upload(path: &Path, lines: u64) -> Result<(), Failure> {
    let packed = path.with_added_extension("zst");
    zstd::stream::copy_encode(File::open(path)?, File::create(&packed)?, 3)?;
    for (path, compression, options) in [
        (path, Compression::None, ReceiveOptions::new().with_threads(1)),
        (path, Compression::None, ReceiveOptions::new()),
        (&*packed, Compression::Zstd, ReceiveOptions::new()),
    ] {
        let (start, started) = (cpu_seconds()?, Instant::now());
        let options = options.with_max_tasks(lines).with_compression(compression);
        let kept = File::create(path.with_extension("kept"))?;
        let received = receive(File::open(path)?, kept, &options)?;
        assert_eq!((received.tasks, received.invalid), (lines, 0));
        let (cpu, passed) = (cpu_seconds()? - start, started.elapsed().as_secs_f64());
        println!(
            "{:<14} received: {cpu:.2} CPU-s, {:.0} MB/s decoded, {:.0} MB/s as sent",
            path.file_name().unwrap_or_default().display(),
            received.decoded_bytes as f64 / 1e6 / passed,
            received.bytes as f64 / 1e6 / passed
        );
    }
    Ok(())
}

/// Reads and drops the tasks, a few at a time as a driver does.
fn read(source: &FileSource, from: u64) -> Result<u64, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let mut tasks = source.open(from);
        let mut count = 0;
        while let Some(task) = tasks.next().await {
            assert!(task?.target().is_ok());
            count += 1;
        }
        Ok(count)
    })
}

/// The time on processors of all threads, those that have ended included.
fn cpu_seconds() -> Result<f64, Failure> {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name in parentheses may hold spaces; user and system time are the 12th and 13th after it.
    let (_, fields) = stat.rsplit_once(')').ok_or("no process name")?;
    let ticks: Result<Vec<u32>, _> =
        fields.split_whitespace().skip(11).take(2).map(str::parse).collect();
    Ok(f64::from(ticks?.iter().sum::<u32>()) / TICKS_PER_SECOND)
}

fn peak_bytes() -> Result<u64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}
