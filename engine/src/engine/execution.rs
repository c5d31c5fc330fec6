//! One job from its claim to its end.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::StreamExt;
use tokio::{
    select,
    time::{MissedTickBehavior, interval, sleep},
};

use super::{
    Core, JobContext,
    commits::{Commits, End},
    failed::{finish_output, problem_of},
    retry::open_source,
    running::Entry,
    scheduler::LEASE,
};
use crate::{
    Ending, Error, Job, JobHandle, Report, Result, Source, StopReason,
    clock::after,
    job::tidy,
    spec::OnInvalid,
    store::{Commit, JobEntry, Lease, Status},
};

/// Runs one job under its lease.
pub(super) struct Execution {
    pub(super) core: Arc<Core>,
    pub(super) lease: Lease,
    pub(super) entry: JobEntry,
}

impl Execution {
    /// Runs the job until it has ended, is suspended, or belongs to somebody else.
    pub(super) async fn run(self) {
        let core = Arc::clone(&self.core);
        let id = self.entry.id.clone();
        let entered = core.running.enter(&id);
        core.signals.ring(&id);
        tracing::info!(job = %id, "started");
        match self.work(&entered).await {
            Ok(()) => {}
            // Another node has taken the job over: whatever it is, it is no longer ours.
            Err(Error::LeaseLost { .. }) => tracing::warn!(job = %id, "lost its lease"),
            // The store itself: the lease runs out, and the job is claimed again.
            Err(error) => tracing::error!(job = %id, %error, "left for a later claim"),
        }
        drop(entered);
        core.signals.ring(&id);
    }

    async fn work(&self, entered: &Entry<'_>) -> Result<()> {
        let commits = Arc::new(Commits {
            core: Arc::clone(&self.core),
            lease: self.lease.clone(),
            entry: self.entry.clone(),
            total: Mutex::new(self.entry.total),
            counted: Mutex::new(self.entry.counters.clone()),
        });
        let urls = self.core.store().inline_urls(&self.entry.id).await?;
        let (id, spec) = (self.entry.id.clone(), self.entry.spec.clone());
        let context = JobContext::new(&self.core, id, &self.entry.workspace, spec, urls).await?;
        self.while_leased(async {
            match self.fetch(&context, &commits, entered).await {
                Err(error) if !matches!(error, Error::LeaseLost { .. }) => {
                    self.fail(&context, &commits, &error).await
                }
                ran => ran,
            }
        })
        .await
    }

    /// Opens the input, runs the job, and lets go of it when it is suspended.
    async fn fetch(
        &self,
        context: &JobContext,
        commits: &Arc<Commits>,
        entered: &Entry<'_>,
    ) -> Result<()> {
        let source = open_source(&self.core, context).await?;
        self.check_source(&*source).await?;
        commits.set_total(source.total());
        let parts = self.core.parts.assembler.parts(context).await?;
        let job = self.set_up(Job::new(source, parts.fetcher, parts.sink), commits);
        let job = job.with_extractor(parts.extractor).spawn();
        entered.set_fetching(job.stopper(), job.watch());
        // Who listens already has no progress to wait for until now.
        self.core.signals.ring(&self.lease.job);
        self.obey_what_came_before();
        let report = self.until_its_end(job).await?;
        match report.ending {
            // The last commit has ended the job.
            Ending::Completed | Ending::Cancelled => Ok(()),
            Ending::Suspended | Ending::Aborted => self.core.store().release(&self.lease).await,
        }
    }

    fn set_up(&self, job: Job, commits: &Arc<Commits>) -> Job {
        let spec = &self.entry.spec;
        let settings = self.core.settings();
        let mut job = job
            .with_store(Arc::clone(commits) as _)
            .with_shared(&self.core.shared)
            .with_concurrency(spec.concurrency)
            .with_retry(settings.retry.clone())
            .with_meter(Arc::clone(&settings.meter))
            .with_grace(spec.cancel_grace());
        if let Some(credits) = spec.max_credits {
            job = job.with_max_credits(credits);
        }
        if let Some(reason) = self.entry.reason {
            job = job.with_stop_requested(reason);
        }
        job
    }

    /// A cancel or a shutdown may have come while the input was opened.
    fn obey_what_came_before(&self) {
        if self.core.is_closing() {
            self.core.running.suspend_all();
        }
    }

    async fn until_its_end(&self, job: JobHandle) -> Result<Report> {
        let deadline = self.entry.spec.deadline(&self.core.settings().limits);
        let left = deadline.saturating_sub(self.entry.counters.running);
        let stopper = job.stopper();
        let cancelled = self.cancel_requested();
        let end = job.wait();
        tokio::pin!(end, cancelled);
        let mut is_stopping = false;
        loop {
            select! {
                report = &mut end => return report,
                () = sleep(left), if !is_stopping => stopper.cancel_for(StopReason::Deadline),
                () = &mut cancelled, if !is_stopping => stopper.cancel_for(StopReason::User),
            }
            is_stopping = true;
        }
    }

    /// Ends when the store says that the job is to be stopped, once.
    async fn cancel_requested(&self) {
        let mut changes = self.core.signals.listen(&self.entry.id);
        loop {
            let job = self.core.store().job(&self.entry.id).await;
            if let Ok(Some(JobEntry { reason: Some(_), status: Status::Running, .. })) = job {
                return;
            }
            if changes.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    async fn check_source(&self, source: &dyn Source) -> Result<()> {
        let most = self.core.settings().limits.urls;
        if let Some(total) = source.total().filter(|total| *total > most) {
            let message = format!("has {total} URLs, and a job may have {most}; split it");
            return Err(Error::invalid("input", message));
        }
        let is_begun = self.entry.counters.done() > 0;
        if self.entry.spec.on_invalid == OnInvalid::Record || is_begun {
            return Ok(());
        }
        let mut tasks = source.open(0);
        while let Some(task) = tasks.next().await {
            if let Err(error) = task?.target() {
                return Err(Error::invalid("input", error.message.clone()));
            }
        }
        Ok(())
    }

    /// Ends a job that can't go on, with what is committed of its output.
    async fn fail(&self, context: &JobContext, commits: &Commits, error: &Error) -> Result<()> {
        tracing::warn!(job = %self.entry.id, %error, "failed");
        let output = finish_output(&self.core, context).await?;
        let checkpoint = output.as_ref().map(|(checkpoint, _)| checkpoint);
        let end = End { status: Status::Failed, reason: None, problem: Some(problem_of(error)) };
        let commit = checkpoint.map(|checkpoint| Commit { checkpoint, errored: &[], total: None });
        let finished = checkpoint.and_then(|checkpoint| checkpoint.finished.as_ref());
        commits.end(commit, end, finished).await?;
        if let Some((_, sink)) = &output {
            tidy(&**sink).await;
        }
        Ok(())
    }

    /// Does the work while the lease is renewed; a lost lease ends it at once.
    async fn while_leased<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut ticks = interval(LEASE / 3);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(work);
        loop {
            select! {
                done = &mut work => return done,
                _ = ticks.tick() => {
                    let until = after(self.core.now(), LEASE);
                    match self.core.store().renew(&self.lease, until).await {
                        Err(error @ Error::LeaseLost { .. }) => {
                            // The work may just have ended the job, and the lease with it.
                            let grace = tokio::time::timeout(Duration::ZERO, &mut work).await;
                            return grace.unwrap_or(Err(error));
                        }
                        Err(error) => tracing::warn!(%error, "failed to renew a lease"),
                        Ok(()) => {}
                    }
                }
            }
        }
    }
}
