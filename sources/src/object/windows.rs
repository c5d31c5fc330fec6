//! The bytes of an object for a thread that reads them.

use std::{
    io::{self, Read},
    sync::Arc,
};

use bytes::{Buf, Bytes};
use harvestman_engine::{Error, Result};
use tokio::{runtime::Handle, sync::mpsc};

use super::pinned::PinnedObject;

/// The first window, so that the first rows come soon and entering an object in its middle is cheap.
const FIRST_WINDOW: u64 = 256 * 1024;
/// The largest one; each is twice as large as the one before. One is read from, one waits, one is on
/// its way. Each is fetched whole, so that no connection is held open while a job takes its time.
const MAX_WINDOW: u64 = 2 * 1024 * 1024;

/// Reads an object from a place on, window by window. Dropping it ends the fetching.
#[derive(Debug)]
pub(super) struct Windows {
    fetched: mpsc::Receiver<Result<Bytes>>,
    window: Bytes,
    /// How many bytes are still to come, so that an end is never taken for the end.
    left: u64,
}

impl Windows {
    pub(super) fn open(runtime: &Handle, object: Arc<PinnedObject>, from: u64) -> Self {
        let (fetch, fetched) = mpsc::channel(1);
        let left = object.bytes().saturating_sub(from);
        runtime.spawn(async move {
            // Waiting for room and for a window: a dropped reader ends both.
            tokio::select! {
                () = fetch_all(&object, from, &fetch) => {}
                () = fetch.closed() => {}
            }
        });
        Self { fetched, window: Bytes::new(), left }
    }
}

async fn fetch_all(object: &PinnedObject, from: u64, fetch: &mpsc::Sender<Result<Bytes>>) {
    let (mut at, mut size) = (from, FIRST_WINDOW);
    while at < object.bytes() {
        let end = (at + size).min(object.bytes());
        let window = object.read(at..end).await;
        let is_failed = window.is_err();
        if fetch.send(window).await.is_err() || is_failed {
            return;
        }
        (at, size) = (end, (size * 2).min(MAX_WINDOW));
    }
}

impl Read for Windows {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.window.is_empty() && self.left > 0 {
            let message = "the reading of the object ended early";
            let fetched = self.fetched.blocking_recv();
            let fetched = fetched.unwrap_or_else(|| Err(Error::part("source", message)));
            self.window = fetched.map_err(io::Error::other)?;
            self.left -= self.window.len() as u64;
        }
        let read = buffer.len().min(self.window.len());
        self.window.copy_to_slice(&mut buffer[..read]);
        Ok(read)
    }
}
