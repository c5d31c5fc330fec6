//! Rendered pages a second, and the peak memory of all processes: this fetcher and playwright-core
//! in turn, with the same browser, the same pages, four at a time.
//!
//! `PLAYWRIGHT=…/node_modules/playwright-core cargo bench -p harvestman-fetchers --all-features
//! --bench render`; without it only our own figures are taken.

use std::{
    collections::HashMap,
    env, fs,
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use harvestman_engine::{Fetcher, Params, Task};
use harvestman_fetchers::Browser;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};

const PAGES: usize = 100;
const AT_ONCE: usize = 4;
const ROUNDS: usize = 3;
const PARAMS: &str = r#"{"wait_for":"h1","block_resources":true}"#;

type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Error> {
    let args: Vec<_> = env::args().collect();
    let has = |flag: &str| args.iter().position(|arg| arg == flag);
    let runtime = Runtime::new()?;
    if has("--serve").is_some() {
        return runtime.block_on(serve());
    }
    if let Some(at) = has("--ours") {
        return runtime.block_on(ours(&args[at + 1]));
    }
    let (mut server, url) = start_server()?;
    let measured = compare(&url);
    server.kill()?;
    server.wait()?;
    measured
}

fn compare(url: &str) -> Result<(), Error> {
    let chromium = Browser::find().ok_or("there is no Chromium")?;
    for _ in 0..ROUNDS {
        let ours = measure(Command::new(env::current_exe()?).args(["--ours", url]))?;
        report("harvestman", ours);
        let Ok(playwright) = env::var("PLAYWRIGHT") else { continue };
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/render/peer.js");
        let mut peer = Command::new("node");
        peer.args([script, url, &PAGES.to_string(), &AT_ONCE.to_string()]).arg(&chromium);
        let theirs = measure(peer.env("PLAYWRIGHT", playwright))?;
        report("playwright-core", theirs);
        println!("{:>16}: {:.2} times the pages a second", "", theirs.0 / ours.0);
    }
    Ok(())
}

fn report(name: &str, (seconds, peak): (f64, u64)) {
    let rate = PAGES as f64 / seconds;
    println!("{name:>16}: {rate:.1} pages/s, {} MB at most", peak / 1_000_000);
}

/// The seconds that a contender says it took, and the memory of its processes.
fn measure(command: &mut Command) -> Result<(f64, u64), Error> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let (is_done, peak) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let watcher = {
        let (is_done, peak, root) = (Arc::clone(&is_done), Arc::clone(&peak), child.id());
        thread::spawn(move || {
            while !is_done.load(Ordering::Relaxed) {
                peak.fetch_max(memory(root), Ordering::Relaxed);
                thread::park_timeout(Duration::from_millis(100));
            }
        })
    };
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    is_done.store(true, Ordering::Relaxed);
    watcher.thread().unpark();
    watcher.join().map_err(|_| "the watcher panicked")?;
    child.wait()?;
    Ok((line.trim().parse()?, peak.load(Ordering::Relaxed)))
}

/// The memory that a process and its descendants share with nobody, in bytes.
fn memory(root: u32) -> u64 {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent =
            stat.rsplit_once(')').and_then(|(_, rest)| rest.split(' ').nth(2)?.parse().ok());
        children.entry(parent.unwrap_or(0)).or_default().push(id);
    }
    let (mut open, mut sum) = (vec![root], 0);
    while let Some(id) = open.pop() {
        open.extend(children.get(&id).into_iter().flatten());
        let statm = fs::read_to_string(format!("/proc/{id}/statm")).unwrap_or_default();
        let mut pages = statm.split(' ').skip(1).map(|pages| pages.parse().unwrap_or(0));
        let (resident, shared): (u64, u64) = (pages.next().unwrap_or(0), pages.next().unwrap_or(0));
        sum += resident.saturating_sub(shared) * 4_096;
    }
    sum
}

async fn ours(url: &str) -> Result<(), Error> {
    let address: reqwest::Url = url.parse()?;
    let rule = format!("127.0.0.1:{}", address.port().ok_or("no port")?);
    let browser = Browser::builder().sandbox(false).pages(AT_ONCE).allow(rule.parse()?).build()?;
    let task = Task::new(0, url, serde_json::from_str::<Params>(PARAMS)?);
    browser.fetch(&task).await?;
    let begun = Instant::now();
    let pages = stream::iter(0..PAGES).map(|_| browser.fetch(&task)).buffer_unordered(AT_ONCE);
    let texts: Vec<_> = pages.collect().await;
    for page in texts {
        assert!(page?.text.contains("<h1>Lamp</h1>"));
    }
    println!("{}", begun.elapsed().as_secs_f64());
    browser.close().await;
    Ok(())
}

fn start_server() -> Result<(Child, String), Error> {
    let mut server =
        Command::new(env::current_exe()?).arg("--serve").stdout(Stdio::piped()).spawn()?;
    let mut url = String::new();
    BufReader::new(server.stdout.take().ok_or("no output")?).read_line(&mut url)?;
    Ok((server, url.trim().to_owned()))
}

async fn serve() -> Result<(), Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/page", listener.local_addr()?);
    std::io::stdout().flush()?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(answer_all(stream));
    }
}

/// A product page of 30 KB that fetches its product, with a style, a script and ten images.
async fn answer_all(mut stream: TcpStream) {
    let mut buffer = [0; 8_192];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        let request = String::from_utf8_lossy(&buffer[..read]);
        let (kind, body) = match request.split(' ').nth(1).unwrap_or_default() {
            "/page" => ("text/html", page()),
            "/app.js" => ("text/javascript", APP.to_owned()),
            "/style.css" => ("text/css", "body { color: #333 }".to_owned()),
            "/product" => ("text/plain", "Lamp".to_owned()),
            _ => ("text/plain", String::new()),
        };
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

const APP: &str = "fetch('/product').then(answer => answer.text()).then(name => {
    const title = document.createElement('h1'); title.textContent = name;
    document.body.prepend(title); });";

fn page() -> String {
    let images = (0..10).map(|n| format!("<img src='/{n}.png'>")).collect::<Vec<_>>().concat();
    let text = "<p class='text'>A lamp for the desk, with a long cable.</p>\n".repeat(500);
    format!(
        "<!doctype html><title>Shop</title><link rel=stylesheet href=/style.css>\
         <body>{images}{text}<script src=/app.js></script>"
    )
}
