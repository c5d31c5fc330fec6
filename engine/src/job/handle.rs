//! The handle to a running job, and what is left of it at the end.

use serde::Serialize;
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinHandle},
};

use crate::{
    Error, Part, Result,
    checkpoint::Counters,
    driver::{Command, Ended, Ending, StopReason},
    progress::Progress,
    writer::Written,
};

/// A running job: watch it, stop it, wait for it. Dropping the handle leaves the job running.
#[derive(Debug)]
pub struct JobHandle {
    task: JoinHandle<Result<Report>>,
    stopper: Stopper,
    progress: watch::Receiver<Progress>,
}

/// Stops a running job.
#[derive(Clone, Debug)]
pub struct Stopper {
    command: watch::Sender<Command>,
    task: AbortHandle,
}

/// How a job ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// How it ended.
    pub ending: Ending,
    /// Why it was stopped, if it was cancelled.
    pub reason: Option<StopReason>,
    /// The figures over all records in the output, of all the job's lives.
    pub counters: Counters,
    /// How many tasks there are, where that is known.
    pub total: Option<u64>,
    /// The files of the output; empty unless the job has completed or was cancelled.
    pub parts: Vec<Part>,
}

impl JobHandle {
    pub(crate) fn new(
        task: JoinHandle<Result<Report>>,
        command: watch::Sender<Command>,
        progress: watch::Receiver<Progress>,
    ) -> Self {
        let stopper = Stopper { command, task: task.abort_handle() };
        Self { task, stopper, progress }
    }

    /// How far the job is.
    pub fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    /// Tells of every change of the progress; it closes at the job's end.
    pub fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Stops the job for good, as [`Stopper::cancel`].
    pub fn cancel(&self) {
        self.stopper.cancel();
    }

    /// Stops the job so that it can go on later, as [`Stopper::suspend`].
    pub fn suspend(&self) {
        self.stopper.suspend();
    }

    /// Stops the job at once, as [`Stopper::abort`].
    pub fn abort(&self) {
        self.stopper.abort();
    }

    /// What stops the job while somebody else [waits](Self::wait) for it.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Waits for the end of the job.
    ///
    /// The error is one of the whole job; the checkpoint is then as it was last saved, and the same
    /// job goes on from there.
    pub async fn wait(self) -> Result<Report> {
        match self.task.await {
            Ok(result) => result,
            Err(error) if error.is_cancelled() => {
                let Progress { counters, total, .. } = self.progress.borrow().clone();
                let ending = Ending::Aborted;
                Ok(Report { ending, counters, total, ..Report::default() })
            }
            Err(error) => Err(Error::Panicked { part: "job", message: error.to_string() }),
        }
    }
}

impl Stopper {
    /// Stops the job for good: pages under way are finished (within the
    /// [grace](crate::Job::with_grace), without further retries), the other tasks get no record,
    /// and the output is completed. The reason is [`StopReason::User`].
    pub fn cancel(&self) {
        self.cancel_for(StopReason::User);
    }

    /// Stops the job for good, as [`cancel`](Self::cancel), for this reason. The first reason counts.
    pub fn cancel_for(&self, reason: StopReason) {
        self.send(Command::Cancel(reason));
    }

    /// Stops the job so that it can go on later: pages under way are finished (within the grace),
    /// everything is saved, and the output stays open.
    pub fn suspend(&self) {
        self.send(Command::Suspend);
    }

    /// Stops the job at once, as a crash would: the same job goes on from its last commit.
    pub fn abort(&self) {
        self.task.abort();
    }

    fn send(&self, later: Command) {
        self.command.send_if_modified(|command| command.replace(later));
    }
}

impl Report {
    /// `ended` is `None` for a job that had ended in an earlier life.
    pub(crate) fn new(ended: Option<Ended>, written: Written, total: Option<u64>) -> Self {
        let earlier = || match written.finished.as_ref().and_then(|finished| finished.reason) {
            None => Ended { ending: Ending::Completed, reason: None },
            reason => Ended { ending: Ending::Cancelled, reason },
        };
        let Ended { ending, reason } = ended.unwrap_or_else(earlier);
        let parts = written.finished.map(|finished| finished.parts).unwrap_or_default();
        Self { ending, reason, counters: written.counters, total, parts }
    }

    /// How many tasks have no record.
    pub fn skipped(&self) -> Option<u64> {
        self.total.map(|total| total.saturating_sub(self.counters.done()))
    }
}
