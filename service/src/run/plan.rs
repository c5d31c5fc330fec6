//! From the command line to a job: checks what can be checked, then puts the parts together.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use harvestman::{
    CheckpointStore, Error, ExtractOptions, Fetcher, HostLimits, Job, LineReader, Params, Result,
    RetryPolicy, Schema,
    extractors::{LlmConfig, Standard},
    fetchers::{Browser, Proxies},
    params::RetryParams,
    sinks::OutputFormat,
    storage::{Access, Storage},
};
use serde_json::Value;

use super::{
    display::Display,
    failure::Failure,
    input::{Input, List},
    output::Output,
    state::{Identity, State},
};
use crate::cli::RunArgs;

/// A command line that can be used.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    args: &'a RunArgs,
    schema: Option<Arc<Schema>>,
    input: Input,
    output: Output,
    format: OutputFormat,
    storage: Storage,
    proxies: Option<Proxies>,
    llm: Option<LlmConfig>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(args: &'a RunArgs) -> Result<Self, Failure> {
        let (input, output) = (Input::new(&args.input)?, Output::new(args)?);
        let format = output.format()?;
        let schema = schema(&args.fields, args.schema.as_deref())?.map(Arc::new);
        if let Some(schema) = &schema {
            Standard::check(schema).map_err(|error| Failure::usage(error.to_string()))?;
        } else if format.kind.needs_schema() {
            return Err(Failure::usage(
                "a CSV or Parquet file needs columns: name fields with --extract or --schema",
            ));
        }
        let proxies = args.fetching.means.open_proxies()?;
        let (llm, storage) = (args.llm.open()?, args.buckets.open()?);
        Ok(Self { args, schema, input, output, format, storage, proxies, llm })
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
        let list = self.input.open(self.reader(), &self.storage, &self.list_access()).await?;
        let (state, store) = State::open(&self.state_directory(), self.args.restart)?;
        let is_begun = state.claim(&self.identity(&list))?;
        if is_begun {
            self.say_what_is_done(&store, &list, display).await?;
        }
        let source = list.into_source(self.reader(), store.directory()).await?;
        let schema = self.schema.clone();
        let sink =
            self.output.sink(self.args, self.format, schema, store.directory(), &self.storage)?;
        let job = Job::new(source, fetcher, sink)
            .with_extractor(crate::llm::extractor(self.llm.as_ref())?)
            .with_concurrency(self.args.concurrency)
            .with_hosts(self.host_limits())
            .with_retry(RetryPolicy::default().with_params(RetryParams::up_to(self.args.retries)))
            .with_grace(Duration::from_secs(self.args.grace))
            .with_store(Arc::new(store));
        Ok((job, state, browser))
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
        let (images, defaults) = (self.output.beside("screenshots"), self.defaults());
        let (router, browser) =
            args.fetching.open(&args.allowed, agent, proxies, &images, &defaults).await?;
        Ok((Arc::new(router), browser))
    }

    fn list_access(&self) -> Access {
        if self.args.anonymous { Access::Anonymous } else { Access::Own }
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
        self.args.state.clone().unwrap_or_else(|| self.output.beside("job"))
    }

    fn identity(&self, list: &List) -> Identity {
        let extract = serde_json::to_value(&self.schema).unwrap_or(Value::Null);
        let mut identity = Identity::new(self.output.identity(), extract);
        identity.input = list.identity();
        identity.input_format = list.format();
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
        list: &List,
        display: &Display,
    ) -> Result<()> {
        let done = store.load().await?.map_or(0, |checkpoint| checkpoint.counters.done());
        let of = list.tasks().map(|tasks| format!(" of {tasks}")).unwrap_or_default();
        let state = self.state_directory();
        display.note(&format!("going on from {}: {done}{of} URLs are done", state.display()));
        Ok(())
    }
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
