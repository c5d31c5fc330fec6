//! Asks the service.

use std::fs;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use serde_json::{Value, json};

/// A client of the service; clones share its connections.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    url: String,
    process: u32,
}

/// A job that was submitted.
pub(crate) struct Job<'a> {
    client: &'a Client,
    pub(crate) id: String,
}

impl Client {
    pub(crate) fn new(url: &str, process: u32) -> Self {
        Self { http: reqwest::Client::new(), url: url.to_owned(), process }
    }

    /// Uploads a list of URLs and gives its id.
    pub(crate) async fn upload_list(&self, list: String) -> Result<String> {
        self.upload("text/plain", list.into()).await
    }

    pub(crate) async fn upload(&self, media: &str, body: reqwest::Body) -> Result<String> {
        let request =
            self.http.post(format!("{}/v1/uploads", self.url)).header("content-type", media);
        let answer: Value = read(request.body(body).send().await?).await?;
        Ok(answer["id"].as_str().context("no id")?.to_owned())
    }

    /// Submits a job over a list at full concurrency.
    pub(crate) async fn job(&self, list: &str) -> Result<Job<'_>> {
        let body = json!({
            "input": {"upload_id": list},
            "concurrency": 256,
            "defaults": {"extract": {"name": "string", "price": "number"}},
        });
        let request = self.http.post(format!("{}/v1/jobs", self.url));
        let request = request.header("content-type", "application/json").body(body.to_string());
        let answer = read(request.send().await?).await?;
        Ok(Job { client: self, id: answer["id"].as_str().context("no id")?.to_owned() })
    }

    pub(crate) async fn status(&self, job: &str) -> Result<Value> {
        read(self.http.get(format!("{}/v1/jobs/{job}", self.url)).send().await?).await
    }

    pub(crate) async fn events(
        &self,
        job: &str,
    ) -> Result<impl Stream<Item = reqwest::Result<Bytes>> + use<>> {
        let answer = self.http.get(format!("{}/v1/jobs/{job}/events", self.url)).send().await?;
        ensure!(answer.status().is_success(), "the stream was refused: {}", answer.status());
        Ok(answer.bytes_stream().boxed())
    }

    /// A figure of the service's memory in MiB.
    pub(crate) fn memory(&self, field: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process))?;
        let line =
            status.lines().find_map(|line| line.strip_prefix(field)).context("no such field")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
    }
}

impl Job<'_> {
    /// Waits for the end and gives the pages a second.
    pub(crate) async fn ended(&self) -> Result<f64> {
        loop {
            let url = format!("{}/v1/jobs/{}?wait=30", self.client.url, self.id);
            let status = read(self.client.http.get(url).send().await?).await?;
            if status["status"] == "completed" {
                ensure!(status["urls_ok"] == status["urls_total"], "pages have failed: {status}");
                let time = |field: &str| -> Result<jiff::Timestamp> {
                    Ok(status[field].as_str().context("no time")?.parse()?)
                };
                let took = time("finished_at")?.duration_since(time("started_at")?);
                return Ok(status["urls_ok"].as_f64().unwrap_or(0.0) / took.as_secs_f64());
            }
        }
    }
}

async fn read(answer: reqwest::Response) -> Result<Value> {
    let status = answer.status();
    let bytes = answer.bytes().await?;
    ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&bytes));
    Ok(serde_json::from_slice(&bytes)?)
}
