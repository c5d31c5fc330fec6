//! Records to a pipe.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use harvestman_engine::{Error, Part, Record, Result, Schema, Sink, SinkState, SinkWriter};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    sync::{Mutex, OwnedMutexGuard},
};

use crate::{OutputFormat, OutputKind, compress::Compressor, encode::RowEncoder, file::blocking};

type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// Writes records to standard output or to anything else that takes bytes: NDJSON or CSV.
///
/// What is written leaves at the end of each call of `write`, so that the reader gets each record
/// as soon as it is there, and a slow reader slows the job.
///
/// Bytes that have left can't be taken back. Over a crash the reader therefore gets *at least* all
/// records: those that left after the last checkpoint come once more, with the same `index`, and
/// the last line before the crash may be cut short. A suspended job repeats nothing. A job that
/// goes on writes no CSV header again, and begins a new gzip member or zstd frame. Whoever needs each
/// record exactly once writes to a file.
pub struct PipeSink {
    name: String,
    writer: Arc<Mutex<Writer>>,
    format: OutputFormat,
    schema: Option<Arc<Schema>>,
    escape_formulas: bool,
}

impl fmt::Debug for PipeSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipeSink")
            .field("name", &self.name)
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

impl PipeSink {
    /// A sink to standard output.
    pub fn stdout(format: OutputFormat) -> Self {
        Self::new("standard output", tokio::io::stdout(), format)
    }

    /// A sink to any writer. `name` is what errors and [`Part::location`] call it.
    pub fn new(
        name: impl Into<String>,
        writer: impl AsyncWrite + Send + Unpin + 'static,
        format: OutputFormat,
    ) -> Self {
        Self {
            name: name.into(),
            writer: Arc::new(Mutex::new(Box::new(writer))),
            format,
            schema: None,
            escape_formulas: false,
        }
    }

    /// Sets the columns of CSV, which can't be opened without: the job's `extract`.
    pub fn with_schema(mut self, schema: Arc<Schema>) -> Self {
        self.schema = Some(schema);
        self
    }

    /// Sets whether string cells of CSV are escaped, as
    /// [`FileSink::with_escape_formulas`](crate::FileSink::with_escape_formulas) says.
    pub fn with_escape_formulas(mut self, escape: bool) -> Self {
        self.escape_formulas = escape;
        self
    }

    fn encoder(&self) -> Result<RowEncoder> {
        self.format.check()?;
        if self.format.kind == OutputKind::Parquet {
            let message = "Parquet can't be written to a pipe; name a file";
            return Err(Error::invalid(format!("output {}", self.name), message));
        }
        RowEncoder::new(self.format.kind, self.schema.as_deref(), self.escape_formulas)
    }
}

/// What has left, by the JSON of a [`SinkState`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct State {
    kind: Kind,
    format: OutputFormat,
    bytes: u64,
    rows: u64,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Pipe,
}

impl State {
    fn read(state: &SinkState, format: OutputFormat) -> Result<Self> {
        let state = Self::deserialize(&state.0)
            .map_err(|error| Error::damaged("the sink's state", error.to_string()))?;
        if state.format != format {
            let message = format!("it was {}, now it is {format}", state.format);
            return Err(Error::changed("the output's format", message));
        }
        Ok(state)
    }
}

#[async_trait]
impl Sink for PipeSink {
    async fn open(&self, resume: Option<&SinkState>) -> Result<Box<dyn SinkWriter>> {
        let encoder = self.encoder()?;
        let state = match resume {
            Some(state) => State::read(state, self.format)?,
            None => State { kind: Kind::Pipe, format: self.format, bytes: 0, rows: 0 },
        };
        let Ok(writer) = Arc::clone(&self.writer).try_lock_owned() else {
            let message = "is being written to already; open it once at a time";
            return Err(Error::invalid(format!("output {}", self.name), message));
        };
        let mut packer = Packer {
            encoder,
            compressor: Compressor::new(self.format.compression)?,
            rows_text: Vec::new(),
            packed: Vec::new(),
        };
        if resume.is_none() {
            packer.encoder.header(&mut packer.rows_text);
        }
        Ok(Box::new(PipeWriter { name: self.name.clone(), writer, state, packer: Some(packer) }))
    }
}

/// An open pipe; without its packer after a failure.
struct PipeWriter {
    name: String,
    writer: OwnedMutexGuard<Writer>,
    state: State,
    packer: Option<Packer>,
}

/// Makes bytes of records, on a blocking thread.
struct Packer {
    encoder: RowEncoder,
    compressor: Compressor,
    rows_text: Vec<u8>,
    packed: Vec<u8>,
}

impl Packer {
    fn pack(&mut self, records: &[Record]) -> Result<()> {
        for record in records {
            self.encoder.row(record, &mut self.rows_text)?;
        }
        self.compressor.write(&self.rows_text, &mut self.packed)?;
        self.rows_text.clear();
        self.compressor.flush(&mut self.packed)
    }

    fn end(&mut self, is_empty: bool) -> Result<()> {
        self.compressor.write(&self.rows_text, &mut self.packed)?;
        self.compressor.finish(is_empty, &mut self.packed)
    }
}

impl PipeWriter {
    /// Packs with `call` and sends what it gave. A failure in between leaves no packer.
    async fn send<F>(&mut self, call: F) -> Result<()>
    where
        F: FnOnce(&mut Packer) -> Result<()> + Send + 'static,
    {
        let mut packer = self.packer.take().ok_or(Error::Poisoned)?;
        let mut packer = blocking(move || {
            call(&mut packer)?;
            Ok(packer)
        })
        .await?;
        let sent = async {
            self.writer.write_all(&packer.packed).await?;
            self.writer.flush().await
        };
        sent.await.map_err(Error::io("write to", &self.name))?;
        self.state.bytes += packer.packed.len() as u64;
        packer.packed.clear();
        self.packer = Some(packer);
        Ok(())
    }
}

#[async_trait]
impl SinkWriter for PipeWriter {
    async fn write(&mut self, records: Vec<Record>) -> Result<()> {
        let rows = records.len() as u64;
        self.send(move |packer| packer.pack(&records)).await?;
        self.state.rows += rows;
        Ok(())
    }

    async fn checkpoint(&mut self) -> Result<SinkState> {
        // Every write has been flushed; only a header without rows may be left.
        self.send(|packer| packer.pack(&[])).await?;
        let json = serde_json::to_value(self.state).map_err(|error| Error::part("sink", error))?;
        Ok(SinkState(json))
    }

    fn sealed(&self) -> Vec<Part> {
        Vec::new()
    }

    async fn finish(mut self: Box<Self>) -> Result<Vec<Part>> {
        let is_empty = self.state.bytes == 0;
        self.send(move |packer| packer.end(is_empty)).await?;
        Ok(vec![Part::new(self.name.clone(), self.state.rows, self.state.bytes)])
    }
}
