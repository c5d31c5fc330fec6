//! How far a job is.

use std::time::Duration;

use super::Core;
use crate::{
    Part, Phase, Progress,
    progress::first_guess,
    store::{JobEntry, OutputState, Status},
};

/// A job as it is kept, and how far it is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct JobStatus {
    /// The job as it is kept: its figures are those of the last commit, so that no crash can take
    /// them back.
    pub job: JobEntry,
    /// What a running job does.
    pub phase: Option<Phase>,
    /// How far a running job is, while this engine works on it.
    pub progress: Option<Progress>,
    /// The time still needed, where it can be told.
    pub eta: Option<Duration>,
    /// Where the result is to be had: of every job that has ended with a record, as long as its
    /// output is kept.
    pub link: Option<super::Link>,
}

/// What happens to a job.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum JobEvent {
    /// It has come further.
    Progress(JobStatus),
    /// A part is complete and can be read.
    Part(Part),
    /// It has ended. No event follows.
    Ended(JobStatus),
}

impl Core {
    /// Adds to a job what is not kept.
    pub(super) fn status(&self, job: JobEntry) -> JobStatus {
        let progress = self.running.progress(&job.id).map(|progress| progress.borrow().clone());
        let is_running = job.status == Status::Running;
        let phase = match &progress {
            Some(progress) => Some(progress.phase),
            None if self.running.contains(&job.id) => Some(Phase::Validating),
            None => None,
        };
        let guess = || first_guess(job.total?, job.spec.concurrency);
        let eta = match &progress {
            Some(progress) => progress.eta.or_else(guess),
            None => guess(),
        };
        let is_empty = job.parts.is_empty() || job.counters.done() == 0;
        let has_output = !is_empty && job.output == OutputState::Kept;
        let link = if job.status.is_terminal() && has_output { self.link(&job) } else { None };
        JobStatus {
            phase: phase.filter(|_| is_running),
            progress: progress.filter(|_| is_running),
            eta: eta.filter(|_| !job.status.is_terminal()),
            link,
            job,
        }
    }
}

impl JobStatus {
    /// Whether the job has ended.
    pub fn is_terminal(&self) -> bool {
        self.job.status.is_terminal()
    }
}
