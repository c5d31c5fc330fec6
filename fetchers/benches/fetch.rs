//! What a fetch costs: CPU seconds per 1,000 pages of 30 KB at 32 in flight, for the fetcher and
//! for a bare reqwest loop that throws the pages away. The server is a process of its own, so its
//! work is not counted.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use harvestman_engine::{Fetcher, Params, Task};
use harvestman_fetchers::Http;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};

const PAGES: usize = 20_000;
const IN_FLIGHT: usize = 32;
const PAGE_BYTES: usize = 30_000;
const ROUNDS: usize = 3;

type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Error> {
    let runtime = Runtime::new()?;
    if std::env::args().any(|arg| arg == "--serve") {
        return runtime.block_on(serve());
    }
    let (mut server, url) = start_server()?;
    let measured = runtime.block_on(measure(&url));
    server.kill()?;
    measured
}

async fn measure(url: &str) -> Result<(), Error> {
    let http = Arc::new(Http::builder().allow("127.0.0.1".parse()?).build()?);
    let task = Arc::new(Task::new(0, url, Params::new()));
    let client = reqwest::Client::builder().no_proxy().build()?;
    for _ in 0..ROUNDS {
        let (http, task) = (Arc::clone(&http), Arc::clone(&task));
        let fetch = move || {
            let (http, task) = (Arc::clone(&http), Arc::clone(&task));
            async move { Ok(http.fetch(&task).await?.text.len()) }
        };
        report("Http", run(fetch).await?);
        let (client, url) = (client.clone(), Arc::<str>::from(url));
        let get = move || {
            let (client, url) = (client.clone(), Arc::clone(&url));
            async move { drop_page(client.get(&*url).send().await?).await }
        };
        report("bare reqwest", run(get).await?);
    }
    Ok(())
}

async fn drop_page(mut response: reqwest::Response) -> Result<usize, Error> {
    let mut bytes = 0;
    while let Some(chunk) = response.chunk().await? {
        bytes += chunk.len();
    }
    Ok(bytes)
}

/// Fetches all pages; returns the CPU time and the wall time.
async fn run<F>(
    fetch: impl Fn() -> F + Clone + Send + 'static,
) -> Result<(Duration, Duration), Error>
where
    F: Future<Output = Result<usize, Error>> + Send + 'static,
{
    let left = Arc::new(AtomicUsize::new(PAGES));
    let (cpu, wall) = (cpu_time()?, Instant::now());
    let workers: Vec<_> = (0..IN_FLIGHT)
        .map(|_| {
            let (left, fetch) = (Arc::clone(&left), fetch.clone());
            tokio::spawn(async move {
                let take = |left: usize| left.checked_sub(1);
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
                    assert_eq!(fetch().await?, PAGE_BYTES);
                }
                Ok::<_, Error>(())
            })
        })
        .collect();
    for worker in workers {
        worker.await??;
    }
    Ok((cpu_time()?.saturating_sub(cpu), wall.elapsed()))
}

fn report(name: &str, (cpu, wall): (Duration, Duration)) {
    let thousands = PAGES as f64 / 1_000.0;
    println!(
        "{name:>12}: {:.4} CPU-s per 1,000 pages, {:.0} pages/s",
        cpu.as_secs_f64() / thousands,
        PAGES as f64 / wall.as_secs_f64()
    );
}

/// The time that the threads of this process have run, which Linux counts in nanoseconds.
fn cpu_time() -> Result<Duration, Error> {
    let mut nanos = 0;
    for thread in std::fs::read_dir("/proc/self/task")? {
        let stat = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        nanos += stat.split(' ').next().unwrap_or_default().parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanos))
}

fn start_server() -> Result<(Child, String), Error> {
    let mut server =
        Command::new(std::env::current_exe()?).arg("--serve").stdout(Stdio::piped()).spawn()?;
    let mut url = String::new();
    let output = server.stdout.take().ok_or("the server has no output")?;
    BufReader::new(output).read_line(&mut url)?;
    Ok((server, url.trim().to_owned()))
}

async fn serve() -> Result<(), Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/page", listener.local_addr()?);
    std::io::stdout().flush()?;
    let answer: Arc<[u8]> = answer().into_bytes().into();
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(answer_all(stream, Arc::clone(&answer)));
    }
}

/// Answers whatever comes: a request of the client arrives in one piece.
async fn answer_all(mut stream: TcpStream, answer: Arc<[u8]>) {
    let mut buffer = [0; 4096];
    while matches!(stream.read(&mut buffer).await, Ok(1..)) {
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

fn answer() -> String {
    let line = "<p class=\"product\">A lamp for the desk, 19.90 €</p>\n";
    let page: String = line.chars().cycle().take(PAGE_BYTES).collect();
    let end = (0..=PAGE_BYTES).rev().find(|end| page.is_char_boundary(*end)).unwrap_or(0);
    let page = format!("{}{}", &page[..end], " ".repeat(PAGE_BYTES - end));
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\n\
         content-length: {PAGE_BYTES}\r\n\r\n{page}"
    )
}
