//! Where the tasks of a job come from: lists in memory, files and pipes.
//!
//! [`Inline`] holds a list. [`FileSource`] reads text, NDJSON and CSV, plain or compressed, and can
//! be opened at any task. [`PipeSource`] reads standard input by way of a spool, and `ObjectStore`
//! (feature `object`) an object in a bucket. [`Deduplicated`] leaves out
//! what came before in another source. Each of them is a
//! [`Source`](harvestman_engine::Source); a line that can't be used makes an invalid task with the
//! line's number, and memory doesn't depend on the size of the input. [`receive`] takes in the upload
//! of a list, to be read from a file afterwards.
//!
//! ```
//! use futures::TryStreamExt;
//! use harvestman_engine::{LineReader, Params, Source};
//! use harvestman_sources::{FileSource, InputOptions};
//!
//! # let rt = tokio::runtime::Builder::new_current_thread().build()?;
//! # rt.block_on(async {
//! # let dir = tempfile::tempdir()?;
//! let path = dir.path().join("urls.csv");
//! std::fs::write(&path, "url,id\nhttps://a.test/,1\nhttps://b.test/,2\n")?;
//! let reader = LineReader::new(Params::new());
//! let source = FileSource::from_path(&path, reader, &InputOptions::new())?;
//! assert_eq!(source.survey().tasks, 2);
//! let second = source.open(1).try_next().await?.expect("the second of two");
//! assert_eq!((second.id(), second.line()), (Some("2"), 3));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cell;
mod columns;
mod decode;
mod deduplicated;
mod feed;
mod file;
mod format;
mod head;
mod index;
mod inline;
#[cfg(feature = "object")]
mod object;
mod options;
mod parser;
mod pipe;
mod quotes;
mod reading;
mod receive;
mod rows;
mod spool;
mod survey;
#[cfg(test)]
mod testing;

#[cfg(feature = "object")]
pub use crate::object::ObjectStore;
pub use crate::{
    deduplicated::{Deduplicated, MAX_DISTINCT},
    file::FileSource,
    format::{Compression, InputFormat},
    inline::Inline,
    options::{DEFAULT_MAX_DECODED_BYTES, InputOptions},
    pipe::PipeSource,
    receive::{
        DEFAULT_MAX_TASKS, DEFAULT_MAX_UPLOAD_BYTES, LineError, MAX_LINE_ERRORS, ReceiveError,
        ReceiveOptions, Received, receive,
    },
    rows::MAX_LINE_BYTES,
    survey::Survey,
};
