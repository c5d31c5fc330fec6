//! A service that answers as a test says, and remembers what it was asked; the program as its client.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex},
};

use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderMap, Response},
};
use futures::StreamExt;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{net::TcpListener, runtime::Runtime};

/// A service.
pub(crate) struct Service {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// Stops serving when it is dropped.
    _runtime: Runtime,
}

/// A request that came in.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Service {
    /// A service that answers the request with this 0-based number.
    pub(crate) fn new(
        answer: impl Fn(usize, &Seen) -> Response<Body> + Send + Sync + 'static,
    ) -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (asked, answer) = (Arc::clone(&seen), Arc::new(answer));
        let router = axum::Router::new().fallback(move |request: Request| {
            let (asked, answer) = (Arc::clone(&asked), Arc::clone(&answer));
            async move {
                let (parts, body) = request.into_parts();
                let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
                let (method, path) = (parts.method.to_string(), parts.uri.to_string());
                let request = Seen { method, path, headers: parts.headers, body };
                let number = {
                    let mut asked = asked.lock().unwrap();
                    asked.push(request.clone());
                    asked.len() - 1
                };
                answer(number, &request)
            }
        });
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { url, seen, _runtime: runtime }
    }

    /// What was asked so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// A directory in which the program runs.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.0.path().join(name), content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.path().join(name)).unwrap()
    }

    pub(crate) fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    /// `harvestman` with these words, and what is in its environment by chance taken away.
    pub(crate) fn command(&self, url: &str, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_harvestman"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("HARVESTMAN_") || name.to_ascii_lowercase().ends_with("_proxy") {
                command.env_remove(name);
            }
        }
        command.current_dir(self.0.path()).env("HARVESTMAN_URL", url).args(words.split(' '));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs it to its end, which must have this exit code.
    pub(crate) fn run(&self, url: &str, words: &str, code: i32) -> Said {
        Said::expect(self.command(url, words).output().unwrap(), words, code)
    }
}

/// What the program has said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn expect(output: Output, words: &str, code: i32) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let said = Self { out: text(output.stdout), err: text(output.stderr) };
        assert_eq!(output.status.code(), Some(code), "{words}: {said:?}");
        said
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }

    /// One value a line.
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// An answer with a JSON body.
pub(crate) fn json(status: u16, body: &Value) -> Response<Body> {
    answer(status, &[("content-type", "application/json")], body.to_string())
}

pub(crate) fn answer(
    status: u16,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Response<Body> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body.into()).unwrap()
}

/// A body that breaks off behind these bytes.
pub(crate) fn broken(bytes: impl Into<Bytes>) -> Body {
    let bytes = bytes.into();
    let end = futures::stream::once(async {
        // The bytes before have to leave first.
        tokio::task::yield_now().await;
        Err::<Bytes, _>(std::io::Error::other("the test breaks it"))
    });
    Body::from_stream(futures::stream::iter([Ok(bytes)]).chain(end))
}
