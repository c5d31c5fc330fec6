//! An endpoint for webhooks that refuses now and then, and remembers what it has got.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// Every so many deliveries are refused.
const REFUSE_EVERY: u32 = 13;

/// The endpoint, and the ids of the events that it accepted, by job.
#[derive(Clone)]
pub(crate) struct Endpoint {
    address: SocketAddr,
    accepted: Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>,
}

impl Endpoint {
    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub(crate) fn accepted(&self) -> BTreeMap<String, BTreeSet<String>> {
        self.accepted.lock().map(|accepted| accepted.clone()).unwrap_or_default()
    }
}

pub(crate) async fn start() -> Result<Endpoint> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = Endpoint { address: listener.local_addr()?, accepted: Arc::default() };
    let (served, count) = (endpoint.clone(), Arc::new(AtomicU32::new(0)));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let refuses = count.fetch_add(1, Ordering::Relaxed).is_multiple_of(REFUSE_EVERY);
            tokio::spawn(serve(stream, served.clone(), refuses));
        }
    });
    Ok(endpoint)
}

/// Answers the requests of one connection.
async fn serve(stream: TcpStream, endpoint: Endpoint, refuses: bool) -> Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            if line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        if !refuses {
            note(&endpoint, &body)?;
        }
        let status = if refuses { "503 Busy" } else { "204 No Content" };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        stream.get_mut().write_all(answer.as_bytes()).await?;
    }
}

fn note(endpoint: &Endpoint, body: &[u8]) -> Result<()> {
    let event: Value = serde_json::from_slice(body)?;
    let text = |value: &Value| value.as_str().map(str::to_owned).context("no text");
    let (job, id) = (text(&event["data"]["job_id"])?, text(&event["id"])?);
    if let Ok(mut accepted) = endpoint.accepted.lock() {
        accepted.entry(job).or_default().insert(id);
    }
    Ok(())
}
