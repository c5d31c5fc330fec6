//! What outlives an engine: its directory, its outputs, and who gets its webhooks.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use harvestman_engine::{
    Clock, Code, Courier, CourierAnswer, CourierError, CourierRequest, Engine, Error, Fetcher,
    JobSpec, Line, RateCard, Refusal, RequestError, Result, Sink, Source, Task, WholePage,
    engine::{
        Assembler, EngineParts, EngineSettings, Files, JobContext, JobParts, ReceivedUpload,
        UploadOptions,
    },
    id::{JobId, UploadId},
    spec::Input,
    store::{JobEntry, sqlite::SqliteStore},
    testing::{MemorySink, Reply, ScriptedFetcher},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

/// The world around an engine.
#[derive(Clone, Debug)]
pub(crate) struct World(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    directory: TempDir,
    clock: Clock,
    /// How far somebody has set the wall clock, in seconds.
    set_by: Arc<AtomicI64>,
    settings: EngineSettings,
    fetcher: Arc<dyn Fetcher>,
    /// How often each path was asked for.
    fetched: Arc<Mutex<HashMap<String, usize>>>,
    sinks: Mutex<HashMap<JobId, MemorySink>>,
    mail: Mutex<Vec<(Instant, CourierRequest)>>,
    /// What the endpoint answers now.
    status: Mutex<u16>,
}

/// What a page does, by the path of its URL: `/ok`, `/404`, `/503`, `/slow` (a minute), `/hang`.
fn script(task: &Task, attempt: u32) -> Reply {
    let path = task.target().map(|url| url.path().to_owned()).unwrap_or_default();
    let quick = Duration::from_millis(50);
    match path.as_str() {
        "/404" => Reply::Fail(Code::Target4xx, quick),
        "/503" => Reply::Fail(Code::Target5xx, quick),
        "/once" if attempt == 1 => Reply::Fail(Code::Target5xx, quick),
        "/slow" => Reply::Page(Duration::from_secs(20)),
        "/hang" => Reply::Hang,
        _ => Reply::Page(quick),
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(EngineSettings::default())
    }

    pub(crate) fn with(mut settings: EngineSettings) -> Self {
        settings.meter = Arc::new(RateCard::default());
        let start: Timestamp = "2026-05-12T22:00:00Z".parse().unwrap();
        let (running, set_by) = (Clock::with_runtime(start), Arc::new(AtomicI64::new(0)));
        let seen = Arc::clone(&set_by);
        let fetched: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
        let counted = Arc::clone(&fetched);
        Self(Arc::new(Inner {
            directory: tempfile::tempdir().unwrap(),
            clock: Clock::new(move || {
                let by = SignedDuration::from_secs(seen.load(Ordering::Relaxed));
                running.now().checked_add(by).unwrap()
            }),
            set_by,
            settings,
            fetcher: ScriptedFetcher::new(move |task: &Task, attempt| {
                let path = task.target().unwrap().path().to_owned();
                *counted.lock().unwrap().entry(path).or_default() += 1;
                script(task, attempt)
            }),
            fetched,
            sinks: Mutex::default(),
            mail: Mutex::default(),
            status: Mutex::new(200),
        }))
    }

    /// Starts an engine, once the one before has let go of the directory.
    pub(crate) async fn open(&self) -> Engine {
        let store = loop {
            match SqliteStore::open(self.0.directory.path()) {
                Err(Error::Locked { .. }) => tokio::task::yield_now().await,
                store => break store.unwrap(),
            }
        };
        let parts: Arc<Self> = Arc::new(self.clone());
        let parts = EngineParts::new(
            Arc::new(store),
            Arc::clone(&parts) as _,
            Arc::clone(&parts) as _,
            parts as _,
        );
        let parts = parts.with_clock(self.0.clock.clone());
        Engine::open(parts.with_settings(self.0.settings.clone())).await.unwrap()
    }

    /// The records of a job, finished or not.
    pub(crate) fn records(&self, id: &JobId) -> Vec<Value> {
        let lines = self.sink(id).lines();
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The indices of a job's records, in order.
    pub(crate) fn indices(&self, id: &JobId) -> Vec<u64> {
        let records = self.records(id);
        let mut indices: Vec<_> =
            records.iter().map(|record| record["index"].as_u64().unwrap()).collect();
        indices.sort_unstable();
        indices
    }

    pub(crate) fn sink(&self, id: &JobId) -> MemorySink {
        self.0.sinks.lock().unwrap().entry(id.clone()).or_default().clone()
    }

    /// How often pages with this path were asked for.
    pub(crate) fn fetched(&self, path: &str) -> usize {
        self.0.fetched.lock().unwrap().get(path).copied().unwrap_or_default()
    }

    /// Sets the wall clock forward, or back, while everything else goes on.
    pub(crate) fn set_clock_by(&self, seconds: i64) {
        self.0.set_by.fetch_add(seconds, Ordering::Relaxed);
    }

    /// Makes the endpoint answer with this status from now on.
    pub(crate) fn answer_with(&self, status: u16) {
        *self.0.status.lock().unwrap() = status;
    }

    /// What the endpoint has got, and when.
    pub(crate) fn mail(&self) -> Vec<(Instant, CourierRequest)> {
        self.0.mail.lock().unwrap().clone()
    }

    pub(crate) fn directory(&self) -> &std::path::Path {
        self.0.directory.path()
    }
}

/// A job over these paths, each on a host of its own number: `("/ok", 3)` is three pages.
pub(crate) fn spec(paths: &[(&str, usize)]) -> JobSpec {
    let paths = paths.iter().flat_map(|(path, count)| std::iter::repeat_n(*path, *count));
    let urls = paths.enumerate().map(|(number, path)| format!("http://h{}.test{path}", number % 5));
    JobSpec::new(Input::urls(urls))
}

/// Ends the engine at a random moment of its work, as `kill -9` would.
pub(crate) async fn kill(engine: Engine) {
    engine.abort().await;
}

/// Whether the figures of a job agree with each other.
pub(crate) fn assert_consistent(job: &JobEntry) {
    let counters = &job.counters;
    assert_eq!(counters.done(), counters.ok + counters.errored(), "{job:?}");
    if let Some(total) = job.total {
        assert!(counters.done() <= total, "{job:?}");
    }
    if let (true, Some(total), Some(skipped)) = (job.status.is_terminal(), job.total, job.skipped())
    {
        assert_eq!(total, counters.done() + skipped, "{job:?}");
    }
}

#[async_trait]
impl Assembler for World {
    fn check(&self, _spec: &JobSpec) -> Result<(), Refusal> {
        Ok(())
    }

    async fn source(&self, job: &JobContext) -> Result<Arc<dyn Source>> {
        let reader = job.spec.line_reader();
        let lines = (0..).map(|index| Line { index, number: index + 1 });
        let tasks = lines.zip(&job.urls);
        let read = |(line, url): (Line, &Value)| reader.read_json(line, url.to_string().as_bytes());
        Ok(Arc::new(Tasks(tasks.map(read).collect())))
    }

    async fn parts(&self, job: &JobContext) -> Result<JobParts> {
        Ok(JobParts {
            fetcher: Arc::clone(&self.0.fetcher),
            extractor: Arc::new(WholePage),
            sink: Arc::new(self.sink(&job.id)) as Arc<dyn Sink>,
        })
    }
}

#[derive(Debug)]
struct Tasks(Arc<[Task]>);

/// A list with a task whose path is `/break` breaks there, after a while.
impl Source for Tasks {
    fn open(&self, from: u64) -> BoxStream<'static, Result<Task>> {
        let tasks = Arc::clone(&self.0);
        let read = move |index: usize| {
            let task = tasks[index].clone();
            async move {
                if task.target().is_ok_and(|url| url.path() == "/break") {
                    tokio::time::sleep(Duration::from_secs(5)).await;
                    return Err(Error::changed("the list", "it was written to"));
                }
                Ok(task)
            }
        };
        stream::iter(from as usize..self.0.len()).then(read).boxed()
    }

    fn total(&self) -> Option<u64> {
        Some(self.0.len() as u64)
    }
}

#[async_trait]
impl Files for World {
    async fn receive(
        &self,
        _id: &UploadId,
        _options: &UploadOptions,
        _body: BoxStream<'static, io::Result<Bytes>>,
    ) -> Result<ReceivedUpload, RequestError> {
        Err(Error::invalid("upload", "this world takes none").into())
    }

    async fn erase_upload(&self, _id: &UploadId) -> Result<()> {
        Ok(())
    }

    async fn erase_output(&self, id: &JobId) -> Result<()> {
        self.0.sinks.lock().unwrap().remove(id);
        Ok(())
    }

    async fn uploads(&self) -> Result<Vec<UploadId>> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Courier for World {
    async fn deliver(&self, request: CourierRequest) -> Result<CourierAnswer, CourierError> {
        self.0.mail.lock().unwrap().push((Instant::now(), request));
        let status = *self.0.status.lock().unwrap();
        Ok(CourierAnswer { status, retry_after: None, excerpt: String::new() })
    }
}
