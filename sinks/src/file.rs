//! Records to files.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use harvestman_engine::{Error, Part, Record, Result, Schema, Sink, SinkState, SinkWriter};

use crate::{
    OutputFormat,
    digest::sha256,
    encode::missing_schema,
    output::{Encoding, Output, Plan},
    publish::Target,
    work::{WorkDirectory, make_directory},
};

/// When a part is closed and the next one begun, unless set otherwise: 50 GB.
pub const DEFAULT_MAX_PART_BYTES: u64 = 50_000_000_000;

/// Writes records to a file, or to several of bounded size.
///
/// There are two ways to lay them out, and [`Part::location`] names each part in both:
///
/// - [`new`](Self::new): one file that is there when it is complete. Until then everything lies in a
///   work directory, by default `<output>.job/`, which the job's checkpoint may share. At the end
///   each part is moved to its final name, durably: a single part to the path itself, several to
///   `<stem>.part-00000.<suffix>` and so on beside it, in the order of writing. A file with that
///   name is replaced. `Part::sha256` is left out.
/// - [`in_directory`](Self::in_directory): parts that can be read while the job runs.
///   `part-00000.<suffix>` and so on, of which there is always one, appear in the directory as they
///   are sealed, each with its `Part::sha256`. Once a checkpoint counts on a part, it never changes;
///   one that was sealed after the last checkpoint is taken back by a later life. The part under
///   way, `part-00000.<suffix>.open`, and all other files of work lie beside them.
///
/// What is left of the work serves a repeated finish; [`clear`](Self::clear) removes it once the
/// end of the job is saved.
///
/// CSV and Parquet have the columns `url,status,http_status,code,message,index,id` and then those
/// of the schema; `html`, `text`, `markdown` and `links` are in NDJSON only. A value outside the
/// columns is left out, a value of another type converted or null.
///
/// Parquet needs up to twice the size of its largest part on the disk. All work on files is done on
/// blocking threads; memory holds some hundred KiB, of Parquet a row group.
#[derive(Clone, Debug)]
pub struct FileSink {
    place: Place,
    format: OutputFormat,
    schema: Option<Arc<Schema>>,
    max_part_bytes: u64,
    work_directory: Option<PathBuf>,
    escape_formulas: bool,
    job_id: Option<String>,
}

/// Where the parts go.
#[derive(Clone, Debug)]
enum Place {
    /// To this file, or to several that are named after it.
    File(PathBuf),
    /// Into this directory.
    Directory(PathBuf),
}

impl FileSink {
    /// A sink to a path, whose directory is made on opening where it is missing.
    pub fn new(path: impl Into<PathBuf>, format: OutputFormat) -> Self {
        Self::at(Place::File(path.into()), format)
    }

    /// A sink of numbered parts in a directory of their own, which is made on opening where it is
    /// missing. A job that is begun anew removes the parts that are in it.
    pub fn in_directory(directory: impl Into<PathBuf>, format: OutputFormat) -> Self {
        Self::at(Place::Directory(directory.into()), format)
    }

    fn at(place: Place, format: OutputFormat) -> Self {
        Self {
            place,
            format,
            schema: None,
            max_part_bytes: DEFAULT_MAX_PART_BYTES,
            work_directory: None,
            escape_formulas: false,
            job_id: None,
        }
    }

    /// Sets the columns of CSV and Parquet, which can't be opened without: the job's `extract`.
    pub fn with_schema(mut self, schema: Arc<Schema>) -> Self {
        self.schema = Some(schema);
        self
    }

    /// Sets after how many bytes, as stored, a part is closed; by default
    /// [`DEFAULT_MAX_PART_BYTES`].
    ///
    /// A part ends after the chunk that reaches the limit: some hundred KiB of rows, in Parquet some
    /// thousand rows. Each part adds some 30 bytes to the state, in a directory 100.
    pub fn with_max_part_bytes(mut self, bytes: u64) -> Self {
        self.max_part_bytes = bytes.max(1);
        self
    }

    /// Sets the directory of unfinished output, made where it is missing; by default
    /// `<output>.job`. On another file system than the output each part is copied at the end.
    ///
    /// Two outputs must not share one. A sink [in a directory](Self::in_directory) works in that
    /// directory, and can't be opened with another one.
    pub fn with_work_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.work_directory = Some(directory.into());
        self
    }

    /// Sets whether `'` goes before each string cell of CSV that a spreadsheet would run: one that
    /// begins with `=`, `+`, `-`, `@`, a tab or a carriage return. Off by default: it changes data.
    pub fn with_escape_formulas(mut self, escape: bool) -> Self {
        self.escape_formulas = escape;
        self
    }

    /// Sets the job's id for Parquet's metadata, under `harvestman.job_id`.
    pub fn with_job_id(mut self, job_id: impl Into<String>) -> Self {
        self.job_id = Some(job_id.into());
        self
    }

    /// Removes what is left of the work, but no parts in their final place; and the work directory
    /// if nothing else is in it.
    ///
    /// To be called when nobody will open the output from a checkpoint any more. Blocks.
    pub fn clear(&self) -> Result<()> {
        self.work().clear(matches!(self.place, Place::Directory(_)))
    }

    pub(crate) fn work(&self) -> WorkDirectory {
        let path = match (&self.place, &self.work_directory) {
            (Place::Directory(path), _) | (_, Some(path)) => path.clone(),
            (Place::File(path), None) => path.with_added_extension("job"),
        };
        WorkDirectory::new(path, self.format.suffix())
    }

    /// The directory of parts that stay where they are made.
    #[cfg(feature = "object")]
    pub(crate) fn directory(&self) -> Option<&Path> {
        match &self.place {
            Place::Directory(path) => Some(path),
            Place::File(_) => None,
        }
    }

    #[cfg(feature = "object")]
    pub(crate) fn format(&self) -> OutputFormat {
        self.format
    }

    #[cfg(feature = "object")]
    pub(crate) fn job_id(&self) -> Option<&str> {
        self.job_id.as_deref()
    }

    #[cfg(feature = "object")]
    pub(crate) fn max_part_bytes(&self) -> u64 {
        self.max_part_bytes
    }

    /// Where parts are moved to, if they are.
    fn target(&self) -> Result<Option<Target>> {
        let refuse = |path: &Path, message| {
            Err(Error::invalid(format!("output {}", path.display()), message))
        };
        match &self.place {
            Place::File(path) if path.file_name().is_none() || path.is_dir() => {
                refuse(path, "is a directory; name a file")
            }
            Place::File(path) => Ok(Some(Target::new(path.clone()))),
            Place::Directory(path) if self.work_directory.is_some() => {
                refuse(path, "is worked on where it is; set no other work directory")
            }
            Place::Directory(path) if path.exists() && !path.is_dir() => {
                refuse(path, "is no directory")
            }
            Place::Directory(_) => Ok(None),
        }
    }

    fn plan(&self) -> Result<Plan> {
        self.format.check()?;
        let target = self.target()?;
        let kind = self.format.kind;
        let schema = self.schema.as_deref().filter(|_| kind.needs_schema());
        if kind.needs_schema() && schema.is_none() {
            return Err(missing_schema(kind));
        }
        let job_id = self.job_id.as_deref();
        Ok(Plan {
            format: self.format,
            target,
            work: self.work(),
            max_part_bytes: self.max_part_bytes,
            columns: schema.map(|schema| digest(schema, self.escape_formulas)).transpose()?,
            encoding: Encoding::new(kind, schema, self.escape_formulas, job_id)?,
        })
    }
}

/// Tells two sets of columns apart.
fn digest(schema: &Schema, escape_formulas: bool) -> Result<String> {
    let json = serde_json::to_vec(&(schema, escape_formulas))
        .map_err(|error| Error::part("sink", error))?;
    Ok(sha256(&json))
}

#[async_trait]
impl Sink for FileSink {
    async fn open(&self, resume: Option<&SinkState>) -> Result<Box<dyn SinkWriter>> {
        Ok(Box::new(self.open_file(resume, 0).await?))
    }
}

impl FileSink {
    /// Opens the output, of which the first `shipped` parts need not be here.
    pub(crate) async fn open_file(
        &self,
        resume: Option<&SinkState>,
        shipped: usize,
    ) -> Result<FileWriter> {
        let (sink, resume) = (self.clone(), resume.cloned());
        let output = blocking(move || {
            let plan = Arc::new(sink.plan()?);
            let target = plan.target.as_ref();
            target.and_then(|target| target.path().parent()).map_or(Ok(()), make_directory)?;
            match resume {
                None => Output::begin(plan),
                Some(state) => Output::resume(plan, &state, shipped),
            }
        })
        .await?;
        Ok(FileWriter { output: Some(output) })
    }
}

/// Takes the output to a blocking thread and back; without it after a failure.
pub(crate) struct FileWriter {
    output: Option<Output>,
}

impl FileWriter {
    /// The output, unless it has failed.
    #[cfg(feature = "object")]
    pub(crate) fn output(&self) -> Result<&Output> {
        self.output.as_ref().ok_or(Error::Poisoned)
    }

    pub(crate) async fn run<T, F>(&mut self, call: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Output) -> Result<T> + Send + 'static,
    {
        let mut output = self.output.take().ok_or(Error::Poisoned)?;
        let (output, value) = blocking(move || {
            let value = call(&mut output)?;
            Ok((output, value))
        })
        .await?;
        self.output = Some(output);
        Ok(value)
    }
}

#[async_trait]
impl SinkWriter for FileWriter {
    async fn write(&mut self, records: Vec<Record>) -> Result<()> {
        self.run(move |output| output.write(&records)).await
    }

    async fn checkpoint(&mut self) -> Result<SinkState> {
        self.run(Output::checkpoint).await
    }

    fn sealed(&self) -> Vec<Part> {
        self.output.as_ref().map(Output::sealed_parts).unwrap_or_default()
    }

    async fn finish(mut self: Box<Self>) -> Result<Vec<Part>> {
        self.run(Output::finish).await
    }
}

/// Runs on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(call).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => {
            Err(Error::Panicked { part: "sink", message: error.to_string() })
        }
        Err(error) => Err(Error::part("sink", error)),
    }
}
