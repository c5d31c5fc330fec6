//! Many jobs over one store: queued, run side by side, taken up again after a restart.

mod assemble;
mod commits;
mod estimate;
mod execution;
mod failed;
mod housekeeping;
mod link;
mod retry;
mod running;
mod scheduler;
mod settings;
mod signals;
mod status;
mod upload;
mod workspace;

use std::{
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};

pub use self::{
    assemble::{Assembler, Files, JobContext, JobParts},
    estimate::Estimate,
    link::{FileLinks, Link, Links},
    settings::{EngineSettings, Retention},
    status::{JobEvent, JobStatus},
    upload::{ReceivedUpload, UploadOptions},
    workspace::{SubmitOptions, Workspace},
};
use self::{running::RunningJobs, scheduler::Scheduler, signals::Signals};
use crate::{
    Clock, Courier, Result, Shared,
    clock::after,
    id::KeyId,
    store::{JobEntry, Store},
    webhook::Dispatcher,
};

/// The workspace that an engine's own methods mean.
pub const DEFAULT_WORKSPACE: &str = "default";

/// What makes the parts of an [`Engine`]: a configuration, or the parts themselves.
#[async_trait]
pub trait Setup: Send {
    /// Makes or opens the parts.
    async fn set_up(self) -> Result<EngineParts>;
}

/// What an engine is made of.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EngineParts {
    /// Where jobs are kept.
    pub store: Arc<dyn Store>,
    /// What turns a spec into the parts of a job.
    pub assembler: Arc<dyn Assembler>,
    /// What keeps the files of uploads and outputs.
    pub files: Arc<dyn Files>,
    /// What brings events to endpoints.
    pub courier: Arc<dyn Courier>,
    /// What tells where a result is to be had.
    pub links: Arc<dyn Links>,
    /// What time it is.
    pub clock: Clock,
    /// Limits, prices, retention.
    pub settings: EngineSettings,
}

impl EngineParts {
    /// Parts with the system's clock, links to the files themselves, and default settings.
    pub fn new(
        store: Arc<dyn Store>,
        assembler: Arc<dyn Assembler>,
        files: Arc<dyn Files>,
        courier: Arc<dyn Courier>,
    ) -> Self {
        Self {
            store,
            assembler,
            files,
            courier,
            links: Arc::new(FileLinks),
            clock: Clock::system(),
            settings: EngineSettings::default(),
        }
    }

    /// Sets what tells where a result is to be had.
    #[must_use]
    pub fn with_links(mut self, links: Arc<dyn Links>) -> Self {
        self.links = links;
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
}

#[async_trait]
impl Setup for EngineParts {
    async fn set_up(self) -> Result<Self> {
        Ok(self)
    }
}

/// Runs the jobs of a store: queues them, runs several side by side, tells of their ends.
///
/// Opening one takes up by itself what an earlier life has left, each job from its last commit.
/// [`shutdown`](Self::shutdown) ends it so that nothing is fetched twice; dropping the last clone,
/// like a crash, costs at most the work since the last commits.
///
/// Its own methods are those of its default [`Workspace`]; others are entered with
/// [`workspace`](Self::workspace).
#[derive(Clone, Debug)]
pub struct Engine {
    own: Workspace,
    tasks: Arc<Tasks>,
}

/// What every part of an engine works with.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) parts: EngineParts,
    /// What the jobs have in common: slots, memory, hosts.
    pub(crate) shared: Shared,
    pub(crate) running: RunningJobs,
    pub(crate) signals: Signals,
    /// Told when a job may be started.
    pub(crate) work: Notify,
    /// Told when a delivery may be due.
    pub(crate) mail: Arc<Notify>,
    /// Set when no further job is to be started.
    pub(crate) closing: watch::Sender<bool>,
    /// Tells this engine's leases and requests from those of other lives.
    pub(crate) owner: String,
}

/// The engine's own tasks, which end with it.
#[derive(Debug, Default)]
struct Tasks(Mutex<JoinSet<()>>);

impl Tasks {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).spawn(task);
    }

    fn take(&self) -> JoinSet<()> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Core {
    pub(crate) fn store(&self) -> &dyn Store {
        &*self.parts.store
    }

    pub(crate) fn settings(&self) -> &EngineSettings {
        &self.parts.settings
    }

    pub(crate) fn now(&self) -> jiff::Timestamp {
        self.parts.clock.now()
    }

    pub(crate) fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Where the result of a job is to be had that ends, or has ended, like this.
    pub(crate) fn link(&self, job: &JobEntry) -> Option<Link> {
        let settings = self.settings();
        let expires_in = job.spec.output.expires_in_s.unwrap_or(settings.limits.default_link_s);
        let until = after(job.finished_at?, std::time::Duration::from_secs(expires_in));
        let until = job.expires_at.map_or(until, |erased_at| until.min(erased_at));
        self.parts.links.link(job, until)
    }
}

impl Engine {
    /// Opens an engine: sets up its parts, and goes on with the jobs of its store.
    pub async fn open(setup: impl Setup) -> Result<Self> {
        let parts = setup.set_up().await?;
        let core = Arc::new(Core {
            shared: Shared::new(parts.settings.shared),
            running: RunningJobs::default(),
            signals: Signals::default(),
            work: Notify::new(),
            mail: Arc::default(),
            closing: watch::Sender::new(false),
            owner: KeyId::random().to_string(),
            parts,
        });
        core.sweep_uploads().await?;
        let tasks = Arc::new(Tasks::default());
        tasks.spawn(Scheduler::new(Arc::clone(&core)).run());
        tasks.spawn(housekeeping::run(Arc::clone(&core)));
        let dispatcher = Dispatcher {
            store: Arc::clone(&core.parts.store),
            courier: Arc::clone(&core.parts.courier),
            clock: core.parts.clock.clone(),
            schedule: core.settings().webhook_schedule.clone(),
            vendor: core.settings().vendor_header.clone(),
            news: Arc::clone(&core.mail),
        };
        tasks.spawn(dispatcher.run());
        Ok(Self { own: Workspace::new(core, DEFAULT_WORKSPACE), tasks })
    }

    /// Enters a workspace: jobs, uploads and deliveries of its own, which no other one sees.
    #[must_use]
    pub fn workspace(&self, name: &str) -> Workspace {
        Workspace::new(Arc::clone(self.core()), name)
    }

    /// Where everything is kept.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.core().parts.store
    }

    /// Limits, prices and retention.
    pub fn settings(&self) -> &EngineSettings {
        self.core().settings()
    }

    /// How busy it is.
    pub fn load(&self) -> crate::Load {
        self.core().shared.load()
    }

    /// The time of day by the engine's clock.
    pub fn now(&self) -> jiff::Timestamp {
        self.core().now()
    }

    /// What tells the requests of this engine from those of its earlier lives.
    pub fn owner(&self) -> &str {
        &self.core().owner
    }

    /// Ends the engine: no job is started any more, those that run finish the pages under way, save,
    /// and stay `running` for the next life to go on with. What takes longer than
    /// [`EngineSettings::shutdown_grace`] is given up and fetched again.
    pub async fn shutdown(&self) {
        self.core().closing.send_replace(true);
        self.core().work.notify_one();
        self.core().running.suspend_all();
        let grace = self.settings().shutdown_grace;
        if tokio::time::timeout(grace, self.core().running.emptied()).await.is_err() {
            tracing::warn!("pages under way are given up");
        }
        self.abort().await;
    }

    /// Ends the engine at once, as a crash would, once its tasks have let go of the store.
    pub async fn abort(&self) {
        self.core().closing.send_replace(true);
        self.tasks.take().shutdown().await;
        self.core().running.emptied().await;
    }

    fn core(&self) -> &Arc<Core> {
        self.own.core()
    }
}

/// An engine is its default workspace.
impl Deref for Engine {
    type Target = Workspace;

    fn deref(&self) -> &Workspace {
        &self.own
    }
}
