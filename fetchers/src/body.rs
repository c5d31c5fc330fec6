//! Reads a body up to its limit.

use std::time::Duration;

use harvestman_engine::FetchError;
use reqwest::Response;

use crate::{content::Coding, decompress::Decompressor, failure};

/// How much room is made for a body by what its header announces; more only as it arrives.
const MAX_RESERVED_BYTES: u64 = 64 * 1024;
/// How much longer than its limit a body may be while it is compressed. Without this a compression
/// of nothing could go on for ever.
const MAX_COMPRESSION_LOSS: u64 = 64 * 1024;
/// How much of a body that nobody wants is read, so that its connection can be used again.
const MAX_DRAINED_BYTES: usize = 16 * 1024;
/// How long reading such a body may take.
const DRAIN_TIME: Duration = Duration::from_millis(200);

/// How much of an error's body is read, so that its kind can be told.
const MAX_BEGINNING_BYTES: usize = 64 * 1024;
/// How long reading that may take.
const BEGINNING_TIME: Duration = Duration::from_millis(500);

/// Reads the body and undoes its `coding`; past `max` bytes of the result it stops at once.
pub(crate) async fn read(
    response: Response,
    coding: Option<&Coding>,
    max: u64,
) -> Result<Vec<u8>, FetchError> {
    match coding.and_then(|coding| Decompressor::new(coding, max)) {
        Some(decompressor) => read_compressed(response, decompressor, max).await,
        None => read_plain(response, max).await,
    }
}

async fn read_plain(mut response: Response, max: u64) -> Result<Vec<u8>, FetchError> {
    let announced = response.content_length().unwrap_or(0);
    if announced > max {
        return Err(failure::too_large(max));
    }
    let mut body = Vec::with_capacity(announced.min(MAX_RESERVED_BYTES) as usize);
    while let Some(chunk) = response.chunk().await.map_err(failure::of_body)? {
        if (body.len() + chunk.len()) as u64 > max {
            return Err(failure::too_large(max));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

async fn read_compressed(
    mut response: Response,
    mut decompressor: Decompressor,
    max: u64,
) -> Result<Vec<u8>, FetchError> {
    let (mut body, mut compressed) = (Vec::new(), 0);
    while let Some(chunk) = response.chunk().await.map_err(failure::of_body)? {
        compressed += chunk.len() as u64;
        if compressed > max + MAX_COMPRESSION_LOSS {
            return Err(failure::too_large(max));
        }
        decompressor.push(&chunk, &mut body)?;
    }
    decompressor.finish()?;
    Ok(body)
}

/// The beginning of an error's body, for whoever wants to know what kind of error it is; as much
/// as comes in time.
pub(crate) async fn beginning(mut response: Response, coding: Option<&Coding>) -> Vec<u8> {
    let mut decompressor =
        coding.and_then(|coding| Decompressor::new(coding, MAX_BEGINNING_BYTES as u64));
    let (mut body, mut left) = (Vec::new(), MAX_BEGINNING_BYTES);
    let read = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            let is_whole = if let Some(decompressor) = &mut decompressor {
                decompressor.push(&chunk, &mut body).is_ok()
            } else {
                body.extend_from_slice(&chunk[..chunk.len().min(left)]);
                true
            };
            match left.checked_sub(chunk.len()) {
                Some(rest) if is_whole => left = rest,
                _ => return,
            }
        }
    };
    // What has come until then will do.
    let _ = tokio::time::timeout(BEGINNING_TIME, read).await;
    body
}

/// Reads away a short body: a connection with an unread rest is closed, and the next request to
/// the host would have to make a new one.
pub(crate) async fn drain(mut response: Response) {
    let drained = async {
        let mut left = MAX_DRAINED_BYTES;
        while let Ok(Some(chunk)) = response.chunk().await {
            match left.checked_sub(chunk.len()) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // Too late means a closed connection, nothing else.
    let _ = tokio::time::timeout(DRAIN_TIME, drained).await;
}
