//! Rendered pages a second, the processors' time for a page, and the peak memory of all processes:
//! this fetcher and playwright-core in turn, with the same browser, the same pages, four at a time.
//!
//! `PLAYWRIGHT=…/node_modules/playwright-core cargo bench -p harvestman-fetchers --all-features
//! --bench render`; without it only our own figures are taken. `CHROMIUM`
//! names another browser than the system's. With `-- kill` at the end a job's
//! browser is killed on the way, and its pages a second before and after are shown.

mod kill;
mod usage;

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
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

use self::usage::Usage;

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
    let measured = match has("kill") {
        Some(_) => runtime.block_on(kill::measure(&url)),
        None => compare(&url),
    };
    server.kill()?;
    server.wait()?;
    measured
}

fn compare(url: &str) -> Result<(), Error> {
    let chromium = chromium()?;
    for _ in 0..ROUNDS {
        let ours = measure(Command::new(env::current_exe()?).args(["--ours", url]))?;
        report("harvestman", &ours);
        let Ok(playwright) = env::var("PLAYWRIGHT") else { continue };
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/render/peer.js");
        let mut peer = Command::new("node");
        peer.args([script, url, &PAGES.to_string(), &AT_ONCE.to_string()]).arg(&chromium);
        let theirs = measure(peer.env("PLAYWRIGHT", playwright))?;
        report("playwright-core", &theirs);
        let (rate, cost) = (theirs.seconds / ours.seconds, theirs.cpu / ours.cpu);
        println!("{:>16}: {rate:.2} times the pages a second, {cost:.2} by processors' time", "");
    }
    Ok(())
}

struct Measured {
    seconds: f64,
    /// Of all processes, in seconds.
    cpu: f64,
    /// The peak, in bytes.
    memory: u64,
}

fn report(name: &str, measured: &Measured) {
    let rate = PAGES as f64 / measured.seconds;
    let cpu = measured.cpu * 1e3 / PAGES as f64;
    let memory = measured.memory / 1_000_000;
    println!("{name:>16}: {rate:.1} pages/s, {cpu:.0} CPU-ms a page, {memory} MB at most");
}

/// A contender says when it is warm, and then how many seconds it took.
fn measure(command: &mut Command) -> Result<Measured, Error> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let (is_done, last) =
        (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Usage::default())));
    let watcher = {
        let (is_done, last, root) = (Arc::clone(&is_done), Arc::clone(&last), child.id());
        thread::spawn(move || {
            while !is_done.load(Ordering::Relaxed) {
                look(&last, root);
                thread::park_timeout(Duration::from_millis(100));
            }
        })
    };
    let mut output = BufReader::new(child.stdout.take().ok_or("no output")?);
    let mut say = |line: &mut String| output.read_line(line);
    say(&mut String::new())?;
    let before = look(&last, child.id());
    let mut line = String::new();
    say(&mut line)?;
    let after = look(&last, child.id());
    is_done.store(true, Ordering::Relaxed);
    watcher.thread().unpark();
    watcher.join().map_err(|_| "the watcher panicked")?;
    // It waits to be told that it has been looked at.
    drop(child.stdin.take());
    child.wait()?;
    Ok(Measured {
        seconds: line.trim().parse()?,
        cpu: after.cpu - before.cpu,
        memory: after.memory,
    })
}

/// Takes the usage of a process and its descendants; of the memory, the peak so far.
fn look(last: &Mutex<Usage>, root: u32) -> Usage {
    let now = Usage::of(root);
    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
    last.memory = last.memory.max(now.memory);
    Usage { memory: last.memory, ..now }
}

/// That of the system, or the one that is named.
fn chromium() -> Result<PathBuf, Error> {
    let named = env::var_os("CHROMIUM").map(PathBuf::from);
    Ok(named.or_else(Browser::find).ok_or("there is no Chromium")?)
}

/// May load from the server only.
fn browser(url: &str) -> Result<Browser, Error> {
    let address: reqwest::Url = url.parse()?;
    let rule = format!("127.0.0.1:{}", address.port().ok_or("no port")?);
    let browser = Browser::builder().executable(chromium()?).sandbox(false).pages(AT_ONCE);
    Ok(browser.allow(rule.parse()?).build()?)
}

async fn ours(url: &str) -> Result<(), Error> {
    let browser = browser(url)?;
    let task = Task::new(0, url, serde_json::from_str::<Params>(PARAMS)?);
    browser.fetch(&task).await?;
    println!("warm");
    let begun = Instant::now();
    let pages = stream::iter(0..PAGES).map(|_| browser.fetch(&task)).buffer_unordered(AT_ONCE);
    let texts: Vec<_> = pages.collect().await;
    for page in texts {
        assert!(page?.text.contains("<h1>Lamp</h1>"));
    }
    println!("{}", begun.elapsed().as_secs_f64());
    wait_for_leave()?;
    browser.close().await;
    Ok(())
}

/// Until standard input is closed: whoever measures has looked.
fn wait_for_leave() -> Result<(), Error> {
    Ok(std::io::stdin().read_line(&mut String::new()).map(drop)?)
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
        let (kind, body) = match path(&request) {
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

/// The path of a request, without a query.
fn path(request: &str) -> &str {
    let target = request.split(' ').nth(1).unwrap_or_default();
    target.split('?').next().unwrap_or_default()
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
