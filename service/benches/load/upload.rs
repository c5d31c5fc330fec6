//! An upload as large as it may be: lines of about a kilobyte, each with parameters of its own.

use std::time::Instant;

use anyhow::Result;
use bytes::Bytes;

use crate::client::Client;

/// How many bytes a line has: a million of them are a gigabyte.
const LINE_BYTES: usize = 1_000;
/// How many lines are sent at a time.
const LINES: usize = 256;

/// Sends so many bytes; gives the seconds that it took, and the bytes.
pub(crate) async fn send(client: &Client, bytes: u64) -> Result<(f64, u64)> {
    let line = |number: usize| {
        let start = format!(
            "{{\"url\":\"https://example.com/products/{number}\",\"id\":\"{number}\",\"metadata\":{{\"note\":\""
        );
        let end = "\"}}\n";
        let filler = "x".repeat(LINE_BYTES - start.len() - end.len());
        [&*start, &filler, end].concat()
    };
    // One piece, again and again: making it must not be what is measured.
    let piece = Bytes::from((0..LINES).map(line).collect::<String>());
    let count = bytes / piece.len() as u64;
    let total = count * piece.len() as u64;
    let pieces = (0..count).map(move |_| Ok::<_, std::io::Error>(piece.clone()));
    let body = reqwest::Body::wrap_stream(futures::stream::iter(pieces));
    let began = Instant::now();
    client.upload("application/x-ndjson", body).await?;
    Ok((began.elapsed().as_secs_f64(), total))
}
