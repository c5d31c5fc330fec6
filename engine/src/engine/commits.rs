//! The job's checkpoints in the engine's store: each commit settles output, figures and failures in
//! one, and the last one the job's end as well.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use metrics::counter;

use super::Core;
use crate::{
    Checkpoint, CheckpointStore, Errored, Result, StopReason,
    checkpoint::{Counters, Finished},
    clock::after,
    store::{Commit, Ended, JobEntry, Lease, Problem, Status},
    webhook::Event,
};

/// The checkpoint store of one job under its lease.
#[derive(Debug)]
pub(super) struct Commits {
    pub(super) core: Arc<Core>,
    pub(super) lease: Lease,
    /// The job as it was claimed.
    pub(super) entry: JobEntry,
    /// How many tasks there are, as soon as that is known.
    pub(super) total: Mutex<Option<u64>>,
    /// What the figures of the process have of it.
    pub(super) counted: Mutex<Counters>,
}

impl Commits {
    pub(super) fn set_total(&self, total: Option<u64>) {
        let mut known = self.total.lock().unwrap_or_else(PoisonError::into_inner);
        *known = total.or(*known);
    }

    fn total(&self) -> Option<u64> {
        *self.total.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the job with its output, its state and its event in one.
    pub(super) async fn end(
        &self,
        commit: Option<Commit<'_>>,
        end: End,
        finished: Option<&Finished>,
    ) -> Result<()> {
        let parts = finished.map(|finished| finished.parts.as_slice()).unwrap_or_default();
        let finished_at = self.core.now();
        let settings = self.core.settings();
        let counters = commit.map_or(&self.entry.counters, |commit| &commit.checkpoint.counters);
        let job = JobEntry {
            status: end.status,
            reason: end.reason,
            problem: end.problem.clone(),
            total: self.total(),
            counters: counters.clone(),
            parts: parts.to_vec(),
            finished_at: Some(finished_at),
            expires_at: Some(after(finished_at, settings.retention.outputs)),
            ..self.entry.clone()
        };
        let link = self.core.link(&job);
        let link = link.as_ref().map(|link| (link.url.as_str(), link.expires_at));
        let event = Event::of(&job, link).into_outbox(&job)?;
        let ended = Ended {
            commit,
            status: end.status,
            reason: end.reason,
            problem: end.problem,
            total: job.total,
            parts,
            finished_at,
            expires_at: job.expires_at,
            event: Some(event),
        };
        self.core.store().end(&self.lease, &ended).await?;
        counter!("harvestman_jobs_ended_total", "status" => end.status.as_str()).increment(1);
        self.count(counters);
        self.core.mail.notify_one();
        self.core.signals.ring(&self.entry.id);
        Ok(())
    }

    /// Adds to the figures of the whole process what was committed since the last time.
    fn count(&self, counters: &Counters) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let added = |now: u64, before: u64| now.saturating_sub(before);
        counter!("harvestman_urls_total", "code" => "ok").increment(added(counters.ok, counted.ok));
        for (code, count) in &counters.by_code {
            let before = counted.by_code.get(code).copied().unwrap_or_default();
            counter!("harvestman_urls_total", "code" => code.as_str())
                .increment(added(*count, before));
        }
        counter!("harvestman_attempts_total").increment(added(counters.attempts, counted.attempts));
        counter!("harvestman_credits_total").increment(added(counters.credits, counted.credits));
        counted.clone_from(counters);
    }

    /// How a job has ended whose output is complete.
    fn judge(&self, reason: Option<StopReason>, counters: &Counters) -> End {
        match reason {
            Some(StopReason::FailIf) => Self::failed_too_often(counters),
            None if self.is_too_bad(counters) => Self::failed_too_often(counters),
            None => End { status: Status::Completed, reason: None, problem: None },
            Some(_) => End { status: Status::Cancelled, reason, problem: None },
        }
    }

    fn is_too_bad(&self, counters: &Counters) -> bool {
        let fail_if = self.entry.spec.fail_if;
        fail_if.is_some_and(|fail_if| fail_if.holds(counters.errored(), counters.done()))
    }

    fn failed_too_often(counters: &Counters) -> End {
        let (errored, done) = (counters.errored(), counters.done());
        let message = format!("{errored} of {done} URLs had failed; what is done was kept");
        End {
            status: Status::Failed,
            reason: Some(StopReason::FailIf),
            problem: Some(Problem::new("fail_if", message)),
        }
    }
}

/// The state that a job ends in.
#[derive(Debug)]
pub(super) struct End {
    pub(super) status: Status,
    pub(super) reason: Option<StopReason>,
    pub(super) problem: Option<Problem>,
}

#[async_trait]
impl CheckpointStore for Commits {
    async fn load(&self) -> Result<Option<Checkpoint>> {
        self.core.store().checkpoint(&self.entry.id).await
    }

    async fn save(&self, checkpoint: &Checkpoint, errored: &[Errored]) -> Result<()> {
        let commit = Commit { checkpoint, errored, total: self.total() };
        if let Some(finished) = &checkpoint.finished {
            if finished.reason.is_none() {
                self.set_total(Some(checkpoint.counters.done()));
            }
            let end = self.judge(finished.reason, &checkpoint.counters);
            return self.end(Some(commit), end, Some(finished)).await;
        }
        self.core.store().commit(&self.lease, &commit).await?;
        self.count(&checkpoint.counters);
        if self.is_too_bad(&checkpoint.counters) {
            self.core.running.cancel(&self.entry.id, StopReason::FailIf);
        }
        Ok(())
    }
}
