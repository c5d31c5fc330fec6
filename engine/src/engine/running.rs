//! The jobs that this engine is working on.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use crate::{Progress, StopReason, Stopper, id::JobId};

/// The jobs under way, by id.
#[derive(Debug)]
pub(crate) struct RunningJobs {
    jobs: Mutex<HashMap<JobId, RunningJob>>,
    count: watch::Sender<usize>,
}

/// What is known of a job under way.
#[derive(Debug, Default)]
struct RunningJob {
    /// Set once its input is open and its pages are fetched.
    fetching: Option<(Stopper, watch::Receiver<Progress>)>,
}

impl Default for RunningJobs {
    fn default() -> Self {
        Self { jobs: Mutex::default(), count: watch::Sender::new(0) }
    }
}

/// Takes a job off the list when dropped, however it ends, and stops what is left of it.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    jobs: &'a RunningJobs,
    id: JobId,
}

impl RunningJobs {
    /// Puts a job on the list, for as long as the entry lives.
    pub(crate) fn enter(&self, id: &JobId) -> Entry<'_> {
        self.lock().insert(id.clone(), RunningJob::default());
        self.count.send_modify(|count| *count += 1);
        Entry { jobs: self, id: id.clone() }
    }

    /// The jobs on the list.
    pub(crate) fn ids(&self) -> Vec<JobId> {
        self.lock().keys().cloned().collect()
    }

    /// Waits until there are none.
    pub(crate) async fn emptied(&self) {
        // The sender lives as long as `self`.
        let _ = self.count.subscribe().wait_for(|count| *count == 0).await;
    }

    /// Whether the job is on the list.
    pub(crate) fn contains(&self, id: &JobId) -> bool {
        self.lock().contains_key(id)
    }

    /// How far a job is whose pages are being fetched.
    pub(crate) fn progress(&self, id: &JobId) -> Option<watch::Receiver<Progress>> {
        let jobs = self.lock();
        Some(jobs.get(id)?.fetching.as_ref()?.1.clone())
    }

    /// Stops a job for good.
    pub(crate) fn cancel(&self, id: &JobId, reason: StopReason) {
        if let Some((stopper, _)) = self.lock().get(id).and_then(|job| job.fetching.as_ref()) {
            stopper.cancel_for(reason);
        }
    }

    /// Stops all of them so that they can go on later.
    pub(crate) fn suspend_all(&self) {
        for (stopper, _) in self.lock().values().filter_map(|job| job.fetching.as_ref()) {
            stopper.suspend();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<JobId, RunningJob>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry<'_> {
    /// Notes that pages are being fetched.
    pub(crate) fn set_fetching(&self, stopper: Stopper, progress: watch::Receiver<Progress>) {
        if let Some(job) = self.jobs.lock().get_mut(&self.id) {
            job.fetching = Some((stopper, progress));
        }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let job = self.jobs.lock().remove(&self.id);
        if let Some((stopper, _)) = job.and_then(|job| job.fetching) {
            stopper.abort();
        }
        self.jobs.count.send_modify(|count| *count -= 1);
    }
}
