//! Tasks from a pipe.

use std::{
    fs,
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use futures::stream::BoxStream;
use harvestman_engine::{Error, LineReader, Result, Source, Task};

use crate::{
    InputOptions,
    decode::{decode, detect, read_error},
    feed::{Outlet, stream},
    reading::{Reading, begin},
    spool::{INPUT, Spool, marker_path},
};

/// The tasks of standard input, or of anything else that can be read only once.
///
/// What is read is written to a spool before it is handed out, so every opening yields the same
/// tasks, and so does another process that is given the same spool and is fed the same input from
/// its beginning. Tasks are handed out as their lines come; the pipe is read no faster than the
/// furthest opening needs.
///
/// A process that finds a spool waits for the first bytes of its input and compares them. Then it
/// hands out what is in the spool; the rest of the spool is compared before anything is handed out
/// that isn't in it. An input that differs fails the job. A spool of all the input needs none: it
/// is enough for the input to be empty.
///
/// Lines are read as by [`FileSource`](crate::FileSource); the format is that of the options, or
/// the one that the first line [looks like](crate::InputFormat::of_first_line). Input that begins as
/// [gzip or zstd](crate::Compression::of_first_bytes) is decoded; the spool has it as it came. The
/// number of tasks isn't known beforehand.
#[derive(Debug)]
pub struct PipeSource {
    spool: Arc<Spool>,
    reader: LineReader,
    options: InputOptions,
}

impl PipeSource {
    /// Reads `input` by way of a spool file, whose directory has to be there. Beside it, a file
    /// with `.complete` after its name will say that it holds all of the input.
    ///
    /// Blocks if there is a complete spool: it is read and checked.
    pub fn new(
        input: impl Read + Send + 'static,
        spool: impl AsRef<Path>,
        reader: LineReader,
        options: &InputOptions,
    ) -> Result<Self> {
        let spool = Spool::open(spool.as_ref(), Box::new(input), options.max_decoded_bytes)?;
        Ok(Self { spool: Arc::new(spool), reader, options: options.clone() })
    }

    /// Removes a spool and what belongs to it, so that a job can start anew. It need not exist.
    pub fn remove_spool(spool: impl AsRef<Path>) -> Result<()> {
        // The marker first: without it, what is left of a spool is only a prefix.
        for path in [&*marker_path(spool.as_ref()), spool.as_ref()] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io("remove", path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Source for PipeSource {
    /// A stream that is dropped while the pipe is silent keeps its thread until there is more, or
    /// an end; nothing is lost by it.
    fn open(&self, from: u64) -> BoxStream<'static, Result<Task>> {
        let spool = Arc::clone(&self.spool);
        let reader = self.reader.clone();
        let options = self.options.clone();
        stream(move |outlet| send(&spool, reader, &options, from, outlet))
    }

    fn total(&self) -> Option<u64> {
        None
    }
}

fn send(
    spool: &Arc<Spool>,
    reader: LineReader,
    options: &InputOptions,
    from: u64,
    outlet: &Outlet,
) -> Result<()> {
    let (detected, input) = spool.reader().and_then(detect).map_err(read_error(INPUT))?;
    let compression = options.compression.unwrap_or(detected);
    let decoded = decode(input, compression, options.max_decoded_bytes, INPUT);
    let decoded = decoded.map_err(read_error(INPUT))?;
    let (layout, rows) = begin(decoded, options.format, &reader, INPUT)?;
    Reading::new(rows, &layout, reader, 0, INPUT)
        .with_max_tasks(options.max_tasks)
        .send(from, outlet)
}
