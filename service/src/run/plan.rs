//! From the command line to a job: checks what can be checked, then puts the parts together.

use std::{
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use harvestman::{
    CheckpointStore, Error, ExtractOptions, Fetcher, HostLimits, Job, LineReader, Params, Result,
    RetryPolicy, Schema, Sink, Source,
    extractors::{LlmConfig, Standard},
    fetchers::{Browser, Proxies},
    params::RetryParams,
    sinks::{FileSink, OutputFormat, PipeSink},
    sources::{FileSource, InputOptions, PipeSource},
};
use serde_json::Value;

use super::{
    display::Display,
    failure::Failure,
    state::{Identity, State},
};
use crate::cli::RunArgs;

/// What standard input has brought, in the state's directory.
const SPOOL: &str = "input";

/// A command line that can be used.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    args: &'a RunArgs,
    schema: Option<Arc<Schema>>,
    format: OutputFormat,
    output_is_pipe: bool,
    input_is_pipe: bool,
    proxies: Option<Proxies>,
    llm: Option<LlmConfig>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(args: &'a RunArgs) -> Result<Self, Failure> {
        let output_is_pipe = is_pipe(&args.output);
        let format = if output_is_pipe {
            OutputFormat::detect(&args.output).unwrap_or_default()
        } else {
            check_output(&args.output, &args.input)?;
            OutputFormat::detect(&args.output)?
        };
        let schema = schema(&args.fields, args.schema.as_deref())?.map(Arc::new);
        if let Some(schema) = &schema {
            Standard::check(schema).map_err(|error| Failure::usage(error.to_string()))?;
        } else if format.kind.needs_schema() {
            return Err(Failure::usage(
                "a CSV or Parquet file needs columns: name fields with --extract or --schema",
            ));
        }
        let proxies = args.fetching.means.open_proxies()?;
        let llm = args.llm.open()?;
        let input_is_pipe = is_pipe(&args.input);
        Ok(Self { args, schema, format, output_is_pipe, input_is_pipe, proxies, llm })
    }

    /// Opens list and state. What was begun by another command is refused here.
    pub(super) async fn into_job(
        self,
        display: &Display,
    ) -> Result<(Job, State, Option<Browser>), Failure> {
        for rule in &self.args.allowed {
            display.note(&format!("addresses opened by --allow-address: {rule}"));
        }
        let (fetcher, browser) = self.fetcher().await?;
        let file = if self.input_is_pipe { None } else { Some(self.open_file().await?) };
        let (state, store) = State::open(&self.state_directory(), self.args.restart)?;
        let is_begun = state.claim(&self.identity(file.as_ref()))?;
        if is_begun {
            self.say_what_is_done(&store, file.as_ref(), display).await?;
        }
        let source: Arc<dyn Source> = match file {
            Some(file) => Arc::new(file),
            None => Arc::new(self.open_pipe(store.directory()).await?),
        };
        let sink = self.sink(store.directory())?;
        let job = Job::new(source, fetcher, sink)
            .with_extractor(crate::llm::extractor(self.llm.as_ref())?)
            .with_concurrency(self.args.concurrency)
            .with_hosts(self.host_limits())
            .with_retry(RetryPolicy::default().with_params(RetryParams::up_to(self.args.retries)))
            .with_grace(Duration::from_secs(self.args.grace))
            .with_store(Arc::new(store));
        Ok((job, state, browser))
    }

    async fn open_file(&self) -> Result<FileSource, Failure> {
        let path = self.args.input.clone();
        let (reader, options) = (self.reader(), InputOptions::new());
        let survey = move || FileSource::from_path(path, reader, &options);
        let source = tokio::task::spawn_blocking(survey).await;
        Ok(source.map_err(|error| Error::part("source", error))??)
    }

    async fn open_pipe(&self, state: &Path) -> Result<PipeSource, Failure> {
        let (path, spool) = (self.args.input.clone(), state.join(SPOOL));
        let (reader, options) = (self.reader(), InputOptions::new());
        let open = move || -> Result<PipeSource> {
            let input: Box<dyn std::io::Read + Send> = if path == Path::new("-") {
                Box::new(std::io::stdin())
            } else {
                Box::new(fs::File::open(&path).map_err(Error::io("open", &path))?)
            };
            PipeSource::new(input, spool, reader, &options)
        };
        let source = tokio::task::spawn_blocking(open).await;
        Ok(source.map_err(|error| Error::part("source", error))??)
    }

    /// What lines say when they say nothing.
    fn defaults(&self) -> Params {
        let args = self.args;
        let mut params = Params::new().with_timeout(Duration::from_secs(args.timeout));
        params.extract.clone_from(&self.schema);
        if self.llm.is_some() {
            params.extract_options = Some(Arc::new(ExtractOptions::default().with_llm()));
        }
        args.fetching.set_defaults(&mut params, args.retries, self.proxies.as_ref());
        params
    }

    /// What can't be fetched at all is refused here.
    async fn fetcher(&self) -> Result<(Arc<dyn Fetcher>, Option<Browser>)> {
        let Self { args, proxies, .. } = self;
        let (agent, proxies) = (args.user_agent.as_deref(), proxies.clone());
        let (images, defaults) = (self.screenshots(), self.defaults());
        let (router, browser) =
            args.fetching.open(&args.allowed, agent, proxies, &images, &defaults).await?;
        Ok((Arc::new(router), browser))
    }

    /// Where images go: beside the output.
    fn screenshots(&self) -> PathBuf {
        if self.output_is_pipe {
            return PathBuf::from("harvestman.screenshots");
        }
        self.args.output.with_added_extension("screenshots")
    }

    fn reader(&self) -> LineReader {
        let reader = LineReader::new(self.defaults());
        match &self.schema {
            Some(schema) if self.format.kind.needs_schema() => {
                reader.with_columns(Arc::clone(schema))
            }
            _ => reader,
        }
    }

    fn sink(&self, state: &Path) -> Result<Arc<dyn Sink>> {
        let schema = self.schema.clone();
        if self.output_is_pipe {
            let sink = open_output_pipe(&self.args.output, self.format)?
                .with_escape_formulas(self.args.escape_formulas);
            return Ok(Arc::new(match schema {
                Some(schema) => sink.with_schema(schema),
                None => sink,
            }));
        }
        let mut sink = FileSink::new(&self.args.output, self.format)
            .with_work_directory(state)
            .with_escape_formulas(self.args.escape_formulas);
        if let Some(bytes) = self.args.max_part_bytes {
            sink = sink.with_max_part_bytes(bytes);
        }
        if let Some(schema) = schema {
            sink = sink.with_schema(schema);
        }
        Ok(Arc::new(sink))
    }

    fn host_limits(&self) -> HostLimits {
        let mut limits = HostLimits::default();
        if let Some(requests) = self.args.per_host {
            limits = limits.with_concurrency(requests);
        }
        if let Some(rate) = self.args.rate {
            limits = limits.with_per_second(rate);
        }
        limits
    }

    fn state_directory(&self) -> PathBuf {
        if let Some(directory) = &self.args.state {
            return directory.clone();
        }
        if self.args.output == Path::new("-") {
            return PathBuf::from("harvestman.job");
        }
        self.args.output.with_added_extension("job")
    }

    fn identity(&self, file: Option<&FileSource>) -> Identity {
        let output = std::path::absolute(&self.args.output);
        let output = output.unwrap_or_else(|_| self.args.output.clone());
        let extract = serde_json::to_value(&self.schema).unwrap_or(Value::Null);
        let mut identity = Identity::new(output, extract);
        identity.input = file.map_or_else(|| "-".to_owned(), |file| file.survey().sha256.clone());
        if let Some(file) = file {
            identity.input_format = format!("{:?}", file.format()).to_lowercase();
        }
        identity.escape_formulas = self.args.escape_formulas;
        identity.max_part_bytes = self.args.max_part_bytes;
        identity.user_agent.clone_from(&self.args.user_agent);
        identity.fetching = self.args.fetching.identity();
        identity.llm_model.clone_from(&self.args.llm.llm_model);
        identity
    }

    async fn say_what_is_done(
        &self,
        store: &dyn CheckpointStore,
        file: Option<&FileSource>,
        display: &Display,
    ) -> Result<()> {
        let done = store.load().await?.map_or(0, |checkpoint| checkpoint.counters.done());
        let of = file.map(|file| format!(" of {}", file.survey().tasks)).unwrap_or_default();
        let state = self.state_directory();
        display.note(&format!("going on from {}: {done}{of} URLs are done", state.display()));
        Ok(())
    }
}

/// Waits at a named pipe until somebody reads.
fn open_output_pipe(path: &Path, format: OutputFormat) -> Result<PipeSink> {
    if path == Path::new("-") {
        return Ok(PipeSink::stdout(format));
    }
    let file = fs::File::options().write(true).open(path).map_err(Error::io("open", path))?;
    Ok(PipeSink::new(path.display().to_string(), tokio::fs::File::from_std(file), format))
}

/// The fields to find, by `--extract` or `--schema`.
pub(crate) fn schema(
    fields: &[(String, String)],
    file: Option<&Path>,
) -> Result<Option<Schema>, Failure> {
    if !fields.is_empty() {
        let pairs = fields.iter().map(|(name, kind)| (name.as_str(), kind.as_str()));
        let schema = Schema::from_pairs(pairs);
        return schema.map(Some).map_err(|error| Failure::usage(format!("--{error}")));
    }
    let Some(path) = file else { return Ok(None) };
    let json = fs::read(path).map_err(Error::io("read", path))?;
    let schema = serde_json::from_slice(&json);
    schema.map(Some).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

/// Whether this is standard input or output, or a pipe or device with a name.
fn is_pipe(path: &Path) -> bool {
    let is_stream =
        |kind: fs::FileType| kind.is_fifo() || kind.is_char_device() || kind.is_socket();
    path == Path::new("-") || fs::metadata(path).is_ok_and(|data| is_stream(data.file_type()))
}

/// Whether two names mean one file that is there, over links too.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let identity = |path| fs::metadata(path).map(|data| (data.dev(), data.ino()));
    identity(one).is_ok_and(|one| identity(other).is_ok_and(|other| one == other))
}

/// Finds out before the first page is fetched what would fail at the end.
fn check_output(path: &Path, input: &Path) -> Result<(), Failure> {
    if path.is_dir() {
        return Err(Failure::usage(format!("{} is a directory", path.display())));
    }
    if is_same_file(path, input) {
        let message = format!("{} is the list itself; name another --output", path.display());
        return Err(Failure::usage(message));
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    match parent {
        Some(parent) if !parent.is_dir() => {
            Err(Failure::usage(format!("there is no directory {}", parent.display())))
        }
        _ => Ok(()),
    }
}
