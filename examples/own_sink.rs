//! How do I write records somewhere else, so that a crash loses and repeats nothing?
//!
//! `cargo run --example own_sink`

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use harvestman::{
    Error, Job, Part, Record, Result, Sink, SinkState, SinkWriter,
    testing::{ListSource, Reply, ScriptedFetcher, SinkUnderTest, sink_conformance},
};
use serde_json::json;
use tokio::{
    fs::{self, File, OpenOptions},
    io::{AsyncSeekExt, AsyncWriteExt, BufWriter},
};

/// A file with the status of each URL. Its state is its length: what came later is cut off.
#[derive(Debug)]
struct StatusFile {
    path: PathBuf,
}

struct StatusWriter {
    path: PathBuf,
    file: BufWriter<File>,
    rows: u64,
}

#[async_trait]
impl Sink for StatusFile {
    async fn open(&self, resume: Option<&SinkState>) -> Result<Box<dyn SinkWriter>> {
        let (length, rows) = match resume {
            None => (0, 0),
            Some(SinkState(state)) => match (state["length"].as_u64(), state["rows"].as_u64()) {
                (Some(length), Some(rows)) => (length, rows),
                _ => return Err(Error::damaged("the sink's state", "it has no length or no rows")),
            },
        };
        let open =
            OpenOptions::new().write(true).create(true).truncate(false).open(&self.path).await;
        let mut file = open.map_err(Error::io("open", &self.path))?;
        let present = file.metadata().await.map_err(Error::io("read", &self.path))?.len();
        if present < length {
            return Err(Error::damaged(self.path.display().to_string(), "it is too short"));
        }
        file.set_len(length).await.map_err(Error::io("cut", &self.path))?;
        file.seek(std::io::SeekFrom::End(0)).await.map_err(Error::io("read", &self.path))?;
        Ok(Box::new(StatusWriter { path: self.path.clone(), file: BufWriter::new(file), rows }))
    }
}

#[async_trait]
impl SinkWriter for StatusWriter {
    async fn write(&mut self, records: Vec<Record>) -> Result<()> {
        for record in records {
            let line = format!("{} {}\n", record.task.index(), record.status());
            let written = self.file.write_all(line.as_bytes()).await;
            written.map_err(Error::io("write to", &self.path))?;
            self.rows += 1;
        }
        Ok(())
    }

    async fn checkpoint(&mut self) -> Result<SinkState> {
        self.file.flush().await.map_err(Error::io("write to", &self.path))?;
        let file = self.file.get_mut();
        file.sync_data().await.map_err(Error::io("synchronise", &self.path))?;
        let length = file.stream_position().await.map_err(Error::io("read", &self.path))?;
        Ok(SinkState(json!({"length": length, "rows": self.rows})))
    }

    // One file, which is complete at the end.
    fn sealed(&self) -> Vec<Part> {
        Vec::new()
    }

    async fn finish(mut self: Box<Self>) -> Result<Vec<Part>> {
        self.checkpoint().await?;
        let length = fs::metadata(&self.path).await.map_err(Error::io("read", &self.path))?.len();
        Ok(vec![Part::new(self.path.display().to_string(), self.rows, length)])
    }
}

/// A place for the conformance suite, which checks the commit rule.
struct Place(tempfile::TempDir);

impl SinkUnderTest for Place {
    fn sink(&self) -> Arc<dyn Sink> {
        Arc::new(StatusFile { path: self.0.path().join("status.txt") })
    }

    fn indices(&self, parts: &[Part]) -> Vec<u64> {
        let text =
            std::fs::read_to_string(Path::new(&parts[0].location)).expect("it was published");
        let index = |line: &str| line.split(' ').next()?.parse().ok();
        text.lines().map(|line| index(line).expect("a line begins with its index")).collect()
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    sink_conformance(|| Place(tempfile::tempdir().expect("a temporary directory"))).await;

    let directory = tempfile::tempdir()?;
    let sink = StatusFile { path: directory.path().join("status.txt") };
    let source = ListSource::new((0..1_000).map(|page| format!("https://a.test/{page}")));
    let fetcher = ScriptedFetcher::new(|_task, _attempt| Reply::Page(std::time::Duration::ZERO));
    let report = Job::new(Arc::new(source), fetcher, Arc::new(sink)).spawn().wait().await?;
    println!("{} records in {}", report.parts[0].rows, report.parts[0].location);
    Ok(())
}
