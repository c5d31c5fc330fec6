//! How an engine of the standard parts is set up.

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use harvestman_engine::{
    Clock, Error, Result,
    address::AddressRule,
    engine::{EngineParts, EngineSettings, Links, Setup},
    store::sqlite::SqliteStore,
};
use harvestman_fetchers::{Http, Router, Webhooks};

use super::{assembler::StandardAssembler, buckets::Buckets, files::LocalFiles, layout::Layout};

/// An engine with an embedded store in a directory: nothing to install.
///
/// ```no_run
/// use harvestman::{Engine, EngineConfig, JobSpec, Schema, spec::{Input, OutputSpec}};
///
/// # async fn example() -> anyhow::Result<()> {
/// let engine = Engine::open(EngineConfig::at("./data")).await?;
/// let schema = Schema::from_pairs([("name", "string"), ("price", "number")])?;
/// let spec = JobSpec::new(Input::file("urls.ndjson"))
///     .with_extract(schema)
///     .with_output(OutputSpec::parquet());
/// let job = engine.submit(spec).await?.job;
/// let ended = engine.wait(&job.id).await?;
/// println!("{}: {:?}", ended.job.status, ended.link);
/// engine.shutdown().await;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct EngineConfig {
    directory: PathBuf,
    results: Option<PathBuf>,
    allowed: Vec<AddressRule>,
    user_agent: Option<String>,
    router: Option<Arc<Router>>,
    links: Option<Arc<dyn Links>>,
    buckets: Buckets,
    clock: Clock,
    settings: EngineSettings,
    #[cfg(feature = "llm")]
    llm: Option<harvestman_extractors::LlmConfig>,
}

impl EngineConfig {
    /// An engine in this directory, which is made where it is missing and belongs to one engine at
    /// a time.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            results: None,
            allowed: Vec::new(),
            user_agent: None,
            router: None,
            links: None,
            buckets: Buckets::default(),
            clock: Clock::system(),
            settings: EngineSettings::default(),
            #[cfg(feature = "llm")]
            llm: None,
        }
    }

    /// Sets where results are written; by default `results/` in the engine's directory.
    #[must_use]
    pub fn with_results(mut self, directory: impl Into<PathBuf>) -> Self {
        self.results = Some(directory.into());
        self
    }

    /// Lets pages and webhooks at addresses that are not public be reached.
    #[must_use]
    pub fn with_allowed(mut self, rule: AddressRule) -> Self {
        self.allowed.push(rule);
        self
    }

    /// Sets the `User-Agent` of tasks that don't name one.
    #[must_use]
    pub fn with_user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = Some(user_agent.into());
        self
    }

    /// Sets what gets the pages, with proxies and a browser; by default plain HTTP alone. Allowed
    /// addresses and the `User-Agent` are the router's own then.
    #[must_use]
    pub fn with_router(mut self, router: impl Into<Arc<Router>>) -> Self {
        self.router = Some(router.into());
        self
    }

    /// Sets what tells where a result is to be had; by default the path of its file.
    #[must_use]
    pub fn with_links(mut self, links: Arc<dyn Links>) -> Self {
        self.links = Some(links);
        self
    }

    /// Sets the storage that jobs reach buckets by: lists in them, and results that are delivered
    /// there. Without it such jobs are refused.
    ///
    /// A bucket is reached in the role that the job names. Without one it can be read as by anybody,
    /// and can't be written, unless it is one of [the operator's own](Self::with_own_bucket).
    #[cfg(feature = "object")]
    #[must_use]
    pub fn with_storage(mut self, storage: harvestman_storage::Storage) -> Self {
        self.buckets.storage = storage;
        self
    }

    /// Lets jobs read and write this place, and what is under it, as the operator. Whoever can submit
    /// a job can read what is there.
    #[cfg(feature = "object")]
    #[must_use]
    pub fn with_own_bucket(mut self, location: harvestman_storage::Location) -> Self {
        self.buckets.own.push(location);
        self
    }

    /// Sets the place in the [storage](Self::with_storage) that results go to as the operator's, each
    /// job's to a directory of its own, when the job names none. They are made in `results/` and
    /// removed there when they are complete.
    #[cfg(feature = "object")]
    #[must_use]
    pub fn with_results_in(mut self, location: harvestman_storage::Location) -> Self {
        self.buckets.results = Some(location);
        self
    }

    /// Sets what time it is.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Sets limits, prices and retention.
    #[must_use]
    pub fn with_settings(mut self, settings: EngineSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Sets the language model that jobs with `extract_options.llm` may ask; each job has the whole
    /// budget of tokens, and anew when its engine is restarted.
    #[cfg(feature = "llm")]
    #[must_use]
    pub fn with_llm(mut self, llm: harvestman_extractors::LlmConfig) -> Self {
        self.llm = Some(llm);
        self
    }

    fn fetcher(&self) -> Result<Arc<Router>> {
        if let Some(router) = &self.router {
            return Ok(Arc::clone(router));
        }
        let mut fetcher = Http::builder();
        for rule in &self.allowed {
            fetcher = fetcher.allow(*rule);
        }
        if let Some(user_agent) = &self.user_agent {
            fetcher = fetcher.user_agent(user_agent);
        }
        Ok(Arc::new(Router::new(fetcher.build()?)))
    }

    fn open(self) -> Result<EngineParts> {
        let store = SqliteStore::open(&self.directory)?;
        let fetcher = self.fetcher()?;
        let courier =
            self.allowed.iter().fold(Webhooks::builder(), |courier, rule| courier.allow(*rule));
        let layout = Arc::new(Layout::new(self.directory, self.results));
        let buckets = self.buckets;
        let files = LocalFiles::open(Arc::clone(&layout), buckets.clone())?;
        let limits = &self.settings.limits;
        let (max_urls, max_bytes) = (limits.urls, limits.upload_bytes);
        let assembler = StandardAssembler {
            layout,
            fetcher,
            buckets,
            max_urls,
            max_bytes,
            #[cfg(feature = "llm")]
            llm: self.llm,
        };
        let parts = EngineParts::new(
            Arc::new(store),
            Arc::new(assembler),
            Arc::new(files),
            Arc::new(courier.build()?),
        );
        let parts = parts.with_clock(self.clock).with_settings(self.settings);
        Ok(match self.links {
            Some(links) => parts.with_links(links),
            None => parts,
        })
    }
}

#[async_trait]
impl Setup for EngineConfig {
    async fn set_up(self) -> Result<EngineParts> {
        let opened = tokio::task::spawn_blocking(move || self.open()).await;
        opened.map_err(|error| Error::part("store", error))?
    }
}
