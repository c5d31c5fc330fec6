//! From a spec to sources, fetchers, extractors and sinks.

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use harvestman_engine::{
    Error, JobSpec, LineReader, Refusal, RefusalCode, Result, Source,
    engine::{Assembler, JobContext, JobParts},
    spec::{Input, InputFormat, OutputCompression, OutputFormat},
};
use harvestman_extractors::Standard;
use harvestman_fetchers::Router;
use harvestman_sinks::{self as sinks, FileSink, OutputKind};
use harvestman_sources::{self as sources, Deduplicated, FileSource, Inline, InputOptions};

use super::{buckets::Buckets, layout::Layout};

/// Makes the standard parts. The fetcher and its connections are shared by all jobs.
#[derive(Debug)]
pub(super) struct StandardAssembler {
    pub(super) layout: Arc<Layout>,
    pub(super) fetcher: Arc<Router>,
    pub(super) buckets: Buckets,
    /// The most URLs of one job.
    pub(super) max_urls: u64,
    /// The most bytes of a list in a bucket, plain or decoded.
    pub(super) max_bytes: u64,
    #[cfg(feature = "llm")]
    pub(super) llm: Option<harvestman_extractors::LlmConfig>,
}

#[async_trait]
impl Assembler for StandardAssembler {
    fn check(&self, spec: &JobSpec) -> Result<(), Refusal> {
        self.buckets.check(spec)?;
        if let Err(error) = self.fetcher.check(&spec.defaults) {
            return Err(Refusal::at(RefusalCode::Unavailable, "defaults", error.message));
        }
        let asks_llm = spec.defaults.extract_options.as_ref().is_some_and(|options| options.llm);
        if asks_llm && !self.has_llm() {
            let message = "this installation has no language model; leave it out";
            let path = "defaults.extract_options.llm";
            return Err(Refusal::at(RefusalCode::Unavailable, path, message));
        }
        let Some(schema) = &spec.defaults.extract else { return Ok(()) };
        Standard::check(schema)
            .map_err(|error| Refusal::new(RefusalCode::SchemaInvalid, error.to_string()))
    }

    async fn source(&self, job: &JobContext) -> Result<Arc<dyn Source>> {
        let reader = job.spec.line_reader();
        let source: Arc<dyn Source> = match &job.spec.input {
            Input::Urls(_) => Arc::new(Inline::from_json(&job.urls, &reader)),
            Input::Upload(id) => {
                let path = self.layout.find_upload(id).ok_or_else(|| {
                    Error::invalid(format!("upload {id}"), "is gone; upload the file again")
                })?;
                self.open_file(path, None, reader).await?
            }
            Input::File { path, format } => self.open_file(path.clone(), *format, reader).await?,
            Input::Object { format, .. } => {
                let options = self.input_options(*format).with_max_decoded_bytes(self.max_bytes);
                self.buckets.source(job, reader, options).await?
            }
            _ => {
                let message = "can't be read by this installation";
                return Err(Error::invalid("input", message));
            }
        };
        if !job.spec.dedupe {
            return Ok(source);
        }
        let distinct = Deduplicated::new(source);
        distinct.count().await?;
        Ok(Arc::new(distinct))
    }

    async fn parts(&self, job: &JobContext) -> Result<JobParts> {
        let output = &job.spec.output;
        let format = sinks::OutputFormat::new(match output.format {
            OutputFormat::Csv => OutputKind::Csv,
            OutputFormat::Parquet => OutputKind::Parquet,
            _ => OutputKind::Ndjson,
        });
        let format = format.with_compression(match output.effective_compression() {
            OutputCompression::Gzip => sinks::Compression::Gzip,
            OutputCompression::Zstd => sinks::Compression::Zstd,
            _ => sinks::Compression::None,
        });
        let mut sink = FileSink::in_directory(self.layout.output(&job.id), format)
            .with_escape_formulas(output.escape_formulas)
            .with_job_id(job.id.as_str());
        if let Some(bytes) = output.max_part_bytes {
            sink = sink.with_max_part_bytes(bytes);
        }
        if let Some(schema) = &job.spec.defaults.extract {
            sink = sink.with_schema(Arc::clone(schema));
        }
        Ok(JobParts {
            fetcher: Arc::clone(&self.fetcher) as _,
            extractor: Arc::new(self.extractor()?),
            sink: self.buckets.sink(job, sink)?,
        })
    }
}

impl StandardAssembler {
    #[cfg(feature = "llm")]
    fn has_llm(&self) -> bool {
        self.llm.is_some()
    }

    #[cfg(not(feature = "llm"))]
    #[expect(clippy::unused_self, reason = "the same as with a language model")]
    fn has_llm(&self) -> bool {
        false
    }

    /// One for each job, which has the budget of tokens to itself.
    #[cfg(feature = "llm")]
    fn extractor(&self) -> Result<Standard> {
        match &self.llm {
            Some(llm) => Standard::new().with_llm(llm.clone()),
            None => Ok(Standard::new()),
        }
    }

    #[cfg(not(feature = "llm"))]
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "the same as with a language model"
    )]
    fn extractor(&self) -> Result<Standard> {
        Ok(Standard::new())
    }

    async fn open_file(
        &self,
        path: PathBuf,
        format: Option<InputFormat>,
        reader: LineReader,
    ) -> Result<Arc<dyn Source>> {
        let options = self.input_options(format);
        let open = move || FileSource::from_path(path, reader, &options);
        let source = tokio::task::spawn_blocking(open).await;
        let source = source.map_err(|error| Error::part("source", error))??;
        Ok(Arc::new(source))
    }

    fn input_options(&self, format: Option<InputFormat>) -> InputOptions {
        let options = InputOptions::new().with_max_tasks(self.max_urls);
        match format {
            None => options,
            Some(InputFormat::Csv) => options.with_format(sources::InputFormat::Csv),
            Some(InputFormat::Text) => options.with_format(sources::InputFormat::Text),
            Some(_) => options.with_format(sources::InputFormat::Ndjson),
        }
    }
}
