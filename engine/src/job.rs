//! One job: its parts and settings, and the handle to it while it runs.

mod handle;

use std::{sync::Arc, time::Duration};

use futures::FutureExt;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

pub use self::handle::{JobHandle, Report, Stopper};
use crate::{
    CheckpointStore, Error, Extractor, Fetcher, Free, HostLimits, MemoryStore, Meter, Result,
    Shared, Sink, Source, WholePage,
    checkpoint::Checkpoint,
    driver::{Channels, Command, Driver, Ending, Plugins, RetryPolicy, Settings, StopReason},
    error::panic_message,
    progress::{Phase, Progress},
    writer::{Writer, Written},
};

/// How many attempts are under way at a time, unless told otherwise.
pub const DEFAULT_CONCURRENCY: usize = 32;
/// How many tasks are read ahead of their turn, unless told otherwise.
pub const DEFAULT_LOOK_AHEAD: usize = 10_000;
/// How many bytes of pages are kept in memory, unless told otherwise: 256 MiB.
pub const DEFAULT_PAGE_BUDGET: u64 = 256 * 1024 * 1024;
/// How long a stopping job waits for its attempts under way, unless told otherwise.
pub const DEFAULT_GRACE: Duration = Duration::from_mins(1);

/// Records between driver and writer.
const RECORD_QUEUE: usize = 1_024;

/// A list of URLs to be fetched, and where the records go.
///
/// A job with a [store](Self::with_store) goes on where its last commit left it: after a
/// [suspend](JobHandle::suspend), a crash or a power cut, the same parts with the same store make
/// the same output as if nothing had happened.
///
/// ```
/// use std::sync::Arc;
/// use harvestman_engine::{Job, Params, testing::{ListSource, MemorySink, Reply, ScriptedFetcher}};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> harvestman_engine::Result<()> {
/// let source = Arc::new(ListSource::new(["https://a.test/", "https://b.test/"]));
/// let fetcher = ScriptedFetcher::new(|_task, _attempt| Reply::Page(Default::default()));
/// let sink = MemorySink::new();
///
/// let job = Job::new(source, fetcher, Arc::new(sink.clone())).with_concurrency(8).spawn();
/// let report = job.wait().await?;
/// assert_eq!((report.counters.ok, sink.lines().len()), (2, 2));
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use = "a job does nothing until it is spawned"]
pub struct Job {
    source: Arc<dyn Source>,
    fetcher: Arc<dyn Fetcher>,
    extractor: Arc<dyn Extractor>,
    sink: Arc<dyn Sink>,
    store: Arc<dyn CheckpointStore>,
    page_budget: u64,
    shared: Option<Shared>,
    command: Command,
    settings: Settings,
}

impl Job {
    /// A job that writes the whole page of every task, without a memory of its own beyond the process.
    pub fn new(source: Arc<dyn Source>, fetcher: Arc<dyn Fetcher>, sink: Arc<dyn Sink>) -> Self {
        Self {
            source,
            fetcher,
            extractor: Arc::new(WholePage),
            sink,
            store: Arc::new(MemoryStore::new()),
            page_budget: DEFAULT_PAGE_BUDGET,
            shared: None,
            command: Command::Run,
            settings: Settings {
                concurrency: DEFAULT_CONCURRENCY,
                look_ahead: DEFAULT_LOOK_AHEAD,
                retry: RetryPolicy::default(),
                hosts: HostLimits::default(),
                grace: DEFAULT_GRACE,
                meter: Arc::new(Free),
                max_credits: u64::MAX,
            },
        }
    }

    /// Sets what is taken from the pages; [`WholePage`] by default.
    pub fn with_extractor(mut self, extractor: Arc<dyn Extractor>) -> Self {
        self.extractor = extractor;
        self
    }

    /// Sets where the checkpoint is kept; by default it is lost with the process.
    ///
    /// The store belongs to this job, its input and its settings alone.
    pub fn with_store(mut self, store: Arc<dyn CheckpointStore>) -> Self {
        self.store = store;
        self
    }

    /// Sets how many attempts are under way at a time, at least 1; [`DEFAULT_CONCURRENCY`].
    pub fn with_concurrency(mut self, attempts: usize) -> Self {
        self.settings.concurrency = attempts.max(1);
        self
    }

    /// Sets how many tasks are read ahead of their turn, at least 1; [`DEFAULT_LOOK_AHEAD`].
    ///
    /// The more, the less does a run of one slow host in the input hold up the others; each costs
    /// about half a kilobyte.
    pub fn with_look_ahead(mut self, tasks: usize) -> Self {
        self.settings.look_ahead = tasks.max(1);
        self
    }

    /// Sets how many bytes of pages are kept in memory, from the page's arrival to the writing of
    /// its record; [`DEFAULT_PAGE_BUDGET`]. One page more per slot may be arriving.
    pub fn with_page_budget(mut self, bytes: u64) -> Self {
        self.page_budget = bytes;
        self
    }

    /// Sets what the job shares with other jobs of the process; by default nothing.
    pub fn with_shared(mut self, shared: &Shared) -> Self {
        self.shared = Some(shared.clone());
        self
    }

    /// Sets which failures are tried again and when.
    pub fn with_retry(mut self, policy: RetryPolicy) -> Self {
        self.settings.retry = policy;
        self
    }

    /// Sets the limits of each host, in which the requests of all jobs that
    /// [share](Self::with_shared) count.
    pub fn with_hosts(mut self, limits: HostLimits) -> Self {
        self.settings.hosts = limits;
        self
    }

    /// Sets how long a stopping job waits for its attempts under way; [`DEFAULT_GRACE`].
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.settings.grace = grace;
        self
    }

    /// Sets what the pages cost; by default they cost nothing.
    pub fn with_meter(mut self, meter: Arc<dyn Meter>) -> Self {
        self.settings.meter = meter;
        self
    }

    /// Sets how many credits may be spent, over all lives of the job; unlimited by default.
    ///
    /// No page is begun that might exceed them. When there is no room for the next one, and none can
    /// come of the pages under way, the job stops itself with [`StopReason::Budget`].
    pub fn with_max_credits(mut self, credits: u64) -> Self {
        self.settings.max_credits = credits;
        self
    }

    /// Says that the job was cancelled before this life: it begins no page and only completes its
    /// output, with the records of the lives before.
    pub fn with_stop_requested(mut self, reason: StopReason) -> Self {
        self.command = Command::Cancel(reason);
        self
    }

    /// Starts the job on the current Tokio runtime.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn spawn(self) -> JobHandle {
        let (command, commanded) = watch::channel(self.command);
        let progress = Progress { total: self.source.total(), ..Progress::default() };
        let (reporter, progress) = watch::channel(progress);
        let task = tokio::spawn(self.run(commanded, reporter));
        JobHandle::new(task, command, progress)
    }

    /// Driver and writer are one future: dropping it stops both and everything under way.
    async fn run(
        self,
        command: watch::Receiver<Command>,
        progress: watch::Sender<Progress>,
    ) -> Result<Report> {
        let begun = Instant::now();
        let checkpoint = self.store.load().await?;
        if let Some(Checkpoint { finished: Some(finished), counters, .. }) = checkpoint {
            let written = Written { counters, finished: Some(finished) };
            tidy(&*self.sink).await;
            return Ok(Report::new(None, written, self.source.total()));
        }
        let sink = self.sink.open(checkpoint.as_ref().map(|saved| &saved.sink)).await?;
        let (done, counters, parts, left) = checkpoint
            .map(|saved| (saved.done, saved.counters, saved.parts.len(), saved.source))
            .unwrap_or_default();
        let tasks = match &left {
            Some(state) => self.source.reopen(done.next(), state),
            None => self.source.open(done.next()),
        };
        progress.send_modify(|progress| {
            progress.resumed = done.count();
            progress.counters = counters.clone();
            progress.parts = parts;
        });

        let (records, written) = mpsc::channel(RECORD_QUEUE);
        let (end, ended) = oneshot::channel();
        let shared = self.shared.unwrap_or_else(|| Shared::alone(self.settings.concurrency));
        let driver = Driver::new(
            self.settings,
            Plugins {
                fetcher: self.fetcher,
                extractor: self.extractor,
                budget: shared.page_budget(self.page_budget),
            },
            &shared,
            tasks,
            done.clone(),
            Channels { records, command, progress: progress.clone() },
        );
        let writer = Writer {
            sink,
            store: self.store,
            source: self.source,
            progress: progress.clone(),
            done,
            counters,
            errored: Vec::new(),
            errored_bytes: 0,
            counted_at: begun,
        };
        let drive = async {
            let ended = caught("source", driver.run()).await?;
            if matches!(ended.ending, Ending::Completed | Ending::Cancelled) {
                progress.send_modify(|progress| progress.phase = Phase::Finalizing);
            }
            // The writer may have gone, with an error of its own.
            let _ = end.send(ended);
            Ok(ended)
        };
        let write = caught("sink", writer.run(written, ended));
        let (drove, wrote) = tokio::join!(drive, write);
        // A writer that has failed stops the driver, so its error is the cause.
        let wrote = wrote?;
        if wrote.finished.is_some() {
            tidy(&*self.sink).await;
        }
        let total = progress.borrow().total;
        Ok(Report::new(Some(drove?), wrote, total))
    }
}

/// The job is over, whatever comes of this.
pub(crate) async fn tidy(sink: &dyn Sink) {
    if let Err(error) = sink.ended().await {
        tracing::warn!(%error, "what is left of the output's making can't be removed");
    }
}

/// Turns a panic of one of the job's own parts into an error.
async fn caught<T>(part: &'static str, work: impl Future<Output = Result<T>>) -> Result<T> {
    std::panic::AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .unwrap_or_else(|payload| Err(Error::Panicked { part, message: panic_message(&*payload) }))
}
