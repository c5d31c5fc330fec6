//! What a caller may say about an input.

use crate::{Compression, InputFormat};

/// The largest decoded size of a compressed input, and the most bytes taken from a pipe, when the
/// caller doesn't say.
pub const DEFAULT_MAX_DECODED_BYTES: u64 = 1_000_000_000;

/// How an input is read; everything has a default.
#[derive(Clone, Debug)]
pub struct InputOptions {
    pub(crate) format: Option<InputFormat>,
    pub(crate) compression: Option<Compression>,
    pub(crate) max_decoded_bytes: u64,
    pub(crate) max_tasks: u64,
}

impl Default for InputOptions {
    fn default() -> Self {
        Self {
            format: None,
            compression: None,
            max_decoded_bytes: DEFAULT_MAX_DECODED_BYTES,
            max_tasks: u64::MAX,
        }
    }
}

impl InputOptions {
    /// Format and compression by a file's suffix or by what an input begins with,
    /// [`DEFAULT_MAX_DECODED_BYTES`], any number of tasks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the format, whatever the suffix and the first line say.
    pub fn with_format(mut self, format: InputFormat) -> Self {
        self.format = Some(format);
        self
    }

    /// Sets the compression, whatever a file's suffix or a pipe's first bytes say.
    pub fn with_compression(mut self, compression: Compression) -> Self {
        self.compression = Some(compression);
        self
    }

    /// Sets the largest decoded size of a compressed input, and the most bytes taken from a pipe.
    /// More of them end the job. A plain file may be of any size.
    pub fn with_max_decoded_bytes(mut self, bytes: u64) -> Self {
        self.max_decoded_bytes = bytes;
        self
    }

    /// Sets the largest number of tasks. More of them end the job; there is no limit by default.
    pub fn with_max_tasks(mut self, tasks: u64) -> Self {
        self.max_tasks = tasks;
        self
    }
}
