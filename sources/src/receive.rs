//! Takes an upload in: what is sent is decoded, looked through line by line, and written down.

mod batch;
mod checks;
mod options;
mod tally;
mod transfer;

use std::{
    io::{self, Read, Write},
    sync::OnceLock,
    thread,
};

use harvestman_engine::{Code, Error};
use serde::{Deserialize, Serialize};

pub use self::options::{DEFAULT_MAX_TASKS, DEFAULT_MAX_UPLOAD_BYTES, ReceiveOptions};
use self::{
    checks::Checks,
    tally::Tally,
    transfer::{Incoming, Outgoing},
};
use crate::{
    InputFormat,
    decode::{decode, detect, read_error},
    reading::{Layout, begin},
    rows::Rows,
    survey::hex,
};

/// Of how many bad lines an upload keeps the errors.
pub const MAX_LINE_ERRORS: usize = 100;
/// What messages call the input.
const UPLOAD: &str = "the upload";

/// What was received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Received {
    /// How the tasks are written.
    pub format: InputFormat,
    /// The size in bytes as it was sent.
    pub bytes: u64,
    /// The size in bytes as it was written down.
    pub decoded_bytes: u64,
    /// The number of tasks, those of bad lines included.
    pub tasks: u64,
    /// The number of bad lines among them.
    pub invalid: u64,
    /// The first [`MAX_LINE_ERRORS`] bad lines.
    pub errors: Vec<LineError>,
    /// The SHA-256 of what was written down, in lower-case hexadecimal digits.
    pub sha256: String,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LineError {
    /// The 1-based line of the decoded file.
    pub line: u64,
    /// The code that its record would have.
    pub code: Code,
    /// What is wrong, in at most about 1,000 bytes without control characters.
    pub message: String,
}

/// Why an upload was not received. What was written of it is of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// There are more bytes than allowed, as they were sent or decoded.
    #[error("the upload holds more than {limit} bytes, sent or decoded; split it")]
    TooLarge {
        /// The most bytes allowed.
        limit: u64,
    },
    /// There are more tasks than allowed.
    #[error("the upload holds more than {limit} tasks; split it")]
    TooManyTasks {
        /// The most tasks allowed.
        limit: u64,
    },
    /// It can't be decoded, or is no list of tasks: damaged, of another kind, or without a usable
    /// CSV header.
    #[error("{message}")]
    Unreadable {
        /// What is wrong and what to do.
        message: String,
    },
    /// The sender broke off, or what was sent could not be read to its end.
    #[error("the upload broke off: {source}")]
    Interrupted {
        /// What the input said.
        source: io::Error,
    },
    /// It could not be written down.
    #[error("failed to write the upload: {source}")]
    Io {
        /// What the output said.
        source: io::Error,
    },
}

/// Copies an upload to `output`, decoded, and looks through its lines as they pass.
///
/// A line that can't be used is counted and received like any other: it fails when the job runs, by
/// itself. The output is byte for byte what was sent, after decoding, and is for the caller to
/// synchronise; after an error it is for the caller to remove. Memory holds some batches of lines,
/// whatever the size of the upload.
///
/// Lines are checked on [several threads](ReceiveOptions::with_threads), reading, hashing and writing
/// is done on this one. Blocks for as long as the upload takes: call it on a thread for blocking work.
///
/// ```
/// use harvestman_sources::{ReceiveOptions, receive};
///
/// let sent = b"{\"url\": \"https://a.test/\"}\n{oops\n";
/// let mut kept = Vec::new();
/// let received = receive(&sent[..], &mut kept, &ReceiveOptions::new())?;
/// assert_eq!((received.tasks, received.invalid, received.errors[0].line), (2, 1, 2));
/// assert_eq!(kept, sent);
/// # Ok::<(), harvestman_sources::ReceiveError>(())
/// ```
pub fn receive(
    input: impl Read + Send,
    output: impl Write,
    options: &ReceiveOptions,
) -> Result<Received, ReceiveError> {
    // Decoders and readers of rows pass errors on as text: here is the one that began it.
    let cause = OnceLock::new();
    let result = transfer(input, output, options, &cause);
    result.map_err(|failure| match (cause.into_inner(), failure) {
        (Some(cause), _) | (None, Failure::Limit(cause)) => cause,
        (None, Failure::Unreadable(error)) => {
            ReceiveError::Unreadable { message: error.to_string() }
        }
    })
}

/// What stopped the transfer, unless it is known better.
enum Failure {
    Limit(ReceiveError),
    Unreadable(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Unreadable(error)
    }
}

fn transfer(
    input: impl Read + Send,
    output: impl Write,
    options: &ReceiveOptions,
    cause: &OnceLock<ReceiveError>,
) -> Result<Received, Failure> {
    let failed = read_error(UPLOAD);
    let mut incoming = Incoming::new(input, options.max_bytes, cause);
    let (detected, sent) = detect(&mut incoming).map_err(&failed)?;
    let compression = options.compression.unwrap_or(detected);
    let decoded = decode(sent, compression, u64::MAX, UPLOAD).map_err(&failed)?;
    let mut outgoing = Outgoing::new(decoded, output, options.max_bytes, cause);
    let (layout, mut rows) = begin(&mut outgoing, options.format, &options.reader, UPLOAD)?;
    let format = layout.format();
    let (tasks, tally) = look_through(&mut rows, &layout, options)?;
    drop(rows);
    let (decoded_bytes, hash) = outgoing.finish().map_err(&failed)?;
    let bytes = incoming.finish().map_err(&failed)?;
    let (invalid, errors) = tally.into_parts();
    Ok(Received { format, bytes, decoded_bytes, tasks, invalid, errors, sha256: hex(hash) })
}

/// Reads all rows and has them checked: how many there are, and what is wrong with which.
fn look_through(
    rows: &mut Rows<impl Read>,
    layout: &Layout,
    options: &ReceiveOptions,
) -> Result<(u64, Tally), Failure> {
    let parser = || layout.parser(options.reader.clone());
    thread::scope(|scope| {
        let mut checks = Checks::new(scope, &parser, options.threads);
        let mut tasks = 0;
        loop {
            while let Some(row) = rows.next() {
                if tasks >= options.max_tasks {
                    let limit = options.max_tasks;
                    return Err(Failure::Limit(ReceiveError::TooManyTasks { limit }));
                }
                checks.add(&row);
                tasks += 1;
            }
            if !rows.fill().map_err(read_error(UPLOAD))? {
                return Ok((tasks, checks.finish()));
            }
        }
    })
}
