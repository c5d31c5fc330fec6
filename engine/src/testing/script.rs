use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use serde_json::json;
use tokio::time::Instant;

use crate::{
    Code, Error, FetchError, Fetcher, Page, Params, Part, Record, Result, Sink, SinkState,
    SinkWriter, Source, Task,
};

/// A source of URLs in memory.
#[derive(Clone, Debug)]
pub struct ListSource {
    urls: Arc<[String]>,
    params: Arc<Params>,
}

impl ListSource {
    /// A source of these URLs.
    pub fn new(urls: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { urls: urls.into_iter().map(Into::into).collect(), params: Arc::default() }
    }

    /// Sets the parameters of all tasks.
    pub fn with_params(mut self, params: Params) -> Self {
        self.params = Arc::new(params);
        self
    }
}

impl Source for ListSource {
    fn open(&self, from: u64) -> BoxStream<'static, Result<Task>> {
        let this = self.clone();
        let indices = from..this.urls.len() as u64;
        let task =
            move |index| Task::new(index, &this.urls[index as usize], Arc::clone(&this.params));
        stream::iter(indices.map(task).map(Ok)).boxed()
    }

    fn total(&self) -> Option<u64> {
        Some(self.urls.len() as u64)
    }
}

/// What a [`ScriptedFetcher`] does at one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A page, after this long.
    Page(Duration),
    /// A failure with this code, after this long.
    Fail(Code, Duration),
    /// A 429 with this `Retry-After`.
    SlowDown(Duration),
    /// A panic.
    Panic,
    /// Nothing, ever.
    Hang,
}

/// A fetcher that follows a script and writes down when it was asked for what.
pub struct ScriptedFetcher<F> {
    script: F,
    tries: Mutex<HashMap<u64, u32>>,
    log: Mutex<Vec<(u64, Instant)>>,
}

impl<F> fmt::Debug for ScriptedFetcher<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedFetcher").finish_non_exhaustive()
    }
}

impl<F: Fn(&Task, u32) -> Reply + Send + Sync> ScriptedFetcher<F> {
    /// `script` says what to do at a task's attempt, counted from 1.
    pub fn new(script: F) -> Arc<Self> {
        Arc::new(Self { script, tries: Mutex::default(), log: Mutex::default() })
    }

    /// The index of every attempt and when it began, in order.
    pub fn log(&self) -> Vec<(u64, Instant)> {
        self.log.lock().expect("no holder panics").clone()
    }

    fn note(&self, index: u64) -> u32 {
        self.log.lock().expect("no holder panics").push((index, Instant::now()));
        let mut tries = self.tries.lock().expect("no holder panics");
        let tries = tries.entry(index).or_default();
        *tries += 1;
        *tries
    }
}

#[async_trait]
impl<F: Fn(&Task, u32) -> Reply + Send + Sync> Fetcher for ScriptedFetcher<F> {
    async fn fetch(&self, task: &Task) -> Result<Page, FetchError> {
        let attempt = self.note(task.index());
        match (self.script)(task, attempt) {
            Reply::Page(after) => {
                wait(after).await;
                let url = task.target().expect("the driver fetches no invalid task").clone();
                Ok(Page::new(url, format!("<title>{}</title>", task.index())))
            }
            Reply::Fail(code, after) => {
                wait(after).await;
                Err(FetchError::new(code, "as the script says"))
            }
            Reply::SlowDown(wait) => Err(FetchError::new(Code::Target429, "as the script says")
                .with_http_status(429)
                .with_retry_after(Some(wait))),
            Reply::Panic => panic!("as the script says"),
            Reply::Hang => std::future::pending().await,
        }
    }
}

/// Even a wait of nothing would cost a turn of the timer.
async fn wait(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

/// What a [`MemorySink`] has: the durable lines, and how many of them are published.
#[derive(Debug, Default)]
struct Memory {
    lines: Vec<String>,
    published: Option<usize>,
}

/// A sink in memory that keeps the commit rule, one line of JSON a record.
#[derive(Clone, Debug, Default)]
pub struct MemorySink {
    memory: Arc<Mutex<Memory>>,
    part_rows: Option<usize>,
}

impl MemorySink {
    /// An empty sink.
    pub fn new() -> Self {
        Self::default()
    }

    /// Completes a part after so many records, at least 1; by default there is one part, at the end.
    pub fn with_part_rows(mut self, rows: usize) -> Self {
        self.part_rows = Some(rows.max(1));
        self
    }

    /// The published lines; `None` before [`finish`](SinkWriter::finish).
    pub fn published(&self) -> Option<Vec<String>> {
        let memory = self.memory.lock().expect("no holder panics");
        memory.published.map(|count| memory.lines[..count].to_vec())
    }

    /// All lines, published or not.
    pub fn lines(&self) -> Vec<String> {
        self.memory.lock().expect("no holder panics").lines.clone()
    }
}

#[async_trait]
impl Sink for MemorySink {
    async fn open(&self, resume: Option<&SinkState>) -> Result<Box<dyn SinkWriter>> {
        let committed = match resume {
            None => 0,
            Some(SinkState(state)) => state["lines"]
                .as_u64()
                .ok_or_else(|| Error::damaged("the sink's state", "no number of lines"))?,
        };
        let mut memory = self.memory.lock().expect("no holder panics");
        if committed as usize > memory.lines.len() {
            return Err(Error::damaged("the sink's state", "more lines than there are"));
        }
        memory.lines.truncate(committed as usize);
        memory.published = None;
        let committed = committed as usize;
        Ok(Box::new(MemoryWriter { sink: self.clone(), committed }))
    }
}

struct MemoryWriter {
    sink: MemorySink,
    /// Lines at the last checkpoint.
    committed: usize,
}

/// Lines as parts of so many rows each.
fn parts(lines: &[String], rows: usize) -> Vec<Part> {
    let part = |(number, lines): (usize, &[String])| {
        let bytes = lines.iter().map(|line| line.len() as u64 + 1).sum();
        Part::new(format!("memory-{number}"), lines.len() as u64, bytes)
    };
    lines.chunks(rows).enumerate().map(part).collect()
}

#[async_trait]
impl SinkWriter for MemoryWriter {
    async fn write(&mut self, records: Vec<Record>) -> Result<()> {
        let mut memory = self.sink.memory.lock().expect("no holder panics");
        for record in &records {
            let line = serde_json::to_string(record).map_err(|error| Error::part("sink", error))?;
            memory.lines.push(line);
        }
        Ok(())
    }

    async fn checkpoint(&mut self) -> Result<SinkState> {
        self.committed = self.sink.memory.lock().expect("no holder panics").lines.len();
        Ok(SinkState(json!({ "lines": self.committed })))
    }

    fn sealed(&self) -> Vec<Part> {
        let Some(rows) = self.sink.part_rows else { return Vec::new() };
        let memory = self.sink.memory.lock().expect("no holder panics");
        parts(&memory.lines[..self.committed - self.committed % rows], rows)
    }

    async fn finish(self: Box<Self>) -> Result<Vec<Part>> {
        let mut memory = self.sink.memory.lock().expect("no holder panics");
        memory.published = Some(memory.lines.len());
        Ok(parts(&memory.lines, self.sink.part_rows.unwrap_or(usize::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::testing::{
        SinkUnderTest, fetcher_conformance, sink_conformance, source_conformance,
    };

    impl SinkUnderTest for MemorySink {
        fn sink(&self) -> Arc<dyn Sink> {
            Arc::new(self.clone())
        }

        fn indices(&self, _parts: &[Part]) -> Vec<u64> {
            let index =
                |line: &String| serde_json::from_str::<Value>(line).unwrap()["index"].as_u64();
            self.published().unwrap().iter().map(|line| index(line).unwrap()).collect()
        }
    }

    #[tokio::test]
    async fn the_sink_conforms() {
        sink_conformance(MemorySink::new).await;
        sink_conformance(|| MemorySink::new().with_part_rows(64)).await;
    }

    #[tokio::test]
    async fn the_source_conforms() {
        let urls = (0..50).map(|index| format!("http://a.test/{index}"));
        source_conformance(&ListSource::new(urls), 50).await;
    }

    #[tokio::test]
    async fn the_fetcher_conforms() {
        let fetcher = ScriptedFetcher::new(|task, _| match task.index() {
            0 => Reply::Page(Duration::ZERO),
            _ => Reply::Fail(Code::Target4xx, Duration::ZERO),
        });
        let [good, bad] = [0, 1].map(|index| Task::new(index, "http://a.test/", Params::new()));
        fetcher_conformance(&*fetcher, &good, &bad).await;
    }
}
