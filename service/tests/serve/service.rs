//! Starts the service, and a shop for it to scrape, and asks.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::Duration,
};

use harvestman_shop::{RunningShop, Shop};
use reqwest::{Client, Method, RequestBuilder, StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Keys that are declared for tests: of a workspace, of another one, of one that may only look.
pub(crate) const ACME: &str = "hd_live_acme_0123456789abcdef";
pub(crate) const BETA: &str = "hd_live_beta_0123456789abcdef";

/// How long a test waits for what must happen.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A running service with a shop beside it.
pub(crate) struct Service {
    pub(crate) shop: RunningShop,
    pub(crate) url: String,
    pub(crate) client: Client,
    child: Mutex<Child>,
    directory: TempDir,
    args: Vec<String>,
    env: Vec<(String, String)>,
}

/// An answer that was read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body, if the status is this one.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self.json()
    }

    /// Checks that it is an error in the contract's envelope, and gives its body.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        let body = self.json();
        assert_eq!(body["status"], "error");
        assert_eq!(body["code"], code, "{body}");
        for field in ["message", "docs_url", "retryable", "retry_after_s", "trace_id", "detail"] {
            assert!(body.get(field).is_some(), "{field} is missing: {body}");
        }
        assert_eq!(body["trace_id"], self.header("x-trace-id"));
        body
    }
}

impl Service {
    /// A service without keys and a shop of 100 products.
    pub(crate) fn open() -> Self {
        Self::with(Shop::new().with_products(100), &[], &[])
    }

    /// A service with the keys [`ACME`] and [`BETA`].
    pub(crate) fn with_keys() -> Self {
        let keys = format!("acme={ACME};beta={BETA}");
        Self::with(Shop::new().with_products(100), &[], &[("HARVESTMAN_API_KEYS", &keys)])
    }

    /// A service with these options and variables.
    pub(crate) fn with(shop: Shop, args: &[&str], env: &[(&str, &str)]) -> Self {
        let shop = shop.start(([127, 0, 0, 1], 0).into()).unwrap();
        let directory = TempDir::new().unwrap();
        let args: Vec<_> = args.iter().map(ToString::to_string).collect();
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let env: Vec<_> = env.iter().map(owned).collect();
        let (child, url) = start(directory.path(), &args, &env);
        let client = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { shop, url, client, child: Mutex::new(child), directory, args, env }
    }

    /// Kills the process as a power cut would, and starts another one on the same directory.
    pub(crate) fn kill_and_restart(&mut self) {
        {
            let mut child = self.child.lock().unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
        }
        self.restart();
    }

    /// Ends the process, and starts another one on the same directory with these options and variables.
    pub(crate) fn restart_with(&mut self, args: &[&str], env: &[(&str, &str)]) {
        self.args = args.iter().map(ToString::to_string).collect();
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        self.env = env.iter().map(owned).collect();
        self.kill_and_restart();
    }

    /// Starts another process on the same directory, once the first has ended.
    pub(crate) fn restart(&mut self) {
        let (child, url) = start(self.directory.path(), &self.args, &self.env);
        self.child = Mutex::new(child);
        self.url = url;
    }

    /// Sends a signal to the process.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let child = self.child.lock().unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
    }

    /// Waits for the process's end.
    pub(crate) fn exit_code(&self) -> Option<i32> {
        self.child.lock().unwrap().wait().unwrap().code()
    }

    /// The resident memory of the process, in KiB.
    pub(crate) fn memory_kib(&self) -> u64 {
        let pid = self.child.lock().unwrap().id();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    pub(crate) fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        send(self.request(Method::DELETE, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        send(
            self.request(Method::POST, path)
                .header("content-type", "application/json")
                .body(body.to_string()),
        )
        .await
    }

    /// The URLs of the shop's first pages.
    pub(crate) fn urls(&self, count: u32) -> Vec<String> {
        (0..count).map(|product| self.shop.product_url(product)).collect()
    }

    /// Submits a job over the first pages of the shop, with more keys if given.
    pub(crate) async fn submit(&self, count: u32, more: Value) -> String {
        let mut body = json!({"urls": self.urls(count), "defaults": {"extract": {"name": "string", "price": "number"}}});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        id(&self.post("/v1/jobs", &body).await.expect(202))
    }

    /// Waits for the job's end.
    pub(crate) async fn ended(&self, job: &str) -> Value {
        self.until(job, |job| !matches!(job["status"].as_str(), Some("queued" | "running"))).await
    }

    /// Waits until the job is as wanted.
    pub(crate) async fn until(&self, job: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let end = std::time::Instant::now() + PATIENCE;
        loop {
            let status = self.get(&format!("/v1/jobs/{job}")).await.expect(200);
            if is_so(&status) {
                return status;
            }
            assert!(std::time::Instant::now() < end, "it has not come to that: {status}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Downloads what a link leads to.
    pub(crate) async fn download(&self, url: &Value) -> Answer {
        let url = url.as_str().unwrap_or_else(|| panic!("there is no link: {url}"));
        send(self.client.get(url)).await
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap();
        let _ = child.kill();
        let _ = child.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
            let tail: Vec<_> = log.lines().rev().take(20).collect();
            eprintln!(
                "the service's log ends with:\n{}",
                tail.into_iter().rev().collect::<Vec<_>>().join("\n")
            );
        }
    }
}

fn start(directory: &Path, args: &[String], env: &[(String, String)]) -> (Child, String) {
    let log = fs::OpenOptions::new().create(true).append(true).open(directory.join("log")).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_harvestman"))
        .args(["--log", "info,harvestman=debug", "serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(directory.join("data"))
        .args(["--allow-address", "127.0.0.1", "--no-sandbox"])
        .args(args)
        .envs(env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().strip_prefix("listening on ").unwrap_or_else(|| {
        panic!("it didn't start: {}", fs::read_to_string(directory.join("log")).unwrap())
    });
    (child, url.to_owned())
}

pub(crate) async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { status, headers, bytes: response.bytes().await.unwrap().to_vec() }
}

/// The id of what was made.
pub(crate) fn id(body: &Value) -> String {
    body["id"].as_str().unwrap().to_owned()
}

/// The records of an NDJSON result.
pub(crate) fn records(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
