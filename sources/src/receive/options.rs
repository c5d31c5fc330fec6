//! What a caller may say about an upload.

use std::thread;

use harvestman_engine::{LineReader, Params};

use crate::{Compression, InputFormat};

/// The most bytes of an upload, unless set otherwise, as sent and as decoded: 1 GB.
pub const DEFAULT_MAX_UPLOAD_BYTES: u64 = 1_000_000_000;
/// The most tasks of an upload, unless set otherwise.
pub const DEFAULT_MAX_TASKS: u64 = 1_000_000;

/// The most threads that check one upload, unless set otherwise.
const MAX_THREADS: usize = 4;

/// How an upload is received; everything has a default.
#[derive(Clone, Debug)]
pub struct ReceiveOptions {
    pub(super) format: Option<InputFormat>,
    pub(super) compression: Option<Compression>,
    pub(super) max_bytes: u64,
    pub(super) max_tasks: u64,
    pub(super) reader: LineReader,
    pub(super) threads: usize,
}

impl Default for ReceiveOptions {
    fn default() -> Self {
        Self {
            format: None,
            compression: None,
            max_bytes: DEFAULT_MAX_UPLOAD_BYTES,
            max_tasks: DEFAULT_MAX_TASKS,
            reader: LineReader::new(Params::new()),
            threads: thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS),
        }
    }
}

impl ReceiveOptions {
    /// Format and compression by what the upload begins with, [`DEFAULT_MAX_UPLOAD_BYTES`],
    /// [`DEFAULT_MAX_TASKS`], as many threads as there are processors, at most 4.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the format, whatever the first line [looks like](InputFormat::of_first_line).
    pub fn with_format(mut self, format: InputFormat) -> Self {
        self.format = Some(format);
        self
    }

    /// Sets the compression, whatever the [first bytes](Compression::of_first_bytes) say.
    pub fn with_compression(mut self, compression: Compression) -> Self {
        self.compression = Some(compression);
        self
    }

    /// Sets the most bytes, which are counted twice: as sent and as decoded.
    pub fn with_max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Sets the most tasks, those of bad lines included.
    pub fn with_max_tasks(mut self, tasks: u64) -> Self {
        self.max_tasks = tasks;
        self
    }

    /// Sets what lines are checked against, where the defaults or columns of their job are known.
    pub fn with_reader(mut self, reader: LineReader) -> Self {
        self.reader = reader;
        self
    }

    /// Sets how many threads check lines, at least 1: the caller's, and others if the upload is more
    /// than one batch of 128 KiB.
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }
}
