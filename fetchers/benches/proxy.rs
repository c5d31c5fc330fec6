//! What a fetch through a proxy costs: pages of 30 KB, eight at a time, through tinyproxy and squid,
//! by the router and by curl in turn. `curl`, `tinyproxy` and `squid` are Debian's.
//!
//! Both use a connection again where the proxy keeps it. The rounds are short and alternate, and their
//! medians are compared, so that other work on the machine meets both. curl throws away what the router
//! decodes to text.

use std::{
    fs,
    io::{BufRead as _, BufReader as SyncReader, Write as _},
    net::{SocketAddr, TcpStream as StdStream},
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use harvestman_engine::{Fetcher, Params, Task, params::ProxyType};
use harvestman_fetchers::{Http, PoolConfig, Proxies, ProxiesConfig, Router};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PAGES: usize = 2_000;
const AT_ONCE: usize = 8;
const PAGE_BYTES: usize = 30_000;
const ROUNDS: usize = 9;
/// How many parts of a second the system counts processors' time in, on every Linux of today.
const TICKS: f64 = 100.0;

type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Error> {
    let runtime = Runtime::new()?;
    if std::env::args().any(|arg| arg == "--serve") {
        return runtime.block_on(serve());
    }
    let mut server =
        Command::new(std::env::current_exe()?).arg("--serve").stdout(Stdio::piped()).spawn()?;
    let mut host = String::new();
    SyncReader::new(server.stdout.take().ok_or("no output")?).read_line(&mut host)?;
    let measured = measure(&runtime, host.trim());
    server.kill()?;
    server.wait()?;
    measured
}

fn measure(runtime: &Runtime, host: &str) -> Result<(), Error> {
    for (name, port) in [("tinyproxy", 19_881_u16), ("squid", 19_882)] {
        let directory = tempfile::tempdir()?;
        let _proxy = start(name, port, &directory)?;
        let (mut by_curl, mut by_us) = (Rounds::default(), Rounds::default());
        for _ in 0..ROUNDS {
            by_curl.add(|| curl(host, port))?;
            by_us.add(|| runtime.block_on(ours(host, port)))?;
        }
        let (theirs, ours) = (by_curl.median(), by_us.median());
        println!(
            "{name:>10}: curl {theirs:.0} µs a page ({:.0} of its own), harvestman {ours:.0} µs \
             ({:.0} of its own), {:.2} times",
            by_curl.own_time(),
            by_us.own_time(),
            ours / theirs
        );
    }
    Ok(())
}

/// What one of the two has taken.
#[derive(Default)]
struct Rounds {
    /// Each round's time, in seconds.
    times: Vec<f64>,
    /// The client's own time on processors, in seconds.
    cpu: f64,
}

impl Rounds {
    fn add(&mut self, round: impl FnOnce() -> Result<Duration, Error>) -> Result<(), Error> {
        let before = processor_time()?;
        self.times.push(round()?.as_secs_f64());
        self.cpu += processor_time()? - before;
        Ok(())
    }

    /// Microseconds a page in the middle one of the rounds.
    fn median(&mut self) -> f64 {
        self.times.sort_by(f64::total_cmp);
        self.times[self.times.len() / 2] * 1e6 / PAGES as f64
    }

    /// Microseconds a page.
    fn own_time(&self) -> f64 {
        self.cpu * 1e6 / (PAGES * self.times.len()) as f64
    }
}

/// The processors' time of this process and of its children that have ended, in seconds.
fn processor_time() -> Result<f64, Error> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(") ").ok_or("no fields")?;
    let ticks = fields.split(' ').skip(11).take(4).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / TICKS)
}

/// All pages by one process of curl, which uses its connections again where it can.
fn curl(host: &str, port: u16) -> Result<Duration, Error> {
    let begun = Instant::now();
    let status = Command::new("curl")
        .args(["--parallel", "--parallel-max", &AT_ONCE.to_string()])
        .args([
            "--silent",
            "--no-progress-meter",
            "--fail",
            "--noproxy",
            "",
            "--output",
            "/dev/null",
        ])
        .args(["--proxy", &format!("http://127.0.0.1:{port}")])
        .arg(format!("http://{host}/[1-{PAGES}]"))
        .stderr(Stdio::null())
        .status()?;
    if status.success() { Ok(begun.elapsed()) } else { Err("curl failed".into()) }
}

async fn ours(host: &str, port: u16) -> Result<Duration, Error> {
    let proxy = format!("http://127.0.0.1:{port}");
    let pool = PoolConfig::new(ProxyType::Datacenter, [&*proxy]);
    let proxies = Proxies::new(&ProxiesConfig::new().with_pool(pool))?;
    let http = Http::builder().allow(host.parse()?).build()?;
    let router = Arc::new(Router::new(http).with_proxies(proxies));
    let params: Params = serde_json::from_str(r#"{"proxy_type":"datacenter"}"#)?;
    let begun = Instant::now();
    let fetch = |page| {
        let task = Task::new(0, &format!("http://{host}/{page}"), params.clone());
        let router = Arc::clone(&router);
        tokio::spawn(async move { router.fetch(&task).await.map(|page| page.text.len()) })
    };
    let mut pages = stream::iter(1..=PAGES).map(fetch).buffer_unordered(AT_ONCE);
    while let Some(bytes) = pages.next().await {
        assert_eq!(bytes??, PAGE_BYTES);
    }
    Ok(begun.elapsed())
}

/// Ended when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(name: &str, port: u16, directory: &TempDir) -> Result<Running, Error> {
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
    let path = directory.path().join("conf");
    let mut command = Command::new(name);
    if name == "squid" {
        let config = format!(
            "http_port 127.0.0.1:{port}\nhttp_access allow all\ncache deny all\naccess_log none\n\
             cache_log /dev/null\npid_filename none\ncoredump_dir /tmp\n"
        );
        fs::write(&path, config)?;
        command.args(["-N", "-f"]).arg(path);
    } else {
        let config = format!(
            "Port {port}\nListen 127.0.0.1\nAllow 127.0.0.1\nMaxClients 400\n\
                     LogLevel Critical\n"
        );
        fs::write(&path, config)?;
        command.args(["-d", "-c"]).arg(path);
    }
    let child = Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?);
    while StdStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).is_err() {
        std::thread::park_timeout(Duration::from_millis(20));
    }
    Ok(child)
}

async fn serve() -> Result<(), Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(answer_all(stream));
    }
}

/// Closes a connection when it is asked to, as servers do.
async fn answer_all(stream: TcpStream) {
    let page = "x".repeat(PAGE_BYTES);
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\n";
    let mut stream = BufReader::new(stream);
    loop {
        // Proxies send a request in pieces.
        let mut request = String::new();
        while !request.ends_with("\r\n\r\n") {
            match stream.read_line(&mut request).await {
                Ok(1..) => {}
                _ => return,
            }
        }
        request.make_ascii_lowercase();
        let is_last = request.contains("\r\nconnection: close\r\n");
        let close = if is_last { "connection: close\r\n" } else { "" };
        let answer = format!("{head}{close}content-length: {PAGE_BYTES}\r\n\r\n{page}");
        if stream.write_all(answer.as_bytes()).await.is_err() || is_last {
            return;
        }
    }
}
